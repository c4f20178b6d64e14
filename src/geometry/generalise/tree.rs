//! A packed tree over boxes: which of many things come near a line or a hull, without a look at the others.
//!
//! `rstar` would do; this one holds numbers only, is built in parallel and takes any shape of question.

use rayon::prelude::*;

/// West, south, east, north, in cells.
pub(super) type Bounds = [f64; 4];

/// Things of one node. Sixteen boxes are eight lines of a processor's cache, read one after another.
const FAN: usize = 16;

/// Boxes by the place of their middle, boxes of sixteen of these, and so on.
#[derive(Debug)]
pub(super) struct PackedTree {
    items: Vec<u32>,
    levels: Vec<Vec<Bounds>>,
}

impl PackedTree {
    /// A tree over boxes; things are known by their place in this list.
    pub fn build(boxes: &[Bounds]) -> Self {
        let middle = |at: &u32, axis: usize| {
            let b = &boxes[*at as usize];
            b[axis] + b[axis + 2]
        };
        let mut items: Vec<u32> = (0..boxes.len() as u32).collect();
        items.par_sort_unstable_by(|a, b| middle(a, 0).total_cmp(&middle(b, 0)));
        let slice = FAN * (items.len() as f64 / FAN as f64).sqrt().ceil().max(1.0) as usize;
        items.par_chunks_mut(slice).for_each(|slice| {
            slice.sort_unstable_by(|a, b| middle(a, 1).total_cmp(&middle(b, 1)));
        });
        let mut levels = vec![items.iter().map(|at| boxes[*at as usize]).collect::<Vec<Bounds>>()];
        while let Some(below) = levels.last().filter(|below| below.len() > FAN) {
            levels.push(below.chunks(FAN).map(around).collect());
        }
        Self { items, levels }
    }

    /// All things, neighbours near each other.
    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// Calls `visit` with everything whose box, and the boxes around it, `meets` says yes to, until it answers false.
    pub fn visit(&self, meets: impl Fn(&Bounds) -> bool, mut visit: impl FnMut(u32) -> bool) {
        let top = self.levels.len() - 1;
        let mut open: Vec<(usize, usize)> = vec![(top, 0)];
        while let Some((level, node)) = open.pop() {
            let boxes = &self.levels[level];
            let below = node * FAN..((node + 1) * FAN).min(boxes.len());
            for (at, b) in below.clone().zip(&boxes[below]) {
                if !meets(b) {
                    continue;
                }
                if level > 0 {
                    open.push((level - 1, at));
                } else if !visit(self.items[at]) {
                    return;
                }
            }
        }
    }
}

fn around(boxes: &[Bounds]) -> Bounds {
    let nothing = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    boxes.iter().fold(nothing, |all, b| [all[0].min(b[0]), all[1].min(b[1]), all[2].max(b[2]), all[3].max(b[3])])
}

/// Whether a line may come within `reach` of a box; never no where it does.
pub(super) fn line_meets(p: [f64; 2], q: [f64; 2], b: &Bounds, reach: f64) -> bool {
    if p[0].min(q[0]) > b[2] + reach
        || p[0].max(q[0]) < b[0] - reach
        || p[1].min(q[1]) > b[3] + reach
        || p[1].max(q[1]) < b[1] - reach
    {
        return false;
    }
    let (dx, dy) = (q[0] - p[0], q[1] - p[1]);
    let half = [(b[2] - b[0]) / 2.0 + reach, (b[3] - b[1]) / 2.0 + reach];
    let (ex, ey) = ((b[0] + b[2]) / 2.0 - p[0], (b[1] + b[3]) / 2.0 - p[1]);
    // What the products may be wrong by, generously.
    let rounding = 1e-12 * ((dx * ey).abs() + (dy * ex).abs());
    (dx * ey - dy * ex).abs() <= dx.abs() * half[1] + dy.abs() * half[0] + rounding
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_look_at_everything_finds(
            boxes in prop::collection::vec((-50.0..50.0_f64, -50.0..50.0_f64, 0.0..9.0_f64, 0.0..9.0_f64), 0..400),
            p in (-60.0..60.0_f64, -60.0..60.0_f64),
            q in (-60.0..60.0_f64, -60.0..60.0_f64),
        ) {
            let boxes: Vec<Bounds> = boxes.into_iter().map(|(x, y, w, h)| [x, y, x + w, y + h]).collect();
            let (p, q) = ([p.0, p.1], [q.0, q.1]);
            let mut found = Vec::new();
            PackedTree::build(&boxes).visit(|b| line_meets(p, q, b, 0.5), |at| { found.push(at); true });
            found.sort_unstable();
            let all: Vec<u32> =
                (0..boxes.len() as u32).filter(|at| line_meets(p, q, &boxes[*at as usize], 0.5)).collect();
            prop_assert_eq!(found, all);
        }
    }

    #[test]
    fn a_line_beside_a_box_does_not_meet_it_and_one_through_its_corner_does() {
        let b = [0.0, 0.0, 2.0, 2.0];
        assert!(line_meets([-1.0, 1.0], [1.0, 3.0], &b, 0.0));
        assert!(!line_meets([-1.1, 1.0], [1.0, 3.1], &b, 0.0), "its box meets, the line does not");
        assert!(line_meets([-1.1, 1.0], [1.0, 3.1], &b, 0.2));
        assert!(line_meets([1.0, 1.0], [1.0, 1.0], &b, 0.0), "a point");
    }
}
