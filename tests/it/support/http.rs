//! The application in process: the same builder as `serve`, one call at a time.

use std::sync::Arc;

use actix_web::body::to_bytes;
use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, StatusCode};
use actix_web::test::{TestRequest, call_service, init_service};
use serde_json::Value;
use sizhi::api::{self, State};

use super::{Database, TOKEN, http_args};

/// An answer, read whole.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// Asserts a problem of this status and code that leaks nothing, and gives its body.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!(self.status.as_u16(), status, "{body}");
        assert_eq!(self.header("content-type"), Some("application/problem+json; charset=utf-8"), "{body}");
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["type"], format!("urn:sizhi:problem:{code}"));
        for key in ["title", "detail", "instance"] {
            assert!(body[key].as_str().is_some_and(|text| !text.is_empty()), "{key} of {body}");
        }
        assert!(body["findings"].is_array(), "{body}");
        let text = self.text();
        for leak in ["SELECT", "panicked", "sqlx", "src/", "/tmp/", "GDAL", "postgres"] {
            assert!(!text.contains(leak), "“{leak}” leaks: {text}");
        }
        body
    }
}

/// Sends one request to the application over this database, with its layers in memory brought up to date.
pub async fn call(database: &Database, request: TestRequest) -> Answer {
    // Where the database is away, or has none of our tables, the request meets that by itself.
    let _ = database.live.refresh().await;
    let state = State::new(database.application.clone(), http_args()).with_live(Arc::clone(&database.live));
    call_with(state, request).await
}

/// The same with nothing in memory.
pub async fn call_database(database: &Database, request: TestRequest) -> Answer {
    call_with(State::new(database.application.clone(), http_args()), request).await
}

/// The same over another state: another configuration, or a database that is away.
pub async fn call_with(state: State, request: TestRequest) -> Answer {
    let app = init_service(api::app(state)).await;
    let response = call_service(&app, request.to_request()).await;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = to_bytes(response.into_body()).await.unwrap_or_else(|_| panic!("body of {status}"));
    Answer { status, headers, body: body.to_vec() }
}

/// Percent-encodes all but unreserved characters, for values in addresses.
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

/// Path and query of an absolute link of an answer.
#[track_caller]
pub fn path_of(href: &Value) -> String {
    let href = href.as_str().unwrap_or_else(|| panic!("no address: {href}"));
    let (_, rest) = href.split_once("://").unwrap_or_else(|| panic!("not absolute: {href}"));
    rest[rest.find('/').unwrap_or_else(|| panic!("no path: {href}"))..].to_owned()
}

/// The address that an answer links to by this relation.
pub fn link<'a>(document: &'a Value, rel: &str) -> Option<&'a Value> {
    document["links"].as_array()?.iter().find(|l| l["rel"] == rel).map(|l| &l["href"])
}

pub async fn get(database: &Database, path: &str) -> Answer {
    call(database, TestRequest::get().uri(path)).await
}

/// POST with the write token.
pub async fn post(database: &Database, path: &str) -> Answer {
    call(database, authorised(Method::POST, path)).await
}

/// GET with the write token.
pub async fn get_authorised(database: &Database, path: &str) -> Answer {
    call(database, authorised(Method::GET, path)).await
}

pub fn authorised(method: Method, path: &str) -> TestRequest {
    TestRequest::default().method(method).uri(path).insert_header(("authorization", format!("Bearer {TOKEN}")))
}

/// A multipart upload: fields, then one file.
pub fn upload(path: &str, fields: &[(&str, &str)], file_name: &str, bytes: &[u8]) -> TestRequest {
    let boundary = "boundary-of-the-test";
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").as_bytes(),
        );
    }
    body.extend_from_slice(
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )
        .as_bytes(),
    );
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    authorised(Method::POST, path)
        .insert_header(("content-type", format!("multipart/form-data; boundary={boundary}")))
        .set_payload(body)
}
