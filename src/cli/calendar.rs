//! `sizhi calendar load|list`: days that are otherwise than their weekday, by which public notices (公示) are counted.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{REFUSED, output, serve};
use crate::config::DatabaseArgs;
use crate::domain::boundary_change::CalendarDay;
use crate::error::{Error, Result};
use crate::inventory::boundary_change::calendar;
use crate::inventory::wire;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// 载入工作日历（CSV：day,is_working,name,source）：文件中出现的年份整年替换，其余不动
    Load {
        file: PathBuf,
        /// 只检查，不写入
        #[arg(long)]
        dry_run: bool,
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// 列出放假和调休上班的日子
    List {
        /// 只要这一年的
        #[arg(long)]
        year: Option<i32>,
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Larger is no calendar: a year has some thirty such days.
const MOST_BYTES: u64 = 1 << 20;

pub async fn run(args: Args) -> Result<ExitCode> {
    let database = match &args.what {
        What::Load { database, .. } | What::List { database, .. } => database,
    };
    let opened = serve::open_database(database).await?;
    let outcome = carry_out(opened.pool(), args.what).await;
    opened.close().await;
    outcome
}

async fn carry_out(pool: &PgPool, what: What) -> Result<ExitCode> {
    match what {
        What::Load { file, dry_run, json: as_json, .. } => {
            let bytes = read(&file)?;
            let loaded = calendar::load(pool, &bytes, dry_run).await?;
            if as_json {
                output::print_json(&json!({
                    "days": loaded.days, "replaced": loaded.replaced, "dry_run": dry_run,
                    "findings": wire::findings(&loaded.findings),
                }));
            } else {
                output::print_findings(&loaded.findings);
                output::print(&match (loaded.findings.is_empty(), dry_run) {
                    (false, _) => "✗ 未写入：请先改正上面的错误".to_owned(),
                    (true, true) => {
                        format!("✓ 检查通过（未写入）：{} 天，将替换同年份原有的 {} 天", loaded.days, loaded.replaced)
                    }
                    (true, false) => format!("✓ 已载入 {} 天，替换原有的 {} 天", loaded.days, loaded.replaced),
                });
            }
            Ok(if loaded.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
        }
        What::List { year, json: as_json, .. } => {
            let days = calendar::list(pool, year).await?;
            if as_json {
                output::print_json(&Value::Array(days.iter().map(day_json).collect()));
                return Ok(ExitCode::SUCCESS);
            }
            if days.is_empty() {
                output::print("工作日历中没有这些日子；公示期只扣除周末");
            }
            for day in &days {
                let what = if day.is_working { "上班" } else { "放假" };
                output::print(&format!("{} {what} {}  {}", day.day, day.name, day.source));
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn day_json(day: &CalendarDay) -> Value {
    json!({"day": day.day.to_string(), "is_working": day.is_working, "name": day.name, "source": day.source})
}

fn read(file: &PathBuf) -> Result<Vec<u8>> {
    let unreadable = || Error::invalid("file_unreadable", format!("无法读取文件“{}”", file.display()));
    let size = std::fs::metadata(file).map_err(|_| unreadable())?.len();
    if size > MOST_BYTES {
        return Err(Error::too_large("file_too_large", format!("工作日历不应超过 {MOST_BYTES} 字节")));
    }
    std::fs::read(file).map_err(|_| unreadable())
}
