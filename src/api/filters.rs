//! Values of `…/items` parameters: properties by value, list and range, text, division, area, order.

use chrono::{DateTime, NaiveTime, Utc};
use geo::{Coord, LineString, MultiPolygon, Polygon};
use serde_json::Value;

use super::params::{parse_day, parse_moment, shorten};
use crate::domain::items_query::{FilterValue, SortKey};
use crate::domain::layer::{Layer, Property, PropertyKind};
use crate::domain::search::Search;
use crate::domain::{DivisionCode, Severity};
use crate::error::{Error, Result};
use crate::geometry::validity;

/// Properties to sort by at once.
pub const MAX_SORT_KEYS: usize = 4;
/// Values of one list.
const MAX_VALUES: usize = 1_000;
/// Characters of a search.
const MAX_SEARCH: usize = 100;
/// Bytes of an area.
const MAX_AREA: usize = 8 * 1024;

fn wrong(name: &str, kind: &str, value: &str) -> Error {
    Error::invalid("value_invalid", format!("参数 {name} 应为{kind}，不是“{}”", shorten(value)))
}

/// The value of a property's parameter: numbers and days also as a range (`10..20`, `..20`, `10..`), codes also as a list (`a,b`).
pub fn value(property: &Property, text: &str) -> Result<FilterValue> {
    let name = property.name;
    match property.kind {
        PropertyKind::Boolean => match text {
            // GDAL writes 1 and 0.
            "true" | "1" => Ok(FilterValue::Boolean(true)),
            "false" | "0" => Ok(FilterValue::Boolean(false)),
            _ => Err(wrong(name, " true 或 false", text)),
        },
        PropertyKind::Number | PropertyKind::Integer => {
            let number = |t: &str| t.trim().parse().ok().filter(|n: &f64| n.is_finite());
            let kind = "数，或范围（例如 10..20、..20、10..）";
            match range(text, number) {
                Some(Ok((from, to))) => Ok(FilterValue::NumberBetween(from, to)),
                Some(Err(())) => Err(wrong(name, kind, text)),
                None => number(text).map(FilterValue::Number).ok_or_else(|| wrong(name, kind, text)),
            }
        }
        PropertyKind::Date => {
            let kind = "日期（YYYY-MM-DD），或范围（例如 2024-01-01..2024-12-31、..2024-12-31）";
            match range(text, parse_day) {
                Some(Ok((from, to))) => Ok(FilterValue::DateBetween(from, to)),
                Some(Err(())) => Err(wrong(name, kind, text)),
                None => parse_day(text).map(FilterValue::Date).ok_or_else(|| wrong(name, kind, text)),
            }
        }
        PropertyKind::DateTime => {
            let kind = "时刻（RFC 3339）或日期（UTC），或范围（例如 2024-01-01T00:00:00Z..、2024-01-01..2024-12-31）";
            let wrong = || wrong(name, kind, text);
            let (from, to) = text.split_once("..").unwrap_or((text, text));
            let end = |text: &str, last: bool| match text.trim() {
                "" => Ok(None),
                text => moment(text, last).map(Some).ok_or_else(wrong),
            };
            match (end(from, false)?, end(to, true)?) {
                (None, None) => Err(wrong()),
                (Some(from), Some(to)) if from > to => Err(wrong()),
                (from, to) => Ok(FilterValue::MomentBetween(from, to)),
            }
        }
        PropertyKind::NumberList => {
            let number = text.trim().parse().ok().filter(|n: &f64| n.is_finite());
            number.map(FilterValue::Number).ok_or_else(|| wrong(name, "数", text))
        }
        PropertyKind::Text | PropertyKind::TextList if property.is_code() && text.contains(',') => {
            let values: Vec<String> = text.split(',').map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()).collect();
            if values.is_empty() || values.len() > MAX_VALUES {
                return Err(wrong(name, "用逗号分开的 1 至 1000 个代码", text));
            }
            Ok(FilterValue::AnyOf(values))
        }
        PropertyKind::Text | PropertyKind::TextList => Ok(FilterValue::Text(text.to_owned())),
    }
}

/// A moment, or the first or last one of a day in UTC. A `+` of the offset arrives as a blank when it was not encoded.
fn moment(text: &str, last: bool) -> Option<DateTime<Utc>> {
    let time = if last { NaiveTime::from_hms_micro_opt(23, 59, 59, 999_999)? } else { NaiveTime::MIN };
    match parse_day(text) {
        Some(day) => Some(day.and_time(time).and_utc()),
        None => parse_moment(&text.replace(' ', "+")),
    }
}

/// Two ends of `a..b`, one of which may be open; `None` where the text is no range.
fn range<T: PartialOrd>(
    text: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Option<std::result::Result<(Option<T>, Option<T>), ()>> {
    let (from, to) = text.split_once("..")?;
    let end = |t: &str| if t.trim().is_empty() { Ok(None) } else { read(t).map(Some).ok_or(()) };
    Some(match (end(from), end(to)) {
        (Ok(None), Ok(None)) | (Err(()), _) | (_, Err(())) => Err(()),
        (Ok(Some(from)), Ok(Some(to))) if from > to => Err(()),
        (Ok(from), Ok(to)) => Ok((from, to)),
    })
}

/// `q`: a text to look for.
pub fn search(text: &str) -> Result<Search> {
    if text.chars().count() > MAX_SEARCH || text.chars().any(char::is_control) {
        return Err(Error::invalid("value_invalid", format!("q 应为不超过 {MAX_SEARCH} 个字的一行文字")));
    }
    Ok(Search::new(text))
}

/// `division`: a province, prefecture or county; features of it and below.
pub fn division(text: &str, layer: &Layer) -> Result<DivisionCode> {
    if layer.division_property().is_none() {
        return Err(Error::invalid(
            "option_not_possible",
            format!("图层“{}”没有行政区划，不能用参数 division", layer.title.zh),
        ));
    }
    DivisionCode::parse(text).map_err(|reason| Error::invalid("value_invalid", format!("division：{reason}")))
}

/// `sortby`: queryable properties, each with `-` in front for the other way (OGC API Records sorting).
pub fn sort_keys(text: &str, layer: &Layer) -> Result<Vec<SortKey>> {
    let mut keys: Vec<SortKey> = Vec::new();
    for part in text.split(',') {
        // A `+` arrives as a blank when it was not encoded.
        let part = part.trim();
        let (name, descending) = match part.strip_prefix('-') {
            Some(name) => (name, true),
            None => (part.strip_prefix('+').unwrap_or(part), false),
        };
        let property = layer.askable(name).filter(|p| !p.kind.is_list());
        let Some(property) = property.filter(|_| keys.iter().all(|k| k.property.name != name)) else {
            return Err(Error::invalid(
                "sortby_invalid",
                format!(
                    "不能按“{}”排序；可按可查询的属性（列表除外）排序，各一次，例如 -computed_area_mu,number",
                    shorten(part)
                ),
            ));
        };
        keys.push(SortKey { property, descending });
    }
    if keys.len() > MAX_SORT_KEYS {
        return Err(Error::invalid("sortby_invalid", format!("最多按 {MAX_SORT_KEYS} 个属性排序")));
    }
    Ok(keys)
}

/// `within`: a GeoJSON polygon or multipolygon, longitude and latitude.
pub fn within(text: &str) -> Result<MultiPolygon<f64>> {
    let invalid = |why: &str| {
        Error::invalid("within_invalid", format!("within 应为 GeoJSON 的 Polygon 或 MultiPolygon（经度、纬度）：{why}"))
    };
    if text.len() > MAX_AREA {
        return Err(invalid("超过 8 kB"));
    }
    let value: Value = serde_json::from_str(text).map_err(|_| invalid("不是 JSON"))?;
    let coordinates = &value["coordinates"];
    let parts: Option<Vec<Polygon<f64>>> = match value["type"].as_str() {
        Some("Polygon") => polygon(coordinates).map(|p| vec![p]),
        Some("MultiPolygon") => coordinates.as_array().and_then(|list| list.iter().map(polygon).collect()),
        _ => return Err(invalid("type 不对")),
    };
    let area = MultiPolygon(parts.filter(|p| !p.is_empty()).ok_or_else(|| invalid("坐标不对或环没有闭合"))?);
    match validity::check(&area, None).into_iter().find(|f| f.severity == Severity::Error) {
        Some(fault) => Err(invalid(&fault.message)),
        None => Ok(area),
    }
}

fn polygon(rings: &Value) -> Option<Polygon<f64>> {
    let mut rings = rings.as_array()?.iter().map(ring).collect::<Option<Vec<_>>>()?.into_iter();
    Some(Polygon::new(rings.next()?, rings.collect()))
}

fn ring(points: &Value) -> Option<LineString<f64>> {
    let coords: Vec<Coord<f64>> = points
        .as_array()?
        .iter()
        .map(|point| {
            let (x, y) = (point.get(0)?.as_f64()?, point.get(1)?.as_f64()?);
            ((-180.0..=180.0).contains(&x) && (-90.0..=90.0).contains(&y)).then_some(Coord { x, y })
        })
        .collect::<Option<_>>()?;
    (coords.len() >= 4 && coords.first() == coords.last()).then_some(LineString(coords))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::declaration;

    fn property(name: &str) -> &'static Property {
        declaration::find("turnover_parcels").and_then(|l| l.queryable(name)).expect(name)
    }

    #[test]
    fn values_lists_and_ranges() {
        let day = |text: &str| parse_day(text);
        for (name, text, expected) in [
            ("computed_area_mu", "10..20.5", Some(FilterValue::NumberBetween(Some(10.0), Some(20.5)))),
            ("computed_area_mu", "..20", Some(FilterValue::NumberBetween(None, Some(20.0)))),
            ("computed_area_mu", "10..", Some(FilterValue::NumberBetween(Some(10.0), None))),
            ("computed_area_mu", "10", Some(FilterValue::Number(10.0))),
            ("computed_area_mu", "..", None),
            ("computed_area_mu", "20..10", None),
            ("computed_area_mu", "a..b", None),
            ("computed_area_mu", "NaN..1", None),
            ("computed_area_mu", "inf", None),
            ("approved_on", "2024-01-01..", Some(FilterValue::DateBetween(day("2024-01-01"), None))),
            ("approved_on", "2024-01-01", day("2024-01-01").map(FilterValue::Date)),
            ("approved_on", "2024", None),
            ("state", "approved, listed", Some(FilterValue::AnyOf(vec!["approved".into(), "listed".into()]))),
            ("state", ",", None),
            ("name", "甲,乙", Some(FilterValue::Text("甲,乙".into()))),
            ("park_agrees", "1", Some(FilterValue::Boolean(true))),
            ("park_agrees", "yes", None),
        ] {
            assert_eq!(value(property(name), text).ok(), expected, "{name}={text}");
        }
    }

    #[test]
    fn moments_and_members_of_lists() {
        let titles = crate::domain::layer::Titles { zh: "", en: "" };
        let at = |text: &str| parse_moment(text);
        for (kind, text, expected) in [
            (
                PropertyKind::DateTime,
                "2024-01-01T08:00:00 08:00",
                Some(FilterValue::MomentBetween(at("2024-01-01T00:00:00Z"), at("2024-01-01T00:00:00Z"))),
            ),
            (
                PropertyKind::DateTime,
                "2024-01-01",
                Some(FilterValue::MomentBetween(at("2024-01-01T00:00:00Z"), at("2024-01-01T23:59:59.999999Z"))),
            ),
            (
                PropertyKind::DateTime,
                "2024-01-01..",
                Some(FilterValue::MomentBetween(at("2024-01-01T00:00:00Z"), None)),
            ),
            (PropertyKind::DateTime, "..", None),
            (PropertyKind::DateTime, "2024-01-02..2024-01-01", None),
            (PropertyKind::DateTime, "+12024-01-01T00:00:00Z", None),
            (PropertyKind::DateTime, "now", None),
            (PropertyKind::NumberList, "2.5", Some(FilterValue::Number(2.5))),
            (PropertyKind::NumberList, "NaN", None),
            (PropertyKind::NumberList, "1..2", None),
        ] {
            assert_eq!(value(&Property::new("p", kind, titles), text).ok(), expected, "{kind:?} {text}");
        }
    }

    #[test]
    fn orders() {
        let layer = declaration::find("turnover_parcels").expect("layer");
        let read = |text: &str| {
            sort_keys(text, layer)
                .map(|keys| keys.iter().map(|k| (k.property.name, k.descending)).collect::<Vec<_>>())
                .map_err(|e| e.code())
        };
        assert_eq!(read("-computed_area_mu, number"), Ok(vec![("computed_area_mu", true), ("number", false)]));
        assert_eq!(read("+state"), Ok(vec![("state", false)]));
        for bad in ["", "geom", "-", "state,state", "derived_sets", "inside_share", "id,number,name,state,county_code"]
        {
            assert_eq!(read(bad), Err("sortby_invalid"), "{bad}");
        }
    }

    #[test]
    fn areas() {
        let square = r#"{"type":"Polygon","coordinates":[[[112,28],[113,28],[113,29],[112,29],[112,28]]]}"#;
        assert_eq!(within(square).map(|a| a.0.len()).map_err(|e| e.code()), Ok(1));
        let long = format!("{{\"type\":\"Polygon\",\"coordinates\":[{}]}}", "[],".repeat(4_000));
        for bad in [
            "",
            "{}",
            r#"{"type":"Point","coordinates":[1,2]}"#,
            r#"{"type":"Polygon","coordinates":[]}"#,
            r#"{"type":"Polygon","coordinates":[[[112,28],[113,28],[113,29],[112,29]]]}"#,
            r#"{"type":"Polygon","coordinates":[[[112,28],[113,29],[113,28],[112,29],[112,28]]]}"#,
            r#"{"type":"Polygon","coordinates":[[[512,28],[113,28],[113,29],[512,28]]]}"#,
            r#"{"type":"MultiPolygon","coordinates":[]}"#,
            long.as_str(),
        ] {
            assert_eq!(within(bad).map(|_| ()).map_err(|e| e.code()), Err("within_invalid"), "{}", shorten(bad));
        }
    }
}
