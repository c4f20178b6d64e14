//! XLSX: typed cells, a frozen heading, one sheet a million rows, and a sheet that says what the file is. Rows go to a
//! temporary file as they come; no grid is held.

use std::path::Path;

use rust_xlsxwriter::{ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use super::Rows;
use crate::domain::export::{Cell, Column, ExportRow};
use crate::domain::layer::PropertyKind;
use crate::error::{Error, Result};
use crate::exchange::formula;

/// Data rows of one sheet; a sheet ends at 1,048,576.
const ROWS_A_SHEET: u32 = 1_000_000;

/// What the workbook holds beside the rows.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// Name of the first sheet; a number is put behind the others'.
    pub title: String,
    /// Columns with the place of each in a row's cells.
    pub columns: Vec<(usize, Column)>,
    /// Columns of a point inside; a table of no places has none.
    pub centre: Option<[Column; 2]>,
    /// Name of the sheet of notes, and its lines; the number of rows stands behind the empty value.
    pub notes_title: String,
    pub notes: Vec<(String, Option<String>)>,
}

/// Formats of cells, made once.
struct Formats {
    heading: Format,
    quoted: Format,
    date: Format,
    /// In UTC: a cell has no zone.
    moment: Format,
    two_decimals: Format,
    four_decimals: Format,
    eight_decimals: Format,
}

impl Formats {
    fn new() -> Self {
        let number = |pattern: &str| Format::new().set_num_format(pattern);
        Self {
            heading: Format::new().set_bold().set_text_wrap(),
            quoted: Format::new().set_quote_prefix(),
            date: number("yyyy-mm-dd"),
            moment: number("yyyy-mm-dd hh:mm:ss"),
            two_decimals: number("0.00"),
            four_decimals: number("0.0000"),
            eight_decimals: number("0.00000000"),
        }
    }

    fn of_number(&self, unit: Option<&str>) -> Option<&Format> {
        match unit {
            Some("ha") => Some(&self.four_decimals),
            Some(_) => Some(&self.two_decimals),
            None => None,
        }
    }
}

fn failed(cause: XlsxError) -> Error {
    Error::internal("写 XLSX 时出错", cause)
}

/// Writes the workbook to `path`, with temporary files in `folder`; the number of its rows.
pub fn write_xlsx(rows: Rows<'_>, sheet: &Sheet, path: &Path, folder: &Path) -> Result<u64> {
    write_sheets(rows, sheet, path, folder, ROWS_A_SHEET)
}

/// Writes several tables as the sheets of one workbook; the notes are those of the first.
pub fn write_book(pages: &[(Sheet, Vec<ExportRow>)], path: &Path, folder: &Path) -> Result<()> {
    let formats = Formats::new();
    let mut book = Workbook::new();
    book.set_tempdir(folder).map_err(failed)?;
    for (sheet, rows) in pages {
        let page = begin(&mut book, &sheet.title, sheet, &formats).map_err(failed)?;
        for (at, row) in (1..).zip(rows) {
            put_row(page, at, row, sheet, &formats).map_err(|cause| refused(cause, u64::from(at), row))?;
        }
    }
    if let Some((sheet, rows)) = pages.first() {
        put_notes(&mut book, sheet, rows.len() as u64, &formats).map_err(failed)?;
    }
    book.save(path).map_err(failed)
}

fn write_sheets(rows: Rows<'_>, sheet: &Sheet, path: &Path, folder: &Path, rows_a_sheet: u32) -> Result<u64> {
    let formats = Formats::new();
    let mut book = Workbook::new();
    book.set_tempdir(folder).map_err(failed)?;
    let mut rows = rows.peekable();
    let (mut count, mut number) = (0, 1);
    loop {
        let name = if number == 1 { sheet.title.clone() } else { format!("{} {number}", sheet.title) };
        let page = begin(&mut book, &name, sheet, &formats).map_err(failed)?;
        for (at, row) in (1..=rows_a_sheet).zip(rows.by_ref()) {
            let row = row?;
            count += 1;
            put_row(page, at, &row, sheet, &formats).map_err(|cause| refused(cause, count, &row))?;
        }
        number += 1;
        if rows.peek().is_none() {
            break;
        }
    }
    put_notes(&mut book, sheet, count, &formats).map_err(failed)?;
    book.save(path).map_err(failed)?;
    Ok(count)
}

fn refused(cause: XlsxError, number: u64, row: &ExportRow) -> Error {
    match cause {
        XlsxError::MaxStringLengthExceeded => Error::invalid(
            "text_too_long",
            format!("第 {number} 行（{}）有文字超过 XLSX 单元格的 32767 个字；请改用 csv 导出", row.id),
        ),
        other => failed(other),
    }
}

/// A sheet with its headings, frozen, and widths that fit what such columns hold.
fn begin<'a>(
    book: &'a mut Workbook,
    name: &str,
    sheet: &Sheet,
    formats: &Formats,
) -> std::result::Result<&'a mut Worksheet, XlsxError> {
    let page = book.add_worksheet_with_constant_memory()?;
    page.set_name(name)?.set_freeze_panes(1, 0)?;
    let columns = sheet.columns.iter().map(|(_, column)| column).chain(sheet.centre.iter().flatten());
    for (at, column) in (0..).zip(columns) {
        // A Chinese character is two digits wide.
        let heading: usize = column.heading.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
        let content = match column.kind {
            PropertyKind::Text | PropertyKind::TextList | PropertyKind::NumberList => 20,
            PropertyKind::DateTime => 19,
            PropertyKind::Number => 14,
            PropertyKind::Date => 12,
            PropertyKind::Integer | PropertyKind::Boolean => 8,
        };
        page.set_column_width(at, (heading + 2).max(content) as f64)?;
        page.write_string_with_format(0, at, &column.heading, &formats.heading)?;
    }
    Ok(page)
}

fn put_row(
    page: &mut Worksheet,
    at: u32,
    row: &ExportRow,
    sheet: &Sheet,
    formats: &Formats,
) -> std::result::Result<(), XlsxError> {
    for (place, (cell, column)) in (0..).zip(&sheet.columns) {
        match row.cells.get(*cell).unwrap_or(&Cell::Missing) {
            Cell::Missing => {}
            Cell::Text(text) => put_text(page, at, place, text, formats)?,
            Cell::Number(number) if !number.is_finite() => put_text(page, at, place, &number.to_string(), formats)?,
            Cell::Number(number) => match formats.of_number(column.unit) {
                Some(format) => page.write_number_with_format(at, place, *number, format).map(drop)?,
                None => page.write_number(at, place, *number).map(drop)?,
            },
            Cell::Integer(number) => page.write_number(at, place, *number as f64).map(drop)?,
            Cell::Boolean(value) => page.write_boolean(at, place, *value).map(drop)?,
            Cell::Date(day) => match excel_day(*day) {
                Some(moment) => page.write_datetime_with_format(at, place, moment, &formats.date).map(drop)?,
                // Before 1900 a spreadsheet knows no days.
                None => put_text(page, at, place, &day.to_string(), formats)?,
            },
            Cell::DateTime(moment) => match excel_moment(*moment) {
                Some(shown) => page.write_datetime_with_format(at, place, shown, &formats.moment).map(drop)?,
                None => put_text(page, at, place, &Cell::DateTime(*moment).text(), formats)?,
            },
        }
    }
    if let Some((x, y)) = row.centre {
        let first = u16::try_from(sheet.columns.len()).unwrap_or(u16::MAX);
        for (place, degrees) in (first..).zip([x, y]) {
            page.write_number_with_format(at, place, degrees, &formats.eight_decimals)?;
        }
    }
    Ok(())
}

/// Always a string; what would be a formula if somebody typed it again is marked as quoted.
fn put_text(
    page: &mut Worksheet,
    row: u32,
    column: u16,
    text: &str,
    formats: &Formats,
) -> std::result::Result<(), XlsxError> {
    if formula::is_dangerous(text) {
        page.write_string_with_format(row, column, text, &formats.quoted)?;
    } else {
        page.write_string(row, column, text)?;
    }
    Ok(())
}

fn excel_day(day: chrono::NaiveDate) -> Option<ExcelDateTime> {
    use chrono::Datelike as _;
    let year = u16::try_from(day.year()).ok()?;
    ExcelDateTime::from_ymd(year, u8::try_from(day.month()).ok()?, u8::try_from(day.day()).ok()?).ok()
}

fn excel_moment(moment: chrono::DateTime<chrono::Utc>) -> Option<ExcelDateTime> {
    use chrono::Timelike as _;
    let (hour, minute) = (u16::try_from(moment.hour()).ok()?, u8::try_from(moment.minute()).ok()?);
    let second = f64::from(moment.second()) + f64::from(moment.nanosecond()) / 1e9;
    excel_day(moment.date_naive())?.and_hms(hour, minute, second.min(59.999)).ok()
}

fn put_notes(book: &mut Workbook, sheet: &Sheet, count: u64, formats: &Formats) -> std::result::Result<(), XlsxError> {
    let page = book.add_worksheet_with_constant_memory()?;
    page.set_name(&sheet.notes_title)?.set_column_width(0, 16.0)?.set_column_width(1, 90.0)?;
    for (at, (name, value)) in (0..).zip(&sheet.notes) {
        page.write_string_with_format(at, 0, name, &formats.heading)?;
        match value {
            Some(text) => put_text(page, at, 1, text, formats)?,
            None => page.write_number(at, 1, count as f64).map(drop)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use calamine::{Reader, Xlsx};

    use super::*;

    fn row(text: &str) -> ExportRow {
        let cells = vec![Cell::Text(text.to_owned())];
        ExportRow { id: text.to_owned(), cells, geometry: None, centre: None, feature: String::new() }
    }

    #[test]
    fn a_sheet_that_is_full_is_followed_by_another_with_the_headings() {
        let column = |heading: &str| Column { heading: heading.to_owned(), kind: PropertyKind::Text, unit: None };
        let sheet = Sheet {
            title: "图层".to_owned(),
            columns: vec![(0, column("名称"))],
            centre: Some([column("经"), column("纬")]),
            notes_title: "说明".to_owned(),
            notes: vec![("条数".to_owned(), None)],
        };
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("out.xlsx");
        for (count, expected) in [(0, vec![1]), (2, vec![3]), (4, vec![3, 3]), (5, vec![3, 3, 2])] {
            let mut rows = (0..count).map(|n| Ok(row(&format!("={n}"))));
            assert_eq!(write_sheets(&mut rows, &sheet, &path, folder.path(), 2).expect("written"), count);
            let mut book: Xlsx<_> = calamine::open_workbook(&path).expect("a workbook");
            let names = book.sheet_names();
            let (notes, data) = names.split_last().expect("sheets");
            assert_eq!((notes.as_str(), data[0].as_str()), ("说明", "图层"));
            let heights: Vec<usize> =
                data.iter().map(|name| book.worksheet_range(name).expect("a sheet").height()).collect();
            assert_eq!(heights, expected, "{count} rows");
            let note = book.worksheet_range("说明").expect("notes");
            assert_eq!(note.get_value((0, 1)).map(ToString::to_string), Some(count.to_string()));
        }
        let long = write_xlsx(&mut [Ok(row(&"长".repeat(32_768)))].into_iter(), &sheet, &path, folder.path());
        assert_eq!(long.err().map(|e| e.code()), Some("text_too_long"));
    }
}
