//! Judging a file while it is read: its candidates one by one, side by side on all cores, then all of them together.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::overlaps;
use super::report::{CandidateSummary, ImportReport};
use geo::MultiPolygon;

use crate::domain::{Block, Finding, Place, Severity};
use crate::exchange::{Candidate, Intake, Reading, limits};
use crate::inventory::progress::Progress;

/// Candidates judged side by side before their findings are counted.
const STRETCH: usize = 8_192;
/// Findings after which judging ends: nobody reads on, and a file with as many is no boundary file.
const MAX_TOLD: usize = 100_000;

/// Makes rows of one layer out of candidates.
pub(super) trait Judge: Sync {
    type Row: Land;

    fn judge(&self, candidate: Candidate) -> JudgedCandidate<Self::Row>;

    /// Whether broken shapes are repaired.
    fn repairs(&self) -> bool;

    /// A row without a shape is no fault: another source, or the register, has it.
    fn bears_shapeless(&self) -> bool {
        false
    }
}

/// A piece of land in a file.
pub(super) trait Land: Send + Sync {
    fn name(&self) -> String;
    fn boundary(&self) -> &MultiPolygon<f64>;
}

impl Land for Block {
    fn name(&self) -> String {
        self.id.to_string()
    }

    fn boundary(&self) -> &MultiPolygon<f64> {
        &self.boundary
    }
}

/// One candidate with all that was found.
pub(super) struct JudgedCandidate<R> {
    pub summary: CandidateSummary,
    /// The file gives it no shape.
    pub shapeless: bool,
    pub made: Option<R>,
    pub findings: Vec<Finding>,
}

/// Judges candidates as they are read, then all of them against each other.
pub(super) struct Judging<'a, J: Judge> {
    context: &'a J,
    progress: &'a dyn Progress,
    summaries: Vec<CandidateSummary>,
    findings: Vec<Finding>,
    made: Vec<J::Row>,
    /// Row of each of them.
    rows: Vec<u64>,
    /// Rows without a shape.
    shapeless: Vec<u64>,
}

impl<J: Judge> Intake for Judging<'_, J> {
    fn expect(&mut self, count: u64) {
        self.progress.stage("读取并检查图形与属性", Some(count));
        // No more than there can be, whatever the file says.
        let count = usize::try_from(count).unwrap_or(limits::MAX_FEATURES).min(limits::MAX_FEATURES);
        self.summaries.reserve(count);
        self.made.reserve(count);
        self.rows.reserve(count);
    }

    fn take(&mut self, candidates: Vec<Candidate>) {
        let mut candidates = candidates.into_iter();
        while self.findings.len() <= MAX_TOLD {
            // A stretch at a time: what is wrong with a hundred thousand records would fill the memory.
            let stretch: Vec<Candidate> = candidates.by_ref().take(STRETCH).collect();
            if stretch.is_empty() {
                break;
            }
            let judged: Vec<JudgedCandidate<J::Row>> =
                stretch.into_par_iter().map(|candidate| self.context.judge(candidate)).collect();
            self.progress.advance(judged.len() as u64);
            for judged in judged {
                self.keep(judged);
            }
        }
    }

    fn discard(&mut self) {
        *self = Self::new(self.context, self.progress);
    }
}

impl<'a, J: Judge> Judging<'a, J> {
    pub(super) fn new(context: &'a J, progress: &'a dyn Progress) -> Self {
        Self {
            context,
            progress,
            summaries: Vec::new(),
            findings: Vec::new(),
            made: Vec::new(),
            rows: Vec::new(),
            shapeless: Vec::new(),
        }
    }

    fn keep(&mut self, judged: JudgedCandidate<J::Row>) {
        if judged.shapeless && !self.context.bears_shapeless() {
            self.shapeless.push(judged.summary.row);
        }
        self.findings.extend(judged.findings);
        if let Some(made) = judged.made {
            self.made.push(made);
            self.rows.push(judged.summary.row);
        }
        self.summaries.push(judged.summary);
    }

    /// The report of what was taken and of what the reader has to say, and the rows that may be written.
    pub(super) fn finish(self, reading: &Reading) -> (ImportReport, FileRows<J::Row>) {
        let mut report = ImportReport::of_reading(reading);
        if self.context.repairs() {
            close_rings(&mut report.findings);
        }
        // Where the reader has told of errors, a record without a shape is one of them or of their making.
        if !report.has_errors() {
            report.findings.extend(
                self.shapeless.iter().map(|&row| {
                    Finding::error("geometry_missing", Place::row(row), format!("第 {row} 条记录没有图形"))
                }),
            );
        }
        report.findings.extend(self.findings);
        report.candidates = self.summaries;
        let mut file = FileRows { list: self.made, rows: self.rows, by_lines: reading.format == "txt" };
        if report.findings.len() > MAX_TOLD {
            report.findings.push(too_many_findings(report.candidates.len()));
            // Nobody reads on: they are not compared with one another either.
            file.list.clear();
            file.rows.clear();
        }
        let told: HashSet<_> =
            report.findings.iter().filter(|f| f.code == "id_duplicate").filter_map(|f| f.place.row).collect();
        // The reader has told some of them already.
        let twice = duplicate_ids(&file);
        report.findings.extend(twice.into_iter().filter(|f| f.place.row.is_none_or(|r| !told.contains(&r))));
        file.reword(&mut report.findings);
        (report, file)
    }
}

/// The sound rows of a file and where they stand in it.
#[derive(Debug)]
pub(super) struct FileRows<R> {
    pub list: Vec<R>,
    pub rows: Vec<u64>,
    /// The row of a text is a line.
    by_lines: bool,
}

impl<R: Land> FileRows<R> {
    /// Land that lies in two of them.
    pub(super) fn overlaps(&self) -> Vec<Finding> {
        let mut findings = overlaps::within_file(self);
        self.reword(&mut findings);
        findings
    }

    /// Whoever looks for the 14th record of a text would not find it.
    fn reword(&self, findings: &mut [Finding]) {
        for finding in findings.iter_mut().filter(|_| self.by_lines) {
            finding.message = finding.message.replace(" 条记录", " 行的地块");
        }
    }
}

/// Readers show an open ring closed; where a repair is asked for, that is the repair.
fn close_rings(findings: &mut [Finding]) {
    for finding in findings.iter_mut().filter(|f| f.code == "ring_not_closed") {
        finding.severity = Severity::Warning;
        finding.message.push_str("（已按要求闭合）");
    }
}

fn too_many_findings(judged: usize) -> Finding {
    let message = format!("问题超过 {MAX_TOLD} 个，只检查了前 {judged} 条；请先改正列出的问题，或分成几个文件");
    Finding::error("too_many_findings", Place::whole(), message)
}

fn duplicate_ids<R: Land>(file: &FileRows<R>) -> Vec<Finding> {
    let mut seen: HashMap<String, u64> = HashMap::with_capacity(file.list.len());
    let mut findings = Vec::new();
    for (made, &row) in file.list.iter().zip(&file.rows) {
        let id = made.name();
        if let Some(first) = seen.get(&id) {
            findings.push(Finding::error(
                "id_duplicate",
                Place::row(row),
                format!("第 {row} 条记录与第 {first} 条记录的标识相同：{id}"),
            ));
        } else {
            seen.insert(id, row);
        }
    }
    findings
}
