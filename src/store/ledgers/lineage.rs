//! Genealogy of parcels: the parents as they stand, their union, and who came from whom.

use chrono::NaiveDate;
use geo::MultiPolygon;
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, PgConnection};

use super::stage::Stage;
use super::standing::RecordState;
use crate::domain::Ledger;
use crate::error::Result;
use crate::store::geometry_column;

/// A parcel that is to be divided or put together, as it stands.
#[derive(Debug, Clone)]
pub struct Parent {
    pub id: String,
    pub standing: RecordState,
    pub boundary: MultiPolygon<f64>,
    pub illustrative: bool,
    pub source: String,
    pub stated_park: Option<String>,
    pub name: Option<String>,
    /// Of the paper, in m².
    pub stated_area: Option<f64>,
    /// What its file said beyond our columns.
    pub attributes: Value,
    /// Its fields, as JSON.
    pub values: Map<String, Value>,
}

/// Those of the parcels that stand, by id, holding their rows to the end of the transaction.
pub async fn lock_parents(connection: &mut PgConnection, ledger: Ledger, ids: &[String]) -> Result<Vec<Parent>> {
    let fields: Vec<String> = ledger.fields().iter().map(|f| format!("b.{}", f.name)).collect();
    let sql = format!(
        "SELECT b.id, b.county_code, b.state, b.held_state, b.state_on, nullif(b.valid_from, '-infinity'), b.revision,
                ST_AsEWKB(b.geom), b.illustrative, b.source, b.stated_park, b.name, b.stated_area_m2, b.attributes,
                (SELECT row_to_json(f) FROM (SELECT {}) f)
         FROM {} b WHERE b.id = ANY ($1) AND b.valid_to = 'infinity' ORDER BY b.id FOR UPDATE",
        fields.join(", "),
        ledger.table()
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(connection).await?;
    rows.iter().map(parent_of).collect()
}

fn parent_of(row: &sqlx::postgres::PgRow) -> Result<Parent> {
    use sqlx::Row as _;
    let standing = RecordState {
        county: row.try_get(1)?,
        state: row.try_get(2)?,
        held: row.try_get(3)?,
        state_on: row.try_get(4)?,
        valid_from: row.try_get(5)?,
        revision: row.try_get(6)?,
    };
    let values = match row.try_get::<Value, _>(14)? {
        Value::Object(values) => values,
        _ => Map::new(),
    };
    Ok(Parent {
        id: row.try_get(0)?,
        standing,
        boundary: geometry_column::decode(row.try_get(7)?)?,
        illustrative: row.try_get(8)?,
        source: row.try_get(9)?,
        stated_park: row.try_get(10)?,
        name: row.try_get(11)?,
        stated_area: row.try_get(12)?,
        attributes: row.try_get(13)?,
        values,
    })
}

/// The land of these parcels together. GEOS' overlay keeps the nodes that they have.
pub async fn union_of(connection: &mut PgConnection, ledger: Ledger, ids: &[String]) -> Result<MultiPolygon<f64>> {
    let sql = format!(
        "SELECT ST_AsEWKB(ST_Multi(ST_CollectionExtract(ST_UnaryUnion(ST_Collect(geom ORDER BY id)), 3))) FROM {} WHERE id = ANY ($1) AND valid_to = 'infinity'",
        ledger.table()
    );
    let geom: Vec<u8> = sqlx::query_scalar(AssertSqlSafe(sql)).bind(ids).fetch_one(connection).await?;
    geometry_column::decode(&geom)
}

/// The staged parcels as they will stand: id and land, by id.
pub async fn staged_land(connection: &mut PgConnection, stage: Stage) -> Result<Vec<(String, MultiPolygon<f64>)>> {
    let sql = format!("SELECT id, ST_AsEWKB(geom) FROM {} ORDER BY id", stage.table());
    let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.into_iter().map(|(id, geom)| Ok((id, geometry_column::decode(&geom)?))).collect()
}

/// Lets all staged parcels begin on this day, in the state of their parents.
pub async fn stage_standing(
    connection: &mut PgConnection,
    stage: Stage,
    standing: &RecordState,
    state_on: Option<NaiveDate>,
    from: NaiveDate,
) -> Result<()> {
    let sql = format!("UPDATE {} SET state = $1, held_state = $2, state_on = $3, valid_from = $4", stage.table());
    sqlx::query(AssertSqlSafe(sql))
        .bind(&standing.state)
        .bind(&standing.held)
        .bind(state_on)
        .bind(from)
        .execute(connection)
        .await?;
    Ok(())
}

/// One child of one parent.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub parent: String,
    pub child: String,
    /// `split` or `merge`.
    pub kind: String,
    pub on: NaiveDate,
    /// Land in common, in m².
    pub common_area: f64,
    pub document_no: Option<String>,
    pub reason: Option<String>,
    pub actor: String,
    pub revision: i64,
}

/// Writes the lines; their `revision` is the open one. Needs an open revision.
pub async fn insert_lines(connection: &mut PgConnection, ledger: Ledger, county: &str, lines: &[Line]) -> Result<()> {
    sqlx::query(
        "INSERT INTO parcel_lineage (ledger, county_code, parent_id, child_id, kind, effective_on, common_area_m2, document_no, reason, actor)
         SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[], $6::date[], $7::float8[], $8::text[], $9::text[], $10::text[])",
    )
    .bind(ledger.table())
    .bind(county)
    .bind(lines.iter().map(|l| l.parent.clone()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.child.clone()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.kind.clone()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.on).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.common_area).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.document_no.clone()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.reason.clone()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.actor.clone()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

type LineRow = (String, String, String, NaiveDate, f64, Option<String>, Option<String>, String, i64);

const LINE_COLUMNS: &str =
    "l.parent_id, l.child_id, l.kind, l.effective_on, l.common_area_m2, l.document_no, l.reason, l.actor, l.revision";

fn line_of((parent, child, kind, on, common_area, document_no, reason, actor, revision): LineRow) -> Line {
    Line { parent, child, kind, on, common_area, document_no, reason, actor, revision }
}

/// What one revision wrote.
pub async fn lines_of_revision(connection: &mut PgConnection, ledger: Ledger, revision: i64) -> Result<Vec<Line>> {
    let sql = format!(
        "SELECT {LINE_COLUMNS} FROM parcel_lineage l WHERE l.ledger = $1 AND l.revision = $2 ORDER BY l.parent_id, l.child_id"
    );
    let rows: Vec<LineRow> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(ledger.table()).bind(revision).fetch_all(connection).await?;
    Ok(rows.into_iter().map(line_of).collect())
}

/// Everybody that the parcel came from (`up`) or that came from it, the nearest in time first, at most `most` lines.
pub async fn lines(connection: &mut PgConnection, ledger: Ledger, id: &str, up: bool, most: i64) -> Result<Vec<Line>> {
    let (own, other, order) = if up { ("child_id", "parent_id", "DESC") } else { ("parent_id", "child_id", "ASC") };
    let sql = format!(
        "WITH RECURSIVE kin (id) AS (
             SELECT $2::text COLLATE \"C\"
             UNION SELECT l.{other} FROM parcel_lineage l JOIN kin ON l.{own} = kin.id WHERE l.ledger = $1)
         SELECT {LINE_COLUMNS} FROM parcel_lineage l WHERE l.ledger = $1 AND l.{own} IN (SELECT id FROM kin)
         ORDER BY l.effective_on {order}, l.revision {order}, l.parent_id, l.child_id LIMIT $3"
    );
    let rows: Vec<LineRow> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(ledger.table()).bind(id).bind(most).fetch_all(connection).await?;
    Ok(rows.into_iter().map(line_of).collect())
}

/// What the register says of one of the family: the last of its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Relative {
    pub id: String,
    pub name: Option<String>,
    pub state: String,
    pub area: f64,
    pub from: Option<NaiveDate>,
    pub to: Option<NaiveDate>,
    pub end_reason: Option<String>,
}

type RelativeRow = (String, Option<String>, String, f64, Option<NaiveDate>, Option<NaiveDate>, Option<String>);

/// Those of the ids that have a row, by id.
pub async fn relatives(connection: &mut PgConnection, ledger: Ledger, ids: &[String]) -> Result<Vec<Relative>> {
    let sql = format!(
        "SELECT DISTINCT ON (b.id) b.id, b.name, b.state, b.area_m2,
                nullif((SELECT min(f.valid_from) FROM {0} f WHERE f.id = b.id), '-infinity'), nullif(b.valid_to, 'infinity'), b.end_reason
         FROM {0} b WHERE b.id = ANY ($1) ORDER BY b.id, b.valid_from DESC",
        ledger.table()
    );
    let rows: Vec<RelativeRow> = sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(connection).await?;
    let one = |(id, name, state, area, from, to, end_reason): RelativeRow| Relative {
        id,
        name,
        state,
        area,
        from,
        to,
        end_reason,
    };
    Ok(rows.into_iter().map(one).collect())
}
