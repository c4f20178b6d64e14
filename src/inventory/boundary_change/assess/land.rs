//! The land that goes out and comes in: shapes and areas, by block, by parcel, by land class. Pure, and slow where boundaries are long: run
//! it off the async threads.
//!
//! What one side has and the other has not is measured itself ([`overlap::rest`]), not reckoned by subtraction. The survey formula takes
//! the middle longitude of an edge, so that land cut across slanting edges adds up to a slightly different number: [`Land::closing_m2`]
//! says by how much before − out + in misses after.

use std::collections::{BTreeMap, HashMap};

use geo::MultiPolygon;

use crate::domain::boundary_change::ProposedBlock;
use crate::domain::{Block, Ledger};
use crate::geometry::overlap::{self, Relation, Shape, Work};
use crate::store::boundary_changes::NearParcel;

/// Steps of all the cutting of one assessment: some seconds.
const MOST_STEPS: u64 = 400_000_000;
/// Parcels that are cut out of a piece of land one after the other, to find what lies in none.
const MOST_CUT: usize = 1_000;
/// Less of a parcel than this is the rounding of a shared edge, as where parcels are placed (`inventory::land`).
const LEAST_SHARE: f64 = 0.001;
/// Beyond six digits a share is rounding.
const WHOLE: f64 = 1.0 - 1e-6;

/// Land of one block that goes out or comes in.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Number of the block that has it: before, of land that goes out; after, of land that comes in.
    pub block: String,
    pub m2: f64,
    pub land: MultiPolygon<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// 调出.
    Out,
    /// 新扩入.
    In,
}

impl Side {
    pub const ALL: [Side; 2] = [Side::Out, Side::In];

    pub fn as_str(self) -> &'static str {
        match self {
            Side::Out => "out",
            Side::In => "in",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Side::Out => "调出",
            Side::In => "新扩入",
        }
    }
}

/// Land of one class on one side.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassRow {
    pub side: Side,
    pub ledger: Ledger,
    pub system: Option<String>,
    pub code: Option<String>,
    pub parcels: usize,
    pub m2: f64,
}

/// What becomes of a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// Nothing of it is in the park any more.
    FallsOut,
    /// It was not in the park and is.
    ComesIn,
    /// Some of it leaves, some stays.
    PartlyOut,
    /// Some of it was in, more is.
    PartlyIn,
    /// Some leaves, some comes.
    Both,
}

impl Fate {
    pub const ALL: [Fate; 5] = [Fate::FallsOut, Fate::ComesIn, Fate::PartlyOut, Fate::PartlyIn, Fate::Both];

    pub fn as_str(self) -> &'static str {
        match self {
            Fate::FallsOut => "falls_out",
            Fate::ComesIn => "comes_in",
            Fate::PartlyOut => "partly_out",
            Fate::PartlyIn => "partly_in",
            Fate::Both => "out_and_in",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Fate::FallsOut => "调出园区",
            Fate::ComesIn => "调入园区",
            Fate::PartlyOut => "部分调出",
            Fate::PartlyIn => "部分调入",
            Fate::Both => "有出有入",
        }
    }
}

/// A parcel that changed land lies in.
#[derive(Debug, Clone, PartialEq)]
pub struct ParcelRow {
    /// Position among the parcels that were handed in.
    pub at: usize,
    pub fate: Fate,
    pub out_m2: f64,
    pub in_m2: f64,
    /// What part of it lies in the park before and after, 0 to 1.
    pub share_before: f64,
    pub share_after: f64,
    /// The block that most of it lies in.
    pub block_before: Option<String>,
    pub block_after: Option<String>,
    pub whole_out: bool,
    pub whole_in: bool,
}

/// All that the change does to land.
#[derive(Debug, Clone, Default)]
pub struct Land {
    pub before_m2: f64,
    pub after_m2: f64,
    pub out: Vec<Piece>,
    pub added: Vec<Piece>,
    /// By side, ledger, system, code.
    pub classes: Vec<ClassRow>,
    /// Land of each side in no parcel that the viewer may see; `None` where that was too much work …
    pub in_none_m2: [Option<f64>; 2],
    /// … and why it was.
    pub none_unknown: [Option<String>; 2],
    pub parcels: Vec<ParcelRow>,
    /// Blocks whose borders meet too often to be compared, in words.
    pub not_compared: Vec<String>,
}

impl Land {
    pub fn pieces(&self, side: Side) -> &[Piece] {
        match side {
            Side::Out => &self.out,
            Side::In => &self.added,
        }
    }

    pub fn m2(&self, side: Side) -> f64 {
        // (The sum of nothing is −0.)
        self.pieces(side).iter().map(|piece| piece.m2).sum::<f64>() + 0.0
    }

    /// before − out + in − after: what the formula makes of cut edges, nothing else.
    pub fn closing_m2(&self) -> f64 {
        self.before_m2 - self.m2(Side::Out) + self.m2(Side::In) - self.after_m2
    }
}

/// Compares the park's current blocks with the proposed ones, and both with these parcels.
pub fn compare(standing: &[Block], proposed: &[ProposedBlock], parcels: &[NearParcel]) -> Land {
    let mut budget = MOST_STEPS;
    let old: Vec<Named<'_>> = standing.iter().map(|b| (b.id.number(), &b.boundary)).collect();
    let new: Vec<Named<'_>> = proposed.iter().map(|b| (b.number.as_str(), &b.boundary)).collect();
    let mut land = Land {
        before_m2: standing.iter().map(|b| b.area.value()).sum::<f64>() + 0.0,
        after_m2: proposed.iter().map(|b| b.area_m2).sum::<f64>() + 0.0,
        ..Land::default()
    };
    land.out = rests(&old, &new, &mut budget, &mut land.not_compared);
    land.added = rests(&new, &old, &mut budget, &mut land.not_compared);
    by_parcel(&mut land, &old, &new, parcels, &mut budget);
    land
}

type Named<'a> = (&'a str, &'a MultiPolygon<f64>);

/// What each of the blocks has and none of the others has.
fn rests(blocks: &[Named<'_>], others: &[Named<'_>], budget: &mut u64, missed: &mut Vec<String>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (number, boundary) in blocks {
        // (The same block first: most of it is taken away at once.)
        let mut order: Vec<&Named<'_>> = others.iter().collect();
        order.sort_by_key(|(other, _)| other != number);
        let taken = order.iter().map(|(_, shape)| *shape);
        match without(boundary, taken, budget) {
            Some((m2, land)) if m2 > 0.0 => pieces.push(Piece { block: (*number).to_owned(), m2, land }),
            Some(_) => {}
            None => missed.push(format!("区块“{number}”的新旧界线相交太多，调出和新扩入的土地没有算全")),
        }
    }
    pieces
}

/// What is left of land once all of these are taken away, one after the other; `None` where that is too much work.
fn without<'a>(
    land: &MultiPolygon<f64>,
    taken: impl Iterator<Item = &'a MultiPolygon<f64>>,
    budget: &mut u64,
) -> Option<(f64, MultiPolygon<f64>)> {
    let mut left = land.clone();
    let mut m2 = Shape::of_multi_polygon(&left).area_m2();
    for other in taken {
        let (a, b) = (Shape::of_multi_polygon(&left), Shape::of_multi_polygon(other));
        let (Some(own), Some(its)) = (a.bbox(), b.bbox()) else { break };
        if own[2] < its[0] || its[2] < own[0] || own[3] < its[1] || its[3] < own[1] {
            continue;
        }
        let mut work = Work::of((*budget).min(20_000_000));
        let rest = overlap::rest(&a, &b, &mut work).ok()?;
        *budget = budget.saturating_sub(work.spent().max(1));
        drop((a, b));
        (m2, left) = (rest.area_m2, rest.land);
    }
    if left.0.is_empty() { Some((0.0, left)) } else { Some((m2, left)) }
}

/// Land of each parcel in each of these shapes, by parcel; and whether all pairs were compared.
fn shares(parcels: &[&MultiPolygon<f64>], shapes: &[&MultiPolygon<f64>]) -> (HashMap<usize, Vec<(usize, f64)>>, bool) {
    let pairs = overlap::between(parcels, shapes, usize::MAX);
    let mut of_parcel: HashMap<usize, Vec<(usize, f64)>> = HashMap::new();
    for pair in &pairs.list {
        if let Relation::Overlap { area } = pair.relation {
            of_parcel.entry(pair.a).or_default().push((pair.b, area.value()));
        }
    }
    (of_parcel, pairs.complete && pairs.too_complex.is_empty())
}

fn by_parcel(land: &mut Land, old: &[Named<'_>], new: &[Named<'_>], parcels: &[NearParcel], budget: &mut u64) {
    let boundaries: Vec<&MultiPolygon<f64>> = parcels.iter().map(|p| &p.boundary).collect();
    let pieces = |list: &[Piece]| list.iter().map(|piece| piece.land.clone()).collect::<Vec<_>>();
    let changed = [pieces(&land.out), pieces(&land.added)];
    let (out, all_out) = shares(&boundaries, &changed[0].iter().collect::<Vec<_>>());
    let (added, all_in) = shares(&boundaries, &changed[1].iter().collect::<Vec<_>>());
    let mut touched: Vec<usize> = out.keys().chain(added.keys()).copied().collect();
    touched.sort_unstable();
    touched.dedup();
    let near: Vec<&MultiPolygon<f64>> = touched.iter().map(|at| boundaries[*at]).collect();
    let (before, all_before) = shares(&near, &old.iter().map(|(_, shape)| *shape).collect::<Vec<_>>());
    let (after, all_after) = shares(&near, &new.iter().map(|(_, shape)| *shape).collect::<Vec<_>>());
    if !(all_out && all_in && all_before && all_after) {
        land.not_compared.push("有地块与界线相交太多，没有全部比较".to_owned());
    }
    let sum = |list: Option<&Vec<(usize, f64)>>| list.into_iter().flatten().map(|(_, m2)| m2).sum::<f64>() + 0.0;
    for (position, at) in touched.iter().copied().enumerate() {
        let whole = parcels[at].area_m2;
        let share = |m2: f64| ((m2 / whole).min(1.0) * 1e6).round() / 1e6;
        let (out_m2, in_m2) = (sum(out.get(&at)), sum(added.get(&at)));
        let (share_out, share_in) = (share(out_m2), share(in_m2));
        if share_out < LEAST_SHARE && share_in < LEAST_SHARE {
            continue;
        }
        let (share_before, share_after) = (share(sum(before.get(&position))), share(sum(after.get(&position))));
        let block = |of: &HashMap<usize, Vec<(usize, f64)>>, blocks: &[Named<'_>]| {
            let most = of.get(&position)?.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
            Some(blocks[most.0].0.to_owned())
        };
        land.parcels.push(ParcelRow {
            at,
            fate: fate(share_out, share_in, share_before, share_after),
            out_m2,
            in_m2,
            share_before,
            share_after,
            block_before: block(&before, old).filter(|_| share_before >= LEAST_SHARE),
            block_after: block(&after, new).filter(|_| share_after >= LEAST_SHARE),
            whole_out: share_out >= WHOLE,
            whole_in: share_in >= WHOLE,
        });
    }
    land.classes = classes(parcels, &[&out, &added]);
    for (side, of_parcel) in [&out, &added].into_iter().enumerate() {
        match in_none(land.pieces(Side::ALL[side]), of_parcel, &boundaries, budget) {
            Ok(m2) => land.in_none_m2[side] = Some(m2),
            Err(why) => {
                land.not_compared
                    .push(format!("{}的土地中不在任何地块内的面积没有计算：{why}", Side::ALL[side].label()));
                land.none_unknown[side] = Some(why);
            }
        }
    }
}

fn fate(out: f64, added: f64, before: f64, after: f64) -> Fate {
    match (out >= LEAST_SHARE, added >= LEAST_SHARE) {
        (true, true) => Fate::Both,
        (true, false) if after < LEAST_SHARE => Fate::FallsOut,
        (true, false) => Fate::PartlyOut,
        (false, _) if before < LEAST_SHARE => Fate::ComesIn,
        (false, _) => Fate::PartlyIn,
    }
}

fn classes(parcels: &[NearParcel], sides: &[&HashMap<usize, Vec<(usize, f64)>>; 2]) -> Vec<ClassRow> {
    type Key<'a> = (Side, &'static str, Option<&'a str>, Option<&'a str>);
    let mut rows: BTreeMap<Key<'_>, (Ledger, usize, f64)> = BTreeMap::new();
    for (side, of_parcel) in Side::ALL.into_iter().zip(sides) {
        // In an order of their own: sums of the same numbers must give the same digits.
        let mut of_parcel: Vec<_> = of_parcel.iter().collect();
        of_parcel.sort_unstable_by_key(|(at, _)| **at);
        for (at, list) in of_parcel {
            let parcel = &parcels[*at];
            let key = (side, parcel.ledger.table(), parcel.land_use_system.as_deref(), parcel.land_use_code.as_deref());
            let row = rows.entry(key).or_insert((parcel.ledger, 0, 0.0));
            row.1 += 1;
            row.2 += list.iter().map(|(_, m2)| m2).sum::<f64>();
        }
    }
    let owned = |text: Option<&str>| text.map(str::to_owned);
    rows.into_iter()
        .map(|((side, _, system, code), (ledger, parcels, m2))| ClassRow {
            side,
            ledger,
            system: owned(system),
            code: owned(code),
            parcels,
            m2,
        })
        .collect()
}

/// Land of the pieces in no parcel, cut out and measured; else why not.
fn in_none(
    pieces: &[Piece],
    of_parcel: &HashMap<usize, Vec<(usize, f64)>>,
    parcels: &[&MultiPolygon<f64>],
    budget: &mut u64,
) -> Result<f64, String> {
    let mut sum = 0.0;
    for (at, piece) in pieces.iter().enumerate() {
        let mut within: Vec<usize> = of_parcel
            .iter()
            .filter(|(_, list)| list.iter().any(|(p, _)| *p == at))
            .map(|(parcel, _)| *parcel)
            .collect();
        if within.len() > MOST_CUT {
            return Err(format!("区块“{}”的土地涉及 {} 宗地块，超过 {MOST_CUT} 宗", piece.block, within.len()));
        }
        within.sort_unstable();
        let left = without(&piece.land, within.iter().map(|at| parcels[*at]), budget);
        let (m2, _) = left.ok_or_else(|| format!("区块“{}”的土地与地块的界线相交太多", piece.block))?;
        sum += m2;
    }
    Ok(sum)
}
