//! `sizhi seed`: the sample inventory, as one revision; a second time it changes nothing.

use std::process::ExitCode;

use super::import::operator;
use super::output::{self, Bar};
use super::serve;
use crate::config::DatabaseArgs;
use crate::error::Result;
use crate::inventory::sample;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// 另在园区区块内绘制示意地块（周转用地、低效用地、再开发方案），不写数量时为 20000
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    parcels: Option<u32>,
    /// 另在示意园区周边绘制示意管控区域（永久基本农田、生态保护红线、城镇开发边界、环境管控单元）
    #[arg(long)]
    control_zones: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub async fn run(args: Args) -> Result<ExitCode> {
    let database = serve::open_database(&args.database).await?;
    let bar = Bar::new(false);
    let seeded = sample::seed(database.pool(), &operator()).await;
    let zones = match &seeded {
        Ok(_) if args.control_zones => Some(sample::seed_zones(database.pool(), &operator()).await),
        _ => None,
    };
    let parcels = match (&seeded, args.parcels) {
        (Ok(_), Some(n)) => Some(sample::seed_parcels(database.pool(), &operator(), n as usize, &bar).await),
        _ => None,
    };
    bar.finish();
    database.close().await;
    output::print(&seeded?.to_string());
    if let Some(zones) = zones {
        output::print(&zones?.to_string());
    }
    if let Some(parcels) = parcels {
        output::print(&parcels?.to_string());
    }
    Ok(ExitCode::SUCCESS)
}
