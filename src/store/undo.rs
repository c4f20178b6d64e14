//! Undo: a new revision that restores what stood before another.

use sqlx::PgConnection;

use super::revision;
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
