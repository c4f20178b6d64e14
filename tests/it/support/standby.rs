//! A real standby of an embedded cluster: a base backup in a data folder of its own, which follows the primary by streaming.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use sizhi::store::embedded;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::data_folder::DataFolder;

/// Makes the folder's cluster a standby of the other's, which runs.
pub fn make(folder: &DataFolder, primary: &DataFolder) {
    // Finds out where this folder's cluster goes, and makes nothing yet.
    folder.must(&["db", "status"]);
    let cluster = folder.home().join("cluster");
    std::fs::create_dir(&cluster).expect("folder");
    let owner = std::fs::metadata(primary.home().join("cluster")).expect("the primary's cluster");
    std::os::unix::fs::chown(&cluster, Some(owner.uid()), Some(owner.gid())).expect("given to the server's user");
    std::fs::set_permissions(&cluster, Permissions::from_mode(0o700)).expect("private");
    let mut backup = Command::new(embedded::binaries().expect("PostgreSQL").join("pg_basebackup"));
    backup.env_clear().current_dir("/").uid(owner.uid()).gid(owner.gid());
    backup
        .args(["-U", "postgres", "-R", "-X", "stream", "-c", "fast", "--no-sync", "-h"])
        .arg(primary.home().join("run"));
    let made = backup.arg("-D").arg(&cluster).output().expect("pg_basebackup runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// As superuser, past the service.
pub async fn superuser(folder: &DataFolder) -> PgConnection {
    let options = PgConnectOptions::new_without_pgpass().socket(folder.home().join("run"));
    PgConnection::connect_with(&options.username("postgres").database("sizhi")).await.expect("superuser")
}

pub async fn execute(folder: &DataFolder, sql: &str) {
    let mut connection = superuser(folder).await;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// One value by SQL.
pub async fn value<T>(folder: &DataFolder, sql: &str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_one(&mut superuser(folder).await)
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e}"))
}
