//! What of a filter plain parameters can say: the snapshot answers those from its columns, and the database by its indexes.

use super::{ArrayRelation, At, Checked, Column, Comparison, Node, SpatialRelation};
use crate::domain::items_query::{Bbox, Filter, FilterValue};
use crate::domain::layer::{Property, PropertyKind};

/// A filter in parts that all must hold.
#[derive(Debug, Clone, Default)]
pub struct Simplified {
    pub filters: Vec<Filter>,
    /// At most one: several boxes of a query are joined by “or”.
    pub bbox: Option<Bbox>,
    /// What is left; `None` = nothing.
    pub rest: Option<Checked>,
}

/// Takes from the conjunction at the top what is a comparison of one property with values, or the first box that the geometry is to
/// meet. A feature that has no value matches neither here nor there.
pub fn simplify(filter: Checked) -> Simplified {
    let mut simple = Simplified::default();
    let mut rest = Vec::new();
    let at = filter.at;
    let mut waiting = vec![filter];
    while let Some(part) = waiting.pop() {
        match part.node {
            // Turned round, so that the parts keep their order.
            Node::And(parts) => waiting.extend(parts.into_iter().rev()),
            _ => match (plain(&part), bbox(&part), simple.bbox) {
                (Some(filter), ..) => simple.filters.push(filter),
                (None, Some(bbox), None) => simple.bbox = Some(bbox),
                _ => rest.push(part),
            },
        }
    }
    simple.rest = match rest.len() {
        0 | 1 => rest.pop(),
        _ => Some(Checked::new(at, Node::And(rest))),
    };
    simple
}

fn plain(part: &Checked) -> Option<Filter> {
    match &part.node {
        Node::Compare(comparison, pair) => {
            let [left, right] = &**pair;
            match (property(left), property(right)) {
                (Some(property), None) => compared(property, *comparison, right),
                (None, Some(property)) => compared(property, turned(*comparison), left),
                _ => None,
            }
        }
        Node::Between(three) => {
            let [value, low, high] = &**three;
            let property = property(value)?;
            between(property, Some(low), Some(high))
        }
        Node::In(value, list) => {
            let property = property(value).filter(|p| p.kind == PropertyKind::Text)?;
            Some(Filter { property, value: FilterValue::AnyOf(texts(list)?) })
        }
        Node::Array(relation, pair) => {
            let [left, right] = &**pair;
            let property = property(left).filter(|p| p.kind == PropertyKind::TextList)?;
            let Node::List(list) = &right.node else { return None };
            let words = texts(list)?;
            match (relation, words.as_slice()) {
                (ArrayRelation::Contains, [one]) => Some(Filter { property, value: FilterValue::Text(one.clone()) }),
                (ArrayRelation::Overlaps, _) => Some(Filter { property, value: FilterValue::AnyOf(words) }),
                _ => None,
            }
        }
        // A boolean property alone.
        Node::Property(Column::Property(property)) if property.kind == PropertyKind::Boolean => {
            Some(Filter { property, value: FilterValue::Boolean(true) })
        }
        _ => None,
    }
}

fn property(expression: &Checked) -> Option<&'static Property> {
    match expression.node {
        Node::Property(Column::Property(property)) => Some(property),
        _ => None,
    }
}

fn texts(list: &[Checked]) -> Option<Vec<String>> {
    list.iter().map(|item| if let Node::Text(text) = &item.node { Some(text.clone()) } else { None }).collect()
}

/// `5 < a` is `a > 5`.
fn turned(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same => same,
    }
}

fn compared(property: &'static Property, comparison: Comparison, value: &Checked) -> Option<Filter> {
    match comparison {
        Comparison::Equal => {
            let value = match (&value.node, property.kind) {
                (Node::Text(text), PropertyKind::Text) => FilterValue::Text(text.clone()),
                (Node::Boolean(boolean), _) => FilterValue::Boolean(*boolean),
                (Node::Date(day), PropertyKind::Date) => FilterValue::Date(*day),
                (_, PropertyKind::Number | PropertyKind::Integer) => FilterValue::Number(number(value)?),
                _ => return None,
            };
            Some(Filter { property, value })
        }
        Comparison::GreaterOrEqual => between(property, Some(value), None),
        Comparison::LessOrEqual => between(property, None, Some(value)),
        _ => None,
    }
}

fn between(property: &'static Property, low: Option<&Checked>, high: Option<&Checked>) -> Option<Filter> {
    let value = match property.kind {
        PropertyKind::Number | PropertyKind::Integer => {
            let end = |value: Option<&Checked>| value.map(|value| number(value).ok_or(())).transpose();
            FilterValue::NumberBetween(end(low).ok()?, end(high).ok()?)
        }
        PropertyKind::Date => {
            let day = |value: &Checked| if let Node::Date(day) = value.node { Ok(day) } else { Err(()) };
            FilterValue::DateBetween(low.map(day).transpose().ok()?, high.map(day).transpose().ok()?)
        }
        _ => return None,
    };
    Some(Filter { property, value })
}

/// A whole number that a double has exactly, or a double.
fn number(value: &Checked) -> Option<f64> {
    const EXACT: i64 = 1 << 53;
    match value.node {
        Node::Integer(n) if (-EXACT..=EXACT).contains(&n) => Some(n as f64),
        Node::Number(n) => Some(n),
        _ => None,
    }
}

/// A box on one side of the antimeridian that the geometry is to meet.
fn bbox(part: &Checked) -> Option<Bbox> {
    let Node::Spatial(SpatialRelation::Intersects, pair) = &part.node else { return None };
    match [&pair[0].node, &pair[1].node] {
        [Node::Property(Column::Geometry), Node::Box(bbox)] | [Node::Box(bbox), Node::Property(Column::Geometry)] => {
            Some(*bbox).filter(|[west, _, east, _]| west <= east)
        }
        _ => None,
    }
}

/// The filter, and that the geometry meets this box.
pub fn and_meets(filter: &mut Option<Checked>, bbox: Bbox) {
    let at = At::default();
    let geometry = Checked::new(at, Node::Property(Column::Geometry));
    let pair = Box::new([geometry, Checked::new(at, Node::Box(bbox))]);
    let meets = Checked::new(at, Node::Spatial(SpatialRelation::Intersects, pair));
    *filter = Some(match filter.take() {
        Some(rest) => Checked::new(at, Node::And(vec![rest, meets])),
        None => meets,
    });
}
