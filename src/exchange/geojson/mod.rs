//! Reading GeoJSON in Rust, feature by feature: never GDAL, which follows addresses inside documents.
//!
//! A file's faults are findings with record, part, ring and vertex; a file that is no JSON names line and column.

mod document;
mod finish;

use std::collections::HashMap;

use serde::de::{DeserializeSeed, IgnoredAny};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use document::Document;

use super::limits::{MAX_FEATURES, MAX_FINDINGS, MAX_FRAME_BYTES};
use super::{ReadOptions, Reading, rings, text_encoding};
use crate::domain::{Finding, Place};

/// Reads a FeatureCollection, a Feature, a geometry, or a sequence of features (one a line, or RFC 8142).
pub fn read(bytes: &[u8], options: &ReadOptions) -> Reading {
    let mut reading = Reading { format: "geojson", ..Reading::default() };
    let Some(text) = text_encoding::decode_whole(bytes, options, &mut reading) else { return reading };
    // RFC 8142 separates records with U+001E.
    let text = text.replace('\u{1e}', " ");
    let mut scan = Scan {
        text: &text,
        counted: (0, 0),
        records: Vec::new(),
        findings: Vec::new(),
        crs_member: None,
        seen: HashMap::new(),
        fields: Vec::new(),
        field_index: HashMap::new(),
    };
    scan.read_documents();
    scan.finish(options, &mut reading);
    reading
}

fn count_lines(text: &[u8]) -> u64 {
    text.iter().filter(|b| **b == b'\n').count() as u64
}

/// What is wrong with the JSON, `lines` down the file.
fn json_fault(error: &serde_json::Error, lines: u64, after_a_document: bool) -> Finding {
    let line = error.line() as u64 + lines;
    let at = format!("第 {line} 行第 {} 列", error.column());
    let (code, why) = if after_a_document {
        ("json_trailing", format!("{at}：JSON 结束之后还有多余的内容"))
    } else if error.is_eof() {
        ("json_truncated", format!("{at}：JSON 没有写完，文件可能被截断"))
    } else if error.to_string().contains("out of range") {
        ("coordinate_not_finite", format!("{at}：数值超出可表示的范围"))
    } else if error.to_string().contains("recursion") {
        ("json_too_deep", format!("{at}：JSON 嵌套过深"))
    } else {
        ("json_invalid", format!("{at}：不是有效的 JSON"))
    };
    Finding::error(code, Place::row(line), why)
}

/// One feature before its coordinates are understood.
struct Record {
    row: u64,
    id: Option<String>,
    properties: Vec<(usize, String)>,
    rings: rings::Parts,
    has_geometry: bool,
}

struct Scan<'t> {
    /// The whole file.
    text: &'t str,
    /// A place in it, and the line breaks before.
    counted: (usize, u64),
    records: Vec<Record>,
    findings: Vec<Finding>,
    crs_member: Option<Value>,
    /// Feature id → first row.
    seen: HashMap<String, u64>,
    fields: Vec<String>,
    field_index: HashMap<String, usize>,
}

impl Scan<'_> {
    fn read_documents(&mut self) {
        let text = self.text;
        let mut rest = text;
        let mut documents = 0;
        while !rest.trim_start().is_empty() {
            let mut stream = serde_json::Deserializer::from_str(rest);
            let outcome = Document::into(self).deserialize(&mut stream);
            // `into_iter` would tell the offset, but only for whole values: the rest is found by a second look.
            if let Err(error) = outcome {
                let offset = text.len() - rest.len();
                let fault = json_fault(&error, count_lines(&text.as_bytes()[..offset]), documents > 0);
                self.findings.push(fault);
                return;
            }
            documents += 1;
            let mut skip = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
            if skip.next().is_none_or(|value| value.is_err()) {
                return;
            }
            rest = &rest[skip.byte_offset()..];
            if self.findings.len() > MAX_FINDINGS || self.records.len() > MAX_FEATURES {
                return;
            }
        }
        if documents == 0 {
            self.findings.push(Finding::error("file_empty", Place::whole(), "文件是空的"));
        }
    }

    /// One member as a tree. A boundary of the most vertices is a few megabytes long; the tree of more would be gigabytes.
    fn parse(&mut self, raw: &RawValue) -> Option<Value> {
        let member = raw.get();
        // The member is a piece of the text, but serde hands it on without saying where.
        let offset = (member.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        if member.len() > MAX_FRAME_BYTES {
            let line = self.lines_to(offset) + 1;
            let message = format!("第 {line} 行起的要素超过上限 {} MB，请简化或拆分图形", MAX_FRAME_BYTES / 1_048_576);
            self.findings.push(Finding::error("feature_too_large", Place::row(line), message));
            return None;
        }
        match serde_json::from_str(member) {
            Ok(value) => Some(value),
            Err(error) => {
                let lines = self.lines_to(offset);
                self.findings.push(json_fault(&error, lines, false));
                None
            }
        }
    }

    /// Line breaks before this place; asked for places further and further on.
    fn lines_to(&mut self, offset: usize) -> u64 {
        let (counted, lines) = self.counted;
        let lines = lines + self.text.as_bytes().get(counted..offset).map_or(0, count_lines);
        self.counted = (offset, lines);
        lines
    }

    fn take_feature(&mut self, feature: &Value) {
        let row = self.records.len() as u64 + 1;
        let Some(object) = feature.as_object() else {
            self.findings.push(Finding::error(
                "feature_not_object",
                Place::row(row),
                format!("第 {row} 个要素不是 JSON 对象"),
            ));
            self.push_empty();
            return;
        };
        if object.get("type").and_then(Value::as_str) != Some("Feature") {
            self.findings.push(Finding::error(
                "feature_type",
                Place::row(row),
                format!("第 {row} 个要素的 type 不是 Feature"),
            ));
        }
        let id = match object.get("id") {
            Some(Value::String(id)) => Some(id.clone()),
            Some(Value::Number(id)) => Some(id.to_string()),
            Some(Value::Null) | None => None,
            Some(_) => {
                self.findings.push(Finding::warning(
                    "feature_id_type",
                    Place::row(row).field("id"),
                    format!("第 {row} 个要素的 id 应为字符串或数，未采用"),
                ));
                None
            }
        };
        if let Some(id) = &id
            && let Some(first) = self.seen.insert(id.clone(), row)
        {
            self.findings.push(Finding::error(
                "id_duplicate",
                Place::row(row).field("id"),
                format!("第 {row} 个要素与第 {first} 个要素的 id 相同：{id}"),
            ));
        }
        let properties = self.take_properties(object.get("properties"), row);
        let (rings, has_geometry) = match object.get("geometry") {
            Some(Value::Object(geometry)) => (self.take_geometry(geometry, row), true),
            Some(Value::Null) | None => (Vec::new(), false),
            Some(_) => {
                self.findings.push(Finding::error(
                    "geometry_type_unsupported",
                    Place::row(row),
                    format!("第 {row} 个要素的 geometry 不是对象"),
                ));
                (Vec::new(), true)
            }
        };
        if !has_geometry {
            self.findings.push(Finding::error("geometry_missing", Place::row(row), format!("第 {row} 个要素没有图形")));
        }
        self.records.push(Record { row, id, properties, rings, has_geometry });
    }

    fn push_empty(&mut self) {
        let row = self.records.len() as u64 + 1;
        self.records.push(Record { row, id: None, properties: Vec::new(), rings: Vec::new(), has_geometry: false });
    }

    fn take_properties(&mut self, properties: Option<&Value>, row: u64) -> Vec<(usize, String)> {
        let Some(object) = properties.and_then(Value::as_object) else { return Vec::new() };
        let mut values = Vec::with_capacity(object.len());
        for (field, value) in object {
            let text = match value {
                Value::Null => String::new(),
                Value::String(text) => text_encoding::compose(text.trim()),
                other => other.to_string(),
            };
            if text_encoding::has_forbidden_character(field) || text_encoding::has_forbidden_character(&text) {
                self.findings.push(Finding::error(
                    "text_control_character",
                    Place::row(row).field(field.replace(char::is_control, "?")),
                    format!("第 {row} 个要素的属性含有控制字符或改变显示方向的字符"),
                ));
                continue;
            }
            let next = self.fields.len();
            let index = *self.field_index.entry(field.clone()).or_insert(next);
            if index == next {
                self.fields.push(field.clone());
            }
            values.push((index, text));
        }
        values
    }

    /// Rings of a Polygon or MultiPolygon as written; anything else is a finding.
    fn take_geometry(&mut self, geometry: &Map<String, Value>, row: u64) -> rings::Parts {
        let kind = geometry.get("type").and_then(Value::as_str).unwrap_or_default();
        let coordinates = geometry.get("coordinates").and_then(Value::as_array);
        let place = Place::row(row);
        match (kind, coordinates) {
            ("Polygon", Some(rings)) => self.take_polygon(rings, row, 1).into_iter().collect(),
            ("MultiPolygon", Some(polygons)) => {
                let mut parts = Vec::with_capacity(polygons.len());
                for (part, polygon) in (1_u32..).zip(polygons) {
                    match polygon.as_array() {
                        Some(rings) => parts.extend(self.take_polygon(rings, row, part)),
                        None => self.findings.push(Finding::error(
                            "coordinates_nesting",
                            place.clone().part(part),
                            format!("第 {row} 个要素第 {part} 部分的坐标层次不对"),
                        )),
                    }
                }
                parts
            }
            ("Polygon" | "MultiPolygon", None) => {
                self.findings.push(Finding::error(
                    "coordinates_nesting",
                    place,
                    format!("第 {row} 个要素没有 coordinates 数组"),
                ));
                Vec::new()
            }
            _ => {
                let shown: String = kind.chars().filter(|c| !c.is_control()).take(30).collect();
                self.findings.push(Finding::error(
                    "geometry_type_unsupported",
                    place,
                    format!("第 {row} 个要素的图形类型“{shown}”不是面（Polygon、MultiPolygon）"),
                ));
                Vec::new()
            }
        }
    }

    fn take_polygon(&mut self, rings: &[Value], row: u64, part: u32) -> Option<Vec<Vec<(f64, f64)>>> {
        let mut lines = Vec::with_capacity(rings.len());
        let before = self.findings.len();
        for (ring, positions) in (1_u32..).zip(rings) {
            let place = Place::row(row).part(part).ring(ring);
            let Some(positions) = positions.as_array() else {
                self.findings.push(Finding::error(
                    "coordinates_nesting",
                    place,
                    format!("第 {row} 个要素第 {part} 部分第 {ring} 环的坐标层次不对"),
                ));
                continue;
            };
            let mut line = Vec::with_capacity(positions.len());
            for (vertex, position) in (1_u32..).zip(positions) {
                match position_of(position) {
                    Some(point) => line.push(point),
                    None => {
                        self.findings.push(Finding::error(
                            "coordinate_not_a_number",
                            place.clone().vertex(vertex),
                            format!(
                                "第 {row} 个要素第 {part} 部分第 {ring} 环第 {vertex} 点的坐标不是两个以上的有限数"
                            ),
                        ));
                        break;
                    }
                }
            }
            lines.push(line);
        }
        if rings.is_empty() {
            self.findings.push(Finding::error(
                "geometry_empty",
                Place::row(row).part(part),
                format!("第 {row} 个要素第 {part} 部分没有环"),
            ));
        }
        (self.findings.len() == before).then_some(lines)
    }
}

/// `[x, y]` or `[x, y, z, …]`; the height is dropped.
fn position_of(value: &Value) -> Option<(f64, f64)> {
    let numbers = value.as_array()?;
    let (x, y) = (numbers.first()?.as_f64()?, numbers.get(1)?.as_f64()?);
    (x.is_finite() && y.is_finite()).then_some((x, y))
}

#[cfg(test)]
mod tests;
