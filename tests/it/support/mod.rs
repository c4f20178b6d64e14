//! What tests share: a PostGIS cluster made by sizhi itself, a database per test, the application in process, builders.

pub mod accounts;
pub mod borders;
pub mod boundary;
pub mod client;
pub mod consolidation;
pub mod criteria;
pub mod data_folder;
pub mod deeds;
pub mod edits;
pub mod exports;
pub mod extra;
pub mod files;
pub mod http;
pub mod images;
pub mod land;
pub mod overlaps;
pub mod parcels;
pub mod process;
pub mod proj;
pub mod proxy;
pub mod replay;
pub mod reports;
pub mod scenarios;
pub mod standby;
pub mod tiles;
pub mod tools;
pub mod zones;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, LazyLock};

use sizhi::config::HttpArgs;
use sizhi::domain::access::Viewer;
use sizhi::domain::layer::Layer;
use sizhi::inventory::import::{self, ImportRequest, Imported};
use sizhi::inventory::live::Live;
use sizhi::inventory::progress::Silent;
use sizhi::inventory::sample;
use sizhi::layers::declaration;
use sizhi::store::embedded::{self, Embedded, Options};
use sizhi::store::{self, PoolLimits};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::sync::{Mutex, OnceCell};

/// One cluster for the whole run, under the target folder; it ends with this process.
struct Cluster {
    embedded: Embedded,
    /// Databases are made one at a time: a template must have no other user.
    making: Mutex<()>,
    with_sample: OnceCell<()>,
}

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(1);

const EMPTY: &str = "template_empty";
const SAMPLE: &str = "template_sample";

/// The binary under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_sizhi"))
}

/// The project's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder of this run, emptied by the next.
pub fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

async fn cluster() -> &'static Cluster {
    CLUSTER
        .get_or_init(|| async {
            // GDAL runs in a child of the real binary: this one has no hidden subcommand.
            sizhi::exchange::vector::use_program(binary());
            let options = Options { for_tests: true, ..Options::default() };
            let folder = scratch().join("cluster");
            // The last run's databases: dropping each waits for a checkpoint, half a minute for a whole run's.
            if let Ok(last) = embedded::status(&folder)
                && last.exists
                && !last.running
            {
                std::fs::remove_dir_all(last.cluster).expect("last cluster removed");
            }
            let embedded = Embedded::start(&folder, options).await.expect("test cluster");
            let cluster = Cluster { embedded, making: Mutex::new(()), with_sample: OnceCell::new() };
            cluster.drop_leftovers().await;
            cluster.make(EMPTY, "template1").await;
            let pool = cluster.pool(EMPTY);
            store::migrate(&pool).await.expect("migrations");
            pool.close().await;
            cluster
        })
        .await
}

impl Cluster {
    async fn run(&self, sql: String) {
        let mut admin =
            PgConnection::connect_with(&self.embedded.superuser_options("postgres")).await.expect("superuser");
        sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut admin).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        admin.close().await.expect("closed");
    }

    async fn drop_leftovers(&self) {
        let mut admin =
            PgConnection::connect_with(&self.embedded.superuser_options("postgres")).await.expect("superuser");
        let old: Vec<String> = sqlx::query_scalar(
            "SELECT datname FROM pg_database WHERE datname LIKE 'test\\_%' OR datname LIKE 'template\\_%'",
        )
        .fetch_all(&mut admin)
        .await
        .expect("databases");
        admin.close().await.expect("closed");
        for name in old {
            self.run(format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }

    async fn make(&self, name: &str, template: &str) {
        let _one_at_a_time = self.making.lock().await;
        self.run(format!("CREATE DATABASE {name} TEMPLATE {template} OWNER sizhi")).await;
    }

    fn pool(&self, database: &str) -> PgPool {
        store::connect(self.embedded.connect_options().database(database), PoolLimits::default())
    }
}

/// Drops the databases of tests that are over, one after the other: of a whole run they would take 20 GB.
static REMOVER: LazyLock<Sender<(PgConnectOptions, String)>> = LazyLock::new(|| {
    let (over, names) = mpsc::channel::<(PgConnectOptions, String)>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        for (superuser, name) in names {
            let dropped = runtime.block_on(async {
                let mut admin = PgConnection::connect_with(&superuser).await?;
                // By force: the test's own connections end with its runtime, a moment later.
                let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                sqlx::query(AssertSqlSafe(sql)).execute(&mut admin).await?;
                admin.close().await
            });
            if let Err(error) = dropped {
                eprintln!("{name} is not dropped: {error}");
            }
        }
    });
    over
});

/// The name of a database that goes with this value.
struct Owned(String);

impl Drop for Owned {
    fn drop(&mut self) {
        let Some(cluster) = CLUSTER.get() else { return };
        // What is not dropped when the run ends goes with the cluster before the next.
        let _ = REMOVER.send((cluster.embedded.superuser_options("postgres"), std::mem::take(&mut self.0)));
    }
}

/// A database of one test; it goes with the value that it was made as.
pub struct Database {
    /// As the owner, like the command line.
    pub pool: PgPool,
    /// As the service's role.
    pub application: PgPool,
    pub name: String,
    /// The layers in memory, as a server over this database holds them.
    pub live: Arc<Live>,
    /// None of one seen another way.
    _owned: Option<Owned>,
}

/// The layers in memory over this database; they hold nothing yet.
pub fn live_over(application: &PgPool) -> Arc<Live> {
    live_over_layers(application, declaration::LAYERS.iter())
}

/// The same of these layers.
pub fn live_over_layers(application: &PgPool, layers: impl IntoIterator<Item = &'static Layer>) -> Arc<Live> {
    Arc::new(Live::new(application.clone(), layers, sizhi::inventory::tiles::attributes_of, Vec::new()))
}

impl Database {
    /// Migrated and empty.
    pub async fn empty() -> Self {
        Self::of(EMPTY).await
    }

    /// With the sample inventory.
    pub async fn with_sample() -> Self {
        let cluster = cluster().await;
        cluster
            .with_sample
            .get_or_init(|| async {
                cluster.make(SAMPLE, EMPTY).await;
                let pool = cluster.pool(SAMPLE);
                sample::seed(&pool, "test").await.expect("sample");
                pool.close().await;
            })
            .await;
        Self::of(SAMPLE).await
    }

    /// PostGIS and nothing of ours: what a restore wants.
    pub async fn bare() -> Self {
        Self::of("template1").await
    }

    async fn of(template: &str) -> Self {
        let cluster = cluster().await;
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        cluster.make(&name, template).await;
        let options = cluster.embedded.connect_options().database(&name);
        let application = store::connect_as_application(options, PoolLimits::default());
        let live = live_over(&application);
        let _owned = Some(Owned(name.clone()));
        Self { pool: cluster.pool(&name), application, name, live, _owned }
    }

    /// The same database by other connections, for owner and service.
    pub fn through(&self, pool: PgPool) -> Self {
        let live = live_over(&pool);
        Self { application: pool.clone(), pool, name: self.name.clone(), live, _owned: None }
    }

    /// As the owner, over one connection alone.
    pub async fn single_connection(&self) -> PgPool {
        let options = cluster().await.embedded.connect_options().database(&self.name);
        store::connect(options, PoolLimits { connections: 1, ..PoolLimits::default() })
    }

    /// A connection that may do anything, as a tamperer would.
    pub async fn superuser(&self) -> PgConnection {
        let cluster = cluster().await;
        PgConnection::connect_with(&cluster.embedded.superuser_options(&self.name)).await.expect("superuser")
    }

    /// For a process of its own: `DATABASE_URL`.
    pub async fn url(&self) -> String {
        let address = cluster().await.embedded.connection_string();
        let socket = address.split_whitespace().find_map(|part| part.strip_prefix("host=")).expect("socket");
        format!("postgres://sizhi@localhost/{}?host={socket}", self.name)
    }

    /// For GDAL: `PG:…`.
    pub async fn ogr_address(&self) -> String {
        let address = cluster().await.embedded.connection_string();
        format!("PG:{}", address.replace("dbname=sizhi", &format!("dbname={}", self.name)))
    }

    /// One value by SQL: the independent look at what was stored.
    pub async fn value<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&self.pool)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// All values of one column by SQL, in order.
    pub async fn column<T>(&self, sql: &str) -> Vec<T>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&self.pool)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// Writes by SQL as one revision: the statements of `sql`, which no request could bring about.
    pub async fn write(&self, sql: &str) {
        let mut transaction = self.pool.begin().await.expect("transaction");
        store::revision::open(&mut transaction, "test", "test", "").await.expect("revision");
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut *transaction)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
        transaction.commit().await.expect("committed");
    }

    /// Imports a file of boundaries as the command line does.
    pub async fn import(&self, path: &Path, edit: impl FnOnce(&mut ImportRequest)) -> sizhi::error::Result<Imported> {
        let mut request = import_request(path);
        edit(&mut request);
        import::import_now(&self.pool, &request, false, Arc::new(Silent)).await
    }

    /// The same without writing.
    pub async fn dry_run(&self, path: &Path, edit: impl FnOnce(&mut ImportRequest)) -> sizhi::error::Result<Imported> {
        let mut request = import_request(path);
        edit(&mut request);
        import::import_now(&self.pool, &request, true, Arc::new(Silent)).await
    }

    /// `audit verify`: the first bad row, if any.
    pub async fn audit(&self) -> Option<store::audit::BadRow> {
        let mut connection = self.pool.acquire().await.expect("connection");
        let mut transaction = connection.begin().await.expect("transaction");
        store::audit::verify(&mut transaction).await.expect("verified").first_bad
    }
}

/// A request to import this file as park blocks.
pub fn import_request(path: &Path) -> ImportRequest {
    let name = path.file_name().expect("a file").to_string_lossy().into_owned();
    ImportRequest::new(path.to_owned(), name, "park_blocks".to_owned(), &Viewer::operator("test"))
}

/// The codes of a report's findings, in order.
pub fn codes(imported: &Imported) -> Vec<String> {
    imported.report.findings.iter().map(|f| f.code.to_string()).collect()
}

/// How the service is configured in tests; writing is open with this token.
pub const TOKEN: &str = "a-token-for-tests";

pub fn http_args() -> HttpArgs {
    HttpArgs {
        port: 0,
        bind: "127.0.0.1".to_owned(),
        admin_token: Some(TOKEN.to_owned()),
        public_url: None,
        primary_url: None,
        trust_forwarded: true,
        upload_limit_mb: 5,
        attachment_max_mb: 1,
        exports_at_once: 2,
        export_limit: 100_000,
        streams: 200,
        rate_limit: 100,
        tile_cache_mb: 16,
        stale_limit_s: 600,
        workers: Some(1),
    }
}

/// A file of the shared real data, or `None` where it is absent: CI has it and must not skip.
pub fn real(path: &str) -> Option<PathBuf> {
    let full = root().join("../shared/data/real").join(path);
    if full.exists() {
        return Some(full);
    }
    assert!(std::env::var_os("CI").is_none(), "shared real data is absent in CI: {path}");
    assert!(!root().join("../shared/data/real").exists(), "no such real file: {path}");
    eprintln!("skipped: shared real data is absent: {path}");
    None
}

/// A fixture of the project.
pub fn fixture(path: &str) -> PathBuf {
    root().join("fixtures").join(path)
}
