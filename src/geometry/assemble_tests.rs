//! Rings to polygons, by hand and against the plain way: every ring held against every other.

use proptest::prelude::*;

use super::*;

fn square(x: f64, y: f64, side: f64) -> LineString<f64> {
    vec![(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)].into()
}

#[test]
fn containment_decides_hole_or_part() {
    // Hole, second part, island in the hole, hole of the island: the outer shell is not even first.
    let rings = vec![
        square(112.2, 28.2, 0.6),
        square(112.0, 28.0, 1.0),
        square(114.0, 28.0, 0.1),
        square(112.4, 28.4, 0.2),
        square(112.45, 28.45, 0.05),
    ];
    let assembled = from_rings(rings.clone());
    assert_eq!(assembled.placement, [(1, 2), (1, 1), (2, 1), (3, 1), (3, 2)]);
    assert_eq!(assembled.geometry.0.len(), 3);
    assert_eq!(assembled.geometry.0[0].exterior(), &rings[1], "start and direction stay");
    assert_eq!(assembled.geometry.0[2].interiors(), [rings[4].clone()]);
    assert!(assembled.findings.is_empty());
}

#[test]
fn a_hole_that_touches_its_shell_is_still_a_hole() {
    let hole: LineString<f64> = vec![(112.0, 28.5), (112.5, 28.2), (112.5, 28.8), (112.0, 28.5)].into();
    let assembled = from_rings(vec![square(112.0, 28.0, 1.0), hole]);
    assert_eq!(assembled.placement, [(1, 1), (1, 2)]);
}

#[test]
fn the_same_ring_twice_is_named() {
    let mut turned = square(112.0, 28.0, 1.0);
    turned.0.reverse();
    let assembled = from_rings(vec![square(112.0, 28.0, 1.0), turned]);
    assert_eq!(assembled.findings[0].code, "duplicate_ring");
    assert_eq!(assembled.findings[0].place.ring, Some(2));
}

#[test]
fn no_rings_no_parts() {
    assert_eq!(from_rings(Vec::new()).geometry.0.len(), 0);
}

/// What [`from_rings`] is held against: no tree, a glance at every box.
fn held_against_all(rings: Vec<LineString<f64>>) -> Assembled {
    let areas: Vec<f64> = rings.iter().map(|ring| area::signed_ring_area(ring).abs()).collect();
    let boxes: Vec<[f64; 4]> = rings.iter().map(bounds).collect();
    let mut findings = Vec::new();
    let mut around: Vec<Vec<usize>> = vec![Vec::new(); rings.len()];
    let mut rays = Rays::default();
    for (i, ring) in rings.iter().enumerate() {
        for (j, other) in rings.iter().enumerate() {
            if i == j || !box_within(&boxes[i], &boxes[j]) {
                continue;
            }
            if areas[i] == areas[j] && same_ring(ring, other) {
                if i > j {
                    findings.push(Finding::error(
                        "duplicate_ring",
                        Place::whole().ring(u32::try_from(i + 1).unwrap_or(u32::MAX)),
                        format!("第 {} 环与第 {} 环完全相同", i + 1, j + 1),
                    ));
                    break;
                }
                continue;
            }
            if areas[j] > areas[i] && is_inside(&mut rays, ring, other) {
                around[i].push(j);
            }
        }
    }
    assert!(!rays.exhausted());
    drop(rays);
    place(rings, &areas, &around, findings)
}

fn assert_as_the_plain_way(rings: Vec<LineString<f64>>) {
    let (ours, plain) = (from_rings(rings.clone()), held_against_all(rings));
    // Written out: −0 is not 0, and what is no number is itself.
    assert_eq!(format!("{ours:?}"), format!("{plain:?}"));
}

/// A ring on a grid of whole steps, so that corners, edges and whole rings come together.
fn ring() -> impl Strategy<Value = LineString<f64>> {
    let at = || (0..24_u32).prop_map(|step| 112.0 + f64::from(step) / 64.0);
    let rectangle = (at(), at(), 1..20_u32, 1..20_u32).prop_map(|(x, y, width, height)| {
        let (x, y) = (x, y - 84.0);
        let (east, north) = (x + f64::from(width) / 64.0, y + f64::from(height) / 64.0);
        LineString::from(vec![(x, y), (east, y), (east, north), (x, north), (x, y)])
    });
    let triangle = prop::collection::vec((at(), at()), 3).prop_map(|corners| {
        let mut ring: Vec<(f64, f64)> = corners.into_iter().map(|(x, y)| (x, y - 84.0)).collect();
        ring.push(ring[0]);
        LineString::from(ring)
    });
    // Whatever a file holds: crossing itself, not closed, of one point, of none.
    let broken = prop::collection::vec((at(), at()), 0..6)
        .prop_map(|points| LineString::from(points.into_iter().map(|(x, y)| (x, y - 84.0)).collect::<Vec<_>>()));
    prop_oneof![6 => rectangle, 3 => triangle, 1 => broken]
}

/// Rings as they are, some again, turned, or shrunk into themselves.
fn rings(drawn: std::ops::Range<usize>) -> impl Strategy<Value = Vec<LineString<f64>>> {
    prop::collection::vec((ring(), 0..8_u8), drawn).prop_map(|drawn| {
        let mut rings = Vec::new();
        for (ring, kind) in drawn {
            rings.push(ring.clone());
            let Some(&first) = ring.0.first() else { continue };
            match kind {
                0 => rings.push(ring),
                1 => rings.push(LineString(ring.0.into_iter().rev().collect())),
                // Nested, touching at its first corner.
                2 => rings.push(LineString(ring.0.iter().map(|c| first + (*c - first) * 0.5).collect())),
                3 => rings
                    .insert(rings.len() / 2, LineString(ring.0.iter().map(|c| first + (*c - first) * 0.75).collect())),
                _ => {}
            }
        }
        rings
    })
}

/// Rings without a point, or not finite, are left out: the others go by the tree.
fn with_points(rings: Vec<LineString<f64>>) -> Vec<LineString<f64>> {
    rings.into_iter().filter(|ring| !ring.0.is_empty()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn few_rings_are_placed_as_the_plain_way_places_them(rings in rings(1..12)) {
        assert_as_the_plain_way(rings);
    }

    #[test]
    fn many_rings_are_placed_as_the_plain_way_places_them(rings in rings(200..320)) {
        let found = with_points(rings.clone());
        assert_as_the_plain_way(found);
        assert_as_the_plain_way(rings);
    }
}

#[test]
fn crowds_are_placed_as_the_plain_way_places_them() {
    let at = |i: u32, step: f64| f64::from(i) * step;
    // Side by side, as combs leave them; every third with a hole that touches it, every fifth with an island in the hole.
    let grid = (0..900_u32).flat_map(|i| {
        let (x, y) = (112.0 + at(i % 30, 0.01), 28.0 + at(i / 30, 0.01));
        let mut own = vec![square(x, y, 0.01)];
        own.extend((i % 3 == 0).then(|| square(x, y + 0.002, 0.006)));
        own.extend((i % 15 == 0).then(|| square(x + 0.001, y + 0.003, 0.002)));
        own
    });
    let mut grid: Vec<_> = grid.collect();
    assert_as_the_plain_way(grid.clone());
    // All of them holes of one, which comes last.
    grid.push(square(111.0, 27.0, 3.0));
    assert_as_the_plain_way(grid);
    // One in another, deeper than a tree is asked; then backwards.
    let mut nested: Vec<_> =
        (0..400).map(|i| square(112.0 + at(i, 0.001), 28.0 + at(i, 0.001), 1.0 - at(i, 0.002))).collect();
    assert_as_the_plain_way(nested.clone());
    nested.reverse();
    assert_as_the_plain_way(nested);
    // The same again and again.
    assert_as_the_plain_way(vec![square(112.0, 28.0, 1.0); FEW + 9]);
    // Whatever is no number.
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(|odd| {
        let mut ring = square(112.2, 28.2, 0.1);
        ring.0[1].x = odd;
        ring
    });
    let mut rings: Vec<_> = (0..300).map(|i| square(112.0 + at(i, 0.01), 28.0, 0.02)).collect();
    rings.extend(odd);
    assert_as_the_plain_way(rings);
}
