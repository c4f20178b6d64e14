//! How two pieces of land lie to each other, and from where on that counts.

use std::fmt;

/// How two shapes meet, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OverlapClass {
    /// 重合: the same land, up to slivers.
    Identical,
    /// 包含: the other lies within, up to slivers.
    Contains,
    /// 被包含: it lies within the other, up to slivers.
    Within,
    /// 重叠: common land that counts.
    Overlap,
    /// 细碎重叠: common land narrower and smaller than the thresholds.
    Sliver,
    /// 缝隙: no common land, and a strip of nobody's between borders that were meant to meet.
    Gap,
    /// 共边: they share a stretch of border and no land.
    SharedEdge,
    /// 点接触: common points only.
    Touch,
    /// 超出界线: land outside of all zones that it should lie in. A finding of checks, not of a pair of shapes.
    Outside,
}

impl OverlapClass {
    pub const ALL: [OverlapClass; 9] = [
        OverlapClass::Identical,
        OverlapClass::Contains,
        OverlapClass::Within,
        OverlapClass::Overlap,
        OverlapClass::Sliver,
        OverlapClass::Gap,
        OverlapClass::SharedEdge,
        OverlapClass::Touch,
        OverlapClass::Outside,
    ];

    /// The stable word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            OverlapClass::Identical => "identical",
            OverlapClass::Contains => "contains",
            OverlapClass::Within => "within",
            OverlapClass::Overlap => "overlap",
            OverlapClass::Sliver => "sliver",
            OverlapClass::Gap => "gap",
            OverlapClass::SharedEdge => "shared_edge",
            OverlapClass::Touch => "touch",
            OverlapClass::Outside => "outside",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }

    /// As reports print it.
    pub fn title(self) -> &'static str {
        match self {
            OverlapClass::Identical => "重合",
            OverlapClass::Contains => "包含",
            OverlapClass::Within => "被包含",
            OverlapClass::Overlap => "重叠",
            OverlapClass::Sliver => "细碎重叠",
            OverlapClass::Gap => "缝隙",
            OverlapClass::SharedEdge => "共边",
            OverlapClass::Touch => "点接触",
            OverlapClass::Outside => "超出界线",
        }
    }

    /// Whether the two have land in common that counts.
    pub fn shares_land(self) -> bool {
        matches!(self, OverlapClass::Identical | OverlapClass::Contains | OverlapClass::Within | OverlapClass::Overlap)
    }

    /// The same pair seen from the other side.
    pub fn turned(self) -> Self {
        match self {
            OverlapClass::Contains => OverlapClass::Within,
            OverlapClass::Within => OverlapClass::Contains,
            other => other,
        }
    }
}

impl fmt::Display for OverlapClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

/// From where on common land counts, and up to where a strip between neighbours is a gap. Shown with every result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Common land is a sliver where it is nowhere wider than this …
    sliver_width_m: f64,
    /// … and takes no larger share of the smaller of the two.
    sliver_share: f64,
    /// Widest strip of nobody's land that is called a gap; 0 looks for none.
    gap_width_m: f64,
}

/// No rule names these. Half a metre is a quarter of a millimetre on a plan of 1:2000; both bounds must hold, so that a narrow parcel
/// that is taken whole is no sliver.
const SLIVER_WIDTH_M: f64 = 0.5;
const SLIVER_SHARE: f64 = 0.01;
const GAP_WIDTH_M: f64 = 1.0;
/// Widths beyond this are roads.
pub const WIDEST_M: f64 = 20.0;

impl Default for Thresholds {
    fn default() -> Self {
        Self { sliver_width_m: SLIVER_WIDTH_M, sliver_share: SLIVER_SHARE, gap_width_m: GAP_WIDTH_M }
    }
}

impl Thresholds {
    /// `None` where a width is not within 0 to [`WIDEST_M`] or the share not within 0 to 1.
    pub fn new(sliver_width_m: f64, sliver_share: f64, gap_width_m: f64) -> Option<Self> {
        let width = |w: f64| (0.0..=WIDEST_M).contains(&w);
        (width(sliver_width_m) && width(gap_width_m) && (0.0..=1.0).contains(&sliver_share)).then_some(Self {
            sliver_width_m,
            sliver_share,
            gap_width_m,
        })
    }

    pub fn sliver_width_m(&self) -> f64 {
        self.sliver_width_m
    }

    pub fn sliver_share(&self) -> f64 {
        self.sliver_share
    }

    pub fn gap_width_m(&self) -> f64 {
        self.gap_width_m
    }

    /// Whether land of this width, of this share of the smaller, is a sliver.
    pub fn is_sliver(&self, width_m: f64, share: f64) -> bool {
        width_m <= self.sliver_width_m && share <= self.sliver_share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_leads_back_to_its_class_and_a_pair_can_be_turned_twice() {
        for class in OverlapClass::ALL {
            assert_eq!(OverlapClass::parse(class.as_str()), Some(class));
            assert_eq!(class.turned().turned(), class);
        }
        assert_eq!(OverlapClass::parse("重叠"), None);
    }

    #[test]
    fn thresholds_are_bounded() {
        assert!(Thresholds::new(0.0, 0.0, 0.0).is_some());
        for (width, share, gap) in
            [(-0.1, 0.0, 0.0), (20.1, 0.0, 0.0), (0.0, 1.1, 0.0), (0.0, f64::NAN, 0.0), (0.0, 0.0, f64::INFINITY)]
        {
            assert!(Thresholds::new(width, share, gap).is_none(), "{width} {share} {gap}");
        }
    }
}
