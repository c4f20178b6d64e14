//! Reports as pages: a form to ask again, the tables with their totals, the files to take away.

use std::fmt::Write as _;

use serde_json::Value;

use super::html;
use super::params::Params;
use super::representation;
use crate::domain::export::Cell;
use crate::domain::layer::PropertyKind;
use crate::domain::report::{Report, ReportColumn, ReportTable};

/// The body of the list of reports.
pub fn index(document: &Value) -> String {
    let mut rows = Vec::new();
    for report in document["reports"].as_array().into_iter().flatten() {
        let text = |name: &str| html::escape(report[name].as_str().unwrap_or_default());
        rows.push(vec![format!("<a href=\"{}?f=html\">{}</a>", text("href"), text("title")), text("description")]);
    }
    html::table("统计报表", &["报表", "内容"], &rows)
}

/// The body of a report's page.
pub fn report(report: &Report, params: &Params, url: &str) -> String {
    let mut body = format!("<p>{}</p>", html::escape(report.kind.description()));
    let mut facts =
        vec![("统计日".to_owned(), report.day.to_string()), ("修订号".to_owned(), report.revision.to_string())];
    let told = report.filters.iter().filter(|(name, ..)| !matches!(*name, "on" | "revision"));
    facts.extend(told.map(|(_, title, value)| ((*title).to_owned(), html::escape(value))));
    body.push_str(&html::definitions(&facts));
    body.push_str(&form(report, params, url));
    body.push_str(&downloads(report, params, url));
    for table in &report.tables {
        body.push_str(&section(table));
    }
    body.push_str("<h2>口径</h2><ul>");
    for note in &report.notes {
        let _ = write!(body, "<li>{}</li>", html::escape(note));
    }
    body.push_str("</ul>");
    body
}

/// What may be asked, filled with what was.
fn form(report: &Report, params: &Params, url: &str) -> String {
    let mut form = format!(
        "<form action=\"{}\" method=\"get\"><input type=\"hidden\" name=\"f\" value=\"html\">",
        html::escape(url)
    );
    let fields = [
        ("county", "县区或市州代码", "text"),
        ("park", "园区代码", "text"),
        ("on", "统计日", "date"),
        ("by", "分组", "text"),
        ("year", "年度", "number"),
        ("quarter", "季度", "text"),
        ("revision", "修订号", "text"),
    ];
    let always = ["county", "park", "revision"];
    for (name, title, kind) in fields.iter().filter(|f| always.contains(&f.0) || report.kind.options().contains(&f.0)) {
        let told = report.filters.iter().find(|(n, ..)| n == name).map(|(_, _, value)| value.as_str());
        let value = html::escape(params.get(name).or(told).unwrap_or_default());
        let _ = write!(
            form,
            "<label class=\"choice\">{title} <input type=\"{kind}\" name=\"{name}\" value=\"{value}\"></label> "
        );
    }
    if report.kind.options().contains(&"ledger") {
        form.push_str("<label class=\"choice\">台账 <select name=\"ledger\">");
        for (word, title) in [("turnover", "周转用地"), ("low_efficiency", "低效用地")] {
            let chosen = if params.get("ledger") == Some(word) { " selected" } else { "" };
            let _ = write!(form, "<option value=\"{word}\"{chosen}>{title}</option>");
        }
        form.push_str("</select></label> ");
    }
    form.push_str("<button>统计</button></form>");
    if !report.kind.dimensions().is_empty() {
        let words: Vec<String> =
            report.kind.dimensions().iter().map(|d| format!("<code>{}</code> {}", d.as_str(), d.label())).collect();
        let _ = write!(form, "<p class=\"muted\">分组用逗号隔开，最多三个：{}</p>", words.join("、"));
    }
    form
}

fn downloads(report: &Report, params: &Params, url: &str) -> String {
    let link = |pairs: &[(String, String)], words: &str| {
        let href = format!("{url}?{}", representation::query_string(pairs));
        format!("<a class=\"choice\" href=\"{}\" download>{}</a>", html::escape(&href), html::escape(words))
    };
    let mut links = link(&params.with("f", "xlsx"), "Excel（XLSX）");
    for table in &report.tables {
        let mut pairs = params.with("f", "csv");
        pairs.retain(|(name, _)| name != "table");
        pairs.push(("table".to_owned(), table.id.to_owned()));
        links.push_str(&link(&pairs, &format!("CSV：{}", table.title)));
    }
    format!("<h2>下载</h2><p>{links}</p>")
}

fn section(table: &ReportTable) -> String {
    let mut section = format!("<h2>{}</h2>", html::escape(table.title));
    let _ = match table.left_out() {
        0 => write!(section, "<p>共 {} 条。</p>", table.matched),
        left_out => write!(
            section,
            "<p class=\"warning\">共 {} 条，只列前 {} 条，另有 {left_out} 条未列出；合计含全部。</p>",
            table.matched,
            table.rows.len()
        ),
    };
    // Codes are for programs where a name stands beside them.
    let is_shown = |column: &ReportColumn| {
        let stem = column.name.trim_end_matches("_state").trim_end_matches("_code");
        let named = |name: String| table.columns.iter().any(|c| c.name == name);
        let has_name = column.name.ends_with("_code") && named(format!("{stem}_name"));
        let has_label = named(format!("{}_label", column.name))
            || column.name.ends_with("_state") && named(format!("{stem}_label"));
        !has_name && !has_label
    };
    let shown: Vec<usize> = (0..table.columns.len()).filter(|at| is_shown(&table.columns[*at])).collect();
    let headings: Vec<String> = shown.iter().map(|at| table.columns[*at].heading()).collect();
    let head: Vec<&str> = headings.iter().map(String::as_str).collect();
    let is_number = |at: &usize| matches!(table.columns[*at].kind, PropertyKind::Number | PropertyKind::Integer);
    let numbers: Vec<usize> = (0..shown.len()).filter(|place| is_number(&shown[*place])).collect();
    let row = |cells: &[Cell]| -> Vec<String> {
        shown.iter().map(|at| cells.get(*at).map_or_else(String::new, |cell| text(cell, &table.columns[*at]))).collect()
    };
    let mut rows: Vec<Vec<String>> = table.rows.iter().map(|cells| row(cells)).collect();
    // What has no total is left blank.
    let mut totals: Vec<String> =
        row(&table.totals).into_iter().map(|cell| if cell == "—" { String::new() } else { cell }).collect();
    if let Some(first) = totals.first_mut() {
        *first = "<strong>合计</strong>".to_owned();
    }
    rows.push(totals);
    section.push_str(&html::table_of(table.title, &head, &numbers, &rows));
    section
}

fn text(cell: &Cell, column: &ReportColumn) -> String {
    match (cell, column.unit) {
        (Cell::Number(number), Some("ha")) => format!("{number:.4}"),
        (Cell::Number(number), Some(_)) => format!("{number:.2}"),
        (Cell::Missing, _) => "—".to_owned(),
        (Cell::Boolean(value), _) => if *value { "是" } else { "否" }.to_owned(),
        (cell, _) => html::escape(&cell.text()),
    }
}
