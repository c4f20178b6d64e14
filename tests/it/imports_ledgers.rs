//! Imports into a ledger over HTTP: shapes with a table of attributes, committed and undone by whoever brought them, hidden from others.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::{Value, json};
use sizhi::domain::access::Role;

use crate::imports_upload::form;
use crate::support::Database;
use crate::support::accounts::{add, issue, with_token};
use crate::support::http::{Answer, call, get_authorised, path_of};
use crate::support::parcels::{COUNTY, PARK, inside, square};

const SHAPES: &str = "form-data; name=\"file\"; filename=\"图形.geojson\"";
const TABLE: &str = "form-data; name=\"attributes\"; filename=\"台账.csv\"";
const LAYER: &str = "form-data; name=\"layer\"";

/// The token of an editor of the county of these tests.
async fn editor(db: &Database, name: &str) -> String {
    add(db, name, Role::Editor, &[COUNTY]).await;
    issue(db, json!({"account": name, "name": "x"})).await["token"].as_str().expect("token").to_owned()
}

fn by(request: TestRequest, token: &str) -> TestRequest {
    request.insert_header(("authorization", format!("Bearer {token}")))
}

async fn ask(db: &Database, method: Method, path: &str, token: &str) -> Answer {
    call(db, with_token(method, path, token)).await
}

/// Two parcels by number alone.
async fn shapes(db: &Database) -> String {
    let (x, y, _) = inside(db, PARK).await;
    let one = |number: &str, at: f64| json!({"type": "Feature", "properties": {"地块编号": number}, "geometry": square(at, y, 0.001)});
    json!({"type": "FeatureCollection", "features": [one("1", x), one("2", x + 0.002)]}).to_string()
}

#[actix_web::test]
async fn shapes_and_a_table_are_checked_committed_and_undone_by_whoever_brought_them() {
    let db = Database::with_sample().await;
    let (own, other) = (editor(&db, "own").await, editor(&db, "other").await);
    let shapes = shapes(&db).await;
    // GBK, as a spreadsheet of the bureau saves it.
    let table = "地块编号,用地单位,批准面积（亩）,批准日期\r\n1,甲公司,15,2024-05-06\r\n2,乙公司,30,2024-05-07\r\n";
    let (table, _, _) = encoding_rs::GBK.encode(table);
    let path = format!("/api/imports?county={COUNTY}");
    let parts: [(&str, &[u8]); 3] = [(LAYER, b"turnover_parcels"), (TABLE, &table), (SHAPES, shapes.as_bytes())];
    let staged = call(&db, by(form(&path, &parts), &own)).await;
    let batch = staged.json();
    assert_eq!((staged.status.as_u16(), &batch["status"]), (201, &json!("checked")), "{batch}");
    assert_eq!(
        batch["options"],
        json!({"crs": null, "encoding": null, "source_layer": null, "park": null, "county": COUNTY, "zone_kind": null, "attributes": "台账.csv",
               "repair": false, "allow": []})
    );
    assert_eq!((&batch["report"]["counts"]["insert"], &batch["report"]["counts"]["errors"]), (&json!(2), &json!(0)));
    assert_eq!(db.value::<i64>("SELECT count(*) FROM turnover_parcel").await, 0, "a check writes nothing");

    let url = path_of(&json!(staged.header("location").expect("location")));
    for (method, path) in
        [(Method::GET, url.clone()), (Method::POST, format!("{url}/commit")), (Method::POST, format!("{url}/undo"))]
    {
        ask(&db, method, &path, &other).await.assert_problem(404, "import_not_found");
    }
    assert_eq!(ask(&db, Method::GET, "/api/imports", &other).await.json()["numberReturned"], 0);

    let committed = ask(&db, Method::POST, &format!("{url}/commit"), &own).await.json();
    assert_eq!((&committed["status"], &committed["revision"]), (&json!("committed"), &json!(2)), "{committed}");
    let rows: Vec<String> = db
        .column(
            "SELECT concat_ws('|', p.id, p.land_user, p.approved_area_m2, p.approved_on, p.state, r.actor)
             FROM turnover_parcel p JOIN revision r ON r.number = p.revision ORDER BY p.id",
        )
        .await;
    assert_eq!(
        rows,
        [
            format!("{COUNTY}-1|甲公司|10000|2024-05-06|approved|token:own/x"),
            format!("{COUNTY}-2|乙公司|20000|2024-05-07|approved|token:own/x")
        ]
    );
    assert!(db.value::<bool>("SELECT content IS NULL AND attributes IS NULL FROM import_batch").await, "let go of");
    // What it wrote is the county's, and seen by the other editor; the batch is not.
    assert_eq!(
        ask(&db, Method::GET, "/api/collections/turnover_parcels/items", &other).await.json()["numberMatched"],
        2
    );
    ask(&db, Method::POST, &format!("{url}/undo"), &other).await.assert_problem(404, "import_not_found");
    assert_eq!(get_authorised(&db, &url).await.status, 200, "whoever is responsible everywhere sees it");

    let undone = ask(&db, Method::POST, &format!("{url}/undo"), &own).await.json();
    assert_eq!((&undone["status"], &undone["undone_revision"]), (&json!("undone"), &json!(3)), "{undone}");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM turnover_parcel").await, 0);
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn a_table_alone_changes_parcels_that_stand_and_makes_none() {
    let db = Database::with_sample().await;
    let own = editor(&db, "own").await;
    let path = format!("/api/imports?county={COUNTY}&layer=turnover_parcels");
    let commit = async |parts: &[(&str, &[u8])]| -> Value {
        let staged = call(&db, by(form(&path, parts), &own)).await;
        let batch = staged.json();
        if batch["status"] != "checked" {
            return batch;
        }
        let url = path_of(&json!(staged.header("location").expect("location")));
        ask(&db, Method::POST, &format!("{url}/commit"), &own).await.json()
    };
    assert_eq!(commit(&[(SHAPES, shapes(&db).await.as_bytes())]).await["status"], "committed");
    let alone = "form-data; name=\"file\"; filename=\"台账.csv\"";
    let changed = commit(&[(alone, "地块编号,用地单位\n2,丙公司\n".as_bytes())]).await;
    assert_eq!(changed["report"]["counts"]["update"], 1, "{changed}");
    let users: Vec<String> =
        db.column("SELECT number || coalesce(land_user, '-') FROM turnover_parcel ORDER BY 1").await;
    assert_eq!(users, ["1-", "2丙公司"]);
    let refused = commit(&[(alone, "地块编号,用地单位\n9,丁公司\n".as_bytes())]).await;
    assert_eq!(
        (&refused["status"], &refused["report"]["findings"][0]["code"]),
        (&json!("refused"), &json!("geometry_missing"))
    );
}

#[actix_web::test]
async fn what_a_ledgers_upload_cannot_mean_is_refused_by_name() {
    let db = Database::with_sample().await;
    let shapes = shapes(&db).await;
    let file: (&str, &[u8]) = (SHAPES, shapes.as_bytes());
    let table: (&str, &[u8]) = (TABLE, "地块编号\n1\n".as_bytes());
    for (query, parts, code) in [
        ("layer=park_blocks&park=G431033", vec![file, table], "attributes_not_possible"),
        ("layer=turnover_parcels&county=长沙县", vec![file], "county_invalid"),
        ("layer=turnover_parcels&county=4301", vec![file], "county_invalid"),
        ("layer=turnover_parcels&allow=overlap_with_register", vec![file], "allow_not_possible"),
        ("layer=park_blocks&park=G431033&allow=plan_required", vec![file], "allow_not_possible"),
        ("layer=redevelopment_plans", vec![file], "layer_unknown"),
        ("layer=turnover_parcels", vec![file, table, table], "parameter_repeated"),
        ("layer=turnover_parcels", vec![table], "file_missing"),
    ] {
        let query = query.replace("长沙县", &crate::support::http::encode("长沙县"));
        call(&db, form(&format!("/api/imports?{query}"), &parts)).await.assert_problem(400, code);
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM import_batch").await, 0);
}
