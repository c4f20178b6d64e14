//! Working days (工作日): Monday to Friday, but for the days that the State Council's yearly notice sets otherwise.
//!
//! Those days are data: the register's table `calendar_day`, which the operator fills each year.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, Days, NaiveDate, Weekday};

use crate::domain::{Finding, Place};

/// 公示 5 个工作日, not counting the day of publication.
pub const NOTICE_WORKING_DAYS: u32 = 5;

/// A day that is otherwise than its weekday.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarDay {
    pub day: NaiveDate,
    /// true: a Saturday or Sunday worked (调休上班); false: a weekday off (放假).
    pub is_working: bool,
    pub name: String,
    /// The notice that says so.
    pub source: String,
}

/// Which days are worked.
#[derive(Debug, Clone, Default)]
pub struct Calendar {
    otherwise: BTreeMap<NaiveDate, bool>,
}

impl Calendar {
    pub fn new(days: impl IntoIterator<Item = (NaiveDate, bool)>) -> Self {
        Self { otherwise: days.into_iter().collect() }
    }

    pub fn is_working(&self, day: NaiveDate) -> bool {
        let by_weekday = !matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
        self.otherwise.get(&day).copied().unwrap_or(by_weekday)
    }

    /// Whether anything is known of this year; without it, weekends alone are left out.
    pub fn knows(&self, year: i32) -> bool {
        self.otherwise.keys().any(|day| day.year() == year)
    }

    /// The `count`-th working day after `day`, which is not counted itself; `None` beyond the calendar of dates.
    pub fn working_day_after(&self, day: NaiveDate, count: u32) -> Option<NaiveDate> {
        let (mut day, mut left) = (day, count);
        while left > 0 {
            day = day.checked_add_days(Days::new(1))?;
            left -= u32::from(self.is_working(day));
        }
        Some(day)
    }

    /// The last day of a notice that is published on `from`.
    pub fn notice_until(&self, from: NaiveDate) -> Option<NaiveDate> {
        self.working_day_after(from, NOTICE_WORKING_DAYS)
    }

    /// The years between that nothing is known of: a notice that runs through them may end too early.
    pub fn unknown_years(&self, from: NaiveDate, until: NaiveDate) -> BTreeSet<i32> {
        (from.year()..=until.year()).filter(|year| !self.knows(*year)).collect()
    }
}

/// Reads `day,is_working,name,source` lines with that heading; what is wrong is told by line.
pub fn parse_calendar(text: &str) -> Result<Vec<CalendarDay>, Vec<Finding>> {
    let (mut days, mut findings) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for (row, line) in (1..).zip(text.lines()) {
        let wrong = |field: &'static str, message: String| {
            Finding::error("calendar_row_invalid", Place::row(row).field(field), message)
        };
        if row == 1 {
            if line.trim() != "day,is_working,name,source" {
                findings.push(wrong("day", "第一行应为 day,is_working,name,source".to_owned()));
            }
            continue;
        }
        if line.trim().is_empty() {
            continue;
        }
        let cells: Vec<&str> = line.splitn(4, ',').map(str::trim).collect();
        let [day, is_working, name, source] = cells[..] else {
            findings.push(wrong("day", format!("第 {row} 行应有 4 列")));
            continue;
        };
        let Ok(day) = day.parse::<NaiveDate>() else {
            findings.push(wrong("day", format!("第 {row} 行的日期“{day}”应为 YYYY-MM-DD")));
            continue;
        };
        let is_working = match is_working {
            "true" | "1" => true,
            "false" | "0" => false,
            other => {
                findings.push(wrong("is_working", format!("第 {row} 行的 is_working“{other}”应为 true 或 false")));
                continue;
            }
        };
        // A row that says what the weekday says anyhow hides a slip of the pen.
        if is_working != matches!(day.weekday(), Weekday::Sat | Weekday::Sun) {
            let what = if is_working { "本来就是工作日" } else { "本来就是周末" };
            findings.push(wrong("is_working", format!("第 {row} 行：{day} {what}，不需要列出")));
        }
        if !seen.insert(day) {
            findings.push(wrong("day", format!("第 {row} 行：{day} 重复")));
        }
        if name.is_empty() || source.is_empty() {
            findings.push(wrong("name", format!("第 {row} 行缺少 name 或 source")));
        }
        days.push(CalendarDay { day, is_working, name: name.to_owned(), source: source.to_owned() });
    }
    if findings.is_empty() { Ok(days) } else { Err(findings) }
}
