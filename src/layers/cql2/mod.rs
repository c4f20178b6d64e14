//! CQL2 (OGC 21-065r2), text and JSON: reading, printing, checking against a layer. Own code: it must neither recurse nor grow without
//! bound, whatever a client sends.
//!
//! Never: SQL; a name that the layer's declaration does not have.

mod budget;
mod check;
mod json;
mod json_geometry;
mod literal;
mod literal_crs;
mod print_json;
mod print_text;
mod shapes;
mod text;
mod tokens;
mod wkt;

#[cfg(test)]
mod check_tests;
#[cfg(test)]
mod parse_tests;
#[cfg(test)]
mod round_trip_tests;

pub use check::known_names;
pub use print_json::to_json;
pub use print_text::to_text;

use crate::domain::filter::{At, Checked, MAX_BYTES, Read};
use crate::domain::layer::Layer;
use crate::domain::published_crs::PublishedCrs;
use crate::error::{Error, Result};

/// How a filter is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    #[default]
    Text,
    Json,
}

impl Language {
    pub const ALL: [Language; 2] = [Language::Text, Language::Json];

    /// The word of `filter-lang`.
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Text => "cql2-text",
            Language::Json => "cql2-json",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.as_str() == word)
    }
}

/// What is wrong with a filter.
#[derive(Debug, Clone, PartialEq)]
struct Fault {
    at: At,
    message: String,
    /// A bound is passed, rather than a rule broken.
    is_bound: bool,
}

impl Fault {
    fn new(at: At, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), is_bound: false }
    }

    fn bound(at: At, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), is_bound: true }
    }
}

type Parsed<T> = std::result::Result<T, Fault>;

/// What the numbers of [`At`] stand for.
enum Places {
    /// Characters from 0.
    Text,
    /// JSON pointers.
    Json(Vec<String>),
}

impl Places {
    fn error(&self, fault: Fault) -> Error {
        let at = fault.at.0 as usize;
        let place = match self {
            Places::Text => format!("第 {} 个字符处", at + 1),
            Places::Json(pointers) => match pointers.get(at).map(String::as_str) {
                None | Some("") => "整体".to_owned(),
                Some(pointer) => format!("{pointer} 处"),
            },
        };
        let detail = format!("filter {place}：{}", fault.message);
        if fault.is_bound {
            Error::invalid("filter_too_complex", detail)
        } else {
            Error::invalid("filter_invalid", detail)
        }
    }
}

/// Reads a filter, without knowing of which layer.
pub fn read(source: &str, language: Language) -> Result<Read> {
    read_with_places(source, language).map(|(read, _)| read)
}

/// Reads a filter for a layer; its coordinates are of this system.
pub fn read_for(layer: &Layer, source: &str, language: Language, crs: PublishedCrs) -> Result<Checked> {
    let (read, places) = read_with_places(source, language)?;
    check::check(layer, crs, read).map_err(|fault| places.error(fault))
}

fn read_with_places(source: &str, language: Language) -> Result<(Read, Places)> {
    // First of all: nothing that follows is done for more bytes than these.
    if source.len() > MAX_BYTES {
        let detail = format!("filter 有 {} 字节，最多 {MAX_BYTES} 字节；请缩短列表或简化图形", source.len());
        return Err(Error::invalid("filter_too_complex", detail));
    }
    let (read, places) = match language {
        Language::Text => (text::parse(source), Places::Text),
        Language::Json => {
            let (read, pointers) = json::parse(source);
            (read, Places::Json(pointers))
        }
    };
    match read.and_then(|read| budget::within_bounds(&read).map(|()| read)) {
        Ok(read) => Ok((read, places)),
        Err(fault) => Err(places.error(fault)),
    }
}
