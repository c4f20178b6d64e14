//! Extra layers: the operator's file, and the declarations that come of it and of what the database says. Never: SQL, the database.

mod columns;
mod declare;
mod file;
mod names;
mod value;

pub use declare::{Declared, declare};
pub use file::parse;

use crate::domain::extra_layer::DeclaredLayer;
use crate::domain::{Finding, Place, Severity};

/// What is wrong with a file, all of it.
#[derive(Debug, Default)]
pub struct Faults(Vec<Finding>);

impl Faults {
    pub fn error(&mut self, code: &'static str, line: u64, message: impl Into<String>) {
        self.0.push(Finding::error(code, Place::row(line), message));
    }

    pub fn warning(&mut self, code: &'static str, line: u64, message: impl Into<String>) {
        self.0.push(Finding::warning(code, Place::row(line), message));
    }

    /// How many stop the start.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    pub fn findings(&self) -> &[Finding] {
        &self.0
    }

    pub fn into_findings(self) -> Vec<Finding> {
        self.0
    }
}

/// A sentence about one layer of a file.
pub fn about(layer: &DeclaredLayer, what: impl AsRef<str>) -> String {
    format!("图层“{}”（{}）：{}", layer.id, layer.table, what.as_ref())
}
