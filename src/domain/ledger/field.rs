//! One field of a ledger: name, kind, titles; and how its values are written on paper.

use chrono::NaiveDate;

use crate::domain::area::ungrouped;
use crate::domain::layer::Titles;

/// A field of a ledger; `name` is the column, the JSON key and the canonical name of imports. Areas end in `_m2`, days in `_on`.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub kind: FieldKind,
    pub title: Titles,
    /// Unit of a number beyond areas: `万元`, `万元/公顷`, `%`.
    pub unit: Option<&'static str>,
    /// May be asked for by name.
    pub queryable: bool,
}

/// A field without a unit of its own.
pub(super) const fn f(name: &'static str, kind: FieldKind, zh: &'static str, en: &'static str) -> Field {
    Field { name, kind, title: Titles { zh, en }, unit: None, queryable: false }
}

/// A field that may be asked for.
pub(super) const fn q(name: &'static str, kind: FieldKind, zh: &'static str, en: &'static str) -> Field {
    Field { queryable: true, ..f(name, kind, zh, en) }
}

pub(super) const fn in_unit(field: Field, unit: &'static str) -> Field {
    Field { unit: Some(unit), ..field }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    Text,
    /// A text that is usually one of these; another is kept and told.
    Choice(&'static [&'static str]),
    /// A day without a time zone.
    Date,
    /// Square metres; papers say 亩 or 公顷.
    Area,
    /// A number that is not negative.
    Number,
    /// A year.
    Year,
    Boolean,
}

/// No number of a ledger is as large: neither yuan nor square metres. The register holds the same bound.
pub const TOO_MUCH: f64 = 1e15;

#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    Text(String),
    Date(NaiveDate),
    Number(f64),
    Integer(i32),
    Boolean(bool),
}

impl FieldKind {
    /// Reads a value as papers and spreadsheets write it; `Err` is what was expected, in Chinese. An area is read by the caller,
    /// who knows the unit.
    pub fn parse(self, text: &str) -> Result<FieldValue, String> {
        let plain = half_width(text);
        match self {
            FieldKind::Text | FieldKind::Choice(_) => Ok(FieldValue::Text(text.trim().to_owned())),
            FieldKind::Date => parse_date(&plain)
                .map(FieldValue::Date)
                .ok_or_else(|| "日期（年月日，如 2026-05-01、2026年5月1日、20260501）".to_owned()),
            FieldKind::Area | FieldKind::Number => parse_number(&plain)
                .filter(|n| *n >= 0.0 && *n < TOO_MUCH)
                .map(FieldValue::Number)
                .ok_or_else(|| "不小于 0 的数".to_owned()),
            FieldKind::Year => plain
                .trim_end_matches('年')
                .parse::<i32>()
                .ok()
                .filter(|year| (1949..=2200).contains(year))
                .map(FieldValue::Integer)
                .ok_or_else(|| "年份（四位数字）".to_owned()),
            FieldKind::Boolean => parse_boolean(&plain).map(FieldValue::Boolean).ok_or_else(|| "是或否".to_owned()),
        }
    }
}

/// Full-width to half-width, without blanks at the ends.
pub(super) fn half_width(text: &str) -> String {
    text.trim()
        .chars()
        .map(|c| match c {
            c @ '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
            c => c,
        })
        .collect()
}

fn parse_number(text: &str) -> Option<f64> {
    ungrouped(text)?.parse().ok().filter(|n: &f64| n.is_finite())
}

fn parse_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "是" | "有" | "已" | "true" | "t" | "y" | "yes" | "1" => Some(true),
        "否" | "无" | "未" | "false" | "f" | "n" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// A day as papers write it: 2026-05-01, 2026/5/1, 2026.5.1, 2026年5月1日, 20260501; a time behind it is left off.
pub fn parse_date(text: &str) -> Option<NaiveDate> {
    let text = half_width(text);
    // `2026-05-01 00:00:00`, `2026-05-01T00:00:00`: what databases make of a day.
    let day = text.split([' ', 'T']).next().unwrap_or_default();
    if day.len() == 8 && day.bytes().all(|b| b.is_ascii_digit()) {
        return date(day.get(..4)?, day.get(4..6)?, day.get(6..)?);
    }
    let unified: String = day
        .chars()
        .filter(|c| *c != '日')
        .map(|c| if matches!(c, '年' | '月' | '/' | '.') { '-' } else { c })
        .collect();
    let mut parts = unified.split('-');
    let found = date(parts.next()?, parts.next()?, parts.next()?);
    found.filter(|_| parts.next().is_none())
}

fn date(year: &str, month: &str, day: &str) -> Option<NaiveDate> {
    let digits = |text: &str, most: usize| {
        let fits = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| text.parse().ok()).flatten()
    };
    let year = digits(year, 4).filter(|year| *year >= 1900)?;
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, digits(month, 2)?, digits(day, 2)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_as_papers_write_them() {
        for (text, expected) in [
            ("2026-05-01", Some("2026-05-01")),
            ("2026/5/1", Some("2026-05-01")),
            ("2026.5.1", Some("2026-05-01")),
            ("2026年5月1日", Some("2026-05-01")),
            ("２０２６－０５－０１", Some("2026-05-01")),
            ("20260501", Some("2026-05-01")),
            ("2026-05-01 00:00:00", Some("2026-05-01")),
            ("2026-05-01T00:00:00Z", Some("2026-05-01")),
            ("2024-02-29", Some("2024-02-29")),
            ("2023-02-29", None),
            ("2026年5月", None),
            ("2026", None),
            ("45123", None),
            ("1-5-2026", None),
            ("2026-5-1-1", None),
            ("二〇二六年五月一日", None),
            ("", None),
        ] {
            assert_eq!(parse_date(text).map(|d| d.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn values_as_papers_write_them() {
        for (kind, text, expected) in [
            (FieldKind::Number, "1,206.5", Ok(FieldValue::Number(1206.5))),
            (FieldKind::Number, "1,5", Err("不小于 0 的数")),
            (FieldKind::Number, "－3", Err("不小于 0 的数")),
            (FieldKind::Number, "inf", Err("不小于 0 的数")),
            (FieldKind::Number, "NaN", Err("不小于 0 的数")),
            (FieldKind::Number, "12万", Err("不小于 0 的数")),
            (FieldKind::Year, "2024年", Ok(FieldValue::Integer(2024))),
            (FieldKind::Year, "24", Err("年份（四位数字）")),
            (FieldKind::Boolean, "是", Ok(FieldValue::Boolean(true))),
            (FieldKind::Boolean, "FALSE", Ok(FieldValue::Boolean(false))),
            (FieldKind::Boolean, "也许", Err("是或否")),
            (FieldKind::Text, "  出让 ", Ok(FieldValue::Text("出让".into()))),
        ] {
            assert_eq!(kind.parse(text), expected.map_err(str::to_owned), "{text}");
        }
    }
}
