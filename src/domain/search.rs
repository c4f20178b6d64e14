//! `q=`: words looked for in names, numbers and codes, also by the initials of their pinyin (csjkq: 长沙经开区).
//!
//! One rule for two readers: [`Search::matches`] for texts in memory; [`Search::steps`] for the database, where `store` writes them as a
//! pattern. Upper and lower case are one, and so are the two widths of ASCII. Of a character with several readings each one counts:
//! 重庆 is cq and zq.

use std::collections::HashMap;
use std::sync::LazyLock;

use pinyin::ToPinyinMulti;
use unicode_normalization::UnicodeNormalization;

use super::layer::{Layer, Property};

/// Letters and digits of a search for initials. A longer one is no row of initials, and each letter is some three thousand characters to
/// whoever writes a pattern of it.
const MAX_INITIALS: usize = 12;

/// What stands between the texts of one feature that are searched: in none of them, and in no search.
pub const GAP: char = '\u{1f}';

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Folded.
    words: Vec<char>,
    /// Letters and digits alone: a letter is also the initial of a character.
    initials: bool,
}

impl Search {
    pub fn new(text: &str) -> Self {
        let words: Vec<char> = text.nfc().map(fold).collect();
        let initials = words.len() <= MAX_INITIALS
            && words.iter().all(char::is_ascii_alphanumeric)
            && words.iter().any(char::is_ascii_lowercase);
        Self { words, initials }
    }

    /// Whether the text holds the words, or characters in a row that begin with these letters.
    pub fn matches(&self, text: &str) -> bool {
        let mut from = text;
        loop {
            let mut rest = from.chars();
            if self.words.iter().all(|step| rest.next().is_some_and(|c| self.fits(*step, c))) {
                return true;
            }
            let mut next = from.chars();
            if next.next().is_none() {
                return false;
            }
            from = next.as_str();
        }
    }

    fn fits(&self, step: char, c: char) -> bool {
        let c = fold(c);
        c == step || self.initials && step.is_ascii_lowercase() && initials_of(c) & bit(step) != 0
    }

    /// What may stand in each place, in rising order: the same rule for who cannot call [`Search::matches`].
    pub fn steps(&self) -> Vec<Vec<char>> {
        let step = |step: &char| {
            let mut all = written_as(*step);
            if self.initials && step.is_ascii_lowercase() {
                all.extend_from_slice(INITIALS.of_letter.get(step).map_or(&[][..], Vec::as_slice));
            }
            all.sort_unstable();
            all
        };
        self.words.iter().map(step).collect()
    }
}

/// The properties of a layer that are looked through.
pub fn searched(layer: &Layer) -> impl Iterator<Item = &Property> {
    layer.properties.iter().filter(|property| property.is_searched())
}

/// Lower case of the narrow form.
fn fold(c: char) -> char {
    let narrow = match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - WIDTH).unwrap_or(c),
        '\u{3000}' => ' ',
        other => other,
    };
    // Only where upper and lower case are each other's: then two forms of a letter are one, and never three.
    let mut lower = narrow.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(lower), None) if is_upper_of(narrow, lower) => lower,
        _ => narrow,
    }
}

/// From a narrow form to its wide one.
const WIDTH: u32 = 0xfee0;

fn is_upper_of(upper: char, lower: char) -> bool {
    let mut forms = lower.to_uppercase();
    forms.next() == Some(upper) && forms.next().is_none()
}

/// Every character that folds into this one.
fn written_as(folded: char) -> Vec<char> {
    let upper = folded.to_uppercase().next().filter(|upper| *upper != folded && fold(*upper) == folded);
    let mut forms: Vec<char> = std::iter::once(folded).chain(upper).collect();
    let wide = forms.iter().filter(|c| ('!'..='~').contains(*c)).filter_map(|c| char::from_u32(u32::from(*c) + WIDTH));
    let wide: Vec<char> = wide.collect();
    forms.extend(wide);
    forms.extend((folded == ' ').then_some('\u{3000}'));
    forms
}

fn bit(letter: char) -> u32 {
    1 << (u32::from(letter) - u32::from('a'))
}

/// The initials of the readings of every character that has one.
struct Initials {
    /// A bit a letter, of the characters from [`FIRST`] on that two bytes number.
    near: Vec<u32>,
    far: HashMap<char, u32>,
    of_letter: HashMap<char, Vec<char>>,
}

/// Han characters begin here (〇 is U+3007).
const FIRST: u32 = 0x3000;

static INITIALS: LazyLock<Initials> = LazyLock::new(|| {
    let mut table =
        Initials { near: vec![0; 0x1_0000 - FIRST as usize], far: HashMap::new(), of_letter: HashMap::new() };
    // The planes of Han characters.
    for c in (FIRST..0x4_0000).filter_map(char::from_u32) {
        let Some(readings) = c.to_pinyin_multi() else { continue };
        let mut bits = 0;
        for reading in readings {
            let initial = reading.plain().chars().next().map(unmarked);
            bits |= initial.filter(char::is_ascii_lowercase).map_or(0, bit);
        }
        for letter in ('a'..='z').filter(|letter| bits & bit(*letter) != 0) {
            table.of_letter.entry(letter).or_default().push(c);
        }
        match table.near.get_mut((u32::from(c) - FIRST) as usize) {
            Some(place) => *place = bits,
            None => {
                table.far.insert(c, bits);
            }
        }
    }
    table
});

/// A letter without its mark: the readings ê and ḿ.
fn unmarked(c: char) -> char {
    std::iter::once(c).nfd().next().unwrap_or(c)
}

fn initials_of(c: char) -> u32 {
    let Some(place) = u32::from(c).checked_sub(FIRST) else { return 0 };
    INITIALS.near.get(place as usize).copied().unwrap_or_else(|| INITIALS.far.get(&c).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_and_initials_find_names() {
        for (search, text, expected) in [
            ("长沙", "长沙经济技术开发区", true),
            ("csjkq", "长沙经开区", true),
            ("CSJKQ", "长沙经开区", true),
            ("ｃｓｊｋｑ", "长沙经开区", true),
            ("zsjkq", "长沙经开区", true),
            ("jkq", "长沙经开区", true),
            ("cq", "重庆", true),
            ("zq", "重庆", true),
            ("ckq", "长沙经开区", false),
            ("csjkqs", "长沙经开区", false),
            ("g4311", "G431176", true),
            ("Ｇ431176", "G431176", true),
            ("a3q", "Ａ3区", true),
            ("A座", "第ａ座", true),
            ("3", "第３号", true),
            ("100%_\\", "100 percent", false),
            ("ⅱ期", "Ⅱ期", true),
            ("一 期", "一\u{3000}期", true),
            ("cs经", "长沙经开区", false),
            ("tl", "㮾梨街道", false),
            ("ljd", "㮾梨街道", true),
            ("", "任何", true),
        ] {
            assert_eq!(Search::new(search).matches(text), expected, "{search} in {text}");
        }
        // Composed and decomposed are one search.
        assert_eq!(Search::new("e\u{301}"), Search::new("\u{e9}"));
        // Letters in a row that no initials are.
        let long = "a".repeat(MAX_INITIALS + 1);
        assert!(Search::new(&long).matches(&long) && !Search::new(&long).matches(&"阿".repeat(20)));
        assert!(Search::new(&long[1..]).matches(&"阿".repeat(20)));
    }

    #[test]
    fn forms_of_a_character_are_those_that_fold_into_it() {
        let mut forms: HashMap<char, Vec<char>> = HashMap::new();
        for c in (0x20..0x3_0000).filter_map(char::from_u32) {
            forms.entry(fold(c)).or_default().push(c);
        }
        for (folded, expected) in forms {
            let mut found = written_as(folded);
            found.sort_unstable();
            assert_eq!(found, expected, "{folded:?}");
        }
    }

    proptest! {
        #[test]
        fn steps_say_what_matches_does(search in "[a-cA-C1Ａ长沙重庆区 ]{1,4}", text in "[a-cA-C1Ａ长沙重庆区县 ]{0,12}") {
            let search = Search::new(&search);
            let (steps, chars) = (search.steps(), text.chars().collect::<Vec<_>>());
            let by_steps = chars.windows(steps.len()).any(|w| w.iter().zip(&steps).all(|(c, step)| step.binary_search(c).is_ok()));
            prop_assert_eq!(search.matches(&text), by_steps, "{:?} {}", search, text);
        }
    }
}
