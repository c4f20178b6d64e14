//! The role that the service works as: rows of the register yes; tables, triggers and the log no.
//!
//! Granted after every migration, not by one: roles belong to the cluster, and a backup brings no grants along.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::error::Result;

/// The role without a login that the service's connections take on.
pub const APPLICATION_ROLE: &str = "sizhi_app";

/// Whether the service can work as [`APPLICATION_ROLE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Ready,
    /// The role is missing, or this database user may not take it on: what a superuser has to run.
    Missing {
        remedy: String,
    },
}

/// Makes the role where it is missing and `member` may take it on, and lets the planner ask the index of a protected table
/// before its policy. Each step needs a right that the user may lack; then it is left out, and [`grant`] tells.
///
/// `&&`, `@` and `~` compare two boxes and quote neither: leak-proof in PostgreSQL's sense.
pub async fn prepare(connection: &mut PgConnection, member: &str) -> Result<()> {
    let steps = [
        format!(
            "IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{APPLICATION_ROLE}') THEN CREATE ROLE {APPLICATION_ROLE} NOLOGIN; END IF"
        ),
        format!(
            "IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{APPLICATION_ROLE}')
                AND NOT pg_has_role({member}, '{APPLICATION_ROLE}', 'MEMBER') THEN
                 EXECUTE format('GRANT {APPLICATION_ROLE} TO %I', {member});
             END IF"
        ),
        "FOREACH name IN ARRAY ARRAY['geometry_overlaps', 'geometry_within', 'geometry_contains'] LOOP
             IF EXISTS (SELECT 1 FROM pg_proc WHERE oid = to_regprocedure(name || '(geometry,geometry)') AND NOT proleakproof) THEN
                 EXECUTE 'ALTER FUNCTION ' || name || '(geometry,geometry) LEAKPROOF';
             END IF;
         END LOOP"
            .to_owned(),
    ];
    for step in steps {
        // duplicate_object, unique_violation: another database of the cluster was quicker.
        let block = format!(
            "DO $$ DECLARE name text; BEGIN {step}; EXCEPTION WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN NULL; END $$"
        );
        sqlx::raw_sql(AssertSqlSafe(block)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Gives the role what it needs and no more; does nothing where that is so already.
pub async fn grant(connection: &mut PgConnection) -> Result<Standing> {
    if !is_granted(connection).await? {
        let mut transaction = connection.begin().await?;
        // Two starting servers would trip over each other's grants.
        sqlx::query("SELECT pg_advisory_xact_lock(7226041, 2)").execute(&mut *transaction).await?;
        prepare(&mut transaction, "current_user").await?;
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1)")
            .bind(APPLICATION_ROLE)
            .fetch_one(&mut *transaction)
            .await?;
        if exists {
            sqlx::raw_sql(AssertSqlSafe(grants())).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
    }
    standing(connection).await
}

/// Append only for the service: the log by its functions alone; the logs of accounts and exports, what attachments hold and what is said of findings by inserts.
fn grants() -> String {
    let role = APPLICATION_ROLE;
    format!(
        "GRANT USAGE ON SCHEMA public, as_of TO {role};
         GRANT SELECT ON ALL TABLES IN SCHEMA as_of TO {role};
         ALTER DEFAULT PRIVILEGES IN SCHEMA as_of GRANT SELECT ON TABLES TO {role};
         DO $$ BEGIN
             IF has_schema_privilege('{role}', 'public', 'CREATE') THEN REVOKE CREATE ON SCHEMA public FROM PUBLIC; END IF;
         EXCEPTION WHEN insufficient_privilege THEN NULL; END $$;
         DO $$ DECLARE relation regclass; BEGIN
             FOR relation IN SELECT oid FROM pg_class
                 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm') AND pg_has_role(current_user, relowner, 'USAGE')
                     AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = pg_class.oid AND d.deptype = 'e') LOOP
                 EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO {role}', relation);
             END LOOP;
         END $$;
         REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON revision, change, tracked_table, protected_table FROM {role};
         REVOKE UPDATE, DELETE, TRUNCATE ON account_event, export_log, attachment_content, overlap_mark, conflict_mark FROM {role};
         REVOKE ALL ON _sqlx_migrations FROM {role};
         REVOKE EXECUTE ON FUNCTION seal_revision() FROM PUBLIC, {role};
         DO $$ DECLARE function regprocedure; BEGIN
             FOR function IN SELECT format('log_changes_of_%I()', name) FROM tracked_table LOOP
                 EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC, {role}', function);
             END LOOP;
         END $$;
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role};
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO {role};"
    )
}

/// True where every table of ours is granted and the log is not.
async fn is_granted(connection: &mut PgConnection) -> Result<bool> {
    let granted = "SELECT coalesce(bool_and(CASE
             WHEN c.relname IN ('revision', 'change', 'tracked_table', 'protected_table')
                 THEN has_table_privilege(r.oid, c.oid, 'SELECT') AND NOT has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
             WHEN c.relname IN ('account_event', 'export_log', 'attachment_content', 'overlap_mark', 'conflict_mark')
                 THEN has_table_privilege(r.oid, c.oid, 'INSERT') AND NOT has_table_privilege(r.oid, c.oid, 'UPDATE, DELETE, TRUNCATE')
             WHEN c.relname = '_sqlx_migrations' THEN NOT has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE')
             ELSE has_table_privilege(r.oid, c.oid, 'SELECT') AND has_table_privilege(r.oid, c.oid, 'INSERT')
                 AND has_table_privilege(r.oid, c.oid, 'UPDATE') AND has_table_privilege(r.oid, c.oid, 'DELETE') END), false)
             AND bool_and(pg_has_role(current_user, r.oid, 'MEMBER'))
             AND bool_and(NOT has_schema_privilege(r.oid, 'public', 'CREATE'))
             AND bool_and(NOT EXISTS (SELECT FROM tracked_table t WHERE has_function_privilege(r.oid, format('log_changes_of_%I()', t.name), 'EXECUTE')))
             AND bool_and(has_schema_privilege(r.oid, 'as_of', 'USAGE'))
             AND bool_and((SELECT bool_and(has_table_privilege(r.oid, v.oid, 'SELECT')) FROM pg_class v
                           WHERE v.relnamespace = 'as_of'::regnamespace AND v.relkind = 'v'))
         FROM pg_roles r, pg_class c
         WHERE r.rolname = $1 AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'm')
           AND pg_has_role(current_user, c.relowner, 'USAGE')
           AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";
    let granted: Option<bool> = sqlx::query_scalar(granted).bind(APPLICATION_ROLE).fetch_one(&mut *connection).await?;
    Ok(granted.unwrap_or(false))
}

/// Whether this database user may take the role on.
pub(super) async fn standing(connection: &mut PgConnection) -> Result<Standing> {
    let (user, member): (String, bool) = sqlx::query_as(
        "SELECT current_user::text, coalesce((SELECT pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = $1), false)",
    )
    .bind(APPLICATION_ROLE)
    .fetch_one(&mut *connection)
    .await?;
    if member {
        return Ok(Standing::Ready);
    }
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1)")
        .bind(APPLICATION_ROLE)
        .fetch_one(connection)
        .await?;
    let create = if exists { String::new() } else { format!("CREATE ROLE {APPLICATION_ROLE} NOLOGIN; ") };
    let quoted = user.replace('"', "\"\"");
    Ok(Standing::Missing { remedy: format!("{create}GRANT {APPLICATION_ROLE} TO \"{quoted}\";") })
}
