//! Lets the service's role read the operator's tables.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::domain::extra_layer::ExtraTable;
use crate::error::Result;
use crate::store::roles::APPLICATION_ROLE;

/// Gives the role what it needs to read the table. Where the database user may not give it, what its owner has to run.
pub async fn admit(connection: &mut PgConnection, extra: &ExtraTable) -> Result<Option<String>> {
    let found: Option<(bool, String)> = sqlx::query_as(
        "SELECT has_schema_privilege(r.oid, n.oid, 'USAGE') AND has_table_privilege(r.oid, c.oid, 'SELECT'), quote_ident(n.nspname)
         FROM pg_roles r, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE r.rolname = $1 AND c.oid = $2::regclass",
    )
    .bind(APPLICATION_ROLE)
    .bind(extra.table)
    .fetch_optional(&mut *connection)
    .await?;
    // No such role: the service works as the database user, and says so at start.
    let Some((false, schema)) = found else { return Ok(None) };
    let grants = format!(
        "GRANT USAGE ON SCHEMA {schema} TO {APPLICATION_ROLE}; GRANT SELECT ON {} TO {APPLICATION_ROLE};",
        extra.table
    );
    // A user without the right is refused, or warned that nothing was given.
    let block = format!("DO $admit$ BEGIN {grants} EXCEPTION WHEN insufficient_privilege THEN NULL; END $admit$");
    sqlx::raw_sql(AssertSqlSafe(block)).execute(&mut *connection).await?;
    let given: bool = sqlx::query_scalar(
        "SELECT has_schema_privilege($1, c.relnamespace, 'USAGE') AND has_table_privilege($1, c.oid, 'SELECT') FROM pg_class c WHERE c.oid = $2::regclass",
    )
    .bind(APPLICATION_ROLE)
    .bind(extra.table)
    .fetch_one(connection)
    .await?;
    Ok((!given).then_some(grants))
}
