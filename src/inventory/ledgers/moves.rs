//! A record moves into another state, or its life ends.

use std::collections::HashMap;

use chrono::NaiveDate;
use sqlx::{PgConnection, PgPool};

use super::edit::invalid;
use super::{Deed, Done, begin, finish, not_found, open, seen};
use crate::domain::ledger::{
    PlanProgress, State, missing_for_parcel, missing_for_plan, parcel_moves_before, told_moves,
};
use crate::domain::text::misleads;
use crate::domain::{Finding, Ledger, Place};
use crate::error::{Error, Result};
use crate::exchange::text_encoding::compose;
use crate::store::ledgers::{self, Move, RecordState};

/// Longest text of a document number or a reason.
const MAX_CHARS: usize = 500;

/// A move as somebody asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct MoveRequest {
    /// Code or Chinese label of the state.
    pub to: String,
    /// Today, where nothing is said.
    pub effective_on: Option<NaiveDate>,
    pub document_no: Option<String>,
    pub reason: Option<String>,
}

/// Moves the record, or refuses and says what is allowed.
pub async fn transition(
    pool: &PgPool,
    deed: &Deed<'_>,
    ledger: Ledger,
    id: &str,
    wanted: &MoveRequest,
) -> Result<Done> {
    let (mut transaction, done) = begin(pool, deed).await?;
    if let Some(done) = done {
        return Ok(done);
    }
    let standing = seen(&mut transaction, ledger, id, deed).await?;
    let wish = Wish::of(ledger, deed, wanted)?;
    let beside = Beside::load(&mut transaction, ledger, &[id.to_owned()]).await?;
    let one = wish.judge(id, &standing, &beside).map_err(|finding| match finding.code.as_ref() {
        "transition_in_future" | "transition_before_last" => invalid(vec![finding]),
        _ => refused(finding),
    })?;
    let from = ledger.machine().find(&one.from).map_or("", |state| state.label);
    let reason = format!("{} {id}：{from} → {}", ledger.label(), wish.to.label);
    let revision = open(&mut transaction, deed, &reason).await?;
    ledgers::move_all(&mut transaction, ledger, &[one]).await?;
    finish(transaction, deed, Done { id: id.to_owned(), created: false, revision: Some(revision), replayed: false })
        .await
}

/// The state that somebody asks for, by code or label.
fn wanted_state(ledger: Ledger, wanted: &str) -> Result<&'static State> {
    let machine = ledger.machine();
    machine.find(wanted.trim()).ok_or_else(|| {
        let known: Vec<String> = machine.states.iter().map(|s| format!("{}（{}）", s.label, s.code)).collect();
        let shown: String = wanted.chars().filter(|c| !c.is_control()).take(40).collect();
        let message = format!("没有状态“{shown}”；可用：{}", known.join("、"));
        invalid(vec![Finding::error("state_unknown", Place::whole().field("to"), message)])
    })
}

/// One move, to be made by one record or by many.
pub(super) struct Wish {
    ledger: Ledger,
    pub to: &'static State,
    effective_on: Option<NaiveDate>,
    document_no: Option<String>,
    reason: Option<String>,
    today: NaiveDate,
    actor: String,
}

impl Wish {
    pub fn of(ledger: Ledger, deed: &Deed<'_>, wanted: &MoveRequest) -> Result<Self> {
        Ok(Self {
            ledger,
            to: wanted_state(ledger, &wanted.to)?,
            effective_on: wanted.effective_on,
            document_no: text(wanted.document_no.as_deref(), "document_no")?,
            reason: text(wanted.reason.as_deref(), "reason")?,
            today: deed.today,
            actor: deed.viewer.actor.clone(),
        })
    }

    /// The move of this record, or what is in its way: the table, the day, what its state would rest on.
    pub fn judge(&self, id: &str, standing: &RecordState, beside: &Beside) -> std::result::Result<Move, Finding> {
        let machine = self.ledger.machine();
        let unknown =
            || Finding::error("state_unknown", Place::whole().field("state"), "登记库中的状态无法识别".to_owned());
        let from = machine.step(&standing.state, standing.held.as_deref()).ok_or_else(unknown)?;
        let to = machine.apply(from, self.to)?;
        let on = dated(standing, self.effective_on, self.today)?;
        match beside.missing(self.ledger, id, to.state.code) {
            Some(missing) => Err(missing),
            None => Ok(Move {
                id: id.to_owned(),
                county: standing.county.clone(),
                from: from.state.code.to_owned(),
                to: to.state.code.to_owned(),
                held: to.held.map(|held| held.code.to_owned()),
                on,
                document_no: self.document_no.clone(),
                reason: self.reason.clone(),
                actor: self.actor.clone(),
            }),
        }
    }
}

fn refused(finding: Finding) -> Error {
    let code = match finding.code.as_ref() {
        "plan_required" => "plan_required",
        "plan_steps_open" => "plan_steps_open",
        "plan_in_use" => "plan_in_use",
        _ => "transition_not_allowed",
    };
    Error::Conflict { code, detail: finding.message.clone(), findings: vec![finding] }
}

/// The day of the move: not before the last one, not to come.
fn dated(
    standing: &RecordState,
    wanted: Option<NaiveDate>,
    today: NaiveDate,
) -> std::result::Result<NaiveDate, Finding> {
    let on = wanted.unwrap_or(today);
    let refuse =
        |code: &'static str, message: String| Err(Finding::error(code, Place::whole().field("effective_on"), message));
    if on > today {
        return refuse("transition_in_future", format!("变更日期 {on} 在今天（{today}）之后"));
    }
    match standing.state_on.max(standing.valid_from) {
        Some(last) if on < last => {
            refuse("transition_before_last", format!("变更日期 {on} 早于上一次变更的日期 {last}"))
        }
        _ => Ok(on),
    }
}

/// [`dated`], where a wrong day refuses the request.
pub(super) fn day(standing: &RecordState, wanted: Option<NaiveDate>, today: NaiveDate) -> Result<NaiveDate> {
    dated(standing, wanted, today).map_err(|finding| invalid(vec![finding]))
}

pub(in crate::inventory) fn text(text: Option<&str>, name: &str) -> Result<Option<String>> {
    let Some(text) = text.map(str::trim).filter(|t| !t.is_empty()) else { return Ok(None) };
    if text.chars().count() > MAX_CHARS || text.chars().any(misleads) {
        return Err(Error::invalid("value_invalid", format!("{name} 应为不超过 {MAX_CHARS} 个字的一行文字")));
    }
    Ok(Some(compose(text)))
}

/// What moves ask of the plans and parcels beside the records.
pub(super) struct Beside {
    /// By parcel: state and open steps of its plan in force.
    plans: HashMap<String, (String, i64)>,
    /// By plan: state of its parcel, and its own open steps.
    parcels: HashMap<String, (String, i64)>,
}

impl Beside {
    pub async fn load(connection: &mut PgConnection, ledger: Ledger, ids: &[String]) -> Result<Self> {
        let mut beside = Self { plans: HashMap::new(), parcels: HashMap::new() };
        match ledger {
            Ledger::Turnover => {}
            Ledger::LowEfficiency => beside.plans = ledgers::plan_progress(connection, ids).await?,
            Ledger::Plan => beside.parcels = ledgers::parcels_of_plans(connection, ids).await?,
        }
        Ok(beside)
    }

    /// What is missing for this state.
    fn missing(&self, ledger: Ledger, id: &str, to: &str) -> Option<Finding> {
        match ledger {
            Ledger::Turnover => None,
            Ledger::LowEfficiency => {
                let plan = self.plans.get(id).map(|(state, open)| PlanProgress { state, open_steps: *open });
                missing_for_parcel(to, plan)
            }
            Ledger::Plan => {
                let (parcel, open) = self.parcels.get(id).map_or(("", 0), |(state, open)| (state.as_str(), *open));
                missing_for_plan(to, parcel, open)
            }
        }
    }
}

/// Ends the record's life: it stays readable by its dates and its history.
pub async fn end_life(
    pool: &PgPool,
    deed: &Deed<'_>,
    ledger: Ledger,
    id: &str,
    on: Option<NaiveDate>,
    reason: Option<&str>,
) -> Result<Done> {
    let (mut transaction, done) = begin(pool, deed).await?;
    if let Some(done) = done {
        return Ok(done);
    }
    let standing = seen(&mut transaction, ledger, id, deed).await?;
    let on = day(&standing, on, deed.today)?;
    let said = text(reason, "reason")?;
    let plan = match ledger {
        Ledger::LowEfficiency => plan_to_end(&mut transaction, id, &standing, on, deed.today).await?,
        Ledger::Turnover | Ledger::Plan => None,
    };
    if ledger == Ledger::Plan
        && let Some(blocked) =
            Beside::load(&mut transaction, ledger, &[id.to_owned()]).await?.missing(ledger, id, "cancelled")
    {
        return Err(refused(blocked));
    }
    let why = said.as_ref().map(|said| format!("：{said}")).unwrap_or_default();
    let with = plan.as_ref().map(|plan| format!("及其{} {plan}", Ledger::Plan.label())).unwrap_or_default();
    let revision = open(&mut transaction, deed, &format!("终止{} {id}{with}{why}", ledger.label())).await?;
    ledgers::end(&mut transaction, ledger, id, on, "ended").await?;
    if let Some(plan) = &plan {
        ledgers::end(&mut transaction, Ledger::Plan, plan, on, "ended").await?;
    }
    finish(transaction, deed, Done { id: id.to_owned(), created: false, revision: Some(revision), replayed: false })
        .await
}

/// The plan that ends with its parcel: a closed parcel cannot leave its plan, nor the plan it. In other states the plan has to be ended
/// first, and the refusal says how.
async fn plan_to_end(
    connection: &mut PgConnection,
    parcel: &str,
    standing: &RecordState,
    on: NaiveDate,
    today: NaiveDate,
) -> Result<Option<String>> {
    let Some(plan) = ledgers::plan_of(connection, parcel).await? else { return Ok(None) };
    let first = match parcel_moves_before("cancelled", &standing.state) {
        Some([]) => format!("请先终止再开发方案 {plan}，再终止地块"),
        Some(moves) => format!("请先把地块{}，然后终止再开发方案 {plan}，再终止地块", told_moves(moves)),
        None => {
            let state = ledgers::lock_state(connection, Ledger::Plan, &plan).await?;
            let state = state.ok_or_else(|| not_found(Ledger::Plan, &plan))?;
            // The plan's last move too lies before its end.
            day(&state, Some(on), today)?;
            return Ok(Some(plan));
        }
    };
    Err(Error::conflict("plan_in_use", format!("该地块还有再开发方案（一宗一策），不能终止；{first}")))
}
