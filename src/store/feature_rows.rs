//! All features of a question, piece by piece: a server-side cursor over one state of the register.
//!
//! Every piece is a statement of its own within the time of a read, and of some megabytes whatever the shapes are like.

use chrono::{DateTime, NaiveDate};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Row, Transaction};

use super::conditions::{Order, bind, conditions, relation};
use super::features::marked_feature_expression;
use super::outlines::Shown;
use super::pool::{IDLING, begin_read_with};
use super::{as_of, geometry_column};
use crate::domain::access::Viewer;
use crate::domain::export::{Cell, ExportCount, ExportRow, RowParts};
use crate::domain::items_query::ItemsQuery;
use crate::domain::layer::{Layer, PropertyKind};
use crate::error::{Error, Result};

/// How long the transaction may wait for a client that takes nothing.
const READER_IDLING: &str = "120s";

/// Rows of the first piece, of which the others' size is reckoned, and of the largest one.
const FIRST_ROWS: i64 = 50;
const MOST_ROWS: i64 = 2_000;
/// Bytes that a piece should have.
const PIECE_BYTES: usize = 2 * 1024 * 1024;

/// Decimals of a degree that a point inside is given with, where the shape is the surveyed one.
const DECIMALS: u8 = 8;

/// Which of the rows that match.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// The first so many.
    pub limit: Option<u64>,
    /// In the order of a paper: 1, 2, 10 within each park, not 1, 10, 2.
    pub as_the_paper: bool,
}

/// As pages have them: as it is asked for, else by id; or as a paper has them where the layer has numbers.
fn order_of(layer: &Layer, query: &ItemsQuery, as_the_paper: bool) -> String {
    let has = |name: &str| layer.has_past() && layer.property(name).is_some();
    let order = Order::of(query, 0).by;
    if as_the_paper && query.sort.is_empty() && has("park_code") && has("number") {
        format!("park_code, length(number), number, {order}")
    } else {
        order
    }
}

/// The open cursor.
pub struct FeatureRows {
    transaction: Transaction<'static, Postgres>,
    layer: &'static Layer,
    /// What the viewer is shown of its shapes.
    shown: Shown<'static>,
    query: ItemsQuery,
    order: String,
    parts: RowParts,
    next_rows: i64,
}

impl FeatureRows {
    /// One state of the register, as somebody is shown it, and what matches in it.
    pub async fn open(
        pool: &PgPool,
        layer: &'static Layer,
        query: ItemsQuery,
        wanted: Wanted,
        viewer: &Viewer,
    ) -> Result<(Self, ExportCount)> {
        let mut transaction = begin_read_with(pool, viewer, &[(IDLING, READER_IDLING)]).await?;
        let revision = as_of::look_back(&mut transaction, query.revision, query.period).await?;
        let shown = Shown::to(&mut transaction, viewer, layer, &query).await?;
        // (An operator's columns of these names may mean anything.)
        let has = |name: &str| layer.has_past() && layer.property(name).is_some();
        let drawn =
            if has("illustrative") && has("source") { "min(source) FILTER (WHERE illustrative)" } else { "NULL::text" };
        let order = order_of(layer, &query, wanted.as_the_paper);
        let (relation, conditions) = (relation(&shown), conditions(&shown, &query));
        let (matched, chosen) = match wanted.limit {
            None => ("count(*)".to_owned(), String::new()),
            // What is left out and what is drawn is told of the rows that come.
            Some(limit) => (
                format!("(SELECT count(*) FROM {relation} WHERE {conditions})"),
                format!("ORDER BY {order} LIMIT {}", i64::try_from(limit).unwrap_or(i64::MAX)),
            ),
        };
        let sql = format!(
            "SELECT {matched}, count(*) FILTER (WHERE geom IS NULL), {drawn}
             FROM (SELECT * FROM {relation} WHERE {conditions} {chosen}) chosen"
        );
        let row: (i64, i64, Option<String>) =
            bind(sqlx::query_as(AssertSqlSafe(sql)), &shown, &query).fetch_one(&mut *transaction).await?;
        let count = ExportCount {
            matched: u64::try_from(row.0).unwrap_or(0),
            without_geometry: u64::try_from(row.1).unwrap_or(0),
            drawn: row.2,
            revision,
        };
        let parts = RowParts { cells: false, geometry: false, centre: false, feature: false };
        Ok((Self { transaction, layer, shown, query, order, parts, next_rows: FIRST_ROWS }, count))
    }

    /// The most bytes that each property's text has, by its place; 0 for what is no text.
    pub async fn longest_texts(&mut self) -> Result<Vec<u64>> {
        let longest = self.layer.properties.iter().map(|p| match p.kind {
            PropertyKind::Text => format!("coalesce(max(octet_length({}::text)), 0)::bigint", p.column),
            PropertyKind::TextList | PropertyKind::NumberList => {
                format!("coalesce(max(octet_length(array_to_string({}, '、'))), 0)::bigint", p.column)
            }
            _ => "0::bigint".to_owned(),
        });
        let sql = format!(
            "SELECT ARRAY[{}]::bigint[] FROM {} WHERE {}",
            longest.collect::<Vec<_>>().join(", "),
            relation(&self.shown),
            conditions(&self.shown, &self.query)
        );
        let (bytes,): (Vec<i64>,) = bind(sqlx::query_as(AssertSqlSafe(sql)), &self.shown, &self.query)
            .fetch_one(&mut *self.transaction)
            .await?;
        Ok(bytes.into_iter().map(|n| u64::try_from(n).unwrap_or(0)).collect())
    }

    /// Opens the cursor over these parts of the first `limit` rows.
    pub async fn declare(&mut self, parts: RowParts, limit: u64) -> Result<()> {
        self.parts = parts;
        // An array of values, not `json_build_array`: a function takes a hundred arguments.
        let cells = self.layer.properties.iter().map(|p| p.column).chain(["valid_from", "valid_to"]);
        let cells = cells.map(|column| format!("to_json({column})"));
        let mark = self.shown.mark();
        // (A text of ours, with a number of the declaration.)
        let of_mark = mark.iter().map(|mark| format!("to_json('{mark}'::text)"));
        let cells: Vec<String> = cells.chain(of_mark).collect();
        let part = |wanted: bool, expression: String| if wanted { expression } else { "NULL".to_owned() };
        let sql = format!(
            "DECLARE export_rows NO SCROLL CURSOR FOR
             SELECT feature_id, {}::text AS sizhi_cells, {}::bytea AS sizhi_shape, {}::float8[] AS sizhi_centre, {}::text AS sizhi_feature
             FROM {} WHERE {} ORDER BY {} LIMIT {limit}",
            part(parts.cells, format!("array_to_json(ARRAY[{}])", cells.join(", "))),
            part(parts.geometry, "ST_AsEWKB(geom)".to_owned()),
            // OFFSET 0: the point is looked for once.
            part(
                parts.centre,
                "(SELECT ARRAY[ST_X(p), ST_Y(p)] FROM (SELECT ST_PointOnSurface(geom) AS p OFFSET 0) inside)"
                    .to_owned()
            ),
            part(parts.feature, marked_feature_expression(self.layer, mark.as_deref())),
            relation(&self.shown),
            conditions(&self.shown, &self.query),
            self.order,
        );
        let _: Option<(i32,)> = bind(sqlx::query_as(AssertSqlSafe(sql)), &self.shown, &self.query)
            .fetch_optional(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// For what else is to be read from the same state.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// The next rows; none at the end.
    pub async fn next(&mut self) -> Result<Vec<ExportRow>> {
        let sql = format!("FETCH {} FROM export_rows", self.next_rows);
        let found = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_all(&mut *self.transaction).await?;
        let mut rows = Vec::with_capacity(found.len());
        let mut bytes = 0;
        for row in &found {
            let cells: Option<String> = row.try_get("sizhi_cells")?;
            let geometry: Option<&[u8]> = row.try_get("sizhi_shape")?;
            let centre: Option<Vec<Option<f64>>> = row.try_get("sizhi_centre")?;
            let feature: Option<String> = row.try_get("sizhi_feature")?;
            bytes += cells.as_ref().map_or(0, String::len)
                + geometry.map_or(0, <[u8]>::len)
                + feature.as_ref().map_or(0, String::len);
            rows.push(ExportRow {
                id: row.try_get("feature_id")?,
                cells: cells.map(|text| cells_of(self.layer, &text)).transpose()?.unwrap_or_default(),
                geometry: geometry
                    .map(geometry_column::decode_flat)
                    .transpose()?
                    .filter(|geometry| !geometry.is_empty())
                    .map(|geometry| geometry.to_geo()),
                centre: centre.as_deref().and_then(|centre| point(centre, self.shown.decimals().unwrap_or(DECIMALS))),
                feature: feature.unwrap_or_default(),
            });
        }
        if let Some(each) = bytes.checked_div(rows.len()) {
            let fitting = i64::try_from(PIECE_BYTES / each.max(1)).unwrap_or(MOST_ROWS);
            // Not more than four times the last piece: its rows may have been small ones.
            self.next_rows = fitting.min(self.next_rows * 4).clamp(1, MOST_ROWS);
        }
        Ok(rows)
    }
}

fn point(coordinates: &[Option<f64>], decimals: u8) -> Option<(f64, f64)> {
    let steps = 10_f64.powi(i32::from(decimals));
    let rounded = |degrees: f64| (degrees * steps).round() / steps;
    match coordinates {
        [Some(x), Some(y)] => Some((rounded(*x), rounded(*y))),
        _ => None,
    }
}

/// The JSON array of a row's values, by the kinds that the layer declares; then the life, and the mark of an outline.
fn cells_of(layer: &Layer, text: &str) -> Result<Vec<Cell>> {
    let broken = |cause| Error::internal("要素的属性无法解读", cause);
    let values: Vec<Value> = serde_json::from_str(text).map_err(broken)?;
    let kinds = layer.properties.iter().map(|p| p.kind).chain([PropertyKind::Date; 2]).chain([PropertyKind::Text]);
    Ok(kinds.zip(values).map(|(kind, value)| cell(kind, value)).collect())
}

fn cell(kind: PropertyKind, value: Value) -> Cell {
    match (kind, value) {
        (_, Value::Null) => Cell::Missing,
        (PropertyKind::Date, Value::String(text)) => text.parse::<NaiveDate>().map_or(Cell::Text(text), Cell::Date),
        (PropertyKind::DateTime, Value::String(text)) => {
            DateTime::parse_from_rfc3339(&text).map_or(Cell::Text(text), |moment| Cell::DateTime(moment.to_utc()))
        }
        (_, Value::String(text)) => Cell::Text(text),
        (_, Value::Bool(value)) => Cell::Boolean(value),
        (PropertyKind::Integer, Value::Number(number)) if number.is_i64() => {
            number.as_i64().map_or(Cell::Missing, Cell::Integer)
        }
        (_, Value::Number(number)) => number.as_f64().map_or(Cell::Missing, Cell::Number),
        (_, Value::Array(list)) if list.is_empty() => Cell::Missing,
        (_, Value::Array(list)) => {
            let words = list.into_iter().filter_map(|value| match value {
                Value::Null => None,
                Value::String(word) => Some(word),
                other => Some(other.to_string()),
            });
            Cell::Text(words.collect::<Vec<_>>().join("、"))
        }
        (_, other) => Cell::Text(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_become_cells_of_their_kind() {
        let day = NaiveDate::from_ymd_opt(2014, 2, 1).expect("a day");
        for (kind, value, expected) in [
            (PropertyKind::Text, json!("=1"), Cell::Text("=1".into())),
            (PropertyKind::Text, json!("2014-02-01"), Cell::Text("2014-02-01".into())),
            (PropertyKind::Date, json!("2014-02-01"), Cell::Date(day)),
            (PropertyKind::Date, json!("infinity"), Cell::Text("infinity".into())),
            (PropertyKind::Number, json!(633.3), Cell::Number(633.3)),
            (PropertyKind::Number, json!(-5), Cell::Number(-5.0)),
            (PropertyKind::Integer, json!(7), Cell::Integer(7)),
            (PropertyKind::Boolean, json!(false), Cell::Boolean(false)),
            (PropertyKind::TextList, json!(["食品", "电子信息"]), Cell::Text("食品、电子信息".into())),
            (PropertyKind::TextList, json!([]), Cell::Missing),
            (PropertyKind::Number, json!(null), Cell::Missing),
        ] {
            assert_eq!(cell(kind, value.clone()), expected, "{value}");
        }
    }
}
