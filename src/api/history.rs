//! `…/items/{id}/history`: what each revision made of a feature, newest first.

use std::fmt::Write as _;

use actix_web::{HttpRequest, web};
use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use super::auth;
use super::collections::{layer_of, with_past};
use super::html;
use super::item::item_not_found;
use super::items;
use super::params::{Params, shorten};
use super::problem::Answer;
use super::representation::{self, Form};
use super::state::State;
use crate::domain::SquareMetres;
use crate::domain::area::round_decimal;
use crate::domain::detail::Detail;
use crate::domain::layer::{LIFE, Layer};
use crate::error::{Error, Result};
use crate::geometry::difference::Difference;
use crate::inventory::history::{self, ChangedProperty, GeometryChange, History, Told};
use crate::layers::geojson;

/// Revisions of a page; each costs the feature once more.
const DEFAULT_LIMIT: u32 = 20;
const MOST: u32 = 100;

pub async fn list_history(request: HttpRequest, path: web::Path<(String, String)>, state: web::Data<State>) -> Answer {
    let (collection, id) = path.into_inner();
    let viewer = auth::viewer(&request, &state).await?;
    let layer = with_past(layer_of(&state, &collection, &viewer)?)?;
    let params = Params::read(&request, &["limit", "before", "f"], |_| false)?;
    let form = representation::form(&request, &params)?;
    let limit = params.limit(DEFAULT_LIMIT)?.min(MOST);
    let before = params.get("before").map(parse_before).transpose()?;
    if id.contains('\0') {
        return Err(item_not_found(layer, &id).into());
    }
    let base = representation::base_url(&request, &state);
    let etag = representation::etag(&request, &base, form, &items::mark(&state, layer, &viewer, None).await?);
    let told = history::tell(&state.pool, &viewer, layer, &id, before, limit as usize).await?;
    let told = told.ok_or_else(|| item_not_found(layer, &id))?;
    if representation::is_current(&request, &etag) {
        return representation::not_modified(&etag);
    }
    let document = document((layer, layer.detail_for(&viewer)), &base, &id, &params, &told, form);
    if form == Form::Html {
        let title = format!("{} {id} 沿革", layer.title.zh);
        let url = item_url(layer, &base, &id);
        let page = html::page(&base, &title, &page(layer, &document, &url), &format!("{url}/history?f=json"));
        return representation::html(Some(&etag), page);
    }
    representation::json(Some(&etag), &document)
}

fn parse_before(text: &str) -> Result<i64> {
    let digits = Some(text).filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()));
    digits
        .map(|t| t.parse().unwrap_or(i64::MAX))
        .ok_or_else(|| Error::invalid("value_invalid", format!("before 应为修订号（整数），不是“{}”", shorten(text))))
}

fn item_url(layer: &Layer, base: &str, id: &str) -> String {
    format!("{base}/api/collections/{}/items/{}", layer.id, representation::encode(id))
}

fn document(
    (layer, detail): (&Layer, Detail),
    base: &str,
    id: &str,
    params: &Params,
    told: &History,
    form: Form,
) -> Value {
    let url = item_url(layer, base, id);
    let href = |pairs: &[(String, String)]| format!("{url}/history?{}", representation::query_string(pairs));
    let rel = |this: Form| if this == form { "self" } else { "alternate" };
    let mut links = vec![
        json!({"rel": rel(Form::Json), "type": "application/json", "href": href(&params.with("f", "json"))}),
        json!({"rel": rel(Form::Html), "type": "text/html", "href": href(&params.with("f", "html"))}),
        json!({"rel": "item", "type": "application/geo+json", "href": format!("{url}?f=json")}),
    ];
    if let Some(last) = told.entries.last().filter(|_| told.more) {
        let kind = if form == Form::Json { "application/json" } else { "text/html" };
        let pairs = params.with("before", &last.entry.head.number.to_string());
        links.push(json!({"rel": "next", "type": kind, "title": "更早", "href": href(&pairs)}));
    }
    let revisions: Vec<Value> = told.entries.iter().map(|told| entry(layer, detail, &url, told)).collect();
    json!({
        "collection": layer.id, "id": id, "numberMatched": told.matched, "numberReturned": revisions.len(),
        "revisions": revisions, "links": links,
    })
}

fn entry(layer: &Layer, detail: Detail, url: &str, told: &Told) -> Value {
    let head = &told.entry.head;
    let rows: Vec<Value> = told
        .entry
        .rows
        .iter()
        .filter_map(|row| {
            let source = layer.sources.get(row.source)?;
            let valid_from = row.valid_from.as_deref().filter(|day| *day != "-infinity");
            Some(json!({
                "table": source.table, "title": source.title.zh, "id": row.id, "valid_from": valid_from,
                "operation": row.operation,
            }))
        })
        .collect();
    let operation = match (&told.entry.before, &told.entry.after) {
        (None, Some(_)) => "added",
        (Some(_), None) => "removed",
        _ => "changed",
    };
    json!({
        "revision": head.number,
        "made_at": head.made_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        "actor": head.actor,
        "reason": head.reason,
        "source": head.source,
        "operation": operation,
        "rows": rows,
        "properties": told.properties.iter().map(property).collect::<Vec<_>>(),
        "geometry": geometry(&told.geometry, detail),
        "links": [{"rel": "item", "type": "application/geo+json", "href": format!("{url}?revision={}&f=json", head.number)}],
    })
}

fn property(changed: &ChangedProperty) -> Value {
    let life = || LIFE.iter().find(|day| day.name == changed.name).map(|day| day.title.zh.to_owned());
    let title = changed.property.map(|p| p.heading_zh()).or_else(life).unwrap_or_default();
    json!({"name": changed.name, "title": title, "before": changed.before, "after": changed.after})
}

/// `null` where the boundary stayed as it was.
fn geometry(change: &GeometryChange, detail: Detail) -> Value {
    match change {
        GeometryChange::Same => Value::Null,
        GeometryChange::TooComplex => json!({"omitted": "too_complex"}),
        GeometryChange::Different(difference) => difference_json(difference, detail),
    }
}

/// Areas are numbers of the register; the land itself has the surveyed vertices, which the public is not shown. (The outlines before and
/// after are to be had by `revision`.)
fn difference_json(difference: &Difference, detail: Detail) -> Value {
    let m2 = |area: SquareMetres| round_decimal(area.value(), 2);
    let mut object = Map::new();
    for (name, area) in [
        ("before_m2", difference.before),
        ("after_m2", difference.after),
        ("added_m2", difference.added),
        ("removed_m2", difference.removed),
    ] {
        object.insert(name.to_owned(), json!(m2(area)));
    }
    match &difference.shapes {
        Some(_) if detail == Detail::Outline => {
            object.insert("omitted".to_owned(), json!("generalised"));
        }
        Some(shapes) => {
            for (name, shape) in [("added", &shapes.added), ("removed", &shapes.removed)] {
                let shown = (!shape.0.is_empty()).then(|| geojson::geometry(shape));
                object.insert(name.to_owned(), json!(shown));
            }
        }
        None => {
            object.insert("omitted".to_owned(), json!("too_complex"));
        }
    }
    Value::Object(object)
}

/// The same for people.
fn page(layer: &Layer, document: &Value, url: &str) -> String {
    let mut body = format!(
        "<p><a href=\"{}?f=html\">{}</a></p>",
        html::escape(url),
        html::escape(&html::text_of(&document["id"]))
    );
    let revisions = document["revisions"].as_array().map(Vec::as_slice).unwrap_or_default();
    for revision in revisions {
        let text = |name: &str| html::escape(&html::text_of(&revision[name]));
        let _ = write!(
            body,
            "<h2>修订 {}：{}</h2><p>{}（UTC） · {} · {}{}</p>",
            text("revision"),
            operation_zh(&revision["operation"]),
            text("made_at"),
            text("actor"),
            text("reason"),
            if text("source").is_empty() { String::new() } else { format!(" · {}", text("source")) },
        );
        body.push_str(&rows_list(layer, &revision["rows"]));
        body.push_str(&properties_table(&revision["properties"]));
        body.push_str(&geometry_line(&revision["geometry"]));
    }
    if revisions.is_empty() {
        body.push_str("<p>更早没有修订。</p>");
    }
    let next = document["links"].as_array().and_then(|links| links.iter().find(|link| link["rel"] == "next"));
    if let Some(href) = next.and_then(|link| link["href"].as_str()) {
        let _ = write!(body, "<p><a rel=\"next\" href=\"{}\">更早</a></p>", html::escape(href));
    }
    body
}

fn operation_zh(operation: &Value) -> &'static str {
    match operation.as_str() {
        Some("added" | "insert") => "新增",
        Some("removed" | "delete") => "移除",
        _ => "修改",
    }
}

fn rows_list(layer: &Layer, rows: &Value) -> String {
    // Of a layer with one table there is nothing to tell apart.
    let rows = rows.as_array().filter(|_| layer.sources.len() > 1).map(Vec::as_slice).unwrap_or_default();
    let item = |row: &Value| {
        let text = |name: &str| html::escape(&html::text_of(&row[name]));
        format!("{} {}（{}）", text("title"), text("id"), operation_zh(&row["operation"]))
    };
    if rows.is_empty() {
        String::new()
    } else {
        format!("<p>{}</p>", rows.iter().map(item).collect::<Vec<_>>().join("，"))
    }
}

fn properties_table(properties: &Value) -> String {
    let cell = |value: &Value| html::escape(&html::text_of(value));
    let list = properties.as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Vec<String>> =
        list.iter().map(|p| vec![cell(&p["title"]), cell(&p["before"]), cell(&p["after"])]).collect();
    if rows.is_empty() { String::new() } else { html::table("属性变化", &["属性", "原值", "新值"], &rows) }
}

fn geometry_line(geometry: &Value) -> String {
    let Some(added) = geometry["added_m2"].as_f64() else {
        let complex = geometry["omitted"].is_string();
        return if complex {
            "<p>图形有变化，过于复杂，没有比较。</p>".to_owned()
        } else {
            String::new()
        };
    };
    let m2 = |name: &str| geometry[name].as_f64().unwrap_or_default();
    format!(
        "<p>图形：由 {:.2} m² 变为 {:.2} m²，增加 {added:.2} m²，减少 {:.2} m²。</p>",
        m2("before_m2"),
        m2("after_m2"),
        m2("removed_m2")
    )
}
