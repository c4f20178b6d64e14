//! The part of the OpenAPI document about the attachments of a ledger's record.

use serde_json::{Map, Value, json};

use super::openapi::{JSON, Operation, query, segment, text_parameter};
use super::openapi_ledgers::{add, id, idempotency_key, json_alone, operation};
use super::openapi_schemas::{Schemas, list, object, reference, text, text_or_null, whole};
use crate::domain::attachment::{AttachmentKind, MOST_STANDING, MediaType};
use crate::domain::layer::Layer;

/// Addresses of the attachments of a ledger's records.
pub fn paths(paths: &mut Map<String, Value>, layer: &Layer, item: &str) {
    let all = format!("{item}/attachments");
    add(paths, &all, vec![("get", list_all(layer)), ("post", create(layer))]);
    add(paths, &format!("{all}/{{attachmentId}}"), vec![("get", get(layer)), ("delete", remove(layer))]);
}

fn removed(title: &str) -> Value {
    query("removed", title, json!({"type": "boolean"}))
}

fn number() -> Value {
    segment("attachmentId", "附件编号", "1")
}

fn list_all(layer: &Layer) -> Operation {
    let parameters = vec![id(layer), removed("连同已移除的"), json_alone()];
    operation(layer, "list_attachments", "一条记录的附件", parameters)
        .answers("200", "附件，先加的在前", &[(JSON, reference("Attachments"))])
        .errors(&["400", "401", "403", "404"])
}

fn create(layer: &Layer) -> Operation {
    let types = MediaType::ALL.map(MediaType::label).join("、");
    let body = json!({
        "required": true,
        "description": format!("{types}；按内容辨认，超过上限时 413 的 detail 说明上限；一条记录至多 {MOST_STANDING} 个"),
        "content": {"multipart/form-data": {"schema": reference("AttachmentForm")}},
    });
    operation(layer, "create_attachment", "加一个附件，成为一个修订", vec![id(layer), idempotency_key()])
        .field("requestBody", body)
        .answers("201", "附件；地址在 Location", &[(JSON, reference("Attachment"))])
        .errors(&["400", "401", "403", "404", "408", "409", "413", "415", "507"])
}

fn get(layer: &Layer) -> Operation {
    let range = json!({
        "name": "Range", "in": "header", "required": false, "description": "一段字节；多段时发全部", "schema": {"type": "string"},
        "example": "bytes=0-1023",
    });
    let file = json!({"type": "string", "format": "binary"});
    let content: Vec<(&str, Value)> = MediaType::ALL.map(|kind| (kind.as_str(), file.clone())).to_vec();
    let parameters = vec![id(layer), number(), removed("也取已移除的（编辑人员）"), range];
    operation(layer, "get_attachment", "附件的内容", parameters)
        .answers("200", "原来的字节；ETag 是内容的 SHA-256", &content)
        .answers("206", "其中一段", &content)
        .errors(&["400", "401", "403", "404", "416", "503"])
}

fn remove(layer: &Layer) -> Operation {
    let parameters = vec![id(layer), number(), text_parameter("reason", "为何移除"), idempotency_key()];
    operation(layer, "remove_attachment", "移除一个附件；沿革和内容仍保留", parameters)
        .response("204", json!({"description": "已移除"}))
        .errors(&["400", "401", "403", "404", "409"])
}

/// The form, an attachment, a list of them.
pub fn schemas() -> Schemas {
    let codes: Vec<&str> = AttachmentKind::ALL.iter().map(|kind| kind.code()).collect();
    let meaning = AttachmentKind::ALL.map(|kind| format!("{} {}", kind.code(), kind.label())).join("，");
    let form = json!({
        "file": {"type": "string", "format": "binary", "title": "文件，带文件名"},
        "kind": {"type": "string", "enum": codes, "title": format!("类别：{meaning}；也可写中文")},
        "note": text("说明，不超过 500 字"),
    });
    let kind = object(&["code", "label"], json!({"code": text("代码"), "label": text("类别")}));
    let moment = json!({"type": "string", "format": "date-time", "title": "时间（UTC）"});
    let added = json!({"by": text("操作人"), "at": moment, "revision": whole("修订号")});
    let mut removed = json!({"type": "object", "nullable": true, "title": "何时、由谁、为何移除；没有移除时为 null", "properties": added.clone()});
    removed["properties"]["reason"] = text_or_null("原因");
    let types: Vec<&str> = MediaType::ALL.iter().map(|kind| kind.as_str()).collect();
    let one = json!({
        "id": whole("附件编号"), "kind": kind, "file_name": text("文件名"), "note": text_or_null("说明"),
        "media_type": {"type": "string", "enum": types, "title": "按内容辨认的类型"},
        "size_bytes": whole("字节数"), "sha256": text("内容的 SHA-256"),
        "added": object(&["by", "at", "revision"], added), "removed": removed, "links": list(reference("Link")),
    });
    let all = json!({
        "record": text("记录标识"), "numberReturned": whole("附件数"), "attachments": list(reference("Attachment")),
        "links": list(reference("Link")),
    });
    let always = ["id", "kind", "file_name", "note", "media_type", "size_bytes", "sha256", "added", "removed", "links"];
    vec![
        ("AttachmentForm", object(&["file", "kind"], form)),
        ("Attachment", object(&always, one)),
        ("Attachments", object(&["record", "numberReturned", "attachments", "links"], all)),
    ]
}
