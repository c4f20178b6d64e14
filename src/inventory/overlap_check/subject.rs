//! The shapes that are to be checked: of a file, a pasted list, or the register; every fault is named by its place.

use std::io::Write as _;
use std::path::PathBuf;

use geo::CoordsIter;
use sqlx::PgPool;
use tempfile::NamedTempFile;

use crate::domain::access::Viewer;
use crate::domain::layer::Layer;
use crate::domain::overlap_check::{MOST_SUBJECTS, MOST_VERTICES};
use crate::domain::{Finding, Place, Severity};
use crate::error::{Error, Result};
use crate::exchange::{self, ReadOptions, Reading, coordinate_txt};
use crate::geometry::{area, validity};
use crate::inventory::import::{check_in_province, off_async_threads};
use crate::store;
use crate::store::overlap_checks::SubjectRow;

use super::source::Moment;

/// Where shapes come from.
#[derive(Debug, Clone)]
pub enum Given {
    /// A file in any format that imports read.
    File { path: PathBuf, name: String, options: ReadOptions },
    /// GeoJSON: a geometry, a feature or a collection.
    GeoJson(String),
    /// A list of coordinates.
    Pasted { text: String, options: ReadOptions },
    /// A feature of a layer, as it stands at the moment that is asked about.
    Feature { layer: &'static Layer, id: String },
}

/// Shapes as they will be compared, and what was noted while they were read.
#[derive(Debug)]
pub struct Subjects {
    pub rows: Vec<SubjectRow>,
    /// For the check's record: kind, name, format, system, encoding, findings that are no faults.
    pub origin: serde_json::Value,
}

pub(super) async fn read(pool: &PgPool, viewer: &Viewer, given: Given, moment: Moment) -> Result<Subjects> {
    match given {
        Given::Feature { layer, id } => of_register(pool, viewer, layer, &id, moment).await,
        Given::File { path, name, options } => {
            off_async_threads(move || {
                let reading = exchange::read_file(&path, &ReadOptions { file_name: Some(name.clone()), ..options })?;
                judged(reading, "file", Some(name))
            })
            .await?
        }
        Given::GeoJson(text) => {
            off_async_threads(move || {
                // Read as a file is, from a file of ours: one road for every way in.
                let mut file = NamedTempFile::with_suffix(".geojson").map_err(unwritable)?;
                file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(unwritable)?;
                judged(exchange::read_file(file.path(), &ReadOptions::default())?, "geojson", None)
            })
            .await?
        }
        Given::Pasted { text, options } => {
            off_async_threads(move || judged(coordinate_txt::read_pasted(&text, &options), "coordinates", None)).await?
        }
    }
}

fn unwritable(cause: std::io::Error) -> Error {
    Error::internal("临时文件无法写入", cause)
}

/// All shapes, or every fault of all of them.
fn judged(reading: Reading, kind: &str, name: Option<String>) -> Result<Subjects> {
    let mut findings = reading.findings;
    let mut rows = Vec::with_capacity(reading.candidates.len());
    let mut vertices = 0;
    for (number, candidate) in (1..).zip(reading.candidates) {
        let row = candidate.row;
        let Some(geometry) = candidate.geometry.filter(|geometry| !geometry.0.is_empty()) else {
            let told = findings.iter().any(|f| f.severity == Severity::Error && f.place.row == Some(row));
            if !told {
                let message = format!("第 {row} 条记录没有面状图形");
                findings.push(Finding::error("geometry_missing", Place::row(row), message));
            }
            continue;
        };
        findings.extend(validity::check(&geometry, Some(row)));
        // Elsewhere there is nothing to compare with, and no finding would look like no conflict.
        findings.extend(check_in_province(&geometry, row));
        vertices += geometry.coords_count();
        let label = candidate.name.or(candidate.id).filter(|label| !label.is_empty());
        rows.push(SubjectRow {
            label: label.unwrap_or_else(|| format!("图形 {number}")),
            layer: None,
            feature_id: None,
            area_m2: area::ellipsoidal(&geometry).value(),
            geometry,
        });
    }
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(Error::Invalid {
            code: "subject_invalid",
            detail: "要检查的图形有错误，没有进行检查".to_owned(),
            findings,
        });
    }
    bounded(rows.len(), vertices)?;
    let origin = serde_json::json!({
        "kind": kind,
        "name": name,
        "format": reading.format,
        "crs": reading.crs.map(|crs| crs.to_string()),
        "encoding": reading.encoding,
        "findings": crate::inventory::wire::findings(&findings),
    });
    Ok(Subjects { rows, origin })
}

fn bounded(shapes: usize, vertices: usize) -> Result<()> {
    if shapes == 0 {
        return Err(Error::invalid("subject_missing", "没有可检查的面状图形"));
    }
    if shapes > MOST_SUBJECTS {
        let detail = format!("一次最多检查 {MOST_SUBJECTS} 个图形，给出了 {shapes} 个");
        return Err(Error::too_large("check_too_large", detail));
    }
    if vertices > MOST_VERTICES {
        let detail = format!("一次最多检查 {MOST_VERTICES} 个顶点，给出了 {vertices} 个");
        return Err(Error::too_large("check_too_large", detail));
    }
    Ok(())
}

async fn of_register(pool: &PgPool, viewer: &Viewer, layer: &Layer, id: &str, moment: Moment) -> Result<Subjects> {
    let query = crate::domain::items_query::ItemsQuery {
        revision: moment.revision,
        period: moment.period,
        ..Default::default()
    };
    let (found, _) = store::features::find_item(pool, viewer, layer, id, &query).await?;
    let missing = || Error::not_found("item_not_found", format!("图层“{}”中没有标识为“{id}”的要素", layer.title.zh));
    let feature = found.ok_or_else(missing)?;
    let no_area = || Error::invalid("subject_missing", format!("要素“{id}”没有面状图形"));
    let geometry = feature.geometry.filter(|geometry| geometry.kind().is_areal()).ok_or_else(no_area)?;
    let geometry = geometry.to_multi_polygon();
    let findings = validity::check(&geometry, None);
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        let detail = format!("要素“{id}”的图形无效，没有进行检查");
        return Err(Error::Invalid { code: "subject_invalid", detail, findings });
    }
    bounded(1, geometry.coords_count())?;
    let name = layer.label.or(Some("name")).and_then(|name| {
        let value = crate::layers::selection::member(&feature.properties, name)?;
        serde_json::from_str::<String>(value).ok()
    });
    let origin = serde_json::json!({"kind": "item", "collection": layer.id, "id": id});
    let row = SubjectRow {
        label: name.unwrap_or_else(|| id.to_owned()),
        layer: Some(layer.id.to_owned()),
        feature_id: Some(feature.id),
        area_m2: area::ellipsoidal(&geometry).value(),
        geometry,
    };
    Ok(Subjects { rows: vec![row], origin })
}
