//! 再开发方案, one per parcel (一宗一策): fields, states, and what a parcel's or a plan's move asks of the other.

use super::field::{Field, FieldKind, f, q};
use super::machine::{Machine, State, StateKind};
use crate::domain::{Finding, Place};
use FieldKind::{Choice, Date, Number, Text};
use StateKind::{Apart, Main};

const fn number(name: &'static str, zh: &'static str, en: &'static str, unit: Option<&'static str>) -> Field {
    Field { unit, ..f(name, Number, zh, en) }
}

pub(super) static FIELDS: [Field; 16] = [
    q(
        "mode",
        Choice(&[
            "收购储备",
            "自主改造",
            "追加投资",
            "二次招商",
            "司法处置",
            "兼并重组",
            "协商收回",
            "转让",
            "分割",
            "腾笼换鸟",
            "功能转换",
        ]),
        "再开发方式",
        "Mode of redevelopment",
    ),
    q("planned_use", Text, "规划用途", "Planned use"),
    number("planned_floor_area_ratio", "规划容积率", "Planned floor-area ratio", None),
    number("planned_building_density", "规划建筑密度", "Planned building density", Some("%")),
    number("planned_investment_per_ha", "规划投资强度", "Planned investment per hectare", Some("万元/公顷")),
    number("planned_tax_per_mu", "规划亩均税收", "Planned tax per mu", Some("万元/亩")),
    q("implementer", Choice(&["政府", "原权利人", "市场主体"]), "实施主体", "Implementer"),
    q("funding", Text, "资金来源", "Funding"),
    number("budget_10k_yuan", "投资概算", "Budget", Some("万元")),
    q("responsible_unit", Text, "责任单位", "Responsible unit"),
    q("deadline_on", Date, "完成期限", "Deadline"),
    q("approval_doc", Text, "批准文号", "Approval document"),
    q("approved_on", Date, "批准日期", "Approved on"),
    q("acceptance_doc", Text, "验收文号", "Acceptance document"),
    q("accepted_on", Date, "验收日期", "Accepted on"),
    q("note", Text, "备注", "Note"),
];

/// A plan that was submitted may come back; an approved one may be opened again for revision before it is accepted.
pub(super) static MACHINE: Machine = Machine {
    states: &[
        State { code: "drafted", label: "编制中", kind: Main, set: None, next: &["submitted", "cancelled"] },
        State {
            code: "submitted",
            label: "已报批",
            kind: Main,
            set: None,
            next: &["drafted", "approved", "cancelled"],
        },
        State {
            code: "approved", label: "已批准", kind: Main, set: None, next: &["drafted", "accepted", "cancelled"]
        },
        State { code: "accepted", label: "已验收", kind: Main, set: None, next: &["approved"] },
        State { code: "cancelled", label: "已作废", kind: Apart, set: None, next: &[] },
    ],
};

/// How far the plan of a parcel is: its state, and how many steps are not done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanProgress<'a> {
    pub state: &'a str,
    pub open_steps: i64,
}

/// What a low-efficiency parcel's move asks of its plan; `None` where nothing is missing. A parcel is closed (销号) only with an
/// accepted plan.
pub fn missing_for_parcel(to: &str, plan: Option<PlanProgress<'_>>) -> Option<Finding> {
    let wanted: &[&str] = match to {
        "planned" => &["drafted", "submitted", "approved", "accepted"],
        "plan_approved" | "implementing" => &["approved", "accepted"],
        "accepted" | "closed" => &["accepted"],
        _ => return None,
    };
    let missing = |message: &str| Some(Finding::error("plan_required", Place::whole().field("to"), message.to_owned()));
    match plan {
        None => missing("该地块还没有再开发方案（一宗一策）；请先编制方案"),
        Some(plan) if wanted.contains(&plan.state) => None,
        Some(_) if to == "closed" || to == "accepted" => {
            missing("该地块的再开发方案还没有验收；验收后才能验收地块或销号")
        }
        Some(_) => missing("该地块的再开发方案还没有批准"),
    }
}

/// What a plan's move asks of its parcel and its own steps; `parcel` is the parcel's state. What a parcel's standing rests on is not
/// taken away from under it; the sentence says by which moves of the parcel it comes to rest on nothing. To end a plan asks the same as to
/// cancel it.
pub fn missing_for_plan(to: &str, parcel: &str, open_steps: i64) -> Option<Finding> {
    let refuse = |code: &'static str, message: String| Some(Finding::error(code, Place::whole().field("to"), message));
    if to == "accepted" && open_steps > 0 {
        return refuse("plan_steps_open", format!("方案还有 {open_steps} 个步骤没有完成，不能验收"));
    }
    let first = match parcel_moves_before(to, parcel) {
        Some([]) => return None,
        Some(moves) => format!("请先把地块{}", told_moves(moves)),
        None => "登记有误时请终止该地块，方案随之终止".to_owned(),
    };
    let cannot = match to {
        "cancelled" => "不能作废或终止",
        "approved" => "不能撤回验收",
        _ => "不能退回",
    };
    let state = label(parcel);
    refuse("plan_in_use", format!("地块“{state}”，正以本方案为据，方案{cannot}；{first}"))
}

/// The moves of a low-efficiency parcel after which its plan may go to `to`: none where it may at once; `None` where no move is left,
/// since the parcel is closed. Each is in the parcel's table, and lets the plan stand as it is meanwhile (a test follows them).
pub fn parcel_moves_before(to: &str, parcel: &str) -> Option<&'static [&'static str]> {
    Some(match (to, parcel) {
        ("cancelled" | "drafted" | "submitted" | "approved", "closed") => return None,
        ("cancelled", "planned") => &["recognised"],
        ("cancelled", "plan_approved") => &["planned", "recognised"],
        ("drafted" | "submitted", "plan_approved") => &["planned"],
        // What is being built goes back only as a whole.
        ("cancelled" | "drafted" | "submitted", "implementing") => &["revoked"],
        ("cancelled" | "drafted" | "submitted", "accepted") => &["implementing", "revoked"],
        ("approved", "accepted") => &["implementing"],
        _ => &[],
    })
}

/// 转为“实施中”，再转为“撤销认定”.
pub fn told_moves(moves: &[&str]) -> String {
    moves.iter().map(|code| format!("转为“{}”", label(code))).collect::<Vec<_>>().join("，再")
}

/// The name of a parcel's state.
fn label(code: &str) -> &str {
    super::low_efficiency::MACHINE.find(code).map_or(code, |state| state.label)
}
