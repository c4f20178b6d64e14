//! What file was it: its size and SHA-256.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::off_async_threads;
use crate::error::{Error, Result};

/// Size and SHA-256 of the file; a folder (FileGDB) is fingerprinted by its files in name order.
pub(super) async fn fingerprint(path: &Path) -> Result<(u64, [u8; 32])> {
    let path = path.to_owned();
    off_async_threads(move || hash_files(&path).map_err(unreadable)).await?
}

fn hash_files(path: &Path) -> std::io::Result<(u64, [u8; 32])> {
    let mut files = Vec::new();
    if std::fs::metadata(path)?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push(entry.path());
            }
        }
        files.sort();
    } else {
        files.push(path.to_owned());
    }
    let mut hasher = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 1 << 18];
    for file in files {
        let mut reader = std::fs::File::open(file)?;
        loop {
            let n = reader.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            size += n as u64;
        }
    }
    Ok((size, hasher.finalize().into()))
}

pub(super) fn unreadable(cause: std::io::Error) -> Error {
    let detail = match cause.kind() {
        std::io::ErrorKind::NotFound => return Error::not_found("file_not_found", "找不到要导入的文件"),
        std::io::ErrorKind::PermissionDenied => "没有读取该文件的权限",
        _ => "要导入的文件无法读取",
    };
    tracing::warn!(error = %cause, "import file unreadable");
    Error::invalid("file_unreadable", detail)
}
