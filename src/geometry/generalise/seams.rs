//! Seams: borders that were drawn twice, a hair apart, are made one.
//!
//! Two vertices a millimetre apart may round to different cells. What then lies between the borders is a face of the graph no wider than
//! a cell; one of its arcs is moved onto all the others. Nothing lies in a face, so that nothing is crossed.

use std::cmp::Ordering;
use std::collections::HashMap;

use rayon::prelude::*;

use super::graph::{Arcs, Graph, Side};
use super::grid::{Grid, area2, by_direction};

/// Arcs of a face beyond which it is no seam: two sides, one of which neighbours end at.
const ARCS_LIMIT: usize = 12;
/// Seams side by side (several borders a hair apart) are closed one after another. Each time may reach two cells farther: `margin` knows.
const ROUNDS: usize = 3;

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
    faces(graph, arcs).par_iter().filter_map(|face| seam(graph, arcs, grid, face)).collect()
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

fn seam(graph: &Graph, arcs: &Arcs, grid: Grid, face: &[u32]) -> Option<Seam> {
    let around: Vec<u32> = face.iter().map(|half| half / 2).collect();
    let features = |arc: u32| graph.features_of(arcs.list[arc as usize].edge);
    let mut places: Vec<usize> = (0..face.len()).filter(|at| stands_alone(&around, *at, features)).collect();
    // The greatest arc that may be moved: any would do that is the same in whatever order the shapes come.
    places.sort_unstable_by(|a, b| vertices_of(arcs, around[*b]).cmp(vertices_of(arcs, around[*a])));
    for at in places {
        let arc = around[at];
        let onto = others(arcs, face, at);
        let vertices = vertices_of(arcs, arc);
        let metres = grid.measure(graph.cell(vertices[0])[1], graph.cell(vertices[vertices.len() - 1])[1]);
        let before = arcs.list[arc as usize].moved;
        let limit = grid.seam_limit(metres) - before;
        let Some(apart) = apart(graph, grid, vertices, &onto, limit) else { continue };
        return is_bounded(graph, arcs, face).then_some(Seam { arc, onto, around, metres: apart + before });
    }
    None
}

fn vertices_of(arcs: &Arcs, arc: u32) -> &[u32] {
    arcs.vertices(arc as usize)
}

/// Whether no other arc of the face has a feature of this one: else what lies between is the shape itself, or its hole or bay.
fn stands_alone<'a>(around: &[u32], at: usize, features: impl Fn(u32) -> &'a [u32]) -> bool {
    let own = features(around[at]);
    around.iter().enumerate().all(|(other, arc)| {
        other == at || (*arc != around[at] && features(*arc).iter().all(|f| own.binary_search(f).is_err()))
    })
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
