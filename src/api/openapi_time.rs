//! The part of the OpenAPI document about time: history, changes, streams.

use serde_json::{Map, Value, json};

use super::openapi::{
    JSON, Operation, example_of, form_parameter, json_or_page, limit_parameter, query, segment, text_parameter,
};
use super::openapi_schemas::{Schemas, day, list, number, object, one_of, or_null, reference, text, whole, yes_or_no};
use crate::domain::layer::Layer;

/// History and changes of a layer.
pub fn paths(paths: &mut Map<String, Value>, layer: &Layer, url: &str) {
    let (id, title) = (layer.id, layer.title.zh);
    let operation =
        |handler: &str, what: &str| Operation::new(format!("{handler}_{id}"), "layers", format!("{title}：{what}"));
    let number = |minimum: i64| json!({"type": "integer", "format": "int64", "minimum": minimum});
    let history = operation("list_history", "一个要素的沿革：何人、何时、为何、改了什么，新的在前")
        .parameters(vec![
            segment("featureId", "要素标识", example_of(layer)),
            limit_parameter(),
            query("before", "只列编号更小的修订", number(0)),
            form_parameter(),
        ])
        .answers("200", "一页修订", &json_or_page("History"))
        .errors(&["400", "404", "406"])
        .tries(&[&format!("{url}/items/{}/history", example_of(layer))]);
    paths.insert(format!("{url}/items/{{featureId}}/history"), history.get());
    let since = || {
        let mut parameter = query("since", "已有数据的修订号，见 Sizhi-Revision 响应头；从头开始用 0", number(0));
        parameter["example"] = json!(0);
        parameter
    };
    let mut needed = since();
    needed["required"] = json!(true);
    let changes = operation("list_changes", "某一修订之后的变更，每个要素一条，取其最新状态")
        .parameters(vec![needed, limit_parameter(), text_parameter("cursor", "接着上一页，见 next 链接；不要自己拼写")])
        .answers("200", "一页变更", &[(JSON, reference("Changes"))])
        .errors(&["400", "503"])
        .tries(&[&format!("{url}/changes?since=0&limit=5")]);
    paths.insert(format!("{url}/changes"), changes.get());
    let stream = operation("stream_changes", "变更推送（SSE）；断开后带 Last-Event-ID 重连，不漏不重")
        .parameters(vec![since()])
        .answers(
            "200",
            "事件 change 的 data 与 changes 的一页相同；没有变更时 current 报告读到哪里",
            &[("text/event-stream", event())],
        )
        .errors(&["400", "503"]);
    paths.insert(format!("{url}/changes/stream"), stream.get());
}

/// One event of the stream, as readers of the description take the schema of `text/event-stream`; OpenAPI 3.0 has no word for the whole.
fn event() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "断开后放进 Last-Event-ID"},
            "event": {"type": "string", "enum": ["change", "current"]},
            "data": {"type": "string", "description": "changes 的一页，JSON 文本"},
        },
    })
}

/// `History` and `Changes`.
pub fn schemas() -> Schemas {
    let moment = || json!({"type": "string", "format": "date-time"});
    let row = json!({
        "table": text("表"),
        "title": text("表的名称"),
        "id": text("行的标识"),
        "valid_from": day("生效日期"),
        "operation": one_of("操作", &["insert", "update", "delete"]),
    });
    // Before and after have the types of their property, or are null.
    let value = || {
        json!({"anyOf": [
            {"type": "string", "nullable": true}, {"type": "number"}, {"type": "boolean"}, list(json!({"type": "string"})),
        ]})
    };
    let property = json!({"name": text("属性"), "title": text("名称与单位"), "before": value(), "after": value()});
    let difference = json!({
        "type": "object", "nullable": true, "title": "图形的变化；没有变化时为 null",
        "properties": {
            "before_m2": number("原面积"), "after_m2": number("新面积"),
            "added_m2": number("增加的面积"), "removed_m2": number("减少的面积"),
            "added": or_null("MultiPolygon"), "removed": or_null("MultiPolygon"),
            "omitted": one_of("没有给出图形的原因", &["too_complex", "generalised"]),
        },
    });
    let revision = json!({
        "revision": whole("修订号"), "made_at": moment(), "actor": text("何人"), "reason": text("为何"), "source": text("从何而来"),
        "operation": one_of("操作", &["added", "changed", "removed"]),
        "rows": list(object(&["table", "id", "operation"], row)),
        "properties": list(object(&["name", "before", "after"], property)),
        "geometry": difference,
        "links": list(reference("Link")),
    });
    let history = json!({
        "collection": text("图层"), "id": text("要素标识"),
        "numberMatched": whole("修订总数"), "numberReturned": whole("本页的数目"),
        "revisions": list(object(&["revision", "made_at", "actor", "operation", "properties", "geometry"], revision)),
        "links": list(reference("Link")),
    });
    let change = json!({
        "revision": whole("最后改动它的修订"), "made_at": moment(), "operation": one_of("操作", &["added", "changed", "removed"]),
        "id": text("要素标识"), "valid_from": day("生效日期"), "feature": or_null("Feature"),
    });
    let changes = json!({
        "generalisation": reference("Generalisation"),
        "since": whole("从哪个修订之后"), "until": whole("到哪个修订为止"),
        "more": yes_or_no("还有下一页；读完才是 until 的状态"), "numberReturned": whole("本页的数目"),
        "changes": list(object(&["revision", "operation", "id", "feature"], change)),
        "links": list(reference("Link")),
    });
    vec![
        ("History", object(&["collection", "id", "revisions", "links"], history)),
        ("Changes", object(&["since", "until", "more", "changes", "links"], changes)),
    ]
}
