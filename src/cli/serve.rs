//! `sizhi serve`: open the database, migrate, load the sample into an empty embedded register, serve.

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

use super::output;
use crate::api;
use crate::config::{DatabaseArgs, HttpArgs};
use crate::error::{Error, Result};
use crate::inventory::sample;
use crate::store::backup::Address;
use crate::store::embedded::{Embedded, Options};
use crate::store::{self, PoolLimits};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    http: HttpArgs,
    /// 不载入示例清单（自带数据库为空时默认载入）
    #[arg(long)]
    no_sample: bool,
    /// 日志以 JSON 输出
    #[arg(long, env = "SIZHI_LOG_JSON")]
    log_json: bool,
}

/// An open database: a pool, and the embedded cluster that it talks to, if any.
pub struct Database {
    pool: PgPool,
    embedded: Option<Embedded>,
}

impl Database {
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// As PostgreSQL's own programs are told of it.
    pub fn address(&self, args: &DatabaseArgs) -> Address {
        match (&self.embedded, &args.database_url) {
            (Some(embedded), _) => Address::of_embedded(embedded.connection_string()),
            (None, url) => Address::of_url(url.as_deref().unwrap_or_default()),
        }
    }

    /// Closes the pool, then stops the cluster if this process runs it.
    pub async fn close(self) {
        self.pool.close().await;
        if let Some(embedded) = self.embedded {
            // Waiting for the server to stop would hold up the runtime's thread.
            let _ = tokio::task::spawn_blocking(move || embedded.stop()).await;
        }
    }
}

/// `DATABASE_URL` or the embedded cluster, migrated.
pub async fn open_database(args: &DatabaseArgs) -> Result<Database> {
    let database = open_unmigrated(args).await?;
    store::migrate(&database.pool).await?;
    Ok(database)
}

/// The same without migrating, for commands that must see the database as it is.
pub async fn open_unmigrated(args: &DatabaseArgs) -> Result<Database> {
    let (options, embedded) = match &args.database_url {
        Some(url) => {
            let options = PgConnectOptions::from_str(url).map_err(|_| {
                // The address may hold a password: it is not repeated.
                Error::invalid("database_url", "DATABASE_URL 不是有效的地址，应形如 postgres://用户:密码@主机/数据库")
            })?;
            (options, None)
        }
        None => {
            let embedded = Embedded::start(&args.data, Options::default()).await?;
            (embedded.connect_options(), Some(embedded))
        }
    };
    Ok(Database { pool: store::connect(options, PoolLimits::default()), embedded })
}

pub async fn run(args: Args) -> Result<ExitCode> {
    start_logging(args.log_json);
    let begun = Instant::now();
    let database = open_database(&args.database).await?;
    if args.database.database_url.is_none() && !args.no_sample && is_empty(database.pool()).await? {
        let seeded = sample::seed(database.pool(), "sizhi serve").await?;
        output::print(&seeded.to_string());
    }
    let served = api::serve(&args.http, database.pool().clone(), |address| {
        output::print(&format!("✓ 四至已启动（{:.1} 秒）：http://{address}/", begun.elapsed().as_secs_f64()));
        output::print(&format!("  接口 http://{address}/api    停止：Ctrl-C"));
    })
    .await;
    database.close().await;
    served?;
    Ok(ExitCode::SUCCESS)
}

async fn is_empty(pool: &PgPool) -> Result<bool> {
    store::parks::is_empty(&mut *pool.acquire().await?).await
}

fn start_logging(json: bool) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("SIZHI_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,tracing_actix_web=info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json { builder.json().init() } else { builder.init() }
}
