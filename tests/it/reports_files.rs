//! Reports given out: the same cells as JSON, CSV, workbook and page; refusals; bounds; the log; the command line.

use std::process::Command;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::{Value, json};
use sizhi::api::State;
use sizhi::domain::access::Role;
use sizhi::domain::report::ReportKind;
use sizhi::inventory::progress::Silent;
use sizhi::inventory::sample;

use crate::support::accounts::{add, from_page, login};
use crate::support::files::write;
use crate::support::http::{authorised, call, call_with, get, get_authorised};
use crate::support::process::{run, sizhi};
use crate::support::reports::{report, rows, table};
use crate::support::tools::{arg, folder};
use crate::support::{Database, http_args};

async fn drawn() -> Database {
    let db = Database::with_sample().await;
    sample::seed_parcels(&db.pool, "test", 300, &Silent).await.expect("drawn");
    // Texts that a spreadsheet would run, or a page would.
    db.write(
        "UPDATE turnover_parcel SET planned_supply_on = '2026-01-01'::date + abs(mod(hashtext(id), 365)) WHERE state <> 'planned';
         UPDATE turnover_parcel SET land_user = '=HYPERLINK(\"http://x\",\"点\")', idle_cause = '企业原因', number = '+1', proposed_disposal = E'<b>两\\n行</b>'
         WHERE id = (SELECT id FROM turnover_parcel WHERE state = 'idle' ORDER BY id LIMIT 1);
         UPDATE turnover_parcel SET land_user = '@甲', name = '''-5' WHERE id = (SELECT max(id) FROM turnover_parcel WHERE state = 'supplied')",
    )
    .await;
    db
}

/// Every report, with a question that finds something.
const ASKED: [&str; 6] = [
    "turnover-stock?by=park,state,land_use",
    "approved-not-supplied?on=2026-08-01",
    "idle?limit=10000",
    "supply-plan?year=2026",
    "low-efficiency-progress?by=county",
    "quarterly-changes?quarter=2022Q3",
];

/// Written out again here: a formula's beginning behind any apostrophes gets one more.
fn harmless(text: &str) -> String {
    let runs = text.trim_start_matches('\'').chars().next().is_some_and(|c| "=+-@\t\r＝＋－＠".contains(c));
    if runs { format!("'{text}") } else { text.to_owned() }
}

/// The reader of JSON in these tests is off by a bit in the last place now and then.
fn same(found: Option<f64>, expected: Option<f64>) -> bool {
    found.zip(expected).is_some_and(|(found, expected)| (found - expected).abs() <= 4.0 * f64::EPSILON * expected.abs())
}

/// A table of the document as a file has it: headings, rows, and the totals behind them.
fn cells(table: &Value) -> (Vec<String>, Vec<Vec<Value>>) {
    let columns = table["columns"].as_array().expect("columns");
    let heading = |c: &Value| {
        let title = c["title"].as_str().expect("title");
        match c["unit"].as_str() {
            None => title.to_owned(),
            Some(unit) => {
                let unit = match unit {
                    "m2" => "平方米",
                    "ha" => "公顷",
                    "mu" => "亩",
                    other => other,
                };
                format!("{title}（{unit}）")
            }
        }
    };
    let row = |row: &Value| -> Vec<Value> {
        assert_eq!(row.as_object().map(|r| r.len()), Some(columns.len()));
        columns.iter().map(|c| row[c["name"].as_str().expect("name")].clone()).collect()
    };
    let mut all: Vec<Vec<Value>> = rows(table).iter().map(row).collect();
    let mut totals = row(&table["totals"]);
    assert_eq!(totals[0], Value::Null);
    totals[0] = json!("合计");
    all.push(totals);
    (columns.iter().map(heading).collect(), all)
}

#[actix_web::test]
async fn csv_has_the_cells_of_the_document_and_runs_nothing() {
    let db = drawn().await;
    let mut dangerous = 0;
    for path in ASKED {
        let made = report(&db, path).await;
        for id in made["tables"].as_array().expect("tables").iter().map(|t| t["id"].as_str().expect("id")) {
            let answer = get_authorised(&db, &format!("/api/reports/{path}&table={id}&f=csv")).await;
            assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"), "{path}");
            let body = answer.body.strip_prefix(b"\xEF\xBB\xBF").expect("a byte order mark");
            let mut reader = csv::Reader::from_reader(body);
            let (headings, expected) = cells(table(&made, id));
            assert_eq!(reader.headers().expect("headings").iter().collect::<Vec<_>>(), headings, "{path}");
            let found: Vec<csv::StringRecord> = reader.records().map(|r| r.expect("a row")).collect();
            assert_eq!(found.len(), expected.len(), "{path}");
            assert!(found.len() > 1, "{path} {id}: something is told");
            for (row, values) in found.iter().zip(&expected) {
                for (cell, value) in row.iter().zip(values) {
                    match value {
                        Value::Null => assert_eq!(cell, "", "{path}"),
                        Value::String(text) => {
                            dangerous += usize::from(harmless(text) != *text);
                            assert_eq!(cell, harmless(text), "{path}");
                        }
                        Value::Number(number) => {
                            assert!(same(cell.parse().ok(), number.as_f64()), "{path}: {cell} {number}")
                        }
                        other => assert_eq!(cell, other.to_string(), "{path}"),
                    }
                }
            }
        }
    }
    assert!(dangerous >= 3, "{dangerous}");
}

/// Every sheet as openpyxl reads it: name, and cells as [value, type, quoted].
const OPENPYXL: &str = r#"
import json, sys, datetime, openpyxl
book = openpyxl.load_workbook(sys.argv[1])
def cell(c):
    value = c.value
    if isinstance(value, (datetime.datetime, datetime.date)): value = value.strftime('%Y-%m-%d')
    return [value, c.data_type, bool(c.quotePrefix)]
json.dump([[s.title, [[cell(c) for c in row] for row in s.iter_rows()]] for s in book], sys.stdout)
"#;

#[track_caller]
fn openpyxl(bytes: &[u8], name: &str) -> Value {
    let file = write(name, bytes);
    let output = Command::new("/usr/bin/python3").args(["-c", OPENPYXL, arg(&file)]).output().expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[actix_web::test]
async fn a_workbook_has_every_table_with_typed_cells_and_says_what_it_is() {
    let db = drawn().await;
    let (mut days, mut quoted) = (0, 0);
    for path in ASKED {
        let made = report(&db, path).await;
        let answer = get_authorised(&db, &format!("/api/reports/{path}&f=xlsx")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let book = openpyxl(&answer.body, "report.xlsx");
        let tables = made["tables"].as_array().expect("tables");
        assert_eq!(book.as_array().map(Vec::len), Some(tables.len() + 1));
        for (sheet, table) in book.as_array().expect("sheets").iter().zip(tables) {
            assert_eq!(sheet[0], table["title"]);
            let (headings, expected) = cells(table);
            let found = sheet[1].as_array().expect("rows");
            let row = |at: usize| found[at].as_array().expect("cells");
            assert_eq!(json!(row(0).iter().map(|c| c[0].clone()).collect::<Vec<_>>()), json!(headings), "{path}");
            assert_eq!(found.len(), expected.len() + 1, "{path}");
            let columns = table["columns"].as_array().expect("columns");
            for (at, values) in expected.iter().enumerate() {
                for ((cell, value), column) in row(at + 1).iter().zip(values).zip(columns) {
                    match value {
                        Value::Null => assert_eq!(cell[0], Value::Null),
                        Value::Number(number) => {
                            assert!(
                                same(cell[0].as_f64(), number.as_f64()) && cell[1] == "n",
                                "{path}: {cell} {number}"
                            );
                        }
                        Value::Bool(_) => assert_eq!((&cell[0], &cell[1]), (value, &json!("b"))),
                        Value::String(text) if column["name"].as_str().is_some_and(|name| name.ends_with("_on")) => {
                            assert_eq!((&cell[0], &cell[1]), (&json!(text), &json!("d")));
                            days += 1;
                        }
                        Value::String(text) => {
                            assert_eq!((&cell[0], &cell[1]), (value, &json!("s")));
                            assert_eq!(cell[2], harmless(text) != *text, "{path}: {text}");
                            quoted += usize::from(cell[2] == true);
                        }
                        other => panic!("{other}"),
                    }
                }
            }
        }
        let notes = book.as_array().and_then(|sheets| sheets.last()).expect("notes");
        assert_eq!(notes[0], "说明");
        let note = |name: &str| {
            let rows = notes[1].as_array().expect("rows");
            rows.iter().find(|r| r[0][0] == name).map(|r| r[1][0].clone()).unwrap_or_else(|| panic!("no {name}"))
        };
        assert_eq!(
            note("报表"),
            format!("{}（{}）", made["title"].as_str().expect("title"), made["report"].as_str().expect("id"))
        );
        assert_eq!((note("统计日"), note("修订号")), (made["day"].clone(), json!(made["revision"].to_string())));
        for (name, value) in made["filters"].as_object().expect("filters") {
            let told = format!("（{name}）：{}", value.as_str().expect("text"));
            assert!(note("筛选条件").as_str().is_some_and(|text| text.contains(&told)), "{path}: {told}");
        }
        assert_eq!(note("口径"), made["notes"][0]);
        assert!(note("生成时间").as_str().is_some_and(|text| text.ends_with("北京时间")));
    }
    assert!(days > 50 && quoted >= 3, "{days} days, {quoted} quoted");
}

#[actix_web::test]
async fn an_empty_register_has_empty_reports_with_totals_of_nothing() {
    let db = Database::empty().await;
    for kind in ReportKind::ALL {
        let made = report(&db, kind.as_str()).await;
        let tables = made["tables"].as_array().expect("tables");
        assert_eq!(tables.len(), kind.tables().len());
        for table in tables {
            assert_eq!(
                (&table["rows"], &table["numberMatched"], &table["truncated"]),
                (&json!([]), &json!(0), &json!(false))
            );
            let totals = table["totals"].as_object().expect("totals");
            assert!(totals.values().all(|value| value.is_null() || value.as_f64() == Some(0.0)), "{totals:?}");
            assert!(
                totals.iter().any(|(name, value)| name == "area_m2" && *value == 0.0 || name.ends_with("_parcels")),
                "{totals:?}"
            );
        }
        for form in ["csv", "xlsx", "html"] {
            let answer = get_authorised(&db, &format!("/api/reports/{}?f={form}", kind.as_str())).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
}

#[actix_web::test]
async fn what_cannot_be_asked_is_refused_with_its_code() {
    let db = Database::with_sample().await;
    for (path, status, code) in [
        ("nothing", 404, "report_not_found"),
        ("turnover-stock?colour=red", 400, "parameter_unknown"),
        ("turnover-stock?year=2026", 400, "parameter_unknown"),
        ("quarterly-changes?on=2026-01-01", 400, "parameter_unknown"),
        ("idle?by=county", 400, "parameter_unknown"),
        ("idle?limit=5&limit=6", 400, "parameter_repeated"),
        ("turnover-stock?by=county,park,state,stock", 400, "value_invalid"),
        ("turnover-stock?by=state,state", 400, "value_invalid"),
        ("turnover-stock?by=r.state", 400, "value_invalid"),
        ("low-efficiency-progress?by=stock", 400, "value_invalid"),
        ("turnover-stock?county=999999", 400, "division_unknown"),
        ("turnover-stock?county=430000", 400, "value_invalid"),
        ("turnover-stock?county=4301%27", 400, "value_invalid"),
        ("turnover-stock?park=X", 400, "park_code_invalid"),
        ("turnover-stock?park=G439999", 404, "park_not_found"),
        ("turnover-stock?on=2026-02-30", 400, "value_invalid"),
        ("turnover-stock?on=%00", 400, "value_invalid"),
        ("turnover-stock?revision=99999", 400, "revision_unknown"),
        ("turnover-stock?revision=x", 400, "revision_invalid"),
        ("turnover-stock?limit=0", 400, "limit_invalid"),
        ("turnover-stock?f=pdf", 400, "value_invalid"),
        ("turnover-stock?table=parcels", 400, "value_invalid"),
        ("supply-plan?year=26", 400, "value_invalid"),
        ("supply-plan?year=99999", 400, "value_invalid"),
        ("quarterly-changes?quarter=2026Q5", 400, "value_invalid"),
        ("quarterly-changes?ledger=plan", 400, "value_invalid"),
    ] {
        get_authorised(&db, &format!("/api/reports/{path}")).await.assert_problem(status, code);
    }
    get(&db, "/api/reports/turnover-stock").await.assert_problem(401, "token_missing");
    let request = authorised(Method::GET, "/api/reports/idle").insert_header(("accept", "image/png"));
    call(&db, request).await.assert_problem(406, "not_acceptable");
    // The ends of what may be asked are answered.
    for path in [
        "idle?on=0001-01-01",
        "idle?on=9999-12-31",
        "supply-plan?year=1900",
        "supply-plan?year=2200",
        "quarterly-changes?quarter=2200Q4",
    ] {
        report(&db, path).await;
    }
}

#[actix_web::test]
async fn a_list_that_is_cut_says_so_and_totals_all() {
    let db = drawn().await;
    let whole = report(&db, "idle").await;
    let cut = report(&db, "idle?limit=3").await;
    let (whole, cut) = (table(&whole, "parcels"), table(&cut, "parcels"));
    assert_eq!(
        (cut["truncated"].clone(), cut["numberReturned"].clone(), &cut["totals"]),
        (json!(true), json!(3), &whole["totals"])
    );
    assert_eq!((&cut["numberMatched"], rows(cut)), (&whole["numberMatched"], &rows(whole)[..3].to_vec()));
    let groups = report(&db, "turnover-stock?limit=2").await;
    let groups = table(&groups, "groups");
    assert_eq!((groups["truncated"].clone(), rows(groups).len()), (json!(true), 2));
    let notes =
        openpyxl(&get_authorised(&db, "/api/reports/idle?limit=3&f=xlsx").await.body, "cut.xlsx")[1][1].to_string();
    assert!(notes.contains("只列前 3 条"), "{notes}");
    let page = get_authorised(&db, "/api/reports/idle?limit=3&f=html").await.text();
    assert!(page.contains("只列前 3 条"));
    // What the operator lets out at once bounds a file of parcels too.
    let mut few = http_args();
    few.export_limit = 2;
    let state = State::new(db.application.clone(), few);
    let answer = call_with(state, authorised(Method::GET, "/api/reports/idle?f=csv")).await;
    assert_eq!(csv::Reader::from_reader(&answer.body[3..]).records().count(), 3, "two and the total");
}

#[actix_web::test]
async fn a_page_has_the_totals_the_files_and_no_markup_of_the_ledger() {
    let db = drawn().await;
    let answer = get_authorised(&db, "/api/reports/idle?f=html").await;
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let page = answer.text();
    assert!(page.contains("&lt;b&gt;两") && !page.contains("<b>两"), "escaped");
    assert!(
        page.contains("<strong>合计</strong>") && page.contains("f=xlsx") && page.contains("f=csv&amp;table=parcels")
    );
    let index = get_authorised(&db, "/api/reports?f=html").await.text();
    for kind in ReportKind::ALL {
        assert!(index.contains(&format!("/api/reports/{}?f=html", kind.as_str())) && index.contains(kind.title().zh));
    }
}

#[actix_web::test]
async fn who_takes_a_report_away_is_in_the_log() {
    let db = drawn().await;
    add(&db, "staff", Role::Staff, &["430100"]).await;
    let cookie = login(&db, "staff").await;
    for (method, path) in [
        (Method::GET, "/api/reports/idle?f=json"),
        (Method::HEAD, "/api/reports/idle?f=csv"),
        (Method::GET, "/api/reports/turnover-stock?f=csv&by=state&limit=2"),
    ] {
        assert_eq!(call(&db, from_page(method, path, &cookie)).await.status, 200);
    }
    let log: Vec<String> =
        db.column("SELECT concat_ws('|', actor, layer, filter, format, row_count) FROM export_log ORDER BY id").await;
    assert_eq!(log, ["account:staff|report:turnover-stock|by=state|csv|2"]);
}

#[actix_web::test]
async fn an_answer_is_kept_until_the_register_changes() {
    let db = drawn().await;
    let ask = |tag: &str| {
        let request = authorised(Method::GET, "/api/reports/turnover-stock");
        if tag.is_empty() { request } else { request.insert_header(("if-none-match", tag.to_owned())) }
    };
    let first = call(&db, ask("")).await;
    let tag = first.header("etag").expect("a tag").to_owned();
    assert_eq!(first.header("sizhi-revision").map(str::to_owned), Some(first.json()["revision"].to_string()));
    assert_eq!(call(&db, ask(&tag)).await.status, 304);
    db.write("UPDATE turnover_parcel SET note = 'x' WHERE state = 'idle'").await;
    assert_eq!(call(&db, ask(&tag)).await.status, 200);
    // Another's view is another answer.
    add(&db, "staff", Role::Staff, &["430100"]).await;
    let cookie = login(&db, "staff").await;
    let now = call(&db, ask("")).await.header("etag").expect("a tag").to_owned();
    let other: TestRequest =
        from_page(Method::GET, "/api/reports/turnover-stock", &cookie).insert_header(("if-none-match", now));
    assert_eq!(call(&db, other).await.status, 200);
}

#[actix_web::test]
async fn the_command_line_gives_what_http_gives() {
    let db = drawn().await;
    let work = folder("report_cli");
    let command = async |args: &[&str]| {
        let mut command = sizhi(&["report"]);
        command.args(args).current_dir(&work).env("DATABASE_URL", db.url().await);
        run(command, b"")
    };
    let output = command(&["supply-plan", "--year", "2026", "--county", "430100"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut served = report(&db, "supply-plan?year=2026&county=430100").await;
    served.as_object_mut().expect("object").remove("links");
    assert_eq!(printed, served);
    let target = work.join("变动.csv");
    let args =
        ["quarterly-changes", "--quarter", "2022Q3", "--table", "changes", "--format", "csv", "--output", arg(&target)];
    assert_eq!(command(&args).await.status.code(), Some(0));
    let served = get_authorised(&db, "/api/reports/quarterly-changes?quarter=2022Q3&table=changes&f=csv").await;
    assert_eq!(std::fs::read(&target).expect("written"), served.body);
    for (args, exit, code) in [
        (&args[..], 3, "file_exists"),
        (&["idle", "--by", "county"], 3, "parameter_unknown"),
        (&["turnover-stock", "--by", "colour"], 3, "value_invalid"),
        (&["nothing"], 2, "turnover-stock"),
    ] {
        let output = command(args).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.contains(code)), (Some(exit), true), "{args:?}: {said}");
    }
}
