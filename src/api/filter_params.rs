//! `filter`, `filter-lang`, `filter-crs` of a question to a layer (OGC API Features Part 3).

use super::crs;
use super::params::{Params, shorten};
use crate::domain::filter::{self, Simplified};
use crate::domain::items_query::ItemsQuery;
use crate::domain::layer::Layer;
use crate::error::{Error, Result};
use crate::layers::cql2::{self, Language};

/// Adds the filter to the question: what plain parameters can say as if they had said it, the rest by itself.
pub fn add(params: &Params, layer: &Layer, query: &mut ItemsQuery) -> Result<()> {
    // A language or a system that is not known is told, also where there is nothing to read by it.
    let language = params.get("filter-lang").map(language).transpose()?.unwrap_or_default();
    let crs = crs::of_input(params, "filter-crs")?;
    let Some(text) = params.get("filter") else { return Ok(()) };
    let Simplified { filters, bbox, rest } = filter::simplify(cql2::read_for(layer, text, language, crs)?);
    query.filters.extend(filters);
    query.filter = rest;
    if let Some(bbox) = bbox {
        if query.boxes.is_empty() {
            query.boxes.push(bbox);
        } else {
            // The boxes of a question are joined by “or”: a second condition is none of them.
            filter::and_meets(&mut query.filter, bbox);
        }
    }
    Ok(())
}

fn language(word: &str) -> Result<Language> {
    Language::parse(word).ok_or_else(|| {
        Error::invalid("value_invalid", format!("filter-lang 应为 cql2-text 或 cql2-json，不是“{}”", shorten(word)))
    })
}
