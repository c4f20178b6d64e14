//! Boundary changes (调区扩区): proposed, reviewed, shown to the public, decided; what each would mean is told at any time (decision 0025).
//!
//! Each deed is one transaction and one revision. The approval writes what an import of blocks writes: blocks, the park, parcels that lie
//! elsewhere now, and an event. Never: a status code.

mod approve;
pub mod assess;
pub mod calendar;
mod moves;
mod proposal;
pub(in crate::inventory) mod undo;
pub mod wire;

use chrono::{Datelike, NaiveDate};
use sqlx::{PgConnection, PgPool};

pub use moves::{MoveRequest, transition};
pub(super) use moves::{suppose_joined, transition_joined};
pub use proposal::{Draft, Proposal};

use crate::domain::access::Viewer;
use crate::domain::boundary_change::{ProposedBlock, State, check_day};
use crate::domain::lifecycle;
use crate::domain::{DivisionCode, Finding, ParkCode};
use crate::error::{Error, Result};
use crate::inventory::import::off_async_threads;
use crate::inventory::ledgers::{self, Deed, Done};
use crate::store::boundary_changes::{self, ChangeRow, ListQuery, NewStep, Standing, StepRow};
use crate::store::{self, as_of};

/// No park is older (the first 开发区 were founded in 1984); a typing error in the year is.
const EARLIEST: NaiveDate = match NaiveDate::from_ymd_opt(1984, 1, 1) {
    Some(day) => day,
    None => NaiveDate::MIN,
};

/// All of a change.
#[derive(Debug, Clone)]
pub struct Detail {
    pub change: ChangeRow,
    pub blocks: Vec<ProposedBlock>,
    pub steps: Vec<StepRow>,
}

/// What came, or would come, of a deed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// As it stands, or would stand, after it.
    pub detail: Detail,
    /// `None` after a dry run.
    pub revision: Option<i64>,
    pub replayed: bool,
    pub warnings: Vec<Finding>,
}

/// What the caller goes by beside `If-Match`: the register's revision that the change was read at.
pub type Seen = Option<i64>;

/// Proposes a new boundary for a park.
pub async fn propose(pool: &PgPool, deed: &Deed<'_>, park: &ParkCode, draft: Draft, dry_run: bool) -> Result<Outcome> {
    let proposal = judged(pool, deed.viewer, park, &draft).await?;
    let (mut transaction, done) = ledgers::begin(pool, deed).await?;
    if let Some(done) = done {
        return replayed(&mut transaction, done).await;
    }
    let done = propose_within(&mut transaction, deed, park, &draft, &proposal).await?;
    end(transaction, deed, done, dry_run, proposal.warnings).await
}

async fn propose_within(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    park: &ParkCode,
    draft: &Draft,
    proposal: &Proposal,
) -> Result<Done> {
    let standing = standing_of(connection, deed.viewer, park).await?;
    lifecycle::apply(standing.status, proposal.kind).map_err(|finding| Error::Conflict {
        code: "event_not_allowed",
        detail: finding.message.clone(),
        findings: vec![finding],
    })?;
    if let Some(open) = boundary_changes::open_of_park(connection, park).await? {
        let detail = format!("园区 {park} 已有未办结的调区扩区 {open}；请先办结或撤回");
        return Err(Error::conflict("change_open", detail));
    }
    let on = draft.proposed_on.unwrap_or(deed.today);
    if let Some(finding) = check_day("proposed_on", on, EARLIEST, deed.today) {
        return Err(invalid(vec![finding]));
    }
    let base_revision = as_of::newest(connection).await?;
    let id = boundary_changes::next_id(connection, on.year()).await?;
    let why = format!("{} {id}：{} 提出", proposal.kind.label(), standing.name);
    let revision = ledgers::open(connection, deed, &why).await?;
    let change = ChangeRow {
        id: id.clone(),
        park: park.clone(),
        park_name: standing.name,
        prefecture: standing.prefecture,
        divisions: standing.divisions,
        title: proposal.title.clone(),
        reason: proposal.reason.clone(),
        kind: proposal.kind,
        state: State::Proposed,
        state_on: on,
        areas: proposal.areas,
        landmarks: proposal.landmarks.clone(),
        notice_from: None,
        notice_until: None,
        effective_on: None,
        base_revision,
        park_status_before: None,
        actor: deed.viewer.actor.clone(),
        revision,
    };
    boundary_changes::insert(connection, &change, &proposal.blocks).await?;
    let step = NewStep {
        from: None,
        to: State::Proposed,
        on,
        document_no: None,
        document_title: None,
        note: None,
        base_revision,
        actor: &deed.viewer.actor,
    };
    boundary_changes::add_step(connection, &id, &step).await?;
    Ok(Done { id, created: true, revision: Some(revision), replayed: false })
}

/// [`propose`] as one of several deeds of the transaction; gives the change's id.
pub(super) async fn propose_joined(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    park: &ParkCode,
    draft: Draft,
) -> Result<(String, Vec<Finding>)> {
    let standing = standing_of(connection, deed.viewer, park).await?;
    let approved = standing.approved();
    let (judged, of_park) = (draft.clone(), park.clone());
    let proposal = off_async_threads(move || proposal::judge(&judged, &of_park, approved)).await??;
    let done = propose_within(connection, deed, park, &draft, &proposal).await?;
    Ok((done.id, proposal.warnings))
}

/// Where the change stands, as the transaction has it; that speaks for everywhere, the viewer does not.
pub(super) async fn state_joined(connection: &mut PgConnection, viewer: &Viewer, id: &str) -> Result<State> {
    let change = boundary_changes::find(connection, id).await?;
    let change = change.filter(|change| looks_after(viewer, &change.divisions)).ok_or_else(|| not_found(id))?;
    Ok(change.state)
}

/// Puts a new proposal in the place of the one that stands, as long as nobody reviews it yet.
pub async fn replace(
    pool: &PgPool,
    deed: &Deed<'_>,
    id: &str,
    seen: Seen,
    draft: Draft,
    dry_run: bool,
) -> Result<Outcome> {
    let park = get(pool, deed.viewer, id).await?.change.park;
    let proposal = judged(pool, deed.viewer, &park, &draft).await?;
    let (mut transaction, done) = ledgers::begin(pool, deed).await?;
    if let Some(done) = done {
        return replayed(&mut transaction, done).await;
    }
    let mut change = seen_change(&mut transaction, deed, id, seen).await?;
    if change.state != State::Proposed {
        let detail = format!("调区扩区 {id} 处于“{}”，方案不能再改；需要修改时请先退回到“提出”", change.state.label());
        return Err(Error::conflict("change_not_proposed", detail));
    }
    standing_of(&mut transaction, deed.viewer, &park).await?;
    change.base_revision = as_of::newest(&mut transaction).await?;
    let why = format!("{} {id}：{} 修改方案", proposal.kind.label(), change.park_name);
    let revision = ledgers::open(&mut transaction, deed, &why).await?;
    (change.title, change.reason, change.kind) = (proposal.title, proposal.reason, proposal.kind);
    (change.areas, change.landmarks) = (proposal.areas, proposal.landmarks);
    boundary_changes::replace(&mut transaction, &change, &proposal.blocks).await?;
    let done = Done { id: id.to_owned(), created: false, revision: Some(revision), replayed: false };
    end(transaction, deed, done, dry_run, proposal.warnings).await
}

/// All of a change, if it is the viewer's to see.
pub async fn get(pool: &PgPool, viewer: &Viewer, id: &str) -> Result<Detail> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let detail = detail_of(&mut transaction, id).await?;
    transaction.commit().await?;
    detail.ok_or_else(|| not_found(id))
}

/// Changes that the viewer may see, newest first.
pub async fn list(pool: &PgPool, viewer: &Viewer, query: &ListQuery) -> Result<Vec<ChangeRow>> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let found = boundary_changes::list(&mut transaction, query).await?;
    transaction.commit().await?;
    Ok(found)
}

/// The draft judged, off the async threads and before anything is locked.
async fn judged(pool: &PgPool, viewer: &Viewer, park: &ParkCode, draft: &Draft) -> Result<Proposal> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let standing = standing_of(&mut transaction, viewer, park).await?;
    transaction.commit().await?;
    let approved = standing.approved();
    let (draft, park) = (draft.clone(), park.clone());
    off_async_threads(move || proposal::judge(&draft, &park, approved)).await?
}

/// The park, if it is the viewer's to change: one of its counties (else its prefecture) lies in the jurisdiction, as for an import.
async fn standing_of(connection: &mut PgConnection, viewer: &Viewer, park: &ParkCode) -> Result<Standing> {
    let standing = boundary_changes::list_standing(connection, park).await?;
    let standing = standing.ok_or_else(|| Error::invalid("park_unknown", format!("园区代码 {park} 不在名录中")))?;
    if looks_after(viewer, &standing.divisions) {
        return Ok(standing);
    }
    let detail = format!("园区 {park} 不在您的管辖范围内");
    Err(Error::Forbidden { code: "outside_jurisdiction", detail })
}

fn looks_after(viewer: &Viewer, divisions: &[String]) -> bool {
    let covers = |code: &String| DivisionCode::parse(code).is_ok_and(|code| viewer.jurisdiction.covers(&code));
    divisions.iter().any(covers)
}

/// The change, if it is the version that the client has seen.
async fn seen_change(connection: &mut PgConnection, deed: &Deed<'_>, id: &str, seen: Seen) -> Result<ChangeRow> {
    let change = boundary_changes::find(connection, id).await?;
    let change = change.filter(|c| looks_after(deed.viewer, &c.divisions)).ok_or_else(|| not_found(id))?;
    let stale = |read: i64| Error::Stale {
        detail: format!(
            "调区扩区 {id} 在您取得之后（修订 {read}）又被修改（修订 {}）；请重新取得、核对后再提交",
            change.revision
        ),
    };
    match (deed.version, seen) {
        (Some(version), _) if version != change.revision => Err(stale(version)),
        (None, Some(seen)) if change.revision > seen => Err(stale(seen)),
        (None, Some(seen)) if seen > as_of::newest(connection).await? => Err(Error::Stale {
            detail: format!("seen_revision {seen} 在登记库现在的修订之后；请重新取得、核对后再提交"),
        }),
        (None, None) => Err(Error::VersionMissing {
            detail: "请先取得该调区扩区，并在 If-Match 请求头中带上它的 ETag（或在 seen_revision 中写明取得时的修订），以免覆盖别人的修改"
                .to_owned(),
        }),
        _ => Ok(change),
    }
}

async fn detail_of(connection: &mut PgConnection, id: &str) -> Result<Option<Detail>> {
    let Some(change) = boundary_changes::find(connection, id).await? else { return Ok(None) };
    let blocks = boundary_changes::blocks(connection, id).await?;
    let steps = boundary_changes::steps(connection, id).await?;
    Ok(Some(Detail { change, blocks, steps }))
}

/// Tells what stands after the deed, and commits; a dry run lets everything go.
async fn end(
    mut transaction: sqlx::Transaction<'_, sqlx::Postgres>,
    deed: &Deed<'_>,
    done: Done,
    dry_run: bool,
    warnings: Vec<Finding>,
) -> Result<Outcome> {
    let detail = detail_of(&mut transaction, &done.id).await?.ok_or_else(|| not_found(&done.id))?;
    if dry_run {
        transaction.rollback().await?;
        return Ok(Outcome { detail, revision: None, replayed: false, warnings });
    }
    let revision = done.revision;
    ledgers::finish(transaction, deed, done).await?;
    Ok(Outcome { detail, revision, replayed: false, warnings })
}

/// A request that was done before: where its change stands now.
async fn replayed(connection: &mut PgConnection, done: Done) -> Result<Outcome> {
    let detail = detail_of(connection, &done.id).await?.ok_or_else(|| not_found(&done.id))?;
    Ok(Outcome { detail, revision: done.revision, replayed: true, warnings: Vec::new() })
}

fn not_found(id: &str) -> Error {
    let shown: String = id.chars().filter(|c| !c.is_control()).take(40).collect();
    Error::not_found("change_not_found", format!("没有编号为“{shown}”的调区扩区，或它不在您的管辖范围内"))
}

fn invalid(findings: Vec<Finding>) -> Error {
    let detail = findings.first().map(|f| f.message.clone()).unwrap_or_default();
    Error::Invalid { code: "value_invalid", detail, findings }
}
