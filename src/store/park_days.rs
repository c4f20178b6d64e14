//! Parks as they were on a day: whose life it was, by the register as it stands; what they were called, by the log.
//!
//! A park has one row, which says what holds now. What it said before stands in the log as the `before` of each change. A version of the
//! row counts from the day of the event that its revision recorded, else from the day it was recorded; what was undone counts for nothing.
//! Of a day before the oldest version the oldest one is told: nothing older is known.

use chrono::NaiveDate;
use geo::MultiPolygon;
use sqlx::{FromRow, PgConnection};

use super::blocks::parse_id;
use crate::domain::{Block, FourExtents, Hectares, SquareMetres};
use crate::error::Result;

/// A park as it was on a day.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct DayPark {
    pub code: String,
    pub name: String,
    pub level: String,
    #[sqlx(rename = "type")]
    pub kind: String,
    pub prefecture_code: String,
    pub prefecture_name: String,
    pub county_codes: Vec<String>,
    pub leading_industries: Vec<String>,
    pub approved_text: Option<String>,
    /// To the digit.
    pub approved_area_ha: Option<String>,
    pub valid_from: Option<NaiveDate>,
    pub valid_to: Option<NaiveDate>,
}

/// The parks that lived on this day, by code; all, or those named.
pub async fn list(connection: &mut PgConnection, on: NaiveDate, codes: Option<&[String]>) -> Result<Vec<DayPark>> {
    let sql = "
        WITH living AS MATERIALIZED (
            SELECT p.code, p.valid_from, p.valid_to FROM park p
            WHERE p.valid_from <= $1 AND $1 < p.valid_to AND ($2::text[] IS NULL OR p.code = ANY ($2))),
        version AS (
            SELECT p.code, p.revision AS written, to_jsonb(p) AS image FROM living l JOIN park p ON p.code = l.code
            UNION ALL
            -- (What came and went within one revision was never said.)
            SELECT c.feature_id, (c.before ->> 'revision')::bigint, c.before::jsonb
            FROM living l JOIN change c ON c.feature_id = l.code AND c.layer = 'park' AND c.operation <> 'insert'
                AND (c.before ->> 'revision')::bigint < c.revision),
        dated AS (
            SELECT v.*, coalesce(
                (SELECT min(e.occurred_on) FROM park_event e WHERE e.park_code = v.code AND e.revision = v.written),
                (r.made_at AT TIME ZONE 'Asia/Shanghai')::date) <= $1 AS begun
            FROM version v JOIN revision r ON r.number = v.written
            WHERE NOT EXISTS (SELECT 1 FROM revision u WHERE u.source = 'undo of revision ' || v.written AND u.source LIKE 'undo of revision %')),
        chosen AS (
            SELECT DISTINCT ON (code) code, image FROM dated
            ORDER BY code, begun DESC, CASE WHEN begun THEN -written ELSE written END)
        SELECT l.code, p.name, p.level, p.type, p.prefecture_code, d.name AS prefecture_name, p.county_codes, p.leading_industries,
               p.approved_text, trim_scale(p.approved_area_ha)::text AS approved_area_ha,
               nullif(l.valid_from, '-infinity') AS valid_from, nullif(l.valid_to, 'infinity') AS valid_to
        FROM living l JOIN chosen c ON c.code = l.code
        CROSS JOIN LATERAL jsonb_populate_record(NULL::park, c.image) p
        JOIN division d ON d.code = p.prefecture_code
        ORDER BY l.code";
    Ok(sqlx::query_as(sql).bind(on).bind(codes).fetch_all(connection).await?)
}

#[derive(FromRow)]
struct WordsRow {
    id: String,
    name: Option<String>,
    area_m2: f64,
    stated_area_ha: Option<f64>,
    east: Option<String>,
    south: Option<String>,
    west: Option<String>,
    north: Option<String>,
    four_extents: Option<String>,
    illustrative: bool,
    source: String,
}

/// The blocks of that day in the order of parks and numbers, without their boundaries: words and areas.
pub async fn list_block_words(connection: &mut PgConnection, on: NaiveDate) -> Result<Vec<Block>> {
    let sql = "SELECT id, name, area_m2, stated_area_ha::float8 AS stated_area_ha, east, south, west, north, four_extents, illustrative, source
               FROM park_block WHERE valid_from <= $1 AND $1 < valid_to ORDER BY park_code, length(number), number";
    let rows: Vec<WordsRow> = sqlx::query_as(sql).bind(on).fetch_all(connection).await?;
    rows.into_iter().map(words_of_row).collect()
}

fn words_of_row(row: WordsRow) -> Result<Block> {
    Ok(Block {
        id: parse_id(&row.id)?,
        name: row.name,
        boundary: MultiPolygon(Vec::new()),
        area: SquareMetres::new(row.area_m2).unwrap_or(SquareMetres::ZERO),
        stated_area: row.stated_area_ha.and_then(Hectares::new),
        four_extents: FourExtents { east: row.east, south: row.south, west: row.west, north: row.north },
        four_extents_text: row.four_extents,
        illustrative: row.illustrative,
        source: row.source,
        source_crs: None,
        attributes: Vec::new(),
    })
}
