//! Writing Shapefile (zipped) and GeoPackage through the GDAL child.

use std::io::{BufReader, BufWriter, Cursor, Write};

use encoding_rs::GBK;
use geo::MultiPolygon;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::vector::wire::{self, Feature, Message, Shape, WriteField, WriteHead};
use super::vector::{self, Format};
use crate::error::{Error, Result};
use crate::geometry::crs::Crs;
use crate::geometry::project;

/// A DBF's text cell and field name, in bytes.
const DBF_TEXT_BYTES: usize = 254;
const DBF_NAME_BYTES: usize = 10;

/// A format written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VectorFormat {
    /// Zipped, with .cpg.
    Shapefile,
    GeoPackage,
}

/// One record.
#[derive(Debug, Clone)]
pub struct ExportRow {
    /// Name and value; the same names in the same order in every row.
    pub fields: Vec<(String, ExportValue)>,
    /// Longitude, latitude in EPSG:4490.
    pub geometry: MultiPolygon<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ExportValue {
    Text(String),
    Number(f64),
    /// A number that there is not.
    Missing,
}

#[derive(Debug, Clone)]
pub struct ExportOptions {
    pub layer: String,
    pub crs: Crs,
    /// `gbk` or `utf-8`, for a Shapefile's texts.
    pub encoding: String,
}

/// The file's bytes.
pub fn write(format: VectorFormat, rows: &[ExportRow], options: &ExportOptions) -> Result<Vec<u8>> {
    let Some(first) = rows.first() else {
        return Err(Error::not_found("nothing_to_export", "没有可导出的记录"));
    };
    let encoding = encoding_name(format, &options.encoding)?;
    let fields: Vec<WriteField> = first
        .fields
        .iter()
        .map(|(name, value)| WriteField { name: name.clone(), is_number: !matches!(value, ExportValue::Text(_)) })
        .collect();
    if format == VectorFormat::Shapefile {
        check_dbf(rows, encoding)?;
    }
    let head =
        WriteHead { layer: options.layer.clone(), epsg: options.crs.epsg(), encoding: encoding.to_owned(), fields };
    let folder = TempDir::new().map_err(failed)?;
    let (driver, name) = match format {
        VectorFormat::Shapefile => (Format::Shapefile, "data.shp"),
        VectorFormat::GeoPackage => (Format::GeoPackage, "data.gpkg"),
    };
    let path = folder.path().join(name);
    vector::write(driver, &path, folder.path(), |to| send(to, &head, rows, options.crs))?;
    match format {
        VectorFormat::GeoPackage => std::fs::read(path).map_err(failed),
        VectorFormat::Shapefile => pack(&folder, &options.layer, encoding),
    }
}

fn failed(cause: std::io::Error) -> Error {
    Error::internal("写导出文件时出错", cause)
}

fn encoding_name(format: VectorFormat, asked: &str) -> Result<&'static str> {
    match (format, asked) {
        (VectorFormat::GeoPackage, _) | (_, "utf-8" | "utf8") => Ok("UTF-8"),
        (_, "gbk") => Ok("GBK"),
        (_, other) => {
            Err(Error::invalid("encoding_unknown", format!("Shapefile 的编码只能是 gbk 或 utf-8，不能是“{other}”")))
        }
    }
}

/// Nothing is cut in silence: names and texts must fit and be writable in the encoding.
fn check_dbf(rows: &[ExportRow], encoding: &str) -> Result<()> {
    let length = |text: &str| -> Result<usize> {
        if encoding != "GBK" {
            return Ok(text.len());
        }
        let (bytes, _, lossy) = GBK.encode(text);
        if lossy {
            let missing = text.chars().find(|c| GBK.encode(c.encode_utf8(&mut [0; 4])).2).unwrap_or('?');
            return Err(Error::invalid(
                "character_not_in_gbk",
                format!("字符“{missing}”不在 GBK 编码中；请改用 utf-8 导出"),
            ));
        }
        Ok(bytes.len())
    };
    for row in rows {
        for (name, value) in &row.fields {
            if length(name)? > DBF_NAME_BYTES {
                return Err(Error::invalid(
                    "field_name_too_long",
                    format!("字段名“{name}”超过 Shapefile 的 {DBF_NAME_BYTES} 字节"),
                ));
            }
            if let ExportValue::Text(text) = value
                && length(text)? > DBF_TEXT_BYTES
            {
                let shown: String = text.chars().take(20).collect();
                return Err(Error::invalid(
                    "text_too_long",
                    format!("字段“{name}”的文字“{shown}…”超过 Shapefile 的 {DBF_TEXT_BYTES} 字节；请改用 gpkg 导出"),
                ));
            }
        }
    }
    Ok(())
}

fn send(to: &mut dyn Write, head: &WriteHead, rows: &[ExportRow], crs: Crs) -> Result<()> {
    let mut to = BufWriter::with_capacity(1 << 18, to);
    wire::write_head(&mut to, head).map_err(failed)?;
    for row in rows {
        let geometry = project::from_cgcs2000(&row.geometry, crs).ok_or_else(|| {
            Error::invalid("crs_zone_too_far", format!("有图形离{}太远，不能用它写坐标；请换投影带", crs.label()))
        })?;
        let values = row
            .fields
            .iter()
            .map(|(_, value)| match value {
                ExportValue::Text(text) => Some(text.clone().into_bytes()),
                // Shortest decimal that reads back to the same double.
                ExportValue::Number(number) => Some(number.to_string().into_bytes()),
                ExportValue::Missing => None,
            })
            .collect();
        let message = Message::Feature(Feature { damaged: false, values, shape: Shape::Polygons(parts(&geometry)) });
        wire::write(&mut to, &message).map_err(failed)?;
    }
    to.flush().map_err(failed)
}

fn parts(geometry: &MultiPolygon<f64>) -> super::rings::Parts {
    let points = |ring: &geo::LineString<f64>| ring.coords().map(|c| (c.x, c.y)).collect::<Vec<_>>();
    geometry.iter().map(|p| std::iter::once(p.exterior()).chain(p.interiors()).map(points).collect()).collect()
}

/// The files of the Shapefile under the layer's name, and a .cpg that says the encoding in so many words.
fn pack(folder: &TempDir, layer: &str, encoding: &str) -> Result<Vec<u8>> {
    let broken = |cause: zip::result::ZipError| Error::internal("打包导出文件时出错", cause);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().large_file(false);
    for ending in ["shp", "shx", "dbf", "prj"] {
        let mut file =
            BufReader::new(std::fs::File::open(folder.path().join(format!("data.{ending}"))).map_err(failed)?);
        writer.start_file(format!("{layer}.{ending}"), options).map_err(broken)?;
        std::io::copy(&mut file, &mut writer).map_err(failed)?;
    }
    writer.start_file(format!("{layer}.cpg"), options).map_err(broken)?;
    writer.write_all(encoding.as_bytes()).map_err(failed)?;
    Ok(writer.finish().map_err(broken)?.into_inner())
}
