//! `sizhi check overlaps FILE`: what the file's shapes share with the register's layers; nothing is kept.

use std::path::PathBuf;
use std::process::ExitCode;

use chrono::NaiveDate;
use serde_json::Value;

use super::REFUSED;
use super::import::operator;
use super::output::{self, Bar};
use super::serve;
use crate::config::DatabaseArgs;
use crate::domain::access::Viewer;
use crate::domain::overlap::{Thresholds, WIDEST_M};
use crate::domain::overlap_check::Purpose;
use crate::error::{Error, Result};
use crate::inventory::import::ReadOptions;
use crate::inventory::overlap_check::{self, CheckRequest, Given};
use crate::inventory::progress::Progress;
use crate::layers::catalogue::Catalogue;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// 要检查的图形文件：格式与导入相同
    file: PathBuf,
    /// 与哪些图层比较，逗号分隔；不给时为园区区块、管控区域和两个台账的地块
    #[arg(long, value_delimiter = ',')]
    layers: Option<Vec<String>>,
    /// 用途：决定各类结果的等级
    #[arg(long, default_value = "park_boundary", value_parser = ["park_boundary", "parcel"])]
    purpose: String,
    /// 按哪一天的图形：YYYY-MM-DD；不给时按现状
    #[arg(long)]
    date: Option<NaiveDate>,
    /// 按登记库的哪个修订
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    revision: Option<i64>,
    /// 细碎重叠最宽（米）
    #[arg(long, default_value_t = Thresholds::default().sliver_width_m())]
    sliver_width: f64,
    /// 细碎重叠占较小一方最多（0 至 1）
    #[arg(long, default_value_t = Thresholds::default().sliver_share())]
    sliver_share: f64,
    /// 缝隙最宽（米），0 为不查
    #[arg(long, default_value_t = Thresholds::default().gap_width_m())]
    gap_width: f64,
    #[arg(long)]
    crs: Option<String>,
    #[arg(long)]
    encoding: Option<String>,
    #[arg(long)]
    source_layer: Option<String>,
    /// 输出一个 GeoJSON 要素集：每条结果附共有的土地或缝隙
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub async fn run(args: Args) -> Result<ExitCode> {
    let request = request(&args)?;
    let options = ReadOptions {
        crs: super::import::parse_crs(args.crs.as_deref())?,
        encoding: args.encoding.clone(),
        source_layer: args.source_layer.clone(),
        ..ReadOptions::default()
    };
    let name = args.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let given = Given::File { path: args.file.clone(), name, options };
    let database = serve::open_database(&args.database).await?;
    let bar = Bar::new(args.json);
    bar.stage("读取图形并与图层比较", None);
    let viewer = Viewer::operator(&operator());
    let found = overlap_check::check_now(database.pool(), &viewer, &Catalogue::default(), request, given).await;
    bar.finish();
    database.close().await;
    let found = found?;
    if args.json {
        output::print_json(&found);
    } else {
        print(&found);
    }
    let blocks = found["summary"]["by_weight"]["block"]["count"].as_u64() != Some(0);
    let complete = found["summary"]["complete"] == Value::Bool(true);
    Ok(if blocks || !complete { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

fn request(args: &Args) -> Result<CheckRequest> {
    let catalogue = Catalogue::default();
    let layer = |id: &String| {
        catalogue.find(id.trim()).ok_or_else(|| Error::not_found("collection_not_found", format!("没有图层“{id}”")))
    };
    let thresholds = Thresholds::new(args.sliver_width, args.sliver_share, args.gap_width).ok_or_else(|| {
        let detail = format!("阈值超出范围：宽度为 0 至 {WIDEST_M} 米，--sliver-share 为 0 至 1");
        Error::invalid("thresholds_invalid", detail)
    })?;
    Ok(CheckRequest {
        title: String::new(),
        purpose: Purpose::parse(&args.purpose).unwrap_or(Purpose::ParkBoundary),
        layers: args.layers.as_ref().map(|ids| ids.iter().map(layer).collect::<Result<_>>()).transpose()?,
        thresholds,
        on_day: args.date,
        revision: args.revision,
    })
}

fn print(found: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for feature in found["features"].as_array().into_iter().flatten() {
        let finding = &feature["properties"];
        output::print(&format!("[{}] {}", text(&finding["weight_label"]), text(&finding["message"])));
    }
    for missed in found["summary"]["not_compared"].as_array().into_iter().flatten() {
        let (label, id) = (text(&missed["subject_label"]), text(&missed["feature_id"]));
        output::print(&format!("[未比较] “{label}”与{id}：{}", text(&missed["reason"])));
    }
    let limits = &found["request"]["thresholds"];
    let count = |weight: &str| found["summary"]["by_weight"][weight]["count"].as_u64().unwrap_or_default();
    output::print(&format!(
        "比较 {} 对（修订 {}）：不得通过 {}，需核对 {}，提示 {}；细碎重叠不宽于 {} 米且不超过较小一方的 {}，缝隙不宽于 {} 米",
        found["summary"]["compared"],
        found["revision"],
        count("block"),
        count("warn"),
        count("note"),
        limits["sliver_width_m"],
        limits["sliver_share"],
        limits["gap_width_m"],
    ));
    if found["summary"]["complete"] != Value::Bool(true) {
        output::print("⚠ 没有全部比较：见上，或缩小范围");
    }
}
