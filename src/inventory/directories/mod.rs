//! Directories (园区名录): those that were published, the one of any day out of the register, what differs between two, and publishing one.

mod difference;
mod files;
mod publish;

use std::collections::HashMap;

use chrono::NaiveDate;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

pub use difference::{Difference, Side, difference, difference_json};
pub use files::{geojson, workbook};
pub use publish::{Publication, Published, publish};

use crate::domain::lifecycle::DecimalHectares;
use crate::domain::{Block, ParkCode, park_words};
use crate::error::{Error, Result};
use crate::store::directories::{EntryRow, VersionRow};
use crate::store::park_days::{self, DayPark};
use crate::store::{self, as_of, directories};

/// What a directory says of one park.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub code: String,
    pub serial: Option<i32>,
    pub name: String,
    /// 核准面积 of the paper.
    pub area: Option<DecimalHectares>,
    pub approved_text: Option<String>,
    pub leading_industries: Vec<String>,
    pub four_extents: Option<String>,
    /// What a directory out of the register tells beside; `None` in a published one.
    pub register: Option<Registered>,
}

/// What the register knows of a park on a day beside what directories print.
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    pub kind: String,
    pub prefecture_code: String,
    pub prefecture_name: String,
    pub county_codes: Vec<String>,
    /// Ellipsoidal area of its blocks of that day in m²; `None` without any.
    pub computed_area_m2: Option<f64>,
    pub illustrative: bool,
    pub valid_from: Option<NaiveDate>,
    pub valid_to: Option<NaiveDate>,
}

/// A directory, published or of a day.
#[derive(Debug, Clone, PartialEq)]
pub struct Directory {
    /// `None`: of a day, out of the register.
    pub id: Option<String>,
    pub title: String,
    pub document_no: Option<String>,
    pub issued_on: Option<NaiveDate>,
    pub source: String,
    /// The day whose parks it lists; `None` for one that others published.
    pub register_on: Option<NaiveDate>,
    /// The register's revision that it was drawn from.
    pub register_revision: Option<i64>,
    pub entries: Vec<Entry>,
    /// The revision whose state was read.
    pub revision: i64,
}

impl Directory {
    /// The day whose boundaries belong to it.
    pub fn boundaries_on(&self) -> Option<NaiveDate> {
        self.register_on.or(self.issued_on)
    }
}

/// The published versions, the newest first, and the revision read.
pub async fn list(pool: &PgPool) -> Result<(Vec<VersionRow>, i64)> {
    let mut transaction = store::begin_read(pool).await?;
    let revision = as_of::newest(&mut transaction).await?;
    let versions = directories::list(&mut transaction, None).await?;
    transaction.commit().await?;
    Ok((versions, revision))
}

/// A published version; `None` where there is none of this id.
pub async fn find(pool: &PgPool, id: &str) -> Result<Option<Directory>> {
    let mut transaction = store::begin_read(pool).await?;
    let found = find_in(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(found)
}

async fn find_in(connection: &mut PgConnection, id: &str) -> Result<Option<Directory>> {
    let revision = as_of::newest(connection).await?;
    let Some(version) = directories::list(connection, Some(id)).await?.into_iter().next() else { return Ok(None) };
    let entries = directories::list_entries(connection, id).await?.into_iter().map(entry_of_row).collect();
    Ok(Some(Directory {
        id: Some(version.id),
        title: version.title,
        document_no: version.document_no,
        issued_on: version.issued_on,
        source: version.source,
        register_on: version.register_on,
        register_revision: version.register_revision,
        entries,
        revision,
    }))
}

fn entry_of_row(row: EntryRow) -> Entry {
    Entry {
        code: row.park_code,
        serial: row.serial,
        name: row.name,
        area: row.area_ha.as_deref().and_then(DecimalHectares::parse),
        approved_text: row.approved_text,
        leading_industries: row.leading_industries,
        four_extents: row.four_extents,
        register: None,
    }
}

/// The directory of a day: parks that lived then, as they were called then, with the words of their blocks of then.
pub async fn of_day(pool: &PgPool, on: NaiveDate) -> Result<Directory> {
    let mut transaction = store::begin_read(pool).await?;
    let directory = of_day_in(&mut transaction, on).await?;
    transaction.commit().await?;
    Ok(directory)
}

async fn of_day_in(connection: &mut PgConnection, on: NaiveDate) -> Result<Directory> {
    let revision = as_of::newest(connection).await?;
    let parks = park_days::list(connection, on, None).await?;
    let mut blocks: HashMap<String, Vec<Block>> = HashMap::new();
    for block in park_days::list_block_words(connection, on).await? {
        blocks.entry(block.id.park().to_string()).or_default().push(block);
    }
    let entry = |(serial, park): (i32, DayPark)| {
        let blocks = blocks.get(&park.code).map(Vec::as_slice).unwrap_or_default();
        entry_of_day(serial, park, blocks)
    };
    Ok(Directory {
        id: None,
        title: format!("园区名录（{on}）"),
        document_no: None,
        issued_on: None,
        source: "登记库".to_owned(),
        register_on: Some(on),
        register_revision: None,
        entries: (1..).zip(parks).map(entry).collect(),
        revision,
    })
}

fn entry_of_day(serial: i32, park: DayPark, blocks: &[Block]) -> Entry {
    let words = Some(park_words::of_blocks(blocks).text).filter(|text| !text.is_empty());
    Entry {
        code: park.code,
        serial: Some(serial),
        name: park.name,
        area: park.approved_area_ha.as_deref().and_then(DecimalHectares::parse),
        approved_text: park.approved_text,
        leading_industries: park.leading_industries,
        four_extents: words,
        register: Some(Registered {
            kind: park.kind,
            prefecture_code: park.prefecture_code,
            prefecture_name: park.prefecture_name,
            county_codes: park.county_codes,
            computed_area_m2: (!blocks.is_empty()).then(|| blocks.iter().map(|block| block.area.value()).sum()),
            illustrative: blocks.iter().any(|block| block.illustrative),
            valid_from: park.valid_from,
            valid_to: park.valid_to,
        }),
    }
}

/// A level as the code says it.
pub fn level_of(code: &str) -> &'static str {
    if ParkCode::parse(code).is_ok_and(|code| code.is_national()) { "国家级" } else { "省级" }
}

/// Hectares of a document as a JSON number: at most four decimals, which a double holds to the digit.
pub fn hectares(area: Option<DecimalHectares>) -> Value {
    area.map_or(Value::Null, |area| json!(area.square_metres() as f64 / 10_000.0))
}

/// The directory as JSON, without links.
pub fn document(directory: &Directory) -> Value {
    json!({
        "id": directory.id,
        "title": directory.title,
        "document_no": directory.document_no,
        "issued_on": directory.issued_on.map(|day| day.to_string()),
        "source": directory.source,
        "register_on": directory.register_on.map(|day| day.to_string()),
        "register_revision": directory.register_revision,
        "numberMatched": directory.entries.len(),
        "parks": directory.entries.iter().map(entry_json).collect::<Vec<_>>(),
    })
}

/// One park of a directory.
pub fn entry_json(entry: &Entry) -> Value {
    let mut object = json!({
        "serial": entry.serial,
        "code": entry.code,
        "name": entry.name,
        "level": level_of(&entry.code),
        "area_ha": hectares(entry.area),
        "approved_text": entry.approved_text,
        "leading_industries": entry.leading_industries,
        "four_extents": entry.four_extents,
    });
    if let Some(known) = &entry.register {
        object["type"] = json!(known.kind);
        object["prefecture"] = json!({"code": known.prefecture_code, "name": known.prefecture_name});
        object["county_codes"] = json!(known.county_codes);
        object["computed_area_m2"] = json!(known.computed_area_m2.map(|m2| crate::domain::area::round_decimal(m2, 2)));
        object["illustrative"] = json!(known.illustrative);
        object["valid_from"] = json!(known.valid_from.map(|day| day.to_string()));
        object["valid_to"] = json!(known.valid_to.map(|day| day.to_string()));
    }
    object
}

/// There is no version of this id.
pub fn not_found(id: &str) -> Error {
    let shown: String = id.chars().filter(|c| !c.is_control()).take(80).collect();
    Error::not_found("directory_not_found", format!("没有编号为“{shown}”的名录"))
}
