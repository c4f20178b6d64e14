//! What the paper says of a block beside its columns, for the parcel line of a boundary-point file.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::error::Result;

/// Fields of the parcel line that the register keeps among a block's attributes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Papers {
    pub map_sheet: String,
    pub land_use: String,
    pub land_use_code: String,
}

/// The papers of the current blocks of these ids.
pub async fn list_papers(connection: &mut PgConnection, ids: &[&str]) -> Result<HashMap<String, Papers>> {
    let rows: Vec<(String, String, String, String)> = sqlx::query_as(
        "SELECT id, coalesce(attributes ->> '图幅号', ''), coalesce(attributes ->> '地块用途', ''),
                coalesce(attributes ->> '地类编码', '')
         FROM park_block WHERE id = ANY($1) AND valid_to = 'infinity'",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, map_sheet, land_use, land_use_code)| (id, Papers { map_sheet, land_use, land_use_code }))
        .collect())
}
