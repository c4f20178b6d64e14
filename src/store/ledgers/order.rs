//! Days of records that came the wrong way round.

use chrono::NaiveDate;
use sqlx::{AssertSqlSafe, PgConnection};

use super::stage::Stage;
use crate::domain::Ledger;
use crate::error::Result;

/// Pairs that are told.
const TOLD: usize = 1_000;

/// Two days of a record of which the first should not come after the second, and does.
#[derive(Debug, Clone, PartialEq)]
pub struct OutOfOrder {
    pub id: String,
    pub first: &'static str,
    pub second: &'static str,
    pub first_on: NaiveDate,
    pub second_on: NaiveDate,
}

/// Of the staged parcels, in the order of their ids; the first thousand.
pub async fn list_staged_out_of_order(connection: &mut PgConnection, stage: Stage) -> Result<Vec<OutOfOrder>> {
    list(connection, stage.ledger, &format!("{} s WHERE true", stage.table()), None).await
}

/// Of the plan that stands.
pub async fn list_plan_out_of_order(connection: &mut PgConnection, plan: &str) -> Result<Vec<OutOfOrder>> {
    list(connection, Ledger::Plan, "redevelopment_plan s WHERE s.valid_to = 'infinity' AND s.id = $1", Some(plan)).await
}

async fn list(connection: &mut PgConnection, ledger: Ledger, rows: &str, id: Option<&str>) -> Result<Vec<OutOfOrder>> {
    let orders = ledger.orders();
    let pairs: Vec<String> = (0_i32..)
        .zip(orders)
        .map(|(at, (first, second))| {
            format!("SELECT s.id, {at} AS pair, s.{first}, s.{second} FROM {rows} AND s.{second} < s.{first}")
        })
        .collect();
    let sql = format!("{} ORDER BY id, pair LIMIT {TOLD}", pairs.join(" UNION ALL "));
    let mut query = sqlx::query_as::<_, (String, i32, NaiveDate, NaiveDate)>(AssertSqlSafe(sql));
    if let Some(id) = id {
        query = query.bind(id.to_owned());
    }
    let found = query.fetch_all(connection).await?;
    Ok(found
        .into_iter()
        .filter_map(|(id, pair, first_on, second_on)| {
            let (first, second) = orders.get(usize::try_from(pair).ok()?)?;
            Some(OutOfOrder { id, first, second, first_on, second_on })
        })
        .collect())
}
