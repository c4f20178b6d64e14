//! `…/items` as a file: all that match, in the format of `f` or `Accept`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BodyStream, MessageBody, SizedStream};
use actix_web::http::header::{self, ContentEncoding};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Utc;
use futures_util::Stream;
use futures_util::stream::{self, unfold};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::auth;
use super::crs::{CONTENT_CRS, content_crs};
use super::params::{self, EXPORT_PARAMS, Params};
use super::past::Past;
use super::problem::Answer;
use super::representation::{self, VARY};
use super::shape::{self, SHAPE_PARAMS};
use super::state::State;
use super::{html, items};
use crate::domain::access::Viewer;
use crate::domain::detail::Detail;
use crate::domain::export::{ExportFormat, Headings, TextEncoding};
use crate::domain::items_query::ItemsQuery;
use crate::domain::layer::{Layer, Visibility};
use crate::domain::published_crs::PublishedCrs;
use crate::error::{Error, Result};
use crate::geometry::crs::Crs;
use crate::inventory::export::{self, ExportOptions, ExportRequest};
use crate::inventory::progress::Silent;

/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// An export over HTTP, from its turn to its last byte.
const EXPORT_TIME: Duration = Duration::from_secs(900);

/// The media type without its parameters.
pub fn media_type(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Csv => "text/csv",
        ExportFormat::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ExportFormat::GeoPackage => "application/geopackage+sqlite3",
        ExportFormat::Shapefile => "application/zip",
        ExportFormat::FlatGeobuf => "application/flatgeobuf",
        ExportFormat::Txt => "text/plain",
        ExportFormat::GeoJson => "application/geo+json",
        ExportFormat::NdJson => "application/x-ndjson",
    }
}

fn content_type(format: ExportFormat, encoding: Option<TextEncoding>) -> String {
    let kind = media_type(format);
    let charset = if encoding == Some(TextEncoding::Gbk) { "gbk" } else { "utf-8" };
    match format {
        ExportFormat::Csv => format!("{kind}; charset={charset}; header=present"),
        ExportFormat::Txt => format!("{kind}; charset={charset}"),
        ExportFormat::GeoJson | ExportFormat::NdJson => format!("{kind}; charset=utf-8"),
        _ => kind.to_owned(),
    }
}

/// The format that is asked for, or none: a page of features. `application/geo+json` in `Accept` is a page.
pub fn wanted(request: &HttpRequest, params: &Params) -> Result<Option<ExportFormat>> {
    match params.get("f") {
        Some("json" | "html") => Ok(None),
        Some(word) => ExportFormat::parse(word).map(Some).ok_or_else(|| {
            let formats = ExportFormat::ALL.map(ExportFormat::as_str).join("、");
            let message = format!("f 应为 json、html 或 {formats}，不是“{}”", params::shorten(word));
            Error::invalid("value_invalid", message)
        }),
        None => {
            let by_name = |kind: &str| {
                ExportFormat::ALL.into_iter().find(|f| media_type(*f) == kind && *f != ExportFormat::GeoJson)
            };
            // A page where both are known: it is the smaller answer.
            Ok(representation::best_accepted(request, |kind| match representation::form_of(kind) {
                Some(_) => Some(None),
                None => by_name(kind).map(Some),
            })
            .flatten())
        }
    }
}

/// What only a download has; `crs` is a page's as well.
pub fn refuse_options(params: &Params) -> Result<()> {
    match EXPORT_PARAMS.iter().find(|name| **name != "crs" && params.get(name).is_some()) {
        None => Ok(()),
        Some(name) => {
            let message = format!("参数 {name} 只用于下载；请同时用 f 指定格式，例如 f=csv");
            Err(Error::invalid("option_not_possible", message))
        }
    }
}

fn options(params: &Params) -> Result<ExportOptions> {
    let wrong = |name: &str, rule: &str, value: &str| {
        Error::invalid("value_invalid", format!("参数 {name} 应为 {rule}，不是“{}”", params::shorten(value)))
    };
    let encoding = |text: &str| {
        TextEncoding::parse(text).ok_or_else(|| {
            let message = format!("encoding 应为 utf-8 或 gbk，不是“{}”", params::shorten(text));
            Error::invalid("encoding_unknown", message)
        })
    };
    let crs = |text: &str| {
        // `[EPSG:4526]` is a short name as well.
        Crs::parse(text.trim().trim_start_matches('[').trim_end_matches(']')).ok_or_else(|| {
            let message = format!("不认识坐标系“{}”；请写 EPSG 代码，例如 EPSG:4526", params::shorten(text));
            Error::invalid("crs_unknown", message)
        })
    };
    let headings = |text: &str| Headings::parse(text).ok_or_else(|| wrong("headings", "zh 或 en", text));
    Ok(ExportOptions {
        crs: params.get("crs").map(crs).transpose()?,
        encoding: params.get("encoding").map(encoding).transpose()?,
        headings: params.get("headings").map(headings).transpose()?,
        wkt: match params.get("geometry") {
            None => false,
            Some("wkt") => true,
            Some(other) => return Err(wrong("geometry", "wkt", other)),
        },
    })
}

async fn export_request(
    request: &HttpRequest,
    state: &web::Data<State>,
    layer: &'static Layer,
    params: &Params,
    format: ExportFormat,
) -> Result<ExportRequest> {
    shape::refuse_in_downloads(params)?;
    let viewer = auth::viewer(request, state).await?;
    let revision = Past::read(params, state).await?.revision;
    if let Some(name) = ["offset", "cursor"].iter().find(|name| params.get(name).is_some()) {
        return Err(Error::invalid("option_not_possible", format!("下载不分页，不能用参数 {name}；条数请用 limit")));
    }
    let connection = request.connection_info();
    let address = if state.http.trust_forwarded { connection.realip_remote_addr() } else { connection.peer_addr() };
    let asked = params.without(&["f"]).into_iter().map(|(name, value)| format!("{name}={value}"));
    Ok(ExportRequest {
        layer,
        format,
        query: ItemsQuery { revision, ..params::items_query(params, layer)? },
        limit: params.export_limit()?,
        options: options(params)?,
        asked: asked.collect::<Vec<_>>().join("；"),
        producer: "四至".to_owned(),
        at: Utc::now(),
        viewer,
        address: address.unwrap_or_default().to_owned(),
        internal_limit: state.http.export_limit,
    })
}

/// The whole answer: from the register while it is read, or from a file that is made first.
pub async fn download(
    request: &HttpRequest,
    state: &web::Data<State>,
    layer: &'static Layer,
    params: &Params,
    format: ExportFormat,
) -> Answer {
    let asked = export_request(request, state, layer, params, format).await?;
    let base = representation::base_url(request, state);
    let etag = representation::etag_of(
        request,
        &base,
        format.as_str().as_bytes(),
        &items::mark(state, layer, &asked.viewer, asked.query.revision).await?,
    );
    let mut head = Head::of(&asked, &etag);
    if request.method() == Method::HEAD {
        head.left_out = export::check(&state.pool, asked).await?.left_out();
        return Ok(head.answer(BodyStream::new(stream::empty::<io::Result<Bytes>>())));
    }
    if layer.visibility != Visibility::Public {
        // What leaves the house is entered in the log first, which a replica cannot.
        state.role.refuse_writes()?;
    }
    let turn = turn(state).await?;
    let prepared = export::prepare(&state.pool, asked).await?;
    if representation::is_current(request, &etag) {
        return representation::not_modified(&etag);
    }
    if prepared.can_flow() {
        let pieces = prepared.flow(EXPORT_TIME, Box::new(turn)).await?;
        return Ok(head.answer(BodyStream::new(body(pieces))));
    }
    let made = prepared.into_file(EXPORT_TIME, Arc::new(Silent)).await?;
    let size = made.size;
    head.left_out = made.left_out;
    let pieces = made.flow(EXPORT_TIME, Box::new(turn));
    Ok(head.answer(SizedStream::new(size, body(pieces))))
}

/// A place among the exports that run, or word that there is none.
async fn turn(state: &State) -> Result<OwnedSemaphorePermit> {
    let waiting = Arc::clone(&state.exports).acquire_owned();
    match tokio::time::timeout(TURN, waiting).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Error::Unavailable {
            code: "exports_busy",
            detail: "正在进行的导出已满，请稍后再试".to_owned(),
            cause: None,
        }),
    }
}

/// The pieces up to the one that says the end. Without it the connection breaks, so that half a file is not taken for whole.
pub(super) fn body(pieces: mpsc::Receiver<Result<Vec<u8>>>) -> impl Stream<Item = io::Result<Bytes>> {
    unfold(Some(pieces), |pieces| async move {
        let mut pieces = pieces?;
        match pieces.recv().await {
            Some(Ok(piece)) if piece.is_empty() => None,
            Some(Ok(piece)) => Some((Ok(Bytes::from(piece)), Some(pieces))),
            Some(Err(error)) => {
                tracing::warn!(code = error.code(), %error, "a download ended early");
                Some((Err(io::Error::other("download ended early")), None))
            }
            None => Some((Err(io::ErrorKind::UnexpectedEof.into()), None)),
        }
    })
}

/// What stands above the body, the same for GET and HEAD.
struct Head {
    content_type: String,
    disposition: String,
    etag: String,
    format: ExportFormat,
    /// Features without a geometry that the file has no place for.
    left_out: u64,
}

impl Head {
    fn of(asked: &ExportRequest, etag: &str) -> Self {
        let (ascii, chinese) = export::file_names(asked);
        Self {
            content_type: content_type(asked.format, asked.options.encoding),
            // RFC 6266: the plain name for programs that do not know the other.
            disposition: format!(
                "attachment; filename=\"{ascii}\"; filename*=UTF-8''{}",
                representation::encode(&chinese)
            ),
            etag: etag.to_owned(),
            format: asked.format,
            left_out: 0,
        }
    }

    fn answer(self, body: impl MessageBody + 'static) -> HttpResponse {
        let mut response = HttpResponse::build(StatusCode::OK);
        response
            .insert_header((header::CONTENT_TYPE, self.content_type))
            .insert_header((header::CONTENT_DISPOSITION, self.disposition))
            .insert_header((header::ETAG, self.etag))
            .insert_header((header::CACHE_CONTROL, "no-cache"))
            .insert_header((header::VARY, VARY));
        if self.format.is_geojson() {
            response.insert_header((CONTENT_CRS, content_crs(PublishedCrs::Crs84)));
        }
        if self.left_out > 0 {
            response.insert_header(("x-features-left-out", self.left_out.to_string()));
        }
        if matches!(self.format, ExportFormat::Xlsx | ExportFormat::Shapefile) {
            // Packed already.
            response.insert_header(ContentEncoding::Identity);
        }
        response.body(body)
    }
}

/// Links to the same features in every format, for the page of items.
pub fn ways_to_download(layer: &Layer, viewer: &Viewer, base: &str, params: &Params) -> String {
    // What makes a page, and what a page alone takes: a file would refuse it.
    let of_page: Vec<&str> = ["f", "limit", "offset", "cursor", "crs"].into_iter().chain(SHAPE_PARAMS).collect();
    let kept = params.without(&of_page);
    let is_possible =
        |format: &&ExportFormat| **format != ExportFormat::Txt || layer.detail_for(viewer) == Detail::Surveyed;
    let links: Vec<String> = ExportFormat::ALL
        .iter()
        .filter(is_possible)
        .map(|format| {
            let mut pairs = kept.clone();
            pairs.push(("f".to_owned(), format.as_str().to_owned()));
            let query = representation::query_string(&pairs);
            let href = format!("{base}/api/collections/{}/items?{query}", layer.id);
            format!("<a class=\"choice\" href=\"{}\" download>{}</a>", html::escape(&href), format.label())
        })
        .collect();
    let what = if kept.is_empty() { "全部要素" } else { "符合现有条件的全部要素" };
    format!("<h2>下载</h2><p>{what}：{}</p>", links.concat())
}
