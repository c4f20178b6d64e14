//! The plane graph of all shapes' sides on the grid, and its arcs: chains that the same shapes share.

use std::collections::HashMap;

use rayon::prelude::*;

use super::grid::Cell;

/// A side of a feature's shape from one hot cell to another, the lesser first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Side {
    low: u32,
    high: u32,
    feature: u32,
}

impl Side {
    pub fn new(from: u32, to: u32, feature: u32) -> Self {
        Self { low: from.min(to), high: from.max(to), feature }
    }
}

/// Vertices are places in `cells`, which are sorted: the lesser number is the lesser column, then the lesser row.
pub(super) struct Graph {
    pub cells: Vec<Cell>,
    edges: Vec<Edge>,
    /// Of each edge in turn.
    features: Vec<u32>,
    /// Where the edges at each vertex end in `incident`.
    ends: Vec<u32>,
    incident: Vec<u32>,
    /// Metres that seams have moved a border onto an edge.
    moved: HashMap<(u32, u32), f64>,
}

struct Edge {
    low: u32,
    high: u32,
    /// Where its features end.
    end: u32,
}

impl Graph {
    /// The graph of these sides. What a feature has twice there and back is none of its border: a spike, or what parts it from itself.
    pub fn new(cells: Vec<Cell>, mut sides: Vec<Side>, moved: HashMap<(u32, u32), f64>) -> Self {
        sides.par_sort_unstable();
        let mut edges: Vec<Edge> = Vec::new();
        let mut features: Vec<u32> = Vec::new();
        for same in sides.chunk_by(|a, b| a == b) {
            let side = same[0];
            if same.len() % 2 == 0 {
                continue;
            }
            features.push(side.feature);
            let end = features.len() as u32;
            match edges.last_mut().filter(|edge| (edge.low, edge.high) == (side.low, side.high)) {
                Some(edge) => edge.end = end,
                None => edges.push(Edge { low: side.low, high: side.high, end }),
            }
        }
        drop(sides);
        let mut ends = vec![0_u32; cells.len() + 1];
        for edge in &edges {
            ends[edge.low as usize + 1] += 1;
            ends[edge.high as usize + 1] += 1;
        }
        for at in 1..ends.len() {
            ends[at] += ends[at - 1];
        }
        let mut next = ends.clone();
        let mut incident = vec![0_u32; edges.len() * 2];
        for (at, edge) in edges.iter().enumerate() {
            for vertex in [edge.low, edge.high] {
                let place = &mut next[vertex as usize];
                incident[*place as usize] = at as u32;
                *place += 1;
            }
        }
        Self { cells, edges, features, ends, incident, moved }
    }

    pub fn cell(&self, vertex: u32) -> Cell {
        self.cells[vertex as usize]
    }

    pub fn edge_count(&self) -> usize {
        self.edges.len()
    }

    /// What seams have moved so far, to go on with.
    pub fn take_moved(&mut self) -> HashMap<(u32, u32), f64> {
        std::mem::take(&mut self.moved)
    }

    /// The vertices that an edge has.
    pub fn vertices(&self) -> impl Iterator<Item = u32> {
        (0..self.cells.len() as u32).filter(|vertex| !self.at(*vertex).is_empty())
    }

    /// The features that have an edge.
    pub fn features_of(&self, edge: u32) -> &[u32] {
        let begin = edge.checked_sub(1).map_or(0, |before| self.edges[before as usize].end);
        &self.features[begin as usize..self.edges[edge as usize].end as usize]
    }

    fn at(&self, vertex: u32) -> &[u32] {
        &self.incident[self.ends[vertex as usize] as usize..self.ends[vertex as usize + 1] as usize]
    }

    fn across(&self, edge: u32, vertex: u32) -> u32 {
        let edge = &self.edges[edge as usize];
        if edge.low == vertex { edge.high } else { edge.low }
    }

    /// Whether arcs end at a vertex: three edges or more meet, or two of different features.
    fn is_node(&self, vertex: u32) -> bool {
        match self.at(vertex) {
            [one, other] => self.features_of(*one) != self.features_of(*other),
            edges => !edges.is_empty(),
        }
    }

    fn moved(&self, a: u32, b: u32) -> f64 {
        if self.moved.is_empty() { 0.0 } else { self.moved.get(&(a.min(b), a.max(b))).copied().unwrap_or(0.0) }
    }

    /// All arcs, each once. A ring without a node begins at its least vertex; whatever ends where it began is cut a second time, at the
    /// vertex that lies farthest from there: so every arc has two different ends, and begins at the lesser.
    pub fn arcs(&self) -> Arcs {
        let mut arcs = Arcs { vertices: Vec::with_capacity(self.edges.len() + self.edges.len() / 4), list: Vec::new() };
        let mut seen = vec![false; self.edges.len()];
        let mut chain = Vec::new();
        for nodes in [true, false] {
            for vertex in 0..self.cells.len() as u32 {
                if nodes && !self.is_node(vertex) {
                    continue;
                }
                for edge in self.at(vertex) {
                    if !seen[*edge as usize] {
                        self.follow(vertex, *edge, &mut seen, &mut chain);
                        self.cut(&chain, *edge, &mut arcs);
                    }
                }
            }
        }
        arcs
    }

    /// The chain from a vertex along an edge to the next node, or back to the vertex.
    fn follow(&self, from: u32, edge: u32, seen: &mut [bool], chain: &mut Vec<u32>) {
        chain.clear();
        chain.push(from);
        let (mut edge, mut vertex) = (edge, from);
        loop {
            seen[edge as usize] = true;
            vertex = self.across(edge, vertex);
            chain.push(vertex);
            if vertex == from || self.is_node(vertex) {
                return;
            }
            match self.at(vertex).iter().find(|next| !seen[**next as usize]) {
                Some(next) => edge = *next,
                None => return,
            }
        }
    }

    fn cut(&self, chain: &[u32], edge: u32, arcs: &mut Arcs) {
        let (first, last) = (chain[0], chain[chain.len() - 1]);
        if first != last {
            return self.add(chain, edge, arcs);
        }
        let start = self.cell(first);
        let far = |at: &usize| {
            let cell = self.cell(chain[*at]);
            let [dx, dy] = [cell[0].abs_diff(start[0]), cell[1].abs_diff(start[1])].map(u128::from);
            (dx * dx + dy * dy, std::cmp::Reverse(chain[*at]))
        };
        match (1..chain.len() - 1).max_by_key(far) {
            Some(at) => {
                self.add(&chain[..=at], edge, arcs);
                self.add(&chain[at..], edge, arcs);
            }
            None => self.add(chain, edge, arcs),
        }
    }

    fn add(&self, chain: &[u32], edge: u32, arcs: &mut Arcs) {
        let begin = arcs.vertices.len();
        arcs.vertices.extend_from_slice(chain);
        if chain[0] > chain[chain.len() - 1] {
            arcs.vertices[begin..].reverse();
        }
        let moved = chain.windows(2).map(|pair| self.moved(pair[0], pair[1])).fold(0.0, f64::max);
        arcs.list.push(Arc { end: arcs.vertices.len() as u32, edge, moved });
    }
}

/// Chains of vertices between nodes.
pub(super) struct Arcs {
    vertices: Vec<u32>,
    pub list: Vec<Arc>,
}

pub(super) struct Arc {
    /// Where its vertices end.
    end: u32,
    /// One of its edges: all have the same features.
    pub edge: u32,
    /// Metres that a seam has moved some of it.
    pub moved: f64,
}

impl Arcs {
    pub fn vertices(&self, arc: usize) -> &[u32] {
        let begin = arc.checked_sub(1).map_or(0, |before| self.list[before].end);
        &self.vertices[begin as usize..self.list[arc].end as usize]
    }

    /// The lesser end and the greater.
    pub fn ends(&self, arc: usize) -> (u32, u32) {
        let vertices = self.vertices(arc);
        (vertices[0], vertices[vertices.len() - 1])
    }
}
