//! Cursors of items: where a page ended, so that the next one begins behind it.

use super::filters;
use super::params::parse_day;
use crate::domain::items_query::After;
use crate::error::{Error, Result};

/// Opaque to clients: the last feature's id, the day its life began and the values that it was sorted by, as JSON in hex with a mark
/// of the version.
pub fn text(after: &After) -> String {
    let from = after.from.map(|day| day.to_string());
    let text = serde_json::json!([after.id, from, after.keys]).to_string();
    text.bytes().fold(String::from("c2"), |mut hex, b| {
        hex.push_str(&format!("{b:02x}"));
        hex
    })
}

/// Longest cursor: an id, a day and the values of the sort keys.
const MAX_CURSOR: usize = 8_000;

pub fn parse(text: &str) -> Result<After> {
    let invalid = || Error::invalid("cursor_invalid", "cursor 不是本服务给出的；请从第一页的 next 链接开始");
    // `from_str_radix` alone would take signs too.
    let is_hex =
        |h: &str| h.len().is_multiple_of(2) && h.len() <= MAX_CURSOR && h.bytes().all(|b| b.is_ascii_hexdigit());
    let hex = text.strip_prefix("c2").filter(|h| is_hex(h)).ok_or_else(invalid)?;
    let bytes: Option<Vec<u8>> =
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).ok()).collect();
    type Parts = (String, Option<String>, Vec<Option<String>>);
    let (id, from, keys): Parts = serde_json::from_slice(&bytes.ok_or_else(invalid)?).map_err(|_| invalid())?;
    if keys.len() > filters::MAX_SORT_KEYS || [&id].into_iter().chain(keys.iter().flatten()).any(|t| t.contains('\0')) {
        return Err(invalid());
    }
    let from = from.map(|day| parse_day(&day).ok_or_else(invalid)).transpose()?;
    Ok(After { id, from, keys })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip() {
        for (id, from) in [("G431176", None), ("G431176-一号", "2020-01-01".parse().ok()), ("", None)] {
            for keys in [vec![], vec![None, Some("1,5".to_owned())]] {
                let after = After { id: id.to_owned(), from, keys };
                assert_eq!(parse(&text(&after)).ok(), Some(after));
            }
        }
        // The last three: `[]`, `["a",null]`, a day that is none.
        let bad_day =
            format!("c2{}", "[\"a\",\"2020-13-01\",[]]".bytes().map(|b| format!("{b:02x}")).collect::<String>());
        for bad in
            ["", "c", "c2zz", "c2f", "c1ff", "c2ff", "c200", "c2+1", "c25b5d", "c25b2261222c6e756c6c5d", &bad_day]
        {
            assert_eq!(parse(bad).err().map(|e| e.code()), Some("cursor_invalid"), "{bad}");
        }
    }
}
