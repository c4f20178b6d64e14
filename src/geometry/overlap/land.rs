//! Land that two shapes have in common, or that one has and the other has not: its area, the length of its border, its shape.
//!
//! The runs of both boundaries that bound the land add up to its area by the survey formula, so that no overlay polygon is built and
//! there is no integer grid whose step grows with the extent; shapes that share an edge up to rounding give their true sliver.

use std::collections::HashMap;

use geo::{Coord, LineString, MultiPolygon};

use super::depth;
use super::meet::{Met, Place, Run};
use super::shape::Shape;
use super::work::{Stopped, Work};
use crate::geometry::metres::{self, Plane};
use crate::geometry::{area, assemble};

/// Ends of runs this close are one point: 0.01 mm in degrees. What a gap of it adds or loses on a kilometre is a hundredth of a square
/// metre.
const ONE_POINT_DEG: f64 = 1e-10;

/// Distances that are looked at for a width: land that combs leave to each other has as many pieces as they have teeth, squared.
const MOST_STEPS: u64 = 20_000_000;

/// A piece of the land's border, with the land on the left where `forward`, else on the right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'r, 's> {
    run: &'r Run,
    shape: &'r Shape<'s>,
    forward: bool,
}

/// What bounds a piece of land.
#[derive(Debug, Default)]
pub(super) struct Border<'r, 's> {
    pieces: Vec<Piece<'r, 's>>,
}

impl<'r, 's> Border<'r, 's> {
    /// Of what `a` and `b` have in common.
    pub fn of_common(met: &'r Met, a: &'r Shape<'s>, b: &'r Shape<'s>) -> Self {
        let mut border = Self::default();
        // What runs along both belongs to both: it is counted once.
        border.take(&met.of_a, a, &[Place::Inside, Place::Along], true);
        border.take(&met.of_b, b, &[Place::Inside], true);
        border
    }

    /// Of what `a` has and `b` has not. All rings of `a` are named in `runs_of_a` (see [`Met::all_of`]).
    pub fn of_rest(runs_of_a: &'r [Run], runs_of_b: &'r [Run], a: &'r Shape<'s>, b: &'r Shape<'s>) -> Self {
        let mut border = Self::default();
        border.take(runs_of_a, a, &[Place::Outside, Place::Between], true);
        border.take(runs_of_b, b, &[Place::Inside], false);
        border
    }

    fn take(&mut self, runs: &'r [Run], shape: &'r Shape<'s>, places: &[Place], land_on_its_own_side: bool) {
        let chosen = runs.iter().filter(|run| places.contains(&run.place));
        self.pieces.extend(chosen.map(|run| {
            let forward = (shape.rings[run.ring as usize].sign > 0.0) == land_on_its_own_side;
            Piece { run, shape, forward }
        }));
    }

    /// True where every run ends where another begins: only then do they bound land.
    pub fn closes(&self, work: &mut Work) -> Result<bool, Stopped> {
        let mut starts: Vec<(Coord<f64>, bool)> = Vec::new();
        let mut ends: Vec<Coord<f64>> = Vec::new();
        for piece in &self.pieces {
            if let Some((from, to)) = piece.ends() {
                starts.push((from, false));
                ends.push(to);
            }
        }
        work.spend(2 * starts.len() as u64)?;
        starts.sort_unstable_by(|(p, _), (q, _)| p.x.total_cmp(&q.x).then(p.y.total_cmp(&q.y)));
        ends.sort_unstable_by(|p, q| p.x.total_cmp(&q.x).then(p.y.total_cmp(&q.y)));
        // To the bit, nearly always: both boundaries were cut at one computed point.
        if starts.iter().zip(&ends).all(|((start, _), end)| start == end) {
            return Ok(true);
        }
        for end in ends {
            let first = starts.partition_point(|(start, _)| start.x < end.x - ONE_POINT_DEG);
            let mut looked_at = 0;
            let near = starts[first..].iter_mut().take_while(|(start, _)| start.x <= end.x + ONE_POINT_DEG);
            let mut free = near
                .inspect(|_| looked_at += 1)
                .filter(|(start, taken)| !taken && (start.y - end.y).abs() <= ONE_POINT_DEG);
            let found = free.next().map(|(_, taken)| *taken = true).is_some();
            work.spend(looked_at)?;
            if !found {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ellipsoidal, m².
    pub fn area_m2(&self, west: f64) -> f64 {
        let mut sum = 0.0;
        for piece in &self.pieces {
            let mut under = 0.0;
            piece.run.walk(piece.ring(), |a, b| under += area::edge_area(a, b, west));
            sum += if piece.forward { under } else { -under };
        }
        sum
    }

    /// How wide the land is, from above, in metres: the greatest depth of either shape's border behind the other's, and no less than twice
    /// the area over the border's length, which a winding border cannot make small. `None` where that takes too long.
    pub fn width_m(&self, a: &Shape, area_m2: f64, work: &mut Work) -> Result<Option<f64>, Stopped> {
        let Some(first) = self.pieces.first() else { return Ok(Some(0.0)) };
        let mut start = None;
        first.run.walk(first.ring(), |from, _| start = start.or(Some(from)));
        let Some(start) = start else { return Ok(Some(0.0)) };
        let plane = Plane::around(start);
        let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
        for piece in &self.pieces {
            let own = if std::ptr::eq(piece.shape, a) { &mut of_a } else { &mut of_b };
            piece.run.walk(piece.ring(), |from, to| own.push((plane.to(from), plane.to(to))));
        }
        let mut own = work.apart(MOST_STEPS);
        // Each border is held against the other: where both together are too much, neither is begun.
        if 2 * of_a.len() as u64 * of_b.len() as u64 > MOST_STEPS {
            return Ok(None);
        }
        let mut deepest = || Ok(depth::greatest(&of_a, &of_b, &mut own)?.max(depth::greatest(&of_b, &of_a, &mut own)?));
        let depth = match deepest() {
            Ok(depth) => depth,
            Err(Stopped::TooComplex) => return Ok(None),
            Err(Stopped::Cancelled) => return Err(Stopped::Cancelled),
        };
        let length = self.length_m();
        Ok(Some(if length > 0.0 { depth.max(2.0 * area_m2 / length) } else { depth }))
    }

    /// Metres.
    pub fn length_m(&self) -> f64 {
        self.pieces.iter().map(|piece| length_m(piece.run, piece.shape)).sum()
    }

    /// Polygons of it. Rings are simple: one that comes to a point again is taken apart there.
    pub fn shape(&self) -> MultiPolygon<f64> {
        let rings = self.rings().into_iter().filter(|ring| ring.0.len() >= 4).collect();
        assemble::from_rings(rings).geometry
    }

    fn rings(&self) -> Vec<LineString<f64>> {
        let mut lines: Vec<Vec<Coord<f64>>> = Vec::new();
        for piece in &self.pieces {
            let mut line: Vec<Coord<f64>> = Vec::new();
            piece.run.walk(piece.ring(), |a, b| {
                if line.is_empty() {
                    line.push(a);
                }
                if line.last() != Some(&b) {
                    line.push(b);
                }
            });
            if !piece.forward {
                line.reverse();
            }
            if line.len() >= 2 {
                lines.push(line);
            }
        }
        join(cut_where_they_meet(lines))
    }
}

impl<'r> Piece<'r, '_> {
    fn ring(&self) -> &'r super::shape::Ring<'r> {
        &self.shape.rings[self.run.ring as usize]
    }

    /// Where it begins and ends with the land on the left.
    fn ends(&self) -> Option<(Coord<f64>, Coord<f64>)> {
        self.run.ends().map(|(from, to)| if self.forward { (from, to) } else { (to, from) })
    }
}

/// Length of a run, metres.
pub(super) fn length_m(run: &Run, shape: &Shape) -> f64 {
    let mut length = 0.0;
    run.walk(&shape.rings[run.ring as usize], |a, b| length += metres::edge_length(a, b));
    length
}

type Bits = (u64, u64);

fn bits(p: Coord<f64>) -> Bits {
    // −0 and 0 are one place.
    ((p.x + 0.0).to_bits(), (p.y + 0.0).to_bits())
}

/// The same lines, cut at every point that is come to twice: rings that touch there may bound one piece of land together.
fn cut_where_they_meet(lines: Vec<Vec<Coord<f64>>>) -> Vec<Vec<Coord<f64>>> {
    let mut times: HashMap<Bits, u32> = HashMap::new();
    for line in &lines {
        // The end of a line is the beginning of another, or its own.
        for point in &line[..line.len() - 1] {
            *times.entry(bits(*point)).or_default() += 1;
        }
    }
    let meets = |point: Coord<f64>| times.get(&bits(point)).is_some_and(|times| *times > 1);
    let mut cut = Vec::with_capacity(lines.len());
    for mut line in lines {
        if line.first() == line.last()
            && let Some(at) = line.iter().position(|point| meets(*point))
        {
            line.pop();
            line.rotate_left(at);
            line.push(line[0]);
        }
        let mut from = 0;
        for at in 1..line.len() {
            if at == line.len() - 1 || meets(line[at]) {
                cut.push(line[from..=at].to_vec());
                from = at;
            }
        }
    }
    cut
}

/// Joins lines that begin where others end, land on the left of each, to rings; what does not close is left out.
fn join(lines: Vec<Vec<Coord<f64>>>) -> Vec<LineString<f64>> {
    let mut rings = Vec::new();
    let mut from: HashMap<Bits, Vec<usize>> = HashMap::new();
    for (at, line) in lines.iter().enumerate() {
        from.entry(bits(line[0])).or_default().push(at);
    }
    // Asked again and again where many begin at one point.
    let mut directions = vec![0.0; lines.len()];
    for &at in from.values().filter(|lines| lines.len() > 1).flatten() {
        directions[at] = direction(lines[at][0], lines[at][1]);
    }
    let mut used = vec![false; lines.len()];
    for begin in 0..lines.len() {
        if used[begin] {
            continue;
        }
        used[begin] = true;
        let mut path = lines[begin].clone();
        while path.first() != path.last() {
            let end = path[path.len() - 1];
            let Some(free) = from.get_mut(&bits(end)) else { break };
            free.retain(|at| !used[*at]);
            // The next border of the same land: the first one to the right of where we came from.
            let next = match free.as_slice() {
                [] => break,
                [only] => *only,
                several => {
                    let back = direction(end, path[path.len() - 2]);
                    let turned = |at: &usize| clockwise(back, directions[*at]);
                    let Some(next) = several.iter().min_by(|p, q| turned(p).total_cmp(&turned(q))) else { break };
                    *next
                }
            };
            used[next] = true;
            path.extend_from_slice(&lines[next][1..]);
        }
        if path.first() == path.last() {
            take_apart(path, &mut rings);
        }
    }
    rings
}

/// Of a point seen from another, radians against the clock from east.
fn direction(at: Coord<f64>, to: Coord<f64>) -> f64 {
    (to.y - at.y).atan2(to.x - at.x)
}

/// How far one turns clockwise from one direction to another; above 0, to a whole turn.
fn clockwise(from: f64, to: f64) -> f64 {
    let turned = from - to;
    if turned > 0.0 { turned } else { turned + std::f64::consts::TAU }
}

/// A closed path that comes to a point again is several rings.
fn take_apart(path: Vec<Coord<f64>>, rings: &mut Vec<LineString<f64>>) {
    let mut seen: HashMap<Bits, usize> = HashMap::new();
    let mut open: Vec<Coord<f64>> = Vec::new();
    for point in path {
        if let Some(&at) = seen.get(&bits(point)) {
            let mut ring: Vec<Coord<f64>> = open.drain(at + 1..).collect();
            for gone in &ring {
                seen.remove(&bits(*gone));
            }
            ring.insert(0, point);
            ring.push(point);
            rings.push(LineString(ring));
        } else {
            seen.insert(bits(point), open.len());
            open.push(point);
        }
    }
}

#[cfg(test)]
#[path = "land_tests.rs"]
mod tests;
