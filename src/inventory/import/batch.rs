//! From dry run to commit to undo: one transaction, one revision, one batch row for each.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use super::fingerprint::fingerprint;
use super::report::Status;
use super::{
    ImportReport, ImportRequest, Judged, ReadOptions, Rows, compare_and_stage, is_bounded, judge_against_register,
    judge_file,
};
use super::{ledger, overlaps, stale, undo_check};
use crate::domain::access::{Jurisdiction, Viewer};
use crate::domain::{DivisionCode, Finding, ParkCode, Place};
use crate::error::{Error, Result};
use crate::geometry::crs::Crs;
use crate::inventory::land;
use crate::inventory::ledgers::attachments;
use crate::inventory::progress::{Progress, Silent};
use crate::store;
use crate::store::import_batches::{self, BatchStatus, ImportBatch, NewBatch};

/// What came of an import.
#[derive(Debug)]
pub struct Imported {
    pub report: ImportReport,
    /// The batch row; `None` for a dry run that nobody keeps.
    pub batch: Option<i64>,
    /// The revision written; `None` when refused, unchanged or dry.
    pub revision: Option<i64>,
}

/// Checks and, unless `dry_run`, commits at once: the command line's import.
pub async fn import_now(
    pool: &PgPool,
    request: &ImportRequest,
    dry_run: bool,
    progress: Arc<dyn Progress>,
) -> Result<Imported> {
    let mut judged = judge_file(pool, request, Arc::clone(&progress)).await?;
    progress.stage("与登记库比对", None);
    let mut transaction = store::begin_write_as(pool, &request.viewer()).await?;
    compare_and_stage(&mut transaction, &mut judged, request).await?;
    if !dry_run {
        store::revision::lock(&mut transaction).await?;
    }
    judge_against_register(&mut transaction, &mut judged, request).await?;
    if dry_run || judged.report.status == Status::Refused {
        transaction.rollback().await?;
        judged.report.file = Some(fingerprint(&request.path).await?);
        return Ok(Imported { report: judged.report, batch: None, revision: None });
    }
    progress.stage("写入登记库", None);
    let revision = write_and_hash(&mut transaction, &mut judged, request, None).await?;
    let Judged { report, rows, .. } = judged;
    // A hundred thousand boundaries take a while to be let go: that while the database commits.
    drop(tokio::task::spawn_blocking(move || drop(rows)));
    let status = if revision.is_some() { BatchStatus::Committed } else { BatchStatus::Unchanged };
    let batch = record(&mut transaction, request, &report, status, revision, None).await?;
    transaction.commit().await?;
    Ok(Imported { report, batch: Some(batch), revision })
}

/// Writes, and hashes the file meanwhile: while the database works, nothing else is to be done here. Neither is broken off by
/// the other's failure.
async fn write_and_hash(
    connection: &mut PgConnection,
    judged: &mut Judged,
    request: &ImportRequest,
    batch: Option<i64>,
) -> Result<Option<i64>> {
    let (revision, file) = tokio::join!(write(connection, judged, request, batch), fingerprint(&request.path));
    let revision = revision?;
    judged.report.file = Some(file?);
    Ok(revision)
}

/// Writes the judged rows as one revision; `None` when nothing differs. Needs the write lock, held since the rows were judged.
async fn write(
    connection: &mut PgConnection,
    judged: &Judged,
    request: &ImportRequest,
    batch: Option<i64>,
) -> Result<Option<i64>> {
    if judged.report.status == Status::Unchanged {
        return Ok(None);
    }
    let reason = format!("导入 {} 到 {}", request.file_name, request.layer);
    let source = match batch {
        Some(id) => format!("import_batch {id}: {}", request.file_name),
        None => request.file_name.clone(),
    };
    let revision = store::revision::open(connection, &request.actor, &reason, &source).await?;
    match &judged.rows {
        Rows::Blocks(file) => {
            store::blocks::end_illustrative_replaced(connection).await?;
            store::blocks::upsert_staged(connection, &file.list).await?;
            land::follow_blocks(connection).await?;
        }
        Rows::Parks(parks) => {
            store::parks::upsert(connection, parks, &judged.absent).await?;
        }
        Rows::Zones(_) => {
            store::control_zones::upsert_staged(connection).await?;
            // A kind may have been deleted between the reading of the file and the lock.
            if let [first, ..] = store::control_zones::unknown_kinds(connection, revision).await?.as_slice() {
                let detail = format!("管控类型 {first} 刚被删除；请先恢复该类型，或按其他类型导入");
                return Err(Error::conflict("zone_kind_unknown", detail));
            }
        }
        Rows::Parcels(parcels) => ledger::write(connection, parcels, &judged.moves).await?,
    }
    Ok(Some(revision))
}

async fn record(
    connection: &mut PgConnection,
    request: &ImportRequest,
    report: &ImportReport,
    status: BatchStatus,
    revision: Option<i64>,
    content: Option<Vec<u8>>,
) -> Result<i64> {
    let (size, sha256) = report.file.unwrap_or_default();
    let attributes = match (&content, &request.attributes) {
        (Some(_), Some((path, _))) => Some(read_content(path).await?),
        _ => None,
    };
    let batch = NewBatch {
        attributes,
        status,
        layer: request.layer.clone(),
        file_name: report.file_name.clone(),
        file_sha256: sha256,
        file_size: i64::try_from(size).unwrap_or(i64::MAX),
        options: options_json(request),
        report: without_nul(report.to_stored_json()),
        actor: request.actor.clone(),
        content,
        revision,
    };
    import_batches::create(connection, &batch).await
}

/// A report may quote what a file holds, and `jsonb` holds no NUL: U+FFFD stands where one was.
fn without_nul(value: Value) -> Value {
    let clean = |text: String| if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text };
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(list) => list.into_iter().map(without_nul).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (clean(key), without_nul(value))).collect(),
        other => other,
    }
}

fn options_json(request: &ImportRequest) -> Value {
    json!({
        "crs": request.read.crs.map(|c| c.to_string()),
        "encoding": request.read.encoding,
        "source_layer": request.read.source_layer,
        "park": request.park.as_ref().map(ParkCode::as_str),
        "county": request.county.as_ref().map(DivisionCode::as_str),
        "zone_kind": request.zone_kind,
        "attributes": request.attributes.as_ref().map(|(_, name)| name),
        "repair": request.repair,
        "allow": request.allow,
    })
}

/// Dry run of an upload; its content is kept for a day so that [`commit`] writes exactly what was checked.
pub async fn stage(pool: &PgPool, request: &ImportRequest) -> Result<StagedImport> {
    let mut judged = judge_file(pool, request, Arc::new(Silent)).await?;
    let mut transaction = store::begin_write_as(pool, &request.viewer()).await?;
    // Before any row is looked at: what is written from here on counts as unseen.
    let seen = store::as_of::newest(&mut transaction).await?;
    compare_and_stage(&mut transaction, &mut judged, request).await?;
    judge_against_register(&mut transaction, &mut judged, request).await?;
    transaction.rollback().await?;
    judged.report.checked_revision = Some(seen);
    judged.report.file = Some(fingerprint(&request.path).await?);
    let status = if judged.report.status == Status::Refused { BatchStatus::Refused } else { BatchStatus::Checked };
    let content = match status {
        BatchStatus::Checked => Some(read_content(&request.path).await?),
        _ => None,
    };
    let mut connection = pool.acquire().await?;
    import_batches::drop_stale_content(&mut connection).await?;
    let id = record(&mut connection, request, &judged.report, status, None, content).await?;
    Ok(StagedImport { id, report: judged.report.to_stored_json() })
}

/// A checked upload: the batch and its report.
#[derive(Debug)]
pub struct StagedImport {
    pub id: i64,
    pub report: Value,
}

async fn read_content(path: &Path) -> Result<Vec<u8>> {
    tokio::fs::read(path).await.map_err(|cause| Error::internal("上传的文件无法读取", cause))
}

/// Commits a checked upload. The file is judged again under what the register says now: what was fine yesterday may
/// overlap today, and then the commit is refused and says why.
pub async fn commit(pool: &PgPool, id: i64, viewer: &Viewer) -> Result<Value> {
    let batch = find(pool, id, viewer).await?;
    must_be(&batch, BatchStatus::Checked)?;
    let Some(content) = import_batches::content(&mut *pool.acquire().await?, id).await? else {
        // Another commit of this batch may have come first and let go of the upload: then that is the reason.
        must_be(&find(pool, id, viewer).await?, BatchStatus::Checked)?;
        let detail = format!("导入批次 {id} 的文件已过期（保留一天），请重新上传");
        return Err(Error::conflict("import_expired", detail));
    };
    let file = kept_file(&content)?;
    let mut request = restore_request(&batch, file.path(), viewer)?;
    let table = import_batches::attributes(&mut *pool.acquire().await?, id).await?;
    let table = table.map(|bytes| kept_file(&bytes)).transpose()?;
    if let Some(table) = &table {
        let name = batch.options.get("attributes").and_then(Value::as_str).unwrap_or_default().to_owned();
        request.attributes = Some((table.path().to_owned(), name));
    }
    let mut judged = judge_file(pool, &request, Arc::new(Silent)).await?;
    let mut transaction = store::begin_write_as(pool, &request.viewer()).await?;
    // Two commits of one batch at once: the second sees the first one's status under the row lock.
    must_be(&import_batches::lock(&mut transaction, id).await?.ok_or_else(|| not_found(id))?, BatchStatus::Checked)?;
    compare_and_stage(&mut transaction, &mut judged, &request).await?;
    store::revision::lock(&mut transaction).await?;
    judge_against_register(&mut transaction, &mut judged, &request).await?;
    if judged.report.status == Status::Refused {
        return Err(Error::Conflict {
            code: "import_refused_now",
            detail: format!("导入批次 {id} 检查之后登记库有了变化，现在不能提交；原因见 findings"),
            findings: judged.report.findings,
        });
    }
    stale::refuse(&mut transaction, &batch, &judged).await?;
    let revision = write_and_hash(&mut transaction, &mut judged, &request, Some(id)).await?;
    import_batches::set_committed(&mut transaction, id, revision, &without_nul(judged.report.to_stored_json())).await?;
    transaction.commit().await?;
    get(pool, id, viewer).await
}

/// The upload as a file again; it goes with the value.
fn kept_file(content: &[u8]) -> Result<tempfile::NamedTempFile> {
    let file = tempfile::NamedTempFile::new().map_err(|cause| Error::internal("无法建立临时文件", cause))?;
    std::fs::write(file.path(), content).map_err(|cause| Error::internal("无法写临时文件", cause))?;
    Ok(file)
}

fn restore_request(batch: &ImportBatch, path: &Path, viewer: &Viewer) -> Result<ImportRequest> {
    let option = |name: &str| batch.options.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(ImportRequest {
        county: option("county").and_then(|text| DivisionCode::parse(&text).ok()),
        zone_kind: option("zone_kind"),
        read: ReadOptions {
            crs: option("crs").and_then(|text| Crs::parse(&text)),
            encoding: option("encoding"),
            source_layer: option("source_layer"),
            file_name: Some(batch.file_name.clone()),
            ..ReadOptions::default()
        },
        park: option("park").and_then(|text| ParkCode::parse(&text).ok()),
        repair: batch.options.get("repair").and_then(Value::as_bool).unwrap_or(false),
        allow: batch
            .options
            .get("allow")
            .and_then(Value::as_array)
            .map(|codes| codes.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default(),
        ..ImportRequest::new(path.to_owned(), batch.file_name.clone(), batch.layer.clone(), viewer)
    })
}

/// Undoes a committed import as a new revision; refused when a row of it has been changed since.
pub async fn undo(pool: &PgPool, id: i64, viewer: &Viewer) -> Result<Value> {
    undo_in(begin_undo(pool, id, viewer).await?, id, &viewer.actor).await?.commit().await?;
    get(pool, id, viewer).await
}

/// Whether [`undo`] would go through now; nothing is written.
pub async fn undo_dry(pool: &PgPool, id: i64, viewer: &Viewer) -> Result<()> {
    Ok(undo_in(begin_undo(pool, id, viewer).await?, id, &viewer.actor).await?.rollback().await?)
}

/// A transaction in which the batch may be undone: whose rows are a county's by the viewer's own eyes; parks and blocks by whoever
/// imported them, or who is responsible everywhere.
async fn begin_undo<'a>(pool: &PgPool, id: i64, viewer: &Viewer) -> Result<Transaction<'a, Postgres>> {
    let batch = find(pool, id, viewer).await?;
    if is_bounded(&batch.layer) {
        return store::begin_write_as(pool, viewer).await;
    }
    store::begin_write_as(pool, &Viewer { jurisdiction: Jurisdiction::Everywhere, ..viewer.clone() }).await
}

/// The transaction that undoes the import, not yet ended.
async fn undo_in<'a>(
    mut transaction: Transaction<'a, Postgres>,
    id: i64,
    actor: &str,
) -> Result<Transaction<'a, Postgres>> {
    let batch = import_batches::lock(&mut transaction, id).await?.ok_or_else(|| not_found(id))?;
    must_be(&batch, BatchStatus::Committed)?;
    let revision = batch.revision.ok_or_else(|| not_found(id))?;
    let reason = format!("撤销导入批次 {id}（修订 {revision}）");
    let stood = undo_check::states(&mut transaction, revision).await?;
    let undone = store::undo::undo_revision(&mut transaction, revision, actor, &reason).await?;
    undo_check::refuse_without_plan(&mut transaction, id, revision, &stood).await?;
    land::follow_blocks(&mut transaction).await?;
    let findings = overlaps::after_undo(&mut transaction, revision, undone).await?;
    if !findings.is_empty() {
        return Err(Error::Conflict {
            code: "undo_conflict",
            detail: format!(
                "导入批次 {id} 之后又写入了与之相抵触的区块，不能撤销；请先撤销较新的导入，原因见 findings"
            ),
            findings,
        });
    }
    if let [first, ..] = store::control_zones::unknown_kinds(&mut transaction, undone).await?.as_slice() {
        let detail = format!("导入批次 {id} 的管控区域属于已删除的管控类型 {first}，不能撤销；请先恢复该类型");
        return Err(Error::conflict("undo_conflict", detail));
    }
    let orphans = store::ledgers::plans_without_parcel(&mut transaction, undone).await?;
    if !orphans.is_empty() {
        let told = |(plan, parcel): &(String, String)| {
            let message = format!("再开发方案 {plan} 属于地块 {parcel}，撤销后地块不复存在");
            Finding::error("plan_in_use", Place::whole(), message)
        };
        return Err(Error::Conflict {
            code: "undo_conflict",
            detail: format!("导入批次 {id} 的地块之后编有再开发方案，不能撤销；请先作废或终止方案"),
            findings: orphans.iter().map(told).collect(),
        });
    }
    attachments::refuse_to_leave(&mut transaction, undone, &format!("导入批次 {id} ")).await?;
    import_batches::set_undone(&mut transaction, id, undone).await?;
    Ok(transaction)
}

/// One batch with its report.
pub async fn get(pool: &PgPool, id: i64, viewer: &Viewer) -> Result<Value> {
    Ok(batch_json(&find(pool, id, viewer).await?, true))
}

/// Newest first, without reports; `before` is the id to page on from.
pub async fn list(pool: &PgPool, viewer: &Viewer, limit: i64, before: Option<i64>) -> Result<Vec<Value>> {
    let of_actor = (viewer.jurisdiction != Jurisdiction::Everywhere).then_some(viewer.actor.as_str());
    let batches = import_batches::list(&mut *pool.acquire().await?, of_actor, limit, before).await?;
    Ok(batches.iter().map(|b| batch_json(b, false)).collect())
}

/// The batch, if it is the viewer's own or the viewer is responsible everywhere: a report quotes what a file holds.
async fn find(pool: &PgPool, id: i64, viewer: &Viewer) -> Result<ImportBatch> {
    let batch = import_batches::find(&mut *pool.acquire().await?, id).await?;
    let may_see = |b: &ImportBatch| viewer.jurisdiction == Jurisdiction::Everywhere || b.actor == viewer.actor;
    batch.filter(may_see).ok_or_else(|| not_found(id))
}

fn not_found(id: i64) -> Error {
    Error::not_found("import_not_found", format!("没有编号为 {id} 的导入批次"))
}

fn must_be(batch: &ImportBatch, wanted: BatchStatus) -> Result<()> {
    if batch.status == wanted {
        return Ok(());
    }
    Err(Error::conflict(
        "import_status",
        format!("导入批次 {} 的状态是“{}”，不是“{}”", batch.id, batch.status.label(), wanted.label()),
    ))
}

fn batch_json(batch: &ImportBatch, with_report: bool) -> Value {
    let mut object = json!({
        "id": batch.id,
        "status": batch.status.as_str(),
        "layer": batch.layer,
        "file_name": batch.file_name,
        "file_sha256": super::report::hex(&batch.file_sha256),
        "file_size": batch.file_size,
        "options": batch.options,
        "actor": batch.actor,
        "created_at": batch.created_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "revision": batch.revision,
        "undone_revision": batch.undone_revision,
    });
    if with_report && let Some(map) = object.as_object_mut() {
        map.insert("report".into(), batch.report.clone());
    }
    object
}
