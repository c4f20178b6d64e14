//! `/api/conflicts`: what conflicts in the register itself, since when, and what people say of it.
//!
//! For planners, editors and administrators; a conflict shows to whoever may see both of its sides. Never: a comparison.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::auth;
use super::json_body;
use super::list_page::ListPage;
use super::overlaps::{verdict_of, words};
use super::params::{Params, parse_day, parse_moment, positive, shorten};
use super::problem::Answer;
use super::representation::{self, link_of};
use super::state::State;
use crate::domain::ParkCode;
use crate::domain::conflict::AUDITED;
use crate::domain::items_query::Bbox;
use crate::domain::overlap::OverlapClass;
use crate::domain::overlap_check::{Verdict, Weight};
use crate::error::{Error, Result};
use crate::inventory::conflicts::{self, wire};
use crate::inventory::overlap_check::wire::moment;
use crate::store::as_of;
use crate::store::conflicts::{ConflictQuery, Life};

const GEOJSON: &str = "application/geo+json";

/// Words of `state`.
pub const STATES: [&str; 3] = ["open", "closed", "all"];

const NAMES: [&str; 13] = [
    "state",
    "since",
    "class",
    "weight",
    "verdict",
    "collection",
    "feature",
    "park",
    "illustrative",
    "bbox",
    "skipGeometry",
    "limit",
    "after",
];

/// `GET /api/conflicts`: GeoJSON, those that are open, or what came, changed and went since.
pub async fn list_conflicts(request: HttpRequest, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    let params = Params::read(&request, &NAMES, |_| false)?;
    let page = ListPage::of(&params)?;
    let query = query_of(&params, page.rows())?;
    let (mut found, matched, audit) = conflicts::list(&state.pool, &viewer, &query).await?;
    let newest = as_of::newest(&mut *state.pool.acquire().await.map_err(Error::from)?).await?;
    let url = format!("{}/api/conflicts", representation::base_url(&request, &state));
    let links = page.cut(&mut found, (&url, GEOJSON), "after", |last| last.number.to_string());
    let document = json!({
        "type": "FeatureCollection",
        "numberMatched": matched,
        "numberReturned": found.len(),
        "audit": wire::audit_json(audit.as_ref(), newest, &viewer),
        "features": found.iter().map(|conflict| wire::feature(conflict, query.since)).collect::<Vec<_>>(),
        "links": links,
    });
    representation::no_store(HttpResponse::Ok(), GEOJSON, &document)
}

/// `GET /api/conflicts/{id}`: its last life as a feature, its earlier ones, and all that was said of it.
pub async fn get_conflict(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let (lives, marks) = conflicts::get(&state.pool, &viewer, id_of(&path)?).await?;
    let mut document = lives.first().map(|last| wire::feature(last, None)).unwrap_or_default();
    document["lives"] = lives
        .iter()
        .map(|life| {
            json!({
                "opened_revision": life.opened_revision, "opened_at": moment(life.opened_at),
                "closed_revision": life.closed_revision, "closed_at": life.closed_at.map(moment),
            })
        })
        .collect();
    document["marks"] = marks
        .iter()
        .map(|(verdict, note, actor, at)| {
            let label = Verdict::parse(verdict).map_or("", Verdict::label);
            json!({"verdict": verdict, "verdict_label": label, "note": note, "actor": actor, "marked_at": moment(*at)})
        })
        .collect();
    let base = representation::base_url(&request, &state);
    let item = |side: &str| {
        let side = &document["properties"][side];
        let (layer, id) = (side["collection"].as_str().unwrap_or_default(), side["id"].as_str().unwrap_or_default());
        let href = format!("{base}/api/collections/{layer}/items/{}", representation::encode(id));
        json!({"rel": "related", "type": GEOJSON, "title": id, "href": href})
    };
    let own = format!("{base}/api/conflicts/{}", representation::encode(&path));
    let mut links = vec![
        link_of("self", GEOJSON, &own),
        link_of("collection", GEOJSON, &format!("{base}/api/conflicts")),
        item("a"),
    ];
    // Land outside of a line lies in no zone that could be named.
    if document["properties"]["class"] != OverlapClass::Outside.as_str() {
        links.push(item("b"));
    }
    document["links"] = Value::Array(links);
    representation::no_store(HttpResponse::Ok(), GEOJSON, &document)
}

/// `POST /api/conflicts/{id}/marks`: 接受, 需整改, 可忽略, with a note.
pub async fn create_conflict_mark(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Answer {
    let viewer = auth::planner(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let members = json_body::read(&request, payload, &["verdict", "note"]).await?;
    let verdict = verdict_of(&members)?;
    let note = members.text("note")?.unwrap_or_default();
    let id = id_of(&path)?;
    conflicts::mark(&state.pool, &viewer, id, verdict, &note).await?;
    let (lives, _) = conflicts::get(&state.pool, &viewer, id).await?;
    let document = lives.first().map(|last| wire::feature(last, None)).unwrap_or_default();
    representation::no_store(HttpResponse::Created(), GEOJSON, &document)
}

fn query_of(params: &Params, limit: i64) -> Result<ConflictQuery> {
    let since = params.text("since").map(|text| since_of(&text)).transpose()?;
    let life = match params.get("state") {
        None if since.is_some() => Life::Either,
        None | Some("open") => Life::Open,
        Some("closed") => Life::Closed,
        Some("all") => Life::Either,
        Some(other) => {
            let detail = format!("state 应为 {} 之一，不是“{}”", STATES.join("、"), shorten(other));
            return Err(Error::invalid("value_invalid", detail));
        }
    };
    let layers: Vec<String> = params
        .text("collection")
        .map(|list| list.split(',').map(|id| id.trim().to_owned()).collect())
        .unwrap_or_default();
    if let Some(unknown) = layers.iter().find(|id| !AUDITED.contains(&id.as_str())) {
        let detail = format!("图层“{}”不在审查之列；可用：{}", shorten(unknown), AUDITED.join("、"));
        return Err(Error::invalid("value_invalid", detail));
    }
    let park = params.text("park").map(|text| ParkCode::parse(&text)).transpose();
    let illustrative = params.get("illustrative").map(|_| params.flag("illustrative")).transpose()?;
    Ok(ConflictQuery {
        life,
        since,
        classes: words(params, "class", OverlapClass::parse)?,
        weights: words(params, "weight", Weight::parse)?,
        verdicts: words(params, "verdict", Verdict::parse)?,
        layers,
        feature: params.text("feature"),
        park: park
            .map_err(|reason| Error::invalid("park_code_invalid", reason.to_string()))?
            .map(|code| code.to_string()),
        illustrative,
        bbox: params.text("bbox").map(|text| bbox_of(&text)).transpose()?,
        after: params.text("after").map_or(Ok(0), |text| {
            let wrong = || Error::invalid("value_invalid", format!("after 应为正整数，不是“{}”", shorten(&text)));
            positive(&text).ok_or_else(wrong)
        })?,
        limit,
        with_land: !params.flag("skipGeometry")?,
    })
}

/// A day in China, or a moment.
fn since_of(text: &str) -> Result<DateTime<Utc>> {
    const EIGHT_HOURS: chrono::TimeDelta = chrono::TimeDelta::hours(8);
    let wrong = || Error::invalid("since_invalid", format!("since 应为日期或 RFC 3339 时间，不是“{}”", shorten(text)));
    match parse_day(text) {
        Some(day) => day.and_hms_opt(0, 0, 0).map(|midnight| midnight.and_utc() - EIGHT_HOURS).ok_or_else(wrong),
        None => parse_moment(text).ok_or_else(wrong),
    }
}

fn bbox_of(text: &str) -> Result<Bbox> {
    let wrong = || Error::invalid("bbox_invalid", "bbox 应为四个数：西、南、东、北（度）");
    let numbers: Vec<f64> = text
        .split(',')
        .map(|part| part.trim().parse().ok().filter(|n: &f64| n.is_finite()))
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    let bbox: Bbox = numbers.try_into().map_err(|_| wrong())?;
    if bbox[0] <= bbox[2] && bbox[1] <= bbox[3] { Ok(bbox) } else { Err(wrong()) }
}

/// PostgreSQL holds no NUL; what is no id is asked of nobody.
fn id_of(text: &str) -> Result<&str> {
    if text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(text);
    }
    Err(Error::not_found("conflict_not_found", format!("没有标识为“{}”的冲突", shorten(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_boxes() {
        for (text, expected) in [
            ("2026-11-27", Some("2026-11-26T16:00:00Z")),
            ("2026-11-27T00:00:00Z", Some("2026-11-27T00:00:00Z")),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(since_of(text).ok(), expected.and_then(|text| text.parse().ok()), "{text}");
        }
        assert_eq!(bbox_of("112,28,113,29").ok(), Some([112.0, 28.0, 113.0, 29.0]));
        for text in ["", "1,2,3", "1,2,3,4,5,6", "113,28,112,29", "a,b,c,d", "nan,0,1,1", "0,0,inf,1"] {
            assert!(bbox_of(text).is_err(), "{text}");
        }
    }
}
