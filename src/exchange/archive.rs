//! Unpacking zip archives: by ourselves, bounded, into numbered files. Names inside are told, never used as paths.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use zip::ZipArchive;

use super::limits::{ARCHIVE_RATIO_FLOOR_BYTES, MAX_ARCHIVE_BYTES, MAX_ARCHIVE_ENTRIES, MAX_ARCHIVE_RATIO};
use super::text_encoding;
use crate::domain::{Finding, Place};

/// An archive's files, unpacked under numbered names; gone when dropped.
#[derive(Debug)]
pub struct Unpacked {
    pub entries: Vec<Entry>,
    _folder: TempDir,
}

/// One file of an archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// As the archive names it, `/` between folders; for matching and messages only.
    pub name: String,
    pub path: PathBuf,
}

impl Entry {
    /// The name without its folders.
    pub fn file_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }
}

fn refuse(code: &'static str, message: impl Into<String>) -> Finding {
    Finding::error(code, Place::whole(), message)
}

/// Unpacks a zip file, or says which rule it breaks.
pub fn unpack(file: &Path) -> Result<Unpacked, Finding> {
    let unreadable = |_: io::Error| refuse("archive_unreadable", "压缩包无法读取");
    let packed = File::open(file).map_err(unreadable)?;
    let packed_size = packed.metadata().map_err(unreadable)?.len();
    let mut archive =
        ZipArchive::new(packed).map_err(|_| refuse("archive_unreadable", "不是有效的 zip 压缩包，或压缩包已损坏"))?;
    check_entries(&mut archive, listed_entries(file), packed_size, MAX_ARCHIVE_BYTES)?;
    let folder = TempDir::new().map_err(|_| refuse("archive_unreadable", "无法建立临时目录"))?;
    let mut entries = Vec::new();
    let mut left = MAX_ARCHIVE_BYTES;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|_| damaged())?;
        let name = entry_name(entry.name_raw())?;
        if name.ends_with('/') || is_litter(&name) {
            continue;
        }
        let path = folder.path().join(format!("e{index}"));
        let mut out = File::create(&path).map_err(unreadable)?;
        let written = copy_bounded(&mut entry, &mut out, left, MAX_ARCHIVE_BYTES)?;
        left -= written;
        if too_dense(MAX_ARCHIVE_BYTES - left, packed_size) {
            return Err(bomb());
        }
        entries.push(Entry { name, path });
    }
    if entries.is_empty() {
        return Err(refuse("archive_empty", "压缩包里没有文件"));
    }
    Ok(Unpacked { entries, _folder: folder })
}

/// Checks a zip container that a library will read by itself (XLSX): the same rules, nothing written, `most` bytes unpacked.
pub fn check_container(file: &Path, most: u64) -> Result<(), Finding> {
    let unreadable = |_: io::Error| refuse("archive_unreadable", "文件无法读取");
    let packed = File::open(file).map_err(unreadable)?;
    let packed_size = packed.metadata().map_err(unreadable)?.len();
    let mut archive = ZipArchive::new(packed).map_err(|_| damaged())?;
    check_entries(&mut archive, listed_entries(file), packed_size, most)?;
    let mut left = most;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|_| damaged())?;
        left -= copy_bounded(&mut entry, &mut io::sink(), left, most)?;
        if too_dense(most - left, packed_size) {
            return Err(bomb());
        }
    }
    Ok(())
}

/// Entries that the end of the archive counts; `None` where it does not say (ZIP64).
fn listed_entries(file: &Path) -> Option<usize> {
    let mut file = File::open(file).ok()?;
    let size = file.metadata().ok()?.len();
    // 22 bytes and a comment of at most 65,535.
    file.seek(SeekFrom::Start(size.saturating_sub(22 + 65_535))).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    let at = tail.windows(4).rposition(|w| w == b"PK\x05\x06")?;
    let count = u16::from_le_bytes(tail.get(at + 10..at + 12)?.try_into().ok()?);
    (count != u16::MAX).then_some(usize::from(count))
}

/// What the directory of the archive declares, before a byte is unpacked.
fn check_entries<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    listed: Option<usize>,
    packed_size: u64,
    most: u64,
) -> Result<(), Finding> {
    if archive.len() > MAX_ARCHIVE_ENTRIES {
        return Err(refuse(
            "archive_too_many_entries",
            format!("压缩包里有 {} 个文件，超过上限 {MAX_ARCHIVE_ENTRIES}", archive.len()),
        ));
    }
    // The library keeps one entry a name and drops the others without a word.
    if listed.is_some_and(|listed| listed != archive.len()) {
        return Err(refuse("archive_duplicate_name", "压缩包里有文件同名，只有其中一个读得到；请重新打包"));
    }
    let mut declared = 0_u64;
    let mut seen = HashSet::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|_| damaged())?;
        let name = entry_name(entry.name_raw())?;
        if entry.encrypted() {
            return Err(refuse("archive_encrypted", format!("压缩包里的“{name}”有密码，请去掉密码后再导入")));
        }
        if entry.is_symlink() {
            return Err(refuse("archive_link", format!("压缩包里的“{name}”是链接，不能导入")));
        }
        if !seen.insert(name.to_lowercase()) {
            return Err(refuse("archive_duplicate_name", format!("压缩包里有两个文件同名：“{name}”")));
        }
        if is_archive(&name) {
            return Err(refuse("archive_nested", format!("压缩包里还有压缩包“{name}”，请解开一层后再导入")));
        }
        declared = declared.saturating_add(entry.size());
    }
    if declared > most {
        return Err(too_large(most));
    }
    if too_dense(declared, packed_size) {
        return Err(bomb());
    }
    Ok(())
}

/// UTF-8 or GBK, no way out of the folder, no control characters.
fn entry_name(raw: &[u8]) -> Result<String, Finding> {
    let name = text_encoding::decode_short(raw)
        .ok_or_else(|| refuse("archive_name", "压缩包里有文件名既不是 UTF-8 也不是 GBK 编码"))?
        .replace('\\', "/");
    let odd = name.is_empty()
        || name.len() > 500
        || name.starts_with('/')
        || name.split('/').any(|part| part == "..")
        || name.contains(':')
        || name.chars().any(char::is_control)
        || text_encoding::has_forbidden_character(&name);
    if odd {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
        return Err(refuse(
            "archive_name",
            format!("压缩包里的文件名“{shown}”不合规则（绝对路径、上级目录或特殊字符）"),
        ));
    }
    Ok(name)
}

/// What operating systems add to archives.
fn is_litter(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    name.starts_with("__MACOSX/") || file.starts_with("._") || matches!(file, ".DS_Store" | "Thumbs.db" | "desktop.ini")
}

fn is_archive(name: &str) -> bool {
    let lower = name.to_lowercase();
    [".zip", ".7z", ".rar", ".gz", ".tar", ".tgz", ".bz2", ".xz"].iter().any(|end| lower.ends_with(end))
}

/// Copies at most the `left` bytes of `most`; what the directory declared is not believed.
fn copy_bounded(from: &mut impl Read, to: &mut impl Write, left: u64, most: u64) -> Result<u64, Finding> {
    let copied = io::copy(&mut from.take(left + 1), to).map_err(|_| damaged())?;
    if copied > left { Err(too_large(most)) } else { Ok(copied) }
}

fn too_dense(unpacked: u64, packed: u64) -> bool {
    unpacked > ARCHIVE_RATIO_FLOOR_BYTES && unpacked / packed.max(1) > MAX_ARCHIVE_RATIO
}

fn too_large(most: u64) -> Finding {
    refuse("archive_too_large", format!("压缩包（或表格）解开后超过上限 {} MB", most / 1_048_576))
}

fn bomb() -> Finding {
    refuse("archive_ratio", format!("压缩包的压缩比超过 {MAX_ARCHIVE_RATIO}，不像是正常的数据文件"))
}

fn damaged() -> Finding {
    refuse("archive_damaged", "压缩包已损坏，有文件解不开")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn pack(files: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        let mut writer = ZipWriter::new(file.reopen().expect("same file"));
        for (name, bytes) in files {
            writer.start_file(*name, SimpleFileOptions::default()).expect("entry");
            writer.write_all(bytes).expect("bytes");
        }
        writer.finish().expect("archive");
        file
    }

    fn code_of(files: &[(&str, &[u8])]) -> String {
        match unpack(pack(files).path()) {
            Ok(_) => "ok".to_owned(),
            Err(finding) => finding.code.into_owned(),
        }
    }

    #[test]
    fn archives_and_the_rules_they_break() {
        let zeros = vec![0_u8; 20 * 1024 * 1024];
        let many: Vec<(String, &[u8])> =
            (0..=MAX_ARCHIVE_ENTRIES).map(|i| (format!("f{i}"), b"x".as_slice())).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|(n, b)| (n.as_str(), *b)).collect();
        for (files, expected) in [
            (vec![("甲.shp", b"x".as_slice()), ("甲.dbf", b"y")], "ok"),
            (vec![("folder/a.shp", b"x"), ("__MACOSX/._a.shp", b"y")], "ok"),
            (vec![("../a.shp", b"x")], "archive_name"),
            (vec![("/etc/passwd", b"x")], "archive_name"),
            (vec![("C:/a.shp", b"x")], "archive_name"),
            (vec![("a\u{202e}.shp", b"x")], "archive_name"),
            (vec![("a.shp", b"x"), ("A.SHP", b"y")], "archive_duplicate_name"),
            (vec![("inner.zip", b"x")], "archive_nested"),
            (vec![("folder/", b"")], "archive_empty"),
            (vec![("zeros", zeros.as_slice())], "archive_ratio"),
            (many, "archive_too_many_entries"),
        ] {
            assert_eq!(code_of(&files), expected, "{}", files[0].0);
        }
    }

    #[test]
    fn unpacked_files_hold_the_bytes_and_go_when_dropped() {
        let unpacked = unpack(pack(&[("d/a.shp", b"abc")]).path()).expect("sound archive");
        let entry = unpacked.entries[0].clone();
        assert_eq!((entry.name.as_str(), entry.file_name()), ("d/a.shp", "a.shp"));
        assert_eq!(std::fs::read(&entry.path).expect("unpacked"), b"abc");
        drop(unpacked);
        assert!(!entry.path.exists());
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(cut in 0usize..300, put in prop::collection::vec(any::<u8>(), 0..20)) {
            let packed = pack(&[("a.shp", b"hello hello hello"), ("a.dbf", b"world")]);
            let mut bytes = std::fs::read(packed.path()).expect("archive");
            let at = cut.min(bytes.len());
            bytes.splice(at..(at + put.len()).min(bytes.len()), put);
            std::fs::write(packed.path(), bytes).expect("mangled");
            let _ = unpack(packed.path());
            let _ = check_container(packed.path(), MAX_ARCHIVE_BYTES);
        }
    }
}
