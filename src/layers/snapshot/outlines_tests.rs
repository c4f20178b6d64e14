use std::collections::BTreeMap;

use geo::Coord;
use proptest::prelude::*;

use super::*;
use crate::domain::access::Jurisdiction;
use crate::domain::items_query::ItemsQuery;
use crate::domain::layer::Layer;
use crate::geometry::flat::{FlatBuilder, FlatKind};
use crate::layers::declaration;
use crate::layers::snapshot::{SnapshotBuilder, batch, columns_of};

const RULE: Generalisation = Generalisation { tolerance_m: 10.0, decimals: 4 };
/// A field of these tests, in degrees: some 200 m.
const FIELD: f64 = 0.002;

fn layer() -> &'static Layer {
    declaration::find("park_blocks").expect("layer")
}

/// Leaves a mark of the shape, as a label's place would.
fn first_vertex(_: &Layer, feature: &NewFeature) -> Vec<u8> {
    let first = feature.geometry.as_ref().and_then(|shape| shape.coords().first().copied());
    first.map_or_else(Vec::new, |c| format!("{} {} {}", c.x, c.y, feature.properties).into_bytes())
}

/// A piece of land `width` fields wide; its borders waver by some metres, the same for both that share one.
fn land(col: u32, row: u32, width: u32) -> FlatGeometry {
    let waver = |a: f64, b: f64| 3e-5 * (a * 51.7 + b * 12.9).sin();
    let corner = |c: u32, r: u32| (112.0 + f64::from(c) * FIELD, 28.0 + f64::from(r) * FIELD);
    let side = |from: (f64, f64), to: (f64, f64)| {
        // From the lesser end to the greater one, so that neighbours have the same numbers.
        let ordered = if from <= to { (from, to) } else { (to, from) };
        let ((ax, ay), (bx, by)) = ordered;
        let mut points: Vec<(f64, f64)> = (0..6)
            .map(|step| {
                let t = f64::from(step) / 6.0;
                let (x, y) = (ax + (bx - ax) * t, ay + (by - ay) * t);
                if step == 0 { (x, y) } else { (x + waver(y, x), y + waver(x, y)) }
            })
            .chain([(bx, by)])
            .collect();
        if from > to {
            points.reverse();
        }
        points.pop();
        points
    };
    let corners: Vec<(f64, f64)> = (0..=width)
        .map(|w| corner(col + w, row))
        .chain((0..=width).rev().map(|w| corner(col + w, row + 1)))
        .chain([corner(col, row)])
        .collect();
    let mut builder = FlatBuilder::new(FlatKind::Polygon);
    let ring = corners.windows(2).flat_map(|pair| side(pair[0], pair[1])).chain([corners[0]]);
    ring.for_each(|(x, y)| builder.push(Coord { x, y }));
    builder.end_ring();
    builder.finish()
}

fn feature(id: &str, version: i64, geometry: Option<FlatGeometry>) -> NewFeature {
    NewFeature {
        id: id.to_owned(),
        from: None,
        version,
        properties: format!("{{\"id\":\"{id}\",\"version\":{version}}}"),
        geometry,
        division: None,
        columns: vec![Some(format!("v{version}")); columns_of(layer()).len()],
    }
}

fn texts(snapshot: &Snapshot) -> BTreeMap<String, (String, i64, Vec<u8>)> {
    let all = ItemsQuery { limit: 10_000, ..ItemsQuery::default() };
    let selection = snapshot.select(&all, &Jurisdiction::Everywhere).expect("by memory");
    let told = selection.picked.into_iter().map(|picked| {
        let json = String::from_utf8(snapshot.json(picked, false).to_vec()).expect("UTF-8");
        (snapshot.id(picked).to_owned(), (json, snapshot.version(picked), snapshot.attributes(picked).to_vec()))
    });
    told.collect()
}

/// The boxes of all features that one of these shows otherwise than the other, as it shows them; in an order of their own.
fn boxes_that_differ(of: &Snapshot, from: &Snapshot) -> Vec<[u64; 4]> {
    let others = texts(from);
    let differing = texts(of).into_iter().filter(|(id, shown)| others.get(id) != Some(shown));
    let boxes = differing.filter_map(|(id, _)| of.shape_of(&id).and_then(FlatGeometry::bbox));
    boxes.map(|bbox| bbox.map(f64::to_bits)).collect()
}

fn field() -> impl Strategy<Value = Option<(u32, u32, u32)>> {
    prop_oneof![1 => Just(None), 9 => (0..12u32, 0..12u32, 1..3u32).prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn outlines_that_follow_are_those_that_are_made_anew(
        start in prop::collection::btree_map("[a-z]{2}", field(), 0..90),
        deeds in prop::collection::vec(prop::collection::btree_map("[a-c][a-z]", prop::option::of(field()), 1..4), 1..4),
    ) {
        let shape = |field: Option<(u32, u32, u32)>| field.map(|(col, row, width)| land(col, row, width));
        let mut builder = SnapshotBuilder::new(layer(), first_vertex);
        builder.add(start.into_iter().map(|(id, field)| feature(&id, 1, shape(field))).collect());
        let mut surveyed = builder.finish().expect("ids that differ");
        let mut outlines = surveyed.outlined(&RULE);
        for (round, deed) in (2..).zip(deeds) {
            let ids: Vec<String> = deed.keys().cloned().collect();
            let changes = deed.into_iter().map(|(id, now)| {
                let now = now.map(|field| feature(&id, round, shape(field)));
                (id, now)
            });
            let applied = surveyed.apply(changes.collect());
            let followed = applied.snapshot.outlined_after(&outlines, &ids, &applied.touched, &RULE);
            let anew = applied.snapshot.outlined(&RULE);
            prop_assert_eq!(texts(&followed.snapshot), texts(&anew));
            // Told are the boxes of what shows otherwise than before, where it was (all that a removed one has) and where it is; no others.
            let mut told: Vec<[u64; 4]> = followed.touched.iter().map(|bbox| bbox.map(f64::to_bits)).collect();
            let mut differing = [boxes_that_differ(&outlines, &anew), boxes_that_differ(&anew, &outlines)].concat();
            told.sort_unstable();
            differing.sort_unstable();
            prop_assert_eq!(told, differing);
            surveyed = applied.snapshot;
            outlines = followed.snapshot;
        }
    }
}

#[test]
fn an_outline_has_the_features_other_members_and_what_is_made_of_its_own_shape() {
    let mut builder = SnapshotBuilder::new(layer(), first_vertex);
    builder.add(vec![feature("a", 7, Some(land(0, 0, 1))), feature("b", 8, None)]);
    let surveyed = builder.finish().expect("ids that differ");
    let outlines = texts(&surveyed.outlined(&RULE));
    let (json, version, attributes) = &outlines["a"];
    let shape = generalise::generalise(&[&land(0, 0, 1)], &[0], &RULE).remove(0).expect("an outline");
    let expected = {
        let feature = feature("a", 7, Some(shape));
        batch::alone(layer(), first_vertex, Raw { feature, columns: Box::default(), id: Arc::from("a") })
    };
    assert_eq!(format!("{json},").as_bytes(), &expected.json[..]);
    assert_eq!((*version, attributes.as_slice()), (7, &expected.attributes[..]));
    assert_eq!(outlines["b"], texts(&surveyed)["b"]);
    // The layer is public: whose jurisdiction is nowhere is shown both, one to a page.
    let one_to_a_page = ItemsQuery { limit: 1, ..ItemsQuery::default() };
    let found = surveyed.outlined(&RULE).select(&one_to_a_page, &Jurisdiction::NOWHERE).expect("by memory");
    assert_eq!((found.matched, found.picked.len(), found.more), (2, 1, true));
}
