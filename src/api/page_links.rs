//! The links of a page of items.

use std::fmt::Write as _;

use serde_json::Value;

use super::cursor;
use super::params::Params;
use super::past::Past;
use super::representation::{self, Form};
use crate::domain::items_query::After;
use crate::domain::layer::Layer;

/// A link of a page of items.
struct PageLink {
    rel: &'static str,
    kind: &'static str,
    title: &'static str,
    href: String,
}

/// Ways from a page to its other forms, its layer and the next page.
pub struct PageLinks(Vec<PageLink>);

impl PageLinks {
    pub fn of(layer: &Layer, base: &str, params: &Params, next: Option<After>, form: Form, past: Past) -> Self {
        let url = format!("{base}/api/collections/{}/items", layer.id);
        let href = |pairs: &[(String, String)]| format!("{url}?{}", representation::query_string(pairs));
        let rel = |this: Form| if this == form { "self" } else { "alternate" };
        let (json, html) = (href(&params.with("f", "json")), href(&params.with("f", "html")));
        let link = |rel, kind, title, href| PageLink { rel, kind, title, href };
        let mut links = vec![
            link(rel(Form::Json), "application/geo+json", "GeoJSON", json),
            link(rel(Form::Html), "text/html", "HTML", html),
            link("collection", "application/json", layer.title.zh, format!("{base}/api/collections/{}", layer.id)),
        ];
        if let Some(after) = next {
            let mut pairs = params.without(&["cursor", "offset"]);
            past.settle(&mut pairs);
            pairs.push(("cursor".into(), cursor::text(&after)));
            let kind = if form == Form::Json { "application/geo+json" } else { "text/html" };
            links.push(link("next", kind, "下一页", href(&pairs)));
        }
        Self(links)
    }

    /// The address of the next page.
    pub fn next(&self) -> Option<&str> {
        self.0.iter().find(|link| link.rel == "next").map(|link| link.href.as_str())
    }
}

impl std::fmt::Display for PageLinks {
    /// As JSON. Written by hand: most of what a small page costs beside its features would be a tree of values that is thrown away.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_char('[')?;
        for (at, PageLink { rel, kind, title, href }) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            // (Only the title and the address hold what others have written.)
            let (title, href) = (JsonText(title), JsonText(href));
            write!(f, "{comma}{{\"rel\":\"{rel}\",\"type\":\"{kind}\",\"title\":{title},\"href\":{href}}}")?;
        }
        f.write_char(']')
    }
}

/// A text as a JSON string.
struct JsonText<'a>(&'a str);

impl std::fmt::Display for JsonText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
            return write!(f, "{}", Value::from(self.0));
        }
        f.write_char('"')?;
        f.write_str(self.0)?;
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_as_a_json_string() {
        for text in ["", "产业园区", "a\"b", "c\\d", "tab\there", "http://[::1]:8080/api?q=%22"] {
            assert_eq!(JsonText(text).to_string(), Value::from(text).to_string(), "{text}");
        }
    }
}
