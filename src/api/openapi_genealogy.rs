//! The part of the OpenAPI document about splits, merges and lineage.

use serde_json::{Map, Value, json};

use super::openapi::{JSON, Operation, query};
use super::openapi_ledgers::{REFUSED, add, allow_of, id, idempotency_key, if_match, json_alone, operation};
use super::openapi_schemas::{Schemas, day, list, number, object, reference, text, text_or_null, whole, yes_or_no};
use crate::domain::Ledger;
use crate::domain::layer::Layer;
use crate::domain::ledger::MAX_RELATIVES;
use crate::inventory::ledgers::ALLOWABLE;

/// What a ledger has beside the edits of single records.
pub fn paths(paths: &mut Map<String, Value>, layer: &Layer, url: &str) {
    let Some(ledger) = Ledger::of_layer(layer.id) else { return };
    if ledger == Ledger::Plan {
        return;
    }
    let item = format!("{url}/items/{{featureId}}");
    add(paths, &format!("{item}/split"), vec![("post", split(layer))]);
    add(paths, &format!("{item}/lineage"), vec![("get", lineage(layer))]);
    add(paths, &format!("{url}/merge"), vec![("post", merge(layer))]);
}

fn dry_run() -> Value {
    query("dry_run", "只核对，不写入", json!({"type": "boolean", "default": false}))
}

fn allow() -> Value {
    allow_of(&ALLOWABLE)
}

fn deed(operation: Operation, body: &str) -> Operation {
    operation.field("requestBody", json!({"required": true, "content": {JSON: {"schema": reference(body)}}}))
}

fn family(operation: Operation) -> Operation {
    operation
        .answers("200", "dry_run：会写入的内容", &[(JSON, reference("Family"))])
        .answers("201", "已写入；来源与去向的地址在 Location", &[(JSON, reference("Family"))])
        .errors(&REFUSED)
}

fn split(layer: &Layer) -> Operation {
    let parameters = vec![id(layer), allow(), dry_run(), if_match(), idempotency_key()];
    let what = "分割地块：原地块终止，新地块承接状态和属性，来源与去向可查";
    family(deed(operation(layer, "split_item", what, parameters), "NewSplit"))
}

fn merge(layer: &Layer) -> Operation {
    let what = "合并地块：原地块终止，新地块承接状态和相同的属性，来源与去向可查";
    family(deed(operation(layer, "merge_items", what, vec![allow(), dry_run(), idempotency_key()]), "NewMerge"))
}

fn lineage(layer: &Layer) -> Operation {
    operation(layer, "get_lineage", "地块的来源与去向：由哪些地块而来，变成了哪些地块", vec![id(layer), json_alone()])
        .answers("200", "先代由近及远，后代由先到后", &[(JSON, reference("Lineage"))])
        .errors(&["400", "401", "403", "404"])
}

pub fn schemas() -> Schemas {
    let paper = || {
        json!({
            "effective_on": {"type": "string", "format": "date", "title": "日期；不给时为今天"},
            "document_no": text("文号"), "reason": text("原因"),
        })
    };
    let seen = "所选记录取自哪一修订：查询应答的 Sizhi-Revision";
    let part = json!({"type": "object", "title": "要素：number、geometry，以及与原地块不同的属性"});
    let mut split = paper();
    split["parts"] = json!({"type": "array", "minItems": 2, "maxItems": MAX_RELATIVES, "items": part});
    let mut merge = paper();
    merge["from"] = json!({"type": "array", "title": "原地块的标识", "minItems": 2, "maxItems": MAX_RELATIVES, "items": {"type": "string"}});
    merge["seen_revision"] = whole(seen);
    merge["into"] = json!({"type": "object", "title": "要素：number，以及要写明的属性；不给 geometry 时取原地块之并"});
    let line = json!({
        "parent": text("原地块"), "child": text("新地块"),
        "kind": {"type": "string", "enum": ["split", "merge"], "title": "分割、合并"},
        "effective_on": day("日期"), "common_area_m2": number("二者共有的土地，平方米"),
        "document_no": text_or_null("文号"), "reason": text_or_null("原因"), "actor": text("操作人"), "revision": whole("修订"),
    });
    let line =
        || object(&["parent", "child", "kind", "effective_on", "common_area_m2", "actor", "revision"], line.clone());
    let left = json!({"name": text("属性"), "title": text("名称"), "values": {"type": "array", "title": "各原地块的值", "items": {}}});
    let revision = || json!({"type": "integer", "nullable": true, "title": "写入的修订；没有写入时为 null"});
    let family = json!({
        "kind": {"type": "string", "enum": ["split", "merge"]}, "kind_label": text("分割、合并"), "effective_on": day("日期"),
        "dry_run": yes_or_no("只核对"), "revision": revision(), "lineage": list(line()),
        "not_inherited": list(object(&["name", "title", "values"], left)),
        "warnings": list(reference("Finding")), "links": list(reference("Link")),
    });
    let relative = json!({
        "id": text("标识"), "name": text_or_null("名称"), "state": text("状态代码"), "state_label": text("状态"),
        "computed_area_m2": number("椭球面积，平方米"), "valid_from": day("何时起"), "valid_to": day("何时止"),
        "end_reason": text_or_null("为何终止：split、merged、ended"),
    });
    let lineage = json!({
        "id": text("标识"), "complete": yes_or_no("没有因条数限制而略去"), "ancestors": list(line()), "descendants": list(line()),
        "parcels": list(object(&["id", "state", "computed_area_m2"], relative)), "links": list(reference("Link")),
    });
    vec![
        ("NewSplit", object(&["parts"], split)),
        ("NewMerge", object(&["from", "into", "seen_revision"], merge)),
        (
            "Family",
            object(
                &["kind", "effective_on", "dry_run", "revision", "lineage", "not_inherited", "warnings", "links"],
                family,
            ),
        ),
        ("Lineage", object(&["id", "complete", "ancestors", "descendants", "parcels", "links"], lineage)),
    ]
}
