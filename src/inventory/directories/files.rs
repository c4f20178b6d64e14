//! A directory as a file: a workbook, or GeoJSON with the boundaries of its day as the viewer may see them.

use std::collections::HashMap;
use std::io::Read as _;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Directory, Entry, entry_json, level_of};
use crate::domain::access::Viewer;
use crate::domain::export::{Cell, Column, ExportRow};
use crate::domain::items_query::{ItemsQuery, MAX_LIMIT};
use crate::domain::layer::{Layer, PropertyKind};
use crate::error::{Error, Result};
use crate::exchange::table_export::{self, Sheet};
use crate::inventory::export::moment_in_china;
use crate::inventory::wire;
use crate::layers::geojson;
use crate::store::features;

const COLUMNS: [(&str, PropertyKind, Option<&str>); 9] = [
    ("序号", PropertyKind::Integer, None),
    ("园区代码", PropertyKind::Text, None),
    ("名称", PropertyKind::Text, None),
    ("级别", PropertyKind::Text, None),
    ("核准面积（公顷）", PropertyKind::Number, Some("ha")),
    ("核准面积（亩）", PropertyKind::Number, Some("mu")),
    ("四至范围", PropertyKind::Text, None),
    ("主导产业", PropertyKind::Text, None),
    ("批准时间", PropertyKind::Text, None),
];

/// The directory as an XLSX, with a sheet that says which it is. Slow: off the async threads.
pub fn workbook(directory: &Directory, at: DateTime<Utc>) -> Result<Vec<u8>> {
    let failed = |cause: std::io::Error| Error::internal("写导出文件时出错", cause);
    let folder = tempfile::TempDir::new().map_err(failed)?;
    let path = folder.path().join("directory.xlsx");
    let column = |(heading, kind, unit): &(&str, PropertyKind, Option<&'static str>)| Column {
        heading: (*heading).to_owned(),
        kind: *kind,
        unit: *unit,
    };
    let sheet = Sheet {
        title: "园区名录".to_owned(),
        columns: COLUMNS.iter().map(column).enumerate().collect(),
        centre: None,
        notes_title: "说明".to_owned(),
        notes: notes(directory, at),
    };
    let rows: Vec<ExportRow> = directory.entries.iter().map(row).collect();
    table_export::write_book(&[(sheet, rows)], &path, folder.path())?;
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}

fn row(entry: &Entry) -> ExportRow {
    let text = |text: &Option<String>| text.clone().map_or(Cell::Missing, Cell::Text);
    let m2 = entry.area.map(|area| area.square_metres() as f64);
    ExportRow {
        id: entry.code.clone(),
        cells: vec![
            entry.serial.map_or(Cell::Missing, |serial| Cell::Integer(i64::from(serial))),
            Cell::Text(entry.code.clone()),
            Cell::Text(entry.name.clone()),
            Cell::Text(level_of(&entry.code).to_owned()),
            m2.map_or(Cell::Missing, |m2| Cell::Number(m2 / 10_000.0)),
            m2.map_or(Cell::Missing, |m2| Cell::Number(m2 * 3.0 / 2_000.0)),
            text(&entry.four_extents),
            Some(entry.leading_industries.join("、")).filter(|t| !t.is_empty()).map_or(Cell::Missing, Cell::Text),
            text(&entry.approved_text),
        ],
        geometry: None,
        centre: None,
        feature: String::new(),
    }
}

fn notes(directory: &Directory, at: DateTime<Utc>) -> Vec<(String, Option<String>)> {
    let note = |name: &str, text: String| (name.to_owned(), Some(text));
    let mut notes = vec![note("名录", directory.title.clone())];
    notes.extend(directory.document_no.clone().map(|no| note("文号", no)));
    notes.extend(directory.issued_on.map(|day| note("发布日期", day.to_string())));
    notes.extend(directory.register_on.map(|day| note("登记库日期", day.to_string())));
    notes.extend(directory.register_revision.map(|number| note("登记库修订", number.to_string())));
    notes.push(note("来源", directory.source.clone()));
    notes.push(("园区数".to_owned(), None));
    notes.push(note("生成时间", moment_in_china(at)));
    notes
}

/// The directory as a feature collection: boundaries of its day, of the revision that it was drawn from, as `layer` (of parks) shows them
/// to the viewer. A park without a boundary has none.
pub async fn geojson(pool: &PgPool, viewer: &Viewer, layer: &Layer, directory: &Directory) -> Result<Value> {
    let mut shapes: HashMap<String, (Value, bool)> = HashMap::new();
    if let Some(on) = directory.boundaries_on() {
        let query = ItemsQuery {
            period: Some((Some(on), Some(on))),
            revision: directory.register_revision,
            limit: MAX_LIMIT,
            ..ItemsQuery::default()
        };
        for feature in features::list_items(pool, viewer, layer, &query).await?.features {
            let drawn = crate::layers::selection::member(&feature.properties, "illustrative") == Some("true");
            let shape = feature.geometry.filter(|geometry| geometry.kind().is_areal());
            let Some(shape) = shape.map(|geometry| geometry.to_multi_polygon()) else { continue };
            shapes.insert(feature.id, (json!(geojson::geometry(&shape)), drawn));
        }
    }
    let mut feature = |entry: &Entry| {
        let (geometry, drawn) = shapes.remove(&entry.code).unwrap_or((Value::Null, false));
        let mut properties = entry_json(entry);
        properties["illustrative"] = json!(drawn);
        json!({"type": "Feature", "id": entry.code, "geometry": geometry, "properties": properties})
    };
    let features: Vec<Value> = directory.entries.iter().map(&mut feature).collect();
    let mut document = super::document(directory);
    if let Some(object) = document.as_object_mut() {
        object.remove("parks");
        object.insert("type".to_owned(), json!("FeatureCollection"));
        object.insert("boundaries_on".to_owned(), json!(directory.boundaries_on().map(|day| day.to_string())));
        object.insert("features".to_owned(), json!(features));
        if let Some(rule) = layer.generalisation_for(viewer) {
            object.insert("generalisation".to_owned(), wire::generalisation(rule));
        }
    }
    Ok(document)
}
