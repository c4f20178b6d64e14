//! The system of a filter's coordinates (`filter-crs`). The one place where they become longitude and latitude as they are stored.

use geo::{Coord, LineString, Polygon};

use super::Fault;
use crate::domain::filter::At;
use crate::domain::items_query::Bbox;
use crate::domain::published_crs::PublishedCrs;
use crate::geometry::published;

/// Points along each side of a box in metres, whose sides are curves in degrees: at 500 km a side a metre off at most.
const SIDE: u32 = 128;

/// A coordinate in the authority's order as it is stored; `None` where there is no such place on earth.
fn stored(crs: PublishedCrs, coordinate: Coord<f64>) -> Option<Coord<f64>> {
    let stored = published::from_authority(crs, [coordinate.x, coordinate.y])?;
    Some(stored).filter(|c| (-180.0..=180.0).contains(&c.x) && (-90.0..=90.0).contains(&c.y))
}

pub(super) fn to_stored(at: At, crs: PublishedCrs, coordinate: Coord<f64>) -> Result<Coord<f64>, Fault> {
    stored(crs, coordinate).ok_or_else(|| Fault::new(at, rule(crs)))
}

/// A box in metres as a polygon in degrees.
pub(super) fn plane_box(at: At, crs: PublishedCrs, [a, b, c, d]: Bbox) -> Result<Polygon<f64>, Fault> {
    if a > c || b > d {
        return Err(Fault::new(at, "BBOX 的第一个角应在第二个角的西南"));
    }
    let corners = [[a, b], [c, b], [c, d], [a, d], [a, b]];
    let mut ring = Vec::with_capacity(4 * SIDE as usize + 1);
    for side in corners.windows(2) {
        for step in 0..SIDE {
            let share = f64::from(step) / f64::from(SIDE);
            let along = |axis: usize| side[0][axis] + (side[1][axis] - side[0][axis]) * share;
            ring.push(to_stored(at, crs, Coord { x: along(0), y: along(1) })?);
        }
    }
    ring.push(ring[0]);
    Ok(Polygon::new(LineString(ring), Vec::new()))
}

/// What is wrong with a coordinate that is nowhere.
fn rule(crs: PublishedCrs) -> &'static str {
    match (crs.is_degrees(), crs.is_north_first()) {
        (true, false) => "坐标应为经度（-180 至 180）、纬度（-90 至 90）",
        (true, true) => "坐标应为纬度（-90 至 90）、经度（-180 至 180），与 filter-crs 的轴序一致",
        (false, true) => "坐标应为纵坐标（北）、横坐标（东），单位米，与 filter-crs 的轴序一致",
        (false, false) => "坐标应为横坐标（东）、纵坐标（北），单位米",
    }
}
