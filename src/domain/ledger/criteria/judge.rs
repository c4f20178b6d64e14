//! Applying a set to a parcel: each criterion met, not met, or not to be told; and what follows from that.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::decimal::Decimal;
use super::set::{Combination, Comparison, CriteriaSet, Criterion, Threshold};
use super::unit::Unit;
use crate::domain::ledger::field::{FieldKind, FieldValue};

/// A parcel's fields by name; what is empty is missing.
pub type Facts = BTreeMap<&'static str, FieldValue>;

/// A value of a parcel.
pub type Fact = FieldValue;

/// What a criterion says of a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Met,
    NotMet,
    /// The field is empty.
    CannotTell,
}

impl Answer {
    pub fn as_str(self) -> &'static str {
        match self {
            Answer::Met => "met",
            Answer::NotMet => "not_met",
            Answer::CannotTell => "cannot_tell",
        }
    }

    /// 符合, 不符合, 无法判断.
    pub fn label(self) -> &'static str {
        match self {
            Answer::Met => "符合",
            Answer::NotMet => "不符合",
            Answer::CannotTell => "无法判断",
        }
    }
}

/// What the whole set says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overall {
    LowEfficient,
    NotLowEfficient,
    /// An empty field could decide it.
    Undecided,
}

impl Overall {
    pub fn as_str(self) -> &'static str {
        match self {
            Overall::LowEfficient => "low_efficient",
            Overall::NotLowEfficient => "not_low_efficient",
            Overall::Undecided => "undecided",
        }
    }

    /// 低效, 不低效, 尚不能判断.
    pub fn label(self) -> &'static str {
        match self {
            Overall::LowEfficient => "低效",
            Overall::NotLowEfficient => "不低效",
            Overall::Undecided => "尚不能判断",
        }
    }
}

/// What the judge says of one parcel.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub overall: Overall,
    /// One for each criterion of the set, in its order.
    pub answers: Vec<Answer>,
    /// Of each criterion, whether its group holds: that group is a reason.
    pub in_holding_group: Vec<bool>,
    /// Of each criterion, whether it is an empty field that keeps its group open.
    pub is_open: Vec<bool>,
}

impl Verdict {
    /// The criteria of `set` that are met and carry the verdict.
    pub fn reasons<'a>(&self, set: &'a CriteriaSet) -> impl Iterator<Item = &'a Criterion> {
        let met = self.answers.iter().zip(&self.in_holding_group).map(|(a, holds)| *a == Answer::Met && *holds);
        set.criteria.iter().zip(met.collect::<Vec<_>>()).filter(|(_, met)| *met).map(|(criterion, _)| criterion)
    }

    /// The kinds of low efficiency that the reasons speak of, each once.
    pub fn kinds(&self, set: &CriteriaSet) -> Vec<&'static str> {
        let mut kinds = Vec::new();
        for criterion in self.reasons(set) {
            if !kinds.contains(&criterion.kind) {
                kinds.push(criterion.kind);
            }
        }
        kinds
    }

    /// Titles of the empty fields that could decide, each once; none where it is decided.
    pub fn missing(&self, set: &CriteriaSet) -> Vec<&'static str> {
        let mut titles = Vec::new();
        if self.overall == Overall::Undecided {
            for (criterion, _) in set.criteria.iter().zip(&self.is_open).filter(|(_, open)| **open) {
                if !titles.contains(&criterion.measure.title()) {
                    titles.push(criterion.measure.title());
                }
            }
        }
        titles
    }
}

/// A set made ready for many parcels: thresholds in the ledger's units, criteria by group.
#[derive(Debug)]
pub struct Judge<'a> {
    pub set: &'a CriteriaSet,
    thresholds: Vec<Option<(Decimal, f64)>>,
    /// The combination of each group and the places of its criteria.
    groups: Vec<(Combination, Vec<usize>)>,
}

impl<'a> Judge<'a> {
    pub fn new(set: &'a CriteriaSet) -> Self {
        let threshold = |criterion: &Criterion| match &criterion.threshold {
            Threshold::Number(amount) => amount.in_ledgers_unit().map(|number| (number, number.to_f64())),
            Threshold::Flag(_) | Threshold::Texts(_) => None,
        };
        let mut groups: Vec<(Option<&str>, Combination, Vec<usize>)> = Vec::new();
        for (at, criterion) in set.criteria.iter().enumerate() {
            let name = criterion.group.as_deref();
            match groups.iter_mut().find(|(held, ..)| name.is_some() && *held == name) {
                Some((.., places)) => places.push(at),
                None => groups.push((name, criterion.combination, vec![at])),
            }
        }
        Self {
            set,
            thresholds: set.criteria.iter().map(threshold).collect(),
            groups: groups.into_iter().map(|(_, combination, places)| (combination, places)).collect(),
        }
    }

    /// The names of the fields that are looked at, each once.
    pub fn fields(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for criterion in &self.set.criteria {
            if !names.contains(&criterion.measure.name()) {
                names.push(criterion.measure.name());
            }
        }
        names
    }

    /// The verdict on these facts. “Not low-efficient” is said only where no empty field could change it.
    pub fn judge(&self, facts: &Facts) -> Verdict {
        let mut answers = Vec::with_capacity(self.set.criteria.len());
        for (criterion, threshold) in self.set.criteria.iter().zip(&self.thresholds) {
            answers.push(answer(criterion, *threshold, facts.get(criterion.measure.name())));
        }
        let mut verdict = Verdict {
            overall: Overall::NotLowEfficient,
            in_holding_group: vec![false; answers.len()],
            is_open: vec![false; answers.len()],
            answers,
        };
        for (combination, places) in &self.groups {
            let count = |wanted: Answer| places.iter().filter(|at| verdict.answers.get(**at) == Some(&wanted)).count();
            let (met, not_met, open) = (count(Answer::Met), count(Answer::NotMet), count(Answer::CannotTell));
            let holds = match combination {
                Combination::Any => met > 0,
                Combination::All => met == places.len(),
            };
            let is_open = !holds
                && open > 0
                && match combination {
                    Combination::Any => true,
                    Combination::All => not_met == 0,
                };
            for at in places {
                verdict.in_holding_group[*at] = holds;
                verdict.is_open[*at] = is_open && verdict.answers[*at] == Answer::CannotTell;
            }
            verdict.overall = match (holds, is_open, verdict.overall) {
                (true, ..) | (_, _, Overall::LowEfficient) => Overall::LowEfficient,
                (_, true, _) => Overall::Undecided,
                (_, _, so_far) => so_far,
            };
        }
        verdict
    }
}

fn answer(criterion: &Criterion, threshold: Option<(Decimal, f64)>, fact: Option<&FieldValue>) -> Answer {
    let met = match (&criterion.threshold, fact) {
        (Threshold::Number(_), Some(FieldValue::Number(value))) => {
            threshold.and_then(|threshold| compare(*value, threshold)).map(|order| fits(criterion.comparison, order))
        }
        (Threshold::Flag(flag), Some(FieldValue::Boolean(value))) => Some(flag == value),
        (Threshold::Texts(texts), Some(FieldValue::Text(value))) if !value.trim().is_empty() => {
            Some(texts.iter().any(|text| text == value.trim()))
        }
        _ => None,
    };
    match met {
        Some(true) => Answer::Met,
        Some(false) => Answer::NotMet,
        None => Answer::CannotTell,
    }
}

/// Doubles that are clearly apart need no digits; near each other they are compared as the decimals that were typed.
fn compare(value: f64, (exact, near): (Decimal, f64)) -> Option<Ordering> {
    if (value - near).abs() > 1e-9 * value.abs().max(near.abs()) {
        return value.partial_cmp(&near);
    }
    Decimal::of_f64(value).map(|value| value.cmp(&exact))
}

fn fits(comparison: Comparison, order: Ordering) -> bool {
    match comparison {
        Comparison::Less => order == Ordering::Less,
        Comparison::AtMost => order != Ordering::Greater,
        Comparison::Greater => order == Ordering::Greater,
        Comparison::AtLeast => order != Ordering::Less,
        Comparison::Equal | Comparison::OneOf => order == Ordering::Equal,
    }
}

/// One sentence: the value, the threshold in the paper's unit and in the ledger's, the answer.
pub fn explain(criterion: &Criterion, fact: Option<&FieldValue>, answer: Answer) -> String {
    let measure = criterion.measure;
    let value = match fact.filter(|_| answer != Answer::CannotTell) {
        None => "没有填写".to_owned(),
        Some(FieldValue::Number(number)) => {
            let shown = Decimal::of_f64(*number).zip(Unit::of(measure).first());
            format!("为 {}", shown.map_or_else(|| number.to_string(), |(number, unit)| unit.show(number)))
        }
        Some(FieldValue::Boolean(flag)) => format!("为{}", if *flag { "是" } else { "否" }),
        Some(FieldValue::Text(text)) => format!("为“{}”", text.trim()),
        Some(FieldValue::Integer(number)) => format!("为 {number}"),
        Some(FieldValue::Date(day)) => format!("为 {day}"),
    };
    let gap = if measure.field().kind == FieldKind::Number { " " } else { "" };
    format!(
        "{}{value}；标准为{}{gap}{}：{}",
        measure.title(),
        criterion.comparison.label(),
        criterion.threshold.words(measure),
        answer.label()
    )
}

/// Criteria and paper side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Agreement {
    Agrees,
    /// The criteria call it low-efficient, the paper does not.
    CriteriaOnly,
    /// The paper calls it low-efficient, the criteria do not.
    PaperOnly,
    /// Both do, and the paper names another kind.
    KindDiffers,
    Undecided,
    /// No set applies.
    NoCriteria,
}

impl Agreement {
    pub const ALL: [Agreement; 6] = [
        Agreement::CriteriaOnly,
        Agreement::PaperOnly,
        Agreement::KindDiffers,
        Agreement::Undecided,
        Agreement::Agrees,
        Agreement::NoCriteria,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Agreement::Agrees => "agrees",
            Agreement::CriteriaOnly => "criteria_only",
            Agreement::PaperOnly => "ledger_only",
            Agreement::KindDiffers => "kind_differs",
            Agreement::Undecided => "undecided",
            Agreement::NoCriteria => "no_criteria",
        }
    }

    /// 一致, 应认定未认定, 认定不符标准, 类型不一致, 无法判断, 无适用标准.
    pub fn label(self) -> &'static str {
        match self {
            Agreement::Agrees => "一致",
            Agreement::CriteriaOnly => "应认定未认定",
            Agreement::PaperOnly => "认定不符标准",
            Agreement::KindDiffers => "类型不一致",
            Agreement::Undecided => "无法判断",
            Agreement::NoCriteria => "无适用标准",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// What the paper says beside what the criteria say. A paper that does not say calls nothing low-efficient.
pub fn agreement(overall: Overall, kinds: &[&str], paper: Option<bool>, paper_kind: Option<&str>) -> Agreement {
    match (overall, paper.unwrap_or(false)) {
        (Overall::Undecided, _) => Agreement::Undecided,
        (Overall::LowEfficient, false) => Agreement::CriteriaOnly,
        (Overall::NotLowEfficient, true) => Agreement::PaperOnly,
        (Overall::LowEfficient, true) => match paper_kind.map(str::trim).filter(|kind| !kind.is_empty()) {
            Some(kind) if !kinds.contains(&kind) => Agreement::KindDiffers,
            _ => Agreement::Agrees,
        },
        (Overall::NotLowEfficient, false) => Agreement::Agrees,
    }
}
