//! A proposal as somebody gives it → blocks, areas and landmarks that may be kept; every fault is named by its place.

use std::collections::HashSet;

use chrono::NaiveDate;
use geo::{Coord, CoordsIter};
use serde_json::{Map, Value, json};

use crate::domain::boundary_change::{
    Landmark, MOST_BLOCKS, MOST_LANDMARK_VERTICES, MOST_LANDMARKS, MOST_VERTICES, NOTE_LENGTH, ProposedBlock,
    StatedAreas, TITLE_LENGTH,
};
use crate::domain::lifecycle::{DecimalHectares, EventKind};
use crate::domain::{BlockId, Finding, FourExtents, ParkCode, Place, Severity};
use crate::error::{Error, Result};
use crate::exchange::text_encoding::compose;
use crate::exchange::{Candidate, ReadOptions, geojson};
use crate::geometry::overlap;
use crate::geometry::{area, validity};
use crate::inventory::import::{check_in_province, overlaps};
use crate::inventory::peoples_text::{self, Fault};

/// Properties of a block; others are refused, not passed over.
const PROPERTIES: [&str; 9] =
    ["number", "name", "stated_area_ha", "surveyed", "east", "south", "west", "north", "four_extents"];
/// What our own GeoJSON of a proposal says beside them, and a client may send back.
const TOLD: [&str; 4] = ["role", "computed_area_m2", "computed_area_ha", "computed_area_mu"];

/// Less is no land.
const LEAST_M2: f64 = 0.01;
/// Stated and computed area of a block may differ by this share before a clerk is told, and by that one at most.
const AREA_TOLERANCE: f64 = 0.01;
const AREA_GROSS: f64 = 0.5;

/// What somebody proposes.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    pub title: String,
    pub reason: Option<String>,
    /// The day of the proposal; today, where nothing is said.
    pub proposed_on: Option<NaiveDate>,
    /// `{before_ha, out_ha, in_ha, after_ha}`; without `before_ha` the register's approved area.
    pub area: Map<String, Value>,
    /// GeoJSON features with a block's properties.
    pub features: Vec<Value>,
    /// `{name, geometry}`, a point or a line.
    pub landmarks: Vec<Value>,
}

/// A proposal that may be kept.
#[derive(Debug, Clone)]
pub struct Proposal {
    pub title: String,
    pub reason: Option<String>,
    pub areas: StatedAreas,
    pub kind: EventKind,
    pub blocks: Vec<ProposedBlock>,
    pub landmarks: Vec<Landmark>,
    pub warnings: Vec<Finding>,
}

/// Judges a draft for this park. `approved`: the park's approved area in the register. Slow where boundaries are long: run it off the
/// async threads.
pub(super) fn judge(draft: &Draft, park: &ParkCode, approved: Option<DecimalHectares>) -> Result<Proposal> {
    bounded(draft)?;
    let mut findings = Vec::new();
    let title = line("title", &draft.title, TITLE_LENGTH, &mut findings).unwrap_or_default();
    if title.is_empty() {
        findings.push(Finding::error("member_missing", Place::whole().field("title"), "缺少标题 title"));
    }
    let reason = draft.reason.as_deref().and_then(|text| line("reason", text, NOTE_LENGTH, &mut findings));
    let areas = stated_areas(&draft.area, approved, &mut findings);
    let blocks = blocks(draft, park, &mut findings)?;
    let landmarks = landmarks(&draft.landmarks, &mut findings)?;
    if let Some(areas) = &areas {
        // What is wrong with single blocks is told first; a sum of what could not be read says nothing.
        if blocks.len() == draft.features.len() {
            let stated: Vec<DecimalHectares> = blocks.iter().map(|b| b.stated_area).collect();
            findings.extend(areas.check(park, &stated));
        }
        findings.extend(differs_before(areas, approved));
    }
    let kind = areas.and_then(|areas| areas.kind());
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    match (areas, kind) {
        (Some(areas), Some(kind)) if !failed => {
            Ok(Proposal { title, reason, areas, kind, blocks, landmarks, warnings: findings })
        }
        _ => Err(Error::Invalid {
            code: "proposal_invalid",
            detail: "调区扩区方案有错误，没有保存；原因见 findings".to_owned(),
            findings,
        }),
    }
}

/// The paper's area before the change is not the one that the register has: told by the proposal, the assessment, and the approval, which
/// overwrites it.
pub(super) fn differs_before(areas: &StatedAreas, approved: Option<DecimalHectares>) -> Option<Finding> {
    let approved = approved.filter(|approved| *approved != areas.before)?;
    let message = format!("调整前面积 {} 公顷与登记库的核准面积 {approved} 公顷不同；请核对依据的文件", areas.before);
    Some(Finding::warning("before_differs_from_register", Place::whole().field("area"), message))
}

fn bounded(draft: &Draft) -> Result<()> {
    if draft.features.is_empty() {
        return Err(Error::invalid("proposal_without_blocks", "方案没有区块；请给出调整后的全部区块"));
    }
    if draft.features.len() > MOST_BLOCKS {
        return Err(Error::too_large("proposal_too_large", format!("一个方案最多 {MOST_BLOCKS} 个区块")));
    }
    if draft.landmarks.len() > MOST_LANDMARKS {
        return Err(Error::too_large(
            "proposal_too_large",
            format!("一个方案最多 {MOST_LANDMARKS} 个地物（landmarks）"),
        ));
    }
    Ok(())
}

/// A line of people's, composed; empty is as good as none.
pub(super) fn line(name: &str, text: &str, most: usize, findings: &mut Vec<Finding>) -> Option<String> {
    line_at(Place::whole(), name, text, most, findings)
}

fn line_at(place: Place, name: &str, text: &str, most: usize, findings: &mut Vec<Finding>) -> Option<String> {
    match peoples_text::judged_line(text, most) {
        Ok(text) => Some(text).filter(|text| !text.is_empty()),
        Err(fault) => {
            let code = match fault {
                Fault::Misleading => "text_control_character",
                Fault::LongerThan(_) => "text_too_long",
            };
            findings.push(Finding::error(code, place.field(name), fault.message(name)));
            None
        }
    }
}

/// Hectares as a JSON number or text: digits and at most four decimals, exact.
fn hectares(value: &Value) -> Option<DecimalHectares> {
    match value {
        Value::String(text) => DecimalHectares::parse(text),
        Value::Number(number) => DecimalHectares::parse(&number.to_string()),
        _ => None,
    }
}

fn stated_areas(
    given: &Map<String, Value>,
    approved: Option<DecimalHectares>,
    findings: &mut Vec<Finding>,
) -> Option<StatedAreas> {
    let known = ["before_ha", "out_ha", "in_ha", "after_ha"];
    if let Some(name) = given.keys().find(|name| !known.contains(&name.as_str())) {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
        let message = format!("area 不认识成员“{shown}”；可用的成员：{}", known.join("、"));
        findings.push(Finding::error("member_unknown", Place::whole().field("area"), message));
    }
    let mut one = |name: &str, otherwise: Option<DecimalHectares>| match given.get(name).filter(|v| !v.is_null()) {
        None if otherwise.is_some() => otherwise,
        None => {
            let message = format!("缺少面积 area.{name}（公顷）");
            findings.push(Finding::error("member_missing", Place::whole().field(format!("area.{name}")), message));
            None
        }
        Some(value) => hectares(value).or_else(|| {
            let message = format!("area.{name} 应为不小于 0 的公顷数，最多四位小数");
            findings.push(Finding::error("area_invalid", Place::whole().field(format!("area.{name}")), message));
            None
        }),
    };
    let (before, out, added, after) =
        (one("before_ha", approved), one("out_ha", None), one("in_ha", None), one("after_ha", None));
    Some(StatedAreas { before: before?, out: out?, added: added?, after: after? })
}

/// The features' boundaries, as a GeoJSON file is read: one road for every way in.
fn read_shapes(features: &[Value], findings: &mut Vec<Finding>) -> Vec<Candidate> {
    let bare = features.iter().map(|feature| {
        let kind = feature.get("type").cloned().unwrap_or(Value::Null);
        json!({"type": kind, "properties": {}, "geometry": feature.get("geometry").cloned().unwrap_or(Value::Null)})
    });
    let collection = json!({"type": "FeatureCollection", "features": bare.collect::<Vec<_>>()});
    let reading = geojson::read(collection.to_string().as_bytes(), &ReadOptions::default());
    findings.extend(reading.findings.into_iter().filter(|f| f.severity > Severity::Info));
    reading.candidates
}

fn blocks(draft: &Draft, park: &ParkCode, findings: &mut Vec<Finding>) -> Result<Vec<ProposedBlock>> {
    let mut shapes = read_shapes(&draft.features, findings);
    let vertices: usize = shapes.iter().filter_map(|c| c.geometry.as_ref()).map(CoordsIter::coords_count).sum();
    if vertices > MOST_VERTICES {
        let detail = format!("一个方案最多 {MOST_VERTICES} 个顶点，给出了 {vertices} 个");
        return Err(Error::too_large("proposal_too_large", detail));
    }
    let mut blocks: Vec<ProposedBlock> = Vec::with_capacity(draft.features.len());
    let mut rows: Vec<u64> = Vec::new();
    let mut numbers: HashSet<String> = HashSet::new();
    for (row, feature) in (1..).zip(&draft.features) {
        let place = Place::row(row);
        let none = Map::new();
        let properties = feature.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let shape = shapes.iter_mut().find(|c| c.row == row).and_then(|c| c.geometry.take());
        let boundary = shape.and_then(|shape| judged_shape(shape, row, findings));
        let Some(block) = properties_of(properties, park, &place, findings) else { continue };
        if !numbers.insert(block.number.clone()) {
            let message = format!("第 {row} 个要素的区块编号“{}”重复", block.number);
            findings.push(Finding::error("id_duplicate", place.field("number"), message));
            continue;
        }
        let Some((boundary, area_m2)) = boundary else { continue };
        check_area(&block, area_m2, row, findings);
        blocks.push(ProposedBlock { boundary, area_m2, ..block });
        rows.push(row);
    }
    overlapping(&blocks, &rows, findings);
    Ok(blocks)
}

fn judged_shape(
    shape: geo::MultiPolygon<f64>,
    row: u64,
    findings: &mut Vec<Finding>,
) -> Option<(geo::MultiPolygon<f64>, f64)> {
    let mut faults = validity::check(&shape, Some(row));
    faults.extend(check_in_province(&shape, row));
    let failed = faults.iter().any(|f| f.severity == Severity::Error);
    findings.extend(faults);
    if failed {
        return None;
    }
    let m2 = area::ellipsoidal(&shape).value();
    if m2 < LEAST_M2 {
        let message = format!("第 {row} 个要素的图形面积不足 {LEAST_M2} 平方米，不是区块");
        findings.push(Finding::error("geometry_without_area", Place::row(row), message));
        return None;
    }
    Some((shape, m2))
}

/// A block but for its boundary; `None` where a fault was told.
fn properties_of(
    given: &Map<String, Value>,
    park: &ParkCode,
    place: &Place,
    findings: &mut Vec<Finding>,
) -> Option<ProposedBlock> {
    let row = place.row.unwrap_or_default();
    let before = findings.len();
    if let Some(name) = given.keys().find(|n| !PROPERTIES.contains(&n.as_str()) && !TOLD.contains(&n.as_str())) {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
        let message = format!("第 {row} 个要素有不认识的属性“{shown}”；可用的属性：{}", PROPERTIES.join("、"));
        findings.push(Finding::error("property_unknown", place.clone().field(shown), message));
    }
    let number = match given.get("number") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let id = BlockId::new(park.clone(), &compose(&number));
    if let Err(cause) = &id {
        findings.push(Finding::error("id_invalid", place.clone().field("number"), format!("第 {row} 个要素：{cause}")));
    }
    let stated = given.get("stated_area_ha").and_then(hectares).filter(|area| *area != DecimalHectares::default());
    if stated.is_none() {
        let message = format!("第 {row} 个要素的 stated_area_ha 应为大于 0 的公顷数，最多四位小数");
        findings.push(Finding::error("stated_area_invalid", place.clone().field("stated_area_ha"), message));
    }
    let surveyed = match given.get("surveyed") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(surveyed)) => *surveyed,
        Some(_) => {
            let message = format!("第 {row} 个要素的 surveyed 应为 true 或 false");
            findings.push(Finding::error("property_invalid", place.clone().field("surveyed"), message));
            false
        }
    };
    let mut text = |name: &str, most: usize| match given.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => line_at(place.clone(), name, text, most, findings),
        Some(_) => {
            let message = format!("第 {row} 个要素的 {name} 应为文字");
            findings.push(Finding::error("property_invalid", place.clone().field(name), message));
            None
        }
    };
    let block = ProposedBlock {
        number: String::new(),
        name: text("name", TITLE_LENGTH),
        boundary: geo::MultiPolygon(Vec::new()),
        area_m2: 0.0,
        stated_area: stated.unwrap_or_default(),
        four_extents: FourExtents {
            east: text("east", NOTE_LENGTH),
            south: text("south", NOTE_LENGTH),
            west: text("west", NOTE_LENGTH),
            north: text("north", NOTE_LENGTH),
        },
        four_extents_text: text("four_extents", NOTE_LENGTH),
        surveyed,
    };
    let number = id.ok()?.number().to_owned();
    (findings.len() == before).then_some(ProposedBlock { number, ..block })
}

/// The paper against the boundary: beyond half they cannot mean the same land.
fn check_area(block: &ProposedBlock, area_m2: f64, row: u64, findings: &mut Vec<Finding>) {
    let stated = block.stated_area.square_metres() as f64;
    let share = (area_m2 / stated - 1.0).abs();
    let message = format!(
        "区块“{}”标注 {} 公顷，按界线计算 {:.4} 公顷，相差 {:.2}%",
        block.number,
        block.stated_area,
        area_m2 / 10_000.0,
        share * 100.0
    );
    let place = Place::row(row).field("stated_area_ha");
    if share > AREA_GROSS {
        findings.push(Finding::error("area_mismatch_gross", place, message));
    } else if share > AREA_TOLERANCE {
        findings.push(Finding::warning("area_mismatch", place, message));
    }
}

/// One piece of land cannot be in two blocks.
fn overlapping(blocks: &[ProposedBlock], rows: &[u64], findings: &mut Vec<Finding>) {
    let shapes: Vec<_> = blocks.iter().map(|b| &b.boundary).collect();
    let pairs = overlap::pairs(&shapes, usize::MAX);
    let name = |at: usize| format!("区块“{}”", blocks[at].number);
    let place = |a: usize, b: usize| Place::row(rows[a].max(rows[b]));
    for pair in &pairs.list {
        let Some(area) = pair.relation.beyond_contact() else { continue };
        findings.push(overlaps::within_file_finding(place(pair.a, pair.b), &name(pair.a), &name(pair.b), area));
    }
    findings.extend(pairs.too_complex.iter().map(|&(a, b)| overlaps::too_complex(place(a, b), &name(a), &name(b))));
    findings.extend(overlaps::not_all_named(&pairs, "方案的区块"));
}

fn landmarks(given: &[Value], findings: &mut Vec<Finding>) -> Result<Vec<Landmark>> {
    let (mut landmarks, mut vertices) = (Vec::new(), 0);
    for (number, value) in (1_u64..).zip(given) {
        let before = findings.len();
        let field = format!("landmarks[{number}]");
        let mut wrong = |what: &str| {
            let message = format!("第 {number} 个地物{what}");
            findings.push(Finding::error("landmark_invalid", Place::whole().field(field.clone()), message));
        };
        let Some(object) = value.as_object() else {
            wrong("不是对象");
            continue;
        };
        if object.keys().any(|name| name != "name" && name != "geometry") {
            wrong("只能有成员 name 和 geometry");
        }
        let path = object.get("geometry").and_then(path_of);
        if path.is_none() {
            wrong("的 geometry 应为 Point 或 LineString，坐标为经度、纬度");
        }
        let outside = |c: &Coord<f64>| !(108.0..=115.0).contains(&c.x) || !(24.0..=31.0).contains(&c.y);
        if path.as_ref().is_some_and(|path| path.iter().any(outside)) {
            wrong("超出本省范围；坐标应为经度在前、纬度在后");
        }
        let name = object.get("name").and_then(Value::as_str).unwrap_or_default();
        if name.trim().is_empty() {
            wrong("缺少名称 name");
        }
        let name = line_at(Place::whole(), &field, name, TITLE_LENGTH, findings);
        if let (Some(name), Some(path)) = (name, path)
            && findings.len() == before
        {
            vertices += path.len();
            landmarks.push(Landmark { name, path });
        }
    }
    if vertices > MOST_LANDMARK_VERTICES {
        let detail = format!("地物最多共 {MOST_LANDMARK_VERTICES} 个顶点，给出了 {vertices} 个");
        return Err(Error::too_large("proposal_too_large", detail));
    }
    Ok(landmarks)
}

fn path_of(geometry: &Value) -> Option<Vec<Coord<f64>>> {
    let position = |p: &Value| {
        let p = p.as_array().filter(|p| p.len() == 2 || p.len() == 3)?;
        Some(Coord { x: p[0].as_f64()?, y: p[1].as_f64()? })
    };
    let coordinates = geometry.get("coordinates")?;
    match geometry.get("type")?.as_str()? {
        "Point" => Some(vec![position(coordinates)?]),
        "LineString" => {
            let path: Vec<Coord<f64>> = coordinates.as_array()?.iter().map(position).collect::<Option<_>>()?;
            (path.len() >= 2).then_some(path)
        }
        _ => None,
    }
}
