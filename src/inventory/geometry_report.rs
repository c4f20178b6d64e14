//! `check geometry`: what a file's shapes are worth before anybody imports them. Reads no database, writes nothing.

use std::path::Path;

use serde_json::{Value, json};

use crate::domain::{Finding, Place, Severity, SquareMetres};
use crate::error::Result;
use crate::exchange::{self, ReadOptions, Reading};
use crate::geometry::overlap;
use crate::geometry::{area, validity};
use crate::inventory::import::overlaps;
use crate::inventory::progress::Progress;
use crate::inventory::wire;

/// Overlaps and mismatches listed one by one in the report; the counts are whole, or `too_many_overlaps` says otherwise.
const LISTED: usize = 1000;

/// Counts of one file. Areas are ellipsoidal m².
#[derive(Debug, Clone)]
pub struct GeometryReport {
    pub reading: Reading,
    pub features: usize,
    /// Features with a polygon.
    pub polygons: usize,
    /// Features with at least one geometry error.
    pub invalid: usize,
    pub stated: StatedAreas,
    pub touching_pairs: usize,
    /// Overlapping pairs with their area, by row numbers.
    pub overlapping: Vec<(u64, u64, SquareMetres)>,
    /// Invalid features: compared with no other.
    pub not_compared: usize,
    pub total: f64,
    pub findings: Vec<Finding>,
}

/// Stated against computed areas.
#[derive(Debug, Clone)]
pub struct StatedAreas {
    /// Share above which the two differ, e.g. 0.05.
    pub tolerance: f64,
    pub compared: usize,
    pub missing: usize,
    /// Row, stated m², computed m².
    pub mismatches: Vec<(u64, f64, f64)>,
}

/// Reads the file and checks every shape and every pair of neighbours.
pub fn check(path: &Path, options: &ReadOptions, tolerance: f64, progress: &dyn Progress) -> Result<GeometryReport> {
    progress.stage("读取文件", None);
    let reading = exchange::read_file(path, options)?;
    progress.stage("检查图形", Some(reading.candidates.len() as u64));
    let mut findings = reading.findings.clone();
    let mut report = GeometryReport {
        features: reading.candidates.len(),
        polygons: 0,
        invalid: 0,
        stated: StatedAreas { tolerance, compared: 0, missing: 0, mismatches: Vec::new() },
        touching_pairs: 0,
        overlapping: Vec::new(),
        not_compared: 0,
        total: 0.0,
        findings: Vec::new(),
        reading,
    };
    let mut sound = Vec::new();
    let mut sound_rows = Vec::new();
    for candidate in &report.reading.candidates {
        progress.advance(1);
        let row = candidate.row;
        let Some(geometry) = &candidate.geometry else {
            report.invalid += 1;
            continue;
        };
        report.polygons += 1;
        let faults = validity::check(geometry, Some(row));
        let broken = faults.iter().any(|f| f.severity == Severity::Error);
        findings.extend(faults);
        if broken {
            report.invalid += 1;
            continue;
        }
        let computed = area::ellipsoidal(geometry).value();
        report.total += computed;
        match &candidate.stated_area {
            Some(stated) if stated.area.value() > 0.0 => {
                report.stated.compared += 1;
                let stated = stated.area.value();
                // Against the stated area: it is the paper that a clerk holds in hand.
                if ((computed - stated) / stated).abs() > tolerance {
                    report.stated.mismatches.push((row, stated, computed));
                    findings.push(mismatch(row, stated, computed));
                }
            }
            _ => report.stated.missing += 1,
        }
        sound.push(geometry);
        sound_rows.push(row);
    }
    progress.stage("比对相邻图形", None);
    let pairs = overlap::pairs(&sound, overlaps::NAMED);
    findings.extend(overlaps::not_all_named(&pairs, "文件中的图形"));
    for &(a, b) in &pairs.too_complex {
        let (a, b) = (sound_rows[a], sound_rows[b]);
        let name = |row: u64| format!("第 {row} 条记录");
        findings.push(overlaps::too_complex(Place::row(a.max(b)), &name(a), &name(b)));
    }
    for pair in &pairs.list {
        match pair.relation.beyond_contact() {
            None => report.touching_pairs += 1,
            Some(area) => {
                let (a, b) = (sound_rows[pair.a], sound_rows[pair.b]);
                report.overlapping.push((a, b, area));
                let name = |row: u64| format!("第 {row} 条记录");
                findings.push(overlaps::within_file_finding(Place::row(a.max(b)), &name(a), &name(b), area));
            }
        }
    }
    report.not_compared = report.invalid;
    report.findings = findings;
    Ok(report)
}

fn mismatch(row: u64, stated: f64, computed: f64) -> Finding {
    Finding::warning(
        "area_mismatch",
        Place::row(row),
        format!(
            "第 {row} 条记录的标注面积 {stated:.2} 平方米与椭球面积 {computed:.2} 平方米相差 {:+.2}%",
            (computed - stated) / stated * 100.0
        ),
    )
}

impl GeometryReport {
    /// The JSON of `check geometry --json`; documented in `docs/cli.md`.
    pub fn to_json(&self) -> Value {
        let overlaps: Vec<Value> = self
            .overlapping
            .iter()
            .take(LISTED)
            .map(|(a, b, area)| json!({"row_a": a, "row_b": b, "area_m2": area.value()}))
            .collect();
        let mismatches: Vec<Value> = self
            .stated
            .mismatches
            .iter()
            .take(LISTED)
            .map(|(row, stated, computed)| json!({"row": row, "stated_area_m2": stated, "computed_area_m2": computed}))
            .collect();
        json!({
            "format": self.reading.format,
            "crs": self.reading.crs.map(|c| c.to_string()),
            "encoding": self.reading.encoding,
            "features": self.features,
            "polygons": self.polygons,
            "invalid": self.invalid,
            "area_m2": self.total,
            "area_mismatch": {
                "tolerance": self.stated.tolerance,
                "compared": self.stated.compared,
                "without_stated_area": self.stated.missing,
                "count": self.stated.mismatches.len(),
                "listed": mismatches,
            },
            "touching_pairs": self.touching_pairs,
            "overlapping_pairs": self.overlapping.len(),
            "overlaps": overlaps,
            "not_compared": self.not_compared,
            "findings": wire::findings(&self.findings),
        })
    }
}
