//! Scenarios (推演方案) as they are kept, and what a transaction that tries one has made of the register.

use std::time::Duration;

use chrono::{DateTime, Utc};
use geo::MultiPolygon;
use serde_json::Value;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgPool, Postgres, Transaction};

use super::pool::{self, IDLING, WRITER_IDLING};
use super::{as_of, changes, geometry_column, undo};
use crate::domain::access::{Jurisdiction, Viewer};
use crate::domain::layer::Layer;
use crate::error::Result;

/// A scenario as it is kept.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct ScenarioRow {
    pub id: i64,
    pub name: String,
    pub actor: String,
    /// Empty in a list.
    pub operations: Value,
    pub operation_count: i32,
    pub base_revision: i64,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub applied_revision: Option<i64>,
    /// That revision has been undone: nothing of it stands. Not asked for in a list.
    #[sqlx(default)]
    pub undone: bool,
}

const COLUMNS: &str = "id, name, actor, jsonb_array_length(operations) AS operation_count, base_revision, version, created_at, updated_at, applied_revision";

/// Keeps a new one; gives its number.
pub async fn create(
    connection: &mut PgConnection,
    name: &str,
    actor: &str,
    jurisdiction: &[String],
    operations: &Value,
    base_revision: i64,
) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "INSERT INTO scenario (name, actor, jurisdiction, operations, base_revision) VALUES ($1, $2, $3, $4, $5) RETURNING id",
    )
    .bind(name)
    .bind(actor)
    .bind(jurisdiction)
    .bind(operations)
    .bind(base_revision)
    .fetch_one(connection)
    .await?)
}

/// The scenario, held for the rest of the transaction where it is to be changed.
pub async fn find(connection: &mut PgConnection, id: i64, lock: bool) -> Result<Option<ScenarioRow>> {
    let lock = if lock { " FOR UPDATE" } else { "" };
    let sql = format!("SELECT {COLUMNS}, operations FROM scenario WHERE id = $1{lock}");
    let mut found: Option<ScenarioRow> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(&mut *connection).await?;
    if let Some(row) = &mut found
        && let Some(revision) = row.applied_revision
    {
        row.undone = undo::is_undone(connection, revision).await?;
    }
    Ok(found)
}

/// Somebody's own, or all; newest first, without their operations. `before` pages on.
pub async fn list(
    connection: &mut PgConnection,
    actor: Option<&str>,
    limit: i64,
    before: Option<i64>,
) -> Result<Vec<ScenarioRow>> {
    let sql = format!(
        "SELECT {COLUMNS}, '[]'::jsonb AS operations FROM scenario WHERE ($1::text IS NULL OR actor = $1) AND ($2::bigint IS NULL OR id < $2)
         ORDER BY id DESC LIMIT $3"
    );
    Ok(sqlx::query_as(AssertSqlSafe(sql)).bind(actor).bind(before).bind(limit).fetch_all(connection).await?)
}

/// How many one has that are not applied.
pub async fn count_open(connection: &mut PgConnection, actor: &str) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM scenario WHERE actor = $1 AND applied_revision IS NULL")
        .bind(actor)
        .fetch_one(connection)
        .await?)
}

/// Puts another name, other deeds and another picture in the place of what stands; one whose application was undone is open again.
pub async fn update(
    connection: &mut PgConnection,
    id: i64,
    name: &str,
    operations: &Value,
    base_revision: i64,
) -> Result<()> {
    sqlx::query(
        "UPDATE scenario SET name = $2, operations = $3, base_revision = $4, applied_revision = NULL, version = version + 1, updated_at = clock_timestamp()
         WHERE id = $1",
    )
    .bind(id)
    .bind(name)
    .bind(operations)
    .bind(base_revision)
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn set_applied(connection: &mut PgConnection, id: i64, revision: i64) -> Result<()> {
    sqlx::query(
        "UPDATE scenario SET applied_revision = $2, version = version + 1, updated_at = clock_timestamp() WHERE id = $1",
    )
    .bind(id)
    .bind(revision)
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn remove(connection: &mut PgConnection, id: i64) -> Result<()> {
    sqlx::query("DELETE FROM scenario WHERE id = $1").bind(id).execute(connection).await?;
    Ok(())
}

/// A reader beside a trial, which may wait for as long as the trial takes. What it sees is settled by its first look: to be had before
/// the write lock, and looked through behind it.
pub async fn begin_beside(pool: &PgPool, viewer: &Viewer) -> Result<Transaction<'static, Postgres>> {
    pool::begin_read_with(pool, viewer, &[(IDLING, WRITER_IDLING)]).await
}

/// No statement of the transaction takes longer: one whose client has gone away keeps the write lock to its end.
pub async fn limit_statements(connection: &mut PgConnection, longest: Duration) -> Result<()> {
    sqlx::query("SELECT set_config('statement_timeout', $1, true)")
        .bind(format!("{}ms", longest.as_millis()))
        .execute(connection)
        .await?;
    Ok(())
}

/// What follows can be taken back by [`take_back`] without ending the transaction.
pub async fn begin_trial(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("SAVEPOINT trial").execute(connection).await?;
    Ok(())
}

pub async fn take_back(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("ROLLBACK TO SAVEPOINT trial").execute(connection).await?;
    Ok(())
}

/// A row that the open revision wrote and that others have written since another one.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct MovedRow {
    pub table: String,
    pub id: String,
    /// The newest of theirs.
    pub revision: i64,
    /// Of a row that is one county's.
    pub county: Option<String>,
}

/// Rows that the open revision wrote and that others have written since another one.
pub async fn moved_since(connection: &mut PgConnection, base: i64, revision: i64) -> Result<Vec<MovedRow>> {
    Ok(sqlx::query_as(
        "SELECT c.layer AS table, c.feature_id AS id, max(c.revision) AS revision,
                (array_agg(coalesce(c.after, c.before) ->> 'county_code' ORDER BY c.revision DESC))[1] AS county
         FROM (SELECT DISTINCT layer, feature_id FROM change WHERE revision = $2) own
         JOIN change c ON c.layer = own.layer AND c.feature_id = own.feature_id
         WHERE c.revision > $1 AND c.revision < $2
         GROUP BY 1, 2 ORDER BY 1, 2",
    )
    .bind(base)
    .bind(revision)
    .fetch_all(connection)
    .await?)
}

/// The features of a layer that the open revision touched.
pub async fn touched(connection: &mut PgConnection, layer: &Layer, revision: i64) -> Result<Vec<String>> {
    let tables = changes::touched_tables(connection, revision - 1, revision).await?;
    let tables: Vec<String> = tables.into_iter().map(|(_, table)| table).collect();
    if !layer.sources.iter().any(|source| tables.iter().any(|table| table == source.table)) {
        return Ok(Vec::new());
    }
    changes::touched_ids(connection, layer, &tables, revision - 1, revision).await
}

/// A feature as the connection has it.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureState {
    pub id: String,
    pub properties: Value,
    pub land: Option<MultiPolygon<f64>>,
}

/// The current ones of these features, by their ids.
pub async fn features(connection: &mut PgConnection, layer: &Layer, ids: &[String]) -> Result<Vec<FeatureState>> {
    let sql = format!(
        "SELECT feature_id, to_jsonb(r) - 'geom' - 'feature_id', ST_AsEWKB(geom) FROM {} r
         WHERE feature_id = ANY($1) AND {} ORDER BY feature_id COLLATE \"C\"",
        as_of::relation(layer, None),
        changes::current(layer)
    );
    let rows: Vec<(String, Value, Option<Vec<u8>>)> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(connection).await?;
    rows.into_iter()
        .map(|(id, properties, land)| {
            let land = land.as_deref().map(geometry_column::decode).transpose()?;
            Ok(FeatureState { id, properties, land })
        })
        .collect()
}

/// Parcels of these parks in a jurisdiction, whatever the transaction speaks for: park, ledger, number, m². (Added up in one order, so
/// that the same land gives the same digits.)
pub async fn parcels_of(
    connection: &mut PgConnection,
    jurisdiction: &Jurisdiction,
    parks: &[String],
) -> Result<Vec<(String, String, i64, f64)>> {
    let counties: Option<Vec<String>> = match jurisdiction {
        Jurisdiction::Everywhere => None,
        Jurisdiction::Divisions(own) => Some(own.iter().map(|code| format!("{}%", code.prefix())).collect()),
    };
    Ok(sqlx::query_as(
        "SELECT park_code, 'turnover_parcels', count(*), coalesce(sum(area_m2 ORDER BY id), 0) FROM turnover_parcel
         WHERE valid_to = 'infinity' AND park_code = ANY($1) AND ($2::text[] IS NULL OR county_code LIKE ANY ($2)) GROUP BY 1
         UNION ALL
         SELECT park_code, 'low_efficiency_parcels', count(*), coalesce(sum(area_m2 ORDER BY id), 0) FROM low_efficiency_parcel
         WHERE valid_to = 'infinity' AND park_code = ANY($1) AND ($2::text[] IS NULL OR county_code LIKE ANY ($2)) GROUP BY 1
         ORDER BY 1, 2",
    )
    .bind(parks)
    .bind(counties)
    .fetch_all(connection)
    .await?)
}
