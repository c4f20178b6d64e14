//! How two boundaries meet: each is cut where it meets the other, and every run between two cuts lies wholly inside the other shape,
//! outside it, or along its boundary.
//!
//! Where a run has a vertex of its own, its side is asked of that vertex, which is exact for the numbers that were given; only a run
//! between two cuts of one edge has none, and there a proper crossing turns the side of the run before it.

use geo::Coord;

use super::shape::{self, Bbox, EdgeId, Ring, Shape};
use super::work::{Stopped, Work};
use crate::geometry::segments::{Meeting, Side, meeting_of};

/// Runs that are kept for one pair.
const MOST_RUNS: usize = 1_000_000;

/// Up to so many edges of the other are gone through one by one instead of by their tree.
const FEW: usize = 48;

/// Where a run of one boundary lies with respect to the other shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Inside,
    Outside,
    /// Along the other's boundary, the land of both on one side.
    Along,
    /// Along the other's boundary, their land on either side: a shared edge.
    Between,
}

/// A place on a ring where the other boundary meets it.
#[derive(Debug, Clone, Copy)]
struct Mark {
    edge: u32,
    /// 0 at the first point of the edge, below 1.
    along: f64,
    at: Coord<f64>,
    /// The boundaries cross here and nothing else happens.
    crosses: bool,
}

/// A run of one ring between two marks, or a whole ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub ring: u32,
    pub place: Place,
    cut: Option<(Mark, Mark)>,
}

/// Two boundaries cut by each other. Rings that are not named lie outside the other shape.
#[derive(Debug)]
pub(super) struct Met {
    pub of_a: Vec<Run>,
    pub of_b: Vec<Run>,
    /// The boundaries have a point in common.
    pub touches: bool,
}

impl Met {
    /// The one of the two that lies wholly inside the other, its boundary off the other's.
    pub fn whole<'s, 'g>(&self, a: &'s Shape<'g>, b: &'s Shape<'g>) -> Option<&'s Shape<'g>> {
        let inside = |runs: &[Run], shape: &Shape| {
            !self.touches && runs.len() == shape.rings.len() && runs.iter().all(|run| run.place == Place::Inside)
        };
        let outside = |runs: &[Run]| runs.iter().all(|run| run.place == Place::Outside);
        if inside(&self.of_a, a) && outside(&self.of_b) {
            Some(a)
        } else {
            (inside(&self.of_b, b) && outside(&self.of_a)).then_some(b)
        }
    }

    /// The runs of one shape with those rings that lie off the common box, and so outside the other.
    pub fn all_of(runs: &[Run], shape: &Shape) -> Vec<Run> {
        let mut named = vec![false; shape.rings.len()];
        for run in runs {
            named[run.ring as usize] = true;
        }
        let others = (0..).zip(named).filter(|(_, named)| !named);
        let others = others.map(|(ring, _)| Run { ring, place: Place::Outside, cut: None });
        runs.iter().copied().chain(others).collect()
    }

    /// How often the boundaries meet.
    pub fn cuts(&self) -> usize {
        self.of_a.len() + self.of_b.len()
    }
}

/// One edge with its ends.
#[derive(Clone, Copy)]
struct Edge {
    id: EdgeId,
    a: Coord<f64>,
    b: Coord<f64>,
}

/// Where the edges of one shape are met.
#[derive(Default)]
struct Cuts {
    marks: Vec<(u32, Mark)>,
    /// Edge, from and to along it, and whether the land of both lies on one side.
    shared: Vec<(EdgeId, f64, f64, bool)>,
}

/// `None` where the boxes are apart.
pub(super) fn meet(a: &Shape, b: &Shape, work: &mut Work) -> Result<Option<Met>, Stopped> {
    let (Some(box_a), Some(box_b)) = (a.bbox(), b.bbox()) else { return Ok(None) };
    let Some(common) = shape::common(&box_a, &box_b) else { return Ok(None) };
    // No boundary of the one in the common box: the other lies in it altogether, inside or outside. Most parcels of a park do.
    let near_a = edges_near(a, &common, work)?;
    if near_a.is_empty() {
        return Ok(Some(Met { of_a: Vec::new(), of_b: undivided(b, a, work)?, touches: false }));
    }
    let near_b = edges_near(b, &common, work)?;
    if near_b.is_empty() {
        return Ok(Some(Met { of_a: undivided(a, b, work)?, of_b: Vec::new(), touches: false }));
    }
    let (mut cuts_a, mut cuts_b) = (Cuts::default(), Cuts::default());
    let mut look = |s: &Edge, t: &Edge| record(a, b, s, t, &mut cuts_a, &mut cuts_b);
    if near_b.len() <= FEW || near_a.len() <= FEW {
        let (few, many, turned) =
            if near_b.len() <= near_a.len() { (&near_b, &near_a, false) } else { (&near_a, &near_b, true) };
        work.spend((few.len() * many.len()) as u64)?;
        for one in many {
            let bbox = [one.a.x.min(one.b.x), one.a.y.min(one.b.y), one.a.x.max(one.b.x), one.a.y.max(one.b.y)];
            for other in few.iter().filter(|other| shape::edge_meets(other.a, other.b, &bbox)) {
                if turned { look(other, one) } else { look(one, other) }
            }
        }
    } else {
        for s in &near_a {
            let bbox = [s.a.x.min(s.b.x), s.a.y.min(s.b.y), s.a.x.max(s.b.x), s.a.y.max(s.b.y)];
            b.edges_meeting(&bbox, work, |id, a, b| look(s, &Edge { id, a, b }))?;
        }
    }
    if cuts_a.marks.len().max(cuts_b.marks.len()) > MOST_RUNS {
        return Err(Stopped::TooComplex);
    }
    let touches = !cuts_a.marks.is_empty();
    let of_a = runs(a, b, &box_b, &near_a, cuts_a, work)?;
    let of_b = runs(b, a, &box_a, &near_b, cuts_b, work)?;
    Ok(Some(Met { of_a, of_b, touches }))
}

/// The rings of a shape whose box has no boundary of the other in it.
fn undivided(shape: &Shape, other: &Shape, work: &mut Work) -> Result<Vec<Run>, Stopped> {
    let Some(first) = shape.rings.first() else { return Ok(Vec::new()) };
    let place = if other.side(first.coords[0], work)? == Side::Inside { Place::Inside } else { Place::Outside };
    Ok((0..shape.rings.len() as u32).map(|ring| Run { ring, place, cut: None }).collect())
}

fn edges_near(shape: &Shape, bbox: &Bbox, work: &mut Work) -> Result<Vec<Edge>, Stopped> {
    let mut near = Vec::with_capacity(64);
    shape.edges_meeting(bbox, work, |id, a, b| near.push(Edge { id, a, b }))?;
    Ok(near)
}

fn record(a: &Shape, b: &Shape, s: &Edge, t: &Edge, cuts_a: &mut Cuts, cuts_b: &mut Cuts) {
    let mut mark = |at: Coord<f64>, crosses: bool| {
        cuts_a.marks.push((s.id.ring, mark_on(a, s, at, crosses)));
        cuts_b.marks.push((t.id.ring, mark_on(b, t, at, crosses)));
    };
    match meeting_of(s.a, s.b, t.a, t.b) {
        Meeting::Apart => {}
        Meeting::Cross(at) => mark(at, true),
        Meeting::Touch(at) => mark(at, false),
        Meeting::Along(p, q) => {
            mark(p, false);
            mark(q, false);
            let one_way = (s.b.x - s.a.x) * (t.b.x - t.a.x) + (s.b.y - s.a.y) * (t.b.y - t.a.y) > 0.0;
            let signs = a.rings[s.id.ring as usize].sign * b.rings[t.id.ring as usize].sign;
            let together = (signs > 0.0) == one_way;
            for (cuts, edge) in [(cuts_a, s), (cuts_b, t)] {
                let (from, to) = (along(edge, p), along(edge, q));
                cuts.shared.push((edge.id, from.min(to), from.max(to), together));
            }
        }
    }
}

/// Position of a point of this edge, from 0 at its start to 1 at its end, on the longer axis.
fn along(edge: &Edge, p: Coord<f64>) -> f64 {
    let (a, b) = (edge.a, edge.b);
    let t = if (b.x - a.x).abs() >= (b.y - a.y).abs() { (p.x - a.x) / (b.x - a.x) } else { (p.y - a.y) / (b.y - a.y) };
    t.clamp(0.0, 1.0)
}

/// The end of an edge is the beginning of the next.
fn mark_on(shape: &Shape, edge: &Edge, at: Coord<f64>, crosses: bool) -> Mark {
    let along = along(edge, at);
    if along < 1.0 {
        return Mark { edge: edge.id.edge, along, at, crosses };
    }
    let edges = shape.rings[edge.id.ring as usize].coords.len() as u32 - 1;
    Mark { edge: (edge.id.edge + 1) % edges, along: 0.0, at, crosses }
}

/// The runs of the rings of `own` that come near `other`.
fn runs(
    own: &Shape,
    other: &Shape,
    other_box: &Bbox,
    near: &[Edge],
    mut cuts: Cuts,
    work: &mut Work,
) -> Result<Vec<Run>, Stopped> {
    work.spend((near.len() + cuts.marks.len()) as u64)?;
    cuts.marks.sort_unstable_by(|(r, m), (s, n)| (r, m.edge).cmp(&(s, n.edge)).then(m.along.total_cmp(&n.along)));
    cuts.shared.sort_unstable_by_key(|(id, ..)| *id);
    let mut found = Vec::with_capacity(cuts.marks.len() + 1);
    let marks = cuts.marks.as_slice();
    for group in near.chunk_by(|s, t| s.id.ring == t.id.ring) {
        let number = group[0].id.ring;
        let behind = marks.partition_point(|(ring, _)| *ring <= number);
        let mine = &marks[marks.partition_point(|(ring, _)| *ring < number)..behind];
        if mine.is_empty() {
            let bbox = own.ring_bbox(number);
            let within = bbox[0] >= other_box[0]
                && bbox[1] >= other_box[1]
                && bbox[2] <= other_box[2]
                && bbox[3] <= other_box[3];
            // A ring that meets no boundary lies wholly where one of its points does.
            let place = if within && other.side(own.rings[number as usize].coords[0], work)? == Side::Inside {
                Place::Inside
            } else {
                Place::Outside
            };
            found.push(Run { ring: number, place, cut: None });
            continue;
        }
        let marks = distinct(mine.iter().map(|(_, mark)| *mark));
        runs_of_ring(&own.rings[number as usize], number, &marks, &cuts.shared, (other, other_box), work, &mut found)?;
    }
    Ok(found)
}

/// Marks of one place are one.
fn distinct(marks: impl Iterator<Item = Mark>) -> Vec<Mark> {
    let mut distinct: Vec<Mark> = Vec::new();
    for mark in marks {
        match distinct.last_mut() {
            Some(last) if (last.edge, last.along) == (mark.edge, mark.along) => last.crosses = false,
            _ => distinct.push(mark),
        }
    }
    distinct
}

fn runs_of_ring(
    ring: &Ring,
    number: u32,
    marks: &[Mark],
    shared: &[(EdgeId, f64, f64, bool)],
    (other, other_box): (&Shape, &Bbox),
    work: &mut Work,
    found: &mut Vec<Run>,
) -> Result<(), Stopped> {
    let count = marks.len();
    // A run with a vertex of its own is sure of its side; those behind it go by it.
    let first = (0..count).find(|at| own_vertex(ring, &marks[*at], &marks[(at + 1) % count], count == 1).is_some());
    let mut before: Option<Side> = None;
    for step in 0..count {
        let at = (first.unwrap_or(0) + step) % count;
        let (from, to) = (marks[at], marks[(at + 1) % count]);
        let cut = Some((from, to));
        let vertex = own_vertex(ring, &from, &to, count == 1);
        if vertex.is_none() {
            if let Some(together) = shared_sense(number, &from, &to, shared) {
                let place = if together { Place::Along } else { Place::Between };
                found.push(Run { ring: number, place, cut });
                before = None;
                continue;
            }
            if from.at == to.at {
                continue;
            }
        }
        let side = match (vertex, before) {
            (Some(vertex), _) if !shape::holds(other_box, vertex) => Side::Outside,
            (Some(vertex), _) => other.side(vertex, work)?,
            (None, Some(Side::Inside)) if from.crosses => Side::Outside,
            (None, Some(Side::Outside)) if from.crosses => Side::Inside,
            _ => other.side(Coord { x: (from.at.x + to.at.x) / 2.0, y: (from.at.y + to.at.y) / 2.0 }, work)?,
        };
        before = Some(side);
        let place = if side == Side::Inside { Place::Inside } else { Place::Outside };
        found.push(Run { ring: number, place, cut });
    }
    Ok(())
}

/// A vertex of the ring strictly between two marks; where there is one mark, anywhere but at it.
fn own_vertex(ring: &Ring, from: &Mark, to: &Mark, once_around: bool) -> Option<Coord<f64>> {
    let edges = ring.coords.len() as u32 - 1;
    let begin = from.edge + 1;
    // The position of `to` lies on its edge, so the edge's first point comes before it, unless it is that point.
    let end = if to.along > 0.0 { to.edge + 1 } else { to.edge };
    let wraps = once_around || (to.edge, to.along) < (from.edge, from.along);
    let end = if wraps { end + edges } else { end };
    (begin..end).map(|at| ring.coords[(at % edges) as usize]).find(|vertex| *vertex != from.at && *vertex != to.at)
}

fn shared_sense(ring: u32, from: &Mark, to: &Mark, shared: &[(EdgeId, f64, f64, bool)]) -> Option<bool> {
    let id = EdgeId { ring, edge: from.edge };
    let end = if to.edge == from.edge { to.along } else { 1.0 };
    let middle = (from.along + end) / 2.0;
    let first = shared.partition_point(|(other, ..)| *other < id);
    let own = shared[first..].iter().take_while(|(other, ..)| *other == id);
    own.filter(|(_, low, high, _)| (*low..=*high).contains(&middle)).map(|(.., together)| *together).next()
}

impl Run {
    /// Calls `edge` with each piece of the run, as the ring runs.
    pub fn walk(&self, ring: &Ring, mut edge: impl FnMut(Coord<f64>, Coord<f64>)) {
        let Some((from, to)) = self.cut else {
            ring.coords.windows(2).for_each(|e| edge(e[0], e[1]));
            return;
        };
        let edges = ring.coords.len() as u32 - 1;
        let wraps = (to.edge, to.along) <= (from.edge, from.along);
        let last = if wraps { to.edge + edges } else { to.edge };
        let mut at = from.at;
        for vertex in from.edge + 1..=last {
            let next = ring.coords[(vertex % edges) as usize];
            edge(at, next);
            at = next;
        }
        edge(at, to.at);
    }

    /// Where it begins and ends; `None` of a whole ring.
    pub fn ends(&self) -> Option<(Coord<f64>, Coord<f64>)> {
        self.cut.map(|(from, to)| (from.at, to.at))
    }
}
