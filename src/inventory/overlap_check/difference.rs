//! What came, what went and what changed between two checks of the same shapes.

use std::collections::BTreeMap;

use crate::store::overlap_checks::FindingRow;

/// Areas and widths that differ by less are the same: below what either way of reckoning tells.
const SAME: f64 = 1e-9;

/// Findings of two checks, each pair of shape and feature once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Difference {
    pub came: Vec<FindingRow>,
    pub went: Vec<FindingRow>,
    /// Before and after.
    pub changed: Vec<(FindingRow, FindingRow)>,
    pub same: usize,
    /// Ids of the layers that only one of the two compared with: what was found of them is no difference.
    pub not_compared: Vec<String>,
}

/// Compares findings by shape, layer and feature.
pub fn difference(before: &[FindingRow], after: &[FindingRow]) -> Difference {
    let key = |row: &FindingRow| (row.subject, row.layer.clone(), row.feature_id.clone());
    let mut earlier: BTreeMap<_, &FindingRow> = before.iter().map(|row| (key(row), row)).collect();
    let mut found = Difference::default();
    for row in after {
        match earlier.remove(&key(row)) {
            None => found.came.push(row.clone()),
            Some(old) if is_same(old, row) => found.same += 1,
            Some(old) => found.changed.push((old.clone(), row.clone())),
        }
    }
    found.went = earlier.into_values().cloned().collect();
    found
}

fn is_same(a: &FindingRow, b: &FindingRow) -> bool {
    let near = |x: f64, y: f64| (x - y).abs() <= SAME * x.abs().max(y.abs()).max(1.0);
    let both = |x: Option<f64>, y: Option<f64>| match (x, y) {
        (Some(x), Some(y)) => near(x, y),
        (x, y) => x.is_none() && y.is_none(),
    };
    a.class == b.class
        && a.weight == b.weight
        && a.rule == b.rule
        && near(a.area_m2, b.area_m2)
        && near(a.share_of_feature, b.share_of_feature)
        && both(a.width_m, b.width_m)
        && near(a.shared_edge_m, b.shared_edge_m)
        && both(a.gap_area_m2, b.gap_area_m2)
}
