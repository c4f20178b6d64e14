//! What an approval writes beside the change itself: park, blocks. All of it needs an open revision.

use chrono::NaiveDate;
use sqlx::{FromRow, PgConnection};

use super::{ChangeRow, unreadable};
use crate::domain::boundary_change::ProposedBlock;
use crate::domain::lifecycle::{DecimalHectares, ParkStatus};
use crate::domain::{Block, ParkCode};
use crate::error::Result;
use crate::store::{as_of, blocks, geometry_column};

/// A park as a change finds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    pub name: String,
    pub status: ParkStatus,
    pub prefecture: String,
    /// Its counties, else its prefecture.
    pub divisions: Vec<String>,
    /// 核准面积 as text, to the digit; `None` where the register has none.
    pub approved_area: Option<String>,
    /// Current blocks, by number.
    pub blocks: Vec<Block>,
    /// Since when each of them stands so, in the same order; `None` = always.
    pub since: Vec<Option<NaiveDate>>,
}

impl Standing {
    /// 核准面积, exact.
    pub fn approved(&self) -> Option<DecimalHectares> {
        self.approved_area.as_deref().and_then(DecimalHectares::parse)
    }
}

/// The newest days of a park's past that are known. A boundary does not begin before them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromRow)]
pub struct LastDays {
    /// The park's own first day.
    pub founded: Option<NaiveDate>,
    /// The first day of the youngest block that stands.
    pub begun: Option<NaiveDate>,
    /// The first day on which the last block to end did not stand.
    pub ended: Option<NaiveDate>,
    /// The day of the last event.
    pub event: Option<NaiveDate>,
}

/// The park and its current blocks.
pub async fn list_standing(connection: &mut PgConnection, park: &ParkCode) -> Result<Option<Standing>> {
    type Found = (String, String, String, Vec<String>, Option<String>);
    let found: Option<Found> = sqlx::query_as(
        "SELECT name, status, prefecture_code, CASE WHEN county_codes = '{}' THEN ARRAY[prefecture_code] ELSE county_codes END,
                trim_scale(approved_area_ha)::text
         FROM park WHERE code = $1",
    )
    .bind(park.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let Some((name, status, prefecture, divisions, approved_area)) = found else { return Ok(None) };
    let status = ParkStatus::ALL.into_iter().find(|s| s.as_str() == status).ok_or_else(|| unreadable("园区状态"))?;
    let standing = blocks::list_current(connection, Some(park)).await?;
    let since: Vec<(String, Option<NaiveDate>)> = sqlx::query_as(
        "SELECT id, nullif(valid_from, '-infinity') FROM park_block WHERE park_code = $1 AND valid_to = 'infinity'",
    )
    .bind(park.as_str())
    .fetch_all(connection)
    .await?;
    let day = |id: String| since.iter().find(|(other, _)| *other == id).and_then(|(_, day)| *day);
    let since = standing.iter().map(|block| day(block.id.to_string())).collect();
    Ok(Some(Standing { name, status, prefecture, divisions, approved_area, blocks: standing, since }))
}

/// The newest days of the park, its blocks and its events. (What has stood for ever, and events without a day, say nothing.)
pub async fn last_days(connection: &mut PgConnection, park: &ParkCode) -> Result<LastDays> {
    Ok(sqlx::query_as(
        "SELECT (SELECT nullif(valid_from, '-infinity') FROM park WHERE code = $1) AS founded,
                (SELECT nullif(max(valid_from), '-infinity') FROM park_block WHERE park_code = $1 AND valid_to = 'infinity') AS begun,
                (SELECT max(valid_to) FROM park_block WHERE park_code = $1 AND valid_to < 'infinity') AS ended,
                (SELECT max(occurred_on) FROM park_event WHERE park_code = $1) AS event",
    )
    .bind(park.as_str())
    .fetch_one(connection)
    .await?)
}

/// Current blocks of the park that stand otherwise than they did behind revision `base` (come, gone, altered), each with the revision that
/// made it so. What was altered and brought back since is no difference. From here on the views of `as_of` show `base` to this transaction.
pub async fn blocks_changed_since(
    connection: &mut PgConnection,
    park: &ParkCode,
    base: i64,
) -> Result<Vec<(String, i64)>> {
    as_of::set(connection, base).await?;
    Ok(sqlx::query_as(
        "SELECT coalesce(n.id, t.id), coalesce(n.revision, (SELECT max(c.revision) FROM change c WHERE c.layer = 'park_block' AND c.feature_id = t.id))
         FROM (SELECT id, revision, to_jsonb(b) - 'revision' - 'geom' AS image, ST_AsEWKB(geom) AS shape FROM park_block b
               WHERE park_code = $1 AND valid_to = 'infinity') n
         FULL JOIN (SELECT id, to_jsonb(b) - 'revision' - 'geom' AS image, ST_AsEWKB(geom) AS shape FROM as_of.park_block b
                    WHERE park_code = $1 AND valid_to = 'infinity') t ON t.id = n.id
         WHERE n.image IS DISTINCT FROM t.image OR n.shape IS DISTINCT FROM t.shape ORDER BY 1",
    )
    .bind(park.as_str())
    .fetch_all(connection)
    .await?)
}

/// Begins the lives of these blocks on the day. `illustrative` and `sources` in their order.
pub async fn insert_blocks(
    connection: &mut PgConnection,
    park: &ParkCode,
    list: &[(&ProposedBlock, bool, String)],
    on: NaiveDate,
) -> Result<()> {
    let column = |pick: fn(&ProposedBlock) -> Option<String>| list.iter().map(|(b, ..)| pick(b)).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO park_block (id, park_code, number, name, geom, area_m2, stated_area_ha, east, south, west, north, four_extents,
             illustrative, source, valid_from)
         SELECT $1 || '-' || number, $1, number, name, geom::geometry, area_m2, stated::numeric, east, south, west, north, four_extents,
                illustrative, source, $2
         FROM unnest($3::text[], $4::text[], $5::bytea[], $6::float8[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
                     $13::boolean[], $14::text[])
              AS b (number, name, geom, area_m2, stated, east, south, west, north, four_extents, illustrative, source)",
    )
    .bind(park.as_str())
    .bind(on)
    .bind(list.iter().map(|(b, ..)| b.number.clone()).collect::<Vec<_>>())
    .bind(column(|b| b.name.clone()))
    .bind(list.iter().map(|(b, ..)| geometry_column::encode(&b.boundary)).collect::<Vec<_>>())
    .bind(list.iter().map(|(b, ..)| b.area_m2).collect::<Vec<_>>())
    .bind(list.iter().map(|(b, ..)| b.stated_area.to_string()).collect::<Vec<_>>())
    .bind(column(|b| b.four_extents.east.clone()))
    .bind(column(|b| b.four_extents.south.clone()))
    .bind(column(|b| b.four_extents.west.clone()))
    .bind(column(|b| b.four_extents.north.clone()))
    .bind(column(|b| b.four_extents_text.clone()))
    .bind(list.iter().map(|(_, illustrative, _)| *illustrative).collect::<Vec<_>>())
    .bind(list.iter().map(|(.., source)| source.clone()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// The park's status, and its approved area where one is given (a decimal as text).
pub async fn set_park(
    connection: &mut PgConnection,
    park: &ParkCode,
    status: ParkStatus,
    approved_area: Option<&str>,
) -> Result<()> {
    sqlx::query(
        "UPDATE park SET status = $2, approved_area_ha = coalesce($3::numeric, approved_area_ha)
         WHERE code = $1 AND (status, approved_area_ha) IS DISTINCT FROM ($2, coalesce($3::numeric, approved_area_ha))",
    )
    .bind(park.as_str())
    .bind(status.as_str())
    .bind(approved_area)
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives the park the status back that it had before this change put it under adjustment, where it still is.
pub async fn close_park(connection: &mut PgConnection, change: &ChangeRow) -> Result<()> {
    let Some(before) = change.park_status_before else { return Ok(()) };
    sqlx::query("UPDATE park SET status = $2 WHERE code = $1 AND status = 'under_adjustment'")
        .bind(change.park.as_str())
        .bind(before.as_str())
        .execute(connection)
        .await?;
    Ok(())
}
