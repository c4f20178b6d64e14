//! What is read from text and JSON, and what is refused where.

use serde_json::Value;

use super::*;
use crate::domain::filter::{Comparison, Expression, Function, MAX_DEPTH, Node, Operator};

fn text(source: &str) -> Read {
    read(source, Language::Text).unwrap_or_else(|e| panic!("{source}: {e}"))
}

fn json(source: &str) -> Read {
    read(source, Language::Json).unwrap_or_else(|e| panic!("{source}: {e}"))
}

/// Code and sentence.
fn refused(source: &str, language: Language) -> (&'static str, String) {
    let error = read(source, language).err().unwrap_or_else(|| panic!("{source:.60} was read"));
    (error.code(), error.to_string())
}

/// Both encodings of one filter, from the standard's clauses and the ways that people write.
const SAME: [(&str, &str); 36] = [
    ("depth BETWEEN 100.0 and 150.0", r#"{"op":"between","args":[{"property":"depth"},100.0,150.0]}"#),
    ("name LIKE 'Smith%'", r#"{"op":"like","args":[{"property":"name"},"Smith%"]}"#),
    ("category NOT IN (1,2)", r#"{"op":"not","args":[{"op":"in","args":[{"property":"category"},[1,2]]}]}"#),
    ("a is not null", r#"{"op":"not","args":[{"op":"isNull","args":[{"property":"a"}]}]}"#),
    ("CASEI(a)=CASEI('Straße')", r#"{"op":"=","args":[{"casei":{"property":"a"}},{"casei":"Straße"}]}"#),
    (
        "accenti(a)=accenti('x')",
        r#"{"op":"=","args":[{"op":"accenti","args":[{"property":"a"}]},{"op":"accenti","args":["x"]}]}"#,
    ),
    (
        "S_INTERSECTS(geometry,POINT(36.3 32.2))",
        r#"{"op":"s_intersects","args":[{"property":"geometry"},{"type":"Point","coordinates":[36.3,32.2]}]}"#,
    ),
    (
        "s_within(BBOX(160.6,-55.95,-170,-25.89),g)",
        r#"{"op":"s_within","args":[{"bbox":[160.6,-55.95,-170,-25.89]},{"property":"g"}]}"#,
    ),
    (
        "S_EQUALS(g,LINESTRING Z (0 0 5, 1 -1 6))",
        r#"{"op":"s_equals","args":[{"property":"g"},{"type":"LineString","coordinates":[[0,0],[1,-1]]}]}"#,
    ),
    (
        "s_touches(g,MULTIPOINT((1 2),(3 4)))",
        r#"{"op":"s_touches","args":[{"property":"g"},{"type":"MultiPoint","coordinates":[[1,2],[3,4]]}]}"#,
    ),
    (
        "s_touches(g, MultiPoint (1 2, 3 4))",
        r#"{"op":"s_touches","args":[{"property":"g"},{"type":"MultiPoint","coordinates":[[1,2],[3,4]]}]}"#,
    ),
    (
        "s_disjoint(g,GEOMETRYCOLLECTION(POINT(1 2),POLYGON((0 0,1 0,1 1,0 0))))",
        r#"{"op":"s_disjoint","args":[{"property":"g"},{"type":"GeometryCollection","geometries":[
            {"type":"Point","coordinates":[1,2]},{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]]]}]}]}"#,
    ),
    (
        "T_DURING(INTERVAL(touchdown, liftOff), INTERVAL('1969-07-16T13:32:00Z', '..'))",
        r#"{"op":"t_during","args":[{"interval":[{"property":"touchdown"},{"property":"liftOff"}]},{"interval":["1969-07-16T13:32:00Z",".."]}]}"#,
    ),
    (
        "t_metby(a, INTERVAL('..','1969-07-16'))",
        r#"{"op":"t_metBy","args":[{"property":"a"},{"interval":["..","1969-07-16"]}]}"#,
    ),
    (
        "updated >= TIMESTAMP('2020-01-01T08:00:00+08:00')",
        r#"{"op":">=","args":[{"property":"updated"},{"timestamp":"2020-01-01T00:00:00Z"}]}"#,
    ),
    (
        "A_CONTAINS(layer:ids, ('layers-ca','layers-us'))",
        r#"{"op":"a_contains","args":[{"property":"layer:ids"},["layers-ca","layers-us"]]}"#,
    ),
    ("a_equals(l, ('a'))", r#"{"op":"a_equals","args":[{"property":"l"},["a"]]}"#),
    ("a_overlaps(('a', true, 1), ['a'])", r#"{"op":"a_overlaps","args":[["a",true,1],["a"]]}"#),
    ("a_containedBy((), (DATE('1969-07-16')))", r#"{"op":"a_containedBy","args":[[],[{"date":"1969-07-16"}]]}"#),
    ("h > (c-1)", r#"{"op":">","args":[{"property":"h"},{"op":"-","args":[{"property":"c"},1]}]}"#),
    ("1-2-3=a", r#"{"op":"=","args":[{"op":"-","args":[{"op":"-","args":[1,2]},3]},{"property":"a"}]}"#),
    ("a=2^3^2", r#"{"op":"=","args":[{"property":"a"},{"op":"^","args":[2,{"op":"^","args":[3,2]}]}]}"#),
    (
        "a=1+2*3 DIV 4",
        r#"{"op":"=","args":[{"property":"a"},{"op":"+","args":[1,{"op":"div","args":[{"op":"*","args":[2,3]},4]}]}]}"#,
    ),
    ("a=-b", r#"{"op":"=","args":[{"property":"a"},{"op":"*","args":[-1,{"property":"b"}]}]}"#),
    ("a=-5.5e-1", r#"{"op":"=","args":[{"property":"a"},-0.55]}"#),
    (
        "NOT a=1 AND b=2 OR c=3",
        r#"{"op":"or","args":[{"op":"and","args":[{"op":"not","args":[{"op":"=","args":[{"property":"a"},1]}]},{"op":"=","args":[{"property":"b"},2]}]},{"op":"=","args":[{"property":"c"},3]}]}"#,
    ),
    (
        "not (a=1 and (b=2 or c=3))",
        r#"{"op":"NOT","args":[{"op":"AND","args":[{"op":"=","args":[{"property":"a"},1]},{"op":"OR","args":[{"op":"=","args":[{"property":"b"},2]},{"op":"=","args":[{"property":"c"},3]}]}]}]}"#,
    ),
    ("((a=1))", r#"{"op":"=","args":[{"property":"a"},1]}"#),
    ("a = (b = 1)", r#"{"op":"=","args":[{"property":"a"},{"op":"=","args":[{"property":"b"},1]}]}"#),
    ("TRUE", "true"),
    // Names that a keyword might be taken for.
    ("date=DATE('2022-04-16')", r#"{"op":"=","args":[{"property":"date"},{"date":"2022-04-16"}]}"#),
    ("\"date\" in (DATE('2022-04-16'))", r#"{"op":"in","args":[{"property":"date"},[{"date":"2022-04-16"}]]}"#),
    (
        "start=end and boolean=true",
        r#"{"op":"and","args":[{"op":"=","args":[{"property":"start"},{"property":"end"}]},{"op":"=","args":[{"property":"boolean"},true]}]}"#,
    ),
    (
        "notes=1 and android=2 or order=inland",
        r#"{"op":"or","args":[{"op":"and","args":[{"op":"=","args":[{"property":"notes"},1]},{"op":"=","args":[{"property":"android"},2]}]},{"op":"=","args":[{"property":"order"},{"property":"inland"}]}]}"#,
    ),
    (
        "point=div div interval and \"not\"=1",
        r#"{"op":"and","args":[{"op":"=","args":[{"property":"point"},{"op":"div","args":[{"property":"div"},{"property":"interval"}]}]},{"op":"=","args":[{"property":"not"},1]}]}"#,
    ),
    (
        "名称='长''沙' AND \"a \"\"b\"='x\\'y\\z'",
        r#"{"op":"and","args":[{"op":"=","args":[{"property":"名称"},"长'沙"]},{"op":"=","args":[{"property":"a \"b"},"x'y\\z"]}]}"#,
    ),
];

#[test]
fn both_encodings_say_the_same() {
    for (one, other) in SAME {
        assert_eq!(text(one), json(other), "{one}\n{other}");
        // Case of keywords is nobody's business; that of names and values is.
        let printed = to_text(&text(one)).expect("printable");
        assert_eq!(text(&printed), text(one), "{one} → {printed}");
    }
}

#[test]
fn numbers_keep_what_they_are() {
    let value = |source: &str| match text(&format!("a={source}")).node {
        Node::Compare(Comparison::Equal, pair) => pair[1].node.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(value("9223372036854775807"), Node::Integer(i64::MAX));
    assert_eq!(value("-9223372036854775808"), Node::Integer(i64::MIN));
    assert_eq!(value("9223372036854775808"), Node::Number(9_223_372_036_854_775_808.0));
    assert_eq!(value(".5"), Node::Number(0.5));
    assert_eq!(value("5."), Node::Number(5.0));
    assert_eq!(value("+1E3"), Node::Number(1000.0));
    let Node::Arithmetic(Operator::Add, sum) = value("b+5") else { panic!("a sum") };
    assert_eq!(sum[1].node, Node::Integer(5));
    assert!(matches!(value("casei('x')"), Node::Call(Function::CaseI, _)));
}

/// Text, the character from 1 where it goes wrong, what the sentence says.
const WRONG: [(&str, u32, &str); 44] = [
    ("", 1, "空"),
    ("   ", 1, "空"),
    ("a=", 3, "属性名、值或条件"),
    ("a==1", 3, "“=”"),
    ("a!=1", 2, "<>"),
    ("a=1 b=2", 5, "“b”"),
    ("a=1 and", 8, "结尾"),
    ("and=1", 1, "双引号"),
    ("not", 4, "结尾"),
    ("a in ()=1", 8, "and、or 或结尾"),
    ("a in 1", 6, "“(”"),
    ("a in (1,", 9, "结尾"),
    ("a between 1", 12, "AND"),
    ("a is nul", 6, "NULL"),
    ("a=null", 3, "“null”"),
    ("a='x", 3, "单引号"),
    ("\"a=1", 1, "双引号"),
    ("a=1e999", 3, "太大"),
    ("a=1;drop", 4, "不认识字符“;”"),
    ("a=‘x’", 3, "单引号"),
    ("a=（1）", 3, "不认识字符"),
    ("a=$1", 3, "$"),
    ("buffer(g,1)=1", 1, "可用的函数：casei、accenti"),
    ("a=date('2022-13-01')", 8, "YYYY-MM-DD"),
    ("a=date('22-01-01')", 8, "YYYY-MM-DD"),
    ("a=date(2022)", 8, "单引号"),
    ("a=timestamp('2022-01-01')", 13, "RFC 3339"),
    ("a=timestamp('9999-12-31T23:00:00-08:00')", 13, "RFC 3339"),
    ("t_after(a,interval('x','..'))", 20, "时段的一端"),
    ("t_after(a,interval('..'))", 24, "“,”"),
    ("s_intersects(g)", 15, "“,”"),
    ("s_intersects(g,h,i)", 17, "“)”"),
    ("s_intersects(g,POINT(1))", 23, "坐标"),
    ("s_intersects(g,POINT(1 2 3 4))", 28, "“)”"),
    ("s_intersects(g,POINT(1 2)", 26, "“)”"),
    ("s_intersects(g,LINESTRING(1 2))", 27, "两个点"),
    ("s_intersects(g,POLYGON((0 0,1 0,1 1,0 1)))", 24, "首尾相同"),
    ("s_intersects(g,POLYGON((0 0,1 0,0 0)))", 24, "四个点"),
    ("s_intersects(g,BBOX(1,2,3))", 16, "4 个数"),
    ("s_intersects(g,POINT(1e999 0))", 22, "太大"),
    ("s_intersects(g,CIRCLE(1 2))", 16, "没有函数“circle”"),
    ("s_intersects(g,GEOMETRYCOLLECTION(1))", 35, "图形"),
    ("(a=1", 5, "“)”"),
    ("a=1)", 4, "“)”"),
];

#[test]
fn what_is_wrong_in_a_text_is_told_with_its_place() {
    for (source, place, sentence) in WRONG {
        let (code, detail) = refused(source, Language::Text);
        assert_eq!(code, "filter_invalid", "{source}");
        assert!(detail.starts_with(&format!("filter 第 {place} 个字符处：")), "{source}: {detail}");
        assert!(detail.contains(sentence), "{source}: {detail}");
    }
}

#[test]
fn what_is_wrong_in_json_is_told_with_its_pointer() {
    for (source, pointer, sentence) in [
        ("", "整体", "不是 JSON（第 1 行第 0 列）"),
        ("{", "整体", "不是 JSON"),
        ("null", "整体", "isNull"),
        ("{}", "整体", "op 和 args"),
        (r#"{"op":"="}"#, "整体", "2 个参数，不是 0 个"),
        (r#"{"op":"=","args":{}}"#, "整体", "数组"),
        (r#"{"op":"=","args":[1]}"#, "整体", "2 个参数，不是 1 个"),
        (r#"{"op":1,"args":[]}"#, "整体", "op 应为文字"),
        (r#"{"op":"=","args":[1,2],"x":1}"#, "整体", "只有 op 和 args"),
        (r#"{"op":"and","args":[true]}"#, "整体", "至少有两个"),
        (r#"{"op":"and","args":[true,{"op":"x","args":[]}]}"#, "/args/1 处", "没有函数“x”"),
        (r#"{"op":"not","args":[{"op":"isNull","args":[null]}]}"#, "/args/0/args/0 处", "isNull"),
        (r#"{"op":"in","args":[{"property":1},[1]]}"#, "/args/0 处", "property 应为文字"),
        (r#"{"op":"in","args":[1,2]}"#, "整体", "一个数组"),
        (r#"{"op":"in","args":[1,[2,{"date":"x"}]]}"#, "/args/1/1 处", "YYYY-MM-DD"),
        (r#"{"op":"t_after","args":[{"interval":["2020-01-01"]},{"date":"2020-01-01"}]}"#, "/args/0 处", "两端"),
        (r#"{"op":"t_after","args":[{"interval":["..","x"]},{"date":"2020-01-01"}]}"#, "/args/0/interval/1 处", "一端"),
        (r#"{"op":"s_equals","args":[{"type":"Circle"},1]}"#, "/args/0 处", "GeoJSON"),
        (r#"{"op":"s_equals","args":[{"type":"Point","coordinates":[1]},1]}"#, "/args/0 处", "两个数"),
        (r#"{"op":"s_equals","args":[{"type":"Polygon","coordinates":[]},1]}"#, "/args/0 处", "非空"),
        (r#"{"op":"s_equals","args":[{"bbox":[1,2,"3",4]},1]}"#, "/args/0 处", "数的数组"),
        (r#"{"op":"=","args":[{"property":"a","x":1},1]}"#, "/args/0 处", "op 和 args"),
        (r#"{"casei":{"property":2}}"#, "/casei 处", "文字"),
    ] {
        let (code, detail) = refused(source, Language::Json);
        assert_eq!(code, "filter_invalid", "{source}");
        assert!(detail.starts_with(&format!("filter {pointer}：")), "{source}: {detail}");
        assert!(detail.contains(sentence), "{source}: {detail}");
    }
}

/// A filter that is one level, node or item below each bound, and one that is above it.
#[test]
fn bounds_are_where_they_are_published() {
    let within = |source: &str, language| assert!(read(source, language).is_ok(), "{source:.80}");
    let beyond = |source: &str, language| {
        assert_eq!(refused(source, language).0, "filter_too_complex", "{source:.80}");
    };
    // A comparison has two levels; each `not` adds one.
    let nots = |n: usize| format!("{}a=1", "not ".repeat(n));
    within(&nots(MAX_DEPTH - 2), Language::Text);
    beyond(&nots(MAX_DEPTH - 1), Language::Text);
    let sums = |n: usize| format!("a=1{}", "+1".repeat(n));
    within(&sums(MAX_DEPTH - 2), Language::Text);
    beyond(&sums(MAX_DEPTH - 1), Language::Text);
    // 85 comparisons of three nodes, and the `or`.
    let many = |n: usize| vec!["a=1"; n].join(" or ");
    within(&many(85), Language::Text);
    beyond(&many(86), Language::Text);
    let list = |n: usize| format!("a in ({})", vec!["1"; n].join(","));
    within(&list(1_000), Language::Text);
    beyond(&list(1_001), Language::Text);
    for source in [nots(MAX_DEPTH - 2), sums(MAX_DEPTH - 2), many(85), list(1_000)] {
        within(&to_json(&text(&source)).to_string(), Language::Json);
    }
    let of = |inner: &str, n: usize| format!("{}{inner}{}", r#"{"op":"not","args":["#.repeat(n), "]}".repeat(n));
    within(&of("true", MAX_DEPTH - 1), Language::Json);
    beyond(&of("true", MAX_DEPTH), Language::Json);
    beyond(&format!(r#"{{"op":"in","args":[1,[{}]]}}"#, vec!["1"; 1_001].join(",")), Language::Json);
    // Bytes, not characters: a name of 2,700 Chinese characters.
    let name = |n: usize| format!("a='{}'", "长".repeat(n));
    within(&name(2_729), Language::Text);
    beyond(&name(2_730), Language::Text);
}

#[test]
fn hostile_filters_are_refused_before_they_cost_anything() {
    let deep_json = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    let texts = [
        "NOT ".repeat(3_000),
        format!("{}a=1", "NOT ".repeat(2_000)),
        format!("{}a=1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("{}a=1{}", "(".repeat(4_000), ")".repeat(4_000)),
        "(".repeat(8_000),
        format!("a={}1", "-".repeat(8_000)),
        format!("a=2{}", "^2".repeat(4_000)),
        format!("a=1{}", "+1".repeat(4_000)),
        format!("a=1{}", " and a=1".repeat(1_000)),
        format!("a={}1{}", "abs(".repeat(1_500), ")".repeat(1_500)),
        format!("s_intersects(g,{}POINT(1 2){}", "GEOMETRYCOLLECTION(".repeat(400), ")".repeat(400)),
        format!("a_equals({}", "[".repeat(8_000)),
        "a".repeat(1_000_000),
        "'".repeat(1_000_000),
    ];
    let jsons = [
        format!("{}true{}", r#"{"op":"not","args":["#.repeat(3_000), "]}".repeat(3_000)),
        format!("{}true{}", r#"{"op":"not","args":["#.repeat(300), "]}".repeat(300)),
        deep_json(10_000),
        deep_json(4_000),
        deep_json(100),
        "[".repeat(8_000),
        format!("\"{}\"", "a".repeat(1_000_000)),
        format!(r#"{{"op":"and","args":[{}]}}"#, vec!["true"; 1_500].join(",")),
        format!(
            "{}{{\"type\":\"Point\",\"coordinates\":[1,2]}}{}",
            r#"{"type":"GeometryCollection","geometries":["#.repeat(20),
            "]}".repeat(20)
        ),
    ];
    // On a stack as small as a worker's may be.
    let small = std::thread::Builder::new().stack_size(1024 * 1024);
    let all = small.spawn(move || {
        for (list, language) in [(&texts[..], Language::Text), (&jsons[..], Language::Json)] {
            for source in list {
                let error = read(source, language).err().map(|e| e.code());
                assert!(matches!(error, Some("filter_invalid" | "filter_too_complex")), "{source:.60}: {error:?}");
            }
        }
    });
    all.expect("a thread").join().expect("no overflow of the stack");
}

#[test]
fn unpaired_names_in_json_objects_are_data_like_any_other() {
    // A member that comes twice: the last one counts, as JSON parsers have it.
    assert_eq!(json(r#"{"op":"<","op":"=","args":[{"property":"a"},1]}"#), text("a=1"));
    assert_eq!(
        to_json(&text("a=1")),
        serde_json::from_str::<Value>(r#"{"op":"=","args":[{"property":"a"},1]}"#).expect("JSON")
    );
    let quoted = Expression::new(At(0), Node::Property(String::new()));
    assert_eq!(text("\"\" is null"), Expression::new(At(0), Node::IsNull(Box::new(quoted))));
}
