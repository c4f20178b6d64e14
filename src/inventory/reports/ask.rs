//! What somebody asks of a report, from words to values; what was asked, told again.

use chrono::{Datelike, NaiveDate};

use super::parse_park;
use crate::domain::report::{Dimension, MAX_DIMENSIONS, MAX_ROWS, Quarter, ReportKind, ReportQuery, parse_year};
use crate::domain::{DivisionCode, Ledger};
use crate::error::{Error, Result};

/// The words of a question by their names; missing and blank ones are `None`.
pub type Given<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The typed question. `revision` is settled by the caller, who can ask the register.
pub fn ask(kind: ReportKind, given: Given<'_>, revision: Option<i64>, limit: Option<u32>) -> Result<ReportQuery> {
    Ok(ReportQuery {
        kind,
        county: given("county").map(|text| division(&text)).transpose()?,
        park: given("park").map(|text| parse_park(&text)).transpose()?,
        on: given("on").map(|text| day(&text)).transpose()?,
        revision,
        by: match given("by") {
            Some(text) => dimensions(kind, &text)?,
            None => default_dimensions(kind),
        },
        year: given("year")
            .map(|text| parse_year(&text).ok_or_else(|| wrong("year", "四位数的年份", &text)))
            .transpose()?,
        quarter: given("quarter")
            .map(|text| Quarter::parse(&text).ok_or_else(|| wrong("quarter", "年份和季度，例如 2026Q3", &text)))
            .transpose()?,
        ledger: given("ledger").map_or(Ok(Ledger::Turnover), |text| ledger(&text))?,
        limit: limit.unwrap_or(MAX_ROWS).clamp(1, MAX_ROWS),
        table: given("table").map(|text| table(kind, &text)).transpose()?,
    })
}

fn wrong(name: &str, rule: &str, text: &str) -> Error {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
    Error::invalid("value_invalid", format!("参数 {name} 应为{rule}，不是“{shown}”"))
}

/// A whole province needs no filter, and is none of a bureau's.
fn division(text: &str) -> Result<DivisionCode> {
    let code = DivisionCode::parse(text).ok().filter(|code| !code.is_province());
    code.ok_or_else(|| wrong("county", "县区或市州代码，例如 430121", text))
}

/// `YYYY-MM-DD` and nothing else.
fn day(text: &str) -> Result<NaiveDate> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    day.filter(|day| text.len() == 10 && day.year() > 0).ok_or_else(|| wrong("on", "日期（YYYY-MM-DD）", text))
}

fn ledger(text: &str) -> Result<Ledger> {
    match text {
        "turnover" => Ok(Ledger::Turnover),
        "low_efficiency" => Ok(Ledger::LowEfficiency),
        other => Err(wrong("ledger", "turnover 或 low_efficiency", other)),
    }
}

fn table(kind: ReportKind, text: &str) -> Result<&'static str> {
    let ids: Vec<&str> = kind.tables().iter().map(|(id, _)| *id).collect();
    let found = kind.tables().iter().find(|(id, _)| *id == text).map(|(id, _)| *id);
    found.ok_or_else(|| wrong("table", &format!(" {} 之一", ids.join("、")), text))
}

fn default_dimensions(kind: ReportKind) -> Vec<Dimension> {
    if kind.dimensions().is_empty() { Vec::new() } else { vec![Dimension::County, Dimension::State] }
}

fn dimensions(kind: ReportKind, text: &str) -> Result<Vec<Dimension>> {
    let known: Vec<&str> = kind.dimensions().iter().map(|d| d.as_str()).collect();
    let rule = format!("不多于 {MAX_DIMENSIONS} 个不重复的分组，用逗号隔开；可用：{}", known.join("、"));
    let mut list = Vec::new();
    for word in text.split(',') {
        let dimension = Dimension::parse(word.trim()).filter(|d| kind.dimensions().contains(d) && !list.contains(d));
        list.push(dimension.filter(|_| list.len() < MAX_DIMENSIONS).ok_or_else(|| wrong("by", &rule, text))?);
    }
    Ok(list)
}

/// Name, title and value of what decides the numbers, defaults too.
pub fn filters(query: &ReportQuery, today: NaiveDate) -> Vec<(&'static str, &'static str, String)> {
    let mut told = Vec::new();
    if let Some(code) = &query.county {
        told.push(("county", "县区或市州", code.as_str().to_owned()));
    }
    if let Some(code) = &query.park {
        told.push(("park", "园区", code.as_str().to_owned()));
    }
    if let Some(on) = query.on {
        told.push(("on", "统计日", on.to_string()));
    }
    if let Some(revision) = query.revision {
        told.push(("revision", "修订号", revision.to_string()));
    }
    if !query.by.is_empty() {
        told.push(("by", "分组", query.by.iter().map(|d| d.as_str()).collect::<Vec<_>>().join(",")));
    }
    match query.kind {
        ReportKind::SupplyPlan => {
            told.push(("year", "计划年份", query.year.unwrap_or_else(|| today.year()).to_string()))
        }
        ReportKind::LowEfficiencyScreening => {
            told.extend(query.year.map(|year| ("year", "标准年度", year.to_string())));
        }
        ReportKind::QuarterlyChanges => {
            let quarter = query.quarter.or_else(|| Quarter::around(today));
            told.extend(quarter.map(|quarter| ("quarter", "季度", quarter.to_string())));
            let word = if query.ledger == Ledger::LowEfficiency { "low_efficiency" } else { "turnover" };
            told.push(("ledger", "台账", word.to_owned()));
        }
        _ => {}
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kind: ReportKind, name: &'static str, value: &'static str) -> Result<ReportQuery> {
        ask(kind, &|wanted| (wanted == name).then(|| value.to_owned()), None, None)
    }

    #[test]
    fn groupings_are_few_known_and_different() {
        use Dimension::{County, LandUse, Park, State};
        let by = |kind, text| asked(kind, "by", text).map(|query| query.by).map_err(|error| error.code());
        let stock = ReportKind::TurnoverStock;
        assert_eq!(by(stock, "land_use, park,state"), Ok(vec![LandUse, Park, State]));
        assert_eq!(asked(stock, "", "").map(|q| q.by).ok(), Some(vec![County, State]));
        for bad in ["", "county,", "county,county", "county,park,state,stock", "colour", "County", "county;drop"] {
            assert_eq!(by(stock, bad), Err("value_invalid"), "{bad}");
        }
        assert_eq!(by(ReportKind::LowEfficiencyProgress, "stock"), Err("value_invalid"));
        assert_eq!(by(ReportKind::Idle, "county"), Err("value_invalid"));
    }

    #[test]
    fn values_out_of_form_are_refused() {
        for (name, bad) in [
            ("county", "430000"),
            ("county", "43"),
            ("on", "2026-1-1"),
            ("on", "2026-02-30"),
            ("on", "now"),
            ("year", "26"),
            ("year", "+202"),
            ("year", "1899"),
            ("quarter", "2026-Q3"),
            ("ledger", "plan"),
            ("table", "groups'"),
        ] {
            let code = asked(ReportKind::QuarterlyChanges, name, bad).err().map(|e| e.code());
            assert_eq!(code, Some("value_invalid"), "{name}={bad}");
        }
        assert_eq!(asked(ReportKind::Idle, "park", "X1").err().map(|e| e.code()), Some("park_code_invalid"));
    }
}
