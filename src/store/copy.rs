//! COPY's binary format: a bulk load costs a third of what as many statements cost.

use chrono::{Datelike, NaiveDate};
use sqlx::PgConnection;

use crate::domain::Hectares;
use crate::domain::area::round_decimal;
use crate::error::Result;

/// Bytes sent at once: small enough that the server works on one piece while the next is made.
const PIECE: usize = 1 << 17;

/// Decimals of `numeric(14, 6)`.
const DECIMALS: usize = 6;

/// One row under construction.
pub(super) struct CopyRow<'a>(&'a mut Vec<u8>);

/// Sends one row per item by `statement`, a `COPY … FROM STDIN (FORMAT binary)` of as many columns as `fill` writes.
pub(super) async fn copy_in<T>(
    connection: &mut PgConnection,
    statement: &str,
    columns: i16,
    items: impl Iterator<Item = T>,
    fill: impl Fn(&mut CopyRow<'_>, T),
) -> Result<()> {
    let mut copy = connection.copy_in_raw(statement).await?;
    let mut piece = Vec::with_capacity(PIECE + (PIECE >> 2));
    // Signature, flags, length of the header's extension.
    piece.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    for item in items {
        piece.extend_from_slice(&columns.to_be_bytes());
        fill(&mut CopyRow(&mut piece), item);
        if piece.len() >= PIECE {
            copy.send(piece.as_slice()).await?;
            piece.clear();
        }
    }
    piece.extend_from_slice(&(-1_i16).to_be_bytes());
    copy.send(piece.as_slice()).await?;
    copy.finish().await?;
    Ok(())
}

impl CopyRow<'_> {
    /// NUL cannot be stored: readers refuse it, here it is dropped last.
    pub(super) fn text(&mut self, text: &str) {
        if text.contains('\0') {
            self.bytes(text.replace('\0', "").as_bytes());
        } else {
            self.bytes(text.as_bytes());
        }
    }

    pub(super) fn optional_text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.null(),
        }
    }

    pub(super) fn null(&mut self) {
        self.0.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        // A value of two gigabytes is far above every limit of the readers.
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn double(&mut self, number: f64) {
        self.bytes(&number.to_be_bytes());
    }

    pub(super) fn optional_double(&mut self, number: Option<f64>) {
        match number {
            Some(number) => self.double(number),
            None => self.null(),
        }
    }

    pub(super) fn int4(&mut self, number: i32) {
        self.bytes(&number.to_be_bytes());
    }

    /// Days since 2000-01-01.
    pub(super) fn date(&mut self, day: NaiveDate) {
        const DAYS_BEFORE_2000: i32 = 730_120;
        self.int4(day.num_days_from_ce() - DAYS_BEFORE_2000);
    }

    /// The date before all dates.
    pub(super) fn minus_infinity(&mut self) {
        self.int4(i32::MIN);
    }

    pub(super) fn integer(&mut self, number: i64) {
        self.bytes(&number.to_be_bytes());
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.bytes(&[u8::from(value)]);
    }

    /// jsonb: a version byte and the text.
    pub(super) fn json(&mut self, value: &serde_json::Value) {
        self.bytes(format!("\u{1}{value}").as_bytes());
    }

    /// `numeric(14, 6)`: groups of four digits, the weight of the first, sign, decimals.
    pub(super) fn hectares(&mut self, area: Option<Hectares>) {
        let Some(area) = area else { return self.null() };
        let (weight, groups) = groups_of(area.value());
        let head = [i16::try_from(groups.len()).unwrap_or(0), weight, 0, DECIMALS as i16];
        let bytes: Vec<u8> = head.into_iter().chain(groups).flat_map(i16::to_be_bytes).collect();
        self.bytes(&bytes);
    }
}

/// The number, rounded to six decimals, in groups of four decimal digits without leading and trailing zero groups.
fn groups_of(number: f64) -> (i16, Vec<i16>) {
    // abs: −0.0 has a sign too.
    let text = format!("{:.6}", round_decimal(number, DECIMALS).abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let padded = format!("{whole:0>width$}{fraction:0<8}", width = whole.len().div_ceil(4) * 4);
    let mut weight = (whole.len().div_ceil(4)) as i16 - 1;
    // Digits only: an area is finite and not negative.
    let mut groups: Vec<i16> =
        padded.as_bytes().chunks(4).map(|g| g.iter().fold(0, |n, d| n * 10 + i16::from(d - b'0'))).collect();
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let leading = groups.iter().take_while(|g| **g == 0).count();
    groups.drain(..leading);
    weight -= leading as i16;
    (weight, groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The groups as PostgreSQL's documentation of `numeric_send` describes them, counted by hand; `tests/it/imports_lasting.rs`
    /// holds the way back through the server.
    #[test]
    fn numbers_in_groups_of_four_digits() {
        for (number, weight, groups) in [
            (0.0, -1, vec![]),
            (-0.0, -1, vec![]),
            (1.0, 0, vec![1]),
            (633.3, 0, vec![633, 3000]),
            (10_000.0, 1, vec![1]),
            (12_345.678_9, 1, vec![1, 2345, 6789]),
            (0.000_001, -2, vec![100]),
            (0.000_05, -2, vec![5000]),
            (21_180_000.123_456_7, 1, vec![2118, 0, 1234, 5700]),
        ] {
            assert_eq!(groups_of(number).1, groups, "{number}");
            if !groups.is_empty() {
                assert_eq!(groups_of(number).0, weight, "{number}");
            }
        }
    }
}
