//! A question to a layer, checked: boxes, time, property filters, a page.

use chrono::NaiveDate;

use super::layer::Property;

/// Largest page.
pub const MAX_LIMIT: u32 = 10_000;
/// Page size where none is asked for.
pub const DEFAULT_LIMIT: u32 = 100;
/// Farthest `offset`; beyond it the cursor of the `next` link pages on.
pub const MAX_OFFSET: u32 = 100_000;

/// From, to; both included, `None` = unbounded.
pub type Period = (Option<NaiveDate>, Option<NaiveDate>);

/// West, south, east, north in degrees.
pub type Bbox = [f64; 4];

/// A checked question.
#[derive(Debug, Clone, Default)]
pub struct ItemsQuery {
    /// Boxes joined by “or”: one, or two where a box crosses the antimeridian.
    pub boxes: Vec<Bbox>,
    /// `Some((None, None))` asks for all times.
    pub period: Option<Period>,
    /// The register as of this revision; `None` = as it stands.
    pub revision: Option<i64>,
    pub filters: Vec<Filter>,
    pub limit: u32,
    pub offset: u32,
    /// Feature after which the page begins.
    pub after: Option<After>,
}

/// A place in the order of pages: by feature id, and the lives of one id by the day they began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    pub id: String,
    /// `None` = before all days.
    pub from: Option<NaiveDate>,
}

/// One property equals (or, for lists, contains) one value.
#[derive(Debug, Clone)]
pub struct Filter {
    pub property: &'static Property,
    pub value: FilterValue,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FilterValue {
    Text(String),
    Number(f64),
    Boolean(bool),
    Date(NaiveDate),
}
