//! `cargo bench --bench make_parcels -- N FILE SIZHI`: N generated parcels of turnover land as a GeoPackage with the headings of a
//! bureau's ledger, for `benches/parcels`.

use std::path::Path;

use sizhi::domain::export::{Cell, Column, ExportRow, TextEncoding};
use sizhi::domain::layer::GeometryKind;
use sizhi::domain::layer::PropertyKind::{Boolean, Date, Integer, Number, Text};
use sizhi::domain::ledger::{FieldKind, FieldValue};
use sizhi::domain::{Ledger, Parcel};
use sizhi::exchange::vector;
use sizhi::exchange::vector_export::{self, VectorFormat, VectorOptions};
use sizhi::geometry::crs::Crs;
use sizhi::inventory::sample;

/// Headings before the ledger's own fields.
const HEAD: [&str; 7] = ["地块编号", "地块名称", "县区代码", "园区", "状态", "状态日期", "面积_平方米"];

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [count, file, program] = arguments.as_slice() else {
        eprintln!("usage: cargo bench --bench make_parcels -- N FILE SIZHI");
        std::process::exit(2);
    };
    vector::use_program(Path::new(program));
    let count: usize = count.parse().expect("a number");
    let parcels = sample::turnover_parcels(count).expect("fixtures are sound");
    assert_eq!(parcels.len(), count, "the blocks have no room for more");
    let columns = HEAD.map(|heading| match heading {
        "状态日期" => (heading.to_owned(), Date),
        "面积_平方米" => (heading.to_owned(), Number),
        _ => (heading.to_owned(), Text),
    });
    let fields = Ledger::Turnover.fields().iter().map(|field| match field.kind {
        FieldKind::Area => (format!("{}_平方米", field.title.zh), Number),
        FieldKind::Number => (field.title.zh.to_owned(), Number),
        FieldKind::Date => (field.title.zh.to_owned(), Date),
        FieldKind::Year => (field.title.zh.to_owned(), Integer),
        FieldKind::Boolean => (field.title.zh.to_owned(), Boolean),
        FieldKind::Text | FieldKind::Choice(_) => (field.title.zh.to_owned(), Text),
    });
    let column = |(at, (heading, kind)): (usize, (String, _))| (at, Column { heading, kind, unit: None });
    let options = VectorOptions {
        geometry: GeometryKind::MultiPolygon,
        layer: "parcels".to_owned(),
        title: "parcels".to_owned(),
        columns: columns.into_iter().chain(fields).enumerate().map(column).collect(),
        crs: Crs::Cgcs2000,
        encoding: TextEncoding::Utf8,
    };
    let mut rows = parcels.into_iter().map(|parcel| Ok(row(parcel)));
    let folder = tempfile::tempdir().expect("folder");
    let (made, count) =
        vector_export::write(VectorFormat::GeoPackage, &mut rows, &options, folder.path()).expect("written");
    std::fs::copy(made, file).expect("stored");
    println!("{count} parcels");
}

fn row(parcel: Parcel) -> ExportRow {
    let text = |text: Option<String>| text.map_or(Cell::Missing, Cell::Text);
    let state = parcel.standing.expect("drawn in a state").state.label;
    let head = [
        Cell::Text(parcel.id.number().to_owned()),
        text(parcel.name),
        Cell::Text(parcel.county.to_string()),
        text(parcel.stated_park),
        Cell::Text(state.to_owned()),
        parcel.since.map_or(Cell::Missing, Cell::Date),
        parcel.stated_area.map_or(Cell::Missing, |area| Cell::Number(area.value())),
    ];
    let fields = Ledger::Turnover.fields().iter().map(|field| match parcel.fields.get(field.name) {
        None => Cell::Missing,
        Some(FieldValue::Text(text)) => Cell::Text(text.clone()),
        Some(FieldValue::Date(day)) => Cell::Date(*day),
        Some(FieldValue::Number(number)) => Cell::Number(*number),
        Some(FieldValue::Integer(number)) => Cell::Integer(i64::from(*number)),
        Some(FieldValue::Boolean(yes)) => Cell::Boolean(*yes),
    });
    ExportRow {
        id: parcel.id.to_string(),
        cells: head.into_iter().chain(fields).collect(),
        geometry: Some(parcel.boundary.into()),
        centre: None,
        feature: String::new(),
    }
}
