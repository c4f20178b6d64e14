//! Literals that both encodings share: days, moments, rings.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use geo::{Coord, LineString, Polygon};

use super::tokens::short;
use super::{Fault, Parsed};
use crate::domain::filter::{At, End, Expression, Node};

fn day_of(text: &str) -> Option<NaiveDate> {
    // `%Y` also takes signs and more digits.
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|day| text.len() == 10 && day.year() > 0)
}

fn moment_of(text: &str) -> Option<DateTime<Utc>> {
    let moment = DateTime::parse_from_rfc3339(text).ok()?;
    // The shift to UTC may leave the calendar, or the four digits of a year.
    let moment = DateTime::<Utc>::from_timestamp(moment.timestamp(), moment.timestamp_subsec_nanos())?;
    Some(moment).filter(|moment| (1..=9999).contains(&moment.year()))
}

pub fn date(at: At, text: &str) -> Parsed<Node<String>> {
    day_of(text).map(Node::Date).ok_or_else(|| Fault::new(at, format!("日期应为 YYYY-MM-DD，不是“{}”", short(text))))
}

pub fn timestamp(at: At, text: &str) -> Parsed<Node<String>> {
    moment_of(text)
        .map(Node::Timestamp)
        .ok_or_else(|| Fault::new(at, format!("时刻应为 RFC 3339，例如 2024-05-01T08:00:00Z，不是“{}”", short(text))))
}

/// An end of an interval that is written as a text.
pub fn end_of_text(at: At, text: &str) -> Parsed<End<String>> {
    if text == ".." {
        return Ok(End::Open);
    }
    let node = day_of(text).map(Node::Date).or_else(|| moment_of(text).map(Node::Timestamp));
    node.map(|node| End::At(Expression::new(at, node)))
        .ok_or_else(|| Fault::new(at, format!("时段的一端应为日期、RFC 3339 时刻、属性或 '..'，不是“{}”", short(text))))
}

pub fn line(at: At, points: Vec<Coord<f64>>) -> Parsed<LineString<f64>> {
    if points.len() < 2 { Err(Fault::new(at, "线至少有两个点")) } else { Ok(LineString(points)) }
}

/// Rings that are closed by themselves: `geo` would close the others in silence.
pub fn polygon(at: At, rings: Vec<Vec<Coord<f64>>>) -> Parsed<Polygon<f64>> {
    for ring in &rings {
        if ring.len() < 4 || ring.first() != ring.last() {
            return Err(Fault::new(at, "面的环至少有四个点，首尾相同"));
        }
    }
    let mut rings = rings.into_iter().map(LineString);
    let exterior = rings.next().ok_or_else(|| Fault::new(at, "面没有环"))?;
    Ok(Polygon::new(exterior, rings.collect()))
}

/// 4 numbers, or 6 with heights that are set aside.
pub fn bbox(at: At, numbers: &[f64]) -> Parsed<[f64; 4]> {
    match numbers {
        [a, b, c, d] | [a, b, _, c, d, _] => Ok([*a, *b, *c, *d]),
        _ => Err(Fault::new(at, "BBOX 应有 4 个数，或带高度的 6 个数")),
    }
}
