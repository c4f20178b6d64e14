//! The rules of an outline over drawn shapes, each by itself; here is what the tests of them share. PostGIS judges in `tests/it/generalise.rs`.

use std::collections::{BTreeMap, BTreeSet};

use geo::{Area, Polygon, Validation};

use super::grid::area2;
use super::*;

#[path = "coverage_tests.rs"]
mod coverages;
#[path = "crowd_tests.rs"]
mod crowds;
#[path = "shape_tests.rs"]
mod drawn;

const RULE: Generalisation = Generalisation { tolerance_m: 10.0, decimals: 4 };

fn flat(parts: &[&[&[Coord<f64>]]]) -> FlatGeometry {
    let mut builder = FlatBuilder::new(if parts.len() > 1 { FlatKind::MultiPolygon } else { FlatKind::Polygon });
    for part in parts {
        for ring in *part {
            ring.iter().for_each(|c| builder.push(*c));
            builder.end_ring();
        }
        builder.end_part();
    }
    builder.finish()
}

fn coords(list: &[(f64, f64)]) -> Vec<Coord<f64>> {
    list.iter().map(|(x, y)| Coord { x: *x, y: *y }).collect()
}

fn polygon(list: &[(f64, f64)]) -> FlatGeometry {
    flat(&[&[&coords(list)]])
}

fn vertices(outline: &FlatGeometry) -> Vec<(f64, f64)> {
    outline.coords().iter().map(|c| (c.x, c.y)).collect()
}

fn all(shapes: &[FlatGeometry], rule: &Generalisation) -> Vec<FlatGeometry> {
    let shapes: Vec<&FlatGeometry> = shapes.iter().collect();
    let wanted: Vec<usize> = (0..shapes.len()).collect();
    generalise(&shapes, &wanted, rule).into_iter().map(|outline| outline.expect("an outline")).collect()
}

/// The outline's rings in cells, each vertex of which is shown to be on the grid.
fn on_grid(outline: &FlatGeometry, rule: &Generalisation) -> Vec<Vec<Cell>> {
    let scale = 10_f64.powi(i32::from(rule.decimals));
    let digits = usize::from(rule.decimals);
    outline
        .rings()
        .map(|ring| {
            assert_eq!(ring.first(), ring.last(), "closed");
            ring.iter()
                .map(|c| {
                    for v in [c.x, c.y] {
                        let written: f64 = format!("{v:.digits$}").parse().expect("a number");
                        assert_eq!(v.to_bits(), written.to_bits(), "the double of so many decimals");
                    }
                    [(c.x * scale).round() as i64, (c.y * scale).round() as i64]
                })
                .collect()
        })
        .collect()
}

/// Every side of every outline, from left to right and how often it is had in either direction (the inside on the left).
fn sides(outlines: &[FlatGeometry]) -> BTreeMap<(Cell, Cell), [u32; 2]> {
    let mut sides: BTreeMap<(Cell, Cell), [u32; 2]> = BTreeMap::new();
    for outline in outlines {
        for ring in on_grid(outline, &RULE) {
            for pair in ring.windows(2) {
                let forth = pair[0] < pair[1];
                let key = if forth { (pair[0], pair[1]) } else { (pair[1], pair[0]) };
                sides.entry(key).or_default()[usize::from(!forth)] += 1;
            }
        }
    }
    sides
}

/// No two sides meet but in their ends.
fn assert_plane(sides: &BTreeMap<(Cell, Cell), [u32; 2]>) {
    let list: Vec<(Cell, Cell)> = sides.keys().copied().collect();
    for (at, (a, b)) in list.iter().enumerate() {
        // Sorted by their western end.
        for (c, d) in list[at + 1..].iter().take_while(|(c, _)| c[0] <= b[0]) {
            if c[1].min(d[1]) > a[1].max(b[1]) || c[1].max(d[1]) < a[1].min(b[1]) {
                continue;
            }
            let turns = [area2(*a, *b, *c), area2(*a, *b, *d), area2(*c, *d, *a), area2(*c, *d, *b)].map(i128::signum);
            let crosses = turns[0] * turns[1] < 0 && turns[2] * turns[3] < 0;
            let within = |p: &Cell, a: &Cell, b: &Cell, turn: i128| {
                turn == 0 && p != a && p != b && (0..2).all(|i| a[i].min(b[i]) <= p[i] && p[i] <= a[i].max(b[i]))
            };
            let touches = within(c, a, b, turns[0])
                || within(d, a, b, turns[1])
                || within(a, c, d, turns[2])
                || within(b, c, d, turns[3]);
            assert!(!crosses && !touches, "{a:?}–{b:?} and {c:?}–{d:?}");
        }
    }
}

/// The sides that one shape alone has, as one ring around all.
fn assert_one_outer_ring(sides: &BTreeMap<(Cell, Cell), [u32; 2]>) {
    let mut at: BTreeMap<Cell, Vec<Cell>> = BTreeMap::new();
    for ((a, b), directions) in sides {
        assert!(directions.iter().all(|count| *count <= 1), "two shapes on one side of {a:?}–{b:?}");
        if directions.iter().sum::<u32>() == 1 {
            at.entry(*a).or_default().push(*b);
            at.entry(*b).or_default().push(*a);
        }
    }
    assert!(at.values().all(|ends| ends.len() == 2), "gaps at {:?}", at.iter().find(|(_, ends)| ends.len() != 2));
    let start = *at.keys().next().expect("a border");
    let (mut from, mut vertex, mut count) = (start, at[&start][0], 1);
    while vertex != start {
        let next = at[&vertex].iter().find(|next| **next != from).copied().expect("goes on");
        (from, vertex) = (vertex, next);
        count += 1;
    }
    // A ring that is left over lies around a gap.
    let mut rest: BTreeSet<Cell> = at.keys().copied().collect();
    let (mut from, mut vertex) = (start, at[&start][0]);
    while rest.remove(&vertex) {
        let next = at[&vertex].iter().find(|next| **next != from).copied().expect("goes on");
        (from, vertex) = (vertex, next);
    }
    assert_eq!(count, at.len(), "one ring; left over: {rest:?}");
}

fn assert_valid(outlines: &[FlatGeometry]) {
    for outline in outlines {
        let polygons = outline.to_multi_polygon();
        if let Err(fault) = polygons.check_validation() {
            panic!("{fault}: {polygons:?}");
        }
        for polygon in &polygons {
            let turns = |ring: &geo::LineString<f64>| Polygon::new(ring.clone(), vec![]).signed_area();
            assert!(turns(polygon.exterior()) > 0.0);
            assert!(polygon.interiors().iter().all(|hole| turns(hole) < 0.0));
        }
    }
}
