//! `FourExtents` (四至范围): the words that name what bounds a block in east, south, west and north, and how notices
//! write them. Words are kept verbatim: never corrected, never derived from geometry.

mod landmarks;
mod marks;
mod parse;
mod print;

pub use landmarks::{Landmark, Offset, landmarks};
pub use parse::parse;
pub use print::print;

use super::area::{Hectares, round_decimal};

/// The four sides of one block in words, verbatim; `None` where the text names none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FourExtents {
    pub east: Option<String>,
    pub south: Option<String>,
    pub west: Option<String>,
    pub north: Option<String>,
}

/// A side, in the official order of notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    East,
    South,
    West,
    North,
}

impl Direction {
    /// 东, 南, 西, 北: the official order.
    pub const ALL: [Direction; 4] = [Direction::East, Direction::South, Direction::West, Direction::North];

    /// `east`, `south`, `west`, `north`.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::East => "east",
            Direction::South => "south",
            Direction::West => "west",
            Direction::North => "north",
        }
    }

    /// 东, 南, 西, 北.
    pub fn label(self) -> char {
        match self {
            Direction::East => '东',
            Direction::South => '南',
            Direction::West => '西',
            Direction::North => '北',
        }
    }

    fn from_char(c: char) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.label() == c)
    }
}

impl FourExtents {
    pub fn get(&self, direction: Direction) -> Option<&str> {
        match direction {
            Direction::East => self.east.as_deref(),
            Direction::South => self.south.as_deref(),
            Direction::West => self.west.as_deref(),
            Direction::North => self.north.as_deref(),
        }
    }

    fn slot(&mut self, direction: Direction) -> &mut Option<String> {
        match direction {
            Direction::East => &mut self.east,
            Direction::South => &mut self.south,
            Direction::West => &mut self.west,
            Direction::North => &mut self.north,
        }
    }

    pub fn is_empty(&self) -> bool {
        Direction::ALL.into_iter().all(|d| self.get(d).is_none())
    }

    /// `东至…，南至…，西至…，北至…`; sides without words are left out.
    pub fn print(&self) -> String {
        print::print_sides(self)
    }
}

/// One block of a text: its name as written (区块一（科技园）, 核心区), stated area, four sides.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BlockExtents {
    pub name: Option<String>,
    pub area: Option<Hectares>,
    pub extents: FourExtents,
}

/// A whole text of four extents.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExtentsText {
    /// Total area stated before the blocks.
    pub total_area: Option<Hectares>,
    pub blocks: Vec<BlockExtents>,
    pub warnings: Vec<ExtentsWarning>,
}

/// What is odd about a text. A warning never drops words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ExtentsWarning {
    /// A block (position from 0) names no such side.
    Missing { block: usize, direction: Direction },
    /// A block names a side more than once; the values are joined with 、.
    Duplicate { block: usize, direction: Direction },
    /// No side is named anywhere.
    NoDirections,
    /// The blocks' areas do not add up to the stated total; the absolute difference.
    AreaSumMismatch(Hectares),
}

impl ExtentsWarning {
    /// The stable code: `missing:west`, `duplicate:east`, `no_directions`, `area_sum_mismatch:0.01`.
    pub fn code(&self) -> String {
        match self {
            ExtentsWarning::Missing { direction, .. } => format!("missing:{}", direction.as_str()),
            ExtentsWarning::Duplicate { direction, .. } => format!("duplicate:{}", direction.as_str()),
            ExtentsWarning::NoDirections => "no_directions".to_owned(),
            ExtentsWarning::AreaSumMismatch(difference) => {
                format!("area_sum_mismatch:{}", round_decimal(difference.value(), 4))
            }
        }
    }

    /// One Chinese clause for a clerk.
    pub fn message(&self) -> String {
        match self {
            ExtentsWarning::Missing { block, direction } => {
                format!("第 {} 个区块没有写{}至", block + 1, direction.label())
            }
            ExtentsWarning::Duplicate { block, direction } => {
                format!("第 {} 个区块的{}至写了不止一次，已用顿号连接", block + 1, direction.label())
            }
            ExtentsWarning::NoDirections => "文字里没有写明东、南、西、北".to_owned(),
            ExtentsWarning::AreaSumMismatch(difference) => {
                format!("各区块面积之和与总面积相差 {} 公顷", round_decimal(difference.value(), 4))
            }
        }
    }
}

#[cfg(test)]
mod tests;
