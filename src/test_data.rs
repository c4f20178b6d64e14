//! Real data for unit tests, read in place: it is no part of the project, and absent on most machines.

pub mod jts;

/// A file below the shared folder's real data; `None`, told, where it is absent. CI has it, so CI may not skip.
pub fn real(path: &str) -> Option<Vec<u8>> {
    let bytes = std::fs::read(format!("{}/../shared/data/real/{path}", env!("CARGO_MANIFEST_DIR"))).ok();
    assert!(bytes.is_some() || std::env::var_os("CI").is_none(), "shared real data is absent in CI: {path}");
    if bytes.is_none() {
        eprintln!("skipped: shared real data is absent: {path}");
    }
    bytes
}
