//! Conflicts of the register with itself: which pairs of features are looked at, and which of the ways that two lie to each other is one.

use super::control_zone::{Effect, ZoneTold};
use super::overlap::OverlapClass;
use super::overlap_check::{LandKind, Purpose, Weight, weigh};

/// The layers that are audited, in the order that the two sides of a conflict have: what is to be right first, what it is measured by last.
/// (Parks are their blocks.)
pub const AUDITED: [&str; 4] = ["turnover_parcels", "low_efficiency_parcels", "park_blocks", "control_zones"];

/// What a feature of this layer is checked as.
pub fn purpose_of(layer: &str) -> Purpose {
    match LandKind::of_layer(layer) {
        LandKind::Park => Purpose::ParkBoundary,
        _ => Purpose::Parcel,
    }
}

/// Whether features of these two layers are compared: control lines with whatever lies in them, not with one another.
pub fn are_compared(a: &str, b: &str) -> bool {
    !(LandKind::of_layer(a) == LandKind::Zone && LandKind::of_layer(b) == LandKind::Zone)
}

/// Whether strips of nobody's land between two such features are looked for: between blocks, which should share an edge.
pub fn gaps_count(a: &str, b: &str) -> bool {
    LandKind::of_layer(a) == LandKind::Park && LandKind::of_layer(b) == LandKind::Park
}

/// How much it weighs that a feature of layer `a` lies so to one of layer `b`; `None` = no conflict. `zone`: what `b` demands, where it is a
/// control line.
pub fn weigh_pair(a: &str, b: &str, class: OverlapClass, zone: Option<&ZoneTold>) -> Option<Weight> {
    let sliver = class == OverlapClass::Sliver;
    match (LandKind::of_layer(a), LandKind::of_layer(b)) {
        (_, LandKind::Zone) => {
            let zone = zone.filter(|zone| zone.effect == Effect::KeepOut)?;
            if sliver {
                return Some(Weight::Note);
            }
            class.shares_land().then(|| zone.weigh(purpose_of(a), true))
        }
        // A parcel lies in a block: across its border is a conflict.
        (LandKind::Parcel, LandKind::Park) => match class {
            OverlapClass::Within | OverlapClass::Identical => None,
            OverlapClass::Contains | OverlapClass::Overlap => Some(weigh(Purpose::Parcel, LandKind::Park, class)),
            OverlapClass::Sliver => Some(Weight::Note),
            _ => None,
        },
        (LandKind::Park, LandKind::Park) if class == OverlapClass::Gap => Some(Weight::Note),
        (_, kind) if class.shares_land() => Some(weigh(purpose_of(a), kind, class)),
        _ => sliver.then_some(Weight::Note),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_ways_of_lying_are_conflicts() {
        use OverlapClass::*;
        let (parcels, low, blocks, zones) = (AUDITED[0], AUDITED[1], AUDITED[2], AUDITED[3]);
        let zone = |effect| ZoneTold {
            kind: "k".into(),
            effect,
            park_weight: Weight::Block,
            parcel_weight: Weight::Warn,
            rule: String::new(),
        };
        for (a, b, class, effect, expected) in [
            (blocks, blocks, Overlap, None, Some(Weight::Block)),
            (blocks, blocks, Identical, None, Some(Weight::Block)),
            (blocks, blocks, Sliver, None, Some(Weight::Note)),
            (blocks, blocks, Gap, None, Some(Weight::Note)),
            (blocks, blocks, SharedEdge, None, None),
            (parcels, low, Overlap, None, Some(Weight::Warn)),
            (parcels, parcels, Identical, None, Some(Weight::Warn)),
            (parcels, parcels, Gap, None, None),
            (parcels, blocks, Within, None, None),
            (parcels, blocks, Overlap, None, Some(Weight::Warn)),
            (low, blocks, Contains, None, Some(Weight::Warn)),
            (low, blocks, Touch, None, None),
            (parcels, zones, Within, Some(Effect::KeepOut), Some(Weight::Warn)),
            (blocks, zones, Overlap, Some(Effect::KeepOut), Some(Weight::Block)),
            (blocks, zones, Sliver, Some(Effect::KeepOut), Some(Weight::Note)),
            (blocks, zones, Overlap, Some(Effect::Inform), None),
            (blocks, zones, Overlap, Some(Effect::KeepWithin), None),
        ] {
            let zone = effect.map(zone);
            assert_eq!(weigh_pair(a, b, class, zone.as_ref()), expected, "{a} {b} {class:?} {effect:?}");
        }
        assert!(
            !are_compared(zones, zones)
                && are_compared(blocks, zones)
                && gaps_count(blocks, blocks)
                && !gaps_count(parcels, blocks)
        );
    }
}
