//! `sizhi check extents` and `sizhi check geometry`: no database, nothing written. (`check overlaps` is in a file of its own.)

use std::io::{BufRead, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::check_overlaps;
use super::check_register;
use super::output::{self, Bar};
use crate::domain::area::round_decimal;
use crate::domain::four_extents::{self, ExtentsText};
use crate::error::{Error, Result};
use crate::exchange::ReadOptions;
use crate::inventory::geometry_report;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// 解析四至文字：从标准输入读，每行一段
    Extents(ExtentsArgs),
    /// 检查图形文件：无效图形、面积不符、相接与重叠
    Geometry(GeometryArgs),
    /// 检查图形与登记库各图层的重叠、缝隙、共边
    Overlaps(check_overlaps::Args),
    /// 审查登记库自身的冲突：地块、区块、管控区域之间
    Register(check_register::Args),
}

/// A check that needs a database.
#[derive(Debug, clap::Subcommand)]
pub enum OfRegister {
    Overlaps(check_overlaps::Args),
    Register(check_register::Args),
}

impl OfRegister {
    pub async fn run(self) -> Result<ExitCode> {
        match self {
            OfRegister::Overlaps(args) => check_overlaps::run(args).await,
            OfRegister::Register(args) => check_register::run(args).await,
        }
    }
}

impl Args {
    /// Those of the check that needs a database; the others come back.
    pub fn with_database(self) -> std::result::Result<OfRegister, Self> {
        match self.what {
            What::Overlaps(args) => Ok(OfRegister::Overlaps(args)),
            What::Register(args) => Ok(OfRegister::Register(args)),
            what => Err(Self { what }),
        }
    }
}

#[derive(Debug, clap::Args)]
struct ExtentsArgs {
    /// 每行输入一段文字，每行输出一个 JSON 对象
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct GeometryArgs {
    file: PathBuf,
    #[arg(long)]
    crs: Option<String>,
    #[arg(long)]
    encoding: Option<String>,
    #[arg(long)]
    source_layer: Option<String>,
    /// 标注面积与计算面积相差多少算不符（%）
    #[arg(long, default_value_t = 5.0)]
    tolerance: f64,
    #[arg(long)]
    json: bool,
}

/// Longest line read from standard input; a line without end must not fill the memory.
const LINE_LIMIT: u64 = 10 * 1024 * 1024;

pub fn run(args: Args) -> Result<ExitCode> {
    match args.what {
        What::Extents(args) => check_extents(&args),
        What::Geometry(args) => check_geometry(&args),
        // Taken out before (`Args::with_database`).
        What::Overlaps(_) | What::Register(_) => Ok(ExitCode::FAILURE),
    }
}

fn check_extents(args: &ExtentsArgs) -> Result<ExitCode> {
    let mut input = std::io::stdin().lock();
    loop {
        let mut line = Vec::new();
        let read = input
            .by_ref()
            .take(LINE_LIMIT)
            .read_until(b'\n', &mut line)
            .map_err(|cause| Error::internal("标准输入无法读取", cause))?;
        if read == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        if read as u64 == LINE_LIMIT && !line.ends_with(b"\n") {
            // The rest of an endless line is passed over, or it would be taken for lines of its own.
            input.skip_until(b'\n').map_err(|cause| Error::internal("标准输入无法读取", cause))?;
        }
        // Exactly one answer a line, also for an empty one and for bytes that are no UTF-8: a machine counts lines.
        let text = String::from_utf8_lossy(&line);
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
        let text = unescape_line(text.trim_end_matches(['\n', '\r']));
        let parsed = four_extents::parse(&text);
        if args.json {
            output::print_json(&extents_json(&parsed));
        } else if !text.trim().is_empty() {
            print_extents(&parsed);
        }
    }
}

/// A text with line breaks inside comes as a JSON string, or with `\n` written out, since the input is one text a line.
fn unescape_line(line: &str) -> String {
    if line.starts_with('"')
        && let Ok(text) = serde_json::from_str::<String>(line)
    {
        return text;
    }
    line.replace("\\r\\n", "\n").replace("\\n", "\n")
}

/// The keys of `sizhi_cases.json`'s `expect`; hectares with four decimals.
fn extents_json(parsed: &ExtentsText) -> Value {
    let hectares = |area: Option<crate::domain::Hectares>| area.map(|a| round_decimal(a.value(), 4));
    let blocks: Vec<Value> = parsed
        .blocks
        .iter()
        .map(|block| {
            json!({
                "name": block.name,
                "area_ha": hectares(block.area),
                "east": block.extents.east,
                "south": block.extents.south,
                "west": block.extents.west,
                "north": block.extents.north,
            })
        })
        .collect();
    let warnings: Vec<String> = parsed.warnings.iter().map(|w| w.code()).collect();
    json!({"total_area_ha": hectares(parsed.total_area), "blocks": blocks, "warnings": warnings})
}

fn print_extents(parsed: &ExtentsText) {
    if let Some(total) = parsed.total_area {
        output::print(&format!("总面积 {total} 公顷"));
    }
    for block in &parsed.blocks {
        let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "（缺）".to_owned());
        output::print(&format!(
            "{}{}\n  东至 {}\n  南至 {}\n  西至 {}\n  北至 {}",
            block.name.as_deref().unwrap_or("区块"),
            block.area.map(|a| format!("（{a} 公顷）")).unwrap_or_default(),
            side(&block.extents.east),
            side(&block.extents.south),
            side(&block.extents.west),
            side(&block.extents.north),
        ));
    }
    for warning in &parsed.warnings {
        output::print(&format!("  ⚠ {}", warning.code()));
    }
}

fn check_geometry(args: &GeometryArgs) -> Result<ExitCode> {
    if !(args.tolerance.is_finite() && args.tolerance >= 0.0) {
        return Err(Error::invalid("tolerance", "--tolerance 应为不小于 0 的百分数"));
    }
    let options = ReadOptions {
        crs: super::import::parse_crs(args.crs.as_deref())?,
        encoding: args.encoding.clone(),
        source_layer: args.source_layer.clone(),
        file_name: args.file.file_name().map(|n| n.to_string_lossy().into_owned()),
        ..ReadOptions::default()
    };
    let bar = Bar::new(args.json);
    let report = geometry_report::check(&args.file, &options, args.tolerance / 100.0, &bar);
    bar.finish();
    let report = report?;
    if args.json {
        output::print_json(&report.to_json());
    } else {
        output::print_findings(&report.findings);
        output::print(&format!(
            "图形 {}，无效 {}，面积不符（超过 {}%）{}，相接 {} 对，重叠 {} 对",
            report.features,
            report.invalid,
            args.tolerance,
            report.stated.mismatches.len(),
            report.touching_pairs,
            report.overlapping.len()
        ));
    }
    Ok(ExitCode::SUCCESS)
}
