//! Columns of a table → properties of a layer: kinds by types, titles by the file or the column's comment.

use std::collections::HashSet;

use super::declare::{column, kept};
use super::{Faults, about};
use crate::domain::extra_layer::{
    ColumnFacts, DeclaredLayer, DeclaredProperty, DeclaredZoom, MAX_PROPERTIES, ReadColumn, Reading, TableColumn,
    TableFacts,
};
use crate::domain::layer::{Property, PropertyKind, Titles};

/// Columns that the relation of every layer has, and what statements over it call its parts; a property of such a name is another column
/// there.
const TAKEN: [&str; 19] = [
    "feature_id",
    "raw_key",
    "geom",
    "valid_from",
    "valid_to",
    "row_revision",
    "access_division",
    "sizhi_id",
    "sizhi_from",
    "sizhi_version",
    "sizhi_geom",
    "sizhi_division",
    "sizhi_columns",
    "sizhi_properties",
    "sizhi_keys",
    "sizhi_cells",
    "sizhi_shape",
    "sizhi_centre",
    "sizhi_feature",
];

/// What a column's values are shown as, and how they are read; `None` where they cannot be.
pub(super) fn reading(column: &ColumnFacts) -> Option<(PropertyKind, Reading)> {
    use PropertyKind as K;
    let base = column.base.as_str();
    let is_word = column.is_enum || matches!(base, "text" | "varchar" | "bpchar" | "name" | "citext" | "uuid");
    if column.is_array {
        let is_number = matches!(base, "int2" | "int4" | "int8" | "float4" | "float8" | "numeric");
        return match (is_word, is_number) {
            (true, _) => Some((K::TextList, Reading::AsTexts)),
            (_, true) => Some((K::NumberList, Reading::AsNumbers)),
            _ => None,
        };
    }
    Some(match base {
        "text" => (K::Text, Reading::AsItIs),
        _ if is_word => (K::Text, Reading::AsText),
        "time" | "timetz" | "interval" | "inet" | "cidr" | "macaddr" => (K::Text, Reading::AsText),
        "int2" | "int4" | "int8" => (K::Integer, Reading::AsItIs),
        "float8" | "numeric" => (K::Number, Reading::AsItIs),
        "float4" => (K::Number, Reading::AsDouble),
        "bool" => (K::Boolean, Reading::AsItIs),
        "date" => (K::Date, Reading::AsItIs),
        "timestamptz" => (K::DateTime, Reading::AsItIs),
        "timestamp" => (K::DateTime, Reading::AsUtc),
        _ => return None,
    })
}

/// The declared properties, or all that can be.
pub(super) fn properties(
    declared: &DeclaredLayer,
    facts: &TableFacts,
    geometry: Option<&ColumnFacts>,
    faults: &mut Faults,
) -> Vec<(Property, ReadColumn)> {
    let mut names = Names::of(facts);
    let mut properties = Vec::new();
    match &declared.properties {
        Some(wanted) => {
            for wanted in wanted {
                let Some(column) = column(declared, facts, &wanted.name, "properties", faults) else { continue };
                match reading(column) {
                    Some(read) => properties.push(property(column, wanted, read, &mut names)),
                    None => {
                        let what = format!("列“{}”的类型 {} 不能作为属性", column.name, column.sql_type);
                        faults.error("layer_column_unsupported", declared.line, about(declared, what));
                    }
                }
            }
        }
        None => {
            let shown = facts.columns.iter().filter(|c| geometry.is_none_or(|geometry| geometry.name != c.name));
            for column in shown {
                match reading(column) {
                    Some(read) => {
                        properties.push(property(column, &DeclaredProperty::default(), read, &mut names));
                    }
                    None => {
                        let what = format!("列“{}”的类型 {} 不能作为属性，不显示", column.name, column.sql_type);
                        faults.warning("layer_column_left_out", declared.line, about(declared, what));
                    }
                }
            }
        }
    }
    if properties.len() > MAX_PROPERTIES {
        let what = format!("有 {} 个属性，超过上限 {MAX_PROPERTIES}；请用 properties 选择", properties.len());
        faults.error("layer_column_unsupported", declared.line, about(declared, what));
    }
    properties
}

/// Columns of the relation: the table's own names, quoted; others for those that it has already.
struct Names {
    taken: HashSet<String>,
}

impl Names {
    fn of(facts: &TableFacts) -> Self {
        let own = facts.columns.iter().map(|column| column.name.clone());
        Self { taken: own.chain(TAKEN.map(str::to_owned)).collect() }
    }

    fn column(&mut self, column: &ColumnFacts) -> &'static str {
        if !TAKEN.contains(&column.name.as_str()) {
            return kept(&column.quoted);
        }
        let mut name = format!("{}_of_table", column.name);
        while !self.taken.insert(name.clone()) {
            name.push('_');
        }
        kept(&name)
    }
}

fn property(
    column: &ColumnFacts,
    wanted: &DeclaredProperty,
    (kind, reading): (PropertyKind, Reading),
    names: &mut Names,
) -> (Property, ReadColumn) {
    let title = wanted.title.as_ref().or(column.comment.as_ref()).unwrap_or(&column.name);
    let title_en = wanted.title_en.as_ref().unwrap_or(&column.name);
    let titles = Titles { zh: kept(title), en: kept(title_en) };
    let plain = Property::new(kept(&column.name), kind, titles);
    let property = Property {
        column: names.column(column),
        unit: wanted.unit.as_deref().map(kept),
        queryable: wanted.queryable.unwrap_or(true),
        from_zoom: match wanted.from_zoom {
            DeclaredZoom::Unsaid => plain.from_zoom,
            DeclaredZoom::From(zoom) => Some(zoom),
            DeclaredZoom::Never => None,
        },
        ..plain
    };
    let quoted = TableColumn { quoted: kept(&column.quoted), sql_type: kept(&column.sql_type) };
    (property, ReadColumn { column: quoted, reading })
}
