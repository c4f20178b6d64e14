//! Configuration: one struct a concern, a flag or a `SIZHI_*` variable each, a documented default.

use std::path::PathBuf;

/// Which database to use. Nothing given: the embedded cluster under `./data`.
#[derive(Debug, Clone, clap::Args)]
pub struct DatabaseArgs {
    /// 自带数据库的目录
    #[arg(long, env = "SIZHI_DATA", default_value = "data", value_name = "DIR")]
    pub data: PathBuf,
    /// 使用已有的 PostgreSQL 服务器，而不是自带的，例如 postgres://user:password@host/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
}

/// Layers beyond the register's own.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LayerArgs {
    /// 附加图层的声明文件（TOML）：把库中的表或视图发布为只读图层；见 docs/operations.md
    #[arg(long, env = "SIZHI_LAYERS", value_name = "FILE")]
    pub layers: Option<PathBuf>,
}

/// How the HTTP service listens and limits itself.
#[derive(Debug, Clone, clap::Args)]
pub struct HttpArgs {
    /// 端口；0 表示任选一个空闲端口
    #[arg(long, env = "SIZHI_PORT", default_value_t = 8080)]
    pub port: u16,
    /// 监听地址；0.0.0.0 表示所有网卡
    #[arg(long, env = "SIZHI_BIND", default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub bind: String,
    /// 运维人员的令牌，权限同管理员；不设置时只有账号和签发的令牌
    #[arg(long, env = "SIZHI_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub admin_token: Option<String>,
    /// 对外的根地址，例如 https://gis.example.cn/sizhi；不设置时从请求头推断
    #[arg(long, env = "SIZHI_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// 连接只读副本时，主库所在服务对外的根地址，例如 https://gis.example.cn/sizhi；被拒绝的写请求会得到它
    #[arg(long, env = "SIZHI_PRIMARY_URL", value_name = "URL")]
    pub primary_url: Option<String>,
    /// 是否采信 Forwarded、X-Forwarded-* 请求头；服务直接面向公网时应关闭
    #[arg(long, env = "SIZHI_TRUST_FORWARDED", default_value_t = true, action = clap::ArgAction::Set)]
    pub trust_forwarded: bool,
    /// 上传文件的上限，单位 MB
    #[arg(long, env = "SIZHI_UPLOAD_LIMIT_MB", default_value_t = 50)]
    pub upload_limit_mb: usize,
    /// 一个附件的上限，单位 MB；不超过上传文件的上限
    #[arg(long, env = "SIZHI_ATTACHMENT_MAX_MB", default_value_t = 20, value_name = "MB")]
    pub attachment_max_mb: usize,
    /// 同时进行的导出数；更多的稍等，等不到时请客户端稍后再来
    #[arg(long, env = "SIZHI_EXPORTS_AT_ONCE", default_value_t = 2, value_name = "N")]
    pub exports_at_once: usize,
    /// 内部图层一次最多导出多少条；公开图层不限
    #[arg(long, env = "SIZHI_EXPORT_LIMIT", default_value_t = 100_000, value_name = "ROWS")]
    pub export_limit: u64,
    /// 同时打开的变更推送（SSE）连接的上限
    #[arg(long, env = "SIZHI_STREAMS", default_value_t = 200)]
    pub streams: usize,
    /// 一个客户端地址、一个令牌或登录每秒的请求数，可一次用掉 5 秒的量；0 表示不限
    #[arg(long, env = "SIZHI_RATE_LIMIT", default_value_t = 1_000, value_name = "N")]
    pub rate_limit: u32,
    /// 瓦片缓存的上限，单位 MB；0 表示不缓存
    #[arg(long, env = "SIZHI_TILE_CACHE_MB", default_value_t = 256, value_name = "MB")]
    pub tile_cache_mb: usize,
    /// 数据库中断时，内存中的图层（标明已过时）最多再提供多少秒；0 表示不提供
    #[arg(long = "stale-limit", env = "SIZHI_STALE_LIMIT", default_value_t = 600, value_name = "SECONDS")]
    pub stale_limit_s: u64,
    /// 工作线程数；不设置时等于处理器核数
    #[arg(long, env = "SIZHI_WORKERS")]
    pub workers: Option<usize>,
}
