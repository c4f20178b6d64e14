//! What a revision did to parks, blocks, parcels and boundary changes, as the log tells it: the same while it is open, after it, and years on.

use std::collections::HashMap;

use chrono::NaiveDate;
use serde_json::Value;
use sqlx::PgConnection;

use crate::error::Result;

/// A park before and after; `None` = it was not there.
#[derive(Debug, Clone, PartialEq)]
pub struct ParkChange {
    pub code: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// Parks that the revision wrote, by code.
pub async fn parks(connection: &mut PgConnection, revision: i64) -> Result<Vec<ParkChange>> {
    // (An event may write a row twice: what was first, and what came out.)
    let rows: Vec<(String, Option<Value>, Option<Value>)> = sqlx::query_as(
        "SELECT feature_id, (array_agg(before::jsonb ORDER BY ordinal))[1], (array_agg(after::jsonb ORDER BY ordinal DESC))[1]
         FROM change WHERE revision = $1 AND layer = 'park' GROUP BY feature_id ORDER BY feature_id",
    )
    .bind(revision)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(code, before, after)| ParkChange { code, before, after }).collect())
}

/// Ids of blocks whose life ended or began by the revision.
pub async fn blocks(connection: &mut PgConnection, revision: i64) -> Result<(Vec<String>, Vec<String>)> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT operation, feature_id FROM change WHERE revision = $1 AND layer = 'park_block' ORDER BY ordinal",
    )
    .bind(revision)
    .fetch_all(connection)
    .await?;
    let of = |wanted: &str| rows.iter().filter(|(op, _)| op == wanted).map(|(_, id)| id.clone()).collect();
    Ok((of("update"), of("insert")))
}

/// Parcels of a ledger that lie in another park by the revision.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct ParcelMove {
    /// The ledger's table.
    pub ledger: String,
    pub from_park: Option<String>,
    pub to_park: Option<String>,
    pub count: i64,
    /// Of these, how many name another park on paper than the one that they lie in now.
    pub stated_elsewhere: i64,
    /// Redevelopment plans in force of these parcels.
    pub plans: i64,
}

/// The parcels that changed their park or block, by ledger and parks.
pub async fn parcels(connection: &mut PgConnection, revision: i64) -> Result<Vec<ParcelMove>> {
    Ok(sqlx::query_as(
        "SELECT c.layer AS ledger, c.before ->> 'park_code' AS from_park, c.after ->> 'park_code' AS to_park, count(DISTINCT c.feature_id) AS count,
                count(DISTINCT c.feature_id) FILTER (WHERE c.after ->> 'stated_park_code' IS DISTINCT FROM c.after ->> 'park_code'
                                   AND c.after ->> 'stated_park' IS NOT NULL) AS stated_elsewhere,
                count(DISTINCT r.id) AS plans
         FROM change c
         LEFT JOIN redevelopment_plan r ON c.layer = 'low_efficiency_parcel' AND r.parcel_id = c.feature_id AND r.valid_to = 'infinity'
             AND r.state <> 'cancelled'
         WHERE c.revision = $1 AND c.layer IN ('turnover_parcel', 'low_efficiency_parcel') AND c.operation = 'update'
         GROUP BY 1, 2, 3 ORDER BY 1 DESC, 2 NULLS LAST, 3 NULLS LAST",
    )
    .bind(revision)
    .fetch_all(connection)
    .await?)
}

/// Ids of rows of a table that the revision wrote, in the order of writing.
pub async fn ids(connection: &mut PgConnection, revision: i64, table: &str) -> Result<Vec<String>> {
    let sql = "SELECT feature_id FROM change WHERE revision = $1 AND layer = $2 GROUP BY 1 ORDER BY min(ordinal)";
    Ok(sqlx::query_scalar(sql).bind(revision).bind(table).fetch_all(connection).await?)
}

/// The events of a revision that still stand, in the order in which they were written, as JSON objects; each with its kind and day.
pub async fn events(connection: &mut PgConnection, revision: i64) -> Result<Vec<(String, Option<NaiveDate>, Value)>> {
    Ok(sqlx::query_as(
        "SELECT e.kind, e.occurred_on, jsonb_build_object('id', e.id, 'park_code', e.park_code, 'kind', e.kind,
             'occurred_on', e.occurred_on, 'document_no', e.document_no,
             'area_before_ha', trim_scale(e.area_before_ha), 'area_out_ha', trim_scale(e.area_out_ha),
             'area_in_ha', trim_scale(e.area_in_ha), 'area_after_ha', trim_scale(e.area_after_ha),
             'related_park_codes', to_jsonb(e.related_park_codes), 'note', e.note, 'source', e.source)
         FROM change c JOIN park_event e ON e.id = c.feature_id
         WHERE c.revision = $1 AND c.layer = 'park_event' AND c.operation = 'insert' ORDER BY c.ordinal",
    )
    .bind(revision)
    .fetch_all(connection)
    .await?)
}

/// An event of one of these parks that the revision has filed for another day: park and day.
pub async fn event_of_another_day(
    connection: &mut PgConnection,
    revision: i64,
    parks: &[String],
    on: NaiveDate,
) -> Result<Option<(String, NaiveDate)>> {
    let sql = "SELECT park_code, occurred_on FROM park_event
               WHERE revision = $1 AND park_code = ANY ($2) AND occurred_on <> $3 ORDER BY 1, 2 LIMIT 1";
    Ok(sqlx::query_as(sql).bind(revision).bind(parks).bind(on).fetch_optional(connection).await?)
}

/// Who has whose land by the revision's events: parent, child, common area.
pub async fn block_lines(connection: &mut PgConnection, revision: i64) -> Result<Vec<(String, String, f64)>> {
    Ok(sqlx::query_as(
        "SELECT l.parent_id, l.child_id, l.common_area_m2 FROM change c
         JOIN block_lineage l ON l.event_id || '@' || l.parent_id || '@' || l.child_id = c.feature_id
         WHERE c.revision = $1 AND c.layer = 'block_lineage' ORDER BY c.ordinal",
    )
    .bind(revision)
    .fetch_all(connection)
    .await?)
}

/// Parks whose rows, blocks or events the revision wrote.
pub async fn codes(connection: &mut PgConnection, revision: i64) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT DISTINCT CASE layer WHEN 'park' THEN feature_id ELSE coalesce(after, before) ->> 'park_code' END
         FROM change WHERE revision = $1 AND layer IN ('park', 'park_block', 'park_event', 'directory_entry') ORDER BY 1",
    )
    .bind(revision)
    .fetch_all(connection)
    .await?)
}

/// Prefecture and counties of the parks whose rows the revision wrote, as it left them, or as they were before it took them away.
pub async fn places(connection: &mut PgConnection, revision: i64) -> Result<HashMap<String, (String, Vec<String>)>> {
    let rows: Vec<(String, String, Vec<String>)> = sqlx::query_as(
        "SELECT feature_id, image ->> 'prefecture_code', ARRAY(SELECT json_array_elements_text(image -> 'county_codes'))
         FROM (SELECT DISTINCT ON (feature_id) feature_id, coalesce(after, before) AS image FROM change
               WHERE revision = $1 AND layer = 'park' ORDER BY feature_id, ordinal DESC) c",
    )
    .bind(revision)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(code, prefecture, counties)| (code, (prefecture, counties))).collect())
}

/// What stands on a park that the revision brought into the register and that it did not write itself: park and what. (Where the park
/// goes, these would hang in the air. What it wrote and somebody changed since,
/// [`super::undo::refuse_changed`] tells.)
pub async fn leaning(connection: &mut PgConnection, revision: i64) -> Result<Vec<(String, String)>> {
    Ok(sqlx::query_as(
        "WITH written AS MATERIALIZED (SELECT layer, feature_id, operation FROM change WHERE revision = $1),
         begun AS (SELECT feature_id AS code FROM written WHERE layer = 'park' AND operation = 'insert'),
         leaning AS (
             SELECT 'park_block' AS layer, '区块' AS what, t.id, t.park_code AS code FROM park_block t
             UNION ALL SELECT 'park_event', '沿革事件', t.id, t.park_code FROM park_event t
             UNION ALL SELECT 'boundary_change', '调区扩区', t.id, t.park_code FROM boundary_change t
             UNION ALL SELECT 'directory_entry', '名录条目', t.version_id || '@' || t.park_code, t.park_code FROM directory_entry t
             UNION ALL SELECT 'park', '并入的园区', t.code, t.successor_code FROM park t)
         SELECT DISTINCT b.code, l.what FROM begun b JOIN leaning l ON l.code = b.code
         WHERE NOT EXISTS (SELECT 1 FROM written w WHERE w.layer = l.layer AND w.feature_id = l.id)
         ORDER BY 1, 2",
    )
    .bind(revision)
    .fetch_all(connection)
    .await?)
}

/// Where and by which request the revision was made; where it undid another, that one, as far back as it goes. `None` where there is none.
pub async fn origin(connection: &mut PgConnection, revision: i64) -> Result<Option<String>> {
    Ok(sqlx::query_scalar(
        "WITH RECURSIVE back (number, source) AS (
             SELECT number, source FROM revision WHERE number = $1
             UNION ALL
             SELECT r.number, r.source FROM back b
             JOIN revision r ON r.number = substring(b.source FROM '^undo of revision ([0-9]{1,18})$')::bigint AND r.number < b.number)
         SELECT source FROM back ORDER BY number LIMIT 1",
    )
    .bind(revision)
    .fetch_optional(connection)
    .await?)
}

/// Of these tables, those whose rows an undo of the revision puts back: it wrote some, and not only because blocks moved.
pub async fn put_back(connection: &mut PgConnection, revision: i64, tables: &[&str]) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT t.name FROM unnest($2::text[]) AS t (name)
         WHERE EXISTS (SELECT 1 FROM change c WHERE c.revision = $1 AND c.layer = t.name) AND NOT follows_blocks($1, t.name)",
    )
    .bind(revision)
    .bind(tables)
    .fetch_all(connection)
    .await?)
}

/// Counties of the ledgers' rows that the revision wrote itself, before and after. Parcels that only lie in another block by it are not among
/// them: row by row what `follows_blocks` (migration 0021) asks of a table.
pub async fn counties(connection: &mut PgConnection, revision: i64) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT DISTINCT v.county
         FROM change c, LATERAL (VALUES (c.before ->> 'county_code'), (c.after ->> 'county_code')) v (county)
         WHERE c.revision = $1 AND v.county IS NOT NULL
           AND c.layer IN ('turnover_parcel', 'low_efficiency_parcel', 'redevelopment_plan', 'plan_step', 'parcel_transition', 'parcel_lineage')
           AND (c.layer NOT IN ('turnover_parcel', 'low_efficiency_parcel') OR c.operation <> 'update'
                OR c.before_geom IS DISTINCT FROM c.after_geom
                OR c.before::jsonb - '{park_code,block_id,inside_share,revision}'::text[]
                   IS DISTINCT FROM c.after::jsonb - '{park_code,block_id,inside_share,revision}'::text[])
         ORDER BY 1",
    )
    .bind(revision)
    .fetch_all(connection)
    .await?)
}

/// Parks that the revision wrote by boundary changes and not otherwise, and the divisions of each such change. (The event of an approved
/// change bears its number; what else happens to a park is an event of another, or begins or ends its row.)
pub async fn by_boundary_change_only(
    connection: &mut PgConnection,
    revision: i64,
) -> Result<HashMap<String, Vec<Vec<String>>>> {
    let rows: Vec<(String, Vec<String>)> = sqlx::query_as(
        "WITH written AS MATERIALIZED (
             SELECT layer, feature_id, operation, coalesce(after, before) AS image FROM change
             WHERE revision = $1 AND layer IN ('boundary_change', 'park', 'park_event', 'directory_entry')),
         changed AS (
             SELECT feature_id AS id, image ->> 'park_code' AS park_code,
                    ARRAY(SELECT json_array_elements_text(image -> 'division_codes')) AS divisions
             FROM written WHERE layer = 'boundary_change')
         SELECT DISTINCT c.park_code, c.divisions FROM changed c
         WHERE NOT EXISTS (
             SELECT 1 FROM written w
             WHERE w.layer = 'park' AND w.feature_id = c.park_code AND w.operation <> 'update'
                OR w.layer = 'directory_entry' AND w.image ->> 'park_code' = c.park_code
                OR w.layer = 'park_event' AND w.image ->> 'park_code' = c.park_code AND w.feature_id NOT IN (SELECT id FROM changed))",
    )
    .bind(revision)
    .fetch_all(connection)
    .await?;
    let mut parks: HashMap<String, Vec<Vec<String>>> = HashMap::new();
    for (park, divisions) in rows {
        parks.entry(park).or_default().push(divisions);
    }
    Ok(parks)
}

/// Boundary changes that are open though their park, which the revision wrote, has ended: change and park.
pub async fn open_changes_of_ended(connection: &mut PgConnection, revision: i64) -> Result<Vec<(String, String)>> {
    Ok(sqlx::query_as(
        "SELECT b.id, b.park_code FROM boundary_change b JOIN park p ON p.code = b.park_code
         WHERE b.state IN ('proposed', 'joint_review', 'public_notice') AND p.valid_to <> 'infinity'
           AND p.code IN (SELECT feature_id FROM change WHERE revision = $1 AND layer = 'park')
         ORDER BY 1",
    )
    .bind(revision)
    .fetch_all(connection)
    .await?)
}

/// The look at whether a parcel's park exists waits for the end of this transaction: a park may go before its parcels are placed anew.
pub async fn defer_parks_of_parcels(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("SET CONSTRAINTS turnover_parcel_park_fkey, low_efficiency_parcel_park_fkey DEFERRED")
        .execute(connection)
        .await?;
    Ok(())
}
