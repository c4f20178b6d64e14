//! Levels of an R-tree: boxes, packed in the order of the Hilbert curve, [`FANOUT`] to a node.

/// West, south, east, north.
pub(super) type Bbox = [f64; 4];

/// A box that nothing lies in.
pub(super) const NOTHING: Bbox = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];

const FANOUT: usize = 16;

/// Levels of boxes, those that it was made of first.
#[derive(Debug, Default)]
pub(super) struct Tree {
    levels: Vec<Vec<Bbox>>,
}

pub(super) fn union(a: Bbox, b: Bbox) -> Bbox {
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

/// Whether two boxes have a point in common, be it on their sides.
pub(super) fn meets(a: &Bbox, b: &Bbox) -> bool {
    a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3]
}

/// Whether a whole side of `held` lies in `outer`. What `held` is the box of has a point on each of its sides, so it meets `outer` then,
/// whatever its shape; `false` says nothing.
pub(super) fn has_side(outer: &Bbox, held: &Bbox) -> bool {
    let is_between = |axis: usize, value: f64| outer[axis] <= value && value <= outer[axis + 2];
    let (west, south, east, north) =
        (is_between(0, held[0]), is_between(1, held[1]), is_between(0, held[2]), is_between(1, held[3]));
    west && east && (south || north) || south && north && (west || east)
}

impl Tree {
    pub(super) fn of(boxes: Vec<Bbox>) -> Self {
        let mut levels = vec![boxes];
        while let Some(below) = levels.last().filter(|level| level.len() > FANOUT) {
            levels.push(below.chunks(FANOUT).map(|boxes| boxes.iter().copied().fold(NOTHING, union)).collect());
        }
        Self { levels }
    }

    /// The box of everything; [`NOTHING`] of none.
    pub(super) fn bounds(&self) -> Bbox {
        self.levels.last().into_iter().flatten().copied().fold(NOTHING, union)
    }

    /// Calls `found` with the place of each box that meets this one, in their order.
    pub(super) fn search(&self, bbox: &Bbox, found: &mut impl FnMut(usize)) {
        if let Some(top) = self.levels.len().checked_sub(1) {
            self.descend(top, 0, self.levels[top].len(), bbox, found);
        }
    }

    fn descend(&self, level: usize, from: usize, to: usize, bbox: &Bbox, found: &mut impl FnMut(usize)) {
        for at in from..to {
            if !meets(&self.levels[level][at], bbox) {
                continue;
            }
            match level.checked_sub(1) {
                None => found(at),
                Some(below) => {
                    let end = ((at + 1) * FANOUT).min(self.levels[below].len());
                    self.descend(below, at * FANOUT, end, bbox, found);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use geo::{BoundingRect, Intersects, LineString, Polygon, Rect};
    use proptest::prelude::*;

    use super::*;

    /// A number on a coarse grid, so that sides often fall together.
    fn coarse() -> impl Strategy<Value = f64> {
        (0..12_u8).prop_map(f64::from)
    }

    proptest! {
        #[test]
        fn what_has_a_side_in_a_box_meets_it(
            ring in prop::collection::vec((coarse(), coarse()), 3..7),
            (w, s, width, height) in (coarse(), coarse(), coarse(), coarse()),
        ) {
            let shape = Polygon::new(LineString::from(ring), Vec::new());
            let held = shape.bounding_rect().expect("three points");
            let (least, most) = (held.min(), held.max());
            let asked = [w, s, w + width, s + height];
            let has_side = has_side(&asked, &[least.x, least.y, most.x, most.y]);
            let meets = shape.exterior().intersects(&Rect::new((w, s), (w + width, s + height)));
            prop_assert!(meets || !has_side, "{shape:?} {asked:?}");
        }

        #[test]
        fn a_search_finds_what_a_look_at_all_finds(
            boxes in prop::collection::vec((0.0..100.0f64, 0.0..100.0f64, 0.0..5.0f64, 0.0..5.0f64), 0..700),
            (w, s, width, height) in (0.0..100.0f64, 0.0..100.0f64, 0.0..50.0f64, 0.0..50.0f64),
        ) {
            let boxes: Vec<Bbox> = boxes.into_iter().map(|(w, s, x, y)| [w, s, w + x, s + y]).collect();
            let asked = [w, s, w + width, s + height];
            let expected: Vec<usize> = (0..boxes.len()).filter(|at| meets(&boxes[*at], &asked)).collect();
            let mut found = Vec::new();
            Tree::of(boxes).search(&asked, &mut |at| found.push(at));
            prop_assert_eq!(found, expected);
        }
    }
}
