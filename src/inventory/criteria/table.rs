//! A bureau's table of criteria in and out: whole sets, all or nothing, one revision; what is exported reads back unchanged.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use sqlx::{PgConnection, PgPool};

use crate::domain::access::Viewer;
use crate::domain::export::{Cell, Column, ExportRow, TextEncoding};
use crate::domain::layer::PropertyKind;
use crate::domain::ledger::criteria::{Amount, Criterion, Decimal, Draft, Member, Source, Threshold, check_set};
use crate::domain::ledger::{FieldKind, FieldValue};
use crate::domain::{DivisionCode, Finding, Place, Severity};
use crate::error::{Error, Result};
use crate::exchange::criteria_table::{self, CriteriaRow, CriteriaTable};
use crate::exchange::table_export::{self, CsvOptions, Sheet};
use crate::exchange::{ReadOptions, limits};
use crate::store::criteria::{self as sets, SetFilter, StoredSet};
use crate::store::{self, divisions, revision};

/// A file of criteria to be written.
#[derive(Debug, Clone)]
pub struct TableRequest {
    pub path: PathBuf,
    /// As the user knows it.
    pub file_name: String,
    pub read: ReadOptions,
}

/// What came, or would come, of one set of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedSet {
    pub division: DivisionCode,
    pub year: i32,
    pub criteria: usize,
    /// `insert`, `update`, `unchanged`.
    pub change: &'static str,
}

/// What came, or would come, of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Imported {
    pub format: &'static str,
    pub encoding: Option<String>,
    pub sets: Vec<ImportedSet>,
    pub findings: Vec<Finding>,
    /// `None`: nothing was written.
    pub revision: Option<i64>,
}

impl Imported {
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Reads, checks and, unless it is a dry run or something is wrong, writes the sets of a file. Sets that it does not name stay.
pub async fn import(pool: &PgPool, viewer: &Viewer, request: &TableRequest, dry_run: bool) -> Result<Imported> {
    let (path, mut options) = (request.path.clone(), request.read.clone());
    options.file_name = Some(request.file_name.clone());
    let reading = tokio::task::spawn_blocking(move || criteria_table::read_file(&path, &options));
    let table = reading.await.map_err(|cause| Error::internal("读取文件时程序出错", cause))??;
    let mut imported = Imported {
        format: table.format,
        encoding: table.encoding.clone(),
        findings: table.findings.clone(),
        ..Imported::default()
    };
    let mut transaction = store::begin_write_as(pool, viewer).await?;
    if !dry_run {
        revision::lock(&mut transaction).await?;
    }
    let names = divisions::list_names(&mut transaction).await?;
    let mut differing = Vec::new();
    for ((division, year), drafts) in by_set(&table, viewer, &names, &mut imported.findings) {
        let name = |member: Member| table.name_of(member);
        let (set, findings) = check_set(&division, year, &drafts, Source { row: "行", name: &name });
        imported.findings.extend(findings);
        let Some(set) = set else { continue };
        let standing = sets::find(&mut transaction, &division, year).await?;
        let change = match standing {
            None => "insert",
            Some(standing) if standing.set == set => "unchanged",
            Some(_) => "update",
        };
        imported.sets.push(ImportedSet { division, year, criteria: set.criteria.len(), change });
        if change != "unchanged" {
            differing.push(set);
        }
    }
    imported.findings.truncate(limits::MAX_FINDINGS);
    if dry_run || imported.has_errors() || differing.is_empty() {
        return Ok(imported);
    }
    let reason = format!("导入低效用地认定标准 {}", request.file_name);
    let number = revision::open(&mut transaction, &viewer.actor, &reason, &request.file_name).await?;
    for set in &differing {
        sets::write(&mut transaction, set, &request.file_name).await?;
    }
    transaction.commit().await?;
    imported.revision = Some(number);
    Ok(imported)
}

type Names = [(String, String, Option<String>)];

/// The rows by division and year; rows that name none are told.
fn by_set(
    table: &CriteriaTable,
    viewer: &Viewer,
    names: &Names,
    findings: &mut Vec<Finding>,
) -> BTreeMap<(DivisionCode, i32), Vec<Draft>> {
    let mut by_set: BTreeMap<(DivisionCode, i32), Vec<Draft>> = BTreeMap::new();
    for row in &table.rows {
        match (division(row, viewer, names), year(row)) {
            (Ok(division), Ok(year)) => by_set.entry((division, year)).or_default().push(row.draft.clone()),
            (division, year) => findings.extend([division.err(), year.err()].into_iter().flatten()),
        }
    }
    if table.rows.is_empty() && !findings.iter().any(|finding| finding.severity == Severity::Error) {
        findings.push(Finding::error("criteria_empty", Place::whole(), "表中没有一条标准"));
    }
    by_set
}

/// By code or full name; a code that only means a division is that division.
fn division(row: &CriteriaRow, viewer: &Viewer, names: &Names) -> std::result::Result<DivisionCode, Finding> {
    let at = row.draft.row;
    let place = || Place::row(at).field(criteria_table::DIVISION);
    let shown: String = row.division.chars().take(40).collect();
    let matching: Vec<_> =
        names.iter().filter(|(code, name, _)| *code == row.division || *name == row.division).collect();
    let found = match matching.as_slice() {
        [(code, _, maps_to)] => DivisionCode::parse(maps_to.as_ref().unwrap_or(code)).ok(),
        _ => None,
    };
    let Some(code) = found else {
        let many = if matching.len() > 1 { "有几个，请写代码" } else { "不在行政区划表中" };
        return Err(Finding::error("division_unknown", place(), format!("第 {at} 行的行政区划“{shown}”{many}")));
    };
    if !viewer.jurisdiction.covers(&code) {
        let message = format!("第 {at} 行的行政区划“{shown}”不在您的管辖范围内");
        return Err(Finding::error("outside_jurisdiction", place(), message));
    }
    Ok(code)
}

fn year(row: &CriteriaRow) -> std::result::Result<i32, Finding> {
    match FieldKind::Year.parse(&row.year) {
        Ok(FieldValue::Integer(year)) => Ok(year),
        _ => {
            let (at, shown) = (row.draft.row, row.year.chars().take(40).collect::<String>());
            let message = format!("第 {at} 行的年度“{shown}”应为年份（四位数字）");
            Err(Finding::error("value_invalid", Place::row(at).field(criteria_table::YEAR), message))
        }
    }
}

/// A format that criteria are given out in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    Csv(TextEncoding),
    Xlsx,
}

/// The sets as a table that [`import`] reads; also how many sets and criteria they are.
pub async fn export(
    pool: &PgPool,
    viewer: &Viewer,
    filter: &SetFilter,
    format: TableFormat,
) -> Result<(Vec<u8>, usize, usize)> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let found = all(&mut transaction, filter).await?;
    transaction.commit().await?;
    let rows: Vec<ExportRow> =
        found.iter().flat_map(|stored| stored.set.criteria.iter().map(|one| row(stored, one))).collect();
    let count = rows.len();
    let bytes = match format {
        TableFormat::Csv(encoding) => {
            let options = CsvOptions { columns: columns(), centre: None, wkt: None, encoding };
            let mut bytes = Vec::new();
            table_export::write_csv(&mut rows.into_iter().map(Ok), &options, &mut bytes)?;
            bytes
        }
        TableFormat::Xlsx => workbook(rows)?,
    };
    Ok((bytes, found.len(), count))
}

async fn all(connection: &mut PgConnection, filter: &SetFilter) -> Result<Vec<StoredSet>> {
    let (summaries, _) = sets::list(connection, filter, u32::MAX, 0).await?;
    let keys: Vec<String> = summaries.iter().map(|summary| sets::key(&summary.division, summary.year)).collect();
    sets::find_all(connection, &keys).await
}

fn columns() -> Vec<(usize, Column)> {
    let titles = [criteria_table::DIVISION, criteria_table::YEAR].into_iter().chain(Member::ALL.map(Member::title));
    let column = |title: &str| Column { heading: title.to_owned(), kind: PropertyKind::Text, unit: None };
    titles.map(column).enumerate().collect()
}

fn row(stored: &StoredSet, criterion: &Criterion) -> ExportRow {
    let id = format!("{}-{}", stored.set.division, stored.set.year);
    let mut cells = vec![Cell::Text(stored.set.division.to_string()), Cell::Integer(i64::from(stored.set.year))];
    cells.extend(Member::ALL.map(|member| cell(criterion, member)));
    ExportRow { id, cells, geometry: None, centre: None, feature: String::new() }
}

fn cell(criterion: &Criterion, member: Member) -> Cell {
    let text = |text: &str| if text.is_empty() { Cell::Missing } else { Cell::Text(text.to_owned()) };
    let given = |value: &Option<String>| value.as_deref().map_or(Cell::Missing, text);
    // A spreadsheet holds a double, which reads back as the decimal: at most twelve digits and six decimals.
    let number = |number: Decimal| Cell::Number(number.to_f64());
    let amount = match &criterion.threshold {
        Threshold::Number(amount) => Some(amount),
        Threshold::Flag(_) | Threshold::Texts(_) => None,
    };
    let reference = amount.and_then(|amount: &Amount| amount.reference.as_ref());
    match member {
        Member::Number => Cell::Integer(i64::from(criterion.number)),
        Member::Title => text(&criterion.title),
        Member::Kind => text(criterion.kind),
        Member::Field => text(criterion.measure.title()),
        Member::Comparison => text(criterion.comparison.label()),
        Member::Threshold => match &criterion.threshold {
            Threshold::Number(amount) => number(amount.number),
            Threshold::Flag(flag) => text(if *flag { "是" } else { "否" }),
            Threshold::Texts(texts) => text(&texts.join("、")),
        },
        Member::Unit => amount.map_or(Cell::Missing, |amount| text(amount.unit.word)),
        Member::ReferenceValue => reference.map_or(Cell::Missing, |reference| number(reference.number)),
        Member::ReferenceUnit => reference.map_or(Cell::Missing, |reference| text(reference.unit.word)),
        Member::ReferenceSource => reference.map_or(Cell::Missing, |reference| given(&reference.source)),
        Member::Group => given(&criterion.group),
        Member::Combination => text(criterion.combination.label()),
        Member::Document => given(&criterion.document),
        Member::Note => given(&criterion.note),
    }
}

fn workbook(rows: Vec<ExportRow>) -> Result<Vec<u8>> {
    let failed = |cause: std::io::Error| Error::internal("写导出文件时出错", cause);
    let folder = tempfile::TempDir::new().map_err(failed)?;
    let path = folder.path().join("criteria.xlsx");
    let sheet = Sheet {
        title: "认定标准".to_owned(),
        columns: columns(),
        centre: None,
        notes_title: "说明".to_owned(),
        notes: vec![("条数".to_owned(), None)],
    };
    table_export::write_xlsx(&mut rows.into_iter().map(Ok), &sheet, &path, folder.path())?;
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}
