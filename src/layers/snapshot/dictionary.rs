//! Columns of few values: each value once, features hold its number.

use std::collections::HashMap;
use std::sync::Arc;

/// Number of “no value”.
pub(super) const MISSING: u32 = 0;
/// A column with more values than this is none of few: filters on it are the database's.
const MOST_VALUES: usize = 50_000;

/// The members of a value; one, unless it is a list.
type Members = Arc<[Box<str>]>;

/// The values of one column.
#[derive(Debug, Clone)]
pub(super) struct Dictionary {
    is_list: bool,
    values: Vec<Members>,
    numbers: HashMap<Box<str>, u32>,
    /// It has had too many values, and knows none any more.
    closed: bool,
}

impl Dictionary {
    pub(super) fn new(is_list: bool) -> Self {
        Self { is_list, values: vec![Arc::new([])], numbers: HashMap::new(), closed: false }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The number of a value that is known.
    pub(super) fn find(&self, value: Option<&str>) -> Option<u32> {
        match value {
            None => Some(MISSING),
            Some(_) if self.closed => Some(MISSING),
            Some(value) => self.numbers.get(value).copied(),
        }
    }

    /// The number of a value, known or new. A list comes as its JSON.
    pub(super) fn number(&mut self, value: &str) -> u32 {
        if let Some(number) = self.find(Some(value)) {
            return number;
        }
        if self.values.len() >= MOST_VALUES {
            *self = Self { closed: true, ..Self::new(self.is_list) };
            return MISSING;
        }
        let members: Members = if self.is_list {
            let list: Vec<Option<Box<str>>> = serde_json::from_str(value).unwrap_or_default();
            list.into_iter().flatten().collect()
        } else {
            Arc::new([value.into()])
        };
        let number = self.values.len() as u32;
        self.values.push(members);
        self.numbers.insert(value.into(), number);
        number
    }

    /// Which values have a member that passes.
    pub(super) fn matching(&self, passes: impl Fn(&str) -> bool) -> Vec<bool> {
        self.values.iter().map(|members| members.iter().any(|member| passes(member))).collect()
    }

    /// The text of a value that is no list.
    pub(super) fn text(&self, number: u32) -> Option<&str> {
        self.values.get(number as usize)?.first().map(|text| &**text)
    }
}
