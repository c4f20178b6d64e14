use super::*;
use crate::domain::extra_layer::{DeclaredProperty, Reading, ShapeFacts};
use crate::domain::layer::PropertyKind;

fn column(name: &str, base: &str) -> ColumnFacts {
    ColumnFacts {
        name: name.to_owned(),
        quoted: format!("\"{name}\""),
        sql_type: base.to_owned(),
        base: base.to_owned(),
        ..ColumnFacts::default()
    }
}

fn shapes(name: &str, srid: i32) -> ColumnFacts {
    let shapes = ShapeFacts { kind: GeometryKind::Point, is_plain: srid != 0, srid, found: Vec::new() };
    ColumnFacts { shapes: Some(shapes), ..column(name, "geometry") }
}

fn table() -> TableFacts {
    let id = ColumnFacts { is_unique: true, is_primary: true, ..column("id", "int4") };
    let columns =
        vec![id, column("名称", "varchar"), column("geom", "text"), column("end", "timestamp"), shapes("shape", 4490)];
    TableFacts { quoted: "gis.\"T\"".to_owned(), columns, ..TableFacts::default() }
}

fn asked() -> DeclaredLayer {
    DeclaredLayer { line: 3, id: "x".into(), schema: "gis".into(), table: "T".into(), ..DeclaredLayer::default() }
}

fn made(declared: &DeclaredLayer, facts: &TableFacts) -> (Option<Declared>, Vec<String>) {
    let mut faults = Faults::default();
    let made = declare(declared, facts, &mut faults);
    let findings = faults.into_findings();
    assert!(findings.iter().all(|f| f.place.row == Some(declared.line) && f.message.contains("图层“x”（T）")));
    (made, findings.into_iter().map(|f| format!("{} {}", f.severity, f.code)).collect())
}

#[test]
fn all_columns_become_properties_under_their_own_names() {
    let (made, told) = made(&asked(), &table());
    assert_eq!(told, [""; 0]);
    let layer = made.expect("a layer").layer;
    let extra = layer.extra.expect("an extra layer");
    let shown: Vec<_> =
        layer.properties.iter().zip(extra.columns).map(|(p, c)| (p.name, p.column, p.kind, c.reading)).collect();
    assert_eq!(
        shown,
        [
            ("id", "\"id\"", PropertyKind::Integer, Reading::AsItIs),
            ("名称", "\"名称\"", PropertyKind::Text, Reading::AsText),
            ("geom", "geom_of_table", PropertyKind::Text, Reading::AsItIs),
            ("end", "\"end\"", PropertyKind::DateTime, Reading::AsUtc),
        ]
    );
    assert_eq!((extra.key.quoted, extra.table, layer.follow), ("\"id\"", "gis.\"T\"", Follow::ByTrigger));
    assert_eq!(extra.geometry.map(|shape| shape.reading), Some(ShapeReading::AsItIs));
    assert_eq!((layer.visibility, layer.geometry), (Visibility::Internal, GeometryKind::Point));
}

#[test]
fn every_fault_of_a_layer_is_told() {
    let text = |text: &str| Some(text.to_owned());
    let named = |name: &str| Some(vec![DeclaredProperty { name: name.to_owned(), ..DeclaredProperty::default() }]);
    let trigger = Some(DeclaredFollow::Trigger);
    type Edit = Box<dyn Fn(&mut DeclaredLayer, &mut TableFacts)>;
    let cases: Vec<(Edit, &[&str])> = vec![
        (Box::new(|_, t| t.is_reserved = true), &["error layer_table_reserved"]),
        (Box::new(|_, t| t.unreadable = Some("GRANT".into())), &["error layer_table_unreadable"]),
        (Box::new(move |d, _| d.key = text("nr")), &["error layer_column_missing"]),
        (Box::new(move |d, _| d.key = text("shape")), &["error layer_column_unsupported"]),
        (Box::new(|_, t| t.columns[0].is_primary = false), &["error layer_key_missing"]),
        (Box::new(|_, t| t.columns.truncate(4)), &["error layer_geometry_unclear"]),
        (
            Box::new(|_, t| t.columns.push(shapes("other", 4490))),
            &["error layer_geometry_unclear", "warning layer_column_left_out", "warning layer_column_left_out"],
        ),
        (
            Box::new(|d, _| d.geometry = DeclaredGeometry::Column("名称".into())),
            &["error layer_geometry_unclear", "warning layer_column_left_out"],
        ),
        (Box::new(|d, _| d.srid = Some(4326)), &["error layer_option_conflict"]),
        (Box::new(|_, t| t.columns[4] = shapes("shape", 0)), &["warning layer_srid_missing"]),
        (Box::new(|_, t| t.columns[4] = shapes("shape", 2362)), &["error layer_srid_unsupported"]),
        (Box::new(|_, t| t.unknown_srids = vec![4490]), &["error layer_srid_unsupported"]),
        (Box::new(move |d, _| d.properties = named("nr")), &["error layer_column_missing"]),
        (Box::new(move |d, _| d.properties = named("shape")), &["error layer_column_unsupported"]),
        (Box::new(|_, t| t.columns.push(column("j", "jsonb"))), &["warning layer_column_left_out"]),
        (Box::new(move |d, _| d.division = Some("nr".into())), &["error layer_column_missing"]),
        (Box::new(move |d, _| d.label = Some("nr".into())), &["error layer_column_missing"]),
        (Box::new(move |d, t| (d.follow, t.kind) = (trigger, TableKind::View)), &["error layer_follow_impossible"]),
        (
            Box::new(move |d, t| (d.follow, t.untriggered) = (trigger, Some("GRANT".into()))),
            &["error layer_follow_impossible"],
        ),
        (Box::new(|_, t| t.untriggered = Some("GRANT".into())), &["warning layer_follow_by_polling"]),
    ];
    for (at, (edit, expected)) in cases.into_iter().enumerate() {
        let (mut declared, mut facts) = (asked(), table());
        edit(&mut declared, &mut facts);
        let (made, told) = made(&declared, &facts);
        assert_eq!(told, expected, "case {at}");
        assert_eq!(made.is_none(), expected.iter().any(|told| told.starts_with("error")), "case {at}");
    }
}

#[test]
fn systems_and_ways_of_following() {
    let reading = |srid: i32, found: &[i32], declared: Option<i32>| {
        let mut facts = table();
        facts.columns[4] = shapes("shape", srid);
        if let Some(shapes) = &mut facts.columns[4].shapes {
            shapes.found = found.to_vec();
        }
        let (made, _) = made(&DeclaredLayer { srid: declared, ..asked() }, &facts);
        made.and_then(|made| made.layer.extra?.geometry).map(|shape| shape.reading)
    };
    for (srid, found, declared, expected) in [
        (4490, &[][..], None, Some(ShapeReading::AsItIs)),
        (4490, &[], Some(4490), Some(ShapeReading::AsItIs)),
        (4326, &[], None, Some(ShapeReading::Renamed)),
        (3857, &[], None, Some(ShapeReading::Transformed { srid: 3857 })),
        (0, &[], Some(4547), Some(ShapeReading::Transformed { srid: 4547 })),
        (0, &[4547], None, Some(ShapeReading::Transformed { srid: 4547 })),
        (0, &[0, 4547], None, None),
        (0, &[0, 4547], Some(4490), Some(ShapeReading::Transformed { srid: 4490 })),
        (0, &[], None, Some(ShapeReading::Transformed { srid: 0 })),
        (0, &[0], None, None),
        (0, &[2362], None, None),
    ] {
        assert_eq!(reading(srid, found, declared), expected, "{srid} {found:?} {declared:?}");
    }
    let (view, _) = made(&asked(), &TableFacts { kind: TableKind::View, ..table() });
    assert_eq!(view.map(|made| made.layer.follow), Some(Follow::ByPolling { seconds: POLL_SECONDS }));
    let (polled, _) = made(&DeclaredLayer { poll_seconds: Some(60), ..asked() }, &table());
    assert_eq!(polled.map(|made| made.layer.follow), Some(Follow::ByPolling { seconds: 60 }));
}
