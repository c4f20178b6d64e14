//! `…/items/{id}`: one feature, for whoever reads it and as the answer to a write.

use actix_web::http::Method;
use actix_web::{HttpRequest, web};
use serde_json::{Value, json};

use super::auth;
use super::collections::{layer_of, outline_note};
use super::html;
use super::in_memory;
use super::items::{feature_value, mark, shown};
use super::params::{self, Params};
use super::past::Past;
use super::problem::Answer;
use super::representation::{self, Form};
use super::shape::{self, SHAPE_PARAMS};
use super::state::State;
use crate::domain::access::Viewer;
use crate::domain::items_query::{ItemsQuery, Period, Shape};
use crate::domain::layer::Layer;
use crate::domain::published_crs::PublishedCrs;
use crate::domain::{Finding, Ledger};
use crate::error::{Error, Result};
use crate::inventory::wire;
use crate::store::features;

/// Parameters of one feature, besides those of its shape.
const ITEM_PARAMS: [&str; 4] = ["datetime", "revision", "crs", "f"];

pub async fn get_item(request: HttpRequest, path: web::Path<(String, String)>, state: web::Data<State>) -> Answer {
    let (collection, id) = path.into_inner();
    let viewer = auth::viewer(&request, &state).await?;
    let layer = layer_of(&state, &collection, &viewer)?;
    let allowed: Vec<&str> = ITEM_PARAMS.into_iter().chain(SHAPE_PARAMS).collect();
    let params = Params::read(&request, &allowed, |_| false)?;
    let shape = shape::of(&params, layer)?;
    let form = shape::form(&request, &params, &shape)?;
    if id.contains('\0') {
        return Err(item_not_found(layer, &id).into());
    }
    let asked = Asked { params: &params, form, shape: &shape, remarks: &[], written: None };
    the_item(&request, &state, &viewer, layer, &id, asked).await
}

/// How one feature is shown.
pub(super) struct Asked<'a> {
    pub params: &'a Params,
    pub form: Form,
    pub shape: &'a Shape,
    /// What the judge of an edit had to say: a member `warnings` of the feature.
    pub remarks: &'a [Finding],
    /// Where this answers a write: what that made.
    pub written: Option<OwnWrite>,
}

/// The revision that a request has made.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnWrite {
    pub revision: i64,
    /// Whether the layers in memory show it.
    pub is_shown: bool,
}

/// One feature as these parameters ask for it. What may be edited has its version in a strong ETag (`"v12-…"`), which an edit names in
/// `If-Match`; the rest of the tag changes with the register, since a feature shows more than its own row.
pub(super) async fn the_item(
    request: &HttpRequest,
    state: &web::Data<State>,
    viewer: &Viewer,
    layer: &Layer,
    id: &str,
    Asked { params, form, shape, remarks, written }: Asked<'_>,
) -> Answer {
    let base = representation::base_url(request, state);
    params::refuse_time(params, layer)?;
    let period = params::period(params)?;
    let past = Past::read(params, state).await?;
    // An edit names its system by a header, which is no part of the address; and with warnings it is another body than a reader's.
    let representation_of = [&[form as u8, u8::from(!remarks.is_empty())], shape.crs.uri().as_bytes()].concat();
    let revision_mark = mark(state, layer, viewer, past.revision).await?;
    let mut etag = representation::etag_of(request, &base, &representation_of, &revision_mark);
    // A page for people names the feature by more than what is asked for.
    let plain = Shape::default();
    let shown_as = if form == Form::Html { &plain } else { shape };
    let found = found(request, state, (viewer, layer, id, shown_as), (period, past.revision), written).await?;
    let Found { id, value: mut parsed, revision, version } = found.ok_or_else(|| item_not_found(layer, id))?;
    if let Some(version) = version {
        etag = representation::versioned(&etag, version);
    }
    if representation::is_current(request, &etag) && matches!(*request.method(), Method::GET | Method::HEAD) {
        return representation::not_modified(&etag);
    }
    let url = format!("{base}/api/collections/{}/items/{}", layer.id, representation::encode(&id));
    if form == Form::Html {
        let name = html::text_of(&parsed["properties"]["name"]);
        let title = format!("{} {id} {name}", layer.title.zh);
        let body = ways_on(layer, &base, &parsed) + &outline_note(layer, viewer) + &item_page(layer, &parsed, shape);
        let json_url = format!("{url}?{}", representation::query_string(&params.with("f", "json")));
        let page = html::page(&base, title.trim(), &body, &json_url);
        return past.mark(representation::html(Some(&etag), page), revision, layer.visibility);
    }
    if let Some(members) = parsed.as_object_mut() {
        let href = |pairs: &[(String, String)]| format!("{url}?{}", representation::query_string(pairs));
        let people = shape::for_people(params).unwrap_or_else(|| params.with("f", "html"));
        let forms = (href(&params.with("f", "json")), href(&people));
        members.insert("links".into(), links(layer, &base, &url, forms));
        if shape.crs != PublishedCrs::Crs84 {
            members.insert("coordRefSys".into(), json!(shape.crs.uri()));
        }
        if let Some(rule) = layer.generalisation_for(viewer) {
            members.insert("generalisation".into(), wire::generalisation(rule));
        }
        if !remarks.is_empty() {
            members.insert("warnings".into(), wire::findings(remarks));
        }
    }
    in_memory::told_stale(
        past.mark(representation::geojson(&etag, parsed.to_string(), shape.crs), revision, layer.visibility),
        state,
        &[layer],
    )
}

/// A feature as it is to be shown.
struct Found {
    id: String,
    value: Value,
    /// The revision of the state that it is read from.
    revision: i64,
    /// Of a ledger's record as it stands: the revision that wrote it.
    version: Option<i64>,
}

/// Whose view of which feature, in which shape.
type Wanted<'a> = (&'a Viewer, &'a Layer, &'a str, &'a Shape);

/// The feature of the moment that is asked for; what answers a write, as that wrote it.
async fn found(
    request: &HttpRequest,
    state: &State,
    wanted: Wanted<'_>,
    moment: (Option<Period>, Option<i64>),
    written: Option<OwnWrite>,
) -> Result<Option<Found>> {
    if moment != (None, None) {
        return as_it_was(state, wanted, moment).await;
    }
    // What answers a write is read from where it was written, unless that is shown here already.
    let by_memory = written.map_or(request.method().is_safe(), |own| own.is_shown);
    let found = standing(state, wanted, by_memory).await?;
    let is_later = |found: &Found, own: OwnWrite| found.version.is_some_and(|version| version > own.revision);
    match written.filter(|own| found.as_ref().is_none_or(|found| is_later(found, *own))) {
        // Somebody has written on since: the tag is stale as it should be.
        Some(own) => {
            let own_state = as_it_was(state, wanted, (None, Some(own.revision))).await?;
            Ok(own_state.map(|found| Found { version: Some(own.revision), ..found }))
        }
        None => Ok(found),
    }
}

/// The feature as it stands.
async fn standing(state: &State, (viewer, layer, id, shown_as): Wanted<'_>, by_memory: bool) -> Result<Option<Found>> {
    let is_ledger = Ledger::of_layer(layer.id).is_some();
    let held = state
        .held(layer)
        .filter(|held| by_memory && held.snapshot_for(layer.detail_for(viewer)).knows(&viewer.jurisdiction));
    if let Some(held) = held {
        let snapshot = held.snapshot_for(layer.detail_for(viewer));
        let Some(picked) = snapshot.find(id, &viewer.jurisdiction) else { return Ok(None) };
        let mut text = String::new();
        in_memory::write_shaped(&mut text, snapshot, picked, shown_as);
        let value = serde_json::from_str(&text).map_err(|cause| Error::internal("要素无法解读", cause))?;
        let (id, version) = (snapshot.id(picked).to_owned(), is_ledger.then(|| snapshot.version(picked)));
        return Ok(Some(Found { id, value, revision: held.revision, version }));
    }
    if !is_ledger {
        return as_it_was(state, (viewer, layer, id, shown_as), (None, None)).await;
    }
    let Some(found) = Box::pin(features::find_versioned(&state.pool, viewer, layer, id)).await? else {
        return Ok(None);
    };
    let value = feature_value(&found.feature, shown_as)?;
    Ok(Some(Found { id: found.feature.id, value, revision: found.newest, version: Some(found.version) }))
}

/// The feature as the database has it of a period or a revision.
async fn as_it_was(
    state: &State,
    (viewer, layer, id, shown_as): Wanted<'_>,
    (period, revision): (Option<Period>, Option<i64>),
) -> Result<Option<Found>> {
    let query = ItemsQuery { period, revision, ..ItemsQuery::default() };
    let (feature, revision) = Box::pin(features::find_item(&state.pool, viewer, layer, id, &query)).await?;
    let Some(feature) = feature else { return Ok(None) };
    let value = feature_value(&feature, shown_as)?;
    Ok(Some(Found { id: feature.id, value, revision, version: None }))
}

/// Ways from a feature: to its other form, its layer, and what else is known of it.
fn links(layer: &Layer, base: &str, url: &str, (own, people): (String, String)) -> Value {
    let mut links = vec![
        json!({"rel": "self", "type": "application/geo+json", "href": own}),
        json!({"rel": "alternate", "type": "text/html", "href": people}),
    ];
    if layer.has_past() {
        let href = format!("{url}/history?f=json");
        links.push(json!({"rel": "version-history", "type": "application/json", "title": "沿革", "href": href}));
    }
    let collection = format!("{base}/api/collections/{}", layer.id);
    links.push(json!({"rel": "collection", "type": "application/json", "title": layer.title.zh, "href": collection}));
    if Ledger::of_layer(layer.id).is_some() {
        let href = format!("{url}/attachments");
        links.push(json!({"rel": "related", "type": "application/json", "title": "附件", "href": href}));
    }
    Value::Array(links)
}

/// 404 for a feature that there is not, or not for this viewer.
pub fn item_not_found(layer: &Layer, id: &str) -> Error {
    let shown: String = id.chars().filter(|c| !c.is_control()).take(40).collect();
    Error::not_found("item_not_found", format!("图层“{}”中没有标识为“{shown}”的要素", layer.title.zh))
}

/// From a feature to its layer and to its park's card.
fn ways_on(layer: &Layer, base: &str, feature: &Value) -> String {
    let base = html::escape(base);
    let title = html::escape(layer.title.zh);
    let park = match layer.id {
        "parks" => feature["properties"]["code"].as_str(),
        // (A column of this name in an operator's table may mean other parks.)
        _ if layer.extra.is_some() => None,
        _ => feature["properties"]["park_code"].as_str(),
    };
    let card = park
        .map(|code| format!(" · <a href=\"{base}/api/parks/{}?f=html\">园区卡片</a>", representation::encode(code)));
    let id = representation::encode(feature["id"].as_str().unwrap_or_default());
    let history = match layer.has_past() {
        true => format!(" · <a href=\"{base}/api/collections/{}/items/{id}/history?f=html\">沿革</a>", layer.id),
        false => String::new(),
    };
    format!(
        "<p><a href=\"{base}/api/collections?f=html\">图层</a> › <a href=\"{base}/api/collections/{0}/items?f=html\">{title}</a>{1}{history}</p>",
        layer.id,
        card.unwrap_or_default(),
    )
}

/// One feature for people: the properties that are asked for with their units, the days of its life, what its geometry is.
fn item_page(layer: &Layer, feature: &Value, shape: &Shape) -> String {
    let is_wanted = |name: &str| shape.properties.as_ref().is_none_or(|names| names.contains(&name));
    let value = |name: &str| html::escape(&html::text_of(&feature["properties"][name]));
    let properties = layer.properties.iter().filter(|p| is_wanted(p.name));
    let properties = properties.map(|p| (p.heading_zh(), shown(p, &feature["properties"][p.name])));
    let life = layer.life().iter().filter(|day| is_wanted(day.name));
    let life = life.map(|day| (day.title.zh.to_owned(), value(day.name)));
    let geometry = match (feature["geometry"]["type"].as_str(), feature["geometry"]["coordinates"].as_array()) {
        (Some("MultiPolygon"), Some(parts)) => format!("面，{} 个部分", parts.len()),
        (Some("Polygon"), _) => "面，1 个部分".to_owned(),
        (Some("Point"), _) => "点".to_owned(),
        (Some("MultiPoint"), Some(parts)) => format!("点，{} 个", parts.len()),
        (Some("LineString"), _) => "线，1 个部分".to_owned(),
        (Some("MultiLineString"), Some(parts)) => format!("线，{} 个部分", parts.len()),
        (Some("GeometryCollection"), _) => "多种图形的集合".to_owned(),
        _ => "没有图形".to_owned(),
    };
    let pairs: Vec<_> = properties.chain(life).chain([("图形".to_owned(), geometry)]).collect();
    html::definitions(&pairs)
}
