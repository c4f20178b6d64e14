//! Between check and commit others write too: what the commit would write over their work is refused and named.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::PgConnection;

use super::{Judged, Rows};
use crate::domain::{Finding, Place};
use crate::error::{Error, Result};
use crate::store::{self, import_batches::ImportBatch};

/// Rows named in the refusal; the rest is counted.
const NAMED: usize = 20;

/// Refuses the commit where a row that it would change or move was written after the check. Rows that the file leaves as they are
/// may have moved on. Under the write lock, after the judgement.
pub(super) async fn refuse(connection: &mut PgConnection, batch: &ImportBatch, judged: &Judged) -> Result<()> {
    if let Some(seen) = batch.report.get("checked_revision").and_then(Value::as_i64) {
        let written = written_since(connection, judged, seen).await?;
        if !written.is_empty() {
            return Err(refused(batch, judged, &written));
        }
    }
    refuse_other_counts(batch, judged)
}

/// Id and revision of the rows that would be changed or moved and were written after revision `seen`.
async fn written_since(connection: &mut PgConnection, judged: &Judged, seen: i64) -> Result<Vec<(String, i64)>> {
    match &judged.rows {
        Rows::Blocks(_) => store::blocks::list_differing_since(connection, seen).await,
        Rows::Zones(_) => store::control_zones::list_differing_since(connection, seen).await,
        Rows::Parks(parks) => store::parks::list_differing_since(connection, parks, &judged.absent, seen).await,
        Rows::Parcels(parcels) => {
            let moved: Vec<String> = judged.moves.iter().map(|m| m.id.clone()).collect();
            store::ledgers::list_differing_since(connection, parcels.stage(), &moved, seen).await
        }
    }
}

fn refused(batch: &ImportBatch, judged: &Judged, written: &[(String, i64)]) -> Error {
    let rows = rows_by_id(judged);
    let findings = written.iter().take(NAMED).map(|(id, revision)| {
        let row = rows.get(id).copied();
        let place = row.map_or_else(Place::whole, Place::row);
        let record = row.map_or_else(String::new, |row| format!("第 {row} 条记录的 "));
        let message = format!("{record}{id} 在检查之后又被修改（修订 {revision}），提交会覆盖这次修改");
        Finding::error("import_stale", place, message)
    });
    Error::Conflict {
        code: "import_refused_now",
        detail: format!(
            "导入批次 {} 要改动的记录中有 {} 条在检查之后又被修改，没有写入；请重新上传检查，核对后再提交，原因见 findings",
            batch.id,
            written.len()
        ),
        findings: findings.collect(),
    }
}

/// The row of the file that speaks of each id.
fn rows_by_id(judged: &Judged) -> HashMap<String, u64> {
    match &judged.rows {
        Rows::Blocks(file) => file.list.iter().map(|b| b.id.to_string()).zip(file.rows.iter().copied()).collect(),
        Rows::Zones(file) => file.list.iter().map(|z| z.id.to_string()).zip(file.rows.iter().copied()).collect(),
        Rows::Parks(_) => judged.report.candidates.iter().filter_map(|c| c.id.clone().map(|id| (id, c.row))).collect(),
        Rows::Parcels(parcels) => {
            let file = &parcels.file;
            file.list.iter().map(|p| p.id.to_string()).zip(file.rows.iter().copied()).collect()
        }
    }
}

/// What was checked as new must not be written over what somebody has entered since, nor what was checked as standing be made anew
/// after somebody has taken it away.
fn refuse_other_counts(batch: &ImportBatch, judged: &Judged) -> Result<()> {
    let checked = |of: &str| batch.report.pointer(&format!("/counts/{of}")).and_then(Value::as_u64).unwrap_or(0);
    let now = judged.report.counts.unwrap_or_default();
    for (verb, checked, now) in [("更新", checked("update"), now.updated), ("新增", checked("insert"), now.inserted)]
    {
        if now > checked {
            let detail = format!(
                "导入批次 {} 检查之后登记库有了变化：检查时{verb} {checked} 条，现在会{verb} {now} 条；请重新上传并核对",
                batch.id
            );
            return Err(Error::conflict("import_refused_now", detail));
        }
    }
    Ok(())
}
