//! A data set laid out for GDAL: in a folder of its own, under names of ours.

use std::fs;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::cell_text::Declared;
use super::drawing_text;
use crate::domain::{Finding, Place};
use crate::error::{Error, Result};

/// A GDAL format and its one driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Shapefile,
    GeoPackage,
    FileGdb,
    FlatGeobuf,
    Dxf,
}

impl Format {
    /// The word that reports show.
    pub fn name(self) -> &'static str {
        match self {
            Format::Shapefile => "shapefile",
            Format::GeoPackage => "gpkg",
            Format::FileGdb => "filegdb",
            Format::FlatGeobuf => "fgb",
            Format::Dxf => "dxf",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Format::Shapefile => " Shapefile ",
            Format::GeoPackage => " GeoPackage ",
            Format::FileGdb => " FileGDB ",
            Format::FlatGeobuf => " FlatGeobuf ",
            Format::Dxf => " DXF ",
        }
    }

    /// GDAL's name of the only driver allowed to open it.
    pub fn driver(self) -> &'static str {
        match self {
            Format::Shapefile => "ESRI Shapefile",
            Format::GeoPackage => "GPKG",
            Format::FileGdb => "OpenFileGDB",
            Format::FlatGeobuf => "FlatGeobuf",
            Format::Dxf => "DXF",
        }
    }
}

/// A data set in its own folder, which goes when this is dropped.
#[derive(Debug)]
pub struct Source {
    pub format: Format,
    /// What GDAL opens.
    pub path: PathBuf,
    pub(super) declared: Declared,
    folder: TempDir,
}

/// A file as the user names it, and where its bytes lie.
pub type Named<'a> = (&'a str, &'a Path);

impl Source {
    /// The child's working folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn make(format: Format, name: &str) -> Result<Self> {
        let folder = TempDir::new().map_err(|cause| Error::internal("无法建立临时目录", cause))?;
        let path = folder.path().join(name);
        Ok(Self { format, path, declared: Declared::default(), folder })
    }

    /// A GeoPackage, FlatGeobuf or DXF.
    pub fn single(format: Format, file: &Path) -> Result<Self> {
        let name = match format {
            Format::GeoPackage => "data.gpkg",
            Format::FlatGeobuf => "data.fgb",
            _ => "data.dxf",
        };
        let mut source = Self::make(format, name)?;
        lay(file, &source.path)?;
        if format == Format::Dxf {
            source.declared.name = read_head(file, DRAWING_HEAD).as_deref().and_then(drawing_text::of_drawing);
        }
        Ok(source)
    }

    /// The files of one Shapefile, told apart by their endings. Without .shp the .dbf alone is a table.
    pub fn shapefile(files: &[Named<'_>]) -> Result<std::result::Result<Self, Finding>> {
        let find =
            |ending: &str| files.iter().find(|(name, _)| name.to_lowercase().ends_with(ending)).map(|(_, path)| *path);
        let has_shape = find(".shp").is_some();
        if let Some(finding) = find(".dbf").and_then(check_dbf) {
            return Ok(Err(finding));
        }
        if let Some(finding) = find(".shp").zip(find(".shx")).and_then(|(shp, shx)| check_shx(shp, shx)) {
            return Ok(Err(finding));
        }
        if let Some(finding) = find(".shp").zip(find(".dbf")).and_then(|(shp, dbf)| check_rows(shp, dbf)) {
            return Ok(Err(finding));
        }
        let mut source = Self::make(Format::Shapefile, if has_shape { "data.shp" } else { "data.dbf" })?;
        if has_shape && find(".dbf").is_none() && files.len() > 1 {
            return Ok(Err(Finding::error(
                "shapefile_incomplete",
                Place::whole(),
                "缺少 .dbf 文件（属性表），请一并打包",
            )));
        }
        for ending in [".shp", ".shx", ".dbf", ".prj"] {
            if let Some(from) = find(ending) {
                lay(from, &source.folder.path().join(format!("data{ending}")))?;
            }
        }
        // The .cpg stays here: GDAL is to give the bytes as they are.
        source.declared =
            Declared { name: find(".cpg").and_then(read_cpg), code_page: find(".dbf").and_then(code_page) };
        Ok(Ok(source))
    }

    /// The files of a .gdb folder; only names that the format itself uses are laid out.
    pub fn file_gdb(files: &[Named<'_>]) -> Result<Self> {
        let source = Self::make(Format::FileGdb, "data.gdb")?;
        fs::create_dir(&source.path).map_err(|cause| Error::internal("无法建立临时目录", cause))?;
        for (name, from) in files {
            let lower = name.rsplit('/').next().unwrap_or(name).to_lowercase();
            if is_gdb_file(&lower) {
                lay(from, &source.path.join(lower))?;
            }
        }
        Ok(source)
    }
}

/// `a0000000f.gdbtable`, `gdb`, `timestamps`; indexes are not needed for reading everything.
fn is_gdb_file(name: &str) -> bool {
    if matches!(name, "gdb" | "timestamps") {
        return true;
    }
    let Some((stem, ending)) = name.split_once('.') else { return false };
    stem.len() == 9
        && stem.starts_with('a')
        && stem[1..].bytes().all(|b| b.is_ascii_hexdigit())
        && matches!(ending, "gdbtable" | "gdbtablx" | "gdbindexes")
}

/// Under another name in the child's own folder: what the child makes beside it stays there. A second name for the same file
/// where the file system can; the child opens it for reading only.
fn lay(from: &Path, to: &Path) -> Result<()> {
    if fs::symlink_metadata(from).is_ok_and(|found| found.is_file()) && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to).map(drop).map_err(|cause| Error::internal("无法写临时文件", cause))
}

/// Bytes in which the head of a drawing says what it has to say of encodings: among its first settings.
const DRAWING_HEAD: u64 = 1 << 16;

fn read_head(path: &Path, bytes: u64) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    fs::File::open(path).ok()?.take(bytes).read_to_end(&mut head).ok()?;
    Some(head)
}

fn read_cpg(path: &Path) -> Option<String> {
    let text = read_head(path, 64)?;
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&text);
    Some(String::from_utf8_lossy(text).trim_matches(['\0', '\r', '\n', ' ', '\t']).to_owned())
}

/// Bytes before the first record of a .shp or .shx.
const SHAPE_HEAD: u64 = 100;

/// The shapes that a .shp holds, empty ones too.
fn count_shapes(shp: &Path) -> Option<u64> {
    let end = fs::metadata(shp).ok()?.len();
    let mut file = BufReader::new(fs::File::open(shp).ok()?);
    let (mut at, mut held) = (SHAPE_HEAD, 0_u64);
    file.seek(SeekFrom::Start(at)).ok()?;
    let mut head = [0; 8];
    while at + 8 <= end && file.read_exact(&mut head).is_ok() {
        let words = u64::from(u32::from_be_bytes([head[4], head[5], head[6], head[7]]));
        at += 8 + words * 2;
        if at > end || words > u64::from(u32::MAX >> 1) {
            break;
        }
        held += 1;
        file.seek_relative(i64::try_from(words * 2).ok()?).ok()?;
    }
    Some(held)
}

/// An index that lists fewer shapes than there are: GDAL reads by the index and would say nothing of the rest.
fn check_shx(shp: &Path, shx: &Path) -> Option<Finding> {
    let listed = fs::metadata(shx).ok()?.len().saturating_sub(SHAPE_HEAD) / 8;
    let held = count_shapes(shp)?;
    (held > listed).then(|| {
        Finding::error(
            "records_lost",
            Place::whole(),
            format!("索引（.shx）只列出 {listed} 个图形，图形文件（.shp）里有 {held} 个；请重新导出，或去掉 .shx"),
        )
    })
}

/// A table with fewer rows than there are shapes: GDAL would leave the rest out.
fn check_rows(shp: &Path, dbf: &Path) -> Option<Finding> {
    let head = read_head(dbf, 8).filter(|head| head.len() == 8)?;
    let rows = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
    let shapes = count_shapes(shp)?;
    (shapes > rows).then(|| {
        let message = format!("图形文件（.shp）里有 {shapes} 个图形，属性表（.dbf）只有 {rows} 条记录；请重新导出");
        Finding::error("records_lost", Place::whole(), message)
    })
}

/// A table whose head counts other rows than the file holds: GDAL would believe the head and say nothing. One without a head has
/// lost them all.
fn check_dbf(path: &Path) -> Option<Finding> {
    let size = fs::metadata(path).ok()?.len();
    let mut head = [0; 32];
    let mut file = fs::File::open(path).ok()?;
    if file.read_exact(&mut head).is_err() {
        let message = format!("属性表（.dbf）只有 {size} 字节，是空的或被截断；请重新导出");
        return Some(Finding::error("records_lost", Place::whole(), message));
    }
    let declared = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
    let start = u64::from(u16::from_le_bytes([head[8], head[9]]));
    let width = u64::from(u16::from_le_bytes([head[10], head[11]]));
    let held = size.saturating_sub(start).checked_div(width).unwrap_or(0);
    // Behind the last row stands an end mark or padding; another row begins with a blank.
    let mut goes_on = || {
        let mut next = [0];
        file.seek(SeekFrom::Start(start + declared * width)).is_ok()
            && file.read_exact(&mut next).is_ok()
            && next[0] == b' '
    };
    (declared > held || (declared < held && goes_on())).then(|| {
        Finding::error(
            "records_lost",
            Place::whole(),
            format!("属性表（.dbf）声明 {declared} 条记录，文件的长度却是 {held} 条，可能被截断或损坏；请重新导出"),
        )
    })
}

fn code_page(path: &Path) -> Option<u8> {
    let mut head = [0; 32];
    fs::File::open(path).ok()?.read_exact(&mut head).ok()?;
    Some(head[29])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_file_geodatabase() {
        for (name, expected) in [
            ("a00000001.gdbtable", true),
            ("a0000000f.gdbtablx", true),
            ("a00000004.gdbindexes", true),
            ("gdb", true),
            ("timestamps", true),
            ("a00000001.spx", false),
            ("b00000001.gdbtable", false),
            ("a0000001.gdbtable", false),
            ("../gdb", false),
        ] {
            assert_eq!(is_gdb_file(name), expected, "{name}");
        }
    }
}
