//! The bulk upsert of parcels: all of them into a temporary table by COPY, then one statement each for what stays, what differs and
//! what is new. (Not COPY into the ledger itself: a role under row-level security may not.)

use std::collections::BTreeSet;

use chrono::NaiveDate;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::columns::{STANDING, behind, compared, listed, optional, written};
use crate::domain::ledger::{FieldValue, Step, Where};
use crate::domain::{Ledger, Parcel};
use crate::error::Result;
use crate::store::copy::{CopyRow, copy_in};
use crate::store::{UpsertCounts, geometry_column};

/// A parcel with what the register adds: where it lies, and where it stands if it is new.
#[derive(Debug, Clone, Copy)]
pub struct StagedParcel<'a> {
    pub parcel: &'a Parcel,
    pub place: Option<&'a Where>,
    /// Of a parcel that is new.
    pub standing: Step,
    pub since: Option<NaiveDate>,
}

/// Parcels that an edit or a small file brings.
const FEW: usize = 100;

/// Where the staged parcels of a transaction lie. For many a table is made, and looked through so that each statement is planned for
/// as many. That takes an edit longer than all else that it does: for few there is a table of the connection, emptied at each
/// transaction's end, and statements over it stay planned. Two tables, since plans for few are bad ones for many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    pub(super) ledger: Ledger,
    are_few: bool,
}

impl Stage {
    /// Of so many parcels.
    pub fn of(ledger: Ledger, parcels: usize) -> Self {
        Self { ledger, are_few: parcels <= FEW }
    }

    pub(super) fn table(self) -> &'static str {
        match (self.are_few, self.ledger) {
            (false, _) => "parcel_stage",
            (true, Ledger::Turnover) => "turnover_parcel_few",
            (true, Ledger::LowEfficiency) => "low_efficiency_parcel_few",
            (true, Ledger::Plan) => "redevelopment_plan_few",
        }
    }

    /// The condition that row `b` of the ledger stands and is staged as `s`.
    pub(super) fn is_standing(self) -> String {
        let plain = "b.id = s.id AND b.valid_to = 'infinity'";
        match self.are_few {
            true => format!("{plain} AND b.id {}", self.among(&format!("SELECT id FROM {}", self.table()))),
            false => plain.to_owned(),
        }
    }

    /// What makes an id one of those that a statement gives. For few a list, which the ledger's index is asked for, come what may: of a
    /// ledger that was just loaded the database has counted nothing yet; it guesses that hundreds of rows share an id, and would
    /// read all of them for one record.
    pub(super) fn among(self, ids: &str) -> String {
        match self.are_few {
            true => format!("= ANY (ARRAY({ids}))"),
            false => format!("IN ({ids})"),
        }
    }

    async fn make(self, connection: &mut PgConnection) -> Result<()> {
        if self.are_few {
            let sql = "SELECT to_regclass('pg_temp.' || $1) IS NOT NULL, set_config('enable_seqscan', 'off', true),
                              set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)";
            let (is_made, ..): (bool, String, String, String) =
                sqlx::query_as(sql).bind(self.table()).fetch_one(&mut *connection).await?;
            if is_made {
                return Ok(());
            }
        }
        let create = format!(
            "CREATE TEMPORARY TABLE {} ON COMMIT {} AS SELECT {} FROM {} WITH NO DATA",
            self.table(),
            if self.are_few { "DELETE ROWS" } else { "DROP" },
            staged_columns(self.ledger).join(", "),
            self.ledger.table()
        );
        sqlx::query(AssertSqlSafe(create)).execute(connection).await?;
        Ok(())
    }
}

/// Lays the parcels into the transaction's stage, which the functions below read. Once a transaction.
pub async fn stage(connection: &mut PgConnection, ledger: Ledger, parcels: &[StagedParcel<'_>]) -> Result<Stage> {
    let stage = Stage::of(ledger, parcels.len());
    stage.make(connection).await?;
    let columns = staged_columns(ledger);
    let count = i16::try_from(columns.len()).unwrap_or(i16::MAX);
    let statement = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", stage.table(), columns.join(", "));
    copy_in(connection, &statement, count, parcels.iter(), |row, parcel| fill(row, ledger, parcel)).await?;
    if !stage.are_few {
        // Planned without it, each look below would guess at the number of rows.
        sqlx::query("ANALYZE parcel_stage").execute(connection).await?;
    }
    Ok(stage)
}

fn staged_columns(ledger: Ledger) -> Vec<&'static str> {
    written(ledger).into_iter().chain(STANDING).collect()
}

fn fill(row: &mut CopyRow<'_>, ledger: Ledger, staged: &StagedParcel<'_>) {
    let parcel = staged.parcel;
    row.text(&parcel.id.to_string());
    row.text(parcel.county.as_str());
    row.text(parcel.id.number());
    row.optional_text(parcel.name.as_deref());
    if parcel.boundary.0.is_empty() {
        row.null();
        row.null();
    } else {
        row.bytes(&geometry_column::encode(&parcel.boundary));
        row.double(parcel.area.value());
    }
    row.optional_double(parcel.stated_area.map(|a| a.value()));
    row.optional_text(staged.place.map(|p| p.park.as_str()));
    row.optional_text(staged.place.map(|p| p.block.as_str()));
    row.optional_double(staged.place.map(|p| p.share));
    row.optional_text(parcel.stated_park.as_deref());
    row.optional_text(parcel.stated_park_code.as_deref());
    row.boolean(parcel.illustrative);
    row.text(&parcel.source);
    row.optional_text(parcel.source_crs.as_deref());
    let attributes = parcel.attributes.iter().map(|(k, v)| (k.clone(), serde_json::Value::String(v.clone())));
    row.json(&serde_json::Value::Object(attributes.collect()));
    for field in ledger.fields() {
        fill_field(row, parcel.fields.get(field.name));
    }
    row.text(staged.standing.state.code);
    row.optional_text(staged.standing.held.map(|held| held.code));
    match staged.since {
        Some(day) => row.date(day),
        None => row.null(),
    }
    match staged.since {
        Some(day) => row.date(day),
        None => row.minus_infinity(),
    }
}

pub(super) fn fill_field(row: &mut CopyRow<'_>, value: Option<&FieldValue>) {
    match value {
        None => row.null(),
        Some(FieldValue::Text(text)) => row.text(text),
        Some(FieldValue::Date(day)) => row.date(*day),
        Some(FieldValue::Number(number)) => row.double(*number),
        Some(FieldValue::Integer(number)) => row.int4(*number),
        Some(FieldValue::Boolean(value)) => row.boolean(*value),
    }
}

/// The standing rows that the stage speaks of.
pub(super) fn joined(stage: Stage) -> String {
    format!("{} s JOIN {} b ON {}", stage.table(), stage.ledger.table(), stage.is_standing())
}

/// Which rows hand on what their successor does not speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inherit {
    /// Every row: an edit changes what it names, whatever stands.
    FromAny,
    /// Of a file: a drawn parcel hands nothing on to the surveyed one that takes its place.
    FromSameKind,
}

/// Fills the staged rows with what stands in the columns `absent` (of [`optional`]), and counts the values that the source would
/// clear, by name.
pub async fn keep_absent(
    connection: &mut PgConnection,
    stage: Stage,
    absent: &[&'static str],
    inherit: Inherit,
) -> Result<Vec<(&'static str, i64)>> {
    let ledger = stage.ledger;
    // A row without a shape speaks of land that stands, beside others in the same file that bring theirs.
    let land: Vec<String> = behind("geom").iter().map(|column| format!("{column} = b.{column}")).collect();
    let keep_land = format!(
        "UPDATE {} s SET {} FROM {} b WHERE {} AND s.geom IS NULL",
        stage.table(),
        land.join(", "),
        ledger.table(),
        stage.is_standing()
    );
    sqlx::query(AssertSqlSafe(keep_land)).execute(&mut *connection).await?;
    let one: Vec<[&'static str; 1]> = optional(ledger).iter().map(|name| [*name]).collect();
    let of = |at: usize, name: &'static str| -> Vec<&'static str> {
        match behind(name) {
            [] => one[at].to_vec(),
            behind => behind.to_vec(),
        }
    };
    let kept: Vec<&'static str> = optional(ledger)
        .into_iter()
        .enumerate()
        .filter(|(_, name)| absent.contains(name))
        .flat_map(|(at, name)| of(at, name))
        .collect();
    let mut sets: Vec<String> = kept.iter().map(|column| format!("{column} = b.{column}")).collect();
    sets.push("attributes = b.attributes || s.attributes".to_owned());
    let heirs = match inherit {
        Inherit::FromAny => "",
        Inherit::FromSameKind => " AND b.illustrative = s.illustrative",
    };
    let keep = format!(
        "UPDATE {} s SET {} FROM {} b WHERE {}{heirs}",
        stage.table(),
        sets.join(", "),
        ledger.table(),
        stage.is_standing()
    );
    sqlx::query(AssertSqlSafe(keep)).execute(&mut *connection).await?;
    let names: Vec<&'static str> =
        optional(ledger).into_iter().filter(|name| !absent.contains(name) && *name != "geom").collect();
    let column = |name: &&'static str| behind(name).first().copied().unwrap_or(name);
    let counts: Vec<String> = names
        .iter()
        .map(column)
        .map(|c| format!("count(*) FILTER (WHERE s.{c} IS NULL AND b.{c} IS NOT NULL)"))
        .collect();
    if counts.is_empty() {
        return Ok(Vec::new());
    }
    let cleared = format!("SELECT {} FROM {}", counts.join(", "), joined(stage));
    let row = sqlx::query(AssertSqlSafe(cleared)).fetch_one(connection).await?;
    let mut found = Vec::new();
    for (at, name) in names.into_iter().enumerate() {
        let count: i64 = row.try_get(at)?;
        if count > 0 {
            found.push((name, count));
        }
    }
    Ok(found)
}

/// Geometries by the bytes of their points, since `=` of geometries is looser; a ring's direction is its format's: a Shapefile turns
/// them.
fn differs(ledger: Ledger) -> String {
    format!(
        "(({}) IS DISTINCT FROM ({}) OR ST_AsEWKB(b.geom) <> ST_AsEWKB(s.geom)
          AND ST_AsEWKB(ST_ForcePolygonCCW(b.geom)) <> ST_AsEWKB(ST_ForcePolygonCCW(s.geom)))",
        compared(ledger, "b"),
        compared(ledger, "s")
    )
}

/// What [`upsert_staged`] would do with as many parcels; moves are not counted here.
pub async fn preview(
    connection: &mut PgConnection,
    stage: Stage,
    staged: usize,
) -> Result<(UpsertCounts, BTreeSet<String>)> {
    let sql = format!("SELECT b.id, {} FROM {}", differs(stage.ledger), joined(stage));
    let rows: Vec<(String, bool)> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await?;
    let updated = rows.iter().filter(|(_, differs)| *differs).count();
    let counts = UpsertCounts {
        inserted: (staged - rows.len()) as u64,
        updated: updated as u64,
        unchanged: (rows.len() - updated) as u64,
        replaced: 0,
    };
    Ok((counts, rows.into_iter().filter(|(_, differs)| *differs).map(|(id, _)| id).collect()))
}

/// Id and revision of the parcels that stand otherwise than the stage says, or are in `moved`, and were written after revision `seen`.
pub async fn list_differing_since(
    connection: &mut PgConnection,
    stage: Stage,
    moved: &[String],
    seen: i64,
) -> Result<Vec<(String, i64)>> {
    let sql = format!(
        "SELECT b.id, b.revision FROM {} WHERE b.revision > $1 AND (b.id = ANY ($2) OR {}) ORDER BY b.id",
        joined(stage),
        differs(stage.ledger)
    );
    Ok(sqlx::query_as(AssertSqlSafe(sql)).bind(seen).bind(moved).fetch_all(connection).await?)
}

/// Updates the staged parcels that differ and inserts those that are new. Where a parcel stands is left to moves. Needs an open
/// revision.
pub async fn upsert_staged(connection: &mut PgConnection, stage: Stage, staged: usize) -> Result<UpsertCounts> {
    let (ledger, from) = (stage.ledger, stage.table());
    let columns = written(ledger);
    let table = ledger.table();
    let sets: Vec<String> = columns.iter().skip(1).map(|c| format!("{c} = s.{c}")).collect();
    let update = format!(
        "UPDATE {table} b SET revision = (SELECT current_revision()), {} FROM {from} s
         WHERE {} AND {}",
        sets.join(", "),
        stage.is_standing(),
        differs(ledger)
    );
    let updated = sqlx::query(AssertSqlSafe(update)).execute(&mut *connection).await?.rows_affected();
    if updated == staged as u64 {
        // None is new; to find that out takes as long as all the rest of an edit's looks.
        return Ok(UpsertCounts { inserted: 0, updated, unchanged: 0, replaced: 0 });
    }
    let all = staged_columns(ledger);
    let insert = format!(
        "INSERT INTO {table} ({}, revision) SELECT {}, (SELECT current_revision()) FROM {from} s
         WHERE NOT EXISTS (SELECT 1 FROM {table} b WHERE b.id = s.id AND b.valid_to = 'infinity') ORDER BY s.id",
        all.join(", "),
        listed(&all, "s")
    );
    let inserted = sqlx::query(AssertSqlSafe(insert)).execute(connection).await?.rows_affected();
    Ok(UpsertCounts { inserted, updated, unchanged: staged as u64 - updated - inserted, replaced: 0 })
}

/// Inserts the staged parcels whose id has never been; the rest is not touched. Needs an open revision.
pub async fn insert_missing(connection: &mut PgConnection, stage: Stage) -> Result<u64> {
    let (ledger, from) = (stage.ledger, stage.table());
    let all = staged_columns(ledger);
    let table = ledger.table();
    let insert = format!(
        "INSERT INTO {table} ({}, revision) SELECT {}, (SELECT current_revision()) FROM {from} s
         WHERE NOT EXISTS (SELECT 1 FROM {table} b WHERE b.id = s.id) ORDER BY s.id",
        all.join(", "),
        listed(&all, "s")
    );
    Ok(sqlx::query(AssertSqlSafe(insert)).execute(connection).await?.rows_affected())
}

/// Lets go of what is staged, for another stage in the same transaction.
pub async fn unstage(connection: &mut PgConnection, stage: Stage) -> Result<()> {
    let sql = match stage.are_few {
        true => format!("DELETE FROM {}", stage.table()),
        false => format!("DROP TABLE {}", stage.table()),
    };
    sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    if stage.are_few {
        // What the looks at a few records need is bad for what else the transaction does.
        let sql = "SELECT set_config('enable_seqscan', 'on', true), set_config('enable_hashjoin', 'on', true),
                          set_config('enable_mergejoin', 'on', true)";
        sqlx::query(sql).execute(connection).await?;
    }
    Ok(())
}
