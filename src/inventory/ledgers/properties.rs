//! The properties of a submitted feature: which there are, what may stand in each, and which of them a client writes. What a client
//! says and the register does not take is told, never passed over; only what the register finds by itself is, since a feature that was
//! read may come back whole.

use std::collections::HashSet;

use chrono::NaiveDate;
use serde_json::{Map, Value};

use super::edit::{Edit, Mode, invalid};
use crate::domain::ledger::FieldKind;
use crate::domain::{Finding, Ledger, Place};
use crate::error::{Error, Result};
use crate::layers::declaration;
use crate::store::ledgers::RecordState;

/// Findings that are listed; a body of 5 MB may have half a million.
const LISTED: usize = 100;

/// Findings up to [`LISTED`], and how many more there were.
#[derive(Default)]
struct Told {
    findings: Vec<Finding>,
    more: usize,
}

impl Told {
    fn push(&mut self, finding: impl FnOnce() -> Finding) {
        if self.findings.len() < LISTED {
            self.findings.push(finding());
        } else {
            self.more += 1;
        }
    }

    fn end(mut self) -> Result<()> {
        if self.findings.is_empty() {
            return Ok(());
        }
        if self.more > 0 {
            let message = format!("另有 {} 处问题没有列出；请先改正列出的问题", self.more);
            self.findings.push(Finding::error("too_many_findings", Place::whole(), message));
        }
        Err(invalid(self.findings))
    }
}

fn at(property: &str) -> Place {
    Place::whole().field(property)
}

/// The properties, each of a name and a type that the layer has. Looks at nothing in the register, so that nobody waits for it.
pub(super) fn read(edit: &Edit) -> Result<Map<String, Value>> {
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
    let mut told = Told::default();
    if let (Some(id), Some(given)) = (&edit.id, feature.get("id"))
        && !(given.is_null() || given == id)
    {
        told.push(|| Finding::error("property_fixed", at("id"), "要素的 id 与地址中的编号不同；编号登记后不能改"));
    }
    let mut kept = Map::new();
    for (name, value) in properties {
        if !known.contains(name.as_str()) {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
            told.push(|| {
                let message = format!("不认识属性“{shown}”；可用的属性见 schema");
                Finding::error("property_unknown", at(&shown), message)
            });
        } else if value.is_object() || value.is_array() && name != "derived_sets" && name != "steps" {
            told.push(|| Finding::error("value_invalid", at(name), format!("属性“{name}”不能是对象或数组")));
        } else if let Some(expected) = expected(edit, name).filter(|expected| !expected.fits(value)) {
            told.push(|| {
                let message = format!("属性“{name}”应为{}，不是 {value}", expected.label());
                Finding::error("value_invalid", at(name), message)
            });
        } else {
            kept.insert(name.clone(), value.clone());
        }
    }
    told.end()?;
    Ok(kept)
}

/// The type of JSON in which a property comes. A number or a yes may also be written as on paper.
#[derive(Clone, Copy)]
enum Expected {
    Text,
    Number,
    Flag,
    /// A number on paper: 430121, 12.
    Code,
}

impl Expected {
    fn fits(self, value: &Value) -> bool {
        match value {
            Value::Null | Value::String(_) => true,
            Value::Number(_) => matches!(self, Expected::Number | Expected::Code),
            Value::Bool(_) => matches!(self, Expected::Flag),
            Value::Array(_) | Value::Object(_) => false,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Expected::Text => "文字",
            Expected::Number => "数",
            Expected::Flag => "true 或 false",
            Expected::Code => "文字（编号）",
        }
    }
}

/// `None` for what the register tells by itself.
fn expected(edit: &Edit, name: &str) -> Option<Expected> {
    if let Some(field) = edit.ledger.field(name) {
        return Some(match field.kind {
            FieldKind::Text | FieldKind::Choice(_) | FieldKind::Date => Expected::Text,
            FieldKind::Area | FieldKind::Number | FieldKind::Year => Expected::Number,
            FieldKind::Boolean => Expected::Flag,
        });
    }
    match name {
        "number" | "county_code" => Some(Expected::Code),
        "stated_area_m2" => Some(Expected::Number),
        "name" | "parcel_id" | "stated_park" | "state" | "held_state" | "state_on" => Some(Expected::Text),
        _ => None,
    }
}

/// Of these properties those that the client writes; what it may not change of a record that stands is told.
pub(super) fn written(
    edit: &Edit,
    today: NaiveDate,
    standing: Option<&RecordState>,
    properties: Map<String, Value>,
) -> Result<Map<String, Value>> {
    let mut told = Told::default();
    let mut kept = Map::new();
    for (name, value) in properties {
        match standing {
            Some(standing) => told_of_standing(edit, standing, &name, &value, &mut told),
            None => told_of_new(edit, today, &name, &value, &mut told),
        }
        if is_written(edit, &name) {
            kept.insert(name, value);
        }
    }
    told.end()?;
    Ok(kept)
}

fn told_of_standing(edit: &Edit, standing: &RecordState, name: &str, value: &Value, told: &mut Told) {
    if is_fixed(edit, standing, name, value) {
        told.push(|| {
            let message =
                format!("“{name}”登记后不能直接改；编号或县区有误请终止本条另行登记，状态请用 transitions 变更");
            Finding::error("property_fixed", at(name), message)
        });
    }
    if name == "state" && value.as_str() != Some(standing.state.as_str()) {
        told.push(|| {
            let message = "状态不能直接修改；请用 transitions 变更，并写明日期和依据";
            Finding::error("state_by_transition", at(name), message)
        });
    }
}

/// A plan begins today, being drafted; a parcel may come from paper in any state.
fn told_of_new(edit: &Edit, today: NaiveDate, name: &str, value: &Value, told: &mut Told) {
    if edit.ledger != Ledger::Plan || value.is_null() {
        return;
    }
    let (begins, first) = match name {
        "state" => (value == "drafted", "“编制中”（drafted）"),
        "state_on" => (*value == today.to_string(), "登记当天"),
        _ => return,
    };
    if !begins {
        told.push(|| {
            let message = format!("新方案从{first}开始；以后的状态请用 transitions 变更，并写明日期和依据");
            Finding::error("state_by_transition", at(name), message)
        });
    }
}

/// What a record is known by is not changed under its id; to pass it over in silence would look like a change.
fn is_fixed(edit: &Edit, standing: &RecordState, name: &str, value: &Value) -> bool {
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
