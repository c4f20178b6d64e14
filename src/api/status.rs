//! Liveness and readiness: alive is about this process, ready about the database behind it.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::params::Params;
use super::problem::Answer;
use super::state::State;
use crate::error::Error;
use crate::store::replica;

/// Time for the database to answer; readiness goes within two seconds.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// 200 as long as the process answers at all.
pub async fn live(request: HttpRequest) -> Answer {
    Params::read(&request, &[], |_| false)?;
    Ok(HttpResponse::Ok().json(json!({"status": "alive"})))
}

/// 200 while the database answers and the layers are in memory; else 503 within two seconds. Tells what server that is, and how far behind its
/// primary a replica may be.
pub async fn ready(request: HttpRequest, state: web::Data<State>) -> Answer {
    Params::read(&request, &[], |_| false)?;
    let look = replica::look_within(&state.pool, PATIENCE).await?;
    if state.live.as_ref().is_some_and(|live| !live.is_complete()) {
        let detail = "图层正在载入内存；此前的请求由数据库回答".to_owned();
        return Err(Error::Unavailable { code: "layers_loading", detail, cause: None }.into());
    }
    let mut document = json!({"status": "ready", "role": "primary", "revision": look.revision});
    if let Some(replaying) = &look.replica {
        document["role"] = json!("replica");
        document["lag_s"] = json!(state.role.lag(replaying).map(|lag| lag.as_secs_f64()));
        document["receiving"] = json!(replaying.receiving);
    }
    Ok(HttpResponse::Ok().json(document))
}
