//! The upload of an import or an attachment: `multipart/form-data` with one file, streamed to disk under the published limits.
//!
//! The file never stands in memory as a whole, and its name is never used as a path. The temporary file goes with the
//! value that holds it, whatever way the request ends. Never: looking into the file.

use std::io;
use std::time::Duration;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::http::header::{self, ContentDisposition, HeaderValue};
use actix_web::{HttpMessage as _, HttpRequest};
use futures_util::StreamExt as _;
use tempfile::NamedTempFile;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::params::{Params, shorten};
use super::problem::Problem;
use crate::error::Error;

/// Time for the whole body.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Largest text part, in bytes.
const TEXT_LIMIT: usize = 4 * 1024;
/// What a form may weigh besides its file: the texts and the parts' heads.
const FORM_LIMIT: u64 = 256 * 1024;
/// Most parts of a form; so many texts cannot fill the memory.
const PARTS: usize = 32;
/// Longest file name, in characters.
const NAME_LENGTH: usize = 200;

/// The name of the file's part.
pub const FILE: &str = "file";

/// The name of the part with a table that goes with the file.
pub const ATTRIBUTES: &str = "attributes";

/// An upload as it came.
#[derive(Debug)]
pub struct Upload {
    pub file: NamedTempFile,
    /// The last segment of the name that the client gave.
    pub file_name: String,
    /// The type that the client gave the file.
    pub media_type: Option<String>,
    /// A table that goes with the file, and its name.
    pub attributes: Option<(NamedTempFile, String)>,
    /// Of the query string and of the form together.
    pub params: Params,
}

/// Names of text parts and query parameters.
pub struct Names<'a> {
    pub all: &'a [&'a str],
    /// Those that may come again.
    pub lists: &'a [&'a str],
    /// A table may go with the file.
    pub attributes: bool,
}

/// Reads the form. What can be refused by the head alone is refused before the body is read.
pub async fn receive(
    request: &HttpRequest,
    form: Multipart,
    names: &Names<'_>,
    limit_mb: usize,
) -> Result<Upload, Problem> {
    let params = Params::read_with_lists(request, names.all, names.lists)?;
    check_head(request, limit_mb)?;
    tokio::time::timeout(BODY_TIME, read_parts(form, params, names, limit_mb)).await.map_err(|_| Problem::too_slow())?
}

fn check_head(request: &HttpRequest, limit_mb: usize) -> Result<(), Problem> {
    let plain = |v: &HeaderValue| v.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if !request.headers().get_all(header::CONTENT_ENCODING).all(plain) {
        let detail = "不接受压缩的请求内容（Content-Encoding）；请直接上传文件，文件本身可以是 zip";
        return Err(Problem::unsupported_media_type("encoding_unsupported", detail));
    }
    if !request.content_type().eq_ignore_ascii_case("multipart/form-data") {
        let detail = format!("请求内容应为 multipart/form-data，文件放在名为 {FILE} 的部分");
        return Err(Problem::unsupported_media_type("media_type_unsupported", detail));
    }
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > bytes(limit_mb).saturating_add(FORM_LIMIT)) {
        return Err(too_large(limit_mb).into());
    }
    Ok(())
}

async fn read_parts(
    mut form: Multipart,
    mut params: Params,
    names: &Names<'_>,
    limit_mb: usize,
) -> Result<Upload, Problem> {
    let (mut file, mut attributes, mut media_type) = (None, None, None);
    let mut parts = 0;
    while let Some(part) = form.next().await {
        let mut part = part.map_err(malformed)?;
        parts += 1;
        if parts > PARTS {
            return Err(Error::invalid("multipart_invalid", format!("表单的部分超过 {PARTS} 个")).into());
        }
        let name = part.name().unwrap_or_default().to_owned();
        if name == FILE || names.attributes && name == ATTRIBUTES {
            let kept = if name == FILE { &mut file } else { &mut attributes };
            if kept.is_some() {
                return Err(Error::invalid("parameter_repeated", format!("表单部分 {name} 只能有一个文件")).into());
            }
            let file_name = name_of(part.content_disposition())?;
            if name == FILE {
                media_type = part.content_type().map(ToString::to_string);
            }
            *kept = Some((store(&mut part, limit_mb).await?, file_name));
        } else if names.all.contains(&name.as_str()) {
            let value = read_text(&mut part, &name).await?;
            // A page sends its empty fields too: nothing was given.
            if !value.is_empty() {
                params.add(&name, &value, names.lists.contains(&name.as_str()))?;
            }
        } else {
            let table = if names.attributes { format!("{ATTRIBUTES}、") } else { String::new() };
            let known = names.all.join("、");
            let detail = format!("不认识表单部分“{}”；可用的有 {FILE}、{table}{known}", shorten(&name));
            return Err(Error::invalid("part_unknown", detail).into());
        }
    }
    let (file, file_name) = file.ok_or_else(no_file)?;
    Ok(Upload { file, file_name, media_type, attributes, params })
}

/// Writes the part to a temporary file, chunk by chunk, and stops at the limit.
async fn store(part: &mut Field, limit_mb: usize) -> Result<NamedTempFile, Problem> {
    let kept = NamedTempFile::new().map_err(unwritable)?;
    let mut out = File::from_std(kept.reopen().map_err(unwritable)?);
    let mut size = 0;
    while let Some(chunk) = part.next().await {
        let chunk = chunk.map_err(malformed)?;
        size += chunk.len() as u64;
        if size > bytes(limit_mb) {
            return Err(too_large(limit_mb).into());
        }
        out.write_all(&chunk).await.map_err(unwritable)?;
    }
    out.flush().await.map_err(unwritable)?;
    Ok(kept)
}

async fn read_text(part: &mut Field, name: &str) -> Result<String, Problem> {
    let invalid = |why: &str| Error::invalid("value_invalid", format!("表单部分 {name} {why}"));
    let mut bytes = Vec::new();
    while let Some(chunk) = part.next().await {
        let chunk = chunk.map_err(malformed)?;
        if bytes.len() + chunk.len() > TEXT_LIMIT {
            return Err(invalid("超过 4 kB").into());
        }
        bytes.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(bytes).map_err(|_| invalid("不是 UTF-8 文字"))?;
    let text = text.trim();
    // These texts go into the batch's record, which holds no NUL.
    if text.chars().any(char::is_control) {
        return Err(invalid("含有控制字符").into());
    }
    Ok(text.to_owned())
}

/// `filename*` where a client sends it, else `filename`.
fn name_of(disposition: Option<&ContentDisposition>) -> Result<String, Error> {
    let disposition = disposition.ok_or_else(no_file)?;
    let extended = disposition.get_filename_ext().map(|extended| String::from_utf8(extended.value.clone()));
    let extended = extended.transpose().map_err(|_| bad_name("不是 UTF-8 文字"))?;
    match extended.as_deref().or(disposition.get_filename()) {
        Some(given) if !given.trim().is_empty() => checked_name(given),
        _ => Err(no_file()),
    }
}

/// The last segment of a name: browsers of old and some programs send whole paths.
fn checked_name(given: &str) -> Result<String, Error> {
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    // Marks that turn the direction of display make a name look like another one.
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    match name {
        "" | "." | ".." => Err(bad_name("不是文件名")),
        name if name.chars().any(hidden) => Err(bad_name("含有控制字符")),
        name if name.chars().count() > NAME_LENGTH => Err(bad_name("超过 200 个字符")),
        name => Ok(name.to_owned()),
    }
}

fn bytes(limit_mb: usize) -> u64 {
    (limit_mb as u64).saturating_mul(1024 * 1024)
}

fn too_large(limit_mb: usize) -> Error {
    Error::too_large("upload_too_large", format!("上传的文件超过上限 {limit_mb} MB"))
}

fn no_file() -> Error {
    Error::invalid("file_missing", format!("没有收到文件；请把文件放在名为 {FILE} 的表单部分，并带上文件名"))
}

fn bad_name(why: &str) -> Error {
    Error::invalid("file_name_invalid", format!("上传的文件名{why}；请改名后重试"))
}

/// A form that cannot be read: the client's fault, or its connection's.
fn malformed(error: MultipartError) -> Problem {
    let detail = match &error {
        MultipartError::BoundaryMissing => "表单的分隔标记缺失或不完整，传输可能中断了；请重新上传",
        MultipartError::Incomplete | MultipartError::Payload(_) => "表单不完整，传输可能中断了；请重新上传",
        MultipartError::ContentDispositionMissing | MultipartError::ContentDispositionNameMissing => {
            "表单有一个部分没有写明名称（Content-Disposition: form-data; name=…），或文件名不是 UTF-8"
        }
        MultipartError::Nested => "表单里不能再套表单",
        _ => "表单无法解读",
    };
    tracing::debug!(%error, "multipart form refused");
    Error::invalid("multipart_invalid", detail).into()
}

fn unwritable(cause: io::Error) -> Problem {
    let full = matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let error = if full {
        let detail = "服务器存放上传文件的磁盘已满，请联系运维人员".to_owned();
        Error::Unavailable { code: "storage_full", detail, cause: Some(Box::new(cause)) }
    } else {
        Error::internal("上传的文件无法保存", cause)
    };
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_last_segments_without_hidden_characters() {
        let longest = "长".repeat(NAME_LENGTH);
        let too_long = format!("{longest}长");
        for (given, expected) in [
            ("边界.zip", Some("边界.zip")),
            ("C:\\数据\\边界.zip", Some("边界.zip")),
            ("../../etc/passwd", Some("passwd")),
            (" 一号 地块.txt ", Some("一号 地块.txt")),
            (longest.as_str(), Some(longest.as_str())),
            ("a/", None),
            ("..", None),
            ("a\nb.txt", None),
            ("a\0b.txt", None),
            ("abc\u{202E}txt.exe", None),
            (too_long.as_str(), None),
        ] {
            assert_eq!(checked_name(given).ok().as_deref(), expected, "{given:?}");
        }
    }

    #[test]
    fn both_ways_of_naming_a_file() {
        let named = |disposition: &'static str| {
            let raw = HeaderValue::from_bytes(disposition.as_bytes()).expect("header");
            name_of(Some(&ContentDisposition::from_raw(&raw).expect("disposition"))).map_err(|e| e.code())
        };
        assert_eq!(named("form-data; name=\"file\"; filename=\"边界.zip\""), Ok("边界.zip".to_owned()));
        let extended = "form-data; name=\"file\"; filename=\"x.zip\"; filename*=UTF-8''%E8%BE%B9%E7%95%8C.zip";
        assert_eq!(named(extended), Ok("边界.zip".to_owned()));
        assert_eq!(named("form-data; name=\"file\"; filename*=GBK''%B1%DF.zip"), Err("file_name_invalid"));
        assert_eq!(named("form-data; name=\"file\"; filename=\"\""), Err("file_missing"));
        assert_eq!(named("form-data; name=\"file\""), Err("file_missing"));
        assert_eq!(name_of(None).map_err(|e| e.code()), Err("file_missing"));
    }
}
