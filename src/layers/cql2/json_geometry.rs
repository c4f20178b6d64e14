//! Geometries and boxes of CQL2 JSON: GeoJSON as RFC 7946 has it.

use geo::{Coord, Geometry, GeometryCollection, LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon};
use serde_json::{Map, Value};

use super::{Fault, Parsed, shapes};
use crate::domain::filter::At;

/// Collections in collections.
const MAX_NESTING: usize = 8;

pub fn geometry(at: At, members: &Map<String, Value>) -> Parsed<Geometry<f64>> {
    nested(at, members, 0)
}

fn nested(at: At, members: &Map<String, Value>, nesting: usize) -> Parsed<Geometry<f64>> {
    let none = Value::Null;
    let coordinates = members.get("coordinates").unwrap_or(&none);
    Ok(match members.get("type").and_then(Value::as_str) {
        Some("Point") => Geometry::Point(Point(point(at, coordinates)?)),
        Some("LineString") => Geometry::LineString(line(at, coordinates)?),
        Some("Polygon") => Geometry::Polygon(polygon(at, coordinates)?),
        Some("MultiPoint") => {
            Geometry::MultiPoint(MultiPoint(many(at, coordinates, |at, value| point(at, value).map(Point))?))
        }
        Some("MultiLineString") => Geometry::MultiLineString(MultiLineString(many(at, coordinates, line)?)),
        Some("MultiPolygon") => Geometry::MultiPolygon(MultiPolygon(many(at, coordinates, polygon)?)),
        Some("GeometryCollection") if nesting < MAX_NESTING => {
            let members = members.get("geometries").unwrap_or(&none);
            Geometry::GeometryCollection(GeometryCollection(many(at, members, |at, value| match value {
                Value::Object(members) => nested(at, members, nesting + 1),
                _ => Err(Fault::new(at, "geometries 的成员应为 GeoJSON 图形")),
            })?))
        }
        Some("GeometryCollection") => return Err(Fault::bound(at, "图形集合嵌套太深")),
        _ => return Err(Fault::new(at, "type 不是 GeoJSON 图形的种类")),
    })
}

fn many<T>(at: At, value: &Value, one: impl Fn(At, &Value) -> Parsed<T>) -> Parsed<Vec<T>> {
    match value.as_array() {
        Some(list) if !list.is_empty() => list.iter().map(|item| one(at, item)).collect(),
        _ => Err(Fault::new(at, "坐标或成员应为非空的数组")),
    }
}

fn point(at: At, value: &Value) -> Parsed<Coord<f64>> {
    match numbers(value).as_deref() {
        Some([x, y] | [x, y, _]) => Ok(Coord { x: *x, y: *y }),
        _ => Err(Fault::new(at, "点应有两个数，或带高度的三个数")),
    }
}

fn numbers(value: &Value) -> Option<Vec<f64>> {
    value.as_array()?.iter().map(|n| n.as_f64().filter(|n| n.is_finite())).collect()
}

fn line(at: At, value: &Value) -> Parsed<LineString<f64>> {
    shapes::line(at, many(at, value, point)?)
}

fn polygon(at: At, value: &Value) -> Parsed<Polygon<f64>> {
    shapes::polygon(at, many(at, value, |at, ring| many(at, ring, point))?)
}

pub fn bbox(at: At, value: &Value) -> Parsed<[f64; 4]> {
    shapes::bbox(at, &numbers(value).ok_or_else(|| Fault::new(at, "bbox 应为数的数组"))?)
}
