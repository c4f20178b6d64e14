//! Polygons out of the edges of a feature's border, as the OGC wants them: rings that touch themselves or each other in points only, and
//! parts whose inside hangs together.
//!
//! The edges form a plane graph, and inside and outside change at each. Every face that is inside is one polygon: its border is walked
//! with the face on the left, and a walk that comes to a vertex twice is cut there.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use super::grid::{Cell, area2, by_direction, middle};
use super::tree::{Bounds, PackedTree};

/// Rings of one polygon, the exterior first and counter-clockwise, the others clockwise. No vertex is repeated at the end.
pub(super) type Part = Vec<Vec<Cell>>;

/// The polygons between edges, from vertex to vertex; the order of the edges does not matter.
pub(super) fn parts(edges: &[(u32, u32)], cells: &[Cell]) -> Vec<Part> {
    let plane = Plane::new(edges, cells);
    let faces = plane.faces();
    let mut loops: BTreeMap<u32, Vec<Vec<u32>>> = BTreeMap::new();
    for (walk, start) in plane.starts.iter().enumerate() {
        if faces.inside[walk] == Some(true) {
            let root = faces.root(walk as u32);
            plane.simple_loops(*start, loops.entry(root).or_default());
        }
    }
    let mut parts: Vec<Part> = loops.into_values().flat_map(|loops| polygons(loops, cells)).collect();
    parts.sort_unstable();
    parts
}

/// Whether the inside lies to the left of each edge, the lesser vertex first.
pub(super) fn inside_left(edges: &[(u32, u32)], cells: &[Cell]) -> HashMap<(u32, u32), bool> {
    let plane = Plane::new(edges, cells);
    let faces = plane.faces();
    let left = |at: usize| faces.inside[plane.walk[at * 2] as usize] == Some(true);
    plane.edges.iter().enumerate().map(|(at, edge)| (*edge, left(at))).collect()
}

/// One face's polygon. A face has one loop that goes around it; more have only borders that cross, and each is a part then.
fn polygons(loops: Vec<Vec<u32>>, cells: &[Cell]) -> Vec<Part> {
    let (mut shells, mut holes) = (Vec::new(), Vec::new());
    for ring in loops {
        let mut ring: Vec<Cell> = ring.into_iter().map(|v| cells[v as usize]).collect();
        let area = area(&ring);
        let least = ring.iter().enumerate().min_by_key(|(_, cell)| **cell).map_or(0, |(at, _)| at);
        ring.rotate_left(least);
        match area.cmp(&0) {
            Ordering::Greater => shells.push((area, ring)),
            Ordering::Less => holes.push(ring),
            Ordering::Equal => {}
        }
    }
    shells.sort_unstable();
    holes.sort_unstable();
    let Some((_, largest)) = shells.pop() else { return Vec::new() };
    let mut parts = vec![std::iter::once(largest).chain(holes).collect::<Part>()];
    parts.extend(shells.into_iter().map(|(_, ring)| vec![ring]));
    parts
}

fn area(ring: &[Cell]) -> i128 {
    ring.windows(2).map(|pair| area2(ring[0], pair[0], pair[1])).sum()
}

/// The edges as half-edges: twice the number of the edge, and one more where it goes from the greater vertex to the lesser.
struct Plane<'a> {
    cells: &'a [Cell],
    edges: Vec<(u32, u32)>,
    /// Half-edges by origin, counter-clockwise around each.
    round: Vec<u32>,
    /// The half-edge behind each, clockwise around its origin.
    behind: Vec<u32>,
    /// The walk that each is part of, and where each walk starts.
    walk: Vec<u32>,
    starts: Vec<u32>,
}

fn origin(edges: &[(u32, u32)], half: u32) -> u32 {
    let (low, high) = edges[(half / 2) as usize];
    if half.is_multiple_of(2) { low } else { high }
}

/// What lies to the left of each walk.
struct Faces {
    inside: Vec<Option<bool>>,
    /// Walks of one face lead to the same one.
    parent: Vec<u32>,
}

impl Faces {
    fn root(&self, walk: u32) -> u32 {
        let mut at = walk;
        while self.parent[at as usize] != at {
            at = self.parent[at as usize];
        }
        at
    }
}

impl<'a> Plane<'a> {
    fn new(edges: &[(u32, u32)], cells: &'a [Cell]) -> Self {
        let mut edges: Vec<(u32, u32)> = edges.iter().map(|(a, b)| (*a.min(b), *a.max(b))).collect();
        edges.sort_unstable();
        let count = edges.len() * 2;
        let origin = |half: u32| origin(&edges, half);
        let mut round: Vec<u32> = (0..count as u32).collect();
        round.sort_unstable_by(|a, b| {
            let from = origin(*a);
            from.cmp(&origin(*b)).then_with(|| {
                let cell = |vertex: u32| cells[vertex as usize];
                by_direction(cell(from), cell(origin(a ^ 1)), cell(origin(b ^ 1)))
            })
        });
        let mut behind = vec![0; count];
        for same in round.chunk_by(|a, b| origin(*a) == origin(*b)) {
            for (at, half) in same.iter().enumerate() {
                behind[*half as usize] = same[at.checked_sub(1).unwrap_or(same.len() - 1)];
            }
        }
        let mut plane = Self { cells, edges, round, behind, walk: vec![u32::MAX; count], starts: Vec::new() };
        for start in 0..count as u32 {
            if plane.walk[start as usize] != u32::MAX {
                continue;
            }
            let mut half = start;
            while plane.walk[half as usize] == u32::MAX {
                plane.walk[half as usize] = plane.starts.len() as u32;
                half = plane.next(half);
            }
            plane.starts.push(start);
        }
        plane
    }

    fn origin(&self, half: u32) -> u32 {
        origin(&self.edges, half)
    }

    /// What follows a half-edge around the face on its left.
    fn next(&self, half: u32) -> u32 {
        self.behind[(half ^ 1) as usize]
    }

    /// Which walks are inside, and which go around the same face.
    fn faces(&self) -> Faces {
        let count = self.starts.len();
        let mut faces = Faces { inside: vec![None; count], parent: (0..count as u32).collect() };
        let mut below: Option<Below> = None;
        // Vertices come from west to east: one whose walks nobody knows yet is the westernmost of what hangs together with it, and what
        // lies west of that is west of the last half-edge around it.
        for same in self.round.chunk_by(|a, b| self.origin(*a) == self.origin(*b)) {
            let outer = self.walk[same[same.len() - 1] as usize];
            if faces.inside[outer as usize].is_some() {
                continue;
            }
            let vertex = self.origin(same[0]);
            // Nothing lies west of the first of all.
            let under = if vertex == self.origin(self.round[0]) {
                None
            } else {
                below.get_or_insert_with(|| Below::new(self)).edge(self, vertex)
            };
            let above = under.map(|edge| self.walk[edge as usize * 2]);
            let is_inside = above.and_then(|walk| faces.inside[walk as usize]).unwrap_or(false);
            if let Some(walk) = above {
                faces.parent[outer as usize] = faces.root(walk);
            }
            self.spread(outer, is_inside, &mut faces);
        }
        faces
    }

    /// Tells a walk, and all that hang together with it, whether they are inside.
    fn spread(&self, outer: u32, is_inside: bool, faces: &mut Faces) {
        faces.inside[outer as usize] = Some(is_inside);
        let mut open = vec![(outer, is_inside)];
        while let Some((walk, is_inside)) = open.pop() {
            let start = self.starts[walk as usize];
            let mut half = start;
            loop {
                let across = self.walk[(half ^ 1) as usize];
                let known = &mut faces.inside[across as usize];
                if known.is_none() {
                    *known = Some(!is_inside);
                    open.push((across, !is_inside));
                }
                half = self.next(half);
                if half == start {
                    break;
                }
            }
        }
    }

    /// The walk as loops that come to no vertex twice.
    fn simple_loops(&self, start: u32, loops: &mut Vec<Vec<u32>>) {
        let mut path: Vec<u32> = Vec::new();
        let mut place: HashMap<u32, usize> = HashMap::new();
        let mut half = start;
        loop {
            let vertex = self.origin(half);
            if let Some(at) = place.get(&vertex).copied() {
                for gone in &path[at + 1..] {
                    place.remove(gone);
                }
                loops.push(path.split_off(at));
            }
            place.insert(vertex, path.len());
            path.push(vertex);
            half = self.next(half);
            if half == start {
                break;
            }
        }
        loops.push(path);
    }
}

/// Finds the edge straight below a vertex.
struct Below {
    tree: PackedTree,
}

impl Below {
    fn new(plane: &Plane) -> Self {
        let boxes: Vec<Bounds> = plane
            .edges
            .iter()
            .map(|(low, high)| (middle(plane.cells[*low as usize]), middle(plane.cells[*high as usize])))
            .map(|(p, q)| [p[0], p[1].min(q[1]), q[0], p[1].max(q[1])])
            .collect();
        Self { tree: PackedTree::build(&boxes) }
    }

    /// The highest edge below a vertex, a breath to the west of it: an edge that begins in its column is not there yet.
    fn edge(&self, plane: &Plane, vertex: u32) -> Option<u32> {
        let cell = plane.cells[vertex as usize];
        let [x, y] = middle(cell);
        let ends = |edge: u32| {
            let (low, high) = plane.edges[edge as usize];
            (plane.cells[low as usize], plane.cells[high as usize])
        };
        let best: std::cell::Cell<Option<u32>> = std::cell::Cell::new(None);
        let floor = std::cell::Cell::new(f64::NEG_INFINITY);
        self.tree.visit(
            |b| b[0] < x && b[2] >= x && b[1] <= y && b[3] >= floor.get(),
            |edge| {
                let (low, high) = ends(edge);
                let is_below = area2(low, high, cell) > 0;
                if is_below && best.get().is_none_or(|best| is_above(ends(edge), ends(best))) {
                    best.set(Some(edge));
                    floor.set(low[1].min(high[1]) as f64);
                }
                true
            },
        );
        best.get()
    }
}

/// Whether one edge lies above another where both have a column in common.
fn is_above(one: (Cell, Cell), other: (Cell, Cell)) -> bool {
    let side = |edge: (Cell, Cell), points: (Cell, Cell)| match area2(edge.0, edge.1, points.0) {
        0 => area2(edge.0, edge.1, points.1),
        side => side,
    };
    // The one that begins farther east is seen from the other.
    if other.0[0] <= one.0[0] { side(other, one) > 0 } else { side(one, other) < 0 }
}
