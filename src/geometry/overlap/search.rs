//! All pairs of one layer, or between two, that touch or share land.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use geo::MultiPolygon;
use rayon::prelude::*;
use rstar::{AABB, RTree, primitives::GeomWithData, primitives::Rectangle};

use super::shape::{Bbox, Shape, bbox_of_shape};
use super::work::{Stopped, Work};
use super::{Relation, measure};
use crate::domain::SquareMetres;

/// Pairs of boxes that are compared at most. Neighbours of a parcel are a handful, so that a hundred thousand parcels
/// make a million; shapes lying on one another make the square of their number.
pub const MAX_COMPARED: usize = 4_000_000;

/// For all pairs of a comparison: some ten seconds on two cores. A hundred thousand parcels take a tenth.
const MOST_STEPS_IN_ALL: u64 = 1_000_000_000;

/// Candidates that are related at once, on all cores, before the number of overlaps is looked at.
const STRETCH: usize = 16_384;

/// Boxes that are looked up at once.
const LOOKED_UP: usize = 8_192;

/// A pair of shapes by their positions in the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    pub a: usize,
    pub b: usize,
    pub relation: Relation,
}

/// Pairs in the order of (a, b).
#[derive(Debug, Clone, PartialEq)]
pub struct Pairs {
    pub list: Vec<Pair>,
    /// False where the comparison stopped at a bound: there may be more pairs.
    pub complete: bool,
    /// Pairs whose boundaries meet too often to be compared.
    pub too_complex: Vec<(usize, usize)>,
}

/// The pairs within one layer that touch or overlap, a < b; the comparison stops soon after `most` overlaps.
pub fn pairs(shapes: &[&MultiPolygon<f64>], most: usize) -> Pairs {
    let layer = layer_of(shapes);
    let found = meeting(&layer, &tree_of(&layer));
    let once = found.into_par_iter().filter(|(a, b)| a < b).collect();
    relate_all(&layer, &layer, once, most)
}

/// The pairs between two layers that touch or overlap; the comparison stops soon after `most` overlaps.
pub fn between(left: &[&MultiPolygon<f64>], right: &[&MultiPolygon<f64>], most: usize) -> Pairs {
    let (left, right) = (layer_of(left), layer_of(right));
    // The tree is the costly part: it stands over the few, and the many are looked up in it.
    let found = if left.len() < right.len() {
        meeting(&right, &tree_of(&left)).into_par_iter().map(|(b, a)| (a, b)).collect()
    } else {
        meeting(&left, &tree_of(&right))
    };
    relate_all(&left, &right, found, most)
}

/// A shape that is made ready when it is first compared: most lie near no other.
struct Member<'a> {
    geometry: &'a MultiPolygon<f64>,
    bbox: Option<Bbox>,
    shape: OnceLock<Box<Shape<'a>>>,
}

impl<'a> Member<'a> {
    fn shape(&self) -> &Shape<'a> {
        self.shape.get_or_init(|| Box::new(Shape::of_multi_polygon(self.geometry)))
    }
}

fn layer_of<'a>(shapes: &[&'a MultiPolygon<f64>]) -> Vec<Member<'a>> {
    let member =
        |geometry: &&'a MultiPolygon<f64>| Member { geometry, bbox: bbox_of_shape(geometry), shape: OnceLock::new() };
    shapes.par_iter().map(member).collect()
}

type BoxTree = RTree<GeomWithData<Rectangle<[f64; 2]>, usize>>;

fn tree_of(layer: &[Member<'_>]) -> BoxTree {
    let entries = layer.iter().enumerate().filter_map(|(i, member)| {
        let [west, south, east, north] = member.bbox?;
        Some(GeomWithData::new(Rectangle::from_corners([west, south], [east, north]), i))
    });
    RTree::bulk_load(entries.collect())
}

/// Pairs of a member and an entry of the tree whose boxes meet; soon after [`MAX_COMPARED`] no more are looked for.
fn meeting(layer: &[Member<'_>], tree: &BoxTree) -> Vec<(usize, usize)> {
    let count = AtomicUsize::new(0);
    let chunks = layer.par_chunks(LOOKED_UP).enumerate().map(|(chunk, members)| {
        let mut found = Vec::new();
        for (at, member) in members.iter().enumerate() {
            let Some([west, south, east, north]) = member.bbox else { continue };
            let before = found.len();
            for entry in tree.locate_in_envelope_intersecting(&AABB::from_corners([west, south], [east, north])) {
                found.push((chunk * LOOKED_UP + at, entry.data));
                // Shapes that all lie on one another.
                if found.len() > 2 * MAX_COMPARED + 2 {
                    break;
                }
            }
            // Twice as many: within a layer every pair is met from both sides, and each shape by itself.
            if count.fetch_add(found.len() - before, Relaxed) > 2 * MAX_COMPARED + layer.len() {
                break;
            }
        }
        found
    });
    chunks.flatten_iter().collect()
}

/// Relates the candidates on all cores, a stretch at a time, until enough overlaps are known.
fn relate_all(left: &[Member<'_>], right: &[Member<'_>], mut candidates: Vec<(usize, usize)>, most: usize) -> Pairs {
    let mut complete = candidates.len() <= MAX_COMPARED;
    candidates.par_sort_unstable();
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
            let related = relate(left[a].shape(), right[b].shape(), &mut work);
            spent.fetch_add(work.spent(), Relaxed);
            related.map_err(|_| (a, b)).map(|found| found.map(|relation| Pair { a, b, relation })).transpose()
        };
        let found: Vec<Result<Pair, (usize, usize)>> = stretch.par_iter().filter_map(relate).collect();
        complete &= spent.load(Relaxed) <= MOST_STEPS_IN_ALL;
        for found in found {
            match found {
                Ok(pair) => {
                    overlaps += usize::from(pair.relation.beyond_contact().is_some());
                    list.push(pair);
                }
                Err(pair) => too_complex.push(pair),
            }
        }
    }
    Pairs { list, complete, too_complex }
}

pub(super) fn relate(a: &Shape<'_>, b: &Shape<'_>, work: &mut Work) -> Result<Option<Relation>, Stopped> {
    let Some(common) = measure(a, b, work)? else { return Ok(None) };
    let area = SquareMetres::new(common.area_m2).filter(|area| *area > SquareMetres::ZERO);
    Ok(match area {
        Some(area) => Some(Relation::Overlap { area }),
        None => common.touches.then_some(Relation::Touch),
    })
}
