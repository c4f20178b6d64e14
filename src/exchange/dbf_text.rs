//! Texts that are longer than a DBF's cell: they go on in further fields, 来源, 来源2, 来源3, and are put together again by the reader.

use crate::domain::export::TextEncoding;
use crate::error::Result;

/// A text cell, in bytes.
const CELL_BYTES: usize = 254;
/// What a cell that goes on holds at least: a character may not fit, and no cell ends or begins with a blank, which would be lost.
const FULL_BYTES: usize = 230;
/// Fields for one text; more is refused.
const MOST_FIELDS: usize = 40;

/// Fields that texts of so many bytes need.
pub fn fields_for(bytes: u64) -> usize {
    if bytes <= CELL_BYTES as u64 {
        return 1;
    }
    usize::try_from(bytes.div_ceil(FULL_BYTES as u64)).unwrap_or(MOST_FIELDS).min(MOST_FIELDS)
}

/// The text as its cells hold it. `length` is that of a character in the file's encoding.
pub fn cells(text: &str, length: impl Fn(char) -> usize) -> Vec<&str> {
    let mut cells = Vec::new();
    let mut rest = text;
    while rest.chars().map(&length).sum::<usize>() > CELL_BYTES {
        let (mut bytes, mut end, mut sound) = (0, 0, 0);
        for (at, c) in rest.char_indices() {
            if !c.is_whitespace() && !rest[..at].ends_with(char::is_whitespace) && bytes >= FULL_BYTES {
                sound = at;
            }
            if bytes + length(c) > CELL_BYTES {
                break;
            }
            bytes += length(c);
            end = at + c.len_utf8();
        }
        let (cell, tail) = rest.split_at(if sound > 0 { sound } else { end });
        cells.push(cell);
        rest = tail;
    }
    cells.push(rest);
    cells
}

/// The length of a character, or why it cannot be written.
pub fn check(text: &str, encoding: TextEncoding, place: impl Fn() -> String) -> Result<()> {
    if encoding == TextEncoding::Gbk {
        super::table_export::in_gbk(text, place)?;
    }
    Ok(())
}

pub fn length_in(encoding: TextEncoding) -> impl Fn(char) -> usize {
    move |c| match encoding {
        TextEncoding::Utf8 => c.len_utf8(),
        TextEncoding::Gbk => 1 + usize::from(!c.is_ascii()),
    }
}

/// Whether a field goes on where another of this name, whose cell has so many bytes, left off.
pub fn goes_on(base: &str, number: usize, cell_bytes: usize, field: &str) -> bool {
    cell_bytes >= FULL_BYTES && field.strip_prefix(base).is_some_and(|tail| tail == number.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cells_fit_and_end_in_no_blank() {
        let text = format!("{}  {}", "长".repeat(84), "x".repeat(300));
        let cells = cells(&text, length_in(TextEncoding::Utf8));
        assert_eq!(cells.concat(), text);
        assert_eq!(cells[0], "长".repeat(83), "254 bytes end in a blank");
        assert!(cells.iter().all(|c| c.len() <= CELL_BYTES));
        assert_eq!(super::cells(&"长".repeat(127), length_in(TextEncoding::Gbk)).len(), 1);
        assert_eq!(super::cells("", length_in(TextEncoding::Utf8)), [""]);
        assert_eq!([0, 254, 255, 424, 20_000].map(fields_for), [1, 1, 2, 2, MOST_FIELDS]);
        assert!(
            goes_on("来源", 2, 254, "来源2") && !goes_on("来源", 3, 254, "来源2") && !goes_on("来源", 2, 9, "来源2")
        );
    }

    proptest! {
        #[test]
        fn every_text_fits_in_as_many_cells_as_are_made_for_it(text in "[长a ，𠮷]{0,600}") {
            let cells = cells(&text, length_in(TextEncoding::Utf8));
            prop_assert_eq!(cells.concat(), text.as_str());
            prop_assert!(cells.iter().all(|c| c.len() <= CELL_BYTES));
            // Hundreds of blanks in a row alone may need more.
            prop_assume!(!text.contains("       "));
            prop_assert!(cells.len() <= fields_for(text.len() as u64));
            let full = cells.iter().rev().skip(1).all(|c| c.len() >= FULL_BYTES && c.trim() == *c || c.len() >= FULL_BYTES);
            prop_assert!(full);
        }
    }
}
