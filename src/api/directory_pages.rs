//! Directories as pages, to be read and printed: the published ones, one of them, and what differs between two.

use std::fmt::Write as _;

use serde_json::Value;

use super::html;
use super::park_json::card_url;
use crate::domain::lifecycle::{DecimalHectares, ParkStatus};
use crate::inventory::directories::{Directory, Entry, level_of};

fn text(value: &Value) -> String {
    html::escape(&html::text_of(value))
}

fn list_of(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The body of the list of published directories.
pub fn list(document: &Value) -> String {
    let row = |version: &Value| {
        vec![
            format!("<a href=\"{}?f=html\">{}</a>", text(&version["href"]), text(&version["title"])),
            text(&version["document_no"]),
            text(&version["issued_on"]),
            text(&version["register_on"]),
            text(&version["parks"]),
        ]
    };
    let rows: Vec<Vec<String>> = list_of(&document["directories"]).iter().map(row).collect();
    html::table_of("已发布的名录", &["名录", "文号", "发布日期", "登记库日期", "园区数"], &[4], &rows)
}

/// The body of one directory's page.
pub fn directory(directory: &Directory, links: &Value, base: &str) -> String {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            facts.push((name.to_owned(), html::escape(&value)));
        }
    };
    fact("文号", directory.document_no.clone());
    fact("发布日期", directory.issued_on.map(|day| day.to_string()));
    fact("登记库日期", directory.register_on.map(|day| day.to_string()));
    fact("登记库修订", directory.register_revision.map(|number| number.to_string()));
    fact("来源", Some(directory.source.clone()));
    fact("园区数", Some(directory.entries.len().to_string()));
    let mut body = html::definitions(&facts);
    for (kind, words) in [("spreadsheetml", "Excel（XLSX）"), ("geo+json", "GeoJSON")] {
        let link = list_of(links).iter().find(|l| l["type"].as_str().is_some_and(|t| t.contains(kind)));
        if let Some(link) = link {
            let _ = write!(body, "<a class=\"choice\" href=\"{}\" download>{words}</a> ", text(&link["href"]));
        }
    }
    let rows: Vec<Vec<String>> = directory.entries.iter().map(|entry| row(entry, base)).collect();
    let head = ["序号", "代码", "名称", "级别", "核准面积（公顷）", "四至范围", "主导产业", "批准时间"];
    body.push_str(&html::table_of(&directory.title, &head, &[0, 4], &rows));
    body
}

fn row(entry: &Entry, base: &str) -> Vec<String> {
    let shown = |text: &Option<String>| text.as_deref().map(html::escape).unwrap_or_default();
    vec![
        entry.serial.map(|serial| serial.to_string()).unwrap_or_default(),
        format!("<a href=\"{}?f=html\">{}</a>", html::escape(&card_url(base, &entry.code)), html::escape(&entry.code)),
        html::escape(&entry.name),
        level_of(&entry.code).to_owned(),
        entry.area.as_ref().map(DecimalHectares::to_string).unwrap_or_default(),
        shown(&entry.four_extents),
        html::escape(&entry.leading_industries.join("、")),
        shown(&entry.approved_text),
    ]
}

/// The body of the comparison of two directories, from the very JSON that programs get.
pub fn difference(document: &Value, base: &str) -> String {
    let side = |name: &str| {
        let side = &document[name];
        format!("{}（{} 个园区）", text(&side["title"]), text(&side["parks"]))
    };
    let mut body = html::definitions(&[
        ("从".to_owned(), side("from")),
        ("到".to_owned(), side("to")),
        ("没有变化的园区".to_owned(), text(&document["unchanged"])),
    ]);
    let link = |code: &Value| {
        let code = code.as_str().unwrap_or_default();
        format!("<a href=\"{}?f=html\">{}</a>", html::escape(&card_url(base, code)), html::escape(code))
    };
    let links = |codes: &Value| list_of(codes).iter().map(link).collect::<Vec<_>>().join("、");
    let added = |park: &Value| {
        vec![link(&park["code"]), text(&park["name"]), text(&park["area_ha"]), links(&park["predecessors"])]
    };
    let rows: Vec<Vec<String>> = list_of(&document["added"]).iter().map(added).collect();
    section(&mut body, "新增", &["代码", "名称", "核准面积（公顷）", "来自"], &[2], &rows);
    let status = |park: &Value| {
        let word = park["status"].as_str().unwrap_or_default();
        ParkStatus::parse(word).map(ParkStatus::label).unwrap_or_default().to_owned()
    };
    let gone = |park: &Value| {
        vec![link(&park["code"]), text(&park["name"]), text(&park["area_ha"]), status(park), links(&park["successors"])]
    };
    let rows: Vec<Vec<String>> = list_of(&document["gone"]).iter().map(gone).collect();
    section(&mut body, "不再列入", &["代码", "名称", "核准面积（公顷）", "现状", "去向"], &[2], &rows);
    let rows: Vec<Vec<String>> = list_of(&document["changed"])
        .iter()
        .flat_map(|park| {
            list_of(&park["changes"]).iter().map(|change| {
                let title = title_of(change["name"].as_str().unwrap_or_default());
                vec![
                    link(&park["code"]),
                    text(&park["name"]),
                    title.to_owned(),
                    text(&change["before"]),
                    text(&change["after"]),
                ]
            })
        })
        .collect();
    section(&mut body, "有变化", &["代码", "名称", "项目", "原为", "现为"], &[], &rows);
    let silent: Vec<&str> = list_of(&document["not_compared"]).iter().filter_map(Value::as_str).map(title_of).collect();
    if !silent.is_empty() {
        let _ = write!(body, "<p class=\"muted\">有一方通篇没有填写、因而没有比较的项目：{}。</p>", silent.join("、"));
    }
    body
}

fn section(body: &mut String, title: &str, head: &[&str], numbers: &[usize], rows: &[Vec<String>]) {
    let _ = write!(body, "<h2>{title}（{}）</h2>", rows.len());
    body.push_str(&html::table_of(title, head, numbers, rows));
}

fn title_of(name: &str) -> &str {
    match name {
        "name" => "名称",
        "area_ha" => "核准面积（公顷）",
        "four_extents" => "四至范围",
        "leading_industries" => "主导产业",
        other => other,
    }
}
