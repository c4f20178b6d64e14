//! The land of parents and children: what they have in common, and whether any got lost or came in. Pure, and slow where boundaries are
//! long: run off the async threads.

use geo::MultiPolygon;

use super::super::edit::invalid;
use crate::domain::ledger::land_tolerance;
use crate::domain::{Finding, Place, SquareMetres};
use crate::error::{Error, Result};
use crate::geometry::{area, overlap};

/// A parcel by its id.
pub(super) type Named = (String, MultiPolygon<f64>);

/// Land of one parent in one child.
pub(super) struct Common {
    pub parent: String,
    pub child: String,
    pub m2: f64,
}

fn too_complex() -> Error {
    let message = "地块的边界相交太多，无法核对面积；请检查图形是否有误".to_owned();
    invalid(vec![Finding::error("geometry_too_complex", Place::whole(), message)])
}

fn all(pairs: overlap::Pairs) -> Result<Vec<overlap::Pair>> {
    if pairs.complete && pairs.too_complex.is_empty() { Ok(pairs.list) } else { Err(too_complex()) }
}

fn shapes(parcels: &[Named]) -> Vec<&MultiPolygon<f64>> {
    parcels.iter().map(|(_, land)| land).collect()
}

/// Two parcels that touch each other neither directly nor by others of the list; `None` where all hang together.
pub(super) fn apart(parcels: &[Named]) -> Result<Option<(usize, usize)>> {
    let mut group: Vec<usize> = (0..parcels.len()).collect();
    for pair in all(overlap::pairs(&shapes(parcels), usize::MAX))? {
        let (from, to) = (group[pair.a].max(group[pair.b]), group[pair.a].min(group[pair.b]));
        group.iter_mut().filter(|g| **g == from).for_each(|g| *g = to);
    }
    Ok(group.iter().position(|g| *g != group[0]).map(|other| (0, other)))
}

/// What every parent and child have in common, and what is wrong: land of a parent that no child takes, land of a child that no parent
/// had, land that two children would have.
pub(super) fn compare(parents: &[Named], children: &[Named]) -> Result<(Vec<Common>, Vec<Finding>)> {
    // Also those that have no land in common: where somebody insists, it is still the family.
    let mut common: Vec<Vec<f64>> = vec![vec![0.0; children.len()]; parents.len()];
    for pair in all(overlap::between(&shapes(parents), &shapes(children), usize::MAX))? {
        if let overlap::Relation::Overlap { area } = pair.relation {
            common[pair.a][pair.b] = area.value();
        }
    }
    let (twice_of_parents, _) = doubled(parents)?;
    let (twice_of_children, mut findings) = doubled(children)?;
    for (parent, of_child) in parents.iter().zip(&common) {
        // What two children share would count twice.
        let taken = of_child.iter().sum::<f64>() - twice_of_children;
        if let Some(left) = left_over(&parent.1, taken) {
            let message = format!(
                "原地块 {} 有 {left}没有归入任何新地块；请检查图形，确需如此可放行（allow=land_left_out）",
                parent.0
            );
            findings.push(Finding::error("land_left_out", Place::whole(), message));
        }
    }
    for (at, child) in children.iter().enumerate() {
        let had = common.iter().map(|of_child| of_child[at]).sum::<f64>() - twice_of_parents;
        if let Some(left) = left_over(&child.1, had) {
            let message = format!(
                "新地块 {} 有 {left}不在原地块范围内；请检查图形，确需如此可放行（allow=land_beyond）",
                child.0
            );
            findings.push(Finding::error("land_beyond", Place::whole(), message));
        }
    }
    let named = common.into_iter().zip(parents).flat_map(|(of_child, parent)| {
        let one = |(m2, child): (f64, &Named)| Common { parent: parent.0.clone(), child: child.0.clone(), m2 };
        of_child.into_iter().zip(children).map(one).collect::<Vec<_>>()
    });
    Ok((named.collect(), findings))
}

/// Land that two of the parcels share, in m², each pair told: above rounding an error.
fn doubled(parcels: &[Named]) -> Result<(f64, Vec<Finding>)> {
    let (mut m2, mut findings) = (0.0, Vec::new());
    for pair in all(overlap::pairs(&shapes(parcels), usize::MAX))? {
        let overlap::Relation::Overlap { area } = pair.relation else { continue };
        m2 += area.value();
        let (a, b) = (&parcels[pair.a], &parcels[pair.b]);
        let message = format!("新地块 {} 与 {} 重叠 {area} 平方米（{} 亩）", a.0, b.0, area.to_mu());
        let smaller = area::ellipsoidal(&a.1).value().min(area::ellipsoidal(&b.1).value());
        findings.push(if area.value() > land_tolerance(smaller) {
            Finding::error("children_overlap", Place::whole(), message)
        } else {
            Finding::warning("overlap_sliver", Place::whole(), format!("{message}，属细碎重叠"))
        });
    }
    Ok((m2, findings))
}

/// What of the land is not covered, in words; `None` where it is rounding.
fn left_over(land: &MultiPolygon<f64>, covered: f64) -> Option<String> {
    let whole = area::ellipsoidal(land).value();
    let left = whole - covered;
    let area = SquareMetres::new(left).filter(|_| left > land_tolerance(whole))?;
    Some(format!("{area} 平方米（{} 亩）", area.to_mu()))
}
