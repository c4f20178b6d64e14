//! Which representation, which links, which ETag: what all answers of the map side share.

use std::fmt::Write as _;

use actix_web::body::MessageBody;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::crs::{CONTENT_CRS, content_crs};
use super::params::Params;
use super::past::Past;
use super::problem::{Answer, Problem};
use super::state::State;
use crate::domain::published_crs::PublishedCrs;
use crate::error::{Error, Result};
use crate::store::as_of;

/// Request headers that shape an answer; the same for 200 and 304.
pub const VARY: &str = "Accept, Accept-Language, Accept-Encoding";

/// JSON (or GeoJSON) or a page for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    Html,
}

/// `f=`, else `Accept`, else JSON. A browser ranks text/html first and gets pages.
pub fn form(request: &HttpRequest, params: &Params) -> std::result::Result<Form, Problem> {
    match params.get("f") {
        Some("json" | "geojson") => return Ok(Form::Json),
        Some("html") => return Ok(Form::Html),
        Some(other) => {
            let shown: String = other.chars().filter(|c| !c.is_control()).take(20).collect();
            return Err(Error::invalid("value_invalid", format!("f 应为 json 或 html，不是“{shown}”")).into());
        }
        None => {}
    }
    if !request.headers().contains_key(header::ACCEPT) {
        return Ok(Form::Json);
    }
    best_accepted(request, form_of).ok_or_else(|| {
        Problem::not_acceptable("没有所要的表示形式；有 application/json、application/geo+json 和 text/html")
    })
}

/// The form that a media type, or a range of them, asks for.
pub fn form_of(kind: &str) -> Option<Form> {
    match kind {
        "text/html" | "application/xhtml+xml" | "text/*" => Some(Form::Html),
        "*/*"
        | "application/*"
        | "application/json"
        | "application/geo+json"
        | "application/vnd.oai.openapi+json"
        | "application/schema+json"
        | "application/problem+json" => Some(Form::Json),
        _ => None,
    }
}

/// What `Accept` ranks highest of that which `of` knows; the first of several.
pub fn best_accepted<T>(request: &HttpRequest, of: impl Fn(&str) -> Option<T>) -> Option<T> {
    let mut best: Option<(f32, T)> = None;
    let accepts = request.headers().get_all(header::ACCEPT).filter_map(|v| v.to_str().ok());
    // Several lines are one list (RFC 9110, 5.3).
    for item in accepts.flat_map(|line| line.split(',')) {
        let mut parts = item.trim().split(';');
        let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let q = parts.find_map(|p| p.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        if let Some(known) = of(&kind)
            && q > 0.0
            && best.as_ref().is_none_or(|(b, _)| q > *b)
        {
            best = Some((q, known));
        }
    }
    best.map(|(_, known)| known)
}

/// The address that clients see, up to `/api` exclusive: configured, else from the proxy's headers, else the request's.
pub fn base_url(request: &HttpRequest, state: &State) -> String {
    if let Some(url) = &state.http.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let headers = request.headers();
    let forwarded = |name: &str| state.http.trust_forwarded.then(|| first_value(headers, name)).flatten();
    let (scheme, host) = if state.http.trust_forwarded {
        let connection = request.connection_info();
        (connection.scheme().to_owned(), connection.host().to_owned())
    } else {
        let host = headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
        ("http".to_owned(), host.to_owned())
    };
    let scheme = if scheme == "https" { "https" } else { "http" };
    // A host goes into links: nothing but what a host may hold.
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_');
    let host =
        if !host.is_empty() && host.len() <= 255 && host.chars().all(sound) { host } else { "localhost".to_owned() };
    let prefix = forwarded("x-forwarded-prefix").unwrap_or_default();
    let sound_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    let prefix = prefix.trim_end_matches('/');
    let has_dots = prefix.split('/').any(|segment| matches!(segment, "." | ".."));
    let prefix = if prefix.starts_with('/') && !prefix.starts_with("//") && prefix.chars().all(sound_path) && !has_dots
    {
        prefix
    } else {
        ""
    };
    format!("{scheme}://{host}{prefix}")
}

fn first_value(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    value.split(',').next().map(|v| v.trim().to_owned())
}

/// A weak ETag from the register's revision and all that shapes the answer.
pub fn etag(request: &HttpRequest, base: &str, form: Form, revision: &str) -> String {
    etag_of(request, base, &[form as u8], revision)
}

/// [`etag`] of another form than a page's.
pub fn etag_of(request: &HttpRequest, base: &str, form: &[u8], revision: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(request.path().as_bytes());
    hasher.update([0]);
    hasher.update(request.query_string().as_bytes());
    hasher.update([0]);
    hasher.update(form);
    hasher.update(base.as_bytes());
    // A new build may write the same data differently.
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    let digest = hasher.finalize();
    let tag = digest.iter().take(8).fold(0u64, |tag, byte| tag << 8 | u64::from(*byte));
    format!("W/\"r{revision}-{tag:016x}\"")
}

/// The strong form of a weak tag: with a record's own version, which an edit names (`api::if_match`).
pub fn versioned(weak: &str, version: i64) -> String {
    let rest = weak.trim_start_matches("W/").trim_matches('"');
    format!("\"v{version}-{rest}\"")
}

/// The tag of a record that is JSON alone: [`versioned`]; of the past a weak one, with its revision.
pub async fn record_etag(request: &HttpRequest, state: &State, version: i64, past: Past) -> Result<String> {
    let base = base_url(request, state);
    let weak = etag(request, &base, Form::Json, &as_of::mark(&state.pool, past.revision).await?);
    Ok(if past.revision.is_some() { weak } else { versioned(&weak, version) })
}

/// True where the client holds this very state.
pub fn is_current(request: &HttpRequest, etag: &str) -> bool {
    let held = request.headers().get_all(header::IF_NONE_MATCH).filter_map(|v| v.to_str().ok());
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    held.flat_map(|list| list.split(',')).any(|tag| tag.trim() == "*" || bare(tag) == bare(etag))
}

/// 304 for a client that is up to date.
pub fn not_modified(etag: &str) -> Answer {
    let mut response = HttpResponse::NotModified();
    response.insert_header((header::ETAG, etag)).insert_header((header::CACHE_CONTROL, "no-cache"));
    Ok(response.insert_header((header::VARY, VARY)).finish())
}

/// A page for people.
pub fn html(etag: Option<&str>, page: String) -> Answer {
    answer("text/html; charset=utf-8", etag, page)
}

/// A JSON document.
pub fn json(etag: Option<&str>, document: &Value) -> Answer {
    answer("application/json; charset=utf-8", etag, document.to_string())
}

/// GeoJSON in this system, which the header names (OGC API Features Part 2).
pub fn geojson(etag: &str, body: impl MessageBody + 'static, crs: PublishedCrs) -> Answer {
    let mut response = answer("application/geo+json; charset=utf-8", Some(etag), body)?;
    response.headers_mut().insert(CONTENT_CRS, content_crs(crs));
    Ok(response)
}

/// An answer of this type with its ETag; caches must ask again, which costs one number.
pub fn answer(content_type: &'static str, etag: Option<&str>, body: impl MessageBody + 'static) -> Answer {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(content_type)))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")))
        .insert_header((header::VARY, HeaderValue::from_static(VARY)));
    if let Some(etag) = etag {
        response.insert_header((header::ETAG, etag));
    }
    Ok(response.body(body))
}

/// JSON that no cache may keep: it is for whoever has asked.
pub fn no_store_json(response: HttpResponseBuilder, document: &Value) -> Answer {
    no_store(response, "application/json; charset=utf-8", document)
}

/// [`no_store_json`] of another media type.
pub fn no_store(mut response: HttpResponseBuilder, content_type: &'static str, document: &Value) -> Answer {
    response
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(content_type)))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
    Ok(response.body(document.to_string()))
}

/// 204: done, and there is nothing to tell, nor to keep.
pub fn no_content() -> Answer {
    Ok(HttpResponse::NoContent().insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store"))).finish())
}

/// A link to a JSON document.
pub fn link(rel: &str, href: &str) -> Value {
    link_of(rel, "application/json", href)
}

/// A link to a document of this media type.
pub fn link_of(rel: &str, kind: &str, href: &str) -> Value {
    json!({"rel": rel, "type": kind, "href": href})
}

/// A query string of these pairs, percent-encoded.
pub fn query_string(pairs: &[(String, String)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        encode_into(&mut out, name);
        out.push('=');
        encode_into(&mut out, value);
    }
    out
}

/// Percent-encodes all but unreserved characters.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    encode_into(&mut out, text);
    out
}

fn encode_into(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b',' | b':') {
            out.push(char::from(byte));
        } else {
            // (Writing to a string does not fail.)
            let _ = write!(out, "%{byte:02X}");
        }
    }
}
