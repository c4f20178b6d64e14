//! Bounds on what a file may bring (reliability.md “Limits”); published in `docs/api.md`.

/// Features an import reads. Larger registers come in several files, or through the command line with `--max-features`.
pub const MAX_FEATURES: usize = 100_000;
/// Findings kept; a file with more is refused as a whole anyway.
pub const MAX_FINDINGS: usize = 10_000;
/// Bytes of one file.
pub const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;
/// Depth of JSON.
pub const MAX_JSON_DEPTH: usize = 32;
