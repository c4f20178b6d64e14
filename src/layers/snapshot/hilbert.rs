//! A place on the Hilbert curve: what lies near each other gets numbers near each other.

/// The distance along the curve of a box's centre in degrees; what has no box comes last.
pub(super) fn of_box(bbox: Option<[f64; 4]>) -> u64 {
    let Some([west, south, east, north]) = bbox else { return u64::MAX };
    let cell = |value: f64, least: f64, span: f64| {
        let share = ((value - least) / span).clamp(0.0, 1.0);
        // Saturates at the far edge.
        (share * 4_294_967_296.0) as u32
    };
    distance(cell((west + east) / 2.0, -180.0, 360.0), cell((south + north) / 2.0, -90.0, 180.0)).min(u64::MAX - 1)
}

/// Cell of a 2³² × 2³² grid → distance along the curve.
fn distance(mut x: u32, mut y: u32) -> u64 {
    let mut distance = 0u64;
    for bit in (0..32).rev() {
        let (right, up) = (x >> bit & 1, y >> bit & 1);
        distance = distance << 2 | u64::from((3 * right) ^ up);
        // The quadrants at the curve's ends are turned.
        if up == 0 {
            if right == 1 {
                (x, y) = (!x, !y);
            }
            (x, y) = (y, x);
        }
    }
    distance
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_on_the_curve_are_neighbours_in_the_plane() {
        // The 16 × 16 cells of a corner: each distance once, each step to a cell beside the last.
        let mut cells: Vec<(u64, i64, i64)> =
            (0..16u32).flat_map(|x| (0..16u32).map(move |y| (distance(x, y), i64::from(x), i64::from(y)))).collect();
        cells.sort_unstable();
        assert_eq!(cells.iter().map(|c| c.0).collect::<Vec<_>>(), (0..256).collect::<Vec<_>>());
        for pair in cells.windows(2) {
            assert_eq!((pair[0].1 - pair[1].1).abs() + (pair[0].2 - pair[1].2).abs(), 1, "{pair:?}");
        }
    }

    #[test]
    fn what_has_no_box_comes_last() {
        assert!(of_box(Some([180.0, 90.0, 180.0, 90.0])) < of_box(None));
        assert!(of_box(Some([-180.0, -90.0, -180.0, -90.0])) < of_box(Some([112.0, 28.0, 112.0, 28.0])));
    }
}
