//! Tree → CQL2 text, with the fewest brackets that read back to the same tree.

use chrono::SecondsFormat;
use geo::{Coord, Geometry, LineString, Polygon};

use super::text::RESERVED;
use super::tokens::{continues_name, starts_name};
use crate::domain::filter::{End, Node, Operator, Read};

/// How tightly a node binds: an operand that binds less stands in brackets.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Binding {
    Or,
    And,
    Not,
    Predicate,
    Sum,
    Product,
    Power,
    Operand,
}

/// `None` for a text with a backslash before a quote or at its end: CQL2 text cannot say it, since `\'` is a quote there.
pub fn to_text(read: &Read) -> Option<String> {
    print(read, Binding::Or)
}

fn binding(node: &Node<String>) -> Binding {
    match node {
        Node::Or(_) => Binding::Or,
        Node::And(_) => Binding::And,
        Node::Not(_) => Binding::Not,
        Node::Compare(..) | Node::Like(_) | Node::Between(_) | Node::In(..) | Node::IsNull(_) => Binding::Predicate,
        Node::Arithmetic(Operator::Add | Operator::Subtract, _) => Binding::Sum,
        Node::Arithmetic(Operator::Power, _) => Binding::Power,
        Node::Arithmetic(..) => Binding::Product,
        _ => Binding::Operand,
    }
}

fn print(read: &Read, at_least: Binding) -> Option<String> {
    let text = bare(&read.node)?;
    Some(if binding(&read.node) < at_least { format!("({text})") } else { text })
}

fn bare(node: &Node<String>) -> Option<String> {
    use Binding::{And, Not, Operand, Or, Power, Product, Sum};
    Some(match node {
        Node::Or(parts) => joined(parts, And, " OR ")?,
        Node::And(parts) => joined(parts, Not, " AND ")?,
        Node::Not(one) => format!("NOT {}", print(one, Not)?),
        Node::Compare(comparison, pair) => {
            format!("{} {} {}", print(&pair[0], Sum)?, comparison.as_str(), print(&pair[1], Sum)?)
        }
        Node::Like(pair) => format!("{} LIKE {}", print(&pair[0], Sum)?, print(&pair[1], Sum)?),
        Node::Between(three) => {
            let [value, low, high] = &**three;
            format!("{} BETWEEN {} AND {}", print(value, Sum)?, print(low, Sum)?, print(high, Sum)?)
        }
        Node::In(value, list) => format!("{} IN ({})", print(value, Sum)?, joined(list, Or, ", ")?),
        Node::IsNull(one) => format!("{} IS NULL", print(one, Sum)?),
        Node::Arithmetic(operator, pair) => {
            let (left, right) = match operator {
                Operator::Add | Operator::Subtract => (Sum, Product),
                Operator::Power => (Operand, Power),
                _ => (Product, Power),
            };
            format!("{} {} {}", print(&pair[0], left)?, operator.as_str(), print(&pair[1], right)?)
        }
        Node::Spatial(relation, pair) => call(relation.as_str(), &**pair)?,
        Node::Temporal(relation, pair) => call(relation.as_str(), &**pair)?,
        Node::Array(relation, pair) => {
            format!("{}({}, {})", relation.as_str().to_uppercase(), array(&pair[0])?, array(&pair[1])?)
        }
        Node::Call(function, arguments) => call(function.as_str(), arguments)?,
        Node::List(list) if list.len() == 1 => format!("[{}]", joined(list, Or, ", ")?),
        Node::List(list) => format!("({})", joined(list, Or, ", ")?),
        Node::Property(name) => name_of(name),
        Node::Text(text) => quoted(text)?,
        Node::Integer(whole) => whole.to_string(),
        Node::Number(number) => format!("{number:?}"),
        Node::Boolean(boolean) => boolean.to_string().to_uppercase(),
        Node::Date(day) => format!("DATE('{day}')"),
        Node::Timestamp(moment) => format!("TIMESTAMP('{}')", moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        Node::Interval(ends) => format!("INTERVAL({}, {})", end(&ends[0])?, end(&ends[1])?),
        Node::Geometry(geometry) => geometry_text(geometry),
        Node::Box([a, b, c, d]) => format!("BBOX({a}, {b}, {c}, {d})"),
    })
}

fn joined(list: &[Read], at_least: Binding, between: &str) -> Option<String> {
    let parts: Option<Vec<String>> = list.iter().map(|item| print(item, at_least)).collect();
    Some(parts?.join(between))
}

fn call(name: &str, arguments: &[Read]) -> Option<String> {
    Some(format!("{}({})", name.to_uppercase(), joined(arguments, Binding::Or, ", ")?))
}

/// Here brackets around all of it are a list, even of one value.
fn array(operand: &Read) -> Option<String> {
    match &operand.node {
        Node::List(list) => Some(format!("({})", joined(list, Binding::Or, ", ")?)),
        _ => print(operand, Binding::Or),
    }
}

fn end(end: &End<String>) -> Option<String> {
    match end {
        End::Open => Some("'..'".to_owned()),
        End::At(read) => match &read.node {
            Node::Date(day) => Some(format!("'{day}'")),
            Node::Timestamp(moment) => Some(format!("'{}'", moment.to_rfc3339_opts(SecondsFormat::AutoSi, true))),
            _ => print(read, Binding::Sum),
        },
    }
}

fn name_of(name: &str) -> String {
    let plain =
        name.chars().next().is_some_and(starts_name) && name.chars().all(|c| starts_name(c) || continues_name(c));
    if plain && !RESERVED.iter().any(|word| word.eq_ignore_ascii_case(name)) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

fn quoted(text: &str) -> Option<String> {
    if text.ends_with('\\') || text.contains("\\'") {
        return None;
    }
    Some(format!("'{}'", text.replace('\'', "''")))
}

fn geometry_text(geometry: &Geometry<f64>) -> String {
    let list = |parts: Vec<String>| parts.join(", ");
    match geometry {
        Geometry::Point(p) => format!("POINT({})", coordinate(&p.0)),
        Geometry::LineString(line) => format!("LINESTRING{}", points(line)),
        Geometry::Polygon(polygon) => format!("POLYGON{}", rings(polygon)),
        Geometry::MultiPoint(many) => {
            format!("MULTIPOINT({})", list(many.0.iter().map(|p| format!("({})", coordinate(&p.0))).collect()))
        }
        Geometry::MultiLineString(many) => format!("MULTILINESTRING({})", list(many.0.iter().map(points).collect())),
        Geometry::MultiPolygon(many) => format!("MULTIPOLYGON({})", list(many.0.iter().map(rings).collect())),
        Geometry::GeometryCollection(many) => {
            format!("GEOMETRYCOLLECTION({})", list(many.0.iter().map(geometry_text).collect()))
        }
        // Neither encoding can say these, so no parser makes them.
        Geometry::Line(line) => format!("LINESTRING({}, {})", coordinate(&line.start), coordinate(&line.end)),
        Geometry::Rect(rect) => format!("POLYGON{}", rings(&rect.to_polygon())),
        Geometry::Triangle(triangle) => format!("POLYGON{}", rings(&triangle.to_polygon())),
    }
}

fn coordinate(c: &Coord<f64>) -> String {
    format!("{} {}", c.x, c.y)
}

fn points(line: &LineString<f64>) -> String {
    format!("({})", line.0.iter().map(coordinate).collect::<Vec<_>>().join(", "))
}

fn rings(polygon: &Polygon<f64>) -> String {
    let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
    format!("({})", rings.map(points).collect::<Vec<_>>().join(", "))
}
