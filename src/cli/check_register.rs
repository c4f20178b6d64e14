//! `sizhi check register`: the register's conflicts with itself, brought up to date and counted.

use std::process::ExitCode;
use std::time::Duration;

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
    let Checked { audited, by_weight, not_compared, listed } = checked?;
    if args.json {
        output::print_json(
            &json!({"audited": audited, "by_weight": by_weight, "not_compared": not_compared, "conflicts": listed}),
        );
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
        if not_compared > 0 {
            output::print(&format!("另有 {not_compared} 对边界相交太多，没有比较（not_compared），需人工核对"));
        }
    }
    let blocks = by_weight[Weight::Block.as_str()].as_i64() != Some(0);
    // What nobody could compare is not in order either.
    Ok(if blocks || not_compared > 0 { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

struct Checked {
    /// What the audit did; `null`: nothing was to be done.
    audited: Value,
    /// Open conflicts.
    by_weight: Value,
    not_compared: usize,
    /// The first of the open conflicts.
    listed: Vec<Value>,
}

/// A server beside may be auditing: whoever wants all compared again waits for it so often, and so long.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(500);

async fn check(args: &Args, pool: &sqlx::PgPool, bar: &Bar) -> Result<Checked> {
    bar.stage("读取图层", None);
    let layers = AUDITED.iter().filter_map(|id| declaration::find(id));
    let live = Live::new(pool.clone(), layers, tiles::attributes_of, Vec::new());
    live.refresh().await?;
    if !AUDITED.iter().filter_map(|id| declaration::find(id)).all(|layer| live.held(layer).is_some()) {
        return Err(Error::conflict("audit_not_possible", "图层中有相同的标识，无法审查"));
    }
    bar.stage("比较", None);
    let mut audited = conflicts::audit(pool, &live, args.whole).await?;
    for _ in 1..TRIES {
        if audited.is_some() || !args.whole {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        live.refresh().await?;
        audited = conflicts::audit(pool, &live, true).await?;
    }
    let audited = audited.as_ref().map_or(Value::Null, wire::audited_json);
    let viewer = Viewer::operator(&operator());
    let mut by_weight = json!({});
    for weight in Weight::ALL {
        let query = ConflictQuery { weights: vec![*weight], limit: 0, ..ConflictQuery::default() };
        let (_, count, _) = conflicts::list(pool, &viewer, &query).await?;
        by_weight[weight.as_str()] = json!(count);
    }
    let query = ConflictQuery { limit: args.limit, ..ConflictQuery::default() };
    let (listed, _, state) = conflicts::list(pool, &viewer, &query).await?;
    let listed = listed.iter().map(|conflict| wire::properties(conflict, None)).collect();
    let not_compared = state.as_ref().and_then(|state| state.not_compared.as_array()).map_or(0, Vec::len);
    Ok(Checked { audited, by_weight, not_compared, listed })
}
