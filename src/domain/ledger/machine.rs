//! States and the table of allowed moves of a ledger; who may follow whom is decided here and nowhere else.

use crate::domain::{Finding, Place};

/// One state of a ledger's table.
#[derive(Debug, PartialEq)]
pub struct State {
    /// Stable word: `approved`.
    pub code: &'static str,
    /// 已批准.
    pub label: &'static str,
    pub kind: StateKind,
    /// Which stock a record in this state belongs to.
    pub set: Option<DerivedSet>,
    /// The states that may follow, beside the one that a side state goes back to.
    pub next: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKind {
    /// On the way from first to last.
    Main,
    /// Beside the way; the state before it is held, and may be gone back to.
    Side,
    /// Beside the way, holding nothing: what was before is given up.
    Apart,
}

/// Stocks that reports count (domain.md §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DerivedSet {
    /// 批而未供.
    ApprovedNotSupplied,
    /// 供而未用.
    SuppliedNotUsed,
    /// 已供已用.
    Used,
    /// 闲置.
    Idle,
}

impl DerivedSet {
    pub const ALL: [DerivedSet; 4] =
        [DerivedSet::ApprovedNotSupplied, DerivedSet::SuppliedNotUsed, DerivedSet::Used, DerivedSet::Idle];

    pub fn as_str(self) -> &'static str {
        match self {
            DerivedSet::ApprovedNotSupplied => "approved_not_supplied",
            DerivedSet::SuppliedNotUsed => "supplied_not_used",
            DerivedSet::Used => "used",
            DerivedSet::Idle => "idle",
        }
    }

    /// 批而未供, 供而未用, 已供已用, 闲置.
    pub fn label(self) -> &'static str {
        match self {
            DerivedSet::ApprovedNotSupplied => "批而未供",
            DerivedSet::SuppliedNotUsed => "供而未用",
            DerivedSet::Used => "已供已用",
            DerivedSet::Idle => "闲置",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.as_str() == text || set.label() == text)
    }
}

/// Where a record stands: its state and, in a side state, the main state that is held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    pub state: &'static State,
    pub held: Option<&'static State>,
}

/// All states of a ledger; the main ones in their order.
#[derive(Debug)]
pub struct Machine {
    pub states: &'static [State],
}

impl Machine {
    /// By code, or by the Chinese label.
    pub fn find(&self, text: &str) -> Option<&'static State> {
        self.states.iter().find(|state| state.code == text || state.label == text)
    }

    /// A standing as the register keeps it.
    pub fn step(&self, state: &str, held: Option<&str>) -> Option<Step> {
        let state = self.find(state)?;
        let held = match held {
            Some(held) => Some(self.find(held)?),
            None => None,
        };
        Some(Step { state, held: held.filter(|_| state.kind == StateKind::Side) })
    }

    /// What may follow, in the order of the table.
    pub fn allowed(&self, from: Step) -> Vec<&'static State> {
        let may = |to: &State| from.state.next.contains(&to.code) || from.held.is_some_and(|held| held.code == to.code);
        self.states.iter().filter(|to| may(to)).collect()
    }

    /// The standing after a move, or what is allowed instead.
    pub fn apply(&self, from: Step, to: &'static State) -> Result<Step, Finding> {
        let allowed = self.allowed(from);
        if !allowed.contains(&to) {
            return Err(refused(from, to, &allowed));
        }
        Ok(self.entered(from, to))
    }

    /// Where a record stands that comes into a state, whether or not it may.
    fn entered(&self, from: Step, to: &'static State) -> Step {
        let held = match to.kind {
            StateKind::Main | StateKind::Apart => None,
            // From one side state to another the main state stays held.
            StateKind::Side => from.held.or(Some(from.state)),
        };
        Step { state: to, held }
    }

    /// The standing of a record that enters the ledger in this state. Where a side state came from is not known then; the paper may say.
    pub fn entering(&self, state: &'static State, held: Option<&'static State>) -> Step {
        Step { state, held: held.filter(|h| state.kind == StateKind::Side && h.kind == StateKind::Main) }
    }

    /// The main states to pass on the way forward to `to`, `to` included: what a ledger that is filled once a quarter leaves out.
    /// `None` where no way leads there.
    pub fn way(&self, from: Step, to: &'static State) -> Option<Vec<&'static State>> {
        if self.allowed(from).contains(&to) {
            return Some(vec![to]);
        }
        let base = match from.state.kind {
            StateKind::Main => from.state,
            _ => return None,
        };
        let at = self.states.iter().position(|s| s.code == base.code)?;
        let end = self.states.iter().position(|s| s.code == to.code)?;
        let way: Vec<&'static State> =
            self.states.get(at + 1..=end)?.iter().filter(|s| s.kind == StateKind::Main).collect();
        let mut step = from;
        for state in &way {
            step = self.apply(step, state).ok()?;
        }
        (to.kind == StateKind::Main).then_some(way)
    }
}

impl Step {
    /// The stocks the record belongs to: that of its main state, and 闲置 beside it.
    pub fn sets(self) -> Vec<DerivedSet> {
        let mut sets: Vec<DerivedSet> = self.held.and_then(|held| held.set).into_iter().collect();
        sets.extend(self.state.set.filter(|set| !sets.contains(set)));
        sets
    }
}

fn refused(from: Step, to: &State, allowed: &[&State]) -> Finding {
    let may = if allowed.is_empty() {
        "该状态是终点，不能再变更".to_owned()
    } else {
        let list: Vec<String> = allowed.iter().map(|s| format!("{}（{}）", s.label, s.code)).collect();
        format!("可以转为：{}", list.join("、"))
    };
    let message = format!("状态“{}”不能转为“{}”；{may}", from.state.label, to.label);
    Finding::error("transition_not_allowed", Place::whole().field("to"), message)
}
