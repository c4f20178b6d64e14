//! OGC API Features Part 2 at writing: features in every system by `Content-Crs`, judged by PROJ.

use actix_web::http::Method;
use serde_json::{Value, json};
use sizhi::domain::published_crs::PublishedCrs;

use crate::crs_reads::positions;
use crate::ledger_edits::{TURNOVER, feature};
use crate::support::Database;
use crate::support::http::{Answer, authorised, call, get_authorised};
use crate::support::parcels::{COUNTY, PARK, inside, square};
use crate::support::proj::Judge;

async fn send_in(db: &Database, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let request = authorised(method, path).insert_header(("content-type", "application/geo+json"));
    let request = headers.iter().fold(request, |request, header| request.insert_header(*header));
    call(db, request.set_payload(body.to_string())).await
}

fn in_system(geometry: &Value, crs: PublishedCrs) -> Value {
    let Some(judge) = crs.epsg().map(Judge::of) else { return geometry.clone() };
    let ring: Vec<[f64; 2]> = positions(geometry).into_iter().map(|[lon, lat]| judge.at(lon, lat)).collect();
    json!({"type": "Polygon", "coordinates": [ring]})
}

/// Vertices as they are stored, longitude first.
async fn stored(db: &Database, id: &str) -> Vec<[f64; 2]> {
    let text: String = db
        .value(&format!(
            "SELECT ST_AsGeoJSON(geom, 15, 0) FROM turnover_parcel WHERE id = '{id}' AND valid_to = 'infinity'"
        ))
        .await;
    positions(&serde_json::from_str(&text).expect("GeoJSON"))
}

fn off(found: &[[f64; 2]], wanted: &[[f64; 2]]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let pairs = found.iter().zip(wanted);
    pairs.map(|(a, b)| (a[0] - b[0]).abs().max((a[1] - b[1]).abs())).fold(0.0, f64::max)
}

#[actix_web::test]
async fn a_feature_lies_where_its_system_says() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    for (number, crs) in PublishedCrs::LISTED.into_iter().enumerate() {
        let geometry = square(x + number as f64 * 0.00015, y, 0.0001 + number as f64 * 1e-7);
        let body = feature(
            json!({"county_code": COUNTY, "number": format!("C-{number}"), "state": "approved", "state_on": "2024-05-06"}),
            in_system(&geometry, crs),
        );
        let uri = format!("<{}>", crs.uri());
        let created = send_in(&db, Method::POST, TURNOVER, &[("content-crs", &uri)], &body).await;
        assert_eq!(created.status, 201, "{crs:?}: {}", created.text());
        assert_eq!(created.header("content-crs"), Some(uri.as_str()), "the answer is in the system of the request");
        let found = stored(&db, &format!("{COUNTY}-C-{number}")).await;
        assert!(off(&found, &positions(&geometry)) < 1e-9, "{crs:?}: {found:?}");
        let sent = positions(&body["geometry"]);
        let told = positions(&created.json()["geometry"]);
        let most = if crs.is_degrees() { 0.5e-8 + 1e-9 } else { 0.5e-4 + 1e-4 };
        assert!(off(&told, &sent) <= most, "{crs:?}: {told:?} is not {sent:?}");
    }
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn what_is_read_in_a_system_is_written_back_in_it() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let body = feature(
        json!({"county_code": COUNTY, "number": "B-1", "state": "approved", "state_on": "2024-05-06"}),
        square(x, y, 0.0003),
    );
    assert_eq!(send_in(&db, Method::POST, TURNOVER, &[], &body).await.status, 201);
    let path = format!("{TURNOVER}/{COUNTY}-B-1");
    let before = stored(&db, &format!("{COUNTY}-B-1")).await;
    for crs in PublishedCrs::LISTED {
        let uri = crs.uri();
        let read = get_authorised(&db, &format!("{path}?crs={}", crate::support::http::encode(&uri))).await;
        let (tag, system) = (read.header("etag").expect("a version"), read.header("content-crs").expect("a system"));
        let headers = [("if-match", tag), ("content-crs", system)];
        for method in [Method::PUT, Method::PATCH] {
            let fresh = get_authorised(&db, &path).await;
            let headers = [("if-match", fresh.header("etag").expect("a version")), headers[1]];
            let written = send_in(&db, method, &path, &headers, &read.json()).await;
            assert_eq!(written.status, 200, "{uri}: {}", written.text());
            assert_eq!(written.json()["geometry"], read.json()["geometry"], "{uri}: it reads the same again");
        }
        let moved = off(&stored(&db, &format!("{COUNTY}-B-1")).await, &before);
        // Each round moves it by half of a last decimal at most; ten rounds by no centimetre.
        assert!(moved < 2e-8, "{uri}: {moved}°");
    }
}

#[actix_web::test]
async fn the_wrong_system_or_order_is_refused() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let properties = |n: u8| json!({"county_code": COUNTY, "number": format!("W-{n}"), "state": "approved", "state_on": "2024-05-06"});
    let degrees = square(x, y, 0.0003);
    let zone = in_system(&degrees, PublishedCrs::GaussKruger { zone: 38, prefixed: true });
    let before: i64 = db.value("SELECT count(*) FROM turnover_parcel").await;
    for (n, system, geometry, code) in [
        (1, "<urn:sizhi:crs:gcj02>", &degrees, "crs_display_only"),
        (2, "EPSG:28992", &degrees, "crs_unknown"),
        (3, "", &degrees, "crs_unknown"),
        // Longitude first where the register has latitude first, and the other zone's eastings.
        (4, "<http://www.opengis.net/def/crs/EPSG/0/4326>", &degrees, "feature_refused"),
        (5, "<http://www.opengis.net/def/crs/EPSG/0/4525>", &zone, "feature_refused"),
        (6, "<http://www.opengis.net/def/crs/EPSG/0/4526>", &degrees, "feature_refused"),
        (7, "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>", &zone, "feature_refused"),
        (
            8,
            "<http://www.opengis.net/def/crs/EPSG/0/4526>",
            &json!({"type": "Polygon", "coordinates": [[["a", 1], [2]], 3, null]}),
            "feature_refused",
        ),
    ] {
        let sent =
            send_in(&db, Method::POST, TURNOVER, &[("content-crs", system)], &feature(properties(n), geometry.clone()))
                .await;
        sent.assert_problem(400, code);
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM turnover_parcel").await, before);
    let split = format!("{TURNOVER}/{COUNTY}-W-1/split");
    let crs = [("content-crs", "<http://www.opengis.net/def/crs/EPSG/0/4526>")];
    let request =
        authorised(Method::POST, &split).insert_header(crs[0]).insert_header(("content-type", "application/json"));
    call(&db, request.set_payload("{}")).await.assert_problem(400, "option_not_possible");
}

#[actix_web::test]
async fn one_key_with_another_system_is_another_request() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let body = feature(
        json!({"county_code": COUNTY, "number": "K-1", "state": "approved", "state_on": "2024-05-06"}),
        square(x, y, 0.0003),
    );
    let send = |system: &'static str| {
        let (db, body) = (&db, &body);
        async move { send_in(db, Method::POST, TURNOVER, &[("idempotency-key", "k"), ("content-crs", system)], body).await }
    };
    assert_eq!(send("CRS84").await.status, 201);
    assert_eq!(send("CRS84").await.header("idempotency-replayed"), Some("true"));
    assert_eq!(send("EPSG:4490").await.status, 409, "not what was done before");
}
