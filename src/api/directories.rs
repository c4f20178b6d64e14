//! `/api/directories`: published directories (园区名录), the one of any day, what differs between two, and publishing one.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentEncoding, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{NaiveDate, Utc};
use serde_json::{Value, json};

use super::directory_pages;
use super::edits::{self, day};
use super::exports::media_type;
use super::json_body::{self, Members};
use super::params::{Params, parse_day, shorten};
use super::past::REVISION_HEADER;
use super::problem::{Answer, Problem};
use super::representation::{self, VARY};
use super::state::State;
use super::{auth, html, items};
use crate::domain::export::ExportFormat;
use crate::error::{Error, Result};
use crate::inventory::directories::{self, Directory, Publication, Side};
use crate::inventory::today;
use crate::layers::declaration;
use crate::store::as_of;
use crate::store::directories::VersionRow;

/// How a directory is given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Html,
    Xlsx,
    GeoJson,
}

const FORMS: [(&str, Form); 4] =
    [("json", Form::Json), ("html", Form::Html), ("xlsx", Form::Xlsx), ("geojson", Form::GeoJson)];

/// Values of `f`.
pub fn forms() -> [&'static str; 4] {
    FORMS.map(|(word, _)| word)
}

impl Form {
    fn as_str(self) -> &'static str {
        FORMS.iter().find(|(_, form)| *form == self).map_or("json", |(word, _)| word)
    }
}

/// `f=`, else `Accept`, else JSON.
fn form(request: &HttpRequest, params: &Params) -> std::result::Result<Form, Problem> {
    if let Some(word) = params.get("f") {
        let known = FORMS.iter().find(|(known, _)| *known == word).map(|(_, form)| *form);
        return known.ok_or_else(|| {
            let message = format!("f 应为 {} 之一，不是“{}”", forms().join("、"), shorten(word));
            Error::invalid("value_invalid", message).into()
        });
    }
    if !request.headers().contains_key(header::ACCEPT) {
        return Ok(Form::Json);
    }
    let accepted = representation::best_accepted(request, |kind| match kind {
        "application/geo+json" => Some(Form::GeoJson),
        kind if kind == media_type(ExportFormat::Xlsx) => Some(Form::Xlsx),
        kind => representation::form_of(kind).map(|form| match form {
            representation::Form::Json => Form::Json,
            representation::Form::Html => Form::Html,
        }),
    });
    let said = "没有所要的表示形式；有 application/json、text/html、application/geo+json 和 XLSX";
    accepted.ok_or_else(|| Problem::not_acceptable(said))
}

/// `GET /api/directories`: the published versions, the newest first.
pub async fn list_directories(request: HttpRequest, state: web::Data<State>) -> Answer {
    let params = Params::read(&request, &["f"], |_| false)?;
    let form = representation::form(&request, &params)?;
    let base = representation::base_url(&request, &state);
    let etag = representation::etag(&request, &base, form, &as_of::mark(&state.pool, None).await?);
    if representation::is_current(&request, &etag) {
        return representation::not_modified(&etag);
    }
    let (versions, revision) = directories::list(&state.pool).await?;
    let url = format!("{base}/api/directories");
    let document = json!({
        "numberMatched": versions.len(),
        "directories": versions.iter().map(|version| head(version, &url)).collect::<Vec<_>>(),
        "links": [
            {"rel": "self", "type": "application/json", "href": format!("{url}?f=json")},
            {"rel": "alternate", "type": "text/html", "href": format!("{url}?f=html")},
            {"rel": "related", "type": "application/json", "title": "某日的名录", "href": format!("{url}/as-of?on={}", today())},
        ],
    });
    let answer = if form == representation::Form::Html {
        let page = html::page(&base, "已发布的名录", &directory_pages::list(&document), &format!("{url}?f=json"));
        representation::html(Some(&etag), page)
    } else {
        representation::json(Some(&etag), &document)
    };
    marked(answer, revision)
}

fn head(version: &VersionRow, url: &str) -> Value {
    json!({
        "id": version.id,
        "title": version.title,
        "document_no": version.document_no,
        "issued_on": version.issued_on.map(|day| day.to_string()),
        "source": version.source,
        "register_on": version.register_on.map(|day| day.to_string()),
        "register_revision": version.register_revision,
        "parks": version.entries,
        "revision": version.revision,
        "href": format!("{url}/{}", representation::encode(&version.id)),
    })
}

fn marked(answer: Answer, revision: i64) -> Answer {
    let mut response = answer?;
    response.headers_mut().insert(REVISION_HEADER, HeaderValue::from(revision));
    Ok(response)
}

/// `GET /api/directories/{id}`: a published version as JSON, page, workbook or GeoJSON.
pub async fn get_directory(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let params = Params::read(&request, &["f"], |_| false)?;
    let form = form(&request, &params)?;
    let id = path.into_inner();
    let url = format!("directories/{}", representation::encode(&id));
    if id.contains('\0') {
        return Err(directories::not_found(&id).into());
    }
    let find = async { directories::find(&state.pool, &id).await?.ok_or_else(|| directories::not_found(&id)) };
    answer(&request, &state, &params, form, &url, find).await
}

/// `GET /api/directories/as-of?on=`: the directory of a day, out of the register.
pub async fn get_directory_of_day(request: HttpRequest, state: web::Data<State>) -> Answer {
    let params = Params::read(&request, &["on", "f"], |_| false)?;
    let form = form(&request, &params)?;
    let on = day_of("on", params.text("on").as_deref())?;
    answer(&request, &state, &params, form, "directories/as-of", directories::of_day(&state.pool, on)).await
}

/// A day that has come; today, where nothing is said.
fn day_of(name: &str, text: Option<&str>) -> Result<NaiveDate> {
    let Some(text) = text else { return Ok(today()) };
    let on = parse_day(text).ok_or_else(|| {
        Error::invalid("value_invalid", format!("{name} 应为日期（YYYY-MM-DD），不是“{}”", shorten(text)))
    })?;
    if on > today() {
        return Err(Error::invalid("value_invalid", format!("{name} 不能晚于今天（{}）", today())));
    }
    Ok(on)
}

/// The directory in the form that is asked for. `tail`: its address behind `/api/`.
async fn answer(
    request: &HttpRequest,
    state: &web::Data<State>,
    params: &Params,
    form: Form,
    tail: &str,
    find: impl Future<Output = Result<Directory>>,
) -> Answer {
    let base = representation::base_url(request, state);
    let viewer = auth::viewer(request, state).await?;
    let layer = &declaration::PARKS;
    // Read before the data: an ETag may be older than its body, never newer. A day's directory is today's without one.
    let mark = items::with_detail(as_of::mark(&state.pool, None).await?, layer, &viewer);
    let etag = representation::etag_of(request, &base, form.as_str().as_bytes(), &format!("{mark}-{}", today()));
    let directory = find.await?;
    if representation::is_current(request, &etag) {
        return representation::not_modified(&etag);
    }
    let url = format!("{base}/api/{tail}");
    let revision = directory.revision;
    let answer = match form {
        Form::Json => {
            let mut document = directories::document(&directory);
            document["links"] = links(&url, params, form);
            representation::json(Some(&etag), &document)
        }
        Form::Html => {
            let body = directory_pages::directory(&directory, &links(&url, params, form), &base);
            let json_url = format!("{url}?{}", representation::query_string(&params.with("f", "json")));
            representation::html(Some(&etag), html::page(&base, &directory.title, &body, &json_url))
        }
        Form::GeoJson => {
            let mut document = directories::geojson(&state.pool, &viewer, layer, &directory).await?;
            document["links"] = links(&url, params, form);
            representation::answer("application/geo+json; charset=utf-8", Some(&etag), document.to_string())
        }
        Form::Xlsx => workbook(directory, &etag).await,
    };
    marked(answer, revision)
}

fn links(url: &str, params: &Params, form: Form) -> Value {
    let link = |(word, this): &(&str, Form)| {
        let kind = match this {
            Form::Json => "application/json",
            Form::Html => "text/html",
            Form::GeoJson => "application/geo+json",
            Form::Xlsx => media_type(ExportFormat::Xlsx),
        };
        let rel = match this {
            this if *this == form => "self",
            Form::Xlsx => "enclosure",
            _ => "alternate",
        };
        json!({"rel": rel, "type": kind, "href": format!("{url}?{}", representation::query_string(&params.with("f", word)))})
    };
    FORMS.iter().map(link).collect()
}

async fn workbook(directory: Directory, etag: &str) -> Answer {
    let at = Utc::now();
    let name = directory.id.clone().or(directory.register_on.map(|day| day.to_string())).unwrap_or_default();
    let title = format!("{}.xlsx", directory.title);
    let making = web::block(move || directories::workbook(&directory, at));
    let bytes = making.await.map_err(|cause| Error::internal("生成名录时程序出错", cause))??;
    let mut response = HttpResponse::build(StatusCode::OK);
    response
        .insert_header((header::CONTENT_TYPE, media_type(ExportFormat::Xlsx)))
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!(
                "attachment; filename=\"directory-{name}.xlsx\"; filename*=UTF-8''{}",
                representation::encode(&title)
            ),
        ))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::VARY, VARY))
        .insert_header((header::ETAG, etag))
        // Packed already.
        .insert_header(ContentEncoding::Identity);
    Ok(response.body(bytes))
}

/// `GET /api/directories/difference?from=&to=`: each a published version's id, or a day.
pub async fn get_directory_difference(request: HttpRequest, state: web::Data<State>) -> Answer {
    let params = Params::read(&request, &["from", "to", "f"], |_| false)?;
    let form = representation::form(&request, &params)?;
    let (from, to) = (side("from", &params)?, side("to", &params)?);
    let base = representation::base_url(&request, &state);
    let etag = representation::etag(&request, &base, form, &as_of::mark(&state.pool, None).await?);
    let found = directories::difference(&state.pool, &from, &to).await?;
    if representation::is_current(&request, &etag) {
        return representation::not_modified(&etag);
    }
    let url = format!("{base}/api/directories/difference");
    let href = |form: &str| format!("{url}?{}", representation::query_string(&params.with("f", form)));
    let mut document = directories::difference_json(&found);
    let is_page = form == representation::Form::Html;
    document["links"] = json!([
        {"rel": if is_page { "alternate" } else { "self" }, "type": "application/json", "href": href("json")},
        {"rel": if is_page { "self" } else { "alternate" }, "type": "text/html", "href": href("html")},
    ]);
    let answer = if is_page {
        let body = directory_pages::difference(&document, &base);
        representation::html(Some(&etag), html::page(&base, "名录对比", &body, &href("json")))
    } else {
        representation::json(Some(&etag), &document)
    };
    marked(answer, found.to.revision)
}

fn side(name: &str, params: &Params) -> Result<Side> {
    let text = params.text(name).filter(|text| !text.contains('\0'));
    let text = text.ok_or_else(|| {
        Error::invalid("value_invalid", format!("缺少参数 {name}：已发布名录的编号，或日期（YYYY-MM-DD）"))
    })?;
    if parse_day(&text).is_some() { day_of(name, Some(&text)).map(Side::Day) } else { Ok(Side::Version(text)) }
}

/// `POST /api/directories`: the register as of a day becomes a published version.
pub async fn create_directory(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> Answer {
    let viewer = auth::editor(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let body = json_body::bytes(&request, payload, &["application/json"], json_body::LIMIT).await?;
    let members = Members::parse(&body, &["id", "title", "document_no", "issued_on", "on", "dry_run"])?;
    let date =
        |name: &str| -> Result<Option<NaiveDate>> { members.text(name)?.map(|text| day(name, &text)).transpose() };
    let wanted = Publication {
        id: members.text("id")?,
        title: members.needed_text("title")?,
        document_no: members.text("document_no")?,
        issued_on: date("issued_on")?,
        on: date("on")?,
        dry_run: members.flag("dry_run")?.unwrap_or_default(),
    };
    let deed = edits::deed_of(&request, &viewer, None, &body)?;
    let published = directories::publish(&state.pool, &deed, &wanted).await?;
    let base = representation::base_url(&request, &state);
    let id = published.directory.id.clone().unwrap_or_default();
    let url = format!("{base}/api/directories/{}", representation::encode(&id));
    let mut document = directories::document(&published.directory);
    document["dry_run"] = json!(published.revision.is_none());
    document["revision"] = json!(published.revision);
    document["warnings"] = published.warnings;
    let is_written = published.revision.is_some();
    document["links"] = if is_written { links(&url, &Params::none(), Form::Json) } else { json!([]) };
    let mut response = HttpResponse::build(if is_written { StatusCode::CREATED } else { StatusCode::OK });
    edits::mark(&mut response, published.revision, published.replayed);
    if is_written {
        response.insert_header((header::LOCATION, url));
    }
    Ok(response.json(document))
}
