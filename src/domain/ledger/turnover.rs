//! 周转用地: fields by the groups of bureau ledgers (domain.md §5), and the way from plan to finished building.

use super::field::{Field, FieldKind, f, in_unit, q};
use super::machine::{DerivedSet, Machine, State, StateKind};
use DerivedSet::{ApprovedNotSupplied, Idle, SuppliedNotUsed, Used};
use FieldKind::{Area, Boolean, Choice, Date, Number, Text, Year};
use StateKind::{Apart, Main, Side};

pub(super) static FIELDS: [Field; 46] = [
    // 标识
    q("location", Text, "坐落", "Location"),
    q("land_use_system", Text, "地类标准", "Land-use code system"),
    q("land_use_code", Text, "地类编码", "Land-use code"),
    q("planned_use", Text, "规划用途", "Planned use"),
    // 报批
    q("batch_name", Text, "批次名称", "Approval batch"),
    q("approval_year", Year, "批准年份", "Approval year"),
    f("approval_doc_city", Text, "市级批文号", "City approval document"),
    f("approval_doc_province", Text, "省级批文号", "Provincial approval document"),
    q("approved_on", Date, "批准日期", "Approved on"),
    f("approved_area_m2", Area, "批准面积", "Approved area"),
    f("new_construction_area_m2", Area, "新增建设用地面积", "New construction land"),
    q("approval_kind", Choice(&["批次", "单独选址"]), "报批类型", "Kind of approval"),
    // 征地
    f("acquired_area_m2", Area, "已征面积", "Acquired area"),
    f("not_demolished_area_m2", Area, "未拆迁面积", "Area not yet demolished"),
    q("compensation_done", Boolean, "补偿到位", "Compensation done"),
    q("site_condition", Choice(&["净地", "三通一平", "五通一平", "七通一平", "毛地"]), "场地条件", "Site condition"),
    // 供地计划
    q("planned_supply_on", Date, "计划供地日期", "Planned supply"),
    q("supply_mode", Choice(&["出让", "划拨", "租赁", "先租后让", "作价出资"]), "供地方式", "Mode of supply"),
    q("target_industry", Text, "意向产业", "Target industry"),
    f("control_indicators", Text, "控制指标", "Control indicators"),
    // 供地
    q("contract_no", Text, "出让合同号", "Grant contract"),
    q("supervision_no", Text, "电子监管号", "Electronic supervision number"),
    q("land_user", Text, "用地单位", "Land user"),
    in_unit(f("price_10k_yuan", Number, "成交价款", "Price"), "万元"),
    f("supplied_area_m2", Area, "供地面积", "Supplied area"),
    q("signed_on", Date, "签订日期", "Contract signed on"),
    // 交地
    q("agreed_delivery_on", Date, "约定交地日期", "Agreed delivery"),
    q("delivered_on", Date, "实际交地日期", "Delivered on"),
    f("delivered_area_m2", Area, "已交面积", "Delivered area"),
    f("undelivered_area_m2", Area, "未交面积", "Undelivered area"),
    // 建设
    q("agreed_start_on", Date, "约定开工日期", "Agreed start"),
    q("started_on", Date, "实际开工日期", "Started on"),
    q("agreed_finish_on", Date, "约定竣工日期", "Agreed finish"),
    q("finished_on", Date, "实际竣工日期", "Finished on"),
    f("started_area_m2", Area, "已动工面积", "Started area"),
    in_unit(f("invested_percent", Number, "已投资比例", "Share invested"), "%"),
    q("stopped_on", Date, "停工日期", "Stopped on"),
    // 权利限制
    q("mortgage", Text, "抵押", "Mortgage"),
    q("seized_by", Text, "查封机关", "Seized by"),
    f("seized_on", Date, "查封起始日期", "Seized on"),
    f("seized_until_on", Date, "查封截止日期", "Seized until"),
    // 研判
    q("idle_cause", Choice(&["政府原因", "企业原因", "不可抗力"]), "闲置原因", "Cause of idleness"),
    q("proposed_disposal", Text, "拟处置措施", "Proposed disposal"),
    f("registered_area_m2", Area, "登记面积", "Registered area"),
    f("title_no", Text, "不动产权证号", "Title number"),
    f("note", Text, "备注", "Note"),
];

/// What may follow what. A listing may fail (流拍) and land be taken back (收回): then it is serviced land again. Land may be
/// supplied without a listing (划拨, 协议出让). A seizure or mortgage (查封, 抵押) freezes every state from approval on and gives
/// it back as it was. Idle land is started, given back, or the finding is lifted.
pub(super) static MACHINE: Machine = Machine {
    states: &[
        State { code: "planned", label: "拟报批", kind: Main, set: None, next: &["approved", "withdrawn"] },
        State {
            code: "approved",
            label: "已批准",
            kind: Main,
            set: Some(ApprovedNotSupplied),
            next: &["acquired", "withdrawn", "frozen"],
        },
        State {
            code: "acquired",
            label: "已征收",
            kind: Main,
            set: Some(ApprovedNotSupplied),
            next: &["serviced", "withdrawn", "frozen"],
        },
        State {
            code: "serviced",
            label: "净地",
            kind: Main,
            set: Some(ApprovedNotSupplied),
            next: &["listed", "supplied", "withdrawn", "frozen"],
        },
        State {
            code: "listed",
            label: "已公告挂牌",
            kind: Main,
            set: Some(ApprovedNotSupplied),
            next: &["serviced", "supplied", "frozen"],
        },
        State {
            code: "supplied",
            label: "已供应",
            kind: Main,
            set: Some(SuppliedNotUsed),
            next: &["serviced", "delivered", "frozen", "idle"],
        },
        State {
            code: "delivered",
            label: "已交地",
            kind: Main,
            set: Some(SuppliedNotUsed),
            next: &["serviced", "started", "frozen", "idle"],
        },
        State {
            code: "started", label: "已开工", kind: Main, set: Some(Used), next: &["completed", "frozen", "idle"]
        },
        State {
            code: "completed", label: "已竣工", kind: Main, set: Some(Used), next: &["frozen", "low_efficiency"]
        },
        State { code: "withdrawn", label: "已撤批", kind: Apart, set: None, next: &[] },
        State { code: "frozen", label: "冻结", kind: Side, set: None, next: &[] },
        State { code: "idle", label: "闲置", kind: Side, set: Some(Idle), next: &["serviced", "started", "frozen"] },
        State { code: "low_efficiency", label: "转低效", kind: Side, set: None, next: &["serviced", "frozen"] },
    ],
};

/// What a paper without a state tells by the fields that it fills, the farthest first.
pub(super) const TOLD_BY: [(&str, &str); 7] = [
    ("finished_on", "completed"),
    ("started_on", "started"),
    ("delivered_on", "delivered"),
    ("signed_on", "supplied"),
    ("contract_no", "supplied"),
    ("approved_on", "approved"),
    ("approval_doc_province", "approved"),
];

/// Words of other systems.
pub(super) const WORDS: [(&str, &str); 20] = [
    ("农转用", "approved"),
    ("批而未供", "approved"),
    ("批而未征", "approved"),
    ("征而未供", "acquired"),
    ("已征未供", "acquired"),
    ("三通一平", "serviced"),
    ("挂牌", "listed"),
    ("供地", "supplied"),
    ("已供", "supplied"),
    ("已供地", "supplied"),
    ("供而未用", "supplied"),
    ("交地", "delivered"),
    ("开工", "started"),
    ("在建", "started"),
    ("已供已用", "started"),
    ("用而未尽", "started"),
    ("竣工", "completed"),
    ("正常使用", "completed"),
    ("闲置土地", "idle"),
    ("低效用地", "low_efficiency"),
];
