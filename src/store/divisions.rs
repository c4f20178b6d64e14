//! Divisions (行政区划).

use sqlx::PgConnection;

use super::geometry_column;
use crate::domain::{Division, DivisionCode};
use crate::error::Result;

const ROWS: &str = "
    SELECT code, name, level, parent_code, maps_to, note, source, geom::geometry(MultiPolygon, 4490) AS geom
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[]) AS t
         (code, name, level, parent_code, maps_to, note, source, wkb), LATERAL (SELECT ST_GeomFromEWKB(wkb) AS geom) g";

/// The division that a statistical or superseded code stands for.
pub async fn real(connection: &mut PgConnection, code: &DivisionCode) -> Result<Option<String>> {
    let found: Option<Option<String>> = sqlx::query_scalar("SELECT maps_to FROM division WHERE code = $1")
        .bind(code.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(found.flatten())
}

/// Inserts or updates what differs and returns the number of rows written. Needs an open revision unless nothing
/// differs.
pub async fn upsert(connection: &mut PgConnection, divisions: &[Division]) -> Result<u64> {
    let writing = format!(
        "WITH s AS ({ROWS}), written AS (
             INSERT INTO division AS d (code, name, level, parent_code, maps_to, note, source, geom)
             SELECT code, name, level, parent_code, maps_to, note, source, geom FROM s
             ON CONFLICT (code) DO UPDATE SET name = excluded.name, level = excluded.level, parent_code = excluded.parent_code,
                 maps_to = excluded.maps_to, note = excluded.note, source = excluded.source, geom = excluded.geom
             WHERE (d.name, d.level, d.parent_code, d.maps_to, d.note, d.source, ST_AsEWKB(d.geom)) IS DISTINCT FROM
                 (excluded.name, excluded.level, excluded.parent_code, excluded.maps_to, excluded.note, excluded.source, ST_AsEWKB(excluded.geom))
             RETURNING 1)
         SELECT count(*) FROM written"
    );
    let code = |c: &Option<DivisionCode>| c.as_ref().map(|c| c.as_str().to_owned());
    // Put together from this file's own constants.
    let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(writing))
        .bind(divisions.iter().map(|d| d.code.to_string()).collect::<Vec<_>>())
        .bind(divisions.iter().map(|d| d.name.clone()).collect::<Vec<_>>())
        .bind(divisions.iter().map(|d| d.level.as_str()).collect::<Vec<_>>())
        .bind(divisions.iter().map(|d| code(&d.parent)).collect::<Vec<_>>())
        .bind(divisions.iter().map(|d| code(&d.maps_to)).collect::<Vec<_>>())
        .bind(divisions.iter().map(|d| d.note.clone()).collect::<Vec<_>>())
        .bind(divisions.iter().map(|d| d.source.clone()).collect::<Vec<_>>())
        .bind(divisions.iter().map(|d| d.outline.as_ref().map(geometry_column::encode)).collect::<Vec<_>>())
        .fetch_one(connection)
        .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Code, name, and the code it stands for where it is accepted as input only.
pub async fn list_names(connection: &mut PgConnection) -> Result<Vec<(String, String, Option<String>)>> {
    Ok(sqlx::query_as("SELECT code, name, maps_to FROM division ORDER BY code").fetch_all(connection).await?)
}
