//! `…/items`: the features of a layer.

use std::fmt::Write as _;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::error::BlockingError;
use actix_web::{HttpRequest, web};
use chrono::{SecondsFormat, Utc};
use serde_json::Value;

use super::auth;
use super::collections::{layer_of, outline_note};
use super::in_memory;
use super::page_links::PageLinks;
use super::params::{self, EXPORT_PARAMS, PAGE_PARAMS, Params, QUESTION_PARAMS};
use super::past::Past;
use super::problem::{Answer, Problem};
use super::representation::{self, Form};
use super::shape::{self, SHAPE_PARAMS};
use super::state::State;
use super::{READ_TIME, exports, html};
use crate::domain::Ledger;
use crate::domain::access::Viewer;
use crate::domain::generalisation::Generalisation;
use crate::domain::items_query::{After, ItemsQuery, Shape};
use crate::domain::layer::{Layer, Property, PropertyKind, Visibility};
use crate::domain::published_crs::PublishedCrs;
use crate::error::{Error, Result};
use crate::inventory::{today, wire};
use crate::layers::shaped;
use crate::store::features::{self, FeatureRow, Page};
use crate::store::{as_of, extra};

pub async fn list_items(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    let layer = layer_of(&state, &path, &viewer)?;
    let allowed: Vec<&str> =
        QUESTION_PARAMS.into_iter().chain(PAGE_PARAMS).chain(SHAPE_PARAMS).chain(EXPORT_PARAMS).collect();
    let params = Params::read(&request, &allowed, |name| params::parameter_of(layer, name).is_some())?;
    if let Some(format) = exports::wanted(&request, &params)? {
        return Box::pin(exports::download(&request, &state, layer, &params, format)).await;
    }
    exports::refuse_options(&params)?;
    let page = list_page(&request, &state, &viewer, layer, &params);
    tokio::time::timeout(READ_TIME, page).await.unwrap_or_else(|_| Err(Problem::too_long()))
}

async fn list_page(
    request: &HttpRequest,
    state: &web::Data<State>,
    viewer: &Viewer,
    layer: &Layer,
    params: &Params,
) -> Answer {
    let mut query = ItemsQuery { shape: shape::of(params, layer)?, ..params::items_query(params, layer)? };
    let form = shape::form(request, params, &query.shape)?;
    let base = representation::base_url(request, state);
    let past = Past::read(params, state).await?;
    query.revision = past.revision;
    // The number is read before the data: an ETag may be older than its body, never newer.
    let etag = representation::etag(request, &base, form, &mark(state, layer, viewer, past.revision).await?);
    if representation::is_current(request, &etag) {
        return in_memory::told_stale(representation::not_modified(&etag), state, &[layer]);
    }
    if form == Form::Json
        && let Some(held) = state.held(layer)
        && let snapshot = held.snapshot_for(layer.detail_for(viewer))
        && let Some(selection) = in_memory::select(snapshot, &query, viewer).await?
    {
        let next = selection.picked.last().filter(|_| selection.more);
        let next = next.map(|last| {
            let id = snapshot.id(*last).to_owned();
            After { id, from: snapshot.from_day(*last), keys: Vec::new() }
        });
        let links = PageLinks::of(layer, &base, params, next, form, past);
        let (crs, shape) = (query.shape.crs, query.shape);
        let outlined = layer.generalisation_for(viewer);
        let opening = opening(selection.matched, selection.picked.len(), &links, crs, outlined);
        let snapshot = Arc::clone(snapshot);
        let body = if shape == Shape::default() {
            in_memory::picked_body(snapshot, opening, selection.picked)
        } else {
            in_memory::shaped_body(snapshot, opening, selection.picked, shape).boxed()
        };
        let answer = past.mark(representation::geojson(&etag, body, crs), held.revision, layer.visibility);
        return in_memory::told_stale(answer, state, &[layer]);
    }
    // Boxed, as what else asks the database: it is large, and is moved with the future of every answer from memory.
    let page = Box::pin(features::list_items(&state.pool, viewer, layer, &query)).await?;
    let next = page.features.last().filter(|_| page.more);
    let next = next.map(|last| After { id: last.id.clone(), from: last.from, keys: last.keys.clone() });
    let links = PageLinks::of(layer, &base, params, next, form, past);
    if form == Form::Html {
        let body = outline_note(layer, viewer)
            + &items_page(layer, &base, &page, &links, &query.shape)
            + &exports::ways_to_download(layer, viewer, &base, params);
        let json_url = format!(
            "{base}/api/collections/{}/items?{}",
            layer.id,
            representation::query_string(&params.with("f", "json"))
        );
        let page_of_people = html::page(&base, layer.title.zh, &body, &json_url);
        return past.mark(representation::html(Some(&etag), page_of_people), page.revision, layer.visibility);
    }
    let (revision, crs, outlined) = (page.revision, query.shape.crs, layer.generalisation_for(viewer).copied());
    let body = match query.shape.offset {
        None => collection_text(&page, &links, &query.shape, outlined.as_ref()),
        // Thinning looks at every vertex several times: not on a thread that others wait for.
        Some(_) => web::block(move || collection_text(&page, &links, &query.shape, outlined.as_ref()))
            .await
            .map_err(of_writing)?,
    };
    past.mark(representation::geojson(&etag, body, crs), revision, layer.visibility)
}

/// The register's revision, and who may see it where not everybody sees the same: a browser that changes hands must not
/// be told that what it holds is current.
pub(super) async fn mark(state: &State, layer: &Layer, viewer: &Viewer, revision: Option<i64>) -> Result<String> {
    let revision = match state.held(layer).filter(|_| revision.is_none()) {
        Some(held) => held.mark.clone(),
        // The register's revision says nothing of an operator's table.
        None if layer.extra.is_some() => Box::pin(extra::mark(&state.pool)).await?,
        // Timers go by the day, of what a ledger was once as well.
        None if Ledger::of_layer(layer.id).is_some() => {
            format!("{}-{}", Box::pin(as_of::mark(&state.pool, revision)).await?, today())
        }
        None => Box::pin(as_of::mark(&state.pool, revision)).await?,
    };
    Ok(match layer.visibility {
        Visibility::Public => with_detail(revision, layer, viewer),
        Visibility::Internal | Visibility::Staff => format!("{revision}-{}", auth::scope_mark(viewer)),
    })
}

/// The mark of a public layer, another one for those who see more of its shapes; and another one under another rule: what a cache holds
/// from before a declaration was changed is not current.
pub(super) fn with_detail(mark: String, layer: &Layer, viewer: &Viewer) -> String {
    match (&layer.generalisation, layer.generalisation_for(viewer)) {
        (None, _) => mark,
        (Some(_), None) => format!("{mark}-surveyed"),
        (Some(_), Some(rule)) => format!("{mark}-o{}-{}", rule.tolerance_m, rule.decimals),
    }
}

/// Bytes before the features of most pages.
const OPENING: usize = 1_024;

/// A feature collection up to its first feature.
fn opening(
    matched: impl std::fmt::Display,
    returned: usize,
    links: &PageLinks,
    crs: PublishedCrs,
    outlined: Option<&Generalisation>,
) -> String {
    let mut text = String::with_capacity(OPENING);
    text.push_str("{\"type\":\"FeatureCollection\",");
    // A file that was kept must say by itself what its numbers are. (Writing to a string does not fail.)
    if crs != PublishedCrs::Crs84 {
        let _ = write!(text, "\"coordRefSys\":\"{}\",", crs.uri());
    }
    if let Some(rule) = outlined {
        let _ = write!(text, "\"generalisation\":{},", wire::generalisation(rule));
    }
    let stamp = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let _ =
        write!(text, "\"numberMatched\":{matched},\"numberReturned\":{returned},\"timeStamp\":\"{stamp}\",\"links\":");
    links.write(&mut text);
    text.push_str(",\"features\":[");
    text
}

fn of_writing(cause: BlockingError) -> Error {
    Error::internal("写出要素时程序出错", cause)
}

/// The page as a feature collection.
fn collection_text(page: &Page, links: &PageLinks, shape: &Shape, outlined: Option<&Generalisation>) -> String {
    let mut text = opening(page.matched, page.features.len(), links, shape.crs, outlined);
    text.reserve(1_024 * page.features.len());
    for (i, feature) in page.features.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        write_feature(&mut text, feature, shape);
    }
    text.push_str("]}");
    text
}

/// The feature as GeoJSON.
pub(super) fn write_feature(out: &mut String, row: &FeatureRow, shape: &Shape) {
    shaped::feature(out, &row.id, &row.properties, row.geometry.as_ref(), shape);
}

/// The feature as a JSON value, to be read or added to.
pub(super) fn feature_value(row: &FeatureRow, shape: &Shape) -> Result<Value> {
    let mut text = String::new();
    write_feature(&mut text, row, shape);
    serde_json::from_str(&text).map_err(|cause| Error::internal("要素无法解读", cause))
}

fn items_page(layer: &Layer, base: &str, page: &Page, links: &PageLinks, shape: &Shape) -> String {
    // The id stands in front, as the link.
    let wanted = |p: &Property| shape.properties.as_ref().is_none_or(|names| names.contains(&p.name));
    // The days of a life where they are named: without them a page is wide enough.
    let life = layer.life().iter().filter(|_| shape.properties.is_some());
    let shown_properties: Vec<&Property> =
        layer.properties.iter().chain(life).filter(|p| p.name != "id" && wanted(p)).collect();
    let headings: Vec<String> = shown_properties.iter().map(|p| p.heading_zh()).collect();
    let head: Vec<&str> = std::iter::once("标识").chain(headings.iter().map(String::as_str)).collect();
    let rows: Vec<Vec<String>> = page
        .features
        .iter()
        .map(|feature| {
            let properties: Value = serde_json::from_str(&feature.properties).unwrap_or(Value::Null);
            let link = format!(
                "<a href=\"{}/api/collections/{}/items/{}?f=html\">{}</a>",
                html::escape(base),
                layer.id,
                representation::encode(&feature.id),
                html::escape(&feature.id)
            );
            let cells = shown_properties.iter().map(|p| shown(p, &properties[p.name]));
            std::iter::once(link).chain(cells).collect()
        })
        .collect();
    let is_number = |p: &Property| matches!(p.kind, PropertyKind::Number | PropertyKind::Integer);
    let numbers: Vec<usize> = (1..).zip(&shown_properties).filter(|(_, p)| is_number(p)).map(|(at, _)| at).collect();
    let next = links
        .next()
        .map(|href| format!("<p><a rel=\"next\" href=\"{}\">下一页</a></p>", html::escape(href)))
        .unwrap_or_default();
    if page.features.is_empty() && page.matched > 0 {
        return format!("<p>共 {} 个要素；这一页在它们之后，请减小 offset。</p>", page.matched);
    }
    if page.features.is_empty() {
        return "<p>没有符合条件的要素；请放宽范围、时间或属性条件。</p>".to_owned();
    }
    format!(
        "<p>共 {} 个要素，本页 {} 个。</p>{}{next}",
        page.matched,
        page.features.len(),
        html::table_of(layer.title.zh, &head, &numbers, &rows)
    )
}

/// A value as people read it: words for the register's codes, areas with the decimals of their unit (domain.md §9).
pub(super) fn shown(property: &Property, value: &Value) -> String {
    let decimals = match property.unit {
        Some("ha") => 4,
        Some(_) => 2,
        None => 0,
    };
    let is_area = matches!(property.unit, Some("ha" | "m2" | "mu"));
    // (The words of other codes stand in properties of their own.)
    let known = value
        .as_str()
        .filter(|_| matches!(property.name, "status" | "level"))
        .and_then(|word| property.values.iter().find(|known| known.value == word));
    match value {
        _ if known.is_some() => html::escape(known.map_or("", |known| known.title.zh)),
        Value::Number(n) if is_area => n.as_f64().map(|n| format!("{n:.decimals$}")).unwrap_or_default(),
        value => html::escape(&html::text_of(value)),
    }
}
