//! Extra layers of a test: tables made by SQL, a file's text, the service over both.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use sizhi::api::State;
use sizhi::domain::layer::Layer;
use sizhi::error::Error;
use sizhi::inventory::extra_layers;
use sizhi::layers::catalogue::Catalogue;
use sqlx::AssertSqlSafe;

use super::http::{Answer, authorised, call_with};
use super::{Database, http_args};

/// Tables and rows, as an operator makes them.
pub async fn make(db: &Database, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&db.pool).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// The service that serves these layers too, and what was said of them.
pub async fn serve(db: &Database, file: &str) -> (State, Vec<String>) {
    let opened = extra_layers::open(&db.pool, &db.application, file).await;
    let opened = opened.unwrap_or_else(|e| panic!("{e}: {:#?}", e.findings()));
    let told = opened.findings.iter().map(|f| format!("{} {}", f.severity, f.code)).collect();
    let state = State::new(db.application.clone(), http_args()).with_layers(Catalogue::with(opened.layers));
    (state, told)
}

/// The one layer of a file.
pub async fn layer(db: &Database, file: &str) -> &'static Layer {
    let (state, _) = serve(db, file).await;
    state.layers.extras().next().expect("a layer")
}

/// What a file is refused with: lines and codes.
pub async fn refused(db: &Database, file: &str) -> (&'static str, Vec<(u64, String)>) {
    let error: Error = extra_layers::open(&db.pool, &db.application, file).await.expect_err("refused");
    let findings = error.findings().iter().map(|f| (f.place.row.expect("a line"), f.code.to_string())).collect();
    (error.code(), findings)
}

pub async fn get(state: &State, path: &str) -> Answer {
    call_with(state.clone(), TestRequest::get().uri(path)).await
}

/// As the operator.
pub async fn get_authorised(state: &State, path: &str) -> Answer {
    call_with(state.clone(), authorised(Method::GET, path)).await
}
