//! Rings → polygons: hole or second part is decided by containment, never by number (both uses of 圈号 exist).

use geo::{Coord, LineString, MultiPolygon, Polygon};
use rstar::primitives::{GeomWithData, Rectangle};
use rstar::{AABB, Envelope, RTree, RTreeObject, SelectionFunction};

use super::area;
use super::segments::{Rays, Side};
use crate::domain::{Finding, Place};

/// The polygons, and where each input ring went.
#[derive(Debug, Clone, PartialEq)]
pub struct Assembled {
    pub geometry: MultiPolygon<f64>,
    /// For each ring given: part and ring, counted from 1.
    pub placement: Vec<(u32, u32)>,
    pub findings: Vec<Finding>,
}

/// Assembles closed rings. Order, start and direction of the rings stay as given: parts in the order of their outer
/// rings, holes in order behind their shell. An island in a hole is a part of its own. Works for broken rings too: the
/// judgement comes later.
pub fn from_rings(rings: Vec<LineString<f64>>) -> Assembled {
    let areas: Vec<f64> = rings.iter().map(|ring| area::signed_ring_area(ring).abs()).collect();
    let boxes = Boxes::of(&rings);
    let mut findings = Vec::new();
    // The rings around each ring: larger, its box around, and the ring inside it.
    let mut around: Vec<Vec<usize>> = vec![Vec::new(); rings.len()];
    let mut rays = Rays::default();
    let mut near = Vec::new();
    for (i, ring) in rings.iter().enumerate() {
        for j in boxes.around(i, &mut near) {
            let other = &rings[j];
            if i == j {
                continue;
            }
            if areas[i] == areas[j] && same_ring(ring, other) {
                if i > j {
                    findings.push(Finding::error(
                        "duplicate_ring",
                        Place::whole().ring(u32::try_from(i + 1).unwrap_or(u32::MAX)),
                        format!("第 {} 环与第 {} 环完全相同", i + 1, j + 1),
                    ));
                    break;
                }
                continue;
            }
            if areas[j] > areas[i] && is_inside(&mut rays, ring, other) {
                around[i].push(j);
            }
        }
    }
    if rays.exhausted() {
        let message = "各环相接太多，无法在限定的计算量内检查";
        findings.push(Finding::error("geometry_too_complex", Place::whole(), message));
    }
    drop(rays);
    place(rings, &areas, &around, findings)
}

fn place(rings: Vec<LineString<f64>>, areas: &[f64], around: &[Vec<usize>], findings: Vec<Finding>) -> Assembled {
    let is_hole = |i: usize| around[i].len() % 2 == 1;
    let shell_of = |i: usize| {
        // The smallest ring around it that is itself a shell.
        around[i].iter().copied().filter(|&j| !is_hole(j)).min_by(|&a, &b| areas[a].total_cmp(&areas[b]))
    };
    let mut part_of: Vec<usize> = vec![usize::MAX; rings.len()];
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (i, part) in part_of.iter_mut().enumerate() {
        if !is_hole(i) || shell_of(i).is_none() {
            *part = members.len();
            members.push(vec![i]);
        }
    }
    for i in 0..rings.len() {
        if part_of[i] == usize::MAX
            && let Some(shell) = shell_of(i)
        {
            part_of[i] = part_of[shell];
            members[part_of[i]].push(i);
        }
    }
    let mut placement = vec![(0, 0); rings.len()];
    for (part, list) in (1..).zip(&members) {
        for (ring, &i) in (1..).zip(list) {
            placement[i] = (part, ring);
        }
    }
    let mut rings: Vec<Option<LineString<f64>>> = rings.into_iter().map(Some).collect();
    let polygons = members
        .into_iter()
        .map(|list| {
            let mut own = list.into_iter().filter_map(|i| rings[i].take());
            let exterior = own.next().unwrap_or_else(|| LineString::new(Vec::new()));
            Polygon::new(exterior, own.collect())
        })
        .collect();
    Assembled { geometry: MultiPolygon(polygons), placement, findings }
}

/// Up to so many rings, each is held against all: a tree costs more than it spares.
const FEW: usize = 256;

/// A ring that lies in more boxes than this is held against all: sorting what a tree finds would cost more.
const DEEP: usize = 64;

/// The boxes of all rings, and which of them lie around one.
struct Boxes {
    list: Vec<[f64; 4]>,
    /// Where there are many, and all of them finite.
    tree: Option<RTree<GeomWithData<Rectangle<[f64; 2]>, usize>>>,
}

impl Boxes {
    fn of(rings: &[LineString<f64>]) -> Self {
        let list: Vec<[f64; 4]> = rings.iter().map(bounds).collect();
        // (A ring without points lies in every box, which a tree cannot say.)
        let tree = (list.len() > FEW && list.iter().flatten().all(|side| side.is_finite())).then(|| {
            let entry = |(at, [west, south, east, north]): (usize, &[f64; 4])| {
                GeomWithData::new(Rectangle::from_corners([*west, *south], [*east, *north]), at)
            };
            RTree::bulk_load(list.iter().enumerate().map(entry).collect())
        });
        Self { list, tree }
    }

    /// The rings whose boxes lie around that of ring `i`, its own among them, by number whichever way they are found: the rays' work has
    /// an end, and what it is spent on must not hang on a tree's order.
    fn around<'n>(&'n self, i: usize, near: &'n mut Vec<usize>) -> impl Iterator<Item = usize> + 'n {
        near.clear();
        let inner = &self.list[i];
        let mut all = 0..self.list.len();
        if let Some(tree) = &self.tree {
            let own = Around(AABB::from_corners([inner[0], inner[1]], [inner[2], inner[3]]));
            near.extend(tree.locate_with_selection_function(own).map(|entry| entry.data).take(DEEP + 1));
            if near.len() <= DEEP {
                near.sort_unstable();
                all = 0..0;
            } else {
                near.clear();
            }
        }
        near.iter().copied().chain(all.filter(move |j| box_within(inner, &self.list[*j])))
    }
}

/// Finds the boxes around this one.
struct Around(AABB<[f64; 2]>);

impl<T: RTreeObject<Envelope = AABB<[f64; 2]>>> SelectionFunction<T> for Around {
    fn should_unpack_parent(&self, envelope: &AABB<[f64; 2]>) -> bool {
        envelope.contains_envelope(&self.0)
    }

    fn should_unpack_leaf(&self, leaf: &T) -> bool {
        leaf.envelope().contains_envelope(&self.0)
    }
}

fn bounds(ring: &LineString<f64>) -> [f64; 4] {
    ring.coords().fold([f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY], |b, c| {
        [b[0].min(c.x), b[1].min(c.y), b[2].max(c.x), b[3].max(c.y)]
    })
}

fn box_within(inner: &[f64; 4], outer: &[f64; 4]) -> bool {
    inner[0] >= outer[0] && inner[1] >= outer[1] && inner[2] <= outer[2] && inner[3] <= outer[3]
}

/// Inside, judged by the first vertex or edge middle that is not on the other ring.
fn is_inside<'a>(rays: &mut Rays<'a>, ring: &LineString<f64>, other: &'a LineString<f64>) -> bool {
    for edge in ring.0.windows(2) {
        let middle = Coord { x: (edge[0].x + edge[1].x) / 2.0, y: (edge[0].y + edge[1].y) / 2.0 };
        for p in [edge[0], middle] {
            match rays.side(p, other) {
                Side::Inside => return true,
                Side::Outside => return false,
                Side::Boundary => {}
            }
        }
    }
    false
}

/// The same set of vertices, whatever start and direction.
fn same_ring(a: &LineString<f64>, b: &LineString<f64>) -> bool {
    let sorted = |ring: &LineString<f64>| {
        let mut keys: Vec<(u64, u64)> = ring.coords().map(|c| (c.x.to_bits(), c.y.to_bits())).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    };
    a.0.len() == b.0.len() && sorted(a) == sorted(b)
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
