//! Blocks (区块): bulk upsert through COPY, previews without writing, and the looks that an import takes.

use std::fmt::Write as _;

use sqlx::{Connection, PgConnection, Row};

use super::{UpsertCounts, geometry_column};
use crate::domain::{Block, BlockId, FourExtents, Hectares, ParkCode, SquareMetres};
use crate::error::{Error, Result};

/// Bytes sent to COPY at once.
const COPY_CHUNK: usize = 1 << 20;

/// The staged rows: a temporary table per transaction, with the register's own types so that comparing is exact.
const CREATE_STAGE: &str = "
    CREATE TEMPORARY TABLE block_stage (
        id text, park_code text, number text, name text, geom geometry(MultiPolygon, 4490), area_m2 double precision,
        stated_area_ha numeric(14, 6), east text, south text, west text, north text, four_extents text,
        illustrative boolean, source text, source_crs text, attributes jsonb) ON COMMIT DROP";

const COPY_STAGE: &str = "COPY block_stage FROM STDIN";

/// Joined so that every column counts: the geometry by its bytes, since `=` of geometries is looser. The revision of
/// the row is not content; `source` is not either: the same boundary under another file name is no change.
const COMPARE: &str = "
    SELECT count(*) FILTER (WHERE b.id IS NULL),
           count(*) FILTER (WHERE b.id IS NOT NULL AND differs),
           count(*) FILTER (WHERE b.id IS NOT NULL AND NOT differs)
    FROM block_stage s
    LEFT JOIN park_block b ON b.id = s.id AND b.valid_to = 'infinity'
    CROSS JOIN LATERAL (SELECT
        (b.name, b.area_m2, b.stated_area_ha, b.east, b.south, b.west, b.north, b.four_extents, b.illustrative,
         b.source_crs, b.attributes, ST_AsEWKB(b.geom))
        IS DISTINCT FROM
        (s.name, s.area_m2, s.stated_area_ha, s.east, s.south, s.west, s.north, s.four_extents, s.illustrative,
         s.source_crs, s.attributes, ST_AsEWKB(s.geom)) AS differs) d";

const UPDATE: &str = "
    UPDATE park_block b
    SET name = s.name, geom = s.geom, area_m2 = s.area_m2, stated_area_ha = s.stated_area_ha, east = s.east, south = s.south,
        west = s.west, north = s.north, four_extents = s.four_extents, illustrative = s.illustrative, source = s.source,
        source_crs = s.source_crs, attributes = s.attributes
    FROM block_stage s
    WHERE b.id = s.id AND b.valid_to = 'infinity'
      AND (b.name, b.area_m2, b.stated_area_ha, b.east, b.south, b.west, b.north, b.four_extents, b.illustrative,
           b.source_crs, b.attributes, ST_AsEWKB(b.geom))
          IS DISTINCT FROM
          (s.name, s.area_m2, s.stated_area_ha, s.east, s.south, s.west, s.north, s.four_extents, s.illustrative,
           s.source_crs, s.attributes, ST_AsEWKB(s.geom))";

const INSERT: &str = "
    INSERT INTO park_block (id, park_code, number, name, geom, area_m2, stated_area_ha, east, south, west, north,
                            four_extents, illustrative, source, source_crs, attributes)
    SELECT s.id, s.park_code, s.number, s.name, s.geom, s.area_m2, s.stated_area_ha, s.east, s.south, s.west, s.north,
           s.four_extents, s.illustrative, s.source, s.source_crs, s.attributes
    FROM block_stage s
    WHERE NOT EXISTS (SELECT 1 FROM park_block b WHERE b.id = s.id AND b.valid_to = 'infinity')";

async fn stage(connection: &mut PgConnection, blocks: &[Block]) -> Result<()> {
    sqlx::query(CREATE_STAGE).execute(&mut *connection).await?;
    let mut copy = connection.copy_in_raw(COPY_STAGE).await?;
    let mut chunk = String::with_capacity(COPY_CHUNK + (COPY_CHUNK >> 2));
    for block in blocks {
        copy_row(&mut chunk, block);
        if chunk.len() >= COPY_CHUNK {
            copy.send(chunk.as_bytes()).await?;
            chunk.clear();
        }
    }
    copy.send(chunk.as_bytes()).await?;
    copy.finish().await?;
    Ok(())
}

/// One line of COPY's text format.
fn copy_row(out: &mut String, block: &Block) {
    let attributes = serde_json::Value::Object(
        block.attributes.iter().map(|(k, v)| (k.clone(), serde_json::Value::String(v.clone()))).collect(),
    )
    .to_string();
    let words = &block.four_extents;
    copy_text(out, Some(&block.id.to_string()));
    copy_text(out, Some(block.id.park().as_str()));
    copy_text(out, Some(block.id.number()));
    copy_text(out, block.name.as_deref());
    out.push_str(&geometry_column::encode_hex(&block.boundary));
    // Writing to a String cannot fail.
    let _ = write!(out, "\t{}\t", block.area.value());
    match block.stated_area {
        Some(area) => {
            let _ = write!(out, "{}\t", area.value());
        }
        None => out.push_str("\\N\t"),
    }
    for text in [&words.east, &words.south, &words.west, &words.north, &block.four_extents_text] {
        copy_text(out, text.as_deref());
    }
    out.push_str(if block.illustrative { "t\t" } else { "f\t" });
    copy_text(out, Some(&block.source));
    copy_text(out, block.source_crs.as_deref());
    copy_text(out, Some(&attributes));
    // The last column has no tab behind it.
    out.pop();
    out.push('\n');
}

/// One column and its tab, escaped as COPY wants it. NUL cannot be stored: readers refuse it, here it is dropped last.
fn copy_text(out: &mut String, text: Option<&str>) {
    match text {
        None => out.push_str("\\N"),
        Some(text) => {
            for c in text.chars() {
                match c {
                    '\\' => out.push_str("\\\\"),
                    '\t' => out.push_str("\\t"),
                    '\n' => out.push_str("\\n"),
                    '\r' => out.push_str("\\r"),
                    '\0' => {}
                    c => out.push(c),
                }
            }
        }
    }
    out.push('\t');
}

/// Inserts new blocks and updates those that differ; the rest is not touched. Needs an open revision.
pub async fn upsert(connection: &mut PgConnection, blocks: &[Block]) -> Result<UpsertCounts> {
    stage(connection, blocks).await?;
    let updated = sqlx::query(UPDATE).execute(&mut *connection).await?.rows_affected();
    let inserted = sqlx::query(INSERT).execute(&mut *connection).await?.rows_affected();
    sqlx::query("DROP TABLE block_stage").execute(&mut *connection).await?;
    Ok(UpsertCounts { inserted, updated, unchanged: blocks.len() as u64 - updated - inserted })
}

/// What [`upsert`] would do; writes nothing that lasts.
pub async fn preview(connection: &mut PgConnection, blocks: &[Block]) -> Result<UpsertCounts> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT set_config('statement_timeout', '120s', true)").execute(&mut *transaction).await?;
    stage(&mut transaction, blocks).await?;
    let counts: (i64, i64, i64) = sqlx::query_as(COMPARE).fetch_one(&mut *transaction).await?;
    transaction.rollback().await?;
    Ok(UpsertCounts::from_row(counts))
}

fn ids_and_parks(blocks: &[Block]) -> (Vec<String>, Vec<String>) {
    let ids = blocks.iter().map(|b| b.id.to_string()).collect();
    let mut parks: Vec<String> = blocks.iter().map(|b| b.id.park().to_string()).collect();
    parks.sort_unstable();
    parks.dedup();
    (ids, parks)
}

/// Parks whose illustrative blocks real ones would replace, and how many.
pub async fn list_illustrative_replaced(connection: &mut PgConnection, blocks: &[Block]) -> Result<Vec<(String, i64)>> {
    let real: Vec<Block> = blocks.iter().filter(|b| !b.illustrative).cloned().collect();
    let (_, parks) = ids_and_parks(&real);
    let rows = sqlx::query_as(
        "SELECT park_code, count(*) FROM park_block
         WHERE illustrative AND valid_to = 'infinity' AND park_code = ANY($1)
         GROUP BY park_code ORDER BY park_code",
    )
    .bind(parks)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Removes the illustrative blocks of parks that get real ones; the log keeps them. Needs an open revision.
pub async fn end_illustrative_replaced(connection: &mut PgConnection, blocks: &[Block]) -> Result<u64> {
    let (ids, _) = ids_and_parks(blocks);
    let real: Vec<Block> = blocks.iter().filter(|b| !b.illustrative).cloned().collect();
    let (_, parks) = ids_and_parks(&real);
    let done = sqlx::query(
        "DELETE FROM park_block
         WHERE illustrative AND valid_to = 'infinity' AND park_code = ANY($1) AND NOT (id = ANY($2))",
    )
    .bind(parks)
    .bind(ids)
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

/// Current blocks whose box meets one of the given blocks', except those that the import replaces: the same ids, and
/// illustrative blocks of the same parks.
pub async fn list_overlap_candidates(connection: &mut PgConnection, blocks: &[Block]) -> Result<Vec<StandingBlock>> {
    use geo::BoundingRect;
    let (ids, parks) = ids_and_parks(blocks);
    let rects: Vec<geo::Rect<f64>> = blocks.iter().filter_map(|b| b.boundary.bounding_rect()).collect();
    let side = |f: fn(&geo::Rect<f64>) -> f64| -> Vec<f64> { rects.iter().map(f).collect() };
    let rows: Vec<(String, Vec<u8>, bool)> = sqlx::query_as(
        "SELECT DISTINCT ON (b.id) b.id, ST_AsEWKB(b.geom), b.illustrative
         FROM unnest($1::float8[], $2::float8[], $3::float8[], $4::float8[]) AS r (west, south, east, north)
         JOIN park_block b ON b.geom && ST_MakeEnvelope(r.west, r.south, r.east, r.north, 4490)
         WHERE b.valid_to = 'infinity' AND NOT (b.id = ANY($5)) AND NOT (b.illustrative AND b.park_code = ANY($6))
         ORDER BY b.id",
    )
    .bind(side(|r| r.min().x))
    .bind(side(|r| r.min().y))
    .bind(side(|r| r.max().x))
    .bind(side(|r| r.max().y))
    .bind(ids)
    .bind(parks)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(id, geom, illustrative)| {
            Ok(StandingBlock { id: parse_id(&id)?, boundary: geometry_column::decode(&geom)?, illustrative })
        })
        .collect()
}

fn parse_id(id: &str) -> Result<BlockId> {
    BlockId::parse(id).map_err(|cause| Error::internal("登记库中的区块标识不合规则", cause))
}

/// Current blocks, all or of one park, ordered by park and number.
pub async fn list_current(connection: &mut PgConnection, park: Option<&ParkCode>) -> Result<Vec<Block>> {
    let rows = sqlx::query(
        "SELECT id, name, ST_AsEWKB(geom) AS geom, area_m2, stated_area_ha::float8 AS stated_area_ha, east, south, west, north,
                four_extents, illustrative, source, source_crs, attributes
         FROM park_block
         WHERE valid_to = 'infinity' AND ($1::text IS NULL OR park_code = $1)
         ORDER BY park_code, length(number), number",
    )
    .bind(park.map(ParkCode::as_str))
    .fetch_all(connection)
    .await?;
    rows.iter().map(block_of_row).collect()
}

fn block_of_row(row: &sqlx::postgres::PgRow) -> Result<Block> {
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
        four_extents: FourExtents {
            east: row.try_get("east")?,
            south: row.try_get("south")?,
            west: row.try_get("west")?,
            north: row.try_get("north")?,
        },
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
