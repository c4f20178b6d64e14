//! Each arc with fewer vertices (Douglas and Peucker), once for all shapes that share it.
//!
//! A chord takes the place of a piece of an arc where all of the piece lies within the tolerance of it and the piece's convex hull holds
//! no other vertex of the whole graph. Then no two chords cross. Suppose that they do, c of hull H and d of hull I. No vertex of the
//! second piece lies in H, and none of its edges crosses H: it would part hull vertices of the first piece from each other, which is
//! connected within H and so would be crossed. So d's ends lie outside of H while d meets c in it: d parts H's vertices likewise, and the
//! first piece crosses d, within I, which by the same reasoning none of its edges enters. All is asked of the graph as it was before, so
//! that an arc's outcome hangs on what lies within its own hull and on nothing else.

use std::cmp::Ordering;
use std::collections::HashMap;

use rayon::prelude::*;

use super::graph::{Arcs, Graph};
use super::grid::{Cell, Grid, area2, middle};
use super::tree::{Bounds, PackedTree};

/// Vertices looked at for each vertex of an arc: an honest border needs about twenty, a spiral as many as it has.
const LOOKS_PER_VERTEX: usize = 200;
/// The arc of a vertex that is an end of arcs.
const NODE: u32 = u32::MAX;

/// The kept vertices of each arc, its ends always among them.
pub(super) fn simplify(graph: &Graph, arcs: &Arcs, grid: Grid) -> Vec<Vec<u32>> {
    let ground = Ground::new(graph, arcs);
    let piecewise = |arc: usize| Piecewise {
        ground: &ground,
        arc,
        vertices: arcs.vertices(arc),
        moved: arcs.list[arc].moved,
        grid,
    };
    // Of arcs between the same two nodes only one may become their chord, the one that is nearest to it: the others keep a vertex.
    let mut straightest: HashMap<(u32, u32), usize> = HashMap::with_capacity(arcs.list.len());
    let by_straightness = |one: usize, other: usize| {
        let metres = |arc: usize| piecewise(arc).farthest(0, arcs.vertices(arc).len() - 1).1;
        metres(one).total_cmp(&metres(other)).then_with(|| arcs.vertices(one).cmp(arcs.vertices(other)))
    };
    for arc in 0..arcs.list.len() {
        let best = straightest.entry(arcs.ends(arc)).or_insert(arc);
        if *best != arc && by_straightness(arc, *best) == Ordering::Less {
            *best = arc;
        }
    }
    (0..arcs.list.len())
        .into_par_iter()
        .map(|arc| piecewise(arc).kept(straightest.get(&arcs.ends(arc)) != Some(&arc)))
        .collect()
}

/// All vertices of the graph, to be found by place.
struct Ground<'a> {
    graph: &'a Graph,
    vertices: Vec<u32>,
    tree: PackedTree,
    /// The arc that a vertex lies within, and its place there.
    place: Vec<(u32, u32)>,
}

impl<'a> Ground<'a> {
    fn new(graph: &'a Graph, arcs: &Arcs) -> Self {
        let vertices: Vec<u32> = graph.vertices().collect();
        let boxes: Vec<Bounds> = vertices.iter().map(|v| middle(graph.cell(*v))).map(|[x, y]| [x, y, x, y]).collect();
        let mut place = vec![(NODE, 0); graph.cells.len()];
        for arc in 0..arcs.list.len() {
            let chain = arcs.vertices(arc);
            for (at, vertex) in chain.iter().enumerate().take(chain.len() - 1).skip(1) {
                place[*vertex as usize] = (arc as u32, at as u32);
            }
        }
        Self { graph, tree: PackedTree::build(&boxes), vertices, place }
    }
}

/// One arc, thinned piece by piece.
struct Piecewise<'a> {
    ground: &'a Ground<'a>,
    arc: usize,
    vertices: &'a [u32],
    moved: f64,
    grid: Grid,
}

impl Piecewise<'_> {
    fn kept(&self, keep_one: bool) -> Vec<u32> {
        let last = self.vertices.len() - 1;
        if last < 2 {
            return self.vertices.to_vec();
        }
        let mut kept = vec![false; last + 1];
        (kept[0], kept[last]) = (true, true);
        let mut looks = LOOKS_PER_VERTEX * self.vertices.len();
        let mut pieces = vec![(0, last, keep_one)];
        while let Some((first, last, must_part)) = pieces.pop() {
            if last - first < 2 {
                continue;
            }
            let Some(left) = looks.checked_sub(last - first) else {
                kept[first..=last].fill(true);
                continue;
            };
            looks = left;
            let (far, metres, tolerance) = self.farthest(first, last);
            if !must_part && metres <= tolerance && self.is_free(first, last, &mut looks) {
                continue;
            }
            kept[far] = true;
            pieces.extend([(first, far, false), (far, last, false)]);
        }
        self.vertices.iter().zip(kept).filter(|(_, kept)| *kept).map(|(vertex, _)| *vertex).collect()
    }

    fn cell(&self, at: usize) -> Cell {
        self.ground.graph.cell(self.vertices[at])
    }

    /// The vertex between two that lies farthest from their chord (the first of several), how far, and how far it may.
    fn farthest(&self, first: usize, last: usize) -> (usize, f64, f64) {
        let (from, to) = (self.cell(first), self.cell(last));
        let measure = self.grid.measure(from[1], to[1]);
        let (mut far, mut metres) = (first + 1, -1.0);
        for at in first + 1..last {
            let off = measure.distance(self.cell(at), from, to);
            if off > metres {
                (far, metres) = (at, off);
            }
        }
        (far, metres, self.grid.tolerance_left(measure, self.moved))
    }

    /// Whether the hull of a piece holds no vertex but its own; no as well where that would take too many looks.
    fn is_free(&self, first: usize, last: usize, looks: &mut usize) -> bool {
        let graph = self.ground.graph;
        let hull = hull(graph, &self.vertices[first..=last]);
        let (from, to) = (self.cell(first), self.cell(last));
        let strip = Strip::new(&hull, from, to);
        let (own_arc, own) = (self.arc as u32, first as u32..=last as u32);
        let mut is_free = true;
        self.ground.tree.visit(
            |b| strip.meets(b),
            |at| {
                let vertex = self.ground.vertices[at as usize];
                let (arc, place) = self.ground.place[vertex as usize];
                *looks = looks.saturating_sub(1);
                let is_own = (arc == own_arc && own.contains(&place))
                    || vertex == self.vertices[first]
                    || vertex == self.vertices[last];
                if !is_own {
                    *looks = looks.saturating_sub(hull.len());
                    is_free = *looks > 0 && !holds(&hull, graph.cell(vertex));
                }
                is_free
            },
        );
        is_free
    }
}

/// What a hull lies in: a box, and the strip along its chord.
struct Strip {
    bounds: Bounds,
    normal: [f64; 2],
    from: [f64; 2],
    low: f64,
    high: f64,
}

impl Strip {
    fn new(hull: &[Cell], from: Cell, to: Cell) -> Self {
        let nothing = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        let from = middle(from);
        let to = middle(to);
        let normal = [from[1] - to[1], to[0] - from[0]];
        let off = |[x, y]: [f64; 2]| (x - from[0]) * normal[0] + (y - from[1]) * normal[1];
        let (mut bounds, mut low, mut high) = (nothing, f64::INFINITY, f64::NEG_INFINITY);
        for cell in hull {
            let [x, y] = middle(*cell);
            bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x), bounds[3].max(y)];
            (low, high) = (low.min(off([x, y])), high.max(off([x, y])));
        }
        // Cells are whole numbers: half of one is far more than the products can be wrong by, unless they are very large.
        let rounding = 0.5 + 1e-9 * (low.abs() + high.abs());
        Self { bounds, normal, from, low: low - rounding, high: high + rounding }
    }

    fn meets(&self, b: &Bounds) -> bool {
        let bounds = &self.bounds;
        if b[0] > bounds[2] || b[2] < bounds[0] || b[1] > bounds[3] || b[3] < bounds[1] {
            return false;
        }
        // Only what of the box lies within the bounds: products stay as small as the hull.
        let (w, s) = (b[0].max(bounds[0]) - self.from[0], b[1].max(bounds[1]) - self.from[1]);
        let (e, n) = (b[2].min(bounds[2]) - self.from[0], b[3].min(bounds[3]) - self.from[1]);
        let (x, y) = (self.normal[0], self.normal[1]);
        let least = (w * x).min(e * x) + (s * y).min(n * y);
        let most = (w * x).max(e * x) + (s * y).max(n * y);
        let rounding = 1e-12 * (least.abs() + most.abs());
        least <= self.high + rounding && most >= self.low - rounding
    }
}

/// The convex hull of a chain's cells, counter-clockwise (Andrew's monotone chain); two cells where all lie on one line.
fn hull(graph: &Graph, chain: &[u32]) -> Vec<Cell> {
    // Vertices are numbered in the order that is needed here.
    let mut order = chain.to_vec();
    order.sort_unstable();
    order.dedup();
    let mut hull: Vec<Cell> = Vec::new();
    let mut extend = |cells: &mut dyn Iterator<Item = Cell>| {
        let floor = hull.len();
        for cell in cells {
            while hull.len() >= floor + 2 && area2(hull[hull.len() - 2], hull[hull.len() - 1], cell) <= 0 {
                hull.pop();
            }
            hull.push(cell);
        }
        hull.pop();
    };
    extend(&mut order.iter().map(|v| graph.cell(*v)));
    extend(&mut order.iter().rev().map(|v| graph.cell(*v)));
    hull
}

/// Whether a cell's middle lies in a hull or on its border.
fn holds(hull: &[Cell], cell: Cell) -> bool {
    let between = |a: i64, b: i64, v: i64| a.min(b) <= v && v <= a.max(b);
    match hull {
        [] => false,
        [one] => *one == cell,
        [a, b] => area2(*a, *b, cell) == 0 && between(a[0], b[0], cell[0]) && between(a[1], b[1], cell[1]),
        _ => (0..hull.len()).all(|at| area2(hull[at], hull[(at + 1) % hull.len()], cell) >= 0),
    }
}
