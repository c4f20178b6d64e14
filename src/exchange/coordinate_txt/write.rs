//! Writing a boundary-point TXT: CRLF, three decimals, closed rings, zone prefix on unless asked otherwise. Parcel by parcel.

use std::fmt::Write as _;
use std::io::Write;

use chrono::NaiveDate;
use geo::{LineString, MultiPolygon};

use super::header::NATURE;
use crate::domain::Hectares;
use crate::domain::area::round_decimal;
use crate::domain::export::TextEncoding;
use crate::error::{Error, Result};
use crate::exchange::table_export::{failed, in_gbk};
use crate::geometry::crs::Crs;
use crate::geometry::project;

/// One parcel to write; the geometry in longitude and latitude.
#[derive(Debug, Clone)]
pub struct TxtParcel {
    pub id: String,
    pub name: String,
    pub geometry: MultiPolygon<f64>,
    /// Left blank where the paper states none: a computed area would come back as a stated one.
    pub stated_area: Option<Hectares>,
    pub map_sheet: String,
    pub land_use: String,
    pub land_use_code: String,
}

/// The file's head.
#[derive(Debug, Clone)]
pub struct TxtOptions {
    /// A Gauss–Krüger system, with or without prefix.
    pub crs: Crs,
    /// UTF-8 without a byte order mark, or GBK for older programs.
    pub encoding: TextEncoding,
    pub producer: String,
    pub date: NaiveDate,
    /// What the boundaries are, where they are not surveyed (示意): said in a section of its own, read back as the source.
    pub nature: Option<String>,
    /// Features of the layer that have no boundary and are not among the parcels; said in the same section.
    pub left_out: u64,
}

/// The whole file; the number of its parcels. Refuses systems that are no Gauss–Krüger zone, places far outside the zone, and
/// characters that the encoding cannot hold.
pub fn write(
    parcels: &mut dyn Iterator<Item = Result<TxtParcel>>,
    options: &TxtOptions,
    out: &mut dyn Write,
) -> Result<u64> {
    let (zone, width) = match options.crs {
        Crs::GaussKruger3 { zone, .. } => (zone, 3),
        Crs::GaussKruger6 { zone, .. } => (zone, 6),
        other => {
            return Err(Error::invalid(
                "txt_crs",
                format!("界址点坐标文件只能用高斯克吕格投影带，不能用{}；例如 --crs EPSG:4526", other.label()),
            ));
        }
    };
    let mut text = String::new();
    // Writing to a String cannot fail.
    if options.nature.is_some() || options.left_out > 0 {
        text.push_str("[项目信息]\r\n");
    }
    if let Some(nature) = &options.nature {
        let _ = write!(text, "{NATURE}={}\r\n", clean(nature));
    }
    if options.left_out > 0 {
        let _ = write!(text, "未写入=没有图形的 {} 条\r\n", options.left_out);
    }
    let _ = write!(
        text,
        "[属性描述]\r\n格式版本号=1.01\r\n数据产生单位={}\r\n数据产生日期={}\r\n坐标系=2000国家大地坐标系\r\n几度分带={width}\r\n\
         投影类型=高斯克吕格\r\n计量单位=米\r\n带号={zone}\r\n精度=0.001\r\n转换参数=0,0,0,0,0,0,0\r\n[地块坐标]\r\n",
        clean(&options.producer),
        options.date.format("%Y-%m-%d"),
    );
    put(out, &text, options.encoding, || "文件头".to_owned())?;
    let mut count = 0;
    for parcel in parcels {
        let parcel = parcel?;
        count += 1;
        text.clear();
        write_parcel(&mut text, &parcel, options.crs)?;
        put(out, &text, options.encoding, || format!("第 {count} 个地块（{}）", parcel.id))?;
    }
    Ok(count)
}

fn put(out: &mut dyn Write, text: &str, encoding: TextEncoding, place: impl Fn() -> String) -> Result<()> {
    match encoding {
        TextEncoding::Utf8 => out.write_all(text.as_bytes()),
        TextEncoding::Gbk => out.write_all(&in_gbk(text, place)?),
    }
    .map_err(failed)
}

fn write_parcel(text: &mut String, parcel: &TxtParcel, crs: Crs) -> Result<()> {
    let rings: usize = parcel.geometry.iter().map(|p| 1 + p.interiors().len()).sum();
    let points: usize = parcel
        .geometry
        .iter()
        .flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()))
        .map(|r| r.0.len())
        .sum();
    if rings == 0 {
        return Err(Error::invalid("geometry_empty", format!("地块 {} 没有图形，不能写入界址点文件", parcel.id)));
    }
    let _ = write!(
        text,
        "{points},{},{},{},面,{},{},{},@\r\n",
        parcel.stated_area.map(hectares).unwrap_or_default(),
        clean(&parcel.id),
        clean(&parcel.name),
        clean(&parcel.map_sheet),
        clean(&parcel.land_use),
        clean(&parcel.land_use_code),
    );
    let mut ring_number = 0;
    for polygon in &parcel.geometry {
        // Point numbers run on over the holes of a part and begin anew with the next part.
        let mut point_number = 1;
        for ring in std::iter::once(polygon.exterior()).chain(polygon.interiors()) {
            ring_number += 1;
            write_ring(text, ring, ring_number, &mut point_number, crs, &parcel.id)?;
        }
    }
    Ok(())
}

fn write_ring(
    text: &mut String,
    ring: &LineString<f64>,
    number: u32,
    next: &mut u32,
    crs: Crs,
    id: &str,
) -> Result<()> {
    let first = *next;
    let last = ring.0.len().saturating_sub(1);
    for (i, c) in ring.coords().enumerate() {
        let (easting, northing) = project::forward(crs, c.x, c.y).ok_or_else(|| {
            Error::invalid("crs_zone_too_far", format!("地块 {id} 离{}太远，不能用它写坐标；请换投影带", crs.label()))
        })?;
        let label = if i == last { first } else { *next };
        let _ = write!(text, "J{label},{number},{northing:.3},{easting:.3}\r\n");
        if i != last {
            *next += 1;
        }
    }
    Ok(())
}

/// Four decimals as the guide has it, up to six where the area has them.
fn hectares(area: Hectares) -> String {
    let six = format!("{:.6}", round_decimal(area.value(), 6));
    six.strip_suffix("00").map_or_else(|| six.trim_end_matches('0').to_owned(), str::to_owned)
}

/// Commas and line breaks would be read as structure: they become the comma of an enumeration, or a blank. A line is a parcel's by
/// its `@`, which may stand in a word.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            ',' | '，' => '、',
            '\r' | '\n' => ' ',
            c => c,
        })
        .collect()
}
