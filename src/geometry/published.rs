//! Stored degrees (EPSG:4490, longitude first) to and from the systems that layers are given in, and boxes of those systems.

use geo::Coord;

use super::crs::Crs;
use super::gcj02;
use super::project::{self, forward, inverse};
use crate::domain::items_query::Bbox;
use crate::domain::published_crs::{PlaneBox, PublishedCrs};

/// Degrees about the central meridian within which features are projected; [`forward`] refuses what lies beyond.
const ZONE_REACH: f64 = 10.0;
/// Web Mercator ends here.
const MERCATOR_REACH: f64 = 85.06;
/// How far a place whose edges are straight in metres may lie outside of its corners' box in degrees. An edge of L metres bends by
/// L² · tan(latitude) / 8R: 0.002° allow for edges of 130 km in Hunan; a longer one would have to pass a corner of the box by less than
/// its own bend to be missed.
const BEND: f64 = 0.002;
/// Pieces of each side of a box when its reach in degrees is measured.
const SIDE_PIECES: u32 = 32;

/// The system as `geometry::project` knows it; none of GCJ-02, which is no projection.
pub fn projected_as(crs: PublishedCrs) -> Option<Crs> {
    match crs {
        PublishedCrs::Crs84 | PublishedCrs::Wgs84 => Some(Crs::Wgs84),
        PublishedCrs::Cgcs2000 => Some(Crs::Cgcs2000),
        PublishedCrs::WebMercator => Some(Crs::WebMercator),
        PublishedCrs::GaussKruger { zone, prefixed } => Some(Crs::GaussKruger3 { zone, prefixed }),
        PublishedCrs::Gcj02 => None,
    }
}

/// East and north in the system; `None` for a place that it does not reach.
pub fn to_plane(crs: PublishedCrs, at: Coord<f64>) -> Option<Coord<f64>> {
    let (x, y) = match projected_as(crs) {
        Some(crs) => forward(crs, at.x, at.y)?,
        None => gcj02::to_gcj02(at.x, at.y),
    };
    Some(Coord { x, y })
}

/// Longitude and latitude of a pair of numbers in the authority's order; `None` for numbers that are no place of the system, and for
/// systems that nothing may come in.
pub fn from_authority(crs: PublishedCrs, pair: [f64; 2]) -> Option<Coord<f64>> {
    let [x, y] = crs.turned(pair);
    let (longitude, latitude) = inverse(projected_as(crs)?, x, y)?;
    Some(Coord { x: longitude, y: latitude })
}

/// The degrees that a system reaches: west, south, east, north.
pub fn reach(crs: PublishedCrs) -> Bbox {
    match projected_as(crs).and_then(Crs::central_meridian) {
        Some(meridian) => [meridian - ZONE_REACH, -90.0, meridian + ZONE_REACH, 90.0],
        None if crs == PublishedCrs::WebMercator => [-180.0, -MERCATOR_REACH, 180.0, MERCATOR_REACH],
        None => [-180.0, -90.0, 180.0, 90.0],
    }
}

/// The degrees in which features lie that may meet the box; `None` where it lies beyond what the system reaches.
pub fn search_area(area: &PlaneBox) -> Option<Bbox> {
    let [west, south, east, north] = within_plane(area)?;
    let crs = projected_as(area.crs)?;
    let mut found: Option<Bbox> = None;
    for piece in 0..=SIDE_PIECES {
        let share = f64::from(piece) / f64::from(SIDE_PIECES);
        let (x, y) = (west + (east - west) * share, south + (north - south) * share);
        for (x, y) in [(x, south), (x, north), (west, y), (east, y)] {
            let Some((lon, lat)) = inverse(crs, x, y) else { continue };
            let [w, s, e, n] = found.unwrap_or([lon, lat, lon, lat]);
            found = Some([w.min(lon), s.min(lat), e.max(lon), n.max(lat)]);
        }
    }
    // Between two of the places measured a side bends on: by less than a thousandth of the whole.
    let [w, s, e, n] = found?;
    let (dx, dy) = ((e - w) / 500.0 + BEND, (n - s) / 500.0 + BEND);
    Some([(w - dx).max(-180.0), (s - dy).max(-90.0), (e + dx).min(180.0), (n + dy).min(90.0)])
}

/// The part of the box that the system reaches.
fn within_plane(area: &PlaneBox) -> Option<[f64; 4]> {
    let [west, south, east, north] = area.sides;
    let edge = plane_edge(area.crs)?;
    let (west, south) = (west.max(edge[0]), south.max(edge[1]));
    let (east, north) = (east.min(edge[2]), north.min(edge[3]));
    (west <= east && south <= north).then_some([west, south, east, north])
}

/// Eastings and northings that the system has.
fn plane_edge(crs: PublishedCrs) -> Option<[f64; 4]> {
    match crs {
        PublishedCrs::WebMercator => {
            let half = project::SEMI_MAJOR_AXIS_M * std::f64::consts::PI;
            // A little more than the square of the web maps: latitude 85.06°.
            Some([-half, -half * 1.001, half, half * 1.001])
        }
        PublishedCrs::GaussKruger { zone, prefixed } => {
            let middle = 500_000.0 + if prefixed { f64::from(zone) * 1e6 } else { 0.0 };
            // 10° of the equator, and a quarter of a meridian.
            Some([middle - 1_120_000.0, -10_001_965.0, middle + 1_120_000.0, 10_001_965.0])
        }
        _ => None,
    }
}

/// Whether a polygon of these rings (in degrees; holes among them) meets the box, edges being straight in the box's system. A ring that
/// the system does not reach meets nothing.
pub fn meets<'a>(area: &PlaneBox, rings: impl Iterator<Item = &'a [Coord<f64>]>) -> bool {
    let corner = Coord { x: area.sides[0], y: area.sides[1] };
    let mut holds_corner = false;
    for ring in rings {
        let mut before: Option<Coord<f64>> = None;
        for vertex in ring {
            let Some(at) = to_plane(area.crs, *vertex) else { return false };
            if clips(&area.sides, before.unwrap_or(at), at) {
                return true;
            }
            holds_corner ^= before.is_some_and(|before| passes_above(before, at, corner));
            before = Some(at);
        }
    }
    // No edge comes near: the box lies inside of the shape altogether, or not at all.
    holds_corner
}

/// Whether the line from `a` to `b` has a place in the closed box (Liang and Barsky).
fn clips([west, south, east, north]: &[f64; 4], a: Coord<f64>, b: Coord<f64>) -> bool {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let (mut from, mut to) = (0.0_f64, 1.0_f64);
    for (step, room) in [(-dx, a.x - west), (dx, east - a.x), (-dy, a.y - south), (dy, north - a.y)] {
        if step == 0.0 {
            if room < 0.0 {
                return false;
            }
        } else if step < 0.0 {
            from = from.max(room / step);
        } else {
            to = to.min(room / step);
        }
    }
    from <= to
}

/// Whether the edge crosses the ray from the place to the east: an odd number of edges do, where it lies inside.
fn passes_above(a: Coord<f64>, b: Coord<f64>, at: Coord<f64>) -> bool {
    (a.y > at.y) != (b.y > at.y) && at.x < a.x + (at.y - a.y) / (b.y - a.y) * (b.x - a.x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone38() -> PublishedCrs {
        PublishedCrs::GaussKruger { zone: 38, prefixed: true }
    }

    #[test]
    fn there_and_back_in_the_authoritys_order_is_where_it_was() {
        let at = Coord { x: 112.98, y: 28.19 };
        for crs in PublishedCrs::LISTED {
            let plane = to_plane(crs, at).expect("within reach");
            let back = from_authority(crs, crs.turned([plane.x, plane.y])).expect("within reach");
            assert!((back.x - at.x).abs() < 1e-11 && (back.y - at.y).abs() < 1e-11, "{crs:?}: {back:?}");
            if crs.is_north_first() {
                assert_ne!(
                    from_authority(crs, [plane.x, plane.y]),
                    Some(back),
                    "{crs:?}: the other order is another place"
                );
            }
        }
        assert_eq!(from_authority(PublishedCrs::Gcj02, [112.98, 28.19]), None, "nothing comes in it");
        assert_ne!(to_plane(PublishedCrs::Gcj02, at), Some(at));
    }

    #[test]
    fn a_box_is_met_by_what_has_a_place_in_it() {
        let area = PlaneBox { crs: PublishedCrs::WebMercator, sides: [0.0, 0.0, 100.0, 100.0] };
        // About 111 m a thousandth of a degree, near the null point.
        let square = |w: f64, s: f64, e: f64, n: f64| {
            [(w, s), (e, s), (e, n), (w, n), (w, s)].map(|(x, y)| Coord { x: x * 1e-5, y: y * 1e-5 }).to_vec()
        };
        let holed = [square(-500.0, -500.0, 500.0, 500.0), square(-90.0, -90.0, 180.0, 180.0)];
        for (name, rings, expected) in [
            ("inside", vec![square(10.0, 10.0, 20.0, 20.0)], true),
            ("around", vec![square(-500.0, -500.0, 500.0, 500.0)], true),
            ("across", vec![square(-500.0, 10.0, 500.0, 20.0)], true),
            ("over a corner", vec![square(80.0, 80.0, 500.0, 500.0)], true),
            ("beside", vec![square(95.0, 0.0, 99.0, 10.0)], false),
            ("touching a corner", vec![square(-10.0, -10.0, 0.0, 0.0)], true),
            ("around, with a hole that holds the box", holed.to_vec(), false),
            ("beyond the pole's square", vec![square(0.0, 8_900_000.0, 1.0, 8_900_001.0)], false),
        ] {
            assert_eq!(meets(&area, rings.iter().map(Vec::as_slice)), expected, "{name}");
        }
        let line = PlaneBox { sides: [0.0, 50.0, 100.0, 50.0], ..area };
        let place = PlaneBox { sides: [50.0, 50.0, 50.0, 50.0], ..area };
        for sides in [line, place] {
            assert!(meets(&sides, [square(-500.0, -500.0, 500.0, 500.0)].iter().map(Vec::as_slice)));
            assert!(!meets(&sides, [square(0.0, 0.0, 20.0, 20.0)].iter().map(Vec::as_slice)));
        }
    }

    #[test]
    fn the_search_area_holds_the_box_and_ends_with_the_system() {
        let area = PlaneBox { crs: zone38(), sides: [38_300_000.0, 2_900_000.0, 38_700_000.0, 3_300_000.0] };
        let [w, s, e, n] = search_area(&area).expect("within reach");
        for i in 0..=40 {
            for j in 0..=40 {
                let x = 38_300_000.0 + f64::from(i) * 10_000.0;
                let y = 2_900_000.0 + f64::from(j) * 10_000.0;
                let at = from_authority(zone38(), [y, x]).expect("a place");
                assert!(at.x > w && at.x < e && at.y > s && at.y < n, "{x} {y}: {at:?}");
            }
        }
        assert!(e - w < 4.4 && n - s < 3.8, "{w} {s} {e} {n}");
        // Everything, and nothing.
        let all = PlaneBox { crs: zone38(), sides: [-1e9, -1e9, 1e9, 1e9] };
        assert!(search_area(&all).is_some_and(|[w, s, e, n]| w < 104.5 && s < -89.0 && e > 123.5 && n > 89.0));
        for sides in [[0.0, 0.0, 1.0, 1.0], [38_500_000.0, 2e7, 38_500_001.0, 2e7]] {
            assert_eq!(search_area(&PlaneBox { crs: zone38(), sides }), None, "{sides:?}");
        }
    }
}
