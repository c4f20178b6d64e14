//! A feature becomes a record, or changes one: by the same judgement as a file of one row.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use sqlx::{PgConnection, PgPool};

use super::{Deed, Done, begin, check_jurisdiction, finish, open, parse_id, plans, seen};
use crate::domain::{DivisionCode, Finding, Ledger, Place, RecordId, Severity};
use crate::error::{Error, Result};
use crate::exchange::{ReadOptions, Vocabulary, geojson};
use crate::inventory::import::{self, FeatureRequest};
use crate::layers::declaration;
use crate::store::{divisions, ledgers};

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
}

/// Writes the edit as one revision.
pub async fn write_feature(pool: &PgPool, deed: &Deed<'_>, edit: Edit) -> Result<Done> {
    if let Some(code) = edit.allow.iter().find(|code| !import::ALLOWABLE_IN_LEDGERS.contains(&code.as_str())) {
        let known = import::ALLOWABLE_IN_LEDGERS.join("、");
        return Err(Error::invalid("allow_not_possible", format!("不能放行“{code}”；可放行的代码：{known}")));
    }
    let (mut transaction, done) = begin(pool, deed).await?;
    if let Some(done) = done {
        return Ok(done);
    }
    let standing = match (&edit.id, edit.mode) {
        (Some(id), _) => Some(seen(&mut transaction, edit.ledger, id, deed).await?),
        (None, _) => None,
    };
    let feature = prepare(&edit, standing.as_ref())?;
    if edit.ledger == Ledger::Plan {
        let done = plans::write(&mut transaction, deed, &edit, feature, standing).await?;
        return finish(transaction, deed, done).await;
    }
    let id = record_id(&edit, &feature)?;
    check_jurisdiction(deed.viewer, &standing.as_ref().map_or(Ok(id.division().clone()), |s| county(&s.county))?)?;
    if edit.mode == Mode::Create && ledgers::lock_state(&mut transaction, edit.ledger, &id.to_string()).await?.is_some()
    {
        let detail = format!("{}“{id}”已经存在；修改请用 PUT 或 PATCH", edit.ledger.label());
        return Err(Error::conflict("record_exists", detail));
    }
    // The judgement would number the record by the real county, where another record may stand under that number.
    if edit.mode == Mode::Create
        && let Some(real) = divisions::real(&mut transaction, id.division()).await?
    {
        let detail = format!("{} 是统计用区或已撤并的代码，台账按实际县区编号：请用 {real}", id.division());
        return Err(Error::invalid("county_invalid", detail));
    }
    let judged = judge(&mut transaction, deed, &edit, &feature).await?;
    if !judged.differs {
        return finish(transaction, deed, Done { id: id.to_string(), created: false, revision: None, replayed: false })
            .await;
    }
    let reason = match edit.mode {
        Mode::Create => format!("登记{} {id}", edit.ledger.label()),
        Mode::Replace | Mode::Merge => format!("修改{} {id}", edit.ledger.label()),
    };
    let revision = open(&mut transaction, deed, &reason).await?;
    ledgers::upsert_staged(&mut transaction, edit.ledger, 1).await?;
    let done =
        Done { id: id.to_string(), created: edit.mode == Mode::Create, revision: Some(revision), replayed: false };
    finish(transaction, deed, done).await
}

fn county(text: &str) -> Result<DivisionCode> {
    DivisionCode::parse(text).map_err(|cause| Error::internal("登记库中的县区代码不合规则", cause))
}

/// The feature with property names checked; what the register finds by itself is left out.
pub(super) fn prepare(edit: &Edit, standing: Option<&ledgers::RecordState>) -> Result<Map<String, Value>> {
    let Value::Object(feature) = &edit.feature else {
        return Err(Error::invalid("feature_invalid", "请求内容应为一个 GeoJSON 要素（Feature）"));
    };
    if feature.get("type").is_some_and(|t| t != "Feature") || feature.get("type").is_none() && edit.mode != Mode::Merge
    {
        return Err(Error::invalid("feature_invalid", "请求内容应为一个 GeoJSON 要素：{\"type\": \"Feature\", …}"));
    }
    let empty = Map::new();
    let properties = match feature.get("properties") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(properties)) => properties,
        Some(_) => return Err(Error::invalid("feature_invalid", "要素的 properties 应为对象")),
    };
    let layer = declaration::find(edit.ledger.layer());
    let known: HashSet<&str> =
        layer.iter().flat_map(|l| l.properties).map(|p| p.name).chain(["valid_from", "valid_to"]).collect();
    let mut kept = Map::new();
    let mut findings = Vec::new();
    for (name, value) in properties {
        if !known.contains(name.as_str()) {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
            findings.push(Finding::error(
                "property_unknown",
                Place::whole().field(&shown),
                format!("不认识属性“{shown}”；可用的属性见 schema"),
            ));
            continue;
        }
        if value.is_object() || value.is_array() && name != "derived_sets" && name != "steps" {
            findings.push(Finding::error(
                "value_invalid",
                Place::whole().field(name),
                format!("属性“{name}”不能是对象或数组"),
            ));
            continue;
        }
        if let Some(standing) = standing
            && is_fixed(edit, standing, name, value)
        {
            let message =
                format!("“{name}”登记后不能直接改；编号或县区有误请终止本条另行登记，状态请用 transitions 变更");
            findings.push(Finding::error("property_fixed", Place::whole().field(name), message));
        }
        if let ("state", Some(standing)) = (name.as_str(), standing)
            && value.as_str() != Some(standing.state.as_str())
        {
            let message = "状态不能直接修改；请用 transitions 变更，并写明日期和依据".to_owned();
            findings.push(Finding::error("state_by_transition", Place::whole().field("state"), message));
        }
        if edit.ledger == Ledger::Plan
            && standing.is_none()
            && name == "state"
            && !value.is_null()
            && value != "drafted"
        {
            let message =
                "新方案从“编制中”（drafted）开始；以后的状态请用 transitions 变更，并写明日期和依据".to_owned();
            findings.push(Finding::error("state_by_transition", Place::whole().field("state"), message));
        }
        if is_written(edit, name) {
            kept.insert(name.clone(), value.clone());
        }
    }
    if findings.is_empty() { Ok(kept) } else { Err(invalid(findings)) }
}

/// What a record is known by is not changed under its id; to pass it over in silence would look like a change.
fn is_fixed(edit: &Edit, standing: &ledgers::RecordState, name: &str, value: &Value) -> bool {
    let id = edit.id.as_deref().unwrap_or_default();
    let held = match name {
        "id" => id,
        "county_code" => standing.county.as_str(),
        "number" => id.split_once('-').map_or(id, |(_, number)| number),
        "held_state" => return value.as_str() != standing.held.as_deref(),
        "state_on" => return value.as_str() != standing.state_on.map(|day| day.to_string()).as_deref(),
        _ => return false,
    };
    value.as_str() != Some(held)
}

/// Properties that a client writes; the rest is told by the register.
fn is_written(edit: &Edit, name: &str) -> bool {
    let of_plan = edit.ledger == Ledger::Plan && name == "parcel_id";
    let of_parcel = edit.ledger != Ledger::Plan && matches!(name, "stated_area_m2" | "stated_park");
    let of_new =
        edit.mode == Mode::Create && matches!(name, "number" | "county_code" | "state" | "held_state" | "state_on");
    name == "name" || of_plan || of_parcel || of_new || edit.ledger.field(name).is_some()
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
    let options = ReadOptions { vocabulary: Vocabulary::Ledger(edit.ledger), ..ReadOptions::default() };
    let mut reading = geojson::read(text.as_bytes(), &options);
    reading.findings.retain(|f| f.code != "geometry_missing");
    let request = FeatureRequest {
        ledger: edit.ledger,
        reading,
        absent,
        allow: edit.allow.clone(),
        jurisdiction: deed.viewer.jurisdiction.clone(),
        actor: deed.viewer.actor.clone(),
        today: deed.today,
    };
    let judged = import::judge_feature(connection, Arc::new(request)).await?;
    if judged.findings.iter().any(|f| f.severity == Severity::Error) {
        let findings = judged.findings.into_iter().map(|mut finding| {
            // There is one feature: its row tells nothing.
            finding.place.row = None;
            finding.message = finding
                .message
                .replace("第 1 条记录的", "")
                .replace("第 1 条记录：", "")
                .replace("第 1 条记录", "要素");
            finding
        });
        return Err(invalid(findings.collect()));
    }
    Ok(Judged { differs: judged.differs })
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
