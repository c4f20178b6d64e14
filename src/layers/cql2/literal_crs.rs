//! The system of a filter's coordinates (`filter-crs`). The one place where they become longitude and latitude as they are stored.

use geo::Coord;

use super::tokens::short;
use crate::error::{Error, Result};
use crate::geometry::crs::Crs;

/// What the two numbers of a coordinate are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LiteralCrs {
    /// Longitude, latitude: OGC CRS84.
    #[default]
    LongitudeLatitude,
    /// Latitude, longitude: the authority's order of EPSG:4490 and EPSG:4326.
    LatitudeLongitude,
}

impl LiteralCrs {
    /// As stored; `None` where there is no such place on earth.
    pub fn to_stored(self, coordinate: Coord<f64>) -> Option<Coord<f64>> {
        let stored = match self {
            LiteralCrs::LongitudeLatitude => coordinate,
            LiteralCrs::LatitudeLongitude => Coord { x: coordinate.y, y: coordinate.x },
        };
        Some(stored).filter(|c| (-180.0..=180.0).contains(&c.x) && (-90.0..=90.0).contains(&c.y))
    }

    /// What is wrong with a coordinate that is nowhere.
    pub fn rule(self) -> &'static str {
        match self {
            LiteralCrs::LongitudeLatitude => "坐标应为经度（-180 至 180）、纬度（-90 至 90）",
            LiteralCrs::LatitudeLongitude => "坐标应为纬度（-90 至 90）、经度（-180 至 180），与 filter-crs 的轴序一致",
        }
    }
}

/// The system of this URI or CURIE.
pub fn filter_crs(uri: &str) -> Result<LiteralCrs> {
    let bare = uri.trim().trim_start_matches('[').trim_end_matches(']');
    let is_crs84 = bare.to_ascii_uppercase().ends_with("CRS84");
    match Crs::parse(bare) {
        Some(Crs::Wgs84) if is_crs84 => Ok(LiteralCrs::LongitudeLatitude),
        Some(Crs::Wgs84 | Crs::Cgcs2000) => Ok(LiteralCrs::LatitudeLongitude),
        _ => Err(Error::invalid(
            "value_invalid",
            format!("filter-crs 应为 CRS84、EPSG:4490 或 EPSG:4326 的 URI，不是“{}”", short(uri)),
        )),
    }
}
