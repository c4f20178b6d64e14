//! The bounds of a filter while it is read: no parser goes deeper or makes more than these allow.

use super::{Fault, Parsed};
use crate::domain::filter::{At, MAX_DEPTH, MAX_ITEMS, MAX_NODES, Read};

/// Levels of brackets: a printed tree has at most two for each of its own (`NOT (…)`), and a text may have a few idle ones.
const MAX_NESTING: usize = 2 * MAX_DEPTH + 8;

/// What a parser has used up.
#[derive(Debug, Default)]
pub struct Budget {
    nesting: usize,
    operators: usize,
}

impl Budget {
    /// One level deeper; [`Budget::leave`] on the way back.
    pub fn enter(&mut self, at: At) -> Parsed<()> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING { Err(too_deep(at)) } else { Ok(()) }
    }

    pub fn leave(&mut self) {
        self.nesting = self.nesting.saturating_sub(1);
    }

    /// One more expression that holds others. A chain (`1+1+1+…`) is deep without being nested.
    pub fn operator(&mut self, at: At) -> Parsed<()> {
        self.operators += 1;
        if self.operators > MAX_NODES { Err(too_many(at)) } else { Ok(()) }
    }
}

fn too_deep(at: At) -> Fault {
    Fault::bound(at, format!("嵌套太深，最多 {MAX_DEPTH} 层"))
}

fn too_many(at: At) -> Fault {
    Fault::bound(at, format!("太复杂，最多 {MAX_NODES} 个运算、名称和值"))
}

/// The published bounds, of the whole tree.
pub fn within_bounds(read: &Read) -> Parsed<()> {
    let measure = read.measure();
    if measure.depth > MAX_DEPTH {
        return Err(too_deep(read.at));
    }
    if measure.items > MAX_ITEMS {
        return Err(Fault::bound(read.at, format!("列表中共有 {} 个值，最多 {MAX_ITEMS} 个", measure.items)));
    }
    if measure.nodes > MAX_NODES {
        return Err(too_many(read.at));
    }
    Ok(())
}
