//! Judging one candidate for a block: whose block is it, does the paper agree, what does it say?

use std::collections::{HashMap, HashSet};

use super::ImportRequest;
use super::judging::{Judge, JudgedCandidate};
use super::own_export::Record;
use super::shape::{ShapeContext, check_stated, compare_areas, judge_shape, long_texts};
use crate::domain::four_extents::{self, FourExtents};
use crate::domain::{Block, BlockId, Finding, ParkCode, Place, SquareMetres};
use crate::exchange::{Attribute, Candidate};

/// How the source of a row begins that gives none itself.
pub(super) const SOURCE: &str = "导入文件 ";

/// What judging needs to know of the request and the register.
pub(super) struct Context {
    park: Option<ParkCode>,
    shapes: ShapeContext,
    /// What a block without a source of its own says of it.
    source: String,
    known: HashSet<String>,
    /// Parks that get no boundaries any more.
    ended: HashSet<String>,
    by_name: HashMap<String, String>,
}

impl Context {
    /// `parks`: code, and every name and alias it goes by.
    pub(super) fn new(request: &ImportRequest, parks: Vec<(String, Vec<String>)>) -> Self {
        let known = parks.iter().map(|(code, _)| code.clone()).collect();
        let by_name =
            parks.into_iter().flat_map(|(code, names)| names.into_iter().map(move |n| (n, code.clone()))).collect();
        Self {
            park: request.park.clone(),
            shapes: ShapeContext::new(request.repair, true),
            source: format!("{SOURCE}{}", request.file_name),
            known,
            ended: HashSet::new(),
            by_name,
        }
    }

    /// The parks whose life has ended, by code.
    pub(super) fn with_ended(self, ended: Vec<String>) -> Self {
        Self { ended: ended.into_iter().collect(), ..self }
    }
}

impl Judge for Context {
    type Row = Block;

    fn judge(&self, candidate: Candidate) -> JudgedCandidate<Block> {
        judge_candidate(candidate, self)
    }

    fn repairs(&self) -> bool {
        self.shapes.repair
    }
}

fn judge_candidate(mut candidate: Candidate, context: &Context) -> JudgedCandidate<Block> {
    let row = candidate.row;
    let mut findings = long_texts(&candidate);
    let shape = judge_shape(&mut candidate, &context.shapes, &mut findings);
    let area = shape.area;
    let id = judge_id(&candidate, context, &mut findings);
    if let Some(stated) = &candidate.stated_area {
        findings.extend(check_stated(stated, row));
        findings.extend(area.and_then(|computed| compare_areas(computed, stated.area, &stated.text, row)));
    }
    let (words, text) = read_words(&mut candidate, &mut findings);
    let summary = shape.summary(&candidate, id.as_ref().map(BlockId::to_string));
    let drawn = candidate.value("source").filter(|s| s.contains("示意")).map(str::to_owned);
    if drawn.is_some() {
        let message = format!("第 {row} 条记录的来源写明是示意图形，将按示意区块导入");
        findings.push(Finding::warning("illustrative_import", Place::row(row), message));
    }
    let block = match (id, shape.sound, area) {
        (Some(id), Some(boundary), Some(area)) => Some(Block {
            attributes: other_attributes(candidate.attributes, &id, area),
            id,
            name: candidate.name,
            boundary,
            area,
            stated_area: candidate.stated_area.map(|s| s.area.to_hectares()),
            four_extents: words,
            four_extents_text: text,
            illustrative: drawn.is_some(),
            source: drawn.unwrap_or_else(|| context.source.clone()),
            source_crs: candidate.crs.map(|c| c.to_string()),
        }),
        _ => None,
    };
    JudgedCandidate { summary, shapeless: shape.shapeless, made: block, findings }
}

/// Into room of their own: collected in place, one of them would keep the room of all.
fn other_attributes(attributes: Vec<Attribute>, id: &BlockId, computed: SquareMetres) -> Vec<(String, String)> {
    let record = Record::new(&attributes, id, computed);
    let is_other = |a: &Attribute| !has_own_column(a) && !record.comes_back(a);
    let mut others = Vec::with_capacity(attributes.iter().filter(|a| is_other(a)).count());
    others.extend(attributes.into_iter().filter(is_other).map(|a| (a.field.to_string(), a.value)));
    others
}

/// Fields that the register keeps verbatim in a column of its own. The stated area stays among the attributes too: the
/// column holds hectares, the paper may have said 亩.
fn has_own_column(attribute: &Attribute) -> bool {
    matches!(
        attribute.canonical,
        Some("id" | "name" | "park_code" | "east" | "south" | "west" | "north" | "four_extents")
    )
}

fn judge_id(candidate: &Candidate, context: &Context, findings: &mut Vec<Finding>) -> Option<BlockId> {
    let row = candidate.row;
    let park = judge_park(candidate, context, findings)?;
    let number = match candidate.id.as_deref().map(str::trim).filter(|id| !id.is_empty()) {
        Some(id) => id.to_owned(),
        None => {
            findings.push(Finding::warning(
                "id_from_row",
                Place::row(row),
                format!("第 {row} 条记录没有区块编号，将以记录号 {row} 为编号；同一园区再次导入时请保持顺序不变"),
            ));
            row.to_string()
        }
    };
    // A file written by our own export carries whole ids: `G431176-1` of park G431176 means block 1.
    let own = number.strip_prefix(park.as_str()).and_then(|rest| rest.strip_prefix('-'));
    let number = own.unwrap_or(&number);
    match BlockId::new(park, number) {
        Ok(id) => Some(id),
        Err(reason) => {
            findings.push(Finding::error("id_invalid", Place::row(row), format!("第 {row} 条记录：{reason}")));
            None
        }
    }
}

/// The park: the request's, else the file's code, else the file's name if the register knows exactly that name.
fn judge_park(candidate: &Candidate, context: &Context, findings: &mut Vec<Finding>) -> Option<ParkCode> {
    let row = candidate.row;
    let code = if let Some(park) = &context.park {
        if let Some(text) = candidate.value("park_code").filter(|t| ParkCode::parse(t).ok().as_ref() != Some(park)) {
            let text: String = text.chars().take(40).collect();
            let message = format!("第 {row} 条记录的园区代码“{text}”与指定的园区 {park} 不同，按指定的园区导入");
            findings.push(Finding::warning("park_code_overruled", Place::row(row), message));
        }
        park.clone()
    } else if let Some(text) = candidate.value("park_code") {
        match ParkCode::parse(text) {
            Ok(code) => code,
            Err(reason) => {
                findings.push(Finding::error(
                    "park_code_invalid",
                    Place::row(row),
                    format!("第 {row} 条记录：{reason}"),
                ));
                return None;
            }
        }
    } else if let Some(code) = candidate.value("park_name").and_then(|n| context.by_name.get(n)) {
        ParkCode::parse(code).ok()?
    } else if let Some(park) =
        candidate.id.as_deref().and_then(|id| BlockId::parse(id).ok()).map(|id| id.park().clone())
    {
        park
    } else {
        let message = match candidate.value("park_name") {
            Some(name) => {
                format!("第 {row} 条记录的园区名称“{name}”在名录中查不到；请用园区代码，或导入时指定园区（park）")
            }
            None => format!("第 {row} 条记录没有园区代码或园区名称；请在文件中加上，或导入时指定园区（park）"),
        };
        findings.push(Finding::error("park_missing", Place::row(row), message));
        return None;
    };
    if context.ended.contains(code.as_str()) {
        let message =
            format!("第 {row} 条记录的园区 {code} 已经终止（合并、撤销、升级或拆分），不再有边界；请核对园区代码");
        findings.push(Finding::error("park_ended", Place::row(row), message));
        None
    } else if context.known.contains(code.as_str()) {
        Some(code)
    } else {
        findings.push(Finding::error(
            "park_unknown",
            Place::row(row),
            format!("第 {row} 条记录的园区代码 {code} 不在名录中；请先导入园区名录"),
        ));
        None
    }
}

/// The four sides: from one text, or from a field per side.
fn read_words(candidate: &mut Candidate, findings: &mut Vec<Finding>) -> (FourExtents, Option<String>) {
    let sides = sides_of(candidate);
    if let Some(text) = candidate.take("four_extents").filter(|text| sides.is_empty() || sides.print() != *text) {
        let parsed = four_extents::parse(&text);
        for warning in &parsed.warnings {
            findings.push(Finding::warning(
                "four_extents_incomplete",
                Place::row(candidate.row),
                format!("第 {} 条记录的四至文字“{text}”：{}", candidate.row, warning.code()),
            ));
        }
        let words = match parsed.blocks.as_slice() {
            [only] => only.extents.clone(),
            _ => FourExtents::default(),
        };
        return (words, Some(text));
    }
    (sides, None)
}

fn sides_of(candidate: &mut Candidate) -> FourExtents {
    let mut side = |name: &str| candidate.take(name);
    FourExtents { east: side("east"), south: side("south"), west: side("west"), north: side("north") }
}
