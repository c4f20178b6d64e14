//! Segments of rings: exact predicates, an index over them, and how two segments meet.
//!
//! Predicates are robust (adaptive precision), so “touches” and “crosses” mean what they say for the given doubles.

use std::collections::HashMap;
use std::marker::PhantomData;

use geo::algorithm::kernels::{Kernel, Orientation, RobustKernel};
use geo::{Coord, LineString, MultiPolygon};
use rstar::{AABB, RTree, RTreeObject};

/// One edge of one ring. Indices count from 0; `vertex` is the index of `a` in its ring as the file has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Segment {
    pub a: Coord<f64>,
    pub b: Coord<f64>,
    pub part: usize,
    pub ring: usize,
    pub vertex: usize,
    /// Position among the edges of its ring that have a length.
    pub order: usize,
    /// Number of such edges in its ring.
    pub count: usize,
}

impl RTreeObject for Segment {
    type Envelope = AABB<[f64; 2]>;

    fn envelope(&self) -> Self::Envelope {
        AABB::from_corners([self.a.x, self.a.y], [self.b.x, self.b.y])
    }
}

impl Segment {
    pub fn same_ring(&self, other: &Segment) -> bool {
        self.part == other.part && self.ring == other.ring
    }

    /// True where the two follow each other on one ring.
    pub fn adjacent(&self, other: &Segment) -> bool {
        self.same_ring(other)
            && (self.order.abs_diff(other.order) == 1 || self.order.abs_diff(other.order) == self.count - 1)
    }
}

/// All edges of positive length, ring by ring.
pub(crate) fn segments(geometry: &MultiPolygon<f64>) -> Vec<Segment> {
    let mut all = Vec::with_capacity(geometry.iter().map(|p| p.exterior().0.len()).sum());
    for (part, polygon) in geometry.iter().enumerate() {
        for (ring, line) in std::iter::once(polygon.exterior()).chain(polygon.interiors()).enumerate() {
            let first = all.len();
            for (vertex, edge) in line.0.windows(2).enumerate() {
                if edge[0] != edge[1] {
                    let order = all.len() - first;
                    all.push(Segment { a: edge[0], b: edge[1], part, ring, vertex, order, count: 0 });
                }
            }
            let count = all.len() - first;
            for segment in &mut all[first..] {
                segment.count = count;
            }
        }
    }
    all
}

pub(crate) fn index(segments: &[Segment]) -> RTree<Segment> {
    RTree::bulk_load(segments.to_vec())
}

/// Up to this many edges a sweep is faster than building a tree; beyond it, edges that all lie beside each other (a long road
/// along the sweep's axis) would make it quadratic.
const SWEEP_LIMIT: usize = 1_024;

/// Calls `visit` with each pair of edges whose boxes meet, once, the earlier edge first, until it answers false. Hot: every
/// boundary of an import passes through here.
pub(crate) fn visit_close_pairs(segments: &[Segment], mut visit: impl FnMut(&Segment, &Segment) -> bool) {
    if segments.len() <= SWEEP_LIMIT {
        for (i, j) in swept_pairs(segments) {
            if !visit(&segments[i], &segments[j]) {
                return;
            }
        }
        return;
    }
    let tree = index(segments);
    for s in segments {
        for t in tree.locate_in_envelope_intersecting(&s.envelope()) {
            if (t.part, t.ring, t.order) > (s.part, s.ring, s.order) && !visit(s, t) {
                return;
            }
        }
    }
}

/// Pairs of positions (lower first) in order, found by sweeping along x.
fn swept_pairs(segments: &[Segment]) -> Vec<(usize, usize)> {
    struct Span {
        west: f64,
        east: f64,
        south: f64,
        north: f64,
        at: usize,
    }
    let mut spans: Vec<Span> = segments
        .iter()
        .enumerate()
        .map(|(at, s)| Span {
            west: s.a.x.min(s.b.x),
            east: s.a.x.max(s.b.x),
            south: s.a.y.min(s.b.y),
            north: s.a.y.max(s.b.y),
            at,
        })
        .collect();
    spans.sort_unstable_by(|a, b| a.west.total_cmp(&b.west));
    let mut pairs = Vec::with_capacity(segments.len() * 2);
    for (i, s) in spans.iter().enumerate() {
        for t in spans[i + 1..].iter().take_while(|t| t.west <= s.east) {
            if t.south <= s.north && s.south <= t.north {
                pairs.push((s.at.min(t.at), s.at.max(t.at)));
            }
        }
    }
    pairs.sort_unstable();
    pairs
}

/// How two segments meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Meeting {
    Apart,
    /// Their interiors cross at one point.
    Cross(Coord<f64>),
    /// They share exactly one point, an end of at least one of them.
    Touch(Coord<f64>),
    /// They run along each other over more than a point.
    Along(Coord<f64>, Coord<f64>),
}

pub(crate) fn orient(p: Coord<f64>, q: Coord<f64>, r: Coord<f64>) -> Orientation {
    RobustKernel::orient2d(p, q, r)
}

/// True where `p`, known to lie on the line of `a`–`b`, lies between them.
fn between(a: Coord<f64>, b: Coord<f64>, p: Coord<f64>) -> bool {
    (a.x.min(b.x)..=a.x.max(b.x)).contains(&p.x) && (a.y.min(b.y)..=a.y.max(b.y)).contains(&p.y)
}

pub(crate) fn on_segment(a: Coord<f64>, b: Coord<f64>, p: Coord<f64>) -> bool {
    between(a, b, p) && orient(a, b, p) == Orientation::Collinear
}

pub(crate) fn meeting(s: &Segment, t: &Segment) -> Meeting {
    meeting_of(s.a, s.b, t.a, t.b)
}

/// How the segment from `a` to `b` meets that from `c` to `d`.
pub(crate) fn meeting_of(a: Coord<f64>, b: Coord<f64>, c: Coord<f64>, d: Coord<f64>) -> Meeting {
    let (abc, abd) = (orient(a, b, c), orient(a, b, d));
    let (cda, cdb) = (orient(c, d, a), orient(c, d, b));
    use Orientation::Collinear;
    if abc == Collinear && abd == Collinear {
        return along(a, b, c, d);
    }
    if abc == Collinear && between(a, b, c) {
        return Meeting::Touch(c);
    }
    if abd == Collinear && between(a, b, d) {
        return Meeting::Touch(d);
    }
    if cda == Collinear && between(c, d, a) {
        return Meeting::Touch(a);
    }
    if cdb == Collinear && between(c, d, b) {
        return Meeting::Touch(b);
    }
    if abc != abd && cda != cdb && ![abc, abd, cda, cdb].contains(&Collinear) {
        return Meeting::Cross(crossing(a, b, c, d));
    }
    Meeting::Apart
}

/// Collinear segments: apart, one common point, or a stretch.
fn along(a: Coord<f64>, b: Coord<f64>, c: Coord<f64>, d: Coord<f64>) -> Meeting {
    let mut common: Vec<Coord<f64>> = Vec::with_capacity(4);
    for (p, q, r) in [(a, b, c), (a, b, d), (c, d, a), (c, d, b)] {
        if between(p, q, r) && !common.contains(&r) {
            common.push(r);
        }
    }
    match common.as_slice() {
        [] => Meeting::Apart,
        [p] => Meeting::Touch(*p),
        [p, q, ..] => Meeting::Along(*p, *q),
    }
}

/// Where two lines that are known to cross do so; computed near `a`, so that the numbers stay small.
pub(crate) fn crossing(a: Coord<f64>, b: Coord<f64>, c: Coord<f64>, d: Coord<f64>) -> Coord<f64> {
    let (r, s, q) = (b - a, d - c, c - a);
    let denominator = r.x * s.y - r.y * s.x;
    let t = ((q.x * s.y - q.y * s.x) / denominator).clamp(0.0, 1.0);
    if t.is_finite() { Coord { x: a.x + t * r.x, y: a.y + t * r.y } } else { a }
}

/// Where a point lies with respect to a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Inside,
    Boundary,
    Outside,
}

/// Point in ring by crossings of a ray to the east, exact; ring direction does not matter.
pub(crate) fn side_of_ring<'a>(p: Coord<f64>, edges: impl Iterator<Item = (&'a Coord<f64>, &'a Coord<f64>)>) -> Side {
    let mut inside = false;
    for (&a, &b) in edges {
        if a == b {
            continue;
        }
        if on_segment(a, b, p) {
            return Side::Boundary;
        }
        // Half-open in y: a vertex on the ray counts once.
        if (a.y > p.y) != (b.y > p.y) {
            let upward = b.y > a.y;
            let left = orient(a, b, p) == Orientation::CounterClockwise;
            if upward == left {
                inside = !inside;
            }
        }
    }
    if inside { Side::Inside } else { Side::Outside }
}

/// [`side_of_ring`] over a line string.
pub(crate) fn side_of_line(p: Coord<f64>, ring: &LineString<f64>) -> Side {
    side_of_ring(p, ring.0.windows(2).map(|w| (&w[0], &w[1])))
}

/// Questions to one ring before an index of it is worth its making.
const ASKED_BEFORE_INDEX: u32 = 32;
/// Edges looked at before the rest is given up: two honest rings need a few per vertex, rings made for it the square.
const MAX_RAY_EDGES: u64 = 300_000_000;

/// [`side_of_line`] for many points and rings: rings asked often get an index, and the work has an end.
#[derive(Default)]
pub(crate) struct Rays<'a> {
    /// By the ring's address: how often it was asked, and its index.
    rings: HashMap<*const LineString<f64>, (u32, Option<RTree<Segment>>)>,
    edges: u64,
    _borrowed: PhantomData<&'a LineString<f64>>,
}

impl<'a> Rays<'a> {
    /// Where the point lies; the boundary, once [`Rays::exhausted`].
    pub(crate) fn side(&mut self, p: Coord<f64>, ring: &'a LineString<f64>) -> Side {
        if self.exhausted() {
            return Side::Boundary;
        }
        let (asked, tree) = self.rings.entry(std::ptr::from_ref(ring)).or_default();
        *asked += 1;
        if *asked > ASKED_BEFORE_INDEX && tree.is_none() {
            *tree = Some(index(&edges_of(ring)));
        }
        match tree {
            None => {
                self.edges += ring.0.len() as u64;
                side_of_line(p, ring)
            }
            Some(tree) => {
                let ray = AABB::from_corners([p.x, p.y], [f64::MAX, p.y]);
                let edges = &mut self.edges;
                side_of_ring(
                    p,
                    tree.locate_in_envelope_intersecting(&ray).map(|s| {
                        *edges += 1;
                        (&s.a, &s.b)
                    }),
                )
            }
        }
    }

    /// True where the answers since are no answers.
    pub(crate) fn exhausted(&self) -> bool {
        self.edges > MAX_RAY_EDGES
    }
}

fn edges_of(ring: &LineString<f64>) -> Vec<Segment> {
    let edge = |(order, w): (usize, &[Coord<f64>])| Segment {
        a: w[0],
        b: w[1],
        part: 0,
        ring: 0,
        vertex: order,
        order,
        count: 0,
    };
    ring.0.windows(2).enumerate().filter(|(_, w)| w[0] != w[1]).map(edge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(ax: f64, ay: f64, bx: f64, by: f64) -> Segment {
        Segment {
            a: Coord { x: ax, y: ay },
            b: Coord { x: bx, y: by },
            part: 0,
            ring: 0,
            vertex: 0,
            order: 0,
            count: 1,
        }
    }

    #[test]
    fn meetings_by_hand() {
        let at = |x, y| Coord { x, y };
        let s = segment(0., 0., 4., 0.);
        for (other, expected) in [
            (segment(1., -1., 1., 1.), Meeting::Cross(at(1., 0.))),
            (segment(1., 0., 1., 1.), Meeting::Touch(at(1., 0.))),
            (segment(4., 0., 5., 1.), Meeting::Touch(at(4., 0.))),
            (segment(4., 0., 8., 0.), Meeting::Touch(at(4., 0.))),
            (segment(2., 0., 8., 0.), Meeting::Along(at(2., 0.), at(4., 0.))),
            (segment(5., 0., 8., 0.), Meeting::Apart),
            (segment(0., 1., 4., 1.), Meeting::Apart),
            (segment(6., -1., 6., 1.), Meeting::Apart),
        ] {
            assert_eq!(meeting(&s, &other), expected, "{other:?}");
        }
    }

    #[test]
    fn sides_of_a_concave_ring() {
        let ring: LineString<f64> = vec![(0., 0.), (4., 0.), (4., 4.), (2., 2.), (0., 4.), (0., 0.)].into();
        for (x, y, side) in [
            (1., 1., Side::Inside),
            (2., 2., Side::Boundary),
            (2., 3., Side::Outside),
            (0., 0., Side::Boundary),
            (-1., 0., Side::Outside),
            (3., 2., Side::Inside),
            (5., 4., Side::Outside),
        ] {
            assert_eq!(side_of_line(Coord { x, y }, &ring), side, "{x} {y}");
        }
    }
}
