//! Files in, files out: the only place that knows gdal and text encodings.
//!
//! Readers never stop at the first fault: they give candidates and findings. Never: store, layers, actix.

pub mod candidate;

pub use candidate::{Attribute, Candidate, FieldMapping, ReadOptions, Reading, StatedArea};
