//! `If-Match`: which version of a record the client decided on (RFC 9110, 13.1.1).
//!
//! The ETag of a record is `"v12-r17-0a1b2c3d-…"`: the revision that wrote its row; the register's newest revision when it was read, with
//! the start of that one's hash; whose eyes and which form. A version is what an edit may be lost under, so `v12` is compared with the
//! row that stands. That `r17-0a1b2c3d` is in the log is asked too: a register restored from an older backup counts the same
//! numbers again, and its `v12` is another one. Whose eyes and which form do not matter: every form of a version shows that version.

use actix_web::HttpRequest;
use actix_web::http::header;
use sqlx::PgPool;

use crate::error::{Error, Result};
use crate::store::as_of;

/// Tags that are looked at; nobody holds as many versions.
const MOST: usize = 20;

/// An entity tag that this service may have given out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tag {
    /// The revision that wrote the row.
    version: i64,
    /// Number and start of the hash of the newest revision when it was read.
    read_at: (i64, String),
}

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum IfMatch {
    /// Nothing, or `*`: no version was decided on.
    Missing,
    /// Those of a list that may match, in their order: strong ones (13.1.1, 8.8.3.2) that look as ours do. None may be left.
    Tags(Vec<Tag>),
}

/// Reads the header. Several lines are one list (5.3).
fn read(request: &HttpRequest) -> Result<IfMatch> {
    let mut lines = Vec::new();
    for line in request.headers().get_all(header::IF_MATCH) {
        lines.push(line.to_str().map_err(|_| invalid())?);
    }
    parse(&lines.join(","))
}

/// The versions that the client decided on, those of tags that this register gave out; `None` where it named none.
pub async fn versions(request: &HttpRequest, pool: &PgPool) -> Result<Option<Vec<i64>>> {
    let IfMatch::Tags(tags) = read(request)? else { return Ok(None) };
    let mut versions = Vec::with_capacity(tags.len());
    for tag in tags {
        let (number, hash) = &tag.read_at;
        if as_of::is_marked(pool, *number, hash).await? {
            versions.push(tag.version);
        }
    }
    Ok(Some(versions))
}

fn invalid() -> Error {
    let detail = "If-Match 应为取得该记录时的 ETag，例如 \"v12-r17-0a1b2c3d-…\"，引号一并带上";
    Error::invalid("if_match_invalid", detail)
}

fn parse(text: &str) -> Result<IfMatch> {
    let mut rest = text.trim();
    if rest.is_empty() || rest == "*" {
        return Ok(IfMatch::Missing);
    }
    let (mut tags, mut seen) = (Vec::new(), 0);
    while !rest.is_empty() {
        // Empty elements of a list are to be passed over (5.6.1).
        if let Some(after) = rest.strip_prefix(',') {
            rest = after.trim_start();
            continue;
        }
        let (weak, opened) = match rest.strip_prefix("W/") {
            Some(after) => (true, after),
            None => (false, rest),
        };
        let (opaque, after) = opened.strip_prefix('"').and_then(|t| t.split_once('"')).ok_or_else(invalid)?;
        rest = after.trim_start();
        if !(rest.is_empty() || rest.starts_with(',')) {
            return Err(invalid());
        }
        seen += 1;
        if seen > MOST {
            return Err(Error::invalid("if_match_invalid", format!("If-Match 最多列出 {MOST} 个 ETag")));
        }
        tags.extend(tag(opaque).filter(|_| !weak));
    }
    if seen == 0 { Ok(IfMatch::Missing) } else { Ok(IfMatch::Tags(tags)) }
}

/// `None` for a tag that no record of ours has.
fn tag(opaque: &str) -> Option<Tag> {
    let (version, rest) = opaque.strip_prefix('v')?.split_once('-')?;
    let version = number(version)?;
    // A register without a revision has no mark; neither has it a record.
    let mark = rest.strip_prefix('r')?;
    let mut parts = mark.split('-');
    let (at, hash) = (number(parts.next()?)?, parts.next()?);
    let sound = hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    sound.then(|| Tag { version, read_at: (at, hash.to_ascii_lowercase()) })
}

fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        match parse(text) {
            Ok(IfMatch::Missing) => "missing".to_owned(),
            Ok(IfMatch::Tags(tags)) => tags
                .iter()
                .map(|t| format!("{}@{}/{}", t.version, t.read_at.0, t.read_at.1))
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => error.code().to_owned(),
        }
    }

    #[test]
    fn lists_of_tags_by_the_rules_of_http() {
        let ours = "\"v12-r17-0a1b2c3d-89abcdef-0123456789abcdef\"";
        for (text, expected) in [
            ("", "missing"),
            ("*", "missing"),
            (" , ,", "missing"),
            (ours, "12@17/0a1b2c3d"),
            (&format!("{ours} ,, \"v3-r4-deadbeef-x\""), "12@17/0a1b2c3d 3@4/deadbeef"),
            // Weak, and none of ours: tags, but none that may match.
            (&format!("W/{ours}"), ""),
            ("\"abc\"", ""),
            ("\"\"", ""),
            ("\"v12-0a1b\"", ""),
            ("\"v12\"", ""),
            ("\"v-1-r17-0a1b2c3d\"", ""),
            ("\"v+1-r17-0a1b2c3d\"", ""),
            ("\"v99999999999999999999-r17-0a1b2c3d\"", ""),
            ("\"v12-r17-0a1b2c3\"", ""),
            ("\"a,b\", \"v3-r4-deadbeef\"", "3@4/deadbeef"),
            // No tags at all.
            ("abc", "if_match_invalid"),
            ("v12-r17-0a1b2c3d", "if_match_invalid"),
            ("\"abc", "if_match_invalid"),
            ("w/\"abc\"", "if_match_invalid"),
            ("\"a\" \"b\"", "if_match_invalid"),
            ("\"a\", *", "if_match_invalid"),
            (&vec!["\"a\""; 20].join(","), ""),
            (&vec!["\"a\""; 21].join(","), "if_match_invalid"),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }
}
