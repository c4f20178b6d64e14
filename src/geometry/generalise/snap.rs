//! Snap rounding (Guibas and Marimont): every edge is led through the middles of the hot cells that it passes.
//!
//! A cell is hot where a vertex lies in it or where two edges cross. Edges that did not cross do not cross afterwards, however much they
//! are bent: an edge is moved within the cells that it passes, and no vertex is on its other side then.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use geo::algorithm::kernels::Orientation;
use rayon::prelude::*;

use super::graph::Side;
use super::grid::{Cell, Grid, Place, cell_of, middle, passes, turn};
use super::tree::{Bounds, PackedTree, line_meets};
use crate::geometry::flat::FlatGeometry;

/// Edges near one edge beyond which its crossings are not looked for from its own side, and crossings beyond which they stay without a
/// vertex: nothing that is a map has as many, and a bundle of n edges must not cost n².
const NEAR_LIMIT: usize = 1_024;
const CROSSINGS_LIMIT: usize = 64;
/// How near to a cell's side (in cells) a crossing may be reckoned to lie on either.
const UNSURE: f64 = 1e-6;
/// Cells around an edge up to which each is looked up; beyond, the tree is asked.
const FEW_CELLS: i64 = 16;

/// Hot cells by column and row, and the sides of the features' shapes along them.
pub(super) struct Snapped {
    pub cells: Vec<Cell>,
    pub sides: Vec<Side>,
}

/// Leads every ring of the features through the hot cells.
pub(super) fn snap(features: &[&FlatGeometry], grid: Grid) -> Snapped {
    let mut cells: Vec<Cell> = features
        .par_iter()
        .flat_map_iter(|feature| feature.coords().iter().filter_map(move |c| grid.place(*c)).map(cell_of))
        .collect();
    sort_unique(&mut cells);
    let mut hot = HotCells::new(cells);
    let crossings = crossings(features, grid, &hot);
    if !crossings.is_empty() {
        let mut cells = hot.cells;
        cells.extend(crossings);
        sort_unique(&mut cells);
        hot = HotCells::new(cells);
    }
    hot.grow_tree();
    let sides = features
        .par_iter()
        .enumerate()
        .fold(Vec::new, |mut sides: Vec<Side>, (feature, shape)| {
            let mut route = Vec::new();
            edges(shape, grid, |p, q| {
                hot.route(p, q, &mut route);
                sides.extend(route.windows(2).map(|pair| Side::new(pair[0], pair[1], feature as u32)));
            });
            sides
        })
        .reduce(Vec::new, |mut all, more| {
            all.extend(more);
            all
        });
    Snapped { cells: hot.cells, sides }
}

fn sort_unique(cells: &mut Vec<Cell>) {
    cells.par_sort_unstable();
    cells.dedup();
}

/// Calls `visit` with every edge of every ring; one that is not closed is closed.
fn edges(shape: &FlatGeometry, grid: Grid, mut visit: impl FnMut(Place, Place)) {
    for ring in shape.rings() {
        let mut places = ring.iter().filter_map(|c| grid.place(*c));
        let Some(first) = places.next() else { continue };
        let mut from = first;
        for to in places.chain(std::iter::once(first)) {
            if from != to {
                visit(from, to);
            }
            from = to;
        }
    }
}

/// The lesser end first: what is reckoned of an edge must not depend on its direction.
fn ordered(p: Place, q: Place) -> (Place, Place) {
    if (p[0], p[1]) <= (q[0], q[1]) { (p, q) } else { (q, p) }
}

/// Whether two cells share a side or are one: the edge between them passes no other.
fn are_beside(a: Cell, b: Cell) -> bool {
    a[0].abs_diff(b[0]) + a[1].abs_diff(b[1]) <= 1
}

struct HotCells {
    cells: Vec<Cell>,
    places: HashMap<Cell, u32, BuildHasherDefault<CellHasher>>,
    tree: Option<PackedTree>,
}

impl HotCells {
    fn new(cells: Vec<Cell>) -> Self {
        let mut places = HashMap::with_capacity_and_hasher(cells.len(), BuildHasherDefault::default());
        places.extend(cells.iter().copied().zip(0..));
        Self { cells, places, tree: None }
    }

    fn grow_tree(&mut self) {
        let boxes: Vec<Bounds> = self.cells.iter().map(|c| middle(*c)).map(|[x, y]| [x, y, x, y]).collect();
        self.tree = Some(PackedTree::build(&boxes));
    }

    /// The hot cells that an edge passes, in the order in which it does.
    fn route(&self, p: Place, q: Place, route: &mut Vec<u32>) {
        route.clear();
        let (from, to) = (cell_of(p), cell_of(q));
        if are_beside(from, to) {
            route.extend([from, to].iter().filter_map(|cell| self.places.get(cell)));
            route.dedup();
            return;
        }
        let (p, q) = ordered(p, q);
        let (low, high) = ([from[0].min(to[0]), from[1].min(to[1])], [from[0].max(to[0]), from[1].max(to[1])]);
        let around = (high[0] - low[0]).saturating_add(1).saturating_mul((high[1] - low[1]).saturating_add(1));
        if around <= FEW_CELLS {
            for x in low[0]..=high[0] {
                for y in low[1]..=high[1] {
                    route.extend(self.places.get(&[x, y]).filter(|_| passes(p, q, [x, y])));
                }
            }
        } else if let Some(tree) = &self.tree {
            tree.visit(
                |b| line_meets(p, q, b, 0.5),
                |at| {
                    if passes(p, q, self.cells[at as usize]) {
                        route.push(at);
                    }
                    true
                },
            );
        }
        // Columns one after another, and within one up or down: that is the order along a straight line.
        let (east, north) = (to[0] >= from[0], to[1] >= from[1]);
        let along = |v: i64, forth: bool| if forth { v } else { -v };
        route.sort_unstable_by_key(|at| {
            let [x, y] = self.cells[*at as usize];
            (along(x, east), along(y, north))
        });
    }

    /// Whether an edge may cross another in a cell that is not hot.
    fn leaves_hot_cells(&self, p: Place, q: Place) -> bool {
        let (from, to) = (cell_of(p), cell_of(q));
        if are_beside(from, to) {
            return false;
        }
        let is_diagonal = from[0].abs_diff(to[0]) == 1 && from[1].abs_diff(to[1]) == 1;
        let cold = |cell: Cell| !self.places.contains_key(&cell) && passes(p, q, cell);
        !is_diagonal || cold([from[0], to[1]]) || cold([to[0], from[1]])
    }
}

/// The cells that are not hot and in which edges cross, of one shape or of several. Crossings on the side of a cell make both hot.
fn crossings(features: &[&FlatGeometry], grid: Grid, hot: &HotCells) -> Vec<Cell> {
    let mut long: Vec<(Place, Place)> = features
        .par_iter()
        .fold(Vec::new, |mut long, shape| {
            edges(shape, grid, |p, q| {
                let (p, q) = ordered(p, q);
                if hot.leaves_hot_cells(p, q) {
                    long.push((p, q));
                }
            });
            long
        })
        .reduce(Vec::new, |mut all, more| {
            all.extend(more);
            all
        });
    let bits = |(p, q): &(Place, Place)| [p[0], p[1], q[0], q[1]].map(f64::to_bits);
    long.par_sort_unstable_by_key(bits);
    long.dedup();
    let boxes: Vec<Bounds> = long.iter().map(|(p, q)| [p[0], p[1].min(q[1]), q[0], p[1].max(q[1])]).collect();
    let tree = PackedTree::build(&boxes);
    let found = |(p, q): &(Place, Place)| -> Vec<Cell> {
        let (mut near, mut cells, mut count) = (0, Vec::new(), 0);
        tree.visit(
            |b| line_meets(*p, *q, b, 0.0),
            |at| {
                near += 1;
                let (r, s) = long[at as usize];
                if let Some(place) = crossing((*p, *q), (r, s)) {
                    count += 1;
                    cells.extend(cells_near(place).filter(|cell| !hot.places.contains_key(cell)));
                }
                near <= NEAR_LIMIT && count <= CROSSINGS_LIMIT
            },
        );
        // What was left off half-way would depend on the order of looking.
        if near > NEAR_LIMIT || count > CROSSINGS_LIMIT { Vec::new() } else { cells }
    };
    // In the tree's own order: what one look has read is what the next needs.
    tree.items().par_iter().flat_map_iter(|at| found(&long[*at as usize])).collect()
}

/// Where two edges cross, each within the other; the same whichever comes first.
fn crossing(one: (Place, Place), other: (Place, Place)) -> Option<Place> {
    let (p, q, r, s) = if (one.0, one.1) <= (other.0, other.1) {
        (one.0, one.1, other.0, other.1)
    } else {
        (other.0, other.1, one.0, one.1)
    };
    let apart = |a: Orientation, b: Orientation| a != b && a != Orientation::Collinear && b != Orientation::Collinear;
    if !apart(turn(p, q, r), turn(p, q, s)) || !apart(turn(r, s, p), turn(r, s, q)) {
        return None;
    }
    let cross = |a: Place, b: Place| a[0] * b[1] - a[1] * b[0];
    let way = |a: Place, b: Place| [b[0] - a[0], b[1] - a[1]];
    let (along, across) = (way(p, q), way(r, s));
    let share = (cross(way(p, r), across) / cross(along, across)).clamp(0.0, 1.0);
    let place = [p[0] + share * along[0], p[1] + share * along[1]];
    place.iter().all(|v| v.is_finite()).then_some(place)
}

/// The cell of a place, and those beside it that it might lie in as well.
fn cells_near(place: Place) -> impl Iterator<Item = Cell> {
    let [low, high] = [-UNSURE, UNSURE].map(|off| cell_of(place.map(|v| v + off)));
    (low[0]..=high[0]).flat_map(move |x| (low[1]..=high[1]).map(move |y| [x, y]))
}

/// Mixes two numbers well enough for a table of cells; the standard hasher takes three times as long, and nobody chooses cells to hurt
/// a table whose layer he may not write.
#[derive(Default)]
struct CellHasher(u64);

impl Hasher for CellHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}
