//! Areas and their three units: square metres, hectares (公顷), mu (亩), and the one rounding rule.
//!
//! Never: a bare `f64` that is an area. Areas are kept unrounded in m²; rounding happens where a person reads.

use std::fmt;

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

/// Rounds half away from zero at `decimals` decimal places of the *decimal* value: the one rounding rule.
///
/// Plain `(x * 10^d).round() / 10^d` turns 1.005 into 1.00, because 1.005 is stored a hair below; the shortest
/// decimal that reads back as `x` is what a person typed and what is rounded here.
pub fn round_decimal(x: f64, decimals: usize) -> f64 {
    if !x.is_finite() {
        return x;
    }
    let text = format!("{}", x.abs());
    let Some((whole, fraction)) = text.split_once('.') else {
        return x;
    };
    if fraction.len() <= decimals {
        return x;
    }
    let up = fraction.as_bytes()[decimals] >= b'5';
    let kept = format!("{whole}{}", &fraction[..decimals]);
    // 18 digits are more than an f64 carries; longer numbers have no fraction worth rounding.
    let Ok(mut digits) = kept.parse::<u128>() else {
        return x;
    };
    if up {
        digits += 1;
    }
    let mut padded = format!("{digits:0>width$}", width = decimals + 1);
    padded.insert(padded.len() - decimals, '.');
    let magnitude: f64 = padded.trim_end_matches('.').parse().unwrap_or(x.abs());
    magnitude.copysign(x)
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
