//! Geometry literals: in the stored system, on earth, valid, and as simple as they can be.

use geo::{
    Coord, Geometry, GeometryCollection, LineString, MapCoords, MultiLineString, MultiPoint, MultiPolygon, Polygon,
};

use super::literal_crs::{plane_box, to_stored};
use super::{Fault, Parsed};
use crate::domain::Severity;
use crate::domain::filter::{At, Node};
use crate::domain::items_query::Bbox;
use crate::domain::published_crs::PublishedCrs;
use crate::geometry::validity;

pub fn geometry(at: At, crs: PublishedCrs, geometry: &Geometry<f64>) -> Parsed<Geometry<f64>> {
    let stored = geometry.try_map_coords(|c| to_stored(at, crs, c))?;
    check(at, &stored)?;
    Ok(match stored {
        Geometry::GeometryCollection(collection) => merged(at, collection)?,
        other => other,
    })
}

/// The corners in the stored system, the first is the south-west one; of a box in metres the polygon that it is in degrees.
pub fn bbox<T>(at: At, crs: PublishedCrs, sides: Bbox) -> Parsed<Node<T>> {
    if !crs.is_degrees() {
        return Ok(Node::Geometry(Geometry::Polygon(plane_box(at, crs, sides)?)));
    }
    let [a, b, c, d] = sides;
    let (low, high) = (to_stored(at, crs, Coord { x: a, y: b })?, to_stored(at, crs, Coord { x: c, y: d })?);
    if low.y > high.y {
        return Err(Fault::new(at, "BBOX 南边的纬度大于北边的纬度"));
    }
    Ok(Node::Box([low.x, low.y, high.x, high.y]))
}

fn check(at: At, geometry: &Geometry<f64>) -> Parsed<()> {
    let line = |line: &LineString<f64>| {
        let one_place = line.0.windows(2).all(|pair| pair[0] == pair[1]);
        if one_place { Err(Fault::new(at, "线的各点都在同一处")) } else { Ok(()) }
    };
    match geometry {
        Geometry::LineString(one) => line(one),
        Geometry::MultiLineString(many) => many.0.iter().try_for_each(line),
        Geometry::Polygon(polygon) => polygons(at, vec![polygon.clone()]),
        Geometry::MultiPolygon(many) => polygons(at, many.0.clone()),
        Geometry::GeometryCollection(many) => many.0.iter().try_for_each(|member| check(at, member)),
        _ => Ok(()),
    }
}

fn polygons(at: At, parts: Vec<Polygon<f64>>) -> Parsed<()> {
    let findings = validity::check(&MultiPolygon(parts), None);
    match findings.into_iter().find(|finding| finding.severity == Severity::Error) {
        Some(fault) => Err(Fault::new(at, format!("图形不是有效的面：{}", fault.message))),
        None => Ok(()),
    }
}

/// A collection of one kind is a multi-geometry, which every relation takes.
fn merged(at: At, collection: GeometryCollection<f64>) -> Parsed<Geometry<f64>> {
    let mut members = Vec::new();
    flatten(collection, &mut members);
    let points: Option<Vec<_>> =
        members.iter().map(|m| if let Geometry::Point(p) = m { Some(*p) } else { None }).collect();
    if let Some(points) = points {
        return Ok(Geometry::MultiPoint(MultiPoint(points)));
    }
    let lines: Option<Vec<LineString<f64>>> =
        members.iter().map(|m| if let Geometry::LineString(line) = m { Some(line.clone()) } else { None }).collect();
    if let Some(lines) = lines {
        return Ok(Geometry::MultiLineString(MultiLineString(lines)));
    }
    let parts: Option<Vec<Polygon<f64>>> =
        members.iter().map(|m| if let Geometry::Polygon(part) = m { Some(part.clone()) } else { None }).collect();
    if let Some(parts) = parts
        && polygons(at, parts.clone()).is_ok()
    {
        return Ok(Geometry::MultiPolygon(MultiPolygon(parts)));
    }
    // Of several kinds, or polygons that overlap: only the relations that ask for a common place take those.
    Ok(Geometry::GeometryCollection(GeometryCollection(members)))
}

fn flatten(collection: GeometryCollection<f64>, members: &mut Vec<Geometry<f64>>) {
    for member in collection {
        match member {
            Geometry::GeometryCollection(inner) => flatten(inner, members),
            Geometry::MultiPoint(many) => members.extend(many.0.into_iter().map(Geometry::Point)),
            Geometry::MultiLineString(many) => members.extend(many.0.into_iter().map(Geometry::LineString)),
            Geometry::MultiPolygon(many) => members.extend(many.0.into_iter().map(Geometry::Polygon)),
            other => members.push(other),
        }
    }
}
