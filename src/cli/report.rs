//! `sizhi report NAME`: a report of the whole register, to the terminal or into a file.

use std::path::PathBuf;
use std::process::ExitCode;

use chrono::Utc;
use sqlx::PgPool;

use super::export::write_whole;
use super::import::operator;
use super::output;
use super::serve;
use crate::config::DatabaseArgs;
use crate::domain::access::Viewer;
use crate::domain::report::{MAX_ROWS, Report, ReportKind};
use crate::error::{Error, Result};
use crate::inventory::reports::{self, GivenOut};
use crate::store::as_of::{self, Asked};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// 报表
    #[arg(value_parser = ReportKind::ALL.map(ReportKind::as_str))]
    name: String,
    /// 县区或市州代码
    #[arg(long)]
    county: Option<String>,
    /// 园区代码
    #[arg(long)]
    park: Option<String>,
    /// 统计日：YYYY-MM-DD；不给时为现状
    #[arg(long)]
    on: Option<String>,
    /// 登记库当时记载的：修订号
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..))]
    revision: Option<i64>,
    /// 分组，用逗号隔开，最多三个
    #[arg(long)]
    by: Option<String>,
    /// 计划年份
    #[arg(long)]
    year: Option<String>,
    /// 季度，例如 2026Q3
    #[arg(long)]
    quarter: Option<String>,
    /// 台账：turnover 或 low_efficiency
    #[arg(long)]
    ledger: Option<String>,
    /// 只要其中一个表；CSV 不给时为第一个
    #[arg(long)]
    table: Option<String>,
    /// 每个表最多多少行
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_ROWS)))]
    limit: Option<u32>,
    /// 格式
    #[arg(long, default_value = "json", value_parser = ["json", "csv", "xlsx"])]
    format: String,
    /// 写到哪个文件；不给时 json、csv 写到标准输出，xlsx 按报表和日期取名
    #[arg(long, short)]
    output: Option<PathBuf>,
    /// 覆盖已有文件
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

impl Args {
    fn given(&self, name: &str) -> Option<String> {
        let value = match name {
            "county" => &self.county,
            "park" => &self.park,
            "on" => &self.on,
            "by" => &self.by,
            "year" => &self.year,
            "quarter" => &self.quarter,
            "ledger" => &self.ledger,
            "table" => &self.table,
            _ => &None,
        };
        value.clone()
    }
}

pub async fn run(args: Args) -> Result<ExitCode> {
    let kind = ReportKind::parse(&args.name)
        .ok_or_else(|| Error::not_found("report_not_found", format!("没有报表 {}", args.name)))?;
    refuse_others(kind, &args)?;
    // What is wrong with the question is said before a database is looked for.
    reports::ask(kind, &|name| args.given(name), None, args.limit)?;
    let database = serve::open_database(&args.database).await?;
    let made = make(database.pool(), kind, &args).await;
    database.close().await;
    let (report, bytes) = made?;
    give(&args, &report, &bytes)
}

/// An option that the report has no use for would be believed.
fn refuse_others(kind: ReportKind, args: &Args) -> Result<()> {
    let own = ["on", "by", "year", "quarter", "ledger"];
    match own.iter().find(|name| args.given(name).is_some() && !kind.options().contains(name)) {
        None => Ok(()),
        Some(name) => Err(Error::invalid("parameter_unknown", format!("报表“{}”没有选项 --{name}", kind.title().zh))),
    }
}

async fn make(pool: &PgPool, kind: ReportKind, args: &Args) -> Result<(Report, Vec<u8>)> {
    let revision = match args.revision {
        Some(number) => Some(as_of::resolve(pool, Asked::Number(number)).await?),
        None => None,
    };
    let query = reports::ask(kind, &|name| args.given(name), revision, args.limit)?;
    let viewer = Viewer::operator(&operator());
    let report = reports::make(pool, &viewer, &query).await?;
    if args.format == "json" {
        let text = format!("{}\n", reports::document(&report));
        return Ok((report, text.into_bytes()));
    }
    let given = GivenOut { report: &report, viewer: &viewer, format: &args.format, address: "" };
    reports::log_download(pool, &given).await?;
    let bytes = if args.format == "csv" { reports::csv(&report)? } else { reports::workbook(&report, Utc::now())? };
    Ok((report, bytes))
}

fn give(args: &Args, report: &Report, bytes: &[u8]) -> Result<ExitCode> {
    let named = || PathBuf::from(reports::file_name(report, &args.format, Utc::now()).1);
    let output = args.output.clone().or_else(|| (args.format == "xlsx").then(named));
    match output {
        Some(path) => {
            let mut content = bytes;
            write_whole(&path, &mut content, args.force)?;
            let rows: usize = report.tables.iter().map(|table| table.rows.len()).sum();
            output::print(&format!(
                "✓ {}：{rows} 行，{} 字节：{}",
                report.kind.title().zh,
                bytes.len(),
                path.display()
            ));
        }
        None => output::print_bytes(bytes),
    }
    Ok(ExitCode::SUCCESS)
}
