//! The 129 parks of the 2018 catalogue, the catalogue as a directory version, and the 7 boundary changes as events.

use std::collections::HashMap;

use chrono::NaiveDate;

use super::broken;
use super::divisions::{code, rows};
use crate::domain::lifecycle::{DecimalHectares, EventKind, check_event_arithmetic};
use crate::domain::{DirectoryEntry, DirectoryVersion, Hectares, Park, ParkCode, ParkEvent};
use crate::error::Result;

const PARKS: &str = include_str!("../../../fixtures/parks/hunan_parks.csv");
const CHANGES: &str = include_str!("../../../fixtures/parks/hunan_park_area_changes.csv");
const EVENT_PARKS: &str = include_str!("../../../fixtures/parks/event_parks.csv");

fn park_code(text: &str) -> Result<ParkCode> {
    ParkCode::parse(text).map_err(|e| broken(&e.0))
}

fn list(text: &str) -> Vec<String> {
    text.split('、').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

pub(super) fn read() -> Result<(Vec<Park>, DirectoryVersion, Vec<ParkEvent>)> {
    let mut parks = Vec::new();
    let mut entries = Vec::new();
    for row in rows(PARKS)? {
        let code_of_park = park_code(&row[1])?;
        let area = row[9].parse().ok().and_then(Hectares::new);
        let industries = list(&row[10]);
        let county = Some(&row[7]).filter(|c| !c.is_empty()).map(code).transpose()?;
        entries.push(DirectoryEntry {
            park: code_of_park.clone(),
            serial: row[0].parse().ok(),
            name: row[2].to_owned(),
            area,
            approved_text: Some(row[8].to_owned()),
            leading_industries: industries.clone(),
            four_extents: None,
        });
        parks.push(Park {
            code: code_of_park,
            name: row[2].to_owned(),
            aliases: Vec::new(),
            kind: row[4].to_owned(),
            prefecture: code(&row[5])?,
            counties: county.into_iter().collect(),
            leading_industries: industries,
            approved_text: Some(row[8].to_owned()),
            approved_on: first_day(&row[8]),
            approved_area: area,
            source: "《中国开发区审核公告目录》（2018年版）".to_owned(),
        });
    }
    let directory = DirectoryVersion {
        id: "cn-2018".to_owned(),
        title: "《中国开发区审核公告目录》（2018年版）".to_owned(),
        // From memory of the announcement, not read in a source; see docs/sample-inventory.md.
        document_no: Some("国家发展改革委等六部门公告2018年第4号".to_owned()),
        issued_on: NaiveDate::from_ymd_opt(2018, 2, 26),
        source: "公开转录，129 行湖南条目".to_owned(),
        entries,
    };
    let events = read_events(&mut parks)?;
    Ok((parks, directory, events))
}

/// `2014.02` → 2014-02-01.
fn first_day(text: &str) -> Option<NaiveDate> {
    let (year, month) = text.split_once('.')?;
    NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, 1)
}

fn read_events(parks: &mut [Park]) -> Result<Vec<ParkEvent>> {
    let codes: HashMap<String, String> =
        rows(EVENT_PARKS)?.iter().map(|r| (r[0].to_owned(), r[1].to_owned())).collect();
    let mut events = Vec::new();
    for row in rows(CHANGES)? {
        let name = &row[0];
        let park = park_code(codes.get(name).ok_or_else(|| broken(name))?)?;
        let entry = parks.iter_mut().find(|p| p.code == park).ok_or_else(|| broken(name))?;
        if entry.name != *name && !entry.aliases.iter().any(|a| a == name) {
            entry.aliases.push(name.to_owned());
        }
        let area = |text: &str| DecimalHectares::parse(text);
        let occurred = Some(row[2].to_owned()).filter(|t| !t.is_empty());
        let event = ParkEvent {
            id: format!("{park}-{}", occurred.as_deref().unwrap_or("undated")),
            park,
            kind: kind(&row[1]),
            occurred_on: occurred.as_deref().and_then(|t| NaiveDate::parse_from_str(t, "%Y-%m-%d").ok()),
            occurred_text: occurred,
            stage: Some(row[1].to_owned()),
            document_no: None,
            area_before: area(&row[7]),
            area_out: area(&row[3]),
            area_in: area(&row[4]),
            area_after: area(&row[5]),
            block_areas: row[6].split(';').filter_map(area).collect(),
            related_parks: Vec::new(),
            note: (entry_name_differs(parks, &row[0])).then(|| format!("公告所用名称：{name}")),
            source: "省发展改革委公示或其新闻报道".to_owned(),
        };
        if let Some(wrong) = check_event_arithmetic(&event).first() {
            return Err(broken(&wrong.message));
        }
        events.push(event);
    }
    Ok(events)
}

fn entry_name_differs(parks: &[Park], name: &str) -> bool {
    !parks.iter().any(|p| p.name == name)
}

fn kind(stage: &str) -> EventKind {
    if stage.starts_with("调区扩区") {
        EventKind::AdjustedAndExtended
    } else if stage.starts_with("扩区") {
        EventKind::Extended
    } else {
        EventKind::Adjusted
    }
}
