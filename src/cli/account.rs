//! `sizhi account …`: accounts and tokens from the operator's terminal, as the owner of the database.
//!
//! A password is typed twice without echo, or comes by standard input. Never: a password as an argument, where every user
//! of the machine could read it.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{import, output, serve};
use crate::config::DatabaseArgs;
use crate::domain::access::Role;
use crate::error::{Error, Result};
use crate::inventory::accounts::tokens::{self, DAYS, TokenRequest};
use crate::inventory::accounts::{self, AccountChange, AccountRequest, wire};
use crate::store::accounts::Account;

/// Accounts or tokens listed at most.
const LISTED: i64 = 100_000;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// 新建账号；密码在终端输入两次，或从标准输入读一行
    Add {
        /// 账号名：2 至 32 个小写字母、数字、点、下划线或连字符
        name: String,
        #[command(flatten)]
        rights: Rights,
        #[command(flatten)]
        common: Common,
    },
    /// 列出账号
    List {
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        common: Common,
    },
    /// 改变姓名、角色或管辖范围；没有给出的不变
    Set {
        name: String,
        #[command(flatten)]
        rights: Rights,
        #[command(flatten)]
        common: Common,
    },
    /// 重设密码；该账号的登录随之失效
    Password {
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// 停用账号：登录和令牌立即失效
    Disable {
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// 启用停用的账号
    Enable {
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// 解除登录失败过多的锁定
    Unlock {
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// 程序用的令牌
    Token {
        #[command(subcommand)]
        what: TokenWhat,
    },
}

#[derive(Debug, clap::Subcommand)]
enum TokenWhat {
    /// 签发令牌；令牌只显示这一次
    Add {
        /// 令牌所属的账号
        account: String,
        /// 用途，例如 地图同步
        #[arg(long)]
        name: String,
        /// 角色，不超出账号：staff、planner、editor、admin；不给时与账号相同
        #[arg(long, value_parser = role)]
        role: Option<Role>,
        /// 管辖范围，不超出账号：行政区划代码，用逗号隔开
        #[arg(long, value_delimiter = ',', value_name = "CODE")]
        divisions: Option<Vec<String>>,
        /// 有效天数
        #[arg(long, default_value_t = DAYS)]
        days: i32,
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        common: Common,
    },
    /// 列出令牌（不含令牌本身）
    List {
        /// 只列这个账号的
        #[arg(long)]
        account: Option<String>,
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        common: Common,
    },
    /// 撤销令牌，立即生效
    Revoke {
        id: i64,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Rights {
    /// 姓名或单位
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// 角色：staff（查询）、planner（规划）、editor（编辑）、admin（管理员）
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// 管辖范围：行政区划代码，用逗号隔开，例如 430100,430200；* 表示全部
    #[arg(long, value_delimiter = ',', value_name = "CODE")]
    divisions: Option<Vec<String>>,
}

#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    database: DatabaseArgs,
    /// 操作人，记入账号日志
    #[arg(long, default_value_t = import::operator(), value_name = "NAME")]
    actor: String,
}

fn role(text: &str) -> std::result::Result<Role, String> {
    let role = Role::parse(text).filter(|role| *role != Role::Public);
    role.ok_or_else(|| "应为 staff、planner、editor 或 admin".to_owned())
}

pub async fn run(args: Args) -> Result<ExitCode> {
    match args.what {
        What::Token { what } => token(what).await?,
        What::Add { name, rights, common } => add(name, rights, &common).await?,
        What::List { json, common } => list(json, &common).await?,
        What::Set { name, rights, common } => {
            let Rights { display_name, role, divisions } = rights;
            change(&name, AccountChange { display_name, role, divisions, disabled: None }, &common).await?;
        }
        What::Password { name, common } => {
            let actor = actor(&common)?;
            let opened = serve::open_database(&common.database).await?;
            let outcome = reset(opened.pool(), &actor, &name).await;
            opened.close().await;
            outcome?;
            output::print(&format!("✓ 账号 {name} 的密码已重设，登录已全部失效"));
        }
        What::Disable { name, common } => change(&name, disabled(true), &common).await?,
        What::Enable { name, common } => change(&name, disabled(false), &common).await?,
        What::Unlock { name, common } => {
            let actor = actor(&common)?;
            let opened = serve::open_database(&common.database).await?;
            let outcome = accounts::unlock(opened.pool(), &actor, &name).await;
            opened.close().await;
            output::print(&format!("✓ 账号 {} 可以登录", outcome?.name));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn disabled(disabled: bool) -> AccountChange {
    AccountChange { disabled: Some(disabled), ..AccountChange::default() }
}

fn actor(common: &Common) -> Result<String> {
    import::checked_actor(&common.actor)
}

async fn add(name: String, rights: Rights, common: &Common) -> Result<()> {
    let actor = actor(common)?;
    let role = rights
        .role
        .ok_or_else(|| Error::invalid("rights_invalid", "请用 --role 给出角色：staff、planner、editor 或 admin"))?;
    let password = read_password()?;
    let wanted =
        AccountRequest { name, display_name: rights.display_name, role, divisions: rights.divisions, password };
    let opened = serve::open_database(&common.database).await?;
    let outcome = accounts::add(opened.pool(), &actor, &wanted).await;
    opened.close().await;
    output::print(&format!("✓ 已新建账号 {}", one_line(&outcome?)));
    Ok(())
}

async fn reset(pool: &PgPool, actor: &str, name: &str) -> Result<()> {
    // No use in typing a password for nobody.
    accounts::get(pool, name).await?;
    accounts::reset_password(pool, actor, name, &read_password()?).await
}

async fn change(name: &str, wanted: AccountChange, common: &Common) -> Result<()> {
    let actor = actor(common)?;
    let opened = serve::open_database(&common.database).await?;
    let outcome = accounts::change(opened.pool(), &actor, name, &wanted).await;
    opened.close().await;
    output::print(&format!("✓ 账号 {}", one_line(&outcome?)));
    Ok(())
}

fn one_line(account: &Account) -> String {
    let state = if account.disabled { "，已停用" } else { "" };
    format!(
        "{}（{}，{}，{}{state}）",
        account.name,
        account.display_name,
        account.role.label(),
        places(&account.jurisdiction.codes())
    )
}

fn places(codes: &[String]) -> String {
    if codes == ["*"] { "全部".to_owned() } else { codes.join("、") }
}

/// Twice without echo on a terminal; the first line of standard input elsewhere.
fn read_password() -> Result<String> {
    let unreadable = |cause: std::io::Error| Error::internal("无法读取密码", cause);
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(unreadable)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let password = rpassword::prompt_password("密码：").map_err(unreadable)?;
    if rpassword::prompt_password("再输一次：").map_err(unreadable)? != password {
        return Err(Error::invalid("password_refused", "两次输入的密码不一致"));
    }
    Ok(password)
}

fn table(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.to_vec());
    table.add_rows(rows);
    table.to_string()
}

fn day(moment: Option<chrono::DateTime<chrono::Utc>>) -> String {
    moment.map(wire::moment).unwrap_or_default()
}

async fn list(as_json: bool, common: &Common) -> Result<()> {
    let opened = serve::open_database(&common.database).await?;
    let outcome = accounts::list(opened.pool(), LISTED, "").await;
    opened.close().await;
    let found = outcome?;
    if as_json {
        output::print_json(&Value::Array(found.iter().map(wire::account).collect()));
        return Ok(());
    }
    let rows = found.iter().map(|account| {
        let state = match (account.disabled, account.locked_until) {
            (true, _) => "停用".to_owned(),
            (false, Some(until)) => format!("锁定到 {}", wire::moment(until)),
            (false, None) => "正常".to_owned(),
        };
        vec![
            account.name.clone(),
            account.display_name.clone(),
            account.role.label().to_owned(),
            places(&account.jurisdiction.codes()),
            state,
            day(account.last_login_at),
        ]
    });
    output::print(&table(&["账号", "姓名", "角色", "管辖范围", "状态", "上次登录"], rows.collect()));
    Ok(())
}

async fn token(what: TokenWhat) -> Result<()> {
    match what {
        TokenWhat::Add { account, name, role, divisions, days, json: as_json, common } => {
            let actor = actor(&common)?;
            let wanted = TokenRequest { account, name, role, divisions, days };
            let opened = serve::open_database(&common.database).await?;
            let outcome = tokens::issue(opened.pool(), &actor, &wanted).await;
            opened.close().await;
            let (token, clear) = outcome?;
            if as_json {
                let mut document = wire::token(&token);
                document["token"] = json!(clear);
                output::print_json(&document);
            } else {
                output::print(&format!(
                    "✓ 令牌 {}（{}），有效到 {}",
                    token.id,
                    token.name,
                    wire::moment(token.expires_at)
                ));
                output::print(&clear);
                output::print("  只显示这一次，请马上保存");
            }
        }
        TokenWhat::List { account, json: as_json, common } => {
            let opened = serve::open_database(&common.database).await?;
            let outcome = tokens::list(opened.pool(), account.as_deref(), LISTED, None).await;
            opened.close().await;
            let found = outcome?;
            if as_json {
                output::print_json(&Value::Array(found.iter().map(wire::token).collect()));
                return Ok(());
            }
            let rows = found.iter().map(|token| {
                vec![
                    token.id.to_string(),
                    token.account.clone(),
                    token.name.clone(),
                    token.role.label().to_owned(),
                    places(&token.jurisdiction.codes()),
                    wire::moment(token.expires_at),
                    day(token.revoked_at),
                    day(token.last_used_at),
                ]
            });
            let headings = ["编号", "账号", "用途", "角色", "管辖范围", "到期", "撤销", "上次使用"];
            output::print(&table(&headings, rows.collect()));
        }
        TokenWhat::Revoke { id, common } => {
            let actor = actor(&common)?;
            let opened = serve::open_database(&common.database).await?;
            let outcome = tokens::revoke(opened.pool(), &actor, id, None).await;
            opened.close().await;
            outcome?;
            output::print(&format!("✓ 令牌 {id} 已撤销"));
        }
    }
    Ok(())
}
