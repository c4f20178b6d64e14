//! Query strings → typed values. Unknown, repeated and malformed parameters are named, never ignored.

use std::str::FromStr;

use actix_web::HttpRequest;
use actix_web::web::Query;
use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, TimeDelta, Utc};

use super::crs::{self, Boxes};
use super::{cursor, filter_params, filters};
use crate::domain::items_query::{self, After, Filter, ItemsQuery, Period, Shape};
use crate::domain::layer::{Layer, Property, PropertyKind};
use crate::error::{Error, Result};
use crate::geometry::crs::Crs;

/// The parameters of one request, each name at most once.
#[derive(Debug)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// No parameter at all.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Reads the query string; every name must be `allowed` or pass `also`, and may come once.
    pub fn read(request: &HttpRequest, allowed: &[&str], also: impl Fn(&str) -> bool) -> Result<Self> {
        Self::of_pairs(pairs(request)?, |name| allowed.contains(&name) || also(name), allowed, &[])
    }

    /// [`Params::read`] where some parameters are `lists`: these may come again, which adds to the list.
    pub fn read_with_lists(request: &HttpRequest, allowed: &[&str], lists: &[&str]) -> Result<Self> {
        Self::of_pairs(pairs(request)?, |name| allowed.contains(&name), allowed, lists)
    }

    /// The same of pairs that came another way.
    fn of_pairs(
        pairs: Vec<(String, String)>,
        known: impl Fn(&str) -> bool,
        allowed: &[&str],
        lists: &[&str],
    ) -> Result<Self> {
        let mut params = Self(Vec::new());
        for (name, value) in pairs {
            if !known(&name) {
                let may = if allowed.is_empty() {
                    "此地址没有参数".to_owned()
                } else {
                    format!("可用的参数：{}", allowed.join("、"))
                };
                let detail = format!("不认识参数“{}”；{may}", shorten(&name));
                return Err(Error::invalid("parameter_unknown", detail));
            }
            params.add(&name, &value, lists.contains(&name.as_str()))?;
        }
        Ok(params)
    }

    /// Adds a parameter of a known name, also one that came another way than the query string. A list grows by commas;
    /// anything else may come once.
    pub fn add(&mut self, name: &str, value: &str, is_list: bool) -> Result<()> {
        if value.contains('\0') {
            return Err(Error::invalid("value_invalid", format!("参数“{name}”含有不允许的字符")));
        }
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, held)) if is_list => {
                held.push(',');
                held.push_str(value);
            }
            Some(_) => return Err(Error::invalid("parameter_repeated", format!("参数“{name}”重复"))),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The value, or `None` where it is missing or blank.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned)
    }

    /// A boolean parameter; missing means false.
    pub fn flag(&self, name: &str) -> Result<bool> {
        match self.get(name) {
            None => Ok(false),
            Some("true" | "1" | "") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(Error::invalid(
                "value_invalid",
                format!("参数 {name} 应为 true 或 false，不是“{}”", shorten(other)),
            )),
        }
    }

    /// All parameters again, without the named ones: for links.
    pub fn without(&self, dropped: &[&str]) -> Vec<(String, String)> {
        self.0.iter().filter(|(n, _)| !dropped.contains(&n.as_str())).cloned().collect()
    }

    /// All parameters again, with this one set to this value: for links.
    pub fn with(&self, name: &str, value: &str) -> Vec<(String, String)> {
        let mut pairs = self.without(&[name]);
        pairs.push((name.to_owned(), value.to_owned()));
        pairs
    }

    /// `limit`: at least 1; more than the largest page is answered with the largest page (OGC 17-069r4,
    /// /req/core/limit-response).
    pub fn limit(&self, default: u32) -> Result<u32> {
        let Some(text) = self.get("limit") else { return Ok(default) };
        let invalid = || Error::invalid("limit_invalid", format!("limit 应为不小于 1 的整数，不是“{}”", shorten(text)));
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        match text.parse::<u32>().unwrap_or(u32::MAX) {
            0 => Err(invalid()),
            n => Ok(n.min(items_query::MAX_LIMIT)),
        }
    }

    /// `limit` of a download: any number from 1; all where it is not given.
    pub fn export_limit(&self) -> Result<Option<u64>> {
        // Checks the form, and clamps what a page has.
        self.limit(1)?;
        Ok(self.get("limit").map(|text| text.parse().unwrap_or(u64::MAX)))
    }

    /// `offset`: 0 to the bound.
    pub fn offset(&self) -> Result<u32> {
        let Some(text) = self.get("offset") else { return Ok(0) };
        let digits = Some(text).filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|t| t.parse().ok()).filter(|n| *n <= items_query::MAX_OFFSET).ok_or_else(|| {
            Error::invalid(
                "offset_invalid",
                format!(
                    "offset 应为 0 到 {} 的整数，不是“{}”；更远请用 next 链接",
                    items_query::MAX_OFFSET,
                    shorten(text)
                ),
            )
        })
    }
}

fn pairs(request: &HttpRequest) -> Result<Vec<(String, String)>> {
    let invalid = || Error::invalid("query_invalid", "查询字符串不是 UTF-8 的百分号编码；中文请按 UTF-8 编码后发送");
    // Read loosely, text in GBK would become other text, find nothing and look like an empty answer.
    if !is_percent_encoded_utf8(request.query_string()) {
        return Err(invalid());
    }
    let read = Query::<Vec<(String, String)>>::from_query(request.query_string());
    Ok(read.map_err(|_| invalid())?.into_inner())
}

/// True where every `%` has its two digits, and the bytes that come out are UTF-8.
fn is_percent_encoded_utf8(text: &str) -> bool {
    if !text.contains('%') {
        return true;
    }
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(byte) = digits.and_then(|d| u8::from_str_radix(d, 16).ok()) else { return false };
        bytes.push(byte);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    std::str::from_utf8(&bytes).is_ok()
}

/// A number of an address or a parameter: digits alone, from 1.
pub fn positive<N: FromStr + PartialOrd + From<u8>>(text: &str) -> Option<N> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|n| *n >= N::from(1))
}

/// The system of an upload's coordinates.
pub fn parse_crs(text: &str) -> Result<Crs> {
    Crs::parse(text).ok_or_else(|| {
        let detail = format!("不认识坐标系“{}”；请写 EPSG 代码，例如 EPSG:4490、EPSG:4526", shorten(text));
        Error::invalid("crs_unknown", detail)
    })
}

/// The start of a client's text, for quoting it back.
pub fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Parameters that choose features, besides the layer's own properties: of items, facets and downloads.
pub const QUESTION_PARAMS: [&str; 10] =
    ["bbox", "bbox-crs", "datetime", "revision", "q", "division", "within", "filter", "filter-lang", "filter-crs"];

/// Parameters of a page of items.
pub const PAGE_PARAMS: [&str; 5] = ["sortby", "limit", "offset", "cursor", "f"];

/// Parameters of a download, besides those of `…/items`.
pub const EXPORT_PARAMS: [&str; 4] = ["encoding", "crs", "headings", "geometry"];

/// The property that this parameter asks for. What every layer is asked by goes first: a column of an operator's table may be called
/// `limit`.
pub fn parameter_of(layer: &Layer, name: &str) -> Option<&'static Property> {
    let is_taken =
        [&QUESTION_PARAMS[..], &PAGE_PARAMS, &EXPORT_PARAMS, &RESERVED_PARAMS].iter().any(|p| p.contains(&name));
    layer.askable(name).filter(|_| !is_taken)
}

/// Parameters of facets, and of the options of items.
const RESERVED_PARAMS: [&str; 7] =
    ["properties", "exclude-properties", "skipGeometry", "zoom-level", "max-allowable-offset", "collections", "since"];

/// What is asked of the register's past cannot be asked of a table that has none.
pub fn refuse_time(params: &Params, layer: &Layer) -> Result<()> {
    match ["datetime", "revision"].iter().find(|name| params.get(name).is_some()) {
        Some(name) if !layer.has_past() => {
            let detail = format!("图层“{}”来自附加的数据表，没有历史，不能用参数 {name}", layer.title.zh);
            Err(Error::invalid("option_not_possible", detail))
        }
        _ => Ok(()),
    }
}

/// The question of these parameters of `…/items`, given another way than by a query string.
pub fn query_of_pairs(pairs: Vec<(String, String)>, layer: &Layer) -> Result<ItemsQuery> {
    let allowed: Vec<&str> = QUESTION_PARAMS.into_iter().filter(|name| *name != "revision").collect();
    let params =
        Params::of_pairs(pairs, |name| allowed.contains(&name) || parameter_of(layer, name).is_some(), &allowed, &[])?;
    items_query(&params, layer)
}

/// The typed question to a layer.
pub fn items_query(params: &Params, layer: &Layer) -> Result<ItemsQuery> {
    refuse_time(params, layer)?;
    let sort = params.get("sortby").map(|text| filters::sort_keys(text, layer)).transpose()?.unwrap_or_default();
    let after = params.get("cursor").map(|text| cursor::parse(text, params.get("sortby"))).transpose()?;
    let fits = |after: &After| {
        let mut pairs = after.keys.iter().zip(&sort);
        after.keys.len() == sort.len()
            && pairs.all(|(text, key)| text.as_ref().is_none_or(|text| is_of_kind(text, key.property.kind)))
    };
    if after.as_ref().is_some_and(|after| !fits(after)) {
        return Err(cursor::not_of_this_order());
    }
    let bbox_crs = crs::of_input(params, "bbox-crs")?;
    let (boxes, plane_box) = match params.get("bbox").map(|text| crs::parse_bbox(text, bbox_crs)).transpose()? {
        Some(Boxes::Plane(area)) => (Vec::new(), Some(area)),
        Some(Boxes::Degrees(boxes)) => (boxes, None),
        None => (Vec::new(), None),
    };
    let mut query = ItemsQuery {
        boxes,
        plane_box,
        period: period(params)?,
        // A number is settled where the register can be asked.
        revision: None,
        filters: Vec::new(),
        filter: None,
        search: params.text("q").map(|text| filters::search(&text)).transpose()?,
        division: params.text("division").map(|text| filters::division(&text, layer)).transpose()?,
        within: params.get("within").map(filters::within).transpose()?,
        sort,
        limit: params.limit(items_query::DEFAULT_LIMIT)?,
        offset: params.offset()?,
        after,
        // Downloads have their own, by their formats.
        shape: Shape::default(),
    };
    for (name, value) in &params.0 {
        if let Some(property) = parameter_of(layer, name) {
            query.filters.push(Filter { property, value: filters::value(property, value)? });
        }
    }
    filter_params::add(params, layer, &mut query)?;
    Ok(query)
}

/// `datetime`: when it applied.
pub fn period(params: &Params) -> Result<Option<Period>> {
    params.get("datetime").map(parse_datetime).transpose()
}

/// An instant, or `from/to` with `..` or nothing for an open end (but not two).
fn parse_datetime(text: &str) -> Result<Period> {
    let invalid = |why: &str| Error::invalid("datetime_invalid", format!("datetime“{}”不合规则：{why}", shorten(text)));
    let rule = "应为 RFC 3339 日期或时间，或用“/”隔开的起止，开放端写“..”";
    let instant = |text: &str| parse_instant(text).ok_or_else(|| invalid(rule));
    let Some((from, to)) = text.split_once('/') else {
        let day = instant(text)?;
        return Ok((Some(day), Some(day)));
    };
    let end = |text: &str| if matches!(text, "" | "..") { Ok(None) } else { instant(text).map(Some) };
    let (from, to) = (end(from)?, end(to)?);
    match (from, to) {
        (None, None) => Err(invalid("起止不能都是开放的")),
        (Some(from), Some(to)) if from > to => Err(invalid("起始晚于终止")),
        period => Ok(period),
    }
}

/// `YYYY-MM-DD` and nothing else.
pub fn parse_day(text: &str) -> Option<NaiveDate> {
    // `%Y` also takes signs and more digits.
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|day| text.len() == 10 && day.year() > 0)
}

/// A moment as RFC 3339 or the database writes it (a blank for `T`, an offset of hours alone).
pub fn parse_moment(text: &str) -> Option<DateTime<Utc>> {
    let moment =
        DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"));
    // Four digits of a year: the database reads no others.
    moment.ok().map(|moment| moment.to_utc()).filter(|moment| (1..=9999).contains(&moment.year()))
}

/// A day, or a moment taken as the day it is in China (UTC+8): the register's dates have no time zone.
fn parse_instant(text: &str) -> Option<NaiveDate> {
    if let Some(day) = parse_day(text) {
        return Some(day);
    }
    // A `+` of the offset arrives as a blank when it was not encoded.
    let moment = DateTime::parse_from_rfc3339(&text.replace(' ', "+")).ok()?;
    let china = FixedOffset::east_opt(8 * 3600)?;
    // At the very ends of the calendar the shift would overflow.
    moment.naive_utc().checked_add_signed(TimeDelta::hours(8))?;
    // The shift may leave the four digits of a year that the database reads.
    Some(moment.with_timezone(&china).date_naive()).filter(|day| (1..=9999).contains(&day.year()))
}

/// Whether the database can read the value of a sort key back: a cursor is opaque, not unforgeable.
fn is_of_kind(text: &str, kind: PropertyKind) -> bool {
    match kind {
        PropertyKind::Text | PropertyKind::TextList | PropertyKind::NumberList => true,
        PropertyKind::DateTime => parse_moment(text).is_some(),
        PropertyKind::Number => text.len() <= 40 && text.parse::<f64>().is_ok_and(f64::is_finite),
        PropertyKind::Integer => text.parse::<i64>().is_ok(),
        PropertyKind::Boolean => matches!(text, "true" | "false"),
        PropertyKind::Date => matches!(text, "infinity" | "-infinity") || parse_day(text).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn names_come_once_and_lists_grow() {
        let read = |uri: &str| {
            Params::read_with_lists(&TestRequest::with_uri(uri).to_http_request(), &["a", "list"], &["list"])
        };
        let params = read("/?list=x&a=1&list=y").expect("known names");
        assert_eq!((params.get("a"), params.get("list")), (Some("1"), Some("x,y")));
        for (uri, code) in
            [("/?a=1&a=2", "parameter_repeated"), ("/?b=1", "parameter_unknown"), ("/?a=%00", "value_invalid")]
        {
            assert_eq!(read(uri).err().map(|e| e.code()), Some(code), "{uri}");
        }
    }

    fn day(text: &str) -> Option<NaiveDate> {
        text.parse().ok()
    }

    #[test]
    fn instants_and_intervals() {
        for (text, expected) in [
            ("2019-12-31", (day("2019-12-31"), day("2019-12-31"))),
            ("2019-12-31T16:00:00Z", (day("2020-01-01"), day("2020-01-01"))),
            ("2019-12-31T15:59:59Z", (day("2019-12-31"), day("2019-12-31"))),
            ("2019-12-31T23:00:00 08:00", (day("2019-12-31"), day("2019-12-31"))),
            ("2019-01-01/2019-12-31", (day("2019-01-01"), day("2019-12-31"))),
            ("2019-01-01/..", (day("2019-01-01"), None)),
            ("/2019-12-31", (None, day("2019-12-31"))),
        ] {
            assert_eq!(parse_datetime(text).ok(), Some(expected), "{text}");
        }
        for bad in [
            "",
            "..",
            "../..",
            "/",
            "2019",
            "2019-13-01",
            "2019-02-30",
            "2020-01-01/2019-01-01",
            "now",
            "a/b/c",
            "+12019-01-01",
        ] {
            assert_eq!(parse_datetime(bad).err().map(|e| e.code()), Some("datetime_invalid"), "{bad}");
        }
    }

    #[test]
    fn query_strings_are_utf_8() {
        for (text, expected) in [
            ("", true),
            ("q=a+b&c", true),
            ("q=%E9%95%BF%e6%b2%99", true),
            ("q=长沙", true),
            ("q=%B3%A4%C9%B3", false),
            ("q=%ED%A0%80", false),
            ("q=%", false),
            ("q=%4", false),
            ("q=%zz", false),
            ("q=%+1", false),
            ("q=%长", false),
        ] {
            assert_eq!(is_percent_encoded_utf8(text), expected, "{text}");
        }
    }
}
