//! The calendar of working days: the operator loads each year's notice.

use chrono::NaiveDate;
use sqlx::PgPool;

use crate::domain::Finding;
use crate::domain::boundary_change::{CalendarDay, parse_calendar};
use crate::error::{Error, Result};
use crate::exchange::text_encoding;
use crate::store::{self, boundary_changes};

/// What came of loading.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub days: usize,
    /// Days of the same years that were taken away.
    pub replaced: u64,
    /// Faults by line; with any of them nothing is written.
    pub findings: Vec<Finding>,
}

/// Puts the days of the file (UTF-8 or GBK) in the place of all days of the years that it names. Notices that run keep the day that was reckoned when
/// they began.
pub async fn load(pool: &PgPool, file: &[u8], dry_run: bool) -> Result<Loaded> {
    let read = text_encoding::decode(file, None).map_err(|finding| vec![finding]);
    let days = match read.and_then(|decoded| parse_calendar(&decoded.text)) {
        Ok(days) => days,
        Err(findings) => return Ok(Loaded { days: 0, replaced: 0, findings }),
    };
    if days.is_empty() {
        return Err(Error::invalid("calendar_empty", "工作日历中没有日子，没有写入"));
    }
    let mut transaction = store::begin_write(pool).await?;
    let replaced = boundary_changes::replace_days(&mut transaction, &days).await?;
    if dry_run {
        transaction.rollback().await?;
    } else {
        transaction.commit().await?;
    }
    Ok(Loaded { days: days.len(), replaced, findings: Vec::new() })
}

/// Days that are otherwise than their weekday, of one year or of all.
pub async fn list(pool: &PgPool, year: Option<i32>) -> Result<Vec<CalendarDay>> {
    let day = |month, day| year.map(|year| NaiveDate::from_ymd_opt(year, month, day).ok_or_else(unknown)).transpose();
    let (from, until) = (day(1, 1)?, day(12, 31)?);
    boundary_changes::list_days(&mut *pool.acquire().await?, from, until).await
}

fn unknown() -> Error {
    Error::invalid("value_invalid", "--year 应为四位数的年份")
}
