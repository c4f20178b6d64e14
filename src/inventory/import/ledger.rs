//! Parcels of a file against the register: where they lie, what stands already, which moves the file tells.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::NaiveDate;
use sqlx::{PgConnection, PgPool};

use super::gazetteer::Gazetteer;
use super::judging::{FileRows, Judging};
use super::parcel::ParcelContext;
use super::{ImportRequest, Judged, Rows, absent, oddities, off_async_threads, overlaps};
use crate::domain::ledger::{PlanProgress, Step, missing_for_parcel};
use crate::domain::{Block, Finding, Ledger, Parcel, Place};
use crate::error::{Error, Result};
use crate::exchange::{self, Intake, Reading, Vocabulary, field_names};
use crate::inventory::land;
use crate::inventory::progress::Progress;
use crate::layers::{columns, declaration};
use crate::store::ledgers::{self, Move, RecordState, Stage, StagedParcel};
use crate::store::{self, UpsertCounts};

/// Parcels of a file, and what the register adds to them.
#[derive(Debug)]
pub(super) struct FileParcels {
    pub ledger: Ledger,
    pub file: FileRows<Parcel>,
}

impl FileParcels {
    /// Where they lie once they are staged.
    pub fn stage(&self) -> Stage {
        Stage::of(self.ledger, self.file.list.len())
    }
}

pub(super) async fn judge_file(
    pool: &PgPool,
    request: &ImportRequest,
    ledger: Ledger,
    progress: Arc<dyn Progress>,
) -> Result<Judged> {
    let gazetteer = gazetteer(&mut *pool.acquire().await?).await?;
    let context = ParcelContext::new(request, ledger, gazetteer);
    let path = request.path.clone();
    let attributes = request.attributes.clone();
    let mut options = request.read.clone();
    options.file_name = Some(request.file_name.clone());
    options.vocabulary = Vocabulary::Ledger(ledger);
    options.own_names = Arc::new(own_names(ledger));
    let judged = off_async_threads(move || {
        let mut judging = Judging::new(&context, progress.as_ref());
        let reading = exchange::read_file_into(&path, &options, &mut judging)?;
        let (mut report, mut file) = judging.finish(&reading);
        if let Some((path, name)) = attributes {
            let table_options = exchange::ReadOptions { file_name: Some(name), crs: None, ..options.clone() };
            let table = exchange::read_attributes(&path, &table_options)?;
            join_table(table, &context, progress.as_ref(), &mut report, &mut file);
        }
        Ok::<_, Error>((report, file))
    });
    let (mut report, file) = judged.await??;
    report.findings.extend(oddities::ratio_columns(ledger, &file.list));
    let absent = absent::of_ledger(&report.mapping, ledger, &file.list);
    let rows = Rows::Parcels(Arc::new(FileParcels { ledger, file }));
    Ok(Judged { report, rows, absent, inherit: ledgers::Inherit::FromSameKind, moves: Vec::new() })
}

/// The gazetteer that was read last, and of which state: an edit asks for it as a file of any length does, and it changes seldom.
static LATEST: Mutex<Option<(String, Arc<Gazetteer>)>> = Mutex::new(None);

pub(super) async fn gazetteer(connection: &mut PgConnection) -> Result<Arc<Gazetteer>> {
    let Some(mark) = store::parks::mark_with_divisions(connection).await? else {
        return Ok(Arc::new(read_gazetteer(connection).await?));
    };
    let latest = || LATEST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, known)) = latest().as_ref().filter(|(known, _)| *known == mark) {
        return Ok(Arc::clone(known));
    }
    // A file is judged beside writers: what was read between two equal marks is of that mark.
    let read = Arc::new(read_gazetteer(connection).await?);
    if store::parks::mark_with_divisions(connection).await?.as_ref() == Some(&mark) {
        *latest() = Some((mark, Arc::clone(&read)));
    }
    Ok(read)
}

async fn read_gazetteer(connection: &mut PgConnection) -> Result<Gazetteer> {
    let parks = store::parks::list_names(connection).await?;
    let counties: HashMap<String, Vec<String>> = store::parks::list_counties(connection).await?.into_iter().collect();
    let divisions = store::divisions::list_names(connection).await?;
    let parks = parks.into_iter().map(|(code, names)| {
        let of_park = counties.get(&code).cloned().unwrap_or_default();
        (code, names, of_park)
    });
    Ok(Gazetteer::new(parks.collect(), divisions))
}

/// How our own exports name the properties of the layer.
fn own_names(ledger: Ledger) -> HashMap<String, &'static str> {
    declaration::find(ledger.layer()).map(columns::properties_by_name).unwrap_or_default()
}

/// Adds what a table says of parcels, by their numbers. Rows that no shape goes with stay without one: the register may have it.
fn join_table(
    mut table: Reading,
    context: &ParcelContext,
    progress: &dyn Progress,
    report: &mut super::ImportReport,
    file: &mut FileRows<Parcel>,
) {
    let shapes: HashMap<String, (usize, String)> =
        file.list.iter().enumerate().map(|(at, p)| (p.id.number().to_owned(), (at, p.county.to_string()))).collect();
    for candidate in &mut table.candidates {
        // A table without a county of its own speaks of the county that the shapes are in.
        let county = candidate.id.as_ref().and_then(|number| shapes.get(number.trim()));
        if let Some((_, county)) = county
            && candidate.value("county_code").is_none()
            && candidate.value("county").is_none()
        {
            candidate.attributes.push(exchange::Attribute {
                field: "county_code".into(),
                canonical: Some("county_code"),
                value: county.clone(),
            });
        }
    }
    let mut judging = Judging::new(context, progress);
    judging.take(std::mem::take(&mut table.candidates));
    let (of_table, rows) = judging.finish(&table);
    let at_table = |mut finding: Finding| {
        finding.message = format!("属性表：{}", finding.message);
        finding
    };
    report.findings.extend(of_table.findings.into_iter().map(at_table));
    report.mapping.extend(
        of_table.mapping.into_iter().filter(|m| !report.mapping.iter().any(|n| n.field == m.field)).collect::<Vec<_>>(),
    );
    let mut unmatched = 0_u64;
    for (said, row) in rows.list.into_iter().zip(rows.rows) {
        match shapes.get(said.id.number()).map(|(at, _)| *at).filter(|at| file.list[*at].id == said.id) {
            Some(at) => overlay(&mut file.list[at], said),
            None => {
                unmatched += 1;
                file.list.push(said);
                file.rows.push(row);
            }
        }
    }
    if unmatched > 0 {
        let message = format!("属性表中有 {unmatched} 行在图形文件里没有同编号的地块，只更新台账中已有的地块");
        report.findings.push(Finding::warning("rows_without_shape", Place::whole(), message));
    }
}

/// What the table says goes before what the shape's own record says.
fn overlay(parcel: &mut Parcel, said: Parcel) {
    parcel.fields.extend(said.fields);
    parcel.name = said.name.or(parcel.name.take());
    parcel.stated_area = said.stated_area.or(parcel.stated_area);
    parcel.standing = said.standing.or(parcel.standing);
    parcel.since = said.since.or(parcel.since);
    if said.stated_park.is_some() {
        (parcel.stated_park, parcel.stated_park_code) = (said.stated_park, said.stated_park_code);
    }
    parcel.attributes.extend(said.attributes);
}

/// Judges the parcels against the register, stages them and settles what is to be written.
pub(super) async fn judge_against_register(
    connection: &mut PgConnection,
    judged: &mut Judged,
    parcels: &Arc<FileParcels>,
    request: &ImportRequest,
) -> Result<UpsertCounts> {
    let ledger = parcels.ledger;
    let list = &parcels.file.list;
    judged.report.findings.extend(outside_jurisdiction(parcels, request));
    let blocks = Arc::new(land::blocks_around(connection, list.iter().map(|p| &p.boundary)).await?);
    let (located, findings) = locate(Arc::clone(parcels), blocks).await?;
    judged.report.findings.extend(findings);
    let staged: Vec<StagedParcel<'_>> = list
        .iter()
        .zip(&located)
        .map(|(parcel, place)| {
            let (standing, since) = first_standing(parcel, request.today);
            StagedParcel { parcel, place: place.as_ref(), standing, since }
        })
        .collect();
    let stage = ledgers::stage(connection, ledger, &staged).await?;
    judged.report.findings.extend(absent::keep_in_ledger(connection, parcels, &judged.absent, judged.inherit).await?);
    let standing = ledgers::standing_states(connection, stage).await?;
    // Only an id that does not stand can be one that is used up.
    let used = match standing.len() == list.len() {
        true => HashSet::new(),
        false => ledgers::staged_used_before(connection, stage).await?,
    };
    judged.report.findings.extend(unfit_rows(parcels, &standing, &used));
    judged.report.findings.extend(paper_park_contradicts(parcels, &located));
    let (moves, findings) = moves_of(parcels, &standing, request);
    judged.report.findings.extend(findings);
    judged.report.findings.extend(plans_missing(connection, parcels, &standing, &moves).await?);
    judged.report.findings.extend(overlaps::with_ledger(connection, parcels).await?);
    let (mut counts, differing) = ledgers::preview(connection, stage, list.len()).await?;
    let moved: BTreeSet<&str> = moves.iter().map(|m| m.id.as_str()).filter(|id| !differing.contains(*id)).collect();
    counts.updated += moved.len() as u64;
    counts.unchanged -= (moved.len() as u64).min(counts.unchanged);
    judged.moves = moves;
    Ok(counts)
}

/// Writes what was judged; needs an open revision.
pub(super) async fn write(connection: &mut PgConnection, parcels: &FileParcels, moves: &[Move]) -> Result<()> {
    ledgers::upsert_staged(connection, parcels.stage(), parcels.file.list.len()).await?;
    ledgers::move_all(connection, parcels.ledger, moves).await
}

async fn locate(
    parcels: Arc<FileParcels>,
    blocks: Arc<Vec<Block>>,
) -> Result<(Vec<Option<crate::domain::ledger::Where>>, Vec<Finding>)> {
    off_async_threads(move || {
        let shapes: Vec<_> = parcels.file.list.iter().map(|p| &p.boundary).collect();
        land::locate(&shapes, &blocks, |at| Place::row(parcels.file.rows[at]))
    })
    .await
}

/// Where a new parcel stands, and since when: as the paper says, else as its fields tell. A day to come tells nothing.
fn first_standing(parcel: &Parcel, today: NaiveDate) -> (Step, Option<NaiveDate>) {
    let (by_fields, since) = parcel.ledger.state_by_fields(&parcel.fields);
    let (standing, since) = match parcel.standing {
        Some(told) => (told, parcel.ledger.day_of_state(told.state.code).and_then(|field| parcel.date(field))),
        None => (parcel.ledger.machine().entering(by_fields, None), since),
    };
    (standing, parcel.since.or(since).filter(|day| *day <= today))
}

fn outside_jurisdiction(parcels: &FileParcels, request: &ImportRequest) -> Vec<Finding> {
    let rows = parcels.file.list.iter().zip(&parcels.file.rows);
    rows.filter(|(parcel, _)| !request.jurisdiction.covers(&parcel.county))
        .map(|(parcel, row)| {
            let message = format!("第 {row} 条记录属于 {}，不在您的管辖范围内", parcel.county);
            Finding::error("outside_jurisdiction", Place::row(*row).field("县区"), message)
        })
        .collect()
}

/// Rows that need what the register does not hold.
fn unfit_rows(parcels: &FileParcels, standing: &HashMap<String, RecordState>, used: &HashSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (parcel, row) in parcels.file.list.iter().zip(&parcels.file.rows) {
        let id = parcel.id.to_string();
        if used.contains(&id) {
            let message = format!(
                "第 {row} 条记录的编号 {id} 曾用于已终止的地块，编号不能再用；确是新地块请换一个编号，否则请从文件中删去这一条"
            );
            findings.push(Finding::error("parcel_ended", Place::row(*row), message));
        } else if parcel.boundary.0.is_empty() && !standing.contains_key(&id) {
            let message = format!("第 {row} 条记录没有图形，台账中也没有地块 {id}；请同时给出图形文件");
            findings.push(Finding::error("geometry_missing", Place::row(*row), message));
        }
    }
    findings
}

/// A parcel lies where it lies; where the paper says otherwise, that is told.
fn paper_park_contradicts(parcels: &FileParcels, located: &[Option<crate::domain::ledger::Where>]) -> Vec<Finding> {
    let rows = parcels.file.list.iter().zip(&parcels.file.rows).zip(located);
    rows.filter(|((parcel, _), _)| !parcel.boundary.0.is_empty())
        .filter_map(|((parcel, row), place)| {
            let paper = parcel.stated_park_code.as_ref()?;
            let there = place.as_ref().map(|p| &p.park);
            (there != Some(paper)).then(|| {
                let lies =
                    there.map_or("不在任何园区的区块内".to_owned(), |park| format!("在园区 {park} 内"));
                let message = format!("第 {row} 条记录写明属园区 {paper}，按图形{lies}；以图形为准，原文保留");
                Finding::warning("park_contradicts_paper", Place::row(*row).field("园区"), message)
            })
        })
        .collect()
}

/// The moves by which standing parcels come to the states that the file tells; a way that leaves states out passes through them on
/// the same day.
fn moves_of(
    parcels: &FileParcels,
    standing: &HashMap<String, RecordState>,
    request: &ImportRequest,
) -> (Vec<Move>, Vec<Finding>) {
    let machine = parcels.ledger.machine();
    let (mut moves, mut findings) = (Vec::new(), Vec::new());
    for (parcel, &row) in parcels.file.list.iter().zip(&parcels.file.rows) {
        let id = parcel.id.to_string();
        let (Some(told), Some(now)) = (parcel.standing, standing.get(&id)) else { continue };
        let Some(from) = machine.step(&now.state, now.held.as_deref()) else { continue };
        if from.state == told.state {
            continue;
        }
        let place = Place::row(row).field("状态");
        let Some(way) = machine.way(from, told.state) else {
            let mut refused = machine
                .apply(from, told.state)
                .err()
                .unwrap_or_else(|| Finding::error("transition_not_allowed", Place::whole(), ""));
            refused.message = format!("第 {row} 条记录：{}", refused.message);
            refused.place = place;
            findings.push(refused);
            continue;
        };
        let on = day_of_move(parcel, told, request, row, &mut findings);
        if on > request.today {
            let message = format!("第 {row} 条记录“{}”的日期 {on} 在今天（{}）之后", told.state.label, request.today);
            findings.push(Finding::error("transition_in_future", place, message));
            continue;
        }
        if now.state_on.max(now.valid_from).is_some_and(|last| on < last) {
            let message = format!("第 {row} 条记录的状态日期 {on} 早于台账中上一次变更的日期");
            findings.push(Finding::error("transition_before_last", place, message));
            continue;
        }
        let reason = if way.len() > 1 {
            format!("导入 {}（中间状态补记）", request.file_name)
        } else {
            format!("导入 {}", request.file_name)
        };
        let mut step = from;
        for to in way {
            let Ok(next) = machine.apply(step, to) else { break };
            moves.push(Move {
                id: id.clone(),
                county: parcel.county.to_string(),
                from: step.state.code.to_owned(),
                to: to.code.to_owned(),
                held: next.held.map(|h| h.code.to_owned()),
                on,
                document_no: None,
                reason: Some(reason.clone()),
                actor: request.actor.clone(),
            });
            step = next;
        }
    }
    (moves, findings)
}

/// The day that the paper gives for the state, else today.
fn day_of_move(
    parcel: &Parcel,
    told: Step,
    request: &ImportRequest,
    row: u64,
    findings: &mut Vec<Finding>,
) -> NaiveDate {
    let by_field = parcel.ledger.day_of_state(told.state.code).and_then(|field| parcel.date(field));
    parcel.since.or(by_field).unwrap_or_else(|| {
        let message = format!("第 {row} 条记录没有写明“{}”的日期，按今天（{}）记", told.state.label, request.today);
        findings.push(Finding::warning("state_day_assumed", Place::row(row).field("状态日期"), message));
        request.today
    })
}

/// Low-efficiency parcels whose state rests on a plan that the register does not have.
async fn plans_missing(
    connection: &mut PgConnection,
    parcels: &FileParcels,
    standing: &HashMap<String, RecordState>,
    moves: &[Move],
) -> Result<Vec<Finding>> {
    if parcels.ledger != Ledger::LowEfficiency {
        return Ok(Vec::new());
    }
    let moving: HashSet<&str> = moves.iter().map(|m| m.id.as_str()).collect();
    let rows = parcels.file.list.iter().zip(&parcels.file.rows);
    let wanted: Vec<(String, &'static str, u64)> = rows
        .filter_map(|(parcel, row)| {
            let id = parcel.id.to_string();
            let comes = !standing.contains_key(&id) || moving.contains(id.as_str());
            let state =
                parcel.standing.map(|s| s.state).unwrap_or_else(|| parcel.ledger.state_by_fields(&parcel.fields).0);
            comes.then_some((id, state.code, *row))
        })
        .collect();
    let ids: Vec<String> = wanted.iter().map(|(id, ..)| id.clone()).collect();
    let plans = ledgers::plan_progress(connection, &ids).await?;
    Ok(wanted
        .into_iter()
        .filter_map(|(id, state, row)| {
            let plan = plans.get(&id).map(|(state, open)| PlanProgress { state, open_steps: *open });
            let mut missing = missing_for_parcel(state, plan)?;
            missing.message = format!("第 {row} 条记录：{}", missing.message);
            missing.place = Place::row(row).field("状态");
            Some(missing)
        })
        .collect())
}

/// The Chinese title of an optional column.
pub(super) fn column_title(ledger: Ledger, column: &str) -> &str {
    match column {
        "stated_park" => "园区",
        "geom" => "图形",
        column => ledger.field(column).map_or_else(|| field_names::title(column).unwrap_or(column), |f| f.title.zh),
    }
}
