//! Blocks with four sides → text in the official order 东南西北.

use super::{Direction, ExtentsText, FourExtents};
use crate::domain::area::round_decimal;

/// The text of a notice: total, then per block its name, area and sides. [`super::parse`] reads it back.
pub fn print(text: &ExtentsText) -> String {
    let mut out = String::new();
    if let Some(total) = text.total_area {
        out.push_str(&format!("总面积{}公顷。", round_decimal(total.value(), 4)));
    }
    for block in &text.blocks {
        let mut clauses = Vec::new();
        if let Some(area) = block.area {
            clauses.push(format!("面积{}公顷", round_decimal(area.value(), 4)));
        }
        let sides = block.extents.print();
        if !sides.is_empty() {
            clauses.push(sides);
        }
        if let Some(name) = &block.name {
            out.push_str(name);
            out.push('：');
        }
        out.push_str(&clauses.join("，"));
        out.push('。');
    }
    out
}

pub(super) fn print_sides(extents: &FourExtents) -> String {
    Direction::ALL
        .into_iter()
        .filter_map(|d| extents.get(d).map(|value| format!("{}至{value}", d.label())))
        .collect::<Vec<_>>()
        .join("，")
}
