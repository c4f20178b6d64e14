//! A parcel as written → a candidate: its fields, its declared number of points, its rings as parts and holes.

use geo::{Coord, LineString, MultiPolygon};

use crate::domain::{Finding, Place};
use crate::exchange::{Attribute, Candidate, text_encoding};
use crate::geometry::crs::Crs;
use crate::geometry::{assemble, project, validity};

/// The fields of a parcel line, by position, with their canonical names; further fields are kept by number.
pub(super) const PARCEL_FIELDS: [(&str, Option<&str>); 8] = [
    ("界址点数", None),
    ("地块面积", Some("stated_area")),
    ("地块编号", Some("id")),
    ("地块名称", Some("name")),
    ("图形属性", None),
    ("图幅号", Some("map_sheet")),
    ("地块用途", Some("land_use")),
    ("地类编码", Some("land_use_code")),
];

pub(super) struct Parcel {
    pub line: u64,
    pub fields: Vec<String>,
    pub rings: Vec<Ring>,
    /// A point line of this parcel could not be read: its shape would be another one.
    pub broken: bool,
}

pub(super) struct Ring {
    /// 圈号 as written.
    pub number: String,
    pub points: Vec<Point>,
    /// 点号 of the first, the second and the last point.
    pub labels: [String; 3],
}

pub(super) struct Point {
    pub line: u64,
    /// As written: X is north, Y is east.
    pub x: f64,
    pub y: f64,
}

/// The candidate of a parcel; its stated area is read when all parcels are known.
pub(super) fn candidate(parcel: Parcel, system: Option<Crs>, findings: &mut Vec<Finding>) -> Candidate {
    let row = parcel.line;
    let attributes = attributes(&parcel.fields);
    check_count(&parcel, findings);
    let geometry = system.and_then(|crs| geometry(&parcel, crs, findings));
    let value = |canonical: &str| {
        attributes.iter().find(|a| a.canonical == Some(canonical) && !a.value.is_empty()).map(|a| a.value.clone())
    };
    for a in &attributes {
        if text_encoding::has_forbidden_character(&a.value) {
            findings.push(Finding::error(
                "text_control_character",
                Place::row(row).field(&*a.field),
                format!("第 {row} 行：字段“{}”含有控制字符或改变显示方向的字符", a.field),
            ));
        }
    }
    Candidate { row, id: value("id"), name: value("name"), geometry, stated_area: None, crs: system, attributes }
}

fn attributes(fields: &[String]) -> Vec<Attribute> {
    let known: std::collections::HashMap<usize, (&str, Option<&'static str>)> =
        PARCEL_FIELDS.iter().enumerate().map(|(i, (f, c))| (i, (*f, *c))).collect();
    fields
        .iter()
        .enumerate()
        // The point count and the word 面 describe the file, not the land.
        .filter(|(i, _)| !matches!(i, 0 | 4))
        .map(|(i, value)| {
            let (field, canonical) =
                known.get(&i).map_or((format!("字段{}", i + 1).into(), None), |(f, c)| ((*f).into(), *c));
            Attribute { field, canonical, value: text_encoding::compose(value) }
        })
        .collect()
}

/// The declared number of points, with or without the closing ones, against those found.
fn check_count(parcel: &Parcel, findings: &mut Vec<Finding>) {
    let row = parcel.line;
    let Some(text) = parcel.fields.first().filter(|t| !t.is_empty()) else { return };
    let found: usize = parcel.rings.iter().map(|r| r.points.len()).sum();
    let closing = parcel.rings.iter().filter(|r| is_closed(r)).count();
    match text.parse::<usize>() {
        Ok(declared)
            if declared == found || declared == found - closing || declared == found + parcel.rings.len() - closing => {
        }
        Ok(declared) => findings.push(Finding::warning(
            "point_count_mismatch",
            Place::row(row),
            format!("第 {row} 行：声明 {declared} 个界址点，实有 {found} 个"),
        )),
        Err(_) => findings.push(Finding::warning(
            "point_count_mismatch",
            Place::row(row).field("界址点数"),
            format!("第 {row} 行：界址点数“{}”不是整数，实有 {found} 个", text.chars().take(20).collect::<String>()),
        )),
    }
}

fn is_closed(ring: &Ring) -> bool {
    match ring.points.as_slice() {
        [first, .., last] => first.x == last.x && first.y == last.y,
        _ => false,
    }
}

/// Rings → lon/lat → parts and holes by containment. `None`, with findings, where a ring cannot be one.
fn geometry(parcel: &Parcel, crs: Crs, findings: &mut Vec<Finding>) -> Option<MultiPolygon<f64>> {
    let vertices: usize = parcel.rings.iter().map(|r| r.points.len()).sum();
    if vertices > validity::MAX_VERTICES {
        findings.push(Finding::error(
            "too_many_vertices",
            Place::row(parcel.line),
            format!("第 {} 行：地块有 {vertices} 个界址点，超过上限 {}", parcel.line, validity::MAX_VERTICES),
        ));
        return None;
    }
    if parcel.rings.len() > validity::MAX_RINGS {
        findings.push(Finding::error(
            "too_many_rings",
            Place::row(parcel.line),
            format!("第 {} 行：地块有 {} 圈，超过上限 {}", parcel.line, parcel.rings.len(), validity::MAX_RINGS),
        ));
        return None;
    }
    if parcel.rings.is_empty() {
        findings.push(Finding::error(
            "geometry_missing",
            Place::row(parcel.line),
            format!("第 {} 行：地块没有界址点", parcel.line),
        ));
        return None;
    }
    let mut lines = Vec::with_capacity(parcel.rings.len());
    let mut sound = !parcel.broken;
    for (number, ring) in (1_u32..).zip(&parcel.rings) {
        match ring_line(ring, number, crs) {
            Ok(line) => lines.push(line),
            Err(finding) => {
                findings.push(finding);
                sound = false;
            }
        }
    }
    if !sound {
        return None;
    }
    let assembled = assemble::from_rings(lines);
    let duplicates = !assembled.findings.is_empty();
    findings.extend(assembled.findings.into_iter().map(|mut f| {
        f.place.row = Some(parcel.line);
        f
    }));
    (!duplicates).then_some(assembled.geometry)
}

fn ring_line(ring: &Ring, number: u32, crs: Crs) -> Result<LineString<f64>, Finding> {
    let first_line = ring.points.first().map_or(0, |p| p.line);
    let [first_label, second_label, last_label] = &ring.labels;
    // Told by its number to be the first point again, and it is not: a number was mistyped, or the file ends in it.
    if let Some(last) = ring.points.last().filter(|_| ring.points.len() > 3 && !is_closed(ring))
        && first_label == last_label
        // Where all points are called alike, their numbers say nothing.
        && first_label != second_label
        && first_label.ends_with(|c: char| c.is_ascii_digit())
    {
        let vertex = u32::try_from(ring.points.len()).unwrap_or(u32::MAX);
        return Err(Finding::error(
            "ring_not_closed",
            Place::row(last.line).ring(number).vertex(vertex),
            format!("第 {} 行：闭合点 {last_label} 与起点同号而坐标不同，坐标有误或文件被截断", last.line),
        ));
    }
    let mut line = Vec::with_capacity(ring.points.len() + 1);
    for (vertex, p) in (1_u32..).zip(&ring.points) {
        // A geographic file would give longitude as Y (east) too.
        let Some((x, y)) = project::inverse(crs, p.y, p.x) else {
            return Err(Finding::error(
                "coordinate_out_of_range",
                Place::row(p.line).ring(number).vertex(vertex),
                format!("第 {} 行：坐标（X={}，Y={}）不在{}的范围内", p.line, p.x, p.y, crs.label()),
            ));
        };
        line.push(Coord { x, y });
    }
    if is_closed(ring) {
        // Equal numbers project to equal numbers; the last one is set so that no rounding can part them.
        let first = line[0];
        if let Some(last) = line.last_mut() {
            *last = first;
        }
    } else if let Some(&first) = line.first() {
        line.push(first);
    }
    if line.len() < 4 {
        return Err(Finding::error(
            "ring_too_few_points",
            Place::row(first_line).ring(number),
            format!("第 {first_line} 行起的第 {number} 圈不足 3 个界址点"),
        ));
    }
    Ok(LineString(line))
}
