//! Export: every declared layer in every format, with the filters of its items, from one state of the register.
//!
//! [`prepare`] checks, counts, refuses and logs; then the export is made into a file of its own, or flows out while it is read.

mod encode;
pub(in crate::inventory) mod flow;

use std::any::Any;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::encode::Task;
use self::flow::{PIECES_AHEAD, PieceWriter, Pieces};
use super::progress::{Progress, Silent};
use crate::domain::access::Viewer;
use crate::domain::export::{ExportCount, ExportFormat, Headings, TextEncoding};
use crate::domain::generalisation::Generalisation;
use crate::domain::items_query::ItemsQuery;
use crate::domain::layer::{GeometryKind, Layer, Visibility};
use crate::error::{Error, Result};
use crate::geometry::crs::Crs;
use crate::store::export_log::{ExportEntry, log_export};
use crate::store::feature_rows::{FeatureRows, Wanted};

/// What to export and how.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    pub layer: &'static Layer,
    pub format: ExportFormat,
    /// Its page does not count: all that match, or the first `limit`.
    pub query: ItemsQuery,
    pub limit: Option<u64>,
    pub options: ExportOptions,
    /// The filter in the words of the request, for the log and the notes.
    pub asked: String,
    /// Who produced the file, for the TXT header.
    pub producer: String,
    pub at: DateTime<Utc>,
    pub viewer: Viewer,
    /// Where the request came from; empty for the command line.
    pub address: String,
    /// Rows of an internal layer that are given out at once.
    pub internal_limit: u64,
}

impl ExportRequest {
    /// The rule of its outlines, where it is for somebody who is shown such.
    fn outlined(&self) -> Option<&Generalisation> {
        self.layer.generalisation_for(&self.viewer)
    }
}

/// What is asked of the format; what it settles by itself cannot be asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExportOptions {
    /// `None`: the system that the format expects (TXT: the zone of the first row; others EPSG:4490).
    pub crs: Option<Crs>,
    pub encoding: Option<TextEncoding>,
    pub headings: Option<Headings>,
    /// CSV: the shapes as text.
    pub wkt: bool,
}

/// Rows of an internal layer where the operator has set no other number.
pub const INTERNAL_LIMIT: u64 = 100_000;

/// An export that may be made: checked, counted, logged.
pub struct Export {
    request: ExportRequest,
    rows: FeatureRows,
    count: ExportCount,
}

/// An export as a file of ours; it goes when this is dropped.
pub struct Made {
    pub file: File,
    pub size: u64,
    pub rows: u64,
    /// Features that match and have no geometry to be written.
    pub left_out: u64,
    folder: TempDir,
}

/// Something that is kept until an export is over: its place among those that run.
pub type Held = Box<dyn Any + Send>;

impl Made {
    /// Lets the file flow out, as [`Export::flow`] does.
    pub fn flow(self, patience: Duration, held: Held) -> mpsc::Receiver<Result<Vec<u8>>> {
        let (to, receiver) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(async move {
            flow::send_file(tokio::fs::File::from_std(self.file), to, after(patience)).await;
            drop((self.folder, held));
        });
        receiver
    }
}

/// [`check`], and enters exports of internal layers in the log.
pub async fn prepare(pool: &PgPool, request: ExportRequest) -> Result<Export> {
    let export = check(pool, request).await?;
    let request = &export.request;
    if request.layer.visibility != Visibility::Public {
        let entry = ExportEntry {
            actor: &request.viewer.actor,
            layer: request.layer.id,
            filter: &request.asked,
            format: request.format.as_str(),
            rows: export.total(),
            address: &request.address,
        };
        log_export(pool, &entry).await?;
    }
    Ok(export)
}

/// Checks the request and counts what matches.
pub async fn check(pool: &PgPool, request: ExportRequest) -> Result<Export> {
    check_options(&request)?;
    let viewer = &request.viewer;
    let internal = request.layer.visibility != Visibility::Public;
    if internal && !viewer.role.reads_internal() {
        return Err(Error::not_found("collection_not_found", "没有这个图层"));
    }
    let wanted = Wanted { limit: request.limit, as_the_paper: request.format == ExportFormat::Txt };
    let (rows, count) = FeatureRows::open(pool, request.layer, request.query.clone(), wanted, viewer).await?;
    let export = Export { request, rows, count };
    if internal {
        let (request, rows) = (&export.request, export.total());
        if rows > request.internal_limit {
            return Err(Error::Forbidden {
                code: "export_too_large",
                detail: format!(
                    "内部图层“{}”一次最多导出 {} 条，符合条件的有 {rows} 条；请加上范围、条件或 limit",
                    request.layer.title.zh, request.internal_limit
                ),
            });
        }
    }
    Ok(export)
}

/// What a format settles by itself cannot be asked for: an option passed over in silence would be believed.
fn check_options(request: &ExportRequest) -> Result<()> {
    use ExportFormat as F;
    let ExportOptions { crs, encoding, headings, wkt } = request.options;
    let format = request.format;
    let fixed = |option: &str, why: &str| {
        Err(Error::invalid("option_not_possible", format!("导出为 {} 时不能指定{option}：{why}", format.label())))
    };
    if crs.is_some() && (format.is_geojson() || format.is_table()) {
        return fixed("坐标系（crs）", "固定为经纬度（EPSG:4490）");
    }
    if encoding.is_some() && !matches!(format, F::Csv | F::Txt | F::Shapefile) {
        return fixed("编码（encoding）", "固定为 UTF-8");
    }
    if headings.is_some() && (format.is_geojson() || format == F::Txt) {
        return fixed("字段名语言（headings）", "字段名是固定的");
    }
    check_shapes(request.layer, format)?;
    if format == F::Txt && request.outlined().is_some() {
        // Whoever reads 界址点 takes them for marks in the ground; points of an outline are none.
        let detail = format!(
            "图层“{}”的界址点坐标属内部资料；公众只能下载概略轮廓，请用其他格式，或登录后下载",
            request.layer.title.zh
        );
        return Err(Error::Forbidden { code: "boundary_points_internal", detail });
    }
    if wkt && format != F::Csv {
        return fixed("图形列（geometry=wkt）", "只有 CSV 可以带 WKT 列");
    }
    let not_ours = |crs: Crs| matches!(crs, Crs::Other(_));
    if let Some(other) = crs.filter(|crs| not_ours(*crs)) {
        let message = format!("不能导出为坐标系 {other}；可用 EPSG:4490、4326、3857 和高斯克吕格带");
        return Err(Error::invalid("crs_unknown", message));
    }
    let is_zone = |crs: Crs| matches!(crs, Crs::GaussKruger3 { .. } | Crs::GaussKruger6 { .. });
    if let Some(other) = crs.filter(|crs| format == F::Txt && !is_zone(*crs)) {
        let message = format!("界址点坐标文件只能用高斯克吕格投影带，不能用{}；例如 EPSG:4526", other.label());
        return Err(Error::invalid("txt_crs", message));
    }
    Ok(())
}

/// The day it is in China, which files are dated by.
pub fn day_in_china(at: DateTime<Utc>) -> NaiveDate {
    at.naive_utc().checked_add_signed(TimeDelta::hours(8)).map_or_else(|| at.date_naive(), |there| there.date())
}

/// A file of one kind of shape cannot take several; boundary points are of areas.
fn check_shapes(layer: &Layer, format: ExportFormat) -> Result<()> {
    let why = match (format, layer.geometry) {
        (ExportFormat::Shapefile, GeometryKind::Any) => "它的图形种类不一；请用 gpkg、fgb 或 geojson",
        (ExportFormat::Shapefile | ExportFormat::FlatGeobuf, GeometryKind::None) => {
            "它没有图形；请用 csv、xlsx 或 gpkg"
        }
        (ExportFormat::Txt, GeometryKind::Polygon | GeometryKind::MultiPolygon) => return Ok(()),
        (ExportFormat::Txt, _) => "它不是只有面的图层",
        _ => return Ok(()),
    };
    Err(Error::invalid("option_not_possible", format!("图层“{}”不能导出为 {}：{why}", layer.title.zh, format.label())))
}

/// The name of a file without its ending, in ASCII and in Chinese.
pub fn file_names(request: &ExportRequest) -> (String, String) {
    let day = day_in_china(request.at);
    let ending = request.format.ending();
    // A name stays with a file when all else is converted away.
    let (ascii, chinese) = if request.outlined().is_some() { ("_outline", "_概略轮廓") } else { ("", "") };
    let (id, title) = (request.layer.id, request.layer.title.zh);
    (format!("{id}{ascii}_{day}.{ending}"), format!("{title}{chinese}_{day}.{ending}"))
}

impl Export {
    /// Rows that will come.
    pub fn total(&self) -> u64 {
        self.request.limit.unwrap_or(u64::MAX).min(self.count.matched)
    }

    /// Features without a geometry, which the format has no place for.
    pub fn left_out(&self) -> u64 {
        match self.request.format {
            ExportFormat::Txt | ExportFormat::FlatGeobuf => self.count.without_geometry,
            _ => 0,
        }
    }

    /// Nothing in it can fail by its content: it may flow out while it is read.
    pub fn can_flow(&self) -> bool {
        let request = &self.request;
        request.format.is_geojson()
            || request.format == ExportFormat::Csv && request.options.encoding != Some(TextEncoding::Gbk)
    }

    /// Makes the whole file, within this time.
    pub async fn into_file(self, patience: Duration, progress: Arc<dyn Progress>) -> Result<Made> {
        let deadline = after(patience);
        let (total, left_out) = (self.total(), self.left_out());
        progress.stage("导出", Some(total));
        let (task, pieces, pump) = self.begin(deadline, Arc::clone(&progress)).await?;
        let making = tokio::task::spawn_blocking(move || make(&task, pieces));
        let (made, ()) = tokio::join!(making, pump);
        let made = made.map_err(|cause| Error::internal("导出时程序出错", cause))??;
        Ok(Made { left_out, ..made })
    }

    /// Lets the file flow out; the receiver gets its pieces, an empty one at its very end, or an error. Whoever drops the
    /// receiver ends the export.
    pub async fn flow(self, patience: Duration, held: Held) -> Result<mpsc::Receiver<Result<Vec<u8>>>> {
        let (task, pieces, pump) = self.begin(after(patience), Arc::new(Silent)).await?;
        let (out, receiver) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(async move {
            pump.await;
            drop(held);
        });
        tokio::task::spawn_blocking(move || {
            let mut writer = PieceWriter::new(out);
            let outcome = encode::write_text(&task, pieces, &mut writer);
            writer.finish(outcome.map(drop));
        });
        Ok(receiver)
    }

    /// Opens the cursor; gives what to write, where the rows arrive, and the work of bringing them.
    async fn begin(
        mut self,
        deadline: Instant,
        progress: Arc<dyn Progress>,
    ) -> Result<(Task, Pieces, impl Future<Output = ()> + Send)> {
        let total = self.total();
        let longest = match self.request.format {
            ExportFormat::Shapefile => Some(self.rows.longest_texts().await?),
            _ => None,
        };
        let task = Task::new(&self.request, &self.count, total, longest.as_deref());
        self.rows.declare(task.parts(), total).await?;
        let (to, pieces) = flow::pieces();
        let papers = task.needs_papers();
        Ok((task, pieces, flow::pump(self.rows, papers, to, deadline, progress)))
    }
}

fn after(patience: Duration) -> Instant {
    Instant::now() + patience
}

/// In a folder of its own, which goes with the file.
fn make(task: &Task, pieces: Pieces) -> Result<Made> {
    let failed = |cause: std::io::Error| Error::internal("写导出文件时出错", cause);
    let folder = TempDir::new().map_err(failed)?;
    let (path, rows): (PathBuf, u64) = encode::write_file(task, pieces, folder.path())?;
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    Ok(Made { file, size, rows, left_out: 0, folder })
}

/// A moment as people in China read it, for notes.
pub fn moment_in_china(at: DateTime<Utc>) -> String {
    let there = at.naive_utc().checked_add_signed(TimeDelta::hours(8)).unwrap_or_else(|| at.naive_utc());
    format!("{} 北京时间", there.format("%Y-%m-%d %H:%M:%S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_dated_by_the_day_in_china() {
        let at = DateTime::parse_from_rfc3339("2026-11-25T16:00:00Z").expect("a moment").to_utc();
        assert_eq!(day_in_china(at).to_string(), "2026-11-26");
        assert_eq!(day_in_china(at - TimeDelta::seconds(1)).to_string(), "2026-11-25");
        assert_eq!(moment_in_china(at), "2026-11-26 00:00:00 北京时间");
        assert_eq!(day_in_china(DateTime::<Utc>::MAX_UTC), DateTime::<Utc>::MAX_UTC.date_naive());
    }
}
