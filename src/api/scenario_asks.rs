//! What a scenario's deeds ask for: each member of `operations` → a deed. The members are those of the deed's own address.

use serde_json::{Map, Value};

use super::boundary_changes::{self, PROPOSAL, TRANSITION};
use super::edits::day;
use super::json_body::Members;
use super::params::shorten;
use super::park_events;
use crate::domain::{Finding, Ledger, Place};
use crate::error::{Error, Result};
use crate::inventory::ledgers::{Edit, Mode};
use crate::inventory::scenarios::{MOST_OPERATIONS, Operation};

/// Words of `op`.
pub const KINDS: [&str; 3] = ["park_event", "boundary_change", "parcel"];

/// The deeds, or the place of the first that is none.
pub fn operations_of(list: &[Value]) -> Result<Vec<Operation>> {
    if list.len() > MOST_OPERATIONS {
        let detail = format!("一个方案至多 {MOST_OPERATIONS} 项操作，给出了 {} 项", list.len());
        return Err(Error::invalid("value_invalid", detail));
    }
    (1..).zip(list).map(|(number, value)| operation_of(value).map_err(|error| at(number, error))).collect()
}

/// The same refusal with its place among the deeds.
fn at(number: u64, error: Error) -> Error {
    let (code, detail) = (error.code(), error.to_string());
    let findings = match error.findings() {
        [] => vec![Finding::error(code, Place::row(number).field("operations"), detail.clone())],
        told => told.to_vec(),
    };
    Error::Invalid { code, detail: format!("第 {number} 项操作：{detail}"), findings }
}

fn operation_of(value: &Value) -> Result<Operation> {
    let mut object =
        value.as_object().cloned().ok_or_else(|| Error::invalid("member_invalid", "每项操作应为 JSON 对象"))?;
    let kind = match object.remove("op") {
        Some(Value::String(kind)) => kind,
        _ => return Err(Error::invalid("member_missing", format!("缺少成员 op（{}）", KINDS.join("、")))),
    };
    match kind.as_str() {
        "park_event" => event_of(object),
        "boundary_change" => boundary_of(object),
        "parcel" => parcel_of(object),
        other => {
            let detail = format!("op 应为 {} 之一，不是“{}”", KINDS.join("、"), shorten(other));
            Err(Error::invalid("member_invalid", detail))
        }
    }
}

/// What goes with a trial of its own is the scenario's here.
fn refuse(object: &Map<String, Value>, names: &[&str]) -> Result<()> {
    match names.iter().find(|name| object.contains_key(**name)) {
        None => Ok(()),
        Some(name) => Err(Error::invalid("member_unknown", format!("方案的操作不能有成员 {name}"))),
    }
}

fn event_of(object: Map<String, Value>) -> Result<Operation> {
    refuse(&object, &["dry_run", "seen_revision"])?;
    let wanted = park_events::request_of(Value::Object(object).to_string().as_bytes())?;
    Ok(Operation::Event(Box::new(wanted)))
}

fn boundary_of(mut object: Map<String, Value>) -> Result<Operation> {
    let steps = match object.remove("steps") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(steps)) if steps.len() <= 10 => steps,
        Some(_) => return Err(Error::invalid("member_invalid", "成员 steps 应为列表，至多 10 步")),
    };
    let steps = steps.iter().map(|step| {
        let members = Members::parse(step.to_string().as_bytes(), &TRANSITION)?;
        boundary_changes::move_of(&members, false)
    });
    let steps = steps.collect::<Result<Vec<_>>>()?;
    let on = match object.remove("on") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(day("on", &text)?),
        Some(_) => return Err(Error::invalid("member_invalid", "成员 on 应为日期")),
    };
    if let Some(id) = object.get("id") {
        let id = id.as_str().filter(|id| !id.contains('\0')).map(str::to_owned);
        let id = id.ok_or_else(|| Error::invalid("member_invalid", "成员 id 应为调区扩区的编号"))?;
        if let Some(other) = object.keys().find(|name| *name != "id") {
            let detail = format!("已提出的调区扩区只写 id、steps、on，不能有成员“{}”", shorten(other));
            return Err(Error::invalid("member_unknown", detail));
        }
        return Ok(Operation::Decision { id, steps, on });
    }
    let members = Members::parse(Value::Object(object).to_string().as_bytes(), &PROPOSAL)?;
    let park = boundary_changes::park_of("park", &members.needed_text("park")?)?;
    let draft = Box::new(boundary_changes::draft_of(&members)?);
    Ok(Operation::Boundary { park, draft, steps, on })
}

fn parcel_of(object: Map<String, Value>) -> Result<Operation> {
    let body = Value::Object(object).to_string();
    let members = Members::parse(body.as_bytes(), &["collection", "id", "feature", "allow"])?;
    let collection = members.needed_text("collection")?;
    let ledger = Ledger::of_layer(&collection).filter(|ledger| *ledger != Ledger::Plan).ok_or_else(|| {
        let detail =
            format!("collection 应为 turnover_parcels 或 low_efficiency_parcels，不是“{}”", shorten(&collection));
        Error::invalid("member_invalid", detail)
    })?;
    let id = members.text("id")?;
    let feature = members.value("feature").filter(|feature| feature.is_object()).cloned();
    let feature = feature.ok_or_else(|| Error::invalid("member_missing", "缺少成员 feature（GeoJSON 要素）"))?;
    let mode = if id.is_some() { Mode::Merge } else { Mode::Create };
    let allow = members.texts("allow")?.unwrap_or_default();
    Ok(Operation::Parcel(Box::new(Edit { ledger, id, feature, mode, allow, crs: None })))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_deed_is_named_by_its_place() {
        let good = json!({"op": "park_event", "kind": "revoked", "park": "S437001"});
        for (wrong, code) in [
            (json!(1), "member_invalid"),
            (json!({}), "member_missing"),
            (json!({"op": "dance"}), "member_invalid"),
            (json!({"op": "park_event", "kind": "revoked"}), "member_missing"),
            (json!({"op": "park_event", "kind": "revoked", "park": "S437001", "dry_run": true}), "member_unknown"),
            (json!({"op": "boundary_change"}), "member_missing"),
            (json!({"op": "boundary_change", "id": "BC-2026-0001", "park": "S437001"}), "member_unknown"),
            (
                json!({"op": "boundary_change", "id": "BC-2026-0001", "steps": [{"to": "approved", "when": "x"}]}),
                "member_unknown",
            ),
            (json!({"op": "parcel", "collection": "parks", "feature": {}}), "member_invalid"),
            (json!({"op": "parcel", "collection": "turnover_parcels"}), "member_missing"),
        ] {
            let error = operations_of(&[good.clone(), wrong.clone()]).expect_err("wrong");
            assert_eq!(error.code(), code, "{wrong}");
            assert!(error.to_string().starts_with("第 2 项操作："), "{error}");
        }
        let many = vec![good; MOST_OPERATIONS + 1];
        assert_eq!(operations_of(&many).expect_err("many").code(), "value_invalid");
        assert_eq!(operations_of(&many[1..]).expect("as many as may be").len(), MOST_OPERATIONS);
    }
}
