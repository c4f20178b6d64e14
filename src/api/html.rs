//! Pages for people: one frame, tables and definition lists, no script, no outside request; light and dark, narrow and wide.

use std::fmt::Write as _;

use serde_json::Value;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1b2430;--paper:#fff;--soft:#f2f4f7;--line:#d5dae1;--link:#0b57a4;--warn:#8a4b00;--bad:#a40f1e;--good:#146c2e}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--paper:#14181d;--soft:#1d232b;--line:#39424e;--link:#8ec1ff;--warn:#ffc46b;--bad:#ff9aa2;--good:#7fdc9a}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.6 'Noto Sans CJK SC','Source Han Sans SC','PingFang SC','Microsoft YaHei',sans-serif}
header,main,footer{max-width:72rem;margin:0 auto;padding:.75rem 1rem}header{border-bottom:1px solid var(--line)}footer{border-top:1px solid var(--line);font-size:.875rem}
header nav a{margin-right:1rem;display:inline-block;min-height:24px}a{color:var(--link)}h1{font-size:1.5rem;line-height:1.3;margin:.5rem 0}h2{font-size:1.15rem;margin:1.5rem 0 .5rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;min-width:100%;font-size:.9375rem}th,td{border:1px solid var(--line);padding:.375rem .5rem;text-align:left;vertical-align:top}
th{background:var(--soft);white-space:nowrap}td:not(.n){min-width:5rem}td.long{min-width:18rem}th.n{text-align:right}td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem}
dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}@media(max-width:30rem){dl{grid-template-columns:1fr}dd{margin-bottom:.5rem}}
.badge{border:1px solid currentColor;border-radius:.25rem;padding:0 .375rem;font-size:.875rem;white-space:nowrap}.warning,.doubtful{color:var(--warn)}.error,.inconsistent{color:var(--bad)}.consistent{color:var(--good)}
dd a,.choice{display:inline-block;margin-right:.75rem}td:first-child a,td:first-child code{white-space:nowrap}[aria-current]{font-weight:600}code,p a{overflow-wrap:anywhere}.muted{opacity:.8}a:focus-visible{outline:3px solid var(--link);outline-offset:2px}";

/// Text for element content and quoted attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A whole page; `body` is markup, everything else text.
pub fn page(base: &str, title: &str, body: &str, json_url: &str) -> String {
    let base = escape(base);
    format!(
        "<!doctype html><html lang=\"zh-CN\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title} · 四至</title><style>{STYLE}</style></head><body>\
         <header><nav aria-label=\"主导航\"><a href=\"{base}/\">四至</a><a href=\"{base}/api/parks?f=html\">园区名录</a>\
         <a href=\"{base}/api/collections?f=html\">图层</a><a href=\"{base}/api/docs\">接口说明</a></nav></header>\
         <main><h1>{title}</h1>{body}</main>\
         <footer><a href=\"{json}\" rel=\"alternate\">JSON</a> <span class=\"muted\">示意边界由程序绘制，非测绘成果，不作定界依据。</span></footer></body></html>",
        title = escape(title),
        json = escape(json_url),
    )
}

/// A JSON value as a cell's text: lists joined, nothing for null.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "是".to_owned(),
        Value::Bool(false) => "否".to_owned(),
        Value::Array(list) => list.iter().map(text_of).collect::<Vec<_>>().join("、"),
        other => other.to_string(),
    }
}

/// A table of texts in a box that scrolls sideways. Cells are markup.
pub fn table(caption: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    table_of(caption, head, &[], rows)
}

/// Characters above which a cell is text to be read, not a word: it gets room, or it would stand as a column of single characters.
const LONG: usize = 24;

/// [`table`], with the positions of the columns that hold numbers.
pub fn table_of(caption: &str, head: &[&str], numbers: &[usize], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return "<p>没有内容。</p>".to_owned();
    }
    let mut out = format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"{}\" tabindex=\"0\"><table><thead><tr>",
        escape(caption)
    );
    for (at, cell) in head.iter().enumerate() {
        let class = if numbers.contains(&at) { " class=\"n\"" } else { "" };
        let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", escape(cell));
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let class = match cell.chars().count() {
                _ if numbers.contains(&at) => " class=\"n\"",
                length if length > LONG && !cell.starts_with('<') => " class=\"long\"",
                _ => "",
            };
            let _ = write!(out, "<td{class}>{cell}</td>");
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    out
}

/// Terms and definitions; values are markup.
pub fn definitions(pairs: &[(String, String)]) -> String {
    let mut out = String::from("<dl>");
    for (term, value) in pairs {
        let value = if value.is_empty() { "—" } else { value };
        let _ = write!(out, "<dt>{}</dt><dd>{value}</dd>", escape(term));
    }
    out.push_str("</dl>");
    out
}
