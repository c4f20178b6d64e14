//! `/api/control-zone-kinds`: what the kinds of control lines weigh and demand. The zones themselves are a layer like any other.
//!
//! Never: a rule of a kind.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::criteria::{decided_on, expected, only_json, tell};
use super::json_body::{self, Members};
use super::params::{Params, shorten};
use super::past::Past;
use super::problem::{Answer, Problem};
use super::representation::{self, Form};
use super::state::State;
use super::{auth, edits};
use crate::domain::access::Viewer;
use crate::domain::control_zone::{Effect, ZoneKind};
use crate::domain::layer::Visibility;
use crate::domain::overlap_check::Weight;
use crate::error::{Error, Result};
use crate::inventory::control_zones;
use crate::inventory::criteria::Expected;
use crate::inventory::ledgers::Done;
use crate::store::as_of;
use crate::store::control_zones::StoredKind;

/// What a client may send; what GET gives besides is not looked at.
const MEMBERS: [&str; 13] = [
    "code",
    "name",
    "name_en",
    "effect",
    "effect_label",
    "park_weight",
    "parcel_weight",
    "rule",
    "document",
    "is_default",
    "source",
    "version",
    "links",
];

/// `GET /api/control-zone-kinds`: all of them.
pub async fn list_zone_kinds(request: HttpRequest, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    let params = Params::read(&request, &["revision", "f"], |_| false)?;
    only_json(&params)?;
    let past = Past::read(&params, &state).await?;
    let (found, read) = control_zones::list(&state.pool, &viewer, past.revision).await?;
    let base = representation::base_url(&request, &state);
    let url = format!("{base}/api/control-zone-kinds");
    let kinds: Vec<Value> = found
        .iter()
        .map(|stored| {
            let mut shown = control_zones::kind_json(stored);
            shown["href"] = json!(format!("{url}/{}", stored.kind.code));
            shown
        })
        .collect();
    let links = json!([
        {"rel": "self", "type": "application/json", "href": format!("{url}?{}", representation::query_string(&params.without(&[]))).trim_end_matches('?')},
        {"rel": "items", "type": "application/geo+json", "title": "管控区域", "href": format!("{base}/api/collections/control_zones/items")},
    ]);
    let document = json!({"numberReturned": kinds.len(), "kinds": kinds, "links": links});
    past.mark(representation::json(None, &document), read, Visibility::Staff)
}

/// `GET /api/control-zone-kinds/{code}`.
pub async fn get_zone_kind(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    let params = Params::read(&request, &["revision", "f"], |_| false)?;
    only_json(&params)?;
    let past = Past::read(&params, &state).await?;
    let (stored, read) = control_zones::find(&state.pool, &viewer, &path, past.revision).await?;
    let etag = etag(&request, &state, &stored, past).await?;
    if representation::is_current(&request, &etag) {
        return representation::not_modified(&etag);
    }
    past.mark(representation::json(Some(&etag), &document(&request, &state, &stored)), read, Visibility::Staff)
}

/// `PUT /api/control-zone-kinds/{code}`: what the kind weighs and demands from now on.
pub async fn put_zone_kind(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let expect_none = expected(&request)? == Expected::Absent;
    let version = decided_on(&request, &state).await?;
    let body = json_body::bytes(&request, payload, &["application/json"], json_body::LIMIT).await?;
    let kind = kind_of(&path, &Members::parse(&body, &MEMBERS)?)?;
    let deed = edits::deed_of(&request, &viewer, version, &body)?;
    match control_zones::put(&state.pool, &deed, kind, expect_none).await {
        Ok(done) => stored(&request, &state, &viewer, &path, done).await,
        Err(error) => Err(refuse(&request, &state, &viewer, &path, error).await),
    }
}

/// `DELETE /api/control-zone-kinds/{code}`: what was said of it is taken back.
pub async fn end_zone_kind(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let deed = edits::deed_of(&request, &viewer, decided_on(&request, &state).await?, &[])?;
    match control_zones::end(&state.pool, &deed, &path).await {
        Ok(done) => {
            let mut response = HttpResponse::NoContent();
            tell(&done, |name, value| {
                response.insert_header((name, value));
            });
            Ok(response.finish())
        }
        Err(error) => Err(refuse(&request, &state, &viewer, &path, error).await),
    }
}

fn kind_of(code: &str, members: &Members) -> Result<ZoneKind> {
    if members.text("code")?.is_some_and(|given| given != code) {
        let detail = format!("请求内容中的 code 与地址（{}）不一致", shorten(code));
        return Err(Error::invalid("value_invalid", detail));
    }
    let weight = |name: &str| {
        let text = members.needed_text(name)?;
        Weight::parse(&text).ok_or_else(|| unknown(name, &text, Weight::ALL.iter().map(|weight| weight.as_str())))
    };
    let effect = members.needed_text("effect")?;
    Ok(ZoneKind {
        code: code.to_owned(),
        name: members.needed_text("name")?,
        name_en: members.needed_text("name_en")?,
        effect: Effect::parse(&effect)
            .ok_or_else(|| unknown("effect", &effect, Effect::ALL.iter().map(|effect| effect.as_str())))?,
        park_weight: weight("park_weight")?,
        parcel_weight: weight("parcel_weight")?,
        rule: members.text("rule")?.unwrap_or_default(),
        document: members.text("document")?.unwrap_or_default(),
    })
}

fn unknown<'a>(name: &str, given: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.collect();
    Error::invalid("value_invalid", format!("{name} 应为 {} 之一，不是“{}”", known.join("、"), shorten(given)))
}

/// A strong tag with the kind's own version, which an edit names; of the past a mark of its revision.
async fn etag(request: &HttpRequest, state: &State, stored: &StoredKind, past: Past) -> Result<String> {
    let base = representation::base_url(request, state);
    let mark = as_of::mark(&state.pool, past.revision).await?;
    let weak = representation::etag(request, &base, Form::Json, &mark);
    if past.revision.is_some() {
        return Ok(weak);
    }
    let rest = weak.trim_start_matches("W/").trim_matches('"');
    Ok(format!("\"v{}-{rest}\"", stored.version))
}

fn document(request: &HttpRequest, state: &State, stored: &StoredKind) -> Value {
    let base = representation::base_url(request, state);
    let url = format!("{base}/api/control-zone-kinds");
    let mut document = control_zones::kind_json(stored);
    document["links"] = json!([
        {"rel": "self", "type": "application/json", "href": format!("{url}/{}", stored.kind.code)},
        {"rel": "collection", "type": "application/json", "title": "管控类型", "href": url},
        {"rel": "items", "type": "application/geo+json", "title": "管控区域",
         "href": format!("{base}/api/collections/control_zones/items?kind={}", stored.kind.code)},
    ]);
    document
}

async fn stored(request: &HttpRequest, state: &web::Data<State>, viewer: &Viewer, code: &str, done: Done) -> Answer {
    let (stored, _) = control_zones::find(&state.pool, viewer, code, None).await?;
    let etag = etag(request, state, &stored, Past::none()).await?;
    let mut answer = representation::json(Some(&etag), &document(request, state, &stored))?;
    let headers = answer.headers_mut();
    tell(&done, |name, value| {
        headers.insert(name, value);
    });
    if done.created {
        let base = representation::base_url(request, state);
        if let Ok(location) = HeaderValue::from_str(&format!("{base}/api/control-zone-kinds/{code}")) {
            headers.insert(header::LOCATION, location);
        }
        *answer.status_mut() = StatusCode::CREATED;
    }
    Ok(answer)
}

/// The refusal; of a stale version with what stands.
async fn refuse(request: &HttpRequest, state: &web::Data<State>, viewer: &Viewer, code: &str, error: Error) -> Problem {
    let is_stale = matches!(error, Error::Stale { .. });
    let problem = Problem::from(error);
    if !is_stale {
        return problem;
    }
    match control_zones::find(&state.pool, viewer, code, None).await {
        Ok((stored, _)) => {
            problem.with("current_version", json!(stored.version)).with("current", document(request, state, &stored))
        }
        Err(_) => problem.with("current", Value::Null),
    }
}
