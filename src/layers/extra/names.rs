//! Names in the operator's file: ids of layers, and tables with their schema.

use crate::domain::extra_layer::MAX_ID;

/// Whether a layer may be called so: it stands in addresses, in file names and in the names of triggers.
pub fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    text.len() <= MAX_ID && text.bytes().all(plain) && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
}

/// `schema.table`, or a table of `public`. What has a dot or a quote in it stands between double quotes, as in SQL; but nothing is
/// folded: a name is what is written.
pub fn table(text: &str) -> Option<(String, String)> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, tail) = part(rest)?;
        parts.push(part);
        match tail.strip_prefix('.') {
            Some(tail) => rest = tail,
            None if tail.is_empty() => break,
            None => return None,
        }
    }
    match parts.as_slice() {
        [table] => Some(("public".to_owned(), table.clone())),
        [schema, table] => Some((schema.clone(), table.clone())),
        _ => None,
    }
}

/// A name of at most 63 bytes, as the database has them, and what follows it.
fn part(text: &str) -> Option<(String, &str)> {
    let (name, tail) = match text.strip_prefix('"') {
        None => {
            let end = text.find(['.', '"']).unwrap_or(text.len());
            (text[..end].to_owned(), &text[end..])
        }
        Some(quoted) => {
            let mut name = String::new();
            let mut rest = quoted;
            loop {
                let end = rest.find('"')?;
                name.push_str(&rest[..end]);
                rest = &rest[end + 1..];
                match rest.strip_prefix('"') {
                    Some(tail) => {
                        name.push('"');
                        rest = tail;
                    }
                    None => break,
                }
            }
            (name, rest)
        }
    };
    (!name.is_empty() && name.len() <= 63 && !name.chars().any(char::is_control)).then_some((name, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_words_for_addresses() {
        let longest = "a".repeat(MAX_ID);
        for good in ["roads", "r2_d-2", longest.as_str()] {
            assert!(is_id(good), "{good}");
        }
        let too_long = "a".repeat(MAX_ID + 1);
        for bad in ["", "2a", "_a", "Roads", "道路", "a b", "a/b", "a.b", too_long.as_str()] {
            assert!(!is_id(bad), "{bad}");
        }
    }

    #[test]
    fn tables_are_named_as_they_are_written() {
        for (text, schema, name) in [
            ("roads", "public", "roads"),
            ("gis.Roads", "gis", "Roads"),
            ("规划.道路", "规划", "道路"),
            (r#"gis."a.b""#, "gis", "a.b"),
            (r#""odd ""one""".x"#, "odd \"one\"", "x"),
        ] {
            assert_eq!(table(text), Some((schema.to_owned(), name.to_owned())), "{text}");
        }
        let long = "长".repeat(22);
        for bad in ["", ".", "a.", ".a", "a.b.c", r#""a"#, r#""a"b"#, r#"a"b""#, "a\nb", long.as_str()] {
            assert_eq!(table(bad), None, "{bad}");
        }
    }
}
