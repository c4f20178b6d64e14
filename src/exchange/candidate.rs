//! What a reader gives: candidates (records that may become blocks, parks, parcels) and findings; and who takes them.

use std::sync::Arc;

use geo::MultiPolygon;

use super::field_names::{OwnNames, Vocabulary};
use crate::domain::{Finding, SquareMetres};
use crate::geometry::crs::Crs;

/// One record of a file, read but not yet judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Record number (from 1, header not counted) or, in text files, the line that opens the record.
    pub row: u64,
    /// The file's own identifier, from the field mapped to `id` (地块编号, DKBH, …).
    pub id: Option<String>,
    /// The file's own name for it (地块名称, DKMC, …).
    pub name: Option<String>,
    /// Longitude, latitude in EPSG:4490. Rings closed; start and direction as in the file. `None` where the record
    /// has no usable polygon (a finding says why).
    pub geometry: Option<MultiPolygon<f64>>,
    pub stated_area: Option<StatedArea>,
    /// System the coordinates were in.
    pub crs: Option<Crs>,
    /// Every field: (name as in the file, canonical name if the synonym table knows it, value as text, trimmed).
    pub attributes: Vec<Attribute>,
}

impl Candidate {
    /// The value of the first field with this canonical name, if not empty.
    pub fn value(&self, canonical: &str) -> Option<&str> {
        self.attributes.iter().find(|a| a.canonical == Some(canonical) && !a.value.is_empty()).map(|a| a.value.as_str())
    }

    /// Moves that value out; an empty one stays in its place.
    pub fn take(&mut self, canonical: &str) -> Option<String> {
        let found = self.attributes.iter_mut().find(|a| a.canonical == Some(canonical) && !a.value.is_empty());
        found.map(|a| std::mem::take(&mut a.value))
    }
}

/// One field of one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// Shared: a file of a hundred thousand records has a dozen names.
    pub field: Arc<str>,
    /// Canonical name from the synonym table (`exchange::field_names`).
    pub canonical: Option<&'static str>,
    pub value: String,
}

/// The area that the paper states, with the unit it was read in.
#[derive(Debug, Clone, PartialEq)]
pub struct StatedArea {
    /// As printed.
    pub text: String,
    /// `m2`, `ha`, `mu` or `km2`: how `text` was understood.
    pub unit: &'static str,
    pub area: SquareMetres,
}

/// How the file's field names were understood.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldMapping {
    pub field: Arc<str>,
    pub canonical: Option<&'static str>,
}

/// What the caller knows better than detection.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// `--crs`: overrides what the file says or what would be detected.
    pub crs: Option<Crs>,
    /// `--encoding`: a label such as `gbk`, `utf-8`, `gb18030`.
    pub encoding: Option<String>,
    /// `--source-layer`: which table of a file with several.
    pub source_layer: Option<String>,
    /// The file's name as the user knows it (an upload is stored under another one).
    pub file_name: Option<String>,
    /// Whose words the fields are named by.
    pub vocabulary: Vocabulary,
    /// How exports of ours name the properties of the layer.
    pub own_names: Arc<OwnNames>,
}

/// All that a reader has to say about one file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// `txt`, `geojson`, `shapefile`, `gpkg`, `filegdb`, `dxf`, `csv`, `xlsx`.
    pub format: &'static str,
    /// Lower-case name: `utf-8`, `utf-8-bom`, `gbk`, `gb18030`; `None` for formats that have none of their own.
    pub encoding: Option<String>,
    /// The one system of the file, if one.
    pub crs: Option<Crs>,
    pub mapping: Vec<FieldMapping>,
    pub candidates: Vec<Candidate>,
    pub findings: Vec<Finding>,
}

/// Takes candidates while their file is still being read, so that they can be worked on meanwhile.
pub trait Intake {
    /// The file says that so many will come; it may be wrong.
    fn expect(&mut self, _count: u64) {}

    /// The next candidates, in the order of the file.
    fn take(&mut self, candidates: Vec<Candidate>);

    /// What was given so far is void: the file turned out not to be readable.
    fn discard(&mut self);
}

impl Intake for Vec<Candidate> {
    fn take(&mut self, mut candidates: Vec<Candidate>) {
        self.append(&mut candidates);
    }

    fn discard(&mut self) {
        self.clear();
    }
}
