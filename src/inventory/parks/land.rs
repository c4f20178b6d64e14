//! Parts of a block: nothing of it may get lost, and nothing may come in. Pure, and slow where boundaries are long: run off the async threads.

use geo::MultiPolygon;

use crate::domain::ledger::land_tolerance;
use crate::domain::{Finding, Place, SquareMetres};
use crate::geometry::{area, overlap};

/// A part by its id and the place of its feature in the request.
pub(super) struct Part {
    pub id: String,
    pub place: Place,
    pub boundary: MultiPolygon<f64>,
}

/// What each part has in common with the block, in m², and what is wrong.
pub(super) fn compare(block: &str, boundary: &MultiPolygon<f64>, parts: &[Part]) -> (Vec<f64>, Vec<Finding>) {
    let shapes: Vec<&MultiPolygon<f64>> = parts.iter().map(|part| &part.boundary).collect();
    let (between, within) = (overlap::between(&[boundary], &shapes, usize::MAX), overlap::pairs(&shapes, usize::MAX));
    let compared = |pairs: &overlap::Pairs| pairs.complete && pairs.too_complex.is_empty();
    if !compared(&between) || !compared(&within) {
        let message = format!("区块 {block} 与各部分的边界相交太多，无法核对面积；请检查图形是否有误");
        return (
            vec![0.0; parts.len()],
            vec![Finding::error("geometry_too_complex", Place::whole().field("blocks"), message)],
        );
    }
    let mut common = vec![0.0; parts.len()];
    for pair in &between.list {
        if let overlap::Relation::Overlap { area } = pair.relation {
            common[pair.b] = area.value();
        }
    }
    let mut findings = Vec::new();
    let mut twice = 0.0;
    for pair in &within.list {
        let overlap::Relation::Overlap { area } = pair.relation else { continue };
        twice += area.value();
        let (a, b) = (&parts[pair.a], &parts[pair.b]);
        let smaller = area::ellipsoidal(&a.boundary).value().min(area::ellipsoidal(&b.boundary).value());
        if area.value() > land_tolerance(smaller) {
            let message = format!("区块 {} 与 {} 重叠 {area} 平方米（{} 亩）", a.id, b.id, area.to_mu());
            findings.push(Finding::error("children_overlap", b.place.clone(), message));
        }
    }
    // What two parts share would count twice.
    if let Some(left) = left_over(boundary, common.iter().sum::<f64>() - twice) {
        let message = format!("区块 {block} 有 {left}没有归入任何部分；请检查图形");
        findings.push(Finding::error("land_left_out", Place::whole().field("blocks"), message));
    }
    for (part, had) in parts.iter().zip(&common) {
        if let Some(left) = left_over(&part.boundary, *had) {
            let message = format!("区块 {} 有 {left}不在原区块 {block} 范围内；请检查图形", part.id);
            findings.push(Finding::error("land_beyond", part.place.clone(), message));
        }
    }
    (common, findings)
}

/// What of the land is not covered, in words; `None` where it is rounding.
fn left_over(land: &MultiPolygon<f64>, covered: f64) -> Option<String> {
    let whole = area::ellipsoidal(land).value();
    let left = whole - covered;
    let area = SquareMetres::new(left).filter(|_| left > land_tolerance(whole))?;
    Some(format!("{area} 平方米（{} 亩）", area.to_mu()))
}

#[cfg(test)]
mod tests {
    use geo::polygon;

    use super::*;

    fn square(west: f64, east: f64) -> MultiPolygon<f64> {
        MultiPolygon(vec![polygon![(x: west, y: 28.0), (x: east, y: 28.0), (x: east, y: 28.01), (x: west, y: 28.01)]])
    }

    #[test]
    fn nothing_gets_lost_and_nothing_comes_in() {
        let part = |id: &str, boundary| Part { id: id.to_owned(), place: Place::row(1), boundary };
        let whole = square(113.0, 113.02);
        for (west, east, expected) in [
            (square(113.0, 113.012), square(113.012, 113.02), vec![]),
            (square(113.0, 113.012), square(113.013, 113.02), vec!["land_left_out"]),
            (square(113.0, 113.012), square(113.012, 113.021), vec!["land_beyond"]),
            (square(113.0, 113.012), square(113.011, 113.02), vec!["children_overlap"]),
        ] {
            let (common, findings) = compare("S437001-1", &whole, &[part("a", west), part("b", east)]);
            assert_eq!(findings.iter().map(|f| f.code.as_ref()).collect::<Vec<_>>(), expected);
            assert!(common.iter().all(|m2| *m2 > 0.0));
        }
    }
}
