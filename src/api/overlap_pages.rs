//! A check as a page to print: what was asked, a drawing, the findings.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::drawing::Drawing;
use super::html;
use crate::domain::overlap::OverlapClass;
use crate::domain::overlap_check::Weight;
use crate::domain::{Hectares, Mu, SquareMetres};
use crate::inventory::overlap_check::report::{self, CheckReport};
use crate::inventory::overlap_check::wire;
use crate::store::overlap_checks::FindingRow;

/// Findings that a page lists: who prints more takes the workbook.
const LISTED: usize = 2_000;

const STYLE: &str = "<style>
.plan{width:100%;max-height:32rem;border:1px solid var(--line)}.plan path{stroke-width:1.5;vector-effect:non-scaling-stroke}
.subject{fill:none;stroke:var(--link);stroke-width:2.5}.block{fill:var(--bad);fill-opacity:.45;stroke:var(--bad)}
.warn{fill:var(--warn);fill-opacity:.45;stroke:var(--warn);stroke-dasharray:6 3}.note{fill:none;stroke:var(--ink);stroke-opacity:.6;stroke-dasharray:2 3}
@media print{header,footer,.noprint{display:none}body{font-size:11px}main{max-width:none;padding:0}table{font-size:9.5px}.badge{font-size:inherit}tr{break-inside:avoid}.scroll{overflow:visible}.plan{max-height:12cm}
th,td,td.long,td:not(.n){min-width:0;white-space:normal}}@page{size:A4 landscape;margin:12mm}
</style>";

/// The body of the page.
pub fn report(report: &CheckReport, at: DateTime<Utc>, url: &str) -> String {
    let mut body = String::from(STYLE);
    let facts: Vec<(String, String)> =
        report::facts(report, at).into_iter().map(|(name, text)| (name, html::escape(&text))).collect();
    body.push_str(&html::definitions(&facts));
    let _ = write!(
        body,
        "<p class=\"noprint\"><a class=\"choice\" href=\"{0}?f=xlsx\" download>Excel（XLSX）</a><a class=\"choice\" href=\"{0}?f=geojson\" download>GeoJSON</a></p>",
        html::escape(url)
    );
    body.push_str(&summary(report));
    body.push_str(&drawing(report));
    body.push_str(&findings(&report.findings));
    body
}

fn summary(report: &CheckReport) -> String {
    let rows: Vec<Vec<String>> = Weight::ALL
        .iter()
        .flat_map(|weight| OverlapClass::ALL.iter().map(move |class| (*weight, *class)))
        .filter_map(|(weight, class)| {
            let of = report.findings.iter().filter(|f| f.weight == weight && f.class == class);
            let (count, m2) = of.fold((0, 0.0), |(count, m2), f| (count + 1, m2 + f.area_m2));
            let row = vec![badge(weight), class.title().to_owned(), count.to_string()];
            (count > 0).then(|| row.into_iter().chain(areas(m2)).collect())
        })
        .collect();
    let head = ["等级", "性质", "条数", "共有面积（m²）", "公顷", "亩"];
    let complete = report.check.summary.as_ref().is_some_and(|summary| summary["complete"] == true);
    let table = match (rows.is_empty(), complete) {
        (true, true) => "<p>与所比较的图层没有重叠、缝隙或相接。</p>".to_owned(),
        (true, false) => String::new(),
        (false, _) => html::table_of("小结", &head, &[2, 3, 4, 5], &rows),
    };
    let warning = if complete {
        String::new()
    } else {
        let escaped = |row: [String; 4]| row.iter().map(|text| html::escape(text)).collect();
        let missed: Vec<Vec<String>> = report::not_compared(report).into_iter().map(escaped).collect();
        let list = match missed.is_empty() {
            true => String::new(),
            false => html::table_of("未比较", &["图形", "图层", "对方", "原因"], &[], &missed),
        };
        format!("<p class=\"warning\">没有全部比较或没有全部列出：不能据此认为其余没有冲突。</p>{list}")
    };
    format!("<h2>小结</h2>{warning}{table}")
}

fn areas(m2: f64) -> [String; 3] {
    let area = SquareMetres::new(m2).unwrap_or(SquareMetres::ZERO);
    let (ha, mu): (Hectares, Mu) = (area.to_hectares(), area.to_mu());
    [format!("{m2:.2}"), format!("{:.4}", ha.value()), format!("{:.2}", mu.value())]
}

fn badge(weight: Weight) -> String {
    let class = match weight {
        Weight::Block => "error",
        Weight::Warn => "warning",
        Weight::Note => "muted",
    };
    format!("<span class=\"badge {class}\">{}</span>", weight.label())
}

/// The shapes and what was found.
fn drawing(report: &CheckReport) -> String {
    let shapes = report.subjects.iter().map(|subject| &subject.geometry);
    let Some(mut drawing) = Drawing::around(shapes, "被检查的图形与共有的土地") else {
        return String::new();
    };
    // The light first: what weighs more lies on top.
    for weight in Weight::ALL.iter().rev() {
        for finding in report.findings.iter().filter(|f| f.weight == *weight) {
            let Some(land) = &finding.land else { continue };
            drawing.land(weight.as_str(), &format!("{} {}", finding.number, finding.feature_id), land);
        }
    }
    for subject in &report.subjects {
        drawing.outline("subject", &subject.label, &subject.geometry);
    }
    let (width, bar) = (drawing.width_m(), nice_length(drawing.size_m() / 4.0));
    drawing.finish(&format!(
        "蓝线为被检查的图形；红为不得通过，橙为需核对，灰为提示。图宽约 {width:.0} 米（{bar} 米约为图宽的 {:.0}%）。",
        bar / width * 100.0
    ))
}

/// 1, 2 or 5 times a power of ten.
fn nice_length(metres: f64) -> f64 {
    let power = 10_f64.powf(metres.max(1e-3).log10().floor());
    [5.0, 2.0, 1.0].into_iter().map(|times| times * power).find(|length| *length <= metres).unwrap_or(power)
}

fn named(finding: &FindingRow) -> String {
    let id = &finding.feature_id;
    let drawn = if finding.illustrative { "，示意" } else { "" };
    match &finding.feature_name {
        Some(name) => format!("{name}（{id}{drawn}）"),
        None if finding.illustrative => format!("{id}（示意）"),
        None => id.clone(),
    }
}

fn findings(list: &[FindingRow]) -> String {
    let head = [
        "序号",
        "图形",
        "对方",
        "图层",
        "性质",
        "等级",
        "共有面积（m²）",
        "公顷",
        "亩",
        "占本图形 %",
        "占对方 %",
        "最宽（米）",
        "处理意见",
        "备注",
    ];
    let row = |f: &FindingRow| {
        let mut cells = vec![
            f.number.to_string(),
            html::escape(&f.label),
            html::escape(&named(f)),
            html::escape(wire::layer_title(&f.layer)),
            f.class.title().to_owned(),
            badge(f.weight),
        ];
        cells.extend(areas(f.area_m2));
        cells.extend([
            format!("{:.2}", f.share_of_subject * 100.0),
            format!("{:.2}", f.share_of_feature * 100.0),
            f.width_m.map_or("—".to_owned(), |width| format!("{width:.2}")),
            f.said.verdict.label().to_owned(),
            html::escape(&f.said.note),
        ]);
        cells
    };
    let mut ordered: Vec<&FindingRow> = list.iter().collect();
    ordered.sort_by(|a, b| a.weight.cmp(&b.weight).then(b.area_m2.total_cmp(&a.area_m2)).then(a.number.cmp(&b.number)));
    let rows: Vec<Vec<String>> = ordered.iter().take(LISTED).map(|f| row(f)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let cut = match list.len().saturating_sub(LISTED) {
        0 => String::new(),
        left_out => format!("<p class=\"warning\">只列前 {LISTED} 条，另有 {left_out} 条见 XLSX 或 GeoJSON。</p>"),
    };
    let table = html::table_of("检查结果", &head, &[0, 6, 7, 8, 9, 10, 11], &rows);
    format!("<h2>检查结果</h2><p>共 {} 条，按等级和面积排列。</p>{cut}{table}{}", list.len(), rules(&ordered))
}

/// What the control lines among the findings demand, in the words of their documents.
fn rules(ordered: &[&FindingRow]) -> String {
    let told = ordered.iter().filter_map(|f| Some((f, f.rule.as_deref()?)));
    let rows: Vec<Vec<String>> = told
        .take(LISTED)
        .map(|(f, rule)| {
            let zone = html::escape(&named(f));
            vec![f.number.to_string(), html::escape(&f.label), zone, badge(f.weight), html::escape(rule)]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = ["序号", "图形", "管控区域", "等级", "管控要求"];
    format!("<h2>管控要求</h2>{}", html::table_of("管控要求", &head, &[0], &rows))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::overlap_check::CheckStatus;
    use crate::store::overlap_checks::CheckRow;

    fn of(summary: Value) -> CheckReport {
        let at = DateTime::<Utc>::default();
        let check = CheckRow {
            id: 1,
            title: "南扩".to_owned(),
            actor: "account:zhang".to_owned(),
            jurisdiction: vec!["*".to_owned()],
            created_at: at,
            finished_at: Some(at),
            status: CheckStatus::Finished,
            request: json!({"purpose": "park_boundary", "layers": ["park_blocks"], "thresholds": {"sliver_width_m": 0.5, "sliver_share": 0.01, "gap_width_m": 1.0}}),
            on_day: None,
            revision: Some(7),
            repeats: None,
            done: 1,
            total: Some(1),
            summary: Some(summary),
            trouble: None,
            subjects: 0,
        };
        CheckReport { check, subjects: Vec::new(), findings: Vec::new() }
    }

    #[test]
    fn what_was_not_compared_does_not_look_like_no_conflict() {
        let page = |summary| report(&of(summary), DateTime::<Utc>::default(), "/r");
        let sound = page(json!({"complete": true, "not_compared": []}));
        assert!(sound.contains("没有重叠、缝隙或相接") && !sound.contains("没有全部比较"));
        let missed = json!({"subject_label": "<片>", "collection": "park_blocks", "feature_id": "G431176-1", "reason": "边界相交太多"});
        let cut = page(json!({"complete": false, "not_compared": [missed]}));
        assert!(!cut.contains("没有重叠、缝隙或相接") && cut.contains("没有全部比较"), "{cut}");
        for told in ["&lt;片&gt;", "园区区块", "G431176-1", "边界相交太多"] {
            assert!(cut.contains(told), "{told}: {cut}");
        }
    }
}
