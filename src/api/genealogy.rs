//! Parcels split and merged, and whom they came from.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::crs;
use super::edits::{self, FEATURE_LIMIT, Target, day, seen_revision};
use super::item::item_not_found;
use super::json_body::{self, Members};
use super::params::{Params, shorten};
use super::problem::{Answer, Problem};
use super::representation;
use super::state::State;
use crate::domain::Ledger;
use crate::error::{Error, Result};
use crate::inventory::ledgers::{self, Event, Family};
use crate::inventory::wire;

/// `POST …/items/{id}/split`: one parcel becomes several.
pub async fn split_item(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let target = parcels(&request, &state, &path.0, Some(&path.1)).await?;
    crs::only_crs84(&request)?;
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
    crs::only_crs84(&request)?;
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
    edits::mark(&mut response, family.revision, family.replayed);
    if !dry_run {
        response.insert_header((header::LOCATION, format!("{}/lineage", target.url(&base, id))));
    }
    Ok(response.json(document))
}
