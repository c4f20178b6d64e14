//! Lines and points, which no other shape shares a border with: rounded, and lines thinned each by itself.

use super::grid::{Cell, Grid};

/// Vertices looked at for each vertex of a line.
const LOOKS_PER_VERTEX: usize = 200;

/// A line's cells with the tolerance used; `None` where all of it is one cell.
pub(super) fn thinned(mut line: Vec<Cell>, grid: Grid) -> Option<Vec<Cell>> {
    line.dedup();
    let last = line.len().checked_sub(1).filter(|last| *last > 0)?;
    let mut kept = vec![false; last + 1];
    (kept[0], kept[last]) = (true, true);
    let mut looks = LOOKS_PER_VERTEX * line.len();
    let mut pieces = vec![(0, last)];
    while let Some((first, last)) = pieces.pop() {
        if last - first < 2 {
            continue;
        }
        let Some(left) = looks.checked_sub(last - first) else {
            kept[first..=last].fill(true);
            continue;
        };
        looks = left;
        let measure = grid.measure(line[first][1], line[last][1]);
        let off = |at: &usize| measure.distance(line[*at], line[first], line[last]);
        let Some(far) = (first + 1..last).max_by(|a, b| off(a).total_cmp(&off(b))) else { continue };
        // A line that comes back to its start is not its start alone.
        if off(&far) > grid.tolerance_m || line[first] == line[last] {
            kept[far] = true;
            pieces.extend([(first, far), (far, last)]);
        }
    }
    Some(line.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(cell, _)| cell).collect())
}
