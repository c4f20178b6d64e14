//! `revision=` and `datetime=`: what the register said then, judged by a replay of the change log in this test.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::Database;
use crate::support::edits::{self, DAYS, Dice, Kind};
use crate::support::http::{encode, get, get_authorised, link, path_of};
use crate::support::replay::{
    Register, Row, Shown, assert_shows, day_of, images, lives, m2, replay, rows, shape_of_bytes, table_as_of,
};

/// What `park_blocks` must show of a block, out of the replayed rows.
fn expected_block(state: &Register, id: &str, day: Option<NaiveDate>) -> Option<Shown> {
    let mut lives: Vec<&Row> =
        rows(state, "park_block").filter(|row| row.0["id"] == id && lives(&row.0, day)).collect();
    lives.sort_by_key(|row| day_of(&row.0, "valid_to").unwrap_or(NaiveDate::MAX));
    let (image, geometry) = lives.last()?.as_ref();
    let park = &state[&("park".to_owned(), image["park_code"].as_str()?.to_owned())].0;
    let shown = json!({
        "id": image["id"], "name": image["name"], "number": image["number"], "park_code": image["park_code"],
        "park_name": park["name"], "prefecture_code": park["prefecture_code"], "illustrative": image["illustrative"],
        "source": image["source"], "source_crs": image["source_crs"],
        "computed_area_m2": m2(image["area_m2"].as_f64()?),
        "valid_from": day_of(image, "valid_from").map(|d| d.to_string()),
        "valid_to": day_of(image, "valid_to").map(|d| d.to_string()),
    });
    Some((shown, shape_of_bytes(geometry.as_ref()?)))
}

/// What `parks` must show of a park.
fn expected_park(state: &Register, code: &str, day: Option<NaiveDate>) -> Option<Shown> {
    let park = &state.get(&("park".to_owned(), code.to_owned()))?.0;
    // Without a day a park is shown whatever its life.
    if day.is_some() && !lives(park, day) {
        return None;
    }
    let blocks: Vec<&Row> =
        rows(state, "park_block").filter(|row| row.0["park_code"] == code && lives(&row.0, day)).collect();
    let prefecture = park["prefecture_code"].as_str()?.to_owned();
    let area: f64 = blocks.iter().map(|row| row.0["area_m2"].as_f64().expect("area")).sum();
    let shown = json!({
        "code": code, "name": park["name"], "level": park["level"], "status": park["status"],
        "prefecture_name": state[&("division".to_owned(), prefecture)].0["name"],
        // A list without members is shown as none.
        "county_codes": if park["county_codes"] == json!([]) { &Value::Null } else { &park["county_codes"] }, "block_count": blocks.len(),
        "illustrative": blocks.iter().any(|row| row.0["illustrative"] == true),
        "computed_area_m2": if blocks.is_empty() { Value::Null } else { json!(m2(area)) },
    });
    let shape = blocks.iter().flat_map(|row| shape_of_bytes(row.1.as_ref().expect("geometry"))).collect();
    Some((shown, shape))
}

/// A history of `revisions` over a few parks of the sample.
async fn history(db: &Database, dice: &mut Dice, revisions: i64) -> Vec<String> {
    let parks = edits::parks(db, 8).await;
    let mut kinds = BTreeSet::new();
    let mut newest = 1;
    while newest < revisions {
        kinds.insert(edits::edit(db, dice, &parks).await);
        newest = db.value("SELECT max(number) FROM revision").await;
    }
    for kind in [Kind::Rename, Kind::Move, Kind::EndOfLife, Kind::Import, Kind::Undo] {
        assert!(kinds.contains(&kind), "no {kind:?} among {kinds:?}");
    }
    parks
}

#[actix_web::test]
async fn for_random_ids_days_and_revisions_the_answer_equals_a_replay_of_the_log() {
    let db = Database::with_sample().await;
    let mut dice = Dice::of_this_run("as of");
    let parks = history(&db, &mut dice, 120).await;
    let states = replay(&db).await;
    let blocks: Vec<String> = states
        .iter()
        .flat_map(|s| rows(s, "park_block"))
        .filter(|row| parks.iter().any(|park| row.0["park_code"] == park.as_str()))
        .map(|row| row.0["id"].as_str().expect("id").to_owned())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let (mut found, mut missing) = (0, 0);
    for n in 0..200 {
        let revision = dice.roll(states.len() as u64) as usize;
        let day: Option<NaiveDate> = match dice.roll(4) {
            0 => None,
            1 => DAYS[dice.roll(4) as usize].parse().ok(),
            _ => NaiveDate::from_ymd_opt(2017 + dice.roll(9) as i32, 1 + dice.roll(12) as u32, 15),
        };
        let (layer, id) = if n % 2 == 0 { ("park_blocks", dice.pick(&blocks)) } else { ("parks", dice.pick(&parks)) };
        let wanted = if n % 2 == 0 {
            expected_block(&states[revision], id, day)
        } else {
            expected_park(&states[revision], id, day)
        };
        let datetime = day.map_or(String::new(), |day| format!("&datetime={day}"));
        let what = format!("{layer}/items/{}?revision={revision}{datetime}", encode(id));
        let answer = get_authorised(&db, &format!("/api/collections/{what}")).await;
        // The same by the list, where it is one of several.
        let key = if n % 2 == 0 { "id" } else { "code" };
        let list = get_authorised(
            &db,
            &format!("/api/collections/{layer}/items?{key}={}&revision={revision}{datetime}", encode(id)),
        )
        .await;
        assert_eq!(list.status, 200, "{}", list.text());
        assert_eq!(list.header("sizhi-revision"), Some(revision.to_string().as_str()));
        let list = list.json();
        match wanted {
            Some(wanted) => {
                found += 1;
                assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                assert_shows(&answer.json(), &wanted, &what);
                assert_eq!(list["numberMatched"], 1, "{what}: {list}");
                assert_shows(&list["features"][0], &wanted, &what);
            }
            None => {
                missing += 1;
                answer.assert_problem(404, "item_not_found");
                assert_eq!((&list["numberMatched"], &list["features"]), (&json!(0), &json!([])), "{what}");
            }
        }
    }
    assert!(found > 80 && missing > 5, "{found} found, {missing} missing: the history tells too little");
    // And the rows behind the layers, every table whole, to the last byte.
    for _ in 0..12 {
        let revision = dice.roll(states.len() as u64) as usize;
        for table in ["division", "park", "park_block", "directory_version", "directory_entry", "park_event"] {
            assert_eq!(
                table_as_of(&db, table, revision).await,
                images(&states[revision], table),
                "{table} as of {revision}"
            );
        }
    }
}

/// The body without what depends on the hour and the address of asking.
fn what_is_said(mut body: Value) -> Value {
    if let Some(object) = body.as_object_mut() {
        object.remove("timeStamp");
        object.remove("links");
    }
    body
}

#[actix_web::test]
async fn a_past_answer_is_the_one_that_was_given_then() {
    let db = Database::with_sample().await;
    let mut dice = Dice::of_this_run("answers given then");
    let parks = edits::parks(&db, 4).await;
    let addresses: Vec<String> = parks
        .iter()
        .flat_map(|park| {
            [
                format!("park_blocks/items?park_code={park}&limit=1000"),
                format!("parks/items?code={park}&datetime=2021-05-05"),
                format!("park_blocks/items?park_code={park}&datetime=2018-01-01/2023-01-01"),
                format!("parks/items?code={park}&bbox=108,24,115,31"),
            ]
        })
        .map(|address| format!("/api/collections/{address}"))
        // The directory, its counts and the cards, events and published directories among them, are of the past too.
        .chain(["/api/parks?sort=-computed_area&limit=20".to_owned()])
        .chain(parks.iter().map(|park| format!("/api/parks/{park}?f=json")))
        .collect();
    let mut given: Vec<(i64, String, Value)> = Vec::new();
    for _ in 0..12 {
        edits::edit(&db, &mut dice, &parks).await;
        let revision: i64 = db.value("SELECT max(number) FROM revision").await;
        for address in &addresses {
            given.push((revision, address.clone(), what_is_said(get(&db, address).await.json())));
        }
    }
    for (revision, address, body) in given {
        let past = get(&db, &format!("{address}&revision={revision}")).await;
        assert_eq!(past.header("sizhi-revision"), Some(revision.to_string().as_str()), "{address}");
        assert_eq!(what_is_said(past.json()), body, "{address} as of {revision}");
    }
}

#[actix_web::test]
async fn pages_of_the_past_hang_together_while_others_write() {
    let db = Database::with_sample().await;
    let mut dice = Dice::of_this_run("pages");
    let parks = edits::parks(&db, 8).await;
    for _ in 0..6 {
        edits::edit(&db, &mut dice, &parks).await;
    }
    let whole = get(&db, "/api/collections/park_blocks/items?limit=10000").await;
    let revision = whole.header("sizhi-revision").expect("revision").to_owned();
    let whole = whole.json();
    let mut path = format!("/api/collections/park_blocks/items?limit=60&revision={revision}");
    let (mut features, mut pages) = (Vec::new(), 0);
    loop {
        pages += 1;
        let page = get(&db, &path).await;
        assert_eq!(page.header("sizhi-revision"), Some(revision.as_str()));
        let page = page.json();
        assert_eq!(page["numberMatched"], whole["numberMatched"]);
        features.extend(page["features"].as_array().expect("features").clone());
        let Some(next) = link(&page, "next") else { break };
        path = path_of(next);
        assert!(path.contains(&format!("revision={revision}")), "{path}");
        edits::edit(&db, &mut dice, &parks).await;
    }
    assert_eq!(pages, features.len().div_ceil(60));
    assert!(pages > 3, "{pages} pages");
    assert_eq!(Value::Array(features), whole["features"]);
}

#[actix_web::test]
async fn a_moment_means_the_last_revision_made_by_then() {
    let db = Database::with_sample().await;
    for name in ["甲", "乙", "丙"] {
        let mut transaction = db.pool.begin().await.expect("transaction");
        sizhi::store::revision::open(&mut transaction, "test", "改名", "").await.expect("revision");
        sqlx::query("UPDATE park SET name = $1 WHERE code = 'G431176'")
            .bind(name)
            .execute(&mut *transaction)
            .await
            .expect("named");
        transaction.commit().await.expect("committed");
    }
    let moments: Vec<String> = db
        .column("SELECT to_char(made_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM revision ORDER BY number")
        .await;
    let address = |revision: &str| format!("/api/collections/parks/items/G431176?revision={}", encode(revision));
    for (at, name) in [(1, "甲"), (2, "乙"), (3, "丙")] {
        let answer = get(&db, &address(&moments[at])).await;
        assert_eq!(answer.json()["properties"]["name"], name);
        assert_eq!(answer.header("sizhi-revision"), Some((at + 1).to_string().as_str()));
        // A moment is asked anew: the next revision may be made at it.
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
    }
    // Today in China, and long before: everything, and nothing.
    let today: String = db.value("SELECT (now() AT TIME ZONE 'Asia/Shanghai')::date::text").await;
    assert_eq!(get(&db, &address(&today)).await.json()["properties"]["name"], "丙");
    get(&db, &address("2001-01-01")).await.assert_problem(404, "item_not_found");
    let nothing = get(&db, "/api/collections/parks/items?revision=2001-01-01T00:00:00Z").await;
    assert_eq!((nothing.header("sizhi-revision"), &nothing.json()["numberMatched"]), (Some("0"), &json!(0)));
    let tomorrow: String = db.value("SELECT ((now() AT TIME ZONE 'Asia/Shanghai')::date + 1)::text").await;
    for (future, code) in [
        ("5", "revision_unknown"),
        ("99999999999999999999999", "revision_unknown"),
        (tomorrow.as_str(), "revision_unknown"),
        ("2999-01-01T00:00:00Z", "revision_unknown"),
        ("9999-12-31", "revision_unknown"),
        ("-1", "revision_invalid"),
        ("x", "revision_invalid"),
        ("", "revision_invalid"),
        ("1.0", "revision_invalid"),
        ("1 OR 1=1", "revision_invalid"),
        ("2024-02-30", "revision_invalid"),
    ] {
        for of in ["parks/items/G431176", "parks/items", "park_blocks/items", "divisions/items"] {
            let asked = format!("/api/collections/{of}?revision={}", encode(future));
            get(&db, &asked).await.assert_problem(400, code);
        }
    }
}

#[actix_web::test]
async fn a_numbered_past_may_be_kept_and_is_marked_by_its_own_revision() {
    let db = Database::with_sample().await;
    let address = "/api/collections/parks/items/G431176?revision=1";
    let first = get(&db, address).await;
    assert_eq!(first.header("cache-control"), Some("public, max-age=86400, immutable"));
    let etag = first.header("etag").expect("etag").to_owned();
    assert!(etag.starts_with("W/\"r1-"), "{etag}");
    db.write("UPDATE park SET name = '新名' WHERE code = 'G431176'").await;
    let again = get(&db, address).await;
    assert_eq!(
        (again.header("etag"), again.text()),
        (Some(etag.as_str()), first.text()),
        "a write changes nothing of the past"
    );
    let request = actix_web::test::TestRequest::get().uri(address).insert_header(("if-none-match", etag));
    assert_eq!(crate::support::http::call(&db, request).await.status, 304);
    let now = get(&db, "/api/collections/parks/items/G431176").await;
    assert_eq!((now.header("sizhi-revision"), now.header("cache-control")), (Some("2"), Some("no-cache")));
    assert_eq!(now.json()["properties"]["name"], "新名");
    let page = get(&db, &format!("{address}&f=html")).await;
    assert!(page.text().contains("望城") && !page.text().contains("新名"), "the page shows the past too");
}

#[actix_web::test]
async fn a_protected_table_keeps_its_past_from_those_who_may_not_see_its_present() {
    let db = Database::with_sample().await;
    let mut superuser = db.superuser().await;
    sqlx::raw_sql(
        "CREATE TABLE plot (id text PRIMARY KEY, county_code text NOT NULL, note text, revision bigint NOT NULL);
         SELECT track_table('plot', 'n.id', 'id');
         SELECT protect_by_jurisdiction('plot', 'county_code');
         SELECT as_of_table('plot');
         SELECT open_revision('test', 'plots', '');
         INSERT INTO plot VALUES ('a', '430102', 'one'), ('b', '430202', 'two');",
    )
    .execute(&mut superuser)
    .await
    .expect("plots");
    sqlx::raw_sql("SELECT open_revision('test', 'later', ''); UPDATE plot SET note = 'changed', county_code = CASE id WHEN 'b' THEN '430102' ELSE county_code END; DELETE FROM plot WHERE id = 'a';")
        .execute(&mut superuser)
        .await
        .expect("changed");
    // As owner and superuser: no policy of the table holds for them, only what the view itself says.
    for (jurisdiction, revision, wanted) in [
        ("*", 2, vec!["a one", "b two"]),
        ("4301", 2, vec!["a one"]),
        ("430202", 2, vec!["b two"]),
        ("", 2, vec![]),
        ("*", 3, vec!["b changed"]),
        ("4301", 3, vec!["b changed"]),
        ("4302", 3, vec![]),
        ("*", 1, vec![]),
    ] {
        let sql = format!(
            "BEGIN; SELECT set_config('sizhi.jurisdiction', '{jurisdiction}', true), set_config('sizhi.as_of', '{revision}', true)"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut superuser).await.expect("set");
        let seen: Vec<String> = sqlx::query_scalar("SELECT id || ' ' || note FROM as_of.plot ORDER BY id")
            .fetch_all(&mut superuser)
            .await
            .expect("seen");
        sqlx::raw_sql("ROLLBACK").execute(&mut superuser).await.expect("ended");
        assert_eq!(seen, wanted, "“{jurisdiction}” as of {revision}");
    }
}

#[tokio::test]
async fn one_row_of_the_past_is_found_by_an_index() {
    let db = Database::with_sample().await;
    let mut transaction = db.pool.begin().await.expect("transaction");
    sqlx::raw_sql("SELECT set_config('sizhi.as_of', '1', true), set_config('enable_seqscan', 'off', true)")
        .execute(&mut *transaction)
        .await
        .expect("set");
    for (sql, index) in [
        ("EXPLAIN SELECT * FROM as_of.layer_park_blocks WHERE feature_id = 'G431176-1'", "change_feature_idx"),
        ("EXPLAIN SELECT * FROM as_of.layer_parks WHERE feature_id = 'G431176'", "change_park_block_park_code_idx"),
    ] {
        let plan: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *transaction).await.expect("plan");
        let plan = plan.join("\n");
        assert!(plan.contains(index), "{sql}:\n{plan}");
    }
}
