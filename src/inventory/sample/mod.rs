//! The sample inventory: real directory rows, drawn (示意) boundaries. Deterministic: the same binary draws the same.
//!
//! No real park boundary is public. Every drawn row says so in its source, in the API and on the map.

pub mod blocks;
mod divisions;
mod outlines;
mod parcels;
mod parks;
mod words;
mod zones;

use std::fmt;

use sqlx::PgPool;

use self::parcels::DrawnParcel;
use super::progress::Progress;
use crate::domain::access::Viewer;
use crate::domain::{Block, DirectoryVersion, Division, Ledger, Parcel, Park, ParkEvent};
use crate::error::{Error, Result};
use crate::store;
use crate::store::ledgers::{BulkPlan, StagedParcel};

pub use blocks::{SOURCE as BLOCK_SOURCE, grid_blocks};
pub use parcels::SOURCE as PARCEL_SOURCE;
pub use zones::SOURCE as ZONE_SOURCE;

/// The whole sample, as domain objects.
#[derive(Debug, Clone)]
pub struct Sample {
    pub divisions: Vec<Division>,
    pub parks: Vec<Park>,
    pub directory: DirectoryVersion,
    pub events: Vec<ParkEvent>,
    pub blocks: Vec<Block>,
}

/// Builds the sample from the fixtures in the binary.
pub fn build() -> Result<Sample> {
    let divisions = divisions::read()?;
    let (parks, directory, events) = parks::read()?;
    let blocks = blocks::draw(&parks, &divisions)?;
    Ok(Sample { divisions, parks, directory, events, blocks })
}

/// What seeding did.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedReport {
    /// `None` where the register held all of it already.
    pub revision: Option<i64>,
    pub divisions: u64,
    pub parks: u64,
    pub directory_rows: u64,
    pub events: u64,
    pub blocks: u64,
    /// Parks that kept their real boundaries.
    pub kept_real: usize,
}

impl fmt::Display for SeedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision {
            None => write!(f, "✓ 示例清单已在库中，没有改动")?,
            Some(revision) => write!(
                f,
                "✓ 已载入示例清单（修订 {revision}）：行政区划 {}，园区 {}，名录 {} 条（含版本），调区扩区事件 {}，示意区块 {}",
                self.divisions, self.parks, self.directory_rows, self.events, self.blocks
            )?,
        }
        if self.kept_real > 0 {
            write!(f, "；{} 个园区已有实测边界，未放置示意区块", self.kept_real)?;
        }
        Ok(())
    }
}

/// Writes what the register lacks or holds differently, as one revision; never touches a park that has real blocks.
pub async fn seed(pool: &PgPool, actor: &str) -> Result<SeedReport> {
    let sample = tokio::task::spawn_blocking(build)
        .await
        .map_err(|cause| Error::internal("生成示例清单时程序出错", cause))??;
    let mut transaction = store::begin_write(pool).await?;
    let connection = &mut *transaction;
    store::revision::lock(connection).await?;
    let real = store::blocks::list_parks_with_real_blocks(connection).await?;
    // What an event has made of a park since is not to be undone by a table of 2018.
    let own: Vec<String> = sample.events.iter().map(|event| event.id.clone()).collect();
    let moved_on = store::park_events::parks_with_other_events(connection, &own).await?;
    let stands = |code: &crate::domain::ParkCode| !moved_on.iter().any(|other| other == code.as_str());
    let blocks = sample.blocks.into_iter().filter(|b| !real.iter().any(|code| code == b.id.park().as_str()));
    let blocks: Vec<Block> = blocks.filter(|block| stands(block.id.park())).collect();
    let mut parks = keep_newer_parks(connection, sample.parks).await?;
    parks.retain(|park| stands(&park.code));
    let revision = store::revision::open(connection, actor, "载入示例清单", "sizhi seed").await?;
    let mut report = SeedReport {
        revision: Some(revision),
        divisions: store::divisions::upsert(connection, &sample.divisions).await?,
        parks: store::parks::upsert(connection, &parks, &[]).await?,
        directory_rows: store::directories::upsert(connection, &sample.directory).await?,
        events: store::events::upsert(connection, &sample.events).await?,
        blocks: store::blocks::upsert(connection, &blocks).await?.changed(),
        kept_real: real.len(),
    };
    if report.blocks > 0 {
        super::land::follow_blocks(connection).await?;
    }
    if report.divisions + report.parks + report.directory_rows + report.events + report.blocks == 0 {
        // Nothing differed: the empty revision goes with the transaction.
        transaction.rollback().await?;
        report.revision = None;
    } else {
        transaction.commit().await?;
    }
    Ok(report)
}

/// What drawing control lines did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ZoneReport {
    /// `None` where the register held all of them already.
    pub revision: Option<i64>,
    pub zones: u64,
}

impl fmt::Display for ZoneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision {
            Some(revision) => write!(f, "✓ 已绘制示意管控区域 {} 个（修订 {revision}）", self.zones),
            None => write!(f, "✓ 示意管控区域已在库中，没有改动"),
        }
    }
}

/// Draws control lines around the drawn parks, as one revision; a second time it changes nothing.
pub async fn seed_zones(pool: &PgPool, actor: &str) -> Result<ZoneReport> {
    let mut transaction = store::begin_write(pool).await?;
    let connection = &mut *transaction;
    store::revision::lock(connection).await?;
    let blocks = store::blocks::list_current(connection, None).await?;
    let blocks: Vec<Block> = blocks.into_iter().filter(|b| b.illustrative).collect();
    let (parks, ..) = parks::read()?;
    let zones = zones::draw(&blocks, &parks)?;
    store::control_zones::stage(connection, &zones).await?;
    if store::control_zones::preview_staged(connection).await?.changed() == 0 {
        transaction.rollback().await?;
        return Ok(ZoneReport::default());
    }
    let revision = store::revision::open(connection, actor, "绘制示意管控区域", "sizhi seed --control-zones").await?;
    let zones = store::control_zones::upsert_staged(connection).await?;
    transaction.commit().await?;
    Ok(ZoneReport { revision: Some(revision), zones })
}

/// Parcels written as one revision: a million of them in one would hold the writers up for minutes.
const PARCELS_A_REVISION: usize = 25_000;

/// What drawing parcels did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ParcelReport {
    pub turnover: u64,
    pub low_efficiency: u64,
    pub plans: u64,
    pub unchanged: u64,
    pub revisions: Vec<i64>,
}

impl fmt::Display for ParcelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.revisions.first(), self.revisions.last()) {
            (Some(first), Some(last)) => write!(
                f,
                "✓ 已绘制示意地块（修订 {first}–{last}）：周转用地 {}，低效用地 {}，再开发方案 {}；已有而不变 {}",
                self.turnover, self.low_efficiency, self.plans, self.unchanged
            ),
            _ => write!(f, "✓ 示意地块已在库中（{} 宗），没有改动", self.unchanged),
        }
    }
}

/// About `n` drawn parcels of turnover land in the blocks of the sample, as a file of them would have: for benchmarks.
pub fn turnover_parcels(n: usize) -> Result<Vec<Parcel>> {
    let sample = build()?;
    // A quarter of what is drawn is low-efficiency land.
    let drawn = draw_in(&sample.blocks, n * 7 / 5)?;
    Ok(drawn.into_iter().map(|d| d.parcel).filter(|p| p.ledger == Ledger::Turnover).take(n).collect())
}

fn draw_in(blocks: &[Block], n: usize) -> Result<Vec<DrawnParcel>> {
    let (parks, ..) = parks::read()?;
    let points = blocks::county_points()?;
    // Of a park whose county is not known, the county whose point is nearest, inside the prefecture.
    let county = |park: &Park, at: geo::Coord<f64>| {
        if let [only, ..] = park.counties.as_slice() {
            return Some(only.clone());
        }
        let distance = |p: &(f64, f64)| (p.0 - at.x).powi(2) + (p.1 - at.y).powi(2);
        let inside = points.iter().filter(|(code, _)| code.starts_with(park.prefecture.prefix()));
        let nearest = inside.min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)).then(a.0.cmp(b.0)));
        nearest.and_then(|(code, _)| crate::domain::DivisionCode::parse(code).ok())
    };
    Ok(parcels::draw(blocks, &parks, &county, n))
}

/// Draws about `n` parcels into the drawn blocks that stand; what stands already is not drawn again.
pub async fn seed_parcels(pool: &PgPool, actor: &str, n: usize, progress: &dyn Progress) -> Result<ParcelReport> {
    let mut connection = pool.acquire().await?;
    let blocks: Vec<Block> =
        store::blocks::list_current(&mut connection, None).await?.into_iter().filter(|b| b.illustrative).collect();
    drop(connection);
    progress.stage("绘制地块", None);
    let drawn = tokio::task::spawn_blocking(move || draw_in(&blocks, n))
        .await
        .map_err(|cause| Error::internal("绘制示意地块时程序出错", cause))??;
    progress.stage("写入台账", Some(drawn.len() as u64));
    let mut report = ParcelReport::default();
    for chunk in drawn.chunks(PARCELS_A_REVISION) {
        write_chunk(pool, actor, chunk, &mut report).await?;
        progress.advance(chunk.len() as u64);
    }
    Ok(report)
}

async fn write_chunk(pool: &PgPool, actor: &str, chunk: &[DrawnParcel], report: &mut ParcelReport) -> Result<()> {
    let mut transaction = store::begin_write_as(pool, &Viewer::operator(actor)).await?;
    store::revision::lock(&mut transaction).await?;
    let revision = store::revision::open(&mut transaction, actor, "绘制示意地块", "sizhi seed --parcels").await?;
    let mut written = 0;
    for ledger in [Ledger::Turnover, Ledger::LowEfficiency] {
        let of_ledger: Vec<StagedParcel<'_>> = chunk
            .iter()
            .filter(|d| d.parcel.ledger == ledger)
            .filter_map(|d| {
                let standing = d.parcel.standing?;
                Some(StagedParcel { parcel: &d.parcel, place: Some(&d.place), standing, since: d.parcel.since })
            })
            .collect();
        let stage = store::ledgers::stage(&mut transaction, ledger, &of_ledger).await?;
        let inserted = store::ledgers::insert_missing(&mut transaction, stage).await?;
        store::ledgers::unstage(&mut transaction, stage).await?;
        written += inserted;
        report.unchanged += of_ledger.len() as u64 - inserted;
        match ledger {
            Ledger::Turnover => report.turnover += inserted,
            _ => report.low_efficiency += inserted,
        }
    }
    let plans: Vec<BulkPlan<'_>> = chunk
        .iter()
        .filter_map(|d| {
            let plan = d.plan.as_ref()?;
            Some(BulkPlan {
                id: &plan.id,
                county: d.parcel.county.as_str(),
                number: &plan.number,
                parcel: d.parcel.id.to_string(),
                state: plan.state,
                state_on: plan.state_on,
                fields: &plan.fields,
                steps: &plan.steps,
                source: parcels::SOURCE,
            })
        })
        .collect();
    let planned = store::ledgers::insert_missing_plans(&mut transaction, &plans).await?;
    report.plans += planned;
    if written + planned == 0 {
        transaction.rollback().await?;
    } else {
        transaction.commit().await?;
        report.revisions.push(revision);
    }
    Ok(())
}

/// The sample's parks without those that the register knows from another source: seeding must not bring back 2018.
async fn keep_newer_parks(connection: &mut sqlx::PgConnection, parks: Vec<Park>) -> Result<Vec<Park>> {
    let known: std::collections::HashMap<String, String> =
        store::parks::list_sources(connection).await?.into_iter().collect();
    Ok(parks.into_iter().filter(|p| known.get(p.code.as_str()).is_none_or(|source| *source == p.source)).collect())
}

/// A broken fixture is our own fault, found by the first test that runs.
fn broken(what: &str) -> Error {
    Error::Internal { detail: format!("示例数据有误：{what}"), cause: None }
}

#[cfg(test)]
mod tests;
