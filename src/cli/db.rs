//! `sizhi db start|stop|status|backup|restore`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::json;

use super::{output, serve};
use crate::config::DatabaseArgs;
use crate::error::{Error, Result};
use crate::store::embedded::{self, Embedded, Options};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// 启动自带的数据库并留在后台
    Start(DatabaseArgs),
    /// 停止自带的数据库
    Stop(DatabaseArgs),
    /// 自带的数据库是否在运行、如何连接
    Status {
        #[command(flatten)]
        database: DatabaseArgs,
        #[arg(long)]
        json: bool,
    },
    /// 备份整个登记库到一个文件
    Backup {
        /// 备份文件；已存在时不覆盖
        file: PathBuf,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// 从备份文件恢复；登记库必须是空的，除非加 --replace
    Restore {
        file: PathBuf,
        /// 替换现有内容；替换前先备份到 FILE.before-restore
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

pub async fn run(args: Args) -> Result<ExitCode> {
    match args.what {
        What::Start(database) => {
            let embedded = Embedded::start(&database.data, Options { detached: true, ..Options::default() }).await?;
            output::print(&format!("✓ 数据库已启动：psql \"{}\"", embedded.connection_string()));
        }
        What::Stop(database) => {
            let stopped = embedded::stop(&database.data)?;
            output::print(if stopped { "✓ 数据库已停止" } else { "数据库没有在运行" });
        }
        What::Status { database, json } => print_status(&database, json)?,
        What::Backup { file, database } => backup(&file, &database).await?,
        What::Restore { file, replace, database } => restore(&file, replace, &database).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print_status(database: &DatabaseArgs, as_json: bool) -> Result<()> {
    let status = embedded::status(&database.data)?;
    if as_json {
        output::print_json(&json!({
            "cluster": status.cluster, "exists": status.exists, "running": status.running,
            "connection_string": status.connection_string,
        }));
    } else {
        let state = match (status.exists, status.running) {
            (false, _) => "尚未建立",
            (true, false) => "未运行",
            (true, true) => "运行中",
        };
        output::print(&format!("{state}：{}", status.cluster.display()));
        if status.exists {
            output::print(&format!("连接：psql \"{}\"", status.connection_string));
        }
    }
    Ok(())
}

/// A database as PostgreSQL's own programs are told of it.
struct Address {
    dbname: String,
    /// Goes by the environment: arguments are seen by every user of the machine.
    password: Option<String>,
}

impl Address {
    fn of_url(url: &str) -> Self {
        let whole = || Self { dbname: url.to_owned(), password: None };
        let Some((scheme, rest)) = url.split_once("://") else { return whole() };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let Some((user_info, host)) = rest[..end].rsplit_once('@') else { return whole() };
        let Some((user, password)) = user_info.split_once(':') else { return whole() };
        Self { dbname: format!("{scheme}://{user}@{host}{}", &rest[end..]), password: Some(percent_decode(password)) }
    }

    fn command(&self, program: &str) -> Result<Command> {
        let mut command = Command::new(embedded::binaries()?.join(program));
        command.arg("--dbname").arg(&self.dbname);
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
        Ok(command)
    }
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let pair = tail
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match pair.filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A started database and its address.
async fn open(database: &DatabaseArgs) -> Result<(Option<Embedded>, Address)> {
    match &database.database_url {
        Some(url) => Ok((None, Address::of_url(url))),
        None => {
            let embedded = Embedded::start(&database.data, Options::default()).await?;
            let address = Address { dbname: embedded.connection_string(), password: None };
            Ok((Some(embedded), address))
        }
    }
}

async fn backup(file: &Path, database: &DatabaseArgs) -> Result<()> {
    if file.exists() {
        return Err(Error::conflict("file_exists", format!("{} 已存在，备份不覆盖文件", file.display())));
    }
    let (_embedded, address) = open(database).await?;
    dump(&address, file)?;
    let size = std::fs::metadata(file).map(|m| m.len()).unwrap_or(0);
    output::print(&format!("✓ 已备份到 {}（{size} 字节）", file.display()));
    Ok(())
}

/// `pg_dump` to standard output, since the server's programs may not write where the caller may.
fn dump(address: &Address, file: &Path) -> Result<()> {
    let unwritable =
        |cause: std::io::Error| Error::invalid("file_not_writable", format!("无法写入 {}：{cause}", file.display()));
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let target = tempfile::NamedTempFile::new_in(folder).map_err(unwritable)?;
    let out = target.reopen().map_err(unwritable)?;
    let mut command = address.command("pg_dump")?;
    command.args(["--format=custom", "--no-owner", "--no-privileges"]).stdout(out);
    finish(command, "pg_dump")?;
    target.as_file().sync_all().map_err(unwritable)?;
    target.persist_noclobber(file).map_err(|e| unwritable(e.error))?;
    Ok(())
}

fn finish(mut command: Command, name: &str) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|cause| Error::internal(format!("无法运行 {name}"), cause))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::internal(format!("{name} 失败"), std::io::Error::other(text)))
}

async fn restore(file: &Path, replace: bool, database: &DatabaseArgs) -> Result<()> {
    if !file.is_file() {
        return Err(Error::not_found("file_not_found", format!("找不到备份文件 {}", file.display())));
    }
    // Before anything is touched: is this a backup at all?
    let mut list = Command::new(embedded::binaries()?.join("pg_restore"));
    list.arg("--list").arg(file).stdout(Stdio::null());
    finish(list, "pg_restore --list")
        .map_err(|_| Error::invalid("not_a_backup", format!("{} 不是 sizhi db backup 写的备份文件", file.display())))?;
    let opened = serve::open_unmigrated(database).await?;
    let empty: bool =
        sqlx::query_scalar("SELECT to_regclass('park') IS NULL").fetch_one(opened.pool()).await.map_err(Error::from)?;
    opened.close().await;
    let (_embedded, address) = open(database).await?;
    if !empty {
        if !replace {
            return Err(Error::conflict(
                "register_not_empty",
                "登记库不是空的；要替换现有内容请加 --replace（会先自动备份）",
            ));
        }
        let mut safety = file.as_os_str().to_owned();
        safety.push(".before-restore");
        let safety = PathBuf::from(safety);
        dump(&address, &safety)?;
        output::print(&format!("现有内容已备份到 {}", safety.display()));
    }
    let mut command = address.command("pg_restore")?;
    command.args(["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]);
    if !empty {
        command.args(["--clean", "--if-exists"]);
    }
    // The extensions are the cluster's and stay.
    let listing = tempfile::NamedTempFile::new().map_err(|cause| Error::internal("无法建立临时文件", cause))?;
    write_listing(file, listing.path())?;
    command.arg("--use-list").arg(listing.path()).arg(file).stdout(Stdio::null());
    finish(command, "pg_restore")?;
    output::print("✓ 已恢复；可用 sizhi audit verify 校验");
    Ok(())
}

/// The backup's table of contents without extensions and their own table of systems: only a superuser could make them,
/// and the cluster has them already.
fn write_listing(file: &Path, to: &Path) -> Result<()> {
    let output = Command::new(embedded::binaries()?.join("pg_restore"))
        .arg("--list")
        .arg(file)
        .output()
        .map_err(|cause| Error::internal("无法运行 pg_restore", cause))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let kept: String = text
        .lines()
        .filter(|l| !l.contains(" EXTENSION ") && !l.contains(" spatial_ref_sys "))
        .map(|l| format!("{l}\n"))
        .collect();
    std::fs::write(to, kept).map_err(|cause| Error::internal("无法写临时文件", cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_leave_the_address() {
        for (url, dbname, password) in [
            ("postgres://u:p%40ss@h:5432/d?sslmode=require", "postgres://u@h:5432/d?sslmode=require", Some("p@ss")),
            ("postgres://u@h/d", "postgres://u@h/d", None),
            ("postgres:///d?host=/run", "postgres:///d?host=/run", None),
            ("postgresql://u:100%@h/d", "postgresql://u@h/d", Some("100%")),
        ] {
            let address = Address::of_url(url);
            assert_eq!((address.dbname.as_str(), address.password.as_deref()), (dbname, password), "{url}");
        }
    }
}
