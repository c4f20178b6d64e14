//! One move for many records of a ledger.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::edits::{self, Target, seen_revision};
use super::json_body::{self, Members};
use super::params::Params;
use super::problem::Answer;
use super::state::State;
use crate::domain::Ledger;
use crate::error::Error;
use crate::inventory::ledgers::{self, MAX_SELECTED, Selection, Verdicts};
use crate::inventory::wire;

/// Ten thousand ids of eighty characters each, with room.
const SELECTION_LIMIT: usize = 2 * 1024 * 1024;

/// `POST …/transitions` of a collection: one move for many records.
pub async fn create_transitions(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let target = Target::of(&request, &state, &path, None).await?;
    Params::read(&request, &[], |_| false)?;
    let body = json_body::bytes(&request, payload, &["application/json"], SELECTION_LIMIT).await?;
    let known = ["to", "effective_on", "document_no", "reason", "ids", "seen_revision", "skip_refused", "dry_run"];
    let members = Members::parse(&body, &known)?;
    let ids = members.texts_up_to("ids", MAX_SELECTED)?;
    let selection = Selection {
        ids: ids.ok_or_else(|| Error::invalid("member_missing", "缺少成员 ids：要变更的记录的标识"))?,
        seen_revision: seen_revision(&members)?,
        skip_refused: members.flag("skip_refused")?.unwrap_or_default(),
        dry_run: members.flag("dry_run")?.unwrap_or_default(),
    };
    let wanted = edits::move_of(&members)?;
    let deed = target.deed(&request, &body)?;
    let verdicts = ledgers::transition_many(&state.pool, &deed, target.ledger, &selection, &wanted).await?;
    let mut response = HttpResponse::Ok();
    edits::mark(&mut response, verdicts.revision, verdicts.replayed);
    Ok(response.json(verdicts_json(target.ledger, &verdicts, selection.dry_run)))
}

fn verdicts_json(ledger: Ledger, verdicts: &Verdicts, dry_run: bool) -> Value {
    let machine = ledger.machine();
    let refused = verdicts.list.iter().filter(|v| v.refused.is_some()).count();
    let one = |v: &ledgers::Verdict| {
        let mut told = json!({"id": v.id, "from": v.from, "moves": v.refused.is_none()});
        if let Some(finding) = &v.refused {
            told["finding"] = wire::finding(finding);
        }
        told
    };
    json!({
        "to": {"code": verdicts.to, "label": machine.find(verdicts.to).map(|s| s.label)},
        "dry_run": dry_run,
        "revision": verdicts.revision,
        "moving": verdicts.list.len() - refused,
        "refused": refused,
        "records": verdicts.list.iter().map(one).collect::<Vec<Value>>(),
    })
}
