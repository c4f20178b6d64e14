//! CSV as rows of named texts: what the directory reader builds on, and what a boundary import is told of.

use super::field_names::{self, Vocabulary};
use super::limits::{MAX_COLUMNS, MAX_FEATURES, MAX_FINDINGS, MAX_TABLE_CELLS, MAX_TABLE_TEXT_BYTES, MAX_TEXT_CHARS};
use super::{Attribute, Candidate, ReadOptions, Reading, formula, text_encoding};
use crate::domain::{Finding, Place};

/// A table's headings and rows; after [`PlainTable::settle`] every row is as long as the headings.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct PlainTable {
    pub headings: Vec<String>,
    /// Row number as a spreadsheet counts (the headings are row 1), and its cells.
    pub rows: Vec<(u64, Vec<String>)>,
}

impl PlainTable {
    /// Makes every row as wide as the headings; a cell beyond them belongs to no column and is told.
    pub fn settle(&mut self, findings: &mut Vec<Finding>) {
        let width = self.headings.len();
        if self.rows.len().saturating_mul(width) > MAX_TABLE_CELLS {
            findings.push(too_large(self.rows.last().map(|(row, _)| *row)));
            self.rows.clear();
            return;
        }
        for (row, cells) in &mut self.rows {
            if cells.iter().skip(width).any(|c| !c.is_empty()) {
                let message = format!("第 {row} 行有 {} 列，表头只有 {width} 列", cells.len());
                findings.push(Finding::error("row_too_long", Place::row(*row), message));
            }
            cells.resize(width, String::new());
        }
    }
}

/// More text or cells than are held at once.
pub fn too_large(row: Option<u64>) -> Finding {
    let at = row.map(|row| format!("，读到第 {row} 行")).unwrap_or_default();
    let message = format!(
        "表格太大{at}：文字最多 {} MB，行数乘列数最多 {} 万；请分成几个文件",
        MAX_TABLE_TEXT_BYTES / 1_048_576,
        MAX_TABLE_CELLS / 10_000
    );
    Finding::error("table_too_large", Place { row, ..Place::whole() }, message)
}

/// A row with more columns than any table has.
pub fn too_wide(row: u64, columns: usize) -> Finding {
    let message = format!("第 {row} 行有 {columns} 列，超过上限 {MAX_COLUMNS} 列；请检查分隔符和引号");
    Finding::error("table_too_large", Place::row(row), message)
}

/// Reads CSV (or tab, semicolon separated) bytes.
pub fn parse_csv(bytes: &[u8], options: &ReadOptions, findings: &mut Vec<Finding>) -> Option<(PlainTable, String)> {
    if bytes.len() > MAX_TABLE_TEXT_BYTES {
        findings.push(too_large(None));
        return None;
    }
    let decoded = match text_encoding::decode(bytes, options.encoding.as_deref()) {
        Ok(decoded) => decoded,
        Err(finding) => {
            findings.push(finding);
            return None;
        }
    };
    let first = decoded.text.lines().next().unwrap_or_default();
    let separator =
        [b',', b'\t', b';'].into_iter().max_by_key(|s| (first.bytes().filter(|b| b == s).count(), *s == b','));
    let separator = separator.unwrap_or(b',');
    if let Err(line) = check_quotes(decoded.text.as_bytes(), separator) {
        let message = format!("第 {line} 行的引号没有成对：单元格里的引号要写成两个，并用引号把整个单元格括起来");
        findings.push(Finding::error("csv_invalid", Place::row(line), message));
        return Some((PlainTable::default(), decoded.encoding));
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(decoded.text.as_bytes());
    let mut table = PlainTable::default();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map(csv::Position::line);
                let message = match line {
                    Some(line) => format!("第 {line} 行不是有效的 CSV"),
                    None => "不是有效的 CSV".to_owned(),
                };
                findings.push(Finding::error("csv_invalid", Place { row: line, ..Place::whole() }, message));
                break;
            }
        };
        let row = record.position().map_or(0, |at| at.line() + blank_lines(&decoded.text, at.byte()));
        if record.len() > MAX_COLUMNS {
            findings.push(too_wide(row, record.len()));
            break;
        }
        // Where our own export has set an apostrophe before what looked like a formula, it is taken away again.
        let cells = record.iter().map(|cell| formula::restore(cell.trim()).to_owned()).collect();
        take_row(&mut table, row, cells, findings);
        if table.rows.len() > MAX_FEATURES || findings.len() > MAX_FINDINGS {
            findings.push(Finding::error(
                "too_many_records",
                Place::row(row),
                format!("记录超过 {MAX_FEATURES} 条，请分成几个文件"),
            ));
            break;
        }
    }
    if table.headings.is_empty() && !findings.iter().any(|f| f.code == "table_too_large") {
        findings.push(Finding::error("file_empty", Place::whole(), "文件是空的"));
    }
    Some((table, decoded.encoding))
}

/// The line whose quotation mark is never closed, or is followed by more of the cell: the reader would take the rows up
/// to the next mark, or to the end, for one cell.
fn check_quotes(text: &[u8], separator: u8) -> Result<(), u64> {
    let (mut line, mut opened_at, mut at_start) = (1, None, true);
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        line += u64::from(byte == b'\n');
        match (opened_at, byte) {
            (Some(at), b'"') => match bytes.peek() {
                Some(b'"') => {
                    bytes.next();
                }
                None | Some(b'\n' | b'\r') => opened_at = None,
                Some(next) if *next == separator => opened_at = None,
                Some(_) => return Err(at),
            },
            (Some(_), _) => {}
            (None, b'"') if at_start => opened_at = Some(line),
            (None, _) => at_start = byte == separator || matches!(byte, b'\n' | b'\r'),
        }
        if opened_at.is_some() {
            at_start = false;
        }
    }
    opened_at.map_or(Ok(()), Err)
}

/// The reader passes over blank lines and counts the record from the first of them.
fn blank_lines(text: &str, from: u64) -> u64 {
    let rest = usize::try_from(from).ok().and_then(|at| text.get(at..)).unwrap_or_default();
    rest.bytes().take_while(|b| matches!(b, b'\n' | b'\r')).filter(|b| *b == b'\n').count() as u64
}

/// Adds one row; the first that is not blank holds the headings.
pub fn take_row(table: &mut PlainTable, row: u64, mut cells: Vec<String>, findings: &mut Vec<Finding>) {
    for cell in &mut cells {
        *cell = text_encoding::compose(cell.trim());
    }
    if cells.iter().all(String::is_empty) {
        return;
    }
    if table.headings.is_empty() {
        table.headings = cells;
        return;
    }
    for (column, cell) in cells.iter().enumerate() {
        if cell.len() > MAX_TEXT_CHARS && cell.chars().count() > MAX_TEXT_CHARS {
            let field = table.headings.get(column).cloned().unwrap_or_default();
            let message = format!("第 {row} 行第 {} 列（{field}）超过 {MAX_TEXT_CHARS} 个字", column + 1);
            findings.push(Finding::error("text_too_long", Place::row(row).field(field), message));
        }
        if text_encoding::has_forbidden_character(cell) {
            let field = table.headings.get(column).cloned().unwrap_or_default();
            let message = format!("第 {row} 行第 {} 列（{field}）含有控制字符或改变显示方向的字符", column + 1);
            findings.push(Finding::error("text_control_character", Place::row(row).field(field), message));
        }
    }
    table.rows.push((row, cells));
}

/// A CSV given where boundaries are wanted: its rows are shown; what has no geometry is told, unless it is a ledger's, whose rows
/// are joined to geometry by their numbers.
pub fn read_csv(bytes: &[u8], options: &ReadOptions) -> Reading {
    let mut reading = Reading { format: "csv", ..Reading::default() };
    let Some((table, encoding)) = parse_csv(bytes, options, &mut reading.findings) else { return reading };
    reading.encoding = Some(encoding);
    take_table(table, options, &mut reading);
    if !matches!(options.vocabulary, Vocabulary::Ledger(_)) {
        reading.findings.push(Finding::error(
            "table_without_geometry",
            Place::whole(),
            "表格里没有图形，不能作为边界导入；园区名录请导入到图层 parks",
        ));
    }
    reading
}

/// The rows of a table as candidates without geometry.
pub fn take_table(mut table: PlainTable, options: &ReadOptions, reading: &mut Reading) {
    table.settle(&mut reading.findings);
    let (mapping, ambiguous) = field_names::map_fields(&table.headings, options.vocabulary, &options.own_names);
    reading.findings.extend(ambiguous);
    for (row, cells) in table.rows {
        let attributes: Vec<Attribute> = mapping
            .iter()
            .zip(cells)
            .map(|(m, value)| Attribute { field: m.field.clone(), canonical: m.canonical, value })
            .collect();
        let value = |name: &str| attributes.iter().find(|a| a.canonical == Some(name)).map(|a| a.value.clone());
        reading.candidates.push(Candidate {
            row,
            id: value("id").filter(|v| !v.is_empty()),
            name: value("name").filter(|v| !v.is_empty()),
            geometry: None,
            stated_area: None,
            crs: None,
            attributes,
        });
    }
    reading.mapping = mapping;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> (Option<PlainTable>, Vec<(String, Option<u64>)>) {
        let mut findings = Vec::new();
        let mut table = parse_csv(text.as_bytes(), &ReadOptions::default(), &mut findings).map(|(t, _)| t);
        if let Some(table) = &mut table {
            table.settle(&mut findings);
        }
        (table, findings.into_iter().map(|f| (f.code.into_owned(), f.place.row)).collect())
    }

    #[test]
    fn rows_keep_their_line_numbers() {
        let (table, findings) = parse("代码,名称\n\nG431001,\"甲\n园\"\n,\nG431002,乙\n");
        assert_eq!(findings, []);
        let table = table.expect("table");
        assert_eq!(table.headings, ["代码", "名称"]);
        assert_eq!(
            table.rows,
            [(3, vec!["G431001".into(), "甲\n园".into()]), (6, vec!["G431002".into(), "乙".into()])]
        );
        let (table, _) = parse("代码;名称\nG431001;甲\n");
        assert_eq!(table.expect("table").rows[0].1, ["G431001", "甲"]);
        let (table, findings) = parse("a,b\n1\n1,2,3\n");
        assert_eq!(table.expect("table").rows[0].1, ["1", ""]);
        assert_eq!(findings, [("row_too_long".into(), Some(3))]);
        for (text, line) in [
            ("代码,名称\nG431001,\"甲\nG431002,乙\n", 2),
            ("代码,名称\nG431001,\"甲\nG431002,\"乙\"\n", 2),
            ("代码,名称\nG431001,\"甲\"园\n", 2),
            ("代码,名称\n\"G431001\",\"甲\"\"园\"\nG431002,\"\n", 3),
        ] {
            assert_eq!(parse(text).1, [("csv_invalid".into(), Some(line))], "{text}");
        }
        let (table, findings) = parse("代码,名称\nG431001,甲\"园\n\"G431002\",\"甲\"\"乙\"\r\n\"\",\"\"\n");
        assert_eq!(findings, []);
        assert_eq!(
            table.expect("table").rows.iter().map(|(_, c)| c[1].as_str()).collect::<Vec<_>>(),
            ["甲\"园", "甲\"乙"]
        );
        assert_eq!(parse("").1, [("file_empty".into(), None)]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_csv(&bytes, &ReadOptions::default());
        }
    }
}
