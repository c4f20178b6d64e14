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
    let mut heap = BinaryHeap::with_capacity(lines.len());
    let mut best: f64 = 0.0;
    for &(a, b) in lines {
        work.spend(border.len() as u64)?;
        let (bound, deepest_end) = bound(a, b, border);
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
        work.spend(2 * border.len() as u64)?;
        for (a, b) in [(a, middle), (middle, b)] {
            let (bound, deepest_end) = bound(a, b, border);
            best = best.max(deepest_end);
            heap.push(Piece { bound, a, b });
        }
    }
    Ok(best)
}

/// What no point of the piece exceeds, and the depth of its deeper end.
fn bound(a: Coord<f64>, b: Coord<f64>, border: &[Segment]) -> (f64, f64) {
    let (mut bound2, mut a2, mut b2) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
    for segment in border {
        let (da, db) = (distance2(a, segment), distance2(b, segment));
        bound2 = bound2.min(da.max(db));
        a2 = a2.min(da);
        b2 = b2.min(db);
    }
    (bound2.sqrt(), a2.max(b2).sqrt())
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
    use super::*;

    fn line(points: &[(f64, f64)]) -> Vec<Segment> {
        let at = |(x, y): (f64, f64)| Coord { x, y };
        points.windows(2).map(|w| (at(w[0]), at(w[1]))).collect()
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
