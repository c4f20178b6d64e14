//! Publishing: the register as of a day becomes a version with a document number, in one revision.

use chrono::NaiveDate;
use sqlx::{PgConnection, PgPool};

use super::{Directory, Entry, Registered, find_in, of_day_in};
use crate::domain::access::Jurisdiction;
use crate::domain::{DirectoryEntry, DirectoryVersion, Finding, Hectares, ParkCode, Place};
use crate::error::{Error, Result};
use crate::inventory::ledgers::{self, Deed, Done};
use crate::inventory::{parks, wire};
use crate::store::{self, as_of, directories};

/// A directory as somebody wants it published.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    /// `None`: `v` and the number of the revision.
    pub id: Option<String>,
    pub title: String,
    pub document_no: Option<String>,
    pub issued_on: Option<NaiveDate>,
    /// The day whose parks it lists; today, where nothing is said.
    pub on: Option<NaiveDate>,
    pub dry_run: bool,
}

/// What was, or would be, published.
#[derive(Debug, Clone)]
pub struct Published {
    pub directory: Directory,
    /// `None` after a dry run.
    pub revision: Option<i64>,
    pub replayed: bool,
    pub warnings: serde_json::Value,
}

/// Words that addresses of directories have for other things.
const RESERVED: [&str; 2] = ["as-of", "difference"];

/// Publishes the register as of a day.
///
/// # Errors
/// `Forbidden` where it lists parks outside the jurisdiction; `Conflict` where the version is there already or there is no park to list.
pub async fn publish(pool: &PgPool, deed: &Deed<'_>, wanted: &Publication) -> Result<Published> {
    let title = ledgers::text(Some(&wanted.title), "title")?;
    let title = title.ok_or_else(|| Error::invalid("member_invalid", "成员 title 不能为空"))?;
    let document_no = ledgers::text(wanted.document_no.as_deref(), "document_no")?;
    let id = wanted.id.as_deref().map(checked_id).transpose()?;
    let (mut transaction, done) = ledgers::begin_everywhere(pool, deed).await?;
    if let Some(done) = done {
        let found = find_in(&mut transaction, &done.id).await?;
        let directory = found.ok_or_else(|| ledgers::undone_since(done.revision))?;
        return Ok(Published { directory, revision: done.revision, replayed: true, warnings: wire::findings(&[]) });
    }
    let on = wanted.on.unwrap_or(deed.today);
    if on > deed.today {
        let message = format!("名录的日期 {on} 还没有到（今天是 {}）", deed.today);
        let findings = vec![Finding::error("event_in_future", Place::whole().field("on"), message.clone())];
        return Err(Error::Invalid { code: "directory_refused", detail: message, findings });
    }
    let drawn = of_day_in(&mut transaction, on).await?;
    in_jurisdiction(deed, &drawn)?;
    if drawn.entries.is_empty() {
        return Err(Error::conflict("directory_empty", format!("登记库中 {on} 没有园区，无可发布")));
    }
    if let Some(no) = &document_no
        && let Some(other) = directories::find_same(&mut transaction, no, &title).await?
    {
        return Err(Error::conflict("directory_exists", format!("文号“{no}”的同名名录已经发布（{other}）")));
    }
    let seen = as_of::newest(&mut transaction).await?;
    let named = document_no.as_ref().map(|no| format!("（{no}）")).unwrap_or_default();
    let reason = format!("发布名录 {title}{named}，{} 个园区", drawn.entries.len());
    let revision = store::revision::open(&mut transaction, &deed.viewer.actor, &reason, &deed.source).await?;
    let id = id.unwrap_or_else(|| format!("v{revision}"));
    if find_in(&mut transaction, &id).await?.is_some() {
        return Err(Error::conflict("directory_exists", format!("名录“{id}”已经存在；请换一个编号")));
    }
    let version = DirectoryVersion {
        id: id.clone(),
        title,
        document_no,
        issued_on: wanted.issued_on,
        source: format!("登记库 {on}（修订 {seen}）"),
        entries: entries(&drawn)?,
    };
    write(&mut transaction, &version, on, seen, deed).await?;
    let directory = find_in(&mut transaction, &id).await?;
    let directory =
        directory.ok_or(Error::Internal { detail: "刚写入的名录读不回来".to_owned(), cause: None })?;
    let warnings = wire::findings(&warnings(&drawn));
    if wanted.dry_run {
        transaction.rollback().await?;
        return Ok(Published { directory, revision: None, replayed: false, warnings });
    }
    let done = Done { id, created: true, revision: Some(revision), replayed: false };
    ledgers::finish(transaction, deed, done).await?;
    Ok(Published { directory, revision: Some(revision), replayed: false, warnings })
}

async fn write(
    connection: &mut PgConnection,
    version: &DirectoryVersion,
    on: NaiveDate,
    seen: i64,
    deed: &Deed<'_>,
) -> Result<()> {
    directories::upsert(connection, version).await?;
    directories::insert_publication(connection, &version.id, on, seen, &deed.viewer.actor).await
}

/// A name that an address can hold and that is neither a day nor a word of ours.
fn checked_id(id: &str) -> Result<String> {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_sound =
        (1..=64).contains(&id.len()) && id.chars().all(sound) && id.chars().any(|c| c.is_ascii_alphanumeric());
    let is_taken = RESERVED.contains(&id) || id.parse::<NaiveDate>().is_ok();
    if is_sound && !is_taken {
        return Ok(id.to_owned());
    }
    let detail = "名录编号（id）应为 1 至 64 个字母、数字、点、下划线或连字符，且不是日期";
    Err(Error::invalid("member_invalid", detail))
}

/// A directory of a province is published by whoever is responsible for all that it lists, as one that is imported.
fn in_jurisdiction(deed: &Deed<'_>, drawn: &Directory) -> Result<()> {
    let jurisdiction = &deed.viewer.jurisdiction;
    let covered = |known: &Registered| parks::covers(jurisdiction, &known.prefecture_code, &known.county_codes);
    if *jurisdiction == Jurisdiction::Everywhere {
        return Ok(());
    }
    let outside = |entry: &&Entry| !entry.register.as_ref().is_some_and(covered);
    match drawn.entries.iter().find(outside) {
        None => Ok(()),
        Some(entry) => {
            let detail = format!("名录含有不在您管辖范围内的园区（{} {}）", entry.code, entry.name);
            Err(Error::Forbidden { code: "outside_jurisdiction", detail })
        }
    }
}

fn entries(drawn: &Directory) -> Result<Vec<DirectoryEntry>> {
    let entry = |entry: &Entry| {
        let park =
            ParkCode::parse(&entry.code).map_err(|cause| Error::internal("登记库中的园区代码不合规则", cause))?;
        Ok(DirectoryEntry {
            park,
            serial: entry.serial,
            name: entry.name.clone(),
            // Four decimals: a double holds them to the digit.
            area: entry.area.and_then(|area| Hectares::new(area.square_metres() as f64 / 10_000.0)),
            approved_text: entry.approved_text.clone(),
            leading_industries: entry.leading_industries.clone(),
            four_extents: entry.four_extents.clone(),
        })
    };
    drawn.entries.iter().map(entry).collect()
}

/// What a reader of the directory will miss.
fn warnings(drawn: &Directory) -> Vec<Finding> {
    let count = |lacks: fn(&Entry) -> bool| drawn.entries.iter().filter(|entry| lacks(entry)).count();
    let mut findings = Vec::new();
    let mut tell = |lacking: usize, finding: fn(usize) -> Finding| {
        if lacking > 0 {
            findings.push(finding(lacking));
        }
    };
    tell(count(|entry| entry.area.is_none()), |n| {
        Finding::warning("directory_without_area", Place::whole(), format!("{n} 个园区没有核准面积"))
    });
    tell(count(|entry| entry.four_extents.is_none()), |n| {
        Finding::warning("directory_without_words", Place::whole(), format!("{n} 个园区没有四至文字"))
    });
    tell(count(|entry| entry.leading_industries.is_empty()), |n| {
        Finding::warning("directory_without_industries", Place::whole(), format!("{n} 个园区没有主导产业"))
    });
    tell(count(|entry| entry.register.as_ref().is_some_and(|known| known.illustrative)), |n| {
        Finding::warning("directory_illustrative", Place::whole(), format!("{n} 个园区的边界为示意"))
    });
    findings
}
