//! One drawn shape or a few: what becomes of them, vertex by vertex.

use geo::{Area, BooleanOps, MultiPolygon, wkt};

use super::*;

#[test]
fn a_vertex_in_the_middle_of_a_neighbours_side_becomes_the_neighbours_too() {
    // The southern shape has one long side, on which the two northern ones meet, a hair above it.
    let south = polygon(&[(1.0, 1.0), (1.01, 1.0007), (1.01, 0.99), (1.0, 0.99), (1.0, 1.0)]);
    let tee = (1.005, 1.00035 + 1e-12);
    let west = polygon(&[(1.0, 1.0), tee, (1.005, 1.01), (1.0, 1.01), (1.0, 1.0)]);
    let east = polygon(&[tee, (1.01, 1.0007), (1.01, 1.01), (1.005, 1.01), tee]);
    let outlines = all(&[south, west, east], &RULE);
    let sides = sides(&outlines);
    assert_plane(&sides);
    assert_one_outer_ring(&sides);
    let at = [10_050, 10_003];
    let has = |at: Cell| sides.keys().any(|(a, b)| *a == at || *b == at);
    assert!(has(at) || has([at[0], at[1] + 1]), "the meeting place stays");
}

#[test]
fn a_chord_that_would_cut_an_island_off_is_not_taken() {
    // A bay 5 m deep around an islet: within 30 m the shore would be straight, and the islet on land.
    let shore = polygon(&[
        (1.0, 1.0),
        (1.002, 1.0),
        (1.0021, 0.9998),
        (1.0023, 0.9998),
        (1.0024, 1.0),
        (1.005, 1.0),
        (1.005, 0.99),
        (1.0, 0.99),
        (1.0, 1.0),
    ]);
    let islet = polygon(&[(1.0021, 0.9999), (1.0022, 1.0), (1.0023, 0.9999), (1.0021, 0.9999)]);
    let rule = Generalisation { tolerance_m: 30.0, decimals: 4 };
    let alone = all(std::slice::from_ref(&shore), &rule);
    assert_eq!(vertices(&alone[0]).len(), 5, "alone the shore is straight");
    let both = all(&[shore, islet], &rule);
    let common = both[0].to_multi_polygon().intersection(&both[1].to_multi_polygon());
    assert_eq!(common.unsigned_area(), 0.0);
    assert_eq!(vertices(&both[1]), [(1.0021, 0.9999), (1.0023, 0.9999), (1.0022, 1.0), (1.0021, 0.9999)]);
}

#[test]
fn two_shapes_between_the_same_corners_stay_two() {
    // A lens of two, thinner than the tolerance: both have the same two nodes, and neither becomes their chord.
    let upper = polygon(&[(1.0, 1.0), (1.01, 1.0), (1.005, 1.0006), (1.0, 1.0)]);
    let lower = polygon(&[(1.0, 1.0), (1.005, 0.9994), (1.01, 1.0), (1.0, 1.0)]);
    let outlines = all(&[upper, lower], &Generalisation { tolerance_m: 1_000.0, decimals: 4 });
    assert_eq!(vertices(&outlines[0]), [(1.0, 1.0), (1.01, 1.0), (1.005, 1.0006), (1.0, 1.0)]);
    assert_eq!(vertices(&outlines[1]), [(1.0, 1.0), (1.005, 0.9994), (1.01, 1.0), (1.0, 1.0)]);
}

#[test]
fn a_shape_lost_on_the_grid_is_one_cell_and_lost_parts_and_holes_are_dropped() {
    let small = polygon(&[(1.00001, 1.00002), (1.00003, 1.00002), (1.00002, 1.00004), (1.00001, 1.00002)]);
    let square = vec![(1.0, 1.0), (1.0001, 1.0), (1.0001, 1.0001), (1.0, 1.0001), (1.0, 1.0)];
    let outlines = all(std::slice::from_ref(&small), &RULE);
    assert_eq!((outlines[0].kind(), vertices(&outlines[0])), (FlatKind::Polygon, square));
    let large = [(1.0, 1.0), (1.01, 1.0), (1.01, 1.01), (1.0, 1.01), (1.0, 1.0)];
    let speck = [(1.00501, 1.00502), (1.00503, 1.00502), (1.00502, 1.00504), (1.00501, 1.00502)];
    let apart = [(2.00501, 1.00502), (2.00503, 1.00502), (2.00502, 1.00504), (2.00501, 1.00502)];
    let outlines = all(&[flat(&[&[&coords(&large), &coords(&speck)], &[&coords(&apart)]])], &RULE);
    assert_eq!((outlines[0].kind(), vertices(&outlines[0])), (FlatKind::MultiPolygon, large.to_vec()));
}

#[test]
fn parts_that_the_grid_joins_are_one_and_a_neck_that_it_closes_parts_two() {
    let [left, right] = [0.0, 0.00502]
        .map(|x| coords(&[(1.0 + x, 1.0), (1.005 + x, 1.0), (1.005 + x, 1.005), (1.0 + x, 1.005), (1.0 + x, 1.0)]));
    let joined = all(&[flat(&[&[&left], &[&right]])], &RULE);
    assert_eq!(vertices(&joined[0]), [(1.0, 1.0), (1.01, 1.0), (1.01, 1.005), (1.0, 1.005), (1.0, 1.0)]);
    let hourglass =
        polygon(&[(1.0, 1.0), (1.01, 1.0), (1.00502, 1.005), (1.01, 1.01), (1.0, 1.01), (1.00498, 1.005), (1.0, 1.0)]);
    let parted = all(&[hourglass], &RULE);
    assert_valid(&parted);
    assert_eq!((parted[0].kind(), parted[0].parts().count()), (FlatKind::MultiPolygon, 2));
}

#[test]
fn a_hole_stays_in_its_own_part() {
    // Parts and holes nested four deep and side by side, so that each hole has several rings around it.
    let shape: MultiPolygon<f64> = wkt!(MULTIPOLYGON(
        ((0. 0.,8. 0.,8. 8.,0. 8.,0. 0.),(1. 1.,1. 7.,7. 7.,7. 1.,1. 1.)),
        ((2. 2.,6. 2.,6. 6.,2. 6.,2. 2.),(3. 3.,3. 5.,5. 5.,5. 3.,3. 3.)),
        ((9. 0.,12. 0.,12. 3.,9. 3.,9. 0.),(10. 1.,10. 2.,11. 2.,11. 1.,10. 1.)),
        ((9. 4.,12. 4.,12. 7.,9. 7.,9. 4.),(10. 5.,10. 6.,11. 6.,11. 5.,10. 5.))
    ));
    let outline = all(&[FlatGeometry::from(&shape)], &RULE).remove(0);
    assert_eq!(outline.to_multi_polygon(), shape, "as it was: all of it is on the grid");
}

#[test]
fn points_and_lines_are_rounded_and_members_go_one_by_one() {
    let made = |kind: FlatKind, lines: &[&[(f64, f64)]]| {
        let mut builder = FlatBuilder::new(kind);
        for line in lines {
            coords(line).into_iter().for_each(|c| builder.push(c));
            builder.end_ring();
        }
        builder.finish()
    };
    let point = made(FlatKind::Point, &[&[(1.00004, -1.00006)]]);
    let points = made(FlatKind::MultiPoint, &[&[(1.00004, 1.0), (1.00001, 1.00002), (2.0, 2.0)]]);
    let line = made(FlatKind::LineString, &[&[(1.0, 1.0), (1.002, 1.00003), (1.004, 1.0), (1.004, 1.00301)]]);
    let dot = made(FlatKind::LineString, &[&[(1.00003, 1.00003), (1.00004, 1.00004)]]);
    let lines = made(FlatKind::MultiLineString, &[&[(1.0, 1.0), (1.00001, 1.0)], &[(3.0, 3.0), (4.0, 4.0)]]);
    let round = made(FlatKind::LineString, &[&[(1.0, 1.0), (1.0001, 1.0), (1.0001, 1.0001), (1.0, 1.0)]]);
    let area = polygon(&[(1.0, 1.0), (1.01, 1.0), (1.01, 1.01), (1.0, 1.0)]);
    let together = FlatGeometry::collection(vec![point.clone(), area.clone(), line.clone()]);
    let outlines = all(&[point, points, line, dot, lines, round, together.clone(), area.clone()], &RULE);
    assert_eq!(vertices(&outlines[0]), [(1.0, -1.0001)]);
    assert_eq!(vertices(&outlines[1]), [(1.0, 1.0), (2.0, 2.0)]);
    assert_eq!(vertices(&outlines[2]), [(1.0, 1.0), (1.004, 1.0), (1.004, 1.003)]);
    assert_eq!(vertices(&outlines[3]), [(1.0, 1.0), (1.0001, 1.0)]);
    assert_eq!(vertices(&outlines[4]), [(3.0, 3.0), (4.0, 4.0)]);
    assert_eq!(vertices(&outlines[5]).len(), 3, "there and back, not a point");
    assert_eq!(outlines[6].members(), [outlines[0].clone(), area.clone(), outlines[2].clone()]);
    assert_eq!(outlines[7], area);
}

#[test]
fn what_is_no_place_has_no_outline() {
    let nan = polygon(&[(1.0, 1.0), (f64::NAN, 1.0), (1.0, 2.0), (1.0, 1.0)]);
    let far = polygon(&[(1.0, 1.0), (1e300, 1.0), (1.0, 2.0), (1.0, 1.0)]);
    let empty = FlatGeometry::from(&MultiPolygon::<f64>(vec![]));
    let good = polygon(&[(1.0, 1.0), (1.01, 1.0), (1.01, 1.01), (1.0, 1.0)]);
    let mixed = FlatGeometry::collection(vec![nan.clone(), good.clone()]);
    let none = FlatGeometry::collection(vec![nan.clone(), FlatGeometry::collection(vec![])]);
    let shapes = [&nan, &good, &far, &empty, &mixed, &none];
    let outlines = generalise(&shapes, &[5, 4, 3, 2, 1, 0, 6], &RULE);
    let left = FlatGeometry::collection(vec![good.clone()]);
    assert_eq!(outlines, [None, Some(left), None, None, Some(good), None, None]);
    assert_eq!(generalise(&[], &[], &RULE), []);
    let odd = Generalisation { tolerance_m: f64::NAN, decimals: 255 };
    assert_eq!(all(&[polygon(&[(1.0, 1.0), (2.0, 1.0), (2.0, 2.0), (1.0, 1.0)])], &odd)[0].coords().len(), 4);
}
