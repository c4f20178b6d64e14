//! Control zones are withdrawn and brought back: `DELETE /api/control-zones/{id}` and the undo of its revision.

use std::f64::consts::PI;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::{Value, json};
use sizhi::domain::access::Role;
use sizhi::inventory::conflicts::audit;

use crate::support::accounts::{add, issue, with_token};
use crate::support::http::{Answer, authorised, call, call_database, encode, get, get_authorised};
use crate::support::zones::{boxed, drawn, zones_of};
use crate::support::{Database, parcels};

const ZONES: &str = "/api/collections/control_zones/items";
const KINDS: &str = "/api/control-zone-kinds";

/// The red line of the tests of withdrawals: as a record, and in its layer.
const ZONE: &str = "/api/control-zones/ecological_red_line-R1";
const ITEM: &str = "/api/collections/control_zones/items/ecological_red_line-R1";

/// All zones: each row but for the revision that wrote it, its shape to the last bit.
const ROWS: &str = "SELECT (to_jsonb(z) - 'revision' || jsonb_build_object('geom', encode(ST_AsEWKB(geom), 'hex')))::text FROM control_zone z ORDER BY id";

const NEWEST: &str = "SELECT max(number) FROM revision";

fn red_line(name: &str, x: f64, y: f64) -> (Value, Value) {
    let properties = json!({"编号": "R1", "红线名称": name, "县区代码": parcels::COUNTY, "文号": "测试文号1号"});
    (properties, parcels::square(x + 0.0005, y, 0.001))
}

/// A parcel in a park's block, and a red line over half of it; their corner.
async fn crossed(db: &Database) -> (f64, f64) {
    let (x, y, _) = parcels::inside(db, parcels::PARK).await;
    let parcel = parcels::file("z-crossed.geojson", &[(json!({"地块编号": "1"}), parcels::square(x, y, 0.001))]);
    let imported = db.import(&parcel, parcels::into("turnover_parcels")).await.expect("imported");
    assert!(imported.revision.is_some(), "{:?}", imported.report.findings);
    drawn(db, "z-crossing.geojson", Some("ecological_red_line"), &[red_line("东岸红线", x, y)]).await;
    (x, y)
}

async fn etag_of(db: &Database, path: &str) -> String {
    get_authorised(db, path).await.header("etag").expect("etag").to_owned()
}

fn withdrawal(path: &str, etag: &str) -> TestRequest {
    authorised(Method::DELETE, path).insert_header(("if-match", etag.to_owned()))
}

/// Withdraws the zone of this address as it stands; the revision.
async fn withdrawn(db: &Database, path: &str) -> i64 {
    let done = call(db, withdrawal(path, &etag_of(db, path).await)).await;
    assert_eq!(done.status, 204, "{}", done.text());
    done.header("sizhi-revision").expect("revision").parse().expect("number")
}

async fn undo(db: &Database, revision: i64, body: Value) -> Answer {
    call(db, authorised(Method::POST, &format!("/api/revisions/{revision}/undo")).set_json(body)).await
}

/// A feature without its links.
fn bare(mut feature: Value) -> Value {
    feature.as_object_mut().expect("object").remove("links").expect("links");
    feature
}

async fn audited(db: &Database) {
    db.live.refresh().await.expect("refreshed");
    audit(&db.application, &db.live, false).await.expect("audited").expect("an audit");
}

/// Layer and id of what the red line conflicts with, as the register says.
async fn opposed(db: &Database) -> Vec<String> {
    let list = get_authorised(db, "/api/conflicts?feature=ecological_red_line-R1&limit=1000").await.json();
    let side = |conflict: &Value| {
        let a = &conflict["properties"]["a"];
        format!("{} {}", a["collection"].as_str().expect("layer"), a["id"].as_str().expect("id"))
    };
    let mut found: Vec<String> = list["features"].as_array().expect("features").iter().map(side).collect();
    found.sort();
    found
}

/// The same by PostGIS.
async fn opposed_by_postgis(db: &Database) -> Vec<String> {
    let mut found: Vec<String> = db
        .column(
            "SELECT 'park_blocks ' || b.id FROM park_block b JOIN control_zone z ON ST_Relate(b.geom, z.geom, '2********')
             WHERE b.valid_to = 'infinity'
             UNION ALL
             SELECT 'turnover_parcels ' || p.id FROM turnover_parcel p JOIN control_zone z ON ST_Relate(p.geom, z.geom, '2********')
             WHERE p.valid_to = 'infinity'",
        )
        .await;
    found.sort();
    found
}

/// Whether the tile of zoom 15 around this place has the red line in it.
async fn is_in_tile(db: &Database, longitude: f64, latitude: f64) -> bool {
    let tiles = f64::from(1 << 15);
    let column = ((longitude + 180.0) / 360.0 * tiles).floor();
    let row = ((1.0 - latitude.to_radians().tan().asinh() / PI) / 2.0 * tiles).floor();
    let path = format!("/api/collections/control_zones/tiles/WebMercatorQuad/15/{row}/{column}");
    let answer = get_authorised(db, &path).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    answer.text().contains("ecological_red_line-R1")
}

#[actix_web::test]
async fn a_withdrawn_zone_is_gone_with_its_conflicts_and_comes_back_to_the_bit() {
    let db = Database::with_sample().await;
    let (x, y) = crossed(&db).await;
    audited(&db).await;
    let rows: Vec<String> = db.column(ROWS).await;
    assert_eq!(rows.len(), 1);
    let sides = opposed_by_postgis(&db).await;
    assert!(sides.len() >= 2 && sides.contains(&format!("turnover_parcels {}-1", parcels::COUNTY)), "{sides:?}");
    assert_eq!(opposed(&db).await, sides);
    assert!(is_in_tile(&db, x + 0.001, y + 0.0005).await);
    // One zone by itself is as its layer has it, and tells its version.
    let item = get_authorised(&db, ITEM).await.json();
    let shown = get_authorised(&db, ZONE).await;
    assert_eq!((shown.status.as_u16(), bare(shown.json())), (200, bare(item.clone())));
    assert_eq!(shown.header("content-type"), Some("application/geo+json; charset=utf-8"));
    let version: i64 = db.value("SELECT revision FROM control_zone").await;
    let etag = shown.header("etag").expect("etag").to_owned();
    assert!(etag.starts_with(&format!("\"v{version}-r")), "{etag}");
    let known = call(&db, authorised(Method::GET, ZONE).insert_header(("if-none-match", etag.clone()))).await;
    assert_eq!(known.status, 304);
    // Gone: from the register, the layer as memory and as the database has it, its tiles; not from the past.
    let done = call(&db, withdrawal(&format!("{ZONE}?reason={}", encode("红线已调出")), &etag)).await;
    assert_eq!((done.status.as_u16(), done.text()), (204, String::new()));
    let gone: i64 = db.value(NEWEST).await;
    assert_eq!(done.header("sizhi-revision"), Some(gone.to_string().as_str()));
    let said: (String, String) = sqlx::query_as("SELECT reason, source FROM revision WHERE number = $1")
        .bind(gone)
        .fetch_one(&db.pool)
        .await
        .expect("revision");
    assert_eq!(said.0, "移除管控区域 ecological_red_line-R1（东岸红线）：红线已调出");
    assert_eq!(said.1, format!("DELETE {ZONE}"));
    assert_eq!(db.column::<String>(ROWS).await, [""; 0]);
    get_authorised(&db, ITEM).await.assert_problem(404, "item_not_found");
    call_database(&db, authorised(Method::GET, ITEM)).await.assert_problem(404, "item_not_found");
    get_authorised(&db, ZONE).await.assert_problem(404, "zone_not_found");
    assert_eq!(get_authorised(&db, ZONES).await.json()["numberMatched"], 0);
    assert!(!is_in_tile(&db, x + 0.001, y + 0.0005).await);
    let past = get_authorised(&db, &format!("{ITEM}?revision={}", gone - 1)).await.json();
    assert_eq!(bare(past), bare(item.clone()));
    audited(&db).await;
    assert_eq!(opposed(&db).await, [""; 0]);
    let closed = "SELECT closed_revision FROM conflict WHERE feature_b = 'ecological_red_line-R1'";
    assert_eq!(db.column::<Option<i64>>(closed).await, vec![Some(gone); sides.len()]);
    // Back, with its conflicts.
    let back = undo(&db, gone, json!({"reason": "误移除"})).await;
    assert_eq!(
        (back.status.as_u16(), back.json()),
        (200, json!({"undone": gone, "revision": gone + 1, "dry_run": false}))
    );
    assert_eq!(db.column::<String>(ROWS).await, rows);
    assert_eq!(get_authorised(&db, ITEM).await.json(), item);
    audited(&db).await;
    assert_eq!(opposed(&db).await, sides);
    // It stands: there is nothing more to bring back. The undoing is undone, and that too.
    undo(&db, gone, json!({})).await.assert_problem(409, "undo_conflict");
    assert_eq!(undo(&db, gone + 1, json!({})).await.json()["revision"], gone + 2);
    assert_eq!(db.column::<String>(ROWS).await, [""; 0]);
    assert_eq!(undo(&db, gone + 2, json!({})).await.json()["revision"], gone + 3);
    assert_eq!(db.column::<String>(ROWS).await, rows);
    assert!(db.audit().await.is_none());
}

#[actix_web::test]
async fn a_withdrawal_names_a_zone_that_stands_and_the_version_that_was_seen() {
    let db = Database::with_sample().await;
    let (x, y) = crossed(&db).await;
    let old = etag_of(&db, ZONE).await;
    drawn(&db, "z-renamed.geojson", Some("ecological_red_line"), &[red_line("西岸红线", x, y)]).await;
    let (rows, newest): (Vec<String>, i64) = (db.column(ROWS).await, db.value(NEWEST).await);
    let nobodys = "/api/control-zones/ecological_red_line-R9";
    for request in [
        authorised(Method::GET, nobodys),
        authorised(Method::GET, "/api/control-zones/%00"),
        authorised(Method::DELETE, nobodys),
        withdrawal(nobodys, &old),
        withdrawal("/api/control-zones/%00", &old),
    ] {
        call(&db, request).await.assert_problem(404, "zone_not_found");
    }
    get(&db, ZONE).await.assert_problem(401, "token_missing");
    call(&db, authorised(Method::DELETE, ZONE)).await.assert_problem(428, "version_missing");
    call(&db, withdrawal(ZONE, "*")).await.assert_problem(428, "version_missing");
    call(&db, withdrawal(ZONE, "v1")).await.assert_problem(400, "if_match_invalid");
    let etag = etag_of(&db, ZONE).await;
    let weak = get_authorised(&db, ITEM).await.header("etag").expect("etag").to_owned();
    assert!(weak.starts_with("W/"), "{weak}");
    for stale in [old.as_str(), weak.as_str(), &format!("W/{etag}"), "\"x\""] {
        let late = call(&db, withdrawal(ZONE, stale)).await.assert_problem(412, "version_stale");
        assert_eq!(late["current"], get_authorised(&db, ZONE).await.json(), "{stale}");
        assert_eq!(
            (&late["current"]["properties"]["name"], &late["current_version"]),
            (&json!("西岸红线"), &json!(newest)),
            "{stale}"
        );
    }
    for (query, code) in [
        ("undeclared=1".to_owned(), "parameter_unknown"),
        ("dry_run=maybe".to_owned(), "value_invalid"),
        (format!("reason={}", encode("甲\n乙")), "value_invalid"),
        (format!("reason={}", encode(&"长".repeat(501))), "value_invalid"),
    ] {
        call(&db, withdrawal(&format!("{ZONE}?{query}"), &etag)).await.assert_problem(400, code);
    }
    get_authorised(&db, &format!("{ZONE}?revision=1")).await.assert_problem(400, "parameter_unknown");
    // Asked whether it could be: yes, and nothing is written.
    let asked = call(&db, withdrawal(&format!("{ZONE}?dry_run=true"), &etag)).await;
    assert_eq!(
        (asked.status.as_u16(), asked.json()),
        (200, json!({"withdrawn": "ecological_red_line-R1", "revision": null, "dry_run": true}))
    );
    assert_eq!((db.column::<String>(ROWS).await, db.value::<i64>(NEWEST).await), (rows, newest));
    assert_eq!(call(&db, withdrawal(ZONE, &etag)).await.status, 204);
    assert_eq!(db.column::<String>(ROWS).await, [""; 0]);
}

#[actix_web::test]
async fn each_withdraws_the_own_lines_once_and_brings_back_the_own() {
    let db = Database::with_sample().await;
    crossed(&db).await;
    let mut tokens = Vec::new();
    for (name, role, divisions) in [
        ("li.si", Role::Editor, &["430121"][..]),
        ("wang.wu", Role::Editor, &["430200"]),
        ("zhang.san", Role::Planner, &["430121"]),
    ] {
        add(&db, name, role, divisions).await;
        let issued = issue(&db, json!({"account": name, "name": "test"})).await;
        tokens.push(issued["token"].as_str().expect("token").to_owned());
    }
    let [own, other, planner] = tokens.as_slice() else { panic!("three tokens") };
    let (rows, newest): (Vec<String>, i64) = (db.column(ROWS).await, db.value(NEWEST).await);
    assert_eq!(rows.len(), 1);
    let etag = etag_of(&db, ZONE).await;
    let deed = |token: &str, reason: &str| {
        let path = format!("{ZONE}?reason={}", encode(reason));
        with_token(Method::DELETE, &path, token).insert_header(("if-match", etag.clone()))
    };
    let way_back = |token: &str, revision: i64, body: Value| {
        with_token(Method::POST, &format!("/api/revisions/{revision}/undo"), token).set_json(body)
    };
    // All of the staff see it; whoever is not responsible for it leaves it.
    assert_eq!(call(&db, with_token(Method::GET, ZONE, other)).await.status, 200);
    call(&db, deed(other, "调出")).await.assert_problem(403, "outside_jurisdiction");
    call(&db, deed(planner, "调出")).await.assert_problem(403, "role_insufficient");
    assert_eq!((db.column::<String>(ROWS).await, db.value::<i64>(NEWEST).await), (rows.clone(), newest));
    // The same request twice is one withdrawal.
    let keyed = |reason: &str| deed(own, reason).insert_header(("idempotency-key", "one"));
    let revision = (newest + 1).to_string();
    for replayed in [None, Some("true")] {
        let done = call(&db, keyed("调出")).await;
        assert_eq!(done.status, 204, "{}", done.text());
        assert_eq!(
            (done.header("sizhi-revision"), done.header("idempotency-replayed")),
            (Some(revision.as_str()), replayed)
        );
    }
    call(&db, keyed("另一个理由")).await.assert_problem(409, "idempotency_key_reused");
    call(&db, deed(own, "调出")).await.assert_problem(404, "zone_not_found");
    assert_eq!((db.column::<String>(ROWS).await, db.value::<i64>(NEWEST).await), (Vec::new(), newest + 1));
    // The way back is as bound as the way there, and so is the way back from it.
    call(&db, way_back(other, newest + 1, json!({}))).await.assert_problem(403, "outside_jurisdiction");
    call(&db, way_back(planner, newest + 1, json!({}))).await.assert_problem(403, "role_insufficient");
    let asked = call(&db, way_back(own, newest + 1, json!({"dry_run": true}))).await;
    assert_eq!(asked.json(), json!({"undone": newest + 1, "revision": null, "dry_run": true}));
    assert_eq!((db.column::<String>(ROWS).await, db.value::<i64>(NEWEST).await), (Vec::new(), newest + 1));
    let back = call(&db, way_back(own, newest + 1, json!({}))).await;
    assert_eq!(back.json(), json!({"undone": newest + 1, "revision": newest + 2, "dry_run": false}));
    call(&db, way_back(other, newest + 2, json!({}))).await.assert_problem(403, "outside_jurisdiction");
    assert_eq!((db.column::<String>(ROWS).await, db.value::<i64>(NEWEST).await), (rows, newest + 2));
    // The first request would tell of what is no more so.
    call(&db, keyed("调出")).await.assert_problem(409, "undone_since");
}

#[actix_web::test]
async fn a_zone_that_has_come_in_again_is_not_written_over_by_the_old_one() {
    let db = Database::with_sample().await;
    let (x, y) = crossed(&db).await;
    let rows: Vec<String> = db.column(ROWS).await;
    assert_eq!(rows.len(), 1);
    let first: i64 = db.value("SELECT revision FROM control_zone").await;
    undo(&db, first, json!({})).await.assert_problem(409, "undo_by_import");
    let gone = withdrawn(&db, ZONE).await;
    let file = parcels::file("z-again.geojson", &[red_line("东岸红线（调整后）", x, y + 0.0001)]);
    let imported = db.import(&file, zones_of(Some("ecological_red_line"))).await.expect("imported");
    let again = imported.revision.unwrap_or_else(|| panic!("{:?}", imported.report.findings));
    let standing: Vec<String> = db.column(ROWS).await;
    let refused = undo(&db, gone, json!({})).await.assert_problem(409, "undo_conflict");
    let told: Vec<(&str, &str)> = refused["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter_map(|f| f["code"].as_str().zip(f["message"].as_str()))
        .collect();
    let message = format!("control_zone 的 ecological_red_line-R1 在修订 {again} 中又被修改");
    assert_eq!(told, [("changed_since", message.as_str())]);
    assert_eq!(db.column::<String>(ROWS).await, standing);
    // Once that import is taken back nothing is in the way; the import's own way back stays its own.
    let batch = imported.batch.expect("batch");
    let taken = call(&db, authorised(Method::POST, &format!("/api/imports/{batch}/undo"))).await;
    assert_eq!(taken.status, 200, "{}", taken.text());
    undo(&db, again + 1, json!({})).await.assert_problem(409, "undo_by_import");
    let back = undo(&db, gone, json!({})).await;
    assert_eq!(back.json(), json!({"undone": gone, "revision": again + 2, "dry_run": false}));
    assert_eq!(db.column::<String>(ROWS).await, rows);
}

#[actix_web::test]
async fn a_zone_of_a_kind_that_is_no_more_is_not_brought_back() {
    let db = Database::with_sample().await;
    let (kind_path, zone_path) = (format!("{KINDS}/water_source"), "/api/control-zones/water_source-W1");
    let kind = json!({
        "name": "饮用水水源保护区", "name_en": "Drinking water source", "effect": "keep_out", "park_weight": "block",
        "parcel_weight": "warn",
    });
    let put = || authorised(Method::PUT, &kind_path).insert_header(("if-none-match", "*")).set_json(&kind);
    assert_eq!(call(&db, put()).await.status, 201);
    let zone = json!({"编号": "W1", "县区代码": "430121"});
    drawn(&db, "z-water-gone.geojson", Some("water_source"), &[(zone, boxed(113.0, 28.2, 113.01, 28.21))]).await;
    let rows: Vec<String> = db.column(ROWS).await;
    assert_eq!(rows.len(), 1);
    let end = || async {
        let etag = etag_of(&db, &kind_path).await;
        call(&db, withdrawal(&kind_path, &etag)).await
    };
    end().await.assert_problem(409, "kind_in_use");
    let gone = withdrawn(&db, zone_path).await;
    assert_eq!(end().await.status, 204);
    undo(&db, gone, json!({})).await.assert_problem(409, "undo_conflict");
    assert_eq!(db.column::<String>(ROWS).await, [""; 0]);
    assert_eq!(call(&db, put()).await.status, 201);
    assert_eq!(undo(&db, gone, json!({})).await.status, 200);
    assert_eq!(db.column::<String>(ROWS).await, rows);
}
