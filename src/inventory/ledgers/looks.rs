//! What a record has gone through, and what may follow.

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
