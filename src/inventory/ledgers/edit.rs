//! A feature becomes a record, or changes one: by the same judgement as a file of one row.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use sqlx::{PgConnection, PgPool};

use super::{Deed, Done, begin, check_jurisdiction, finish, must_be_new, open, parse_id, plans, properties, seen};
use crate::domain::access::Viewer;
use crate::domain::{DivisionCode, Finding, Ledger, Place, RecordId, Severity};
use crate::error::{Error, Result};
use crate::exchange::{ReadOptions, Vocabulary, geojson};
use crate::geometry::crs::Crs;
use crate::inventory::import::{self, FeatureRequest};
use crate::store::{self, divisions, ledgers};

/// What an edit does with what the client does not speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// POST: a new record.
    Create,
    /// PUT: what is not given is cleared.
    Replace,
    /// PATCH: what is not given stays.
    Merge,
}

/// One edit of one record.
#[derive(Debug, Clone)]
pub struct Edit {
    pub ledger: Ledger,
    /// `None` for a new record, whose properties name county and number.
    pub id: Option<String>,
    /// A GeoJSON feature; for a merge as much of it as changes.
    pub feature: Value,
    pub mode: Mode,
    /// Errors that the client insists on.
    pub allow: Vec<String>,
    /// The system that the client says the geometry is in, easting or longitude first; `None` = as a file of GeoJSON is read.
    pub crs: Option<Crs>,
}

/// What an edit wrote, and what its judge has to say of it beside.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub done: Done,
    /// Warnings and remarks; errors that the client insisted on are among them. None of a repeated request.
    pub remarks: Vec<Finding>,
}

/// Writes the edit as one revision.
pub async fn write_feature(pool: &PgPool, deed: &Deed<'_>, edit: Edit) -> Result<Written> {
    check_allow(&edit)?;
    let properties = properties::read(&edit)?;
    let (mut transaction, done) = begin(pool, deed).await?;
    if let Some(done) = done {
        return Ok(Written { done, remarks: Vec::new() });
    }
    let written = write_within(&mut transaction, deed, &edit, properties).await?;
    let done = finish(transaction, deed, written.done).await?;
    Ok(Written { done, ..written })
}

/// [`write_feature`] of the record as it stands, as one of several deeds of a transaction that speaks for everywhere: the record is
/// written, and what lies near it is told, as the deed's own viewer may.
pub(in crate::inventory) async fn write_joined(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    edit: Edit,
) -> Result<Written> {
    check_allow(&edit)?;
    let properties = properties::read(&edit)?;
    store::speak_for(connection, deed.viewer).await?;
    let version = match &edit.id {
        Some(id) => ledgers::lock_state(connection, edit.ledger, id).await?.map(|standing| standing.revision),
        None => None,
    };
    let written = write_within(connection, &Deed { version, ..deed.clone() }, &edit, properties).await?;
    // The next deed of the transaction finds the stage empty: it would take these rows for its own.
    if edit.ledger != Ledger::Plan {
        ledgers::unstage(connection, ledgers::Stage::of(edit.ledger, 1)).await?;
    }
    store::speak_for(connection, &Viewer::operator(&deed.viewer.actor)).await?;
    Ok(written)
}

fn check_allow(edit: &Edit) -> Result<()> {
    if let Some(code) = edit.allow.iter().find(|code| !import::ALLOWABLE_IN_LEDGERS.contains(&code.as_str())) {
        let known = import::ALLOWABLE_IN_LEDGERS.join("、");
        return Err(Error::invalid("allow_not_possible", format!("不能放行“{code}”；可放行的代码：{known}")));
    }
    Ok(())
}

async fn write_within(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    edit: &Edit,
    properties: Map<String, Value>,
) -> Result<Written> {
    let standing = match (&edit.id, edit.mode) {
        (Some(id), _) => Some(seen(connection, edit.ledger, id, deed).await?),
        (None, _) => None,
    };
    let feature = properties::written(edit, deed.today, standing.as_ref(), properties)?;
    match edit.ledger {
        Ledger::Plan => plans::write(connection, deed, edit, feature, standing).await,
        Ledger::Turnover | Ledger::LowEfficiency => write_parcel(connection, deed, edit, feature, standing).await,
    }
}

async fn write_parcel(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    edit: &Edit,
    mut feature: Map<String, Value>,
    standing: Option<ledgers::RecordState>,
) -> Result<Written> {
    let id = record_id(edit, &feature)?;
    check_jurisdiction(deed.viewer, &standing.as_ref().map_or(Ok(id.division().clone()), |s| county(&s.county))?)?;
    if edit.mode == Mode::Create {
        must_be_new(connection, edit.ledger, &id.to_string()).await?;
        // The judgement would number the record by the real county, where another record may stand under that number.
        if let Some(real) = divisions::real(connection, id.division()).await? {
            let detail = format!("{} 是统计用区或已撤并的代码，台账按实际县区编号：请用 {real}", id.division());
            return Err(Error::invalid("county_invalid", detail));
        }
    }
    // A code means nothing without its system: a correction of the code alone is one within the system that stands.
    if edit.mode == Mode::Merge
        && feature.contains_key("land_use_code")
        && !feature.contains_key("land_use_system")
        && let Some(system) = ledgers::land_use_system_of(connection, edit.ledger, &id.to_string()).await?
    {
        feature.insert("land_use_system".into(), json!(system));
    }
    let judged = judge(connection, deed, edit, &feature).await?;
    let done = Done { id: id.to_string(), created: edit.mode == Mode::Create, revision: None, replayed: false };
    if !judged.differs {
        return Ok(Written { done: Done { created: false, ..done }, remarks: judged.remarks });
    }
    let verb = if edit.mode == Mode::Create { "登记" } else { "修改" };
    let revision = open(connection, deed, &format!("{verb}{} {id}", edit.ledger.label())).await?;
    ledgers::upsert_staged(connection, ledgers::Stage::of(edit.ledger, 1), 1).await?;
    Ok(Written { done: Done { revision: Some(revision), ..done }, remarks: judged.remarks })
}

fn county(text: &str) -> Result<DivisionCode> {
    DivisionCode::parse(text).map_err(|cause| Error::internal("登记库中的县区代码不合规则", cause))
}

pub(super) fn invalid(findings: Vec<Finding>) -> Error {
    let count = findings.iter().filter(|f| f.severity == Severity::Error).count();
    let first = findings.iter().find(|f| f.severity == Severity::Error);
    let detail = match (first, count) {
        (Some(only), 1) => only.message.clone(),
        (Some(first), n) => format!("{}（共 {n} 处问题，见 findings）", first.message),
        (None, _) => "请求内容有误".to_owned(),
    };
    Error::Invalid { code: "feature_refused", detail, findings }
}

/// The id: of the address, else of county and number.
pub(super) fn record_id(edit: &Edit, properties: &Map<String, Value>) -> Result<RecordId> {
    if let Some(id) = &edit.id {
        return parse_id(id, edit.ledger);
    }
    let text = |name: &str| match properties.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let missing = |name: &str| Error::invalid("property_missing", format!("缺少属性“{name}”"));
    let division = DivisionCode::parse(&text("county_code").ok_or_else(|| missing("county_code"))?)
        .map_err(|reason| Error::invalid("county_invalid", reason.to_string()))?;
    if !division.is_county() {
        return Err(Error::invalid("county_invalid", format!("{division} 不是县区代码；台账按县区编号")));
    }
    let number = text("number").ok_or_else(|| missing("number"))?;
    RecordId::new(division, &number).map_err(|reason| Error::invalid("id_invalid", reason.to_string()))
}

/// What was judged and staged.
struct Judged {
    differs: bool,
    remarks: Vec<Finding>,
}

async fn judge(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    edit: &Edit,
    properties: &Map<String, Value>,
) -> Result<Judged> {
    let id = record_id(edit, properties)?;
    let mut properties = properties.clone();
    // A number as it is on paper, and the county that gave it: with those a file of one row is judged like any other.
    properties.insert("number".into(), json!(id.number()));
    properties.insert("county_code".into(), json!(id.division().as_str()));
    let geometry = edit.feature.get("geometry").filter(|g| !g.is_null()).cloned();
    let takes_away = edit.feature.get("geometry").is_some_and(Value::is_null);
    if geometry.is_none() && (edit.mode != Mode::Merge || takes_away) {
        let place = Place::whole().field("geometry");
        return Err(invalid(vec![Finding::error("geometry_missing", place, "要素没有图形")]));
    }
    let mut given: HashSet<&str> = properties.keys().map(String::as_str).collect();
    if geometry.is_some() {
        given.insert("geom");
    }
    let absent: Vec<&'static str> = match edit.mode {
        Mode::Create | Mode::Replace => Vec::new(),
        Mode::Merge => ledgers::optional(edit.ledger).into_iter().filter(|name| !is_given(name, &given)).collect(),
    };
    let text = json!({"type": "Feature", "properties": texts(&properties), "geometry": geometry}).to_string();
    let options = ReadOptions { vocabulary: Vocabulary::Ledger(edit.ledger), crs: edit.crs, ..ReadOptions::default() };
    let mut reading = geojson::read(text.as_bytes(), &options);
    reading.findings.retain(|f| f.code != "geometry_missing");
    let request = FeatureRequest {
        ledger: edit.ledger,
        reading,
        absent,
        inherit: ledgers::Inherit::FromAny,
        allow: edit.allow.clone(),
        jurisdiction: deed.viewer.jurisdiction.clone(),
        actor: deed.viewer.actor.clone(),
        today: deed.today,
    };
    let judged = import::judge_feature(connection, Arc::new(request)).await?;
    let refused = judged.findings.iter().any(|f| f.severity == Severity::Error);
    let findings: Vec<Finding> = judged.findings.into_iter().map(of_the_feature).collect();
    if refused {
        return Err(invalid(findings));
    }
    Ok(Judged { differs: judged.differs, remarks: findings })
}

/// There is one feature: its row tells nothing.
fn of_the_feature(mut finding: Finding) -> Finding {
    finding.place.row = None;
    finding.message =
        finding.message.replace("第 1 条记录的", "").replace("第 1 条记录：", "").replace("第 1 条记录", "要素");
    finding
}

fn is_given(name: &str, given: &HashSet<&str>) -> bool {
    match name {
        "stated_area" => given.contains("stated_area_m2"),
        "land_use_system" => given.contains("land_use_system") || given.contains("land_use_code"),
        name => given.contains(name),
    }
}

/// Values as the reader of files wants them; a null is an empty cell.
pub(super) fn texts(properties: &Map<String, Value>) -> Map<String, Value> {
    properties
        .iter()
        .map(|(name, value)| {
            // The park on paper goes by another name in files, where 所填园区 would be ours.
            let name = if name == "stated_park" { "park_name" } else { name };
            (name.to_owned(), if value.is_null() { json!("") } else { value.clone() })
        })
        .collect()
}
