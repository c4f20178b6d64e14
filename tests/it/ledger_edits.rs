//! Single records over HTTP: entered, replaced, corrected, moved, ended; versions, repetitions, refusals with what is allowed.

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::support::Database;
use crate::support::http::{Answer, authorised, call, get_authorised};
use crate::support::parcels::{COUNTY, PARK, inside, square};

pub const TURNOVER: &str = "/api/collections/turnover_parcels/items";
pub const LOW: &str = "/api/collections/low_efficiency_parcels/items";
pub const PLANS: &str = "/api/collections/redevelopment_plans/items";

pub async fn send(db: &Database, method: Method, path: &str, etag: Option<&str>, body: &Value) -> Answer {
    let mut request = authorised(method, path).insert_header(("content-type", "application/json"));
    if let Some(etag) = etag {
        request = request.insert_header(("if-match", etag.to_owned()));
    }
    call(db, request.set_payload(body.to_string())).await
}

pub fn feature(properties: Value, geometry: Value) -> Value {
    json!({"type": "Feature", "properties": properties, "geometry": geometry})
}

#[track_caller]
pub fn etag(answer: &Answer) -> String {
    answer.header("etag").unwrap_or_else(|| panic!("no etag: {} {}", answer.status, answer.text())).to_owned()
}

/// Enters a parcel; gives its ETag.
pub async fn enter(db: &Database, items: &str, properties: Value, geometry: Value) -> String {
    let answer = send(db, Method::POST, items, None, &feature(properties, geometry)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    etag(&answer)
}

#[actix_web::test]
async fn a_parcel_is_entered_replaced_and_corrected() {
    let db = Database::with_sample().await;
    let (x, y, block) = inside(&db, PARK).await;
    let body = feature(
        json!({"county_code": COUNTY, "number": "XJ-1", "name": "一号地", "state": "approved", "state_on": "2024-05-06", "approved_on": "2024-05-06",
               "approved_area_m2": 43000.5, "supply_mode": "出让", "compensation_done": false}),
        square(x, y, 0.002),
    );
    let created = send(&db, Method::POST, TURNOVER, None, &body).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let id = format!("{COUNTY}-XJ-1");
    assert!(created.header("location").expect("location").ends_with(&format!("{TURNOVER}/{id}")));
    let stored = created.json();
    let p = &stored["properties"];
    assert_eq!(
        (p["id"].as_str(), p["park_code"].as_str(), p["block_id"].as_str(), p["inside_share"].as_f64()),
        (Some(id.as_str()), Some(PARK), Some(block.as_str()), Some(1.0))
    );
    assert_eq!(
        (p["state"].as_str(), p["state_label"].as_str(), p["approved_area_m2"].as_f64()),
        (Some("approved"), Some("已批准"), Some(43000.5))
    );
    assert_eq!(
        (p["compensation_done"].as_bool(), p["valid_from"].as_str(), &p["derived_sets"]),
        (Some(false), Some("2024-05-06"), &json!(["approved_not_supplied"]))
    );
    let path = format!("{TURNOVER}/{id}");
    let read = get_authorised(&db, &path).await;
    assert_eq!(read.json()["properties"], stored["properties"]);

    // A correction says what changes; the rest stays.
    let patch = json!({"type": "Feature", "properties": {"supply_mode": "划拨", "approved_area_m2": null}});
    let patched = send(&db, Method::PATCH, &path, Some(&etag(&read)), &patch).await;
    assert_eq!(patched.status, 200, "{}", patched.text());
    let mut expected = stored["properties"].clone();
    expected["supply_mode"] = json!("划拨");
    expected["approved_area_m2"] = Value::Null;
    assert_eq!(patched.json()["properties"], expected);
    assert_eq!(patched.json()["geometry"], stored["geometry"]);
    // What it is known by stays.
    for (name, value) in [
        ("number", "XJ-2"),
        ("county_code", "430102"),
        ("id", "430121-XJ-2"),
        ("state_on", "2024-05-07"),
        ("held_state", "approved"),
    ] {
        let refused =
            send(&db, Method::PATCH, &path, Some(&etag(&patched)), &json!({"properties": {name: value}})).await;
        assert_eq!(refused.assert_problem(400, "feature_refused")["findings"][0]["code"], "property_fixed");
    }
    // The same again differs in nothing and is no revision.
    let before: i64 = db.value("SELECT max(number) FROM revision").await;
    let again = send(&db, Method::PATCH, &path, Some(&etag(&patched)), &patch).await;
    assert_eq!((again.status.as_u16(), db.value::<i64>("SELECT max(number) FROM revision").await), (200, before));

    // A replacement clears what it does not give; told properties of a feature that was read are passed over.
    let mut whole = patched.json();
    whole["properties"]["name"] = json!("二号地");
    whole["properties"].as_object_mut().expect("object").remove("approved_on");
    let replaced = send(&db, Method::PUT, &path, Some(&etag(&again)), &whole).await;
    assert_eq!(replaced.status, 200, "{}", replaced.text());
    let p = &replaced.json()["properties"];
    assert_eq!(
        (p["name"].as_str(), p["approved_on"].as_str(), p["supply_mode"].as_str()),
        (Some("二号地"), None, Some("划拨"))
    );
    assert_eq!(p["state"], "approved", "where it stands is not replaced");
    assert_eq!(db.audit().await, None);
}

/// 430371 is a statistical area that stands for another county: the record of that county under the same number stays.
#[actix_web::test]
async fn a_new_record_under_a_statistical_code_does_not_overwrite_that_of_the_real_county() {
    let db = Database::with_sample().await;
    let real: String = db.value("SELECT maps_to FROM division WHERE code = '430371'").await;
    let (x, y, _) = inside(&db, PARK).await;
    let properties = json!({"county_code": real, "number": "A", "name": "原有"});
    enter(&db, TURNOVER, properties, square(x, y, 0.002)).await;
    let forged = feature(json!({"county_code": "430371", "number": "A"}), square(x, y, 0.002));
    let refused = send(&db, Method::POST, TURNOVER, None, &forged).await;
    let problem = refused.assert_problem(400, "county_invalid");
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains(&real)), "{problem}");
    let names: Vec<String> = db.column("SELECT name FROM turnover_parcel WHERE number = 'A'").await;
    assert_eq!(names, ["原有"]);
}

#[actix_web::test]
async fn of_two_editors_one_wins_and_the_other_is_shown_both_versions() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let tag = enter(&db, TURNOVER, json!({"county_code": COUNTY, "number": "A"}), square(x, y, 0.002)).await;
    let path = format!("{TURNOVER}/{COUNTY}-A");
    let edit = |note: &str| json!({"properties": {"note": note}});
    let (one, other) = (edit("甲"), edit("乙"));
    let (a, b) = tokio::join!(
        send(&db, Method::PATCH, &path, Some(&tag), &one),
        send(&db, Method::PATCH, &path, Some(&tag), &other)
    );
    let (won, lost, mine) = if a.status == 200 { (a, b, &other) } else { (b, a, &one) };
    assert_eq!(won.status, 200, "{}", won.text());
    let problem = lost.assert_problem(412, "version_stale");
    assert_eq!(&problem["submitted"], mine);
    assert_eq!(problem["current"]["properties"]["note"], won.json()["properties"]["note"]);
    let version = etag(&won).trim_matches('"').split('-').next().expect("version")[1..].parse::<i64>().expect("number");
    assert_eq!(problem["current_version"], version);
    // Without a version nothing is written, however it is written.
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        let body = feature(json!({}), square(x, y, 0.002));
        send(&db, method, &path, None, &body).await.assert_problem(428, "version_missing");
    }
    send(&db, Method::POST, &format!("{path}/transitions"), None, &json!({"to": "approved"}))
        .await
        .assert_problem(428, "version_missing");
    send(&db, Method::PATCH, &path, Some("*"), &one).await.assert_problem(428, "version_missing");
    send(&db, Method::PATCH, &path, Some("abc"), &one).await.assert_problem(400, "if_match_invalid");
}

#[actix_web::test]
async fn a_repeated_request_adds_nothing() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let body = feature(json!({"county_code": COUNTY, "number": "A"}), square(x, y, 0.002));
    let post = |body: Value| {
        let request = authorised(Method::POST, TURNOVER).insert_header(("content-type", "application/geo+json"));
        call(&db, request.insert_header(("idempotency-key", "k-1")).set_payload(body.to_string()))
    };
    let first = post(body.clone()).await;
    let second = post(body).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201), "{}", second.text());
    assert_eq!((first.header("idempotency-replayed"), second.header("idempotency-replayed")), (None, Some("true")));
    assert_eq!(
        (second.json()["properties"].clone(), second.header("location")),
        (first.json()["properties"].clone(), first.header("location"))
    );
    assert_eq!(db.value::<i64>("SELECT count(*) FROM change WHERE layer = 'turnover_parcel'").await, 1);
    let other = feature(json!({"county_code": COUNTY, "number": "B"}), square(x, y, 0.002));
    post(other).await.assert_problem(409, "idempotency_key_reused");
}

#[actix_web::test]
async fn a_parcel_moves_by_the_table_and_is_told_what_is_allowed() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let mut tag = enter(
        &db,
        TURNOVER,
        json!({"county_code": COUNTY, "number": "A", "state": "listed", "state_on": "2024-01-10"}),
        square(x, y, 0.002),
    )
    .await;
    let path = format!("{TURNOVER}/{COUNTY}-A");
    let moves = format!("{path}/transitions");
    let refused = send(&db, Method::POST, &moves, Some(&tag), &json!({"to": "completed"})).await;
    let problem = refused.assert_problem(409, "transition_not_allowed");
    assert_eq!(
        problem["detail"],
        "状态“已公告挂牌”不能转为“已竣工”；可以转为：净地（serviced）、已供应（supplied）、冻结（frozen）"
    );
    for (wanted, code) in [
        (json!({"to": "飞升"}), "feature_refused"),
        (json!({"to": "supplied", "effective_on": "2024-01-09"}), "feature_refused"),
        (json!({"to": "supplied", "effective_on": "2999-01-01"}), "feature_refused"),
        (json!({"to": "supplied", "effective_on": "昨天"}), "value_invalid"),
        (json!({"to": "supplied", "day": "2024-02-01"}), "member_unknown"),
        (json!({}), "member_missing"),
    ] {
        send(&db, Method::POST, &moves, Some(&tag), &wanted).await.assert_problem(400, code);
    }
    for (to, on, state, held) in [
        ("supplied", "2024-03-01", "supplied", None),
        ("闲置", "2025-04-01", "idle", Some("supplied")),
        ("frozen", "2025-05-01", "frozen", Some("supplied")),
        ("supplied", "2025-05-01", "supplied", None),
        ("delivered", "2025-06-01", "delivered", None),
    ] {
        let wanted = json!({"to": to, "effective_on": on, "document_no": "长自然资〔2025〕1号", "reason": "依申请"});
        let moved = send(&db, Method::POST, &moves, Some(&tag), &wanted).await;
        assert_eq!(moved.status, 200, "{to}: {}", moved.text());
        let p = moved.json()["properties"].clone();
        assert_eq!(
            (p["state"].as_str(), p["held_state"].as_str(), p["state_on"].as_str()),
            (Some(state), held, Some(on))
        );
        tag = etag(&moved);
    }
    // What applied then: by the days of the moves.
    for (day, state) in [
        ("2024-01-10", "listed"),
        ("2024-02-29", "listed"),
        ("2024-03-01", "supplied"),
        ("2025-04-30", "idle"),
        ("2025-05-01", "supplied"),
        ("2025-06-01", "delivered"),
    ] {
        let then = get_authorised(&db, &format!("{path}?datetime={day}")).await.json();
        assert_eq!(then["properties"]["state"], state, "{day}");
    }
    get_authorised(&db, &format!("{path}?datetime=2024-01-09")).await.assert_problem(404, "item_not_found");
    let told = get_authorised(&db, &moves).await.json();
    let steps: Vec<String> = told["transitions"]
        .as_array()
        .expect("list")
        .iter()
        .map(|t| {
            format!(
                "{} {}→{} {} {}",
                t["ordinal"],
                t["from"]["code"].as_str().unwrap_or_default(),
                t["to"]["code"].as_str().unwrap_or_default(),
                t["effective_on"].as_str().unwrap_or_default(),
                t["document_no"].as_str().unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        steps,
        [
            "1 listed→supplied 2024-03-01 长自然资〔2025〕1号",
            "2 supplied→idle 2025-04-01 长自然资〔2025〕1号",
            "3 idle→frozen 2025-05-01 长自然资〔2025〕1号",
            "4 frozen→supplied 2025-05-01 长自然资〔2025〕1号",
            "5 supplied→delivered 2025-06-01 长自然资〔2025〕1号",
        ]
    );
    let allowed: Vec<&str> =
        told["allowed"].as_array().expect("list").iter().filter_map(|s| s["code"].as_str()).collect();
    assert_eq!(
        (told["state"]["label"].as_str(), allowed),
        (Some("已交地"), vec!["serviced", "started", "frozen", "idle"])
    );
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn a_low_efficiency_parcel_closes_only_with_an_accepted_plan() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let parcel = format!("{COUNTY}-D1");
    let path = format!("{LOW}/{parcel}");
    let mut tag =
        enter(&db, LOW, json!({"county_code": COUNTY, "number": "D1", "state": "recognised"}), square(x, y, 0.002))
            .await;
    let go = async |path: &str, tag: &str, to: &str| {
        send(&db, Method::POST, &format!("{path}/transitions"), Some(tag), &json!({"to": to})).await
    };
    go(&path, &tag, "planned").await.assert_problem(409, "plan_required");
    let plan = json!({"type": "Feature", "geometry": null, "properties": {"county_code": COUNTY, "number": "F1", "parcel_id": parcel, "mode": "自主改造", "deadline_on": "2027-01-01"}});
    let created = send(&db, Method::POST, PLANS, None, &plan).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let stored = created.json();
    assert_eq!(
        (stored["properties"]["state"].as_str(), stored["properties"]["park_code"].as_str()),
        (Some("drafted"), Some(PARK))
    );
    assert_eq!(stored["geometry"], get_authorised(&db, &path).await.json()["geometry"], "on its parcel's land");
    let mut second = plan.clone();
    second["properties"]["number"] = json!("F2");
    send(&db, Method::POST, PLANS, None, &second).await.assert_problem(409, "plan_exists");
    let plan_path = format!("{PLANS}/{COUNTY}-F1");
    let mut plan_tag = etag(&created);
    let steps = json!({"steps": [{"task": "拆除", "due_on": "2026-06-01", "done_on": "2026-05-01"}, {"task": "建设", "due_on": "2026-12-01"}]});
    let with_steps = send(&db, Method::PUT, &format!("{plan_path}/steps"), Some(&plan_tag), &steps).await;
    assert_eq!(with_steps.status, 200, "{}", with_steps.text());
    plan_tag = etag(&with_steps);
    assert_eq!(with_steps.json()["properties"]["steps_open"], 1);
    let step = async |tag: &mut String, path: &str, to: &str| {
        let moved = go(path, tag, to).await;
        assert_eq!(moved.status, 200, "{to}: {}", moved.text());
        *tag = etag(&moved);
    };
    step(&mut tag, &path, "planned").await;
    go(&path, &tag, "plan_approved").await.assert_problem(409, "plan_required");
    go(&plan_path, &plan_tag, "cancelled").await.assert_problem(409, "plan_in_use");
    step(&mut plan_tag, &plan_path, "submitted").await;
    step(&mut plan_tag, &plan_path, "approved").await;
    step(&mut tag, &path, "plan_approved").await;
    step(&mut tag, &path, "implementing").await;
    go(&path, &tag, "accepted").await.assert_problem(409, "plan_required");
    go(&plan_path, &plan_tag, "accepted").await.assert_problem(409, "plan_steps_open");
    let done = json!({"steps": [{"task": "拆除", "due_on": "2026-06-01", "done_on": "2026-05-01"}, {"task": "建设", "due_on": "2026-12-01", "done_on": "2026-11-01"}]});
    plan_tag = etag(&send(&db, Method::PUT, &format!("{plan_path}/steps"), Some(&plan_tag), &done).await);
    step(&mut plan_tag, &plan_path, "accepted").await;
    step(&mut tag, &path, "accepted").await;
    step(&mut tag, &path, "closed").await;
    go(&path, &tag, "implementing").await.assert_problem(409, "transition_not_allowed");
    let closed = get_authorised(&db, &path).await.json();
    assert_eq!(
        (closed["properties"]["state_label"].as_str(), closed["properties"]["plan_state"].as_str()),
        (Some("已销号"), Some("accepted"))
    );
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn an_ended_record_stays_readable_by_its_dates_and_history() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let tag = enter(
        &db,
        TURNOVER,
        json!({"county_code": COUNTY, "number": "A", "state": "approved", "state_on": "2024-01-10"}),
        square(x, y, 0.002),
    )
    .await;
    let path = format!("{TURNOVER}/{COUNTY}-A");
    let revision: i64 = db.value("SELECT max(number) FROM revision").await;
    let ended = send(
        &db,
        Method::DELETE,
        &format!("{path}?effective_on=2025-01-01&reason=%E8%AF%AF%E7%99%BB"),
        Some(&tag),
        &json!({}),
    )
    .await;
    assert_eq!(ended.status, 204, "{}", ended.text());
    get_authorised(&db, &path).await.assert_problem(404, "item_not_found");
    assert_eq!(
        get_authorised(&db, &format!("{path}?datetime=2024-12-31")).await.json()["properties"]["state"],
        "approved"
    );
    assert_eq!(
        get_authorised(&db, &format!("{path}?revision={revision}")).await.json()["properties"]["valid_to"],
        Value::Null
    );
    let history = get_authorised(&db, &format!("{path}/history")).await.json();
    let told: Vec<&str> =
        history["revisions"].as_array().expect("list").iter().filter_map(|r| r["reason"].as_str()).collect();
    assert_eq!(told, [format!("终止周转用地 {COUNTY}-A：误登"), format!("登记周转用地 {COUNTY}-A")]);
    // Its number is not given again.
    let again = send(
        &db,
        Method::POST,
        TURNOVER,
        None,
        &feature(json!({"county_code": COUNTY, "number": "A"}), square(x, y, 0.002)),
    )
    .await;
    let problem = again.assert_problem(409, "number_used_before");
    assert_eq!(problem["detail"], format!("编号“{COUNTY}-A”曾用于已终止的周转用地，不能再用；请换一个编号"));
}

#[actix_web::test]
async fn bad_features_are_refused_with_a_code_and_a_place() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let good = || json!({"county_code": COUNTY, "number": "A"});
    let with = |name: &str, value: Value| {
        let mut properties = good();
        properties[name] = value;
        feature(properties, square(x, y, 0.002))
    };
    let bow_tie = json!({"type": "Polygon", "coordinates": [[[x, y], [x + 0.002, y + 0.002], [x + 0.002, y], [x, y + 0.002], [x, y]]]});
    for (body, code, finding, field) in [
        (json!([]), "feature_invalid", None, None),
        (json!({"type": "FeatureCollection", "features": []}), "feature_invalid", None, None),
        (feature(good(), Value::Null), "feature_refused", Some("geometry_missing"), Some("geometry")),
        (feature(good(), bow_tie), "feature_refused", Some("ring_self_intersection"), None),
        (feature(good(), square(2.3, 48.6, 0.002)), "feature_refused", Some("outside_province"), None),
        (with("approved_on", json!("2024-13-01")), "feature_refused", Some("value_invalid"), Some("approved_on")),
        (with("approved_area_m2", json!(-1)), "feature_refused", Some("value_invalid"), Some("approved_area_m2")),
        (with("approved_area_m2", json!(1e300)), "feature_refused", Some("value_invalid"), Some("approved_area_m2")),
        (with("颜色", json!("红")), "feature_refused", Some("property_unknown"), Some("颜色")),
        (with("note", json!({"a": 1})), "feature_refused", Some("value_invalid"), Some("note")),
        (with("note", json!("a\u{202e}b")), "feature_refused", Some("text_control_character"), Some("note")),
        (with("note", json!("a\u{0}b")), "feature_refused", Some("text_control_character"), Some("note")),
        (with("county_code", json!("999999")), "feature_refused", Some("county_unknown"), None),
        (with("county_code", json!("x")), "county_invalid", None, None),
        (with("county_code", json!("430100")), "county_invalid", None, None),
        (with("state_on", json!("2999-01-01")), "feature_refused", Some("transition_in_future"), None),
        (with("number", json!("a/b")), "id_invalid", None, None),
        (with("number", Value::Null), "property_missing", None, None),
        (with("land_use_code", json!("0601")), "feature_refused", Some("land_use_system_missing"), None),
    ] {
        let answer = send(&db, Method::POST, TURNOVER, None, &body).await;
        let problem = answer.assert_problem(400, code);
        if let Some(finding) = finding {
            assert_eq!(problem["findings"][0]["code"], finding, "{problem}");
        }
        if let Some(field) = field {
            assert_eq!(problem["findings"][0]["field"], field, "{problem}");
        }
    }
    for (text, code) in [
        ("{", "json_invalid"),
        ("", "json_invalid"),
        ("null", "feature_invalid"),
        ("{\"type\":\"Feature\",\"properties\":[]}", "feature_invalid"),
    ] {
        let request = authorised(Method::POST, TURNOVER).insert_header(("content-type", "application/json"));
        call(&db, request.set_payload(text)).await.assert_problem(400, code);
    }
    let request = authorised(Method::POST, TURNOVER).insert_header(("content-type", "text/plain"));
    call(&db, request.set_payload("{}")).await.assert_problem(415, "media_type_unsupported");
    let parks = send(&db, Method::POST, "/api/collections/parks/items", None, &with("note", json!("x"))).await;
    parks.assert_problem(405, "method_not_allowed");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM turnover_parcel").await, 0);
}

/// The database has counted nothing yet of a ledger that was just loaded; an edit must not read all of it for one record.
#[actix_web::test]
async fn an_edit_right_after_a_load_reads_few_rows() {
    let db = Database::with_sample().await;
    let mut superuser = db.superuser().await;
    sqlx::raw_sql("ALTER TABLE turnover_parcel SET (autovacuum_enabled = false)")
        .execute(&mut superuser)
        .await
        .expect("off");
    let (x, y, _) = inside(&db, PARK).await;
    enter(&db, TURNOVER, json!({"county_code": COUNTY, "number": "A", "state": "approved"}), square(x, y, 0.002)).await;
    sqlx::raw_sql(
        "BEGIN; SELECT open_revision('t', 't', 't');
         INSERT INTO turnover_parcel SELECT (jsonb_populate_record(t, jsonb_build_object('id', t.id || n, 'number', 'A' || n, 'revision', current_revision(),
             'geom', ST_Translate(t.geom, 0.01 * (n % 150) - 0.75, 0.01 * (n / 150) - 0.75)))).*
         FROM turnover_parcel t, generate_series(1, 3000) n; COMMIT",
    )
    .execute(&mut superuser)
    .await
    .expect("loaded");
    // What the load itself read is told now, and not ten seconds later in the midst of the edit.
    for statement in ["SELECT pg_stat_force_next_flush()", "SELECT 1"] {
        sqlx::raw_sql(statement).execute(&mut superuser).await.expect("told");
    }
    let path = format!("{TURNOVER}/{COUNTY}-A");
    // Reads the whole layer into memory.
    let read = get_authorised(&db, &path).await;
    let before = rows_read(&db).await;
    let patch = json!({"type": "Feature", "properties": {"name": "改"}, "geometry": square(x, y, 0.0021)});
    let patched =
        send(&db, Method::PATCH, &format!("{path}?allow=overlap_within_file"), Some(&etag(&read)), &patch).await;
    assert_eq!(patched.status, 200, "{}", patched.text());
    let after = rows_read(&db).await;
    assert!(after > before, "nothing was counted");
    assert!(after - before < 500, "{} rows read for one edit", after - before);
}

/// Rows of the ledger that statements have read, in tables and indexes, with what the service's connections have not told yet.
async fn rows_read(db: &Database) -> i64 {
    let pool = &db.application;
    // A connection goes back to the pool a moment after its work.
    while pool.num_idle() < pool.size() as usize {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let mut idle = Vec::new();
    while let Some(mut connection) = pool.try_acquire() {
        sqlx::query("SELECT pg_stat_force_next_flush()").execute(&mut *connection).await.expect("flush");
        sqlx::query("SELECT 1").execute(&mut *connection).await.expect("told");
        idle.push(connection);
    }
    // A worker that has read for one of them tells it when it ends, after the answer.
    let workers =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'parallel worker'";
    while db.value::<i64>(workers).await > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    db.value("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'turnover_parcel'").await
}
