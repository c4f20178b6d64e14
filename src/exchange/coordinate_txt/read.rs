//! Reading a boundary-point TXT, line by line; every fault names its line.

use super::header::{Header, NATURE, half_width};
use super::parcel::{PARCEL_FIELDS, Parcel, Point, Ring, candidate};
use crate::domain::{Finding, Place, Severity};
use crate::exchange::limits::{MAX_FEATURES, MAX_FINDINGS};
use crate::exchange::stated_area::{self, ColumnUnit};
use crate::exchange::{Attribute, Candidate, FieldMapping, ReadOptions, Reading, text_encoding};
use crate::geometry::area;
use crate::geometry::crs::{self, Crs};

/// The point count and the area come first in a parcel line.
const NUMBER_FIELDS: usize = 2;

/// A parcel line without `@` is recognised by having more fields than a point line.
const POINT_FIELDS: usize = 4;

/// Reads a whole file.
pub fn read(bytes: &[u8], options: &ReadOptions) -> Reading {
    let mut reading = Reading { format: "txt", ..Reading::default() };
    let Some(text) = text_encoding::decode_whole(bytes, options, &mut reading) else { return reading };
    reading.mapping = PARCEL_FIELDS
        .iter()
        .map(|(field, canonical)| FieldMapping { field: (*field).into(), canonical: *canonical })
        .collect();
    if text.trim().is_empty() {
        reading.findings.push(Finding::error("file_empty", Place::whole(), "文件是空的"));
        return reading;
    }
    let mut scan =
        Scan { findings: Vec::new(), header: Header::default(), parcels: Vec::new(), section: Section::None };
    for (line, text) in (1_u64..).zip(split_lines(&text)) {
        scan.take(line, text);
        if scan.findings.len() > MAX_FINDINGS || scan.parcels.len() > MAX_FEATURES {
            scan.findings.push(Finding::error(
                "too_many_records",
                Place::row(line),
                format!("记录或问题过多，读到第 {line} 行为止（一次最多 {MAX_FEATURES} 个地块）"),
            ));
            break;
        }
    }
    finish(scan, options, &mut reading);
    reading
}

/// Lines of CRLF, LF and bare CR files.
pub(super) fn split_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

#[derive(PartialEq)]
enum Section {
    None,
    Attributes,
    Coordinates,
    Other,
}

struct Scan {
    findings: Vec<Finding>,
    header: Header,
    parcels: Vec<Parcel>,
    section: Section,
}

impl Scan {
    fn take(&mut self, line: u64, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if let Some(name) = section_name(text) {
            self.section = match name.as_str() {
                "属性描述" => Section::Attributes,
                "地块坐标" => Section::Coordinates,
                _ => Section::Other,
            };
            return;
        }
        match self.section {
            Section::Attributes => self.header.take(text, line, &mut self.findings),
            Section::Other => self.header.take_project(text),
            Section::Coordinates => self.take_coordinates(line, text),
            Section::None => {
                self.findings.push(Finding::warning(
                    "text_outside_sections",
                    Place::row(line),
                    format!("第 {line} 行不在任何分节（[属性描述]、[地块坐标]）之内，未读取"),
                ));
            }
        }
    }

    fn take_coordinates(&mut self, line: u64, text: &str) {
        const COMMAS: [char; 2] = [',', '，'];
        let has_at = text.contains(['@', '＠']);
        let body = text.trim_matches(|c: char| matches!(c, '@' | '＠') || c.is_whitespace());
        let body = body.strip_suffix(COMMAS).filter(|_| has_at).unwrap_or(body);
        // Numbers are read whatever their width; words stay as they are written.
        let field = |(at, text): (usize, &str)| {
            if has_at && at >= NUMBER_FIELDS { text.trim().to_owned() } else { half_width(text).trim().to_owned() }
        };
        let mut fields: Vec<String> = body.split(COMMAS).enumerate().map(field).collect();
        // `J1,1,3123400,38435200,` is a point whose line goes on in nothing.
        while !has_at && fields.len() > POINT_FIELDS && fields.last().is_some_and(String::is_empty) {
            fields.pop();
        }
        if has_at {
            self.open_parcel(line, fields);
        } else if fields.len() > POINT_FIELDS {
            self.findings.push(Finding::warning(
                "parcel_line_missing_at",
                Place::row(line),
                format!("第 {line} 行：地块行末尾缺少“@”，因有 {} 个字段而按地块行读取", fields.len()),
            ));
            self.open_parcel(line, fields);
        } else {
            self.take_point(line, &fields, text);
        }
    }

    fn open_parcel(&mut self, line: u64, fields: Vec<String>) {
        if fields.len() < POINT_FIELDS {
            self.findings.push(Finding::error(
                "parcel_line_too_short",
                Place::row(line),
                format!("第 {line} 行：地块行只有 {} 个字段，至少应有点数、面积、编号、名称", fields.len()),
            ));
        }
        self.parcels.push(Parcel { line, fields, rings: Vec::new(), broken: false });
    }

    fn take_point(&mut self, line: u64, fields: &[String], text: &str) {
        let Some(parcel) = self.parcels.last_mut() else {
            self.findings.push(Finding::error(
                "point_before_parcel",
                Place::row(line),
                format!("第 {line} 行：界址点之前没有地块行（以“@”结尾的行）"),
            ));
            return;
        };
        let [label, ring, x, y] = fields else {
            parcel.broken = true;
            let shown: String = text.chars().take(60).collect();
            self.findings.push(Finding::error(
                "point_line_columns",
                Place::row(line),
                format!("第 {line} 行：界址点应有 点号,圈号,X,Y 四个字段，实有 {} 个：“{shown}”", fields.len()),
            ));
            return;
        };
        let ring_number = u32::try_from(parcel.rings.len().max(1)).unwrap_or(u32::MAX);
        let number = |name: &str, value: &str| {
            value.parse::<f64>().ok().filter(|n| n.is_finite()).ok_or_else(|| {
                Finding::error(
                    "coordinate_not_a_number",
                    Place::row(line).ring(ring_number).field(name),
                    format!("第 {line} 行：{name} 坐标“{}”不是有限的数", value.chars().take(40).collect::<String>()),
                )
            })
        };
        match (number("X", x), number("Y", y)) {
            (Ok(x), Ok(y)) => {
                if parcel.rings.last().is_none_or(|last| last.number != *ring) {
                    let labels = [label.clone(), String::new(), String::new()];
                    parcel.rings.push(Ring { number: ring.clone(), points: Vec::new(), labels });
                }
                if let Some(ring) = parcel.rings.last_mut() {
                    if ring.points.len() == 1 {
                        ring.labels[1].clone_from(label);
                    }
                    ring.labels[2].clone_from(label);
                    ring.points.push(Point { line, x, y });
                }
            }
            (x, y) => {
                parcel.broken = true;
                self.findings.extend([x.err(), y.err()].into_iter().flatten());
            }
        }
    }
}

/// `[地块坐标]`, `【属性描述】`, with blanks.
fn section_name(text: &str) -> Option<String> {
    let inner = text.strip_prefix(['[', '【', '［']).and_then(|rest| rest.strip_suffix([']', '】', '］']))?;
    Some(inner.chars().filter(|c| !c.is_whitespace()).collect())
}

fn finish(scan: Scan, options: &ReadOptions, reading: &mut Reading) {
    let Scan { mut findings, header, parcels, .. } = scan;
    if parcels.is_empty() && !findings.iter().any(|f| f.severity == Severity::Error) {
        findings.push(Finding::error(
            "txt_without_parcels",
            Place::whole(),
            "文件中没有 [地块坐标] 一节或其中没有地块，不是界址点坐标文件",
        ));
    }
    let system = decide_crs(&parcels, &header, options, &mut findings);
    reading.crs = system;
    // Swapped numbers could only be projected to somewhere else.
    let usable = system.filter(|_| !findings.iter().any(|f| f.code == "axes_swapped"));
    let mut seen: std::collections::HashMap<String, u64> = std::collections::HashMap::new();
    for parcel in parcels {
        if let Some(id) = parcel.fields.get(2).filter(|id| !id.is_empty())
            && let Some(first) = seen.insert(id.clone(), parcel.line)
        {
            findings.push(Finding::error(
                "id_duplicate",
                Place::row(parcel.line),
                format!("第 {} 行的地块编号“{id}”与第 {first} 行相同", parcel.line),
            ));
        }
        let mut candidate = candidate(parcel, usable, &mut findings);
        candidate.crs = system;
        if let Some(nature) = &header.nature {
            let value = text_encoding::compose(nature);
            candidate.attributes.push(Attribute { field: NATURE.into(), canonical: Some("source"), value });
        }
        reading.candidates.push(candidate);
    }
    read_areas(&mut reading.candidates, &mut findings);
    findings.sort_by_key(|f| f.place.row);
    reading.findings = findings;
}

/// The system of all coordinates: the caller's, else what header and numbers say. Swapped axes and a contradicting zone
/// are errors, told once at the first point.
fn decide_crs(parcels: &[Parcel], header: &Header, options: &ReadOptions, findings: &mut Vec<Finding>) -> Option<Crs> {
    let first = parcels.iter().flat_map(|p| &p.rings).flat_map(|r| &r.points).next()?;
    // `detect` wants east first; the file gives X = north first.
    let detection = crs::detect(&[(first.y, first.x)], header.zone, header.width);
    let decided = options.crs;
    if let Some(legacy) = decided.filter(|crs| crs.is_legacy_chinese_datum()) {
        let message =
            format!("坐标系 {legacy} 不是 2000 国家大地坐标系，转换参数属涉密资料，不能在此转换；请提供转换后的成果");
        findings.push(Finding::error("datum_not_supported", Place::whole(), message));
        return None;
    }
    if let Some(Crs::Other(_)) = decided {
        let message = format!(
            "界址点坐标不能按坐标系{}读取；请指定高斯克吕格投影带或 EPSG:4490",
            decided.map(|c| c.to_string()).unwrap_or_default()
        );
        findings.push(Finding::error("crs_not_supported", Place::whole(), message));
        return None;
    }
    for mut finding in detection.findings {
        // The caller's word settles the zone, but not which number is which.
        if decided.is_some() && finding.code != "axes_swapped" {
            continue;
        }
        finding.place.row = Some(first.line);
        finding.message = if finding.code == "axes_swapped" {
            format!(
                "第 {} 行：坐标顺序颠倒，X 应为纵坐标（北，7 位），Y 应为横坐标（东，含带号 8 位或不含带号 6 位），此处 X={}，Y={}",
                first.line, first.x, first.y
            )
        } else {
            format!("第 {} 行起：{}", first.line, finding.message)
        };
        findings.push(finding);
    }
    if let Some(found) = detection.crs.filter(|_| decided.is_none() && !header.names_system) {
        findings.push(Finding::warning(
            "crs_detected",
            Place::row(first.line),
            format!("文件没有说明坐标系，按坐标数值判断为{}（{found}）；不对时请指定坐标系（crs）", found.label()),
        ));
    }
    decided.or(detection.crs)
}

/// The stated areas, all in one unit unless they name their own. Another unit than the guide's is told parcel by parcel.
fn read_areas(candidates: &mut [Candidate], findings: &mut Vec<Finding>) {
    let computed = |c: &Candidate| c.geometry.as_ref().map(area::ellipsoidal);
    let number = |c: &Candidate| c.value("stated_area").and_then(stated_area::bare_number);
    let samples = candidates.iter().filter_map(|c| number(c).and_then(|n| Some((n, computed(c)?))));
    let column = ColumnUnit::weigh(samples, stated_area::IN_BOUNDARY_TEXTS);
    for candidate in candidates {
        let Some(text) = candidate.value("stated_area") else { continue };
        let row = candidate.row;
        let Some((number, written)) = stated_area::parse(text, None) else {
            let shown: String = text.chars().take(40).collect();
            let message = format!("第 {row} 行：地块面积“{shown}”不是数");
            findings.push(Finding::error("area_not_a_number", Place::row(row).field("地块面积"), message));
            continue;
        };
        if let (None, Some(usual), Some(computed)) = (written, column.instead_of, computed(candidate))
            && number > 0.0
        {
            let message = format!(
                "第 {row} 行的面积“{}”按{}理解（与全文件的图形面积相符；图形面积 ÷ 标注数值 = {:.4}），通常的单位是{}",
                text.trim(),
                column.unit.label(),
                computed.value() / number,
                usual.label()
            );
            findings.push(Finding::info("stated_area_unit_guessed", Place::row(row), message));
        }
        candidate.stated_area = stated_area::stated(text, number, written.unwrap_or(column.unit));
    }
}
