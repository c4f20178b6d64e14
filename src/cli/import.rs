//! `sizhi import FILE --layer …`: dry run or all or nothing, with findings as a table or as JSON; `sizhi import --undo BATCH`:
//! the way back.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use super::output::{self, Bar};
use super::{REFUSED, serve};
use crate::config::DatabaseArgs;
use crate::domain::access::Viewer;
use crate::domain::{DivisionCode, ParkCode};
use crate::error::{Error, Result};
use crate::geometry::crs::Crs;
use crate::inventory::import::{self, ImportReport, ImportRequest, ReadOptions};
use crate::inventory::progress::Progress;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// 要导入的文件：TXT、GeoJSON、Shapefile（zip 或 .shp）、GeoPackage、FileGDB、DXF；名录为 CSV、XLSX
    #[arg(required_unless_present = "undo")]
    file: Option<PathBuf>,
    /// 图层：park_blocks（区块边界）、parks（园区名录）、control_zones（管控区域）、turnover_parcels（周转用地）、low_efficiency_parcels（低效用地）
    #[arg(long, required_unless_present = "undo")]
    layer: Option<String>,
    /// 撤销一个导入批次（写入时打印的批次号）；之后又改动过的不能撤销
    #[arg(long, value_name = "BATCH", conflicts_with_all = ["file", "layer", "park", "crs", "encoding", "source_layer", "repair", "allow"])]
    undo: Option<i64>,
    /// 所有记录所属的园区代码；不给时从文件字段（园区代码、园区名称）读取
    #[arg(long)]
    park: Option<String>,
    /// 坐标系，如 EPSG:4526；不给时按文件声明或坐标数值判断
    #[arg(long)]
    crs: Option<String>,
    /// 文字编码，如 gbk、utf-8；不给时自动判断
    #[arg(long)]
    encoding: Option<String>,
    /// 文件中有多个图层时读哪一个
    #[arg(long)]
    source_layer: Option<String>,
    /// 全部地块所属的县区（6 位代码），用于台账；不写时按文件中的县区或园区确定
    #[arg(long, value_name = "CODE")]
    county: Option<String>,
    /// 全部管控区域的类型（代码或名称），用于 control_zones；不写时按文件中的管控类型或字段确定
    #[arg(long, value_name = "KIND")]
    zone_kind: Option<String>,
    /// 与图形一起导入台账的属性表（CSV、XLSX），按地块编号对应
    #[arg(long, value_name = "FILE")]
    attributes: Option<PathBuf>,
    /// 只检查，不写入
    #[arg(long)]
    dry_run: bool,
    /// 修复不合规的图形；每一步都会列出
    #[arg(long)]
    repair: bool,
    /// 放行某个错误代码，可重复
    #[arg(long, value_name = "CODE")]
    allow: Vec<String>,
    /// 以 JSON 输出（见 docs/cli.md）
    #[arg(long)]
    json: bool,
    /// 操作人，写入修订日志
    #[arg(long, default_value_t = operator())]
    actor: String,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// The account that runs the command.
pub fn operator() -> String {
    let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "unknown".into());
    format!("cli:{user}")
}

/// `--actor` as the logs may hold it.
pub fn checked_actor(text: &str) -> Result<String> {
    let actor = text.trim();
    if actor.is_empty() || actor.chars().count() > 200 || actor.chars().any(char::is_control) {
        return Err(Error::invalid("actor_invalid", "操作人应为 1 至 200 个字，不含控制字符"));
    }
    Ok(actor.to_owned())
}

/// `--crs` as a system, or a sentence saying which are understood.
pub fn parse_crs(text: Option<&str>) -> Result<Option<Crs>> {
    text.map(|text| {
        Crs::parse(text).ok_or_else(|| {
            Error::invalid("crs_unknown", format!("不认识坐标系“{text}”；请写 EPSG 代码，例如 EPSG:4490、EPSG:4526"))
        })
    })
    .transpose()
}

pub async fn run(args: Args) -> Result<ExitCode> {
    let actor = checked_actor(&args.actor)?;
    if let Some(batch) = args.undo {
        return undo(&args, batch, &actor).await;
    }
    let park = args
        .park
        .as_deref()
        .map(ParkCode::parse)
        .transpose()
        .map_err(|reason| Error::invalid("park_code_invalid", reason.to_string()))?;
    let file = args.file.clone().unwrap_or_default();
    let file_name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let county = args
        .county
        .as_deref()
        .map(DivisionCode::parse)
        .transpose()
        .map_err(|reason| Error::invalid("county_invalid", reason.to_string()))?;
    let attributes = args.attributes.clone().map(|path| {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        (path, name)
    });
    let viewer = Viewer::operator(&actor);
    let request = ImportRequest {
        county,
        zone_kind: args.zone_kind.clone(),
        attributes,
        read: ReadOptions {
            crs: parse_crs(args.crs.as_deref())?,
            encoding: args.encoding.clone(),
            source_layer: args.source_layer.clone(),
            file_name: None,
            ..ReadOptions::default()
        },
        park,
        repair: args.repair,
        allow: args.allow.clone(),
        ..ImportRequest::new(file, file_name, args.layer.clone().unwrap_or_default(), &viewer)
    };
    let database = serve::open_database(&args.database).await?;
    let bar = Arc::new(Bar::new(args.json));
    let imported =
        import::import_now(database.pool(), &request, args.dry_run, Arc::clone(&bar) as Arc<dyn Progress>).await;
    bar.finish();
    database.close().await;
    let imported = imported?;
    if args.json {
        let mut report = imported.report.to_json();
        if let Some(object) = report.as_object_mut() {
            object.insert("dry_run".into(), json!(args.dry_run));
            object.insert("batch".into(), json!(imported.batch));
            object.insert("revision".into(), json!(imported.revision));
        }
        output::print_json(&report);
    } else {
        print_report(&imported, args.dry_run);
    }
    Ok(if imported.report.has_errors() { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

async fn undo(args: &Args, batch: i64, actor: &str) -> Result<ExitCode> {
    let database = serve::open_database(&args.database).await?;
    let pool = database.pool();
    let viewer = Viewer::operator(actor);
    let undone = if args.dry_run {
        import::undo_dry(pool, batch, &viewer).await.map(|()| None)
    } else {
        import::undo(pool, batch, &viewer).await.map(Some)
    };
    database.close().await;
    match undone? {
        Some(batch) if args.json => output::print_json(&batch),
        None if args.json => output::print_json(&json!({"id": batch, "dry_run": true})),
        Some(undone) => output::print(&format!("✓ 已撤销批次 {batch}，修订 {}", undone["undone_revision"])),
        None => output::print(&format!("✓ 批次 {batch} 可以撤销（未写入）")),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_report(imported: &import::Imported, dry_run: bool) {
    let report: &ImportReport = &imported.report;
    output::print(&format!(
        "格式 {}，编码 {}，坐标系 {}，记录 {} 条",
        report.format,
        report.encoding.as_deref().unwrap_or("—"),
        report.crs.map_or_else(|| "—".to_owned(), |c| c.to_string()),
        report.candidates.len()
    ));
    output::print_findings(&report.findings);
    let counts = report.counts.unwrap_or_default();
    let counted = format!("新增 {}，更新 {}，不变 {}", counts.inserted, counts.updated, counts.unchanged);
    output::print(&match (imported.revision, report.has_errors(), dry_run) {
        (_, true, _) => "✗ 未写入：请先改正上面的错误".to_owned(),
        (_, false, true) => format!("✓ 检查通过（未写入）：{counted}"),
        (Some(revision), ..) => {
            format!("✓ 已写入，修订 {revision}，批次 {}：{counted}", imported.batch.unwrap_or_default())
        }
        (None, ..) => "✓ 与登记库完全一致，没有改动".to_owned(),
    });
}
