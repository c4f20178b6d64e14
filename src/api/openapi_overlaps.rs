//! The part of the OpenAPI document about checks of overlaps.

use serde_json::{Map, Value, json};

use super::exports::media_type;
use super::openapi::{JSON, Operation, limit_parameter, query, segment};
use super::openapi_access;
use super::openapi_schemas::{Schemas, list, number, object, reference, text, text_or_null, whole, yes_or_no};
use super::overlaps::REPORT_FORMS;
use crate::domain::export::ExportFormat;
use crate::domain::overlap::{OverlapClass, WIDEST_M};
use crate::domain::overlap_check::{CheckStatus, MOST_SUBJECTS, Purpose, TITLE_LENGTH, Verdict, Weight};

/// What `tags` says of them.
pub const TAG: (&str, &str) = ("overlap-checks", "重叠检查（规划、编辑人员；只见本人管辖范围内的检查）");

const GEOJSON: &str = "application/geo+json";

fn secured(id: &str, summary: &str) -> Operation {
    Operation::new(id, TAG.0, summary).field("security", openapi_access::security())
}

fn id() -> Value {
    segment("id", "检查编号", "1")
}

pub(super) fn words<'a>(words: impl Iterator<Item = &'a str>) -> Value {
    json!({"type": "string", "enum": words.collect::<Vec<_>>()})
}

pub(super) fn classes() -> Value {
    words(OverlapClass::ALL.iter().map(|class| class.as_str()))
}

pub(super) fn weights() -> Value {
    words(Weight::ALL.iter().map(|weight| weight.as_str()))
}

pub(super) fn verdicts() -> Value {
    words(Verdict::ALL.iter().map(|verdict| verdict.as_str()))
}

pub fn paths(paths: &mut Map<String, Value>, upload_limit_mb: usize) {
    let check = || [(JSON, reference("OverlapCheck"))];
    let before = query("before", "只列编号更小的检查", json!({"type": "integer", "minimum": 1}));
    let all = secured("list_overlap_checks", "重叠检查，新的在前")
        .parameters(vec![limit_parameter(), before])
        .answers("200", "一页检查", &[(JSON, reference("OverlapCheckList"))])
        .errors(&["400", "401", "403"]);
    let body = json!({
        "required": true,
        "description": format!("JSON，或带文件的表单；文件不超过 {upload_limit_mb} MB，格式与导入相同；一次最多 {MOST_SUBJECTS} 个图形"),
        "content": {
            JSON: {"schema": reference("NewOverlapCheck")},
            "multipart/form-data": {"schema": reference("OverlapCheckForm")},
        },
    });
    let create =
        secured("create_overlap_check", "检查图形与各图层的重叠、缝隙、共边；结果保存，可再次打开、重做、比较")
            .field("requestBody", body)
            .answers("201", "两秒内已结束；地址在 Location", &check())
            .answers("202", "还在排队或进行，请到 Location 查看", &check())
            .errors(&["400", "401", "403", "404", "408", "413", "415", "429", "503"]);
    paths.insert("/overlap-checks".into(), json!({"get": all.0, "post": create.0}));
    let get = secured("get_overlap_check", "一次检查：状态、进度、所见修订、小结")
        .parameters(vec![id()])
        .answers("200", "检查", &check())
        .errors(&["400", "401", "403", "404"]);
    let remove = secured("remove_overlap_check", "删除已结束的检查，连同其结果和处理意见（发起人、管理员）")
        .parameters(vec![id()])
        .answers("204", "已删除", &[])
        .errors(&["400", "401", "403", "404", "409"]);
    paths.insert("/overlap-checks/{id}".into(), json!({"get": get.0, "delete": remove.0}));
    let cancel = secured("cancel_overlap_check", "取消未结束的检查（发起人、管理员）")
        .parameters(vec![id()])
        .answers("200", "检查", &check())
        .errors(&["400", "401", "403", "404", "409"]);
    paths.insert("/overlap-checks/{id}/cancel".into(), cancel.post());
    let on = json!({"type": "object", "properties": {"on": {"type": "string", "enum": ["present", "same_revision"], "default": "present",
        "title": "按现状，或按上次所见的修订（结果逐字节相同；没有历史的图层不比较，记入 request.left_out）"}}, "additionalProperties": false});
    let repeat = secured("repeat_overlap_check", "以同样的图形、图层、阈值再查一次")
        .parameters(vec![id()])
        .field("requestBody", json!({"required": true, "content": {JSON: {"schema": on}}}))
        .answers("201", "两秒内已结束；地址在 Location", &check())
        .answers("202", "还在排队或进行", &check())
        .errors(&["400", "401", "403", "404", "408", "409", "413", "415", "429", "503"]);
    paths.insert("/overlap-checks/{id}/repeat".into(), repeat.post());
    let from = query("from", "与哪一次检查比较；不给时为它所重做的那一次", json!({"type": "integer", "minimum": 1}));
    let difference = secured("get_overlap_difference", "两次检查的差别：新增、消失、变化")
        .parameters(vec![id(), from])
        .answers("200", "差别", &[(JSON, reference("OverlapDifference"))])
        .errors(&["400", "401", "403", "404", "409"]);
    paths.insert("/overlap-checks/{id}/difference".into(), difference.get());
    let stream = secured("stream_overlap_check", "进度推送（SSE）：progress 事件，结束时 end 事件")
        .parameters(vec![id()])
        .answers("200", "事件流", &[("text/event-stream", json!({"type": "string"}))])
        .errors(&["400", "401", "403", "404", "503"]);
    paths.insert("/overlap-checks/{id}/events".into(), stream.get());
    let form =
        query("f", "形式：打印页、工作簿、GeoJSON", json!({"type": "string", "enum": REPORT_FORMS, "default": "html"}));
    let file = || json!({"type": "string", "format": "binary"});
    let report = secured("get_overlap_report", "检查报告：可打印的页面、XLSX、GeoJSON")
        .parameters(vec![id(), form])
        .answers(
            "200",
            "报告",
            &[
                ("text/html", json!({"type": "string"})),
                (media_type(ExportFormat::Xlsx), file()),
                (GEOJSON, json!({"type": "object"})),
            ],
        )
        .errors(&["400", "401", "403", "404", "409", "503"]);
    paths.insert("/overlap-checks/{id}/report".into(), report.get());
    findings(paths);
}

/// Words that may be given together.
pub(super) fn several(name: &str, title: &str, example: &str) -> Value {
    let mut parameter = query(name, &format!("{title}；多个用逗号分隔"), json!({"type": "string"}));
    parameter["example"] = json!(example);
    parameter
}

fn findings(paths: &mut Map<String, Value>) {
    let parameters = vec![
        id(),
        several("class", "性质", "overlap"),
        several("weight", "等级", "block"),
        several("verdict", "处理意见", "open"),
        several("collection", "图层", "park_blocks"),
        limit_parameter(),
        query("after", "只列序号更大的结果", json!({"type": "integer", "minimum": 1})),
        query("skipGeometry", "不要图形", json!({"type": "boolean", "default": false})),
    ];
    let list = secured("list_overlap_findings", "检查结果：每条附共有的土地或缝隙的图形")
        .parameters(parameters)
        .answers("200", "一页结果", &[(GEOJSON, reference("OverlapFindings"))])
        .errors(&["400", "401", "403", "404"]);
    paths.insert("/overlap-checks/{id}/findings".into(), list.get());
    let of_finding = || vec![id(), segment("finding", "结果的序号", "1")];
    let marks = secured("list_overlap_marks", "对一条结果的全部处理意见，先后为序")
        .parameters(of_finding())
        .answers("200", "处理意见", &[(JSON, reference("OverlapMarks"))])
        .errors(&["400", "401", "403", "404"]);
    let body = json!({"required": true, "content": {JSON: {"schema": reference("NewOverlapMark")}}});
    let mark = secured("create_overlap_mark", "对一条结果给出处理意见：接受、需整改、可忽略；以最后一次为准，全部保留")
        .parameters(of_finding())
        .field("requestBody", body)
        .answers("201", "结果现状", &[(JSON, reference("OverlapFinding"))])
        .errors(&["400", "401", "403", "404", "408", "413", "415"]);
    paths.insert("/overlap-checks/{id}/findings/{finding}/marks".into(), json!({"get": marks.0, "post": mark.0}));
}

pub(super) fn or_null(mut schema: Value) -> Value {
    schema["nullable"] = json!(true);
    schema
}

pub fn schemas() -> Schemas {
    let width = |title: &str, usual: f64| json!({"type": "number", "minimum": 0, "maximum": WIDEST_M, "default": usual, "title": title});
    let thresholds = json!({
        "sliver_width_m": width("细碎重叠最宽，米", 0.5),
        "sliver_share": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.01, "title": "细碎重叠占较小一方最多"},
        "gap_width_m": width("缝隙最宽，米；0 为不查缝隙", 1.0),
    });
    let purpose = words(Purpose::ALL.iter().map(|purpose| purpose.as_str()));
    let title = json!({"type": "string", "maxLength": TITLE_LENGTH, "title": "标题"});
    let day = json!({"type": "string", "format": "date", "title": "按哪一天的图形；不给时按现状"});
    let revision = json!({"type": "integer", "minimum": 1, "title": "按登记库的哪个修订"});
    let subject = json!({
        "type": "object",
        "title": "只能有一种：geojson；coordinates（可带 crs）；collection 与 id",
        "properties": {
            "geojson": {"type": "object", "title": "GeoJSON 图形、要素或要素集"},
            "coordinates": {"type": "string", "title": "坐标列表，每行一点；空行分圈，--- 分地块"},
            "crs": {"type": "string", "title": "坐标列表的坐标系，例如 EPSG:4526"},
            "collection": {"type": "string", "title": "现有要素的图层"},
            "id": {"type": "string", "title": "现有要素的标识"},
        },
        "additionalProperties": false,
    });
    let mut new = json!({
        "title": title, "purpose": purpose, "date": day, "revision": revision, "subject": subject,
        "layers": {"type": "array", "items": {"type": "string"}, "title": "与哪些图层比较；不给时为园区区块、管控区域、两个台账的地块和可见的面状附加图层（给了 date 或 revision 时不含附加图层）"},
        "thresholds": {"type": "object", "properties": thresholds, "additionalProperties": false},
    });
    // Over a scenario: of now, and not kept.
    let question = json!({
        "purpose": purpose, "subject": subject, "layers": new["layers"], "thresholds": new["thresholds"],
    });
    let form = json!({
        "file": {"type": "string", "format": "binary", "title": "图形文件"},
        "title": title, "purpose": purpose, "date": day, "revision": revision,
        "layers": {"type": "string", "title": "图层，逗号分隔"},
        "sliver_width_m": thresholds["sliver_width_m"], "sliver_share": thresholds["sliver_share"], "gap_width_m": thresholds["gap_width_m"],
        "crs": {"type": "string"}, "encoding": {"type": "string"}, "source_layer": {"type": "string"},
    });
    let check = json!({
        "id": whole("编号"), "title": text("标题"),
        "status": words(CheckStatus::ALL.iter().map(|status| status.as_str())), "status_label": text("状态"),
        "actor": text("发起人"), "created_at": {"type": "string", "format": "date-time"},
        "finished_at": {"type": "string", "format": "date-time", "nullable": true},
        "request": {"type": "object", "title": "用途、图层、阈值、图形来源"},
        "date": {"type": "string", "format": "date", "nullable": true}, "revision": or_null(whole("所见的修订")),
        "repeats": or_null(whole("重做的是哪一次检查")), "subjects": whole("图形数"),
        "progress": {"type": "object", "properties": {"done": whole("已比较的对数"), "total": or_null(whole("总对数"))}},
        "summary": {"type": "object", "nullable": true, "title": "各性质、各等级的条数与面积；complete 为否时有未比较的"},
        "trouble": text_or_null("未完成的原因"), "links": list(reference("Link")),
    });
    let properties = json!({
        "number": whole("序号"), "subject": whole("第几个图形"), "subject_label": text("图形名称"),
        "collection": text("图层"), "feature_id": text("对方的标识"), "feature_name": text_or_null("对方的名称"), "illustrative": yes_or_no("对方为示意图形"),
        "rule": text_or_null("管控区域的管控要求及文号；其他图层为空 (null)"), "class": classes(), "class_label": text("性质"), "weight": weights(), "weight_label": text("等级"),
        "area_m2": number("共有面积，平方米（椭球面积）"), "area_ha": or_null(number("公顷")), "area_mu": or_null(number("亩")),
        "share_of_subject": number("占本图形，0 至 1"), "share_of_feature": number("占对方，0 至 1"),
        "width_m": or_null(number("最宽，米")), "shared_edge_m": number("共边长，米"),
        "gap_area_m2": or_null(number("缝隙面积，平方米")), "gap_length_m": or_null(number("缝隙长，米")),
        "message": text("一句话说明"), "verdict": verdicts(), "verdict_label": text("处理意见"), "note": text("备注"),
        "marked_by": text_or_null("处理人"), "marked_at": {"type": "string", "format": "date-time", "nullable": true},
    });
    new["thresholds"]["title"] = json!("阈值，随结果显示");
    vec![
        ("NewOverlapCheck", object(&["subject"], new)),
        ("ScenarioQuestion", object(&["subject"], question)),
        ("OverlapCheckForm", object(&["file"], form)),
        ("OverlapCheck", object(&["id", "title", "status", "request", "links"], check)),
        (
            "OverlapCheckList",
            object(
                &["checks", "numberReturned", "links"],
                json!({"numberReturned": whole("条数"), "checks": list(reference("OverlapCheck")), "links": list(reference("Link"))}),
            ),
        ),
        ("OverlapProperties", object(&["number", "class", "weight", "area_m2"], properties)),
        (
            "OverlapFinding",
            object(
                &["type", "id", "geometry", "properties"],
                json!({
                    "type": {"type": "string", "enum": ["Feature"]}, "id": whole("序号"),
                    "geometry": {"type": "object", "nullable": true, "title": "共有的土地，或缝隙"},
                    "properties": reference("OverlapProperties"),
                }),
            ),
        ),
        (
            "OverlapFindings",
            object(
                &["type", "features", "numberMatched", "numberReturned"],
                json!({
                    "type": {"type": "string", "enum": ["FeatureCollection"]}, "numberMatched": whole("符合条件的条数"),
                    "numberReturned": whole("本页条数"), "features": list(reference("OverlapFinding")), "links": list(reference("Link")),
                }),
            ),
        ),
        (
            "NewOverlapMark",
            object(
                &["verdict"],
                json!({"verdict": verdicts(), "note": {"type": "string", "maxLength": 1000, "title": "备注"}}),
            ),
        ),
        (
            "OverlapMarks",
            object(
                &["marks"],
                json!({"marks": {"type": "array", "items": {"type": "object", "properties": {
                    "verdict": verdicts(), "note": text("备注"), "actor": text("处理人"), "marked_at": {"type": "string", "format": "date-time"},
                }}}}),
            ),
        ),
        (
            "OverlapDifference",
            object(
                &["earlier", "later", "not_compared", "same", "came", "went", "changed"],
                json!({
                    "earlier": whole("前一次"), "later": whole("后一次"),
                    "not_compared": list(text("只有其中一次比较过的图层；其结果不计入差异")), "same": whole("没有变化的条数"),
                    "came": list(reference("OverlapProperties")), "went": list(reference("OverlapProperties")),
                    "changed": {"type": "array", "items": {"type": "object", "properties": {
                        "before": reference("OverlapProperties"), "after": reference("OverlapProperties"),
                    }}},
                }),
            ),
        ),
    ]
}
