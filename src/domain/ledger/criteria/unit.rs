//! Units of thresholds as papers state them, and their exact size in the unit of the ledger.

use super::Measure;
use super::decimal::Decimal;
use crate::domain::ledger::field::half_width;

/// A unit: so many of the ledger's own, with the point so many places to the left.
#[derive(Debug, PartialEq, Eq)]
pub struct Unit {
    /// As papers write it; empty for a plain number.
    pub word: &'static str,
    times: u32,
    places: u32,
    /// Other ways to write it.
    also: &'static [&'static str],
}

const fn unit(word: &'static str, times: u32, places: u32, also: &'static [&'static str]) -> Unit {
    Unit { word, times, places, also }
}

/// Of an amount per area, which the ledger keeps in 万元/公顷. One hectare is fifteen mu.
static PER_AREA: [Unit; 4] = [
    unit("万元/公顷", 1, 0, &["万元每公顷", "万元/ha", "万元/hm2"]),
    unit("万元/亩", 15, 0, &["万元每亩", "万元/mu"]),
    unit("元/平方米", 1, 0, &["元每平方米", "元/m2", "元/m²", "元/㎡"]),
    unit("亿元/平方公里", 100, 0, &["亿元每平方公里", "亿元/km2", "亿元/km²"]),
];

/// Of a share, which the ledger keeps in percent.
static OF_SHARE: [Unit; 2] = [unit("%", 1, 0, &["百分之"]), unit("比例", 100, 0, &["比值", "系数"])];

/// Of a ratio, which the ledger keeps as a plain number.
static OF_RATIO: [Unit; 2] = [unit("", 1, 0, &["无", "—", "-", "比例", "比值"]), unit("%", 1, 2, &["百分之"])];

/// Of a share of a reference.
static OF_REFERENCE: [Unit; 2] = [unit("%", 1, 2, &["百分之"]), unit("倍", 1, 0, &["比例"])];

impl Unit {
    /// The units that a number of this field may be stated in, the ledger's own first.
    pub fn of(measure: Measure) -> &'static [Unit] {
        match measure.field().unit {
            Some("万元/公顷") => &PER_AREA,
            Some("%") => &OF_SHARE,
            None => &OF_RATIO,
            Some(_) => &[],
        }
    }

    /// The units that a share of a reference may be stated in.
    pub fn of_reference() -> &'static [Unit] {
        &OF_REFERENCE
    }

    /// The one of these that the text means.
    pub fn parse(text: &str, units: &'static [Unit]) -> Option<&'static Unit> {
        let plain: String = half_width(text).chars().filter(|c| !c.is_whitespace()).collect();
        units.iter().find(|unit| unit.word == plain || unit.also.contains(&plain.as_str()))
    }

    /// The number in the ledger's unit, exactly.
    pub fn in_ledgers(&self, number: Decimal) -> Option<Decimal> {
        number.scaled(self.times, self.places)
    }

    /// Whether it is the ledger's own.
    pub fn is_ledgers(&self) -> bool {
        self.times == 1 && self.places == 0
    }

    /// `12.5 万元/亩`, `60%`, `0.8`.
    pub fn show(&self, number: Decimal) -> String {
        match self.word {
            "" | "比例" => number.to_string(),
            "%" | "倍" => format!("{number}{}", self.word),
            word => format!("{number} {word}"),
        }
    }
}
