//! Coordinate reference systems that land bureaus use: their codes, their names, and how to tell them from numbers.

use std::fmt;

use crate::domain::{Finding, Place};

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

    /// Reads a code as people and files write it: `EPSG:4526`, `4526`, `CGCS2000`, `CRS84`, an OGC URN or URL.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let upper = text.to_ascii_uppercase();
        match upper.as_str() {
            "CGCS2000" | "CGCS 2000" | "2000国家大地坐标系" | "国家2000" => return Some(Crs::Cgcs2000),
            "WGS84" | "WGS 84" | "CRS84" | "OGC:CRS84" => return Some(Crs::Wgs84),
            _ => {}
        }
        if upper.ends_with("CRS84") && (upper.starts_with("URN:OGC:DEF:CRS:OGC") || upper.contains("/CRS/OGC/")) {
            return Some(Crs::Wgs84);
        }
        let is_code = upper.starts_with("EPSG:")
            || upper.starts_with("URN:OGC:DEF:CRS:EPSG:")
            || upper.contains("/CRS/EPSG/")
            || upper.bytes().all(|b| b.is_ascii_digit());
        let digits = upper.rsplit([':', '/']).next()?;
        let known_length = (4..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        (is_code && known_length).then(|| digits.parse().ok().map(Self::from_epsg)).flatten()
    }

    /// True where coordinates are degrees.
    pub fn is_geographic(self) -> bool {
        matches!(self, Crs::Cgcs2000 | Crs::Wgs84)
    }

    /// Chinese name for tables and messages.
    pub fn label(self) -> String {
        match self {
            Crs::Cgcs2000 => "2000国家大地坐标系（经纬度）".to_owned(),
            Crs::Wgs84 => "WGS 84（经纬度）".to_owned(),
            Crs::WebMercator => "Web 墨卡托".to_owned(),
            Crs::GaussKruger3 { zone, prefixed } => {
                format!("2000国家大地坐标系 3 度带第 {zone} 带（横坐标{}带号）", if prefixed { "含" } else { "不含" })
            }
            Crs::GaussKruger6 { zone, prefixed } => {
                format!("2000国家大地坐标系 6 度带第 {zone} 带（横坐标{}带号）", if prefixed { "含" } else { "不含" })
            }
            Crs::Other(epsg) => format!("EPSG:{epsg}"),
        }
    }

    /// Beijing 1954, New Beijing and Xi'an 1980 systems, whose datum change to CGCS2000 needs classified parameters:
    /// refused. The codes are the EPSG register's.
    pub fn is_legacy_chinese_datum(self) -> bool {
        matches!(
            self,
            Crs::Other(
                2327..=2390
                | 2401..=2442
                | 4214
                | 4555
                | 4568..=4589
                | 4610
                | 4652..=4656
                | 4766..=4800
                | 4812
                | 4822
                | 21413..=21423
                | 21453..=21463
                | 21473..=21483,
            )
        )
    }
}

impl fmt::Display for Crs {
    /// `EPSG:4526`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EPSG:{}", self.epsg())
    }
}

/// What the numbers themselves say about their system.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// `None` where the numbers do not decide; a finding says what is missing.
    pub crs: Option<Crs>,
    /// Northing (or latitude) stands where easting (or longitude) belongs.
    pub swapped: bool,
    pub findings: Vec<Finding>,
}

/// How one number reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    Longitude,
    Latitude,
    /// 7 digits, 2 700 000–3 400 000 (Hunan with a margin of its neighbours).
    Northing,
    /// 8 digits: zone and easting.
    PrefixedEasting(u8),
    /// 6 digits (or a 7-digit easting below 1 000 000 would be one).
    Easting,
    /// Web Mercator metres.
    MercatorX,
    Unknown,
}

fn reads(value: f64) -> Reads {
    match value {
        v if (100.0..=125.0).contains(&v) => Reads::Longitude,
        v if (18.0..=40.0).contains(&v) => Reads::Latitude,
        v if (2_600_000.0..=3_600_000.0).contains(&v) => Reads::Northing,
        // 3-degree zones of China are 25–45, 6-degree zones 13–23; eastings lie 500 km ± 350 km in their zone.
        v if (13_100_000.0..46_000_000.0).contains(&v) => {
            let zone = (v / 1e6).floor();
            let easting = v - zone * 1e6;
            if (100_000.0..=900_000.0).contains(&easting) { Reads::PrefixedEasting(zone as u8) } else { Reads::Unknown }
        }
        v if (11_100_000.0..13_100_000.0).contains(&v) => Reads::MercatorX,
        v if (100_000.0..1_000_000.0).contains(&v) => Reads::Easting,
        _ => Reads::Unknown,
    }
}

/// Tells the system from the numbers alone (domain.md §9 “Detect input”). `sample` is (x, y): easting or longitude
/// first. `declared_zone` is the zone number (带号) that the file names, if any; `declared_width` the zone width in
/// degrees (几度分带), 3 unless 6.
pub fn detect(sample: &[(f64, f64)], declared_zone: Option<u8>, declared_width: Option<u8>) -> Detection {
    let mut detection = Detection { crs: None, swapped: false, findings: Vec::new() };
    let Some(&(x, y)) = sample.iter().find(|(x, y)| x.is_finite() && y.is_finite()) else {
        return detection;
    };
    let (mut first, mut second) = (reads(x), reads(y));
    // (northing, easting) or (latitude, longitude): the numbers cannot be misread, but nobody may turn them in silence.
    let backwards = matches!(
        (first, second),
        (Reads::Latitude, Reads::Longitude)
            | (Reads::Northing, Reads::PrefixedEasting(_) | Reads::Easting | Reads::MercatorX)
    );
    if backwards {
        std::mem::swap(&mut first, &mut second);
        detection.swapped = true;
        detection.findings.push(Finding::error(
            "axes_swapped",
            Place::whole().coordinate(x, y),
            format!("坐标顺序颠倒：第一个数 {x} 像是纬度或纵坐标（北），第二个数 {y} 像是经度或横坐标（东）；请调换后重新导入"),
        ));
    }
    let zone_finding = |code, message| Finding::error(code, Place::whole().coordinate(x, y), message);
    match (first, second) {
        (Reads::Longitude, Reads::Latitude) => {
            if let Some(zone) = declared_zone {
                let message = format!(
                    "文件声明带号为 {zone}，坐标（{x}，{y}）却是经纬度，两者矛盾；确是经纬度请指定坐标系 EPSG:4490"
                );
                detection.findings.push(zone_finding("crs_zone_conflict", message));
            }
            detection.crs = Some(Crs::Cgcs2000);
        }
        (Reads::MercatorX, _) => detection.crs = Some(Crs::WebMercator),
        (Reads::PrefixedEasting(prefix), Reads::Northing) => {
            if let Some(zone) = declared_zone.filter(|zone| *zone != prefix) {
                detection.findings.push(zone_finding(
                    "crs_zone_conflict",
                    format!(
                        "文件声明带号为 {zone}，但横坐标 {} 的前两位是 {prefix}，两者矛盾；请核对带号",
                        if detection.swapped { y } else { x }
                    ),
                ));
            }
            detection.crs = gauss_kruger(prefix, declared_width, true);
            if detection.crs.is_none() {
                let width = declared_width.unwrap_or(3);
                let message = format!("横坐标的带号 {prefix} 不是我国 {width} 度带的带号");
                detection.findings.push(zone_finding("crs_zone_invalid", message));
            }
        }
        (Reads::Easting, Reads::Northing) => match declared_zone {
            Some(zone) => {
                detection.crs = gauss_kruger(zone, declared_width, false);
                if detection.crs.is_none() {
                    detection
                        .findings
                        .push(zone_finding("crs_zone_invalid", format!("带号 {zone} 不是我国的高斯克吕格带号")));
                }
            }
            None => detection.findings.push(zone_finding(
                "crs_zone_missing",
                format!(
                    "横坐标 {x} 为 6 位数，不含带号，文件也没有说明带号；请指定坐标系（crs），例如第 38 带为 EPSG:4547"
                ),
            )),
        },
        _ => detection
            .findings
            .push(zone_finding("crs_undetected", format!("无法从坐标数值（{x}，{y}）判断坐标系；请指定坐标系（crs）"))),
    }
    detection
}

/// Zone numbers of 3-degree (25–45) and 6-degree (13–23) zones do not meet, so a number alone decides where the width is
/// not declared.
fn gauss_kruger(zone: u8, width: Option<u8>, prefixed: bool) -> Option<Crs> {
    match (zone, width) {
        (25..=45, None | Some(3)) => Some(Crs::GaussKruger3 { zone, prefixed }),
        (13..=23, None | Some(6)) => Some(Crs::GaussKruger6 { zone, prefixed }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_as_people_and_files_write_them() {
        let zone38 = Some(Crs::GaussKruger3 { zone: 38, prefixed: true });
        for (text, expected) in [
            ("EPSG:4526", zone38),
            ("epsg:4526", zone38),
            (" 4526 ", zone38),
            ("urn:ogc:def:crs:EPSG::4526", zone38),
            ("http://www.opengis.net/def/crs/EPSG/0/4526", zone38),
            ("EPSG:4547", Some(Crs::GaussKruger3 { zone: 38, prefixed: false })),
            ("CGCS2000", Some(Crs::Cgcs2000)),
            ("urn:ogc:def:crs:OGC:1.3:CRS84", Some(Crs::Wgs84)),
            ("http://www.opengis.net/def/crs/OGC/1.3/CRS84", Some(Crs::Wgs84)),
            ("EPSG:28992", Some(Crs::Other(28992))),
            ("EPSG:4500", Some(Crs::GaussKruger6 { zone: 22, prefixed: true })),
            ("EPSG:45x6", None),
            ("西安80", None),
            ("", None),
            ("EPSG:", None),
        ] {
            assert_eq!(Crs::parse(text), expected, "{text}");
            if let Some(crs) = expected.filter(|_| text.to_lowercase().contains("epsg")) {
                assert!(text.contains(&crs.epsg().to_string()), "{text} → {crs}");
            }
        }
    }

    #[test]
    fn legacy_datums_are_told_apart() {
        for (epsg, legacy) in [
            (2360, true),
            (2383, true),
            (2412, true),
            (2435, true),
            (4610, true),
            (4214, true),
            (4526, false),
            (28992, false),
        ] {
            assert_eq!(Crs::from_epsg(epsg).is_legacy_chinese_datum(), legacy, "EPSG:{epsg}");
        }
    }

    #[test]
    fn numbers_tell_their_system() {
        let codes = |d: &Detection| d.findings.iter().map(|f| f.code.to_string()).collect::<Vec<_>>();
        let cases: [(&str, (f64, f64), Option<u8>, Option<u32>, bool, &[&str]); 13] = [
            ("degrees", (112.9, 28.2), None, Some(4490), false, &[]),
            ("degrees swapped", (28.2, 112.9), None, Some(4490), true, &["axes_swapped"]),
            ("prefixed zone 38", (38_435_200.0, 3_123_400.0), None, Some(4526), false, &[]),
            ("prefixed, zone declared", (38_435_200.0, 3_123_400.0), Some(38), Some(4526), false, &[]),
            (
                "prefixed, other zone declared",
                (38_435_200.0, 3_123_400.0),
                Some(37),
                Some(4526),
                false,
                &["crs_zone_conflict"],
            ),
            ("prefixed swapped", (3_123_400.0, 38_435_200.0), Some(38), Some(4526), true, &["axes_swapped"]),
            ("unprefixed, zone declared", (435_200.0, 3_123_400.0), Some(38), Some(4547), false, &[]),
            ("unprefixed, no zone", (435_200.0, 3_123_400.0), None, None, false, &["crs_zone_missing"]),
            ("unprefixed swapped", (3_123_400.0, 435_200.0), Some(36), Some(4545), true, &["axes_swapped"]),
            ("six-degree prefixed", (19_435_200.0, 3_123_400.0), None, Some(4497), false, &[]),
            ("web mercator", (12_567_000.0, 3_270_000.0), None, Some(3857), false, &[]),
            ("nonsense", (5.0, 7.0), None, None, false, &["crs_undetected"]),
            ("no such zone", (435_200.0, 3_123_400.0), Some(50), None, false, &["crs_zone_invalid"]),
        ];
        for (name, point, zone, epsg, swapped, expected) in cases {
            let found = detect(&[point], zone, None);
            assert_eq!(found.crs.map(Crs::epsg), epsg, "{name}");
            assert_eq!(found.swapped, swapped, "{name}");
            assert_eq!(codes(&found), expected, "{name}");
        }
        assert_eq!(detect(&[(f64::NAN, 1.0)], None, None).crs, None);
    }
}
