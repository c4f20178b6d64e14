//! Extra layers: tables and views of the operator's that are published as they are, read-only. What the file declares, what the database
//! says of the table, and what comes of the two.

use super::generalisation::Generalisation;
use super::layer::GeometryKind;

/// Letters and digits of a layer's id: it stands in addresses, and in the names of triggers, which end at 63 bytes.
pub const MAX_ID: usize = 40;
/// Properties of a layer.
pub const MAX_PROPERTIES: usize = 500;
/// Seconds between two looks at a table that is followed by polling, where nothing else is said.
pub const POLL_SECONDS: u32 = 10;
/// The rarest look.
pub const MAX_POLL_SECONDS: u32 = 86_400;

/// The coarsest outline: no wider than a county.
pub const MAX_TOLERANCE_M: f64 = 100_000.0;
/// The finest grid: what GeoJSON shows of any shape.
pub const MAX_DECIMALS: u8 = 8;

/// The table behind an extra layer, by names as statements have them: quoted by the database, never by us.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExtraTable {
    /// `schema."Table"`.
    pub table: &'static str,
    pub key: TableColumn,
    pub geometry: Option<ShapeColumn>,
    /// One for each property of the layer, in its order.
    pub columns: &'static [ReadColumn],
    /// The division that decides who may see a row; its codes are compared as texts.
    pub division: Option<TableColumn>,
    /// The property that shows the same column, where one does.
    pub division_property: Option<&'static str>,
}

impl ExtraTable {
    /// Of no table yet, for others to be made from.
    pub const UNNAMED: ExtraTable = ExtraTable {
        table: "",
        key: TableColumn { quoted: "", sql_type: "" },
        geometry: None,
        columns: &[],
        division: None,
        division_property: None,
    };
}

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableColumn {
    pub quoted: &'static str,
    /// As the database writes it: `character varying(20)`.
    pub sql_type: &'static str,
}

/// A column that is a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadColumn {
    pub column: TableColumn,
    pub reading: Reading,
}

/// What is made of a column's values, so that each kind of property has one type in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    AsItIs,
    /// Of any type that has a text.
    AsText,
    /// Of a single-precision number, by its text: 0.1 stays 0.1.
    AsDouble,
    /// Of a time without a zone, which is taken as UTC.
    AsUtc,
    AsTexts,
    AsNumbers,
}

/// The column with the shapes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShapeColumn {
    pub column: TableColumn,
    pub reading: ShapeReading,
}

/// How a shape gets into the register's system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShapeReading {
    /// Plain shapes in EPSG:4490: as they stand, so that the table's index serves.
    AsItIs,
    /// Plain shapes in WGS 84, which is taken as EPSG:4490 everywhere in sizhi.
    Renamed,
    /// Whatever the column holds, straightened, flattened and transformed row by row; `srid` is that of shapes that name none.
    Transformed { srid: i32 },
}

/// What a file says of one layer. Names are as written: nothing is folded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeclaredLayer {
    /// The line that its table begins at.
    pub line: u64,
    pub id: String,
    pub schema: String,
    pub table: String,
    /// `None` = the primary key's column.
    pub key: Option<String>,
    pub geometry: DeclaredGeometry,
    /// Of shapes whose column names none.
    pub srid: Option<i32>,
    /// `None` = every column that can be shown.
    pub properties: Option<Vec<DeclaredProperty>>,
    pub title: Option<String>,
    pub title_en: Option<String>,
    pub description: Option<String>,
    pub description_en: Option<String>,
    pub zooms: Option<(u8, u8)>,
    pub is_public: bool,
    pub division: Option<String>,
    pub follow: Option<DeclaredFollow>,
    pub poll_seconds: Option<u32>,
    pub label: Option<String>,
    /// What the public sees of its shapes.
    pub generalisation: Option<Generalisation>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DeclaredGeometry {
    /// The one column of shapes that the table has.
    #[default]
    Only,
    Column(String),
    /// A table without shapes.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclaredFollow {
    Trigger,
    Polling,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeclaredProperty {
    pub name: String,
    pub title: Option<String>,
    pub title_en: Option<String>,
    pub unit: Option<String>,
    pub queryable: Option<bool>,
    pub from_zoom: DeclaredZoom,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeclaredZoom {
    #[default]
    Unsaid,
    From(u8),
    Never,
}

/// What the database says of a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableFacts {
    pub quoted: String,
    pub kind: TableKind,
    /// One of the register's own, or of the database's.
    pub is_reserved: bool,
    pub comment: Option<String>,
    pub columns: Vec<ColumnFacts>,
    /// The user that the database belongs to may not read it; what an administrator has to run.
    pub unreadable: Option<String>,
    /// That user may not put triggers on it; what an administrator has to run.
    pub untriggered: Option<String>,
    /// Coordinate systems of the declaration, the columns and the shapes that the database does not know.
    pub unknown_srids: Vec<i32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TableKind {
    #[default]
    Table,
    View,
    MaterialisedView,
    /// A partitioned table, a part of one, a table with children, or one of another server: statement triggers miss some of its changes.
    Composite,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnFacts {
    pub name: String,
    pub quoted: String,
    /// As the database writes it.
    pub sql_type: String,
    /// The name of the type below all domains, of the elements where it is an array.
    pub base: String,
    pub is_array: bool,
    pub is_enum: bool,
    pub comment: Option<String>,
    /// Never empty, and by an index of its own no value twice.
    pub is_unique: bool,
    pub is_primary: bool,
    pub shapes: Option<ShapeFacts>,
}

/// What a column of shapes says of them.
#[derive(Debug, Clone, PartialEq)]
pub struct ShapeFacts {
    pub kind: GeometryKind,
    /// Points, lines, polygons or several of them, in two dimensions, by the column's type.
    pub is_plain: bool,
    /// Of the column's type; 0 = any.
    pub srid: i32,
    /// Of its shapes, where the type names none.
    pub found: Vec<i32>,
}
