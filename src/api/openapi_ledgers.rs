//! The part of the OpenAPI document about the ledgers: edits of single records, moves between states, steps of a plan, the way back.

use serde_json::{Map, Value, json};

use super::collections::property_schema;
use super::openapi::{GEOJSON, JSON, Operation, example_of, query, segment, text_parameter};
use super::openapi_access::security;
use super::openapi_attachments;
use super::openapi_schemas::{
    Schemas, day, layer_reference, list, object, reference, text, text_or_null, whole, yes_or_no,
};
use crate::domain::Ledger;
use crate::domain::layer::Layer;
use crate::inventory::import::ALLOWABLE_IN_LEDGERS;
use crate::inventory::ledgers::MAX_SELECTED;

/// What a write may be answered with beside its success.
pub(super) const REFUSED: [&str; 9] = ["400", "401", "403", "404", "409", "412", "413", "415", "428"];

/// Properties that a client writes beside the ledger's fields; the rest is told by the register.
const WRITTEN: [&str; 9] =
    ["name", "number", "county_code", "parcel_id", "state", "held_state", "state_on", "stated_area_m2", "stated_park"];

/// Edits of a ledger's records, beside the reads that are there already.
pub fn paths(paths: &mut Map<String, Value>, layer: &Layer, url: &str) {
    let Some(ledger) = Ledger::of_layer(layer.id) else { return };
    let items = format!("{url}/items");
    let item = format!("{items}/{{featureId}}");
    let (create, [replace, update, end]) = (create(layer), edits(layer));
    add(paths, &items, vec![("post", create)]);
    add(paths, &item, vec![("put", replace), ("patch", update), ("delete", end)]);
    add(paths, &format!("{item}/transitions"), transitions(layer));
    add(paths, &format!("{url}/transitions"), vec![("post", bulk_transitions(layer))]);
    if ledger == Ledger::Plan {
        add(paths, &format!("{item}/steps"), steps(layer));
    }
    openapi_attachments::paths(paths, layer, &item);
}

pub(super) fn add(paths: &mut Map<String, Value>, path: &str, operations: Vec<(&str, Operation)>) {
    let entry = paths.entry(path).or_insert_with(|| json!({}));
    for (method, operation) in operations {
        entry[method] = Value::Object(operation.0);
    }
}

pub(super) fn operation(layer: &Layer, handler: &str, what: &str, parameters: Vec<Value>) -> Operation {
    Operation::new(format!("{handler}_{}", layer.id), "ledgers", format!("{}：{what}", layer.title.zh))
        .field("security", security())
        .parameters(parameters)
}

fn header(name: &str, title: &str, required: bool, example: &str) -> Value {
    json!({
        "name": name, "in": "header", "required": required, "description": title, "schema": {"type": "string"},
        "example": example,
    })
}

pub(super) fn if_match() -> Value {
    header(
        "If-Match",
        "取得该记录时的强 ETag，可列出几个；没有时 428，已被别人修改时 412",
        true,
        "\"v12-r17-0a1b2c3d-5e6f7a8b-0123456789abcdef\"",
    )
}

pub(super) fn idempotency_key() -> Value {
    let title = "客户端自定的请求标识，1 至 200 个 ASCII 字符；一天内重发同一请求不会再写一次";
    header("Idempotency-Key", title, false, "7f0c2c4e-5d0b-4a8e-9a53-2f6d1c0b7e11")
}

/// The system of a body.
fn content_crs() -> Value {
    let title = "图形的坐标系，坐标按该坐标系规定的顺序；应答也用它。不给时按 GeoJSON 为经度、纬度";
    header("Content-Crs", title, false, "<http://www.opengis.net/def/crs/EPSG/0/4526>")
}

pub(super) fn id(layer: &Layer) -> Value {
    segment("featureId", "记录标识", example_of(layer))
}

fn allow() -> Value {
    allow_of(&ALLOWABLE_IN_LEDGERS)
}

pub(super) fn allow_of(codes: &[&str]) -> Value {
    let words = json!({"type": "array", "items": {"type": "string", "enum": codes}});
    query("allow", "放行的错误代码，可重复或用逗号隔开", words)
}

/// The body of an edit, in the types that it may come in.
fn body(layer: &Layer, types: &[&str]) -> Value {
    let schema = reference(&edit_name(layer));
    let content: Map<String, Value> =
        types.iter().map(|kind| ((*kind).to_owned(), json!({"schema": schema}))).collect();
    json!({"required": true, "content": content})
}

fn stored(operation: Operation, status: &str, what: &str, layer: &Layer) -> Operation {
    operation.answers(status, what, &[(GEOJSON, layer_reference(layer))]).errors(&REFUSED)
}

fn create(layer: &Layer) -> Operation {
    let what = "登记一条记录；属性中写明 county_code 和 number";
    let create = operation(layer, "create_item", what, vec![allow(), content_crs(), idempotency_key()])
        .field("requestBody", body(layer, &[GEOJSON, JSON]));
    // The same request again, by its key.
    stored(create, "201", "登记后的记录；地址在 Location", layer)
}

fn edits(layer: &Layer) -> [Operation; 3] {
    let parameters = || vec![id(layer), allow(), content_crs(), if_match(), idempotency_key()];
    let replace = operation(layer, "replace_item", "整条改写；没有给出的属性清空", parameters())
        .field("requestBody", body(layer, &[GEOJSON, JSON]));
    let update = operation(layer, "update_item", "改动部分属性；没有给出的不变，null 表示清空", parameters())
        .field("requestBody", body(layer, &["application/merge-patch+json", GEOJSON, JSON]));
    let on = query("effective_on", "终止日期；不给时为今天", json!({"type": "string", "format": "date"}));
    let end = operation(
        layer,
        "end_item",
        "终止一条记录；按日期和沿革仍可查到",
        vec![id(layer), on, text_parameter("reason", "为何终止"), if_match(), idempotency_key()],
    )
    .response("204", json!({"description": "已终止"}))
    .errors(&REFUSED);
    [stored(replace, "200", "改写后的记录", layer), stored(update, "200", "改动后的记录", layer), end]
}

fn transitions(layer: &Layer) -> Vec<(&'static str, Operation)> {
    let read =
        operation(layer, "list_transitions", "状态变更的经过，以及现在可以变更为什么", vec![id(layer), json_alone()])
            .answers("200", "变更，先发生的在前", &[(JSON, reference("Transitions"))])
            .errors(&["400", "401", "403", "404"]);
    let create = operation(
        layer,
        "create_transition",
        "变更状态；不允许的变更 409",
        vec![id(layer), if_match(), idempotency_key()],
    )
    .field("requestBody", json!({"required": true, "content": {JSON: {"schema": reference("NewTransition")}}}));
    vec![("get", read), ("post", stored(create, "200", "变更后的记录", layer))]
}

fn bulk_transitions(layer: &Layer) -> Operation {
    let what = "批量变更状态；默认有一条不能变更就全部不变更（409，逐条说明）";
    operation(layer, "create_transitions", what, vec![idempotency_key()])
        .field("requestBody", json!({"required": true, "content": {JSON: {"schema": reference("NewTransitions")}}}))
        .answers("200", "逐条的结果", &[(JSON, reference("Verdicts"))])
        .errors(&REFUSED)
}

/// The way back.
pub fn undo(paths: &mut Map<String, Value>) {
    let summary = "撤销一次对台账的修改：恢复修改之前的内容，记为新的修订；导入请用 /imports/{id}/undo";
    let undo = Operation::new("undo_revision", "ledgers", summary)
        .field("security", security())
        .parameters(vec![segment("number", "修订号，即修改的应答中的 Sizhi-Revision", "12"), idempotency_key()])
        .field("requestBody", json!({"required": true, "content": {JSON: {"schema": reference("NewUndo")}}}))
        .answers("200", "已撤销；dry_run 时只是可以撤销", &[(JSON, reference("Undone"))])
        .errors(&["400", "401", "403", "404", "409", "413", "415"]);
    add(paths, "/revisions/{number}/undo", vec![("post", undo)]);
}

fn steps(layer: &Layer) -> Vec<(&'static str, Operation)> {
    let read = operation(layer, "list_steps", "方案的步骤", vec![id(layer), json_alone()])
        .answers("200", "步骤，按次序", &[(JSON, reference("PlanSteps"))])
        .errors(&["400", "401", "403", "404"]);
    let replace = operation(layer, "replace_steps", "改写全部步骤", vec![id(layer), if_match(), idempotency_key()])
        .field("requestBody", json!({"required": true, "content": {JSON: {"schema": reference("NewPlanSteps")}}}));
    vec![("get", read), ("put", stored(replace, "200", "方案", layer))]
}

/// `f` of an address that is JSON whatever it says.
pub(super) fn json_alone() -> Value {
    query("f", "表示形式", json!({"type": "string", "enum": ["json"]}))
}

fn edit_name(layer: &Layer) -> String {
    format!("Edit_{}", layer.id)
}

/// The feature of an edit: what a client writes of this layer.
pub fn edit_schema(layer: &Layer) -> Option<(String, Value)> {
    let ledger = Ledger::of_layer(layer.id)?;
    let is_written = |name: &str| WRITTEN.contains(&name) || ledger.field(name).is_some();
    let properties: Map<String, Value> = layer
        .properties
        .iter()
        .filter(|property| is_written(property.name))
        .map(|property| {
            let mut schema = property_schema(property);
            schema["nullable"] = json!(true);
            (property.name.to_owned(), schema)
        })
        .collect();
    let title = "要素；状态只在登记时给出，以后用 transitions 变更";
    let feature = json!({
        "type": {"type": "string", "enum": ["Feature"]},
        "geometry": {"type": "object", "nullable": true, "title": "面或多面；方案没有自己的图形"},
        "properties": {"type": "object", "title": title, "properties": properties},
    });
    Some((edit_name(layer), json!({"type": "object", "properties": feature})))
}

/// Moves, steps, and the answer to a stale version.
pub fn schemas() -> Schemas {
    let state = || object(&["code", "label"], json!({"code": text("代码"), "label": text("状态")}));
    let held = json!({"type": "object", "nullable": true, "title": "冻结、闲置等期间保留的原状态", "properties": {"code": text("代码"), "label": text("状态")}});
    let one = json!({
        "ordinal": whole("次序"), "from": state(), "to": state(),
        "effective_on": {"type": "string", "format": "date", "title": "变更日期"},
        "document_no": text_or_null("文号"), "reason": text_or_null("原因"), "actor": text("操作人"),
    });
    let all = json!({
        "id": text("记录标识"), "state": state(), "held_state": held, "state_on": day("何时起"),
        "allowed": list(state()),
        "transitions": list(object(&["ordinal", "from", "to", "effective_on", "actor"], one)),
        "links": list(reference("Link")),
    });
    let new = json!({
        "to": text("变更为：状态代码或中文名称"),
        "effective_on": {"type": "string", "format": "date", "title": "变更日期；不给时为今天"},
        "document_no": text("文号"), "reason": text("原因"),
    });
    let step =
        json!({"task": text("任务"), "due_on": day("期限"), "done_on": day("完成日期"), "note": text_or_null("备注")});
    let mut numbered = step.clone();
    numbered["ordinal"] = whole("次序，从 1 起");
    let told = json!({"plan": text("方案标识"), "steps": list(object(&["ordinal", "task"], numbered))});
    let stale = json!({
        "current_version": whole("现在的版本，即 ETag 中 v 之后的数"),
        "current": or_feature("现在的记录"),
        "submitted": {"type": "object", "title": "提交的内容"},
    });
    vec![
        ("NewTransition", object(&["to"], new)),
        ("Transitions", object(&["id", "state", "held_state", "allowed", "transitions", "links"], all)),
        ("NewPlanSteps", object(&["steps"], json!({"steps": list(object(&["task"], step))}))),
        ("PlanSteps", object(&["plan", "steps"], told)),
        ("StaleProblem", json!({"allOf": [reference("Problem"), {"type": "object", "properties": stale}]})),
    ]
}

/// One move for many records, and the way back.
pub fn bulk_schemas() -> Schemas {
    let revision = || json!({"type": "integer", "nullable": true, "title": "写入的修订；没有写入时为 null"});
    let mut moves = json!({
        "effective_on": {"type": "string", "format": "date", "title": "日期；不给时为今天"},
        "document_no": text("文号"), "reason": text("原因"),
    });
    moves["to"] = text("变更为：状态代码或中文名称");
    moves["ids"] = json!({"type": "array", "minItems": 1, "maxItems": MAX_SELECTED, "items": {"type": "string"}});
    moves["seen_revision"] = whole("所选记录取自哪一修订：查询应答的 Sizhi-Revision");
    moves["skip_refused"] = yes_or_no("只变更可以变更的；默认有一条不能就全部不变更");
    moves["dry_run"] = yes_or_no("只看逐条的结果，不写入");
    let verdict = json!({
        "id": text("标识"), "from": text_or_null("原状态代码"), "moves": yes_or_no("可以变更"), "finding": reference("Finding"),
    });
    let verdicts = json!({
        "to": object(&["code", "label"], json!({"code": text("代码"), "label": text("状态")})),
        "dry_run": yes_or_no("只核对"), "revision": revision(), "moving": whole("变更的条数"), "refused": whole("不能变更的条数"),
        "records": list(object(&["id", "from", "moves"], verdict)),
    });
    let undone = json!({"undone": whole("被撤销的修订"), "revision": revision(), "dry_run": yes_or_no("只核对")});
    vec![
        ("NewTransitions", object(&["to", "ids", "seen_revision"], moves)),
        ("Verdicts", object(&["to", "dry_run", "revision", "moving", "refused", "records"], verdicts)),
        ("NewUndo", object(&[], json!({"reason": text("原因"), "dry_run": yes_or_no("只核对能否撤销")}))),
        ("Undone", object(&["undone", "revision", "dry_run"], undone)),
    ]
}

fn or_feature(title: &str) -> Value {
    json!({"title": title, "allOf": [reference("Feature")]})
}
