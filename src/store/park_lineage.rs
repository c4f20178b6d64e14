//! What happened to which park, and which blocks lay where on a day.

use chrono::NaiveDate;
use geo::MultiPolygon;
use sqlx::{FromRow, PgConnection};

use super::geometry_column;
use crate::error::Result;

/// An event as lineage tells it. Areas in hectares as the document prints them.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct EventRow {
    pub id: String,
    pub park_code: String,
    pub kind: String,
    pub occurred_on: Option<NaiveDate>,
    pub occurred_text: Option<String>,
    pub document_no: Option<String>,
    pub area_before_ha: Option<f64>,
    pub area_out_ha: Option<f64>,
    pub area_in_ha: Option<f64>,
    pub area_after_ha: Option<f64>,
    pub related_park_codes: Vec<String>,
    pub note: Option<String>,
    pub source: String,
    pub revision: i64,
}

const EVENT_COLUMNS: &str = "id, park_code, kind, occurred_on, occurred_text, document_no, area_before_ha::float8 AS area_before_ha,
    area_out_ha::float8 AS area_out_ha, area_in_ha::float8 AS area_in_ha, area_after_ha::float8 AS area_after_ha, related_park_codes, note,
    source, revision";

/// Parks that became others, and which: parent, child, of every event by which a park's land went on as another's.
pub async fn descents(connection: &mut PgConnection) -> Result<Vec<(String, String)>> {
    Ok(sqlx::query_as(
        "SELECT DISTINCT park_code, child FROM park_event, unnest(related_park_codes) AS child
         WHERE kind IN ('merged_into', 'split', 'upgraded') AND child <> park_code
         UNION SELECT code, successor_code FROM park WHERE successor_code IS NOT NULL
         ORDER BY 1, 2",
    )
    .fetch_all(connection)
    .await?)
}

/// Every event of these parks, the first one first.
pub async fn events_of(connection: &mut PgConnection, codes: &[String]) -> Result<Vec<EventRow>> {
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM park_event WHERE park_code = ANY ($1) ORDER BY occurred_on NULLS FIRST, occurred_text NULLS FIRST, id"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(codes).fetch_all(connection).await?)
}

/// A park as a node of the graph.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct ParkNode {
    pub code: String,
    pub name: String,
    pub aliases: Vec<String>,
    pub level: String,
    pub status: String,
    pub successor_code: Option<String>,
    pub valid_from: Option<NaiveDate>,
    pub valid_to: Option<NaiveDate>,
}

/// These parks, by code.
pub async fn nodes(connection: &mut PgConnection, codes: &[String]) -> Result<Vec<ParkNode>> {
    Ok(sqlx::query_as(
        "SELECT code, name, aliases, level, status, successor_code, nullif(valid_from, '-infinity') AS valid_from, nullif(valid_to, 'infinity') AS valid_to
         FROM park WHERE code = ANY ($1) ORDER BY code",
    )
    .bind(codes)
    .fetch_all(connection)
    .await?)
}

/// A block with its boundary, as it lay on a day.
#[derive(Debug, Clone)]
pub struct DayBlock {
    pub id: String,
    pub park: String,
    pub area_m2: f64,
    pub illustrative: bool,
    pub boundary: MultiPolygon<f64>,
}

type BlockRow = (String, String, f64, bool, Vec<u8>);

fn day_block((id, park, area_m2, illustrative, geom): BlockRow) -> Result<DayBlock> {
    Ok(DayBlock { id, park, area_m2, illustrative, boundary: geometry_column::decode(&geom)? })
}

/// The park's blocks as they lie now; of a park that has ended, as they lay on its last day.
pub async fn last_blocks(connection: &mut PgConnection, code: &str) -> Result<Vec<DayBlock>> {
    let rows: Vec<BlockRow> = sqlx::query_as(
        "SELECT b.id, b.park_code, b.area_m2, b.illustrative, ST_AsEWKB(b.geom) FROM park_block b JOIN park p ON p.code = b.park_code
         WHERE b.park_code = $1 AND b.valid_to = p.valid_to ORDER BY b.id",
    )
    .bind(code)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(day_block).collect()
}

/// Blocks of that day whose box meets this one: west, south, east, north.
pub async fn blocks_meeting(
    connection: &mut PgConnection,
    on: NaiveDate,
    [west, south, east, north]: [f64; 4],
) -> Result<Vec<DayBlock>> {
    let rows: Vec<BlockRow> = sqlx::query_as(
        "SELECT id, park_code, area_m2, illustrative, ST_AsEWKB(geom) FROM park_block
         WHERE geom && ST_MakeEnvelope($2, $3, $4, $5, 4490) AND valid_from <= $1 AND $1 < valid_to ORDER BY id",
    )
    .bind(on)
    .bind(west)
    .bind(south)
    .bind(east)
    .bind(north)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(day_block).collect()
}

/// The area of all blocks of each of these parks on that day, in m².
pub async fn areas_on(connection: &mut PgConnection, on: NaiveDate, codes: &[String]) -> Result<Vec<(String, f64)>> {
    Ok(sqlx::query_as(
        "SELECT park_code, sum(area_m2 ORDER BY id) FROM park_block
         WHERE park_code = ANY ($2) AND valid_from <= $1 AND $1 < valid_to GROUP BY 1 ORDER BY 1",
    )
    .bind(on)
    .bind(codes)
    .fetch_all(connection)
    .await?)
}
