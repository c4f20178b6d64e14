//! Redevelopment plans (再开发方案) and their steps.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres};

use super::stage::fill_field;
use crate::domain::Ledger;
use crate::domain::ledger::{FieldKind, FieldValue};
use crate::error::Result;
use crate::store::as_of;
use crate::store::copy::copy_in;

/// A plan as a client or a file brings it; a new one is being drafted.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRecord {
    pub id: String,
    pub county: String,
    pub number: String,
    pub name: Option<String>,
    pub parcel: String,
    pub fields: BTreeMap<&'static str, FieldValue>,
    pub source: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StepRecord {
    pub task: String,
    pub due_on: Option<NaiveDate>,
    pub done_on: Option<NaiveDate>,
    pub note: Option<String>,
}

/// Inserts the plan, or changes the fields `given` of the one that stands. Needs an open revision.
pub async fn upsert_plan(
    connection: &mut PgConnection,
    plan: &PlanRecord,
    given: &[&str],
    from: Option<NaiveDate>,
) -> Result<()> {
    let fields: Vec<_> = Ledger::Plan.fields().iter().filter(|f| given.contains(&f.name)).collect();
    // $1 id, $2 name, then the fields.
    let sets: Vec<String> = fields.iter().enumerate().map(|(at, f)| format!("{} = ${}", f.name, at + 3)).collect();
    let update = format!(
        "UPDATE redevelopment_plan SET revision = (SELECT current_revision()), name = $2{}{} WHERE id = $1 AND valid_to = 'infinity'",
        if sets.is_empty() { "" } else { ", " },
        sets.join(", ")
    );
    let bound = |sql: String| {
        let query = sqlx::query(AssertSqlSafe(sql)).bind(plan.id.clone()).bind(plan.name.clone());
        fields.iter().fold(query, |query, field| bind(query, field.kind, plan.fields.get(field.name)))
    };
    if bound(update).execute(&mut *connection).await?.rows_affected() > 0 {
        return Ok(());
    }
    let n = fields.len() + 3;
    let names: String = fields.iter().map(|f| format!(", {}", f.name)).collect();
    let values: String = (3..n).map(|at| format!(", ${at}")).collect();
    let insert = format!(
        "INSERT INTO redevelopment_plan (id, name{names}, county_code, number, parcel_id, source, state, state_on, valid_from)
         VALUES ($1, $2{values}, ${n}, ${}, ${}, ${}, 'drafted', ${}, coalesce(${}, '-infinity'))",
        n + 1,
        n + 2,
        n + 3,
        n + 4,
        n + 4,
    );
    bound(insert)
        .bind(plan.county.clone())
        .bind(plan.number.clone())
        .bind(plan.parcel.clone())
        .bind(plan.source.clone())
        .bind(from)
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether [`upsert_plan`] would change the plan that stands.
pub async fn plan_differs(connection: &mut PgConnection, plan: &PlanRecord, given: &[&str]) -> Result<bool> {
    let fields: Vec<_> = Ledger::Plan.fields().iter().filter(|f| given.contains(&f.name)).collect();
    let columns: String = fields.iter().map(|f| format!(", {}", f.name)).collect();
    let values: String = (3..fields.len() + 3).map(|at| format!(", ${at}")).collect();
    // A row of one column would be no row to PostgreSQL: the id stands in both.
    let sql = format!(
        "SELECT 1 FROM redevelopment_plan WHERE id = $1 AND valid_to = 'infinity'
           AND (id, name{columns}) IS DISTINCT FROM ($1, $2{values})"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(plan.id.clone()).bind(plan.name.clone());
    let query = fields.iter().fold(query, |query, field| bind(query, field.kind, plan.fields.get(field.name)));
    Ok(query.fetch_optional(connection).await?.is_some())
}

type Bound = Query<'static, Postgres, PgArguments>;

fn bind(query: Bound, kind: FieldKind, value: Option<&FieldValue>) -> Bound {
    match value {
        Some(FieldValue::Text(text)) => query.bind(text.clone()),
        Some(FieldValue::Date(day)) => query.bind(*day),
        Some(FieldValue::Number(number)) => query.bind(*number),
        Some(FieldValue::Integer(number)) => query.bind(*number),
        Some(FieldValue::Boolean(value)) => query.bind(*value),
        // NULL has the column's type too.
        None => match kind {
            FieldKind::Text | FieldKind::Choice(_) => query.bind(None::<String>),
            FieldKind::Date => query.bind(None::<NaiveDate>),
            FieldKind::Area | FieldKind::Number => query.bind(None::<f64>),
            FieldKind::Year => query.bind(None::<i32>),
            FieldKind::Boolean => query.bind(None::<bool>),
        },
    }
}

/// Puts these steps in the place of the plan's own. Needs an open revision.
pub async fn replace_steps(
    connection: &mut PgConnection,
    plan: &str,
    county: &str,
    steps: &[StepRecord],
) -> Result<()> {
    let count = i32::try_from(steps.len()).unwrap_or(i32::MAX);
    sqlx::query("DELETE FROM plan_step WHERE plan_id = $1 AND ordinal > $2")
        .bind(plan)
        .bind(count)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO plan_step (id, plan_id, ordinal, county_code, task, due_on, done_on, note)
         SELECT $1 || '@' || ordinality, $1, ordinality::integer, $2, task, due_on, done_on, note
         FROM unnest($3::text[], $4::date[], $5::date[], $6::text[]) WITH ORDINALITY AS s (task, due_on, done_on, note, ordinality)
         ON CONFLICT (id) DO UPDATE
         SET task = excluded.task, due_on = excluded.due_on, done_on = excluded.done_on, note = excluded.note, revision = excluded.revision
         WHERE (plan_step.task, plan_step.due_on, plan_step.done_on, plan_step.note)
               IS DISTINCT FROM (excluded.task, excluded.due_on, excluded.done_on, excluded.note)",
    )
    .bind(plan)
    .bind(county)
    .bind(steps.iter().map(|s| s.task.clone()).collect::<Vec<_>>())
    .bind(steps.iter().map(|s| s.due_on).collect::<Vec<_>>())
    .bind(steps.iter().map(|s| s.done_on).collect::<Vec<_>>())
    .bind(steps.iter().map(|s| s.note.clone()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// State and open steps of the plan in force, by parcel.
pub async fn plan_progress(
    connection: &mut PgConnection,
    parcels: &[String],
) -> Result<HashMap<String, (String, i64)>> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT p.parcel_id, p.state, (SELECT count(*) FROM plan_step s WHERE s.plan_id = p.id AND s.done_on IS NULL)
         FROM redevelopment_plan p WHERE p.parcel_id = ANY ($1) AND p.valid_to = 'infinity' AND p.state <> 'cancelled'",
    )
    .bind(parcels)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(parcel, state, open)| (parcel, (state, open))).collect())
}

/// [`plan_progress`] as the register said after an earlier revision.
pub async fn plan_progress_as_of(
    connection: &mut PgConnection,
    parcels: &[String],
    revision: i64,
) -> Result<HashMap<String, (String, i64)>> {
    as_of::set(connection, revision).await?;
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT p.parcel_id, p.state, (SELECT count(*) FROM as_of.plan_step s WHERE s.plan_id = p.id AND s.done_on IS NULL)
         FROM as_of.redevelopment_plan p WHERE p.parcel_id = ANY ($1) AND p.valid_to = 'infinity' AND p.state <> 'cancelled'",
    )
    .bind(parcels)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(parcel, state, open)| (parcel, (state, open))).collect())
}

/// The plan in force of a parcel.
pub async fn plan_of(connection: &mut PgConnection, parcel: &str) -> Result<Option<String>> {
    Ok(sqlx::query_scalar(
        "SELECT id FROM redevelopment_plan WHERE parcel_id = $1 AND valid_to = 'infinity' AND state <> 'cancelled'",
    )
    .bind(parcel)
    .fetch_optional(connection)
    .await?)
}

/// Parcel and open steps of a plan.
pub async fn find_plan(connection: &mut PgConnection, plan: &str) -> Result<Option<(String, i64)>> {
    Ok(sqlx::query_as(
        "SELECT p.parcel_id, (SELECT count(*) FROM plan_step s WHERE s.plan_id = p.id AND s.done_on IS NULL)
         FROM redevelopment_plan p WHERE p.id = $1 AND p.valid_to = 'infinity'",
    )
    .bind(plan)
    .fetch_optional(connection)
    .await?)
}

/// State of the parcel (empty where it does not stand) and open steps of plans that stand, by plan. The write lock keeps both.
pub async fn parcels_of_plans(
    connection: &mut PgConnection,
    plans: &[String],
) -> Result<HashMap<String, (String, i64)>> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT p.id, coalesce(l.state, ''), (SELECT count(*) FROM plan_step s WHERE s.plan_id = p.id AND s.done_on IS NULL)
         FROM redevelopment_plan p LEFT JOIN low_efficiency_parcel l ON l.id = p.parcel_id AND l.valid_to = 'infinity'
         WHERE p.id = ANY ($1) AND p.valid_to = 'infinity'",
    )
    .bind(plans)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(plan, state, open)| (plan, (state, open))).collect())
}

/// A plan among many.
#[derive(Debug, Clone)]
pub struct BulkPlan<'a> {
    pub id: &'a str,
    pub county: &'a str,
    pub number: &'a str,
    pub parcel: String,
    pub state: &'a str,
    pub state_on: NaiveDate,
    pub fields: &'a BTreeMap<&'static str, FieldValue>,
    /// Task, due, done.
    pub steps: &'a [(&'static str, NaiveDate, Option<NaiveDate>)],
    pub source: &'a str,
}

/// Inserts the drawn plans whose id has never been, with their steps. Needs an open revision.
pub async fn insert_missing_plans(connection: &mut PgConnection, plans: &[BulkPlan<'_>]) -> Result<u64> {
    let fields = Ledger::Plan.fields();
    let names: Vec<&str> = fields.iter().map(|f| f.name).collect();
    let create = format!(
        "CREATE TEMPORARY TABLE plan_stage ON COMMIT DROP AS
         SELECT id, county_code, number, parcel_id, source, state, state_on, {} FROM redevelopment_plan WITH NO DATA",
        names.join(", ")
    );
    sqlx::query(AssertSqlSafe(create)).execute(&mut *connection).await?;
    let columns = i16::try_from(7 + fields.len()).unwrap_or(i16::MAX);
    copy_in(connection, "COPY plan_stage FROM STDIN (FORMAT binary)", columns, plans.iter(), |row, plan| {
        for text in [plan.id, plan.county, plan.number, &plan.parcel, plan.source, plan.state] {
            row.text(text);
        }
        row.date(plan.state_on);
        for field in fields {
            fill_field(row, plan.fields.get(field.name));
        }
    })
    .await?;
    let insert = format!(
        "INSERT INTO redevelopment_plan (id, county_code, number, parcel_id, source, state, state_on, valid_from, illustrative, {0}, revision)
         SELECT id, county_code, number, parcel_id, source, state, state_on, state_on, true, {0}, (SELECT current_revision())
         FROM plan_stage s WHERE NOT EXISTS (SELECT 1 FROM redevelopment_plan p WHERE p.id = s.id)
           AND EXISTS (SELECT 1 FROM low_efficiency_parcel l WHERE l.id = s.parcel_id AND l.valid_to = 'infinity') ORDER BY id",
        names.join(", ")
    );
    let inserted = sqlx::query(AssertSqlSafe(insert)).execute(&mut *connection).await?.rows_affected();
    let steps = || plans.iter().flat_map(|p| (1_i32..).zip(p.steps).map(move |(at, step)| (p, at, step)));
    sqlx::query(
        "INSERT INTO plan_step (id, plan_id, ordinal, county_code, task, due_on, done_on)
         SELECT s.plan_id || '@' || s.ordinal, s.* FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::date[], $6::date[]) AS s (plan_id, ordinal, county_code, task, due_on, done_on)
         JOIN redevelopment_plan p ON p.id = s.plan_id AND p.revision = current_revision()",
    )
    .bind(steps().map(|(p, ..)| p.id.to_owned()).collect::<Vec<_>>())
    .bind(steps().map(|(_, at, _)| at).collect::<Vec<_>>())
    .bind(steps().map(|(p, ..)| p.county.to_owned()).collect::<Vec<_>>())
    .bind(steps().map(|(.., step)| step.0.to_owned()).collect::<Vec<_>>())
    .bind(steps().map(|(.., step)| step.1).collect::<Vec<_>>())
    .bind(steps().map(|(.., step)| step.2).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(inserted)
}

/// The steps of a plan, in order.
pub async fn list_steps(connection: &mut PgConnection, plan: &str) -> Result<Vec<StepRecord>> {
    let rows: Vec<(String, Option<NaiveDate>, Option<NaiveDate>, Option<String>)> =
        sqlx::query_as("SELECT task, due_on, done_on, note FROM plan_step WHERE plan_id = $1 ORDER BY ordinal")
            .bind(plan)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|(task, due_on, done_on, note)| StepRecord { task, due_on, done_on, note }).collect())
}

/// Low-efficiency parcels that the revision wrote, or whose plan it wrote, and where they stand.
pub async fn parcels_beside(connection: &mut PgConnection, revision: i64) -> Result<Vec<(String, String)>> {
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT feature_id FROM change WHERE revision = $1 AND layer = 'low_efficiency_parcel'
         UNION SELECT coalesce(after, before) ->> 'parcel_id' FROM change WHERE revision = $1 AND layer = 'redevelopment_plan'",
    )
    .bind(revision)
    .fetch_all(&mut *connection)
    .await?;
    Ok(sqlx::query_as(
        "SELECT l.id, l.state FROM low_efficiency_parcel l WHERE l.valid_to = 'infinity' AND l.id = ANY ($1) ORDER BY l.id",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?)
}

/// Plans in force whose parcel does not stand, where the revision wrote the one or the other: numbers, the first twenty.
pub async fn plans_without_parcel(connection: &mut PgConnection, revision: i64) -> Result<Vec<(String, String)>> {
    Ok(sqlx::query_as(
        "SELECT p.id, p.parcel_id FROM redevelopment_plan p
         WHERE p.valid_to = 'infinity' AND p.state <> 'cancelled'
           AND (p.parcel_id IN (SELECT feature_id FROM change WHERE revision = $1 AND layer = 'low_efficiency_parcel')
                OR p.id IN (SELECT feature_id FROM change WHERE revision = $1 AND layer = 'redevelopment_plan'))
           AND NOT EXISTS (SELECT 1 FROM low_efficiency_parcel l WHERE l.id = p.parcel_id AND l.valid_to = 'infinity')
         ORDER BY p.id LIMIT 20",
    )
    .bind(revision)
    .fetch_all(connection)
    .await?)
}
