//! Verdicts and refusals by values that were reckoned by hand.

use super::*;
use crate::domain::ledger::FieldValue;
use crate::domain::{DivisionCode, Finding};

fn county() -> DivisionCode {
    DivisionCode::parse("430121").expect("code")
}

/// A draft of `member=value` pairs, over a complete one of a tax per mu.
fn draft(row: u64, pairs: &[(Member, Given)]) -> Draft {
    let text = |text: &str| Given::Text(text.to_owned());
    let base = [
        (Member::Number, Given::Number(row as f64)),
        (Member::Title, text("亩均税收偏低")),
        (Member::Kind, text("产出低下类")),
        (Member::Field, text("亩均税收")),
        (Member::Comparison, text("低于")),
        (Member::Threshold, Given::Number(8.3)),
        (Member::Unit, text("万元/亩")),
    ];
    let mut draft = Draft::new(row);
    for (member, given) in base.iter().filter(|(member, _)| !pairs.iter().any(|(own, _)| own == member)).chain(pairs) {
        draft.put(*member, given.clone());
    }
    draft
}

fn text(text: &str) -> Given {
    Given::Text(text.to_owned())
}

fn check(drafts: &[Draft]) -> (Option<CriteriaSet>, Vec<Finding>) {
    let name = |member: Member| member.as_str().to_owned();
    check_set(&county(), 2025, drafts, Source { row: "条", name: &name })
}

#[track_caller]
fn set(drafts: &[Draft]) -> CriteriaSet {
    let (set, findings) = check(drafts);
    assert_eq!(findings, []);
    set.expect("a set")
}

fn facts(pairs: &[(&'static str, FieldValue)]) -> Facts {
    pairs.iter().cloned().collect()
}

fn number(value: f64) -> FieldValue {
    FieldValue::Number(value)
}

fn share(percent: f64, of: f64, unit: &str) -> Vec<(Member, Given)> {
    vec![
        (Member::Threshold, Given::Number(percent)),
        (Member::Unit, text("%")),
        (Member::ReferenceValue, Given::Number(of)),
        (Member::ReferenceUnit, text(unit)),
        (Member::ReferenceSource, text("全县平均")),
    ]
}

#[test]
fn a_threshold_is_met_to_the_very_digit() {
    // 8.3 万元/亩 are 124.5 万元/公顷; as doubles 8.3 × 15 would be 124.50000000000001.
    let below = 124.49999999999999;
    for (sign, threshold, unit, value, expected) in [
        ("lt", 8.3, "万元/亩", 124.5, Answer::NotMet),
        ("lt", 8.3, "万元/亩", below, Answer::Met),
        ("le", 8.3, "万元/亩", 124.5, Answer::Met),
        ("le", 8.3, "万元/亩", 124.50000000000001, Answer::NotMet),
        ("ge", 8.3, "万元/亩", 124.5, Answer::Met),
        ("gt", 8.3, "万元/亩", 124.5, Answer::NotMet),
        ("eq", 8.3, "万元/亩", 124.5, Answer::Met),
        ("eq", 8.3, "万元/亩", below, Answer::NotMet),
        ("lt", 124.5, "万元/公顷", 124.5, Answer::NotMet),
        ("lt", 124.5, "元/平方米", 124.4, Answer::Met),
        ("lt", 1.245, "亿元/平方公里", 124.5, Answer::NotMet),
        ("lt", 1.245, "亿元/平方公里", 124.4999, Answer::Met),
        ("lt", 0.0, "万元/亩", 0.0, Answer::NotMet),
        ("le", 0.0, "万元/亩", 0.0, Answer::Met),
    ] {
        let set = set(&[draft(
            1,
            &[
                (Member::Comparison, text(sign)),
                (Member::Threshold, Given::Number(threshold)),
                (Member::Unit, text(unit)),
            ],
        )]);
        let verdict = Judge::new(&set).judge(&facts(&[("tax_per_ha", number(value))]));
        assert_eq!(verdict.answers, [expected], "{value} {sign} {threshold} {unit}");
    }
}

#[test]
fn a_share_of_a_reference_is_reckoned_before_the_unit() {
    // 60 % of 12.5 万元/亩 are 7.5 万元/亩, which are 112.5 万元/公顷; 33.3 % of 187.5 万元/公顷 are 62.4375.
    for (percent, of, unit, threshold) in
        [(60.0, 12.5, "万元/亩", 112.5), (60.0, 187.5, "万元/公顷", 112.5), (33.3, 187.5, "万元/公顷", 62.4375)]
    {
        let set = set(&[draft(1, &share(percent, of, unit))]);
        let Threshold::Number(amount) = &set.criteria[0].threshold else { panic!("a number") };
        assert_eq!(amount.in_ledgers_unit().map(Decimal::to_f64), Some(threshold), "{percent} % of {of} {unit}");
        let judge = Judge::new(&set);
        let of = |value: f64| judge.judge(&facts(&[("tax_per_ha", number(value))])).answers[0];
        assert_eq!(
            (of(threshold - 1e-9), of(threshold), of(threshold + 1e-9)),
            (Answer::Met, Answer::NotMet, Answer::NotMet)
        );
    }
    let times = [(Member::Unit, text("倍")), (Member::Threshold, Given::Number(0.6))];
    let pairs: Vec<_> = share(60.0, 12.5, "万元/亩")
        .into_iter()
        .filter(|(m, _)| !times.iter().any(|(t, _)| t == m))
        .chain(times.clone())
        .collect();
    let set = set(&[draft(1, &pairs)]);
    assert_eq!(
        explain(&set.criteria[0], Some(&number(100.0)), Answer::Met),
        "地均税收为 100 万元/公顷；标准为低于 12.5 万元/亩（全县平均）的 0.6倍（合 112.5 万元/公顷）：符合"
    );
}

#[test]
fn ratios_and_percentages_are_not_mixed_up() {
    for (field, unit, threshold, value, expected) in [
        ("容积率", "", 0.8, 0.8, Answer::NotMet),
        ("容积率", "", 0.8, 0.79, Answer::Met),
        ("容积率", "％", 80.0, 0.8, Answer::NotMet),
        ("容积率", "%", 80.0, 0.7999, Answer::Met),
        ("建筑密度", "%", 30.0, 30.0, Answer::NotMet),
        ("建筑密度", "比例", 0.3, 30.0, Answer::NotMet),
        ("建筑密度", "比例", 0.3, 29.999, Answer::Met),
    ] {
        let given =
            [(Member::Field, text(field)), (Member::Unit, text(unit)), (Member::Threshold, Given::Number(threshold))];
        let set = set(&[draft(1, &given)]);
        let name = set.criteria[0].measure.name();
        let verdict = Judge::new(&set).judge(&facts(&[(name, number(value))]));
        assert_eq!(verdict.answers, [expected], "{field} {value} < {threshold}{unit}");
    }
    // A density without a unit may be either.
    let (_, findings) = check(&[draft(1, &[(Member::Field, text("建筑密度")), (Member::Unit, text(""))])]);
    assert_eq!(findings.iter().map(|f| f.code.as_ref()).collect::<Vec<_>>(), ["criterion_unit_invalid"]);
}

#[test]
fn flags_and_texts_are_compared_whole() {
    let stopped = draft(
        1,
        &[
            (Member::Field, text("production_stopped")),
            (Member::Comparison, text("=")),
            (Member::Threshold, text("是")),
            (Member::Unit, text("")),
        ],
    );
    let industry = draft(
        2,
        &[
            (Member::Field, text("产业类型")),
            (Member::Comparison, text("in")),
            (Member::Threshold, text("造纸、印染；造纸")),
            (Member::Unit, text("")),
        ],
    );
    let set = set(&[stopped, industry]);
    assert_eq!(set.criteria[1].threshold, Threshold::Texts(vec!["造纸".into(), "印染".into()]));
    let judge = Judge::new(&set);
    let told = |stopped: Option<bool>, industry: &str| {
        let mut facts = facts(&[("industry", FieldValue::Text(industry.to_owned()))]);
        facts.extend(stopped.map(|flag| ("production_stopped", FieldValue::Boolean(flag))));
        judge.judge(&facts).answers
    };
    use Answer::{CannotTell, Met, NotMet};
    assert_eq!(told(Some(true), "印染"), [Met, Met]);
    assert_eq!(told(Some(false), "印染和服装"), [NotMet, NotMet]);
    assert_eq!(told(None, "  "), [CannotTell, CannotTell]);
    assert_eq!(
        explain(&set.criteria[1], Some(&FieldValue::Text("印染".into())), Met),
        "产业类型为“印染”；标准为属于“造纸”、“印染”：符合"
    );
    assert_eq!(explain(&set.criteria[0], None, CannotTell), "是否停产没有填写；标准为等于是：无法判断");
}

/// Three criteria on floor-area ratio, density and tax, all below 1, 30 % and 10 万元/公顷, in these groups.
fn three(groups: [(&str, &str); 3]) -> CriteriaSet {
    let measures = [("容积率", "", 1.0), ("建筑密度", "%", 30.0), ("地均税收", "万元/公顷", 10.0)];
    let drafts: Vec<Draft> = (1..)
        .zip(measures.iter().zip(groups))
        .map(|(row, ((field, unit, threshold), (group, combination)))| {
            draft(
                row,
                &[
                    (Member::Field, text(field)),
                    (Member::Unit, text(unit)),
                    (Member::Threshold, Given::Number(*threshold)),
                    (Member::Group, text(group)),
                    (Member::Combination, text(combination)),
                ],
            )
        })
        .collect();
    set(&drafts)
}

#[test]
fn an_empty_field_keeps_open_what_it_could_decide() {
    use Overall::{LowEfficient, NotLowEfficient, Undecided};
    let alone = three([("", ""), ("", ""), ("", "")]);
    let all = three([("甲", "全部"), ("甲", "全部"), ("甲", "全部")]);
    let mixed = three([("甲", "全部"), ("甲", "全部"), ("乙", "任一")]);
    // m met, n not met, - empty.
    for (state, alone_says, all_say, mixed_say) in [
        ("mmm", LowEfficient, LowEfficient, LowEfficient),
        ("mnn", LowEfficient, NotLowEfficient, NotLowEfficient),
        ("nnm", LowEfficient, NotLowEfficient, LowEfficient),
        ("nnn", NotLowEfficient, NotLowEfficient, NotLowEfficient),
        ("m-n", LowEfficient, NotLowEfficient, Undecided),
        ("n-n", Undecided, NotLowEfficient, NotLowEfficient),
        ("n--", Undecided, NotLowEfficient, Undecided),
        ("-m-", LowEfficient, Undecided, Undecided),
        ("---", Undecided, Undecided, Undecided),
        ("--m", LowEfficient, Undecided, LowEfficient),
        ("mm-", LowEfficient, Undecided, LowEfficient),
    ] {
        let fields = [("floor_area_ratio", 1.0), ("building_density", 30.0), ("tax_per_ha", 10.0)];
        let mut given = Facts::new();
        for (letter, (name, threshold)) in state.chars().zip(fields) {
            match letter {
                'm' => given.insert(name, number(threshold / 2.0)),
                'n' => given.insert(name, number(threshold)),
                _ => None,
            };
        }
        for (set, expected) in [(&alone, alone_says), (&all, all_say), (&mixed, mixed_say)] {
            let verdict = Judge::new(set).judge(&given);
            assert_eq!(verdict.overall, expected, "{state}: {set:?}");
            assert_eq!(verdict.missing(set).is_empty(), expected != Undecided, "{state}");
            assert_eq!(verdict.kinds(set).is_empty(), expected != LowEfficient, "{state}");
        }
    }
    let verdict = Judge::new(&mixed).judge(&facts(&[("floor_area_ratio", number(1.0))]));
    assert_eq!(verdict.missing(&mixed), ["地均税收"], "the density cannot decide: its group has failed");
}

#[test]
fn the_paper_beside_the_criteria() {
    use Agreement::*;
    use Overall::{LowEfficient, NotLowEfficient};
    for (overall, paper, kind, expected) in [
        (LowEfficient, Some(true), None, Agrees),
        (LowEfficient, Some(true), Some("产出低下类"), Agrees),
        (LowEfficient, Some(true), Some("产业淘汰类"), KindDiffers),
        (LowEfficient, Some(true), Some(" "), Agrees),
        (LowEfficient, Some(false), None, CriteriaOnly),
        (LowEfficient, None, None, CriteriaOnly),
        (NotLowEfficient, Some(true), Some("产出低下类"), PaperOnly),
        (NotLowEfficient, Some(false), None, Agrees),
        (NotLowEfficient, None, None, Agrees),
        (Overall::Undecided, Some(true), None, Agreement::Undecided),
    ] {
        assert_eq!(agreement(overall, &["产出低下类"], paper, kind), expected, "{overall:?} {paper:?} {kind:?}");
    }
    for one in Agreement::ALL {
        assert_eq!(Agreement::parse(one.as_str()), Some(one));
    }
}

#[test]
fn the_nearest_division_comes_first() {
    let of = |code: &str| -> Vec<String> {
        let code = DivisionCode::parse(code).expect("code");
        CriteriaSet::divisions_for(&code).iter().map(ToString::to_string).collect()
    };
    assert_eq!(of("430121"), ["430121", "430100", "430000"]);
    assert_eq!(of("430100"), ["430100", "430000"]);
    assert_eq!(of("430000"), ["430000"]);
}

#[test]
fn every_fault_is_named_with_its_row_and_member() {
    use Member::*;
    for (pairs, code, member) in [
        (vec![(Number, text("一"))], "value_invalid", "number"),
        (vec![(Number, Given::Number(1.5))], "value_invalid", "number"),
        (vec![(Number, Given::Number(0.0))], "value_invalid", "number"),
        (vec![(Number, Given::Number(1e300))], "value_invalid", "number"),
        (vec![(Title, text(" "))], "criterion_incomplete", "title"),
        (vec![(Title, text(&"长".repeat(101)))], "value_invalid", "title"),
        (vec![(Title, text("a\u{7}b"))], "value_invalid", "title"),
        (vec![(Title, Given::Flag(true))], "value_invalid", "title"),
        (vec![(Kind, text("别的"))], "value_invalid", "kind"),
        (vec![(Field, text("colour"))], "criterion_field_unknown", "field"),
        (vec![(Field, text("owner"))], "criterion_field_unknown", "field"),
        (vec![(Field, text("is_low_efficiency"))], "criterion_field_unknown", "field"),
        (vec![(Field, text("approved_area_m2"))], "criterion_field_unknown", "field"),
        (vec![(Comparison, text("about"))], "value_invalid", "comparison"),
        (vec![(Comparison, text("in"))], "criterion_comparison_invalid", "comparison"),
        (vec![(Threshold, text("NaN"))], "value_invalid", "threshold"),
        (vec![(Threshold, Given::Number(f64::INFINITY))], "value_invalid", "threshold"),
        (vec![(Threshold, Given::Number(-1.0))], "value_invalid", "threshold"),
        (vec![(Threshold, Given::Number(1e12))], "value_invalid", "threshold"),
        (vec![(Threshold, text("0.0000001"))], "value_invalid", "threshold"),
        (vec![(Threshold, text("999999999999.999999"))], "value_invalid", "threshold"),
        (vec![(Threshold, text("1,5"))], "value_invalid", "threshold"),
        (vec![(Threshold, Given::Texts(vec![]))], "value_invalid", "threshold"),
        (vec![(Unit, text("万元"))], "criterion_unit_invalid", "unit"),
        (vec![(Unit, text("%"))], "criterion_unit_invalid", "unit"),
        (vec![(Unit, text(""))], "criterion_unit_invalid", "unit"),
        (vec![(Unit, Given::Number(1.0))], "criterion_unit_invalid", "unit"),
        (vec![(ReferenceUnit, text("万元/亩"))], "criterion_incomplete", "reference_value"),
        (vec![(ReferenceValue, Given::Number(12.5))], "criterion_unit_invalid", "unit"),
        (vec![(Combination, text("all"))], "criterion_group_invalid", "group"),
        (vec![(Combination, text("some"))], "value_invalid", "combination"),
        (vec![(Group, text(&"组".repeat(41)))], "value_invalid", "group"),
    ] {
        let (set, findings) = check(&[draft(3, &pairs)]);
        let found = findings.first().unwrap_or_else(|| panic!("{pairs:?} passes"));
        assert_eq!(set, None, "{pairs:?}");
        let place = (found.code.as_ref(), found.place.row, found.place.field.as_deref());
        assert_eq!(place, (code, Some(3), Some(member)), "{pairs:?}: {}", found.message);
        assert!(found.message.starts_with("第 3 条") && found.message.chars().count() < 500, "{}", found.message);
    }
    let stopped = |pairs: &[(Member, Given)]| {
        let base = [(Field, text("停产")), (Comparison, text("eq")), (Threshold, Given::Flag(true)), (Unit, text(""))];
        let pairs: Vec<_> =
            base.iter().filter(|(m, _)| !pairs.iter().any(|(own, _)| own == m)).chain(pairs).cloned().collect();
        check(&[draft(1, &pairs)]).1.first().map(|finding| finding.code.to_string())
    };
    assert_eq!(stopped(&[]), None);
    assert_eq!(stopped(&[(Threshold, Given::Number(1.0))]).as_deref(), Some("value_invalid"));
    assert_eq!(stopped(&[(Comparison, text("lt"))]).as_deref(), Some("criterion_comparison_invalid"));
    assert_eq!(stopped(&[(Unit, text("%"))]).as_deref(), Some("criterion_unit_invalid"));
    let industry = |comparison: &str, threshold: Given| {
        let pairs = [(Field, text("产业")), (Comparison, text(comparison)), (Threshold, threshold), (Unit, text(""))];
        check(&[draft(1, &pairs)]).1.first().map(|finding| finding.code.to_string())
    };
    let one = || Given::Texts(vec!["造纸、印染".to_owned()]);
    assert_eq!((industry("eq", one()), industry("in", one()).as_deref()), (None, Some("value_invalid")));
    let many = |count: usize| Given::Texts((0..count).map(|n| format!("产业{n}")).collect());
    assert_eq!((industry("in", many(100)), industry("in", many(101)).as_deref()), (None, Some("value_invalid")));
    assert_eq!(industry("eq", many(2)).as_deref(), Some("value_invalid"));
}

#[test]
fn a_set_is_checked_as_a_whole() {
    let codes = |drafts: &[Draft]| -> Vec<(String, Option<u64>)> {
        check(drafts).1.into_iter().map(|f| (f.code.into_owned(), f.place.row)).collect()
    };
    assert_eq!(codes(&[]), [("criteria_empty".into(), None)]);
    let one = (Member::Number, Given::Number(1.0));
    assert_eq!(
        codes(&[draft(1, &[]), draft(2, std::slice::from_ref(&one))]),
        [("criterion_number_duplicate".into(), Some(2))]
    );
    let grouped =
        |row, combination: &str| draft(row, &[(Member::Group, text("甲")), (Member::Combination, text(combination))]);
    assert_eq!(
        codes(&[grouped(1, "任一"), grouped(2, "全部"), grouped(3, "any")]),
        [("criterion_group_invalid".into(), Some(2))]
    );
    let many: Vec<Draft> = (1..=201).map(|row| draft(row, &[])).collect();
    assert_eq!(codes(&many), [("criteria_too_many".into(), None)]);
    assert_eq!(set(&many[..200]).criteria.len(), 200);
    let sorted = set(&[draft(9, &[]), draft(2, &[])]);
    assert_eq!(sorted.criteria.iter().map(|c| c.number).collect::<Vec<_>>(), [2, 9]);
}

#[test]
fn what_may_be_tested_is_in_the_table_of_fields() {
    let names: Vec<&str> = Measure::all().map(Measure::name).collect();
    assert_eq!(
        names,
        [
            "use_state",
            "land_use_code",
            "current_use",
            "industry",
            "ownership",
            "production_stopped",
            "planned_use",
            "in_village_renewal",
            "right_type",
            "floor_area_ratio",
            "building_density",
            "fixed_investment_per_ha",
            "tax_per_ha",
            "output_per_ha",
            "environment",
            "services",
        ]
    );
    for (word, name) in super::ALSO {
        assert_eq!(Measure::parse(word).map(Measure::name), Some(name), "{word}");
    }
    for measure in Measure::all() {
        assert_eq!(Measure::parse(measure.title()), Some(measure));
    }
    for comparison in Comparison::ALL {
        assert_eq!(Comparison::parse(comparison.label()), Some(comparison));
        assert_eq!(Comparison::parse(comparison.as_str()), Some(comparison));
    }
    assert_eq!(kinds(), ["产业淘汰类", "部分闲置类", "产出低下类", "环保安全类", "区位不当类"]);
}
