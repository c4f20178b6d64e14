//! Temporal relations of a filter: what each says of the ends of its two operands.

use super::conditions::Clauses;
use crate::domain::filter::{Checked, End, Kind, Node, TemporalRelation};

/// An end of an operand: an expression and whether it is a day, or no end.
enum Bound {
    Known { sql: String, kind: Kind },
    /// `infinity` or `-infinity`.
    Open(&'static str),
}

/// From, to, both included. Of an instant they are the same.
struct Span {
    from: Bound,
    to: Bound,
}

/// The day that a moment is, in UTC as CQL2 has it.
pub(super) fn day_of(moment: &str) -> String {
    format!("(({moment}) AT TIME ZONE 'UTC')::date")
}

pub(super) fn related(clauses: &mut Clauses, relation: TemporalRelation, pair: &[Checked; 2]) -> String {
    use TemporalRelation as T;
    let (a, b) = (span(clauses, &pair[0]), span(clauses, &pair[1]));
    let condition = match relation {
        T::After => after(&a.from, &b.to),
        T::Before => before(&a.to, &b.from),
        T::Equals => all([same(&a.from, &b.from), same(&a.to, &b.to)]),
        T::Intersects => intersects(&a, &b),
        T::Disjoint => format!("NOT ({})", intersects(&a, &b)),
        T::Contains => all([before(&a.from, &b.from), after(&a.to, &b.to)]),
        T::During => all([after(&a.from, &b.from), before(&a.to, &b.to)]),
        T::FinishedBy => all([before(&a.from, &b.from), same(&a.to, &b.to)]),
        T::Finishes => all([after(&a.from, &b.from), same(&a.to, &b.to)]),
        T::Meets => same(&a.to, &b.from),
        T::MetBy => same(&a.from, &b.to),
        T::Overlaps => all([before(&a.from, &b.from), after(&a.to, &b.from), before(&a.to, &b.to)]),
        T::OverlappedBy => all([after(&a.from, &b.from), before(&a.from, &b.to), after(&a.to, &b.to)]),
        T::StartedBy => all([same(&a.from, &b.from), after(&a.to, &b.to)]),
        T::Starts => all([same(&a.from, &b.from), before(&a.to, &b.to)]),
    };
    format!("({condition})")
}

fn span(clauses: &mut Clauses, operand: &Checked) -> Span {
    let mut known = |one: &Checked| Bound::Known { sql: clauses.expression(one), kind: one.kind() };
    match &operand.node {
        Node::Interval(ends) => {
            let mut bound = |end: &End<_>, open| match end {
                End::Open => Bound::Open(open),
                End::At(one) => known(one),
            };
            Span { from: bound(&ends[0], "-infinity"), to: bound(&ends[1], "infinity") }
        }
        _ => Span { from: known(operand), to: known(operand) },
    }
}

fn all<const N: usize>(conditions: [String; N]) -> String {
    conditions.join(" AND ")
}

fn intersects(a: &Span, b: &Span) -> String {
    all([compare(&a.from, "<=", &b.to), compare(&a.to, ">=", &b.from)])
}

fn before(a: &Bound, b: &Bound) -> String {
    compare(a, "<", b)
}

fn after(a: &Bound, b: &Bound) -> String {
    compare(a, ">", b)
}

fn same(a: &Bound, b: &Bound) -> String {
    compare(a, "=", b)
}

/// A day and a moment compare as days, as in `=` and `<`.
fn compare(a: &Bound, operator: &str, b: &Bound) -> String {
    let kind = match (a, b) {
        (Bound::Known { kind: Kind::Moment, .. }, Bound::Known { kind: Kind::Moment, .. } | Bound::Open(_))
        | (Bound::Open(_), Bound::Known { kind: Kind::Moment, .. }) => Kind::Moment,
        _ => Kind::Date,
    };
    let side = |bound: &Bound| match bound {
        Bound::Known { sql, kind: Kind::Moment } if kind == Kind::Date => day_of(sql),
        Bound::Known { sql, .. } => sql.clone(),
        Bound::Open(end) => format!("'{end}'::{}", if kind == Kind::Moment { "timestamptz" } else { "date" }),
    };
    format!("{} {operator} {}", side(a), side(b))
}
