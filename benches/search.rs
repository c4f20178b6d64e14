//! `cargo bench --bench search`: what a request for a box does in memory: find its features among 200,000 and gather their ready texts,
//! for everybody and for somebody with a jurisdiction; and what an edit does: the next snapshot with one feature changed.

use std::f64::consts::TAU;
use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use geo::Coord;
use sizhi::domain::DivisionCode;
use sizhi::domain::access::Jurisdiction;
use sizhi::domain::items_query::ItemsQuery;
use sizhi::domain::layer::Layer;
use sizhi::geometry::flat::{FlatBuilder, FlatGeometry, FlatKind};
use sizhi::layers::declaration;
use sizhi::layers::snapshot::{NewFeature, Snapshot, SnapshotBuilder, columns_of};

const PARCELS: usize = 200_000;
/// Parcels lie on a grid of this many columns, some 110 m apart.
const COLUMNS: usize = 500;
const STEP: f64 = 0.001;
const WEST: f64 = 110.0;
const SOUTH: f64 = 26.0;

fn no_attributes(_: &Layer, _: &NewFeature) -> Vec<u8> {
    Vec::new()
}

fn shape(middle: Coord<f64>) -> FlatGeometry {
    let mut builder = FlatBuilder::new(FlatKind::MultiPolygon);
    (0..=32).for_each(|i| {
        let (sine, cosine) = (f64::from(i % 32) / 32.0 * TAU).sin_cos();
        builder.push(Coord { x: middle.x + 0.4 * STEP * cosine, y: middle.y + 0.4 * STEP * sine });
    });
    builder.end_ring();
    builder.end_part();
    builder.finish()
}

fn parcel(layer: &Layer, number: usize) -> NewFeature {
    let (column, row) = (number % COLUMNS, number / COLUMNS);
    // Counties are strips from south to north.
    let county = ["430102", "430103", "430202", "430302"][4 * column / COLUMNS];
    let columns = columns_of(layer).into_iter().map(|p| (p.name == "county_code").then(|| county.to_owned()));
    NewFeature {
        id: format!("{county}-{number:06}"),
        from: None,
        version: 1,
        properties: format!(
            "{{\"county_code\":\"{county}\",\"name\":\"{number}号地块（示意）\",\"state\":\"supplied\"}}"
        ),
        geometry: Some(shape(Coord { x: WEST + column as f64 * STEP, y: SOUTH + row as f64 * STEP })),
        division: Some(county.to_owned()),
        columns: columns.collect(),
    }
}

fn held(layer: &'static Layer) -> Snapshot {
    let mut builder = SnapshotBuilder::new(layer, no_attributes);
    builder.add((0..PARCELS).map(|number| parcel(layer, number)).collect());
    builder.finish().expect("ids that differ")
}

/// A box with about this many parcels, on the border of two counties.
fn boxed(parcels: f64) -> ItemsQuery {
    let half = parcels.sqrt() * STEP / 2.0;
    let (x, y) = (WEST + COLUMNS as f64 / 4.0 * STEP, SOUTH + PARCELS as f64 / COLUMNS as f64 / 2.0 * STEP);
    ItemsQuery { boxes: vec![[x - half, y - half, x + half, y + half]], limit: 10_000, ..ItemsQuery::default() }
}

fn searching(criterion: &mut Criterion) {
    let layer = declaration::find("turnover_parcels").expect("a layer of ours");
    let snapshot = held(layer);
    let one_county = Jurisdiction::Divisions(vec![DivisionCode::parse("430102").expect("a code")]);
    let mut group = criterion.benchmark_group("search");
    for parcels in [30_u32, 1_000] {
        for (who, jurisdiction) in [("everywhere", &Jurisdiction::Everywhere), ("one county", &one_county)] {
            let query = boxed(f64::from(parcels));
            group.bench_function(BenchmarkId::new(who, parcels), |bencher| {
                bencher.iter(|| {
                    let selection = snapshot.select(&query, jurisdiction).expect("answered from memory");
                    let texts = selection.picked.iter().map(|picked| snapshot.json(*picked, true));
                    black_box(texts.map(|text| text.len()).sum::<usize>())
                });
            });
        }
    }
    group.bench_function("apply one change", |bencher| {
        let change = || {
            let feature = parcel(layer, PARCELS / 2);
            vec![(feature.id.clone(), Some(feature))]
        };
        bencher.iter_batched(change, |changes| black_box(snapshot.apply(changes).touched.len()), BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group!(benches, searching);
criterion_main!(benches);
