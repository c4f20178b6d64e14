//! What-if (推演方案): deeds that somebody would do, tried together on the register as it stands, and applied as one revision or dropped.
//!
//! A trial is the deeds themselves, in a transaction that is let go: what it tells is what would be, and an application is the same
//! transaction committed. Never: a deed of its own.

mod trial;
pub mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use trial::{Changed, Failure, LayerChanges, ParkTotals, Totals, Trial, Tried};

use super::boundary_change::{Draft, MoveRequest};
use super::ledgers::{self, Deed, Done, Edit};
use super::overlap_check::{Question, Within};
use super::parks::ParkEventRequest;
use super::peoples_text::{self, Fault};
use crate::domain::access::{Jurisdiction, Role, Viewer};
use crate::domain::{Finding, ParkCode, Place};
use crate::error::{Error, Result};
use crate::store::scenarios::{self, MovedRow, ScenarioRow};
use crate::store::{self, as_of};

/// Deeds of one scenario.
pub const MOST_OPERATIONS: usize = 50;
/// Scenarios of one person that are not applied.
const MOST_OPEN: i64 = 100;
/// How long a trial waits for the one before it.
const TURN: Duration = Duration::from_secs(15);
/// A trial holds the write lock: nobody else writes for as long.
const LONGEST_TRIAL: Duration = Duration::from_secs(60);
/// And a comparison with what it has seen, behind the lock.
const COMPARED_WITHIN: Within =
    Within { longest: Duration::from_secs(30), advice: "请减少图形或图层后重试" };
/// Trials of one server at a time: they leave the lock and the connections to those who do something.
pub const AT_ONCE: usize = 1;
/// Characters of a name.
pub const NAME_LENGTH: usize = 100;

/// A deed of a scenario.
#[derive(Debug, Clone)]
pub enum Operation {
    /// A park begins, changes its name, level or land, or ends.
    Event(Box<ParkEventRequest>),
    /// A new boundary of a park. Without the steps to its approval it is only supposed to be approved, on this day.
    Boundary { park: ParkCode, draft: Box<Draft>, steps: Vec<MoveRequest>, on: Option<NaiveDate> },
    /// A boundary change that is proposed already, supposed to be approved or brought there by these steps.
    Decision { id: String, steps: Vec<MoveRequest>, on: Option<NaiveDate> },
    /// A parcel is entered or changed.
    Parcel(Box<Edit>),
}

/// What is kept of a scenario, and its deeds as they are asked for.
#[derive(Debug, Clone)]
pub struct Content {
    pub name: String,
    pub operations: Value,
}

/// Keeps a new scenario, on the picture of now.
pub async fn create(pool: &PgPool, viewer: &Viewer, content: &Content) -> Result<ScenarioRow> {
    let name = checked_name(&content.name)?;
    let mut transaction = store::begin_write_as(pool, viewer).await?;
    if scenarios::count_open(&mut transaction, &viewer.actor).await? >= MOST_OPEN {
        let detail = format!("已有 {MOST_OPEN} 个未实施的推演方案；请先删除不用的");
        return Err(Error::conflict("too_many_scenarios", detail));
    }
    let base = as_of::newest(&mut transaction).await?;
    let (actor, jurisdiction) = (&viewer.actor, viewer.jurisdiction.codes());
    let id = scenarios::create(&mut transaction, &name, actor, &jurisdiction, &content.operations, base).await?;
    let row = scenarios::find(&mut transaction, id, false).await?.ok_or_else(|| missing(id))?;
    transaction.commit().await?;
    Ok(row)
}

/// The viewer's own; of everybody for administrators.
pub async fn list(pool: &PgPool, viewer: &Viewer, limit: i64, before: Option<i64>) -> Result<Vec<ScenarioRow>> {
    let own = (viewer.role != Role::Admin).then_some(viewer.actor.as_str());
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let found = scenarios::list(&mut transaction, own, limit, before).await?;
    transaction.commit().await?;
    Ok(found)
}

pub async fn get(pool: &PgPool, viewer: &Viewer, id: i64) -> Result<ScenarioRow> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let found = own(scenarios::find(&mut transaction, id, false).await?, viewer, id)?;
    transaction.commit().await?;
    Ok(found)
}

/// Puts these deeds in the place of those that stand, on the picture of now.
pub async fn replace(pool: &PgPool, viewer: &Viewer, id: i64, version: i32, content: &Content) -> Result<ScenarioRow> {
    let name = checked_name(&content.name)?;
    change(pool, viewer, id, version, Some((&name, &content.operations)), None).await
}

/// What others have done up to the revision that was looked at is known; where none is named, up to now.
pub async fn rebase(
    pool: &PgPool,
    viewer: &Viewer,
    id: i64,
    version: i32,
    looked_at: Option<i64>,
) -> Result<ScenarioRow> {
    change(pool, viewer, id, version, None, looked_at).await
}

async fn change(
    pool: &PgPool,
    viewer: &Viewer,
    id: i64,
    version: i32,
    content: Option<(&str, &Value)>,
    looked_at: Option<i64>,
) -> Result<ScenarioRow> {
    let mut transaction = store::begin_write_as(pool, viewer).await?;
    let row = own(scenarios::find(&mut transaction, id, true).await?, viewer, id)?;
    seen(&row, version)?;
    still_open(&row)?;
    let newest = as_of::newest(&mut transaction).await?;
    let base = looked_at.unwrap_or(newest);
    if base > newest {
        let detail = format!("seen_revision {base} 所指的修订还没有产生；最新的修订是 {newest}");
        return Err(Error::invalid("revision_unknown", detail));
    }
    if looked_at.is_some() && base < row.base_revision {
        let detail = format!("seen_revision {base} 早于方案现在所依据的修订 {}", row.base_revision);
        return Err(Error::invalid("value_invalid", detail));
    }
    let (name, operations) = content.unwrap_or((&row.name, &row.operations));
    scenarios::update(&mut transaction, id, name, operations, base).await?;
    let row = scenarios::find(&mut transaction, id, false).await?.ok_or_else(|| missing(id))?;
    transaction.commit().await?;
    Ok(row)
}

/// Drops it. What it made true, where it was applied, stays.
pub async fn drop_one(pool: &PgPool, viewer: &Viewer, id: i64) -> Result<()> {
    let mut transaction = store::begin_write_as(pool, viewer).await?;
    own(scenarios::find(&mut transaction, id, true).await?, viewer, id)?;
    scenarios::remove(&mut transaction, id).await?;
    Ok(transaction.commit().await?)
}

/// Tries the deeds on the register as it stands, and lets all of it go. Waits for its turn among the trials, and is given up after a
/// time.
pub async fn evaluate(
    pool: &PgPool,
    turns: &Arc<Semaphore>,
    deed: &Deed<'_>,
    row: &ScenarioRow,
    operations: &[Operation],
) -> Result<Trial> {
    let _turn = turn(turns).await?;
    let begun = Instant::now();
    in_time(async {
        let everywhere = Viewer { jurisdiction: Jurisdiction::Everywhere, ..deed.viewer.clone() };
        // Had before the lock: nobody waits with it for a connection.
        let mut base = scenarios::begin_beside(pool, &everywhere).await?;
        let (mut transaction, _) = ledgers::begin_everywhere(pool, &Deed { key: None, ..deed.clone() }).await?;
        scenarios::limit_statements(&mut transaction, LONGEST_TRIAL).await?;
        // The first look of `base`: from here on it shows the register that the deeds are tried on.
        let revision = as_of::newest(&mut base).await?;
        let tried = trial::carry_out(&mut transaction, deed, row, operations, true).await?;
        scenarios::limit_statements(&mut transaction, left_of(begun)).await?;
        let trial = trial::look_at(base, &mut transaction, deed.viewer, revision, tried).await?;
        transaction.rollback().await?;
        Ok(trial)
    })
    .await
}

/// Compares shapes with the register as the deeds would leave it, in the viewer's own counties: the findings, as of a check that is not
/// kept. Nothing is written.
pub async fn check(
    pool: &PgPool,
    turns: &Arc<Semaphore>,
    deed: &Deed<'_>,
    row: &ScenarioRow,
    operations: &[Operation],
    question: Question,
) -> Result<Value> {
    let _turn = turn(turns).await?;
    let begun = Instant::now();
    let (tried, sources) = in_time(async {
        let of_operators = question.of_operators(pool, deed.viewer).await?;
        let (mut transaction, _) = ledgers::begin_everywhere(pool, &Deed { key: None, ..deed.clone() }).await?;
        scenarios::limit_statements(&mut transaction, LONGEST_TRIAL).await?;
        let tried = trial::carry_out(&mut transaction, deed, row, operations, true).await?;
        if let Some(failure) = tried.failure {
            return Err(refused(failure));
        }
        // The deeds speak for everywhere, whoever looks does not.
        store::speak_for(&mut transaction, deed.viewer).await?;
        scenarios::limit_statements(&mut transaction, left_of(begun)).await?;
        let mut sources = question.seen_within(&mut transaction, deed.viewer).await?;
        // The lock is given back before the shapes are compared.
        transaction.rollback().await?;
        sources.extend(of_operators);
        Ok((tried, sources))
    })
    .await?;
    let mut told = question.answer(sources, tried.revision - 1, Some(COMPARED_WITHIN)).await?;
    told["scenario"] = json!({"id": row.id, "version": row.version, "supposed": tried.supposed});
    Ok(told)
}

/// What a trial that began then has left of its time: a statement that is given up with it goes on at the server no longer than that.
fn left_of(begun: Instant) -> Duration {
    LONGEST_TRIAL.saturating_sub(begun.elapsed()).max(Duration::from_millis(1))
}

async fn in_time<T>(trial: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(LONGEST_TRIAL, trial).await.map_err(|_| Error::Unavailable {
        code: "query_timeout",
        detail: format!("推演超过 {} 秒，已放弃，没有写入任何内容；请减少方案中的操作后重试", LONGEST_TRIAL.as_secs()),
        cause: None,
    })?
}

/// The place of the one trial, or word that there is none.
async fn turn(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    match tokio::time::timeout(TURN, Arc::clone(turns).acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Error::Unavailable {
            code: "assessments_busy",
            detail: "正在推演另一个方案；请稍后再试".to_owned(),
            cause: None,
        }),
    }
}

/// Does the deeds as one revision, or nothing.
pub async fn apply(pool: &PgPool, deed: &Deed<'_>, row: &ScenarioRow, operations: &[Operation]) -> Result<Done> {
    if operations.is_empty() {
        return Err(Error::conflict("scenario_empty", "方案中没有操作，无可实施"));
    }
    let (mut transaction, done) = ledgers::begin_everywhere(pool, deed).await?;
    if let Some(done) = done {
        return match done.revision {
            Some(revision) if store::undo::is_undone(&mut transaction, revision).await? => {
                Err(ledgers::undone_since(Some(revision)))
            }
            _ => Ok(done),
        };
    }
    let kept = own(scenarios::find(&mut transaction, row.id, true).await?, deed.viewer, row.id)?;
    seen(&kept, row.version)?;
    still_open(&kept)?;
    if let Some(revision) = kept.applied_revision {
        let detail =
            format!("推演方案 {} 的实施（修订 {revision}）已撤销；请核对后先以 rebase 更新依据，再实施", row.id);
        return Err(Error::conflict("base_moved", detail));
    }
    let tried = trial::carry_out(&mut transaction, deed, row, operations, false).await?;
    if let Some(failure) = tried.failure {
        return Err(refused(failure));
    }
    let moved = tried.moved.len() + tried.moved_elsewhere;
    if moved > 0 {
        let told = |row: &MovedRow| {
            let message = format!("{} 的 {} 在修订 {} 中被修改", row.table, row.id, row.revision);
            Finding::error("changed_since", Place::whole(), message)
        };
        let elsewhere = (tried.moved_elsewhere > 0).then(|| {
            let message = format!("其他县区的 {} 条记录被修改", tried.moved_elsewhere);
            Finding::error("changed_since", Place::whole(), message)
        });
        return Err(Error::Conflict {
            code: "base_moved",
            detail: format!(
                "方案涉及的 {moved} 条记录在方案所依据的修订 {} 之后又被修改；请重新推演，核对后以 rebase 更新依据",
                row.base_revision
            ),
            findings: tried.moved.iter().take(20).map(told).chain(elsewhere).collect(),
        });
    }
    scenarios::set_applied(&mut transaction, row.id, tried.revision).await?;
    let done = Done { id: row.id.to_string(), created: false, revision: Some(tried.revision), replayed: false };
    ledgers::finish(transaction, deed, done).await
}

/// Why the deeds are not done. A change that nobody has decided is the owner's to complete; what else fails says so by a finding.
fn refused(failure: Failure) -> Error {
    let detail = format!("方案的第 {} 项操作现在不能实施：{}", failure.index + 1, failure.detail);
    if failure.code == "scenario_undecided" {
        return Error::conflict("scenario_undecided", detail);
    }
    let mut findings = failure.findings;
    if findings.is_empty() {
        let place = Place::row(failure.index as u64 + 1).field("operations");
        findings.push(Finding::error(failure.code, place, failure.detail));
    }
    Error::Conflict { code: "scenario_not_applicable", detail, findings }
}

fn checked_name(given: &str) -> Result<String> {
    match peoples_text::judged_line(given, NAME_LENGTH) {
        Ok(name) if !name.is_empty() => Ok(name),
        Err(fault @ Fault::Misleading) => Err(fault.refusal("name")),
        _ => Err(Error::invalid("value_invalid", format!("name 应为 1 至 {NAME_LENGTH} 个字"))),
    }
}

/// Nobody else sees it, but administrators.
fn own(row: Option<ScenarioRow>, viewer: &Viewer, id: i64) -> Result<ScenarioRow> {
    row.filter(|row| row.actor == viewer.actor || viewer.role == Role::Admin).ok_or_else(|| missing(id))
}

fn missing(id: i64) -> Error {
    Error::not_found("scenario_not_found", format!("没有编号为 {id} 的推演方案"))
}

fn seen(row: &ScenarioRow, version: i32) -> Result<()> {
    if row.version == version {
        return Ok(());
    }
    let detail = format!("推演方案 {} 在您取得之后又被修改（版本 {}）；请重新取得、核对后再提交", row.id, row.version);
    Err(Error::Stale { detail })
}

fn still_open(row: &ScenarioRow) -> Result<()> {
    match row.applied_revision {
        None => Ok(()),
        Some(_) if row.undone => Ok(()),
        Some(revision) => {
            let detail = format!("推演方案 {} 已实施（修订 {revision}），不能再改；如需重来，请先撤销该修订", row.id);
            Err(Error::conflict("scenario_applied", detail))
        }
    }
}
