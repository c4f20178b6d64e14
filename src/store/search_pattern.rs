//! A search of words as a regular expression of PostgreSQL, which keeps compiled ones: nothing has to be stored beside the names, and the
//! past is searched like the present. A pattern is bound like any value.

use std::fmt::Write as _;

use crate::domain::search::Search;

/// What a text must hold somewhere.
pub(super) fn pattern(search: &Search) -> String {
    let mut pattern = String::new();
    for step in search.steps() {
        match step.as_slice() {
            [only] => push(&mut pattern, *only),
            all => {
                pattern.push('[');
                runs(all, &mut pattern);
                pattern.push(']');
            }
        }
    }
    pattern
}

/// Neighbours as `a-z`: a letter's characters are some thousand runs.
fn runs(sorted: &[char], pattern: &mut String) {
    for run in sorted.chunk_by(|a, b| u32::from(*a) + 1 == u32::from(*b)) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        push(pattern, *first);
        if run.len() > 2 {
            pattern.push('-');
        }
        if run.len() > 1 {
            push(pattern, *last);
        }
    }
}

/// A character that means nothing else, in brackets or outside of them.
fn push(pattern: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || u32::from(c) >= 0x2e80 {
        pattern.push(c);
    } else {
        // Eight digits: the form with four would swallow digits that follow.
        let _ = write!(pattern, "\\U{:08x}", u32::from(c));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_search_is_an_operator() {
        for (search, expected) in [
            ("长沙", "长沙"),
            ("a1,", "[AaＡａ][1１][\\U0000002c，]"),
            (".*", "[\\U0000002e．][\\U0000002a＊]"),
            ("]^-\\", "[\\U0000005d］][\\U0000005e＾][\\U0000002d－][\\U0000005c＼]"),
        ] {
            assert_eq!(pattern(&Search::new(search)), expected, "{search}");
        }
        assert!(pattern(&Search::new("c")).starts_with("[Cc") && pattern(&Search::new("c")).contains('长'));
    }
}
