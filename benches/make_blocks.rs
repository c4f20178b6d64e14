//! `cargo bench --bench make_blocks -- N FILE SIZHI`: N generated blocks as a GeoPackage, for `benches/run`.

use std::path::Path;

use sizhi::exchange::vector;
use sizhi::exchange::vector_export::{self, ExportOptions, ExportRow, ExportValue, VectorFormat};
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
    let rows: Vec<ExportRow> = sample::grid_blocks(count.parse().expect("a number"), &parks)
        .into_iter()
        .map(|block| ExportRow {
            fields: vec![
                ("区块编号".to_owned(), ExportValue::Text(block.id.number().to_owned())),
                ("区块名称".to_owned(), ExportValue::Text(block.name.unwrap_or_default())),
                ("园区代码".to_owned(), ExportValue::Text(block.id.park().to_string())),
                ("面积_公顷".to_owned(), ExportValue::Number(block.area.to_hectares().value())),
                ("东至".to_owned(), ExportValue::Text(block.four_extents.east.unwrap_or_default())),
                ("南至".to_owned(), ExportValue::Text(block.four_extents.south.unwrap_or_default())),
                ("西至".to_owned(), ExportValue::Text(block.four_extents.west.unwrap_or_default())),
                ("北至".to_owned(), ExportValue::Text(block.four_extents.north.unwrap_or_default())),
            ],
            geometry: block.boundary,
        })
        .collect();
    let options = ExportOptions { layer: "blocks".to_owned(), crs: Crs::Cgcs2000, encoding: "utf-8".to_owned() };
    let bytes = vector_export::write(VectorFormat::GeoPackage, &rows, &options).expect("written");
    std::fs::write(file, bytes).expect("stored");
    println!("{} blocks", rows.len());
}
