//! Generalised outlines of a layer's shapes (概略轮廓), borders that shapes share simplified once. Decision 0020 says how and why.
//!
//! Step by step: all borders are snapped to the grid of the outline's decimals so that none crosses another that it did not ([`snap`]);
//! borders that were drawn twice are made one ([`seams`]); the chains that the same shapes share ([`graph`]) are thinned once
//! ([`simplify`]); and every wanted shape is put together again from its chains ([`rings`]).
//!
//! Never: an outcome that depends on the order of the shapes, on where a ring starts or how it turns, or on shapes farther away than two
//! rings of neighbours.

mod graph;
mod grid;
mod lines;
mod rings;
mod seams;
mod simplify;
mod snap;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use geo::Coord;
use rayon::prelude::*;

use self::graph::Graph;
use self::grid::{Cell, Grid, cell_of};
use self::rings::Part;
use super::flat::{FlatBuilder, FlatGeometry, FlatKind};
use crate::domain::generalisation::Generalisation;

/// Cells that an outcome may reach across: rounding and routing one each, and seams, each time two borders' distance twice.
const REACH_CELLS: f64 = 30.0;

/// The generalised form of the `wanted` shapes (indices into `shapes`), in their order; `None` of a shape that is empty or not finite,
/// and of an index that is none. `shapes` must hold the wanted ones, those whose boxes come within [`margin`] of theirs, and those whose
/// boxes come within it of these: more change nothing, and neither does their order.
///
/// What comes out is on the grid of the rule's decimals, valid as the OGC has it, and nowhere farther from the border than
/// [`Generalisation::bound_m`]. Shapes that shared a border, or had it twice less than a third of a cell apart, share its outline; shapes
/// that did not overlap do not. A shape that is lost on the grid is shown as the cell around its middle, which may overlap others. Of a
/// polygon that the grid cuts in two a multipolygon comes.
pub fn generalise(shapes: &[&FlatGeometry], wanted: &[usize], rule: &Generalisation) -> Vec<Option<FlatGeometry>> {
    let grid = Grid::new(rule);
    let mut features: Vec<&FlatGeometry> = Vec::new();
    let firsts: Vec<usize> = shapes
        .iter()
        .map(|shape| {
            let first = features.len();
            add_areal(shape, grid, &mut features);
            first
        })
        .collect();
    let mut is_wanted = vec![false; features.len()];
    for at in wanted.iter().filter(|at| **at < shapes.len()) {
        let end = firsts.get(at + 1).copied().unwrap_or(features.len());
        is_wanted[firsts[*at]..end].fill(true);
    }
    let outlines = if is_wanted.contains(&true) { outlines(&features, &is_wanted, grid) } else { HashMap::new() };
    wanted
        .par_iter()
        .map(|at| {
            let mut feature = firsts.get(*at).copied()? as u32;
            put_together(shapes[*at], grid, &outlines, &mut feature)
        })
        .collect()
}

/// How near (degrees) two boxes must come for the outline of one shape to depend on the other.
pub fn margin(rule: &Generalisation) -> f64 {
    REACH_CELLS * Grid::new(rule).cell_degrees()
}

/// Adds a shape, or the members of a collection, that has an area and can be placed.
fn add_areal<'a>(shape: &'a FlatGeometry, grid: Grid, features: &mut Vec<&'a FlatGeometry>) {
    match shape.kind() {
        FlatKind::Collection => shape.members().iter().for_each(|member| add_areal(member, grid, features)),
        kind if kind.is_areal() && is_placed(shape, grid) => features.push(shape),
        _ => {}
    }
}

fn is_placed(shape: &FlatGeometry, grid: Grid) -> bool {
    !shape.coords().is_empty() && shape.coords().iter().all(|c| grid.place(*c).is_some())
}

/// The polygons of each wanted feature; none of one that is lost on the grid.
fn outlines(features: &[&FlatGeometry], is_wanted: &[bool], grid: Grid) -> HashMap<u32, Vec<Part>> {
    let snapped = snap::snap(features, grid);
    let graph = seams::close(Graph::new(snapped.cells, snapped.sides, HashMap::new()), grid);
    let arcs = graph.arcs();
    let lines = simplify::simplify(&graph, &arcs, grid);
    let mut borders: Vec<Vec<u32>> = vec![Vec::new(); features.len()];
    for (arc, at) in arcs.list.iter().zip(0..) {
        for feature in graph.features_of(arc.edge) {
            if is_wanted[*feature as usize] {
                borders[*feature as usize].push(at);
            }
        }
    }
    borders
        .par_iter()
        .zip(0..features.len() as u32)
        .filter(|(_, feature)| is_wanted[*feature as usize])
        .map(|(border, feature)| {
            let edges: Vec<(u32, u32)> =
                border.iter().flat_map(|arc| lines[*arc as usize].windows(2).map(|pair| (pair[0], pair[1]))).collect();
            (feature, rings::parts(&edges, &graph.cells))
        })
        .collect()
}

/// The outline of one shape. `feature` is the number of its first member with an area, and of what follows the shape afterwards.
fn put_together(
    shape: &FlatGeometry,
    grid: Grid,
    outlines: &HashMap<u32, Vec<Part>>,
    feature: &mut u32,
) -> Option<FlatGeometry> {
    if shape.kind() == FlatKind::Collection {
        let members: Vec<FlatGeometry> =
            shape.members().iter().filter_map(|member| put_together(member, grid, outlines, feature)).collect();
        return (!members.is_empty()).then(|| FlatGeometry::collection(members));
    }
    if !is_placed(shape, grid) {
        return None;
    }
    match shape.kind() {
        FlatKind::Point | FlatKind::MultiPoint => Some(rounded_points(shape, grid)),
        FlatKind::LineString | FlatKind::MultiLineString => Some(thinned_lines(shape, grid)),
        _ => {
            let parts = outlines.get(feature).filter(|parts| !parts.is_empty());
            *feature += 1;
            Some(parts.map_or_else(|| square(shape, grid), |parts| polygons(shape.kind(), parts, grid)))
        }
    }
}

fn polygons(kind: FlatKind, parts: &[Part], grid: Grid) -> FlatGeometry {
    let mut builder = FlatBuilder::new(if parts.len() > 1 { FlatKind::MultiPolygon } else { kind });
    builder.reserve(parts.iter().flatten().map(|ring| ring.len() + 1).sum());
    for part in parts {
        for ring in part {
            ring.iter().chain(ring.first()).for_each(|cell| builder.push(grid.coord(*cell)));
            builder.end_ring();
        }
        builder.end_part();
    }
    builder.finish()
}

/// The south-western of the cells' middles around the middle of a shape.
fn south_west(shape: &FlatGeometry, grid: Grid) -> Cell {
    let [west, south, east, north] = shape.bbox().unwrap_or_default();
    let middle = grid.place(Coord { x: west / 2.0 + east / 2.0, y: south / 2.0 + north / 2.0 });
    middle.unwrap_or_default().map(|v| v.floor() as i64)
}

/// What is shown of a shape that is lost on the grid: it is there, and no larger than a cell.
fn square(shape: &FlatGeometry, grid: Grid) -> FlatGeometry {
    let [x, y] = south_west(shape, grid);
    polygons(shape.kind(), &[vec![vec![[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]]]], grid)
}

fn cells(coords: &[Coord<f64>], grid: Grid) -> Vec<Cell> {
    coords.iter().filter_map(|c| grid.place(*c)).map(cell_of).collect()
}

/// Each point in its cell's middle; several in one cell are one.
fn rounded_points(shape: &FlatGeometry, grid: Grid) -> FlatGeometry {
    let mut seen = std::collections::HashSet::new();
    let mut builder = FlatBuilder::new(shape.kind());
    cells(shape.coords(), grid)
        .into_iter()
        .filter(|cell| seen.insert(*cell))
        .for_each(|cell| builder.push(grid.coord(cell)));
    builder.finish()
}

/// Lines that are lost on the grid are dropped beside others; one that is all there is becomes a side of a cell.
fn thinned_lines(shape: &FlatGeometry, grid: Grid) -> FlatGeometry {
    let mut lines: Vec<Vec<Cell>> = shape.rings().filter_map(|line| lines::thinned(cells(line, grid), grid)).collect();
    if lines.is_empty() {
        let [x, y] = south_west(shape, grid);
        lines.push(vec![[x, y], [x + 1, y]]);
    }
    let mut builder = FlatBuilder::new(shape.kind());
    for line in lines {
        line.into_iter().for_each(|cell| builder.push(grid.coord(cell)));
        builder.end_ring();
    }
    builder.finish()
}
