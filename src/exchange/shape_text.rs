//! Shapes of any kind as well-known text and bytes (OGC Simple Features).

use std::fmt::Write as _;

use geo::{Coord, Geometry, LineString, Polygon};

/// Well-known text with every digit that the stored number has.
pub fn wkt(geometry: &Geometry<f64>) -> String {
    let mut out = String::new();
    put_text(&mut out, geometry);
    out
}

fn put_text(out: &mut String, geometry: &Geometry<f64>) {
    match geometry {
        Geometry::Point(point) => {
            out.push_str("POINT ");
            coords(out, &[point.0]);
        }
        Geometry::LineString(line) => {
            out.push_str("LINESTRING ");
            coords(out, &line.0);
        }
        Geometry::Polygon(polygon) => {
            out.push_str("POLYGON ");
            rings(out, polygon);
        }
        Geometry::MultiPoint(points) => {
            out.push_str("MULTIPOINT ");
            listed(out, &points.0, |out, point| coords(out, &[point.0]));
        }
        Geometry::MultiLineString(lines) => {
            out.push_str("MULTILINESTRING ");
            listed(out, &lines.0, |out, line| coords(out, &line.0));
        }
        Geometry::MultiPolygon(polygons) => {
            out.push_str("MULTIPOLYGON ");
            listed(out, &polygons.0, rings);
        }
        Geometry::GeometryCollection(members) => {
            out.push_str("GEOMETRYCOLLECTION ");
            listed(out, &members.0, put_text);
        }
        // (No shape of a layer is one of `geo`'s own kinds.)
        Geometry::Line(line) => put_text(out, &Geometry::LineString((*line).into())),
        Geometry::Rect(rect) => put_text(out, &Geometry::Polygon(rect.to_polygon())),
        Geometry::Triangle(triangle) => put_text(out, &Geometry::Polygon(triangle.to_polygon())),
    }
}

fn listed<T>(out: &mut String, items: &[T], mut put: impl FnMut(&mut String, &T)) {
    if items.is_empty() {
        out.push_str("EMPTY");
        return;
    }
    out.push('(');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        put(out, item);
    }
    out.push(')');
}

fn rings(out: &mut String, polygon: &Polygon<f64>) {
    let rings: Vec<&LineString<f64>> = std::iter::once(polygon.exterior()).chain(polygon.interiors()).collect();
    listed(out, &rings, |out, ring| coords(out, &ring.0));
}

fn coords(out: &mut String, coords: &[Coord<f64>]) {
    // Writing to a String cannot fail.
    listed(out, coords, |out, c| {
        let _ = write!(out, "{} {}", c.x, c.y);
    });
}

/// Well-known bytes, little-endian.
pub fn wkb(geometry: &Geometry<f64>) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, geometry);
    out
}

fn put_bytes(out: &mut Vec<u8>, geometry: &Geometry<f64>) {
    match geometry {
        Geometry::Point(point) => {
            head(out, 1);
            coord(out, point.0);
        }
        Geometry::LineString(line) => {
            head(out, 2);
            line_bytes(out, line);
        }
        Geometry::Polygon(polygon) => {
            head(out, 3);
            let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
            count(out, 1 + polygon.interiors().len());
            rings.for_each(|ring| line_bytes(out, ring));
        }
        Geometry::MultiPoint(points) => {
            head(out, 4);
            count(out, points.0.len());
            points.0.iter().for_each(|point| put_bytes(out, &Geometry::Point(*point)));
        }
        Geometry::MultiLineString(lines) => {
            head(out, 5);
            count(out, lines.0.len());
            lines.0.iter().for_each(|line| put_bytes(out, &Geometry::LineString(line.clone())));
        }
        Geometry::MultiPolygon(polygons) => {
            head(out, 6);
            count(out, polygons.0.len());
            polygons.0.iter().for_each(|polygon| put_bytes(out, &Geometry::Polygon(polygon.clone())));
        }
        Geometry::GeometryCollection(members) => {
            head(out, 7);
            count(out, members.0.len());
            members.0.iter().for_each(|member| put_bytes(out, member));
        }
        Geometry::Line(line) => put_bytes(out, &Geometry::LineString((*line).into())),
        Geometry::Rect(rect) => put_bytes(out, &Geometry::Polygon(rect.to_polygon())),
        Geometry::Triangle(triangle) => put_bytes(out, &Geometry::Polygon(triangle.to_polygon())),
    }
}

fn head(out: &mut Vec<u8>, kind: u32) {
    out.push(1);
    out.extend_from_slice(&kind.to_le_bytes());
}

fn count(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&(n as u32).to_le_bytes());
}

fn line_bytes(out: &mut Vec<u8>, line: &LineString<f64>) {
    count(out, line.0.len());
    line.0.iter().for_each(|c| coord(out, *c));
}

fn coord(out: &mut Vec<u8>, c: Coord<f64>) {
    out.extend_from_slice(&c.x.to_le_bytes());
    out.extend_from_slice(&c.y.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use geo::{MultiPolygon, polygon, wkt as shape};

    use super::*;

    #[test]
    fn shapes_as_text() {
        let hole = geo::LineString::from(vec![(0.1, 0.1), (0.2, 0.1), (0.2, 0.2), (0.1, 0.1)]);
        let first = geo::Polygon::new(vec![(0., 0.), (1., 0.), (1., 1.5), (0., 0.)].into(), vec![hole]);
        let second = polygon![(x: 5., y: 5.), (x: 6., y: 5.), (x: 6., y: 6.)];
        for (geometry, text) in [
            (
                MultiPolygon(vec![first, second]).into(),
                "MULTIPOLYGON (((0 0,1 0,1 1.5,0 0),(0.1 0.1,0.2 0.1,0.2 0.2,0.1 0.1)),((5 5,6 5,6 6,5 5)))",
            ),
            (shape!(POINT(1. 2.5)).into(), "POINT (1 2.5)"),
            (shape!(LINESTRING(1. 2.,3. 4.)).into(), "LINESTRING (1 2,3 4)"),
            (shape!(MULTIPOINT(1. 2.,3. 4.)).into(), "MULTIPOINT ((1 2),(3 4))"),
            (Geometry::MultiPoint(geo::MultiPoint(vec![])), "MULTIPOINT EMPTY"),
            (shape!(MULTILINESTRING((1. 2.,3. 4.),(5. 6.,7. 8.))).into(), "MULTILINESTRING ((1 2,3 4),(5 6,7 8))"),
            (
                Geometry::GeometryCollection(geo::GeometryCollection(vec![shape!(POINT(1. 2.)).into()])),
                "GEOMETRYCOLLECTION (POINT (1 2))",
            ),
        ] {
            assert_eq!(wkt(&geometry), text);
        }
    }

    /// That GDAL reads every kind is shown by the exports' tests.
    #[test]
    fn bytes_of_a_point() {
        let mut expected = vec![1, 1, 0, 0, 0];
        expected.extend(1.0f64.to_le_bytes());
        expected.extend(2.5f64.to_le_bytes());
        assert_eq!(wkb(&shape!(POINT(1. 2.5)).into()), expected);
    }
}
