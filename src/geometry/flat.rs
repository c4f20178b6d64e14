//! A geometry of any kind in a few arrays: what layers hold in memory by the million.
//!
//! `geo`'s own types have an allocation a ring and three a part; here a parcel is one array of coordinates.

use geo::kernels::{Kernel, Orientation, RobustKernel};
use geo::{
    Coord, Geometry, GeometryCollection, Line, LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon,
};

/// What a geometry is (OGC Simple Features).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlatKind {
    Point,
    LineString,
    Polygon,
    MultiPoint,
    MultiLineString,
    MultiPolygon,
    Collection,
}

impl FlatKind {
    /// As GeoJSON calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            FlatKind::Point => "Point",
            FlatKind::LineString => "LineString",
            FlatKind::Polygon => "Polygon",
            FlatKind::MultiPoint => "MultiPoint",
            FlatKind::MultiLineString => "MultiLineString",
            FlatKind::MultiPolygon => "MultiPolygon",
            FlatKind::Collection => "GeometryCollection",
        }
    }

    pub fn is_areal(self) -> bool {
        matches!(self, FlatKind::Polygon | FlatKind::MultiPolygon)
    }
}

/// A geometry, longitude (or easting) first. Rings are closed by repeating the first point, as read.
#[derive(Debug, Clone, PartialEq)]
pub struct FlatGeometry {
    kind: FlatKind,
    coords: Box<[Coord<f64>]>,
    /// Where each line or ring ends in `coords`; empty where there is at most one.
    rings: Box<[u32]>,
    /// Where each part ends in the rings; empty where there is at most one part.
    parts: Box<[u32]>,
    /// Of a collection; its own arrays are empty.
    members: Box<[FlatGeometry]>,
}

/// Fills a [`FlatGeometry`] ring by ring.
#[derive(Debug)]
pub struct FlatBuilder {
    kind: FlatKind,
    coords: Vec<Coord<f64>>,
    rings: Vec<u32>,
    parts: Vec<u32>,
}

impl FlatBuilder {
    pub fn new(kind: FlatKind) -> Self {
        Self { kind, coords: Vec::new(), rings: Vec::new(), parts: Vec::new() }
    }

    /// Room for so many coordinates more.
    pub fn reserve(&mut self, coords: usize) {
        self.coords.reserve_exact(coords);
    }

    pub fn push(&mut self, coord: Coord<f64>) {
        self.coords.push(coord);
    }

    /// Ends a line or a ring.
    pub fn end_ring(&mut self) {
        self.rings.push(self.coords.len() as u32);
    }

    /// Ends a polygon of several.
    pub fn end_part(&mut self) {
        self.parts.push(self.rings.len() as u32);
    }

    pub fn finish(self) -> FlatGeometry {
        // One ring or part ends where all ends.
        let several = |ends: Vec<u32>| if ends.len() > 1 { ends.into_boxed_slice() } else { Box::default() };
        let parts = several(self.parts);
        // One part of many rings keeps its rings; several parts keep theirs even where each has one.
        FlatGeometry {
            kind: self.kind,
            coords: self.coords.into_boxed_slice(),
            rings: several(self.rings),
            parts,
            members: Box::default(),
        }
    }
}

impl FlatGeometry {
    pub fn collection(members: Vec<FlatGeometry>) -> Self {
        Self {
            kind: FlatKind::Collection,
            coords: Box::default(),
            rings: Box::default(),
            parts: Box::default(),
            members: members.into_boxed_slice(),
        }
    }

    pub fn kind(&self) -> FlatKind {
        self.kind
    }

    /// All coordinates of a geometry that is no collection.
    pub fn coords(&self) -> &[Coord<f64>] {
        &self.coords
    }

    /// The geometries of a collection.
    pub fn members(&self) -> &[FlatGeometry] {
        &self.members
    }

    /// No coordinate at all.
    pub fn is_empty(&self) -> bool {
        self.coords.is_empty() && self.members.iter().all(FlatGeometry::is_empty)
    }

    /// Its lines or rings, over all parts.
    pub fn rings(&self) -> impl Iterator<Item = &[Coord<f64>]> {
        self.ring_range(0, self.ring_count())
    }

    fn ring_count(&self) -> usize {
        match self.rings.len() {
            0 => usize::from(!self.coords.is_empty()),
            n => n,
        }
    }

    fn ring_range(&self, from: usize, to: usize) -> impl Iterator<Item = &[Coord<f64>]> {
        (from..to).map(|at| {
            let begin = if at == 0 { 0 } else { self.rings.get(at - 1).map_or(0, |end| *end as usize) };
            let end = self.rings.get(at).map_or(self.coords.len(), |end| *end as usize);
            &self.coords[begin..end]
        })
    }

    /// Its polygons, each as its rings, the exterior first.
    pub fn parts(&self) -> impl Iterator<Item = impl Iterator<Item = &[Coord<f64>]>> {
        let count = if self.parts.is_empty() { usize::from(self.ring_count() > 0) } else { self.parts.len() };
        (0..count).map(|at| {
            let begin = if at == 0 { 0 } else { self.parts[at - 1] as usize };
            let end = self.parts.get(at).map_or(self.ring_count(), |end| *end as usize);
            self.ring_range(begin, end)
        })
    }

    /// West, south, east, north; `None` of an empty one.
    pub fn bbox(&self) -> Option<[f64; 4]> {
        let mut bbox = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        self.extend(&mut bbox);
        (bbox[0] <= bbox[2]).then_some(bbox)
    }

    fn extend(&self, bbox: &mut [f64; 4]) {
        // A vertex that lacks one coordinate lies nowhere: the other would make a side that no point is on.
        for c in self.coords.iter().filter(|c| !c.x.is_nan() && !c.y.is_nan()) {
            *bbox = [bbox[0].min(c.x), bbox[1].min(c.y), bbox[2].max(c.x), bbox[3].max(c.y)];
        }
        for member in &self.members {
            member.extend(bbox);
        }
    }

    /// Whether it has a point in common with this box, its sides included: exactly, without a copy.
    pub fn meets_box(&self, bbox: &[f64; 4]) -> bool {
        if self.kind == FlatKind::Collection {
            return self.members.iter().any(|member| member.meets_box(bbox));
        }
        if matches!(self.kind, FlatKind::Point | FlatKind::MultiPoint) {
            return self.coords.iter().any(|c| is_in_box(c, bbox));
        }
        if self.rings().any(|ring| line_meets_box(ring, bbox)) {
            return true;
        }
        // No side touches the box: all of it lies within, or all without.
        let corner = Coord { x: bbox[0], y: bbox[1] };
        self.kind.is_areal()
            && self.parts().any(|mut rings| rings.by_ref().filter(|ring| turns_around(ring, corner)).count() % 2 == 1)
    }

    /// The same with every coordinate moved.
    pub fn map(&self, mut f: impl FnMut(Coord<f64>) -> Coord<f64>) -> Self {
        self.try_map(&mut |c| Some(f(c))).unwrap_or_else(|| self.clone())
    }

    /// The same with every coordinate moved; `None` where one cannot be.
    pub fn try_map(&self, f: &mut impl FnMut(Coord<f64>) -> Option<Coord<f64>>) -> Option<Self> {
        let coords = self.coords.iter().map(|c| f(*c)).collect::<Option<_>>()?;
        let members = self.members.iter().map(|m| m.try_map(f)).collect::<Option<_>>()?;
        Some(Self { kind: self.kind, coords, rings: self.rings.clone(), parts: self.parts.clone(), members })
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.coords)
            + size_of_val(&*self.rings)
            + size_of_val(&*self.parts)
            + self.members.iter().map(|m| size_of::<Self>() + m.heap_bytes()).sum::<usize>()
    }

    /// As `geo` has it.
    pub fn to_geo(&self) -> Geometry<f64> {
        let line = |coords: &[Coord<f64>]| LineString(coords.to_vec());
        match self.kind {
            FlatKind::Point => match self.coords.first() {
                Some(c) => Geometry::Point(Point(*c)),
                None => Geometry::MultiPoint(MultiPoint(Vec::new())),
            },
            FlatKind::MultiPoint => Geometry::MultiPoint(MultiPoint(self.coords.iter().map(|c| Point(*c)).collect())),
            FlatKind::LineString => Geometry::LineString(line(&self.coords)),
            FlatKind::MultiLineString => Geometry::MultiLineString(MultiLineString(self.rings().map(line).collect())),
            FlatKind::Polygon => match self.to_multi_polygon().0.pop() {
                Some(polygon) => Geometry::Polygon(polygon),
                None => Geometry::MultiPolygon(MultiPolygon(Vec::new())),
            },
            FlatKind::MultiPolygon => Geometry::MultiPolygon(self.to_multi_polygon()),
            FlatKind::Collection => Geometry::GeometryCollection(GeometryCollection(
                self.members.iter().map(FlatGeometry::to_geo).collect(),
            )),
        }
    }

    /// Its polygons; none of what has no area.
    pub fn to_multi_polygon(&self) -> MultiPolygon<f64> {
        if !self.kind.is_areal() {
            return MultiPolygon(Vec::new());
        }
        let polygon = |mut rings: Vec<LineString<f64>>| {
            let exterior = if rings.is_empty() { LineString(Vec::new()) } else { rings.remove(0) };
            Polygon::new(exterior, rings)
        };
        MultiPolygon(self.parts().map(|rings| polygon(rings.map(|r| LineString(r.to_vec())).collect())).collect())
    }
}

impl From<&MultiPolygon<f64>> for FlatGeometry {
    fn from(geometry: &MultiPolygon<f64>) -> Self {
        let mut builder = FlatBuilder::new(FlatKind::MultiPolygon);
        for polygon in geometry {
            for ring in std::iter::once(polygon.exterior()).chain(polygon.interiors()) {
                ring.coords().for_each(|c| builder.push(*c));
                builder.end_ring();
            }
            builder.end_part();
        }
        builder.finish()
    }
}

fn is_in_box(c: &Coord<f64>, bbox: &[f64; 4]) -> bool {
    bbox[0] <= c.x && c.x <= bbox[2] && bbox[1] <= c.y && c.y <= bbox[3]
}

fn line_meets_box(line: &[Coord<f64>], bbox: &[f64; 4]) -> bool {
    let [west, south, east, north] = *bbox;
    line.windows(2).any(|ends| {
        let (a, b) = (ends[0], ends[1]);
        if a.x.max(b.x) < west || a.x.min(b.x) > east || a.y.max(b.y) < south || a.y.min(b.y) > north {
            return false;
        }
        if is_in_box(&a, bbox) || is_in_box(&b, bbox) {
            return true;
        }
        // Two convex figures have nothing in common where a line keeps them apart: the box's sides do not (above), so that the segment's
        // own line is the last that could.
        let sides = [(west, south), (east, south), (east, north), (west, north)]
            .map(|(x, y)| RobustKernel::orient2d(a, b, Coord { x, y }));
        !(sides.iter().all(|side| *side == Orientation::Clockwise)
            || sides.iter().all(|side| *side == Orientation::CounterClockwise))
    })
}

/// Whether a ring that does not touch the point goes around it an odd number of times.
fn turns_around(ring: &[Coord<f64>], point: Coord<f64>) -> bool {
    let crosses = |ends: &&[Coord<f64>]| {
        let (a, b) = if ends[0].y <= ends[1].y { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
        // Half open: a vertex at the point's height counts with one of its sides.
        a.y <= point.y && point.y < b.y && RobustKernel::orient2d(a, b, point) == Orientation::CounterClockwise
    };
    ring.windows(2).filter(crosses).count() % 2 == 1
}

/// What a box from corner to corner is: a polygon, or a line or a point where it has no height or width.
pub fn box_geometry([west, south, east, north]: [f64; 4]) -> Geometry<f64> {
    let (a, b) = (Coord { x: west, y: south }, Coord { x: east, y: north });
    match (west == east, south == north) {
        (true, true) => Geometry::Point(Point(a)),
        (true, false) | (false, true) => Geometry::Line(Line::new(a, b)),
        (false, false) => Geometry::Rect(geo::Rect::new(a, b)),
    }
}

#[cfg(test)]
mod tests {
    use geo::{MultiPolygon, wkt};
    use proptest::prelude::*;

    use super::*;

    fn holed() -> MultiPolygon<f64> {
        wkt!(MULTIPOLYGON(((0. 0.,4. 0.,4. 4.,0. 0.),(1. 0.5,2. 0.5,2. 1.,1. 0.5)),((5. 5.,6. 5.,6. 6.,5. 5.))))
    }

    #[test]
    fn parts_and_rings_come_back_as_they_were() {
        for geometry in [holed(), MultiPolygon(vec![holed().0.remove(0)]), MultiPolygon(vec![holed().0.remove(1)])] {
            let flat = FlatGeometry::from(&geometry);
            assert_eq!(flat.to_multi_polygon(), geometry);
            assert_eq!(flat.to_geo(), Geometry::MultiPolygon(geometry.clone()));
            assert_eq!(flat.rings().count(), geometry.iter().map(|p| 1 + p.interiors().len()).sum::<usize>());
        }
        let empty = FlatGeometry::from(&MultiPolygon(Vec::new()));
        assert!(empty.is_empty() && empty.bbox().is_none() && empty.parts().count() == 0);
        assert_eq!(FlatGeometry::from(&holed()).bbox(), Some([0., 0., 6., 6.]));
        let nowhere = FlatGeometry::from(&MultiPolygon(vec![wkt!(POLYGON((0. 0.,1. 0.,1. 1.,0. 0.)))]))
            .map(|c| if c.x == 0.0 { c } else { Coord { x: f64::NAN, y: 50.0 } });
        assert_eq!(nowhere.bbox(), Some([0., 0., 0., 0.]));
    }

    proptest! {
        #[test]
        fn a_shape_meets_a_box_where_geo_says_so(
            // Small whole numbers: shapes and boxes touch, and have no height or width, often.
            corners in prop::collection::vec((0..9i32, 0..9i32), 3..9),
            (west, south, width, height) in (0..9i32, 0..9i32, 0..4i32, 0..4i32),
        ) {
            let bbox = [west, south, west + width, south + height].map(f64::from);
            let middle = Coord { x: 4.5, y: 4.5 };
            let angle = |c: &Coord<f64>| (c.y - middle.y).atan2(c.x - middle.x);
            let mut star: Vec<Coord<f64>> = corners.iter().map(|(x, y)| Coord { x: f64::from(*x), y: f64::from(*y) }).collect();
            star.sort_by(|a, b| angle(a).total_cmp(&angle(b)));
            star.dedup_by(|a, b| angle(a) == angle(b));
            prop_assume!(star.len() > 2);
            star.push(star[0]);
            let lines = MultiLineString(vec![LineString(star.clone())]);
            // A hole about the middle that touches no side.
            let hole = LineString::from(vec![(4.4, 4.4), (4.4, 4.6), (4.6, 4.6), (4.6, 4.4), (4.4, 4.4)]);
            let polygon = Polygon::new(LineString(star.clone()), vec![]);
            let holes = if geo::Contains::contains(&polygon, &Polygon::new(hole.clone(), vec![])) { vec![hole] } else { vec![] };
            let areal = FlatGeometry::from(&MultiPolygon(vec![Polygon::new(LineString(star), holes)]));
            let mut builder = FlatBuilder::new(FlatKind::MultiLineString);
            lines.0[0].coords().for_each(|c| builder.push(*c));
            builder.end_ring();
            for flat in [builder.finish(), areal] {
                for bbox in [bbox, [4.45, 4.45, 4.55, 4.55]] {
                    let expected = geo::Intersects::intersects(&flat.to_geo(), &box_geometry(bbox));
                    prop_assert_eq!(flat.meets_box(&bbox), expected, "{:?} {:?}", flat, bbox);
                }
            }
        }
    }

    #[test]
    fn a_box_without_width_is_a_line_and_one_without_either_a_point() {
        assert!(matches!(box_geometry([1., 2., 3., 4.]), Geometry::Rect(_)));
        assert!(matches!(box_geometry([1., 2., 1., 4.]), Geometry::Line(_)));
        assert!(matches!(box_geometry([1., 2., 1., 2.]), Geometry::Point(_)));
    }
}
