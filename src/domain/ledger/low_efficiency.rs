//! 低效用地: fields after Zhejiang's survey form (domain.md §6), and the way from suspicion to closing (销号).

use super::field::{Field, FieldKind, f, in_unit, q};
use super::machine::{Machine, State, StateKind};
use FieldKind::{Area, Boolean, Choice, Date, Number, Text, Year};
use StateKind::{Apart, Main, Side};

pub(super) static FIELDS: [Field; 47] = [
    // 标识
    q("survey_unit_no", Text, "调查单元编号", "Survey unit"),
    q("survey_area_no", Text, "调查区编号", "Survey area"),
    q("town", Text, "乡镇街道", "Town"),
    q("location", Text, "坐落", "Location"),
    // 现状
    q("use_state", Text, "使用状态", "State of use"),
    q("is_low_efficiency", Boolean, "是否低效", "Judged low-efficient"),
    q(
        "low_efficiency_kind",
        Choice(&["产业淘汰类", "部分闲置类", "产出低下类", "环保安全类", "区位不当类"]),
        "低效类型",
        "Kind of low efficiency",
    ),
    q("land_use_system", Text, "地类标准", "Land-use code system"),
    q("land_use_code", Text, "现状地类", "Current land-use code"),
    q("current_use", Text, "现状用途", "Current use"),
    q("industry", Text, "产业类型", "Industry"),
    q("ownership", Text, "权属性质", "Ownership"),
    q("used_since_on", Date, "用地时间", "Used since"),
    q("production_stopped", Boolean, "是否停产", "Production stopped"),
    // 规划
    q("planned_use", Text, "规划用途", "Planned use"),
    q("redevelopment_mode", Text, "改造模式", "Mode of redevelopment"),
    q("redevelopment_progress", Text, "改造进展", "Progress of redevelopment"),
    q("in_village_renewal", Boolean, "是否属城中村改造", "In a village-renewal project"),
    f("legacy_area_m2", Area, "历史遗留用地面积", "Legacy area"),
    // 权属
    q("owner", Text, "产权人", "Owner"),
    q("title_no", Text, "不动产权证号", "Title number"),
    f("registered_on", Date, "登记时间", "Registered on"),
    f("registered_area_m2", Area, "登记面积", "Registered area"),
    f("registered_use", Text, "登记用途", "Registered use"),
    q("right_type", Text, "使用权类型", "Type of right"),
    // 批准
    q("approval_doc", Text, "批准文号", "Approval document"),
    q("approved_on", Date, "批准时间", "Approved on"),
    f("approved_area_m2", Area, "批准面积", "Approved area"),
    f("approved_use", Text, "批准用途", "Approved use"),
    f("penalty_no", Text, "处罚文号", "Penalty document"),
    // 强度
    f("floor_area_ratio", Number, "容积率", "Floor-area ratio"),
    in_unit(f("building_density", Number, "建筑密度", "Building density"), "%"),
    in_unit(
        f("fixed_investment_per_ha", Number, "地均固定资产投资", "Fixed-asset investment per hectare"),
        "万元/公顷",
    ),
    in_unit(f("tax_per_ha", Number, "地均税收", "Tax per hectare"), "万元/公顷"),
    in_unit(f("output_per_ha", Number, "地均产出", "Output per hectare"), "万元/公顷"),
    f("environment", Text, "环境状况", "Environment"),
    f("services", Text, "基础设施配套", "Services"),
    // 认定
    q("criteria_year", Year, "认定标准年份", "Year of the criteria"),
    f("verified_on", Date, "核实日期", "Verified on"),
    f("publicised_on", Date, "公示日期", "Publicised on"),
    q("recognised_on", Date, "认定日期", "Recognised on"),
    q("recognition_doc", Text, "认定文号", "Recognition document"),
    q("accepted_on", Date, "验收日期", "Accepted on"),
    q("closed_on", Date, "销号日期", "Closed on"),
    // 抵押查封
    q("mortgage", Text, "抵押", "Mortgage"),
    q("seized_by", Text, "查封机关", "Seized by"),
    f("note", Text, "备注", "Note"),
];

/// What may follow what. An objection (异议) holds the public notice up: it is dismissed and the notice goes on, or it is upheld.
/// A recognition may be revoked; who was let go may be suspected again in a later survey. Acceptance may be taken back for
/// rework; closing is final.
pub(super) static MACHINE: Machine = Machine {
    states: &[
        State { code: "suspected", label: "疑似", kind: Main, set: None, next: &["verified", "rejected"] },
        State { code: "verified", label: "已核实", kind: Main, set: None, next: &["publicised", "rejected"] },
        State { code: "publicised", label: "公示中", kind: Main, set: None, next: &["recognised", "objected"] },
        State { code: "recognised", label: "已认定", kind: Main, set: None, next: &["planned", "revoked"] },
        State {
            code: "planned",
            label: "已编方案",
            kind: Main,
            set: None,
            next: &["recognised", "plan_approved", "revoked"],
        },
        State {
            code: "plan_approved",
            label: "方案已批",
            kind: Main,
            set: None,
            next: &["planned", "implementing", "revoked"],
        },
        State { code: "implementing", label: "实施中", kind: Main, set: None, next: &["accepted", "revoked"] },
        State { code: "accepted", label: "已验收", kind: Main, set: None, next: &["implementing", "closed"] },
        State { code: "closed", label: "已销号", kind: Main, set: None, next: &[] },
        State { code: "objected", label: "有异议", kind: Side, set: None, next: &["verified", "rejected"] },
        State { code: "rejected", label: "不予认定", kind: Apart, set: None, next: &["suspected"] },
        State { code: "revoked", label: "撤销认定", kind: Apart, set: None, next: &["suspected"] },
    ],
};

/// What a paper without a state tells by the fields that it fills, the farthest first.
pub(super) const TOLD_BY: [(&str, &str); 5] = [
    ("closed_on", "closed"),
    ("accepted_on", "accepted"),
    ("recognised_on", "recognised"),
    ("publicised_on", "publicised"),
    ("verified_on", "verified"),
];

/// Words of other systems.
pub(super) const WORDS: [(&str, &str); 8] = [
    ("疑似低效", "suspected"),
    ("待核实", "suspected"),
    ("公示", "publicised"),
    ("认定", "recognised"),
    ("低效用地", "recognised"),
    ("改造中", "implementing"),
    ("验收", "accepted"),
    ("销号", "closed"),
];
