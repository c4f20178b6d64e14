//! Cursors of items: where a page ended, so that the next one begins behind it.

use super::filters;
use super::params::parse_day;
use crate::domain::items_query::After;
use crate::error::{Error, Result};

/// Opaque to clients: the last feature's id, the day its life began, the values that it was sorted by and by what, as JSON in hex with a
/// mark of the version.
pub fn text(after: &After, sortby: Option<&str>) -> String {
    let from = after.from.map(|day| day.to_string());
    let text = serde_json::json!([after.id, from, after.keys, order(sortby)]).to_string();
    text.bytes().fold(String::from("c3"), |mut hex, b| {
        hex.push_str(&format!("{b:02x}"));
        hex
    })
}

/// `sortby` however it was written.
fn order(sortby: Option<&str>) -> String {
    let keys = sortby.into_iter().flat_map(|text| text.split(',')).map(str::trim);
    keys.map(|key| key.strip_prefix('+').unwrap_or(key)).collect::<Vec<_>>().join(",")
}

/// Longest cursor: an id, a day and the values of the sort keys.
const MAX_CURSOR: usize = 8_000;

/// Where the page begins. A cursor of another order is refused: the slice that it cuts would mean nothing.
pub fn parse(text: &str, sortby: Option<&str>) -> Result<After> {
    let invalid = || Error::invalid("cursor_invalid", "cursor 不是本服务给出的；请从第一页的 next 链接开始");
    // `from_str_radix` alone would take signs too.
    let is_hex =
        |h: &str| h.len().is_multiple_of(2) && h.len() <= MAX_CURSOR && h.bytes().all(|b| b.is_ascii_hexdigit());
    let hex = text.strip_prefix("c3").filter(|h| is_hex(h)).ok_or_else(invalid)?;
    let bytes: Option<Vec<u8>> =
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).ok()).collect();
    type Parts = (String, Option<String>, Vec<Option<String>>, String);
    let (id, from, keys, of): Parts = serde_json::from_slice(&bytes.ok_or_else(invalid)?).map_err(|_| invalid())?;
    if of != order(sortby) {
        return Err(not_of_this_order());
    }
    if keys.len() > filters::MAX_SORT_KEYS || [&id].into_iter().chain(keys.iter().flatten()).any(|t| t.contains('\0')) {
        return Err(invalid());
    }
    let from = from.map(|day| parse_day(&day).ok_or_else(invalid)).transpose()?;
    Ok(After { id, from, keys })
}

/// A cursor of a page that was sorted otherwise.
pub fn not_of_this_order() -> Error {
    Error::invalid("cursor_invalid", "cursor 与 sortby 不相配；请从第一页的 next 链接开始")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip() {
        for (id, from) in [("G431176", None), ("G431176-一号", "2020-01-01".parse().ok()), ("", None)] {
            for keys in [vec![], vec![None, Some("1,5".to_owned())]] {
                let after = After { id: id.to_owned(), from, keys };
                for sortby in [None, Some("-name, +number")] {
                    assert_eq!(parse(&text(&after, sortby), sortby).ok().as_ref(), Some(&after));
                }
            }
        }
        let hex = |text: &str| format!("c3{}", text.bytes().map(|b| format!("{b:02x}")).collect::<String>());
        let good = hex("[\"a\",null,[],\"\"]");
        assert!(parse(&good, None).is_ok());
        let broken = ["[]", "[\"a\",null]", "[\"a\",null,[]]", "[\"a\",\"2020-13-01\",[],\"\"]"].map(hex);
        let older = good.replacen("c3", "c2", 1);
        let odd = ["", "c", "c3zz", "c3f", "c1ff", "c3ff", "c300", "c3+1", &older];
        for bad in odd.into_iter().chain(broken.iter().map(String::as_str)) {
            assert_eq!(parse(bad, None).err().map(|e| e.code()), Some("cursor_invalid"), "{bad}");
        }
    }

    #[test]
    fn a_cursor_is_of_one_order() {
        let after = After { id: "a".to_owned(), from: None, keys: vec![Some("甲".to_owned())] };
        let cursor = text(&after, Some("name"));
        for same in ["name", "+name", " name"] {
            assert!(parse(&cursor, Some(same)).is_ok(), "{same}");
        }
        for other in [None, Some("-name"), Some("number"), Some("name,number")] {
            assert_eq!(parse(&cursor, other).err().map(|e| e.code()), Some("cursor_invalid"), "{other:?}");
        }
    }
}
