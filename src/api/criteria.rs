//! `/api/criteria` and `…/items/{item}/criteria`: sets of criteria for “low-efficient” by division and year, and what they say of a parcel.
//!
//! A set is replaced as a whole, on the version that `If-Match` names, or entered by `If-None-Match: *`. Never: a rule of a criterion.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::auth;
use super::collections::layer_of;
use super::edits;
use super::if_match;
use super::item::item_not_found;
use super::json_body::{self, Members};
use super::params::{Params, shorten};
use super::past::Past;
use super::problem::{Answer, Problem};
use super::representation;
use super::state::State;
use crate::domain::access::Viewer;
use crate::domain::items_query::DEFAULT_LIMIT;
use crate::domain::layer::Visibility;
use crate::domain::ledger::criteria::{Draft, Given, Member};
use crate::domain::ledger::{FieldKind, FieldValue};
use crate::domain::{DivisionCode, Finding, Ledger, Place};
use crate::error::{Error, Result};
use crate::inventory::criteria::{self, Expected};
use crate::inventory::ledgers::Done;
use crate::store::criteria::{SetFilter, StoredSet};

/// Largest set, in bytes: 200 criteria with long notes.
const SET_LIMIT: usize = 1024 * 1024;

/// `GET /api/criteria`: which sets there are.
pub async fn list_criteria(request: HttpRequest, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    let params = Params::read(&request, &["division", "year", "revision", "limit", "offset", "f"], |_| false)?;
    only_json(&params)?;
    let filter = SetFilter {
        division: params.text("division").map(|text| division(&text)).transpose()?,
        year: params.text("year").map(|text| year(&text)).transpose()?,
    };
    let (limit, offset) = (params.limit(DEFAULT_LIMIT)?, params.offset()?);
    let past = Past::read(&params, &state).await?;
    let (found, matched, read) = criteria::list(&state.pool, &viewer, &filter, (limit, offset), past.revision).await?;
    let base = representation::base_url(&request, &state);
    let url = format!("{base}/api/criteria");
    let sets: Vec<Value> = found
        .iter()
        .map(|summary| {
            let mut shown = criteria::summary_json(summary);
            shown["href"] = json!(format!("{url}/{}/{}", summary.division, summary.year));
            shown
        })
        .collect();
    let href = |pairs: &[(String, String)]| format!("{url}?{}", representation::query_string(pairs));
    let mut links = vec![json!({"rel": "self", "type": "application/json", "href": href(&params.without(&[]))})];
    let next = i64::from(offset) + i64::try_from(sets.len()).unwrap_or(0);
    if next < matched && !sets.is_empty() {
        let mut pairs = params.with("offset", &next.to_string());
        past.settle(&mut pairs);
        links.push(json!({"rel": "next", "type": "application/json", "href": href(&pairs)}));
    }
    let document = json!({"numberMatched": matched, "numberReturned": sets.len(), "sets": sets, "links": links});
    past.mark(representation::json(None, &document), read, Visibility::Internal)
}

/// `GET /api/criteria/{division}/{year}`.
pub async fn get_criteria(request: HttpRequest, path: web::Path<(String, String)>, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    let params = Params::read(&request, &["revision", "f"], |_| false)?;
    only_json(&params)?;
    let (division, year) = key(&path)?;
    let past = Past::read(&params, &state).await?;
    let (stored, read) = criteria::find(&state.pool, &viewer, &division, year, past.revision).await?;
    let etag = representation::record_etag(&request, &state, stored.version, past).await?;
    if representation::is_current(&request, &etag) {
        return representation::not_modified(&etag);
    }
    let document = document(&request, &state, &stored);
    past.mark(representation::json(Some(&etag), &document), read, Visibility::Internal)
}

/// `PUT /api/criteria/{division}/{year}`: these criteria in the place of all.
pub async fn replace_criteria(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let (division, year) = key(&path)?;
    let expected = expected(&request)?;
    let version = decided_on(&request, &state).await?;
    let body = json_body::bytes(&request, payload, &["application/json"], SET_LIMIT).await?;
    let members = Members::parse(&body, &["division", "name", "year", "version", "source", "criteria", "links"])?;
    check_key(&members, &division, year)?;
    let drafts = drafts(&members)?;
    let deed = edits::deed_of(&request, &viewer, version, &body)?;
    match criteria::put(&state.pool, &deed, (&division, year), drafts, expected).await {
        Ok(done) => stored(&request, &state, &viewer, (&division, year), done).await,
        Err(error) => Err(refuse(&request, &state, &viewer, (&division, year), error).await),
    }
}

/// `DELETE /api/criteria/{division}/{year}`: the set stands no more; the log keeps it.
pub async fn end_criteria(request: HttpRequest, path: web::Path<(String, String)>, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let (division, year) = key(&path)?;
    let deed = edits::deed_of(&request, &viewer, decided_on(&request, &state).await?, &[])?;
    match criteria::end(&state.pool, &deed, &division, year).await {
        Ok(done) => {
            let mut response = HttpResponse::NoContent();
            tell(&done, |name, value| {
                response.insert_header((name, value));
            });
            Ok(response.finish())
        }
        Err(error) => Err(refuse(&request, &state, &viewer, (&division, year), error).await),
    }
}

/// `GET …/items/{item}/criteria`: the verdict on a parcel by the set that applies to it.
pub async fn judge_item(request: HttpRequest, path: web::Path<(String, String)>, state: web::Data<State>) -> Answer {
    let (collection, id) = path.into_inner();
    let viewer = auth::viewer(&request, &state).await?;
    let layer = layer_of(&state, &collection, &viewer)?;
    if Ledger::of_layer(layer.id) != Some(Ledger::LowEfficiency) {
        return Err(Problem::no_such_address());
    }
    let params = Params::read(&request, &["year", "revision", "f"], |_| false)?;
    only_json(&params)?;
    let asked = params.text("year").map(|text| year(&text)).transpose()?;
    let past = Past::read(&params, &state).await?;
    let judged = match id.contains('\0') {
        true => None,
        false => criteria::judge_parcel(&state.pool, &viewer, &id, asked, past.revision).await?,
    };
    let judged = judged.ok_or_else(|| item_not_found(layer, &id))?;
    let base = representation::base_url(&request, &state);
    let url = format!("{base}/api/collections/{}/items/{}", layer.id, representation::encode(&id));
    let mut document = judged.document;
    let mut links = vec![
        json!({"rel": "self", "type": "application/json", "href": format!("{url}/criteria?{}", representation::query_string(&params.without(&[]))).trim_end_matches('?')}),
        json!({"rel": "item", "type": "application/geo+json", "href": url}),
    ];
    if let Some((division, year)) = judged.set {
        let href = format!("{base}/api/criteria/{division}/{year}");
        links.push(json!({"rel": "describedby", "type": "application/json", "title": "认定标准", "href": href}));
    }
    document["links"] = Value::Array(links);
    past.mark(representation::json(None, &document), judged.revision, layer.visibility)
}

/// There is nothing but JSON here.
pub(super) fn only_json(params: &Params) -> Result<()> {
    match params.get("f") {
        None | Some("json") => Ok(()),
        Some(other) => Err(Error::invalid("value_invalid", format!("f 应为 json，不是“{}”", shorten(other)))),
    }
}

fn division(text: &str) -> Result<DivisionCode> {
    DivisionCode::parse(text).map_err(|reason| Error::invalid("value_invalid", reason.to_string()))
}

fn year(text: &str) -> Result<i32> {
    let year = match FieldKind::Year.parse(text) {
        Ok(FieldValue::Integer(year)) => Some(year),
        _ => None,
    };
    year.filter(|_| text.len() == 4).ok_or_else(|| {
        Error::invalid("value_invalid", format!("年度应为四位数的年份（1949 至 2200），不是“{}”", shorten(text)))
    })
}

fn key(path: &(String, String)) -> Result<(DivisionCode, i32)> {
    Ok((division(&path.0)?, year(&path.1)?))
}

/// The version that the client decided on, the newest of several; 0, which no set has, where it named none of this register's.
pub(super) async fn decided_on(request: &HttpRequest, state: &State) -> Result<Option<i64>> {
    let versions = if_match::versions(request, &state.pool).await?;
    Ok(versions.map(|versions| versions.into_iter().max().unwrap_or_default()))
}

/// `If-None-Match: *`: there must be none yet.
pub(super) fn expected(request: &HttpRequest) -> Result<Expected> {
    let mut tags = request.headers().get_all(header::IF_NONE_MATCH);
    match (tags.next(), tags.next()) {
        (None, _) => Ok(Expected::Version),
        (Some(tag), None) if tag.as_bytes().trim_ascii() == b"*" => Ok(Expected::Absent),
        _ => Err(Error::invalid("if_match_invalid", "PUT 的 If-None-Match 只能是 *，表示还没有这套标准")),
    }
}

/// What GET gave may be sent back; it must still be about this set.
fn check_key(members: &Members, division: &DivisionCode, year: i32) -> Result<()> {
    let other_division = members.text("division")?.is_some_and(|given| given != division.as_str());
    if other_division || members.integer("year")?.is_some_and(|given| given != i64::from(year)) {
        let detail = format!("请求内容中的 division、year 与地址（{division}、{year}）不一致");
        return Err(Error::invalid("value_invalid", detail));
    }
    Ok(())
}

/// The members of each criterion; one that is not known is named with its place.
fn drafts(members: &Members) -> Result<Vec<Draft>> {
    let list = members.objects("criteria")?.ok_or_else(|| Error::invalid("member_missing", "缺少成员 criteria"))?;
    let mut findings = Vec::new();
    let mut drafts = Vec::with_capacity(list.len());
    for (row, given) in (1..).zip(&list) {
        let mut draft = Draft::new(row);
        for (name, value) in given.pairs() {
            match Member::ALL.into_iter().find(|member| member.as_str() == name) {
                Some(member) => {
                    if let Some(value) = given_of(value) {
                        draft.put(member, value);
                    }
                }
                None => {
                    let name = shorten(name);
                    let known = Member::ALL.map(Member::as_str).join("、");
                    let message = format!("第 {row} 条：不认识成员“{name}”；可用的成员：{known}");
                    findings.push(Finding::error("member_unknown", Place::row(row).field(name), message));
                }
            }
        }
        drafts.push(draft);
    }
    if findings.is_empty() {
        return Ok(drafts);
    }
    let detail = format!("认定标准有 {} 处问题，没有写入；见 findings", findings.len());
    Err(Error::Invalid { code: "criteria_invalid", detail, findings })
}

/// What is neither text, number, flag nor a list of texts is a list of nothing, which no member takes.
fn given_of(value: &Value) -> Option<Given> {
    let texts = |list: &Vec<Value>| list.iter().map(|one| one.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
    Some(match value {
        Value::Null => return None,
        Value::String(text) => Given::Text(text.clone()),
        Value::Bool(flag) => Given::Flag(*flag),
        Value::Number(number) => Given::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::Array(list) => Given::Texts(texts(list).unwrap_or_default()),
        Value::Object(_) => Given::Texts(Vec::new()),
    })
}

fn document(request: &HttpRequest, state: &State, stored: &StoredSet) -> Value {
    let base = representation::base_url(request, state);
    let url = format!("{base}/api/criteria/{}/{}", stored.set.division, stored.set.year);
    let mut document = criteria::set_json(stored);
    document["links"] = json!([
        {"rel": "self", "type": "application/json", "href": url},
        {"rel": "collection", "type": "application/json", "title": "低效用地认定标准", "href": format!("{base}/api/criteria")},
    ]);
    document
}

pub(super) fn tell(done: &Done, mut put: impl FnMut(header::HeaderName, HeaderValue)) {
    for (name, value) in edits::marks(done.revision, done.replayed) {
        put(name, value);
    }
}

/// The stored set, as GET gives it.
async fn stored(
    request: &HttpRequest,
    state: &web::Data<State>,
    viewer: &Viewer,
    key: (&DivisionCode, i32),
    done: Done,
) -> Answer {
    let (stored, _) = criteria::find(&state.pool, viewer, key.0, key.1, None).await?;
    let etag = representation::record_etag(request, state, stored.version, Past::none()).await?;
    let mut answer = representation::json(Some(&etag), &document(request, state, &stored))?;
    let headers = answer.headers_mut();
    tell(&done, |name, value| {
        headers.insert(name, value);
    });
    if done.created {
        let base = representation::base_url(request, state);
        if let Ok(location) = HeaderValue::from_str(&format!("{base}/api/criteria/{}/{}", key.0, key.1)) {
            headers.insert(header::LOCATION, location);
        }
        *answer.status_mut() = StatusCode::CREATED;
    }
    Ok(answer)
}

/// The refusal; of a stale version with what stands.
async fn refuse(
    request: &HttpRequest,
    state: &web::Data<State>,
    viewer: &Viewer,
    key: (&DivisionCode, i32),
    error: Error,
) -> Problem {
    let is_stale = matches!(error, Error::Stale { .. });
    let problem = Problem::from(error);
    if !is_stale {
        return problem;
    }
    match criteria::find(&state.pool, viewer, key.0, key.1, None).await {
        Ok((stored, _)) => {
            problem.with("current_version", json!(stored.version)).with("current", document(request, state, &stored))
        }
        Err(_) => problem.with("current", Value::Null),
    }
}
