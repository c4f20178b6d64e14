use super::*;
use crate::domain::Finding;

fn read(text: &str) -> (Vec<DeclaredLayer>, Vec<Finding>) {
    let mut faults = Faults::default();
    let declared = parse(text, &mut faults);
    (declared, faults.into_findings())
}

#[test]
fn a_whole_file() {
    let text = r#"
[[layer]]
id = "roads"
table = 'gis."Road Lines"'
key = "编号"
geometry = "shape"
srid = 4526
title = "道路"
title_en = "Roads"
description = "规划道路"
visibility = "internal"
division = "县区"
zooms = [8, 18]
label = "名称"
follow = "polling"
poll_seconds = 30
properties = ["名称", { name = "width", title = "宽度", title_en = "Width", unit = "m", queryable = false, from_zoom = 10 }, { name = "note", from_zoom = false }]

[[layer]]
id = "notes"
table = "notes"
geometry = false
properties = "all"
"#;
    let (declared, findings) = read(text);
    assert_eq!(findings, []);
    let text = |text: &str| Some(text.to_owned());
    let roads = DeclaredLayer {
        line: 2,
        id: "roads".into(),
        schema: "gis".into(),
        table: "Road Lines".into(),
        key: text("编号"),
        geometry: DeclaredGeometry::Column("shape".into()),
        srid: Some(4526),
        properties: Some(vec![
            DeclaredProperty { name: "名称".into(), ..DeclaredProperty::default() },
            DeclaredProperty {
                name: "width".into(),
                title: text("宽度"),
                title_en: text("Width"),
                unit: text("m"),
                queryable: Some(false),
                from_zoom: DeclaredZoom::From(10),
            },
            DeclaredProperty { name: "note".into(), from_zoom: DeclaredZoom::Never, ..DeclaredProperty::default() },
        ]),
        title: text("道路"),
        title_en: text("Roads"),
        description: text("规划道路"),
        description_en: None,
        zooms: Some((8, 18)),
        is_public: false,
        division: text("县区"),
        follow: Some(DeclaredFollow::Polling),
        poll_seconds: Some(30),
        label: text("名称"),
    };
    let notes = DeclaredLayer {
        line: 19,
        id: "notes".into(),
        schema: "public".into(),
        table: "notes".into(),
        geometry: DeclaredGeometry::None,
        ..DeclaredLayer::default()
    };
    assert_eq!(declared, [roads, notes]);
}

#[test]
fn every_fault_is_told_with_its_line() {
    let bad = r#"[[layer]]
id = "Roads"
table = "a.b.c"
colour = "red"
zooms = [9, 3]

[[layer]]
table = "x"
srid = "4490"
geometry = true
visibility = "secret"
properties = [1, { title = "无名" }, "a", "a", { name = "b", from_zoom = 99, queryable = 1 }]

[[layer]]
id = "x"
table = "x"
visibility = "public"
division = "d"
follow = "trigger"
poll_seconds = 0
title = ""

[[layer]]
id = "x"
table = "y"
poll_seconds = 5
follow = "trigger"
"#;
    let (_, findings) = read(bad);
    let told: Vec<(Option<u64>, &str)> = findings.iter().map(|f| (f.place.row, f.code.as_ref())).collect();
    let expected = [
        (1, "layers_file_value"),
        (1, "layers_file_value"),
        (5, "layers_file_value"),
        (4, "layers_file_key_unknown"),
        (7, "layers_file_missing"),
        (11, "layers_file_value"),
        (10, "layers_file_value"),
        (9, "layers_file_value"),
        (12, "layers_file_value"),
        (12, "layers_file_missing"),
        (12, "layers_file_value"),
        (12, "layers_file_value"),
        (12, "layers_file_value"),
        (20, "layers_file_value"),
        (21, "layers_file_value"),
        (14, "layer_option_conflict"),
        (23, "layer_id_taken"),
        (23, "layer_option_conflict"),
    ];
    let mut expected: Vec<(Option<u64>, &str)> = expected.iter().map(|(line, code)| (Some(*line), *code)).collect();
    let mut told = told;
    told.sort_unstable();
    expected.sort_unstable();
    assert_eq!(told, expected);
}

#[test]
fn a_file_without_layers_or_without_form() {
    for (text, code, line) in [
        ("", "layers_file_missing", 1),
        ("layer = 3", "layers_file_value", 1),
        ("layer = [3]", "layers_file_value", 1),
        ("\n\n[[layer]\nid = 1", "layers_file_syntax", 3),
        ("a = 1\n[[layer]]\nid = \"a\"\ntable = \"a\"\nb = 1", "layers_file_key_unknown", 1),
    ] {
        let (_, findings) = read(text);
        let told = findings.iter().any(|f| f.code == code && f.place.row == Some(line));
        assert!(told, "{text}: {findings:?}");
    }
}
