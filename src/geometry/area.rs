//! Ellipsoidal area (椭球面积), the legal survey area, by the official trapezoid formula; planar area beside it.
//!
//! Formula: 国土调查办发〔2008〕32号, kept by TD/T 1055 (domain.md §9). Each edge bounds a trapezoid between itself and
//! the meridian L0; the ring's area is the absolute sum. Never: areas of bare degrees or of Web Mercator.

use std::sync::LazyLock;

use geo::{Coord, LineString, MultiPolygon, Polygon};

use super::project::{FLATTENING, SEMI_MAJOR_AXIS_M};
use crate::domain::SquareMetres;

/// The series' coefficients A–E and the semi-minor axis of CGCS2000.
struct Coefficients {
    two_b_squared: f64,
    a: f64,
    b: f64,
    c: f64,
    d: f64,
    e: f64,
}

static CGCS2000: LazyLock<Coefficients> = LazyLock::new(|| Coefficients::new(SEMI_MAJOR_AXIS_M, FLATTENING));

impl Coefficients {
    fn new(semi_major: f64, flattening: f64) -> Self {
        let e2 = flattening * (2.0 - flattening);
        let (e4, e6, e8) = (e2 * e2, e2.powi(3), e2.powi(4));
        let semi_minor = semi_major * (1.0 - flattening);
        Self {
            two_b_squared: 2.0 * semi_minor * semi_minor,
            a: 1.0 + 3.0 * e2 / 6.0 + 30.0 * e4 / 80.0 + 35.0 * e6 / 112.0 + 630.0 * e8 / 2304.0,
            b: e2 / 6.0 + 15.0 * e4 / 80.0 + 21.0 * e6 / 112.0 + 420.0 * e8 / 2304.0,
            c: 3.0 * e4 / 80.0 + 7.0 * e6 / 112.0 + 180.0 * e8 / 2304.0,
            d: e6 / 112.0 + 45.0 * e8 / 2304.0,
            e: 5.0 * e8 / 2304.0,
        }
    }
}

/// Signed area in m² between an edge and the meridian `l0` (degrees): positive where the edge runs north on the
/// eastern side. The formula takes the middle longitude for the whole edge, so an edge that is cut gives another sum than one that is
/// not: at 28° up to 0.07 m² for a slanting edge of 300 m, 2.4 m² for one of a kilometre; nothing for one along a meridian or a parallel.
pub(crate) fn edge_area(from: Coord<f64>, to: Coord<f64>, l0: f64) -> f64 {
    let k = &*CGCS2000;
    // Differences in degrees first: longitudes near 112 lose nothing by the later conversion.
    let delta_l = ((from.x - l0) + (to.x - l0)).to_radians() / 2.0;
    let half = (to.y - from.y).to_radians() / 2.0;
    let mean = ((from.y + to.y) / 2.0).to_radians();
    // Sines and cosines of the odd multiples by recurrence, f(n + 2) = 2 f(n) cos(2x) − f(n − 2): two pairs of trigonometric
    // calls an edge instead of ten. The terms behind the first are a thousandth of it and less, so nothing is lost.
    let (sin, cos) = (half.sin(), mean.cos());
    let (twice_sin, twice_cos) = (2.0 - 4.0 * sin * sin, 4.0 * cos * cos - 2.0);
    let (mut s, mut s_before, mut c, mut c_before) = (sin, -sin, cos, cos);
    let mut next = || {
        (s, s_before) = (twice_sin * s - s_before, s);
        (c, c_before) = (twice_cos * c - c_before, c);
        s * c
    };
    let (third, fifth, seventh, ninth) = (next(), next(), next(), next());
    k.two_b_squared * delta_l * (k.a * (sin * cos) - k.b * third + k.c * fifth - k.d * seventh + k.e * ninth)
}

/// Signed ellipsoidal area of a closed ring in m²: positive when it runs counter-clockwise.
pub fn signed_ring_area(ring: &LineString<f64>) -> f64 {
    let Some(first) = ring.0.first() else { return 0.0 };
    ring.lines().map(|edge| edge_area(edge.start, edge.end, first.x)).sum()
}

/// Ellipsoidal area of one polygon in m²: holes subtract, ring direction does not matter.
pub fn polygon_area(polygon: &Polygon<f64>) -> f64 {
    let holes: f64 = polygon.interiors().iter().map(|ring| signed_ring_area(ring).abs()).sum();
    signed_ring_area(polygon.exterior()).abs() - holes
}

/// Ellipsoidal area of all parts; zero for empty geometry and for coordinates that are not finite.
pub fn ellipsoidal(geometry: &MultiPolygon<f64>) -> SquareMetres {
    let total: f64 = geometry.iter().map(polygon_area).sum();
    SquareMetres::new(total.max(0.0)).unwrap_or(SquareMetres::ZERO)
}

/// Plane area (平面面积) of projected coordinates in metres, for comparison only: it is too big away from the central
/// meridian (0.053 % at 147 km).
pub fn planar(geometry: &MultiPolygon<f64>) -> SquareMetres {
    let ring_area = |ring: &LineString<f64>| -> f64 {
        let Some(origin) = ring.0.first() else { return 0.0 };
        let twice: f64 = ring
            .lines()
            .map(|e| (e.start.x - origin.x) * (e.end.y - origin.y) - (e.end.x - origin.x) * (e.start.y - origin.y))
            .sum();
        (twice / 2.0).abs()
    };
    let total: f64 =
        geometry.iter().map(|p| ring_area(p.exterior()) - p.interiors().iter().map(ring_area).sum::<f64>()).sum();
    SquareMetres::new(total.max(0.0)).unwrap_or(SquareMetres::ZERO)
}

#[cfg(test)]
mod tests {
    use geo::{Translate, polygon};
    use geographiclib_rs::{Geodesic, PolygonArea, Winding};
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::crs::Crs;
    use crate::geometry::project::{self, inverse};

    /// Geodesic polygon area on the CGCS2000 ellipsoid: an independent algorithm (Karney 2013).
    fn geodesic_area(ring: &LineString<f64>) -> f64 {
        let geodesic = Geodesic::new(SEMI_MAJOR_AXIS_M, FLATTENING);
        let mut polygon = PolygonArea::new(&geodesic, Winding::CounterClockwise);
        for c in &ring.0[..ring.0.len() - 1] {
            polygon.add_point(c.y, c.x);
        }
        polygon.compute(true).1.abs()
    }

    /// A square of `side` metres in the zone of its longitude.
    fn square(longitude: f64, latitude: f64, side: f64) -> LineString<f64> {
        let crs = Crs::GaussKruger3 { zone: (longitude / 3.0).round() as u8, prefixed: false };
        let (x, y) = project::forward(crs, longitude, latitude).expect("in zone");
        [(0., 0.), (side, 0.), (side, side), (0., side), (0., 0.)]
            .iter()
            .map(|(dx, dy)| inverse(crs, x + dx, y + dy).map(|(x, y)| Coord { x, y }).expect("in zone"))
            .collect()
    }

    #[test]
    fn coefficients_are_the_published_ones() {
        // domain.md §9, computed there with another program.
        let k = &*CGCS2000;
        for (ours, published) in [
            (k.a, 1.0033640898341927),
            (k.b, 0.001124189381927124),
            (k.c, 1.699459473518905e-6),
            (k.d, 2.7178578455775555e-9),
            (k.e, 4.358419004834514e-12),
            ((k.two_b_squared / 2.0).sqrt(), 6356752.314140356),
        ] {
            assert!((ours - published).abs() <= 1e-14 * published.max(1e-3) * 10.0, "{ours} against {published}");
        }
    }

    #[test]
    fn agrees_with_the_geodesic_area_over_hunan() {
        let mut compared = 0;
        for side in [100.0, 250.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 20_000.0] {
            // Long edges differ by definition: the formula's edge is straight in degrees, the geodesic is not.
            let bound = if side <= 5_000.0 { 1e-7 } else { 1e-6 };
            for i in 0..8 {
                for j in 0..8 {
                    let ring = square(108.9 + 0.76 * f64::from(i), 24.7 + 0.76 * f64::from(j), side);
                    let (ours, judge) = (signed_ring_area(&ring).abs(), geodesic_area(&ring));
                    let relative = (ours - judge).abs() / judge;
                    assert!(relative <= bound, "side {side} m at {:?}: {relative:e}", ring.0[0]);
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, 7 * 64);
    }

    #[test]
    fn known_difference_at_28_degrees() {
        // domain.md §9 [C]: formula against geodesic −8.8e-10 for 1 km, −2.2e-8 for 5 km, at 28°N.
        for (side, expected) in [(1_000.0, -8.8e-10), (5_000.0, -2.2e-8)] {
            let ring = square(111.0, 28.0, side);
            let difference = (signed_ring_area(&ring) - geodesic_area(&ring)) / geodesic_area(&ring);
            assert!((difference - expected).abs() < 0.1 * expected.abs(), "side {side}: {difference:e}");
        }
    }

    #[test]
    fn holes_subtract_and_parts_add() {
        let with_hole = polygon!(
            exterior: [(x: 112.0, y: 28.0), (x: 112.02, y: 28.0), (x: 112.02, y: 28.02), (x: 112.0, y: 28.02)],
            interiors: [[(x: 112.005, y: 28.005), (x: 112.01, y: 28.005), (x: 112.01, y: 28.01), (x: 112.005, y: 28.01)]],
        );
        let shell = signed_ring_area(with_hole.exterior());
        let hole = signed_ring_area(&with_hole.interiors()[0]);
        let area = ellipsoidal(&MultiPolygon(vec![with_hole.clone(), with_hole.translate(1.0, 0.0)])).value();
        assert!((area - 2.0 * (shell - hole)).abs() < 1e-3);
        assert!(hole > 270_000.0 && shell > 4_300_000.0, "{shell} {hole}");
    }

    proptest! {
        #[test]
        fn ring_start_direction_and_longitude_do_not_matter(
            corners in prop::collection::vec((0.0..0.05f64, 0.0..0.05f64), 3..30),
            start in 0usize..30,
            shift in -3.0..3.0f64,
        ) {
            let open: Vec<Coord<f64>> = corners.iter().map(|(x, y)| Coord { x: 112.0 + x, y: 28.0 + y }).collect();
            let closed = |mut points: Vec<Coord<f64>>| { let first = points[0]; points.push(first); LineString(points) };
            let area = signed_ring_area(&closed(open.clone()));
            let mut rotated = open.clone();
            rotated.rotate_left(start % open.len());
            let reversed: Vec<_> = open.iter().rev().copied().collect();
            let moved = open.iter().map(|c| Coord { x: c.x + shift, y: c.y }).collect();
            // 1e-4 m²: a step in the last place of 112° is 1.4e-9 m on rings a few km around.
            prop_assert!((signed_ring_area(&closed(rotated)) - area).abs() < 1e-4);
            prop_assert!((signed_ring_area(&closed(reversed)) + area).abs() < 1e-4);
            prop_assert!((signed_ring_area(&closed(moved)) - area).abs() < 1e-4);
        }
    }
}
