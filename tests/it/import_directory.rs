//! Directory tables (园区名录) into the register: CSV in GBK, XLSX, faults by row and field, files that are no directory.

use sizhi::domain::Severity;
use sizhi::exchange::{ReadOptions, directory_table};
use sizhi::inventory::import::ImportRequest;

use crate::imports::{PARK, stock};
use crate::support::files::{square, txt, write};
use crate::support::tools::zip;
use crate::support::{Database, codes, fixture};

fn parks(request: &mut ImportRequest) {
    request.layer = "parks".to_owned();
}

/// A workbook of one sheet, as little as the format allows: texts inline, numbers as numbers.
fn xlsx(rows: &[&[&str]]) -> Vec<u8> {
    let mut sheet = String::from(
        r#"<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>"#,
    );
    for (row, cells) in (1..).zip(rows) {
        sheet.push_str(&format!("<row r=\"{row}\">"));
        for (column, cell) in ('A'..).zip(*cells) {
            sheet.push_str(&match cell.parse::<f64>() {
                Ok(_) => format!("<c r=\"{column}{row}\"><v>{cell}</v></c>"),
                Err(_) => format!("<c r=\"{column}{row}\" t=\"inlineStr\"><is><t>{cell}</t></is></c>"),
            });
        }
        sheet.push_str("</row>");
    }
    sheet.push_str("</sheetData></worksheet>");
    workbook(&sheet)
}

/// The workbook around one sheet's XML.
fn workbook(sheet: &str) -> Vec<u8> {
    let types = r#"<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"#;
    let root = r#"<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
    let book = r#"<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="名录" sheetId="1" r:id="rId1"/></sheets></workbook>"#;
    let book_relations = r#"<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;
    zip(&[
        ("[Content_Types].xml", types.as_bytes()),
        ("_rels/.rels", root.as_bytes()),
        ("xl/workbook.xml", book.as_bytes()),
        ("xl/_rels/workbook.xml.rels", book_relations.as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    ])
}

/// What the register holds of a park: name, kind, prefecture, counties, hectares, approval, industries, source.
type ParkRow = (String, String, String, Vec<String>, f64, Option<chrono::NaiveDate>, Vec<String>, String);

async fn park(db: &Database, code: &str) -> ParkRow {
    sqlx::query_as(
        "SELECT name, type, prefecture_code::text, county_codes::text[], approved_area_ha::float8, nullif(valid_from, '-infinity'),
                leading_industries, source FROM park WHERE code = $1",
    )
    .bind(code)
    .fetch_one(&db.pool)
    .await
    .expect("the park")
}

#[tokio::test]
async fn a_gbk_table_adds_one_park_and_changes_another() {
    let db = Database::with_sample().await;
    let text = "园区代码,名称,类型,市州,县区代码,核准面积（亩）,批准时间,主导产业,来源\r\n\
                S439901,试验产业开发区,产业开发区,长沙市,430112,1500,2014年2月,\"食品、钢管\",湘政函〔2014〕1号\r\n\
                G431176,望城经济技术开发区,经济技术开发区,430100,430112,9000,2014.02,食品,湘政函〔2014〕2号\r\n";
    let file = write("directory.csv", encoding_rs::GBK.encode(text).0);
    let imported = db.import(&file, parks).await.expect("imported");
    assert_eq!((imported.report.encoding.as_deref(), codes(&imported)), (Some("gbk"), vec![]));
    let counts = imported.report.counts.expect("counted");
    assert_eq!((counts.inserted, counts.updated, counts.unchanged), (1, 1, 0));
    let day = chrono::NaiveDate::from_ymd_opt(2014, 2, 1);
    assert_eq!(
        park(&db, "S439901").await,
        (
            "试验产业开发区".into(),
            "产业开发区".into(),
            "430100".into(),
            vec!["430112".into()],
            100.0,
            day,
            vec!["食品".into(), "钢管".into()],
            "湘政函〔2014〕1号".into()
        )
    );
    assert_eq!(park(&db, PARK).await.4, 600.0, "9000 mu are 600 hectares");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM park").await, 130);
    let again = db.import(&file, parks).await.expect("imported");
    assert_eq!((again.report.status.as_str(), again.revision), ("unchanged", None));
    assert_eq!(db.audit().await, None);
}

#[tokio::test]
async fn the_shipped_directory_is_what_the_register_holds() {
    let db = Database::with_sample().await;
    let dry = db.dry_run(&fixture("parks/hunan_parks.csv"), parks).await.expect("judged");
    assert_eq!((dry.report.has_errors(), dry.report.candidates.len()), (false, 129));
    let counts = dry.report.counts.expect("counted");
    assert_eq!((counts.inserted, counts.updated, counts.unchanged), (0, 0, 129));
}

#[tokio::test]
async fn a_workbook_is_read_like_the_csv() {
    let db = Database::with_sample().await;
    let file = write(
        "directory.xlsx",
        xlsx(&[
            &["湖南省开发区名录"],
            &["序号", "代码", "名称", "市州代码", "面积（公顷）", "批准时间", "类型", "来源"],
            &["1", "S439902", "试验高新技术产业开发区", "430200", "633.3", "2014-02", "高新技术产业开发区", "测试"],
        ]),
    );
    let imported = db.import(&file, parks).await.expect("imported");
    assert_eq!((imported.report.format, codes(&imported)), ("xlsx", vec![]));
    assert_eq!(imported.report.candidates[0].row, 3, "rows as the spreadsheet counts them");
    let stored = park(&db, "S439902").await;
    assert_eq!((stored.0.as_str(), stored.2.as_str(), stored.4), ("试验高新技术产业开发区", "430200", 633.3));
}

#[tokio::test]
async fn faults_of_a_table_name_row_and_column_and_nothing_is_written() {
    let db = Database::with_sample().await;
    let before = stock(&db).await;
    let text = "代码,名称,市州,县区代码,面积,批准时间,级别\n\
                S439901,甲,长沙市,430112,100,2014.02,省级\n\
                X9,乙,长沙市,,1,,\n\
                S439903,,长沙市,,1,,\n\
                S439904,丁,火星市,,1,,\n\
                S439905,戊,长沙市,999999,1,,\n\
                S439906,己,长沙市,,很大,,\n\
                S439907,庚,长沙市,,1,昨天,\n\
                S439908,辛,长沙市,,1,,国家级\n\
                S439901,壬,长沙市,,1,,\n\
                S439909,癸,,,1,,\n\
                S439910,子,430112,,1,,\n\
                S439911,丑,长沙市,,1000000,,\n";
    let refused = db.import(&write("faults.csv", text), parks).await.expect("judged");
    let mut told: Vec<(u64, &str, Option<&str>)> = refused
        .report
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .map(|f| (f.place.row.unwrap_or(0), f.code.as_ref(), f.place.field.as_deref()))
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            (3, "park_code_invalid", Some("代码")),
            (4, "name_missing", Some("名称")),
            (5, "division_unknown", Some("市州")),
            (6, "division_unknown", Some("县区代码")),
            (7, "area_not_a_number", Some("面积")),
            (8, "date_invalid", Some("批准时间")),
            (9, "level_contradicts_code", Some("级别")),
            (10, "id_duplicate", Some("代码")),
            (11, "prefecture_missing", Some("市州")),
            (12, "prefecture_wrong_level", Some("市州")),
            (13, "area_out_of_range", Some("面积")),
        ]
    );
    assert_eq!(refused.report.status.as_str(), "refused");
    assert_eq!(stock(&db).await, before);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM park").await, 129);
}

#[tokio::test]
async fn files_for_another_layer_are_refused_with_the_reason() {
    let db = Database::with_sample().await;
    let before = (stock(&db).await, db.value::<i64>("SELECT count(*) FROM park").await);
    let boundary = write("layer.txt", txt(&[("A", square(3_123_400.0, 38_435_200.0, 200.0), 4.0)]));
    let error = db.import(&boundary, |r| r.layer = "parcels".to_owned()).await.expect_err("no such layer");
    assert_eq!(error.code(), "layer_unknown");
    let refused = db.import(&boundary, parks).await.expect("judged");
    assert!(codes(&refused).contains(&"column_missing".to_owned()), "{:?}", codes(&refused));
    let table = db.import(&fixture("parks/hunan_parks.csv"), |_| {}).await.expect("judged");
    assert!(codes(&table).contains(&"table_without_geometry".to_owned()));
    let book = write("layer.xlsx", xlsx(&[&["代码", "名称"], &["S439901", "甲"]]));
    let table = db.import(&book, |_| {}).await.expect("judged");
    assert_eq!(codes(&table), ["table_without_geometry"]);
    for (name, bytes) in [("empty.csv", &b""[..]), ("blank.csv", b"\n\n , \n"), ("head.csv", "代码,名称\n".as_bytes())]
    {
        let refused = db.import(&write(name, bytes), parks).await.expect("judged");
        assert_eq!(refused.report.status.as_str(), "refused", "{name}");
    }
    assert_eq!((stock(&db).await, db.value::<i64>("SELECT count(*) FROM park").await), before);
}

/// Codes and rows of what reading this sheet finds, and the number of parks.
fn read_sheet(name: &str, data: &str) -> (Vec<(String, Option<u64>)>, usize) {
    let sheet = format!(
        r#"<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{data}</sheetData></worksheet>"#
    );
    let path = write(name, workbook(&sheet));
    let (reading, rows) = directory_table::read_file(&path, &ReadOptions::default()).expect("read");
    (reading.findings.iter().map(|f| (f.code.to_string(), f.place.row)).collect(), rows.len())
}

fn cell(at: &str, text: &str) -> String {
    format!("<c r=\"{at}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
}

#[test]
fn a_sheet_is_read_by_its_cells_and_not_by_its_extent() {
    let head = format!("<row r=\"1\">{}{}</row>", cell("A1", "园区代码"), cell("B1", "名称"));
    let park = |row: u32| {
        format!("<row r=\"{row}\">{}{}</row>", cell(&format!("A{row}"), "S439901"), cell(&format!("B{row}"), "甲"))
    };
    // A park in the last row of a sheet, and a style in its last cell: 17 thousand million cells for who lays out a grid.
    let far = format!("{head}{}<row r=\"1048576\">{}<c r=\"XFD1048576\" s=\"0\"/></row>", park(2), "");
    assert_eq!(read_sheet("far_style.xlsx", &far), (vec![], 1));
    assert_eq!(read_sheet("far_row.xlsx", &format!("{head}{}", park(1_048_576))), (vec![], 1));
    let wide = format!("{head}<row r=\"2\">{}</row>", cell("XFD2", "甲"));
    assert_eq!(read_sheet("far_column.xlsx", &wide), (vec![("table_too_large".into(), Some(2))], 0));
    let grid: String =
        (2..5_000).map(|row| format!("<row r=\"{row}\">{}</row>", cell(&format!("ALL{row}"), "甲"))).collect();
    assert_eq!(read_sheet("grid.xlsx", &format!("{head}{grid}")).0, [("table_too_large".into(), Some(4_001))]);
    let twice = format!("{head}<row r=\"2\">{}{}</row>", cell("A2", "S439901"), cell("A2", "S439902"));
    assert_eq!(read_sheet("twice.xlsx", &twice).0, [("file_unreadable".into(), None)]);
    let error = format!("{head}<row r=\"2\">{}<c r=\"B2\" t=\"e\"><v>#REF!</v></c></row>", cell("A2", "S439901"));
    assert_eq!(read_sheet("error.xlsx", &error).0, [("cell_error".into(), Some(2)), ("name_missing".into(), Some(2))]);
}
