//! From what a table or a client gives to a checked set; every fault with its row and member.

use std::collections::HashMap;

use super::decimal::Decimal;
use super::draft::{Draft, Given, Member, Source, is_sound, shown};
use super::set::{Amount, Combination, Comparison, CriteriaSet, Criterion, Reference, Threshold};
use super::unit::Unit;
use super::{Measure, kinds};
use crate::domain::area::ungrouped;
use crate::domain::ledger::field::{FieldKind, FieldValue, half_width};
use crate::domain::{DivisionCode, Finding, Place};

/// Criteria of one set. A paper has ten or twenty; a report tests each parcel by all of them.
pub const MAX_CRITERIA: usize = 200;
/// Largest 编号.
const MAX_NUMBER: i32 = 9_999;
/// Texts that a value may be one of.
const MAX_TEXTS: usize = 100;
/// What stands between the texts of a cell.
const SEPARATORS: [char; 6] = ['、', '；', ';', '，', ',', '\n'];
/// Numbers are below this, with no more decimals than that: no amount of a paper is finer or larger.
const TOO_MUCH: &str = "1000000000000";
const MOST_DECIMALS: u32 = 6;

/// The set of these drafts, if nothing is wrong with any.
pub fn check_set(
    division: &DivisionCode,
    year: i32,
    drafts: &[Draft],
    source: Source<'_>,
) -> (Option<CriteriaSet>, Vec<Finding>) {
    let mut findings = Vec::new();
    let key = format!("{division} 的 {year} 年标准");
    if drafts.is_empty() {
        let message = format!("{key}没有一条；不再适用的标准请删除（DELETE）");
        findings.push(Finding::error("criteria_empty", Place::whole(), message));
    }
    if drafts.len() > MAX_CRITERIA {
        let message = format!("{key}有 {} 条，超过上限 {MAX_CRITERIA} 条", drafts.len());
        findings.push(Finding::error("criteria_too_many", Place::whole(), message));
        return (None, findings);
    }
    let mut criteria: Vec<(u64, Criterion)> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let mut reader = Reader { draft, source, findings: &mut findings };
        if let Some(criterion) = reader.criterion() {
            criteria.push((draft.row, criterion));
        }
    }
    check_together(&criteria, source, &mut findings);
    let mut criteria: Vec<Criterion> = criteria.into_iter().map(|(_, criterion)| criterion).collect();
    criteria.sort_by_key(|criterion| criterion.number);
    let set = findings.is_empty().then(|| CriteriaSet { division: division.clone(), year, criteria });
    (set, findings)
}

/// Numbers once each; one combination a group.
fn check_together(criteria: &[(u64, Criterion)], source: Source<'_>, findings: &mut Vec<Finding>) {
    let mut numbers: HashMap<i32, u64> = HashMap::new();
    let mut groups: HashMap<&str, (u64, Combination)> = HashMap::new();
    let word = source.row;
    for (row, criterion) in criteria {
        if let Some(first) = numbers.insert(criterion.number, *row) {
            let message = format!("第 {row} {word}的编号 {} 与第 {first} {word}相同", criterion.number);
            let place = Place::row(*row).field((source.name)(Member::Number));
            findings.push(Finding::error("criterion_number_duplicate", place, message));
        }
        let Some(group) = &criterion.group else { continue };
        let (first, combination) = *groups.entry(group).or_insert((*row, criterion.combination));
        if combination != criterion.combination {
            let message = format!(
                "第 {row} {word}：组“{group}”在第 {first} {word}写的是“{}”，这里是“{}”；同组应相同",
                combination.label(),
                criterion.combination.label()
            );
            let place = Place::row(*row).field((source.name)(Member::Combination));
            findings.push(Finding::error("criterion_group_invalid", place, message));
        }
    }
}

/// Reads the members of one draft.
struct Reader<'a> {
    draft: &'a Draft,
    source: Source<'a>,
    findings: &'a mut Vec<Finding>,
}

impl Reader<'_> {
    fn place(&self, member: Member) -> (Place, String) {
        let name = (self.source.name)(member);
        let at = format!("第 {} {}的“{name}”", self.draft.row, self.source.row);
        (Place::row(self.draft.row).field(name), at)
    }

    fn invalid(&mut self, member: Member, rule: &str) {
        let (place, at) = self.place(member);
        let given = self.draft.get(member).map(shown).unwrap_or_default();
        self.findings.push(Finding::error("value_invalid", place, format!("{at}应为{rule}，不是“{given}”")));
    }

    fn missing(&mut self, member: Member) {
        let (place, at) = self.place(member);
        self.findings.push(Finding::error("criterion_incomplete", place, format!("{at}没有填写")));
    }

    /// All members are looked at, whatever is wrong with the first.
    fn criterion(&mut self) -> Option<Criterion> {
        let number = self.number();
        let title = self.needed(Member::Title, |text| Some(text.to_owned()), "文字");
        let kind = self.kind();
        let measure = self.measure();
        let signs = Comparison::ALL.map(Comparison::label).join("、");
        let comparison = self.needed(Member::Comparison, Comparison::parse, &format!("{signs}之一"));
        let threshold = match (measure, comparison) {
            (Some(measure), Some(comparison)) => self.threshold(measure, comparison),
            _ => None,
        };
        let group = self.text(Member::Group);
        let combination = self.combination(group.as_deref());
        let (document, note) = (self.text(Member::Document), self.text(Member::Note));
        Some(Criterion {
            number: number?,
            title: title?,
            kind: kind?,
            group,
            combination: combination?,
            measure: measure?,
            comparison: comparison?,
            threshold: threshold?,
            document,
            note,
        })
    }

    fn number(&mut self) -> Option<i32> {
        let number = match self.draft.get(Member::Number) {
            None => {
                self.missing(Member::Number);
                return None;
            }
            Some(Given::Number(number)) if number.fract() == 0.0 && number.abs() < 1e9 => Some(*number as i32),
            Some(Given::Text(text)) => half_width(text).parse().ok(),
            Some(_) => None,
        };
        let number = number.filter(|number| (1..=MAX_NUMBER).contains(number));
        if number.is_none() {
            self.invalid(Member::Number, &format!(" 1 至 {MAX_NUMBER} 的整数"));
        }
        number
    }

    fn kind(&mut self) -> Option<&'static str> {
        let find = |text: &str| kinds().iter().find(|kind| **kind == text || kind.trim_end_matches('类') == text);
        self.needed(Member::Kind, |text| find(text).copied(), &format!("{}之一", kinds().join("、")))
    }

    fn measure(&mut self) -> Option<Measure> {
        let Some(given) = self.draft.get(Member::Field) else {
            self.missing(Member::Field);
            return None;
        };
        let measure = match given {
            Given::Text(text) => Measure::parse(text),
            _ => None,
        };
        if measure.is_none() {
            let known: Vec<String> = Measure::all().map(|m| format!("{}（{}）", m.title(), m.name())).collect();
            let (place, at) = self.place(Member::Field);
            let message = format!("{at}“{}”不是低效用地可比较的指标；有：{}", shown(given), known.join("、"));
            self.findings.push(Finding::error("criterion_field_unknown", place, message));
        }
        measure
    }

    fn combination(&mut self, group: Option<&str>) -> Option<Combination> {
        if self.draft.get(Member::Combination).is_none() {
            return Some(Combination::Any);
        }
        let combination = self.needed(Member::Combination, Combination::parse, "任一或全部")?;
        if combination == Combination::All && group.is_none() {
            let (place, _) = self.place(Member::Group);
            let (_, at) = self.place(Member::Combination);
            let message = format!("{at}是“全部”，却没有写明与哪些标准同组");
            self.findings.push(Finding::error("criterion_group_invalid", place, message));
            return None;
        }
        Some(combination)
    }

    /// A text that may be missing, without controls and not too long.
    fn text(&mut self, member: Member) -> Option<String> {
        let text = match self.draft.get(member)? {
            Given::Text(text) => Some(text.trim().to_owned()),
            _ => None,
        };
        let text = text.filter(|text| is_sound(text, member));
        if text.is_none() {
            self.invalid(member, &format!("至多 {} 个字的文字，不含控制字符", member.most_chars()));
        }
        text
    }

    fn needed<T>(&mut self, member: Member, parse: impl Fn(&str) -> Option<T>, rule: &str) -> Option<T> {
        if self.draft.get(member).is_none() {
            self.missing(member);
            return None;
        }
        let text = self.text(member)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            self.invalid(member, rule);
        }
        parsed
    }

    fn threshold(&mut self, measure: Measure, comparison: Comparison) -> Option<Threshold> {
        use Comparison::{AtLeast, AtMost, Equal, Greater, Less, OneOf};
        let allowed: &[Comparison] = match measure.field().kind {
            FieldKind::Number => &[Less, AtMost, Greater, AtLeast, Equal],
            FieldKind::Boolean => &[Equal],
            _ => &[Equal, OneOf],
        };
        if !allowed.contains(&comparison) {
            let (place, at) = self.place(Member::Comparison);
            let labels: Vec<&str> = allowed.iter().map(|one| one.label()).collect();
            let message =
                format!("{at}“{}”不能用于指标“{}”；可用：{}", comparison.label(), measure.title(), labels.join("、"));
            self.findings.push(Finding::error("criterion_comparison_invalid", place, message));
            return None;
        }
        if self.draft.get(Member::Threshold).is_none() {
            self.missing(Member::Threshold);
            return None;
        }
        match measure.field().kind {
            FieldKind::Number => self.amount(measure).map(Threshold::Number),
            kind => {
                let fits = self.refuse_units(measure);
                let threshold = match kind {
                    FieldKind::Boolean => self.flag().map(Threshold::Flag),
                    _ => self.texts(comparison).map(Threshold::Texts),
                };
                threshold.filter(|_| fits)
            }
        }
    }

    /// What is no number has neither a unit nor a reference.
    fn refuse_units(&mut self, measure: Measure) -> bool {
        let members = [Member::Unit, Member::ReferenceValue, Member::ReferenceUnit, Member::ReferenceSource];
        let Some(member) = members.into_iter().find(|member| self.draft.get(*member).is_some()) else { return true };
        let (place, at) = self.place(member);
        let message = format!("{at}应为空：指标“{}”不是数值", measure.title());
        self.findings.push(Finding::error("criterion_unit_invalid", place, message));
        false
    }

    fn flag(&mut self) -> Option<bool> {
        let flag = match self.draft.get(Member::Threshold)? {
            Given::Flag(flag) => Some(*flag),
            Given::Text(text) => match FieldKind::Boolean.parse(text) {
                Ok(FieldValue::Boolean(flag)) => Some(flag),
                _ => None,
            },
            Given::Number(_) | Given::Texts(_) => None,
        };
        if flag.is_none() {
            self.invalid(Member::Threshold, "是或否");
        }
        flag
    }

    /// One text to be equal to; a list, or a cell with one, to be one of.
    fn texts(&mut self, comparison: Comparison) -> Option<Vec<String>> {
        let is_list = comparison == Comparison::OneOf;
        let given: Vec<String> = match self.draft.get(Member::Threshold)? {
            Given::Text(text) if is_list => text.split(['、', '；', ';', '，', ',', '\n']).map(str::to_owned).collect(),
            Given::Text(text) => vec![text.clone()],
            Given::Texts(texts) => texts.clone(),
            Given::Number(_) | Given::Flag(_) => Vec::new(),
        };
        let mut texts: Vec<String> = Vec::with_capacity(given.len());
        for text in given.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
            if !texts.iter().any(|held| held == text) {
                texts.push(text.to_owned());
            }
        }
        let most = if is_list { MAX_TEXTS } else { 1 };
        // One with a separator in it would be two in a table.
        let is_one = |text: &String| is_sound(text, Member::Threshold) && !(is_list && text.contains(SEPARATORS));
        let sound = (1..=most).contains(&texts.len()) && texts.iter().all(is_one);
        if !sound {
            let rule = if is_list {
                format!("至多 {MAX_TEXTS} 项的文字（每项至多 100 个字，不含顿号、逗号、分号），用顿号隔开")
            } else {
                "一项至多 100 个字的文字".to_owned()
            };
            self.invalid(Member::Threshold, &rule);
        }
        sound.then_some(texts)
    }

    fn amount(&mut self, measure: Measure) -> Option<Amount> {
        let number = self.decimal(Member::Threshold);
        let is_share = self.draft.get(Member::ReferenceValue).is_some();
        if !is_share {
            let orphan = [Member::ReferenceUnit, Member::ReferenceSource];
            if let Some(member) = orphan.into_iter().find(|member| self.draft.get(*member).is_some()) {
                let (place, _) = self.place(Member::ReferenceValue);
                let (_, at) = self.place(member);
                let message = format!("{at}已填写，却没有参照值");
                self.findings.push(Finding::error("criterion_incomplete", place, message));
                return None;
            }
            let unit = self.unit(Member::Unit, Unit::of(measure), measure);
            return Some(Amount { number: number?, unit: unit?, reference: None });
        }
        let unit = self.unit(Member::Unit, Unit::of_reference(), measure);
        let reference = self.decimal(Member::ReferenceValue);
        let reference_unit = self.unit(Member::ReferenceUnit, Unit::of(measure), measure);
        let source = self.text(Member::ReferenceSource);
        let amount = Amount {
            number: number?,
            unit: unit?,
            reference: Some(Reference { number: reference?, unit: reference_unit?, source }),
        };
        let held = amount.in_ledgers_unit().filter(|number| *number < limit());
        if held.is_none() {
            self.invalid(Member::ReferenceValue, &format!("与阈值相乘后小于 {TOO_MUCH} 的数"));
        }
        held.map(|_| amount)
    }

    fn decimal(&mut self, member: Member) -> Option<Decimal> {
        let number = match self.draft.get(member)? {
            Given::Number(number) => Decimal::of_f64(*number),
            Given::Text(text) => ungrouped(&half_width(text)).and_then(|plain| Decimal::parse(&plain)),
            Given::Flag(_) | Given::Texts(_) => None,
        };
        // JSON and spreadsheets hold doubles: what none holds would come back as another number.
        let is_held = |number: &Decimal| Decimal::of_f64(number.to_f64()) == Some(*number);
        let number = number.filter(|number| number.decimals() <= MOST_DECIMALS && *number < limit() && is_held(number));
        if number.is_none() {
            let rule = format!("不小于 0、小于 {TOO_MUCH} 的数，小数不超过 {MOST_DECIMALS} 位、有效数字不超过 15 位");
            self.invalid(member, &rule);
        }
        number
    }

    /// A plain number needs no unit; anything else is nothing without one.
    fn unit(&mut self, member: Member, units: &'static [Unit], measure: Measure) -> Option<&'static Unit> {
        let text = match self.draft.get(member) {
            None => Some(""),
            Some(Given::Text(text)) => Some(text.as_str()),
            Some(_) => None,
        };
        let unit = text.and_then(|text| Unit::parse(text, units));
        if unit.is_none() {
            let known: Vec<&str> =
                units.iter().map(|unit| if unit.word.is_empty() { "（空）" } else { unit.word }).collect();
            let given = self.draft.get(member).map(shown).unwrap_or_default();
            let (place, at) = self.place(member);
            let message = format!("{at}“{given}”不能用于指标“{}”；应为：{}", measure.title(), known.join("、"));
            self.findings.push(Finding::error("criterion_unit_invalid", place, message));
        }
        unit
    }
}

fn limit() -> Decimal {
    Decimal::parse(TOO_MUCH).unwrap_or(Decimal::ZERO)
}
