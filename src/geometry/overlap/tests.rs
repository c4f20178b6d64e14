//! Overlap against hand-computed values and against the overlay of `geo` (another algorithm).

use geo::{BooleanOps, LineString, MultiPolygon, Polygon};
use proptest::prelude::*;

use super::work::MOST_STEPS;
use super::*;
use crate::domain::overlap::Thresholds;
use crate::geometry::{area, validity};

fn rectangle(x: f64, y: f64, width: f64, height: f64) -> MultiPolygon<f64> {
    let ring: LineString<f64> = vec![(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)].into();
    MultiPolygon(vec![Polygon::new(ring, vec![])])
}

fn area_of(shape: &MultiPolygon<f64>) -> f64 {
    area::ellipsoidal(shape).value()
}

fn close(ours: f64, expected: f64) {
    assert!((ours - expected).abs() <= 1e-4_f64.max(expected * 1e-9), "{ours} against {expected}");
}

#[test]
fn rectangles_in_every_position() {
    let a = rectangle(112.0, 28.0, 0.25, 0.25);
    let cases: [(&str, MultiPolygon<f64>, Option<MultiPolygon<f64>>); 8] = [
        ("corner overlap", rectangle(112.125, 28.125, 0.25, 0.25), Some(rectangle(112.125, 28.125, 0.125, 0.125))),
        ("inside", rectangle(112.0625, 28.0625, 0.125, 0.125), Some(rectangle(112.0625, 28.0625, 0.125, 0.125))),
        ("identical", a.clone(), Some(a.clone())),
        (
            "inside, sharing an edge",
            rectangle(112.0, 28.0625, 0.125, 0.125),
            Some(rectangle(112.0, 28.0625, 0.125, 0.125)),
        ),
        ("through", rectangle(111.875, 28.0625, 0.5, 0.125), Some(rectangle(112.0, 28.0625, 0.25, 0.125))),
        ("shared edge outside", rectangle(112.25, 28.0, 0.25, 0.25), None),
        ("corner to corner", rectangle(112.25, 28.25, 0.25, 0.25), None),
        ("partly shared edge outside", rectangle(112.25, 28.125, 0.25, 0.25), None),
    ];
    for (name, b, common) in cases {
        for (left, right) in [(&a, &b), (&b, &a)] {
            let related = search::relate(
                &Shape::of_multi_polygon(left),
                &Shape::of_multi_polygon(right),
                &mut Work::of_one_pair(),
            );
            match (related.unwrap_or_else(|_| panic!("{name}: given up")), &common) {
                (Some(Relation::Overlap { area }), Some(common)) => close(area.value(), area_of(common)),
                (Some(Relation::Touch), None) => {}
                other => panic!("{name}: {other:?}"),
            }
        }
    }
    assert_eq!(pairs(&[&a, &rectangle(113.0, 28.0, 0.1, 0.1)], 1).list, [], "far apart");
}

#[test]
fn a_hole_is_not_land() {
    let mut ring = rectangle(112.0, 28.0, 0.5, 0.5);
    ring.0[0].interiors_push(rectangle(112.125, 28.125, 0.25, 0.25).0[0].exterior().clone());
    let exactly_the_hole = rectangle(112.125, 28.125, 0.25, 0.25);
    let in_the_hole = rectangle(112.1875, 28.1875, 0.125, 0.125);
    let over_the_rim = rectangle(112.0625, 28.1875, 0.125, 0.125);
    assert_eq!(common_area(&ring, &exactly_the_hole), SquareMetres::ZERO);
    assert_eq!(pairs(&[&ring, &exactly_the_hole], 1).list[0].relation, Relation::Touch);
    assert_eq!(pairs(&[&ring, &in_the_hole], 1).list, []);
    close(common_area(&ring, &over_the_rim).value(), area_of(&rectangle(112.0625, 28.1875, 0.0625, 0.125)));
    close(common_area(&ring, &ring.clone()).value(), area_of(&ring));
}

#[test]
fn ring_direction_does_not_matter() {
    let a = rectangle(112.0, 28.0, 0.25, 0.25);
    let mut b = rectangle(112.125, 28.125, 0.25, 0.25);
    let expected = common_area(&a, &b);
    b.0[0].exterior_mut(|ring| ring.0.reverse());
    close(common_area(&a, &b).value(), expected.value());
    close(common_area(&b, &a).value(), expected.value());
}

pub(super) fn star(seed: &[(f64, f64)], x: f64, y: f64) -> MultiPolygon<f64> {
    let n = seed.len() as f64;
    let mut ring: Vec<(f64, f64)> = seed
        .iter()
        .enumerate()
        .map(|(i, (r, wobble))| {
            let angle = (i as f64 + 0.4 * wobble) / n * std::f64::consts::TAU;
            (x + r * angle.cos(), y + r * angle.sin())
        })
        .collect();
    ring.push(ring[0]);
    MultiPolygon(vec![Polygon::new(ring.into(), vec![])])
}

proptest! {
    #[test]
    fn agrees_with_the_overlay_of_geo(
        p in prop::collection::vec((0.002..0.01f64, -1.0..1.0f64), 5..40),
        q in prop::collection::vec((0.002..0.01f64, -1.0..1.0f64), 5..40),
        dx in -0.015..0.015f64, dy in -0.015..0.015f64,
    ) {
        let (a, b) = (star(&p, 112.5, 28.0), star(&q, 112.5 + dx, 28.0 + dy));
        prop_assume!(validity::is_valid(&a) && validity::is_valid(&b));
        let ours = common_area(&a, &b).value();
        prop_assert!((ours - common_area(&b, &a).value()).abs() < 1e-4);
        prop_assert!(ours <= area_of(&a).min(area_of(&b)) + 1e-3);
        // geo overlays on an integer grid: its step here is about 1 µm times the perimeter.
        let judge = area_of(&a.intersection(&b));
        prop_assert!((ours - judge).abs() <= 0.02, "{} against {}", ours, judge);
    }
}

/// Two blocks along one road: their long sides lie on one line up to rounding, at every angle.
#[test]
fn shapes_along_one_line_overlap_by_their_common_land() {
    for k in 0..500_u32 {
        let turn = f64::from(k) * 2.399_963; // the golden angle: all directions
        let (sin, cos) = turn.sin_cos();
        let (length, width) = (0.003, 0.002);
        let shift = length * (0.05 + 0.9 * f64::from(k % 97) / 97.0);
        let at = |along: f64, across: f64| {
            (112.0 + along * cos - across * sin, 28.0 + f64::from(k % 7) * 0.1 + along * sin + across * cos)
        };
        let between = |from: f64, to: f64, width: f64| {
            let ring: LineString<f64> =
                vec![at(from, 0.0), at(to, 0.0), at(to, width), at(from, width), at(from, 0.0)].into();
            MultiPolygon(vec![Polygon::new(ring, vec![])])
        };
        let wide = if k % 2 == 0 { width } else { width * 1.3 };
        let (a, b) = (between(0.0, length, width), between(shift, shift + length, wide));
        let expected = area_of(&between(shift, length, width));
        for found in [common_area(&a, &b).value(), common_area(&b, &a).value()] {
            // An overlay in the stead of the integral snaps to about a micrometre along half a kilometre.
            assert!((found / expected - 1.0).abs() < 1e-6, "{k}: {found} against {expected}");
        }
        let beside = between(length, 2.0 * length, wide);
        assert_eq!(common_area(&a, &beside).value(), 0.0, "{k}: neighbours along the road");
    }
}

/// One parcel under two numbers, once through another program: every coordinate differs in its last digits.
#[test]
fn a_shape_and_its_rounded_twin_overlap_wholly() {
    for k in 0..300_u32 {
        let points = 3 + k % 9;
        let at = |i: u32| {
            let turn = f64::from(i) / f64::from(points) * std::f64::consts::TAU + f64::from(k);
            let radius = 0.002 + 0.0007 * (f64::from(i * 7 + k)).sin();
            (112.0 + radius * turn.cos(), 28.0 + radius * turn.sin())
        };
        let ring = |shift: f64| -> MultiPolygon<f64> {
            let noise = |i: u32| shift * (f64::from(i * i + k) * 1.7).sin();
            let ring: LineString<f64> =
                (0..=points).map(|i| i % points).map(|i| (at(i).0 + noise(i), at(i).1 + noise(i + 50))).collect();
            MultiPolygon(vec![Polygon::new(ring, vec![])])
        };
        let twin = ring(1e-13);
        let found = common_area(&ring(0.0), &twin).value();
        // Its edges are cut where the twins cross, and the formula gives a cut edge a little more or less (`area::edge_area`).
        assert!((found / area_of(&twin) - 1.0).abs() < 3e-6, "{k}: {found} against {}", area_of(&twin));
    }
}

/// Real parcels, read in place; the numbers of ORIGIN.md were made with GEOS.
#[test]
fn french_cadastre_neighbours() {
    let Some(bytes) = crate::test_data::real("cadastre/fr_cadastre_91216_parcelles.geojson") else { return };
    let text = String::from_utf8(bytes).expect("UTF-8");
    let collection: geojson::FeatureCollection = text.parse().expect("GeoJSON");
    let shapes: Vec<MultiPolygon<f64>> = collection
        .features
        .into_iter()
        .map(|f| {
            let geometry: geo::Geometry<f64> = f.geometry.expect("geometry").try_into().expect("geo");
            match geometry {
                geo::Geometry::Polygon(p) => MultiPolygon(vec![p]),
                geo::Geometry::MultiPolygon(m) => m,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    assert_eq!(shapes.len(), 4241);
    assert!(shapes.iter().all(validity::is_valid), "ORIGIN.md: all valid");
    let found = pairs(&shapes.iter().collect::<Vec<_>>(), 1_000);
    assert!(found.complete);
    let found = found.list;
    let over = |limit: f64| {
        found.iter().filter(|p| matches!(p.relation, Relation::Overlap { area } if area.value() > limit)).count()
    };
    let touching = found.iter().filter(|p| p.relation.beyond_contact().is_none()).count();
    // 8,465 pairs by GEOS, as `real_cadastres` holds.
    assert_eq!((found.len(), found.len() - touching), (8_465, over(CONTACT_M2)));
    assert_eq!(over(0.01), 2, "ORIGIN.md: 2 overlap by more than 0.01 m²");
    assert_eq!(over(1.0), 0, "ORIGIN.md: none by more than 1 m²");
}

/// A comb of `teeth`, its spine along the south; `across` turns it, its spine along the west.
fn comb(teeth: u32, across: bool) -> MultiPolygon<f64> {
    let (width, spine) = (0.05, 0.0025);
    let step = width / f64::from(teeth);
    let mut ring: Vec<(f64, f64)> = vec![(0.0, 0.0)];
    for tooth in 0..teeth {
        let at = f64::from(tooth) * step;
        ring.extend([(at, spine), (at, width), (at + step / 2.0, width), (at + step / 2.0, spine)]);
    }
    ring.extend([(width, spine), (width, 0.0), (0.0, 0.0)]);
    let turned = |(x, y)| if across { (112.0 + y, 28.0 + x) } else { (112.0 + x, 28.0 + y) };
    MultiPolygon(vec![geo::Polygon::new(ring.into_iter().map(turned).collect(), vec![])])
}

#[test]
fn combs_across_each_other_are_measured_or_given_up_soon() {
    let measured = |teeth| {
        let (a, b) = (comb(teeth, false), comb(teeth, true));
        pairs(&[&a, &b], 10)
    };
    let few = measured(20);
    assert_eq!((few.list.len(), few.complete, few.too_complex.len()), (1, true, 0));
    let expected = area_of(&comb(20, false).intersection(&comb(20, true)));
    assert!(matches!(few.list[0].relation, Relation::Overlap { area } if (area.value() / expected - 1.0).abs() < 1e-6));
    // Each within its limits, with four million meetings: given up as soon as the work is used up. (A hundredth of it here, unoptimised
    // builds are slow.)
    let (a, b) = (comb(1_000, false), comb(1_000, true));
    let mut work = Work::of(MOST_STEPS / 100);
    assert!(search::relate(&Shape::of_multi_polygon(&a), &Shape::of_multi_polygon(&b), &mut work).is_err());
}

#[test]
fn how_wide_the_land_of_combs_is_takes_too_long_from_some_number_of_teeth() {
    let width = |teeth| {
        let (a, b) = (comb(teeth, false), comb(teeth, true));
        let (a, b) = (Shape::of_multi_polygon(&a), Shape::of_multi_polygon(&b));
        let met = encounter(&a, &b, &Thresholds::default(), false, &mut Work::of_one_pair()).expect("few steps");
        met.expect("common land").width_m
    };
    // As it was when every distance was reckoned: most of the corner that both spines share, 245 by 277 m.
    let few = width(40).expect("a width");
    assert!((few - 256.5716).abs() < 1e-3, "{few}");
    assert_eq!(width(50), None);
}
