//! OGC validity with the place of every fault: part, ring, vertex, coordinate.
//!
//! The verdict is that of `ST_IsValid`; the tests hold it against the JTS cases and PostGIS. Never: a repair.

use std::collections::{HashMap, HashSet};

use geo::{BoundingRect, Coord, Intersects, LineString, MultiPolygon, Polygon};

use super::segments::{self, Meeting, Rays, Segment, Side};
use crate::domain::{Finding, Place, Severity};

/// Vertices a feature may have (reliability.md “Limits”).
pub const MAX_VERTICES: usize = 200_000;
/// Rings a feature may have.
pub const MAX_RINGS: usize = 1_000;
/// Findings told per feature; more are counted in one more sentence.
const MAX_TOLD: usize = 20;
/// Pairs of edges compared before a feature is called too complex: an honest boundary needs a few per vertex, an
/// adversarial star the square of them.
const MAX_PAIRS: usize = 20_000_000;

/// Every fault of the geometry that makes it invalid (severity error), and remarks (info) that do not. `row` goes into
/// each finding's place.
pub fn check(geometry: &MultiPolygon<f64>, row: Option<u64>) -> Vec<Finding> {
    let mut faults = Faults { row, list: Vec::new(), untold: 0, seen: HashSet::new() };
    if geometry.0.is_empty() || geometry.iter().all(|p| p.exterior().0.is_empty()) {
        faults.error("geometry_empty", Spot::WHOLE, "图形为空");
        return faults.list;
    }
    if too_large(geometry, &mut faults) {
        return faults.list;
    }
    check_rings(geometry, &mut faults);
    // What follows needs finite, closed rings with an area.
    if !faults.has_errors() {
        check_meetings(geometry, &mut faults);
    }
    faults.finish()
}

/// True where [`check`] finds no error.
pub fn is_valid(geometry: &MultiPolygon<f64>) -> bool {
    !check(geometry, None).iter().any(|f| f.severity == Severity::Error)
}

/// Rings that run against RFC 7946 (exterior counter-clockwise, holes clockwise): a remark, since readers must accept it.
pub fn check_orientation(geometry: &MultiPolygon<f64>, row: Option<u64>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (part, polygon) in (1..).zip(geometry) {
        for (ring, line) in (1..).zip(rings(polygon)) {
            let clockwise = super::area::signed_ring_area(line) < 0.0;
            if clockwise == (ring == 1) {
                let should = if ring == 1 { "逆时针" } else { "顺时针" };
                findings.push(Finding::info(
                    "ring_orientation",
                    Place { row, ..Place::whole() }.part(part).ring(ring),
                    format!("第 {part} 部分第 {ring} 环的方向不是 RFC 7946 规定的{should}；按原样保存，输出时转正"),
                ));
            }
        }
    }
    findings
}

/// A place inside one feature, from 0; the finding counts from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spot {
    part: Option<usize>,
    ring: Option<usize>,
    vertex: Option<usize>,
    at: Option<Coord<f64>>,
}

impl Spot {
    const WHOLE: Spot = Spot { part: None, ring: None, vertex: None, at: None };

    fn ring(part: usize, ring: usize) -> Self {
        Spot { part: Some(part), ring: Some(ring), ..Self::WHOLE }
    }

    fn vertex(part: usize, ring: usize, vertex: usize, at: Coord<f64>) -> Self {
        Spot { part: Some(part), ring: Some(ring), vertex: Some(vertex), at: Some(at) }
    }

    fn segment(s: &Segment, at: Coord<f64>) -> Self {
        Self::vertex(s.part, s.ring, s.vertex, at)
    }

    fn place(self, row: Option<u64>) -> Place {
        let count = |n: Option<usize>| n.and_then(|n| u32::try_from(n + 1).ok());
        Place {
            row,
            field: None,
            part: count(self.part),
            ring: count(self.ring),
            vertex: count(self.vertex),
            coordinate: self.at.map(|c| (c.x, c.y)),
        }
    }
}

struct Faults {
    row: Option<u64>,
    list: Vec<Finding>,
    untold: usize,
    /// One fault of a kind per coordinate: two rings that meet in a vertex meet with four pairs of edges.
    seen: HashSet<(&'static str, u64, u64)>,
}

impl Faults {
    fn error(&mut self, code: &'static str, spot: Spot, what: impl Into<String>) {
        self.push(Severity::Error, code, spot, what.into());
    }

    fn push(&mut self, severity: Severity, code: &'static str, spot: Spot, what: String) {
        if let Some(at) = spot.at
            && !self.seen.insert((code, at.x.to_bits(), at.y.to_bits()))
        {
            return;
        }
        if self.list.len() >= MAX_TOLD {
            self.untold += 1;
            return;
        }
        let row = self.row.map(|row| format!("第 {row} 条记录")).unwrap_or_default();
        let place = spot.place(self.row);
        let part = place.part.map(|n| format!("第 {n} 部分")).unwrap_or_default();
        let ring = place.ring.map(|n| format!("第 {n} 环")).unwrap_or_default();
        let vertex = place.vertex.map(|n| format!("第 {n} 点")).unwrap_or_default();
        let at = place.coordinate.map(|(x, y)| format!("（{x:.8}，{y:.8}）")).unwrap_or_default();
        self.list.push(Finding::new(severity, code, place, format!("{row}{part}{ring}{vertex}{at}{what}")));
    }

    fn has_errors(&self) -> bool {
        self.untold > 0 || self.list.iter().any(|f| f.severity == Severity::Error)
    }

    fn full(&self) -> bool {
        self.list.len() >= MAX_TOLD && self.untold > 0
    }

    fn finish(mut self) -> Vec<Finding> {
        if self.untold > 0 {
            let row = self.row.map(|row| format!("第 {row} 条记录")).unwrap_or_default();
            self.list.push(Finding::error(
                "more_geometry_faults",
                Place { row: self.row, ..Place::whole() },
                format!("{row}的图形问题不止这些，只列出前 {MAX_TOLD} 个"),
            ));
        }
        self.list
    }
}

fn rings(polygon: &Polygon<f64>) -> impl Iterator<Item = &LineString<f64>> {
    std::iter::once(polygon.exterior()).chain(polygon.interiors())
}

fn too_large(geometry: &MultiPolygon<f64>, faults: &mut Faults) -> bool {
    let ring_count: usize = geometry.iter().map(|p| 1 + p.interiors().len()).sum();
    let vertex_count: usize = geometry.iter().flat_map(rings).map(|ring| ring.0.len()).sum();
    if vertex_count > MAX_VERTICES {
        faults.error("too_many_vertices", Spot::WHOLE, format!("有 {vertex_count} 个点，超过上限 {MAX_VERTICES}"));
    }
    if ring_count > MAX_RINGS {
        faults.error("too_many_rings", Spot::WHOLE, format!("有 {ring_count} 个环，超过上限 {MAX_RINGS}"));
    }
    faults.has_errors()
}

/// Each ring by itself: finite, closed, at least three distinct points; repeated points are remarked.
fn check_rings(geometry: &MultiPolygon<f64>, faults: &mut Faults) {
    for (part, polygon) in geometry.iter().enumerate() {
        for (ring, line) in rings(polygon).enumerate() {
            if let Some((vertex, c)) = line.0.iter().enumerate().find(|(_, c)| !(c.x.is_finite() && c.y.is_finite())) {
                let spot = Spot { vertex: Some(vertex), ..Spot::ring(part, ring) };
                faults.error("coordinate_not_finite", spot, format!("的坐标不是有限数（{}，{}）", c.x, c.y));
                continue;
            }
            if line.0.is_empty() {
                faults.error("ring_too_few_points", Spot::ring(part, ring), "没有点");
                continue;
            }
            let last = line.0.len() - 1;
            if line.0[0] != line.0[last] {
                faults.error(
                    "ring_not_closed",
                    Spot::vertex(part, ring, last, line.0[last]),
                    "不是环的起点，环没有闭合",
                );
                continue;
            }
            let distinct = distinct_up_to_three(line);
            if line.0.len() < 4 || distinct < 3 {
                faults.error(
                    "ring_too_few_points",
                    Spot::ring(part, ring),
                    format!("只有 {distinct} 个不同的点，至少需要 3 个"),
                );
                continue;
            }
            if let Some((vertex, pair)) = line.0.windows(2).enumerate().find(|(_, w)| w[0] == w[1]) {
                let repeated = line.0.windows(2).filter(|w| w[0] == w[1]).count();
                faults.push(
                    Severity::Info,
                    "repeated_point",
                    Spot::vertex(part, ring, vertex + 1, pair[1]),
                    format!("与前一点重复（本环共 {repeated} 处）"),
                );
            }
        }
    }
}

/// The number of different points, counted to three.
fn distinct_up_to_three(line: &LineString<f64>) -> usize {
    let mut found: Vec<Coord<f64>> = Vec::with_capacity(3);
    for c in line.coords() {
        if !found.contains(c) {
            found.push(*c);
            if found.len() == 3 {
                break;
            }
        }
    }
    found.len()
}

/// Rings against themselves and each other: crossings, touches, nesting.
fn check_meetings(geometry: &MultiPolygon<f64>, faults: &mut Faults) {
    let all = segments::segments(geometry);
    let mut touches = Touches::default();
    let mut pairs = 0_usize;
    segments::visit_close_pairs(&all, |s, t| {
        pairs += 1;
        if !follow_without_spike(s, t) {
            judge_pair(s, t, faults, &mut touches);
        }
        !faults.full() && pairs <= MAX_PAIRS
    });
    if faults.full() {
        return;
    }
    if pairs > MAX_PAIRS {
        faults.error("geometry_too_complex", Spot::WHOLE, "图形过于复杂，无法在限定的计算量内检查");
        return;
    }
    if !faults.has_errors() {
        check_nesting(geometry, &touches, faults);
        check_connected(geometry, &touches, faults);
    }
}

type RingKey = (usize, usize);

/// Points where rings touch without crossing.
#[derive(Default)]
struct Touches {
    /// Touch point → rings through it.
    points: HashMap<(u64, u64), HashSet<RingKey>>,
    /// Ring pairs that touch somewhere.
    rings: HashSet<(RingKey, RingKey)>,
}

impl Touches {
    fn add(&mut self, s: &Segment, t: &Segment, at: Coord<f64>) {
        let (a, b) = ((s.part, s.ring), (t.part, t.ring));
        // −0.0 and 0.0 are one place.
        let key = ((at.x + 0.0).to_bits(), (at.y + 0.0).to_bits());
        self.points.entry(key).or_default().extend([a, b]);
        self.rings.insert((a.min(b), a.max(b)));
    }

    fn touch(&self, a: RingKey, b: RingKey) -> bool {
        self.rings.contains(&(a.min(b), a.max(b)))
    }
}

/// Edges that follow each other and do not lie on one line meet in their common point and nowhere else: nine of ten pairs are
/// such, and one orientation settles them where the general case takes four.
fn follow_without_spike(s: &Segment, t: &Segment) -> bool {
    if !s.adjacent(t) || s.count <= 3 {
        return false;
    }
    let (first, last) = if s.b == t.a { (s, t) } else { (t, s) };
    first.b == last.a && segments::orient(first.a, first.b, last.b) != geo::algorithm::kernels::Orientation::Collinear
}

fn judge_pair(s: &Segment, t: &Segment, faults: &mut Faults, touches: &mut Touches) {
    let other = |t: &Segment| format!("第 {} 部分第 {} 环第 {} 点起的边", t.part + 1, t.ring + 1, t.vertex + 1);
    match segments::meeting(s, t) {
        Meeting::Apart => {}
        Meeting::Touch(_) if s.adjacent(t) && s.count > 2 => {}
        Meeting::Touch(at) if s.same_ring(t) => {
            faults.error("ring_self_touch", Spot::segment(s, at), format!("起的边与{}相接，环不能接触自身", other(t)));
        }
        Meeting::Touch(at) => touches.add(s, t, at),
        Meeting::Along(at, _) if s.adjacent(t) => {
            faults.error("spike", Spot::segment(s, at), "起的边与相邻的边重合，形成尖刺");
        }
        Meeting::Cross(at) | Meeting::Along(at, _) if s.same_ring(t) => {
            faults.error("ring_self_intersection", Spot::segment(s, at), format!("起的边与{}相交，环自相交", other(t)));
        }
        Meeting::Cross(at) if s.part == t.part => {
            faults.error(
                "rings_cross",
                Spot::segment(s, at),
                format!("起的边与{}相交，同一部分的环不能相交", other(t)),
            );
        }
        Meeting::Along(at, _) if s.part == t.part => {
            faults.error(
                "rings_cross",
                Spot::segment(s, at),
                format!("起的边与{}重合，同一部分的环不能共边", other(t)),
            );
        }
        Meeting::Cross(at) => {
            faults.error("parts_overlap", Spot::segment(s, at), format!("起的边与{}相交，不同部分不能重叠", other(t)));
        }
        Meeting::Along(at, _) => {
            faults.error("parts_overlap", Spot::segment(s, at), format!("起的边与{}重合，不同部分不能共边", other(t)));
        }
    }
}

/// Where ring `inner` lies with respect to ring `outer`, given that they do not cross: the first vertex or edge middle
/// that is not on `outer` decides; if they only touch, all are asked, since a ring may leave through a shared vertex.
fn sides<'a>(
    rays: &mut Rays<'a>,
    inner: &LineString<f64>,
    outer: &'a LineString<f64>,
    may_touch: bool,
) -> (bool, bool, Option<usize>) {
    let (mut inside, mut outside, mut witness) = (false, false, None);
    for (vertex, edge) in inner.0.windows(2).enumerate() {
        let middle = Coord { x: (edge[0].x + edge[1].x) / 2.0, y: (edge[0].y + edge[1].y) / 2.0 };
        for p in [edge[0], middle] {
            match rays.side(p, outer) {
                Side::Inside => inside = true,
                Side::Outside => {
                    outside = true;
                    witness = witness.or(Some(vertex));
                }
                Side::Boundary => continue,
            }
            if !may_touch || (inside && outside) {
                return (inside, outside, witness);
            }
        }
    }
    (inside, outside, witness)
}

fn boxes_meet(a: &LineString<f64>, b: &LineString<f64>) -> bool {
    match (a.bounding_rect(), b.bounding_rect()) {
        (Some(a), Some(b)) => a.intersects(&b),
        _ => false,
    }
}

/// Holes inside their shell and outside each other; parts outside each other.
fn check_nesting(geometry: &MultiPolygon<f64>, touches: &Touches, faults: &mut Faults) {
    let mut rays = Rays::default();
    for (part, polygon) in geometry.iter().enumerate() {
        for (i, hole) in polygon.interiors().iter().enumerate() {
            let (_, outside, witness) =
                sides(&mut rays, hole, polygon.exterior(), touches.touch((part, 0), (part, i + 1)));
            if outside {
                let vertex = witness.unwrap_or(0);
                faults.error(
                    "hole_outside_shell",
                    Spot::vertex(part, i + 1, vertex, hole.0[vertex]),
                    "在外环之外，内环必须在外环之内",
                );
            }
            for (j, other) in polygon.interiors().iter().enumerate() {
                if i != j && boxes_meet(hole, other) {
                    let (inside, ..) = sides(&mut rays, hole, other, touches.touch((part, i + 1), (part, j + 1)));
                    if inside {
                        faults.error(
                            "hole_in_hole",
                            Spot::vertex(part, i + 1, 0, hole.0[0]),
                            format!("所在的内环位于第 {} 环（另一个内环）之内", j + 2),
                        );
                    }
                }
            }
        }
    }
    for (i, a) in geometry.iter().enumerate() {
        for (j, b) in geometry.iter().enumerate() {
            if i != j && boxes_meet(a.exterior(), b.exterior()) && lies_in_part(&mut rays, (a, i), (b, j), touches) {
                faults.error(
                    "parts_overlap",
                    Spot::vertex(i, 0, 0, a.exterior().0[0]),
                    format!("所在的部分位于第 {} 部分之内，不同部分不能重叠", j + 1),
                );
            }
        }
    }
    if rays.exhausted() {
        faults.error("geometry_too_complex", Spot::WHOLE, "各环相接太多，无法在限定的计算量内检查");
    }
}

/// True where part `a` (rings do not cross) lies in the land of part `b`: inside its shell and not inside a hole.
fn lies_in_part<'a>(
    rays: &mut Rays<'a>,
    (a, i): (&Polygon<f64>, usize),
    (b, j): (&'a Polygon<f64>, usize),
    touches: &Touches,
) -> bool {
    let (inside, ..) = sides(rays, a.exterior(), b.exterior(), touches.touch((i, 0), (j, 0)));
    inside
        && !b.interiors().iter().enumerate().any(|(h, hole)| {
            let (in_hole, out_of_hole, _) = sides(rays, a.exterior(), hole, touches.touch((i, 0), (j, h + 1)));
            in_hole && !out_of_hole
        })
}

/// Rings of one part that touch in a closed chain cut its interior in two.
fn check_connected(geometry: &MultiPolygon<f64>, touches: &Touches, faults: &mut Faults) {
    for part in 0..geometry.0.len() {
        let mut group: HashMap<RingKey, RingKey> = HashMap::new();
        fn root(group: &mut HashMap<RingKey, RingKey>, mut ring: RingKey) -> RingKey {
            while let Some(&up) = group.get(&ring).filter(|&&up| up != ring) {
                ring = up;
            }
            ring
        }
        let mut points: Vec<_> = touches.points.iter().collect();
        points.sort_unstable_by_key(|(point, _)| **point);
        for (point, through) in points {
            let mut here: Vec<RingKey> = through.iter().copied().filter(|(p, _)| *p == part).collect();
            here.sort_unstable();
            for pair in here.windows(2) {
                let (a, b) = (root(&mut group, pair[0]), root(&mut group, pair[1]));
                if a == b {
                    let at = Coord { x: f64::from_bits(point.0), y: f64::from_bits(point.1) };
                    let spot = Spot { at: Some(at), ..Spot::ring(part, pair[1].1) };
                    faults.error("interior_disconnected", spot, "与其他环首尾相接，把内部隔成了不相连的几块");
                } else {
                    group.insert(b, a);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "validity_tests.rs"]
mod tests;
