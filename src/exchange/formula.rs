//! Cells that a spreadsheet would run as a formula, and the apostrophe that keeps it from doing so (decision 0009).

use std::borrow::Cow;

/// What a formula begins with, in half and full width; TAB and CR are passed over by spreadsheets before they look.
const BEGINNINGS: [char; 10] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r'];

const MARK: char = '\'';

/// A text that would be run, or one that was and has marks already: with those set aside, it begins like a formula.
pub fn is_dangerous(text: &str) -> bool {
    text.trim_start_matches(MARK).starts_with(BEGINNINGS)
}

/// With one more apostrophe in front where the text is dangerous.
pub fn neutralise(text: &str) -> Cow<'_, str> {
    if is_dangerous(text) { Cow::Owned(format!("{MARK}{text}")) } else { Cow::Borrowed(text) }
}

/// The text that [`neutralise`] was given.
pub fn restore(text: &str) -> &str {
    text.strip_prefix(MARK).filter(|rest| is_dangerous(rest)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn formulas_get_one_mark_and_lose_it_again() {
        for (text, written) in [
            ("=HYPERLINK(\"x\")", "'=HYPERLINK(\"x\")"),
            ("+86 731", "'+86 731"),
            ("-5", "'-5"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("＝1", "'＝1"),
            ("＋1", "'＋1"),
            ("－1", "'－1"),
            ("＠1", "'＠1"),
            ("'=1", "''=1"),
            ("'甲", "'甲"),
            ("''", "''"),
            ("甲=1", "甲=1"),
            ("—1", "—1"),
            ("", ""),
        ] {
            assert_eq!(neutralise(text), written);
            assert_eq!(restore(written), text);
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "['=+@\t甲-]{0,4}.{0,3}") {
            let written = neutralise(&text).into_owned();
            prop_assert!(!written.starts_with(BEGINNINGS));
            prop_assert_eq!(restore(&written), text);
        }
    }
}
