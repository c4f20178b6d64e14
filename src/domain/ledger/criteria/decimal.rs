//! Exact decimal numbers: what a paper prints is compared as printed, not as the nearest double.

use std::cmp::Ordering;
use std::fmt;

/// Digits of a number at most: products of two still fit.
const MOST_DIGITS: usize = 18;

/// Decimals that a number of the register is taken with; what is behind them is a hair of a hair.
const MOST_DECIMALS: u32 = 18;

/// A decimal number that is not negative, without zeros at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    digits: i128,
    decimals: u32,
}

impl Decimal {
    pub const ZERO: Decimal = Decimal { digits: 0, decimals: 0 };

    /// Reads digits with or without a point: `12.5`. No sign, no exponent, at most eighteen digits that count.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        if whole.len() + fraction.len() > MOST_DIGITS {
            return None;
        }
        let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
        Some(Self::of(digits, u32::try_from(fraction.len()).ok()?))
    }

    /// The shortest decimal that reads back to the double, which is what was typed.
    pub fn of_f64(number: f64) -> Option<Self> {
        if !number.is_finite() || !(0.0..1e15).contains(&number) {
            return None;
        }
        let text = number.to_string();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let kept = fraction.get(..MOST_DECIMALS as usize).unwrap_or(fraction);
        let digits: i128 = format!("{whole}{kept}").parse().ok()?;
        Some(Self::of(digits, u32::try_from(kept.len()).ok()?))
    }

    fn of(mut digits: i128, mut decimals: u32) -> Self {
        while decimals > 0 && digits % 10 == 0 {
            digits /= 10;
            decimals -= 1;
        }
        Self { digits, decimals }
    }

    /// How many decimals it is written with.
    pub fn decimals(self) -> u32 {
        self.decimals
    }

    /// `None` where the product has more digits than are held.
    pub fn times(self, other: Decimal) -> Option<Self> {
        let digits = self.digits.checked_mul(other.digits)?;
        Some(Self::of(digits, self.decimals.checked_add(other.decimals)?))
    }

    /// A whole number of times, with the point so many places to the left.
    pub fn scaled(self, by: u32, places: u32) -> Option<Self> {
        let digits = self.digits.checked_mul(i128::from(by))?;
        Some(Self::of(digits, self.decimals.checked_add(places)?))
    }

    /// `None` where the sum has more digits than are held.
    pub fn plus(self, other: Decimal) -> Option<Self> {
        let decimals = self.decimals.max(other.decimals);
        let sum = self.with_decimals(decimals)?.checked_add(other.with_decimals(decimals)?)?;
        Some(Self::of(sum, decimals))
    }

    fn with_decimals(self, decimals: u32) -> Option<i128> {
        self.digits.checked_mul(10_i128.checked_pow(decimals.checked_sub(self.decimals)?)?)
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(f64::MAX)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let decimals = self.decimals.max(other.decimals);
        match (self.with_decimals(decimals), other.with_decimals(decimals)) {
            (Some(own), Some(others)) => own.cmp(&others),
            // One does not fit beside the decimals of the other: they are far apart.
            _ => self.to_f64().total_cmp(&other.to_f64()),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.decimals as usize;
        let digits = format!("{:0>width$}", self.digits, width = width + 1);
        match digits.split_at_checked(digits.len() - width) {
            Some((whole, fraction)) if width > 0 => write!(f, "{whole}.{fraction}"),
            _ => f.write_str(&digits),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn numbers_as_they_are_written() {
        for (text, shown) in [
            ("12.5", "12.5"),
            ("0", "0"),
            ("007.500", "7.5"),
            ("0.000001", "0.000001"),
            ("1000", "1000"),
            ("999999999999.999999", "999999999999.999999"),
        ] {
            assert_eq!(decimal(text).to_string(), shown);
        }
        for bad in ["", ".", "1.", ".5", "-1", "+1", "1e3", "NaN", "inf", "1.2.3", "1,5", "１", "9999999999999999999"]
        {
            assert_eq!(Decimal::parse(bad), None, "{bad}");
        }
        assert_eq!(Decimal::of_f64(124.5), Some(decimal("124.5")));
        assert_eq!(Decimal::of_f64(0.1 + 0.2).map(|d| d.to_string()).as_deref(), Some("0.30000000000000004"));
        assert_eq!(Decimal::of_f64(1e-300), Some(Decimal::ZERO));
        for bad in [f64::NAN, f64::INFINITY, -1.0, 1e15] {
            assert_eq!(Decimal::of_f64(bad), None, "{bad}");
        }
    }

    #[test]
    fn products_and_sums_have_every_digit() {
        // As doubles 8.3 × 15 is 124.50000000000001.
        assert_eq!(decimal("8.3").scaled(15, 0), Some(decimal("124.5")));
        assert_eq!(decimal("12.5").times(decimal("60")).and_then(|d| d.scaled(1, 2)), Some(decimal("7.5")));
        assert_eq!(decimal("0.1").plus(decimal("0.2")), Some(decimal("0.3")));
        assert!(decimal("124.5") < decimal("124.500001") && decimal("999999999999") > decimal("0.000001"));
        // Too far apart to be written beside each other.
        let hair = Decimal::of_f64(1e-18).expect("a hair");
        let largest = decimal("999999999999999999").times(decimal("999999999999999999")).expect("fits");
        assert_eq!((hair.cmp(&largest), largest.cmp(&hair)), (Ordering::Less, Ordering::Greater));
        assert_eq!(largest.times(largest), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(digits in 0_i128..1_000_000_000_000, decimals in 0_u32..7) {
            let number = Decimal::of(digits, decimals);
            prop_assert_eq!(Decimal::parse(&number.to_string()), Some(number));
            prop_assert_eq!(Decimal::of_f64(number.to_f64()), Some(number));
        }
    }
}
