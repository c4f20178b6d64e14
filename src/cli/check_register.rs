//! `sizhi check register`: the register's conflicts with itself, brought up to date and counted.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::REFUSED;
use super::import::operator;
use super::output::{self, Bar};
use super::serve;
use crate::config::DatabaseArgs;
use crate::domain::access::Viewer;
use crate::domain::conflict::AUDITED;
use crate::domain::overlap_check::Weight;
use crate::error::{Error, Result};
use crate::inventory::conflicts::{self, wire};
use crate::inventory::live::Live;
use crate::inventory::progress::Progress;
use crate::inventory::tiles;
use crate::layers::declaration;
use crate::store::conflicts::ConflictQuery;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// 全部重新比较，不只比较上次审查以来变动的
    #[arg(long)]
    whole: bool,
    /// 列出现存冲突的条数上限，0 为只计数
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(0..=100_000))]
    limit: i64,
    /// 输出一个 JSON 对象
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub async fn run(args: Args) -> Result<ExitCode> {
    let database = serve::open_database(&args.database).await?;
    let bar = Bar::new(args.json);
    let checked = check(&args, database.pool(), &bar).await;
    bar.finish();
    database.close().await;
    let (audited, by_weight, listed) = checked?;
    if args.json {
        output::print_json(&json!({"audited": audited, "by_weight": by_weight, "conflicts": listed}));
    } else {
        for conflict in &listed {
            let text = |name: &str| conflict[name].as_str().unwrap_or_default().to_owned();
            output::print(&format!("[{}] {}（{}）", text("weight_label"), text("message"), text("id")));
        }
        let count = |weight: Weight| by_weight[weight.as_str()].as_i64().unwrap_or_default();
        output::print(&format!(
            "现存冲突：不得通过 {}，需核对 {}，提示 {}；本次{}",
            count(Weight::Block),
            count(Weight::Warn),
            count(Weight::Note),
            match audited.as_object() {
                None => "没有要审查的变动".to_owned(),
                Some(done) => format!(
                    "审查到修订 {}：新增 {}，变化 {}，消除 {}",
                    done["revision"], done["opened"], done["changed"], done["closed"]
                ),
            }
        ));
    }
    let blocks = by_weight[Weight::Block.as_str()].as_i64() != Some(0);
    Ok(if blocks { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

/// What the audit did (`null`: nothing was to be done), open conflicts by weight, and the first of them.
async fn check(args: &Args, pool: &sqlx::PgPool, bar: &Bar) -> Result<(Value, Value, Vec<Value>)> {
    bar.stage("读取图层", None);
    let layers = AUDITED.iter().filter_map(|id| declaration::find(id));
    let live = Live::new(pool.clone(), layers, tiles::attributes_of, Vec::new());
    live.refresh().await?;
    if !AUDITED.iter().filter_map(|id| declaration::find(id)).all(|layer| live.held(layer).is_some()) {
        return Err(Error::conflict("audit_not_possible", "图层中有相同的标识，无法审查"));
    }
    bar.stage("比较", None);
    let audited = conflicts::audit(pool, &live, args.whole).await?;
    let audited = audited.as_ref().map_or(Value::Null, wire::audited_json);
    let viewer = Viewer::operator(&operator());
    let mut by_weight = json!({});
    for weight in Weight::ALL {
        let query = ConflictQuery { weights: vec![*weight], limit: 0, ..ConflictQuery::default() };
        let (_, count, _) = conflicts::list(pool, &viewer, &query).await?;
        by_weight[weight.as_str()] = json!(count);
    }
    let query = ConflictQuery { limit: args.limit, ..ConflictQuery::default() };
    let (listed, ..) = conflicts::list(pool, &viewer, &query).await?;
    Ok((audited, by_weight, listed.iter().map(|conflict| wire::properties(conflict, None)).collect()))
}
