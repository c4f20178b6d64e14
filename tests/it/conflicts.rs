//! Conflicts of the register with itself: found as PostGIS finds them, followed edit by edit, the same by the same id.

use std::collections::BTreeMap;

use actix_web::http::Method;
use serde_json::{Value, json};
use sizhi::domain::access::Role;
use sizhi::geometry::area;
use sizhi::inventory::conflicts::{Audited, audit};
use sizhi::inventory::progress::Silent;
use sizhi::inventory::sample;
use sizhi::store::geometry_column;
use sqlx::AssertSqlSafe;

use crate::support::accounts::{add, issue, with_token};
use crate::support::http::{Answer, authorised, call, get, get_authorised};
use crate::support::process::{run, sizhi};
use crate::support::{Database, parcels};

const CONFLICTS: &str = "/api/conflicts";

/// Brings memory and conflicts to where the register stands.
async fn audited(db: &Database, whole: bool) -> Option<Audited> {
    db.live.refresh().await.expect("refreshed");
    audit(&db.application, &db.live, whole).await.expect("audited")
}

async fn listed(db: &Database, query: &str) -> Value {
    let answer = get_authorised(db, &format!("{CONFLICTS}?limit=10000{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/geo+json"));
    answer.json()
}

/// Area and class of each conflict by its two sides.
fn by_sides(list: &Value) -> BTreeMap<[String; 4], (String, f64)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let of = |feature: &Value| {
        let p = &feature["properties"];
        let sides = [&p["a"]["collection"], &p["a"]["id"], &p["b"]["collection"], &p["b"]["id"]].map(text);
        (sides, (text(&p["class"]), p["area_m2"].as_f64().expect("m²")))
    };
    list["features"].as_array().expect("features").iter().map(of).collect()
}

/// A register with drawn parcels and lines, and parcels that lie across one another, across a block's border and in a red line.
async fn tangled() -> Database {
    let db = Database::with_sample().await;
    sample::seed_zones(&db.pool, "test").await.expect("zones");
    sample::seed_parcels(&db.pool, "test", 400, &Silent).await.expect("parcels");
    let (x, y, block) = parcels::inside(&db, parcels::PARK).await;
    let edge: f64 = sqlx::query_scalar("SELECT ST_XMax(geom) FROM park_block WHERE id = $1")
        .bind(&block)
        .fetch_one(&db.pool)
        .await
        .expect("edge");
    let features = [
        (json!({"地块编号": "X1"}), parcels::square(x, y, 0.002)),
        (json!({"地块编号": "X2"}), parcels::square(x + 0.001, y + 0.001, 0.002)),
        (json!({"地块编号": "X3"}), parcels::square(edge - 0.004, y, 0.008)),
    ];
    let file = parcels::file("tangled.geojson", &features);
    let imported = db
        .import(&file, |request| {
            parcels::into("turnover_parcels")(request);
            request.allow = vec!["overlap_within_file".to_owned()];
        })
        .await
        .expect("imported");
    assert!(imported.revision.is_some(), "{:?}", imported.report.findings);
    let line = json!({"编号": "R-X", "县区代码": parcels::COUNTY});
    let red = parcels::file("tangled-red.geojson", &[(line, parcels::square(x + 0.0015, y - 0.001, 0.002))]);
    let imported = db
        .import(&red, |request| {
            request.layer = "control_zones".to_owned();
            request.zone_kind = Some("ecological_red_line".to_owned());
        })
        .await
        .expect("imported");
    assert!(imported.revision.is_some(), "{:?}", imported.report.findings);
    db
}

/// What PostGIS finds: common land beyond a square centimetre of every audited pair, by the formula; land outside of all boundaries.
async fn judged(db: &Database) -> BTreeMap<[String; 4], f64> {
    let all = "SELECT 1 AS rank, 'turnover_parcels' AS layer, id, geom, NULL::text AS effect FROM turnover_parcel WHERE valid_to = 'infinity'
               UNION ALL SELECT 2, 'low_efficiency_parcels', id, geom, NULL FROM low_efficiency_parcel WHERE valid_to = 'infinity'
               UNION ALL SELECT 3, 'park_blocks', id, geom, NULL FROM park_block WHERE valid_to = 'infinity'
               UNION ALL SELECT 4, 'control_zones', z.id, z.geom, k.effect FROM control_zone z JOIN known_zone_kind k ON k.code = z.kind";
    let sql = format!(
        "WITH f AS MATERIALIZED ({all})
         SELECT a.layer, a.id, b.layer, b.id, ST_AsEWKB(ST_Multi(ST_CollectionExtract(ST_Intersection(a.geom, b.geom), 3))),
                a.rank < 3 AND b.rank = 3 AS is_in_block, ST_AsEWKB(a.geom)
         FROM f a JOIN f b ON a.geom && b.geom AND (a.rank, a.id) < (b.rank, b.id) AND ST_Intersects(a.geom, b.geom)
         WHERE a.rank < 4 AND coalesce(b.effect, 'keep_out') = 'keep_out'
         UNION ALL
         SELECT a.layer, a.id, 'control_zones', 'development_boundary',
                ST_AsEWKB(ST_Multi(ST_CollectionExtract(ST_Difference(a.geom, t.geom), 3))), false, ST_AsEWKB(a.geom)
         FROM f a, (SELECT ST_Union(geom) AS geom FROM control_zone WHERE kind = 'development_boundary') t WHERE a.rank < 4"
    );
    let rows: Vec<(String, String, String, String, Option<Vec<u8>>, bool, Vec<u8>)> =
        sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&db.pool).await.expect("judge");
    let m2 = |land: &[u8]| area::ellipsoidal(&geometry_column::decode(land).expect("polygons")).value();
    let judged = rows.into_iter().filter_map(|(layer_a, a, layer_b, b, land, is_in_block, whole)| {
        let common = m2(&land?);
        // A parcel lies in its block: what is left over counts.
        let counts = common > 1e-4 && !(is_in_block && m2(&whole) - common < 1e-3);
        counts.then_some(([layer_a, a, layer_b, b], common))
    });
    judged.collect()
}

#[actix_web::test]
async fn a_whole_audit_finds_what_postgis_finds() {
    let db = tangled().await;
    let done = audited(&db, false).await.expect("an audit");
    assert_eq!((done.touched, done.changed, done.closed, done.not_compared), (None, 0, 0, 0));
    let list = listed(&db, "").await;
    let found = by_sides(&list);
    let gaps = found.values().filter(|(class, _)| class == "gap").count();
    let judge = judged(&db).await;
    let ours: BTreeMap<&[String; 4], f64> =
        found.iter().filter(|(_, (class, _))| class != "gap").map(|(sides, (_, m2))| (sides, *m2)).collect();
    assert_eq!(ours.keys().copied().collect::<Vec<_>>(), judge.keys().collect::<Vec<_>>());
    for (sides, m2) in &ours {
        assert!((m2 - judge[*sides]).abs() < 1e-4 + 1e-9 * m2, "{sides:?}: {m2} against {}", judge[*sides]);
    }
    assert_eq!(done.opened, ours.len() + gaps);
    let classes: Vec<&str> = found.values().map(|(class, _)| class.as_str()).collect();
    for class in ["overlap", "outside"] {
        assert!(classes.contains(&class), "{class} of {classes:?}");
    }
    // What was tangled on purpose is there, on the right sides.
    let id = |number: &str| format!("{}-{number}", parcels::COUNTY);
    let pair = |a: &str, layer: &str, b: String| ["turnover_parcels".to_owned(), id(a), layer.to_owned(), b];
    assert_eq!(found[&pair("X1", "turnover_parcels", id("X2"))].0, "overlap");
    assert_eq!(found[&pair("X1", "control_zones", "ecological_red_line-R-X".to_owned())].0, "overlap");
    let crossing = found.keys().filter(|sides| sides[1] == id("X3") && sides[2] == "park_blocks").count();
    assert_eq!(crossing, 1, "{found:?}");
    // A second time there is nothing to do; and the whole again changes nothing.
    assert_eq!(audited(&db, false).await, None);
    let again = audited(&db, true).await.expect("again");
    assert_eq!((again.opened, again.changed, again.closed), (0, 0, 0));
    assert_eq!(list["audit"]["behind"], 0);
}

#[actix_web::test]
async fn after_every_edit_the_conflicts_are_those_of_a_whole_audit() {
    let db = tangled().await;
    audited(&db, false).await.expect("first");
    let id = |number: &str| format!("{}-{number}", parcels::COUNTY);
    let edits = [
        // A parcel moves off another one.
        format!("UPDATE turnover_parcel SET geom = ST_Translate(geom, 0.01, 0) WHERE id = '{}'", id("X2")),
        // One comes, one goes.
        format!("UPDATE turnover_parcel SET valid_to = current_date WHERE id = '{}'", id("X1")),
        // A name alone.
        "UPDATE park SET name = name || '（改）' WHERE code = 'G431033'".to_owned(),
        // A line moves: land comes out of it and into it.
        "UPDATE control_zone SET geom = ST_Translate(geom, 0.002, 0) WHERE kind = 'development_boundary' AND number LIKE 'G43%'".to_owned(),
        "DELETE FROM control_zone WHERE kind = 'ecological_red_line'".to_owned(),
        // What a kind weighs.
        "INSERT INTO control_zone_kind VALUES ('permanent_farmland', '永久基本农田', 'Farmland', 'keep_out', 'warn', 'note', '甲', '乙', 'test')".to_owned(),
        // A kind that asks for nothing any more, and no line at all.
        "INSERT INTO control_zone_kind VALUES ('development_boundary', '城镇开发边界', 'Boundary', 'inform', 'note', 'note', '', '', 'test')".to_owned(),
        "DELETE FROM control_zone_kind WHERE code = 'development_boundary'".to_owned(),
        "DELETE FROM control_zone WHERE kind = 'development_boundary'".to_owned(),
        // A block of one park over another's.
        "UPDATE park_block b SET geom = o.geom FROM (SELECT geom FROM park_block WHERE park_code = 'G431176' ORDER BY id LIMIT 1) o
         WHERE b.id = (SELECT min(id) FROM park_block WHERE park_code = 'G431177')".to_owned(),
        "DELETE FROM turnover_parcel".to_owned(),
    ];
    let mut moved = 0;
    for sql in edits {
        db.write(&sql).await;
        let step = audited(&db, false).await.unwrap_or_else(|| panic!("{sql}"));
        assert!(step.touched.is_some(), "{sql}: {step:?}");
        moved += step.opened + step.changed + step.closed;
        let whole = audited(&db, true).await.expect("whole");
        assert_eq!((whole.opened, whole.changed, whole.closed), (0, 0, 0), "{sql}: after {step:?}");
    }
    assert!(moved >= 60, "{moved}");
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM conflict WHERE closed_revision IS NULL AND layer_a = 'turnover_parcels'")
            .await,
        0
    );
}

#[actix_web::test]
async fn a_conflict_keeps_its_id_its_lives_and_what_was_said_of_it() {
    let db = Database::with_sample().await;
    let (x, y, _) = parcels::inside(&db, parcels::PARK).await;
    let two = [
        (json!({"地块编号": "1"}), parcels::square(x, y, 0.001)),
        (json!({"地块编号": "2"}), parcels::square(x + 0.0005, y, 0.001)),
    ];
    let file = parcels::file("lives.geojson", &two);
    let allowed = |request: &mut sizhi::inventory::import::ImportRequest| {
        parcels::into("turnover_parcels")(request);
        request.allow = vec!["overlap_within_file".to_owned()];
    };
    audited(&db, false).await.expect("the sample");
    let imported = db.import(&file, allowed).await.expect("imported");
    let opened = audited(&db, false).await.expect("after the import");
    assert_eq!((opened.touched, opened.opened), (Some(2), 1), "{opened:?}");
    let all = listed(&db, "&collection=turnover_parcels").await;
    assert_eq!(all["numberMatched"], 1, "{all}");
    let first = &all["features"][0];
    let id = first["id"].as_str().expect("id").to_owned();
    assert_eq!((&first["properties"]["weight"], &first["properties"]["change"]), (&json!("warn"), &Value::Null));
    assert_eq!(first["properties"]["a"]["park_code"], parcels::PARK);
    let mark = |body: Value| call(&db, authorised(Method::POST, &format!("{CONFLICTS}/{id}/marks")).set_json(body));
    let marked = mark(json!({"verdict": "to_fix", "note": "请测绘队复核"})).await;
    assert_eq!((marked.status.as_u16(), &marked.json()["properties"]["verdict"]), (201, &json!("to_fix")));
    mark(json!({"verdict": "fine"})).await.assert_problem(400, "member_invalid");
    mark(json!({"verdict": "open", "note": "字".repeat(1_001)})).await.assert_problem(400, "value_invalid");
    // Undone, it is closed; imported again, it is open under the same id, with its mark.
    let batch = imported.batch.expect("batch");
    assert_eq!(call(&db, authorised(Method::POST, &format!("/api/imports/{batch}/undo"))).await.status, 200);
    let closed = audited(&db, false).await.expect("after the undo");
    assert_eq!((closed.opened, closed.closed), (0, 1), "{closed:?}");
    assert_eq!(listed(&db, "&collection=turnover_parcels").await["numberMatched"], 0);
    let gone = listed(&db, "&collection=turnover_parcels&state=closed").await;
    assert_eq!((gone["numberMatched"].as_u64(), &gone["features"][0]["id"]), (Some(1), &json!(id)));
    let path = parcels::file("lives-again.geojson", &two);
    let again = db.import(&path, allowed).await.expect("again");
    let again = (
        again.revision.unwrap_or_else(|| panic!("{:?}", again.report.findings)),
        audited(&db, false).await.expect("again"),
    );
    assert_eq!((again.1.opened, again.1.revision), (1, again.0));
    let answer = get_authorised(&db, &format!("{CONFLICTS}/{id}")).await;
    let one = answer.json();
    assert_eq!(one["lives"].as_array().map(Vec::len), Some(2), "{one}");
    assert_eq!(
        (&one["lives"][0]["closed_revision"], &one["lives"][1]["closed_revision"]),
        (&Value::Null, &json!(closed.revision))
    );
    assert_eq!((&one["properties"]["verdict"], &one["marks"][0]["note"]), (&json!("to_fix"), &json!("请测绘队复核")));
    // What became of it since: of a day before all, of a moment after all.
    let since = listed(&db, "&since=2000-01-01&collection=turnover_parcels").await;
    let changes: Vec<&Value> =
        since["features"].as_array().expect("features").iter().map(|f| &f["properties"]["change"]).collect();
    assert_eq!(changes, [&json!("closed"), &json!("opened")]);
    assert_eq!(listed(&db, "&since=2199-01-01").await["numberMatched"], 0);
    for (query, code) in [
        ("since=gestern", "since_invalid"),
        ("state=gone", "value_invalid"),
        ("collection=parks", "value_invalid"),
        ("bbox=1,2,3", "bbox_invalid"),
        ("class=fat", "value_invalid"),
        ("park=x", "park_code_invalid"),
        ("after=0", "value_invalid"),
        ("sort=1", "parameter_unknown"),
    ] {
        get_authorised(&db, &format!("{CONFLICTS}?{query}")).await.assert_problem(400, code);
    }
    for path in ["0123456789abcdef0123", "%00", "x%2Fy"] {
        get_authorised(&db, &format!("{CONFLICTS}/{path}")).await.assert_problem(404, "conflict_not_found");
    }
    // Pages go on where the last one ended.
    let page = get_authorised(&db, &format!("{CONFLICTS}?state=all&collection=turnover_parcels&limit=1")).await.json();
    let next =
        page["links"].as_array().expect("links").iter().find(|link| link["rel"] == "next").expect("next")["href"]
            .clone();
    let next = get_authorised(&db, &crate::support::http::path_of(&next)).await.json();
    assert_eq!((&next["numberReturned"], &next["features"][0]["id"]), (&json!(1), &json!(id)));
}

#[actix_web::test]
async fn a_conflict_shows_to_whoever_may_see_both_of_its_sides() {
    let db = tangled().await;
    audited(&db, false).await.expect("audited");
    get(&db, CONFLICTS).await.assert_problem(401, "token_missing");
    for (name, role, divisions) in [
        ("own.planner", Role::Planner, &[parcels::COUNTY][..]),
        ("other.planner", Role::Planner, &["430200"]),
        ("own.staff", Role::Staff, &[parcels::COUNTY]),
    ] {
        add(&db, name, role, divisions).await;
    }
    let ask = |name: &'static str, path: String| {
        let db = &db;
        async move {
            let token =
                issue(db, json!({"account": name, "name": "test"})).await["token"].as_str().expect("token").to_owned();
            call(db, with_token(Method::GET, &path, &token)).await
        }
    };
    ask("own.staff", CONFLICTS.to_owned()).await.assert_problem(403, "role_insufficient");
    let count = |answer: Answer| answer.json()["numberMatched"].as_i64().expect("count");
    let parcels_of = format!("{CONFLICTS}?collection=turnover_parcels,low_efficiency_parcels");
    let own: i64 = db
        .value(&format!(
            "SELECT count(*) FROM conflict WHERE division_a = '{0}' AND coalesce(division_b, '{0}') = '{0}'",
            parcels::COUNTY
        ))
        .await;
    assert!(own >= 3, "{own}");
    assert_eq!(count(ask("own.planner", parcels_of.clone()).await), own);
    // Of parks and lines everybody sees all.
    let open: i64 = db.value("SELECT count(*) FROM conflict WHERE division_a IS NULL").await;
    assert!(open > 0);
    for name in ["own.planner", "other.planner"] {
        assert_eq!(count(ask(name, format!("{CONFLICTS}?collection=park_blocks&state=all&feature=none")).await), 0);
    }
    let all_of_other: i64 = count(ask("other.planner", CONFLICTS.to_owned()).await);
    let expected: i64 = db
        .value("SELECT count(*) FROM conflict WHERE coalesce(division_a, '430201') LIKE '4302%' AND coalesce(division_b, '430201') LIKE '4302%'")
        .await;
    assert_eq!(all_of_other, expected);
    let foreign: String =
        db.value(&format!("SELECT min(id) FROM conflict WHERE division_a = '{}'", parcels::COUNTY)).await;
    ask("other.planner", format!("{CONFLICTS}/{foreign}")).await.assert_problem(404, "conflict_not_found");
}

#[actix_web::test]
async fn the_command_line_audits_and_refuses_what_blocks() {
    let db = tangled().await;
    let check = |more: &[&str]| {
        let mut command = sizhi(&["check", "register", "--json"]);
        command.args(more);
        command
    };
    let url = db.url().await;
    let mut first = check(&["--limit", "5"]);
    first.env("DATABASE_URL", &url);
    let output = run(first, b"");
    let told: Value = serde_json::from_slice(&output.stdout).expect("json");
    let blocks: i64 = db.value("SELECT count(*) FROM conflict WHERE weight = 'block'").await;
    assert!(blocks > 0);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((&told["by_weight"]["block"], told["conflicts"].as_array().map(Vec::len)), (&json!(blocks), Some(5)));
    let all: i64 = db.value("SELECT count(*) FROM conflict").await;
    assert_eq!(told["audited"]["opened"], all);
    let mut second = check(&[]);
    second.env("DATABASE_URL", &url);
    let told: Value = serde_json::from_slice(&run(second, b"").stdout).expect("json");
    assert_eq!(told["audited"], Value::Null);
    // The server over the same register goes on from there.
    assert_eq!(audited(&db, false).await, None);
}

/// Open gaps between two blocks, as the register has them.
async fn gaps(db: &Database) -> i64 {
    db.value("SELECT count(*) FROM conflict WHERE class = 'gap' AND closed_revision IS NULL AND feature_a LIKE '%-G_'")
        .await
}

#[actix_web::test]
async fn a_third_block_fills_a_gap_and_lays_it_bare() {
    let db = Database::with_sample().await;
    audited(&db, false).await.expect("the sample");
    // 4e-6 degrees are 0.4 m.
    let block = |id: &str, west: f64, east: f64| {
        format!(
            "INSERT INTO park_block (id, park_code, number, name, geom, area_m2, stated_area_ha, source)
             SELECT '{0}-G{id}', '{0}', 'G{id}', '块', g, ST_Area(g::geography), 100, '实测（试验）'
             FROM (SELECT ST_Multi(ST_MakeEnvelope({west}, 26.0, {east}, 26.01, 4490)) AS g) AS b;",
            parcels::PARK
        )
    };
    let strip = [111.01, 111.01 + 4e-6];
    let edits = [
        (format!("{}{}", block("1", 111.0, strip[0]), block("2", strip[1], 111.02)), 1),
        (block("3", strip[0], strip[1]), 0),
        ("UPDATE park_block SET geom = ST_Translate(geom, 0, 1) WHERE number = 'G3'".to_owned(), 1),
        ("UPDATE park_block SET geom = ST_Translate(geom, 0, -1) WHERE number = 'G3'".to_owned(), 0),
        ("DELETE FROM park_block WHERE number = 'G3'".to_owned(), 1),
    ];
    for (sql, expected) in edits {
        db.write(&sql).await;
        audited(&db, false).await.unwrap_or_else(|| panic!("{sql}"));
        assert_eq!(gaps(&db).await, expected, "{sql}");
        let whole = audited(&db, true).await.expect("whole");
        assert_eq!((whole.opened, whole.changed, whole.closed), (0, 0, 0), "{sql}");
    }
}

/// A comb with so many teeth to a side of 0.004 degrees; `across` turns it.
fn comb(x: f64, y: f64, teeth: u32, across: bool) -> String {
    let step = 0.004 / f64::from(teeth);
    let mut points = vec![(0.0, 0.0), (0.004, 0.0)];
    for tooth in (0..teeth).rev() {
        let west = f64::from(tooth) * step;
        points.extend([(west + step * 0.6, 0.004), (west + step * 0.4, 0.004), (west + step * 0.2, 0.0005)]);
    }
    points.push((0.0, 0.0));
    let text =
        |&(a, b): &(f64, f64)| if across { format!("{} {}", x + b, y + a) } else { format!("{} {}", x + a, y + b) };
    let ring: Vec<String> = points.iter().map(text).collect();
    format!("ST_Multi(ST_GeomFromText('POLYGON(({}))', 4490))", ring.join(","))
}

#[actix_web::test]
async fn what_moves_is_shown_where_it_is_and_what_cannot_be_compared_stays_open() {
    let db = Database::with_sample().await;
    let (x, y, _) = parcels::inside(&db, parcels::PARK).await;
    let two = [
        (json!({"地块编号": "1"}), parcels::square(x, y, 0.001)),
        (json!({"地块编号": "2"}), parcels::square(x + 0.0005, y, 0.001)),
    ];
    let file = parcels::file("moving.geojson", &two);
    let imported = db.import(&file, |request| {
        parcels::into("turnover_parcels")(request);
        request.allow = vec!["overlap_within_file".to_owned()];
    });
    assert!(imported.await.expect("imported").revision.is_some());
    audited(&db, false).await.expect("first");
    let both = "collection=turnover_parcels&class=overlap";
    let west = |list: &Value| {
        let lons = list["features"][0]["geometry"]["coordinates"][0][0].as_array().expect("ring").clone();
        lons.iter().map(|p| p[0].as_f64().expect("longitude")).fold(f64::INFINITY, f64::min)
    };
    let before = listed(&db, &format!("&{both}")).await;
    // The same land further east: the same area, and another place.
    db.write("UPDATE turnover_parcel SET geom = ST_Translate(geom, 0.0001, 0)").await;
    let moved = audited(&db, false).await.expect("moved");
    assert_eq!((moved.opened, moved.changed, moved.closed), (0, 1, 0), "{moved:?}");
    let after = listed(&db, &format!("&{both}")).await;
    assert!((west(&after) - west(&before) - 0.0001).abs() < 1e-9, "{before} {after}");
    // Who asks again with the moment of the last answer misses nothing and gets nothing twice.
    let moment = |list: &Value| crate::support::http::encode(list["audit"]["audited_at"].as_str().expect("moment"));
    let since = listed(&db, &format!("&{both}&since={}", moment(&before))).await;
    assert_eq!(
        (&since["numberMatched"], &since["features"][0]["properties"]["change"]),
        (&json!(1), &json!("changed"))
    );
    // Two that cross each other a million times: nobody knows how they lie now, so it is not solved.
    let (one, other) = (comb(x, y, 2_000, false), comb(x, y, 2_000, true));
    db.write(&format!("UPDATE turnover_parcel SET geom = CASE WHEN id LIKE '%-1' THEN {one} ELSE {other} END")).await;
    let stuck = audited(&db, false).await.expect("stuck");
    assert_eq!(stuck.not_compared, 1, "{stuck:?}");
    let list = listed(&db, &format!("&{both}")).await;
    assert_eq!((&list["numberMatched"], &list["audit"]["not_compared_count"]), (&json!(1), &json!(1)));
    assert_eq!(list["audit"]["not_compared"][0]["layer_b"], "turnover_parcels");
    // Not named to who does not see the whole register.
    add(&db, "one.county", Role::Planner, &["430200"]).await;
    let token =
        issue(&db, json!({"account": "one.county", "name": "test"})).await["token"].as_str().expect("t").to_owned();
    let told = call(&db, with_token(Method::GET, CONFLICTS, &token)).await.json();
    assert_eq!((&told["audit"]["not_compared"], &told["audit"]["not_compared_count"]), (&Value::Null, &json!(1)));
    // Apart, it is.
    db.write(&format!(
        "UPDATE turnover_parcel SET geom = ST_Multi(ST_MakeEnvelope({x} + CASE WHEN id LIKE '%-1' THEN 0 ELSE 0.002 END, {y},
         {x} + 0.001 + CASE WHEN id LIKE '%-1' THEN 0 ELSE 0.002 END, {y} + 0.001, 4490))"
    ))
    .await;
    let apart = audited(&db, false).await.expect("apart");
    assert_eq!((apart.not_compared, listed(&db, &format!("&{both}")).await["numberMatched"].as_i64()), (0, Some(0)));
}
