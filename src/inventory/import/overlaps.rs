//! Overlaps: candidates with each other, and with the blocks that the register already holds.

use std::sync::Arc;

use sqlx::PgConnection;

use super::judging::{FileRows, Land};
use super::ledger::FileParcels;
use super::off_async_threads;
use crate::domain::{Block, Finding, Place, SquareMetres};
use crate::error::Result;
use crate::geometry::overlap::{self, Pairs};
use crate::store;
use crate::store::blocks::StandingBlock;

/// Less than this is not land but rounding: two boundaries that share an edge to the millimetre differ by slivers
/// of this size over kilometres (1 m² is what the French cadastre tolerates between neighbours, see ORIGIN.md).
const SLIVER_M2: f64 = 1.0;

/// Overlaps named in one report. Nobody works through more, and shapes that lie on one another by the thousand have
/// them by the million.
pub(in crate::inventory) const NAMED: usize = 1_000;

/// Overlapping pairs inside one file: an error above a sliver, because one piece of land cannot be in two blocks.
pub(super) fn within_file<R: Land>(file: &FileRows<R>) -> Vec<Finding> {
    let boundaries: Vec<_> = file.list.iter().map(Land::boundary).collect();
    let pairs = overlap::pairs(&boundaries, NAMED);
    let name = |i: usize| format!("第 {} 条记录（{}）", file.rows[i], file.list[i].name());
    let place = |a: usize, b: usize| Place::row(file.rows[a].max(file.rows[b]));
    let mut findings: Vec<Finding> =
        overlapping(&pairs).map(|(a, b, area)| within_file_finding(place(a, b), &name(a), &name(b), area)).collect();
    findings.extend(pairs.too_complex.iter().map(|&(a, b)| too_complex(place(a, b), &name(a), &name(b))));
    findings.extend(not_all_named(&pairs, "文件中的图形"));
    findings
}

/// A pair that was not compared: an error, since the land in common is not known.
pub(in crate::inventory) fn too_complex(place: Place, a: &str, b: &str) -> Finding {
    let message = format!("{a}与{b}的边界相交太多，无法在限定的计算量内比较；请检查图形是否有误");
    Finding::error("geometry_too_complex", place, message)
}

/// What an overlap inside one file is called, whoever looks for it.
pub(in crate::inventory) fn within_file_finding(place: Place, a: &str, b: &str, area: SquareMetres) -> Finding {
    let message = format!("{a}与{b}重叠 {area} 平方米（{} 亩）", area.to_mu());
    if area.value() > SLIVER_M2 {
        Finding::error("overlap_within_file", place, message)
    } else {
        Finding::warning("overlap_sliver", place, format!("{message}，属细碎重叠"))
    }
}

fn overlapping(pairs: &Pairs) -> impl Iterator<Item = (usize, usize, SquareMetres)> {
    let overlaps =
        pairs.list.iter().filter_map(|pair| pair.relation.beyond_contact().map(|area| (pair.a, pair.b, area)));
    overlaps.take(NAMED)
}

/// What the rest of the pairs would have said is not known: that is an error, never a silence.
pub(in crate::inventory) fn not_all_named(pairs: &Pairs, what: &str) -> Option<Finding> {
    let overlaps = pairs.list.iter().filter(|pair| pair.relation.beyond_contact().is_some()).count();
    (!pairs.complete || overlaps > NAMED).then(|| {
        if overlaps < NAMED {
            // It was not their number that ended the comparison.
            let message = format!(
                "{what}相邻、相交处太多，没有全部逐对检查（已找到重叠 {overlaps} 处）；请先查清是否重复导出，或分成几个文件"
            );
            return Finding::error("too_many_overlaps", Place::whole(), message);
        }
        let message = format!(
            "{what}互相重叠太多：只列出前 {} 处，其余没有逐对检查；请先查清是否重复导出，或分成几个文件",
            overlaps.min(NAMED)
        );
        Finding::error("too_many_overlaps", Place::whole(), message)
    })
}

/// Overlaps of the staged blocks with current ones that this import does not replace. Illustrative (示意) blocks are only
/// mentioned: they were drawn, not surveyed, and stand in nobody's way.
pub(super) async fn with_register(connection: &mut PgConnection, file: &Arc<FileRows<Block>>) -> Result<Vec<Finding>> {
    let existing = store::blocks::list_overlap_candidates(connection, None).await?;
    let file = Arc::clone(file);
    off_async_threads(move || compare_with(&file.list, |a| Place::row(file.rows[a]), &existing)).await
}

/// Land of the file's parcels that standing ones of the ledger have too: told, and for the clerk to judge (domain.md §8).
pub(super) async fn with_ledger(connection: &mut PgConnection, parcels: &Arc<FileParcels>) -> Result<Vec<Finding>> {
    let existing = store::ledgers::list_candidates_for_overlap(connection, parcels.stage()).await?;
    let parcels = Arc::clone(parcels);
    off_async_threads(move || {
        let file = &parcels.file;
        let imported: Vec<_> = file.list.iter().map(|p| &p.boundary).collect();
        let standing: Vec<_> = existing.iter().map(|p| &p.boundary).collect();
        let pairs = overlap::between(&imported, &standing, NAMED);
        let mut findings: Vec<Finding> = overlapping(&pairs)
            .filter(|(_, _, area)| area.value() > SLIVER_M2)
            .map(|(a, b, area)| {
                let message = format!(
                    "地块 {} 与台账中的地块 {} 重叠 {area} 平方米（{} 亩）",
                    file.list[a].id,
                    existing[b].id,
                    area.to_mu()
                );
                Finding::warning("overlap_with_ledger", Place::row(file.rows[a]), message)
            })
            .collect();
        if !pairs.complete || !pairs.too_complex.is_empty() {
            let message = format!("与台账中地块重叠的可能还有更多，只列出前 {} 处", findings.len());
            findings.push(Finding::warning("overlap_with_ledger", Place::whole(), message));
        }
        findings
    })
    .await
}

/// What an undo has brought back, against what was written since: land given to another block in the meantime, and drawn
/// blocks beside surveyed ones. What lay so before the undone revision was somebody's decision and is no reason.
pub(in crate::inventory) async fn after_undo(
    connection: &mut PgConnection,
    undone: i64,
    undo: i64,
) -> Result<Vec<Finding>> {
    let blocks = store::blocks::list_written_by(connection, undo).await?;
    if blocks.is_empty() {
        return Ok(Vec::new());
    }
    store::blocks::stage(connection, &blocks).await?;
    let existing = store::blocks::list_overlap_candidates(connection, Some(undone)).await?;
    // Drawn blocks lie where they were drawn: only surveyed land is given away.
    let (surveyed, standing): (Vec<Block>, Vec<StandingBlock>) = (
        blocks.into_iter().filter(|b| !b.illustrative).collect(),
        existing.into_iter().filter(|b| !b.illustrative).collect(),
    );
    let compare = move || compare_with(&surveyed, |_| Place::whole(), &standing);
    let mut findings = off_async_threads(compare).await?;
    let mixed = store::blocks::list_mixed_parks(connection, undone, undo).await?;
    findings.extend(mixed.into_iter().map(|park| {
        let message = format!("撤销后园区 {park} 既有示意区块又有实测区块；请先撤销该园区后来的导入");
        Finding::error("illustrative_over_real", Place::whole(), message)
    }));
    Ok(findings)
}

pub(super) fn compare_with(
    blocks: &[Block],
    place: impl Fn(usize) -> Place,
    existing: &[StandingBlock],
) -> Vec<Finding> {
    let imported: Vec<_> = blocks.iter().map(|b| &b.boundary).collect();
    let (drawn, real): (Vec<&StandingBlock>, Vec<&StandingBlock>) = existing.iter().partition(|b| b.illustrative);
    let compare = |standing: &[&StandingBlock]| {
        overlap::between(&imported, &standing.iter().map(|b| &b.boundary).collect::<Vec<_>>(), NAMED)
    };
    let message = |block: &Block, other: &StandingBlock, area: SquareMetres| {
        format!(
            "区块 {} 与名录中园区 {} 的区块 {} 重叠 {area} 平方米（{} 亩）",
            block.id,
            other.id.park(),
            other.id,
            area.to_mu()
        )
    };
    let above_sliver = |(_, _, area): &(usize, usize, SquareMetres)| area.value() > SLIVER_M2;
    let with_real = compare(&real);
    let mut findings: Vec<Finding> = overlapping(&with_real)
        .filter(above_sliver)
        .map(|(a, b, area)| Finding::error("overlap_with_register", place(a), message(&blocks[a], real[b], area)))
        .collect();
    findings.extend(with_real.too_complex.iter().map(|&(a, b)| {
        too_complex(place(a), &format!("区块 {}", blocks[a].id), &format!("登记库中的区块 {}", real[b].id))
    }));
    findings.extend(not_all_named(&with_real, "文件与登记库中的区块"));
    let with_drawn = compare(&drawn);
    findings.extend(overlapping(&with_drawn).filter(above_sliver).map(|(a, b, area)| {
        let message = format!("{}；后者为示意图形", message(&blocks[a], drawn[b], area));
        Finding::info("overlap_with_illustrative", place(a), message)
    }));
    if not_all_named(&with_drawn, "").is_some() || !with_drawn.too_complex.is_empty() {
        let message = format!("与示意区块重叠的还有更多，只列出前 {NAMED} 处");
        findings.push(Finding::info("overlap_with_illustrative", Place::whole(), message));
    }
    findings
}

/// Drawn blocks must not take the place of surveyed ones.
pub(super) async fn drawn_over_real(connection: &mut PgConnection, blocks: &[Block]) -> Result<Vec<Finding>> {
    let drawn: Vec<&Block> = blocks.iter().filter(|b| b.illustrative).collect();
    if drawn.is_empty() {
        return Ok(Vec::new());
    }
    let real = store::blocks::list_parks_with_real_blocks(connection).await?;
    let over_real = drawn.into_iter().filter(|b| real.iter().any(|code| code == b.id.park().as_str()));
    Ok(over_real
        .map(|b| {
            let message = format!("区块 {} 是示意图形，园区 {} 已有实测边界，不能用示意图形取代", b.id, b.id.park());
            Finding::error("illustrative_over_real", Place::whole(), message)
        })
        .collect())
}

/// Which illustrative blocks real ones would take the place of, park by park; and how many.
pub(super) async fn illustrative_notice(connection: &mut PgConnection) -> Result<(Vec<Finding>, u64)> {
    let replaced = store::blocks::list_illustrative_replaced(connection).await?;
    let count = replaced.iter().map(|(_, count)| count.unsigned_abs()).sum();
    let notice = replaced.into_iter().map(|(park, count)| {
        Finding::info(
            "illustrative_replaced",
            Place::whole(),
            format!("园区 {park} 现有 {count} 个示意区块，提交后由本文件的实测区块取代（历史保留在修订日志中）"),
        )
    });
    Ok((notice.collect(), count))
}
