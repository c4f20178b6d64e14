//! The part of the OpenAPI document about boundary changes.

use serde_json::{Map, Value, json};

use super::openapi::{JSON, Operation, limit_parameter, query, segment};
use super::openapi_access;
use super::openapi_ledgers::{idempotency_key, if_match};
use super::openapi_schemas::{Schemas, list, number, object, reference, text, text_or_null, whole, yes_or_no};
use crate::domain::boundary_change::{MOST_BLOCKS, MOST_LANDMARKS, MOST_VERTICES, NOTICE_WORKING_DAYS, State};

/// What `tags` says of them.
pub const TAG: (&str, &str) = ("boundary-changes", "调区扩区（内部；规划、编辑人员提出，编辑人员批准）");

const GEOJSON: &str = "application/geo+json";

fn secured(id: &str, summary: &str) -> Operation {
    Operation::new(id, TAG.0, summary).field("security", openapi_access::security())
}

fn id() -> Value {
    segment("id", "编号", "BC-2024-0001")
}

fn dry_run() -> Value {
    query("dry_run", "只试算，不写入", json!({"type": "boolean", "default": false}))
}

fn form(forms: &[&str]) -> Value {
    query("f", "形式", json!({"type": "string", "enum": forms, "default": "json"}))
}

fn body(schema: &str) -> Value {
    json!({"required": true, "content": {GEOJSON: {"schema": reference(schema)}, JSON: {"schema": reference(schema)}}})
}

pub fn paths(paths: &mut Map<String, Value>) {
    let change = || [(JSON, reference("BoundaryChange"))];
    let mut of_state = query("state", "状态；多个用逗号分隔", json!({"type": "string"}));
    of_state["example"] = json!("proposed");
    let mut before = query("before", "只列更早的：上一页最后一条的编号", json!({"type": "string"}));
    before["example"] = json!("BC-2024-0009");
    let park = query("park", "园区代码", json!({"type": "string"}));
    let all = secured("list_boundary_changes", "调区扩区，新的在前")
        .parameters(vec![park, of_state, limit_parameter(), before])
        .answers("200", "一页", &[(JSON, reference("BoundaryChangeList"))])
        .errors(&["400", "401", "403"]);
    let create =
        secured("create_boundary_change", "提出调区扩区：调整后的全部区块，逐块给出界线和面积；dry_run 时附评估")
            .parameters(vec![dry_run(), idempotency_key()])
            .field("requestBody", body("NewBoundaryChange"))
            .answers("200", "dry_run：会保存的内容与评估", &change())
            .answers("201", "已保存；地址在 Location", &change())
            .errors(&["400", "401", "403", "408", "409", "413", "415", "503"])
            .within_time();
    paths.insert("/boundary-changes".into(), json!({"get": all.0, "post": create.0}));
    let get =
        secured("get_boundary_change", "一个调区扩区：面积、区块、办理过程；GeoJSON 为拟议界线，可改后用 PUT 交回")
            .parameters(vec![id(), form(&["json", "geojson"])])
            .answers("200", "调区扩区", &[(JSON, reference("BoundaryChange")), (GEOJSON, json!({"type": "object"}))])
            .errors(&["400", "401", "403", "404"]);
    let replace = secured("replace_boundary_change", "修改方案：只在“提出”状态")
        .parameters(vec![id(), dry_run(), if_match(), idempotency_key()])
        .field("requestBody", body("NewBoundaryChange"))
        .answers("200", "现状", &change())
        .errors(&["400", "401", "403", "404", "408", "409", "412", "413", "415", "428", "503"])
        .within_time();
    paths.insert("/boundary-changes/{id}".into(), json!({"get": get.0, "put": replace.0}));
    let assessment = secured(
        "get_boundary_assessment",
        "评估：调出、新扩入的土地与地块、地类、坐标四至、四至建议、冲突；以登记库现状为准，已批准的以批准前的登记库为准",
    )
    .parameters(vec![id(), form(&["json", "geojson", "html"])])
    .answers(
        "200",
        "评估",
        &[
            (JSON, reference("BoundaryAssessment")),
            (GEOJSON, json!({"type": "object"})),
            ("text/html", json!({"type": "string"})),
        ],
    )
    .errors(&["400", "401", "403", "404", "503"])
    .within_time();
    paths.insert("/boundary-changes/{id}/assessment".into(), assessment.get());
    let transition = secured(
        "create_boundary_transition",
        "办理下一步：联合审查、公示（5 个工作日）、批准、不予批准、撤回、退回；批准时改写登记库（编辑人员）",
    )
    .parameters(vec![id(), dry_run(), if_match(), idempotency_key()])
    .field("requestBody", json!({"required": true, "content": {JSON: {"schema": reference("NewBoundaryStep")}}}))
    .answers("200", "现状", &change())
    .errors(&["400", "401", "403", "404", "408", "409", "412", "415", "428", "503"])
    .within_time();
    paths.insert("/boundary-changes/{id}/transitions".into(), transition.post());
}

fn states() -> Value {
    json!({"type": "string", "enum": State::ALL.map(State::as_str)})
}

/// A state as a step may name it.
fn states_wanted() -> Value {
    let words: Vec<&str> = State::ALL.into_iter().flat_map(|state| [state.as_str(), state.label()]).collect();
    json!({"type": "string", "title": "下一步的状态：代码或中文名称", "enum": words})
}

fn day() -> Value {
    json!({"type": "string", "format": "date"})
}

fn day_or_null() -> Value {
    json!({"type": "string", "format": "date", "nullable": true})
}

fn free(title: &str) -> Value {
    json!({"type": "object", "title": title})
}

fn new_schemas() -> Schemas {
    let hectares = |title: &str| {
        let text = json!({"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,4})?$"});
        json!({"title": title, "anyOf": [{"type": "number", "minimum": 0}, text]})
    };
    let area = json!({
        "type": "object", "title": "文件所列面积，公顷，至多四位小数；调整前 − 调出 + 新扩入 = 调整后",
        "properties": {
            "before_ha": hectares("调整前；不给时为核准面积"), "out_ha": hectares("调出"), "in_ha": hectares("新扩入"), "after_ha": hectares("调整后"),
        },
        "required": ["out_ha", "in_ha", "after_ha"], "additionalProperties": false,
    });
    let block = json!({
        "number": text("区块编号"), "name": text_or_null("名称"), "stated_area_ha": hectares("文件所列面积"),
        "east": text_or_null("东至"), "south": text_or_null("南至"), "west": text_or_null("西至"), "north": text_or_null("北至"),
        "four_extents": text_or_null("四至全文"), "surveyed": yes_or_no("界线为实测；否则示意区块仍为示意"),
    });
    let feature = json!({
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": ["Feature"]}, "geometry": {"type": "object", "title": "Polygon 或 MultiPolygon，经度在前"},
            "properties": object(&["number", "stated_area_ha"], block),
        },
        "required": ["type", "geometry", "properties"],
    });
    let landmark = json!({
        "type": "object", "properties": {"name": text("名称"), "geometry": {"type": "object", "title": "Point 或 LineString"}},
        "required": ["name", "geometry"], "additionalProperties": false,
    });
    let new = json!({
        "type": {"type": "string", "enum": ["FeatureCollection"]}, "park": text("园区代码；修改方案时不给"), "title": text("标题"),
        "reason": text_or_null("理由"), "proposed_on": day(), "area": area,
        "features": {"type": "array", "items": feature, "minItems": 1, "maxItems": MOST_BLOCKS,
            "title": format!("调整后的全部区块，至多 {MOST_VERTICES} 个顶点")},
        "landmarks": {"type": "array", "items": landmark, "maxItems": MOST_LANDMARKS, "title": "周围的地物，用于四至建议"},
        "seen_revision": whole("修改方案时代替 If-Match：取得该方案时的修订"),
    });
    let step = json!({
        "to": states_wanted(), "on": day(), "effective_on": day(), "document_no": text_or_null("文号；批准、不予批准必填"),
        "document_title": text_or_null("文件标题"), "note": text_or_null("说明；不予批准、撤回、退回必填"),
        "assessed_revision": whole("所看评估的修订：现有区块在方案之后又有修改时，批准要写明"),
        "seen_revision": whole("代替 If-Match：取得时的修订"),
    });
    vec![("NewBoundaryChange", object(&["title", "area", "features"], new)), ("NewBoundaryStep", object(&["to"], step))]
}

pub fn schemas() -> Schemas {
    let area = json!({
        "before_ha": number("调整前，公顷"), "out_ha": number("调出"), "in_ha": number("新扩入"), "after_ha": number("调整后"),
        "text": text("算式，各项为文件的位数"),
    });
    let named = json!({"code": states(), "label": text("名称")});
    let change = json!({
        "id": text_or_null("编号；dry_run 时没有"), "park": free("园区代码和名称"), "prefecture_code": text("市州"),
        "title": text("标题"), "reason": text_or_null("理由"),
        "kind": {"type": "string", "enum": ["extended", "adjusted", "adjusted_and_extended"]}, "kind_label": text("扩区、调区、调区扩区"),
        "state": states(), "state_label": text("状态"), "state_on": day(), "allowed": list(object(&["code", "label"], named)),
        "area": object(&["before_ha", "out_ha", "in_ha", "after_ha", "text"], area.clone()),
        "notice_from": day_or_null(), "notice_until": {"type": "string", "format": "date", "nullable": true,
            "title": format!("公示最后一天：自公布次日起第 {NOTICE_WORKING_DAYS} 个工作日")},
        "effective_on": day_or_null(), "base_revision": whole("方案依据的登记库修订"), "actor": text("提出人"),
        "revision": {"type": "integer", "nullable": true, "title": "写下现状的修订；dry_run 时没有"},
        "blocks": list(free("拟议区块：编号、名称、文件面积、计算面积、四至")), "landmarks": list(free("地物")),
        "steps": list(free("办理过程：状态、日期、文件、说明、经办人")), "dry_run": yes_or_no("没有写入"),
        "warnings": list(reference("Finding")), "assessment": reference("BoundaryAssessment"), "links": list(reference("Link")),
    });
    let measured = || json!({"type": "object", "title": "m2（椭球面积，不舍入）、ha、mu"});
    let computed = json!({
        "before": measured(), "out": measured(), "in": measured(), "after": measured(),
        "closing_m2": number("before − out + in − after：界线被切开处公式之差"),
        "out_by_block": list(free("各区块调出")), "in_by_block": list(free("各区块新扩入")),
    });
    let assessment = json!({
        "change": text("编号"), "park": free("园区代码和名称"), "revision": whole("评估依据的登记库修订"), "on": day(),
        "kind": text_or_null("类型"), "kind_label": text_or_null("类型名称"),
        "stated": object(&["before_ha", "out_ha", "in_ha", "after_ha", "text"], area),
        "computed": object(&["before", "out", "in", "after", "closing_m2"], computed),
        "blocks": list(free("各区块文件面积与计算面积")),
        "land_classes": free("out、in 各按台账、地类；no_parcel 为不在任何地块内的土地（null 时 no_parcel_unknown 说明原因），in_several_m2 为计入不止一宗的土地"),
        "parcels": free("matched、counts、list：每宗调出、新扩入多少，整宗或部分，原在、现在园区的占比"),
        "extremes": free("坐标四至：before、after 与各区块"),
        "four_extents": list(free("各区块四至建议：每侧的候选，有距离、方位、是否示意 (illustrative)、是否横穿界线 (crossing)，和建议的文字")),
        "conflicts": free("冲突：revision、layers、complete、by_weight、list，与重叠检查的结果相同"),
        "findings": list(reference("Finding")), "links": list(reference("Link")),
    });
    let mut schemas = new_schemas();
    schemas.extend([
        (
            "BoundaryChange",
            object(&["id", "park", "title", "kind", "state", "area", "allowed", "revision", "links"], change),
        ),
        (
            "BoundaryChangeList",
            object(
                &["changes", "numberReturned", "links"],
                json!({"numberReturned": whole("条数"), "changes": list(reference("BoundaryChange")), "links": list(reference("Link"))}),
            ),
        ),
        (
            "BoundaryAssessment",
            object(
                &["park", "revision", "stated", "computed", "land_classes", "parcels", "extremes", "four_extents", "conflicts", "findings"],
                assessment,
            ),
        ),
    ]);
    schemas
}
