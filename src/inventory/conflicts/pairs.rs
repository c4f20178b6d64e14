//! Which pairs of features conflict: each touched feature with whatever lies near it, side by side on all threads.

use std::collections::HashSet;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::domain::conflict::{are_compared, gaps_count, purpose_of, weigh_pair};
use crate::domain::control_zone::{Effect, ZoneKind, ZoneRules, rule_text};
use crate::domain::layer::Layer;
use crate::domain::overlap::{OverlapClass, Thresholds};
use crate::domain::overlap_check::{LandKind, Weight};
use crate::geometry::overlap::{self, Encounter, Rest, Shape, Stopped, Work, encounter};
use crate::inventory::overlap_check::compare::{widened, without_filled};
use crate::inventory::overlap_check::source::{Feature, Source};
use crate::inventory::overlap_check::zone;
use crate::store::conflicts::{Measured, Side};

/// Ids that were touched, by layer in the order of the sources.
pub(super) type Touched = Vec<HashSet<String>>;

/// A pair by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub layer_a: String,
    pub id_a: String,
    pub layer_b: String,
    pub id_b: String,
}

/// What came of comparing.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By their ids.
    pub conflicts: Vec<Measured>,
    pub not_compared: Vec<Pair>,
}

/// Bytes of the hash that an id has.
const ID_BYTES: usize = 10;

/// The same for the same pair, whenever and by whomever it is found.
pub(super) fn id_of(pair: &Pair) -> String {
    let text = [pair.layer_a.as_str(), &pair.id_a, &pair.layer_b, &pair.id_b].join("\u{1f}");
    Sha256::digest(text).iter().take(ID_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether control lines were touched: then land anywhere may lie outside of them, or no more.
pub(super) fn lines_moved(touched: &Touched) -> bool {
    touched.last().is_some_and(|zones| !zones.is_empty())
}

/// Whether blocks were touched: then gaps between others may be filled by them, or no more.
pub(super) fn blocks_moved(touched: &Touched, layers: &[&'static Layer]) -> bool {
    layers.iter().zip(touched).any(|(layer, ids)| gaps_count(layer.id, layer.id) && !ids.is_empty())
}

/// The conflicts of these features, or of all, as the sources have them. `gaps`: also the gaps between others, where blocks were touched.
pub(super) fn find(sources: &[Source], touched: Option<&Touched>, gaps: bool) -> Found {
    let mut subjects: Vec<(usize, Feature)> = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        match touched {
            None => source.all(|feature| subjects.push((at, feature))),
            Some(touched) => subjects.extend(touched[at].iter().filter_map(|id| Some((at, source.find(id)?)))),
        }
    }
    let mut results: Vec<Result<Measured, Pair>> =
        subjects.par_iter().flat_map_iter(|&(at, feature)| of_feature(sources, touched, at, feature)).collect();
    results.par_extend(outside(sources, touched, &subjects));
    if let Some(touched) = touched.filter(|_| gaps) {
        results.par_extend(gaps_of_others(sources, touched));
    }
    let mut found = Found::default();
    for result in results {
        match result {
            Ok(conflict) => found.conflicts.push(conflict),
            Err(pair) => found.not_compared.push(pair),
        }
    }
    found.conflicts.sort_by(|a, b| a.id.cmp(&b.id));
    found.not_compared.sort();
    found
}

/// The conflicts of one feature with what lies near it. A pair of two touched ones is looked at from its first side alone.
fn of_feature(
    sources: &[Source],
    touched: Option<&Touched>,
    at: usize,
    feature: Feature,
) -> Vec<Result<Measured, Pair>> {
    let source = &sources[at];
    let Some(shape) = source.shape(feature) else { return Vec::new() };
    let Some(bbox) = shape.bbox() else { return Vec::new() };
    let id = source.id(feature);
    let mut results = Vec::new();
    for (other_at, other_source) in sources.iter().enumerate() {
        if !are_compared(source.layer.id, other_source.layer.id) {
            continue;
        }
        let with_gaps = gaps_count(source.layer.id, other_source.layer.id);
        let thresholds = thresholds(with_gaps);
        let reach = if with_gaps { widened(bbox, thresholds.gap_width_m()) } else { bbox };
        let mut near = Vec::new();
        other_source.near(&reach, |other| near.push(other));
        for other in near {
            let other_id = other_source.id(other);
            let is_first = (at, id) < (other_at, other_id);
            let is_seen_from_there = touched.is_none_or(|touched| touched[other_at].contains(other_id));
            if (at, id) == (other_at, other_id) || !is_first && is_seen_from_there {
                continue;
            }
            let here = Place { source, feature };
            let there = Place { source: other_source, feature: other };
            let (a, b) = if is_first { (here, there) } else { (there, here) };
            results.extend(compare(a, b, &thresholds));
        }
    }
    results
}

/// Gaps between blocks of which none was touched: one that was may fill them, or fill them no more.
fn gaps_of_others(sources: &[Source], touched: &Touched) -> Vec<Result<Measured, Pair>> {
    let thresholds = thresholds(true);
    let mut all = Vec::new();
    for (source, touched) in sources.iter().zip(touched) {
        if gaps_count(source.layer.id, source.layer.id) && !touched.is_empty() {
            source.all(|feature| {
                if !touched.contains(source.id(feature)) {
                    all.push((source, touched, feature));
                }
            });
        }
    }
    let of_block = |&(source, touched, feature): &(&Source, &HashSet<String>, Feature)| {
        let mut near = Vec::new();
        if let Some(bbox) = source.shape(feature).and_then(|shape| shape.bbox()) {
            source.near(&widened(bbox, thresholds.gap_width_m()), |other| near.push(other));
        }
        let first = Place { source, feature };
        let others = near.into_iter().map(|feature| Place { source, feature });
        let others = others.filter(|other| first.id() < other.id() && !touched.contains(other.id()));
        let found: Vec<_> = others.filter_map(|other| compare(first, other, &thresholds)).collect();
        found
    };
    let is_gap =
        |result: &Result<Measured, Pair>| result.as_ref().map_or(true, |found| found.class == OverlapClass::Gap);
    all.par_iter().flat_map_iter(of_block).filter(is_gap).collect()
}

/// Half a metre and one in a hundred for slivers, as checks have it; gaps only where they count.
fn thresholds(with_gaps: bool) -> Thresholds {
    let usual = Thresholds::default();
    let gap = if with_gaps { usual.gap_width_m() } else { 0.0 };
    Thresholds::new(usual.sliver_width_m(), usual.sliver_share(), gap).unwrap_or(usual)
}

#[derive(Clone, Copy)]
struct Place<'s> {
    source: &'s Source,
    feature: Feature,
}

impl<'s> Place<'s> {
    fn id(&self) -> &'s str {
        self.source.id(self.feature)
    }

    fn side(&self) -> Side {
        let of = |property: &str| self.source.text(self.feature, property);
        let kind = LandKind::of_layer(self.source.layer.id);
        Side {
            layer: self.source.layer.id.to_owned(),
            id: self.id().to_owned(),
            name: self.source.name(self.feature),
            // Parks and lines are for everybody who sees conflicts at all.
            division: if kind == LandKind::Parcel { of("county_code") } else { None },
            park: of("park_code"),
        }
    }
}

fn pair_of(a: Place<'_>, b: Place<'_>) -> Pair {
    Pair {
        layer_a: a.source.layer.id.to_owned(),
        id_a: a.id().to_owned(),
        layer_b: b.source.layer.id.to_owned(),
        id_b: b.id().to_owned(),
    }
}

fn compare(a: Place<'_>, b: Place<'_>, thresholds: &Thresholds) -> Option<Result<Measured, Pair>> {
    let zone = b.source.zone(b.feature);
    // Lines to lie within are judged as a whole (`outside`); those that only inform are never in conflict.
    if LandKind::of_layer(b.source.layer.id) == LandKind::Zone && zone.as_ref()?.effect != Effect::KeepOut {
        return None;
    }
    let (one, other) = (a.source.shape(a.feature)?, b.source.shape(b.feature)?);
    let met = |drawn: bool| {
        let mut work = Work::of_one_pair();
        let met = encounter(&one, &other, thresholds, drawn, &mut work)?;
        match met {
            Some(met) if met.class == OverlapClass::Gap => without_filled(met, b.source, &[a.id(), b.id()], &mut work),
            other => Ok(other),
        }
    };
    // Most pairs are as they should be: their land is not drawn.
    let class = match met(false) {
        Ok(met) => met?.class,
        Err(Stopped::TooComplex | Stopped::Cancelled) => return Some(Err(pair_of(a, b))),
    };
    let weight = weigh_pair(a.source.layer.id, b.source.layer.id, class, zone.as_ref())?;
    match met(true) {
        Ok(met) => Some(Ok(measured(a, b, met?, weight, zone.map(|zone| zone.rule)))),
        Err(Stopped::TooComplex | Stopped::Cancelled) => Some(Err(pair_of(a, b))),
    }
}

fn measured(a: Place<'_>, b: Place<'_>, met: Encounter, weight: Weight, rule: Option<String>) -> Measured {
    Measured {
        id: id_of(&pair_of(a, b)),
        a: a.side(),
        b: b.side(),
        illustrative: a.source.is_illustrative(a.feature) || b.source.is_illustrative(b.feature),
        class: met.class,
        weight,
        area_m2: met.area_m2,
        share_a: met.share_of_a,
        share_b: met.share_of_b,
        width_m: met.width_m,
        gap_area_m2: met.gap.as_ref().map(|gap| gap.area_m2),
        gap_length_m: met.gap.as_ref().map(|gap| gap.length_m),
        rule: rule.filter(|rule| !rule.is_empty()),
        land: met.land.filter(|land| !land.0.is_empty()),
    }
}

/// Land outside of the lines that it should lie in: of the touched features, of all where a line has moved.
fn outside(
    sources: &[Source],
    touched: Option<&Touched>,
    subjects: &[(usize, Feature)],
) -> Vec<Result<Measured, Pair>> {
    let Some((zones, audited)) = sources.split_last().filter(|(zones, _)| !zones.within.is_empty()) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    let subjects = if touched.is_some_and(lines_moved) {
        for (at, source) in audited.iter().enumerate() {
            source.all(|feature| all.push((at, feature)));
        }
        all.as_slice()
    } else {
        subjects
    };
    let of_feature = |&(at, feature): &(usize, Feature)| {
        let place = audited.get(at).map(|source| Place { source, feature });
        place.into_iter().flat_map(|place| zones.within.iter().filter_map(move |kind| outside_of(place, zones, kind)))
    };
    subjects.par_iter().flat_map_iter(of_feature).collect()
}

fn outside_of(place: Place<'_>, zones: &Source, kind: &ZoneKind) -> Option<Result<Measured, Pair>> {
    let shape: Shape<'_> = place.source.shape(place.feature)?;
    let pair = Pair {
        layer_a: place.source.layer.id.to_owned(),
        id_a: place.id().to_owned(),
        layer_b: zone::LAYER.to_owned(),
        id_b: kind.code.clone(),
    };
    match zone::outside(&shape, zones, kind, &mut Work::of_one_pair()) {
        Ok(rest) => rest.map(|rest| Ok(left_out(place, kind, &shape, rest, &pair))),
        Err(Stopped::TooComplex | Stopped::Cancelled) => Some(Err(pair)),
    }
}

fn left_out(place: Place<'_>, kind: &ZoneKind, shape: &Shape<'_>, rest: Rest, pair: &Pair) -> Measured {
    let share = (rest.area_m2 / shape.area_m2()).min(1.0);
    let width = overlap::broad_width_m(&rest.land, rest.area_m2);
    let is_sliver = thresholds(false).is_sliver(width, share);
    let rules = ZoneRules { rule: Some(kind.rule.clone()).filter(|rule| !rule.is_empty()), ..ZoneRules::default() };
    Measured {
        id: id_of(pair),
        a: place.side(),
        b: Side {
            layer: zone::LAYER.to_owned(),
            id: kind.code.clone(),
            name: Some(kind.name.clone()),
            division: None,
            park: None,
        },
        illustrative: place.source.is_illustrative(place.feature),
        class: OverlapClass::Outside,
        weight: if is_sliver { Weight::Note } else { kind.weight(purpose_of(place.source.layer.id)) },
        area_m2: rest.area_m2,
        share_a: share,
        share_b: 0.0,
        width_m: None,
        gap_area_m2: None,
        gap_length_m: None,
        rule: Some(rule_text(None, &rules, Some(&kind.document))).filter(|rule| !rule.is_empty()),
        land: Some(rest.land),
    }
}
