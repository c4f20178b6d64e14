//! Revisions: one per write transaction, numbered in commit order, hash-chained by the database.

use sqlx::PgConnection;

use crate::error::Result;

/// Takes the register's write lock, held to the end of the transaction. [`open`] takes it too; take it earlier where
/// a look at the register must still be true when the write happens.
pub async fn lock(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock(7226041, 1)").execute(connection).await?;
    Ok(())
}

/// Opens this transaction's revision and returns its number. Writes before this are refused by the database.
pub async fn open(connection: &mut PgConnection, actor: &str, reason: &str, source: &str) -> Result<i64> {
    let number = sqlx::query_scalar("SELECT open_revision($1, $2, $3)")
        .bind(actor)
        .bind(reason)
        .bind(source)
        .fetch_one(connection)
        .await?;
    Ok(number)
}
