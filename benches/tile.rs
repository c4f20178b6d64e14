//! `cargo bench --bench tile`: one tile of 200,000 parcels, encoded from memory, at the zooms of design.md §10.
//!
//! The parcels are drawn: 154 estates of 36 × 36, 33 vertices each, spread over a province's box; the tile is the one that holds
//! most. Finding the features is left out: it is the index's work, and has a bench of its own.

use std::f64::consts::TAU;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use geo::Coord;
use sizhi::domain::layer::PropertyKind;
use sizhi::geometry::flat::{FlatBuilder, FlatGeometry, FlatKind};
use sizhi::layers::tiles::cache::MadeTile;
use sizhi::layers::tiles::grid::{Tile, touched};
use sizhi::layers::tiles::{Encoder, TileFeature, TileLayer, TileProperty, attributes};

const ESTATES: usize = 154;
const SIDE: usize = 36;
const VERTICES: usize = 32;
/// 120 m to the north.
const STEP: f64 = 0.001_08;

struct Parcel {
    id: String,
    bbox: [f64; 4],
    geometry: FlatGeometry,
    attributes: Vec<u8>,
}

fn layer() -> TileLayer {
    let property = |name: &str, from_zoom| TileProperty { name: name.to_owned(), kind: PropertyKind::Text, from_zoom };
    TileLayer {
        name: "parcels".to_owned(),
        properties: vec![property("state", 12), property("name", 12), property("county_code", 12)],
        label: None,
        zooms: 0..=22,
    }
}

fn parcels(layer: &TileLayer) -> Vec<Parcel> {
    let mut seed = 1_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut parcels = Vec::with_capacity(ESTATES * SIDE * SIDE);
    for estate in 0..ESTATES {
        let (west, south) = (108.8 + random() * 5.4, 24.6 + random() * 5.5);
        for at in 0..SIDE * SIDE {
            let middle = Coord { x: west + (at % SIDE) as f64 * STEP * 1.13, y: south + (at / SIDE) as f64 * STEP };
            let mut builder = FlatBuilder::new(FlatKind::Polygon);
            let ring: Vec<Coord<f64>> = (0..VERTICES)
                .map(|i| {
                    let (sine, cosine) = (i as f64 / VERTICES as f64 * TAU).sin_cos();
                    let radius = STEP * 0.5 * (0.8 + 0.2 * random());
                    Coord { x: middle.x + radius * 1.13 * cosine, y: middle.y + radius * sine }
                })
                .collect();
            ring.iter().chain(ring.first()).for_each(|c| builder.push(*c));
            builder.end_ring();
            let geometry = builder.finish();
            let id = format!("4301{estate:03}-{at}");
            let state = ["approved", "supplied", "built"][at % 3];
            let properties =
                format!(r#"{{"state":"{state}","name":"地块{at}","county_code":"4301{:02}"}}"#, estate % 20);
            parcels.push(Parcel {
                bbox: geometry.bbox().expect("a ring"),
                attributes: attributes::ready(layer, &properties),
                geometry,
                id,
            });
        }
    }
    parcels
}

/// The tile of this zoom that most parcels touch, and these.
fn fullest(parcels: &[Parcel], zoom: u8) -> (Tile, Vec<&Parcel>) {
    let mut counts = std::collections::HashMap::new();
    for parcel in parcels {
        let range = touched(&parcel.bbox, zoom);
        for row in range.rows {
            for col in range.cols.clone() {
                *counts.entry((row, col)).or_insert(0) += 1;
            }
        }
    }
    let (at, _) = counts.into_iter().max_by_key(|(at, count)| (*count, *at)).expect("parcels");
    let tile = Tile::new(zoom, at.0, at.1).expect("in the matrix");
    let inside = |parcel: &&Parcel| touched(&parcel.bbox, zoom).holds(at.0, at.1);
    (tile, parcels.iter().filter(inside).collect())
}

fn encode(encoder: &mut Encoder, tile: Tile, layer: &TileLayer, parcels: &[&Parcel]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.layer(tile, layer, &mut out, |take| {
        for parcel in parcels {
            take(TileFeature {
                id: &parcel.id,
                number: None,
                bbox: parcel.bbox,
                geometry: &parcel.geometry,
                attributes: &parcel.attributes,
                label: None,
            });
        }
    });
    out
}

fn tiles(criterion: &mut Criterion) {
    let layer = layer();
    let parcels = parcels(&layer);
    let mut encoder = Encoder::default();
    let mut group = criterion.benchmark_group("tile");
    for zoom in [8_u8, 9, 10, 11, 12, 13, 14] {
        let (tile, inside) = fullest(&parcels, zoom);
        let bytes = encode(&mut encoder, tile, &layer, &inside);
        let gzip = MadeTile::new(bytes.clone()).gzip().len();
        println!("z{zoom}: {} features, {} bytes, {gzip} compressed", inside.len(), bytes.len());
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("encode", format!("z{zoom}")), |bencher| {
            bencher.iter(|| encode(&mut encoder, tile, &layer, black_box(&inside)));
        });
        group.bench_function(BenchmarkId::new("encode and compress", format!("z{zoom}")), |bencher| {
            bencher.iter(|| MadeTile::new(encode(&mut encoder, tile, &layer, black_box(&inside))).gzip());
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(3));
    targets = tiles
}
criterion_main!(benches);
