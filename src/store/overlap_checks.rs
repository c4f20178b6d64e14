//! Checks of overlaps: what was asked, its shapes, what was found, what people said of it. Row-level security shows a check to whoever
//! speaks for all that its maker spoke for.

use chrono::{DateTime, NaiveDate, Utc};
use geo::MultiPolygon;
use serde_json::Value;
use sqlx::{FromRow, PgConnection};

use super::geometry_column;
use super::last_word::{self, LastWord};
use crate::domain::overlap::OverlapClass;
use crate::domain::overlap_check::{CheckStatus, Verdict, Weight};
use crate::error::{Error, Result};

/// A job that has not told for so long that it lives does not.
const LOST_AFTER: &str = "15 seconds";

/// What is told of a job that was lost.
const LOST: &str = "服务在检查完成之前停止或重启；请重新检查";

/// A check to be made.
#[derive(Debug)]
pub struct NewCheck<'a> {
    pub title: &'a str,
    pub actor: &'a str,
    pub jurisdiction: Vec<String>,
    pub request: &'a Value,
    pub on_day: Option<NaiveDate>,
    pub revision: Option<i64>,
    pub repeats: Option<i64>,
}

/// One of its shapes.
#[derive(Debug, Clone, PartialEq)]
pub struct SubjectRow {
    pub label: String,
    pub layer: Option<String>,
    pub feature_id: Option<String>,
    pub area_m2: f64,
    pub geometry: MultiPolygon<f64>,
}

/// A check as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckRow {
    pub id: i64,
    pub title: String,
    pub actor: String,
    /// The division codes that its maker spoke for.
    pub jurisdiction: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub status: CheckStatus,
    pub request: Value,
    pub on_day: Option<NaiveDate>,
    pub revision: Option<i64>,
    pub repeats: Option<i64>,
    pub done: i64,
    pub total: Option<i64>,
    pub summary: Option<Value>,
    pub trouble: Option<String>,
    pub subjects: i64,
}

/// One finding with the last word on it.
#[derive(Debug, Clone, PartialEq)]
pub struct FindingRow {
    pub number: i32,
    /// Position of the shape, from 1, and its label.
    pub subject: i32,
    pub label: String,
    pub layer: String,
    pub feature_id: String,
    pub feature_name: Option<String>,
    /// Drawn (示意), not surveyed.
    pub illustrative: bool,
    pub class: OverlapClass,
    pub weight: Weight,
    pub area_m2: f64,
    pub share_of_subject: f64,
    pub share_of_feature: f64,
    pub width_m: Option<f64>,
    pub shared_edge_m: f64,
    pub gap_area_m2: Option<f64>,
    pub gap_length_m: Option<f64>,
    pub land: Option<MultiPolygon<f64>>,
    /// What a control line demands, with its document.
    pub rule: Option<String>,
    pub said: LastWord,
}

/// Which findings are wanted.
#[derive(Debug, Clone, Default)]
pub struct FindingsQuery {
    pub classes: Vec<OverlapClass>,
    pub weights: Vec<Weight>,
    pub verdicts: Vec<Verdict>,
    pub layers: Vec<String>,
    /// Behind this number.
    pub after: i32,
    pub limit: i64,
    pub with_land: bool,
}

/// Records a check with its shapes; gives its number.
pub async fn create(connection: &mut PgConnection, check: &NewCheck<'_>, subjects: &[SubjectRow]) -> Result<i64> {
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO overlap_check (title, actor, jurisdiction, request, on_day, revision, repeats)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
    )
    .bind(check.title)
    .bind(check.actor)
    .bind(&check.jurisdiction)
    .bind(check.request)
    .bind(check.on_day)
    .bind(check.revision)
    .bind(check.repeats)
    .fetch_one(&mut *connection)
    .await?;
    let column = |pick: fn(&SubjectRow) -> Option<String>| subjects.iter().map(pick).collect::<Vec<_>>();
    let numbers: Vec<i32> = (1..).zip(subjects).map(|(n, _)| n).collect();
    let shapes: Vec<Vec<u8>> = subjects.iter().map(|s| geometry_column::encode(&s.geometry)).collect();
    let areas: Vec<f64> = subjects.iter().map(|s| s.area_m2).collect();
    sqlx::query(
        "INSERT INTO overlap_subject (check_id, number, label, layer, feature_id, area_m2, geom)
         SELECT $1, n, label, layer, feature_id, area, geom::geometry
         FROM unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::double precision[], $7::bytea[])
              AS s (n, label, layer, feature_id, area, geom)",
    )
    .bind(id)
    .bind(numbers)
    .bind(column(|s| Some(s.label.clone())))
    .bind(column(|s| s.layer.clone()))
    .bind(column(|s| s.feature_id.clone()))
    .bind(areas)
    .bind(shapes)
    .execute(connection)
    .await?;
    Ok(id)
}

/// Jobs that are not over, of this actor and of all. Whoever counts is alone until the end of the transaction: of many that ask at once,
/// each sees those before it.
pub async fn count_waiting(connection: &mut PgConnection, actor: &str) -> Result<(i64, i64)> {
    sqlx::query("SELECT pg_advisory_xact_lock(7226041, 16)").execute(&mut *connection).await?;
    Ok(sqlx::query_as("SELECT own, everybody FROM waiting_overlap_checks($1, $2::interval)")
        .bind(actor)
        .bind(LOST_AFTER)
        .fetch_one(connection)
        .await?)
}

/// Tells that the job lives and how far it is; gives whether it is still wanted.
pub async fn beat(
    connection: &mut PgConnection,
    id: i64,
    running: bool,
    done: i64,
    total: Option<i64>,
) -> Result<bool> {
    let wanted: Option<bool> = sqlx::query_scalar(
        "UPDATE overlap_check SET heartbeat_at = clock_timestamp(), done = $3, total = $4,
                status = CASE WHEN $2 THEN 'running' ELSE status END
         WHERE id = $1 AND status IN ('queued', 'running') RETURNING NOT cancel_wanted",
    )
    .bind(id)
    .bind(running)
    .bind(done)
    .bind(total)
    .fetch_optional(connection)
    .await?;
    // Gone: nobody can want it.
    Ok(wanted.unwrap_or(false))
}

/// Wishes the job to stop; false where it is over or there is none.
pub async fn wish_to_stop(connection: &mut PgConnection, id: i64) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE overlap_check SET cancel_wanted = true
         WHERE id = $1 AND status IN ('queued', 'running') AND heartbeat_at > clock_timestamp() - $2::interval",
    )
    .bind(id)
    .bind(LOST_AFTER)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Ends a job without findings.
pub async fn end(connection: &mut PgConnection, id: i64, status: CheckStatus, trouble: Option<&str>) -> Result<()> {
    sqlx::query(
        "UPDATE overlap_check SET status = $2, trouble = $3, finished_at = clock_timestamp(), heartbeat_at = clock_timestamp()
         WHERE id = $1 AND status IN ('queued', 'running')",
    )
    .bind(id)
    .bind(status.as_str())
    .bind(trouble)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes what was found and ends the job; false where it was ended or removed meanwhile, and the transaction is to be dropped.
pub async fn finish(
    connection: &mut PgConnection,
    id: i64,
    revision: i64,
    pairs: i64,
    summary: &Value,
    findings: &[FindingRow],
) -> Result<bool> {
    // A thousand at a time: land may have many vertices. The check itself last, so that its row is held for a moment alone.
    for some in findings.chunks(1_000) {
        insert(connection, id, some).await?;
    }
    let finished = sqlx::query(
        "UPDATE overlap_check SET status = 'finished', revision = $2, summary = $3, finished_at = clock_timestamp(), done = $4, total = $4
         WHERE id = $1 AND status IN ('queued', 'running')",
    )
    .bind(id)
    .bind(revision)
    .bind(summary)
    .bind(pairs)
    .execute(&mut *connection)
    .await?;
    Ok(finished.rows_affected() > 0)
}

async fn insert(connection: &mut PgConnection, id: i64, findings: &[FindingRow]) -> Result<()> {
    fn column<T>(findings: &[FindingRow], pick: impl Fn(&FindingRow) -> T) -> Vec<T> {
        findings.iter().map(pick).collect()
    }
    sqlx::query(
        "INSERT INTO overlap_finding (check_id, number, subject, layer, feature_id, feature_name, illustrative, class, weight, area_m2,
                share_of_subject, share_of_feature, width_m, shared_edge_m, gap_area_m2, gap_length_m, geom, rule)
         SELECT $1, number, subject, layer, feature_id, feature_name, illustrative, class, weight, area_m2,
                share_of_subject, share_of_feature, width_m, shared_edge_m, gap_area_m2, gap_length_m, land::geometry, rule
         FROM unnest($2::int[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::double precision[],
                $10::double precision[], $11::double precision[], $12::double precision[], $13::double precision[],
                $14::double precision[], $15::double precision[], $16::bytea[], $17::boolean[], $18::text[])
              AS f (number, subject, layer, feature_id, feature_name, class, weight, area_m2, share_of_subject, share_of_feature,
                width_m, shared_edge_m, gap_area_m2, gap_length_m, land, illustrative, rule)",
    )
    .bind(id)
    .bind(column(findings, |f| f.number))
    .bind(column(findings, |f| f.subject))
    .bind(column(findings, |f| f.layer.clone()))
    .bind(column(findings, |f| f.feature_id.clone()))
    .bind(column(findings, |f| f.feature_name.clone()))
    .bind(column(findings, |f| f.class.as_str()))
    .bind(column(findings, |f| f.weight.as_str()))
    .bind(column(findings, |f| f.area_m2))
    .bind(column(findings, |f| f.share_of_subject))
    .bind(column(findings, |f| f.share_of_feature))
    .bind(column(findings, |f| f.width_m))
    .bind(column(findings, |f| f.shared_edge_m))
    .bind(column(findings, |f| f.gap_area_m2))
    .bind(column(findings, |f| f.gap_length_m))
    .bind(column(findings, |f| f.land.as_ref().map(geometry_column::encode)))
    .bind(column(findings, |f| f.illustrative))
    .bind(column(findings, |f| f.rule.clone()))
    .execute(connection)
    .await?;
    Ok(())
}

#[derive(FromRow)]
struct RawCheck {
    id: i64,
    title: String,
    actor: String,
    jurisdiction: Vec<String>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    status: String,
    request: Value,
    on_day: Option<NaiveDate>,
    revision: Option<i64>,
    repeats: Option<i64>,
    done: i64,
    total: Option<i64>,
    summary: Option<Value>,
    trouble: Option<String>,
    subjects: i64,
    lost: bool,
}

const CHECK_COLUMNS: &str = "id, title, actor, jurisdiction, created_at, finished_at, status, request, on_day, revision, repeats, done, total, summary, trouble,
    (SELECT count(*) FROM overlap_subject s WHERE s.check_id = id) AS subjects,
    status IN ('queued', 'running') AND heartbeat_at <= clock_timestamp() - interval '15 seconds' AS lost";

impl TryFrom<RawCheck> for CheckRow {
    type Error = Error;

    fn try_from(row: RawCheck) -> Result<Self> {
        let status = CheckStatus::parse(&row.status).ok_or_else(|| unknown("状态"))?;
        let (status, trouble) =
            if row.lost { (CheckStatus::Failed, Some(LOST.to_owned())) } else { (status, row.trouble) };
        Ok(Self {
            id: row.id,
            title: row.title,
            actor: row.actor,
            jurisdiction: row.jurisdiction,
            created_at: row.created_at,
            finished_at: row.finished_at,
            status,
            request: row.request,
            on_day: row.on_day,
            revision: row.revision,
            repeats: row.repeats,
            done: row.done,
            total: row.total,
            summary: row.summary,
            trouble,
            subjects: row.subjects,
        })
    }
}

fn unknown(what: &str) -> Error {
    Error::Internal { detail: format!("重叠检查的{what}无法识别"), cause: None }
}

pub async fn find(connection: &mut PgConnection, id: i64) -> Result<Option<CheckRow>> {
    let sql = format!("SELECT {CHECK_COLUMNS} FROM overlap_check WHERE id = $1");
    let row: Option<RawCheck> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?;
    row.map(CheckRow::try_from).transpose()
}

/// Newest first; `before` pages on.
pub async fn list(connection: &mut PgConnection, limit: i64, before: Option<i64>) -> Result<Vec<CheckRow>> {
    let sql = format!(
        "SELECT {CHECK_COLUMNS} FROM overlap_check WHERE ($1::bigint IS NULL OR id < $1) ORDER BY id DESC LIMIT $2"
    );
    let rows: Vec<RawCheck> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(before).bind(limit).fetch_all(connection).await?;
    rows.into_iter().map(CheckRow::try_from).collect()
}

/// Removes a check with all that hangs on it; false where there is none.
pub async fn remove(connection: &mut PgConnection, id: i64) -> Result<bool> {
    let done = sqlx::query("DELETE FROM overlap_check WHERE id = $1").bind(id).execute(connection).await?;
    Ok(done.rows_affected() > 0)
}

/// The shapes of a check, in order.
pub async fn subjects(connection: &mut PgConnection, id: i64) -> Result<Vec<SubjectRow>> {
    let rows: Vec<(String, Option<String>, Option<String>, f64, Vec<u8>)> = sqlx::query_as(
        "SELECT label, layer, feature_id, area_m2, ST_AsEWKB(geom) FROM overlap_subject WHERE check_id = $1 ORDER BY number",
    )
    .bind(id)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(label, layer, feature_id, area_m2, shape)| {
            let geometry = geometry_column::decode(&shape)?;
            Ok(SubjectRow { label, layer, feature_id, area_m2, geometry })
        })
        .collect()
}

#[derive(FromRow)]
struct RawFinding {
    number: i32,
    subject: i32,
    label: String,
    layer: String,
    feature_id: String,
    feature_name: Option<String>,
    illustrative: bool,
    class: String,
    weight: String,
    area_m2: f64,
    share_of_subject: f64,
    share_of_feature: f64,
    width_m: Option<f64>,
    shared_edge_m: f64,
    gap_area_m2: Option<f64>,
    gap_length_m: Option<f64>,
    land: Option<Vec<u8>>,
    rule: Option<String>,
    #[sqlx(flatten)]
    said: last_word::Raw,
}

impl TryFrom<RawFinding> for FindingRow {
    type Error = Error;

    fn try_from(row: RawFinding) -> Result<Self> {
        Ok(Self {
            number: row.number,
            subject: row.subject,
            label: row.label,
            layer: row.layer,
            feature_id: row.feature_id,
            feature_name: row.feature_name,
            illustrative: row.illustrative,
            class: OverlapClass::parse(&row.class).ok_or_else(|| unknown("类型"))?,
            weight: Weight::parse(&row.weight).ok_or_else(|| unknown("等级"))?,
            area_m2: row.area_m2,
            share_of_subject: row.share_of_subject,
            share_of_feature: row.share_of_feature,
            width_m: row.width_m,
            shared_edge_m: row.shared_edge_m,
            gap_area_m2: row.gap_area_m2,
            gap_length_m: row.gap_length_m,
            land: row.land.as_deref().map(geometry_column::decode).transpose()?,
            rule: row.rule,
            said: row.said.read().ok_or_else(|| unknown("处理意见"))?,
        })
    }
}

/// Findings of a check with the last word on each, by number; and how many match in all.
pub async fn findings(connection: &mut PgConnection, id: i64, query: &FindingsQuery) -> Result<(Vec<FindingRow>, i64)> {
    // (The label by a sub-select: statistics do not know a check that was just made, and a join would be planned for one row.)
    const MATCHING: &str = "FROM overlap_finding f
         LEFT JOIN LATERAL (SELECT verdict, note, actor, marked_at FROM overlap_mark m
                            WHERE m.check_id = f.check_id AND m.finding = f.number ORDER BY m.id DESC LIMIT 1) AS said ON true
         WHERE f.check_id = $1 AND (cardinality($2::text[]) = 0 OR f.class = ANY ($2)) AND (cardinality($3::text[]) = 0 OR f.weight = ANY ($3))
           AND (cardinality($4::text[]) = 0 OR coalesce(said.verdict, 'open') = ANY ($4)) AND (cardinality($5::text[]) = 0 OR f.layer = ANY ($5))";
    let classes: Vec<&str> = query.classes.iter().map(|class| class.as_str()).collect();
    let weights: Vec<&str> = query.weights.iter().map(|weight| weight.as_str()).collect();
    let verdicts: Vec<&str> = query.verdicts.iter().map(|verdict| verdict.as_str()).collect();
    let counting = format!("SELECT count(*) {MATCHING}");
    let matched: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(counting))
        .bind(id)
        .bind(&classes)
        .bind(&weights)
        .bind(&verdicts)
        .bind(&query.layers)
        .fetch_one(&mut *connection)
        .await?;
    let land = if query.with_land { "ST_AsEWKB(f.geom)" } else { "NULL::bytea" };
    let page = format!(
        "SELECT f.number, f.subject, (SELECT label FROM overlap_subject s WHERE s.check_id = f.check_id AND s.number = f.subject) AS label, f.layer, f.feature_id, f.feature_name, f.illustrative, f.class, f.weight, f.area_m2, f.share_of_subject,
                f.share_of_feature, f.width_m, f.shared_edge_m, f.gap_area_m2, f.gap_length_m, {land} AS land, f.rule,
                {}
         {MATCHING} AND f.number > $6 ORDER BY f.number LIMIT $7",
        last_word::COLUMNS
    );
    let rows: Vec<RawFinding> = sqlx::query_as(sqlx::AssertSqlSafe(page))
        .bind(id)
        .bind(&classes)
        .bind(&weights)
        .bind(&verdicts)
        .bind(&query.layers)
        .bind(query.after)
        .bind(query.limit)
        .fetch_all(connection)
        .await?;
    Ok((rows.into_iter().map(FindingRow::try_from).collect::<Result<_>>()?, matched))
}

/// Adds somebody's word on a finding; false where there is no such finding.
pub async fn mark(
    connection: &mut PgConnection,
    id: i64,
    finding: i32,
    verdict: Verdict,
    note: &str,
    actor: &str,
) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO overlap_mark (check_id, finding, verdict, note, actor)
         SELECT check_id, number, $3, $4, $5 FROM overlap_finding WHERE check_id = $1 AND number = $2",
    )
    .bind(id)
    .bind(finding)
    .bind(verdict.as_str())
    .bind(note)
    .bind(actor)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// All that was said of a finding, first to last: verdict, note, who, when.
pub async fn marks(
    connection: &mut PgConnection,
    id: i64,
    finding: i32,
) -> Result<Vec<(String, String, String, DateTime<Utc>)>> {
    Ok(sqlx::query_as(
        "SELECT verdict, note, actor, marked_at FROM overlap_mark WHERE check_id = $1 AND finding = $2 ORDER BY id",
    )
    .bind(id)
    .bind(finding)
    .fetch_all(connection)
    .await?)
}
