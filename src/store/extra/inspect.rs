//! What the database's catalogue says of a table that is to be a layer.

use sqlx::{AssertSqlSafe, PgConnection};

use super::relation;
use crate::domain::extra_layer::{ColumnFacts, DeclaredLayer, ShapeFacts, TableFacts, TableKind};
use crate::domain::layer::{GeometryKind, Layer};
use crate::error::Result;

/// Tables and views of the register in `public`: what they show has its own layers, and accounts and the log are nobody's layer. A test
/// holds the list against the migrations.
pub const OWN: &[&str] = &[
    "_sqlx_migrations",
    "account",
    "account_event",
    "api_token",
    "attachment",
    "attachment_content",
    "block_lineage",
    "boundary_change",
    "boundary_change_block",
    "boundary_change_step",
    "calendar_day",
    "change",
    "conflict",
    "conflict_audit",
    "conflict_mark",
    "control_zone",
    "control_zone_default",
    "control_zone_kind",
    "directory_entry",
    "directory_publication",
    "directory_version",
    "division",
    "export_log",
    "extra_change",
    "extra_layer",
    "idempotency_key",
    "import_batch",
    "known_zone_kind",
    "layer_control_zones",
    "layer_divisions",
    "layer_low_efficiency_parcels",
    "layer_park_blocks",
    "layer_parks",
    "layer_redevelopment_plans",
    "layer_turnover_parcels",
    "login_failure",
    "low_efficiency_criteria_set",
    "low_efficiency_criterion",
    "low_efficiency_parcel",
    "overlap_check",
    "overlap_finding",
    "overlap_mark",
    "overlap_subject",
    "parcel_lineage",
    "parcel_transition",
    "park",
    "park_block",
    "park_event",
    "plan_step",
    "protected_table",
    "redevelopment_plan",
    "revision",
    "scenario",
    "session",
    "tracked_table",
    "turnover_parcel",
    "webhook",
    "webhook_delivery",
];

/// The table of this name, or `None` where there is none.
pub async fn inspect(connection: &mut PgConnection, declared: &DeclaredLayer) -> Result<Option<TableFacts>> {
    type Found = (i64, String, String, bool, bool, Option<String>, bool, bool, String, String);
    let found: Option<Found> = sqlx::query_as(
        "SELECT c.oid::bigint, format('%I.%I', n.nspname, c.relname),
                CASE WHEN c.relkind = 'v' THEN 'view' WHEN c.relkind = 'm' THEN 'materialised'
                     WHEN c.relkind = 'r' AND NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)) THEN 'table'
                     ELSE 'composite' END,
                n.nspname IN ('pg_catalog', 'information_schema', 'as_of', 'pg_toast') OR n.nspname = 'public' AND c.relname = ANY ($3)
                    OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'),
                has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
                nullif(btrim(obj_description(c.oid, 'pg_class')), ''),
                has_table_privilege(c.oid, 'TRIGGER'), pg_has_role(c.relowner, 'USAGE'),
                quote_ident(n.nspname), quote_ident(current_user)
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'v', 'm', 'f', 'p')",
    )
    .bind(&declared.schema)
    .bind(&declared.table)
    .bind(OWN)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((oid, quoted, kind, is_reserved, readable, comment, may_trigger, is_owner, schema, user)) = found else {
        return Ok(None);
    };
    let mut columns = columns(&mut *connection, oid).await?;
    if readable && !is_reserved {
        for column in &mut columns {
            find_systems(&mut *connection, &quoted, column).await?;
        }
    }
    let unknown_srids = unknown_systems(&mut *connection, declared, &columns).await?;
    let remedy =
        |right: &str| format!("GRANT USAGE ON SCHEMA {schema} TO {user}; GRANT {right} ON {quoted} TO {user};");
    Ok(Some(TableFacts {
        kind: match kind.as_str() {
            "view" => TableKind::View,
            "materialised" => TableKind::MaterialisedView,
            "table" => TableKind::Table,
            _ => TableKind::Composite,
        },
        is_reserved,
        comment,
        columns,
        unreadable: (!readable).then(|| remedy("SELECT")),
        untriggered: (!may_trigger && !is_owner).then(|| remedy("SELECT, TRIGGER")),
        unknown_srids,
        quoted,
    }))
}

/// Its columns; a type over another (CREATE DOMAIN) is told by the one below.
async fn columns(connection: &mut PgConnection, oid: i64) -> Result<Vec<ColumnFacts>> {
    type Row = (String, String, String, String, bool, bool, Option<String>, bool, bool, Option<String>, i32, i32);
    let rows: Vec<Row> = sqlx::query_as(
        "WITH RECURSIVE kinds AS (
             SELECT a.attnum, a.atttypid AS type, a.atttypmod AS modifier FROM pg_attribute a
             WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
             UNION ALL
             SELECT k.attnum, t.typbasetype, CASE WHEN k.modifier = -1 THEN t.typtypmod ELSE k.modifier END
             FROM kinds k JOIN pg_type t ON t.oid = k.type WHERE t.typtype = 'd')
         SELECT a.attname::text, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), coalesce(e.typname, t.typname)::text,
                e.oid IS NOT NULL, coalesce(e.typtype, t.typtype) = 'e', nullif(btrim(col_description(a.attrelid, a.attnum)), ''),
                a.attnotnull AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid AND i.indimmediate
                    AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum),
                EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum),
                CASE WHEN t.typname IN ('geometry', 'geography') THEN t.typname || ' ' || coalesce(postgis_typmod_type(k.modifier), 'Geometry') END,
                CASE WHEN t.typname = 'geometry' THEN coalesce(postgis_typmod_srid(k.modifier), 0)
                     WHEN t.typname = 'geography' THEN coalesce(nullif(postgis_typmod_srid(k.modifier), 0), 4326) ELSE 0 END,
                CASE WHEN t.typname = 'geometry' THEN coalesce(postgis_typmod_dims(k.modifier), 0) ELSE 0 END
         FROM pg_attribute a JOIN kinds k ON k.attnum = a.attnum JOIN pg_type t ON t.oid = k.type AND t.typtype <> 'd'
         LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
         WHERE a.attrelid = $1::oid ORDER BY a.attnum",
    )
    .bind(oid)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(column).collect())
}

fn column(
    row: (String, String, String, String, bool, bool, Option<String>, bool, bool, Option<String>, i32, i32),
) -> ColumnFacts {
    let (name, quoted, sql_type, base, is_array, is_enum, comment, is_unique, is_primary, shapes, srid, dimensions) =
        row;
    let shapes = shapes.map(|words| {
        let (of, kind) = words.split_once(' ').unwrap_or((words.as_str(), ""));
        let name = kind.trim_end_matches(['Z', 'M']);
        let plain = ["Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"];
        let is_plain = of == "geometry" && dimensions == 2 && plain.contains(&name);
        ShapeFacts { kind: GeometryKind::parse(name), is_plain, srid, found: Vec::new() }
    });
    ColumnFacts { name, quoted, sql_type, base, is_array, is_enum, comment, is_unique, is_primary, shapes }
}

/// The systems of shapes whose column names none.
async fn find_systems(connection: &mut PgConnection, table: &str, column: &mut ColumnFacts) -> Result<()> {
    let Some(shapes) = column.shapes.as_mut().filter(|shapes| shapes.srid == 0) else { return Ok(()) };
    let name = &column.quoted;
    let sql = format!("SELECT DISTINCT ST_SRID({name}) FROM {table} WHERE {name} IS NOT NULL ORDER BY 1");
    shapes.found = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await?;
    Ok(())
}

async fn unknown_systems(
    connection: &mut PgConnection,
    declared: &DeclaredLayer,
    columns: &[ColumnFacts],
) -> Result<Vec<i32>> {
    let shapes = columns.iter().filter_map(|column| column.shapes.as_ref());
    let named = shapes.flat_map(|shapes| shapes.found.iter().copied().chain([shapes.srid])).chain(declared.srid);
    let named: Vec<i32> = named.filter(|srid| *srid != 0).collect();
    let sql = "SELECT s FROM unnest($1::int[]) s WHERE s NOT IN (SELECT srid FROM spatial_ref_sys)";
    Ok(sqlx::query_scalar(sql).bind(named).fetch_all(connection).await?)
}

/// What only the rows can tell of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowFacts {
    /// Rows without a key, or with one that another has.
    pub without_own_key: i64,
    /// Rows with a shape that cannot be shown.
    pub without_shape: i64,
}

/// Counts them, over all rows whoever may see them.
pub async fn count_oddities(connection: &mut PgConnection, layer: &Layer, key_is_unproven: bool) -> Result<RowFacts> {
    let Some(extra) = layer.extra else { return Ok(RowFacts { without_own_key: 0, without_shape: 0 }) };
    let key = extra.key.quoted;
    let table = extra.table;
    let without_own_key = if key_is_unproven {
        let sql = format!("SELECT count(*) - count(DISTINCT {key}) FROM {table}");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *connection).await?
    } else {
        0
    };
    let transformed = extra
        .geometry
        .filter(|shape| matches!(shape.reading, crate::domain::extra_layer::ShapeReading::Transformed { .. }));
    let without_shape = match transformed {
        Some(shape) => {
            let sql = format!(
                "SELECT count(*) FROM {table} t WHERE t.{} IS NOT NULL AND {} IS NULL",
                shape.column.quoted,
                super::shape(extra)
            );
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *connection).await?
        }
        None => 0,
    };
    Ok(RowFacts { without_own_key, without_shape })
}

/// Reads one row as the service will: what stands against it, in the database's words.
pub async fn try_read(connection: &mut PgConnection, layer: &Layer) -> Result<std::result::Result<(), String>> {
    let Some(extra) = layer.extra else { return Ok(Ok(())) };
    let sql = format!("SELECT 1 FROM (SELECT * FROM {} LIMIT 1) x", relation(layer, extra));
    match sqlx::query(AssertSqlSafe(sql)).execute(connection).await {
        Ok(_) => Ok(Ok(())),
        Err(sqlx::Error::Database(refused)) => Ok(Err(refused.message().to_owned())),
        Err(other) => Err(other.into()),
    }
}
