//! The log of exports of internal layers: append only, and outside of revisions, since nothing of the register changes.

use sqlx::PgPool;

use crate::error::Result;

/// One export.
#[derive(Debug, Clone)]
pub struct ExportEntry<'a> {
    /// `account:zhang`, `http:admin`, `cli:root`.
    pub actor: &'a str,
    pub layer: &'a str,
    /// The parameters as asked.
    pub filter: &'a str,
    pub format: &'a str,
    pub rows: u64,
    /// Where the request came from; empty for the command line.
    pub address: &'a str,
}

/// Writes the entry; on return it stands, whatever becomes of the export.
pub async fn log_export(pool: &PgPool, entry: &ExportEntry<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO export_log (actor, layer, filter, format, row_count, address) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(entry.actor)
    .bind(entry.layer)
    .bind(entry.filter)
    .bind(entry.format)
    .bind(i64::try_from(entry.rows).unwrap_or(i64::MAX))
    .bind(entry.address)
    .execute(pool)
    .await?;
    Ok(())
}
