//! `sizhi db start|stop|status|backup|restore`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::{output, serve};
use crate::config::DatabaseArgs;
use crate::error::Result;
use crate::inventory::extra_layers;
use crate::store::backup;
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
    /// 附加图层的触发器：列出，或去掉不再发布的
    Layers {
        #[command(flatten)]
        database: DatabaseArgs,
        /// 去掉这个图层的触发器和变化记录
        #[arg(long, value_name = "ID")]
        forget: Option<String>,
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
        What::Layers { database, forget, json } => layers(&database, forget.as_deref(), json).await?,
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

async fn layers(database: &DatabaseArgs, forget: Option<&str>, as_json: bool) -> Result<()> {
    let opened = serve::open_database(database).await?;
    let outcome = async {
        match forget {
            Some(id) => extra_layers::forget(opened.pool(), id).await.map(|()| Vec::new()),
            None => extra_layers::installed(opened.pool()).await,
        }
    };
    let outcome = outcome.await;
    opened.close().await;
    let installed = outcome?;
    if let Some(id) = forget {
        output::print(&format!("✓ 已去掉图层 {id} 的触发器"));
    } else if as_json {
        let list = installed.iter().map(|layer| {
            json!({"layer": layer.layer, "table": layer.relation, "fires": layer.fires, "changes": layer.changes})
        });
        output::print_json(&json!(list.collect::<Vec<_>>()));
    } else if installed.is_empty() {
        output::print("没有附加图层的触发器");
    } else {
        for layer in &installed {
            let state = if layer.fires { "有效" } else { "缺失或停用，下次启动时重建" };
            output::print(&format!("{}  {}  {state}，变化记录 {} 条", layer.layer, layer.relation, layer.changes));
        }
    }
    Ok(())
}

async fn backup(file: &Path, database: &DatabaseArgs) -> Result<()> {
    let opened = serve::open_unmigrated(database).await?;
    let written = backup::backup(&opened.address(database), file);
    opened.close().await;
    output::print(&format!("✓ 已备份到 {}（{} 字节）", file.display(), written?));
    Ok(())
}

async fn restore(file: &Path, replace: bool, database: &DatabaseArgs) -> Result<()> {
    backup::check_is_backup(file)?;
    let opened = serve::open_unmigrated(database).await?;
    let restored = backup::restore(opened.pool(), &opened.address(database), file, replace).await;
    opened.close().await;
    let restored = restored?;
    if let Some(safety) = &restored.safety {
        output::print(&format!("原有内容已备份到 {}", safety.display()));
    }
    output::print(&format!("✓ 已恢复并校验：修订 {} 个，变更 {} 条", restored.audit.revisions, restored.audit.changes));
    Ok(())
}
