//! A check of overlaps (重叠检查): what is compared for what purpose, how much each finding weighs, and what people say of it.

use super::overlap::OverlapClass;

/// Shapes of one check.
pub const MOST_SUBJECTS: usize = 5_000;
/// Their vertices together.
pub const MOST_VERTICES: usize = 1_000_000;
/// Findings that one check keeps; beyond, it says that it is not complete.
pub const MOST_FINDINGS: usize = 20_000;
/// Pairs that one check compares.
pub const MOST_COMPARED: usize = 2_000_000;
/// Characters of a title and of a note.
pub const TITLE_LENGTH: usize = 100;
pub const NOTE_LENGTH: usize = 1_000;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal, $label:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $(#[doc = $label] $variant,)+ }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The stable word of the API.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// As people read it.
            pub fn label(self) -> &'static str {
                match self { $($name::$variant => $label,)+ }
            }

            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }
    };
}

words! {
    /// What the shapes are to become.
    Purpose {
        ParkBoundary = "park_boundary", "园区边界";
        Parcel = "parcel", "地块";
    }
}

words! {
    /// How much a finding weighs, the heaviest first.
    Weight {
        Block = "block", "不得通过";
        Warn = "warn", "需核对";
        Note = "note", "提示";
    }
}

words! {
    /// What somebody decided of a finding.
    Verdict {
        Open = "open", "未处理";
        Accepted = "accepted", "接受";
        ToFix = "to_fix", "需整改";
        Ignorable = "ignorable", "可忽略";
    }
}

words! {
    /// How a check stands.
    CheckStatus {
        Queued = "queued", "排队中";
        Running = "running", "进行中";
        Finished = "finished", "已完成";
        Failed = "failed", "未完成";
        Cancelled = "cancelled", "已取消";
    }
}

impl CheckStatus {
    /// Whether nothing more will come of it.
    pub fn is_over(self) -> bool {
        !matches!(self, CheckStatus::Queued | CheckStatus::Running)
    }
}

/// What kind of land a layer holds, as far as a check goes by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LandKind {
    Park,
    Parcel,
    Division,
    /// A control line, which says itself what it weighs (`control_zone::ZoneTold`).
    Zone,
    /// A layer of the operator's.
    Other,
}

impl LandKind {
    pub fn of_layer(id: &str) -> Self {
        match id {
            "parks" | "park_blocks" => LandKind::Park,
            "turnover_parcels" | "low_efficiency_parcels" => LandKind::Parcel,
            "divisions" => LandKind::Division,
            "control_zones" => LandKind::Zone,
            _ => LandKind::Other,
        }
    }
}

/// How much it weighs that a shape for this purpose meets a feature of this kind so (domain.md §8: other parks block, other parcels warn).
pub fn weigh(purpose: Purpose, kind: LandKind, class: OverlapClass) -> Weight {
    if !class.shares_land() {
        return Weight::Note;
    }
    match (purpose, kind) {
        // Land can be in one park only.
        (Purpose::ParkBoundary, LandKind::Park) => Weight::Block,
        // A boundary takes parcels in; one that cuts through a parcel is worth a look.
        (Purpose::ParkBoundary, LandKind::Parcel) if class == OverlapClass::Overlap => Weight::Warn,
        (Purpose::ParkBoundary, LandKind::Parcel) => Weight::Note,
        // Parcels lie in parks and divisions; over a border they need a look.
        (Purpose::Parcel, LandKind::Park) | (_, LandKind::Division) => {
            if class == OverlapClass::Within {
                Weight::Note
            } else {
                Weight::Warn
            }
        }
        (Purpose::Parcel, LandKind::Parcel) | (_, LandKind::Zone | LandKind::Other) => Weight::Warn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_weighs_how_much() {
        use OverlapClass::*;
        for (purpose, layer, class, expected) in [
            (Purpose::ParkBoundary, "park_blocks", Overlap, Weight::Block),
            (Purpose::ParkBoundary, "parks", Identical, Weight::Block),
            (Purpose::ParkBoundary, "parks", Sliver, Weight::Note),
            (Purpose::ParkBoundary, "parks", Gap, Weight::Note),
            (Purpose::ParkBoundary, "parks", SharedEdge, Weight::Note),
            (Purpose::ParkBoundary, "turnover_parcels", Contains, Weight::Note),
            (Purpose::ParkBoundary, "turnover_parcels", Overlap, Weight::Warn),
            (Purpose::Parcel, "park_blocks", Within, Weight::Note),
            (Purpose::Parcel, "park_blocks", Overlap, Weight::Warn),
            (Purpose::Parcel, "low_efficiency_parcels", Overlap, Weight::Warn),
            (Purpose::Parcel, "low_efficiency_parcels", Touch, Weight::Note),
            (Purpose::ParkBoundary, "divisions", Within, Weight::Note),
            (Purpose::ParkBoundary, "divisions", Overlap, Weight::Warn),
            (Purpose::ParkBoundary, "flood_zones", Within, Weight::Warn),
        ] {
            assert_eq!(weigh(purpose, LandKind::of_layer(layer), class), expected, "{purpose:?} {layer} {class:?}");
        }
    }

    #[test]
    fn words_lead_back() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::parse(verdict.as_str()), Some(*verdict));
        }
        assert_eq!(CheckStatus::parse("done"), None);
    }
}
