//! Whom a park came from and who came from it; and which parks lay on a day where it lies now.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;
use geo::{BoundingRect, MultiPolygon};
use sqlx::PgPool;

use crate::domain::ParkCode;
use crate::domain::access::Viewer;
use crate::error::{Error, Result};
use crate::geometry::{area, overlap};
use crate::inventory::import::off_async_threads;
use crate::store::park_days::{self, DayPark};
use crate::store::park_lineage::{self, DayBlock, EventRow, ParkNode};
use crate::store::{self, as_of};

/// Parks of one graph at most; beside them it is told that there are more.
const MOST_NODES: usize = 500;
/// Common land up to this is the rounding of a shared edge (imports call it a sliver).
const SLIVER_M2: f64 = 1.0;

/// Which side of the park another stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Itself,
    Ancestor,
    Descendant,
}

impl Place {
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Itself => "self",
            Place::Ancestor => "ancestor",
            Place::Descendant => "descendant",
        }
    }
}

/// The graph of one park.
#[derive(Debug, Clone, PartialEq)]
pub struct Lineage {
    /// The park first, then its ancestors and descendants, the nearest first: node, place, steps away.
    pub nodes: Vec<(ParkNode, Place, usize)>,
    /// Every event of these parks, the first one first.
    pub events: Vec<EventRow>,
    /// False where parks were left out for their number.
    pub complete: bool,
    pub revision: i64,
}

/// The graph around a park as the register stands, or as a revision left it; `None` where there is no such park.
pub async fn lineage(pool: &PgPool, code: &ParkCode, asked: Option<i64>) -> Result<Option<Lineage>> {
    let mut transaction = store::begin_read(pool).await?;
    let revision = as_of::turn_back(&mut transaction, asked).await?;
    let descents = park_lineage::descents(&mut transaction).await?;
    let (places, complete) = around(code.as_str(), &descents);
    let codes: Vec<String> = places.keys().cloned().collect();
    let mut nodes: Vec<(ParkNode, Place, usize)> = park_lineage::nodes(&mut transaction, &codes)
        .await?
        .into_iter()
        .filter_map(|node| places.get(&node.code).map(|(place, steps)| (node, *place, *steps)))
        .collect();
    nodes.sort_by(|a, b| (a.1, a.2, &a.0.code).cmp(&(b.1, b.2, &b.0.code)));
    let events = park_lineage::events_of(&mut transaction, &codes).await?;
    transaction.commit().await?;
    let found = nodes.first().is_some_and(|(node, place, _)| *place == Place::Itself && node.code == code.as_str());
    Ok(found.then_some(Lineage { nodes, events, complete, revision }))
}

/// Every park that is reached upwards alone or downwards alone, with its distance.
fn around(code: &str, descents: &[(String, String)]) -> (BTreeMap<String, (Place, usize)>, bool) {
    let (mut up, mut down): (HashMap<&str, Vec<&str>>, HashMap<&str, Vec<&str>>) = (HashMap::new(), HashMap::new());
    for (parent, child) in descents {
        up.entry(child).or_default().push(parent);
        down.entry(parent).or_default().push(child);
    }
    let mut places = BTreeMap::from([(code.to_owned(), (Place::Itself, 0))]);
    let mut complete = true;
    for (place, next) in [(Place::Ancestor, &up), (Place::Descendant, &down)] {
        let mut seen = BTreeSet::from([code]);
        let mut ring = vec![code];
        let mut steps = 0;
        while !ring.is_empty() {
            steps += 1;
            let found: BTreeSet<&str> = ring.iter().filter_map(|at| next.get(at)).flatten().copied().collect();
            ring = found.into_iter().filter(|found| seen.insert(found)).collect();
            for found in &ring {
                if places.len() >= MOST_NODES && !places.contains_key(*found) {
                    complete = false;
                    continue;
                }
                places.entry((*found).to_owned()).or_insert((place, steps));
            }
        }
    }
    (places, complete)
}

/// A park of that day on land that another has now.
#[derive(Debug, Clone, PartialEq)]
pub struct Predecessor {
    pub park: DayPark,
    /// Ellipsoidal, of the land that both have.
    pub common_area_m2: f64,
    /// What part of the park's land of now it is, 0 to 1.
    pub share_of_this: f64,
    /// What part of that park's land of that day it is, 0 to 1.
    pub share_of_that: f64,
    /// One of the boundaries was drawn, not surveyed.
    pub illustrative: bool,
}

/// Which parks lay where one lies now.
#[derive(Debug, Clone, PartialEq)]
pub struct Predecessors {
    /// The largest common land first.
    pub parks: Vec<Predecessor>,
    /// Ellipsoidal area of the park's boundary of now; `None` where it has none.
    pub area_m2: Option<f64>,
    pub illustrative: bool,
    /// The last day of the park's boundary, where it has ended: that is what was compared.
    pub ended_on: Option<NaiveDate>,
    pub revision: i64,
}

/// Which parks on that day lay where the park lies now; where it has ended, where it lay last. `None` where there is no such park.
///
/// # Errors
/// `Conflict` where boundaries meet too often to be compared: a part of the answer would look like all of it.
pub async fn predecessors(
    pool: &PgPool,
    viewer: &Viewer,
    code: &ParkCode,
    on: NaiveDate,
) -> Result<Option<Predecessors>> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let revision = as_of::newest(&mut transaction).await?;
    let nodes = park_lineage::nodes(&mut transaction, &[code.to_string()]).await?;
    let Some(node) = nodes.into_iter().next() else { return Ok(None) };
    let own = park_lineage::last_blocks(&mut transaction, code.as_str()).await?;
    let others = match bounds(&own) {
        Some(bounds) => park_lineage::blocks_meeting(&mut transaction, on, bounds).await?,
        None => Vec::new(),
    };
    let area_m2 = (!own.is_empty()).then(|| own.iter().map(|block| block.area_m2).sum::<f64>());
    let illustrative = own.iter().any(|block| block.illustrative);
    let codes: BTreeSet<String> = others.iter().map(|block| block.park.clone()).collect();
    let codes: Vec<String> = codes.into_iter().collect();
    let areas: HashMap<String, f64> = park_lineage::areas_on(&mut transaction, on, &codes).await?.into_iter().collect();
    let parks: HashMap<String, DayPark> = park_days::list(&mut transaction, on, Some(&codes))
        .await?
        .into_iter()
        .map(|park| (park.code.clone(), park))
        .collect();
    transaction.commit().await?;
    // Last of all: no transaction waits for it, which the database ends after ten idle seconds.
    let common = off_async_threads(move || common_land(&own, &others)).await??;
    let mut found: Vec<Predecessor> = common
        .into_iter()
        .filter(|(_, (m2, _))| *m2 > SLIVER_M2)
        .filter_map(|(code, (common_area_m2, drawn))| {
            let share = |whole: Option<f64>| whole.filter(|w| *w > 0.0).map_or(0.0, |w| (common_area_m2 / w).min(1.0));
            Some(Predecessor {
                park: parks.get(&code)?.clone(),
                common_area_m2,
                share_of_this: share(area_m2),
                share_of_that: share(areas.get(&code).copied()),
                illustrative: illustrative || drawn,
            })
        })
        .collect();
    found.sort_by(|a, b| b.common_area_m2.total_cmp(&a.common_area_m2).then(a.park.code.cmp(&b.park.code)));
    Ok(Some(Predecessors { parks: found, area_m2, illustrative, ended_on: node.valid_to, revision }))
}

fn bounds(blocks: &[DayBlock]) -> Option<[f64; 4]> {
    let boxes = blocks.iter().filter_map(|block| block.boundary.bounding_rect());
    boxes
        .map(|b| [b.min().x, b.min().y, b.max().x, b.max().y])
        .reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])])
}

/// Common land by park of the others, and whether one of its blocks there was drawn.
fn common_land(own: &[DayBlock], others: &[DayBlock]) -> Result<BTreeMap<String, (f64, bool)>> {
    let shapes =
        |blocks: &[DayBlock]| -> Vec<MultiPolygon<f64>> { blocks.iter().map(|b| b.boundary.clone()).collect() };
    let (own_shapes, other_shapes) = (shapes(own), shapes(others));
    let (a, b): (Vec<_>, Vec<_>) = (own_shapes.iter().collect(), other_shapes.iter().collect());
    let pairs = overlap::between(&a, &b, usize::MAX);
    if !pairs.complete || !pairs.too_complex.is_empty() {
        return Err(Error::conflict("geometry_too_complex", "园区的边界相交太多，无法在限定的计算量内比较"));
    }
    let mut common: BTreeMap<String, (f64, bool)> = BTreeMap::new();
    for pair in pairs.list {
        let overlap::Relation::Overlap { area } = pair.relation else { continue };
        let other = &others[pair.b];
        let held = common.entry(other.park.clone()).or_default();
        // Where all of a block is common, its own area is the measure of record.
        let whole = area::ellipsoidal(&other.boundary).value();
        held.0 += area.value().min(whole);
        held.1 |= other.illustrative;
    }
    Ok(common)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_and_descendants_but_no_cousins() {
        let line = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let descents = [line("A", "C"), line("B", "C"), line("C", "D"), line("A", "X"), line("D", "A")];
        let (places, complete) = around("C", &descents);
        let told: Vec<(String, &str, usize)> =
            places.into_iter().map(|(code, (place, steps))| (code, place.as_str(), steps)).collect();
        let expected = [
            ("A", "ancestor", 1),
            ("B", "ancestor", 1),
            ("C", "self", 0),
            ("D", "ancestor", 2),
            ("X", "descendant", 3),
        ];
        assert_eq!(told, expected.map(|(code, place, steps)| (code.to_owned(), place, steps)));
        assert!(complete);
        let many: Vec<(String, String)> = (0..600).map(|n| line("R", &format!("N{n}"))).collect();
        let (places, complete) = around("R", &many);
        assert_eq!((places.len(), complete), (MOST_NODES, false));
    }
}
