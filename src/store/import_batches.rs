//! Import batches: one upload or command-line import, from dry run to commit to undo.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};

use crate::error::{Error, Result};

/// How a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchStatus {
    Checked,
    Refused,
    Committed,
    Unchanged,
    Undone,
}

impl BatchStatus {
    const ALL: [BatchStatus; 5] = [
        BatchStatus::Checked,
        BatchStatus::Refused,
        BatchStatus::Committed,
        BatchStatus::Unchanged,
        BatchStatus::Undone,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            BatchStatus::Checked => "checked",
            BatchStatus::Refused => "refused",
            BatchStatus::Committed => "committed",
            BatchStatus::Unchanged => "unchanged",
            BatchStatus::Undone => "undone",
        }
    }

    /// 已检查, 未通过, 已提交, 无变化, 已撤销.
    pub fn label(self) -> &'static str {
        match self {
            BatchStatus::Checked => "已检查",
            BatchStatus::Refused => "未通过",
            BatchStatus::Committed => "已提交",
            BatchStatus::Unchanged => "无变化",
            BatchStatus::Undone => "已撤销",
        }
    }
}

/// A batch to record.
#[derive(Debug)]
pub struct NewBatch {
    pub status: BatchStatus,
    pub layer: String,
    pub file_name: String,
    pub file_sha256: [u8; 32],
    pub file_size: i64,
    pub options: Value,
    pub report: Value,
    pub actor: String,
    pub content: Option<Vec<u8>>,
    /// The table that came with it.
    pub attributes: Option<Vec<u8>>,
    pub revision: Option<i64>,
}

/// A recorded batch, without its content.
#[derive(Debug, Clone)]
pub struct ImportBatch {
    pub id: i64,
    pub status: BatchStatus,
    pub layer: String,
    pub file_name: String,
    pub file_sha256: Vec<u8>,
    pub file_size: i64,
    pub options: Value,
    pub report: Value,
    pub actor: String,
    pub created_at: DateTime<Utc>,
    pub revision: Option<i64>,
    pub undone_revision: Option<i64>,
}

#[derive(FromRow)]
struct BatchRow {
    id: i64,
    status: String,
    layer: String,
    file_name: String,
    file_sha256: Vec<u8>,
    file_size: i64,
    options: Value,
    report: Value,
    actor: String,
    created_at: DateTime<Utc>,
    revision: Option<i64>,
    undone_revision: Option<i64>,
}

impl TryFrom<BatchRow> for ImportBatch {
    type Error = Error;

    fn try_from(row: BatchRow) -> Result<Self> {
        let status = BatchStatus::ALL
            .into_iter()
            .find(|s| s.as_str() == row.status)
            .ok_or_else(|| Error::Internal { detail: "导入批次的状态无法识别".to_owned(), cause: None })?;
        Ok(Self {
            id: row.id,
            status,
            layer: row.layer,
            file_name: row.file_name,
            file_sha256: row.file_sha256,
            file_size: row.file_size,
            options: row.options,
            report: row.report,
            actor: row.actor,
            created_at: row.created_at,
            revision: row.revision,
            undone_revision: row.undone_revision,
        })
    }
}

/// Records a batch and returns its id.
pub async fn create(connection: &mut PgConnection, batch: &NewBatch) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "INSERT INTO import_batch (status, layer, file_name, file_sha256, file_size, options, report, actor, content, revision, attributes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
    )
    .bind(batch.status.as_str())
    .bind(&batch.layer)
    .bind(&batch.file_name)
    .bind(&batch.file_sha256[..])
    .bind(batch.file_size)
    .bind(&batch.options)
    .bind(&batch.report)
    .bind(&batch.actor)
    .bind(&batch.content)
    .bind(batch.revision)
    .bind(&batch.attributes)
    .fetch_one(connection)
    .await?)
}

pub async fn find(connection: &mut PgConnection, id: i64) -> Result<Option<ImportBatch>> {
    let row: Option<BatchRow> = sqlx::query_as(
        "SELECT id, status, layer, file_name, file_sha256, file_size, options, report, actor, created_at, revision, undone_revision
         FROM import_batch WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(connection)
    .await?;
    row.map(ImportBatch::try_from).transpose()
}

/// The batch that the revision wrote or undid.
pub async fn of_revision(connection: &mut PgConnection, revision: i64) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar("SELECT id FROM import_batch WHERE revision = $1 OR undone_revision = $1")
        .bind(revision)
        .fetch_optional(connection)
        .await?)
}

/// [`find`], holding the row to the end of the transaction.
pub async fn lock(connection: &mut PgConnection, id: i64) -> Result<Option<ImportBatch>> {
    let row: Option<BatchRow> = sqlx::query_as(
        "SELECT id, status, layer, file_name, file_sha256, file_size, options, report, actor, created_at, revision, undone_revision
         FROM import_batch WHERE id = $1 FOR UPDATE",
    )
    .bind(id)
    .fetch_optional(connection)
    .await?;
    row.map(ImportBatch::try_from).transpose()
}

/// Newest first, of one actor or all; `before` pages on. Reports are left out: they may be long.
pub async fn list(
    connection: &mut PgConnection,
    actor: Option<&str>,
    limit: i64,
    before: Option<i64>,
) -> Result<Vec<ImportBatch>> {
    let rows: Vec<BatchRow> = sqlx::query_as(
        "SELECT id, status, layer, file_name, file_sha256, file_size, options, 'null'::jsonb AS report, actor, created_at, revision, undone_revision
         FROM import_batch WHERE ($1::bigint IS NULL OR id < $1) AND ($3::text IS NULL OR actor = $3) ORDER BY id DESC LIMIT $2",
    )
    .bind(before)
    .bind(limit)
    .bind(actor)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(ImportBatch::try_from).collect()
}

/// The kept upload, if still there.
pub async fn content(connection: &mut PgConnection, id: i64) -> Result<Option<Vec<u8>>> {
    let content: Option<Option<Vec<u8>>> = sqlx::query_scalar("SELECT content FROM import_batch WHERE id = $1")
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(content.flatten())
}

/// The kept table that came with the upload.
pub async fn attributes(connection: &mut PgConnection, id: i64) -> Result<Option<Vec<u8>>> {
    let kept: Option<Option<Vec<u8>>> = sqlx::query_scalar("SELECT attributes FROM import_batch WHERE id = $1")
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(kept.flatten())
}

/// Marks a checked batch as committed (or unchanged, where no revision was needed) and lets go of the upload.
pub async fn set_committed(
    connection: &mut PgConnection,
    id: i64,
    revision: Option<i64>,
    report: &Value,
) -> Result<()> {
    let status = if revision.is_some() { BatchStatus::Committed } else { BatchStatus::Unchanged };
    sqlx::query("UPDATE import_batch SET status = $2, revision = $3, report = $4, content = NULL, attributes = NULL WHERE id = $1")
        .bind(id)
        .bind(status.as_str())
        .bind(revision)
        .bind(report)
        .execute(connection)
        .await?;
    Ok(())
}

pub async fn set_undone(connection: &mut PgConnection, id: i64, undone_revision: i64) -> Result<()> {
    sqlx::query("UPDATE import_batch SET status = 'undone', undone_revision = $2 WHERE id = $1")
        .bind(id)
        .bind(undone_revision)
        .execute(connection)
        .await?;
    Ok(())
}

/// Lets go of uploads that nobody committed within a day.
pub async fn drop_stale_content(connection: &mut PgConnection) -> Result<u64> {
    Ok(sqlx::query("UPDATE import_batch SET content = NULL, attributes = NULL WHERE content IS NOT NULL AND created_at < clock_timestamp() - interval '1 day'")
        .execute(connection)
        .await?
        .rows_affected())
}
