//! `GET /api/parks/{code}/lineage` and `…/predecessors`: whom a park came from, and which parks lay where it lies now.

use actix_web::{HttpRequest, web};
use serde_json::{Value, json};

use super::auth;
use super::params::{Params, parse_day, shorten};
use super::park_json::card_url;
use super::past::{Past, REVISION_HEADER};
use super::problem::Answer;
use super::representation::{self, Form};
use super::state::State;
use crate::domain::ParkCode;
use crate::domain::area::round_decimal;
use crate::domain::layer::Visibility;
use crate::domain::lifecycle::{EventKind, ParkStatus};
use crate::error::{Error, Result};
use crate::inventory::parks::{self, Lineage, Place, Predecessor, Predecessors};
use crate::inventory::today;
use crate::store::as_of;
use crate::store::park_lineage::{EventRow, ParkNode};

fn code_of(path: &str) -> Result<ParkCode> {
    ParkCode::parse(path).map_err(|reason| Error::invalid("park_code_invalid", reason.to_string()))
}

fn not_found(code: &ParkCode) -> Error {
    Error::not_found("park_not_found", format!("名录中没有代码为 {code} 的园区"))
}

/// `GET /api/parks/{code}/lineage`: parks as nodes, events as edges.
pub async fn get_park_lineage(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let params = Params::read(&request, &["revision", "f"], |_| false)?;
    json_alone(&params)?;
    let base = representation::base_url(&request, &state);
    let past = Past::read(&params, &state).await?;
    let code = code_of(&path)?;
    let etag = representation::etag(&request, &base, Form::Json, &as_of::mark(&state.pool, past.revision).await?);
    let found = parks::lineage(&state.pool, &code, past.revision).await?.ok_or_else(|| not_found(&code))?;
    if representation::is_current(&request, &etag) {
        return representation::not_modified(&etag);
    }
    let document = graph(&found, &code, &base);
    past.mark(representation::json(Some(&etag), &document), found.revision, Visibility::Public)
}

/// A graph has no page; it is on the card.
fn json_alone(params: &Params) -> Result<()> {
    match params.get("f") {
        None | Some("json") => Ok(()),
        Some(other) => Err(Error::invalid("value_invalid", format!("f 应为 json，不是“{}”", shorten(other)))),
    }
}

fn graph(found: &Lineage, code: &ParkCode, base: &str) -> Value {
    let url = card_url(base, code.as_str());
    json!({
        "code": code.as_str(),
        "complete": found.complete,
        "nodes": found.nodes.iter().map(|n| node(n, base)).collect::<Vec<_>>(),
        "edges": found.events.iter().map(edge).collect::<Vec<_>>(),
        "links": [
            {"rel": "self", "type": "application/json", "href": format!("{url}/lineage")},
            {"rel": "item", "type": "application/json", "href": url},
            {"rel": "related", "type": "application/json", "title": "某日谁在此处", "href": format!("{url}/predecessors")},
        ],
    })
}

fn node((park, place, steps): &(ParkNode, Place, usize), base: &str) -> Value {
    json!({
        "code": park.code,
        "name": park.name,
        "aliases": park.aliases,
        "level": park.level,
        "status": park.status,
        "status_label": ParkStatus::parse(&park.status).map(ParkStatus::label),
        "successor_code": park.successor_code,
        "valid_from": park.valid_from.map(|day| day.to_string()),
        "valid_to": park.valid_to.map(|day| day.to_string()),
        "place": place.as_str(),
        "steps": steps,
        "href": card_url(base, &park.code),
    })
}

/// Which parks were there before the event and which after; an event that begins or ends a park has one side alone.
fn sides(event: &EventRow) -> (Vec<&str>, Vec<&str>) {
    let own = vec![event.park_code.as_str()];
    let related: Vec<&str> = event.related_park_codes.iter().map(String::as_str).collect();
    match EventKind::parse(&event.kind) {
        Some(EventKind::MergedInto | EventKind::Split | EventKind::Upgraded) => (own, related),
        Some(EventKind::Established) => (related, own),
        Some(EventKind::Absorbed) => (related.into_iter().chain(own.iter().copied()).collect(), own),
        Some(EventKind::Revoked) => (own, Vec::new()),
        _ => (own.clone(), own),
    }
}

fn edge(event: &EventRow) -> Value {
    let (from, to) = sides(event);
    json!({
        "id": event.id,
        "park_code": event.park_code,
        "kind": event.kind,
        "kind_label": EventKind::parse(&event.kind).map(EventKind::label),
        "from": from,
        "to": to,
        "on": event.occurred_on.map(|day| day.to_string()),
        "occurred": event.occurred_text,
        "document_no": event.document_no,
        "area_before_ha": event.area_before_ha,
        "area_out_ha": event.area_out_ha,
        "area_in_ha": event.area_in_ha,
        "area_after_ha": event.area_after_ha,
        "note": event.note,
        "source": event.source,
        "revision": event.revision,
    })
}

/// `GET /api/parks/{code}/predecessors?on=`: which parks on that day lay where this one lies now.
pub async fn list_park_predecessors(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let params = Params::read(&request, &["on", "f"], |_| false)?;
    json_alone(&params)?;
    let code = code_of(&path)?;
    let text = params.text("on").ok_or_else(|| Error::invalid("value_invalid", "缺少参数 on（日期，YYYY-MM-DD）"))?;
    let on = parse_day(&text).ok_or_else(|| {
        Error::invalid("value_invalid", format!("on 应为日期（YYYY-MM-DD），不是“{}”", shorten(&text)))
    })?;
    if on > today() {
        return Err(Error::invalid("value_invalid", format!("on 不能晚于今天（{}）", today())).into());
    }
    let viewer = auth::viewer(&request, &state).await?;
    let base = representation::base_url(&request, &state);
    let etag = representation::etag(&request, &base, Form::Json, &as_of::mark(&state.pool, None).await?);
    if representation::is_current(&request, &etag) {
        return representation::not_modified(&etag);
    }
    let found = parks::predecessors(&state.pool, &viewer, &code, on).await?.ok_or_else(|| not_found(&code))?;
    let mut response = representation::json(Some(&etag), &list(&found, &code, on, &base))?;
    response.headers_mut().insert(REVISION_HEADER, actix_web::http::header::HeaderValue::from(found.revision));
    Ok(response)
}

fn list(found: &Predecessors, code: &ParkCode, on: chrono::NaiveDate, base: &str) -> Value {
    let url = card_url(base, code.as_str());
    json!({
        "code": code.as_str(),
        "on": on.to_string(),
        "area_m2": found.area_m2.map(|m2| round_decimal(m2, 2)),
        "illustrative": found.illustrative,
        "ended_on": found.ended_on.map(|day| day.to_string()),
        "numberMatched": found.parks.len(),
        "parks": found.parks.iter().map(|park| predecessor(park, base)).collect::<Vec<_>>(),
        "links": [
            {"rel": "self", "type": "application/json", "href": format!("{url}/predecessors?on={on}")},
            {"rel": "item", "type": "application/json", "href": url},
            {"rel": "related", "type": "application/json", "title": "沿革", "href": format!("{url}/lineage")},
        ],
    })
}

fn predecessor(found: &Predecessor, base: &str) -> Value {
    json!({
        "code": found.park.code,
        "name": found.park.name,
        "level": found.park.level,
        "common_area_m2": round_decimal(found.common_area_m2, 2),
        "common_area_ha": round_decimal(found.common_area_m2 / 10_000.0, 4),
        "common_area_mu": round_decimal(found.common_area_m2 * 3.0 / 2_000.0, 2),
        "share_of_this": round_decimal(found.share_of_this, 6),
        "share_of_that": round_decimal(found.share_of_that, 6),
        "illustrative": found.illustrative,
        "valid_from": found.park.valid_from.map(|day| day.to_string()),
        "valid_to": found.park.valid_to.map(|day| day.to_string()),
        "href": card_url(base, &found.park.code),
    })
}
