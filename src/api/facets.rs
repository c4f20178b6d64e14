//! `/api/collections/{collection}/facets`: how many of what matches have which value, for the lists beside a table or a map.

use actix_web::{HttpRequest, web};
use serde_json::{Value, json};

use super::auth;
use super::collections::layer_of;
use super::items;
use super::params::{self, Params, QUESTION_PARAMS, shorten};
use super::past::Past;
use super::problem::Answer;
use super::representation::{self, Form};
use super::state::State;
use crate::domain::items_query::ItemsQuery;
use crate::domain::layer::{Layer, Property, PropertyKind};
use crate::error::{Error, Result};
use crate::store::features;

/// Properties counted at once.
const MAX_PROPERTIES: usize = 10;

pub async fn list_facets(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    let layer = layer_of(&state, &path, &viewer)?;
    let params = Params::read(&request, &allowed(), |name| params::parameter_of(layer, name).is_some())?;
    let properties = wanted(&params, layer)?;
    let past = Past::read(&params, &state).await?;
    let query = ItemsQuery { revision: past.revision, ..params::items_query(&params, layer)? };
    let base = representation::base_url(&request, &state);
    let etag =
        representation::etag(&request, &base, Form::Json, &items::mark(&state, layer, &viewer, past.revision).await?);
    if representation::is_current(&request, &etag) {
        return representation::not_modified(&etag);
    }
    let (facets, matched, revision) = features::facets(&state.pool, &viewer, layer, &query, &properties).await?;
    let facets: Vec<Value> = facets
        .into_iter()
        .map(|facet| {
            let title = properties.iter().find(|p| p.name == facet.property).map_or("", |p| p.title.zh);
            let values: Vec<Value> =
                facet.values.into_iter().map(|(value, count)| json!({"value": value, "count": count})).collect();
            json!({"property": facet.property, "title": title, "values": values, "more": facet.more})
        })
        .collect();
    let items = format!("{base}/api/collections/{}/items", layer.id);
    let document = json!({
        "numberMatched": matched,
        "facets": facets,
        "links": [{"rel": "items", "type": "application/geo+json", "href": format!("{items}?{}", representation::query_string(&params.without(&["properties"])))}],
    });
    past.mark(representation::json(Some(&etag), &document), revision, layer.visibility)
}

/// Parameters, besides the layer's own properties.
pub fn allowed() -> Vec<&'static str> {
    std::iter::once("properties").chain(QUESTION_PARAMS).collect()
}

/// The named properties, else those of a few known words.
fn wanted(params: &Params, layer: &Layer) -> Result<Vec<&'static Property>> {
    let Some(names) = params.text("properties") else {
        return Ok(layer.properties.iter().filter(|p| p.queryable && p.is_code()).take(MAX_PROPERTIES).collect());
    };
    let mut properties: Vec<&'static Property> = Vec::new();
    for name in names.split(',').map(str::trim) {
        let countable = |p: &&Property| !matches!(p.kind, PropertyKind::Number);
        let Some(property) = layer.queryable(name).filter(countable) else {
            let detail = format!("不能按“{}”计数；可按可查询的属性计数，面积等数值和生效、失效日期除外", shorten(name));
            return Err(Error::invalid("value_invalid", detail));
        };
        if !properties.iter().any(|p| p.name == name) {
            properties.push(property);
        }
    }
    if properties.len() > MAX_PROPERTIES {
        return Err(Error::invalid("value_invalid", format!("properties 一次最多 {MAX_PROPERTIES} 个")));
    }
    Ok(properties)
}
