//! Boundary changes (调区扩区): proposed, assessed, moved on, decided. Internal: who looks after the park sees them.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use serde_json::{Map, Value, json};

use super::auth;
use super::boundary_pages;
use super::crs;
use super::edits::{self, FEATURE_LIMIT, day};
use super::html;
use super::if_match;
use super::json_body::{self, Members};
use super::list_page::ListPage;
use super::params::{Params, shorten};
use super::park_json::card_url;
use super::problem::Answer;
use super::representation::{self, link};
use super::state::State;
use crate::domain::ParkCode;
use crate::domain::access::Viewer;
use crate::domain::boundary_change::{State as Stage, words_of_states};
use crate::error::{Error, Result};
use crate::inventory::boundary_change::assess::{self, Assessment};
use crate::inventory::boundary_change::{self, Detail, Draft, MoveRequest, Outcome, wire};
use crate::inventory::{today, wire as findings};
use crate::store::as_of;
use crate::store::boundary_changes::{ChangeRow, ListQuery};

/// Features, landmarks of one body; fewer may be kept, and a proposal of more says how many.
const MOST_LISTED: usize = 10_000;

pub(super) const PROPOSAL: [&str; 8] =
    ["type", "park", "title", "reason", "proposed_on", "area", "landmarks", "features"];
const REPLACEMENT: [&str; 7] = ["type", "title", "reason", "area", "landmarks", "features", "seen_revision"];
pub(super) const TRANSITION: [&str; 8] =
    ["to", "on", "effective_on", "document_no", "document_title", "note", "assessed_revision", "seen_revision"];

/// `GET /api/boundary-changes`: newest first.
pub async fn list_boundary_changes(request: HttpRequest, state: web::Data<State>) -> Answer {
    let viewer = auth::staff(&request, &state).await?;
    let params = Params::read(&request, &["park", "state", "limit", "before"], |_| false)?;
    let page = ListPage::of(&params)?;
    let query = ListQuery {
        park: params.text("park").map(|text| park_of("park", &text)).transpose()?,
        states: states_of(&params)?,
        before: params.text("before").map(|id| shorten(&id)),
        limit: page.rows(),
    };
    let mut changes = boundary_change::list(&state.pool, &viewer, &query).await?;
    let base = representation::base_url(&request, &state);
    let url = format!("{base}/api/boundary-changes");
    let links = page.cut(&mut changes, (&url, "application/json"), "before", |last| last.id.clone());
    let list: Vec<Value> = changes.iter().map(|change| with_links(wire::change(change), change, &base)).collect();
    answer(HttpResponse::Ok(), &json!({"numberReturned": list.len(), "changes": list, "links": links}))
}

/// `POST /api/boundary-changes`: a GeoJSON collection of the whole new boundary, block by block. `dry_run=true` tells what it would mean.
pub async fn create_boundary_change(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    crs::only_crs84(&request)?;
    let dry_run = Params::read(&request, &["dry_run"], |_| false)?.flag("dry_run")?;
    let body = json_body::bytes(&request, payload, &TYPES, FEATURE_LIMIT).await?;
    let members = Members::parse(&body, &PROPOSAL)?;
    let park = park_of("park", &members.needed_text("park")?)?;
    let draft = draft_of(&members)?;
    let deed = edits::deed_of(&request, &viewer, None, &body)?;
    let outcome = boundary_change::propose(&state.pool, &deed, &park, draft, dry_run).await?;
    told(&request, &state, &viewer, &outcome, true).await
}

const TYPES: [&str; 2] = ["application/geo+json", "application/json"];

/// `GET /api/boundary-changes/{id}`: with its steps; `f=geojson` gives the boundary as `PUT` takes it.
pub async fn get_boundary_change(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::staff(&request, &state).await?;
    let params = Params::read(&request, &["f"], |_| false)?;
    let form = form_of(&params, &["json", "geojson"])?;
    let mark = as_of::mark(&state.pool, None).await?;
    let detail = boundary_change::get(&state.pool, &viewer, &path).await?;
    let etag = etag(&detail.change, &mark, &viewer, form);
    if representation::is_current(&request, &etag) {
        return representation::not_modified(&etag);
    }
    if form == "geojson" {
        let mut response = HttpResponse::Ok();
        response.insert_header((header::ETAG, etag));
        return geojson(response, &wire::proposal_geojson(&detail));
    }
    let base = representation::base_url(&request, &state);
    let mut response = HttpResponse::Ok();
    response.insert_header((header::ETAG, etag));
    answer(response, &with_links(wire::detail(&detail), &detail.change, &base))
}

/// `PUT /api/boundary-changes/{id}`: a new proposal in the place of the old one, while nobody reviews it.
pub async fn replace_boundary_change(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    crs::only_crs84(&request)?;
    let dry_run = Params::read(&request, &["dry_run"], |_| false)?.flag("dry_run")?;
    let body = json_body::bytes(&request, payload, &TYPES, FEATURE_LIMIT).await?;
    let members = Members::parse(&body, &REPLACEMENT)?;
    let (draft, seen) = (draft_of(&members)?, revision_of(&members, "seen_revision")?);
    let version = decided_on(&request, &state, &viewer, &path).await?;
    let deed = edits::deed_of(&request, &viewer, version, &body)?;
    let outcome = boundary_change::replace(&state.pool, &deed, &path, seen, draft, dry_run).await?;
    told(&request, &state, &viewer, &outcome, false).await
}

/// `GET /api/boundary-changes/{id}/assessment`: what it would mean, against the register as it stands.
pub async fn get_boundary_assessment(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    let params = Params::read(&request, &["f"], |_| false)?;
    let form = form_of(&params, &["json", "geojson", "html"])?;
    let detail = boundary_change::get(&state.pool, &viewer, &path).await?;
    let assessment = assessed(&state, &viewer, &detail).await?;
    let base = representation::base_url(&request, &state);
    let url = change_url(&base, &detail.change.id);
    match form {
        "geojson" => geojson(HttpResponse::Ok(), &wire::assessment_geojson(&assessment)),
        "html" => {
            let title = format!("{}评估：{}", detail.change.kind.label(), detail.change.title);
            let page_url = format!("{url}/assessment");
            let page = web::block(move || boundary_pages::assessment(&detail, &assessment, &page_url));
            let body = page.await.map_err(|cause| Error::internal("生成报告时程序出错", cause))?;
            representation::html(None, html::page(&base, &title, &body, &format!("{url}/assessment?f=json")))
        }
        _ => answer(HttpResponse::Ok(), &assessment_json(&assessment, &detail, &base)),
    }
}

/// `POST /api/boundary-changes/{id}/transitions`: the next step; the approval rewrites the register. `dry_run=true` tries it.
pub async fn create_boundary_transition(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    let dry_run = Params::read(&request, &["dry_run"], |_| false)?.flag("dry_run")?;
    let body = json_body::bytes(&request, payload, &["application/json"], json_body::LIMIT).await?;
    let members = Members::parse(&body, &TRANSITION)?;
    let wanted = move_of(&members, dry_run)?;
    let version = decided_on(&request, &state, &viewer, &path).await?;
    let deed = edits::deed_of(&request, &viewer, version, &body)?;
    let outcome = boundary_change::transition(&state.pool, &deed, &path, &wanted).await?;
    told(&request, &state, &viewer, &outcome, false).await
}

async fn assessed(state: &State, viewer: &Viewer, detail: &Detail) -> Result<Assessment> {
    assess::assess(&state.pool, &state.checks, viewer, &state.layers, detail, today()).await
}

fn assessment_json(assessment: &Assessment, detail: &Detail, base: &str) -> Value {
    let url = change_url(base, &detail.change.id);
    let mut document = Map::new();
    document.insert("change".into(), json!(detail.change.id));
    document.extend(wire::assessment(assessment));
    let links = json!([
        link("self", &format!("{url}/assessment")),
        link("up", &url),
        {"rel": "alternate", "type": "application/geo+json", "href": format!("{url}/assessment?f=geojson")},
        {"rel": "alternate", "type": "text/html", "href": format!("{url}/assessment?f=html")},
    ]);
    document.insert("links".into(), links);
    Value::Object(document)
}

/// What came, or would come, of a deed.
async fn told(
    request: &HttpRequest,
    state: &web::Data<State>,
    viewer: &Viewer,
    outcome: &Outcome,
    is_new: bool,
) -> Answer {
    let base = representation::base_url(request, state);
    let dry_run = outcome.revision.is_none();
    let change = &outcome.detail.change;
    let mut document = wire::detail(&outcome.detail);
    document.insert("dry_run".into(), json!(dry_run));
    document.insert("warnings".into(), findings::findings(&outcome.warnings));
    if dry_run {
        // Of what was not written there is neither number nor address.
        document.insert("revision".into(), Value::Null);
        if is_new {
            document.insert("id".into(), Value::Null);
        }
        if change.state == Stage::Proposed {
            let assessment = assessed(state, viewer, &outcome.detail).await?;
            document.insert("assessment".into(), Value::Object(wire::assessment(&assessment)));
        }
        document.insert("links".into(), json!([]));
        return answer(HttpResponse::Ok(), &Value::Object(document));
    }
    let mark = as_of::mark(&state.pool, None).await?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    if is_new {
        response.insert_header((header::LOCATION, change_url(&base, &change.id)));
    }
    edits::mark(&mut response, outcome.revision, outcome.replayed);
    response.insert_header((header::ETAG, etag(change, &mark, viewer, "json")));
    answer(response, &with_links(document, change, &base))
}

/// The version that the client decided on; of several that it holds the one that stands.
async fn decided_on(request: &HttpRequest, state: &State, viewer: &Viewer, id: &str) -> Result<Option<i64>> {
    let Some(versions) = if_match::versions(request, &state.pool).await? else { return Ok(None) };
    match versions.as_slice() {
        [] => {
            let detail = "If-Match 中没有本登记库给出的强 ETag；请重新取得该调区扩区";
            Err(Error::Stale { detail: detail.to_owned() })
        }
        [only] => Ok(Some(*only)),
        [first, ..] => {
            let standing = boundary_change::get(&state.pool, viewer, id).await?.change.revision;
            Ok(Some(if versions.contains(&standing) { standing } else { *first }))
        }
    }
}

pub(super) fn draft_of(members: &Members) -> Result<Draft> {
    if members.text("type")?.is_some_and(|kind| kind != "FeatureCollection") {
        return Err(Error::invalid("member_invalid", "成员 type 应为 FeatureCollection"));
    }
    let area = match members.value("area") {
        None => Map::new(),
        Some(Value::Object(area)) => area.clone(),
        Some(_) => return Err(Error::invalid("member_invalid", "成员 area 应为对象")),
    };
    Ok(Draft {
        title: members.text("title")?.unwrap_or_default(),
        reason: members.text("reason")?,
        proposed_on: members.text("proposed_on")?.map(|text| day("proposed_on", &text)).transpose()?,
        area,
        features: members.values("features", MOST_LISTED)?.unwrap_or_default(),
        landmarks: members.values("landmarks", MOST_LISTED)?.unwrap_or_default(),
    })
}

/// A step of a change, as a body or a scenario says it.
pub(super) fn move_of(members: &Members, dry_run: bool) -> Result<MoveRequest> {
    let of_day = |name: &str| members.text(name)?.map(|text| day(name, &text)).transpose();
    Ok(MoveRequest {
        to: members.needed_text("to")?,
        on: of_day("on")?,
        effective_on: of_day("effective_on")?,
        document_no: members.text("document_no")?,
        document_title: members.text("document_title")?,
        note: members.text("note")?,
        assessed_revision: revision_of(members, "assessed_revision")?,
        seen: revision_of(members, "seen_revision")?,
        dry_run,
    })
}

fn revision_of(members: &Members, name: &str) -> Result<Option<i64>> {
    match members.integer(name)? {
        Some(number) if number < 0 => Err(Error::invalid("member_invalid", format!("成员 {name} 应为不小于 0 的整数"))),
        other => Ok(other),
    }
}

pub(super) fn park_of(name: &str, text: &str) -> Result<ParkCode> {
    ParkCode::parse(text).map_err(|cause| Error::invalid("value_invalid", format!("{name}：{cause}")))
}

fn states_of(params: &Params) -> Result<Vec<Stage>> {
    let Some(list) = params.text("state") else { return Ok(Vec::new()) };
    let one = |word: &str| {
        let unknown = || {
            let detail = format!("参数 state 应为 {} 之一，不是“{}”", words_of_states(), shorten(word));
            Error::invalid("value_invalid", detail)
        };
        Stage::parse(word.trim()).ok_or_else(unknown)
    };
    list.split(',').map(one).collect()
}

fn form_of<'f>(params: &Params, forms: &[&'f str]) -> Result<&'f str> {
    let wanted = params.text("f").unwrap_or_else(|| "json".to_owned());
    forms.iter().copied().find(|form| *form == wanted).ok_or_else(|| {
        let detail = format!("参数 f 应为 {} 之一，不是“{}”", forms.join("、"), shorten(&wanted));
        Error::invalid("value_invalid", detail)
    })
}

/// Strong, with the version that an edit names in `If-Match`.
fn etag(change: &ChangeRow, mark: &str, viewer: &Viewer, form: &str) -> String {
    format!("\"v{}-r{mark}-{}-{form}\"", change.revision, auth::scope_mark(viewer))
}

fn with_links(mut document: Map<String, Value>, change: &ChangeRow, base: &str) -> Value {
    let url = change_url(base, &change.id);
    let links = json!([
        link("self", &url),
        {"rel": "alternate", "type": "application/geo+json", "href": format!("{url}?f=geojson")},
        link("assessment", &format!("{url}/assessment")),
        {"rel": "assessment", "type": "text/html", "href": format!("{url}/assessment?f=html")},
        link("transitions", &format!("{url}/transitions")),
        link("park", &format!("{}?f=json", card_url(base, change.park.as_str()))),
    ]);
    document.insert("links".into(), links);
    Value::Object(document)
}

fn change_url(base: &str, id: &str) -> String {
    format!("{base}/api/boundary-changes/{id}")
}

/// No cache may keep these answers without asking: they are for whoever has asked.
fn answer(response: HttpResponseBuilder, document: &Value) -> Answer {
    body_of(response, "application/json; charset=utf-8", document)
}

fn geojson(response: HttpResponseBuilder, document: &Value) -> Answer {
    body_of(response, "application/geo+json; charset=utf-8", document)
}

fn body_of(mut response: HttpResponseBuilder, kind: &'static str, document: &Value) -> Answer {
    response.insert_header((header::CONTENT_TYPE, kind)).insert_header((header::CACHE_CONTROL, "private, no-cache"));
    Ok(response.body(document.to_string()))
}
