//! What people do with single records of a ledger: enter, replace, correct, move, end. Each is one transaction and one revision; each
//! names the version that it was decided on, so nobody's edit is lost under another's.

pub mod attachments;
mod bulk;
mod edit;
mod genealogy;
mod looks;
mod moves;
mod plans;
mod properties;
mod undo;

use chrono::NaiveDate;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

pub use bulk::{MAX_SELECTED, Selection, Verdict, Verdicts, transition_many};
pub(in crate::inventory) use edit::write_joined;
pub use edit::{Edit, Mode, Written, write_feature};
pub use genealogy::{ALLOWABLE, Event, Family, merge, split};
pub use looks::{line, list_lineage, list_steps, list_transitions};
pub(in crate::inventory) use moves::text;
pub use moves::{MoveRequest, end_life, transition};
pub use plans::{StepInput, replace_steps};
pub use undo::undo;
pub(in crate::inventory) use undo::{leaning, nothing_left_behind};

use crate::domain::access::{Jurisdiction, Viewer};
use crate::domain::{DivisionCode, Ledger, RecordId};
use crate::error::{Error, Result};
use crate::store::idempotency::{self, Replay};
use crate::store::ledgers::RecordState;
use crate::store::{self, ledgers};

/// Who writes, on which version, and the client's own mark of the request.
#[derive(Debug, Clone)]
pub struct Deed<'a> {
    pub viewer: &'a Viewer,
    /// The record's version that the client has seen; `None` where it named none.
    pub version: Option<i64>,
    /// `Idempotency-Key` and a digest of the request: a repetition of it does nothing and is told what was done.
    pub key: Option<(String, [u8; 32])>,
    /// For the revision log: address or request id.
    pub source: String,
    pub today: NaiveDate,
    /// The revision that stands open already, where it is one of several deeds that are one revision together.
    pub joined: Option<i64>,
}

/// What came of a deed.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    pub id: String,
    pub created: bool,
    /// `None`: nothing differed, nothing was written.
    pub revision: Option<i64>,
    /// This very request was done before.
    pub replayed: bool,
}

/// Opens a transaction of the viewer's and takes the write lock; a request that was done before is answered from the record of it.
pub(super) async fn begin<'a>(pool: &PgPool, deed: &Deed<'_>) -> Result<(Transaction<'a, Postgres>, Option<Done>)> {
    let mut transaction = store::begin_edit_as(pool, deed.viewer).await?;
    let done = lock(&mut transaction, deed).await?;
    Ok((transaction, done))
}

/// [`begin`] for what concerns parks: their blocks place parcels of any county anew, so the transaction speaks for everywhere. Whose parks
/// somebody may write is judged in it.
pub(super) async fn begin_everywhere<'a>(
    pool: &PgPool,
    deed: &Deed<'_>,
) -> Result<(Transaction<'a, Postgres>, Option<Done>)> {
    let wide = Viewer { jurisdiction: Jurisdiction::Everywhere, ..deed.viewer.clone() };
    let mut transaction = store::begin_write_as(pool, &wide).await?;
    let done = lock(&mut transaction, deed).await?;
    Ok((transaction, done))
}

/// Takes the write lock, and tells what came of the request where it was done before.
async fn lock(connection: &mut PgConnection, deed: &Deed<'_>) -> Result<Option<Done>> {
    store::revision::lock(connection).await?;
    let Some((key, digest)) = &deed.key else { return Ok(None) };
    Ok(match idempotency::find(connection, &deed.viewer.actor, key).await? {
        None => None,
        Some(Replay { digest: held, .. }) if held != *digest => {
            let detail = "这个 Idempotency-Key 已用于另一个内容不同的请求；请换一个";
            return Err(Error::conflict("idempotency_key_reused", detail));
        }
        Some(replay) => {
            Some(Done { id: replay.record_id, created: replay.created, revision: replay.revision, replayed: true })
        }
    })
}

/// Remembers the request and commits.
pub(super) async fn finish(mut transaction: Transaction<'_, Postgres>, deed: &Deed<'_>, done: Done) -> Result<Done> {
    if let Some((key, digest)) = &deed.key {
        idempotency::keep(&mut transaction, &deed.viewer.actor, key, digest, &done.id, done.created, done.revision)
            .await?;
    }
    transaction.commit().await?;
    Ok(done)
}

pub(super) async fn open(connection: &mut PgConnection, deed: &Deed<'_>, reason: &str) -> Result<i64> {
    if let Some(revision) = deed.joined {
        return Ok(revision);
    }
    store::revision::open(connection, &deed.viewer.actor, reason, &deed.source).await
}

/// The record as it stands, if it is the version that the client has seen.
async fn seen(connection: &mut PgConnection, ledger: Ledger, id: &str, deed: &Deed<'_>) -> Result<RecordState> {
    let standing = ledgers::lock_state(connection, ledger, id).await?.ok_or_else(|| not_found(ledger, id))?;
    match deed.version {
        None => Err(Error::VersionMissing {
            detail: "修改前请先取得该记录，并在 If-Match 请求头中带上它的 ETag，以免覆盖别人的修改".to_owned(),
        }),
        Some(version) if version != standing.revision => Err(Error::Stale {
            detail: format!(
                "{}“{id}”在您取得之后（修订 {version}）又被修改（修订 {}）；请核对后再提交，现在的内容见 current",
                ledger.label(),
                standing.revision
            ),
        }),
        Some(_) => Ok(standing),
    }
}

/// A repetition of what was done and has been taken back since: to tell what it did would be to tell what is no more.
pub(in crate::inventory) fn undone_since(revision: Option<i64>) -> Error {
    let number = revision.map(|number| format!("（修订 {number}）")).unwrap_or_default();
    let detail = format!("这个请求已经执行过{number}，之后又被撤销；如需再次执行，请换一个 Idempotency-Key");
    Error::conflict("undone_since", detail)
}

/// What a park was on a day is told by the log, version by version, and a revision leaves one version: it knows one day of each park. So
/// deeds that are done as one revision are of one day, park by park.
pub(in crate::inventory) async fn one_day(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    parks: &[String],
    on: NaiveDate,
) -> Result<()> {
    let Some(revision) = deed.joined else { return Ok(()) };
    match store::park_changes::event_of_another_day(connection, revision, parks, on).await? {
        None => Ok(()),
        Some((code, day)) => {
            let detail = format!(
                "同一方案中园区 {code} 已有 {day} 的事件，不能再有 {on} 的：一个方案合为一个修订，一个修订只记园区一日的变化；请分成两个方案"
            );
            Err(Error::conflict("event_not_allowed", detail))
        }
    }
}

/// Nobody has changed these since the register was at `seen_revision`, which it has been.
async fn unchanged_since(
    connection: &mut PgConnection,
    records: impl Iterator<Item = (&str, i64)>,
    seen_revision: i64,
    ledger: Ledger,
) -> Result<()> {
    let newest = store::as_of::newest(connection).await?;
    if seen_revision > newest {
        let detail = format!(
            "seen_revision {seen_revision} 在登记库现在的修订（{newest}）之后：所选记录不是从本登记库现在的内容中查得的；请重新查询"
        );
        return Err(Error::Stale { detail });
    }
    let changed: Vec<(&str, i64)> = records.filter(|(_, revision)| *revision > seen_revision).collect();
    let Some((id, revision)) = changed.first() else { return Ok(()) };
    let more = if changed.len() > 1 { format!("等 {} 条", changed.len()) } else { String::new() };
    let detail = format!(
        "{}“{id}”{more}在您取得之后（修订 {seen_revision}）又被修改（修订 {revision}）；请重新查询、核对后再提交",
        ledger.label()
    );
    Err(Error::Stale { detail })
}

fn not_found(ledger: Ledger, id: &str) -> Error {
    let shown: String = id.chars().filter(|c| !c.is_control()).take(80).collect();
    Error::not_found("item_not_found", format!("{}中没有“{shown}”，或它已经终止", ledger.label()))
}

/// The id of a record that is to begin: none stands under it, and none ever did.
async fn must_be_new(connection: &mut PgConnection, ledger: Ledger, id: &str) -> Result<()> {
    if ledgers::lock_state(connection, ledger, id).await?.is_some() {
        let detail = format!("{}“{id}”已经存在；修改请用 PUT 或 PATCH", ledger.label());
        return Err(Error::conflict("record_exists", detail));
    }
    if ledgers::used_before(connection, ledger, &[id.to_owned()]).await?.contains(id) {
        let detail = format!("编号“{id}”曾用于已终止的{}，不能再用；请换一个编号", ledger.label());
        return Err(Error::conflict("number_used_before", detail));
    }
    Ok(())
}

/// The write is for land of the viewer's own.
fn check_jurisdiction(viewer: &Viewer, county: &DivisionCode) -> Result<()> {
    if viewer.jurisdiction.covers(county) {
        return Ok(());
    }
    Err(Error::Forbidden {
        code: "outside_jurisdiction", detail: format!("县区 {county} 不在您的管辖范围内")
    })
}

fn parse_id(text: &str, ledger: Ledger) -> Result<RecordId> {
    RecordId::parse(text).map_err(|_| not_found(ledger, text))
}
