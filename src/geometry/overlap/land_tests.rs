//! Lines joined to rings, against the plain way of it.

use proptest::prelude::*;

use super::*;

/// What [`join`] is held against: every direction reckoned whenever it is asked for.
fn joined_plainly(lines: Vec<Vec<Coord<f64>>>) -> Vec<LineString<f64>> {
    let turned = |at: Coord<f64>, p: Coord<f64>, q: Coord<f64>| {
        let angle = |c: Coord<f64>| (c.y - at.y).atan2(c.x - at.x);
        let turned = angle(p) - angle(q);
        if turned > 0.0 { turned } else { turned + std::f64::consts::TAU }
    };
    let mut rings = Vec::new();
    let mut used = vec![false; lines.len()];
    for begin in 0..lines.len() {
        if used[begin] {
            continue;
        }
        used[begin] = true;
        let mut path = lines[begin].clone();
        while path.first() != path.last() {
            let (end, came_from) = (path[path.len() - 1], path[path.len() - 2]);
            let free = (0..lines.len()).filter(|at| !used[*at] && lines[*at][0] == end);
            let next = free
                .min_by(|p, q| turned(end, came_from, lines[*p][1]).total_cmp(&turned(end, came_from, lines[*q][1])));
            let Some(next) = next else { break };
            used[next] = true;
            path.extend_from_slice(&lines[next][1..]);
        }
        if path.first() == path.last() {
            take_apart(path, &mut rings);
        }
    }
    rings
}

proptest! {
    /// Few points and many lines between them: a crowd begins at each, some in the very same direction.
    #[test]
    fn lines_join_as_the_plain_way_joins_them(
        ends in prop::collection::vec(((0..4_u32, 0..3_u32), prop::collection::vec((0..9_u32, 0..9_u32), 0..3), (0..4_u32, 0..3_u32)), 1..60),
    ) {
        let at = |(x, y): (u32, u32), step: f64| Coord { x: 112.0 + f64::from(x) * step, y: 28.0 + f64::from(y) * step };
        let line = |(from, between, to): ((u32, u32), Vec<(u32, u32)>, (u32, u32))| {
            let mut line = vec![at(from, 0.25)];
            line.extend(between.into_iter().map(|c| at(c, 0.125)));
            line.push(at(to, 0.25));
            line.dedup();
            line
        };
        let lines: Vec<_> = ends.into_iter().map(line).filter(|line| line.len() >= 2).collect();
        prop_assert_eq!(join(lines.clone()), joined_plainly(lines));
    }
}
