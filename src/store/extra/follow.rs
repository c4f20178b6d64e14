//! What has changed in an operator's table: by triggers that write down the keys that were touched, or by comparing all of it.
//!
//! A reader keeps a [`Mark`] of the state that it read. Under triggers that is the snapshot of its transaction: what it has missed are
//! the changes whose transactions that snapshot did not see and the present one does. Numbers in the order of writing would not do: a
//! transaction that writes early and commits late would be stepped over. Rejected: one lock for all writers of the table, which are not ours.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::domain::extra_layer::ExtraTable;
use crate::domain::layer::{Follow, Layer};
use crate::error::{Error, Result};
use crate::store::pool::text_literal;
use crate::store::replica::is_replica;

/// The state of a layer that a reader has read, and what it is asked to give back. Opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(String);

impl Mark {
    /// Another text for another state.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What has changed since a mark, as this transaction sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    Nothing,
    /// Features that may have come, changed or gone.
    Ids(Vec<String>, Mark),
    /// Too much to name, or what was missed cannot be told: all is to be read again.
    Everything(Mark),
}

/// Keys told one by one; more are everything.
const MOST_KEYS: usize = 10_000;

/// Channel that rings with a layer's id when its table is written under triggers.
pub const CHANNEL: &str = "sizhi_layer";

/// How long changes are kept for readers that are behind.
const KEPT: &str = "1 day";

const TRIGGERS: [(&str, &str); 4] = [
    ("insert", "AFTER INSERT ON {table} REFERENCING NEW TABLE AS new_rows"),
    ("update", "AFTER UPDATE ON {table} REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows"),
    ("delete", "AFTER DELETE ON {table} REFERENCING OLD TABLE AS old_rows"),
    ("truncate", "AFTER TRUNCATE ON {table}"),
];

fn trigger_name(layer: &str, operation: &str) -> String {
    format!("\"sizhi_{operation}_{layer}\"")
}

fn extra_of(layer: &Layer) -> Result<&'static ExtraTable> {
    layer.extra.ok_or_else(|| Error::internal("不是附加图层", std::io::Error::other(layer.id)))
}

/// Puts the triggers of a layer on its table where they are not there yet, in a transaction of its own; writers of the table are waited
/// for. For the owner of the database.
pub async fn install(connection: &mut PgConnection, layer: &Layer) -> Result<()> {
    let extra = extra_of(layer)?;
    let mut transaction = connection.begin().await?;
    one_at_a_time(&mut transaction).await?;
    if !is_installed(&mut transaction, layer.id, Some(extra)).await? {
        // What may not be taken off another table goes on writing keys, which does no harm.
        let _ = remove(&mut transaction, layer.id).await?;
        for (operation, when) in TRIGGERS {
            let sql = format!(
                "CREATE OR REPLACE TRIGGER {} {} FOR EACH STATEMENT EXECUTE FUNCTION public.note_extra_change({}, {})",
                trigger_name(layer.id, operation),
                when.replace("{table}", extra.table),
                text_literal(layer.id),
                text_literal(&unquoted(extra.key.quoted)),
            );
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
        }
        sqlx::query("INSERT INTO extra_layer (layer, relation, key_column) VALUES ($1, $2, $3)")
            .bind(layer.id)
            .bind(extra.table)
            .bind(extra.key.quoted)
            .execute(&mut *transaction)
            .await?;
    }
    // A restored backup brings numbers of another cluster's transactions, which mean nothing here.
    sqlx::query("DELETE FROM extra_change WHERE layer = $1 AND transaction > pg_current_xact_id()")
        .bind(layer.id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// Whether the triggers of a layer stand and fire, as they can on a replica only where its primary has them.
pub async fn stands(connection: &mut PgConnection, layer: &Layer) -> Result<bool> {
    is_installed(connection, layer.id, layer.extra).await
}

/// Lets a connection that is nobody else's take its time: large tables are read whole at start.
pub async fn take_time(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("SELECT set_config('statement_timeout', '0', false)").execute(connection).await?;
    Ok(())
}

/// Two starting servers would trip over each other's triggers.
async fn one_at_a_time(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("SELECT set_config('lock_timeout', '30s', true), pg_advisory_xact_lock(7226041, 3)")
        .execute(connection)
        .await?;
    Ok(())
}

/// The name that a quoted identifier is of.
fn unquoted(identifier: &str) -> String {
    match identifier.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => identifier.to_owned(),
    }
}

/// Whether all triggers of the layer stand and fire, on this very table by this very key where one is given.
async fn is_installed(connection: &mut PgConnection, layer: &str, extra: Option<&ExtraTable>) -> Result<bool> {
    let found: Option<bool> = sqlx::query_scalar(
        "SELECT ($2::text IS NULL OR e.relation = $2 AND e.key_column = $3)
                AND (SELECT count(*) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid AND p.proname = 'note_extra_change'
                     WHERE t.tgrelid = to_regclass(e.relation) AND t.tgenabled IN ('O', 'A') AND t.tgname LIKE 'sizhi\\_%'
                       AND t.tgname IN ('sizhi_insert_' || e.layer, 'sizhi_update_' || e.layer, 'sizhi_delete_' || e.layer, 'sizhi_truncate_' || e.layer)) = 4
         FROM extra_layer e WHERE e.layer = $1",
    )
    .bind(layer)
    .bind(extra.map(|extra| extra.table))
    .bind(extra.map(|extra| extra.key.quoted))
    .fetch_optional(connection)
    .await?;
    Ok(found.unwrap_or(false))
}

/// What was found of a layer's triggers, and the statements that only the table's owner may run.
struct Removed {
    found: bool,
    left: Vec<String>,
}

/// Takes the triggers of a layer off its table, and forgets what they wrote.
async fn remove(connection: &mut PgConnection, layer: &str) -> Result<Removed> {
    let relation: Option<String> = sqlx::query_scalar("DELETE FROM extra_layer WHERE layer = $1 RETURNING relation")
        .bind(layer)
        .fetch_optional(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM extra_change WHERE layer = $1").bind(layer).execute(&mut *connection).await?;
    // Also where a restored backup has the triggers and not the row.
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT c.oid::regclass::text, quote_ident(t.tgname) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
         JOIN pg_proc p ON p.oid = t.tgfoid AND p.proname = 'note_extra_change'
         WHERE t.tgname IN ('sizhi_insert_' || $1, 'sizhi_update_' || $1, 'sizhi_delete_' || $1, 'sizhi_truncate_' || $1)",
    )
    .bind(layer)
    .fetch_all(&mut *connection)
    .await?;
    let found = relation.is_some() || !tables.is_empty();
    let mut left = Vec::new();
    for (table, trigger) in tables {
        let drop = format!("DROP TRIGGER {trigger} ON {table}");
        let mut attempt = connection.begin().await?;
        match sqlx::raw_sql(AssertSqlSafe(drop.clone())).execute(&mut *attempt).await {
            Ok(_) => attempt.commit().await?,
            Err(sqlx::Error::Database(refused)) if refused.code().as_deref() == Some("42501") => {
                attempt.rollback().await?;
                left.push(format!("{drop};"));
            }
            Err(other) => return Err(other.into()),
        }
    }
    Ok(Removed { found, left })
}

/// [`remove`] in a transaction of its own; tells whether there was anything.
pub async fn forget(connection: &mut PgConnection, layer: &str) -> Result<bool> {
    let mut transaction = connection.begin().await?;
    one_at_a_time(&mut transaction).await?;
    let removed = remove(&mut transaction, layer).await?;
    if !removed.left.is_empty() {
        let detail = format!("没有去掉触发器的权限；请由表的所有者执行：{}", removed.left.join(" "));
        return Err(Error::conflict("layer_trigger_not_removed", detail));
    }
    transaction.commit().await?;
    Ok(removed.found)
}

/// Takes all triggers of ours off all tables: before the register is replaced by another, whose function they would hold back.
pub async fn forget_all(connection: &mut PgConnection) -> Result<()> {
    let known: bool =
        sqlx::query_scalar("SELECT to_regclass('public.extra_layer') IS NOT NULL").fetch_one(&mut *connection).await?;
    if !known {
        return Ok(());
    }
    let layers: Vec<String> = sqlx::query_scalar(
        "SELECT layer FROM extra_layer UNION SELECT substr(t.tgname, length('sizhi_insert_') + 1) FROM pg_trigger t
         JOIN pg_proc p ON p.oid = t.tgfoid AND p.proname = 'note_extra_change' WHERE t.tgname LIKE 'sizhi\\_insert\\_%'",
    )
    .fetch_all(&mut *connection)
    .await?;
    for layer in layers {
        forget(&mut *connection, &layer).await?;
    }
    Ok(())
}

/// A layer whose table has triggers of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    pub layer: String,
    pub relation: String,
    /// The table is there, and all triggers fire.
    pub fires: bool,
    pub changes: i64,
}

/// All layers with triggers, declared at present or not.
pub async fn installed(connection: &mut PgConnection) -> Result<Vec<Installed>> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT layer, relation, (SELECT count(*) FROM extra_change c WHERE c.layer = e.layer) FROM extra_layer e ORDER BY layer",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for (layer, relation, changes) in rows {
        let fires = is_installed(&mut *connection, &layer, None).await?;
        found.push(Installed { layer, relation, fires, changes });
    }
    Ok(found)
}

/// Throws away changes that no reader waits for any more; one that does after all reads everything again. On a replica its primary's
/// servers do that.
pub async fn prune(connection: &mut PgConnection) -> Result<()> {
    if is_replica(&mut *connection).await? {
        return Ok(());
    }
    let sql = format!(
        "WITH gone AS (DELETE FROM extra_change WHERE made_at < clock_timestamp() - interval '{KEPT}' RETURNING layer, transaction)
         UPDATE extra_layer e SET pruned_through = greatest(e.pruned_through, g.last)
         FROM (SELECT layer, max(transaction) AS last FROM gone GROUP BY layer) g WHERE g.layer = e.layer"
    );
    sqlx::query(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

/// The state that this transaction sees. For a transaction that reads one state (REPEATABLE READ), the mark and the rows read in it agree.
pub async fn mark_now(connection: &mut PgConnection, layer: &Layer) -> Result<Mark> {
    match layer.follow {
        Follow::ByPolling { .. } => Ok(Mark(fingerprint(connection, extra_of(layer)?).await?)),
        _ => Ok(Standing::of(connection, layer).await?.mark()),
    }
}

/// What this transaction sees that the one of the mark did not.
pub async fn touched_since(connection: &mut PgConnection, layer: &Layer, mark: &Mark) -> Result<Touched> {
    if let Follow::ByPolling { .. } = layer.follow {
        let now = mark_now(connection, layer).await?;
        return Ok(if now == *mark { Touched::Nothing } else { Touched::Everything(now) });
    }
    let standing = Standing::of(connection, layer).await?;
    let now = standing.mark();
    let held = mark.0.split_once('/').filter(|(generation, _)| *generation == standing.generation);
    // Without a trigger nobody knows what is missed: all is read each time until it is there again.
    let Some((_, snapshot)) = held.filter(|_| standing.fires) else { return Ok(Touched::Everything(now)) };
    let (is_pruned,): (bool,) = sqlx::query_as(
        "SELECT coalesce((SELECT pg_snapshot_xmin($2::pg_snapshot) <= pruned_through FROM extra_layer WHERE layer = $1), true)",
    )
    .bind(layer.id)
    .bind(snapshot)
    .fetch_one(&mut *connection)
    .await?;
    if is_pruned {
        return Ok(Touched::Everything(now));
    }
    let keys: Vec<Option<String>> = sqlx::query_scalar(
        "SELECT DISTINCT key FROM extra_change
         WHERE layer = $1 AND transaction >= pg_snapshot_xmin($2::pg_snapshot) AND NOT pg_visible_in_snapshot(transaction, $2::pg_snapshot)
         LIMIT $3",
    )
    .bind(layer.id)
    .bind(snapshot)
    .bind(MOST_KEYS as i64 + 1)
    .fetch_all(connection)
    .await?;
    if keys.is_empty() {
        return Ok(Touched::Nothing);
    }
    if keys.len() > MOST_KEYS {
        return Ok(Touched::Everything(now));
    }
    Ok(match keys.into_iter().collect::<Option<Vec<String>>>() {
        Some(keys) => Touched::Ids(keys, now),
        None => Touched::Everything(now),
    })
}

/// Where a layer under triggers stands.
struct Standing {
    generation: String,
    snapshot: String,
    fires: bool,
}

impl Standing {
    async fn of(connection: &mut PgConnection, layer: &Layer) -> Result<Self> {
        // On a replica a snapshot does not tell which transactions below its end are still open: there all from its beginning on count
        // as not seen. Some changes are told twice, none is missed.
        let (generation, snapshot): (Option<String>, String) = sqlx::query_as(
            "SELECT (SELECT generation::text FROM extra_layer WHERE layer = $1),
                    CASE WHEN pg_is_in_recovery()
                         THEN format('%s:%1$s:', pg_snapshot_xmin(pg_current_snapshot())) ELSE pg_current_snapshot()::text END",
        )
        .bind(layer.id)
        .fetch_one(&mut *connection)
        .await?;
        let fires = is_installed(connection, layer.id, layer.extra).await?;
        Ok(Self { generation: generation.unwrap_or_default(), snapshot, fires })
    }

    fn mark(&self) -> Mark {
        Mark(format!("{}/{}", self.generation, self.snapshot))
    }
}

/// Number of rows and a sum over the hashes of their texts: a change that leaves both is as likely as one of 2⁶⁴.
async fn fingerprint(connection: &mut PgConnection, extra: &ExtraTable) -> Result<String> {
    let mut columns: Vec<&str> = vec![extra.key.quoted];
    columns.extend(extra.geometry.map(|shape| shape.column.quoted));
    columns.extend(extra.columns.iter().map(|read| read.column.quoted));
    columns.extend(extra.division.map(|division| division.quoted));
    let sql = format!(
        "SELECT count(*) || '/' || coalesce(sum(hashtextextended(ROW({})::text, 0)::numeric), 0) FROM {} t",
        columns.iter().map(|column| format!("t.{column}")).collect::<Vec<_>>().join(", "),
        extra.table
    );
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_of_their_quotes_and_into_literals() {
        for (quoted, name, text) in [
            ("id", "id", "E'id'"),
            ("\"Odd \"\"one\"\"\"", "Odd \"one\"", "E'Odd \"one\"'"),
            ("\"it's\"", "it's", "E'it''s'"),
            ("\"a\\b\"", "a\\b", "E'a\\\\b'"),
        ] {
            assert_eq!(unquoted(quoted), name);
            assert_eq!(text_literal(name), text);
        }
    }

    #[test]
    fn names_of_triggers_fit() {
        let longest = "a".repeat(crate::domain::extra_layer::MAX_ID);
        for (operation, _) in TRIGGERS {
            assert!(trigger_name(&longest, operation).len() - 2 <= 63);
        }
    }
}
