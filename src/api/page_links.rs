//! The links of a page of items.

use serde_json::Value;

use super::cursor;
use super::params::Params;
use super::past::Past;
use super::representation::{self, Form};
use super::shape;
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
        // Both differ in their last parameter alone.
        let mut html = href(&params.with("f", ""));
        let mut json = html.clone();
        json.push_str("json");
        html.push_str("html");
        if let Some(pairs) = shape::for_people(params) {
            html = href(&pairs);
        }
        let link = |rel, kind, title, href| PageLink { rel, kind, title, href };
        let mut links = vec![
            link(rel(Form::Json), "application/geo+json", "GeoJSON", json),
            link(rel(Form::Html), "text/html", "HTML", html),
            link("collection", "application/json", layer.title.zh, format!("{base}/api/collections/{}", layer.id)),
        ];
        if let Some(after) = next {
            let mut pairs = params.without(&["cursor", "offset"]);
            past.settle(&mut pairs);
            pairs.push(("cursor".into(), cursor::text(&after, params.get("sortby"))));
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

impl PageLinks {
    /// As JSON. Written by hand: most of what a small page costs beside its features would be a tree of values that is thrown away.
    pub fn write(&self, out: &mut String) {
        out.push('[');
        for (at, PageLink { rel, kind, title, href }) in self.0.iter().enumerate() {
            out.push_str(if at == 0 { "{\"rel\":\"" } else { ",{\"rel\":\"" });
            out.push_str(rel);
            out.push_str("\",\"type\":\"");
            out.push_str(kind);
            // (Only the title and the address hold what others have written.)
            out.push_str("\",\"title\":");
            write_json(out, title);
            out.push_str(",\"href\":");
            write_json(out, href);
            out.push('}');
        }
        out.push(']');
    }
}

/// A text as a JSON string.
fn write_json(out: &mut String, text: &str) {
    // (All bytes, without stopping at the first: many are looked at together.)
    if text.bytes().fold(false, |found, byte| found | (byte < b' ' || matches!(byte, b'"' | b'\\'))) {
        out.push_str(&Value::from(text).to_string());
        return;
    }
    out.push('"');
    out.push_str(text);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_as_a_json_string() {
        for text in ["", "产业园区", "a\"b", "c\\d", "tab\there", "http://[::1]:8080/api?q=%22"] {
            let mut written = String::new();
            write_json(&mut written, text);
            assert_eq!(written, Value::from(text).to_string(), "{text}");
        }
    }
}
