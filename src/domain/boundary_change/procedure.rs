//! The way of a change: proposed → joint review → public notice → approved or rejected. The table of moves stands here and nowhere else.

use chrono::NaiveDate;

use crate::domain::{Finding, Place};

/// Where a change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    Proposed,
    JointReview,
    PublicNotice,
    Approved,
    Rejected,
    Withdrawn,
}

/// Code, label, what may follow, whether the park is under adjustment meanwhile.
type Row = (State, &'static str, &'static str, &'static [State], bool);

/// (Back to `Proposed`: 退回修改. A notice that has to be given anew goes by the review again.)
const TABLE: [Row; 6] = {
    use State::{Approved, JointReview, Proposed, PublicNotice, Rejected, Withdrawn};
    [
        (Proposed, "proposed", "提出", &[JointReview, Withdrawn], false),
        (JointReview, "joint_review", "联合审查", &[Proposed, PublicNotice, Rejected, Withdrawn], true),
        (PublicNotice, "public_notice", "公示", &[JointReview, Approved, Rejected, Withdrawn], true),
        (Approved, "approved", "批准", &[], false),
        (Rejected, "rejected", "不予批准", &[], false),
        (Withdrawn, "withdrawn", "撤回", &[], false),
    ]
};

impl State {
    pub const ALL: [State; 6] =
        [State::Proposed, State::JointReview, State::PublicNotice, State::Approved, State::Rejected, State::Withdrawn];

    fn row(self) -> &'static Row {
        // The table is in the order of the variants.
        &TABLE[self as usize]
    }

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// 提出, 联合审查, 公示, 批准, 不予批准, 撤回.
    pub fn label(self) -> &'static str {
        self.row().2
    }

    /// By code, or by the Chinese label.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text || state.label() == text)
    }

    /// What may follow.
    pub fn next(self) -> &'static [State] {
        self.row().3
    }

    /// Something may still come of it.
    pub fn is_open(self) -> bool {
        !self.next().is_empty()
    }

    /// The park is 调整中 while its change stands here: from the joint review on, when others than the proposer deal with it.
    pub fn adjusts_park(self) -> bool {
        self.row().4
    }
}

/// `proposed、joint_review、…`: all words, for messages.
pub fn words_of_states() -> String {
    State::ALL.map(State::as_str).join("、")
}

/// Whether the table has this move.
pub fn may_follow(from: State, to: State) -> bool {
    from.next().contains(&to)
}

/// Why the table refuses a move; `None` where it has it.
pub fn check_move(from: State, to: State) -> Option<Finding> {
    if may_follow(from, to) {
        return None;
    }
    let may = if from.next().is_empty() {
        "该状态是终点，不能再变更".to_owned()
    } else {
        let list: Vec<String> = from.next().iter().map(|s| format!("{}（{}）", s.label(), s.as_str())).collect();
        format!("可以转为：{}", list.join("、"))
    };
    let message = format!("调区扩区状态“{}”不能转为“{}”；{may}", from.label(), to.label());
    Some(Finding::error("transition_not_allowed", Place::whole().field("to"), message))
}

/// What a move needs beside its day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Number of the paper that decides.
    DocumentNo,
    /// Why.
    Note,
}

/// What a step into this state needs: a decision its paper, what sends it back or takes it away a reason.
pub fn duties(from: State, to: State) -> &'static [Duty] {
    match (from, to) {
        (_, State::Approved) => &[Duty::DocumentNo],
        (_, State::Rejected) => &[Duty::DocumentNo, Duty::Note],
        (_, State::Withdrawn) | (State::JointReview, State::Proposed) | (State::PublicNotice, State::JointReview) => {
            &[Duty::Note]
        }
        _ => &[],
    }
}

/// A step is not dated before the last one, nor to come.
pub fn check_day(field: &'static str, on: NaiveDate, last: NaiveDate, today: NaiveDate) -> Option<Finding> {
    let place = Place::whole().field(field);
    if on > today {
        return Some(Finding::error("transition_in_future", place, format!("日期 {on} 在今天（{today}）之后")));
    }
    if on < last {
        return Some(Finding::error("transition_before_last", place, format!("日期 {on} 早于上一步的日期 {last}")));
    }
    None
}
