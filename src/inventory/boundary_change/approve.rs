//! What an approval writes: ended and begun lives of blocks, the park's approved area, an event, parcels that lie elsewhere now.

use chrono::NaiveDate;
use sqlx::PgConnection;

use super::invalid;
use crate::domain::boundary_change::ProposedBlock;
use crate::domain::lifecycle;
use crate::domain::{Block, Finding, ParkEvent, Place};
use crate::error::{Error, Result};
use crate::geometry::difference::is_same_border;
use crate::geometry::overlap;
use crate::inventory::import::off_async_threads;
use crate::inventory::land;
use crate::inventory::ledgers::Deed;
use crate::store::boundary_changes::{self, ChangeRow, LastDays, NewStep, Standing};
use crate::store::{blocks, events};

/// Land that a surveyed block of another park has too, up to this, is the rounding of a common border; as for an import.
const SLIVER_M2: f64 = 1.0;

/// The register as the approved proposal has it, from `on`. Needs an open revision.
pub(super) async fn write(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    change: &ChangeRow,
    on: NaiveDate,
    step: &NewStep<'_>,
) -> Result<()> {
    let proposed = boundary_changes::blocks(connection, &change.id).await?;
    let standing = boundary_changes::list_standing(connection, &change.park).await?;
    let standing =
        standing.ok_or_else(|| Error::conflict("park_unknown", format!("园区 {} 不在名录中", change.park)))?;
    // (The status itself is the change's to give back.)
    lifecycle::apply(standing.status, change.kind).map_err(|finding| Error::Conflict {
        code: "event_not_allowed",
        detail: finding.message.clone(),
        findings: vec![finding],
    })?;
    let begun: Vec<(&ProposedBlock, bool, String)> = proposed
        .iter()
        .filter(|block| !standing.blocks.iter().any(|old| is_unchanged(old, block, &standing)))
        .map(|block| {
            (block, is_illustrative(block, &standing), source(change, step, is_illustrative(block, &standing)))
        })
        .collect();
    let kept = |old: &Block| proposed.iter().any(|block| is_unchanged(old, block, &standing));
    let ended: Vec<(usize, &Block)> = standing.blocks.iter().enumerate().filter(|(_, old)| !kept(old)).collect();
    old_enough(&ended, &standing, on)?;
    after_the_past(boundary_changes::last_days(connection, &change.park).await?, on, deed.joined.is_some())?;
    not_anothers(connection, change, &begun).await?;

    let ids: Vec<String> = ended.iter().map(|(_, block)| block.id.to_string()).collect();
    blocks::end_blocks(connection, &ids, on).await?;
    boundary_changes::insert_blocks(connection, &change.park, &begun, on).await?;
    boundary_changes::set_park(connection, &change.park, standing.status, Some(&change.areas.after.to_string()))
        .await?;
    events::upsert(connection, &[event(change, step, &proposed)]).await?;
    if !(ids.is_empty() && begun.is_empty()) {
        land::follow_blocks(connection).await?;
    }
    Ok(())
}

/// The event of the park's history.
fn event(change: &ChangeRow, step: &NewStep<'_>, proposed: &[ProposedBlock]) -> ParkEvent {
    let stated: Vec<_> = proposed.iter().map(|block| block.stated_area).collect();
    ParkEvent {
        id: change.id.clone(),
        kind: change.kind,
        occurred_on: Some(step.on),
        stage: Some("批准".to_owned()),
        document_no: step.document_no.map(str::to_owned),
        note: step.document_title.or(step.note).map(str::to_owned),
        source: format!("{} {}", change.kind.label(), change.id),
        ..change.areas.event(&change.park, &stated)
    }
}

/// A drawn block (示意) stays drawn unless the proposal says that it was measured; a new one is what the park's others are.
fn is_illustrative(block: &ProposedBlock, standing: &Standing) -> bool {
    let old = standing.blocks.iter().find(|old| old.id.number() == block.number);
    let was = old.map_or_else(|| standing.blocks.iter().any(|b| b.illustrative), |old| old.illustrative);
    was && !block.surveyed
}

fn source(change: &ChangeRow, step: &NewStep<'_>, illustrative: bool) -> String {
    let paper = step.document_no.map(|no| format!("（{no}）")).unwrap_or_default();
    let drawn = if illustrative { "，示意" } else { "" };
    format!("{} {}{paper}{drawn}", change.kind.label(), change.id)
}

/// The same block to the last vertex and word: its life goes on untouched.
fn is_unchanged(old: &Block, new: &ProposedBlock, standing: &Standing) -> bool {
    let stated = old.stated_area.map(|area| (area.value() * 10_000.0).round() as i64);
    old.id.number() == new.number
        && is_same_border(&old.boundary, &new.boundary)
        && old.name == new.name
        && stated == Some(new.stated_area.square_metres())
        && old.four_extents == new.four_extents
        && old.four_extents_text == new.four_extents_text
        && old.illustrative == is_illustrative(new, standing)
}

/// A life ends after its first day.
fn old_enough(ended: &[(usize, &Block)], standing: &Standing, on: NaiveDate) -> Result<()> {
    let younger = |(at, block): &(usize, &Block)| {
        let since = standing.since.get(*at).copied().flatten().filter(|since| *since >= on)?;
        let message = format!("区块 {} 自 {since} 起生效，不能在 {on} 终止", block.id);
        Some(Finding::error("block_younger", Place::whole().field("effective_on"), message))
    };
    let findings: Vec<Finding> = ended.iter().filter_map(younger).collect();
    if findings.is_empty() {
        return Ok(());
    }
    let detail = format!("新界线的生效日 {on} 不晚于现有区块的生效日；请改用较晚的 effective_on");
    Err(Error::Conflict { code: "block_younger", detail, findings })
}

/// The boundary does not begin in the park's own past, as no event of a park does (`inventory::parks`): it comes after every block that
/// stands, also one that goes on, and not before the park itself began, the last block ended or the last event happened. (Several of one day
/// are told apart by their papers; two boundaries of one day are not, but where they are one revision: `joined`.)
fn after_the_past(last: LastDays, on: NaiveDate, joined: bool) -> Result<()> {
    let days = [
        (last.begun, joined, "现有区块的生效日"),
        (last.founded, true, "园区的批准日"),
        (last.ended, true, "已终止区块的终止日"),
        (last.event, true, "最近一次园区事件的日期"),
    ];
    let is_late = |day: NaiveDate, same_day: bool| day > on || day == on && !same_day;
    let findings: Vec<Finding> = days
        .into_iter()
        .filter(|(day, same_day, _)| day.is_some_and(|day| is_late(day, *same_day)))
        .filter_map(|(day, _, what)| {
            let message = format!("生效日期 {on} 与园区已有的变更相抵触：{what}是 {}；请改用较晚的 effective_on", day?);
            Some(Finding::error("event_before_last", Place::whole().field("effective_on"), message))
        })
        .collect();
    if findings.is_empty() { Ok(()) } else { Err(invalid(findings)) }
}

/// Surveyed land is in one park only. (Drawn blocks stand in nobody's way, as for an import.)
async fn not_anothers(
    connection: &mut PgConnection,
    change: &ChangeRow,
    begun: &[(&ProposedBlock, bool, String)],
) -> Result<()> {
    let new: Vec<(String, geo::MultiPolygon<f64>)> = begun
        .iter()
        .filter(|(_, illustrative, _)| !illustrative)
        .map(|(block, ..)| (block.number.clone(), block.boundary.clone()))
        .collect();
    let mut others: Vec<Block> = Vec::new();
    for (_, boundary) in &new {
        let Some(bbox) = overlap::Shape::of_multi_polygon(boundary).bbox() else { continue };
        for block in blocks::list_meeting(connection, bbox).await? {
            let is_new = !others.iter().any(|known| known.id == block.id);
            if !block.illustrative && *block.id.park() != change.park && is_new {
                others.push(block);
            }
        }
    }
    if others.is_empty() {
        return Ok(());
    }
    let findings = off_async_threads(move || common_land(&new, &others)).await?;
    if findings.is_empty() {
        return Ok(());
    }
    let detail = "拟议的界线与其他园区的实测区块重叠，不能批准；请先退回修改方案".to_owned();
    Err(Error::Conflict { code: "boundary_conflict", detail, findings })
}

fn common_land(new: &[(String, geo::MultiPolygon<f64>)], others: &[Block]) -> Vec<Finding> {
    let left: Vec<_> = new.iter().map(|(_, boundary)| boundary).collect();
    let right: Vec<_> = others.iter().map(|b| &b.boundary).collect();
    let pairs = overlap::between(&left, &right, usize::MAX);
    let overlaps = pairs.list.iter().filter_map(|pair| {
        let area = pair.relation.beyond_contact().filter(|area| area.value() > SLIVER_M2)?;
        let (number, other) = (&new[pair.a].0, &others[pair.b].id);
        let message = format!("区块“{number}”与区块 {other} 重叠 {area} 平方米（{} 亩）", area.to_mu());
        Some(Finding::error("overlap_with_register", Place::whole(), message))
    });
    let mut findings: Vec<Finding> = overlaps.collect();
    findings.extend(pairs.too_complex.iter().map(|&(a, b)| {
        let message = format!("区块“{}”与区块 {} 的边界相交太多，无法比较", new[a].0, others[b].id);
        Finding::error("geometry_too_complex", Place::whole(), message)
    }));
    if !pairs.complete {
        let message = "与其他园区区块的相交处太多，没有全部比较";
        findings.push(Finding::error("too_many_overlaps", Place::whole(), message));
    }
    findings
}
