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
        generalisation: None,
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
fn an_outline_has_a_tolerance_and_decimals_within_bounds_and_is_for_the_public() {
    let public = |more: &str| format!("[[layer]]\nid = \"a\"\ntable = \"a\"\nvisibility = \"public\"\n{more}");
    let of = |text: &str| {
        let (declared, findings) = read(text);
        let told: Vec<String> =
            findings.into_iter().map(|f| format!("{} {}", f.place.row.unwrap_or(0), f.code)).collect();
        (declared.first().and_then(|layer| layer.generalisation), told)
    };
    for (text, tolerance_m, decimals) in [
        ("generalise = { tolerance_m = 20.5, decimals = 4 }", 20.5, 4),
        ("generalise = { tolerance_m = 0, decimals = 0 }", 0.0, 0),
        ("generalise = { tolerance_m = 100_000, decimals = 8 }", 100_000.0, 8),
    ] {
        assert_eq!(of(&public(text)), (Some(Generalisation { tolerance_m, decimals }), vec![]), "{text}");
    }
    for (text, told) in [
        ("generalise = 20", "5 layers_file_value"),
        ("generalise = {}", "5 layers_file_missing,5 layers_file_missing"),
        ("generalise = { tolerance_m = 20 }", "5 layers_file_missing"),
        ("generalise = { decimals = 4 }", "5 layers_file_missing"),
        ("generalise = { tolerance_m = -1, decimals = 4 }", "5 layers_file_value"),
        ("generalise = { tolerance_m = 100_000.1, decimals = 4 }", "5 layers_file_value"),
        ("generalise = { tolerance_m = nan, decimals = 4 }", "5 layers_file_value"),
        ("generalise = { tolerance_m = inf, decimals = 4 }", "5 layers_file_value"),
        ("generalise = { tolerance_m = \"20\", decimals = 4 }", "5 layers_file_value"),
        ("generalise = { tolerance_m = 20, decimals = 9 }", "5 layers_file_value"),
        ("generalise = { tolerance_m = 20, decimals = 4.0 }", "5 layers_file_value"),
        ("generalise = { tolerance_m = 20, decimals = 4, x = 1 }", "5 layers_file_key_unknown"),
        ("geometry = false\ngeneralise = { tolerance_m = 20, decimals = 4 }", "1 layer_option_conflict"),
    ] {
        assert_eq!(of(&public(text)).1.join(","), told, "{text}");
    }
    let internal = public("generalise = { tolerance_m = 20, decimals = 4 }").replace("\"public\"", "\"internal\"");
    assert_eq!(of(&internal).1, ["1 layer_option_conflict"]);
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
