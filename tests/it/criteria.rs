//! Criteria for “low-efficient” over HTTP: sets by division and year, who may change them, and the verdict on a parcel against SQL
//! written apart.

use std::collections::BTreeMap;

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::support::Database;
use crate::support::criteria::{enter, judged, low_tax, put_request, stopped, with};
use crate::support::http::{authorised, call, get_authorised};

async fn verdict(db: &Database, id: &str, query: &str) -> Value {
    let answer =
        get_authorised(db, &format!("/api/collections/low_efficiency_parcels/items/{id}/criteria{query}")).await;
    assert_eq!(answer.status, 200, "{id}: {}", answer.text());
    answer.json()
}

/// The example's sets once more, in SQL's own logic of three values; where no set applies there is none.
const BY_SQL: &str = "
    SELECT id || ' ' || CASE
        WHEN county_code = '430121' AND criteria_year = 2025 THEN '430121 ' || coalesce((
            tax_per_ha::text::numeric < 12.5 * 0.6 * 15 AND floor_area_ratio::text::numeric < 0.8
            OR building_density::text::numeric <= 30 OR production_stopped)::text, 'undecided')
        WHEN county_code = '430121' AND criteria_year = 2024 THEN '430121 ' || coalesce((fixed_investment_per_ha < 1500)::text, 'undecided')
        WHEN county_code = '430102' AND criteria_year = 2025 THEN '430100 ' || coalesce((
            industry IN ('造纸', '印染') OR production_stopped)::text, 'undecided')
        WHEN county_code = '430202' AND criteria_year = 2025 THEN '430000 ' || coalesce(production_stopped::text, 'undecided')
        ELSE '-' END
    FROM low_efficiency_parcel ORDER BY id";

#[actix_web::test]
async fn every_verdict_is_the_one_that_sql_gives() {
    let db = judged().await;
    let expected: Vec<String> = db.column(BY_SQL).await;
    let mut found = Vec::new();
    for line in &expected {
        let id = line.split(' ').next().expect("an id");
        let told = verdict(&db, id, "").await;
        let word = match told["verdict"]["code"].as_str() {
            Some("low_efficient") => "true",
            Some("not_low_efficient") => "false",
            Some("undecided") => "undecided",
            _ => "",
        };
        found.push(match told["set"]["division"].as_str() {
            Some(division) => format!("{id} {division} {word}"),
            None => format!("{id} -"),
        });
    }
    assert_eq!(found, expected);
    // Each outcome is among them, or the table proves little.
    for word in [" true", " false", " undecided", " -"] {
        assert!(expected.iter().filter(|line| line.ends_with(word)).count() >= 2, "{word}: {expected:?}");
    }
    for division in ["430121", "430100", "430000"] {
        assert!(expected.iter().any(|line| line.contains(&format!(" {division} "))), "{division}");
    }
}

#[actix_web::test]
async fn a_verdict_tells_value_threshold_and_answer_of_each_criterion() {
    let db = judged().await;
    let told = verdict(&db, "430121-B", "").await;
    let criterion = |at: usize, name: &str| told["criteria"][at][name].clone();
    assert_eq!(
        json!([told["verdict"], told["kinds"], told["missing"], told["agreement"], told["agrees"], told["year"]]),
        json!([
            {"code": "low_efficient", "label": "低效"}, ["产出低下类"], [], {"code": "agrees", "label": "一致"}, true, 2025
        ])
    );
    assert_eq!(
        told["sentence"],
        "按 长沙县（430121）2025 年的认定标准：低效，符合第 1 条“亩均税收偏低（示意）”、第 2 条“容积率偏低（示意）”"
    );
    let sentences: Vec<Value> = (0..4).map(|at| criterion(at, "sentence")).collect();
    assert_eq!(
        json!(sentences),
        json!([
            "地均税收为 112.49999999999999 万元/公顷；标准为低于 12.5 万元/亩（示意的全县平均）的 60%（合 112.5 万元/公顷）：符合",
            "容积率为 0.5；标准为低于 0.8：符合",
            "建筑密度为 40%；标准为不高于 0.3（合 30%）：不符合",
            "是否停产为否；标准为等于是：不符合",
        ])
    );
    assert_eq!(
        json!([
            criterion(1, "value"),
            criterion(0, "unit"),
            criterion(0, "answer")["code"],
            criterion(0, "group_holds")
        ]),
        json!([0.5, "万元/公顷", "met", true])
    );
    assert_eq!(criterion(2, "group_holds"), false);
    let undecided = verdict(&db, "430121-E", "").await;
    assert_eq!(
        json!([undecided["missing"], undecided["agrees"], undecided["sentence"]]),
        json!([["容积率"], null, "按 长沙县（430121）2025 年的认定标准：尚不能判断，还缺：容积率"])
    );
    // Another year than the paper's; none; the paper that does not say.
    let other = verdict(&db, "430121-A", "?year=2024").await;
    assert_eq!(json!([other["set"]["year"], other["verdict"]["code"]]), json!([2024, "undecided"]));
    let none = verdict(&db, "430121-I", "").await;
    assert_eq!(
        json!([none["set"], none["verdict"], none["agreement"]["code"], none["year"], none["sentence"]]),
        json!([null, null, "no_criteria", null, "地块没有写明认定标准年份；请补填，或在请求中用 year 指明年份"])
    );
    let no_set = verdict(&db, "430121-J", "").await;
    assert_eq!(no_set["sentence"], "430121 及其上级都没有登记 2023 年的低效用地认定标准");
    let silent = verdict(&db, "430202-O", "").await;
    assert_eq!(json!([silent["agreement"]["code"], silent["agrees"]]), json!(["agrees", null]));
    let agreements: BTreeMap<&str, &str> = BTreeMap::from([
        ("430121-A", "ledger_only"),
        ("430121-C", "criteria_only"),
        ("430121-D", "agrees"),
        ("430121-G", "kind_differs"),
        ("430202-N", "agrees"),
    ]);
    for (id, expected) in agreements {
        assert_eq!(verdict(&db, id, "").await["agreement"]["code"], expected, "{id}");
    }
    for bad in ["?year=25", "?year=%EF%BC%92%EF%BC%90%EF%BC%92%EF%BC%95", "?year=1900", "?f=html", "?county=1"] {
        let path = format!("/api/collections/low_efficiency_parcels/items/430121-A/criteria{bad}");
        let code = if bad.starts_with("?county") { "parameter_unknown" } else { "value_invalid" };
        get_authorised(&db, &path).await.assert_problem(400, code);
    }
    for path in ["turnover_parcels/items/430121-A", "parks/items/G431033", "redevelopment_plans/items/430121-A"] {
        let path = format!("/api/collections/{path}/criteria");
        get_authorised(&db, &path).await.assert_problem(404, "address_not_found");
    }
    for id in ["430121-ZZ", "x", "%00"] {
        let path = format!("/api/collections/low_efficiency_parcels/items/{id}/criteria");
        get_authorised(&db, &path).await.assert_problem(404, "item_not_found");
    }
}

#[actix_web::test]
async fn a_set_comes_back_as_it_was_put() {
    let db = Database::with_sample().await;
    let grouped = |number: i64, field: &str, threshold: Value| {
        let one = with(with(stopped(number), "field", json!(field)), "threshold", threshold);
        with(with(with(one, "group", json!("甲")), "combination", json!("all")), "comparison", json!("lt"))
    };
    let criteria = json!([
        low_tax(),
        grouped(2, "floor_area_ratio", json!(0.8)),
        with(grouped(3, "building_density", json!(30)), "unit", json!("%")),
        with(
            with(with(stopped(7), "field", json!("industry")), "comparison", json!("in")),
            "threshold",
            json!(["造纸", "印染"])
        ),
    ]);
    let entered = enter(&db, "430121/2025", criteria.clone()).await;
    assert_eq!(entered.header("location"), Some("http://localhost:8080/api/criteria/430121/2025"));
    let shown = get_authorised(&db, "/api/criteria/430121/2025").await;
    let mut body = shown.json();
    assert_eq!((entered.json(), entered.header("etag")), (body.clone(), shown.header("etag")));
    let revision: i64 = db.value("SELECT max(number) FROM revision").await;
    assert_eq!(entered.header("sizhi-revision"), Some(revision.to_string().as_str()));
    let links = body.as_object_mut().expect("object").remove("links").expect("links");
    assert_eq!(links[0]["href"], "http://localhost:8080/api/criteria/430121/2025");
    let expected = json!({
        "division": "430121", "name": "长沙县", "year": 2025, "version": revision, "source": "PUT /api/criteria/430121/2025",
        "criteria": [
            low_tax(),
            grouped(2, "floor_area_ratio", json!(0.8)),
            with(grouped(3, "building_density", json!(30.0)), "unit", json!("%")),
            criteria[3],
        ],
    });
    let as_doubles = |value: &Value| value.to_string().replace(":60.0,", ":60,");
    assert_eq!(as_doubles(&body), as_doubles(&expected));
    // What GET gave may be put again, on its version, and changes nothing.
    let tag = shown.header("etag").expect("etag").to_owned();
    assert!(tag.starts_with(&format!("\"v{revision}-")), "{tag}");
    let again = authorised(Method::PUT, "/api/criteria/430121/2025").insert_header(("if-match", tag.clone()));
    let again = call(&db, again.set_json(shown.json())).await;
    assert_eq!(
        (again.status.as_u16(), again.header("etag"), again.header("sizhi-revision")),
        (200, Some(tag.as_str()), None)
    );
    assert_eq!(db.value::<i64>("SELECT max(number) FROM revision").await, revision);
    let held = authorised(Method::GET, "/api/criteria/430121/2025").insert_header(("if-none-match", tag));
    assert_eq!(call(&db, held).await.status, 304);
    let listed = get_authorised(&db, "/api/criteria?division=430100&year=2025").await.json();
    assert_eq!(
        json!([listed["numberMatched"], listed["sets"]]),
        json!([1, [{
            "division": "430121", "name": "长沙县", "year": 2025, "version": revision, "source": "PUT /api/criteria/430121/2025",
            "criteria": 4, "href": "http://localhost:8080/api/criteria/430121/2025",
        }]])
    );
    for nothing in ["division=430200", "year=2024", "division=430122"] {
        let listed = get_authorised(&db, &format!("/api/criteria?{nothing}")).await.json();
        assert_eq!(listed["numberMatched"], 0, "{nothing}");
    }
}

#[actix_web::test]
async fn pages_of_sets_follow_each_other() {
    let db = Database::with_sample().await;
    for year in 2021..=2025 {
        enter(&db, &format!("430100/{year}"), json!([stopped(1)])).await;
    }
    let (mut path, mut years) = ("/api/criteria?limit=2".to_owned(), Vec::new());
    loop {
        let page = get_authorised(&db, &path).await.json();
        assert_eq!(page["numberMatched"], 5);
        years.extend(page["sets"].as_array().expect("sets").iter().filter_map(|set| set["year"].as_i64()));
        let next = page["links"].as_array().expect("links").iter().find(|link| link["rel"] == "next");
        let Some(next) = next else { break };
        path = crate::support::http::path_of(&next["href"]);
    }
    assert_eq!(years, [2021, 2022, 2023, 2024, 2025]);
}

#[actix_web::test]
async fn of_two_editors_the_second_is_told_what_the_first_made() {
    let db = Database::with_sample().await;
    enter(&db, "430121/2025", json!([low_tax()])).await;
    let tag = get_authorised(&db, "/api/criteria/430121/2025").await.header("etag").expect("etag").to_owned();
    let put = |criteria: Value| put_request("430121/2025", criteria).insert_header(("if-match", tag.clone()));
    let first = call(&db, put(json!([low_tax(), stopped(2)]))).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let second = call(&db, put(json!([stopped(9)]))).await.assert_problem(412, "version_stale");
    assert_eq!((&second["current_version"], &second["current"]), (&first.json()["version"], &first.json()));
    let end = authorised(Method::DELETE, "/api/criteria/430121/2025").insert_header(("if-match", tag.clone()));
    call(&db, end).await.assert_problem(412, "version_stale");
    // Without a version, or as if it were new.
    call(&db, put_request("430121/2025", json!([stopped(9)]))).await.assert_problem(428, "version_missing");
    call(&db, authorised(Method::DELETE, "/api/criteria/430121/2025")).await.assert_problem(428, "version_missing");
    let any = put_request("430121/2025", json!([stopped(9)])).insert_header(("if-match", "*"));
    call(&db, any).await.assert_problem(428, "version_missing");
    let new = put_request("430121/2025", json!([stopped(9)])).insert_header(("if-none-match", "*"));
    call(&db, new).await.assert_problem(412, "version_stale");
    let absent = put_request("430121/2020", json!([stopped(9)])).insert_header(("if-match", tag.clone()));
    let absent = call(&db, absent).await.assert_problem(412, "version_stale");
    assert_eq!(absent["current"], Value::Null);
    for (name, value) in [("if-match", "x"), ("if-none-match", "\"v1-2\"")] {
        let bad = put_request("430121/2025", json!([stopped(9)])).insert_header((name, value));
        call(&db, bad).await.assert_problem(400, "if_match_invalid");
    }
    let numbers: Vec<i32> = db.column("SELECT number FROM low_efficiency_criterion ORDER BY number").await;
    assert_eq!(numbers, [1, 2], "the first editor's set stands");
    // The same request again, by its key, is told what was done.
    let keyed = |db_tag: &str| {
        put_request("430121/2025", json!([stopped(3)]))
            .insert_header(("if-match", db_tag.to_owned()))
            .insert_header(("idempotency-key", "k-1"))
    };
    let now = first.header("etag").expect("etag").to_owned();
    assert_eq!(call(&db, keyed(&now)).await.status, 200);
    let revision: i64 = db.value("SELECT max(number) FROM revision").await;
    let again = call(&db, keyed(&now)).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (200, Some("true")), "{}", again.text());
    assert_eq!(db.value::<i64>("SELECT max(number) FROM revision").await, revision);
}

#[actix_web::test]
async fn what_a_set_said_before_is_kept() {
    let db = judged().await;
    let before: i64 = db.value("SELECT max(number) FROM revision").await;
    assert_eq!(verdict(&db, "430121-B", "").await["verdict"]["code"], "low_efficient");
    let tag = get_authorised(&db, "/api/criteria/430121/2025").await.header("etag").expect("etag").to_owned();
    let set = get_authorised(&db, "/api/criteria/430121/2025").await.json();
    let changed = put_request("430121/2025", json!([stopped(4)])).insert_header(("if-match", tag));
    let changed = call(&db, changed).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    // The county's set applies as a whole: nothing of the old one, nothing of the prefecture's.
    assert_eq!(verdict(&db, "430121-B", "").await["verdict"]["code"], "not_low_efficient");
    let past = verdict(&db, "430121-B", &format!("?revision={before}")).await;
    assert_eq!(json!([past["verdict"]["code"], past["set"]["version"]]), json!(["low_efficient", set["version"]]));
    let then = get_authorised(&db, &format!("/api/criteria/430121/2025?revision={before}")).await;
    assert_eq!((then.json(), then.header("sizhi-revision")), (set, Some(before.to_string().as_str())));
    // One revision wrote one changed row, took three away, and the set's own.
    let log: Vec<String> = db
        .column(
            "SELECT concat_ws(' ', layer, feature_id, operation) FROM change
             WHERE revision = (SELECT max(number) FROM revision) ORDER BY 1",
        )
        .await;
    assert_eq!(
        log,
        [
            "low_efficiency_criteria_set 430121-2025 update",
            "low_efficiency_criterion 430121-2025@1 delete",
            "low_efficiency_criterion 430121-2025@2 delete",
            "low_efficiency_criterion 430121-2025@3 delete",
            "low_efficiency_criterion 430121-2025@4 update",
        ]
    );
    let end = authorised(Method::DELETE, "/api/criteria/430121/2025")
        .insert_header(("if-match", changed.header("etag").expect("etag").to_owned()));
    assert_eq!(call(&db, end).await.status, 204);
    get_authorised(&db, "/api/criteria/430121/2025").await.assert_problem(404, "criteria_not_found");
    let told = verdict(&db, "430121-B", "").await;
    assert_eq!(told["set"]["division"], "430100", "now the prefecture's applies");
    assert_eq!(get_authorised(&db, "/api/criteria").await.json()["numberMatched"], 3);
    assert_eq!(get_authorised(&db, &format!("/api/criteria?revision={before}")).await.json()["numberMatched"], 4);
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn a_bad_set_is_refused_with_its_row_and_member_and_nothing_is_written() {
    let db = Database::with_sample().await;
    let one = |name: &str, value: Value| {
        json!([stopped(1), with(low_tax(), "number", json!(2)), with(with(low_tax(), "number", json!(3)), name, value)])
    };
    for (criteria, code, field) in [
        (one("field", json!("owner")), "criterion_field_unknown", "field"),
        (one("field", json!("id; DROP TABLE park")), "criterion_field_unknown", "field"),
        (one("unit", json!("万元")), "criterion_unit_invalid", "unit"),
        (one("reference_unit", json!("%")), "criterion_unit_invalid", "reference_unit"),
        (one("threshold", json!("NaN")), "value_invalid", "threshold"),
        (one("threshold", json!(-1)), "value_invalid", "threshold"),
        (one("threshold", json!(1e300)), "value_invalid", "threshold"),
        (one("threshold", json!({"a": 1})), "value_invalid", "threshold"),
        (one("threshold", json!([1, 2])), "value_invalid", "threshold"),
        (one("threshold", json!(null)), "criterion_incomplete", "threshold"),
        (one("number", json!(1)), "criterion_number_duplicate", "number"),
        (one("title", json!("a\u{0}b")), "value_invalid", "title"),
        (one("title", json!("")), "criterion_incomplete", "title"),
        (one("kind", json!("其他")), "value_invalid", "kind"),
        (one("comparison", json!("like")), "value_invalid", "comparison"),
        (one("combination", json!("all")), "criterion_group_invalid", "group"),
        (one("colour", json!("red")), "member_unknown", "colour"),
    ] {
        let request = put_request("430121/2025", criteria.clone()).insert_header(("if-none-match", "*"));
        let body = call(&db, request).await.assert_problem(400, "criteria_invalid");
        let found: Vec<Value> = body["findings"]
            .as_array()
            .expect("findings")
            .iter()
            .map(|finding| json!([finding["code"], finding["row"], finding["field"]]))
            .collect();
        assert_eq!(json!(found), json!([[code, 3, field]]), "{criteria}: {body}");
    }
    let many: Vec<Value> = (1..=201).map(stopped).collect();
    let raw = |body: String| {
        authorised(Method::PUT, "/api/criteria/430121/2025")
            .insert_header(("if-none-match", "*"))
            .insert_header(("content-type", "application/json"))
            .set_payload(body)
    };
    let thousand: Vec<Value> = (1..=1001).map(|_| json!({"number": 1})).collect();
    let huge = json!([low_tax()]).to_string().replace(":60,", &format!(":1{},", "0".repeat(400)));
    for (body, status, code) in [
        (json!({"criteria": []}).to_string(), 400, "criteria_invalid"),
        (json!({"criteria": many}).to_string(), 400, "criteria_invalid"),
        (json!({"criteria": thousand}).to_string(), 400, "member_invalid"),
        (json!({"criteria": [1]}).to_string(), 400, "member_invalid"),
        (json!({"criteria": {}}).to_string(), 400, "member_invalid"),
        (json!({}).to_string(), 400, "member_missing"),
        (json!({"criteria": [stopped(1)], "sets": 1}).to_string(), 400, "member_unknown"),
        (json!({"criteria": [stopped(1)], "year": 2024}).to_string(), 400, "value_invalid"),
        (json!({"criteria": [stopped(1)], "division": "430100"}).to_string(), 400, "value_invalid"),
        (format!("{{\"criteria\": {huge}}}"), 400, "json_invalid"),
        ("{\"criteria\": [{\"threshold\": NaN}]}".to_owned(), 400, "json_invalid"),
        ("[]".to_owned(), 400, "json_invalid"),
        (format!("{{\"criteria\": [\"{}\"]}}", "长".repeat(400_000)), 413, "body_too_large"),
    ] {
        let shown: String = body.chars().take(80).collect();
        let answer = call(&db, raw(body)).await;
        assert_eq!(answer.status.as_u16(), status, "{shown}: {}", answer.text());
        answer.assert_problem(status, code);
    }
    let text = raw(json!({"criteria": [stopped(1)]}).to_string()).insert_header(("content-type", "text/plain"));
    call(&db, text).await.assert_problem(415, "media_type_unsupported");
    for (key, code) in [
        ("430121/25", "value_invalid"),
        ("430121/1900", "value_invalid"),
        ("430121/2025年", "value_invalid"),
        ("43012/2025", "value_invalid"),
        ("439999/2025", "division_unknown"),
        ("430100'/2025", "value_invalid"),
    ] {
        let key: String = key.split('/').map(crate::support::http::encode).collect::<Vec<_>>().join("/");
        let request = put_request(&key, json!([stopped(1)])).insert_header(("if-none-match", "*"));
        call(&db, request).await.assert_problem(400, code);
    }
    // A code that only stands for a county holds no set: it would never be found.
    let statistical: String =
        db.value("SELECT code FROM division WHERE maps_to IS NOT NULL ORDER BY code LIMIT 1").await;
    let request =
        put_request(&format!("{statistical}/2025"), json!([stopped(1)])).insert_header(("if-none-match", "*"));
    call(&db, request).await.assert_problem(400, "division_unknown");
    for bad in ["division=43", "year=x", "limit=0", "offset=-1", "f=html", "revision=x", "colour=1"] {
        assert_eq!(get_authorised(&db, &format!("/api/criteria?{bad}")).await.status, 400, "{bad}");
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM low_efficiency_criteria_set").await, 0);
}
