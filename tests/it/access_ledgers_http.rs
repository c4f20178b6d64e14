//! The access matrix of the ledgers: every role × every address of a record × the own county and another one.
//!
//! Two counties hold a record each of the three ledgers; what the other county wrote bears a word that must stand in no answer.

use actix_web::http::Method;
use serde_json::{Value, json};
use sizhi::domain::DivisionCode;
use sizhi::domain::access::Role;

use crate::support::accounts::{add, issue, with_token};
use crate::support::http::{Answer, authorised, call, get, get_authorised, upload};
use crate::support::parcels::{COUNTY, PARK, file, inside, into, square};
use crate::support::{Database, TOKEN};

const LEDGERS: [&str; 3] = ["redevelopment_plans", "low_efficiency_parcels", "turnover_parcels"];

/// A county with one record a ledger, and what its records are named.
struct County {
    code: String,
    /// In the name of every record: to be found wherever it leaks.
    word: &'static str,
    /// Where its records lie.
    x: f64,
    y: f64,
}

impl County {
    fn id(&self, ledger: &str) -> String {
        let number = match ledger {
            "redevelopment_plans" => "F1",
            "low_efficiency_parcels" => "D1",
            _ => "Z1",
        };
        format!("{}-{number}", self.code)
    }
}

fn items(ledger: &str) -> String {
    format!("/api/collections/{ledger}/items")
}

fn item(ledger: &str, id: &str) -> String {
    format!("{}/{id}", items(ledger))
}

fn feature(properties: Value, geometry: Value) -> Value {
    json!({"type": "Feature", "properties": properties, "geometry": geometry})
}

/// The operator's deed, done.
async fn done(db: &Database, method: Method, path: &str, etag: Option<&str>, body: Value) -> Answer {
    let mut request = authorised(method.clone(), path);
    if let Some(etag) = etag {
        request = request.insert_header(("if-match", etag.to_owned()));
    }
    let answer = call(db, request.set_json(body)).await;
    assert!(answer.status.is_success(), "{method} {path}: {}", answer.text());
    answer
}

async fn filled(db: &Database, county: &County) {
    let near = |n: f64| square(county.x + n * 0.002, county.y, 0.001);
    let code = DivisionCode::parse(&county.code).expect("code");
    for (ledger, properties, n) in [
        (
            "turnover_parcels",
            json!({"地块编号": "Z1", "地块名称": county.word, "状态": "已批准", "批准日期": "2024-05-06"}),
            0.0,
        ),
        (
            "low_efficiency_parcels",
            json!({"宗地编号": "D1", "地块名称": county.word, "状态": "已核实", "核实日期": "2024-05-06"}),
            1.0,
        ),
    ] {
        let path = file(&format!("{}-{ledger}.geojson", county.code), &[(properties, near(n))]);
        let imported = db
            .import(&path, |request| {
                into(ledger)(request);
                request.county = Some(code.clone());
            })
            .await
            .expect("imported");
        assert!(imported.revision.is_some(), "{:?}", imported.report.findings);
    }
    let properties = json!({"number": "F1", "county_code": county.code, "name": county.word,
                            "parcel_id": county.id("low_efficiency_parcels"), "deadline_on": "2027-12-31"});
    let plan = done(db, Method::POST, &items("redevelopment_plans"), None, feature(properties, Value::Null)).await;
    let etag = plan.header("etag").expect("etag").to_owned();
    let steps = json!({"steps": [{"task": county.word, "due_on": "2027-01-31"}]});
    let path = format!("{}/steps", item("redevelopment_plans", &county.id("redevelopment_plans")));
    done(db, Method::PUT, &path, Some(&etag), steps).await;
    // A move, so that there is a past to hide.
    let path = item("turnover_parcels", &county.id("turnover_parcels"));
    let etag = get_authorised(db, &path).await.header("etag").expect("etag").to_owned();
    let moved = json!({"to": "acquired", "effective_on": "2025-01-02", "reason": county.word});
    done(db, Method::POST, &format!("{path}/transitions"), Some(&etag), moved).await;
}

/// The county of 长沙经济技术开发区, and one of 株洲.
async fn two_counties(db: &Database) -> [County; 2] {
    let (park, code): (String, String) = sqlx::query_as(
        "SELECT p.code, p.county_codes[1] FROM park p JOIN park_block b ON b.park_code = p.code
         WHERE p.prefecture_code = '430200' AND cardinality(p.county_codes) = 1 GROUP BY 1, 2 ORDER BY 1 LIMIT 1",
    )
    .fetch_one(&db.pool)
    .await
    .expect("a park");
    let (x, y, _) = inside(db, PARK).await;
    let one = County { code: COUNTY.to_owned(), word: "甲县机要", x, y };
    let (x, y, _) = inside(db, &park).await;
    let two = County { code, word: "乙县机要", x, y };
    for county in [&one, &two] {
        filled(db, county).await;
    }
    [one, two]
}

const ROLES: [(&str, Role); 3] = [("staff", Role::Staff), ("planner", Role::Planner), ("editor", Role::Editor)];

/// The token of somebody of this role whose jurisdiction is this county.
async fn token_of(db: &Database, name: &str, role: Role, county: &County) -> String {
    let account = format!("{name}.{}", county.code);
    add(db, &account, role, &[&county.code]).await;
    issue(db, json!({"account": account, "name": "matrix"})).await["token"].as_str().expect("token").to_owned()
}

/// A body for each deed at an address of a record: fit to be done, were the record the caller's.
fn deeds(ledger: &str, county: &County) -> Vec<(Method, String, Value)> {
    let path = item(ledger, &county.id(ledger));
    let to = match ledger {
        "redevelopment_plans" => "submitted",
        "low_efficiency_parcels" => "publicised",
        _ => "serviced",
    };
    let shape = if ledger == "redevelopment_plans" { Value::Null } else { square(county.x + 0.006, county.y, 0.001) };
    let mut deeds = vec![
        (Method::PATCH, path.clone(), json!({"type": "Feature", "properties": {"name": "改"}})),
        (Method::PUT, path.clone(), feature(json!({"name": "换"}), shape)),
        (Method::POST, format!("{path}/transitions"), json!({"to": to})),
    ];
    if ledger == "redevelopment_plans" {
        deeds.push((Method::PUT, format!("{path}/steps"), json!({"steps": []})));
    }
    deeds.push((Method::DELETE, path, Value::Null));
    deeds
}

async fn by(db: &Database, token: &str, method: Method, path: &str, etag: Option<&str>, body: &Value) -> Answer {
    let mut request = with_token(method, path, token);
    if let Some(etag) = etag {
        request = request.insert_header(("if-match", etag.to_owned()));
    }
    call(db, if body.is_null() { request } else { request.set_json(body) }).await
}

async fn read(db: &Database, token: &str, path: &str) -> Answer {
    by(db, token, Method::GET, path, None, &Value::Null).await
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().filter_map(|one| one["id"].as_str()).collect()
}

/// Who is in no ledger's reach is told that there is none; a stranger's deed is refused before anything is looked at.
#[actix_web::test]
async fn the_public_finds_no_ledger_at_any_of_its_addresses() {
    let db = Database::with_sample().await;
    let counties = two_counties(&db).await;
    for ledger in LEDGERS {
        let collection = format!("/api/collections/{ledger}");
        for county in &counties {
            let path = item(ledger, &county.id(ledger));
            for path in [
                collection.clone(),
                format!("{collection}/queryables"),
                format!("{collection}/schema"),
                format!("{collection}/facets"),
                items(ledger),
                format!("{}?f=csv", items(ledger)),
                format!("{}?revision=2", items(ledger)),
                path.clone(),
                format!("{path}/history"),
                format!("{collection}/changes?since=0"),
                format!("{collection}/changes/stream"),
            ] {
                let answer = get(&db, &path).await;
                answer.assert_problem(404, "collection_not_found");
                assert!(!answer.text().contains(ledger), "{path}: {}", answer.text());
            }
            for path in [format!("{path}/transitions"), format!("{path}/steps")] {
                get(&db, &path).await.assert_problem(401, "token_missing");
            }
            for (method, path, body) in deeds(ledger, county) {
                let request = actix_web::test::TestRequest::default().method(method).uri(&path).set_json(body);
                call(&db, request).await.assert_problem(401, "token_missing");
            }
        }
        let request = actix_web::test::TestRequest::post().uri(&items(ledger)).set_json(json!({}));
        call(&db, request).await.assert_problem(401, "token_missing");
    }
    let listed = get(&db, "/api/collections").await.text();
    assert!(LEDGERS.iter().all(|ledger| !listed.contains(ledger)), "{listed}");
}

/// Reads of everything by somebody of `own`; nothing of `other` shows.
async fn reads_show_the_own_county_alone(db: &Database, token: &str, own: &County, other: &County) {
    let newest: i64 = db.value("SELECT max(number) FROM revision").await;
    for ledger in LEDGERS {
        let collection = format!("/api/collections/{ledger}");
        let (mine, theirs) = (own.id(ledger), other.id(ledger));
        for query in [
            String::new(),
            format!("?revision={newest}"),
            "?datetime=2000-01-01/..".into(),
            "?bbox=108,24,115,31".into(),
        ] {
            let answer = read(db, token, &format!("{}{query}", items(ledger))).await;
            let page = answer.json();
            let found = ids(&page["features"]);
            assert!(!found.is_empty() && found.iter().all(|id| *id == mine), "{query}: {page}");
            assert_eq!(page["numberMatched"], found.len(), "{query}");
        }
        let sought = read(db, token, &format!("{}?id={theirs}", items(ledger))).await.json();
        assert_eq!((&sought["numberMatched"], &sought["numberReturned"]), (&json!(0), &json!(0)));
        let csv = read(db, token, &format!("{}?f=csv&headings=en", items(ledger))).await;
        assert_eq!(csv.text().lines().count(), 2, "{}", csv.text());
        assert!(csv.text().contains(&mine) && csv.text().contains(own.word), "{}", csv.text());
        let changes = read(db, token, &format!("{collection}/changes?since=0")).await.json();
        assert_eq!(ids(&changes["changes"]), [mine.as_str()], "{changes}");
        // The other county lies elsewhere: its land would widen the box.
        let described = read(db, token, &collection).await;
        let bbox: Vec<f64> =
            serde_json::from_value(described.json()["extent"]["spatial"]["bbox"][0].clone()).expect("box");
        let holds = |c: &County| bbox[0] <= c.x + 0.003 && c.x <= bbox[2] && bbox[1] <= c.y + 0.001 && c.y <= bbox[3];
        assert!(holds(own) && !holds(other), "{ledger}: {bbox:?}");
        let path = item(ledger, &mine);
        for (path, marks) in [
            (path.clone(), &["\"properties\""][..]),
            (format!("{path}/history"), &["\"revisions\""]),
            (format!("{path}/transitions"), &["\"allowed\""]),
        ] {
            let answer = read(db, token, &path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert!(marks.iter().all(|mark| answer.text().contains(mark)), "{}", answer.text());
        }
        let steps = read(db, token, &format!("{path}/steps")).await;
        match ledger {
            "redevelopment_plans" => assert_eq!(steps.json()["steps"][0]["task"], own.word),
            _ => drop(steps.assert_problem(404, "address_not_found")),
        }
        // Hidden is absent: the answers differ in nothing but the id that was asked for.
        for tail in ["", "/history", "/transitions", "/steps", "?revision=2", "?f=html"] {
            if tail == "/steps" && ledger != "redevelopment_plans" {
                continue;
            }
            let (hidden, absent) = (item(ledger, &theirs), item(ledger, &format!("{}-无", other.code)));
            let absent_path = absent.replace('无', "%E6%97%A0");
            let mut told = Vec::new();
            for (path, id) in [(hidden.clone(), theirs.clone()), (absent_path, format!("{}-无", other.code))] {
                let mut problem = read(db, token, &format!("{path}{tail}")).await.assert_problem(404, "item_not_found");
                problem["instance"].take();
                told.push(problem.to_string().replace(&id, "ID"));
            }
            assert_eq!(told[0], told[1], "{ledger}{tail}");
        }
        // What a browser holds of somebody who saw more is not called current.
        for path in [
            items(ledger),
            format!("{}?f=csv", items(ledger)),
            format!("{collection}/facets"),
            format!("{collection}/changes?since=0"),
            item(ledger, &mine),
            format!("{}/history", item(ledger, &mine)),
        ] {
            let held = get_authorised(db, &path).await.header("etag").expect("etag").to_owned();
            let asked = with_token(Method::GET, &path, token).insert_header(("if-none-match", held));
            assert_eq!(call(db, asked).await.status, 200, "{path}");
        }
        let facets = read(db, token, &format!("{collection}/facets?properties=number,county_code")).await.json();
        assert_eq!(facets["numberMatched"], 1);
        assert_eq!(facets["facets"][1]["values"], json!([{"value": own.code, "count": 1}]), "{facets}");
        for path in [
            items(ledger),
            format!("{}?f=csv", items(ledger)),
            format!("{}?f=html", items(ledger)),
            format!("{}?q={}", items(ledger), crate::support::http::encode(other.word)),
            format!("{}?division={}", items(ledger), other.code),
            format!("{collection}/facets"),
            format!("{collection}/changes?since=0"),
            collection.clone(),
        ] {
            let text = read(db, token, &path).await.text();
            assert!(!text.contains(other.word) && !text.contains(&theirs), "{path} tells of the other county: {text}");
        }
    }
}

#[actix_web::test]
async fn each_role_reads_the_records_of_its_own_county_and_nothing_of_another() {
    let db = Database::with_sample().await;
    let [one, two] = two_counties(&db).await;
    for (own, other) in [(&one, &two), (&two, &one)] {
        for (name, role) in ROLES {
            let token = token_of(&db, name, role, own).await;
            reads_show_the_own_county_alone(&db, &token, own, other).await;
        }
    }
    // The operator has all of it, so the words were there to be found.
    for ledger in LEDGERS {
        let page = get_authorised(&db, &items(ledger)).await;
        assert_eq!(page.json()["numberMatched"], 2);
        assert!([&one, &two].iter().all(|county| page.text().contains(county.word)), "{}", page.text());
    }
}

#[actix_web::test]
async fn who_may_not_edit_is_refused_by_role_whosever_the_record_is() {
    let db = Database::with_sample().await;
    let counties = two_counties(&db).await;
    let before = db.value::<i64>("SELECT max(number) FROM revision").await;
    for (name, role) in [ROLES[0], ROLES[1]] {
        let token = token_of(&db, name, role, &counties[0]).await;
        for ledger in LEDGERS {
            for county in &counties {
                for (method, path, body) in deeds(ledger, county) {
                    by(&db, &token, method, &path, None, &body).await.assert_problem(403, "role_insufficient");
                }
            }
            by(&db, &token, Method::POST, &items(ledger), None, &json!({}))
                .await
                .assert_problem(403, "role_insufficient");
        }
    }
    assert_eq!(db.value::<i64>("SELECT max(number) FROM revision").await, before);
}

/// A new record of each ledger in this county, on land of `at`; the plan is for `parcel`.
fn new_records(county: &County, at: &County, parcel: &str) -> [(&'static str, Value); 3] {
    let head = |number: &str| json!({"number": number, "county_code": county.code, "name": "新增"});
    let mut plan = head("F2");
    plan["parcel_id"] = json!(parcel);
    [
        ("turnover_parcels", feature(head("Z2"), square(at.x + 0.008, at.y, 0.001))),
        ("low_efficiency_parcels", feature(head("D2"), square(at.x + 0.010, at.y, 0.001))),
        ("redevelopment_plans", feature(plan, Value::Null)),
    ]
}

#[actix_web::test]
async fn an_editor_writes_in_the_own_county_and_finds_nothing_to_write_in_another() {
    let db = Database::with_sample().await;
    let [own, other] = two_counties(&db).await;
    let token = token_of(&db, "editor", Role::Editor, &own).await;
    let before = db.value::<i64>("SELECT max(number) FROM revision").await;

    for ledger in LEDGERS {
        // With the very version that stands, got from somebody else, and without.
        let etag = get_authorised(&db, &item(ledger, &other.id(ledger))).await.header("etag").expect("etag").to_owned();
        for (method, path, body) in deeds(ledger, &other) {
            for etag in [Some(etag.as_str()), Some("*"), None] {
                let answer = by(&db, &token, method.clone(), &path, etag, &body).await;
                answer.assert_problem(404, "item_not_found");
                assert!(!answer.text().contains(other.word), "{}", answer.text());
            }
        }
    }
    for (ledger, body) in new_records(&other, &own, &own.id("low_efficiency_parcels")) {
        by(&db, &token, Method::POST, &items(ledger), None, &body).await.assert_problem(403, "outside_jurisdiction");
    }
    // A plan that would begin farther on is none.
    let [.., (ledger, mut body)] = new_records(&own, &own, &own.id("low_efficiency_parcels"));
    body["properties"]["state"] = json!("approved");
    let refused = by(&db, &token, Method::POST, &items(ledger), None, &body).await;
    let refused = refused.assert_problem(400, "feature_refused");
    assert_eq!(refused["findings"][0]["code"], "state_by_transition");
    // A plan in the own county for the other's parcel: that parcel is not there.
    let [.., (ledger, body)] = new_records(&own, &own, &other.id("low_efficiency_parcels"));
    by(&db, &token, Method::POST, &items(ledger), None, &body).await.assert_problem(404, "item_not_found");
    assert_eq!(db.value::<i64>("SELECT max(number) FROM revision").await, before, "nothing was written");

    for (ledger, body) in new_records(&own, &own, &format!("{}-D2", own.code)) {
        let made = by(&db, &token, Method::POST, &items(ledger), None, &body).await;
        assert_eq!(made.status, 201, "{}", made.text());
        assert_eq!(made.json()["properties"]["county_code"], own.code.as_str());
    }
    for ledger in LEDGERS {
        for (method, path, body) in deeds(ledger, &own) {
            let etag = read(&db, &token, &item(ledger, &own.id(ledger))).await.header("etag").expect("etag").to_owned();
            by(&db, &token, method.clone(), &path, None, &body).await.assert_problem(428, "version_missing");
            let answer = by(&db, &token, method.clone(), &path, Some(&etag), &body).await;
            let expected = if method == Method::DELETE { 204 } else { 200 };
            assert_eq!(answer.status, expected, "{method} {path}: {}", answer.text());
            // Who has the version before this one is told, and shown the record as it stands.
            if method == Method::PATCH {
                let stale =
                    by(&db, &token, method, &path, Some(&etag), &body).await.assert_problem(412, "version_stale");
                assert_eq!((&stale["current"]["properties"]["name"], &stale["submitted"]), (&json!("改"), &body));
            }
        }
    }
    // Revisions of the editor's: three new ones, then four deeds and one more for the plan.
    let made: Vec<String> =
        db.column("SELECT DISTINCT actor FROM revision WHERE number > (SELECT max(number) - 16 FROM revision)").await;
    assert_eq!(db.value::<i64>("SELECT max(number) FROM revision").await, before + 3 + 13);
    assert_eq!(made, [format!("token:editor.{}/matrix", own.code)]);
    let untouched: Vec<String> = db
        .column("SELECT name FROM turnover_parcel WHERE valid_to = 'infinity' AND number = 'Z1' UNION ALL SELECT name FROM low_efficiency_parcel WHERE valid_to = 'infinity' AND number = 'D1' UNION ALL SELECT name FROM redevelopment_plan WHERE valid_to = 'infinity' AND number = 'F1'")
        .await;
    assert_eq!(untouched, [other.word; 3], "the other county's stand as they stood, the own have ended");
    assert_eq!(db.audit().await, None);
}

/// A file of the own county that lies on the other's land: the judgement tells nothing of what lies there.
#[actix_web::test]
async fn an_import_tells_nothing_of_the_other_countys_land() {
    let db = Database::with_sample().await;
    let [own, other] = two_counties(&db).await;
    let token = token_of(&db, "editor", Role::Editor, &own).await;
    for (ledger, n) in [("turnover_parcels", 0.0), ("low_efficiency_parcels", 1.0)] {
        let land = square(other.x + n * 0.002, other.y, 0.001);
        let on_theirs = json!({"type": "FeatureCollection", "features": [feature(json!({"地块编号": "Z9"}), land)]});
        let fields = [("layer", ledger), ("county", own.code.as_str())];
        let request = upload("/api/imports", &fields, "越界.geojson", on_theirs.to_string().as_bytes());
        let answer = call(&db, request.insert_header(("authorization", format!("Bearer {token}")))).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let text = answer.text();
        for leak in [other.word, &other.id("turnover_parcels"), &other.id("low_efficiency_parcels")] {
            assert!(!text.contains(leak), "“{leak}” leaks: {text}");
        }
        // Who sees both counties is told of the overlap where the ledger looks for any.
        let by_operator = upload("/api/imports", &fields, "越界.geojson", on_theirs.to_string().as_bytes());
        let told = call(&db, by_operator.insert_header(("authorization", format!("Bearer {TOKEN}")))).await.text();
        assert!(told.contains(&other.id(ledger)), "{told}");
    }
}
