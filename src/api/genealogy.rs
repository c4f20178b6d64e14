//! Parcels split and merged, moves of many records at once, and the way back.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::auth;
use super::edits::{FEATURE_LIMIT, REPLAYED, Target, day, deed_of};
use super::items::item_not_found;
use super::json_body::{self, Members};
use super::params::{Params, shorten};
use super::past::REVISION_HEADER;
use super::problem::{Answer, Problem};
use super::representation;
use super::state::State;
use crate::domain::Ledger;
use crate::error::{Error, Result};
use crate::inventory::ledgers::{self, Event, Family, MAX_SELECTED, MoveRequest, Selection, Verdicts};
use crate::inventory::wire;

/// Ten thousand ids of eighty characters each, with room.
const SELECTION_LIMIT: usize = 2 * 1024 * 1024;

/// `POST …/items/{id}/split`: one parcel becomes several.
pub async fn split_item(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let target = parcels(&request, &state, &path.0, Some(&path.1)).await?;
    let options = Params::read_with_lists(&request, &["allow", "dry_run"], &["allow"])?;
    let body = json_body::bytes(&request, payload, &["application/json"], FEATURE_LIMIT).await?;
    let members = Members::parse(&body, &["effective_on", "document_no", "reason", "parts"])?;
    let parts = members.values("parts", crate::domain::ledger::MAX_RELATIVES)?;
    let parts = parts.ok_or_else(|| Error::invalid("member_missing", "缺少成员 parts：分割后的地块"))?;
    let event = event_of(&options, &members)?;
    let deed = target.deed(&request, &body)?;
    match ledgers::split(&state.pool, &deed, target.ledger, &path.1, &parts, &event).await {
        Ok(family) => told(&request, &state, &target, &family, &path.1),
        Err(error) => Err(target.refuse(&request, &state, error, None).await),
    }
}

/// `POST …/merge`: several parcels become one.
pub async fn merge_items(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let target = parcels(&request, &state, &path, None).await?;
    let options = Params::read_with_lists(&request, &["allow", "dry_run"], &["allow"])?;
    let body = json_body::bytes(&request, payload, &["application/json"], FEATURE_LIMIT).await?;
    let known = ["effective_on", "document_no", "reason", "from", "into", "seen_revision"];
    let members = Members::parse(&body, &known)?;
    let missing = |name: &str| Error::invalid("member_missing", format!("缺少成员 {name}"));
    let from = members.texts("from")?.ok_or_else(|| missing("from"))?;
    let into = members.value("into").ok_or_else(|| missing("into"))?;
    let seen = seen_revision(&members)?;
    let event = event_of(&options, &members)?;
    let deed = target.deed(&request, &body)?;
    let family = ledgers::merge(&state.pool, &deed, target.ledger, &from, seen, into, &event).await?;
    let child = family.lines.first().map(|line| line.child.clone()).unwrap_or_default();
    told(&request, &state, &target, &family, &child)
}

/// `GET …/items/{id}/lineage`: whom the parcel came from, and who came from it.
pub async fn get_lineage(request: HttpRequest, path: web::Path<(String, String)>, state: web::Data<State>) -> Answer {
    let target = parcels(&request, &state, &path.0, Some(&path.1)).await?;
    Params::read(&request, &["f"], |_| false)?;
    let lineage = ledgers::list_lineage(&state.pool, &target.viewer, target.ledger, &path.1).await?;
    let mut document = lineage.ok_or_else(|| item_not_found(target.layer, &path.1))?;
    let url = target.url(&representation::base_url(&request, &state), &path.1);
    document["links"] = json!([
        {"rel": "self", "type": "application/json", "href": format!("{url}/lineage")},
        {"rel": "item", "type": "application/geo+json", "href": url},
    ]);
    representation::json(None, &document)
}

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
    let wanted = MoveRequest {
        to: members.needed_text("to")?,
        effective_on: members.text("effective_on")?.map(|text| day("effective_on", &text)).transpose()?,
        document_no: members.text("document_no")?,
        reason: members.text("reason")?,
    };
    let deed = target.deed(&request, &body)?;
    let verdicts = ledgers::transition_many(&state.pool, &deed, target.ledger, &selection, &wanted).await?;
    let mut response = HttpResponse::Ok();
    mark(&mut response, verdicts.revision, verdicts.replayed);
    Ok(response.json(verdicts_json(target.ledger, &verdicts, selection.dry_run)))
}

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
    let deed = deed_of(&request, &viewer, None, &body)?;
    let done = ledgers::undo(&state.pool, &deed, number, reason.as_deref(), dry_run).await?;
    let mut response = HttpResponse::Ok();
    mark(&mut response, done.revision, done.replayed);
    Ok(response.json(json!({"undone": number, "revision": done.revision, "dry_run": dry_run})))
}

/// The ledger of the address, which holds parcels.
async fn parcels(
    request: &HttpRequest,
    state: &web::Data<State>,
    collection: &str,
    id: Option<&str>,
) -> std::result::Result<Target, Problem> {
    let target = Target::of(request, state, collection, id).await?;
    if target.ledger == Ledger::Plan { Err(Problem::no_such_address()) } else { Ok(target) }
}

fn event_of(options: &Params, members: &Members) -> Result<Event> {
    let allow = options.text("allow").map(|list| list.split(',').map(|c| shorten(c.trim())).collect());
    Ok(Event {
        effective_on: members.text("effective_on")?.map(|text| day("effective_on", &text)).transpose()?,
        document_no: members.text("document_no")?,
        reason: members.text("reason")?,
        allow: allow.unwrap_or_default(),
        dry_run: options.flag("dry_run")?,
    })
}

/// What the choice was made from; without it nobody would know of a change in between.
fn seen_revision(members: &Members) -> Result<i64> {
    let seen = members.integer("seen_revision")?.ok_or_else(|| Error::VersionMissing {
        detail: "请在 seen_revision 中写明所选记录取自哪一修订（查询应答的 Sizhi-Revision 头），以免覆盖别人的修改"
            .to_owned(),
    })?;
    if seen < 0 {
        Err(Error::invalid("member_invalid", "成员 seen_revision 应为不小于 0 的整数"))
    } else {
        Ok(seen)
    }
}

fn mark(response: &mut actix_web::HttpResponseBuilder, revision: Option<i64>, replayed: bool) {
    if let Some(revision) = revision {
        response.insert_header((REVISION_HEADER, HeaderValue::from(revision)));
    }
    if replayed {
        response.insert_header((REPLAYED, HeaderValue::from_static("true")));
    }
}

/// What came of a split or a merge; `id` is what the new address is about.
fn told(request: &HttpRequest, state: &web::Data<State>, target: &Target, family: &Family, id: &str) -> Answer {
    let base = representation::base_url(request, state);
    let children: std::collections::BTreeSet<&str> = family.lines.iter().map(|line| line.child.as_str()).collect();
    let dry_run = family.revision.is_none();
    let mut links = vec![
        json!({"rel": "related", "type": "application/json", "href": format!("{}/lineage", target.url(&base, id))}),
    ];
    links.extend(
        children
            .into_iter()
            .map(|child| json!({"rel": "item", "type": "application/geo+json", "href": target.url(&base, child)})),
    );
    let left = family.not_inherited.iter();
    let document = json!({
        "kind": family.kind.as_str(),
        "kind_label": family.kind.label(),
        "effective_on": family.on.to_string(),
        "dry_run": dry_run,
        "revision": family.revision,
        "lineage": family.lines.iter().map(ledgers::line).collect::<Vec<Value>>(),
        "not_inherited": left.map(|l| json!({"name": l.name, "title": l.title, "values": l.values})).collect::<Vec<Value>>(),
        "warnings": wire::findings(&family.warnings),
        "links": if dry_run { json!([]) } else { json!(links) },
    });
    let mut response = HttpResponse::build(if dry_run { StatusCode::OK } else { StatusCode::CREATED });
    mark(&mut response, family.revision, family.replayed);
    if !dry_run {
        response.insert_header((header::LOCATION, format!("{}/lineage", target.url(&base, id))));
    }
    Ok(response.json(document))
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

/// Addresses of single records and of collections that are the ledgers' alone.
pub const TAILS: [&str; 7] =
    ["/transitions", "/steps", "/split", "/merge", "/lineage", "/attachments", "/{attachment}"];
