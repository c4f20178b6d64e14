//! From what the child said to candidates and findings.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::dbf_text::{self, Chosen};
use super::listen::Part;
use super::source::{Format, Source};
use super::wire::{Feature, Header, Shape};
use crate::domain::area::AreaUnit;
use crate::domain::{Finding, Place};
use crate::exchange::rings::{self, Parts};
use crate::exchange::stated_area::read_stated_area;
use crate::exchange::{Attribute, Candidate, FieldMapping, Intake, ReadOptions, Reading, field_names, text_encoding};
use crate::geometry::crs::{self, Crs};

/// Records that are waited for before the first is built, unless the file ends: what they say decides the coordinate system.
const SAMPLED: usize = 4_096;

/// Builds candidates from what the child says, as soon as it is known how to read them.
pub(super) struct Assembly<'a> {
    source: &'a Source,
    options: &'a ReadOptions,
    intake: &'a mut dyn Intake,
    header: Header,
    fields: Vec<Vec<u8>>,
    /// Records that came before it was known how to read them.
    waiting: Vec<Feature>,
    /// Records that came in all.
    came: u64,
    how: Option<How>,
    /// Of the records, in their order.
    findings: Vec<Finding>,
    /// Kinds of a drawing that are no areas: the first of each, and how many.
    skipped: BTreeMap<String, (u64, u64)>,
}

/// How the records of this file are read.
struct How {
    texts: Texts,
    system: System,
    mapping: Vec<FieldMapping>,
    area_unit: Option<AreaUnit>,
    encoding: Option<String>,
    /// Told by each decision: of the encoding, and of the system and the fields.
    of_texts: Vec<Finding>,
    of_system: Vec<Finding>,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(source: &'a Source, options: &'a ReadOptions, intake: &'a mut dyn Intake) -> Self {
        Self {
            source,
            options,
            intake,
            header: Header::default(),
            fields: Vec::new(),
            waiting: Vec::new(),
            came: 0,
            how: None,
            findings: Vec::new(),
            skipped: BTreeMap::new(),
        }
    }

    /// The next thing that the child said.
    pub(super) fn add(&mut self, part: Part) {
        match part {
            Part::Head(header, fields) => {
                if let Some(count) = header.declared_count {
                    self.intake.expect(count);
                }
                (self.header, self.fields) = (header, fields);
            }
            Part::Features(features) => {
                self.came += features.len() as u64;
                self.waiting.extend(features);
                // A DBF says its encoding by all its texts together.
                let decidable = self.source.format != Format::Shapefile
                    && self.waiting.len() >= SAMPLED
                    && first_point(&self.waiting).is_some();
                if self.how.is_none() && decidable {
                    self.how = self.decide().ok();
                }
                if self.how.is_some() {
                    self.build_waiting();
                }
            }
        }
    }

    /// The reading, with nothing but this to say of the file.
    pub(super) fn refuse(self, finding: Finding) -> Reading {
        self.intake.discard();
        Reading { format: self.source.format.name(), findings: vec![finding], ..Reading::default() }
    }

    /// The reading, all but the candidates. `complete`: the child came to the end of the records.
    pub(super) fn finish(mut self, complete: bool) -> Reading {
        let mut reading = Reading { format: self.source.format.name(), ..Reading::default() };
        if self.how.is_none() {
            match self.decide() {
                Ok(how) => self.how = Some(how),
                Err(finding) => {
                    reading.findings.push(finding);
                    return reading;
                }
            }
        }
        self.build_waiting();
        let Some(how) = self.how else { return reading };
        reading.findings.extend(how.of_texts);
        reading.findings.extend(tell_layer(&self.header, self.options));
        reading.findings.extend(check_count(&self.header, self.came, complete));
        reading.findings.extend(how.of_system);
        reading.findings.extend(self.findings);
        reading.findings.extend(self.skipped.into_iter().map(|(kind, (row, count))| {
            let message =
                format!("图中有 {count} 个 {kind} 实体不是闭合多段线或填充，未读取（第一个是第 {row} 个实体）");
            Finding::warning("dxf_entity_not_area", Place::row(row), message)
        }));
        reading.encoding = how.encoding;
        reading.crs = how.system.shown;
        reading.mapping = how.mapping;
        reading
    }

    fn decide(&self) -> Result<How, Finding> {
        let (texts, encoding, of_texts) = decide_texts(&self.fields, &self.waiting, self.source, self.options)?;
        let mut of_system = Vec::new();
        let system = decide_crs(&self.header, first_point(&self.waiting), self.options, &mut of_system);
        let names: Vec<String> = self.fields.iter().map(|name| texts.name(name)).collect();
        let (mapping, ambiguous) = field_names::map_fields(&names);
        of_system.extend(ambiguous);
        let area_unit = field_names::area_unit(&mapping);
        Ok(How { texts, system, mapping, area_unit, encoding, of_texts, of_system })
    }

    /// Builds what waits, on all cores, and hands it on.
    fn build_waiting(&mut self) {
        let Some(how) = &self.how else { return };
        let waiting = std::mem::take(&mut self.waiting);
        let first = self.came - waiting.len() as u64 + 1;
        let mut features = Vec::with_capacity(waiting.len());
        for (row, feature) in (first..).zip(waiting) {
            match &feature.shape {
                // A drawing is full of lines and texts; they are counted by kind, and only areas become candidates.
                Shape::Other(kind) if self.source.format == Format::Dxf => {
                    self.skipped.entry(kind.clone()).or_insert((row, 0)).1 += 1;
                }
                _ => features.push((row, feature)),
            }
        }
        let built: Vec<(Candidate, Vec<Finding>)> = features
            .into_par_iter()
            .map(|(row, feature)| {
                let mut findings = Vec::new();
                let builder = Builder { row, how };
                (builder.build(feature, &mut findings), findings)
            })
            .collect();
        let mut candidates = Vec::with_capacity(built.len());
        for (candidate, findings) in built {
            candidates.push(candidate);
            self.findings.extend(findings);
        }
        self.intake.take(candidates);
    }
}

/// How texts of this file are decoded.
struct Texts {
    chosen: Option<Chosen>,
}

impl Texts {
    /// The text, and whether a half character was cut off; `None` where it does not decode.
    fn decode(&self, bytes: Vec<u8>) -> Option<(String, bool)> {
        match self.chosen {
            Some(chosen) => dbf_text::decode(chosen, &bytes),
            None => String::from_utf8(bytes).ok().map(|text| (text, false)),
        }
    }

    /// A field's name; what does not decode is shown by its bytes, so that two names never become one.
    fn name(&self, bytes: &[u8]) -> String {
        self.decode(bytes.to_vec())
            .map_or_else(|| bytes.escape_ascii().to_string(), |(text, _)| text_encoding::clean(text))
    }
}

/// The encoding of a DBF by name, and what is to be said of it; the other formats hold UTF-8. A finding where it cannot be told.
fn decide_texts(
    fields: &[Vec<u8>],
    features: &[Feature],
    source: &Source,
    options: &ReadOptions,
) -> Result<(Texts, Option<String>, Vec<Finding>), Finding> {
    if source.format != Format::Shapefile {
        return Ok((Texts { chosen: None }, None, Vec::new()));
    }
    let values = features.iter().flat_map(|f| &f.values).flatten().map(Vec::as_slice);
    let texts = fields.iter().map(Vec::as_slice).chain(values);
    let (chosen, findings) = dbf_text::choose(options.encoding.as_deref(), &source.declared, texts)?;
    Ok((Texts { chosen: Some(chosen) }, Some(chosen.name.to_owned()), findings))
}

/// Which layer was read, where the file has others and nobody chose.
fn tell_layer(header: &Header, options: &ReadOptions) -> Option<Finding> {
    if options.source_layer.is_some() || header.other_layers.is_empty() {
        return None;
    }
    let shown = |name: &String| name.chars().filter(|c| !c.is_control()).take(60).collect::<String>();
    let others: Vec<String> = header.other_layers.iter().take(20).map(shown).collect();
    let message = format!("文件里有几个图层，读取唯一有面的“{}”；未读：{}", shown(&header.layer), others.join("、"));
    Some(Finding::info("source_layer_chosen", Place::whole(), message))
}

fn check_count(header: &Header, read: u64, complete: bool) -> Option<Finding> {
    let declared = header.declared_count;
    if !complete {
        let of = declared.map(|n| format!("（文件声明 {n} 条）")).unwrap_or_default();
        let message = format!("文件在第 {} 条记录处读不下去{of}，可能被截断或损坏", read + 1);
        return Some(Finding::error("records_lost", Place::row(read + 1), message));
    }
    declared.filter(|n| *n != read).map(|declared| {
        let message = format!("文件声明 {declared} 条记录，读到 {read} 条（已标记删除的记录不读）");
        Finding::warning("record_count_mismatch", Place::whole(), message)
    })
}

fn first_point(features: &[Feature]) -> Option<(f64, f64)> {
    features
        .iter()
        .filter_map(|f| if let Shape::Polygons(parts) = &f.shape { Some(parts) } else { None })
        .flatten()
        .flatten()
        .flatten()
        .copied()
        .find(|(x, y)| x.is_finite() && y.is_finite())
}

/// The system as reports show it, and as the coordinates at hand are in.
struct System {
    shown: Option<Crs>,
    /// `None` where nobody knows, or the axes are turned: no geometry is built then.
    usable: Option<Crs>,
}

fn decide_crs(
    header: &Header,
    sample: Option<(f64, f64)>,
    options: &ReadOptions,
    findings: &mut Vec<Finding>,
) -> System {
    let declared = options.crs.or(header.epsg.map(Crs::from_epsg));
    if let Some(legacy) = declared.filter(|crs| crs.is_legacy_chinese_datum()) {
        findings.push(Finding::error(
            "datum_not_supported",
            Place::whole(),
            format!("坐标系 {legacy} 不是 2000 国家大地坐标系，转换参数属涉密资料，不能在此转换；请提供转换后的成果"),
        ));
        return System { shown: declared, usable: None };
    }
    if header.transformed {
        let name = header.srs_name.as_deref().unwrap_or("未命名");
        let name: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
        findings.push(Finding::info(
            "crs_transformed",
            Place::whole(),
            format!("文件的坐标系是“{name}”，已按公布的参数转换为经纬度（WGS 84，与 2000 国家大地坐标系相差厘米级）"),
        ));
        return System { shown: declared, usable: Some(Crs::Cgcs2000) };
    }
    let Some(sample) = sample else { return System { shown: declared, usable: declared } };
    let detection = crs::detect(&[sample], None, None);
    match declared {
        None => {
            let found = detection.crs;
            findings.extend(at_first_row(detection.findings));
            if let Some(found) = found.filter(|_| !detection.swapped) {
                findings.push(Finding::warning(
                    "crs_detected",
                    Place::whole(),
                    format!("文件没有说明坐标系，按坐标数值判断为{}（{found}）；不对时请用 --crs 指定", found.label()),
                ));
            }
            System { shown: found, usable: found.filter(|_| !detection.swapped) }
        }
        Some(declared) if detection.swapped => {
            findings
                .extend(at_first_row(detection.findings.into_iter().filter(|f| f.code == "axes_swapped").collect()));
            System { shown: Some(declared), usable: None }
        }
        Some(declared) => {
            let contradicts = detection.crs.is_some_and(|found| !agree(declared, found));
            if contradicts {
                findings.push(contradiction(declared, sample));
            }
            System { shown: Some(declared), usable: Some(declared).filter(|_| !contradicts) }
        }
    }
}

/// Whether numbers that look like `found` may stand in a file of system `declared`.
fn agree(declared: Crs, found: Crs) -> bool {
    match (declared, found) {
        (Crs::GaussKruger3 { zone: a, prefixed: true }, Crs::GaussKruger3 { zone: b, .. })
        | (Crs::GaussKruger6 { zone: a, prefixed: true }, Crs::GaussKruger6 { zone: b, .. }) => a == b,
        (d, f) => {
            d.is_geographic() == f.is_geographic() && !matches!(f, Crs::GaussKruger3 { .. } | Crs::GaussKruger6 { .. })
        }
    }
}

fn contradiction(declared: Crs, (x, y): (f64, f64)) -> Finding {
    Finding::error(
        "crs_contradicts_numbers",
        Place::row(1).coordinate(x, y),
        format!(
            "文件声明的坐标系是{}（{declared}），但坐标（{x}，{y}）不像；请核对带号，或用 --crs 指定",
            declared.label()
        ),
    )
}

fn at_first_row(mut findings: Vec<Finding>) -> Vec<Finding> {
    for finding in &mut findings {
        finding.place.row = Some(1);
    }
    findings
}

struct Builder<'a> {
    row: u64,
    how: &'a How,
}

impl Builder<'_> {
    fn build(&self, feature: Feature, findings: &mut Vec<Finding>) -> Candidate {
        let row = self.row;
        if feature.damaged {
            let message = format!("第 {row} 条记录读取时出错，内容可能不完整");
            findings.push(Finding::error("record_damaged", Place::row(row), message));
        }
        let attributes = self.attributes(feature.values, findings);
        let geometry = match feature.shape {
            Shape::Polygons(parts) => self.geometry(parts, findings),
            Shape::None => {
                findings.push(Finding::error("geometry_missing", Place::row(row), format!("第 {row} 条记录没有图形")));
                None
            }
            Shape::Other(kind) => {
                findings.push(Finding::error(
                    "geometry_type_unsupported",
                    Place::row(row),
                    format!("第 {row} 条记录的图形类型 {kind} 不是面"),
                ));
                None
            }
            Shape::TooLarge(vertices) => {
                findings.push(rings::too_many_vertices(row, usize::try_from(vertices).unwrap_or(usize::MAX)));
                None
            }
        };
        let value = |canonical: &str| attributes.iter().find(|a| a.canonical == Some(canonical) && !a.value.is_empty());
        let stated_area = value("stated_area").and_then(|a| {
            let (stated, told) = read_stated_area(a, self.how.area_unit, geometry.as_ref(), row);
            findings.extend(told);
            stated
        });
        Candidate {
            row,
            id: value("id").map(|a| a.value.clone()),
            name: value("name").map(|a| a.value.clone()),
            geometry,
            stated_area,
            crs: self.how.system.shown,
            attributes,
        }
    }

    fn geometry(&self, parts: Parts, findings: &mut Vec<Finding>) -> Option<geo::MultiPolygon<f64>> {
        let built = rings::build(parts, self.how.system.usable?, self.row);
        findings.extend(built.findings);
        built.geometry
    }

    fn attributes(&self, values: Vec<Option<Vec<u8>>>, findings: &mut Vec<Finding>) -> Vec<Attribute> {
        let mut attributes = Vec::with_capacity(values.len());
        for (mapped, value) in self.how.mapping.iter().zip(values) {
            let place = || Place::row(self.row).field(&*mapped.field);
            let row = self.row;
            let value = match value.map(|bytes| self.how.texts.decode(bytes)) {
                None => String::new(),
                Some(Some((text, cut))) => {
                    if cut {
                        let message =
                            format!("第 {row} 条记录的字段“{}”在宽度处被截断，末尾半个汉字已去掉", mapped.field);
                        findings.push(Finding::warning("text_truncated", place(), message));
                    }
                    text_encoding::clean(text)
                }
                Some(None) => {
                    let message = format!("第 {row} 条记录的字段“{}”不是有效的文字编码", mapped.field);
                    findings.push(Finding::error("encoding_undecodable", place(), message));
                    continue;
                }
            };
            if text_encoding::has_forbidden_character(&value) {
                let message = format!("第 {row} 条记录的字段“{}”含有控制字符或改变显示方向的字符", mapped.field);
                findings.push(Finding::error("text_control_character", place(), message));
                continue;
            }
            attributes.push(Attribute { field: Arc::clone(&mapped.field), canonical: mapped.canonical, value });
        }
        attributes
    }
}
