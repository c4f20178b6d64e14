//! `…/changes`: what has changed in a layer since a revision, page by page or pushed.

use actix_web::http::header;
use actix_web::{HttpRequest, web};
use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::auth;
use super::collections::{layer_of, with_past};
use super::feed::Feed;
use super::items;
use super::params::Params;
use super::past::{REVISION_HEADER, parse_since};
use super::problem::Answer;
use super::representation;
use super::state::State;
use super::stream;
use crate::domain::generalisation::Generalisation;
use crate::domain::layer::Layer;
use crate::error::{Error, Result};
use crate::inventory::wire;
use crate::store::as_of;
use crate::store::changes::{self, AfterChange, Change, ChangesPage, ChangesQuery};

/// Page size where none is asked for.
const DEFAULT_LIMIT: u32 = 1_000;

/// `GET …/changes`: one page, or a stream for those who accept nothing else.
pub async fn list_changes(
    request: HttpRequest,
    path: web::Path<String>,
    state: web::Data<State>,
    feed: web::Data<Feed>,
) -> Answer {
    if wants_stream(&request) {
        return stream_changes(request, path, state, feed).await;
    }
    let viewer = auth::viewer(&request, &state).await?;
    let layer = with_past(layer_of(&state, &path, &viewer)?)?;
    let params = Params::read(&request, &["since", "limit", "cursor"], |_| false)?;
    let since = params.get("since").ok_or_else(|| {
        Error::invalid("since_invalid", "请给出 since：已有数据的修订号（见 Sizhi-Revision 响应头），从头开始用 0")
    })?;
    let query = ChangesQuery {
        since: parse_since(since)?,
        after: params.get("cursor").map(parse_cursor).transpose()?,
        limit: params.limit(DEFAULT_LIMIT)?,
    };
    let base = representation::base_url(&request, &state);
    let mark = items::mark(&state, layer, &viewer, None).await?;
    let etag = representation::etag(&request, &base, representation::Form::Json, &mark);
    let page = changes::list(&state.pool, &viewer, layer, &query).await?;
    if representation::is_current(&request, &etag) {
        return representation::not_modified(&etag);
    }
    let links = links(layer, &base, &params, &page);
    let body = page_text(&page, layer.generalisation_for(&viewer), Some(&links));
    let mut response = representation::answer("application/json; charset=utf-8", Some(&etag), body)?;
    response.headers_mut().insert(REVISION_HEADER, header::HeaderValue::from(page.until));
    Ok(response)
}

/// `GET …/changes/stream`: the same, pushed as it happens.
pub async fn stream_changes(
    request: HttpRequest,
    path: web::Path<String>,
    state: web::Data<State>,
    feed: web::Data<Feed>,
) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    let layer = with_past(layer_of(&state, &path, &viewer)?)?;
    let params = Params::read(&request, &["since"], |_| false)?;
    let newest = as_of::mark(&state.pool, None).await?;
    let newest: i64 = newest.split('-').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    // The browser's own memory of where it was goes before the address, which stays the same when it comes again.
    let held = request.headers().get("last-event-id").map(|value| value.to_str().unwrap_or_default());
    let position = match (held.filter(|id| !id.is_empty()), params.get("since")) {
        (Some(id), _) => Position::parse(id)?,
        (None, Some(since)) => Position { since: parse_since(since)?, after: None },
        (None, None) => Position { since: newest, after: None },
    };
    if position.since > newest {
        return Err(changes::since_unknown(newest).into());
    }
    stream::open(stream::Source { pool: state.pool.clone(), viewer, layer, position }, &feed)
}

fn wants_stream(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').next().is_some_and(|first| first.trim().to_ascii_lowercase().starts_with("text/event-stream"))
}

/// How far a client is: it holds a revision, and perhaps some pages of the window behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub since: i64,
    pub after: Option<AfterChange>,
}

impl Position {
    /// Behind this page.
    pub fn behind(page: &ChangesPage) -> Self {
        match page.changes.last().filter(|_| page.more) {
            Some(last) => Self { since: page.since, after: Some(after(page, last)) },
            None => Self { since: page.until, after: None },
        }
    }

    /// As the `id` of an event: the revision, or within a window its beginning and a cursor.
    pub fn to_text(&self) -> String {
        match &self.after {
            None => self.since.to_string(),
            Some(after) => format!("{}.{}", self.since, cursor(after)),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        match text.split_once('.') {
            None => Ok(Self { since: parse_since(text)?, after: None }),
            Some((since, cursor)) => Ok(Self { since: parse_since(since)?, after: Some(parse_cursor(cursor)?) }),
        }
    }
}

fn after(page: &ChangesPage, last: &Change) -> AfterChange {
    AfterChange { until: page.until, revision: last.revision, id: last.id.clone() }
}

/// Opaque to clients: the window's end, and the last change's revision and id.
fn cursor(after: &AfterChange) -> String {
    let id: String = after.id.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("t1-{}-{}-{id}", after.until, after.revision)
}

fn parse_cursor(text: &str) -> Result<AfterChange> {
    let invalid = || Error::invalid("cursor_invalid", "cursor 不是本服务给出的；请从第一页的 next 链接开始");
    let number = |text: Option<&str>| {
        let digits = text.filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|t| t.parse::<i64>().ok()).ok_or_else(invalid)
    };
    let mut parts = text.strip_prefix("t1-").ok_or_else(invalid)?.split('-');
    let (until, revision) = (number(parts.next())?, number(parts.next())?);
    let hex = parts
        .next()
        .filter(|h| h.len().is_multiple_of(2) && h.len() <= 400 && h.bytes().all(|b| b.is_ascii_hexdigit()));
    let hex = hex.filter(|_| parts.next().is_none() && revision <= until).ok_or_else(invalid)?;
    let bytes: Option<Vec<u8>> =
        (0..hex.len()).step_by(2).map(|i| hex.get(i..i + 2).and_then(|h| u8::from_str_radix(h, 16).ok())).collect();
    let id = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|id| !id.contains('\0'));
    Ok(AfterChange { until, revision, id: id.ok_or_else(invalid)? })
}

/// The page as JSON; features are ready text, joined and not parsed.
pub fn page_text(page: &ChangesPage, outlined: Option<&Generalisation>, links: Option<&Value>) -> String {
    let size: usize = page.changes.iter().map(|c| c.feature.as_ref().map_or(0, String::len) + 200).sum();
    let mut text = String::with_capacity(size + 1_024);
    // A page that was kept must say by itself what its shapes are.
    let outlined =
        outlined.map(|rule| format!("\"generalisation\":{},", wire::generalisation(rule))).unwrap_or_default();
    text.push_str(&format!(
        "{{{outlined}\"since\":{},\"until\":{},\"more\":{},\"numberReturned\":{},\"changes\":[",
        page.since,
        page.until,
        page.more,
        page.changes.len()
    ));
    for (i, change) in page.changes.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        let head = json!({
            "revision": change.revision,
            "made_at": change.made_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            "operation": change.operation.as_str(),
            "id": change.id,
            "valid_from": change.valid_from.map(|day| day.to_string()),
        });
        let head = head.to_string();
        text.push_str(head.trim_end_matches('}'));
        text.push_str(",\"feature\":");
        text.push_str(change.feature.as_deref().unwrap_or("null"));
        text.push('}');
    }
    text.push(']');
    if let Some(links) = links {
        text.push_str(",\"links\":");
        text.push_str(&links.to_string());
    }
    text.push('}');
    text
}

fn links(layer: &Layer, base: &str, params: &Params, page: &ChangesPage) -> Value {
    let url = format!("{base}/api/collections/{}/changes", layer.id);
    let href = |pairs: &[(String, String)]| format!("{url}?{}", representation::query_string(pairs));
    let mut links = vec![
        json!({"rel": "self", "type": "application/json", "href": href(&params.without(&[]))}),
        json!({"rel": "collection", "type": "application/json", "title": layer.title.zh, "href": format!("{base}/api/collections/{}", layer.id)}),
    ];
    match page.changes.last().filter(|_| page.more) {
        Some(last) => {
            let pairs = params.with("cursor", &cursor(&after(page, last)));
            links.push(json!({"rel": "next", "type": "application/json", "title": "下一页", "href": href(&pairs)}));
        }
        None => links.push(json!({
            "rel": "monitor", "type": "text/event-stream", "title": "此后的变更",
            "href": format!("{url}/stream?since={}", page.until),
        })),
    }
    Value::Array(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_a_window_round_trip() {
        for id in ["G431176", "G431176-一号", "a.b-c", ""] {
            let after = AfterChange { until: 9, revision: 7, id: id.to_owned() };
            assert_eq!(parse_cursor(&cursor(&after)).ok(), Some(after.clone()));
            let position = Position { since: 3, after: Some(after) };
            assert_eq!(Position::parse(&position.to_text()).ok(), Some(position));
        }
        assert_eq!(Position::parse("12").ok(), Some(Position { since: 12, after: None }));
        for bad in [
            "",
            "t1",
            "t1-",
            "t1-1-1",
            "t1-1-1-1",
            "t1-1-1-zz",
            "t1-1-1-61-61",
            "t1--1-61",
            "t1-+1-1-61",
            "t2-1-1-61",
            "t1-1-2-61",
            "t1-1-1-ff",
            "t1-1-1-00",
            "t1-99999999999999999999-1-61",
            "c147",
        ] {
            assert_eq!(parse_cursor(bad).err().map(|e| e.code()), Some("cursor_invalid"), "{bad}");
        }
        for bad in ["-1", "x", "1.", ".t1-1-1-61", "1.x", "1 "] {
            assert!(Position::parse(bad).is_err(), "{bad}");
        }
    }
}
