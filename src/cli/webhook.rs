//! `sizhi webhook add|list|remove|resume|test`: whom the service tells of changes. The operator's alone.

use std::process::ExitCode;

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{output, serve};
use crate::config::DatabaseArgs;
use crate::error::Result;
use crate::inventory::webhooks;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// 登记一个接收变更通知的地址；打印编号和签名密钥
    Add {
        /// http:// 或 https:// 地址
        url: String,
        /// 只通知这些图层；可重复；不给时为全部
        #[arg(long = "layer", value_name = "ID")]
        layers: Vec<String>,
        /// 签名密钥，至少 16 个字符；不给时生成
        #[arg(long, env = "SIZHI_WEBHOOK_SECRET", hide_env_values = true)]
        secret: Option<String>,
        #[arg(long)]
        json: bool,
    },
    /// 列出各地址、积压和最近的错误
    List {
        #[arg(long)]
        json: bool,
    },
    /// 删除一个地址，未送达的一并放弃
    Remove { id: i64 },
    /// 立即重试；已停止的重新开始，从停下的地方继续
    Resume { id: i64 },
    /// 立即发送一个测试事件
    Test {
        id: i64,
        /// 对外的根地址，写入事件
        #[arg(long, env = "SIZHI_PUBLIC_URL", value_name = "URL")]
        public_url: Option<String>,
    },
}

pub async fn run(args: Args) -> Result<ExitCode> {
    let opened = serve::open_database(&args.database).await?;
    let outcome = carry_out(opened.pool(), args.what).await;
    opened.close().await;
    outcome
}

async fn carry_out(pool: &PgPool, what: What) -> Result<ExitCode> {
    match what {
        What::Add { url, layers, secret, json: as_json } => {
            let (id, secret) = webhooks::add(pool, &url, &layers, secret.as_deref()).await?;
            if as_json {
                output::print_json(&json!({"id": id, "secret": secret}));
            } else {
                output::print(&format!("✓ 已登记第 {id} 号变更通知\n  签名密钥（只显示这一次）：{secret}"));
            }
        }
        What::List { json: as_json } => list(pool, as_json).await?,
        What::Remove { id } => {
            webhooks::remove(pool, id).await?;
            output::print(&format!("✓ 已删除第 {id} 号变更通知"));
        }
        What::Resume { id } => {
            webhooks::resume(pool, id).await?;
            output::print(&format!("✓ 第 {id} 号变更通知将立即重试"));
        }
        What::Test { id, public_url } => {
            let status = webhooks::test(pool, id, public_url.as_deref()).await?;
            let taken = (200..300).contains(&status);
            output::print(&format!("{} 接收方回答 HTTP {status}", if taken { "✓" } else { "✗" }));
            return Ok(if taken { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(pool: &PgPool, as_json: bool) -> Result<()> {
    let all = webhooks::list(pool).await?;
    if as_json {
        output::print_json(&Value::Array(all.iter().map(webhooks::to_json).collect()));
        return Ok(());
    }
    if all.is_empty() {
        output::print("没有登记变更通知");
    }
    for webhook in &all {
        let state = match webhooks::state(webhook) {
            "dead" => "已停止，等待 sizhi webhook resume",
            "failing" => "重试中",
            _ => "正常",
        };
        output::print(&format!("{}  {}  [{}]", webhook.id, webhook.url, webhook.layers.join("，")));
        output::print(&format!("   {state}；待通知的修订 {} 个；连续失败 {} 次", webhook.behind, webhook.attempts));
        if let Some(error) = &webhook.last_error {
            output::print(&format!("   最近的错误：{error}；下次 {}", webhook.next_attempt_at.to_rfc3339()));
        }
    }
    Ok(())
}
