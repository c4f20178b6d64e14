//! Filters against a layer: what its declaration lets through, and what plain parameters can say.

use chrono::NaiveDate;

use super::*;
use crate::domain::filter::{Column, Node, Simplified, simplify};
use crate::domain::items_query::FilterValue;
use crate::domain::published_crs::PublishedCrs;
use crate::layers::declaration;

fn parcels() -> &'static Layer {
    declaration::find("turnover_parcels").expect("layer")
}

fn checked(source: &str) -> Result<Checked> {
    read_for(parcels(), source, Language::Text, Default::default())
}

#[test]
fn what_makes_sense_of_a_layer_passes() {
    for source in [
        "state='approved'",
        "'approved'=state",
        "\"state\" like 'a%' and name not like '%\\\\x'",
        "casei(name) like casei(accenti('X\\%'))",
        "name=number or name<>county_name",
        "computed_area_m2/10000 between 1 and approval_age_years",
        "state_on>=DATE('2024-01-01') and state_on<TIMESTAMP('2024-06-01T00:00:00Z')",
        "valid_to is null and valid_from is not null",
        "illustrative and not park_agrees=false",
        "(illustrative=true)=(park_agrees=true)",
        "s_intersects(geometry, BBOX(112,28,113,29))",
        "s_touches(geom, GEOMETRYCOLLECTION(POINT(112 28),MULTIPOINT((113 28))))",
        "s_disjoint(geometry, GEOMETRYCOLLECTION(POINT(112 28),LINESTRING(112 28,113 28)))",
        "s_within(POINT(180 90),POLYGON((0 0,180 0,180 90,0 0)))",
        "t_during(interval(valid_from,valid_to),interval('2020-01-01','..'))",
        "t_intersects(state_on,interval('..','..'))",
        "a_overlaps(derived_sets,('idle','used'))",
        "a_equals((1,'a',DATE('2024-01-01'),('b')),(name,1))",
        "length(name)>2 and area(geometry)>1000 and upper(name)='A' and round(computed_area_mu)=5",
        "name in ('a',county_name,lower('B'))",
        "true",
    ] {
        assert!(checked(source).is_ok(), "{source}: {:?}", checked(source).err().map(|e| e.to_string()));
    }
}

/// Filter, the character where it goes wrong, what the sentence says.
const WRONG: [(&str, u32, &str); 48] = [
    ("xyz=1", 1, "没有属性“xyz”；可查询的属性：id、number"),
    ("name='x' and (1=1 or nope='y')", 22, "没有属性“nope”"),
    ("State='approved'", 1, "没有属性“State”"),
    ("state_label='x'", 1, "不能按属性“state_label”过滤"),
    ("row_revision=1", 1, "没有属性"),
    ("\"state\"\" or 1=1 --\"='x'", 1, "没有属性"),
    ("name", 1, "条件应为是非"),
    ("1", 1, "条件应为是非"),
    ("name=1", 6, "数不能与文字比较；文字要加单引号"),
    ("computed_area_m2='1'", 18, "文字不能与数比较"),
    ("state_on='2024-01-01'", 10, "DATE('2024-01-01')"),
    ("illustrative=1", 14, "数不能与是非"),
    ("state_on in (DATE('2024-01-01'),1)", 33, "数不能与日期比较"),
    ("computed_area_m2 between 1 and 'x'", 32, "文字不能与数"),
    ("geometry=POINT(1 2)", 1, "s_equals"),
    ("derived_sets='idle'", 1, "a_contains"),
    ("interval('..','..')=state_on", 1, "t_equals"),
    ("interval('..','..') is null", 1, "一端"),
    ("name in ()", 1, "1 至 1000"),
    ("name like county_name", 11, "样式应为文字"),
    ("name like casei(county_name)", 11, "样式应为文字"),
    ("name like 1", 11, "样式应为文字，不是数"),
    ("name like 'a\\\\\\\\\\'", 11, "缺少结尾"),
    ("computed_area_m2 like '1%'", 1, "like 的对象应为文字"),
    ("not name", 5, "not 的对象"),
    ("name='x' or name", 13, "and、or 的对象"),
    ("name+1=2", 1, "运算的对象应为数，不是文字"),
    ("state_on-1=state_on", 1, "运算的对象应为数，不是日期"),
    ("abs(name)=1", 5, "abs 的参数应为数"),
    ("abs()=1", 1, "1 个参数，不是 0 个"),
    ("casei('a','b')='a'", 1, "1 个参数，不是 2 个"),
    ("area(name)=1", 6, "应为图形"),
    ("s_intersects(name,POINT(1 2))", 14, "空间函数的对象应为图形，不是文字"),
    ("s_intersects(geometry,POINT(90 180))", 23, "纬度"),
    ("s_intersects(geometry,POINT(181 0))", 23, "经度"),
    ("s_intersects(geometry,BBOX(0,10,10,0))", 23, "南边的纬度"),
    ("s_intersects(geometry,BBOX(0,0,10,91))", 23, "纬度"),
    ("s_intersects(geometry,POLYGON((0 0,10 10,10 0,0 10,0 0)))", 23, "不是有效的面"),
    ("s_intersects(geometry,MULTIPOLYGON(((0 0,2 0,2 2,0 0)),((1 0,3 0,3 3,1 0))))", 23, "不是有效的面"),
    ("s_intersects(geometry,LINESTRING(1 1,1 1))", 23, "同一处"),
    ("s_within(geometry,GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1)))", 19, "只能用于 s_intersects"),
    ("t_after(name,state_on)", 9, "时间函数的对象"),
    ("t_during(state_on,interval('..','2024-01-01'))", 10, "只用于时段"),
    ("t_after(state_on,interval(name,'..'))", 27, "时段的一端应为日期或时刻，不是文字"),
    ("t_after(state_on,interval('2024-01-02','2024-01-01'))", 18, "起始晚于终止"),
    ("a_contains(name,('x'))", 12, "列表函数的对象应为列表，不是文字"),
    ("a_contains(derived_sets,(POINT(1 2)))", 26, "列表中不能有图形"),
    ("a_contains(derived_sets,(name='x'))", 26, "列表中不能有条件"),
];

#[test]
fn what_makes_no_sense_is_told_with_its_place() {
    for (source, place, sentence) in WRONG {
        let error = checked(source).err().unwrap_or_else(|| panic!("{source} passed"));
        assert_eq!(error.code(), "filter_invalid", "{source}");
        let detail = error.to_string();
        assert!(detail.starts_with(&format!("filter 第 {place} 个字符处：")), "{source}: {detail}");
        assert!(detail.contains(sentence), "{source}: {detail}");
    }
    let json = r#"{"op":"and","args":[true,{"op":"=","args":[{"property":"nope"},1]}]}"#;
    let error = read_for(parcels(), json, Language::Json, Default::default()).expect_err("refused");
    assert!(error.to_string().starts_with("filter /args/1/args/0 处：没有属性“nope”"), "{error}");
    let json = r#"{"op":"like","args":[{"property":"name"},"a\\"]}"#;
    let error = read_for(parcels(), json, Language::Json, Default::default()).expect_err("refused");
    assert!(error.to_string().contains("反斜杠"), "{error}");
    let json = r#"{"op":"=","args":[{"property":"name"},"a\u0000"]}"#;
    let error = read_for(parcels(), json, Language::Json, Default::default()).expect_err("refused");
    assert!(error.to_string().starts_with("filter /args/1 处："), "{error}");
}

#[test]
fn coordinates_are_in_the_order_of_their_system() {
    let read = |source: &str, crs| read_for(parcels(), source, Language::Text, crs);
    let lon_lat =
        read("s_within(geometry,BBOX(112,27,113,29)) and s_equals(geometry,POINT(112 28))", PublishedCrs::Crs84);
    let lat_lon =
        read("s_within(geometry,BBOX(27,112,29,113)) and s_equals(geometry,POINT(28 112))", PublishedCrs::Cgcs2000);
    assert_eq!(lon_lat.expect("read"), lat_lon.expect("read"));
    assert!(read("s_equals(geometry,POINT(112 28))", PublishedCrs::Cgcs2000).is_err(), "latitude 112");
}

fn simplified(source: &str) -> Simplified {
    simplify(checked(source).unwrap_or_else(|e| panic!("{source}: {e}")))
}

#[test]
fn a_conjunction_of_plain_conditions_becomes_parameters() {
    let day = |text: &str| text.parse::<NaiveDate>().ok();
    let simple = simplified(
        "state='approved' and (county_code in ('430121','430122') and 5<=computed_area_mu) and s_intersects(geometry,BBOX(112,28,113,29)) \
         and illustrative=true and approval_age_years=3 and state_on between DATE('2024-01-01') and DATE('2024-12-31') \
         and a_overlaps(derived_sets,('idle','used')) and a_contains(derived_sets,('used')) and park_agrees",
    );
    let told: Vec<(&str, &FilterValue)> = simple.filters.iter().map(|f| (f.property.name, &f.value)).collect();
    let any_of = |words: [&str; 2]| FilterValue::AnyOf(words.map(str::to_owned).to_vec());
    assert_eq!(
        told,
        vec![
            ("state", &FilterValue::Text("approved".into())),
            ("county_code", &any_of(["430121", "430122"])),
            ("computed_area_mu", &FilterValue::NumberBetween(Some(5.0), None)),
            ("illustrative", &FilterValue::Boolean(true)),
            ("approval_age_years", &FilterValue::Number(3.0)),
            ("state_on", &FilterValue::DateBetween(day("2024-01-01"), day("2024-12-31"))),
            ("derived_sets", &any_of(["idle", "used"])),
            ("derived_sets", &FilterValue::Text("used".into())),
            ("park_agrees", &FilterValue::Boolean(true)),
        ]
    );
    assert_eq!(simple.bbox, Some([112.0, 28.0, 113.0, 29.0]));
    assert_eq!(simple.rest, None);
}

#[test]
fn what_parameters_cannot_say_stays_a_filter() {
    for source in [
        "state='approved' or state='listed'",
        "not state='approved'",
        "state<>'approved'",
        "state>='approved'",
        "state=county_code",
        "casei(state)=casei('A')",
        "computed_area_mu>5",
        "approval_age_years=9007199254740993",
        "state_on=TIMESTAMP('2024-01-01T00:00:00Z')",
        "a_equals(derived_sets,('used'))",
        "a_contains(derived_sets,('used','idle'))",
        "a_contains(('used'),derived_sets)",
        "name in ('a',county_name)",
        "s_within(geometry,BBOX(112,28,113,29))",
        "s_intersects(geometry,BBOX(170,28,-170,29))",
        "s_intersects(geometry,POINT(112 28))",
        "valid_to=DATE('2024-01-01')",
        "'a'='a'",
    ] {
        let simple = simplified(source);
        assert_eq!((simple.filters.len(), simple.bbox), (0, None), "{source}");
        assert_eq!(simple.rest, checked(source).ok(), "{source}");
    }
    // Of two boxes the first is the query's, since those of a query are joined by “or”.
    let two = simplified("s_intersects(geometry,BBOX(1,1,2,2)) and name<>'x' and s_intersects(BBOX(3,3,4,4),geometry)");
    assert_eq!(two.bbox, Some([1.0, 1.0, 2.0, 2.0]));
    assert_eq!(two.rest, checked("name<>'x' and s_intersects(BBOX(3,3,4,4),geometry)").ok());
    let Some(Checked { node: Node::And(rest), .. }) = two.rest else { panic!("two are left") };
    assert!(matches!(&rest[1].node, Node::Spatial(_, pair) if pair[1].node == Node::Property(Column::Geometry)));
}
