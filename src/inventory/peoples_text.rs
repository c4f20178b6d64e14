//! Texts that people write, as they are kept: titles, names, rules, notes.

use crate::domain::text::misleads;
use crate::error::{Error, Result};
use crate::exchange::text_encoding;

/// Why a text is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::inventory) enum Fault {
    Misleading,
    /// Of more characters than these.
    LongerThan(usize),
}

impl Fault {
    /// In words. `name` is the member that the text was given in.
    pub(in crate::inventory) fn message(self, name: &str) -> String {
        match self {
            Self::Misleading => format!("{name} 含有控制字符或改变显示方向的字符"),
            Self::LongerThan(most) => format!("{name} 最多 {most} 个字"),
        }
    }

    pub(in crate::inventory) fn refusal(self, name: &str) -> Error {
        let code = match self {
            Self::Misleading => "text_control_character",
            Self::LongerThan(_) => "value_invalid",
        };
        Error::invalid(code, self.message(name))
    }
}

/// A text of one line: composed, without what misleads, of at most `most` characters. `name` is the member that it was given in.
pub(in crate::inventory) fn line(name: &str, given: &str, most: usize) -> Result<String> {
    judged_line(given, most).map_err(|fault| fault.refusal(name))
}

/// [`line`], for whoever tells faults in another way.
pub(in crate::inventory) fn judged_line(given: &str, most: usize) -> std::result::Result<String, Fault> {
    judged(text_encoding::compose(given.trim()), most, misleads)
}

/// The same of several lines, whose ends are written in one way.
pub(in crate::inventory) fn lines(name: &str, given: &str, most: usize) -> Result<String> {
    let text = text_encoding::compose(given.trim()).replace("\r\n", "\n");
    judged(text, most, |c| misleads(c) && c != '\n').map_err(|fault| fault.refusal(name))
}

fn judged(text: String, most: usize, is_refused: impl Fn(char) -> bool) -> std::result::Result<String, Fault> {
    if text.chars().any(is_refused) {
        return Err(Fault::Misleading);
    }
    if text.chars().count() > most {
        return Err(Fault::LongerThan(most));
    }
    Ok(text)
}
