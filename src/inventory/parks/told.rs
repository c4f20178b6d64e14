//! What an event did, as the log of its revision tells it: a dry run, the event itself and a repetition of the request say the same.

use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use crate::domain::lifecycle::EventKind;
use crate::domain::{Finding, Ledger, Place};
use crate::error::Result;
use crate::inventory::ledgers::{Done, undone_since};
use crate::inventory::wire;
use crate::store::park_changes::{self, ParcelMove, ParkChange};

/// What came, or would come, of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The park that it is filed under.
    pub subject: String,
    /// `None` after a dry run.
    pub revision: Option<i64>,
    pub replayed: bool,
    /// All but the links.
    pub document: Map<String, Value>,
}

/// Tells what the open or an old revision did.
pub(super) async fn of_revision(
    connection: &mut PgConnection,
    revision: i64,
    subject: &str,
    mut warnings: Vec<Finding>,
    dry_run: bool,
) -> Result<Told> {
    let events = park_changes::events(connection, revision).await?;
    let (ended, begun) = park_changes::blocks(connection, revision).await?;
    let moves = park_changes::parcels(connection, revision).await?;
    let lines = park_changes::block_lines(connection, revision).await?;
    let withdrawn = park_changes::ids(connection, revision, "boundary_change").await?;
    let parks = park_changes::parks(connection, revision).await?;
    warnings.extend(of_parcels(&moves));
    let (kind, on) = match events.first() {
        Some((kind, on, _)) => (EventKind::parse(kind), *on),
        None => (None, None),
    };
    let line = |(parent, child, m2): &(String, String, f64)| json!({"parent": parent, "child": child, "common_area_m2": crate::domain::area::round_decimal(*m2, 2)});
    let document = json!({
        "kind": kind.map(EventKind::as_str),
        "kind_label": kind.map(EventKind::label),
        "on": on.map(|day| day.to_string()),
        "dry_run": dry_run,
        "revision": (!dry_run).then_some(revision),
        "events": events.into_iter().map(|(_, _, event)| labelled(event)).collect::<Vec<_>>(),
        "parks": parks.iter().map(park).collect::<Vec<_>>(),
        "blocks": {"ended": ended, "begun": begun, "lineage": lines.iter().map(line).collect::<Vec<_>>()},
        "parcels": moves.iter().map(parcels).collect::<Vec<_>>(),
        "plans": moves.iter().map(|m| m.plans).sum::<i64>(),
        "boundary_changes": withdrawn,
        "warnings": wire::findings(&warnings),
    });
    let document = match document {
        Value::Object(document) => document,
        _ => Map::new(),
    };
    let revision = (!dry_run).then_some(revision);
    Ok(Told { subject: subject.to_owned(), revision, replayed: false, document })
}

/// The same of a request that was done before.
pub(super) async fn replayed(connection: &mut PgConnection, done: Done) -> Result<Told> {
    let Some(revision) = done.revision else { return Err(undone_since(None)) };
    if park_changes::events(connection, revision).await?.is_empty() {
        return Err(undone_since(Some(revision)));
    }
    let told = of_revision(connection, revision, &done.id, Vec::new(), false).await?;
    Ok(Told { replayed: true, ..told })
}

fn labelled(mut event: Value) -> Value {
    let label = event["kind"].as_str().and_then(EventKind::parse).map(EventKind::label);
    event["kind_label"] = json!(label);
    event
}

/// What of a park's row an event may change.
const FIELDS: [&str; 8] =
    ["name", "aliases", "county_codes", "approved_area_ha", "status", "successor_code", "valid_from", "valid_to"];

fn park(change: &ParkChange) -> Value {
    let row = change.after.as_ref().or(change.before.as_ref());
    let side = |image: &Option<Value>| {
        let image = image.as_ref()?;
        let value = |name: &str| match &image[name] {
            // An open end is none.
            Value::String(text) if text == "infinity" || text == "-infinity" => Value::Null,
            value => value.clone(),
        };
        Some(FIELDS.into_iter().map(|name| (name.to_owned(), value(name))).collect::<Map<String, Value>>())
    };
    json!({
        "code": change.code,
        "name": row.map(|row| row["name"].clone()),
        "before": side(&change.before),
        "after": side(&change.after),
    })
}

/// The layer of a ledger's table.
fn layer(table: &str) -> &str {
    match Ledger::ALL.into_iter().find(|ledger| ledger.table() == table) {
        Some(ledger) => ledger.layer(),
        None => table,
    }
}

fn parcels(moved: &ParcelMove) -> Value {
    json!({
        "collection": layer(&moved.ledger), "from": moved.from_park, "to": moved.to_park, "count": moved.count, "plans": moved.plans,
    })
}

fn of_parcels(moves: &[ParcelMove]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let outside: i64 = moves.iter().filter(|m| m.to_park.is_none()).map(|m| m.count).sum();
    if outside > 0 {
        let message = format!("{outside} 宗地块不再位于任何园区");
        findings.push(Finding::warning("parcels_outside_parks", Place::whole(), message));
    }
    let elsewhere: i64 = moves.iter().map(|m| m.stated_elsewhere).sum();
    if elsewhere > 0 {
        let message = format!("{elsewhere} 宗地块的所填园区与其现在所在的园区不同；所填园区照文件保留");
        findings.push(Finding::warning("stated_park_differs", Place::whole(), message));
    }
    findings
}
