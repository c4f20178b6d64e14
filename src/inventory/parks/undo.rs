//! The way back: an event of parks, or the publishing of a directory, is undone as one revision; an applied scenario too, with the
//! parcels that it wrote.

use std::collections::HashMap;

use sqlx::{PgConnection, PgPool};

use super::checks::covers;
use crate::domain::access::Jurisdiction;
use crate::domain::{Finding, Place};
use crate::error::{Error, Result};
use crate::inventory::boundary_change::undo::may_undo;
use crate::inventory::import::overlaps;
use crate::inventory::land;
use crate::inventory::ledgers::{self, Deed, Done};
use crate::store::{self, park_changes, park_events};

/// Requests whose revisions are undone here.
const SOURCES: [&str; 2] = ["POST /api/park-events", "POST /api/directories"];
/// And those that did the deeds of a scenario.
const SCENARIOS: &str = "POST /api/scenarios/";
/// Tables whose rows follow the blocks by themselves: in nobody's way, and not put back (`follows_blocks`, migration 0021), but where the
/// revision wrote rows of theirs itself.
const FOLLOWING: [&str; 2] = ["turnover_parcel", "low_efficiency_parcel"];
/// Rows of one undo; it holds the register's write lock.
const MOST_ROWS: i64 = 200_000;

/// Whether the revision is one of an event of parks, of the publishing of a directory or of a scenario, or undid such a one: to undo the
/// undoing is to do it again, and asks for the same permission.
pub async fn is_of_parks(pool: &PgPool, target: i64) -> Result<bool> {
    let source = park_changes::origin(&mut *pool.acquire().await?, target).await?;
    Ok(source.is_some_and(|source| SOURCES.contains(&source.as_str()) || source.starts_with(SCENARIOS)))
}

/// Lets stand again what stood before the revision; nothing is written by a dry run.
pub async fn undo(pool: &PgPool, deed: &Deed<'_>, target: i64, reason: Option<&str>, dry_run: bool) -> Result<Done> {
    let said = ledgers::text(reason, "reason")?;
    let (mut transaction, done) = ledgers::begin_everywhere(pool, deed).await?;
    if let Some(done) = done {
        return Ok(done);
    }
    parks_in_jurisdiction(&mut transaction, deed, target).await?;
    counties_in_jurisdiction(&mut transaction, deed, target).await?;
    let rows = store::undo::size(&mut transaction, target).await?;
    if rows > MOST_ROWS {
        let detail = format!("修订 {target} 写入了 {rows} 行，超过 {MOST_ROWS} 行，不能在线撤销；请联系运维人员");
        return Err(Error::conflict("undo_not_possible", detail));
    }
    let put_back = park_changes::put_back(&mut transaction, target, &FOLLOWING).await?;
    unchanged_since(&mut transaction, deed, target, &put_back).await?;
    let stood = if put_back.is_empty() { Vec::new() } else { ledgers::leaning(&mut transaction, target).await? };
    let why = said.map(|said| format!("：{said}")).unwrap_or_default();
    let reason = format!("撤销修订 {target}{why}");
    park_changes::defer_parks_of_parcels(&mut transaction).await?;
    let undone = store::undo::undo_revision(&mut transaction, target, &deed.viewer.actor, &reason).await?;
    land::follow_blocks(&mut transaction).await?;
    if !put_back.is_empty() {
        // Blocks may have moved while the parcels did not stand.
        land::place_written(&mut transaction).await?;
        ledgers::nothing_left_behind(&mut transaction, target, undone, &stood).await?;
    }
    no_change_left_open(&mut transaction, target, undone).await?;
    let findings = overlaps::after_undo(&mut transaction, target, undone).await?;
    if !findings.is_empty() {
        let detail =
            format!("修订 {target} 之后又写入了与之相抵触的区块，不能撤销；请先撤销较新的修订，原因见 findings");
        return Err(Error::Conflict { code: "undo_conflict", detail, findings });
    }
    let done = Done { id: target.to_string(), created: false, revision: Some(undone), replayed: false };
    if dry_run {
        transaction.rollback().await?;
        return Ok(Done { revision: None, ..done });
    }
    ledgers::finish(transaction, deed, done).await
}

/// Every park that the revision wrote is the viewer's own; of a park that it wrote by a boundary change only, whoever may undo the change
/// may undo it here too, if the park is still theirs. A park that does not stand (its establishment is undone) is whose the revision's own
/// record of it says: it would stand again. What nobody can tell is nobody's.
async fn parks_in_jurisdiction(connection: &mut PgConnection, deed: &Deed<'_>, target: i64) -> Result<()> {
    let jurisdiction = &deed.viewer.jurisdiction;
    if *jurisdiction == Jurisdiction::Everywhere {
        return Ok(());
    }
    let codes = park_changes::codes(connection, target).await?;
    let mut places: HashMap<String, (String, Vec<String>)> = park_changes::places(connection, target).await?;
    for park in park_events::list_parks(connection, &codes).await? {
        places.insert(park.code, (park.prefecture_code, park.county_codes));
    }
    let changed = park_changes::by_boundary_change_only(connection, target).await?;
    let own = |code: &String| {
        let Some((prefecture, counties)) = places.get(code) else { return false };
        let now = if counties.is_empty() { std::slice::from_ref(prefecture) } else { counties };
        let by_change = |changes: &Vec<Vec<String>>| {
            changes.iter().all(|of| may_undo(deed.viewer, of)) && may_undo(deed.viewer, now)
        };
        covers(jurisdiction, prefecture, counties) || changed.get(code).is_some_and(by_change)
    };
    match codes.iter().find(|code| !own(code)) {
        None => Ok(()),
        Some(code) => {
            let detail = format!("修订 {target} 涉及园区 {code}，不在您的管辖范围内，不能由您撤销");
            Err(Error::Forbidden { code: "outside_jurisdiction", detail })
        }
    }
}

/// Every record of a ledger that the revision wrote itself is of the viewer's own counties, before and after. (Parcels that only followed
/// their blocks go back with them, whosever they are, as they went.)
async fn counties_in_jurisdiction(connection: &mut PgConnection, deed: &Deed<'_>, target: i64) -> Result<()> {
    let counties = park_changes::counties(connection, target).await?;
    match counties.iter().find(|county| !deed.viewer.jurisdiction.covers_code(county)) {
        None => Ok(()),
        Some(code) => {
            let detail = format!("修订 {target} 写入了县区 {code} 的台账，不在您的管辖范围内，不能由您撤销");
            Err(Error::Forbidden { code: "outside_jurisdiction", detail })
        }
    }
}

/// No row of it has been written since, and nothing else stands on a park that it brought forth. `put_back`: tables of [`FOLLOWING`] whose
/// rows the undo puts back like any others.
async fn unchanged_since(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    target: i64,
    put_back: &[String],
) -> Result<()> {
    let following: Vec<&str> =
        FOLLOWING.into_iter().filter(|table| !put_back.iter().any(|back| back == table)).collect();
    let leaning = park_changes::leaning(connection, target).await?.into_iter().map(|(code, what)| {
        Finding::error("park_in_use", Place::whole(), format!("园区 {code} 之后又有{what}，撤销后该园区不复存在"))
    });
    store::undo::refuse_changed(connection, &deed.viewer.jurisdiction, target, &following, leaning.collect()).await
}

/// A park that ends again, where the undoing of its end is undone, has no boundary change open: one proposed since would be of no park.
async fn no_change_left_open(connection: &mut PgConnection, target: i64, undone: i64) -> Result<()> {
    let open = park_changes::open_changes_of_ended(connection, undone).await?;
    if open.is_empty() {
        return Ok(());
    }
    let told = |(change, park): &(String, String)| {
        let message = format!("园区 {park} 撤销后不再存续，但调区扩区 {change} 尚未办结");
        Finding::error("park_in_use", Place::whole(), message)
    };
    let detail = format!("修订 {target} 不能撤销：有园区的调区扩区尚未办结；请先撤回，原因见 findings");
    Err(Error::Conflict { code: "undo_conflict", detail, findings: open.iter().map(told).collect() })
}
