//! Control lines (管控区域): their kinds as they hold, single zones, and the bulk upsert of zones.
//!
//! Tables are named without a schema: `as_of::turn_back` says which past they mean.

use sqlx::{FromRow, PgConnection};

use super::copy::{CopyRow, copy_in};
use super::{UpsertCounts, geometry_column};
use crate::domain::ControlZone;
use crate::domain::control_zone::{Effect, ZoneKind};
use crate::domain::overlap_check::Weight;
use crate::error::{Error, Result};

/// A kind as the register knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKind {
    pub kind: ZoneKind,
    /// One that the program brings.
    pub is_default: bool,
    /// The request that it stands in as it does; `None` where the operator has said nothing of it.
    pub source: Option<String>,
    /// The revision that wrote it last; 0 where none has.
    pub version: i64,
}

#[derive(FromRow)]
struct RawKind {
    code: String,
    name: String,
    name_en: String,
    effect: String,
    park_weight: String,
    parcel_weight: String,
    rule: String,
    document: String,
    is_default: bool,
    source: Option<String>,
    revision: Option<i64>,
}

impl TryFrom<RawKind> for StoredKind {
    type Error = Error;

    fn try_from(row: RawKind) -> Result<Self> {
        let unknown =
            |what: &str| Error::Internal { detail: format!("管控类型的{what}无法识别"), cause: None };
        let weight = |word: &str| Weight::parse(word).ok_or_else(|| unknown("等级"));
        let kind = ZoneKind {
            effect: Effect::parse(&row.effect).ok_or_else(|| unknown("管控方式"))?,
            park_weight: weight(&row.park_weight)?,
            parcel_weight: weight(&row.parcel_weight)?,
            code: row.code,
            name: row.name,
            name_en: row.name_en,
            rule: row.rule,
            document: row.document,
        };
        Ok(Self { kind, is_default: row.is_default, source: row.source, version: row.revision.unwrap_or(0) })
    }
}

const KINDS: &str = "SELECT code, name, name_en, effect, park_weight, parcel_weight, rule, document, is_default, source, revision FROM known_zone_kind";

/// Every kind, by its code.
pub async fn list_kinds(connection: &mut PgConnection) -> Result<Vec<StoredKind>> {
    let sql = format!("{KINDS} ORDER BY code COLLATE \"C\"");
    let rows: Vec<RawKind> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.into_iter().map(StoredKind::try_from).collect()
}

/// The kinds that land should lie within, of which there is a zone: of others, nothing says what lies outside.
pub async fn list_kinds_to_lie_within(connection: &mut PgConnection) -> Result<Vec<ZoneKind>> {
    let sql = format!(
        "{KINDS} k WHERE effect = 'keep_within' AND EXISTS (SELECT FROM control_zone z WHERE z.kind = k.code) ORDER BY code COLLATE \"C\""
    );
    let rows: Vec<RawKind> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.into_iter().map(|row| Ok(StoredKind::try_from(row)?.kind)).collect()
}

/// Writes what the operator says of a kind; false where that stands already. Needs an open revision.
pub async fn put_kind(connection: &mut PgConnection, kind: &ZoneKind, source: &str) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO control_zone_kind AS k (code, name, name_en, effect, park_weight, parcel_weight, rule, document, source)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (code) DO UPDATE SET name = excluded.name, name_en = excluded.name_en, effect = excluded.effect,
             park_weight = excluded.park_weight, parcel_weight = excluded.parcel_weight, rule = excluded.rule,
             document = excluded.document, source = excluded.source
         WHERE (k.name, k.name_en, k.effect, k.park_weight, k.parcel_weight, k.rule, k.document)
             IS DISTINCT FROM (excluded.name, excluded.name_en, excluded.effect, excluded.park_weight, excluded.parcel_weight,
                               excluded.rule, excluded.document)",
    )
    .bind(&kind.code)
    .bind(&kind.name)
    .bind(&kind.name_en)
    .bind(kind.effect.as_str())
    .bind(kind.park_weight.as_str())
    .bind(kind.parcel_weight.as_str())
    .bind(&kind.rule)
    .bind(&kind.document)
    .bind(source)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes back what the operator said of a kind; false where nothing was said. Needs an open revision.
pub async fn remove_kind(connection: &mut PgConnection, code: &str) -> Result<bool> {
    let done = sqlx::query("DELETE FROM control_zone_kind WHERE code = $1").bind(code).execute(connection).await?;
    Ok(done.rows_affected() > 0)
}

/// How many zones there are of this kind.
pub async fn count_of_kind(connection: &mut PgConnection, code: &str) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM control_zone WHERE kind = $1").bind(code).fetch_one(connection).await?)
}

/// Kinds of the zones that a revision wrote of which nothing says anything.
pub async fn unknown_kinds(connection: &mut PgConnection, revision: i64) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT DISTINCT kind FROM control_zone z
         WHERE revision = $1 AND NOT EXISTS (SELECT FROM known_zone_kind k WHERE k.code = z.kind) ORDER BY 1",
    )
    .bind(revision)
    .fetch_all(connection)
    .await?)
}

/// A zone as far as somebody has to know it who takes it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingZone {
    pub name: Option<String>,
    /// Code of the division whose line it is.
    pub division: String,
    /// The revision that wrote its row.
    pub version: i64,
}

/// The zone of this id, as it stands.
pub async fn find_zone(connection: &mut PgConnection, id: &str) -> Result<Option<StandingZone>> {
    let found: Option<(Option<String>, String, i64)> =
        sqlx::query_as("SELECT name, division_code, revision FROM control_zone WHERE id = $1")
            .bind(id)
            .fetch_optional(connection)
            .await?;
    Ok(found.map(|(name, division, version)| StandingZone { name, division, version }))
}

/// Takes a zone away; false where there is none, or none that the transaction may write. Needs an open revision.
pub async fn remove_zone(connection: &mut PgConnection, id: &str) -> Result<bool> {
    let done = sqlx::query("DELETE FROM control_zone WHERE id = $1").bind(id).execute(connection).await?;
    Ok(done.rows_affected() > 0)
}

/// Codes of the divisions whose zones a revision wrote, before and after.
pub async fn divisions_written(connection: &mut PgConnection, revision: i64) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT DISTINCT v.division
         FROM change c, LATERAL (VALUES (c.before ->> 'division_code'), (c.after ->> 'division_code')) v (division)
         WHERE c.revision = $1 AND c.layer = 'control_zone' AND v.division IS NOT NULL ORDER BY 1",
    )
    .bind(revision)
    .fetch_all(connection)
    .await?)
}

/// Columns in the order of [`fill`].
const CREATE_STAGE: &str = "
    CREATE TEMPORARY TABLE control_zone_stage (
        id text COLLATE \"C\" PRIMARY KEY, kind text, number text, name text, division_code text, management_class text, rule text, spatial_rule text,
        pollution_rule text, risk_rule text, resource_rule text, document_no text, geom geometry(MultiPolygon, 4490),
        area_m2 double precision, stated_area_ha numeric(14, 6), illustrative boolean, source text, source_crs text, attributes jsonb)
    ON COMMIT DROP";
const COPY: &str = "COPY control_zone_stage FROM STDIN (FORMAT binary)";
const COLUMNS: i16 = 19;

/// The columns that a file may be silent about, by their canonical names.
pub const OPTIONAL: [&str; 9] = [
    "name",
    "management_class",
    "rule",
    "spatial_rule",
    "pollution_rule",
    "risk_rule",
    "resource_rule",
    "document_no",
    "stated_area",
];

macro_rules! differs {
    () => {
        // As of blocks: the geometry by its points, whatever the direction of its rings; `source` and `source_crs` are no content.
        "((z.name, z.division_code, z.management_class, z.rule, z.spatial_rule, z.pollution_rule, z.risk_rule, z.resource_rule, z.document_no,
           z.stated_area_ha, z.illustrative, z.attributes)
          IS DISTINCT FROM
          (s.name, s.division_code, s.management_class, s.rule, s.spatial_rule, s.pollution_rule, s.risk_rule, s.resource_rule, s.document_no,
           s.stated_area_ha, s.illustrative, s.attributes)
          OR NOT abs(z.area_m2 - s.area_m2) <= 1e-12 * z.area_m2
          OR ST_AsEWKB(z.geom) <> ST_AsEWKB(s.geom)
             AND ST_AsEWKB(ST_ForcePolygonCW(z.geom)) <> ST_AsEWKB(ST_ForcePolygonCW(s.geom)))"
    };
}

/// What the file does not speak of stays as it stands; a drawn zone hands nothing on to a surveyed one.
const KEEP: &str = "
    UPDATE control_zone_stage s
    SET name = CASE WHEN 'name' = ANY($1) THEN z.name ELSE s.name END,
        management_class = CASE WHEN 'management_class' = ANY($1) THEN z.management_class ELSE s.management_class END,
        rule = CASE WHEN 'rule' = ANY($1) THEN z.rule ELSE s.rule END,
        spatial_rule = CASE WHEN 'spatial_rule' = ANY($1) THEN z.spatial_rule ELSE s.spatial_rule END,
        pollution_rule = CASE WHEN 'pollution_rule' = ANY($1) THEN z.pollution_rule ELSE s.pollution_rule END,
        risk_rule = CASE WHEN 'risk_rule' = ANY($1) THEN z.risk_rule ELSE s.risk_rule END,
        resource_rule = CASE WHEN 'resource_rule' = ANY($1) THEN z.resource_rule ELSE s.resource_rule END,
        document_no = CASE WHEN 'document_no' = ANY($1) THEN z.document_no ELSE s.document_no END,
        stated_area_ha = CASE WHEN 'stated_area' = ANY($1) THEN z.stated_area_ha ELSE s.stated_area_ha END,
        attributes = z.attributes || s.attributes
    FROM control_zone z WHERE z.id = s.id AND z.illustrative = s.illustrative";

/// Values that stand and that the stage has none for, by column in the order of [`OPTIONAL`].
const CLEARED: &str = "
    SELECT ARRAY[
        count(*) FILTER (WHERE s.name IS NULL AND z.name IS NOT NULL),
        count(*) FILTER (WHERE s.management_class IS NULL AND z.management_class IS NOT NULL),
        count(*) FILTER (WHERE s.rule IS NULL AND z.rule IS NOT NULL),
        count(*) FILTER (WHERE s.spatial_rule IS NULL AND z.spatial_rule IS NOT NULL),
        count(*) FILTER (WHERE s.pollution_rule IS NULL AND z.pollution_rule IS NOT NULL),
        count(*) FILTER (WHERE s.risk_rule IS NULL AND z.risk_rule IS NOT NULL),
        count(*) FILTER (WHERE s.resource_rule IS NULL AND z.resource_rule IS NOT NULL),
        count(*) FILTER (WHERE s.document_no IS NULL AND z.document_no IS NOT NULL),
        count(*) FILTER (WHERE s.stated_area_ha IS NULL AND z.stated_area_ha IS NOT NULL)]
    FROM control_zone_stage s JOIN control_zone z ON z.id = s.id AND z.illustrative = s.illustrative";

const PREVIEW: &str = concat!(
    "SELECT count(*) FILTER (WHERE z.id IS NULL), count(*) FILTER (WHERE z.id IS NOT NULL AND ",
    differs!(),
    "), count(*) FILTER (WHERE z.id IS NOT NULL AND NOT ",
    differs!(),
    ") FROM control_zone_stage s LEFT JOIN control_zone z ON z.id = s.id"
);

const DIFFERING_SINCE: &str = concat!(
    "SELECT z.id, z.revision FROM control_zone_stage s JOIN control_zone z ON z.id = s.id WHERE z.revision > $1 AND ",
    differs!(),
    " ORDER BY z.id"
);

const UPDATE: &str = concat!(
    "UPDATE control_zone z
     SET name = s.name, division_code = s.division_code, management_class = s.management_class, rule = s.rule, spatial_rule = s.spatial_rule,
         pollution_rule = s.pollution_rule, risk_rule = s.risk_rule, resource_rule = s.resource_rule, document_no = s.document_no,
         geom = s.geom, area_m2 = s.area_m2, stated_area_ha = s.stated_area_ha, illustrative = s.illustrative, source = s.source,
         source_crs = s.source_crs, attributes = s.attributes
     FROM control_zone_stage s WHERE z.id = s.id AND ",
    differs!()
);

const INSERT: &str = "
    INSERT INTO control_zone (id, kind, number, name, division_code, management_class, rule, spatial_rule, pollution_rule, risk_rule,
        resource_rule, document_no, geom, area_m2, stated_area_ha, illustrative, source, source_crs, attributes)
    SELECT id, kind, number, name, division_code, management_class, rule, spatial_rule, pollution_rule, risk_rule,
        resource_rule, document_no, geom, area_m2, stated_area_ha, illustrative, source, source_crs, attributes
    FROM control_zone_stage s WHERE NOT EXISTS (SELECT FROM control_zone z WHERE z.id = s.id) ORDER BY id";

/// Lays the zones into the transaction's stage, which the functions below read. Once a transaction.
pub async fn stage(connection: &mut PgConnection, zones: &[ControlZone]) -> Result<()> {
    sqlx::query(CREATE_STAGE).execute(&mut *connection).await?;
    copy_in(connection, COPY, COLUMNS, zones.iter(), fill).await
}

fn fill(row: &mut CopyRow<'_>, zone: &ControlZone) {
    row.text(&zone.id.to_string());
    row.text(zone.id.kind());
    row.text(zone.id.number());
    row.optional_text(zone.name.as_deref());
    row.text(zone.division.as_str());
    row.optional_text(zone.class.map(|class| class.label()));
    let rules = &zone.rules;
    for text in [&rules.rule, &rules.spatial, &rules.pollution, &rules.risk, &rules.resource, &zone.document_no] {
        row.optional_text(text.as_deref());
    }
    row.bytes(&geometry_column::encode(&zone.boundary));
    row.double(zone.area.value());
    row.hectares(zone.stated_area);
    row.boolean(zone.illustrative);
    row.text(&zone.source);
    row.optional_text(zone.source_crs.as_deref());
    let attributes = zone.attributes.iter().map(|(k, v)| (k.clone(), serde_json::Value::String(v.clone())));
    row.json(&serde_json::Value::Object(attributes.collect()));
}

/// Fills the staged rows with what stands in the columns `absent` (of [`OPTIONAL`]), and counts the values that the file would clear.
pub async fn keep_absent(connection: &mut PgConnection, absent: &[&str]) -> Result<Vec<(&'static str, i64)>> {
    sqlx::query(KEEP).bind(absent).execute(&mut *connection).await?;
    let counts: Vec<i64> = sqlx::query_scalar(CLEARED).fetch_one(connection).await?;
    Ok(OPTIONAL.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect())
}

/// What [`upsert_staged`] would do.
pub async fn preview_staged(connection: &mut PgConnection) -> Result<UpsertCounts> {
    let counts: (i64, i64, i64) = sqlx::query_as(PREVIEW).fetch_one(connection).await?;
    Ok(UpsertCounts::from_row(counts))
}

/// Id and revision of the zones that stand otherwise than the stage says and were written after revision `seen`.
pub async fn list_differing_since(connection: &mut PgConnection, seen: i64) -> Result<Vec<(String, i64)>> {
    Ok(sqlx::query_as(DIFFERING_SINCE).bind(seen).fetch_all(connection).await?)
}

/// Staged zones that stand as another division's than the file says: id and that division, whose they are to change.
pub async fn list_standing_divisions(connection: &mut PgConnection) -> Result<Vec<(String, String)>> {
    Ok(sqlx::query_as(
        "SELECT z.id, z.division_code FROM control_zone_stage s JOIN control_zone z ON z.id = s.id WHERE z.division_code <> s.division_code ORDER BY z.id",
    )
    .fetch_all(connection)
    .await?)
}

/// Inserts what is new and updates what differs; gives the number of rows written. Needs an open revision.
pub async fn upsert_staged(connection: &mut PgConnection) -> Result<u64> {
    let updated = sqlx::query(UPDATE).execute(&mut *connection).await?.rows_affected();
    Ok(updated + sqlx::query(INSERT).execute(connection).await?.rows_affected())
}
