//! The landmarks inside one side's words, and offsets such as “X路以西330米处”.

use super::Direction;
use super::marks::Marked;

/// One landmark of a side, verbatim, with its offset where the words give one.
#[derive(Debug, Clone, PartialEq)]
pub struct Landmark {
    pub text: String,
    pub offset: Option<Offset>,
}

/// “绕城高速以西330米处”: 330 m west of 绕城高速.
#[derive(Debug, Clone, PartialEq)]
pub struct Offset {
    pub landmark: String,
    pub direction: Direction,
    pub metres: f64,
}

/// Splits on 、 outside brackets.
pub fn landmarks(value: &str) -> Vec<Landmark> {
    let marked = Marked::new(value);
    let mut found = Vec::new();
    let mut start = 0;
    for at in 0..=marked.len() {
        let splits = at == marked.len() || (marked.form[at] == '、' && !marked.bracketed[at]);
        if splits {
            let text = marked.value(start, at);
            if !text.is_empty() {
                found.push(Landmark { offset: offset(&text), text });
            }
            start = at + 1;
        }
    }
    found
}

/// `…[以]东|南|西|北 N 米[处]` at the end of the words.
fn offset(text: &str) -> Option<Offset> {
    let marked = Marked::new(text);
    let form: String = marked.form.iter().collect();
    let body = form.strip_suffix('处').unwrap_or(&form).strip_suffix('米')?.trim_end();
    let number_start = body
        .rfind(|c: char| !(c.is_ascii_digit() || c == '.'))
        .map(|at| at + body[at..].chars().next().map_or(0, char::len_utf8))?;
    let metres: f64 = body[number_start..].parse().ok()?;
    let before = body[..number_start].trim_end().trim_end_matches('约').trim_end();
    let direction = Direction::from_char(before.chars().next_back()?)?;
    let landmark_form = &before[..before.len() - direction.label().len_utf8()];
    let landmark_form = landmark_form.strip_suffix('以').unwrap_or(landmark_form);
    let length = landmark_form.chars().count();
    let landmark = marked.value(0, length);
    (!landmark.is_empty() && metres.is_finite()).then_some(Offset { landmark, direction, metres })
}
