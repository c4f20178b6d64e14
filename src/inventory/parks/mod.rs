//! Parks begin, change their name, level or land, and end: each as one event of one transaction and one revision over all that it touches
//! (decision 0026).

mod checks;
mod land;
mod lineage;
mod merge;
mod numbers;
mod split;
mod told;
mod undo;
mod work;

use chrono::NaiveDate;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

pub(in crate::inventory) use checks::covers;
pub use lineage::{Lineage, Place, Predecessor, Predecessors, lineage, predecessors};
pub use told::Told;
pub use undo::{is_of_parks, undo};

use self::work::Work;
use super::ledgers::{self, Deed, Done};
use crate::domain::lifecycle::{DecimalHectares, EventKind};
use crate::domain::{Finding, Park, ParkCode};
use crate::error::{Error, Result};
use crate::store;

/// Errors that the caller may insist on: judgements about the paper.
pub const ALLOWABLE: [&str; 2] = ["overlap_with_register", "area_mismatch_gross"];
/// Parks of one event.
pub const MOST_PARKS: usize = 50;

/// A park that an event brings forth.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPark {
    pub park: Park,
    /// 核准面积 of the document.
    pub approved_area: Option<DecimalHectares>,
}

/// Land of a split: a block as it is, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub enum Portion {
    /// Id or number of a block.
    Whole(String),
    /// A GeoJSON feature: a part of this block, with what the paper says of it.
    Part { from: String, feature: Value },
}

/// Who gets what by a split.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// `None`: the divided park itself.
    pub park: Option<NewPark>,
    pub blocks: Vec<Portion>,
}

/// Who goes on after a merger.
#[derive(Debug, Clone, PartialEq)]
pub enum Survivor {
    Standing(ParkCode),
    New(Box<NewPark>),
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Established {
        park: Box<NewPark>,
        /// A GeoJSON feature collection; `None`: its boundary is not known yet.
        blocks: Option<Value>,
    },
    Renamed {
        park: ParkCode,
        name: String,
    },
    Upgraded {
        park: ParkCode,
        into: Box<NewPark>,
    },
    Split {
        park: ParkCode,
        shares: Vec<Share>,
    },
    MergedInto {
        parks: Vec<ParkCode>,
        into: Survivor,
    },
    Revoked {
        park: ParkCode,
    },
}

impl Change {
    pub fn kind(&self) -> EventKind {
        match self {
            Change::Established { .. } => EventKind::Established,
            Change::Renamed { .. } => EventKind::Renamed,
            Change::Upgraded { .. } => EventKind::Upgraded,
            Change::Split { .. } => EventKind::Split,
            Change::MergedInto { .. } => EventKind::MergedInto,
            Change::Revoked { .. } => EventKind::Revoked,
        }
    }

    /// Parks that stand and that it touches; those that it is about first.
    fn standing(&self) -> Vec<&ParkCode> {
        match self {
            Change::Established { .. } => Vec::new(),
            Change::Renamed { park, .. }
            | Change::Upgraded { park, .. }
            | Change::Split { park, .. }
            | Change::Revoked { park } => vec![park],
            Change::MergedInto { parks, into: Survivor::New(_) } => parks.iter().collect(),
            Change::MergedInto { parks, into: Survivor::Standing(survivor) } => {
                parks.iter().chain([survivor]).collect()
            }
        }
    }

    /// Parks that it brings forth.
    fn begun(&self) -> Vec<&NewPark> {
        match self {
            Change::Established { park, .. } => vec![park],
            Change::Upgraded { into, .. } | Change::MergedInto { into: Survivor::New(into), .. } => vec![into],
            Change::Split { shares, .. } => shares.iter().filter_map(|share| share.park.as_ref()).collect(),
            Change::Renamed { .. } | Change::Revoked { .. } | Change::MergedInto { .. } => Vec::new(),
        }
    }
}

/// Areas of the document, in hectares; each where it states it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Areas {
    pub before: Option<DecimalHectares>,
    /// 调出.
    pub out: Option<DecimalHectares>,
    /// 新扩入.
    pub added: Option<DecimalHectares>,
    pub after: Option<DecimalHectares>,
}

impl Areas {
    /// The area of a park after the event, as its row keeps it: a park without an area has none, while its event says 0.
    fn approved(&self) -> Option<DecimalHectares> {
        self.after.filter(|after| after.square_metres() > 0)
    }
}

/// An event as somebody asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct ParkEventRequest {
    pub change: Change,
    /// First day on which it is so; today, where nothing is said.
    pub on: Option<NaiveDate>,
    pub document_no: Option<String>,
    pub document_title: Option<String>,
    pub reason: Option<String>,
    pub areas: Areas,
    pub allow: Vec<String>,
    /// Everything but the writing.
    pub dry_run: bool,
    /// The revision of the picture that it was decided on.
    pub seen_revision: Option<i64>,
}

/// Lets it happen, wholly or not at all, and tells all that it touched.
///
/// # Errors
/// `NotFound` for unknown parks, `Forbidden` outside the jurisdiction, `Stale` where somebody was quicker, `Conflict` where the life of a
/// park forbids it, `Invalid` with findings for what the request gets wrong.
pub async fn happen(pool: &PgPool, deed: &Deed<'_>, wanted: &ParkEventRequest) -> Result<Told> {
    check_allow(&wanted.allow)?;
    let wanted = &ParkEventRequest { change: composed(wanted.change.clone())?, ..wanted.clone() };
    let (mut transaction, done) = ledgers::begin_everywhere(pool, deed).await?;
    if let Some(done) = done {
        return told::replayed(&mut transaction, done).await;
    }
    let Happened { subject, revision, warnings } = carry_out(&mut transaction, deed, wanted).await?;
    let told = told::of_revision(&mut transaction, revision, &subject, warnings, wanted.dry_run).await?;
    if wanted.dry_run {
        transaction.rollback().await?;
        return Ok(told);
    }
    let done = Done { id: subject, created: true, revision: Some(revision), replayed: false };
    ledgers::finish(transaction, deed, done).await?;
    Ok(told)
}

fn check_allow(allow: &[String]) -> Result<()> {
    if let Some(code) = allow.iter().find(|code| !ALLOWABLE.contains(&code.as_str())) {
        let list = ALLOWABLE.join("、");
        return Err(Error::invalid("allow_not_possible", format!("不能放行“{code}”；可放行的代码：{list}")));
    }
    Ok(())
}

/// What an event wrote.
struct Happened {
    subject: String,
    revision: i64,
    warnings: Vec<Finding>,
}

async fn carry_out(connection: &mut PgConnection, deed: &Deed<'_>, wanted: &ParkEventRequest) -> Result<Happened> {
    let mut work = Work::begin(connection, deed, wanted).await?;
    let revision = work.carry_out(connection).await?;
    super::land::follow_blocks(connection).await?;
    Ok(Happened { subject: work.subject(), revision, warnings: work.warnings })
}

/// [`happen`] as one of several deeds of the transaction: the park that it is filed under, and what is to be said of it.
pub(super) async fn happen_within(
    connection: &mut PgConnection,
    deed: &Deed<'_>,
    wanted: &ParkEventRequest,
) -> Result<(String, Vec<Finding>)> {
    check_allow(&wanted.allow)?;
    let codes: Vec<String> = wanted.change.standing().into_iter().map(ToString::to_string).collect();
    ledgers::one_day(connection, deed, &codes, wanted.on.unwrap_or(deed.today)).await?;
    // The transaction has the write lock: what it is decided on is what stands.
    let seen_revision = Some(store::as_of::newest(connection).await?);
    let wanted = &ParkEventRequest { change: composed(wanted.change.clone())?, seen_revision, ..wanted.clone() };
    let happened = carry_out(connection, deed, wanted).await?;
    Ok((happened.subject, happened.warnings))
}

/// The change with its texts as the register keeps them: composed, without blanks around them, nothing that misleads the eye.
fn composed(mut change: Change) -> Result<Change> {
    match &mut change {
        Change::Established { park, .. } => compose_park(park)?,
        Change::Renamed { name, .. } => *name = needed(name, "name")?,
        Change::Upgraded { into, .. } | Change::MergedInto { into: Survivor::New(into), .. } => compose_park(into)?,
        Change::Split { shares, .. } => shares.iter_mut().filter_map(|s| s.park.as_mut()).try_for_each(compose_park)?,
        Change::MergedInto { .. } | Change::Revoked { .. } => {}
    }
    if let Change::MergedInto { parks, into } = &change {
        let least = if matches!(into, Survivor::New(_)) { 2 } else { 1 };
        if parks.len() < least {
            let detail =
                format!("并入到{}至少要有 {least} 个园区（parks）", if least == 2 { "新园区" } else { "现有园区" });
            return Err(Error::invalid("member_invalid", detail));
        }
    }
    Ok(change)
}

fn compose_park(new: &mut NewPark) -> Result<()> {
    let park = &mut new.park;
    park.name = needed(&park.name, "name")?;
    park.kind = ledgers::text(Some(&park.kind), "type")?.unwrap_or_default();
    // Directories put them together by this mark, and take them apart.
    let industries = park.leading_industries.iter().flat_map(|text| text.split('、')).map(str::to_owned);
    park.leading_industries = industries.collect();
    for (list, name) in [(&mut park.aliases, "aliases"), (&mut park.leading_industries, "leading_industries")] {
        *list = list.iter().map(|text| needed(text, name)).collect::<Result<_>>()?;
    }
    park.approved_text = ledgers::text(park.approved_text.as_deref(), "approved_text")?;
    Ok(())
}

fn needed(text: &str, name: &str) -> Result<String> {
    ledgers::text(Some(text), name)?.ok_or_else(|| Error::invalid("member_invalid", format!("成员 {name} 不能为空")))
}
