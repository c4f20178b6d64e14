//! Judging the shape of a candidate: is the geometry sound, inside the province, does the area agree with the paper?

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use geo::{BoundingRect, CoordsIter, MultiPolygon};

use super::report::CandidateSummary;
use crate::domain::area::round_decimal;
use crate::domain::detail::is_outline_mark;
use crate::domain::{Finding, Place, Severity, SquareMetres};
use crate::exchange::{Candidate, StatedArea, limits};
use crate::geometry::{area, repair, validity};

/// The province's box with a margin, in degrees: west, south, east, north. The CHECK `inside_province_margin` of the
/// register holds the same numbers (Hunan, whole degrees outward).
const PROVINCE_MARGIN: [f64; 4] = [108.0, 24.0, 115.0, 31.0];

/// Degrees that exist.
const WORLD: [f64; 4] = [-180.0, -90.0, 180.0, 90.0];

/// Less is no land, and nothing of it is left at the eight decimals that layers show.
const LEAST_M2: f64 = 0.01;

/// Stated and computed area may differ by this share before a clerk is told (domain.md §2: flag above 1 %).
const AREA_TOLERANCE: f64 = 0.01;
/// Beyond this share the paper and the boundary cannot mean the same land: usually a wrong unit or a wrong file.
const AREA_GROSS: f64 = 0.5;

/// How shapes of this file are judged.
pub(super) struct ShapeContext {
    pub repair: bool,
    /// Land outside the province cannot be stored at all.
    province_binds: bool,
    /// Crossings resolved so far in this file.
    resolved: AtomicUsize,
}

impl ShapeContext {
    pub(super) fn new(repair: bool, province_binds: bool) -> Self {
        Self { repair, province_binds, resolved: AtomicUsize::new(0) }
    }
}

/// What was found of a candidate's shape.
pub(super) struct JudgedShape {
    /// The file gives it no shape.
    pub shapeless: bool,
    /// What may be stored.
    pub sound: Option<MultiPolygon<f64>>,
    /// Ellipsoidal, of a shape that may not be stored too.
    pub area: Option<SquareMetres>,
    parts: usize,
    rings: usize,
    bbox: Option<[f64; 4]>,
}

/// Judges the shape and takes it out of the candidate.
pub(super) fn judge_shape(
    candidate: &mut Candidate,
    context: &ShapeContext,
    findings: &mut Vec<Finding>,
) -> JudgedShape {
    let row = candidate.row;
    if candidate.geometry.is_some() && candidate.attributes.iter().any(|a| is_outline_mark(&a.value)) {
        let message = format!(
            "第 {row} 条记录的图形是本系统给公众的概略轮廓，不是实测界线，不能导入；请用实测的文件，或登录后重新导出"
        );
        findings.push(Finding::error("outline_not_survey", Place::row(row), message));
    }
    let given = candidate.geometry.take();
    let verdict = given.as_ref().map(|g| judge_geometry(g, row, context, findings));
    let shown = if let Some(Verdict::Repaired(repaired)) = &verdict { Some(repaired) } else { given.as_ref() };
    let area = shown.map(area::ellipsoidal);
    let vanishes = area.is_some_and(|area| area.value() < LEAST_M2)
        && matches!(verdict, Some(Verdict::Sound | Verdict::Repaired(_)));
    if vanishes {
        let message = format!("第 {row} 条记录的图形面积不足 {LEAST_M2} 平方米，不是地块");
        findings.push(Finding::error("geometry_without_area", Place::row(row), message));
    }
    let (parts, rings) =
        given.as_ref().map_or((0, 0), |g| (g.0.len(), g.0.iter().map(|p| 1 + p.interiors().len()).sum()));
    JudgedShape {
        shapeless: given.is_none(),
        bbox: bbox(shown),
        area,
        parts,
        rings,
        sound: match verdict {
            _ if vanishes => None,
            Some(Verdict::Sound) => given,
            Some(Verdict::Repaired(repaired)) => Some(repaired),
            Some(Verdict::Unfit) | None => None,
        },
    }
}

impl JudgedShape {
    /// The candidate as the report shows it.
    pub(super) fn summary(&self, candidate: &Candidate, id: Option<String>) -> CandidateSummary {
        CandidateSummary {
            row: candidate.row,
            id: id.or_else(|| candidate.id.clone()),
            name: candidate.name.clone(),
            parts: self.parts,
            rings: self.rings,
            area: self.area,
            stated_area: candidate.stated_area.as_ref().map(|s| s.area),
            stated_area_text: candidate.stated_area.as_ref().map(|s| (s.text.clone(), s.unit)),
            crs: candidate.crs,
            bbox: self.bbox,
        }
    }
}

/// Texts that no paper has: they would be carried through every layer and log.
pub(super) fn long_texts(candidate: &Candidate) -> Vec<Finding> {
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
fn repair_within(geometry: &MultiPolygon<f64>, context: &ShapeContext) -> Result<repair::Repair, Finding> {
    if context.resolved.load(Relaxed) > MAX_RESOLVED {
        let message =
            format!("文件中已解开 {MAX_RESOLVED} 处自相交，其余图形不再修复；请在制图软件中修复，或分成几个文件");
        return Err(Finding::error("repair_refused", Place::whole(), message));
    }
    let repaired = repair::repair(geometry)?;
    context.resolved.fetch_add(repaired.crossings, Relaxed);
    Ok(repaired)
}

fn judge_geometry(
    geometry: &MultiPolygon<f64>,
    row: u64,
    context: &ShapeContext,
    findings: &mut Vec<Finding>,
) -> Verdict {
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
    let judged = repaired.as_ref().unwrap_or(geometry);
    if let Some(outside) = first_outside(judged, PROVINCE_MARGIN) {
        findings.push(outside_province(row, outside));
        // Whoever may insist on land elsewhere cannot insist on land that is nowhere.
        if context.province_binds || first_outside(judged, WORLD).is_some() {
            return Verdict::Unfit;
        }
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

/// The first vertex of a shape that lies outside the province, as an error.
pub(in crate::inventory) fn check_in_province(geometry: &MultiPolygon<f64>, row: u64) -> Option<Finding> {
    first_outside(geometry, PROVINCE_MARGIN).map(|outside| outside_province(row, outside))
}

/// Part, ring, vertex (from 1) and coordinate of the first vertex outside the box.
fn first_outside(
    geometry: &MultiPolygon<f64>,
    [west, south, east, north]: [f64; 4],
) -> Option<(u32, u32, u32, f64, f64)> {
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

/// A stated area that the register cannot hold: nothing, or more than the province has (2,118 万公顷).
pub(super) fn check_stated(stated: &StatedArea, row: u64) -> Option<Finding> {
    let hectares = round_decimal(stated.area.to_hectares().value(), 6);
    if hectares > 0.0 && hectares < 2.2e7 {
        return None;
    }
    let message = format!("第 {row} 条记录的标注面积“{}”合 {hectares} 公顷，不是可能的区块面积", stated.text);
    Some(Finding::error("stated_area_invalid", Place::row(row), message))
}

pub(super) fn compare_areas(computed: SquareMetres, stated: SquareMetres, text: &str, row: u64) -> Option<Finding> {
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

fn bbox(geometry: Option<&MultiPolygon<f64>>) -> Option<[f64; 4]> {
    let geometry = geometry?;
    // A box over NaN would look like a number: only finite coordinates have one.
    if !geometry.coords_iter().all(|c| c.x.is_finite() && c.y.is_finite()) {
        return None;
    }
    let rect = geometry.bounding_rect()?;
    Some([rect.min().x, rect.min().y, rect.max().x, rect.max().y])
}
