//! What an undo may not bring back: a parcel in a state that rests on a plan which is not there, or not as far, any more.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::domain::ledger::{PlanProgress, missing_for_parcel};
use crate::domain::{Finding, Place};
use crate::error::{Error, Result};
use crate::store::ledgers;

/// Parcels named in the refusal; the rest is counted.
const NAMED: usize = 20;

/// States of low-efficiency parcels by id.
type States = HashMap<String, String>;

/// Where the low-efficiency parcels stand that a revision touched.
pub(super) async fn states(connection: &mut PgConnection, revision: i64) -> Result<States> {
    Ok(ledgers::parcels_beside(connection, revision).await?.into_iter().collect())
}

/// Refuses the undo of `revision` where it has put a parcel back into a state whose plan is gone. `stood` is where they stood before.
/// Where the plan was lacking when the parcel came into that state, somebody insisted on it then (`allow=plan_required`): the undo does
/// not make it worse.
pub(super) async fn refuse_without_plan(
    connection: &mut PgConnection,
    batch: i64,
    revision: i64,
    stood: &States,
) -> Result<()> {
    let put_back: Vec<(String, String)> = ledgers::parcels_beside(connection, revision)
        .await?
        .into_iter()
        .filter(|(id, state)| stood.get(id) != Some(state))
        .collect();
    let ids: Vec<String> = put_back.iter().map(|(id, _)| id.clone()).collect();
    let plans = ledgers::plan_progress(connection, &ids).await?;
    let lacking = lacking(&put_back, &plans);
    if lacking.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = lacking.iter().map(|(id, _)| (*id).to_owned()).collect();
    let then = ledgers::plan_progress_as_of(connection, &ids, revision - 1).await?;
    let lacked_then = self::lacking(&put_back, &then);
    let new: Vec<&(&str, Finding)> =
        lacking.iter().filter(|(id, _)| !lacked_then.iter().any(|(other, _)| other == id)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let told = |(id, missing): &&(&str, Finding)| {
        let message = format!("地块 {id} 撤销后的状态须有相应的再开发方案：{}", missing.message);
        Finding::error("plan_required", Place::whole(), message)
    };
    Err(Error::Conflict {
        code: "undo_conflict",
        detail: format!(
            "导入批次 {batch} 不能撤销：有 {} 个地块会回到须有再开发方案的状态，而方案此后已变；地块见 findings",
            new.len()
        ),
        findings: new.iter().take(NAMED).map(told).collect(),
    })
}

/// The parcels whose state asks for more than these plans.
fn lacking<'a>(parcels: &'a [(String, String)], plans: &HashMap<String, (String, i64)>) -> Vec<(&'a str, Finding)> {
    parcels
        .iter()
        .filter_map(|(id, state)| {
            let plan = plans.get(id).map(|(state, open)| PlanProgress { state, open_steps: *open });
            missing_for_parcel(state, plan).map(|missing| (id.as_str(), missing))
        })
        .collect()
}
