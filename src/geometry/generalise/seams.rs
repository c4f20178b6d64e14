//! Seams: borders that were drawn twice, a hair apart, are made one.
//!
//! Two vertices a millimetre apart may round to different cells. What then lies between the borders is a face of the graph no wider than
//! a cell; one of its arcs is moved onto all the others. Nothing lies in a face, so that nothing is crossed.

use std::cmp::Ordering;
use std::collections::HashMap;

use rayon::prelude::*;

use super::graph::{Arcs, Graph, Side};
use super::grid::{Cell, Grid, Measure, area2, by_direction};
use super::rings;

/// Arcs of a face beyond which it is no seam: two sides, one of which neighbours end at.
const ARCS_LIMIT: usize = 12;
/// How far the vertices of an arc may be from its first, in columns and in rows, that may be a corner's.
const CORNER_CELLS: u64 = 3;
/// Vertices of a way up to which every pair is looked at.
const SHORT_WAY: usize = 24;
/// Seams side by side (several borders a hair apart) are closed one after another. Each time may reach two cells farther: `margin` knows.
const ROUNDS: usize = 4;

/// An arc and what it is moved onto.
struct Seam {
    arc: u32,
    /// From the arc's first vertex to its last.
    onto: Vec<u32>,
    /// The arcs around the face.
    around: Vec<u32>,
    metres: f64,
}

/// The graph with its seams closed.
pub(super) fn close(mut graph: Graph, grid: Grid) -> Graph {
    for _ in 0..ROUNDS {
        let arcs = graph.arcs();
        let seams = independent(seams(&graph, &arcs, grid), &arcs);
        if seams.is_empty() {
            break;
        }
        graph = moved(graph, &arcs, &seams);
    }
    graph
}

fn moved(mut graph: Graph, arcs: &Arcs, seams: &[Seam]) -> Graph {
    let by_arc: HashMap<u32, &Seam> = seams.iter().map(|seam| (seam.arc, seam)).collect();
    let mut sides = Vec::with_capacity(graph.edge_count());
    let mut moved = graph.take_moved();
    for (at, arc) in arcs.list.iter().enumerate() {
        let seam = by_arc.get(&(at as u32));
        let vertices = seam.map_or(arcs.vertices(at), |seam| &seam.onto);
        for pair in vertices.windows(2) {
            sides.extend(graph.features_of(arc.edge).iter().map(|feature| Side::new(pair[0], pair[1], *feature)));
            if let Some(seam) = seam {
                let metres = moved.entry((pair[0].min(pair[1]), pair[0].max(pair[1]))).or_insert(0.0);
                *metres = metres.max(seam.metres);
            }
        }
    }
    Graph::new(graph.cells, sides, moved)
}

/// Faces that are seams, each with the arc that it would move.
fn seams(graph: &Graph, arcs: &Arcs, grid: Grid) -> Vec<Seam> {
    let found = |face: Vec<u32>| {
        let apart = Sharing::None.places(graph, arcs, &face);
        if let Some(seam) = seam(graph, arcs, grid, &face, apart) {
            return Some((face, Some(seam)));
        }
        let sharing = Sharing::Corners.places(graph, arcs, &face);
        seam(graph, arcs, grid, &face, sharing).map(|_| (face, None))
    };
    let found: Vec<(Vec<u32>, Option<Seam>)> = faces(graph, arcs).into_par_iter().filter_map(found).collect();
    let unsure = found.iter().filter(|(_, seam)| seam.is_none()).flat_map(|(face, _)| face);
    let covers = Covers::new(graph, arcs, unsure);
    found.into_iter().filter_map(|(face, seam)| seam.or_else(|| corner(graph, arcs, grid, &face, &covers))).collect()
}

/// What the arc that is moved may share with the others around its face.
#[derive(Clone, Copy, PartialEq)]
enum Sharing {
    /// No feature: the face lies between different ones, whichever they are.
    None,
    /// Features only with arcs no longer than a corner. What lies between may be a shape itself, or its hole or bay.
    Corners,
}

impl Sharing {
    /// Places of the arcs in the face that may be moved.
    fn places(self, graph: &Graph, arcs: &Arcs, face: &[u32]) -> Vec<usize> {
        let may = |at: usize| {
            let own = features_of(graph, arcs, face[at]);
            face.iter().enumerate().filter(|(other, _)| *other != at).all(|(_, half)| {
                let shares = || features_of(graph, arcs, *half).iter().any(|f| own.binary_search(f).is_ok());
                half / 2 != face[at] / 2
                    && (!shares() || self == Sharing::Corners && is_small(graph, vertices_of(arcs, half / 2)))
            })
        };
        (0..face.len()).filter(|at| may(*at)).collect()
    }
}

/// Whether an arc is no longer than what rounding makes where the corners of several shapes meet.
fn is_small(graph: &Graph, vertices: &[u32]) -> bool {
    let start = graph.cell(vertices[0]);
    vertices.iter().all(|v| graph.cell(*v).iter().zip(start).all(|(v, start)| v.abs_diff(start) <= CORNER_CELLS))
}

/// A half-arc is twice the number of its arc, and one more where it goes from the greater end to the lesser.
fn origin(arcs: &Arcs, half: u32) -> u32 {
    let (first, last) = arcs.ends((half / 2) as usize);
    if half.is_multiple_of(2) { first } else { last }
}

fn second(arcs: &Arcs, half: u32) -> u32 {
    let vertices = arcs.vertices((half / 2) as usize);
    if half.is_multiple_of(2) { vertices[1] } else { vertices[vertices.len() - 2] }
}

/// Faces of few arcs: their half-arcs, the face on the left.
fn faces(graph: &Graph, arcs: &Arcs) -> Vec<Vec<u32>> {
    let count = arcs.list.len() * 2;
    let mut round: Vec<u32> = (0..count as u32).collect();
    round.par_sort_unstable_by(|a, b| {
        let from = origin(arcs, *a);
        from.cmp(&origin(arcs, *b))
            .then_with(|| by_direction(graph.cell(from), graph.cell(second(arcs, *a)), graph.cell(second(arcs, *b))))
    });
    // The half-arc behind each, clockwise around its origin: where a walk that comes in along its other half goes on.
    let mut behind = vec![0_u32; count];
    for same in round.chunk_by(|a, b| origin(arcs, *a) == origin(arcs, *b)) {
        for (at, half) in same.iter().enumerate() {
            behind[*half as usize] = same[at.checked_sub(1).unwrap_or(same.len() - 1)];
        }
    }
    let mut seen = vec![false; count];
    let mut faces = Vec::new();
    for start in 0..count as u32 {
        let (mut half, mut length, mut face) = (start, 0, Vec::new());
        while !seen[half as usize] {
            seen[half as usize] = true;
            length += 1;
            if length <= ARCS_LIMIT {
                face.push(half);
            }
            half = behind[(half ^ 1) as usize];
        }
        if (2..=ARCS_LIMIT).contains(&length) {
            faces.push(face);
        }
    }
    faces
}

fn features_of<'a>(graph: &'a Graph, arcs: &Arcs, half: u32) -> &'a [u32] {
    graph.features_of(arcs.list[(half / 2) as usize].edge)
}

/// The seam that moves one of the arcs at these places in a face: the greatest that can be. Any would do that is the same in whatever
/// order the shapes come.
fn seam(graph: &Graph, arcs: &Arcs, grid: Grid, face: &[u32], mut places: Vec<usize>) -> Option<Seam> {
    places.sort_unstable_by(|a, b| vertices_of(arcs, face[*b] / 2).cmp(vertices_of(arcs, face[*a] / 2)));
    for at in places {
        let arc = face[at] / 2;
        let onto = others(arcs, face, at);
        let vertices = vertices_of(arcs, arc);
        let metres = grid.measure(graph.cell(vertices[0])[1], graph.cell(vertices[vertices.len() - 1])[1]);
        let before = arcs.list[arc as usize].moved;
        let limit = grid.seam_limit(metres) - before;
        let around = || face.iter().map(|half| half / 2).collect();
        if let Some(apart) = apart(graph, grid, vertices, &onto, limit) {
            let seam = Seam { arc, onto, around: around(), metres: apart + before };
            return is_bounded(graph, arcs, face).then_some(seam);
        }
        // Where neighbours end on both sides of the face, an arc is moved onto the other side only as far as it goes, and across.
        for (from, to) in shortcuts(graph, metres, &onto, limit) {
            let short: Vec<u32> = onto[..=from].iter().chain(&onto[to..]).copied().collect();
            if let Some(apart) = apart(graph, grid, vertices, &short, limit)
                && is_bounded(graph, arcs, face)
                && is_within(graph, arcs, face, &[onto[from], onto[to]])
            {
                return Some(Seam { arc, onto: short, around: around(), metres: apart + before });
            }
        }
    }
    None
}

/// Places in a way between which it can be cut short within a limit: from either end to the vertex nearest to it, and where it leaves out
/// most in between (a third shape's tip), looked for in short ways only.
fn shortcuts(graph: &Graph, measure: Measure, way: &[u32], limit: f64) -> Vec<(usize, usize)> {
    let last = way.len() - 1;
    let off = |one: usize, other: usize| {
        let [one, other] = [way[one], way[other]].map(|v| graph.cell(v));
        measure.distance(one, other, other)
    };
    let nearest = |end: usize| {
        (1..last).map(|at| (at, off(at, end))).min_by(|a, b| a.1.total_cmp(&b.1).then_with(|| way[a.0].cmp(&way[b.0])))
    };
    let mut found = Vec::new();
    found.extend(nearest(last).filter(|(at, metres)| at + 1 < last && *metres <= limit).map(|(at, _)| (at, last)));
    found.extend(nearest(0).filter(|(at, metres)| *at > 1 && *metres <= limit).map(|(at, _)| (0, at)));
    if way.len() <= SHORT_WAY {
        let between = (1..last).flat_map(|from| (from + 2..last).map(move |to| (from, to)));
        let left_out = |(from, to): &(usize, usize)| (*from..*to).map(|at| off(at, at + 1)).sum::<f64>();
        let most = between.filter(|(from, to)| off(*from, *to) <= limit).max_by(|a, b| {
            left_out(a).total_cmp(&left_out(b)).then_with(|| (way[b.0], way[b.1]).cmp(&(way[a.0], way[a.1])))
        });
        found.extend(most);
    }
    found
}

/// Whether the straight line between two vertices of a face lies within it, and touches its border nowhere else.
fn is_within(graph: &Graph, arcs: &Arcs, face: &[u32], line: &[u32]) -> bool {
    let twice = |cell: Cell| cell.map(|v| v * 2);
    let (p, q) = (graph.cell(line[0]), graph.cell(line[1]));
    let middle = [p[0] + q[0], p[1] + q[1]];
    let mut is_inside = false;
    for pair in face.iter().flat_map(|half| vertices_of(arcs, half / 2).windows(2)) {
        let (a, b) = (graph.cell(pair[0]), graph.cell(pair[1]));
        let turns = [area2(p, q, a), area2(p, q, b), area2(a, b, p), area2(a, b, q)].map(i128::signum);
        let box_meets = (0..2).all(|i| a[i].min(b[i]) <= p[i].max(q[i]) && p[i].min(q[i]) <= a[i].max(b[i]));
        let ends_there = pair.iter().filter(|v| line.contains(v)).count();
        // An edge at one of the ends goes elsewhere, or along the line; any other must stay away.
        let meets = match ends_there {
            0 => turns[0] * turns[1] <= 0 && turns[2] * turns[3] <= 0,
            1 => turns[0] == 0 && turns[1] == 0 && is_along(p, q, a, b),
            _ => true,
        };
        if box_meets && meets {
            return false;
        }
        let (a, b) = (twice(a), twice(b));
        if (a[1] > middle[1]) != (b[1] > middle[1]) {
            is_inside ^= (area2(a, b, middle) > 0) == (b[1] > a[1]);
        }
    }
    is_inside
}

/// Whether two lines on one straight have more than an end in common.
fn is_along(p: Cell, q: Cell, a: Cell, b: Cell) -> bool {
    let least = p.min(q).max(a.min(b));
    let most = p.max(q).min(a.max(b));
    least < most
}

fn vertices_of(arcs: &Arcs, arc: u32) -> &[u32] {
    arcs.vertices(arc as usize)
}

/// The seam of a face whose arcs share features, and that no feature covers, or several do, where its neighbour across an arc is covered by one: it becomes part of
/// that. Who covers it is asked of the features along its border only.
fn corner(graph: &Graph, arcs: &Arcs, grid: Grid, face: &[u32], covers: &Covers) -> Option<Seam> {
    let mut covering: Vec<u32> = face
        .iter()
        .flat_map(|half| features_of(graph, arcs, *half).iter().map(move |feature| (*feature, *half)))
        .filter(|(feature, half)| covers.left_of(*feature, *half))
        .map(|(feature, _)| feature)
        .collect();
    covering.sort_unstable();
    covering.dedup();
    if covering.len() == 1 {
        return None;
    }
    let leaves_one = |at: &usize| {
        let across = features_of(graph, arcs, face[*at]);
        let both = across.iter().filter(|feature| covering.binary_search(feature).is_ok()).count();
        covering.len() + across.len() - 2 * both == 1
    };
    let places = Sharing::Corners.places(graph, arcs, face);
    seam(graph, arcs, grid, face, places.into_iter().filter(leaves_one).collect())
}

/// On which side of their arcs features lie.
struct Covers(HashMap<(u32, u32), bool>);

impl Covers {
    /// Of the features along these half-arcs.
    fn new<'a>(graph: &Graph, arcs: &Arcs, halves: impl Iterator<Item = &'a u32>) -> Self {
        let mut borders: HashMap<u32, Vec<u32>> = HashMap::new();
        for half in halves {
            for feature in features_of(graph, arcs, *half) {
                borders.entry(*feature).or_default();
            }
        }
        if borders.is_empty() {
            return Self(HashMap::new());
        }
        for (arc, head) in arcs.list.iter().enumerate() {
            for feature in graph.features_of(head.edge) {
                if let Some(border) = borders.get_mut(feature) {
                    border.push(arc as u32);
                }
            }
        }
        let sides = borders.into_par_iter().flat_map_iter(|(feature, border)| {
            let edges: Vec<(u32, u32)> = border
                .iter()
                .flat_map(|arc| vertices_of(arcs, *arc).windows(2).map(|pair| (pair[0], pair[1])))
                .collect();
            let left = rings::inside_left(&edges, &graph.cells);
            border.into_iter().map(move |arc| {
                let (from, to) = (vertices_of(arcs, arc)[0], vertices_of(arcs, arc)[1]);
                let is_left = left.get(&(from.min(to), from.max(to))).copied().unwrap_or(false);
                ((feature, arc), is_left == (from < to))
            })
        });
        Self(sides.collect())
    }

    fn left_of(&self, feature: u32, half: u32) -> bool {
        self.0.get(&(feature, half / 2)).is_some_and(|is_left| *is_left == half.is_multiple_of(2))
    }
}

/// The way around the face from an arc's first vertex to its last without the arc.
fn others(arcs: &Arcs, face: &[u32], at: usize) -> Vec<u32> {
    let mut way = vec![origin(arcs, face[(at + 1) % face.len()])];
    for half in face[at + 1..].iter().chain(&face[..at]) {
        let vertices = vertices_of(arcs, half / 2);
        if half.is_multiple_of(2) {
            way.extend_from_slice(&vertices[1..]);
        } else {
            way.extend(vertices.iter().rev().skip(1));
        }
    }
    // A walk goes on from the end of a half-arc: of one in its own direction, from the arc's last vertex.
    if face[at].is_multiple_of(2) {
        way.reverse();
    }
    way
}

/// How far two ways between the same ends are apart at most, by a walk along both; `None` beyond a limit.
fn apart(graph: &Graph, grid: Grid, one: &[u32], other: &[u32], limit: f64) -> Option<f64> {
    let (mut i, mut j, mut far) = (0, 0, 0.0_f64);
    let off = |at: u32, way: &[u32], step: usize| {
        let (from, to) = (graph.cell(way[step]), graph.cell(way[(step + 1).min(way.len() - 1)]));
        grid.measure(from[1], to[1]).distance(graph.cell(at), from, to)
    };
    while i + 1 < one.len() || j + 1 < other.len() {
        let first = one.get(i + 1).map_or(f64::INFINITY, |at| off(*at, other, j));
        let second = other.get(j + 1).map_or(f64::INFINITY, |at| off(*at, one, i));
        if first <= second {
            i += 1;
        } else {
            j += 1;
        }
        far = far.max(first.min(second));
        if far > limit {
            return None;
        }
    }
    Some(far)
}

/// Whether the face on the left is what the walk goes around, and not all the rest of the world.
fn is_bounded(graph: &Graph, arcs: &Arcs, face: &[u32]) -> bool {
    let start = graph.cell(origin(arcs, face[0]));
    let area: i128 = face
        .iter()
        .map(|half| {
            let vertices = vertices_of(arcs, half / 2);
            let area: i128 =
                vertices.windows(2).map(|pair| area2(start, graph.cell(pair[0]), graph.cell(pair[1]))).sum();
            if half.is_multiple_of(2) { area } else { -area }
        })
        .sum();
    area > 0
}

/// Those seams that may be closed at once: where a seam would move what another is moved onto, the one with the greater arc goes first.
/// Only neighbours are looked at, so that a seam does not depend on one far away.
fn independent(seams: Vec<Seam>, arcs: &Arcs) -> Vec<Seam> {
    let mut at_arc: HashMap<u32, Vec<usize>> = HashMap::new();
    for (at, seam) in seams.iter().enumerate() {
        for arc in &seam.around {
            at_arc.entry(*arc).or_default().push(at);
        }
    }
    let before = |one: &Seam, other: &Seam| -> Ordering {
        vertices_of(arcs, one.arc).cmp(vertices_of(arcs, other.arc)).then_with(|| one.onto.cmp(&other.onto))
    };
    let goes_first = |seam: &Seam| {
        seam.around.iter().all(|arc| {
            at_arc.get(arc).into_iter().flatten().map(|at| &seams[*at]).all(|other| {
                let is_at_odds = *arc == seam.arc || *arc == other.arc;
                !is_at_odds || before(seam, other) != Ordering::Less
            })
        })
    };
    let first: Vec<bool> = seams.iter().map(goes_first).collect();
    seams.into_iter().zip(first).filter_map(|(seam, first)| first.then_some(seam)).collect()
}
