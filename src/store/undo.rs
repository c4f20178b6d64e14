//! Undo: a new revision that restores what stood before another.

use sqlx::PgConnection;

use super::revision;
use crate::domain::access::Jurisdiction;
use crate::domain::{Finding, Place};
use crate::error::{Error, Result};

/// Rows named in the refusal; the rest is counted.
const NAMED: usize = 20;

/// Restores every row that revision `target` touched, as a revision of its own. Refused while a later revision has
/// touched one of these rows.
pub async fn undo_revision(connection: &mut PgConnection, target: i64, actor: &str, reason: &str) -> Result<i64> {
    revision::lock(connection).await?;
    let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM revision WHERE number = $1)")
        .bind(target)
        .fetch_one(&mut *connection)
        .await?;
    if !known {
        return Err(Error::not_found("revision_not_found", format!("没有第 {target} 号修订")));
    }
    // An import is undone whole or not at all: rows that the caller may not see would be left as they are.
    let partly_hidden: bool = sqlx::query_scalar(
        "SELECT change_count <> (SELECT count(*) FROM change WHERE revision = number) FROM revision WHERE number = $1",
    )
    .bind(target)
    .fetch_one(&mut *connection)
    .await?;
    if partly_hidden {
        let detail = format!("修订 {target} 有不在您管辖范围内的记录，不能由您撤销");
        return Err(Error::Forbidden { code: "outside_jurisdiction", detail });
    }
    let conflicts: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT layer, feature_id, later_revision FROM undo_conflicts($1)")
            .bind(target)
            .fetch_all(&mut *connection)
            .await?;
    if !conflicts.is_empty() {
        let findings = conflicts
            .iter()
            .take(NAMED)
            .map(|(layer, id, later)| {
                Finding::error("changed_since", Place::whole(), format!("{layer} 的 {id} 在修订 {later} 中又被修改"))
            })
            .collect();
        return Err(Error::Conflict {
            code: "undo_conflict",
            detail: format!("修订 {target} 写入的 {} 行后来又被修改，不能撤销；请先撤销较新的修订", conflicts.len()),
            findings,
        });
    }
    let number = revision::open(connection, actor, reason, &format!("undo of revision {target}")).await?;
    sqlx::query("SELECT restore_before($1)").bind(target).execute(connection).await?;
    Ok(number)
}

/// Refuses to undo a revision whose rows a later one wrote too, which is in force, but for rows of the tables `passed_over`; or which
/// something stands against `beside`. Not in force is what has been undone, and the undoing itself. (`undo_conflicts` compares rows as they
/// are: a value that somebody has changed and somebody else has set again looks untouched to it.)
///
/// The transaction may speak for everywhere: rows of ledgers are named within `jurisdiction`, and else counted.
pub async fn refuse_changed(
    connection: &mut PgConnection,
    jurisdiction: &Jurisdiction,
    target: i64,
    passed_over: &[&str],
    beside: Vec<Finding>,
) -> Result<()> {
    let (named, others) = written_since(connection, jurisdiction, target, passed_over).await?;
    let told = |(layer, id, later): &(String, String, i64)| {
        Finding::error("changed_since", Place::whole(), format!("{layer} 的 {id} 在修订 {later} 中又被修改"))
    };
    let mut findings: Vec<Finding> = named.iter().map(told).collect();
    if others > 0 {
        let more = if named.is_empty() { "有" } else { "另有" };
        let message =
            format!("{more} {others} 行后来又被修改，这里不逐一列出（列出 {NAMED} 行为止，且限于您的管辖范围）");
        findings.push(Finding::error("changed_since", Place::whole(), message));
    }
    findings.extend(beside);
    if findings.is_empty() {
        return Ok(());
    }
    let detail = format!("修订 {target} 写入的内容后来又有变更，不能撤销；请先撤销较新的修订，原因见 findings");
    Err(Error::Conflict { code: "undo_conflict", detail, findings })
}

/// Layer, feature and the first later revision of the first twenty rows that may be named; and how many others there are.
async fn written_since(
    connection: &mut PgConnection,
    jurisdiction: &Jurisdiction,
    target: i64,
    passed_over: &[&str],
) -> Result<(Vec<(String, String, i64)>, i64)> {
    // In two steps: planned as one, right after a large write, the log would be read once a row.
    let wrote: Vec<(String, String)> =
        sqlx::query_as("SELECT DISTINCT layer, feature_id FROM change WHERE revision = $1 AND layer <> ALL ($2)")
            .bind(target)
            .bind(passed_over)
            .fetch_all(&mut *connection)
            .await?;
    let (layers, ids): (Vec<String>, Vec<String>) = wrote.into_iter().unzip();
    let rows: Vec<(String, String, i64, bool, i64)> = sqlx::query_as(
        "WITH later AS (
             -- (Every row of a ledger bears its county, and no other row does. What was entered again after it had gone still stands, which
             -- `undo_conflicts` tells, or was written since as any other: the index has no entries.)
             SELECT c.layer, c.feature_id, min(c.revision) AS revision, bool_and($4 = '*' OR NOT EXISTS (
                        SELECT FROM (VALUES (c.before ->> 'county_code'), (c.after ->> 'county_code')) v (county)
                        WHERE v.county IS NOT NULL
                          AND NOT EXISTS (SELECT FROM unnest(string_to_array($4, ',')) AS own (prefix) WHERE starts_with(v.county, own.prefix))))
                    AS is_own
             FROM change c
             JOIN revision r ON r.number = c.revision
             WHERE c.revision > $1 AND c.operation <> 'insert' AND (c.layer, c.feature_id) IN (SELECT * FROM unnest($2::text[], $3::text[]))
               AND r.source NOT LIKE 'undo of revision %'
               AND NOT EXISTS (SELECT 1 FROM revision u WHERE u.number > c.revision AND u.source = 'undo of revision ' || c.revision
                                                          AND u.source LIKE 'undo of revision %')
             GROUP BY 1, 2)
         SELECT layer, feature_id, revision, is_own, count(*) OVER () FROM later
         ORDER BY is_own DESC, revision, layer, feature_id LIMIT $5",
    )
    .bind(target)
    .bind(layers)
    .bind(ids)
    .bind(jurisdiction.setting())
    .bind(NAMED as i64)
    .fetch_all(connection)
    .await?;
    let all = rows.first().map_or(0, |row| row.4);
    let named: Vec<(String, String, i64)> =
        rows.into_iter().filter(|row| row.3).map(|(layer, id, later, ..)| (layer, id, later)).collect();
    let others = all - named.len() as i64;
    Ok((named, others))
}

/// Whether what the revision did has been taken back; where that was taken back too, it stands again.
pub async fn is_undone(connection: &mut PgConnection, revision: i64) -> Result<bool> {
    // (The LIKE leads to the index.)
    let found: Option<bool> = sqlx::query_scalar(
        "WITH RECURSIVE undone (number, depth) AS (
             SELECT $1, 0
             UNION ALL
             SELECT r.number, u.depth + 1 FROM undone u
             JOIN revision r ON r.source = 'undo of revision ' || u.number AND r.number > u.number AND r.source LIKE 'undo of revision %')
         SELECT depth % 2 = 1 FROM undone ORDER BY number DESC LIMIT 1",
    )
    .bind(revision)
    .fetch_optional(connection)
    .await?;
    Ok(found.unwrap_or(false))
}

/// How many of the rows that the revision wrote the transaction may see.
pub async fn visible_size(connection: &mut PgConnection, target: i64) -> Result<i64> {
    let sql = "SELECT count(*) FROM change WHERE revision = $1";
    Ok(sqlx::query_scalar(sql).bind(target).fetch_one(connection).await?)
}

/// How many rows the revision wrote.
pub async fn size(connection: &mut PgConnection, target: i64) -> Result<i64> {
    let count: Option<i64> = sqlx::query_scalar("SELECT change_count::bigint FROM revision WHERE number = $1")
        .bind(target)
        .fetch_optional(connection)
        .await?;
    Ok(count.unwrap_or_default())
}
