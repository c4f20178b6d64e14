//! Bounds on what a file may bring (reliability.md “Limits”); published in `docs/api.md`.

use std::time::Duration;

/// Features an import reads; a larger set comes in several files.
pub const MAX_FEATURES: usize = 100_000;
/// Findings kept; a file with more is refused as a whole anyway.
pub const MAX_FINDINGS: usize = 10_000;
/// Bytes of one file.
pub const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;

/// Characters of a name of a park or block.
pub const MAX_NAME_CHARS: usize = 200;
/// Characters of any other text, 四至 among them.
pub const MAX_TEXT_CHARS: usize = 10_000;

/// Columns of a table.
pub const MAX_COLUMNS: usize = 1_000;
/// Bytes of text in a table's cells. A spreadsheet names a text once and shows it in any number of cells.
pub const MAX_TABLE_TEXT_BYTES: usize = 32 * 1024 * 1024;
/// Cells of a table, blank ones included: rows times columns.
pub const MAX_TABLE_CELLS: usize = 4_000_000;
/// Bytes that a spreadsheet unpacks to: its texts are held all at once.
pub const MAX_SPREADSHEET_BYTES: u64 = 128 * 1024 * 1024;

/// Files in an archive. A FileGDB is a folder of a hundred files and more, hence not fewer.
pub const MAX_ARCHIVE_ENTRIES: usize = 1_000;
/// Bytes that an archive unpacks to.
pub const MAX_ARCHIVE_BYTES: u64 = 500 * 1024 * 1024;
/// Unpacked bytes per packed byte …
pub const MAX_ARCHIVE_RATIO: u64 = 100;
/// … looked at above this size only: a small DBF of blanks packs as densely as a bomb.
pub const ARCHIVE_RATIO_FLOOR_BYTES: u64 = 10 * 1024 * 1024;

/// Wall-clock time of the GDAL child.
pub const CHILD_PATIENCE: Duration = Duration::from_secs(120);
/// Processor time of the GDAL child, seconds.
pub const CHILD_CPU_S: u64 = 90;
/// Address space of the GDAL child.
pub const CHILD_MEMORY_BYTES: u64 = 3 * 1024 * 1024 * 1024;
/// Wall-clock and processor time of the GDAL child that writes an export.
pub const WRITER_PATIENCE: Duration = Duration::from_secs(1_800);
/// Bytes of a file that it writes: a Shapefile ends there by itself.
pub const MAX_EXPORT_FILE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes of one message between child and parent: a feature of 200,000 vertices and its attributes.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;
/// Bytes that the child may say in all: a view in a GeoPackage makes any amount of text out of nothing.
pub const MAX_CHILD_BYTES: u64 = 1024 * 1024 * 1024;
