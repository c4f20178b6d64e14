//! A report given out: one JSON document, one table as CSV, all tables as a workbook. The cells are the same in each.

use std::io::Read as _;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::PgPool;

use crate::domain::access::Viewer;
use crate::domain::export::{Cell, Column, ExportRow, TextEncoding};
use crate::domain::report::{Report, ReportColumn, ReportTable};
use crate::error::{Error, Result};
use crate::exchange::table_export::{self, CsvOptions, Sheet};
use crate::inventory::export::{day_in_china, moment_in_china};
use crate::store::export_log::{ExportEntry, log_export};

/// Heads the row of totals in a table.
const TOTAL: &str = "合计";

/// A report as a file that somebody takes away.
pub struct GivenOut<'a> {
    pub report: &'a Report,
    pub viewer: &'a Viewer,
    /// `csv`, `xlsx`.
    pub format: &'a str,
    /// Where the request came from; empty for the command line.
    pub address: &'a str,
}

/// Enters the file in the log of exports: what leaves is of the internal layers.
pub async fn log_download(pool: &PgPool, given: &GivenOut<'_>) -> Result<()> {
    let report = given.report;
    let rows: usize = report.tables.iter().map(|table| table.rows.len()).sum();
    let asked: Vec<String> = report.filters.iter().map(|(name, _, value)| format!("{name}={value}")).collect();
    let entry = ExportEntry {
        actor: &given.viewer.actor,
        layer: &format!("report:{}", report.kind.as_str()),
        filter: &asked.join("；"),
        format: given.format,
        rows: rows as u64,
        address: given.address,
    };
    log_export(pool, &entry).await
}

/// The report as JSON.
pub fn document(report: &Report) -> Value {
    let filters: Map<String, Value> =
        report.filters.iter().map(|(name, _, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "report": report.kind.as_str(),
        "title": report.kind.title().zh,
        "title_en": report.kind.title().en,
        "description": report.kind.description(),
        "day": report.day.to_string(),
        "revision": report.revision,
        "filters": filters,
        "tables": report.tables.iter().map(table_json).collect::<Vec<_>>(),
        "notes": report.notes,
    })
}

fn table_json(table: &ReportTable) -> Value {
    let columns = table.columns.iter().map(|column| {
        let mut shown = json!({"name": column.name, "title": column.title});
        if let Some(unit) = column.unit {
            shown["unit"] = json!(unit);
        }
        shown
    });
    json!({
        "id": table.id,
        "title": table.title,
        "columns": columns.collect::<Vec<_>>(),
        "numberMatched": table.matched,
        "numberReturned": table.rows.len(),
        "truncated": table.left_out() > 0,
        "rows": table.rows.iter().map(|row| row_json(&table.columns, row)).collect::<Vec<_>>(),
        "totals": row_json(&table.columns, &table.totals),
    })
}

fn row_json(columns: &[ReportColumn], cells: &[Cell]) -> Value {
    let pairs = columns.iter().zip(cells).map(|(column, cell)| (column.name.clone(), cell_json(cell)));
    Value::Object(pairs.collect())
}

fn cell_json(cell: &Cell) -> Value {
    match cell {
        Cell::Missing => Value::Null,
        Cell::Text(text) => json!(text),
        Cell::Number(number) => json!(number),
        Cell::Integer(number) => json!(number),
        Cell::Boolean(value) => json!(value),
        Cell::DateTime(_) => json!(cell.text()),
        Cell::Date(day) => json!(day.to_string()),
    }
}

/// The rows of a table for a file, the totals last.
fn rows(table: &ReportTable) -> Vec<ExportRow> {
    let row = |cells: Vec<Cell>| ExportRow {
        id: cells.first().map(Cell::text).unwrap_or_default(),
        cells,
        geometry: None,
        centre: None,
        feature: String::new(),
    };
    let mut totals = table.totals.clone();
    if let Some(first) = totals.first_mut() {
        *first = Cell::Text(TOTAL.to_owned());
    }
    table.rows.iter().cloned().chain([totals]).map(row).collect()
}

fn columns(table: &ReportTable) -> Vec<(usize, Column)> {
    let column = |column: &ReportColumn| Column { heading: column.heading(), kind: column.kind, unit: column.unit };
    table.columns.iter().map(column).enumerate().collect()
}

/// The first table of the report as CSV; which one, is asked for by `table`.
pub fn csv(report: &Report) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    if let Some(table) = report.tables.first() {
        let options = CsvOptions { columns: columns(table), centre: None, wkt: None, encoding: TextEncoding::Utf8 };
        table_export::write_csv(&mut rows(table).into_iter().map(Ok), &options, &mut out)?;
    }
    Ok(out)
}

/// All tables as a workbook, and a sheet that says what it is.
pub fn workbook(report: &Report, at: DateTime<Utc>) -> Result<Vec<u8>> {
    let failed = |cause: std::io::Error| Error::internal("写导出文件时出错", cause);
    let folder = tempfile::TempDir::new().map_err(failed)?;
    let path = folder.path().join("report.xlsx");
    let notes = notes(report, at);
    let page = |table: &ReportTable| {
        let sheet = Sheet {
            title: table.title.to_owned(),
            columns: columns(table),
            centre: None,
            notes_title: "说明".to_owned(),
            notes: notes.clone(),
        };
        (sheet, rows(table))
    };
    let pages: Vec<(Sheet, Vec<ExportRow>)> = report.tables.iter().map(page).collect();
    table_export::write_book(&pages, &path, folder.path())?;
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}

fn notes(report: &Report, at: DateTime<Utc>) -> Vec<(String, Option<String>)> {
    let note = |name: &str, text: String| (name.to_owned(), Some(text));
    let asked: Vec<String> =
        report.filters.iter().map(|(name, title, value)| format!("{title}（{name}）：{value}")).collect();
    let mut notes = vec![
        note("报表", format!("{}（{}）", report.kind.title().zh, report.kind.as_str())),
        note("内容", report.kind.description().to_owned()),
        note("筛选条件", if asked.is_empty() { "无".to_owned() } else { asked.join("；") }),
        note("统计日", report.day.to_string()),
        note("修订号", report.revision.to_string()),
        note("生成时间", moment_in_china(at)),
    ];
    for table in &report.tables {
        let cut = match table.left_out() {
            0 => String::new(),
            left_out => format!("，只列前 {} 条，另有 {left_out} 条未列出；合计含全部", table.rows.len()),
        };
        notes.push(note(table.title, format!("{} 条{cut}", table.matched)));
    }
    notes.extend(report.notes.iter().map(|text| note("口径", (*text).to_owned())));
    notes
}

/// The name of a file, in ASCII and in Chinese.
pub fn file_name(report: &Report, ending: &str, at: DateTime<Utc>) -> (String, String) {
    let day = day_in_china(at);
    (format!("{}_{day}.{ending}", report.kind.as_str()), format!("{}_{day}.{ending}", report.kind.title().zh))
}
