//! Which of our systems a declared spatial reference is. Runs in the child, where PROJ is.

use gdal::spatial_ref::SpatialRef;

use crate::geometry::crs::Crs;

/// Any code of the Xi'an 1980 and Beijing 1954 families, for declarations without a code of their own.
const XIAN_1980: u32 = 4610;
const BEIJING_1954: u32 = 4214;

/// Semi-major axes of the ellipsoids of Xi'an 1980 and of Beijing 1954.
const IAG_1975_M: f64 = 6_378_140.0;
const KRASOVSKY_M: f64 = 6_378_245.0;

/// True where the file says that its system is not known (GeoPackage: srs_id −1 and 0).
pub fn is_undefined(srs: &SpatialRef) -> bool {
    srs.is_local() || srs.name().is_some_and(|name| name.to_uppercase().starts_with("UNDEFINED"))
}

/// The system by its parameters first (files from Chinese programs often carry no code, or another program's name), then
/// by its EPSG code.
pub fn identify(srs: &SpatialRef) -> Option<Crs> {
    let name = |node: &str| srs.get_attr_value(node, 0).ok().flatten().unwrap_or_default().to_uppercase();
    let (geographic, datum) = (name("GEOGCS"), name("DATUM"));
    let mentions = |words: &[&str]| words.iter().any(|w| geographic.contains(w) || datum.contains(w));
    if mentions(&["XIAN", "XI'AN", "XI_AN"]) {
        return Some(Crs::Other(epsg(srs).unwrap_or(XIAN_1980)));
    }
    if mentions(&["BEIJING"]) {
        return Some(Crs::Other(epsg(srs).unwrap_or(BEIJING_1954)));
    }
    // Programs name a datum as they like ("User_Defined", "Custom"), but its ellipsoid tells it. Pulkovo's systems have
    // Krasovsky's too, and a published way to ours.
    let ellipsoid = srs.semi_major().unwrap_or(0.0);
    if (ellipsoid - IAG_1975_M).abs() < 0.5 {
        return Some(Crs::Other(XIAN_1980));
    }
    if (ellipsoid - KRASOVSKY_M).abs() < 0.5 && epsg(srs).is_none() && !mentions(&["PULKOVO", "S-42", "S42"]) {
        return Some(Crs::Other(BEIJING_1954));
    }
    if is_cgcs2000(srs) {
        if srs.is_geographic() {
            return Some(Crs::Cgcs2000);
        }
        if let Some(crs) = gauss_kruger(srs) {
            return Some(crs);
        }
    }
    if let Some(code) = epsg(srs) {
        return Some(Crs::from_epsg(code));
    }
    if srs.is_geographic() && mentions(&["WGS_1984", "WGS 84", "WGS84"]) {
        return Some(Crs::Wgs84);
    }
    srs.name().is_some_and(|n| n.to_uppercase().contains("WEB_MERCATOR")).then_some(Crs::WebMercator)
}

/// On the datum that we store, whatever the projection.
pub fn is_cgcs2000(srs: &SpatialRef) -> bool {
    const NAMES: [&str; 6] = [
        "CGCS2000",
        "CGCS_2000",
        "CHINA_2000",
        "CHINA 2000",
        "CHINA_GEODETIC_COORDINATE_SYSTEM_2000",
        "CHINA GEODETIC COORDINATE SYSTEM 2000",
    ];
    let name = |node: &str| srs.get_attr_value(node, 0).ok().flatten().unwrap_or_default().to_uppercase();
    [name("GEOGCS"), name("DATUM")].iter().any(|said| NAMES.iter().any(|known| said.contains(known)))
}

fn epsg(srs: &SpatialRef) -> Option<u32> {
    let is_epsg = srs.auth_name().is_some_and(|name| name.eq_ignore_ascii_case("EPSG"));
    is_epsg.then(|| srs.auth_code().ok().and_then(|code| u32::try_from(code).ok())).flatten()
}

/// A transverse Mercator projection with the parameters of one of the zones.
fn gauss_kruger(srs: &SpatialRef) -> Option<Crs> {
    let parameter = |name: &str| srs.get_proj_param(name).ok().flatten();
    let projection = srs.get_attr_value("PROJECTION", 0).ok().flatten()?.to_uppercase();
    if !(projection.contains("TRANSVERSE_MERCATOR") || projection.contains("GAUSS_KRUGER")) {
        return None;
    }
    let meridian = parameter("central_meridian")?;
    let easting = parameter("false_easting")?;
    let plain = parameter("false_northing").unwrap_or(0.0) == 0.0
        && parameter("latitude_of_origin").unwrap_or(0.0) == 0.0
        && parameter("scale_factor").unwrap_or(1.0) == 1.0
        && srs.linear_units() == 1.0;
    if !plain {
        return None;
    }
    let zone_of = |easting: f64| (easting - 500_000.0) / 1e6;
    if easting == 500_000.0 {
        // 6-degree zones have the meridians of every other 3-degree zone: without a prefix the projection is the same.
        let zone = meridian / 3.0;
        return (zone.fract() == 0.0 && (25.0..=45.0).contains(&zone))
            .then_some(Crs::GaussKruger3 { zone: zone as u8, prefixed: false });
    }
    let zone = zone_of(easting);
    match zone as u8 {
        z @ 25..=45 if zone.fract() == 0.0 && f64::from(z) * 3.0 == meridian => {
            Some(Crs::GaussKruger3 { zone: z, prefixed: true })
        }
        z @ 13..=23 if zone.fract() == 0.0 && f64::from(z) * 6.0 - 3.0 == meridian => {
            Some(Crs::GaussKruger6 { zone: z, prefixed: true })
        }
        _ => None,
    }
}
