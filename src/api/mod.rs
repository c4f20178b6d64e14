//! HTTP; thin. The whole URL table stands here.

pub mod access;
mod accounts;
mod attachments;
mod auth;
mod boundary_changes;
mod boundary_pages;
mod bulk;
mod callers;
mod cards;
mod changes;
mod collections;
mod conflicts;
mod control_zones;
mod criteria;
mod crs;
mod cursor;
mod directories;
mod directory_pages;
mod drawing;
mod edits;
mod exports;
mod facets;
mod feed;
mod filter_params;
mod filters;
mod genealogy;
mod history;
mod html;
mod if_match;
mod imports;
mod in_memory;
mod item;
mod items;
mod json_body;
mod json_strict;
mod landing;
mod list_page;
mod metrics;
mod openapi;
mod openapi_access;
mod openapi_attachments;
mod openapi_boundary;
mod openapi_conflicts;
mod openapi_control_zones;
mod openapi_criteria;
mod openapi_genealogy;
mod openapi_ledgers;
mod openapi_overlaps;
mod openapi_page;
mod openapi_parks;
mod openapi_queries;
mod openapi_reports;
mod openapi_scenarios;
mod openapi_schemas;
mod openapi_tiles;
mod openapi_time;
mod overlap_asks;
mod overlap_pages;
mod overlaps;
mod page_links;
mod params;
mod park_events;
mod park_json;
mod park_lineage;
mod park_pages;
mod past;
mod problem;
mod problem_english;
mod rate;
mod replica;
mod report_pages;
mod reports;
mod representation;
mod request_span;
mod revisions;
mod scenario_asks;
mod scenarios;
mod session;
mod shape;
mod signals;
mod state;
mod status;
mod stream;
mod tile_sets;
mod tiles;
mod tokens;
mod upload;
mod zone_withdrawal;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::{Compress, Next, from_fn};
use actix_web::{App, FromRequest, Handler, HttpRequest, HttpServer, Responder, web};
use futures_util::future::LocalBoxFuture;
use sqlx::PgPool;
use tracing_actix_web::TracingLogger;

pub use feed::Feed;
pub use params::query_of_pairs;
pub use replica::check_primary_url;
pub use state::State;

use crate::config::HttpArgs;
use crate::error::{Error, Result};
use crate::inventory::database_role::DatabaseRole;
use crate::inventory::live::Live;
use crate::inventory::tiles as inventory_tiles;
use crate::layers::catalogue::Catalogue;
use crate::layers::tiles::cache::TileCache;
use access::{Access, Routes, Rule, Ruled};
use feed::Background;
use problem::Problem;
use request_span::RequestSpan;
use signals::Signals;

/// Time for a read: above the statement limit of the database, below the 10 s that any request may take.
const READ_TIME: Duration = Duration::from_secs(8);

/// Bytes of an answer that are gathered before they are written; of so many, and not of the whole, each connection has room.
const WRITE_BUFFER: usize = 1024 * 1024;

/// Every address of the service, with the rule of each of its methods.
fn routes(routes: &mut Routes<'_>) {
    use Rule::{Admin, Editor, Open, Own, Planner, Public, Staff};
    // Addresses are tried in this order: what maps fetch thousands of times a second comes first.
    routes
        .service(
            address("/api/collections/{collection}/items", "GET, HEAD, POST").streams(Public, items::list_items).does(
                Method::POST,
                Editor,
                edits::create_item,
            ),
        )
        .service(get("/api/collections/{collection}/tiles/{set}/{zoom}/{row}/{col}", Public, tiles::get_tile))
        .service(get("/api/tiles/{set}/{zoom}/{row}/{col}", Public, tiles::get_dataset_tile))
        .service(get("/", Open, landing::home))
        .service(get("/livez", Open, status::live))
        .service(get("/readyz", Open, status::ready))
        .service(get("/metrics", Open, metrics::list_metrics))
        .service(get("/favicon.ico", Open, landing::icon))
        .service(get("/api", Open, landing::landing))
        .service(get("/api/", Open, landing::landing))
        .service(get("/api/conformance", Open, landing::conformance))
        .service(get("/api/openapi.json", Open, openapi::document))
        .service(get("/api/docs", Open, openapi::page))
        .service(get("/api/collections", Public, collections::list_collections))
        .service(get("/api/collections/{collection}", Public, collections::get_collection))
        .service(get("/api/collections/{collection}/queryables", Public, collections::get_queryables))
        .service(get("/api/collections/{collection}/schema", Public, collections::get_schema))
        .service(get("/api/collections/{collection}/facets", Public, facets::list_facets))
        .service(get("/api/collections/{collection}/tiles", Public, tile_sets::list_tilesets))
        .service(get("/api/collections/{collection}/tiles/{set}", Public, tile_sets::get_tileset))
        .service(get("/api/tiles", Public, tile_sets::list_dataset_tilesets))
        .service(get("/api/tiles/{set}", Public, tile_sets::get_dataset_tileset))
        .service(get("/api/tileMatrixSets", Open, tile_sets::list_tile_matrix_sets))
        .service(get("/api/tileMatrixSets/{set}", Open, tile_sets::get_tile_matrix_set))
        .service(
            address("/api/collections/{collection}/items/{item}", "GET, HEAD, PUT, PATCH, DELETE")
                .reads(Public, item::get_item)
                .does(Method::PUT, Editor, edits::replace_item)
                .does(Method::PATCH, Editor, edits::update_item)
                .does(Method::DELETE, Editor, edits::end_item),
        )
        .service(
            address("/api/collections/{collection}/items/{item}/transitions", "GET, HEAD, POST")
                .reads(Staff, edits::list_transitions)
                .does(Method::POST, Editor, edits::create_transition),
        )
        .service(
            address("/api/collections/{collection}/items/{item}/steps", "GET, HEAD, PUT")
                .reads(Staff, edits::list_steps)
                .does(Method::PUT, Editor, edits::replace_steps),
        )
        .service(post("/api/collections/{collection}/items/{item}/split", Editor, genealogy::split_item))
        .service(get("/api/collections/{collection}/items/{item}/lineage", Staff, genealogy::get_lineage))
        .service(post("/api/collections/{collection}/merge", Editor, genealogy::merge_items))
        .service(post("/api/collections/{collection}/transitions", Editor, bulk::create_transitions))
        .service(post("/api/revisions/{number}/undo", Editor, revisions::undo_revision))
        .service(get("/api/collections/{collection}/items/{item}/criteria", Staff, criteria::judge_item))
        .service(
            address("/api/collections/{collection}/items/{item}/attachments", "GET, HEAD, POST")
                .reads(Staff, attachments::list_attachments)
                .does(Method::POST, Editor, attachments::create_attachment),
        )
        .service(
            address("/api/collections/{collection}/items/{item}/attachments/{attachment}", "GET, HEAD, DELETE")
                .reads(Staff, attachments::get_attachment)
                .does(Method::DELETE, Editor, attachments::remove_attachment),
        )
        .service(get("/api/collections/{collection}/items/{item}/history", Public, history::list_history))
        .service(get("/api/collections/{collection}/changes", Public, changes::list_changes))
        .service(get("/api/collections/{collection}/changes/stream", Public, changes::stream_changes))
        .service(get("/api/parks", Public, cards::list_parks))
        .service(get("/api/parks/{code}", Public, cards::get_park))
        .service(get("/api/parks/{code}/lineage", Public, park_lineage::get_park_lineage))
        .service(get("/api/parks/{code}/predecessors", Public, park_lineage::list_park_predecessors))
        .service(post("/api/park-events", Editor, park_events::create_park_event))
        .service(address("/api/directories", "GET, HEAD, POST").reads(Public, directories::list_directories).does(
            Method::POST,
            Editor,
            directories::create_directory,
        ))
        .service(get("/api/directories/as-of", Public, directories::get_directory_of_day))
        .service(get("/api/directories/difference", Public, directories::get_directory_difference))
        .service(get("/api/directories/{directory}", Public, directories::get_directory))
        .service(get("/api/reports", Staff, reports::list_reports))
        .service(address("/api/reports/{report}", "GET, HEAD").streams(Staff, reports::get_report))
        .service(get("/api/criteria", Staff, criteria::list_criteria))
        .service(
            address("/api/criteria/{division}/{year}", "GET, HEAD, PUT, DELETE")
                .reads(Staff, criteria::get_criteria)
                .does(Method::PUT, Editor, criteria::replace_criteria)
                .does(Method::DELETE, Editor, criteria::end_criteria),
        )
        .service(get("/api/control-zone-kinds", Staff, control_zones::list_zone_kinds))
        .service(
            address("/api/control-zone-kinds/{code}", "GET, HEAD, PUT, DELETE")
                .reads(Staff, control_zones::get_zone_kind)
                .does(Method::PUT, Admin, control_zones::put_zone_kind)
                .does(Method::DELETE, Admin, control_zones::end_zone_kind),
        )
        .service(address("/api/control-zones/{id}", "GET, HEAD, DELETE").reads(Staff, zone_withdrawal::get_zone).does(
            Method::DELETE,
            Editor,
            zone_withdrawal::withdraw_zone,
        ))
        .service(address("/api/imports", "GET, HEAD, POST").reads(Staff, imports::list_imports).does(
            Method::POST,
            Editor,
            imports::create_import,
        ))
        .service(get("/api/imports/{id}", Staff, imports::get_import))
        .service(post("/api/imports/{id}/commit", Editor, imports::commit_import))
        .service(post("/api/imports/{id}/undo", Editor, imports::undo_import))
        .service(address("/api/overlap-checks", "GET, HEAD, POST").reads(Planner, overlaps::list_overlap_checks).does(
            Method::POST,
            Planner,
            overlaps::create_overlap_check,
        ))
        .service(
            address("/api/overlap-checks/{id}", "GET, HEAD, DELETE").reads(Planner, overlaps::get_overlap_check).does(
                Method::DELETE,
                Planner,
                overlaps::remove_overlap_check,
            ),
        )
        .service(post("/api/overlap-checks/{id}/cancel", Planner, overlaps::cancel_overlap_check))
        .service(post("/api/overlap-checks/{id}/repeat", Planner, overlaps::repeat_overlap_check))
        .service(get("/api/overlap-checks/{id}/difference", Planner, overlaps::get_overlap_difference))
        .service(
            address("/api/overlap-checks/{id}/events", "GET, HEAD").streams(Planner, overlaps::stream_overlap_check),
        )
        .service(address("/api/overlap-checks/{id}/report", "GET, HEAD").streams(Planner, overlaps::get_overlap_report))
        .service(get("/api/overlap-checks/{id}/findings", Planner, overlaps::list_overlap_findings))
        .service(
            address("/api/overlap-checks/{id}/findings/{finding}/marks", "GET, HEAD, POST")
                .reads(Planner, overlaps::list_overlap_marks)
                .does(Method::POST, Planner, overlaps::create_overlap_mark),
        )
        .service(address("/api/scenarios", "GET, HEAD, POST").reads(Planner, scenarios::list_scenarios).does(
            Method::POST,
            Planner,
            scenarios::create_scenario,
        ))
        .service(
            address("/api/scenarios/{id}", "GET, HEAD, PUT, DELETE")
                .reads(Planner, scenarios::get_scenario)
                .does(Method::PUT, Planner, scenarios::replace_scenario)
                .does(Method::DELETE, Planner, scenarios::drop_scenario),
        )
        // (A trial has limits of its own, longer than a read's.)
        .service(
            address("/api/scenarios/{id}/evaluation", "GET, HEAD").streams(Planner, scenarios::get_scenario_evaluation),
        )
        .service(
            address("/api/scenarios/{id}/features", "GET, HEAD").streams(Planner, scenarios::get_scenario_features),
        )
        .service(post("/api/scenarios/{id}/overlap-check", Planner, scenarios::check_over_scenario))
        .service(post("/api/scenarios/{id}/rebase", Planner, scenarios::rebase_scenario))
        .service(post("/api/scenarios/{id}/apply", Editor, scenarios::apply_scenario))
        .service(get("/api/conflicts", Planner, conflicts::list_conflicts))
        .service(get("/api/conflicts/{id}", Planner, conflicts::get_conflict))
        .service(post("/api/conflicts/{id}/marks", Planner, conflicts::create_conflict_mark))
        .service(
            address("/api/boundary-changes", "GET, HEAD, POST")
                .reads(Staff, boundary_changes::list_boundary_changes)
                .does(Method::POST, Planner, boundary_changes::create_boundary_change),
        )
        .service(
            address("/api/boundary-changes/{id}", "GET, HEAD, PUT")
                .reads(Staff, boundary_changes::get_boundary_change)
                .does(Method::PUT, Planner, boundary_changes::replace_boundary_change),
        )
        .service(
            address("/api/boundary-changes/{id}/assessment", "GET, HEAD")
                .streams(Planner, boundary_changes::get_boundary_assessment),
        )
        .service(post("/api/boundary-changes/{id}/transitions", Planner, boundary_changes::create_boundary_transition))
        .service(
            address("/api/session", "GET, HEAD, POST, DELETE")
                .reads(Public, session::get_session)
                .does(Method::POST, Open, session::log_in)
                .does(Method::DELETE, Open, session::log_out),
        )
        .service(post("/api/session/password", Own, session::change_password))
        .service(address("/api/accounts", "GET, HEAD, POST").reads(Admin, accounts::list_accounts).does(
            Method::POST,
            Admin,
            accounts::create_account,
        ))
        .service(address("/api/accounts/{name}", "GET, HEAD, PATCH").reads(Admin, accounts::get_account).does(
            Method::PATCH,
            Admin,
            accounts::change_account,
        ))
        .service(post("/api/accounts/{name}/password", Admin, accounts::reset_password))
        .service(post("/api/accounts/{name}/unlock", Admin, accounts::unlock_account))
        .service(address("/api/tokens", "GET, HEAD, POST").reads(Own, tokens::list_tokens).does(
            Method::POST,
            Own,
            tokens::create_token,
        ))
        .service(address("/api/tokens/{id}", "DELETE").does(Method::DELETE, Own, tokens::revoke_token));
}

/// The rules of the URL table, for tests.
pub fn accesses() -> Vec<Access> {
    let mut table = Routes::to_read();
    routes(&mut table);
    table.accesses
}

/// A resource to read: GET, and HEAD by the same handler.
fn get<F, Args>(path: &'static str, rule: Rule, handler: F) -> Ruled
where
    F: Handler<Args, Output = problem::Answer>,
    Args: FromRequest + 'static,
{
    address(path, "GET, HEAD").reads(rule, handler)
}

/// A deed: POST alone.
fn post<F, Args>(path: &'static str, rule: Rule, handler: F) -> Ruled
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    address(path, "POST").does(Method::POST, rule, handler)
}

/// An address without methods yet; `allow` is told to whoever asks for another than those that follow.
fn address(path: &'static str, allow: &'static str) -> Ruled {
    let resource = web::resource(path).default_service(web::to(move |request| refuse(request, allow)));
    Ruled { resource, path, rules: Vec::new() }
}

impl Ruled {
    /// GET, and HEAD by the same handler, within the time of a read.
    fn reads<F, Args>(self, rule: Rule, handler: F) -> Self
    where
        F: Handler<Args, Output = problem::Answer>,
        Args: FromRequest + 'static,
    {
        self.streams(rule, Timed(handler))
    }

    /// [`Ruled::reads`] without the time limit of a read: the handler keeps its own.
    fn streams<F, Args>(mut self, rule: Rule, handler: F) -> Self
    where
        F: Handler<Args, Output = problem::Answer>,
        Args: FromRequest + 'static,
    {
        self.rules.extend([(Method::GET, rule), (Method::HEAD, rule)]);
        self.resource = self.resource.route(web::get().to(handler.clone())).route(web::head().to(handler));
        self
    }

    /// A method that changes something.
    fn does<F, Args>(mut self, method: Method, rule: Rule, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.resource = self.resource.route(web::method(method.clone()).to(handler));
        self.rules.push((method, rule));
        self
    }
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

async fn refuse(request: HttpRequest, allow: &'static str) -> problem::Answer {
    Err(edits::refuse_method(&request, allow))
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
        .allowed_headers(["accept", "accept-language", "if-none-match", "last-event-id", "sizhi-at-least"])
        .expose_headers([
            "etag",
            "link",
            "content-crs",
            "content-disposition",
            "sizhi-revision",
            "sizhi-stale",
            "x-features-left-out",
            "x-request-id",
        ])
        .max_age(3600);
    App::new()
        .app_data(web::Data::new(state))
        .app_data(web::Data::new(feed))
        .configure(|config| routes(&mut Routes::to_serve(config)))
        .default_service(web::to(no_such_address))
        .wrap(from_fn(inner_layer))
        // The last one is the outermost. Problems are written outside of compression and CORS, which refuse things too.
        .wrap(Compress::default())
        .wrap(cors)
        .wrap(from_fn(problem::problem_layer))
        .wrap(TracingLogger::<RequestSpan>::new())
}

/// The database that is served.
pub struct Served {
    /// What requests work with.
    pub pool: PgPool,
    /// The owner of the tables: for the schema of a replica that is promoted.
    pub owner: PgPool,
    pub role: DatabaseRole,
    pub layers: Catalogue,
}

/// What comes before every handler and after it. One layer: each is some hundred nanoseconds of a tile's ten thousand.
async fn inner_layer(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> std::result::Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match rate::refusal(&request) {
        Some(problem) => Ok(request.error_response(problem)),
        None => in_memory::own_writes(request, next).await,
    }
}

/// Serves until a signal; `ready` is told the address once the port is bound.
pub async fn serve(http: &HttpArgs, served: Served, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    let Served { pool, owner, role, layers } = served;
    let workers = http.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from)).max(1);
    let cache = Arc::new(TileCache::new(http.tile_cache_mb.saturating_mul(1 << 20)));
    let told = inventory_tiles::listener(Arc::clone(&cache));
    let live = Live::new(pool.clone(), layers.all(), inventory_tiles::attributes_of, vec![told]);
    let state =
        State::new(pool, http.clone()).with_role(role).with_layers(layers).with_live_tiles(Arc::new(live), cache);
    let background = Background::prepare(&state);
    let feed = background.feed();
    let server = HttpServer::new(move || app_with(state.clone(), feed.clone()))
        .workers(workers)
        .keep_alive(Duration::from_secs(15))
        // An answer of several pieces must not wait for the client's acknowledgement of the first (40 ms), and not be written piece by piece.
        .tcp_nodelay(true)
        .h1_write_buffer_size(WRITE_BUFFER)
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
    let background = background.start(owner);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// Each is moved several times before it is first asked: with what a statement waits for in it, ten kilobytes a time.
    #[test]
    fn what_a_map_waits_for_is_small() {
        let sizes = [
            ("a tile", size_of_future(|request, state, ()| tiles::get_tile(request, state))),
            ("items", size_of_future(items::list_items)),
            ("the rule before both", size_of_future(access::enforce)),
        ];
        assert!(sizes.iter().all(|(_, bytes)| *bytes <= 2_048), "{sizes:?}");
    }
}
