//! The tile matrix set WebMercatorQuad (OGC 17-083r4, D.1): which tile lies where.
//!
//! Positions are fractions of the world's square: (0, 0) its north-west corner, (1, 1) its south-east one. Coordinates of EPSG:4490
//! are taken for those of WGS 84: they differ by centimetres, a unit of the finest tile is finer than what a map shows.

use std::f64::consts::PI;
use std::ops::RangeInclusive;

use crate::domain::items_query::Bbox;

/// Units along a tile's side.
pub const EXTENT: f64 = 4096.0;
/// Units around a tile that geometry is kept in, so that no line is drawn along the tile's edge: four pixels.
pub const BUFFER: f64 = 64.0;
/// Units of a pixel where a tile is drawn with 256.
pub const PIXEL: f64 = 16.0;
/// The finest zoom: 2.4 mm a unit in Hunan.
pub const MAX_ZOOM: u8 = 22;
/// Where the world's square ends.
pub const MAX_LATITUDE: f64 = 85.051_128_779_806_59;

/// One tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    pub zoom: u8,
    /// From the north.
    pub row: u32,
    /// From the west.
    pub col: u32,
}

/// The tiles of one zoom that a box touches; inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileRange {
    pub rows: RangeInclusive<u32>,
    pub cols: RangeInclusive<u32>,
}

impl TileRange {
    pub fn holds(&self, row: u32, col: u32) -> bool {
        self.rows.contains(&row) && self.cols.contains(&col)
    }

    /// How many tiles.
    pub fn count(&self) -> u64 {
        let length = |range: &RangeInclusive<u32>| u64::from(range.end().saturating_sub(*range.start())) + 1;
        length(&self.rows) * length(&self.cols)
    }
}

/// Tiles along a side of the matrix.
pub fn matrix_size(zoom: u8) -> u32 {
    1 << zoom
}

/// How far east, as a fraction of the world.
pub fn east_of(longitude: f64) -> f64 {
    (longitude + 180.0) / 360.0
}

/// How far south, as a fraction of the world's square. Near the poles, which the square has no room for, it stays finite.
pub fn south_of(latitude: f64) -> f64 {
    let sine = latitude.clamp(-89.999, 89.999).to_radians().sin();
    0.5 - sine.atanh() / (2.0 * PI)
}

fn longitude_at(east: f64) -> f64 {
    east * 360.0 - 180.0
}

fn latitude_at(south: f64) -> f64 {
    (PI * (1.0 - 2.0 * south)).sinh().atan().to_degrees()
}

impl Tile {
    /// `None` outside of the matrix, or of the zooms that there are.
    pub fn new(zoom: u8, row: u32, col: u32) -> Option<Self> {
        let fits = zoom <= MAX_ZOOM && row < matrix_size(zoom) && col < matrix_size(zoom);
        fits.then_some(Self { zoom, row, col })
    }

    /// West, south, east, north, with so many units around.
    fn widened(self, units: f64) -> Bbox {
        let size = f64::from(matrix_size(self.zoom));
        let margin = units / EXTENT;
        let (col, row) = (f64::from(self.col), f64::from(self.row));
        [
            longitude_at((col - margin) / size).max(-180.0),
            latitude_at((row + 1.0 + margin) / size),
            longitude_at((col + 1.0 + margin) / size).min(180.0),
            latitude_at((row - margin) / size),
        ]
    }

    /// The tile itself.
    pub fn bounds(self) -> Bbox {
        self.widened(0.0)
    }

    /// Where a feature lies that may show in the tile: the tile with its buffer, and a unit for rounding.
    pub fn reach(self) -> Bbox {
        self.widened(BUFFER + 1.0)
    }
}

/// The tiles of a zoom that a feature of this box may show in. The counterpart of [`Tile::reach`].
pub fn touched(bbox: &Bbox, zoom: u8) -> TileRange {
    let size = f64::from(matrix_size(zoom));
    let margin = (BUFFER + 1.0) / EXTENT;
    let last = matrix_size(zoom) - 1;
    let range = |from: f64, to: f64| {
        let clamp = |at: f64| at.floor().clamp(0.0, f64::from(last)) as u32;
        clamp(from * size - margin)..=clamp(to * size + margin)
    };
    let [west, south, east, north] = *bbox;
    TileRange { rows: range(south_of(north), south_of(south)), cols: range(east_of(west), east_of(east)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_lie_where_the_standard_says() {
        // Bounds of 3/2/5 and the corner of the world by PROJ (cs2cs EPSG:3857 to OGC:CRS84).
        let world = Tile::new(0, 0, 0).expect("the world").bounds();
        let expected = [-180.0, -MAX_LATITUDE, 180.0, MAX_LATITUDE];
        assert!(world.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{world:?}");
        let tile = Tile::new(3, 2, 5).expect("tile").bounds();
        let expected = [45.0, 40.979_898_069_620_13, 90.0, 66.513_260_443_111_86];
        assert!(tile.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{tile:?}");
        for (zoom, row, col) in [(0, 1, 0), (0, 0, 1), (3, 8, 0), (3, 0, 8), (MAX_ZOOM + 1, 0, 0), (255, 0, 0)] {
            assert_eq!(Tile::new(zoom, row, col), None, "{zoom}/{row}/{col}");
        }
        assert!(Tile::new(MAX_ZOOM, matrix_size(MAX_ZOOM) - 1, 0).is_some());
    }

    #[test]
    fn a_box_touches_the_tiles_whose_reach_it_meets() {
        let mut seed = 7_u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 11) as f64 / (1_u64 << 53) as f64
        };
        for _ in 0..400 {
            let (west, south) = (random() * 360.0 - 180.0, random() * 176.0 - 88.0);
            let bbox = [west, south, (west + random() * 20.0).min(180.0), (south + random() * 9.0).min(90.0)];
            for zoom in [0, 1, 4, 6] {
                let range = touched(&bbox, zoom);
                let mut count = 0;
                for row in 0..matrix_size(zoom) {
                    for col in 0..matrix_size(zoom) {
                        let reach = Tile::new(zoom, row, col).expect("in the matrix").reach();
                        let meets =
                            bbox[0] <= reach[2] && bbox[2] >= reach[0] && bbox[1] <= reach[3] && bbox[3] >= reach[1];
                        // A box beyond the square is told to touch the last tiles, which costs nothing.
                        let beyond = bbox[1] > MAX_LATITUDE || bbox[3] < -MAX_LATITUDE;
                        assert!(meets == range.holds(row, col) || beyond, "{bbox:?} {zoom}/{row}/{col}");
                        count += u64::from(range.holds(row, col));
                    }
                }
                assert_eq!(range.count(), count);
            }
        }
    }
}
