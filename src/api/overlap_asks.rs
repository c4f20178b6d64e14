//! What is asked of a check of overlaps: the members of a JSON body and the parts of a form → a request and its shapes.

use serde_json::Value;

use super::json_body::Members;
use super::params::{Params, parse_crs, parse_day, positive, shorten};
use super::state::State;
use super::upload::Names;
use crate::domain::access::Viewer;
use crate::domain::layer::Layer;
use crate::domain::overlap::{Thresholds, WIDEST_M};
use crate::domain::overlap_check::Purpose;
use crate::error::{Error, Result};
use crate::inventory::import::ReadOptions;
use crate::inventory::overlap_check::{CheckRequest, Given};

/// Members of the body, and of the form beside its file.
pub const MEMBERS: &[&str] = &["title", "purpose", "layers", "thresholds", "date", "revision", "subject"];
/// The same of a check over a scenario, which is of now and not kept.
pub const OVER_A_SCENARIO: &[&str] = &["purpose", "layers", "thresholds", "subject"];
pub const FORM: Names<'static> = Names {
    all: &[
        "title",
        "purpose",
        "layers",
        "sliver_width_m",
        "sliver_share",
        "gap_width_m",
        "date",
        "revision",
        "crs",
        "encoding",
        "source_layer",
    ],
    lists: &[],
    attributes: false,
};
fn purpose_of(word: Option<String>) -> Result<Purpose> {
    let Some(word) = word else { return Ok(Purpose::ParkBoundary) };
    Purpose::parse(&word).ok_or_else(|| {
        let known = Purpose::ALL.iter().map(|p| p.as_str()).collect::<Vec<_>>().join("、");
        Error::invalid("value_invalid", format!("purpose 应为 {known} 之一，不是“{}”", shorten(&word)))
    })
}

fn thresholds_of(width: Option<f64>, share: Option<f64>, gap: Option<f64>) -> Result<Thresholds> {
    let usual = Thresholds::default();
    let wanted = Thresholds::new(
        width.unwrap_or(usual.sliver_width_m()),
        share.unwrap_or(usual.sliver_share()),
        gap.unwrap_or(usual.gap_width_m()),
    );
    wanted.ok_or_else(|| {
        let detail = format!("阈值超出范围：sliver_width_m、gap_width_m 为 0 至 {WIDEST_M} 米，sliver_share 为 0 至 1");
        Error::invalid("thresholds_invalid", detail)
    })
}

fn layers_of(ids: Option<Vec<String>>, state: &State, viewer: &Viewer) -> Result<Option<Vec<&'static Layer>>> {
    let Some(ids) = ids else { return Ok(None) };
    let mut layers: Vec<&'static Layer> = Vec::with_capacity(ids.len());
    for id in ids {
        let layer = layer_of(&id, state, viewer)?;
        if !layers.iter().any(|known| known.id == layer.id) {
            layers.push(layer);
        }
    }
    if layers.is_empty() {
        return Err(Error::invalid("layers_missing", "layers 至少应有一个图层"));
    }
    Ok(Some(layers))
}

fn layer_of(id: &str, state: &State, viewer: &Viewer) -> Result<&'static Layer> {
    let found = state.layers.find(id.trim()).filter(|layer| layer.is_for(viewer));
    found.ok_or_else(|| Error::not_found("collection_not_found", format!("没有图层“{}”", shorten(id))))
}

fn day_of(text: Option<String>) -> Result<Option<chrono::NaiveDate>> {
    let Some(text) = text else { return Ok(None) };
    parse_day(&text).map(Some).ok_or_else(|| {
        Error::invalid("value_invalid", format!("date 应为日期（如 2024-06-30），不是“{}”", shorten(&text)))
    })
}

pub fn of_json(members: &Members, state: &State, viewer: &Viewer) -> Result<CheckRequest> {
    let (mut width, mut share, mut gap) = (None, None, None);
    if let Some(value) = members.value("thresholds") {
        let known = ["sliver_width_m", "sliver_share", "gap_width_m"];
        let object = value.as_object().filter(|object| object.keys().all(|name| known.contains(&name.as_str())));
        let wrong = || Error::invalid("member_invalid", format!("成员 thresholds 应为对象，可含 {}", known.join("、")));
        let object = object.ok_or_else(wrong)?;
        let number = |name: &str| match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(wrong),
        };
        (width, share, gap) = (number(known[0])?, number(known[1])?, number(known[2])?);
    }
    Ok(CheckRequest {
        title: members.text("title")?.unwrap_or_default(),
        purpose: purpose_of(members.text("purpose")?)?,
        layers: layers_of(members.texts("layers")?, state, viewer)?,
        thresholds: thresholds_of(width, share, gap)?,
        on_day: day_of(members.text("date")?)?,
        revision: revision_of(members.integer("revision")?)?,
    })
}

fn revision_of(number: Option<i64>) -> Result<Option<i64>> {
    match number {
        Some(number) if number < 1 => Err(Error::invalid("value_invalid", "revision 应为正整数")),
        other => Ok(other),
    }
}

pub fn of_form(params: &Params, state: &State, viewer: &Viewer) -> Result<CheckRequest> {
    let decimal = |name: &str| {
        let Some(text) = params.text(name) else { return Ok(None) };
        let wrong = || Error::invalid("value_invalid", format!("{name} 应为数，不是“{}”", shorten(&text)));
        text.parse::<f64>().map(Some).map_err(|_| wrong())
    };
    let revision = match params.text("revision") {
        None => None,
        Some(text) => Some(positive(&text).ok_or_else(|| Error::invalid("value_invalid", "revision 应为正整数"))?),
    };
    Ok(CheckRequest {
        title: params.text("title").unwrap_or_default(),
        purpose: purpose_of(params.text("purpose"))?,
        layers: layers_of(params.text("layers").map(|l| l.split(',').map(str::to_owned).collect()), state, viewer)?,
        thresholds: thresholds_of(decimal("sliver_width_m")?, decimal("sliver_share")?, decimal("gap_width_m")?)?,
        on_day: day_of(params.text("date"))?,
        revision,
    })
}

pub fn read_options(params: &Params) -> Result<ReadOptions> {
    Ok(ReadOptions {
        crs: params.text("crs").map(|text| parse_crs(&text)).transpose()?,
        encoding: params.text("encoding"),
        source_layer: params.text("source_layer"),
        ..ReadOptions::default()
    })
}

/// One of: `geojson`, `coordinates` (with `crs`), `collection` and `id`.
pub fn subject_of(members: &Members, state: &State, viewer: &Viewer) -> Result<Given> {
    const KNOWN: [&str; 5] = ["geojson", "coordinates", "crs", "collection", "id"];
    let wrong = |what: &str| Error::invalid("member_invalid", format!("成员 subject {what}"));
    let missing = "成员 subject 说明要检查什么：geojson、coordinates（可带 crs），或 collection 与 id";
    let value = members.value("subject").ok_or_else(|| Error::invalid("member_missing", missing))?;
    let object = value.as_object().ok_or_else(|| wrong("应为对象"))?;
    if let Some(name) = object.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(wrong(&format!("中不认识“{}”；可用的有 {}", shorten(name), KNOWN.join("、"))));
    }
    let text = |name: &str| match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        // PostgreSQL holds no NUL.
        Some(Value::String(text)) if !text.contains('\0') => Ok(Some(text.clone())),
        Some(_) => Err(wrong(&format!("的 {name} 应为文字"))),
    };
    let geojson = object.get("geojson").filter(|value| !value.is_null());
    let (coordinates, crs) = (text("coordinates")?, text("crs")?);
    match (geojson, coordinates, text("collection")?, text("id")?) {
        (Some(shapes), None, None, None) if crs.is_none() => Ok(Given::GeoJson(shapes.to_string())),
        (None, Some(text), None, None) => {
            let crs = crs.map(|text| parse_crs(&text)).transpose()?;
            Ok(Given::Pasted { text, options: ReadOptions { crs, ..ReadOptions::default() } })
        }
        (None, None, Some(collection), Some(id)) if crs.is_none() => {
            Ok(Given::Feature { layer: layer_of(&collection, state, viewer)?, id })
        }
        _ => Err(wrong("只能有一种：geojson；coordinates（可带 crs）；collection 与 id")),
    }
}
