//! Criteria for “low-efficient” (低效用地认定标准): sets put in place and taken away by their divisions, imported as a table, applied to
//! parcels. A set is one thing: an edit replaces it as a whole, names the version that it was decided on, and is one revision.

mod document;
mod table;
mod verdict;

use sqlx::{PgConnection, PgPool};

pub use self::document::{set_json, summary_json};
pub use self::table::{Imported, ImportedSet, TableFormat, TableRequest, export, import};
pub use self::verdict::{Judged, judge_parcel};
use super::ledgers::{self, Deed, Done};
use crate::domain::DivisionCode;
use crate::domain::access::Viewer;
use crate::domain::ledger::criteria::{CriteriaSet, Draft, Member, Source, check_set};
use crate::error::{Error, Result};
use crate::exchange::text_encoding;
use crate::store::criteria::{SetFilter, SetSummary, StoredSet};
use crate::store::{self, as_of, criteria as sets, divisions};

/// Which version of a set an edit was decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// There is none yet (`If-None-Match: *`).
    Absent,
    /// The one of the deed, which may name none.
    Version,
}

/// A page of the sets and the number of all; `revision` = as the register said then. Also the revision that was read.
pub async fn list(
    pool: &PgPool,
    viewer: &Viewer,
    filter: &SetFilter,
    page: (u32, u32),
    revision: Option<i64>,
) -> Result<(Vec<SetSummary>, i64, i64)> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let read = as_of::turn_back(&mut transaction, revision).await?;
    let (found, matched) = sets::list(&mut transaction, filter, page.0, page.1).await?;
    transaction.commit().await?;
    Ok((found, matched, read))
}

/// The set of a division and a year, and the revision that was read.
pub async fn find(
    pool: &PgPool,
    viewer: &Viewer,
    division: &DivisionCode,
    year: i32,
    revision: Option<i64>,
) -> Result<(StoredSet, i64)> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let read = as_of::turn_back(&mut transaction, revision).await?;
    let found = sets::find(&mut transaction, division, year).await?;
    transaction.commit().await?;
    Ok((found.ok_or_else(|| not_found(division, year))?, read))
}

fn not_found(division: &DivisionCode, year: i32) -> Error {
    Error::not_found("criteria_not_found", format!("{division} 没有 {year} 年的低效用地认定标准"))
}

/// Puts these criteria in the place of the set of a division and a year.
pub async fn put(
    pool: &PgPool,
    deed: &Deed<'_>,
    key: (&DivisionCode, i32),
    mut drafts: Vec<Draft>,
    expected: Expected,
) -> Result<Done> {
    let (division, year) = key;
    check_jurisdiction(deed.viewer, division)?;
    // Texts of the ledger are composed, and are compared with these.
    drafts.iter_mut().for_each(|draft| draft.map_texts(text_encoding::compose));
    let name = |member: Member| member.as_str().to_owned();
    let set = match check_set(division, year, &drafts, Source { row: "条", name: &name }) {
        (Some(set), _) => set,
        (None, findings) => {
            let detail = format!("认定标准有 {} 处问题，没有写入；见 findings", findings.len());
            return Err(Error::Invalid { code: "criteria_invalid", detail, findings });
        }
    };
    let (mut transaction, done) = ledgers::begin(pool, deed).await?;
    if let Some(done) = done {
        return Ok(done);
    }
    let standing = sets::find(&mut transaction, division, year).await?;
    match expected {
        Expected::Absent if standing.is_some() => return Err(stale(division, year)),
        Expected::Absent => check_division(&mut transaction, division).await?,
        Expected::Version => check_version(deed, division, year, standing.as_ref())?,
    }
    let created = standing.is_none();
    let id = sets::key(division.as_str(), year);
    if standing.is_some_and(|standing| standing.set == set) {
        let unchanged = Done { id, created, revision: None, replayed: false };
        return ledgers::finish(transaction, deed, unchanged).await;
    }
    let verb = if created { "登记" } else { "修改" };
    let revision =
        ledgers::open(&mut transaction, deed, &format!("{verb} {division} {year} 年低效用地认定标准")).await?;
    sets::write(&mut transaction, &set, &deed.source).await?;
    ledgers::finish(transaction, deed, Done { id, created, revision: Some(revision), replayed: false }).await
}

/// Takes the set of a division and a year away; the log keeps it.
pub async fn end(pool: &PgPool, deed: &Deed<'_>, division: &DivisionCode, year: i32) -> Result<Done> {
    check_jurisdiction(deed.viewer, division)?;
    let (mut transaction, done) = ledgers::begin(pool, deed).await?;
    if let Some(done) = done {
        return Ok(done);
    }
    let standing = sets::find(&mut transaction, division, year).await?;
    let standing = standing.ok_or_else(|| not_found(division, year))?;
    check_version(deed, division, year, Some(&standing))?;
    let revision = ledgers::open(&mut transaction, deed, &format!("删除 {division} {year} 年低效用地认定标准")).await?;
    sets::remove(&mut transaction, division, year).await?;
    let id = sets::key(division.as_str(), year);
    ledgers::finish(transaction, deed, Done { id, created: false, revision: Some(revision), replayed: false }).await
}

fn check_jurisdiction(viewer: &Viewer, division: &DivisionCode) -> Result<()> {
    if viewer.jurisdiction.covers(division) {
        return Ok(());
    }
    let detail = format!("{division} 不在您的管辖范围内；其认定标准由该级编辑人员维护");
    Err(Error::Forbidden { code: "outside_jurisdiction", detail })
}

/// A set stands under a division that there is, and not under a code that only means one.
async fn check_division(connection: &mut PgConnection, division: &DivisionCode) -> Result<()> {
    let all = divisions::list_names(connection).await?;
    match all.iter().find(|(code, ..)| code == division.as_str()) {
        Some((_, _, None)) => Ok(()),
        Some((_, _, Some(real))) => Err(Error::invalid(
            "division_unknown",
            format!("{division} 不是行政区划，而是 {real} 的别用代码；请用 {real}"),
        )),
        None => Err(Error::invalid("division_unknown", format!("行政区划表中没有代码 {division}"))),
    }
}

fn stale(division: &DivisionCode, year: i32) -> Error {
    Error::Stale {
        detail: format!("{division} 的 {year} 年认定标准在您取得之后又有变动；请核对后再提交，现在的内容见 current"),
    }
}

fn check_version(deed: &Deed<'_>, division: &DivisionCode, year: i32, standing: Option<&StoredSet>) -> Result<()> {
    match (deed.version, standing) {
        (None, _) => Err(Error::VersionMissing {
            detail: "修改前请先取得这套标准，并在 If-Match 请求头中带上它的 ETag；新登记的用 If-None-Match: *"
                .to_owned(),
        }),
        (Some(version), Some(standing)) if version == standing.version => Ok(()),
        (Some(_), _) => Err(stale(division, year)),
    }
}

/// The set that applies to land of a county in a year, among these.
fn nearest<'a>(county: &DivisionCode, year: i32, all: &'a [StoredSet]) -> Option<&'a StoredSet> {
    let of = |division: &DivisionCode| all.iter().find(|s| s.set.year == year && s.set.division == *division);
    CriteriaSet::divisions_for(county).iter().find_map(of)
}
