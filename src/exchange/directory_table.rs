//! Park directory tables (园区名录) from CSV and XLSX: one park a row, columns known by the synonym table.

use std::collections::HashMap;
use std::path::Path;

use chrono::NaiveDate;

use super::limits::{MAX_FILE_BYTES, MAX_NAME_CHARS};
use super::plain_table::{self, PlainTable};
use super::{FieldMapping, ReadOptions, Reading, StatedArea, field_names, spreadsheet, stated_area};
use crate::domain::area::{AreaUnit, round_decimal};
use crate::domain::{Finding, ParkCode, Place};
use crate::error::{Error, Result};

/// Rows in which the headings are looked for: titles and remarks may stand above them.
const HEADING_ROWS: usize = 10;

/// No park is larger than a prefecture: a larger number is in another unit.
const LARGEST_PARK_HA: f64 = 1e6;

/// One park as the table has it.
#[derive(Debug, Clone, PartialEq)]
pub struct DirectoryRow {
    pub row: u64,
    pub code: ParkCode,
    pub name: String,
    pub kind: Option<String>,
    /// Code or name of the prefecture, as written.
    pub prefecture: Option<String>,
    pub county: Option<String>,
    pub leading_industries: Vec<String>,
    pub aliases: Vec<String>,
    pub approved_text: Option<String>,
    pub approved_on: Option<NaiveDate>,
    pub approved_area: Option<StatedArea>,
    pub source: Option<String>,
}

/// Reads a whole table; the reading carries findings and mapping, its candidates stay empty.
pub fn read_file(path: &Path, options: &ReadOptions) -> Result<(Reading, Vec<DirectoryRow>)> {
    let unreadable = |_| Error::invalid("file_unreadable", "文件无法读取");
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE_BYTES {
        return Err(Error::too_large("file_too_large", format!("文件超过上限 {} MB", MAX_FILE_BYTES / 1_048_576)));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let mut reading = Reading::default();
    let table = if bytes.starts_with(b"PK\x03\x04") {
        reading.format = "xlsx";
        let holds_parks = |table: &PlainTable| has_park_code(&find_headings(table.clone()).headings);
        spreadsheet::read(path, &bytes, options.source_layer.as_deref(), holds_parks, &mut reading.findings)
    } else if bytes.starts_with(&[0xD0, 0xCF, 0x11, 0xE0]) {
        return Err(Error::unsupported("format_unknown", "不支持旧版 .xls 表格；请另存为 .xlsx 或 CSV"));
    } else {
        reading.format = "csv";
        plain_table::parse_csv(&bytes, options, &mut reading.findings).map(|(table, encoding)| {
            reading.encoding = Some(encoding);
            table
        })
    };
    let rows = table.map(|table| rows_of(find_headings(table), &mut reading)).unwrap_or_default();
    Ok((reading, rows))
}

fn has_park_code(headings: &[String]) -> bool {
    headings.iter().any(|h| field_names::canonical(h) == Some("park_code"))
}

/// Moves the headings down to the first row that names the park code, where titles stand above it.
fn find_headings(mut table: PlainTable) -> PlainTable {
    if has_park_code(&table.headings) {
        return table;
    }
    if let Some(at) = table.rows.iter().take(HEADING_ROWS).position(|(_, cells)| has_park_code(cells)) {
        table.headings = table.rows[at].1.clone();
        table.rows.drain(..=at);
    }
    table
}

fn rows_of(mut table: PlainTable, reading: &mut Reading) -> Vec<DirectoryRow> {
    table.settle(&mut reading.findings);
    let (mut mapping, ambiguous) =
        field_names::map_fields(&table.headings, field_names::Vocabulary::Boundaries, &field_names::OwnNames::new());
    reading.findings.extend(ambiguous);
    // A row of a directory is a park: where only 园区名称 is given, that is the row's own name.
    if !mapping.iter().any(|m| m.canonical == Some("name")) {
        mapping.iter_mut().filter(|m| m.canonical == Some("park_name")).for_each(|m| m.canonical = Some("name"));
    }
    for (needed, title) in [("park_code", "园区代码"), ("name", "名称")] {
        if !mapping.iter().any(|m| m.canonical == Some(needed)) {
            let message = format!("表头里没有“{title}”一列；现有的列：{}", table.headings.join("、"));
            reading.findings.push(Finding::error("column_missing", Place::whole().field(title), message));
        }
    }
    let usable = !reading.findings.iter().any(|f| f.code == "column_missing");
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut rows = Vec::new();
    for (row, cells) in table.rows.iter().filter(|_| usable) {
        let cells = Cells { row: *row, mapping: &mapping, cells };
        if let Some(parsed) = cells.parse(&mut reading.findings) {
            if let Some(first) = seen.insert(parsed.code.to_string(), *row) {
                let message = format!("园区代码 {} 与第 {first} 行相同", parsed.code);
                reading.findings.push(cells.error("id_duplicate", "park_code", message));
            }
            rows.push(parsed);
        }
    }
    reading.mapping = mapping;
    rows
}

struct Cells<'a> {
    row: u64,
    mapping: &'a [FieldMapping],
    cells: &'a [String],
}

impl Cells<'_> {
    fn text(&self, canonical: &str) -> Option<&str> {
        let at = self.mapping.iter().position(|m| m.canonical == Some(canonical))?;
        self.cells.get(at).map(String::as_str).filter(|t| !t.is_empty())
    }

    /// A finding at one cell.
    fn error(&self, code: &'static str, canonical: &str, message: String) -> Finding {
        let field = self.mapping.iter().find(|m| m.canonical == Some(canonical)).map(|m| m.field.to_string());
        let message = format!("第 {} 行：{message}", self.row);
        Finding::error(code, Place::row(self.row).field(field.unwrap_or_else(|| canonical.to_owned())), message)
    }

    fn parse(&self, findings: &mut Vec<Finding>) -> Option<DirectoryRow> {
        let code = match ParkCode::parse(self.text("park_code").unwrap_or_default()) {
            Ok(code) => code,
            Err(reason) => {
                findings.push(self.error("park_code_invalid", "park_code", reason.to_string()));
                return None;
            }
        };
        let Some(name) = self.text("name") else {
            findings.push(self.error("name_missing", "name", "没有园区名称".to_owned()));
            return None;
        };
        let length = name.chars().count();
        if length > MAX_NAME_CHARS {
            let message = format!("园区名称有 {length} 个字，超过上限 {MAX_NAME_CHARS}");
            findings.push(self.error("text_too_long", "name", message));
        }
        self.check_level(&code, findings);
        let (approved_text, approved_on) = self.approval(findings);
        let list = |canonical: &str| -> Vec<String> {
            let text = self.text(canonical).unwrap_or_default();
            let items = text.split(['、', '，', ',', '；', ';']);
            items.map(str::trim).filter(|i| !i.is_empty()).map(str::to_owned).collect()
        };
        let owned = |canonical: &str| self.text(canonical).map(str::to_owned);
        Some(DirectoryRow {
            row: self.row,
            name: name.to_owned(),
            kind: owned("type"),
            prefecture: owned("prefecture_code").or_else(|| owned("prefecture")),
            county: owned("county_code").or_else(|| owned("county")),
            leading_industries: list("leading_industries"),
            aliases: list("aliases"),
            approved_text,
            approved_on,
            approved_area: self.area(findings),
            source: owned("source"),
            code,
        })
    }

    fn check_level(&self, code: &ParkCode, findings: &mut Vec<Finding>) {
        let Some(level) = self.text("level") else { return };
        let by_code = if code.is_national() { "国家级" } else { "省级" };
        if level != by_code {
            findings.push(self.error(
                "level_contradicts_code",
                "level",
                format!("级别“{level}”与代码 {code}（{by_code}）不一致"),
            ));
        }
    }

    /// Directories print hectares; another unit must be named by the heading or the cell.
    fn area(&self, findings: &mut Vec<Finding>) -> Option<StatedArea> {
        let at = self.mapping.iter().position(|m| m.canonical == Some("stated_area"))?;
        let text = self.cells.get(at).filter(|t| !t.is_empty())?;
        let parsed = stated_area::parse(text, field_names::unit_of(&self.mapping[at].field)).filter(|(n, _)| *n > 0.0);
        let Some((number, unit)) = parsed else {
            findings.push(self.error("area_not_a_number", "stated_area", format!("面积“{text}”不是大于 0 的数")));
            return None;
        };
        let unit = unit.unwrap_or(AreaUnit::Hectare);
        let hectares = unit.area(number).map_or(0.0, |a| round_decimal(a.to_hectares().value(), 4));
        if !(hectares > 0.0 && hectares < LARGEST_PARK_HA) {
            findings.push(self.error(
                "area_out_of_range",
                "stated_area",
                format!("面积“{text}”合 {hectares} 公顷，不是可能的园区面积"),
            ));
            return None;
        }
        unit.area(number).map(|area| StatedArea { text: text.clone(), unit: unit.as_str(), area })
    }

    fn approval(&self, findings: &mut Vec<Finding>) -> (Option<String>, Option<NaiveDate>) {
        let Some(text) = self.text("approved_text") else { return (None, None) };
        match parse_month(text) {
            Some((day, false)) => (Some(text.to_owned()), Some(day)),
            Some((day, true)) => {
                // 2010.10 in a number cell loses its zero; a January would be written 2010.01.
                let mut finding = self.error(
                    "approval_month_ambiguous",
                    "approved_text",
                    format!("批准时间“{text}”的月份只有一位，按 10 月理解；请以两位月份书写"),
                );
                finding.severity = crate::domain::Severity::Warning;
                findings.push(finding);
                (Some(day.format("%Y.%m").to_string()), Some(day))
            }
            None => {
                let message = format!("批准时间“{text}”不是日期；请写成 2014.02、2014-02 或 2014年2月");
                findings.push(self.error("date_invalid", "approved_text", message));
                (None, None)
            }
        }
    }
}

/// Year and month, or a whole day, as directories print them; `true` where `2010.1` may have been `2010.10`.
fn parse_month(text: &str) -> Option<(NaiveDate, bool)> {
    let plain = text.trim().replace(['年', '月', '/', '-'], ".").replace('日', "");
    let parts: Vec<&str> = plain.trim_end_matches('.').split('.').map(str::trim).collect();
    let number =
        |t: &str| (!t.is_empty() && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<u32>().ok()).flatten();
    let year = i32::try_from(number(parts.first()?)?).ok().filter(|y| (1949..=2200).contains(y))?;
    match parts.as_slice() {
        [_, "1"] if text.contains('.') => Some((NaiveDate::from_ymd_opt(year, 10, 1)?, true)),
        [_, month] => Some((NaiveDate::from_ymd_opt(year, number(month)?, 1)?, false)),
        [_, month, day] => Some((NaiveDate::from_ymd_opt(year, number(month)?, number(day)?)?, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Reading, Vec<DirectoryRow>) {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), text).expect("written");
        read_file(file.path(), &ReadOptions::default()).expect("readable")
    }

    fn codes(reading: &Reading) -> Vec<(String, Option<u64>)> {
        reading.findings.iter().map(|f| (f.code.to_string(), f.place.row)).collect()
    }

    #[test]
    fn months_as_directories_print_them() {
        let day = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).expect("a day");
        for (text, expected) in [
            ("2014.02", Some((day(2014, 2, 1), false))),
            ("2014-02", Some((day(2014, 2, 1), false))),
            ("2014年2月", Some((day(2014, 2, 1), false))),
            ("2014年12月31日", Some((day(2014, 12, 31), false))),
            ("2014/2/3", Some((day(2014, 2, 3), false))),
            ("2010.1", Some((day(2010, 10, 1), true))),
            ("2010-1", Some((day(2010, 1, 1), false))),
            ("2014.13", None),
            ("2014", None),
            ("不详", None),
            ("", None),
        ] {
            assert_eq!(parse_month(text), expected, "{text}");
        }
    }

    #[test]
    fn the_catalogue_reads_whole() {
        let path = format!("{}/fixtures/parks/hunan_parks.csv", env!("CARGO_MANIFEST_DIR"));
        let (reading, rows) = read_file(Path::new(&path), &ReadOptions::default()).expect("fixture");
        assert_eq!(codes(&reading), []);
        assert_eq!(rows.len(), 129);
        let hectares: f64 =
            rows.iter().filter_map(|r| r.approved_area.as_ref()).map(|a| a.area.value() / 10_000.0).sum();
        assert!((hectares - 71_177.01).abs() < 1e-6, "{hectares}");
        assert_eq!(rows[0].leading_industries, ["有色金属加工", "食品", "电子信息"]);
        assert_eq!(rows[0].prefecture.as_deref(), Some("430100"));
    }

    #[test]
    fn titles_units_and_faults() {
        let (reading, rows) = read("园区代码,园区名称\nG431176,望城经开区\n");
        assert_eq!(
            (codes(&reading), rows[0].name.as_str()),
            (vec![], "望城经开区"),
            "园区名称 serves where there is no 名称"
        );
        let (reading, rows) = read(
            "湖南省园区名录,,\n\n园区代码,名称,核准面积（亩）,级别,批准时间\nG431176,望城经开区,9499.5,国家级,2014.02\n",
        );
        assert_eq!(codes(&reading), []);
        let area = rows[0].approved_area.as_ref().expect("area");
        assert_eq!((area.unit, area.area.to_hectares().value()), ("mu", 633.3));
        let (reading, rows) = read(
            "代码,名称,面积,级别,批准时间\nX1,甲,1,,\nG431176,,1,,\nG431176,乙,很大,省级,昨天\nG431176,丙,1公顷,,2010.1\n,,,,\n",
        );
        assert_eq!(
            codes(&reading),
            [
                ("park_code_invalid".into(), Some(2)),
                ("name_missing".into(), Some(3)),
                ("level_contradicts_code".into(), Some(4)),
                ("date_invalid".into(), Some(4)),
                ("area_not_a_number".into(), Some(4)),
                ("approval_month_ambiguous".into(), Some(5)),
                ("id_duplicate".into(), Some(5)),
            ]
        );
        assert_eq!(rows.len(), 2);
    }
}
