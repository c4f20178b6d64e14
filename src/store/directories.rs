//! Published directories (园区名录) and their entries.

use sqlx::PgConnection;

use crate::domain::{DirectoryVersion, Hectares};
use crate::error::Result;

/// Inserts or updates what differs and returns the number of rows written. Needs an open revision.
pub async fn upsert(connection: &mut PgConnection, version: &DirectoryVersion) -> Result<u64> {
    let head = sqlx::query(
        "INSERT INTO directory_version AS d (id, title, document_no, issued_on, source) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET title = excluded.title, document_no = excluded.document_no,
             issued_on = excluded.issued_on, source = excluded.source
         WHERE (d.title, d.document_no, d.issued_on, d.source)
               IS DISTINCT FROM (excluded.title, excluded.document_no, excluded.issued_on, excluded.source)",
    )
    .bind(&version.id)
    .bind(&version.title)
    .bind(&version.document_no)
    .bind(version.issued_on)
    .bind(&version.source)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    let entries = &version.entries;
    let body = sqlx::query(
        "INSERT INTO directory_entry AS e (version_id, park_code, serial, name, area_ha, approved_text, leading_industries, four_extents)
         SELECT $1, park_code, serial, name, area_ha, approved_text, coalesce(string_to_array(nullif(industries, ''), '、'), '{}'), four_extents
         FROM unnest($2::text[], $3::integer[], $4::text[], $5::float8[], $6::text[], $7::text[], $8::text[])
              AS t (park_code, serial, name, area_ha, approved_text, industries, four_extents)
         ON CONFLICT (version_id, park_code) DO UPDATE SET serial = excluded.serial, name = excluded.name, area_ha = excluded.area_ha,
             approved_text = excluded.approved_text, leading_industries = excluded.leading_industries, four_extents = excluded.four_extents
         WHERE (e.serial, e.name, e.area_ha, e.approved_text, e.leading_industries, e.four_extents)
               IS DISTINCT FROM (excluded.serial, excluded.name, excluded.area_ha, excluded.approved_text, excluded.leading_industries, excluded.four_extents)",
    )
    .bind(&version.id)
    .bind(entries.iter().map(|e| e.park.to_string()).collect::<Vec<_>>())
    .bind(entries.iter().map(|e| e.serial).collect::<Vec<_>>())
    .bind(entries.iter().map(|e| e.name.clone()).collect::<Vec<_>>())
    .bind(entries.iter().map(|e| e.area.map(Hectares::value)).collect::<Vec<_>>())
    .bind(entries.iter().map(|e| e.approved_text.clone()).collect::<Vec<_>>())
    .bind(entries.iter().map(|e| e.leading_industries.join("、")).collect::<Vec<_>>())
    .bind(entries.iter().map(|e| e.four_extents.clone()).collect::<Vec<_>>())
    .execute(connection)
    .await?
    .rows_affected();
    Ok(head + body)
}
