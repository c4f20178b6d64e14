//! Lengths in metres over short ways: an edge, and the plane around a place.
//!
//! The ellipsoid's two radii of curvature at the middle latitude stand for the ground: 1e-7 of an edge of a kilometre, 2e-6 of one of
//! ten (measured against the geodesic in the tests). Areas never come from here. Never: ways of more than some tens of kilometres.

use geo::Coord;

use super::project::{FLATTENING, SEMI_MAJOR_AXIS_M};

/// Metres of a degree to the east and of one to the north, at a latitude in degrees.
fn per_degree(latitude: f64) -> (f64, f64) {
    const E2: f64 = FLATTENING * (2.0 - FLATTENING);
    let (sin, cos) = latitude.to_radians().sin_cos();
    let w2 = 1.0 - E2 * sin * sin;
    let prime_vertical = SEMI_MAJOR_AXIS_M / w2.sqrt();
    let meridian = prime_vertical * (1.0 - E2) / w2;
    ((prime_vertical * cos).to_radians(), meridian.to_radians())
}

/// Length of an edge, metres.
pub fn edge_length(a: Coord<f64>, b: Coord<f64>) -> f64 {
    let (east, north) = per_degree((a.y + b.y) / 2.0);
    ((b.x - a.x) * east).hypot((b.y - a.y) * north)
}

/// The plane that touches the ground at a place, in metres east and north of it.
#[derive(Debug, Clone, Copy)]
pub struct Plane {
    origin: Coord<f64>,
    east: f64,
    north: f64,
}

impl Plane {
    pub fn around(origin: Coord<f64>) -> Self {
        let (east, north) = per_degree(origin.y);
        Self { origin, east, north }
    }

    pub fn to(&self, c: Coord<f64>) -> Coord<f64> {
        Coord { x: (c.x - self.origin.x) * self.east, y: (c.y - self.origin.y) * self.north }
    }

    pub fn from(&self, c: Coord<f64>) -> Coord<f64> {
        Coord { x: self.origin.x + c.x / self.east, y: self.origin.y + c.y / self.north }
    }

    /// So many metres as degrees to the east and to the north.
    pub fn degrees(&self, metres: f64) -> (f64, f64) {
        (metres / self.east, metres / self.north)
    }
}

#[cfg(test)]
mod tests {
    use geographiclib_rs::{Geodesic, InverseGeodesic};

    use super::*;

    #[test]
    fn agrees_with_the_geodesic() {
        let judge = Geodesic::new(SEMI_MAJOR_AXIS_M, FLATTENING);
        for (size_deg, bound) in [(0.0001, 1e-7), (0.01, 1e-7), (0.1, 2e-6)] {
            for step in 0..360_u32 {
                let turn = f64::from(step).to_radians();
                let a = Coord { x: 108.8 + f64::from(step % 5), y: 24.6 + f64::from(step % 6) };
                let b = Coord { x: a.x + size_deg * turn.cos(), y: a.y + size_deg * turn.sin() };
                let expected: f64 = judge.inverse(a.y, a.x, b.y, b.x);
                let relative = (edge_length(a, b) / expected - 1.0).abs();
                assert!(relative < bound, "{size_deg}° towards {step}°: {relative:e}");
            }
        }
    }

    #[test]
    fn the_plane_leads_back() {
        let plane = Plane::around(Coord { x: 112.9, y: 28.2 });
        let there = Coord { x: 112.93, y: 28.17 };
        let back = plane.from(plane.to(there));
        assert!((back.x - there.x).abs() < 1e-13 && (back.y - there.y).abs() < 1e-13, "{back:?}");
    }
}
