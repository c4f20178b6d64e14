//! The blocks of a snapshot in the order of their keys, some dozens to a sheet. A change copies the sheet that it touches and shares the
//! others: to take one more share in each of ten thousand blocks, and to give it back, would cost more than the change itself.

use std::collections::BTreeMap;
use std::ops::Index;
use std::sync::Arc;

use chrono::NaiveDate;
use rayon::prelude::*;

use super::block::{Block, Key};
use super::tree::{Bbox, Tree};

/// Blocks of a sheet that is made. (Few in tests, as with blocks.)
const SHEET: usize = if cfg!(test) { 3 } else { 64 };
/// A sheet may grow to so many before it is split: the numbers of its blocks.
const SLOTS: usize = 2 * SHEET;

#[derive(Debug)]
struct Sheet {
    blocks: Vec<Arc<Block>>,
    /// Over the boxes of the blocks.
    tree: Tree,
    first_day: Option<NaiveDate>,
}

impl Sheet {
    fn of(blocks: Vec<Arc<Block>>) -> Arc<Self> {
        let tree = Tree::of(blocks.iter().map(|block| block.bbox).collect());
        let first_day = blocks.iter().filter_map(|block| block.first_day).min();
        Arc::new(Self { blocks, tree, first_day })
    }

    /// Of some blocks as many sheets as it takes.
    fn some(blocks: &[Arc<Block>]) -> impl Iterator<Item = Arc<Self>> + '_ {
        let sheets = if blocks.len() > SLOTS { blocks.len().div_ceil(SHEET) } else { 1 };
        blocks.chunks(blocks.len().div_ceil(sheets).max(1)).map(|some| Self::of(some.to_vec()))
    }
}

/// A block is known by its number: numbers are in the order of blocks, and have gaps.
#[derive(Debug)]
pub(super) struct Blocks {
    sheets: Vec<Arc<Sheet>>,
    /// Over the boxes of the sheets.
    tree: Tree,
}

impl Blocks {
    pub(super) fn of(blocks: &[Arc<Block>]) -> Self {
        Self::in_sheets(blocks.chunks(SHEET).map(|some| Sheet::of(some.to_vec())).collect())
    }

    fn in_sheets(sheets: Vec<Arc<Sheet>>) -> Self {
        let tree = Tree::of(sheets.iter().map(|sheet| sheet.tree.bounds()).collect());
        Self { sheets, tree }
    }

    /// The same with others in the place of the blocks of these numbers.
    pub(super) fn with(&self, mut changed: BTreeMap<usize, Vec<Arc<Block>>>) -> Self {
        if self.sheets.is_empty() {
            return Self::of(&changed.into_values().flatten().collect::<Vec<_>>());
        }
        let mut sheets = Vec::with_capacity(self.sheets.len() + 1);
        for (nth, sheet) in self.sheets.iter().enumerate() {
            let behind = changed.split_off(&((nth + 1) * SLOTS));
            let mut here = std::mem::replace(&mut changed, behind);
            if here.is_empty() {
                sheets.push(Arc::clone(sheet));
                continue;
            }
            let mut blocks = Vec::with_capacity(sheet.blocks.len() + 1);
            for (at, block) in sheet.blocks.iter().enumerate() {
                match here.remove(&(nth * SLOTS + at)) {
                    Some(others) => blocks.extend(others),
                    None => blocks.push(Arc::clone(block)),
                }
            }
            sheets.extend(Sheet::some(&blocks));
        }
        Self::in_sheets(sheets)
    }

    /// The block of this number.
    pub(super) fn get(&self, number: usize) -> Option<&Block> {
        self.sheets.get(number / SLOTS)?.blocks.get(number % SLOTS).map(|block| &**block)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Block)> {
        let numbered = |(nth, sheet): (usize, &'_ Arc<Sheet>)| nth * SLOTS..nth * SLOTS + sheet.blocks.len();
        self.sheets.iter().enumerate().flat_map(numbered).map(|number| (number, &self[number]))
    }

    /// The sum of something over all, on all processors.
    pub(super) fn sum(&self, of_block: impl Fn(&Block) -> usize + Sync) -> usize {
        self.sheets.par_iter().map(|sheet| sheet.blocks.iter().map(|block| of_block(block)).sum::<usize>()).sum()
    }

    /// The number of the block that this key is in or would come into.
    pub(super) fn block_for(&self, key: Key) -> usize {
        let nth = self.sheets.partition_point(|sheet| sheet.blocks[0].keys[0] <= key).saturating_sub(1);
        let within = self.sheets.get(nth).map_or(0, |sheet| sheet.blocks.partition_point(|block| block.keys[0] <= key));
        nth * SLOTS + within.saturating_sub(1)
    }

    /// Calls `found` with the number of each block whose box meets this one, in their order.
    pub(super) fn search(&self, bbox: &Bbox, found: &mut impl FnMut(usize)) {
        self.tree.search(bbox, &mut |nth| self.sheets[nth].tree.search(bbox, &mut |at| found(nth * SLOTS + at)));
    }

    /// The box of everything.
    pub(super) fn bbox(&self) -> Option<Bbox> {
        Some(self.tree.bounds()).filter(|all| all[0] <= all[2])
    }

    /// The earliest day that a life began.
    pub(super) fn first_day(&self) -> Option<NaiveDate> {
        self.sheets.iter().filter_map(|sheet| sheet.first_day).min()
    }
}

impl Index<usize> for Blocks {
    type Output = Block;

    fn index(&self, number: usize) -> &Block {
        &self.sheets[number / SLOTS].blocks[number % SLOTS]
    }
}
