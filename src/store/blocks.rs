//! Blocks (区块): bulk upsert through COPY, previews without writing, and the looks that an import takes.

use sqlx::{PgConnection, Row};

use super::{UpsertCounts, geometry_column};
use crate::domain::{Block, BlockId, FourExtents, Hectares, ParkCode, SquareMetres};
use crate::error::{Error, Result};

/// Bytes sent to COPY at once.
const COPY_CHUNK: usize = 1 << 20;

/// The staged rows of one transaction. Columns in the order of [`copy_row`].
const CREATE_STAGE: &str = "
    CREATE TEMPORARY TABLE block_stage (
        id text, park_code text, number text, name text, geom geometry(MultiPolygon, 4490), area_m2 double precision,
        stated_area_ha double precision, east text, south text, west text, north text, four_extents text,
        illustrative boolean, source text, source_crs text, attributes jsonb) ON COMMIT DROP";

const COPY_STAGE: &str = "COPY block_stage FROM STDIN (FORMAT binary)";

/// Joined so that every column counts: the geometry by its bytes, since `=` of geometries is looser. The revision of
/// the row is not content; `source` is not either: the same boundary under another file name is no change.
const COMPARE: &str = "
    SELECT count(*) FILTER (WHERE b.id IS NULL),
           count(*) FILTER (WHERE b.id IS NOT NULL AND differs),
           count(*) FILTER (WHERE b.id IS NOT NULL AND NOT differs)
    FROM block_stage s
    LEFT JOIN park_block b ON b.id = s.id AND b.valid_to = 'infinity'
    CROSS JOIN LATERAL (SELECT b.id IS NOT NULL AND
        (b.name, b.area_m2, b.stated_area_ha, b.east, b.south, b.west, b.north, b.four_extents, b.illustrative,
         b.source_crs, b.attributes, ST_AsEWKB(b.geom))
        IS DISTINCT FROM
        (s.name, s.area_m2, s.stated_area_ha::numeric(14, 6), s.east, s.south, s.west, s.north, s.four_extents,
         s.illustrative, s.source_crs, s.attributes, ST_AsEWKB(s.geom)) AS differs) d";

/// What the source does not speak of stays as it stands: the columns named in `$1`, and attributes of other names. A
/// drawn block hands nothing on to a surveyed one.
const KEEP: &str = "
    UPDATE block_stage s
    SET name = CASE WHEN 'name' = ANY($1) THEN b.name ELSE s.name END,
        stated_area_ha = CASE WHEN 'stated_area' = ANY($1) THEN b.stated_area_ha::float8 ELSE s.stated_area_ha END,
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
           count(*) FILTER (WHERE s.four_extents IS NULL AND b.four_extents IS NOT NULL)
    FROM block_stage s JOIN park_block b ON b.id = s.id AND b.valid_to = 'infinity' AND b.illustrative = s.illustrative";

const UPDATE: &str = "
    UPDATE park_block b
    SET revision = (SELECT current_revision()), name = s.name, geom = s.geom, area_m2 = s.area_m2,
        stated_area_ha = s.stated_area_ha, east = s.east, south = s.south, west = s.west, north = s.north,
        four_extents = s.four_extents, illustrative = s.illustrative, source = s.source, source_crs = s.source_crs,
        attributes = s.attributes
    FROM block_stage s
    WHERE b.id = s.id AND b.valid_to = 'infinity'
      AND (b.name, b.area_m2, b.stated_area_ha, b.east, b.south, b.west, b.north, b.four_extents, b.illustrative,
           b.source_crs, b.attributes, ST_AsEWKB(b.geom))
          IS DISTINCT FROM
          (s.name, s.area_m2, s.stated_area_ha::numeric(14, 6), s.east, s.south, s.west, s.north, s.four_extents,
           s.illustrative, s.source_crs, s.attributes, ST_AsEWKB(s.geom))";

const INSERT: &str = "
    INSERT INTO park_block (revision, id, park_code, number, name, geom, area_m2, stated_area_ha, east, south, west, north,
                            four_extents, illustrative, source, source_crs, attributes)
    SELECT (SELECT current_revision()), s.id, s.park_code, s.number, s.name, s.geom, s.area_m2, s.stated_area_ha, s.east,
           s.south, s.west, s.north, s.four_extents, s.illustrative, s.source, s.source_crs, s.attributes
    FROM block_stage s
    WHERE NOT EXISTS (SELECT 1 FROM park_block b WHERE b.id = s.id AND b.valid_to = 'infinity')";

/// Lays the blocks into the transaction's stage, which the functions below read. Once a transaction.
pub async fn stage(connection: &mut PgConnection, blocks: &[Block]) -> Result<()> {
    sqlx::query(CREATE_STAGE).execute(&mut *connection).await?;
    let mut copy = connection.copy_in_raw(COPY_STAGE).await?;
    // Signature, flags, length of the header's extension.
    let mut chunk = Vec::with_capacity(COPY_CHUNK + (COPY_CHUNK >> 2));
    chunk.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    for block in blocks {
        copy_row(&mut chunk, block);
        if chunk.len() >= COPY_CHUNK {
            copy.send(chunk.as_slice()).await?;
            chunk.clear();
        }
    }
    chunk.extend_from_slice(&(-1_i16).to_be_bytes());
    copy.send(chunk.as_slice()).await?;
    copy.finish().await?;
    Ok(())
}

/// One row of COPY's binary format.
fn copy_row(out: &mut Vec<u8>, block: &Block) {
    const COLUMNS: i16 = 16;
    let attributes = serde_json::Value::Object(
        block.attributes.iter().map(|(k, v)| (k.clone(), serde_json::Value::String(v.clone()))).collect(),
    );
    let words = &block.four_extents;
    out.extend_from_slice(&COLUMNS.to_be_bytes());
    copy_text(out, Some(&block.id.to_string()));
    copy_text(out, Some(block.id.park().as_str()));
    copy_text(out, Some(block.id.number()));
    copy_text(out, block.name.as_deref());
    copy_bytes(out, &geometry_column::encode(&block.boundary));
    copy_bytes(out, &block.area.value().to_be_bytes());
    match block.stated_area {
        Some(area) => copy_bytes(out, &area.value().to_be_bytes()),
        None => copy_text(out, None),
    }
    for text in [&words.east, &words.south, &words.west, &words.north, &block.four_extents_text] {
        copy_text(out, text.as_deref());
    }
    copy_bytes(out, &[u8::from(block.illustrative)]);
    copy_text(out, Some(&block.source));
    copy_text(out, block.source_crs.as_deref());
    // jsonb is a version byte and the text.
    copy_bytes(out, format!("\u{1}{attributes}").as_bytes());
}

/// One column: length and bytes. NUL cannot be stored: readers refuse it, here it is dropped last.
fn copy_text(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        Some(text) if text.contains('\0') => copy_bytes(out, text.replace('\0', "").as_bytes()),
        Some(text) => copy_bytes(out, text.as_bytes()),
    }
}

fn copy_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // A value of two gigabytes is far above every limit of the readers.
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// The columns that a source may be silent about, by their canonical names.
pub const OPTIONAL: [&str; 3] = ["name", "stated_area", "four_extents"];

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
    upsert_staged(connection, blocks.len()).await
}

/// Inserts the staged blocks that are new and updates those that differ; the rest is not touched. Needs an open revision.
pub async fn upsert_staged(connection: &mut PgConnection, staged: usize) -> Result<UpsertCounts> {
    let updated = sqlx::query(UPDATE).execute(&mut *connection).await?.rows_affected();
    let inserted = sqlx::query(INSERT).execute(&mut *connection).await?.rows_affected();
    Ok(UpsertCounts { inserted, updated, unchanged: staged as u64 - updated - inserted, replaced: 0 })
}

/// What [`upsert_staged`] would do.
pub async fn preview_staged(connection: &mut PgConnection) -> Result<UpsertCounts> {
    let counts: (i64, i64, i64) = sqlx::query_as(COMPARE).fetch_one(connection).await?;
    Ok(UpsertCounts::from_row(counts))
}

/// Parks whose illustrative blocks the staged real ones would replace, and how many.
pub async fn list_illustrative_replaced(connection: &mut PgConnection) -> Result<Vec<(String, i64)>> {
    let rows = sqlx::query_as(
        "SELECT park_code, count(*) FROM park_block
         WHERE illustrative AND valid_to = 'infinity' AND park_code IN (SELECT park_code FROM block_stage WHERE NOT illustrative)
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
         WHERE illustrative AND valid_to = 'infinity' AND park_code IN (SELECT park_code FROM block_stage WHERE NOT illustrative)
           AND id NOT IN (SELECT id FROM block_stage)",
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
           AND b.id IN (SELECT c.id FROM block_stage s, LATERAL (SELECT id FROM park_block p WHERE p.geom && s.geom OFFSET 0) c)
           AND b.id NOT IN (SELECT id FROM block_stage)
           AND NOT (b.illustrative AND b.park_code IN (SELECT park_code FROM block_stage))
           AND ($1::bigint IS NULL
                OR EXISTS (SELECT 1 FROM change c WHERE c.layer = 'park_block' AND c.feature_id = b.id AND c.revision > $1))
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

fn parse_id(id: &str) -> Result<BlockId> {
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

/// Parks of the staged blocks that hold drawn blocks beside surveyed ones.
pub async fn list_mixed_parks(connection: &mut PgConnection) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT park_code FROM park_block
         WHERE valid_to = 'infinity' AND park_code IN (SELECT park_code FROM block_stage)
         GROUP BY park_code HAVING bool_or(illustrative) AND NOT bool_and(illustrative) ORDER BY park_code",
    )
    .fetch_all(connection)
    .await?)
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
