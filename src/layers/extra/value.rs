//! Values of a TOML document with their lines: what is of the wrong kind is told and passed over, so that all faults come at once.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::Faults;

/// The text of a document, for finding lines.
pub struct Lines<'a>(pub &'a str);

impl Lines<'_> {
    /// The line of a byte, counted from 1.
    pub fn of(&self, span: &Range<usize>) -> u64 {
        let before = self.0.as_bytes().get(..span.start).unwrap_or(self.0.as_bytes());
        1 + before.iter().filter(|byte| **byte == b'\n').count() as u64
    }
}

/// A table that is read key by key; keys that nobody asked for are told at the end.
pub struct Reader<'a, 'i> {
    table: &'a DeTable<'i>,
    lines: &'a Lines<'i>,
    /// What the table is, for sentences: `第 2 个图层`.
    what: String,
    known: Vec<&'static str>,
    pub line: u64,
}

impl<'a, 'i> Reader<'a, 'i> {
    pub fn new(table: &'a DeTable<'i>, span: &Range<usize>, lines: &'a Lines<'i>, what: String) -> Self {
        Self { table, lines, what, known: Vec::new(), line: lines.of(span) }
    }

    pub fn lines(&self) -> &'a Lines<'i> {
        self.lines
    }

    pub fn get(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.known.push(key);
        self.table.get(key)
    }

    pub fn line_of(&self, value: &Spanned<DeValue<'_>>) -> u64 {
        self.lines.of(&value.span())
    }

    pub fn wrong(&self, faults: &mut Faults, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let message = format!("{}的 {key} 应为{expected}", self.what);
        faults.error("layers_file_value", self.line_of(value), message);
    }

    /// A text that says something.
    pub fn text(&mut self, key: &'static str, faults: &mut Faults) -> Option<String> {
        let value = self.get(key)?;
        match text_of(value.get_ref()) {
            Some(text) => Some(text),
            None => {
                self.wrong(faults, key, value, "不空、不含控制字符、不超过 500 个字的文字");
                None
            }
        }
    }

    /// A text without which there is no layer.
    pub fn needed(&mut self, key: &'static str, faults: &mut Faults) -> Option<String> {
        if self.table.get(key).is_none() {
            faults.error("layers_file_missing", self.line, format!("{}缺少 {key}", self.what));
        }
        self.text(key, faults)
    }

    /// A whole number between these, both included.
    pub fn number(&mut self, key: &'static str, range: (i64, i64), faults: &mut Faults) -> Option<i64> {
        let value = self.get(key)?;
        let number = whole(value.get_ref()).filter(|n| (range.0..=range.1).contains(n));
        if number.is_none() {
            self.wrong(faults, key, value, &format!(" {} 到 {} 的整数", range.0, range.1));
        }
        number
    }

    /// A number between these, both included, without which there is nothing to go by.
    pub fn needed_decimal(&mut self, key: &'static str, range: (f64, f64), faults: &mut Faults) -> Option<f64> {
        let Some(value) = self.get(key) else {
            faults.error("layers_file_missing", self.line, format!("{}缺少 {key}", self.what));
            return None;
        };
        let number = decimal(value.get_ref()).filter(|n| (range.0..=range.1).contains(n));
        if number.is_none() {
            self.wrong(faults, key, value, &format!(" {} 到 {} 的数", range.0, range.1));
        }
        number
    }

    /// The whole number of [`Reader::number`], which must be there.
    pub fn needed_number(&mut self, key: &'static str, range: (i64, i64), faults: &mut Faults) -> Option<i64> {
        if self.table.get(key).is_none() {
            faults.error("layers_file_missing", self.line, format!("{}缺少 {key}", self.what));
        }
        self.number(key, range, faults)
    }

    /// One of these words.
    pub fn word(&mut self, key: &'static str, words: &[&'static str], faults: &mut Faults) -> Option<&'static str> {
        let value = self.get(key)?;
        let text = text_of(value.get_ref()).unwrap_or_default();
        let word = words.iter().find(|word| **word == text);
        if word.is_none() {
            self.wrong(faults, key, value, &format!(" {} 之一", words.join("、")));
        }
        word.copied()
    }

    pub fn flag(&mut self, key: &'static str, faults: &mut Faults) -> Option<bool> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => {
                self.wrong(faults, key, value, " true 或 false");
                None
            }
        }
    }

    /// Tells every key that was not asked for.
    pub fn finish(self, faults: &mut Faults) {
        for (key, _) in self.table.iter() {
            if !self.known.contains(&key.get_ref().as_ref()) {
                let shown: String = key.get_ref().chars().filter(|c| !c.is_control()).take(40).collect();
                let message = format!("{}有不认识的键“{shown}”；可用的键：{}", self.what, self.known.join("、"));
                faults.error("layers_file_key_unknown", self.lines.of(&key.span()), message);
            }
        }
    }
}

/// A text that says something, in one line or several.
pub fn text_of(value: &DeValue<'_>) -> Option<String> {
    let DeValue::String(text) = value else { return None };
    let sound = |c: char| !c.is_control() || c == '\n';
    let text = text.trim();
    (!text.is_empty() && text.chars().count() <= 500 && text.chars().all(sound)).then(|| text.to_owned())
}

pub fn whole(value: &DeValue<'_>) -> Option<i64> {
    let DeValue::Integer(number) = value else { return None };
    let number: &DeInteger<'_> = number;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A number with or without a fraction; none of infinity.
fn decimal(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(number) => number.as_str().parse().ok().filter(|number: &f64| number.is_finite()),
        other => whole(other).map(|number| number as f64),
    }
}
