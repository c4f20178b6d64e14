//! Overlaps: candidates with each other, and with the blocks that the register already holds.

use sqlx::PgConnection;

use crate::domain::{Block, Finding, Place};
use crate::error::Result;
use crate::geometry::overlap::{self, Relation};
use crate::store;

/// Less than this is not land but rounding: two boundaries that share an edge to the millimetre differ by slivers
/// of this size over kilometres (1 m² is what the French cadastre tolerates between neighbours, see ORIGIN.md).
const SLIVER_M2: f64 = 1.0;

/// Overlapping pairs inside one file: an error above a sliver, because one piece of land cannot be in two blocks.
pub(super) fn within_file(blocks: &[Block], rows: &[u64]) -> Vec<Finding> {
    let boundaries: Vec<_> = blocks.iter().map(|b| &b.boundary).collect();
    let mut findings = Vec::new();
    for pair in overlap::pairs(&boundaries) {
        let Relation::Overlap { area } = pair.relation else { continue };
        let (a, b) = (rows[pair.a], rows[pair.b]);
        let place = Place::row(a.max(b));
        let message = format!(
            "第 {a} 条记录（{}）与第 {b} 条记录（{}）重叠 {area} 平方米（{} 亩）",
            blocks[pair.a].id,
            blocks[pair.b].id,
            area.to_mu()
        );
        findings.push(if area.value() > SLIVER_M2 {
            Finding::error("overlap_within_file", place, message)
        } else {
            Finding::warning("overlap_sliver", place, format!("{message}，属细碎重叠"))
        });
    }
    findings
}

/// Overlaps of the staged blocks with current ones that this import does not replace. Illustrative (示意) blocks are only mentioned:
/// they were drawn, not surveyed, and stand in nobody's way.
pub(super) async fn with_register(connection: &mut PgConnection, blocks: &[Block]) -> Result<Vec<Finding>> {
    let existing = store::blocks::list_overlap_candidates(connection).await?;
    let imported: Vec<_> = blocks.iter().map(|b| &b.boundary).collect();
    let standing: Vec<_> = existing.iter().map(|b| &b.boundary).collect();
    let mut findings = Vec::new();
    for pair in overlap::between(&imported, &standing) {
        let Relation::Overlap { area } = pair.relation else { continue };
        if area.value() <= SLIVER_M2 {
            continue;
        }
        let (block, other) = (&blocks[pair.a], &existing[pair.b]);
        let message = format!(
            "区块 {} 与名录中园区 {} 的区块 {} 重叠 {area} 平方米（{} 亩）",
            block.id,
            other.id.park(),
            other.id,
            area.to_mu()
        );
        findings.push(if other.illustrative {
            Finding::info("overlap_with_illustrative", Place::whole(), format!("{message}；后者为示意图形"))
        } else {
            Finding::error("overlap_with_register", Place::whole(), message)
        });
    }
    Ok(findings)
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

/// Says which illustrative blocks a commit would end, because real ones take their place.
pub(super) async fn illustrative_notice(connection: &mut PgConnection) -> Result<Vec<Finding>> {
    let replaced = store::blocks::list_illustrative_replaced(connection).await?;
    Ok(replaced
        .into_iter()
        .map(|(park, count)| {
            Finding::info(
                "illustrative_replaced",
                Place::whole(),
                format!("园区 {park} 现有 {count} 个示意区块，提交后由本文件的实测区块取代（历史保留在修订日志中）"),
            )
        })
        .collect())
}
