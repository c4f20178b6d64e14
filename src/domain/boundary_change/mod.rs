//! Boundary change (调区扩区): its states, what may follow what, its areas, and the days of its public notice.
//!
//! Never: the clock, the register. Which days are worked is data that is handed in ([`Calendar`]).

mod calendar;
mod procedure;
#[cfg(test)]
mod tests;

pub use calendar::{Calendar, CalendarDay, NOTICE_WORKING_DAYS, parse_calendar};
pub use procedure::{Duty, State, check_day, check_move, duties, may_follow};

use super::finding::{Finding, Place};
use super::lifecycle::{DecimalHectares, EventKind, ParkEvent, check_event_arithmetic};
use super::{FourExtents, ParkCode};

/// Blocks of one proposal.
pub const MOST_BLOCKS: usize = 200;
/// Vertices of all its blocks together.
pub const MOST_VERTICES: usize = 200_000;
/// Landmarks that a proposal may name, and their vertices together.
pub const MOST_LANDMARKS: usize = 200;
pub const MOST_LANDMARK_VERTICES: usize = 10_000;
/// Characters of a title, a document number, a name.
pub const TITLE_LENGTH: usize = 200;
/// Characters of a reason, a note, the words of a side.
pub const NOTE_LENGTH: usize = 2_000;

/// Areas of a change as its paper states them, in hectares, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatedAreas {
    pub before: DecimalHectares,
    /// 调出.
    pub out: DecimalHectares,
    /// 新扩入.
    pub added: DecimalHectares,
    pub after: DecimalHectares,
}

impl StatedAreas {
    /// 扩区 where nothing is taken out, 调区 where nothing is added, else 调区扩区; `None` where neither happens: that is no change.
    pub fn kind(&self) -> Option<EventKind> {
        let none = DecimalHectares::default();
        match (self.out == none, self.added == none) {
            (true, true) => None,
            (true, false) => Some(EventKind::Extended),
            (false, true) => Some(EventKind::Adjusted),
            (false, false) => Some(EventKind::AdjustedAndExtended),
        }
    }

    /// before − 调出 + 新扩入 = after, and the blocks add up to after, both to the digit; 调出 and 新扩入 are not both nothing.
    pub fn check(&self, park: &ParkCode, blocks: &[DecimalHectares]) -> Vec<Finding> {
        let mut findings = check_event_arithmetic(&self.event(park, blocks));
        if self.kind().is_none() {
            let message = "调出和新扩入面积都是 0，不是调区扩区；更正边界请重新导入区块";
            findings.push(Finding::error("change_of_nothing", Place::whole().field("area"), message));
        }
        if self.out > self.before {
            let message = format!("调出面积 {} 公顷大于调整前面积 {} 公顷", self.out, self.before);
            findings.push(Finding::error("area_out_exceeds_before", Place::whole().field("area"), message));
        }
        if self.after == DecimalHectares::default() {
            let message = "调整后面积应大于 0；园区撤销不是调区扩区";
            findings.push(Finding::error("change_of_nothing", Place::whole().field("area"), message));
        }
        findings
    }

    /// The event that such a change is, without its papers.
    pub fn event(&self, park: &ParkCode, blocks: &[DecimalHectares]) -> ParkEvent {
        ParkEvent {
            id: String::new(),
            park: park.clone(),
            kind: self.kind().unwrap_or(EventKind::Adjusted),
            occurred_text: None,
            occurred_on: None,
            stage: None,
            document_no: None,
            area_before: Some(self.before),
            area_out: Some(self.out),
            area_in: Some(self.added),
            area_after: Some(self.after),
            block_areas: blocks.to_vec(),
            related_parks: Vec::new(),
            note: None,
            source: String::new(),
        }
    }
}

/// One block of a proposed boundary.
#[derive(Debug, Clone, PartialEq)]
pub struct ProposedBlock {
    /// 区块编号 within the park.
    pub number: String,
    pub name: Option<String>,
    /// Longitude, latitude in EPSG:4490, as given.
    pub boundary: geo::MultiPolygon<f64>,
    /// Ellipsoidal, m², unrounded.
    pub area_m2: f64,
    pub stated_area: DecimalHectares,
    /// 四至 words, verbatim.
    pub four_extents: FourExtents,
    pub four_extents_text: Option<String>,
    /// The proposal says that this boundary was measured; else a drawn block (示意) stays one.
    pub surveyed: bool,
}

/// Something that lies around, as the proposer knows it: a road, a river, a company.
#[derive(Debug, Clone, PartialEq)]
pub struct Landmark {
    pub name: String,
    /// One vertex is a point, more are a line.
    pub path: Vec<geo::Coord<f64>>,
}
