//! Temporal relations of a filter: what each says of the ends of its two operands.

use super::conditions::Clauses;
use crate::domain::filter::{Checked, End, Kind, Node, TemporalRelation};

/// An end of an operand: a day or a moment, or no end.
#[derive(Clone, Copy)]
enum Bound<'a> {
    Known(&'a Checked),
    /// `infinity` or `-infinity`.
    Open(&'static str),
}

/// From, to, both included. Of an instant they are the same.
#[derive(Clone, Copy)]
struct Span<'a> {
    from: Bound<'a>,
    to: Bound<'a>,
}

/// The day that a moment is, in UTC as CQL2 has it.
pub(super) fn day_of(moment: &str) -> String {
    format!("(({moment}) AT TIME ZONE 'UTC')::date")
}

pub(super) fn related(clauses: &mut Clauses, relation: TemporalRelation, pair: &[Checked; 2]) -> String {
    use TemporalRelation as T;
    let (a, b) = (span(&pair[0]), span(&pair[1]));
    // Comparisons of ends that must all hold. (A value is bound where it is compared: one that is bound must be used.)
    let comparisons: &[(Bound<'_>, &str, Bound<'_>)] = &match relation {
        T::After => vec![(a.from, ">", b.to)],
        T::Before => vec![(a.to, "<", b.from)],
        T::Equals => vec![(a.from, "=", b.from), (a.to, "=", b.to)],
        T::Intersects | T::Disjoint => vec![(a.from, "<=", b.to), (a.to, ">=", b.from)],
        T::Contains => vec![(a.from, "<", b.from), (a.to, ">", b.to)],
        T::During => vec![(a.from, ">", b.from), (a.to, "<", b.to)],
        T::FinishedBy => vec![(a.from, "<", b.from), (a.to, "=", b.to)],
        T::Finishes => vec![(a.from, ">", b.from), (a.to, "=", b.to)],
        T::Meets => vec![(a.to, "=", b.from)],
        T::MetBy => vec![(a.from, "=", b.to)],
        T::Overlaps => vec![(a.from, "<", b.from), (a.to, ">", b.from), (a.to, "<", b.to)],
        T::OverlappedBy => vec![(a.from, ">", b.from), (a.from, "<", b.to), (a.to, ">", b.to)],
        T::StartedBy => vec![(a.from, "=", b.from), (a.to, ">", b.to)],
        T::Starts => vec![(a.from, "=", b.from), (a.to, "<", b.to)],
    };
    let all: Vec<String> = comparisons.iter().map(|(a, operator, b)| compare(clauses, *a, operator, *b)).collect();
    let negated = if relation == T::Disjoint { "NOT " } else { "" };
    format!("({negated}({}))", all.join(" AND "))
}

fn span(operand: &Checked) -> Span<'_> {
    let Node::Interval(ends) = &operand.node else {
        return Span { from: Bound::Known(operand), to: Bound::Known(operand) };
    };
    let bound = |end, open| match end {
        &End::Open => Bound::Open(open),
        End::At(one) => Bound::Known(one),
    };
    Span { from: bound(&ends[0], "-infinity"), to: bound(&ends[1], "infinity") }
}

/// A day and a moment compare as days, as in `=` and `<`.
fn compare(clauses: &mut Clauses, a: Bound<'_>, operator: &str, b: Bound<'_>) -> String {
    let is_day = |bound: &Bound<'_>| matches!(bound, Bound::Known(one) if one.kind() == Kind::Date);
    let as_days = is_day(&a) || is_day(&b);
    let mut side = |bound: Bound<'_>| match bound {
        Bound::Known(one) if as_days && one.kind() == Kind::Moment => day_of(&clauses.expression(one)),
        Bound::Known(one) => clauses.expression(one),
        Bound::Open(end) => format!("'{end}'::{}", if as_days { "date" } else { "timestamptz" }),
    };
    format!("{} {operator} {}", side(a), side(b))
}
