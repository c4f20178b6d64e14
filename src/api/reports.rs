//! `/api/reports` and `/api/reports/{report}`: what a park office files, as JSON, a page, CSV or a workbook.

use std::time::Duration;

use actix_web::http::header::{self, ContentEncoding, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Utc;
use serde_json::{Value, json};

use super::exports::media_type;
use super::params::{self, Params};
use super::past::{Past, REVISION_HEADER};
use super::problem::{Answer, Problem};
use super::representation::{self, VARY};
use super::state::State;
use super::{auth, html, report_pages};
use crate::domain::access::Viewer;
use crate::domain::export::ExportFormat;
use crate::domain::report::{MAX_ROWS, Report, ReportKind, ReportQuery};
use crate::error::{Error, Result};
use crate::inventory::reports::{self, GivenOut};
use crate::inventory::today;
use crate::store::as_of;

/// A report may count a whole ledger: longer than a read, shorter than an export.
const REPORT_TIME: Duration = Duration::from_secs(30);
/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// Parameters of every report; each has some of its own ([`ReportKind::options`]).
pub const PARAMETERS: [&str; 6] = ["f", "county", "park", "revision", "limit", "table"];

/// How a report is given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Html,
    Csv,
    Xlsx,
}

impl Form {
    const ALL: [Form; 4] = [Form::Json, Form::Html, Form::Csv, Form::Xlsx];

    fn as_str(self) -> &'static str {
        match self {
            Form::Json => "json",
            Form::Html => "html",
            Form::Csv => "csv",
            Form::Xlsx => "xlsx",
        }
    }

    /// The file that it is, if it is one.
    fn file(self) -> Option<ExportFormat> {
        match self {
            Form::Json | Form::Html => None,
            Form::Csv => Some(ExportFormat::Csv),
            Form::Xlsx => Some(ExportFormat::Xlsx),
        }
    }
}

/// Values of `f`.
pub fn forms() -> [&'static str; 4] {
    Form::ALL.map(Form::as_str)
}

/// `f=`, else `Accept`, else JSON.
fn form(request: &HttpRequest, params: &Params) -> std::result::Result<Form, Problem> {
    if let Some(word) = params.get("f") {
        let known = Form::ALL.into_iter().find(|form| form.as_str() == word);
        return known.ok_or_else(|| {
            let message = format!("f 应为 {} 之一，不是“{}”", forms().join("、"), params::shorten(word));
            Error::invalid("value_invalid", message).into()
        });
    }
    if !request.headers().contains_key(header::ACCEPT) {
        return Ok(Form::Json);
    }
    let accepted = representation::best_accepted(request, |kind| match representation::form_of(kind) {
        Some(representation::Form::Json) => Some(Form::Json),
        Some(representation::Form::Html) => Some(Form::Html),
        None => [Form::Csv, Form::Xlsx].into_iter().find(|form| form.file().map(media_type) == Some(kind)),
    });
    accepted
        .ok_or_else(|| Problem::not_acceptable("没有所要的表示形式；有 application/json、text/html、text/csv 和 XLSX"))
}

/// `/api/reports`: what there is.
pub async fn list_reports(request: HttpRequest, state: web::Data<State>) -> Answer {
    let params = Params::read(&request, &["f"], |_| false)?;
    let form = representation::form(&request, &params)?;
    let base = representation::base_url(&request, &state);
    let all: Vec<Value> = ReportKind::ALL.iter().map(|kind| describe(*kind, &base)).collect();
    let url = format!("{base}/api/reports");
    let document = json!({"reports": all, "links": alternates(&url, &params, form == representation::Form::Html)});
    if form == representation::Form::Html {
        let page = html::page(&base, "统计报表", &report_pages::index(&document), &format!("{url}?f=json"));
        return representation::html(None, page);
    }
    representation::json(None, &document)
}

fn describe(kind: ReportKind, base: &str) -> Value {
    let named = |(id, title): &(&str, &str)| json!({"id": id, "title": title});
    let dimensions = kind.dimensions().iter().map(|d| (d.as_str(), d.label()));
    json!({
        "id": kind.as_str(),
        "title": kind.title().zh,
        "title_en": kind.title().en,
        "description": kind.description(),
        "parameters": PARAMETERS.iter().chain(kind.options()).collect::<Vec<_>>(),
        "dimensions": dimensions.map(|d| named(&d)).collect::<Vec<_>>(),
        "tables": kind.tables().iter().map(named).collect::<Vec<_>>(),
        "href": format!("{base}/api/reports/{}", kind.as_str()),
    })
}

fn alternates(url: &str, params: &Params, is_page: bool) -> Value {
    let href = |form: &str| format!("{url}?{}", representation::query_string(&params.with("f", form)));
    let rel = |this: bool| if this { "self" } else { "alternate" };
    json!([
        {"rel": rel(!is_page), "type": "application/json", "href": href("json")},
        {"rel": rel(is_page), "type": "text/html", "href": href("html")},
    ])
}

/// `/api/reports/{report}`: the report, counted from one state of the register.
pub async fn get_report(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let answered = tokio::time::timeout(REPORT_TIME, answer(&request, &path, &state)).await;
    answered.unwrap_or_else(|_| Err(Problem::too_long()))
}

async fn answer(request: &HttpRequest, name: &str, state: &web::Data<State>) -> Answer {
    let kind = ReportKind::parse(name).ok_or_else(|| {
        let known = ReportKind::ALL.map(ReportKind::as_str).join("、");
        Error::not_found("report_not_found", format!("没有报表“{}”；有：{known}", params::shorten(name)))
    })?;
    let allowed: Vec<&str> = PARAMETERS.iter().chain(kind.options()).copied().collect();
    let params = Params::read(request, &allowed, |_| false)?;
    let form = form(request, &params)?;
    let viewer = auth::viewer(request, state).await?;
    let past = Past::read(&params, state).await?;
    let query = query(kind, &params, past, form, state)?;
    let base = representation::base_url(request, state);
    let etag = etag(request, state, &viewer, &query, form, &base).await?;
    if representation::is_current(request, &etag) {
        return representation::not_modified(&etag);
    }
    let report = {
        let _turn = turn(state).await?;
        reports::make(&state.pool, &viewer, &query).await?
    };
    let mut response = match form.file() {
        Some(format) => download(request, state, &viewer, report.clone(), format).await?,
        None => shown(form, &report, &params, &base)?,
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(REVISION_HEADER, HeaderValue::from(report.revision));
    Ok(response)
}

/// Blank parameters are not given. A file has no more rows than the operator lets out of an internal layer.
fn query(kind: ReportKind, params: &Params, past: Past, form: Form, state: &State) -> Result<ReportQuery> {
    let most = match form.file() {
        Some(_) => u32::try_from(state.http.export_limit).unwrap_or(MAX_ROWS).min(MAX_ROWS),
        None => MAX_ROWS,
    };
    let limit = params.limit(MAX_ROWS)?.min(most);
    reports::ask(kind, &|name| params.text(name), past.revision, Some(limit))
}

/// Timers go by the day, rows by the viewer's divisions.
async fn etag(
    request: &HttpRequest,
    state: &State,
    viewer: &Viewer,
    query: &ReportQuery,
    form: Form,
    base: &str,
) -> Result<String> {
    let mark = as_of::mark(&state.pool, query.revision).await?;
    let mark = format!("{mark}-{}-{}", auth::scope_mark(viewer), today());
    Ok(representation::etag_of(request, base, form.as_str().as_bytes(), &mark))
}

/// A place among the reports that are made, or word that there is none.
async fn turn(state: &State) -> Result<tokio::sync::OwnedSemaphorePermit> {
    let waiting = std::sync::Arc::clone(&state.reports).acquire_owned();
    match tokio::time::timeout(TURN, waiting).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Error::Unavailable {
            code: "reports_busy",
            detail: "正在生成的报表已满，请稍后再试".to_owned(),
            cause: None,
        }),
    }
}

fn shown(form: Form, report: &Report, params: &Params, base: &str) -> Answer {
    let url = format!("{base}/api/reports/{}", report.kind.as_str());
    let mut document = reports::document(report);
    document["links"] = alternates(&url, params, form == Form::Html);
    if let Some(links) = document["links"].as_array_mut() {
        for form in [Form::Csv, Form::Xlsx] {
            let href = format!("{url}?{}", representation::query_string(&params.with("f", form.as_str())));
            let kind = form.file().map(media_type);
            links.push(json!({"rel": "enclosure", "type": kind, "href": href}));
        }
    }
    if form == Form::Html {
        let json_url = format!("{url}?{}", representation::query_string(&params.with("f", "json")));
        let page = html::page(base, report.kind.title().zh, &report_pages::report(report, params, &url), &json_url);
        return representation::html(None, page);
    }
    representation::json(None, &document)
}

async fn download(
    request: &HttpRequest,
    state: &State,
    viewer: &Viewer,
    report: Report,
    format: ExportFormat,
) -> Answer {
    let at = Utc::now();
    if request.method() != Method::HEAD {
        // It is entered in the log first, which a replica cannot.
        state.role.refuse_writes()?;
        let address = auth::client_address(request, state);
        let given = GivenOut { report: &report, viewer, format: format.as_str(), address: &address };
        reports::log_download(&state.pool, &given).await?;
    }
    let (ascii, chinese) = reports::file_name(&report, format.ending(), at);
    let making = web::block(move || match format {
        ExportFormat::Csv => reports::csv(&report),
        _ => reports::workbook(&report, at),
    });
    let bytes = making.await.map_err(|cause| Error::internal("生成报表时程序出错", cause))??;
    let content_type = match format {
        ExportFormat::Csv => "text/csv; charset=utf-8; header=present",
        other => media_type(other),
    };
    let mut response = HttpResponse::build(StatusCode::OK);
    response
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{}", representation::encode(&chinese)),
        ))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::VARY, VARY));
    if format == ExportFormat::Xlsx {
        // Packed already.
        response.insert_header(ContentEncoding::Identity);
    }
    Ok(response.body(bytes))
}
