//! What lies on each side of each proposed block, with distance and bearing, and the 四至 words that it suggests.

use std::collections::HashSet;

use geo::{Coord, LineString, MultiPolygon};

use crate::domain::boundary_change::{Landmark, Neighbour, NeighbourKind, ProposedBlock, words};
use crate::domain::four_extents::Direction;
use crate::domain::{FourExtents, Ledger};
use crate::geometry::extremes;
use crate::geometry::facing::{Lookout, Sight};
use crate::geometry::metres::Plane;
use crate::geometry::overlap::{self, Relation, Shape, Work};
use crate::store::boundary_changes::{NearBlock, NearDivision, NearParcel};

/// Nothing farther away is told to bound a block.
pub const REACH_M: f64 = 2_000.0;
/// Candidates that are listed on each side, the nearest first; the rest is counted.
pub const MOST_LISTED: usize = 10;
/// Edges and pairs of edges that all blocks of one assessment look at together: some seconds.
pub const MOST_STEPS: u64 = 200_000_000;
/// A parcel with more of its land than this in the block is the block's own and bounds nothing.
const OWN_SHARE: f64 = 0.01;

/// Something on a side.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub kind: NeighbourKind,
    /// Id in its layer; `None` of a landmark.
    pub id: Option<String>,
    /// As words name it.
    pub name: String,
    pub illustrative: bool,
    pub sight: Sight,
}

/// One side of one block.
#[derive(Debug, Clone, PartialEq)]
pub struct SideView {
    pub side: Direction,
    pub candidates: Vec<Candidate>,
    /// Those that are not listed.
    pub more: usize,
    pub words: Option<String>,
}

/// The four sides of one block, in the official order.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockView {
    pub block: String,
    pub sides: Vec<SideView>,
    /// The words put together: 东至…，南至…，西至…，北至….
    pub words: FourExtents,
    /// False where the bound on work was met.
    pub complete: bool,
}

/// All that may lie around.
pub struct Around<'a> {
    pub landmarks: &'a [Landmark],
    pub blocks: &'a [NearBlock],
    pub parcels: &'a [NearParcel],
    pub divisions: &'a [NearDivision],
}

/// What the blocks look at.
#[derive(Debug)]
pub struct View {
    pub blocks: Vec<BlockView>,
    /// False where blocks and parcels meet too often for all of them to be compared: some of a block's own may stand among its candidates,
    /// and some neighbours may be missing there.
    pub parcels_compared: bool,
}

/// Looks out of each block. `steps`: edges and pairs of edges that all of them may look at ([`MOST_STEPS`]).
pub fn view(blocks: &[ProposedBlock], around: &Around<'_>, mut steps: u64) -> View {
    let (own_parcels, parcels_compared) = own_parcels(blocks, around.parcels);
    let boxes = Boxes::of(blocks, around);
    let look = |(at, block): (usize, &ProposedBlock)| {
        let mut lookout = Lookout::of(&block.boundary, REACH_M, steps)?;
        let reach = within_reach(boxes.own[at]?);
        let mut sides: [Vec<Candidate>; 4] = Default::default();
        let mut add = |seen: [Option<Sight>; 4], named: &dyn Fn() -> Candidate| {
            for (side, sight) in sides.iter_mut().zip(seen) {
                if let Some(sight) = sight {
                    side.push(Candidate { sight, ..named() });
                }
            }
        };
        for landmark in around.landmarks {
            let seen = lookout.look(std::iter::once(landmark.path.as_slice()));
            add(seen, &|| named(NeighbourKind::Landmark, None, landmark.name.clone(), false));
        }
        for (other_at, other) in blocks.iter().enumerate() {
            if other_at == at || !meets(boxes.own[other_at], reach) {
                continue;
            }
            let name = format!("本园区{}", block_name(&other.number, other.name.as_deref()));
            let seen = lookout.look_at_land(rings(&other.boundary));
            add(seen, &|| named(NeighbourKind::OwnBlock, Some(other.number.clone()), name.clone(), false));
        }
        for (other, _) in around.blocks.iter().zip(&boxes.blocks).filter(|(_, bbox)| meets(**bbox, reach)) {
            let number = other.id.split_once('-').map_or("", |(_, number)| number);
            let name = format!("{}{}", other.park_name, block_name(number, other.name.as_deref()));
            let seen = lookout.look_at_land(rings(&other.boundary));
            add(seen, &|| named(NeighbourKind::Park, Some(other.id.clone()), name.clone(), other.illustrative));
        }
        for (parcel_at, parcel) in around.parcels.iter().enumerate() {
            if !meets(boxes.parcels[parcel_at], reach) || own_parcels.contains(&(at, parcel_at)) {
                continue;
            }
            let name = format!("{}{}", parcel_word(parcel.ledger), parcel.name.as_deref().unwrap_or(&parcel.id));
            let seen = lookout.look_at_land(rings(&parcel.boundary));
            add(seen, &|| named(NeighbourKind::Parcel, Some(parcel.id.clone()), name.clone(), false));
        }
        divisions(block, around.divisions, &mut lookout, &mut sides);
        steps = lookout.steps_left();
        Some(summed_up(block, sides, lookout.is_complete()))
    };
    View { blocks: blocks.iter().enumerate().filter_map(look).collect(), parcels_compared }
}

type Bbox = [f64; 4];

/// The boxes of what is looked at, asked for once and not once a block.
struct Boxes {
    own: Vec<Option<Bbox>>,
    blocks: Vec<Option<Bbox>>,
    parcels: Vec<Option<Bbox>>,
}

impl Boxes {
    fn of(blocks: &[ProposedBlock], around: &Around<'_>) -> Self {
        let bbox = |shape: &MultiPolygon<f64>| Shape::of_multi_polygon(shape).bbox();
        Self {
            own: blocks.iter().map(|b| bbox(&b.boundary)).collect(),
            blocks: around.blocks.iter().map(|b| bbox(&b.boundary)).collect(),
            parcels: around.parcels.iter().map(|p| bbox(&p.boundary)).collect(),
        }
    }
}

/// A block's box, wider by what it can see.
fn within_reach([west, south, east, north]: Bbox) -> Bbox {
    let middle = Coord { x: (west + east) / 2.0, y: (south + north) / 2.0 };
    let (x, y) = Plane::around(middle).degrees(REACH_M);
    [west - x, south - y, east + x, north + y]
}

/// Whether something can lie within reach. (Most of an assessment's parcels are another block's.)
fn meets(bbox: Option<Bbox>, reach: Bbox) -> bool {
    bbox.is_some_and(|b| b[0] <= reach[2] && reach[0] <= b[2] && b[1] <= reach[3] && reach[1] <= b[3])
}

fn named(kind: NeighbourKind, id: Option<String>, name: String, illustrative: bool) -> Candidate {
    let sight = Sight { distance_m: 0.0, bearing_deg: 0.0, point: Coord::default(), crossing: false };
    Candidate { kind, id, name, illustrative, sight }
}

fn block_name(number: &str, name: Option<&str>) -> String {
    name.map_or_else(|| format!("区块{number}"), str::to_owned)
}

fn parcel_word(ledger: Ledger) -> &'static str {
    match ledger {
        Ledger::LowEfficiency => "低效用地",
        _ => "地块",
    }
}

fn rings(shape: &MultiPolygon<f64>) -> impl Iterator<Item = &[Coord<f64>]> + Clone {
    shape
        .0
        .iter()
        .flat_map(|part| std::iter::once(part.exterior()).chain(part.interiors()))
        .map(|r: &LineString<f64>| r.0.as_slice())
}

/// The borders of other divisions; of its own where no other one is known on that side. Prefectures only where no county is drawn.
fn divisions(
    block: &ProposedBlock,
    divisions: &[NearDivision],
    lookout: &mut Lookout<'_>,
    sides: &mut [Vec<Candidate>; 4],
) {
    let Some(middle) = extremes::point_inside(&block.boundary) else { return };
    let has_counties = divisions.iter().any(|division| division.is_county);
    let is_own = |division: &NearDivision| {
        let shape = Shape::of_multi_polygon(&division.outline);
        shape.holds(middle.0, &mut Work::of_one_pair()).unwrap_or(false)
    };
    let (own, others): (Vec<&NearDivision>, Vec<&NearDivision>) =
        divisions.iter().filter(|d| d.is_county == has_counties).partition(|division| is_own(division));
    // Per side: another division's border is known at all; one that does not merely cut the block.
    let (mut known, mut bounded) = ([false; 4], [false; 4]);
    for (division, is_own) in others.iter().map(|d| (d, false)).chain(own.iter().map(|d| (d, true))) {
        let seen = lookout.look(rings(&division.outline));
        for (at, sight) in seen.into_iter().enumerate() {
            let Some(sight) = sight else { continue };
            // (The border that cuts the block is both divisions': it is told once.)
            if is_own && (bounded[at] || known[at] && sight.crossing) {
                continue;
            }
            known[at] |= !is_own;
            bounded[at] |= !is_own && !sight.crossing;
            let name = format!("{}界", division.name);
            sides[at]
                .push(Candidate { sight, ..named(NeighbourKind::Division, Some(division.code.clone()), name, false) });
        }
    }
}

fn summed_up(block: &ProposedBlock, sides: [Vec<Candidate>; 4], complete: bool) -> BlockView {
    let mut put = FourExtents::default();
    let sides = Direction::ALL.into_iter().zip(sides).map(|(side, mut candidates)| {
        candidates.sort_by(|a, b| {
            let distance = a.sight.distance_m.total_cmp(&b.sight.distance_m);
            distance.then(a.kind.cmp(&b.kind)).then_with(|| a.name.cmp(&b.name)).then_with(|| a.id.cmp(&b.id))
        });
        let neighbours: Vec<Neighbour<'_>> = candidates
            .iter()
            .map(|c| Neighbour {
                kind: c.kind,
                name: &c.name,
                distance_m: c.sight.distance_m,
                crosses: c.sight.crossing,
            })
            .collect();
        let words = words(side, &neighbours);
        let more = candidates.len().saturating_sub(MOST_LISTED);
        candidates.truncate(MOST_LISTED);
        SideView { side, candidates, more, words }
    });
    let sides: Vec<SideView> = sides.collect();
    for view in &sides {
        let slot = match view.side {
            Direction::East => &mut put.east,
            Direction::South => &mut put.south,
            Direction::West => &mut put.west,
            Direction::North => &mut put.north,
        };
        slot.clone_from(&view.words);
    }
    BlockView { block: block.number.clone(), sides, words: put, complete }
}

/// Pairs of block and parcel of which the parcel's land is the block's; and whether all pairs were compared.
fn own_parcels(blocks: &[ProposedBlock], parcels: &[NearParcel]) -> (HashSet<(usize, usize)>, bool) {
    let left: Vec<_> = blocks.iter().map(|b| &b.boundary).collect();
    let right: Vec<_> = parcels.iter().map(|p| &p.boundary).collect();
    let pairs = overlap::between(&left, &right, usize::MAX);
    let own = pairs.list.iter().filter_map(|pair| match pair.relation {
        Relation::Overlap { area } if area.value() > OWN_SHARE * parcels[pair.b].area_m2 => Some((pair.a, pair.b)),
        _ => None,
    });
    // What could not be compared meets the border many times: it bounds nothing that words could name.
    (own.chain(pairs.too_complex.iter().copied()).collect(), pairs.complete && pairs.too_complex.is_empty())
}
