//! The team's 25 cases, our own from the grammar, and the laws of printing and parsing.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const TEAM_CASES: &str = include_str!("../../../fixtures/four_extents/sizhi_cases.json");
const OWN_CASES: &str = include_str!("../../../fixtures/four_extents/own_cases.json");

fn answer(text: &str) -> Value {
    let parsed = parse(text);
    let blocks: Vec<Value> = parsed
        .blocks
        .iter()
        .map(|b| {
            json!({
                "name": b.name, "area_ha": b.area.map(Hectares::value),
                "east": b.extents.east, "south": b.extents.south, "west": b.extents.west, "north": b.extents.north,
            })
        })
        .collect();
    json!({
        "total_area_ha": parsed.total_area.map(Hectares::value),
        "blocks": blocks,
        "warnings": parsed.warnings.iter().map(ExtentsWarning::code).collect::<Vec<_>>(),
    })
}

fn check(file: &str, at_least: usize) {
    let cases: Value = serde_json::from_str(file).expect("JSON");
    let cases = cases["cases"].as_array().expect("cases");
    assert!(cases.len() >= at_least, "{} cases", cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let text = case["text"].as_str().expect("text");
            let found = answer(text);
            (found != case["expect"]).then(|| {
                format!("{} ({}): {text}\n  expected {}\n  found    {found}", case["id"], case["why"], case["expect"])
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn all_cases_of_the_team() {
    check(TEAM_CASES, 25);
}

#[test]
fn all_own_cases_of_the_grammar() {
    check(OWN_CASES, 65);
}

#[test]
fn landmarks_and_offsets() {
    let offset = |text: &str| landmarks(text)[0].offset.clone().map(|o| (o.landmark, o.direction, o.metres));
    assert_eq!(offset("绕城高速以西330米处"), Some(("绕城高速".into(), Direction::West, 330.0)));
    assert_eq!(offset("曹家公路南150米"), Some(("曹家公路".into(), Direction::South, 150.0)));
    assert_eq!(offset("兰花园西路以南160米处"), Some(("兰花园西路".into(), Direction::South, 160.0)));
    assert_eq!(offset("湘江左岸以西４８.５米处"), Some(("湘江左岸".into(), Direction::West, 48.5)));
    assert_eq!(offset("西湖"), None);
    assert_eq!(offset("北300米"), None, "no landmark to be north of");
    let names = |text: &str| landmarks(text).into_iter().map(|l| l.text).collect::<Vec<_>>();
    assert_eq!(names("恒达集团、远景光伏"), ["恒达集团", "远景光伏"]);
    assert_eq!(names("酃洲路（含绿带、水渠）、白云街"), ["酃洲路（含绿带、水渠）", "白云街"]);
    assert_eq!(names(""), [""; 0]);
}

#[test]
fn long_adversarial_texts_are_answered_soon() {
    for unit in ["东至", "区块一", "（", "东、南、", "1,", "：东", "。核心区：", "面积1", "东、", "-"]
    {
        let text = unit.repeat(100_000 / unit.len());
        let begun = std::time::Instant::now();
        let _ = parse(&text);
        let _ = landmarks(&text);
        // Linear work takes milliseconds; a quadratic one would take minutes. Not a speed claim.
        assert!(begun.elapsed().as_secs() < 20, "{unit}");
    }
}

fn words() -> impl Strategy<Value = String> {
    prop::string::string_regex(
        "[友谊和平星湖大道枫林路绕城高速白鹭河金桥铁支线村组桥X0-9]{1,3}(（[规划在建X0-9]{1,3}）)?[路街河村桥]",
    )
    .expect("regex")
}

fn block(name: Option<String>) -> impl Strategy<Value = BlockExtents> {
    (prop::option::of(1u32..10_000_000), prop::array::uniform4(prop::option::weighted(0.9, words()))).prop_map(
        move |(area, [east, south, west, north])| BlockExtents {
            name: name.clone(),
            area: area.and_then(|a| Hectares::new(f64::from(a) / 10_000.0)),
            extents: FourExtents { east, south, west, north },
        },
    )
}

fn whole_text() -> impl Strategy<Value = ExtentsText> {
    let names = ["区块一", "区块二", "区块三（装备园）", "核心区", "徐家片区"];
    let many = (1..=names.len())
        .prop_flat_map(move |n| names[..n].iter().map(|name| block(Some((*name).to_owned()))).collect::<Vec<_>>());
    (prop::option::of(1u32..10_000_000), many).prop_map(|(total, blocks)| ExtentsText {
        total_area: total.and_then(|a| Hectares::new(f64::from(a) / 10_000.0)),
        blocks,
        warnings: vec![],
    })
}

proptest! {
    #[test]
    fn parsing_a_printed_text_keeps_every_value(text in whole_text()) {
        let again = parse(&print(&text));
        prop_assert_eq!(again.total_area, text.total_area, "{}", print(&text));
        prop_assert_eq!(&again.blocks, &text.blocks, "{}", print(&text));
    }

    #[test]
    fn any_text_gets_an_answer_that_prints_and_parses_again(text in "[东南西北東至临：:，,；;。、（）()\\-—区块一二1-9.,面积公顷亩侧为核心\\n 　a]{0,60}") {
        let once = parse(&text);
        prop_assert!(!once.blocks.is_empty() || once.warnings == [ExtentsWarning::NoDirections]);
        let _ = parse(&print(&once));
    }

    #[test]
    fn any_characters_get_an_answer(text in any::<String>()) {
        let _ = landmarks(&text);
        let _ = parse(&text);
    }
}
