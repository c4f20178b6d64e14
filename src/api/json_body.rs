//! A JSON object of a request: bounded, every member known and given once, at every depth. Unknown members are named, never ignored.

use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpMessage as _, HttpRequest, web};
use futures_util::StreamExt as _;
use serde_json::Value;

use super::json_strict;
use super::params::shorten;
use super::problem::Problem;
use crate::error::{Error, Result};

/// Largest body, in bytes.
pub const LIMIT: usize = 64 * 1024;
/// Time for the whole body.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The members of one object, in the order given.
#[derive(Debug)]
pub struct Members(Vec<(String, Value)>);

/// Reads the body of a request whose members may be these.
pub async fn read(
    request: &HttpRequest,
    payload: web::Payload,
    known: &[&str],
) -> std::result::Result<Members, Problem> {
    // A form of another site's page cannot have this type without asking first.
    let body = bytes(request, payload, &["application/json"], LIMIT).await?;
    Ok(Members::parse(&body, known)?)
}

/// The body of a request in one of these types, up to `limit` bytes.
pub async fn bytes(
    request: &HttpRequest,
    payload: web::Payload,
    types: &[&str],
    limit: usize,
) -> std::result::Result<Vec<u8>, Problem> {
    let plain = |v: &HeaderValue| v.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if !request.headers().get_all(header::CONTENT_ENCODING).all(plain) {
        return Err(Problem::unsupported_media_type(
            "encoding_unsupported",
            "不接受压缩的请求内容（Content-Encoding）",
        ));
    }
    if !types.iter().any(|known| request.content_type().eq_ignore_ascii_case(known)) {
        let detail = format!("请求内容应为 {}", types.join(" 或 "));
        return Err(Problem::unsupported_media_type("media_type_unsupported", detail));
    }
    tokio::time::timeout(BODY_TIME, collect(payload, limit))
        .await
        .map_err(|_| Problem::too_slow())?
        .map_err(Problem::from)
}

async fn collect(mut payload: web::Payload, limit: usize) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Error::invalid("json_invalid", "请求内容没有传完"))?;
        if body.len() + chunk.len() > limit {
            return Err(Error::too_large("body_too_large", format!("请求内容超过 {} kB", limit / 1024)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl Members {
    pub fn parse(body: &[u8], known: &[&str]) -> Result<Self> {
        let Value::Object(members) = json_strict::parse(body)? else {
            return Err(Error::invalid("json_invalid", "请求内容应为一个 JSON 对象"));
        };
        let members = Members(members.into_iter().collect());
        members.only(known)?;
        Ok(members)
    }

    /// Refuses members of other names.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        match self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                let detail = format!("不认识成员“{}”；可用的成员：{}", shorten(name), known.join("、"));
                Err(Error::invalid("member_unknown", detail))
            }
        }
    }

    /// A list of objects, at most a thousand.
    pub fn objects(&self, name: &str) -> Result<Option<Vec<Members>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let list = value.as_array().filter(|list| list.len() <= 1_000);
        let objects = list.and_then(|list| {
            list.iter()
                .map(|item| item.as_object().map(|o| Members(o.iter().map(|(k, v)| (k.clone(), v.clone())).collect())))
                .collect()
        });
        objects.map(Some).ok_or_else(|| invalid(name, "应为对象的列表，至多 1000 项"))
    }

    /// Names and values as given, also those that are `null`.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value; `null` is as good as missing.
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    pub fn text(&self, name: &str) -> Result<Option<String>> {
        match self.get(name) {
            None => Ok(None),
            // PostgreSQL holds no NUL.
            Some(Value::String(text)) if !text.contains('\0') => Ok(Some(text.clone())),
            Some(_) => Err(invalid(name, "应为文字")),
        }
    }

    pub fn needed_text(&self, name: &str) -> Result<String> {
        self.text(name)?.ok_or_else(|| Error::invalid("member_missing", format!("缺少成员 {name}")))
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(invalid(name, "应为 true 或 false")),
        }
    }

    pub fn integer(&self, name: &str) -> Result<Option<i64>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| invalid(name, "应为整数")),
        }
    }

    /// A list of anything, at most so many.
    pub fn values(&self, name: &str, most: usize) -> Result<Option<Vec<Value>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let list = value.as_array().filter(|list| list.len() <= most);
        list.cloned().map(Some).ok_or_else(|| invalid(name, &format!("应为列表，至多 {most} 项")))
    }

    /// Whatever was given.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }

    /// A list of texts, at most a thousand.
    pub fn texts(&self, name: &str) -> Result<Option<Vec<String>>> {
        self.texts_up_to(name, 1_000)
    }

    /// A list of texts, at most so many.
    pub fn texts_up_to(&self, name: &str, most: usize) -> Result<Option<Vec<String>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let list = value.as_array().filter(|list| list.len() <= most);
        let texts = list.and_then(|list| {
            list.iter().map(|item| item.as_str().filter(|t| !t.contains('\0')).map(str::to_owned)).collect()
        });
        texts.map(Some).ok_or_else(|| invalid(name, &format!("应为文字的列表，至多 {most} 项")))
    }
}

fn invalid(name: &str, what: &str) -> Error {
    Error::invalid("member_invalid", format!("成员 {name} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_are_refused() {
        let deep = format!("{{\"a\": {}", "[".repeat(1_000));
        for (body, code) in [
            ("", "json_invalid"),
            ("[]", "json_invalid"),
            ("{\"a\": 1} x", "json_invalid"),
            ("{\"a\": 1, \"a\": 2}", "json_invalid"),
            ("{\"a\": [{\"b\": 1, \"b\": 2}]}", "json_invalid"),
            (deep.as_str(), "json_invalid"),
            ("{\"b\": 1}", "member_unknown"),
        ] {
            let error = Members::parse(body.as_bytes(), &["a"]).expect_err(body);
            assert_eq!(error.code(), code, "{body}");
        }
        assert!(Members::parse(b"\xff", &["a"]).is_err());
        let named = Members::parse("{\"角色\": 1}".as_bytes(), &["role"]).expect_err("unknown").to_string();
        assert_eq!(named, "不认识成员“角色”；可用的成员：role");
    }

    #[test]
    fn members_by_their_type() {
        let body =
            r#"{"t": "x", "nul": "a\u0000b", "n": 1.5, "i": -3, "f": true, "l": ["a", "b"], "m": ["a", 1], "z": null}"#;
        let known = ["t", "nul", "n", "i", "f", "l", "m", "z", "gone"];
        let members = Members::parse(body.as_bytes(), &known).expect("members");
        assert_eq!(members.text("t").expect("text").as_deref(), Some("x"));
        assert_eq!((members.text("z").expect("null"), members.text("gone").expect("missing")), (None, None));
        assert_eq!(members.integer("i").expect("integer"), Some(-3));
        assert_eq!(members.flag("f").expect("flag"), Some(true));
        assert_eq!(members.texts("l").expect("list"), Some(vec!["a".to_owned(), "b".to_owned()]));
        for wrong in [members.text("nul"), members.text("n"), members.text("l")] {
            assert_eq!(wrong.expect_err("wrong").code(), "member_invalid");
        }
        assert!(members.integer("n").is_err() && members.flag("t").is_err() && members.texts("m").is_err());
        assert_eq!(members.needed_text("gone").expect_err("needed").code(), "member_missing");
    }
}
