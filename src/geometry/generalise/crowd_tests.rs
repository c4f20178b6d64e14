//! Shapes of which a look at everything would cost the square of their size.

use geo::Area;

use super::*;

#[test]
fn crowds_and_bundles_leave_few_cells_and_sides_to_work_on() {
    let many = 100_000;
    let crowd: Vec<(f64, f64)> = (0..many)
        .map(|i| f64::from(i) * 0.001)
        .map(|t| (1.0 + 2e-5 * t.cos() * t.sin().abs(), 1.0 + 2e-5 * t.sin()))
        .collect();
    let line: Vec<(f64, f64)> = (0..many).map(|i| (1.0 + f64::from(i) * 1e-5, 1.0)).chain([(1.5, 1.2)]).collect();
    let comb: Vec<(f64, f64)> = (0..20_000)
        .flat_map(|i| [(1.0 + f64::from(i) * 1e-5, 1.0), (1.000005 + f64::from(i) * 1e-5, 1.3)])
        .chain([(1.2, 0.9), (1.0, 0.9)])
        .collect();
    let star: Vec<(f64, f64)> =
        (0..2_001).map(|i| f64::from(i) * 3.139_6).map(|a| (1.0 + 0.2 * a.cos(), 1.0 + 0.2 * a.sin())).collect();
    // Numbers of cells and sides come from a reckoning in fractions outside of this program: the cells of the vertices alone, and the sides
    // between them.
    for (what, ring, cells, sides) in [
        ("all in one cell", &crowd, 1, 0),
        ("ten in each cell of a line, whose ends two long sides leave along it", &line, 10_002, 10_004),
        ("teeth, ten to a cell", &comb, 4_004, 42_003),
        // Each crosses 1,152 others or more: with a vertex at every crossing there would be 33,169 cells.
        ("long sides that all cross each other", &star, 2_001, 2_001),
    ] {
        let shape = polygon(ring);
        // All further steps work on these.
        let snapped = snap::snap(&[&shape], Grid::new(&RULE));
        assert_eq!((snapped.cells.len(), snapped.sides.len()), (cells, sides), "{what}");
        assert!(all(&[shape], &RULE)[0].to_multi_polygon().unsigned_area() > 0.0, "{what}");
    }
    for (ring, count) in [(crowd, 5), (line, 4)] {
        assert_eq!(all(&[polygon(&ring)], &RULE)[0].coords().len(), count);
    }
}
