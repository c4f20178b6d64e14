//! Single records of the ledgers: OGC API Features Part 4 (POST, PUT, PATCH, DELETE = end of life), moves between states, plan steps.
//!
//! Every edit names the version it was decided on by `If-Match` (`api::if_match`); a stale one gets 412 with both versions, none at all 428. An
//! `Idempotency-Key` makes a repetition harmless. Never: a rule of a ledger.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use chrono::NaiveDate;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::auth;
use super::collections::layer_of;
use super::crs;
use super::if_match;
use super::in_memory;
use super::item::{self, Asked, OwnWrite, item_not_found};
use super::items;
use super::json_body::{self, Members};
use super::json_strict;
use super::params::{Params, parse_day, shorten};
use super::past::REVISION_HEADER;
use super::problem::{Answer, Problem};
use super::representation::{self, Form};
use super::state::State;
use crate::domain::access::Viewer;
use crate::domain::items_query::Shape;
use crate::domain::layer::Layer;
use crate::domain::published_crs::PublishedCrs;
use crate::domain::{Finding, Ledger};
use crate::error::{Error, Result};
use crate::geometry::published;
use crate::inventory::ledgers::{self, Deed, Done, Edit, Mode, MoveRequest, StepInput, Written};
use crate::inventory::today;
use crate::store::features;

/// Largest feature, in bytes (reliability.md: JSON body 5 MB).
pub(super) const FEATURE_LIMIT: usize = 5 * 1024 * 1024;
/// Types in which a feature may come.
const FEATURE_TYPES: [&str; 2] = ["application/geo+json", "application/json"];
/// Types in which a part of one may come.
const MERGE_TYPES: [&str; 3] = ["application/merge-patch+json", "application/geo+json", "application/json"];

/// Says that this request had been done before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// `POST …/items`: a new record.
pub async fn create_item(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let target = Target::of(&request, &state, &path, None).await?;
    target.write(&request, &state, payload, Mode::Create).await
}

/// `PUT …/items/{id}`: what is not given is cleared.
pub async fn replace_item(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let target = Target::of(&request, &state, &path.0, Some(&path.1)).await?;
    target.write(&request, &state, payload, Mode::Replace).await
}

/// `PATCH …/items/{id}`: what is not given stays.
pub async fn update_item(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let target = Target::of(&request, &state, &path.0, Some(&path.1)).await?;
    target.write(&request, &state, payload, Mode::Merge).await
}

/// `DELETE …/items/{id}`: its life ends; it stays readable by its dates and its history.
pub async fn end_item(request: HttpRequest, path: web::Path<(String, String)>, state: web::Data<State>) -> Answer {
    let target = Target::of(&request, &state, &path.0, Some(&path.1)).await?;
    let params = Params::read(&request, &["effective_on", "reason"], |_| false)?;
    let on = params.get("effective_on").map(|text| day("effective_on", text)).transpose()?;
    let deed = target.deed(&request, &[])?;
    let reason = params.text("reason");
    match ledgers::end_life(&state.pool, &deed, target.ledger, &path.1, on, reason.as_deref()).await {
        Ok(done) => {
            let mut response = HttpResponse::NoContent();
            mark(&mut response, done.revision, done.replayed);
            Ok(response.finish())
        }
        Err(error) => Err(target.refuse(&request, &state, error, None).await),
    }
}

/// `POST …/items/{id}/transitions`: a move into another state.
pub async fn create_transition(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let target = Target::of(&request, &state, &path.0, Some(&path.1)).await?;
    Params::read(&request, &[], |_| false)?;
    let body = json_body::bytes(&request, payload, &["application/json"], json_body::LIMIT).await?;
    let members = Members::parse(&body, &["to", "effective_on", "document_no", "reason"])?;
    let wanted = move_of(&members)?;
    let deed = target.deed(&request, &body)?;
    match ledgers::transition(&state.pool, &deed, target.ledger, &path.1, &wanted).await {
        Ok(done) => target.stored(&request, &state, done, &[]).await,
        Err(error) => Err(target.refuse(&request, &state, error, None).await),
    }
}

/// The move that a body asks for.
pub(super) fn move_of(members: &Members) -> Result<MoveRequest> {
    Ok(MoveRequest {
        to: members.needed_text("to")?,
        effective_on: members.text("effective_on")?.map(|text| day("effective_on", &text)).transpose()?,
        document_no: members.text("document_no")?,
        reason: members.text("reason")?,
    })
}

/// What the choice was made from; without it nobody would know of a change in between.
pub(super) fn seen_revision(members: &Members) -> Result<i64> {
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

/// Headers that say which revision was written, and whether this very request had been done before.
pub(super) fn marks(revision: Option<i64>, replayed: bool) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let revision = revision.map(|revision| (REVISION_HEADER, HeaderValue::from(revision)));
    let replayed = replayed.then(|| (REPLAYED, HeaderValue::from_static("true")));
    revision.into_iter().chain(replayed)
}

/// Puts [`marks`] on an answer to come.
pub(super) fn mark(response: &mut HttpResponseBuilder, revision: Option<i64>, replayed: bool) {
    for header in marks(revision, replayed) {
        response.insert_header(header);
    }
}

/// `GET …/items/{id}/transitions`: every move, the first one first, and what may follow now.
pub async fn list_transitions(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    state: web::Data<State>,
) -> Answer {
    let target = Target::of(&request, &state, &path.0, Some(&path.1)).await?;
    Params::read(&request, &["f"], |_| false)?;
    let told = ledgers::list_transitions(&state.pool, &target.viewer, target.ledger, &path.1).await?;
    let base = representation::base_url(&request, &state);
    let mut document = told.ok_or_else(|| item_not_found(target.layer, &path.1))?;
    let url = target.url(&base, &path.1);
    document["links"] = json!([
        {"rel": "self", "type": "application/json", "href": format!("{url}/transitions")},
        {"rel": "item", "type": "application/geo+json", "href": url},
    ]);
    representation::json(None, &document)
}

/// `GET …/items/{id}/steps` of a plan.
pub async fn list_steps(request: HttpRequest, path: web::Path<(String, String)>, state: web::Data<State>) -> Answer {
    let target = Target::of(&request, &state, &path.0, Some(&path.1)).await?;
    Params::read(&request, &["f"], |_| false)?;
    target.must_be_plan()?;
    let steps = ledgers::list_steps(&state.pool, &target.viewer, &path.1).await?;
    let steps = steps.ok_or_else(|| item_not_found(target.layer, &path.1))?;
    representation::json(None, &json!({"plan": path.1, "steps": steps}))
}

/// `PUT …/items/{id}/steps` of a plan: these in the place of all.
pub async fn replace_steps(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let target = Target::of(&request, &state, &path.0, Some(&path.1)).await?;
    Params::read(&request, &[], |_| false)?;
    target.must_be_plan()?;
    let body = json_body::bytes(&request, payload, &["application/json"], json_body::LIMIT).await?;
    let steps = steps_of(&Members::parse(&body, &["steps"])?)?;
    let deed = target.deed(&request, &body)?;
    match ledgers::replace_steps(&state.pool, &deed, &path.1, &steps).await {
        Ok(done) => target.stored(&request, &state, done, &[]).await,
        Err(error) => Err(target.refuse(&request, &state, error, None).await),
    }
}

fn steps_of(members: &Members) -> Result<Vec<StepInput>> {
    let list = members.objects("steps")?.ok_or_else(|| Error::invalid("member_missing", "缺少成员 steps"))?;
    list.into_iter()
        .map(|step| {
            step.only(&["task", "due_on", "done_on", "note"])?;
            Ok(StepInput {
                task: step.needed_text("task")?,
                due_on: step.text("due_on")?.map(|text| day("due_on", &text)).transpose()?,
                done_on: step.text("done_on")?.map(|text| day("done_on", &text)).transpose()?,
                note: step.text("note")?,
            })
        })
        .collect()
}

pub(super) fn day(name: &str, text: &str) -> Result<NaiveDate> {
    parse_day(text).ok_or_else(|| {
        Error::invalid("value_invalid", format!("{name} 应为日期（YYYY-MM-DD），不是“{}”", shorten(text)))
    })
}

/// The ledger of the address and who writes to it.
pub(super) struct Target {
    pub viewer: Viewer,
    pub layer: &'static Layer,
    pub ledger: Ledger,
    version: Option<i64>,
}

impl Target {
    pub async fn of(
        request: &HttpRequest,
        state: &web::Data<State>,
        collection: &str,
        id: Option<&str>,
    ) -> std::result::Result<Self, Problem> {
        let mut target = Self::without_version(request, state, collection, id).await?;
        if let Some(id) = id.filter(|_| !request.method().is_safe()) {
            target.version = target.decided_on(request, state, id).await?;
        }
        Ok(target)
    }

    /// The same for what goes by no version of the record.
    pub async fn without_version(
        request: &HttpRequest,
        state: &web::Data<State>,
        collection: &str,
        id: Option<&str>,
    ) -> std::result::Result<Self, Problem> {
        let viewer = auth::viewer(request, state).await?;
        let layer = layer_of(state, collection, &viewer)?;
        let Some(ledger) = Ledger::of_layer(layer.id) else {
            return Err(of_read_layer(request));
        };
        if id.is_some_and(|id| id.contains('\0')) {
            return Err(item_not_found(layer, id.unwrap_or_default()).into());
        }
        Ok(Self { viewer, layer, ledger, version: None })
    }

    /// The version that the client decided on; of several that it holds the one that stands. The row is compared with it under the write
    /// lock, so nothing is lost if it moves on meanwhile.
    async fn decided_on(
        &self,
        request: &HttpRequest,
        state: &web::Data<State>,
        id: &str,
    ) -> std::result::Result<Option<i64>, Problem> {
        let Some(versions) = if_match::versions(request, &state.pool).await? else { return Ok(None) };
        match versions.as_slice() {
            [] => {
                if features::find_versioned(&state.pool, &self.viewer, self.layer, id).await?.is_none() {
                    return Err(item_not_found(self.layer, id).into());
                }
                let detail = "If-Match 中没有本登记库给出的强 ETag（弱标记 W/ 不能用于修改；代理压缩会把强标记改弱）；请重新取得该记录";
                let error = Error::Stale { detail: detail.to_owned() };
                Err(self.refuse(request, state, error, None).await)
            }
            [only] => Ok(Some(*only)),
            [first, ..] => {
                let found = features::find_versioned(&state.pool, &self.viewer, self.layer, id).await?;
                let standing = found.map(|found| found.version).filter(|version| versions.contains(version));
                Ok(Some(standing.unwrap_or(*first)))
            }
        }
    }

    fn must_be_plan(&self) -> std::result::Result<(), Problem> {
        if self.ledger == Ledger::Plan { Ok(()) } else { Err(Problem::no_such_address()) }
    }

    pub fn url(&self, base: &str, id: &str) -> String {
        format!("{base}/api/collections/{}/items/{}", self.layer.id, representation::encode(id))
    }

    pub fn deed(&self, request: &HttpRequest, body: &[u8]) -> Result<Deed<'_>> {
        deed_of(request, &self.viewer, self.version, body)
    }

    async fn write(
        &self,
        request: &HttpRequest,
        state: &web::Data<State>,
        payload: web::Payload,
        mode: Mode,
    ) -> Answer {
        let params = Params::read_with_lists(request, &["allow"], &["allow"])?;
        let types: &[&str] = if mode == Mode::Merge { &MERGE_TYPES } else { &FEATURE_TYPES };
        let body = json_body::bytes(request, payload, types, FEATURE_LIMIT).await?;
        let crs = crs::of_body(request)?;
        let mut feature = json_strict::parse(&body)?;
        let id = request.match_info().get("item").map(str::to_owned);
        let allow =
            params.text("allow").map(|list| list.split(',').map(|c| shorten(c.trim())).collect()).unwrap_or_default();
        let submitted = feature.clone();
        if let Some(crs) = crs {
            crs::turn_geometry(&mut feature, crs);
        }
        let edit = Edit { ledger: self.ledger, id, feature, mode, allow, crs: crs.and_then(published::projected_as) };
        let deed = self.deed(request, &body)?;
        match ledgers::write_feature(&state.pool, &deed, edit).await {
            Ok(Written { done, remarks }) => {
                self.stored_in(request, state, done, &remarks, crs.unwrap_or_default()).await
            }
            Err(error) => Err(self.refuse(request, state, error, Some(submitted)).await),
        }
    }

    /// The stored feature, as GET gives it; what the judge had to remark is a member `warnings` beside its own.
    async fn stored(&self, request: &HttpRequest, state: &web::Data<State>, done: Done, remarks: &[Finding]) -> Answer {
        self.stored_in(request, state, done, remarks, PublishedCrs::default()).await
    }

    /// The same in the system that the edit came in.
    async fn stored_in(
        &self,
        request: &HttpRequest,
        state: &web::Data<State>,
        done: Done,
        remarks: &[Finding],
        crs: PublishedCrs,
    ) -> Answer {
        let base = representation::base_url(request, state);
        let (plain, shape) = (Params::none(), Shape { crs, ..Shape::default() });
        let written = match done.revision.filter(|_| !done.replayed) {
            Some(revision) => Some(OwnWrite { revision, is_shown: in_memory::show_own_write(request, state).await }),
            None => None,
        };
        let asked = Asked { params: &plain, form: Form::Json, shape: &shape, remarks, written };
        let mut answer = item::the_item(request, state, &self.viewer, self.layer, &done.id, asked).await?;
        let headers = answer.headers_mut();
        for (name, value) in marks(done.revision, done.replayed) {
            headers.insert(name, value);
        }
        if done.created {
            *answer.status_mut() = actix_web::http::StatusCode::CREATED;
            if let Ok(location) = HeaderValue::from_str(&self.url(&base, &done.id)) {
                answer.headers_mut().insert(header::LOCATION, location);
            }
        }
        Ok(answer)
    }

    /// The refusal; of a stale version with both: what was sent and what stands.
    pub async fn refuse(
        &self,
        request: &HttpRequest,
        state: &web::Data<State>,
        error: Error,
        submitted: Option<Value>,
    ) -> Problem {
        let stale = matches!(error, Error::Stale { .. });
        let mut problem = Problem::from(error);
        let Some(id) = request.match_info().get("item").filter(|_| stale) else { return problem };
        if let Ok(Some(found)) = features::find_versioned(&state.pool, &self.viewer, self.layer, id).await {
            let current = items::feature_value(&found.feature, &Shape::default()).unwrap_or(Value::Null);
            problem = problem.with("current_version", json!(found.version)).with("current", current);
            if let Some(submitted) = submitted {
                problem = problem.with("submitted", submitted);
            }
        }
        problem
    }
}

/// Who writes, by which request: the same key with another body is another request.
pub(super) fn deed_of<'a>(
    request: &HttpRequest,
    viewer: &'a Viewer,
    version: Option<i64>,
    body: &[u8],
) -> Result<Deed<'a>> {
    let key = match request.headers().get("idempotency-key") {
        None => None,
        Some(key) => {
            let text = key.to_str().ok().map(str::trim).filter(|k| !k.is_empty() && k.len() <= 200);
            let invalid = || Error::invalid("idempotency_key_invalid", "Idempotency-Key 应为 1 至 200 个 ASCII 字符");
            Some(text.ok_or_else(invalid)?.to_owned())
        }
    };
    let mut hasher = Sha256::new();
    // The same numbers in another system are another request.
    let system = request.headers().get(crs::CONTENT_CRS).map(HeaderValue::as_bytes);
    let uri = request.uri().to_string();
    for part in [request.method().as_str().as_bytes(), uri.as_bytes(), body].into_iter().chain(system) {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    Ok(Deed {
        viewer,
        version,
        key: key.map(|key| (key, digest)),
        source: format!("{} {}", request.method(), request.path()),
        today: today(),
        joined: None,
    })
}

/// Addresses of single records and of collections that are the ledgers' alone.
const TAILS: [&str; 7] = ["/transitions", "/steps", "/split", "/merge", "/lineage", "/attachments", "/{attachment}"];

/// What is no ledger is read alone: its rows come by imports, as whole papers, and have neither moves nor steps nor attachments.
fn of_read_layer(request: &HttpRequest) -> Problem {
    let is_own = |pattern: String| TAILS.iter().any(|tail| pattern.ends_with(tail));
    if request.match_pattern().is_some_and(is_own) {
        return Problem::no_such_address();
    }
    Problem::method_not_allowed("GET, HEAD")
}

/// A method that the address does not have, with those that it has: fewer at a layer that is no ledger.
pub fn refuse_method(request: &HttpRequest, allow: &'static str) -> Problem {
    let state = request.app_data::<web::Data<State>>();
    let layer = request.match_info().get("collection").zip(state).and_then(|(id, state)| state.layers.find(id));
    match layer {
        Some(layer) if Ledger::of_layer(layer.id).is_none() => of_read_layer(request),
        _ => Problem::method_not_allowed(allow),
    }
}
