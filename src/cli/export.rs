//! `sizhi export --format … --output FILE`: blocks of the register as a file.

use std::path::PathBuf;
use std::process::ExitCode;

use super::import::{operator, parse_crs};
use super::{output, serve};
use crate::config::DatabaseArgs;
use crate::domain::ParkCode;
use crate::error::{Error, Result};
use crate::inventory::export::{self, ExportRequest};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// 图层（目前为 park_blocks）
    #[arg(long, default_value = "park_blocks", value_parser = ["park_blocks"])]
    layer: String,
    /// 格式：txt、geojson、shp（zip）、gpkg、csv
    #[arg(long, value_parser = export::FORMATS)]
    format: String,
    /// 只导出这个园区
    #[arg(long)]
    park: Option<String>,
    /// 坐标系：TXT 为高斯克吕格带，如 EPSG:4526
    #[arg(long)]
    crs: Option<String>,
    /// 编码：utf-8 或 gbk
    #[arg(long)]
    encoding: Option<String>,
    /// 写到哪个文件；已存在时不覆盖，除非加 --force
    #[arg(long, short)]
    output: PathBuf,
    /// 覆盖已有文件
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub async fn run(args: Args) -> Result<ExitCode> {
    if args.output.exists() && !args.force {
        return Err(Error::conflict("file_exists", format!("{} 已存在；要覆盖请加 --force", args.output.display())));
    }
    let park = args
        .park
        .as_deref()
        .map(ParkCode::parse)
        .transpose()
        .map_err(|reason| Error::invalid("park_code_invalid", reason.to_string()))?;
    let request = ExportRequest {
        format: args.format.clone(),
        park,
        crs: parse_crs(args.crs.as_deref())?,
        encoding: args.encoding.as_deref().map(str::to_lowercase),
        producer: operator().trim_start_matches("cli:").to_owned(),
        today: chrono::Local::now().date_naive(),
    };
    let database = serve::open_database(&args.database).await?;
    let exported = export::export_blocks(database.pool(), &request).await;
    database.close().await;
    let (bytes, count) = exported?;
    write_whole(&args.output, &bytes)?;
    output::print(&format!("✓ 已导出 {count} 个区块，{} 字节：{}", bytes.len(), args.output.display()));
    Ok(ExitCode::SUCCESS)
}

/// Written beside and renamed: a full disk never leaves half a file under the wanted name.
fn write_whole(path: &std::path::Path, bytes: &[u8]) -> Result<()> {
    let failed = |cause: std::io::Error| Error::Invalid {
        code: "file_not_writable",
        detail: format!("无法写入 {}：{cause}", path.display()),
        findings: Vec::new(),
    };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| std::path::Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    std::io::Write::write_all(&mut file, bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}
