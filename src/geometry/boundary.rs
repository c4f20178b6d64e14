//! A boundary made ready for comparing, where its edges meet another's, and what looking for that may cost.

use geo::{Coord, MultiPolygon};
use rstar::{AABB, RTree, RTreeObject};

use super::area;
use super::segments::{self, Meeting, Segment, Side};

/// Meetings and rays that are looked at for one pair: two shapes of the most vertices with a common border take a twentieth. Combs
/// across each other, each within its limits, would take the product of their teeth.
pub(super) const MOST_STEPS: u64 = 20_000_000;
/// What a comparison may still cost.
pub(super) struct Work {
    pub left: u64,
}

/// The pair was given up.
pub(super) struct TooComplex;

impl Work {
    pub fn of_one_pair() -> Self {
        Self { left: MOST_STEPS }
    }

    pub fn spend(&mut self, steps: u64) -> Result<(), TooComplex> {
        self.left = self.left.checked_sub(steps).ok_or(TooComplex)?;
        Ok(())
    }

    pub fn spent(&self) -> u64 {
        MOST_STEPS - self.left
    }
}

/// The edges of a shape.
pub(super) struct Edges {
    pub list: Vec<Segment>,
    tree: RTree<Segment>,
    /// +1 or −1 per part and ring: turns each ring so that land lies on its left.
    signs: Vec<Vec<f64>>,
    /// The box of each part.
    pub shells: Vec<AABB<[f64; 2]>>,
}

impl Edges {
    pub fn of(geometry: &MultiPolygon<f64>) -> Self {
        let list = segments::segments(geometry);
        let signs = geometry
            .iter()
            .map(|p| {
                let sign = |ring, wanted: f64| area::signed_ring_area(ring).signum() * wanted;
                std::iter::once(sign(p.exterior(), 1.0))
                    .chain(p.interiors().iter().map(|hole| sign(hole, -1.0)))
                    .collect()
            })
            .collect();
        let shell = |p: &geo::Polygon<f64>| {
            let corners = p.exterior().coords().map(|c| [c.x, c.y]).collect::<Vec<_>>();
            AABB::from_points(&corners)
        };
        let shells = geometry.iter().map(shell).collect();
        Edges { tree: segments::index(&list), list, signs, shells }
    }

    pub fn sign(&self, s: &Segment) -> f64 {
        self.signs[s.part][s.ring]
    }

    /// Even–odd over all rings at once, which for a valid shape is inside, in a hole, or outside.
    pub fn side(&self, p: Coord<f64>, work: &mut Work) -> Result<Side, TooComplex> {
        let ray = AABB::from_corners([p.x, p.y], [f64::MAX, p.y]);
        let mut looked_at = 0;
        let met = self.tree.locate_in_envelope_intersecting(&ray).inspect(|_| looked_at += 1);
        let side = segments::side_of_ring(p, met.map(|s| (&s.a, &s.b)));
        work.spend(looked_at)?;
        Ok(side)
    }
}

/// Where one edge meets the other shape's edges.
pub(super) struct Contacts<'a> {
    edge: &'a Segment,
    /// Position along the edge (0–1) and place of every meeting.
    pub cuts: Vec<(f64, Coord<f64>)>,
    /// Stretches along which the two run together: from, to, and whether the other's land lies on the same side as a
    /// ring with sign +1 in this edge's direction.
    shared: Vec<(f64, f64, f64)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub from: Coord<f64>,
    pub to: Coord<f64>,
    middle: f64,
    pub begins_at_contact: bool,
    pub ends_at_contact: bool,
}

pub(super) fn contacts<'a>(s: &'a Segment, other: &Edges, work: &mut Work) -> Result<Contacts<'a>, TooComplex> {
    let mut found = Contacts { edge: s, cuts: Vec::new(), shared: Vec::new() };
    for t in other.tree.locate_in_envelope_intersecting(&s.envelope()) {
        work.spend(1)?;
        match segments::meeting(s, t) {
            Meeting::Apart => {}
            Meeting::Cross(at) | Meeting::Touch(at) => found.cuts.push((found.along(at), at)),
            Meeting::Along(p, q) => {
                let (from, to) = (found.along(p), found.along(q));
                found.cuts.extend([(from, p), (to, q)]);
                let same_direction = (s.b.x - s.a.x) * (t.b.x - t.a.x) + (s.b.y - s.a.y) * (t.b.y - t.a.y) > 0.0;
                let sense = other.sign(t) * if same_direction { 1.0 } else { -1.0 };
                found.shared.push((from.min(to), from.max(to), sense));
            }
        }
    }
    found.cuts.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    Ok(found)
}

impl Contacts<'_> {
    /// Position of a point of this edge, from 0 at its start to 1 at its end, on the longer axis.
    fn along(&self, p: Coord<f64>) -> f64 {
        let (a, b) = (self.edge.a, self.edge.b);
        let t =
            if (b.x - a.x).abs() >= (b.y - a.y).abs() { (p.x - a.x) / (b.x - a.x) } else { (p.y - a.y) / (b.y - a.y) };
        t.clamp(0.0, 1.0)
    }

    /// The edge cut at every meeting; pieces without length are left out.
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(self.cuts.len() + 1);
        let (mut from, mut at, mut contact) = (0.0, self.edge.a, false);
        for &(position, place) in self.cuts.iter() {
            if position > from {
                pieces.push(Piece {
                    from: at,
                    to: place,
                    middle: (from + position) / 2.0,
                    begins_at_contact: contact,
                    ends_at_contact: true,
                });
            }
            (from, at, contact) = (position, place, true);
        }
        if from < 1.0 {
            pieces.push(Piece {
                from: at,
                to: self.edge.b,
                middle: (from + 1.0) / 2.0,
                begins_at_contact: contact,
                ends_at_contact: false,
            });
        }
        pieces
    }

    /// `None` where the piece is not shared; else whether both shapes' land lies on the same side of it.
    pub fn shared_sense(&self, piece: &Piece, own_sign: f64) -> Option<bool> {
        self.shared
            .iter()
            .find(|(from, to, _)| (*from..=*to).contains(&piece.middle))
            .map(|(.., sense)| *sense == own_sign)
    }
}
