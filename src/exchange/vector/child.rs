//! The child's side: one file, one named driver, messages to standard output, then the end.
//!
//! Never: a driver chosen by content, a second file, a text decoded here.

use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use gdal::config::set_error_handler;
use gdal::errors::CplErrType;
use gdal::spatial_ref::{AxisMappingStrategy, CoordTransform, CoordTransformOptions, SpatialRef};
use gdal::vector::{Feature, FieldDefn, Geometry, Layer, LayerAccess, LayerOptions, OGRFieldType, OGRwkbGeometryType};
use gdal::{Dataset, DatasetOptions, DriverManager, GdalOpenFlags};
use serde::{Deserialize, Serialize};

use super::wire::{self, Done, Failure, FieldKind, Header, Message, Shape, ShapeKind, WriteHead};
use super::{raw, srs};
use crate::exchange::rings::Parts;
use crate::geometry::crs::Crs;

/// What the parent asks; the child's only argument, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    Read {
        driver: String,
        path: String,
        layer: Option<String>,
        /// EPSG code that the caller knows better than the file.
        epsg: Option<u32>,
    },
    /// Head and features come on standard input.
    Write { driver: String, path: String },
}

/// Errors that GDAL reported so far, and the last one's words.
static FAILURES: AtomicU64 = AtomicU64::new(0);
static LAST_FAILURE: Mutex<String> = Mutex::new(String::new());

fn watch_errors() {
    set_error_handler(|kind, _, message| {
        if matches!(kind, CplErrType::Failure | CplErrType::Fatal) {
            FAILURES.fetch_add(1, Ordering::Relaxed);
            if let Ok(mut last) = LAST_FAILURE.lock() {
                *last = message.chars().take(500).collect();
            }
        }
    });
}

/// The whole life of the child.
pub fn run() -> ExitCode {
    watch_errors();
    let mut out = BufWriter::with_capacity(1 << 18, io::stdout().lock());
    let request = std::env::args().nth(2).and_then(|text| serde_json::from_str::<Request>(&text).ok());
    let outcome = match request {
        Some(Request::Read { driver, path, layer, epsg }) => read(&driver, &path, layer.as_deref(), epsg, &mut out),
        Some(Request::Write { driver, path }) => {
            write(&driver, &path).map(|count| Message::Done(Done { count, curved: 0 }))
        }
        None => Err(fail("request", "unreadable request")),
    };
    let last = outcome.unwrap_or_else(Message::Failure);
    match wire::write(&mut out, &last).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // The parent has gone.
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(code: &str, cause: impl ToString) -> Failure {
    let heard = LAST_FAILURE.lock().map(|last| last.clone()).unwrap_or_default();
    Failure { code: code.to_owned(), layers: Vec::new(), cause: format!("{} {heard}", cause.to_string()) }
}

fn read(
    driver: &str,
    path: &str,
    wanted: Option<&str>,
    epsg: Option<u32>,
    out: &mut impl Write,
) -> Result<Message, Failure> {
    let drivers = [driver];
    let raw_texts = ["ENCODING="];
    let options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_VECTOR | GdalOpenFlags::GDAL_OF_READONLY,
        allowed_drivers: Some(&drivers),
        // Texts of a DBF stay bytes; the other formats hold UTF-8 by their own rules.
        open_options: (driver == "ESRI Shapefile").then_some(&raw_texts),
        sibling_files: None,
    };
    let dataset = Dataset::open_ex(path, options).map_err(|e| fail("open_failed", e))?;
    let mut layer = choose_layer(&dataset, wanted)?;
    let system = System::decide(&layer, epsg)?;
    let header = Header {
        other_layers: dataset.layers().map(|l| l.name()).filter(|name| *name != layer.name()).collect(),
        layer: layer.name(),
        epsg: system.crs.map(Crs::epsg),
        srs_name: system.name,
        transformed: system.transform.is_some(),
        same_datum: system.same_datum,
        // −1 where GDAL cannot count them.
        declared_count: Some(layer.feature_count()).filter(|n| i64::try_from(*n).is_ok()),
    };
    let stopped = |e: io::Error| fail("request", e);
    wire::write(out, &Message::Header(header)).map_err(stopped)?;
    for name in raw::field_names(layer.defn()) {
        wire::write(out, &Message::Field(name)).map_err(stopped)?;
    }
    let closed_lines = driver == "DXF";
    let (mut count, mut curved) = (0, 0);
    let mut failures = FAILURES.load(Ordering::Relaxed);
    for feature in layer.features() {
        let values = raw::values(&feature);
        let shape = raw::shape(&feature, system.transform.as_ref(), closed_lines);
        curved += u64::from(raw::has_curves(&feature));
        let now = FAILURES.load(Ordering::Relaxed);
        let damaged = now != failures;
        failures = now;
        wire::write(out, &Message::Feature(wire::Feature { damaged, values, shape })).map_err(stopped)?;
        count += 1;
    }
    // GDAL ends the list at a record that it cannot read, as if there were no more.
    if FAILURES.load(Ordering::Relaxed) != failures {
        return Err(fail("read_failed", format!("after {count} records:")));
    }
    Ok(Message::Done(Done { count, curved }))
}

/// The wanted layer, else the only one, else the only one with areas in it.
fn choose_layer<'a>(dataset: &'a Dataset, wanted: Option<&str>) -> Result<Layer<'a>, Failure> {
    let names: Vec<String> = dataset.layers().map(|l| l.name()).collect();
    if let Some(wanted) = wanted {
        return dataset.layer_by_name(wanted).map_err(|e| Failure { layers: names, ..fail("layer_unknown", e) });
    }
    let found = |index: usize| dataset.layer(index).map_err(|e| fail("no_layer", e));
    match names.len() {
        0 => return Err(fail("no_layer", "")),
        1 => return found(0),
        _ => {}
    }
    let areas: Vec<usize> = dataset
        .layers()
        .enumerate()
        .filter(|(_, l)| may_hold_areas(l) && l.feature_count() > 0)
        .map(|(index, _)| index)
        .collect();
    match areas.as_slice() {
        [only] => found(*only),
        _ => Err(Failure { layers: names, ..fail("layer_ambiguous", "") }),
    }
}

fn may_hold_areas(layer: &Layer<'_>) -> bool {
    use OGRwkbGeometryType as Kind;
    let kind = layer.defn().geom_fields().next().map(|f| gdal::vector::geometry_type_flatten(f.field_type()));
    matches!(
        kind,
        Some(
            Kind::wkbPolygon
                | Kind::wkbMultiPolygon
                | Kind::wkbCurvePolygon
                | Kind::wkbMultiSurface
                | Kind::wkbUnknown
                | Kind::wkbGeometryCollection
        )
    )
}

/// The layer's system, and the way to EPSG:4490 where it is none of ours.
struct System {
    crs: Option<Crs>,
    name: Option<String>,
    transform: Option<CoordTransform>,
    /// The transformation leaves the datum alone.
    same_datum: bool,
}

impl System {
    fn decide(layer: &Layer<'_>, asked: Option<u32>) -> Result<Self, Failure> {
        let (mut reference, crs) = match asked {
            Some(epsg) => {
                let reference = SpatialRef::from_epsg(epsg).map_err(|e| fail("no_transformation", e))?;
                (reference, Some(Crs::from_epsg(epsg)))
            }
            None => match layer.spatial_ref() {
                Some(reference) if srs::is_undefined(&reference) => {
                    return Ok(Self { crs: None, name: None, transform: None, same_datum: false });
                }
                Some(reference) => {
                    let crs = srs::identify(&reference);
                    (reference, crs)
                }
                None => return Ok(Self { crs: None, name: None, transform: None, same_datum: false }),
            },
        };
        let name = reference.name();
        let foreign = match crs {
            None => true,
            Some(crs) => matches!(crs, Crs::Other(_)) && !crs.is_legacy_chinese_datum(),
        };
        if !foreign {
            return Ok(Self { crs, name, transform: None, same_datum: false });
        }
        // To WGS 84, which PROJ knows a way to from most systems and CGCS2000 from hardly any; the two differ by centimetres. What is
        // on CGCS2000 already is only projected back (central meridians of a city's own).
        let same_datum = srs::is_cgcs2000(&reference);
        let target = if same_datum { Crs::Cgcs2000 } else { Crs::Wgs84 };
        let mut target = SpatialRef::from_epsg(target.epsg()).map_err(|e| fail("no_transformation", e))?;
        // Easting or longitude first, as every reader here gives them.
        reference.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
        target.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
        // A “ballpark” transformation passes one datum off as the other: tens of metres, and no word of it.
        let mut options = CoordTransformOptions::new().map_err(|e| fail("no_transformation", e))?;
        options.set_ballpark_allowed(false).map_err(|e| fail("no_transformation", e))?;
        let transform = CoordTransform::new_with_options(&reference, &target, &options)
            .map_err(|e| fail("no_transformation", e))?;
        Ok(Self { crs, name, transform: Some(transform), same_datum })
    }
}

/// Writes what comes on standard input; the number of records.
fn write(driver: &str, path: &str) -> Result<u64, Failure> {
    let failed = |e: gdal::errors::GdalError| fail("write_failed", e);
    let broken = |e: io::Error| fail("request", e);
    let mut from = BufReader::with_capacity(1 << 18, io::stdin().lock());
    let head = wire::read_head(&mut from).map_err(broken)?;
    let driver_handle = DriverManager::get_driver_by_name(driver).map_err(failed)?;
    let mut dataset = driver_handle.create_vector_only(Path::new(path)).map_err(failed)?;
    let count = {
        let layer = make_layer(&mut dataset, driver, &head).map_err(failed)?;
        let mut count = 0;
        let mut payload = Vec::new();
        while let Some(message) = wire::read(&mut from, &mut payload).map_err(broken)? {
            let Message::Feature(feature) = message else { break };
            write_feature(&layer, &head, feature).map_err(failed)?;
            count += 1;
        }
        count
    };
    dataset.close().map_err(failed)?;
    if FAILURES.load(Ordering::Relaxed) > 0 { Err(fail("write_failed", "")) } else { Ok(count) }
}

fn make_layer<'a>(dataset: &'a mut Dataset, driver: &str, head: &WriteHead) -> gdal::errors::Result<Layer<'a>> {
    let mut reference = SpatialRef::from_epsg(head.epsg)?;
    reference.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
    let encoding = format!("ENCODING={}", head.encoding);
    let identifier = format!("IDENTIFIER={}", head.title);
    let options = match driver {
        "ESRI Shapefile" => [encoding.as_str()],
        "GPKG" => [identifier.as_str()],
        _ => ["SPATIAL_INDEX=YES"],
    };
    let layer = dataset.create_layer(LayerOptions {
        name: &head.layer,
        srs: Some(&reference),
        ty: kind_of(head.shapes),
        options: Some(&options),
    })?;
    for field in &head.fields {
        if field.kind == FieldKind::Boolean && driver != "ESRI Shapefile" {
            raw::add_boolean_field(&layer, &field.name)?;
            continue;
        }
        let kind = match field.kind {
            FieldKind::Text => OGRFieldType::OFTString,
            FieldKind::Number => OGRFieldType::OFTReal,
            FieldKind::Integer => OGRFieldType::OFTInteger64,
            FieldKind::Boolean => OGRFieldType::OFTInteger,
            FieldKind::Date => OGRFieldType::OFTDate,
            FieldKind::DateTime => OGRFieldType::OFTDateTime,
        };
        let definition = FieldDefn::new(&field.name, kind)?;
        if driver == "ESRI Shapefile" {
            let (width, precision) = match field.kind {
                FieldKind::Text => (254, 0),
                // Fifteen digits behind whatever is in front: papers state square metres of 亩, 8226.666666666667.
                FieldKind::Number => (32, 15),
                FieldKind::Integer => (18, 0),
                FieldKind::Boolean => (1, 0),
                FieldKind::Date | FieldKind::DateTime => (10, 0),
            };
            definition.set_width(width);
            definition.set_precision(precision);
        }
        definition.add_to_layer(&layer)?;
    }
    Ok(layer)
}

fn kind_of(shapes: ShapeKind) -> OGRwkbGeometryType::Type {
    match shapes {
        ShapeKind::Point => OGRwkbGeometryType::wkbPoint,
        ShapeKind::LineString => OGRwkbGeometryType::wkbLineString,
        ShapeKind::MultiPoint => OGRwkbGeometryType::wkbMultiPoint,
        ShapeKind::MultiLineString => OGRwkbGeometryType::wkbMultiLineString,
        ShapeKind::MultiPolygon => OGRwkbGeometryType::wkbMultiPolygon,
        ShapeKind::Any => OGRwkbGeometryType::wkbUnknown,
        ShapeKind::None => OGRwkbGeometryType::wkbNone,
    }
}

fn write_feature(layer: &Layer<'_>, head: &WriteHead, from: wire::Feature) -> gdal::errors::Result<()> {
    let mut feature = Feature::new(layer.defn())?;
    for (i, (field, value)) in head.fields.iter().zip(from.values).enumerate() {
        let Some(value) = value else { continue };
        let text = String::from_utf8_lossy(&value);
        match text.parse::<f64>() {
            Ok(number) if field.kind == FieldKind::Number => feature.set_field_double(i, number)?,
            // GDAL makes a number or a day of the text where the field is one.
            _ => feature.set_field_string(i, &text)?,
        }
    }
    match from.shape {
        Shape::Polygons(parts) => feature.set_geometry(multi_polygon(&parts)?)?,
        Shape::Bytes(bytes) => feature.set_geometry(Geometry::from_wkb(&bytes)?)?,
        _ => {}
    }
    feature.create(layer)
}

fn multi_polygon(parts: &Parts) -> gdal::errors::Result<Geometry> {
    let mut multi = Geometry::empty(OGRwkbGeometryType::wkbMultiPolygon)?;
    for rings in parts {
        let mut polygon = Geometry::empty(OGRwkbGeometryType::wkbPolygon)?;
        for points in rings {
            let mut ring = Geometry::empty(OGRwkbGeometryType::wkbLinearRing)?;
            for point in points {
                ring.add_point_2d(*point);
            }
            polygon.add_geometry(ring)?;
        }
        multi.add_geometry(polygon)?;
    }
    Ok(multi)
}
