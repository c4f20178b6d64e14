//! Classes and measures of pairs by hand, in metres around a place near Changsha; and the laws that hold for any pair.

use geo::{BooleanOps, Coord, LineString, MultiPolygon, Polygon};
use proptest::prelude::*;

use super::tests::star;
use super::*;
use crate::domain::overlap::{OverlapClass, Thresholds};
use crate::geometry::metres::Plane;
use crate::geometry::{area, validity};

fn plane() -> Plane {
    Plane::around(Coord { x: 112.9, y: 28.2 })
}

/// Rings in metres, the first of each polygon its shell.
fn shape(polygons: &[&[&[(f64, f64)]]]) -> MultiPolygon<f64> {
    let ring = |points: &&[(f64, f64)]| -> LineString<f64> {
        points.iter().chain(points.first()).map(|(x, y)| plane().from(Coord { x: *x, y: *y })).collect()
    };
    let polygon = |rings: &&[&[(f64, f64)]]| Polygon::new(ring(&rings[0]), rings[1..].iter().map(ring).collect());
    MultiPolygon(polygons.iter().map(polygon).collect())
}

fn rectangle(x: f64, y: f64, width: f64, height: f64) -> MultiPolygon<f64> {
    shape(&[&[&[(x, y), (x + width, y), (x + width, y + height), (x, y + height)]]])
}

fn met(a: &MultiPolygon<f64>, b: &MultiPolygon<f64>, thresholds: &Thresholds) -> Option<Encounter> {
    let (a, b) = (Shape::of_multi_polygon(a), Shape::of_multi_polygon(b));
    encounter(&a, &b, thresholds, true, &mut Work::of_one_pair()).expect("few steps")
}

/// What is expected: class, common m², width, shared edge, all in round metres.
type Expected = Option<(OverlapClass, f64, Option<f64>, f64)>;

#[test]
fn pairs_by_hand() {
    use OverlapClass::*;
    let a = rectangle(0.0, 0.0, 100.0, 100.0);
    let ring = shape(&[&[
        &[(0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0)],
        &[(40.0, 40.0), (60.0, 40.0), (60.0, 60.0), (40.0, 60.0)],
    ]]);
    let two = shape(&[
        &[&[(90.0, 10.0), (110.0, 10.0), (110.0, 20.0), (90.0, 20.0)]],
        &[&[(99.9, 50.0), (150.0, 50.0), (150.0, 60.0), (99.9, 60.0)]],
    ]);
    let cases: Vec<(&str, MultiPolygon<f64>, MultiPolygon<f64>, Expected)> = vec![
        ("far away", a.clone(), rectangle(300.0, 0.0, 10.0, 10.0), None),
        ("the same", a.clone(), a.clone(), Some((Identical, 10_000.0, None, 0.0))),
        ("a millimetre off", a.clone(), rectangle(0.001, 0.001, 100.0, 100.0), Some((Identical, 9_999.8, None, 0.0))),
        ("within", a.clone(), rectangle(10.0, 10.0, 50.0, 20.0), Some((Contains, 1_000.0, None, 0.0))),
        ("within, on the border", a.clone(), rectangle(0.0, 0.0, 50.0, 20.0), Some((Contains, 1_000.0, None, 0.0))),
        (
            "within but for a millimetre",
            a.clone(),
            rectangle(-0.001, 10.0, 50.0, 20.0),
            Some((Contains, 999.98, None, 0.0)),
        ),
        ("around", rectangle(10.0, 10.0, 50.0, 20.0), a.clone(), Some((Within, 1_000.0, None, 0.0))),
        ("a corner", a.clone(), rectangle(80.0, 90.0, 100.0, 100.0), Some((Overlap, 200.0, Some(10.0), 0.0))),
        ("a strip", a.clone(), rectangle(95.0, 0.0, 100.0, 100.0), Some((Overlap, 500.0, Some(5.0), 0.0))),
        ("a thin strip", a.clone(), rectangle(99.7, 0.0, 100.0, 100.0), Some((Sliver, 30.0, Some(0.3), 0.0))),
        (
            "a thin strip of a thin parcel",
            a.clone(),
            rectangle(99.7, 0.0, 1.0, 100.0),
            Some((Overlap, 30.0, Some(0.3), 0.0)),
        ),
        (
            "a wedge",
            a.clone(),
            shape(&[&[&[(100.0, 0.0), (200.0, 0.0), (200.0, 100.0), (99.6, 100.0)]]]),
            Some((Sliver, 20.0, Some(0.4), 0.0)),
        ),
        ("a thin strip and a corner", a.clone(), two, Some((Overlap, 101.0, Some(10.0), 0.0))),
        ("the hole's own land", ring.clone(), rectangle(40.0, 40.0, 20.0, 20.0), Some((SharedEdge, 0.0, None, 80.0))),
        ("over the hole", ring.clone(), rectangle(30.0, 30.0, 40.0, 40.0), Some((Overlap, 1_200.0, Some(14.1), 0.0))),
        ("in the hole", ring, rectangle(45.0, 45.0, 10.0, 10.0), None),
        ("beside", a.clone(), rectangle(100.0, 20.0, 50.0, 50.0), Some((SharedEdge, 0.0, None, 50.0))),
        ("at the corner", a.clone(), rectangle(100.0, 100.0, 50.0, 50.0), Some((Touch, 0.0, None, 0.0))),
        (
            "a vertex on the border",
            a.clone(),
            shape(&[&[&[(100.0, 50.0), (150.0, 20.0), (150.0, 80.0)]]]),
            Some((Touch, 0.0, None, 0.0)),
        ),
        ("a strip apart", a.clone(), rectangle(100.4, 0.0, 50.0, 100.0), Some((Gap, 0.0, Some(0.4), 0.0))),
        (
            "a wedge apart",
            a.clone(),
            shape(&[&[&[(100.0, 0.0), (200.0, 0.0), (200.0, 100.0), (100.8, 100.0)]]]),
            Some((Gap, 0.0, Some(0.8), 0.0)),
        ),
        ("a road between", a.clone(), rectangle(104.0, 0.0, 50.0, 100.0), None),
        (
            "borders that part at an angle",
            a.clone(),
            shape(&[&[&[(100.0, 0.0), (200.0, 0.0), (200.0, 100.0), (160.0, 100.0)]]]),
            Some((Touch, 0.0, None, 0.0)),
        ),
        (
            "shared below, apart above",
            a.clone(),
            shape(&[&[&[(100.0, 0.0), (200.0, 0.0), (200.0, 100.0), (100.3, 100.0), (100.3, 50.0), (100.0, 50.0)]]]),
            Some((Gap, 0.0, Some(0.3), 50.0)),
        ),
    ];
    let thresholds = Thresholds::default();
    for (name, left, right, expected) in &cases {
        for (left, right, turned) in [(left, right, false), (right, left, true)] {
            let found = met(left, right, &thresholds);
            let Some((class, area, width, shared)) = expected else {
                assert_eq!(found, None, "{name}");
                continue;
            };
            let found = found.unwrap_or_else(|| panic!("{name}: apart"));
            assert_eq!(found.class, if turned { class.turned() } else { *class }, "{name}, turned {turned}: {found:?}");
            // The plane is exact to a few parts in a million here.
            assert!((found.area_m2 - area).abs() <= 1e-3 + area * 3e-5, "{name}: {} m²", found.area_m2);
            assert!(
                (found.shared_edge_m - shared).abs() <= 1e-3 + shared * 1e-5,
                "{name}: {} m shared",
                found.shared_edge_m
            );
            match (found.width_m, width) {
                (None, None) => {}
                (Some(found), Some(expected)) => {
                    assert!(
                        found >= expected * 0.9999 && found <= expected * 1.011 + 1e-3,
                        "{name}: {found} m wide, turned {turned}"
                    );
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_gap_has_the_size_of_its_strip() {
    let a = rectangle(0.0, 0.0, 100.0, 100.0);
    let b = rectangle(100.4, 20.0, 50.0, 200.0);
    let gap = met(&a, &b, &Thresholds::default()).and_then(|found| found.gap).expect("a gap");
    for (found, expected) in [(gap.area_m2, 32.0), (gap.width_m, 0.4), (gap.length_m, 80.0)] {
        assert!((found / expected - 1.0).abs() < 1e-4, "{found} against {expected}");
    }
    let drawn = area::ellipsoidal(&gap.strips).value();
    assert!((drawn / 32.0 - 1.0).abs() < 1e-4, "{drawn}");
    assert!(met(&a, &b, &Thresholds::new(0.5, 0.01, 0.3).expect("in bounds")).is_none(), "wider than is looked for");
    // A third one that fills the strip leaves the two as far apart as they are: whoever knows of it looks (`Gap::strips`).
}

/// The other's side turns away at a corner within the view: that is no part of the gap, however far one looks.
#[test]
fn a_gap_is_as_wide_as_its_strip_however_far_one_looks() {
    let a = rectangle(0.0, 0.0, 100.0, 100.0);
    let b = shape(&[&[&[(100.01, 20.0), (180.0, -30.0), (180.0, 150.0), (100.01, 80.0)]]]);
    for looked in [0.1, 1.0, 5.0, 14.0] {
        let thresholds = Thresholds::new(0.5, 0.01, looked).expect("in bounds");
        let gap = met(&a, &b, &thresholds).and_then(|found| found.gap).unwrap_or_else(|| panic!("{looked}: none"));
        assert!((gap.width_m / 0.01 - 1.0).abs() < 1e-3, "{looked}: {} m wide", gap.width_m);
        assert!((gap.area_m2 / 0.6 - 1.0).abs() < 1e-3, "{looked}: {} m²", gap.area_m2);
        let drawn = met(&a, &b, &thresholds).and_then(|found| found.land).expect("drawn");
        assert!(
            validity::is_valid(&drawn) && (area::ellipsoidal(&drawn).value() / 0.6 - 1.0).abs() < 1e-2,
            "{drawn:?}"
        );
    }
}

#[test]
fn the_land_is_drawn_as_it_is_measured() {
    let a = shape(&[&[
        &[(0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0)],
        &[(20.0, 20.0), (40.0, 20.0), (40.0, 40.0), (20.0, 40.0)],
    ]]);
    // Over the border, over the hole's rim, and to the hole's corner.
    let b = shape(&[&[&[(-10.0, 10.0), (30.0, 10.0), (30.0, 30.0), (40.0, 40.0), (-10.0, 60.0)]]]);
    let found = met(&a, &b, &Thresholds::default()).expect("they overlap");
    let land = found.land.expect("drawn");
    assert!(validity::is_valid(&land), "{land:?}");
    assert!((area::ellipsoidal(&land).value() - found.area_m2).abs() < 1e-6);
    let judge = area::ellipsoidal(&a.intersection(&b)).value();
    assert!((found.area_m2 - judge).abs() < 0.01, "{} against {judge}", found.area_m2);
}

#[test]
fn work_ends_when_nobody_waits_for_it() {
    let stop = std::sync::atomic::AtomicBool::new(true);
    let (a, b) = (rectangle(0.0, 0.0, 100.0, 100.0), rectangle(50.0, 50.0, 100.0, 100.0));
    let (a, b) = (Shape::of_multi_polygon(&a), Shape::of_multi_polygon(&b));
    let mut work = Work::of_one_pair().until(&stop);
    assert_eq!(encounter(&a, &b, &Thresholds::default(), false, &mut work), Err(Stopped::Cancelled));
}

/// A polygon of whole steps of a centimetre, so that edges often lie along each other and vertices on edges.
fn blocky(steps: &[(u8, u8)], x: i32, y: i32) -> MultiPolygon<f64> {
    // A staircase up and back down: never crosses itself.
    let (mut points, mut at) = (vec![(0, 0)], (0_i32, 0_i32));
    for (east, north) in steps {
        at.1 += i32::from(*north % 4) + 1;
        points.push(at);
        at.0 += i32::from(*east % 4) + 1;
        points.push(at);
    }
    points.push((at.0, 0));
    let ring: LineString<f64> = points
        .iter()
        .chain(points.first())
        .map(|(px, py)| Coord { x: 112.0 + f64::from(px + x) * 1e-4, y: 28.0 + f64::from(py + y) * 1e-4 })
        .collect();
    MultiPolygon(vec![Polygon::new(ring, vec![])])
}

fn rotated(shape: &MultiPolygon<f64>, by: usize) -> MultiPolygon<f64> {
    let turn = |ring: &LineString<f64>| {
        let mut open = ring.0[..ring.0.len() - 1].to_vec();
        let by = by % open.len();
        open.rotate_left(by);
        open.reverse();
        open.push(open[0]);
        LineString(open)
    };
    MultiPolygon(
        shape.iter().map(|p| Polygon::new(turn(p.exterior()), p.interiors().iter().map(turn).collect())).collect(),
    )
}

/// The laws, of one pair.
fn laws(a: &MultiPolygon<f64>, b: &MultiPolygon<f64>, by: usize) -> Result<(), TestCaseError> {
    let thresholds = Thresholds::default();
    let Some(found) = met(a, b, &thresholds) else {
        prop_assert!(met(b, a, &thresholds).is_none(), "apart from one side only");
        return Ok(());
    };
    let turned = met(b, a, &thresholds).expect("they meet");
    prop_assert_eq!(turned.class, found.class.turned());
    prop_assert!((turned.area_m2 - found.area_m2).abs() < 1e-6);
    let again = met(&rotated(a, by), &rotated(b, by / 2), &thresholds).expect("they meet");
    prop_assert_eq!(again.class, found.class, "start and direction of rings");
    prop_assert!((again.area_m2 - found.area_m2).abs() < 1e-6);
    prop_assert!(found.share_of_a <= 1.0 && found.share_of_b <= 1.0 && found.area_m2.is_finite());
    if found.class != OverlapClass::Gap && found.area_m2 > 0.0 {
        let land = found.land.as_ref().expect("drawn");
        prop_assert!(
            (area::ellipsoidal(land).value() - found.area_m2).abs() <= 1e-6 + 1e-9 * found.area_m2,
            "drawn otherwise"
        );
        // Parts add up, but for what cutting an edge of a kilometre changes (`area::edge_area`).
        let rests = |one: &MultiPolygon<f64>, other: &MultiPolygon<f64>| {
            let (one, other) = (Shape::of_multi_polygon(one), Shape::of_multi_polygon(other));
            rest(&one, &other, &mut Work::of_one_pair()).expect("few steps").area_m2
        };
        let whole = area::ellipsoidal(a).value();
        prop_assert!(
            (found.area_m2 + rests(a, b) - whole).abs() <= 1e-4 + 1e-5 * whole,
            "{} and {} of {whole}",
            found.area_m2,
            rests(a, b)
        );
    }
    Ok(())
}

proptest! {
    #[test]
    fn laws_of_staircases(
        p in prop::collection::vec((0..9u8, 0..9u8), 1..12), q in prop::collection::vec((0..9u8, 0..9u8), 1..12),
        x in -20..20i32, y in -20..20i32, by in 0..20usize,
    ) {
        laws(&blocky(&p, 0, 0), &blocky(&q, x, y), by)?;
    }

    #[test]
    fn laws_of_stars(
        p in prop::collection::vec((0.002..0.01f64, -1.0..1.0f64), 5..40), q in prop::collection::vec((0.002..0.01f64, -1.0..1.0f64), 5..40),
        dx in -0.015..0.015f64, dy in -0.015..0.015f64, by in 0..20usize,
    ) {
        let (a, b) = (star(&p, 112.5, 28.0), star(&q, 112.5 + dx, 28.0 + dy));
        prop_assume!(validity::is_valid(&a) && validity::is_valid(&b));
        laws(&a, &b, by)?;
    }

    /// The survey formula knows longitudes by their differences only.
    #[test]
    fn moving_both_to_the_east_changes_nothing(
        p in prop::collection::vec((0..9u8, 0..9u8), 1..12), q in prop::collection::vec((0..9u8, 0..9u8), 1..12),
        x in -20..20i32, y in -20..20i32,
    ) {
        // Steps of a power of two, so that the sums are exact.
        let on_grid = |shape: MultiPolygon<f64>, shift: f64| {
            use geo::MapCoords;
            shape.map_coords(|c| Coord { x: (c.x * 16_384.0).round() / 16_384.0 + shift, y: (c.y * 16_384.0).round() / 16_384.0 })
        };
        let (a, b) = (blocky(&p, 0, 0), blocky(&q, x, y));
        let here = met(&on_grid(a.clone(), 0.0), &on_grid(b.clone(), 0.0), &Thresholds::default());
        let there = met(&on_grid(a, 3.0), &on_grid(b, 3.0), &Thresholds::default());
        prop_assert_eq!(here.as_ref().map(|e| e.class), there.as_ref().map(|e| e.class));
        if let (Some(here), Some(there)) = (here, there) {
            prop_assert!((here.area_m2 - there.area_m2).abs() < 1e-6, "{} and {}", here.area_m2, there.area_m2);
        }
    }

    #[test]
    fn a_shape_is_identical_with_itself(p in prop::collection::vec((0.002..0.01f64, -1.0..1.0f64), 5..40), by in 0..40usize) {
        let a = star(&p, 112.5, 28.0);
        prop_assume!(validity::is_valid(&a));
        let found = met(&a, &rotated(&a, by), &Thresholds::new(0.0, 0.0, 0.0).expect("in bounds")).expect("they meet");
        prop_assert_eq!(found.class, OverlapClass::Identical);
        let whole = area::ellipsoidal(&a).value();
        prop_assert!((found.area_m2 - whole).abs() < 1e-6 + 1e-12 * whole);
    }
}
