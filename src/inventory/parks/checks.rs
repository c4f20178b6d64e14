//! What an event of parks may rest on: whose parks they are, which picture it was decided on, its day, and the parks that it brings forth.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;
use sqlx::PgConnection;

use super::{Areas, Change, MOST_PARKS, NewPark, ParkEventRequest, Survivor};
use crate::domain::access::{Jurisdiction, Viewer};
use crate::domain::lifecycle::{self, EventKind, ParkEvent, ParkStatus};
use crate::domain::{Finding, ParkCode, Place};
use crate::error::{Error, Result};
use crate::store::park_events::{self, StandingPark};
use crate::store::{as_of, parks};

/// Refuses the request with these findings.
pub(super) fn refused(findings: Vec<Finding>) -> Error {
    let detail = match findings.as_slice() {
        [only] => only.message.clone(),
        _ => "园区事件不能办理，原因见 findings".to_owned(),
    };
    Error::Invalid { code: "park_event_refused", detail, findings }
}

/// The parks by code; every one of them is there.
pub(super) async fn load(connection: &mut PgConnection, change: &Change) -> Result<HashMap<String, StandingPark>> {
    let codes: Vec<String> = change.standing().into_iter().map(ToString::to_string).collect();
    let once: HashSet<&String> = codes.iter().collect();
    if once.len() != codes.len() {
        return Err(Error::invalid("member_invalid", "同一个园区在请求中出现了两次"));
    }
    if codes.len() + change.begun().len() > MOST_PARKS {
        return Err(Error::invalid("member_invalid", format!("一次事件最多涉及 {MOST_PARKS} 个园区")));
    }
    let found = park_events::list_parks(connection, &codes).await?;
    let found: HashMap<String, StandingPark> = found.into_iter().map(|park| (park.code.clone(), park)).collect();
    match codes.iter().find(|code| !found.contains_key(*code)) {
        None => Ok(found),
        Some(code) => Err(Error::not_found("park_not_found", format!("名录中没有园区 {code}"))),
    }
}

/// A park is whose its prefecture is, or all of its counties.
pub(in crate::inventory) fn covers(jurisdiction: &Jurisdiction, prefecture: &str, counties: &[String]) -> bool {
    jurisdiction.covers_code(prefecture)
        || !counties.is_empty() && counties.iter().all(|county| jurisdiction.covers_code(county))
}

/// Every park of the event is the viewer's own, those to come too.
pub(super) fn in_jurisdiction(
    viewer: &Viewer,
    standing: &HashMap<String, StandingPark>,
    begun: &[&NewPark],
) -> Result<()> {
    let standing = standing.values().map(|p| (p.code.clone(), p.prefecture_code.clone(), p.county_codes.clone()));
    let begun = begun.iter().map(|new| {
        let counties = new.park.counties.iter().map(|c| c.as_str().to_owned()).collect();
        (new.park.code.to_string(), new.park.prefecture.to_string(), counties)
    });
    let mut all: Vec<(String, String, Vec<String>)> = standing.chain(begun).collect();
    all.sort();
    match all.iter().find(|(_, prefecture, counties)| !covers(&viewer.jurisdiction, prefecture, counties)) {
        None => Ok(()),
        Some((code, ..)) => Err(Error::Forbidden {
            code: "outside_jurisdiction",
            detail: format!("园区 {code} 不在您的管辖范围内"),
        }),
    }
}

/// Nobody has changed these parks, their blocks or their events since the register was at the revision that the client names. A dry run,
/// and an event that touches no park that stands, need not name one.
pub(super) async fn seen(
    connection: &mut PgConnection,
    wanted: &ParkEventRequest,
    standing: &HashMap<String, StandingPark>,
) -> Result<()> {
    let Some(seen) = wanted.seen_revision else {
        if wanted.dry_run || standing.is_empty() {
            return Ok(());
        }
        let detail =
            "请在 seen_revision 中写明所见的园区取自哪一修订（查询应答的 Sizhi-Revision 头），以免与别人的修改相冲突";
        return Err(Error::VersionMissing { detail: detail.to_owned() });
    };
    let newest = as_of::newest(connection).await?;
    if seen > newest {
        let detail = format!("seen_revision {seen} 在登记库现在的修订（{newest}）之后；请重新查询");
        return Err(Error::Stale { detail });
    }
    let mut later: Vec<&StandingPark> = standing.values().filter(|park| park.newest > seen).collect();
    later.sort_by(|a, b| a.code.cmp(&b.code));
    match later.first() {
        None => Ok(()),
        Some(park) => Err(Error::Stale {
            detail: format!(
                "园区 {}（{}）在您取得之后（修订 {seen}）又有变更（修订 {}）；请重新查询、核对后再提交",
                park.code, park.name, park.newest
            ),
        }),
    }
}

/// The statuses of all parks that stand after the event, by the rules of the life of a park.
pub(super) fn statuses(
    change: &Change,
    standing: &HashMap<String, StandingPark>,
) -> Result<HashMap<String, ParkStatus>> {
    let mut after = HashMap::new();
    let mut findings = Vec::new();
    for code in change.standing() {
        let Some(park) = standing.get(code.as_str()) else { continue };
        let Some(status) = ParkStatus::parse(&park.status) else {
            return Err(Error::Internal {
                detail: format!("登记库中园区 {code} 的状态不合规则"), cause: None
            });
        };
        let survives =
            matches!(change, Change::MergedInto { into: Survivor::Standing(survivor), .. } if survivor == code);
        let outcome = match change {
            Change::Split { shares, .. } if shares.iter().all(|share| share.park.is_some()) => {
                lifecycle::split_wholly(status)
            }
            _ if survives => lifecycle::apply(status, EventKind::Absorbed),
            _ => lifecycle::apply(status, change.kind()),
        };
        match outcome {
            Ok(status) => drop(after.insert(code.to_string(), status)),
            Err(mut finding) => {
                finding.message = format!("{} {}：{}", park.code, park.name, finding.message);
                findings.push(finding);
            }
        }
    }
    match findings.first() {
        None => Ok(after),
        Some(first) => Err(Error::Conflict { code: "event_not_allowed", detail: first.message.clone(), findings }),
    }
}

/// The day: not to come, and after the last thing that happened to any of the parks.
pub(super) fn day(
    wanted: Option<NaiveDate>,
    today: NaiveDate,
    standing: &HashMap<String, StandingPark>,
) -> Result<NaiveDate> {
    let on = wanted.unwrap_or(today);
    let place = || Place::whole().field("on");
    if on > today {
        let message = format!("生效日期 {on} 还没有到（今天是 {today}）；请在生效后登记");
        return Err(refused(vec![Finding::error("event_in_future", place(), message)]));
    }
    let last = standing.values().filter_map(|park| {
        let last = park.last_on.into_iter().chain(park.valid_from).max()?;
        (last >= on).then_some((last, &park.code))
    });
    match last.max() {
        None => Ok(on),
        Some((last, code)) => {
            let message = format!("生效日期 {on} 不晚于园区 {code} 最近一次变更的日期 {last}；请核对日期");
            Err(refused(vec![Finding::error("event_before_last", place(), message)]))
        }
    }
}

/// before − 调出 + 新扩入 = after, to the digit.
pub(super) fn arithmetic(event: &ParkEvent) -> Result<()> {
    let mut findings = lifecycle::check_event_arithmetic(event);
    for finding in &mut findings {
        finding.place = Place::whole().field("areas");
    }
    if findings.is_empty() { Ok(()) } else { Err(refused(findings)) }
}

/// A stated area before the event that is not the one that the register has.
pub(super) fn differs_before(areas: Areas, park: &StandingPark) -> Option<Finding> {
    let registered = park.approved_area_ha.as_deref().and_then(lifecycle::DecimalHectares::parse)?;
    let stated = areas.before.filter(|stated| *stated != registered)?;
    let message =
        format!("文件所述变更前面积 {stated} 公顷，与登记的核准面积 {registered} 公顷不同（园区 {}）", park.code);
    Some(Finding::warning("area_before_differs", Place::whole().field("areas"), message))
}

/// The parks to come: codes and names that nobody has, divisions that there are; `upgraded`: of the national level.
pub(super) async fn new_parks(
    connection: &mut PgConnection,
    begun: &[&NewPark],
    ending: &[String],
    upgraded: bool,
) -> Result<()> {
    let mut findings = Vec::new();
    let mut codes: HashSet<&ParkCode> = HashSet::new();
    let names: Vec<String> = begun.iter().map(|new| new.park.name.clone()).collect();
    let named = park_events::named(connection, &names).await?;
    for new in begun {
        let park = &new.park;
        let place = || Place::whole().field("code");
        if !codes.insert(&park.code) {
            let message = format!("两个新园区的代码都是 {}", park.code);
            findings.push(Finding::error("park_exists", place(), message));
        }
        if parks::exists(connection, &park.code).await? {
            let message = format!("园区代码 {} 已经用过，不能再用；请核对代码", park.code);
            findings.push(Finding::error("park_exists", place(), message));
        }
        if upgraded && !park.is_national() {
            let message = format!("升级后的园区代码应以 G 开头，不是 {}", park.code);
            findings.push(Finding::error("level_contradicts_code", place(), message));
        }
        if let Some((other, name)) = named.iter().find(|(code, name)| *name == park.name && !ending.contains(code)) {
            let message = format!("名称“{name}”已为园区 {other} 所用");
            findings.push(Finding::error("park_name_taken", Place::whole().field("name"), message));
        }
        findings.extend(divisions(connection, new).await?);
    }
    if names.iter().collect::<HashSet<_>>().len() != names.len() {
        findings.push(Finding::error("park_name_taken", Place::whole().field("name"), "两个新园区的名称相同"));
    }
    match findings.first() {
        None => Ok(()),
        Some(_) => Err(refused(findings)),
    }
}

async fn divisions(connection: &mut PgConnection, new: &NewPark) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let prefecture = new.park.prefecture.to_string();
    if park_events::divisions_of_level(connection, std::slice::from_ref(&prefecture), "prefecture").await?.is_empty() {
        let message = format!("行政区划表中没有市州 {prefecture}");
        findings.push(Finding::error("division_unknown", Place::whole().field("prefecture"), message));
    }
    let counties: Vec<String> = new.park.counties.iter().map(ToString::to_string).collect();
    let known = park_events::divisions_of_level(connection, &counties, "county").await?;
    findings.extend(counties.iter().filter(|county| !known.contains(county)).map(|county| {
        let message = format!("行政区划表中没有县区 {county}");
        Finding::error("division_unknown", Place::whole().field("counties"), message)
    }));
    // A county's code begins with its prefecture's four digits, also where the province governs it (省直辖).
    let elsewhere = new.park.counties.iter().filter(|county| county.as_str()[..4] != prefecture[..4]);
    findings.extend(elsewhere.map(|county| {
        let message = format!("县区 {county} 不属于市州 {prefecture}");
        Finding::error("county_invalid", Place::whole().field("counties"), message)
    }));
    Ok(findings)
}
