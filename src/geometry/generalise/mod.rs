//! Generalised outlines of a layer's shapes, borders that shapes share simplified once.

use super::flat::FlatGeometry;
use crate::domain::generalisation::Generalisation;

/// The generalised form of the `wanted` shapes (indices into `shapes`), in their order; `None` of a shape that is empty or not finite,
/// and of an index that is none. `shapes` must hold the wanted ones, those whose boxes come within [`margin`] of theirs, and those whose
/// boxes come within it of these: more change nothing, and neither does their order.
pub fn generalise(shapes: &[&FlatGeometry], wanted: &[usize], rule: &Generalisation) -> Vec<Option<FlatGeometry>> {
    let f = 10f64.powi(i32::from(rule.decimals)); let r = |v: f64| (v * f).round() / f;
    wanted.iter().map(|at| shapes.get(*at).map(|shape| shape.map(|c| geo::Coord { x: r(c.x), y: r(c.y) }))).collect()
}

/// How near (degrees) two boxes must come for the outline of one shape to depend on the other.
pub fn margin(rule: &Generalisation) -> f64 {
    2.0 * 0.1_f64.powi(i32::from(rule.decimals))
}
