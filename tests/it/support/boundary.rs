//! Proposals of boundary changes as people send them.

use actix_web::http::Method;
use serde_json::{Value, json};

use super::Database;
use super::http::{Answer, authorised, call, get_authorised};

pub const CHANGES: &str = "/api/boundary-changes";

/// A ring in degrees as a GeoJSON polygon, closed here.
pub fn polygon(ring: &[[f64; 2]]) -> Value {
    let ring: Vec<&[f64; 2]> = ring.iter().chain(ring.first()).collect();
    json!({"type": "Polygon", "coordinates": [ring]})
}

/// West, south, east, north in degrees.
pub fn rectangle([w, s, e, n]: [f64; 4]) -> Value {
    polygon(&[[w, s], [e, s], [e, n], [w, n]])
}

/// About so many hectares, its south-west corner here: 28° north, to some tenths of a per cent.
pub fn square(x: f64, y: f64, hectares: f64) -> Value {
    let side = (hectares * 10_000.0).sqrt();
    let east = 111_320.0 * y.to_radians().cos();
    rectangle([x, y, x + side / east, y + side / 110_850.0])
}

/// One block of a proposal.
pub fn block(number: &str, stated_ha: &str, geometry: Value) -> Value {
    // As documents write it: the digits, not a float of ours.
    let stated: Value = serde_json::from_str(stated_ha).expect("decimal");
    json!({"type": "Feature", "properties": {"number": number, "stated_area_ha": stated}, "geometry": geometry})
}

/// A proposal; the areas before, out, in, after as the paper has them.
pub fn proposal(park: &str, [before, out, added, after]: [&str; 4], blocks: Vec<Value>) -> Value {
    let number = |text: &str| serde_json::from_str::<Value>(text).expect("decimal");
    json!({
        "type": "FeatureCollection", "park": park, "title": "调区扩区（试验）", "proposed_on": "2024-10-08",
        "area": {"before_ha": number(before), "out_ha": number(out), "in_ha": number(added), "after_ha": number(after)},
        "features": blocks,
    })
}

pub async fn post(db: &Database, path: &str, body: &Value) -> Answer {
    call(db, authorised(Method::POST, path).set_json(body)).await
}

/// Proposes, and gives the change as it was answered.
pub async fn proposed(db: &Database, body: &Value) -> Value {
    let answer = post(db, CHANGES, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// A step with the version that stands.
pub async fn step(db: &Database, id: &str, body: Value) -> Answer {
    let path = format!("{CHANGES}/{id}");
    let standing = get_authorised(db, &path).await;
    let tag = standing.header("etag").unwrap_or_else(|| panic!("{}", standing.text())).to_owned();
    let request = authorised(Method::POST, &format!("{path}/transitions")).insert_header(("if-match", tag));
    call(db, request.set_json(body)).await
}

/// The same, which must go through.
pub async fn stepped(db: &Database, id: &str, body: Value) -> Value {
    let answer = step(db, id, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

pub async fn assessment(db: &Database, id: &str) -> Value {
    let answer = get_authorised(db, &format!("{CHANGES}/{id}/assessment")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Codes of a list of findings.
pub fn codes(findings: &Value) -> Vec<&str> {
    findings.as_array().expect("findings").iter().map(|f| f["code"].as_str().expect("code")).collect()
}
