//! Control lines (三区三线、三线一单): kinds of zones, what each demands and how much it weighs; and a zone of a kind.
//!
//! Which kinds there are and what they weigh is data (the register's `control_zone_kind`), not code: no rule of a kind stands here.

use geo::MultiPolygon;

use super::ids::{DivisionCode, IdError};
use super::overlap_check::{Purpose, Weight};
use super::{Hectares, SquareMetres};

/// What a kind of zones wants of land.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// 避让: its land must not be taken.
    KeepOut,
    /// 应在界内: land must not lie outside of it.
    KeepWithin,
    /// 告知管控要求: its rules are shown.
    Inform,
}

impl Effect {
    pub const ALL: [Effect; 3] = [Effect::KeepOut, Effect::KeepWithin, Effect::Inform];

    /// The stable word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::KeepOut => "keep_out",
            Effect::KeepWithin => "keep_within",
            Effect::Inform => "inform",
        }
    }

    /// As people read it.
    pub fn label(self) -> &'static str {
        match self {
            Effect::KeepOut => "避让",
            Effect::KeepWithin => "应在界内",
            Effect::Inform => "告知管控要求",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }
}

/// A kind of zones as it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneKind {
    /// Stable word: small letters, digits, underscores.
    pub code: String,
    pub name: String,
    pub name_en: String,
    pub effect: Effect,
    /// Where a park's boundary goes against it.
    pub park_weight: Weight,
    /// Where a parcel does.
    pub parcel_weight: Weight,
    /// What it demands, in the words of the document.
    pub rule: String,
    pub document: String,
}

impl ZoneKind {
    pub fn weight(&self, purpose: Purpose) -> Weight {
        match purpose {
            Purpose::ParkBoundary => self.park_weight,
            Purpose::Parcel => self.parcel_weight,
        }
    }
}

/// Longest code of a kind.
const CODE_LENGTH: usize = 40;

/// Whether a kind may have this code.
pub fn is_kind_code(code: &str) -> bool {
    let mut bytes = code.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && code.len() <= CODE_LENGTH
}

/// How a control unit is managed (ZHGKDYFL).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManagementClass {
    Priority,
    Key,
    General,
}

impl ManagementClass {
    pub const ALL: [ManagementClass; 3] = [ManagementClass::Priority, ManagementClass::Key, ManagementClass::General];

    /// 优先保护单元, 重点管控单元, 一般管控单元.
    pub fn label(self) -> &'static str {
        match self {
            ManagementClass::Priority => "优先保护单元",
            ManagementClass::Key => "重点管控单元",
            ManagementClass::General => "一般管控单元",
        }
    }

    /// By the digit of the exchange format (domain.md §8: 1 优先, 2 重点, 3 一般) or by its words.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let by_digit = match text {
            "1" => Some(ManagementClass::Priority),
            "2" => Some(ManagementClass::Key),
            "3" => Some(ManagementClass::General),
            _ => None,
        };
        let short = |class: &ManagementClass| class.label().chars().take(2).collect::<String>();
        by_digit.or_else(|| Self::ALL.into_iter().find(|class| text == class.label() || text == short(class)))
    }
}

/// A zone's own id: its kind and its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId {
    kind: String,
    number: String,
}

impl ZoneId {
    /// The number is what the paper calls the zone: 1 to 64 characters, no blanks, no control characters, no slash.
    pub fn new(kind: &str, number: &str) -> Result<Self, IdError> {
        let number = number.trim();
        let length = number.chars().count();
        if length == 0 || length > 64 || number.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/') {
            let shown: String = number.chars().take(40).collect();
            return Err(IdError(format!("编号“{shown}”不合规则：1 至 64 个字符，不含空格、控制字符和斜杠")));
        }
        if !is_kind_code(kind) {
            return Err(IdError(format!("管控类型代码“{kind}”不合规则：小写字母开头，只含小写字母、数字和下划线")));
        }
        Ok(Self { kind: kind.to_owned(), number: number.to_owned() })
    }

    pub fn kind(&self) -> &str {
        &self.kind
    }

    pub fn number(&self) -> &str {
        &self.number
    }
}

impl std::fmt::Display for ZoneId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.kind, self.number)
    }
}

/// What holds in a zone, in the words of its paper.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneRules {
    /// 管控要求: of the whole zone.
    pub rule: Option<String>,
    /// 空间布局约束 (KJBJYS).
    pub spatial: Option<String>,
    /// 污染物排放管控 (PWWPFGK).
    pub pollution: Option<String>,
    /// 环境风险防控 (HJFXFK).
    pub risk: Option<String>,
    /// 资源开发利用要求 (ZYKFXLYQ).
    pub resource: Option<String>,
}

impl ZoneRules {
    /// Titles and texts, those that there are.
    pub fn told(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("", &self.rule),
            ("空间布局约束", &self.spatial),
            ("污染物排放管控", &self.pollution),
            ("环境风险防控", &self.risk),
            ("资源开发利用要求", &self.resource),
        ]
        .into_iter()
        .filter_map(|(title, text)| Some((title, text.as_deref()?)))
    }
}

/// A zone of a kind (管控区域).
#[derive(Debug, Clone, PartialEq)]
pub struct ControlZone {
    pub id: ZoneId,
    pub name: Option<String>,
    /// The county, prefecture or province whose line it is.
    pub division: DivisionCode,
    pub class: Option<ManagementClass>,
    pub rules: ZoneRules,
    pub document_no: Option<String>,
    /// Longitude, latitude in EPSG:4490; ring start and direction as in the source file.
    pub boundary: MultiPolygon<f64>,
    /// Ellipsoidal area (椭球面积), unrounded.
    pub area: SquareMetres,
    pub stated_area: Option<Hectares>,
    /// Drawn by a generator (示意), not surveyed.
    pub illustrative: bool,
    pub source: String,
    pub source_crs: Option<String>,
    /// What the file said beyond our own columns.
    pub attributes: Vec<(String, String)>,
}

/// What a check needs to know of a zone that it met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneTold {
    pub kind: String,
    pub effect: Effect,
    pub park_weight: Weight,
    pub parcel_weight: Weight,
    /// Class, rule and document in one text.
    pub rule: String,
}

impl ZoneTold {
    /// How much common land with the zone weighs. Land inside of what it should lie in is as it should be.
    pub fn weigh(&self, purpose: Purpose, shares_land: bool) -> Weight {
        match (shares_land, self.effect) {
            (false, _) | (true, Effect::KeepWithin) => Weight::Note,
            (true, Effect::KeepOut | Effect::Inform) => match purpose {
                Purpose::ParkBoundary => self.park_weight,
                Purpose::Parcel => self.parcel_weight,
            },
        }
    }
}

/// Class, rules and document as one text: `优先保护单元；空间布局约束：……（湘政发〔2020〕12号）`.
pub fn rule_text(class: Option<&str>, rules: &ZoneRules, document: Option<&str>) -> String {
    let told = rules.told().map(|(title, text)| match title {
        "" => text.to_owned(),
        title => format!("{title}：{text}"),
    });
    let text = class.map(str::to_owned).into_iter().chain(told).collect::<Vec<_>>().join("；");
    match document.filter(|document| !document.is_empty()) {
        Some(document) if text.is_empty() => document.to_owned(),
        Some(document) => format!("{text}（{document}）"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_by_digit_and_word() {
        for (text, expected) in [
            ("1", Some(ManagementClass::Priority)),
            ("优先", Some(ManagementClass::Priority)),
            (" 重点管控单元", Some(ManagementClass::Key)),
            ("3", Some(ManagementClass::General)),
            ("4", None),
            ("", None),
        ] {
            assert_eq!(ManagementClass::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn ids_hold_kind_and_number() {
        assert_eq!(
            ZoneId::new("control_unit", "ZH43010210001").map(|id| id.to_string()),
            Ok("control_unit-ZH43010210001".into())
        );
        for (kind, number) in
            [("Control", "1"), ("", "1"), ("a-b", "1"), ("red_line", ""), ("red_line", "a b"), ("red_line", "a/b")]
        {
            assert!(ZoneId::new(kind, number).is_err(), "{kind} {number}");
        }
    }

    #[test]
    fn what_holds_in_one_text() {
        let rules =
            ZoneRules {
                spatial: Some("禁止新建".into()), risk: Some("建立预案".into()), ..ZoneRules::default()
            };
        assert_eq!(
            rule_text(Some("优先保护单元"), &rules, Some("湘政发〔2020〕12号")),
            "优先保护单元；空间布局约束：禁止新建；环境风险防控：建立预案（湘政发〔2020〕12号）"
        );
        assert_eq!(rule_text(None, &ZoneRules::default(), None), "");
    }

    #[test]
    fn common_land_weighs_as_the_kind_says() {
        let zone = |effect| ZoneTold {
            kind: "k".into(),
            effect,
            park_weight: Weight::Block,
            parcel_weight: Weight::Warn,
            rule: String::new(),
        };
        for (effect, purpose, shares, expected) in [
            (Effect::KeepOut, Purpose::ParkBoundary, true, Weight::Block),
            (Effect::KeepOut, Purpose::Parcel, true, Weight::Warn),
            (Effect::KeepOut, Purpose::Parcel, false, Weight::Note),
            (Effect::KeepWithin, Purpose::ParkBoundary, true, Weight::Note),
            (Effect::Inform, Purpose::Parcel, true, Weight::Warn),
        ] {
            assert_eq!(zone(effect).weigh(purpose, shares), expected, "{effect:?} {purpose:?} {shares}");
        }
    }
}
