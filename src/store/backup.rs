//! Backup and restore of the whole register by PostgreSQL's own programs.
//!
//! A restore holds the register's write lock from before the copy of what stands to the end: no write falls between.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sqlx::{Connection, PgConnection, PgPool};

use super::audit::{self, AuditReport};
use super::{embedded, extra, pool};
use crate::error::{Error, Result};

/// Tables without which a dump is not one of a register.
const TABLES: [&str; 5] = ["revision", "change", "park", "park_block", "import_batch"];

/// A database as PostgreSQL's own programs are told of it.
pub struct Address {
    dbname: String,
    /// Goes by the environment: arguments are seen by every user of the machine.
    password: Option<String>,
}

impl Address {
    /// The embedded cluster's own way of naming itself; no password is asked there.
    pub fn of_embedded(connection_string: String) -> Self {
        Self { dbname: connection_string, password: None }
    }

    /// A `postgres://` address; a password in it, before the host or among the options, goes its own way.
    pub fn of_url(url: &str) -> Self {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (secret, kept): (Vec<&str>, Vec<&str>) =
            query.split('&').filter(|p| !p.is_empty()).partition(|p| p.starts_with("password="));
        let mut password = secret.last().map(|p| percent_decode(&p["password=".len()..]));
        let mut dbname = base.to_owned();
        if let Some((scheme, rest)) = base.split_once("://") {
            let end = rest.find('/').unwrap_or(rest.len());
            if let Some((user_info, host)) = rest[..end].rsplit_once('@')
                && let Some((user, inline)) = user_info.split_once(':')
            {
                dbname = format!("{scheme}://{user}@{host}{}", &rest[end..]);
                password = password.or_else(|| Some(percent_decode(inline)));
            }
        }
        if !kept.is_empty() {
            dbname = format!("{dbname}?{}", kept.join("&"));
        }
        Self { dbname, password }
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

/// What a restore did.
#[derive(Debug)]
pub struct Restored {
    /// Where what stood before was written to.
    pub safety: Option<PathBuf>,
    pub audit: AuditReport,
}

/// Writes the state of one moment to a new file; gives its size.
pub fn backup(address: &Address, file: &Path) -> Result<u64> {
    must_not_exist(file)?;
    dump(address, file)?;
    Ok(std::fs::metadata(file).map_or(0, |m| m.len()))
}

fn must_not_exist(file: &Path) -> Result<()> {
    if file.exists() {
        return Err(Error::conflict("file_exists", format!("{} 已存在，备份不覆盖文件", file.display())));
    }
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

/// Waits for one of the programs; what it complains of goes into the error.
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

/// Before anything is touched: is this a backup of a register at all?
pub fn check_is_backup(file: &Path) -> Result<()> {
    if !file.is_file() {
        return Err(Error::not_found("file_not_found", format!("找不到备份文件 {}", file.display())));
    }
    let contents = contents(file)?;
    let holds =
        |table: &&str| contents.lines().any(|l| l.contains(" TABLE DATA ") && l.contains(&format!(" {table} ")));
    if TABLES.iter().all(holds) { Ok(()) } else { Err(not_a_backup(file)) }
}

fn not_a_backup(file: &Path) -> Error {
    Error::invalid("not_a_backup", format!("{} 不是 sizhi db backup 写的备份文件", file.display()))
}

/// The table of contents.
fn contents(file: &Path) -> Result<String> {
    let output = Command::new(embedded::binaries()?.join("pg_restore"))
        .arg("--list")
        .arg(file)
        .stderr(Stdio::null())
        .output()
        .map_err(|cause| Error::internal("无法运行 pg_restore", cause))?;
    if !output.status.success() {
        return Err(not_a_backup(file));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Restores in one transaction, brings the schema up to date and verifies the log. `replace`: what stands is written
/// beside the backup first.
pub async fn restore(pool: &PgPool, address: &Address, file: &Path, replace: bool) -> Result<Restored> {
    let options = pool.connect_options();
    let mut guard = PgConnection::connect_with(&options).await?;
    sqlx::query("SELECT set_config('lock_timeout', '30s', false), set_config('statement_timeout', '0', false)")
        .execute(&mut guard)
        .await?;
    // `open_revision` takes the same lock.
    sqlx::query("SELECT pg_advisory_lock(7226041, 1)").execute(&mut guard).await?;
    let empty: bool = sqlx::query_scalar("SELECT to_regclass('park') IS NULL").fetch_one(&mut guard).await?;
    let safety = if empty {
        None
    } else if replace {
        let mut safety = file.as_os_str().to_owned();
        safety.push(".before-restore");
        let safety = PathBuf::from(safety);
        must_not_exist(&safety)?;
        dump(address, &safety)?;
        Some(safety)
    } else {
        let detail = "登记库不是空的；要替换现有内容请加 --replace（会先自动备份）";
        return Err(Error::conflict("register_not_empty", detail));
    };
    // Read to its end before anything is touched: one that is cut off in the middle restores nothing.
    must_be_whole(file)?;
    if !empty {
        // Their function goes with the tables that are restored; the next start puts them on again.
        extra::follow::forget_all(&mut guard).await?;
    }
    pg_restore(address, file, !empty)?;
    guard.close().await?;
    pool::migrate(pool).await?;
    let mut transaction = pool.begin().await?;
    let report = audit::verify(&mut transaction).await?;
    transaction.rollback().await?;
    match &report.first_bad {
        None => Ok(Restored { safety, audit: report }),
        Some(bad) => {
            let back = safety.map(|s| format!("；原有内容在 {}", s.display())).unwrap_or_default();
            let detail = format!("备份已恢复，但没有通过校验：{}{back}", bad.message());
            Err(Error::conflict("restored_not_sound", detail))
        }
    }
}

fn must_be_whole(file: &Path) -> Result<()> {
    let mut command = Command::new(embedded::binaries()?.join("pg_restore"));
    command.arg("--file=/dev/null").arg(file).stdout(Stdio::null());
    finish(command, "pg_restore")
}

fn pg_restore(address: &Address, file: &Path, clean: bool) -> Result<()> {
    let mut command = address.command("pg_restore")?;
    command.args(["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]);
    if clean {
        command.args(["--clean", "--if-exists"]);
    }
    // The extensions and their own table of systems are the cluster's and stay: only a superuser could make them.
    let kept: String = contents(file)?
        .lines()
        .filter(|l| !l.contains(" EXTENSION ") && !l.contains(" spatial_ref_sys "))
        .map(|l| format!("{l}\n"))
        .collect();
    let unwritable = |cause| Error::internal("无法写临时文件", cause);
    let listing = tempfile::NamedTempFile::new().map_err(unwritable)?;
    std::fs::write(listing.path(), kept).map_err(unwritable)?;
    // Readers of a running service are waited for, but not for ever.
    command.env("PGOPTIONS", "-c lock_timeout=30s");
    command.arg("--use-list").arg(listing.path()).arg(file).stdout(Stdio::null());
    finish(command, "pg_restore")
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
            ("postgres://u@h/d?password=p%40ss&sslmode=require", "postgres://u@h/d?sslmode=require", Some("p@ss")),
            ("postgres://u:a@h/d?password=b", "postgres://u@h/d", Some("b")),
        ] {
            let address = Address::of_url(url);
            assert_eq!((address.dbname.as_str(), address.password.as_deref()), (dbname, password), "{url}");
        }
    }
}
