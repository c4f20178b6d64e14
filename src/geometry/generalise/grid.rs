//! The grid of an outline's decimals: places in cells, cells, and how large a cell is.

use geo::Coord;
use geo::algorithm::kernels::{Kernel, Orientation, RobustKernel};

use crate::domain::generalisation::Generalisation;

/// Column and row of a cell; its middle is a coordinate with the outline's decimals.
pub(super) type Cell = [i64; 2];

/// A place counted in cells: the middle of cell (3, 5) is 3, 5.
pub(super) type Place = [f64; 2];

const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Places farther out than this are none on the Earth (it is 1,099 degrees with nine decimals), and what is reckoned of nearer ones fits.
const REACH: f64 = (1_u64 << 40) as f64;
/// Metres of a degree of latitude at the poles, the longest that there is: a distance is never thought shorter than it is.
const DEGREE_M: f64 = 111_694.4;

/// The grid, and how far an outline may leave a border.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    per_degree: f64,
    pub tolerance_m: f64,
}

/// Metres of a cell's width and height somewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure {
    pub width: f64,
    pub height: f64,
}

impl Grid {
    pub fn new(rule: &Generalisation) -> Self {
        let decimals = usize::from(rule.decimals).min(POWERS.len() - 1);
        // NaN and less than nothing are no tolerance.
        Self { per_degree: POWERS[decimals], tolerance_m: rule.tolerance_m.max(0.0) }
    }

    /// Degrees of a cell.
    pub fn cell_degrees(self) -> f64 {
        1.0 / self.per_degree
    }

    /// `None` of what is no place on the Earth. Rises with the coordinate, so that equal stays equal and less stays less.
    pub fn place(self, coord: Coord<f64>) -> Option<Place> {
        // Adding nothing makes one zero of two.
        let place = [coord.x * self.per_degree + 0.0, coord.y * self.per_degree + 0.0];
        place.iter().all(|v| v.abs() <= REACH).then_some(place)
    }

    /// The double that is nearest to the cell's decimal number: both numbers are exact, and so the quotient is.
    pub fn coord(self, cell: Cell) -> Coord<f64> {
        Coord { x: cell[0] as f64 / self.per_degree, y: cell[1] as f64 / self.per_degree }
    }

    /// How far apart (metres) two borders may be that are made one: a cell in any case, and up to two diagonals where the tolerance has
    /// room for it, half a diagonal for the rounding included. Half a cell of difference makes no more, even where corners meet.
    pub fn seam_limit(self, measure: Measure) -> f64 {
        let diagonal = measure.diagonal();
        (2.0 * diagonal).min(self.tolerance_m + diagonal / 2.0).max(measure.height)
    }

    /// The tolerance that is left where a border was moved by so many metres.
    pub fn tolerance_left(self, measure: Measure, moved: f64) -> f64 {
        if moved > 0.0 {
            (self.tolerance_m + measure.diagonal() / 2.0 - moved).clamp(0.0, self.tolerance_m)
        } else {
            self.tolerance_m
        }
    }

    /// How large a cell is between two rows: as large as where it is widest.
    pub fn measure(self, one: i64, other: i64) -> Measure {
        let latitude = if one.signum() * other.signum() <= 0 {
            0.0
        } else {
            one.unsigned_abs().min(other.unsigned_abs()) as f64 / self.per_degree
        };
        let height = DEGREE_M / self.per_degree;
        Measure { width: height * latitude.min(90.0).to_radians().cos(), height }
    }
}

impl Measure {
    pub fn diagonal(self) -> f64 {
        self.width.hypot(self.height)
    }

    /// Metres from a cell to the line between two others, ends included.
    pub fn distance(self, at: Cell, from: Cell, to: Cell) -> f64 {
        let scaled = |c: Cell| [(c[0] - from[0]) as f64 * self.width, (c[1] - from[1]) as f64 * self.height];
        let ([wx, wy], [lx, ly]) = (scaled(at), scaled(to));
        let length = lx * lx + ly * ly;
        let share = if length > 0.0 { ((wx * lx + wy * ly) / length).clamp(0.0, 1.0) } else { 0.0 };
        (wx - share * lx).hypot(wy - share * ly)
    }
}

/// The cell that a place lies in: from half a cell before its middle (with) to half a cell behind (without).
pub(super) fn cell_of(place: Place) -> Cell {
    place.map(|v| {
        let whole = v.floor();
        if v - whole >= 0.5 { whole as i64 + 1 } else { whole as i64 }
    })
}

pub(super) fn middle(cell: Cell) -> Place {
    [cell[0] as f64, cell[1] as f64]
}

/// Whether the straight line between two places has a point in a cell. Exact, and the same in both directions.
pub(super) fn passes(p: Place, q: Place, cell: Cell) -> bool {
    let [west, south] = [cell[0] as f64 - 0.5, cell[1] as f64 - 0.5];
    let [east, north] = [cell[0] as f64 + 0.5, cell[1] as f64 + 0.5];
    if p[0].min(q[0]) >= east || p[0].max(q[0]) < west || p[1].min(q[1]) >= north || p[1].max(q[1]) < south {
        return false;
    }
    let (dx, dy) = (q[0] - p[0], q[1] - p[1]);
    // The eastern and northern sides do not belong to the cell: a corner there counts as a breath within.
    let side = |x: f64, y: f64, breath: f64| match turn(p, q, [x, y]) {
        Orientation::CounterClockwise => 1,
        Orientation::Clockwise => -1,
        Orientation::Collinear => i8::from(breath > 0.0) - i8::from(breath < 0.0),
    };
    let first = side(west, south, 0.0);
    first == 0
        || [side(east, south, dy), side(west, north, -dx), side(east, north, dy - dx)].iter().any(|s| *s != first)
}

/// Which way three places turn. Exact.
pub(super) fn turn(p: Place, q: Place, r: Place) -> Orientation {
    let coord = |[x, y]: Place| Coord { x, y };
    RobustKernel::orient2d(coord(p), coord(q), coord(r))
}

/// Twice the area of the triangle of three cells, counter-clockwise ones positive. Exact.
pub(super) fn area2(a: Cell, b: Cell, c: Cell) -> i128 {
    let wide = |v: i64| i128::from(v);
    wide(b[0] - a[0]) * wide(c[1] - a[1]) - wide(b[1] - a[1]) * wide(c[0] - a[0])
}

/// Directions from one cell, counter-clockwise from straight down (without) to straight down (with).
pub(super) fn by_direction(from: Cell, one: Cell, other: Cell) -> std::cmp::Ordering {
    let westward = |to: Cell| to[0] < from[0] || (to[0] == from[0] && to[1] < from[1]);
    westward(one).cmp(&westward(other)).then_with(|| 0.cmp(&area2(from, one, other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(decimals: u8) -> Grid {
        Grid::new(&Generalisation { tolerance_m: 10.0, decimals })
    }

    #[test]
    fn a_cell_begins_half_a_cell_before_its_middle_and_ends_before_the_next() {
        for (place, cell) in [(0.49999999999999994, 0), (0.5, 1), (-0.5, 0), (-0.50000001, -1), (1.5, 2), (2.5, 3)] {
            assert_eq!(cell_of([place, -place]), [cell, cell_of([0.0, -place])[1]], "{place}");
        }
        assert_eq!(cell_of([-1.5, -2.5]), [-1, -2]);
    }

    #[test]
    fn a_coordinate_is_the_double_nearest_to_its_decimals() {
        for (cell, text) in [(1_129_000, "112.9"), (281_234, "28.1234"), (-3, "-0.0003"), (1_800_000, "180")] {
            assert_eq!(grid(4).coord([cell, 0]).x, text.parse::<f64>().unwrap());
        }
        assert_eq!(grid(200).coord([1, 0]).x, 1e-9, "more than nine decimals are nine");
        assert_eq!(grid(4).place(Coord { x: f64::NAN, y: 0.0 }), None);
        assert_eq!(grid(4).place(Coord { x: 0.0, y: f64::INFINITY }), None);
        assert_eq!(grid(9).place(Coord { x: 1e9, y: 0.0 }), None);
    }

    #[test]
    fn a_line_passes_the_sides_that_belong_to_a_cell_and_not_the_others() {
        let cases = [
            ([-3.0, 0.0], [3.0, 0.0], true),
            ([-3.0, -0.5], [3.0, -0.5], true),
            ([-3.0, 0.5], [3.0, 0.5], false),
            ([-0.5, -3.0], [-0.5, 3.0], true),
            ([0.5, -3.0], [0.5, 3.0], false),
            ([-1.5, 0.5], [0.5, -1.5], true),  // through the south-western corner
            ([-0.5, 1.5], [1.5, -0.5], false), // through the north-eastern corner
            ([-1.5, -0.5], [0.5, 1.5], false), // through the north-western corner
            ([-0.5, -1.5], [1.5, 0.5], false), // through the south-eastern corner
            ([-2.0, -2.0], [2.0, 2.0], true),
            ([0.0, 0.0], [0.2, 0.1], true),
            ([0.6, -3.0], [0.6, 3.0], false),
            ([-3.0, 2.0], [2.0, -2.99], true),
            ([-3.0, 1.9], [1.9, -3.0], false),
        ];
        for (p, q, expect) in cases {
            assert_eq!(passes(p, q, [0, 0]), expect, "{p:?} {q:?}");
            assert_eq!(passes(q, p, [0, 0]), expect, "{q:?} {p:?}");
        }
    }

    #[test]
    fn a_cell_is_as_wide_as_its_latitude_allows() {
        let [equator, hunan] = [grid(4).measure(-5, 7), grid(4).measure(300_000, 280_000)];
        assert_eq!((equator.width, equator.height), (11.16944, 11.16944));
        assert!((hunan.width - 11.16944 * 28_f64.to_radians().cos()).abs() < 1e-9);
        let off = hunan.distance([1, 1], [0, 0], [0, 5]);
        assert_eq!(off, hunan.width);
    }

    #[test]
    fn directions_go_round_from_straight_down() {
        let round = [[1, -3], [1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0], [-1, -9], [0, -1]];
        let mut mixed = round;
        mixed.reverse();
        mixed.sort_by(|a, b| by_direction([0, 0], *a, *b));
        assert_eq!(mixed, round);
    }
}
