//! Tables out: the cells of a CSV and of a spreadsheet are those of the items, whatever stands in them; and they come back.

use std::process::Command;

use serde_json::{Value, json};
use sizhi::domain::export::Headings;
use sizhi::domain::layer::{Property, PropertyKind};
use sizhi::inventory::progress::Silent;
use sizhi::inventory::sample;
use sizhi::layers::declaration;

use crate::support::files::write;
use crate::support::http::{call, get, get_authorised};
use crate::support::tools::arg;
use crate::support::{Database, exports};

/// Texts that a spreadsheet, a reader of CSV or an encoding may stumble over.
const HOSTILE: &str = "
    UPDATE park SET name = '=HYPERLINK(\"http://x\",\"点\")', type = '+86 731, \"引号\"', approved_text = NULL WHERE code = 'G431176';
    UPDATE park SET name = '@SUM(A1:A9)', type = E'两\\n行' WHERE code = 'G431033';
    UPDATE park SET name = '''=1', leading_industries = '{-5,＝全角,\"a,b\"}' WHERE code = 'S437027';
    UPDATE park SET name = '𠮷野𠀀园', type = '－负；''引' WHERE code = 'S438090';
    UPDATE park SET name = ' 前有空白', type = E'\\t=1' WHERE code = 'S439030';
    UPDATE park SET approved_area_ha = NULL WHERE code = 'S439091';";

/// The same for the ledgers, whose cells are days and yes or no as well.
const HOSTILE_PARCELS: &str = "
    UPDATE turnover_parcel SET land_user = '=1+1', note = E'两\\n行，\"引号\"', mortgage = '''-1', compensation_done = true, signed_on = '2024-02-29'
     WHERE id = (SELECT min(id) FROM turnover_parcel);
    UPDATE low_efficiency_parcel SET owner = '@SUM(A1)', production_stopped = false WHERE id = (SELECT min(id) FROM low_efficiency_parcel);
    UPDATE redevelopment_plan SET responsible_unit = '+86' WHERE id = (SELECT min(id) FROM redevelopment_plan);";

/// Items of the layer, all of them, in order.
async fn items(db: &Database, layer: &str) -> Vec<Value> {
    let page = get_authorised(db, &format!("/api/collections/{layer}/items?limit=10000&f=json")).await.json();
    assert_eq!(page["numberMatched"], page["numberReturned"]);
    page["features"].as_array().expect("features").clone()
}

/// What a cell of the table should say of this value: no more than the item does.
fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(as_text).collect::<Vec<_>>().join("、"),
        other => other.to_string(),
    }
}

/// Written out again here: a formula's beginning behind any apostrophes gets one more.
fn harmless(text: &str) -> String {
    let bare = text.trim_start_matches('\'');
    let runs = bare.chars().next().is_some_and(|c| "=+-@\t\r＝＋－＠".contains(c));
    if runs { format!("'{text}") } else { text.to_owned() }
}

#[actix_web::test]
async fn csv_has_the_cells_of_the_items_whatever_stands_in_them() {
    let db = Database::with_sample().await;
    sample::seed_parcels(&db.pool, "test", 120, &Silent).await.expect("parcels");
    db.write(HOSTILE).await;
    db.write(HOSTILE_PARCELS).await;
    let mut dangerous = 0;
    for layer in declaration::LAYERS.iter() {
        let answer = get_authorised(&db, &format!("/api/collections/{}/items?f=csv&headings=en", layer.id)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, Some("text/csv; charset=utf-8; header=present"))
        );
        let body = answer.body.strip_prefix(b"\xEF\xBB\xBF").expect("a byte order mark");
        let text = std::str::from_utf8(body).expect("UTF-8");
        assert!(text.ends_with("\r\n"));
        let mut reader = csv::Reader::from_reader(body);
        let headings: Vec<String> = reader.headers().expect("headings").iter().map(str::to_owned).collect();
        let mut expected: Vec<&str> = layer.properties.iter().map(|p| p.name).collect();
        expected.extend(["valid_from", "valid_to", "centre_lon", "centre_lat"]);
        assert_eq!(headings, expected, "{}", layer.id);
        let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.expect("a row")).collect();
        let items = items(&db, layer.id).await;
        assert_eq!(rows.len(), items.len(), "{}", layer.id);
        for (row, item) in rows.iter().zip(&items) {
            for (heading, cell) in headings.iter().zip(row).take(headings.len() - 2) {
                let value = &item["properties"][heading.as_str()];
                let plain = as_text(value);
                if let Some(number) = value.as_f64() {
                    assert_eq!(cell.parse::<f64>().ok(), Some(number), "{heading} of {}", item["id"]);
                } else if matches!(value, Value::String(_) | Value::Array(_)) {
                    dangerous += usize::from(harmless(&plain) != plain);
                    assert_eq!(cell, harmless(&plain), "{heading} of {}", item["id"]);
                } else {
                    assert_eq!(cell, plain, "{heading} of {}", item["id"]);
                }
            }
            let has_shape = !item["geometry"].is_null();
            assert_eq!(row[headings.len() - 2].is_empty(), !has_shape, "{}", item["id"]);
        }
    }
    assert!(dangerous >= 11, "the hostile texts were there: {dangerous}");
}

#[actix_web::test]
async fn the_point_of_a_table_lies_inside_and_wkt_is_the_stored_shape() {
    let db = Database::with_sample().await;
    let body = get_authorised(&db, "/api/collections/park_blocks/items?f=csv&geometry=wkt").await.body;
    let mut reader = csv::Reader::from_reader(&body[3..]);
    let headings = reader.headers().expect("headings").clone();
    let at = |name: &str| headings.iter().position(|h| h == name).unwrap_or_else(|| panic!("no {name}"));
    let (id, lon, lat, wkt) = (at("区块标识"), at("中心经度"), at("中心纬度"), at("图形WKT"));
    let mut count = 0;
    for row in reader.records() {
        let row = row.expect("a row");
        let (inside, same): (bool, bool) = sqlx::query_as(
            "SELECT ST_Contains(geom, ST_SetSRID(ST_Point($2, $3), 4490)),
                    ST_AsBinary(geom) = ST_AsBinary(ST_GeomFromText($4, 4490))
             FROM park_block WHERE id = $1 AND valid_to = 'infinity'",
        )
        .bind(&row[id])
        .bind(row[lon].parse::<f64>().expect("a number"))
        .bind(row[lat].parse::<f64>().expect("a number"))
        .bind(&row[wkt])
        .fetch_one(&db.pool)
        .await
        .expect("looked at");
        assert!(inside && same, "{}", &row[id]);
        count += 1;
    }
    assert_eq!(count, db.value::<i64>("SELECT count(*) FROM park_block WHERE valid_to = 'infinity'").await);
}

/// Every sheet as openpyxl reads it: name, frozen pane, and cells as [value, type, format, quoted].
const OPENPYXL: &str = r#"
import json, sys, datetime, openpyxl
book = openpyxl.load_workbook(sys.argv[1])
def cell(c):
    value = c.value
    if isinstance(value, (datetime.datetime, datetime.date)): value = value.strftime('%Y-%m-%d')
    return [value, c.data_type, c.number_format, bool(c.quotePrefix)]
json.dump([[s.title, s.freeze_panes, [[cell(c) for c in row] for row in s.iter_rows()]] for s in book], sys.stdout)
"#;

/// Debian's own Python has the package that `./dev test` installs, whichever Python stands first in the path.
#[track_caller]
fn openpyxl(bytes: &[u8], name: &str) -> Value {
    let file = write(name, bytes);
    let output = Command::new("/usr/bin/python3").args(["-c", OPENPYXL, arg(&file)]).output().expect("python3 runs");
    assert!(
        output.status.success(),
        "{}; ./dev test installs python3-openpyxl",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[actix_web::test]
async fn a_spreadsheet_has_the_cells_of_the_items_each_of_its_kind() {
    let db = Database::with_sample().await;
    sample::seed_parcels(&db.pool, "test", 120, &Silent).await.expect("parcels");
    db.write(HOSTILE).await;
    db.write(HOSTILE_PARCELS).await;
    let (mut days, mut quoted) = (0, 0);
    for layer in declaration::LAYERS.iter() {
        let answer = get_authorised(&db, &format!("/api/collections/{}/items?f=xlsx", layer.id)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let book = openpyxl(&answer.body, &format!("{}.xlsx", layer.id));
        let sheet = &book[0];
        assert_eq!((&sheet[0], &sheet[1]), (&json!(layer.title.zh), &json!("A2")));
        let rows = sheet[2].as_array().expect("rows");
        let heading = |zh: &str, unit: Option<&str>| match unit {
            Some("m2") => format!("{zh}（平方米）"),
            Some("ha") => format!("{zh}（公顷）"),
            Some("mu") => format!("{zh}（亩）"),
            Some(other) => format!("{zh}（{other}）"),
            None => zh.to_owned(),
        };
        let mut expected: Vec<String> = layer.properties.iter().map(|p| heading(p.title.zh, p.unit)).collect();
        expected.extend(["生效日期", "失效日期", "中心经度", "中心纬度"].map(str::to_owned));
        let headings: Vec<&str> =
            rows[0].as_array().expect("cells").iter().map(|c| c[0].as_str().expect("text")).collect();
        assert_eq!(headings, expected, "{}", layer.id);
        let items = items(&db, layer.id).await;
        assert_eq!(rows.len() - 1, items.len(), "{}", layer.id);
        let is_day = |p: &Property| p.kind == PropertyKind::Date;
        let mut names: Vec<(&str, Option<&str>, bool)> =
            layer.properties.iter().map(|p| (p.name, p.unit, is_day(p))).collect();
        names.extend([("valid_from", None, true), ("valid_to", None, true)]);
        for (row, item) in rows[1..].iter().zip(&items) {
            for (at, (name, unit, is_day)) in names.iter().enumerate() {
                let value = &item["properties"][*name];
                let (cell, place) = (&row[at], format!("{name} of {}", item["id"]));
                match value {
                    Value::Null => assert_eq!(cell[0], Value::Null, "{place}"),
                    Value::Bool(_) => assert_eq!((&cell[0], &cell[1]), (value, &json!("b")), "{place}"),
                    Value::Number(number) => {
                        assert_eq!((cell[0].as_f64(), &cell[1]), (number.as_f64(), &json!("n")), "{place}");
                        let format = match unit {
                            Some("ha") => "0.0000",
                            Some(_) => "0.00",
                            None => "General",
                        };
                        assert_eq!(cell[2], format, "{place}");
                    }
                    Value::String(day) if *is_day => {
                        assert_eq!((&cell[0], &cell[1], &cell[2]), (&json!(day), &json!("d"), &json!("yyyy-mm-dd")));
                        days += 1;
                    }
                    other => {
                        let text = as_text(other);
                        assert_eq!((&cell[0], &cell[1]), (&json!(text), &json!("s")), "{place}");
                        assert_eq!(cell[3], harmless(&text) != text, "{place}: marked as quoted where it would run");
                        quoted += usize::from(cell[3] == true);
                    }
                }
            }
        }
        let notes = &book[1];
        assert_eq!(notes[0], "说明");
        let note = |name: &str| {
            let rows = notes[2].as_array().expect("rows");
            rows.iter().find(|r| r[0][0] == name).map(|r| r[1][0].clone()).unwrap_or_else(|| panic!("no {name}"))
        };
        assert_eq!(note("条数"), json!(items.len()));
        assert_eq!(note("图层"), format!("{}（{}）", layer.title.zh, layer.id));
        assert_eq!(note("筛选条件"), "无");
        assert_eq!(note("修订号"), db.value::<i64>("SELECT max(number) FROM revision").await.to_string());
    }
    assert!(days > 100 && quoted >= 7, "{days} days, {quoted} quoted cells");
}

#[tokio::test]
async fn a_directory_that_was_given_out_as_a_table_changes_nothing_when_it_comes_back() {
    let db = Database::with_sample().await;
    // What an import would refuse (line breaks) or trim is not what comes back.
    db.write(
        "UPDATE park SET name = '=HYPERLINK(\"http://x\",\"点\")', type = '+86 731, \"引号\"' WHERE code = 'G431176';
         UPDATE park SET name = '@SUM(A1:A9)' WHERE code = 'G431033';
         UPDATE park SET name = '''=1', leading_industries = '{-5,＝全角}', aliases = '{''''+1,乙}' WHERE code = 'S437027';
         UPDATE park SET name = '𠮷野𠀀园', type = '－负' WHERE code = 'S438090';
         UPDATE park SET county_codes = '{430102,430103}' WHERE code = 'S439030'",
    )
    .await;
    let parks = declaration::find("parks").expect("a layer");
    for format in ["csv", "xlsx"] {
        for headings in [Headings::Chinese, Headings::English] {
            let mut request = exports::of_layer(parks, format);
            request.options.headings = Some(headings);
            let bytes = exports::bytes_of(&db, request).await;
            let file = write(&format!("directory_{headings:?}.{format}"), bytes);
            let again = db.import(&file, |request| request.layer = "parks".to_owned()).await.expect("judged");
            assert_eq!(
                (again.report.status.as_str(), again.revision),
                ("unchanged", None),
                "{format} {headings:?}: {:?} {:?}",
                again.report.counts,
                again.report.findings
            );
        }
    }
}

#[actix_web::test]
async fn tables_in_gbk_are_gbk_or_refused_with_the_row() {
    let db = Database::with_sample().await;
    let path = "/api/collections/parks/items?f=csv&encoding=gbk";
    let answer = get(&db, path).await;
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=gbk; header=present"));
    let text = encoding_rs::GBK.decode_without_bom_handling_and_without_replacement(&answer.body).expect("GBK");
    let utf8 = get(&db, "/api/collections/parks/items?f=csv").await.text();
    assert_eq!(text, utf8.trim_start_matches('\u{feff}'));
    db.write("UPDATE park SET name = '𠮷野' WHERE code = 'G431176'").await;
    let refused = get(&db, path).await.assert_problem(400, "character_not_in_gbk");
    let row = db.value::<i64>("SELECT count(*) FROM park WHERE code <= 'G431176'").await;
    let detail = refused["detail"].as_str().expect("a sentence");
    assert!(detail.contains(&format!("第 {row} 行（G431176）的“名称”")) && detail.contains('𠮷'), "{detail}");
}

#[actix_web::test]
async fn nothing_that_matches_is_a_whole_file_with_its_headings() {
    let empty = Database::empty().await;
    let full = Database::with_sample().await;
    for (db, query) in [(&empty, ""), (&full, "&name=%E6%B2%A1%E6%9C%89")] {
        let path = |format: &str| format!("/api/collections/parks/items?f={format}{query}");
        let csv = get_authorised(db, &path("csv")).await;
        assert_eq!(csv.text().lines().count(), 1);
        let book = openpyxl(&get_authorised(db, &path("xlsx")).await.body, "nothing.xlsx");
        assert_eq!((book[0][2].as_array().map(Vec::len), &book[0][2][0][0][0]), (Some(1), &json!("园区代码")));
        let document = get_authorised(db, &path("geojson")).await.json();
        assert_eq!((&document["features"], &document["numberMatched"]), (&json!([]), &json!(0)));
        let lines = get_authorised(db, &path("ndjson")).await;
        assert_eq!((lines.status.as_u16(), lines.body.len()), (200, 0));
        let txt = get_authorised(db, &path("txt")).await.text();
        assert!(txt.ends_with("[地块坐标]\r\n"), "{txt}");
    }
}

#[actix_web::test]
async fn geojson_is_the_items_in_one_piece_and_ndjson_one_a_line() {
    let db = Database::with_sample().await;
    for (query, filter) in [
        ("", ""),
        ("bbox=112,27,113.5,29&", "&bbox=112,27,113.5,29"),
        ("level=%E5%9B%BD%E5%AE%B6%E7%BA%A7&", "&level=%E5%9B%BD%E5%AE%B6%E7%BA%A7"),
    ] {
        let page = get_authorised(&db, &format!("/api/collections/parks/items?{query}f=json&limit=10000")).await.json();
        let whole = get_authorised(&db, &format!("/api/collections/parks/items?f=geojson{filter}")).await;
        assert_eq!(whole.header("content-type"), Some("application/geo+json; charset=utf-8"));
        let document = whole.json();
        assert_eq!(document["features"], page["features"], "{query}");
        assert_eq!(document["numberMatched"], page["numberMatched"]);
        let lines = get_authorised(&db, &format!("/api/collections/parks/items?f=ndjson{filter}")).await.text();
        let features: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).expect("a feature")).collect();
        assert_eq!(Value::Array(features), page["features"], "{query}");
        let first =
            get_authorised(&db, &format!("/api/collections/parks/items?f=geojson&limit=2{filter}")).await.json();
        let two: Vec<Value> = page["features"].as_array().expect("features").iter().take(2).cloned().collect();
        assert_eq!((&first["features"], &first["numberReturned"]), (&json!(two), &json!(2)));
    }
    // Another way to the same.
    let request = crate::support::http::authorised(actix_web::http::Method::GET, "/api/collections/parks/items");
    let accepted = call(&db, request.insert_header(("accept", "application/x-ndjson, text/html;q=0.5"))).await;
    assert_eq!(accepted.header("content-type"), Some("application/x-ndjson; charset=utf-8"));
}
