//! Parks (产业园区): upsert, previews, and lookups by name.

use sqlx::{Connection, PgConnection};

use super::UpsertCounts;
use crate::domain::{Hectares, Park, ParkCode};
use crate::error::Result;

/// The given parks as rows; bound as parallel arrays, lists joined by U+001F, which no name holds.
const STAGE: &str = "
    SELECT code, name, string_to_array(nullif(aliases, ''), E'\\x1f') AS aliases, CASE left(code, 1) WHEN 'G' THEN '国家级' ELSE '省级' END AS level,
           type, prefecture_code, coalesce(string_to_array(nullif(counties, ''), E'\\x1f'), '{}') AS county_codes,
           coalesce(string_to_array(nullif(industries, ''), E'\\x1f'), '{}') AS leading_industries, approved_text,
           approved_area_ha::numeric(12, 4) AS approved_area_ha, coalesce(approved_on, '-infinity') AS valid_from, source
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::float8[], $10::date[], $11::text[])
         AS t (code, name, aliases, type, prefecture_code, counties, industries, approved_text, approved_area_ha, approved_on, source)";

const COMPARE_HEAD: &str = "WITH s AS (";
const COMPARE_TAIL: &str = ")
    SELECT count(*) FILTER (WHERE p.code IS NULL), count(*) FILTER (WHERE p.code IS NOT NULL AND differs),
           count(*) FILTER (WHERE p.code IS NOT NULL AND NOT differs)
    FROM s LEFT JOIN park p ON p.code = s.code
    CROSS JOIN LATERAL (SELECT (p.name, p.type, p.prefecture_code, p.county_codes, p.leading_industries, p.approved_text, p.approved_area_ha, p.valid_from)
        IS DISTINCT FROM (s.name, s.type, s.prefecture_code, s.county_codes, s.leading_industries, s.approved_text, s.approved_area_ha, s.valid_from)
        OR (s.aliases IS NOT NULL AND p.aliases IS DISTINCT FROM s.aliases) AS differs) d";
const UPDATE_TAIL: &str = ")
    UPDATE park p
    SET name = s.name, aliases = coalesce(s.aliases, p.aliases), type = s.type, prefecture_code = s.prefecture_code, county_codes = s.county_codes,
        leading_industries = s.leading_industries, approved_text = s.approved_text, approved_area_ha = s.approved_area_ha,
        valid_from = s.valid_from, source = s.source
    FROM s
    WHERE p.code = s.code
      AND ((p.name, p.type, p.prefecture_code, p.county_codes, p.leading_industries, p.approved_text, p.approved_area_ha, p.valid_from)
          IS DISTINCT FROM (s.name, s.type, s.prefecture_code, s.county_codes, s.leading_industries, s.approved_text, s.approved_area_ha, s.valid_from)
        OR (s.aliases IS NOT NULL AND p.aliases IS DISTINCT FROM s.aliases))";
const INSERT_TAIL: &str = ")
    INSERT INTO park (code, name, aliases, level, type, prefecture_code, county_codes, leading_industries, approved_text, approved_area_ha, valid_from, source)
    SELECT code, name, coalesce(aliases, '{}'), level, type, prefecture_code, county_codes, leading_industries, approved_text, approved_area_ha, valid_from, source
    FROM s WHERE NOT EXISTS (SELECT 1 FROM park p WHERE p.code = s.code)";

const SEPARATOR: &str = "\u{1f}";

macro_rules! bind_parks {
    ($sql:expr, $parks:expr) => {{
        let parks = $parks;
        let texts = |f: &dyn Fn(&Park) -> String| -> Vec<String> { parks.iter().map(f).collect() };
        let codes = |list: &[crate::domain::DivisionCode]| {
            list.iter().map(|c| c.as_str().to_owned()).collect::<Vec<_>>().join(SEPARATOR)
        };
        // The statement is put together from this file's own constants.
        sqlx::query_as::<_, (i64, i64, i64)>(sqlx::AssertSqlSafe($sql))
            .bind(texts(&|p| p.code.to_string()))
            .bind(texts(&|p| p.name.clone()))
            .bind(texts(&|p| p.aliases.join(SEPARATOR)))
            .bind(texts(&|p| p.kind.clone()))
            .bind(texts(&|p| p.prefecture.to_string()))
            .bind(texts(&|p| codes(&p.counties)))
            .bind(texts(&|p| p.leading_industries.join(SEPARATOR)))
            .bind(parks.iter().map(|p| p.approved_text.clone()).collect::<Vec<_>>())
            .bind(parks.iter().map(|p| p.approved_area.map(Hectares::value)).collect::<Vec<_>>())
            .bind(parks.iter().map(|p| p.approved_on).collect::<Vec<_>>())
            .bind(texts(&|p| p.source.clone()))
    }};
}

/// Inserts new parks and updates those that differ. Needs an open revision.
pub async fn upsert(connection: &mut PgConnection, parks: &[Park]) -> Result<UpsertCounts> {
    let before = preview(connection, parks).await?;
    for tail in [UPDATE_TAIL, INSERT_TAIL] {
        let sql = format!("{COMPARE_HEAD}{STAGE}{tail} RETURNING 0::bigint, 0::bigint, 0::bigint");
        bind_parks!(sql, parks).fetch_all(&mut *connection).await?;
    }
    Ok(before)
}

/// What [`upsert`] would do.
pub async fn preview(connection: &mut PgConnection, parks: &[Park]) -> Result<UpsertCounts> {
    let mut transaction = connection.begin().await?;
    let sql = format!("{COMPARE_HEAD}{STAGE}{COMPARE_TAIL}");
    let counts = bind_parks!(sql, parks).fetch_one(&mut *transaction).await?;
    transaction.rollback().await?;
    Ok(UpsertCounts::from_row(counts))
}

/// Every park's code with all names it goes by.
pub async fn list_names(connection: &mut PgConnection) -> Result<Vec<(String, Vec<String>)>> {
    Ok(sqlx::query_as("SELECT code, array_prepend(name, aliases) FROM park ORDER BY code")
        .fetch_all(connection)
        .await?)
}

/// Every park's code with the source of its row.
pub async fn list_sources(connection: &mut PgConnection) -> Result<Vec<(String, String)>> {
    Ok(sqlx::query_as("SELECT code, source FROM park ORDER BY code").fetch_all(connection).await?)
}

/// True where the register knows the code.
pub async fn exists(connection: &mut PgConnection, code: &ParkCode) -> Result<bool> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM park WHERE code = $1)")
        .bind(code.as_str())
        .fetch_one(connection)
        .await?)
}

/// True where the register holds no park at all.
pub async fn is_empty(connection: &mut PgConnection) -> Result<bool> {
    Ok(sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM park)").fetch_one(connection).await?)
}
