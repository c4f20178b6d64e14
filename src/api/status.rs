//! Liveness and readiness: alive is about this process, ready about the database behind it.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::params::Params;
use super::problem::Answer;
use super::state::State;
use crate::error::Error;
use crate::store;

/// 200 as long as the process answers at all.
pub async fn live(request: HttpRequest) -> Answer {
    Params::read(&request, &[], |_| false)?;
    Ok(HttpResponse::Ok().json(json!({"status": "alive"})))
}

/// 200 while the database answers and the layers are in memory; else 503 within two seconds.
pub async fn ready(request: HttpRequest, state: web::Data<State>) -> Answer {
    Params::read(&request, &[], |_| false)?;
    store::ping(&state.pool, Duration::from_millis(1_500)).await?;
    if state.live.as_ref().is_some_and(|live| !live.is_complete()) {
        let detail = "图层正在载入内存；此前的请求由数据库回答".to_owned();
        return Err(Error::Unavailable { code: "layers_loading", detail, cause: None }.into());
    }
    Ok(HttpResponse::Ok().json(json!({"status": "ready"})))
}
