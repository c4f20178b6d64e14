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
mod search;
mod shape;
mod work;

pub use encounter::{Encounter, Rest, encounter, rest};
pub use gap::Gap;
pub use search::{MAX_COMPARED, Pair, Pairs, between, pairs};
pub use shape::Shape;
pub use work::{Stopped, Work};

use crate::domain::SquareMetres;
use land::Border;

/// Common area up to this is contact to whoever judges by area alone: one square centimetre, far under what a millimetre of rounding
/// along a kilometre of shared edge makes (1 m²), far over what doubles lose.
pub const CONTACT_M2: f64 = 1e-4;

/// An overlay snaps to a grid of about a micrometre, so common land below this may be its making.
const OVERLAY_CONTACT_M2: f64 = 1e-2;

/// Common land below this is none, whatever its form.
const LEAST_M2: f64 = 1e-6;

/// Common land is rounding where it is narrower than this all along: a step of a double near 112° is 1.6e-9 m, and a cut may be off by
/// one on either boundary.
const ROUNDING_M: f64 = 4e-9;

/// How two shapes meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Relation {
    /// Common points, no common land.
    Touch,
    /// Common land, however little.
    Overlap { area: SquareMetres },
}

impl Relation {
    /// The common land, where it is more than contact ([`CONTACT_M2`]).
    pub fn beyond_contact(self) -> Option<SquareMetres> {
        match self {
            Relation::Overlap { area } if area.value() > CONTACT_M2 => Some(area),
            Relation::Overlap { .. } | Relation::Touch => None,
        }
    }
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
    // From one side only: rounding must not depend on who asks.
    let (a, b) = if a.before(b) { (a, b) } else { (b, a) };
    let Some(met) = meet::meet(a, b, work)? else { return Ok(None) };
    let touches = met.touches;
    // Wholly inside: the shape has an area of its own, reckoned once.
    if let Some(inner) = met.whole(a, b) {
        return Ok(Some(Common { area_m2: inner.area_m2(), touches, overlaid: false }));
    }
    let encounter::Measured { area_m2, overlay, .. } =
        encounter::measure_land(&met, &Border::of_common(&met, a, b), a, b, work)?;
    Ok((area_m2 > 0.0 || touches).then_some(Common { area_m2, touches, overlaid: overlay.is_some() }))
}

/// How wide land is that has no two borders to be measured between: its mean width, doubled. Metres.
pub fn broad_width_m(land: &geo::MultiPolygon<f64>, area_m2: f64) -> f64 {
    4.0 * area_m2 / overlay::border_length_m(land).max(f64::MIN_POSITIVE)
}

/// Common area of two shapes; zero where they only touch.
#[cfg(test)]
fn common_area(a: &geo::MultiPolygon<f64>, b: &geo::MultiPolygon<f64>) -> SquareMetres {
    match search::relate(&Shape::of_multi_polygon(a), &Shape::of_multi_polygon(b), &mut Work::of_one_pair()) {
        Ok(Some(Relation::Overlap { area })) => area,
        _ => SquareMetres::ZERO,
    }
}

#[cfg(test)]
mod encounter_tests;
#[cfg(test)]
mod jts_tests;
#[cfg(test)]
mod tests;
