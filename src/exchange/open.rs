//! What a file is, by its content first and its name second; and the reader for it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::archive::{self, Unpacked};
use super::field_names::Vocabulary;
use super::limits::MAX_FILE_BYTES;
use super::vector::{self, Format, Source};
use super::{Intake, ReadOptions, Reading, coordinate_txt, geojson, plain_table, spreadsheet};
use crate::domain::{Finding, Place};
use crate::error::{Error, Result};

/// Formats by what their bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Zip,
    Sqlite,
    FlatGeobuf,
    Shape,
    Dbf,
    Dxf,
    GeoJson,
    Txt,
    Csv,
    Xlsx,
    Unknown,
}

/// Reads every record of a boundary file. Faults of the content are findings; `Err` is for files that cannot be read at
/// all and for formats that sizhi does not know.
pub fn read_file(path: &Path, options: &ReadOptions) -> Result<Reading> {
    let mut candidates = Vec::new();
    let reading = read_file_into(path, options, &mut candidates)?;
    Ok(Reading { candidates, ..reading })
}

/// The same, with the candidates handed on as they are read; the reading has none.
pub fn read_file_into(path: &Path, options: &ReadOptions, intake: &mut dyn Intake) -> Result<Reading> {
    let mut reading = read_path(path, options, intake)?;
    if !reading.candidates.is_empty() {
        let candidates = std::mem::take(&mut reading.candidates);
        intake.expect(candidates.len() as u64);
        intake.take(candidates);
    }
    Ok(reading)
}

/// Reads a table (CSV, XLSX) whose rows say more of parcels that another file draws, or that the register holds.
pub fn read_attributes(path: &Path, options: &ReadOptions) -> Result<Reading> {
    let name = options.file_name.clone().unwrap_or_else(|| file_name(path));
    match kind_of(path, &name)? {
        kind @ (Kind::Csv | Kind::Xlsx) => read_single(kind, path, &name, options, &mut Vec::new()),
        _ => Err(Error::unsupported("format_unknown", "属性表应为 CSV 或 XLSX")),
    }
}

/// The sheet that was asked for, else the first with a column of parcel numbers.
fn read_sheet(path: &Path, options: &ReadOptions) -> Result<Reading> {
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let mut reading = Reading { format: "xlsx", ..Reading::default() };
    let numbered =
        |table: &plain_table::PlainTable| table.headings.iter().any(|h| options.vocabulary.canonical(h) == Some("id"));
    let wanted = options.source_layer.as_deref();
    if let Some(table) = spreadsheet::read(path, &bytes, wanted, numbered, &mut reading.findings) {
        plain_table::take_table(table, options, &mut reading);
    }
    Ok(reading)
}

/// Only GDAL's formats are handed on while they are read: of the others the reading holds the candidates.
fn read_path(path: &Path, options: &ReadOptions, intake: &mut dyn Intake) -> Result<Reading> {
    let name = options.file_name.clone().unwrap_or_else(|| file_name(path));
    if path.is_dir() {
        return read_folder(path, &name, options, intake);
    }
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE_BYTES {
        return Err(Error::too_large("file_too_large", format!("文件超过上限 {} MB", MAX_FILE_BYTES / 1_048_576)));
    }
    match kind_of(path, &name)? {
        Kind::Zip => read_archive(path, options, intake),
        kind => read_single(kind, path, &name, options, intake),
    }
}

fn unreadable(cause: std::io::Error) -> Error {
    tracing::warn!(error = %cause, "file unreadable");
    match cause.kind() {
        std::io::ErrorKind::NotFound => Error::not_found("file_not_found", "找不到要读取的文件"),
        _ => Error::invalid("file_unreadable", "文件无法读取"),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

fn refused(format: &'static str, finding: Finding) -> Reading {
    Reading { format, findings: vec![finding], ..Reading::default() }
}

fn ending(name: &str) -> String {
    name.rsplit_once('.').map(|(_, e)| e.to_lowercase()).unwrap_or_default()
}

/// By the first bytes; the name only where the bytes leave it open.
fn kind_of(path: &Path, name: &str) -> Result<Kind> {
    let mut head = Vec::new();
    File::open(path).map_err(unreadable)?.take(4096).read_to_end(&mut head).map_err(unreadable)?;
    let by_name = match ending(name).as_str() {
        "geojson" | "json" | "geojsonl" | "ndjson" => Kind::GeoJson,
        "txt" => Kind::Txt,
        "csv" => Kind::Csv,
        "dbf" => Kind::Dbf,
        "dxf" => Kind::Dxf,
        "shp" => Kind::Shape,
        "gpkg" => Kind::Sqlite,
        "fgb" => Kind::FlatGeobuf,
        "zip" => Kind::Zip,
        "xlsx" | "xls" | "ods" => Kind::Xlsx,
        _ => Kind::Unknown,
    };
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(if by_name == Kind::Xlsx { Kind::Xlsx } else { Kind::Zip });
    }
    if head.starts_with(b"SQLite format 3\0") {
        return Ok(Kind::Sqlite);
    }
    if head.starts_with(b"fgb\x03fgb") {
        return Ok(Kind::FlatGeobuf);
    }
    if head.starts_with(&[0, 0, 0x27, 0x0A]) {
        return Ok(Kind::Shape);
    }
    if head.starts_with(b"AutoCAD Binary DXF") || is_dxf(&head) {
        return Ok(Kind::Dxf);
    }
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&head).trim_ascii_start();
    if matches!(text.first(), Some(b'{' | b'\x1e')) {
        return Ok(Kind::GeoJson);
    }
    if by_name == Kind::Unknown && text.first() == Some(&b'[') {
        return Ok(Kind::Txt);
    }
    Ok(by_name)
}

/// Group code 0 (or the comment 999) alone on the first line, `SECTION` soon after.
fn is_dxf(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines().map(str::trim);
    matches!(lines.next(), Some("0" | "999")) && text.contains("SECTION")
}

fn read_single(kind: Kind, path: &Path, name: &str, options: &ReadOptions, intake: &mut dyn Intake) -> Result<Reading> {
    let bytes = || std::fs::read(path).map_err(unreadable);
    match kind {
        Kind::GeoJson => Ok(geojson::read(&bytes()?, options)),
        Kind::Txt => Ok(coordinate_txt::read(&bytes()?, options)),
        Kind::Csv => Ok(plain_table::read_csv(&bytes()?, options)),
        Kind::Sqlite => vector::read(&Source::single(Format::GeoPackage, path)?, options, intake),
        Kind::FlatGeobuf => vector::read(&Source::single(Format::FlatGeobuf, path)?, options, intake),
        Kind::Dxf => vector::read(&Source::single(Format::Dxf, path)?, options, intake),
        Kind::Shape | Kind::Dbf => read_shapefile(&siblings(path, name), options, intake),
        Kind::Xlsx if matches!(options.vocabulary, Vocabulary::Ledger(_)) => read_sheet(path, options),
        Kind::Xlsx => Ok(refused(
            "xlsx",
            Finding::error("table_without_geometry", Place::whole(), "表格里没有图形；园区名录请导入到图层 parks"),
        )),
        Kind::Zip | Kind::Unknown => Err(Error::unsupported(
            "format_unknown",
            "不认识这种文件；可导入 TXT（界址点坐标）、GeoJSON、Shapefile（zip 或 .shp）、GeoPackage、FlatGeobuf、FileGDB（zip）、DXF；名录为 CSV、XLSX",
        )),
    }
}

/// A bare .shp or .dbf with its companions of the same name beside it.
fn siblings(path: &Path, name: &str) -> Vec<(String, PathBuf)> {
    let mut found = vec![(name.to_owned(), path.to_owned())];
    let stem = |n: &str| n.rsplit_once('.').map_or_else(|| n.to_lowercase(), |(s, _)| s.to_lowercase());
    let wanted = stem(&file_name(path));
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let other = entry.file_name().to_string_lossy().into_owned();
        if stem(&other) == wanted
            && matches!(ending(&other).as_str(), "shp" | "shx" | "dbf" | "prj" | "cpg")
            && entry.path() != path
        {
            found.push((other, entry.path()));
        }
    }
    found
}

fn read_shapefile(files: &[(String, PathBuf)], options: &ReadOptions, intake: &mut dyn Intake) -> Result<Reading> {
    let files: Vec<(&str, &Path)> = files.iter().map(|(n, p)| (n.as_str(), p.as_path())).collect();
    match Source::shapefile(&files)? {
        Ok(source) => vector::read(&source, options, intake),
        Err(finding) => Ok(refused("shapefile", finding)),
    }
}

/// A folder is a file geodatabase or nothing.
fn read_folder(path: &Path, name: &str, options: &ReadOptions, intake: &mut dyn Intake) -> Result<Reading> {
    if ending(name) != "gdb" {
        return Err(Error::unsupported("format_unknown", "目录只支持 FileGDB（名称以 .gdb 结尾）"));
    }
    let files: Vec<(String, PathBuf)> = std::fs::read_dir(path)
        .map_err(unreadable)?
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_file()))
        .map(|e| (e.file_name().to_string_lossy().into_owned(), e.path()))
        .collect();
    read_file_gdb(&files, options, intake)
}

fn read_file_gdb(files: &[(String, PathBuf)], options: &ReadOptions, intake: &mut dyn Intake) -> Result<Reading> {
    let files: Vec<(&str, &Path)> = files.iter().map(|(n, p)| (n.as_str(), p.as_path())).collect();
    vector::read(&Source::file_gdb(&files)?, options, intake)
}

/// One data set of an archive.
#[derive(Debug)]
enum Inside {
    Shapefile(Vec<(String, PathBuf)>),
    FileGdb(Vec<(String, PathBuf)>),
    Single(Kind, String, PathBuf),
}

fn read_archive(path: &Path, options: &ReadOptions, intake: &mut dyn Intake) -> Result<Reading> {
    let unpacked = match archive::unpack(path) {
        Ok(unpacked) => unpacked,
        Err(finding) => return Ok(refused("zip", finding)),
    };
    let (mut inside, company) = data_sets(&unpacked)?;
    if inside.len() > 1 {
        return Ok(refused("zip", several(&inside)));
    }
    let mut reading = match inside.pop() {
        Some((_, Inside::Shapefile(files))) => read_shapefile(&files, options, intake),
        Some((_, Inside::FileGdb(files))) => read_file_gdb(&files, options, intake),
        Some((_, Inside::Single(kind, name, path))) => read_single(kind, &path, &name, options, intake),
        None => Ok(refused(
            "zip",
            Finding::error(
                "archive_without_data",
                Place::whole(),
                "压缩包里没有可导入的数据（.shp、.gdb、.gpkg、.fgb、.dxf、.geojson、.txt）",
            ),
        )),
    }?;
    if !company.is_empty() {
        let message = format!("压缩包里的 {} 不是边界，没有读取", company.join("、"));
        reading.findings.push(Finding::info("archive_company", Place::whole(), message));
    }
    Ok(reading)
}

fn several(inside: &[(String, Inside)]) -> Finding {
    let names: Vec<&str> = inside.iter().take(20).map(|(name, _)| name.as_str()).collect();
    Finding::error(
        "archive_ambiguous",
        Place::whole(),
        format!("压缩包里有 {} 份数据，请每份单独打包：{}", inside.len(), names.join("、")),
    )
}

/// The data sets in an archive, each with a name to show; and the names of tables and notes beside them.
fn data_sets(unpacked: &Unpacked) -> Result<(Vec<(String, Inside)>, Vec<String>)> {
    let mut found: Vec<(String, Inside)> = Vec::new();
    let stem = |name: &str| name.rsplit_once('.').map_or(name, |(s, _)| s).to_lowercase();
    let mut folders: Vec<String> = Vec::new();
    for entry in &unpacked.entries {
        let lower = entry.name.to_lowercase();
        if let Some(at) = lower.find(".gdb/") {
            let folder = lower[..at + 4].to_owned();
            if !folders.contains(&folder) {
                folders.push(folder);
            }
            continue;
        }
        match ending(entry.file_name()).as_str() {
            "shp" => {
                let wanted = stem(&entry.name);
                let files = unpacked.entries.iter().filter(|e| stem(&e.name) == wanted);
                let files = files.map(|e| (e.name.clone(), e.path.clone())).collect();
                found.push((entry.name.clone(), Inside::Shapefile(files)));
            }
            "gpkg" | "fgb" | "dxf" | "geojson" | "json" | "txt" | "csv" => {
                let kind = kind_of(&entry.path, &entry.name)?;
                if is_data(kind, entry.file_name()) {
                    found.push((entry.name.clone(), Inside::Single(kind, entry.name.clone(), entry.path.clone())));
                }
            }
            _ => {}
        }
    }
    for folder in folders {
        let inside = unpacked.entries.iter().filter(|e| e.name.to_lowercase().starts_with(&format!("{folder}/")));
        let files = inside.map(|e| (e.name.clone(), e.path.clone())).collect();
        found.push((folder, Inside::FileGdb(files)));
    }
    // A table or a note beside boundaries is company, not a second data set.
    let mut company = Vec::new();
    if found.iter().any(|(_, i)| !is_company(i)) {
        let (beside, data): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, i)| is_company(i));
        company.extend(beside.into_iter().map(|(name, _)| name));
        found = data;
    }
    Ok((found, company))
}

fn is_company(inside: &Inside) -> bool {
    match inside {
        Inside::Single(Kind::Csv, ..) => true,
        Inside::Single(Kind::Txt, _, path) => !holds_parcels(path),
        _ => false,
    }
}

/// A boundary-point file by its section, in either encoding.
fn holds_parcels(path: &Path) -> bool {
    const SECTION_GBK: &[u8] = &[0xB5, 0xD8, 0xBF, 0xE9, 0xD7, 0xF8, 0xB1, 0xEA];
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(1 << 20).read_to_end(&mut head));
    let holds = |section: &[u8]| head.windows(section.len()).any(|w| w == section);
    read.is_ok() && (holds("地块坐标".as_bytes()) || holds(SECTION_GBK))
}

/// `README.txt` and `metadata.json` are no data.
fn is_data(kind: Kind, name: &str) -> bool {
    let lower = name.to_lowercase();
    kind != Kind::Unknown && !["readme", "license", "说明", "metadata"].iter().any(|word| lower.starts_with(word))
}
