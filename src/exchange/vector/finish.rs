//! From what the child said to candidates and findings.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::how::{How, Texts, first_point, written_text};
use super::listen::Part;
use super::source::{Format, Source};
use super::wire::{Feature, Header, Shape};
use crate::domain::{Finding, Place};
use crate::exchange::dbf_text;
use crate::exchange::rings::{self, Parts};
use crate::exchange::stated_area::read_stated_area;
use crate::exchange::{Attribute, Candidate, Intake, ReadOptions, Reading, text_encoding};

/// Records that are waited for before the first is built, unless the file ends: what they say decides the coordinate system and
/// the unit of a column of areas.
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
            Part::Features(mut features) => {
                self.drop_written_texts(&mut features);
                self.came += features.len() as u64;
                self.waiting.extend(features);
                // Where texts may be in any encoding, all of them together say which.
                let decidable = !matches!(self.source.format, Format::Shapefile | Format::Dxf)
                    && self.waiting.len() >= SAMPLED
                    && first_point(&self.waiting).is_some();
                if self.how.is_none() && decidable {
                    self.how = self.decide().ok().filter(|how| how.settled);
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

    /// What is written in a drawing, of entities that are only counted: a drawing waits to its end, and nobody reads it.
    fn drop_written_texts(&self, features: &mut [Feature]) {
        let Some(at) = written_text(&self.fields).filter(|_| self.source.format == Format::Dxf) else { return };
        for feature in features.iter_mut().filter(|f| matches!(f.shape, Shape::Other(_))) {
            if let Some(text) = feature.values.get_mut(at) {
                *text = None;
            }
        }
    }

    fn decide(&self) -> Result<How, Finding> {
        How::decide(&self.header, &self.fields, &self.waiting, self.source, self.options)
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
            // (The child reads no others.)
            Shape::None | Shape::Bytes(_) => {
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
            read_stated_area(a, self.how.area_unit, row).unwrap_or_else(|told| {
                findings.push(told);
                None
            })
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
        let mut attributes: Vec<Attribute> = Vec::with_capacity(values.len());
        // The last field of a DBF, the number of cells that its text has so far, and the bytes of the last of them.
        let mut last: Option<(usize, usize)> = None;
        for (mapped, value) in self.how.mapping.iter().zip(values) {
            let cell_bytes = value.as_ref().map_or(0, Vec::len);
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
            if let (Some((cells, bytes)), Some(base)) = (last, attributes.last_mut())
                && dbf_text::goes_on(&base.field, cells + 1, bytes, &mapped.field)
            {
                base.value.push_str(&value);
                last = Some((cells + 1, cell_bytes));
                continue;
            }
            last = matches!(self.how.texts, Texts::Cells(_)).then_some((1, cell_bytes));
            attributes.push(Attribute { field: Arc::clone(&mapped.field), canonical: mapped.canonical, value });
        }
        attributes
    }
}
