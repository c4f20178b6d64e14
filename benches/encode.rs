//! `cargo bench --bench encode`: features written as GeoJSON, as a box of 30 and one of 1,000 parcels are, and one park of many vertices.

use std::f64::consts::TAU;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use geo::Coord;
use sizhi::geometry::flat::{FlatBuilder, FlatGeometry, FlatKind};
use sizhi::layers::encode::{self, CoordForm};

const PROPERTIES: &str = r#"{"id":"430102-000001","county_code":"430102","park_code":"G431033","name":"芙蓉区1片区1号地块（示意）","state":"已供未用","approved_on":"2019-05-06","area_m2":4821.37}"#;

/// A ring around a point, with as many decimals as surveyed coordinates have after projection: all of them.
fn shape(number: usize, vertices: usize) -> FlatGeometry {
    let middle = Coord { x: 112.9 + number as f64 * 1.1e-3, y: 28.1 + number as f64 * 0.7e-3 };
    let mut builder = FlatBuilder::new(FlatKind::MultiPolygon);
    let corner = |i: usize| {
        let (sine, cosine) = (i as f64 / vertices as f64 * TAU).sin_cos();
        Coord { x: middle.x + 4e-4 * cosine, y: middle.y + 4e-4 * sine }
    };
    (0..vertices).chain([0]).for_each(|i| builder.push(corner(i)));
    builder.end_ring();
    builder.end_part();
    builder.finish()
}

fn encoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode_geojson");
    for (what, features, vertices) in [("30 parcels", 30, 32), ("1000 parcels", 1_000, 32), ("1 park", 1, 5_000)] {
        let shapes: Vec<FlatGeometry> = (0..features).map(|number| shape(number, vertices)).collect();
        let mut text = String::new();
        let write = |text: &mut String| {
            text.clear();
            for shape in &shapes {
                encode::feature(text, "430102-000001", PROPERTIES, Some(shape), CoordForm::LON_LAT);
            }
        };
        write(&mut text);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(what), |bencher| {
            bencher.iter(|| {
                write(&mut text);
                black_box(text.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, encoding);
criterion_main!(benches);
