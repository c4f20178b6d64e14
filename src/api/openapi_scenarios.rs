//! The part of the OpenAPI document about scenarios.

use serde_json::{Map, Value, json};

use super::openapi::{JSON, Operation, limit_parameter, query, segment};
use super::openapi_access;
use super::openapi_criteria::idempotency_key;
use super::openapi_overlaps::or_null;
use super::openapi_schemas::{Schemas, list, number, object, reference, text, whole, yes_or_no};
use super::scenario_asks::KINDS;
use crate::inventory::scenarios::{MOST_OPERATIONS, NAME_LENGTH};

/// What `tags` says of them.
pub const TAG: (&str, &str) = ("scenarios", "推演方案：只见本人的；规划、编辑人员可推演，编辑人员可实施");

const GEOJSON: &str = "application/geo+json";

fn secured(id: &str, summary: &str) -> Operation {
    Operation::new(id, TAG.0, summary).field("security", openapi_access::security())
}

fn id() -> Value {
    segment("id", "方案编号", "1")
}

fn if_match() -> Value {
    json!({
        "name": "If-Match", "in": "header", "required": false, "description": "取得该方案时的 ETag；没有时 428，已有变动时 412",
        "schema": {"type": "string"}, "example": "\"v1\"",
    })
}

pub fn paths(paths: &mut Map<String, Value>) {
    let body = || json!({"required": true, "content": {JSON: {"schema": reference("NewScenario")}}});
    let one = || [(JSON, reference("Scenario"))];
    let stale = || json!({"description": "取得之后又有变动", "content": {"application/problem+json": {"schema": reference("Problem")}}});
    let before = query("before", "只列编号更小的", json!({"type": "integer", "minimum": 1}));
    let all = secured("list_scenarios", "推演方案，新的在前，不含各项操作")
        .parameters(vec![limit_parameter(), before])
        .answers("200", "一页方案", &[(JSON, reference("ScenarioList"))])
        .errors(&["400", "401", "403"]);
    let create = secured("create_scenario", "新建推演方案；操作只读入，不写登记库")
        .field("requestBody", body())
        .answers("201", "新建的方案；地址在 Location", &one())
        .errors(&["400", "401", "403", "408", "409", "413", "415"]);
    paths.insert("/scenarios".into(), json!({"get": all.0, "post": create.0}));
    let read = secured("get_scenario", "一个推演方案；ETag 是它的版本")
        .parameters(vec![id()])
        .answers("200", "方案", &one())
        .errors(&["400", "401", "403", "404"]);
    let replace = secured("replace_scenario", "改名、改操作；依据更新到现在的修订")
        .parameters(vec![id(), if_match()])
        .field("requestBody", body())
        .answers("200", "方案现状", &one())
        .errors(&["400", "401", "403", "404", "408", "409", "413", "415", "428"])
        .response("412", stale());
    let end = secured("drop_scenario", "删除方案；已实施的内容不受影响")
        .parameters(vec![id()])
        .response("204", json!({"description": "已删除"}))
        .errors(&["400", "401", "403", "404"]);
    paths.insert("/scenarios/{id}".into(), json!({"get": read.0, "put": replace.0, "delete": end.0}));
    let evaluate = secured("get_scenario_evaluation", "在登记库现状上推演：各项操作、变化、合计、冲突；不写任何内容")
        .parameters(vec![id()])
        .answers("200", "推演结果", &[(JSON, reference("ScenarioTrial"))])
        .errors(&["400", "401", "403", "404", "503"])
        .within_time();
    paths.insert("/scenarios/{id}/evaluation".into(), evaluate.get());
    let features = secured("get_scenario_features", "推演后变化的要素，供地图叠加")
        .parameters(vec![id()])
        .answers("200", "要素", &[(GEOJSON, reference("ScenarioFeatures"))])
        .errors(&["400", "401", "403", "404", "503"])
        .within_time();
    paths.insert("/scenarios/{id}/features".into(), features.get());
    let question = json!({"required": true, "content": {JSON: {"schema": reference("ScenarioQuestion")}}});
    let check = secured("check_over_scenario", "把图形与方案实施后的登记库比较：重叠、缝隙、共边；结果不保存")
        .parameters(vec![id()])
        .field("requestBody", question)
        .answers("200", "检查结果", &[(GEOJSON, reference("ScenarioCheck"))])
        .errors(&["400", "401", "403", "404", "408", "409", "413", "415", "503"])
        .within_time();
    paths.insert("/scenarios/{id}/overlap-check".into(), check.post());
    let seen = "核对时所见的修订（推演结果的 revision）；没有时为现在的修订";
    let seen = query("seen_revision", seen, json!({"type": "integer", "minimum": 1}));
    let rebase = secured("rebase_scenario", "核对之后，把方案的依据更新到所见的修订")
        .parameters(vec![id(), if_match(), seen])
        .answers("200", "方案现状", &one())
        .errors(&["400", "401", "403", "404", "409", "428"])
        .response("412", stale());
    paths.insert("/scenarios/{id}/rebase".into(), json!({"post": rebase.0}));
    let apply = secured("apply_scenario", "把全部操作作为一个修订实施，或一项也不")
        .parameters(vec![id(), if_match(), idempotency_key()])
        .answers("200", "已实施的方案", &one())
        .errors(&["400", "401", "403", "404", "409", "428"])
        .response("412", stale());
    paths.insert("/scenarios/{id}/apply".into(), json!({"post": apply.0}));
}

pub fn schemas() -> Schemas {
    let moment = || json!({"type": "string", "format": "date-time"});
    let operation = json!({
        "type": "object", "required": ["op"], "title": "其余成员与该操作自己的地址相同：/park-events、/boundary-changes（另可有 steps、on，或 id），地块为 collection、id、feature、allow",
        "properties": {"op": {"type": "string", "enum": KINDS}},
    });
    let operations = json!({"type": "array", "maxItems": MOST_OPERATIONS, "items": operation});
    let new = json!({"name": {"type": "string", "maxLength": NAME_LENGTH, "title": "名称"}, "operations": operations});
    let scenario = json!({
        "id": whole("编号"), "name": text("名称"), "owner": text("所有人"), "base_revision": whole("所依据的修订"), "version": whole("版本"),
        "created_at": moment(), "updated_at": moment(), "applied_revision": or_null(whole("实施的修订")), "undone": yes_or_no("实施是否已撤销（列表中没有）"), "operation_count": whole("操作数"),
        "operations": operations, "links": list(reference("Link")),
    });
    let outcome = json!({
        "index": whole("第几项，自 0 起"), "ok": yes_or_no("能否办理"), "subject": text("记在谁名下"), "code": text("为什么不能"),
        "detail": text("为什么不能"), "findings": {"type": "array", "items": {"type": "object"}}, "warnings": {"type": "array", "items": {"type": "object"}},
    });
    let totals = json!({
        "type": "object", "nullable": true,
        "properties": {
            "name": text("名称"), "status": text("状态"), "block_count": whole("区块数"), "approved_area_ha": or_null(number("核准面积，公顷")),
            "computed_area_m2": or_null(number("椭球面积，平方米")), "parcels": {"type": "object", "title": "各台账的宗数与面积"},
        },
    });
    let park = object(&["park_code"], json!({"park_code": text("园区代码"), "before": totals, "after": totals}));
    let moved = object(
        &["table", "id", "revision"],
        json!({"table": text("表"), "id": text("记录"), "revision": whole("修订")}),
    );
    let trial = json!({
        "scenario": whole("方案编号"), "base_revision": whole("方案所依据的修订"), "revision": whole("推演所在的修订"),
        "operations": list(object(&["index", "ok"], outcome)), "possible": yes_or_no("全部操作都能办理"),
        "applicable": yes_or_no("现在可以实施"), "supposed": yes_or_no("有调区扩区只是假定批准"), "moved": list(moved),
        "moved_elsewhere": whole("此外还有多少条其他县区的记录"),
        "changes": {"type": "object", "title": "各图层新增、变化、消失的要素数"}, "totals": list(park),
        "conflicts": {"type": "array", "items": {"type": "object"}, "title": "所涉要素的冲突；known 为登记库已有的"},
        "resolved": {"type": "array", "items": {"type": "object"}, "title": "不再有的冲突"}, "complete": yes_or_no("全部列出、全部比较"),
    });
    let features = json!({
        "type": {"type": "string", "enum": ["FeatureCollection"]}, "scenario": whole("方案编号"), "possible": yes_or_no("全部操作都能办理"),
        "complete": yes_or_no("全部列出"), "numberReturned": whole("个数"), "features": {"type": "array", "items": {"type": "object"}},
    });
    let check = json!({
        "type": {"type": "string", "enum": ["FeatureCollection"]}, "revision": whole("方案之下的登记库修订"),
        "scenario": {"type": "object", "properties": {"id": whole("编号"), "version": whole("版本"), "supposed": yes_or_no("是否含假定批准的界线")}},
        "request": {"type": "object"}, "summary": {"type": "object", "title": "与重叠检查的小结相同"},
        "features": list(reference("OverlapFinding")),
    });
    vec![
        ("NewScenario", object(&["name"], new)),
        ("Scenario", object(&["id", "name", "owner", "base_revision", "version"], scenario)),
        (
            "ScenarioList",
            object(
                &["numberReturned", "scenarios", "links"],
                json!({"numberReturned": whole("个数"), "scenarios": list(reference("Scenario")), "links": list(reference("Link"))}),
            ),
        ),
        ("ScenarioTrial", object(&["scenario", "operations", "possible", "applicable", "changes", "totals"], trial)),
        ("ScenarioCheck", object(&["type", "scenario", "revision", "request", "summary", "features"], check)),
        ("ScenarioFeatures", object(&["type", "features"], features)),
    ]
}
