//! GDAL formats: Shapefile, GeoPackage, FileGDB, DXF. Read and written in a child process with limits and one explicit
//! driver; this side decodes texts, decides the system, and says what is wrong.
//!
//! Never: GDAL in this process, a driver chosen by a file's content, a name from a file used as a path.

mod cell_text;
pub mod child;
mod drawing_text;
mod finish;
mod how;
mod listen;
mod process;
mod raw;
mod source;
mod srs;
pub mod wire;

use std::io::BufReader;
use std::sync::mpsc;

pub use process::use_program;
pub use source::{Format, Source};

use self::child::Request;
use self::finish::Assembly;
use self::wire::{Failure, Message};
use super::{Intake, ReadOptions, Reading};
use crate::domain::{Finding, Place};
use crate::error::{Error, Result};
use crate::geometry::crs::Crs;

/// Stretches of records that wait to be worked on; more, and the child waits.
const PARTS_AHEAD: usize = 4;

/// Reads one data set; candidates go to `intake` as they come. A file that GDAL cannot open is a finding; `Err` is for what
/// is not the file's fault.
pub fn read(source: &Source, options: &ReadOptions, intake: &mut dyn Intake) -> Result<Reading> {
    let request = Request::Read {
        driver: source.format.driver().to_owned(),
        path: source.path.to_string_lossy().into_owned(),
        layer: options.source_layer.clone(),
        epsg: options.crs.map(Crs::epsg),
    };
    let (running, _, output) = process::start(&request, source.folder(), false)?;
    let mut assembly = Assembly::new(source, options, intake);
    // Listening on a thread of its own: the child need not wait while its records are worked on.
    let end = std::thread::scope(|scope| {
        let (say, parts) = mpsc::sync_channel(PARTS_AHEAD);
        let listener = scope.spawn(move || listen::listen(output, &say));
        for part in parts {
            assembly.add(part);
        }
        listener.join()
    });
    let end =
        end.map_err(|_| Error::Internal { detail: "读取子进程的输出时程序出错".to_owned(), cause: None })?;
    let refusal = match end.refusal {
        // Dropping `running` ends the child.
        Some(refusal) => Some(refusal),
        None => match running.finish(source.folder()) {
            Ok(()) => None,
            Err(Error::Invalid { code, detail, .. } | Error::TooLarge { code, detail }) => {
                Some(Finding::error(code, Place::whole(), detail))
            }
            Err(other) => return Err(other),
        },
    };
    let refusal = refusal.or_else(|| match end.failure {
        // Records before the fault are shown, so that the place can be told.
        Some(told) if told.code == "read_failed" => {
            tracing::info!(cause = told.cause, "vector file breaks off");
            None
        }
        told => told.map(|told| of_failure(&told, source)),
    });
    Ok(match refusal {
        Some(finding) => assembly.refuse(finding),
        None => {
            let mut reading = assembly.finish(end.complete);
            reading.findings.extend(tell_curves(end.curved));
            reading
        }
    })
}

/// Vertices that no surveyor has set are told.
fn tell_curves(records: u64) -> Option<Finding> {
    (records > 0).then(|| {
        let message = format!("{records} 条记录含有圆弧，已按每 4 度一段化为折线，面积与圆弧略有差别");
        Finding::info("curves_straightened", Place::whole(), message)
    })
}

fn of_failure(failure: &Failure, source: &Source) -> Finding {
    tracing::info!(code = failure.code, cause = failure.cause, "vector file not read");
    let layers: Vec<String> = failure
        .layers
        .iter()
        .take(30)
        .map(|name| name.chars().filter(|c| !c.is_control()).take(60).collect())
        .collect();
    let whole = Place::whole();
    match failure.code.as_str() {
        "layer_ambiguous" => Finding::error(
            "source_layer_ambiguous",
            whole,
            format!("文件里有几个图层，请指定其中一个（source_layer）：{}", layers.join("、")),
        ),
        "layer_unknown" => {
            Finding::error("source_layer_unknown", whole, format!("文件里没有这个图层；有：{}", layers.join("、")))
        }
        "no_layer" => Finding::error("file_without_records", whole, "文件里没有图层"),
        "no_transformation" => {
            Finding::error("crs_not_supported", whole, "无法从文件的坐标系转换到 2000 国家大地坐标系；请转换后再导入")
        }
        _ => Finding::error("file_unreadable", whole, format!("不是有效的{}文件，或文件已损坏", source.format.label())),
    }
}

/// A writer that is stopped has met its limits: the rows are our own and sound.
fn too_large_to_write(error: Error) -> Error {
    match error {
        Error::Invalid { .. } | Error::TooLarge { .. } => {
            Error::too_large("export_file_too_large", "导出的文件太大；请加上范围或条件，分几次导出")
        }
        other => other,
    }
}

/// Writes one data set: `send` writes head and features to the child.
pub fn write(
    format: Format,
    path: &std::path::Path,
    folder: &std::path::Path,
    send: impl FnOnce(&mut dyn std::io::Write) -> Result<()>,
) -> Result<()> {
    let request = Request::Write { driver: format.driver().to_owned(), path: path.to_string_lossy().into_owned() };
    let (running, input, output) = process::start(&request, folder, true)?;
    let mut input =
        input.ok_or_else(|| Error::Internal { detail: "子进程没有输入端".to_owned(), cause: None })?;
    let sent = send(&mut input);
    if let Err(refusal @ (Error::Invalid { .. } | Error::Unavailable { .. })) = sent {
        // A row that cannot be written, or rows that stopped coming; dropping `running` ends the child.
        return Err(refusal);
    }
    drop(input);
    let answer = wire::read(&mut BufReader::new(output), &mut Vec::new());
    running.finish(folder).map_err(too_large_to_write)?;
    match answer {
        Ok(Some(Message::Done(_))) => sent,
        Ok(Some(Message::Failure(failure))) => {
            // The child stopped reading: its word explains the broken pipe better than ours.
            Err(Error::internal("写矢量文件失败", std::io::Error::other(failure.cause)))
        }
        _ => {
            sent.and(Err(Error::Internal { detail: "写矢量文件的子进程没有应答".to_owned(), cause: None }))
        }
    }
}
