//! `…/items/{id}/attachments`: the files of a record, added, listed, sent back, removed.
//!
//! What is sent came from somebody's computer: it is a download, of the type that its bytes have, and nothing in it may run. Never: a decision
//! about a file's content.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_multipart::Multipart;
use actix_web::body::SizedStream;
use actix_web::http::header::{self, ContentEncoding, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use chrono::SecondsFormat;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::edits::{self, Target};
use super::exports;
use super::item::item_not_found;
use super::params::{Params, shorten};
use super::problem::{Answer, Problem};
use super::representation;
use super::state::State;
use super::upload::{self, Names};
use crate::domain::attachment::{AttachmentKind, MediaType};
use crate::error::{Error, Result};
use crate::inventory::ledgers::Done;
use crate::inventory::ledgers::attachments::{self, Addition, no_attachment};
use crate::store;
use crate::store::attachments::Attachment;

/// What a caller may say of a file, as form parts or in the query string.
const NAMES: Names = Names { all: &["kind", "note"], lists: &[], attributes: false };

/// How long a download waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// From its turn to its last byte.
const DOWNLOAD_TIME: Duration = Duration::from_secs(300);

type Path = web::Path<(String, String, String)>;

/// `GET …/attachments`: those that stand, the first one first; with `removed=true` all.
pub async fn list_attachments(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    state: web::Data<State>,
) -> Answer {
    let target = Target::without_version(&request, &state, &path.0, Some(&path.1)).await?;
    let params = Params::read(&request, &["f", "removed"], |_| false)?;
    let with_removed = params.flag("removed")?;
    let found = attachments::list(&state.pool, &target.viewer, target.ledger, &path.1, with_removed).await?;
    let found = found.ok_or_else(|| item_not_found(target.layer, &path.1))?;
    let url = target.url(&representation::base_url(&request, &state), &path.1);
    let told: Vec<Value> =
        found.iter().map(|attachment| describe(attachment, &url, target.viewer.role.writes())).collect();
    let document = json!({
        "record": path.1,
        "numberReturned": told.len(),
        "attachments": told,
        "links": [
            {"rel": "self", "type": "application/json", "href": format!("{url}/attachments{}", if with_removed { "?removed=true" } else { "" })},
            {"rel": "item", "type": "application/geo+json", "href": url},
        ],
    });
    representation::json(None, &document)
}

/// What is told of an attachment; who may not have its bytes finds no link to them.
fn describe(attachment: &Attachment, url: &str, writes: bool) -> Value {
    let label = AttachmentKind::parse(&attachment.kind).map_or(attachment.kind.as_str(), |kind| kind.label());
    let at = |moment: chrono::DateTime<chrono::Utc>| moment.to_rfc3339_opts(SecondsFormat::Secs, true);
    let removed = attachment.removed_revision.map(|revision| {
        json!({
            "by": attachment.removed_by, "at": attachment.removed_at.map(at), "reason": attachment.removed_reason, "revision": revision,
        })
    });
    let mark = if removed.is_some() { "?removed=true" } else { "" };
    let bytes = json!({
        "rel": "enclosure", "type": attachment.media_type, "title": attachment.file_name, "length": attachment.size_bytes,
        "href": format!("{url}/attachments/{}{mark}", attachment.ordinal),
    });
    let links = if removed.is_none() || writes { vec![bytes] } else { Vec::new() };
    json!({
        "id": attachment.ordinal,
        "kind": {"code": attachment.kind, "label": label},
        "file_name": attachment.file_name,
        "note": attachment.note,
        "media_type": attachment.media_type,
        "size_bytes": attachment.size_bytes,
        "sha256": attachment.sha256,
        "added": {"by": attachment.added_by, "at": at(attachment.added_at), "revision": attachment.added_revision},
        "removed": removed,
        "links": links,
    })
}

/// `POST …/attachments`: one file with what it is for.
pub async fn create_attachment(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    form: Multipart,
    state: web::Data<State>,
) -> Answer {
    let target = Target::without_version(&request, &state, &path.0, Some(&path.1)).await?;
    let limit_mb = state.http.attachment_max_mb.clamp(1, state.http.upload_limit_mb.max(1));
    let upload = upload::receive(&request, form, &NAMES, limit_mb).await?;
    let (kind, note) = (kind(&upload.params)?, upload.params.text("note"));
    let file = attachments::inspect(upload.file.path(), &upload.file_name, upload.media_type.as_deref()).await?;
    // The same file in another form's clothes is the same request.
    let sent = json!([file.sha256, file.name.as_str(), kind.code(), note]).to_string();
    let deed = target.deed(&request, sent.as_bytes())?;
    let addition = Addition { path: upload.file.path(), file: &file, kind, note: note.as_deref() };
    let adding = attachments::add(&state.pool, &deed, target.ledger, &path.1, &addition);
    let done = store::while_answering(&state.pool, adding).await?;
    added(&request, &state, &target, &path.1, &done).await
}

fn kind(params: &Params) -> Result<AttachmentKind> {
    let known = || AttachmentKind::ALL.map(|kind| format!("{}（{}）", kind.label(), kind.code())).join("、");
    let Some(text) = params.text("kind") else {
        return Err(Error::invalid("value_invalid", format!("请说明附件的类别（kind）：{}", known())));
    };
    AttachmentKind::parse(&text)
        .ok_or_else(|| Error::invalid("value_invalid", format!("没有附件类别“{}”；可用：{}", shorten(&text), known())))
}

/// 201 with what is told of the attachment; of a request that was done before also where it was removed since.
async fn added(request: &HttpRequest, state: &web::Data<State>, target: &Target, record: &str, done: &Done) -> Answer {
    let found = attachments::list(&state.pool, &target.viewer, target.ledger, record, true).await?;
    let found = found.into_iter().flatten().find(|attachment| attachment.ordinal.to_string() == done.id);
    let attachment = found.ok_or_else(|| no_attachment(target.ledger, record, &done.id))?;
    let url = target.url(&representation::base_url(request, state), record);
    let mut answer = representation::json(None, &describe(&attachment, &url, true))?;
    *answer.status_mut() = StatusCode::CREATED;
    let headers = answer.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&format!("{url}/attachments/{}", attachment.ordinal)) {
        headers.insert(header::LOCATION, location);
    }
    for (name, value) in edits::marks(done.revision, done.replayed) {
        headers.insert(name, value);
    }
    Ok(answer)
}

/// `DELETE …/attachments/{n}?reason=`: it ends; history and bytes stay.
pub async fn remove_attachment(request: HttpRequest, path: Path, state: web::Data<State>) -> Answer {
    let target = Target::without_version(&request, &state, &path.0, Some(&path.1)).await?;
    let params = Params::read(&request, &["reason"], |_| false)?;
    let number = number(&target, &path.1, &path.2)?;
    let deed = target.deed(&request, &[])?;
    let reason = params.text("reason");
    let done = attachments::remove(&state.pool, &deed, target.ledger, &path.1, number, reason.as_deref()).await?;
    let mut response = HttpResponse::NoContent();
    edits::mark(&mut response, done.revision, done.replayed);
    Ok(response.finish())
}

fn number(target: &Target, record: &str, text: &str) -> Result<i32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| no_attachment(target.ledger, record, text))
}

/// `GET …/attachments/{n}`: the bytes, or a range of them. One that was removed is for those who may remove, and has to be asked for
/// (`removed=true`).
pub async fn get_attachment(request: HttpRequest, path: Path, state: web::Data<State>) -> Answer {
    let target = Target::without_version(&request, &state, &path.0, Some(&path.1)).await?;
    let params = Params::read(&request, &["removed"], |_| false)?;
    let with_removed = params.flag("removed")?;
    if with_removed && !target.viewer.role.writes() {
        let detail = format!("“{}”不能取得已移除的附件", target.viewer.role.label());
        return Err(Error::Forbidden { code: "role_insufficient", detail }.into());
    }
    let number = number(&target, &path.1, &path.2)?;
    let all = attachments::list(&state.pool, &target.viewer, target.ledger, &path.1, with_removed).await?;
    let all = all.ok_or_else(|| item_not_found(target.layer, &path.1))?;
    let attachment = all.into_iter().find(|attachment| attachment.ordinal == number);
    let attachment = attachment.ok_or_else(|| no_attachment(target.ledger, &path.1, &path.2))?;
    send(&request, &state, &target, &attachment).await
}

async fn send(request: &HttpRequest, state: &web::Data<State>, target: &Target, attachment: &Attachment) -> Answer {
    let etag = format!("\"{}\"", attachment.sha256);
    if representation::is_current(request, &etag) {
        return representation::not_modified(&etag);
    }
    let size = u64::try_from(attachment.size_bytes).unwrap_or(0);
    let range = range(request, &etag, size)?;
    let (from, length) = range.unwrap_or((0, size));
    let mut response = head(attachment, &etag);
    if range.is_some() {
        response.status(StatusCode::PARTIAL_CONTENT);
        response.insert_header((header::CONTENT_RANGE, format!("bytes {from}-{}/{size}", from + length - 1)));
    }
    if request.method() == Method::HEAD {
        return Ok(response.body(SizedStream::new(length, stream::empty::<io::Result<Bytes>>())));
    }
    let turn = turn(state).await?;
    let spooled = attachments::spool(&state.pool, &target.viewer, attachment).await?;
    let pieces = spooled.flow(from, length, DOWNLOAD_TIME, Box::new(turn)).await?;
    Ok(response.body(SizedStream::new(length, exports::body(pieces))))
}

async fn turn(state: &State) -> Result<OwnedSemaphorePermit> {
    let waiting = Arc::clone(&state.downloads).acquire_owned();
    match tokio::time::timeout(TURN, waiting).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Error::Unavailable {
            code: "downloads_busy",
            detail: "正在下载附件的人太多，请稍后再试".to_owned(),
            cause: None,
        }),
    }
}

/// What stands above the bytes.
fn head(attachment: &Attachment, etag: &str) -> HttpResponseBuilder {
    // Of a type that this program does not know (any more), nothing is said.
    let kind = MediaType::parse(&attachment.media_type).map_or("application/octet-stream", MediaType::as_str);
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, kind))
        .insert_header((header::CONTENT_DISPOSITION, disposition(attachment)))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .insert_header((header::ETAG, etag))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        // Packed already; and a range is one of these bytes.
        .insert_header(ContentEncoding::Identity);
    response
}

/// A download under its own name (RFC 6266), with another for programs that know ASCII alone.
fn disposition(attachment: &Attachment) -> String {
    let name = &attachment.file_name;
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ' | '(' | ')');
    let plain: String = name.chars().map(|c| if sound(c) { c } else { '_' }).collect();
    let stem = plain.rsplit_once('.').map_or(plain.as_str(), |(stem, _)| stem);
    let plain = if stem.chars().any(|c| c.is_ascii_alphanumeric()) {
        plain
    } else {
        let kind = MediaType::parse(&attachment.media_type);
        let extension = kind.and_then(|kind| kind.extensions().first()).copied().unwrap_or("bin");
        format!("attachment-{}.{extension}", attachment.ordinal)
    };
    // Two more than in a query string (RFC 8187, attr-char).
    let extended = representation::encode(name).replace(',', "%2C").replace(':', "%3A");
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}")
}

/// The one range that is asked for, as its first byte and its length. Several, another unit, or words that are none: all of it, as RFC 9110
/// (14.2) allows; so also where `If-Range` names other bytes.
fn range(request: &HttpRequest, etag: &str, size: u64) -> std::result::Result<Option<(u64, u64)>, Problem> {
    let header = |name: header::HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    if header(header::IF_RANGE).is_some_and(|held| held.trim() != etag) || request.method() != Method::GET {
        return Ok(None);
    }
    let asked = header(header::RANGE).and_then(|text| text.trim().strip_prefix("bytes="));
    let Some((first, last)) = asked.and_then(|asked| asked.split_once('-')) else { return Ok(None) };
    let (first, last) = (first.trim(), last.trim());
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(first) || !digits(last) || first.is_empty() && last.is_empty() {
        return Ok(None);
    }
    // Beyond what a number holds is beyond every file.
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    let (first, last) = match (first, last) {
        ("", count) => match number(count) {
            0 => return Err(Problem::no_such_range(size)),
            count => (size.saturating_sub(count), size - 1),
        },
        (first, "") => (number(first), size - 1),
        (first, last) if number(first) > number(last) => return Ok(None),
        (first, last) => (number(first), number(last).min(size - 1)),
    };
    if first >= size { Err(Problem::no_such_range(size)) } else { Ok(Some((first, last - first + 1))) }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn attachment(name: &str) -> Attachment {
        Attachment {
            ordinal: 3,
            county_code: "430121".to_owned(),
            kind: "photo".to_owned(),
            file_name: name.to_owned(),
            note: None,
            media_type: "image/jpeg".to_owned(),
            size_bytes: 10,
            sha256: "ab".to_owned(),
            added_by: String::new(),
            added_at: chrono::DateTime::UNIX_EPOCH,
            added_revision: 1,
            removed_by: None,
            removed_at: None,
            removed_revision: None,
            removed_reason: None,
        }
    }

    #[test]
    fn names_of_downloads_cannot_leave_their_quotes() {
        for (name, plain, extended) in [
            ("site 1.jpg", "site 1.jpg", "site%201.jpg"),
            ("现场.jpg", "attachment-3.jpg", "%E7%8E%B0%E5%9C%BA.jpg"),
            ("a\"; filename=b.exe;,:.jpg", "a__ filename_b.exe___.jpg", "a%22%3B%20filename%3Db.exe%3B%2C%3A.jpg"),
        ] {
            let expected = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}");
            assert_eq!(disposition(&attachment(name)), expected);
        }
    }

    #[test]
    fn ranges_are_one_or_all() {
        for (asked, expected) in [
            ("bytes=0-3", Ok(Some((0, 4)))),
            ("bytes=4-", Ok(Some((4, 6)))),
            ("bytes=-3", Ok(Some((7, 3)))),
            ("bytes=-30", Ok(Some((0, 10)))),
            ("bytes=8-99999999999999999999", Ok(Some((8, 2)))),
            ("bytes=10-", Err(416)),
            ("bytes=99999999999999999999-", Err(416)),
            ("bytes=-0", Err(416)),
            ("bytes=3-2", Ok(None)),
            ("bytes=0-1,3-4", Ok(None)),
            ("bytes=-", Ok(None)),
            ("bytes=a-b", Ok(None)),
            ("rows=0-1", Ok(None)),
        ] {
            let request = TestRequest::get().insert_header(("range", asked)).to_http_request();
            let found = range(&request, "\"ab\"", 10).map_err(|problem| {
                use actix_web::ResponseError as _;
                problem.status_code().as_u16()
            });
            assert_eq!(found, expected, "{asked}");
        }
        let of = |held: &'static str| {
            let request = TestRequest::get().insert_header(("range", "bytes=0-3")).insert_header(("if-range", held));
            range(&request.to_http_request(), "\"ab\"", 10).ok().flatten()
        };
        assert_eq!((of("\"ab\""), of("\"cd\""), of("W/\"ab\"")), (Some((0, 4)), None, None));
    }
}
