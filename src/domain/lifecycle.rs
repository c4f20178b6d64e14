//! Events of a park's boundary and life (调区扩区, 合并, 撤销 …): kinds, exact area arithmetic, and what may follow what.

use std::fmt;

use chrono::NaiveDate;

use super::finding::{Finding, Place};
use super::ids::ParkCode;

/// What happens to a park.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    Established,
    Renamed,
    Upgraded,
    Extended,
    Adjusted,
    AdjustedAndExtended,
    Split,
    MergedInto,
    /// The survivor's side of a merger.
    Absorbed,
    Revoked,
}

impl EventKind {
    pub const ALL: [EventKind; 10] = [
        EventKind::Established,
        EventKind::Renamed,
        EventKind::Upgraded,
        EventKind::Extended,
        EventKind::Adjusted,
        EventKind::AdjustedAndExtended,
        EventKind::Split,
        EventKind::MergedInto,
        EventKind::Absorbed,
        EventKind::Revoked,
    ];

    /// The word of the register's `park_event.kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Established => "established",
            EventKind::Renamed => "renamed",
            EventKind::Upgraded => "upgraded",
            EventKind::Extended => "extended",
            EventKind::Adjusted => "adjusted",
            EventKind::AdjustedAndExtended => "adjusted_and_extended",
            EventKind::Split => "split",
            EventKind::MergedInto => "merged_into",
            EventKind::Absorbed => "absorbed",
            EventKind::Revoked => "revoked",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// 设立, 更名, 升级, 扩区, 调区, 调区扩区, 拆分, 并入, 接收并入, 撤销.
    pub fn label(self) -> &'static str {
        match self {
            EventKind::Established => "设立",
            EventKind::Renamed => "更名",
            EventKind::Upgraded => "升级",
            EventKind::Extended => "扩区",
            EventKind::Adjusted => "调区",
            EventKind::AdjustedAndExtended => "调区扩区",
            EventKind::Split => "拆分",
            EventKind::MergedInto => "并入",
            EventKind::Absorbed => "接收并入",
            EventKind::Revoked => "撤销",
        }
    }
}

/// Hectares of a document, exact to four decimals: documents add up to the digit, floating point does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct DecimalHectares(i64);

impl DecimalHectares {
    /// Parses `2113.10`: digits, at most four decimals, no sign.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > 8 || fraction.len() > 4 || !digits(whole) || !digits(fraction) {
            return None;
        }
        let fraction: i64 = format!("{fraction:0<4}").parse().ok()?;
        Some(Self(whole.parse::<i64>().ok()? * 10_000 + fraction))
    }

    /// Ten-thousandths of a hectare, which are square metres.
    pub fn square_metres(self) -> i64 {
        self.0
    }
}

impl fmt::Display for DecimalHectares {
    /// At least two decimals, as documents print; more only where they say something.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 10_000, (self.0 % 10_000).abs());
        if fraction % 100 == 0 {
            write!(f, "{whole}.{:02}", fraction / 100)
        } else {
            write!(f, "{whole}.{fraction:04}")
        }
    }
}

/// One event of a park, as a document tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct ParkEvent {
    pub id: String,
    pub park: ParkCode,
    pub kind: EventKind,
    /// As printed, where the day is not known (`2024-03`).
    pub occurred_text: Option<String>,
    pub occurred_on: Option<NaiveDate>,
    /// 公示, 评审, 批复 …
    pub stage: Option<String>,
    pub document_no: Option<String>,
    pub area_before: Option<DecimalHectares>,
    /// 调出.
    pub area_out: Option<DecimalHectares>,
    /// 新扩入.
    pub area_in: Option<DecimalHectares>,
    pub area_after: Option<DecimalHectares>,
    /// Areas of the blocks after the change.
    pub block_areas: Vec<DecimalHectares>,
    pub related_parks: Vec<ParkCode>,
    pub note: Option<String>,
    pub source: String,
}

/// before − 调出 + 新扩入 = after, and the blocks add up to after, both to the digit.
pub fn check_event_arithmetic(event: &ParkEvent) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let (Some(before), Some(out), Some(added), Some(after)) =
        (event.area_before, event.area_out, event.area_in, event.area_after)
        && before.0 - out.0 + added.0 != after.0
    {
        findings.push(Finding::error(
            "event_area_arithmetic",
            Place::whole(),
            format!(
                "{before} − {out} + {added} = {}，不等于调整后的 {after} 公顷",
                DecimalHectares(before.0 - out.0 + added.0)
            ),
        ));
    }
    if let Some(after) = event.area_after
        && !event.block_areas.is_empty()
    {
        let sum = DecimalHectares(event.block_areas.iter().map(|b| b.0).sum());
        if sum != after {
            findings.push(Finding::error(
                "event_blocks_sum",
                Place::whole(),
                format!("各区块面积之和 {sum} 公顷，不等于调整后的 {after} 公顷"),
            ));
        }
    }
    findings
}

/// Where a park stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParkStatus {
    Active,
    UnderAdjustment,
    Merged,
    Revoked,
    /// Goes on under the code of its new level.
    Upgraded,
    /// Divided wholly into other parks.
    Split,
}

impl ParkStatus {
    pub const ALL: [ParkStatus; 6] = [
        ParkStatus::Active,
        ParkStatus::UnderAdjustment,
        ParkStatus::Merged,
        ParkStatus::Revoked,
        ParkStatus::Upgraded,
        ParkStatus::Split,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ParkStatus::Active => "active",
            ParkStatus::UnderAdjustment => "under_adjustment",
            ParkStatus::Merged => "merged",
            ParkStatus::Revoked => "revoked",
            ParkStatus::Upgraded => "upgraded",
            ParkStatus::Split => "split",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// 正常, 调整中, 已合并, 已撤销, 已升级, 已拆分.
    pub fn label(self) -> &'static str {
        match self {
            ParkStatus::Active => "正常",
            ParkStatus::UnderAdjustment => "调整中",
            ParkStatus::Merged => "已合并",
            ParkStatus::Revoked => "已撤销",
            ParkStatus::Upgraded => "已升级",
            ParkStatus::Split => "已拆分",
        }
    }
}

/// The status of a park all of whose land goes to others by a split, or why it may not be divided.
pub fn split_wholly(status: ParkStatus) -> Result<ParkStatus, Finding> {
    apply(status, EventKind::Split).map(|_| ParkStatus::Split)
}

/// The status after an approved event, or why it may not happen. A park that was merged, revoked, upgraded or wholly split is history: it
/// stays readable and nothing more happens to it.
pub fn apply(status: ParkStatus, event: EventKind) -> Result<ParkStatus, Finding> {
    use EventKind as E;
    use ParkStatus as S;
    match (status, event) {
        (S::Active | S::UnderAdjustment, E::MergedInto) => Ok(S::Merged),
        (S::Active | S::UnderAdjustment, E::Revoked) => Ok(S::Revoked),
        (S::Active | S::UnderAdjustment, E::Extended | E::Adjusted | E::AdjustedAndExtended) => Ok(S::Active),
        // The level is in the code: an upgraded park goes on as another row, and this one ends.
        (S::Active | S::UnderAdjustment, E::Upgraded) => Ok(S::Upgraded),
        (S::Active, E::Split) => Ok(S::Active),
        (S::Active | S::UnderAdjustment, E::Renamed | E::Absorbed) => Ok(status),
        (status, event) => Err(Finding::error(
            "event_not_allowed",
            Place::whole(),
            format!("园区状态为“{}”，不能办理“{}”", status.label(), event.label()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_against_every_event() {
        use EventKind as E;
        use ParkStatus as S;
        // Rows: events in the order of ALL; columns: active, under adjustment; the others are ends. `None` = refused.
        let table: [(E, [Option<S>; 2]); 10] = [
            (E::Established, [None, None]),
            (E::Renamed, [Some(S::Active), Some(S::UnderAdjustment)]),
            (E::Upgraded, [Some(S::Upgraded), Some(S::Upgraded)]),
            (E::Extended, [Some(S::Active), Some(S::Active)]),
            (E::Adjusted, [Some(S::Active), Some(S::Active)]),
            (E::AdjustedAndExtended, [Some(S::Active), Some(S::Active)]),
            (E::Split, [Some(S::Active), None]),
            (E::MergedInto, [Some(S::Merged), Some(S::Merged)]),
            (E::Absorbed, [Some(S::Active), Some(S::UnderAdjustment)]),
            (E::Revoked, [Some(S::Revoked), Some(S::Revoked)]),
        ];
        for (event, row) in table {
            let row = row.into_iter().chain([None; 4]);
            for (status, expected) in ParkStatus::ALL.into_iter().zip(row) {
                assert_eq!(apply(status, event).ok(), expected, "{event:?} in {status:?}");
            }
        }
        for status in ParkStatus::ALL {
            assert_eq!(split_wholly(status).ok(), (status == S::Active).then_some(S::Split), "{status:?}");
        }
    }

    #[test]
    fn decimals_are_exact() {
        for (text, square_metres, printed) in [
            ("2113.10", 21_131_000, "2113.10"),
            ("0.0003", 3, "0.0003"),
            ("7", 70_000, "7.00"),
            ("1658.54", 16_585_400, "1658.54"),
        ] {
            let parsed = DecimalHectares::parse(text).expect("decimal");
            assert_eq!((parsed.square_metres(), parsed.to_string().as_str()), (square_metres, printed));
        }
        for text in ["", ".5", "-1", "1e3", "1.23456", "1,000", "999999999"] {
            assert_eq!(DecimalHectares::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_wrong_sum_is_named() {
        let area = DecimalHectares::parse;
        let event = ParkEvent {
            id: "x".into(),
            park: ParkCode::parse("G431177").expect("code"),
            kind: EventKind::AdjustedAndExtended,
            occurred_text: None,
            occurred_on: None,
            stage: None,
            document_no: None,
            area_before: area("2161.12"),
            area_out: area("326.82"),
            area_in: area("278.80"),
            area_after: area("2113.10"),
            block_areas: ["196.23", "153.15", "1763.72"].into_iter().filter_map(area).collect(),
            related_parks: vec![],
            note: None,
            source: "test".into(),
        };
        assert_eq!(check_event_arithmetic(&event), []);
        let wrong = ParkEvent { area_in: area("278.81"), ..event.clone() };
        assert_eq!(
            check_event_arithmetic(&wrong)[0].message,
            "2161.12 − 326.82 + 278.81 = 2113.11，不等于调整后的 2113.10 公顷"
        );
        let wrong = ParkEvent { block_areas: vec![], area_after: area("2113.11"), ..event };
        assert_eq!(check_event_arithmetic(&wrong).len(), 1);
    }
}
