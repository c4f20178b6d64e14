//! Days that are otherwise than their weekday; the operator's to add.

use chrono::NaiveDate;
use sqlx::PgConnection;

use crate::domain::boundary_change::CalendarDay;
use crate::error::Result;

/// All days from `from` to `until` (both included; `None` = without end), in order.
pub async fn list_days(
    connection: &mut PgConnection,
    from: Option<NaiveDate>,
    until: Option<NaiveDate>,
) -> Result<Vec<CalendarDay>> {
    let rows: Vec<(NaiveDate, bool, String, String)> = sqlx::query_as(
        "SELECT day, is_working, name, source FROM calendar_day
         WHERE ($1::date IS NULL OR day >= $1) AND ($2::date IS NULL OR day <= $2) ORDER BY day",
    )
    .bind(from)
    .bind(until)
    .fetch_all(connection)
    .await?;
    let day = |(day, is_working, name, source)| CalendarDay { day, is_working, name, source };
    Ok(rows.into_iter().map(day).collect())
}

/// Puts these days in the place of all days of the years that they are of; tells how many were taken away.
pub async fn replace_days(connection: &mut PgConnection, days: &[CalendarDay]) -> Result<u64> {
    let gone = sqlx::query(
        "DELETE FROM calendar_day WHERE extract(year FROM day) IN (SELECT extract(year FROM d) FROM unnest($1::date[]) AS d)",
    )
    .bind(days.iter().map(|d| d.day).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO calendar_day (day, is_working, name, source)
         SELECT * FROM unnest($1::date[], $2::boolean[], $3::text[], $4::text[])",
    )
    .bind(days.iter().map(|d| d.day).collect::<Vec<_>>())
    .bind(days.iter().map(|d| d.is_working).collect::<Vec<_>>())
    .bind(days.iter().map(|d| d.name.clone()).collect::<Vec<_>>())
    .bind(days.iter().map(|d| d.source.clone()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(gone.rows_affected())
}
