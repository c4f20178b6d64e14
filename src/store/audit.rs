//! Verifying the revision log: digests, hashes, order, and the current tables against the log's last word.

use sqlx::PgConnection;

use crate::error::Result;

/// The outcome of a verification.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditReport {
    pub revisions: i64,
    pub changes: i64,
    pub first_bad: Option<BadRow>,
}

/// The first row that is not what the log says it was.
#[derive(Debug, Clone, PartialEq)]
pub struct BadRow {
    pub revision: Option<i64>,
    pub ordinal: Option<i32>,
    pub layer: Option<String>,
    pub feature_id: Option<String>,
    /// Stable word: `change_altered`, `revision_altered`, `chain_broken`, `number_gap`, `changes_missing`,
    /// `changes_orphaned`, `not_sealed`, `row_differs_from_log`.
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

/// Recomputes everything. Run it in a transaction of its own without a statement limit: it reads the whole log.
pub async fn verify(connection: &mut PgConnection) -> Result<AuditReport> {
    // One snapshot for all the looks, so that a write meanwhile is no false alarm.
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(&mut *connection).await?;
    sqlx::query("SELECT set_config('statement_timeout', '0', true)").execute(&mut *connection).await?;
    let (revisions, changes): (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM revision), (SELECT count(*) FROM change)")
            .fetch_one(&mut *connection)
            .await?;
    let mut first_bad = None;
    for check in CHECKS {
        let bad: Option<BadTuple> = sqlx::query_as(check).fetch_optional(&mut *connection).await?;
        if let Some((revision, ordinal, layer, feature_id, what)) = bad {
            first_bad = Some(BadRow { revision, ordinal, layer, feature_id, what });
            break;
        }
    }
    Ok(AuditReport { revisions, changes, first_bad })
}

const CHECKS: [&str; 3] = [
    // A row of the log whose content does not give its own digest.
    "SELECT revision, ordinal, layer, feature_id, 'change_altered'
     FROM change
     WHERE digest IS DISTINCT FROM change_digest(revision, ordinal, layer, feature_id, operation, before, after)
     ORDER BY revision, ordinal LIMIT 1",
    // A revision whose head, place in the chain, or set of changes is not what was sealed.
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
             WHEN c.hash <> revision_hash(c.number, c.made_at, c.actor, c.reason, c.source, c.previous_hash,
                                          c.change_count, coalesce(d.all_digests, ''::bytea)) THEN 'revision_altered'
         END AS what
         FROM chain c LEFT JOIN digests d ON d.revision = c.number
         UNION ALL
         SELECT d.revision, 'changes_orphaned' FROM digests d WHERE NOT EXISTS (SELECT 1 FROM revision r WHERE r.number = d.revision))
     SELECT number, NULL::integer, NULL::text, NULL::text, what FROM judged WHERE what IS NOT NULL ORDER BY number LIMIT 1",
    // A current row that is not the log's last word on it, or that one of them lacks.
    "WITH standing AS (
         SELECT 'division' AS layer, code AS feature_id, code AS key, to_jsonb(t) AS j, geom FROM division t
         UNION ALL SELECT 'park', code, code, to_jsonb(t), NULL FROM park t
         UNION ALL SELECT 'park_block', id, id || '@' || valid_from, to_jsonb(t), geom FROM park_block t
         UNION ALL SELECT 'directory_version', id, id, to_jsonb(t), NULL FROM directory_version t
         UNION ALL SELECT 'directory_entry', version_id || '@' || park_code, version_id || '@' || park_code, to_jsonb(t), NULL FROM directory_entry t
         UNION ALL SELECT 'park_event', id, id, to_jsonb(t), NULL FROM park_event t),
     logged AS (
         SELECT DISTINCT ON (layer, key) layer, feature_id, key, after, revision, ordinal
         FROM (SELECT *, change_key(layer, feature_id, before, after) AS key FROM change) c
         ORDER BY layer, key, revision DESC, ordinal DESC)
     SELECT l.revision, l.ordinal, coalesce(l.layer, s.layer), coalesce(l.feature_id, s.feature_id), 'row_differs_from_log'
     FROM standing s FULL JOIN logged l ON l.layer = s.layer AND l.key = s.key
     WHERE loggable(s.j, s.geom) IS DISTINCT FROM l.after
     ORDER BY 1, 2, 3, 4 LIMIT 1",
];
