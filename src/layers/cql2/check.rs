//! A tree against a layer: names of its declaration, operands of the right kind, coordinates that are places.

use super::tokens::short;
use super::{Fault, Parsed, literal};
use crate::domain::filter::{
    At, Checked, Column, End, Expression, Function, Kind, MAX_ITEMS, Node, Pair, Read, SpatialRelation,
    TemporalRelation,
};
use crate::domain::layer::{GeometryKind, Layer};
use crate::domain::published_crs::PublishedCrs;

/// Names of the geometry, where no property has them: of the queryables, and of the layer's relation.
const GEOMETRY_NAMES: [&str; 2] = ["geometry", "geom"];

/// All names that a filter of this layer may have.
pub fn known_names(layer: &Layer) -> Vec<&'static str> {
    let properties = layer.properties.iter().filter(|p| p.queryable).map(|p| p.name);
    let life = (["valid_from", "valid_to"].into_iter()).filter(|_| layer.has_past());
    let geometry = Some("geometry").filter(|_| layer.geometry != GeometryKind::None);
    properties.chain(life).chain(geometry).collect()
}

pub(super) fn check(layer: &Layer, crs: PublishedCrs, read: Read) -> Parsed<Checked> {
    Checker { layer, crs }.of_kind(read, Kind::Boolean, "条件")
}

struct Checker<'a> {
    layer: &'a Layer,
    crs: PublishedCrs,
}

impl Checker<'_> {
    /// The expression and its kind.
    fn expression(&self, read: Read) -> Parsed<(Checked, Kind)> {
        let at = read.at;
        let node = match read.node {
            Node::And(parts) => Node::And(self.conditions(parts)?),
            Node::Or(parts) => Node::Or(self.conditions(parts)?),
            Node::Not(one) => Node::Not(Box::new(self.of_kind(*one, Kind::Boolean, "not 的对象")?)),
            Node::Compare(comparison, pair) => Node::Compare(comparison, self.comparable(*pair)?),
            Node::Like(pair) => self.like(*pair)?,
            Node::Between(three) => {
                let [value, low, high] = *three;
                let (value, kind) = self.simple(value)?;
                Node::Between(Box::new([value, self.comparing(low, kind)?, self.comparing(high, kind)?]))
            }
            Node::In(value, list) => self.membership(at, *value, list)?,
            Node::IsNull(one) => match self.expression(*one)? {
                (_, Kind::Interval) => return Err(Fault::new(at, "时段总有值；请判断它的一端")),
                (one, _) => Node::IsNull(Box::new(one)),
            },
            Node::Spatial(relation, pair) => Node::Spatial(relation, self.shapes(relation, *pair)?),
            Node::Temporal(relation, pair) => Node::Temporal(relation, self.times(relation, *pair)?),
            Node::Array(relation, pair) => {
                let [left, right] = *pair;
                let list = |read| self.of_kind(read, Kind::List, "列表函数的对象");
                Node::Array(relation, Box::new([list(left)?, list(right)?]))
            }
            Node::Arithmetic(operator, pair) => {
                let [left, right] = *pair;
                let number = |read| self.of_kind(read, Kind::Number, "运算的对象");
                Node::Arithmetic(operator, Box::new([number(left)?, number(right)?]))
            }
            Node::Call(function, arguments) => self.call(at, function, arguments)?,
            Node::Property(name) => Node::Property(self.column(at, &name)?),
            Node::Text(text) if text.contains('\0') => return Err(Fault::new(at, "文字含有不允许的字符")),
            Node::Text(text) => Node::Text(text),
            Node::Integer(whole) => Node::Integer(whole),
            Node::Number(number) => Node::Number(number),
            Node::Boolean(boolean) => Node::Boolean(boolean),
            Node::Date(day) => Node::Date(day),
            Node::Timestamp(moment) => Node::Timestamp(moment),
            Node::Interval(ends) => self.interval(at, *ends)?,
            Node::Geometry(geometry) => Node::Geometry(literal::geometry(at, self.crs, &geometry)?),
            Node::Box(sides) => literal::bbox(at, self.crs, sides)?,
            Node::List(list) => self.list(list)?,
        };
        let checked = Expression::new(at, node);
        let kind = checked.kind();
        Ok((checked, kind))
    }

    fn of_kind(&self, read: Read, wanted: Kind, what: &str) -> Parsed<Checked> {
        let at = read.at;
        let (checked, kind) = self.expression(read)?;
        if kind == wanted {
            Ok(checked)
        } else {
            Err(Fault::new(at, format!("{what}应为{}，不是{}", wanted.label(), kind.label())))
        }
    }

    fn conditions(&self, parts: Vec<Read>) -> Parsed<Vec<Checked>> {
        parts.into_iter().map(|part| self.of_kind(part, Kind::Boolean, "and、or 的对象")).collect()
    }

    fn column(&self, at: At, name: &str) -> Parsed<Column> {
        if let Some(property) = self.layer.queryable(name) {
            return Ok(Column::Property(property));
        }
        let is_declared = self.layer.properties.iter().any(|p| p.name == name);
        match name {
            "valid_from" if !is_declared && self.layer.has_past() => Ok(Column::ValidFrom),
            "valid_to" if !is_declared && self.layer.has_past() => Ok(Column::ValidTo),
            _ if GEOMETRY_NAMES.contains(&name) && !is_declared && self.layer.geometry != GeometryKind::None => {
                Ok(Column::Geometry)
            }
            _ => {
                let known = known_names(self.layer).join("、");
                let what = if is_declared { "不能按属性" } else { "没有属性" };
                Err(Fault::new(
                    at,
                    format!("{what}“{}”{}；可查询的属性：{known}", short(name), if is_declared { "过滤" } else { "" }),
                ))
            }
        }
    }

    /// A value that may be compared.
    fn simple(&self, read: Read) -> Parsed<(Checked, Kind)> {
        let at = read.at;
        let (checked, kind) = self.expression(read)?;
        match kind {
            Kind::Geometry => Err(Fault::new(at, "图形不能这样比较；请用 s_equals、s_intersects 等")),
            Kind::Interval => Err(Fault::new(at, "时段不能这样比较；请用 t_equals、t_intersects 等")),
            Kind::List => Err(Fault::new(at, "列表不能这样比较；请用 a_contains、a_overlaps 等")),
            _ => Ok((checked, kind)),
        }
    }

    fn comparing(&self, read: Read, with: Kind) -> Parsed<Checked> {
        let at = read.at;
        let (checked, kind) = self.simple(read)?;
        if kind.compares_with(with) {
            return Ok(checked);
        }
        let hint = match (with, kind) {
            (Kind::Date, Kind::Text) => "；日期写作 DATE('2024-01-01')",
            (Kind::Moment, Kind::Text) => "；时刻写作 TIMESTAMP('2024-01-01T00:00:00Z')",
            (Kind::Text, Kind::Number) => "；文字要加单引号",
            _ => "",
        };
        Err(Fault::new(at, format!("{}不能与{}比较{hint}", kind.label(), with.label())))
    }

    fn comparable(&self, pair: [Read; 2]) -> Parsed<Pair<Column>> {
        let [left, right] = pair;
        let (left, kind) = self.simple(left)?;
        let right = self.comparing(right, kind)?;
        Ok(Box::new([left, right]))
    }

    fn like(&self, pair: [Read; 2]) -> Parsed<Node<Column>> {
        let [value, pattern] = pair;
        let value = self.of_kind(value, Kind::Text, "like 的对象")?;
        let at = pattern.at;
        let pattern = self.of_kind(pattern, Kind::Text, "like 的样式")?;
        let text = pattern_text(&pattern)
            .ok_or_else(|| Fault::new(at, "like 的样式应为文字，或文字的 casei、accenti、lower、upper"))?;
        // One more backslash than pairs of them: it would escape nothing.
        if text.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1 {
            return Err(Fault::new(at, "like 的样式不能以单个反斜杠结尾；反斜杠本身写作 \\\\"));
        }
        Ok(Node::Like(Box::new([value, pattern])))
    }

    fn membership(&self, at: At, value: Read, list: Vec<Read>) -> Parsed<Node<Column>> {
        if list.is_empty() || list.len() > MAX_ITEMS {
            return Err(Fault::new(at, format!("in 的列表应有 1 至 {MAX_ITEMS} 个值")));
        }
        let (value, kind) = self.simple(value)?;
        let list: Parsed<Vec<Checked>> = list.into_iter().map(|item| self.comparing(item, kind)).collect();
        Ok(Node::In(Box::new(value), list?))
    }

    fn shapes(&self, relation: SpatialRelation, pair: [Read; 2]) -> Parsed<Pair<Column>> {
        let any_shape = matches!(relation, SpatialRelation::Intersects | SpatialRelation::Disjoint);
        let shape = |read: Read| {
            let at = read.at;
            let shape = self.of_kind(read, Kind::Geometry, "空间函数的对象")?;
            match &shape.node {
                // DE-9IM does not say what the inside of a mixture is.
                Node::Geometry(geo::Geometry::GeometryCollection(_)) if !any_shape => Err(Fault::new(
                    at,
                    format!("不同种类图形的集合只能用于 s_intersects 和 s_disjoint，不能用于 {}", relation.as_str()),
                )),
                _ => Ok(shape),
            }
        };
        let [left, right] = pair;
        Ok(Box::new([shape(left)?, shape(right)?]))
    }

    fn times(&self, relation: TemporalRelation, pair: [Read; 2]) -> Parsed<Pair<Column>> {
        let time = |read: Read| {
            let at = read.at;
            match self.expression(read)? {
                (time, Kind::Interval) => Ok(time),
                (time, kind) if kind.is_instant() && relation.takes_instants() => Ok(time),
                (_, kind) if kind.is_instant() => Err(Fault::new(
                    at,
                    format!("{} 只用于时段；日期、时刻请用 INTERVAL(…) 或 t_intersects 等", relation.as_str()),
                )),
                (_, kind) => Err(Fault::new(at, format!("时间函数的对象应为日期、时刻或时段，不是{}", kind.label()))),
            }
        };
        let [left, right] = pair;
        Ok(Box::new([time(left)?, time(right)?]))
    }

    fn interval(&self, at: At, ends: [End<String>; 2]) -> Parsed<Node<Column>> {
        let end = |end: End<String>| {
            let End::At(read) = end else { return Ok(End::Open) };
            let at = read.at;
            match self.expression(read)? {
                (time, kind) if kind.is_instant() => Ok(End::At(time)),
                (_, kind) => Err(Fault::new(at, format!("时段的一端应为日期或时刻，不是{}", kind.label()))),
            }
        };
        let [from, to] = ends;
        let ends = [end(from)?, end(to)?];
        if is_backwards(&ends) {
            return Err(Fault::new(at, "时段的起始晚于终止"));
        }
        Ok(Node::Interval(Box::new(ends)))
    }

    fn list(&self, list: Vec<Read>) -> Parsed<Node<Column>> {
        let item = |read: Read| {
            let at = read.at;
            let (item, kind) = self.expression(read)?;
            let is_plain = item.is_literal() || matches!(item.node, Node::Property(_));
            match kind {
                // A list in a list and so on is bounded by the depth of the tree; a condition in one would be repeated in the
                // statement, level by level.
                Kind::Boolean if !is_plain => Err(Fault::new(at, "列表中不能有条件")),
                Kind::Geometry | Kind::Interval => Err(Fault::new(at, format!("列表中不能有{}", kind.label()))),
                _ => Ok(item),
            }
        };
        let list: Parsed<Vec<Checked>> = list.into_iter().map(item).collect();
        list.map(Node::List)
    }

    fn call(&self, at: At, function: Function, arguments: Vec<Read>) -> Parsed<Node<Column>> {
        let takes = function.takes();
        if arguments.len() != takes.len() {
            let detail = format!("{} 应有 {} 个参数，不是 {} 个", function.as_str(), takes.len(), arguments.len());
            return Err(Fault::new(at, detail));
        }
        let what = format!("{} 的参数", function.as_str());
        let arguments: Parsed<Vec<Checked>> =
            arguments.into_iter().zip(takes).map(|(argument, kind)| self.of_kind(argument, *kind, &what)).collect();
        arguments.map(|arguments| Node::Call(function, arguments))
    }
}

/// The literal of a pattern, through functions that change letters alone.
fn pattern_text(pattern: &Checked) -> Option<&str> {
    match &pattern.node {
        Node::Text(text) => Some(text),
        Node::Call(Function::CaseI | Function::AccentI | Function::Lower | Function::Upper, arguments) => {
            arguments.first().and_then(pattern_text)
        }
        _ => None,
    }
}

/// Both ends are literals of one kind, the first after the second.
fn is_backwards(ends: &[End<Column>; 2]) -> bool {
    let [End::At(from), End::At(to)] = ends else { return false };
    match (&from.node, &to.node) {
        (Node::Date(from), Node::Date(to)) => from > to,
        (Node::Timestamp(from), Node::Timestamp(to)) => from > to,
        _ => false,
    }
}
