//! Parks and blocks as events of parks find and write them (decision 0026). Writes need an open revision.

use chrono::NaiveDate;
use geo::MultiPolygon;
use sqlx::{FromRow, PgConnection};

use super::geometry_column;
use crate::domain::lifecycle::DecimalHectares;
use crate::domain::{Block, Park};
use crate::error::Result;

/// A park as an event finds it.
#[derive(Debug, Clone, FromRow)]
pub struct StandingPark {
    pub code: String,
    pub name: String,
    pub aliases: Vec<String>,
    pub prefecture_code: String,
    pub county_codes: Vec<String>,
    /// As the register has it, to the digit.
    pub approved_area_ha: Option<String>,
    pub status: String,
    /// First day of its life; `None` where it is not known.
    pub valid_from: Option<NaiveDate>,
    /// First day after the last event or boundary that has a day; an event may not come before it.
    pub last_on: Option<NaiveDate>,
    /// The revision that wrote the newest of its rows: the park's own, its blocks', its events'.
    pub newest: i64,
}

/// The parks of these codes, by code.
pub async fn list_parks(connection: &mut PgConnection, codes: &[String]) -> Result<Vec<StandingPark>> {
    Ok(sqlx::query_as(
        "SELECT p.code, p.name, p.aliases, p.prefecture_code, p.county_codes, trim_scale(p.approved_area_ha)::text AS approved_area_ha, p.status,
                nullif(p.valid_from, '-infinity') AS valid_from,
                greatest((SELECT max(occurred_on) FROM park_event e WHERE e.park_code = p.code),
                         (SELECT nullif(max(valid_from), '-infinity') FROM park_block b WHERE b.park_code = p.code)) AS last_on,
                greatest(p.revision, (SELECT max(revision) FROM park_event e WHERE e.park_code = p.code),
                         (SELECT max(revision) FROM park_block b WHERE b.park_code = p.code)) AS newest
         FROM park p WHERE p.code = ANY ($1) ORDER BY p.code",
    )
    .bind(codes)
    .fetch_all(connection)
    .await?)
}

/// Living parks of these names, by code.
pub async fn named(connection: &mut PgConnection, names: &[String]) -> Result<Vec<(String, String)>> {
    let sql = "SELECT code, name FROM park WHERE name = ANY ($1) AND valid_to = 'infinity' ORDER BY code";
    Ok(sqlx::query_as(sql).bind(names).fetch_all(connection).await?)
}

/// A current block as an event finds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StandingBlock {
    pub id: String,
    pub park: String,
    pub number: String,
    pub area_m2: f64,
    pub illustrative: bool,
}

/// Current blocks of these parks, in the order of numbers.
pub async fn list_blocks(connection: &mut PgConnection, parks: &[String]) -> Result<Vec<StandingBlock>> {
    let rows: Vec<(String, String, String, f64, bool)> = sqlx::query_as(
        "SELECT id, park_code, number, area_m2, illustrative FROM park_block
         WHERE park_code = ANY ($1) AND valid_to = 'infinity' ORDER BY park_code, length(number), number",
    )
    .bind(parks)
    .fetch_all(connection)
    .await?;
    let block = |(id, park, number, area_m2, illustrative)| StandingBlock { id, park, number, area_m2, illustrative };
    Ok(rows.into_iter().map(block).collect())
}

/// The boundary of a current block.
pub async fn boundary(connection: &mut PgConnection, id: &str) -> Result<Option<MultiPolygon<f64>>> {
    let sql = "SELECT ST_AsEWKB(geom) FROM park_block WHERE id = $1 AND valid_to = 'infinity'";
    let bytes: Option<Vec<u8>> = sqlx::query_scalar(sql).bind(id).fetch_optional(connection).await?;
    bytes.map(|bytes| geometry_column::decode(&bytes)).transpose()
}

/// Every number that the park's blocks ever had: none is given to other land.
pub async fn used_numbers(connection: &mut PgConnection, park: &str) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT number FROM park_block WHERE park_code = $1";
    Ok(sqlx::query_scalar(sql).bind(park).fetch_all(connection).await?)
}

/// A block that goes on under another park.
#[derive(Debug, Clone, PartialEq)]
pub struct Succession {
    pub from: String,
    pub park: String,
    pub number: String,
}

impl Succession {
    /// The id of the block to come.
    pub fn child(&self) -> String {
        format!("{}-{}", self.park, self.number)
    }
}

/// Blocks that ended on this day begin again under their new parks, with boundary, words and papers as they were.
pub async fn continue_blocks(connection: &mut PgConnection, blocks: &[Succession], on: NaiveDate) -> Result<u64> {
    let column = |of: fn(&Succession) -> &String| blocks.iter().map(|b| of(b).clone()).collect::<Vec<_>>();
    Ok(sqlx::query(
        "INSERT INTO park_block (id, park_code, number, name, geom, area_m2, stated_area_ha, east, south, west, north, four_extents,
             illustrative, source, source_crs, attributes, valid_from)
         SELECT s.park || '-' || s.number, s.park, s.number, b.name, b.geom, b.area_m2, b.stated_area_ha, b.east, b.south, b.west, b.north,
                b.four_extents, b.illustrative, b.source, b.source_crs, b.attributes, $4
         FROM unnest($1::text[], $2::text[], $3::text[]) AS s (from_id, park, number)
         JOIN park_block b ON b.id = s.from_id AND b.valid_to = $4",
    )
    .bind(column(|b| &b.from))
    .bind(column(|b| &b.park))
    .bind(column(|b| &b.number))
    .bind(on)
    .execute(connection)
    .await?
    .rows_affected())
}

/// A block of a shape of its own begins on this day.
pub async fn begin_block(connection: &mut PgConnection, block: &Block, on: NaiveDate) -> Result<()> {
    let attributes: serde_json::Map<String, serde_json::Value> =
        block.attributes.iter().map(|(k, v)| (k.clone(), serde_json::Value::String(v.clone()))).collect();
    let words = &block.four_extents;
    sqlx::query(
        "INSERT INTO park_block (id, park_code, number, name, geom, area_m2, stated_area_ha, east, south, west, north, four_extents,
             illustrative, source, source_crs, attributes, valid_from)
         VALUES ($1, $2, $3, $4, ST_GeomFromEWKB($5), $6, $7::float8::numeric, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
    )
    .bind(block.id.to_string())
    .bind(block.id.park().as_str())
    .bind(block.id.number())
    .bind(&block.name)
    .bind(geometry_column::encode(&block.boundary))
    .bind(block.area.value())
    .bind(block.stated_area.map(crate::domain::Hectares::value))
    .bind(&words.east)
    .bind(&words.south)
    .bind(&words.west)
    .bind(&words.north)
    .bind(&block.four_extents_text)
    .bind(block.illustrative)
    .bind(&block.source)
    .bind(&block.source_crs)
    .bind(serde_json::Value::Object(attributes))
    .bind(on)
    .execute(connection)
    .await?;
    Ok(())
}

/// A park begins its life on this day, with the area of its document.
pub async fn begin_park(
    connection: &mut PgConnection,
    park: &Park,
    approved: Option<DecimalHectares>,
    on: NaiveDate,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO park (code, name, aliases, level, type, prefecture_code, county_codes, leading_industries, approved_text,
             approved_area_ha, valid_from, source)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::numeric, $11, $12)",
    )
    .bind(park.code.as_str())
    .bind(&park.name)
    .bind(&park.aliases)
    .bind(park.level())
    .bind(&park.kind)
    .bind(park.prefecture.as_str())
    .bind(park.counties.iter().map(|c| c.as_str().to_owned()).collect::<Vec<_>>())
    .bind(&park.leading_industries)
    .bind(&park.approved_text)
    .bind(approved.map(|area| area.to_string()))
    .bind(on)
    .bind(&park.source)
    .execute(connection)
    .await?;
    Ok(())
}

/// The park ends on this day; it stays readable, and points to who goes on with it, if one does.
pub async fn end_park(
    connection: &mut PgConnection,
    code: &str,
    status: &str,
    successor: Option<&str>,
    on: NaiveDate,
) -> Result<()> {
    let sql = "UPDATE park SET status = $2, successor_code = $3, valid_to = $4 WHERE code = $1";
    sqlx::query(sql).bind(code).bind(status).bind(successor).bind(on).execute(connection).await?;
    Ok(())
}

/// What an event changes of a park that goes on; `None` leaves what stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ParkEdit {
    pub name: Option<String>,
    pub aliases: Option<Vec<String>>,
    pub county_codes: Option<Vec<String>>,
    pub approved_area: Option<DecimalHectares>,
}

/// Writes the edit where it changes something.
pub async fn edit_park(connection: &mut PgConnection, code: &str, edit: &ParkEdit) -> Result<u64> {
    Ok(sqlx::query(
        "UPDATE park p SET name = n.name, aliases = n.aliases, county_codes = n.county_codes, approved_area_ha = n.area
         FROM (SELECT coalesce($2, o.name) AS name, coalesce($3, o.aliases) AS aliases, coalesce($4, o.county_codes) AS county_codes,
                      coalesce($5::text::numeric, o.approved_area_ha) AS area FROM park o WHERE o.code = $1) n
         WHERE p.code = $1 AND (p.name, p.aliases, p.county_codes, p.approved_area_ha) IS DISTINCT FROM (n.name, n.aliases, n.county_codes, n.area)",
    )
    .bind(code)
    .bind(&edit.name)
    .bind(&edit.aliases)
    .bind(&edit.county_codes)
    .bind(edit.approved_area.map(|area| area.to_string()))
    .execute(connection)
    .await?
    .rows_affected())
}

/// Land of a block that went over to another.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockLine {
    pub event: String,
    pub parent: String,
    pub child: String,
    pub common_area_m2: f64,
}

/// Who has whose land from this day.
pub async fn insert_block_lines(connection: &mut PgConnection, lines: &[BlockLine], on: NaiveDate) -> Result<()> {
    let column = |of: fn(&BlockLine) -> &String| lines.iter().map(|l| of(l).clone()).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO block_lineage (event_id, parent_id, child_id, common_area_m2, effective_on)
         SELECT e, p, c, m2, $5 FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[]) AS t (e, p, c, m2)",
    )
    .bind(column(|l| &l.event))
    .bind(column(|l| &l.parent))
    .bind(column(|l| &l.child))
    .bind(lines.iter().map(|l| l.common_area_m2).collect::<Vec<_>>())
    .bind(on)
    .execute(connection)
    .await?;
    Ok(())
}

/// Parks that have events beside these: their rows and blocks are not what they once were.
pub async fn parks_with_other_events(connection: &mut PgConnection, ids: &[String]) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT park_code FROM park_event WHERE id <> ALL ($1) ORDER BY 1";
    Ok(sqlx::query_scalar(sql).bind(ids).fetch_all(connection).await?)
}

/// The divisions of this list that are of one level: `prefecture`, `county`.
pub async fn divisions_of_level(connection: &mut PgConnection, codes: &[String], level: &str) -> Result<Vec<String>> {
    let sql = "SELECT code FROM division WHERE code = ANY ($1) AND level = $2";
    Ok(sqlx::query_scalar(sql).bind(codes).bind(level).fetch_all(connection).await?)
}
