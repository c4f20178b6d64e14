//! What a proposed boundary would mean, against the register as it stands: land that goes out and comes in, parcels, extremes, 四至,
//! conflicts, and the arithmetic of the paper beside that of the shapes.

pub mod land;
pub mod sides;

use chrono::NaiveDate;
use sqlx::{PgConnection, PgPool};

use self::land::Land;
use self::sides::{Around, BlockView, MOST_STEPS, REACH_M, View};
use super::Detail;
use super::proposal::differs_before;
use crate::domain::access::Viewer;
use crate::domain::boundary_change::{Landmark, ProposedBlock, State, StatedAreas};
use crate::domain::lifecycle::EventKind;
use crate::domain::overlap::Thresholds;
use crate::domain::overlap_check::Purpose;
use crate::domain::{Finding, Ledger, ParkCode, Place};
use crate::error::{Error, Result};
use crate::geometry::metres::Plane;
use crate::geometry::overlap::Shape;
use crate::inventory::import::off_async_threads;
use crate::inventory::overlap_check::{CheckRequest, Compared, Desk};
use crate::layers::catalogue::Catalogue;
use crate::store::boundary_changes::{self, NearBlock, NearDivision, NearParcel, Standing};
use crate::store::overlap_checks::SubjectRow;
use crate::store::{self, as_of, park_changes};

/// Parcels of one ledger around a proposal; beyond, some are not looked at, and the assessment says so.
pub const MOST_PARCELS: usize = 10_000;
/// Stated and computed area may differ by this share before it is told, as in an import.
const AREA_TOLERANCE: f64 = 0.01;

/// The whole assessment.
#[derive(Debug)]
pub struct Assessment {
    pub park: ParkCode,
    pub park_name: String,
    /// The revision of the register that it is of: what an approval may name as `assessed_revision`.
    pub revision: i64,
    pub on: NaiveDate,
    pub areas: StatedAreas,
    pub standing: Standing,
    pub blocks: Vec<ProposedBlock>,
    pub land: Land,
    pub parcels: Vec<NearParcel>,
    pub sides: Vec<BlockView>,
    pub conflicts: Compared,
    /// What is wrong or odd: sums, differences, a base that moved, what was not compared.
    pub findings: Vec<Finding>,
}

/// Assesses a change against the register as it stands (an approved one: as its approval found it), or as a draft would have it.
pub async fn assess(
    pool: &PgPool,
    desk: &Desk,
    viewer: &Viewer,
    catalogue: &Catalogue,
    detail: &Detail,
    today: NaiveDate,
) -> Result<Assessment> {
    let change = &detail.change;
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    // What an approved change meant is told against the register as its approval found it: now the new boundary is the current one.
    let approval = detail.steps.last().filter(|_| change.state == State::Approved).map(|step| step.revision);
    let mut findings = Vec::new();
    if let Some(approval) = approval {
        findings.extend(approved_beside(&mut transaction, &change.park, approval).await?);
    }
    let past = approval.map(|revision| revision - 1);
    let (standing, revision) = standing_at(&mut transaction, &change.park, past).await?;
    let boxes = boxes(&standing, &detail.blocks);
    let parcels = parcels_around(&mut transaction, &boxes, &mut findings).await?;
    let blocks = boundary_changes::blocks_around(&mut transaction, &change.park, &boxes).await?;
    let divisions = boundary_changes::divisions_around(&mut transaction, &boxes).await?;
    // A change that has ended rests on nothing any more.
    let moved = match change.state.is_open() {
        true => boundary_changes::blocks_changed_since(&mut transaction, &change.park, change.base_revision).await?,
        false => Vec::new(),
    };
    transaction.commit().await?;

    if !moved.is_empty() {
        let message = format!(
            "方案依据的界线（修订 {}）之后，该园区有 {} 个区块又被修改；本评估以现在的界线（修订 {revision}）为准",
            change.base_revision,
            moved.len()
        );
        findings.push(Finding::warning("base_moved", Place::whole(), message));
    }
    let conflicts = conflicts(desk, viewer, catalogue, (&change.park, past), &detail.blocks).await?;
    let work = Work {
        standing,
        proposed: detail.blocks.clone(),
        landmarks: change.landmarks.clone(),
        parcels,
        blocks,
        divisions,
    };
    let (work, land, view) = off_async_threads(move || {
        let (land, view) = work.compare();
        (work, land, view)
    })
    .await?;
    findings.extend(arithmetic(&change.park, &change.areas, &work, &land));
    findings.extend(incomplete(&land, &view));
    let Work { standing, proposed, parcels, .. } = work;
    Ok(Assessment {
        park: change.park.clone(),
        park_name: change.park_name.clone(),
        revision,
        on: today,
        areas: change.areas,
        standing,
        blocks: proposed,
        land,
        parcels,
        sides: view.blocks,
        conflicts,
        findings,
    })
}

/// The park and its blocks behind a revision of the past, or now; and the revision. From here on the transaction sees that state.
async fn standing_at(connection: &mut PgConnection, park: &ParkCode, past: Option<i64>) -> Result<(Standing, i64)> {
    let present = match past {
        Some(_) => boundary_changes::list_standing(connection, park).await?,
        None => None,
    };
    let revision = as_of::turn_back(connection, past).await?;
    let standing = boundary_changes::list_standing(connection, park).await?;
    // A park that began in the revision of the approval had no land before it.
    let begun = || present.map(|park| Standing { approved_area: None, blocks: Vec::new(), since: Vec::new(), ..park });
    let missing = || Error::conflict("park_unknown", format!("园区 {park} 不在名录中"));
    Ok((standing.or_else(begun).ok_or_else(missing)?, revision))
}

/// Parcels of both ledgers near the blocks, and word of those that are too many.
async fn parcels_around(
    connection: &mut PgConnection,
    boxes: &[[f64; 4]],
    findings: &mut Vec<Finding>,
) -> Result<Vec<NearParcel>> {
    let mut parcels = Vec::new();
    for ledger in [Ledger::Turnover, Ledger::LowEfficiency] {
        let mut found = boundary_changes::parcels_around(connection, ledger, boxes, MOST_PARCELS).await?;
        if found.len() > MOST_PARCELS {
            found.truncate(MOST_PARCELS);
            let message = format!("方案周围的{}超过 {MOST_PARCELS} 宗，只评估了前 {MOST_PARCELS} 宗", ledger.label());
            findings.push(Finding::warning("assessment_incomplete", Place::whole(), message));
        }
        parcels.append(&mut found);
    }
    Ok(parcels)
}

/// A scenario does several deeds as one revision: what was done to the park beside the approval is no part of what this one meant, and yet
/// comes after the register that it is told against.
async fn approved_beside(connection: &mut PgConnection, park: &ParkCode, approval: i64) -> Result<Option<Finding>> {
    let is_boundary =
        |kind: EventKind| matches!(kind, EventKind::Extended | EventKind::Adjusted | EventKind::AdjustedAndExtended);
    let events = park_changes::events(connection, approval).await?;
    let beside: Vec<&str> = events
        .iter()
        .filter(|(_, _, event)| event["park_code"] == park.as_str())
        .filter_map(|(kind, ..)| EventKind::parse(kind).filter(|kind| !is_boundary(*kind)))
        .map(EventKind::label)
        .collect();
    if beside.is_empty() {
        return Ok(None);
    }
    let message = format!(
        "批准与该园区的{}在同一修订 {approval} 中完成（推演方案）；本评估以这些变更之前的登记库为准",
        beside.join("、")
    );
    Ok(Some(Finding::warning("assessed_before_events", Place::whole(), message)))
}

/// What the comparison works on.
struct Work {
    standing: Standing,
    proposed: Vec<ProposedBlock>,
    landmarks: Vec<Landmark>,
    parcels: Vec<NearParcel>,
    blocks: Vec<NearBlock>,
    divisions: Vec<NearDivision>,
}

impl Work {
    fn compare(&self) -> (Land, View) {
        let land = land::compare(&self.standing.blocks, &self.proposed, &self.parcels);
        let around = Around {
            landmarks: &self.landmarks,
            blocks: &self.blocks,
            parcels: &self.parcels,
            divisions: &self.divisions,
        };
        (land, sides::view(&self.proposed, &around, MOST_STEPS))
    }
}

/// What bounds on work have left out.
fn incomplete(land: &Land, view: &View) -> Vec<Finding> {
    let missed = land.not_compared.iter().cloned().chain(not_looked_at(view));
    missed.map(|what| Finding::warning("assessment_incomplete", Place::whole(), what)).collect()
}

/// What of the 四至 was not looked at, in words: who reads that nothing lies there must know it.
fn not_looked_at(view: &View) -> Vec<String> {
    let stopped = view.blocks.iter().filter(|block| !block.complete);
    let mut missed: Vec<String> = stopped
        .map(|block| format!("区块“{}”的四至没有全部查看：周围的地物、界线太多，其候选和文字可能有遗漏", block.block))
        .collect();
    if !view.parcels_compared {
        missed.push(
            "区块与地块的相交处太多，没有全部比较：四至候选中可能有区块内的地块，也可能缺少相邻的地块".to_owned(),
        );
    }
    missed
}

/// The boxes of all blocks, current and proposed, and what lies within reach of them.
fn boxes(standing: &Standing, proposed: &[ProposedBlock]) -> Vec<[f64; 4]> {
    let current = standing.blocks.iter().map(|b| &b.boundary);
    let shapes = current.chain(proposed.iter().map(|b| &b.boundary));
    let widened = |bbox: [f64; 4]| {
        let middle = geo::Coord { x: (bbox[0] + bbox[2]) / 2.0, y: (bbox[1] + bbox[3]) / 2.0 };
        let (east, north) = Plane::around(middle).degrees(REACH_M);
        [bbox[0] - east, bbox[1] - north, bbox[2] + east, bbox[3] + north]
    };
    shapes.filter_map(|shape| Shape::of_multi_polygon(shape).bbox()).map(widened).collect()
}

/// The proposed blocks against all that a check of overlaps would compare them with, but for the park's own and the parcels, which have
/// a part of their own.
async fn conflicts(
    desk: &Desk,
    viewer: &Viewer,
    catalogue: &Catalogue,
    (park, revision): (&ParkCode, Option<i64>),
    blocks: &[ProposedBlock],
) -> Result<Compared> {
    let request = CheckRequest {
        title: String::new(),
        purpose: Purpose::ParkBoundary,
        layers: None,
        thresholds: Thresholds::default(),
        on_day: None,
        revision,
    };
    let subject = |block: &ProposedBlock| SubjectRow {
        label: block.name.clone().unwrap_or_else(|| format!("区块{}", block.number)),
        // As the park itself: it is not compared with its own blocks.
        layer: Some("parks".to_owned()),
        feature_id: Some(park.to_string()),
        area_m2: block.area_m2,
        geometry: block.boundary.clone(),
    };
    let subjects = blocks.iter().map(subject).collect();
    desk.compare_shapes(viewer, catalogue, &request, subjects, false).await
}

/// The sums of the paper, to the digit; and the paper against the shapes.
fn arithmetic(park: &ParkCode, areas: &StatedAreas, work: &Work, land: &Land) -> Vec<Finding> {
    let stated: Vec<_> = work.proposed.iter().map(|block| block.stated_area).collect();
    let mut findings = areas.check(park, &stated);
    // Not only when it was proposed: the register may have another approved area since.
    findings.extend(differs_before(areas, work.standing.approved()));
    let computed = [
        ("before", "调整前", areas.before, land.before_m2),
        ("out", "调出", areas.out, land.m2(land::Side::Out)),
        ("in", "新扩入", areas.added, land.m2(land::Side::In)),
        ("after", "调整后", areas.after, land.after_m2),
    ];
    for (name, what, paper, m2) in computed {
        let paper_m2 = paper.square_metres() as f64;
        let difference = (m2 - paper_m2).abs();
        // Of nothing every square metre is more than one per cent; a hundred of them are one hundredth of a hectare, as papers print.
        if difference > AREA_TOLERANCE * paper_m2 && difference > 100.0 {
            let message = format!(
                "{what}面积：文件为 {paper} 公顷，按界线计算为 {:.4} 公顷，相差 {:.4} 公顷",
                m2 / 10_000.0,
                (m2 - paper_m2) / 10_000.0
            );
            findings.push(Finding::warning("computed_area_differs", Place::whole().field(name), message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use geo::Coord;

    use super::*;
    use crate::domain::FourExtents;
    use crate::domain::lifecycle::DecimalHectares;

    /// About a square kilometre each, the second one east of the first.
    fn blocks() -> Vec<ProposedBlock> {
        let block = |number: &str, west: f64| {
            let (low, high) = (Coord { x: west, y: 28.2 }, Coord { x: west + 0.01, y: 28.21 });
            ProposedBlock {
                number: number.to_owned(),
                name: None,
                boundary: geo::MultiPolygon(vec![geo::Rect::new(low, high).to_polygon()]),
                area_m2: 1_090_000.0,
                stated_area: DecimalHectares::default(),
                four_extents: FourExtents::default(),
                four_extents_text: None,
                surveyed: true,
            }
        };
        vec![block("1", 112.9), block("2", 112.91)]
    }

    /// A road 330 m north of both.
    fn road() -> Vec<Landmark> {
        let path = vec![Coord { x: 112.901, y: 28.213 }, Coord { x: 112.919, y: 28.213 }];
        vec![Landmark { name: "长张高速".to_owned(), path }]
    }

    fn looked(steps: u64) -> View {
        let landmarks = road();
        let around = Around { landmarks: &landmarks, blocks: &[], parcels: &[], divisions: &[] };
        sides::view(&blocks(), &around, steps)
    }

    #[test]
    fn what_the_bound_on_work_leaves_out_is_told_block_by_block() {
        let all = looked(MOST_STEPS);
        let north: Vec<Option<&str>> = all.blocks.iter().map(|b| b.words.north.as_deref()).collect();
        assert!(north.iter().all(|words| words.is_some_and(|words| words.starts_with("长张高速以南"))), "{north:?}");
        assert!(incomplete(&Land::default(), &all).is_empty());

        // One bound for all blocks: what the first one spends, the second one has not.
        let told = |number: &str| {
            let message = format!("区块“{number}”的四至没有全部查看：周围的地物、界线太多，其候选和文字可能有遗漏");
            Finding::warning("assessment_incomplete", Place::whole(), message)
        };
        let none = looked(3);
        assert_eq!(incomplete(&Land::default(), &none), [told("1"), told("2")]);
        let enough_for_one = (1..1_000).find(|steps| looked(*steps).blocks[0].complete).expect("steps");
        assert_eq!(incomplete(&Land::default(), &looked(enough_for_one)), [told("2")]);
    }

    #[test]
    fn land_and_parcels_that_were_not_compared_are_told_too() {
        let land = Land { not_compared: vec!["界线相交太多".to_owned()], ..Land::default() };
        let view = View { blocks: Vec::new(), parcels_compared: false };
        let messages: Vec<String> = incomplete(&land, &view).into_iter().map(|finding| finding.message).collect();
        let parcels = "区块与地块的相交处太多，没有全部比较：四至候选中可能有区块内的地块，也可能缺少相邻的地块";
        assert_eq!(messages, ["界线相交太多", parcels]);
    }
}
