//! GDAL formats: Shapefile, GeoPackage, FileGDB, DXF. Read and written in a child process with limits and one explicit
//! driver; this side decodes texts, decides the system, and says what is wrong.
//!
//! Never: GDAL in this process, a driver chosen by a file's content, a name from a file used as a path.

pub mod child;
mod dbf_text;
mod finish;
mod process;
mod raw;
mod source;
mod srs;
pub mod wire;

use std::io::{BufReader, Read};

pub use process::use_program;
pub use source::{Format, Source};

use self::child::Request;
use self::finish::Collected;
use self::wire::{Failure, Message};
use super::limits::{MAX_CHILD_BYTES, MAX_FEATURES};
use super::{ReadOptions, Reading};
use crate::domain::{Finding, Place};
use crate::error::{Error, Result};
use crate::geometry::crs::Crs;

/// Reads one data set. A file that GDAL cannot open is a finding; `Err` is for what is not the file's fault.
pub fn read(source: &Source, options: &ReadOptions) -> Result<Reading> {
    let mut reading = Reading { format: source.format.name(), ..Reading::default() };
    match collect(source, options)? {
        Ok(collected) => finish::finish(collected, source, options, &mut reading),
        Err(finding) => reading.findings.push(finding),
    }
    Ok(reading)
}

/// Everything that the child says about the file.
fn collect(source: &Source, options: &ReadOptions) -> Result<std::result::Result<Collected, Finding>> {
    let request = Request::Read {
        driver: source.format.driver().to_owned(),
        path: source.path.to_string_lossy().into_owned(),
        layer: options.source_layer.clone(),
        epsg: options.crs.map(Crs::epsg),
    };
    let (running, _, output) = process::start(&request, source.folder(), false)?;
    let mut from = BufReader::with_capacity(1 << 18, output.take(MAX_CHILD_BYTES));
    let mut collected = Collected::default();
    let mut failure = None;
    loop {
        match wire::read(&mut from) {
            Ok(Some(Message::Header(header))) => collected.header = header,
            Ok(Some(Message::Field(name))) => collected.fields.push(name),
            Ok(Some(Message::Feature(feature))) => {
                collected.features.push(feature);
                if collected.features.len() > MAX_FEATURES {
                    // Dropping `running` ends the child.
                    return Ok(Err(Finding::error(
                        "too_many_records",
                        Place::whole(),
                        format!("要素超过 {MAX_FEATURES} 个，请分成几个文件"),
                    )));
                }
            }
            Ok(Some(Message::Done(_))) => collected.complete = true,
            Ok(Some(Message::Failure(told))) => failure = Some(told),
            Ok(None) => break,
            // A killed child leaves half a message; its exit status says why.
            Err(_) => break,
        }
    }
    if from.get_ref().limit() == 0 {
        let message = format!("文件展开后超过上限 {} MB，请分成几个文件", MAX_CHILD_BYTES / 1_048_576);
        return Ok(Err(Finding::error("file_too_large", Place::whole(), message)));
    }
    if let Err(error) = running.finish(source.folder()) {
        return match error {
            Error::Invalid { code, detail, .. } | Error::TooLarge { code, detail } => {
                Ok(Err(Finding::error(code, Place::whole(), detail)))
            }
            other => Err(other),
        };
    }
    match failure {
        // Records before the fault are shown, so that the place can be told.
        Some(told) if told.code == "read_failed" => {
            tracing::info!(cause = told.cause, "vector file breaks off");
            Ok(Ok(collected))
        }
        Some(told) => Ok(Err(of_failure(&told, source))),
        None => Ok(Ok(collected)),
    }
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
            format!("文件里有几个图层，请用 --source-layer 指定其中一个：{}", layers.join("、")),
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
    drop(input);
    let answer = wire::read(&mut BufReader::new(output));
    running.finish(folder)?;
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
