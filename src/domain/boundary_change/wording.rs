//! 四至 words that are proposed for a side, out of what lies there. A proposal only: what the paper says stays verbatim.

use crate::domain::four_extents::Direction;

/// What kind of thing bounds a side, in the order in which notices prefer to name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NeighbourKind {
    /// Given by the proposer: roads, rivers, hills.
    Landmark,
    Division,
    Park,
    /// Another block of the same park.
    OwnBlock,
    Parcel,
}

impl NeighbourKind {
    pub fn as_str(self) -> &'static str {
        match self {
            NeighbourKind::Landmark => "landmark",
            NeighbourKind::Division => "division",
            NeighbourKind::Park => "park",
            NeighbourKind::OwnBlock => "own_block",
            NeighbourKind::Parcel => "parcel",
        }
    }

    /// 地物, 行政区, 其他园区, 本园区区块, 地块.
    pub fn label(self) -> &'static str {
        match self {
            NeighbourKind::Landmark => "地物",
            NeighbourKind::Division => "行政区",
            NeighbourKind::Park => "其他园区",
            NeighbourKind::OwnBlock => "本园区区块",
            NeighbourKind::Parcel => "地块",
        }
    }
}

/// Something that lies on a side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour<'a> {
    pub kind: NeighbourKind,
    /// As words name it: 长张高速, 望城区界.
    pub name: &'a str,
    pub distance_m: f64,
    /// A line that runs over the border there: it lies on both sides of it and bounds nothing, near or far.
    pub crosses: bool,
}

/// Up to this something bounds the block itself, beyond it is named with its distance.
pub const BOUNDS_M: f64 = 5.0;
/// Names that one side joins with 、.
const MOST_NAMES: usize = 3;

/// The words of one side: what bounds the block, at most three names of the foremost kind; else the nearest landmark, else the nearest
/// thing, with the distance as notices write it (长张高速以西330米处). `None` where nothing is known to bound that side: a river that flows
/// through the block is neither its south nor its north.
pub fn words(side: Direction, neighbours: &[Neighbour<'_>]) -> Option<String> {
    let nearest = |a: &&Neighbour<'_>, b: &&Neighbour<'_>| a.distance_m.total_cmp(&b.distance_m);
    let neighbours: Vec<&Neighbour<'_>> = neighbours.iter().filter(|n| !n.crosses).collect();
    let foremost = neighbours.iter().filter(|n| n.distance_m <= BOUNDS_M).map(|n| n.kind).min();
    if let Some(kind) = foremost {
        let mut bounding: Vec<&Neighbour<'_>> =
            neighbours.iter().copied().filter(|n| n.kind == kind && n.distance_m <= BOUNDS_M).collect();
        bounding.sort_by(nearest);
        let mut names: Vec<&str> = Vec::new();
        for neighbour in bounding {
            if names.len() < MOST_NAMES && !names.contains(&neighbour.name) {
                names.push(neighbour.name);
            }
        }
        return Some(names.join("、"));
    }
    let landmark = neighbours.iter().copied().filter(|n| n.kind == NeighbourKind::Landmark).min_by(nearest);
    let named = landmark.or_else(|| neighbours.iter().copied().min_by(nearest))?;
    // Seen from the neighbour, the block lies on the other side.
    let back = match side {
        Direction::East => '西',
        Direction::South => '北',
        Direction::West => '东',
        Direction::North => '南',
    };
    Some(format!("{}以{back}{:.0}米处", named.name, named.distance_m))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FourExtents;
    use crate::domain::four_extents::parse;

    fn neighbour(kind: NeighbourKind, name: &str, distance_m: f64) -> Neighbour<'_> {
        Neighbour { kind, name, distance_m, crosses: false }
    }

    #[test]
    fn words_as_notices_write_them() {
        use NeighbourKind::{Landmark, Parcel, Park};
        let road = neighbour(Landmark, "长张高速", 329.6);
        for (side, list, expected) in [
            (Direction::East, vec![road], Some("长张高速以西330米处")),
            (Direction::South, vec![neighbour(Parcel, "地块430121-7", 40.0), road], Some("长张高速以北330米处")),
            // What bounds it goes before what is farther, a landmark before a park, both before parcels.
            (Direction::West, vec![road, neighbour(Park, "望城经开区区块1", 0.0)], Some("望城经开区区块1")),
            (
                Direction::North,
                vec![
                    neighbour(Park, "望城经开区区块1", 0.0),
                    neighbour(Landmark, "沩水", 3.0),
                    neighbour(Landmark, "金洲大道", 0.0),
                ],
                Some("金洲大道、沩水"),
            ),
            (Direction::North, vec![neighbour(Parcel, "地块430121-7", 40.2)], Some("地块430121-7以南40米处")),
            (Direction::North, vec![], None),
        ] {
            assert_eq!(words(side, &list).as_deref(), expected);
        }
    }

    #[test]
    fn what_runs_through_the_block_bounds_no_side_of_it() {
        use NeighbourKind::{Division, Landmark, Parcel};
        let through = |kind, name| Neighbour { crosses: true, ..neighbour(kind, name, 0.0) };
        let river = through(Landmark, "沩水");
        for (list, expected) in [
            (vec![river, neighbour(Landmark, "金洲大道", 6.0)], Some("金洲大道以南6米处")),
            (vec![river, neighbour(Parcel, "地块430121-7", 1.0)], Some("地块430121-7")),
            (
                vec![river, through(Division, "望城区界"), neighbour(Parcel, "地块430121-7", 40.0)],
                Some("地块430121-7以南40米处"),
            ),
            (vec![river, through(Division, "望城区界")], None),
        ] {
            assert_eq!(words(Direction::North, &list).as_deref(), expected);
        }
    }

    #[test]
    fn what_is_proposed_can_be_read_back() {
        let road = neighbour(NeighbourKind::Landmark, "长张高速", 329.6);
        let river = neighbour(NeighbourKind::Landmark, "沩水", 0.0);
        let side = |side, n| words(side, &[n]);
        let extents = FourExtents {
            east: side(Direction::East, road),
            south: side(Direction::South, river),
            west: side(Direction::West, river),
            north: side(Direction::North, road),
        };
        let printed = extents.print();
        assert_eq!(printed, "东至长张高速以西330米处，南至沩水，西至沩水，北至长张高速以南330米处");
        assert_eq!(parse(&printed).blocks[0].extents, extents);
    }
}
