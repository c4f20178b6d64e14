use std::collections::BTreeSet;

use chrono::NaiveDate;

use super::*;

/// The moves as the decision (docs/decisions/0011) has them: one row a state, one column a state in the same order; `x` = may
/// follow, `h` = only where it is the main state that is held, `.` = never. Written apart from the table in the code.
const TURNOVER: &str = "
    planned        . x . . . . . . . x . . .
    approved       . . x . . . . . . x x . .
    acquired       . . . x . . . . . x x . .
    serviced       . . . . x x . . . x x . .
    listed         . . . x . x . . . . x . .
    supplied       . . . x . . x . . . x x .
    delivered      . . . x . . . x . . x x .
    started        . . . . . . . . x . x x .
    completed      . . . . . . . . . . x . x
    withdrawn      . . . . . . . . . . . . .
    frozen         h h h h h h h h h . . . .
    idle           h h h x h h h x h . x . .
    low_efficiency h h h x h h h h h . x . .";

const LOW_EFFICIENCY: &str = "
    suspected      . x . . . . . . . . x .
    verified       . . x . . . . . . . x .
    publicised     . . . x . . . . . x . .
    recognised     . . . . x . . . . . . x
    planned        . . . x . x . . . . . x
    plan_approved  . . . . x . x . . . . x
    implementing   . . . . . . . x . . . x
    accepted       . . . . . . x . x . . .
    closed         . . . . . . . . . . . .
    objected       h x h h h h h h h . x .
    rejected       x . . . . . . . . . . .
    revoked        x . . . . . . . . . . .";

const PLAN: &str = "
    drafted        . x . . x
    submitted      x . x . x
    approved       x . . x x
    accepted       . . x . .
    cancelled      . . . . .";

fn matrix(ledger: Ledger) -> (Vec<&'static str>, Vec<Vec<&'static str>>) {
    let text = match ledger {
        Ledger::Turnover => TURNOVER,
        Ledger::LowEfficiency => LOW_EFFICIENCY,
        Ledger::Plan => PLAN,
    };
    let rows: Vec<Vec<&str>> =
        text.lines().map(|l| l.split_whitespace().collect()).filter(|r: &Vec<_>| !r.is_empty()).collect();
    (rows.iter().map(|r| r[0]).collect(), rows.iter().map(|r| r[1..].to_vec()).collect())
}

#[test]
fn every_state_against_every_state() {
    for ledger in Ledger::ALL {
        let machine = ledger.machine();
        let (codes, rows) = matrix(ledger);
        assert_eq!(machine.states.iter().map(|s| s.code).collect::<Vec<_>>(), codes, "{ledger:?}");
        let mut pairs = 0;
        for (from, row) in machine.states.iter().zip(&rows) {
            assert_eq!(row.len(), codes.len(), "{ledger:?} {}", from.code);
            let main = machine.states.iter().filter(|s| s.kind == StateKind::Main);
            let holds: Vec<Option<&State>> =
                if from.kind == StateKind::Side { main.map(Some).chain([None]).collect() } else { vec![None] };
            for (to, cell) in machine.states.iter().zip(row) {
                for held in &holds {
                    let step = Step { state: from, held: *held };
                    let expected = match *cell {
                        "x" => true,
                        "h" => held.is_some_and(|h| h.code == to.code),
                        "." => false,
                        other => panic!("{other}"),
                    };
                    let outcome = machine.apply(step, to);
                    assert_eq!(
                        outcome.is_ok(),
                        expected,
                        "{ledger:?}: {} (held {:?}) → {}",
                        from.code,
                        held.map(|h| h.code),
                        to.code
                    );
                    assert_eq!(machine.allowed(step).contains(&to), expected);
                    if let Err(finding) = outcome {
                        assert_eq!(finding.code, "transition_not_allowed");
                    }
                }
                pairs += 1;
            }
        }
        assert_eq!(pairs, codes.len() * codes.len());
    }
}

#[test]
fn a_refusal_says_what_is_allowed() {
    let machine = Ledger::Turnover.machine();
    let step = machine.step("listed", None).expect("step");
    let refused = machine.apply(step, machine.find("已竣工").expect("label")).expect_err("refused");
    assert_eq!(
        refused.message,
        "状态“已公告挂牌”不能转为“已竣工”；可以转为：净地（serviced）、已供应（supplied）、冻结（frozen）"
    );
    let ended = machine.apply(machine.step("withdrawn", None).expect("step"), &machine.states[0]).expect_err("refused");
    assert_eq!(ended.message, "状态“已撤批”不能转为“拟报批”；该状态是终点，不能再变更");
}

#[test]
fn a_side_state_gives_back_what_it_held() {
    let machine = Ledger::Turnover.machine();
    let go = |step, to: &str| machine.apply(step, machine.find(to).expect("state")).expect("allowed");
    let delivered = machine.step("delivered", None).expect("step");
    let idle = go(delivered, "idle");
    assert_eq!(idle.sets(), [DerivedSet::SuppliedNotUsed, DerivedSet::Idle]);
    let frozen = go(idle, "frozen");
    assert_eq!((frozen.held.map(|h| h.code), frozen.sets()), (Some("delivered"), vec![DerivedSet::SuppliedNotUsed]));
    assert_eq!(go(frozen, "delivered"), delivered);
    assert!(machine.apply(frozen, machine.find("started").expect("state")).is_err());
}

#[test]
fn a_quarter_leaves_states_out() {
    let machine = Ledger::Turnover.machine();
    let way = |from: &str, to: &str| {
        let way = machine.way(machine.step(from, None).expect("step"), machine.find(to).expect("state"));
        way.map(|way| way.iter().map(|s| s.code).collect::<Vec<_>>())
    };
    assert_eq!(way("approved", "supplied"), Some(vec!["acquired", "serviced", "listed", "supplied"]));
    assert_eq!(way("serviced", "supplied"), Some(vec!["supplied"]), "an allowed move is no detour");
    assert_eq!(way("approved", "withdrawn"), Some(vec!["withdrawn"]));
    assert_eq!(way("completed", "approved"), None);
    assert_eq!(way("approved", "idle"), None, "beside the way only by a move of its own");
    assert_eq!(way("withdrawn", "approved"), None);
}

/// Deterministic numbers for the histories below (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// The model: a parcel and its plan, kept as plain words by the matrices above and the rules of domain.md §6.
#[derive(Debug, Clone)]
struct Model {
    state: &'static str,
    held: Option<&'static str>,
    plan: Option<(&'static str, i64)>,
}

#[test]
fn random_histories_keep_to_the_model() {
    let seed = std::env::var("SIZHI_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_126);
    let mut random = Random(seed);
    let (codes, rows) = matrix(Ledger::LowEfficiency);
    let (plan_codes, plan_rows) = matrix(Ledger::Plan);
    let machine = Ledger::LowEfficiency.machine();
    let plans = Ledger::Plan.machine();
    let mut reached = BTreeSet::new();
    for history in 0..10_000 {
        let fail = |what: &str| format!("seed {seed}, history {history}: {what}");
        let mut model = Model { state: "suspected", held: None, plan: None };
        let mut step = machine.step("suspected", None).expect("first");
        for _ in 0..150 {
            match random.below(4) {
                // A plan is drawn up, or one of its steps is done.
                0 => match &mut model.plan {
                    None => model.plan = Some(("drafted", 2)),
                    Some((_, open)) => *open = (*open - 1).max(0),
                },
                1 => {
                    let Some((plan, open)) = model.plan else { continue };
                    let to = random.below(plan_codes.len());
                    let at = plan_codes.iter().position(|c| *c == plan).expect("known");
                    let past = |from: &[&str]| from.contains(&model.state);
                    let permitted = match plan_codes[to] {
                        "accepted" => open == 0,
                        "cancelled" => !past(&["planned", "plan_approved", "implementing", "accepted", "closed"]),
                        "drafted" | "submitted" => !past(&["plan_approved", "implementing", "accepted", "closed"]),
                        "approved" => !past(&["accepted", "closed"]),
                        _ => true,
                    };
                    let expected = plan_rows[at][to] == "x" && permitted;
                    let from = plans.step(plan, None).expect("known");
                    let moved = plans.apply(from, &plans.states[to]).is_ok()
                        && missing_for_plan(plan_codes[to], model.state, open).is_none();
                    assert_eq!(moved, expected, "{}", fail(&format!("plan {plan} → {} in {model:?}", plan_codes[to])));
                    if moved {
                        model.plan = (plan_codes[to] != "cancelled").then_some((plan_codes[to], open));
                    }
                }
                _ => {
                    let at = codes.iter().position(|c| *c == model.state).expect("known");
                    // Half of the moves are tried among those of the row, or no walk would get far.
                    let open: Vec<usize> = (0..codes.len()).filter(|to| rows[at][*to] != ".").collect();
                    let to = match random.below(2) {
                        0 if !open.is_empty() => open[random.below(open.len())],
                        _ => random.below(codes.len()),
                    };
                    let plan = model.plan.map(|(state, _)| state);
                    let permitted = match codes[to] {
                        "planned" => plan.is_some(),
                        "plan_approved" | "implementing" => matches!(plan, Some("approved" | "accepted")),
                        "accepted" | "closed" => plan == Some("accepted"),
                        _ => true,
                    };
                    let by_table = match rows[at][to] {
                        "x" => true,
                        "h" => model.held == Some(codes[to]),
                        _ => false,
                    };
                    let progress = model.plan.map(|(state, open_steps)| PlanProgress { state, open_steps });
                    let outcome = machine.apply(step, &machine.states[to]);
                    let moved = outcome.is_ok() && missing_for_parcel(codes[to], progress).is_none();
                    assert_eq!(
                        moved,
                        by_table && permitted,
                        "{}",
                        fail(&format!("{} → {} in {model:?}", model.state, codes[to]))
                    );
                    if moved {
                        step = outcome.expect("moved");
                        let side = codes[to] == "objected";
                        model.held = side.then(|| model.held.unwrap_or(model.state));
                        model.state = codes[to];
                    }
                }
            }
            assert_eq!((step.state.code, step.held.map(|h| h.code)), (model.state, model.held), "{}", fail("standing"));
            // What the ledger promises, whatever has happened.
            let plan = model.plan.map(|(state, _)| state);
            match model.state {
                "planned" => assert!(plan.is_some(), "{}", fail("planned without a plan")),
                "plan_approved" | "implementing" => {
                    assert!(
                        matches!(plan, Some("approved" | "accepted")),
                        "{}",
                        fail("goes by a plan that is not approved")
                    );
                }
                "accepted" | "closed" => {
                    assert_eq!(plan, Some("accepted"), "{}", fail("done without an accepted plan"))
                }
                _ => {}
            }
            reached.insert(model.state);
        }
    }
    // A walk that never gets far would hold nothing.
    assert_eq!(
        reached.len(),
        codes.len(),
        "seed {seed}: not reached: {:?}",
        codes.iter().filter(|c| !reached.contains(*c)).collect::<Vec<_>>()
    );
}

fn day(text: &str) -> NaiveDate {
    text.parse().expect("day")
}

#[test]
fn timers_of_waiting_and_overdue_land() {
    let machine = Ledger::Turnover.machine();
    let on = |state: &str, today: &str, facts: Facts| {
        Timers::on(day(today), machine.step(state, None).expect("state"), facts)
    };
    let approved = |text: &str| Facts { approved_on: Some(day(text)), ..Facts::default() };
    for (from, today, years, bucket) in [
        ("2024-11-27", "2026-11-26", 1, "1-2"),
        ("2024-11-26", "2026-11-26", 2, "2-3"),
        ("2026-11-26", "2026-11-26", 0, "0-1"),
        ("2021-11-26", "2026-11-26", 5, "5+"),
        ("2021-11-27", "2026-11-26", 4, "3-5"),
        ("2024-02-29", "2025-02-28", 1, "1-2"),
    ] {
        let timers = on("serviced", today, approved(from));
        assert_eq!(
            (timers.approval_age_years, timers.approval_age.map(AgeBucket::as_str)),
            (Some(years), Some(bucket)),
            "{from}"
        );
    }
    assert_eq!(on("serviced", "2024-01-01", approved("2024-01-02")).approval_age_years, None, "not yet approved then");
    assert_eq!(on("supplied", "2026-11-26", approved("2020-01-01")), Timers::default(), "supplied land does not wait");

    let agreed = Facts {
        agreed_start_on: Some(day("2025-06-01")),
        agreed_finish_on: Some(day("2026-06-01")),
        ..Facts::default()
    };
    let timers = on("delivered", "2026-06-02", agreed);
    assert_eq!(
        (timers.start_overdue_days, timers.finish_overdue_days, timers.idle_stage),
        (Some(366), Some(1), Some(IdleStage::OneYear))
    );
    assert_eq!(on("delivered", "2025-06-01", agreed).start_overdue_days, None, "the agreed day itself is in time");
    assert_eq!(on("delivered", "2026-05-31", agreed).idle_stage, None);
    assert_eq!(on("delivered", "2027-06-01", agreed).idle_stage, Some(IdleStage::TwoYears));
    let started = Facts { started_on: Some(day("2025-07-01")), ..agreed };
    assert_eq!(on("started", "2026-06-02", started).start_overdue_days, None);
    assert_eq!(
        on("started", "2025-06-11", started).start_overdue_days,
        Some(10),
        "on that day it had not been started"
    );
    assert_eq!(on("started", "2027-06-02", started).idle_stage, None, "started and not stopped");
}

#[test]
fn stopped_land_is_idle_only_where_little_was_built() {
    let machine = Ledger::Turnover.machine();
    let base = Facts { started_on: Some(day("2024-01-01")), stopped_on: Some(day("2025-01-01")), ..Facts::default() };
    let stage = |today: &str, facts: Facts| {
        Timers::on(day(today), machine.step("started", None).expect("state"), facts).idle_stage.map(IdleStage::as_str)
    };
    for (share, percent, expected) in [
        (Some(0.33), None, Some("one_year")),
        (Some(1.0 / 3.0), None, None),
        (Some(0.9), Some(24.9), Some("one_year")),
        (Some(0.9), Some(25.0), None),
        (None, None, None),
    ] {
        let facts = Facts { started_share: share, invested_percent: percent, ..base };
        assert_eq!(stage("2026-01-01", facts), expected, "{share:?} {percent:?}");
    }
    let little = Facts { started_share: Some(0.1), ..base };
    assert_eq!(stage("2025-12-31", little), None);
    assert_eq!(stage("2027-01-01", little), Some("two_years"));
}

#[test]
fn fields_and_states_are_named_once() {
    for ledger in Ledger::ALL {
        let names: BTreeSet<_> = ledger.fields().iter().map(|f| f.name).collect();
        assert_eq!(names.len(), ledger.fields().len(), "{ledger:?}");
        let titles: BTreeSet<_> = ledger.fields().iter().map(|f| f.title.zh).collect();
        assert_eq!(titles.len(), ledger.fields().len(), "{ledger:?}");
        for field in ledger.fields() {
            assert_eq!(field.name.ends_with("_m2"), field.kind == FieldKind::Area, "{}", field.name);
            assert_eq!(field.name.ends_with("_on"), field.kind == FieldKind::Date, "{}", field.name);
        }
        let labels: BTreeSet<_> = ledger.machine().states.iter().map(|s| s.label).collect();
        assert_eq!(labels.len(), ledger.machine().states.len());
        for state in ledger.machine().states {
            assert!(
                state.next.iter().all(|n| ledger.machine().find(n).is_some_and(|s| s.code == *n)),
                "{}",
                state.code
            );
        }
    }
}
