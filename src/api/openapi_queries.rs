//! The part of the OpenAPI document about questions to a layer: which features, in which order, in which form; and counts.

use serde_json::{Value, json};

use super::collections::property_schema;
use super::openapi::{
    JSON, Operation, datetime_parameter, limit_parameter, offset_parameter, query, revision_parameter, text_parameter,
};
use super::openapi_schemas::reference;
use super::params::parameter_of;
use super::shape::MAX_ZOOM;
use crate::domain::export::ExportFormat;
use crate::domain::layer::{Layer, PropertyKind};
use crate::domain::published_crs::PublishedCrs;
use crate::layers::cql2::Language;

/// Formats with a media type of their own; all of a layer as GeoJSON has that of a page.
pub fn downloads() -> impl Iterator<Item = ExportFormat> {
    ExportFormat::ALL.into_iter().filter(|format| *format != ExportFormat::GeoJson)
}

/// `f` of the items, and what only its files have.
fn download_parameters() -> Vec<Value> {
    let forms: Vec<&str> = ["json", "html"].into_iter().chain(ExportFormat::ALL.map(ExportFormat::as_str)).collect();
    let words = |words: &[&str]| json!({"type": "string", "enum": words});
    vec![
        query("f", "表示形式；json、html 为一页，其余为下载：符合条件的全部，或前 limit 个", words(&forms)),
        query("encoding", "下载 csv、txt、shp 的编码；默认 utf-8", words(&["utf-8", "gbk"])),
        query("headings", "下载 csv、xlsx、shp、gpkg、fgb 的字段名；默认 zh", words(&["zh", "en"])),
        query("geometry", "下载 csv 时带 WKT 图形列", words(&["wkt"])),
    ]
}

/// The fixed parameters of `…/items`, then one for each property that may be asked for.
pub fn items_parameters(layer: &Layer) -> Vec<Value> {
    let mut sortby = text_parameter("sortby", "排序：可查询的属性（列表除外），至多 4 个，用逗号隔开；前面加 - 为倒序");
    sortby["example"] = json!(example_property(layer));
    let mut list = question_parameters(layer);
    list.extend([
        sortby,
        limit_parameter(),
        offset_parameter(),
        text_parameter("cursor", "接着上一页，见 next 链接；不要自己拼写"),
    ]);
    list.extend(shape_parameters(layer));
    list.extend(download_parameters());
    list.extend(property_parameters(layer));
    list
}

/// The systems that an answer, or a box, may be in.
fn system_schema(of_answer: bool) -> Value {
    let shown = PublishedCrs::LISTED.into_iter().chain(of_answer.then_some(PublishedCrs::Gcj02));
    let names: Vec<String> = shown.map(PublishedCrs::uri).collect();
    json!({"type": "string", "format": "uri", "enum": names, "default": PublishedCrs::Crs84.uri()})
}

/// How features are to be written.
pub fn shape_parameters(layer: &Layer) -> Vec<Value> {
    let names = |name: &str, title: &str| {
        let mut parameter = query(name, title, json!({"type": "array", "items": {"type": "string"}, "minItems": 1}));
        parameter["example"] = json!([example_property(layer)]);
        parameter
    };
    vec![
        query(
            "crs",
            "坐标系；坐标按该坐标系规定的顺序（4490、4326 为纬度、经度，高斯克吕格带为北、东），应答头 Content-Crs 写明；urn:sizhi:crs:gcj02 仅供叠加显示。下载 txt、shp、gpkg、fgb 时为文件的坐标系，也可写 EPSG:4526",
            system_schema(true),
        ),
        names("properties", "只要这些属性，用逗号隔开；id 总在"),
        names("exclude-properties", "不要这些属性，用逗号隔开；不能与 properties 同用"),
        query("skipGeometry", "不要图形：geometry 为 null", json!({"type": "boolean", "default": false})),
        query(
            "max-allowable-offset",
            "简化图形：偏离不超过这么多，单位随坐标系（度或米）；环不会消失，也不会互相交叉",
            json!({"type": "number", "minimum": 0}),
        ),
        query(
            "zoom-level",
            "简化图形到这一缩放级别的半个像素；不能与 max-allowable-offset 同用",
            json!({"type": "integer", "minimum": 0, "maximum": MAX_ZOOM}),
        ),
    ]
}

/// What is asked of a layer, whether features or counts are wanted.
fn question_parameters(layer: &Layer) -> Vec<Value> {
    let bbox = json!({"type": "array", "minItems": 4, "maxItems": 6, "items": {"type": "number"}});
    let mut list = vec![
        query(
            "bbox",
            "范围：西,南,东,北（度）；6 个数时第 3、6 个是高度，不起作用；西大于东时跨 180° 经线；用 bbox-crs 时按该坐标系的坐标顺序",
            bbox,
        ),
        query("bbox-crs", "bbox 的坐标系；默认 CRS84（经度、纬度）", system_schema(false)),
        text_parameter(
            "q",
            "名称、编号、别名等文字中含有的字，不超过 100 个；字母也按拼音首字母查找，如 csjj 找长沙经济技术开发区（不超过 12 个）",
        ),
        text_parameter("within", "完全位于此范围内：GeoJSON 的 Polygon 或 MultiPolygon，不超过 8 kB"),
    ];
    list.extend(filter_parameters());
    if layer.has_past() {
        list.splice(1..1, [datetime_parameter(), revision_parameter()]);
    }
    if layer.division_property().is_some() {
        list.push(text_parameter("division", "行政区划代码：省、市州或县区，含其下级"));
    }
    list
}

/// A filter, how it is written, and the system of its coordinates.
fn filter_parameters() -> [Value; 3] {
    let mut filter = text_parameter("filter", "CQL2 条件，不超过 8 kB；属性见 queryables，图形写作 geometry");
    // The address bar takes it as it is.
    filter["example"] = json!("S_INTERSECTS(geometry,BBOX(112,28,114,30))");
    let languages =
        json!({"type": "string", "enum": Language::ALL.map(Language::as_str), "default": Language::default().as_str()});
    let crs =
        query("filter-crs", "filter 中坐标的坐标系，按其坐标顺序；默认 CRS84（经度、纬度）", system_schema(false));
    [filter, query("filter-lang", "filter 的写法；默认 cql2-text", languages), crs]
}

/// One for each property that may be asked for by name.
fn property_parameters(layer: &Layer) -> impl Iterator<Item = Value> {
    layer.properties.iter().chain(layer.life()).filter(|p| parameter_of(layer, p.name).is_some()).map(|property| {
        // A list is asked for by one of its members; of numbers and days also ranges.
        let (schema, how) = match property.kind {
            PropertyKind::TextList => (json!({"type": "string"}), ""),
            PropertyKind::NumberList => (json!({"type": "number"}), ""),
            PropertyKind::Number | PropertyKind::Integer | PropertyKind::Date | PropertyKind::DateTime => {
                (json!({"type": "string"}), "；可写范围，如 10..20、2024-01-01..")
            }
            PropertyKind::Text if property.is_code() => (property_schema(property), "；可写多个，用逗号隔开"),
            PropertyKind::Text | PropertyKind::Boolean => (property_schema(property), ""),
        };
        let mut parameter = query(property.name, &format!("{}{how}", property.title.zh), schema);
        match property.kind {
            PropertyKind::Number | PropertyKind::Integer => parameter["example"] = json!("1..20"),
            PropertyKind::Date | PropertyKind::DateTime => parameter["example"] = json!("2024-01-01.."),
            _ => {}
        }
        parameter
    })
}

/// A property of the layer to sort and to count by.
fn example_property(layer: &Layer) -> &'static str {
    let chosen = layer.properties.iter().find(|p| p.queryable && p.kind == PropertyKind::Text);
    chosen.map_or("id", |property| property.name)
}

/// How many features have which value.
pub fn facets(layer: &Layer) -> Operation {
    let mut properties = text_parameter("properties", "按哪些属性计数，至多 10 个，用逗号隔开；不给时为各类代码");
    properties["example"] = json!(example_property(layer));
    let mut parameters = question_parameters(layer);
    parameters.push(properties);
    parameters.extend(property_parameters(layer));
    Operation::new(format!("list_facets_{}", layer.id), "layers", format!("{}：各属性值的要素数", layer.title.zh))
        .parameters(parameters)
        .answers("200", "计数", &[(JSON, reference("Facets"))])
        .errors(&["400"])
}
