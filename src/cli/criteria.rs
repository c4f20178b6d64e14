//! `sizhi criteria import|list|export`: a bureau's table of criteria for “low-efficient” in and out.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use sqlx::PgPool;

use super::export::write_whole;
use super::import::{checked_actor, operator};
use super::{REFUSED, output, serve};
use crate::config::DatabaseArgs;
use crate::domain::DivisionCode;
use crate::domain::access::Viewer;
use crate::domain::export::TextEncoding;
use crate::domain::ledger::{FieldKind, FieldValue};
use crate::error::{Error, Result};
use crate::inventory::criteria::{self, Imported, TableFormat, TableRequest};
use crate::inventory::import::ReadOptions;
use crate::inventory::wire;
use crate::store::criteria::SetFilter;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// 导入认定标准表（CSV、XLSX）：先检查，全部合格才写入；表中出现的每套标准整套替换，其余不动
    Import {
        file: PathBuf,
        /// 只检查，不写入
        #[arg(long)]
        dry_run: bool,
        /// 文字编码，如 gbk、utf-8；不给时自动判断
        #[arg(long)]
        encoding: Option<String>,
        /// 读哪个工作表；不给时为第一个有“指标”和“阈值”两列的
        #[arg(long)]
        sheet: Option<String>,
        #[arg(long)]
        json: bool,
        /// 操作人，写入修订日志
        #[arg(long, default_value_t = operator())]
        actor: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// 列出有哪些标准
    List {
        #[command(flatten)]
        which: Which,
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// 导出为表格；再导入时不变
    Export {
        #[command(flatten)]
        which: Which,
        #[arg(long, default_value = "csv", value_parser = ["csv", "xlsx"])]
        format: String,
        /// CSV 的编码：utf-8 或 gbk
        #[arg(long, default_value = "utf-8")]
        encoding: String,
        /// 写到哪个文件
        #[arg(long, short)]
        output: PathBuf,
        /// 覆盖已有文件
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// 只要这个行政区划（6 位代码）及其下级的
    #[arg(long)]
    division: Option<String>,
    /// 只要这一年的
    #[arg(long)]
    year: Option<String>,
}

impl Which {
    fn filter(&self) -> Result<SetFilter> {
        let division = self.division.as_deref().map(DivisionCode::parse).transpose();
        let year = |text: &str| match FieldKind::Year.parse(text) {
            Ok(FieldValue::Integer(year)) => Ok(year),
            _ => Err(Error::invalid("value_invalid", format!("--year 应为四位数的年份，不是“{text}”"))),
        };
        Ok(SetFilter {
            division: division.map_err(|reason| Error::invalid("value_invalid", reason.to_string()))?,
            year: self.year.as_deref().map(year).transpose()?,
        })
    }
}

/// Sets that a listing shows at most.
const LISTED: u32 = 100_000;

pub async fn run(args: Args) -> Result<ExitCode> {
    // What is wrong with the question is said before a database is looked for.
    let database = match &args.what {
        What::Import { actor, database, .. } => {
            checked_actor(actor)?;
            database
        }
        What::List { which, database, .. } | What::Export { which, database, .. } => {
            which.filter()?;
            database
        }
    };
    let opened = serve::open_database(database).await?;
    let outcome = carry_out(opened.pool(), args.what).await;
    opened.close().await;
    outcome
}

async fn carry_out(pool: &PgPool, what: What) -> Result<ExitCode> {
    let viewer = Viewer::operator(&operator());
    match what {
        What::Import { file, dry_run, encoding, sheet, json: as_json, actor, .. } => {
            let viewer = Viewer::operator(&checked_actor(&actor)?);
            let request = TableRequest {
                file_name: file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
                path: file,
                read: ReadOptions { encoding, source_layer: sheet, ..ReadOptions::default() },
            };
            let imported = criteria::import(pool, &viewer, &request, dry_run).await?;
            if as_json {
                output::print_json(&document(&imported, dry_run));
            } else {
                print(&imported, dry_run);
            }
            Ok(if imported.has_errors() { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
        }
        What::List { which, json: as_json, .. } => {
            let (found, _, _) = criteria::list(pool, &viewer, &which.filter()?, (LISTED, 0), None).await?;
            if as_json {
                output::print_json(&Value::Array(found.iter().map(criteria::summary_json).collect()));
                return Ok(ExitCode::SUCCESS);
            }
            if found.is_empty() {
                output::print("没有登记认定标准");
            }
            for set in &found {
                output::print(&format!(
                    "{} {}  {} 年  {} 条  修订 {}  {}",
                    set.division, set.name, set.year, set.criteria, set.version, set.source
                ));
            }
            Ok(ExitCode::SUCCESS)
        }
        What::Export { which, format, encoding, output: path, force, .. } => {
            let encoding = TextEncoding::parse(&encoding).ok_or_else(|| {
                Error::invalid("encoding_unknown", format!("编码只能是 utf-8 或 gbk，不能是“{encoding}”"))
            })?;
            let format = if format == "xlsx" { TableFormat::Xlsx } else { TableFormat::Csv(encoding) };
            let (bytes, sets, rows) = criteria::export(pool, &viewer, &which.filter()?, format).await?;
            write_whole(&path, &mut bytes.as_slice(), force)?;
            output::print(&format!("✓ 已导出 {sets} 套 {rows} 条，{} 字节：{}", bytes.len(), path.display()));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn status(imported: &Imported) -> &'static str {
    match imported.sets.iter().any(|set| set.change != "unchanged") {
        _ if imported.has_errors() => "refused",
        true => "ready",
        false => "unchanged",
    }
}

fn document(imported: &Imported, dry_run: bool) -> Value {
    let sets = imported.sets.iter().map(|set| {
        json!({
            "division": set.division.as_str(), "year": set.year, "criteria": set.criteria, "change": set.change,
        })
    });
    json!({
        "status": status(imported),
        "format": imported.format,
        "encoding": imported.encoding,
        "sets": sets.collect::<Vec<_>>(),
        "findings": wire::findings(&imported.findings),
        "dry_run": dry_run,
        "revision": imported.revision,
    })
}

fn print(imported: &Imported, dry_run: bool) {
    output::print(&format!("格式 {}，编码 {}", imported.format, imported.encoding.as_deref().unwrap_or("—")));
    output::print_findings(&imported.findings);
    for set in &imported.sets {
        let change = match set.change {
            "insert" => "新增",
            "update" => "替换",
            _ => "不变",
        };
        output::print(&format!("  {} {} 年：{} 条，{change}", set.division, set.year, set.criteria));
    }
    output::print(&match (imported.revision, status(imported), dry_run) {
        (_, "refused", _) => "✗ 未写入：请先改正上面的错误".to_owned(),
        (_, "ready", true) => "✓ 检查通过（未写入）".to_owned(),
        (Some(revision), ..) => format!("✓ 已写入，修订 {revision}"),
        _ => "✓ 与登记库完全一致，没有改动".to_owned(),
    });
}
