//! The outside judge's programs (ogr2ogr, ogrinfo) and archives made for tests.

use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::scratch;

/// Runs a program of GDAL (package gdal-bin) and gives its output.
#[track_caller]
pub fn gdal(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .env("PROJ_NETWORK", "OFF")
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}; ./dev test installs gdal-bin"));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {err}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An empty folder of this test.
pub fn folder(name: &str) -> PathBuf {
    let folder = scratch().join("files").join(std::process::id().to_string()).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("folder");
    folder
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// A zip archive of these entries.
pub fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).expect("entry");
        writer.write_all(bytes).expect("bytes");
    }
    writer.finish().expect("archive").into_inner()
}

/// Unpacks an archive of our own making into this folder.
pub fn unzip(bytes: &[u8], into: &Path) {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).expect("archive");
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).expect("entry");
        let name = entry.name().expect("a UTF-8 name").into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        std::fs::write(into.join(&name), content).expect("written");
    }
}

/// The same text with every number rounded to three decimals: coordinates compared to the millimetre.
pub fn rounded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut number = String::new();
    let flush = |number: &mut String, out: &mut String| {
        match number.parse::<f64>() {
            Ok(n) => out.push_str(&format!("{n:.3}")),
            Err(_) => out.push_str(number),
        }
        number.clear();
    };
    for c in text.chars() {
        if c.is_ascii_digit() || matches!(c, '.' | '-') {
            number.push(c);
        } else {
            flush(&mut number, &mut out);
            out.push(c);
        }
    }
    flush(&mut number, &mut out);
    out
}
