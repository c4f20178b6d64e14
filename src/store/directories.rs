//! Published directories (园区名录) and their entries.

use chrono::NaiveDate;
use sqlx::{FromRow, PgConnection};

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

/// A version's head, as lists tell it.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct VersionRow {
    pub id: String,
    pub title: String,
    pub document_no: Option<String>,
    pub issued_on: Option<NaiveDate>,
    pub source: String,
    /// The day whose parks it lists, where this register published it.
    pub register_on: Option<NaiveDate>,
    /// The register that it was drawn from, by its revision.
    pub register_revision: Option<i64>,
    pub entries: i64,
    pub revision: i64,
}

/// What a version says of a park.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct EntryRow {
    pub park_code: String,
    pub serial: Option<i32>,
    pub name: String,
    /// To the digit.
    pub area_ha: Option<String>,
    pub approved_text: Option<String>,
    pub leading_industries: Vec<String>,
    pub four_extents: Option<String>,
}

/// All versions, or the one of this id; the newest first.
pub async fn list(connection: &mut PgConnection, id: Option<&str>) -> Result<Vec<VersionRow>> {
    Ok(sqlx::query_as(
        "SELECT v.id, v.title, v.document_no, v.issued_on, v.source, p.register_on, p.register_revision, v.revision,
                (SELECT count(*) FROM directory_entry e WHERE e.version_id = v.id) AS entries
         FROM directory_version v LEFT JOIN directory_publication p ON p.version_id = v.id
         WHERE $1::text IS NULL OR v.id = $1 ORDER BY v.issued_on DESC NULLS LAST, v.revision DESC, v.id LIMIT 1000",
    )
    .bind(id)
    .fetch_all(connection)
    .await?)
}

/// What a version says, in its order.
pub async fn list_entries(connection: &mut PgConnection, id: &str) -> Result<Vec<EntryRow>> {
    Ok(sqlx::query_as(
        "SELECT park_code, serial, name, trim_scale(area_ha)::text AS area_ha, approved_text, leading_industries, four_extents
         FROM directory_entry WHERE version_id = $1 ORDER BY serial NULLS LAST, park_code",
    )
    .bind(id)
    .fetch_all(connection)
    .await?)
}

/// Which version has this document number and title already.
pub async fn find_same(connection: &mut PgConnection, document_no: &str, title: &str) -> Result<Option<String>> {
    let sql = "SELECT id FROM directory_version WHERE document_no = $1 AND title = $2 ORDER BY id LIMIT 1";
    Ok(sqlx::query_scalar(sql).bind(document_no).bind(title).fetch_optional(connection).await?)
}

/// Keeps what a published version was drawn from. Needs an open revision.
pub async fn insert_publication(
    connection: &mut PgConnection,
    id: &str,
    register_on: NaiveDate,
    register_revision: i64,
    actor: &str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO directory_publication (version_id, register_on, register_revision, actor) VALUES ($1, $2, $3, $4)",
    )
    .bind(id)
    .bind(register_on)
    .bind(register_revision)
    .bind(actor)
    .execute(connection)
    .await?;
    Ok(())
}
