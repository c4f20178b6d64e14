//! How deep one border lies behind another: the greatest distance from the points of some lines to the nearest of others, in metres.
//!
//! Along a straight piece, the distance to one segment is convex, so it is greatest at an end: whichever segment is chosen, the larger
//! of its two distances bounds the whole piece from above. Pieces are halved, the most promising first, until the best that was seen is
//! as good as any can be. A strip of a kilometre and a centimetre's width takes no more of that than one of ten metres.

use std::collections::BinaryHeap;

use geo::Coord;

use super::work::{Stopped, Work};

/// A straight piece in the plane, metres.
pub(super) type Segment = (Coord<f64>, Coord<f64>);

/// How near the answer comes to the greatest depth: a hundredth of it, or a tenth of a millimetre.
const PRECISION: f64 = 0.01;
const PRECISION_M: f64 = 1e-4;

/// Looks at pieces before the bound is taken for the depth.
const MOST_PIECES: usize = 4_096;

struct Piece {
    /// No point of it lies deeper.
    bound: f64,
    a: Coord<f64>,
    b: Coord<f64>,
}

impl PartialEq for Piece {
    fn eq(&self, other: &Self) -> bool {
        self.bound.total_cmp(&other.bound).is_eq()
    }
}

impl Eq for Piece {}

impl PartialOrd for Piece {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Piece {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bound.total_cmp(&other.bound)
    }
}

/// The greatest depth of `lines` behind `border`, from above: never less than it is, and at most [`PRECISION`] more. 0 where either is
/// nothing.
pub(super) fn greatest(lines: &[Segment], border: &[Segment], work: &mut Work) -> Result<f64, Stopped> {
    if border.is_empty() {
        return Ok(0.0);
    }
    // As if every segment were looked at for every piece, whatever the tree spares: what is given up must not hang on its form.
    let looks = border.len() as u64;
    let border = Border::of(border);
    let mut heap = BinaryHeap::with_capacity(lines.len());
    let mut best: f64 = 0.0;
    for &(a, b) in lines {
        work.spend(looks)?;
        let (bound, deepest_end) = border.bound(a, b);
        best = best.max(deepest_end);
        heap.push(Piece { bound, a, b });
    }
    let mut looked_at = 0;
    while let Some(Piece { bound: most, a, b }) = heap.pop() {
        looked_at += 1;
        if most <= best * (1.0 + PRECISION) + PRECISION_M || looked_at > MOST_PIECES {
            return Ok(most);
        }
        let middle = Coord { x: (a.x + b.x) / 2.0, y: (a.y + b.y) / 2.0 };
        work.spend(2 * looks)?;
        for (a, b) in [(a, middle), (middle, b)] {
            let (bound, deepest_end) = border.bound(a, b);
            best = best.max(deepest_end);
            heap.push(Piece { bound, a, b });
        }
    }
    Ok(best)
}

/// Segments of a leaf.
const LEAF: usize = 8;

/// Segments and the boxes around those that lie together.
struct Border {
    segments: Vec<Segment>,
    nodes: Vec<Node>,
}

struct Node {
    west: f64,
    south: f64,
    east: f64,
    north: f64,
    /// Of a leaf: its segments. Others have two nodes below: the next one, and `second`.
    from: usize,
    to: usize,
    second: usize,
}

/// Of the distances from both ends of a piece.
type Squares = (f64, f64);

/// Squares of distances: the bound of a piece and the depths of its ends.
struct Nearest {
    bound2: f64,
    a2: f64,
    b2: f64,
}

impl Border {
    fn of(segments: &[Segment]) -> Self {
        let mut border = Self { segments: segments.to_vec(), nodes: Vec::new() };
        border.plant(0, segments.len());
        border
    }

    /// An even cut of the middles along the longer side.
    fn plant(&mut self, from: usize, to: usize) {
        let own = &mut self.segments[from..to];
        let ends = own.iter().flat_map(|(a, b)| [a, b]);
        let far = f64::INFINITY;
        let [west, south, east, north] =
            ends.fold([far, far, -far, -far], |b, c| [b[0].min(c.x), b[1].min(c.y), b[2].max(c.x), b[3].max(c.y)]);
        let at = self.nodes.len();
        self.nodes.push(Node { west, south, east, north, from, to, second: 0 });
        if to - from <= LEAF {
            return;
        }
        let middle = (to - from) / 2;
        let place = |(a, b): &Segment| if east - west > north - south { a.x + b.x } else { a.y + b.y };
        own.select_nth_unstable_by(middle, |p, q| place(p).total_cmp(&place(q)));
        self.plant(from, from + middle);
        self.nodes[at].second = self.nodes.len();
        self.plant(from + middle, to);
    }

    /// What no point of the piece exceeds, and the depth of its deeper end.
    fn bound(&self, a: Coord<f64>, b: Coord<f64>) -> (f64, f64) {
        let mut nearest = Nearest { bound2: f64::INFINITY, a2: f64::INFINITY, b2: f64::INFINITY };
        self.look(0, (a, b), &mut nearest);
        (nearest.bound2.sqrt(), nearest.a2.max(nearest.b2).sqrt())
    }

    fn look(&self, at: usize, piece: Segment, nearest: &mut Nearest) {
        let node = &self.nodes[at];
        if node.second == 0 {
            for segment in &self.segments[node.from..node.to] {
                let (da, db) = (distance2(piece.0, segment), distance2(piece.1, segment));
                nearest.bound2 = nearest.bound2.min(da.max(db));
                nearest.a2 = nearest.a2.min(da);
                nearest.b2 = nearest.b2.min(db);
            }
            return;
        }
        let mut below = [at + 1, node.second].map(|at| (self.nodes[at].least(piece), at));
        // The nearer first: the other is then mostly passed over.
        let farther = |((a2, b2), _): (Squares, usize)| a2.max(b2);
        if farther(below[1]) < farther(below[0]) {
            below.swap(0, 1);
        }
        for ((a2, b2), at) in below {
            if a2 < nearest.a2 || b2 < nearest.b2 || a2.max(b2) < nearest.bound2 {
                self.look(at, piece, nearest);
            }
        }
    }
}

impl Node {
    /// What the squares of the distances from both ends to any segment here are not below.
    fn least(&self, (a, b): Segment) -> Squares {
        let least = |p: Coord<f64>| {
            let dx = (self.west - p.x).max(p.x - self.east).max(0.0);
            let dy = (self.south - p.y).max(p.y - self.north).max(0.0);
            // Below what rounding makes of a distance some hundred kilometres from the plane's origin, 1e-9 m.
            (dx * dx + dy * dy) * (1.0 - 1e-6) - 1e-9
        };
        (least(a), least(b))
    }
}

/// The square of the distance from a point to a segment.
pub(super) fn distance2(p: Coord<f64>, (a, b): &Segment) -> f64 {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let length2 = dx * dx + dy * dy;
    let share = if length2 > 0.0 { (((p.x - a.x) * dx + (p.y - a.y) * dy) / length2).clamp(0.0, 1.0) } else { 0.0 };
    let (ex, ey) = (p.x - a.x - share * dx, p.y - a.y - share * dy);
    ex * ex + ey * ey
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(points: &[(f64, f64)]) -> Vec<Segment> {
        let at = |(x, y): (f64, f64)| Coord { x, y };
        points.windows(2).map(|w| (at(w[0]), at(w[1]))).collect()
    }

    proptest! {
        /// To the bit: no distance that a box spares would have been the least.
        #[test]
        fn boxes_spare_no_nearest_segment(
            points in prop::collection::vec((0..40_u32, 0..40_u32, 0..3_u8), 2..200),
            pieces in prop::collection::vec(((-20.0..60.0, -20.0..60.0), (0..40_u32, 0..40_u32)), 1..10),
            scale in prop::sample::select(vec![1e-4, 0.1, 7.3, 5_000.0]),
        ) {
            let at = |x: f64, y: f64| Coord { x: x * scale, y: y * scale };
            let whole = |x: u32, y: u32| at(f64::from(x), f64::from(y));
            // Some lines go on from where the one before ended, some are points.
            let border: Vec<Segment> = points
                .windows(2)
                .filter(|pair| pair[0].2 > 0)
                .map(|pair| (whole(pair[0].0, pair[0].1), whole(pair[1].0, pair[1].1)))
                .collect();
            prop_assume!(!border.is_empty());
            let tree = Border::of(&border);
            for ((x, y), (u, v)) in pieces {
                let (a, b) = (at(x, y), whole(u, v));
                let least = |of: &dyn Fn(f64, f64) -> f64| {
                    let squares = border.iter().map(|segment| of(distance2(a, segment), distance2(b, segment)));
                    squares.fold(f64::INFINITY, f64::min)
                };
                let (bound2, a2, b2) = (least(&f64::max), least(&|da, _| da), least(&|_, db| db));
                let (bound, deepest) = tree.bound(a, b);
                prop_assert_eq!(bound.to_bits(), bound2.sqrt().to_bits());
                prop_assert_eq!(deepest.to_bits(), a2.max(b2).sqrt().to_bits());
            }
        }
    }

    #[test]
    fn depths_by_hand() {
        let floor = line(&[(0.0, 0.0), (100.0, 0.0)]);
        for (name, lines, border, expected) in [
            ("parallel", line(&[(0.0, 2.0), (100.0, 2.0)]), floor.clone(), 2.0),
            ("a tooth", line(&[(10.0, 0.0), (15.0, 7.0), (20.0, 0.0)]), floor.clone(), 7.0),
            // Between two walls, deepest in the middle, where neither line has a vertex.
            (
                "between",
                line(&[(0.0, 0.0), (10.0, 0.0)]),
                [line(&[(0.0, -9.0), (0.0, 9.0)]), line(&[(10.0, -9.0), (10.0, 9.0)])].concat(),
                5.0,
            ),
            (
                "a kilometre of a centimetre",
                line(&[(0.0, 0.01), (1_000.0, 0.01)]),
                line(&[(0.0, 0.0), (333.0, 0.0), (1_000.0, 0.0)]),
                0.01,
            ),
            ("nothing", vec![], floor, 0.0),
        ] {
            let found = greatest(&lines, &border, &mut Work::of(100_000)).expect("few steps");
            assert!(found >= expected && found <= expected * (1.0 + PRECISION) + PRECISION_M, "{name}: {found}");
        }
    }
}
