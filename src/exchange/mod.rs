//! Files in, files out: the only place that knows gdal and text encodings.
//!
//! Readers never stop at the first fault: they give candidates and findings. Never: store, layers, actix.

mod archive;
pub mod candidate;
pub mod coordinate_txt;
pub mod criteria_table;
pub mod dbf_text;
pub mod directory_table;
pub mod field_names;
pub mod formula;
pub mod geojson;
mod ledger_names;
pub mod limits;
mod open;
mod plain_table;
mod rings;
mod shape_text;
mod spreadsheet;
pub mod stated_area;
pub mod table_export;
pub mod text_encoding;
pub mod vector;
pub mod vector_export;
mod zone_names;

pub use candidate::{Attribute, Candidate, FieldMapping, Intake, ReadOptions, Reading, StatedArea};
pub use field_names::{TOLD, Vocabulary};
pub use open::{read_attributes, read_file, read_file_into};
