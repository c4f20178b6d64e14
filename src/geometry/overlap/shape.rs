//! A shape made ready for comparing: its rings in place, and a tree over their edges.
//!
//! The tree has no copy of an edge. Edges that follow each other lie together, so a node is a run of one ring and its box; a ray
//! that passes west of a run crosses it as often, up to a pair, as its two ends tell.

use std::sync::OnceLock;

use geo::{Coord, LineString, MultiPolygon, Polygon};

use super::work::{Stopped, Work};
use crate::geometry::area;
use crate::geometry::flat::FlatGeometry;
use crate::geometry::segments::{Side, on_segment, orient};
use geo::algorithm::kernels::Orientation;

/// Edges of a leaf.
const LEAF: u32 = 8;

pub(super) type Bbox = [f64; 4];

/// One ring: closed, the first point again at its end.
#[derive(Debug)]
pub(super) struct Ring<'a> {
    pub coords: &'a [Coord<f64>],
    /// +1 where the land lies on the left as the ring runs, −1 where on the right.
    pub sign: f64,
    /// The outer border of a part; its holes follow it.
    pub is_shell: bool,
    /// Its tree's root.
    root: u32,
}

/// A run of edges of one ring, or the rings below.
#[derive(Debug)]
struct Node {
    bbox: Bbox,
    /// The node to go on with where this one is passed over.
    next: u32,
    ring: u32,
    /// The first edge and the one behind the last; the same where rings are below.
    from: u32,
    to: u32,
}

impl Node {
    fn is_leaf(&self) -> bool {
        self.to > self.from && self.to - self.from <= LEAF
    }
}

/// An edge by ring and position of its first point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EdgeId {
    pub ring: u32,
    pub edge: u32,
}

/// A valid areal shape, made ready. Making it costs about as much as reading it once.
#[derive(Debug)]
pub struct Shape<'a> {
    pub(super) rings: Vec<Ring<'a>>,
    nodes: Vec<Node>,
    bbox: Option<Bbox>,
    area: OnceLock<f64>,
}

impl<'a> Shape<'a> {
    pub fn of_multi_polygon(geometry: &'a MultiPolygon<f64>) -> Self {
        Self::of(geometry.iter().flat_map(|polygon| {
            std::iter::once((polygon.exterior().0.as_slice(), true))
                .chain(polygon.interiors().iter().map(|hole| (hole.0.as_slice(), false)))
        }))
    }

    /// `None` where it has no area: points and lines share no land with anything.
    pub fn of_flat(geometry: &'a FlatGeometry) -> Option<Self> {
        geometry
            .kind()
            .is_areal()
            .then(|| Self::of(geometry.parts().flat_map(|rings| rings.enumerate().map(|(at, ring)| (ring, at == 0)))))
    }

    /// Of rings, each with whether it is a shell.
    fn of(rings: impl Iterator<Item = (&'a [Coord<f64>], bool)>) -> Self {
        let mut shape = Shape { rings: Vec::new(), nodes: Vec::new(), bbox: None, area: OnceLock::new() };
        for (coords, is_shell) in rings.filter(|(coords, _)| coords.len() >= 4) {
            let sign = turn(coords) * if is_shell { 1.0 } else { -1.0 };
            shape.rings.push(Ring { coords, sign, is_shell, root: 0 });
        }
        let mut order: Vec<(u32, Bbox)> =
            shape.rings.iter().enumerate().map(|(at, ring)| (at as u32, bbox_of(ring.coords))).collect();
        if !order.is_empty() {
            shape.bbox = Some(shape.plant_rings(&mut order));
        }
        shape
    }

    /// Rings that lie together share a node; an even cut along the longer side.
    fn plant_rings(&mut self, rings: &mut [(u32, Bbox)]) -> Bbox {
        if let [(ring, _)] = rings {
            let ring = *ring;
            self.rings[ring as usize].root = self.nodes.len() as u32;
            let edges = self.rings[ring as usize].coords.len() as u32 - 1;
            return self.plant_run(ring, 0, edges);
        }
        let whole = rings.iter().fold(NOTHING, |all, (_, one)| union(all, *one));
        let at = self.nodes.len();
        self.nodes.push(Node { bbox: whole, next: 0, ring: 0, from: 0, to: 0 });
        let axis = usize::from(whole[3] - whole[1] > whole[2] - whole[0]);
        let middle = rings.len() / 2;
        rings.select_nth_unstable_by(middle, |(_, a), (_, b)| {
            (a[axis] + a[axis + 2]).total_cmp(&(b[axis] + b[axis + 2]))
        });
        let (left, right) = rings.split_at_mut(middle);
        self.plant_rings(left);
        self.plant_rings(right);
        self.nodes[at].next = self.nodes.len() as u32;
        whole
    }

    fn plant_run(&mut self, ring: u32, from: u32, to: u32) -> Bbox {
        let at = self.nodes.len();
        self.nodes.push(Node { bbox: NOTHING, next: 0, ring, from, to });
        let bbox = if to - from <= LEAF {
            bbox_of(&self.rings[ring as usize].coords[from as usize..=to as usize])
        } else {
            // Whole leaves to the left, so that few are half empty.
            let leaves = (to - from).div_ceil(LEAF);
            let middle = from + leaves.div_ceil(2) * LEAF;
            union(self.plant_run(ring, from, middle), self.plant_run(ring, middle, to))
        };
        self.nodes[at].bbox = bbox;
        self.nodes[at].next = self.nodes.len() as u32;
        bbox
    }

    /// West, south, east, north; `None` of an empty shape.
    pub fn bbox(&self) -> Option<Bbox> {
        self.bbox
    }

    /// Ellipsoidal, m².
    pub fn area_m2(&self) -> f64 {
        *self.area.get_or_init(|| {
            let west = self.bbox.map_or(0.0, |b| b[0]);
            let ring = |ring: &Ring| -> f64 {
                let sum: f64 = ring.coords.windows(2).map(|e| area::edge_area(e[0], e[1], west)).sum();
                sum * ring.sign
            };
            self.rings.iter().map(ring).sum()
        })
    }

    pub(super) fn ring_bbox(&self, ring: u32) -> Bbox {
        self.nodes[self.rings[ring as usize].root as usize].bbox
    }

    /// Calls `found` with each edge that has a length and whose box meets this one, in no order that matters.
    pub(super) fn edges_meeting(
        &self,
        bbox: &Bbox,
        work: &mut Work,
        mut found: impl FnMut(EdgeId, Coord<f64>, Coord<f64>),
    ) -> Result<(), Stopped> {
        let (mut at, mut looked_at) = (0, 0);
        while let Some(node) = self.nodes.get(at) {
            looked_at += 1;
            if !meets(&node.bbox, bbox) {
                at = node.next as usize;
                continue;
            }
            if node.is_leaf() {
                let coords = &self.rings[node.ring as usize].coords[node.from as usize..=node.to as usize];
                for (offset, edge) in coords.windows(2).enumerate() {
                    let (a, b) = (edge[0], edge[1]);
                    if edge_meets(a, b, bbox) && a != b {
                        found(EdgeId { ring: node.ring, edge: node.from + offset as u32 }, a, b);
                    }
                }
                looked_at += u64::from(node.to - node.from);
            }
            at += 1;
        }
        work.spend(looked_at)
    }

    /// Even–odd over all rings at once, which for a valid shape is inside, in a hole, or outside. Exact for the given point.
    pub(super) fn side(&self, p: Coord<f64>, work: &mut Work) -> Result<Side, Stopped> {
        let (mut inside, mut at, mut looked_at) = (false, 0, 0);
        let crosses = |a: Coord<f64>, b: Coord<f64>| (a.y > p.y) != (b.y > p.y);
        while let Some(node) = self.nodes.get(at) {
            looked_at += 1;
            let [west, south, east, north] = node.bbox;
            if p.y < south || p.y > north || p.x > east {
                at = node.next as usize;
                continue;
            }
            if node.to > node.from && p.x < west {
                let coords = self.rings[node.ring as usize].coords;
                inside ^= crosses(coords[node.from as usize], coords[node.to as usize]);
                at = node.next as usize;
                continue;
            }
            if node.is_leaf() {
                let coords = &self.rings[node.ring as usize].coords[node.from as usize..=node.to as usize];
                for edge in coords.windows(2) {
                    let (a, b) = (edge[0], edge[1]);
                    if on_segment(a, b, p) {
                        work.spend(looked_at)?;
                        return Ok(Side::Boundary);
                    }
                    if crosses(a, b) {
                        let upward = b.y > a.y;
                        inside ^= upward == (orient(a, b, p) == Orientation::CounterClockwise);
                    }
                }
                looked_at += u64::from(node.to - node.from);
            }
            at += 1;
        }
        work.spend(looked_at)?;
        Ok(if inside { Side::Inside } else { Side::Outside })
    }

    /// An order of shapes by their numbers alone, so that a pair is compared from the same side whoever asks.
    pub(super) fn before(&self, other: &Self) -> bool {
        let numbers = |shape: &Self| {
            let bbox = shape.bbox.unwrap_or(NOTHING);
            (bbox, shape.rings.len(), shape.vertices())
        };
        let (own, others) = (numbers(self), numbers(other));
        let by_box = own.0.iter().zip(&others.0).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne());
        let order = by_box.unwrap_or_else(|| (own.1, own.2).cmp(&(others.1, others.2)));
        let points = |shape: &'_ Self| shape.rings.iter().flat_map(|ring| ring.coords).copied().collect::<Vec<_>>();
        order
            .then_with(|| {
                let pairs = points(self).into_iter().zip(points(other));
                let orders = pairs.map(|(p, q)| p.x.total_cmp(&q.x).then(p.y.total_cmp(&q.y)));
                orders.into_iter().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
            })
            .is_le()
    }

    /// Whether a point lies inside, not only on the boundary.
    pub fn holds(&self, p: Coord<f64>, work: &mut Work) -> Result<bool, Stopped> {
        Ok(self.side(p, work)? == Side::Inside)
    }

    /// A copy as `geo` has it.
    pub fn to_multi_polygon(&self) -> MultiPolygon<f64> {
        let mut polygons: Vec<Polygon<f64>> = Vec::new();
        for ring in &self.rings {
            let line = LineString(ring.coords.to_vec());
            match polygons.last_mut() {
                Some(last) if !ring.is_shell => last.interiors_push(line),
                _ => polygons.push(Polygon::new(line, Vec::new())),
            }
        }
        MultiPolygon(polygons)
    }

    /// Points that the shape was given with.
    pub fn vertices(&self) -> usize {
        self.rings.iter().map(|ring| ring.coords.len() - 1).sum()
    }
}

pub(super) const NOTHING: Bbox = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];

pub(super) fn union(a: Bbox, b: Bbox) -> Bbox {
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

/// What two boxes have in common; `None` where not even a point.
pub(super) fn common(a: &Bbox, b: &Bbox) -> Option<Bbox> {
    meets(a, b).then(|| [a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])])
}

pub(super) fn meets(a: &Bbox, b: &Bbox) -> bool {
    a[0] <= b[2] && a[2] >= b[0] && a[1] <= b[3] && a[3] >= b[1]
}

pub(super) fn holds(bbox: &Bbox, p: Coord<f64>) -> bool {
    p.x >= bbox[0] && p.x <= bbox[2] && p.y >= bbox[1] && p.y <= bbox[3]
}

pub(super) fn edge_meets(a: Coord<f64>, b: Coord<f64>, bbox: &Bbox) -> bool {
    a.x.min(b.x) <= bbox[2] && a.x.max(b.x) >= bbox[0] && a.y.min(b.y) <= bbox[3] && a.y.max(b.y) >= bbox[1]
}

/// The box of a shape that is not made ready.
pub(super) fn bbox_of_shape(geometry: &MultiPolygon<f64>) -> Option<Bbox> {
    let rings = geometry.iter().map(|polygon| bbox_of(&polygon.exterior().0));
    rings.reduce(union).filter(|bbox| bbox[0] <= bbox[2])
}

fn bbox_of(coords: &[Coord<f64>]) -> Bbox {
    coords.iter().fold(NOTHING, |b, c| [b[0].min(c.x), b[1].min(c.y), b[2].max(c.x), b[3].max(c.y)])
}

/// +1 where a closed ring turns left, −1 where right.
fn turn(coords: &[Coord<f64>]) -> f64 {
    // In the plane of degrees, near the ring: only the sign is wanted.
    let origin = coords[0];
    let cross =
        |e: &[Coord<f64>]| (e[0].x - origin.x) * (e[1].y - origin.y) - (e[1].x - origin.x) * (e[0].y - origin.y);
    if coords.windows(2).map(cross).sum::<f64>() < 0.0 { -1.0 } else { 1.0 }
}
