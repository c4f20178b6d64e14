//! Checks of overlaps (重叠检查): shapes against layers, kept so that they can be opened, repeated and compared later (decision 0023).
//!
//! Every check is a job: whoever asks waits for it a little while, and is told where it will be. Never: a change to the register.

pub(super) mod compare;
mod difference;
pub(super) mod job;
mod question;
pub mod report;
mod shapes;
pub(super) mod source;
mod subject;
pub mod wire;
pub(super) mod zone;

use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::sync::Semaphore;

pub use difference::{Difference, difference};
pub use question::Question;
pub(in crate::inventory) use question::Within;
pub use shapes::Compared;
pub use subject::Given;

use crate::domain::access::{Jurisdiction, Viewer};
use crate::domain::layer::Layer;
use crate::domain::overlap::Thresholds;
use crate::domain::overlap_check::{CheckStatus, NOTE_LENGTH, Purpose, TITLE_LENGTH, Verdict};
use crate::error::{Error, Result};
use crate::inventory::live::Live;
use crate::inventory::peoples_text;
use crate::layers::catalogue::Catalogue;
use crate::store::as_of::Asked;
use crate::store::overlap_checks::{self, CheckRow, FindingRow, FindingsQuery, NewCheck, SubjectRow};
use crate::store::{self, as_of};
use job::Job;
use report::CheckReport;
use source::Moment;

/// How long whoever asks waits for the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Checks that are compared at the same time; the others wait.
const AT_ONCE: usize = 2;
/// Checks of one person, and of all, that may wait or run.
const WAITING_OF_ONE: i64 = 4;
const WAITING_OF_ALL: i64 = 64;

/// Layers that are compared with only where they are named: parks are their blocks over again, plans their parcels; the outlines of
/// divisions decide no boundary.
const SAID_OTHERWISE: [&str; 3] = ["parks", "redevelopment_plans", "divisions"];

/// What to compare with what for.
#[derive(Debug, Clone)]
pub struct CheckRequest {
    /// Empty = named after the shapes.
    pub title: String,
    pub purpose: Purpose,
    /// None = the areal layers that the viewer may see, but for [`SAID_OTHERWISE`] and, of the past, those without one.
    pub layers: Option<Vec<&'static Layer>>,
    pub thresholds: Thresholds,
    /// The day that is asked about; `None` = as things stand.
    pub on_day: Option<NaiveDate>,
    /// The revision whose state is asked about; `None` = the newest.
    pub revision: Option<i64>,
}

/// Which state a repetition compares with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepeatOn {
    /// The revision that the first one saw: the same findings, to the byte.
    SameRevision,
    /// As things stand.
    Present,
}

/// Makes checks.
pub struct Desk {
    pool: PgPool,
    live: Option<Arc<Live>>,
    room: Arc<Semaphore>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk {
    pub fn new(pool: PgPool, live: Option<Arc<Live>>) -> Self {
        Self { pool, live, room: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Reads and judges the shapes, records the check and starts it; gives it as it stands after a little while.
    pub async fn start(
        &self,
        viewer: &Viewer,
        catalogue: &Catalogue,
        request: &CheckRequest,
        given: Given,
    ) -> Result<CheckRow> {
        if viewer.jurisdiction == Jurisdiction::NOWHERE {
            // Of nobody's divisions, it would be anybody's to see.
            let detail = "账号没有管辖范围，不能保存检查；请管理员设置".to_owned();
            return Err(Error::Forbidden { code: "outside_jurisdiction", detail });
        }
        let layers = layers_of(viewer, catalogue, request)?;
        let moment = moment_of(&self.pool, request.on_day, request.revision).await?;
        let subjects = subject::read(&self.pool, viewer, given, moment).await?;
        let title = title_of(&request.title, &subjects.rows)?;
        let asked = wire::request_json(request, &layers, &subjects.origin);
        let check = NewCheck {
            title: &title,
            actor: &viewer.actor,
            jurisdiction: viewer.jurisdiction.codes(),
            request: &asked,
            on_day: request.on_day,
            revision: request.revision,
            repeats: None,
        };
        self.launch(viewer, &check, subjects.rows, layers, request.purpose, request.thresholds).await
    }

    /// The same shapes, layers and thresholds again.
    pub async fn repeat(&self, viewer: &Viewer, catalogue: &Catalogue, id: i64, on: RepeatOn) -> Result<CheckRow> {
        let mut transaction = store::begin_read_as(&self.pool, viewer).await?;
        let first = overlap_checks::find(&mut transaction, id).await?.ok_or_else(|| missing(id))?;
        let subjects = overlap_checks::subjects(&mut transaction, id).await?;
        transaction.commit().await?;
        let revision = match (on, first.revision) {
            (RepeatOn::Present, _) => None,
            (RepeatOn::SameRevision, Some(revision)) if first.status == CheckStatus::Finished => Some(revision),
            (RepeatOn::SameRevision, _) => {
                let detail = "这次检查没有完成，没有可以照做的修订；请重新检查";
                return Err(Error::conflict("check_not_finished", detail));
            }
        };
        let (purpose, thresholds, asked_for) = wire::parse_request(&first.request)?;
        let mut asked = first.request.clone();
        let (layers, left_out) = again(viewer, catalogue, asked_for, revision.is_some())?;
        wire::leave_out(&mut asked, &layers, &left_out);
        // The same question: of what its maker could see, which the viewer can too.
        let jurisdiction = Jurisdiction::parse(&first.jurisdiction)
            .map_err(|_| Error::Internal {
                detail: "重叠检查的管辖范围无法识别".to_owned(), cause: None
            })?;
        let viewer = &Viewer { jurisdiction, ..viewer.clone() };
        let check = NewCheck {
            title: &first.title,
            actor: &viewer.actor,
            jurisdiction: first.jurisdiction.clone(),
            request: &asked,
            on_day: first.on_day,
            revision,
            repeats: Some(id),
        };
        self.launch(viewer, &check, subjects, layers, purpose, thresholds).await
    }

    async fn launch(
        &self,
        viewer: &Viewer,
        check: &NewCheck<'_>,
        subjects: Vec<SubjectRow>,
        layers: Vec<&'static Layer>,
        purpose: Purpose,
        thresholds: Thresholds,
    ) -> Result<CheckRow> {
        let moment = moment_of(&self.pool, check.on_day, check.revision).await?;
        let mut transaction = store::begin_write_as(&self.pool, viewer).await?;
        let (own, all) = overlap_checks::count_waiting(&mut transaction, &viewer.actor).await?;
        if own >= WAITING_OF_ONE || all >= WAITING_OF_ALL {
            let detail = format!("已有 {own} 个检查在排队或进行中；请等其完成或取消后再试");
            return Err(Error::Throttled { code: "too_many_checks", detail, retry_after_s: 10 });
        }
        let id = overlap_checks::create(&mut transaction, check, &subjects).await?;
        transaction.commit().await?;
        let job = Job {
            pool: self.pool.clone(),
            live: self.live.clone(),
            room: Arc::clone(&self.room),
            viewer: viewer.clone(),
            id,
            subjects,
            layers,
            purpose,
            thresholds,
            moment,
        };
        // On its own: whoever asked may go away.
        let running = tokio::spawn(job.run());
        let _ = tokio::time::timeout(PATIENCE, running).await;
        self.get(viewer, id).await
    }

    pub async fn get(&self, viewer: &Viewer, id: i64) -> Result<CheckRow> {
        let mut transaction = store::begin_read_as(&self.pool, viewer).await?;
        let found = overlap_checks::find(&mut transaction, id).await?;
        transaction.commit().await?;
        found.ok_or_else(|| missing(id))
    }

    /// Newest first; `before` pages on.
    pub async fn list(&self, viewer: &Viewer, limit: i64, before: Option<i64>) -> Result<Vec<CheckRow>> {
        let mut transaction = store::begin_read_as(&self.pool, viewer).await?;
        let found = overlap_checks::list(&mut transaction, limit, before).await?;
        transaction.commit().await?;
        Ok(found)
    }

    pub async fn findings(&self, viewer: &Viewer, id: i64, query: &FindingsQuery) -> Result<(Vec<FindingRow>, i64)> {
        let mut transaction = store::begin_read_as(&self.pool, viewer).await?;
        overlap_checks::find(&mut transaction, id).await?.ok_or_else(|| missing(id))?;
        let found = overlap_checks::findings(&mut transaction, id, query).await?;
        transaction.commit().await?;
        Ok(found)
    }

    /// All of a finished check.
    pub async fn report(&self, viewer: &Viewer, id: i64) -> Result<CheckReport> {
        let mut transaction = store::begin_read_as(&self.pool, viewer).await?;
        let check = overlap_checks::find(&mut transaction, id).await?.ok_or_else(|| missing(id))?;
        if check.status != CheckStatus::Finished {
            return Err(Error::conflict("check_not_finished", format!("检查 {id} 没有完成，没有报告")));
        }
        let subjects = overlap_checks::subjects(&mut transaction, id).await?;
        let all = FindingsQuery { limit: i64::MAX, with_land: true, ..FindingsQuery::default() };
        let (findings, _) = overlap_checks::findings(&mut transaction, id, &all).await?;
        transaction.commit().await?;
        Ok(CheckReport { check, subjects, findings })
    }

    /// Stops a check that is not over; whoever made it or an administrator may.
    pub async fn cancel(&self, viewer: &Viewer, id: i64) -> Result<CheckRow> {
        let mut transaction = store::begin_write_as(&self.pool, viewer).await?;
        let check = overlap_checks::find(&mut transaction, id).await?.ok_or_else(|| missing(id))?;
        own(viewer, &check)?;
        let wished = overlap_checks::wish_to_stop(&mut transaction, id).await?;
        transaction.commit().await?;
        if !wished {
            let detail = format!("检查 {id} 已经结束（{}），无法取消", check.status.label());
            return Err(Error::conflict("check_is_over", detail));
        }
        // The job looks every half second.
        for _ in 0..20 {
            let check = self.get(viewer, id).await?;
            if check.status.is_over() {
                return Ok(check);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.get(viewer, id).await
    }

    /// Removes a check that is over, with its findings and what was said of them.
    pub async fn remove(&self, viewer: &Viewer, id: i64) -> Result<()> {
        let mut transaction = store::begin_write_as(&self.pool, viewer).await?;
        let check = overlap_checks::find(&mut transaction, id).await?.ok_or_else(|| missing(id))?;
        own(viewer, &check)?;
        if !check.status.is_over() {
            return Err(Error::conflict("check_not_finished", "检查还在进行，请先取消"));
        }
        overlap_checks::remove(&mut transaction, id).await?;
        Ok(transaction.commit().await?)
    }

    /// Says something of a finding; the last word counts, all are kept.
    pub async fn mark(
        &self,
        viewer: &Viewer,
        id: i64,
        finding: i32,
        verdict: Verdict,
        note: &str,
    ) -> Result<FindingRow> {
        let note = peoples_text::lines("note", note, NOTE_LENGTH)?;
        let mut transaction = store::begin_write_as(&self.pool, viewer).await?;
        overlap_checks::find(&mut transaction, id).await?.ok_or_else(|| missing(id))?;
        if !overlap_checks::mark(&mut transaction, id, finding, verdict, &note, &viewer.actor).await? {
            return Err(no_finding(id, finding));
        }
        let query = FindingsQuery { after: finding - 1, limit: 1, with_land: true, ..FindingsQuery::default() };
        let (found, _) = overlap_checks::findings(&mut transaction, id, &query).await?;
        transaction.commit().await?;
        found.into_iter().find(|row| row.number == finding).ok_or_else(|| no_finding(id, finding))
    }

    /// All that was said of a finding, first to last.
    pub async fn marks(&self, viewer: &Viewer, id: i64, finding: i32) -> Result<Value> {
        let mut transaction = store::begin_read_as(&self.pool, viewer).await?;
        overlap_checks::find(&mut transaction, id).await?.ok_or_else(|| missing(id))?;
        let query = FindingsQuery { after: finding - 1, limit: 1, ..FindingsQuery::default() };
        let (found, _) = overlap_checks::findings(&mut transaction, id, &query).await?;
        if !found.iter().any(|row| row.number == finding) {
            return Err(no_finding(id, finding));
        }
        let marks = overlap_checks::marks(&mut transaction, id, finding).await?;
        transaction.commit().await?;
        let marks = marks.into_iter().map(|(verdict, note, actor, at)| {
            json!({"verdict": verdict, "note": note, "actor": actor, "marked_at": wire::moment(at)})
        });
        Ok(json!({"marks": marks.collect::<Vec<_>>()}))
    }

    /// What is otherwise in a later check than in an earlier one, of the layers that both compared with.
    pub async fn difference(&self, viewer: &Viewer, earlier: i64, later: i64) -> Result<Difference> {
        let mut transaction = store::begin_read_as(&self.pool, viewer).await?;
        let all = FindingsQuery { limit: i64::MAX, ..FindingsQuery::default() };
        let (mut sides, mut layers) = (Vec::with_capacity(2), Vec::with_capacity(2));
        for id in [earlier, later] {
            let check = overlap_checks::find(&mut transaction, id).await?.ok_or_else(|| missing(id))?;
            if check.status != CheckStatus::Finished {
                return Err(Error::conflict("check_not_finished", format!("检查 {id} 没有完成，无法比较")));
            }
            sides.push(overlap_checks::findings(&mut transaction, id, &all).await?.0);
            layers.push(wire::layers_of(&check.request, "layers"));
        }
        transaction.commit().await?;
        let in_both = |id: &String| layers.iter().all(|of_one| of_one.contains(id));
        let mut not_compared: Vec<String> = layers.iter().flatten().filter(|id| !in_both(id)).cloned().collect();
        not_compared.sort_unstable();
        not_compared.dedup();
        sides.iter_mut().for_each(|rows| rows.retain(|row| in_both(&row.layer)));
        let later = sides.pop().unwrap_or_default();
        Ok(Difference { not_compared, ..difference(&sides.pop().unwrap_or_default(), &later) })
    }
}

/// Compares and keeps nothing: the command line's check.
pub async fn check_now(
    pool: &PgPool,
    viewer: &Viewer,
    catalogue: &Catalogue,
    request: CheckRequest,
    given: Given,
) -> Result<Value> {
    let question = Question::of(pool, viewer, catalogue, request, given).await?;
    let (sources, revision) = question.registered(pool, viewer).await?;
    question.answer(sources, revision, None).await
}

/// The layers of a repetition, and the ids of those that it leaves out: an operator's table shows what stands and nothing else, so of it
/// there is no same again.
fn again(
    viewer: &Viewer,
    catalogue: &Catalogue,
    ids: Vec<String>,
    in_past: bool,
) -> Result<(Vec<&'static Layer>, Vec<String>)> {
    let (mut layers, mut left_out, mut first_left_out) = (Vec::with_capacity(ids.len()), Vec::new(), None);
    for id in ids {
        match catalogue.find(&id) {
            // The operator has taken it away since.
            None if in_past => left_out.push(id),
            Some(layer) if in_past && !layer.has_past() => {
                first_left_out.get_or_insert(layer);
                left_out.push(id);
            }
            found => layers.push(found.filter(|layer| layer.is_for(viewer)).ok_or_else(|| no_layer(&id))?),
        }
    }
    match (layers.is_empty(), first_left_out, left_out.first()) {
        (true, Some(layer), _) => Err(without_past(layer)),
        (true, None, Some(id)) => Err(no_layer(id)),
        _ => Ok((layers, left_out)),
    }
}

fn layers_of(viewer: &Viewer, catalogue: &Catalogue, request: &CheckRequest) -> Result<Vec<&'static Layer>> {
    let past = request.on_day.is_some() || request.revision.is_some();
    let layers: Vec<&'static Layer> = match &request.layers {
        Some(layers) => layers.clone(),
        // Of layers without a past nothing is known of an earlier day.
        None => catalogue
            .visible(viewer)
            .filter(|layer| {
                layer.geometry.is_areal() && !SAID_OTHERWISE.contains(&layer.id) && (layer.has_past() || !past)
            })
            .collect(),
    };
    for layer in &layers {
        if !layer.is_for(viewer) {
            return Err(no_layer(layer.id));
        }
        if !layer.geometry.is_areal() {
            let detail = format!("图层“{}”没有面状图形，不能检查重叠", layer.title.zh);
            return Err(Error::invalid("layer_not_areal", detail));
        }
    }
    if layers.is_empty() {
        return Err(Error::invalid("layers_missing", "没有可以比较的图层"));
    }
    if past {
        with_past(&layers)?;
    }
    Ok(layers)
}

fn with_past(layers: &[&'static Layer]) -> Result<()> {
    match layers.iter().find(|layer| !layer.has_past()) {
        None => Ok(()),
        Some(layer) => Err(without_past(layer)),
    }
}

fn without_past(layer: &Layer) -> Error {
    let detail = format!("图层“{}”没有历史，不能按过去的日期或修订检查", layer.title.zh);
    Error::invalid("layer_without_past", detail)
}

/// A revision that is not made yet is refused: its state would be taken for the newest.
async fn moment_of(pool: &PgPool, on_day: Option<NaiveDate>, revision: Option<i64>) -> Result<Moment> {
    if let Some(revision) = revision {
        as_of::resolve(pool, Asked::Number(revision)).await?;
    }
    Ok(Moment { revision, period: on_day.map(|day| (Some(day), Some(day))) })
}

fn title_of(title: &str, subjects: &[SubjectRow]) -> Result<String> {
    let title = peoples_text::line("title", title, TITLE_LENGTH)?;
    if !title.is_empty() {
        return Ok(title);
    }
    let first = subjects.first().map_or("", |subject| subject.label.as_str());
    let first: String = first.chars().take(TITLE_LENGTH / 2).collect();
    Ok(match subjects.len() {
        1 => format!("{first}的重叠检查"),
        n => format!("{first}等 {n} 个图形的重叠检查"),
    })
}

fn own(viewer: &Viewer, check: &CheckRow) -> Result<()> {
    if viewer.actor == check.actor || viewer.role == crate::domain::access::Role::Admin {
        return Ok(());
    }
    let detail = "只有发起人和管理员可以取消或删除检查".to_owned();
    Err(Error::Forbidden { code: "not_your_check", detail })
}

fn missing(id: i64) -> Error {
    Error::not_found("check_not_found", format!("没有编号为 {id} 的重叠检查"))
}

fn no_finding(id: i64, finding: i32) -> Error {
    Error::not_found("finding_not_found", format!("检查 {id} 中没有第 {finding} 条结果"))
}

fn no_layer(id: &str) -> Error {
    Error::not_found("collection_not_found", format!("没有图层“{}”", id.chars().take(50).collect::<String>()))
}
