//! Redevelopment plans: entered for a parcel, corrected, with their steps.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::{Map, Value};
use sqlx::{PgConnection, PgPool};

use super::edit::{Edit, Mode, Written, invalid, record_id};
use super::moves::text;
use super::{Deed, Done, begin, check_jurisdiction, finish, must_be_new, open, seen};
use crate::domain::{DivisionCode, Finding, Ledger, Place};
use crate::error::{Error, Result};
use crate::inventory::import;
use crate::store::ledgers::{self, PlanRecord, RecordState, StepRecord};

/// Steps of one plan.
const MAX_STEPS: usize = 200;

/// A step as a client gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct StepInput {
    pub task: String,
    pub due_on: Option<NaiveDate>,
    pub done_on: Option<NaiveDate>,
    pub note: Option<String>,
}

pub(super) async fn write(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    edit: &Edit,
    properties: Map<String, Value>,
    standing: Option<RecordState>,
) -> Result<Written> {
    let id = record_id(edit, &properties)?;
    let (fields, findings) = read_fields(&properties);
    if !findings.is_empty() {
        return Err(invalid(findings));
    }
    let county = match &standing {
        Some(standing) => standing.county.clone(),
        None => id.division().to_string(),
    };
    let code = DivisionCode::parse(&county).map_err(|cause| Error::internal("登记库中的县区代码不合规则", cause))?;
    check_jurisdiction(deed.viewer, &code)?;
    let parcel = parcel_of(connection, edit, &properties, &id.to_string(), &county).await?;
    let name = match properties.get("name") {
        Some(value) => text(value.as_str(), "name")?,
        None if edit.mode == Mode::Merge => ledgers::name_of(connection, Ledger::Plan, &id.to_string()).await?,
        None => None,
    };
    let given: Vec<&str> = match edit.mode {
        Mode::Merge => properties.keys().filter_map(|name| Ledger::Plan.field(name)).map(|f| f.name).collect(),
        Mode::Create | Mode::Replace => Ledger::Plan.fields().iter().map(|f| f.name).collect(),
    };
    let plan = PlanRecord {
        id: id.to_string(),
        county,
        number: id.number().to_owned(),
        name,
        parcel,
        fields,
        source: deed.source.clone(),
    };
    let created = edit.mode == Mode::Create;
    let done = |revision| Done { id: plan.id.clone(), created, revision, replayed: false };
    if !created && !ledgers::plan_differs(connection, &plan, &given).await? {
        return Ok(Written { done: done(None), remarks: Vec::new() });
    }
    let verb = if created { "登记" } else { "修改" };
    let revision = open(connection, deed, &format!("{verb}再开发方案 {id}")).await?;
    ledgers::upsert_plan(connection, &plan, &given, Some(deed.today)).await?;
    let mut remarks = import::ratios(Ledger::Plan, |name| plan.fields.get(name));
    let pairs = ledgers::list_plan_out_of_order(connection, &plan.id).await?;
    let told = pairs.iter().filter(|p| plan.fields.contains_key(p.first) || plan.fields.contains_key(p.second));
    remarks.extend(told.map(|pair| import::out_of_order(Ledger::Plan, pair, import::Called::ByName, None)));
    Ok(Written { done: done(Some(revision)), remarks })
}

/// The parcel of the plan: named by a new one, unchangeable later; one plan in force per parcel (一宗一策).
async fn parcel_of(
    connection: &mut PgConnection,
    edit: &Edit,
    properties: &Map<String, Value>,
    id: &str,
    county: &str,
) -> Result<String> {
    let named = properties.get("parcel_id").and_then(Value::as_str).map(str::trim).filter(|p| !p.is_empty());
    if edit.mode != Mode::Create {
        let (held, _) = ledgers::find_plan(connection, id).await?.ok_or_else(|| super::not_found(Ledger::Plan, id))?;
        if named.is_some_and(|named| named != held) {
            return Err(Error::conflict("plan_parcel_fixed", "方案所属的地块不能改；请作废本方案，为另一地块新编方案"));
        }
        return Ok(held);
    }
    must_be_new(connection, Ledger::Plan, id).await?;
    let Some(parcel) = named else {
        return Err(Error::invalid("property_missing", "缺少属性“parcel_id”：方案所属的低效用地地块"));
    };
    let Some(standing) = ledgers::lock_state(connection, Ledger::LowEfficiency, parcel).await? else {
        return Err(super::not_found(Ledger::LowEfficiency, parcel));
    };
    if standing.county != county {
        return Err(Error::invalid(
            "county_invalid",
            format!("地块 {parcel} 属于 {}，方案的县区应与之相同", standing.county),
        ));
    }
    if ledgers::plan_progress(connection, &[parcel.to_owned()]).await?.contains_key(parcel) {
        let detail = format!("地块 {parcel} 已有再开发方案（一宗一策）；请修改原方案，或先将其作废");
        return Err(Error::conflict("plan_exists", detail));
    }
    Ok(parcel.to_owned())
}

type Fields = BTreeMap<&'static str, crate::domain::ledger::FieldValue>;

fn read_fields(properties: &Map<String, Value>) -> (Fields, Vec<Finding>) {
    let (mut fields, mut findings) = (BTreeMap::new(), Vec::new());
    for (name, value) in properties {
        let Some(field) = Ledger::Plan.field(name) else { continue };
        let told = match value {
            Value::Null => continue,
            Value::String(text) if text.trim().is_empty() => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let too_long = told.chars().count() > 10_000;
        match field.kind.parse(&told) {
            Ok(value) if !too_long && !told.chars().any(|c| c.is_control() && c != '\n') => {
                fields.insert(field.name, value);
            }
            Ok(_) => findings.push(Finding::error(
                "value_invalid",
                Place::whole().field(name),
                format!("“{name}”太长或含有控制字符"),
            )),
            Err(expected) => {
                let shown: String = told.chars().take(40).collect();
                let message = format!("“{name}”应为{expected}，不是“{shown}”");
                findings.push(Finding::error("value_invalid", Place::whole().field(name), message));
            }
        }
    }
    (fields, findings)
}

/// Puts these steps in the place of the plan's own; the plan's version changes with them.
pub async fn replace_steps(pool: &PgPool, deed: &Deed<'_>, id: &str, steps: &[StepInput]) -> Result<Done> {
    let (mut transaction, done) = begin(pool, deed).await?;
    if let Some(done) = done {
        return Ok(done);
    }
    let standing = seen(&mut transaction, Ledger::Plan, id, deed).await?;
    if matches!(standing.state.as_str(), "accepted" | "cancelled") {
        return Err(Error::conflict("plan_closed", "方案已验收或作废，步骤不能再改"));
    }
    if steps.len() > MAX_STEPS {
        return Err(Error::invalid("value_invalid", format!("步骤最多 {MAX_STEPS} 个")));
    }
    let mut records = Vec::with_capacity(steps.len());
    for (at, step) in (1..).zip(steps) {
        let Some(task) = text(Some(&step.task), "task")? else {
            return Err(Error::invalid("value_invalid", format!("第 {at} 个步骤没有写任务（task）")));
        };
        if step.done_on.is_some_and(|done| done > deed.today) {
            return Err(Error::invalid(
                "value_invalid",
                format!("第 {at} 个步骤的完成日期在今天（{}）之后", deed.today),
            ));
        }
        records.push(StepRecord {
            task,
            due_on: step.due_on,
            done_on: step.done_on,
            note: text(step.note.as_deref(), "note")?,
        });
    }
    if ledgers::list_steps(&mut transaction, id).await? == records {
        let done = Done { id: id.to_owned(), created: false, revision: None, replayed: false };
        return finish(transaction, deed, done).await;
    }
    let revision = open(&mut transaction, deed, &format!("修改再开发方案 {id} 的步骤")).await?;
    ledgers::replace_steps(&mut transaction, id, &standing.county, &records).await?;
    ledgers::touch(&mut transaction, Ledger::Plan, id).await?;
    finish(transaction, deed, Done { id: id.to_owned(), created: false, revision: Some(revision), replayed: false })
        .await
}
