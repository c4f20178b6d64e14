//! Where a label stands: the place inside an area that is farthest from its border, nearly (Agafonkin's polylabel).

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use geo::Coord;

use crate::geometry::flat::{FlatGeometry, FlatKind};

/// How much farther another place may be, as a share of the area's width. A finer one takes a multiple of the looks, and labels are a good
/// part of building a snapshot.
const PRECISION: f64 = 0.05;
/// Vertices looked at for one label: a border of 200,000 must not hold up the building of a snapshot.
const MAX_WORK: usize = 4_000_000;

/// The place of a feature's label: inside the largest of its areas, in the middle of its longest line, at its first point.
pub fn place(geometry: &FlatGeometry) -> Option<Coord<f64>> {
    match geometry.kind() {
        FlatKind::Polygon | FlatKind::MultiPolygon => {
            let parts = geometry.parts().map(|rings| rings.collect::<Vec<_>>());
            let largest = parts.max_by(|a, b| area(a).total_cmp(&area(b)))?;
            inside(&largest)
        }
        FlatKind::LineString | FlatKind::MultiLineString => {
            let longest = geometry.rings().max_by(|a, b| length(a).total_cmp(&length(b)))?;
            halfway(longest)
        }
        FlatKind::Point | FlatKind::MultiPoint => geometry.coords().first().copied(),
        FlatKind::Collection => geometry.members().iter().find_map(place),
    }
}

fn area(rings: &[&[Coord<f64>]]) -> f64 {
    rings.first().map_or(0.0, |ring| ring.windows(2).map(|e| e[0].x * e[1].y - e[1].x * e[0].y).sum::<f64>().abs())
}

fn length(line: &[Coord<f64>]) -> f64 {
    line.windows(2).map(|edge| (edge[1].x - edge[0].x).hypot(edge[1].y - edge[0].y)).sum()
}

fn halfway(line: &[Coord<f64>]) -> Option<Coord<f64>> {
    let mut left = length(line) / 2.0;
    for edge in line.windows(2) {
        let run = (edge[1].x - edge[0].x).hypot(edge[1].y - edge[0].y);
        if run >= left && run > 0.0 {
            let share = left / run;
            return Some(Coord {
                x: edge[0].x + share * (edge[1].x - edge[0].x),
                y: edge[0].y + share * (edge[1].y - edge[0].y),
            });
        }
        left -= run;
    }
    line.first().copied()
}

/// A square that may hold a better place.
struct Cell {
    middle: Coord<f64>,
    half: f64,
    /// From the middle to the border; negative outside.
    distance: f64,
}

impl Cell {
    fn new(middle: Coord<f64>, half: f64, rings: &[Vec<Coord<f64>>]) -> Self {
        Self { middle, half, distance: distance(middle, rings) }
    }

    /// The best that any place in it can be.
    fn promise(&self) -> f64 {
        self.distance + self.half * std::f64::consts::SQRT_2
    }
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Cell {}

impl PartialOrd for Cell {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Cell {
    fn cmp(&self, other: &Self) -> Ordering {
        self.promise().total_cmp(&other.promise())
    }
}

fn inside(rings: &[&[Coord<f64>]]) -> Option<Coord<f64>> {
    let exterior = rings.first().filter(|ring| ring.len() >= 4)?;
    let bound = |pick: fn(&Coord<f64>) -> f64| {
        let values = exterior.iter().map(pick);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let ((west, east), (south, north)) = (bound(|c| c.x), bound(|c| c.y));
    // A degree to the east is shorter than one to the north.
    let narrow = ((south + north) / 2.0).to_radians().cos().max(1e-3);
    let scaled: Vec<Vec<Coord<f64>>> =
        rings.iter().map(|ring| ring.iter().map(|c| Coord { x: c.x * narrow, y: c.y }).collect()).collect();
    let (width, height) = ((east - west) * narrow, north - south);
    let side = width.min(height);
    if !(side > 0.0 && side.is_finite()) {
        return exterior.first().copied();
    }
    let mut cells = BinaryHeap::new();
    // A long thin area is cut into at most so many squares at first.
    let half = (side / 2.0).max(width.max(height) / 128.0);
    let steps = |length: f64| (length / (2.0 * half)).ceil().max(1.0) as usize;
    for column in 0..steps(width) {
        for row in 0..steps(height) {
            let at = |start: f64, step: usize| start + half * (2 * step + 1) as f64;
            cells.push(Cell::new(Coord { x: at(west * narrow, column), y: at(south, row) }, half, &scaled));
        }
    }
    let middle = Coord { x: (west + east) / 2.0 * narrow, y: (south + north) / 2.0 };
    let mut best = Cell::new(middle, 0.0, &scaled);
    let vertices: usize = scaled.iter().map(Vec::len).sum();
    let mut looks = MAX_WORK / vertices.max(1);
    while let Some(cell) = cells.pop() {
        if cell.promise() - best.distance <= PRECISION * side || looks == 0 {
            break;
        }
        looks = looks.saturating_sub(4);
        let half = cell.half / 2.0;
        for (east, north) in [(-half, -half), (half, -half), (-half, half), (half, half)] {
            let middle = Coord { x: cell.middle.x + east, y: cell.middle.y + north };
            cells.push(Cell::new(middle, half, &scaled));
        }
        if cell.distance > best.distance {
            best = cell;
        }
    }
    // None of those that were looked at lies inside: the border itself is nearer than any.
    let found = if best.distance > 0.0 { best.middle } else { *scaled.first()?.first()? };
    Some(Coord { x: found.x / narrow, y: found.y })
}

/// From a place to the nearest border of the polygon; negative outside.
fn distance(place: Coord<f64>, rings: &[Vec<Coord<f64>>]) -> f64 {
    let (mut is_inside, mut nearest2) = (false, f64::INFINITY);
    for edge in rings.iter().flat_map(|ring| ring.windows(2)) {
        let (a, b) = (edge[0], edge[1]);
        if (a.y > place.y) != (b.y > place.y) && place.x < (b.x - a.x) * (place.y - a.y) / (b.y - a.y) + a.x {
            is_inside = !is_inside;
        }
        let (x, y) = (b.x - a.x, b.y - a.y);
        let length2 = x * x + y * y;
        let share = if length2 > 0.0 { ((place.x - a.x) * x + (place.y - a.y) * y) / length2 } else { 0.0 };
        let share = share.clamp(0.0, 1.0);
        let (dx, dy) = (place.x - a.x - share * x, place.y - a.y - share * y);
        nearest2 = nearest2.min(dx * dx + dy * dy);
    }
    if is_inside { nearest2.sqrt() } else { -nearest2.sqrt() }
}

#[cfg(test)]
mod tests {
    use geo::{BoundingRect as _, Contains as _, MultiPolygon, wkt};

    use super::*;

    fn label_of(geometry: &MultiPolygon<f64>) -> Coord<f64> {
        place(&FlatGeometry::from(geometry)).expect("a place")
    }

    #[test]
    fn a_label_stands_inside_also_of_a_ring_and_of_a_hook() {
        for geometry in [
            wkt!(MULTIPOLYGON(((0. 0.,10. 0.,10. 10.,0. 10.,0. 0.),(1. 1.,9. 1.,9. 9.,1. 9.,1. 1.)))),
            wkt!(MULTIPOLYGON(((112. 27.,112.1 27.,112.1 27.01,112.01 27.01,112.01 27.1,112. 27.1,112. 27.)))),
            wkt!(MULTIPOLYGON(((0. 0.,1. 0.,1. 1.,0. 0.)),((5. 5.,9. 5.,9. 9.,5. 9.,5. 5.)))),
            wkt!(MULTIPOLYGON(((0. 0.,90. 0.01,90. 0.02,0. 0.01,0. 0.)))),
        ] {
            let place = label_of(&geometry);
            assert!(geometry.contains(&place), "{place:?} of {geometry:?}");
        }
        // The larger part, in its middle.
        let place = label_of(&wkt!(MULTIPOLYGON(((0. 0.,1. 0.,1. 1.,0. 0.)),((5. 5.,9. 5.,9. 9.,5. 9.,5. 5.)))));
        assert!((place.x - 7.0).abs() < 0.2 && (place.y - 7.0).abs() < 0.2, "{place:?}");
    }

    #[test]
    fn lines_points_and_nothing_have_their_places() {
        use crate::geometry::flat::FlatBuilder;
        let of = |kind, coords: &[(f64, f64)]| {
            let mut builder = FlatBuilder::new(kind);
            coords.iter().for_each(|(x, y)| builder.push(Coord { x: *x, y: *y }));
            builder.end_ring();
            place(&builder.finish()).map(|c| (c.x, c.y))
        };
        assert_eq!(of(FlatKind::LineString, &[(0., 0.), (4., 0.), (4., 2.)]), Some((3., 0.)));
        assert_eq!(of(FlatKind::MultiPoint, &[(3., 1.), (4., 0.)]), Some((3., 1.)));
        assert_eq!(of(FlatKind::Polygon, &[]), None);
        let flat = wkt!(MULTIPOLYGON(((0. 0.,5. 0.,9. 0.,0. 0.))));
        assert!(flat.bounding_rect().is_some() && place(&FlatGeometry::from(&flat)).is_some());
    }
}
