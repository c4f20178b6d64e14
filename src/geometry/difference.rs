//! What a change of boundary adds and takes away: areas by the survey formula, shapes by an overlay.
//!
//! Areas do not come from the shapes: an overlay snaps to a grid. They are what is left of each boundary beside the common land, as
//! `overlap` measures it. Inputs must be valid. Never: work without a bound.

use geo::{BooleanOps, CoordsIter, LineString, MultiPolygon};

use super::{area, overlap};
use crate::domain::SquareMetres;

/// Product of the two numbers of vertices up to which shapes are made: an overlay may give as many vertices, and cannot be stopped.
pub const MOST_OVERLAID: usize = 4_000_000;

/// A piece of an overlay below this may be its grid's making.
const SLIVER_M2: f64 = 1e-2;

/// The difference of two boundaries.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub before: SquareMetres,
    pub after: SquareMetres,
    pub added: SquareMetres,
    pub removed: SquareMetres,
    /// `None` where the overlay would cost too much.
    pub shapes: Option<Shapes>,
}

/// The land that came and the land that went.
#[derive(Debug, Clone, PartialEq)]
pub struct Shapes {
    pub added: MultiPolygon<f64>,
    pub removed: MultiPolygon<f64>,
}

/// Pairs of vertices that an overlay of these two would look at in the worst case.
pub fn cost(before: &MultiPolygon<f64>, after: &MultiPolygon<f64>) -> usize {
    before.coords_count().saturating_mul(after.coords_count())
}

/// Compares two states of a boundary; `None` where they meet too often to be compared. Shapes are made up to a cost of `most_overlaid`.
pub fn between(before: &MultiPolygon<f64>, after: &MultiPolygon<f64>, most_overlaid: usize) -> Option<Difference> {
    let (area_before, area_after) = (area::ellipsoidal(before), area::ellipsoidal(after));
    let found = overlap::between(&[before], &[after], usize::MAX);
    if !found.complete || !found.too_complex.is_empty() {
        return None;
    }
    let common = found.list.iter().map(|pair| match pair.relation {
        overlap::Relation::Overlap { area } => area.value(),
        overlap::Relation::Touch => 0.0,
    });
    let common: f64 = common.sum();
    let beside =
        |whole: SquareMetres| SquareMetres::new((whole.value() - common).max(0.0)).unwrap_or(SquareMetres::ZERO);
    let shapes = if found.list.is_empty() {
        // Apart, or one of them is nothing: all of both, to the bit.
        Some(Shapes { added: after.clone(), removed: before.clone() })
    } else {
        (cost(before, after) <= most_overlaid).then(|| Shapes {
            added: without_slivers(after.difference(before)),
            removed: without_slivers(before.difference(after)),
        })
    };
    Some(Difference {
        before: area_before,
        after: area_after,
        added: beside(area_after),
        removed: beside(area_before),
        shapes,
    })
}

/// Whether two boundaries are the same to the last bit of every vertex, wherever their rings begin and whichever way they run.
pub fn is_same_border(a: &MultiPolygon<f64>, b: &MultiPolygon<f64>) -> bool {
    a == b || a.coords_count() == b.coords_count() && parts_in_order(a) == parts_in_order(b)
}

/// Vertices as bits, which have an order.
type Points = Vec<(u64, u64)>;

fn parts_in_order(shape: &MultiPolygon<f64>) -> Vec<(Points, Vec<Points>)> {
    let mut parts: Vec<(Points, Vec<Points>)> = shape
        .iter()
        .map(|part| {
            let mut holes: Vec<Points> = part.interiors().iter().map(from_least).collect();
            holes.sort_unstable();
            (from_least(part.exterior()), holes)
        })
        .collect();
    parts.sort_unstable();
    parts
}

/// The ring from its least vertex on, towards the lesser of that one's neighbours; without the point that closes it.
fn from_least(ring: &LineString<f64>) -> Points {
    let mut points: Points = ring.coords().map(|c| (c.x.to_bits(), c.y.to_bits())).collect();
    points.pop();
    let Some(least) = (0..points.len()).min_by_key(|at| points[*at]) else { return points };
    points.rotate_left(least);
    if points.len() > 2 && points[points.len() - 1] < points[1] {
        points[1..].reverse();
    }
    points
}

fn without_slivers(shape: MultiPolygon<f64>) -> MultiPolygon<f64> {
    MultiPolygon(shape.0.into_iter().filter(|part| area::polygon_area(part) >= SLIVER_M2).collect())
}

#[cfg(test)]
mod tests {
    use geo::Polygon;

    use super::*;

    /// A rectangle in thousandths of a degree from 112°E 28°N.
    fn rectangle(west: f64, south: f64, east: f64, north: f64) -> MultiPolygon<f64> {
        let at = |x: f64, y: f64| (112.0 + x / 1_000.0, 28.0 + y / 1_000.0);
        let ring = vec![at(west, south), at(east, south), at(east, north), at(west, north), at(west, south)];
        MultiPolygon(vec![Polygon::new(ring.into(), Vec::new())])
    }

    #[test]
    fn land_that_came_and_went() {
        let (before, after) = (rectangle(0., 0., 10., 10.), rectangle(4., 0., 12., 10.));
        let difference = between(&before, &after, MOST_OVERLAID).expect("simple");
        let close = |a: SquareMetres, shape: &MultiPolygon<f64>| {
            let wanted = area::ellipsoidal(shape).value();
            assert!((a.value() - wanted).abs() < 1e-3, "{} for {wanted}", a.value());
        };
        close(difference.added, &rectangle(10., 0., 12., 10.));
        close(difference.removed, &rectangle(0., 0., 4., 10.));
        close(difference.before, &before);
        close(difference.after, &after);
        let shapes = difference.shapes.expect("within the bound");
        for (shape, wanted) in
            [(&shapes.added, rectangle(10., 0., 12., 10.)), (&shapes.removed, rectangle(0., 0., 4., 10.))]
        {
            assert_eq!(shape.0.len(), 1);
            let (area, wanted) = (area::ellipsoidal(shape).value(), area::ellipsoidal(&wanted).value());
            assert!((area - wanted).abs() < 0.01, "{area} for {wanted}");
        }
    }

    #[test]
    fn the_same_boundary_adds_and_takes_nothing() {
        let shape = rectangle(0., 0., 10., 10.);
        let difference = between(&shape, &shape, MOST_OVERLAID).expect("simple");
        assert!(difference.added.value() < 1e-3 && difference.removed.value() < 1e-3, "{difference:?}");
        assert_eq!(difference.shapes, Some(Shapes { added: MultiPolygon(vec![]), removed: MultiPolygon(vec![]) }));
    }

    #[test]
    fn a_border_is_the_same_wherever_its_rings_begin() {
        let with_hole = |shell: Vec<(f64, f64)>, hole: Vec<(f64, f64)>| {
            MultiPolygon(vec![Polygon::new(shell.into(), vec![hole.into()])])
        };
        let shell = vec![(0., 0.), (9., 0.), (9., 9.), (0., 8.), (0., 0.)];
        let hole = vec![(2., 2.), (3., 2.), (2., 3.), (2., 2.)];
        let shape = with_hole(shell.clone(), hole.clone());
        let turned = vec![(9., 9.), (9., 0.), (0., 0.), (0., 8.), (9., 9.)];
        let hole_turned = vec![(3., 2.), (2., 2.), (2., 3.), (3., 2.)];
        assert!(is_same_border(&shape, &with_hole(turned, hole_turned)));
        let moved = vec![(0., 0.), (9., 0.), (9., 9.), (0., 8.0_f64.next_up()), (0., 0.)];
        assert!(!is_same_border(&shape, &with_hole(moved, hole.clone())));
        assert!(!is_same_border(&shape, &with_hole(hole, shell)), "a hole is no shell");
        let (a, b) = (rectangle(0., 0., 1., 1.).0, rectangle(5., 5., 6., 6.).0);
        let both = |one: &[Polygon<f64>], other: &[Polygon<f64>]| MultiPolygon([one, other].concat());
        assert!(is_same_border(&both(&a, &b), &both(&b, &a)));
    }

    #[test]
    fn apart_all_of_both_is_different() {
        let (before, after) = (rectangle(0., 0., 1., 1.), rectangle(5., 5., 6., 6.));
        let difference = between(&before, &after, MOST_OVERLAID).expect("simple");
        assert_eq!((difference.removed, difference.added), (difference.before, difference.after));
        assert_eq!(difference.shapes, Some(Shapes { added: after, removed: before }));
    }

    #[test]
    fn beyond_the_bound_there_are_areas_but_no_shapes() {
        let (before, after) = (rectangle(0., 0., 10., 10.), rectangle(4., 0., 12., 10.));
        assert_eq!(cost(&before, &after), 25);
        let difference = between(&before, &after, 24).expect("simple");
        assert_eq!(difference.shapes, None);
        assert!(difference.added.value() > 0.0 && difference.removed.value() > 0.0);
    }
}
