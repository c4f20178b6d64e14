//! EWKB of MultiPolygon in EPSG:4490: exact, little-endian, bounds-checked. PostGIS' own format, so nothing is lost.

use geo::{Coord, LineString, MultiPolygon, Polygon};

use crate::error::{Error, Result};
use crate::geometry::flat::{FlatBuilder, FlatGeometry, FlatKind};

const SRID: u32 = 4490;
const POLYGON: u32 = 3;
const MULTI_POLYGON: u32 = 6;
const HAS_SRID: u32 = 0x2000_0000;
const HAS_Z: u32 = 0x8000_0000;
const HAS_M: u32 = 0x4000_0000;
/// Collections within collections; what a client stored itself may be deeper, and is not shown.
const MAX_DEPTH: u8 = 4;

/// EWKB bytes.
pub fn encode(geometry: &MultiPolygon<f64>) -> Vec<u8> {
    let ring = |r: &LineString<f64>| 4 + r.0.len() * 16;
    let part = |p: &Polygon<f64>| 9 + ring(p.exterior()) + p.interiors().iter().map(ring).sum::<usize>();
    let mut out = Vec::with_capacity(13 + geometry.iter().map(part).sum::<usize>());
    out.push(1);
    put(&mut out, MULTI_POLYGON | HAS_SRID);
    put(&mut out, SRID);
    put(&mut out, geometry.0.len() as u32);
    for polygon in geometry {
        out.push(1);
        put(&mut out, POLYGON);
        put(&mut out, 1 + polygon.interiors().len() as u32);
        for ring in std::iter::once(polygon.exterior()).chain(polygon.interiors()) {
            put(&mut out, ring.0.len() as u32);
            for c in ring.coords() {
                out.extend_from_slice(&c.x.to_le_bytes());
                out.extend_from_slice(&c.y.to_le_bytes());
            }
        }
    }
    out
}

/// EWKB bytes of any plain geometry.
pub fn encode_flat(geometry: &FlatGeometry) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + geometry.heap_bytes());
    put_flat(&mut out, geometry, HAS_SRID);
    out
}

/// `srid`: [`HAS_SRID`] of the outermost, 0 of members.
fn put_flat(out: &mut Vec<u8>, geometry: &FlatGeometry, srid: u32) {
    let kind = match geometry.kind() {
        FlatKind::Point => 1,
        FlatKind::LineString => 2,
        FlatKind::Polygon => POLYGON,
        FlatKind::MultiPoint => 4,
        FlatKind::MultiLineString => 5,
        FlatKind::MultiPolygon => MULTI_POLYGON,
        FlatKind::Collection => 7,
    };
    let head = |out: &mut Vec<u8>, kind: u32| {
        out.push(1);
        put(out, kind);
    };
    head(out, kind | srid);
    if srid != 0 {
        put(out, SRID);
    }
    let coord = |out: &mut Vec<u8>, c: &Coord<f64>| {
        out.extend_from_slice(&c.x.to_le_bytes());
        out.extend_from_slice(&c.y.to_le_bytes());
    };
    let line = |out: &mut Vec<u8>, coords: &[Coord<f64>]| {
        put(out, coords.len() as u32);
        coords.iter().for_each(|c| coord(out, c));
    };
    let polygon = |out: &mut Vec<u8>, rings: Vec<&[Coord<f64>]>| {
        put(out, rings.len() as u32);
        rings.into_iter().for_each(|ring| line(out, ring));
    };
    match geometry.kind() {
        // PostGIS reads an empty point as NaN.
        FlatKind::Point => coord(out, geometry.coords().first().unwrap_or(&Coord { x: f64::NAN, y: f64::NAN })),
        FlatKind::LineString => line(out, geometry.coords()),
        FlatKind::Polygon => polygon(out, geometry.rings().collect()),
        FlatKind::MultiPoint => {
            put(out, geometry.coords().len() as u32);
            for c in geometry.coords() {
                head(out, 1);
                coord(out, c);
            }
        }
        FlatKind::MultiLineString => {
            put(out, geometry.rings().count() as u32);
            for ring in geometry.rings() {
                head(out, 2);
                line(out, ring);
            }
        }
        FlatKind::MultiPolygon => {
            put(out, geometry.parts().count() as u32);
            for part in geometry.parts() {
                head(out, POLYGON);
                polygon(out, part.collect());
            }
        }
        FlatKind::Collection => {
            put(out, geometry.members().len() as u32);
            geometry.members().iter().for_each(|member| put_flat(out, member, 0));
        }
    }
}

fn put(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Reads EWKB (or WKB) of a MultiPolygon or Polygon; Z and M are refused, since no column holds them.
pub fn decode(bytes: &[u8]) -> Result<MultiPolygon<f64>> {
    let broken = || Error::Internal { detail: "数据库中的图形无法解读".to_owned(), cause: None };
    let mut reader = Reader { bytes, at: 0, little: true };
    reader.geometry().filter(|_| reader.at == bytes.len()).ok_or_else(broken)
}

/// [`decode_flat`]; `None` for what GeoJSON has no word for (an operator's curve or net of triangles): the feature stands without a shape.
pub fn decode_shown(bytes: &[u8]) -> Option<FlatGeometry> {
    decode_flat(bytes).ok()
}

/// Reads EWKB of any plain geometry; heights and measures are left out.
pub fn decode_flat(bytes: &[u8]) -> Result<FlatGeometry> {
    let broken = || Error::Internal { detail: "数据库中的图形无法解读".to_owned(), cause: None };
    let mut reader = Reader { bytes, at: 0, little: true };
    reader.flat(0).filter(|_| reader.at == bytes.len()).ok_or_else(broken)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    little: bool,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let piece = self.bytes.get(self.at..self.at + N)?.try_into().ok()?;
        self.at += N;
        Some(piece)
    }

    fn number(&mut self) -> Option<u32> {
        let bytes = self.take::<4>()?;
        Some(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn double(&mut self) -> Option<f64> {
        let bytes = self.take::<8>()?;
        Some(if self.little { f64::from_le_bytes(bytes) } else { f64::from_be_bytes(bytes) })
    }

    /// A count that the rest of the bytes can hold: a forged one must not make us allocate.
    fn count(&mut self, least_size: usize) -> Option<usize> {
        let n = self.number()? as usize;
        (n.checked_mul(least_size)? <= self.bytes.len() - self.at).then_some(n)
    }

    fn header(&mut self) -> Option<u32> {
        self.little = self.take::<1>()?[0] == 1;
        let kind = self.number()?;
        if kind & HAS_SRID != 0 {
            self.number()?;
        }
        Some(kind & !HAS_SRID)
    }

    fn geometry(&mut self) -> Option<MultiPolygon<f64>> {
        match self.header()? {
            POLYGON => Some(MultiPolygon(vec![self.polygon()?])),
            MULTI_POLYGON => {
                let parts = self.count(9)?;
                let mut polygons = Vec::with_capacity(parts);
                for _ in 0..parts {
                    if self.header()? != POLYGON {
                        return None;
                    }
                    polygons.push(self.polygon()?);
                }
                Some(MultiPolygon(polygons))
            }
            _ => None,
        }
    }

    /// The kind as the OGC numbers it, and how many further numbers a coordinate has.
    fn flat_header(&mut self) -> Option<(u32, usize)> {
        let kind = self.header()?;
        let beyond = usize::from(kind & HAS_Z != 0) + usize::from(kind & HAS_M != 0);
        Some((kind & !(HAS_Z | HAS_M), beyond))
    }

    fn flat(&mut self, depth: u8) -> Option<FlatGeometry> {
        let (kind, beyond) = self.flat_header()?;
        let kind = match kind {
            1 => FlatKind::Point,
            2 => FlatKind::LineString,
            3 => FlatKind::Polygon,
            4 => FlatKind::MultiPoint,
            5 => FlatKind::MultiLineString,
            6 => FlatKind::MultiPolygon,
            7 if depth < MAX_DEPTH => {
                let members = self.count(5)?;
                return (0..members).map(|_| self.flat(depth + 1)).collect::<Option<_>>().map(FlatGeometry::collection);
            }
            _ => return None,
        };
        let mut builder = FlatBuilder::new(kind);
        match kind {
            FlatKind::MultiPoint | FlatKind::MultiLineString | FlatKind::MultiPolygon => {
                for _ in 0..self.count(5)? {
                    let (member, beyond) = self.flat_header()?;
                    let expected = match kind {
                        FlatKind::MultiPoint => 1,
                        FlatKind::MultiLineString => 2,
                        _ => POLYGON,
                    };
                    if member != expected {
                        return None;
                    }
                    self.flat_part(member, beyond, &mut builder)?;
                }
            }
            FlatKind::Point => self.flat_part(1, beyond, &mut builder)?,
            FlatKind::LineString => self.flat_part(2, beyond, &mut builder)?,
            _ => self.flat_part(POLYGON, beyond, &mut builder)?,
        }
        Some(builder.finish())
    }

    fn flat_part(&mut self, kind: u32, beyond: usize, builder: &mut FlatBuilder) -> Option<()> {
        match kind {
            1 => {
                let coord = self.flat_coord(beyond)?;
                // PostGIS writes an empty point as NaN.
                if coord.x.is_finite() && coord.y.is_finite() {
                    builder.push(coord);
                }
            }
            2 => self.flat_line(beyond, builder)?,
            _ => {
                for _ in 0..self.count(4)? {
                    self.flat_line(beyond, builder)?;
                }
                builder.end_part();
            }
        }
        Some(())
    }

    fn flat_line(&mut self, beyond: usize, builder: &mut FlatBuilder) -> Option<()> {
        let points = self.count(16 + 8 * beyond)?;
        builder.reserve(points);
        for _ in 0..points {
            builder.push(self.flat_coord(beyond)?);
        }
        builder.end_ring();
        Some(())
    }

    fn flat_coord(&mut self, beyond: usize) -> Option<Coord<f64>> {
        let coord = Coord { x: self.double()?, y: self.double()? };
        for _ in 0..beyond {
            self.double()?;
        }
        Some(coord)
    }

    fn polygon(&mut self) -> Option<Polygon<f64>> {
        let rings = self.count(4)?;
        let mut lines = Vec::with_capacity(rings);
        for _ in 0..rings {
            let points = self.count(16)?;
            let mut line = Vec::with_capacity(points);
            for _ in 0..points {
                line.push(Coord { x: self.double()?, y: self.double()? });
            }
            lines.push(LineString(line));
        }
        let mut lines = lines.into_iter();
        let exterior = lines.next().unwrap_or_else(|| LineString(Vec::new()));
        Some(Polygon::new(exterior, lines.collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring() -> impl Strategy<Value = LineString<f64>> {
        prop::collection::vec((any::<f64>().prop_filter("a number", |x| !x.is_nan()), -90.0..90.0f64), 3..12).prop_map(
            |points| {
                let mut line: Vec<Coord<f64>> = points.into_iter().map(|(x, y)| Coord { x, y }).collect();
                line.push(line[0]);
                LineString(line)
            },
        )
    }

    #[test]
    fn known_bytes_of_postgis() {
        // SELECT ST_AsEWKB('SRID=4490;MULTIPOLYGON(((1 2,3 2,3 4,1 2)))'::geometry) on PostGIS 3.3.
        let geometry = MultiPolygon(vec![Polygon::new(vec![(1., 2.), (3., 2.), (3., 4.), (1., 2.)].into(), vec![])]);
        assert_eq!(
            encode(&geometry).iter().map(|b| format!("{b:02X}")).collect::<String>(),
            "01060000208A11000001000000010300000001000000040000000000000000\
             00F03F0000000000000040000000000000084000000000000000400000000000000840\
             0000000000001040000000000000F03F0000000000000040"
        );
    }

    #[test]
    fn every_kind_is_written_as_it_is_read() {
        let line = |kind: FlatKind, rings: &[&[(f64, f64)]]| {
            let mut builder = FlatBuilder::new(kind);
            for ring in rings {
                ring.iter().for_each(|(x, y)| builder.push(Coord { x: *x, y: *y }));
                if !matches!(kind, FlatKind::Point | FlatKind::MultiPoint) {
                    builder.end_ring();
                }
                if matches!(kind, FlatKind::MultiPolygon) {
                    builder.end_part();
                }
            }
            builder.finish()
        };
        let ring: &[(f64, f64)] = &[(1., 2.), (3., 2.), (3., 4.), (1., 2.)];
        let shapes = vec![
            line(FlatKind::Point, &[&[(1., 2.)]]),
            line(FlatKind::LineString, &[ring]),
            line(FlatKind::Polygon, &[ring, ring]),
            line(FlatKind::MultiPoint, &[ring]),
            line(FlatKind::MultiLineString, &[ring, ring]),
            line(FlatKind::MultiPolygon, &[ring, ring]),
        ];
        for shape in shapes.iter().chain([&FlatGeometry::collection(shapes.clone())]) {
            assert_eq!(decode_flat(&encode_flat(shape)).ok().as_ref(), Some(shape));
        }
        // SELECT ST_AsEWKB('SRID=4490;MULTILINESTRING((1 2,3 2))'::geometry) on PostGIS 3.3.
        let lines = line(FlatKind::MultiLineString, &[&[(1., 2.), (3., 2.)]]);
        let hex: String = encode_flat(&lines).iter().map(|b| format!("{b:02X}")).collect();
        assert_eq!(
            hex,
            "01050000208A1100000100000001020000000200000000000000000\
             0F03F000000000000004000000000000008400000000000000040"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(polygons in prop::collection::vec((ring(), prop::collection::vec(ring(), 0..3)), 0..4)) {
            let geometry = MultiPolygon(polygons.into_iter().map(|(e, h)| Polygon::new(e, h)).collect());
            prop_assert_eq!(decode_flat(&encode(&geometry)).expect("own bytes"), FlatGeometry::from(&geometry));
            prop_assert_eq!(encode_flat(&FlatGeometry::from(&geometry)), encode(&geometry));
            prop_assert_eq!(decode(&encode(&geometry)).expect("own bytes"), geometry);
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
            let _ = decode_flat(&bytes);
        }
    }
}
