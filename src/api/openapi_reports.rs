//! The part of the OpenAPI document about reports: one path each, since each has parameters of its own.

use serde_json::{Map, Value, json};

use super::exports::media_type;
use super::openapi::{JSON, Operation, form_parameter, query, text_parameter};
use super::openapi_access;
use super::openapi_schemas::{Schemas, list, object, reference, text, whole, yes_or_no};
use super::reports::{PARAMETERS, forms};
use crate::domain::export::ExportFormat;
use crate::domain::report::{MAX_ROWS, ReportKind};

/// What `tags` says of them.
pub const TAG: (&str, &str) = ("reports", "统计报表（查询人员；只含本人管辖范围）");

/// `/reports` and a path for each report.
pub fn paths(paths: &mut Map<String, Value>) {
    let page = || ("text/html", json!({"type": "string"}));
    let all = Operation::new("list_reports", TAG.0, "有哪些报表，各有哪些参数")
        .field("security", openapi_access::security())
        .parameters(vec![form_parameter()])
        .answers("200", "报表列表", &[(JSON, reference("ReportList")), page()])
        .errors(&["400", "401", "403", "406"]);
    paths.insert("/reports".into(), all.get());
    let file = || json!({"type": "string", "format": "binary"});
    for kind in ReportKind::ALL {
        let id = format!("get_report_{}", kind.as_str().replace('-', "_"));
        let names = PARAMETERS.iter().chain(kind.options());
        let operation = Operation::new(id, TAG.0, format!("{}：{}", kind.title().zh, kind.description()))
            .field("security", openapi_access::security())
            .parameters(names.map(|name| parameter(kind, name)).collect())
            .answers(
                "200",
                "报表；csv 为其中一个表，xlsx 为全部",
                &[
                    (JSON, reference("Report")),
                    page(),
                    (media_type(ExportFormat::Csv), file()),
                    (media_type(ExportFormat::Xlsx), file()),
                ],
            )
            .errors(&["400", "401", "403", "404", "406", "503"]);
        paths.insert(format!("/reports/{}", kind.as_str()), operation.get());
    }
}

fn parameter(kind: ReportKind, name: &str) -> Value {
    let words = |words: &[&str]| json!({"type": "string", "enum": words});
    let tables: Vec<&str> = kind.tables().iter().map(|(id, _)| *id).collect();
    let dimensions: Vec<&str> = kind.dimensions().iter().map(|d| d.as_str()).collect();
    match name {
        "f" => query("f", "表示形式；不给时按 Accept", words(&forms())),
        "county" => text_parameter("county", "县区或市州代码，例如 430121"),
        "park" => text_parameter("park", "园区代码，例如 G431033"),
        "revision" => text_parameter("revision", "登记库当时记载的：修订号，或 RFC 3339 日期、时刻"),
        "limit" => {
            let schema = json!({"type": "integer", "minimum": 1, "maximum": MAX_ROWS, "default": MAX_ROWS});
            query("limit", "每个表最多多少行；截断时注明，合计仍含全部", schema)
        }
        "table" => query("table", "只要其中一个表；csv 不给时为第一个", words(&tables)),
        "on" => text_parameter("on", "统计日（YYYY-MM-DD）：当日适用的状态，计时也按该日；不给时为现状"),
        "by" => text_parameter(
            "by",
            &format!("分组，用逗号隔开，最多三个，默认 county,state；可用：{}", dimensions.join("、")),
        ),
        "year" => query(
            "year",
            if kind == ReportKind::LowEfficiencyScreening {
                "标准年度；不给时为各地块的认定标准年份"
            } else {
                "计划年份；不给时为统计日所在年"
            },
            json!({"type": "integer", "minimum": 1900, "maximum": 2200}),
        ),
        "quarter" => text_parameter("quarter", "季度，例如 2026Q3；不给时为本季度"),
        _ => query("ledger", "台账；默认 turnover", words(&["turnover", "low_efficiency"])),
    }
}

/// `ReportList` and `Report`.
pub fn schemas() -> Schemas {
    let named = || list(object(&["id", "title"], json!({"id": text("代码"), "title": text("名称")})));
    let entry = json!({
        "id": text("报表"), "title": text("名称"), "title_en": text("英文名称"), "description": text("内容"),
        "parameters": list(json!({"type": "string"})), "dimensions": named(), "tables": named(), "href": text("地址"),
    });
    let every = json!({
        "reports": list(object(&["id", "title", "description", "parameters", "tables", "href"], entry)),
        "links": list(reference("Link")),
    });
    let column = json!({"name": text("列"), "title": text("名称"), "unit": text("单位：m2、ha、mu、%")});
    let table = json!({
        "id": text("表"), "title": text("名称"), "columns": list(object(&["name", "title"], column)),
        "numberMatched": whole("符合条件的行数"), "numberReturned": whole("列出的行数"), "truncated": yes_or_no("没有全部列出"),
        "rows": list(json!({"type": "object"})), "totals": {"type": "object", "title": "合计，含没有列出的行"},
    });
    let needed = ["id", "title", "columns", "numberMatched", "numberReturned", "truncated", "rows", "totals"];
    let report = json!({
        "report": text("报表"), "title": text("名称"), "title_en": text("英文名称"), "description": text("内容"),
        "day": text("统计日"), "revision": whole("修订号"), "filters": {"type": "object", "title": "筛选条件，含默认值"},
        "tables": list(object(&needed, table)), "notes": list(json!({"type": "string"})), "links": list(reference("Link")),
    });
    vec![
        ("ReportList", object(&["reports", "links"], every)),
        ("Report", object(&["report", "title", "day", "revision", "filters", "tables", "notes", "links"], report)),
    ]
}
