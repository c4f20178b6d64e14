//! Checks of overlaps over what is only supposed (`POST /api/scenarios/{id}/overlap-check`), and repeated over what has no past.

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::support::Database;
use crate::support::accounts::{token_of, with_token};
use crate::support::consolidation::contents;
use crate::support::extra;
use crate::support::http::{Answer, authorised, call, call_with};
use crate::support::land::{newest, send};
use crate::support::overlaps::CHECKS;
use crate::support::parcels;
use crate::support::scenarios::{PARK, SCENARIOS, boundary, created, parcel};

/// Layer, feature and class of each finding, and the properties.
fn told(document: &Value) -> Vec<(String, Value)> {
    let features = document["features"].as_array().unwrap_or_else(|| panic!("{document}")).iter();
    let text = |p: &Value, name: &str| p[name].as_str().expect("text").to_owned();
    features
        .map(|f| &f["properties"])
        .map(|p| (["collection", "feature_id", "class"].map(|name| text(p, name)).join(" "), p.clone()))
        .collect()
}

fn names(document: &Value) -> Vec<String> {
    told(document).into_iter().map(|(name, _)| name).collect()
}

async fn over(db: &Database, scenario: &Value, body: &Value) -> Answer {
    let path = format!("{SCENARIOS}/{}/overlap-check", scenario["id"]);
    call(db, authorised(Method::POST, &path).set_json(body)).await
}

#[actix_web::test]
async fn a_candidate_is_checked_over_what_a_scenario_supposes() {
    let db = Database::with_sample().await;
    let mut change = boundary(&db).await;
    let corner = &change["features"][1]["geometry"]["coordinates"][0][0];
    let at = |n: usize| corner[n].as_f64().expect("degrees") + 0.002;
    let candidate = parcels::square(at(0), at(1), 0.004);
    change["op"] = json!("boundary_change");
    let scenario = created(&db, json!([change])).await;
    let body = json!({"subject": {"geojson": candidate}, "layers": ["park_blocks"]});
    let (revision, before) = (newest(&db).await, contents(&db).await);

    // What stands there today, by a check that is kept.
    let kept = call(&db, authorised(Method::POST, CHECKS).set_json(&body)).await.json();
    let findings = call(&db, authorised(Method::GET, &format!("{CHECKS}/{}/findings", kept["id"]))).await.json();
    let today = names(&findings);
    assert!(!today.iter().any(|name| name.contains(PARK)), "{today:?}");

    let answer = over(&db, &scenario, &body).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, Some("no-store")), "{}", answer.text());
    let document = answer.json();
    assert_eq!(document["scenario"], json!({"id": scenario["id"], "version": 1, "supposed": true}));
    assert_eq!(
        (&document["revision"], &document["summary"]["complete"]),
        (&json!(revision), &json!(true)),
        "{document}"
    );
    let mut expected = today.clone();
    expected.push(format!("park_blocks {PARK}-2 within"));
    let mut found = names(&document);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    let (_, new) = told(&document).into_iter().find(|(name, _)| name.contains(PARK)).expect("the new block");
    let judged: f64 =
        db.value(&format!("SELECT ST_Area(ST_SetSRID(ST_GeomFromGeoJSON('{candidate}'), 4326)::geography)")).await;
    let area = new["area_m2"].as_f64().expect("m²");
    assert!((area / judged - 1.0).abs() < 1e-4, "{area} {judged}");
    assert_eq!(new["share_of_subject"], json!(1.0), "{new}");
    assert_eq!((newest(&db).await, contents(&db).await), (revision, before));

    // Without deeds it is the register.
    let empty = created(&db, json!([])).await;
    assert_eq!(names(&over(&db, &empty, &body).await.json()), today);
    for (wrong, code) in [
        (json!({"subject": {"collection": "park_blocks", "id": format!("{PARK}-1")}}), "member_invalid"),
        (json!({"layers": ["park_blocks"]}), "member_missing"),
        (json!({"subject": {"geojson": candidate}, "date": "2020-01-01"}), "member_unknown"),
    ] {
        over(&db, &empty, &wrong).await.assert_problem(400, code);
    }
    let ended = json!({"op": "park_event", "kind": "revoked", "park": "S439997"});
    let cannot = created(&db, json!([ended])).await;
    over(&db, &cannot, &body).await.assert_problem(409, "scenario_not_applicable");
}

#[actix_web::test]
async fn other_counties_parcels_are_in_no_check_over_a_scenario() {
    let db = Database::with_sample().await;
    let (x, y, _) = parcels::inside(&db, parcels::PARK).await;
    let entered = send(&db, "/api/collections/turnover_parcels/items", &[], &parcel(x, y)).await;
    assert_eq!(entered.status, 201, "{}", entered.text());
    let body = json!({"subject": {"geojson": parcels::square(x, y, 0.0005)}, "layers": ["turnover_parcels"]});
    let of = async |token: &str| {
        let made = with_token(Method::POST, SCENARIOS, token).set_json(json!({"name": "空", "operations": []}));
        let path = format!("{SCENARIOS}/{}/overlap-check", call(&db, made).await.json()["id"]);
        let answer = call(&db, with_token(Method::POST, &path, token).set_json(&body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        names(&answer.json())
    };
    let own = token_of(&db, "own.editor", &[parcels::COUNTY]).await;
    let far = token_of(&db, "far.editor", &["430211"]).await;
    assert_eq!(of(&own).await, [format!("turnover_parcels {}-TY-1 within", parcels::COUNTY)]);
    assert_eq!(of(&far).await, [""; 0]);
}

/// An operator's table shows what stands and nothing else: of it there is no same again, and the record says so.
#[actix_web::test]
async fn a_check_with_an_operators_layer_is_repeated_without_it_and_says_so() {
    let db = Database::with_sample().await;
    extra::make(
        &db,
        "CREATE TABLE plots (id int PRIMARY KEY, g geometry(Polygon, 4490));
         INSERT INTO plots VALUES (1, ST_MakeEnvelope(112.9, 28.1, 112.95, 28.15, 4490))",
    )
    .await;
    let file = "[[layer]]\nid = \"plots\"\ntable = \"plots\"\nvisibility = \"internal\"\n";
    let (state, _) = extra::serve(&db, file).await;
    let ask = async |method: Method, path: String, body: Option<Value>| {
        let request = authorised(method, &path);
        call_with(state.clone(), body.map_or_else(|| authorised(Method::GET, &path), |body| request.set_json(body)))
            .await
    };
    let subject = json!({"geojson": parcels::square(112.92, 28.12, 0.004)});
    let first = ask(Method::POST, CHECKS.to_owned(), Some(json!({"subject": subject}))).await;
    assert_eq!(first.status, 201, "{}", first.text());
    let first = first.json();
    let layers = first["request"]["layers"].as_array().expect("layers");
    assert!(layers.contains(&json!("plots")) && layers.len() > 1, "{first}");
    assert_eq!(first["status"], "finished", "{first}");
    let id = &first["id"];
    let found = ask(Method::GET, format!("{CHECKS}/{id}/findings"), None).await.json();
    assert!(names(&found).contains(&"plots 1 within".to_owned()), "{found}");

    // Over a scenario without deeds it is the same.
    let scenario = created(&db, json!([])).await;
    let path = format!("{SCENARIOS}/{}/overlap-check", scenario["id"]);
    let over = ask(Method::POST, path, Some(json!({"subject": subject}))).await;
    assert_eq!(over.status, 200, "{}", over.text());
    assert_eq!(names(&over.json()), names(&found));

    // The plot is otherwise by now, and nobody knows what it was.
    extra::make(&db, "UPDATE plots SET g = ST_Translate(g, 1, 0)").await;
    let same = ask(Method::POST, format!("{CHECKS}/{id}/repeat"), Some(json!({"on": "same_revision"}))).await;
    assert_eq!(same.status, 201, "{}", same.text());
    let same = same.json();
    let kept: Vec<&Value> = layers.iter().filter(|layer| **layer != json!("plots")).collect();
    assert_eq!(same["request"]["layers"], json!(kept), "{same}");
    assert_eq!(same["request"]["left_out"], json!(["plots"]), "{same}");
    assert_eq!(same["revision"], first["revision"]);
    let again = ask(Method::GET, format!("{CHECKS}/{}/findings", same["id"]), None).await.json();
    let others: Vec<String> = names(&found).into_iter().filter(|name| !name.starts_with("plots")).collect();
    assert_eq!(names(&again), others);
    let difference = ask(Method::GET, format!("{CHECKS}/{}/difference", same["id"]), None).await.json();
    assert_eq!(difference["not_compared"], json!(["plots"]), "{difference}");
    for list in ["came", "went", "changed"] {
        assert_eq!(difference[list], json!([]), "{difference}");
    }
    assert_eq!(difference["same"], json!(others.len()));
    let page = ask(Method::GET, format!("{CHECKS}/{}/report", same["id"]), None).await.text();
    assert!(page.contains("（没有历史、未比较：plots）"), "{page}");

    // On the present it is compared with, and has gone.
    let now = ask(Method::POST, format!("{CHECKS}/{id}/repeat"), Some(json!({"on": "present"}))).await.json();
    let difference = ask(Method::GET, format!("{CHECKS}/{}/difference", now["id"]), None).await.json();
    assert_eq!(difference["not_compared"], json!([]), "{difference}");
    assert_eq!(difference["went"][0]["feature_id"], "1", "{difference}");
    // So it is where the repetition is repeated, and not twice left out.
    let path = format!("{CHECKS}/{}/repeat", same["id"]);
    let again = ask(Method::POST, path.clone(), Some(json!({"on": "present"}))).await.json();
    assert_eq!(again["request"]["layers"].as_array().map(Vec::len), Some(layers.len()), "{again}");
    assert_eq!(again["request"]["left_out"], Value::Null, "{again}");
    let again = ask(Method::POST, path, Some(json!({"on": "same_revision"}))).await.json();
    assert_eq!(
        (&again["request"]["layers"], &again["request"]["left_out"]),
        (&json!(kept), &json!(["plots"])),
        "{again}"
    );
    // Where nothing else was compared with, nothing can be repeated.
    let only = json!({"subject": subject, "layers": ["plots"]});
    let only = ask(Method::POST, CHECKS.to_owned(), Some(only)).await.json();
    let path = format!("{CHECKS}/{}/repeat", only["id"]);
    ask(Method::POST, path, Some(json!({"on": "same_revision"}))).await.assert_problem(400, "layer_without_past");
}
