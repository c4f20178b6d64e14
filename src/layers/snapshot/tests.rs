use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::DivisionCode;
use crate::domain::access::Jurisdiction;
use crate::domain::filter::{At, Checked, Node};
use crate::domain::items_query::{After, Filter, FilterValue, ItemsQuery};
use crate::domain::layer::Visibility;
use crate::geometry::flat::{FlatBuilder, FlatKind};
use crate::layers::declaration;
use crate::layers::encode::{self, CoordForm};

fn layer() -> &'static Layer {
    declaration::find("turnover_parcels").expect("layer")
}

fn none(_: &Layer, _: &NewFeature) -> Vec<u8> {
    Vec::new()
}

fn square(west: f64, south: f64, size: f64) -> FlatGeometry {
    let mut builder = FlatBuilder::new(FlatKind::Polygon);
    for (x, y) in [(0., 0.), (size, 0.), (size, size), (0., size), (0., 0.)] {
        builder.push(geo::Coord { x: west + x, y: south + y });
    }
    builder.end_ring();
    builder.finish()
}

/// A parcel of this county and state; without a place it has no shape.
fn parcel(id: &str, county: &str, state: &str, place: Option<(f64, f64)>) -> NewFeature {
    let columns = columns_of(layer()).into_iter().map(|p| match p.name {
        "county_code" => Some(county.to_owned()),
        "state" => Some(state.to_owned()),
        "derived_sets" => Some("[\"idle\",\"unsold\"]".to_owned()),
        "illustrative" => Some("true".to_owned()),
        _ => None,
    });
    NewFeature {
        id: id.to_owned(),
        from: id.parse().ok().and_then(|n: u32| NaiveDate::from_ymd_opt(2026, 1 + n % 12, 1 + n % 28)),
        version: 7,
        properties: format!("{{\"county_code\":\"{county}\",\"state\":\"{state}\"}}"),
        geometry: place.map(|(x, y)| square(x, y, 0.5)),
        division: Some(county.to_owned()),
        columns: columns.collect(),
    }
}

fn snapshot(features: impl IntoIterator<Item = NewFeature>) -> Snapshot {
    let mut builder = SnapshotBuilder::new(layer(), none);
    builder.add(features.into_iter().collect());
    builder.finish().expect("ids that differ")
}

fn everything() -> ItemsQuery {
    ItemsQuery { limit: 10_000, ..ItemsQuery::default() }
}

fn ids(snapshot: &Snapshot, query: &ItemsQuery, jurisdiction: &Jurisdiction) -> Option<Vec<String>> {
    let selection = snapshot.select(query, jurisdiction)?;
    Some(selection.picked.iter().map(|p| snapshot.id(*p).to_owned()).collect())
}

fn is(name: &str, value: FilterValue) -> Vec<Filter> {
    vec![Filter { property: layer().queryable(name).expect(name), value }]
}

#[test]
fn columns_of_few_values_and_boxes_are_answered_and_the_rest_is_the_databases() {
    let held = snapshot([
        parcel("c", "430102", "supplied", Some((1., 1.))),
        parcel("a", "430102", "approved", Some((3., 3.))),
        parcel("b", "430202", "supplied", None),
    ]);
    let all = Jurisdiction::Everywhere;
    let changsha = Jurisdiction::Divisions(vec![DivisionCode::parse("430100").expect("code")]);
    let of = |query: ItemsQuery| ids(&held, &query, &all).map(|ids| ids.concat());
    assert_eq!(layer().visibility, Visibility::Internal);
    assert_eq!(of(everything()).as_deref(), Some("abc"));
    assert_eq!(ids(&held, &everything(), &changsha), Some(vec!["a".into(), "c".into()]));
    assert_eq!(ids(&held, &everything(), &Jurisdiction::NOWHERE), Some(vec![]));
    let filtered = |filters| ItemsQuery { filters, ..everything() };
    assert_eq!(of(filtered(is("state", FilterValue::Text("supplied".into())))).as_deref(), Some("bc"));
    assert_eq!(
        of(filtered(is("state", FilterValue::AnyOf(vec!["approved".into(), "x".into()])))).as_deref(),
        Some("a")
    );
    assert_eq!(of(filtered(is("derived_sets", FilterValue::Text("unsold".into())))).as_deref(), Some("abc"));
    assert_eq!(
        of(filtered(is("derived_sets", FilterValue::Text("[\"idle\",\"unsold\"]".into())))).as_deref(),
        Some("")
    );
    assert_eq!(of(filtered(is("illustrative", FilterValue::Boolean(false)))).as_deref(), Some(""));
    assert_eq!(of(filtered(is("held_state", FilterValue::Text(String::new())))).as_deref(), Some(""));
    assert_eq!(of(filtered(is("number", FilterValue::Text("1".into())))), None);
    assert_eq!(of(ItemsQuery { search: Some(crate::domain::search::Search::new("x")), ..everything() }), None);
    // What of a CQL2 filter is no plain condition is the database's to answer.
    let rest = Checked::new(At(0), Node::Boolean(false));
    assert_eq!(
        of(ItemsQuery { filter: Some(rest), ..filtered(is("state", FilterValue::Text("supplied".into()))) }),
        None
    );
    assert_eq!(of(ItemsQuery { revision: Some(1), ..everything() }), None);
    let boxed = |boxes: Vec<[f64; 4]>| ItemsQuery { boxes, ..everything() };
    assert_eq!(of(boxed(vec![[0., 0., 4., 4.]])).as_deref(), Some("ac"));
    assert_eq!(of(boxed(vec![[1.5, 1.5, 2., 2.]])).as_deref(), Some("c"));
    assert_eq!(of(boxed(vec![[1.2, 1.2, 1.2, 1.2]])).as_deref(), Some("c"));
    // Found once, though it meets both.
    assert_eq!(of(boxed(vec![[0., 0., 1.2, 1.2], [1.1, 1.1, 9., 9.]])).as_deref(), Some("ac"));
    assert_eq!(held.find("a", &changsha).map(|p| held.version(p)), Some(7));
    assert_eq!(held.find("b", &changsha), None);
    assert_eq!((held.extent(&all), held.len()), (Some((Some([1., 1., 3.5, 3.5]), None)), 3));
    assert_eq!(held.extent(&Jurisdiction::NOWHERE), Some((None, None)));
}

#[test]
fn an_id_twice_cannot_be_held() {
    let mut builder = SnapshotBuilder::new(layer(), none);
    builder.add(vec![parcel("a", "430102", "x", None), parcel("a", "430102", "y", None)]);
    assert_eq!(builder.finish().err(), Some(Repeated("a".into())));
}

#[test]
fn a_column_of_too_many_values_is_the_databases() {
    let many = (0..50_002).map(|n| parcel(&n.to_string(), "430102", &format!("s{n}"), None));
    let held = snapshot(many);
    assert_eq!(
        ids(
            &held,
            &ItemsQuery { filters: is("state", FilterValue::Text("s1".into())), ..everything() },
            &Jurisdiction::Everywhere
        ),
        None
    );
    let applied = held.apply(vec![("x".into(), Some(parcel("x", "430102", "new", None)))]);
    assert_eq!(applied.snapshot.len(), 50_003);
}

#[test]
fn thousands_between_two_neighbours_find_room() {
    let mut held = snapshot([parcel("a", "430102", "x", None), parcel("b", "430102", "x", None)]);
    for n in 0..300 {
        // Each before the last: the gap is halved every time.
        let id = format!("a{:04}", 9_999 - n);
        held = held.apply(vec![(id.clone(), Some(parcel(&id, "430102", "x", Some((1., 1.)))))]).snapshot;
    }
    let found = ids(&held, &everything(), &Jurisdiction::Everywhere).expect("by memory");
    assert_eq!(found.len(), 302);
    assert!(found.is_sorted());
}

/// What a snapshot should answer: a look at every feature.
fn looked_through(
    model: &BTreeMap<String, NewFeature>,
    query: &ItemsQuery,
    prefix: &str,
) -> (usize, Vec<String>, bool) {
    let meets = |f: &NewFeature| {
        query.boxes.is_empty()
            || f.geometry
                .as_ref()
                .and_then(FlatGeometry::bbox)
                .is_some_and(|b| query.boxes.iter().any(|q| tree::meets(q, &b)))
    };
    let county = columns_of(layer()).iter().position(|p| p.name == "county_code").expect("county");
    let matching: Vec<&String> = model
        .iter()
        .filter(|(_, f)| meets(f) && f.columns[county].as_deref().is_some_and(|c| c.starts_with(prefix)))
        .map(|(id, _)| id)
        .collect();
    let behind: Vec<&&String> =
        matching.iter().filter(|id| query.after.as_ref().is_none_or(|a| id.as_str() > a.id.as_str())).collect();
    let page: Vec<String> =
        behind.iter().skip(query.offset as usize).take(query.limit as usize).map(|id| (**id).clone()).collect();
    let more = behind.len() > query.offset as usize + query.limit as usize;
    (matching.len(), page, more)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Squares along the axes: their boxes are their shapes.
    #[test]
    fn after_any_changes_any_page_is_what_a_look_at_all_finds(
        start in prop::collection::vec((0..400u32, 0..4u8, prop::option::of((0.0..10.0f64, 0.0..10.0f64))), 0..400),
        steps in prop::collection::vec(prop::collection::vec((0..400u32, 0..4u8, any::<bool>(), prop::option::of((0.0..10.0f64, 0.0..10.0f64))), 1..40), 0..12),
        queries in prop::collection::vec((prop::option::of((0.0..10.0f64, 0.0..10.0f64, 0.0..6.0f64)), 0..3u8, 1..60u32, 0..60u32, prop::option::of(0..400u32)), 1..8),
    ) {
        let counties = ["430102", "430103", "430202", "431000"];
        let make = |n: u32, county: u8, place| parcel(&n.to_string(), counties[county as usize], "x", place);
        let mut model: BTreeMap<String, NewFeature> = start.into_iter().map(|(n, c, place)| (n.to_string(), make(n, c, place))).collect();
        let mut held = snapshot(model.values().cloned());
        for step in steps {
            let changes: Vec<_> = step.into_iter().map(|(n, c, stays, place)| (n.to_string(), stays.then(|| make(n, c, place)))).collect();
            for (id, change) in &changes {
                match change {
                    Some(feature) => model.insert(id.clone(), feature.clone()),
                    None => model.remove(id),
                };
            }
            held = held.apply(changes).snapshot;
        }
        prop_assert_eq!(held.len(), model.len());
        let boxes = model.values().filter_map(|f| f.geometry.as_ref().and_then(FlatGeometry::bbox));
        let extent = held.extent(&Jurisdiction::Everywhere).expect("by memory");
        prop_assert_eq!(extent, (boxes.reduce(tree::union), model.values().filter_map(|f| f.from).min()));
        for (place, jurisdiction, limit, offset, after) in queries {
            let (prefix, jurisdiction) = match jurisdiction {
                0 => ("", Jurisdiction::Everywhere),
                1 => ("4301", Jurisdiction::Divisions(vec![DivisionCode::parse("430100").expect("code")])),
                _ => ("430202", Jurisdiction::Divisions(vec![DivisionCode::parse("430202").expect("code")])),
            };
            let query = ItemsQuery {
                boxes: place.map(|(x, y, size)| [x, y, x + size, y + size]).into_iter().collect(),
                limit,
                offset,
                after: after.map(|n| After { id: n.to_string(), from: None, keys: Vec::new() }),
                ..ItemsQuery::default()
            };
            let selection = held.select(&query, &jurisdiction).expect("by memory");
            let found = (selection.matched, selection.picked.iter().map(|p| held.id(*p).to_owned()).collect::<Vec<_>>(), selection.more);
            prop_assert_eq!(found, looked_through(&model, &query, prefix));
            for picked in selection.picked {
                let feature = &model[held.id(picked)];
                let mut text = String::new();
                encode::feature(&mut text, &feature.id, &feature.properties, feature.geometry.as_ref(), CoordForm::LON_LAT);
                prop_assert_eq!(&held.json(picked, false)[..], text.as_bytes());
            }
        }
    }
}
