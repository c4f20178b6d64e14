//! `cargo bench --bench make_blocks -- N FILE SIZHI`: N generated blocks as a GeoPackage, for `benches/run`.

use std::path::Path;

use sizhi::domain::export::{Cell, Column, ExportRow, TextEncoding};
use sizhi::domain::layer::GeometryKind;
use sizhi::domain::layer::PropertyKind::{Number, Text};
use sizhi::exchange::vector;
use sizhi::exchange::vector_export::{self, VectorFormat, VectorOptions};
use sizhi::geometry::crs::Crs;
use sizhi::inventory::sample;

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [count, file, program] = arguments.as_slice() else {
        eprintln!("usage: cargo bench --bench make_blocks -- N FILE SIZHI");
        std::process::exit(2);
    };
    vector::use_program(Path::new(program));
    let parks = sample::build().expect("fixtures are sound").parks;
    let blocks = sample::grid_blocks(count.parse().expect("a number"), &parks);
    let text = |side: Option<String>| Cell::Text(side.unwrap_or_default());
    let mut rows = blocks.into_iter().map(|block| {
        let words = block.four_extents;
        Ok(ExportRow {
            id: block.id.to_string(),
            cells: vec![
                Cell::Text(block.id.number().to_owned()),
                text(block.name),
                Cell::Text(block.id.park().to_string()),
                Cell::Number(block.area.to_hectares().value()),
                text(words.east),
                text(words.south),
                text(words.west),
                text(words.north),
            ],
            geometry: Some(block.boundary.into()),
            centre: None,
            feature: String::new(),
        })
    });
    let named = ["区块编号", "区块名称", "园区代码", "面积_公顷", "东至", "南至", "西至", "北至"];
    let column = |(at, heading): (usize, &str)| {
        let kind = if heading == "面积_公顷" { Number } else { Text };
        (at, Column { heading: heading.to_owned(), kind, unit: None })
    };
    let options = VectorOptions {
        geometry: GeometryKind::MultiPolygon,
        layer: "blocks".to_owned(),
        title: "blocks".to_owned(),
        columns: named.into_iter().enumerate().map(column).collect(),
        crs: Crs::Cgcs2000,
        encoding: TextEncoding::Utf8,
    };
    let folder = tempfile::tempdir().expect("folder");
    let (made, count) =
        vector_export::write(VectorFormat::GeoPackage, &mut rows, &options, folder.path()).expect("written");
    std::fs::copy(made, file).expect("stored");
    println!("{count} blocks");
}
