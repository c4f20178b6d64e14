//! The change feed (变更): every feature that a row of the log touched in a window of revisions, once, as it is at the end.
//!
//! SQL is put together from names of the declaration alone; every value of a request is bound.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::as_of;
use super::features::feature_expression;
use super::pool::begin_read_as;
use crate::domain::access::Viewer;
use crate::domain::layer::{Layer, Shows, Source};
use crate::error::{Error, Result};

/// What became of a feature between the ends of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Added,
    Changed,
    /// Gone, or out of the viewer's sight; also what came and went within the window.
    Removed,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Added => "added",
            Operation::Changed => "changed",
            Operation::Removed => "removed",
        }
    }

    fn between(before: bool, after: bool) -> Self {
        match (before, after) {
            (false, true) => Operation::Added,
            (true, true) => Operation::Changed,
            (_, false) => Operation::Removed,
        }
    }
}

/// A question to the feed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangesQuery {
    /// The client holds the state of this revision.
    pub since: i64,
    /// Further pages of a window that began earlier.
    pub after: Option<AfterChange>,
    pub limit: u32,
}

/// A place in the order of a window's pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfterChange {
    /// The end of the window, settled by its first page.
    pub until: i64,
    pub revision: i64,
    pub id: String,
}

/// A feature that was touched.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The last revision of the window that touched it, and when that was made.
    pub revision: i64,
    pub made_at: DateTime<Utc>,
    pub operation: Operation,
    pub id: String,
    pub valid_from: Option<NaiveDate>,
    /// As GeoJSON at the end of the window; `None` where it is removed.
    pub feature: Option<String>,
}

/// One page, in the order of (revision, id).
#[derive(Debug, Clone, PartialEq)]
pub struct ChangesPage {
    pub since: i64,
    pub until: i64,
    pub changes: Vec<Change>,
    pub more: bool,
}

/// One page of what has changed since.
pub async fn list(pool: &PgPool, viewer: &Viewer, layer: &Layer, query: &ChangesQuery) -> Result<ChangesPage> {
    let mut transaction = begin_read_as(pool, viewer).await?;
    let newest = as_of::newest(&mut transaction).await?;
    let until = query.after.as_ref().map_or(newest, |after| after.until);
    if query.since > newest || until > newest || until < query.since {
        return Err(since_unknown(newest));
    }
    let state = if until < newest {
        as_of::set(&mut transaction, until).await?;
        Some(until)
    } else {
        None
    };
    let mut rows = touched_page(&mut transaction, layer, state, query, until).await?;
    let more = rows.len() > query.limit as usize;
    rows.truncate(query.limit as usize);
    let ids: Vec<String> = rows.iter().map(|row| row.2.clone()).collect();
    let before = existing(&mut transaction, layer, query.since, &ids).await?;
    transaction.commit().await?;
    let change = |(revision, made_at, id, valid_from, feature): Row| Change {
        revision,
        made_at,
        operation: Operation::between(before.contains(&id), feature.is_some()),
        id,
        valid_from,
        feature,
    };
    Ok(ChangesPage { since: query.since, until, changes: rows.into_iter().map(change).collect(), more })
}

/// The refusal of a window that begins after the last revision.
pub fn since_unknown(newest: i64) -> Error {
    Error::invalid("since_unknown", format!("since 所指的修订还没有产生，或与 cursor 不相配；最新的修订是 {newest}"))
}

type Row = (i64, DateTime<Utc>, String, Option<NaiveDate>, Option<String>);

async fn touched_page(
    connection: &mut PgConnection,
    layer: &Layer,
    state: Option<i64>,
    query: &ChangesQuery,
    until: i64,
) -> Result<Vec<Row>> {
    let after = query.after.as_ref();
    // What was touched last before the page began stands on an earlier page.
    let from = after.map_or(query.since, |after| after.revision.max(query.since + 1) - 1);
    let relation = as_of::relation(layer, state);
    let sql = format!(
        "WITH touched AS ({}),
              page AS (SELECT touched_id, touched_revision FROM touched
                       WHERE (touched_revision, touched_id) > ($3, $4 COLLATE \"C\")
                       ORDER BY touched_revision, touched_id LIMIT $5)
         SELECT touched_revision, (SELECT made_at FROM revision WHERE number = touched_revision), touched_id, valid_from,
                CASE WHEN feature_id IS NOT NULL THEN {} END
         FROM page LEFT JOIN (SELECT * FROM {relation} WHERE {}) shown ON shown.feature_id = touched_id
         ORDER BY touched_revision, touched_id",
        touched(layer, &relation),
        feature_expression(layer),
        current(layer),
    );
    Ok(sqlx::query_as(AssertSqlSafe(sql))
        .bind(from)
        .bind(until)
        .bind(after.map_or(0, |after| after.revision))
        .bind(after.map_or("", |after| after.id.as_str()))
        .bind(i64::from(query.limit) + 1)
        .fetch_all(connection)
        .await?)
}

/// The features of a layer without a `datetime`.
pub(super) fn current(layer: &Layer) -> &'static str {
    if layer.current_only { "valid_to IS NULL" } else { "TRUE" }
}

/// The features that rows of these tables touched in these revisions, by the layer as it stands.
pub(super) async fn touched_ids(
    connection: &mut PgConnection,
    layer: &Layer,
    tables: &[String],
    since: i64,
    until: i64,
) -> Result<Vec<String>> {
    let is_touched = |source: &&Source| tables.iter().any(|table| table == source.table);
    let relation = as_of::relation(layer, None);
    let sql = format!(
        "SELECT touched_id FROM ({}) t",
        touched_from(layer.sources.iter().filter(is_touched), layer, &relation)
    );
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(since).bind(until).fetch_all(connection).await?)
}

/// Every feature touched in ($1, $2] with the last revision that did; by the layer's relation at the window's end.
fn touched(layer: &Layer, relation: &str) -> String {
    touched_from(layer.sources.iter(), layer, relation)
}

fn touched_from<'a>(sources: impl Iterator<Item = &'a Source>, layer: &Layer, relation: &str) -> String {
    let sources: Vec<String> = sources.map(|source| touched_by(source, layer, relation)).collect();
    format!(
        "SELECT touched_id COLLATE \"C\" AS touched_id, max(touched_revision) AS touched_revision
         FROM ({}) of_sources (touched_id, touched_revision) WHERE touched_id IS NOT NULL GROUP BY 1",
        sources.join(" UNION ALL ")
    )
}

fn touched_by(source: &Source, layer: &Layer, relation: &str) -> String {
    let rows = format!(
        "FROM change c WHERE c.revision > $1 AND c.revision <= $2 AND c.layer = '{}'{}",
        source.table,
        in_sight(source)
    );
    match source.shows {
        Shows::AsItself => format!("SELECT c.feature_id AS touched_id, c.revision AS touched_revision {rows}"),
        Shows::InFeatureOf(column) => {
            format!("SELECT coalesce(c.after, c.before) ->> '{column}', c.revision {rows}")
        }
        Shows::WhereProperty(property) => format!(
            "SELECT f.feature_id, k.touched_revision
             FROM (SELECT c.feature_id AS key, max(c.revision) AS touched_revision {rows} GROUP BY 1) k
             JOIN {relation} f ON f.{property} = k.key AND {}",
            if layer.current_only { "f.valid_to IS NULL" } else { "TRUE" }
        ),
    }
}

/// A row that was never in the viewer's sight is told of by nothing, not even by its end.
pub(super) fn in_sight(source: &Source) -> String {
    source.division.map_or(String::new(), |division| {
        format!(" AND (in_jurisdiction(c.before ->> '{division}') OR in_jurisdiction(c.after ->> '{division}'))")
    })
}

/// Which of these features the layer showed as of this revision.
async fn existing(
    connection: &mut PgConnection,
    layer: &Layer,
    revision: i64,
    ids: &[String],
) -> Result<HashSet<String>> {
    if revision == 0 || ids.is_empty() {
        return Ok(HashSet::new());
    }
    as_of::set(connection, revision).await?;
    let sql = format!(
        "SELECT feature_id FROM {} WHERE feature_id = ANY($1) AND {}",
        as_of::relation(layer, Some(revision)),
        current(layer)
    );
    Ok(sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).bind(ids).fetch_all(connection).await?.into_iter().collect())
}

/// How many features a window added, changed and removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub added: usize,
    pub changed: usize,
    pub removed: usize,
}

/// Counts what one revision did to a layer, as this viewer sees it.
pub async fn count(pool: &PgPool, viewer: &Viewer, layer: &Layer, revision: i64) -> Result<Counts> {
    let mut transaction = begin_read_as(pool, viewer).await?;
    as_of::set(&mut transaction, revision).await?;
    let relation = as_of::relation(layer, Some(revision));
    let sql = format!("SELECT touched_id FROM ({}) t", touched(layer, &relation));
    let ids: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(revision - 1).bind(revision).fetch_all(&mut *transaction).await?;
    let after = existing(&mut transaction, layer, revision, &ids).await?;
    let before = existing(&mut transaction, layer, revision - 1, &ids).await?;
    transaction.commit().await?;
    let mut counts = Counts::default();
    for id in &ids {
        match Operation::between(before.contains(id), after.contains(id)) {
            Operation::Added => counts.added += 1,
            Operation::Changed => counts.changed += 1,
            Operation::Removed => counts.removed += 1,
        }
    }
    Ok(counts)
}

/// The tables whose rows each of these revisions touched, in order.
pub async fn touched_tables(connection: &mut PgConnection, since: i64, until: i64) -> Result<Vec<(i64, String)>> {
    Ok(sqlx::query_as(
        "SELECT DISTINCT revision, layer FROM change WHERE revision > $1 AND revision <= $2 ORDER BY 1, 2",
    )
    .bind(since)
    .bind(until)
    .fetch_all(connection)
    .await?)
}
