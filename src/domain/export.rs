//! An export as data: formats, columns, rows. `store` reads rows, `exchange` writes them, and neither knows the other.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use geo::Geometry;

use super::layer::PropertyKind;

/// A format that layers are given out in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExportFormat {
    Csv,
    Xlsx,
    GeoPackage,
    Shapefile,
    FlatGeobuf,
    /// Boundary points (界址点坐标).
    Txt,
    GeoJson,
    /// One GeoJSON feature a line.
    NdJson,
}

impl ExportFormat {
    pub const ALL: [ExportFormat; 8] = [
        ExportFormat::Csv,
        ExportFormat::Xlsx,
        ExportFormat::GeoPackage,
        ExportFormat::Shapefile,
        ExportFormat::FlatGeobuf,
        ExportFormat::Txt,
        ExportFormat::GeoJson,
        ExportFormat::NdJson,
    ];

    /// The value of `f` and of `--format`.
    pub fn as_str(self) -> &'static str {
        match self {
            ExportFormat::Csv => "csv",
            ExportFormat::Xlsx => "xlsx",
            ExportFormat::GeoPackage => "gpkg",
            ExportFormat::Shapefile => "shp",
            ExportFormat::FlatGeobuf => "fgb",
            ExportFormat::Txt => "txt",
            ExportFormat::GeoJson => "geojson",
            ExportFormat::NdJson => "ndjson",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text)
    }

    /// As people call it.
    pub fn label(self) -> &'static str {
        match self {
            ExportFormat::Csv => "CSV",
            ExportFormat::Xlsx => "Excel（XLSX）",
            ExportFormat::GeoPackage => "GeoPackage",
            ExportFormat::Shapefile => "Shapefile（zip）",
            ExportFormat::FlatGeobuf => "FlatGeobuf",
            ExportFormat::Txt => "界址点坐标 TXT",
            ExportFormat::GeoJson => "GeoJSON",
            ExportFormat::NdJson => "NDJSON",
        }
    }

    /// The ending of a file's name.
    pub fn ending(self) -> &'static str {
        match self {
            ExportFormat::Shapefile => "zip",
            other => other.as_str(),
        }
    }

    /// A table for a spreadsheet: attributes, and a point inside.
    pub fn is_table(self) -> bool {
        matches!(self, ExportFormat::Csv | ExportFormat::Xlsx)
    }

    /// The features as `…/items` has them.
    pub fn is_geojson(self) -> bool {
        matches!(self, ExportFormat::GeoJson | ExportFormat::NdJson)
    }
}

/// How texts become bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextEncoding {
    Utf8,
    Gbk,
}

impl TextEncoding {
    /// `utf-8` or `gbk`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => Some(TextEncoding::Utf8),
            "gbk" | "gb2312" | "gb18030" => Some(TextEncoding::Gbk),
            _ => None,
        }
    }
}

/// The language of the columns' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Headings {
    #[default]
    Chinese,
    English,
}

impl Headings {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "zh" => Some(Headings::Chinese),
            "en" => Some(Headings::English),
            _ => None,
        }
    }
}

/// A column as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub heading: String,
    pub kind: PropertyKind,
    /// `m2`, `ha`, `mu`.
    pub unit: Option<&'static str>,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Missing,
    Text(String),
    Number(f64),
    Integer(i64),
    Boolean(bool),
    Date(NaiveDate),
    DateTime(DateTime<Utc>),
}

impl Cell {
    /// As a text cell has it; lists are joined before they come here.
    pub fn text(&self) -> String {
        match self {
            Cell::Missing => String::new(),
            Cell::Text(text) => text.clone(),
            // Shortest decimal that reads back to the same double.
            Cell::Number(number) => number.to_string(),
            Cell::Integer(number) => number.to_string(),
            Cell::Boolean(value) => value.to_string(),
            Cell::Date(day) => day.to_string(),
            Cell::DateTime(moment) => moment.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        }
    }
}

/// One feature on its way out; what the format has no use for is not read.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportRow {
    pub id: String,
    /// One for each property of the layer, then the first and the last day of the life; of an outline, then what marks it as one.
    pub cells: Vec<Cell>,
    /// Longitude, latitude in EPSG:4490, as stored.
    pub geometry: Option<Geometry<f64>>,
    /// A point inside.
    pub centre: Option<(f64, f64)>,
    /// The feature as GeoJSON text.
    pub feature: String,
}

/// What of a row the format needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowParts {
    pub cells: bool,
    pub geometry: bool,
    pub centre: bool,
    pub feature: bool,
}

/// What is known of an export before its first row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExportCount {
    /// Features that match.
    pub matched: u64,
    /// … of which so many have no geometry.
    pub without_geometry: u64,
    /// The source of drawn (示意) boundaries, where there are any.
    pub drawn: Option<String>,
    /// The newest revision of the register.
    pub revision: i64,
}
