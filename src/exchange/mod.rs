//! Files in, files out: the only place that knows gdal and text encodings.
//!
//! Readers never stop at the first fault: they give candidates and findings. Never: store, layers, actix.

pub mod candidate;
pub mod coordinate_txt;
pub mod field_names;
pub mod geojson;
pub mod limits;
pub mod stated_area;
pub mod text_encoding;

pub use candidate::{Attribute, Candidate, FieldMapping, ReadOptions, Reading, StatedArea};
