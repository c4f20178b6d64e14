//! A finished check as papers: all findings with the last word on each, as a workbook or one GeoJSON document.

use std::io::Read as _;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::wire;
use crate::domain::SquareMetres;
use crate::domain::access::Viewer;
use crate::domain::export::{Cell, Column, ExportRow};
use crate::domain::layer::PropertyKind;
use crate::error::{Error, Result};
use crate::exchange::table_export::{self, Sheet};
use crate::inventory::export::moment_in_china;
use crate::store::export_log::{ExportEntry, log_export};
use crate::store::overlap_checks::{CheckRow, FindingRow, SubjectRow};

/// A check with all that hangs on it.
#[derive(Debug)]
pub struct CheckReport {
    pub check: CheckRow,
    pub subjects: Vec<SubjectRow>,
    pub findings: Vec<FindingRow>,
}

/// Enters a file in the log of exports: what leaves may be of internal layers.
pub async fn log_download(
    pool: &PgPool,
    report: &CheckReport,
    viewer: &Viewer,
    format: &str,
    address: &str,
) -> Result<()> {
    let entry = ExportEntry {
        actor: &viewer.actor,
        layer: &format!("overlap-check:{}", report.check.id),
        filter: &report.check.title,
        format,
        rows: report.findings.len() as u64,
        address,
    };
    log_export(pool, &entry).await
}

/// One collection: the findings, and the check as a foreign member.
pub fn geojson(report: &CheckReport) -> Value {
    json!({
        "type": "FeatureCollection",
        "check": wire::check_json(&report.check),
        "features": report.findings.iter().map(wire::finding_feature).collect::<Vec<_>>(),
    })
}

/// Heading, kind, unit and cell of each column.
type OfFinding = (&'static str, PropertyKind, Option<&'static str>, fn(&FindingRow) -> Cell);

const FINDINGS: [OfFinding; 22] = {
    use PropertyKind::{DateTime, Integer, Number, Text};
    [
        ("序号", Integer, None, |f| Cell::Integer(f.number.into())),
        ("图形", Text, None, |f| Cell::Text(f.label.clone())),
        ("性质", Text, None, |f| Cell::Text(f.class.title().to_owned())),
        ("等级", Text, None, |f| Cell::Text(f.weight.label().to_owned())),
        ("图层", Text, None, |f| Cell::Text(wire::layer_title(&f.layer).to_owned())),
        ("对方标识", Text, None, |f| Cell::Text(f.feature_id.clone())),
        ("对方名称", Text, None, |f| text(f.feature_name.as_deref())),
        ("示意", PropertyKind::Boolean, None, |f| Cell::Boolean(f.illustrative)),
        ("共有面积", Number, Some("m2"), |f| Cell::Number(f.area_m2)),
        ("共有面积", Number, Some("ha"), |f| area(f, |area| area.to_hectares().value())),
        ("共有面积", Number, Some("mu"), |f| area(f, |area| area.to_mu().value())),
        ("占本图形（%）", Number, None, |f| Cell::Number(f.share_of_subject * 100.0)),
        ("占对方（%）", Number, None, |f| Cell::Number(f.share_of_feature * 100.0)),
        ("最宽（米）", Number, None, |f| number(f.width_m)),
        ("共边长（米）", Number, None, |f| Cell::Number(f.shared_edge_m)),
        ("缝隙面积", Number, Some("m2"), |f| number(f.gap_area_m2)),
        ("缝隙长（米）", Number, None, |f| number(f.gap_length_m)),
        ("管控要求", Text, None, |f| text(f.rule.as_deref())),
        ("处理意见", Text, None, |f| Cell::Text(f.said.verdict.label().to_owned())),
        ("备注", Text, None, |f| Cell::Text(f.said.note.clone())),
        ("处理人", Text, None, |f| text(f.said.by.as_deref())),
        ("处理时间", DateTime, None, |f| f.said.at.map_or(Cell::Missing, Cell::DateTime)),
    ]
};

fn text(text: Option<&str>) -> Cell {
    text.map_or(Cell::Missing, |text| Cell::Text(text.to_owned()))
}

fn number(number: Option<f64>) -> Cell {
    number.map_or(Cell::Missing, Cell::Number)
}

fn area(finding: &FindingRow, of: fn(SquareMetres) -> f64) -> Cell {
    number(SquareMetres::new(finding.area_m2).map(of))
}

/// A workbook: the findings, the shapes, and what was asked.
pub fn workbook(report: &CheckReport, at: DateTime<Utc>) -> Result<Vec<u8>> {
    let failed = |cause: std::io::Error| Error::internal("写导出文件时出错", cause);
    let folder = tempfile::TempDir::new().map_err(failed)?;
    let path = folder.path().join("check.xlsx");
    let missed = not_compared(report).into_iter().map(|row| ("未比较".to_owned(), row.join("，")));
    let notes: Vec<(String, Option<String>)> =
        facts(report, at).into_iter().chain(missed).map(|(name, text)| (name, Some(text))).collect();
    let sheet = |title: &str, columns: Vec<(usize, Column)>| Sheet {
        title: title.to_owned(),
        columns,
        centre: None,
        notes_title: "说明".to_owned(),
        notes: notes.clone(),
    };
    let column = |heading: &str, kind, unit| Column { heading: heading.to_owned(), kind, unit };
    let row =
        |id: String, cells: Vec<Cell>| ExportRow { id, cells, geometry: None, centre: None, feature: String::new() };
    let columns = FINDINGS.iter().map(|(heading, kind, unit, _)| {
        let unit_of = |unit: &str| match unit {
            "m2" => "m²",
            "ha" => "公顷",
            _ => "亩",
        };
        let heading = unit.map_or((*heading).to_owned(), |unit| format!("{heading}（{}）", unit_of(unit)));
        column(&heading, *kind, *unit)
    });
    let findings = report
        .findings
        .iter()
        .map(|finding| row(finding.number.to_string(), FINDINGS.iter().map(|(.., cell)| cell(finding)).collect()));
    let shapes = [
        ("序号", PropertyKind::Integer, None),
        ("图形", PropertyKind::Text, None),
        ("面积（m²）", PropertyKind::Number, Some("m2")),
    ];
    let subjects = (1_i64..).zip(&report.subjects).map(|(number, subject)| {
        row(
            number.to_string(),
            vec![Cell::Integer(number), Cell::Text(subject.label.clone()), Cell::Number(subject.area_m2)],
        )
    });
    let pages = [
        (sheet("检查结果", columns.enumerate().collect()), findings.collect()),
        (
            sheet(
                "检查的图形",
                shapes.map(|(heading, kind, unit)| column(heading, kind, unit)).into_iter().enumerate().collect(),
            ),
            subjects.collect(),
        ),
    ];
    table_export::write_book(&pages, &path, folder.path())?;
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}

/// What was not compared, and why: shape, layer, feature, reason. A paper that kept silent about it would look like no conflict.
pub fn not_compared(report: &CheckReport) -> Vec<[String; 4]> {
    let missed = report.check.summary.as_ref().map(|summary| &summary["not_compared"]).and_then(Value::as_array);
    let text = |missed: &Value, name: &str| missed[name].as_str().unwrap_or_default().to_owned();
    let row = |missed: &Value| {
        let layer = text(missed, "collection");
        let layer = wire::layer_title(&layer).to_owned();
        [text(missed, "subject_label"), layer, text(missed, "feature_id"), text(missed, "reason")]
    };
    missed.into_iter().flatten().map(row).collect()
}

/// What was asked and of what, for people.
pub fn facts(report: &CheckReport, at: DateTime<Utc>) -> Vec<(String, String)> {
    let check = &report.check;
    let fact = |name: &str, text: String| (name.to_owned(), text);
    let request = &check.request;
    let purpose = request["purpose"].as_str().and_then(crate::domain::overlap_check::Purpose::parse);
    let titles = |member: &str| {
        let ids = request[member].as_array().into_iter().flatten().filter_map(Value::as_str);
        ids.map(wire::layer_title).collect::<Vec<_>>().join("、")
    };
    let left_out = match request["left_out"].is_array() {
        true => format!("（没有历史、未比较：{}）", titles("left_out")),
        false => String::new(),
    };
    let limits = &request["thresholds"];
    let complete = check.summary.as_ref().is_some_and(|summary| summary["complete"] == Value::Bool(true));
    vec![
        fact("检查", format!("{}（编号 {}）", check.title, check.id)),
        fact("状态", check.status.label().to_owned()),
        fact("发起人", check.actor.clone()),
        fact("检查时间", check.finished_at.map(moment_in_china).unwrap_or_default()),
        fact("用途", purpose.map_or("", |purpose| purpose.label()).to_owned()),
        fact("比较的图层", titles("layers") + &left_out),
        fact("图形日期", check.on_day.map_or("现状".to_owned(), |day| day.to_string())),
        fact("登记库修订", check.revision.map_or(String::new(), |revision| revision.to_string())),
        fact(
            "阈值",
            format!(
                "细碎重叠：不宽于 {} 米且不超过较小一方的 {}%；缝隙：不宽于 {} 米",
                limits["sliver_width_m"],
                limits["sliver_share"].as_f64().unwrap_or_default() * 100.0,
                limits["gap_width_m"]
            ),
        ),
        fact("是否全部比较", if complete { "是" } else { "否：有未比较或未列出的" }.to_owned()),
        fact("面积口径", "椭球面积（CGCS2000）".to_owned()),
        fact("生成时间", moment_in_china(at)),
    ]
}
