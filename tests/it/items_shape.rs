//! Options of items: which properties, with or without the geometry; what they do not go with.

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::support::Database;
use crate::support::http::{call, get, link, path_of};

const PARKS: &str = "/api/collections/parks/items";

fn names(feature: &Value) -> Vec<&str> {
    feature["properties"].as_object().expect("properties").keys().map(String::as_str).collect()
}

#[actix_web::test]
async fn chosen_properties_are_those_of_the_whole_feature() {
    let db = Database::with_sample().await;
    let whole = get(&db, &format!("{PARKS}?limit=200")).await.json();
    let some = get(&db, &format!("{PARKS}?limit=200&properties=aliases,name,valid_to")).await.json();
    let rest = get(&db, &format!("{PARKS}?limit=200&exclude-properties=aliases,name,valid_to")).await.json();
    let features = |body: &Value| body["features"].as_array().expect("features").clone();
    assert_eq!(features(&some).len(), 129);
    for ((whole, some), rest) in features(&whole).iter().zip(features(&some)).zip(features(&rest)) {
        assert_eq!((&some["id"], &some["geometry"]), (&whole["id"], &whole["geometry"]));
        assert_eq!((&rest["id"], &rest["geometry"]), (&whole["id"], &whole["geometry"]));
        assert_eq!(names(&some), ["name", "aliases", "valid_to"], "in the layer's order");
        let mut joined = some["properties"].as_object().expect("some").clone();
        joined.extend(rest["properties"].as_object().expect("rest").clone());
        assert_eq!(Value::Object(joined), whole["properties"], "what is chosen and what is not make the whole");
    }
    // The geometry is one of the names, and goes only where it is excluded.
    let bare = get(&db, &format!("{PARKS}?limit=200&properties=geometry")).await.json();
    let without = get(&db, &format!("{PARKS}?limit=200&exclude-properties=geometry")).await.json();
    for ((whole, bare), without) in features(&whole).iter().zip(features(&bare)).zip(features(&without)) {
        assert_eq!((&bare["geometry"], &bare["properties"]), (&whole["geometry"], &json!({})));
        assert_eq!((&without["geometry"], &without["properties"]), (&Value::Null, &whole["properties"]));
    }
    let one = get(&db, &format!("{PARKS}/G431176?properties=name&skipGeometry=true")).await.json();
    assert_eq!((names(&one), &one["geometry"], &one["id"]), (vec!["name"], &Value::Null, &json!("G431176")));
}

#[actix_web::test]
async fn features_without_geometry_are_found_by_theirs_all_the_same() {
    let db = Database::with_sample().await;
    let question = "bbox=112.8,28,113.2,28.4&limit=3";
    let with = get(&db, &format!("{PARKS}?{question}")).await.json();
    let without = get(&db, &format!("{PARKS}?{question}&skipGeometry=true")).await.json();
    assert_eq!(without["numberMatched"], with["numberMatched"]);
    for (with, without) in
        with["features"].as_array().expect("some").iter().zip(without["features"].as_array().expect("some"))
    {
        assert_eq!((&without["id"], &without["properties"]), (&with["id"], &with["properties"]));
        assert_eq!(without["geometry"], Value::Null, "a member that GeoJSON requires");
        assert!(with["geometry"].is_object());
    }
    let next = path_of(link(&without, "next").expect("more"));
    let second = get(&db, &next).await.json();
    assert_eq!(second["features"][0]["geometry"], Value::Null, "and so on the next page");
    assert_eq!(
        get(&db, &format!("{PARKS}?skipGeometry=false&limit=3&bbox=112.8,28,113.2,28.4")).await.json()["features"],
        with["features"]
    );
}

#[actix_web::test]
async fn a_page_for_people_shows_the_chosen_columns() {
    let db = Database::with_sample().await;
    let page = get(&db, &format!("{PARKS}?f=html&limit=3&properties=name,level")).await;
    assert_eq!(page.status, 200);
    let text = page.text();
    assert!(text.contains("<th scope=\"col\">名称</th>") && !text.contains("主导产业</th>"), "{text}");
    let one = get(&db, &format!("{PARKS}/G431176?f=html&properties=name,valid_from")).await.text();
    assert!(one.contains("生效日期") && !one.contains("主导产业"), "{one}");
}

/// A page for people shows no coordinates: who says how they shall be gets GeoJSON, or is told.
#[actix_web::test]
async fn a_page_for_people_does_not_pass_over_what_is_asked_of_coordinates() {
    let db = Database::with_sample().await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for option in ["crs=EPSG:4526", "skipGeometry=true", "zoom-level=3", "max-allowable-offset=0.1"] {
        for path in [format!("{PARKS}?limit=3&{option}"), format!("{PARKS}/G431176?{option}")] {
            get(&db, &format!("{path}&f=html")).await.assert_problem(400, "option_not_possible");
            let by = |accept: &'static str| TestRequest::with_uri(&path).insert_header(("Accept", accept));
            call(&db, by("text/html")).await.assert_problem(400, "option_not_possible");
            let (plain, browsed) = (get(&db, &format!("{path}&f=json")).await, call(&db, by(browser)).await);
            assert_eq!((browsed.status.as_u16(), browsed.header("content-type")), (200, plain.header("content-type")));
            // And its way to the page for people is one that can be gone.
            let people =
                browsed.json()["links"].as_array().expect("links").iter().find(|l| l["type"] == "text/html").cloned();
            let people = get(&db, &path_of(&people.expect("a page")["href"])).await;
            assert_eq!(
                (people.status.as_u16(), people.header("content-type")),
                (200, Some("text/html; charset=utf-8"))
            );
        }
    }
}

#[actix_web::test]
async fn options_that_do_not_go_together_are_refused() {
    let db = Database::with_sample().await;
    for (query, code) in [
        ("properties=nonsense", "property_unknown"),
        ("properties=", "property_unknown"),
        ("exclude-properties=name,nonsense", "property_unknown"),
        ("properties=name&exclude-properties=level", "option_not_possible"),
        ("skipGeometry=perhaps", "value_invalid"),
        ("max-allowable-offset=-1", "value_invalid"),
        ("max-allowable-offset=1e999", "value_invalid"),
        ("zoom-level=25", "value_invalid"),
        ("zoom-level=3&max-allowable-offset=1", "option_not_possible"),
        ("f=csv&properties=name", "option_not_possible"),
        ("f=geojson&skipGeometry=true", "option_not_possible"),
        ("f=gpkg&zoom-level=3", "option_not_possible"),
        ("f=geojson&crs=EPSG:4526", "option_not_possible"),
        ("skipgeometry=true", "parameter_unknown"),
    ] {
        get(&db, &format!("{PARKS}?{query}")).await.assert_problem(400, code);
    }
    get(&db, &format!("{PARKS}/G431176?zoom-level=x")).await.assert_problem(400, "value_invalid");
    // An internal layer's names are told to nobody who may not know of it.
    get(&db, "/api/collections/turnover_parcels/items?properties=nonsense")
        .await
        .assert_problem(404, "collection_not_found");
}
