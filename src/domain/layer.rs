//! A published layer as data: what it is called, where it comes from, which properties it shows. Declared once; everything
//! that speaks of a layer (collections, parameters, schema, documentation, pages) is derived from this.

use super::access::{Jurisdiction, Role, Viewer};
use super::extra_layer::ExtraTable;
use super::generalisation::Generalisation;

/// A published layer.
#[derive(Debug)]
pub struct Layer {
    pub id: &'static str,
    pub title: Titles,
    pub description: Titles,
    /// The view or table that holds `feature_id`, `geom`, `valid_from`, `valid_to` and the properties as columns. Of an extra layer the
    /// operator's own table: what holds those columns is put together of [`Layer::extra`].
    pub relation: &'static str,
    /// The table of the operator's that it shows, where it is none of the register's.
    pub extra: Option<&'static ExtraTable>,
    /// What its shapes are.
    pub geometry: GeometryKind,
    pub properties: &'static [Property],
    /// Rows whose life has ended are shown only where `datetime` asks for them.
    pub current_only: bool,
    pub visibility: Visibility,
    /// How secret its content is (domain.md §11).
    pub classification: Classification,
    /// What the public sees of its shapes; `None` = all that they are. [`Layer::detail_for`] tells who sees what.
    pub generalisation: Option<Generalisation>,
    /// The zooms that it has tiles at, both included.
    pub min_zoom: u8,
    pub max_zoom: u8,
    /// The property that names a feature on a map: tiles have a layer of label points with it.
    pub label: Option<&'static str>,
    /// How a reader learns of its changes.
    pub follow: Follow,
    /// The tables whose rows show in it, its own first: what makes its history and its changes.
    pub sources: &'static [Source],
}

/// A table of the log whose rows show in a layer.
#[derive(Debug)]
pub struct Source {
    pub table: &'static str,
    pub title: Titles,
    /// The column that the log knows a row by.
    pub id: &'static str,
    pub shows: Shows,
    /// The column with the division that decides who may see a row (`protect_by_jurisdiction`); `None` = everybody.
    pub division: Option<&'static str>,
}

/// Which features a row of a source shows in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// In the feature of its own id.
    AsItself,
    /// In the feature whose id this column holds. It never changes in the life of a row, and `as_of_table` was told of it.
    InFeatureOf(&'static str),
    /// In every feature that has the row's id as this property.
    WhereProperty(&'static str),
}

/// What the shapes of a layer are, as the OGC names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeometryKind {
    Point,
    LineString,
    Polygon,
    MultiPoint,
    MultiLineString,
    MultiPolygon,
    /// Several kinds, or collections of them.
    Any,
    /// No shapes at all: a table.
    None,
}

impl GeometryKind {
    /// The kind that PostGIS calls so; a name that is not known is any kind.
    pub fn parse(text: &str) -> Self {
        match text.to_ascii_uppercase().as_str() {
            "POINT" => GeometryKind::Point,
            "LINESTRING" => GeometryKind::LineString,
            "POLYGON" => GeometryKind::Polygon,
            "MULTIPOINT" => GeometryKind::MultiPoint,
            "MULTILINESTRING" => GeometryKind::MultiLineString,
            "MULTIPOLYGON" => GeometryKind::MultiPolygon,
            _ => GeometryKind::Any,
        }
    }

    /// The `format` of OGC API Features Part 5.
    pub fn schema_format(self) -> &'static str {
        match self {
            GeometryKind::Point => "geometry-point",
            GeometryKind::LineString => "geometry-linestring",
            GeometryKind::Polygon => "geometry-polygon",
            GeometryKind::MultiPoint => "geometry-multipoint",
            GeometryKind::MultiLineString => "geometry-multilinestring",
            GeometryKind::MultiPolygon => "geometry-multipolygon",
            GeometryKind::Any | GeometryKind::None => "geometry-any",
        }
    }

    /// Whether its shapes may have an area.
    pub fn is_areal(self) -> bool {
        matches!(self, GeometryKind::Polygon | GeometryKind::MultiPolygon | GeometryKind::Any)
    }
}

/// How secret the content of a layer is (密级).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classification {
    /// 公开.
    Public,
    /// 内部.
    Internal,
}

impl Classification {
    pub fn as_str(self) -> &'static str {
        match self {
            Classification::Public => "public",
            Classification::Internal => "internal",
        }
    }
}

/// How a reader that holds a layer in memory learns of its changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// By the register's log, which has every row of the layer's sources.
    ByLog,
    /// By a trigger of ours on the table, which writes down the keys that were touched.
    ByTrigger,
    /// By comparing all of it with what it was, each so many seconds.
    ByPolling { seconds: u32 },
}

/// Who may see a layer (domain.md §11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Staff, and only rows of their own jurisdiction.
    Internal,
    /// All of the staff, all rows: what nobody may overlook because it is another county's. (Whoever speaks for no division sees none.)
    Staff,
}

impl Visibility {
    /// Whether somebody of this role may know that the layer exists.
    pub fn is_for(self, role: Role) -> bool {
        match self {
            Visibility::Public => true,
            Visibility::Internal | Visibility::Staff => role.reads_internal(),
        }
    }
}

/// Chinese and English.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Titles {
    pub zh: &'static str,
    pub en: &'static str,
}

/// One property of a layer; `name` is the JSON key.
#[derive(Debug)]
pub struct Property {
    pub name: &'static str,
    /// The column of the layer's relation as statements name it: `name` itself, or quoted where an operator's table has an odd one.
    pub column: &'static str,
    pub kind: PropertyKind,
    pub title: Titles,
    /// Unit of a number: `m2`, `ha`, `mu`.
    pub unit: Option<&'static str>,
    /// May be a query parameter (equality; membership for lists).
    pub queryable: bool,
    /// The zoom from which it is an attribute of tiles; `None` = never.
    pub from_zoom: Option<u8>,
    /// The values that it has, where they are known words.
    pub values: &'static [KnownValue],
}

/// One of the known values of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownValue {
    pub value: &'static str,
    pub title: Titles,
}

impl Property {
    /// A property of no unit, not to be asked for, without known values, of tiles from the zoom where features are told apart.
    pub const fn new(name: &'static str, kind: PropertyKind, title: Titles) -> Self {
        Self {
            name,
            column: name,
            kind,
            title,
            unit: None,
            queryable: false,
            from_zoom: Some(DETAIL_ZOOM),
            values: &[],
        }
    }

    /// The same, to be asked for by name.
    pub const fn queryable(self) -> Self {
        Self { queryable: true, ..self }
    }

    pub const fn unit(self, unit: &'static str) -> Self {
        Self { unit: Some(unit), ..self }
    }

    pub const fn from_zoom(self, zoom: u8) -> Self {
        Self { from_zoom: Some(zoom), ..self }
    }

    /// Never an attribute of tiles.
    pub const fn not_in_tiles(self) -> Self {
        Self { from_zoom: None, ..self }
    }

    pub const fn values(self, values: &'static [KnownValue]) -> Self {
        Self { values, ..self }
    }

    /// A text of a few known words or codes: several may be asked for at once, with commas between.
    pub fn is_code(&self) -> bool {
        const CODES: [&str; 18] = [
            "code",
            "level",
            "status",
            "county_code",
            "county_codes",
            "prefecture_code",
            "park_code",
            "state",
            "held_state",
            "derived_sets",
            "approval_age",
            "idle_stage",
            "plan_state",
            "end_reason",
            "land_use_code",
            "block_id",
            "kind",
            "management_class",
        ];
        CODES.contains(&self.name)
    }

    /// Whether `q=` looks through it: what may be asked for by name, and the further names of a thing.
    pub fn is_searched(&self) -> bool {
        self.queryable && self.kind == PropertyKind::Text || self.name == "aliases"
    }

    /// The unit as Chinese readers write it.
    pub fn unit_zh(&self) -> Option<&'static str> {
        self.unit.map(|unit| match unit {
            "m2" => "m²",
            "ha" => "公顷",
            "mu" => "亩",
            other => other,
        })
    }

    /// The Chinese title with its unit: three areas of one name differ by nothing else.
    pub fn heading_zh(&self) -> String {
        match self.unit_zh() {
            Some(unit) => format!("{}（{unit}）", self.title.zh),
            None => self.title.zh.to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropertyKind {
    Text,
    TextList,
    Number,
    Integer,
    Boolean,
    /// A day without a time zone.
    Date,
    /// A moment, shown by RFC 3339 in UTC.
    DateTime,
    NumberList,
}

impl PropertyKind {
    /// Has members; is asked for by one of them, and not sorted by.
    pub fn is_list(self) -> bool {
        matches!(self, PropertyKind::TextList | PropertyKind::NumberList)
    }
}

/// The days between which a feature of the register lives, on every layer of it: they can be asked for by name as a property can.
pub static LIFE: [Property; 2] = [
    Property::new("valid_from", PropertyKind::Date, Titles { zh: "生效日期", en: "Valid from" }).queryable(),
    Property::new("valid_to", PropertyKind::Date, Titles { zh: "失效日期", en: "Valid to" }).queryable(),
];

/// The zoom from which features are told apart on a map, and have their properties in tiles.
pub const DETAIL_ZOOM: u8 = 12;
/// The last zoom of tiles.
pub const LAST_ZOOM: u8 = 22;

impl Layer {
    /// A layer of the register's without anything said of it yet, for declarations to be made from. What is not said to be public is not.
    pub const OF_REGISTER: Layer = Layer {
        id: "",
        title: Titles { zh: "", en: "" },
        description: Titles { zh: "", en: "" },
        relation: "",
        extra: None,
        geometry: GeometryKind::MultiPolygon,
        properties: &[],
        current_only: false,
        visibility: Visibility::Internal,
        classification: Classification::Internal,
        generalisation: None,
        min_zoom: 0,
        max_zoom: LAST_ZOOM,
        label: None,
        follow: Follow::ByLog,
        sources: &[],
    };

    /// Whether its features have lives and pasts: `datetime`, `revision`, changes and history are asked of the register alone.
    pub fn has_past(&self) -> bool {
        self.extra.is_none()
    }

    /// Whether somebody may know that the layer exists. Rows of an internal extra layer that say nothing of where they lie are for
    /// those without bounds; others would be shown an empty layer.
    pub fn is_for(&self, viewer: &Viewer) -> bool {
        let bounded = viewer.jurisdiction != Jurisdiction::Everywhere;
        let boundless = |extra: &ExtraTable| self.visibility == Visibility::Internal && extra.division.is_none();
        self.visibility.is_for(viewer.role) && !(bounded && self.extra.is_some_and(boundless))
    }

    /// The property that says in which division a feature lies.
    pub fn division_property(&self) -> Option<&'static str> {
        match self.extra {
            Some(extra) => extra.division_property,
            None => ["county_code", "prefecture_code", "division_code"]
                .into_iter()
                .find(|name| self.property(name).is_some()),
        }
    }

    /// The property of this name.
    pub fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|p| p.name == name)
    }

    /// The queryable property of this name.
    pub fn queryable(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|p| p.queryable && p.name == name)
    }

    /// What may be asked for and sorted by under this name: a queryable property, or a day of the feature's life.
    pub fn askable(&self, name: &str) -> Option<&'static Property> {
        self.queryable(name).or_else(|| self.life().iter().find(|day| day.name == name))
    }

    /// The days of a feature's life; none of an operator's table, whose columns of these names are its own.
    pub fn life(&self) -> &'static [Property] {
        if self.has_past() { &LIFE } else { &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_layers_do_not_exist_for_the_public() {
        for role in Role::ALL {
            assert!(Visibility::Public.is_for(role));
            for internal in [Visibility::Internal, Visibility::Staff] {
                assert_eq!(internal.is_for(role), role != Role::Public, "{role:?}");
            }
        }
    }

    #[test]
    fn an_internal_table_without_divisions_is_for_those_without_bounds() {
        static OPEN: ExtraTable = ExtraTable { division: None, ..ExtraTable::UNNAMED };
        static DIVIDED: ExtraTable = ExtraTable {
            division: Some(crate::domain::extra_layer::TableColumn { quoted: "d", sql_type: "text" }),
            ..ExtraTable::UNNAMED
        };
        let everywhere = Viewer { role: Role::Staff, ..Viewer::operator("a") };
        let bounded = Viewer { jurisdiction: Jurisdiction::NOWHERE, ..everywhere.clone() };
        for (extra, visibility, viewer, expected) in [
            (&OPEN, Visibility::Internal, &everywhere, true),
            (&OPEN, Visibility::Internal, &bounded, false),
            (&OPEN, Visibility::Public, &bounded, true),
            (&OPEN, Visibility::Public, &Viewer::public(), true),
            (&DIVIDED, Visibility::Internal, &bounded, true),
            (&DIVIDED, Visibility::Internal, &Viewer::public(), false),
        ] {
            let layer = Layer { extra: Some(extra), visibility, ..Layer::OF_REGISTER };
            assert_eq!(layer.is_for(viewer), expected, "{extra:?} {visibility:?} {viewer:?}");
        }
    }

    #[test]
    fn kinds_of_shapes_by_their_names() {
        for (name, expected) in [
            ("MULTIPOLYGON", GeometryKind::MultiPolygon),
            ("Point", GeometryKind::Point),
            ("GEOMETRY", GeometryKind::Any),
            ("GEOMETRYCOLLECTION", GeometryKind::Any),
        ] {
            assert_eq!(GeometryKind::parse(name), expected, "{name}");
        }
    }
}
