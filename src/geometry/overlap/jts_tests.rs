//! Overlap against the JTS suite: its overlays by area, its relations by class.

use geo::{Coord, MapCoords, MultiPolygon};

use super::*;
use crate::domain::overlap::{OverlapClass, Thresholds};
use crate::geometry::{area, validity};
use crate::test_data::jts;

/// The suite's plane units as a metre or so near Changsha.
fn placed(shape: &MultiPolygon<f64>) -> MultiPolygon<f64> {
    shape.map_coords(|c| Coord { x: 112.9 + c.x * 1e-5, y: 28.2 + c.y * 1e-5 })
}

fn area_of(shape: &MultiPolygon<f64>) -> f64 {
    area::ellipsoidal(shape).value()
}

/// The areas of an answer, which may be a collection with lines and points.
fn areas(wkt: &str) -> MultiPolygon<f64> {
    let Some(inner) = wkt.trim().strip_prefix("GEOMETRYCOLLECTION") else {
        return jts::parse_wkt(wkt).unwrap_or_else(|| MultiPolygon(Vec::new()));
    };
    let polygons = inner.split("POLYGON").skip(1).filter_map(|rest| {
        let end = rest.find("))")? + 2;
        jts::parse_wkt(&format!("POLYGON{}", &rest[..end]))
    });
    MultiPolygon(polygons.flat_map(|p| p.0).collect())
}

/// No slivers, no gaps: the suite knows neither.
fn exact() -> Thresholds {
    Thresholds::new(0.0, 0.0, 0.0).expect("in bounds")
}

#[test]
fn overlays_of_the_jts_suite() {
    let Some(cases) = jts::cases("TestOverlayAA.xml") else { return };
    let (mut compared, mut wrong) = (0, Vec::new());
    for case in cases {
        let (Some(a), Some(b)) = (case.a.map(|a| placed(&a)), case.b.map(|b| placed(&b))) else { continue };
        assert!(validity::is_valid(&a) && validity::is_valid(&b), "{}", case.description);
        let (left, right) = (Shape::of_multi_polygon(&a), Shape::of_multi_polygon(&b));
        let work = || Work::of_one_pair();
        let found = encounter(&left, &right, &exact(), true, &mut work()).expect("few steps");
        let common = found.as_ref().map_or(0.0, |found| found.area_m2);
        if let Some(land) = found.and_then(|found| found.land) {
            assert!(validity::is_valid(&land), "{}: {land:?}", case.description);
            assert!((area_of(&land) - common).abs() < 1e-3, "{}: drawn otherwise", case.description);
        }
        let only_a = rest(&left, &right, &mut work()).expect("few steps");
        let only_b = rest(&right, &left, &mut work()).expect("few steps");
        for land in [&only_a.land, &only_b.land] {
            assert!(validity::is_valid(land) || land.0.is_empty(), "{}: {land:?}", case.description);
        }
        for test in case.tests {
            let ours = match test.name.as_str() {
                "intersection" => common,
                "difference" => only_a.area_m2,
                "symdifference" => only_a.area_m2 + only_b.area_m2,
                "union" => area_of(&a) + area_of(&b) - common,
                other => panic!("{other}"),
            };
            compared += 1;
            let expected = area_of(&placed(&areas(&test.expected)));
            // Answers of the suite are rounded to its units' tenths and less.
            if (ours - expected).abs() > 0.01 + 1e-5 * expected {
                wrong.push(format!("{} {}: {ours} against {expected}", case.description, test.name));
            }
        }
    }
    assert_eq!(compared, 44, "10 differences, 11 intersections, 13 symmetric differences, 10 unions");
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
}

/// What a pattern of the nine intersections (DE-9IM) says of a pair of areas.
fn class_of(pattern: &str) -> Option<OverlapClass> {
    let at = |place: usize| pattern.as_bytes()[place];
    let (interiors, a_outside_b, borders, b_outside_a) = (at(0), at(2), at(4), at(6));
    match (interiors, a_outside_b, b_outside_a, borders) {
        (b'2', b'F', b'F', _) => Some(OverlapClass::Identical),
        (b'2', _, b'F', _) => Some(OverlapClass::Contains),
        (b'2', b'F', _, _) => Some(OverlapClass::Within),
        (b'2', ..) => Some(OverlapClass::Overlap),
        (_, _, _, b'1') => Some(OverlapClass::SharedEdge),
        (_, _, _, b'0') => Some(OverlapClass::Touch),
        _ => None,
    }
}

#[test]
fn relations_of_the_jts_suite() {
    let Some(cases) = jts::cases("TestRelateAA.xml") else { return };
    let mut compared = 0;
    for case in cases {
        let (Some(a), Some(b)) = (case.a.map(|a| placed(&a)), case.b.map(|b| placed(&b))) else { continue };
        let Some(test) = case.tests.iter().find(|test| test.name == "relate") else { continue };
        assert_eq!(test.expected, "true");
        let (a, b) = (Shape::of_multi_polygon(&a), Shape::of_multi_polygon(&b));
        let found = encounter(&a, &b, &exact(), false, &mut Work::of_one_pair()).expect("few steps");
        assert_eq!(found.map(|found| found.class), class_of(&test.pattern), "{}: {}", case.description, test.pattern);
        compared += 1;
    }
    assert_eq!(compared, 14);
}
