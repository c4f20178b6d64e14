//! Writing Shapefile (zipped), GeoPackage and FlatGeobuf through the GDAL child, row by row.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use geo::{Coord, Geometry, MapCoords as _, MultiPolygon};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::table_export::{Rows, failed};
use super::vector::wire::{self, Feature, FieldKind, Message, Shape, ShapeKind, WriteField, WriteHead};
use super::vector::{self, Format};
use super::{dbf_text, shape_text};
use crate::domain::export::{Cell, Column, ExportRow, TextEncoding};
use crate::domain::layer::{GeometryKind, PropertyKind};
use crate::error::{Error, Result};
use crate::geometry::crs::Crs;
use crate::geometry::project;

/// A format written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VectorFormat {
    /// Zipped, with .cpg and .prj.
    Shapefile,
    GeoPackage,
    FlatGeobuf,
}

#[derive(Debug, Clone)]
pub struct VectorOptions {
    /// Name of the layer inside, and of a Shapefile's files.
    pub layer: String,
    /// What people call it.
    pub title: String,
    /// Columns with the place of each in a row's cells; a long text of a Shapefile goes on in those behind of the same place.
    pub columns: Vec<(usize, Column)>,
    pub crs: Crs,
    /// Of a Shapefile's texts.
    pub encoding: TextEncoding,
    /// What its shapes are.
    pub geometry: GeometryKind,
}

/// Writes the file into `folder`; its path there, and the number of its rows.
pub fn write(format: VectorFormat, rows: Rows<'_>, options: &VectorOptions, folder: &Path) -> Result<(PathBuf, u64)> {
    let encoding = match (format, options.encoding) {
        (VectorFormat::Shapefile, TextEncoding::Gbk) => "GBK",
        _ => "UTF-8",
    };
    let field =
        |(_, column): &(usize, Column)| WriteField { name: column.heading.clone(), kind: kind_of(column.kind, format) };
    let head = WriteHead {
        layer: options.layer.clone(),
        title: options.title.clone(),
        epsg: options.crs.epsg(),
        encoding: encoding.to_owned(),
        fields: options.columns.iter().map(field).collect(),
        shapes: shapes_of(options.geometry),
    };
    let (driver, name) = match format {
        VectorFormat::Shapefile => (Format::Shapefile, "data.shp"),
        VectorFormat::GeoPackage => (Format::GeoPackage, "data.gpkg"),
        VectorFormat::FlatGeobuf => (Format::FlatGeobuf, "data.fgb"),
    };
    let path = folder.join(name);
    let mut count = 0;
    vector::write(driver, &path, folder, |to| {
        count = send(to, &head, rows, format, options)?;
        Ok(())
    })?;
    match format {
        VectorFormat::Shapefile => Ok((pack(folder, &options.layer, encoding)?, count)),
        _ => Ok((path, count)),
    }
}

/// Areas are all written as of several parts, as the register has them.
fn shapes_of(kind: GeometryKind) -> ShapeKind {
    match kind {
        GeometryKind::Point => ShapeKind::Point,
        GeometryKind::LineString => ShapeKind::LineString,
        GeometryKind::MultiPoint => ShapeKind::MultiPoint,
        GeometryKind::MultiLineString => ShapeKind::MultiLineString,
        GeometryKind::Polygon | GeometryKind::MultiPolygon => ShapeKind::MultiPolygon,
        GeometryKind::Any => ShapeKind::Any,
        GeometryKind::None => ShapeKind::None,
    }
}

fn kind_of(kind: PropertyKind, format: VectorFormat) -> FieldKind {
    match kind {
        // A DBF has days and no moments.
        PropertyKind::DateTime if format == VectorFormat::Shapefile => FieldKind::Text,
        PropertyKind::DateTime => FieldKind::DateTime,
        PropertyKind::Text | PropertyKind::TextList | PropertyKind::NumberList => FieldKind::Text,
        PropertyKind::Number => FieldKind::Number,
        PropertyKind::Integer => FieldKind::Integer,
        PropertyKind::Boolean => FieldKind::Boolean,
        PropertyKind::Date => FieldKind::Date,
    }
}

fn send(
    to: &mut dyn Write,
    head: &WriteHead,
    rows: Rows<'_>,
    format: VectorFormat,
    options: &VectorOptions,
) -> Result<u64> {
    let mut to = BufWriter::with_capacity(1 << 18, to);
    wire::write_head(&mut to, head).map_err(failed)?;
    let mut count = 0;
    for row in rows {
        let row = row?;
        // GDAL leaves them out of this format by itself, without a word.
        if format == VectorFormat::FlatGeobuf && row.geometry.is_none() {
            continue;
        }
        count += 1;
        let mut values = Vec::with_capacity(options.columns.len());
        for fields in options.columns.chunk_by(|(a, _), (b, _)| a == b) {
            let [(at, column), ..] = fields else { continue };
            let cell = row.cells.get(*at).unwrap_or(&Cell::Missing);
            match cell {
                Cell::Text(text) if format == VectorFormat::Shapefile => {
                    let place = || format!("第 {count} 行（{}）的“{}”", row.id, column.heading);
                    values.extend(dbf_cells(text, fields.len(), options.encoding, place)?);
                }
                _ => {
                    values.push(value_of(cell));
                    values.resize(values.len() + fields.len() - 1, None);
                }
            }
        }
        let shape = shape_of(&row, count, options.crs)?;
        wire::write(&mut to, &Message::Feature(Feature { damaged: false, values, shape })).map_err(failed)?;
    }
    to.flush().map_err(failed)?;
    Ok(count)
}

fn value_of(cell: &Cell) -> Option<Vec<u8>> {
    match cell {
        Cell::Missing => None,
        Cell::Boolean(value) => Some(vec![if *value { b'1' } else { b'0' }]),
        other => Some(other.text().into_bytes()),
    }
}

/// Nothing is cut in silence: a text must fit its fields and be writable in the encoding.
fn dbf_cells(
    text: &str,
    fields: usize,
    encoding: TextEncoding,
    place: impl Fn() -> String,
) -> Result<Vec<Option<Vec<u8>>>> {
    dbf_text::check(text, encoding, &place)?;
    let cells = dbf_text::cells(text, dbf_text::length_in(encoding));
    if cells.len() > fields {
        let shown: String = text.chars().take(20).collect();
        let message = format!("{}：“{shown}…”超过 Shapefile 的字段所能容纳的；请改用 gpkg 导出", place());
        return Err(Error::invalid("text_too_long", message));
    }
    let mut values: Vec<Option<Vec<u8>>> = cells.into_iter().map(|cell| Some(cell.as_bytes().to_vec())).collect();
    values.resize(fields, None);
    Ok(values)
}

fn shape_of(row: &ExportRow, number: u64, crs: Crs) -> Result<Shape> {
    let Some(stored) = &row.geometry else { return Ok(Shape::None) };
    let too_far = || {
        let message = format!("第 {number} 行（{}）离{}太远，不能用它写坐标；请换投影带", row.id, crs.label());
        Error::invalid("crs_zone_too_far", message)
    };
    let areas = match stored {
        Geometry::MultiPolygon(areas) => areas,
        Geometry::Polygon(area) => &MultiPolygon(vec![area.clone()]),
        other => {
            let projected = match crs.is_geographic() {
                true => other.clone(),
                false => other
                    .try_map_coords(|c| project::forward(crs, c.x, c.y).map(|(x, y)| Coord { x, y }).ok_or(()))
                    .map_err(|()| too_far())?,
            };
            return Ok(Shape::Bytes(shape_text::wkb(&projected)));
        }
    };
    if crs.is_geographic() {
        return Ok(Shape::Polygons(parts(areas)));
    }
    let projected = project::from_cgcs2000(areas, crs).ok_or_else(too_far)?;
    Ok(Shape::Polygons(parts(&projected)))
}

fn parts(geometry: &MultiPolygon<f64>) -> super::rings::Parts {
    let points = |ring: &geo::LineString<f64>| ring.coords().map(|c| (c.x, c.y)).collect::<Vec<_>>();
    geometry.iter().map(|p| std::iter::once(p.exterior()).chain(p.interiors()).map(points).collect()).collect()
}

/// The files of the Shapefile under the layer's name, and a .cpg that says the encoding in so many words.
fn pack(folder: &Path, layer: &str, encoding: &str) -> Result<PathBuf> {
    let broken = |cause: zip::result::ZipError| Error::internal("打包导出文件时出错", cause);
    let path = folder.join("data.zip");
    let mut writer = ZipWriter::new(BufWriter::new(File::create(&path).map_err(failed)?));
    let options = SimpleFileOptions::default().large_file(true);
    for ending in ["shp", "shx", "dbf", "prj"] {
        let from = folder.join(format!("data.{ending}"));
        let mut file = BufReader::new(File::open(&from).map_err(failed)?);
        writer.start_file(format!("{layer}.{ending}"), options).map_err(broken)?;
        std::io::copy(&mut file, &mut writer).map_err(failed)?;
        std::fs::remove_file(from).map_err(failed)?;
    }
    writer.start_file(format!("{layer}.cpg"), options).map_err(broken)?;
    writer.write_all(encoding.as_bytes()).map_err(failed)?;
    writer.finish().map_err(broken)?.flush().map_err(failed)?;
    Ok(path)
}
