//! Coordinate systems of requests and answers (OGC API Features Part 2): `crs`, `bbox-crs`, `filter-crs`, `Content-Crs`.
//!
//! Systems are named by their URI; short names (`EPSG:4526`, `[EPSG:4526]`, `4526`, `CRS84`) are understood as well. Never: a projection.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, HeaderValue};

use serde_json::Value;

use super::params::{Params, shorten};
use crate::domain::items_query::Bbox;
use crate::domain::published_crs::{PlaneBox, PublishedCrs};
use crate::error::{Error, Result};

/// The system of an answer, or of what a request brings.
pub const CONTENT_CRS: HeaderName = HeaderName::from_static("content-crs");

/// The system of an answer: `crs`, else CRS84. GCJ-02 may be asked for here and nowhere else.
pub fn of_answer(params: &Params) -> Result<PublishedCrs> {
    params.get("crs").map_or(Ok(PublishedCrs::default()), |text| parse("crs", text))
}

/// The system that a parameter (`bbox-crs`, `filter-crs`) says the coordinates of another one are in; CRS84 where it says nothing.
pub fn of_input(params: &Params, name: &str) -> Result<PublishedCrs> {
    params.get(name).map_or(Ok(PublishedCrs::default()), |text| for_input(name, parse(name, text)?))
}

/// The system of a request's body by its `Content-Crs`; `None` where it says nothing.
pub fn of_body(request: &HttpRequest) -> Result<Option<PublishedCrs>> {
    let mut named = request.headers().get_all(CONTENT_CRS);
    let Some(value) = named.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| named.next().is_none()).ok_or_else(|| unknown("Content-Crs", ""))?;
    let text = text.trim();
    let uri = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text);
    for_input("Content-Crs", parse("Content-Crs", uri)?).map(Some)
}

/// Refuses a body in another system than CRS84 where no other is read: taken for degrees, it would lie elsewhere.
pub fn only_crs84(request: &HttpRequest) -> Result<()> {
    match of_body(request)? {
        None | Some(PublishedCrs::Crs84) => Ok(()),
        Some(_) => Err(Error::invalid("option_not_possible", "此地址的图形只能用经度、纬度（CRS84）提交")),
    }
}

/// Turns the positions of a feature's geometry from the authority's order to longitude or easting first. What is no position stays as it
/// is, for the reader to name.
pub fn turn_geometry(feature: &mut Value, crs: PublishedCrs) {
    if crs.is_north_first()
        && let Some(coordinates) = feature.pointer_mut("/geometry/coordinates")
    {
        turn(coordinates);
    }
}

fn turn(value: &mut Value) {
    let Some(list) = value.as_array_mut() else { return };
    match list.as_mut_slice() {
        [first, second, ..] if first.is_number() && second.is_number() => std::mem::swap(first, second),
        others => others.iter_mut().for_each(turn),
    }
}

fn for_input(name: &str, crs: PublishedCrs) -> Result<PublishedCrs> {
    if crs.takes_input() {
        return Ok(crs);
    }
    let detail = format!("{name} 不能是 GCJ-02：它只用于叠加显示（crs=gcj02），不能用来提交或查询坐标");
    Err(Error::invalid("crs_display_only", detail))
}

/// The system of a name, as `name` (a parameter or header) gives it.
fn parse(name: &str, text: &str) -> Result<PublishedCrs> {
    identify(text).ok_or_else(|| unknown(name, text))
}

fn unknown(name: &str, text: &str) -> Error {
    let codes: Vec<String> = PublishedCrs::LISTED.iter().filter_map(|crs| crs.epsg()).map(|c| c.to_string()).collect();
    let detail = format!(
        "{name} 不认识坐标系“{}”；可用 {} 和 http://www.opengis.net/def/crs/EPSG/0/ 之后接 {}",
        shorten(text),
        PublishedCrs::Crs84.uri(),
        codes.join("、")
    );
    Error::invalid("crs_unknown", detail)
}

fn identify(text: &str) -> Option<PublishedCrs> {
    let text = text.trim().to_ascii_lowercase();
    let curie = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(&text);
    match curie {
        "gcj02" | "gcj-02" | "urn:sizhi:crs:gcj02" => return Some(PublishedCrs::Gcj02),
        "crs84" | "ogc:crs84" => return Some(PublishedCrs::Crs84),
        _ => {}
    }
    let of_register = ["https://www.opengis.net/def/crs/", "http://www.opengis.net/def/crs/", "urn:ogc:def:crs:"]
        .into_iter()
        .find_map(|register| curie.strip_prefix(register));
    let code = match of_register {
        // Authority, version, code.
        Some(path) => {
            let mut parts = path.split(['/', ':']);
            let (authority, _, code) = (parts.next()?, parts.next()?, parts.next()?);
            match authority {
                _ if parts.next().is_some() => return None,
                "ogc" if code == "crs84" => return Some(PublishedCrs::Crs84),
                "epsg" => code,
                _ => return None,
            }
        }
        None => curie.strip_prefix("epsg:").unwrap_or(curie),
    };
    let code: u32 = code.parse().ok().filter(|_| code.bytes().all(|b| b.is_ascii_digit()))?;
    PublishedCrs::LISTED.into_iter().find(|crs| crs.epsg() == Some(code))
}

/// `Content-Crs` of an answer.
pub fn content_crs(crs: PublishedCrs) -> HeaderValue {
    HeaderValue::from_str(&format!("<{}>", crs.uri())).unwrap_or_else(|_| HeaderValue::from_static("<>"))
}

/// A box: boxes in degrees (two over the antimeridian), or one in metres.
#[derive(Debug, Clone, PartialEq)]
pub enum Boxes {
    Degrees(Vec<Bbox>),
    Plane(PlaneBox),
}

/// `bbox`: 4 numbers, or 6 with heights that are checked and set aside; each corner in the order of the system's axes.
pub fn parse_bbox(text: &str, crs: PublishedCrs) -> Result<Boxes> {
    let invalid = |why: &str| Error::invalid("bbox_invalid", format!("bbox“{}”不合规则：{why}", shorten(text)));
    let numbers: Option<Vec<f64>> =
        text.split(',').map(|n| n.trim().parse().ok().filter(|n: &f64| n.is_finite())).collect();
    let numbers = numbers.ok_or_else(|| invalid("应为逗号分隔的有限数"))?;
    let (low, high) = match numbers.as_slice() {
        [a, b, c, d] => ([*a, *b], [*c, *d]),
        [a, b, low, c, d, high] if low <= high => ([*a, *b], [*c, *d]),
        [_, _, _, _, _, _] => return Err(invalid("最低高度大于最高高度")),
        _ => return Err(invalid("应为 4 个数（西,南,东,北；坐标系以北为先时为南,西,北,东）或 6 个数（含高度）")),
    };
    let ([west, south], [east, north]) = (crs.turned(low), crs.turned(high));
    if !crs.is_degrees() {
        if west > east || south > north {
            return Err(invalid("前一个角的坐标大于后一个角的坐标"));
        }
        if let Some(rule) = zone_fault(crs, west, east) {
            return Err(invalid(&rule));
        }
        return Ok(Boxes::Plane(PlaneBox { crs, sides: [west, south, east, north] }));
    }
    if !(west.abs() <= 180.0 && east.abs() <= 180.0) {
        return Err(invalid("经度应在 -180 到 180 之间"));
    }
    if !(south.abs() <= 90.0 && north.abs() <= 90.0) {
        return Err(invalid("纬度应在 -90 到 90 之间"));
    }
    if south > north {
        return Err(invalid("南边的纬度大于北边的纬度"));
    }
    if west > east {
        return Ok(Boxes::Degrees(vec![[west, south, 180.0, north], [-180.0, south, east, north]]));
    }
    Ok(Boxes::Degrees(vec![[west, south, east, north]]))
}

/// Eastings with the zone's number where it must not be, or without it: nowhere on earth, and the question would find nothing without a word.
fn zone_fault(crs: PublishedCrs, west: f64, east: f64) -> Option<String> {
    /// Eastings without the number are less, those with it are many times as much.
    const WITHOUT: f64 = 1e6;
    let PublishedCrs::GaussKruger { zone, prefixed } = crs else { return None };
    match prefixed {
        true if east < WITHOUT && west > -WITHOUT => Some(format!("横坐标应带带号 {zone}（8 位），例如 {zone}500000")),
        false if west > 10.0 * WITHOUT => Some("横坐标不带带号（6 位），例如 500000".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_as_clients_name_them() {
        let zone38 = Some(PublishedCrs::GaussKruger { zone: 38, prefixed: true });
        for (text, expected) in [
            ("http://www.opengis.net/def/crs/OGC/1.3/CRS84", Some(PublishedCrs::Crs84)),
            ("https://www.opengis.net/def/crs/ogc/0/crs84", Some(PublishedCrs::Crs84)),
            ("urn:ogc:def:crs:OGC:1.3:CRS84", Some(PublishedCrs::Crs84)),
            ("urn:ogc:def:crs:OGC::CRS84", Some(PublishedCrs::Crs84)),
            ("CRS84", Some(PublishedCrs::Crs84)),
            ("[OGC:CRS84]", Some(PublishedCrs::Crs84)),
            ("http://www.opengis.net/def/crs/EPSG/0/4526", zone38),
            ("http://www.opengis.net/def/crs/EPSG/9.9.1/4526", zone38),
            ("urn:ogc:def:crs:EPSG::4526", zone38),
            ("EPSG:4526", zone38),
            ("[EPSG:4526]", zone38),
            (" epsg:4526 ", zone38),
            ("4526", zone38),
            ("EPSG:4326", Some(PublishedCrs::Wgs84)),
            ("EPSG:4490", Some(PublishedCrs::Cgcs2000)),
            ("3857", Some(PublishedCrs::WebMercator)),
            ("GCJ02", Some(PublishedCrs::Gcj02)),
            ("urn:sizhi:crs:gcj02", Some(PublishedCrs::Gcj02)),
            ("EPSG:4527", None),
            ("EPSG:28992", None),
            ("EPSG:+4526", None),
            ("EPSG:", None),
            ("http://www.opengis.net/def/crs/EPSG/0/4526/x", None),
            ("http://www.opengis.net/def/crs/OGC/1.3/CRS83", None),
            ("http://example.org/def/crs/EPSG/0/4526", None),
            ("[EPSG:4526", None),
            ("", None),
            ("经纬度", None),
        ] {
            assert_eq!(identify(text), expected, "{text}");
        }
        for crs in PublishedCrs::LISTED.into_iter().chain([PublishedCrs::Gcj02]) {
            assert_eq!(identify(&crs.uri()), Some(crs));
        }
    }

    #[test]
    fn boxes_in_the_order_of_their_axes() {
        let degrees = |crs, text: &str| parse_bbox(text, crs).ok();
        let one = |sides| Some(Boxes::Degrees(vec![sides]));
        assert_eq!(degrees(PublishedCrs::Crs84, "112,28,113,29"), one([112., 28., 113., 29.]));
        assert_eq!(degrees(PublishedCrs::Crs84, "112,28,-10,113,29,500"), one([112., 28., 113., 29.]));
        assert_eq!(degrees(PublishedCrs::Wgs84, "28,112,29,113"), one([112., 28., 113., 29.]));
        assert_eq!(degrees(PublishedCrs::Cgcs2000, "28,112,-10,29,113,500"), one([112., 28., 113., 29.]));
        let over = Some(Boxes::Degrees(vec![[170., -10., 180., 10.], [-180., -10., -170., 10.]]));
        assert_eq!(degrees(PublishedCrs::Crs84, "170,-10,-170,10"), over);
        assert_eq!(degrees(PublishedCrs::Wgs84, "-10,170,10,-170"), over);
        let zone = PublishedCrs::GaussKruger { zone: 38, prefixed: true };
        for (crs, text) in [
            (zone, "3100000,38400000,3200000,38500000"),
            (PublishedCrs::WebMercator, "38400000,3100000,38500000,3200000"),
        ] {
            let sides = [38_400_000., 3_100_000., 38_500_000., 3_200_000.];
            assert_eq!(degrees(crs, text), Some(Boxes::Plane(PlaneBox { crs, sides })), "{crs:?}");
        }
        for (crs, bad) in [
            (PublishedCrs::Crs84, ""),
            (PublishedCrs::Crs84, "1,2,3"),
            (PublishedCrs::Crs84, "a,b,c,d"),
            (PublishedCrs::Crs84, "NaN,0,1,1"),
            (PublishedCrs::Crs84, "inf,0,1,1"),
            (PublishedCrs::Crs84, "0,10,1,5"),
            (PublishedCrs::Crs84, "0,0,181,1"),
            (PublishedCrs::Crs84, "0,-91,1,1"),
            (PublishedCrs::Crs84, "1,2,9,3,4,5"),
            (PublishedCrs::Crs84, "1,2,3,4,5"),
            (PublishedCrs::Wgs84, "112,28,113,29"),
            (zone, "3200000,38400000,3100000,38500000"),
            (zone, "3100000,38500000,3200000,38400000"),
            (zone, "1e999,38500000,3200000,38400000"),
            // Without the zone's number, and with it where there is none.
            (zone, "3100000,400000,3200000,500000"),
            (PublishedCrs::GaussKruger { zone: 38, prefixed: false }, "3100000,38400000,3200000,38500000"),
        ] {
            assert_eq!(parse_bbox(bad, crs).err().map(|e| e.code()), Some("bbox_invalid"), "{crs:?} {bad}");
        }
    }
}
