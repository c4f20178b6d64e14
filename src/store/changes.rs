//! The change feed (变更): every feature that a row of the log touched in a window of revisions, once, as it is at the end.
//!
//! SQL is put together from names of the declaration alone; every value of a request is bound.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::as_of;
use super::features::feature_expression;
use super::outlines::Shown;
use super::pool::begin_read_as;
use crate::domain::access::Viewer;
use crate::domain::generalisation::Generalisation;
use crate::domain::items_query::ItemsQuery;
use crate::domain::layer::{Layer, Shows, Source};
use crate::error::{Error, Result};
use crate::geometry::generalise;

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
    let shown = Shown::to(&mut transaction, viewer, layer, &at(state)).await?;
    let redrawn = match layer.generalisation_for(viewer) {
        Some(rule) => redrawn(&mut transaction, layer, rule, (query.since, until, state)).await?,
        None => Vec::new(),
    };
    let mut rows = touched_page(&mut transaction, &shown, state, query, (until, &redrawn)).await?;
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

/// All features at this revision, as it stands where it is none.
fn at(revision: Option<i64>) -> ItemsQuery {
    ItemsQuery { revision, ..ItemsQuery::default() }
}

/// Features that no row of the window touched, and whose outlines may have moved with those of what it touched: neighbours, by two steps from
/// box to box (`geometry::generalise`). All that may have, at any revision of the window, and not only what differs between its ends: a
/// client that loads a layer page by page while others write holds a bit of each.
async fn redrawn(
    connection: &mut PgConnection,
    layer: &Layer,
    rule: &Generalisation,
    (since, until, state): (i64, i64, Option<i64>),
) -> Result<Vec<String>> {
    // Before the first revision there was nothing: all that there is was touched since.
    if since == 0 || since == until {
        return Ok(Vec::new());
    }
    let moved: Vec<String> = layer.sources.iter().filter_map(moved_by).collect();
    if moved.is_empty() {
        return Ok(Vec::new());
    }
    let relation = as_of::relation(layer, state);
    let sql = format!(
        "WITH moved AS MATERIALIZED ({}),
              shapes AS MATERIALIZED (SELECT feature_id, ST_Envelope(geom) AS box FROM {relation} WHERE {}),
              touched AS MATERIALIZED (SELECT touched_id AS id FROM ({}) t),
              -- all that a feature covered in the window, hull of its parts
              boxes AS MATERIALIZED (
                  SELECT ST_SetSRID(ST_Expand(ST_Extent(box), $3)::geometry, 4490) AS box
                  FROM (SELECT id, box FROM moved UNION ALL SELECT feature_id, box FROM shapes WHERE feature_id IN (SELECT id FROM moved)) covered
                  GROUP BY id),
              others AS MATERIALIZED (SELECT feature_id, box FROM shapes WHERE feature_id NOT IN (SELECT id FROM touched)),
              -- where so much has moved, all of the others are near without a look
              near AS MATERIALIZED (
                  SELECT feature_id, ST_Expand(box, $3) AS box FROM others o
                  WHERE (SELECT count(*) FROM boxes) > $4 OR EXISTS (SELECT FROM boxes b WHERE o.box && b.box))
         SELECT feature_id FROM others o
         WHERE EXISTS (SELECT FROM boxes)
           AND ((SELECT count(*) FROM boxes) > $4 OR (SELECT count(*) FROM near) > $4 OR EXISTS (SELECT FROM boxes b WHERE o.box && b.box)
                OR EXISTS (SELECT FROM near n WHERE o.box && n.box))",
        moved.join(" UNION ALL "),
        current(layer),
        touched(layer, &relation),
    );
    Ok(sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(since)
        .bind(until)
        .bind(generalise::margin(rule))
        .bind(MOST_BOXES)
        .fetch_all(connection)
        .await?)
}

/// Boxes that are looked at one by one.
const MOST_BOXES: i64 = 1_000;

/// The boxes in which rows of a source had or have their shapes, with the features that they show in; where the shape, or whether it
/// stands, has changed.
fn moved_by(source: &Source) -> Option<String> {
    let id = match source.shows {
        Shows::AsItself => "c.feature_id".to_owned(),
        Shows::InFeatureOf(column) => format!("coalesce(c.after, c.before) ->> '{column}'"),
        // Its shape is not the feature's.
        Shows::WhereProperty(_) => return None,
    };
    Some(format!(
        "SELECT {id} AS id, ST_Envelope(g.shape::geometry) AS box FROM change c, LATERAL (VALUES (c.before_geom), (c.after_geom)) g (shape)
         WHERE c.revision > $1 AND c.revision <= $2 AND c.layer = '{}' AND g.shape IS NOT NULL
           AND (c.before_geom IS DISTINCT FROM c.after_geom OR c.before ->> 'valid_to' IS DISTINCT FROM c.after ->> 'valid_to')",
        source.table
    ))
}

type Row = (i64, DateTime<Utc>, String, Option<NaiveDate>, Option<String>);

/// `redrawn`: features that count as touched by the last revision of the window.
async fn touched_page(
    connection: &mut PgConnection,
    shown: &Shown<'_>,
    state: Option<i64>,
    query: &ChangesQuery,
    (until, redrawn): (i64, &[String]),
) -> Result<Vec<Row>> {
    let (layer, after) = (shown.layer, query.after.as_ref());
    // What was touched last before the page began stands on an earlier page.
    let from = after.map_or(query.since, |after| after.revision.max(query.since + 1) - 1);
    let sql = format!(
        "WITH touched AS ({} UNION ALL SELECT id COLLATE \"C\", $2 FROM unnest($6::text[]) AS redrawn (id)),
              page AS (SELECT touched_id, touched_revision FROM touched
                       WHERE (touched_revision, touched_id) > ($3, $4 COLLATE \"C\")
                       ORDER BY touched_revision, touched_id LIMIT $5)
         SELECT touched_revision, (SELECT made_at FROM revision WHERE number = touched_revision), touched_id, valid_from,
                CASE WHEN feature_id IS NOT NULL THEN {} END
         FROM page LEFT JOIN (SELECT * FROM {} WHERE {}) shown ON shown.feature_id = touched_id
         ORDER BY touched_revision, touched_id",
        touched(layer, &as_of::relation(layer, state)),
        feature_expression(layer),
        shown.relation(PAGE_PARAMETERS),
        current(layer),
    );
    let page = sqlx::query_as(AssertSqlSafe(sql))
        .bind(from)
        .bind(until)
        .bind(after.map_or(0, |after| after.revision))
        .bind(after.map_or("", |after| after.id.as_str()))
        .bind(i64::from(query.limit) + 1)
        .bind(redrawn);
    Ok(shown.bind(page).fetch_all(connection).await?)
}

/// Parameters of a page ahead of those of what is shown.
const PAGE_PARAMETERS: usize = 6;

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
