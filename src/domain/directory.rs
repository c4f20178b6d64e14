//! A published directory (园区名录): one document of one date, and what it says of each park.

use chrono::NaiveDate;

use super::{Hectares, ParkCode};

/// A published directory.
#[derive(Debug, Clone, PartialEq)]
pub struct DirectoryVersion {
    pub id: String,
    pub title: String,
    pub document_no: Option<String>,
    pub issued_on: Option<NaiveDate>,
    pub source: String,
    pub entries: Vec<DirectoryEntry>,
}

/// What a directory says of one park.
#[derive(Debug, Clone, PartialEq)]
pub struct DirectoryEntry {
    pub park: ParkCode,
    pub serial: Option<i32>,
    pub name: String,
    pub area: Option<Hectares>,
    pub approved_text: Option<String>,
    pub leading_industries: Vec<String>,
    pub four_extents: Option<String>,
}
