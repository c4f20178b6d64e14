//! `ImportReport`: what a dry run tells, the same for the command line and HTTP.

use serde_json::{Map, Value, json};

use crate::domain::{Finding, Severity, SquareMetres};
use crate::exchange::{FieldMapping, Reading};
use crate::geometry::crs::Crs;
use crate::inventory::wire;
use crate::store::UpsertCounts;

/// Candidates kept in a batch's report: enough to look through, where 50,000 would be 15 MB a batch.
const STORED_CANDIDATES: usize = 1_000;

/// Findings kept in a batch's report, the errors first.
const STORED_FINDINGS: usize = 10_000;

/// One candidate as the report shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateSummary {
    pub row: u64,
    /// The id it would get in the register, else the file's own.
    pub id: Option<String>,
    pub name: Option<String>,
    pub parts: usize,
    pub rings: usize,
    /// Ellipsoidal; `None` where the record has no polygon.
    pub area: Option<SquareMetres>,
    pub stated_area: Option<SquareMetres>,
    /// As printed in the file, with the unit it was read in.
    pub stated_area_text: Option<(String, &'static str)>,
    pub crs: Option<Crs>,
    /// West, south, east, north in EPSG:4490.
    pub bbox: Option<[f64; 4]>,
}

/// How an import stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// No error: may be committed.
    Ready,
    /// No error and nothing that differs from the register.
    Unchanged,
    /// At least one error that is not allowed.
    Refused,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Ready => "ready",
            Status::Unchanged => "unchanged",
            Status::Refused => "refused",
        }
    }
}

/// The whole report of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportReport {
    pub layer: String,
    pub format: &'static str,
    pub encoding: Option<String>,
    pub crs: Option<Crs>,
    pub mapping: Vec<FieldMapping>,
    pub candidates: Vec<CandidateSummary>,
    pub findings: Vec<Finding>,
    /// What a commit would do; `None` while errors stand.
    pub counts: Option<UpsertCounts>,
    pub status: Status,
    /// The file's name as the user knows it.
    pub file_name: String,
    /// Its size in bytes and its SHA-256.
    pub file: Option<(u64, [u8; 32])>,
    /// The newest revision when it was checked, of a batch that waits for its commit.
    pub checked_revision: Option<i64>,
}

impl ImportReport {
    /// Starts from what the reader said; candidates and findings are added by the judge.
    pub fn of_reading(reading: &Reading) -> Self {
        Self {
            layer: String::new(),
            format: reading.format,
            encoding: reading.encoding.clone(),
            crs: reading.crs,
            mapping: reading.mapping.clone(),
            candidates: Vec::new(),
            findings: reading.findings.clone(),
            counts: None,
            status: Status::Refused,
            file_name: String::new(),
            file: None,
            checked_revision: None,
        }
    }

    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|f| f.severity == Severity::Error)
    }

    /// The number of findings of this weight.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|f| f.severity == severity).count()
    }

    /// Decides the status, once all findings are in. A file that would write no row at all is refused: an empty
    /// import that "succeeds" is how a wrong file goes unnoticed.
    pub(super) fn settle(&mut self, rows: usize) {
        if rows == 0 && !self.has_errors() {
            self.findings.push(Finding::error(
                "file_without_records",
                crate::domain::Place::whole(),
                "文件里没有可导入的记录，请确认选对了文件和图层",
            ));
        }
        // Errors first, then by place, as a clerk works through them.
        self.findings
            .sort_by_key(|f| (std::cmp::Reverse(f.severity), f.place.row, f.place.part, f.place.ring, f.place.vertex));
        self.status = if self.has_errors() {
            self.counts = None;
            Status::Refused
        } else if self.counts.is_some_and(|c| c.changed() == 0) {
            Status::Unchanged
        } else {
            Status::Ready
        };
    }

    /// The JSON of `import --dry-run --json`, every candidate listed.
    pub fn to_json(&self) -> Value {
        self.json_listing(usize::MAX, usize::MAX)
    }

    /// The JSON that is kept with the batch and answered by `POST /api/imports`: the first candidates and findings;
    /// counts are whole.
    pub fn to_stored_json(&self) -> Value {
        self.json_listing(STORED_CANDIDATES, STORED_FINDINGS)
    }

    fn json_listing(&self, candidates: usize, findings: usize) -> Value {
        let mut object = Map::new();
        object.insert("status".into(), json!(self.status.as_str()));
        object.insert("layer".into(), json!(self.layer));
        object.insert("format".into(), json!(self.format));
        object.insert("encoding".into(), json!(self.encoding));
        object.insert("crs".into(), json!(self.crs.map(|c| c.to_string())));
        let mapping: Map<String, Value> =
            self.mapping.iter().map(|m| (m.field.to_string(), json!(m.canonical))).collect();
        object.insert("mapping".into(), Value::Object(mapping));
        object.insert(
            "file".into(),
            json!(
                self.file
                    .as_ref()
                    .map(|(size, sha256)| json!({"name": self.file_name, "size": size, "sha256": hex(sha256)}))
            ),
        );
        object.insert(
            "counts".into(),
            json!({
                "candidates": self.candidates.len(),
                "candidates_listed": self.candidates.len().min(candidates),
                "insert": self.counts.map(|c| c.inserted),
                "update": self.counts.map(|c| c.updated),
                "unchanged": self.counts.map(|c| c.unchanged),
                "errors": self.count(Severity::Error),
                "warnings": self.count(Severity::Warning),
                "findings_listed": self.findings.len().min(findings),
            }),
        );
        if let Some(revision) = self.checked_revision {
            object.insert("checked_revision".into(), json!(revision));
        }
        object.insert(
            "candidates".into(),
            Value::Array(self.candidates.iter().take(candidates).map(candidate_json).collect()),
        );
        object.insert("findings".into(), wire::findings(&self.findings[..self.findings.len().min(findings)]));
        Value::Object(object)
    }
}

/// `{id, name, parts, rings, area_m2, stated_area, crs, bbox}`, plus the row and the printed form of the area.
fn candidate_json(c: &CandidateSummary) -> Value {
    json!({
        "row": c.row,
        "id": c.id,
        "name": c.name,
        "parts": c.parts,
        "rings": c.rings,
        "area_m2": c.area.map(SquareMetres::value),
        "stated_area": c.stated_area.map(SquareMetres::value),
        "stated_area_text": c.stated_area_text.as_ref().map(|(text, _)| text),
        "stated_area_unit": c.stated_area_text.as_ref().map(|(_, unit)| unit),
        "crs": c.crs.map(|crs| crs.to_string()),
        "bbox": c.bbox,
    })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
