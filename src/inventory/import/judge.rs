//! Judging one candidate: is the geometry sound, inside the province, does the area agree, whose block is it?

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use geo::{BoundingRect, CoordsIter, MultiPolygon};

use super::ImportRequest;
use super::own_export::Record;
use super::report::CandidateSummary;
use crate::domain::area::round_decimal;
use crate::domain::four_extents::{self, FourExtents};
use crate::domain::{Block, BlockId, Finding, ParkCode, Place, Severity, SquareMetres};
use crate::exchange::{Attribute, Candidate, StatedArea, limits};
use crate::geometry::{area, repair, validity};

/// The province's box with a margin, in degrees: west, south, east, north. The CHECK `inside_province_margin` of the
/// register holds the same numbers (Hunan, whole degrees outward).
const PROVINCE_MARGIN: [f64; 4] = [108.0, 24.0, 115.0, 31.0];

/// How the source of a block begins that gives none itself.
pub(super) const SOURCE: &str = "导入文件 ";

/// Less is no land, and nothing of it is left at the eight decimals that layers show.
const LEAST_M2: f64 = 0.01;

/// Stated and computed area may differ by this share before a clerk is told (domain.md §2: flag above 1 %).
const AREA_TOLERANCE: f64 = 0.01;
/// Beyond this share the paper and the boundary cannot mean the same land: usually a wrong unit or a wrong file.
const AREA_GROSS: f64 = 0.5;

/// What judging needs to know of the request and the register.
pub(super) struct Context {
    park: Option<ParkCode>,
    pub repair: bool,
    /// Crossings resolved so far in this file.
    resolved: AtomicUsize,
    /// What a block without a source of its own says of it.
    source: String,
    known: HashSet<String>,
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
            repair: request.repair,
            resolved: AtomicUsize::new(0),
            source: format!("{SOURCE}{}", request.file_name),
            known,
            by_name,
        }
    }
}

/// One candidate with all that was found.
pub(super) struct JudgedCandidate {
    pub summary: CandidateSummary,
    /// The file gives it no shape.
    pub shapeless: bool,
    pub block: Option<Block>,
    pub findings: Vec<Finding>,
}

pub(super) fn judge_candidate(mut candidate: Candidate, context: &Context) -> JudgedCandidate {
    let row = candidate.row;
    let mut findings = long_texts(&candidate);
    let given = candidate.geometry.take();
    let verdict = given.as_ref().map(|g| judge_geometry(g, row, context, &mut findings));
    let shown = if let Some(Verdict::Repaired(repaired)) = &verdict { Some(repaired) } else { given.as_ref() };
    let area = shown.map(area::ellipsoidal);
    let vanishes = area.is_some_and(|area| area.value() < LEAST_M2)
        && matches!(verdict, Some(Verdict::Sound | Verdict::Repaired(_)));
    if vanishes {
        let message = format!("第 {row} 条记录的图形面积不足 {LEAST_M2} 平方米，不是地块");
        findings.push(Finding::error("geometry_without_area", Place::row(row), message));
    }
    let id = judge_id(&candidate, context, &mut findings);
    if let Some(stated) = &candidate.stated_area {
        findings.extend(check_stated(stated, row));
        findings.extend(area.and_then(|computed| compare_areas(computed, stated.area, &stated.text, row)));
    }
    let (words, text) = read_words(&mut candidate, &mut findings);
    let summary = CandidateSummary {
        row,
        id: id.as_ref().map(BlockId::to_string).or_else(|| candidate.id.clone()),
        name: candidate.name.clone(),
        parts: given.as_ref().map_or(0, |g| g.0.len()),
        rings: given.as_ref().map_or(0, |g| g.iter().map(|p| 1 + p.interiors().len()).sum()),
        area,
        stated_area: candidate.stated_area.as_ref().map(|s| s.area),
        stated_area_text: candidate.stated_area.as_ref().map(|s| (s.text.clone(), s.unit)),
        crs: candidate.crs,
        bbox: bbox(shown),
    };
    let shapeless = given.is_none();
    let geometry = match verdict {
        _ if vanishes => None,
        Some(Verdict::Sound) => given,
        Some(Verdict::Repaired(repaired)) => Some(repaired),
        Some(Verdict::Unfit) | None => None,
    };
    let drawn = candidate.value("source").filter(|s| s.contains("示意")).map(str::to_owned);
    if drawn.is_some() {
        let message = format!("第 {row} 条记录的来源写明是示意图形，将按示意区块导入");
        findings.push(Finding::warning("illustrative_import", Place::row(row), message));
    }
    let block = match (id, geometry, area) {
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
    JudgedCandidate { summary, shapeless, block, findings }
}

/// Texts that no paper has: they would be carried through every layer and log.
fn long_texts(candidate: &Candidate) -> Vec<Finding> {
    let row = candidate.row;
    let too_long = |field: &str, text: &str, most: usize| {
        (text.len() > most && text.chars().count() > most).then(|| {
            let message = format!("第 {row} 条记录的“{field}”有 {} 个字，超过上限 {most}", text.chars().count());
            Finding::error("text_too_long", Place::row(row).field(field), message)
        })
    };
    let name = candidate.name.as_deref().and_then(|name| too_long("名称", name, limits::MAX_NAME_CHARS));
    let texts = candidate.attributes.iter().filter_map(|a| too_long(&a.field, &a.value, limits::MAX_TEXT_CHARS));
    name.into_iter().chain(texts).collect()
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

/// What may be stored of a geometry.
enum Verdict {
    /// It, as it is.
    Sound,
    Repaired(MultiPolygon<f64>),
    /// Nothing; the findings say why.
    Unfit,
}

/// Crossings that are resolved in one file: some three seconds' work.
const MAX_RESOLVED: usize = 50_000;

/// The repaired geometry, as long as the file has not used up what it may cost.
fn repair_within(geometry: &MultiPolygon<f64>, context: &Context) -> Result<repair::Repair, Finding> {
    if context.resolved.load(Relaxed) > MAX_RESOLVED {
        let message =
            format!("文件中已解开 {MAX_RESOLVED} 处自相交，其余图形不再修复；请在制图软件中修复，或分成几个文件");
        return Err(Finding::error("repair_refused", Place::whole(), message));
    }
    let repaired = repair::repair(geometry)?;
    context.resolved.fetch_add(repaired.crossings, Relaxed);
    Ok(repaired)
}

fn judge_geometry(geometry: &MultiPolygon<f64>, row: u64, context: &Context, findings: &mut Vec<Finding>) -> Verdict {
    let faults = validity::check(geometry, Some(row));
    let broken = faults.iter().any(|f| f.severity == Severity::Error);
    let repaired = if !broken {
        findings.extend(faults);
        None
    } else if context.repair {
        // The faults stay on record, as what the repair answered to.
        findings.extend(faults.into_iter().map(|mut f| {
            f.severity = f.severity.min(Severity::Warning);
            f
        }));
        match repair_within(geometry, context) {
            Ok(repaired) => {
                findings.extend(repaired.steps.into_iter().map(|mut step| {
                    step.place.row = Some(row);
                    step
                }));
                findings.push(repair_summary(row, repaired.area_before, repaired.area_after));
                Some(repaired.geometry)
            }
            Err(mut refusal) => {
                refusal.place.row = Some(row);
                findings.push(refusal);
                return Verdict::Unfit;
            }
        }
    } else {
        findings.extend(faults);
        return Verdict::Unfit;
    };
    if let Some(outside) = first_outside(repaired.as_ref().unwrap_or(geometry)) {
        findings.push(outside_province(row, outside));
        return Verdict::Unfit;
    }
    repaired.map_or(Verdict::Sound, Verdict::Repaired)
}

fn repair_summary(row: u64, before: Option<SquareMetres>, after: SquareMetres) -> Finding {
    let message = match before {
        Some(before) => format!(
            "第 {row} 条记录的图形已按要求修复：修复前 {before} 平方米，修复后 {after} 平方米，变化 {:+.2} 平方米",
            after.value() - before.value()
        ),
        None => format!("第 {row} 条记录的图形已按要求修复：修复后 {after} 平方米，修复前无法计算面积"),
    };
    Finding::warning("geometry_repaired", Place::row(row), message)
}

/// Part, ring, vertex (from 1) and coordinate of the first vertex outside the province's margin.
fn first_outside(geometry: &MultiPolygon<f64>) -> Option<(u32, u32, u32, f64, f64)> {
    let [west, south, east, north] = PROVINCE_MARGIN;
    for (part, polygon) in (1..).zip(geometry) {
        for (ring, line) in (1..).zip(std::iter::once(polygon.exterior()).chain(polygon.interiors())) {
            for (vertex, c) in (1..).zip(line.coords()) {
                if !((west..=east).contains(&c.x) && (south..=north).contains(&c.y)) {
                    return Some((part, ring, vertex, c.x, c.y));
                }
            }
        }
    }
    None
}

fn outside_province(row: u64, (part, ring, vertex, x, y): (u32, u32, u32, f64, f64)) -> Finding {
    let [west, south, east, north] = PROVINCE_MARGIN;
    Finding::error(
        "outside_province",
        Place::row(row).part(part).ring(ring).vertex(vertex).coordinate(x, y),
        format!(
            "第 {row} 条记录第 {part} 部分第 {ring} 环第 {vertex} 点（经度 {x:.6}，纬度 {y:.6}）在本省范围之外\
             （经度 {west}–{east}，纬度 {south}–{north}）；请核对坐标系、带号和坐标顺序"
        ),
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
    if context.known.contains(code.as_str()) {
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

/// A stated area that the register cannot hold: nothing, or more than the province has (2,118 万公顷).
fn check_stated(stated: &StatedArea, row: u64) -> Option<Finding> {
    let hectares = round_decimal(stated.area.to_hectares().value(), 6);
    if hectares > 0.0 && hectares < 2.2e7 {
        return None;
    }
    let message = format!("第 {row} 条记录的标注面积“{}”合 {hectares} 公顷，不是可能的区块面积", stated.text);
    Some(Finding::error("stated_area_invalid", Place::row(row), message))
}

fn compare_areas(computed: SquareMetres, stated: SquareMetres, text: &str, row: u64) -> Option<Finding> {
    if stated.value() <= 0.0 || computed.value() <= 0.0 {
        return None;
    }
    let share = (stated.value() - computed.value()) / computed.value();
    if share.abs() <= AREA_TOLERANCE {
        return None;
    }
    let place = Place::row(row);
    let message = format!(
        "第 {row} 条记录的标注面积“{text}”（合 {} 公顷）与图形椭球面积 {} 公顷相差 {:+.2} 公顷（{:+.2}%）",
        stated.to_hectares(),
        computed.to_hectares(),
        (stated.value() - computed.value()) / 10_000.0,
        share * 100.0
    );
    Some(if share.abs() > AREA_GROSS {
        Finding::error("area_mismatch_gross", place, format!("{message}；请核对面积单位和坐标"))
    } else {
        Finding::warning("area_mismatch", place, message)
    })
}

/// The four sides: from one text, or from a field per side. A text that says no more than the sides beside it is none of the
/// paper: our own exports put it together.
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

fn bbox(geometry: Option<&MultiPolygon<f64>>) -> Option<[f64; 4]> {
    let geometry = geometry?;
    // A box over NaN would look like a number: only finite coordinates have one.
    if !geometry.coords_iter().all(|c| c.x.is_finite() && c.y.is_finite()) {
        return None;
    }
    let rect = geometry.bounding_rect()?;
    Some([rect.min().x, rect.min().y, rect.max().x, rect.max().y])
}
