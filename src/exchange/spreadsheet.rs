//! XLSX sheets as rows of texts, cell by cell: a sheet may name one cell at its far end, so no grid is laid out for it.

use std::collections::BTreeMap;
use std::path::Path;

use calamine::{DataRef, Reader, Xlsx, XlsxError};
use chrono::{Days, NaiveDate};

use super::archive;
use super::limits::{
    MAX_COLUMNS, MAX_FEATURES, MAX_FINDINGS, MAX_SPREADSHEET_BYTES, MAX_TABLE_CELLS, MAX_TABLE_TEXT_BYTES,
};
use super::plain_table::{self, PlainTable};
use crate::domain::{Finding, Place};

/// The wanted sheet, else the first that `suits`, else the first that is not empty.
pub fn read(
    path: &Path,
    bytes: &[u8],
    wanted: Option<&str>,
    suits: impl Fn(&PlainTable) -> bool,
    findings: &mut Vec<Finding>,
) -> Option<PlainTable> {
    if let Err(finding) = archive::check_container(path, MAX_SPREADSHEET_BYTES) {
        findings.push(finding);
        return None;
    }
    let Ok(mut book) = Xlsx::new(std::io::Cursor::new(bytes)) else {
        findings.push(broken());
        return None;
    };
    let sheets = book.sheet_names();
    let names = match wanted {
        Some(name) if !sheets.iter().any(|s| s == name) => {
            let message = format!("表格里没有工作表“{name}”；有：{}", sheets.join("、"));
            findings.push(Finding::error("source_layer_unknown", Place::whole(), message));
            return None;
        }
        Some(name) => vec![name.to_owned()],
        None => sheets,
    };
    let mut first = None;
    for name in names {
        // What is wrong with a sheet that is passed over is no fault of the import.
        let mut found = Vec::new();
        let table = match read_sheet(&mut book, &name, &mut found) {
            Ok(table) => table,
            Err(finding) => {
                findings.push(finding);
                return None;
            }
        };
        if suits(&table) {
            findings.append(&mut found);
            return Some(table);
        }
        first = first.or(Some((table, found)).filter(|(table, _)| !table.headings.is_empty()));
    }
    let Some((table, mut found)) = first else {
        findings.push(Finding::error("file_empty", Place::whole(), "表格是空的"));
        return None;
    };
    findings.append(&mut found);
    Some(table)
}

fn broken() -> Finding {
    Finding::error("file_unreadable", Place::whole(), "不是有效的 XLSX 表格，或文件已损坏")
}

type Cells = BTreeMap<u32, String>;

/// One sheet. What no table can be made of is an `Err`; faults of cells are `findings`.
fn read_sheet(
    book: &mut Xlsx<std::io::Cursor<&[u8]>>,
    name: &str,
    findings: &mut Vec<Finding>,
) -> Result<PlainTable, Finding> {
    let rows = match cells(book, name, findings) {
        Ok(rows) => rows?,
        Err(_) => return Err(broken()),
    };
    let mut table = PlainTable::default();
    let mut laid = 0;
    for (row, cells) in rows {
        let row = u64::from(row) + 1;
        let width = cells.keys().next_back().map_or(0, |last| *last as usize + 1);
        laid += width;
        if laid > MAX_TABLE_CELLS {
            return Err(plain_table::too_large(Some(row)));
        }
        let mut line = vec![String::new(); width];
        for (column, text) in cells {
            line[column as usize] = text;
        }
        plain_table::take_row(&mut table, row, line, findings);
        if table.rows.len() > MAX_FEATURES || findings.len() > MAX_FINDINGS {
            let message = format!("记录超过 {MAX_FEATURES} 条或问题过多，请分成几个文件");
            findings.push(Finding::error("too_many_records", Place::row(row), message));
            break;
        }
    }
    Ok(table)
}

/// Cells that hold something, by row and column from 0, as long as they keep within the limits.
fn cells(
    book: &mut Xlsx<std::io::Cursor<&[u8]>>,
    name: &str,
    findings: &mut Vec<Finding>,
) -> Result<Result<BTreeMap<u32, Cells>, Finding>, XlsxError> {
    let mut rows: BTreeMap<u32, Cells> = BTreeMap::new();
    let mut bytes = 0;
    // Old Macintosh spreadsheets count from 1904.
    let first_day = if book.has_1904_epoch() { 1462.0 } else { 0.0 };
    let mut reader = book.worksheet_cells_reader(name)?;
    while let Some(cell) = reader.next_cell()? {
        let (row, column) = cell.get_position();
        let place = Place::row(u64::from(row) + 1);
        let text = match cell.get_value() {
            DataRef::Error(error) if findings.len() <= MAX_FINDINGS => {
                let message = format!("第 {} 行第 {} 列是公式错误 {error}，请改正后再导入", row + 1, column + 1);
                findings.push(Finding::error("cell_error", place, message));
                continue;
            }
            value => text_of(value, first_day),
        };
        if text.is_empty() {
            continue;
        }
        if column as usize >= MAX_COLUMNS {
            return Ok(Err(plain_table::too_wide(u64::from(row) + 1, column as usize + 1)));
        }
        // A cell costs its text and its place.
        bytes += text.len() + 64;
        if bytes > MAX_TABLE_TEXT_BYTES {
            return Ok(Err(plain_table::too_large(Some(u64::from(row) + 1))));
        }
        if rows.entry(row).or_default().insert(column, text).is_some() {
            // Two values for one cell: no program writes that.
            return Ok(Err(broken()));
        }
    }
    Ok(Ok(rows))
}

fn text_of(value: &DataRef<'_>, first_day: f64) -> String {
    match value {
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Int(number) => number.to_string(),
        // Display prints the shortest decimal that reads back: 430100, 633.3.
        DataRef::Float(number) => number.to_string(),
        DataRef::Bool(value) => value.to_string(),
        DataRef::DateTime(moment) => {
            day_of_serial(moment.as_f64() + first_day).map_or_else(|| moment.as_f64().to_string(), |d| d.to_string())
        }
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}

/// Spreadsheets count days from 1899-12-30.
fn day_of_serial(serial: f64) -> Option<NaiveDate> {
    let days = (0.0..3e6).contains(&serial).then_some(serial.floor() as u64)?;
    NaiveDate::from_ymd_opt(1899, 12, 30)?.checked_add_days(Days::new(days))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_since_the_end_of_1899() {
        assert_eq!(day_of_serial(41_671.0), NaiveDate::from_ymd_opt(2014, 2, 1));
        assert_eq!(day_of_serial(-1.0), None);
    }
}
