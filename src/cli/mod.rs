//! The subcommands, one file each. Everything is wired here and nothing decided.

pub mod account;
pub mod audit;
pub mod calendar;
pub mod check;
mod check_overlaps;
mod check_register;
pub mod criteria;
pub mod db;
pub mod export;
pub mod import;
mod output;
pub mod report;
pub mod seed;
pub mod serve;
mod temporary;
pub mod vector_child;
pub mod webhook;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;

/// 四至：产业园区土地清单。没有任何配置时，使用 ./data 下自建的 PostGIS。
#[derive(Debug, Parser)]
#[command(name = "sizhi", version, about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// 启动服务（地图图层、园区名录、导入接口）
    Serve(serve::Args),
    /// 导入边界或名录文件：先检查，全部合格才写入
    Import(import::Args),
    /// 导出区块边界
    Export(export::Args),
    /// 统计报表：存量、批而未供、闲置、供地计划、低效用地、季度变动
    Report(report::Args),
    /// 低效用地认定标准：导入、列出、导出
    Criteria(criteria::Args),
    /// 工作日历：放假和调休上班的日子，公示期按它计算
    Calendar(calendar::Args),
    /// 检查四至文字、图形文件、图形与各图层的重叠；不写数据库
    Check(check::Args),
    /// 载入示例清单（湖南 129 个园区，示意边界）
    Seed(seed::Args),
    /// 数据库：启动、停止、状态、备份、恢复
    Db(db::Args),
    /// 账号与令牌：新建、停用、重设密码、解锁
    Account(account::Args),
    /// 修订日志：校验有没有被改动
    Audit(audit::Args),
    /// 变更通知（webhook）：登记、列出、删除、重试、测试
    Webhook(webhook::Args),
    /// `check overlaps` and `check register`, which need a database.
    #[command(skip)]
    CheckRegister(check::OfRegister),
    /// Reads or writes one vector file under limits; started by sizhi itself.
    #[command(hide = true)]
    VectorChild,
}

/// Exit codes: 0 done, 1 failed, 2 wrong arguments (clap), 3 the input was refused with findings.
pub const REFUSED: u8 = 3;

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    // Before anything else: the child must not start a runtime, threads or logging.
    if std::env::args_os().nth(1).is_some_and(|arg| arg == "vector-child") {
        return vector_child::run();
    }
    let cli = Cli::parse();
    let temporary = temporary::Temporary::make();
    let cli = match cli.command {
        Command::Check(args) => match args.with_database() {
            Ok(of_register) => Cli { command: Command::CheckRegister(of_register) },
            Err(without) => return finish(check::run(without)),
        },
        _ => cli,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => {
            eprintln!("无法启动运行时：{cause}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        // The service ends by itself at a signal, after its last answer.
        if matches!(cli.command, Command::Serve(_)) {
            temporary.keep();
        } else {
            temporary.remove_at_signals();
        }
        match cli.command {
            Command::Serve(args) => finish(serve::run(args).await),
            Command::Import(args) => finish(import::run(args).await),
            Command::Export(args) => finish(export::run(args).await),
            Command::Report(args) => finish(report::run(args).await),
            Command::Criteria(args) => finish(criteria::run(args).await),
            Command::Calendar(args) => finish(calendar::run(args).await),
            Command::Seed(args) => finish(seed::run(args).await),
            Command::Db(args) => finish(db::run(args).await),
            Command::Account(args) => finish(account::run(args).await),
            Command::Audit(args) => finish(audit::run(args).await),
            Command::Webhook(args) => finish(webhook::run(args).await),
            Command::CheckRegister(check) => finish(check.run().await),
            Command::Check(_) | Command::VectorChild => ExitCode::FAILURE,
        }
    })
}

/// Prints what went wrong for a person; the cause, which may name paths and SQL, only because this is the operator's
/// own terminal.
fn finish(result: Result<ExitCode, Error>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            output::print_error(&error);
            match error {
                Error::Invalid { .. }
                | Error::Conflict { .. }
                | Error::UnsupportedFormat { .. }
                | Error::TooLarge { .. } => ExitCode::from(REFUSED),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
