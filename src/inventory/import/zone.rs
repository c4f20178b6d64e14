//! Judging the records of a file of control lines: of which kind is it, whose line, what does it demand?

use std::collections::HashMap;
use std::sync::Arc;

use geo::MultiPolygon;
use sqlx::{PgConnection, PgPool};

use super::gazetteer::Gazetteer;
use super::judge::SOURCE;
use super::judging::{FileRows, Judge, JudgedCandidate, Judging, Land};
use super::shape::{ShapeContext, check_stated, compare_areas, judge_shape, long_texts};
use super::{ImportRequest, Judged, Rows, ledger, off_async_threads};
use crate::domain::access::Jurisdiction;
use crate::domain::control_zone::{ManagementClass, ZoneId, ZoneRules};
use crate::domain::{ControlZone, DivisionCode, Finding, Place, Severity};
use crate::error::{Error, Result};
use crate::exchange::{self, Attribute, Candidate, Vocabulary, field_names};
use crate::inventory::progress::Progress;
use crate::store::{self, UpsertCounts, control_zones};

/// The layer of control lines.
pub(super) const LAYER: &str = "control_zones";

const CONTROL_UNIT: &str = "control_unit";
const FARMLAND: &str = "permanent_farmland";

/// Codes of control units begin so (domain.md §8); the county's code follows.
const UNIT_PREFIX: &str = "ZH";

/// What judging zones needs to know of the request and the register.
pub(super) struct ZoneContext {
    kind: Option<String>,
    division: Option<DivisionCode>,
    jurisdiction: Jurisdiction,
    shapes: ShapeContext,
    source: String,
    /// Names and codes of the kinds → code.
    kinds: HashMap<String, String>,
    gazetteer: Arc<Gazetteer>,
}

impl Land for ControlZone {
    fn name(&self) -> String {
        self.id.to_string()
    }

    fn boundary(&self) -> &MultiPolygon<f64> {
        &self.boundary
    }
}

impl Judge for ZoneContext {
    type Row = ControlZone;

    fn judge(&self, candidate: Candidate) -> JudgedCandidate<ControlZone> {
        judge_zone(candidate, self)
    }

    fn repairs(&self) -> bool {
        self.shapes.repair
    }
}

pub(super) async fn judge_file(pool: &PgPool, request: &ImportRequest, progress: Arc<dyn Progress>) -> Result<Judged> {
    let mut connection = store::begin_read_as(pool, &request.viewer()).await?;
    let kinds = control_zones::list_kinds(&mut connection).await?;
    let gazetteer = ledger::gazetteer(&mut connection).await?;
    connection.commit().await?;
    let kinds: HashMap<String, String> = kinds
        .into_iter()
        .flat_map(|stored| {
            let code = stored.kind.code;
            [(code.clone(), code.clone()), (stored.kind.name, code)]
        })
        .collect();
    let kind = match &request.zone_kind {
        None => None,
        Some(text) => Some(kinds.get(text.trim()).cloned().ok_or_else(|| unknown_kind(text, &kinds))?),
    };
    if let Some(division) = request.county.as_ref().filter(|division| !gazetteer.knows(division)) {
        return Err(Error::invalid("division_unknown", format!("行政区划表中没有 {division}")));
    }
    let context = ZoneContext {
        kind,
        division: request.county.clone(),
        jurisdiction: request.jurisdiction.clone(),
        shapes: ShapeContext::new(request.repair, true),
        source: format!("{SOURCE}{}", request.file_name),
        kinds,
        gazetteer,
    };
    let path = request.path.clone();
    let mut options = request.read.clone();
    options.file_name = Some(request.file_name.clone());
    options.vocabulary = Vocabulary::Zones;
    let judged = off_async_threads(move || {
        let mut judging = Judging::new(&context, progress.as_ref());
        let reading = exchange::read_file_into(&path, &options, &mut judging)?;
        Ok::<_, Error>(judging.finish(&reading))
    });
    let (report, zones) = judged.await??;
    Ok(Judged::new(report, Rows::Zones(Arc::new(zones))))
}

fn unknown_kind(text: &str, kinds: &HashMap<String, String>) -> Error {
    let shown: String = text.chars().take(40).collect();
    Error::invalid("zone_kind_unknown", format!("不认识管控类型“{shown}”；可用：{}", codes(kinds)))
}

fn codes(kinds: &HashMap<String, String>) -> String {
    let mut codes: Vec<&str> = kinds.values().map(String::as_str).collect();
    codes.sort_unstable();
    codes.dedup();
    codes.join("、")
}

fn judge_zone(mut candidate: Candidate, context: &ZoneContext) -> JudgedCandidate<ControlZone> {
    let row = candidate.row;
    let mut findings = long_texts(&candidate);
    let shape = judge_shape(&mut candidate, &context.shapes, &mut findings);
    let kind = judge_kind(&candidate, context, &mut findings);
    let id = kind.and_then(|kind| judge_number(&candidate, &kind, &mut findings));
    let division = judge_division(&candidate, id.as_ref(), context, &mut findings);
    let class = judge_class(&candidate, &mut findings);
    if let Some(stated) = &candidate.stated_area {
        findings.extend(check_stated(stated, row));
        findings.extend(shape.area.and_then(|computed| compare_areas(computed, stated.area, &stated.text, row)));
    }
    let drawn = candidate.value("source").filter(|s| s.contains("示意")).map(str::to_owned);
    let summary = shape.summary(&candidate, id.as_ref().map(ZoneId::to_string));
    let text = |candidate: &Candidate, name: &str| candidate.value(name).map(str::to_owned);
    let rules = ZoneRules {
        rule: text(&candidate, "rule"),
        spatial: text(&candidate, "spatial_rule"),
        pollution: text(&candidate, "pollution_rule"),
        risk: text(&candidate, "risk_rule"),
        resource: text(&candidate, "resource_rule"),
    };
    let shapeless = shape.shapeless;
    let made = match (id, division, shape.sound, shape.area) {
        (Some(id), Some(division), Some(boundary), Some(area)) => Some(ControlZone {
            id,
            division,
            class,
            rules,
            document_no: text(&candidate, "document_no"),
            boundary,
            area,
            stated_area: candidate.stated_area.map(|s| s.area.to_hectares()),
            illustrative: drawn.is_some(),
            source: drawn.unwrap_or_else(|| context.source.clone()),
            source_crs: candidate.crs.map(|c| c.to_string()),
            attributes: other_attributes(candidate.attributes),
            name: candidate.name,
        }),
        _ => None,
    };
    JudgedCandidate { summary, shapeless, made, findings }
}

/// Fields that the register keeps in a column of its own. The stated area stays among the attributes too: its unit is the paper's.
fn other_attributes(attributes: Vec<Attribute>) -> Vec<(String, String)> {
    let has_own_column = |a: &Attribute| {
        matches!(
            a.canonical,
            Some(
                "id" | "name"
                    | "kind"
                    | "management_class"
                    | "rule"
                    | "spatial_rule"
                    | "pollution_rule"
                    | "risk_rule"
                    | "resource_rule"
                    | "document_no"
                    | "source"
            )
        )
    };
    attributes
        .into_iter()
        .filter(|a| !has_own_column(a) && !a.value.is_empty())
        .map(|a| (a.field.to_string(), a.value))
        .collect()
}

/// The kind: the request's, else the file's word, else the one whose fields these are.
fn judge_kind(candidate: &Candidate, context: &ZoneContext, findings: &mut Vec<Finding>) -> Option<String> {
    let row = candidate.row;
    let told = candidate.value("kind");
    let read = told.and_then(|text| context.kinds.get(text.trim()).cloned());
    if let Some(kind) = &context.kind {
        if let Some(other) = read.filter(|read| read != kind) {
            let message = format!("第 {row} 条记录的管控类型是“{other}”，按指定的管控类型 {kind} 导入");
            findings.push(Finding::warning("zone_kind_overruled", Place::row(row).field("管控类型"), message));
        }
        return Some(kind.clone());
    }
    if let Some(text) = told {
        if read.is_none() {
            let shown: String = text.chars().take(40).collect();
            let message = format!("第 {row} 条记录的管控类型“{shown}”不认识；可用：{}", codes(&context.kinds));
            findings.push(Finding::error("zone_kind_unknown", Place::row(row).field("管控类型"), message));
        }
        return read;
    }
    let has = |word: &str| candidate.attributes.iter().any(|a| a.field.eq_ignore_ascii_case(word));
    let by_fields = if has("HJZHGKDYBM") || has("ZHGKDYFL") {
        Some(CONTROL_UNIT)
    } else if has("YJJBNTTBBH") {
        Some(FARMLAND)
    } else {
        None
    };
    if by_fields.is_none() {
        let message = format!(
            "第 {row} 条记录没有管控类型；请在文件中加上，或导入时指定（zone_kind）：{}",
            codes(&context.kinds)
        );
        findings.push(Finding::error("zone_kind_missing", Place::row(row), message));
    }
    by_fields.map(str::to_owned)
}

fn judge_number(candidate: &Candidate, kind: &str, findings: &mut Vec<Finding>) -> Option<ZoneId> {
    let row = candidate.row;
    let place = || Place::row(row).field("编号");
    let Some(number) = candidate.id.as_deref().map(str::trim).filter(|id| !id.is_empty()) else {
        let message = format!("第 {row} 条记录没有编号；管控区域以编号辨认，请先编号");
        findings.push(Finding::error("zone_no_missing", place(), message));
        return None;
    };
    // A file of ours may carry the whole id.
    let own = number.strip_prefix(kind).and_then(|rest| rest.strip_prefix('-')).filter(|rest| !rest.is_empty());
    let number = own.unwrap_or(number);
    if kind == CONTROL_UNIT && !number.starts_with(UNIT_PREFIX) {
        let message = format!("第 {row} 条记录的环境管控单元编码“{number}”不以 {UNIT_PREFIX} 开头，请核对");
        findings.push(Finding::warning("zone_no_unusual", place(), message));
    }
    match ZoneId::new(kind, number) {
        Ok(id) => Some(id),
        Err(reason) => {
            findings.push(Finding::error("id_invalid", place(), format!("第 {row} 条记录：{reason}")));
            None
        }
    }
}

/// Whose line it is: the request's division, else the narrowest that the file names (which has to be known: a county that is not
/// understood does not make the line the province's), else the county in a unit's code.
fn judge_division(
    candidate: &Candidate,
    id: Option<&ZoneId>,
    context: &ZoneContext,
    findings: &mut Vec<Finding>,
) -> Option<DivisionCode> {
    let row = candidate.row;
    let gazetteer = &context.gazetteer;
    let names = ["county_code", "county", "city", "province"];
    let told = names.iter().find_map(|name| candidate.value(name)).filter(|_| context.division.is_none());
    let found = context.division.clone().or_else(|| gazetteer.any_division(told?));
    // ZH, county, digits. [M]: only where the register knows the county.
    let in_code = || {
        let digits = id.filter(|id| id.kind() == CONTROL_UNIT)?.number().strip_prefix(UNIT_PREFIX)?.get(..6)?;
        gazetteer.any_division(digits)
    };
    let Some(division) = found.or_else(|| if told.is_none() { in_code() } else { None }) else {
        let place = Place::row(row).field("行政区划代码");
        findings.push(match told {
            Some(text) => {
                let shown: String = text.chars().take(40).collect();
                let message =
                    format!("第 {row} 条记录的行政区划“{shown}”不在行政区划表中（或有同名的）；请写 6 位代码");
                Finding::error("division_unknown", place, message)
            }
            None => {
                let message =
                    format!("第 {row} 条记录没有行政区划；请在文件中加上（行政区划代码），或导入时指定（county）");
                Finding::error("division_missing", place, message)
            }
        });
        return None;
    };
    if !context.jurisdiction.covers(&division) {
        let message = format!("第 {row} 条记录属 {division}，不在您的管辖范围内");
        findings.push(Finding::error("outside_jurisdiction", Place::row(row), message));
        return None;
    }
    Some(division)
}

fn judge_class(candidate: &Candidate, findings: &mut Vec<Finding>) -> Option<ManagementClass> {
    let text = candidate.value("management_class")?;
    let class = ManagementClass::parse(text);
    if class.is_none() {
        let (row, shown) = (candidate.row, text.chars().take(40).collect::<String>());
        let title = field_names::title("management_class").unwrap_or("单元分类");
        let message = format!("第 {row} 条记录的“{title}”应为 1、2、3 或优先、重点、一般，不是“{shown}”");
        findings.push(Finding::error("value_invalid", Place::row(row).field(title), message));
    }
    class
}

/// Zones of a file on one another: a fault of its drawing, told, but no bar: lines of several kinds may well lie on one another.
pub(super) fn overlaps(file: &FileRows<ControlZone>) -> Vec<Finding> {
    let mut findings = file.overlaps();
    for finding in findings.iter_mut().filter(|f| f.code == "overlap_within_file") {
        finding.severity = Severity::Warning;
    }
    findings
}

/// The zones against the register, staged; after this they can be written.
pub(super) async fn judge_against_register(
    connection: &mut PgConnection,
    judged: &mut Judged,
    file: &FileRows<ControlZone>,
    jurisdiction: &Jurisdiction,
) -> Result<UpsertCounts> {
    control_zones::stage(connection, &file.list).await?;
    let findings = super::absent::keep(connection, &judged.rows, &judged.absent).await?;
    judged.report.findings.extend(findings);
    let others = control_zones::list_standing_divisions(connection).await?;
    let others = others
        .iter()
        .filter(|(_, division)| DivisionCode::parse(division).is_ok_and(|division| !jurisdiction.covers(&division)));
    judged.report.findings.extend(others.map(|(id, division)| {
        let message = format!("登记库中的管控区域 {id} 属 {division}，不在您的管辖范围内，不能改动");
        Finding::error("outside_jurisdiction", Place::whole(), message)
    }));
    control_zones::preview_staged(connection).await
}
