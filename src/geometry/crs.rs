//! Coordinate reference systems that land bureaus use, and their codes.

use std::fmt;

/// A coordinate reference system, as far as sizhi tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Crs {
    /// CGCS2000 geographic, EPSG:4490: the storage system.
    Cgcs2000,
    /// WGS 84 geographic (EPSG:4326, OGC:CRS84). Taken as CGCS2000 unchanged: they differ by centimetres.
    Wgs84,
    /// Web Mercator, EPSG:3857.
    WebMercator,
    /// CGCS2000 3-degree Gauss–Krüger, zone 25–45. `prefixed`: eastings carry the zone number (EPSG 4488 + zone),
    /// otherwise not (EPSG 4509 + zone).
    GaussKruger3 { zone: u8, prefixed: bool },
    /// CGCS2000 6-degree Gauss–Krüger, zone 13–23: prefixed EPSG 4478 + zone, unprefixed 4489 + zone.
    GaussKruger6 { zone: u8, prefixed: bool },
    /// Anything else by EPSG code; only `exchange` (PROJ) can project it.
    Other(u32),
}

impl Crs {
    /// The EPSG code.
    pub fn epsg(self) -> u32 {
        match self {
            Crs::Cgcs2000 => 4490,
            Crs::Wgs84 => 4326,
            Crs::WebMercator => 3857,
            Crs::GaussKruger3 { zone, prefixed: true } => 4488 + u32::from(zone),
            Crs::GaussKruger3 { zone, prefixed: false } => 4509 + u32::from(zone),
            Crs::GaussKruger6 { zone, prefixed: true } => 4478 + u32::from(zone),
            Crs::GaussKruger6 { zone, prefixed: false } => 4489 + u32::from(zone),
            Crs::Other(epsg) => epsg,
        }
    }

    /// The system of an EPSG code.
    pub fn from_epsg(epsg: u32) -> Self {
        match epsg {
            4490 => Crs::Cgcs2000,
            4326 => Crs::Wgs84,
            3857 => Crs::WebMercator,
            // The ranges do not meet: 4491–4501, 4502–4512, 4513–4533, 4534–4554.
            4491..=4501 => Crs::GaussKruger6 { zone: (epsg - 4478) as u8, prefixed: true },
            4502..=4512 => Crs::GaussKruger6 { zone: (epsg - 4489) as u8, prefixed: false },
            4513..=4533 => Crs::GaussKruger3 { zone: (epsg - 4488) as u8, prefixed: true },
            4534..=4554 => Crs::GaussKruger3 { zone: (epsg - 4509) as u8, prefixed: false },
            _ => Crs::Other(epsg),
        }
    }

    /// Xi'an 1980 and Beijing 1954 systems, whose datum change to CGCS2000 needs classified parameters: refused.
    pub fn is_legacy_chinese_datum(self) -> bool {
        matches!(
            self,
            Crs::Other(4610 | 4214 | 2327..=2390 | 2401..=2442 | 21413..=21423 | 21453..=21463 | 21473..=21483)
        )
    }
}

impl fmt::Display for Crs {
    /// `EPSG:4526`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EPSG:{}", self.epsg())
    }
}
