//! `/api/collections` and what a collection says of itself; all derived from the layer declarations.

use actix_web::{HttpRequest, web};
use serde_json::{Map, Value, json};

use super::auth;
use super::html;
use super::params::Params;
use super::problem::{Answer, Problem};
use super::representation::{self, Form};
use super::state::State;
use super::tile_sets;
use crate::domain::access::Viewer;
use crate::domain::layer::{GeometryKind, Layer, Property, PropertyKind};
use crate::domain::published_crs::PublishedCrs;
use crate::error::{self, Error};
use crate::inventory::wire;
use crate::store::features::{self, LayerExtent};

const CRS84: &str = "http://www.opengis.net/def/crs/OGC/1.3/CRS84";

/// What is told of the past of a layer: an operator's table has none here.
pub fn with_past(layer: &'static Layer) -> Result<&'static Layer, Problem> {
    if layer.has_past() {
        return Ok(layer);
    }
    let detail = format!("图层“{}”来自附加的数据表，没有历史和变更记录", layer.title.zh);
    Err(Error::invalid("option_not_possible", detail).into())
}

/// The layer of the path, or 404: an internal one does not exist for the public.
pub fn layer_of(state: &State, id: &str, viewer: &Viewer) -> Result<&'static Layer, Problem> {
    let visible = || state.layers.visible(viewer);
    visible().find(|layer| layer.id == id).ok_or_else(|| {
        let known: Vec<&str> = visible().map(|l| l.id).collect();
        Error::not_found("collection_not_found", format!("没有这个图层；现有图层：{}", known.join("、"))).into()
    })
}

pub async fn list_collections(request: HttpRequest, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    let params = Params::read(&request, &["f"], |_| false)?;
    let form = representation::form(&request, &params)?;
    let base = representation::base_url(&request, &state);
    let mut collections = Vec::new();
    for layer in state.layers.visible(&viewer) {
        let extent = extent(&state, &viewer, layer).await?;
        collections.push(describe(layer, &viewer, &base, &extent));
    }
    let url = format!("{base}/api/collections");
    if form == Form::Html {
        let rows: Vec<Vec<String>> = state
            .layers
            .visible(&viewer)
            .map(|l| {
                vec![
                    format!("<a href=\"{}/{}?f=html\">{}</a>", html::escape(&url), l.id, html::escape(l.title.zh)),
                    format!("<code>{}</code>", l.id),
                    html::escape(l.description.zh),
                    format!("<a href=\"{}/{}/items?f=html\">浏览</a>", html::escape(&url), l.id),
                ]
            })
            .collect();
        let body = html::table("图层", &["名称", "代号", "说明", "要素"], &rows);
        return representation::html(None, html::page(&base, "图层", &body, &format!("{url}?f=json")));
    }
    let links = json!([
        {"rel": "self", "type": "application/json", "href": format!("{url}?f=json")},
        {"rel": "alternate", "type": "text/html", "href": format!("{url}?f=html")},
    ]);
    representation::json(None, &json!({"links": links, "collections": collections}))
}

pub async fn get_collection(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    let params = Params::read(&request, &["f"], |_| false)?;
    let layer = layer_of(&state, &path, &viewer)?;
    let form = representation::form(&request, &params)?;
    let base = representation::base_url(&request, &state);
    let extent = extent(&state, &viewer, layer).await?;
    if form == Form::Html {
        let url = format!("{base}/api/collections/{}", layer.id);
        let rows: Vec<Vec<String>> = layer
            .properties
            .iter()
            .map(|p| {
                vec![
                    format!("<code>{}</code>", p.name),
                    html::escape(p.title.zh),
                    p.unit_zh().unwrap_or_default().to_owned(),
                    if p.queryable { "是".into() } else { String::new() },
                ]
            })
            .collect();
        let outlined = outline_note(layer, &viewer);
        let body = format!(
            "<p>{0}</p>{outlined}<p><a href=\"{1}/items?f=html\">浏览要素</a> <a href=\"{1}/queryables?f=html\">可查询的属性</a> <a href=\"{1}/schema?f=html\">属性结构</a></p><h2>属性</h2>{2}",
            html::escape(layer.description.zh),
            html::escape(&url),
            html::table("属性", &["字段", "含义", "单位", "可查询"], &rows)
        );
        return representation::html(None, html::page(&base, layer.title.zh, &body, &format!("{url}?f=json")));
    }
    representation::json(None, &describe(layer, &viewer, &base, &extent))
}

/// What people are told of the outlines that they see; nothing where they see what was surveyed.
pub(super) fn outline_note(layer: &Layer, viewer: &Viewer) -> String {
    let Some(rule) = layer.generalisation_for(viewer) else { return String::new() };
    format!(
        "<p class=\"muted\">所示图形是概略轮廓：容差 {} 米，坐标取 {} 位小数（度），与实测界线相差至多约 {:.0} 米，不作定界依据；有权查阅内部资料的用户登录后可见实测界线。</p>",
        rule.tolerance_m,
        rule.decimals,
        rule.bound_m().ceil()
    )
}

/// Where and since when there is something for this viewer: out of memory where the layer is held.
pub async fn extent(state: &State, viewer: &Viewer, layer: &Layer) -> error::Result<LayerExtent> {
    let detail = layer.detail_for(viewer);
    let known = state.held(layer).and_then(|held| held.snapshot_for(detail).extent(&viewer.jurisdiction));
    match known {
        Some((bbox, from)) => Ok(LayerExtent { bbox, from }),
        None => features::extent(&state.pool, viewer, layer).await,
    }
}

fn describe(layer: &Layer, viewer: &Viewer, base: &str, extent: &LayerExtent) -> Value {
    let url = format!("{base}/api/collections/{}", layer.id);
    let mut collection = Map::new();
    collection.insert("id".into(), json!(layer.id));
    collection.insert("title".into(), json!(layer.title.zh));
    collection.insert("title_en".into(), json!(layer.title.en));
    collection.insert("description".into(), json!(layer.description.zh));
    collection.insert("itemType".into(), json!("feature"));
    collection.insert("crs".into(), json!(PublishedCrs::LISTED.map(PublishedCrs::uri)));
    collection.insert("storageCrs".into(), json!(PublishedCrs::Cgcs2000.uri()));
    if let Some(rule) = layer.generalisation_for(viewer) {
        collection.insert("generalisation".into(), wire::generalisation(rule));
    }
    let mut spans = Map::new();
    if let Some(bbox) = extent.bbox {
        spans.insert("spatial".into(), json!({"bbox": [bbox], "crs": CRS84}));
    }
    if let Some(from) = extent.from {
        let from = format!("{from}T00:00:00Z");
        spans.insert(
            "temporal".into(),
            json!({"interval": [[from, null]], "trs": "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"}),
        );
    }
    collection.insert("extent".into(), Value::Object(spans));
    // The items without a parameter: GDAL asks for one of them by putting its id behind this address.
    let mut links = json!([
        {"rel": "self", "type": "application/json", "href": format!("{url}?f=json")},
        {"rel": "alternate", "type": "text/html", "href": format!("{url}?f=html")},
        {"rel": "items", "type": "application/geo+json", "title": layer.title.zh, "href": format!("{url}/items")},
        {"rel": "items", "type": "text/html", "title": layer.title.zh, "href": format!("{url}/items?f=html")},
        {"rel": "http://www.opengis.net/def/rel/ogc/1.0/queryables", "type": "application/schema+json", "href": format!("{url}/queryables")},
        {"rel": "describedby", "type": "application/schema+json", "href": format!("{url}/schema")},
        {"rel": tile_sets::TILESETS, "type": "application/json", "title": "矢量瓦片", "href": format!("{url}/tiles")},
    ]);
    if let (Some(links), true) = (links.as_array_mut(), layer.has_past()) {
        let changes = json!({"rel": "changes", "type": "application/json", "title": "变更", "href": format!("{url}/changes?since=0")});
        links.insert(links.len() - 2, changes);
    }
    collection.insert("links".into(), links);
    Value::Object(collection)
}

pub async fn get_queryables(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    json_schema(&request, &state, layer_of(&state, &path, &viewer), ("queryables", "可查询的属性"), |p| {
        p.queryable
    })
}

pub async fn get_schema(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    json_schema(&request, &state, layer_of(&state, &path, &viewer), ("schema", "属性结构"), |_| true)
}

/// `what`: the last segment of the address and the page's title.
fn json_schema(
    request: &HttpRequest,
    state: &State,
    layer: Result<&'static Layer, Problem>,
    what: (&str, &str),
    wanted: impl Fn(&Property) -> bool,
) -> Answer {
    let params = Params::read(request, &["f"], |_| false)?;
    let layer = layer?;
    let form = representation::form(request, &params)?;
    let base = representation::base_url(request, state);
    let url = format!("{base}/api/collections/{}/{}", layer.id, what.0);
    let chosen = || layer.properties.iter().filter(|p| wanted(p));
    if form == Form::Html {
        let mut rows: Vec<Vec<String>> = chosen()
            .map(|p| {
                vec![
                    format!("<code>{}</code>", p.name),
                    html::escape(p.title.zh),
                    html::escape(p.title.en),
                    p.unit_zh().unwrap_or_default().to_owned(),
                ]
            })
            .collect();
        let further =
            |name: &str, zh: &str, en: &str| vec![format!("<code>{name}</code>"), zh.into(), en.into(), String::new()];
        rows.extend(layer.life().iter().map(|day| further(day.name, day.title.zh, day.title.en)));
        if layer.geometry != GeometryKind::None {
            rows.push(further("geometry", "图形", "Geometry"));
        }
        let title = format!("{}：{}", layer.title.zh, what.1);
        let body = html::table(what.1, &["字段", "含义", "英文", "单位"], &rows);
        let page = html::page(&base, &title, &body, &format!("{url}?f=json"));
        return representation::html(None, page);
    }
    let mut properties: Map<String, Value> = chosen().map(|p| (p.name.to_owned(), property_schema(p))).collect();
    if what.0 == "schema" {
        properties.values_mut().for_each(or_null);
    } else {
        chosen().for_each(|p| tell_values(p, &mut properties[p.name]));
    }
    properties.extend(layer.life().iter().zip(LIFE_ROLES).map(|(day, role)| {
        let mut schema = life_schema(role, day.title.zh, day.title.en);
        if what.0 == "queryables" {
            // What a filter compares with is a day.
            schema["type"] = json!("string");
        }
        (day.name.to_owned(), schema)
    }));
    if layer.geometry != GeometryKind::None {
        let format = layer.geometry.schema_format();
        properties
            .insert("geometry".into(), json!({"format": format, "x-ogc-role": "primary-geometry", "title": "图形"}));
    }
    let document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": url, "type": "object",
        "title": layer.title.zh, "properties": properties, "additionalProperties": false,
    });
    representation::answer("application/schema+json; charset=utf-8", None, document.to_string())
}

/// What the days of a feature's life are to a client (OGC API Features Part 5, 10): `datetime` asks by them.
const LIFE_ROLES: [&str; 2] = ["primary-interval-start", "primary-interval-end"];

fn life_schema(role: &str, zh: &str, en: &str) -> Value {
    json!({"type": ["string", "null"], "format": "date", "title": zh, "x-title-en": en, "x-ogc-role": role})
}

/// The known values of a property with their titles, for whoever offers them; of codes there are no others.
fn tell_values(property: &Property, schema: &mut Value) {
    if property.values.is_empty() {
        return;
    }
    let told = property.values.iter().map(|v| json!({"value": v.value, "title": v.title.zh, "x-title-en": v.title.en}));
    schema["x-values"] = Value::Array(told.collect());
    if property.is_code() {
        let codes: Vec<&str> = property.values.iter().map(|v| v.value).collect();
        // (Of a list each member is one.)
        let of_one = if property.kind.is_list() { &mut schema["items"] } else { schema };
        of_one["enum"] = json!(codes);
    }
}

/// A value that a feature lacks is shown as `null`.
fn or_null(schema: &mut Value) {
    let kind = schema["type"].take();
    schema["type"] = json!([kind, "null"]);
}

/// The JSON schema of one property, with titles in both languages and the unit.
pub fn property_schema(property: &Property) -> Value {
    let mut schema = match property.kind {
        PropertyKind::Text => json!({"type": "string"}),
        PropertyKind::TextList => json!({"type": "array", "items": {"type": "string"}}),
        PropertyKind::Number => json!({"type": "number"}),
        PropertyKind::Integer => json!({"type": "integer"}),
        PropertyKind::Boolean => json!({"type": "boolean"}),
        PropertyKind::Date => json!({"type": "string", "format": "date"}),
        PropertyKind::DateTime => json!({"type": "string", "format": "date-time"}),
        PropertyKind::NumberList => json!({"type": "array", "items": {"type": "number"}}),
    };
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".into(), json!(property.title.zh));
        object.insert("x-title-en".into(), json!(property.title.en));
        if let Some(unit) = property.unit {
            object.insert("x-ogc-unit".into(), json!(unit));
        }
    }
    schema
}
