//! The way back: a revision of the ledgers, or of an event of parks, is undone.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::json_body::{self, Members};
use super::params::{Params, shorten};
use super::problem::Answer;
use super::state::State;
use super::{auth, edits};
use crate::error::Error;
use crate::inventory::{ledgers, parks};

/// `POST /api/revisions/{number}/undo`: what stood before the revision stands again.
pub async fn undo_revision(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let viewer = auth::editor(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let not_found = || Error::not_found("revision_not_found", format!("没有编号为“{}”的修订", shorten(&path)));
    let number: i64 = path.parse().ok().filter(|number| *number > 0).ok_or_else(not_found)?;
    let body = json_body::bytes(&request, payload, &["application/json"], json_body::LIMIT).await?;
    let members = Members::parse(&body, &["reason", "dry_run"])?;
    let (reason, dry_run) = (members.text("reason")?, members.flag("dry_run")?.unwrap_or_default());
    let deed = edits::deed_of(&request, &viewer, None, &body)?;
    let done = if parks::is_of_parks(&state.pool, number).await? {
        parks::undo(&state.pool, &deed, number, reason.as_deref(), dry_run).await?
    } else {
        ledgers::undo(&state.pool, &deed, number, reason.as_deref(), dry_run).await?
    };
    let mut response = HttpResponse::Ok();
    edits::mark(&mut response, done.revision, done.replayed);
    Ok(response.json(json!({"undone": number, "revision": done.revision, "dry_run": dry_run})))
}
