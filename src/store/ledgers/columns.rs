//! The columns of a ledger's table, from its field table.

use crate::domain::Ledger;
use crate::domain::ledger::FieldKind;

/// Columns that an import or an edit writes, beyond the fields: of both parcel ledgers, in the order of [`super::stage`].
pub fn common() -> [&'static str; 16] {
    [
        "id",
        "county_code",
        "number",
        "name",
        "geom",
        "area_m2",
        "stated_area_m2",
        "park_code",
        "block_id",
        "inside_share",
        "stated_park",
        "stated_park_code",
        "illustrative",
        "source",
        "source_crs",
        "attributes",
    ]
}

/// Columns of where the record stands and of its life; moves write them.
pub(super) const STANDING: [&str; 4] = ["state", "held_state", "state_on", "valid_from"];

/// Columns that a source may be silent about, by canonical name: what stands in them then stays.
pub fn optional(ledger: Ledger) -> Vec<&'static str> {
    ["geom", "name", "stated_area", "stated_park"].into_iter().chain(ledger.fields().iter().map(|f| f.name)).collect()
}

/// The columns behind an optional name.
pub(super) fn behind(name: &'static str) -> &'static [&'static str] {
    match name {
        "geom" => &["geom", "area_m2", "illustrative", "source", "source_crs", "park_code", "block_id", "inside_share"],
        "stated_area" => &["stated_area_m2"],
        "stated_park" => &["stated_park", "stated_park_code"],
        _ => &[],
    }
}

/// Columns whose difference makes an update, beside the geometry: `source` and `source_crs` are no content (the same from another file
/// is no change), and the area is the boundary's.
fn content(ledger: Ledger) -> Vec<&'static str> {
    common()
        .into_iter()
        .filter(|column| !matches!(*column, "id" | "geom" | "area_m2" | "source" | "source_crs"))
        .chain(ledger.fields().iter().map(|f| f.name))
        .collect()
}

/// `alias.a, alias.b` of [`content`], to be compared: numbers by their first fifteen digits, which is what files of GDAL's carry.
pub(super) fn compared(ledger: Ledger, alias: &str) -> String {
    let is_number = |column: &str| {
        column == "stated_area_m2"
            || ledger.field(column).is_some_and(|f| matches!(f.kind, FieldKind::Area | FieldKind::Number))
    };
    let one = |column: &'static str| {
        if is_number(column) { format!("{alias}.{column}::numeric") } else { format!("{alias}.{column}") }
    };
    content(ledger).into_iter().map(one).collect::<Vec<_>>().join(", ")
}

/// All columns that are written, fields last.
pub(super) fn written(ledger: Ledger) -> Vec<&'static str> {
    common().into_iter().chain(ledger.fields().iter().map(|f| f.name)).collect()
}

/// `alias.a, alias.b`.
pub(super) fn listed(columns: &[&str], alias: &str) -> String {
    columns.iter().map(|column| format!("{alias}.{column}")).collect::<Vec<_>>().join(", ")
}
