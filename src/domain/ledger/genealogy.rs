//! Split and merge of parcels (分割、合并): who may be divided, and what children have from their parents.

use serde_json::{Map, Value};

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

/// A value of a parent that its children do not have from it.
#[derive(Debug, Clone, PartialEq)]
pub struct NotInherited {
    pub name: &'static str,
    pub title: &'static str,
    /// By parent, in their order; empty for those that had none.
    pub values: Vec<Value>,
}

/// What children have from their parents, by field: what all of them say alike, if it is not of the whole. And what they do not have.
pub fn inherit(ledger: Ledger, parents: &[&Map<String, Value>]) -> (Map<String, Value>, Vec<NotInherited>) {
    let (mut inherited, mut left) = (Map::new(), Vec::new());
    for field in ledger.fields() {
        let values: Vec<Value> = parents.iter().map(|p| p.get(field.name).cloned().unwrap_or(Value::Null)).collect();
        match values.first() {
            _ if values.iter().all(Value::is_null) => {}
            Some(first) if !is_of_whole(field) && values.iter().all(|value| value == first) => {
                inherited.insert(field.name.to_owned(), first.clone());
            }
            _ => left.push(NotInherited { name: field.name, title: field.title.zh, values }),
        }
    }
    // A code without its system, or a system without a code, says nothing.
    if !(inherited.contains_key("land_use_code") && inherited.contains_key("land_use_system")) {
        for name in ["land_use_code", "land_use_system"] {
            if let (Some(_), Some(field)) = (inherited.remove(name), ledger.field(name)) {
                let values = parents.iter().map(|p| p.get(name).cloned().unwrap_or(Value::Null)).collect();
                left.push(NotInherited { name: field.name, title: field.title.zh, values });
            }
        }
    }
    (inherited, left)
}

/// Why a parcel in this state cannot be divided or put together; `has_plan`: a redevelopment plan in force is made for it.
pub fn undividable(id: &str, state: &str, has_plan: bool) -> Option<Finding> {
    let refuse =
        |code: &'static str, message: String| Some(Finding::error(code, Place::whole().field("state"), message));
    if state == "frozen" {
        return refuse("parcel_frozen", format!("地块 {id} 处于冻结状态（查封或抵押），不能分割或合并；请先解除冻结"));
    }
    if !has_plan {
        return None;
    }
    let how = match state {
        "planned" => "请先把地块退回“已认定”并作废方案",
        "plan_approved" => "请先把地块退回“已编方案”、再退回“已认定”，并作废方案",
        "implementing" | "accepted" => "方案正在实施；请在销号后分割，或撤销认定（先退回“实施中”）并作废方案",
        "closed" => "地块已销号；请先终止本条（方案随之终止），新的地块另行登记",
        _ => "请先作废或终止方案",
    };
    refuse("plan_in_use", format!("地块 {id} 有再开发方案（一宗一策），不能分割或合并；{how}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("object")
    }

    #[test]
    fn children_have_what_all_parents_say_alike_and_nothing_of_the_whole() {
        let a = map(
            json!({"batch_name": "第一批", "approved_on": "2024-05-06", "supply_mode": "出让", "approved_area_m2": 100.0,
            "title_no": "湘1", "compensation_done": true, "location": null}),
        );
        let b = map(
            json!({"batch_name": "第一批", "approved_on": "2024-05-07", "supply_mode": "出让", "compensation_done": true}),
        );
        let (inherited, left) = inherit(Ledger::Turnover, &[&a]);
        assert_eq!(
            Value::Object(inherited),
            json!({"batch_name": "第一批", "approved_on": "2024-05-06", "supply_mode": "出让", "compensation_done": true})
        );
        let names = |left: &[NotInherited]| left.iter().map(|l| l.name).collect::<Vec<_>>();
        assert_eq!(names(&left), ["approved_area_m2", "title_no"]);
        let (inherited, left) = inherit(Ledger::Turnover, &[&a, &b]);
        assert_eq!(
            Value::Object(inherited),
            json!({"batch_name": "第一批", "supply_mode": "出让", "compensation_done": true})
        );
        assert_eq!(names(&left), ["approved_on", "approved_area_m2", "title_no"]);
        assert_eq!((left[0].title, &left[0].values), ("批准日期", &vec![json!("2024-05-06"), json!("2024-05-07")]));
    }

    #[test]
    fn a_land_use_code_goes_with_its_system() {
        let a = map(json!({"land_use_code": "100101", "land_use_system": "A"}));
        let b = map(json!({"land_use_code": "100101", "land_use_system": "B"}));
        let (inherited, left) = inherit(Ledger::Turnover, &[&a, &b]);
        assert!(inherited.is_empty());
        assert_eq!(left.iter().map(|l| l.name).collect::<Vec<_>>(), ["land_use_system", "land_use_code"]);
        assert_eq!(inherit(Ledger::Turnover, &[&a]).0.len(), 2);
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
