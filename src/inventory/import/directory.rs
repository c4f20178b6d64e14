//! Importing a directory table (园区名录): rows → parks, judged against the divisions of the register.

use sqlx::PgPool;

use super::report::{CandidateSummary, ImportReport};
use super::{ImportRequest, Judged, Rows, off_async_threads};
use crate::domain::{DivisionCode, Finding, Park, Place};
use crate::error::Result;
use crate::exchange::directory_table::{self, DirectoryRow};
use crate::store;

pub(super) async fn judge_file(pool: &PgPool, request: &ImportRequest) -> Result<Judged> {
    let path = request.path.clone();
    let mut options = request.read.clone();
    options.file_name = Some(request.file_name.clone());
    let (reading, rows) = off_async_threads(move || directory_table::read_file(&path, &options)).await??;
    let mut report = ImportReport::of_reading(&reading);
    let mut connection = pool.acquire().await?;
    let divisions = store::divisions::list_names(&mut connection).await?;
    let mut parks = Vec::with_capacity(rows.len());
    for row in rows {
        report.candidates.push(summary(&row));
        let column = |canonical: &[&'static str]| {
            let named = reading.mapping.iter().find(|m| m.canonical.is_some_and(|c| canonical.contains(&c)));
            named.map_or_else(|| canonical[0].to_owned(), |m| m.field.to_string())
        };
        match to_park(&row, &divisions, request, column) {
            Ok(park) => parks.push(park),
            Err(finding) => report.findings.push(finding),
        }
    }
    Ok(Judged::new(report, Rows::Parks(parks)))
}

fn summary(row: &DirectoryRow) -> CandidateSummary {
    CandidateSummary {
        row: row.row,
        id: Some(row.code.to_string()),
        name: Some(row.name.clone()),
        parts: 0,
        rings: 0,
        area: None,
        stated_area: row.approved_area.as_ref().map(|a| a.area),
        stated_area_text: row.approved_area.as_ref().map(|a| (a.text.clone(), a.unit)),
        crs: None,
        bbox: None,
    }
}

/// `divisions`: code, name, and the code that replaces it where it is only accepted as input. `column` gives the heading
/// that the file has for the first of these that it has.
fn to_park(
    row: &DirectoryRow,
    divisions: &[(String, String, Option<String>)],
    request: &ImportRequest,
    column: impl Fn(&[&'static str]) -> String,
) -> std::result::Result<Park, Finding> {
    let find = |text: &str| {
        divisions
            .iter()
            .find(|(code, name, _)| code == text || name == text)
            .map(|(code, _, maps_to)| maps_to.as_ref().unwrap_or(code))
            .and_then(|code| DivisionCode::parse(code).ok())
    };
    let place = || Place::row(row.row);
    let Some(prefecture_text) = row.prefecture.as_deref() else {
        return Err(Finding::error(
            "prefecture_missing",
            place().field(column(&["prefecture", "prefecture_code"])),
            format!("第 {} 行没有所在市州（代码或名称）", row.row),
        ));
    };
    let prefecture = find(prefecture_text).ok_or_else(|| {
        Finding::error(
            "division_unknown",
            place().field(column(&["prefecture_code", "prefecture"])),
            format!("第 {} 行的市州“{prefecture_text}”不在行政区划表中", row.row),
        )
    })?;
    if !prefecture.is_prefecture() {
        return Err(Finding::error(
            "prefecture_wrong_level",
            place().field(column(&["prefecture_code", "prefecture"])),
            format!("第 {} 行的“{prefecture_text}”（{prefecture}）不是市州；县区请写在县区一列", row.row),
        ));
    }
    let counties = row.county.as_deref().unwrap_or_default().split(['、', '，', ',', '；', ';']).map(str::trim);
    let counties = counties.filter(|text| !text.is_empty()).map(|text| {
        find(text).ok_or_else(|| {
            Finding::error(
                "division_unknown",
                place().field(column(&["county_code", "county"])),
                format!("第 {} 行的县区“{text}”不在行政区划表中", row.row),
            )
        })
    });
    let counties = counties.collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(Park {
        code: row.code.clone(),
        name: row.name.clone(),
        aliases: row.aliases.clone(),
        kind: row.kind.clone().unwrap_or_default(),
        prefecture,
        counties,
        leading_industries: row.leading_industries.clone(),
        approved_text: row.approved_text.clone(),
        approved_on: row.approved_on,
        approved_area: row.approved_area.as_ref().map(|a| a.area.to_hectares()),
        source: row.source.clone().unwrap_or_else(|| format!("导入文件 {}", request.file_name)),
    })
}
