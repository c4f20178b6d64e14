//! Stated areas: a number with a unit, from the value, from the field's name, or judged against the geometries of the file.

use super::{Attribute, StatedArea};
use crate::domain::area::{AreaUnit, ungrouped};
use crate::domain::{Finding, Place, SquareMetres};

/// Reads an area: `12.8391`, `12.84公顷`, `1,206.5亩`, full-width digits. `unit` is what the field's name tells.
pub fn parse(text: &str, unit: Option<AreaUnit>) -> Option<(f64, Option<AreaUnit>)> {
    let form: String = text
        .trim()
        .chars()
        .map(|c| match c {
            c @ '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
            c => c,
        })
        .filter(|c| !c.is_whitespace())
        .collect();
    let form = form.trim_start_matches('约');
    let end = form
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | 'e' | 'E' | '+' | '-')))
        .unwrap_or(form.len());
    let number: f64 = ungrouped(&form[..end])?.parse().ok()?;
    let written = match &form[end..] {
        "" => unit,
        suffix => Some(AreaUnit::parse(suffix)?),
    };
    (number.is_finite() && number >= 0.0).then_some((number, written))
}

/// Units of an area in a vector file, the usual first.
pub const IN_VECTOR_FILES: [AreaUnit; 3] = [AreaUnit::SquareMetre, AreaUnit::Hectare, AreaUnit::Mu];
/// In a boundary-point text, whose guide says hectares; some bureaus write m² or mu.
pub(super) const IN_BOUNDARY_TEXTS: [AreaUnit; 3] = [AreaUnit::Hectare, AreaUnit::SquareMetre, AreaUnit::Mu];

/// Records whose number is held against their geometry.
pub(super) const WEIGHED: usize = 400;

/// The unit of a column that names none. One for the whole file: judged record by record, the one whose number is wrong would
/// be read in another unit than its neighbours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ColumnUnit {
    pub unit: AreaUnit,
    /// The usual one, where another was taken.
    pub instead_of: Option<AreaUnit>,
    /// Records that agree with it, of so many that were weighed.
    agreeing: usize,
    weighed: usize,
}

impl ColumnUnit {
    /// Weighs numbers against the areas of their geometries: the unit that more than half of them agree with, else the usual one. To
    /// agree is to be off by a fifth at most, as net areas are: units lie factors of 15 and 667 apart, but a third off may be an area
    /// in hectares that is ten times too large, read in 亩.
    pub fn weigh(samples: impl Iterator<Item = (f64, SquareMetres)>, likely: [AreaUnit; 3]) -> Self {
        let mut agreeing = [0_usize; 3];
        let mut weighed = 0;
        for (number, computed) in samples.filter(|(n, computed)| *n > 0.0 && computed.value() > 0.0).take(WEIGHED) {
            weighed += 1;
            for (count, unit) in agreeing.iter_mut().zip(likely) {
                let agrees = |a: SquareMetres| (a.value() - computed.value()).abs() <= 0.2 * computed.value();
                *count += usize::from(unit.area(number).is_some_and(agrees));
            }
        }
        let best = agreeing.iter().position(|count| count * 2 > weighed).unwrap_or(0);
        let instead_of = (best > 0).then_some(likely[0]);
        Self { unit: likely[best], instead_of, agreeing: agreeing[best], weighed }
    }

    /// Whether any record had a say.
    pub fn is_settled(&self) -> bool {
        self.weighed > 0
    }

    /// What is to be said of a unit that is not the usual one.
    pub fn told(&self, field: &str) -> Option<Finding> {
        let usual = self.instead_of?;
        let message = format!(
            "字段“{field}”没有写明面积单位，全部按{}理解（与图形面积比较了 {} 条，{} 条大致相符），通常的单位是{}",
            self.unit.label(),
            self.weighed,
            self.agreeing,
            usual.label()
        );
        Some(Finding::info("stated_area_unit_guessed", Place::whole().field(field), message))
    }
}

/// The number of an area field that names no unit itself.
pub(super) fn bare_number(text: &str) -> Option<f64> {
    parse(text, None).and_then(|(number, unit)| unit.is_none().then_some(number))
}

/// Reads an area field in the unit that its value names, else in `unit`; a finding where it is no number.
pub(super) fn read_stated_area(attribute: &Attribute, unit: AreaUnit, row: u64) -> Result<Option<StatedArea>, Finding> {
    let Some((number, written)) = parse(&attribute.value, Some(unit)) else {
        let shown: String = attribute.value.chars().take(40).collect();
        let message = format!("第 {row} 条记录的面积“{shown}”不是数，未采用");
        return Err(Finding::warning("area_not_a_number", Place::row(row).field(&*attribute.field), message));
    };
    Ok(stated(&attribute.value, number, written.unwrap_or(unit)))
}

/// The area as printed and as understood.
pub(super) fn stated(text: &str, number: f64, unit: AreaUnit) -> Option<StatedArea> {
    unit.area(number).map(|area| StatedArea { text: text.trim().to_owned(), unit: unit.as_str(), area })
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
    fn the_unit_of_a_column_is_what_most_records_agree_with() {
        let area = |m2: f64| SquareMetres::new(m2).expect("finite");
        let weigh = |samples: &[(f64, f64)], likely| {
            let unit = ColumnUnit::weigh(samples.iter().map(|(n, m2)| (*n, area(*m2))), likely);
            (unit.unit.as_str(), unit.instead_of.map(AreaUnit::as_str), unit.agreeing, unit.weighed)
        };
        let in_text = |samples: &[(f64, f64)]| weigh(samples, IN_BOUNDARY_TEXTS);
        assert_eq!(in_text(&[(12.8391, 128_377.6)]), ("ha", None, 1, 1));
        assert_eq!(in_text(&[(128_390.85, 128_377.6)]), ("m2", Some("ha"), 1, 1));
        assert_eq!(in_text(&[(192.57, 128_377.6)]), ("mu", Some("ha"), 1, 1));
        assert_eq!(in_text(&[(5.0, 128_377.6)]), ("ha", None, 0, 1), "agrees with nothing: the usual unit");
        assert_eq!(in_text(&[]), ("ha", None, 0, 0));
        assert_eq!(in_text(&[(1.0, 0.0)]), ("ha", None, 0, 0), "an empty geometry weighs nothing");
        assert_eq!(in_text(&[(0.0, 128_377.6)]), ("ha", None, 0, 0), "nor does a zero");
        // Hectares in a vector file; the second is off by a tenth, and no reason to read it as m².
        let hectares = [(1.0, 10_000.0), (12.84, 141_000.0), (3.0, 30_500.0)];
        assert_eq!(weigh(&hectares, IN_VECTOR_FILES), ("ha", Some("m2"), 3, 3));
        // Net areas in m², all a quarter short, and one typed in 亩.
        let mut net = vec![(7_500.0, 10_000.0); 9];
        net.push((15.0, 10_000.0));
        assert_eq!(weigh(&net, IN_VECTOR_FILES), ("m2", None, 0, 10));
        let many = vec![(15.0, 10_000.0); WEIGHED + 1];
        assert_eq!(weigh(&many, IN_VECTOR_FILES), ("mu", Some("m2"), WEIGHED, WEIGHED));
    }
}
