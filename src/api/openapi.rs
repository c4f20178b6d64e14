//! `/api/openapi.json`: the OpenAPI 3.0 document, put together from the layer declarations and the URL table.
//!
//! Paths stand under the server's address, which ends in `/api`. `/` and the icon are pages and not part of the
//! interface. Operation ids are the handlers' names; where an operation stands once a layer, the layer's id follows.

use actix_web::{HttpRequest, web};
use serde_json::{Map, Value, json};

use super::html;
use super::openapi_access;
use super::openapi_boundary;
use super::openapi_conflicts;
use super::openapi_control_zones;
use super::openapi_criteria;
use super::openapi_genealogy;
use super::openapi_ledgers;
use super::openapi_overlaps;
use super::openapi_page;
use super::openapi_parks;
use super::openapi_queries;
use super::openapi_reports;
use super::openapi_scenarios;
use super::openapi_schemas as schemas;
use super::openapi_tiles;
use super::openapi_time;
use super::params::Params;
use super::problem::Answer;
use super::representation::{self, Form};
use super::state::State;
use super::{cards, exports};
use crate::domain::access::Role;
use crate::domain::items_query::{DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET};
use crate::domain::layer::Layer;
use crate::domain::lifecycle::ParkStatus;
use crate::layers::catalogue::Catalogue;

const MEDIA_TYPE: &str = "application/vnd.oai.openapi+json;version=3.0";
pub const JSON: &str = "application/json";
const HTML: &str = "text/html";
pub const GEOJSON: &str = "application/geo+json";

/// `/api/openapi.json`; `f=html` leads to the page.
pub async fn document(request: HttpRequest, state: web::Data<State>) -> Answer {
    let params = Params::read(&request, &["f"], |_| false)?;
    // Whatever `Accept` says, this address is the document: only `f` may ask for the page.
    if params.get("f").is_some() && representation::form(&request, &params)? == Form::Html {
        return for_people(&request, &state);
    }
    let base = representation::base_url(&request, &state);
    representation::answer(MEDIA_TYPE, None, describe(&base, state.http.upload_limit_mb, &state.layers).to_string())
}

/// `/api/docs`: the same document for people, with links to try.
pub async fn page(request: HttpRequest, state: web::Data<State>) -> Answer {
    Params::read(&request, &[], |_| false)?;
    for_people(&request, &state)
}

fn for_people(request: &HttpRequest, state: &State) -> Answer {
    let base = representation::base_url(request, state);
    let body = openapi_page::body(&describe(&base, state.http.upload_limit_mb, &state.layers));
    let page = html::page(&base, "接口说明", &body, &format!("{base}/api/openapi.json"));
    representation::html(None, page)
}

/// The whole document for a service at `base`.
fn describe(base: &str, upload_limit_mb: usize, layers: &Catalogue) -> Value {
    let mut paths = Map::new();
    service_paths(&mut paths, base);
    // One document for everybody: internal layers answer at the same addresses, for those who may see them.
    let layers: Vec<&'static Layer> = layers.documented().collect();
    for layer in &layers {
        layer_paths(&mut paths, layer);
    }
    park_paths(&mut paths);
    openapi_parks::paths(&mut paths);
    import_paths(&mut paths, upload_limit_mb);
    openapi_ledgers::undo(&mut paths);
    openapi_tiles::paths(&mut paths);
    openapi_access::paths(&mut paths);
    openapi_reports::paths(&mut paths);
    openapi_overlaps::paths(&mut paths, upload_limit_mb);
    openapi_boundary::paths(&mut paths);
    openapi_criteria::paths(&mut paths);
    openapi_control_zones::paths(&mut paths);
    openapi_conflicts::paths(&mut paths);
    openapi_scenarios::paths(&mut paths);
    let limits = format!(
        "limit 为 1 至 {MAX_LIMIT}，更大的按 {MAX_LIMIT} 处理；offset 不超过 {MAX_OFFSET}，更远请用 next 链接；\
         请求头不超过 16 kB；上传的文件不超过 {upload_limit_mb} MB，整个请求 30 秒内传完。不认识的参数一律拒绝（400）。\
         不给 crs 时坐标为经度、纬度（OGC:CRS84）。"
    );
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "四至：产业园区土地清单",
            "description": limits,
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": format!("{base}/api")}],
        "tags": [
            {"name": "service", "description": "服务"},
            {"name": "layers", "description": "图层（OGC API Features）"},
            {"name": openapi_tiles::TAG.0, "description": openapi_tiles::TAG.1},
            {"name": "ledgers", "description": "台账：登记、改动、状态变更、方案步骤（编辑人员）"},
            {"name": "parks", "description": "园区名录，园区的沿革与事件"},
            {"name": openapi_parks::TAG.0, "description": openapi_parks::TAG.1},
            {"name": "imports", "description": "导入（查询人员可看，编辑人员可写）"},
            {"name": openapi_reports::TAG.0, "description": openapi_reports::TAG.1},
            {"name": openapi_overlaps::TAG.0, "description": openapi_overlaps::TAG.1},
            {"name": openapi_boundary::TAG.0, "description": openapi_boundary::TAG.1},
            {"name": openapi_criteria::TAG.0, "description": openapi_criteria::TAG.1},
            {"name": openapi_control_zones::TAG.0, "description": openapi_control_zones::TAG.1},
            {"name": openapi_conflicts::TAG.0, "description": openapi_conflicts::TAG.1},
            {"name": openapi_scenarios::TAG.0, "description": openapi_scenarios::TAG.1},
            {"name": "access", "description": "登录"},
            {"name": "accounts", "description": "账号（管理员）"},
            {"name": "tokens", "description": "程序用的令牌"},
        ],
        "paths": paths,
        "components": schemas::components(&layers),
    })
}

/// One operation, put together step by step.
pub struct Operation(pub Map<String, Value>);

impl Operation {
    pub fn new(id: impl Into<String>, tag: &str, summary: impl Into<String>) -> Self {
        let mut fields = Map::new();
        fields.insert("operationId".into(), json!(id.into()));
        fields.insert("tags".into(), json!([tag]));
        fields.insert("summary".into(), json!(summary.into()));
        fields.insert("parameters".into(), json!([]));
        fields.insert("responses".into(), json!({}));
        Self(fields)
    }

    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    pub fn parameters(self, list: Vec<Value>) -> Self {
        self.field("parameters", Value::Array(list))
    }

    pub fn response(mut self, status: &str, response: Value) -> Self {
        if let Some(responses) = self.0.get_mut("responses").and_then(Value::as_object_mut) {
            responses.insert(status.to_owned(), response);
        }
        self
    }

    /// What comes where all is well: media types with the schema of each.
    pub fn answers(self, status: &str, description: &str, content: &[(&str, Value)]) -> Self {
        let content: Map<String, Value> =
            content.iter().map(|(kind, schema)| ((*kind).to_owned(), json!({"schema": schema}))).collect();
        self.response(status, json!({"description": description, "content": content}))
    }

    /// Headers of the answer where all is well, by their names among the components.
    pub fn headers(mut self, names: &[&str]) -> Self {
        let headers: Map<String, Value> = names
            .iter()
            .map(|name| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")})))
            .collect();
        if let Some(response) = self.0.get_mut("responses").and_then(|responses| responses.get_mut("200")) {
            response["headers"] = Value::Object(headers);
        }
        self
    }

    /// The shared error responses of these statuses, and one for all others.
    pub fn errors(self, statuses: &[&str]) -> Self {
        let operation = statuses.iter().fold(self, |operation, status| {
            let reference = json!({"$ref": format!("#/components/responses/Problem{status}")});
            operation.response(status, reference)
        });
        operation.response("default", json!({"$ref": "#/components/responses/Problem"}))
    }

    /// 504: the work has a limit of its own beside the statement's.
    pub(super) fn within_time(self) -> Self {
        self.response("504", json!({"$ref": "#/components/responses/Problem"}))
    }

    /// Addresses to try, for the page: not part of OpenAPI.
    pub(super) fn tries(self, paths: &[&str]) -> Self {
        self.field("x-try", json!(paths))
    }

    pub(super) fn get(self) -> Value {
        json!({"get": self.0})
    }

    pub fn post(self) -> Value {
        json!({"post": self.0})
    }
}

pub fn query(name: &str, title: &str, schema: Value) -> Value {
    json!({
        "name": name, "in": "query", "required": false, "description": title, "style": "form", "explode": false,
        "schema": schema,
    })
}

pub fn segment(name: &str, title: &str, example: &str) -> Value {
    json!({
        "name": name, "in": "path", "required": true, "description": title, "schema": {"type": "string"},
        "example": example,
    })
}

pub(super) fn form_parameter() -> Value {
    query("f", "表示形式；不给时按 Accept", json!({"type": "string", "enum": ["json", "html"]}))
}

pub fn limit_parameter() -> Value {
    let schema = json!({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT});
    query("limit", "一页最多多少条", schema)
}

pub(super) fn offset_parameter() -> Value {
    query("offset", "跳过多少条", json!({"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0}))
}

pub(super) fn datetime_parameter() -> Value {
    text_parameter("datetime", "当时适用的：日期或时刻，或用“/”隔开的起止，开放端写“..”")
}

pub(super) fn revision_parameter() -> Value {
    text_parameter("revision", "登记库当时记载的：修订号，或 RFC 3339 日期、时刻")
}

pub(super) fn text_parameter(name: &str, title: &str) -> Value {
    query(name, title, json!({"type": "string"}))
}

/// JSON of this schema, or a page.
pub(super) fn json_or_page(schema: &str) -> [(&'static str, Value); 2] {
    [(JSON, schemas::reference(schema)), (HTML, json!({"type": "string"}))]
}

fn service_paths(paths: &mut Map<String, Value>, base: &str) {
    let read = |id: &str, summary: &str, schema: &str| {
        Operation::new(id, "service", summary)
            .parameters(vec![form_parameter()])
            .answers("200", summary, &json_or_page(schema))
            .errors(&["400", "406"])
    };
    let path = |operation: Operation, path: &str| operation.tries(&[path]).get();
    paths.insert("/".into(), path(read("landing", "首页与链接", "LandingPage"), "/"));
    paths.insert("/conformance".into(), path(read("conformance", "符合的标准", "Conformance"), "/conformance"));
    paths.insert("/collections".into(), path(read("list_collections", "图层列表", "Collections"), "/collections"));
    let document = Operation::new("document", "service", "本说明，OpenAPI 3.0")
        .parameters(vec![form_parameter()])
        .answers("200", "OpenAPI 文档", &[(MEDIA_TYPE, json!({"type": "object"}))])
        .errors(&["400"]);
    paths.insert("/openapi.json".into(), path(document, "/openapi.json"));
    let page = Operation::new("page", "service", "本说明，供人阅读")
        .answers("200", "网页", &[(HTML, json!({"type": "string"}))])
        .errors(&["400"]);
    paths.insert("/docs".into(), path(page, "/docs"));
    // Probes and metrics stand beside /api, so these three name their server themselves.
    for (id, probe, summary) in [("live", "/livez", "进程是否存活"), ("ready", "/readyz", "数据库是否可用")]
    {
        let mut status =
            json!({"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}});
        if id == "ready" {
            status = openapi_access::readiness();
        }
        let operation = Operation::new(id, "service", summary).answers("200", summary, &[(JSON, status)]);
        let mut item = path(operation.errors(&["400", "503"]), probe);
        item["servers"] = json!([{"url": base}]);
        paths.insert(probe.into(), item);
    }
    let text = [("text/plain", json!({"type": "string"}))];
    let metrics = Operation::new("list_metrics", "service", "本服务的度量（Prometheus）").answers("200", "度量", &text);
    let mut item = path(metrics.errors(&["400"]), "/metrics");
    item["servers"] = json!([{"url": base}]);
    paths.insert("/metrics".into(), item);
}

fn layer_paths(paths: &mut Map<String, Value>, layer: &Layer) {
    let (id, title) = (layer.id, layer.title.zh);
    let url = format!("/collections/{id}");
    let read = |handler: &str, what: &str, content: &[(&str, Value)]| {
        Operation::new(format!("{handler}_{id}"), "layers", format!("{title}：{what}"))
            .parameters(vec![form_parameter()])
            .answers("200", what, content)
            .errors(&["400", "406"])
    };
    let schema = [("application/schema+json", json!({"type": "object"})), (HTML, json!({"type": "string"}))];
    paths.insert(url.clone(), read("get_collection", "图层说明", &json_or_page("Collection")).tries(&[&url]).get());
    for (handler, segment, what) in
        [("get_queryables", "queryables", "可查询的属性"), ("get_schema", "schema", "属性结构")]
    {
        let url = format!("{url}/{segment}");
        paths.insert(url.clone(), read(handler, what, &schema).tries(&[&url]).get());
    }
    let facets_url = format!("{url}/facets");
    paths.insert(facets_url.clone(), openapi_queries::facets(layer).tries(&[&facets_url]).get());
    let items = format!("{url}/items");
    let page = json!({"allOf": [
        schemas::reference("FeatureCollection"),
        {"type": "object", "properties": {"features": {"type": "array", "items": schemas::layer_reference(layer)}}},
    ]});
    let mut content = vec![(GEOJSON, page), (HTML, json!({"type": "string"}))];
    let file = json!({"type": "string", "format": "binary"});
    content.extend(openapi_queries::downloads().map(|format| (exports::media_type(format), file.clone())));
    let told = ["ETag", "Content-Crs", "Sizhi-Revision", "Sizhi-Stale"];
    let list = read("list_items", "要素列表；用 f 下载全部", &content)
        .headers(&told)
        .parameters(openapi_queries::items_parameters(layer))
        .errors(&["400", "403", "406"])
        .tries(&[
            &format!("{items}?limit=5"),
            &format!("{items}?bbox=112,27,114,29&limit=5"),
            &format!("{items}?crs=EPSG:4526&limit=5"),
        ]);
    paths.insert(items.clone(), list.get());
    let item =
        read("get_item", "一个要素", &[(GEOJSON, schemas::layer_reference(layer)), (HTML, json!({"type": "string"}))])
            .headers(&told)
            .parameters(item_parameters(layer))
            .errors(&["400", "404", "406"]);
    paths.insert(format!("{items}/{{featureId}}"), item.get());
    openapi_tiles::layer_paths(paths, layer, &url);
    if layer.has_past() {
        openapi_time::paths(paths, layer, &url);
    }
    openapi_ledgers::paths(paths, layer, &url);
    openapi_genealogy::paths(paths, layer, &url);
    if !layer.visibility.is_for(Role::Public) {
        mark_internal(paths, &url);
    }
}

fn item_parameters(layer: &Layer) -> Vec<Value> {
    let mut list = vec![segment("featureId", "要素标识", example_of(layer))];
    if layer.has_past() {
        list.extend([datetime_parameter(), revision_parameter()]);
    }
    list.extend(openapi_queries::shape_parameters(layer));
    list.push(form_parameter());
    list
}

/// Who is not logged in finds no such layer: each of its operations asks for credentials, and there is nothing to try by a click.
fn mark_internal(paths: &mut Map<String, Value>, url: &str) {
    let own = |path: &str| path.strip_prefix(url).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    for (_, item) in paths.iter_mut().filter(|(path, _)| own(path)) {
        for operation in item.as_object_mut().into_iter().flat_map(|item| item.values_mut()) {
            if let Some(fields) = operation.as_object_mut() {
                fields.remove("x-try");
                fields.insert("security".into(), openapi_access::security());
            }
        }
    }
}

pub(super) fn example_of(layer: &Layer) -> &'static str {
    match layer.id {
        "park_blocks" => "G431176-1",
        "divisions" => "430100",
        "turnover_parcels" | "low_efficiency_parcels" | "redevelopment_plans" => "430121-001",
        _ if layer.extra.is_some() => "1",
        _ => "G431176",
    }
}

fn park_paths(paths: &mut Map<String, Value>) {
    let orders: Vec<String> = cards::SORTS.iter().flat_map(|s| [(*s).to_owned(), format!("-{s}")]).collect();
    let words = |words: &[&str]| json!({"type": "string", "enum": words});
    let parameters = vec![
        text_parameter("prefecture", "市州代码，例如 430100"),
        text_parameter("county", "县区代码，例如 430112"),
        query("level", "级别", words(&cards::LEVELS)),
        text_parameter("type", "类型，与 facets 所列一致"),
        text_parameter("industry", "主导产业之一"),
        query("status", "状态", words(&ParkStatus::ALL.map(ParkStatus::as_str))),
        text_parameter("q", "名称、别名、代码或主导产业中的文字"),
        query("sort", "排序；前面加 - 表示倒序", json!({"type": "string", "enum": orders, "default": "code"})),
        revision_parameter(),
        limit_parameter(),
        offset_parameter(),
        form_parameter(),
    ];
    let list = Operation::new("list_parks", "parks", "园区名录：查找、筛选、排序，附各项计数")
        .parameters(parameters)
        .answers("200", "一页名录", &json_or_page("ParkList"))
        .errors(&["400", "406"])
        .tries(&["/parks?limit=10", "/parks?prefecture=430100&sort=-approved_area", "/parks?q=电子信息"]);
    paths.insert("/parks".into(), list.get());
    let card = Operation::new("get_park", "parks", "园区卡片：面积、四至文字与坐标四至、核对、区块、沿革")
        .parameters(vec![segment("code", "园区代码", "G431176"), revision_parameter(), form_parameter()])
        .answers("200", "园区卡片", &json_or_page("ParkCard"))
        .errors(&["400", "404", "406"])
        .tries(&["/parks/G431176"]);
    paths.insert("/parks/{code}".into(), card.get());
}

fn import_paths(paths: &mut Map<String, Value>, upload_limit_mb: usize) {
    let secured =
        |id: &str, summary: &str| Operation::new(id, "imports", summary).field("security", openapi_access::security());
    let batch = [(JSON, schemas::reference("Import"))];
    let before = query("before", "只列编号更小的批次", json!({"type": "integer", "minimum": 1}));
    let list = secured("list_imports", "导入批次，新的在前")
        .parameters(vec![limit_parameter(), before])
        .answers("200", "一页批次，不含报告", &[(JSON, schemas::reference("ImportList"))])
        .errors(&["400", "401", "403"]);
    let body = json!({
        "required": true,
        "description": format!("文件不超过 {upload_limit_mb} MB；除文件外的各项也可以写在查询字符串里"),
        "content": {"multipart/form-data": {"schema": schemas::reference("ImportForm")}},
    });
    let create = secured("create_import", "上传文件并检查（不写入）；未通过的也返回 201，status 为 refused")
        .field("requestBody", body)
        .answers("201", "批次与检查报告；地址在 Location", &batch)
        .errors(&["400", "401", "403", "408", "413", "415", "507"]);
    paths.insert("/imports".into(), json!({"get": list.0, "post": create.0}));
    let id = || vec![segment("id", "批次编号", "1")];
    let get = secured("get_import", "一个批次及其检查报告").parameters(id()).answers("200", "批次", &batch);
    paths.insert("/imports/{id}".into(), get.errors(&["400", "401", "403", "404"]).get());
    for (handler, deed, summary) in [
        ("commit_import", "commit", "提交检查过的批次：重新检查，全部合格才写入，成为一个修订"),
        ("undo_import", "undo", "撤销已提交的批次，成为一个新的修订"),
    ] {
        let operation = secured(handler, summary).parameters(id()).answers("200", "批次", &batch);
        paths.insert(format!("/imports/{{id}}/{deed}"), operation.errors(&["400", "401", "403", "404", "409"]).post());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn operations(document: &Value) -> Vec<(String, String, Value)> {
        let paths = document["paths"].as_object().expect("paths");
        let of = |(path, item): (&String, &Value)| -> Vec<(String, String, Value)> {
            let item = item.as_object().expect("item").iter().filter(|(method, _)| *method != "servers");
            item.map(|(method, operation)| (path.clone(), method.clone(), operation.clone())).collect()
        };
        paths.iter().flat_map(of).collect()
    }

    #[test]
    fn every_operation_has_an_id_of_its_own_and_its_path_parameters() {
        let document = describe("http://x", 50, &Catalogue::default());
        let mut seen = HashSet::new();
        for (path, method, operation) in operations(&document) {
            let id = operation["operationId"].as_str().expect("id").to_owned();
            assert!(seen.insert(id.clone()), "{id} stands twice");
            let named = |place: &str| -> Vec<&str> {
                let list = operation["parameters"].as_array().expect("parameters").iter();
                list.filter(|p| p["in"] == place).filter_map(|p| p["name"].as_str()).collect()
            };
            let in_path: Vec<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
            assert_eq!(named("path"), in_path, "{method} {path}");
            let distinct: HashSet<&str> = named("query").into_iter().collect();
            assert_eq!(distinct.len(), named("query").len(), "{method} {path}");
            assert!(operation["responses"].as_object().is_some_and(|r| r.keys().any(|s| s.starts_with('2'))));
        }
        assert!(seen.contains("list_items_parks") && seen.contains("create_import"));
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    map.values().for_each(|v| references(v, found));
                }
                Value::Array(list) => list.iter().for_each(|v| references(v, found)),
                _ => {}
            }
        }
        let document = describe("http://x", 50, &Catalogue::default());
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 50, "{}", found.len());
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("local");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}
