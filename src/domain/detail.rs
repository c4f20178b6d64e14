//! Who sees how much of a layer's shapes (domain.md §11: the outline is public, the vertices are not).

use super::access::Viewer;
use super::generalisation::Generalisation;
use super::layer::Layer;

/// How much of a layer's shapes somebody is shown, through every door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Detail {
    /// 实测界线: every vertex, as it was surveyed.
    Surveyed,
    /// 概略轮廓: generalised as the layer declares.
    Outline,
}

/// How every mark of an outline begins.
const MARK: &str = "概略轮廓，容差 ";

/// What a file that is given out says of each outline in it, so that nobody takes it for a survey, and an import knows it again.
pub fn outline_mark(rule: &Generalisation) -> String {
    format!("{MARK}{} 米，非测绘成果", rule.tolerance_m)
}

/// Whether a field of a file says so, whatever it is called by now.
pub fn is_outline_mark(text: &str) -> bool {
    text.starts_with(MARK)
}

impl Layer {
    /// A layer that is not generalised is for everybody as it is. Of the others whoever reads what is internal sees the surveyed shapes,
    /// wherever they lie: a public layer has no jurisdictions.
    pub fn detail_for(&self, viewer: &Viewer) -> Detail {
        match self.generalisation_for(viewer) {
            Some(_) => Detail::Outline,
            None => Detail::Surveyed,
        }
    }

    /// The rule of the outlines that this viewer is shown; `None` where they are shown what was surveyed.
    pub fn generalisation_for(&self, viewer: &Viewer) -> Option<&Generalisation> {
        self.generalisation.as_ref().filter(|_| !viewer.role.reads_internal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::Role;

    #[test]
    fn a_mark_is_known_again() {
        let mark = outline_mark(&Generalisation { tolerance_m: 10.0, decimals: 4 });
        assert_eq!(mark, "概略轮廓，容差 10 米，非测绘成果");
        assert!(is_outline_mark(&mark) && !is_outline_mark("概略轮廓") && !is_outline_mark(""));
    }

    #[test]
    fn the_public_alone_sees_outlines_and_only_where_a_layer_declares_them() {
        let plain = Layer::OF_REGISTER;
        let generalised =
            Layer { generalisation: Some(Generalisation { tolerance_m: 10.0, decimals: 4 }), ..Layer::OF_REGISTER };
        for role in Role::ALL {
            let viewer = Viewer { role, ..Viewer::public() };
            let expected = if role == Role::Public { Detail::Outline } else { Detail::Surveyed };
            assert_eq!(generalised.detail_for(&viewer), expected, "{role:?}");
            assert_eq!(plain.detail_for(&viewer), Detail::Surveyed, "{role:?}");
        }
    }
}
