//! The sample inventory: real directory rows, drawn (示意) boundaries. Deterministic: the same binary draws the same.
//!
//! No real park boundary is public. Every drawn row says so in its source, in the API and on the map.

pub mod blocks;
mod divisions;
mod outlines;
mod parks;
mod words;

use std::fmt;

use sqlx::PgPool;

use crate::domain::{Block, DirectoryVersion, Division, Park, ParkEvent};
use crate::error::{Error, Result};
use crate::store;

pub use blocks::{SOURCE as BLOCK_SOURCE, grid_blocks};

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
    let blocks: Vec<Block> =
        sample.blocks.into_iter().filter(|b| !real.iter().any(|code| code == b.id.park().as_str())).collect();
    let parks = keep_newer_parks(connection, sample.parks).await?;
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
    if report.divisions + report.parks + report.directory_rows + report.events + report.blocks == 0 {
        // Nothing differed: the empty revision goes with the transaction.
        transaction.rollback().await?;
        report.revision = None;
    } else {
        transaction.commit().await?;
    }
    Ok(report)
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
