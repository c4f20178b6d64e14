//! Import: file → candidates → judgement → one revision, or nothing at all.
//!
//! A dry run is the same path without the commit. The same file a second time changes nothing. Reading and geometry
//! run off the async threads. Never: a repair that is not shown, a row that is dropped in silence.

mod absent;
mod batch;
mod directory;
mod judge;
mod judging;
pub(super) mod overlaps;
mod own_export;
mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};

pub use batch::{Imported, StagedImport, commit, get, import_now, list, stage, undo, undo_dry};
pub use report::ImportReport;

use self::judging::{FileBlocks, Judging};
use crate::domain::{Finding, Park, ParkCode, Severity};
use crate::error::{Error, Result};
use crate::exchange;
use crate::inventory::progress::Progress;
use crate::store::{self, UpsertCounts};

/// Re-exported so that `api` and `cli` name reader options without knowing `exchange`.
pub use crate::exchange::ReadOptions;

/// What to import, and what the caller knows better than detection.
#[derive(Debug, Clone)]
pub struct ImportRequest {
    /// Where the bytes lie.
    pub path: PathBuf,
    /// The file's name as the user knows it.
    pub file_name: String,
    /// `park_blocks` (boundaries) or `parks` (a directory table).
    pub layer: String,
    pub read: ReadOptions,
    /// The park of every record; otherwise a field of the file must name it.
    pub park: Option<ParkCode>,
    /// Repair invalid geometry; every step is shown as a finding.
    pub repair: bool,
    /// Codes of errors that the caller accepts; only those of [`ALLOWABLE`].
    pub allow: Vec<String>,
    /// Who imports, for the revision log.
    pub actor: String,
}

/// Layers that take files.
pub const LAYERS: [&str; 2] = ["park_blocks", "parks"];

/// Errors a caller may wave through: judgements about the paper. Broken geometry, an unknown park or a wrong
/// coordinate system can never be allowed, because the register could not hold or find the row.
pub const ALLOWABLE: [&str; 3] = ["overlap_within_file", "overlap_with_register", "area_mismatch_gross"];

/// The database waits so long for the overlaps of a file, which holds up nobody.
const LONGEST_COMPARISON: Duration = Duration::from_secs(900);

/// What a file would write: the rows of one layer.
#[derive(Debug, Clone)]
enum Rows {
    Blocks(Arc<FileBlocks>),
    Parks(Vec<Park>),
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Rows::Blocks(file) => file.blocks.len(),
            Rows::Parks(parks) => parks.len(),
        }
    }
}

/// A file read and judged, before any write.
struct Judged {
    report: ImportReport,
    rows: Rows,
    /// Columns that the file has no field for: what stands in them stays.
    absent: Vec<&'static str>,
}

impl Judged {
    fn new(report: ImportReport, rows: Rows) -> Self {
        let absent = absent::columns(&report.mapping, &rows);
        Self { report, rows, absent }
    }
}

/// Reads the file and judges it by itself. `Err` only where there is nothing to judge (no such file, unreadable format,
/// database away); faults of the content are findings of the report.
async fn judge_file(pool: &PgPool, request: &ImportRequest, progress: Arc<dyn Progress>) -> Result<Judged> {
    if !LAYERS.contains(&request.layer.as_str()) {
        return Err(Error::invalid(
            "layer_unknown",
            format!("不能导入到图层“{}”；可用的图层：{}", request.layer, LAYERS.join("、")),
        ));
    }
    if let Some(code) = request.allow.iter().find(|code| !ALLOWABLE.contains(&code.as_str())) {
        return Err(Error::invalid(
            "allow_not_possible",
            format!("不能放行“{code}”；可放行的代码：{}", ALLOWABLE.join("、")),
        ));
    }
    progress.stage("读取文件", None);
    let found = tokio::fs::metadata(&request.path).await.map_err(batch::unreadable)?;
    if !(found.is_file() || found.is_dir()) {
        // A pipe would be waited for without end.
        return Err(Error::invalid("file_unreadable", "要导入的不是普通文件或文件夹"));
    }
    let mut judged = if request.layer == "parks" {
        directory::judge_file(pool, request).await?
    } else {
        judge_blocks(pool, request, progress).await?
    };
    judged.report.file_name = request.file_name.clone();
    judged.report.layer = request.layer.clone();
    allow(&mut judged.report.findings, &request.allow);
    Ok(judged)
}

async fn judge_blocks(pool: &PgPool, request: &ImportRequest, progress: Arc<dyn Progress>) -> Result<Judged> {
    let parks = store::parks::list_names(&mut *pool.acquire().await?).await?;
    let context = judge::Context::new(request, parks);
    let path = request.path.clone();
    let mut options = request.read.clone();
    options.file_name = Some(request.file_name.clone());
    let judged = off_async_threads(move || {
        let mut judging = Judging::new(&context, progress.as_ref());
        let reading = exchange::read_file_into(&path, &options, &mut judging)?;
        Ok::<_, Error>(judging.finish(&reading))
    });
    let (report, blocks) = judged.await??;
    Ok(Judged::new(report, Rows::Blocks(Arc::new(blocks))))
}

/// The rest of the judgement of the file by itself: its blocks against each other, while the database is told which they
/// are. In the transaction of [`judge_against_register`], but before the write lock, which nobody need wait for meanwhile.
async fn compare_and_stage(connection: &mut PgConnection, judged: &mut Judged, request: &ImportRequest) -> Result<()> {
    let Rows::Blocks(file) = &judged.rows else { return Ok(()) };
    store::bear_idling(connection, LONGEST_COMPARISON).await?;
    let compared = Arc::clone(file);
    let staging = async {
        if judged.report.has_errors() { Ok(()) } else { store::blocks::stage_keys(connection, &file.blocks).await }
    };
    let (overlaps, staged) = tokio::join!(off_async_threads(move || compared.overlaps()), staging);
    staged?;
    store::bear_idling(connection, store::WRITER_IDLING).await?;
    judged.report.findings.extend(overlaps?);
    allow(&mut judged.report.findings, &request.allow);
    Ok(())
}

/// Judges the rows against the register, in the transaction that may write them, and settles the report. After
/// [`compare_and_stage`]. Where the
/// caller holds the write lock, what is found here still holds when it writes.
async fn judge_against_register(
    connection: &mut PgConnection,
    judged: &mut Judged,
    request: &ImportRequest,
) -> Result<()> {
    let report = &mut judged.report;
    if !report.has_errors() && judged.rows.len() > 0 {
        let counts = match &judged.rows {
            Rows::Blocks(file) => {
                let blocks = &file.blocks;
                store::blocks::stage_standing(connection, blocks).await?;
                report.findings.extend(absent::keep(connection, &judged.rows, &judged.absent).await?);
                report.findings.extend(overlaps::with_register(connection, file).await?);
                report.findings.extend(overlaps::drawn_over_real(connection, blocks).await?);
                let (notice, replaced) = overlaps::illustrative_notice(connection).await?;
                report.findings.extend(notice);
                UpsertCounts { replaced, ..store::blocks::preview_staged(connection, blocks.len()).await? }
            }
            Rows::Parks(parks) => {
                report.findings.extend(absent::keep(connection, &judged.rows, &judged.absent).await?);
                store::parks::preview(connection, parks, &judged.absent).await?
            }
        };
        report.counts = Some(counts);
        allow(&mut report.findings, &request.allow);
    }
    report.settle(judged.rows.len());
    Ok(())
}

/// Runs GDAL, parsing and geometry where they cannot hold up the answering of requests.
async fn off_async_threads<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|cause| Error::internal("读取或检查文件时程序出错", cause))
}

/// Turns the allowed errors into warnings that say so: nothing waved through is hidden.
/// Once for each: an allowed error is a warning from then on.
fn allow(findings: &mut [Finding], allowed: &[String]) {
    for finding in findings {
        if finding.severity == Severity::Error && allowed.iter().any(|code| *code == finding.code) {
            finding.severity = Severity::Warning;
            finding.message.push_str("（已按要求放行）");
        }
    }
}
