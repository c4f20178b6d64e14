//! What our own exports say of a block and the register knows by itself: it comes back as what it is, not as the file's own
//! attribute. Without this, every file that was given out would come back changed.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::judge::SOURCE;
use crate::domain::area::{AreaUnit, round_decimal};
use crate::domain::{BlockId, SquareMetres};
use crate::exchange::Attribute;
use crate::layers::{columns, declaration};

/// Names of fields in our files, and the property that each shows.
static NAMES: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let mut names = declaration::find("park_blocks").map(columns::properties_by_name).unwrap_or_default();
    // Files of earlier versions.
    for (field, property) in
        [("椭球面积", "computed_area_m2"), ("computedm2", "computed_area_m2"), ("面积_公顷", "stated_area_ha")]
    {
        names.insert(field.to_owned(), property);
    }
    names
});

fn property_of(attribute: &Attribute) -> Option<&'static str> {
    NAMES.get(&*attribute.field).copied()
}

/// One record that is looked at for what it brings of its own.
pub(super) struct Record<'a> {
    id: &'a BlockId,
    computed: SquareMetres,
    /// It names the whole id: no paper does.
    is_ours: bool,
}

impl<'a> Record<'a> {
    pub fn new(attributes: &[Attribute], id: &'a BlockId, computed: SquareMetres) -> Self {
        let whole = id.to_string();
        let is_ours = attributes.iter().any(|a| property_of(a) == Some("id") && a.value == whole);
        Self { id, computed, is_ours }
    }

    /// A bureau's own 椭球面积 is told from ours by its number, and stays.
    pub fn comes_back(&self, attribute: &Attribute) -> bool {
        let value = attribute.value.as_str();
        let continued = attribute.field.trim_end_matches(|c: char| c.is_ascii_digit());
        if self.is_ours && value.is_empty() && continued != &*attribute.field && NAMES.contains_key(continued) {
            // The further field of a long text, of a record that has none.
            return true;
        }
        let is_flag = matches!(value, "true" | "false" | "1" | "0");
        match property_of(attribute) {
            Some("computed_area_m2") => self.is_computed(value, AreaUnit::SquareMetre),
            Some("computed_area_ha") => self.is_computed(value, AreaUnit::Hectare),
            Some("computed_area_mu") => self.is_computed(value, AreaUnit::Mu),
            Some("stated_area_ha") => is_whole_in_column(value),
            Some("illustrative") => is_flag && (self.is_ours || &*attribute.field == "illustrative"),
            Some("id") => value == self.id.to_string(),
            Some("number") => value == self.id.number(),
            Some("park_name" | "prefecture_code" | "source_crs" | "valid_from" | "valid_to" | "centre") => self.is_ours,
            _ => {
                let is_drawn = self.is_ours && value.contains("示意");
                attribute.canonical == Some("source") && (value.starts_with(SOURCE) || is_drawn)
            }
        }
    }

    fn is_computed(&self, value: &str, unit: AreaUnit) -> bool {
        // As it is rounded for people (domain.md §9), and moved by the eight decimals of GeoJSON.
        let step = unit.area(if unit == AreaUnit::Hectare { 0.000_1 } else { 0.01 }).map_or(0.0, SquareMetres::value);
        let stated = value.parse().ok().and_then(|n| unit.area(n));
        stated.is_some_and(|m2| (m2.value() - self.computed.value()).abs() <= step + 1e-6 * self.computed.value())
    }
}

/// Nothing, or a number of hectares that the column holds as it is.
fn is_whole_in_column(hectares: &str) -> bool {
    hectares.is_empty() || hectares.parse::<f64>().is_ok_and(|n| round_decimal(n, 6) == n)
}
