//! Where parcels lie: the park and the block by geometry, kept true when blocks change.

use std::collections::HashMap;
use std::sync::Arc;

use geo::{BoundingRect, Coord, MultiPolygon, Rect};
use sqlx::PgConnection;

use crate::domain::ledger::Where;
use crate::domain::{Block, Finding, Ledger, Place};
use crate::error::{Error, Result};
use crate::geometry::{area, overlap};
use crate::store;
use crate::store::ledgers::{self, Assigned, StandingParcel};

/// Less of a parcel than this in a block is the rounding of a shared edge, not a place: one part in a thousand.
const LEAST_SHARE: f64 = 0.001;

/// The block with the largest share of each shape; `None` where it lies in none. Shapes that could not be compared are told.
pub fn locate(
    shapes: &[&MultiPolygon<f64>],
    blocks: &[Block],
    place: impl Fn(usize) -> Place,
) -> (Vec<Option<Where>>, Vec<Finding>) {
    let boundaries: Vec<_> = blocks.iter().map(|b| &b.boundary).collect();
    let pairs = overlap::between(shapes, &boundaries, usize::MAX);
    let mut best: HashMap<usize, (usize, f64)> = HashMap::new();
    for pair in &pairs.list {
        let overlap::Relation::Overlap { area: common } = pair.relation else { continue };
        let held = best.entry(pair.a).or_insert((pair.b, common.value()));
        // Of equal shares the first block by id, so that a repetition gives the same.
        let (b, m2) = (pair.b, common.value());
        if m2 > held.1 || m2 == held.1 && blocks[b].id < blocks[held.0].id {
            *held = (b, m2);
        }
    }
    let mut findings: Vec<Finding> = pairs
        .too_complex
        .iter()
        .map(|&(at, block)| {
            let message = format!("图形与区块 {} 的边界相交太多，无法确定所属园区", blocks[block].id);
            Finding::error("geometry_too_complex", place(at), message)
        })
        .collect();
    if !pairs.complete {
        let message = "图形与园区区块相交处太多，没有全部确定所属园区；请分成几个文件";
        findings.push(Finding::error("too_many_overlaps", Place::whole(), message));
    }
    let located = shapes.iter().enumerate().map(|(at, shape)| {
        let (block, common) = best.get(&at)?;
        let share = (common / area::ellipsoidal(shape).value()).min(1.0);
        // Beyond six digits a share is rounding; a parcel wholly inside is exactly inside.
        let share = (share * 1e6).round() / 1e6;
        let id = &blocks[*block].id;
        (share >= LEAST_SHARE).then(|| Where { park: id.park().to_string(), block: id.to_string(), share })
    });
    (located.collect(), findings)
}

/// The current blocks that these shapes may lie in.
pub async fn blocks_around(
    connection: &mut PgConnection,
    shapes: impl Iterator<Item = &MultiPolygon<f64>>,
) -> Result<Vec<Block>> {
    let boxes = shapes.filter_map(BoundingRect::bounding_rect);
    let around = boxes.reduce(|a, b| {
        let corner = |x: f64, y: f64| Coord { x, y };
        let (low, high) = (
            corner(a.min().x.min(b.min().x), a.min().y.min(b.min().y)),
            corner(a.max().x.max(b.max().x), a.max().y.max(b.max().y)),
        );
        Rect::new(low, high)
    });
    match around {
        None => Ok(Vec::new()),
        Some(around) => {
            let (low, high) = (around.min(), around.max());
            store::blocks::list_meeting(connection, [low.x, low.y, high.x, high.y]).await
        }
    }
}

/// After blocks have changed in the open revision: parcels that lay or lie in them are placed anew, in the same revision.
pub async fn follow_blocks(connection: &mut PgConnection) -> Result<()> {
    for ledger in [Ledger::Turnover, Ledger::LowEfficiency] {
        let parcels = ledgers::list_by_revision_blocks(connection, ledger).await?;
        place(connection, ledger, parcels).await?;
    }
    Ok(())
}

/// Parcels that stand as the open revision has written them are placed anew: they may have been written from another day's images.
pub async fn place_written(connection: &mut PgConnection) -> Result<()> {
    for ledger in [Ledger::Turnover, Ledger::LowEfficiency] {
        let parcels = ledgers::list_by_revision(connection, ledger).await?;
        place(connection, ledger, parcels).await?;
    }
    Ok(())
}

async fn place(connection: &mut PgConnection, ledger: Ledger, parcels: Vec<StandingParcel>) -> Result<()> {
    if parcels.is_empty() {
        return Ok(());
    }
    let blocks = Arc::new(blocks_around(connection, parcels.iter().map(|p| &p.boundary)).await?);
    let assigned = tokio::task::spawn_blocking(move || place_anew(&parcels, &blocks))
        .await
        .map_err(|cause| Error::internal("确定地块所属园区时程序出错", cause))??;
    ledgers::assign(connection, ledger, &assigned).await?;
    Ok(())
}

fn place_anew(parcels: &[StandingParcel], blocks: &[Block]) -> Result<Vec<Assigned>> {
    let shapes: Vec<_> = parcels.iter().map(|p| &p.boundary).collect();
    let (located, findings) = locate(&shapes, blocks, |_| Place::whole());
    if !findings.is_empty() {
        // A place that is not known must not look like one that is.
        return Err(Error::Invalid {
            code: "geometry_too_complex",
            detail: "区块与地块的边界相交太多，无法确定地块所属园区".to_owned(),
            findings,
        });
    }
    Ok(parcels.iter().zip(located).map(|(parcel, place)| Assigned { id: parcel.id.clone(), place }).collect())
}
