//! Reading features of a declared layer: for what memory does not answer (src/layers/snapshot), and to the same bytes.
//!
//! SQL is put together from names of the declaration alone; every value of a request is bound.

use std::fmt::Write as _;

use chrono::NaiveDate;
use sqlx::{AssertSqlSafe, PgPool};

use super::conditions::{Order, bind, conditions, parameter_count, relation};
use super::geometry_column;
use super::outlines::Shown;
use super::pool::{PLAN_ONCE, begin_read_as, begin_read_with};
use super::{as_of, changes};
use crate::domain::access::Viewer;
use crate::domain::items_query::ItemsQuery;
use crate::domain::layer::{Layer, Property, PropertyKind};
use crate::error::Result;
use crate::geometry::flat::FlatGeometry;

/// One feature, with the day its life began.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureRow {
    pub id: String,
    pub from: Option<NaiveDate>,
    /// A JSON object as text, in the order of the declaration.
    pub properties: String,
    pub geometry: Option<FlatGeometry>,
    /// The values that the page was sorted by.
    pub keys: Vec<Option<String>>,
}

/// One page of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub features: Vec<FeatureRow>,
    /// All features that match, on this page or not.
    pub matched: i64,
    /// Whether more follow.
    pub more: bool,
    /// The revision whose state this is.
    pub revision: i64,
}

/// The feature as RFC 7946 has it: exterior rings counter-clockwise, eight decimals, no `crs` member (option 0). `layers::encode` writes
/// the same.
pub(super) fn feature_expression(layer: &Layer) -> String {
    marked_feature_expression(layer, None)
}

/// The same with a property that says that the shape is an outline.
pub(super) fn marked_feature_expression(layer: &Layer, mark: Option<&str>) -> String {
    // (An operator's own property of that name stands.)
    let mark = mark.filter(|_| layer.property(OUTLINE).is_none());
    let further = mark.map_or(String::new(), |mark| format!("'{mark}'::text AS {OUTLINE}, "));
    format!(
        "json_build_object('type', 'Feature', 'id', feature_id, 'geometry', ST_AsGeoJSON(ST_ForcePolygonCCW(geom), 8, 0)::json, 'properties', {})::text",
        properties_with(layer, &further)
    )
}

/// The property that marks an outline.
const OUTLINE: &str = "outline";

/// The properties as JSON. As a row: a function takes a hundred arguments, and a ledger has more.
pub(super) fn properties_expression(layer: &Layer) -> String {
    properties_with(layer, "")
}

/// The same with further columns, each with a comma behind it.
fn properties_with(layer: &Layer, further: &str) -> String {
    format!("(SELECT row_to_json({row}) FROM ({}) {row})", properties_query(layer, further), row = row_of(layer))
}

/// What the row of the properties is called: as none of them is, which would be taken for it.
pub(super) fn row_of(layer: &Layer) -> String {
    let mut name = "p".to_owned();
    while layer.properties.iter().any(|property| property.name == name) {
        name.push('_');
    }
    name
}

/// The query whose row is the properties.
pub(super) fn properties_query(layer: &Layer, further: &str) -> String {
    let mut sql = String::from("SELECT ");
    for property in layer.properties {
        let (column, name) = (property.column, quoted(property.name));
        let _ = match property.kind {
            // An empty list tells a client nothing of what is in the others: GDAL takes the column for JSON, and QGIS shows nothing.
            PropertyKind::TextList | PropertyKind::NumberList => write!(sql, "nullif({column}, '{{}}') AS {name}, "),
            PropertyKind::DateTime => write!(sql, "replace(to_json({column}) #>> '{{}}', '+00:00', 'Z') AS {name}, "),
            _ => write!(sql, "{column} AS {name}, "),
        };
    }
    if layer.has_past() {
        // The temporal properties of every layer of the register.
        sql.push_str("valid_from, valid_to, ");
    }
    sql.push_str(further);
    // (Without any property the row is empty: `{}`.)
    let end = sql.strip_suffix(", ").map_or(sql.len(), str::len);
    sql.truncate(end);
    sql
}

/// A property's name as the name of a column: it is the key in the row's JSON.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The columns of a [`Row`].
pub(super) fn row_columns(layer: &Layer) -> String {
    // Named: what is sorted by is looked for among these names first, and a column of an operator's may be called as a function is.
    format!(
        "feature_id, valid_from, {}::text AS sizhi_properties, ST_AsEWKB(geom) AS sizhi_shape",
        properties_expression(layer)
    )
}

pub(super) type Row = (String, Option<NaiveDate>, String, Option<Vec<u8>>);

impl FeatureRow {
    pub(super) fn of((id, from, properties, geometry): Row, keys: Vec<Option<String>>) -> Result<Self> {
        let geometry = geometry.as_deref().and_then(geometry_column::decode_shown);
        // An operator's table may hold empty shapes; they are shown as what they are: nothing.
        Ok(Self { id, from, properties, geometry: geometry.filter(|geometry| !geometry.is_empty()), keys })
    }
}

/// One page and the number of all that match, from one state of the register; ordered by feature id; the lives of one id, where a period shows several, by the day they began.
pub async fn list_items(pool: &PgPool, viewer: &Viewer, layer: &Layer, query: &ItemsQuery) -> Result<Page> {
    let mut transaction = begin_read_as(pool, viewer).await?;
    let revision = as_of::look_back(&mut transaction, query.revision, query.period).await?;
    let shown = Shown::to(&mut transaction, viewer, layer, query).await?;
    let (relation, conditions) = (relation(&shown), conditions(&shown, query));
    let n = parameter_count(&shown, query);
    let count_sql = format!("SELECT count(*) FROM {relation} WHERE {conditions}");
    let (matched,): (i64,) =
        bind(sqlx::query_as(AssertSqlSafe(count_sql)), &shown, query).fetch_one(&mut *transaction).await?;
    if matched == 0 {
        // A search of words reads every row: not twice to find none.
        transaction.commit().await?;
        return Ok(Page { features: Vec::new(), matched, more: false, revision });
    }
    let columns = row_columns(layer);
    let order = Order::of(query, n);
    let page_sql = format!(
        "SELECT {columns}, ARRAY[{}]::text[] AS sizhi_keys FROM {relation}
         WHERE {conditions} AND {} ORDER BY {} LIMIT ${} OFFSET ${}",
        order.values,
        order.after,
        order.by,
        n + order.bound + 1,
        n + order.bound + 2
    );
    // One more than asked for tells whether there is a next page.
    let page = order.bind(bind(sqlx::query_as(AssertSqlSafe(page_sql)), &shown, query), query);
    let rows: Vec<(String, Option<NaiveDate>, String, Option<Vec<u8>>, Vec<Option<String>>)> =
        page.bind(i64::from(query.limit) + 1).bind(i64::from(query.offset)).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    let more = rows.len() > query.limit as usize;
    let features = rows.into_iter().take(query.limit as usize);
    let features = features
        .map(|(id, from, properties, geometry, keys)| FeatureRow::of((id, from, properties, geometry), keys))
        .collect::<Result<_>>()?;
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
) -> Result<(Option<FeatureRow>, i64)> {
    let moment = ItemsQuery { period: query.period, revision: query.revision, ..ItemsQuery::default() };
    let mut transaction = begin_read_as(pool, viewer).await?;
    let revision = as_of::look_back(&mut transaction, moment.revision, moment.period).await?;
    let shown = Shown::to(&mut transaction, viewer, layer, &moment).await?;
    let sql = format!(
        "SELECT {} FROM {} WHERE {} AND feature_id = ${} ORDER BY valid_to DESC NULLS FIRST LIMIT 1",
        row_columns(layer),
        relation(&shown),
        conditions(&shown, &moment),
        parameter_count(&shown, &moment) + 1,
    );
    let row: Option<Row> =
        bind(sqlx::query_as(AssertSqlSafe(sql)), &shown, &moment).bind(id).fetch_optional(&mut *transaction).await?;
    transaction.commit().await?;
    Ok((row.map(|row| FeatureRow::of(row, Vec::new())).transpose()?, revision))
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
    let mut transaction = begin_read_as(pool, viewer).await?;
    let shown = Shown::to(&mut transaction, viewer, layer, &ItemsQuery::default()).await?;
    let sql = format!(
        "SELECT ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e), from_date
         FROM (SELECT ST_Extent(geom) AS e, min(valid_from) AS from_date FROM {} WHERE {}) x",
        shown.relation(0),
        changes::current(layer)
    );
    let (w, s, e, n, from): Row = shown.bind(sqlx::query_as(AssertSqlSafe(sql))).fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(LayerExtent { bbox: w.zip(s).zip(e).zip(n).map(|(((w, s), e), n)| [w, s, e, n]), from })
}

/// A feature that may be edited.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionedFeature {
    pub feature: FeatureRow,
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
    // A ledger is internal: nobody sees it but those who see what was surveyed.
    let sql = format!(
        "SELECT {}, row_revision FROM {} WHERE feature_id = $1 AND valid_to IS NULL",
        row_columns(layer),
        Shown::surveyed(layer, None).relation(0)
    );
    let mut transaction = begin_read_with(pool, viewer, &[PLAN_ONCE]).await?;
    let newest = as_of::newest(&mut transaction).await?;
    let row: Option<(String, Option<NaiveDate>, String, Option<Vec<u8>>, i64)> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(&mut *transaction).await?;
    transaction.commit().await?;
    row.map(|(id, from, properties, geometry, version)| {
        let feature = FeatureRow::of((id, from, properties, geometry), Vec::new())?;
        Ok(VersionedFeature { feature, version, newest })
    })
    .transpose()
}

/// Values counted for one property; what is beyond is counted together.
pub const MAX_FACET_VALUES: i64 = 200;

/// How many features have which value.
#[derive(Debug, Clone, PartialEq)]
pub struct Facet {
    pub property: &'static str,
    /// The most frequent first; `None` = without a value. A list counts once for each of its members.
    pub values: Vec<(Option<String>, i64)>,
    /// Whether there are more values than these.
    pub more: bool,
}

/// The facets of what matches, how many match, and the revision that was read.
pub async fn facets(
    pool: &PgPool,
    viewer: &Viewer,
    layer: &Layer,
    query: &ItemsQuery,
    properties: &[&'static Property],
) -> Result<(Vec<Facet>, i64, i64)> {
    let mut transaction = begin_read_as(pool, viewer).await?;
    let revision = as_of::look_back(&mut transaction, query.revision, query.period).await?;
    let shown = Shown::to(&mut transaction, viewer, layer, query).await?;
    let (relation, conditions) = (relation(&shown), conditions(&shown, query));
    let count = format!("SELECT count(*) FROM {relation} WHERE {conditions}");
    let (matched,): (i64,) =
        bind(sqlx::query_as(AssertSqlSafe(count)), &shown, query).fetch_one(&mut *transaction).await?;
    let mut facets = Vec::with_capacity(properties.len());
    for property in properties {
        let (name, column) = (property.name, property.column);
        let value = match property.kind {
            PropertyKind::TextList => format!("unnest(coalesce(nullif({column}, '{{}}'), ARRAY[NULL::text]))"),
            PropertyKind::NumberList => {
                format!("unnest(coalesce(nullif({column}, '{{}}'), ARRAY[NULL::float8]))::text")
            }
            PropertyKind::DateTime => format!("replace(to_json({column}) #>> '{{}}', '+00:00', 'Z')"),
            _ => format!("{column}::text"),
        };
        let sql = format!(
            "SELECT value, count(*) FROM (SELECT {value} AS value FROM {relation} WHERE {conditions}) v
             GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {}",
            MAX_FACET_VALUES + 1
        );
        let mut values: Vec<(Option<String>, i64)> =
            bind(sqlx::query_as(AssertSqlSafe(sql)), &shown, query).fetch_all(&mut *transaction).await?;
        let more = values.len() as i64 > MAX_FACET_VALUES;
        values.truncate(MAX_FACET_VALUES as usize);
        facets.push(Facet { property: name, values, more });
    }
    transaction.commit().await?;
    Ok((facets, matched, revision))
}
