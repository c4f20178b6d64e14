//! Divisions of Hunan from the fixtures, with prefecture outlines.

use std::collections::HashMap;

use super::{broken, outlines};
use crate::domain::{Division, DivisionCode, DivisionLevel};
use crate::error::Result;

const DIVISIONS: &str = include_str!("../../../fixtures/divisions/hunan_divisions.csv");
const EXTRA: &str = include_str!("../../../fixtures/divisions/hunan_divisions_extra.csv");
const ZONES: &str = include_str!("../../../fixtures/divisions/statistical_zones.csv");

const SOURCE: &str = "民政部行政区划代码（2020年末，祁阳市按2023年）";
const EXTRA_SOURCE: &str = "国家统计局统计用区划代码（2023年）；只作输入，对应实际县区";

pub(super) fn rows(text: &str) -> Result<Vec<csv::StringRecord>> {
    csv::Reader::from_reader(text.as_bytes())
        .into_records()
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| broken(&e.to_string()))
}

pub(super) fn code(text: &str) -> Result<DivisionCode> {
    DivisionCode::parse(text).map_err(|e| broken(&e.0))
}

pub(super) fn read() -> Result<Vec<Division>> {
    let mut outlines = outlines::read()?;
    let zones: HashMap<String, String> = rows(ZONES)?.iter().map(|r| (r[0].to_owned(), r[1].to_owned())).collect();
    let mut divisions = Vec::new();
    for (text, is_extra) in [(DIVISIONS, false), (EXTRA, true)] {
        for row in rows(text)? {
            let level = DivisionLevel::parse(&row[2]).ok_or_else(|| broken(&row[2]))?;
            let parent = if row[3].is_empty() { None } else { Some(code(&row[3])?) };
            let outline = outlines.remove(&row[0]);
            let mut source = if is_extra { EXTRA_SOURCE } else { SOURCE }.to_owned();
            if let Some(outline) = &outline {
                source.push_str("；界线：");
                source.push_str(&outline.source);
            }
            divisions.push(Division {
                code: code(&row[0])?,
                name: row[1].to_owned(),
                level,
                parent,
                maps_to: zones.get(&row[0]).map(|c| code(c)).transpose()?,
                note: row.get(4).filter(|n| !n.is_empty()).map(str::to_owned),
                source,
                outline: outline.map(|o| o.geometry),
            });
        }
    }
    match outlines.into_keys().next() {
        Some(unclaimed) => Err(broken(&format!("outline of unknown division {unclaimed}"))),
        None => Ok(divisions),
    }
}
