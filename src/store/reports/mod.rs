//! Numbers of reports: grouped counts and bounded lists over the ledgers, as of a day and a revision, one statement each.
//!
//! SQL is put together from names of these files alone; every value of a request is bound. Areas are added as exact decimals, so that
//! groups add up to the total whatever order they were read in. Tables are named without a schema: `turn_back` says which past they mean.

mod changes;
mod low_efficiency;
mod screening;
mod turnover;

use std::collections::HashMap;
use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Row, Transaction};

use super::as_of;
use super::pool::begin_read_as;
use crate::domain::access::Viewer;
use crate::domain::export::Cell;
use crate::domain::layer::PropertyKind;
use crate::domain::ledger::Machine;
use crate::domain::report::{Counted, ReportColumn};
use crate::domain::{DivisionCode, ParkCode};
use crate::error::Result;

pub use changes::{changes, changes_summary};
pub use low_efficiency::low_efficiency_progress;
pub use screening::{Numbered, ScreenedParcel, numbers_of, screen, screening_keys};
pub use turnover::{approval_years, idle, supply_plan, supply_plan_parcels, turnover_stock};

/// How long one statement of a report may take: it may read a whole ledger, where a page may not.
const STATEMENT: &str = "25s";

/// Of which rows a report tells.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// The day whose state is asked for; `None` = as it stands.
    pub on: Option<NaiveDate>,
    /// Significant digits of a division.
    pub county: Option<String>,
    pub park: Option<String>,
    /// From the first day to the one after the last.
    pub period: Option<(NaiveDate, NaiveDate)>,
    /// Rows at most.
    pub limit: u32,
}

/// One group: its keys in the order that was asked for, and what was counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub keys: Vec<Option<String>>,
    pub counted: Vec<Counted>,
    /// Different parcels, where one may stand in a group several times; else 0.
    pub distinct: i64,
}

/// All groups up to the limit, and the same of all rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Grouped {
    pub groups: Vec<Group>,
    pub total: Group,
    /// Groups in all.
    pub matched: u64,
}

/// Rows up to the limit, and count and area of all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    pub rows: Vec<Vec<Cell>>,
    pub total: Counted,
}

/// What is grouped.
struct Source {
    /// Behind FROM; `r` is the parcel.
    from: String,
    conditions: String,
    keys: Vec<Key>,
    /// A condition for each thing that is counted.
    measures: Vec<&'static str>,
    /// Count different parcels too.
    distinct: bool,
}

/// An expression that groups, and the order of its values where it is not their own.
struct Key {
    expression: &'static str,
    order: Option<Vec<&'static str>>,
}

impl Key {
    fn plain(expression: &'static str) -> Self {
        Self { expression, order: None }
    }

    fn state(expression: &'static str, machine: &Machine) -> Self {
        Self { expression, order: Some(machine.states.iter().map(|state| state.code).collect()) }
    }
}

/// A transaction that reads the state asked for; the revision, and the day that timers go by.
pub async fn begin(
    pool: &PgPool,
    viewer: &Viewer,
    on: Option<NaiveDate>,
    revision: Option<i64>,
) -> Result<(Transaction<'static, Postgres>, i64, NaiveDate)> {
    let mut transaction = begin_read_as(pool, viewer).await?;
    sqlx::query("SELECT set_config('statement_timeout', $1, true)").bind(STATEMENT).execute(&mut *transaction).await?;
    let read = as_of::turn_back(&mut transaction, revision).await?;
    as_of::look_back(&mut transaction, revision, on.map(|day| (Some(day), Some(day)))).await?;
    let day = sqlx::query_scalar("SELECT timer_day()").fetch_one(&mut *transaction).await?;
    Ok((transaction, read, day))
}

/// The division that a code means, which may be a superseded one; `None` where there is none.
pub async fn find_division(pool: &PgPool, code: &DivisionCode) -> Result<Option<String>> {
    let found = sqlx::query_scalar("SELECT coalesce(maps_to, code) FROM division WHERE code = $1");
    Ok(found.bind(code.as_str()).fetch_optional(pool).await?)
}

/// Whether the directory has this park.
pub async fn has_park(pool: &PgPool, code: &ParkCode) -> Result<bool> {
    let found = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM park WHERE code = $1)");
    Ok(found.bind(code.as_str()).fetch_one(pool).await?)
}

/// Names of divisions by their codes.
pub async fn division_names(connection: &mut PgConnection, codes: &[String]) -> Result<HashMap<String, String>> {
    let found = sqlx::query_as("SELECT code, name FROM division WHERE code = ANY($1)");
    Ok(found.bind(codes).fetch_all(connection).await?.into_iter().collect())
}

/// Names of parks by their codes.
pub async fn park_names(connection: &mut PgConnection, codes: &[String]) -> Result<HashMap<String, String>> {
    let found = sqlx::query_as("SELECT code, name FROM park WHERE code = ANY($1)");
    Ok(found.bind(codes).fetch_all(connection).await?.into_iter().collect())
}

/// That a row of this table stands on the day; $1.
fn stands(frame: &Frame, table: &str) -> String {
    match frame.on {
        Some(_) => format!("{table}.valid_from <= $1::date AND {table}.valid_to > $1::date"),
        None => format!("$1::date IS NULL AND {table}.valid_to = 'infinity'"),
    }
}

/// That a row lies where it was asked for; $2 and $3.
fn lies(frame: &Frame) -> String {
    let county = if frame.county.is_some() { "r.county_code ^@ $2::text" } else { "$2::text IS NULL" };
    let park = if frame.park.is_some() { "r.park_code = $3::text" } else { "$3::text IS NULL" };
    format!("{county} AND {park}")
}

/// [`stands`] and [`lies`], of a parcel.
fn in_frame(frame: &Frame) -> String {
    format!("{} AND {}", stands(frame, "r"), lies(frame))
}

fn bind<'q>(sql: String, frame: &Frame, limit: u32) -> Query<'q, Postgres, PgArguments> {
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(frame.on)
        .bind(frame.county.clone())
        .bind(frame.park.clone())
        .bind(i64::from(limit));
    match frame.period {
        Some((first, next)) => query.bind(first).bind(next),
        None => query,
    }
}

/// Groups and total by one pass over the rows.
async fn group(connection: &mut PgConnection, source: &Source, frame: &Frame) -> Result<Grouped> {
    // One more for the total, which comes first.
    let rows = bind(grouping_sql(source), frame, frame.limit.saturating_add(1)).fetch_all(&mut *connection).await?;
    let nothing = Group {
        keys: vec![None; source.keys.len()],
        counted: vec![Counted::default(); source.measures.len()],
        distinct: 0,
    };
    let mut grouped = Grouped { groups: Vec::with_capacity(rows.len()), total: nothing, matched: 0 };
    for row in &rows {
        let group = read_group(row)?;
        if row.try_get("is_total")? {
            grouped.total = group;
            let matched: i64 = row.try_get("rows")?;
            grouped.matched = u64::try_from(matched - 1).unwrap_or(0);
        } else {
            grouped.groups.push(group);
        }
    }
    Ok(grouped)
}

fn read_group(row: &PgRow) -> Result<Group> {
    let counts: Vec<i64> = row.try_get("counts")?;
    let areas: Vec<f64> = row.try_get("areas")?;
    let counted = counts.into_iter().zip(areas).map(|(parcels, area_m2)| Counted { parcels, area_m2 }).collect();
    Ok(Group { keys: row.try_get("keys")?, counted, distinct: row.try_get("different")? })
}

fn grouping_sql(source: &Source) -> String {
    let mut inner = String::new();
    for (at, key) in source.keys.iter().enumerate() {
        let _ = write!(inner, "({})::text AS k{at}, ", key.expression);
    }
    for (at, condition) in source.measures.iter().enumerate() {
        let _ = write!(inner, "({condition}) AS m{at}, ");
    }
    let numbered = |letter: char, count: usize| (0..count).map(|at| format!("{letter}{at}")).collect::<Vec<_>>();
    let (keys, measures) = (numbered('k', source.keys.len()), numbered('m', source.measures.len()));
    let counts: Vec<String> = measures.iter().map(|m| format!("count(*) FILTER (WHERE {m})")).collect();
    let areas: Vec<String> =
        measures.iter().map(|m| format!("coalesce(sum(area) FILTER (WHERE {m}), 0)::float8")).collect();
    let order = source.keys.iter().zip(&keys).map(|(key, name)| match &key.order {
        Some(words) => format!("array_position(ARRAY['{}']::text[], {name}) NULLS LAST", words.join("', '")),
        None => format!("{name} COLLATE \"C\" NULLS LAST"),
    });
    let order: Vec<String> = order.collect();
    let keys = keys.join(", ");
    format!(
        "SELECT grouping(k0) = 1 AS is_total, count(*) OVER () AS rows, ARRAY[{keys}] AS keys, ARRAY[{}] AS counts,
                ARRAY[{}] AS areas, {} AS different
         FROM (SELECT {inner} r.id, r.area_m2::text::numeric AS area FROM {} WHERE {}) parcel
         GROUP BY GROUPING SETS (({keys}), ()) ORDER BY grouping(k0) DESC, {} LIMIT $4",
        counts.join(", "),
        areas.join(", "),
        if source.distinct { "count(DISTINCT id)" } else { "0::bigint" },
        source.from,
        source.conditions,
        order.join(", ")
    )
}

/// A list with count and area of all rows beside each; `select` gives a column for each of `columns` that is no label, and `area_m2`.
async fn list(
    connection: &mut PgConnection,
    select: &str,
    order: &str,
    columns: &[ReportColumn],
    frame: &Frame,
) -> Result<Listed> {
    let sql = format!(
        "SELECT x.*, count(*) OVER () AS all_rows, (sum(x.area_m2::text::numeric) OVER ())::float8 AS all_m2
         FROM ({select}) x ORDER BY {order} LIMIT $4"
    );
    let rows = bind(sql, frame, frame.limit).fetch_all(connection).await?;
    let total = match rows.first() {
        Some(row) => Counted { parcels: row.try_get("all_rows")?, area_m2: row.try_get("all_m2")? },
        None => Counted::default(),
    };
    let rows: Result<Vec<Vec<Cell>>> =
        rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()).collect();
    Ok(Listed { rows: rows?, total })
}

fn cell(row: &PgRow, column: &ReportColumn) -> Result<Cell> {
    let name = column.name.as_str();
    Ok(match column.kind {
        PropertyKind::Text | PropertyKind::TextList => {
            row.try_get::<Option<String>, _>(name)?.map(Cell::Text)
        }
        PropertyKind::Number => row.try_get::<Option<f64>, _>(name)?.map(Cell::Number),
        PropertyKind::Integer => row.try_get::<Option<i64>, _>(name)?.map(Cell::Integer),
        PropertyKind::Boolean => row.try_get::<Option<bool>, _>(name)?.map(Cell::Boolean),
        PropertyKind::Date => row.try_get::<Option<NaiveDate>, _>(name)?.map(Cell::Date),
        PropertyKind::DateTime => row.try_get::<Option<DateTime<Utc>>, _>(name)?.map(Cell::DateTime),
        // (No report has lists of numbers.)
        PropertyKind::NumberList => None,
    }
    .unwrap_or(Cell::Missing))
}
