//! `Error` → RFC 9457 `application/problem+json`. The only file with error status codes.
//!
//! A client sees a Chinese sentence (English by `Accept-Language`), a stable code, and findings with places. The cause
//! goes to the log with the request's id; it never goes into an answer.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde_json::{Map, Value, json};
use tracing_actix_web::RequestId;

use super::problem_english::ENGLISH;
use super::{auth, replica};
use crate::error::Error;
use crate::inventory::wire;

/// Largest request head, in bytes (reliability.md “Limits to set”). actix itself takes up to 128 kB.
const HEAD_LIMIT: usize = 16 * 1024;

/// An error on its way to a client. Handlers return it; [`problem_layer`] writes it out.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    error: Option<Error>,
    allow: Option<&'static str>,
    retry_after_s: Option<u64>,
    /// Bytes of what a range was asked of.
    range_of: Option<u64>,
    /// Members beyond those of every problem.
    more: Vec<(&'static str, Value)>,
}

/// What handlers return.
pub type Answer = Result<HttpResponse, Problem>;

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let (error, allow, retry_after_s, range_of) = (None, None, None, None);
        Self { status, code, detail: detail.into(), error, allow, retry_after_s, range_of, more: Vec::new() }
    }

    /// The same with a member more.
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.more.push((name, value));
        self
    }

    /// 405 with the methods that there are.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "此地址不支持这种请求方法")
        }
    }

    /// 404 for an address that is none of ours.
    pub fn no_such_address() -> Self {
        Self::new(StatusCode::NOT_FOUND, "address_not_found", "没有这个地址；可从 /api 开始浏览")
    }

    /// 406: a representation that there is not.
    pub fn not_acceptable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail)
    }

    /// 415: a body in a form that is not read.
    pub fn unsupported_media_type(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, detail)
    }

    /// 416: a range outside of the `size` bytes that there are.
    pub fn no_such_range(size: u64) -> Self {
        let detail = format!("所要的字节范围不在文件的 {size} 字节之内");
        Self { range_of: Some(size), ..Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_invalid", detail) }
    }

    /// 414 or 431: the request line alone, or with the headers, is larger than [`HEAD_LIMIT`].
    pub fn head_too_large(line_alone: bool) -> Self {
        let status = if line_alone { StatusCode::URI_TOO_LONG } else { StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE };
        Self::new(status, "head_too_large", "请求的地址和请求头超过 16 kB")
    }

    /// 504: the database did not answer within our own limit; its own gives the same code.
    pub fn too_long() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "query_timeout", "数据库没有在时限内应答，请稍后重试")
    }

    /// 408: the body did not come in time.
    pub fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "请求内容在 30 秒内没有传完")
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::NotFound { .. } => StatusCode::NOT_FOUND,
            Error::Invalid { .. } => StatusCode::BAD_REQUEST,
            Error::Conflict { .. } => StatusCode::CONFLICT,
            Error::Stale { .. } => StatusCode::PRECONDITION_FAILED,
            Error::VersionMissing { .. } => StatusCode::PRECONDITION_REQUIRED,
            Error::Forbidden { .. } => StatusCode::FORBIDDEN,
            Error::Unauthenticated { .. } => StatusCode::UNAUTHORIZED,
            Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::UnsupportedFormat { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Error::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            Error::Unavailable { code: "query_timeout", .. } => StatusCode::GATEWAY_TIMEOUT,
            Error::Unavailable { code: "storage_full", .. } => StatusCode::INSUFFICIENT_STORAGE,
            // Trying again helps nobody; unlike other faults of ours it says what to do.
            Error::Unavailable { code: "attachment_damaged", .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Error::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let detail = match &error {
            // Our own sentence may name an inner step; a client gets none of it.
            Error::Internal { .. } => "服务内部出错，请把 instance 里的编号告诉运维人员".to_owned(),
            other => other.to_string(),
        };
        let code = error.code();
        let retry_after_s = match &error {
            Error::Throttled { retry_after_s, .. } => Some(*retry_after_s),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => Some(5),
            _ => None,
        };
        Self { retry_after_s, error: Some(error), ..Self::new(status, code, detail) }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.status.as_u16(), self.code, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    /// A bare response: [`problem_layer`] gives it its body, because only there the request is known.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        HttpResponse::new(self.status)
    }
}

fn title(status: StatusCode, english: bool) -> &'static str {
    if english {
        return status.canonical_reason().unwrap_or("Error");
    }
    match status.as_u16() {
        400 => "请求有误",
        401 => "需要身份验证",
        403 => "没有权限",
        404 => "找不到",
        405 => "方法不支持",
        406 => "没有这种表示形式",
        408 => "请求超时",
        409 => "与现状冲突",
        413 => "内容过大",
        414 => "地址过长",
        415 => "格式不支持",
        416 => "范围不存在",
        429 => "尝试过多",
        431 => "请求头过大",
        503 => "暂时不可用",
        504 => "超时",
        507 => "存储空间不足",
        s if s < 500 => "请求有误",
        _ => "服务出错",
    }
}

/// True where the client ranks English before Chinese.
pub fn prefers_english(request: &HttpRequest) -> bool {
    let Some(accept) = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()) else {
        return false;
    };
    let weight = |language: &str| {
        accept
            .split(',')
            .filter_map(|item| {
                let mut parts = item.trim().split(';');
                let name = parts.next()?.trim().to_ascii_lowercase();
                let q = parts.find_map(|p| p.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
                (name == language || name.starts_with(&format!("{language}-"))).then_some(q)
            })
            .fold(0.0, f32::max)
    };
    weight("en") > weight("zh")
}

fn body_of(problem: &Problem, request: &HttpRequest, instance: &str) -> Value {
    let english = prefers_english(request);
    let english_detail = ENGLISH.iter().find(|(code, _)| *code == problem.code).map(|(_, text)| *text);
    let detail = match (english, english_detail) {
        (true, Some(text)) => text.to_owned(),
        _ => problem.detail.clone(),
    };
    let mut object = Map::new();
    object.insert("type".into(), json!(format!("urn:sizhi:problem:{}", problem.code)));
    object.insert("title".into(), json!(title(problem.status, english)));
    object.insert("status".into(), json!(problem.status.as_u16()));
    object.insert("detail".into(), json!(detail));
    object.insert("instance".into(), json!(instance));
    object.insert("code".into(), json!(problem.code));
    object.insert("findings".into(), wire::findings(problem.error.as_ref().map_or(&[], |e| e.findings())));
    object.extend(replica::way_to_primary(problem.code, request).map(|url| ("primary".to_owned(), json!(url))));
    object.extend(problem.more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Value::Object(object)
}

/// Writes every error out as a problem: ours with code and findings, and whatever the layers inside refuse by
/// themselves (extractors, unmatched paths, compression, preflights) by its status. Gives every answer its common headers.
pub async fn problem_layer<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    // Never clone the request before routing: the router wants the only reference and panics over a second one.
    let mut answered = match refuse_long_head(&request) {
        Some(problem) => request.error_response(problem),
        None => next.call(request).await?.map_into_boxed_body(),
    };
    if answered.status().is_client_error() || answered.status().is_server_error() {
        let error = answered.response().error();
        let (own, foreign) = (error.and_then(|e| e.as_error::<Problem>()).map(copy_of), error.is_some());
        if foreign || !is_problem(&answered) {
            write_problem(&mut answered, own.as_ref());
        }
    }
    add_headers(&mut answered);
    Ok(answered)
}

fn refuse_long_head(request: &ServiceRequest) -> Option<Problem> {
    let line = request.uri().path_and_query().map_or(0, |p| p.as_str().len());
    // Four for the colon, the blank and the line end.
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    (line + headers > HEAD_LIMIT).then(|| Problem::head_too_large(line > HEAD_LIMIT))
}

fn copy_of(problem: &Problem) -> Problem {
    let error = problem.error.as_ref().map(|e| Error::Invalid {
        code: e.code(),
        detail: String::new(),
        findings: e.findings().to_vec(),
    });
    Problem { error, detail: problem.detail.clone(), more: problem.more.clone(), ..*problem }
}

fn is_problem(response: &ServiceResponse<BoxBody>) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/problem+json"))
}

fn write_problem(response: &mut ServiceResponse<BoxBody>, own: Option<&Problem>) {
    use actix_web::HttpMessage as _;
    let status = response.status();
    let request = response.request().clone();
    let generic;
    let problem = match own {
        Some(problem) => problem,
        None => {
            generic = generic_problem(status);
            &generic
        }
    };
    let id = request.extensions().get::<RequestId>().map(|id| id.to_string()).unwrap_or_default();
    let instance = format!("urn:uuid:{id}");
    // What is only asked for, and what a server is, are nothing for its operator to look into.
    let is_expected = problem.code == "layers_loading" || replica::is_of_role(problem.code);
    if problem.status.is_server_error() && !is_expected {
        let cause =
            response.response().error().and_then(|e| e.as_error::<Problem>()).and_then(|p| p.error.as_ref()).map(|e| {
                let mut text = e.to_string();
                let mut source = std::error::Error::source(e);
                while let Some(inner) = source {
                    text.push_str(": ");
                    text.push_str(&inner.to_string());
                    source = inner.source();
                }
                text
            });
        tracing::error!(status = problem.status.as_u16(), code = problem.code, request_id = %id, cause, "request failed");
    }
    let mut written = HttpResponse::build(problem.status);
    written.insert_header((header::CONTENT_TYPE, "application/problem+json; charset=utf-8"));
    written.insert_header((header::CACHE_CONTROL, "no-store"));
    if let Some(allow) = problem.allow {
        written.insert_header((header::ALLOW, allow));
    }
    if problem.status == StatusCode::UNAUTHORIZED {
        written.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"sizhi\""));
    }
    if let Some(url) = replica::way_to_primary(problem.code, &request) {
        written.insert_header((header::LINK, format!("<{url}>; rel=\"edit\"")));
    }
    if let Some(seconds) = problem.retry_after_s {
        written.insert_header((header::RETRY_AFTER, seconds.to_string()));
    }
    if let Some(size) = problem.range_of {
        written.insert_header((header::CONTENT_RANGE, format!("bytes */{size}")));
    }
    if problem.code == "session_ended" {
        // Or a browser would bring it again and see nothing, the public pages included.
        written.insert_header((header::SET_COOKIE, auth::forgetting_cookie(&request)));
    }
    // What the layers inside said to browsers and caches stays true of the problem.
    for (name, value) in response.headers().iter() {
        if name.as_str() == "vary" || name.as_str().starts_with("access-control-") {
            written.append_header((name.clone(), value.clone()));
        }
    }
    // A HEAD request gets the length of this body and no body: actix leaves it out.
    *response.response_mut() = written.body(body_of(problem, &request, &instance).to_string());
}

fn generic_problem(status: StatusCode) -> Problem {
    let (code, detail) = match status.as_u16() {
        404 => ("address_not_found", "没有这个地址；可从 /api 开始浏览"),
        405 => ("method_not_allowed", "此地址不支持这种请求方法"),
        406 => ("not_acceptable", "没有所要的表示形式或压缩方式"),
        408 => ("request_timeout", "请求没有在时限内传完"),
        413 => ("body_too_large", "请求内容超过上限"),
        415 => ("media_type_unsupported", "不支持这种内容类型"),
        s if s < 500 => ("request_invalid", "请求不合规则"),
        _ => ("internal", "服务内部出错，请把 instance 里的编号告诉运维人员"),
    };
    Problem::new(status, code, detail)
}

/// What every answer says, whatever it is.
fn add_headers(response: &mut ServiceResponse<BoxBody>) {
    use actix_web::HttpMessage as _;
    replica::mark_stale(response);
    let id = response.request().extensions().get::<RequestId>().map(|id| id.to_string());
    let headers = response.headers_mut();
    if let Some(id) = id.and_then(|id| HeaderValue::from_str(&id).ok()) {
        headers.insert(header::HeaderName::from_static("x-request-id"), id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    // What came from somebody's file has a stricter one of its own.
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"),
        );
    }
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::{Compress, from_fn};
    use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
    use actix_web::{App, web};

    use super::*;

    #[test]
    fn outages_by_their_status() {
        let of = |code| Problem::from(Error::Unavailable { code, detail: String::new(), cause: None }).status.as_u16();
        assert_eq!(
            ["database_unavailable", "register_busy", "query_timeout", "storage_full"].map(of),
            [503, 503, 504, 507]
        );
    }

    async fn nothing() -> Answer {
        Err(Error::not_found("park_not_found", "没有这个园区").into())
    }

    /// Status and code of the problem that answers this request.
    async fn problem_of(request: TestRequest) -> (u16, String) {
        let app = App::new()
            .route("/parks/{code}", web::get().to(nothing))
            .wrap(Compress::default())
            .wrap(from_fn(problem_layer));
        let answer = call_service(&init_service(app).await, request.to_request()).await;
        let status = answer.status().as_u16();
        let body: Value = read_body_json(answer).await;
        assert_eq!(body["status"], json!(status));
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    }

    #[actix_web::test]
    async fn errors_behind_the_router_become_problems() {
        let long = "a".repeat(HEAD_LIMIT);
        for (request, status, code) in [
            (TestRequest::with_uri("/parks/G431176"), 404, "park_not_found"),
            (TestRequest::with_uri("/nowhere"), 404, "address_not_found"),
            (TestRequest::with_uri("/parks/x").insert_header(("x-long", long.as_str())), 431, "head_too_large"),
            (TestRequest::with_uri(&format!("/parks/x?q={long}")), 414, "head_too_large"),
        ] {
            assert_eq!(problem_of(request).await, (status, code.to_owned()));
        }
    }
}
