//! `sizhi seed`: the sample inventory, as one revision; a second time it changes nothing.

use std::process::ExitCode;

use super::import::operator;
use super::{output, serve};
use crate::config::DatabaseArgs;
use crate::error::Result;
use crate::inventory::sample;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    database: DatabaseArgs,
}

pub async fn run(args: Args) -> Result<ExitCode> {
    let database = serve::open_database(&args.database).await?;
    let seeded = sample::seed(database.pool(), &operator()).await;
    database.close().await;
    output::print(&seeded?.to_string());
    Ok(ExitCode::SUCCESS)
}
