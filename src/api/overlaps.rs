//! `/api/overlap-checks`: shapes checked against layers, their findings, what people say of them, the same again later.
//!
//! For planners, editors and administrators; a check shows to whoever may see all that its maker could. Never: a comparison.

use std::convert::Infallible;
use std::time::Duration;

use actix_multipart::Multipart;
use actix_web::http::{Method, header};
use actix_web::web::Bytes;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use chrono::Utc;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::auth;
use super::exports::media_type;
use super::html;
use super::json_body::{self, Members};
use super::list_page::ListPage;
use super::overlap_asks;
use super::overlap_pages;
use super::params::{Params, positive, shorten};
use super::problem::Answer;
use super::representation::{self, link, link_of};
use super::state::State;
use super::upload;
use crate::domain::access::Viewer;
use crate::domain::export::ExportFormat;
use crate::domain::overlap::OverlapClass;
use crate::domain::overlap_check::{CheckStatus, Verdict, Weight};
use crate::error::{Error, Result};
use crate::inventory::overlap_check::{Given, RepeatOn, report, wire};
use crate::store::overlap_checks::{CheckRow, FindingsQuery};

const GEOJSON: &str = "application/geo+json";
/// Largest JSON body: a boundary of some hundred thousand vertices.
pub(super) const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// Forms of a report.
pub const REPORT_FORMS: [&str; 3] = ["html", "xlsx", "geojson"];
/// How often a stream of progress looks, and how long it lasts at most.
const LOOK: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(900);

/// `GET /api/overlap-checks`: newest first.
pub async fn list_overlap_checks(request: HttpRequest, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    let params = Params::read(&request, &["limit", "before"], |_| false)?;
    let page = ListPage::of(&params)?;
    let before = params.text("before").map(|text| check_number(&text)).transpose()?;
    let base = representation::base_url(&request, &state);
    let mut checks = state.checks.list(&viewer, page.rows(), before).await?;
    let url = format!("{base}/api/overlap-checks");
    let links = page.cut(&mut checks, (&url, "application/json"), "before", |last| last.id.to_string());
    let list: Vec<Value> = checks.iter().map(|check| with_links(check, &base)).collect();
    let document = json!({"numberReturned": list.len(), "checks": list, "links": links});
    representation::no_store_json(HttpResponse::Ok(), &document)
}

/// `POST /api/overlap-checks`: JSON, or a form with a file. 201 where the check is over within two seconds, else 202.
pub async fn create_overlap_check(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    let is_form = request.content_type().eq_ignore_ascii_case("multipart/form-data");
    if is_form {
        let form = Multipart::new(request.headers(), payload);
        let upload = upload::receive(&request, form, &overlap_asks::FORM, state.http.upload_limit_mb).await?;
        let wanted = overlap_asks::of_form(&upload.params, &state, &viewer)?;
        let options = overlap_asks::read_options(&upload.params)?;
        let given = Given::File { path: upload.file.path().to_owned(), name: upload.file_name.clone(), options };
        let check = state.checks.start(&viewer, &state.layers, &wanted, given).await?;
        return the_check(&request, &state, &check, true);
    }
    Params::read(&request, &[], |_| false)?;
    let body = json_body::bytes(&request, payload, &["application/json"], BODY_LIMIT).await?;
    let members = Members::parse(&body, overlap_asks::MEMBERS)?;
    let wanted = overlap_asks::of_json(&members, &state, &viewer)?;
    let given = overlap_asks::subject_of(&members, &state, &viewer)?;
    let check = state.checks.start(&viewer, &state.layers, &wanted, given).await?;
    the_check(&request, &state, &check, true)
}

/// `GET /api/overlap-checks/{id}`.
pub async fn get_overlap_check(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let check = state.checks.get(&viewer, check_id(&path)?).await?;
    the_check(&request, &state, &check, false)
}

/// `DELETE /api/overlap-checks/{id}`: with its findings and marks.
pub async fn remove_overlap_check(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    state.checks.remove(&viewer, check_id(&path)?).await?;
    representation::no_content()
}

/// `POST /api/overlap-checks/{id}/cancel`.
pub async fn cancel_overlap_check(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let check = state.checks.cancel(&viewer, check_id(&path)?).await?;
    the_check(&request, &state, &check, false)
}

/// `POST /api/overlap-checks/{id}/repeat`: on the revision that it saw, or as things stand.
pub async fn repeat_overlap_check(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let members = json_body::read(&request, payload, &["on"]).await?;
    let on = match members.text("on")?.as_deref() {
        Some("same_revision") => RepeatOn::SameRevision,
        Some("present") | None => RepeatOn::Present,
        Some(other) => {
            let detail = format!("成员 on 应为 same_revision 或 present，不是“{}”", shorten(other));
            return Err(Error::invalid("member_invalid", detail).into());
        }
    };
    let check = state.checks.repeat(&viewer, &state.layers, check_id(&path)?, on).await?;
    the_check(&request, &state, &check, true)
}

/// `GET /api/overlap-checks/{id}/findings`: GeoJSON, each with the common land or the gap.
pub async fn list_overlap_findings(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    let id = check_id(&path)?;
    let params = Params::read(
        &request,
        &["class", "weight", "verdict", "collection", "limit", "after", "skipGeometry"],
        |_| false,
    )?;
    let page = ListPage::of(&params)?;
    let query = FindingsQuery {
        classes: words(&params, "class", OverlapClass::parse)?,
        weights: words(&params, "weight", Weight::parse)?,
        verdicts: words(&params, "verdict", Verdict::parse)?,
        layers: params.text("collection").map(|list| list.split(',').map(shorten).collect()).unwrap_or_default(),
        after: params.text("after").map_or(Ok(0), |text| finding_number(&text, "after"))?,
        limit: page.rows(),
        with_land: !params.flag("skipGeometry")?,
    };
    let (mut rows, matched) = state.checks.findings(&viewer, id, &query).await?;
    let up = check_url(&representation::base_url(&request, &state), id);
    let url = format!("{up}/findings");
    let mut links = page.cut(&mut rows, (&url, GEOJSON), "after", |last| last.number.to_string());
    links.insert(1, link("up", &up));
    let document = json!({
        "type": "FeatureCollection",
        "numberMatched": matched,
        "numberReturned": rows.len(),
        "features": rows.iter().map(wire::finding_feature).collect::<Vec<_>>(),
        "links": links,
    });
    representation::no_store(HttpResponse::Ok(), GEOJSON, &document)
}

/// `GET /api/overlap-checks/{id}/findings/{finding}/marks`: all that was said of a finding.
pub async fn list_overlap_marks(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    state: web::Data<State>,
) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let marks = state.checks.marks(&viewer, check_id(&path.0)?, finding_of(&path.1)?).await?;
    representation::no_store_json(HttpResponse::Ok(), &marks)
}

/// `POST /api/overlap-checks/{id}/findings/{finding}/marks`: 接受, 需整改, 可忽略, with a note.
pub async fn create_overlap_mark(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let (id, finding) = (check_id(&path.0)?, finding_of(&path.1)?);
    let members = json_body::read(&request, payload, &["verdict", "note"]).await?;
    let verdict = verdict_of(&members)?;
    let note = members.text("note")?.unwrap_or_default();
    let row = state.checks.mark(&viewer, id, finding, verdict, &note).await?;
    representation::no_store_json(HttpResponse::Created(), &wire::finding_feature(&row))
}

/// `GET /api/overlap-checks/{id}/difference`: against the check that it repeats, or another.
pub async fn get_overlap_difference(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    let params = Params::read(&request, &["from"], |_| false)?;
    let later = check_id(&path)?;
    let earlier =
        match params.text("from") {
            Some(text) => check_number(&text)?,
            None => state.checks.get(&viewer, later).await?.repeats.ok_or_else(|| {
                Error::invalid("parameter_missing", "这次检查不是重做的；请用 from 说明与哪一次检查比较")
            })?,
        };
    let difference = state.checks.difference(&viewer, earlier, later).await?;
    representation::no_store_json(HttpResponse::Ok(), &wire::difference_json(earlier, later, &difference))
}

/// `GET /api/overlap-checks/{id}/report`: a page to print, a workbook, one GeoJSON document.
pub async fn get_overlap_report(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    let params = Params::read(&request, &["f"], |_| false)?;
    let form = params.text("f").unwrap_or_else(|| "html".to_owned());
    if !REPORT_FORMS.contains(&form.as_str()) {
        let known = REPORT_FORMS.join("、");
        return Err(
            Error::invalid("value_invalid", format!("参数 f 应为 {known} 之一，不是“{}”", shorten(&form))).into()
        );
    }
    let id = check_id(&path)?;
    let report = state.checks.report(&viewer, id).await?;
    let (base, at) = (representation::base_url(&request, &state), Utc::now());
    let url = check_url(&base, id);
    if form == "html" {
        let title = format!("重叠检查报告：{}", report.check.title);
        let page = web::block(move || overlap_pages::report(&report, at, &format!("{url}/report")));
        let body = page.await.map_err(|cause| Error::internal("生成报告时程序出错", cause))?;
        return representation::html(None, html::page(&base, &title, &body, &check_url(&base, id)));
    }
    if request.method() != Method::HEAD {
        // It is entered in the log first, which a replica cannot.
        state.role.refuse_writes()?;
        let address = auth::client_address(&request, &state);
        report::log_download(&state.pool, &report, &viewer, &form, &address).await?;
    }
    let name = format!("overlap-check-{id}.{form}");
    let is_book = form == "xlsx";
    let making = web::block(move || match is_book {
        true => report::workbook(&report, at),
        false => Ok(report::geojson(&report).to_string().into_bytes()),
    });
    let bytes = making.await.map_err(|cause| Error::internal("生成报告时程序出错", cause))??;
    let kind = if is_book { media_type(ExportFormat::Xlsx) } else { GEOJSON };
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, kind))
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((header::CACHE_CONTROL, "no-store"));
    if is_book {
        // Packed already.
        response.insert_header(header::ContentEncoding::Identity);
    }
    Ok(response.body(bytes))
}

/// `GET /api/overlap-checks/{id}/events`: how far it is, as server-sent events, to its end.
pub async fn stream_overlap_check(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let id = check_id(&path)?;
    let first = state.checks.get(&viewer, id).await?;
    let place = state.streams.clone().try_acquire_owned().map_err(|_| {
        let detail = "进度推送的连接已满；请定时读取检查本身".to_owned();
        Error::Unavailable { code: "too_many_streams", detail, cause: None }
    })?;
    let end = Instant::now() + LONGEST;
    let told = stream::unfold((Some(first), state, viewer, place), move |(next, state, viewer, place)| async move {
        let check = next?;
        let event = event_of(&check);
        let over = check.status.is_over() || Instant::now() >= end;
        let following = if over { None } else { look_again(&state, &viewer, id, &check).await };
        Some((Ok::<_, Infallible>(Bytes::from(event)), (following, state, viewer, place)))
    });
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(told))
}

/// The check as soon as it is otherwise, at the latest after some seconds, so that the connection is seen to live.
async fn look_again(state: &State, viewer: &Viewer, id: i64, before: &CheckRow) -> Option<CheckRow> {
    let mut last = None;
    for _ in 0..20 {
        sleep(LOOK).await;
        let check = match state.checks.get(viewer, id).await {
            Ok(check) => check,
            // Removed meanwhile: it ends as what is not wanted any more.
            Err(Error::NotFound { .. }) => return Some(CheckRow { status: CheckStatus::Cancelled, ..before.clone() }),
            // A look that fails is one that found nothing new.
            Err(_) => continue,
        };
        if (check.status, check.done, check.total) != (before.status, before.done, before.total) {
            return Some(check);
        }
        last = Some(check);
    }
    last
}

fn event_of(check: &CheckRow) -> String {
    let name = if check.status.is_over() { "end" } else { "progress" };
    let data = json!({
        "id": check.id,
        "status": check.status.as_str(),
        "status_label": check.status.label(),
        "done": check.done,
        "total": check.total,
    });
    format!("event: {name}\ndata: {data}\n\n")
}

fn the_check(request: &HttpRequest, state: &State, check: &CheckRow, is_new: bool) -> Answer {
    let base = representation::base_url(request, state);
    let mut response = match (is_new, check.status) {
        (false, _) => HttpResponse::Ok(),
        (true, CheckStatus::Queued | CheckStatus::Running) => HttpResponse::Accepted(),
        (true, _) => HttpResponse::Created(),
    };
    if is_new {
        response.insert_header((header::LOCATION, check_url(&base, check.id)));
    }
    representation::no_store_json(response, &with_links(check, &base))
}

fn with_links(check: &CheckRow, base: &str) -> Value {
    let url = check_url(base, check.id);
    let mut links = vec![link("self", &url)];
    match check.status {
        CheckStatus::Queued | CheckStatus::Running => {
            links.push(link_of("progress", "text/event-stream", &format!("{url}/events")));
            links.push(link("cancel", &format!("{url}/cancel")));
        }
        CheckStatus::Finished => {
            links.push(link_of("findings", GEOJSON, &format!("{url}/findings")));
            links.push(link_of("alternate", "text/html", &format!("{url}/report")));
            links.push(link("repeat", &format!("{url}/repeat")));
            if let Some(first) = check.repeats {
                links.push(link("predecessor-version", &check_url(base, first)));
                links.push(link("difference", &format!("{url}/difference")));
            }
        }
        CheckStatus::Failed | CheckStatus::Cancelled => links.push(link("repeat", &format!("{url}/repeat"))),
    }
    let mut object = wire::check_json(check);
    object.insert("links".into(), Value::Array(links));
    Value::Object(object)
}

fn check_url(base: &str, id: i64) -> String {
    format!("{base}/api/overlap-checks/{id}")
}

fn check_id(text: &str) -> Result<i64> {
    let missing =
        || Error::not_found("check_not_found", format!("没有编号为“{}”的重叠检查；编号是正整数", shorten(text)));
    positive(text).ok_or_else(missing)
}

fn check_number(text: &str) -> Result<i64> {
    positive(text).ok_or_else(|| Error::invalid("value_invalid", format!("应为检查的编号，不是“{}”", shorten(text))))
}

fn finding_of(text: &str) -> Result<i32> {
    positive(text).ok_or_else(|| Error::not_found("finding_not_found", format!("没有第“{}”条结果", shorten(text))))
}

fn finding_number(text: &str, name: &str) -> Result<i32> {
    positive(text)
        .ok_or_else(|| Error::invalid("value_invalid", format!("参数 {name} 应为结果的序号，不是“{}”", shorten(text))))
}

/// The word that somebody says on what was found: member `verdict`.
pub(super) fn verdict_of(members: &Members) -> Result<Verdict> {
    let word = members.needed_text("verdict")?;
    Verdict::parse(&word).ok_or_else(|| {
        let known = Verdict::ALL.iter().map(|v| v.as_str()).collect::<Vec<_>>().join("、");
        Error::invalid("member_invalid", format!("成员 verdict 应为 {known} 之一，不是“{}”", shorten(&word)))
    })
}

pub(super) fn words<T>(params: &Params, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let Some(list) = params.text(name) else { return Ok(Vec::new()) };
    let unknown = |word: &str| Error::invalid("value_invalid", format!("参数 {name} 不认识“{}”", shorten(word)));
    list.split(',').map(|word| parse(word.trim()).ok_or_else(|| unknown(word))).collect()
}
