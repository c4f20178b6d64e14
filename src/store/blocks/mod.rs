//! Blocks (区块): what stands, the looks that an import takes, and the stage it writes from.

mod papers;
mod stage;

use chrono::NaiveDate;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

pub use self::papers::{Papers, list_papers};
pub use self::stage::{
    OPTIONAL, keep_absent, list_differing_since, preview_staged, stage, stage_keys, stage_standing, upsert,
    upsert_staged,
};
use super::geometry_column;
use crate::domain::{Block, BlockId, FourExtents, Hectares, ParkCode, SquareMetres};
use crate::error::{Error, Result};

/// Parks whose illustrative blocks the staged real ones would replace, and how many.
pub async fn list_illustrative_replaced(connection: &mut PgConnection) -> Result<Vec<(String, i64)>> {
    let rows = sqlx::query_as(
        "SELECT park_code, count(*) FROM park_block
         WHERE illustrative AND valid_to = 'infinity' AND park_code IN (SELECT park_code FROM block_key WHERE NOT illustrative)
         GROUP BY park_code ORDER BY park_code",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Removes the illustrative blocks of parks that get real ones; the log keeps them. Needs an open revision.
pub async fn end_illustrative_replaced(connection: &mut PgConnection) -> Result<u64> {
    let done = sqlx::query(
        "DELETE FROM park_block
         WHERE illustrative AND valid_to = 'infinity' AND park_code IN (SELECT park_code FROM block_key WHERE NOT illustrative)
           AND id NOT IN (SELECT id FROM block_key)",
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// A block as overlap checks need it.
#[derive(Debug, Clone)]
pub struct StandingBlock {
    pub id: BlockId,
    pub boundary: geo::MultiPolygon<f64>,
    pub illustrative: bool,
}

/// Current blocks whose box meets a staged block's, except those with the same ids, and illustrative blocks of the same
/// parks: surveyed ones replace them, drawn ones do not lie on one another. With `written_after`, only those written by a
/// later revision.
pub async fn list_overlap_candidates(
    connection: &mut PgConnection,
    written_after: Option<i64>,
) -> Result<Vec<StandingBlock>> {
    let rows: Vec<(String, Vec<u8>, bool)> = sqlx::query_as(
        "SELECT b.id, ST_AsEWKB(b.geom), b.illustrative
         FROM park_block b
         WHERE b.valid_to = 'infinity'
           -- OFFSET 0: the index of the register is asked once a staged block; the stage has none to be asked by
           AND b.id IN (SELECT c.id FROM block_key s, LATERAL (SELECT id FROM park_block p WHERE p.geom && ST_MakeEnvelope(s.west, s.south, s.east, s.north, 4490) OFFSET 0) c)
           AND b.id NOT IN (SELECT id FROM block_key)
           AND NOT (b.illustrative AND b.park_code IN (SELECT park_code FROM block_key))
           AND ($1::bigint IS NULL OR b.revision > $1)
         ORDER BY b.id",
    )
    .bind(written_after)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(id, geom, illustrative)| {
            Ok(StandingBlock { id: parse_id(&id)?, boundary: geometry_column::decode(&geom)?, illustrative })
        })
        .collect()
}

pub(super) fn parse_id(id: &str) -> Result<BlockId> {
    BlockId::parse(id).map_err(|cause| Error::internal("登记库中的区块标识不合规则", cause))
}

macro_rules! select_blocks {
    ($which:literal) => {
        concat!(
            "SELECT id, name, ST_AsEWKB(geom) AS geom, area_m2, stated_area_ha::float8 AS stated_area_ha, east, south, west, north,
                    four_extents, illustrative, source, source_crs, attributes
             FROM park_block WHERE valid_to = 'infinity' AND ",
            $which,
            " ORDER BY park_code, length(number), number"
        )
    };
}

/// Current blocks, all or of one park, ordered by park and number.
pub async fn list_current(connection: &mut PgConnection, park: Option<&ParkCode>) -> Result<Vec<Block>> {
    let rows = sqlx::query(select_blocks!("($1::text IS NULL OR park_code = $1)"))
        .bind(park.map(ParkCode::as_str))
        .fetch_all(connection)
        .await?;
    rows.iter().map(block_of_row).collect()
}

/// Current blocks whose box meets this one: west, south, east, north.
pub async fn list_meeting(connection: &mut PgConnection, [west, south, east, north]: [f64; 4]) -> Result<Vec<Block>> {
    let rows = sqlx::query(select_blocks!("geom && ST_MakeEnvelope($1, $2, $3, $4, 4490)"))
        .bind(west)
        .bind(south)
        .bind(east)
        .bind(north)
        .fetch_all(connection)
        .await?;
    rows.iter().map(block_of_row).collect()
}

/// Current blocks that this revision wrote.
pub async fn list_written_by(connection: &mut PgConnection, revision: i64) -> Result<Vec<Block>> {
    let rows = sqlx::query(select_blocks!(
        "id IN (SELECT feature_id FROM change WHERE revision = $1 AND layer = 'park_block' AND after IS NOT NULL)"
    ))
    .bind(revision)
    .fetch_all(connection)
    .await?;
    rows.iter().map(block_of_row).collect()
}

/// Parks of the staged blocks, which `undo` has written, that hold drawn blocks beside surveyed ones; but for those of which the same is so
/// without what came after the revision that it undid.
pub async fn list_mixed_parks(connection: &mut PgConnection, undone: i64, undo: i64) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT park_code FROM (SELECT park_code, illustrative, revision <= $1 OR revision = $2 AS stood FROM park_block
                                WHERE valid_to = 'infinity' AND park_code IN (SELECT park_code FROM block_key)) b
         GROUP BY park_code
         HAVING bool_or(illustrative) AND NOT bool_and(illustrative)
            AND count(DISTINCT illustrative) FILTER (WHERE stood) < 2
         ORDER BY park_code",
    )
    .bind(undone)
    .bind(undo)
    .fetch_all(connection)
    .await?)
}

/// Ends the current lives of these blocks on the day. Needs an open revision.
pub async fn end_blocks(connection: &mut PgConnection, ids: &[String], on: NaiveDate) -> Result<u64> {
    let sql = "UPDATE park_block SET valid_to = $2 WHERE id = ANY ($1) AND valid_to = 'infinity'";
    Ok(sqlx::query(sql).bind(ids).bind(on).execute(connection).await?.rows_affected())
}

/// The words of the four sides, each from its column.
pub(super) fn four_extents_of(row: &PgRow) -> Result<FourExtents> {
    Ok(FourExtents {
        east: row.try_get("east")?,
        south: row.try_get("south")?,
        west: row.try_get("west")?,
        north: row.try_get("north")?,
    })
}

fn block_of_row(row: &PgRow) -> Result<Block> {
    let attributes: serde_json::Value = row.try_get("attributes")?;
    let attributes = attributes
        .as_object()
        .map(|map| map.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect())
        .unwrap_or_default();
    let area: f64 = row.try_get("area_m2")?;
    Ok(Block {
        id: parse_id(row.try_get("id")?)?,
        name: row.try_get("name")?,
        boundary: geometry_column::decode(row.try_get("geom")?)?,
        area: SquareMetres::new(area).unwrap_or(SquareMetres::ZERO),
        stated_area: row.try_get::<Option<f64>, _>("stated_area_ha")?.and_then(Hectares::new),
        four_extents: four_extents_of(row)?,
        four_extents_text: row.try_get("four_extents")?,
        illustrative: row.try_get("illustrative")?,
        source: row.try_get("source")?,
        source_crs: row.try_get("source_crs")?,
        attributes,
    })
}

/// Parks that have at least one block which is not illustrative.
pub async fn list_parks_with_real_blocks(connection: &mut PgConnection) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT DISTINCT park_code FROM park_block WHERE NOT illustrative AND valid_to = 'infinity' ORDER BY 1",
    )
    .fetch_all(connection)
    .await?)
}
