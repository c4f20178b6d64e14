//! EWKB of a filter's geometry, of any kind, in EPSG:4490.

use geo::{Coord, Geometry, LineString, Polygon};

const SRID: u32 = 4490;
const HAS_SRID: u32 = 0x2000_0000;

pub fn encode(geometry: &Geometry<f64>) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, geometry, true);
    out
}

fn head(out: &mut Vec<u8>, kind: u32, with_srid: bool) {
    out.push(1);
    if with_srid {
        number(out, kind | HAS_SRID);
        number(out, SRID);
    } else {
        number(out, kind);
    }
}

/// Members of a collection carry no system of their own.
fn put(out: &mut Vec<u8>, geometry: &Geometry<f64>, with_srid: bool) {
    match geometry {
        Geometry::Point(point) => {
            head(out, 1, with_srid);
            coordinate(out, point.0);
        }
        Geometry::LineString(line) => {
            head(out, 2, with_srid);
            points(out, line);
        }
        Geometry::Polygon(polygon) => {
            head(out, 3, with_srid);
            rings(out, polygon);
        }
        Geometry::MultiPoint(many) => members(out, 4, with_srid, many.0.iter().map(|one| Geometry::Point(*one))),
        Geometry::MultiLineString(many) => {
            members(out, 5, with_srid, many.0.iter().map(|one| Geometry::LineString(one.clone())));
        }
        Geometry::MultiPolygon(many) => {
            members(out, 6, with_srid, many.0.iter().map(|one| Geometry::Polygon(one.clone())));
        }
        Geometry::GeometryCollection(many) => members(out, 7, with_srid, many.0.iter().cloned()),
        Geometry::Line(line) => put(out, &Geometry::LineString((*line).into()), with_srid),
        Geometry::Rect(rect) => put(out, &Geometry::Polygon(rect.to_polygon()), with_srid),
        Geometry::Triangle(triangle) => put(out, &Geometry::Polygon(triangle.to_polygon()), with_srid),
    }
}

fn members(out: &mut Vec<u8>, kind: u32, with_srid: bool, members: impl ExactSizeIterator<Item = Geometry<f64>>) {
    head(out, kind, with_srid);
    count(out, members.len());
    for member in members {
        put(out, &member, false);
    }
}

fn rings(out: &mut Vec<u8>, polygon: &Polygon<f64>) {
    count(out, 1 + polygon.interiors().len());
    for ring in std::iter::once(polygon.exterior()).chain(polygon.interiors()) {
        points(out, ring);
    }
}

fn points(out: &mut Vec<u8>, line: &LineString<f64>) {
    count(out, line.0.len());
    for c in line.coords() {
        coordinate(out, *c);
    }
}

fn coordinate(out: &mut Vec<u8>, c: Coord<f64>) {
    out.extend_from_slice(&c.x.to_le_bytes());
    out.extend_from_slice(&c.y.to_le_bytes());
}

/// A filter has at most 8 kB.
fn count(out: &mut Vec<u8>, n: usize) {
    number(out, u32::try_from(n).unwrap_or(u32::MAX));
}

fn number(out: &mut Vec<u8>, n: u32) {
    out.extend_from_slice(&n.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use geo::{GeometryCollection, line_string, point};

    use super::*;

    #[test]
    fn known_bytes_of_postgis() {
        // SELECT ST_AsEWKB('SRID=4490;GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(1 2,3 4))'::geometry) on PostGIS 3.3.
        let collection = Geometry::GeometryCollection(GeometryCollection(vec![
            Geometry::Point(point!(x: 1.0, y: 2.0)),
            Geometry::LineString(line_string![(x: 1.0, y: 2.0), (x: 3.0, y: 4.0)]),
        ]));
        assert_eq!(
            encode(&collection).iter().map(|b| format!("{b:02X}")).collect::<String>(),
            "01070000208A110000020000000101000000000000000000F03F0000000000000040\
             010200000002000000000000000000F03F000000000000004000000000000008400000000000001040"
        );
    }
}
