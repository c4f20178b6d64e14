//! `Finding`: one thing that a reader, validator or check has to say, with its place.
//!
//! Never: an exit code, a status, a decision. Whether a finding stops an import is for `inventory`.

use std::borrow::Cow;
use std::fmt;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Said for the record: what was detected or assumed.
    Info,
    /// Worth a look; does not stop an import.
    Warning,
    /// Stops an import unless the caller allows its code.
    Error,
}

impl Severity {
    /// The stable lower-case word used in JSON: `info`, `warning`, `error`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }

    /// Parses the word that [`Severity::as_str`] prints.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "info" => Some(Severity::Info),
            "warning" => Some(Severity::Warning),
            "error" => Some(Severity::Error),
            _ => None,
        }
    }

    /// The Chinese word for tables: 提示, 警告, 错误.
    pub fn label(self) -> &'static str {
        match self {
            Severity::Info => "提示",
            Severity::Warning => "警告",
            Severity::Error => "错误",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where in the input a finding points. All numbers count from 1, as a person counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place {
    /// The record number of a feature file; the line number of a text file; the row of a table, headings counted.
    pub row: Option<u64>,
    /// The field (column, key) as the file names it.
    pub field: Option<String>,
    /// The polygon of a multipolygon.
    pub part: Option<u32>,
    /// The ring inside the part (1 = outer); for flat ring lists the ring of the record.
    pub ring: Option<u32>,
    /// The vertex inside the ring.
    pub vertex: Option<u32>,
    /// The coordinate as the file gives it (x or longitude first), where naming it helps.
    pub coordinate: Option<(f64, f64)>,
}

impl Place {
    /// The whole input.
    pub fn whole() -> Self {
        Self::default()
    }

    /// A row, record or line, counted from 1.
    pub fn row(row: u64) -> Self {
        Self { row: Some(row), ..Self::default() }
    }

    /// The same place, in this field.
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The same place, in this ring.
    pub fn ring(mut self, ring: u32) -> Self {
        self.ring = Some(ring);
        self
    }

    /// The same place, in this part.
    pub fn part(mut self, part: u32) -> Self {
        self.part = Some(part);
        self
    }

    /// The same place, at this vertex.
    pub fn vertex(mut self, vertex: u32) -> Self {
        self.vertex = Some(vertex);
        self
    }

    /// The same place, at this coordinate.
    pub fn coordinate(mut self, x: f64, y: f64) -> Self {
        self.coordinate = Some((x, y));
        self
    }
}

/// One thing found: a stable code, a weight, a place, and a Chinese sentence a clerk can act on.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Stable English code in snake case, such as `ring_self_intersection`; listed in `docs/findings.md`.
    pub code: Cow<'static, str>,
    pub severity: Severity,
    pub place: Place,
    /// One Chinese sentence: what, where, what to do.
    pub message: String,
}

impl Finding {
    /// A finding of the given weight.
    pub fn new(
        severity: Severity,
        code: impl Into<Cow<'static, str>>,
        place: Place,
        message: impl Into<String>,
    ) -> Self {
        Self { code: code.into(), severity, place, message: message.into() }
    }

    /// A finding that stops an import.
    pub fn error(code: impl Into<Cow<'static, str>>, place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, place, message)
    }

    /// A finding worth a look.
    pub fn warning(code: impl Into<Cow<'static, str>>, place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, place, message)
    }

    /// A finding said for the record.
    pub fn info(code: impl Into<Cow<'static, str>>, place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Info, code, place, message)
    }
}
