//! The way back: a step of a change, or its proposal, is undone as a revision of its own; an undone approval gives the park its old
//! boundary back.

use sqlx::PgPool;

use super::looks_after;
use crate::domain::access::{Jurisdiction, Viewer};
use crate::error::{Error, Result};
use crate::inventory::import::overlaps;
use crate::inventory::land;
use crate::inventory::ledgers::{self, Deed, Done};
use crate::store::{self, boundary_changes};

/// Tables that deeds of changes write. A revision that wrote a change and others beside these is another deed's (a merger, say).
const OF_CHANGES: [&str; 8] = [
    "boundary_change",
    "boundary_change_block",
    "boundary_change_step",
    "park",
    "park_block",
    "park_event",
    "turnover_parcel",
    "low_efficiency_parcel",
];

/// Whether a revision that wrote these tables is a deed of a change.
pub(in crate::inventory) fn is_of_change(tables: &[(i64, String)]) -> bool {
    tables.iter().any(|(_, table)| table == "boundary_change")
        && tables.iter().all(|(_, table)| OF_CHANGES.contains(&table.as_str()))
}

/// Whether the viewer may undo a deed of a change of these divisions.
pub(in crate::inventory) fn may_undo(viewer: &Viewer, divisions: &[String]) -> bool {
    looks_after(viewer, divisions)
}

/// Lets stand again what stood before the revision. Whoever looks after the park, as it was proposed and as it lies now, may: the same who may
/// decide the change. Parcels of other counties go back with it, as they went.
pub(in crate::inventory) async fn undo(
    pool: &PgPool,
    deed: &Deed<'_>,
    target: i64,
    reason: &str,
    dry_run: bool,
) -> Result<Done> {
    let everywhere = Viewer { jurisdiction: Jurisdiction::Everywhere, ..deed.viewer.clone() };
    let writer = Deed { viewer: &everywhere, ..deed.clone() };
    let (mut transaction, done) = ledgers::begin(pool, &writer).await?;
    if let Some(done) = done {
        return Ok(done);
    }
    for divisions in boundary_changes::divisions_of_revision(&mut transaction, target).await? {
        if !may_undo(deed.viewer, &divisions) {
            let detail = format!("修订 {target} 的调区扩区不在您的管辖范围内，不能由您撤销");
            return Err(Error::Forbidden { code: "outside_jurisdiction", detail });
        }
    }
    store::undo::refuse_changed(&mut transaction, &deed.viewer.jurisdiction, target, &[], Vec::new()).await?;
    let undone = store::undo::undo_revision(&mut transaction, target, &deed.viewer.actor, reason).await?;
    // Parcels may have come or moved while the new boundary stood.
    land::follow_blocks(&mut transaction).await?;
    land::place_written(&mut transaction).await?;
    let findings = overlaps::after_undo(&mut transaction, target, undone).await?;
    if !findings.is_empty() {
        let detail = format!("修订 {target} 之后又写入了与原界线相抵触的区块，不能撤销；原因见 findings");
        return Err(Error::Conflict { code: "undo_conflict", detail, findings });
    }
    let done = Done { id: target.to_string(), created: false, revision: Some(undone), replayed: false };
    if dry_run {
        transaction.rollback().await?;
        return Ok(Done { revision: None, ..done });
    }
    ledgers::finish(transaction, &writer, done).await
}
