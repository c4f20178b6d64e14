//! Reports (统计报表) that a park office files, as data: which there are, what may be asked of them, and a made report as tables of cells.
//! Areas are kept unrounded; 公顷 and 亩 of a cell are those of its m², so nothing is added up from rounded numbers.

use chrono::{Datelike, NaiveDate};

use super::area::{SquareMetres, round_decimal};
use super::export::Cell;
use super::layer::{PropertyKind, Titles};
use super::ledger::Ledger;
use super::{DivisionCode, ParkCode};

/// Rows of a table at most; more are told, not listed.
pub const MAX_ROWS: u32 = 10_000;

/// Dimensions of one grouping at most.
pub const MAX_DIMENSIONS: usize = 3;

/// Which report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReportKind {
    TurnoverStock,
    ApprovedNotSupplied,
    Idle,
    SupplyPlan,
    LowEfficiencyProgress,
    LowEfficiencyScreening,
    QuarterlyChanges,
}

impl ReportKind {
    pub const ALL: [ReportKind; 7] = [
        ReportKind::TurnoverStock,
        ReportKind::ApprovedNotSupplied,
        ReportKind::Idle,
        ReportKind::SupplyPlan,
        ReportKind::LowEfficiencyProgress,
        ReportKind::LowEfficiencyScreening,
        ReportKind::QuarterlyChanges,
    ];

    /// The word of the address.
    pub fn as_str(self) -> &'static str {
        match self {
            ReportKind::TurnoverStock => "turnover-stock",
            ReportKind::ApprovedNotSupplied => "approved-not-supplied",
            ReportKind::Idle => "idle",
            ReportKind::SupplyPlan => "supply-plan",
            ReportKind::LowEfficiencyProgress => "low-efficiency-progress",
            ReportKind::LowEfficiencyScreening => "low-efficiency-screening",
            ReportKind::QuarterlyChanges => "quarterly-changes",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    pub fn title(self) -> Titles {
        let (zh, en) = match self {
            ReportKind::TurnoverStock => ("周转用地存量统计", "Turnover land by group"),
            ReportKind::ApprovedNotSupplied => ("批而未供处置情况", "Approved land not supplied, by approval year"),
            ReportKind::Idle => ("供而未用和闲置土地清单", "Supplied land not used, and idle land"),
            ReportKind::SupplyPlan => ("年度供地计划", "Supply plan of a year"),
            ReportKind::LowEfficiencyProgress => ("低效用地再开发进展", "Progress with low-efficiency land"),
            ReportKind::LowEfficiencyScreening => ("低效用地认定比对", "Low-efficiency land against the criteria"),
            ReportKind::QuarterlyChanges => ("季度变动清单", "Changes of a quarter"),
        };
        Titles { zh, en }
    }

    /// One sentence of what it tells.
    pub fn description(self) -> &'static str {
        match self {
            ReportKind::TurnoverStock => "按所选的分组统计周转用地的宗数和面积，其中闲置的另列",
            ReportKind::ApprovedNotSupplied => {
                "按批准年份统计已批准的周转用地：已供、批而未供（批而未征、征而未供）和处置率"
            }
            ReportKind::Idle => {
                "供而未用、已认定闲置和按规定疑似闲置的地块：用地单位、约定与实际日期、超期天数、原因和拟处置措施"
            }
            ReportKind::SupplyPlan => "计划供地日期在该年的周转用地：按园区的计划、完成和逾期，附地块清单",
            ReportKind::LowEfficiencyProgress => "按所选的分组统计低效用地：已认定、已编方案、方案逾期和销号率",
            ReportKind::LowEfficiencyScreening => {
                "按各县区适用的认定标准逐宗比对：标准认为低效而台账未认定、台账认定而不符合标准、类型不一致，以及缺少指标无法判断的"
            }
            ReportKind::QuarterlyChanges => "该季度内进入台账、变更状态和终止的地块：按种类汇总，附清单",
        }
    }

    /// What may be asked beside `county`, `park`, `revision`, `limit` and `table`.
    pub fn options(self) -> &'static [&'static str] {
        match self {
            ReportKind::TurnoverStock | ReportKind::LowEfficiencyProgress => &["on", "by"],
            ReportKind::ApprovedNotSupplied | ReportKind::Idle => &["on"],
            ReportKind::SupplyPlan | ReportKind::LowEfficiencyScreening => &["on", "year"],
            ReportKind::QuarterlyChanges => &["quarter", "ledger"],
        }
    }

    /// By what it may be grouped, as somebody asks.
    pub fn dimensions(self) -> &'static [Dimension] {
        use Dimension::{ApprovalYear, County, LandUse, Park, Prefecture, State, Stock};
        match self {
            ReportKind::TurnoverStock => &[County, Prefecture, Park, State, Stock, ApprovalYear, LandUse],
            ReportKind::LowEfficiencyProgress => &[County, Prefecture, Park, State],
            _ => &[],
        }
    }

    /// The tables of the report, the first one first.
    pub fn tables(self) -> &'static [(&'static str, &'static str)] {
        match self {
            ReportKind::TurnoverStock | ReportKind::LowEfficiencyProgress => &[("groups", "分组统计")],
            ReportKind::ApprovedNotSupplied => &[("years", "按批准年份")],
            ReportKind::Idle => &[("parcels", "地块清单")],
            ReportKind::SupplyPlan => &[("parks", "按园区"), ("parcels", "地块清单")],
            ReportKind::LowEfficiencyScreening => &[("groups", "按县区和园区"), ("parcels", "不一致和无法判断的地块")],
            ReportKind::QuarterlyChanges => &[("summary", "变动汇总"), ("changes", "变动清单")],
        }
    }
}

/// By what parcels are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dimension {
    County,
    Prefecture,
    Park,
    State,
    /// The stock of the main state; idle land counts in the one that it came from.
    Stock,
    ApprovalYear,
    LandUse,
}

impl Dimension {
    pub const ALL: [Dimension; 7] = [
        Dimension::County,
        Dimension::Prefecture,
        Dimension::Park,
        Dimension::State,
        Dimension::Stock,
        Dimension::ApprovalYear,
        Dimension::LandUse,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Dimension::County => "county",
            Dimension::Prefecture => "prefecture",
            Dimension::Park => "park",
            Dimension::State => "state",
            Dimension::Stock => "stock",
            Dimension::ApprovalYear => "approval_year",
            Dimension::LandUse => "land_use",
        }
    }

    /// 县区, 市州, 园区, 状态, 存量类别, 批准年份, 地类.
    pub fn label(self) -> &'static str {
        match self {
            Dimension::County => "县区",
            Dimension::Prefecture => "市州",
            Dimension::Park => "园区",
            Dimension::State => "状态",
            Dimension::Stock => "存量类别",
            Dimension::ApprovalYear => "批准年份",
            Dimension::LandUse => "地类",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.as_str() == text)
    }
}

/// A quarter of a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarter {
    first: NaiveDate,
    next: NaiveDate,
}

impl Quarter {
    /// `2026Q3`.
    pub fn parse(text: &str) -> Option<Self> {
        let (year, number) = text.split_once(['Q', 'q'])?;
        let number: u32 = number.parse().ok().filter(|n| (1..=4).contains(n) && number.len() == 1)?;
        Self::of(parse_year(year)?, number)
    }

    /// The quarter that a day lies in.
    pub fn around(day: NaiveDate) -> Option<Self> {
        Self::of(day.year(), day.month0() / 3 + 1)
    }

    fn of(year: i32, number: u32) -> Option<Self> {
        let first = NaiveDate::from_ymd_opt(year, number * 3 - 2, 1)?;
        let next = first.checked_add_months(chrono::Months::new(3))?;
        Some(Self { first, next })
    }

    pub fn first(self) -> NaiveDate {
        self.first
    }

    /// The first day that is not in it.
    pub fn next(self) -> NaiveDate {
        self.next
    }

    /// The last day that is in it.
    pub fn last(self) -> NaiveDate {
        self.next.pred_opt().unwrap_or(self.next)
    }
}

impl std::fmt::Display for Quarter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}Q{}", self.first.year(), self.first.month0() / 3 + 1)
    }
}

/// Four digits, 1900 to 2200: further off is a slip of the pen.
pub fn parse_year(text: &str) -> Option<i32> {
    let digits = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|year| digits && (1900..=2200).contains(year))
}

/// What is asked; what a report does not know of is not looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportQuery {
    pub kind: ReportKind,
    /// A county, or a prefecture with all of its counties.
    pub county: Option<DivisionCode>,
    pub park: Option<ParkCode>,
    /// The day whose state is counted; `None` = as it stands.
    pub on: Option<NaiveDate>,
    /// What the register said as of this revision; `None` = what it says.
    pub revision: Option<i64>,
    pub by: Vec<Dimension>,
    /// `None` = the year of the day; of a screening the one that each parcel names.
    pub year: Option<i32>,
    /// `None` = the quarter of the day.
    pub quarter: Option<Quarter>,
    /// Whose changes.
    pub ledger: Ledger,
    /// Rows of each table at most.
    pub limit: u32,
    /// Only this table.
    pub table: Option<&'static str>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportColumn {
    /// Stable word: `supplied_area_ha`.
    pub name: String,
    /// 已供面积.
    pub title: String,
    pub kind: PropertyKind,
    /// `m2`, `ha`, `mu`, `%`.
    pub unit: Option<&'static str>,
}

impl ReportColumn {
    /// 已供面积（公顷）.
    pub fn heading(&self) -> String {
        let unit = match self.unit {
            None => return self.title.clone(),
            Some("m2") => "平方米",
            Some("ha") => "公顷",
            Some("mu") => "亩",
            Some(other) => other,
        };
        format!("{}（{unit}）", self.title)
    }
}

/// Cells in rows; a cell a column.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportTable {
    pub id: &'static str,
    pub title: &'static str,
    pub columns: Vec<ReportColumn>,
    pub rows: Vec<Vec<Cell>>,
    /// Of all rows that match, listed or not; what has no total is missing.
    pub totals: Vec<Cell>,
    /// All rows that match.
    pub matched: u64,
}

impl ReportTable {
    /// Rows that match and are not listed.
    pub fn left_out(&self) -> u64 {
        self.matched.saturating_sub(self.rows.len() as u64)
    }
}

/// A made report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub kind: ReportKind,
    /// The day whose state was counted, and by which timers go.
    pub day: NaiveDate,
    /// The revision whose state this is.
    pub revision: i64,
    /// Name, title and value of what was asked, defaults too.
    pub filters: Vec<(&'static str, &'static str, String)>,
    pub tables: Vec<ReportTable>,
    /// How what is shown was reckoned.
    pub notes: Vec<&'static str>,
}

/// Parcels and their area, of all that fulfil one condition.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counted {
    pub parcels: i64,
    pub area_m2: f64,
}

/// The cells of an area in its three units: m² as it is, 公顷 with four decimals, 亩 with two.
pub fn area_cells(area_m2: f64) -> [Cell; 3] {
    let area = SquareMetres::new(area_m2).unwrap_or(SquareMetres::ZERO);
    [
        Cell::Number(area.value()),
        Cell::Number(round_decimal(area.to_hectares().value(), 4)),
        Cell::Number(round_decimal(area.to_mu().value(), 2)),
    ]
}

/// A share in percent with two decimals; of nothing there is none.
pub fn percent(part: f64, whole: f64) -> Cell {
    if whole > 0.0 { Cell::Number(round_decimal(part / whole * 100.0, 2)) } else { Cell::Missing }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn a_quarter_has_its_first_and_its_last_day() {
        for (text, first, last) in [
            ("2026Q1", "2026-01-01", "2026-03-31"),
            ("2026q3", "2026-07-01", "2026-09-30"),
            ("2024Q4", "2024-10-01", "2024-12-31"),
        ] {
            let quarter = Quarter::parse(text).expect(text);
            assert_eq!((quarter.first(), quarter.last()), (day(first), day(last)), "{text}");
            assert_eq!(Quarter::around(day(last)), Some(quarter));
            assert_eq!(quarter.to_string(), text.to_uppercase());
        }
        for bad in ["", "2026", "2026Q0", "2026Q5", "2026Q01", "Q3", "26Q3", "2026-3", "１９99Q1", "9999Q1", "+202Q1"]
        {
            assert_eq!(Quarter::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn shares_and_areas_are_rounded_for_show_alone() {
        assert_eq!(percent(1.0, 3.0), Cell::Number(33.33));
        assert_eq!((percent(0.0, 5.0), percent(0.0, 0.0)), (Cell::Number(0.0), Cell::Missing));
        // 10 005 m² are 1.0005 公顷 and 15.0075 亩.
        assert_eq!(area_cells(10_005.0), [Cell::Number(10_005.0), Cell::Number(1.0005), Cell::Number(15.01)]);
        assert_eq!(area_cells(0.0), [Cell::Number(0.0), Cell::Number(0.0), Cell::Number(0.0)]);
    }

    #[test]
    fn words_of_reports_and_dimensions_come_back() {
        for kind in ReportKind::ALL {
            assert_eq!(ReportKind::parse(kind.as_str()), Some(kind));
            assert!(kind.dimensions().is_empty() != kind.options().contains(&"by"), "{kind:?}");
        }
        for dimension in Dimension::ALL {
            assert_eq!(Dimension::parse(dimension.as_str()), Some(dimension));
        }
    }
}
