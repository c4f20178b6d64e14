//! Split and merge of parcels (分割、合并): who may be divided, and what children have from their parents.

use super::plan::{parcel_moves_before, told_moves};
use super::{Field, FieldKind, Ledger};
use crate::domain::{Finding, Place};

/// Parts of one split, parents of one merge.
pub const MAX_RELATIVES: usize = 100;

/// How one parcel came from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descent {
    /// 分割.
    Split,
    /// 合并.
    Merge,
}

impl Descent {
    pub fn as_str(self) -> &'static str {
        match self {
            Descent::Split => "split",
            Descent::Merge => "merge",
        }
    }

    /// 分割, 合并.
    pub fn label(self) -> &'static str {
        match self {
            Descent::Split => "分割",
            Descent::Merge => "合并",
        }
    }

    /// Why the parents' lives end, as the register says it.
    pub fn end_reason(self) -> &'static str {
        match self {
            Descent::Split => "split",
            Descent::Merge => "merged",
        }
    }
}

/// Land that two measures of it may differ by, in m²: a millimetre of rounding along a kilometre of boundary makes one.
pub fn land_tolerance(area_m2: f64) -> f64 {
    (area_m2 * 1e-5).max(1.0)
}

/// Values that are of the whole parcel: of half of it, or of two together, they would be wrong. Titles are issued anew.
pub fn is_of_whole(field: &Field) -> bool {
    matches!(field.kind, FieldKind::Area | FieldKind::Number) || matches!(field.name, "title_no" | "registered_on")
}

/// A field of the parents that their children do not have from them.
#[derive(Debug, Clone, PartialEq)]
pub struct NotInherited<V> {
    pub name: &'static str,
    pub title: &'static str,
    /// By parent, in their order.
    pub values: Vec<Option<V>>,
}

/// What children have from their parents, and what they do not have.
pub type Inheritance<V> = (Vec<(&'static str, V)>, Vec<NotInherited<V>>);

/// What children have from their parents, by field: what all of them say alike, if it is not of the whole. And what they do not have.
/// `value` tells a parent's value of a field.
pub fn inherit<V: Clone + PartialEq>(
    ledger: Ledger,
    parents: usize,
    value: impl Fn(usize, &str) -> Option<V>,
) -> Inheritance<V> {
    let (mut inherited, mut left) = (Vec::new(), Vec::new());
    let values_of = |field: &Field| -> Vec<Option<V>> { (0..parents).map(|at| value(at, field.name)).collect() };
    let alike = |field: &Field| {
        let values = values_of(field);
        let first = values.first().cloned().flatten();
        first.filter(|_| !is_of_whole(field) && values.iter().all(|v| v == &values[0]))
    };
    // A code without its system, or a system without a code, says nothing.
    let told = |name: &str| ledger.field(name).and_then(&alike).is_some();
    let land_use = told("land_use_code") && told("land_use_system");
    for field in ledger.fields() {
        let values = values_of(field);
        let handed_on = alike(field).filter(|_| land_use || !field.name.starts_with("land_use_"));
        match handed_on {
            Some(value) => inherited.push((field.name, value)),
            None if values.iter().all(Option::is_none) => {}
            None => left.push(NotInherited { name: field.name, title: field.title.zh, values }),
        }
    }
    (inherited, left)
}

/// Why a parcel in this state cannot be divided or put together; `has_plan`: a redevelopment plan in force is made for it.
pub fn undividable(id: &str, state: &str, has_plan: bool) -> Option<Finding> {
    let place = || Place::whole().field("state");
    if state == "frozen" {
        let message = format!("地块 {id} 处于冻结状态（查封或抵押），不能分割或合并；请先解除冻结");
        return Some(Finding::error("parcel_frozen", place(), message));
    }
    if !has_plan {
        return None;
    }
    let how = match parcel_moves_before("cancelled", state) {
        Some([]) => "请先终止方案".to_owned(),
        Some(moves) => format!("请先把地块{}，再终止方案", told_moves(moves)),
        None => "地块已销号；请终止本条（方案随之终止），新的地块另行登记".to_owned(),
    };
    let message = format!("地块 {id} 有再开发方案（一宗一策），不能分割或合并；{how}");
    Some(Finding::error("plan_in_use", place(), message))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Values = &'static [(&'static str, &'static str)];

    fn of(parents: &[Values]) -> Inheritance<&'static str> {
        let value = |at: usize, name: &str| parents[at].iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        inherit(Ledger::Turnover, parents.len(), value)
    }

    #[test]
    fn children_have_what_all_parents_say_alike_and_nothing_of_the_whole() {
        let a: Values = &[
            ("batch_name", "第一批"),
            ("approved_on", "2024-05-06"),
            ("supply_mode", "出让"),
            ("approved_area_m2", "100"),
            ("title_no", "湘1"),
        ];
        let b: Values = &[("batch_name", "第一批"), ("approved_on", "2024-05-07"), ("supply_mode", "出让")];
        let names = |left: &[NotInherited<&str>]| left.iter().map(|l| l.name).collect::<Vec<_>>();
        let (inherited, left) = of(&[a]);
        assert_eq!(inherited, [("batch_name", "第一批"), ("approved_on", "2024-05-06"), ("supply_mode", "出让")]);
        assert_eq!(names(&left), ["approved_area_m2", "title_no"]);
        let (inherited, left) = of(&[a, b]);
        assert_eq!(inherited, [("batch_name", "第一批"), ("supply_mode", "出让")]);
        assert_eq!(names(&left), ["approved_on", "approved_area_m2", "title_no"]);
        assert_eq!((left[0].title, &left[0].values), ("批准日期", &vec![Some("2024-05-06"), Some("2024-05-07")]));
        assert_eq!(left[1].values, [Some("100"), None]);
    }

    #[test]
    fn a_land_use_code_goes_with_its_system() {
        let a: Values = &[("land_use_code", "100101"), ("land_use_system", "A")];
        let b: Values = &[("land_use_code", "100101"), ("land_use_system", "B")];
        let (inherited, left) = of(&[a, b]);
        assert_eq!(inherited, []);
        assert_eq!(left.iter().map(|l| l.name).collect::<Vec<_>>(), ["land_use_system", "land_use_code"]);
        assert_eq!(of(&[a]).0.len(), 2);
    }

    #[test]
    fn frozen_and_planned_parcels_stay_whole() {
        assert_eq!(undividable("a", "supplied", false), None);
        assert_eq!(undividable("a", "frozen", false).map(|f| f.code), Some("parcel_frozen".into()));
        assert_eq!(undividable("a", "planned", true).map(|f| f.code), Some("plan_in_use".into()));
        // Below 100 m by 1 km a square metre counts, above it one part in 100,000.
        assert_eq!((land_tolerance(5_000.0), land_tolerance(200_000.0)), (1.0, 2.0));
    }
}
