//! Moves between states and the end of a life: the row that stands is closed, the next begins; the move itself is written beside.

use std::collections::HashMap;

use chrono::NaiveDate;
use sqlx::{AssertSqlSafe, PgConnection};

use super::columns::{listed, written};
use super::standing::next_ordinals;
use crate::domain::Ledger;
use crate::error::Result;

/// One move of one record. Several of one record come in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Move {
    pub id: String,
    pub county: String,
    pub from: String,
    pub to: String,
    pub held: Option<String>,
    pub on: NaiveDate,
    pub document_no: Option<String>,
    pub reason: Option<String>,
    pub actor: String,
}

/// Writes the moves. Needs an open revision, and states that were looked at under the write lock.
pub async fn move_all(connection: &mut PgConnection, ledger: Ledger, moves: &[Move]) -> Result<()> {
    if moves.is_empty() {
        return Ok(());
    }
    // Where a record passes several states on one way, its row shows the last.
    let mut last: HashMap<&str, &Move> = HashMap::with_capacity(moves.len());
    for one in moves {
        last.insert(&one.id, one);
    }
    let mut last: Vec<&Move> = last.into_values().collect();
    last.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let table = ledger.table();
    sqlx::query(
        "CREATE TEMPORARY TABLE IF NOT EXISTS moved (id text COLLATE \"C\" PRIMARY KEY, state text, held_state text, on_day date) ON COMMIT DROP",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM moved").execute(&mut *connection).await?;
    sqlx::query("INSERT INTO moved SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[])")
        .bind(last.iter().map(|m| m.id.clone()).collect::<Vec<_>>())
        .bind(last.iter().map(|m| m.to.clone()).collect::<Vec<_>>())
        .bind(last.iter().map(|m| m.held.clone()).collect::<Vec<_>>())
        .bind(last.iter().map(|m| m.on).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    // A second move of one day changes what stands from that day on; it begins no life of no length.
    let same_day = format!(
        "UPDATE {table} b SET state = m.state, held_state = m.held_state, state_on = m.on_day, revision = (SELECT current_revision())
         FROM moved m WHERE b.id = m.id AND b.valid_to = 'infinity' AND b.valid_from >= m.on_day"
    );
    sqlx::query(AssertSqlSafe(same_day)).execute(&mut *connection).await?;
    let close = format!(
        "UPDATE {table} b SET valid_to = m.on_day, revision = (SELECT current_revision())
         FROM moved m WHERE b.id = m.id AND b.valid_to = 'infinity' AND b.valid_from < m.on_day"
    );
    sqlx::query(AssertSqlSafe(close)).execute(&mut *connection).await?;
    let columns = carried(ledger);
    let open = format!(
        "INSERT INTO {table} ({}, state, held_state, state_on, valid_from, revision)
         SELECT {}, m.state, m.held_state, m.on_day, m.on_day, (SELECT current_revision())
         FROM {table} b JOIN moved m ON b.id = m.id AND b.valid_to = m.on_day
         WHERE NOT EXISTS (SELECT 1 FROM {table} c WHERE c.id = m.id AND c.valid_to = 'infinity')",
        columns.join(", "),
        listed(&columns, "b")
    );
    sqlx::query(AssertSqlSafe(open)).execute(&mut *connection).await?;
    write_transitions(connection, ledger, moves).await
}

/// Columns that go on into the next life.
fn carried(ledger: Ledger) -> Vec<&'static str> {
    match ledger {
        Ledger::Plan => ["id", "county_code", "number", "name", "parcel_id", "illustrative", "source", "attributes"]
            .into_iter()
            .chain(ledger.fields().iter().map(|f| f.name))
            .collect(),
        _ => written(ledger),
    }
}

async fn write_transitions(connection: &mut PgConnection, ledger: Ledger, moves: &[Move]) -> Result<()> {
    let mut ids: Vec<String> = moves.iter().map(|m| m.id.clone()).collect();
    ids.dedup();
    let mut next = next_ordinals(connection, ledger, &ids).await?;
    let ordinals: Vec<i32> = moves
        .iter()
        .map(|m| {
            let at = next.entry(m.id.clone()).or_insert(1);
            *at += 1;
            *at - 1
        })
        .collect();
    sqlx::query(
        "INSERT INTO parcel_transition (ledger, record_id, ordinal, county_code, from_state, to_state, held_state, effective_on,
                                        document_no, reason, actor)
         SELECT $1, * FROM unnest($2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::date[], $9::text[],
                                  $10::text[], $11::text[])",
    )
    .bind(ledger.table())
    .bind(moves.iter().map(|m| m.id.clone()).collect::<Vec<_>>())
    .bind(ordinals)
    .bind(moves.iter().map(|m| m.county.clone()).collect::<Vec<_>>())
    .bind(moves.iter().map(|m| m.from.clone()).collect::<Vec<_>>())
    .bind(moves.iter().map(|m| m.to.clone()).collect::<Vec<_>>())
    .bind(moves.iter().map(|m| m.held.clone()).collect::<Vec<_>>())
    .bind(moves.iter().map(|m| m.on).collect::<Vec<_>>())
    .bind(moves.iter().map(|m| m.document_no.clone()).collect::<Vec<_>>())
    .bind(moves.iter().map(|m| m.reason.clone()).collect::<Vec<_>>())
    .bind(moves.iter().map(|m| m.actor.clone()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends the life of a record on this day. A life that began on the day or after it has never been: its row goes (the log keeps it),
/// and so what stood before it stays ended. Needs an open revision.
pub async fn end(connection: &mut PgConnection, ledger: Ledger, id: &str, on: NaiveDate, reason: &str) -> Result<()> {
    let table = ledger.table();
    let close = format!(
        "UPDATE {table} SET valid_to = $2, end_reason = $3, revision = (SELECT current_revision())
         WHERE id = $1 AND valid_to = 'infinity' AND valid_from < $2"
    );
    let closed = sqlx::query(AssertSqlSafe(close)).bind(id).bind(on).bind(reason).execute(&mut *connection).await?;
    if closed.rows_affected() == 0 {
        let drop = format!("DELETE FROM {table} WHERE id = $1 AND valid_to = 'infinity'");
        sqlx::query(AssertSqlSafe(drop)).bind(id).execute(&mut *connection).await?;
        let tell = format!(
            "UPDATE {table} SET end_reason = $3, revision = (SELECT current_revision()) WHERE id = $1 AND valid_to = $2"
        );
        sqlx::query(AssertSqlSafe(tell)).bind(id).bind(on).bind(reason).execute(connection).await?;
    }
    Ok(())
}

type MoveRow = (i32, String, String, String, Option<String>, NaiveDate, Option<String>, Option<String>, String);

/// Every move of one record with its number, the first one first.
pub async fn list_moves(connection: &mut PgConnection, ledger: Ledger, id: &str) -> Result<Vec<(i32, Move)>> {
    let rows: Vec<MoveRow> = sqlx::query_as(
        "SELECT ordinal, county_code, from_state, to_state, held_state, effective_on, document_no, reason, actor
         FROM parcel_transition WHERE ledger = $1 AND record_id = $2 ORDER BY ordinal",
    )
    .bind(ledger.table())
    .bind(id)
    .fetch_all(connection)
    .await?;
    let one = |(ordinal, county, from, to, held, on, document_no, reason, actor): MoveRow| {
        (ordinal, Move { id: id.to_owned(), county, from, to, held, on, document_no, reason, actor })
    };
    Ok(rows.into_iter().map(one).collect())
}

/// Record and state left, of every move that one revision wrote.
pub async fn moves_of_revision(
    connection: &mut PgConnection,
    ledger: Ledger,
    revision: i64,
) -> Result<Vec<(String, String)>> {
    Ok(sqlx::query_as(
        "SELECT record_id, from_state FROM parcel_transition WHERE ledger = $1 AND revision = $2 ORDER BY record_id, ordinal",
    )
    .bind(ledger.table())
    .bind(revision)
    .fetch_all(connection)
    .await?)
}
