//! Areas and their three units: square metres, hectares (公顷), mu (亩), and the one rounding rule.
//!
//! Never: a bare `f64` that is an area. Areas are kept unrounded in m²; rounding happens where a person reads.

use std::fmt;
use std::io::Write;

/// Square metres in one hectare (公顷).
pub const SQUARE_METRES_PER_HECTARE: f64 = 10_000.0;

/// An area in square metres, finite and not negative.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct SquareMetres(f64);

/// An area in hectares (公顷), finite and not negative.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Hectares(f64);

/// An area in mu (亩), finite and not negative; 15 mu are one hectare, so one mu is 2000/3 m².
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Mu(f64);

fn checked(value: f64) -> Option<f64> {
    (value.is_finite() && value >= 0.0).then_some(value)
}

impl SquareMetres {
    /// No area.
    pub const ZERO: SquareMetres = SquareMetres(0.0);

    /// `None` for NaN, infinities and negative numbers.
    pub fn new(value: f64) -> Option<Self> {
        checked(value).map(Self)
    }

    /// The number of square metres, unrounded.
    pub fn value(self) -> f64 {
        self.0
    }

    pub fn to_hectares(self) -> Hectares {
        Hectares(self.0 / SQUARE_METRES_PER_HECTARE)
    }

    /// 亩 = m² × 3 / 2000, exact in the unit's definition.
    pub fn to_mu(self) -> Mu {
        Mu(self.0 * 3.0 / 2000.0)
    }
}

impl Hectares {
    /// `None` for NaN, infinities and negative numbers.
    pub fn new(value: f64) -> Option<Self> {
        checked(value).map(Self)
    }

    pub fn value(self) -> f64 {
        self.0
    }

    pub fn to_square_metres(self) -> SquareMetres {
        SquareMetres(self.0 * SQUARE_METRES_PER_HECTARE)
    }

    pub fn to_mu(self) -> Mu {
        Mu(self.0 * 15.0)
    }
}

impl Mu {
    /// `None` for NaN, infinities and negative numbers.
    pub fn new(value: f64) -> Option<Self> {
        checked(value).map(Self)
    }

    pub fn value(self) -> f64 {
        self.0
    }

    pub fn to_square_metres(self) -> SquareMetres {
        SquareMetres(self.0 * 2000.0 / 3.0)
    }

    pub fn to_hectares(self) -> Hectares {
        Hectares(self.0 / 15.0)
    }
}

/// A number without the commas between its thousands; `None` where commas stand anywhere else: `1,5` is no fifteen.
pub fn ungrouped(text: &str) -> Option<String> {
    if !text.contains(',') {
        return Some(text.to_owned());
    }
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let digits = whole.trim_start_matches(['+', '-']);
    let mut groups = digits.split(',');
    let is_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let first = groups.next().is_some_and(|g| (1..=3).contains(&g.len()) && is_digits(g));
    let sound = first && groups.all(|g| g.len() == 3 && is_digits(g)) && fraction.is_none_or(|f| !f.contains(','));
    sound.then(|| text.replace(',', ""))
}

/// Rounds half away from zero at `decimals` decimal places of the *decimal* value: the one rounding rule.
///
/// Plain `(x * 10^d).round() / 10^d` turns 1.005 into 1.00, because 1.005 is stored a hair below; the shortest
/// decimal that reads back as `x` is what a person typed and what is rounded here.
pub fn round_decimal(x: f64, decimals: usize) -> f64 {
    if !x.is_finite() {
        return x;
    }
    // On the stack: every area of an import passes here.
    let (mut room, mut padded) = ([0; 64], [0; 64]);
    let Some(text) = write_into(&mut room, format_args!("{}", x.abs())) else {
        // Longer than any number with a digit to round: a large whole one, or a hair above zero.
        return if x.abs() < 1.0 { 0.0_f64.copysign(x) } else { x };
    };
    let Some((whole, fraction)) = text.split_once('.') else {
        return x;
    };
    let Some(unit) = u32::try_from(decimals).ok().and_then(|d| 10_u128.checked_pow(d)) else {
        return x;
    };
    if fraction.len() <= decimals {
        return x;
    }
    let up = u128::from(fraction.as_bytes()[decimals] >= b'5');
    let kept = whole.bytes().chain(fraction.bytes().take(decimals));
    let digits = kept.fold(0, |n, digit| n * 10 + u128::from(digit - b'0')) + up;
    let rounded =
        write_into(&mut padded, format_args!("{}.{:0>width$}", digits / unit, digits % unit, width = decimals));
    // Read as what a person types: the double nearest to the decimal.
    rounded.and_then(|text| text.parse::<f64>().ok()).unwrap_or(x.abs()).copysign(x)
}

/// The text, if there is room for it.
fn write_into<'a>(room: &'a mut [u8; 64], text: fmt::Arguments<'_>) -> Option<&'a str> {
    let mut rest = room.as_mut_slice();
    rest.write_fmt(text).ok()?;
    let length = 64 - rest.len();
    std::str::from_utf8(&room[..length]).ok()
}

impl fmt::Display for SquareMetres {
    /// Two decimals, as survey reports print m².
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", round_decimal(self.0, 2))
    }
}

impl fmt::Display for Hectares {
    /// Four decimals, as parcel files print 公顷. Directories print two: round with [`round_decimal`] there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4}", round_decimal(self.0, 4))
    }
}

impl fmt::Display for Mu {
    /// Two decimals, as ledgers print 亩.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", round_decimal(self.0, 2))
    }
}

/// A unit that area is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AreaUnit {
    SquareMetre,
    Hectare,
    Mu,
    SquareKilometre,
}

impl AreaUnit {
    /// `m2`, `ha`, `mu`, `km2`.
    pub fn as_str(self) -> &'static str {
        match self {
            AreaUnit::SquareMetre => "m2",
            AreaUnit::Hectare => "ha",
            AreaUnit::Mu => "mu",
            AreaUnit::SquareKilometre => "km2",
        }
    }

    /// 平方米, 公顷, 亩, 平方公里.
    pub fn label(self) -> &'static str {
        match self {
            AreaUnit::SquareMetre => "平方米",
            AreaUnit::Hectare => "公顷",
            AreaUnit::Mu => "亩",
            AreaUnit::SquareKilometre => "平方公里",
        }
    }

    /// Reads a unit as files and headings write it.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_lowercase().as_str() {
            "平方米" | "㎡" | "m2" | "m²" | "sqm" | "平米" => Some(AreaUnit::SquareMetre),
            "公顷" | "ha" | "hm2" | "hm²" | "hectare" | "hectares" => Some(AreaUnit::Hectare),
            "亩" | "mu" => Some(AreaUnit::Mu),
            "平方公里" | "平方千米" | "km2" | "km²" | "k㎡" => Some(AreaUnit::SquareKilometre),
            _ => None,
        }
    }

    /// A number of this unit as an area; `None` for NaN, infinities and negative numbers.
    pub fn area(self, number: f64) -> Option<SquareMetres> {
        match self {
            AreaUnit::SquareMetre => SquareMetres::new(number),
            AreaUnit::Hectare => Hectares::new(number).map(Hectares::to_square_metres),
            AreaUnit::Mu => Mu::new(number).map(Mu::to_square_metres),
            AreaUnit::SquareKilometre => SquareMetres::new(number * 1e6),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn commas_stand_between_thousands_alone() {
        for (text, expected) in [
            ("1,206.5", Some("1206.5")),
            ("12,345,678", Some("12345678")),
            ("1206.5", Some("1206.5")),
            ("1,5", None),
            ("1,2345", None),
            (",500", None),
            ("1.2,345", None),
            ("1,,234", None),
        ] {
            assert_eq!(super::ungrouped(text).as_deref(), expected, "{text}");
        }
    }

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rounding_is_half_away_from_zero_in_decimals() {
        for (x, decimals, expected) in [
            (1.005, 2, 1.01),
            (2.675, 2, 2.68),
            (0.125, 2, 0.13),
            (-1.005, 2, -1.01),
            (1.004_999, 2, 1.0),
            (999.995, 2, 1000.0),
            (1e20, 2, 1e20),
            (f64::MAX, 2, f64::MAX),
            (5e-324, 2, 0.0),
            (0.5, 0, 1.0),
            (0.049_999_999, 1, 0.0),
            (5e-7, 4, 0.0),
            (0.5, 0, 1.0),
            (1.5, 0, 2.0),
            (0.0, 2, 0.0),
            (-906_678_345.428_445, 5, -906_678_345.428_45),
        ] {
            assert_eq!(round_decimal(x, decimals), expected, "{x} to {decimals}");
        }
        assert!(round_decimal(f64::NAN, 2).is_nan());
    }

    #[test]
    fn units_by_their_definitions() {
        let m2 = |unit: AreaUnit, n: f64| unit.area(n).map(SquareMetres::value);
        assert_eq!(m2(AreaUnit::Hectare, 1.0), Some(10_000.0));
        assert_eq!(m2(AreaUnit::SquareKilometre, 3.015), Some(3_015_000.0));
        assert_eq!(m2(AreaUnit::Mu, 3.0), Some(2_000.0));
        assert_eq!(m2(AreaUnit::Mu, -1.0), None);
        assert_eq!(m2(AreaUnit::SquareMetre, f64::NAN), None);
        let area = SquareMetres::new(128_377.6).expect("finite");
        assert_eq!(
            (area.to_string(), area.to_hectares().to_string(), area.to_mu().to_string()),
            ("128377.60".into(), "12.8378".into(), "192.57".into())
        );
        assert_eq!(Hectares::new(1.0).map(|h| h.to_mu().value()), Some(15.0));
        for (text, unit) in [
            ("公顷", AreaUnit::Hectare),
            ("㎡", AreaUnit::SquareMetre),
            (" 亩 ", AreaUnit::Mu),
            ("KM2", AreaUnit::SquareKilometre),
        ] {
            assert_eq!(AreaUnit::parse(text), Some(unit));
        }
        assert_eq!(AreaUnit::parse("顷"), None);
    }

    proptest! {
        #[test]
        fn units_round_trip(m2 in 0.0..1e12f64) {
            let area = SquareMetres::new(m2).expect("finite");
            prop_assert!((area.to_mu().to_square_metres().value() - m2).abs() <= m2 * 1e-15 + 1e-12);
            prop_assert!((area.to_hectares().to_square_metres().value() - m2).abs() <= m2 * 1e-15 + 1e-12);
            prop_assert!((area.to_mu().value() / 15.0 - area.to_hectares().value()).abs() <= area.to_hectares().value() * 1e-15 + 1e-12);
        }

        #[test]
        fn rounding_stays_within_half_a_step(x in -1e9..1e9f64, decimals in 0usize..6) {
            let step = 10f64.powi(-i32::try_from(decimals).expect("small"));
            // A double near 1e9 is itself 1e-7 wide.
            prop_assert!((round_decimal(x, decimals) - x).abs() <= step * 0.500_001 + x.abs() * 2.0 * f64::EPSILON);
        }
    }
}
