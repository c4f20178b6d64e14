//! HTTP; thin. The whole URL table stands here.

mod auth;
mod cards;
mod collections;
mod html;
mod imports;
mod items;
mod landing;
mod openapi;
mod params;
mod problem;
mod representation;
mod state;
mod status;

use std::net::SocketAddr;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, HttpServer, Resource, web};
use sqlx::PgPool;
use tracing_actix_web::TracingLogger;

pub use state::State;

use crate::config::HttpArgs;
use crate::error::{Error, Result};
use problem::Problem;

/// Every address of the service.
fn routes(config: &mut web::ServiceConfig) {
    config
        .service(get("/", web::get().to(landing::home), web::head().to(landing::home)))
        .service(get("/livez", web::get().to(status::live), web::head().to(status::live)))
        .service(get("/readyz", web::get().to(status::ready), web::head().to(status::ready)))
        .service(get("/favicon.ico", web::get().to(landing::icon), web::head().to(landing::icon)))
        .service(get("/api", web::get().to(landing::landing), web::head().to(landing::landing)))
        .service(get("/api/", web::get().to(landing::landing), web::head().to(landing::landing)))
        .service(get("/api/conformance", web::get().to(landing::conformance), web::head().to(landing::conformance)))
        .service(get("/api/openapi.json", web::get().to(openapi::document), web::head().to(openapi::document)))
        .service(get("/api/docs", web::get().to(openapi::page), web::head().to(openapi::page)))
        .service(get("/api/collections", web::get().to(collections::list), web::head().to(collections::list)))
        .service(get("/api/collections/{collection}", web::get().to(collections::get), web::head().to(collections::get)))
        .service(get("/api/collections/{collection}/queryables", web::get().to(collections::queryables), web::head().to(collections::queryables)))
        .service(get("/api/collections/{collection}/schema", web::get().to(collections::schema), web::head().to(collections::schema)))
        .service(get("/api/collections/{collection}/items", web::get().to(items::list_items), web::head().to(items::list_items)))
        .service(get("/api/collections/{collection}/items/{item}", web::get().to(items::get_item), web::head().to(items::get_item)))
        .service(get("/api/parks", web::get().to(cards::list_parks), web::head().to(cards::list_parks)))
        .service(get("/api/parks/{code}", web::get().to(cards::get_park), web::head().to(cards::get_park)))
        .service(
            web::resource("/api/imports")
                .route(web::get().to(imports::list_imports))
                .route(web::post().to(imports::create_import))
                .default_service(web::to(|| refuse("GET, POST"))),
        )
        .service(get("/api/imports/{id}", web::get().to(imports::get_import), web::head().to(imports::get_import)))
        .service(post("/api/imports/{id}/commit", web::post().to(imports::commit_import)))
        .service(post("/api/imports/{id}/undo", web::post().to(imports::undo_import)));
}

fn get(path: &'static str, get: actix_web::Route, head: actix_web::Route) -> Resource {
    web::resource(path).route(get).route(head).default_service(web::to(|| refuse("GET, HEAD")))
}

fn post(path: &'static str, post: actix_web::Route) -> Resource {
    web::resource(path).route(post).default_service(web::to(|| refuse("POST")))
}

async fn refuse(allow: &'static str) -> problem::Answer {
    Err(Problem::method_not_allowed(allow))
}

async fn no_such_address() -> problem::Answer {
    Err(Problem::no_such_address())
}

/// The application, the same for `serve` and for tests.
pub fn app(
    state: State,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let cors = Cors::default()
        .allow_any_origin()
        .send_wildcard()
        .allowed_methods(["GET", "HEAD", "OPTIONS"])
        .allowed_headers(["accept", "accept-language", "if-none-match"])
        .expose_headers(["etag", "link", "content-crs", "x-request-id"])
        .max_age(3600);
    App::new()
        .app_data(web::Data::new(state))
        .configure(routes)
        .default_service(web::to(no_such_address))
        .wrap(from_fn(problem::problem_layer))
        .wrap(Compress::default())
        .wrap(cors)
        .wrap(from_fn(problem::header_layer))
        .wrap(TracingLogger::default())
}

/// Serves until a signal; `ready` is told the address once the port is bound.
pub async fn serve(http: &HttpArgs, pool: PgPool, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    let workers = http.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from)).max(1);
    let state = State { pool, http: http.clone() };
    let server = HttpServer::new(move || app(state.clone()))
        .workers(workers)
        .keep_alive(Duration::from_secs(15))
        .client_request_timeout(Duration::from_secs(5))
        .client_disconnect_timeout(Duration::from_secs(2))
        .max_connections((1024 / workers).max(1))
        .shutdown_timeout(10)
        .bind((http.bind.as_str(), http.port))
        .map_err(|cause| {
            let detail = match cause.kind() {
                std::io::ErrorKind::AddrInUse => format!("端口 {} 已被占用；请用 --port 换一个", http.port),
                std::io::ErrorKind::PermissionDenied => format!("没有权限监听端口 {}；请用 1024 以上的端口", http.port),
                _ => format!("无法监听 {}:{}", http.bind, http.port),
            };
            Error::Conflict { code: "port_unavailable", detail, findings: Vec::new() }
        })?;
    let address = server.addrs().first().copied().ok_or_else(|| Error::conflict("port_unavailable", "没有可监听的地址"))?;
    ready(address);
    server.run().await.map_err(|cause| Error::internal("服务意外停止", cause))
}
