//! A prepared export to its format's encoder.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use geo::{CoordsIter as _, Geometry, MultiPolygon};

use super::flow::Pieces;
use super::{ExportRequest, day_in_china, moment_in_china};
use crate::domain::Hectares;
use crate::domain::detail::outline_mark;
use crate::domain::export::{Cell, Column, ExportCount, ExportFormat, ExportRow, Headings, RowParts, TextEncoding};
use crate::error::{Error, Result};
use crate::exchange::coordinate_txt::{self, TxtOptions, TxtParcel};
use crate::exchange::dbf_text;
use crate::exchange::table_export::{self, CsvOptions, Sheet};
use crate::exchange::vector_export::{self, VectorFormat, VectorOptions};
use crate::geometry::crs::Crs;
use crate::inventory::wire;
use crate::layers::columns::{self, ShownColumn};
use crate::store::blocks::Papers;

/// What to write, decided before the first row.
pub struct Task {
    request: ExportRequest,
    count: ExportCount,
    total: u64,
    columns: Vec<ShownColumn>,
    headings: Headings,
}

impl Task {
    /// `longest`: the bytes of each property's longest text, for formats whose cells have an end.
    pub fn new(request: &ExportRequest, count: &ExportCount, total: u64, longest: Option<&[u64]>) -> Self {
        let headings = request.options.headings.unwrap_or_default();
        let columns = columns::of_layer(request.layer, request.format, headings);
        let columns = match request.outlined() {
            Some(_) => columns::with_outline_mark(columns, request.layer, request.format, headings),
            None => columns,
        };
        let columns = match longest {
            Some(bytes) => {
                columns::with_room(columns, |cell| dbf_text::fields_for(bytes.get(cell).copied().unwrap_or_default()))
            }
            None => columns,
        };
        Self { request: request.clone(), count: count.clone(), total, columns, headings }
    }

    /// What of a row the format needs.
    pub fn parts(&self) -> RowParts {
        let format = self.request.format;
        RowParts {
            cells: !format.is_geojson(),
            geometry: !format.is_geojson() && !format.is_table() || self.request.options.wkt,
            centre: format.is_table(),
            feature: format.is_geojson(),
        }
    }

    /// Boundary points carry what the paper says of a block beside its layer's properties.
    pub fn needs_papers(&self) -> bool {
        self.request.format == ExportFormat::Txt && self.request.layer.id == "park_blocks"
    }

    fn columns(&self) -> Vec<(usize, Column)> {
        self.columns.iter().map(|shown| (shown.cell, shown.column.clone())).collect()
    }

    fn encoding(&self) -> TextEncoding {
        self.request.options.encoding.unwrap_or(TextEncoding::Utf8)
    }

    /// The cell of this property, where the layer has it.
    fn cell<'a>(&self, row: &'a ExportRow, property: &str) -> &'a Cell {
        let at = self.request.layer.properties.iter().position(|p| p.name == property);
        at.and_then(|at| row.cells.get(at)).unwrap_or(&Cell::Missing)
    }
}

/// A format that is text to a writer; the number of rows.
pub fn write_text(task: &Task, pieces: Pieces, out: &mut dyn Write) -> Result<u64> {
    if task.request.format == ExportFormat::Txt {
        return write_txt(task, pieces, out);
    }
    let rows: table_export::Rows<'_> = &mut pieces.map(|row| row.map(|(row, _)| row));
    match task.request.format {
        ExportFormat::GeoJson => table_export::write_feature_collection(rows, &collection_head(task), out),
        ExportFormat::NdJson => table_export::write_feature_lines(rows, out),
        _ => {
            let options = CsvOptions {
                columns: task.columns(),
                centre: Some(columns::of_centre(task.headings)),
                wkt: task.request.options.wkt.then(|| columns::of_wkt(task.headings)),
                encoding: task.encoding(),
            };
            table_export::write_csv(rows, &options, out)
        }
    }
}

/// Any format as a file in this folder; its path, and the number of rows.
pub fn write_file(task: &Task, pieces: Pieces, folder: &Path) -> Result<(PathBuf, u64)> {
    let vector = match task.request.format {
        ExportFormat::Shapefile => VectorFormat::Shapefile,
        ExportFormat::GeoPackage => VectorFormat::GeoPackage,
        ExportFormat::FlatGeobuf => VectorFormat::FlatGeobuf,
        ExportFormat::Xlsx => {
            let path = folder.join("data.xlsx");
            let rows = &mut pieces.map(|row| row.map(|(row, _)| row));
            let count = table_export::write_xlsx(rows, &sheet(task), &path, folder)?;
            return Ok((path, count));
        }
        _ => {
            let failed = |cause: std::io::Error| Error::internal("写导出文件时出错", cause);
            let path = folder.join("data");
            let mut out = BufWriter::new(File::create(&path).map_err(failed)?);
            let count = write_text(task, pieces, &mut out)?;
            out.flush().map_err(failed)?;
            return Ok((path, count));
        }
    };
    let options = VectorOptions {
        layer: task.request.layer.id.to_owned(),
        title: match task.request.outlined() {
            Some(_) => format!("{}（概略轮廓）", task.request.layer.title.zh),
            None => task.request.layer.title.zh.to_owned(),
        },
        columns: task.columns(),
        crs: task.request.options.crs.unwrap_or(Crs::Cgcs2000),
        encoding: task.encoding(),
        geometry: task.request.layer.geometry,
    };
    vector_export::write(vector, &mut pieces.map(|row| row.map(|(row, _)| row)), &options, folder)
}

/// The members of a FeatureCollection ahead of its features; numbers and a moment, nothing to be escaped.
fn collection_head(task: &Task) -> String {
    let outlined = task.request.outlined().map(|rule| format!("\"generalisation\":{},", wire::generalisation(rule)));
    format!(
        "{}\"numberMatched\":{},\"numberReturned\":{},\"timeStamp\":\"{}\",",
        outlined.unwrap_or_default(),
        task.count.matched,
        task.total,
        task.request.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    )
}

/// The workbook's sheets: the layer, and what the file is.
fn sheet(task: &Task) -> Sheet {
    let request = &task.request;
    let note = |name: &str, text: &str| (name.to_owned(), Some(text.to_owned()));
    let mut notes = vec![
        note("图层", &format!("{}（{}）", request.layer.title.zh, request.layer.id)),
        note("说明", request.layer.description.zh),
        note("筛选条件", if request.asked.is_empty() { "无" } else { &request.asked }),
        ("条数".to_owned(), None),
        note("符合条件", &task.count.matched.to_string()),
        note("修订号", &task.count.revision.to_string()),
        note("导出时间", &moment_in_china(request.at)),
        note("坐标", "中心经度、中心纬度为图形内一点，2000国家大地坐标系（EPSG:4490），单位为度；没有图形的为空"),
        note("面积", "核准、公告面积为文件所载，椭球面积由边界计算；单位见表头：平方米、公顷、亩"),
    ];
    if let Some(rule) = request.outlined() {
        notes.push(note("图形", &outline_mark(rule)));
    }
    if let Some(source) = &task.count.drawn {
        notes.push(note("示意", &format!("示意为是者，图形由程序绘制，非测绘成果：{source}")));
    }
    Sheet {
        title: request.layer.title.zh.to_owned(),
        columns: task.columns(),
        centre: Some(columns::of_centre(task.headings)),
        notes_title: "说明".to_owned(),
        notes,
    }
}

/// Boundary points: the rows that have a boundary; how many have none is said in the head.
fn write_txt(task: &Task, pieces: Pieces, out: &mut dyn Write) -> Result<u64> {
    // A row that failed is kept for the writer, which ends with it.
    let mut rows = pieces.filter(|row| row.as_ref().map_or(true, |(row, _)| row.geometry.is_some())).peekable();
    let first = rows.peek().and_then(|row| row.as_ref().ok()).map(|(row, _)| row);
    let options = TxtOptions {
        crs: txt_zone(task, first),
        encoding: task.encoding(),
        producer: task.request.producer.clone(),
        date: day_in_china(task.request.at),
        nature: task.count.drawn.clone(),
        left_out: task.count.without_geometry,
    };
    let mut parcels = rows.map(|row| row.map(|(row, papers)| parcel(task, row, papers)));
    coordinate_txt::write(&mut parcels, &options, out)
}

/// One zone for the whole file: the asked one, else the zone the first row came in, else its 3-degree zone.
fn txt_zone(task: &Task, first: Option<&ExportRow>) -> Crs {
    let of_source = || Crs::parse(&task.cell(first?, "source_crs").text());
    let by_longitude = || {
        let x = first?.geometry.as_ref()?.coords_iter().next()?.x;
        // 3-degree zones are numbered by central meridian / 3.
        Some(Crs::GaussKruger3 { zone: (x / 3.0).round() as u8, prefixed: true })
    };
    let asked = task.request.options.crs;
    asked
        .or_else(|| of_source().filter(|c| matches!(c, Crs::GaussKruger3 { .. } | Crs::GaussKruger6 { .. })))
        .or_else(by_longitude)
        .unwrap_or(Crs::GaussKruger3 { zone: 37, prefixed: true })
}

fn parcel(task: &Task, row: ExportRow, papers: Papers) -> TxtParcel {
    let text = |property: &str| task.cell(&row, property).text();
    let id = Some(text("number")).filter(|number| !number.is_empty()).unwrap_or_else(|| row.id.clone());
    let stated = match task.cell(&row, "stated_area_ha") {
        Cell::Number(hectares) => Hectares::new(*hectares),
        _ => None,
    };
    TxtParcel {
        id,
        name: text("name"),
        stated_area: stated,
        map_sheet: papers.map_sheet,
        land_use: papers.land_use,
        land_use_code: papers.land_use_code,
        // Other layers than those of areas are not written as boundary points.
        geometry: match row.geometry {
            Some(Geometry::MultiPolygon(areas)) => areas,
            Some(Geometry::Polygon(area)) => MultiPolygon(vec![area]),
            _ => MultiPolygon(Vec::new()),
        },
    }
}
