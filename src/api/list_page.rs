//! A list that is given page by page: one row more than asked for is read, and tells whether there is a next page.

use serde_json::Value;

use super::params::Params;
use super::representation::{self, link_of};
use crate::domain::items_query;
use crate::error::Result;

/// The page of a list that a request asks for.
pub struct ListPage<'p> {
    params: &'p Params,
    limit: u32,
}

impl<'p> ListPage<'p> {
    /// As long as `limit` says.
    pub fn of(params: &'p Params) -> Result<Self> {
        Self::at_most(items_query::MAX_LIMIT, params)
    }

    /// The same, of so many rows at the most.
    pub fn at_most(rows: u32, params: &'p Params) -> Result<Self> {
        Ok(Self { params, limit: params.limit(items_query::DEFAULT_LIMIT)?.min(rows) })
    }

    /// How many rows to read: the one too many is not shown.
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Cuts what was read to the page, and links to it and to the [`next`](Self::next) one.
    pub fn cut<T>(
        &self,
        rows: &mut Vec<T>,
        (url, kind): (&str, &str),
        name: &str,
        key: impl Fn(&T) -> String,
    ) -> Vec<Value> {
        let asked = representation::query_string(&self.params.without(&[]));
        let mark = if asked.is_empty() { "" } else { "?" };
        let mut links = vec![link_of("self", kind, &format!("{url}{mark}{asked}"))];
        links.extend(self.next(rows, (url, kind), name, key));
        links
    }

    /// Cuts what was read to the page, and links to the next one if there is one: the parameter `name` says which row it comes behind.
    /// `kind`: its media type.
    pub fn next<T>(
        &self,
        rows: &mut Vec<T>,
        (url, kind): (&str, &str),
        name: &str,
        key: impl Fn(&T) -> String,
    ) -> Option<Value> {
        let more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        let last = rows.last().filter(|_| more)?;
        let query = representation::query_string(&self.params.with(name, &key(last)));
        Some(link_of("next", kind, &format!("{url}?{query}")))
    }
}
