//! Degrees → units of one tile, snapped.
//!
//! Mercator's latitude costs a logarithm and a sine. Within a tile it is a smooth curve: a polynomial through seven points of the
//! tile's own span is nearer to it than [`MAX_ERROR`], or is not used. Where a vertex comes to lie depends on the vertex and the
//! tile alone, so that what two neighbours share stays shared.

use std::f64::consts::PI;

use geo::Coord;

use super::grid::{self, BUFFER, EXTENT, Tile};

/// A place in a tile: units from its north-west corner, to the east and to the south. Whole numbers once snapped; kept as floating
/// numbers because a province's border lies further from a fine tile than 32 bits count, and 53 bits hold every product here.
pub type Place = [f64; 2];

/// Units that the polynomial may be off: a two-hundredth, where a vertex is moved by up to half a unit anyway.
const MAX_ERROR: f64 = 0.005;
const NODES: usize = 7;

/// From degrees to one tile.
#[derive(Debug, Clone)]
pub struct Projection {
    /// Units of the whole world.
    world: f64,
    left: f64,
    top: f64,
    /// Of the longitude.
    x_scale: f64,
    x_shift: f64,
    /// Latitude → -1 to 1 over the span of the polynomial.
    t_scale: f64,
    t_shift: f64,
    /// Of the powers of that; `None` where the span is too wide for it.
    powers: Option<[f64; NODES]>,
}

impl Projection {
    pub fn of(tile: Tile) -> Self {
        let world = EXTENT * f64::from(grid::matrix_size(tile.zoom));
        let (left, top) = (f64::from(tile.col) * EXTENT, f64::from(tile.row) * EXTENT);
        let [_, south, _, north] = tile.reach();
        let (middle, half) = ((north + south) / 2.0, (north - south) / 2.0);
        let mut projection = Self {
            world,
            left,
            top,
            x_scale: world / 360.0,
            x_shift: world / 2.0 - left,
            t_scale: 1.0 / half,
            t_shift: -middle / half,
            powers: None,
        };
        let exact = |t: f64| projection.exact_y(middle + t * half);
        let powers = fit(exact);
        let error = (0..=40).map(|i| f64::from(i) / 20.0 - 1.0).map(|t| (value(&powers, t) - exact(t)).abs());
        if error.fold(0.0, f64::max) < MAX_ERROR {
            projection.powers = Some(powers);
        }
        projection
    }

    /// Units from the west side.
    pub fn x(&self, longitude: f64) -> f64 {
        longitude * self.x_scale + self.x_shift
    }

    /// Units from the north side.
    #[inline]
    pub fn y(&self, latitude: f64) -> f64 {
        let t = latitude * self.t_scale + self.t_shift;
        match &self.powers {
            Some(powers) if t.abs() <= 1.0 => value(powers, t),
            _ => self.exact_y(latitude),
        }
    }

    fn exact_y(&self, latitude: f64) -> f64 {
        grid::south_of(latitude) * self.world - self.top
    }

    /// Whether a place belongs to this tile and no other of its zoom; beyond the world's square it belongs to none. Neighbours agree, also where the place lies on the edge: there
    /// the answer is of one formula for all tiles.
    pub fn owns(&self, longitude: f64, latitude: f64) -> bool {
        let (x, y) = (self.x(longitude), self.y(latitude));
        let clear = |at: f64| (1.0..EXTENT - 1.0).contains(&at);
        if clear(x) && clear(y) {
            return true;
        }
        let in_tile = |share: f64, start: f64| {
            let size = self.world / EXTENT;
            (0.0..=1.0).contains(&share) && (share * size).floor().min(size - 1.0) == start / EXTENT
        };
        in_tile(grid::east_of(longitude), self.left) && in_tile(grid::south_of(latitude), self.top)
    }

    /// Adds the snapped places, without repeating one.
    pub fn snap(&self, coords: &[Coord<f64>], places: &mut Vec<Place>) {
        places.reserve(coords.len());
        let mut last = [f64::NAN; 2];
        for c in coords {
            let place = [nearest(self.x(c.x)), nearest(self.y(c.y))];
            if place != last {
                places.push(place);
                last = place;
            }
        }
    }
}

/// The nearest whole number; `f64::round` is a call into a library on processors without an instruction for it. Exact to 2^51.
#[inline]
fn nearest(number: f64) -> f64 {
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    (number + SHIFT) - SHIFT
}

/// Whether a place lies in a tile or its buffer.
#[inline]
pub fn is_in_reach([x, y]: Place) -> bool {
    const IN: std::ops::RangeInclusive<f64> = -BUFFER..=EXTENT + BUFFER;
    IN.contains(&x) && IN.contains(&y)
}

fn value(powers: &[f64; NODES], t: f64) -> f64 {
    powers.iter().rev().fold(0.0, |sum, power| sum * t + power)
}

/// The polynomial through `f` at the Chebyshev nodes, which spread the error evenly.
fn fit(f: impl Fn(f64) -> f64) -> [f64; NODES] {
    let nodes: [f64; NODES] = std::array::from_fn(|i| ((2 * i + 1) as f64 * PI / (2 * NODES) as f64).cos());
    // Newton's divided differences, then multiplied out.
    let mut differences = nodes.map(&f);
    for order in 1..NODES {
        for i in (order..NODES).rev() {
            differences[i] = (differences[i] - differences[i - 1]) / (nodes[i] - nodes[i - order]);
        }
    }
    let mut powers = [0.0; NODES];
    for i in (0..NODES).rev() {
        // powers = powers × (t − node) + difference
        for at in (0..NODES).rev() {
            let lower = if at == 0 { 0.0 } else { powers[at - 1] };
            powers[at] = lower - nodes[i] * powers[at];
        }
        powers[0] += differences[i];
    }
    powers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_polynomial_is_as_near_as_it_says_and_gives_way_where_it_is_not() {
        for (zoom, row, col) in [
            (0, 0, 0),
            (1, 1, 1),
            (3, 3, 6),
            (5, 13, 26),
            (8, 107, 207),
            (12, 1714, 3330),
            (14, 6857, 13321),
            (22, 1_755_433, 3_410_301),
        ] {
            let tile = Tile::new(zoom, row, col).expect("tile");
            let projection = Projection::of(tile);
            let [_, south, _, north] = tile.reach();
            for i in 0..=1000 {
                let latitude = south + (north - south) * f64::from(i) / 1000.0;
                let error = (projection.y(latitude) - projection.exact_y(latitude)).abs();
                assert!(error < 0.02, "{zoom}: {latitude} is off by {error}");
            }
            assert_eq!(projection.powers.is_some(), zoom >= 3, "{zoom}");
            // Beyond the span: exact.
            assert_eq!(projection.y(-85.0), projection.exact_y(-85.0));
        }
    }

    #[test]
    fn a_place_belongs_to_one_tile_also_on_the_edge() {
        for zoom in [3_u8, 9] {
            for (longitude, latitude) in [
                (112.5, 27.0),
                (113.203_125, 0.0),
                (0.0, 0.0),
                (180.0, 85.2),
                (-180.0, -89.0),
                (112.5, grid::Tile::new(zoom, 3, 2).expect("tile").bounds()[1]),
            ] {
                let (col, row) = (
                    ((grid::east_of(longitude) * f64::from(grid::matrix_size(zoom))) as i64),
                    ((grid::south_of(latitude) * f64::from(grid::matrix_size(zoom))) as i64),
                );
                let mut owners = 0;
                for r in row - 2..=row + 2 {
                    for c in col - 2..=col + 2 {
                        let (Ok(r), Ok(c)) = (u32::try_from(r), u32::try_from(c)) else { continue };
                        let Some(tile) = Tile::new(zoom, r, c) else { continue };
                        owners += u32::from(Projection::of(tile).owns(longitude, latitude));
                    }
                }
                let beyond = latitude.abs() > grid::MAX_LATITUDE;
                assert_eq!(owners, u32::from(!beyond), "{zoom} {longitude} {latitude}");
            }
        }
    }

    #[test]
    fn the_nearest_number_is_the_nearest() {
        for number in [0.0, 0.4, 0.6, -0.4, -0.6, 1.5, 2.5, -1.5, 4095.49, 1e10 + 0.7, -3e12 - 0.2] {
            assert_eq!(nearest(number), number.round_ties_even(), "{number}");
        }
    }
}
