//! Stated areas: a number with a unit, from the value, from the field's name, or judged against the geometry.

use geo::MultiPolygon;

use super::{Attribute, StatedArea};
use crate::domain::area::AreaUnit;
use crate::domain::{Finding, Place, SquareMetres};
use crate::geometry::area;

/// Reads an area: `12.8391`, `12.84公顷`, `1,206.5亩`, full-width digits. `unit` is what the field's name tells.
pub fn parse(text: &str, unit: Option<AreaUnit>) -> Option<(f64, Option<AreaUnit>)> {
    let form: String = text
        .trim()
        .chars()
        .map(|c| match c {
            c @ '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
            c => c,
        })
        .filter(|c| !c.is_whitespace() && *c != ',')
        .collect();
    let form = form.trim_start_matches('约');
    let end =
        form.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))).unwrap_or(form.len());
    let number: f64 = form[..end].parse().ok()?;
    let written = match &form[end..] {
        "" => unit,
        suffix => Some(AreaUnit::parse(suffix)?),
    };
    (number.is_finite() && number >= 0.0).then_some((number, written))
}

/// Decides the unit where nobody names it: the first of `likely` under which the area agrees with the computed one
/// within 5 %, else the first. Says what was decided when it is not the first.
pub fn resolve(
    text: &str,
    number: f64,
    written: Option<AreaUnit>,
    computed: Option<SquareMetres>,
    likely: &[AreaUnit],
    row: u64,
) -> (Option<StatedArea>, Option<Finding>) {
    let with = |unit: AreaUnit| {
        unit.area(number).map(|area| StatedArea { text: text.trim().to_owned(), unit: unit.as_str(), area })
    };
    if let Some(unit) = written {
        return (with(unit), None);
    }
    let Some(&usual) = likely.first() else { return (None, None) };
    let Some(computed) = computed.filter(|c| c.value() > 0.0) else { return (with(usual), None) };
    let agrees = |unit: &&AreaUnit| {
        unit.area(number).is_some_and(|a| (a.value() - computed.value()).abs() <= 0.05 * computed.value())
    };
    match likely.iter().find(agrees) {
        Some(&unit) if unit != usual => {
            let factor = computed.value() / number;
            let finding = Finding::info(
                "stated_area_unit_guessed",
                Place::row(row),
                format!(
                    "第 {row} 行的面积“{}”按{}理解（与图形面积相符；图形面积 ÷ 标注数值 = {factor:.4}），通常的单位是{}",
                    text.trim(),
                    unit.label(),
                    usual.label()
                ),
            );
            (with(unit), Some(finding))
        }
        _ => (with(usual), None),
    }
}

/// Reads the mapped area field, whose name tells `unit`; without a unit anywhere m², hectares and mu are weighed against the
/// geometry.
pub(super) fn read_stated_area(
    attribute: &Attribute,
    unit: Option<AreaUnit>,
    geometry: Option<&MultiPolygon<f64>>,
    row: u64,
) -> (Option<StatedArea>, Vec<Finding>) {
    match parse(&attribute.value, unit) {
        Some((number, unit)) => {
            let likely = [AreaUnit::SquareMetre, AreaUnit::Hectare, AreaUnit::Mu];
            // The geometry is asked only where nobody names the unit.
            let computed = geometry.filter(|_| unit.is_none()).map(area::ellipsoidal);
            let (stated, finding) = resolve(&attribute.value, number, unit, computed, &likely, row);
            (stated, finding.into_iter().collect())
        }
        None => {
            let shown: String = attribute.value.chars().take(40).collect();
            let finding = Finding::warning(
                "area_not_a_number",
                Place::row(row).field(&*attribute.field),
                format!("第 {row} 条记录的面积“{shown}”不是数，未采用"),
            );
            (None, vec![finding])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_units_as_written() {
        let unit = |u: Option<AreaUnit>| u.map(AreaUnit::as_str);
        for (text, field_unit, expected) in [
            ("12.8391", None, Some((12.8391, None))),
            ("12.84公顷", None, Some((12.84, Some("ha")))),
            ("1,206.5亩", None, Some((1206.5, Some("mu")))),
            ("１２．５", Some(AreaUnit::Mu), Some((12.5, Some("mu")))),
            ("约3.5 ha", None, Some((3.5, Some("ha")))),
            ("12顷", None, None),
            ("abc", None, None),
            ("-3", None, None),
            ("1e999", None, None),
            ("", None, None),
        ] {
            assert_eq!(parse(text, field_unit).map(|(n, u)| (n, unit(u))), expected, "{text}");
        }
    }

    #[test]
    fn the_unit_is_judged_by_the_geometry_and_told() {
        let computed = SquareMetres::new(128_377.6);
        let likely = [AreaUnit::Hectare, AreaUnit::SquareMetre, AreaUnit::Mu];
        let resolve = |n: f64| resolve("x", n, None, computed, &likely, 7);
        assert!(matches!(resolve(12.8391), (Some(StatedArea { unit: "ha", .. }), None)));
        let (area, finding) = resolve(128_390.85);
        assert_eq!(area.map(|a| a.unit), Some("m2"));
        assert!(finding.expect("told").message.contains("图形面积 ÷ 标注数值 = 0.9999"));
        assert!(
            matches!(resolve(5.0), (Some(StatedArea { unit: "ha", .. }), None)),
            "agrees with nothing: the usual unit"
        );
    }
}
