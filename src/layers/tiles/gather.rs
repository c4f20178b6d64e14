//! What is smaller than a pixel, counted pixel by pixel.

use std::collections::HashMap;
use std::ops::Range;

use super::grid::{EXTENT, PIXEL};

/// Pixels along a tile's side.
const SIDE: usize = (EXTENT / PIXEL) as usize;

/// Counts of one tile. Squares stand for areas; for points and lines a point does, but one that is alone in its pixel stands for
/// itself, as it is drawn no smaller.
#[derive(Debug, Default)]
pub struct Gathered {
    areas: Vec<u32>,
    others: Vec<u32>,
    any_area: bool,
    any_other: bool,
    alone: Vec<u8>,
    alone_in: HashMap<u16, Range<usize>>,
}

/// The pixel of a place in the tile.
fn pixel_of(x: f64, y: f64) -> u16 {
    // A place on the far edge is told to this tile only where no other begins.
    let index = |at: f64| ((at / PIXEL) as usize).min(SIDE - 1);
    (index(y) * SIDE + index(x)) as u16
}

impl Gathered {
    pub fn clear(&mut self) {
        self.areas.resize(SIDE * SIDE, 0);
        self.others.resize(SIDE * SIDE, 0);
        self.alone.clear();
        self.alone_in.clear();
    }

    /// One area more.
    pub fn area(&mut self, x: f64, y: f64) {
        self.areas[usize::from(pixel_of(x, y))] += 1;
        self.any_area = true;
    }

    /// A point or a line more; where it is the first of its pixel, `feature` writes it.
    pub fn other(&mut self, x: f64, y: f64, feature: impl FnOnce(&mut Vec<u8>)) {
        let pixel = pixel_of(x, y);
        let count = &mut self.others[usize::from(pixel)];
        *count += 1;
        self.any_other = true;
        if *count == 1 {
            let from = self.alone.len();
            feature(&mut self.alone);
            self.alone_in.insert(pixel, from..self.alone.len());
        }
    }

    /// Hands out each pixel with its north-west corner, the count, and the feature that is alone in it; and forgets all.
    pub fn drain(
        &mut self,
        mut areas: impl FnMut([f64; 2], u32),
        mut others: impl FnMut([f64; 2], u32, Option<&[u8]>),
    ) {
        if std::mem::take(&mut self.any_area) {
            drain(&mut self.areas, |pixel, count| areas(corner(pixel), count));
        }
        if std::mem::take(&mut self.any_other) {
            let (alone, alone_in) = (&self.alone, &self.alone_in);
            drain(&mut self.others, |pixel, count| {
                let range = alone_in.get(&(pixel as u16)).filter(|range| count == 1 && !range.is_empty());
                others(corner(pixel), count, range.map(|range| &alone[range.clone()]));
            });
        }
    }
}

fn drain(counts: &mut [u32], mut each: impl FnMut(usize, u32)) {
    for (pixel, count) in counts.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
        each(pixel, std::mem::take(count));
    }
}

fn corner(pixel: usize) -> [f64; 2] {
    [(pixel % SIDE) as f64 * PIXEL, (pixel / SIDE) as f64 * PIXEL]
}
