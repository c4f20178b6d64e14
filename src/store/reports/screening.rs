//! The rows of the report that holds the ledger against the criteria: judged by the caller, one after the other, none kept here.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use sqlx::{PgConnection, Row};

use super::{Frame, bind, in_frame};
use crate::domain::ledger::criteria::{Facts, Measure};
use crate::error::Result;
use crate::store::criteria::facts;

/// A parcel as it is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct ScreenedParcel {
    pub id: String,
    pub county: String,
    pub park: Option<String>,
    pub year: Option<i32>,
    pub is_low_efficiency: Option<bool>,
    pub kind: Option<String>,
    pub area_m2: f64,
    pub facts: Facts,
}

/// The counties of the frame, each with the years of criteria that its parcels name.
pub async fn screening_keys(connection: &mut PgConnection, frame: &Frame) -> Result<Vec<(String, Option<i32>)>> {
    let sql = format!(
        "SELECT DISTINCT r.county_code, r.criteria_year FROM low_efficiency_parcel r WHERE {} ORDER BY 1, 2 LIMIT $4",
        in_frame(frame)
    );
    let rows = bind(sql, frame, u32::MAX).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Gives every parcel of the frame to `each`, in no order, with its facts of these measures.
pub async fn screen(
    connection: &mut PgConnection,
    frame: &Frame,
    measures: &[Measure],
    each: &mut (dyn FnMut(ScreenedParcel) + Send),
) -> Result<()> {
    let columns: String = measures.iter().map(|measure| format!(", r.{}", measure.name())).collect();
    let sql = format!(
        "SELECT r.id, r.county_code, r.park_code, r.criteria_year, r.is_low_efficiency, r.low_efficiency_kind, r.area_m2{columns}
         FROM low_efficiency_parcel r WHERE {} LIMIT $4",
        in_frame(frame)
    );
    let mut rows = bind(sql, frame, u32::MAX).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        each(ScreenedParcel {
            id: row.try_get(0)?,
            county: row.try_get(1)?,
            park: row.try_get(2)?,
            year: row.try_get(3)?,
            is_low_efficiency: row.try_get(4)?,
            kind: row.try_get(5)?,
            area_m2: row.try_get(6)?,
            facts: facts(&row, 7, measures)?,
        });
    }
    Ok(())
}

/// What a bureau calls a parcel: number and name.
pub type Numbered = (String, Option<String>);

/// Numbers and names of these parcels of the frame.
pub async fn numbers_of(
    connection: &mut PgConnection,
    frame: &Frame,
    ids: &[String],
) -> Result<HashMap<String, Numbered>> {
    let sql = format!(
        "SELECT r.id, r.number, r.name FROM low_efficiency_parcel r WHERE {} AND r.id = ANY($5) LIMIT $4",
        in_frame(frame)
    );
    let frame = Frame { period: None, ..frame.clone() };
    let rows = bind(sql, &frame, u32::MAX).bind(ids).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?)))).collect()
}
