//! What lies on a side of a block: the nearest point of a candidate as seen from the edges that face that side.
//!
//! An edge of a block's outer borders *faces* a side where its outward normal is within 45° of the side's bearing. A candidate *lies on* a
//! side where one of its points, nearest to such an edge, is seen from there at a bearing within 45° of the side's, outside the block. Where
//! the two touch along the edge or at a point within it, the edge's own normal stands for the bearing; where they touch at the edge's end
//! alone, the way that the candidate goes from there does, so that a neighbour in the east is not in the south for its corner. A road along
//! two sides lies on both, and what a notch of the block looks at counts too. A line that runs over the border there and not along it is
//! seen as *crossing*: it touches the side and does not bound it. Never: whether something else stands between.

use geo::{Coord, LineString, MultiPolygon};
use rstar::{AABB, Envelope, RTree, RTreeObject};

use super::metres::{Plane, edge_length};
use super::overlap::{Shape, Work};
use crate::domain::four_extents::Direction;

/// Up to this the two touch: a shared border comes from two surveys.
pub const TOUCHING_M: f64 = 0.05;

/// A line runs along an edge where it turns from it by 15° at most …
const ALONG_COS: f64 = 0.965_925_826_289_068_3;
/// … within this on either side of it: two surveys of one road, one by its middle, one by its edge, …
const BESIDE_M: f64 = 5.0;
/// … for this long. (A straight line that crosses at 15° is beside the edge for 37 m.)
const LEAST_BESIDE_M: f64 = 40.0;
/// A border that both have (to twice the touch) needs less: a straight line that crosses at 15° shares 0.7 m.
const LEAST_COMMON_M: f64 = 1.0;
/// So far along a line that touches an edge it is asked whether the line goes into the land.
const STEP_IN_M: f64 = 1.0;

/// How a candidate lies on a side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sight {
    /// From the block's border to the candidate, m; 0 where they touch.
    pub distance_m: f64,
    /// From north by east, degrees, as seen from the block; where they touch, of the edge's outward normal.
    pub bearing_deg: f64,
    /// The candidate's nearest point.
    pub point: Coord<f64>,
    /// A line touches the side and runs over the border, or ends on it: nowhere along it. Never of land.
    pub crossing: bool,
}

/// The bearing of a side: 90, 180, 270, 0.
pub fn bearing_of(side: Direction) -> f64 {
    match side {
        Direction::East => 90.0,
        Direction::South => 180.0,
        Direction::West => 270.0,
        Direction::North => 0.0,
    }
}

/// 北, 东北, 东, 东南, 南, 西南, 西, 西北.
pub fn octant(bearing_deg: f64) -> &'static str {
    const WORDS: [&str; 8] = ["北", "东北", "东", "东南", "南", "西南", "西", "西北"];
    WORDS[(bearing_deg.rem_euclid(360.0) / 45.0).round() as usize % 8]
}

/// A bearing to a tenth of a degree, below 360: a hair west of north is 0.0.
pub fn rounded(bearing_deg: f64) -> f64 {
    (bearing_deg * 10.0).round().rem_euclid(3_600.0) / 10.0
}

/// Degrees between two bearings, 0 to 180.
fn apart(a: f64, b: f64) -> f64 {
    let turn = (a - b).rem_euclid(360.0);
    turn.min(360.0 - turn)
}

/// An edge of the block, in metres of its plane.
#[derive(Debug, Clone, Copy)]
struct Edge {
    from: Coord<f64>,
    to: Coord<f64>,
    /// Bearing of the outward normal.
    outward: f64,
}

impl Edge {
    /// The bearing of a segment that touches this edge at `p`.
    fn contact(&self, (a, b): (Coord<f64>, Coord<f64>), p: Coord<f64>) -> f64 {
        let way = self.to - self.from;
        let length = way.x.hypot(way.y);
        let along = |c: Coord<f64>| ((c - self.from).x * way.x + (c - self.from).y * way.y) / length;
        let across = |c: Coord<f64>| ((c - self.from).y * way.x - (c - self.from).x * way.y) / length;
        if (TOUCHING_M..=length - TOUCHING_M).contains(&along(p)) {
            return self.outward;
        }
        // A stretch of the segment beside the edge, both its ends close to it.
        let ((from, far_from), (to, far_to)) = ((along(a), across(a)), (along(b), across(b)));
        let (low, high) = (from.min(to).max(0.0), from.max(to).min(length));
        let at = |t: f64| far_from + (far_to - far_from) * ((t - from) / (to - from));
        if high - low > TOUCHING_M && at(low).abs().max(at(high).abs()) <= 2.0 * TOUCHING_M {
            return self.outward;
        }
        let middle = (a + b) / 2.0 - p;
        if middle.x.hypot(middle.y) <= TOUCHING_M { self.outward } else { bearing(middle.x, middle.y) }
    }

    /// Metres of this edge that a segment runs along, no farther off than `within`; 0 where it turns away from it.
    fn beside(&self, (a, b): (Coord<f64>, Coord<f64>), within: f64) -> f64 {
        let way = self.to - self.from;
        let (length, own) = (way.x.hypot(way.y), (b - a).x.hypot((b - a).y));
        let along = |c: Coord<f64>| ((c - self.from).x * way.x + (c - self.from).y * way.y) / length;
        let across = |c: Coord<f64>| ((c - self.from).y * way.x - (c - self.from).x * way.y) / length;
        let run = (along(b) - along(a)).abs();
        if run < own * ALONG_COS {
            return 0.0;
        }
        let whole = clipped((0.0, 1.0), (along(a), along(b)), (0.0, length));
        let (low, high) = clipped(whole, (across(a), across(b)), (-within, within));
        (high - low).max(0.0) * run
    }

    /// Whether a point of the edge is not one of its ends.
    fn holds(&self, p: Coord<f64>) -> bool {
        let from_end = |end: Coord<f64>| (p - end).x.hypot((p - end).y) > TOUCHING_M;
        from_end(self.from) && from_end(self.to)
    }
}

/// The part of a stretch of a segment (0 to 1 along it) on which what goes from `first` to `last` stays within the bounds.
fn clipped((low, high): (f64, f64), (first, last): (f64, f64), (least, most): (f64, f64)) -> (f64, f64) {
    if first == last {
        return if (least..=most).contains(&first) { (low, high) } else { (0.0, 0.0) };
    }
    let at = |value: f64| (value - first) / (last - first);
    let (enters, leaves) = (at(least).min(at(most)), at(least).max(at(most)));
    (low.max(enters), high.min(leaves))
}

impl RTreeObject for Edge {
    type Envelope = AABB<[f64; 2]>;

    fn envelope(&self) -> Self::Envelope {
        AABB::from_corners([self.from.x, self.from.y], [self.to.x, self.to.y])
    }
}

/// A block made ready to be looked out of.
pub struct Lookout<'a> {
    shape: Shape<'a>,
    plane: Plane,
    /// The block's box, m.
    bounds: AABB<[f64; 2]>,
    sides: [RTree<Edge>; 4],
    reach_m: f64,
    steps_left: u64,
}

impl<'a> Lookout<'a> {
    /// `None` for an empty block. Nothing beyond `reach_m` is seen. `steps`: edges and pairs of edges that may be looked at.
    pub fn of(block: &'a MultiPolygon<f64>, reach_m: f64, steps: u64) -> Option<Self> {
        let shape = Shape::of_multi_polygon(block);
        let [west, south, east, north] = shape.bbox()?;
        let plane = Plane::around(Coord { x: (west + east) / 2.0, y: (south + north) / 2.0 });
        let bounds = around((plane.to(Coord { x: west, y: south }), plane.to(Coord { x: east, y: north })), 0.0);
        let mut sides: [Vec<Edge>; 4] = Default::default();
        for part in block {
            let ring = part.exterior();
            // The land lies on the left of a ring that turns left.
            let left = turn(ring) > 0.0;
            for edge in ring.0.windows(2).filter(|edge| edge[0] != edge[1]) {
                let (from, to) = (plane.to(edge[0]), plane.to(edge[1]));
                let (x, y) = (to.x - from.x, to.y - from.y);
                let (x, y) = if left { (y, -x) } else { (-y, x) };
                let outward = bearing(x, y);
                for (at, side) in Direction::ALL.into_iter().enumerate() {
                    if apart(outward, bearing_of(side)) <= 45.0 {
                        sides[at].push(Edge { from, to, outward });
                    }
                }
            }
        }
        Some(Self { shape, plane, bounds, sides: sides.map(RTree::bulk_load), reach_m, steps_left: steps })
    }

    /// Whether every look went to its end; false where the bound on work was met and something may be missing.
    pub fn is_complete(&self) -> bool {
        self.steps_left > 0
    }

    /// What is left of the bound on work, for the next block.
    pub fn steps_left(&self) -> u64 {
        self.steps_left
    }

    /// How a candidate (rings, lines or a point, in degrees) lies on each side: east, south, west, north; and whether it crosses there.
    pub fn look<'l>(&mut self, lines: impl Iterator<Item = &'l [Coord<f64>]> + Clone) -> [Option<Sight>; 4] {
        self.look_around(lines, true)
    }

    /// The same of land, which bounds what it lies over: whether it crosses is not asked.
    pub fn look_at_land<'l>(&mut self, rings: impl Iterator<Item = &'l [Coord<f64>]> + Clone) -> [Option<Sight>; 4] {
        self.look_around(rings, false)
    }

    fn look_around<'l>(
        &mut self,
        lines: impl Iterator<Item = &'l [Coord<f64>]> + Clone,
        may_cross: bool,
    ) -> [Option<Sight>; 4] {
        let mut seen = [None; 4];
        if self.steps_left == 0 {
            return seen;
        }
        for (at, side) in Direction::ALL.into_iter().enumerate() {
            seen[at] = self.look_to(at, side, lines.clone(), may_cross);
        }
        seen
    }

    fn look_to<'l>(
        &mut self,
        at: usize,
        side: Direction,
        lines: impl Iterator<Item = &'l [Coord<f64>]> + Clone,
        may_cross: bool,
    ) -> Option<Sight> {
        let mut best: Option<(f64, Coord<f64>, Coord<f64>, f64)> = None;
        let mut reach = self.reach_m;
        for line in lines.clone() {
            let Some(&first) = line.first() else { continue };
            // A point is an edge without length.
            let single = [first, first];
            let line = if line.len() == 1 { &single[..] } else { line };
            for edge in line.windows(2) {
                let (a, b) = (self.plane.to(edge[0]), self.plane.to(edge[1]));
                self.each_near(at, (a, b), reach, |lookout, own| {
                    let (p, q) = closest((own.from, own.to), (a, b));
                    let distance = (q.x - p.x).hypot(q.y - p.y);
                    if distance > reach || best.is_some_and(|(d, ..)| distance >= d) {
                        return;
                    }
                    let seen_at = match distance <= TOUCHING_M {
                        true => own.contact((a, b), p),
                        false => bearing(q.x - p.x, q.y - p.y),
                    };
                    if apart(seen_at, bearing_of(side)) <= 45.0 && lookout.is_outside(q, distance) {
                        best = Some((distance, p, q, seen_at));
                        reach = distance;
                    }
                });
            }
        }
        let (distance, p, q, bearing_deg) = best?;
        let crossing = may_cross && distance <= TOUCHING_M && self.runs_over(at, lines);
        let (p, q) = (self.plane.from(p), self.plane.from(q));
        let distance_m = if distance <= TOUCHING_M { 0.0 } else { edge_length(p, q) };
        Some(Sight { distance_m, bearing_deg, point: q, crossing })
    }

    /// Looks at the block's edges on a side that may be within so many metres of a segment, as far as the bound on work allows.
    fn each_near(
        &mut self,
        at: usize,
        segment: (Coord<f64>, Coord<f64>),
        within: f64,
        mut look: impl FnMut(&Self, &Edge),
    ) {
        let near = around(segment, within);
        if !near.intersects(&self.bounds) {
            return;
        }
        // (What finds no edge is a search all the same.)
        let mut left = self.steps_left.saturating_sub(1);
        for own in self.sides[at].locate_in_envelope_intersecting(&near) {
            if left == 0 {
                break;
            }
            left -= 1;
            look(self, own);
        }
        self.steps_left = left;
    }

    /// Whether a candidate that touches a side meets it across and runs nowhere along it. A road that follows the border and turns in at
    /// a gate does both: it bounds the block.
    fn runs_over<'l>(&mut self, at: usize, lines: impl Iterator<Item = &'l [Coord<f64>]>) -> bool {
        let (mut common, mut beside, mut over) = (0.0, 0.0, false);
        // (A point runs nowhere: it has no edge.)
        for edge in lines.flat_map(|line| line.windows(2)).filter(|edge| edge[0] != edge[1]) {
            let (a, b) = (self.plane.to(edge[0]), self.plane.to(edge[1]));
            self.each_near(at, (a, b), BESIDE_M, |lookout, own| {
                common += own.beside((a, b), 2.0 * TOUCHING_M);
                beside += own.beside((a, b), BESIDE_M);
                let (p, q) = closest((own.from, own.to), (a, b));
                if (q.x - p.x).hypot(q.y - p.y) <= TOUCHING_M {
                    over = over || own.holds(p) || lookout.goes_in(q, a) || lookout.goes_in(q, b);
                }
            });
        }
        over && common < LEAST_COMMON_M && beside < LEAST_BESIDE_M
    }

    /// Whether the way from a point of the border leads into the land, and not along the border.
    fn goes_in(&self, from: Coord<f64>, to: Coord<f64>) -> bool {
        let length = (to - from).x.hypot((to - from).y);
        if length <= 2.0 * TOUCHING_M {
            return false;
        }
        let step = from + (to - from) * (STEP_IN_M / length).min(1.0);
        let near = around((step, step), 2.0 * TOUCHING_M);
        let is_near = |own: &Edge| {
            let (p, q) = closest((own.from, own.to), (step, step));
            (q.x - p.x).hypot(q.y - p.y) <= 2.0 * TOUCHING_M
        };
        // (Every edge of the outer borders faces one side at least.)
        !self.sides.iter().any(|edges| edges.locate_in_envelope_intersecting(&near).any(is_near))
            && !self.is_outside(step, f64::INFINITY)
    }

    /// A point of the border itself is outside too; what lies deeper in the land than the touch is not.
    fn is_outside(&self, q: Coord<f64>, distance: f64) -> bool {
        distance <= TOUCHING_M || !self.shape.holds(self.plane.from(q), &mut Work::of_one_pair()).unwrap_or(false)
    }
}

/// The box of a segment, so many metres wider.
fn around((a, b): (Coord<f64>, Coord<f64>), metres: f64) -> AABB<[f64; 2]> {
    AABB::from_corners([a.x.min(b.x) - metres, a.y.min(b.y) - metres], [a.x.max(b.x) + metres, a.y.max(b.y) + metres])
}

/// Twice the signed area in square degrees.
fn turn(ring: &LineString<f64>) -> f64 {
    let Some(&origin) = ring.0.first() else { return 0.0 };
    ring.0
        .windows(2)
        .map(|e| (e[0].x - origin.x) * (e[1].y - origin.y) - (e[1].x - origin.x) * (e[0].y - origin.y))
        .sum()
}

fn bearing(east: f64, north: f64) -> f64 {
    east.atan2(north).to_degrees().rem_euclid(360.0)
}

/// The closest points of two segments of a plane: of the first, of the second.
fn closest((a, b): (Coord<f64>, Coord<f64>), (c, d): (Coord<f64>, Coord<f64>)) -> (Coord<f64>, Coord<f64>) {
    let cross = |u: Coord<f64>, v: Coord<f64>| u.x * v.y - u.y * v.x;
    let (u, v) = (b - a, d - c);
    let spread = cross(u, v);
    if spread != 0.0 {
        let (t, s) = (cross(c - a, v) / spread, cross(c - a, u) / spread);
        if (0.0..=1.0).contains(&t) && (0.0..=1.0).contains(&s) {
            let meeting = a + u * t;
            return (meeting, meeting);
        }
    }
    let onto = |p: Coord<f64>, from: Coord<f64>, way: Coord<f64>| {
        let length = way.x * way.x + way.y * way.y;
        let t = if length == 0.0 { 0.0 } else { ((p - from).x * way.x + (p - from).y * way.y) / length };
        from + way * t.clamp(0.0, 1.0)
    };
    let pairs = [(a, onto(a, c, v)), (b, onto(b, c, v)), (onto(c, a, u), c), (onto(d, a, u), d)];
    let length = |(p, q): &(Coord<f64>, Coord<f64>)| (q.x - p.x).hypot(q.y - p.y);
    pairs.into_iter().min_by(|x, y| length(x).total_cmp(&length(y))).unwrap_or((a, c))
}

#[cfg(test)]
mod tests {
    use geo::{Polygon, polygon};
    use geographiclib_rs::{Geodesic, InverseGeodesic};

    use super::*;
    use crate::geometry::project::{FLATTENING, SEMI_MAJOR_AXIS_M};

    /// Thousandths of a degree from 112°E 28°N.
    fn at(x: f64, y: f64) -> Coord<f64> {
        Coord { x: 112.0 + x / 1_000.0, y: 28.0 + y / 1_000.0 }
    }

    fn rectangle(west: f64, south: f64, east: f64, north: f64) -> Polygon<f64> {
        let ring = vec![at(west, south), at(east, south), at(east, north), at(west, north), at(west, south)];
        Polygon::new(ring.into(), Vec::new())
    }

    fn sides(block: &MultiPolygon<f64>, line: &[Coord<f64>]) -> Vec<(&'static str, f64, f64)> {
        let told = sights(block, line).into_iter();
        told.map(|(side, s)| (side, s.distance_m, s.bearing_deg)).collect()
    }

    fn sights(block: &MultiPolygon<f64>, line: &[Coord<f64>]) -> Vec<(&'static str, Sight)> {
        let mut lookout = Lookout::of(block, 3_000.0, 1_000_000).expect("block");
        let seen = lookout.look(std::iter::once(line));
        assert!(lookout.is_complete());
        Direction::ALL.into_iter().zip(seen).filter_map(|(side, sight)| Some((side.as_str(), sight?))).collect()
    }

    /// Sides, distances, and whether the line only crosses there.
    fn crossings(block: &MultiPolygon<f64>, line: &[Coord<f64>]) -> Vec<(&'static str, f64, bool)> {
        sights(block, line).into_iter().map(|(side, s)| (side, s.distance_m, s.crossing)).collect()
    }

    #[test]
    fn a_point_lies_on_the_side_that_looks_at_it() {
        let block = MultiPolygon(vec![rectangle(0., 0., 10., 10.)]);
        let geodesic = Geodesic::new(SEMI_MAJOR_AXIS_M, FLATTENING);
        for (point, side, foot, bearing) in [
            (at(15., 5.), "east", at(10., 5.), 90.0),
            (at(-5., 5.), "west", at(0., 5.), 270.0),
            (at(5., 18.), "north", at(5., 10.), 0.0),
            (at(5., -8.), "south", at(5., 0.), 180.0),
        ] {
            let seen = sides(&block, &[point]);
            assert_eq!(seen.len(), 1, "{seen:?}");
            let expected: f64 = geodesic.inverse(foot.y, foot.x, point.y, point.x);
            assert_eq!(seen[0].0, side);
            assert!((seen[0].1 - expected).abs() < 0.01, "{} for {expected}", seen[0].1);
            assert!(apart(seen[0].2, bearing) < 0.01, "{seen:?}");
        }
        // From the corner, more to the east than to the north.
        let seen = sides(&block, &[at(16., 13.)]);
        assert_eq!(seen.iter().map(|s| s.0).collect::<Vec<_>>(), ["east"]);
        assert!(seen[0].2 > 45.0 && seen[0].2 < 90.0, "{seen:?}");
        // Inside is on no side; beyond the reach neither.
        assert_eq!(sides(&block, &[at(5., 5.)]), []);
        assert_eq!(sides(&block, &[at(60., 5.)]), []);
    }

    #[test]
    fn a_road_along_two_sides_lies_on_both() {
        let block = MultiPolygon(vec![rectangle(0., 0., 10., 10.)]);
        let road = [at(12., 14.), at(12., -3.), at(-2., -3.)];
        let seen = sides(&block, &road);
        assert_eq!(seen.iter().map(|s| s.0).collect::<Vec<_>>(), ["east", "south"]);
        assert!((seen[0].1 - 196.7).abs() < 1.0 && (seen[1].1 - 332.5).abs() < 1.0, "{seen:?}");
    }

    #[test]
    fn neighbours_that_touch_are_at_no_distance_whichever_way_their_rings_run() {
        let mut part = rectangle(0., 0., 10., 10.);
        let neighbour = rectangle(10., 2., 20., 8.);
        for _ in 0..2 {
            let block = MultiPolygon(vec![part.clone()]);
            let seen = sides(&block, &neighbour.exterior().0);
            assert_eq!(seen, [("east", 0.0, 90.0)]);
            part.exterior_mut(|ring| ring.0.reverse());
        }
        // At a corner alone it lies where it goes from there.
        let block = MultiPolygon(vec![rectangle(0., 0., 10., 10.)]);
        let diagonal = sides(&block, &rectangle(10., 10., 20., 20.).exterior().0);
        assert_eq!(diagonal.iter().map(|s| (s.0, s.1)).collect::<Vec<_>>(), [("east", 0.0), ("north", 0.0)]);
        let beside = sides(&block, &rectangle(10., 0., 20., 10.).exterior().0);
        assert_eq!(beside, [("east", 0.0, 90.0)], "the corners are not in the south and north");
    }

    #[test]
    fn what_runs_over_the_border_touches_the_side_and_does_not_bound_it() {
        // About 983 m by 1,108 m; a metre is 0.009 thousandths to the north.
        let block = MultiPolygon(vec![rectangle(0., 0., 10., 10.)]);
        // A road out of the block, whole or digitised with a vertex on the border; a river through it from north to south; one that goes
        // in at a corner; a road that ends on the border. (Before, all of these bounded their sides: 北至沩水，南至沩水.)
        assert_eq!(crossings(&block, &[at(5., 5.), at(5., 15.)]), [("north", 0.0, true)]);
        assert_eq!(crossings(&block, &[at(5., 5.), at(5., 10.), at(5., 15.)]), [("north", 0.0, true)]);
        let river = [at(4., 20.), at(4.2, 10.02), at(4.21, 9.99), at(6., 5.), at(5., -8.)];
        assert_eq!(crossings(&block, &river), [("south", 0.0, true), ("north", 0.0, true)]);
        assert_eq!(crossings(&block, &[at(9., 9.), at(10., 10.), at(11., 13.)]), [("north", 0.0, true)]);
        assert_eq!(crossings(&block, &[at(5., 10.), at(5., 15.)]), [("north", 0.0, true)]);
        // Slanting at 27° it is within 5 m of the border for 20 m: that is still over it.
        assert_eq!(crossings(&block, &[at(2., 9.), at(6.5, 11.)]), [("north", 0.0, true)]);
        // A road on the border, and one 3 m beside it that turns in at a gate, run along it; so does a border that both have.
        assert_eq!(crossings(&block, &[at(1., 10.), at(9., 10.)]), [("north", 0.0, false)]);
        let gate = [at(1., 10.027), at(8., 10.027), at(8., 6.)];
        assert_eq!(crossings(&block, &gate), [("north", 0.0, false)]);
        let beside = crossings(&block, &[at(1., 10.054), at(9., 10.054)]);
        assert_eq!((beside[0].0, beside[0].2), ("north", false));
        assert!((beside[0].1 - 6.0).abs() < 0.1, "{beside:?}");
        let neighbour = rectangle(2., 10., 8., 20.);
        assert_eq!(crossings(&block, &neighbour.exterior().0), [("north", 0.0, false)]);
        // The border of a county that cuts the block: over it in the south and north.
        let county = rectangle(7., -10., 30., 20.);
        let cut = crossings(&block, &county.exterior().0);
        assert_eq!(cut.iter().filter(|s| s.2).map(|s| s.0).collect::<Vec<_>>(), ["south", "north"]);
        // A gate that is a point stands on the border.
        assert_eq!(crossings(&block, &[at(5., 10.)]), [("north", 0.0, false)]);
        // One bound for all: what is met is told.
        let mut lookout = Lookout::of(&block, 3_000.0, 3).expect("block");
        lookout.look(std::iter::once(&river[..]));
        assert!(!lookout.is_complete());
        assert_eq!(lookout.steps_left(), 0);
    }

    #[test]
    fn a_notch_looks_into_itself_and_not_through_the_land() {
        // A U open to the north; the candidate stands between its arms.
        let block = MultiPolygon(vec![polygon![
            at(0., 0.),
            at(30., 0.),
            at(30., 20.),
            at(20., 20.),
            at(20., 10.),
            at(10., 10.),
            at(10., 20.),
            at(0., 20.)
        ]]);
        let seen = sides(&block, &[at(14., 14.)]);
        // East of the west arm, west of the east arm, north of the middle.
        assert_eq!(seen.iter().map(|s| s.0).collect::<Vec<_>>(), ["east", "west", "north"]);
        let inside = sides(&block, &[at(25., 15.)]);
        assert_eq!(inside, []);
    }

    #[test]
    fn words_of_the_eight_winds() {
        for (bearing, word) in [
            (0., "北"),
            (22., "北"),
            (23., "东北"),
            (90., "东"),
            (180., "南"),
            (315., "西北"),
            (338., "北"),
            (359.9, "北"),
        ] {
            assert_eq!(octant(bearing), word, "{bearing}");
        }
        for (bearing, told) in [(0.0, 0.0), (359.94, 359.9), (359.96, 0.0), (44.98, 45.0), (360.0, 0.0)] {
            assert_eq!(rounded(bearing), told, "{bearing}");
        }
    }
}
