//! Gaps (缝隙): strips of nobody's land between two boundaries that were meant to meet.
//!
//! Seen from each edge of one shape, square to it and outwards: where the other boundary is met within the width, the strip in between
//! counts, up to the nearest edge. A wedge between two borders that part at an angle is no gap: a gap is much longer than it is wide.

use geo::{Coord, LineString, MultiPolygon, Polygon};

use super::shape::{self, Shape};
use super::work::{Stopped, Work};
use crate::geometry::metres::Plane;

/// How many times longer than wide a strip must be.
const SLENDER: f64 = 4.0;

/// A strip narrower than this is contact: a tenth of a millimetre, far below what anybody measures.
const CONTACT_M: f64 = 1e-4;

/// Land between two boundaries.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    pub area_m2: f64,
    /// Where it is widest.
    pub width_m: f64,
    /// How long the two face each other across it.
    pub length_m: f64,
    /// Its strips.
    pub strips: MultiPolygon<f64>,
}

/// A strip in front of an edge: from and to along it and the distances there, metres.
#[derive(Clone, Copy)]
struct Strip {
    /// What bounds it is the other shape, seen from outside: not its far side from within, and not our own shape again.
    faces: bool,
    from: f64,
    to: f64,
    near: f64,
    far: f64,
}

impl Strip {
    fn height(&self, along: f64) -> f64 {
        let share = if self.to > self.from { (along - self.from) / (self.to - self.from) } else { 0.0 };
        self.near + share * (self.far - self.near)
    }
}

/// The gap between two shapes that share no land to speak of, of at most this width; `None` where there is none.
pub(super) fn between(a: &Shape, b: &Shape, width_m: f64, work: &mut Work) -> Result<Option<Gap>, Stopped> {
    let (one, other) = (seen_from(a, b, width_m, work)?, seen_from(b, a, width_m, work)?);
    // Either side sees the strip a little differently at its corners; the answer must not depend on who is asked.
    let found = if other.area_m2 > one.area_m2 { other } else { one };
    Ok((found.width_m > CONTACT_M && found.length_m >= SLENDER * found.width_m).then_some(found))
}

fn seen_from(own: &Shape, other: &Shape, width_m: f64, work: &mut Work) -> Result<Gap, Stopped> {
    let mut gap = Gap { area_m2: 0.0, width_m: 0.0, length_m: 0.0, strips: MultiPolygon(Vec::new()) };
    let (Some(own_box), Some(other_box)) = (own.bbox(), other.bbox()) else { return Ok(gap) };
    let plane = Plane::around(Coord { x: own_box[0], y: (own_box[1] + own_box[3]) / 2.0 });
    let (dx, dy) = plane.degrees(width_m);
    let wider = |b: [f64; 4]| [b[0] - dx, b[1] - dy, b[2] + dx, b[3] + dy];
    let Some(near) = shape::common(&wider(own_box), &wider(other_box)) else { return Ok(gap) };
    let mut edges = Vec::new();
    own.edges_meeting(&near, work, |id, a, b| edges.push((own.rings[id.ring as usize].sign, a, b)))?;
    for (sign, a, b) in edges {
        // With the land on the left: outwards is to the right.
        let (a, b) = if sign > 0.0 { (a, b) } else { (b, a) };
        let bbox = wider([a.x.min(b.x), a.y.min(b.y), a.x.max(b.x), a.y.max(b.y)]);
        let mut met: Vec<Strip> = Vec::new();
        let (from, to) = (plane.to(a), plane.to(b));
        other.edges_meeting(&bbox, work, |id, c, d| {
            let (c, d) = if other.rings[id.ring as usize].sign > 0.0 { (c, d) } else { (d, c) };
            met.extend(strip(from, to, plane.to(c), plane.to(d), width_m));
        })?;
        if !met.iter().any(|strip| strip.faces) {
            continue;
        }
        own.edges_meeting(&bbox, work, |_, c, d| {
            if (c, d) != (a, b) && (d, c) != (a, b) {
                met.extend(strip(from, to, plane.to(c), plane.to(d), width_m).map(|s| Strip { faces: false, ..s }));
            }
        })?;
        work.spend((met.len() * met.len()) as u64)?;
        for strip in nearest(met) {
            let length = strip.to - strip.from;
            gap.area_m2 += length * (strip.near + strip.far) / 2.0;
            gap.length_m += length;
            gap.width_m = gap.width_m.max(strip.near).max(strip.far);
            gap.strips.0.push(drawn(from, to, &strip, &plane));
        }
    }
    Ok(gap)
}

/// What of the segment `c`–`d` lies in front of `a`–`b`, to the right, within the width.
fn strip(a: Coord<f64>, b: Coord<f64>, c: Coord<f64>, d: Coord<f64>, width_m: f64) -> Option<Strip> {
    let length = (b.x - a.x).hypot(b.y - a.y);
    let (ux, uy) = ((b.x - a.x) / length, (b.y - a.y) / length);
    let along = |p: Coord<f64>| (p.x - a.x) * ux + (p.y - a.y) * uy;
    let out = |p: Coord<f64>| (p.x - a.x) * uy - (p.y - a.y) * ux;
    let (mut low, mut high) = ((along(c), out(c)), (along(d), out(d)));
    // Its land is on its left, so it shows us its back where it runs the other way.
    let faces = low.0 > high.0;
    if faces {
        std::mem::swap(&mut low, &mut high);
    }
    let slope = (high.1 - low.1) / (high.0 - low.0);
    // Square to the edge: no strip in front of it.
    if !slope.is_finite() {
        return None;
    }
    // One that turns away at a corner was never meant to run along: it only ends the view.
    let faces = faces && slope.abs() <= 1.0 / SLENDER;
    let at = |t: f64| low.1 + (t - low.0) * slope;
    let (mut from, mut to) = (low.0.max(0.0), high.0.min(length));
    // Between the edge itself and the width.
    for (limit, below) in [(0.0, false), (width_m, true)] {
        if slope == 0.0 {
            if (low.1 > limit) == below {
                return None;
            }
        } else {
            let crossing = low.0 + (limit - low.1) / slope;
            if (slope > 0.0) == below { to = to.min(crossing) } else { from = from.max(crossing) }
        }
    }
    (to > from).then(|| Strip { faces, from, to, near: at(from).max(0.0), far: at(to).max(0.0) })
}

/// Of strips one behind the other, the nearest at each place. (Boundaries do not cross themselves, so neither do strips.)
fn nearest(mut strips: Vec<Strip>) -> Vec<Strip> {
    let mut cuts: Vec<f64> = strips.iter().flat_map(|s| [s.from, s.to]).collect();
    cuts.sort_unstable_by(f64::total_cmp);
    cuts.dedup();
    strips.sort_unstable_by(|s, t| s.from.total_cmp(&t.from));
    let pieces = cuts.windows(2).filter_map(|cut| {
        let middle = (cut[0] + cut[1]) / 2.0;
        let over = strips.iter().filter(|s| s.from <= middle && middle <= s.to);
        let first = over.min_by(|s, t| s.height(middle).total_cmp(&t.height(middle)))?;
        let strip = Strip { from: cut[0], to: cut[1], near: first.height(cut[0]), far: first.height(cut[1]), ..*first };
        strip.faces.then_some(strip)
    });
    pieces.collect()
}

fn drawn(a: Coord<f64>, b: Coord<f64>, strip: &Strip, plane: &Plane) -> Polygon<f64> {
    let length = (b.x - a.x).hypot(b.y - a.y);
    let (ux, uy) = ((b.x - a.x) / length, (b.y - a.y) / length);
    let at =
        |along: f64, out: f64| plane.from(Coord { x: a.x + along * ux + out * uy, y: a.y + along * uy - out * ux });
    let corners =
        [(strip.from, 0.0), (strip.from, strip.near), (strip.to, strip.far), (strip.to, 0.0), (strip.from, 0.0)];
    Polygon::new(corners.iter().map(|(along, out)| at(*along, *out)).collect::<LineString<f64>>(), Vec::new())
}
