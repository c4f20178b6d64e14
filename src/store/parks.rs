//! Parks (产业园区): upsert, previews, and lookups by name.

use sqlx::PgConnection;

use super::UpsertCounts;
use crate::domain::{Hectares, Park, ParkCode};
use crate::error::Result;

/// The given parks as rows; bound as parallel arrays, lists joined by U+001F, which no name holds. Of a park that stands,
/// the columns named in `$12` keep what stands.
const STAGE: &str = "
    SELECT t.code, t.name, string_to_array(nullif(t.aliases, ''), E'\\x1f') AS aliases,
           CASE left(t.code, 1) WHEN 'G' THEN '国家级' ELSE '省级' END AS level,
           CASE WHEN 'type' = ANY(kept) THEN p.type ELSE t.type END AS type, t.prefecture_code,
           CASE WHEN 'county' = ANY(kept) THEN p.county_codes
                ELSE coalesce(string_to_array(nullif(t.counties, ''), E'\\x1f'), '{}') END AS county_codes,
           CASE WHEN 'leading_industries' = ANY(kept) THEN p.leading_industries
                ELSE coalesce(string_to_array(nullif(t.industries, ''), E'\\x1f'), '{}') END AS leading_industries,
           CASE WHEN 'approved_text' = ANY(kept) THEN p.approved_text ELSE t.approved_text END AS approved_text,
           CASE WHEN 'stated_area' = ANY(kept) THEN p.approved_area_ha ELSE t.approved_area_ha::numeric(12, 4) END AS approved_area_ha,
           CASE WHEN 'approved_text' = ANY(kept) THEN p.valid_from ELSE coalesce(t.approved_on, '-infinity') END AS valid_from,
           t.source
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::float8[], $10::date[], $11::text[])
         AS t (code, name, aliases, type, prefecture_code, counties, industries, approved_text, approved_area_ha, approved_on, source)
    LEFT JOIN park p ON p.code = t.code
    CROSS JOIN LATERAL (SELECT CASE WHEN p.code IS NULL THEN '{}' ELSE $12::text[] END AS kept) k";

const HEAD: &str = "WITH s AS (";
macro_rules! differs {
    () => {
        "((p.name, p.type, p.prefecture_code, p.county_codes, p.leading_industries, p.approved_text, p.approved_area_ha, p.valid_from)
          IS DISTINCT FROM (s.name, s.type, s.prefecture_code, s.county_codes, s.leading_industries, s.approved_text, s.approved_area_ha, s.valid_from)
          OR (s.aliases IS NOT NULL AND p.aliases IS DISTINCT FROM s.aliases))"
    };
}

const COMPARE_TAIL: &str = concat!(
    ")
    SELECT count(*) FILTER (WHERE p.code IS NULL), count(*) FILTER (WHERE p.code IS NOT NULL AND differs),
           count(*) FILTER (WHERE p.code IS NOT NULL AND NOT differs)
    FROM s LEFT JOIN park p ON p.code = s.code
    CROSS JOIN LATERAL (SELECT ",
    differs!(),
    " AS differs) d"
);
const DIFFERING_TAIL: &str = concat!(
    ")
    SELECT p.code, p.revision FROM s JOIN park p ON p.code = s.code WHERE p.revision > $13 AND ",
    differs!(),
    " ORDER BY p.code"
);
/// Values that stand and that the rows have none for, by column in the order of [`OPTIONAL`].
const CLEARED_TAIL: &str = ")
    SELECT count(*) FILTER (WHERE s.type = '' AND p.type <> ''),
           count(*) FILTER (WHERE s.county_codes = '{}' AND p.county_codes <> '{}'),
           count(*) FILTER (WHERE s.leading_industries = '{}' AND p.leading_industries <> '{}'),
           count(*) FILTER (WHERE s.approved_text IS NULL AND p.approved_text IS NOT NULL),
           count(*) FILTER (WHERE s.approved_area_ha IS NULL AND p.approved_area_ha IS NOT NULL)
    FROM s JOIN park p ON p.code = s.code";
const UPDATE_TAIL: &str = concat!(
    ")
    UPDATE park p
    SET name = s.name, aliases = coalesce(s.aliases, p.aliases), type = s.type, prefecture_code = s.prefecture_code, county_codes = s.county_codes,
        leading_industries = s.leading_industries, approved_text = s.approved_text, approved_area_ha = s.approved_area_ha,
        valid_from = s.valid_from, source = s.source
    FROM s
    WHERE p.code = s.code
      AND ",
    differs!()
);
const INSERT_TAIL: &str = ")
    INSERT INTO park (code, name, aliases, level, type, prefecture_code, county_codes, leading_industries, approved_text, approved_area_ha, valid_from, source)
    SELECT code, name, coalesce(aliases, '{}'), level, type, prefecture_code, county_codes, leading_industries, approved_text, approved_area_ha, valid_from, source
    FROM s WHERE NOT EXISTS (SELECT 1 FROM park p WHERE p.code = s.code)";

const SEPARATOR: &str = "\u{1f}";

/// The columns that a table may be silent about, by their canonical names.
pub const OPTIONAL: [&str; 5] = ["type", "county", "leading_industries", "approved_text", "stated_area"];

macro_rules! bind_parks {
    ($kind:ident, $sql:expr, $parks:expr, $absent:expr) => {{
        let parks = $parks;
        let texts = |f: &dyn Fn(&Park) -> String| -> Vec<String> { parks.iter().map(f).collect() };
        let codes = |list: &[crate::domain::DivisionCode]| {
            list.iter().map(|c| c.as_str().to_owned()).collect::<Vec<_>>().join(SEPARATOR)
        };
        // The statement is put together from this file's own constants.
        sqlx::$kind(sqlx::AssertSqlSafe($sql))
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
            .bind($absent)
    }};
}

/// Inserts new parks and updates those that differ; a park that stands keeps its values in the columns `absent` (of
/// [`OPTIONAL`]). Needs an open revision.
pub async fn upsert(connection: &mut PgConnection, parks: &[Park], absent: &[&str]) -> Result<u64> {
    let mut written = 0;
    for tail in [UPDATE_TAIL, INSERT_TAIL] {
        let sql = format!("{HEAD}{STAGE}{tail}");
        written += bind_parks!(query, sql, parks, absent).execute(&mut *connection).await?.rows_affected();
    }
    Ok(written)
}

/// What [`upsert`] would do.
pub async fn preview(connection: &mut PgConnection, parks: &[Park], absent: &[&str]) -> Result<UpsertCounts> {
    let sql = format!("{HEAD}{STAGE}{COMPARE_TAIL}");
    let counts: (i64, i64, i64) = bind_parks!(query_as, sql, parks, absent).fetch_one(connection).await?;
    Ok(UpsertCounts::from_row(counts))
}

/// Code and revision of the parks that [`upsert`] would change and that were written after revision `seen`.
pub async fn list_differing_since(
    connection: &mut PgConnection,
    parks: &[Park],
    absent: &[&str],
    seen: i64,
) -> Result<Vec<(String, i64)>> {
    let sql = format!("{HEAD}{STAGE}{DIFFERING_TAIL}");
    Ok(bind_parks!(query_as, sql, parks, absent).bind(seen).fetch_all(connection).await?)
}

/// The values that [`upsert`] would clear, counted by column.
pub async fn count_cleared(
    connection: &mut PgConnection,
    parks: &[Park],
    absent: &[&str],
) -> Result<Vec<(&'static str, i64)>> {
    let sql = format!("{HEAD}{STAGE}{CLEARED_TAIL}");
    let counts: (i64, i64, i64, i64, i64) = bind_parks!(query_as, sql, parks, absent).fetch_one(connection).await?;
    let counts = [counts.0, counts.1, counts.2, counts.3, counts.4];
    Ok(OPTIONAL.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect())
}

/// Every park's code with all names it goes by.
pub async fn list_names(connection: &mut PgConnection) -> Result<Vec<(String, Vec<String>)>> {
    Ok(sqlx::query_as("SELECT code, array_prepend(name, aliases) FROM park ORDER BY code")
        .fetch_all(connection)
        .await?)
}

/// Another text for another state of the parks and divisions, in this register or any: the hash of the revision that wrote one of them last,
/// and which there are (who takes one away leaves no row). `None` where no revision has, or one
/// that is still open: it has no hash yet.
pub async fn mark_with_divisions(connection: &mut PgConnection) -> Result<Option<String>> {
    // (Not the codes in order: every edit asks this.)
    let sql = "SELECT encode(r.hash, 'hex') || '-' || p.codes || '-' || d.codes
               FROM (SELECT count(*) || '.' || coalesce(bit_xor(hashtextextended(code, 0)), 0) AS codes, max(revision) AS newest FROM park) p
               CROSS JOIN (SELECT count(*) || '.' || coalesce(bit_xor(hashtextextended(code, 0)), 0) AS codes, max(revision) AS newest
                           FROM division) d
               JOIN revision r ON r.number = greatest(p.newest, d.newest)";
    Ok(sqlx::query_scalar::<_, Option<String>>(sql).fetch_optional(connection).await?.flatten())
}

/// Codes of parks whose life has ended.
pub async fn list_ended(connection: &mut PgConnection) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar("SELECT code FROM park WHERE valid_to < 'infinity' ORDER BY code")
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

/// Code and counties of every park.
pub async fn list_counties(connection: &mut PgConnection) -> Result<Vec<(String, Vec<String>)>> {
    Ok(sqlx::query_as("SELECT code, county_codes FROM park ORDER BY code").fetch_all(connection).await?)
}

/// Code and divisions of every park: its counties, else its prefecture.
pub async fn list_divisions(connection: &mut PgConnection) -> Result<Vec<(String, Vec<String>)>> {
    let sql = "SELECT code, CASE WHEN county_codes = '{}' THEN ARRAY[prefecture_code] ELSE county_codes END FROM park ORDER BY code";
    Ok(sqlx::query_as(sql).fetch_all(connection).await?)
}
