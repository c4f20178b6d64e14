//! Tree → CQL2 JSON.

use chrono::SecondsFormat;
use geojson::GeometryValue;
use serde_json::{Value, json};

use crate::domain::filter::{End, Node, Read};

pub fn to_json(read: &Read) -> Value {
    match &read.node {
        Node::And(parts) => operation("and", parts),
        Node::Or(parts) => operation("or", parts),
        Node::Not(one) => operation("not", std::slice::from_ref(one)),
        Node::Compare(comparison, pair) => operation(comparison.as_str(), &**pair),
        Node::Like(pair) => operation("like", &**pair),
        Node::Between(three) => operation("between", &**three),
        Node::In(value, list) => json!({"op": "in", "args": [to_json(value), all(list)]}),
        Node::IsNull(one) => operation("isNull", std::slice::from_ref(one)),
        Node::Spatial(relation, pair) => operation(relation.as_str(), &**pair),
        Node::Temporal(relation, pair) => operation(relation.as_str(), &**pair),
        Node::Array(relation, pair) => operation(relation.as_str(), &**pair),
        Node::Arithmetic(operator, pair) => operation(operator.as_str(), &**pair),
        Node::Call(function, arguments) => operation(function.as_str(), arguments),
        Node::Property(name) => json!({"property": name}),
        Node::Text(text) => json!(text),
        Node::Integer(whole) => json!(whole),
        Node::Number(number) => json!(number),
        Node::Boolean(boolean) => json!(boolean),
        Node::Date(day) => json!({"date": day.to_string()}),
        Node::Timestamp(moment) => json!({"timestamp": moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)}),
        Node::Interval(ends) => json!({"interval": [end(&ends[0]), end(&ends[1])]}),
        Node::Geometry(geometry) => {
            serde_json::to_value(geojson::Geometry::new(GeometryValue::from(geometry))).unwrap_or(Value::Null)
        }
        Node::Box(sides) => json!({"bbox": sides}),
        Node::List(list) => all(list),
    }
}

fn operation<'a, T>(op: &str, arguments: &'a [T]) -> Value
where
    T: std::borrow::Borrow<Read> + 'a,
{
    let arguments: Vec<Value> = arguments.iter().map(|argument| to_json(argument.borrow())).collect();
    json!({"op": op, "args": arguments})
}

fn all(list: &[Read]) -> Value {
    Value::Array(list.iter().map(to_json).collect())
}

fn end(end: &End<String>) -> Value {
    match end {
        End::Open => json!(".."),
        End::At(read) => match &read.node {
            Node::Date(day) => json!(day.to_string()),
            Node::Timestamp(moment) => json!(moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            _ => to_json(read),
        },
    }
}
