//! `/api/scenarios`: deeds that somebody would do, seen together over the register as it stands; applied as one revision or dropped.
//!
//! For planners, editors and administrators, each for the own ones; applying is for editors. Never: a deed.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::edits::{self, FEATURE_LIMIT};
use super::json_body::{self, Members};
use super::list_page::ListPage;
use super::overlap_asks;
use super::overlaps::BODY_LIMIT;
use super::params::{Params, positive, shorten};
use super::problem::Answer;
use super::representation::{self, link};
use super::scenario_asks::operations_of;
use super::state::State;
use super::{auth, in_memory};
use crate::error::{Error, Result};
use crate::inventory::overlap_check::{Given, Question};
use crate::inventory::scenarios::{self, Content, Trial, wire};
use crate::store::scenarios::ScenarioRow;

const GEOJSON: &str = "application/geo+json";
/// Scenarios of one page: their deeds are counted one by one.
const LONGEST_PAGE: u32 = 200;

/// `GET /api/scenarios`: newest first, without their deeds.
pub async fn list_scenarios(request: HttpRequest, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    let params = Params::read(&request, &["limit", "before"], |_| false)?;
    let page = ListPage::at_most(LONGEST_PAGE, &params)?;
    let before = params.text("before").map(|text| number_of("before", &text)).transpose()?;
    let mut rows = scenarios::list(&state.pool, &viewer, page.rows(), before).await?;
    let base = representation::base_url(&request, &state);
    let url = format!("{base}/api/scenarios");
    let links = page.cut(&mut rows, (&url, "application/json"), "before", |row| row.id.to_string());
    let list: Vec<Value> = rows.iter().map(|row| with_links(wire::scenario_json(row, false), row, &base)).collect();
    let document = json!({"numberReturned": list.len(), "scenarios": list, "links": links});
    representation::no_store_json(HttpResponse::Ok(), &document)
}

/// `POST /api/scenarios`: a name, and deeds that are read but not tried yet.
pub async fn create_scenario(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let content = content_of(&json_body::bytes(&request, payload, &["application/json"], FEATURE_LIMIT).await?)?;
    let row = scenarios::create(&state.pool, &viewer, &content).await?;
    the_scenario(&request, &state, &row, StatusCode::CREATED)
}

/// `GET /api/scenarios/{id}`.
pub async fn get_scenario(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let row = scenarios::get(&state.pool, &viewer, id_of(&path)?).await?;
    the_scenario(&request, &state, &row, StatusCode::OK)
}

/// `PUT /api/scenarios/{id}`: this name and these deeds, on the picture of now.
pub async fn replace_scenario(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let (id, version) = (id_of(&path)?, version_of(&request)?);
    let content = content_of(&json_body::bytes(&request, payload, &["application/json"], FEATURE_LIMIT).await?)?;
    let row = scenarios::replace(&state.pool, &viewer, id, version, &content).await?;
    the_scenario(&request, &state, &row, StatusCode::OK)
}

/// `DELETE /api/scenarios/{id}`: it is dropped; what it made true, where it was applied, stays.
pub async fn drop_scenario(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    scenarios::drop_one(&state.pool, &viewer, id_of(&path)?).await?;
    representation::no_content()
}

/// `GET /api/scenarios/{id}/evaluation`: what would be, over the register as it stands.
pub async fn get_scenario_evaluation(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let (row, trial) = tried(&request, &path, &state).await?;
    representation::no_store_json(HttpResponse::Ok(), &wire::trial_json(&trial, &row))
}

/// `GET /api/scenarios/{id}/features`: the changed features of all layers, for a map.
pub async fn get_scenario_features(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let (row, trial) = tried(&request, &path, &state).await?;
    representation::no_store(HttpResponse::Ok(), GEOJSON, &wire::trial_geojson(&trial, &row))
}

async fn tried(
    request: &HttpRequest,
    path: &web::Path<String>,
    state: &web::Data<State>,
) -> std::result::Result<(ScenarioRow, Trial), super::problem::Problem> {
    let viewer = auth::planner(request, state).await?;
    Params::read(request, &[], |_| false)?;
    // A trial takes the write lock, which a replica has none of.
    state.role.refuse_writes()?;
    let row = scenarios::get(&state.pool, &viewer, id_of(path)?).await?;
    let operations = operations_of(row.operations.as_array().map_or(&[], Vec::as_slice))?;
    let deed = edits::deed_of(request, &viewer, None, &[])?;
    let trial = scenarios::evaluate(&state.pool, &state.trials, &deed, &row, &operations).await?;
    Ok((row, trial))
}

/// `POST /api/scenarios/{id}/overlap-check`: shapes against the register as the scenario would leave it; nothing is kept.
pub async fn check_over_scenario(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    state.role.refuse_writes()?;
    let row = scenarios::get(&state.pool, &viewer, id_of(&path)?).await?;
    let body = json_body::bytes(&request, payload, &["application/json"], BODY_LIMIT).await?;
    let members = Members::parse(&body, overlap_asks::OVER_A_SCENARIO)?;
    let wanted = overlap_asks::of_json(&members, &state, &viewer)?;
    let given = overlap_asks::subject_of(&members, &state, &viewer)?;
    if matches!(given, Given::Feature { .. }) {
        let detail =
            "成员 subject 在推演方案上只能是 geojson 或 coordinates；方案改变的要素的冲突见推演结果（evaluation）";
        return Err(Error::invalid("member_invalid", detail).into());
    }
    let question = Question::of(&state.pool, &viewer, &state.layers, wanted, given).await?;
    let operations = operations_of(row.operations.as_array().map_or(&[], Vec::as_slice))?;
    let deed = edits::deed_of(&request, &viewer, None, &[])?;
    let told = scenarios::check(&state.pool, &state.trials, &deed, &row, &operations, question).await?;
    representation::no_store(HttpResponse::Ok(), GEOJSON, &told)
}

/// `POST /api/scenarios/{id}/rebase`: the picture of now is the one that it is decided on, or that of the trial that was looked at
/// (`seen_revision`).
pub async fn rebase_scenario(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    let params = Params::read(&request, &["seen_revision"], |_| false)?;
    let seen = params.text("seen_revision").map(|text| number_of("seen_revision", &text)).transpose()?;
    let row = scenarios::rebase(&state.pool, &viewer, id_of(&path)?, version_of(&request)?, seen).await?;
    the_scenario(&request, &state, &row, StatusCode::OK)
}

/// `POST /api/scenarios/{id}/apply`: all deeds as one revision, or none.
pub async fn apply_scenario(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::editor(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let (id, version) = (id_of(&path)?, version_of(&request)?);
    let row = scenarios::get(&state.pool, &viewer, id).await?;
    let row = ScenarioRow { version, ..row };
    let operations = operations_of(row.operations.as_array().map_or(&[], Vec::as_slice))?;
    let deed = edits::deed_of(&request, &viewer, Some(i64::from(version)), &[])?;
    let done = scenarios::apply(&state.pool, &deed, &row, &operations).await?;
    if done.revision.is_some() && !done.replayed {
        in_memory::show_own_write(&request, &state).await;
    }
    let row = scenarios::get(&state.pool, &viewer, id).await?;
    let mut answer = the_scenario(&request, &state, &row, StatusCode::OK)?;
    for (name, value) in edits::marks(done.revision, done.replayed) {
        answer.headers_mut().insert(name, value);
    }
    Ok(answer)
}

fn content_of(body: &[u8]) -> Result<Content> {
    const READ_BACK: [&str; 10] = [
        "id",
        "owner",
        "base_revision",
        "version",
        "created_at",
        "updated_at",
        "applied_revision",
        "undone",
        "operation_count",
        "links",
    ];
    let known: Vec<&str> = ["name", "operations"].into_iter().chain(READ_BACK).collect();
    let members = Members::parse(body, &known)?;
    let operations = members.values("operations", scenarios::MOST_OPERATIONS)?.unwrap_or_default();
    if let Some(at) = operations.iter().position(has_nul) {
        // The database keeps no such text.
        let detail = format!("第 {} 项操作含有空字符（U+0000）", at + 1);
        return Err(Error::invalid("text_control_character", detail));
    }
    operations_of(&operations)?;
    Ok(Content { name: members.needed_text("name")?, operations: Value::Array(operations) })
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(list) => list.iter().any(has_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// The version that `If-Match` names: `"v3"`.
fn version_of(request: &HttpRequest) -> Result<i32> {
    let mut tags = request.headers().get_all(header::IF_MATCH);
    let (Some(tag), None) = (tags.next(), tags.next()) else {
        return Err(Error::VersionMissing {
            detail: "修改前请先取得该推演方案，并在 If-Match 请求头中带上它的 ETag".to_owned(),
        });
    };
    let text = tag.to_str().ok().map(str::trim).unwrap_or_default();
    let number = text.strip_prefix("\"v").and_then(|rest| rest.strip_suffix('"'));
    let wrong = || Error::invalid("if_match_invalid", "If-Match 应为推演方案的 ETag，例如 \"v3\"");
    number.and_then(positive).ok_or_else(wrong)
}

fn id_of(text: &str) -> Result<i64> {
    positive(text).ok_or_else(|| {
        Error::not_found("scenario_not_found", format!("没有编号为“{}”的推演方案；编号是正整数", shorten(text)))
    })
}

fn number_of(name: &str, text: &str) -> Result<i64> {
    positive(text).ok_or_else(|| Error::invalid("value_invalid", format!("{name} 应为正整数，不是“{}”", shorten(text))))
}

fn url_of(base: &str, id: i64) -> String {
    format!("{base}/api/scenarios/{id}")
}

fn with_links(mut document: Value, row: &ScenarioRow, base: &str) -> Value {
    let url = url_of(base, row.id);
    let mut links = vec![
        link("self", &url),
        json!({"rel": "related", "type": "application/json", "title": "推演结果", "href": format!("{url}/evaluation")}),
        json!({"rel": "items", "type": GEOJSON, "title": "变化的要素", "href": format!("{url}/features")}),
    ];
    // (A list does not ask whether it was undone.)
    let is_whole = document.get("operations").is_some();
    if let Some(revision) = row.applied_revision.filter(|_| is_whole && !row.undone) {
        let undo = format!("{base}/api/revisions/{revision}/undo");
        links.push(json!({"rel": "undo", "type": "application/json", "title": "撤销", "href": undo}));
    }
    document["links"] = Value::Array(links);
    document
}

fn the_scenario(request: &HttpRequest, state: &State, row: &ScenarioRow, status: StatusCode) -> Answer {
    let base = representation::base_url(request, state);
    let mut response = HttpResponse::build(status);
    response.insert_header((header::ETAG, format!("\"v{}\"", row.version)));
    if status == StatusCode::CREATED {
        response.insert_header((header::LOCATION, url_of(&base, row.id)));
    }
    representation::no_store_json(response, &with_links(wire::scenario_json(row, true), row, &base))
}
