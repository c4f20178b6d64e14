//! The bulk upsert of blocks: keys and boxes of all of them in one temporary table, whole rows only of those that stand
//! already and must be compared; new blocks go straight into the register.

use std::collections::HashSet;

use geo::BoundingRect;
use sqlx::PgConnection;

use crate::domain::Block;
use crate::error::Result;
use crate::store::copy::{CopyRow, copy_in};
use crate::store::{UpsertCounts, geometry_column};

/// What the looks of an import ask by: who comes, and where.
const CREATE_KEYS: &str = "
    CREATE TEMPORARY TABLE block_key (
        id text COLLATE \"C\", park_code text COLLATE \"C\", illustrative boolean,
        west double precision, south double precision, east double precision, north double precision) ON COMMIT DROP";

/// Columns in the order of [`fill_row`].
const CREATE_STAGE: &str = "
    CREATE TEMPORARY TABLE block_stage (
        id text COLLATE \"C\", park_code text COLLATE \"C\", number text COLLATE \"C\", name text, geom geometry(MultiPolygon, 4490),
        area_m2 double precision, stated_area_ha numeric(14, 6), east text, south text, west text, north text, four_extents text,
        illustrative boolean, source text, source_crs text, attributes jsonb) ON COMMIT DROP";

const COPY_KEYS: &str = "COPY block_key FROM STDIN (FORMAT binary)";
const COPY_STAGE: &str = "COPY block_stage FROM STDIN (FORMAT binary)";
const COPY_NEW: &str = "
    COPY park_block (id, park_code, number, name, geom, area_m2, stated_area_ha, east, south, west, north, four_extents,
                     illustrative, source, source_crs, attributes, revision) FROM STDIN (FORMAT binary)";
const ROW_COLUMNS: i16 = 16;

const STANDING: &str = "SELECT k.id FROM block_key k JOIN park_block b ON b.id = k.id AND b.valid_to = 'infinity'";

macro_rules! differs {
    () => {
        // Every column counts: the geometry by the bytes of its points, since `=` of geometries is looser. The revision of the row is
        // no content; `source` and `source_crs` are not either: the same boundary from another file is no change.
        // A text that says no more than the four sides is shown where there is none, and is no change either.
        // A ring's direction is its format's: a Shapefile turns them. The area is that of the boundary, up to the order of its sum.
        "((b.name, b.stated_area_ha, b.east, b.south, b.west, b.north,
          coalesce(b.four_extents, nullif(concat_ws('，', '东至' || b.east, '南至' || b.south, '西至' || b.west, '北至' || b.north), '')),
          b.illustrative, b.attributes)
         IS DISTINCT FROM
         (s.name, s.stated_area_ha, s.east, s.south, s.west, s.north,
          coalesce(s.four_extents, nullif(concat_ws('，', '东至' || s.east, '南至' || s.south, '西至' || s.west, '北至' || s.north), '')),
          s.illustrative, s.attributes)
          OR NOT abs(b.area_m2 - s.area_m2) <= 1e-12 * b.area_m2
          OR ST_AsEWKB(b.geom) <> ST_AsEWKB(s.geom)
             AND ST_AsEWKB(ST_ForcePolygonCW(b.geom)) <> ST_AsEWKB(ST_ForcePolygonCW(s.geom)))"
    };
}

const COUNT_DIFFERING: &str = concat!(
    "SELECT count(*), count(*) FILTER (WHERE ",
    differs!(),
    ") FROM block_stage s JOIN park_block b ON b.id = s.id AND b.valid_to = 'infinity'"
);

const DIFFERING_SINCE: &str = concat!(
    "SELECT b.id, b.revision FROM block_stage s JOIN park_block b ON b.id = s.id AND b.valid_to = 'infinity'
     WHERE b.revision > $1 AND ",
    differs!(),
    " ORDER BY b.id"
);

const UPDATE: &str = concat!(
    "UPDATE park_block b
     SET revision = (SELECT current_revision()), name = s.name, geom = s.geom, area_m2 = s.area_m2,
         stated_area_ha = s.stated_area_ha, east = s.east, south = s.south, west = s.west, north = s.north,
         four_extents = s.four_extents, illustrative = s.illustrative, source = s.source, source_crs = s.source_crs,
         attributes = s.attributes
     FROM block_stage s WHERE b.id = s.id AND b.valid_to = 'infinity' AND ",
    differs!()
);

/// What the source does not speak of stays as it stands: the columns named in `$1`, and attributes of other names. A
/// drawn block hands nothing on to a surveyed one.
const KEEP: &str = "
    UPDATE block_stage s
    SET name = CASE WHEN 'name' = ANY($1) THEN b.name ELSE s.name END,
        stated_area_ha = CASE WHEN 'stated_area' = ANY($1) THEN b.stated_area_ha ELSE s.stated_area_ha END,
        east = CASE WHEN 'four_extents' = ANY($1) THEN b.east ELSE s.east END,
        south = CASE WHEN 'four_extents' = ANY($1) THEN b.south ELSE s.south END,
        west = CASE WHEN 'four_extents' = ANY($1) THEN b.west ELSE s.west END,
        north = CASE WHEN 'four_extents' = ANY($1) THEN b.north ELSE s.north END,
        four_extents = CASE WHEN 'four_extents' = ANY($1) THEN b.four_extents ELSE s.four_extents END,
        attributes = b.attributes || s.attributes
    FROM park_block b
    WHERE b.id = s.id AND b.valid_to = 'infinity' AND b.illustrative = s.illustrative";

/// Values that stand and that the stage has none for, by column.
const CLEARED: &str = "
    SELECT count(*) FILTER (WHERE s.name IS NULL AND b.name IS NOT NULL),
           count(*) FILTER (WHERE s.stated_area_ha IS NULL AND b.stated_area_ha IS NOT NULL),
           count(*) FILTER (WHERE coalesce(s.four_extents, s.east, s.south, s.west, s.north) IS NULL
                              AND coalesce(b.four_extents, b.east, b.south, b.west, b.north) IS NOT NULL)
    FROM block_stage s JOIN park_block b ON b.id = s.id AND b.valid_to = 'infinity' AND b.illustrative = s.illustrative";

/// The columns that a source may be silent about, by their canonical names.
pub const OPTIONAL: [&str; 3] = ["name", "stated_area", "four_extents"];

/// Lays the blocks into the transaction's stage, which the functions below and the looks of the parent module read. Once
/// a transaction.
pub async fn stage(connection: &mut PgConnection, blocks: &[Block]) -> Result<()> {
    stage_keys(connection, blocks).await?;
    stage_standing(connection, blocks).await
}

/// The first half of [`stage`], which looks at nothing in the register.
pub async fn stage_keys(connection: &mut PgConnection, blocks: &[Block]) -> Result<()> {
    sqlx::query(CREATE_KEYS).execute(&mut *connection).await?;
    copy_in(connection, COPY_KEYS, 7, blocks.iter(), fill_key).await
}

/// The second half of [`stage`]: whole rows of those blocks that stand now.
pub async fn stage_standing(connection: &mut PgConnection, blocks: &[Block]) -> Result<()> {
    sqlx::query(CREATE_STAGE).execute(&mut *connection).await?;
    let standing = standing(connection).await?;
    if !standing.is_empty() {
        let rows = blocks.iter().filter(|b| standing.contains(&b.id.to_string()));
        copy_in(connection, COPY_STAGE, ROW_COLUMNS, rows, fill_row).await?;
    }
    Ok(())
}

/// Ids of the staged blocks that stand.
async fn standing(connection: &mut PgConnection) -> Result<HashSet<String>> {
    Ok(sqlx::query_scalar(STANDING).fetch_all(connection).await?.into_iter().collect())
}

fn fill_key(row: &mut CopyRow<'_>, block: &Block) {
    row.text(&block.id.to_string());
    row.text(block.id.park().as_str());
    row.boolean(block.illustrative);
    let Some(bounds) = block.boundary.bounding_rect() else {
        return (0..4).for_each(|_| row.null());
    };
    for side in [bounds.min().x, bounds.min().y, bounds.max().x, bounds.max().y] {
        row.double(side);
    }
}

fn fill_row(row: &mut CopyRow<'_>, block: &Block) {
    let words = &block.four_extents;
    row.text(&block.id.to_string());
    row.text(block.id.park().as_str());
    row.text(block.id.number());
    row.optional_text(block.name.as_deref());
    row.bytes(&geometry_column::encode(&block.boundary));
    row.double(block.area.value());
    row.hectares(block.stated_area);
    for text in [&words.east, &words.south, &words.west, &words.north, &block.four_extents_text] {
        row.optional_text(text.as_deref());
    }
    row.boolean(block.illustrative);
    row.text(&block.source);
    row.optional_text(block.source_crs.as_deref());
    let attributes = block.attributes.iter().map(|(k, v)| (k.clone(), serde_json::Value::String(v.clone())));
    row.json(&serde_json::Value::Object(attributes.collect()));
}

/// Fills the staged rows with what stands in the columns `absent` (of [`OPTIONAL`]), and counts the values that the
/// source would clear, by column.
pub async fn keep_absent(connection: &mut PgConnection, absent: &[&str]) -> Result<Vec<(&'static str, i64)>> {
    sqlx::query(KEEP).bind(absent).execute(&mut *connection).await?;
    let (name, stated_area, words): (i64, i64, i64) = sqlx::query_as(CLEARED).fetch_one(connection).await?;
    Ok(OPTIONAL.into_iter().zip([name, stated_area, words]).filter(|(_, count)| *count > 0).collect())
}

/// Stages and writes: inserts new blocks and updates those that differ. Needs an open revision.
pub async fn upsert(connection: &mut PgConnection, blocks: &[Block]) -> Result<UpsertCounts> {
    stage(connection, blocks).await?;
    upsert_staged(connection, blocks).await
}

/// Updates the staged blocks that differ and inserts those that are new; the rest is not touched. `blocks` are those that
/// were staged. Needs an open revision.
pub async fn upsert_staged(connection: &mut PgConnection, blocks: &[Block]) -> Result<UpsertCounts> {
    let standing = standing(connection).await?;
    let updated = sqlx::query(UPDATE).execute(&mut *connection).await?.rows_affected();
    let revision: i64 = sqlx::query_scalar("SELECT current_revision()").fetch_one(&mut *connection).await?;
    let is_new = |b: &&Block| standing.is_empty() || !standing.contains(&b.id.to_string());
    let mut new: Vec<&Block> = blocks.iter().filter(is_new).collect();
    // In the order of the indexes: rows that come as the pages lie cost half.
    new.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    if !new.is_empty() {
        copy_in(connection, COPY_NEW, ROW_COLUMNS + 1, new.iter(), |row, block| {
            fill_row(row, block);
            row.integer(revision);
        })
        .await?;
    }
    let inserted = new.len() as u64;
    Ok(UpsertCounts { inserted, updated, unchanged: blocks.len() as u64 - updated - inserted, replaced: 0 })
}

/// What [`upsert_staged`] would do with as many blocks.
pub async fn preview_staged(connection: &mut PgConnection, staged: usize) -> Result<UpsertCounts> {
    let (standing, updated): (i64, i64) = sqlx::query_as(COUNT_DIFFERING).fetch_one(connection).await?;
    Ok(UpsertCounts::from_row((staged as i64 - standing, updated, standing - updated)))
}

/// Id and revision of the blocks that stand otherwise than the stage says and were written after revision `seen`.
pub async fn list_differing_since(connection: &mut PgConnection, seen: i64) -> Result<Vec<(String, i64)>> {
    Ok(sqlx::query_as(DIFFERING_SINCE).bind(seen).fetch_all(connection).await?)
}
