//! The OpenAPI document as a page: every operation, its parameters, addresses to try. No script.

use std::fmt::Write as _;

use serde_json::Value;

use super::html;
use super::representation::encode;

/// The page's body, written from the document alone.
pub fn body(document: &Value) -> String {
    let server = document["servers"][0]["url"].as_str().unwrap_or_default();
    let mut body = format!("<p>{}</p>", text(&document["info"]["description"]));
    for tag in document["tags"].as_array().into_iter().flatten() {
        let _ = write!(body, "<h2>{}</h2>", text(&tag["description"]));
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            let server = item["servers"][0]["url"].as_str().unwrap_or(server);
            for (method, operation) in item.as_object().into_iter().flatten() {
                if operation["tags"][0] == tag["name"] {
                    body.push_str(&section(server, path, method, operation));
                }
            }
        }
    }
    body
}

fn section(server: &str, path: &str, method: &str, operation: &Value) -> String {
    let id = text(&operation["operationId"]);
    let address = html::escape(&format!("{} {server}{path}", method.to_uppercase()));
    let mut section = format!("<section id=\"{id}\"><h3>{}</h3>", text(&operation["summary"]));
    let _ = write!(section, "<p><code>{address}</code></p>");
    let rows: Vec<Vec<String>> = operation["parameters"].as_array().into_iter().flatten().map(parameter_row).collect();
    if !rows.is_empty() {
        let caption = format!("{}：参数", operation["summary"].as_str().unwrap_or_default());
        section.push_str(&html::table(&caption, &["参数", "含义", "取值"], &rows));
    }
    let form = &operation["requestBody"]["content"]["multipart/form-data"];
    if !form.is_null() {
        let note = text(&operation["requestBody"]["description"]);
        let _ = write!(section, "<p>请求内容：multipart/form-data，文件放在名为 file 的部分。{note}</p>");
    }
    let object = &operation["requestBody"]["content"]["application/json"]["schema"];
    if let Some(name) = object["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        let _ = write!(section, "<p>请求内容：application/json，见文档中的 {}</p>", html::escape(name));
    }
    if !operation["security"].is_null() {
        section.push_str("<p class=\"muted\">需要登录，或请求头 Authorization: Bearer &lt;令牌&gt;</p>");
    }
    for example in operation["x-try"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let to = format!("{server}{example}");
        let _ =
            write!(section, "<p>试一试：<a href=\"{}\">{}</a></p>", html::escape(&address_of(&to)), html::escape(&to));
    }
    section.push_str("</section>");
    section
}

/// The address as it goes over the wire: what is no ASCII, percent-encoded.
fn address_of(shown: &str) -> String {
    let one = |c: char| if c.is_ascii() { c.to_string() } else { encode(&c.to_string()) };
    shown.chars().map(one).collect()
}

fn parameter_row(parameter: &Value) -> Vec<String> {
    let required = if parameter["required"] == true { "（必填）" } else { "" };
    vec![
        format!("<code>{}</code>{required}", text(&parameter["name"])),
        text(&parameter["description"]),
        html::escape(&values(&parameter["schema"], &parameter["example"])),
    ]
}

/// What a parameter may be, in words.
fn values(schema: &Value, example: &Value) -> String {
    let kind = match schema["type"].as_str().unwrap_or_default() {
        "string" => "文字",
        "integer" => "整数",
        "number" => "数",
        "boolean" => "true 或 false",
        "array" if schema["items"]["type"] == "string" => "逗号分隔的文字",
        "array" => "逗号分隔的数",
        other => other,
    };
    let mut values = match schema["enum"].as_array() {
        Some(words) => words.iter().map(html::text_of).collect::<Vec<_>>().join("、"),
        None => kind.to_owned(),
    };
    for (name, words) in [("minimum", "最小"), ("maximum", "最大"), ("default", "不给时")] {
        if !schema[name].is_null() {
            let _ = write!(values, "，{words} {}", html::text_of(&schema[name]));
        }
    }
    if !example.is_null() {
        let _ = write!(values, "，例如 {}", html::text_of(example));
    }
    values
}

fn text(value: &Value) -> String {
    html::escape(&html::text_of(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_in_words() {
        let limit = json!({"type": "integer", "minimum": 1, "maximum": 10_000, "default": 100});
        assert_eq!(values(&limit, &Value::Null), "整数，最小 1，最大 10000，不给时 100");
        let words = json!({"type": "string", "enum": ["json", "html"]});
        assert_eq!(values(&words, &Value::Null), "json、html");
        assert_eq!(values(&json!({"type": "string"}), &json!("G431176")), "文字，例如 G431176");
    }
}
