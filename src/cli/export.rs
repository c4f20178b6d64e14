//! `sizhi export --layer … --format … [--output FILE]`: any layer as a file, with the filters of its items.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use sqlx::PgPool;

use super::import::{operator, parse_crs};
use super::output::{self, Bar};
use super::serve;
use crate::api;
use crate::config::DatabaseArgs;
use crate::domain::ParkCode;
use crate::domain::access::Viewer;
use crate::domain::export::{ExportFormat, Headings, TextEncoding};
use crate::domain::layer::Layer;
use crate::error::{Error, Result};
use crate::inventory::export::{self, ExportOptions, ExportRequest, INTERNAL_LIMIT, Made};
use crate::layers::declaration;
use crate::store;

/// Nobody waits at the other end but the operator, who may interrupt it.
const PATIENCE: Duration = Duration::from_secs(86_400);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// 图层，例如 park_blocks、parks、divisions
    #[arg(long, default_value = "park_blocks", value_parser = declaration::LAYERS.iter().map(|l| l.id).collect::<Vec<_>>())]
    layer: String,
    /// 格式
    #[arg(long, value_parser = ExportFormat::ALL.map(ExportFormat::as_str))]
    format: String,
    /// 只导出这个园区
    #[arg(long)]
    park: Option<String>,
    /// 属性条件，可重复；属性见图层的 queryables
    #[arg(long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// 范围：西,南,东,北（度）
    #[arg(long, allow_hyphen_values = true)]
    bbox: Option<String>,
    /// 时间：日期，或用“/”隔开的起止
    #[arg(long)]
    datetime: Option<String>,
    /// 最多导出多少条
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// 坐标系：TXT 为高斯克吕格带，如 EPSG:4526
    #[arg(long)]
    crs: Option<String>,
    /// 编码：utf-8 或 gbk
    #[arg(long)]
    encoding: Option<String>,
    /// 字段名：zh 或 en
    #[arg(long, value_parser = ["zh", "en"])]
    headings: Option<String>,
    /// CSV 带图形列：wkt
    #[arg(long, value_parser = ["wkt"])]
    geometry: Option<String>,
    /// 写到哪个文件；不给时按图层和日期取名。已存在时不覆盖，除非加 --force
    #[arg(long, short)]
    output: Option<PathBuf>,
    /// 覆盖已有文件
    #[arg(long)]
    force: bool,
    /// 内部图层一次最多导出多少条
    #[arg(long, env = "SIZHI_EXPORT_LIMIT", default_value_t = INTERNAL_LIMIT, value_name = "ROWS")]
    export_limit: u64,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub async fn run(args: Args) -> Result<ExitCode> {
    let park = park(&args)?;
    let request = request(&args, park.as_ref())?;
    let output = args.output.clone().unwrap_or_else(|| PathBuf::from(export::file_names(&request).1));
    if output.exists() && !args.force {
        return Err(Error::conflict("file_exists", format!("{} 已存在；要覆盖请加 --force", output.display())));
    }
    let database = serve::open_database(&args.database).await?;
    let bar = Arc::new(Bar::new(false));
    let made = make(database.pool(), request, park.as_ref(), Arc::clone(&bar)).await;
    bar.finish();
    database.close().await;
    let mut made = made?;
    write_whole(&output, &mut made.file, args.force)?;
    output::print(&format!("✓ 已导出 {} 条，{} 字节：{}", made.rows, made.size, output.display()));
    if made.left_out > 0 {
        output::print(&format!("  {} 条没有图形，这种格式写不了，未写入", made.left_out));
    }
    Ok(ExitCode::SUCCESS)
}

async fn make(pool: &PgPool, request: ExportRequest, park: Option<&ParkCode>, bar: Arc<Bar>) -> Result<Made> {
    if let Some(park) = park
        && !store::parks::exists(&mut *pool.acquire().await?, park).await?
    {
        return Err(Error::not_found("park_not_found", format!("名录中没有代码为 {park} 的园区")));
    }
    export::prepare(pool, request).await?.into_file(PATIENCE, bar).await
}

fn park(args: &Args) -> Result<Option<ParkCode>> {
    let parsed = args.park.as_deref().map(ParkCode::parse).transpose();
    parsed.map_err(|reason| Error::invalid("park_code_invalid", reason.to_string()))
}

fn request(args: &Args, park: Option<&ParkCode>) -> Result<ExportRequest> {
    let layer = declaration::find(&args.layer)
        .ok_or_else(|| Error::not_found("collection_not_found", format!("没有图层 {}", args.layer)))?;
    let format = ExportFormat::parse(&args.format)
        .ok_or_else(|| Error::unsupported("export_format", format!("不能导出为“{}”", args.format)))?;
    let pairs = pairs(args, layer, park)?;
    let encoding = args.encoding.as_deref().map(|text| {
        TextEncoding::parse(text)
            .ok_or_else(|| Error::invalid("encoding_unknown", format!("编码只能是 utf-8 或 gbk，不能是“{text}”")))
    });
    let actor = operator();
    Ok(ExportRequest {
        layer,
        format,
        asked: pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("；"),
        query: api::query_of_pairs(pairs, layer)?,
        limit: args.limit,
        options: ExportOptions {
            crs: parse_crs(args.crs.as_deref())?,
            encoding: encoding.transpose()?,
            headings: args.headings.as_deref().and_then(Headings::parse),
            wkt: args.geometry.is_some(),
        },
        producer: actor.trim_start_matches("cli:").to_owned(),
        at: Utc::now(),
        viewer: Viewer::operator(&actor),
        address: String::new(),
        internal_limit: args.export_limit,
    })
}

/// The filters as `…/items` has them.
fn pairs(args: &Args, layer: &Layer, park: Option<&ParkCode>) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for filter in &args.filter {
        let Some((name, value)) = filter.split_once('=') else {
            return Err(Error::invalid("value_invalid", format!("--filter 应为 属性=值，不是“{filter}”")));
        };
        pairs.push((name.trim().to_owned(), value.to_owned()));
    }
    let named = [("bbox", &args.bbox), ("datetime", &args.datetime)];
    pairs.extend(named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))));
    if let Some(park) = park {
        let by_park = ["park_code", "code"].into_iter().find(|name| layer.queryable(name).is_some());
        let by_park = by_park
            .filter(|name| *name == "park_code" || layer.id == "parks")
            .ok_or_else(|| Error::invalid("option_not_possible", format!("图层“{}”不能按园区导出", layer.title.zh)))?;
        pairs.push((by_park.to_owned(), park.to_string()));
    }
    Ok(pairs)
}

/// Written beside and renamed: a full disk never leaves half a file under the wanted name.
pub(super) fn write_whole(path: &Path, content: &mut dyn std::io::Read, force: bool) -> Result<()> {
    let failed = |cause: std::io::Error| Error::Invalid {
        code: "file_not_writable",
        detail: format!("无法写入 {}：{cause}", path.display()),
        findings: Vec::new(),
    };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    std::io::copy(content, &mut file).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    if force {
        file.persist(path).map_err(|e| failed(e.error))?;
    } else {
        // Somebody may have written a file of that name meanwhile.
        file.persist_noclobber(path).map_err(|e| match e.error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Error::conflict("file_exists", format!("{} 已存在；要覆盖请加 --force", path.display()))
            }
            _ => failed(e.error),
        })?;
    }
    Ok(())
}
