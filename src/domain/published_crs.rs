//! The coordinate systems that layers are given in, asked in and edited in (OGC API Features Part 2), with the authority's order of axes.

/// A system that an answer may be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PublishedCrs {
    /// OGC:CRS84: longitude, latitude. What GeoJSON is in unless another is asked for.
    #[default]
    Crs84,
    /// EPSG:4490, CGCS2000: latitude, longitude. The system that is stored, though longitude first.
    Cgcs2000,
    /// EPSG:4326, WGS 84: latitude, longitude. Taken as CGCS2000 unchanged: they differ by centimetres.
    Wgs84,
    /// EPSG:3857, Web Mercator: easting, northing.
    WebMercator,
    /// CGCS2000 3-degree Gauss–Krüger zone 36, 37 or 38 (EPSG 4488 + zone, 4509 + zone): northing, easting. `prefixed`: eastings carry
    /// the zone number.
    GaussKruger { zone: u8, prefixed: bool },
    /// GCJ-02, the shifted coordinates of commercial web maps: longitude, latitude. To be laid over such a map, and for nothing else
    /// (domain.md §9): never stored, never asked in.
    Gcj02,
}

use PublishedCrs::{Cgcs2000, Crs84, GaussKruger, Gcj02, WebMercator, Wgs84};

impl PublishedCrs {
    /// Every system of the standard's `crs` list, the default one first. GCJ-02 is none of them: what stands there can be asked in.
    pub const LISTED: [Self; 10] = [
        Crs84,
        Cgcs2000,
        Wgs84,
        WebMercator,
        GaussKruger { zone: 36, prefixed: true },
        GaussKruger { zone: 37, prefixed: true },
        GaussKruger { zone: 38, prefixed: true },
        GaussKruger { zone: 36, prefixed: false },
        GaussKruger { zone: 37, prefixed: false },
        GaussKruger { zone: 38, prefixed: false },
    ];

    /// The EPSG code; CRS84 and GCJ-02 have none.
    pub fn epsg(self) -> Option<u32> {
        match self {
            Crs84 | Gcj02 => None,
            Cgcs2000 => Some(4490),
            Wgs84 => Some(4326),
            WebMercator => Some(3857),
            GaussKruger { zone, prefixed: true } => Some(4488 + u32::from(zone)),
            GaussKruger { zone, prefixed: false } => Some(4509 + u32::from(zone)),
        }
    }

    /// The identifier of the OGC register; of GCJ-02, which is in no register, one of our own.
    pub fn uri(self) -> String {
        match self.epsg() {
            Some(code) => format!("http://www.opengis.net/def/crs/EPSG/0/{code}"),
            None if self == Gcj02 => "urn:sizhi:crs:gcj02".to_owned(),
            None => "http://www.opengis.net/def/crs/OGC/1.3/CRS84".to_owned(),
        }
    }

    /// What people call it, with the order of its numbers.
    pub fn label(self) -> String {
        match self {
            Crs84 => "经度、纬度（CRS84）".to_owned(),
            Cgcs2000 => "2000 国家大地坐标系（纬度、经度）".to_owned(),
            Wgs84 => "WGS 84（纬度、经度）".to_owned(),
            WebMercator => "Web 墨卡托（东、北，米）".to_owned(),
            GaussKruger { zone, prefixed } => format!(
                "2000 国家大地坐标系 3 度带第 {zone} 带（北、东，米；横坐标{}带号）",
                if prefixed { "含" } else { "不含" }
            ),
            Gcj02 => "GCJ-02（经度、纬度，仅供叠加显示）".to_owned(),
        }
    }

    /// Whether coordinates are degrees; else they are metres.
    pub fn is_degrees(self) -> bool {
        matches!(self, Crs84 | Cgcs2000 | Wgs84 | Gcj02)
    }

    /// Whether latitude or northing comes first, as the EPSG register has it.
    pub fn is_north_first(self) -> bool {
        matches!(self, Cgcs2000 | Wgs84 | GaussKruger { .. })
    }

    /// Decimals of its numbers: a millimetre of longitude or latitude, a tenth of one in metres, so that both answers together differ by
    /// less than a millimetre.
    pub fn decimals(self) -> u8 {
        if self.is_degrees() { 8 } else { 4 }
    }

    /// Whether boxes, areas and features may come in it.
    pub fn takes_input(self) -> bool {
        self != Gcj02
    }

    /// East and north of a pair of numbers in the authority's order, or the other way round: the change undoes itself.
    pub fn turned(self, pair: [f64; 2]) -> [f64; 2] {
        if self.is_north_first() { [pair[1], pair[0]] } else { pair }
    }
}

/// A box in metres of a projected system, which has no straight sides in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlaneBox {
    pub crs: PublishedCrs,
    /// West, south, east, north: eastings and northings.
    pub sides: [f64; 4],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_has_a_name_of_its_own_and_two_words_for_two_orders() {
        let uris: std::collections::HashSet<String> = PublishedCrs::LISTED.map(PublishedCrs::uri).into();
        assert_eq!(uris.len(), PublishedCrs::LISTED.len());
        for crs in PublishedCrs::LISTED.into_iter().chain([Gcj02]) {
            let (label, north) = (crs.label(), crs.is_north_first());
            assert_eq!(label.contains("北、东") || label.contains("纬度、经度"), north, "{label}");
            assert_eq!(label.contains("东、北") || label.contains("经度、纬度"), !north, "{label}");
            assert_eq!(label.contains('米'), !crs.is_degrees(), "{label}");
            assert_eq!(crs.turned(crs.turned([1.0, 2.0])), [1.0, 2.0]);
        }
    }
}
