//! Texts that people write, as they are kept: titles, names, rules, notes.

use crate::domain::text::misleads;
use crate::error::{Error, Result};
use crate::exchange::text_encoding;

/// A text of one line: composed, without what misleads, of at most `most` characters. `name` is the member that it was given in.
pub(in crate::inventory) fn line(name: &str, given: &str, most: usize) -> Result<String> {
    checked(name, text_encoding::compose(given.trim()), most, misleads)
}

/// The same of several lines, whose ends are written in one way.
pub(in crate::inventory) fn lines(name: &str, given: &str, most: usize) -> Result<String> {
    let text = text_encoding::compose(given.trim()).replace("\r\n", "\n");
    checked(name, text, most, |c| misleads(c) && c != '\n')
}

fn checked(name: &str, text: String, most: usize, is_refused: impl Fn(char) -> bool) -> Result<String> {
    if text.chars().any(is_refused) {
        let detail = format!("{name} 含有控制字符或改变显示方向的字符");
        return Err(Error::invalid("text_control_character", detail));
    }
    if text.chars().count() > most {
        return Err(Error::invalid("value_invalid", format!("{name} 最多 {most} 个字")));
    }
    Ok(text)
}
