//! Timers of turnover land, for any day: how long approved land waits, what is overdue, what is idle by the rule
//! (闲置土地处置办法, domain.md §1). They show; nothing is decided by them.

use chrono::{Months, NaiveDate};

use super::machine::{DerivedSet, Step};

/// What the timers look at.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Facts {
    pub approved_on: Option<NaiveDate>,
    pub agreed_start_on: Option<NaiveDate>,
    pub started_on: Option<NaiveDate>,
    pub agreed_finish_on: Option<NaiveDate>,
    pub finished_on: Option<NaiveDate>,
    pub stopped_on: Option<NaiveDate>,
    /// Share of the supplied (else computed) area that was started, 0 to 1.
    pub started_share: Option<f64>,
    pub invested_percent: Option<f64>,
}

/// How long approved land has not been supplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgeBucket {
    UnderOne,
    OneToTwo,
    TwoToThree,
    ThreeToFive,
    FiveAndMore,
}

impl AgeBucket {
    pub const ALL: [AgeBucket; 5] = [
        AgeBucket::UnderOne,
        AgeBucket::OneToTwo,
        AgeBucket::TwoToThree,
        AgeBucket::ThreeToFive,
        AgeBucket::FiveAndMore,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            AgeBucket::UnderOne => "0-1",
            AgeBucket::OneToTwo => "1-2",
            AgeBucket::TwoToThree => "2-3",
            AgeBucket::ThreeToFive => "3-5",
            AgeBucket::FiveAndMore => "5+",
        }
    }
}

/// Idle by the rule: suspected until the bureau recognises it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleStage {
    /// One year and more: fee of 20 % of the price.
    OneYear,
    /// Two years and more: taken back without payment.
    TwoYears,
}

impl IdleStage {
    pub fn as_str(self) -> &'static str {
        match self {
            IdleStage::OneYear => "one_year",
            IdleStage::TwoYears => "two_years",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Timers {
    /// Approved land that is not supplied: full years since the approval.
    pub approval_age_years: Option<i32>,
    pub approval_age: Option<AgeBucket>,
    /// Days past the agreed start of what has not been started.
    pub start_overdue_days: Option<i64>,
    /// Days past the agreed finish of what has not been finished.
    pub finish_overdue_days: Option<i64>,
    pub idle_stage: Option<IdleStage>,
}

impl Timers {
    /// On this day, as far as the facts go.
    pub fn on(day: NaiveDate, standing: Step, facts: Facts) -> Self {
        let sets = standing.sets();
        let supplied = sets.contains(&DerivedSet::SuppliedNotUsed) || sets.contains(&DerivedSet::Used);
        let had = |date: Option<NaiveDate>| date.is_some_and(|d| d <= day);
        let approval_age_years = facts
            .approved_on
            .filter(|from| sets.contains(&DerivedSet::ApprovedNotSupplied) && *from <= day)
            .map(|from| full_years(from, day));
        let started = had(facts.started_on) || sets.contains(&DerivedSet::Used) && facts.started_on.is_none();
        let overdue = |agreed: Option<NaiveDate>, done: bool| {
            agreed.filter(|agreed| supplied && !done && *agreed < day).map(|agreed| (day - agreed).num_days())
        };
        let finished = had(facts.finished_on) || standing_is(standing, "completed") && facts.finished_on.is_none();
        Self {
            approval_age_years,
            approval_age: approval_age_years.map(bucket),
            start_overdue_days: overdue(facts.agreed_start_on, started),
            finish_overdue_days: overdue(facts.agreed_finish_on, finished),
            idle_stage: idle(day, supplied && !finished, started, facts),
        }
    }
}

fn standing_is(standing: Step, code: &str) -> bool {
    standing.state.code == code || standing.held.is_some_and(|held| held.code == code)
}

/// One year past the agreed start without a start; or stopped for a year with less than a third of the area started or less than a
/// quarter invested.
fn idle(day: NaiveDate, applies: bool, started: bool, facts: Facts) -> Option<IdleStage> {
    let barely =
        facts.started_share.is_some_and(|share| share < 1.0 / 3.0) || facts.invested_percent.is_some_and(|p| p < 25.0);
    let since = if started { facts.stopped_on.filter(|_| barely) } else { facts.agreed_start_on };
    let since = since.filter(|since| applies && *since <= day)?;
    match full_years(since, day) {
        0 => None,
        1 => Some(IdleStage::OneYear),
        _ => Some(IdleStage::TwoYears),
    }
}

fn bucket(years: i32) -> AgeBucket {
    match years {
        i32::MIN..=0 => AgeBucket::UnderOne,
        1 => AgeBucket::OneToTwo,
        2 => AgeBucket::TwoToThree,
        3 | 4 => AgeBucket::ThreeToFive,
        _ => AgeBucket::FiveAndMore,
    }
}

/// Full years from one day to a later one; a 29 February counts on the 28th, as PostgreSQL's intervals do.
fn full_years(from: NaiveDate, to: NaiveDate) -> i32 {
    let guess = chrono::Datelike::year(&to) - chrono::Datelike::year(&from);
    let reached = from.checked_add_months(Months::new(u32::try_from(guess).unwrap_or(0) * 12));
    if reached.is_some_and(|reached| reached <= to) { guess } else { guess - 1 }
}
