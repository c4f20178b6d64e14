//! The history of one feature (沿革记录): the revisions that touched it, which rows they touched, and its states between them.
//!
//! Inserts are not in the log's indexes; they are found through what came after: a row names the revision that wrote it, where it
//! stands as where a later change replaced it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use geo::MultiPolygon;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};

use super::as_of;
use super::changes::in_sight;
use super::features::feature_expression;
use super::geometry_column;
use super::pool::begin_read_as;
use crate::domain::access::Viewer;
use crate::domain::layer::{Layer, Shows, Source};
use crate::error::Result;

/// A row that a revision touched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TouchedRow {
    /// Position in the layer's sources.
    pub source: usize,
    pub id: String,
    /// The first day of its life, where its table has lives; `-infinity` = since ever.
    pub valid_from: Option<String>,
    /// `insert`, `update` or `delete`.
    pub operation: String,
}

/// Who made a revision, when and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    pub number: i64,
    pub made_at: DateTime<Utc>,
    pub actor: String,
    pub reason: String,
    pub source: String,
}

/// A feature as a layer showed it.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub json: String,
    pub geometry: Option<MultiPolygon<f64>>,
}

/// One revision of a feature's life.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub head: Head,
    pub rows: Vec<TouchedRow>,
    pub before: Option<State>,
    pub after: Option<State>,
}

/// One page of a history, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPage {
    /// Revisions that touched the feature, on this page or not.
    pub matched: usize,
    pub entries: Vec<Entry>,
    pub more: bool,
}

/// One page of the revisions that touched a feature before revision `before`; `None` where there never was such a feature in the
/// viewer's sight.
pub async fn list(
    pool: &PgPool,
    viewer: &Viewer,
    layer: &Layer,
    id: &str,
    before: Option<i64>,
    limit: usize,
) -> Result<Option<HistoryPage>> {
    let mut transaction = begin_read_as(pool, viewer).await?;
    let mut touched: BTreeMap<i64, Vec<TouchedRow>> = BTreeMap::new();
    for (position, source) in layer.sources.iter().enumerate() {
        if matches!(source.shows, Shows::WhereProperty(_)) {
            continue;
        }
        for (number, row) in rows_of(&mut transaction, position, source, id).await? {
            touched.entry(number).or_default().push(row);
        }
    }
    let own = touched.values().flatten().any(|row| row.source == 0);
    if !own {
        return Ok(None);
    }
    touched_from_outside(&mut transaction, layer, id, &mut touched).await?;
    let matched = touched.len();
    let mut numbers: Vec<i64> =
        touched.keys().rev().copied().filter(|number| before.is_none_or(|before| *number < before)).collect();
    let more = numbers.len() > limit;
    numbers.truncate(limit);
    let heads = heads(&mut transaction, &numbers).await?;
    let mut entries: Vec<Entry> = Vec::with_capacity(heads.len());
    // Between two of its revisions nothing touched it: the state before one is the state after the one before.
    let mut after = None;
    for (position, head) in heads.into_iter().enumerate() {
        let number = head.number;
        let state_after = match after.take() {
            Some(state) => state,
            None => state(&mut transaction, layer, id, number).await?,
        };
        let earlier = numbers.get(position + 1).copied().unwrap_or(number - 1);
        let state_before = state(&mut transaction, layer, id, earlier).await?;
        after = Some(state_before.clone());
        let mut rows = touched.remove(&number).unwrap_or_default();
        rows.sort();
        entries.push(Entry { head, rows, before: state_before, after: state_after });
    }
    transaction.commit().await?;
    Ok(Some(HistoryPage { matched, entries, more }))
}

/// The touched rows of one source that are the feature, or belong to it by a column.
async fn rows_of(
    connection: &mut PgConnection,
    position: usize,
    source: &Source,
    id: &str,
) -> Result<Vec<(i64, TouchedRow)>> {
    let (of_log, of_table) = match source.shows {
        Shows::InFeatureOf(column) => (format!("(c.before ->> '{column}') COLLATE \"C\" = $1"), column),
        _ => ("c.feature_id = $1".to_owned(), source.id),
    };
    // Rows of a table without lives say NULL for their day.
    let sql = format!(
        "WITH logged AS (
             SELECT c.revision, c.feature_id AS row_id, c.operation, c.before ->> 'valid_from' AS day,
                    CASE WHEN {before_in_sight} THEN (c.before ->> 'revision')::bigint END AS written
             FROM change c WHERE c.layer = '{table}' AND c.operation <> 'insert' AND {of_log}{}),
         standing AS (
             SELECT t.revision, t.{row_id}::text AS row_id, to_jsonb(t) ->> 'valid_from' AS day
             FROM public.{table} t WHERE t.{of_table} = $1{standing_in_sight}),
         versions AS (
             SELECT written AS revision, row_id, day FROM logged WHERE written IS NOT NULL UNION SELECT revision, row_id, day FROM standing)
         SELECT revision, row_id, day, operation FROM logged
         UNION
         -- A version that no update of the same revision left was inserted.
         SELECT v.revision, v.row_id, v.day, 'insert' FROM versions v
         WHERE NOT EXISTS (SELECT 1 FROM logged l WHERE l.revision = v.revision AND l.row_id = v.row_id
                           AND l.day IS NOT DISTINCT FROM v.day AND l.operation = 'update')",
        in_sight(source),
        // What a row was elsewhere is not theirs to know.
        before_in_sight =
            source.division.map_or("true".to_owned(), |division| format!("in_jurisdiction(c.before ->> '{division}')")),
        table = source.table,
        row_id = source.id,
        standing_in_sight =
            source.division.map_or(String::new(), |division| format!(" AND in_jurisdiction(t.{division})")),
    );
    let rows: Vec<(i64, String, Option<String>, String)> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_all(connection).await?;
    let row =
        |(number, id, valid_from, operation)| (number, TouchedRow { source: position, id, valid_from, operation });
    Ok(rows.into_iter().map(row).collect())
}

/// Rows that show in the feature through one of its properties, as it is now or was at the end: only while it was there.
async fn touched_from_outside(
    connection: &mut Transaction<'static, Postgres>,
    layer: &Layer,
    id: &str,
    touched: &mut BTreeMap<i64, Vec<TouchedRow>>,
) -> Result<()> {
    let (Some(first), Some(last)) = (touched.keys().next().copied(), touched.keys().next_back().copied()) else {
        return Ok(());
    };
    for (position, source) in layer.sources.iter().enumerate() {
        let Shows::WhereProperty(property) = source.shows else { continue };
        let newest = as_of::newest(connection).await?;
        let (key, until) = match key_of(connection, layer, id, property, newest).await? {
            Some(key) => (Some(key), newest),
            None => (key_of(connection, layer, id, property, last - 1).await?, last),
        };
        let Some(key) = key else { continue };
        for (number, row) in rows_of(connection, position, source, &key).await? {
            if number > first && number <= until {
                touched.entry(number).or_default().push(row);
            }
        }
    }
    Ok(())
}

async fn key_of(
    connection: &mut PgConnection,
    layer: &Layer,
    id: &str,
    property: &str,
    revision: i64,
) -> Result<Option<String>> {
    as_of::set(connection, revision).await?;
    let sql = format!(
        "SELECT {property}::text FROM {} WHERE feature_id = $1 ORDER BY valid_to DESC NULLS FIRST LIMIT 1",
        as_of::relation(layer, Some(revision))
    );
    Ok(sqlx::query_scalar::<_, Option<String>>(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?.flatten())
}

/// Newest first.
async fn heads(connection: &mut PgConnection, numbers: &[i64]) -> Result<Vec<Head>> {
    let rows: Vec<(i64, DateTime<Utc>, String, String, String)> = sqlx::query_as(
        "SELECT number, made_at, actor, reason, source FROM revision WHERE number = ANY($1) ORDER BY number DESC",
    )
    .bind(numbers)
    .fetch_all(connection)
    .await?;
    let head = |(number, made_at, actor, reason, source)| Head { number, made_at, actor, reason, source };
    Ok(rows.into_iter().map(head).collect())
}

/// The feature as the layer showed it as of a revision.
async fn state(connection: &mut PgConnection, layer: &Layer, id: &str, revision: i64) -> Result<Option<State>> {
    as_of::set(connection, revision).await?;
    let sql = format!(
        "SELECT {}, ST_AsEWKB(geom) FROM {} WHERE feature_id = $1{}
         ORDER BY valid_to DESC NULLS FIRST LIMIT 1",
        feature_expression(layer),
        as_of::relation(layer, Some(revision)),
        if layer.current_only { " AND valid_to IS NULL" } else { "" }
    );
    let row: Option<(String, Option<Vec<u8>>)> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?;
    let decoded = row.map(|(json, bytes)| {
        let geometry = bytes.map(|bytes| geometry_column::decode(&bytes)).transpose()?;
        Ok(State { json, geometry })
    });
    decoded.transpose()
}
