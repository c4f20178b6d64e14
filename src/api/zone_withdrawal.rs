//! `/api/control-zones/{id}`: where a control zone is taken away. Zones are a layer like any other and come in by files; for those who
//! look this is the zone as its layer has it, with the tag that a withdrawal names.
//!
//! Never: who may withdraw which zone.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::collections::layer_of;
use super::criteria::{decided_on, only_json};
use super::items::feature_value;
use super::params::Params;
use super::past::Past;
use super::problem::{Answer, Problem};
use super::representation::{self, link_of};
use super::state::State;
use super::{auth, edits};
use crate::domain::access::Viewer;
use crate::domain::items_query::{ItemsQuery, Shape};
use crate::domain::layer::Visibility;
use crate::domain::published_crs::PublishedCrs;
use crate::error::Error;
use crate::inventory::zone_withdrawal;
use crate::store::features;

/// The layer of the zones.
const LAYER: &str = "control_zones";

const GEOJSON: &str = "application/geo+json";

/// `GET /api/control-zones/{id}`: the zone as its layer has it; the ETag holds its version.
pub async fn get_zone(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    let params = Params::read(&request, &["f"], |_| false)?;
    only_json(&params)?;
    let version = zone_withdrawal::find(&state.pool, &viewer, &path).await?.version;
    // Before the zone is read: where somebody writes meanwhile the tag is an older one than what is shown, never a newer one.
    let etag = representation::record_etag(&request, &state, version, Past::none()).await?;
    if representation::is_current(&request, &etag) {
        return representation::not_modified(&etag);
    }
    let (zone, revision) = shown(&request, &state, &viewer, &path).await?;
    let answer = representation::geojson(&etag, zone.to_string(), PublishedCrs::default());
    Past::none().mark(answer, revision, Visibility::Staff)
}

/// `DELETE /api/control-zones/{id}`: the zone holds no more (移除); the log keeps it.
pub async fn withdraw_zone(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    let params = Params::read(&request, &["reason", "dry_run"], |_| false)?;
    let (reason, dry_run) = (params.text("reason"), params.flag("dry_run")?);
    let deed = edits::deed_of(&request, &viewer, decided_on(&request, &state).await?, &[])?;
    match zone_withdrawal::withdraw(&state.pool, &deed, &path, reason.as_deref(), dry_run).await {
        Ok(done) if dry_run => {
            Ok(HttpResponse::Ok().json(json!({"withdrawn": done.id, "revision": null, "dry_run": true})))
        }
        Ok(done) => {
            let mut response = HttpResponse::NoContent();
            edits::mark(&mut response, done.revision, done.replayed);
            Ok(response.finish())
        }
        Err(error) => Err(refuse(&request, &state, &viewer, &path, error).await),
    }
}

/// The zone as its layer has it, and the revision of that state.
async fn shown(
    request: &HttpRequest,
    state: &State,
    viewer: &Viewer,
    id: &str,
) -> std::result::Result<(Value, i64), Problem> {
    let layer = layer_of(state, LAYER, viewer)?;
    let now = ItemsQuery::default();
    let (found, revision) = Box::pin(features::find_item(&state.pool, viewer, layer, id, &now)).await?;
    let found = found.ok_or_else(|| zone_withdrawal::not_found(id))?;
    let mut zone = feature_value(&found, &Shape::default())?;
    let base = representation::base_url(request, state);
    let id = representation::encode(id);
    let item = format!("{base}/api/collections/{LAYER}/items/{id}");
    let kind = zone["properties"]["kind"].as_str().unwrap_or_default();
    zone["links"] = json!([
        link_of("self", GEOJSON, &format!("{base}/api/control-zones/{id}")),
        link_of("alternate", GEOJSON, &item),
        representation::link("version-history", &format!("{item}/history?f=json")),
        representation::link("describedby", &format!("{base}/api/control-zone-kinds/{kind}")),
    ]);
    Ok((zone, revision))
}

/// The refusal; of a stale version with what stands.
async fn refuse(request: &HttpRequest, state: &State, viewer: &Viewer, id: &str, error: Error) -> Problem {
    let is_stale = matches!(error, Error::Stale { .. });
    let problem = Problem::from(error);
    if !is_stale {
        return problem;
    }
    let version = zone_withdrawal::find(&state.pool, viewer, id).await.map(|zone| zone.version);
    match (version, shown(request, state, viewer, id).await) {
        (Ok(version), Ok((zone, _))) => problem.with("current_version", json!(version)).with("current", zone),
        _ => problem.with("current", Value::Null),
    }
}
