//! Conflicts of the register with itself, how far the auditor is, and what people said of them.

use chrono::{DateTime, Utc};
use geo::MultiPolygon;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use super::geometry_column;
use super::last_word::{self, LastWord};
use crate::domain::items_query::Bbox;
use crate::domain::overlap::OverlapClass;
use crate::domain::overlap_check::{Verdict, Weight};
use crate::error::{Error, Result};

/// One side of a conflict.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Side {
    pub layer: String,
    pub id: String,
    pub name: Option<String>,
    /// Whose it is, where that bounds who sees it.
    pub division: Option<String>,
    pub park: Option<String>,
}

/// A conflict as it was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Of the pair: the same whenever it is found.
    pub id: String,
    pub a: Side,
    pub b: Side,
    pub illustrative: bool,
    pub class: OverlapClass,
    pub weight: Weight,
    pub area_m2: f64,
    pub share_a: f64,
    pub share_b: f64,
    pub width_m: Option<f64>,
    pub gap_area_m2: Option<f64>,
    pub gap_length_m: Option<f64>,
    pub rule: Option<String>,
    pub land: Option<MultiPolygon<f64>>,
}

/// A conflict with its life and the last word on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    pub number: i64,
    pub measured: Measured,
    /// SHA-256 of the land as the database keeps it, where an audit asks for it instead of the land.
    pub land_hash: Option<Vec<u8>>,
    pub opened_revision: i64,
    pub opened_at: DateTime<Utc>,
    pub changed_revision: i64,
    pub changed_at: DateTime<Utc>,
    pub closed_revision: Option<i64>,
    pub closed_at: Option<DateTime<Utc>>,
    pub said: LastWord,
}

/// How far the auditor is.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditState {
    pub revision: i64,
    pub revision_hash: String,
    pub audited_at: DateTime<Utc>,
    pub not_compared: Value,
}

/// Of all auditors one works at a time, to the end of the transaction; false where another one does.
pub async fn try_lock(connection: &mut PgConnection) -> Result<bool> {
    Ok(sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(7226041, 7)").fetch_one(connection).await?)
}

pub async fn state(connection: &mut PgConnection) -> Result<Option<AuditState>> {
    let row: Option<(i64, String, DateTime<Utc>, Value)> =
        sqlx::query_as("SELECT revision, revision_hash, audited_at, not_compared FROM conflict_audit")
            .fetch_optional(connection)
            .await?;
    Ok(row.map(|(revision, revision_hash, audited_at, not_compared)| AuditState {
        revision,
        revision_hash,
        audited_at,
        not_compared,
    }))
}

/// The start of a revision's hash; `None` where there is none.
pub async fn revision(connection: &mut PgConnection, number: i64) -> Result<Option<String>> {
    Ok(sqlx::query_scalar("SELECT left(encode(hash, 'hex'), 8) FROM revision WHERE number = $1")
        .bind(number)
        .fetch_optional(connection)
        .await?)
}

/// The database's clock.
pub async fn moment(connection: &mut PgConnection) -> Result<DateTime<Utc>> {
    Ok(sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(connection).await?)
}

/// Of the land that a conflict is about, as [`Conflict::land_hash`] has it.
pub fn land_hash(measured: &Measured) -> Option<Vec<u8>> {
    measured.land.as_ref().map(|land| Sha256::digest(geometry_column::encode(land)).to_vec())
}

pub async fn put_state(
    connection: &mut PgConnection,
    revision: i64,
    hash: &str,
    at: DateTime<Utc>,
    not_compared: &Value,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO conflict_audit (revision, revision_hash, audited_at, not_compared) VALUES ($1, $2, $3, $4)
         ON CONFLICT (only_one) DO UPDATE SET revision = excluded.revision, revision_hash = excluded.revision_hash,
             not_compared = excluded.not_compared, audited_at = excluded.audited_at",
    )
    .bind(revision)
    .bind(hash)
    .bind(at)
    .bind(not_compared)
    .execute(connection)
    .await?;
    Ok(())
}

#[derive(FromRow)]
struct Raw {
    number: i64,
    id: String,
    opened_revision: i64,
    opened_at: DateTime<Utc>,
    closed_revision: Option<i64>,
    closed_at: Option<DateTime<Utc>>,
    changed_revision: i64,
    changed_at: DateTime<Utc>,
    layer_a: String,
    feature_a: String,
    name_a: Option<String>,
    division_a: Option<String>,
    park_a: Option<String>,
    layer_b: String,
    feature_b: String,
    name_b: Option<String>,
    division_b: Option<String>,
    park_b: Option<String>,
    illustrative: bool,
    class: String,
    weight: String,
    area_m2: f64,
    share_a: f64,
    share_b: f64,
    width_m: Option<f64>,
    gap_area_m2: Option<f64>,
    gap_length_m: Option<f64>,
    rule: Option<String>,
    land: Option<Vec<u8>>,
    land_hash: Option<Vec<u8>>,
    #[sqlx(flatten)]
    said: last_word::Raw,
}

impl TryFrom<Raw> for Conflict {
    type Error = Error;

    fn try_from(row: Raw) -> Result<Self> {
        let unknown = |what: &str| Error::Internal { detail: format!("冲突的{what}无法识别"), cause: None };
        Ok(Self {
            number: row.number,
            measured: Measured {
                id: row.id,
                a: Side {
                    layer: row.layer_a,
                    id: row.feature_a,
                    name: row.name_a,
                    division: row.division_a,
                    park: row.park_a,
                },
                b: Side {
                    layer: row.layer_b,
                    id: row.feature_b,
                    name: row.name_b,
                    division: row.division_b,
                    park: row.park_b,
                },
                illustrative: row.illustrative,
                class: OverlapClass::parse(&row.class).ok_or_else(|| unknown("性质"))?,
                weight: Weight::parse(&row.weight).ok_or_else(|| unknown("等级"))?,
                area_m2: row.area_m2,
                share_a: row.share_a,
                share_b: row.share_b,
                width_m: row.width_m,
                gap_area_m2: row.gap_area_m2,
                gap_length_m: row.gap_length_m,
                rule: row.rule,
                land: row.land.as_deref().map(geometry_column::decode).transpose()?,
            },
            land_hash: row.land_hash,
            opened_revision: row.opened_revision,
            opened_at: row.opened_at,
            changed_revision: row.changed_revision,
            changed_at: row.changed_at,
            closed_revision: row.closed_revision,
            closed_at: row.closed_at,
            said: row.said.read().ok_or_else(|| unknown("处理意见"))?,
        })
    }
}

/// What is wanted of a conflict's land.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LandAs {
    Nothing,
    Hash,
    Shape,
}

/// Columns of [`Raw`].
fn columns(land: LandAs) -> String {
    let (land, hash) = match land {
        LandAs::Nothing => ("NULL::bytea", "NULL::bytea"),
        LandAs::Hash => ("NULL::bytea", "sha256(ST_AsEWKB(c.geom))"),
        LandAs::Shape => ("ST_AsEWKB(c.geom)", "NULL::bytea"),
    };
    format!(
        "c.number, c.id, c.opened_revision, c.opened_at, c.closed_revision, c.closed_at, c.changed_revision, c.changed_at, c.layer_a, c.feature_a,
         c.name_a, c.division_a, c.park_a, c.layer_b, c.feature_b, c.name_b, c.division_b, c.park_b, c.illustrative, c.class, c.weight,
         c.area_m2, c.share_a, c.share_b, c.width_m, c.gap_area_m2, c.gap_length_m, c.rule, {land} AS land, {hash} AS land_hash,
         {}",
        last_word::COLUMNS
    )
}

const SAID: &str =
    "LEFT JOIN LATERAL (SELECT verdict, note, actor, marked_at FROM conflict_mark m WHERE m.conflict = c.id
                                       ORDER BY m.number DESC LIMIT 1) said ON true";

/// Which open conflicts an audit looks at again.
#[derive(Debug, Clone)]
pub enum Scope {
    All,
    /// Of these features, layer and id; where `outside`, also all land outside of lines, where `gaps`, also all gaps.
    Touched {
        features: Vec<(String, String)>,
        outside: bool,
        gaps: bool,
    },
}

/// The open conflicts of the scope, without shapes.
pub async fn open_ones(connection: &mut PgConnection, scope: &Scope) -> Result<Vec<Conflict>> {
    let (all, features, outside, gaps) = match scope {
        Scope::All => (true, &[][..], true, true),
        Scope::Touched { features, outside, gaps } => (false, features.as_slice(), *outside, *gaps),
    };
    let sql = format!(
        "WITH touched AS MATERIALIZED (SELECT * FROM unnest($2::text[], $3::text[]) AS t (layer, id)),
              found AS (
                  SELECT number FROM conflict WHERE $1 AND closed_revision IS NULL
                  UNION SELECT c.number FROM touched t JOIN conflict c ON c.feature_a = t.id AND c.layer_a = t.layer WHERE c.closed_revision IS NULL
                  UNION SELECT c.number FROM touched t JOIN conflict c ON c.feature_b = t.id AND c.layer_b = t.layer WHERE c.closed_revision IS NULL
                  UNION SELECT number FROM conflict WHERE $4 AND closed_revision IS NULL AND class = 'outside'
                  UNION SELECT number FROM conflict WHERE $5 AND closed_revision IS NULL AND class = 'gap')
         SELECT {} FROM found JOIN conflict c USING (number) {SAID}",
        columns(LandAs::Hash)
    );
    let side = |of: fn(&(String, String)) -> &String| features.iter().map(|f| of(f).clone()).collect::<Vec<_>>();
    let rows: Vec<Raw> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(all)
        .bind(side(|f| &f.0))
        .bind(side(|f| &f.1))
        .bind(outside)
        .bind(gaps)
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(Conflict::try_from).collect()
}

/// Rows written at once: land may have many vertices.
const TOGETHER: usize = 1_000;

macro_rules! bind_measured {
    ($query:expr, $some:expr) => {{
        let some: &[&Measured] = $some;
        fn column<'m, T>(some: &[&'m Measured], pick: impl Fn(&'m Measured) -> T) -> Vec<T> {
            some.iter().map(|m| pick(*m)).collect()
        }
        $query
            .bind(column(some, |m| m.id.clone()))
            .bind(column(some, |m| m.a.layer.clone()))
            .bind(column(some, |m| m.a.id.clone()))
            .bind(column(some, |m| m.a.name.clone()))
            .bind(column(some, |m| m.a.division.clone()))
            .bind(column(some, |m| m.a.park.clone()))
            .bind(column(some, |m| m.b.layer.clone()))
            .bind(column(some, |m| m.b.id.clone()))
            .bind(column(some, |m| m.b.name.clone()))
            .bind(column(some, |m| m.b.division.clone()))
            .bind(column(some, |m| m.b.park.clone()))
            .bind(column(some, |m| m.illustrative))
            .bind(column(some, |m| m.class.as_str()))
            .bind(column(some, |m| m.weight.as_str()))
            .bind(column(some, |m| m.area_m2))
            .bind(column(some, |m| m.share_a))
            .bind(column(some, |m| m.share_b))
            .bind(column(some, |m| m.width_m))
            .bind(column(some, |m| m.gap_area_m2))
            .bind(column(some, |m| m.gap_length_m))
            .bind(column(some, |m| m.rule.clone()))
            .bind(column(some, |m| m.land.as_ref().map(geometry_column::encode)))
    }};
}

const ROWS: &str = "unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
    $13::text[], $14::boolean[], $15::text[], $16::text[], $17::float8[], $18::float8[], $19::float8[], $20::float8[], $21::float8[], $22::float8[],
    $23::text[], $24::bytea[])
    AS t (id, layer_a, feature_a, name_a, division_a, park_a, layer_b, feature_b, name_b, division_b, park_b, illustrative, class, weight,
          area_m2, share_a, share_b, width_m, gap_area_m2, gap_length_m, rule, land)";

/// Opens these, as of a revision.
pub async fn open(connection: &mut PgConnection, new: &[&Measured], revision: i64, at: DateTime<Utc>) -> Result<()> {
    let sql = format!(
        "INSERT INTO conflict (opened_revision, opened_at, changed_revision, changed_at, id, layer_a, feature_a, name_a, division_a, park_a,
             layer_b, feature_b, name_b, division_b, park_b, illustrative, class, weight, area_m2, share_a, share_b, width_m, gap_area_m2,
             gap_length_m, rule, geom)
         SELECT $1, $2, $1, $2, id, layer_a, feature_a, name_a, division_a, park_a, layer_b, feature_b, name_b, division_b, park_b, illustrative,
             class, weight, area_m2, share_a, share_b, width_m, gap_area_m2, gap_length_m, rule, land::geometry
         FROM {ROWS}"
    );
    for some in new.chunks(TOGETHER) {
        let query = sqlx::query(AssertSqlSafe(sql.clone())).bind(revision).bind(at);
        bind_measured!(query, some).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Gives open ones their new measures, as of a revision; `None`: names alone are other, which is no change of the conflict.
pub async fn update(
    connection: &mut PgConnection,
    changed: &[&Measured],
    as_of: Option<(i64, DateTime<Utc>)>,
) -> Result<()> {
    let (revision, at) = as_of.unzip();
    let sql = format!(
        "UPDATE conflict c
         SET changed_revision = coalesce($1, c.changed_revision), changed_at = coalesce($2, c.changed_at), name_a = t.name_a, division_a = t.division_a, park_a = t.park_a, name_b = t.name_b,
             division_b = t.division_b, park_b = t.park_b, illustrative = t.illustrative, class = t.class, weight = t.weight,
             area_m2 = t.area_m2, share_a = t.share_a, share_b = t.share_b, width_m = t.width_m, gap_area_m2 = t.gap_area_m2,
             gap_length_m = t.gap_length_m, rule = t.rule, geom = t.land::geometry
         FROM {ROWS} WHERE c.id = t.id AND c.closed_revision IS NULL"
    );
    for some in changed.chunks(TOGETHER) {
        let query = sqlx::query(AssertSqlSafe(sql.clone())).bind(revision).bind(at);
        bind_measured!(query, some).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Closes these, as of a revision.
pub async fn close(connection: &mut PgConnection, numbers: &[i64], revision: i64, at: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE conflict SET closed_revision = $2, closed_at = $3 WHERE number = ANY($1)")
        .bind(numbers)
        .bind(revision)
        .bind(at)
        .execute(connection)
        .await?;
    Ok(())
}

/// Which life a conflict is in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Life {
    #[default]
    Open,
    Closed,
    Either,
}

/// Which conflicts are wanted.
#[derive(Debug, Clone, Default)]
pub struct ConflictQuery {
    pub life: Life,
    /// Opened, changed or closed by an audit after this moment.
    pub since: Option<DateTime<Utc>>,
    pub classes: Vec<OverlapClass>,
    pub weights: Vec<Weight>,
    pub verdicts: Vec<Verdict>,
    /// Either side is of one of these layers.
    pub layers: Vec<String>,
    /// Either side is this feature.
    pub feature: Option<String>,
    /// Either side lies in this park.
    pub park: Option<String>,
    /// Whether drawn ones are wanted; `None` = both.
    pub illustrative: Option<bool>,
    pub bbox: Option<Bbox>,
    pub after: i64,
    pub limit: i64,
    pub with_land: bool,
}

/// A page of conflicts by their numbers, and how many there are.
pub async fn list(connection: &mut PgConnection, query: &ConflictQuery) -> Result<(Vec<Conflict>, i64)> {
    // Said outright, for the indexes of open ones: lives that ended are never fewer.
    let life = match query.life {
        Life::Open => "c.closed_revision IS NULL",
        Life::Closed => "c.closed_revision IS NOT NULL",
        Life::Either => "true",
    };
    let matching = format!(
        "FROM conflict c {SAID}
         WHERE {life}
           AND ($1::timestamptz IS NULL OR c.opened_at > $1 OR c.changed_at > $1 OR c.closed_at > $1)
           AND (cardinality($2::text[]) = 0 OR c.class = ANY ($2)) AND (cardinality($3::text[]) = 0 OR c.weight = ANY ($3))
           AND (cardinality($4::text[]) = 0 OR coalesce(said.verdict, 'open') = ANY ($4))
           AND (cardinality($5::text[]) = 0 OR c.layer_a = ANY ($5) OR c.layer_b = ANY ($5))
           AND ($6::text IS NULL OR c.feature_a = $6 OR c.feature_b = $6) AND ($7::text IS NULL OR c.park_a = $7 OR c.park_b = $7)
           AND ($8::boolean IS NULL OR c.illustrative = $8)
           AND ($9::float8[] IS NULL OR c.geom && ST_MakeEnvelope(($9)[1], ($9)[2], ($9)[3], ($9)[4], 4490))"
    );
    macro_rules! bind {
        ($query:expr) => {
            $query
                .bind(query.since)
                .bind(query.classes.iter().map(|c| c.as_str()).collect::<Vec<_>>())
                .bind(query.weights.iter().map(|w| w.as_str()).collect::<Vec<_>>())
                .bind(query.verdicts.iter().map(|v| v.as_str()).collect::<Vec<_>>())
                .bind(&query.layers)
                .bind(&query.feature)
                .bind(&query.park)
                .bind(query.illustrative)
                .bind(query.bbox.map(|bbox| bbox.to_vec()))
        };
    }
    let counting = format!("SELECT count(*) {matching}");
    let matched: i64 = bind!(sqlx::query_scalar(AssertSqlSafe(counting))).fetch_one(&mut *connection).await?;
    let page = format!(
        "SELECT {} {matching} AND c.number > $10 ORDER BY c.number LIMIT $11",
        columns(if query.with_land { LandAs::Shape } else { LandAs::Nothing })
    );
    let rows: Vec<Raw> =
        bind!(sqlx::query_as(AssertSqlSafe(page))).bind(query.after).bind(query.limit).fetch_all(connection).await?;
    Ok((rows.into_iter().map(Conflict::try_from).collect::<Result<_>>()?, matched))
}

/// All lives of a pair's conflict, the last first.
pub async fn lives(connection: &mut PgConnection, id: &str) -> Result<Vec<Conflict>> {
    let sql = format!(
        "SELECT {} FROM conflict c {SAID} WHERE c.id = $1 ORDER BY c.number DESC LIMIT 1000",
        columns(LandAs::Shape)
    );
    let rows: Vec<Raw> = sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_all(connection).await?;
    rows.into_iter().map(Conflict::try_from).collect()
}

/// Adds somebody's word; false where there is no such conflict that they may see.
pub async fn mark(connection: &mut PgConnection, id: &str, verdict: Verdict, note: &str, actor: &str) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO conflict_mark (conflict, verdict, note, actor)
         SELECT $1, $2, $3, $4 WHERE EXISTS (SELECT FROM conflict WHERE id = $1)",
    )
    .bind(id)
    .bind(verdict.as_str())
    .bind(note)
    .bind(actor)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// All that was said of a conflict, first to last: verdict, note, who, when.
pub async fn marks(connection: &mut PgConnection, id: &str) -> Result<Vec<(String, String, String, DateTime<Utc>)>> {
    Ok(sqlx::query_as("SELECT verdict, note, actor, marked_at FROM conflict_mark WHERE conflict = $1 ORDER BY number")
        .bind(id)
        .fetch_all(connection)
        .await?)
}
