//! What a file does not speak of stays as it stands; what it clears is said before it is cleared.

use sqlx::PgConnection;

use super::ledger::FileParcels;
use super::{Rows, ledger};
use crate::domain::{Finding, Ledger, Parcel, Place};
use crate::error::Result;
use crate::exchange::{FieldMapping, field_names};
use crate::store;

/// The fields of a file that fill one column, where the column goes by another name.
const FILLED_BY: [(&str, &[&str]); 2] =
    [("four_extents", &["four_extents", "east", "south", "west", "north"]), ("county", &["county", "county_code"])];

/// The optional columns of these rows that the file has no field for.
pub(super) fn columns(mapping: &[FieldMapping], rows: &Rows) -> Vec<&'static str> {
    let has_field = |column: &str| {
        let fields = FILLED_BY.iter().find(|(name, _)| *name == column).map_or(&[][..], |(_, fields)| fields);
        mapping.iter().filter_map(|m| m.canonical).any(|c| c == column || fields.contains(&c))
    };
    let optional: &[&'static str] = match rows {
        Rows::Blocks(_) => &store::blocks::OPTIONAL,
        Rows::Parks(_) => &store::parks::OPTIONAL,
        Rows::Zones(_) => &store::control_zones::OPTIONAL,
        Rows::Parcels(_) => &[],
    };
    optional.iter().copied().filter(|column| !has_field(column) && !has_value(rows, column)).collect()
}

/// A format may give a value that is no field: a drawing's layer as the name.
fn has_value(rows: &Rows, column: &str) -> bool {
    match (rows, column) {
        (Rows::Zones(file), "name") => file.list.iter().any(|z| z.name.is_some()),
        (Rows::Zones(file), "stated_area") => file.list.iter().any(|z| z.stated_area.is_some()),
        (Rows::Blocks(file), "name") => file.list.iter().any(|b| b.name.is_some()),
        (Rows::Blocks(file), "stated_area") => file.list.iter().any(|b| b.stated_area.is_some()),
        (Rows::Blocks(file), "four_extents") => {
            file.list.iter().any(|b| b.four_extents_text.is_some() || !b.four_extents.is_empty())
        }
        _ => false,
    }
}

/// Lays what stands over the columns that the file lacks, and says which values an empty field would clear.
pub(super) async fn keep(connection: &mut PgConnection, rows: &Rows, absent: &[&str]) -> Result<Vec<Finding>> {
    let cleared = match rows {
        Rows::Blocks(_) => store::blocks::keep_absent(connection, absent).await?,
        Rows::Parks(parks) => store::parks::count_cleared(connection, parks, absent).await?,
        Rows::Zones(_) => store::control_zones::keep_absent(connection, absent).await?,
        Rows::Parcels(_) => Vec::new(),
    };
    Ok(cleared.into_iter().map(|(column, count)| value_cleared(column, count)).collect())
}

/// The optional columns of a ledger that the file has no field for.
pub(super) fn of_ledger(mapping: &[FieldMapping], ledger: Ledger, parcels: &[Parcel]) -> Vec<&'static str> {
    let has = |canonical: &str| mapping.iter().any(|m| m.canonical == Some(canonical));
    let present = |column: &str| match column {
        // A file of shapes may miss some; a table has none.
        "geom" => parcels.iter().any(|p| !p.boundary.0.is_empty()),
        "stated_park" => has("park_code") || has("park_name") || parcels.iter().any(|p| p.stated_park.is_some()),
        // A drawing's layer is a name without a field; a code without a system gets one.
        "name" => has("name") || parcels.iter().any(|p| p.name.is_some()),
        "stated_area" => has("stated_area") || parcels.iter().any(|p| p.stated_area.is_some()),
        "land_use_system" => has("land_use_system") || has("land_use_code"),
        column => has(column),
    };
    store::ledgers::optional(ledger).into_iter().filter(|column| !present(column)).collect()
}

/// [`keep`] for a ledger.
pub(super) async fn keep_in_ledger(
    connection: &mut PgConnection,
    parcels: &FileParcels,
    absent: &[&'static str],
    inherit: store::ledgers::Inherit,
) -> Result<Vec<Finding>> {
    let ledger = parcels.ledger;
    let cleared = store::ledgers::keep_absent(connection, parcels.stage(), absent, inherit).await?;
    Ok(cleared
        .into_iter()
        .map(|(column, count)| cleared_finding(ledger::column_title(ledger, column), count))
        .collect())
}

fn value_cleared(column: &str, count: i64) -> Finding {
    cleared_finding(field_names::title(column).unwrap_or(column), count)
}

fn cleared_finding(title: &str, count: i64) -> Finding {
    let message =
        format!("登记库中 {count} 条记录的“{title}”现有值，文件中为空，提交后将清空；不想清空请删去文件中的这一列");
    Finding::warning("value_cleared", Place::whole().field(title), message)
}
