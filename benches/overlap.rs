//! `cargo bench --bench overlap -- parks|crowded [parcels]`: all pairs of the yardstick's layers that share land, with their areas; times
//! on standard error, pairs as CSV on standard output for `benches/overlap`.

#[path = "yardstick/data.rs"]
mod data;

use std::io::{BufWriter, Result, Write};
use std::time::Instant;

use data::Crowding;
use geo::MultiPolygon;
use sizhi::geometry::overlap::{self, Relation};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let count = arguments.get(1).map_or(Ok(200_000), |n| n.parse()).map_err(std::io::Error::other)?;
    let crowding =
        if arguments.first().is_some_and(|word| word == "crowded") { Crowding::Crowded } else { Crowding::Apart };
    let parcels: Vec<MultiPolygon<f64>> = data::parcels(count, crowding).map(|p| p.shape).collect();
    let parcels: Vec<&MultiPolygon<f64>> = parcels.iter().collect();
    let parks: Vec<MultiPolygon<f64>> = data::parks(data::WIDE).into_iter().map(|p| p.shape).collect();
    let parks: Vec<&MultiPolygon<f64>> = parks.iter().collect();
    let mut found = None;
    for _ in 0..3 {
        let begun = Instant::now();
        found = Some(match crowding {
            Crowding::Apart => overlap::between(&parks, &parcels, usize::MAX),
            Crowding::Crowded => overlap::pairs(&parcels, usize::MAX),
        });
        let taken = begun.elapsed().as_secs_f64();
        let found = found.as_ref().expect("just made");
        eprintln!("{taken:.3} s, {} pairs, complete {}", found.list.len(), found.complete);
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    for pair in found.into_iter().flat_map(|found| found.list) {
        if let Relation::Overlap { area } = pair.relation {
            writeln!(out, "{},{},{}", pair.a, pair.b, area.value())?;
        }
    }
    out.flush()
}
