//! What a pair of shapes is to each other: measured, and called by its class.

use geo::MultiPolygon;

use super::gap::{self, Gap};
use super::land::{self, Border};
use super::meet::{self, Met, Place};
use super::overlay;
use super::shape::Shape;
use super::work::{Stopped, Work};
use super::{LEAST_M2, OVERLAY_CONTACT_M2, ROUNDING_M};
use crate::domain::overlap::{OverlapClass, Thresholds};
use crate::geometry::area;

/// A pair that meets, seen from `a`.
#[derive(Debug, Clone, PartialEq)]
pub struct Encounter {
    pub class: OverlapClass,
    /// Common land, ellipsoidal; 0 where there is none.
    pub area_m2: f64,
    /// What part of each the common land is, 0 to 1.
    pub share_of_a: f64,
    pub share_of_b: f64,
    /// How wide the common land is, or the gap: nowhere wider than this. `None` where one lies within the other, where they only touch, and
    /// where the border of the common land has too many pieces to be measured; such land is no sliver.
    pub width_m: Option<f64>,
    /// Length of the border that the two share, their land on either side.
    pub shared_edge_m: f64,
    /// Whether the boundaries have a point in common.
    pub touches: bool,
    pub gap: Option<Gap>,
    /// The common land, or the gap; where it was asked for.
    pub land: Option<MultiPolygon<f64>>,
}

/// How two valid shapes meet; `None` where they are apart, or no gap of the thresholds' width lies between them. The land is made where
/// it is to be `drawn`.
pub fn encounter(
    a: &Shape,
    b: &Shape,
    thresholds: &Thresholds,
    drawn: bool,
    work: &mut Work,
) -> Result<Option<Encounter>, Stopped> {
    // From one side only: rounding must not depend on who asks.
    if a.before(b) {
        return seen_from_first(a, b, thresholds, drawn, work);
    }
    Ok(seen_from_first(b, a, thresholds, drawn, work)?.map(Encounter::turned))
}

impl Encounter {
    /// The same pair seen from the other side.
    fn turned(self) -> Self {
        Self { class: self.class.turned(), share_of_a: self.share_of_b, share_of_b: self.share_of_a, ..self }
    }
}

fn seen_from_first(
    a: &Shape,
    b: &Shape,
    thresholds: &Thresholds,
    drawn: bool,
    work: &mut Work,
) -> Result<Option<Encounter>, Stopped> {
    let met = meet::meet(a, b, work)?;
    let found = match &met {
        Some(met) => land_in_common(met, a, b, thresholds, drawn, work)?,
        None => None,
    };
    if let Some(found) = found {
        return Ok(Some(found));
    }
    let touches = met.as_ref().is_some_and(|met| met.touches);
    let shared_edge_m = met.as_ref().map_or(0.0, |met| shared_edge(met, a));
    let gap = if thresholds.gap_width_m() > 0.0 { gap::between(a, b, thresholds.gap_width_m(), work)? } else { None };
    let class = match (&gap, shared_edge_m > 0.0, touches) {
        (Some(_), ..) => OverlapClass::Gap,
        (None, true, _) => OverlapClass::SharedEdge,
        (None, false, true) => OverlapClass::Touch,
        (None, false, false) => return Ok(None),
    };
    let land = if drawn { gap.as_ref().map(|gap| overlay::united(&gap.strips)).transpose()? } else { None };
    let width_m = gap.as_ref().map(|gap| gap.width_m);
    Ok(Some(Encounter {
        class,
        area_m2: 0.0,
        share_of_a: 0.0,
        share_of_b: 0.0,
        width_m,
        shared_edge_m,
        touches,
        gap,
        land,
    }))
}

fn shared_edge(met: &Met, a: &Shape) -> f64 {
    // (The sum of nothing is −0.)
    met.of_a.iter().filter(|run| run.place == Place::Between).map(|run| land::length_m(run, a)).sum::<f64>() + 0.0
}

fn land_in_common(
    met: &Met,
    a: &Shape,
    b: &Shape,
    thresholds: &Thresholds,
    drawn: bool,
    work: &mut Work,
) -> Result<Option<Encounter>, Stopped> {
    let (area_a, area_b) = (a.area_m2(), b.area_m2());
    let shared_edge_m = shared_edge(met, a);
    let shares = |area: f64| ((area / area_a).min(1.0), (area / area_b).min(1.0));
    if let Some(inner) = met.whole(a, b) {
        let class = if std::ptr::eq(inner, b) { OverlapClass::Contains } else { OverlapClass::Within };
        let (area_m2, (share_of_a, share_of_b)) = (inner.area_m2(), shares(inner.area_m2()));
        let land = drawn.then(|| inner.to_multi_polygon());
        return Ok(Some(Encounter {
            class,
            area_m2,
            share_of_a,
            share_of_b,
            width_m: None,
            shared_edge_m,
            touches: met.touches,
            gap: None,
            land,
        }));
    }
    let border = Border::of_common(met, a, b);
    let measured = measure_land(met, &border, a, b, work)?;
    if measured.area_m2 == 0.0 {
        return Ok(None);
    }
    let area_m2 = measured.area_m2;
    let (share_of_a, share_of_b) = shares(area_m2);
    // Nearly all of one: whether the rest counts decides.
    let covered = |share: f64, runs: (&[meet::Run], &[meet::Run]), one: &Shape, other: &Shape, work: &mut Work| {
        if share < 1.0 - thresholds.sliver_share().max(RESTS_MAY_MISS) {
            return Ok(false);
        }
        if measured.overlay.is_some() {
            return overlaid_rest_is_sliver(&overlay::rest(one, other, met.cuts())?, one, thresholds);
        }
        let all = Met::all_of(runs.0, one);
        let rest = Border::of_rest(&all, runs.1, one, other);
        is_nothing_or_sliver(&rest, one, thresholds, work)
    };
    let a_covered = covered(share_of_a, (&met.of_a, &met.of_b), a, b, work)?;
    let b_covered = covered(share_of_b, (&met.of_b, &met.of_a), b, a, work)?;
    let (class, width_m) = match (a_covered, b_covered) {
        (true, true) => (OverlapClass::Identical, None),
        (false, true) => (OverlapClass::Contains, None),
        (true, false) => (OverlapClass::Within, None),
        (false, false) => {
            // A border that an overlay had to resolve gives no lines to measure: its mean width, doubled, stands for it.
            let width = match &measured.overlay {
                Some(land) => Some(super::broad_width_m(land, area_m2)),
                None => border.width_m(a, area_m2, work)?,
            };
            let is_sliver = width.is_some_and(|width| thresholds.is_sliver(width, share_of_a.max(share_of_b)));
            (if is_sliver { OverlapClass::Sliver } else { OverlapClass::Overlap }, width)
        }
    };
    let land = drawn.then(|| measured.overlay.unwrap_or_else(|| border.shape()));
    Ok(Some(Encounter {
        class,
        area_m2,
        share_of_a,
        share_of_b,
        width_m,
        shared_edge_m,
        touches: met.touches,
        gap: None,
        land,
    }))
}

/// What one shape has and another has not.
#[derive(Debug, Clone, PartialEq)]
pub struct Rest {
    pub area_m2: f64,
    pub land: MultiPolygon<f64>,
}

/// What `a` has and `b` has not.
pub fn rest(a: &Shape, b: &Shape, work: &mut Work) -> Result<Rest, Stopped> {
    let whole = || Rest { area_m2: a.area_m2(), land: a.to_multi_polygon() };
    let Some(met) = meet::meet(a, b, work)? else { return Ok(whole()) };
    let all = Met::all_of(&met.of_a, a);
    let border = Border::of_rest(&all, &met.of_b, a, b);
    if !border.closes(work)? {
        let land = overlay::rest(a, b, met.cuts())?;
        return Ok(Rest { area_m2: area::ellipsoidal(&land).value(), land });
    }
    let area = border.area_m2(a.bbox().map_or(0.0, |bbox| bbox[0]));
    if is_rounding(area, || border.length_m()) {
        return Ok(Rest { area_m2: 0.0, land: MultiPolygon(Vec::new()) });
    }
    Ok(Rest { area_m2: area, land: border.shape() })
}

/// The formula gives a cut edge another area than a whole one (`area::edge_area`), so a share may miss the whole by this although nothing
/// is left.
const RESTS_MAY_MISS: f64 = 1e-4;

pub(super) struct Measured {
    /// 0 where the common land is only rounding.
    pub area_m2: f64,
    /// The land as an overlay cut it out, where the runs did not close.
    pub overlay: Option<MultiPolygon<f64>>,
}

/// The common land within this border.
pub(super) fn measure_land(
    met: &Met,
    border: &Border,
    a: &Shape,
    b: &Shape,
    work: &mut Work,
) -> Result<Measured, Stopped> {
    let (area, overlay) = if border.closes(work)? {
        let west = a.bbox().map_or(0.0, |bbox| bbox[0]).max(b.bbox().map_or(0.0, |bbox| bbox[0]));
        let area = border.area_m2(west);
        (if is_rounding(area, || border.length_m()) { 0.0 } else { area }, None)
    } else {
        let overlay = overlay::common_land(a, b, met.cuts())?;
        let area = area::ellipsoidal(&overlay).value();
        (if area <= OVERLAY_CONTACT_M2 { 0.0 } else { area }, Some(overlay))
    };
    // Cut edges may add up to a hair more than whole ones (`area::edge_area`).
    Ok(Measured { area_m2: area.min(a.area_m2()).min(b.area_m2()), overlay })
}

/// Whether so much land is the making of rounding.
fn is_rounding(area_m2: f64, border_m: impl FnOnce() -> f64) -> bool {
    area_m2 <= LEAST_M2 || area_m2 < 1.0 && area_m2 <= ROUNDING_M / 2.0 * border_m()
}

/// The same of a rest that an overlay cut out: its mean width, doubled, stands for its width.
fn overlaid_rest_is_sliver(rest: &MultiPolygon<f64>, own: &Shape, thresholds: &Thresholds) -> Result<bool, Stopped> {
    let area = area::ellipsoidal(rest).value();
    let width = 4.0 * area / overlay::border_length_m(rest).max(f64::MIN_POSITIVE);
    Ok(area <= OVERLAY_CONTACT_M2 || thresholds.is_sliver(width, area / own.area_m2()))
}

fn is_nothing_or_sliver(rest: &Border, own: &Shape, thresholds: &Thresholds, work: &mut Work) -> Result<bool, Stopped> {
    if !rest.closes(work)? {
        return Ok(false);
    }
    let area = rest.area_m2(own.bbox().map_or(0.0, |bbox| bbox[0]));
    if is_rounding(area, || rest.length_m()) {
        return Ok(true);
    }
    let share = area / own.area_m2();
    Ok(share <= thresholds.sliver_share()
        && 2.0 * area <= thresholds.sliver_width_m() * rest.length_m()
        && rest.width_m(own, area, work)?.is_some_and(|width| thresholds.is_sliver(width, share)))
}
