//! Connections: limits on every one, so that no query outlives its request and no lock waits for ever.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Postgres, Row, Transaction};

use super::replica;
use super::roles::{self, APPLICATION_ROLE, Standing};
use crate::domain::access::{Role, Viewer};
use crate::error::{Error, Result};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Limits of reliability.md “Database”.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    pub connections: u32,
    pub acquire: Duration,
    pub statement: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { connections: 16, acquire: Duration::from_secs(2), statement: Duration::from_secs(5) }
    }
}

/// A pool that works as the application's role: rows of the register yes; tables, triggers and the log no.
///
/// The role is part of the connection's start, so `RESET ROLE` leads back to it.
pub fn connect_as_application(options: PgConnectOptions, limits: PoolLimits) -> PgPool {
    connect(options.options([("role", APPLICATION_ROLE)]), limits)
}

/// A pool that opens connections when first needed and replaces broken ones by itself.
pub fn connect(options: PgConnectOptions, limits: PoolLimits) -> PgPool {
    let options = options.application_name("sizhi").options([
        ("statement_timeout", format!("{}ms", limits.statement.as_millis())),
        ("lock_timeout", "2s".to_owned()),
        ("idle_in_transaction_session_timeout", "10s".to_owned()),
        ("timezone", "UTC".to_owned()),
        // The stage of an import; taken only when it is filled.
        ("temp_buffers", "64MB".to_owned()),
        // Plans of short queries: compiling them costs more than running them.
        ("jit", "off".to_owned()),
    ]);
    PgPoolOptions::new()
        .max_connections(limits.connections)
        .acquire_timeout(limits.acquire)
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(is_sound(connection)))
        .connect_lazy_with(options)
}

/// Whether a connection that comes back from the pool answers and is in no transaction. Somebody may have gone away while a transaction
/// began, which nobody ended then: whoever came next would go on in it, and as whom it spoke for.
async fn is_sound(connection: &mut PgConnection) -> std::result::Result<bool, sqlx::Error> {
    // Within a transaction `now()` is when that began. In one that has failed nothing is answered. (As one message: of several each
    // would have a moment of its own.)
    sqlx::raw_sql("SELECT now() = statement_timestamp()").fetch_one(connection).await?.try_get(0)
}

/// Brings the schema and the application role's grants up to date; a second migrator waits for the first. A replica's are only looked at.
pub async fn migrate(pool: &PgPool) -> Result<Standing> {
    let mut connection = pool.acquire().await?;
    if replica::is_replica(&mut connection).await? {
        replica::check_schema(&mut connection, &MIGRATIONS).await?;
        return roles::standing(&mut connection).await;
    }
    // Index builds on a large register take longer than a read may.
    sqlx::query("SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '60s', false)")
        .execute(&mut *connection)
        .await?;
    let outcome = MIGRATIONS.run(&mut *connection).await;
    let standing = match &outcome {
        Ok(()) => roles::grant(&mut connection).await,
        Err(_) => Ok(Standing::Ready),
    };
    // This connection has other limits than the pool's: it does not go back.
    connection.close().await?;
    outcome.map_err(migration_failed)?;
    standing
}

fn migration_failed(cause: MigrateError) -> Error {
    match &cause {
        MigrateError::Execute(sqlx::Error::Database(e))
        | MigrateError::ExecuteMigration(sqlx::Error::Database(e), _)
            if e.code().as_deref() == Some("42501") =>
        {
            Error::conflict(
                "migration_not_permitted",
                "数据库用户没有建立扩展或表的权限；请由超级用户先执行 CREATE EXTENSION postgis;",
            )
        }
        MigrateError::VersionMismatch(version) => Error::conflict(
            "migration_mismatch",
            format!("数据库的第 {version} 号迁移与本程序的不一致，请使用与数据库相配的程序版本"),
        ),
        MigrateError::VersionMissing(version) => Error::conflict(
            "migration_newer",
            format!("数据库已升级到本程序不认识的第 {version} 号迁移，请使用更新的程序"),
        ),
        _ => Error::internal("数据库迁移失败", cause),
    }
}

/// The body of a function as the newest migration that makes it has it.
pub(super) fn migrated_function(name: &str) -> Option<&'static str> {
    MIGRATIONS.migrations.iter().rev().find_map(|migration| {
        let text = migration.sql.as_str();
        let at = ["CREATE FUNCTION ", "CREATE OR REPLACE FUNCTION "]
            .iter()
            .find_map(|create| text.find(&format!("{create}{name}(")))?;
        text[at..].split("$$").nth(1)
    })
}

/// Does `work` as long as the database answers others meanwhile. A write may take minutes, so it has no limit of its own
/// here; but a database that hangs (frozen, its disk stalled) keeps none of its limits either, and is given up on after 8 s
/// at most. What was committed until then stays.
pub async fn while_answering<T>(pool: &PgPool, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        outcome = work => outcome,
        () = silence(pool) => {
            Err(Error::Unavailable {
                code: "database_unavailable", detail: "数据库没有应答；写入是否完成请稍后查询".to_owned(), cause: None
            })
        }
    }
}

/// Ends once the database has not answered three times in a row, on connections of their own: a full pool is no silence.
async fn silence(pool: &PgPool) {
    let mut misses = 0;
    while misses < 3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let options = pool.connect_options();
        let look = async { PgConnection::connect_with(&options).await?.close().await };
        // An error is an answer too: the work will meet it by itself.
        misses = if tokio::time::timeout(Duration::from_millis(1_500), look).await.is_err() { misses + 1 } else { 0 };
    }
}

const READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
const WRITING: &str = "BEGIN";

/// A transaction that reads one state of the register, whatever is written meanwhile.
pub async fn begin_read(pool: &PgPool) -> Result<Transaction<'static, Postgres>> {
    begin(pool, READING, &[]).await
}

/// [`begin_read`] for somebody: row-level security shows what lies in the own jurisdiction.
pub async fn begin_read_as(pool: &PgPool, viewer: &Viewer) -> Result<Transaction<'static, Postgres>> {
    begin_read_with(pool, viewer, &[]).await
}

/// The same with further settings.
pub(super) async fn begin_read_with(
    pool: &PgPool,
    viewer: &Viewer,
    settings: &[(&str, &str)],
) -> Result<Transaction<'static, Postgres>> {
    let spoken_for = spoken_for(viewer);
    begin(pool, READING, &[&[(JURISDICTION, spoken_for.as_str())], settings].concat()).await
}

/// A transaction with a writer's limits: an import may take minutes, and waits for the writer before it.
pub async fn begin_write(pool: &PgPool) -> Result<Transaction<'static, Postgres>> {
    begin(pool, WRITING, WRITERS_LIMITS).await
}

/// [`begin_write`] for somebody: row-level security refuses what lies outside the own jurisdiction.
pub async fn begin_write_as(pool: &PgPool, viewer: &Viewer) -> Result<Transaction<'static, Postgres>> {
    begin_write_with(pool, viewer, &[]).await
}

/// [`begin_write_as`] for one that asks the same of single records at each time.
pub async fn begin_edit_as(pool: &PgPool, viewer: &Viewer) -> Result<Transaction<'static, Postgres>> {
    begin_write_with(pool, viewer, &[PLAN_ONCE]).await
}

async fn begin_write_with(
    pool: &PgPool,
    viewer: &Viewer,
    settings: &[(&str, &str)],
) -> Result<Transaction<'static, Postgres>> {
    let spoken_for = spoken_for(viewer);
    begin(pool, WRITING, &[WRITERS_LIMITS, &[(JURISDICTION, spoken_for.as_str())], settings].concat()).await
}

/// A transaction with settings of its own, by one way to the database and back.
async fn begin(pool: &PgPool, how: &str, settings: &[(&str, &str)]) -> Result<Transaction<'static, Postgres>> {
    let settings = settings.iter().map(|(name, value)| format!("; SET LOCAL {name} = {}", text_literal(value)));
    let statement = std::iter::once(how.to_owned()).chain(settings).collect::<String>();
    Ok(pool.begin_with(AssertSqlSafe(statement)).await?)
}

/// Any text as a literal, whatever `standard_conforming_strings` says.
pub(super) fn text_literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Whom a transaction speaks for, to its end: the next one on this connection speaks for nobody.
const JURISDICTION: &str = "sizhi.jurisdiction";

const WRITERS_LIMITS: &[(&str, &str)] =
    &[("statement_timeout", "300s"), ("lock_timeout", "30s"), ("work_mem", "64MB"), (IDLING, WRITER_IDLING)];

/// Statements of the transaction are planned once for a connection and not for the very values that are bound: for those by a key, which
/// are found no otherwise whatever it is, and take much less time than their planning.
pub(super) const PLAN_ONCE: (&str, &str) = ("plan_cache_mode", "force_generic_plan");

fn spoken_for(viewer: &Viewer) -> String {
    // The public has none, whatever a hand-made viewer says.
    if viewer.role == Role::Public { String::new() } else { viewer.jurisdiction.setting() }
}

/// Lets the rest of this transaction, or what comes before the next call, speak for this viewer.
pub async fn speak_for(connection: &mut PgConnection, viewer: &Viewer) -> Result<()> {
    sqlx::query("SELECT set_config($1, $2, true)")
        .bind(JURISDICTION)
        .bind(spoken_for(viewer))
        .execute(connection)
        .await?;
    Ok(())
}

/// How long a writer's transaction may wait for its client.
pub const WRITER_IDLING: &str = "120s";

pub(super) const IDLING: &str = "idle_in_transaction_session_timeout";

/// Lets this transaction wait for its client so long between two statements.
pub async fn bear_idling(connection: &mut PgConnection, patience: &str) -> Result<()> {
    sqlx::query("SELECT set_config($1, $2, true)").bind(IDLING).bind(patience).execute(connection).await?;
    Ok(())
}
