//! The part of the OpenAPI document about conflicts of the register with itself.

use serde_json::{Map, Value, json};

use super::conflicts::STATES;
use super::openapi::{JSON, Operation, limit_parameter, query, segment};
use super::openapi_access;
use super::openapi_overlaps::{classes, or_null, several, verdicts, weights, words};
use super::openapi_schemas::{Schemas, list, number, object, reference, text, text_or_null, whole, yes_or_no};
use crate::domain::conflict::AUDITED;

/// What `tags` says of them.
pub const TAG: (&str, &str) =
    ("conflicts", "全库审查：登记库自身的冲突（规划、编辑人员；只见双方都在本人可见范围内的）");

const GEOJSON: &str = "application/geo+json";

fn secured(id: &str, summary: &str) -> Operation {
    Operation::new(id, TAG.0, summary).field("security", openapi_access::security())
}

fn id() -> Value {
    segment("id", "冲突标识", "0123456789abcdef0123")
}

pub fn paths(paths: &mut Map<String, Value>) {
    let with_example = |name: &str, title: &str, example: &str| {
        let mut parameter = query(name, title, json!({"type": "string"}));
        parameter["example"] = json!(example);
        parameter
    };
    let mut bbox = query("bbox", "范围：西、南、东、北（度）", json!({"type": "string"}));
    bbox["example"] = json!("112,27,114,29");
    let parameters = vec![
        query("state", "现存、已消除、全部；有 since 时默认全部", json!({"type": "string", "enum": STATES})),
        with_example("since", "自何时以来出现、变化或消除的：日期或 RFC 3339 时间", "2026-01-01"),
        several("class", "性质", "overlap"),
        several("weight", "等级", "block"),
        several("verdict", "处理意见", "open"),
        several("collection", &format!("任一方的图层：{}", AUDITED.join("、")), "park_blocks"),
        with_example("feature", "任一方的标识", "G431176-1"),
        with_example("park", "任一方所在的园区", "G431176"),
        query("illustrative", "只要涉及示意图形的，或不要", json!({"type": "boolean"})),
        bbox,
        query("skipGeometry", "不要图形", json!({"type": "boolean", "default": false})),
        limit_parameter(),
        query("after", "只列序号更大的", json!({"type": "integer", "minimum": 1})),
    ];
    let all = secured("list_conflicts", "登记库自身的冲突，每条附共有的土地、缝隙或界外的土地")
        .parameters(parameters)
        .answers("200", "一页冲突；audit 说明审查到哪个修订", &[(GEOJSON, reference("Conflicts"))])
        .errors(&["400", "401", "403"]);
    paths.insert("/conflicts".into(), all.get());
    let one = secured("get_conflict", "一处冲突：现状、历次出现与消除、全部处理意见")
        .parameters(vec![id()])
        .answers("200", "冲突", &[(GEOJSON, reference("Conflict"))])
        .errors(&["400", "401", "403", "404"]);
    paths.insert("/conflicts/{id}".into(), one.get());
    let body = json!({"required": true, "content": {JSON: {"schema": reference("NewOverlapMark")}}});
    let mark = secured("create_conflict_mark", "对一处冲突给出处理意见；以最后一次为准，全部保留")
        .parameters(vec![id()])
        .field("requestBody", body)
        .answers("201", "冲突现状", &[(GEOJSON, reference("Conflict"))])
        .errors(&["400", "401", "403", "404", "408", "413", "415"]);
    paths.insert("/conflicts/{id}/marks".into(), json!({"post": mark.0}));
}

pub fn schemas() -> Schemas {
    let moment = || json!({"type": "string", "format": "date-time"});
    let side = object(
        &["collection", "id"],
        json!({
            "collection": text("图层"), "collection_title": text("图层名称"), "id": text("标识；界外的土地为管控类型代码"),
            "name": text_or_null("名称"), "park_code": text_or_null("园区代码"),
        }),
    );
    let change = json!({"type": "string", "nullable": true, "enum": ["opened", "changed", "closed", null], "title": "自 since 以来"});
    let properties = json!({
        "id": text("标识：同一双方总是同一个"), "number": whole("序号"), "a": side, "b": side, "illustrative": yes_or_no("涉及示意图形"),
        "class": classes(), "class_label": text("性质"), "weight": weights(), "weight_label": text("等级"),
        "area_m2": number("共有或界外的面积，平方米（椭球面积）"), "area_ha": or_null(number("公顷")), "area_mu": or_null(number("亩")),
        "share_a": number("占甲方，0 至 1"), "share_b": number("占乙方，0 至 1"), "width_m": or_null(number("最宽，米")),
        "gap_area_m2": or_null(number("缝隙面积，平方米")), "gap_length_m": or_null(number("缝隙长，米")),
        "rule": text_or_null("管控要求及文号"), "message": text("一句话说明"),
        "opened_revision": whole("最先发现它的审查的修订"), "opened_at": moment(), "changed_revision": whole("最近变化"), "changed_at": moment(),
        "closed_revision": or_null(whole("最先不再有它的审查的修订")), "closed_at": or_null(moment()), "change": change,
        "verdict": verdicts(), "verdict_label": text("处理意见"), "note": text("备注"), "marked_by": text_or_null("处理人"),
        "marked_at": or_null(moment()),
    });
    let life = json!({
        "opened_revision": whole("出现"), "opened_at": moment(), "closed_revision": or_null(whole("消除")), "closed_at": or_null(moment()),
    });
    let said = json!({
        "verdict": words(["open", "accepted", "to_fix", "ignorable"].into_iter()), "verdict_label": text("处理意见"), "note": text("备注"),
        "actor": text("处理人"), "marked_at": moment(),
    });
    let conflict = json!({
        "type": words(["Feature"].into_iter()), "id": text("标识"),
        "geometry": {"type": "object", "nullable": true, "title": "共有的土地、缝隙，或界外的土地"},
        "properties": reference("ConflictProperties"),
        "lives": list(object(&["opened_revision"], life)), "marks": list(object(&["verdict"], said)), "links": list(reference("Link")),
    });
    let audit = json!({
        "type": "object", "nullable": true, "title": "审查到哪里；还没有审查过为空 (null)",
        "properties": {
            "revision": whole("已审查的修订"), "audited_at": moment(), "behind": whole("其后的修订数"),
            "not_compared_count": whole("边界相交太多而没有比较的对数"),
            "not_compared": {"type": "array", "nullable": true, "items": {"type": "object"}, "title": "边界相交太多而没有比较的；只给管辖全省的人，其他人为 null"},
        },
    });
    vec![
        ("ConflictProperties", object(&["id", "a", "b", "class", "weight", "area_m2"], properties)),
        ("Conflict", object(&["type", "id", "geometry", "properties"], conflict)),
        (
            "Conflicts",
            object(
                &["type", "numberMatched", "numberReturned", "audit", "features", "links"],
                json!({
                    "type": words(["FeatureCollection"].into_iter()), "numberMatched": whole("符合的总数"), "numberReturned": whole("本页条数"),
                    "audit": audit, "features": list(reference("Conflict")), "links": list(reference("Link")),
                }),
            ),
        ),
    ]
}
