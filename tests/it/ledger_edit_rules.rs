//! What an edit says and the register does not take is told; what it does not say stays; what is advised can be done.

use actix_web::http::Method;
use serde_json::{Value, json};
use sizhi::domain::Ledger;
use sizhi::domain::ledger::{PlanProgress, missing_for_parcel, missing_for_plan, parcel_moves_before};
use sizhi::inventory::import;
use sizhi::store::parks;

use crate::ledger_edits::{LOW, PLANS, TURNOVER, enter, etag, feature, send};
use crate::support::http::{Answer, authorised, call, encode, get_authorised};
use crate::support::parcels::{COUNTY, PARK, file, inside, into, operator, square};
use crate::support::{Database, codes};

/// The findings of a refusal: code, property.
#[track_caller]
fn findings(answer: &Answer) -> Vec<(String, String)> {
    let problem = answer.assert_problem(400, "feature_refused");
    pairs(&problem["findings"])
}

fn pairs(list: &Value) -> Vec<(String, String)> {
    let text = |f: &Value, name: &str| f[name].as_str().unwrap_or_default().to_owned();
    list.as_array().expect("list").iter().map(|f| (text(f, "code"), text(f, "field"))).collect()
}

async fn newest(db: &Database) -> i64 {
    db.value("SELECT max(number) FROM revision").await
}

/// Moves a record; gives the new ETag.
async fn go(db: &Database, path: &str, to: &str) -> String {
    let tag = etag(&get_authorised(db, path).await);
    let moved = send(db, Method::POST, &format!("{path}/transitions"), Some(&tag), &json!({"to": to})).await;
    assert_eq!(moved.status, 200, "{path} → {to}: {}", moved.text());
    etag(&moved)
}

async fn end(db: &Database, path: &str) -> Answer {
    let tag = etag(&get_authorised(db, path).await);
    send(db, Method::DELETE, path, Some(&tag), &Value::Null).await
}

fn plan(number: &str, parcel: &str) -> Value {
    feature(json!({"county_code": COUNTY, "number": number, "parcel_id": parcel}), Value::Null)
}

/// A parcel in this state and its plan in that one, entered by SQL: the addresses of both.
async fn parcel_with_plan(db: &Database, number: &str, parcel: &str, plan: &str) -> (String, String) {
    let (x, y, _) = inside(db, PARK).await;
    let insert = format!(
        "INSERT INTO low_efficiency_parcel (id, county_code, number, geom, area_m2, state, source)
         VALUES ('{COUNTY}-{number}', '{COUNTY}', '{number}', ST_Multi(ST_MakeEnvelope({x}, {y}, {x} + 0.001, {y} + 0.001, 4490)), 10000, '{parcel}', 's');
         INSERT INTO redevelopment_plan (id, county_code, number, parcel_id, state, source)
         VALUES ('{COUNTY}-F{number}', '{COUNTY}', 'F{number}', '{COUNTY}-{number}', '{plan}', 's')"
    );
    let mut transaction = db.pool.begin().await.expect("transaction");
    sizhi::store::revision::open(&mut transaction, "test", "test", "").await.expect("revision");
    sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(&mut *transaction).await.expect("inserted");
    transaction.commit().await.expect("committed");
    (format!("{LOW}/{COUNTY}-{number}"), format!("{PLANS}/{COUNTY}-F{number}"))
}

#[actix_web::test]
async fn a_number_that_left_a_trace_is_not_given_again_until_an_undo_takes_the_trace() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let path = file(
        "甲.geojson",
        &[(json!({"地块编号": "A", "状态": "已批准", "状态日期": "2024-01-01"}), square(x, y, 0.001))],
    );
    let first = db.import(&path, into("turnover_parcels")).await.expect("imported");
    let today: String = db.value("SELECT ((now() AT TIME ZONE 'Asia/Shanghai')::date)::text").await;
    let parcel = feature(
        json!({"county_code": COUNTY, "number": "A", "state": "planned", "state_on": today}),
        square(x, y, 0.001),
    );
    let post = || send(&db, Method::POST, TURNOVER, None, &parcel);
    post().await.assert_problem(409, "record_exists");
    import::undo(&db.pool, first.batch.expect("batch"), &operator()).await.expect("undone");
    assert_eq!(post().await.status, 201, "an undo leaves nothing");
    // Ended on its first day it has no row, but it has moved.
    let address = format!("{TURNOVER}/{COUNTY}-A");
    go(&db, &address, "approved").await;
    assert_eq!(end(&db, &address).await.status, 204);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM turnover_parcel").await, 0);
    post().await.assert_problem(409, "number_used_before");
    let again = db.import(&path, into("turnover_parcels")).await.expect("read");
    assert_eq!((codes(&again), again.report.findings[0].place.row), (vec!["parcel_ended".to_owned()], Some(1)));
    // The other ledger has numbers of its own.
    enter(&db, LOW, json!({"county_code": COUNTY, "number": "A"}), square(x, y, 0.001)).await;
}

#[actix_web::test]
async fn a_new_plan_does_not_come_by_the_steps_of_an_ended_one() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    enter(&db, LOW, json!({"county_code": COUNTY, "number": "A", "state": "recognised"}), square(x, y, 0.001)).await;
    let parcel = format!("{COUNTY}-A");
    let created = send(&db, Method::POST, PLANS, None, &plan("F", &parcel)).await;
    let path = format!("{PLANS}/{COUNTY}-F");
    let steps = json!({"steps": [{"task": "拆除"}]});
    let with_steps = send(&db, Method::PUT, &format!("{path}/steps"), Some(&etag(&created)), &steps).await;
    // Ended on its first day: of the plan only the steps are left.
    let ended = send(&db, Method::DELETE, &path, Some(&etag(&with_steps)), &Value::Null).await;
    assert_eq!((ended.status.as_u16(), db.value::<i64>("SELECT count(*) FROM redevelopment_plan").await), (204, 0));
    let refused = send(&db, Method::POST, PLANS, None, &plan("F", &parcel)).await;
    let problem = refused.assert_problem(409, "number_used_before");
    assert_eq!(problem["detail"], format!("编号“{COUNTY}-F”曾用于已终止的再开发方案，不能再用；请换一个编号"));
    assert_eq!(send(&db, Method::POST, PLANS, None, &plan("F2", &parcel)).await.status, 201);
}

#[actix_web::test]
async fn a_closed_parcel_ends_with_its_plan_in_one_revision() {
    let db = Database::with_sample().await;
    let (parcel, plan) = parcel_with_plan(&db, "A", "closed", "accepted").await;
    let before = newest(&db).await;
    // The plan by itself cannot go, and says what can.
    let problem = end(&db, &plan).await.assert_problem(409, "plan_in_use");
    assert_eq!(
        problem["detail"],
        "地块“已销号”，正以本方案为据，方案不能作废或终止；登记有误时请终止该地块，方案随之终止"
    );
    let tag = etag(&get_authorised(&db, &parcel).await);
    let ended =
        send(&db, Method::DELETE, &format!("{parcel}?reason={}", encode("误登")), Some(&tag), &Value::Null).await;
    assert_eq!(ended.status, 204, "{}", ended.text());
    assert_eq!(newest(&db).await, before + 1);
    assert_eq!(
        db.column::<String>("SELECT reason FROM revision ORDER BY number DESC LIMIT 1").await,
        [format!("终止低效用地 {COUNTY}-A及其再开发方案 {COUNTY}-FA：误登")]
    );
    for path in [&parcel, &plan] {
        get_authorised(&db, path).await.assert_problem(404, "item_not_found");
    }
    let today: String = db.value("SELECT ((now() AT TIME ZONE 'Asia/Shanghai')::date)::text").await;
    let lives = "SELECT concat_ws('|', state, valid_to, end_reason) FROM low_efficiency_parcel
                 UNION ALL SELECT concat_ws('|', state, valid_to, end_reason) FROM redevelopment_plan";
    assert_eq!(db.column::<String>(lives).await, [format!("closed|{today}|ended"), format!("accepted|{today}|ended")]);
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn a_closed_parcel_does_not_end_before_its_plan_was_accepted() {
    let db = Database::with_sample().await;
    let (parcel, plan) = parcel_with_plan(&db, "A", "closed", "approved").await;
    let tag = etag(&get_authorised(&db, &plan).await);
    let accepted = json!({"to": "accepted", "effective_on": "2025-06-01"});
    let moved = send(&db, Method::POST, &format!("{plan}/transitions"), Some(&tag), &accepted).await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    let tag = etag(&get_authorised(&db, &parcel).await);
    let refused =
        send(&db, Method::DELETE, &format!("{parcel}?effective_on=2025-05-31"), Some(&tag), &Value::Null).await;
    assert_eq!(findings(&refused), [("transition_before_last".to_owned(), "effective_on".to_owned())]);
}

/// Every refusal for a plan's sake names moves; each of them is in the table, bears the plan as it is, and opens the way.
#[test]
fn what_a_refusal_advises_is_allowed_and_helps() {
    let machine = Ledger::LowEfficiency.machine();
    let plans = Ledger::Plan.machine();
    let mut followed = 0;
    for parcel in machine.states {
        for plan in plans.states.iter().filter(|plan| plan.code != "cancelled") {
            let progress = Some(PlanProgress { state: plan.code, open_steps: 0 });
            // Where the parcel stands that its plan bears.
            if missing_for_parcel(parcel.code, progress).is_some() {
                continue;
            }
            // What may be asked of the plan: its moves, and its end.
            for to in plan.next.iter().copied().chain(["cancelled"]) {
                let refused = missing_for_plan(to, parcel.code, 0);
                let moves = parcel_moves_before(to, parcel.code);
                assert_eq!(refused.is_none(), moves == Some(&[]), "{} {to}", parcel.code);
                let Some(refused) = refused else { continue };
                let Some(moves) = moves else {
                    assert_eq!(parcel.code, "closed");
                    assert!(refused.message.ends_with("登记有误时请终止该地块，方案随之终止"), "{}", refused.message);
                    continue;
                };
                let mut step = machine.step(parcel.code, None).expect("state");
                for code in moves {
                    let state = machine.find(code).expect("state");
                    assert!(refused.message.contains(&format!("转为“{}”", state.label)), "{}", refused.message);
                    step = machine.apply(step, state).unwrap_or_else(|f| panic!("{} {to}: {}", parcel.code, f.message));
                    assert_eq!(missing_for_parcel(code, progress), None, "{} {to} {code}", parcel.code);
                }
                assert_eq!(missing_for_plan(to, step.state.code, 0), None, "{} {to}: of no help", parcel.code);
                followed += 1;
            }
        }
    }
    assert!(followed >= 15, "{followed}");
}

#[actix_web::test]
async fn whoever_follows_the_advice_ends_the_parcel() {
    let db = Database::with_sample().await;
    for (number, state, plan_state, advice, moves) in [
        ("A", "implementing", "approved", "请先把地块转为“撤销认定”，然后终止", vec!["revoked"]),
        (
            "B",
            "accepted",
            "accepted",
            "请先把地块转为“实施中”，再转为“撤销认定”，然后终止",
            vec!["implementing", "revoked"],
        ),
        ("C", "planned", "drafted", "请先把地块转为“已认定”，然后终止", vec!["recognised"]),
        (
            "D",
            "plan_approved",
            "approved",
            "请先把地块转为“已编方案”，再转为“已认定”，然后终止",
            vec!["planned", "recognised"],
        ),
        ("E", "recognised", "submitted", "请先终止", vec![]),
    ] {
        let (parcel, plan) = parcel_with_plan(&db, number, state, plan_state).await;
        let problem = end(&db, &parcel).await.assert_problem(409, "plan_in_use");
        let expected =
            format!("该地块还有再开发方案（一宗一策），不能终止；{advice}再开发方案 {COUNTY}-F{number}，再终止地块");
        assert_eq!(problem["detail"], expected, "{state}");
        for to in moves {
            go(&db, &parcel, to).await;
        }
        for path in [&plan, &parcel] {
            let ended = end(&db, path).await;
            assert_eq!(ended.status, 204, "{state} {path}: {}", ended.text());
        }
    }
}

#[actix_web::test]
async fn of_very_many_unknown_properties_a_hundred_are_listed_and_the_rest_counted() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let mut properties = json!({"county_code": COUNTY, "number": "A"});
    for at in 0..5_000 {
        properties[format!("x{at}")] = json!(1);
    }
    // Whoever holds the register's lock is not waited for.
    let mut holder = db.pool.begin().await.expect("transaction");
    sizhi::store::revision::lock(&mut holder).await.expect("locked");
    let refused = send(&db, Method::POST, TURNOVER, None, &feature(properties, square(x, y, 0.001))).await;
    holder.rollback().await.expect("released");
    let told = findings(&refused);
    assert_eq!(told.len(), 101);
    assert_eq!(told[99], ("property_unknown".to_owned(), "x99".to_owned()));
    assert_eq!(told[100].0, "too_many_findings");
    let last = refused.json()["findings"][100]["message"].as_str().expect("message").to_owned();
    assert_eq!(last, "另有 4900 处问题没有列出；请先改正列出的问题");
}

#[actix_web::test]
async fn a_value_of_another_type_is_told_and_nothing_is_cleared() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let land = || square(x, y, 0.001);
    for (name, value) in [
        ("name", json!(1)),
        ("note", json!(true)),
        ("land_user", json!(12)),
        ("approved_on", json!(20240506)),
        ("approved_area_m2", json!(false)),
        ("approval_year", json!(true)),
        ("compensation_done", json!(1)),
        ("stated_area_m2", json!(true)),
        ("stated_park", json!(431033)),
        ("state", json!(1)),
        ("state_on", json!(20240506)),
        ("number", json!(true)),
        ("county_code", json!(false)),
    ] {
        let mut properties = json!({"county_code": COUNTY, "number": "A"});
        properties[name] = value.clone();
        let refused = send(&db, Method::POST, TURNOVER, None, &feature(properties, land())).await;
        assert_eq!(findings(&refused), [("value_invalid".to_owned(), name.to_owned())], "{name}: {value}");
    }
    enter(&db, LOW, json!({"county_code": COUNTY, "number": "A", "state": "recognised"}), land()).await;
    let mut body = plan("F", &format!("{COUNTY}-A"));
    for (name, value, code) in [
        ("name", json!(5), "value_invalid"),
        ("parcel_id", json!(430121), "value_invalid"),
        ("mode", json!(true), "value_invalid"),
        ("deadline_on", json!(20270101), "value_invalid"),
        ("budget_10k_yuan", json!(true), "value_invalid"),
        ("state", json!("approved"), "state_by_transition"),
        ("state_on", json!("2020-01-01"), "state_by_transition"),
    ] {
        let mut wrong = body.clone();
        wrong["properties"][name] = value;
        let refused = send(&db, Method::POST, PLANS, None, &wrong).await;
        assert_eq!(findings(&refused), [(code.to_owned(), name.to_owned())], "{name}");
    }
    body["properties"]["name"] = json!("一号方案");
    let created = send(&db, Method::POST, PLANS, None, &body).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let path = format!("{PLANS}/{COUNTY}-F");
    for (patch, field) in [
        (json!({"properties": {"name": 7}}), ("value_invalid", "name")),
        (json!({"properties": {"parcel_id": 7}}), ("value_invalid", "parcel_id")),
        (json!({"id": "430121-G", "properties": {}}), ("property_fixed", "id")),
    ] {
        let refused = send(&db, Method::PATCH, &path, Some(&etag(&created)), &patch).await;
        assert_eq!(findings(&refused), [(field.0.to_owned(), field.1.to_owned())]);
    }
    assert_eq!(get_authorised(&db, &path).await.json()["properties"]["name"], "一号方案");
}

#[actix_web::test]
async fn a_patch_clears_nothing_that_it_does_not_name() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let drawn = json!({"地块编号": "A", "地块名称": "一号地", "用地单位": "甲厂", "地类标准": "三调", "地类编码": "0601", "来源": "示意图形", "自定": "保留"});
    db.import(&file("示意.geojson", &[(drawn, square(x, y, 0.001))]), into("turnover_parcels"))
        .await
        .expect("imported");
    assert!(db.value::<bool>("SELECT illustrative FROM turnover_parcel").await, "a drawn parcel");
    let path = format!("{TURNOVER}/{COUNTY}-A");
    let patch = |body: Value| {
        let (db, path) = (&db, path.clone());
        async move {
            let tag = etag(&get_authorised(db, &path).await);
            let patched = send(db, Method::PATCH, &path, Some(&tag), &body).await;
            assert_eq!(patched.status, 200, "{}", patched.text());
            patched.json()["properties"].clone()
        }
    };
    let before = get_authorised(&db, &path).await.json()["properties"].clone();
    let after = patch(json!({"geometry": square(x, y, 0.0012)})).await;
    for (name, value) in before.as_object().expect("object") {
        let of_the_land =
            ["computed_area_m2", "computed_area_ha", "computed_area_mu", "illustrative", "source", "source_crs"];
        assert!(of_the_land.contains(&name.as_str()) || after[name] == *value, "{name}: {value} → {}", after[name]);
    }
    assert_eq!(
        (&after["illustrative"], &after["source"], &after["land_user"]),
        (&json!(false), &json!("在线登记（http:admin）"), &json!("甲厂"))
    );
    assert_eq!(db.value::<String>("SELECT attributes ->> '自定' FROM turnover_parcel").await, "保留");
    // A code within the system that stands.
    let corrected = patch(json!({"properties": {"land_use_code": "0602"}})).await;
    assert_eq!((&corrected["land_use_code"], &corrected["land_use_system"]), (&json!("0602"), &json!("三调")));
    let cleared = patch(json!({"properties": {"land_use_code": null}})).await;
    assert_eq!((&cleared["land_use_code"], &cleared["land_use_system"]), (&Value::Null, &json!("三调")));
}

/// A surveyed parcel of a file takes the place of a drawn one as a whole: what was made up is not handed on.
#[actix_web::test]
async fn a_drawn_parcel_hands_nothing_on_to_a_surveyed_one_of_a_file() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let drawn = json!({"地块编号": "A", "用地单位": "甲厂", "来源": "示意图形"});
    for properties in [drawn, json!({"地块编号": "A"})] {
        let path = file("地.geojson", &[(properties, square(x, y, 0.001))]);
        assert!(db.import(&path, into("turnover_parcels")).await.expect("imported").revision.is_some());
    }
    assert_eq!(db.value::<String>("SELECT concat(illustrative, land_user) FROM turnover_parcel").await, "f");
}

#[actix_web::test]
async fn a_member_given_twice_is_refused_wherever_it_stands() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let land = square(x, y, 0.001);
    let tag = enter(&db, LOW, json!({"county_code": COUNTY, "number": "A", "state": "recognised"}), land.clone()).await;
    let created = send(&db, Method::POST, PLANS, None, &plan("F", &format!("{COUNTY}-A"))).await;
    let before = newest(&db).await;
    let (plan_path, path) = (format!("{PLANS}/{COUNTY}-F"), format!("{LOW}/{COUNTY}-A"));
    let plan_tag = etag(&created);
    for (method, address, tag, body) in [
        (
            Method::PATCH,
            path.clone(),
            &tag,
            "{\"properties\": {\"note\": \"甲\"}, \"properties\": {\"owner\": \"乙\"}}".to_owned(),
        ),
        (Method::PATCH, path, &tag, "{\"properties\": {\"note\": \"甲\", \"note\": \"乙\"}}".to_owned()),
        (
            Method::PUT,
            format!("{plan_path}/steps"),
            &plan_tag,
            "{\"steps\": [{\"task\": \"甲\", \"task\": \"乙\"}]}".to_owned(),
        ),
    ] {
        let request = authorised(method, &address).insert_header(("content-type", "application/json"));
        let refused = call(&db, request.insert_header(("if-match", tag.clone())).set_payload(body)).await;
        let problem = refused.assert_problem(400, "json_invalid");
        assert!(problem["detail"].as_str().is_some_and(|d| d.contains("给了两次：第 1 行第")), "{problem}");
    }
    assert_eq!(newest(&db).await, before);
}

#[actix_web::test]
async fn any_strong_tag_of_this_register_with_the_version_that_stands_will_do() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let mut tag = enter(&db, TURNOVER, json!({"county_code": COUNTY, "number": "A"}), square(x, y, 0.001)).await;
    let path = format!("{TURNOVER}/{COUNTY}-A");
    let mut note = 0;
    let mut patch = async |tag: &str| {
        note += 1;
        send(&db, Method::PATCH, &path, Some(tag), &json!({"properties": {"note": note.to_string()}})).await
    };
    // Writes elsewhere change the tag, not the version; a page's tag is as good as GeoJSON's.
    let old = tag.clone();
    enter(&db, TURNOVER, json!({"county_code": COUNTY, "number": "B"}), square(x + 0.003, y, 0.001)).await;
    assert_ne!(etag(&get_authorised(&db, &path).await), old);
    let page = etag(&get_authorised(&db, &format!("{path}?f=html")).await);
    for sent in [old.clone(), page] {
        let patched = patch(&sent).await;
        if patched.status == 200 {
            tag = etag(&patched);
        } else {
            // The first patch has made a new version.
            patched.assert_problem(412, "version_stale");
        }
    }
    assert_ne!(tag, old);
    patch(&old).await.assert_problem(412, "version_stale");
    // Of a list any one.
    let patched = patch(&format!("{old}, \"none of ours\" , {tag}")).await;
    assert_eq!(patched.status, 200, "{}", patched.text());
    let tag = etag(&patched);
    // Weak ones never; nor a version of another register: a backup's, that came to these numbers by another way.
    let hash = tag.split('-').nth(2).expect("hash").to_owned();
    let other: String = hash.chars().map(|c| if c == '0' { '1' } else { '0' }).collect();
    for never in [format!("W/{tag}"), tag.replacen(&hash, &other, 1), "\"v12-0a1b\"".to_owned()] {
        let problem = patch(&never).await.assert_problem(412, "version_stale");
        assert_eq!(problem["current"]["properties"]["number"], "A", "{never}");
    }
    patch(tag.trim_matches('"')).await.assert_problem(400, "if_match_invalid");
    assert_eq!(patch(&tag).await.status, 200);
    let gone = format!("{TURNOVER}/{COUNTY}-Z");
    send(&db, Method::PATCH, &gone, Some("W/\"x\""), &json!({})).await.assert_problem(404, "item_not_found");
}

#[actix_web::test]
async fn an_edit_hands_back_what_its_judge_remarked() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let odd = json!({"county_code": COUNTY, "number": "A", "supply_mode": "赠送", "invested_percent": 0.25, "started_on": "2025-01-02", "finished_on": "2024-01-02"});
    let created = send(&db, Method::POST, TURNOVER, None, &feature(odd, square(x, y, 0.001))).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let expected = [
        ("value_unusual", "supply_mode"),
        ("percent_looks_like_ratio", "invested_percent"),
        ("date_order", "finished_on"),
    ]
    .map(|(code, field)| (code.to_owned(), field.to_owned()));
    assert_eq!(pairs(&created.json()["warnings"]), expected);
    let path = format!("{TURNOVER}/{COUNTY}-A");
    assert_eq!(get_authorised(&db, &path).await.json()["warnings"], Value::Null, "told once");
    // Only half of the pair is named; the other half stands.
    let patch = json!({"properties": {"finished_on": "2024-06-01"}});
    let patched = send(&db, Method::PATCH, &path, Some(&etag(&created)), &patch).await.json();
    assert_eq!(pairs(&patched["warnings"]), [("date_order".to_owned(), "finished_on".to_owned())]);
    assert_eq!(patched["warnings"][0]["message"], "“实际竣工日期”2024-06-01 早于“实际开工日期”2025-01-02，请核对");
    // What the edit does not touch is not told again, and nothing is no member.
    let tag = etag(&get_authorised(&db, &path).await);
    let patched = send(&db, Method::PATCH, &path, Some(&tag), &json!({"properties": {"note": "x"}})).await.json();
    assert!(patched.get("warnings").is_none(), "{patched}");

    enter(&db, LOW, json!({"county_code": COUNTY, "number": "A", "state": "recognised"}), square(x, y, 0.001)).await;
    let mut body = plan("F", &format!("{COUNTY}-A"));
    body["properties"]["planned_building_density"] = json!(0.4);
    let created = send(&db, Method::POST, PLANS, None, &body).await;
    assert_eq!(
        pairs(&created.json()["warnings"]),
        [("percent_looks_like_ratio".to_owned(), "planned_building_density".to_owned())]
    );
    let path = format!("{PLANS}/{COUNTY}-F");
    let dates = json!({"properties": {"approved_on": "2025-05-01", "accepted_on": "2025-04-01"}});
    let patched = send(&db, Method::PATCH, &path, Some(&etag(&created)), &dates).await;
    assert_eq!(pairs(&patched.json()["warnings"]), [("date_order".to_owned(), "accepted_on".to_owned())]);
}

#[actix_web::test]
async fn a_plan_or_steps_that_differ_in_nothing_are_no_revision() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    enter(&db, LOW, json!({"county_code": COUNTY, "number": "A", "state": "recognised"}), square(x, y, 0.001)).await;
    let mut body = plan("F", &format!("{COUNTY}-A"));
    body["properties"]["budget_10k_yuan"] = json!(12.5);
    let mut tag = etag(&send(&db, Method::POST, PLANS, None, &body).await);
    let path = format!("{PLANS}/{COUNTY}-F");
    let steps = json!({"steps": [{"task": "拆除", "due_on": "2026-06-01", "note": ""}]});
    tag = etag(&send(&db, Method::PUT, &format!("{path}/steps"), Some(&tag), &steps).await);
    let before = newest(&db).await;
    let whole = get_authorised(&db, &path).await.json();
    for (method, address, body) in [
        (Method::PUT, path.clone(), &whole),
        (Method::PATCH, path.clone(), &json!({"properties": {"budget_10k_yuan": 12.5}})),
        (Method::PATCH, path.clone(), &json!({})),
        (Method::PUT, format!("{path}/steps"), &steps),
    ] {
        let same = send(&db, method.clone(), &address, Some(&tag), body).await;
        assert_eq!((same.status.as_u16(), newest(&db).await), (200, before), "{method} {address}: {}", same.text());
        assert_eq!(same.json()["properties"], whole["properties"]);
    }
    for patch in [json!({"properties": {"budget_10k_yuan": 13}}), json!({"properties": {"name": "新"}})] {
        let changed = send(&db, Method::PATCH, &path, Some(&tag), &patch).await;
        assert_eq!(changed.status, 200);
        tag = etag(&changed);
    }
    assert_eq!(newest(&db).await, before + 2);
}

#[actix_web::test]
async fn a_file_is_told_of_days_the_wrong_way_round_and_of_percentages_that_are_shares() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let rows = |densities: [&str; 3]| {
        let one = |(at, density): (usize, &str)| {
            let days = if at == 1 { ("2025-02-01", "2025-01-01") } else { ("2025-01-01", "2025-01-01") };
            let cells = json!({"宗地编号": format!("P{at}"), "建筑密度": density, "核实日期": days.0, "公示日期": days.1, "状态": "公示中", "状态日期": "2025-03-01"});
            (cells, square(x + 0.002 * at as f64, y, 0.001))
        };
        file("密度.geojson", &densities.into_iter().enumerate().map(one).collect::<Vec<_>>())
    };
    for (densities, told) in [
        (["0.25", "1", "0"], vec!["percent_looks_like_ratio", "date_order"]),
        (["0.25", "0.3", "1.1"], vec!["date_order"]),
        (["0.25", "", "0.3"], vec!["date_order"]),
        (["0", "0", "0"], vec!["date_order"]),
    ] {
        let report = db.dry_run(&rows(densities), into("low_efficiency_parcels")).await.expect("read").report;
        let found: Vec<_> = report.findings.iter().map(|f| f.code.as_ref()).collect();
        assert_eq!(found, told, "{densities:?}: {:?}", report.findings);
        let order = report.findings.last().expect("told");
        assert_eq!(
            (order.place.row, order.place.field.as_deref(), order.message.as_str()),
            (Some(2), Some("公示日期"), "第 2 条记录的“公示日期”2025-01-01 早于“核实日期”2025-02-01，请核对")
        );
        assert_eq!(report.status.as_str(), "ready");
    }
}

/// A parcel that came of a split stands in its state for longer than it has been.
#[actix_web::test]
async fn a_file_moves_no_parcel_on_a_day_before_its_life_began() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    db.write(
        "INSERT INTO turnover_parcel (id, county_code, number, geom, area_m2, state, state_on, valid_from, source)
         SELECT '430121-A', '430121', 'A', ST_Multi(geom), 100, 'approved', '2020-01-01', '2024-06-01', 's' FROM park_block LIMIT 1",
    )
    .await;
    let moved = |day: &str| {
        let cells = json!({"地块编号": "A", "状态": "已征收", "状态日期": day});
        file("征收.geojson", &[(cells, square(x, y, 0.001))])
    };
    for (day, expected) in [("2024-05-31", vec!["transition_before_last"]), ("2024-06-01", vec![])] {
        let read = db.dry_run(&moved(day), into("turnover_parcels")).await.expect("read");
        assert_eq!(codes(&read), expected, "{day}: {:?}", read.report.findings);
    }
}

/// The gazetteer is kept between edits for as long as nobody changes a park or a division; and no register answers for another.
#[actix_web::test]
async fn a_park_is_known_by_the_names_that_it_has_at_the_moment() {
    let (db, other) = (Database::with_sample().await, Database::with_sample().await);
    let (x, y, _) = inside(&db, PARK).await;
    let agrees = async |db: &Database, number: &str| {
        let properties = json!({"county_code": COUNTY, "number": number, "stated_park": "试名园区"});
        enter(db, TURNOVER, properties, square(x, y, 0.001)).await;
        let entered = get_authorised(db, &format!("{TURNOVER}/{COUNTY}-{number}")).await.json();
        let agrees = entered["properties"]["park_agrees"].clone();
        // Out of the way of the next.
        assert_eq!(end(db, &format!("{TURNOVER}/{COUNTY}-{number}")).await.status, 204);
        agrees
    };
    let rename = async |sql: &'static str| {
        let mut transaction = db.pool.begin().await.expect("transaction");
        sizhi::store::revision::open(&mut transaction, "test", "test", "").await.expect("revision");
        sqlx::query(sql).bind(PARK).execute(&mut *transaction).await.expect("renamed");
        transaction.commit().await.expect("committed");
    };
    assert_eq!(agrees(&db, "G1").await, json!(false));
    assert_eq!(agrees(&db, "G2").await, json!(false));
    rename("UPDATE park SET aliases = aliases || '试名园区'::text WHERE code = $1").await;
    assert_eq!(agrees(&db, "G3").await, json!(true));
    assert_eq!(agrees(&other, "G3").await, json!(false));
    assert_eq!(agrees(&db, "G4").await, json!(true));
    rename("UPDATE park SET aliases = array_remove(aliases, '试名园区') WHERE code = $1").await;
    assert_eq!(agrees(&db, "G5").await, json!(false));
}

/// What is still being written has no mark: it could be rolled back, or be another register's.
#[actix_web::test]
async fn an_open_revision_gives_the_gazetteer_no_mark() {
    let db = Database::with_sample().await;
    let mut transaction = db.pool.begin().await.expect("transaction");
    let before = parks::mark_with_divisions(&mut transaction).await.expect("asked").expect("a mark");
    sizhi::store::revision::open(&mut transaction, "test", "test", "").await.expect("revision");
    assert_eq!(parks::mark_with_divisions(&mut transaction).await.expect("asked").as_ref(), Some(&before));
    let rename = "UPDATE park SET name = name || '改' WHERE code = $1";
    sqlx::query(rename).bind(PARK).execute(&mut *transaction).await.expect("renamed");
    assert_eq!(parks::mark_with_divisions(&mut transaction).await.expect("asked"), None);
    transaction.commit().await.expect("committed");
    let mut connection = db.pool.acquire().await.expect("connection");
    let after = parks::mark_with_divisions(&mut connection).await.expect("asked").expect("a mark");
    assert_ne!(after, before);
}
