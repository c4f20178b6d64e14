//! Overlap: which shapes touch, which share land, and how much, in ellipsoidal m².
//!
//! The common area is a boundary integral: the pieces of each boundary that lie inside the other shape bound the common
//! land, and the survey formula adds up over pieces of edges. No overlay polygon is built, so there is no integer grid
//! whose step grows with the extent, and shapes that share an edge up to rounding give their true sliver. Where edges run
//! along each other so closely that rounding decides who is inside, the pieces do not close; then an overlay decides.
//!
//! Inputs must be valid (`validity::check`): an invalid shape has no inside to speak of. Never: a panic on valid input.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use geo::{BooleanOps, BoundingRect, Coord, MultiPolygon};
use rayon::prelude::*;
use rstar::{AABB, RTree, RTreeObject, primitives::GeomWithData, primitives::Rectangle};

use super::area;
use super::boundary::{Edges, Piece, TooComplex, Work, contacts};
use super::segments::Side;
use crate::domain::SquareMetres;

/// Common area below this is contact, not overlap: one square centimetre, far under what a millimetre of rounding
/// along a kilometre of shared edge makes (1 m²), far over what doubles lose.
pub const CONTACT_M2: f64 = 1e-4;

/// Ends of the common land's boundary this close are one point: 0.01 mm in degrees. What a gap of it adds or loses on a
/// kilometre is a hundredth of a square metre.
const ONE_POINT_DEG: f64 = 1e-10;

/// Boxes of shells this close may be boxes of one shell: a millimetre, what rewriting a file rounds to.
const COINCIDE_DEG: f64 = 1e-8;

/// An overlay snaps to a grid of about a micrometre, so common land below this may be its making.
const OVERLAY_CONTACT_M2: f64 = 1e-2;

/// Candidates that are related at once, on all cores, before the number of overlaps is looked at.
const STRETCH: usize = 16_384;

/// How two shapes meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Relation {
    /// Common points, no common land.
    Touch,
    /// Common land.
    Overlap { area: SquareMetres },
}

/// A pair of shapes by their positions in the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    pub a: usize,
    pub b: usize,
    pub relation: Relation,
}

/// Pairs of boxes that are compared at most. Neighbours of a parcel are a handful, so that a hundred thousand parcels
/// make a million; shapes lying on one another make the square of their number.
pub const MAX_COMPARED: usize = 4_000_000;

/// Pairs in the order of (a, b).
#[derive(Debug, Clone, PartialEq)]
pub struct Pairs {
    pub list: Vec<Pair>,
    /// False where the comparison stopped at a bound: there may be more pairs.
    pub complete: bool,
    /// Pairs whose boundaries meet too often to be compared.
    pub too_complex: Vec<(usize, usize)>,
}

/// For all pairs of a comparison: some ten seconds on two cores. A hundred thousand parcels take a tenth.
const MOST_STEPS_IN_ALL: u64 = 1_000_000_000;
/// Pieces of boundary that bound the common land of one pair.
const MOST_PIECES: usize = 1_000_000;
/// Meetings of two boundaries that a general overlay, which cannot be stopped, is still asked to resolve.
const MOST_OVERLAID: usize = 300_000;

/// The pairs within one layer that touch or overlap, a < b; the comparison stops soon after `most` overlaps.
pub fn pairs(shapes: &[&MultiPolygon<f64>], most: usize) -> Pairs {
    let prepared = prepare(shapes);
    let tree = boxes(&prepared);
    relate_all(&prepared, &prepared, candidates(&prepared, &tree, true), most)
}

/// The pairs between two layers that touch or overlap; the comparison stops soon after `most` overlaps.
pub fn between(left: &[&MultiPolygon<f64>], right: &[&MultiPolygon<f64>], most: usize) -> Pairs {
    let (left, right) = (prepare(left), prepare(right));
    let tree = boxes(&right);
    relate_all(&left, &right, candidates(&left, &tree, false), most)
}

/// Common area of two shapes; zero where they only touch.
#[cfg(test)]
fn common_area(a: &MultiPolygon<f64>, b: &MultiPolygon<f64>) -> SquareMetres {
    match relate(&Prepared::new(a), &Prepared::new(b), &mut Work::of_one_pair()) {
        Ok(Some(Relation::Overlap { area })) => area,
        _ => SquareMetres::ZERO,
    }
}

/// A shape with what comparing it needs, made when first asked for.
struct Prepared<'a> {
    geometry: &'a MultiPolygon<f64>,
    envelope: Option<AABB<[f64; 2]>>,
    /// Apart: most shapes are never asked for them.
    edges: OnceLock<Box<Edges>>,
}

impl<'a> Prepared<'a> {
    fn new(geometry: &'a MultiPolygon<f64>) -> Self {
        let envelope =
            geometry.bounding_rect().map(|r| AABB::from_corners([r.min().x, r.min().y], [r.max().x, r.max().y]));
        Self { geometry, envelope, edges: OnceLock::new() }
    }

    fn edges(&self) -> &Edges {
        self.edges.get_or_init(|| Box::new(Edges::of(self.geometry)))
    }
}

type BoxTree = RTree<GeomWithData<Rectangle<[f64; 2]>, usize>>;

fn prepare<'a>(shapes: &[&'a MultiPolygon<f64>]) -> Vec<Prepared<'a>> {
    shapes.par_iter().map(|g| Prepared::new(g)).collect()
}

fn boxes(prepared: &[Prepared<'_>]) -> BoxTree {
    let entries = prepared
        .iter()
        .enumerate()
        .filter_map(|(i, p)| p.envelope.map(|e| GeomWithData::new(Rectangle::from_corners(e.lower(), e.upper()), i)));
    RTree::bulk_load(entries.collect())
}

/// Pairs whose boxes meet, the first [`MAX_COMPARED`] and one more.
fn candidates(left: &[Prepared<'_>], tree: &BoxTree, same_layer: bool) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (a, shape) in left.iter().enumerate() {
        let Some(envelope) = &shape.envelope else { continue };
        for entry in tree.locate_in_envelope_intersecting(envelope) {
            if !same_layer || entry.data > a {
                found.push((a, entry.data));
            }
            if found.len() > MAX_COMPARED {
                break;
            }
        }
    }
    found.sort_unstable();
    found
}

/// Relates the candidates on all cores, a stretch at a time, until enough overlaps are known.
fn relate_all(
    left: &[Prepared<'_>],
    right: &[Prepared<'_>],
    mut candidates: Vec<(usize, usize)>,
    most: usize,
) -> Pairs {
    let mut complete = candidates.len() <= MAX_COMPARED;
    candidates.truncate(MAX_COMPARED);
    let mut list = Vec::new();
    let mut too_complex = Vec::new();
    let mut overlaps = 0;
    let spent = AtomicU64::new(0);
    for stretch in candidates.chunks(STRETCH) {
        if overlaps >= most || spent.load(Relaxed) > MOST_STEPS_IN_ALL {
            complete = false;
            break;
        }
        let relate = |&(a, b): &(usize, usize)| {
            if spent.load(Relaxed) > MOST_STEPS_IN_ALL {
                return None;
            }
            let mut work = Work::of_one_pair();
            let related = relate(&left[a], &right[b], &mut work);
            spent.fetch_add(work.spent(), Relaxed);
            related.map_err(|TooComplex| (a, b)).map(|found| found.map(|relation| Pair { a, b, relation })).transpose()
        };
        let found: Vec<Result<Pair, (usize, usize)>> = stretch.par_iter().filter_map(relate).collect();
        complete &= spent.load(Relaxed) <= MOST_STEPS_IN_ALL;
        for found in found {
            match found {
                Ok(pair) => {
                    overlaps += usize::from(matches!(pair.relation, Relation::Overlap { .. }));
                    list.push(pair);
                }
                Err(pair) => too_complex.push(pair),
            }
        }
    }
    Pairs { list, complete, too_complex }
}

fn relate(a: &Prepared<'_>, b: &Prepared<'_>, work: &mut Work) -> Result<Option<Relation>, TooComplex> {
    let (Some(box_a), Some(box_b)) = (a.envelope.as_ref(), b.envelope.as_ref()) else { return Ok(None) };
    let l0 = box_a.lower()[0];
    let mut common = Inner::default();
    common.add(a.edges(), b.edges(), box_b, l0, true, work)?;
    common.add(b.edges(), a.edges(), box_a, l0, false, work)?;
    let sure = common.closes(work)? && !coincide(a, b);
    let (area, contact) = if sure {
        (common.area, CONTACT_M2)
    } else if common.cuts > MOST_OVERLAID {
        return Err(TooComplex);
    } else {
        (area::ellipsoidal(&a.geometry.intersection(b.geometry)).value(), OVERLAY_CONTACT_M2)
    };
    Ok(if area > contact {
        SquareMetres::new(area).map(|area| Relation::Overlap { area })
    } else {
        common.met.then_some(Relation::Touch)
    })
}

/// True where a part of one is a part of the other up to rounding, but not to the bit: every piece of both boundaries is
/// then inside or outside by accident, and none may be left to tell of the common land.
fn coincide(a: &Prepared<'_>, b: &Prepared<'_>) -> bool {
    let near = |p: [f64; 2], q: [f64; 2]| (p[0] - q[0]).abs() <= COINCIDE_DEG && (p[1] - q[1]).abs() <= COINCIDE_DEG;
    a.edges().shells.iter().enumerate().any(|(i, s)| {
        b.edges().shells.iter().enumerate().any(|(j, t)| {
            near(s.lower(), t.lower())
                && near(s.upper(), t.upper())
                && a.geometry.0[i].exterior() != b.geometry.0[j].exterior()
        })
    })
}

/// The common land by the pieces of both boundaries that bound it.
#[derive(Default)]
struct Inner {
    /// Signed area under the pieces.
    area: f64,
    /// Whether the boundaries meet at all.
    met: bool,
    /// How often the boundaries meet.
    cuts: usize,
    /// Runs of pieces, from and to, with the land on the left.
    runs: Vec<(Coord<f64>, Coord<f64>)>,
}

impl Inner {
    /// Adds the pieces of `own`'s boundary that lie inside `other`. Stretches that both boundaries run along in the same
    /// sense belong to both; `takes_shared` counts them once.
    fn add(
        &mut self,
        own: &Edges,
        other: &Edges,
        other_box: &AABB<[f64; 2]>,
        l0: f64,
        takes_shared: bool,
        work: &mut Work,
    ) -> Result<(), TooComplex> {
        let mut state: Option<Side> = None;
        let mut last: Option<(usize, usize, usize)> = None;
        for s in &own.list {
            // The state carries over only along one ring, from one edge to the next.
            if last != Some((s.part, s.ring, s.order.wrapping_sub(1))) {
                state = None;
            }
            last = Some((s.part, s.ring, s.order));
            if !rstar::Envelope::intersects(&s.envelope(), other_box) {
                state = Some(Side::Outside);
                continue;
            }
            let contacts = contacts(s, other, work)?;
            if self.runs.len() > MOST_PIECES {
                return Err(TooComplex);
            }
            let meets = !contacts.cuts.is_empty();
            self.met |= meets;
            self.cuts += contacts.cuts.len();
            for piece in contacts.pieces() {
                if piece.begins_at_contact {
                    state = None;
                }
                if let Some(same_sense) = contacts.shared_sense(&piece, own.sign(s)) {
                    if same_sense && takes_shared {
                        self.take(&piece, own.sign(s), l0);
                    }
                    state = None;
                    continue;
                }
                let side = match state {
                    Some(side) => side,
                    None => {
                        let (from, to) = (piece.from, piece.to);
                        other.side(Coord { x: (from.x + to.x) / 2.0, y: (from.y + to.y) / 2.0 }, work)?
                    }
                };
                state = Some(side);
                if side == Side::Inside {
                    self.take(&piece, own.sign(s), l0);
                }
                if piece.ends_at_contact {
                    state = None;
                }
            }
            if meets {
                // The last piece may be a hair long, or a hair off the other boundary: its side is not handed on.
                state = None;
            }
        }
        Ok(())
    }

    fn take(&mut self, piece: &Piece, sign: f64, l0: f64) {
        self.area += sign * area::edge_area(piece.from, piece.to, l0);
        let (from, to) = if sign < 0.0 { (piece.to, piece.from) } else { (piece.from, piece.to) };
        match self.runs.last_mut() {
            Some(run) if run.1 == from => run.1 = to,
            Some(run) if run.0 == to => run.0 = from,
            _ => self.runs.push((from, to)),
        }
    }

    /// True where every run ends where another begins: only then do the pieces bound land.
    fn closes(&self, work: &mut Work) -> Result<bool, TooComplex> {
        let mut starts: Vec<(Coord<f64>, bool)> = self.runs.iter().map(|run| (run.0, false)).collect();
        starts.sort_unstable_by(|a, b| a.0.x.total_cmp(&b.0.x));
        for &(_, end) in &self.runs {
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
}

#[cfg(test)]
#[path = "overlap_tests.rs"]
mod tests;
