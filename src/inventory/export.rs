//! Export: the way back. Blocks of the register as the files that land bureaus exchange.

use sqlx::PgPool;

use crate::domain::{Block, Hectares, ParkCode};
use crate::error::{Error, Result};
use crate::exchange::coordinate_txt::{self, TxtEncoding, TxtOptions, TxtParcel};
use crate::exchange::vector_export::{self, ExportOptions, ExportRow, ExportValue, VectorFormat};
use crate::geometry::crs::Crs;
use crate::store;

/// Formats written today.
pub const FORMATS: [&str; 5] = ["txt", "geojson", "shp", "gpkg", "csv"];

/// What to export and how.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    pub format: String,
    pub park: Option<ParkCode>,
    /// `None`: the system each format expects (TXT: the block's own zone; others EPSG:4490).
    pub crs: Option<Crs>,
    /// `utf-8` or `gbk`, for TXT and Shapefile.
    pub encoding: Option<String>,
    /// Who produced the file, for the TXT header.
    pub producer: String,
    pub today: chrono::NaiveDate,
}

/// The file's bytes and the number of blocks in it.
pub async fn export_blocks(pool: &PgPool, request: &ExportRequest) -> Result<(Vec<u8>, usize)> {
    if !FORMATS.contains(&request.format.as_str()) {
        return Err(Error::unsupported(
            "export_format",
            format!("不能导出为“{}”；可用的格式：{}", request.format, FORMATS.join("、")),
        ));
    }
    check_options(request)?;
    let mut connection = pool.acquire().await?;
    if let Some(park) = &request.park
        && !store::parks::exists(&mut connection, park).await?
    {
        return Err(Error::not_found("park_not_found", format!("名录中没有代码为 {park} 的园区")));
    }
    let blocks = store::blocks::list_current(&mut connection, request.park.as_ref()).await?;
    drop(connection);
    if blocks.is_empty() {
        return Err(Error::not_found("nothing_to_export", "没有符合条件的区块可导出"));
    }
    let request = request.clone();
    let count = blocks.len();
    let bytes = tokio::task::spawn_blocking(move || encode(&blocks, &request))
        .await
        .map_err(|cause| Error::internal("导出时程序出错", cause))??;
    Ok((bytes, count))
}

/// What a format settles by itself cannot be asked for: an option passed over in silence would be believed.
fn check_options(request: &ExportRequest) -> Result<()> {
    let fixed = |option: &str, why: &str| {
        Err(Error::invalid("option_not_possible", format!("导出为 {} 时不能指定{option}：{why}", request.format)))
    };
    match request.format.as_str() {
        "geojson" | "csv" if request.crs.is_some() => fixed("坐标系", "固定为经纬度（EPSG:4490）"),
        "geojson" | "csv" | "gpkg" if request.encoding.is_some() => fixed("编码", "固定为 UTF-8"),
        _ => Ok(()),
    }
}

fn encode(blocks: &[Block], request: &ExportRequest) -> Result<Vec<u8>> {
    match request.format.as_str() {
        "txt" => encode_txt(blocks, request),
        "geojson" => Ok(encode_geojson(blocks)),
        "csv" => encode_csv(blocks),
        "shp" => encode_vector(blocks, request, VectorFormat::Shapefile),
        _ => encode_vector(blocks, request, VectorFormat::GeoPackage),
    }
}

/// One zone for the whole file: the asked one, else the zone the first block came in, else its 3-degree zone.
fn txt_zone(blocks: &[Block], asked: Option<Crs>) -> Crs {
    let of_source = || blocks.first()?.source_crs.as_deref().and_then(Crs::parse);
    let by_longitude = || {
        let x = blocks.first()?.boundary.0.first()?.exterior().coords().next()?.x;
        // 3-degree zones are numbered by central meridian / 3.
        Some(Crs::GaussKruger3 { zone: (x / 3.0).round() as u8, prefixed: true })
    };
    asked
        .or_else(|| of_source().filter(|c| matches!(c, Crs::GaussKruger3 { .. } | Crs::GaussKruger6 { .. })))
        .or_else(by_longitude)
        .unwrap_or(Crs::GaussKruger3 { zone: 37, prefixed: true })
}

fn encode_txt(blocks: &[Block], request: &ExportRequest) -> Result<Vec<u8>> {
    let attribute = |block: &Block, names: &[&str]| {
        block.attributes.iter().find(|(field, _)| names.contains(&field.as_str())).map(|(_, value)| value.clone())
    };
    let parcels: Vec<TxtParcel> = blocks
        .iter()
        .map(|block| TxtParcel {
            id: block.id.number().to_owned(),
            name: block.name.clone().unwrap_or_default(),
            geometry: block.boundary.clone(),
            stated_area: block.stated_area,
            map_sheet: attribute(block, &["图幅号"]).unwrap_or_default(),
            land_use: attribute(block, &["地块用途"]).unwrap_or_default(),
            land_use_code: attribute(block, &["地类编码"]).unwrap_or_default(),
        })
        .collect();
    let encoding = match request.encoding.as_deref() {
        None | Some("utf-8" | "utf8") => TxtEncoding::Utf8,
        Some("gbk" | "gb18030") => TxtEncoding::Gbk,
        Some(other) => {
            return Err(Error::invalid("encoding_unknown", format!("TXT 的编码只能是 utf-8 或 gbk，不能是“{other}”")));
        }
    };
    let options = TxtOptions {
        crs: txt_zone(blocks, request.crs),
        encoding,
        producer: request.producer.clone(),
        date: request.today,
        nature: blocks.iter().find(|b| b.illustrative).map(|b| b.source.clone()),
    };
    coordinate_txt::write(&parcels, &options)
}

/// Chinese, and English for a Shapefile in UTF-8, whose field names hold three Chinese characters only. The synonym table
/// of the importer knows both.
const FIELD_NAMES: [[&str; 2]; 10] = [
    ["区块编号", "block_no"],
    ["区块名称", "block_name"],
    ["园区代码", "park_code"],
    ["椭球面积", "computedm2"],
    ["面积_公顷", "area_ha"],
    ["东至", "east"],
    ["南至", "south"],
    ["西至", "west"],
    ["北至", "north"],
    ["来源", "source"],
];

fn encode_vector(blocks: &[Block], request: &ExportRequest, format: VectorFormat) -> Result<Vec<u8>> {
    let encoding = request.encoding.clone().unwrap_or_else(|| "gbk".to_owned());
    let english = format == VectorFormat::Shapefile && encoding != "gbk";
    let text = |value: Option<&str>| ExportValue::Text(value.unwrap_or_default().to_owned());
    let rows: Vec<ExportRow> = blocks
        .iter()
        .map(|block| {
            let words = &block.four_extents;
            let values = [
                text(Some(block.id.number())),
                text(block.name.as_deref()),
                text(Some(block.id.park().as_str())),
                ExportValue::Number(block.area.value()),
                block.stated_area.map_or(ExportValue::Missing, |a| ExportValue::Number(Hectares::value(a))),
                text(words.east.as_deref()),
                text(words.south.as_deref()),
                text(words.west.as_deref()),
                text(words.north.as_deref()),
                text(Some(&block.source)),
            ];
            let names = FIELD_NAMES.iter().map(|names| names[usize::from(english)].to_owned());
            ExportRow { fields: names.zip(values).collect(), geometry: block.boundary.clone() }
        })
        .collect();
    let options =
        ExportOptions { layer: "park_blocks".to_owned(), crs: request.crs.unwrap_or(Crs::Cgcs2000), encoding };
    vector_export::write(format, &rows, &options)
}

fn encode_geojson(blocks: &[Block]) -> Vec<u8> {
    crate::layers::geojson::blocks_to_feature_collection(blocks).into_bytes()
}

fn encode_csv(blocks: &[Block]) -> Result<Vec<u8>> {
    let failed = |cause: csv::Error| Error::internal("写 CSV 时出错", cause);
    // The BOM makes spreadsheets read UTF-8; without it Chinese turns to mojibake there.
    let mut writer = csv::Writer::from_writer(b"\xEF\xBB\xBF".to_vec());
    writer
        .write_record([
            "区块编号",
            "区块名称",
            "园区代码",
            "椭球面积_m2",
            "椭球面积_公顷",
            "椭球面积_亩",
            "标注面积_公顷",
            "东至",
            "南至",
            "西至",
            "北至",
            "来源",
        ])
        .map_err(failed)?;
    for block in blocks {
        let words = &block.four_extents;
        let side = |side: &Option<String>| neutralise(side.as_deref().unwrap_or_default());
        writer
            .write_record([
                neutralise(block.id.number()),
                neutralise(block.name.as_deref().unwrap_or_default()),
                block.id.park().to_string(),
                block.area.to_string(),
                block.area.to_hectares().to_string(),
                block.area.to_mu().to_string(),
                block.stated_area.map(|a| a.to_string()).unwrap_or_default(),
                side(&words.east),
                side(&words.south),
                side(&words.west),
                side(&words.north),
                neutralise(&block.source),
            ])
            .map_err(failed)?;
    }
    writer.into_inner().map_err(|cause| Error::internal("写 CSV 时出错", cause.into_error()))
}

/// A cell that a spreadsheet would run as a formula gets an apostrophe in front, which spreadsheets hide.
fn neutralise(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
