//! Counted numbers become tables: names beside codes, 宗数, m², 公顷 and 亩 of each thing that is counted, shares.

use std::collections::HashMap;

use crate::domain::export::Cell;
use crate::domain::layer::PropertyKind::{self, Boolean, Date, Integer, Number, Text};
use crate::domain::ledger::{DerivedSet, Ledger};
use crate::domain::report::{Counted, Dimension, ReportColumn, ReportKind, ReportTable, area_cells, percent};
use crate::store::reports::{Group, Grouped, Listed};

/// What codes are called.
#[derive(Default)]
pub struct Names {
    pub divisions: HashMap<String, String>,
    pub parks: HashMap<String, String>,
    pub ledger: Option<Ledger>,
}

/// A label beside a code: its column, the column of the code, and what codes are called.
pub type Labels = Vec<(&'static str, &'static str, fn(&str) -> Option<&'static str>)>;

fn column(name: &str, title: &str, kind: PropertyKind) -> ReportColumn {
    ReportColumn { name: name.to_owned(), title: title.to_owned(), kind, unit: None }
}

/// 宗数 and the three units of something that is counted; the name of the main thing is empty.
pub(super) fn counted_columns(name: &str, title: &str) -> [ReportColumn; 4] {
    let prefix = if name.is_empty() { String::new() } else { format!("{name}_") };
    let mut columns = [
        column(&format!("{prefix}parcels"), &format!("{title}宗数"), Integer),
        column(&format!("{prefix}area_m2"), &format!("{title}面积"), Number),
        column(&format!("{prefix}area_ha"), &format!("{title}面积"), Number),
        column(&format!("{prefix}area_mu"), &format!("{title}面积"), Number),
    ];
    columns[1].unit = Some("m2");
    columns[2].unit = Some("ha");
    columns[3].unit = Some("mu");
    columns
}

fn share_column(name: &str, title: &str) -> ReportColumn {
    ReportColumn { unit: Some("%"), ..column(name, title, Number) }
}

pub(super) fn counted_cells(counted: &[Counted]) -> Vec<Cell> {
    let one = |one: &Counted| {
        let [m2, ha, mu] = area_cells(one.area_m2);
        [Cell::Integer(one.parcels), m2, ha, mu]
    };
    counted.iter().flat_map(one).collect()
}

/// The table of groups: `keys` and then `cells` of each, and of the total.
pub(super) fn table(
    keys: Vec<ReportColumn>,
    values: Vec<ReportColumn>,
    grouped: Grouped,
    key_cells: impl Fn(&[Option<String>]) -> Vec<Cell>,
    cells: impl Fn(&Group) -> Vec<Cell>,
) -> ReportTable {
    let row = |group: &Group| key_cells(&group.keys).into_iter().chain(cells(group)).collect();
    let nameless = vec![Cell::Missing; keys.len()];
    ReportTable {
        id: "",
        title: "",
        rows: grouped.groups.iter().map(row).collect(),
        totals: nameless.into_iter().chain(cells(&grouped.total)).collect(),
        matched: grouped.matched,
        columns: keys.into_iter().chain(values).collect(),
    }
}

fn text(value: Option<&str>) -> Cell {
    value.map_or(Cell::Missing, |text| Cell::Text(text.to_owned()))
}

pub(super) fn key_columns(dimension: Dimension) -> Vec<ReportColumn> {
    match dimension {
        Dimension::County => vec![column("county_code", "县区代码", Text), column("county_name", "县区", Text)],
        Dimension::Prefecture => {
            vec![column("prefecture_code", "市州代码", Text), column("prefecture_name", "市州", Text)]
        }
        Dimension::Park => vec![column("park_code", "园区代码", Text), column("park_name", "园区", Text)],
        Dimension::State => vec![column("state", "状态代码", Text), column("state_label", "状态", Text)],
        Dimension::Stock => vec![column("stock", "存量类别代码", Text), column("stock_label", "存量类别", Text)],
        Dimension::ApprovalYear => vec![column("approval_year", "批准年份", Integer)],
        Dimension::LandUse => {
            vec![column("land_use_system", "地类标准", Text), column("land_use_code", "地类编码", Text)]
        }
    }
}

fn year(value: Option<&str>) -> Cell {
    value.and_then(|text| text.parse().ok()).map_or(Cell::Missing, Cell::Integer)
}

/// The cells of the keys, names put beside codes.
pub(super) fn key_cells(by: &[Dimension], keys: &[Option<String>], names: &Names) -> Vec<Cell> {
    let mut keys = keys.iter().map(Option::as_deref);
    let mut cells = Vec::new();
    for dimension in by {
        let key = keys.next().flatten();
        let of = |names: &HashMap<String, String>| text(key.and_then(|code| names.get(code)).map(String::as_str));
        match dimension {
            Dimension::County | Dimension::Prefecture => cells.extend([text(key), of(&names.divisions)]),
            Dimension::Park => cells.extend([text(key), of(&names.parks)]),
            Dimension::State => cells.extend([text(key), text(key.and_then(|code| state_label(names.ledger?, code)))]),
            Dimension::Stock => cells.extend([text(key), text(key.and_then(stock_label))]),
            Dimension::ApprovalYear => cells.push(year(key)),
            Dimension::LandUse => cells.extend([text(key), text(keys.next().flatten())]),
        }
    }
    cells
}

fn state_label(ledger: Ledger, code: &str) -> Option<&'static str> {
    ledger.machine().find(code).map(|state| state.label)
}

fn turnover_label(code: &str) -> Option<&'static str> {
    state_label(Ledger::Turnover, code)
}

fn low_efficiency_label(code: &str) -> Option<&'static str> {
    state_label(Ledger::LowEfficiency, code)
}

fn stock_label(code: &str) -> Option<&'static str> {
    DerivedSet::parse(code).map(DerivedSet::label)
}

fn idle_stage_label(code: &str) -> Option<&'static str> {
    match code {
        "one_year" => Some("满一年"),
        "two_years" => Some("满两年"),
        _ => None,
    }
}

fn change_label(code: &str) -> Option<&'static str> {
    match code {
        "entered" => Some("进入台账"),
        "moved" => Some("变更状态"),
        "ended" => Some("终止"),
        _ => None,
    }
}

/// [`ReportKind::TurnoverStock`].
pub fn stock(by: &[Dimension], grouped: Grouped, names: &Names) -> ReportTable {
    let keys = by.iter().flat_map(|d| key_columns(*d)).collect();
    let values = [counted_columns("", ""), counted_columns("idle", "其中闲置")].concat();
    table(keys, values, grouped, |keys| key_cells(by, keys, names), |group| counted_cells(&group.counted))
}

/// [`ReportKind::ApprovedNotSupplied`].
pub fn years(grouped: Grouped) -> ReportTable {
    let things = [
        ("approved", "已批准"),
        ("supplied", "已供"),
        ("not_supplied", "批而未供"),
        ("not_acquired", "批而未征"),
        ("acquired_not_supplied", "征而未供"),
    ];
    let mut values: Vec<ReportColumn> = things.iter().flat_map(|(name, title)| counted_columns(name, title)).collect();
    values.push(share_column("disposal_rate", "处置率"));
    values.extend(counted_columns("withdrawn", "另有已撤批"));
    let cells = |group: &Group| {
        let area = |at: usize| group.counted.get(at).map_or(0.0, |counted| counted.area_m2);
        let (standing, withdrawn) = group.counted.split_at(group.counted.len().min(things.len()));
        let mut cells = counted_cells(standing);
        cells.push(percent(area(1), area(0)));
        cells.extend(counted_cells(withdrawn));
        cells
    };
    let keys = key_columns(Dimension::ApprovalYear);
    table(keys, values, grouped, |keys| vec![year(keys.first().and_then(Option::as_deref))], cells)
}

/// The parks of [`ReportKind::SupplyPlan`].
pub fn plan(grouped: Grouped, names: &Names) -> ReportTable {
    let things = [("planned", "计划供应"), ("supplied", "已供"), ("open", "未供"), ("overdue", "逾期未供")];
    let mut values: Vec<ReportColumn> = things.iter().flat_map(|(name, title)| counted_columns(name, title)).collect();
    values.push(share_column("completion_rate", "完成率"));
    let cells = |group: &Group| {
        let area = |at: usize| group.counted.get(at).map_or(0.0, |counted| counted.area_m2);
        let mut cells = counted_cells(&group.counted);
        cells.push(percent(area(1), area(0)));
        cells
    };
    let by = [Dimension::Park];
    table(key_columns(Dimension::Park), values, grouped, |keys| key_cells(&by, keys, names), cells)
}

/// [`ReportKind::LowEfficiencyProgress`].
pub fn progress(by: &[Dimension], grouped: Grouped, names: &Names) -> ReportTable {
    let things = [
        ("", ""),
        ("recognised", "已认定"),
        ("with_plan", "有方案"),
        ("plan_overdue", "方案逾期"),
        ("closed", "已销号"),
    ];
    let mut values: Vec<ReportColumn> = things.iter().flat_map(|(name, title)| counted_columns(name, title)).collect();
    values.push(share_column("closed_rate", "销号率（按宗数）"));
    values.push(share_column("closed_area_rate", "销号率（按面积）"));
    let cells = |group: &Group| {
        let of = |at: usize| group.counted.get(at).copied().unwrap_or_default();
        let (recognised, closed) = (of(1), of(4));
        let mut cells = counted_cells(&group.counted);
        cells.push(percent(closed.parcels as f64, recognised.parcels as f64));
        cells.push(percent(closed.area_m2, recognised.area_m2));
        cells
    };
    let keys = by.iter().flat_map(|d| key_columns(*d)).collect();
    table(keys, values, grouped, |keys| key_cells(by, keys, names), cells)
}

/// The summary of [`ReportKind::QuarterlyChanges`].
pub fn changes_summary(ledger: Ledger, grouped: Grouped) -> ReportTable {
    let keys = vec![
        column("kind", "变动代码", Text),
        column("kind_label", "变动", Text),
        column("from_state", "原状态代码", Text),
        column("from_label", "原状态", Text),
        column("to_state", "新状态代码", Text),
        column("to_label", "新状态", Text),
    ];
    let [_, areas @ ..] = counted_columns("", "");
    let mut values = vec![column("changes", "宗次", Integer), column("parcels", "宗数", Integer)];
    values.extend(areas);
    let key_cells = |keys: &[Option<String>]| {
        let key = |at: usize| keys.get(at).and_then(Option::as_deref);
        let state = |code: Option<&str>| [text(code), text(code.and_then(|code| state_label(ledger, code)))];
        let kind = key(0);
        let mut cells = vec![text(kind), text(kind.and_then(change_label))];
        cells.extend(state(key(1)));
        cells.extend(state(key(2)));
        cells
    };
    let cells = |group: &Group| {
        let counted = group.counted.first().copied().unwrap_or_default();
        let mut cells = vec![Cell::Integer(counted.parcels), Cell::Integer(group.distinct)];
        cells.extend(area_cells(counted.area_m2));
        cells
    };
    table(keys, values, grouped, key_cells, cells)
}

pub(super) fn columns(list: &[(&str, &str, PropertyKind)]) -> Vec<ReportColumn> {
    let [_, areas @ ..] = counted_columns("", "");
    list.iter().map(|(name, title, kind)| column(name, title, *kind)).chain(areas).collect()
}

pub(super) const PLACE: [(&str, &str, PropertyKind); 7] = [
    ("id", "标识", Text),
    ("number", "地块编号", Text),
    ("name", "名称", Text),
    ("county_code", "县区代码", Text),
    ("county_name", "县区", Text),
    ("park_code", "园区代码", Text),
    ("park_name", "园区", Text),
];

/// The columns of [`ReportKind::Idle`], and which of them are labels.
pub fn idle_columns() -> (Vec<ReportColumn>, Labels) {
    let own = [
        ("location", "坐落", Text),
        ("state", "状态代码", Text),
        ("state_label", "状态", Text),
        ("stock", "存量类别代码", Text),
        ("stock_label", "存量类别", Text),
        ("land_user", "用地单位", Text),
        ("contract_no", "出让合同号", Text),
        ("signed_on", "签订日期", Date),
        ("agreed_delivery_on", "约定交地日期", Date),
        ("delivered_on", "实际交地日期", Date),
        ("agreed_start_on", "约定开工日期", Date),
        ("started_on", "实际开工日期", Date),
        ("agreed_finish_on", "约定竣工日期", Date),
        ("stopped_on", "停工日期", Date),
        ("start_overdue_days", "逾期开工天数", Integer),
        ("finish_overdue_days", "逾期竣工天数", Integer),
        ("idle_stage", "闲置预警代码", Text),
        ("idle_stage_label", "闲置预警", Text),
        ("idle_cause", "闲置原因", Text),
        ("proposed_disposal", "拟处置措施", Text),
    ];
    let labels: Labels = vec![
        ("state_label", "state", turnover_label),
        ("stock_label", "stock", stock_label),
        ("idle_stage_label", "idle_stage", idle_stage_label),
    ];
    (columns(&[&PLACE[..], &own].concat()), labels)
}

/// The columns of the parcels of [`ReportKind::SupplyPlan`].
pub fn plan_columns() -> (Vec<ReportColumn>, Labels) {
    let own = [
        ("state", "状态代码", Text),
        ("state_label", "状态", Text),
        ("planned_supply_on", "计划供地日期", Date),
        ("supply_mode", "供地方式", Text),
        ("planned_use", "规划用途", Text),
        ("target_industry", "意向产业", Text),
        ("supplied", "已供", Boolean),
        ("overdue", "逾期", Boolean),
        ("land_user", "用地单位", Text),
        ("signed_on", "签订日期", Date),
    ];
    (columns(&[&PLACE[..], &own].concat()), vec![("state_label", "state", turnover_label)])
}

/// The columns of the list of [`ReportKind::QuarterlyChanges`].
pub fn change_columns(ledger: Ledger) -> (Vec<ReportColumn>, Labels) {
    let own = [
        ("kind", "变动代码", Text),
        ("kind_label", "变动", Text),
        ("from_state", "原状态代码", Text),
        ("from_label", "原状态", Text),
        ("to_state", "新状态代码", Text),
        ("to_label", "新状态", Text),
        ("effective_on", "变动日期", Date),
        ("by_register", "日期为登记日", Boolean),
        ("document_no", "文号", Text),
        ("reason", "原因或来源", Text),
    ];
    let state = if ledger == Ledger::LowEfficiency { low_efficiency_label } else { turnover_label };
    let labels: Labels = vec![
        ("kind_label", "kind", change_label),
        ("from_label", "from_state", state),
        ("to_label", "to_state", state),
    ];
    (columns(&[&PLACE[..], &own].concat()), labels)
}

/// What of a list is read: an area in m² stands for all three, a label comes of its code.
pub fn read_by(columns: &[ReportColumn]) -> Vec<ReportColumn> {
    let is_read = |c: &&ReportColumn| !c.name.ends_with("_label") && !matches!(c.unit, Some("ha" | "mu"));
    columns.iter().filter(is_read).cloned().collect()
}

/// A list as a table; its rows have what [`read_by`] names.
pub fn list(columns: Vec<ReportColumn>, labels: &Labels, listed: Listed) -> ReportTable {
    let read: Vec<String> = read_by(&columns).into_iter().map(|column| column.name).collect();
    let place = |name: &str| read.iter().position(|read| read == name);
    let row = |cells: Vec<Cell>| -> Vec<Cell> {
        let of = |name: &str| place(name).and_then(|at| cells.get(at)).cloned().unwrap_or(Cell::Missing);
        let area = match of("area_m2") {
            Cell::Number(m2) => area_cells(m2),
            _ => [Cell::Missing, Cell::Missing, Cell::Missing],
        };
        let [m2, ha, mu] = area;
        let one = |column: &ReportColumn| match (column.name.as_str(), labels.iter().find(|l| l.0 == column.name)) {
            ("area_m2", _) => m2.clone(),
            ("area_ha", _) => ha.clone(),
            ("area_mu", _) => mu.clone(),
            (_, Some((_, code, label))) => match of(code) {
                Cell::Text(code) => text(label(&code)),
                _ => Cell::Missing,
            },
            (name, None) => of(name),
        };
        columns.iter().map(one).collect()
    };
    let rows = listed.rows.into_iter().map(row).collect();
    let mut totals = vec![Cell::Missing; columns.len().saturating_sub(3)];
    totals.extend(area_cells(listed.total.area_m2));
    ReportTable { id: "", title: "", columns, rows, totals, matched: u64::try_from(listed.total.parcels).unwrap_or(0) }
}

/// How the numbers were reckoned, for whoever reads the report.
pub fn notes(kind: ReportKind) -> Vec<&'static str> {
    let mut notes = vec![
        "面积为边界的椭球面积；各组按未取整的平方米相加，公顷保留四位小数、亩保留两位小数，只在显示时取整",
        "只含本人管辖范围内的地块",
    ];
    notes.extend(match kind {
        ReportKind::TurnoverStock => &[
            "每宗地只计入一组，各组之和等于合计；状态为闲置、冻结、转低效的，存量类别按原有的主状态计",
            "“其中闲置”为状态是闲置的地块，已含在该组宗数和面积内",
        ][..],
        ReportKind::ApprovedNotSupplied => &[
            "处置率 = 已供面积 ÷ 已批准面积 × 100%；已批准 = 已供 + 批而未供，批而未供 = 批而未征 + 征而未供",
            "批准年份以台账所填为准，没有填的取批准日期的年份；已撤批的批准不再有效，另列，不计入处置率",
            "冻结的地块按冻结前的状态计；没有载明冻结前状态的不计入",
        ],
        ReportKind::Idle => &[
            "含供而未用的、状态为闲置的，以及已开工后停工且按规定疑似闲置的地块；最严重的在前",
            "逾期天数和闲置预警按统计日计算：未按约定开工满一年，或动工不足三分之一、投资不足 25% 且停工满一年",
        ],
        ReportKind::SupplyPlan => &[
            "计划供地日期在该年之内的地块，已撤批的不计；完成率 = 已供面积 ÷ 计划供应面积 × 100%",
            "逾期未供：计划供地日期早于统计日而仍未供应",
        ],
        ReportKind::LowEfficiencyProgress => &[
            "已认定：状态为已认定及其后各步（至已销号）；销号率 = 已销号 ÷ 已认定 × 100%",
            "方案逾期：方案完成期限早于统计日，而方案尚未验收；已作废的方案不计",
        ],
        ReportKind::LowEfficiencyScreening => &[
            "适用的标准：该县区该年的一套，没有时用市州的，再没有时用省的；年份为各地块的认定标准年份，筛选了标准年度的以该年度为准",
            "应认定未认定：符合标准而台账“是否低效”不是“是”（没有填写的也算）；认定不符标准：台账为“是”而不符合任何一组标准",
            "无法判断：有空缺的指标，补上后可能改变结论；无适用标准：没有写明年份，或县区及其上级没有登记该年的标准",
            "每宗地只计入一类，各类之和等于合计；一致和无适用标准的只计数，不列入清单",
        ],
        ReportKind::QuarterlyChanges => &[
            "变动按生效日期归入季度；进入台账的日期没有载明的，按首次登记的日期",
            "面积为变动后（终止的为终止前）的地块面积；一宗地一季内多次变动的，每次变动各计一次宗次和面积，宗数只计一次",
        ],
    });
    notes
}
