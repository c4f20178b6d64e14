//! Reports a park office files: asked, counted from one state of the register, given out as JSON, CSV or a workbook.

mod ask;
mod screening;
mod shape;
mod write;

use sqlx::{PgConnection, PgPool};

pub use self::ask::{Given, ask};
use self::shape::Names;
pub use self::write::{GivenOut, csv, document, file_name, log_download, workbook};
use crate::domain::access::Viewer;
use crate::domain::ledger::Ledger;
use crate::domain::report::{Quarter, Report, ReportKind, ReportQuery, ReportTable};
use crate::domain::{DivisionCode, ParkCode};
use crate::error::{Error, Result};
use crate::store::reports::{self as numbers, Frame, Grouped};

/// Makes the report for somebody: rows of their own jurisdiction alone.
pub async fn make(pool: &PgPool, viewer: &Viewer, query: &ReportQuery) -> Result<Report> {
    let county = match &query.county {
        Some(code) => Some(division(pool, code).await?),
        None => None,
    };
    if let Some(park) = &query.park
        && !numbers::has_park(pool, park).await?
    {
        return Err(Error::not_found("park_not_found", format!("名录中没有代码为 {park} 的园区")));
    }
    let (mut transaction, revision, day) = numbers::begin(pool, viewer, query.on, query.revision).await?;
    let frame = Frame {
        on: query.on,
        county: county.map(|code| code.prefix().to_owned()),
        park: query.park.as_ref().map(|park| park.as_str().to_owned()),
        period: period(query, day)?,
        limit: query.limit,
    };
    let tables = tables(&mut transaction, query, &frame).await?;
    transaction.commit().await?;
    Ok(Report {
        kind: query.kind,
        day,
        revision,
        filters: ask::filters(query, day),
        tables,
        notes: shape::notes(query.kind),
    })
}

async fn division(pool: &PgPool, code: &DivisionCode) -> Result<DivisionCode> {
    let found = numbers::find_division(pool, code).await?;
    let found = found.and_then(|code| DivisionCode::parse(&code).ok());
    found.ok_or_else(|| Error::invalid("division_unknown", format!("行政区划表中没有代码 {code}")))
}

/// The days of the year or the quarter that is asked for.
fn period(query: &ReportQuery, day: chrono::NaiveDate) -> Result<Option<(chrono::NaiveDate, chrono::NaiveDate)>> {
    let beyond = || Error::invalid("value_invalid", "所问的年份或季度超出范围");
    match query.kind {
        ReportKind::SupplyPlan => {
            let year = query.year.unwrap_or_else(|| chrono::Datelike::year(&day));
            let first = |year| chrono::NaiveDate::from_ymd_opt(year, 1, 1);
            Ok(Some(first(year).zip(first(year + 1)).ok_or_else(beyond)?))
        }
        ReportKind::QuarterlyChanges => {
            let quarter = query.quarter.or_else(|| Quarter::around(day)).ok_or_else(beyond)?;
            Ok(Some((quarter.first(), quarter.next())))
        }
        _ => Ok(None),
    }
}

/// The tables asked for, in their order; what is not asked for is not counted.
async fn tables(connection: &mut PgConnection, query: &ReportQuery, frame: &Frame) -> Result<Vec<ReportTable>> {
    if query.kind == ReportKind::LowEfficiencyScreening {
        // One pass over the ledger makes both.
        return screening::tables(connection, query, frame).await;
    }
    let mut made = Vec::new();
    for (id, title) in query.kind.tables() {
        if query.table.is_some_and(|wanted| wanted != *id) {
            continue;
        }
        let table = table(connection, query, frame, id).await?;
        made.push(ReportTable { id, title, ..table });
    }
    Ok(made)
}

async fn table(
    connection: &mut PgConnection,
    query: &ReportQuery,
    frame: &Frame,
    id: &'static str,
) -> Result<ReportTable> {
    let table = match (query.kind, id) {
        (ReportKind::TurnoverStock, _) => {
            let grouped = numbers::turnover_stock(connection, &query.by, frame).await?;
            let names = names(connection, query, &grouped).await?;
            shape::stock(&query.by, grouped, &names)
        }
        (ReportKind::LowEfficiencyProgress, _) => {
            let grouped = numbers::low_efficiency_progress(connection, &query.by, frame).await?;
            let names = names(connection, query, &grouped).await?;
            shape::progress(&query.by, grouped, &names)
        }
        (ReportKind::LowEfficiencyScreening, _) => {
            let detail = "低效用地认定比对的表应一次生成".to_owned();
            return Err(Error::Internal { detail, cause: None });
        }
        (ReportKind::ApprovedNotSupplied, _) => shape::years(numbers::approval_years(connection, frame).await?),
        (ReportKind::Idle, _) => {
            let (columns, labels) = shape::idle_columns();
            let listed = numbers::idle(connection, &shape::read_by(&columns), frame).await?;
            shape::list(columns, &labels, listed)
        }
        (ReportKind::SupplyPlan, "parks") => {
            let grouped = numbers::supply_plan(connection, frame).await?;
            let codes: Vec<String> = grouped.groups.iter().filter_map(|g| g.keys.first()?.clone()).collect();
            let names = Names { parks: numbers::park_names(connection, &codes).await?, ..Names::default() };
            shape::plan(grouped, &names)
        }
        (ReportKind::SupplyPlan, _) => {
            let (columns, labels) = shape::plan_columns();
            let listed = numbers::supply_plan_parcels(connection, &shape::read_by(&columns), frame).await?;
            shape::list(columns, &labels, listed)
        }
        (ReportKind::QuarterlyChanges, "summary") => {
            shape::changes_summary(query.ledger, numbers::changes_summary(connection, query.ledger, frame).await?)
        }
        (ReportKind::QuarterlyChanges, _) => {
            let (columns, labels) = shape::change_columns(query.ledger);
            let listed = numbers::changes(connection, query.ledger, &shape::read_by(&columns), frame).await?;
            shape::list(columns, &labels, listed)
        }
    };
    Ok(table)
}

/// Names of the divisions and parks that groups go by.
async fn names(connection: &mut PgConnection, query: &ReportQuery, grouped: &Grouped) -> Result<Names> {
    let mut codes: Vec<String> = grouped.groups.iter().flat_map(|g| g.keys.iter().flatten().cloned()).collect();
    codes.sort_unstable();
    codes.dedup();
    let ledger = if query.kind == ReportKind::LowEfficiencyProgress { Ledger::LowEfficiency } else { Ledger::Turnover };
    Ok(Names {
        divisions: numbers::division_names(connection, &codes).await?,
        parks: numbers::park_names(connection, &codes).await?,
        ledger: Some(ledger),
    })
}

/// A division or park as somebody writes it.
fn parse_park(text: &str) -> Result<ParkCode> {
    ParkCode::parse(text).map_err(|reason| Error::invalid("park_code_invalid", reason.to_string()))
}
