//! `sizhi audit verify`: is the history what it was when it was written?

use std::process::ExitCode;

use serde_json::{Value, json};
use sqlx::Connection;

use super::{output, serve};
use crate::config::DatabaseArgs;
use crate::error::{Error, Result};
use crate::store::audit::{self, BadRow};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// 重算哈希链，并核对当前表；有一处不符即指出第一处，退出码 1
    Verify {
        #[command(flatten)]
        database: DatabaseArgs,
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(args: Args) -> Result<ExitCode> {
    let What::Verify { database, json: as_json } = args.what;
    let opened = serve::open_unmigrated(&database).await?;
    let report = verify(opened.pool()).await;
    opened.close().await;
    let report = report?;
    if as_json {
        output::print_json(&json!({
            "ok": report.first_bad.is_none(),
            "revisions": report.revisions,
            "changes": report.changes,
            "contents": report.contents,
            "first_bad": report.first_bad.as_ref().map(told),
            "broken_contents": report.broken_contents.iter().map(told).collect::<Vec<_>>(),
        }));
    } else {
        match &report.first_bad {
            None => output::print(&format!(
                "✓ 修订 {} 个，变更 {} 条，附件内容 {} 份，全部与封存时一致",
                report.revisions, report.changes, report.contents
            )),
            Some(bad) => {
                // All broken attachments are named: each of them is somebody's document.
                let more = report.broken_contents.iter().filter(|broken| *broken != bad);
                for bad in std::iter::once(bad).chain(more) {
                    output::print(&format!("✗ {}（{}）", bad.message(), bad.what));
                }
            }
        }
    }
    Ok(if report.first_bad.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(bad: &BadRow) -> Value {
    json!({
        "revision": bad.revision, "ordinal": bad.ordinal, "layer": bad.layer, "feature_id": bad.feature_id,
        "what": bad.what, "message": bad.message(),
    })
}

async fn verify(pool: &sqlx::PgPool) -> Result<audit::AuditReport> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await.map_err(Error::from)?;
    let report = audit::verify(&mut transaction).await?;
    transaction.rollback().await.map_err(Error::from)?;
    Ok(report)
}
