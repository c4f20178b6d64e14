//! Which of the installed PostgreSQL programs run a cluster.

use std::fs;
use std::path::{Path, PathBuf};

use super::refuse;
use crate::error::Result;

/// Oldest PostgreSQL that the schema is written for.
const OLDEST_VERSION: u32 = 15;

/// Installed versions with their programs, oldest first. Debian keeps them by version; others have one on the PATH.
fn installations() -> Vec<(u32, PathBuf)> {
    let complete = |bin: &Path| ["postgres", "initdb", "pg_dump", "pg_restore"].iter().all(|p| bin.join(p).exists());
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin"))))
        .filter(|(version, bin)| *version >= OLDEST_VERSION && complete(bin))
        .collect();
    if versions.is_empty() {
        let on_path =
            std::env::var_os("PATH").into_iter().flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
        versions.extend(on_path.filter(|bin| complete(bin)).take(1).map(|bin| (OLDEST_VERSION, bin)));
    }
    versions.sort();
    versions
}

/// The version that made the cluster, since no other can run it; for a new one the newest that has PostGIS.
pub(super) fn choose(made_by: Option<u32>) -> Result<PathBuf> {
    let mut versions = installations();
    if let Some(made_by) = made_by {
        let exact =
            versions.iter().position(|(version, bin)| *version == made_by || !bin.starts_with("/usr/lib/postgresql"));
        return exact.map(|at| versions.swap_remove(at).1).ok_or_else(|| {
            refuse(
                "cluster_version",
                format!("数据目录是 PostgreSQL {made_by} 建立的，系统里没有这个版本；请安装 postgresql-{made_by}-postgis-3，或用 db backup 和 db restore 迁移"),
            )
        });
    }
    let with_postgis = |(version, _): &(u32, PathBuf)| {
        Path::new(&format!("/usr/share/postgresql/{version}/extension/postgis.control")).exists()
    };
    let newest = versions.iter().rposition(with_postgis).or(versions.len().checked_sub(1));
    newest.map(|at| versions.swap_remove(at).1).ok_or_else(|| {
        refuse(
            "postgresql_missing",
            format!("系统里没有 PostgreSQL {OLDEST_VERSION} 或更新的版本；Debian、Ubuntu 请执行 apt install postgresql-15-postgis-3，或用 DATABASE_URL 指定已有的数据库"),
        )
    })
}
