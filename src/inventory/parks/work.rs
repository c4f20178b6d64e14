//! One event, carried out in the transaction that was opened for it.

use std::collections::HashMap;

use chrono::NaiveDate;
use sqlx::PgConnection;

use super::numbers::Numbers;
use super::{Areas, Change, NewPark, ParkEventRequest, Survivor, checks};
use crate::domain::lifecycle::{DecimalHectares, EventKind, ParkEvent, ParkStatus};
use crate::domain::{Finding, ParkCode, Place, Severity};
use crate::error::{Error, Result};
use crate::inventory::import;
use crate::inventory::ledgers::{Deed, open, text};
use crate::store;
use crate::store::park_events::{self, BlockLine, ParkEdit, StandingBlock, StandingPark, Succession};
use crate::store::{blocks, boundary_changes};

/// What the event rests on.
struct Paper {
    document_no: Option<String>,
    title: Option<String>,
    reason: Option<String>,
}

/// Land of one block that goes over to another.
pub(super) struct Line {
    /// The park whose event it is.
    pub park: String,
    pub parent: String,
    pub child: String,
    pub m2: f64,
}

pub(super) struct Work<'a> {
    pub deed: &'a Deed<'a>,
    pub wanted: &'a ParkEventRequest,
    paper: Paper,
    pub on: NaiveDate,
    pub standing: HashMap<String, StandingPark>,
    statuses: HashMap<String, ParkStatus>,
    pub warnings: Vec<Finding>,
    pub lines: Vec<Line>,
    events: Vec<ParkEvent>,
}

impl<'a> Work<'a> {
    /// Everything that can be refused by what stands; the write lock is held.
    pub async fn begin(
        connection: &mut PgConnection,
        deed: &'a Deed<'a>,
        wanted: &'a ParkEventRequest,
    ) -> Result<Self> {
        let paper = Paper {
            document_no: text(wanted.document_no.as_deref(), "document_no")?,
            title: text(wanted.document_title.as_deref(), "document_title")?,
            reason: text(wanted.reason.as_deref(), "reason")?,
        };
        let change = &wanted.change;
        let standing = checks::load(connection, change).await?;
        let begun = change.begun();
        checks::in_jurisdiction(deed.viewer, &standing, &begun)?;
        checks::seen(connection, wanted, &standing).await?;
        let statuses = checks::statuses(change, &standing)?;
        let on = checks::day(wanted.on, deed.today, &standing)?;
        let ends = |status: &ParkStatus| !matches!(status, ParkStatus::Active | ParkStatus::UnderAdjustment);
        let ending: Vec<String> =
            statuses.iter().filter(|(_, status)| ends(status)).map(|(code, _)| code.clone()).collect();
        let upgraded = matches!(change, Change::Upgraded { .. });
        checks::new_parks(connection, &begun, &ending, upgraded).await?;
        let mut work = Self {
            deed,
            wanted,
            paper,
            on,
            standing,
            statuses,
            warnings: Vec::new(),
            lines: Vec::new(),
            events: Vec::new(),
        };
        if let Change::Upgraded { park, .. } = change
            && park.is_national()
        {
            return Err(Error::conflict("event_not_allowed", format!("园区 {park} 已是国家级，不能再升级")));
        }
        let of_areas = match change {
            Change::MergedInto { into: Survivor::Standing(survivor), .. } => Some(survivor),
            Change::Renamed { park, .. } | Change::Split { park, .. } | Change::Revoked { park } => Some(park),
            Change::Upgraded { park, .. } => Some(park),
            Change::Established { .. } | Change::MergedInto { .. } => None,
        };
        let found = of_areas.and_then(|code| checks::differs_before(wanted.areas, work.standing.get(code.as_str())?));
        work.warnings.extend(found);
        Ok(work)
    }

    /// The park that the event is filed under.
    pub fn subject(&self) -> String {
        let standing = self.wanted.change.standing();
        let begun = self.wanted.change.begun();
        let code = match &self.wanted.change {
            Change::MergedInto { into: Survivor::Standing(survivor), .. } => Some(survivor),
            Change::MergedInto { into: Survivor::New(new), .. } => Some(&new.park.code),
            _ => standing.first().copied().or(begun.first().map(|new| &new.park.code)),
        };
        code.map(ToString::to_string).unwrap_or_default()
    }

    /// Opens the revision and writes; gives its number.
    pub async fn carry_out(&mut self, connection: &mut PgConnection) -> Result<i64> {
        let wanted = self.wanted;
        // Drawn land is judged before anything is written: it takes longest.
        let (blocks, parts) = match &wanted.change {
            Change::Established { park, blocks: Some(blocks) } => {
                (self.given(connection, &park.park.code, blocks).await?, None)
            }
            Change::Split { park, shares } => (Vec::new(), Some(self.divide(connection, park, shares).await?)),
            _ => (Vec::new(), None),
        };
        let revision = open(connection, self.deed, &self.why()).await?;
        match &wanted.change {
            Change::Established { park, .. } => {
                self.establish(connection, park, &[], revision).await?;
                for block in &blocks {
                    park_events::begin_block(connection, block, self.on).await?;
                }
            }
            Change::Renamed { park, name } => self.rename(connection, park, name, revision).await?,
            Change::Upgraded { park, into } => self.upgrade(connection, park, into, revision).await?,
            Change::Split { park, shares } => {
                if let Some(division) = parts {
                    self.split(connection, park, shares, division, revision).await?;
                }
            }
            Change::MergedInto { parks, into } => self.merge(connection, parks, into, revision).await?,
            Change::Revoked { park } => self.revoke(connection, park, revision).await?,
        }
        for event in &self.events {
            checks::arithmetic(event)?;
        }
        store::events::upsert(connection, &self.events).await?;
        let lines: Vec<BlockLine> = self.lines.iter().filter_map(|line| self.filed(line)).collect();
        park_events::insert_block_lines(connection, &lines, self.on).await?;
        Ok(revision)
    }

    fn filed(&self, line: &Line) -> Option<BlockLine> {
        let event = self.events.iter().find(|event| event.park.as_str() == line.park)?;
        Some(BlockLine {
            event: event.id.clone(),
            parent: line.parent.clone(),
            child: line.child.clone(),
            common_area_m2: line.m2,
        })
    }

    /// For the revision log.
    fn why(&self) -> String {
        let change = &self.wanted.change;
        let list = |codes: Vec<String>| codes.join("、");
        let standing = list(change.standing().into_iter().map(ToString::to_string).collect());
        let begun = list(change.begun().into_iter().map(|new| new.park.code.to_string()).collect());
        let what = match change {
            Change::Established { .. } => begun,
            Change::Renamed { name, .. } => format!("{standing} → {name}"),
            Change::MergedInto { parks, into: Survivor::Standing(survivor) } => {
                format!("{} → {survivor}", list(parks.iter().map(ToString::to_string).collect()))
            }
            Change::Revoked { .. } => standing,
            Change::Upgraded { .. } | Change::Split { .. } | Change::MergedInto { .. } => {
                format!("{standing} → {begun}")
            }
        };
        let paper = self.paper.document_no.as_ref().map(|no| format!("（{no}）")).unwrap_or_default();
        let reason = self.paper.reason.as_ref().map(|reason| format!("：{reason}")).unwrap_or_default();
        format!("园区{} {what}{paper}{reason}", change.kind().label())
    }

    /// Files an event of the park.
    pub fn file(&mut self, park: &ParkCode, kind: EventKind, related: &[&ParkCode], areas: Areas, revision: i64) {
        let title = self.paper.title.clone();
        self.events.push(ParkEvent {
            // Of its revision: one that was undone leaves its id to nobody.
            id: format!("{park}-{}-{}-r{revision}", self.on, kind.as_str()),
            park: park.clone(),
            kind,
            occurred_text: Some(self.on.to_string()),
            occurred_on: Some(self.on),
            stage: None,
            document_no: self.paper.document_no.clone(),
            area_before: areas.before,
            area_out: areas.out,
            area_in: areas.added,
            area_after: areas.after,
            block_areas: Vec::new(),
            related_parks: related.iter().map(|code| (*code).clone()).collect(),
            note: self.paper.reason.clone(),
            // (Without a name: everybody reads it. Who it was, stands in the revision.)
            source: title.unwrap_or_else(|| "在线登记".to_owned()),
        });
    }

    pub async fn establish(
        &mut self,
        connection: &mut PgConnection,
        new: &NewPark,
        from: &[&ParkCode],
        revision: i64,
    ) -> Result<()> {
        // Of an upgrade and a split the document's areas are those of the park that it began with.
        let mut areas = match &self.wanted.change {
            Change::Established { .. } | Change::MergedInto { .. } => self.wanted.areas,
            _ => Areas::default(),
        };
        let approved = new.approved_area.or(areas.approved());
        areas.after = new.approved_area.or(areas.after);
        if approved.is_none() {
            let message = format!("没有写明园区 {} 的核准面积", new.park.code);
            self.warnings.push(Finding::warning("approved_area_missing", Place::whole().field("areas"), message));
        }
        park_events::begin_park(connection, &new.park, approved, self.on).await?;
        self.file(&new.park.code, EventKind::Established, from, areas, revision);
        Ok(())
    }

    async fn rename(
        &mut self,
        connection: &mut PgConnection,
        park: &ParkCode,
        name: &str,
        revision: i64,
    ) -> Result<()> {
        let Some(standing) = self.standing.get(park.as_str()).cloned() else { return Ok(()) };
        let place = || Place::whole().field("name");
        if standing.name == name {
            let message = format!("园区 {park} 已经叫“{name}”");
            return Err(checks::refused(vec![Finding::error("name_unchanged", place(), message)]));
        }
        let taken = park_events::named(connection, &[name.to_owned()]).await?;
        if let Some((other, _)) = taken.iter().find(|(code, _)| code != park.as_str()) {
            let message = format!("名称“{name}”已为园区 {other} 所用");
            return Err(checks::refused(vec![Finding::error("park_name_taken", place(), message)]));
        }
        let mut aliases = standing.aliases.clone();
        aliases.retain(|alias| alias != name && *alias != standing.name);
        aliases.push(standing.name.clone());
        let edit = ParkEdit {
            name: Some(name.to_owned()),
            aliases: Some(aliases),
            approved_area: self.wanted.areas.approved(),
            ..ParkEdit::default()
        };
        park_events::edit_park(connection, park.as_str(), &edit).await?;
        self.file(park, EventKind::Renamed, &[], self.wanted.areas, revision);
        Ok(())
    }

    async fn upgrade(
        &mut self,
        connection: &mut PgConnection,
        park: &ParkCode,
        into: &NewPark,
        revision: i64,
    ) -> Result<()> {
        let Some(standing) = self.standing.get(park.as_str()).cloned() else { return Ok(()) };
        let mut new = into.clone();
        if standing.name != new.park.name && !new.park.aliases.contains(&standing.name) {
            new.park.aliases.push(standing.name.clone());
        }
        let area =
            self.wanted.areas.approved().or(standing.approved_area_ha.as_deref().and_then(DecimalHectares::parse));
        new.approved_area = new.approved_area.or(area);
        self.file(park, EventKind::Upgraded, &[&new.park.code], self.wanted.areas, revision);
        self.withdraw(connection, &[park]).await?;
        self.establish(connection, &new, &[park], revision).await?;
        let blocks = park_events::list_blocks(connection, &[park.to_string()]).await?;
        self.hand_on(connection, &blocks, &new.park.code, &mut Numbers::default()).await?;
        self.end(connection, park, Some(&new.park.code)).await
    }

    async fn revoke(&mut self, connection: &mut PgConnection, park: &ParkCode, revision: i64) -> Result<()> {
        self.file(park, EventKind::Revoked, &[], self.wanted.areas, revision);
        self.withdraw(connection, &[park]).await?;
        let blocks = park_events::list_blocks(connection, &[park.to_string()]).await?;
        let ids: Vec<String> = blocks.into_iter().map(|block| block.id).collect();
        blocks::end_blocks(connection, &ids, self.on).await?;
        self.end(connection, park, None).await
    }

    /// The park's row ends, as the rules of its life say.
    pub async fn end(
        &self,
        connection: &mut PgConnection,
        park: &ParkCode,
        successor: Option<&ParkCode>,
    ) -> Result<()> {
        let Some(status) = self.statuses.get(park.as_str()) else { return Ok(()) };
        park_events::end_park(connection, park.as_str(), status.as_str(), successor.map(ParkCode::as_str), self.on)
            .await
    }

    /// These blocks end, and begin as blocks of another park.
    pub async fn hand_on(
        &mut self,
        connection: &mut PgConnection,
        blocks: &[StandingBlock],
        to: &ParkCode,
        numbers: &mut Numbers,
    ) -> Result<()> {
        let ids: Vec<String> = blocks.iter().map(|block| block.id.clone()).collect();
        blocks::end_blocks(connection, &ids, self.on).await?;
        let mut heirs = Vec::with_capacity(blocks.len());
        for block in blocks {
            let heir = Succession { from: block.id.clone(), park: to.to_string(), number: numbers.give(&block.number) };
            self.lines.push(Line {
                park: block.park.clone(),
                parent: block.id.clone(),
                child: heir.child(),
                m2: block.area_m2,
            });
            heirs.push(heir);
        }
        park_events::continue_blocks(connection, &heirs, self.on).await?;
        Ok(())
    }

    /// Changes of boundary that are under way for parks that end go with them.
    pub async fn withdraw(&self, connection: &mut PgConnection, parks: &[&ParkCode]) -> Result<()> {
        let parks: Vec<ParkCode> = parks.iter().map(|code| (*code).clone()).collect();
        let note = format!("园区{}，随之撤回", self.wanted.change.kind().label());
        boundary_changes::withdraw_open(connection, &parks, self.on, &self.deed.viewer.actor, &note).await?;
        Ok(())
    }

    /// Blocks of a new park, as the request draws them.
    async fn given(
        &mut self,
        connection: &mut PgConnection,
        park: &ParkCode,
        blocks: &serde_json::Value,
    ) -> Result<Vec<crate::domain::Block>> {
        let allow = &self.wanted.allow;
        let (made, mut findings) =
            import::judge_given_blocks(blocks.to_string(), park, self.deed.viewer, allow).await?;
        if !findings.iter().any(|finding| finding.severity == Severity::Error) {
            findings.extend(import::overlaps_with_standing(connection, &made, allow).await?);
        }
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(checks::refused(findings));
        }
        self.warnings.extend(findings);
        Ok(made)
    }
}
