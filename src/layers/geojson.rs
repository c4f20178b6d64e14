//! GeoJSON of domain objects (RFC 7946): exterior rings counter-clockwise, at most eight decimals (1 mm).

use geo::{MapCoords, MultiPolygon, Orient, orient::Direction};
use geojson::{Geometry, GeometryValue};

/// Decimals of a degree: 1e-8° is about a millimetre.
const DECIMALS: f64 = 1e8;

/// A vertex as layers show it.
pub fn published(c: geo::Coord<f64>) -> geo::Coord<f64> {
    let round = |degrees: f64| (degrees * DECIMALS).round() / DECIMALS;
    geo::Coord { x: round(c.x), y: round(c.y) }
}

/// The same with all decimals: a strip of a millimetre would be nothing by eight of them.
pub fn exact(land: &MultiPolygon<f64>) -> Geometry {
    Geometry::new(GeometryValue::from(&land.orient(Direction::Default)))
}

/// The geometry as RFC 7946 wants it.
pub fn geometry(boundary: &MultiPolygon<f64>) -> Geometry {
    let oriented = boundary.orient(Direction::Default).map_coords(published);
    Geometry::new(GeometryValue::from(&oriented))
}
