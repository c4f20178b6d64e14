//! Overlap: which shapes touch, which share land, and how much, in ellipsoidal m².
//!
//! Both boundaries are cut where they meet ([`meet`]); the runs that bound the common land add up to its area ([`land`]). Where edges
//! run along each other so closely that rounding decides who is inside, the runs do not close; then an overlay decides, in a frame of
//! the common box.
//!
//! Inputs must be valid (`validity::check`): an invalid shape has no inside to speak of. Never: a panic on valid input.

mod depth;
mod encounter;
mod gap;
mod land;
mod meet;
mod overlay;
mod shape;
mod work;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use geo::MultiPolygon;
use rayon::prelude::*;
use rstar::{AABB, RTree, primitives::GeomWithData, primitives::Rectangle};

pub use encounter::{Encounter, Rest, encounter, rest};
pub use gap::Gap;
pub use shape::Shape;
pub use work::{Stopped, Work};

use super::area;
use crate::domain::SquareMetres;
use land::Border;

/// Common area below this is contact, not overlap: one square centimetre, far under what a millimetre of rounding
/// along a kilometre of shared edge makes (1 m²), far over what doubles lose.
pub const CONTACT_M2: f64 = 1e-4;

/// An overlay snaps to a grid of about a micrometre, so common land below this may be its making.
const OVERLAY_CONTACT_M2: f64 = 1e-2;

/// Common land below this is none, whatever its form.
const LEAST_M2: f64 = 1e-6;

/// Common land is rounding where it is narrower than this all along: a step of a double near 112° is 1.6e-9 m, and a cut may be off by
/// one on either boundary.
const ROUNDING_M: f64 = 4e-9;

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

/// What two shapes have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Common {
    /// 0 where they only touch.
    pub area_m2: f64,
    /// Whether the boundaries have a point in common.
    pub touches: bool,
    /// Whether an overlay measured it, to its grid.
    pub overlaid: bool,
}

/// Measures what two valid shapes have in common; `None` where they are apart.
pub fn measure(a: &Shape, b: &Shape, work: &mut Work) -> Result<Option<Common>, Stopped> {
    let (Some(box_a), Some(box_b)) = (a.bbox(), b.bbox()) else { return Ok(None) };
    let Some(met) = meet::meet(a, b, work)? else { return Ok(None) };
    let touches = met.touches;
    // Wholly inside: the shape has an area of its own, reckoned once.
    if let Some(inner) = met.whole(a, b) {
        return Ok(Some(Common { area_m2: inner.area_m2(), touches, overlaid: false }));
    }
    let border = Border::of_common(&met, a, b);
    let (area_m2, overlaid) = if border.closes(work)? {
        let area = border.area_m2(box_a[0].max(box_b[0]));
        (if encounter::is_rounding(area, || border.length_m()) { 0.0 } else { area }, false)
    } else {
        let area = area::ellipsoidal(&overlay::common_land(a, b, met.cuts())?).value();
        (if area <= OVERLAY_CONTACT_M2 { 0.0 } else { area }, true)
    };
    Ok((area_m2 > 0.0 || touches).then_some(Common { area_m2, touches, overlaid }))
}

/// Common area of two shapes; zero where they only touch.
#[cfg(test)]
fn common_area(a: &MultiPolygon<f64>, b: &MultiPolygon<f64>) -> SquareMetres {
    match relate(&Shape::of_multi_polygon(a), &Shape::of_multi_polygon(b), &mut Work::of_one_pair()) {
        Ok(Some(Relation::Overlap { area })) => area,
        _ => SquareMetres::ZERO,
    }
}

type BoxTree = RTree<GeomWithData<Rectangle<[f64; 2]>, usize>>;

fn prepare<'a>(shapes: &[&'a MultiPolygon<f64>]) -> Vec<Shape<'a>> {
    shapes.par_iter().map(|g| Shape::of_multi_polygon(g)).collect()
}

fn boxes(prepared: &[Shape<'_>]) -> BoxTree {
    let entries = prepared.iter().enumerate().filter_map(|(i, shape)| {
        let [west, south, east, north] = shape.bbox()?;
        Some(GeomWithData::new(Rectangle::from_corners([west, south], [east, north]), i))
    });
    RTree::bulk_load(entries.collect())
}

/// Pairs whose boxes meet, the first [`MAX_COMPARED`] and one more.
fn candidates(left: &[Shape<'_>], tree: &BoxTree, same_layer: bool) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (a, shape) in left.iter().enumerate() {
        let Some([west, south, east, north]) = shape.bbox() else { continue };
        for entry in tree.locate_in_envelope_intersecting(&AABB::from_corners([west, south], [east, north])) {
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
fn relate_all(left: &[Shape<'_>], right: &[Shape<'_>], mut candidates: Vec<(usize, usize)>, most: usize) -> Pairs {
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
            related.map_err(|_| (a, b)).map(|found| found.map(|relation| Pair { a, b, relation })).transpose()
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

fn relate(a: &Shape<'_>, b: &Shape<'_>, work: &mut Work) -> Result<Option<Relation>, Stopped> {
    let Some(common) = measure(a, b, work)? else { return Ok(None) };
    Ok(if common.area_m2 > CONTACT_M2 {
        SquareMetres::new(common.area_m2).map(|area| Relation::Overlap { area })
    } else {
        common.touches.then_some(Relation::Touch)
    })
}

#[cfg(test)]
mod encounter_tests;
#[cfg(test)]
mod jts_tests;
#[cfg(test)]
mod tests;
