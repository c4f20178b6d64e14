//! Import: file → candidates → judgement → one revision, or nothing at all.
//!
//! A dry run is the same path without the commit. The same file a second time changes nothing. Reading and geometry
//! run off the async threads. Never: a repair that is not shown, a row that is dropped in silence.

mod absent;
mod batch;
mod directory;
mod feature;
mod fingerprint;
mod gazetteer;
mod given_blocks;
mod judge;
mod judging;
mod ledger;
mod oddities;
mod outside;
pub(super) mod overlaps;
mod own_export;
mod parcel;
mod report;
mod shape;
mod stale;
mod undo_check;
mod zone;

use std::path::PathBuf;
use std::sync::Arc;

use chrono::NaiveDate;
use sqlx::{PgConnection, PgPool};

pub use batch::{Imported, StagedImport, commit, get, import_now, list, stage, undo, undo_dry};
pub use feature::{FeatureRequest, judge_feature};
pub(in crate::inventory) use given_blocks::{judge_given_blocks, overlaps_with_standing};
pub use oddities::{Called, out_of_order, ratios};
pub use report::ImportReport;
pub(in crate::inventory) use shape::check_in_province;

use self::judging::{FileRows, Judging};
use self::ledger::FileParcels;
use crate::domain::access::{Jurisdiction, Role, Viewer};
use crate::domain::{Block, ControlZone, DivisionCode, Finding, Ledger, Park, ParkCode, Severity};
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
    /// `park_blocks` (boundaries), `parks` (a directory table), `control_zones`, or a ledger: `turnover_parcels`, `low_efficiency_parcels`.
    pub layer: String,
    /// A table that says more of the parcels of a ledger, by their numbers: where it lies, and its name.
    pub attributes: Option<(PathBuf, String)>,
    /// The county of every parcel; otherwise a field of the file, or the park, must name it. Of control lines any division.
    pub county: Option<DivisionCode>,
    /// The kind of every zone; otherwise a field of the file must name it, or its fields tell.
    pub zone_kind: Option<String>,
    /// Where the importer may write.
    pub jurisdiction: Jurisdiction,
    /// Where the land lies: what a move without a day of its own is dated.
    pub today: NaiveDate,
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

impl ImportRequest {
    /// A request for a file, with everything else as detected.
    pub fn new(path: PathBuf, file_name: String, layer: String, viewer: &Viewer) -> Self {
        Self {
            path,
            file_name,
            layer,
            attributes: None,
            county: None,
            zone_kind: None,
            jurisdiction: viewer.jurisdiction.clone(),
            today: crate::inventory::today(),
            read: ReadOptions::default(),
            park: None,
            repair: false,
            allow: Vec::new(),
            actor: viewer.actor.clone(),
        }
    }

    /// Who speaks to the database. Parks and blocks are everybody's to see, and changing them places parcels of any county anew: what
    /// an importer may write of them is judged, row by row, before.
    fn viewer(&self) -> Viewer {
        let jurisdiction = if is_bounded(&self.layer) { self.jurisdiction.clone() } else { Jurisdiction::Everywhere };
        Viewer { actor: self.actor.clone(), role: Role::Editor, jurisdiction }
    }
}

/// Whether each row of the layer is a division's, so that the database itself holds whoever writes to the own ones.
fn is_bounded(layer: &str) -> bool {
    layer == zone::LAYER || Ledger::of_layer(layer).is_some()
}

/// Layers that take files.
pub const LAYERS: [&str; 5] = ["park_blocks", "parks", "control_zones", "turnover_parcels", "low_efficiency_parcels"];

/// Errors a caller may wave through: judgements about the paper. Broken geometry, an unknown park or a wrong
/// coordinate system can never be allowed, because the register could not hold or find the row.
pub const ALLOWABLE: [&str; 3] = ["overlap_within_file", "overlap_with_register", "area_mismatch_gross"];
/// The same for the ledgers, whose land may lie elsewhere, and may rest on plans that come later.
pub const ALLOWABLE_IN_LEDGERS: [&str; 4] =
    ["overlap_within_file", "area_mismatch_gross", "outside_province", "plan_required"];

/// What may be allowed for this layer.
pub fn allowable(layer: &str) -> &'static [&'static str] {
    if Ledger::of_layer(layer).is_some() { &ALLOWABLE_IN_LEDGERS } else { &ALLOWABLE }
}

/// The database waits so long for the overlaps of a file, which holds up nobody.
const LONGEST_COMPARISON: &str = "900s";

/// What a file would write: the rows of one layer.
#[derive(Debug, Clone)]
enum Rows {
    Blocks(Arc<FileRows<Block>>),
    Parks(Vec<Park>),
    Zones(Arc<FileRows<ControlZone>>),
    Parcels(Arc<FileParcels>),
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Rows::Blocks(file) => file.list.len(),
            Rows::Parks(parks) => parks.len(),
            Rows::Zones(file) => file.list.len(),
            Rows::Parcels(parcels) => parcels.file.list.len(),
        }
    }
}

/// A file read and judged, before any write.
struct Judged {
    report: ImportReport,
    rows: Rows,
    /// Columns that the file has no field for: what stands in them stays.
    absent: Vec<&'static str>,
    /// Of a ledger: from which rows it stays.
    inherit: store::ledgers::Inherit,
    /// The moves between states that a ledger's file tells.
    moves: Vec<store::ledgers::Move>,
}

impl Judged {
    fn new(report: ImportReport, rows: Rows) -> Self {
        let absent = absent::columns(&report.mapping, &rows);
        Self { report, rows, absent, inherit: store::ledgers::Inherit::FromSameKind, moves: Vec::new() }
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
    let allowable = allowable(&request.layer);
    if let Some(code) = request.allow.iter().find(|code| !allowable.contains(&code.as_str())) {
        return Err(Error::invalid(
            "allow_not_possible",
            format!("不能放行“{code}”；可放行的代码：{}", allowable.join("、")),
        ));
    }
    if request.attributes.is_some() && Ledger::of_layer(&request.layer).is_none() {
        return Err(Error::invalid("attributes_not_possible", "属性表只能随台账（周转用地、低效用地）的图形一起导入"));
    }
    if request.zone_kind.is_some() && request.layer != zone::LAYER {
        return Err(Error::invalid(
            "zone_kind_not_possible",
            "管控类型（zone_kind）只用于管控区域（control_zones）的导入",
        ));
    }
    if let Some(county) = request.county.as_ref().filter(|county| request.layer != zone::LAYER && !county.is_county()) {
        return Err(Error::invalid(
            "county_invalid",
            format!("{county} 不是县区代码；台账按县区编号，请写县区的 6 位代码"),
        ));
    }
    progress.stage("读取文件", None);
    let found = tokio::fs::metadata(&request.path).await.map_err(fingerprint::unreadable)?;
    if !(found.is_file() || found.is_dir()) {
        // A pipe would be waited for without end.
        return Err(Error::invalid("file_unreadable", "要导入的不是普通文件或文件夹"));
    }
    let mut judged = match Ledger::of_layer(&request.layer) {
        Some(ledger) => ledger::judge_file(pool, request, ledger, progress).await?,
        None if request.layer == "parks" => directory::judge_file(pool, request).await?,
        None if request.layer == zone::LAYER => zone::judge_file(pool, request, progress).await?,
        None => judge_blocks(pool, request, progress).await?,
    };
    outside::check(pool, &mut judged, request).await?;
    judged.report.file_name = request.file_name.clone();
    judged.report.layer = request.layer.clone();
    allow(&mut judged.report.findings, &request.allow);
    Ok(judged)
}

async fn judge_blocks(pool: &PgPool, request: &ImportRequest, progress: Arc<dyn Progress>) -> Result<Judged> {
    let mut connection = pool.acquire().await?;
    let parks = store::parks::list_names(&mut connection).await?;
    let ended = store::parks::list_ended(&mut connection).await?;
    drop(connection);
    let context = judge::Context::new(request, parks).with_ended(ended);
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
    store::bear_idling(connection, LONGEST_COMPARISON).await?;
    let has_errors = judged.report.has_errors();
    let overlaps = match &judged.rows {
        Rows::Parks(_) => return Ok(()),
        Rows::Zones(file) => {
            let compared = Arc::clone(file);
            off_async_threads(move || zone::overlaps(&compared)).await?
        }
        Rows::Blocks(file) => {
            let compared = Arc::clone(file);
            let staging =
                async { if has_errors { Ok(()) } else { store::blocks::stage_keys(connection, &file.list).await } };
            let (overlaps, staged) = tokio::join!(off_async_threads(move || compared.overlaps()), staging);
            staged?;
            overlaps?
        }
        Rows::Parcels(parcels) => {
            let compared = Arc::clone(parcels);
            off_async_threads(move || compared.file.overlaps()).await?
        }
    };
    store::bear_idling(connection, store::WRITER_IDLING).await?;
    judged.report.findings.extend(overlaps);
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
    if !judged.report.has_errors() && judged.rows.len() > 0 {
        let rows = judged.rows.clone();
        let counts = match &rows {
            Rows::Blocks(file) => {
                let (blocks, report) = (&file.list, &mut judged.report);
                store::blocks::stage_standing(connection, blocks).await?;
                report.findings.extend(absent::keep(connection, &rows, &judged.absent).await?);
                report.findings.extend(overlaps::with_register(connection, file).await?);
                report.findings.extend(overlaps::drawn_over_real(connection, blocks).await?);
                let (notice, replaced) = overlaps::illustrative_notice(connection).await?;
                report.findings.extend(notice);
                UpsertCounts { replaced, ..store::blocks::preview_staged(connection, blocks.len()).await? }
            }
            Rows::Parks(parks) => {
                judged.report.findings.extend(absent::keep(connection, &rows, &judged.absent).await?);
                store::parks::preview(connection, parks, &judged.absent).await?
            }
            Rows::Zones(file) => zone::judge_against_register(connection, judged, file, &request.jurisdiction).await?,
            Rows::Parcels(parcels) => {
                let counts = ledger::judge_against_register(connection, judged, parcels, request).await?;
                let days = oddities::days(connection, parcels, oddities::Called::ByTitle).await?;
                judged.report.findings.extend(days);
                counts
            }
        };
        judged.report.counts = Some(counts);
        allow(&mut judged.report.findings, &request.allow);
    }
    judged.report.settle(judged.rows.len());
    Ok(())
}

/// Runs GDAL, parsing and geometry where they cannot hold up the answering of requests.
pub(in crate::inventory) async fn off_async_threads<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
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
