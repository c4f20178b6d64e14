//! What is odd in a ledger's papers and is told, not refused: days the wrong way round, percentages that look like shares.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::ledger::FileParcels;
use crate::domain::ledger::{FieldValue, column_looks_like_ratio, looks_like_ratio};
use crate::domain::{Finding, Ledger, Parcel, Place};
use crate::error::Result;
use crate::store::ledgers::{self, OutOfOrder};

/// What a finding calls a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    /// As papers do.
    ByTitle,
    /// As the layer's property, in an edit.
    ByName,
}

/// Pairs of days of the staged parcels that came the wrong way round, where the file gives one of them at least.
pub(super) async fn days(connection: &mut PgConnection, parcels: &FileParcels, called: Called) -> Result<Vec<Finding>> {
    let ledger = parcels.ledger;
    let found = ledgers::list_staged_out_of_order(connection, parcels.stage()).await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let rows = parcels.file.list.iter().zip(&parcels.file.rows);
    let by_id: HashMap<String, (&Parcel, u64)> = rows.map(|(p, row)| (p.id.to_string(), (p, *row))).collect();
    Ok(found
        .iter()
        .filter_map(|pair| {
            let (parcel, row) = by_id.get(&pair.id)?;
            let given = [pair.first, pair.second].iter().any(|name| parcel.fields.contains_key(name));
            given.then(|| out_of_order(ledger, pair, called, Some(*row)))
        })
        .collect())
}

/// The sentence about one pair.
pub fn out_of_order(ledger: Ledger, pair: &OutOfOrder, called: Called, row: Option<u64>) -> Finding {
    let title = |name: &'static str| ledger.field(name).map_or(name, |field| field.title.zh);
    let (first, second) = (title(pair.first), title(pair.second));
    let record = row.map_or_else(String::new, |row| format!("第 {row} 条记录的"));
    let message = format!("{record}“{second}”{} 早于“{first}”{}，请核对", pair.second_on, pair.first_on);
    let place = row.map_or_else(Place::whole, Place::row);
    let field = if called == Called::ByTitle { second } else { pair.second };
    Finding::warning("date_order", place.field(field), message)
}

/// Columns of a file in percent that look like shares.
pub(super) fn ratio_columns(ledger: Ledger, parcels: &[Parcel]) -> Vec<Finding> {
    let odd = ledger.percents().filter(|field| column_looks_like_ratio(parcels, field.name));
    odd.map(|field| {
        let title = field.title.zh;
        let message =
            format!("“{title}”一列没有一个值大于 1；本列单位是 %，若填的是小数（0.25 表示 25%），请乘以 100 后再导入");
        Finding::warning("percent_looks_like_ratio", Place::whole().field(title), message)
    })
    .collect()
}

/// Values of a single record in percent that look like shares.
pub fn ratios<'a>(ledger: Ledger, value: impl Fn(&str) -> Option<&'a FieldValue>) -> Vec<Finding> {
    let odd = ledger.percents().filter(|field| looks_like_ratio(value(field.name)));
    odd.map(|field| {
        let message = format!("“{}”不大于 1；本项单位是 %，若填的是小数（0.25 表示 25%），请乘以 100", field.title.zh);
        Finding::warning("percent_looks_like_ratio", Place::whole().field(field.name), message)
    })
    .collect()
}
