//! What kind of server stands behind a pool: the primary, or a streaming replica (standby) that takes no writes and shows what it has
//! received of the primary.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::{PgConnection, PgPool};

use crate::error::{Error, Result};

/// The server as one look has found it.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The newest revision there.
    pub revision: i64,
    /// What only a replica has.
    pub replica: Option<Replaying>,
}

/// How far a replica has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Replaying {
    /// The end of what is shown; moves with every commit of the primary.
    pub position: String,
    /// It receives from a primary at this moment. Not so where it lives on archived log alone.
    pub receiving: bool,
    /// All that was received is shown.
    pub caught_up: bool,
    /// Seconds since the commit that was shown last; `None` = none since it was started.
    pub commit_age_s: Option<f64>,
}

/// Looks at the server; one round trip.
pub async fn look(connection: &mut PgConnection) -> Result<Look> {
    // A receiver that was restarted may be behind what was replayed from files. Of `pg_stat_wal_receiver` everybody sees whether
    // there is one.
    let sql = "SELECT (SELECT coalesce(max(number), 0) FROM revision), pg_is_in_recovery(), pg_last_wal_replay_lsn()::text,
                      EXISTS (SELECT 1 FROM pg_stat_wal_receiver), coalesce(pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn(), false),
                      extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8";
    type Row = (i64, bool, Option<String>, bool, bool, Option<f64>);
    let (revision, is_replica, position, receiving, caught_up, commit_age_s): Row =
        sqlx::query_as(sql).fetch_one(connection).await?;
    let replaying = Replaying { position: position.unwrap_or_default(), receiving, caught_up, commit_age_s };
    Ok(Look { revision, replica: is_replica.then_some(replaying) })
}

/// [`look`] within `patience`.
pub async fn look_within(pool: &PgPool, patience: Duration) -> Result<Look> {
    let looking = async { look(&mut *pool.acquire().await?).await };
    tokio::time::timeout(patience, looking).await.unwrap_or_else(|_| {
        Err(Error::Unavailable {
            code: "database_unavailable", detail: "数据库没有应答".to_owned(), cause: None
        })
    })
}

/// Whether the server is a replica, which takes no writes.
pub async fn is_replica(connection: &mut PgConnection) -> Result<bool> {
    Ok(sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection).await?)
}

/// Whether the schema is the one that these migrations make. A replica cannot be migrated: its primary is.
pub(super) async fn check_schema(connection: &mut PgConnection, migrations: &Migrator) -> Result<()> {
    let known: bool = sqlx::query_scalar("SELECT to_regclass('public._sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    let applied: Vec<(i64, Vec<u8>)> = match known {
        true => {
            sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version")
                .fetch_all(connection)
                .await?
        }
        false => Vec::new(),
    };
    let applied: Vec<(i64, &[u8])> = applied.iter().map(|(version, sum)| (*version, sum.as_slice())).collect();
    let wanted: Vec<(i64, &[u8])> = migrations.iter().map(|made| (made.version, &*made.checksum)).collect();
    compare(&applied, &wanted)
}

/// Versions and checksums that there are, and those that this program has.
fn compare(applied: &[(i64, &[u8])], wanted: &[(i64, &[u8])]) -> Result<()> {
    if let Some((version, _)) = applied.iter().find(|(version, _)| !wanted.iter().any(|(known, _)| known == version)) {
        return Err(Error::conflict(
            "migration_newer",
            format!("数据库已升级到本程序不认识的第 {version} 号迁移，请使用更新的程序"),
        ));
    }
    for (version, checksum) in wanted {
        match applied.iter().find(|(there, _)| there == version) {
            Some((_, there)) if there == checksum => {}
            Some(_) => {
                return Err(Error::conflict(
                    "migration_mismatch",
                    format!("数据库的第 {version} 号迁移与本程序的不一致，请使用与数据库相配的程序版本"),
                ));
            }
            None => {
                let detail = format!(
                    "所连的数据库是副本，缺少第 {version} 号迁移，而副本不能升级；请先用本版本的 sizhi 升级主库（在主库上启动服务即可），等副本追上后再启动"
                );
                return Err(Error::conflict("replica_schema_older", detail));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_served_at_the_very_schema_that_the_program_knows() {
        let wanted: &[(i64, &[u8])] = &[(1, b"a"), (2, b"b"), (4, b"d")];
        let code = |applied: &[(i64, &[u8])]| compare(applied, wanted).err().map(|error| error.code());
        assert_eq!(code(wanted), None);
        assert_eq!(code(&[]), Some("replica_schema_older"));
        assert_eq!(code(&wanted[..2]), Some("replica_schema_older"));
        assert_eq!(code(&[(1, b"a"), (2, b"x"), (4, b"d")]), Some("migration_mismatch"));
        assert_eq!(code(&[(1, b"a"), (2, b"b"), (3, b"c"), (4, b"d")]), Some("migration_newer"));
    }
}
