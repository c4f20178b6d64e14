//! The part of the OpenAPI document about the kinds of control lines, and the withdrawal of a zone.

use serde_json::{Map, Value, json};

use super::openapi::{JSON, Operation, query, revision_parameter, segment, text_parameter};
use super::openapi_access::security;
use super::openapi_criteria::{idempotency_key, if_match, if_none_match, json_alone};
use super::openapi_schemas::{Schemas, layer_reference, list, object, reference, text, text_or_null, whole, yes_or_no};
use crate::domain::control_zone::Effect;
use crate::domain::overlap_check::Weight;
use crate::layers::declaration::CONTROL_ZONES;

/// What `tags` says of them.
pub const TAG: (&str, &str) = ("control-zones", "管控类型（查询人员可看，管理员维护）和管控区域的移除（编辑人员）");

/// `/control-zone-kinds` and one of them.
pub fn paths(paths: &mut Map<String, Value>) {
    let all = operation("list_zone_kinds", "有哪些管控类型，各起什么作用")
        .parameters(vec![revision_parameter(), json_alone()])
        .answers("200", "全部管控类型", &[(JSON, reference("ZoneKindList"))])
        .errors(&["400", "401", "403"]);
    paths.insert("/control-zone-kinds".into(), all.get());
    let of_kind = [(JSON, reference("ZoneKind"))];
    let read = operation("get_zone_kind", "一个管控类型；ETag 中有它的版本")
        .parameters(vec![code(), revision_parameter(), json_alone()])
        .answers("200", "管控类型", &of_kind)
        .errors(&["400", "401", "403", "404"]);
    let body = json!({"required": true, "content": {JSON: {"schema": reference("EditZoneKind")}}});
    let stale = json!({
        "description": "取得之后又有变动，或已经存在；current 是现在的内容",
        "content": {"application/problem+json": {"schema": reference("Problem")}},
    });
    let put = operation("put_zone_kind", "设定一个管控类型；请求带 If-Match，新增的带 If-None-Match: *")
        .parameters(vec![code(), if_match(), if_none_match(), idempotency_key()])
        .field("requestBody", body)
        .answers("200", "设定后的管控类型", &of_kind)
        .answers("201", "新增的管控类型；地址在 Location", &of_kind)
        .errors(&["400", "401", "403", "404", "409", "413", "415", "428"])
        .response("412", stale.clone());
    let end = operation("end_zone_kind", "删除设定：自带的类型恢复原样，另增的类型不再存在")
        .parameters(vec![code(), if_match(), idempotency_key()])
        .response("204", json!({"description": "已删除"}))
        .errors(&["400", "401", "403", "404", "409", "428"])
        .response("412", stale);
    paths.insert("/control-zone-kinds/{code}".into(), json!({"get": read.0, "put": put.0, "delete": end.0}));
    zone_path(paths);
}

/// `/control-zones/{id}`.
fn zone_path(paths: &mut Map<String, Value>) {
    let id = || segment("id", "管控区域标识：类型代码、连字符、编号", "ecological_red_line-R1");
    let read = operation("get_zone", "一个管控区域，与图层中的要素相同；ETag 中有它的版本")
        .parameters(vec![id(), json_alone()])
        .answers("200", "管控区域", &[("application/geo+json", layer_reference(&CONTROL_ZONES))])
        .errors(&["400", "401", "403", "404"]);
    let stale = json!({
        "description": "取得之后又有变动；current 是现在的管控区域",
        "content": {"application/problem+json": {"schema": reference("Problem")}},
    });
    let dry_run = query("dry_run", "只核对，不写入", json!({"type": "boolean", "default": false}));
    let parameters = vec![id(), text_parameter("reason", "为何移除"), dry_run, if_match(), idempotency_key()];
    let what = "移除一个管控区域；按修订和沿革仍可查到，可用 /revisions/{number}/undo 撤销";
    let withdraw = operation("withdraw_zone", what)
        .parameters(parameters)
        .answers("200", "dry_run：可以移除", &[(JSON, reference("ZoneWithdrawal"))])
        .response("204", json!({"description": "已移除；修订号在 Sizhi-Revision"}))
        .errors(&["400", "401", "403", "404", "409", "428"])
        .response("412", stale);
    paths.insert("/control-zones/{id}".into(), json!({"get": read.0, "delete": withdraw.0}));
}

fn operation(id: &str, what: &str) -> Operation {
    Operation::new(id, TAG.0, what).field("security", security())
}

fn code() -> Value {
    segment("code", "管控类型代码", "development_boundary")
}

/// Kinds and their list.
pub fn schemas() -> Schemas {
    let weight = |title: &str| json!({"type": "string", "title": title, "enum": Weight::ALL.iter().map(|w| w.as_str()).collect::<Vec<_>>()});
    let edit = json!({
        "name": text("名称"), "name_en": text("英文名称"),
        "effect": {"type": "string", "title": "管控方式：避让、应在界内、告知管控要求", "enum": Effect::ALL.map(Effect::as_str)},
        "park_weight": weight("园区边界与之冲突时的等级"), "parcel_weight": weight("地块与之冲突时的等级"),
        "rule": text("管控要求"), "document": text("依据"),
    });
    let mut kind = edit.clone();
    let told = json!({
        "code": text("代码"), "effect_label": text("管控方式"), "is_default": yes_or_no("程序自带"),
        "source": text_or_null("设定它的请求；没有设定过为空 (null)"), "version": whole("版本，即 ETag 中 v 之后的数；没有设定过为 0"),
    });
    if let (Some(kind), Some(told)) = (kind.as_object_mut(), told.as_object()) {
        kind.extend(told.clone());
    }
    let mut listed = kind.clone();
    listed["href"] = text("地址");
    kind["links"] = list(reference("Link"));
    let needed = [
        "code",
        "name",
        "name_en",
        "effect",
        "park_weight",
        "parcel_weight",
        "rule",
        "document",
        "is_default",
        "version",
    ];
    let withdrawal = json!({
        "withdrawn": text("标识"), "dry_run": yes_or_no("只核对"),
        "revision": {"type": "integer", "nullable": true, "title": "写下的修订；只核对时没有"},
    });
    vec![
        ("ZoneWithdrawal", object(&["withdrawn", "revision", "dry_run"], withdrawal)),
        ("ZoneKind", object(&needed, kind)),
        ("EditZoneKind", object(&["name", "name_en", "effect", "park_weight", "parcel_weight"], edit)),
        (
            "ZoneKindList",
            object(
                &["numberReturned", "kinds", "links"],
                json!({"numberReturned": whole("个数"), "kinds": list(object(&needed, listed)), "links": list(reference("Link"))}),
            ),
        ),
    ]
}
