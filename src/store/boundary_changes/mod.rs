//! Boundary changes (调区扩区): the change, its proposed blocks, its steps. Row-level security shows them to whoever looks after one of the
//! park's divisions.

mod approve;
mod around;
mod calendar;

use chrono::NaiveDate;
use geo::Coord;
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row};

pub use approve::{
    LastDays, Standing, blocks_changed_since, close_park, insert_blocks, last_days, list_standing, set_park,
};
pub use around::{NearBlock, NearDivision, NearParcel, blocks_around, divisions_around, parcels_around};
pub use calendar::{list_days, replace_days};

use super::blocks::four_extents_of;
use super::geometry_column;
use crate::domain::ParkCode;
use crate::domain::boundary_change::{Landmark, ProposedBlock, State, StatedAreas};
use crate::domain::lifecycle::{DecimalHectares, EventKind, ParkStatus};
use crate::error::{Error, Result};

/// A change as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeRow {
    pub id: String,
    pub park: ParkCode,
    pub park_name: String,
    pub prefecture: String,
    /// The park's counties, else its prefecture, when it was proposed.
    pub divisions: Vec<String>,
    pub title: String,
    pub reason: Option<String>,
    pub kind: EventKind,
    pub state: State,
    pub state_on: NaiveDate,
    pub areas: StatedAreas,
    pub landmarks: Vec<Landmark>,
    pub notice_from: Option<NaiveDate>,
    pub notice_until: Option<NaiveDate>,
    pub effective_on: Option<NaiveDate>,
    /// The state of the register that the proposal was last looked at against.
    pub base_revision: i64,
    /// What the park's status was before this change put it under adjustment.
    pub park_status_before: Option<ParkStatus>,
    pub actor: String,
    /// The revision that wrote the change as it stands: what an ETag says.
    pub revision: i64,
}

/// One step of a change.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct StepRow {
    pub ordinal: i32,
    pub from_state: Option<String>,
    pub to_state: String,
    pub happened_on: NaiveDate,
    pub document_no: Option<String>,
    pub document_title: Option<String>,
    pub note: Option<String>,
    pub base_revision: i64,
    pub actor: String,
    pub revision: i64,
}

/// A step to be added.
#[derive(Debug, Clone)]
pub struct NewStep<'a> {
    pub from: Option<State>,
    pub to: State,
    pub on: NaiveDate,
    pub document_no: Option<&'a str>,
    pub document_title: Option<&'a str>,
    pub note: Option<&'a str>,
    pub base_revision: i64,
    pub actor: &'a str,
}

/// Which changes are wanted.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    pub park: Option<ParkCode>,
    pub states: Vec<State>,
    /// Behind this id, in descending order.
    pub before: Option<String>,
    pub limit: i64,
}

macro_rules! select_changes {
    ($rest:literal) => {
        concat!(
            "SELECT c.id, c.park_code, p.name AS park_name, c.prefecture_code, c.division_codes, c.title, c.reason, c.kind, c.state, c.state_on,
                    c.area_before_ha::text AS before, c.area_out_ha::text AS out, c.area_in_ha::text AS added, c.area_after_ha::text AS after,
                    c.landmarks, c.notice_from, c.notice_until, c.effective_on, c.base_revision, c.park_status_before, c.actor, c.revision
             FROM boundary_change c JOIN park p ON p.code = c.park_code ",
            $rest
        )
    };
}

/// The next id of a year; call it under the register's write lock.
pub async fn next_id(connection: &mut PgConnection, year: i32) -> Result<String> {
    Ok(sqlx::query_scalar("SELECT next_boundary_change_id($1)").bind(year).fetch_one(connection).await?)
}

/// Records a new change. Needs an open revision.
pub async fn insert(connection: &mut PgConnection, change: &ChangeRow, blocks: &[ProposedBlock]) -> Result<()> {
    sqlx::query(
        "INSERT INTO boundary_change (id, park_code, prefecture_code, division_codes, title, reason, kind, state, state_on, area_before_ha,
             area_out_ha, area_in_ha, area_after_ha, landmarks, base_revision, actor)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::numeric, $11::numeric, $12::numeric, $13::numeric, $14, $15, $16)",
    )
    .bind(&change.id)
    .bind(change.park.as_str())
    .bind(&change.prefecture)
    .bind(&change.divisions)
    .bind(&change.title)
    .bind(&change.reason)
    .bind(change.kind.as_str())
    .bind(change.state.as_str())
    .bind(change.state_on)
    .bind(change.areas.before.to_string())
    .bind(change.areas.out.to_string())
    .bind(change.areas.added.to_string())
    .bind(change.areas.after.to_string())
    .bind(landmarks_json(&change.landmarks))
    .bind(change.base_revision)
    .bind(&change.actor)
    .execute(&mut *connection)
    .await?;
    insert_proposed(connection, change, blocks).await
}

/// Puts a new proposal in the place of the one that stands. Needs an open revision.
pub async fn replace(connection: &mut PgConnection, change: &ChangeRow, blocks: &[ProposedBlock]) -> Result<()> {
    sqlx::query(
        "UPDATE boundary_change SET title = $2, reason = $3, kind = $4, area_before_ha = $5::numeric, area_out_ha = $6::numeric,
             area_in_ha = $7::numeric, area_after_ha = $8::numeric, landmarks = $9, base_revision = $10
         WHERE id = $1",
    )
    .bind(&change.id)
    .bind(&change.title)
    .bind(&change.reason)
    .bind(change.kind.as_str())
    .bind(change.areas.before.to_string())
    .bind(change.areas.out.to_string())
    .bind(change.areas.added.to_string())
    .bind(change.areas.after.to_string())
    .bind(landmarks_json(&change.landmarks))
    .bind(change.base_revision)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM boundary_change_block WHERE change_id = $1")
        .bind(&change.id)
        .execute(&mut *connection)
        .await?;
    insert_proposed(connection, change, blocks).await
}

async fn insert_proposed(connection: &mut PgConnection, change: &ChangeRow, blocks: &[ProposedBlock]) -> Result<()> {
    let column = |pick: fn(&ProposedBlock) -> Option<String>| blocks.iter().map(pick).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO boundary_change_block (change_id, number, division_codes, name, geom, area_m2, stated_area_ha, east, south, west, north,
             four_extents, surveyed)
         SELECT $1, number, $2, name, geom::geometry, area_m2, stated::numeric, east, south, west, north, four_extents, surveyed
         FROM unnest($3::text[], $4::text[], $5::bytea[], $6::float8[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
                     $13::boolean[])
              AS b (number, name, geom, area_m2, stated, east, south, west, north, four_extents, surveyed)",
    )
    .bind(&change.id)
    .bind(&change.divisions)
    .bind(blocks.iter().map(|b| b.number.clone()).collect::<Vec<_>>())
    .bind(column(|b| b.name.clone()))
    .bind(blocks.iter().map(|b| geometry_column::encode(&b.boundary)).collect::<Vec<_>>())
    .bind(blocks.iter().map(|b| b.area_m2).collect::<Vec<_>>())
    .bind(blocks.iter().map(|b| b.stated_area.to_string()).collect::<Vec<_>>())
    .bind(column(|b| b.four_extents.east.clone()))
    .bind(column(|b| b.four_extents.south.clone()))
    .bind(column(|b| b.four_extents.west.clone()))
    .bind(column(|b| b.four_extents.north.clone()))
    .bind(column(|b| b.four_extents_text.clone()))
    .bind(blocks.iter().map(|b| b.surveyed).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// The change of this id, if it is the caller's to see.
pub async fn find(connection: &mut PgConnection, id: &str) -> Result<Option<ChangeRow>> {
    // The database refuses such a text as a text.
    if id.contains('\0') {
        return Ok(None);
    }
    let row = sqlx::query(select_changes!("WHERE c.id = $1")).bind(id).fetch_optional(connection).await?;
    row.as_ref().map(change_of_row).transpose()
}

/// Newest first.
pub async fn list(connection: &mut PgConnection, query: &ListQuery) -> Result<Vec<ChangeRow>> {
    let rows = sqlx::query(select_changes!(
        "WHERE ($1::text IS NULL OR c.park_code = $1) AND (cardinality($2::text[]) = 0 OR c.state = ANY ($2))
           AND ($3::text IS NULL OR (length(c.id), c.id) < (length($3), $3 COLLATE \"C\"))
         ORDER BY length(c.id) DESC, c.id DESC LIMIT $4"
    ))
    .bind(query.park.as_ref().map(ParkCode::as_str))
    .bind(query.states.iter().map(|state| state.as_str()).collect::<Vec<_>>())
    .bind(&query.before)
    .bind(query.limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(change_of_row).collect()
}

/// The open change of a park, whoever may see it: its id.
pub async fn open_of_park(connection: &mut PgConnection, park: &ParkCode) -> Result<Option<String>> {
    let sql = "SELECT id FROM boundary_change WHERE park_code = $1 AND state IN ('proposed', 'joint_review', 'public_notice')";
    Ok(sqlx::query_scalar(sql).bind(park.as_str()).fetch_optional(connection).await?)
}

/// The proposed blocks of a change, by number.
pub async fn blocks(connection: &mut PgConnection, id: &str) -> Result<Vec<ProposedBlock>> {
    let rows = sqlx::query(
        "SELECT number, name, ST_AsEWKB(geom) AS geom, area_m2, stated_area_ha::text AS stated, east, south, west, north, four_extents, surveyed
         FROM boundary_change_block WHERE change_id = $1 ORDER BY length(number), number",
    )
    .bind(id)
    .fetch_all(connection)
    .await?;
    rows.iter().map(block_of_row).collect()
}

/// The steps of a change, first to last.
pub async fn steps(connection: &mut PgConnection, id: &str) -> Result<Vec<StepRow>> {
    Ok(sqlx::query_as(
        "SELECT ordinal, from_state, to_state, happened_on, document_no, document_title, note, base_revision, actor, revision
         FROM boundary_change_step WHERE change_id = $1 ORDER BY ordinal",
    )
    .bind(id)
    .fetch_all(connection)
    .await?)
}

/// Adds a step. Needs an open revision.
pub async fn add_step(connection: &mut PgConnection, id: &str, step: &NewStep<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO boundary_change_step (change_id, ordinal, division_codes, from_state, to_state, happened_on, document_no, document_title,
             note, base_revision, actor)
         SELECT c.id, coalesce((SELECT max(ordinal) FROM boundary_change_step s WHERE s.change_id = c.id), 0) + 1, c.division_codes,
                $2, $3, $4, $5, $6, $7, $8, $9
         FROM boundary_change c WHERE c.id = $1",
    )
    .bind(id)
    .bind(step.from.map(State::as_str))
    .bind(step.to.as_str())
    .bind(step.on)
    .bind(step.document_no)
    .bind(step.document_title)
    .bind(step.note)
    .bind(step.base_revision)
    .bind(step.actor)
    .execute(connection)
    .await?;
    Ok(())
}

/// Where a change stands from now on: state, day, notice, effective day, base, what the park's status was. Needs an open revision.
pub async fn set_state(connection: &mut PgConnection, change: &ChangeRow) -> Result<()> {
    sqlx::query(
        "UPDATE boundary_change SET state = $2, state_on = $3, notice_from = $4, notice_until = $5, effective_on = $6, base_revision = $7,
             park_status_before = $8
         WHERE id = $1",
    )
    .bind(&change.id)
    .bind(change.state.as_str())
    .bind(change.state_on)
    .bind(change.notice_from)
    .bind(change.notice_until)
    .bind(change.effective_on)
    .bind(change.base_revision)
    .bind(change.park_status_before.map(ParkStatus::as_str))
    .execute(connection)
    .await?;
    Ok(())
}

/// The divisions of each change that a revision wrote, and those that its park lies in now.
pub async fn divisions_of_revision(connection: &mut PgConnection, revision: i64) -> Result<Vec<Vec<String>>> {
    let sql = "WITH written AS (SELECT coalesce(after, before) AS image FROM change WHERE revision = $1 AND layer = 'boundary_change')
               SELECT ARRAY(SELECT json_array_elements_text(image -> 'division_codes')) FROM written
               UNION ALL
               SELECT CASE WHEN p.county_codes = '{}' THEN ARRAY[p.prefecture_code] ELSE p.county_codes END
               FROM written w JOIN park p ON p.code = w.image ->> 'park_code'";
    Ok(sqlx::query_scalar(sql).bind(revision).fetch_all(connection).await?)
}

/// Withdraws the open changes of these parks, which have come to an end otherwise (merged, revoked, split): each gets its step, and a
/// park that its change had put under adjustment (调整中) its former status back. Tells how many.
///
/// Needs an open revision, and a transaction that speaks for the parks' divisions: changes that row-level security hides stay open.
pub async fn withdraw_open(
    connection: &mut PgConnection,
    parks: &[ParkCode],
    on: NaiveDate,
    actor: &str,
    note: &str,
) -> Result<u64> {
    let codes: Vec<&str> = parks.iter().map(ParkCode::as_str).collect();
    let rows = sqlx::query(select_changes!(
        "WHERE c.park_code = ANY ($1) AND c.state IN ('proposed', 'joint_review', 'public_notice') ORDER BY c.id"
    ))
    .bind(codes)
    .fetch_all(&mut *connection)
    .await?;
    let open: Vec<ChangeRow> = rows.iter().map(change_of_row).collect::<Result<_>>()?;
    for mut change in open.iter().cloned() {
        let step = NewStep {
            from: Some(change.state),
            to: State::Withdrawn,
            // A step is not dated before the last one, whatever day the park's own end bears.
            on: on.max(change.state_on),
            document_no: None,
            document_title: None,
            note: Some(note),
            base_revision: change.base_revision,
            actor,
        };
        add_step(connection, &change.id, &step).await?;
        close_park(connection, &change).await?;
        (change.state, change.state_on, change.park_status_before) = (State::Withdrawn, step.on, None);
        set_state(connection, &change).await?;
    }
    Ok(open.len() as u64)
}

fn change_of_row(row: &PgRow) -> Result<ChangeRow> {
    let text = |name: &str| -> Result<String> { Ok(row.try_get(name)?) };
    let status: Option<String> = row.try_get("park_status_before")?;
    let status =
        status.map(|s| ParkStatus::ALL.into_iter().find(|k| k.as_str() == s).ok_or_else(|| unreadable("状态")));
    Ok(ChangeRow {
        id: text("id")?,
        park: ParkCode::parse(&text("park_code")?).map_err(|_| unreadable("园区代码"))?,
        park_name: text("park_name")?,
        prefecture: text("prefecture_code")?,
        divisions: row.try_get("division_codes")?,
        title: text("title")?,
        reason: row.try_get("reason")?,
        kind: EventKind::parse(&text("kind")?).ok_or_else(|| unreadable("类型"))?,
        state: State::parse(&text("state")?).ok_or_else(|| unreadable("状态"))?,
        state_on: row.try_get("state_on")?,
        areas: StatedAreas {
            before: area(&text("before")?)?,
            out: area(&text("out")?)?,
            added: area(&text("added")?)?,
            after: area(&text("after")?)?,
        },
        landmarks: landmarks_of(&row.try_get("landmarks")?)?,
        notice_from: row.try_get("notice_from")?,
        notice_until: row.try_get("notice_until")?,
        effective_on: row.try_get("effective_on")?,
        base_revision: row.try_get("base_revision")?,
        park_status_before: status.transpose()?,
        actor: text("actor")?,
        revision: row.try_get("revision")?,
    })
}

fn block_of_row(row: &PgRow) -> Result<ProposedBlock> {
    let stated: String = row.try_get("stated")?;
    Ok(ProposedBlock {
        number: row.try_get("number")?,
        name: row.try_get("name")?,
        boundary: geometry_column::decode(row.try_get("geom")?)?,
        area_m2: row.try_get("area_m2")?,
        stated_area: area(&stated)?,
        four_extents: four_extents_of(row)?,
        four_extents_text: row.try_get("four_extents")?,
        surveyed: row.try_get("surveyed")?,
    })
}

fn area(text: &str) -> Result<DecimalHectares> {
    DecimalHectares::parse(text).ok_or_else(|| unreadable("面积"))
}

fn unreadable(what: &str) -> Error {
    Error::Internal { detail: format!("登记库中调区扩区的{what}无法识别"), cause: None }
}

/// Landmarks as the register keeps them: `[{"name": …, "path": [[lon, lat], …]}]`.
fn landmarks_json(landmarks: &[Landmark]) -> Value {
    let one = |landmark: &Landmark| {
        let path: Vec<[f64; 2]> = landmark.path.iter().map(|c| [c.x, c.y]).collect();
        json!({"name": landmark.name, "path": path})
    };
    Value::Array(landmarks.iter().map(one).collect())
}

fn landmarks_of(kept: &Value) -> Result<Vec<Landmark>> {
    let point = |p: &Value| Some(Coord { x: p[0].as_f64()?, y: p[1].as_f64()? });
    let one = |landmark: &Value| {
        let path = landmark["path"].as_array()?.iter().map(point).collect::<Option<Vec<_>>>()?;
        Some(Landmark { name: landmark["name"].as_str()?.to_owned(), path })
    };
    let list = kept.as_array().ok_or_else(|| unreadable("地物"))?;
    list.iter().map(one).collect::<Option<Vec<_>>>().ok_or_else(|| unreadable("地物"))
}
