//! A control zone is withdrawn (管控区域移除): a red line that is adjusted away. One revision, and its way back.

use sqlx::{PgConnection, PgPool};

use super::ledgers::{self, Deed, Done};
use crate::domain::access::Viewer;
use crate::error::{Error, Result};
use crate::store::control_zones::{self, StandingZone};
use crate::store::{self, park_changes};

/// The only table that a withdrawal writes.
const TABLE: &str = "control_zone";

/// Requests whose revisions are withdrawals.
const SOURCE: &str = "DELETE /api/control-zones/";

/// The zone as it stands. All of the staff see all zones.
pub async fn find(pool: &PgPool, viewer: &Viewer, id: &str) -> Result<StandingZone> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let found = standing(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(found)
}

/// Takes the zone away: the log keeps it, and who asks for the past sees it. Nothing is written by a dry run.
pub async fn withdraw(pool: &PgPool, deed: &Deed<'_>, id: &str, reason: Option<&str>, dry_run: bool) -> Result<Done> {
    let said = ledgers::text(reason, "reason")?;
    let (mut transaction, done) = ledgers::begin(pool, deed).await?;
    if let Some(done) = done {
        return match done.revision {
            Some(revision) if store::undo::is_undone(&mut transaction, revision).await? => {
                Err(ledgers::undone_since(Some(revision)))
            }
            _ => Ok(done),
        };
    }
    let zone = standing(&mut transaction, id).await?;
    if !deed.viewer.jurisdiction.covers_code(&zone.division) {
        let detail = format!("管控区域 {id} 属于 {}，不在您的管辖范围内，不能由您移除", zone.division);
        return Err(Error::Forbidden { code: "outside_jurisdiction", detail });
    }
    check_version(deed, id, &zone)?;
    let name = zone.name.map(|name| format!("（{name}）")).unwrap_or_default();
    let why = said.map(|said| format!("：{said}")).unwrap_or_default();
    let revision = ledgers::open(&mut transaction, deed, &format!("移除管控区域 {id}{name}{why}")).await?;
    if !control_zones::remove_zone(&mut transaction, id).await? {
        return Err(Error::Internal { detail: format!("管控区域 {id} 没有移除"), cause: None });
    }
    let done = Done { id: id.to_owned(), created: false, revision: Some(revision), replayed: false };
    if dry_run {
        transaction.rollback().await?;
        return Ok(Done { revision: None, ..done });
    }
    ledgers::finish(transaction, deed, done).await
}

/// Whether the revision withdrew a zone, or undid such a one. `wrote`: the tables that it wrote.
pub(super) async fn is_of_withdrawal(pool: &PgPool, wrote: &[(i64, String)], target: i64) -> Result<bool> {
    if wrote.is_empty() || wrote.iter().any(|(_, table)| table != TABLE) {
        return Ok(false);
    }
    let source = park_changes::origin(&mut *pool.acquire().await?, target).await?;
    Ok(source.is_some_and(|source| source.starts_with(SOURCE)))
}

/// Lets the zone stand again as it stood, or be gone again; nothing is written by a dry run.
pub(super) async fn undo(pool: &PgPool, deed: &Deed<'_>, target: i64, reason: &str, dry_run: bool) -> Result<Done> {
    let (mut transaction, done) = ledgers::begin(pool, deed).await?;
    if let Some(done) = done {
        return Ok(done);
    }
    // Row-level security would pass over a row of another division that is to go, and say nothing.
    let jurisdiction = &deed.viewer.jurisdiction;
    let divisions = control_zones::divisions_written(&mut transaction, target).await?;
    if let Some(division) = divisions.iter().find(|division| !jurisdiction.covers_code(division)) {
        let detail = format!("修订 {target} 写入了 {division} 的管控区域，不在您的管辖范围内，不能由您撤销");
        return Err(Error::Forbidden { code: "outside_jurisdiction", detail });
    }
    store::undo::refuse_changed(&mut transaction, jurisdiction, target, &[], Vec::new()).await?;
    let undone = store::undo::undo_revision(&mut transaction, target, &deed.viewer.actor, reason).await?;
    // Of a kind of the operator's own nothing kept it while the zone was away.
    if let [first, ..] = control_zones::unknown_kinds(&mut transaction, undone).await?.as_slice() {
        let detail = format!("修订 {target} 的管控区域属于已删除的管控类型 {first}，不能撤销；请先恢复该类型");
        return Err(Error::conflict("undo_conflict", detail));
    }
    let done = Done { id: target.to_string(), created: false, revision: Some(undone), replayed: false };
    if dry_run {
        transaction.rollback().await?;
        return Ok(Done { revision: None, ..done });
    }
    ledgers::finish(transaction, deed, done).await
}

async fn standing(connection: &mut PgConnection, id: &str) -> Result<StandingZone> {
    if id.contains('\0') {
        return Err(not_found(id));
    }
    control_zones::find_zone(connection, id).await?.ok_or_else(|| not_found(id))
}

fn check_version(deed: &Deed<'_>, id: &str, zone: &StandingZone) -> Result<()> {
    match deed.version {
        None => Err(Error::VersionMissing {
            detail: "移除前请先取得该管控区域，并在 If-Match 请求头中带上它的 ETag".to_owned(),
        }),
        Some(version) if version == zone.version => Ok(()),
        Some(_) => Err(Error::Stale {
            detail: format!(
                "管控区域 {id} 在您取得之后又有变动（修订 {}）；请核对后再提交，现在的内容见 current",
                zone.version
            ),
        }),
    }
}

/// 404 for a zone that there is not.
pub fn not_found(id: &str) -> Error {
    let shown: String = id.chars().filter(|c| !c.is_control()).take(80).collect();
    Error::not_found("zone_not_found", format!("没有管控区域“{shown}”，或它已被移除"))
}
