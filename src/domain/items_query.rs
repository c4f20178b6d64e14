//! A question to a layer, checked: boxes, time, property filters, a page.

use chrono::{DateTime, NaiveDate, Utc};
use geo::MultiPolygon;

use super::DivisionCode;
use super::filter::Checked;
use super::layer::Property;
use super::published_crs::{PlaneBox, PublishedCrs};
use super::search::Search;

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
    /// A box in metres, beside which there are no others.
    pub plane_box: Option<PlaneBox>,
    /// `Some((None, None))` asks for all times.
    pub period: Option<Period>,
    /// The register as of this revision; `None` = as it stands.
    pub revision: Option<i64>,
    pub filters: Vec<Filter>,
    /// What of a CQL2 filter `filters` and `boxes` cannot say.
    pub filter: Option<Checked>,
    /// What one of the names, numbers and words of a feature holds.
    pub search: Option<Search>,
    /// A division that the feature's own lies in.
    pub division: Option<DivisionCode>,
    /// An area that the feature lies in altogether.
    pub within: Option<MultiPolygon<f64>>,
    /// The order of pages, before the feature id that always ends it.
    pub sort: Vec<SortKey>,
    pub limit: u32,
    pub offset: u32,
    /// Feature after which the page begins.
    pub after: Option<After>,
    /// What of each feature is wanted.
    pub shape: Shape,
}

/// How a feature is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shape {
    pub crs: PublishedCrs,
    /// The names of the properties that are wanted; `None` = all of them.
    pub properties: Option<Vec<&'static str>>,
    pub skip_geometry: bool,
    /// How far an outline may leave its place to have fewer vertices, in the unit of `crs`.
    pub offset: Option<f64>,
}

/// A place in the order of pages: by feature id, and the lives of one id by the day they began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    pub id: String,
    /// `None` = before all days.
    pub from: Option<NaiveDate>,
    /// The values of the sort keys, as text; `None` = no value, which comes last.
    pub keys: Vec<Option<String>>,
}

/// A property to sort by; features without a value come last either way.
#[derive(Debug, Clone, Copy)]
pub struct SortKey {
    pub property: &'static Property,
    pub descending: bool,
}

/// One property equals (or, for lists, contains) a value, one of several values, or lies between two.
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
    /// One of these.
    AnyOf(Vec<String>),
    /// From, to, both included; one of them may be open.
    NumberBetween(Option<f64>, Option<f64>),
    DateBetween(Option<NaiveDate>, Option<NaiveDate>),
    MomentBetween(Option<DateTime<Utc>>, Option<DateTime<Utc>>),
}
