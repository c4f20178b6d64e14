//! Cutting at the edge of a tile's buffer.
//!
//! Rings by Sutherland and Hodgman: what falls apart stays one ring, joined by edges that run along the buffer's edge there and
//! back, out of sight. A cut depends on the edge alone and not on its direction: neighbours are cut at the same place.

use super::grid::{BUFFER, EXTENT};
use super::projection::Place;

const LOW: f64 = -BUFFER;
const HIGH: f64 = EXTENT + BUFFER;

/// Axis, bound, and whether what is kept lies above it.
const SIDES: [(usize, f64, bool); 4] = [(0, LOW, true), (0, HIGH, false), (1, LOW, true), (1, HIGH, false)];

/// The part of a ring (not closed) within the buffer, snapped; nothing where there is none.
pub fn ring(ring: &mut Vec<Place>, spare: &mut Vec<Place>) {
    for (axis, bound, above) in SIDES {
        let keeps = |p: &Place| if above { p[axis] >= bound } else { p[axis] <= bound };
        if ring.iter().all(keeps) {
            continue;
        }
        spare.clear();
        let Some(mut from) = ring.last().copied() else { return };
        for to in ring.iter().copied() {
            if keeps(&from) != keeps(&to) {
                spare.push(crossing(from, to, axis, bound));
            }
            if keeps(&to) {
                spare.push(to);
            }
            from = to;
        }
        std::mem::swap(ring, spare);
    }
}

/// Where an edge meets a side, snapped.
fn crossing(a: Place, b: Place, axis: usize, bound: f64) -> Place {
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    let other = 1 - axis;
    let share = (bound - a[axis]) / (b[axis] - a[axis]);
    let mut place = [bound; 2];
    place[other] = (a[other] + share * (b[other] - a[other])).round();
    place
}

/// The pieces of a line within the buffer: places into `pieces`, where each piece ends into `ends`.
pub fn line(line: &[Place], pieces: &mut Vec<Place>, ends: &mut Vec<usize>) {
    let end_piece = |pieces: &mut Vec<Place>, ends: &mut Vec<usize>| {
        let start = ends.last().copied().unwrap_or(0);
        match pieces.len() - start {
            0 => {}
            1 => pieces.truncate(start),
            _ => ends.push(pieces.len()),
        }
    };
    for edge in line.windows(2) {
        let Some((from, to)) = visible(edge[0], edge[1]) else {
            end_piece(pieces, ends);
            continue;
        };
        let start = ends.last().copied().unwrap_or(0);
        if pieces.len() == start || pieces.last() != Some(&from) {
            end_piece(pieces, ends);
            pieces.push(from);
        }
        if to != from {
            pieces.push(to);
        }
        if to != edge[1] {
            end_piece(pieces, ends);
        }
    }
    end_piece(pieces, ends);
}

/// The part of an edge within the buffer (Liang and Barsky), snapped.
fn visible(a: Place, b: Place) -> Option<(Place, Place)> {
    let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
    for axis in 0..2 {
        let run = b[axis] - a[axis];
        if run == 0.0 {
            if a[axis] < LOW || a[axis] > HIGH {
                return None;
            }
            continue;
        }
        let (low, high) = ((LOW - a[axis]) / run, (HIGH - a[axis]) / run);
        enter = enter.max(low.min(high));
        leave = leave.min(low.max(high));
    }
    let at = |share: f64| [0, 1].map(|axis| (a[axis] + share * (b[axis] - a[axis])).round());
    (enter <= leave).then(|| (if enter > 0.0 { at(enter) } else { a }, if leave < 1.0 { at(leave) } else { b }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(places: &[Place]) -> Vec<Place> {
        let mut clipped = places.to_vec();
        ring(&mut clipped, &mut Vec::new());
        clipped
    }

    #[test]
    fn a_ring_is_cut_at_the_buffer() {
        let square = [[-500.0, 100.0], [100.0, 100.0], [100.0, 200.0], [-500.0, 200.0]];
        assert_eq!(cut(&square), [[-64.0, 100.0], [100.0, 100.0], [100.0, 200.0], [-64.0, 200.0]]);
        let around = [[-9e9, -9e9], [9e9, -9e9], [9e9, 9e9], [-9e9, 9e9]];
        let mut whole = cut(&around);
        whole.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
        assert_eq!(whole, [[-64.0, -64.0], [-64.0, 4160.0], [4160.0, -64.0], [4160.0, 4160.0]]);
        assert!(cut(&[[5000.0, 0.0], [6000.0, 0.0], [5500.0, 9.0]]).is_empty());
        let inside = [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0]];
        assert_eq!(cut(&inside), inside);
    }

    #[test]
    fn both_sides_of_an_edge_are_cut_at_one_place() {
        let (a, b) = ([-1237.0, 17.0], [733.0, 991.0]);
        assert_eq!(crossing(a, b, 0, LOW), crossing(b, a, 0, LOW));
        assert_eq!(crossing(a, b, 0, LOW), [-64.0, 597.0]);
    }

    #[test]
    fn a_line_falls_into_the_pieces_that_are_seen() {
        let (mut pieces, mut ends) = (Vec::new(), Vec::new());
        let there_and_back =
            [[-200.0, 10.0], [10.0, 10.0], [20.0, 10.0], [20.0, -300.0], [40.0, -300.0], [40.0, 50.0], [9000.0, 50.0]];
        line(&there_and_back, &mut pieces, &mut ends);
        assert_eq!(
            pieces,
            [[-64.0, 10.0], [10.0, 10.0], [20.0, 10.0], [20.0, -64.0], [40.0, -64.0], [40.0, 50.0], [4160.0, 50.0]]
        );
        assert_eq!(ends, [4, 7]);
        // A corner that is only touched is no line.
        let (mut pieces, mut ends) = (Vec::new(), Vec::new());
        line(&[[-128.0, 0.0], [0.0, -128.0], [-500.0, -500.0]], &mut pieces, &mut ends);
        assert!(ends.is_empty() && pieces.is_empty(), "{pieces:?}");
    }
}
