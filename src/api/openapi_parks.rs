//! The part of the OpenAPI document about events of parks, their lineage, and directories.

use serde_json::{Map, Value, json};

use super::directories::forms;
use super::exports::media_type;
use super::openapi::{GEOJSON, JSON, Operation, form_parameter, query, revision_parameter, segment, text_parameter};
use super::openapi_access;
use super::openapi_ledgers::idempotency_key;
use super::openapi_schemas::{Schemas, day, list, number, object, reference, text, text_or_null, whole, yes_or_no};
use super::park_events::KINDS;
use crate::domain::export::ExportFormat;
use crate::domain::lifecycle::{EventKind, ParkStatus};
use crate::inventory::parks::{ALLOWABLE, MOST_PARKS};

/// What `tags` says of directories.
pub const TAG: (&str, &str) = ("directories", "园区名录的版本：发布、某日的名录、两份名录的差别");
const HTML: &str = "text/html";
/// What a write of parks is refused with.
const REFUSED: [&str; 11] = ["400", "401", "403", "404", "408", "409", "412", "413", "415", "428", "503"];

/// All paths of this part.
pub fn paths(paths: &mut Map<String, Value>) {
    paths.insert("/park-events".into(), create_event().post());
    let code = || segment("code", "园区代码", "G431176");
    let lineage =
        Operation::new("get_park_lineage", "parks", "园区的沿革图：由哪些园区而来，变成了哪些园区，经过哪些事件")
            .parameters(vec![code(), revision_parameter(), json_alone()])
            .answers("200", "园区为点，事件为边", &[(JSON, reference("ParkLineage"))])
            .errors(&["400", "404", "406"])
            .tries(&["/parks/G431176/lineage"]);
    paths.insert("/parks/{code}/lineage".into(), lineage.get());
    let predecessors =
        Operation::new("list_park_predecessors", "parks", "这个园区现在的范围，某日属于哪些园区：共有面积与占比")
            .parameters(vec![code(), needed(text_parameter("on", "日期（YYYY-MM-DD），不晚于今天")), json_alone()])
            .answers("200", "共有面积大的在前", &[(JSON, reference("ParkPredecessors"))])
            .errors(&["400", "404", "406", "409"])
            .tries(&["/parks/G431176/predecessors?on=2020-01-01"]);
    paths.insert("/parks/{code}/predecessors".into(), predecessors.get());
    directories(paths);
}

fn json_alone() -> Value {
    query("f", "表示形式", json!({"type": "string", "enum": ["json"]}))
}

fn needed(mut parameter: Value) -> Value {
    parameter["required"] = json!(true);
    parameter
}

fn create_event() -> Operation {
    let what = "园区设立、更名、升级、拆分、合并、撤销：一个事务，一个修订，区块、地块、未办结的调区扩区一并办理";
    Operation::new("create_park_event", "parks", what)
        .field("security", openapi_access::security())
        .parameters(vec![idempotency_key()])
        .field("requestBody", json!({"required": true, "content": {JSON: {"schema": reference("NewParkEvent")}}}))
        .answers("200", "dry_run：会写入的内容", &[(JSON, reference("ParkEventTold"))])
        .answers("201", "已写入；沿革的地址在 Location", &[(JSON, reference("ParkEventTold"))])
        .errors(&REFUSED)
}

fn directories(paths: &mut Map<String, Value>) {
    let page = || (HTML, json!({"type": "string"}));
    let form = || query("f", "表示形式；不给时按 Accept", json!({"type": "string", "enum": forms()}));
    let every = || {
        let file = json!({"type": "string", "format": "binary"});
        let collection =
            json!({"type": "object", "title": "要素集合：边界为名录日期的，随 Accept 与权限为概略轮廓或实测界线"});
        [(JSON, reference("Directory")), page(), (media_type(ExportFormat::Xlsx), file), (GEOJSON, collection)]
    };
    let all = Operation::new("list_directories", TAG.0, "已发布的名录，新的在前")
        .parameters(vec![form_parameter()])
        .answers("200", "名录", &[(JSON, reference("DirectoryList")), page()])
        .errors(&["400", "406"])
        .tries(&["/directories"]);
    let create = Operation::new("create_directory", TAG.0, "发布名录：登记库某日的园区，带文号，成为一个版本")
        .field("security", openapi_access::security())
        .parameters(vec![idempotency_key()])
        .field("requestBody", json!({"required": true, "content": {JSON: {"schema": reference("NewDirectory")}}}))
        .answers("200", "dry_run：会发布的内容", &[(JSON, reference("Directory"))])
        .answers("201", "已发布；地址在 Location", &[(JSON, reference("Directory"))])
        .errors(&["400", "401", "403", "408", "409", "413", "415", "503"]);
    paths.insert("/directories".into(), json!({"get": all.0, "post": create.0}));
    let of_day =
        Operation::new("get_directory_of_day", TAG.0, "某日的名录：当日的园区，当日的名称、面积、四至、主导产业")
            .parameters(vec![text_parameter("on", "日期（YYYY-MM-DD），不晚于今天；不给时为今天"), form()])
            .answers("200", "名录", &every())
            .errors(&["400", "406"])
            .tries(&["/directories/as-of?on=2020-01-01"]);
    paths.insert("/directories/as-of".into(), of_day.get());
    let side = |name: &str, what: &str, example: &str| {
        let told = format!("{what}：已发布名录的编号，或日期（YYYY-MM-DD）");
        let mut parameter = needed(text_parameter(name, &told));
        parameter["example"] = json!(example);
        parameter
    };
    let difference =
        Operation::new("get_directory_difference", TAG.0, "两份名录的差别：新增、不再列入及其去向、有变化的各项")
            .parameters(vec![side("from", "从", "cn-2018"), side("to", "到", "2026-01-01"), form_parameter()])
            .answers("200", "差别", &[(JSON, reference("DirectoryDifference")), page()])
            .errors(&["400", "404", "406"])
            .tries(&["/directories/difference?from=cn-2018&to=2026-01-01"]);
    paths.insert("/directories/difference".into(), difference.get());
    let one = Operation::new("get_directory", TAG.0, "一份已发布的名录：面积、四至、主导产业")
        .parameters(vec![segment("directory", "名录编号", "cn-2018"), form()])
        .answers("200", "名录", &every())
        .errors(&["400", "404", "406"])
        .tries(&["/directories/cn-2018"]);
    paths.insert("/directories/{directory}".into(), one.get());
}

fn hectares(title: &str) -> Value {
    json!({"type": "number", "nullable": true, "title": format!("{title}，公顷")})
}

fn texts(title: &str) -> Value {
    json!({"type": "array", "title": title, "items": {"type": "string"}})
}

fn one_of(title: &str, words: &[&str]) -> Value {
    json!({"type": "string", "title": title, "enum": words})
}

fn new_event() -> Value {
    let stated = json!({"type": "string", "title": "公顷，最多四位小数；也可以是数"});
    let kinds = KINDS.map(|(kind, _)| kind);
    let areas = json!({"before_ha": stated, "out_ha": stated, "in_ha": stated, "after_ha": stated});
    json!({
        "kind": one_of("事件", &kinds),
        "on": {"type": "string", "format": "date", "title": "从哪一天起；不给时为今天"},
        "document_no": text("文号"), "document_title": text("文件标题"), "reason": text("原因"),
        "areas": {"type": "object", "title": "文件所述面积，文件写明的才给", "properties": areas},
        "allow": {"type": "array", "title": "放行的错误代码", "items": one_of("代码", &ALLOWABLE)},
        "dry_run": yes_or_no("只核对，不写入"),
        "seen_revision": whole("所见的园区取自哪一修订（Sizhi-Revision）；涉及现有园区的写入必须给"),
        "park": {"title": "园区代码；设立时为新园区（对象）"},
        "parks": texts("并入别的园区的园区"),
        "name": text("更名后的名称"),
        "blocks": {"type": "object", "title": "设立：各区块，GeoJSON 要素集合"},
        "keeps": {"type": "array", "title": "拆分后原园区保留的区块；不给时原园区全部拆出", "items": {}},
        "into": {"title": "升级后的园区（对象）；拆分出的园区（列表，各带 blocks）；并入的园区（代码，或新园区对象）"},
    })
}

fn told() -> Value {
    let line =
        json!({"parent": text("原区块"), "child": text("新区块"), "common_area_m2": number("共有的土地，平方米")});
    let blocks = json!({
        "ended": texts("终止的区块"), "begun": texts("起始的区块"),
        "lineage": list(object(&["parent", "child", "common_area_m2"], line)),
    });
    let moved = json!({
        "collection": text("台账"), "from": text_or_null("原在园区"), "to": text_or_null("现在园区；不在任何园区为 null"),
        "count": whole("宗数"), "plans": whole("随地块的再开发方案数"),
    });
    let side = || json!({"type": "object", "nullable": true, "title": "名称、别名、县区、核准面积、状态、去向、起止；没有这个园区为 null"});
    let park = json!({"code": text("园区代码"), "name": text("名称"), "before": side(), "after": side()});
    json!({
        "kind": text("事件"), "kind_label": text("事件"), "on": day("从哪一天起"), "dry_run": yes_or_no("只核对"),
        "revision": {"type": "integer", "nullable": true, "title": "写入的修订；没有写入时为 null"},
        "events": list(json!({"type": "object", "title": "登记的沿革事件"})),
        "parks": list(object(&["code", "before", "after"], park)),
        "blocks": object(&["ended", "begun", "lineage"], blocks),
        "parcels": list(object(&["collection", "from", "to", "count", "plans"], moved)),
        "plans": whole("所在园区有变的再开发方案数"), "boundary_changes": texts("随之撤回的调区扩区"),
        "warnings": list(reference("Finding")), "links": list(reference("Link")),
    })
}

fn lineage() -> Value {
    let statuses = ParkStatus::ALL.map(ParkStatus::as_str);
    let node = json!({
        "code": text("园区代码"), "name": text("名称"), "aliases": texts("别名"), "level": text("级别"),
        "status": one_of("状态", &statuses), "status_label": text("状态"), "successor_code": text_or_null("去向"),
        "valid_from": day("何时起"), "valid_to": day("何时止"),
        "place": one_of("本园区、先代、后代", &["self", "ancestor", "descendant"]), "steps": whole("相隔几步"), "href": text("卡片"),
    });
    let kinds = EventKind::ALL.map(EventKind::as_str);
    let edge = json!({
        "id": text("事件"), "park_code": text("登记在哪个园区"), "kind": one_of("事件", &kinds), "kind_label": text("事件"),
        "from": texts("此前的园区"), "to": texts("此后的园区"), "on": day("日期"), "occurred": text_or_null("文件所述时间"),
        "document_no": text_or_null("文号"), "area_before_ha": hectares("变更前"), "area_out_ha": hectares("调出"),
        "area_in_ha": hectares("调入"), "area_after_ha": hectares("变更后"), "note": text_or_null("说明"),
        "source": text("文件标题或来源"), "revision": whole("修订"),
    });
    json!({
        "code": text("园区代码"), "complete": yes_or_no("没有因个数限制而略去"),
        "nodes": list(object(&["code", "name", "status", "place", "steps"], node)),
        "edges": list(object(&["id", "kind", "from", "to"], edge)), "links": list(reference("Link")),
    })
}

fn predecessors() -> Value {
    let park = json!({
        "code": text("园区代码"), "name": text("当日的名称"), "level": text("级别"), "common_area_m2": number("共有面积，平方米"),
        "common_area_ha": number("公顷"), "common_area_mu": number("亩"), "share_of_this": number("占本园区的比例，0 至 1"),
        "share_of_that": number("占该园区当日范围的比例，0 至 1"), "illustrative": yes_or_no("有一方的边界为示意"),
        "valid_from": day("何时起"), "valid_to": day("何时止"), "href": text("卡片"),
    });
    json!({
        "code": text("园区代码"), "on": day("哪一天"), "area_m2": {"type": "number", "nullable": true, "title": "本园区现在的椭球面积，平方米"},
        "illustrative": yes_or_no("本园区的边界为示意"), "ended_on": day("本园区已终止时，其终止日；所比的是终止前的范围"),
        "numberMatched": whole("园区数"), "parks": list(object(&["code", "name", "common_area_m2", "share_of_this", "share_of_that"], park)),
        "links": list(reference("Link")),
    })
}

fn directory() -> (Value, Value) {
    let head = json!({
        "id": text_or_null("编号；登记库某日的名录为 null"), "title": text("标题"), "document_no": text_or_null("文号"),
        "issued_on": day("发布日期"), "source": text("来源"), "register_on": day("登记库日期"),
        "register_revision": {"type": "integer", "nullable": true, "title": "登记库修订"},
    });
    let entry = json!({
        "serial": {"type": "integer", "nullable": true, "title": "序号"}, "code": text("园区代码"), "name": text("名称"),
        "level": text("级别"), "area_ha": hectares("核准面积"), "approved_text": text_or_null("批准时间"),
        "leading_industries": texts("主导产业"), "four_extents": text_or_null("四至范围"),
    });
    let mut whole_one = head.clone();
    whole_one["numberMatched"] = whole("园区数");
    whole_one["parks"] = list(object(&["code", "name", "level", "leading_industries"], entry));
    whole_one["links"] = list(reference("Link"));
    let mut listed = head;
    listed["parks"] = whole("园区数");
    listed["revision"] = whole("写入的修订");
    listed["href"] = text("地址");
    (whole_one, listed)
}

pub fn schemas() -> Schemas {
    let (directory, listed) = directory();
    let every = json!({
        "numberMatched": whole("版本数"), "directories": list(object(&["id", "title", "parks", "href"], listed)),
        "links": list(reference("Link")),
    });
    let wanted = json!({
        "id": text("编号：字母、数字、点、下划线、连字符；不给时为 v 加修订号"), "title": text("标题"), "document_no": text("文号"),
        "issued_on": {"type": "string", "format": "date", "title": "发布日期"},
        "on": {"type": "string", "format": "date", "title": "登记库哪一天的园区；不给时为今天"}, "dry_run": yes_or_no("只核对，不写入"),
    });
    let records = |title: &str| json!({"type": "array", "title": title, "items": {"type": "object"}});
    let difference = json!({
        "from": {"type": "object"}, "to": {"type": "object"}, "added": records("新增，附来自哪些园区"),
        "gone": records("不再列入，附现状与去向"), "changed": records("有变化的各项，附前后"), "unchanged": whole("没有变化的园区数"),
        "not_compared": texts("有一方通篇没有填写、因而没有比较的项目"), "links": list(reference("Link")),
    });
    let mut event = object(&["kind"], new_event());
    event["description"] = json!(format!("各事件各有自己的成员；一次最多涉及 {MOST_PARKS} 个园区"));
    let told_needed = [
        "kind",
        "on",
        "dry_run",
        "revision",
        "events",
        "parks",
        "blocks",
        "parcels",
        "plans",
        "boundary_changes",
        "warnings",
        "links",
    ];
    vec![
        ("NewParkEvent", event),
        ("ParkEventTold", object(&told_needed, told())),
        ("ParkLineage", object(&["code", "complete", "nodes", "edges", "links"], lineage())),
        (
            "ParkPredecessors",
            object(&["code", "on", "illustrative", "numberMatched", "parks", "links"], predecessors()),
        ),
        ("Directory", object(&["id", "title", "numberMatched", "parks", "links"], directory)),
        ("DirectoryList", object(&["numberMatched", "directories", "links"], every)),
        ("NewDirectory", object(&["title"], wanted)),
        (
            "DirectoryDifference",
            object(&["from", "to", "added", "gone", "changed", "unchanged", "not_compared", "links"], difference),
        ),
    ]
}
