//! CQL2 JSON → tree.

use serde_json::{Map, Value};

use super::budget::Budget;
use super::text::unknown_function;
use super::tokens::short;
use super::{Fault, Parsed, json_geometry, shapes};
use crate::domain::filter::{
    ArrayRelation, At, Comparison, End, Expression, Function, Node, Operator, Read, SpatialRelation, TemporalRelation,
};

/// The tree, and the JSON pointer of each [`At`].
pub fn parse(source: &str) -> (Parsed<Read>, Vec<String>) {
    let mut parser = Parser { budget: Budget::default(), path: String::new(), pointers: vec![String::new()] };
    // serde_json stops at 128 levels by itself.
    let read = match serde_json::from_str::<Value>(source) {
        Ok(value) => parser.expression(&value),
        Err(fault) if fault.to_string().starts_with("recursion limit") => Err(Fault::bound(At(0), "JSON 嵌套太深")),
        Err(fault) => Err(Fault::new(At(0), format!("不是 JSON（第 {} 行第 {} 列）", fault.line(), fault.column()))),
    };
    (read, parser.pointers)
}

struct Parser {
    budget: Budget,
    /// The pointer of what is being read.
    path: String,
    pointers: Vec<String>,
}

impl Parser {
    fn at(&mut self) -> At {
        self.pointers.push(self.path.clone());
        At(u32::try_from(self.pointers.len() - 1).unwrap_or(u32::MAX))
    }

    /// Reads a member or an item with its pointer.
    fn inside<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        let found = read(self)?;
        self.path.truncate(length);
        Ok(found)
    }

    fn items<T>(&mut self, list: &[Value], read: impl Fn(&mut Self, &Value) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut found = Vec::with_capacity(list.len());
        for (i, item) in list.iter().enumerate() {
            found.push(self.inside(&i.to_string(), |parser| read(parser, item))?);
        }
        Ok(found)
    }

    fn expression(&mut self, value: &Value) -> Parsed<Read> {
        let at = self.at();
        self.budget.enter(at)?;
        let node = match value {
            Value::Null => Err(Fault::new(at, "null 不是值；判断没有值请用 isNull")),
            Value::Bool(boolean) => Ok(Node::Boolean(*boolean)),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Ok(Node::Integer(whole)),
                (None, Some(number)) if number.is_finite() => Ok(Node::Number(number)),
                _ => Err(Fault::new(at, "数太大")),
            },
            Value::String(text) => Ok(Node::Text(text.clone())),
            Value::Array(list) => self.items(list, Self::expression).map(Node::List),
            Value::Object(members) => self.object(at, members),
        }?;
        self.budget.leave();
        Ok(Expression::new(at, node))
    }

    fn object(&mut self, at: At, members: &Map<String, Value>) -> Parsed<Node<String>> {
        if members.contains_key("op") {
            return self.operation(at, members);
        }
        if members.contains_key("type") {
            return json_geometry::geometry(at, members).map(Node::Geometry);
        }
        let mut members = members.iter();
        let (Some((key, value)), None) = (members.next(), members.next()) else { return Err(odd_object(at)) };
        match key.as_str() {
            "property" => text(at, key, value).map(|name| Node::Property(name.to_owned())),
            "date" => shapes::date(at, text(at, key, value)?),
            "timestamp" => shapes::timestamp(at, text(at, key, value)?),
            "interval" => self.inside("interval", |parser| parser.interval(at, value)),
            "bbox" => json_geometry::bbox(at, value).map(Node::Box),
            // Earlier drafts wrote the two functions of the standard so.
            "casei" | "accenti" => {
                let function = if key == "casei" { Function::CaseI } else { Function::AccentI };
                self.budget.operator(at)?;
                let argument = self.inside(key, |parser| parser.expression(value))?;
                Ok(Node::Call(function, vec![argument]))
            }
            _ => Err(odd_object(at)),
        }
    }

    fn interval(&mut self, at: At, value: &Value) -> Parsed<Node<String>> {
        self.budget.operator(at)?;
        let Some([from, to]) = value.as_array().map(Vec::as_slice) else {
            return Err(Fault::new(at, "interval 应有两端"));
        };
        let from = self.inside("0", |parser| parser.end(from))?;
        let to = self.inside("1", |parser| parser.end(to))?;
        Ok(Node::Interval(Box::new([from, to])))
    }

    fn end(&mut self, value: &Value) -> Parsed<End<String>> {
        match value {
            Value::String(text) => {
                let at = self.at();
                shapes::end_of_text(at, text)
            }
            other => self.expression(other).map(End::At),
        }
    }

    fn operation(&mut self, at: At, members: &Map<String, Value>) -> Parsed<Node<String>> {
        let op = members.get("op").and_then(Value::as_str).ok_or_else(|| Fault::new(at, "op 应为文字"))?;
        let arguments = match members.get("args") {
            Some(Value::Array(list)) => list.as_slice(),
            None if members.len() == 1 => &[],
            _ => return Err(Fault::new(at, "args 应为数组")),
        };
        if members.len() > 2 {
            return Err(Fault::new(at, "有 op 的对象只有 op 和 args"));
        }
        self.budget.operator(at)?;
        if op.eq_ignore_ascii_case("in") {
            return self.inside("args", |parser| parser.membership(at, arguments));
        }
        let read = self.inside("args", |parser| parser.items(arguments, Self::expression))?;
        self.node_of(at, op, read)
    }

    fn membership(&mut self, at: At, arguments: &[Value]) -> Parsed<Node<String>> {
        let [value, Value::Array(list)] = arguments else {
            return Err(Fault::new(at, "in 应有两个参数：一个值、一个数组"));
        };
        let value = self.inside("0", |parser| parser.expression(value))?;
        let list = self.inside("1", |parser| parser.items(list, Self::expression))?;
        Ok(Node::In(Box::new(value), list))
    }

    fn node_of(&mut self, at: At, op: &str, read: Vec<Read>) -> Parsed<Node<String>> {
        let lower = op.to_ascii_lowercase();
        match lower.as_str() {
            "and" | "or" if read.len() < 2 => Err(Fault::new(at, format!("{lower} 至少有两个参数"))),
            "and" => Ok(Node::And(read)),
            "or" => Ok(Node::Or(read)),
            "not" => one(at, op, read).map(Node::Not),
            "isnull" => one(at, op, read).map(Node::IsNull),
            "like" => two(at, op, read).map(Node::Like),
            "between" => fixed(at, op, read).map(Node::Between),
            _ => self.relation_of(at, op, &lower, read),
        }
    }

    fn relation_of(&mut self, at: At, op: &str, lower: &str, read: Vec<Read>) -> Parsed<Node<String>> {
        if let Some(comparison) = Comparison::parse(lower) {
            return two(at, op, read).map(|pair| Node::Compare(comparison, pair));
        }
        if let Some(operator) = Operator::parse(lower) {
            return two(at, op, read).map(|pair| Node::Arithmetic(operator, pair));
        }
        if let Some(relation) = SpatialRelation::parse(lower) {
            return two(at, op, read).map(|pair| Node::Spatial(relation, pair));
        }
        if let Some(relation) = TemporalRelation::parse(lower) {
            return two(at, op, read).map(|pair| Node::Temporal(relation, pair));
        }
        if let Some(relation) = ArrayRelation::parse(lower) {
            return two(at, op, read).map(|pair| Node::Array(relation, pair));
        }
        Function::parse(lower).map(|function| Node::Call(function, read)).ok_or_else(|| unknown_function(at, op))
    }
}

fn odd_object(at: At) -> Fault {
    Fault::new(at, "对象应有 op 和 args，或为 property、date、timestamp、interval、bbox 之一，或为 GeoJSON 图形")
}

fn text<'a>(at: At, key: &str, value: &'a Value) -> Parsed<&'a str> {
    value.as_str().ok_or_else(|| Fault::new(at, format!("{key} 应为文字")))
}

fn fixed<const N: usize>(at: At, op: &str, read: Vec<Read>) -> Parsed<Box<[Read; N]>> {
    let count = read.len();
    read.into_boxed_slice()
        .try_into()
        .map_err(|_| Fault::new(at, format!("{} 应有 {N} 个参数，不是 {count} 个", short(op))))
}

fn two(at: At, op: &str, read: Vec<Read>) -> Parsed<Box<[Read; 2]>> {
    fixed(at, op, read)
}

fn one(at: At, op: &str, read: Vec<Read>) -> Parsed<Box<Read>> {
    let [one] = *fixed::<1>(at, op, read)?;
    Ok(Box::new(one))
}
