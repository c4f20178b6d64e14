//! A change takes a step: sent to review, put on notice, approved, rejected, withdrawn, sent back.

use chrono::{Days, NaiveDate};
use sqlx::{PgConnection, PgPool};

use super::{Outcome, Seen, approve, end, invalid, replayed, seen_change, standing_of};
use crate::domain::access::{Jurisdiction, Viewer};
use crate::domain::boundary_change::{
    Calendar, Duty, NOTE_LENGTH, NOTICE_WORKING_DAYS, State, TITLE_LENGTH, check_day, check_move, duties,
};
use crate::domain::lifecycle::ParkStatus;
use crate::domain::{Finding, Place, Severity};
use crate::error::{Error, Result};
use crate::inventory::boundary_change::proposal::{differs_before, line};
use crate::inventory::ledgers::{self, Deed, Done};
use crate::store::as_of;
use crate::store::boundary_changes::{self, ChangeRow, NewStep};

/// A step as somebody asks for it.
#[derive(Debug, Clone, Default)]
pub struct MoveRequest {
    /// Code or Chinese label of the state.
    pub to: String,
    /// Today, where nothing is said.
    pub on: Option<NaiveDate>,
    /// Of an approval: since when the boundary applies; the day of the step, where nothing is said.
    pub effective_on: Option<NaiveDate>,
    pub document_no: Option<String>,
    pub document_title: Option<String>,
    pub note: Option<String>,
    /// The register's revision whose assessment was looked at: the proposal rests on it from now on.
    pub assessed_revision: Option<i64>,
    /// Instead of `If-Match`.
    pub seen: Seen,
    pub dry_run: bool,
}

/// The texts and days of a step, checked.
struct Step {
    to: State,
    on: NaiveDate,
    document_no: Option<String>,
    document_title: Option<String>,
    note: Option<String>,
}

/// Takes the step, or refuses and says what is in the way.
pub async fn transition(pool: &PgPool, deed: &Deed<'_>, id: &str, wanted: &MoveRequest) -> Result<Outcome> {
    let to = wanted_state(&wanted.to)?;
    if to == State::Approved && !deed.viewer.role.writes() {
        let detail = format!("批准会改写登记库，“{}”没有进行这一操作的权限", deed.viewer.role.label());
        return Err(Error::Forbidden { code: "role_insufficient", detail });
    }
    // An approval moves parcels of every county that the land lies in, as an import of blocks does; whose park it is, is asked of the
    // change itself.
    let everywhere = Viewer { jurisdiction: Jurisdiction::Everywhere, ..deed.viewer.clone() };
    let writer = Deed { viewer: if to == State::Approved { &everywhere } else { deed.viewer }, ..deed.clone() };
    let (mut transaction, done) = ledgers::begin(pool, &writer).await?;
    if let Some(done) = done {
        return replayed(&mut transaction, done).await;
    }
    let (done, warnings) = transition_within(&mut transaction, deed, &writer, id, to, wanted).await?;
    end(transaction, &writer, done, wanted.dry_run, warnings).await
}

/// [`transition`] as one of several deeds of the transaction, which speaks for everywhere.
pub(in crate::inventory) async fn transition_joined(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    id: &str,
    wanted: &MoveRequest,
) -> Result<Vec<Finding>> {
    let to = wanted_state(&wanted.to)?;
    let wanted = MoveRequest { seen: Some(as_of::newest(connection).await?), ..wanted.clone() };
    let (_, warnings) = transition_within(connection, deed, deed, id, to, &wanted).await?;
    Ok(warnings)
}

/// As if the change, which is open, had been approved, whatever has to come before: for what-if alone, in a transaction that is let go.
pub(in crate::inventory) async fn suppose_joined(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    id: &str,
    on: NaiveDate,
) -> Result<()> {
    let seen = Some(as_of::newest(connection).await?);
    let mut change = seen_change(connection, &Deed { version: None, ..deed.clone() }, id, seen).await?;
    standing_of(connection, deed.viewer, &change.park).await?;
    ledgers::one_day(connection, deed, &[change.park.to_string()], on).await?;
    let from = change.state;
    if !from.is_open() {
        let detail = format!("调区扩区 {id} 已是“{}”，不能再假定批准", from.label());
        return Err(Error::conflict("transition_not_allowed", detail));
    }
    (change.state, change.state_on, change.effective_on) = (State::Approved, on, Some(on));
    let step = NewStep {
        from: Some(from),
        to: State::Approved,
        on,
        document_no: None,
        document_title: None,
        note: Some("推演"),
        base_revision: change.base_revision,
        actor: &deed.viewer.actor,
    };
    boundary_changes::add_step(connection, id, &step).await?;
    approve::write(connection, deed, &change, on, &step).await?;
    settle_park(connection, &mut change).await
}

async fn transition_within(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    writer: &Deed<'_>,
    id: &str,
    to: State,
    wanted: &MoveRequest,
) -> Result<(Done, Vec<Finding>)> {
    let mut change = seen_change(connection, deed, id, wanted.seen).await?;
    // The change keeps the divisions of its proposal; the park may lie elsewhere by now, and is others' to decide on then. Who proposed it
    // takes it back all the same: it stands in the others' way.
    let standing = match to {
        State::Withdrawn => None,
        _ => Some(standing_of(connection, deed.viewer, &change.park).await?),
    };
    let from = change.state;
    if let Some(finding) = check_move(from, to) {
        let detail = finding.message.clone();
        return Err(Error::Conflict { code: "transition_not_allowed", detail, findings: vec![finding] });
    }
    let step = checked(&change, to, wanted, deed.today)?;
    let base = as_of::newest(connection).await?;
    look_at_base(connection, &mut change, wanted.assessed_revision, base, to).await?;
    let mut warnings = Vec::new();
    let effective_on = match to {
        State::Approved => {
            // It is overwritten now, whatever the register has come to say since the proposal.
            warnings.extend(differs_before(&change.areas, standing.and_then(|park| park.approved())));
            ledgers::one_day(connection, deed, &[change.park.to_string()], step.on).await?;
            Some(effective_day(&change, &step, wanted, deed.today)?)
        }
        _ => None,
    };
    (change.state, change.state_on, change.effective_on) = (to, step.on, effective_on);
    settle_notice(connection, &mut change, &step, &mut warnings).await?;

    let why = format!("{} {id}：{} {} → {}", change.kind.label(), change.park_name, from.label(), to.label());
    let revision = ledgers::open(connection, writer, &why).await?;
    let new_step = NewStep {
        from: Some(from),
        to,
        on: step.on,
        document_no: step.document_no.as_deref(),
        document_title: step.document_title.as_deref(),
        note: step.note.as_deref(),
        base_revision: change.base_revision,
        actor: &deed.viewer.actor,
    };
    boundary_changes::add_step(connection, id, &new_step).await?;
    if let Some(on) = effective_on {
        approve::write(connection, deed, &change, on, &new_step).await?;
    }
    settle_park(connection, &mut change).await?;
    boundary_changes::set_state(connection, &change).await?;
    let done = Done { id: id.to_owned(), created: false, revision: Some(revision), replayed: false };
    Ok((done, warnings))
}

fn wanted_state(text: &str) -> Result<State> {
    State::parse(text.trim()).ok_or_else(|| {
        let known: Vec<String> = State::ALL.iter().map(|s| format!("{}（{}）", s.label(), s.as_str())).collect();
        let shown: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
        let message = format!("没有状态“{shown}”；可用：{}", known.join("、"));
        let finding = Finding::error("state_unknown", Place::whole().field("to"), message);
        Error::Invalid { code: "state_unknown", detail: finding.message.clone(), findings: vec![finding] }
    })
}

fn checked(change: &ChangeRow, to: State, wanted: &MoveRequest, today: NaiveDate) -> Result<Step> {
    let mut findings = Vec::new();
    let mut text =
        |name: &str, text: Option<&String>, most: usize| text.and_then(|text| line(name, text, most, &mut findings));
    let document_no = text("document_no", wanted.document_no.as_ref(), TITLE_LENGTH);
    let document_title = text("document_title", wanted.document_title.as_ref(), TITLE_LENGTH);
    let note = text("note", wanted.note.as_ref(), NOTE_LENGTH);
    for duty in duties(change.state, to) {
        let (field, given, what) = match duty {
            Duty::DocumentNo => ("document_no", document_no.is_some(), "文号"),
            Duty::Note => ("note", note.is_some(), "原因"),
        };
        if !given {
            let message = format!("转为“{}”要写明{what}（{field}）", to.label());
            findings.push(Finding::error("member_missing", Place::whole().field(field), message));
        }
    }
    let on = wanted.on.unwrap_or(today);
    findings.extend(check_day("on", on, change.state_on, today));
    if wanted.effective_on.is_some() && to != State::Approved {
        let message = "effective_on 只用于批准";
        findings.push(Finding::error("member_unknown", Place::whole().field("effective_on"), message));
    }
    if findings.iter().any(|f| f.severity == Severity::Error) {
        return Err(invalid(findings));
    }
    Ok(Step { to, on, document_no, document_title, note })
}

/// The register under the proposal has moved on: an approval must be decided on what stands, not on what stood.
async fn look_at_base(
    connection: &mut PgConnection,
    change: &mut ChangeRow,
    assessed: Option<i64>,
    newest: i64,
    to: State,
) -> Result<()> {
    if let Some(assessed) = assessed {
        if assessed > newest {
            let detail = format!("assessed_revision {assessed} 所指的修订还没有产生；最新的修订是 {newest}");
            return Err(Error::invalid("revision_unknown", detail));
        }
        change.base_revision = change.base_revision.max(assessed);
    }
    if to != State::Approved {
        return Ok(());
    }
    let moved = boundary_changes::blocks_changed_since(connection, &change.park, change.base_revision).await?;
    if moved.is_empty() {
        return Ok(());
    }
    let told = |(id, revision): &(String, i64)| {
        Finding::error("changed_since", Place::whole(), format!("区块 {id} 在修订 {revision} 中又被修改"))
    };
    Err(Error::Conflict {
        code: "base_moved",
        detail: format!(
            "方案依据的界线（修订 {}）之后，该园区有 {} 个区块又被修改；请重新查看评估（assessment），并在 assessed_revision 中写明评估所依据的修订",
            change.base_revision,
            moved.len()
        ),
        findings: moved.iter().take(20).map(told).collect(),
    })
}

/// The day from which the boundary applies: the notice is over, and the day itself is not to come.
fn effective_day(change: &ChangeRow, step: &Step, wanted: &MoveRequest, today: NaiveDate) -> Result<NaiveDate> {
    let until = change
        .notice_until
        .ok_or_else(|| Error::Internal {
            detail: "登记库中调区扩区的公示没有截止日".to_owned(), cause: None
        })?;
    let first = until.checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX);
    if step.on < first {
        let message = format!(
            "公示至 {until}（{NOTICE_WORKING_DAYS} 个工作日，自公布次日起算），最早 {first} 可以批准，不能在 {} 批准",
            step.on
        );
        let finding = Finding::error("notice_running", Place::whole().field("on"), message.clone());
        return Err(Error::Conflict { code: "notice_running", detail: message, findings: vec![finding] });
    }
    let on = wanted.effective_on.unwrap_or(step.on);
    match check_day("effective_on", on, step.on, today) {
        None => Ok(on),
        Some(finding) => Err(invalid(vec![finding])),
    }
}

/// A notice begins with its step and is counted by the calendar as it stands; sent back, it has to be given anew.
async fn settle_notice(
    connection: &mut PgConnection,
    change: &mut ChangeRow,
    step: &Step,
    warnings: &mut Vec<Finding>,
) -> Result<()> {
    match step.to {
        State::Proposed | State::JointReview => (change.notice_from, change.notice_until) = (None, None),
        State::PublicNotice => {
            let days = boundary_changes::list_days(connection, Some(step.on - Days::new(366)), None).await?;
            let calendar = Calendar::new(days.into_iter().map(|day| (day.day, day.is_working)));
            let until = calendar
                .notice_until(step.on)
                .ok_or_else(|| Error::invalid("value_invalid", "公示日期超出可计算的范围"))?;
            for year in calendar.unknown_years(step.on, until) {
                let message =
                    format!("工作日历中没有 {year} 年的放假安排，公示期只扣除了周末；请运维人员补充后再核对截止日");
                warnings.push(Finding::warning("calendar_unknown", Place::whole().field("on"), message));
            }
            (change.notice_from, change.notice_until) = (Some(step.on), Some(until));
        }
        State::Approved | State::Rejected | State::Withdrawn => {}
    }
    Ok(())
}

/// The park is 调整中 from the joint review on, and what it was before once the change is no more dealt with.
async fn settle_park(connection: &mut PgConnection, change: &mut ChangeRow) -> Result<()> {
    match (change.state.adjusts_park(), change.park_status_before) {
        (true, None) => {
            let standing = boundary_changes::list_standing(connection, &change.park).await?;
            change.park_status_before = Some(standing.map_or(ParkStatus::Active, |standing| standing.status));
            boundary_changes::set_park(connection, &change.park, ParkStatus::UnderAdjustment, None).await
        }
        (false, Some(_)) => {
            boundary_changes::close_park(connection, change).await?;
            change.park_status_before = None;
            Ok(())
        }
        _ => Ok(()),
    }
}
