//! A checked filter as a condition: names of the declaration alone, every value bound.
//!
//! An operand stands in the statement as often as in the filter, but for the ends of intervals and the members of lists, which hold no
//! conditions: nothing grows by its depth. What cannot be reckoned (a division by 0, a root of −1) is no value, so it matches nothing.

use super::conditions::{Bound, Clauses};
use super::{filter_time, geometry_literal};
use crate::domain::filter::{
    ArrayRelation, Checked, Column, Comparison, Function, Kind, Node, Operator, SpatialRelation,
};
use crate::domain::items_query::Bbox;
use crate::domain::layer::PropertyKind;

/// Marks that stand on or under a letter, by blocks: `regexp_replace` knows no `\p{M}`.
const MARKS: &str = "[\\u0300-\\u036f\\u1ab0-\\u1aff\\u1dc0-\\u1dff\\u20d0-\\u20ff\\ufe20-\\ufe2f]";
/// Letters with a stroke, which Unicode takes for one sign: the collation's table (DUCET) sorts them with these.
const STROKES: [&str; 2] = ["øØłŁđĐħĦŧŦɨƗ", "oOlLdDhHtTiI"];

impl Clauses {
    /// The condition; everything in it that may be said in several ways stands in brackets.
    pub(super) fn expression(&mut self, filter: &Checked) -> String {
        match &filter.node {
            Node::And(parts) => self.joined(parts, " AND "),
            Node::Or(parts) => self.joined(parts, " OR "),
            Node::Not(one) => format!("(NOT {})", self.expression(one)),
            Node::Compare(comparison, pair) => self.compared(*comparison, pair),
            Node::Like(pair) => {
                let (value, pattern) = (self.ordered(&pair[0]), self.ordered(&pair[1]));
                format!("({value} LIKE {pattern})")
            }
            Node::Between(three) => {
                let as_days = three.iter().any(|one| one.kind() != three[0].kind());
                let [value, low, high] = [0, 1, 2].map(|i| self.comparable(&three[i], as_days));
                format!("({value} BETWEEN {low} AND {high})")
            }
            Node::In(value, list) => self.membership(value, list),
            Node::IsNull(one) => format!("({} IS NULL)", self.expression(one)),
            Node::Spatial(relation, pair) => self.spatial(*relation, pair),
            Node::Temporal(relation, pair) => filter_time::related(self, *relation, pair),
            Node::Array(relation, pair) => self.array(*relation, pair),
            Node::Arithmetic(operator, pair) => self.arithmetic(*operator, pair),
            Node::Call(function, arguments) => self.call(*function, arguments),
            Node::Property(column) => of_column(*column),
            Node::Text(text) => self.value(Bound::Text(text.clone())),
            Node::Integer(whole) => self.value(Bound::Integer(*whole)),
            Node::Number(number) => self.value(Bound::Number(*number)),
            Node::Boolean(boolean) => self.value(Bound::Boolean(*boolean)),
            Node::Date(day) => self.value(Bound::Day(Some(*day))),
            Node::Timestamp(moment) => self.value(Bound::Moment(*moment)),
            Node::Geometry(geometry) => {
                format!("{}::geometry", self.value(Bound::Bytes(geometry_literal::encode(geometry))))
            }
            Node::Box(sides) => self.bbox(*sides),
            Node::List(list) => self.list(list),
            // The checker lets intervals stand in temporal relations alone.
            Node::Interval(_) => "NULL".to_owned(),
        }
    }

    fn joined(&mut self, parts: &[Checked], between: &str) -> String {
        let parts: Vec<String> = parts.iter().map(|part| self.expression(part)).collect();
        format!("({})", parts.join(between))
    }

    fn compared(&mut self, comparison: Comparison, pair: &[Checked; 2]) -> String {
        let is_equality = matches!(comparison, Comparison::Equal | Comparison::Unequal);
        let is_plain = |one: &Checked| matches!(one.node, Node::Property(_) | Node::Text(_));
        // Two columns of an operator's table may have collations of their own, which do not go together.
        let columns = pair.iter().filter(|one| matches!(one.node, Node::Property(_))).count();
        // Equal texts are equal by any collation of the register, and an index has the column's own.
        let (left, right) = if is_equality && columns < 2 && pair.iter().all(is_plain) {
            (self.expression(&pair[0]), self.expression(&pair[1]))
        } else {
            let as_days = pair[0].kind() != pair[1].kind();
            (self.comparable(&pair[0], as_days), self.comparable(&pair[1], as_days))
        };
        format!("({left} {} {right})", comparison.as_str())
    }

    /// A value among others: texts by code point; a day and a moment as days.
    fn comparable(&mut self, one: &Checked, as_days: bool) -> String {
        match one.kind() {
            Kind::Text => self.ordered(one),
            Kind::Moment if as_days => filter_time::day_of(&self.expression(one)),
            _ => self.expression(one),
        }
    }

    fn ordered(&mut self, text: &Checked) -> String {
        format!("({} COLLATE \"C\")", self.expression(text))
    }

    fn membership(&mut self, value: &Checked, list: &[Checked]) -> String {
        let kind = value.kind();
        let texts: Option<Vec<String>> =
            list.iter().map(|item| if let Node::Text(text) = &item.node { Some(text.clone()) } else { None }).collect();
        if let (Some(texts), Node::Property(column)) = (texts, &value.node) {
            return format!("({} = ANY({}))", of_column(*column), self.value(Bound::Texts(texts)));
        }
        let as_days = list.iter().any(|item| item.kind() != kind);
        let value = self.comparable(value, as_days);
        let list: Vec<String> = list.iter().map(|item| self.comparable(item, as_days)).collect();
        format!("({value} IN ({}))", list.join(", "))
    }

    fn spatial(&mut self, relation: SpatialRelation, pair: &[Checked; 2]) -> String {
        // The shapes of a layer may be collections, which DE-9IM has nothing to say of.
        let whole: Vec<String> = pair
            .iter()
            .filter_map(|one| if let Node::Property(column) = one.node { Some(of_column(column)) } else { None })
            .map(|column| format!("GeometryType({column}) = 'GEOMETRYCOLLECTION'"))
            .collect();
        let (left, right) = (self.expression(&pair[0]), self.expression(&pair[1]));
        let function = match relation {
            SpatialRelation::Intersects | SpatialRelation::Disjoint => "ST_Intersects",
            SpatialRelation::Equals => "ST_Equals",
            SpatialRelation::Touches => "ST_Touches",
            SpatialRelation::Crosses => "ST_Crosses",
            SpatialRelation::Within => "ST_Within",
            SpatialRelation::Contains => "ST_Contains",
            SpatialRelation::Overlaps => "ST_Overlaps",
        };
        // `&&` by itself too: it is leak-proof and may ask the index before row-level security, the functions may not.
        let meets = format!("{left} && {right}");
        match relation {
            SpatialRelation::Intersects => format!("({meets} AND {function}({left}, {right}))"),
            SpatialRelation::Disjoint => format!("(NOT ({meets} AND {function}({left}, {right})))"),
            _ if whole.is_empty() => format!("({meets} AND {function}({left}, {right}))"),
            _ => format!(
                "({meets} AND CASE WHEN {} THEN FALSE ELSE {function}({left}, {right}) END)",
                whole.join(" OR ")
            ),
        }
    }

    /// As a query's boxes: one without width or height is a line or a point, not a polygon without area, which meets nothing.
    fn bbox(&mut self, [west, south, east, north]: Bbox) -> String {
        let mut part = |west: f64, east: f64| {
            let [w, s, e, n] = [west, south, east, north].map(|side| self.value(Bound::Number(side)));
            format!("ST_SetSRID(ST_Envelope(ST_MakeLine(ST_Point({w}, {s}), ST_Point({e}, {n}))), 4490)")
        };
        // What ends at the antimeridian has no width on its other side.
        if west <= east {
            part(west, east)
        } else if east <= -180.0 {
            part(west, 180.0)
        } else if west >= 180.0 {
            part(-180.0, east)
        } else {
            format!("ST_Collect({}, {})", part(west, 180.0), part(-180.0, east))
        }
    }

    fn array(&mut self, relation: ArrayRelation, pair: &[Checked; 2]) -> String {
        let (left, right) = (self.expression(&pair[0]), self.expression(&pair[1]));
        if pair.iter().all(is_text_list) {
            return match relation {
                ArrayRelation::Equals => format!("({left} @> {right} AND {left} <@ {right})"),
                ArrayRelation::Contains => format!("({left} @> {right})"),
                ArrayRelation::ContainedBy => format!("({left} <@ {right})"),
                ArrayRelation::Overlaps => format!("({left} && {right})"),
            };
        }
        // Members of several kinds: sets of JSON values, which know 1 from '1'.
        let (left, right) = (self.json_set(&pair[0]), self.json_set(&pair[1]));
        let within = |inner: &str, outer: &str| {
            format!("NOT EXISTS (SELECT e FROM unnest({inner}) e EXCEPT SELECT e FROM unnest({outer}) e)")
        };
        let holds = match relation {
            ArrayRelation::Equals => format!("{} AND {}", within("l", "r"), within("r", "l")),
            ArrayRelation::Contains => within("r", "l"),
            ArrayRelation::ContainedBy => within("l", "r"),
            ArrayRelation::Overlaps => "l && r".to_owned(),
        };
        format!(
            "(SELECT CASE WHEN l IS NOT NULL AND r IS NOT NULL THEN {holds} END FROM (VALUES ({left}, {right})) s (l, r))"
        )
    }

    /// A list of texts.
    fn list(&mut self, list: &[Checked]) -> String {
        let texts: Option<Vec<String>> =
            list.iter().map(|item| if let Node::Text(text) = &item.node { Some(text.clone()) } else { None }).collect();
        match texts {
            Some(texts) => self.value(Bound::Texts(texts)),
            None => {
                let items: Vec<String> = list.iter().map(|item| self.expression(item)).collect();
                format!("ARRAY[{}]::text[]", items.join(", "))
            }
        }
    }

    /// `jsonb[]` of a list.
    fn json_set(&mut self, one: &Checked) -> String {
        let Node::List(list) = &one.node else {
            let column = self.expression(one);
            return format!(
                "(CASE WHEN {column} IS NOT NULL THEN ARRAY(SELECT to_jsonb(e) FROM unnest({column}) e) END)"
            );
        };
        let items: Vec<String> = list.iter().map(|item| self.json_member(item)).collect();
        format!("ARRAY[{}]::jsonb[]", items.join(", "))
    }

    fn json_member(&mut self, item: &Checked) -> String {
        match item.kind() {
            Kind::List => format!("to_jsonb({})", self.json_set(item)),
            Kind::Date => format!("jsonb_build_object('date', {})", self.expression(item)),
            Kind::Moment => format!("jsonb_build_object('timestamp', {})", self.expression(item)),
            Kind::Text => format!("to_jsonb({}::text)", self.expression(item)),
            // As doubles: 1 and 1.0 are one number.
            Kind::Number => format!("to_jsonb({}::float8)", self.expression(item)),
            _ => format!("to_jsonb({})", self.expression(item)),
        }
    }

    fn arithmetic(&mut self, operator: Operator, pair: &[Checked; 2]) -> String {
        // Doubles throughout: whole numbers would overflow, and divide as whole ones.
        let left = format!("{}::float8", self.expression(&pair[0]));
        let right = format!("{}::float8", self.expression(&pair[1]));
        match operator {
            Operator::Add | Operator::Subtract | Operator::Multiply => {
                format!("({left} {} {right})", operator.as_str())
            }
            Operator::Divide => format!("({left} / nullif({right}, 0))"),
            Operator::IntegerDivide => format!("trunc({left} / nullif({right}, 0))"),
            Operator::Modulo => format!("mod({left}::numeric, nullif({right}::numeric, 0))::float8"),
            Operator::Power => format!(
                "(SELECT CASE WHEN b < 0 AND e <> trunc(e) OR b = 0 AND e < 0 THEN NULL ELSE power(b, e) END
                  FROM (VALUES ({left}, {right})) p (b, e))"
            ),
        }
    }

    fn call(&mut self, function: Function, arguments: &[Checked]) -> String {
        let Some(argument) = arguments.first() else { return "NULL".to_owned() };
        let of = self.expression(argument);
        match function {
            // Full case folding as near as PostgreSQL comes before 18: down, so that ẞ is ß; up, so that ß is SS, ς is Σ and the kelvin
            // sign is K; and down again.
            Function::CaseI => {
                let icu = "COLLATE \"und-x-icu\"";
                format!("translate(lower(upper(lower({of} {icu}) {icu}) {icu}), 'ς', 'σ')")
            }
            Function::AccentI => format!(
                "normalize(translate(regexp_replace(normalize({of} COLLATE \"C\", NFD), '{MARKS}', '', 'g'), '{}', '{}'), NFC)",
                STROKES[0], STROKES[1]
            ),
            Function::Lower => format!("lower({of} COLLATE \"und-x-icu\")"),
            Function::Upper => format!("upper({of} COLLATE \"und-x-icu\")"),
            Function::Length => format!("char_length({of})"),
            Function::Abs => format!("abs({of}::float8)"),
            Function::Floor => format!("floor({of}::float8)"),
            Function::Ceil => format!("ceil({of}::float8)"),
            // Halves away from 0, as clerks round; a double would go to the even neighbour.
            Function::Round => format!("round({of}::numeric)::float8"),
            Function::Area => format!("ST_Area({of}::geography)"),
        }
    }
}

/// As the kind that the declaration says.
fn of_column(column: Column) -> String {
    let name = column.name();
    match (column, column.kind()) {
        (Column::ValidFrom | Column::ValidTo | Column::Geometry, _) => name.to_owned(),
        (_, Kind::Text) => format!("{name}::text"),
        (_, Kind::Date) => format!("{name}::date"),
        (_, Kind::Moment) => format!("{name}::timestamptz"),
        // An empty list is shown as no value.
        (Column::Property(property), Kind::List) if property.kind == PropertyKind::NumberList => {
            format!("nullif({name}::float8[], '{{}}')")
        }
        (_, Kind::List) => format!("nullif({name}::text[], '{{}}')"),
        _ => name.to_owned(),
    }
}

fn is_text_list(one: &Checked) -> bool {
    match &one.node {
        Node::List(list) => list.iter().all(|item| item.kind() == Kind::Text),
        Node::Property(Column::Property(property)) => property.kind == PropertyKind::TextList,
        _ => false,
    }
}
