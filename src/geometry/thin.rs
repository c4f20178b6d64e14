//! Outlines with fewer vertices (Douglas and Peucker), none of which leaves its place by more than an allowed offset.
//!
//! What was valid stays valid: a ring never loses its area, and rings that would cross each other get more of their vertices back.
//! Never: a part or a hole dropped.

use geo::{BoundingRect, Coord, LineString, MultiPolygon, Polygon};

use super::flat::{FlatBuilder, FlatGeometry, FlatKind};
use super::validity;

/// How often the offset is quartered where rings would cross, to a sixteen-thousandth of the shape's own size at least; then the feature
/// stays as it is.
const ATTEMPTS: u32 = 8;
/// Vertices looked at for each vertex of a ring: an honest outline needs about twenty, a spiral as many as it has.
pub(super) const LOOKS_PER_VERTEX: usize = 200;

/// The geometry, whatever it is, with as few vertices as the offset (in the unit of the coordinates) allows.
pub fn flat(geometry: &FlatGeometry, offset: f64) -> FlatGeometry {
    let mut builder = FlatBuilder::new(geometry.kind());
    match geometry.kind() {
        FlatKind::Point | FlatKind::MultiPoint => return geometry.clone(),
        FlatKind::Collection => {
            return FlatGeometry::collection(geometry.members().iter().map(|member| flat(member, offset)).collect());
        }
        FlatKind::LineString | FlatKind::MultiLineString => {
            for part in geometry.rings() {
                line(part, offset).into_iter().for_each(|c| builder.push(c));
                builder.end_ring();
            }
        }
        FlatKind::Polygon | FlatKind::MultiPolygon => {
            for polygon in &polygons(&geometry.to_multi_polygon(), offset) {
                for ring in std::iter::once(polygon.exterior()).chain(polygon.interiors()) {
                    ring.coords().for_each(|c| builder.push(*c));
                    builder.end_ring();
                }
                builder.end_part();
            }
        }
    }
    builder.finish()
}

/// The polygons with as few vertices as the offset allows.
pub fn polygons(shape: &MultiPolygon<f64>, offset: f64) -> MultiPolygon<f64> {
    let before = vertices(shape);
    let size = shape.bounding_rect().map_or(0.0, |rect| rect.width().hypot(rect.height()));
    let mut offset = offset.min(size);
    for _ in 0..ATTEMPTS {
        let thinned = MultiPolygon(
            shape
                .iter()
                .map(|polygon| {
                    let holes = polygon.interiors().iter().map(|hole| LineString(ring(&hole.0, offset)));
                    Polygon::new(LineString(ring(&polygon.exterior().0, offset)), holes.collect())
                })
                .collect(),
        );
        if vertices(&thinned) == before {
            break;
        }
        if validity::is_valid(&thinned) {
            return thinned;
        }
        offset /= 4.0;
    }
    shape.clone()
}

fn vertices(shape: &MultiPolygon<f64>) -> usize {
    shape.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors())).map(|ring| ring.0.len()).sum()
}

/// A closed ring with the vertices that it cannot do without; at least a triangle with an area, as large as two of its vertices that
/// lie far apart allow.
pub fn ring(ring: &[Coord<f64>], offset: f64) -> Vec<Coord<f64>> {
    let last = ring.len().saturating_sub(1);
    if last < 4 {
        return ring.to_vec();
    }
    let start = ring[0];
    let far = (1..last).max_by(|a, b| distance(ring[*a], start, start).total_cmp(&distance(ring[*b], start, start)));
    let Some(far) = far.filter(|far| ring[*far] != start) else { return ring.to_vec() };
    let mut kept = vec![false; ring.len()];
    for place in [0, far, last] {
        kept[place] = true;
    }
    let mut looks = LOOKS_PER_VERTEX * ring.len();
    keep_between(ring, 0, far, offset, &mut kept, &mut looks);
    keep_between(ring, far, last, offset, &mut kept, &mut looks);
    if kept.iter().filter(|kept| **kept).count() < 4 {
        let off = |place: &usize| distance(ring[*place], start, ring[far]);
        match (1..last).max_by(|a, b| off(a).total_cmp(&off(b))).filter(|place| off(place) > 0.0) {
            Some(widest) => kept[widest] = true,
            None => return ring.to_vec(),
        }
    }
    ring.iter().zip(kept).filter(|(_, kept)| *kept).map(|(vertex, _)| *vertex).collect()
}

/// A line with the vertices that it cannot do without; its ends stay.
pub fn line(line: &[Coord<f64>], offset: f64) -> Vec<Coord<f64>> {
    if line.len() < 3 {
        return line.to_vec();
    }
    let mut kept = vec![false; line.len()];
    kept[0] = true;
    kept[line.len() - 1] = true;
    keep_between(line, 0, line.len() - 1, offset, &mut kept, &mut (LOOKS_PER_VERTEX * line.len()));
    line.iter().zip(kept).filter(|(_, kept)| *kept).map(|(vertex, _)| *vertex).collect()
}

/// Marks the vertices between two that lie farther than the offset from the line between those that stay; all, once the looks are spent.
fn keep_between(line: &[Coord<f64>], first: usize, last: usize, offset: f64, kept: &mut [bool], looks: &mut usize) {
    keep_far(first, last, offset, kept, looks, |at, first, last| distance(line[at], line[first], line[last]));
}

/// The same of any line: `distance` tells how far a vertex is from the line between two.
pub(super) fn keep_far(
    first: usize,
    last: usize,
    offset: f64,
    kept: &mut [bool],
    looks: &mut usize,
    distance: impl Fn(usize, usize, usize) -> f64,
) {
    let mut pieces = vec![(first, last)];
    while let Some((first, last)) = pieces.pop() {
        if last - first < 2 {
            continue;
        }
        let Some(left) = looks.checked_sub(last - first) else {
            kept[first..=last].fill(true);
            continue;
        };
        *looks = left;
        let off = |place: &usize| distance(*place, first, last);
        let Some(farthest) = (first + 1..last).max_by(|a, b| off(a).total_cmp(&off(b))) else { continue };
        if off(&farthest) > offset {
            kept[farthest] = true;
            pieces.extend([(first, farthest), (farthest, last)]);
        }
    }
}

/// How far a place lies from the line between two others, ends included.
fn distance(at: Coord<f64>, from: Coord<f64>, to: Coord<f64>) -> f64 {
    let (line, way) = (to - from, at - from);
    let length = line.x * line.x + line.y * line.y;
    let share = if length > 0.0 { ((way.x * line.x + way.y * line.y) / length).clamp(0.0, 1.0) } else { 0.0 };
    (way.x - share * line.x).hypot(way.y - share * line.y)
}

#[cfg(test)]
mod tests {
    use geo::Area;
    use proptest::prelude::*;

    use super::*;

    fn coords(list: &[(f64, f64)]) -> Vec<Coord<f64>> {
        list.iter().map(|(x, y)| Coord { x: *x, y: *y }).collect()
    }

    /// A star about a place: radii in turn.
    fn star(x: f64, y: f64, radii: &[f64]) -> LineString<f64> {
        let turn = std::f64::consts::TAU / radii.len() as f64;
        let mut ring: Vec<Coord<f64>> = radii
            .iter()
            .zip(0..)
            .map(|(r, i)| Coord { x: x + r * (turn * f64::from(i)).cos(), y: y + r * (turn * f64::from(i)).sin() })
            .collect();
        ring.push(ring[0]);
        LineString(ring)
    }

    #[test]
    fn vertices_within_the_offset_go_and_the_others_stay() {
        let square = coords(&[(0.0, 0.0), (5.0, 0.4), (10.0, 0.0), (10.0, 10.0), (5.0, 12.0), (0.0, 10.0), (0.0, 0.0)]);
        let corners = coords(&[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (5.0, 12.0), (0.0, 10.0), (0.0, 0.0)]);
        assert_eq!(ring(&square, 0.5), corners);
        assert_eq!(ring(&square, 0.3), square);
        assert_eq!(line(&square[..3], 0.5), coords(&[(0.0, 0.0), (10.0, 0.0)]));
        assert_eq!(line(&square[..3], 0.3), square[..3].to_vec());
    }

    #[test]
    fn a_ring_keeps_an_area_whatever_the_offset() {
        let small = star(0.0, 0.0, &[1.0; 40]);
        let thinned = ring(&small.0, 1e9);
        assert_eq!(thinned.len(), 4, "a triangle");
        let area = Polygon::new(LineString(thinned), vec![]).signed_area();
        assert!(area > 0.9, "as wide as it can be, and turning the same way: {area}");
    }

    #[test]
    fn rings_that_would_cross_get_vertices_back() {
        // A bay that reaches round a hole: without the bay's corners the shell would cut the hole.
        let shell = coords(&[
            (0.0, 0.0),
            (100.0, 0.0),
            (100.0, 100.0),
            (60.0, 100.0),
            (50.0, 109.0),
            (40.0, 100.0),
            (0.0, 100.0),
            (0.0, 0.0),
        ]);
        let hole = coords(&[(47.0, 99.0), (50.0, 106.0), (53.0, 99.0), (47.0, 99.0)]);
        let shape = MultiPolygon(vec![Polygon::new(LineString(shell), vec![LineString(hole)])]);
        assert!(validity::is_valid(&shape));
        let alone = MultiPolygon(vec![Polygon::new(LineString(ring(&shape.0[0].exterior().0, 10.0)), vec![])]);
        assert_eq!(vertices(&alone), 5, "alone the shell would be a square, which cuts the hole");
        let thinned = polygons(&shape, 10.0);
        assert!(validity::is_valid(&thinned));
        assert_eq!(thinned.0[0].interiors().len(), 1);
    }

    #[test]
    fn a_spiral_costs_no_more_than_its_bound() {
        let ring_of = 100_000;
        let spiral: Vec<Coord<f64>> = (0..ring_of)
            .map(|i| {
                let t = f64::from(i) / 50.0;
                Coord { x: t * t.cos(), y: t * t.sin() }
            })
            .collect();
        let thinned = line(&spiral, 1e-9);
        assert!(thinned.len() <= spiral.len() && thinned.first() == spiral.first() && thinned.last() == spiral.last());
    }

    proptest! {
        #[test]
        fn valid_shapes_stay_valid_and_near(
            radii in prop::collection::vec(5.0..20.0_f64, 8..60),
            inner in prop::collection::vec(0.5..4.9_f64, 4..20),
            offset in 0.01..30.0_f64,
        ) {
            let parts = vec![
                Polygon::new(star(0.0, 0.0, &radii), vec![star(0.0, 0.0, &inner)]),
                Polygon::new(star(41.0, 0.0, &radii), vec![]),
            ];
            let shape = MultiPolygon(parts);
            prop_assume!(validity::is_valid(&shape));
            let thinned = polygons(&shape, offset);
            prop_assert!(validity::is_valid(&thinned));
            prop_assert_eq!(thinned.0.len(), 2);
            prop_assert_eq!(thinned.0[0].interiors().len(), 1);
            // A triangle that had to stay may be farther off than the offset; every other ring is not.
            for (old, new) in shape.iter().zip(&thinned) {
                prop_assert!(new.exterior().0.iter().all(|v| old.exterior().0.contains(v)), "no vertex is made up");
                if new.exterior().0.len() > 4 {
                    for v in &old.exterior().0 {
                        let near = new.exterior().lines().map(|l| distance(*v, l.start, l.end)).fold(f64::MAX, f64::min);
                        prop_assert!(near <= offset + 1e-9);
                    }
                }
            }
        }
    }
}
