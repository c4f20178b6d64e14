//! Reading features of a declared layer: one query interface behind collections, until the snapshot takes its place.
//!
//! SQL is put together from names of the declaration alone; every value of a request is bound.

use std::fmt::Write as _;

use chrono::NaiveDate;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::{AssertSqlSafe, PgPool, Postgres};

use super::as_of;
use super::pool::begin_read_as;
use crate::domain::access::Viewer;
use crate::domain::items_query::{FilterValue, ItemsQuery};
use crate::domain::layer::{Layer, PropertyKind};
use crate::error::Result;

/// One feature as GeoJSON text, with its id and the day its life began.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureText {
    pub id: String,
    pub from: Option<NaiveDate>,
    pub json: String,
}

/// One page of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub features: Vec<FeatureText>,
    /// All features that match, on this page or not.
    pub matched: i64,
    /// Whether more follow.
    pub more: bool,
    /// The revision whose state this is.
    pub revision: i64,
}

/// The feature as RFC 7946 has it: exterior rings counter-clockwise, eight decimals, no `crs` member (option 0). The properties as a
/// row: a function takes a hundred arguments, and a ledger has more.
pub(super) fn feature_expression(layer: &Layer) -> String {
    let mut sql = String::from(
        "json_build_object('type', 'Feature', 'id', feature_id, 'geometry', ST_AsGeoJSON(ST_ForcePolygonCCW(geom), 8, 0)::json, 'properties', (SELECT row_to_json(p) FROM (SELECT ",
    );
    for property in layer.properties {
        let name = property.name;
        let _ = match property.kind {
            // An empty list tells a client nothing of what is in the others: GDAL takes the column for JSON, and QGIS shows nothing.
            PropertyKind::TextList => write!(sql, "nullif({name}, '{{}}') AS {name}, "),
            _ => write!(sql, "{name}, "),
        };
    }
    // `valid_from` and `valid_to` are every layer's temporal properties.
    sql.push_str("valid_from, valid_to) p))::text");
    sql
}

/// Conditions of the query; parameters are numbered in the order that [`bind`] binds them.
pub(super) fn conditions(layer: &Layer, query: &ItemsQuery) -> String {
    let mut sql = String::from("TRUE");
    let mut next = 0;
    let mut parameter = || {
        next += 1;
        next
    };
    if !query.boxes.is_empty() {
        let boxes: Vec<String> = query
            .boxes
            .iter()
            .map(|_| {
                let (w, s, e, n) = (parameter(), parameter(), parameter(), parameter());
                // Not ST_MakeEnvelope: a box without width or height must become a line or a point, not a polygon
                // without area, which meets nothing.
                let area =
                    format!("ST_SetSRID(ST_Envelope(ST_MakeLine(ST_Point(${w}, ${s}), ST_Point(${e}, ${n}))), 4490)");
                // `&&` by itself too: it is leak-proof and may ask the index before row-level security, ST_Intersects may not.
                format!("(geom && {area} AND ST_Intersects(geom, {area}))")
            })
            .collect();
        let _ = write!(sql, " AND ({})", boxes.join(" OR "));
    }
    match query.period {
        Some(_) => {
            let (from, to) = (parameter(), parameter());
            // A life is [valid_from, valid_to); a row without dates matches always.
            let _ = write!(
                sql,
                " AND (valid_from IS NULL OR ${to}::date IS NULL OR valid_from <= ${to}) AND (valid_to IS NULL OR ${from}::date IS NULL OR valid_to > ${from})"
            );
        }
        None if layer.current_only => sql.push_str(" AND valid_to IS NULL"),
        None => {}
    }
    for filter in &query.filters {
        let n = parameter();
        let name = filter.property.name;
        let _ = match filter.property.kind {
            PropertyKind::TextList => write!(sql, " AND ${n} = ANY({name})"),
            _ => write!(sql, " AND {name} = ${n}"),
        };
    }
    sql
}

fn parameter_count(query: &ItemsQuery) -> usize {
    query.boxes.len() * 4 + query.period.map_or(0, |_| 2) + query.filters.len()
}

pub(super) fn bind<'q, O>(
    mut sql: QueryAs<'q, Postgres, O, PgArguments>,
    query: &ItemsQuery,
) -> QueryAs<'q, Postgres, O, PgArguments> {
    for side in query.boxes.iter().flatten() {
        sql = sql.bind(*side);
    }
    if let Some((from, to)) = query.period {
        sql = sql.bind(from).bind(to);
    }
    for filter in &query.filters {
        sql = match &filter.value {
            FilterValue::Text(text) => sql.bind(text.clone()),
            FilterValue::Number(number) => sql.bind(*number),
            FilterValue::Boolean(boolean) => sql.bind(*boolean),
            FilterValue::Date(day) => sql.bind(*day),
        };
    }
    sql
}

/// One page and the number of all that match, from one state of the register; ordered by feature id; the lives of one id, where a period shows several, by the day they began.
pub async fn list_items(pool: &PgPool, viewer: &Viewer, layer: &Layer, query: &ItemsQuery) -> Result<Page> {
    let conditions = conditions(layer, query);
    let relation = as_of::relation(layer, query.revision);
    let n = parameter_count(query);
    let count_sql = format!("SELECT count(*) FROM {relation} WHERE {conditions}");
    let mut transaction = begin_read_as(pool, viewer).await?;
    let revision = as_of::look_back(&mut transaction, query.revision, query.period).await?;
    let (matched,): (i64,) = bind(sqlx::query_as(AssertSqlSafe(count_sql)), query).fetch_one(&mut *transaction).await?;
    let feature = feature_expression(layer);
    let (id, from, limit, offset) = (n + 1, n + 2, n + 3, n + 4);
    let page_sql = format!(
        "SELECT feature_id, valid_from, {feature} FROM {relation}
         WHERE {conditions} AND (${id}::text IS NULL OR feature_id > ${id}
             OR feature_id = ${id} AND coalesce(valid_from, '-infinity') > coalesce(${from}::date, '-infinity'))
         ORDER BY feature_id, coalesce(valid_from, '-infinity') LIMIT ${limit} OFFSET ${offset}"
    );
    // One more than asked for tells whether there is a next page.
    let rows: Vec<(String, Option<NaiveDate>, String)> = bind(sqlx::query_as(AssertSqlSafe(page_sql)), query)
        .bind(query.after.as_ref().map(|after| after.id.clone()))
        .bind(query.after.as_ref().and_then(|after| after.from))
        .bind(i64::from(query.limit) + 1)
        .bind(i64::from(query.offset))
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let more = rows.len() > query.limit as usize;
    let features =
        rows.into_iter().take(query.limit as usize).map(|(id, from, json)| FeatureText { id, from, json }).collect();
    Ok(Page { features, matched, more, revision })
}

/// One feature by its id: the life that meets the query's period (the last of several), else the current one. Also tells the
/// revision that was read. Filters and pages of the query play no part.
pub async fn find_item(
    pool: &PgPool,
    viewer: &Viewer,
    layer: &Layer,
    id: &str,
    query: &ItemsQuery,
) -> Result<(Option<FeatureText>, i64)> {
    let moment = ItemsQuery { period: query.period, revision: query.revision, ..ItemsQuery::default() };
    let sql = format!(
        "SELECT feature_id, valid_from, {} FROM {} WHERE {} AND feature_id = ${} ORDER BY valid_to DESC NULLS FIRST LIMIT 1",
        feature_expression(layer),
        as_of::relation(layer, moment.revision),
        conditions(layer, &moment),
        parameter_count(&moment) + 1,
    );
    let mut transaction = begin_read_as(pool, viewer).await?;
    let revision = as_of::look_back(&mut transaction, moment.revision, moment.period).await?;
    let row: Option<(String, Option<NaiveDate>, String)> =
        bind(sqlx::query_as(AssertSqlSafe(sql)), &moment).bind(id).fetch_optional(&mut *transaction).await?;
    transaction.commit().await?;
    Ok((row.map(|(id, from, json)| FeatureText { id, from, json }), revision))
}

/// Box and earliest date of a layer: its extent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerExtent {
    pub bbox: Option<[f64; 4]>,
    pub from: Option<NaiveDate>,
}

/// The extent of a layer's current features.
pub async fn extent(pool: &PgPool, viewer: &Viewer, layer: &Layer) -> Result<LayerExtent> {
    type Row = (Option<f64>, Option<f64>, Option<f64>, Option<f64>, Option<NaiveDate>);
    let sql = format!(
        "SELECT ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e), from_date
         FROM (SELECT ST_Extent(geom) AS e, min(valid_from) AS from_date FROM {}) x",
        layer.relation
    );
    let mut transaction = begin_read_as(pool, viewer).await?;
    let (w, s, e, n, from): Row = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(LayerExtent { bbox: w.zip(s).zip(e).zip(n).map(|(((w, s), e), n)| [w, s, e, n]), from })
}

/// A feature that may be edited.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionedFeature {
    pub feature: FeatureText,
    /// The revision that wrote its row: what an edit must be decided on.
    pub version: i64,
    /// The newest revision of the register that was read.
    pub newest: i64,
}

/// One current feature of a ledger by its id.
pub async fn find_versioned(
    pool: &PgPool,
    viewer: &Viewer,
    layer: &Layer,
    id: &str,
) -> Result<Option<VersionedFeature>> {
    let sql = format!(
        "SELECT feature_id, valid_from, {}, row_revision FROM {} WHERE feature_id = $1 AND valid_to IS NULL",
        feature_expression(layer),
        layer.relation
    );
    let mut transaction = begin_read_as(pool, viewer).await?;
    let newest = as_of::newest(&mut transaction).await?;
    let row: Option<(String, Option<NaiveDate>, String, i64)> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(row.map(|(id, from, json, version)| VersionedFeature {
        feature: FeatureText { id, from, json },
        version,
        newest,
    }))
}
