//! HTTP; thin. The whole URL table stands here.

mod auth;
mod cards;
mod changes;
mod collections;
mod feed;
mod history;
mod html;
mod imports;
mod items;
mod landing;
mod openapi;
mod openapi_page;
mod openapi_schemas;
mod openapi_time;
mod params;
mod park_json;
mod park_pages;
mod park_words;
mod past;
mod problem;
mod representation;
mod signals;
mod state;
mod status;
mod stream;
mod upload;

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, FromRequest, Handler, HttpServer, Resource, Responder, web};
use futures_util::future::LocalBoxFuture;
use sqlx::PgPool;
use tracing_actix_web::TracingLogger;

pub use feed::Feed;
pub use state::State;

use crate::config::HttpArgs;
use crate::error::{Error, Result};
use feed::Background;
use problem::Problem;
use signals::Signals;

/// Time for a read: above the statement limit of the database, below the 10 s that any request may take.
const READ_TIME: Duration = Duration::from_secs(8);

/// Every address of the service.
fn routes(config: &mut web::ServiceConfig) {
    config
        .service(get("/", landing::home))
        .service(get("/livez", status::live))
        .service(get("/readyz", status::ready))
        .service(get("/favicon.ico", landing::icon))
        .service(get("/api", landing::landing))
        .service(get("/api/", landing::landing))
        .service(get("/api/conformance", landing::conformance))
        .service(get("/api/openapi.json", openapi::document))
        .service(get("/api/docs", openapi::page))
        .service(get("/api/collections", collections::list_collections))
        .service(get("/api/collections/{collection}", collections::get_collection))
        .service(get("/api/collections/{collection}/queryables", collections::get_queryables))
        .service(get("/api/collections/{collection}/schema", collections::get_schema))
        .service(get("/api/collections/{collection}/items", items::list_items))
        .service(get("/api/collections/{collection}/items/{item}", items::get_item))
        .service(get("/api/collections/{collection}/items/{item}/history", history::list_history))
        .service(get("/api/collections/{collection}/changes", changes::list_changes))
        .service(get("/api/collections/{collection}/changes/stream", changes::stream_changes))
        .service(get("/api/parks", cards::list_parks))
        .service(get("/api/parks/{code}", cards::get_park))
        .service(
            web::resource("/api/imports")
                .route(web::get().to(Timed(imports::list_imports)))
                .route(web::head().to(Timed(imports::list_imports)))
                .route(web::post().to(imports::create_import))
                .default_service(web::to(|| refuse("GET, HEAD, POST"))),
        )
        .service(get("/api/imports/{id}", imports::get_import))
        .service(post("/api/imports/{id}/commit", imports::commit_import))
        .service(post("/api/imports/{id}/undo", imports::undo_import));
}

/// A resource to read: GET, and HEAD by the same handler.
fn get<F, Args>(path: &'static str, handler: F) -> Resource
where
    F: Handler<Args, Output = problem::Answer>,
    Args: FromRequest + 'static,
{
    let handler = Timed(handler);
    web::resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
        .default_service(web::to(|| refuse("GET, HEAD")))
}

/// A deed: POST alone.
fn post<F, Args>(path: &'static str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path).route(web::post().to(handler)).default_service(web::to(|| refuse("POST")))
}

/// A handler of a read with its time limit. The database's own limits do not count while the database hangs.
#[derive(Clone)]
struct Timed<F>(F);

impl<F, Args> Handler<Args> for Timed<F>
where
    F: Handler<Args, Output = problem::Answer>,
    Args: 'static,
{
    type Output = problem::Answer;
    type Future = LocalBoxFuture<'static, problem::Answer>;

    fn call(&self, args: Args) -> Self::Future {
        let handler = self.0.clone();
        Box::pin(async move {
            tokio::time::timeout(READ_TIME, handler.call(args)).await.unwrap_or_else(|_| Err(Problem::too_long()))
        })
    }
}

async fn refuse(allow: &'static str) -> problem::Answer {
    Err(Problem::method_not_allowed(allow))
}

async fn no_such_address() -> problem::Answer {
    Err(Problem::no_such_address())
}

/// The application of one process, without a feed: who asks for a stream is told that there is no room.
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
    app_with(state, Feed::closed())
}

/// The application, the same for `serve` and for tests.
fn app_with(
    state: State,
    feed: Feed,
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
        .allowed_headers(["accept", "accept-language", "if-none-match", "last-event-id"])
        .expose_headers(["etag", "link", "content-crs", "sizhi-revision", "x-request-id"])
        .max_age(3600);
    App::new()
        .app_data(web::Data::new(state))
        .app_data(web::Data::new(feed))
        .configure(routes)
        .default_service(web::to(no_such_address))
        // The last one is the outermost. Problems are written outside of compression and CORS, which refuse things too.
        .wrap(Compress::default())
        .wrap(cors)
        .wrap(from_fn(problem::problem_layer))
        .wrap(from_fn(problem::header_layer))
        .wrap(TracingLogger::default())
}

/// Serves until a signal; `ready` is told the address once the port is bound.
pub async fn serve(http: &HttpArgs, pool: PgPool, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    let workers = http.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from)).max(1);
    let background = Background::prepare(&pool, http);
    let (state, feed) = (State { pool, http: http.clone() }, background.feed());
    let server = HttpServer::new(move || app_with(state.clone(), feed.clone()))
        .workers(workers)
        .keep_alive(Duration::from_secs(15))
        .client_request_timeout(Duration::from_secs(5))
        .client_disconnect_timeout(Duration::from_secs(2))
        .max_connections((1024 / workers).max(1))
        .shutdown_timeout(10)
        .disable_signals()
        .bind((http.bind.as_str(), http.port))
        .map_err(|cause| {
            let detail = match cause.kind() {
                std::io::ErrorKind::AddrInUse => format!("端口 {} 已被占用；请用 --port 换一个", http.port),
                std::io::ErrorKind::PermissionDenied => format!("没有权限监听端口 {}；请用 1024 以上的端口", http.port),
                _ => format!("无法监听 {}:{}", http.bind, http.port),
            };
            Error::Conflict { code: "port_unavailable", detail, findings: Vec::new() }
        })?;
    let address =
        server.addrs().first().copied().ok_or_else(|| Error::conflict("port_unavailable", "没有可监听的地址"))?;
    let stopped = |cause| Error::internal("服务意外停止", cause);
    let mut signals = Signals::listen().map_err(stopped)?;
    let background = background.start();
    ready(address);
    let mut running = pin!(server.run());
    let handle = running.handle();
    let outcome = tokio::select! {
        outcome = &mut running => outcome,
        graceful = signals.next() => {
            // Streams never end by themselves: the server would wait for them.
            background.begin_stop();
            tokio::join!(handle.stop(graceful), running).1
        }
    };
    background.stop().await;
    outcome.map_err(stopped)
}
