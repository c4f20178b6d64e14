//! Tables of criteria for “low-efficient” (低效用地认定标准) from CSV and XLSX: one criterion a row, under Chinese headings.

use std::path::Path;

use super::limits::MAX_FILE_BYTES;
use super::plain_table::{self, PlainTable};
use super::{ReadOptions, spreadsheet};
use crate::domain::ledger::criteria::{Draft, Given, Member};
use crate::domain::{Finding, Place};
use crate::error::{Error, Result};

/// Rows in which the headings are looked for: titles and remarks may stand above them.
const HEADING_ROWS: usize = 10;

/// Headings of the two columns that say which set a row belongs to.
pub const DIVISION: &str = "行政区划";
pub const YEAR: &str = "年度";

/// Without these a row says nothing.
const NEEDED: [Member; 6] =
    [Member::Number, Member::Title, Member::Kind, Member::Field, Member::Comparison, Member::Threshold];

/// What bureaus call a column beside its own heading.
const ALSO: [(&str, &str); 21] = [
    ("行政区划代码", DIVISION),
    ("区划代码", DIVISION),
    ("县区", DIVISION),
    ("地区", DIVISION),
    ("年份", YEAR),
    ("标准年份", YEAR),
    ("认定标准年份", YEAR),
    ("序号", "编号"),
    ("标准编号", "编号"),
    ("标准名称", "名称"),
    ("低效类型", "类型"),
    ("字段", "指标"),
    ("比较方式", "比较"),
    ("标准值", "阈值"),
    ("参考值", "参照值"),
    ("参考单位", "参照单位"),
    ("参考来源", "参照来源"),
    ("分组", "组"),
    ("组合方式", "组合"),
    ("文号", "依据文号"),
    ("说明", "备注"),
];

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct CriteriaRow {
    /// Code or name, and year, as written.
    pub division: String,
    pub year: String,
    pub draft: Draft,
}

/// What was read of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CriteriaTable {
    /// `csv`, `xlsx`.
    pub format: &'static str,
    pub encoding: Option<String>,
    pub rows: Vec<CriteriaRow>,
    pub findings: Vec<Finding>,
    headings: Vec<(Column, String)>,
}

impl CriteriaTable {
    /// What the file calls a member.
    pub fn name_of(&self, member: Member) -> String {
        let named = self.headings.iter().find(|(column, _)| *column == Column::Member(member));
        named.map_or_else(|| member.title().to_owned(), |(_, heading)| heading.clone())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Division,
    Year,
    Member(Member),
}

impl Column {
    fn of(heading: &str) -> Option<Self> {
        // `参照值（万元/亩）`: what stands in brackets is for people.
        let plain = heading.split(['（', '(']).next().unwrap_or_default().trim();
        let word = ALSO.iter().find(|(also, _)| *also == plain).map_or(plain, |(_, own)| own);
        match word {
            DIVISION => Some(Column::Division),
            YEAR => Some(Column::Year),
            _ => Member::ALL.into_iter().find(|member| member.title() == word).map(Column::Member),
        }
    }

    fn title(self) -> &'static str {
        match self {
            Column::Division => DIVISION,
            Column::Year => YEAR,
            Column::Member(member) => member.title(),
        }
    }
}

/// Reads a whole table; faults of cells are for the check of the sets.
pub fn read_file(path: &Path, options: &ReadOptions) -> Result<CriteriaTable> {
    let unreadable = |cause: std::io::Error| match cause.kind() {
        std::io::ErrorKind::NotFound => Error::not_found("file_not_found", "没有这个文件"),
        _ => Error::invalid("file_unreadable", "文件无法读取"),
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE_BYTES {
        return Err(Error::too_large("file_too_large", format!("文件超过上限 {} MB", MAX_FILE_BYTES / 1_048_576)));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let mut read = CriteriaTable::default();
    let table = if bytes.starts_with(b"PK\x03\x04") {
        read.format = "xlsx";
        let holds_criteria = |table: &PlainTable| is_head(&find_headings(table.clone()).headings);
        spreadsheet::read(path, &bytes, options.source_layer.as_deref(), holds_criteria, &mut read.findings)
    } else if bytes.starts_with(&[0xD0, 0xCF, 0x11, 0xE0]) {
        return Err(Error::unsupported("format_unknown", "不支持旧版 .xls 表格；请另存为 .xlsx 或 CSV"));
    } else {
        read.format = "csv";
        plain_table::parse_csv(&bytes, options, &mut read.findings).map(|(table, encoding)| {
            read.encoding = Some(encoding);
            table
        })
    };
    if let Some(table) = table {
        take_rows(find_headings(table), &mut read);
    }
    Ok(read)
}

/// The row of headings names the field and the threshold.
fn is_head(headings: &[String]) -> bool {
    let has = |member: Member| headings.iter().any(|h| Column::of(h) == Some(Column::Member(member)));
    has(Member::Field) && has(Member::Threshold)
}

/// Moves the headings down to the first row that is one, where titles stand above it.
fn find_headings(mut table: PlainTable) -> PlainTable {
    if is_head(&table.headings) {
        return table;
    }
    if let Some(at) = table.rows.iter().take(HEADING_ROWS).position(|(_, cells)| is_head(cells)) {
        table.headings = table.rows[at].1.clone();
        table.rows.drain(..=at);
    }
    table
}

fn take_rows(mut table: PlainTable, read: &mut CriteriaTable) {
    table.settle(&mut read.findings);
    let mut columns: Vec<Option<Column>> = Vec::with_capacity(table.headings.len());
    for heading in &table.headings {
        let column = Column::of(heading);
        match column {
            Some(known) if columns.contains(&Some(known)) => {
                let message = format!("“{heading}”与前面的一列都是“{}”；请只留一列", known.title());
                read.findings.push(Finding::error("column_ambiguous", Place::whole().field(heading.clone()), message));
            }
            Some(known) => read.headings.push((known, heading.clone())),
            None if heading.is_empty() => {}
            None => {
                let message = format!("不认识列“{heading}”，没有读取");
                read.findings.push(Finding::warning("column_unknown", Place::whole().field(heading.clone()), message));
            }
        }
        columns.push(column);
    }
    let needed = [Column::Division, Column::Year].into_iter().chain(NEEDED.map(Column::Member));
    for column in needed.filter(|column| !columns.contains(&Some(*column))) {
        let title = column.title();
        let message = format!("表头里没有“{title}”一列；现有的列：{}", table.headings.join("、"));
        read.findings.push(Finding::error("column_missing", Place::whole().field(title), message));
    }
    if read.findings.iter().any(|finding| matches!(finding.code.as_ref(), "column_missing" | "column_ambiguous")) {
        return;
    }
    for (row, cells) in table.rows {
        let mut taken = CriteriaRow { division: String::new(), year: String::new(), draft: Draft::new(row) };
        for (column, cell) in columns.iter().zip(cells) {
            match column {
                Some(Column::Division) => taken.division = cell,
                Some(Column::Year) => taken.year = cell,
                Some(Column::Member(member)) => taken.draft.put(*member, Given::Text(cell)),
                None => {}
            }
        }
        read.rows.push(taken);
    }
}
