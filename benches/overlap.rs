//! `cargo bench --bench overlap -- …`: the overlap engine on the yardstick.
//!
//! `parks N` and `crowded N`: all pairs of 144 wide parks and N parcels, or within N crowded parcels, with the area of their common land;
//! times on standard error, pairs as CSV on standard output for `benches/overlap/`. `candidate N TIMES`: one boundary of 400 vertices
//! against a layer of N parcels in memory, classes, widths and shapes included. `fuzz TIMES`: random valid pairs, of which none may
//! panic, give what is no number, or answer otherwise from the other side.

#[path = "yardstick/data.rs"]
mod data;

use std::io::{BufWriter, Error, Result, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use data::{Crowding, Dice};
use geo::{BoundingRect, Coord, LineString, MultiPolygon, Polygon};
use rayon::prelude::*;
use sizhi::domain::access::Jurisdiction;
use sizhi::domain::layer::Layer;
use sizhi::domain::overlap::Thresholds;
use sizhi::geometry::flat::FlatGeometry;
use sizhi::geometry::overlap::{self, Relation, Shape, Work, encounter};
use sizhi::geometry::validity;
use sizhi::layers::declaration;
use sizhi::layers::snapshot::{NewFeature, Snapshot, SnapshotBuilder, columns_of};

// As the service has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: cargo bench --bench overlap -- parks N | crowded N | candidate N TIMES | fuzz TIMES";

fn main() -> Result<()> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().map_err(Error::other);
    match words.as_slice() {
        ["parks", count] => pairs(number(count)?, Crowding::Apart),
        ["crowded", count] => pairs(number(count)?, Crowding::Crowded),
        ["candidate", count, times] => candidate(number(count)?, number(times)?),
        ["fuzz", times] => fuzz(number(times)?),
        _ => Err(Error::other(USAGE)),
    }
}

fn pairs(count: u64, crowding: Crowding) -> Result<()> {
    let parcels: Vec<MultiPolygon<f64>> = data::parcels(count, crowding).map(|p| p.shape).collect();
    let parcels: Vec<&MultiPolygon<f64>> = parcels.iter().collect();
    let parks: Vec<MultiPolygon<f64>> = data::parks(data::WIDE).into_iter().map(|p| p.shape).collect();
    let parks: Vec<&MultiPolygon<f64>> = parks.iter().collect();
    let mut found = None;
    for _ in 0..3 {
        let begun = Instant::now();
        let pairs = match crowding {
            Crowding::Apart => overlap::between(&parks, &parcels, usize::MAX),
            Crowding::Crowded => overlap::pairs(&parcels, usize::MAX),
        };
        eprintln!("{:.3} s, {} pairs, complete {}", begun.elapsed().as_secs_f64(), pairs.list.len(), pairs.complete);
        found = Some(pairs);
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    for pair in found.into_iter().flat_map(|found| found.list) {
        if let Relation::Overlap { area } = pair.relation {
            writeln!(out, "{},{},{}", pair.a, pair.b, area.value())?;
        }
    }
    out.flush()
}

fn no_attributes(_: &Layer, _: &NewFeature) -> Vec<u8> {
    Vec::new()
}

/// The yardstick's parcels as a layer in memory.
fn held(parcels: &[MultiPolygon<f64>]) -> Snapshot {
    let layer = declaration::find("turnover_parcels").expect("a layer of ours");
    let mut builder = SnapshotBuilder::new(layer, no_attributes);
    let feature = |(number, shape): (usize, &MultiPolygon<f64>)| NewFeature {
        id: format!("{number:07}"),
        from: None,
        version: 1,
        properties: "{}".to_owned(),
        geometry: Some(FlatGeometry::from(shape)),
        division: None,
        columns: columns_of(layer).into_iter().map(|_| None).collect(),
    };
    builder.add(parcels.iter().enumerate().map(feature).collect());
    builder.finish().expect("ids that differ")
}

/// A star-shaped ring of so many vertices, never crossing itself.
fn star(dice: &mut Dice, middle: Coord<f64>, vertices: u64, radius: f64) -> MultiPolygon<f64> {
    let mut ring: Vec<Coord<f64>> = (0..vertices)
        .map(|i| {
            let turn = (i as f64 + 0.6 * (dice.unit() - 0.5)) / vertices as f64 * std::f64::consts::TAU;
            let reach = radius * (0.7 + 0.6 * dice.unit());
            Coord { x: middle.x + reach * turn.cos(), y: middle.y + reach * turn.sin() }
        })
        .collect();
    ring.push(ring[0]);
    MultiPolygon(vec![Polygon::new(LineString(ring), Vec::new())])
}

fn candidate(count: u64, times: u64) -> Result<()> {
    let parcels: Vec<MultiPolygon<f64>> = data::parcels(count, Crowding::Apart).map(|p| p.shape).collect();
    let snapshot = held(&parcels);
    let thresholds = Thresholds::default();
    let mut dice = Dice(20_240_601);
    let (mut taken, mut findings, mut looked_at) = (Vec::new(), 0, 0);
    for _ in 0..times {
        let at = dice.below(parcels.len() as u64) as usize;
        let middle = parcels[at].bounding_rect().expect("a box").center();
        // 500 to 900 m around.
        let radius = 0.005 + 0.004 * dice.unit();
        let boundary = star(&mut dice, middle, 400, radius);
        let begun = Instant::now();
        let shape = Shape::of_multi_polygon(&boundary);
        let mut near = Vec::new();
        snapshot.near(&shape.bbox().expect("a box"), &Jurisdiction::Everywhere, |_, picked, _| near.push(picked));
        for picked in &near {
            let other = snapshot.geometry(*picked).and_then(Shape::of_flat).expect("a polygon");
            let met = encounter(&shape, &other, &thresholds, true, &mut Work::of_one_pair()).expect("few steps");
            findings += usize::from(met.is_some());
        }
        taken.push(begun.elapsed().as_secs_f64() * 1e3);
        looked_at += near.len();
    }
    taken.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| taken[((taken.len() - 1) as f64 * share) as usize];
    println!(
        "{times} boundaries of 400 vertices against {count} parcels, one thread: p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms; {:.0} parcels near, {:.0} findings each",
        at(0.5),
        at(0.99),
        at(1.0),
        looked_at as f64 / times as f64,
        findings as f64 / times as f64
    );
    Ok(())
}

/// A staircase of whole steps: edges lie along each other, vertices on edges, corners on corners.
fn staircase(dice: &mut Dice) -> MultiPolygon<f64> {
    let (mut points, mut at) = (vec![(0, 0)], (0_u64, 0_u64));
    for _ in 0..1 + dice.below(9) {
        at.1 += 1 + dice.below(3);
        points.push(at);
        at.0 += 1 + dice.below(3);
        points.push(at);
    }
    points.push((at.0, 0));
    points.push(points[0]);
    let (x, y) = (dice.below(20) as f64, dice.below(20) as f64);
    // A step that is no power of two: the same corner is reached by other roundings.
    let corner = |(px, py): (u64, u64)| Coord { x: 112.0 + (px as f64 + x) * 1e-5, y: 28.0 + (py as f64 + y) * 1e-5 };
    MultiPolygon(vec![Polygon::new(points.into_iter().map(corner).collect(), Vec::new())])
}

/// One pair of a kind: stars across each other, staircases on one grid, a shape and itself moved by next to nothing.
fn pair(dice: &mut Dice) -> (MultiPolygon<f64>, MultiPolygon<f64>) {
    let middle = Coord { x: 112.5, y: 28.0 };
    match dice.below(3) {
        0 => {
            let (n, m) = (3 + dice.below(20), 3 + dice.below(20));
            let beside = Coord { x: middle.x + (dice.unit() - 0.5) * 0.004, y: middle.y + (dice.unit() - 0.5) * 0.004 };
            (star(dice, middle, n, 0.001), star(dice, beside, m, 0.001))
        }
        1 => (staircase(dice), staircase(dice)),
        _ => {
            let n = 3 + dice.below(20);
            let shape = star(dice, middle, n, 0.001);
            let size = 10_f64.powi(-(6 + dice.below(9) as i32));
            let mut twin = shape.0[0].exterior().0.clone();
            twin.iter_mut().for_each(|c| {
                *c = Coord { x: c.x + (dice.unit() - 0.5) * size, y: c.y + (dice.unit() - 0.5) * size };
            });
            let last = twin.len() - 1;
            twin[last] = twin[0];
            (shape, MultiPolygon(vec![Polygon::new(LineString(twin), Vec::new())]))
        }
    }
}

fn fuzz(times: u64) -> Result<()> {
    let (valid, sharing, worst) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let overlaid = AtomicU64::new(0);
    let begun = Instant::now();
    let faults: Vec<String> = (0..times)
        .into_par_iter()
        .filter_map(|seed| {
            let (a, b) = pair(&mut Dice(seed));
            if !validity::is_valid(&a) || !validity::is_valid(&b) {
                return None;
            }
            valid.fetch_add(1, Relaxed);
            let (one, other) = (Shape::of_multi_polygon(&a), Shape::of_multi_polygon(&b));
            let thresholds = Thresholds::default();
            let met = |p, q| encounter(p, q, &thresholds, true, &mut Work::of_one_pair()).expect("few steps");
            let (found, turned) = (met(&one, &other), met(&other, &one));
            if let Ok(Some(common)) = overlap::measure(&one, &other, &mut Work::of_one_pair()) {
                overlaid.fetch_add(u64::from(common.overlaid), Relaxed);
            }
            let (Some(found), Some(turned)) = (&found, &turned) else {
                return (found.is_some() != turned.is_some()).then(|| format!("{seed}: seen from one side only"));
            };
            sharing.fetch_add(u64::from(found.area_m2 > 0.0), Relaxed);
            let numbers =
                [found.area_m2, found.share_of_a, found.share_of_b, found.shared_edge_m, found.width_m.unwrap_or(0.0)];
            let least = one.area_m2().min(other.area_m2());
            let apart = (found.area_m2 - turned.area_m2).abs();
            worst.fetch_max((apart * 1e12) as u64, Relaxed);
            if numbers.iter().any(|n| !n.is_finite() || *n < 0.0) {
                Some(format!("{seed}: {numbers:?}"))
            } else if found.area_m2 > least {
                Some(format!("{seed}: more than all: {} of {least}", found.area_m2))
            } else if apart > 1e-4 || found.class != turned.class.turned() {
                Some(format!("{seed}: {:?} {} and {:?} {}", found.class, found.area_m2, turned.class, turned.area_m2))
            } else {
                None
            }
        })
        .collect();
    println!(
        "{times} pairs, {} valid, {} share land, {} resolved by an overlay, {} faults; areas from either side differ by {:e} m² at most; {:.1} s",
        valid.into_inner(),
        sharing.into_inner(),
        overlaid.into_inner(),
        faults.len(),
        worst.into_inner() as f64 / 1e12,
        begun.elapsed().as_secs_f64()
    );
    faults.iter().take(20).for_each(|fault| eprintln!("{fault}"));
    if faults.is_empty() { Ok(()) } else { Err(Error::other("faults")) }
}
