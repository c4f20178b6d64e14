//! The overlay of `geo`, for the pairs that the integral cannot tell: in a frame of the common box, so that the overlay's integer grid
//! is as fine as the box allows.

use std::panic::{AssertUnwindSafe, catch_unwind};

use geo::{BooleanOps, BoundingRect, Coord, LineString, MapCoords, MultiPolygon, Polygon, unary_union};

use super::shape::{self, Bbox, Shape};
use super::work::Stopped;
use crate::geometry::metres;

/// Meetings of two boundaries that a general overlay, which cannot be stopped, is still asked to resolve.
const MOST_OVERLAID: usize = 300_000;

/// Metres around all rings.
pub(super) fn border_length_m(land: &MultiPolygon<f64>) -> f64 {
    let rings = land.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()));
    rings.flat_map(|ring| ring.0.windows(2)).map(|e| metres::edge_length(e[0], e[1])).sum()
}

/// The land in common.
pub(super) fn common_land(a: &Shape, b: &Shape, cuts: usize) -> Result<MultiPolygon<f64>, Stopped> {
    if cuts > MOST_OVERLAID {
        return Err(Stopped::TooComplex);
    }
    let (Some(box_a), Some(box_b)) = (a.bbox(), b.bbox()) else { return Ok(MultiPolygon(Vec::new())) };
    let Some(common) = shape::common(&box_a, &box_b) else { return Ok(MultiPolygon(Vec::new())) };
    // A margin, so that the sides that clipping makes lie off everything that counts.
    let margin = ((common[2] - common[0]) + (common[3] - common[1])) / 4.0 + 1e-9;
    let frame = [common[0] - margin, common[1] - margin, common[2] + margin, common[3] + margin];
    let origin = Coord { x: (common[0] + common[2]) / 2.0, y: (common[1] + common[3]) / 2.0 };
    let (left, right) = (clipped(a, &frame, origin), clipped(b, &frame, origin));
    let overlaid = guarded(|| left.intersection(&right))?;
    let there = |c: Coord<f64>| Coord { x: c.x + origin.x, y: c.y + origin.y };
    let moved = |ring: &LineString<f64>| ring.coords().map(|c| there(*c)).collect::<LineString<f64>>();
    let polygons =
        overlaid.iter().map(|p| Polygon::new(moved(p.exterior()), p.interiors().iter().map(moved).collect()));
    Ok(MultiPolygon(polygons.collect()))
}

/// What `a` has and `b` has not.
pub(super) fn rest(a: &Shape, b: &Shape, cuts: usize) -> Result<MultiPolygon<f64>, Stopped> {
    if cuts > MOST_OVERLAID {
        return Err(Stopped::TooComplex);
    }
    let (left, right) = (a.to_multi_polygon(), b.to_multi_polygon());
    guarded(|| left.difference(&right))
}

/// Strips side by side as the areas that they make together; nothing where they are thinner than the overlay's grid.
pub(super) fn united(strips: &MultiPolygon<f64>) -> Result<MultiPolygon<f64>, Stopped> {
    let Some(origin) = strips.bounding_rect().map(|rect| rect.center()) else { return Ok(strips.clone()) };
    let moved = |by: Coord<f64>| move |c: Coord<f64>| c + by;
    let here = strips.map_coords(moved(Coord { x: -origin.x, y: -origin.y }));
    let united = guarded(|| unary_union(here.iter()))?;
    Ok(united.map_coords(moved(origin)))
}

/// The library is not ours: whatever it trips over, the pair is given up and nothing else.
fn guarded(overlay: impl FnOnce() -> MultiPolygon<f64>) -> Result<MultiPolygon<f64>, Stopped> {
    catch_unwind(AssertUnwindSafe(overlay)).map_err(|_| Stopped::TooComplex)
}

/// The shape's rings within a box, seen from its middle. (Sutherland and Hodgman: where a ring leaves the box, it runs along its side.)
fn clipped(shape: &Shape, frame: &Bbox, origin: Coord<f64>) -> MultiPolygon<f64> {
    let mut polygons: Vec<Polygon<f64>> = Vec::new();
    for ring in &shape.rings {
        let mut line: Vec<Coord<f64>> = ring.coords.to_vec();
        for side in 0..4 {
            line = cut(&line, frame, side);
        }
        let line: LineString<f64> = line.iter().map(|c| Coord { x: c.x - origin.x, y: c.y - origin.y }).collect();
        if ring.is_shell {
            polygons.push(Polygon::new(line, Vec::new()));
        } else if let Some(last) = polygons.last_mut().filter(|_| line.0.len() >= 4) {
            last.interiors_push(line);
        }
    }
    polygons.retain(|polygon| polygon.exterior().0.len() >= 4);
    MultiPolygon(polygons)
}

fn cut(ring: &[Coord<f64>], frame: &Bbox, side: usize) -> Vec<Coord<f64>> {
    // West and south keep what is above, east and north what is below.
    let (value, low) = (frame[side], side < 2);
    let on = |c: Coord<f64>| if side.is_multiple_of(2) { c.x } else { c.y };
    let inside = |c: Coord<f64>| if low { on(c) >= value } else { on(c) <= value };
    let crossing = |a: Coord<f64>, b: Coord<f64>| {
        let share = (value - on(a)) / (on(b) - on(a));
        let (x, y) = (a.x + share * (b.x - a.x), a.y + share * (b.y - a.y));
        if side.is_multiple_of(2) { Coord { x: value, y } } else { Coord { x, y: value } }
    };
    let mut kept = Vec::with_capacity(ring.len());
    for edge in ring.windows(2) {
        let (a, b) = (edge[0], edge[1]);
        match (inside(a), inside(b)) {
            (true, true) => kept.push(b),
            (true, false) => kept.push(crossing(a, b)),
            (false, true) => kept.extend([crossing(a, b), b]),
            (false, false) => {}
        }
    }
    if let Some(first) = kept.first().copied() {
        kept.push(first);
    }
    kept
}
