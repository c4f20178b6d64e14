//! `sizhi serve`: open the database, migrate, load the sample into an empty embedded register, serve.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

use super::output;
use crate::api;
use crate::config::{DatabaseArgs, HttpArgs, LayerArgs};
use crate::error::{Error, Result};
use crate::inventory::accounts::{self, passwords};
use crate::inventory::database_role::DatabaseRole;
use crate::inventory::{extra_layers, sample};
use crate::layers::catalogue::Catalogue;
use crate::store::backup::Address;
use crate::store::embedded::{Embedded, Options};
use crate::store::roles::Standing;
use crate::store::{self, PoolLimits};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    layers: LayerArgs,
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
    options: PgConnectOptions,
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

    /// The pool that the service works with: as the application's role, which can neither change tables nor the log. Where
    /// the database user may not take it on, the owner's, and the operator is told.
    async fn application_pool(&self) -> Result<PgPool> {
        let Standing::Missing { remedy } = store::migrate(&self.pool).await? else {
            return Ok(store::connect_as_application(self.options.clone(), PoolLimits::default()));
        };
        tracing::warn!(
            remedy,
            "服务以数据库所有者的身份运行，行级安全不起作用；请由超级用户执行 remedy 里的语句，然后重启服务"
        );
        Ok(self.pool.clone())
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
    Ok(Database { pool: store::connect(options.clone(), PoolLimits::default()), embedded, options })
}

pub async fn run(args: Args) -> Result<ExitCode> {
    start_logging(args.log_json);
    let begun = Instant::now();
    api::check_primary_url(&args.http)?;
    let database = open_unmigrated(&args.database).await?;
    let outcome = serve(&args, &database, begun).await;
    database.close().await;
    outcome?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: &Args, database: &Database, begun: Instant) -> Result<()> {
    let application = database.application_pool().await?;
    let role = DatabaseRole::find(database.pool()).await?;
    if role.takes_writes() {
        prepare(args, database.pool()).await?;
    } else {
        output::print("✓ 数据库是只读副本：提供查询，不接受写入；升为主库后无需重启");
    }
    // Made now, or the first unknown name would take twice as long as a known one.
    tokio::task::spawn_blocking(passwords::warm);
    let layers = extra_layers(&args.layers, database.pool(), &application).await?;
    let served = api::Served { pool: application.clone(), owner: database.pool().clone(), role, layers };
    let served = api::serve(&args.http, served, |address| {
        output::print(&format!("✓ 四至已启动（{:.1} 秒）：http://{address}/", begun.elapsed().as_secs_f64()));
        output::print(&format!("  接口 http://{address}/api    停止：Ctrl-C"));
    })
    .await;
    application.close().await;
    served
}

/// What a register lacks at its first start.
async fn prepare(args: &Args, owner: &PgPool) -> Result<()> {
    if args.database.database_url.is_none() && !args.no_sample && is_empty(owner).await? {
        let seeded = sample::seed(owner, "sizhi serve").await?;
        output::print(&seeded.to_string());
        output::print(&sample::seed_zones(owner, "sizhi serve").await?.to_string());
    }
    first_admin(args, owner).await
}

/// The register's layers and those of the operator's file. With a file that has faults the service does not start.
async fn extra_layers(args: &LayerArgs, owner: &PgPool, application: &PgPool) -> Result<Catalogue> {
    let Some(file) = &args.layers else { return Ok(Catalogue::default()) };
    let text = std::fs::read_to_string(file).map_err(|cause| {
        Error::invalid("layers_file_unreadable", format!("无法读取图层文件 {}：{cause}", file.display()))
    })?;
    let opened = extra_layers::open(owner, application, &text).await?;
    for finding in &opened.findings {
        tracing::warn!(code = %finding.code, line = finding.place.row, "{}", finding.message);
    }
    output::print(&format!("✓ 附加图层 {} 个（{}）", opened.layers.len(), file.display()));
    Ok(Catalogue::with(opened.layers))
}

/// A register without any account gets an administrator. The password is printed once, to the terminal and to no log; over
/// a database of the operator's own only where somebody is there to read it.
async fn first_admin(args: &Args, pool: &PgPool) -> Result<()> {
    if args.database.database_url.is_some() && !std::io::stdout().is_terminal() {
        if !accounts::any(pool).await? {
            tracing::warn!("还没有任何账号；请执行 sizhi account add admin --role admin");
        }
        return Ok(());
    }
    if let Some(password) = accounts::add_first_admin(pool, "sizhi serve").await? {
        output::print(&format!(
            "✓ 已建立管理员账号 {}，初始密码（只显示这一次，请登录后修改）：{password}",
            accounts::FIRST_ADMIN
        ));
    }
    Ok(())
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
