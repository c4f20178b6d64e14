//! Judging one candidate for a parcel of a ledger: whose land is it, where does it stand, what does each cell say?

use std::collections::BTreeMap;
use std::sync::Arc;

use geo::MultiPolygon;

use super::ImportRequest;
use super::gazetteer::Gazetteer;
use super::judge::SOURCE;
use super::judging::{Judge, JudgedCandidate, Land};
use super::shape::{ShapeContext, check_stated, compare_areas, judge_shape, long_texts};
use crate::domain::ledger::{FieldKind, FieldValue, State, StateKind, Step, TOO_MUCH, parse_date};
use crate::domain::{DivisionCode, Finding, Ledger, Parcel, ParkCode, Place, RecordId, SquareMetres};
use crate::exchange::stated_area::{IN_VECTOR_FILES, parse as parse_area};
use crate::exchange::{Attribute, Candidate, field_names};

/// What judging parcels needs to know of the request and the register.
pub(super) struct ParcelContext {
    pub ledger: Ledger,
    today: chrono::NaiveDate,
    county: Option<DivisionCode>,
    park: Option<ParkCode>,
    shapes: ShapeContext,
    /// What a parcel without a source of its own says of it.
    pub source: String,
    gazetteer: Arc<Gazetteer>,
}

impl ParcelContext {
    pub(super) fn new(request: &ImportRequest, ledger: Ledger, gazetteer: Arc<Gazetteer>) -> Self {
        Self {
            ledger,
            today: request.today,
            county: request.county.clone(),
            park: request.park.clone(),
            shapes: ShapeContext::new(request.repair, false),
            source: format!("{SOURCE}{}", request.file_name),
            gazetteer,
        }
    }
}

impl Land for Parcel {
    fn name(&self) -> String {
        self.id.to_string()
    }

    fn boundary(&self) -> &MultiPolygon<f64> {
        &self.boundary
    }
}

impl Judge for ParcelContext {
    type Row = Parcel;

    fn judge(&self, candidate: Candidate) -> JudgedCandidate<Parcel> {
        judge_parcel(candidate, self)
    }

    fn repairs(&self) -> bool {
        self.shapes.repair
    }

    fn bears_shapeless(&self) -> bool {
        true
    }
}

fn judge_parcel(mut candidate: Candidate, context: &ParcelContext) -> JudgedCandidate<Parcel> {
    let row = candidate.row;
    let mut findings = long_texts(&candidate);
    let shape = judge_shape(&mut candidate, &context.shapes, &mut findings);
    let paper_park = judge_park(&candidate, context, &mut findings);
    let county = judge_county(&candidate, context, paper_park.as_ref(), &mut findings);
    let id = county.as_ref().and_then(|county| judge_number(&candidate, county, &mut findings));
    if candidate.stated_area.is_none() {
        // A table without shapes: its reader weighed no unit.
        candidate.stated_area = read_stated(&candidate, &mut findings);
    }
    if let Some(stated) = &candidate.stated_area {
        findings.extend(check_stated(stated, row));
        findings.extend(shape.area.and_then(|computed| compare_areas(computed, stated.area, &stated.text, row)));
    }
    let fields = read_fields(&candidate, context.ledger, &mut findings);
    let standing = read_standing(&candidate, context.ledger, &fields, &mut findings);
    let since = read_since(&candidate, context.today, &mut findings);
    let drawn = candidate.value("source").filter(|s| s.contains("示意")).map(str::to_owned);
    let summary = shape.summary(&candidate, id.as_ref().map(RecordId::to_string));
    let (shapeless, sound) = (shape.shapeless, shape.sound);
    let made = match (id, county) {
        (Some(id), Some(county)) if shapeless || sound.is_some() => Some(Parcel {
            ledger: context.ledger,
            id,
            county,
            name: candidate.name,
            boundary: sound.unwrap_or_else(|| MultiPolygon(Vec::new())),
            area: shape.area.unwrap_or(SquareMetres::ZERO),
            stated_area: candidate.stated_area.map(|s| s.area),
            standing,
            since,
            stated_park_code: paper_park.as_ref().and_then(|p| p.code.clone()),
            stated_park: paper_park.map(|p| p.text),
            fields,
            illustrative: drawn.is_some(),
            source: drawn.unwrap_or_else(|| context.source.clone()),
            source_crs: candidate.crs.map(|c| c.to_string()),
            attributes: other_attributes(candidate.attributes),
        }),
        _ => None,
    };
    JudgedCandidate { summary, shapeless, made, findings }
}

/// The park on paper.
struct PaperPark {
    text: String,
    code: Option<String>,
}

fn judge_park(candidate: &Candidate, context: &ParcelContext, findings: &mut Vec<Finding>) -> Option<PaperPark> {
    let row = candidate.row;
    if let Some(park) = &context.park {
        return Some(PaperPark { text: park.to_string(), code: context.gazetteer.park(park.as_str()) });
    }
    let (field, text) = ["park_code", "park_name"].into_iter().find_map(|name| Some((name, candidate.value(name)?)))?;
    let code = context.gazetteer.park(text);
    if code.is_none() {
        let shown: String = text.chars().take(40).collect();
        let message = format!("第 {row} 条记录的园区“{shown}”在名录中查不到；地块按图形归入园区，这几个字原样保留");
        findings.push(Finding::warning(
            "park_unknown",
            Place::row(row).field(field_names::title(field).unwrap_or(field)),
            message,
        ));
    }
    Some(PaperPark { text: text.to_owned(), code })
}

/// The county: the request's, else the file's code, else its name, else the only county of the park on paper.
fn judge_county(
    candidate: &Candidate,
    context: &ParcelContext,
    park: Option<&PaperPark>,
    findings: &mut Vec<Finding>,
) -> Option<DivisionCode> {
    let row = candidate.row;
    let told = ["county_code", "county"].into_iter().find_map(|name| Some((name, candidate.value(name)?)));
    let read = told.and_then(|(_, text)| context.gazetteer.division(text));
    if let Some(county) = &context.county {
        if read.as_ref().is_some_and(|read| read != county) {
            let message = format!(
                "第 {row} 条记录的县区“{}”与指定的县区 {county} 不同，按指定的县区导入",
                told.map_or("", |t| t.1)
            );
            findings.push(Finding::warning("county_overruled", Place::row(row).field("县区"), message));
        }
        return Some(county.clone());
    }
    if let Some((_, text)) = told {
        if read.is_none() {
            let shown: String = text.chars().take(40).collect();
            let message = format!("第 {row} 条记录的县区“{shown}”不在行政区划表中（或有同名县区）；请写 6 位代码");
            findings.push(Finding::error("county_unknown", Place::row(row).field("县区"), message));
        }
        return read;
    }
    let of_park = park.and_then(|p| p.code.as_ref()).and_then(|code| context.gazetteer.counties_of(code));
    if let Some([only]) = of_park
        && let Ok(code) = DivisionCode::parse(only)
    {
        return Some(code);
    }
    let own = candidate.id.as_deref().and_then(|id| RecordId::parse(id).ok()).map(|id| id.division().clone());
    if let Some(division) = own.filter(|d| context.gazetteer.knows(d)) {
        return Some(division);
    }
    let message = format!(
        "第 {row} 条记录没有县区代码，也不能由园区确定；请在文件中加上（行政区代码），或导入时指定县区（county）"
    );
    findings.push(Finding::error("county_missing", Place::row(row).field("县区"), message));
    None
}

fn judge_number(candidate: &Candidate, county: &DivisionCode, findings: &mut Vec<Finding>) -> Option<RecordId> {
    let row = candidate.row;
    let place = || Place::row(row).field("地块编号");
    let Some(number) = candidate.id.as_deref().map(str::trim).filter(|id| !id.is_empty()) else {
        let message = format!("第 {row} 条记录没有地块编号；台账以编号认地块，请先编号");
        findings.push(Finding::error("parcel_no_missing", place(), message));
        return None;
    };
    // A file of ours may carry the whole id.
    let own =
        number.strip_prefix(county.as_str()).and_then(|rest| rest.strip_prefix('-')).filter(|rest| !rest.is_empty());
    match RecordId::new(county.clone(), own.unwrap_or(number)) {
        Ok(id) => Some(id),
        Err(reason) => {
            findings.push(Finding::error("id_invalid", place(), format!("第 {row} 条记录：{reason}")));
            None
        }
    }
}

/// The stated area of a row without a shape: in the unit that heading or value names.
fn read_stated(candidate: &Candidate, findings: &mut Vec<Finding>) -> Option<crate::exchange::StatedArea> {
    let attribute = candidate.attributes.iter().find(|a| a.canonical == Some("stated_area") && !a.value.is_empty())?;
    let (area, unit) = read_area(attribute, None, candidate.row, findings)?;
    Some(crate::exchange::StatedArea { text: attribute.value.trim().to_owned(), unit, area })
}

/// An area of the paper; its unit is what the value says, else the heading, else that of the parcel's own stated area.
fn read_area(
    attribute: &Attribute,
    of_file: Option<&'static str>,
    row: u64,
    findings: &mut Vec<Finding>,
) -> Option<(SquareMetres, &'static str)> {
    let place = || Place::row(row).field(&*attribute.field);
    let shown: String = attribute.value.chars().take(40).collect();
    let heading = field_names::unit_of(&attribute.field);
    let Some((number, unit)) = parse_area(&attribute.value, heading) else {
        let message = format!("第 {row} 条记录的“{}”应为面积，不是“{shown}”", attribute.field);
        findings.push(Finding::error("value_invalid", place(), message));
        return None;
    };
    let unit = unit.or_else(|| IN_VECTOR_FILES.into_iter().find(|u| Some(u.as_str()) == of_file));
    let Some(unit) = unit else {
        let message = format!(
            "第 {row} 条记录的“{}”没有写明面积单位；请写在表头里，例如“{}（公顷）”",
            attribute.field, attribute.field
        );
        findings.push(Finding::error("area_unit_missing", place(), message));
        return None;
    };
    let Some(area) = unit.area(number).filter(|area| area.value() < TOO_MUCH) else {
        let message = format!("第 {row} 条记录的“{}”是“{shown}”，不是可能的面积", attribute.field);
        findings.push(Finding::error("value_invalid", place(), message));
        return None;
    };
    Some((area, unit.as_str()))
}

fn read_fields(
    candidate: &Candidate,
    ledger: Ledger,
    findings: &mut Vec<Finding>,
) -> BTreeMap<&'static str, FieldValue> {
    let row = candidate.row;
    let of_file = candidate.stated_area.as_ref().map(|s| s.unit);
    let mut fields = BTreeMap::new();
    for attribute in candidate.attributes.iter().filter(|a| !a.value.trim().is_empty()) {
        let Some(field) = attribute.canonical.and_then(|name| ledger.field(name)) else { continue };
        let place = || Place::row(row).field(&*attribute.field);
        let shown: String = attribute.value.chars().take(40).collect();
        if field.kind == FieldKind::Area {
            if let Some((area, _)) = read_area(attribute, of_file, row, findings) {
                fields.insert(field.name, FieldValue::Number(area.value()));
            }
            continue;
        }
        match field.kind.parse(&attribute.value) {
            Ok(value) => {
                if let (FieldKind::Choice(usual), FieldValue::Text(text)) = (field.kind, &value)
                    && !usual.contains(&text.as_str())
                {
                    let message = format!(
                        "第 {row} 条记录的“{}”是“{shown}”，通常为：{}；原样保留",
                        attribute.field,
                        usual.join("、")
                    );
                    findings.push(Finding::warning("value_unusual", place(), message));
                }
                fields.insert(field.name, value);
            }
            Err(expected) => {
                let message = format!("第 {row} 条记录的“{}”应为{expected}，不是“{shown}”", attribute.field);
                findings.push(Finding::error("value_invalid", place(), message));
            }
        }
    }
    settle_land_use(&mut fields, row, findings);
    fields
}

/// The same digits mean different things in different systems (domain.md §11): a code without a system is told apart by its form, or
/// refused.
fn settle_land_use(fields: &mut BTreeMap<&'static str, FieldValue>, row: u64, findings: &mut Vec<Finding>) {
    if fields.contains_key("land_use_system") {
        return;
    }
    let Some(FieldValue::Text(code)) = fields.get("land_use_code") else { return };
    let system = if code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()) {
        "用地用海分类(2023)"
    } else if code.starts_with(|c: char| c.is_ascii_uppercase()) {
        "GB 50137-2011"
    } else {
        let message = format!(
            "第 {row} 条记录的地类编码“{code}”没有写明所用的地类标准（三调、GB/T 21010、用地用海分类），同一编码含义不同；请加一列“地类标准”"
        );
        findings.push(Finding::error("land_use_system_missing", Place::row(row).field("地类编码"), message));
        return;
    };
    let message = format!("第 {row} 条记录的地类编码“{code}”没有写明地类标准，按“{system}”理解");
    findings.push(Finding::info("land_use_system_assumed", Place::row(row).field("地类编码"), message));
    fields.insert("land_use_system", FieldValue::Text(system.to_owned()));
}

fn read_standing(
    candidate: &Candidate,
    ledger: Ledger,
    fields: &BTreeMap<&'static str, FieldValue>,
    findings: &mut Vec<Finding>,
) -> Option<Step> {
    let row = candidate.row;
    let machine = ledger.machine();
    let find = |name: &str, findings: &mut Vec<Finding>| -> Option<&'static State> {
        let text = candidate.value(name)?;
        let found = machine.find(text).or_else(|| ledger.state_of_word(text));
        match found {
            None => {
                let known: Vec<&str> = machine.states.iter().map(|s| s.label).collect();
                let shown: String = text.chars().take(40).collect();
                let message = format!("第 {row} 条记录的状态“{shown}”不认识；可用：{}", known.join("、"));
                findings.push(Finding::error("state_unknown", Place::row(row).field("状态"), message));
            }
            Some(state) if machine.find(text).is_none() => {
                let message = format!("第 {row} 条记录的状态“{text}”按“{}”理解", state.label);
                findings.push(Finding::info("state_word_read", Place::row(row).field("状态"), message));
            }
            Some(_) => {}
        }
        found
    };
    let state = find("state", findings)?;
    let held = find("held_state", findings);
    if state.kind != StateKind::Side {
        return Some(machine.entering(state, None));
    }
    let place = || Place::row(row).field("原状态");
    if let Some(held) = held.filter(|held| held.kind != StateKind::Main) {
        let message = format!("第 {row} 条记录的原状态“{}”不是可以恢复的状态", held.label);
        findings.push(Finding::error("held_state_invalid", place(), message));
        return None;
    }
    // Without the state it came from there would be no way back.
    let told = held.unwrap_or_else(|| ledger.held_by_fields(state, fields));
    if held.is_none() {
        let message = format!("第 {row} 条记录的状态“{}”没有写明原状态，按“{}”记", state.label, told.label);
        findings.push(Finding::info("held_state_assumed", place(), message));
    }
    Some(machine.entering(state, Some(told)))
}

fn read_since(
    candidate: &Candidate,
    today: chrono::NaiveDate,
    findings: &mut Vec<Finding>,
) -> Option<chrono::NaiveDate> {
    let text = candidate.value("state_on")?;
    let day = parse_date(text);
    if day.is_none() {
        let shown: String = text.chars().take(40).collect();
        let message = format!("第 {} 条记录的状态日期“{shown}”不是日期", candidate.row);
        findings.push(Finding::error("value_invalid", Place::row(candidate.row).field("状态日期"), message));
    }
    if let Some(day) = day.filter(|day| *day > today) {
        let message = format!("第 {} 条记录的状态日期 {day} 在今天（{today}）之后", candidate.row);
        findings.push(Finding::error("transition_in_future", Place::row(candidate.row).field("状态日期"), message));
    }
    day
}

/// What is left and none of our columns. Into room of their own.
fn other_attributes(attributes: Vec<Attribute>) -> Vec<(String, String)> {
    let is_other = |a: &Attribute| a.canonical.is_none() && !a.value.is_empty();
    let mut others = Vec::with_capacity(attributes.iter().filter(|a| is_other(a)).count());
    others.extend(attributes.into_iter().filter(is_other).map(|a| (a.field.to_string(), a.value)));
    others
}
