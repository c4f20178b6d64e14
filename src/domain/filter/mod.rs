//! A filter as a tree (OGC CQL2, 21-065r2): what is said, apart from how it was written (`layers::cql2`) and how it is answered
//! (`store::filter_sql`).
//!
//! Never: a wire form, SQL.

mod simplify;
mod words;

use chrono::{DateTime, NaiveDate, Utc};
use geo::Geometry;

use super::items_query::Bbox;
use super::layer::{Property, PropertyKind};
pub use simplify::{Simplified, and_meets, simplify};
pub use words::{ArrayRelation, Comparison, Function, Kind, Operator, SpatialRelation, TemporalRelation};

/// Bytes of a filter, in either encoding.
pub const MAX_BYTES: usize = 8 * 1024;
/// Levels of a tree.
pub const MAX_DEPTH: usize = 32;
/// Operators, names and values of a tree, without the literals of lists.
pub const MAX_NODES: usize = 256;
/// Literals of all lists together.
pub const MAX_ITEMS: usize = 1_000;

/// Where in its source an expression stands: for messages alone, so that two trees that say the same are equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct At(pub u32);

impl PartialEq for At {
    fn eq(&self, _: &At) -> bool {
        true
    }
}

/// An expression; `N` names a property: a [`String`] as it is read, a [`Column`] once it is checked against a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression<N> {
    pub at: At,
    pub node: Node<N>,
}

/// As it was read.
pub type Read = Expression<String>;
/// Of a layer: every name is one of the declaration's, every operand of a kind that its operator takes, every coordinate longitude
/// and latitude as they are stored.
pub type Checked = Expression<Column>;

/// Two operands.
pub type Pair<N> = Box<[Expression<N>; 2]>;

#[derive(Debug, Clone, PartialEq)]
pub enum Node<N> {
    /// Two or more.
    And(Vec<Expression<N>>),
    /// Two or more.
    Or(Vec<Expression<N>>),
    Not(Box<Expression<N>>),
    Compare(Comparison, Pair<N>),
    /// A text and its pattern: `%` for any characters, `_` for one, `\` before either for itself.
    Like(Pair<N>),
    /// A value, the lowest and the highest that match.
    Between(Box<[Expression<N>; 3]>),
    In(Box<Expression<N>>, Vec<Expression<N>>),
    IsNull(Box<Expression<N>>),
    Spatial(SpatialRelation, Pair<N>),
    Temporal(TemporalRelation, Pair<N>),
    Array(ArrayRelation, Pair<N>),
    Arithmetic(Operator, Pair<N>),
    Call(Function, Vec<Expression<N>>),
    Property(N),
    Text(String),
    Integer(i64),
    /// Finite.
    Number(f64),
    Boolean(bool),
    Date(NaiveDate),
    Timestamp(DateTime<Utc>),
    /// From, to, both included.
    Interval(Box<[End<N>; 2]>),
    Geometry(Geometry<f64>),
    /// West greater than east crosses the antimeridian.
    Box(Bbox),
    List(Vec<Expression<N>>),
}

/// An end of an interval.
#[derive(Debug, Clone, PartialEq)]
pub enum End<N> {
    Open,
    /// A day, a moment, or a property of one.
    At(Expression<N>),
}

impl<N> Expression<N> {
    pub fn new(at: At, node: Node<N>) -> Self {
        Self { at, node }
    }

    /// A value that needs no feature to be known.
    pub fn is_literal(&self) -> bool {
        matches!(
            self.node,
            Node::Text(_)
                | Node::Integer(_)
                | Node::Number(_)
                | Node::Boolean(_)
                | Node::Date(_)
                | Node::Timestamp(_)
                | Node::Geometry(_)
                | Node::Box(_)
        )
    }

    /// Levels, nodes and items of lists.
    pub fn measure(&self) -> Measure {
        let mut measure = Measure { depth: 1, nodes: 1, items: 0 };
        match &self.node {
            Node::And(list) | Node::Or(list) | Node::Call(_, list) => list.iter().for_each(|e| measure.add(e)),
            Node::Not(one) | Node::IsNull(one) => measure.add(one),
            Node::Compare(_, pair)
            | Node::Like(pair)
            | Node::Spatial(_, pair)
            | Node::Temporal(_, pair)
            | Node::Array(_, pair)
            | Node::Arithmetic(_, pair) => pair.iter().for_each(|e| measure.add(e)),
            Node::Between(three) => three.iter().for_each(|e| measure.add(e)),
            Node::In(value, list) => {
                measure.add(value);
                list.iter().for_each(|e| measure.add_item(e));
            }
            Node::List(list) => list.iter().for_each(|e| measure.add_item(e)),
            Node::Interval(ends) => ends.iter().for_each(|end| {
                if let End::At(e) = end {
                    measure.add(e);
                }
            }),
            _ => {}
        }
        measure
    }
}

/// How large a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    pub depth: usize,
    pub nodes: usize,
    pub items: usize,
}

impl Measure {
    fn add<N>(&mut self, child: &Expression<N>) {
        let of_child = child.measure();
        self.depth = self.depth.max(1 + of_child.depth);
        self.nodes += of_child.nodes;
        self.items += of_child.items;
    }

    fn add_item<N>(&mut self, item: &Expression<N>) {
        self.items += 1;
        if !item.is_literal() {
            self.add(item);
        }
    }
}

/// What a name of a filter stands for in a layer.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    Property(&'static Property),
    Geometry,
    /// The first day of a feature's life.
    ValidFrom,
    /// The day after the last one; no value while it lives.
    ValidTo,
}

impl Column {
    /// The column of the layer's relation, as statements name it.
    pub fn name(self) -> &'static str {
        match self {
            Column::Property(property) => property.column,
            Column::Geometry => "geom",
            Column::ValidFrom => "valid_from",
            Column::ValidTo => "valid_to",
        }
    }

    pub fn kind(self) -> Kind {
        match self {
            Column::Geometry => Kind::Geometry,
            Column::ValidFrom | Column::ValidTo => Kind::Date,
            Column::Property(property) => match property.kind {
                PropertyKind::Text => Kind::Text,
                PropertyKind::TextList | PropertyKind::NumberList => Kind::List,
                PropertyKind::Number | PropertyKind::Integer => Kind::Number,
                PropertyKind::Boolean => Kind::Boolean,
                PropertyKind::Date => Kind::Date,
                PropertyKind::DateTime => Kind::Moment,
            },
        }
    }
}

impl PartialEq for Column {
    fn eq(&self, other: &Column) -> bool {
        self.name() == other.name() && self.kind() == other.kind()
    }
}

impl Checked {
    /// The kind of what it comes to.
    pub fn kind(&self) -> Kind {
        match &self.node {
            Node::Arithmetic(..) | Node::Integer(_) | Node::Number(_) => Kind::Number,
            Node::Call(function, _) => function.gives(),
            Node::Property(column) => column.kind(),
            Node::Text(_) => Kind::Text,
            Node::Date(_) => Kind::Date,
            Node::Timestamp(_) => Kind::Moment,
            Node::Interval(_) => Kind::Interval,
            Node::Geometry(_) | Node::Box(_) => Kind::Geometry,
            Node::List(_) => Kind::List,
            Node::Boolean(_)
            | Node::And(_)
            | Node::Or(_)
            | Node::Not(_)
            | Node::Compare(..)
            | Node::Like(_)
            | Node::Between(_)
            | Node::In(..)
            | Node::IsNull(_)
            | Node::Spatial(..)
            | Node::Temporal(..)
            | Node::Array(..) => Kind::Boolean,
        }
    }
}
