//! `components` of the OpenAPI document: schemas and error responses. Layers bring their own from their declarations.

use serde_json::{Map, Value, json};

use super::cards::LEVELS;
use super::collections::property_schema;
use super::openapi_access;
use super::openapi_attachments;
use super::openapi_boundary;
use super::openapi_conflicts;
use super::openapi_control_zones;
use super::openapi_criteria;
use super::openapi_genealogy;
use super::openapi_ledgers;
use super::openapi_overlaps;
use super::openapi_parks;
use super::openapi_reports;
use super::openapi_scenarios;
use super::openapi_time;
use crate::domain::layer::Layer;
use crate::domain::lifecycle::ParkStatus;
use crate::inventory::import::{ALLOWABLE, ALLOWABLE_IN_LEDGERS, LAYERS};

/// Statuses that have an error response of their own, with what they mean to a caller.
const PROBLEMS: [(&str, &str); 14] = [
    ("400", "请求有误：不认识的参数、不合规则的值或内容；detail 与 findings 说明哪里、哪条规则"),
    ("401", "没有登录或令牌，或已失效"),
    ("403", "角色或管辖范围不允许"),
    ("404", "找不到"),
    ("406", "没有所要的表示形式"),
    ("408", "请求内容在 30 秒内没有传完"),
    ("409", "与登记库的现状冲突；能改正的写在 findings 里"),
    ("413", "上传的文件超过上限"),
    ("415", "不支持的内容类型或压缩方式"),
    ("416", "所要的字节范围不在文件之内"),
    ("428", "没有在 If-Match 中说明依据的是哪个版本"),
    ("429", "登录失败次数或请求过多；过 Retry-After 秒后重试"),
    ("503", "数据库暂时不可用；过 Retry-After 秒后重试"),
    ("507", "服务器的磁盘已满"),
];

/// `$ref` to a schema.
pub fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// `$ref` to the feature of a layer.
pub fn layer_reference(layer: &Layer) -> Value {
    reference(&feature_name(layer))
}

fn feature_name(layer: &Layer) -> String {
    format!("Feature_{}", layer.id)
}

/// All components, with one feature schema a layer.
pub fn components(layers: &[&'static Layer]) -> Value {
    let mut schemas = Map::new();
    let groups = [
        common(),
        service(),
        features(),
        openapi_time::schemas(),
        openapi_ledgers::schemas(),
        openapi_ledgers::bulk_schemas(),
        openapi_genealogy::schemas(),
        openapi_attachments::schemas(),
        parks(),
        openapi_parks::schemas(),
        import(),
        openapi_reports::schemas(),
        openapi_overlaps::schemas(),
        openapi_boundary::schemas(),
        openapi_criteria::schemas(),
        openapi_control_zones::schemas(),
        openapi_conflicts::schemas(),
        openapi_scenarios::schemas(),
    ];
    schemas.extend(groups.into_iter().flatten().map(|(name, schema)| (name.to_owned(), schema)));
    schemas.extend(openapi_access::schemas().into_iter().map(|(name, schema)| (name.to_owned(), schema)));
    schemas.extend(layers.iter().map(|layer| (feature_name(layer), layer_feature(layer))));
    schemas.extend(layers.iter().copied().filter_map(openapi_ledgers::edit_schema));
    let mut responses = Map::new();
    responses.insert("Problem".into(), problem("出错；服务器一侧的错误请把 instance 里的编号告诉运维人员"));
    responses.extend(PROBLEMS.map(|(status, meaning)| (format!("Problem{status}"), problem(meaning))));
    let mut stale = problem("取得之后又被别人修改；current 是现在的记录，submitted 是提交的内容");
    stale["content"]["application/problem+json"]["schema"] = reference("StaleProblem");
    responses.insert("Problem412".into(), stale);
    json!({
        "schemas": schemas,
        "responses": responses,
        "headers": headers(),
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer", "description": "签发的令牌，或运维人员设置的 SIZHI_ADMIN_TOKEN"},
            "session": {"type": "apiKey", "in": "cookie", "name": "sizhi_session", "description": "登录后的 Cookie"},
        },
    })
}

/// What answers say beside their bodies.
fn headers() -> Value {
    let number = || json!({"type": "integer", "minimum": 0});
    let header = |description: &str, schema: Value| json!({"description": description, "schema": schema});
    json!({
        "ETag": header("这一表示的标记；再取时放进 If-None-Match，没有变化时得 304", json!({"type": "string"})),
        "Content-Crs": header("图形所用的坐标系（OGC API Features Part 2）", json!({"type": "string"})),
        "Sizhi-Revision": header(
            "所示数据的修订号。放进下一次查询的请求头 Sizhi-At-Least，任一服务给出的数据都不早于它；还没有时得 503 behind",
            number(),
        ),
        "Sizhi-Stale": header("数据可能不是最新的：已有这么多秒没有见到数据库或主库；数据是最新时没有这个头", number()),
    })
}

fn problem(description: &str) -> Value {
    json!({"description": description, "content": {"application/problem+json": {"schema": reference("Problem")}}})
}

pub(super) type Schemas = Vec<(&'static str, Value)>;

pub(super) fn text(title: &str) -> Value {
    json!({"type": "string", "title": title})
}

pub(super) fn text_or_null(title: &str) -> Value {
    json!({"type": "string", "title": title, "nullable": true})
}

pub(super) fn number(title: &str) -> Value {
    json!({"type": "number", "title": title})
}

fn number_or_null(title: &str) -> Value {
    json!({"type": "number", "title": title, "nullable": true})
}

pub(super) fn whole(title: &str) -> Value {
    json!({"type": "integer", "title": title})
}

pub(super) fn yes_or_no(title: &str) -> Value {
    json!({"type": "boolean", "title": title})
}

pub(super) fn list(of: Value) -> Value {
    json!({"type": "array", "items": of})
}

/// A list of objects whose fields are the register's own and may grow.
fn records(title: &str) -> Value {
    json!({"type": "array", "title": title, "items": {"type": "object"}})
}

pub(super) fn one_of(title: &str, words: &[&str]) -> Value {
    json!({"type": "string", "title": title, "enum": words})
}

pub(super) fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

/// A schema that may also be `null`. OpenAPI 3.0 allows nothing beside a `$ref`, and `nullable` speaks only for a `type` beside it: a
/// branch of its own lets null in.
pub(super) fn or_null(name: &str) -> Value {
    json!({"anyOf": [reference(name), {"type": "object", "nullable": true, "enum": [null]}]})
}

fn common() -> Schemas {
    let link = json!({
        "href": {"type": "string", "format": "uri"},
        "rel": text("关系"),
        "type": text("内容类型"),
        "title": text("标题"),
    });
    let finding = json!({
        "code": text("代码，稳定"),
        "severity": one_of("程度", &["info", "warning", "error"]),
        "message": text("一句话：什么、在哪里、怎么办"),
        "row": {"type": "integer", "title": "记录号或行号，从 1 起", "nullable": true},
        "part": whole("多面中的部分，从 1 起"),
        "ring": {"type": "integer", "title": "环，从 1 起", "nullable": true},
        "vertex": {"type": "integer", "title": "点，从 1 起", "nullable": true},
        "field": text("字段"),
        "coordinate": {"type": "array", "title": "坐标", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
    });
    let problem = json!({
        "type": text("urn:sizhi:problem:<code>"),
        "title": text("这类错误"),
        "status": whole("与 HTTP 状态码相同"),
        "detail": text("可据以改正的一句话；Accept-Language: en 时为英文"),
        "instance": text("本次请求的编号"),
        "code": text("代码，稳定"),
        "findings": list(reference("Finding")),
    });
    vec![
        ("Link", object(&["href", "rel"], link)),
        ("Finding", object(&["code", "severity", "message"], finding)),
        ("Problem", object(&["type", "title", "status", "detail", "instance", "code", "findings"], problem)),
    ]
}

fn service() -> Schemas {
    let links = list(reference("Link"));
    let collection = json!({
        "id": text("代号"),
        "title": text("名称"),
        "title_en": text("英文名称"),
        "description": text("说明"),
        "itemType": text("feature"),
        "crs": list(text("坐标系")),
        "storageCrs": text("存储坐标系"),
        "extent": {"type": "object", "title": "范围与时间"},
        "generalisation": reference("Generalisation"),
        "links": links,
    });
    vec![
        ("Generalisation", generalisation()),
        (
            "LandingPage",
            object(&["links"], json!({"title": text("名称"), "description": text("说明"), "links": links})),
        ),
        ("Conformance", object(&["conformsTo"], json!({"conformsTo": list(text("标准的地址"))}))),
        ("Collection", object(&["id", "links"], collection)),
        (
            "Collections",
            object(&["links", "collections"], json!({"links": links, "collections": list(reference("Collection"))})),
        ),
    ]
}

/// There where shapes are outlines; left out where they are as surveyed.
fn generalisation() -> Value {
    let mut schema = object(
        &["tolerance_m", "decimals"],
        json!({"tolerance_m": number("概括容差（米）；与实测界线至多相差容差加一格坐标的对角线"), "decimals": whole("坐标的小数位数（度）")}),
    );
    schema["title"] = json!("所示图形是概略轮廓；是实测界线时不出现");
    schema
}

fn features() -> Schemas {
    let coordinates = list(list(list(json!({
        "type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2,
    }))));
    let geometry = json!({"type": one_of("类型", &["MultiPolygon"]), "coordinates": coordinates});
    let feature = json!({
        "type": one_of("类型", &["Feature"]),
        "id": text("标识"),
        "geometry": or_null("MultiPolygon"),
        "properties": {"type": "object"},
        "generalisation": reference("Generalisation"),
        "links": list(reference("Link")),
        "warnings": {"type": "array", "title": "登记、修改时核对的提示，没有时不出现", "items": reference("Finding")},
    });
    let collection = json!({
        "type": one_of("类型", &["FeatureCollection"]),
        "numberMatched": whole("符合条件的总数"),
        "numberReturned": whole("本页的数目"),
        "timeStamp": {"type": "string", "format": "date-time"},
        "generalisation": reference("Generalisation"),
        "links": list(reference("Link")),
        "features": list(reference("Feature")),
    });
    vec![
        ("Facets", facets()),
        ("MultiPolygon", object(&["type", "coordinates"], geometry)),
        ("Feature", object(&["type", "id", "geometry", "properties"], feature)),
        ("FeatureCollection", object(&["type", "features"], collection)),
    ]
}

/// Counts of values; a value is a text, a number or yes or no, and `null` where a feature has none.
fn facets() -> Value {
    let value = json!({"anyOf": [
        {"type": "string", "nullable": true}, {"type": "number"}, {"type": "boolean"},
    ]});
    let facet = json!({
        "property": text("属性"),
        "title": text("名称"),
        "values": list(object(&["value", "count"], json!({"value": value, "count": whole("要素数")}))),
        "more": yes_or_no("还有没列出的值"),
    });
    let all = json!({
        "numberMatched": whole("符合条件的总数"),
        "facets": list(object(&["property", "title", "values", "more"], facet)),
        "links": list(reference("Link")),
    });
    object(&["numberMatched", "facets", "links"], all)
}

/// The feature of one layer: what its declaration says of its properties.
fn layer_feature(layer: &Layer) -> Value {
    let mut properties = Map::new();
    for property in layer.properties {
        let mut schema = property_schema(property);
        schema["nullable"] = json!(true);
        properties.insert(property.name.to_owned(), schema);
    }
    for bound in layer.life() {
        properties.insert(bound.name.to_owned(), day(bound.title.zh));
    }
    let own = json!({"properties": {"type": "object", "title": layer.title.zh, "properties": properties}});
    json!({"allOf": [reference("Feature"), {"type": "object", "properties": own}]})
}

pub(super) fn day(title: &str) -> Value {
    json!({"type": "string", "format": "date", "title": title, "nullable": true})
}

fn parks() -> Schemas {
    let area = json!({"m2": number("平方米"), "ha": number("公顷"), "mu": number("亩")});
    let facet = json!({"value": text("值"), "title": text("名称"), "count": whole("园区数")});
    let facets = list(object(&["value", "count"], facet));
    let page = json!({
        "numberMatched": whole("符合条件的总数"),
        "numberReturned": whole("本页的数目"),
        "parks": list(reference("Park")),
        "facets": {"type": "object", "properties": {"level": facets, "type": facets, "prefecture": facets}},
        "links": list(reference("Link")),
    });
    let card = json!({
        "four_extents": reference("FourExtents"),
        "computed": or_null("Extremes"),
        "generalisation": reference("Generalisation"),
        "check": reference("ExtentsCheck"),
        "blocks": list(reference("Block")),
        "lineage": records("沿革，新的在前"),
        "directory_versions": records("各版名录所载"),
    });
    let check = json!({
        "verdict": one_of("结论", &["not_checkable", "consistent", "doubtful", "inconsistent"]),
        "verdict_label": text("结论"),
        "findings": list(reference("Finding")),
    });
    vec![
        ("Area", object(&["m2", "ha", "mu"], area)),
        ("Park", object(&["code", "name", "areas", "illustrative", "links"], park())),
        ("ParkList", object(&["numberMatched", "numberReturned", "parks", "facets", "links"], page)),
        ("FourExtents", four_extents()),
        ("Extremes", extremes()),
        ("ExtentsCheck", object(&["verdict", "verdict_label", "findings"], check)),
        ("Block", block()),
        ("ParkCard", json!({"allOf": [reference("Park"), {"type": "object", "properties": card}]})),
    ]
}

fn park() -> Value {
    let areas = json!({"approved": or_null("Area"), "stated": or_null("Area"), "computed": or_null("Area")});
    json!({
        "code": text("园区代码"),
        "name": text("名称"),
        "aliases": list(text("别名")),
        "level": one_of("级别", &LEVELS),
        "type": text("类型"),
        "prefecture": object(&["code", "name"], json!({"code": text("市州代码"), "name": text("市州")})),
        "county_codes": list(text("县区代码")),
        "leading_industries": list(text("主导产业")),
        "approved_text": text_or_null("批准时间"),
        "areas": object(&["approved", "stated", "computed"], areas),
        "block_count": {"type": "integer", "title": "区块数", "nullable": true},
        "status": one_of("状态", &ParkStatus::ALL.map(ParkStatus::as_str)),
        "successor_code": text_or_null("并入园区"),
        "illustrative": yes_or_no("示意：边界由程序绘制，不是测绘成果"),
        "source": text("来源"),
        "valid_from": day("生效日期"),
        "valid_to": day("失效日期"),
        "links": list(reference("Link")),
    })
}

/// The four sides in words, with what else is given.
fn sides(more: Value) -> Value {
    let mut properties = Map::new();
    for (name, title) in [("east", "东至"), ("south", "南至"), ("west", "西至"), ("north", "北至")] {
        properties.insert(name.to_owned(), text_or_null(title));
    }
    if let Value::Object(more) = more {
        properties.extend(more);
    }
    json!({"type": "object", "properties": properties})
}

fn four_extents() -> Value {
    let said = sides(json!({"name": text_or_null("区块"), "area_ha": number_or_null("文字中的面积，公顷")}));
    let words = json!({
        "text": text_or_null("四至文字"),
        "total_area_ha": number_or_null("文字中的总面积，公顷"),
        "blocks": list(said),
        "warnings": list(text("例如 missing:west")),
    });
    object(&["text", "blocks", "warnings"], words)
}

fn extremes() -> Value {
    let corner = json!({
        "lon": number("经度，度"),
        "lat": number("纬度，度"),
        "lon_dms": text("经度，度分秒"),
        "lat_dms": text("纬度，度分秒"),
        "block": text("区块标识"),
        "part": whole("部分，从 1 起"),
        "ring": whole("环，从 1 起"),
        "vertex": whole("点，从 1 起"),
    });
    let corner = object(&["lon", "lat", "lon_dms", "lat_dms", "block"], corner);
    let found = json!({
        "bbox": {"type": "array", "title": "西、南、东、北", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
        "easternmost": corner,
        "southernmost": corner,
        "westernmost": corner,
        "northernmost": corner,
    });
    object(&["bbox", "easternmost", "southernmost", "westernmost", "northernmost"], found)
}

fn block() -> Value {
    let words = sides(json!({
        "text": text_or_null("原文"),
        "landmarks": {"type": "object", "title": "各边的地物与距离"},
    }));
    let block = json!({
        "id": text("区块标识"),
        "number": text("区块编号"),
        "name": text_or_null("区块名称"),
        "parts": whole("多边形数"),
        "rings": whole("环数"),
        "areas": {"type": "object", "properties": {"stated": or_null("Area"), "computed": or_null("Area")}},
        "four_extents": words,
        "extremes": or_null("Extremes"),
        "illustrative": yes_or_no("示意"),
        "source": text("来源"),
        "source_crs": text_or_null("原坐标系"),
    });
    object(&["id", "number", "areas", "four_extents", "illustrative", "source"], block)
}

/// What may be allowed for some layer.
fn allowable() -> Vec<&'static str> {
    let of_ledgers = ALLOWABLE_IN_LEDGERS.into_iter().filter(|code| !ALLOWABLE.contains(code));
    ALLOWABLE.into_iter().chain(of_ledgers).collect()
}

fn import() -> Schemas {
    let form = json!({
        "file": {"type": "string", "format": "binary", "title": "文件"},
        "layer": one_of("导入到哪个图层", &LAYERS),
        "attributes": {"type": "string", "format": "binary", "title": "台账的属性表（CSV、XLSX），按编号与图形对应"},
        "park": text("所有记录所属的园区代码；不给时从文件读取"),
        "county": text("台账：所有记录所属的县区代码；不给时从文件读取"),
        "crs": text("坐标系，如 EPSG:4526；不给时按文件声明或坐标数值判断"),
        "encoding": text("文字编码，如 gbk；不给时自动判断"),
        "source_layer": text("文件中有多个图层时读哪一个"),
        "repair": yes_or_no("修复不合规的图形；每一步都会列出"),
        "allow": list(one_of("放行的错误代码，可重复或用逗号隔开；能放行哪些因图层而异", &allowable())),
    });
    let batch = json!({
        "id": whole("批次编号"),
        "status": one_of("状态", &["checked", "refused", "committed", "unchanged", "undone"]),
        "layer": text("图层"),
        "file_name": text("文件名"),
        "file_sha256": text("文件的 SHA-256"),
        "file_size": whole("字节数"),
        "options": {"type": "object", "title": "上传时的各项"},
        "actor": text("操作人"),
        "created_at": {"type": "string", "format": "date-time"},
        "revision": {"type": "integer", "title": "写入的修订", "nullable": true},
        "undone_revision": {"type": "integer", "title": "撤销的修订", "nullable": true},
        "report": {"type": "object", "title": "检查报告，见 docs/cli.md；列表中没有"},
        "links": list(reference("Link")),
    });
    let page = json!({
        "numberReturned": whole("本页的数目"),
        "imports": list(reference("Import")),
        "links": list(reference("Link")),
    });
    vec![
        ("ImportForm", object(&["file", "layer"], form)),
        ("Import", object(&["id", "status", "layer", "links"], batch)),
        ("ImportList", object(&["numberReturned", "imports", "links"], page)),
    ]
}
