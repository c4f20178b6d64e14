//! The change log replayed apart from the database: the register behind every revision, and what a layer shows of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;
use serde_json::Value;
use sizhi::store::geometry_column;
use sqlx::AssertSqlSafe;

use super::Database;

/// A boundary whatever wrote it: its rings.
pub type Shape = BTreeSet<Vec<(i64, i64)>>;
/// What a layer must show of a feature: its properties, its boundary.
pub type Shown = (Value, Shape);
/// A row as the log has it: its image, and its geometry as EWKB.
pub type Row = Arc<(Value, Option<Vec<u8>>)>;
/// Rows by table and key.
pub type Register = BTreeMap<(String, String), Row>;

/// The state behind every revision, from 0, put together change by change.
pub async fn replay(db: &Database) -> Vec<Register> {
    let changes: Vec<(i64, String, Option<Value>, Option<Value>, Option<Vec<u8>>)> = sqlx::query_as(
        "SELECT revision, layer, before::jsonb, after::jsonb, after_geom FROM change ORDER BY revision, ordinal",
    )
    .fetch_all(&db.pool)
    .await
    .expect("log");
    let newest: i64 = db.value("SELECT max(number) FROM revision").await;
    let mut states = vec![Register::new()];
    let mut changes = changes.into_iter().peekable();
    for number in 1..=newest {
        let mut state = states.last().expect("a state").clone();
        while let Some((_, table, before, after, geometry)) = changes.next_if(|change| change.0 == number) {
            let image = after.as_ref().or(before.as_ref()).expect("an image");
            let of = |name: &str| image[name].as_str().unwrap_or_default().to_owned();
            let key = match table.as_str() {
                "division" | "park" => of("code"),
                "park_block" | "turnover_parcel" | "low_efficiency_parcel" | "redevelopment_plan" => {
                    format!("{}@{}", of("id"), of("valid_from"))
                }
                "parcel_lineage" => format!("{}@{}@{}", of("ledger"), of("parent_id"), of("child_id")),
                "parcel_transition" => format!("{}@{}@{}", of("ledger"), of("record_id"), image["ordinal"]),
                "directory_entry" => format!("{}@{}", of("version_id"), of("park_code")),
                _ => of("id"),
            };
            match after {
                Some(after) => state.insert((table, key), Arc::new((after, geometry))),
                None => state.remove(&(table, key)),
            };
        }
        states.push(state);
    }
    assert!(changes.next().is_none(), "every change belongs to a revision");
    states
}

pub fn rows<'a>(state: &'a Register, table: &'a str) -> impl Iterator<Item = &'a Row> {
    state.iter().filter(move |((of, _), _)| of == table).map(|(_, row)| row)
}

pub fn day_of(image: &Value, name: &str) -> Option<NaiveDate> {
    image[name].as_str().filter(|text| !text.ends_with("infinity")).map(|text| text.parse().expect("a day"))
}

/// Whether a life [from, to) holds a day; no day = it has not ended.
pub fn lives(image: &Value, day: Option<NaiveDate>) -> bool {
    match day {
        None => day_of(image, "valid_to").is_none(),
        Some(day) => {
            day_of(image, "valid_from").is_none_or(|from| from <= day)
                && day_of(image, "valid_to").is_none_or(|to| day < to)
        }
    }
}

/// Rings by their published coordinates, each turned to begin at its smallest, direction left out: what does not depend on who
/// wrote the polygon.
pub fn shape_of_bytes(bytes: &[u8]) -> Shape {
    let geometry = geometry_column::decode(bytes).expect("EWKB");
    let rings = geometry.iter().flat_map(|part| std::iter::once(part.exterior()).chain(part.interiors()));
    rings.map(|ring| ring_of(ring.coords().map(|c| (c.x, c.y)).collect())).collect()
}

pub fn shape_of_json(geometry: &Value) -> Shape {
    let parts = geometry["coordinates"].as_array().cloned().unwrap_or_default();
    let rings = parts.iter().flat_map(|part| part.as_array().cloned().unwrap_or_default());
    rings
        .map(|ring| {
            let point = |p: &Value| (p[0].as_f64().expect("longitude"), p[1].as_f64().expect("latitude"));
            ring_of(ring.as_array().expect("ring").iter().map(point).collect())
        })
        .collect()
}

fn ring_of(points: Vec<(f64, f64)>) -> Vec<(i64, i64)> {
    let mut ring: Vec<(i64, i64)> =
        points.iter().map(|(x, y)| ((x * 1e8).round() as i64, (y * 1e8).round() as i64)).collect();
    ring.pop();
    ring.sort_unstable();
    ring
}

/// The area as the layer prints it, from the row's number.
pub fn m2(area: f64) -> f64 {
    (area * 100.0).round() / 100.0
}

/// Compares the properties that `wanted` names (areas to the last printed digit, whichever way it was rounded) and the shape.
#[track_caller]
pub fn assert_shows(feature: &Value, wanted: &Shown, what: &str) {
    for (name, value) in wanted.0.as_object().expect("object") {
        let shown = &feature["properties"][name];
        match (name.as_str(), shown.as_f64(), value.as_f64()) {
            ("computed_area_m2", Some(a), Some(b)) => assert!((a - b).abs() < 0.011, "{what}: {name} {a} for {b}"),
            _ => assert_eq!(shown, value, "{what}: {name}"),
        }
    }
    assert_eq!(shape_of_json(&feature["geometry"]), wanted.1, "{what}: boundary");
}

/// All rows of a table as of a revision by the database's views: image and geometry.
pub async fn table_as_of(db: &Database, table: &str, revision: usize) -> BTreeSet<String> {
    let has_geometry = matches!(table, "division" | "park_block" | "turnover_parcel" | "low_efficiency_parcel");
    let geometry = if has_geometry { "encode(t.geom::bytea, 'hex')" } else { "NULL" };
    let minus = if has_geometry { " - 'geom'" } else { "" };
    let mut transaction = db.pool.begin().await.expect("transaction");
    let set =
        format!("SELECT set_config('sizhi.as_of', '{revision}', true), set_config('sizhi.jurisdiction', '*', true)");
    sqlx::query(AssertSqlSafe(set)).execute(&mut *transaction).await.expect("set");
    let sql = format!("SELECT to_jsonb(t){minus}, {geometry} FROM as_of.{table} t");
    let rows: Vec<(Value, Option<String>)> =
        sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut *transaction).await.expect("rows");
    let count = rows.len();
    let set: BTreeSet<String> = rows.into_iter().map(|(image, geometry)| format!("{image} {geometry:?}")).collect();
    assert_eq!(set.len(), count, "{table} as of {revision}: a row twice");
    set
}

pub fn images(state: &Register, table: &str) -> BTreeSet<String> {
    let hex = |bytes: &Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    rows(state, table).map(|row| format!("{} {:?}", row.0, row.1.as_ref().map(hex))).collect()
}
