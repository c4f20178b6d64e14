//! Lines and points, which no other shape shares a border with: rounded, and lines thinned each by itself.

use super::grid::{Cell, Grid};
use crate::geometry::thin::{LOOKS_PER_VERTEX, keep_far};

/// A line's cells with the tolerance used; `None` where all of it is one cell.
pub(super) fn thinned(mut line: Vec<Cell>, grid: Grid) -> Option<Vec<Cell>> {
    line.dedup();
    let last = line.len().checked_sub(1).filter(|last| *last > 0)?;
    let mut kept = vec![false; last + 1];
    (kept[0], kept[last]) = (true, true);
    let distance = |at: usize, first: usize, last: usize| {
        let metres = grid.measure(line[first][1], line[last][1]).distance(line[at], line[first], line[last]);
        // A line that comes back to its start is not its start alone.
        if line[first] == line[last] { metres + 2.0 * grid.tolerance_m + 1.0 } else { metres }
    };
    keep_far(0, last, grid.tolerance_m, &mut kept, &mut (LOOKS_PER_VERTEX * line.len()), distance);
    Some(line.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(cell, _)| cell).collect())
}
