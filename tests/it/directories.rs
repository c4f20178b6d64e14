//! Directories: published as a version with a document number, of any day out of the register, and what differs between two.

use actix_web::http::Method;
use serde_json::{Value, json};
use sizhi::domain::access::Role;

use crate::support::consolidation::{DAY, EVE, SURVIVOR, contents, happen, merger, read, undo};
use crate::support::http::{Answer, call, get, get_authorised, path_of};
use crate::support::land::{newest, send};
use crate::support::{Database, accounts};

const FIXTURE: &str = include_str!("../../fixtures/parks/hunan_parks.csv");

/// Code, name, area, industries of the real catalogue's rows, by code.
fn catalogue() -> Vec<(String, String, String, String)> {
    let mut rows: Vec<_> = FIXTURE
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            let area: f64 = cells[9].parse().expect("area");
            (cells[1].to_owned(), cells[2].to_owned(), json!(area).to_string(), cells[10].to_owned())
        })
        .collect();
    rows.sort();
    rows
}

fn told(directory: &Value) -> Vec<(String, String, String, String)> {
    let mut rows: Vec<_> = directory["parks"]
        .as_array()
        .expect("parks")
        .iter()
        .map(|p| {
            let text = |name: &str| p[name].as_str().unwrap_or_default().to_owned();
            let industries: Vec<&str> =
                p["leading_industries"].as_array().expect("list").iter().filter_map(Value::as_str).collect();
            let area = p["area_ha"].as_f64().map(|area| json!(area).to_string()).unwrap_or_default();
            (text("code"), text("name"), area, industries.join("、"))
        })
        .collect();
    rows.sort();
    rows
}

async fn publish(db: &Database, body: &Value) -> Answer {
    send(db, "/api/directories", &[], body).await
}

fn publication(on: &str) -> Value {
    json!({"id": format!("hn-{on}"), "title": "湖南省产业园区名录（示意）", "document_no": format!("湘发改〔2026〕{on}号（示意）"), "issued_on": "2026-03-15", "on": on})
}

#[actix_web::test]
async fn the_published_catalogue_and_the_directory_of_a_day_say_what_the_paper_says() {
    let db = Database::with_sample().await;
    let expected = catalogue();
    assert_eq!(expected.len(), 129);
    assert_eq!(told(&read(&db, "/api/directories/cn-2018").await), expected);
    assert_eq!(told(&read(&db, "/api/directories/as-of?on=2020-01-01").await), expected);
    let list = read(&db, "/api/directories").await;
    assert_eq!((&list["numberMatched"], &list["directories"][0]["parks"]), (&json!(1), &json!(129)));
    // Parks that were approved later were not there.
    let early = read(&db, "/api/directories/as-of?on=2000-01-01").await;
    let approved: i64 = db.value("SELECT count(*) FROM park WHERE valid_from <= '2000-01-01'").await;
    assert_eq!(early["numberMatched"], json!(approved));
    let difference = read(&db, "/api/directories/difference?from=cn-2018&to=2020-01-01").await;
    assert_eq!(
        (&difference["added"], &difference["gone"], &difference["changed"]),
        (&json!([]), &json!([]), &json!([]))
    );
    assert_eq!((&difference["unchanged"], &difference["not_compared"][0]), (&json!(129), &json!("four_extents")));
}

#[actix_web::test]
async fn a_published_version_stays_as_it_was_whatever_the_register_becomes() {
    let db = Database::with_sample().await;
    let rows = contents(&db).await;
    let seen = newest(&db).await;
    let mut dry = publication(EVE);
    dry["dry_run"] = json!(true);
    let tried = publish(&db, &dry).await;
    assert_eq!((tried.status.as_u16(), newest(&db).await), (200, seen), "{}", tried.text());
    assert_eq!(contents(&db).await, rows);
    let done = publish(&db, &publication(EVE)).await;
    assert_eq!(done.status, 201, "{}", done.text());
    assert_eq!((newest(&db).await, &done.json()["revision"]), (seen + 1, &json!(seen + 1)), "one revision");
    assert_eq!(told(&tried.json()), told(&done.json()));
    let address = path_of(&json!(done.header("location").expect("location")));
    let version = read(&db, &address).await;
    assert_eq!(told(&version), catalogue());
    assert_eq!(
        (&version["document_no"], &version["register_on"], &version["register_revision"]),
        (&json!(format!("湘发改〔2026〕{EVE}号（示意）")), &json!(EVE), &json!(seen))
    );
    let words = version["parks"].as_array().expect("parks").iter().find(|p| p["code"] == "S437001").expect("park");
    assert!(words["four_extents"].as_str().expect("words").contains("区块一：面积79.77公顷，东至星湖河"), "{words}");
    let geojson = |answer: &Answer| answer.json()["features"].clone();
    let before = geojson(&get(&db, &format!("{address}?f=geojson")).await);

    let merged = happen(&db, &merger(newest(&db).await)).await;
    assert_eq!(merged.status, 201, "{}", merged.text());
    assert_eq!(told(&read(&db, &address).await), catalogue());
    assert_eq!(geojson(&get(&db, &format!("{address}?f=geojson")).await), before, "its boundaries too");
    let second = publish(&db, &publication(DAY)).await;
    assert_eq!(second.status, 201, "{}", second.text());
    assert_eq!(second.json()["numberMatched"], 127);
    let path = format!("/api/directories/difference?from=hn-{EVE}&to=hn-{DAY}");
    let difference = read(&db, &path).await;
    let gone: Vec<(&Value, &Value)> =
        difference["gone"].as_array().expect("gone").iter().map(|g| (&g["code"], &g["successors"])).collect();
    let survivor = json!([SURVIVOR]);
    assert_eq!(gone, [(&json!("S437001"), &survivor), (&json!("S437003"), &survivor)]);
    let changes = &difference["changed"][0];
    assert_eq!(changes["code"], SURVIVOR);
    let area = changes["changes"].as_array().expect("changes").iter().find(|c| c["name"] == "area_ha").expect("area");
    assert_eq!((&area["before"], &area["after"]), (&json!(1733.5), &json!(3174.69)));
    let page = get(&db, &format!("{path}&f=html")).await;
    assert!(page.text().contains("长沙天心经济开发区") && page.text().contains("3174.69"), "{}", page.text());
    // Published by mistake: taken back as one, the merger after it is not in its way.
    let rows_now = contents(&db).await;
    let revision = second.json()["revision"].as_i64().expect("revision");
    let undone = undo(&db, revision).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    get(&db, &format!("/api/directories/hn-{DAY}")).await.assert_problem(404, "directory_not_found");
    let again = publish(&db, &publication(DAY)).await;
    assert_eq!(again.status, 201, "{}", again.text());
    let without_revision = |rows: Vec<(&'static str, Vec<String>)>| {
        rows.into_iter().filter(|(table, _)| !table.starts_with("directory_")).collect::<Vec<_>>()
    };
    assert_eq!(without_revision(contents(&db).await), without_revision(rows_now));
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn a_version_is_a_page_a_workbook_and_geojson() {
    let db = Database::with_sample().await;
    let done = publish(&db, &publication(EVE)).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let address = format!("/api/directories/hn-{EVE}");
    let page = get(&db, &format!("{address}?f=html")).await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    for words in [
        "湖南省产业园区名录（示意）",
        "湘发改〔2026〕2026-02-28号（示意）",
        "长沙黄花综合保税区",
        "保税加工、国际贸易、物流",
        "199.00",
    ] {
        assert!(page.text().contains(words), "{words}");
    }
    let book = get(&db, &format!("{address}?f=xlsx")).await;
    assert_eq!(book.status, 200, "{}", book.text());
    assert!(book.header("content-disposition").expect("name").contains("directory-hn-2026-02-28.xlsx"));
    let mut book: calamine::Xlsx<_> = calamine::Reader::new(std::io::Cursor::new(book.body)).expect("a workbook");
    let sheet = calamine::Reader::worksheet_range(&mut book, "园区名录").expect("sheet");
    assert_eq!(sheet.height(), 130);
    let mut rows: Vec<_> = sheet
        .rows()
        .skip(1)
        .map(|r| {
            let area: f64 = r[4].to_string().parse().expect("area");
            (r[1].to_string(), r[2].to_string(), json!(area).to_string(), r[7].to_string())
        })
        .collect();
    rows.sort();
    assert_eq!(rows, catalogue());
    let notes = calamine::Reader::worksheet_range(&mut book, "说明").expect("notes");
    let notes: Vec<String> = notes.rows().map(|r| format!("{}：{}", r[0], r[1])).collect();
    assert!(notes.contains(&"文号：湘发改〔2026〕2026-02-28号（示意）".to_owned()), "{notes:?}");
    // The public sees outlines, an editor what was surveyed: as the layer of parks shows them.
    let public = get(&db, &format!("{address}?f=geojson")).await;
    assert_eq!(public.header("content-type"), Some("application/geo+json; charset=utf-8"));
    let document = public.json();
    assert_eq!(
        (&document["type"], document["features"].as_array().map(Vec::len)),
        (&json!("FeatureCollection"), Some(129))
    );
    assert_eq!(document["generalisation"], json!({"tolerance_m": 10, "decimals": 4}));
    let shapes = |document: &Value| -> Vec<(String, Value)> {
        let mut list: Vec<_> = document["features"]
            .as_array()
            .expect("features")
            .iter()
            .map(|f| (f["id"].as_str().expect("id").to_owned(), f["geometry"].clone()))
            .collect();
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list
    };
    let path = format!("/api/collections/parks/items?datetime={EVE}&limit=200");
    assert_eq!(shapes(&document), shapes(&get(&db, &path).await.json()));
    let surveyed = get_authorised(&db, &format!("{address}?f=geojson")).await.json();
    assert_eq!(surveyed["generalisation"], Value::Null);
    assert_eq!(shapes(&surveyed), shapes(&get_authorised(&db, &path).await.json()));
    assert_ne!(shapes(&surveyed), shapes(&document));
    // By `Accept`, as by `f`.
    let asked = actix_web::test::TestRequest::get().uri(&address).insert_header(("accept", "application/geo+json"));
    assert_eq!(call(&db, asked).await.header("content-type"), Some("application/geo+json; charset=utf-8"));
    let etag = get(&db, &address).await.header("etag").expect("etag").to_owned();
    let asked = actix_web::test::TestRequest::get().uri(&address).insert_header(("if-none-match", etag));
    assert_eq!(call(&db, asked).await.status, 304);
}

#[actix_web::test]
async fn publishing_is_for_whoever_is_responsible_for_all_that_is_listed() {
    let db = Database::with_sample().await;
    accounts::add(&db, "city", Role::Editor, &["430100"]).await;
    accounts::add(&db, "province", Role::Editor, &["430000"]).await;
    let post = |cookie: &str| accounts::from_page(Method::POST, "/api/directories", cookie).set_json(publication(EVE));
    let city = accounts::login(&db, "city").await;
    call(&db, post(&city)).await.assert_problem(403, "outside_jurisdiction");
    let province = accounts::login(&db, "province").await;
    let done = call(&db, post(&province)).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let with = |name: &str, value: Value| {
        let mut body = publication("2026-01-01");
        body[name] = value;
        body
    };
    for (body, status, code) in [
        (publication(EVE), 409, "directory_exists"),
        (with("id", json!(format!("hn-{EVE}"))), 409, "directory_exists"),
        (with("id", json!("2026-01-01")), 400, "member_invalid"),
        (with("id", json!("as-of")), 400, "member_invalid"),
        (with("id", json!("名录")), 400, "member_invalid"),
        (with("title", json!(" ")), 400, "member_invalid"),
        (with("title", json!(1)), 400, "member_invalid"),
        (with("on", json!("2099-01-01")), 400, "directory_refused"),
        (with("on", json!("1900-01-01")), 409, "directory_empty"),
        (with("issued_on", json!("2026-13-01")), 400, "value_invalid"),
        (with("colour", json!("red")), 400, "member_unknown"),
    ] {
        publish(&db, &body).await.assert_problem(status, code);
    }
    for (path, status, code) in [
        ("/api/directories/nothing", 404, "directory_not_found"),
        ("/api/directories/cn-2018?f=csv", 400, "value_invalid"),
        ("/api/directories/cn-2018?colour=red", 400, "parameter_unknown"),
        ("/api/directories/as-of?on=2099-01-01", 400, "value_invalid"),
        ("/api/directories/as-of?on=yesterday", 400, "value_invalid"),
        ("/api/directories/difference?from=cn-2018", 400, "value_invalid"),
        ("/api/directories/difference?from=cn-2018&to=nothing", 404, "directory_not_found"),
        ("/api/parks/G431176/predecessors", 400, "value_invalid"),
        ("/api/parks/G431176/predecessors?on=2099-01-01", 400, "value_invalid"),
        ("/api/parks/G439999/predecessors?on=2020-01-01", 404, "park_not_found"),
        ("/api/parks/G439999/lineage", 404, "park_not_found"),
        ("/api/parks/XX/lineage", 400, "park_code_invalid"),
    ] {
        get(&db, path).await.assert_problem(status, code);
    }
    let empty = Database::empty().await;
    assert_eq!(read(&empty, "/api/directories").await["numberMatched"], 0);
    assert_eq!(read(&empty, "/api/directories/as-of?on=2020-01-01").await["numberMatched"], 0);
    assert!(get(&empty, "/api/directories?f=html").await.text().contains("没有内容"));
}
