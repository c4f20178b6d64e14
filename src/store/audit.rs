//! Verifying the revision log: digests, hashes, order, the current tables against the log's last word, and what attachments hold.

use sqlx::{AssertSqlSafe, PgConnection};

use super::{attachments, pool, roles};
use crate::error::Result;

/// The outcome of a verification.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditReport {
    pub revisions: i64,
    pub changes: i64,
    /// Contents of attachments, each hashed.
    pub contents: i64,
    pub first_bad: Option<BadRow>,
    /// Attachments whose content is gone or altered, by the order in which they were added.
    pub broken_contents: Vec<BadRow>,
}

/// The first row that is not what the log says it was.
#[derive(Debug, Clone, PartialEq)]
pub struct BadRow {
    pub revision: Option<i64>,
    pub ordinal: Option<i32>,
    pub layer: Option<String>,
    pub feature_id: Option<String>,
    /// Stable word: `change_altered`, `revision_altered`, `chain_broken`, `number_gap`, `changes_missing`,
    /// `changes_orphaned`, `not_sealed`, `row_differs_from_log`, `guard_altered`; of attachments `content_missing`, `content_altered`.
    pub what: String,
}

impl BadRow {
    /// A Chinese sentence that names the row.
    pub fn message(&self) -> String {
        let what = match self.what.as_str() {
            "change_altered" => "变更记录的内容被改动",
            "changes_missing" => "变更记录缺失、多出或次序被改动",
            "changes_orphaned" => "变更记录所属的修订不存在",
            "revision_altered" => "修订记录的内容被改动",
            "chain_broken" => "与前一修订的哈希链断开",
            "number_gap" => "修订号不连续，中间的修订被删除",
            "not_sealed" => "修订没有封存",
            "guard_altered" => "守护修订日志的触发器或函数被停用、删除或改动",
            "content_missing" => "附件的内容缺失",
            "content_altered" => "附件的内容与登记时的校验值（SHA-256）不符",
            "row_differs_from_log" => "当前表中的行与日志最后一次记录不一致",
            other => other,
        };
        let mut place = Vec::new();
        if let Some(revision) = self.revision {
            place.push(format!("修订 {revision}"));
        }
        if let Some(ordinal) = self.ordinal {
            place.push(format!("第 {ordinal} 条变更"));
        }
        if let (Some(layer), Some(id)) = (&self.layer, &self.feature_id) {
            place.push(format!("{layer} 的 {id}"));
        }
        format!("{}：{what}", place.join("，"))
    }
}

type BadTuple = (Option<i64>, Option<i32>, Option<String>, Option<String>, String);

/// The tables under the log: name, what a change calls a row `n`, and the columns of its key. Not asked of the database,
/// whose own list may have been altered.
const TRACKED: [(&str, &str, &[&str]); 22] = [
    ("division", "n.code", &["code"]),
    ("park", "n.code", &["code"]),
    ("directory_version", "n.id", &["id"]),
    ("directory_entry", "n.version_id || '@' || n.park_code", &["version_id", "park_code"]),
    ("park_block", "n.id", &["id", "valid_from"]),
    ("park_event", "n.id", &["id"]),
    ("turnover_parcel", "n.id", &["id", "valid_from"]),
    ("low_efficiency_parcel", "n.id", &["id", "valid_from"]),
    ("redevelopment_plan", "n.id", &["id", "valid_from"]),
    ("plan_step", "n.id", &["id"]),
    ("parcel_transition", "n.ledger || '@' || n.record_id || '@' || n.ordinal", &["ledger", "record_id", "ordinal"]),
    ("parcel_lineage", "n.ledger || '@' || n.parent_id || '@' || n.child_id", &["ledger", "parent_id", "child_id"]),
    ("low_efficiency_criteria_set", "n.id", &["id"]),
    ("low_efficiency_criterion", "n.id", &["id"]),
    ("control_zone_kind", "n.code", &["code"]),
    ("control_zone", "n.id", &["id"]),
    ("attachment", "n.ledger || '@' || n.record_id || '@' || n.ordinal", &["ledger", "record_id", "ordinal"]),
    ("boundary_change", "n.id", &["id"]),
    ("boundary_change_block", "n.change_id || '@' || n.number", &["change_id", "number"]),
    ("boundary_change_step", "n.change_id || '@' || n.ordinal", &["change_id", "ordinal"]),
    ("block_lineage", "n.event_id || '@' || n.parent_id || '@' || n.child_id", &["event_id", "parent_id", "child_id"]),
    ("directory_publication", "n.version_id", &["version_id"]),
];

/// The log of accounts.
const ACCOUNT_LOG: &str = "account_event";

/// Triggers beyond the five of each tracked table, and what they call.
const GUARDS: [(&str, &str, &str); 18] = [
    (ACCOUNT_LOG, "account_event_append_only", "refuse_account_event_change"),
    (ACCOUNT_LOG, "account_event_no_truncate", "refuse_account_event_change"),
    ("attachment_content", "attachment_content_append_only", "refuse_log_change"),
    ("change", "change_append_only", "refuse_log_change"),
    ("change", "change_no_truncate", "refuse_log_change"),
    ("export_log", "export_log_append_only", "refuse_log_change"),
    ("revision", "revision_append_only", "refuse_log_change"),
    ("revision", "revision_no_truncate", "refuse_log_change"),
    ("revision", "revision_seal", "seal_revision"),
    ("park", "park_unused_delete", "check_parks_unused"),
    ("park_block", "park_block_fits_insert", "check_blocks_fit"),
    ("park_block", "park_block_fits_update", "check_blocks_fit"),
    ("turnover_parcel", "turnover_parcel_fits_insert", "check_lives_apart"),
    ("turnover_parcel", "turnover_parcel_fits_update", "check_lives_apart"),
    ("low_efficiency_parcel", "low_efficiency_parcel_fits_insert", "check_lives_apart"),
    ("low_efficiency_parcel", "low_efficiency_parcel_fits_update", "check_lives_apart"),
    ("redevelopment_plan", "redevelopment_plan_fits_insert", "check_lives_apart"),
    ("redevelopment_plan", "redevelopment_plan_fits_update", "check_lives_apart"),
];

/// Functions that write the log or keep it.
const FUNCTIONS: [&str; 13] = [
    "change_digest",
    "check_blocks_fit",
    "check_lives_apart",
    "check_parks_unused",
    "current_revision",
    "open_revision",
    "refuse_account_event_change",
    "refuse_log_change",
    "revision_hash",
    "row_columns",
    "row_geometry",
    "seal_revision",
    "stamp_revision",
];

/// What makes the functions that copy a table's rows to the log; before migration 14 one function did it for all tables.
const LOG_TEMPLATE: &str = "log_function_body";
const OLD_LOG_FUNCTION: &str = "log_changes";

/// The ones that write the log with their owner's rights, and whose names nobody can bend meanwhile.
const OWNERS_RIGHTS: [&str; 3] = [OLD_LOG_FUNCTION, "open_revision", "seal_revision"];
const SEARCH_PATH: &str = "search_path=pg_catalog, public, pg_temp";
/// And how the statements of the functions of the tables are planned.
const JOINS: [&str; 3] = ["enable_nestloop=off", "enable_hashjoin=on", "enable_mergejoin=on"];

/// Recomputes everything, by statements of its own: a function of the database may have been altered too. Run it in a
/// transaction of its own without a statement limit: it reads the whole log.
pub async fn verify(connection: &mut PgConnection) -> Result<AuditReport> {
    // One snapshot for all the looks, so that a write meanwhile is no false alarm.
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(&mut *connection).await?;
    sqlx::query("SELECT set_config('statement_timeout', '0', true)").execute(&mut *connection).await?;
    let (revisions, changes): (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM revision), (SELECT count(*) FROM change)")
            .fetch_one(&mut *connection)
            .await?;
    let (contents, broken_contents) = attachments::broken_contents(&mut *connection).await?;
    let first_bad = first_bad(connection).await?.or_else(|| broken_contents.first().cloned());
    Ok(AuditReport { revisions, changes, contents, first_bad, broken_contents })
}

async fn first_bad(connection: &mut PgConnection) -> Result<Option<BadRow>> {
    for check in CHECKS {
        let found: Option<BadTuple> = sqlx::query_as(check).fetch_optional(&mut *connection).await?;
        if let Some(found) = found {
            return Ok(Some(bad_row(found)));
        }
    }
    let mut differing = Vec::new();
    for (table, feature_id, keys) in TRACKED {
        let columns: Vec<String> = sqlx::query_scalar(
            "SELECT quote_ident(attname) FROM pg_attribute
             WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        )
        .bind(table)
        .fetch_all(&mut *connection)
        .await?;
        let statement = difference(table, feature_id, keys, &columns);
        let found: Option<BadTuple> = sqlx::query_as(AssertSqlSafe(statement)).fetch_optional(&mut *connection).await?;
        differing.extend(found);
    }
    differing.sort();
    if let Some(first) = differing.into_iter().next() {
        return Ok(Some(bad_row(first)));
    }
    altered_guard(connection).await
}

fn bad_row((revision, ordinal, layer, feature_id, what): BadTuple) -> BadRow {
    BadRow { revision, ordinal, layer, feature_id, what }
}

const CHECKS: [&str; 3] = [
    // A row of the log whose content does not give its own digest (`change_digest` of the migrations, in full).
    "SELECT revision, ordinal, layer, feature_id, 'change_altered'
     FROM change
     WHERE digest IS DISTINCT FROM sha256(convert_to(
        concat(revision, '|', ordinal, '|', length(layer), '|', layer, '|', length(feature_id), '|', feature_id, '|', operation, '|',
               length(before_geom), '|', length(after_geom), '|', octet_length(before::text), E'\n', before, E'\n', after, E'\n'), 'UTF8')
        || coalesce(before_geom, '') || coalesce(after_geom, ''))
     ORDER BY revision, ordinal LIMIT 1",
    // A revision whose head, place in the chain, or set of changes is not what was sealed (`revision_hash`, in full).
    "WITH digests AS (
         SELECT revision, count(*)::integer AS n, max(ordinal) AS top, string_agg(digest, ''::bytea ORDER BY ordinal) AS all_digests
         FROM change GROUP BY revision),
     chain AS (
         SELECT r.*, lag(r.hash, 1, sha256(convert_to('sizhi', 'UTF8'))) OVER (ORDER BY r.number) AS hash_before,
                row_number() OVER (ORDER BY r.number) AS position
         FROM revision r),
     judged AS (
         SELECT c.number, CASE
             WHEN c.number <> c.position THEN 'number_gap'
             WHEN c.hash IS NULL THEN 'not_sealed'
             WHEN c.previous_hash <> c.hash_before THEN 'chain_broken'
             WHEN c.change_count <> coalesce(d.n, 0) OR coalesce(d.top, 0) <> coalesce(d.n, 0) THEN 'changes_missing'
             -- Infinity has no microseconds to hash.
             WHEN NOT isfinite(c.made_at) THEN 'revision_altered'
             WHEN c.hash <> sha256(
                 c.previous_hash
                 || convert_to(jsonb_build_array(c.number, (extract(epoch FROM c.made_at) * 1000000)::bigint, c.actor, c.reason, c.source,
                                                 c.change_count)::text, 'UTF8')
                 || coalesce(d.all_digests, ''::bytea)) THEN 'revision_altered'
         END AS what
         FROM chain c LEFT JOIN digests d ON d.revision = c.number
         UNION ALL
         SELECT d.revision, 'changes_orphaned' FROM digests d WHERE NOT EXISTS (SELECT 1 FROM revision r WHERE r.number = d.revision))
     SELECT number, NULL::integer, NULL::text, NULL::text, what FROM judged WHERE what IS NOT NULL ORDER BY number LIMIT 1",
    // A batch that points behind the end of the log: its newest revisions have been taken away.
    "SELECT revision, NULL::integer, NULL::text, NULL::text, 'number_gap'
     FROM (SELECT revision FROM import_batch UNION ALL SELECT undone_revision FROM import_batch) pointed
     WHERE revision > (SELECT coalesce(max(number), 0) FROM revision) ORDER BY 1 LIMIT 1",
];

/// A current row that is not the log's last word on it, or that one of them lacks.
fn difference(table: &str, feature_id: &str, keys: &[&str], columns: &[String]) -> String {
    let plain: Vec<String> = columns.iter().filter(|c| *c != "geom").map(|c| format!("n.{c}")).collect();
    let geometry = if columns.iter().any(|c| c == "geom") { "n.geom::bytea" } else { "NULL::bytea" };
    let key_of_row = keys.iter().map(|k| format!("n.{k}::text")).collect::<Vec<_>>().join(" || '@' || ");
    let key_of_change =
        keys.iter().map(|k| format!("(coalesce(c.after, c.before) ->> '{k}')")).collect::<Vec<_>>().join(" || '@' || ");
    format!(
        "SELECT l.revision, l.ordinal, '{table}', coalesce(l.feature_id, s.feature_id), 'row_differs_from_log'
         FROM (SELECT {feature_id} AS feature_id, {key_of_row} AS key, row_to_json(x) AS image, {geometry} AS geometry
               FROM {table} n, LATERAL (SELECT {}) x) s
         FULL JOIN (SELECT DISTINCT ON ({key_of_change}) c.feature_id, {key_of_change} AS key, c.after, c.after_geom, c.revision, c.ordinal
                    FROM change c WHERE c.layer = '{table}' ORDER BY {key_of_change}, c.revision DESC, c.ordinal DESC) l
         ON l.key = s.key
         -- A column that a migration added since, and that nobody has filled yet, is no difference.
         WHERE jsonb_strip_nulls(s.image::jsonb) IS DISTINCT FROM jsonb_strip_nulls(l.after::jsonb)
            OR s.geometry IS DISTINCT FROM l.after_geom
         ORDER BY 1, 2, 3, 4 LIMIT 1",
        plain.join(", ")
    )
}

/// What a register has by its age: one that the service has not migrated yet has neither accounts nor the role, nor a function of the
/// log for each table.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
struct Age {
    has_access: bool,
    has_log_functions: bool,
}

impl Age {
    async fn of(connection: &mut PgConnection) -> Result<Self> {
        let sql = "SELECT to_regclass('protected_table') IS NOT NULL AS has_access,
                          to_regprocedure('log_function_body(text, text, text[])') IS NOT NULL AS has_log_functions";
        Ok(sqlx::query_as(sql).fetch_one(connection).await?)
    }

    /// The function that a table's rows are copied to the log by.
    fn log_function(self, table: &str) -> String {
        if self.has_log_functions { format!("log_changes_of_{table}") } else { OLD_LOG_FUNCTION.to_owned() }
    }
}

/// A trigger that is gone, switched off or calls another function, or a function that is not the migrations' own: what is written from
/// then on is logged by nobody.
async fn altered_guard(connection: &mut PgConnection) -> Result<Option<BadRow>> {
    let age = Age::of(connection).await?;
    let altered = |table: &str, name: &str| BadRow {
        revision: None,
        ordinal: None,
        layer: Some(table.to_owned()),
        feature_id: Some(name.to_owned()),
        what: "guard_altered".to_owned(),
    };
    if let Some((table, trigger)) = altered_trigger(connection, age).await? {
        return Ok(Some(altered(&table, &trigger)));
    }
    if let Some(function) = altered_function(connection, age).await? {
        return Ok(Some(altered("pg_proc", &function)));
    }
    if age.has_access
        && let Some(table) = writable_log(connection).await?
    {
        return Ok(Some(altered(&table, roles::APPLICATION_ROLE)));
    }
    Ok(None)
}

/// Of a trigger: its table, its name, the function that it calls, when it fires (`pg_trigger.tgtype`), and whether only on a condition.
type TriggerRow = (String, String, String, i16, bool);

/// After a statement, by what it is: the bits of `pg_trigger.tgtype`.
const AFTER_INSERT: i16 = 1 << 2;
const AFTER_DELETE: i16 = 1 << 3;
const AFTER_UPDATE: i16 = 1 << 4;

async fn altered_trigger(connection: &mut PgConnection, age: Age) -> Result<Option<(String, String)>> {
    let standing: Vec<TriggerRow> = sqlx::query_as(
        "SELECT c.relname::text, t.tgname::text, p.proname::text, t.tgtype, t.tgqual IS NOT NULL OR t.tgattr <> ''
         FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
         WHERE t.tgenabled IN ('O', 'A') AND pg_table_is_visible(c.oid) AND pg_function_is_visible(p.oid)",
    )
    .fetch_all(&mut *connection)
    .await?;
    let calls = |row: &TriggerRow, table: &str, name: &str, function: &str| {
        row.0 == table && row.1 == name && row.2 == function
    };
    for (table, ..) in TRACKED {
        let log = age.log_function(table);
        for (operation, when) in [("insert", AFTER_INSERT), ("update", AFTER_UPDATE), ("delete", AFTER_DELETE)] {
            let name = format!("{table}_log_{operation}");
            let logs = |row: &TriggerRow| calls(row, table, &name, &log) && row.3 == when && !row.4;
            if !standing.iter().any(logs) {
                return Ok(Some((table.to_owned(), name)));
            }
        }
        for (guard, function) in [("stamp", "stamp_revision"), ("no_truncate", "refuse_log_change")] {
            let name = format!("{table}_{guard}");
            if !standing.iter().any(|row| calls(row, table, &name, function)) {
                return Ok(Some((table.to_owned(), name)));
            }
        }
    }
    let others = GUARDS.into_iter().filter(|(table, ..)| age.has_access || *table != ACCOUNT_LOG);
    let is_altered =
        |(table, guard, function): &(&str, &str, &str)| !standing.iter().any(|row| calls(row, table, guard, function));
    Ok(others.into_iter().find(is_altered).map(|(table, guard, _)| (table.to_owned(), guard.to_owned())))
}

/// Body, owner's rights, settings, and whether the log's owner owns it.
type FunctionRow = (String, bool, Option<Vec<String>>, bool);

async fn altered_function(connection: &mut PgConnection, age: Age) -> Result<Option<String>> {
    let of_the_log = if age.has_log_functions { LOG_TEMPLATE } else { OLD_LOG_FUNCTION };
    let functions = FUNCTIONS.into_iter().filter(|name| age.has_access || *name != "refuse_account_event_change");
    for function in functions.chain([of_the_log]) {
        let rights = age.has_access && OWNERS_RIGHTS.contains(&function);
        let config = rights.then(|| vec![SEARCH_PATH.to_owned()]);
        let own = pool::migrated_function(function).map(|body| (body.to_owned(), rights, config, true));
        if own.is_none() || standing_function(connection, function).await? != own {
            return Ok(Some(function.to_owned()));
        }
    }
    if !age.has_log_functions {
        return Ok(None);
    }
    for (table, feature_id, keys) in TRACKED {
        // By the database's own template, which is the migrations' as we have just seen, and so is what it calls.
        let body: String = sqlx::query_scalar("SELECT log_function_body($1, $2, $3)")
            .bind(table)
            .bind(feature_id)
            .bind(keys)
            .fetch_one(&mut *connection)
            .await?;
        let config: Vec<String> = [SEARCH_PATH].into_iter().chain(JOINS).map(str::to_owned).collect();
        let name = age.log_function(table);
        if standing_function(connection, &name).await? != Some((body, true, Some(config), true)) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// The function of this name; `None` where there is none or more than one.
async fn standing_function(connection: &mut PgConnection, name: &str) -> Result<Option<FunctionRow>> {
    let mut standing: Vec<FunctionRow> = sqlx::query_as(
        "SELECT prosrc, prosecdef, proconfig, proowner = (SELECT relowner FROM pg_class WHERE oid = 'change'::regclass)
         FROM pg_proc WHERE proname = $1 AND pg_function_is_visible(oid)",
    )
    .bind(name)
    .fetch_all(connection)
    .await?;
    Ok(if standing.len() == 1 { standing.pop() } else { None })
}

/// A table of the log that the service's role may write by itself (or by a trigger of its own that calls the log's functions), or is not
/// bound by policies of.
async fn writable_log(connection: &mut PgConnection) -> Result<Option<String>> {
    let writable = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c, pg_roles r
         WHERE r.rolname = $1 AND (
             c.oid IN ('revision'::regclass, 'change'::regclass)
                 AND (has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER') OR r.rolsuper)
             OR c.oid = to_regclass('attachment_content')
                 AND (has_table_privilege(r.oid, c.oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER') OR r.rolsuper)
             OR c.oid = 'revision'::regclass AND EXISTS (
                 SELECT FROM pg_proc p WHERE (p.proname LIKE 'log\\_changes%' OR p.proname = 'seal_revision')
                     AND pg_function_is_visible(p.oid) AND has_function_privilege(r.oid, p.oid, 'EXECUTE'))
             OR c.oid = 'change'::regclass AND NOT c.relrowsecurity
             OR c.relname IN (SELECT name FROM protected_table) AND pg_table_is_visible(c.oid) AND NOT c.relrowsecurity)
         ORDER BY 1 LIMIT 1",
    )
    .bind(roles::APPLICATION_ROLE)
    .fetch_optional(connection)
    .await?;
    Ok(writable)
}
