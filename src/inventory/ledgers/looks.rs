//! What a record has gone through, and what may follow.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::domain::Ledger;
use crate::domain::access::Viewer;
use crate::domain::ledger::State;
use crate::error::Result;
use crate::store::{self, ledgers};

/// Every move of the record, the first one first, where it stands and what may follow; `None` where it is not, or not for this viewer.
pub async fn list_transitions(pool: &PgPool, viewer: &Viewer, ledger: Ledger, id: &str) -> Result<Option<Value>> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let Some(standing) = ledgers::find_state(&mut transaction, ledger, id).await? else { return Ok(None) };
    let moves = ledgers::list_moves(&mut transaction, ledger, id).await?;
    transaction.commit().await?;
    let machine = ledger.machine();
    let named = |state: &State| json!({"code": state.code, "label": state.label});
    let known = |code: &str| machine.find(code).map_or_else(|| json!({"code": code, "label": code}), named);
    let allowed =
        machine.step(&standing.state, standing.held.as_deref()).map(|step| machine.allowed(step)).unwrap_or_default();
    Ok(Some(json!({
        "id": id,
        "state": known(&standing.state),
        "held_state": standing.held.as_deref().map(known),
        "state_on": day(standing.state_on),
        "allowed": allowed.into_iter().map(named).collect::<Vec<_>>(),
        "transitions": moves.into_iter().map(|(ordinal, m)| json!({
            "ordinal": ordinal,
            "from": known(&m.from),
            "to": known(&m.to),
            "effective_on": m.on.to_string(),
            "document_no": m.document_no,
            "reason": m.reason,
            "actor": m.actor,
        })).collect::<Vec<_>>(),
    })))
}

/// Lines of the family that are told on each side.
const MAX_LINES: i64 = 1_000;

/// The genealogy of a parcel: who it came from, who came from it, and what became of each. `None` where the register knows neither the
/// parcel nor a line of it, or not for this viewer.
pub async fn list_lineage(pool: &PgPool, viewer: &Viewer, ledger: Ledger, id: &str) -> Result<Option<Value>> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let mut up = ledgers::lines(&mut transaction, ledger, id, true, MAX_LINES + 1).await?;
    let mut down = ledgers::lines(&mut transaction, ledger, id, false, MAX_LINES + 1).await?;
    let complete = up.len().max(down.len()) <= usize::try_from(MAX_LINES).unwrap_or(usize::MAX);
    up.truncate(usize::try_from(MAX_LINES).unwrap_or(usize::MAX));
    down.truncate(usize::try_from(MAX_LINES).unwrap_or(usize::MAX));
    let mut ids: BTreeSet<String> = up.iter().chain(&down).flat_map(|l| [l.parent.clone(), l.child.clone()]).collect();
    let alone = ids.is_empty();
    ids.insert(id.to_owned());
    let ids: Vec<String> = ids.into_iter().collect();
    let known = ledgers::relatives(&mut transaction, ledger, &ids).await?;
    transaction.commit().await?;
    if alone && known.is_empty() {
        return Ok(None);
    }
    let machine = ledger.machine();
    let one = |r: &ledgers::Relative| {
        json!({
            "id": r.id, "name": r.name, "state": r.state,
            "state_label": machine.find(&r.state).map_or(r.state.as_str(), |s| s.label),
            "computed_area_m2": r.area, "valid_from": day(r.from), "valid_to": day(r.to), "end_reason": r.end_reason,
        })
    };
    Ok(Some(json!({
        "id": id,
        "complete": complete,
        "ancestors": up.iter().map(line).collect::<Vec<_>>(),
        "descendants": down.iter().map(line).collect::<Vec<_>>(),
        "parcels": known.iter().map(one).collect::<Vec<_>>(),
    })))
}

/// One parent and one child, as every answer tells it.
pub fn line(line: &ledgers::Line) -> Value {
    json!({
        "parent": line.parent, "child": line.child, "kind": line.kind, "effective_on": line.on.to_string(),
        "common_area_m2": line.common_area, "document_no": line.document_no, "reason": line.reason, "actor": line.actor,
        "revision": line.revision,
    })
}

/// The steps of a plan, in order.
pub async fn list_steps(pool: &PgPool, viewer: &Viewer, plan: &str) -> Result<Option<Value>> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    if ledgers::find_state(&mut transaction, Ledger::Plan, plan).await?.is_none() {
        return Ok(None);
    }
    let steps = ledgers::list_steps(&mut transaction, plan).await?;
    transaction.commit().await?;
    let step = |(at, s): (usize, ledgers::StepRecord)| json!({"ordinal": at, "task": s.task, "due_on": day(s.due_on), "done_on": day(s.done_on), "note": s.note});
    Ok(Some(Value::Array((1..).zip(steps).map(step).collect())))
}

fn day(day: Option<NaiveDate>) -> Option<String> {
    day.map(|day| day.to_string())
}
