//! parse ∘ print = identity, and no input that panics.

use chrono::{DateTime, NaiveDate, Utc};
use geo::{Coord, Geometry, GeometryCollection, LineString, MultiPoint, MultiPolygon, Point, Polygon};
use proptest::prelude::*;

use super::*;
use crate::domain::filter::{
    ArrayRelation, Comparison, End, Expression, Function, Node, Operator, SpatialRelation, TemporalRelation,
};
use crate::layers::declaration;

fn new(node: Node<String>) -> Read {
    Expression::new(At(0), node)
}

/// Up to 15 digits, which the JSON reader gets exactly.
fn number() -> impl Strategy<Value = f64> {
    (-1_000_000_000_000i64..1_000_000_000_000).prop_map(|n| n as f64 / 1000.0)
}

fn coordinate() -> impl Strategy<Value = Coord<f64>> {
    (number(), number()).prop_map(|(x, y)| Coord { x, y })
}

fn polygon() -> impl Strategy<Value = Polygon<f64>> {
    let ring = || {
        prop::collection::vec(coordinate(), 3..6).prop_map(|mut points| {
            points.push(points[0]);
            LineString(points)
        })
    };
    (ring(), prop::collection::vec(ring(), 0..2)).prop_map(|(exterior, holes)| Polygon::new(exterior, holes))
}

fn geometry() -> impl Strategy<Value = Geometry<f64>> {
    let simple = prop_oneof![
        coordinate().prop_map(|c| Geometry::Point(Point(c))),
        prop::collection::vec(coordinate(), 2..5).prop_map(|line| Geometry::LineString(LineString(line))),
        polygon().prop_map(Geometry::Polygon),
        prop::collection::vec(coordinate(), 1..4)
            .prop_map(|points| Geometry::MultiPoint(MultiPoint(points.into_iter().map(Point).collect()))),
        prop::collection::vec(polygon(), 1..3).prop_map(|parts| Geometry::MultiPolygon(MultiPolygon(parts))),
    ];
    simple.prop_recursive(2, 4, 3, |inner| {
        prop::collection::vec(inner, 1..3).prop_map(|many| Geometry::GeometryCollection(GeometryCollection(many)))
    })
}

/// Any text that CQL2 text can say: see `to_text`.
fn words() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace('\\', "%"))
}

fn day() -> impl Strategy<Value = NaiveDate> {
    (1i32..=9999, 1u32..=365).prop_filter_map("a day", |(year, day)| NaiveDate::from_yo_opt(year, day))
}

fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    (-60_000_000_000i64..250_000_000_000, prop_oneof![Just(0u32), 0u32..1_000_000_000])
        .prop_filter_map("a moment", |(seconds, nanos)| DateTime::from_timestamp(seconds, nanos))
}

fn leaf() -> impl Strategy<Value = Read> {
    prop_oneof![
        prop_oneof![words(), "[a-z:_]{1,6}", Just("not".to_owned()), Just("a\"b".to_owned())].prop_map(Node::Property),
        words().prop_map(Node::Text),
        any::<i64>().prop_map(Node::Integer),
        number().prop_map(Node::Number),
        any::<bool>().prop_map(Node::Boolean),
        day().prop_map(Node::Date),
        moment().prop_map(Node::Timestamp),
        geometry().prop_map(Node::Geometry),
        prop::array::uniform4(number()).prop_map(Node::Box),
    ]
    .prop_map(new)
}

fn one_of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(all)
}

fn end(inner: impl Strategy<Value = Read> + 'static) -> impl Strategy<Value = End<String>> {
    // A text in an interval is read as a day, a moment or no end.
    let not_text = inner.prop_filter("no text", |read| !matches!(read.node, Node::Text(_)));
    prop_oneof![Just(End::Open), not_text.prop_map(End::At)]
}

/// Any tree, whether it makes sense or not.
fn tree() -> impl Strategy<Value = Read> {
    leaf().prop_recursive(5, 40, 4, |inner| {
        let pair = || (inner.clone(), inner.clone()).prop_map(|(a, b)| Box::new([a, b]));
        let list = |from| prop::collection::vec(inner.clone(), from..4);
        prop_oneof![
            list(2).prop_map(Node::And),
            list(2).prop_map(Node::Or),
            inner.clone().prop_map(|one| Node::Not(Box::new(one))),
            (one_of(Comparison::ALL), pair()).prop_map(|(c, pair)| Node::Compare(c, pair)),
            pair().prop_map(Node::Like),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| Node::Between(Box::new([a, b, c]))),
            (inner.clone(), list(0)).prop_map(|(value, list)| Node::In(Box::new(value), list)),
            inner.clone().prop_map(|one| Node::IsNull(Box::new(one))),
            (one_of(SpatialRelation::ALL), pair()).prop_map(|(r, pair)| Node::Spatial(r, pair)),
            (one_of(TemporalRelation::ALL), pair()).prop_map(|(r, pair)| Node::Temporal(r, pair)),
            (one_of(ArrayRelation::ALL), pair()).prop_map(|(r, pair)| Node::Array(r, pair)),
            (one_of(Operator::ALL), pair()).prop_map(|(o, pair)| Node::Arithmetic(o, pair)),
            (one_of(Function::ALL), list(0)).prop_map(|(f, list)| Node::Call(f, list)),
            (end(inner.clone()), end(inner.clone())).prop_map(|(a, b)| Node::Interval(Box::new([a, b]))),
            list(0).prop_map(Node::List),
        ]
        .prop_map(new)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_is_read(tree in tree()) {
        let text = to_text(&tree).expect("no backslashes");
        let json = to_json(&tree).to_string();
        // Beyond the bounds there is nothing to read.
        prop_assume!(text.len() <= MAX_BYTES && json.len() <= MAX_BYTES && budget::within_bounds(&tree).is_ok());
        prop_assert_eq!(&read(&text, Language::Text).expect(&text), &tree, "{}", text);
        prop_assert_eq!(&read(&json, Language::Json).expect(&json), &tree, "{}", json);
    }

    #[test]
    fn any_text_gives_an_answer(source in any::<String>()) {
        let _ = read(&source, Language::Text);
        let _ = read(&source, Language::Json);
    }

    #[test]
    fn any_pieces_of_the_language_give_an_answer(pieces in prop::collection::vec(prop::sample::select(&[
        "(", ")", "[", "]", ",", "=", "<>", "<", ">=", "+", "-", "*", "/", "%", "^", "div", "and", "or", "not", "like", "between",
        "in", "is", "null", "true", "casei", "accenti", "date", "timestamp", "interval", "bbox", "point", "polygon", "z",
        "geometrycollection", "s_intersects", "t_after", "t_during", "a_contains", "'..'", "'2020-01-01'", "'x%'", "state",
        "name", "state_on", "geometry", "computed_area_m2", "derived_sets", "1", "2.5", "-1e3", "'", "\"", "\\'", "长",
    ][..]), 0..30)) {
        let source = pieces.join(" ");
        let layer = declaration::find("turnover_parcels").expect("layer");
        if let Ok(tree) = read(&source, Language::Text) {
            // Whatever is read can be said again, and is the same.
            if let Some(again) = to_text(&tree) {
                prop_assert_eq!(&read(&again, Language::Text).expect(&again), &tree, "{}", again);
            }
            let _ = read_for(layer, &source, Language::Text, Default::default());
        }
    }

    #[test]
    fn any_json_gives_an_answer(source in r#"(\{"op":"(=|in|not|and|casei|t_after|s_within)","args":\[){0,3}("x"|1|\[1\]|\{"property":"state"\}|\{"interval":\["\.\.",1\]\}|\{"type":"Point"\})(,1)?(\]\}){0,3}"#) {
        if let Ok(tree) = read(&source, Language::Json) {
            prop_assert_eq!(&read(&to_json(&tree).to_string(), Language::Json).expect("own JSON"), &tree);
        }
    }
}

#[test]
fn a_backslash_before_a_quote_is_said_in_json_alone() {
    for text in ["a\\", "a\\'b"] {
        let tree = new(Node::Text(text.to_owned()));
        assert_eq!(to_text(&tree), None);
        assert_eq!(read(&to_json(&tree).to_string(), Language::Json).ok(), Some(tree));
    }
}
