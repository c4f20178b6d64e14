//! What stands in a ledger now.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;
use geo::MultiPolygon;
use sqlx::{AssertSqlSafe, PgConnection};

use super::stage::{Stage, joined};
use crate::domain::Ledger;
use crate::domain::ledger::Where;
use crate::error::Result;
use crate::store::geometry_column;

/// Where a record stands, and which revision wrote its row.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordState {
    pub county: String,
    pub state: String,
    pub held: Option<String>,
    pub state_on: Option<NaiveDate>,
    pub valid_from: Option<NaiveDate>,
    pub revision: i64,
}

type StateRow = (String, String, String, Option<String>, Option<NaiveDate>, Option<NaiveDate>, i64);

const STATE_COLUMNS: &str =
    "b.id, b.county_code, b.state, b.held_state, b.state_on, nullif(b.valid_from, '-infinity'), b.revision";

fn state_of((id, county, state, held, state_on, valid_from, revision): StateRow) -> (String, RecordState) {
    (id, RecordState { county, state, held, state_on, valid_from, revision })
}

/// Where the staged records stand that are in the ledger.
pub async fn standing_states(connection: &mut PgConnection, stage: Stage) -> Result<HashMap<String, RecordState>> {
    let sql = format!("SELECT {STATE_COLUMNS} FROM {}", joined(stage));
    let rows: Vec<StateRow> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await?;
    Ok(rows.into_iter().map(state_of).collect())
}

/// Where one record stands, holding its row to the end of the transaction.
pub async fn lock_state(connection: &mut PgConnection, ledger: Ledger, id: &str) -> Result<Option<RecordState>> {
    let sql = format!(
        "SELECT {STATE_COLUMNS} FROM {} b WHERE b.id = $1 AND b.valid_to = 'infinity' FOR UPDATE",
        ledger.table()
    );
    let row: Option<StateRow> = sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?;
    Ok(row.map(|row| state_of(row).1))
}

/// Where those of the records stand that do, by id, holding their rows to the end of the transaction.
pub async fn lock_states(
    connection: &mut PgConnection,
    ledger: Ledger,
    ids: &[String],
) -> Result<HashMap<String, RecordState>> {
    // In one order, whoever asks.
    let sql = format!(
        "SELECT {STATE_COLUMNS} FROM {} b WHERE b.id = ANY ($1) AND b.valid_to = 'infinity' ORDER BY b.id FOR UPDATE",
        ledger.table()
    );
    let rows: Vec<StateRow> = sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(connection).await?;
    Ok(rows.into_iter().map(state_of).collect())
}

/// The staged ids that [`used_before`] tells.
pub async fn staged_used_before(connection: &mut PgConnection, stage: Stage) -> Result<HashSet<String>> {
    let ledger = stage.ledger;
    let sql = used(&format!("SELECT id FROM {}", stage.table()), ledger);
    let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql)).bind(ledger.table()).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}

/// Of these ids those under which no record stands, but once did: a row, a move, an attachment, a line of its family or a plan's step is left. A number is not given
/// twice, or the new record would show what another went through. An undo that takes every trace away gives the number free.
pub async fn used_before(connection: &mut PgConnection, ledger: Ledger, ids: &[String]) -> Result<HashSet<String>> {
    let sql = used("SELECT unnest($2::text[]) COLLATE \"C\" AS id", ledger);
    let rows: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(ledger.table()).bind(ids).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}

/// Records that this revision has taken out of the ledgers for good, of which moves, steps or lines of a family are left: the first twenty.
pub async fn traces_left(connection: &mut PgConnection, revision: i64) -> Result<Vec<String>> {
    let gone = |ledger: Ledger| {
        let table = ledger.table();
        format!(
            "SELECT g.id FROM (SELECT DISTINCT feature_id AS id FROM change WHERE revision = $1 AND layer = '{table}') g
             WHERE NOT EXISTS (SELECT 1 FROM {table} b WHERE b.id = g.id)
               AND (EXISTS (SELECT 1 FROM parcel_transition t WHERE t.ledger = '{table}' AND t.record_id = g.id)
                    OR EXISTS (SELECT 1 FROM parcel_lineage l WHERE l.ledger = '{table}' AND g.id IN (l.parent_id, l.child_id))
                    OR '{table}' = 'redevelopment_plan' AND EXISTS (SELECT 1 FROM plan_step s WHERE s.plan_id = g.id))"
        )
    };
    let sql = format!("{} ORDER BY 1 LIMIT 20", Ledger::ALL.map(gone).join(" UNION "));
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(revision).fetch_all(connection).await?)
}

/// `asked`: a statement that gives ids. $1 is the ledger's table.
fn used(asked: &str, ledger: Ledger) -> String {
    let table = ledger.table();
    let more = match ledger {
        Ledger::Plan => "SELECT 1 FROM plan_step s WHERE s.plan_id = a.id",
        Ledger::Turnover | Ledger::LowEfficiency => {
            "SELECT 1 FROM parcel_lineage l WHERE l.ledger = $1 AND a.id IN (l.parent_id, l.child_id)"
        }
    };
    format!(
        "SELECT DISTINCT a.id FROM ({asked}) a
         WHERE NOT EXISTS (SELECT 1 FROM {table} c WHERE c.id = a.id AND c.valid_to = 'infinity')
           AND (EXISTS (SELECT 1 FROM {table} b WHERE b.id = a.id)
                OR EXISTS (SELECT 1 FROM attachment f WHERE f.ledger = $1 AND f.record_id = a.id)
                OR EXISTS (SELECT 1 FROM parcel_transition t WHERE t.ledger = $1 AND t.record_id = a.id) OR EXISTS ({more}))"
    )
}

/// The next number of a transition, by record.
pub async fn next_ordinals(
    connection: &mut PgConnection,
    ledger: Ledger,
    ids: &[String],
) -> Result<HashMap<String, i32>> {
    let rows: Vec<(String, i32)> = sqlx::query_as(
        "SELECT record_id, max(ordinal) + 1 FROM parcel_transition WHERE ledger = $1 AND record_id = ANY ($2) GROUP BY record_id",
    )
    .bind(ledger.table())
    .bind(ids)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
}

/// A standing parcel with its land.
#[derive(Debug, Clone)]
pub struct StandingParcel {
    pub id: String,
    pub boundary: MultiPolygon<f64>,
    pub illustrative: bool,
}

async fn parcels(connection: &mut PgConnection, sql: String) -> Result<Vec<StandingParcel>> {
    let rows: Vec<(String, Vec<u8>, bool)> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.into_iter().map(standing_parcel).collect()
}

fn standing_parcel((id, geom, illustrative): (String, Vec<u8>, bool)) -> Result<StandingParcel> {
    Ok(StandingParcel { id, boundary: geometry_column::decode(&geom)?, illustrative })
}

/// Current parcels of the ledger whose box meets a staged one's, except the staged ones themselves.
pub async fn list_candidates_for_overlap(connection: &mut PgConnection, stage: Stage) -> Result<Vec<StandingParcel>> {
    let (table, staged) = (stage.ledger.table(), stage.table());
    // OFFSET 0: the index of the ledger is asked once a staged parcel; the stage has none to be asked by.
    let near =
        format!("SELECT c.id FROM {staged} s, LATERAL (SELECT id FROM {table} p WHERE p.geom && s.geom OFFSET 0) c");
    let among = stage.among(&near);
    let sql = format!(
        "SELECT b.id, ST_AsEWKB(b.geom), b.illustrative FROM {table} b
         WHERE b.valid_to = 'infinity' AND b.id NOT IN (SELECT id FROM {staged}) AND b.id {among}
         ORDER BY b.id"
    );
    parcels(connection, sql).await
}

/// Current parcels of the ledger whose box meets a block that the open revision has written, as it was or as it is.
pub async fn list_by_revision_blocks(connection: &mut PgConnection, ledger: Ledger) -> Result<Vec<StandingParcel>> {
    let sql = format!(
        "WITH touched AS MATERIALIZED (
             SELECT g::geometry AS geom FROM change c, LATERAL (VALUES (c.before_geom), (c.after_geom)) v (g)
             WHERE c.revision = current_revision() AND c.layer = 'park_block' AND g IS NOT NULL)
         SELECT b.id, ST_AsEWKB(b.geom), b.illustrative FROM {table} b
         WHERE b.valid_to = 'infinity'
           AND b.id IN (SELECT c.id FROM touched t, LATERAL (SELECT id FROM {table} p WHERE p.geom && t.geom OFFSET 0) c)
         ORDER BY b.id",
        table = ledger.table()
    );
    parcels(connection, sql).await
}

/// Current parcels of the ledger that the open revision has written.
pub async fn list_by_revision(connection: &mut PgConnection, ledger: Ledger) -> Result<Vec<StandingParcel>> {
    // In two steps, by the keys: planned as one, right after a large write, the log would be read once a parcel.
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT feature_id FROM change WHERE revision = (SELECT current_revision()) AND layer = $1",
    )
    .bind(ledger.table())
    .fetch_all(&mut *connection)
    .await?;
    let sql = format!(
        "SELECT b.id, ST_AsEWKB(b.geom), b.illustrative FROM {} b WHERE b.id = ANY ($1) AND b.valid_to = 'infinity' ORDER BY b.id",
        ledger.table()
    );
    let rows: Vec<(String, Vec<u8>, bool)> = sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(connection).await?;
    rows.into_iter().map(standing_parcel).collect()
}

/// A parcel and where it lies now.
#[derive(Debug, Clone, PartialEq)]
pub struct Assigned {
    pub id: String,
    pub place: Option<Where>,
}

/// Writes where parcels lie, of those that lie elsewhere than the ledger says. Needs an open revision.
pub async fn assign(connection: &mut PgConnection, ledger: Ledger, assigned: &[Assigned]) -> Result<u64> {
    let column = |of: fn(&Where) -> String| -> Vec<Option<String>> {
        assigned.iter().map(|a| a.place.as_ref().map(of)).collect()
    };
    let sql = format!(
        "UPDATE {} b SET park_code = a.park, block_id = a.block, inside_share = a.share, revision = (SELECT current_revision())
         FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[]) AS a (id, park, block, share)
         WHERE b.id = a.id AND b.valid_to = 'infinity'
           AND (b.park_code, b.block_id, b.inside_share) IS DISTINCT FROM (a.park, a.block, a.share)",
        ledger.table()
    );
    Ok(sqlx::query(AssertSqlSafe(sql))
        .bind(assigned.iter().map(|a| a.id.clone()).collect::<Vec<_>>())
        .bind(column(|w| w.park.clone()))
        .bind(column(|w| w.block.clone()))
        .bind(assigned.iter().map(|a| a.place.as_ref().map(|w| w.share)).collect::<Vec<_>>())
        .execute(connection)
        .await?
        .rows_affected())
}

/// The name of a record that stands.
pub async fn name_of(connection: &mut PgConnection, ledger: Ledger, id: &str) -> Result<Option<String>> {
    let sql = format!("SELECT name FROM {} WHERE id = $1 AND valid_to = 'infinity'", ledger.table());
    Ok(sqlx::query_scalar::<_, Option<String>>(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?.flatten())
}

/// The land-use system of a parcel that stands.
pub async fn land_use_system_of(connection: &mut PgConnection, ledger: Ledger, id: &str) -> Result<Option<String>> {
    let sql = format!("SELECT land_use_system FROM {} WHERE id = $1 AND valid_to = 'infinity'", ledger.table());
    Ok(sqlx::query_scalar::<_, Option<String>>(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?.flatten())
}

/// Gives the record a new version, where what belongs to it has changed. Needs an open revision.
pub async fn touch(connection: &mut PgConnection, ledger: Ledger, id: &str) -> Result<()> {
    let sql = format!(
        "UPDATE {} SET revision = (SELECT current_revision()) WHERE id = $1 AND valid_to = 'infinity'",
        ledger.table()
    );
    sqlx::query(AssertSqlSafe(sql)).bind(id).execute(connection).await?;
    Ok(())
}

/// Where one record stands.
pub async fn find_state(connection: &mut PgConnection, ledger: Ledger, id: &str) -> Result<Option<RecordState>> {
    let sql = format!("SELECT {STATE_COLUMNS} FROM {} b WHERE b.id = $1 AND b.valid_to = 'infinity'", ledger.table());
    let row: Option<StateRow> = sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?;
    Ok(row.map(|row| state_of(row).1))
}
