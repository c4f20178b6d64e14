//! Validity against hand-made cases, and against the JTS test suite's own verdicts where it is there.

use super::*;
use crate::test_data::jts;

fn multi(polygons: &[&[&[(f64, f64)]]]) -> MultiPolygon<f64> {
    let polygon = |rings: &&[&[(f64, f64)]]| {
        let mut lines = rings.iter().map(|r| LineString::from(r.to_vec()));
        Polygon::new(lines.next().expect("shell"), lines.collect())
    };
    MultiPolygon(polygons.iter().map(polygon).collect())
}

/// Codes with part, ring and vertex of each error.
fn faults(geometry: &MultiPolygon<f64>) -> Vec<(String, Option<u32>, Option<u32>, Option<u32>)> {
    check(geometry, Some(7))
        .into_iter()
        .filter(|f| f.severity == Severity::Error)
        .map(|f| {
            assert_eq!(f.place.row, Some(7));
            (f.code.to_string(), f.place.part, f.place.ring, f.place.vertex)
        })
        .collect()
}

const SHELL: &[(f64, f64)] = &[(0., 0.), (10., 0.), (10., 10.), (0., 10.), (0., 0.)];

#[test]
fn every_fault_is_named_with_its_place() {
    let fault = |code: &str, part, ring, vertex| (code.to_owned(), Some(part), Some(ring), Some(vertex));
    type Rings<'a> = &'a [&'a [&'a [(f64, f64)]]];
    let cases: &[(&str, Rings, Vec<(String, Option<u32>, Option<u32>, Option<u32>)>)] = &[
        ("square", &[&[SHELL]], vec![]),
        (
            "bow tie",
            &[&[&[(0., 0.), (2., 2.), (2., 0.), (0., 2.), (0., 0.)]]],
            vec![fault("ring_self_intersection", 1, 1, 1)],
        ),
        (
            "ring touches itself in a vertex",
            &[&[&[(0., 0.), (4., 0.), (2., 2.), (4., 4.), (0., 4.), (2., 2.), (0., 0.)]]],
            vec![fault("ring_self_touch", 1, 1, 2)],
        ),
        (
            "spike",
            &[&[&[(0., 0.), (4., 0.), (4., 4.), (4., 8.), (4., 4.), (0., 4.), (0., 0.)]]],
            vec![fault("ring_self_touch", 1, 1, 2), fault("spike", 1, 1, 3)],
        ),
        (
            "hole crosses shell",
            &[&[SHELL, &[(8., 4.), (12., 4.), (12., 6.), (8., 6.), (8., 4.)]]],
            vec![fault("rings_cross", 1, 1, 2), fault("rings_cross", 1, 1, 2)],
        ),
        (
            "hole outside",
            &[&[SHELL, &[(20., 4.), (22., 4.), (22., 6.), (20., 4.)]]],
            vec![fault("hole_outside_shell", 1, 2, 1)],
        ),
        ("hole touches shell once", &[&[SHELL, &[(0., 5.), (4., 4.), (4., 6.), (0., 5.)]]], vec![]),
        (
            "hole leaves a concave shell through a shared vertex",
            &[&[
                &[(0., 0.), (10., 0.), (5., 5.), (10., 10.), (0., 10.), (0., 0.)],
                &[(2., 5.), (5., 5.), (9., 5.), (5., 6.), (2., 5.)],
            ]],
            vec![fault("rings_cross", 1, 1, 3)],
        ),
        (
            "hole touches shell twice",
            &[&[SHELL, &[(0., 5.), (5., 4.), (10., 5.), (5., 6.), (0., 5.)]]],
            vec![("interior_disconnected".into(), Some(1), Some(2), None)],
        ),
        (
            "hole in hole",
            &[&[SHELL, &[(2., 2.), (8., 2.), (8., 8.), (2., 8.), (2., 2.)], &[(4., 4.), (6., 4.), (6., 6.), (4., 4.)]]],
            vec![fault("hole_in_hole", 1, 3, 1)],
        ),
        (
            "parts cross",
            &[&[SHELL], &[&[(5., 5.), (15., 5.), (15., 15.), (5., 15.), (5., 5.)]]],
            vec![fault("parts_overlap", 1, 1, 2), fault("parts_overlap", 1, 1, 3)],
        ),
        (
            "part in part",
            &[&[SHELL], &[&[(2., 2.), (4., 2.), (4., 4.), (2., 2.)]]],
            vec![fault("parts_overlap", 2, 1, 1)],
        ),
        (
            "part in the hole of another",
            &[
                &[SHELL, &[(2., 2.), (8., 2.), (8., 8.), (2., 8.), (2., 2.)]],
                &[&[(4., 4.), (6., 4.), (6., 6.), (4., 4.)]],
            ],
            vec![],
        ),
        (
            "parts share an edge",
            &[&[SHELL], &[&[(10., 0.), (20., 0.), (20., 10.), (10., 10.), (10., 0.)]]],
            vec![fault("parts_overlap", 1, 1, 2)],
        ),
        ("parts touch in a corner", &[&[SHELL], &[&[(10., 10.), (20., 10.), (20., 20.), (10., 10.)]]], vec![]),
        ("a line", &[&[&[(0., 0.), (4., 0.), (0., 0.)]]], vec![("ring_too_few_points".into(), Some(1), Some(1), None)]),
        (
            "not finite",
            &[&[&[(0., 0.), (f64::NAN, 0.), (4., 4.), (0., 0.)]]],
            vec![fault("coordinate_not_finite", 1, 1, 2)],
        ),
        (
            "infinite",
            &[&[&[(0., 0.), (f64::INFINITY, 0.), (4., 4.), (0., 0.)]]],
            vec![fault("coordinate_not_finite", 1, 1, 2)],
        ),
    ];
    for (name, rings, expected) in cases {
        assert_eq!(&faults(&multi(rings)), expected, "{name}");
    }
    assert_eq!(faults(&MultiPolygon(vec![])), [("geometry_empty".to_owned(), None, None, None)]);
}

#[test]
fn repeated_points_are_remarked_not_refused() {
    let geometry = multi(&[&[&[(0., 0.), (4., 0.), (4., 0.), (4., 4.), (0., 0.)]]]);
    let found = check(&geometry, None);
    assert!(is_valid(&geometry));
    assert_eq!((found[0].code.as_ref(), found[0].place.vertex), ("repeated_point", Some(3)));
}

#[test]
fn limits_are_named() {
    let many: Vec<(f64, f64)> = (0..=MAX_VERTICES as u32)
        .map(|i| f64::from(i) / f64::from(MAX_VERTICES as u32) * std::f64::consts::TAU)
        .map(|angle| (angle.cos(), angle.sin()))
        .chain([(1.0, 0.0)])
        .collect();
    assert_eq!(faults(&multi(&[&[&many]])), [("too_many_vertices".to_owned(), None, None, None)]);
}

#[test]
fn an_adversarial_star_ends_soon_with_few_findings() {
    let n = 20_001_u32;
    let mut points: Vec<(f64, f64)> = (0..n)
        .map(|i| f64::from(i * 10_000 % n) / f64::from(n) * std::f64::consts::TAU)
        .map(|angle| (angle.cos(), angle.sin()))
        .collect();
    points.push(points[0]);
    let found = check(&multi(&[&[&points]]), None);
    assert_eq!(found.len(), MAX_TOLD + 1);
    assert_eq!(found[MAX_TOLD].code, "more_geometry_faults");
}

/// A hole whose zigzag touches the zigzag of its shell in 40,000 places: each of them is asked for its side.
#[test]
fn rings_that_touch_everywhere_end_soon() {
    let n = 40_000_u32;
    let zigzag = |low: f64| (0..2 * n).map(move |i| (f64::from(i) / 2.0, low + f64::from(i % 2)));
    let width = f64::from(n) - 0.5;
    let shell: Vec<_> = zigzag(0.0).chain([(width, 9.0), (0.0, 9.0), (0.0, 0.0)]).collect();
    // Peaks of the shell at (i + ½, 1) are the valleys of the hole.
    let hole: Vec<_> = (1..2 * n - 2)
        .map(|i| (f64::from(i) / 2.0, if i % 2 == 1 { 1.0 } else { 2.0 }))
        .chain([(f64::from(2 * n - 3) / 2.0, 5.0), (0.5, 5.0), (0.5, 1.0)])
        .collect();
    let found = faults(&multi(&[&[&shell, &hole]]));
    assert_eq!(found[0].0, "interior_disconnected", "{:?}", &found[..1]);
}

#[test]
fn orientation_is_a_remark() {
    let clockwise = multi(&[&[&[(112., 28.), (112., 29.), (113., 29.), (113., 28.), (112., 28.)]]]);
    let found = check_orientation(&clockwise, Some(1));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].code.as_ref(), found[0].severity), ("ring_orientation", Severity::Info));
    let counter = multi(&[&[&[(112., 28.), (113., 28.), (113., 29.), (112., 29.), (112., 28.)]]]);
    assert!(check_orientation(&counter, None).is_empty());
}

#[test]
fn agrees_with_the_jts_validity_suite() {
    let (mut compared, mut wrong) = (0, Vec::new());
    for file in ["TestValid.xml", "TestValid2.xml"] {
        let Some(cases) = jts::cases(file) else { return };
        for case in cases {
            let verdict = case.tests.iter().find(|test| test.name == "isValid").map(|test| test.expected == "true");
            let Some((geometry, expected)) = case.a.zip(verdict).filter(|(geometry, _)| !geometry.0.is_empty()) else {
                continue;
            };
            compared += 1;
            if is_valid(&geometry) != expected {
                wrong.push(format!("{file}: {} expected {expected}", case.description));
            }
        }
    }
    assert_eq!(compared, 323, "67 and 256 cases with a verdict");
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
}
