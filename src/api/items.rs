//! `…/items` and `…/items/{id}`: the features of a layer.

use std::fmt::Write as _;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::error::BlockingError;
use actix_web::http::Method;
use actix_web::{HttpRequest, web};
use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};

use super::auth;
use super::collections::{LIFE, layer_of, outline_note};
use super::in_memory;
use super::page_links::PageLinks;
use super::params::{self, EXPORT_PARAMS, PAGE_PARAMS, Params, QUESTION_PARAMS};
use super::past::Past;
use super::problem::{Answer, Problem};
use super::representation::{self, Form};
use super::shape::{self, SHAPE_PARAMS};
use super::state::State;
use super::{READ_TIME, exports, html};
use crate::domain::access::Viewer;
use crate::domain::generalisation::Generalisation;
use crate::domain::items_query::{After, ItemsQuery, Period, Shape};
use crate::domain::layer::{Layer, Property, PropertyKind, Visibility};
use crate::domain::published_crs::PublishedCrs;
use crate::domain::{Finding, Ledger};
use crate::error::{Error, Result};
use crate::inventory::wire;
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
    let form = representation::form(request, params)?;
    let mut query = ItemsQuery { shape: shape::of(params, layer)?, ..params::items_query(params, layer)? };
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
        None => Box::pin(as_of::mark(&state.pool, revision)).await?,
    };
    Ok(match layer.visibility {
        Visibility::Public => with_detail(revision, layer, viewer),
        Visibility::Internal => format!("{revision}-{}", auth::scope_mark(viewer)),
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
    let shown_properties: Vec<&Property> = layer.properties.iter().filter(|p| p.name != "id" && wanted(p)).collect();
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

/// Parameters of one feature, besides those of its shape.
const ITEM_PARAMS: [&str; 4] = ["datetime", "revision", "crs", "f"];

pub async fn get_item(request: HttpRequest, path: web::Path<(String, String)>, state: web::Data<State>) -> Answer {
    let (collection, id) = path.into_inner();
    let viewer = auth::viewer(&request, &state).await?;
    let layer = layer_of(&state, &collection, &viewer)?;
    let allowed: Vec<&str> = ITEM_PARAMS.into_iter().chain(SHAPE_PARAMS).collect();
    let params = Params::read(&request, &allowed, |_| false)?;
    let form = representation::form(&request, &params)?;
    let shape = shape::of(&params, layer)?;
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
    // A page for people shows the whole feature.
    let plain = Shape::default();
    let shown_as = if form == Form::Html { &plain } else { shape };
    let found = match period.is_none() && past.revision.is_none() {
        // What answers a write is read from where it was written, unless that is shown here already.
        true => {
            let by_memory = written.map_or(request.method().is_safe(), |own| own.is_shown);
            standing(state, viewer, layer, id, shown_as, by_memory).await?
        }
        false => as_it_was(state, viewer, layer, id, shown_as, (period, past.revision)).await?,
    };
    // Somebody has written on since: what answers a write is what it wrote, with a tag that is stale as it should be.
    let overtaken = written
        .filter(|own| found.as_ref().is_none_or(|found| found.version.is_some_and(|version| version > own.revision)));
    let found = match overtaken {
        Some(own) => {
            let own_state = as_it_was(state, viewer, layer, id, shown_as, (None, Some(own.revision))).await?;
            own_state.map(|found| Found { version: Some(own.revision), ..found })
        }
        None => found,
    };
    let Found { id, value: mut parsed, revision, version } = found.ok_or_else(|| item_not_found(layer, id))?;
    if let Some(version) = version {
        let rest = etag.trim_start_matches("W/").trim_matches('"').to_owned();
        etag = format!("\"v{version}-{rest}\"");
    }
    if representation::is_current(request, &etag) && matches!(*request.method(), Method::GET | Method::HEAD) {
        return representation::not_modified(&etag);
    }
    let url = format!("{base}/api/collections/{}/items/{}", layer.id, representation::encode(&id));
    if form == Form::Html {
        let name = html::text_of(&parsed["properties"]["name"]);
        let title = format!("{} {id} {name}", layer.title.zh);
        let body = ways_on(layer, &base, &parsed) + &outline_note(layer, viewer) + &item_page(layer, &parsed);
        let json_url = format!("{url}?{}", representation::query_string(&params.with("f", "json")));
        let page = html::page(&base, title.trim(), &body, &json_url);
        return past.mark(representation::html(Some(&etag), page), revision, layer.visibility);
    }
    if let Some(object) = parsed.as_object_mut() {
        let href = |form: &str| format!("{url}?{}", representation::query_string(&params.with("f", form)));
        let mut links = json!([
            {"rel": "self", "type": "application/geo+json", "href": href("json")},
            {"rel": "alternate", "type": "text/html", "href": href("html")},
            {"rel": "collection", "type": "application/json", "title": layer.title.zh, "href": format!("{base}/api/collections/{}", layer.id)},
        ]);
        if let (Some(links), true) = (links.as_array_mut(), layer.has_past()) {
            // Ahead of the way back to the collection.
            links.insert(2, json!({"rel": "version-history", "type": "application/json", "title": "沿革", "href": format!("{url}/history?f=json")}));
        }
        if let (Some(links), Some(_)) = (links.as_array_mut(), Ledger::of_layer(layer.id)) {
            links.push(json!({"rel": "related", "type": "application/json", "title": "附件", "href": format!("{url}/attachments")}));
        }
        object.insert("links".into(), links);
        if shape.crs != PublishedCrs::Crs84 {
            object.insert("coordRefSys".into(), json!(shape.crs.uri()));
        }
        if let Some(rule) = layer.generalisation_for(viewer) {
            object.insert("generalisation".into(), wire::generalisation(rule));
        }
        if !remarks.is_empty() {
            object.insert("warnings".into(), wire::findings(remarks));
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

/// The feature as it stands.
async fn standing(
    state: &State,
    viewer: &Viewer,
    layer: &Layer,
    id: &str,
    shown_as: &Shape,
    by_memory: bool,
) -> Result<Option<Found>> {
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
        return as_it_was(state, viewer, layer, id, shown_as, (None, None)).await;
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
    viewer: &Viewer,
    layer: &Layer,
    id: &str,
    shown_as: &Shape,
    (period, revision): (Option<Period>, Option<i64>),
) -> Result<Option<Found>> {
    let query = ItemsQuery { period, revision, ..ItemsQuery::default() };
    let (feature, revision) = Box::pin(features::find_item(&state.pool, viewer, layer, id, &query)).await?;
    let Some(feature) = feature else { return Ok(None) };
    let value = feature_value(&feature, shown_as)?;
    Ok(Some(Found { id: feature.id, value, revision, version: None }))
}

/// 404 for a feature that there is not, or not for this viewer.
pub fn item_not_found(layer: &Layer, id: &str) -> Error {
    let shown: String = id.chars().filter(|c| !c.is_control()).take(40).collect();
    Error::not_found("item_not_found", format!("图层“{}”中没有标识为“{shown}”的要素", layer.title.zh))
}

/// A value as people read it: words for the register's codes, areas with the decimals of their unit (domain.md §9).
fn shown(property: &Property, value: &Value) -> String {
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

/// One feature for people: every property with its unit, the days of its life, what its geometry is.
fn item_page(layer: &Layer, feature: &Value) -> String {
    let value = |name: &str| html::escape(&html::text_of(&feature["properties"][name]));
    let properties = layer.properties.iter().map(|p| (p.heading_zh(), shown(p, &feature["properties"][p.name])));
    let life = LIFE.iter().filter(|_| layer.has_past());
    let life = life.map(|(name, _, title, _)| ((*title).to_owned(), value(name)));
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
