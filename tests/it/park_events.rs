//! Parks are established, renamed, upgraded, split, merged and revoked: one revision over all that they touch, and one way back.

use serde_json::{Value, json};
use sizhi::domain::access::Role;

use crate::support::consolidation::{DAY, EVE, MERGED, SURVIVOR, codes, contents, happen, merger, read, settle, undo};
use crate::support::http::{call, get, get_authorised};
use crate::support::land::newest;
use crate::support::{Database, accounts};

#[actix_web::test]
async fn two_parks_with_five_hundred_parcels_merge_as_one_revision_and_come_back_as_one() {
    let db = Database::with_sample().await;
    settle(&db, "merge").await;
    let of_merged = "park_code IN ('S437001', 'S437003')";
    let count = "SELECT (SELECT count(*) FROM turnover_parcel WHERE PARKS) + (SELECT count(*) FROM low_efficiency_parcel WHERE PARKS)";
    assert_eq!(db.value::<i64>(&count.replace("PARKS", of_merged)).await, 500);
    let before = contents(&db).await;
    let blocks_before: i64 =
        db.value(&format!("SELECT count(*) FROM park_block WHERE {of_merged} AND valid_to = 'infinity'")).await;
    let seen = newest(&db).await;
    let body = merger(seen);

    // A dry run tells everything and writes nothing.
    let mut dry = body.clone();
    dry["dry_run"] = json!(true);
    let tried = happen(&db, &dry).await;
    assert_eq!(tried.status, 200, "{}", tried.text());
    assert_eq!(contents(&db).await, before);
    assert_eq!(newest(&db).await, seen);

    let done = happen(&db, &body).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let told = done.json();
    let revision = seen + 1;
    assert_eq!((newest(&db).await, &told["revision"]), (revision, &json!(revision)), "one revision");
    assert_eq!(done.header("sizhi-revision"), Some(revision.to_string().as_str()));
    assert!(done.header("location").expect("location").ends_with("/api/parks/G432033/lineage"));
    for same in ["kind", "on", "parks", "blocks", "parcels", "plans", "boundary_changes", "warnings"] {
        assert_eq!(tried.json()[same], told[same], "{same}");
    }
    assert_eq!((&told["kind"], &told["on"], &told["plans"]), (&json!("merged_into"), &json!(DAY), &json!(80)));
    assert_eq!(told["boundary_changes"], json!(["BC-2026-0001"]));
    assert_eq!(
        told["parcels"],
        json!([
            {"collection": "turnover_parcels", "from": "S437001", "to": SURVIVOR, "count": 150, "plans": 0},
            {"collection": "turnover_parcels", "from": "S437003", "to": SURVIVOR, "count": 150, "plans": 0},
            {"collection": "low_efficiency_parcels", "from": "S437001", "to": SURVIVOR, "count": 100, "plans": 40},
            {"collection": "low_efficiency_parcels", "from": "S437003", "to": SURVIVOR, "count": 100, "plans": 40},
        ])
    );
    assert_eq!(told["blocks"]["ended"].as_array().map(Vec::len), Some(blocks_before as usize));
    assert_eq!(told["blocks"]["lineage"].as_array().map(Vec::len), Some(blocks_before as usize));

    // By SQL: the same land under the survivor's numbers, each once, and every parcel in the block that PostGIS finds it in.
    let same_land: i64 = db
        .value(&format!(
            "SELECT count(*) FROM block_lineage l
             JOIN park_block p ON p.id = l.parent_id AND p.valid_to = '{DAY}'
             JOIN park_block c ON c.id = l.child_id AND c.valid_from = '{DAY}' AND c.valid_to = 'infinity' AND c.park_code = '{SURVIVOR}'
             WHERE ST_AsEWKB(p.geom) = ST_AsEWKB(c.geom) AND p.area_m2 = c.area_m2 AND l.common_area_m2 = c.area_m2
               AND p.stated_area_ha IS NOT DISTINCT FROM c.stated_area_ha AND p.source = c.source"
        ))
        .await;
    assert_eq!(same_land, blocks_before);
    let numbers: Vec<String> = db
        .column(&format!("SELECT id FROM park_block WHERE park_code = '{SURVIVOR}' AND valid_to = 'infinity' GROUP BY id HAVING count(*) > 1"))
        .await;
    assert_eq!(numbers, [""; 0]);
    for ledger in ["turnover_parcel", "low_efficiency_parcel"] {
        let placed: i64 = db
            .value(&format!(
                "SELECT count(*) FROM {ledger} p JOIN park_block b ON b.id = p.block_id AND b.valid_to = 'infinity'
                 WHERE p.park_code = '{SURVIVOR}' AND b.park_code = '{SURVIVOR}' AND ST_Within(p.geom, b.geom) AND p.inside_share = 1"
            ))
            .await;
        assert_eq!(placed, if ledger == "turnover_parcel" { 300 } else { 200 });
    }
    let parks: Vec<String> = db
        .column(
            "SELECT code || ' ' || status || ' ' || coalesce(successor_code, '-') || ' ' || valid_to || ' ' || approved_area_ha
             FROM park WHERE code IN ('S437001', 'S437003', 'G432033') ORDER BY code",
        )
        .await;
    assert_eq!(
        parks,
        [
            "G432033 active - infinity 3174.6900",
            "S437001 merged G432033 2026-03-01 443.9800",
            "S437003 merged G432033 2026-03-01 997.2100"
        ]
    );
    let change: String = db.value("SELECT state || ' ' || state_on FROM boundary_change").await;
    assert_eq!(change, "withdrawn 2026-03-01");
    assert_eq!(db.audit().await, None);
    answers_on_each_side(&db).await;

    // What the register said before it was written down.
    let then = read(&db, &format!("/api/parks/S437001/lineage?revision={seen}")).await;
    assert_eq!(
        (codes(&then["nodes"]), &then["nodes"][0]["status"]),
        (vec!["S437001".to_owned()], &json!("under_adjustment"))
    );

    // As one, back: every row of every table as it was, but for the revision that wrote it.
    let undone = undo(&db, revision).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    assert_eq!(newest(&db).await, revision + 1);
    for (was, is) in before.iter().zip(contents(&db).await) {
        assert_eq!(*was, is);
    }
    assert_eq!(db.audit().await, None);
    let lineage = read(&db, "/api/parks/S437001/lineage").await;
    assert_eq!(codes(&lineage["nodes"]), ["S437001"]);
    // And once more: nothing of the first time is in the way.
    let again = happen(&db, &merger(newest(&db).await)).await;
    assert_eq!(again.status, 201, "{}", again.text());
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn parcels_follow_into_a_park_to_come_and_back() {
    let db = Database::with_sample().await;
    settle(&db, "into-new").await;
    let before = contents(&db).await;
    let park = json!({"code": "S437990", "name": "长沙城南经济开发区（示意）", "prefecture": "430100", "leading_industries": ["智能装备"]});
    let mut into_new = merger(newest(&db).await);
    into_new["into"] = park.clone();
    into_new["areas"] = json!({"after_ha": "1441.19"});
    let mut into_one = into_new.clone();
    into_one["parks"] = json!(["S437001"]);
    happen(&db, &into_one).await.assert_problem(400, "member_invalid");
    let upgrade = json!({"kind": "upgraded", "park": "S437003", "on": DAY, "seen_revision": newest(&db).await,
        "into": {"code": "G431990", "name": "长沙雨花经济技术开发区（示意）", "prefecture": "430100"}});
    for (body, child, parcels) in [(into_new, "S437990", 500), (upgrade, "G431990", 250)] {
        let mut body = body;
        body["seen_revision"] = json!(newest(&db).await);
        let done = happen(&db, &body).await;
        assert_eq!(done.status, 201, "{}", done.text());
        let count = format!(
            "SELECT (SELECT count(*) FROM turnover_parcel WHERE park_code = '{child}') + (SELECT count(*) FROM low_efficiency_parcel WHERE park_code = '{child}')"
        );
        assert_eq!(db.value::<i64>(&count).await, parcels);
        let numbers =
            "SELECT count(*) FROM block_lineage WHERE split_part(parent_id, '-', 2) = split_part(child_id, '-', 2)";
        assert!(db.value::<i64>(numbers).await > 0, "numbers stay where they are free");
        // The park goes before its parcels are placed anew; they lie where they lay.
        let undone = undo(&db, done.json()["revision"].as_i64().expect("revision")).await;
        assert_eq!(undone.status, 200, "{}", undone.text());
        assert_eq!(contents(&db).await, before);
        assert_eq!(db.audit().await, None);
    }
}

#[actix_web::test]
async fn what_an_event_has_made_is_neither_seeded_nor_imported_away() {
    let db = Database::with_sample().await;
    let done = happen(&db, &merger(newest(&db).await)).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let rows = contents(&db).await;
    let again = sizhi::inventory::sample::seed(&db.pool, "test").await.expect("seeded");
    assert_eq!((again.revision, again.blocks), (None, 0));
    assert_eq!(contents(&db).await, rows);
    let (x, y) = (113.6, 27.2);
    let shape = crate::support::parcels::square(x, y, 0.01);
    let path = crate::support::parcels::file("ended-park.geojson", &[(json!({"number": "9"}), shape)]);
    let imported =
        db.import(&path, |request| request.park = sizhi::domain::ParkCode::parse("S437001").ok()).await.expect("read");
    assert_eq!((imported.revision, crate::support::codes(&imported)), (None, vec!["park_ended".to_owned()]));
}

/// Lineage, places and directories before the day and from it.
async fn answers_on_each_side(db: &Database) {
    let up = read(db, "/api/parks/G432033/lineage").await;
    let places: Vec<(&str, &str)> = up["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|n| (n["code"].as_str().expect("code"), n["place"].as_str().expect("place")))
        .collect();
    assert_eq!(places, [("G432033", "self"), ("S437001", "ancestor"), ("S437003", "ancestor")]);
    let kinds: Vec<(&str, &Value, &Value)> = up["edges"]
        .as_array()
        .expect("edges")
        .iter()
        .map(|e| (e["kind"].as_str().expect("kind"), &e["from"], &e["to"]))
        .collect();
    let (merged, survivor) = (json!(MERGED), json!([SURVIVOR]));
    let both = json!(["S437001", "S437003", SURVIVOR]);
    let (first, second) = (json!([MERGED[0]]), json!([MERGED[1]]));
    assert_eq!(
        kinds,
        [("absorbed", &both, &survivor), ("merged_into", &first, &survivor), ("merged_into", &second, &survivor)]
    );
    assert_eq!(up["edges"][0]["area_after_ha"], 3174.69);
    let down = read(db, "/api/parks/S437003/lineage").await;
    assert_eq!(codes(&down["nodes"]), ["S437003", "G432033"]);
    assert_eq!(down["nodes"][0]["status"], "merged");

    // Which parks lay there, against PostGIS on the spheroid.
    let on_eve = read(db, &format!("/api/parks/{SURVIVOR}/predecessors?on={EVE}")).await;
    let mut found = codes(&on_eve["parks"]);
    found.sort();
    assert_eq!(found, ["G432033", "S437001", "S437003"]);
    for park in on_eve["parks"].as_array().expect("parks") {
        let code = park["code"].as_str().expect("code");
        let judged: f64 = db
            .value(&format!(
                "SELECT sum(ST_Area(geom::geography)) FROM park_block WHERE park_code = '{code}' AND valid_from <= '{EVE}' AND '{EVE}' < valid_to"
            ))
            .await;
        let common = park["common_area_m2"].as_f64().expect("area");
        assert!((common / judged - 1.0).abs() < 1e-6, "{code}: {common} {judged}");
        assert_eq!((&park["share_of_that"], &park["illustrative"]), (&json!(1.0), &json!(true)), "{code}");
    }
    let shares: f64 =
        on_eve["parks"].as_array().expect("parks").iter().filter_map(|p| p["share_of_this"].as_f64()).sum();
    assert!((shares - 1.0).abs() < 1e-5, "{shares}");
    let on_day = read(db, &format!("/api/parks/{SURVIVOR}/predecessors?on={DAY}")).await;
    assert_eq!(codes(&on_day["parks"]), [SURVIVOR]);
    assert_eq!(on_day["parks"][0]["share_of_this"], json!(1.0));
    // Of a park that has ended: where it lay last.
    let ended = read(db, &format!("/api/parks/S437001/predecessors?on={DAY}")).await;
    assert_eq!((codes(&ended["parks"]), &ended["ended_on"]), (vec![SURVIVOR.to_owned()], &json!(DAY)));
    let ended = read(db, &format!("/api/parks/S437001/predecessors?on={EVE}")).await;
    assert_eq!(codes(&ended["parks"]), ["S437001"]);

    // The directory of each day, and what differs.
    for (day, there, here) in [(EVE, true, "1733.5"), (DAY, false, "3174.69")] {
        let directory = read(db, &format!("/api/directories/as-of?on={day}")).await;
        let all = codes(&directory["parks"]);
        assert_eq!(all.len(), if there { 129 } else { 127 }, "{day}");
        assert!(MERGED.iter().all(|code| all.contains(&(*code).to_owned()) == there), "{day}");
        let survivor =
            directory["parks"].as_array().expect("parks").iter().find(|p| p["code"] == SURVIVOR).expect("survivor");
        assert_eq!(survivor["area_ha"].to_string(), here, "{day}");
    }
    let difference = read(db, &format!("/api/directories/difference?from={EVE}&to={DAY}")).await;
    assert_eq!(difference["added"], json!([]));
    let gone: Vec<(&Value, &Value, &Value)> = difference["gone"]
        .as_array()
        .expect("gone")
        .iter()
        .map(|g| (&g["code"], &g["successors"], &g["status"]))
        .collect();
    assert_eq!(gone, [(&merged[0], &survivor, &json!("merged")), (&merged[1], &survivor, &json!("merged"))]);
    let changed = difference["changed"].as_array().expect("changed");
    assert_eq!((changed.len(), &changed[0]["code"]), (1, &json!(SURVIVOR)));
    let area = changed[0]["changes"].as_array().expect("changes").iter().find(|c| c["name"] == "area_ha");
    assert_eq!(area, Some(&json!({"name": "area_ha", "before": 1733.5, "after": 3174.69})));
    assert_eq!(difference["unchanged"], 126);
    // The card of a park that was merged stays readable.
    let card = read(db, "/api/parks/S437001").await;
    assert_eq!((&card["status"], &card["successor_code"]), (&json!("merged"), &json!(SURVIVOR)));
    for (day, blocks) in [(EVE, 3), (DAY, 0)] {
        let path = format!("/api/collections/park_blocks/items?park_code=S437001&datetime={day}");
        assert_eq!(read(db, &path).await["numberMatched"], blocks, "{day}");
    }
    assert_eq!(read(db, "/api/collections/park_blocks/items?park_code=S437001").await["numberMatched"], 0);
    let standing = read(db, &format!("/api/collections/parks/items?datetime={EVE}&limit=200")).await;
    assert_eq!(standing["numberMatched"], 129);
    let standing = read(db, &format!("/api/collections/parks/items?datetime={DAY}&limit=200")).await;
    assert_eq!(standing["numberMatched"], 127);
}

#[actix_web::test]
async fn nobody_acts_on_a_picture_that_is_no_more() {
    let db = Database::with_sample().await;
    let seen = newest(&db).await;
    let rename = |name: &str, seen: Option<i64>| json!({"kind": "renamed", "park": "S437001", "name": name, "on": "2026-01-10", "seen_revision": seen});
    happen(&db, &rename("甲经济开发区", None)).await.assert_problem(428, "version_missing");
    happen(&db, &rename("甲经济开发区", Some(seen + 5))).await.assert_problem(412, "version_stale");
    // Two at once: one of them is told.
    let (one, other) = (merger(seen), rename("乙经济开发区", Some(seen)));
    let (a, b) = tokio::join!(happen(&db, &one), happen(&db, &other));
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 412], "{} {}", a.text(), b.text());
    assert_eq!(newest(&db).await, seen + 1);
    // A repetition with the same key does nothing again and is told the same.
    let db = Database::with_sample().await;
    let seen = newest(&db).await;
    let key = [("idempotency-key", "k-1")];
    let body = rename("甲经济开发区", Some(seen));
    let first = crate::support::land::send(&db, "/api/park-events", &key, &body).await;
    let second = crate::support::land::send(&db, "/api/park-events", &key, &body).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16(), newest(&db).await), (201, 201, seen + 1));
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    assert_eq!(first.json(), second.json());
    let undone = undo(&db, seen + 1).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    let third = crate::support::land::send(&db, "/api/park-events", &key, &body).await;
    third.assert_problem(409, "undone_since");
}

#[actix_web::test]
async fn a_renamed_park_has_its_old_name_on_old_days() {
    let db = Database::with_sample().await;
    let body = json!({"kind": "renamed", "park": "S437001", "name": "天心数谷产业园区", "on": "2025-05-01", "seen_revision": newest(&db).await,
                      "document_no": "湘政函〔2025〕3号（示意）"});
    let done = happen(&db, &body).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let name = |directory: &Value| {
        let parks = directory["parks"].as_array().expect("parks");
        parks.iter().find(|p| p["code"] == "S437001").expect("park")["name"].as_str().expect("name").to_owned()
    };
    for (day, expected) in
        [("2010-01-01", "长沙天心经济开发区"), ("2025-04-30", "长沙天心经济开发区"), ("2025-05-01", "天心数谷产业园区")]
    {
        let directory = read(&db, &format!("/api/directories/as-of?on={day}")).await;
        assert_eq!(name(&directory), expected, "{day}");
    }
    let card = read(&db, "/api/parks/S437001").await;
    assert_eq!(card["aliases"], json!(["长沙天心经济开发区"]));
    let difference = read(&db, "/api/directories/difference?from=2025-04-30&to=2025-05-01").await;
    let changes = json!([{"name": "name", "before": "长沙天心经济开发区", "after": "天心数谷产业园区"}]);
    assert_eq!(difference["changed"][0]["changes"], changes);
    // A correction that is no event counts from the day it was made; old days keep what was said.
    db.write("UPDATE park SET leading_industries = '{数字产业}' WHERE code = 'S437001'").await;
    let parks = read(&db, "/api/directories/as-of?on=2025-06-01").await;
    let park =
        parks["parks"].as_array().expect("parks").iter().find(|p| p["code"] == "S437001").cloned().expect("park");
    assert_eq!(
        (&park["name"], &park["leading_industries"]),
        (&json!("天心数谷产业园区"), &json!(["电气机械", "商贸服务", "新能源"]))
    );
    // What came later stands in the way of the undo; it is undone first.
    undo(&db, done.json()["revision"].as_i64().expect("revision")).await.assert_problem(409, "undo_conflict");
}

#[actix_web::test]
async fn an_upgraded_park_goes_on_under_its_new_code() {
    let db = Database::with_sample().await;
    let before = contents(&db).await;
    let body = json!({
        "kind": "upgraded", "park": "S437003", "on": "2026-02-01", "document_no": "国函〔2026〕1号（示意）", "seen_revision": newest(&db).await,
        "into": {"code": "G431999", "name": "长沙雨花国家级经济技术开发区", "type": "经济技术开发区", "prefecture": "430100",
                 "counties": ["430111"], "leading_industries": ["智能装备"]},
    });
    let mut provincial = body.clone();
    provincial["into"]["code"] = json!("S437999");
    let problem = happen(&db, &provincial).await.assert_problem(400, "park_event_refused");
    assert_eq!(problem["findings"][0]["code"], "level_contradicts_code");
    let done = happen(&db, &body).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let rows: Vec<String> = db
        .column(
            "SELECT code || ' ' || level || ' ' || status || ' ' || coalesce(successor_code, '-') || ' ' || trim_scale(approved_area_ha) || ' ' || valid_from || ' ' || valid_to
             FROM park WHERE code IN ('S437003', 'G431999') ORDER BY code",
        )
        .await;
    assert_eq!(
        rows,
        [
            "G431999 国家级 active - 997.21 2026-02-01 infinity",
            "S437003 省级 upgraded G431999 997.21 2002-07-01 2026-02-01"
        ]
    );
    let lineage = read(&db, "/api/parks/G431999/lineage").await;
    assert_eq!(codes(&lineage["nodes"]), ["G431999", "S437003"]);
    let lay = read(&db, "/api/parks/G431999/predecessors?on=2020-01-01").await;
    assert_eq!(codes(&lay["parks"]), ["S437003"]);
    happen(&db, &json!({"kind": "revoked", "park": "S437003", "seen_revision": newest(&db).await}))
        .await
        .assert_problem(409, "event_not_allowed");
    // What stands on the new park now keeps it.
    let revision = done.json()["revision"].as_i64().expect("revision");
    db.write("INSERT INTO park_event (id, park_code, kind, source) VALUES ('later', 'G431999', 'adjusted', 'test')")
        .await;
    let refused = undo(&db, revision).await.assert_problem(409, "undo_conflict");
    assert_eq!(refused["findings"][0]["code"], "park_in_use");
    db.write("DELETE FROM park_event WHERE id = 'later'").await;
    let undone = undo(&db, revision).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    assert_eq!(contents(&db).await, before);
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn an_area_of_nothing_is_an_area_of_the_event_and_none_of_the_park() {
    let db = Database::with_sample().await;
    let seen = newest(&db).await;
    let revoked = |out: &str| {
        json!({"kind": "revoked", "park": "S437003", "on": DAY, "seen_revision": seen,
               "areas": {"before_ha": "997.21", "out_ha": out, "in_ha": "0", "after_ha": "0"}})
    };
    let problem = happen(&db, &revoked("900")).await.assert_problem(400, "park_event_refused");
    assert_eq!(problem["findings"][0]["code"], "event_area_arithmetic", "{problem}");
    let done = happen(&db, &revoked("997.21")).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let kept: String = db
        .value(
            "SELECT e.area_after_ha || ' ' || p.approved_area_ha FROM park_event e JOIN park p ON p.code = e.park_code
             WHERE e.park_code = 'S437003' AND e.kind = 'revoked'",
        )
        .await;
    assert_eq!(kept, "0.0000 997.2100");
    // Of a park that goes on: the register's area stays, and that is said.
    let mut body = merger(newest(&db).await);
    body["parks"] = json!(["S437001"]);
    body["areas"] = json!({"after_ha": "0"});
    let done = happen(&db, &body).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let warnings = done.json()["warnings"].clone();
    assert!(warnings.as_array().expect("list").iter().any(|w| w["code"] == "approved_area_kept"), "{warnings}");
    let kept: String = db.value(&format!("SELECT approved_area_ha::text FROM park WHERE code = '{SURVIVOR}'")).await;
    assert_eq!(kept, "1733.5000");
}

/// The log tells one version of a park per revision: of a day between two events of one revision it would tell the later one.
#[actix_web::test]
async fn a_scenario_has_one_day_of_each_park() {
    let db = Database::with_sample().await;
    let renamed = json!({"op": "park_event", "kind": "renamed", "park": "S437001", "name": "天心数谷产业园区", "on": "2026-01-10",
                         "areas": {"after_ha": "450"}});
    let later = json!({"op": "park_event", "kind": "revoked", "park": "S437001", "on": "2026-02-10"});
    let other = json!({"op": "park_event", "kind": "revoked", "park": "S437003", "on": "2026-02-10"});
    for (second, expected) in [(later, Some("event_not_allowed")), (other, None)] {
        let body = json!({"name": "两日", "operations": [renamed, second]});
        let made = crate::support::land::send(&db, "/api/scenarios", &[], &body).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let told = get_authorised(&db, &format!("/api/scenarios/{}/evaluation", made.json()["id"])).await.json();
        assert_eq!(told["operations"][0]["ok"], true, "{told}");
        assert_eq!(told["operations"][1]["code"].as_str(), expected, "{told}");
        assert_eq!(told["possible"], json!(expected.is_none()), "{told}");
    }
}

#[actix_web::test]
async fn a_park_that_was_surveyed_in_part_comes_back_as_it_was() {
    let db = Database::with_sample().await;
    let first: String = db.value("SELECT min(id) FROM park_block WHERE park_code = 'S437001'").await;
    db.write(&format!("UPDATE park_block SET illustrative = false WHERE id = '{first}'")).await;
    let before = contents(&db).await;
    let body = json!({"kind": "revoked", "park": "S437001", "on": DAY, "seen_revision": newest(&db).await});
    let done = happen(&db, &body).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let undone = undo(&db, done.json()["revision"].as_i64().expect("revision")).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    assert_eq!(contents(&db).await, before);
}

#[actix_web::test]
async fn a_park_is_established_and_revoked_with_its_blocks() {
    let db = Database::with_sample().await;
    let before = contents(&db).await;
    let (x, y): (f64, f64) = (113.6, 27.2);
    let square = |x: f64, y: f64, side: f64| json!({"type": "Polygon", "coordinates": [[[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]]});
    let blocks = |list: Vec<(&str, Value)>| {
        let features: Vec<Value> = list
            .into_iter()
            .map(|(number, shape)| json!({"type": "Feature", "geometry": shape,
                "properties": {"number": number, "name": format!("{number}区"), "east": "甲路", "south": "乙路", "west": "丙路", "north": "丁路"}}))
            .collect();
        json!({"type": "FeatureCollection", "features": features})
    };
    let park = json!({"code": "S439998", "name": "示意新区", "level": "省级", "type": "省级工业园区及其他", "prefecture": "430100",
                      "leading_industries": ["新材料、装备制造", "食品"], "approved_area_ha": "210.5"});
    let body = json!({"kind": "established", "park": park, "on": "2026-01-05", "document_no": "湘政函〔2026〕1号（示意）",
                      "blocks": blocks(vec![("1", square(x, y, 0.01)), ("2", square(x + 0.02, y, 0.01))])});
    let mut crossing = body.clone();
    crossing["blocks"]["features"][0]["geometry"] = json!({"type": "Polygon", "coordinates": [[[x, y], [x + 0.01, y + 0.01], [x + 0.01, y], [x, y + 0.01], [x, y]]]});
    happen(&db, &crossing).await.assert_problem(400, "park_event_refused");
    let mut twice = body.clone();
    twice["blocks"] = blocks(vec![("1", square(x, y, 0.01)), ("2", square(x + 0.005, y, 0.01))]);
    let problem = happen(&db, &twice).await.assert_problem(400, "park_event_refused");
    assert_eq!(problem["findings"][0]["code"], "overlap_within_file");
    assert_eq!(contents(&db).await, before);
    let mut odd = body.clone();
    odd["blocks"]["features"][0]["properties"]["备注"] = json!("a\u{0}b");
    let problem = happen(&db, &odd).await.assert_problem(400, "park_event_refused");
    assert_eq!(problem["findings"][0]["code"], "text_control_character", "{problem}");
    let mut elsewhere = body.clone();
    elsewhere["park"]["counties"] = json!(["430102", "430202"]);
    let problem = happen(&db, &elsewhere).await.assert_problem(400, "park_event_refused");
    let told: Vec<(&Value, &Value)> =
        problem["findings"].as_array().expect("list").iter().map(|f| (&f["code"], &f["field"])).collect();
    assert_eq!(told, [(&json!("county_invalid"), &json!("counties"))], "{problem}");
    let mut nothing = body.clone();
    nothing["park"]["approved_area_ha"] = json!("0");
    happen(&db, &nothing).await.assert_problem(400, "area_invalid");
    let mut elsewhere = body.clone();
    elsewhere["blocks"]["features"][0]["geometry"] = square(2.3, 48.8, 0.01);
    happen(&db, &elsewhere).await.assert_problem(400, "park_event_refused");
    assert_eq!(contents(&db).await, before);
    let done = happen(&db, &body).await;
    assert_eq!(done.status, 201, "{}", done.text());
    assert_eq!(done.json()["blocks"]["begun"], json!(["S439998-1", "S439998-2"]));
    let areas: Vec<f64> =
        db.column("SELECT area_m2 / ST_Area(geom::geography) FROM park_block WHERE park_code = 'S439998'").await;
    assert!(areas.len() == 2 && areas.iter().all(|ratio| (ratio - 1.0).abs() < 1e-6), "{areas:?}");
    let directory = read(&db, "/api/directories/as-of?on=2026-01-05").await;
    let entry =
        directory["parks"].as_array().expect("parks").iter().find(|p| p["code"] == "S439998").cloned().expect("entry");
    assert_eq!(
        (&entry["area_ha"], &entry["leading_industries"]),
        (&json!(210.5), &json!(["新材料", "装备制造", "食品"]))
    );
    assert!(entry["four_extents"].as_str().expect("words").contains("东至甲路"), "{entry}");
    let directory = read(&db, "/api/directories/as-of?on=2026-01-04").await;
    assert!(!codes(&directory["parks"]).contains(&"S439998".to_owned()));
    // The map shows it at once.
    let item = get(&db, "/api/collections/parks/items/S439998").await;
    assert_eq!(item.status, 200, "{}", item.text());

    let body = json!({"kind": "revoked", "park": "S439998", "on": "2026-06-01", "seen_revision": newest(&db).await});
    let revoked = happen(&db, &body).await;
    assert_eq!(revoked.status, 201, "{}", revoked.text());
    let status: String = db.value("SELECT status || ' ' || valid_to FROM park WHERE code = 'S439998'").await;
    assert_eq!(status, "revoked 2026-06-01");
    let standing: i64 =
        db.value("SELECT count(*) FROM park_block WHERE park_code = 'S439998' AND valid_to = 'infinity'").await;
    assert_eq!(standing, 0);
    let (second, first) = (revoked.json()["revision"].clone(), done.json()["revision"].clone());
    undo(&db, first.as_i64().expect("number")).await.assert_problem(409, "undo_conflict");
    for revision in [second, first] {
        let undone = undo(&db, revision.as_i64().expect("number")).await;
        assert_eq!(undone.status, 200, "{}", undone.text());
    }
    assert_eq!(contents(&db).await, before);
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn parcels_of_a_revoked_park_lie_in_none() {
    let db = Database::with_sample().await;
    settle(&db, "revoke").await;
    let before = contents(&db).await;
    let body = json!({"kind": "revoked", "park": "S437003", "on": DAY, "seen_revision": newest(&db).await});
    let done = happen(&db, &body).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let told = done.json();
    assert_eq!(
        told["parcels"],
        json!([
            {"collection": "turnover_parcels", "from": "S437003", "to": null, "count": 150, "plans": 0},
            {"collection": "low_efficiency_parcels", "from": "S437003", "to": null, "count": 100, "plans": 40},
        ])
    );
    assert!(told["warnings"].as_array().expect("list").iter().any(|w| w["code"] == "parcels_outside_parks"), "{told}");
    let left: i64 = db.value("SELECT count(*) FROM turnover_parcel WHERE park_code IS NULL AND block_id IS NULL AND inside_share IS NULL").await;
    assert_eq!(left, 150);
    // A parcel that moved on since stands in nobody's way and is placed anew.
    db.write("UPDATE turnover_parcel SET note = '后来的备注' WHERE number = 'P1-0'").await;
    let undone = undo(&db, told["revision"].as_i64().expect("revision")).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    db.write("UPDATE turnover_parcel SET note = NULL WHERE number = 'P1-0'").await;
    assert_eq!(contents(&db).await, before);
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn only_whoever_is_responsible_for_all_parks_may_write() {
    let db = Database::with_sample().await;
    let seen = newest(&db).await;
    accounts::add(&db, "yuhua", Role::Editor, &["430111"]).await;
    accounts::add(&db, "changsha", Role::Editor, &["430100"]).await;
    accounts::add(&db, "reader", Role::Staff, &["430100"]).await;
    let post = |cookie: String, body: Value| {
        accounts::from_page(actix_web::http::Method::POST, "/api/park-events", &cookie).set_json(body)
    };
    let county = accounts::login(&db, "yuhua").await;
    call(&db, post(county, merger(seen))).await.assert_problem(403, "outside_jurisdiction");
    let reader = accounts::login(&db, "reader").await;
    call(&db, post(reader, merger(seen))).await.assert_problem(403, "role_insufficient");
    let city = accounts::login(&db, "changsha").await;
    let done = call(&db, post(city.clone(), merger(seen))).await;
    assert_eq!(done.status, 201, "{}", done.text());
    // Elsewhere is not theirs, neither to write nor to undo.
    let other = json!({"kind": "revoked", "park": "S437022", "seen_revision": seen});
    call(&db, post(city, other)).await.assert_problem(403, "outside_jurisdiction");
    let county = accounts::login(&db, "yuhua").await;
    let path = format!("/api/revisions/{}/undo", seen + 1);
    let request = accounts::from_page(actix_web::http::Method::POST, &path, &county).set_json(json!({}));
    call(&db, request).await.assert_problem(403, "outside_jurisdiction");
    for (body, status, code) in [
        (json!({"kind": "revoked", "park": "S439999", "seen_revision": seen}), 404, "park_not_found"),
        (
            json!({"kind": "merged_into", "parks": ["S437002", "S437002"], "into": "G431033", "seen_revision": seen}),
            400,
            "member_invalid",
        ),
        (
            json!({"kind": "merged_into", "parks": ["S437002"], "into": "S437002", "seen_revision": seen}),
            400,
            "member_invalid",
        ),
        (json!({"kind": "merged_into", "parks": [], "into": "G431033"}), 400, "member_invalid"),
        (json!({"kind": "renamed", "park": "S437002", "name": "  ", "seen_revision": seen}), 400, "member_invalid"),
        (
            json!({"kind": "renamed", "park": "S437002", "name": "a\u{202E}b", "seen_revision": seen}),
            400,
            "value_invalid",
        ),
        (
            json!({"kind": "renamed", "park": "S437002", "name": "长沙金霞经济开发区", "seen_revision": seen}),
            400,
            "park_event_refused",
        ),
        (
            json!({"kind": "revoked", "park": "S437002", "allow": ["event_not_allowed"], "seen_revision": seen}),
            400,
            "allow_not_possible",
        ),
        (
            json!({"kind": "upgraded", "park": "G431033", "seen_revision": seen, "into": {"code": "G431998", "name": "x", "prefecture": "430100"}}),
            409,
            "event_not_allowed",
        ),
    ] {
        happen(&db, &body).await.assert_problem(status, code);
    }
}
