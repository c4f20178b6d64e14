//! What the terminal shows: findings as a table, a progress bar, errors. JSON goes to standard output and nothing
//! else does, so that `--json` can be piped.

use std::error::Error as _;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::domain::{Finding, Severity};
use crate::error::Error;
use crate::inventory::progress::Progress;

/// Rows of a findings table; the rest is counted. `--json` has them all.
const FINDINGS_SHOWN: usize = 50;

/// A progress bar on standard error; silent where that is no terminal or JSON was asked for.
pub struct Bar {
    bar: Mutex<ProgressBar>,
    visible: bool,
}

impl Bar {
    pub fn new(quiet: bool) -> Self {
        Self { bar: Mutex::new(ProgressBar::hidden()), visible: !quiet && std::io::stderr().is_terminal() }
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        if let Ok(bar) = self.bar.lock() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
    fn stage(&self, label: &str, total: Option<u64>) {
        if !self.visible {
            return;
        }
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(
                ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} 剩余 {eta}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            ),
            None => ProgressBar::new_spinner(),
        };
        bar.set_message(label.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        if let Ok(mut current) = self.bar.lock() {
            current.finish_and_clear();
            *current = bar;
        }
    }

    fn advance(&self, steps: u64) {
        if !self.visible {
            return;
        }
        if let Ok(bar) = self.bar.lock() {
            bar.inc(steps);
        }
    }
}

/// Writes to standard output; a closed pipe (`| head`) is not an error worth a panic.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
}

/// A file on standard output, as it is.
pub fn print_bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// One JSON document on standard output.
pub fn print_json(value: &Value) {
    print(&value.to_string());
}

/// The findings as a table: weight, code, place, sentence.
pub fn print_findings(findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["级别", "代码", "行", "环", "点", "说明"]);
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    for finding in findings.iter().take(FINDINGS_SHOWN) {
        let place = &finding.place;
        table.add_row([
            finding.severity.label().to_owned(),
            finding.code.to_string(),
            number(place.row),
            number(place.ring.map(u64::from)),
            number(place.vertex.map(u64::from)),
            finding.message.clone(),
        ]);
    }
    print(&table.to_string());
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let hidden = findings.len().saturating_sub(FINDINGS_SHOWN);
    print(&format!(
        "错误 {}，警告 {}，提示 {}{}",
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Info),
        if hidden > 0 { format!("；另有 {hidden} 条未列出，--json 可看全部") } else { String::new() }
    ));
}

/// An error with its findings and causes, on standard error.
pub fn print_error(error: &Error) {
    eprintln!("✗ {error}（{}）", error.code());
    for finding in error.findings().iter().take(FINDINGS_SHOWN) {
        eprintln!("  {} {}：{}", finding.severity.label(), finding.code, finding.message);
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        eprintln!("  原因：{inner}");
        cause = inner.source();
    }
}
