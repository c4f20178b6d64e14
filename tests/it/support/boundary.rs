//! Proposals of boundary changes as people send them, and a park of two blocks that they are about.

use actix_web::http::Method;
use serde_json::{Value, json};

use super::Database;
use super::accounts::with_token;
use super::http::{Answer, authorised, call, get_authorised};
use super::land::Land;
use super::parcels::PARK;

pub const CHANGES: &str = "/api/boundary-changes";
pub const SCENARIOS: &str = "/api/scenarios";

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

/// West and east block beside each other, surveyed, in 0.0001° from the land's place.
pub async fn park_of_two(db: &Database) -> Land {
    park_of_two_since(db, "-infinity").await
}

/// The same, the west block only since this day.
pub async fn park_of_two_since(db: &Database, west_from: &str) -> Land {
    let land = Land::of(db).await;
    let at = |[w, s, e, n]: [f64; 4]| {
        format!(
            "ST_Multi(ST_MakeEnvelope({}, {}, {}, {}, 4490))",
            land.x + w * 1e-4,
            land.y + s * 1e-4,
            land.x + e * 1e-4,
            land.y + n * 1e-4
        )
    };
    db.write(&format!(
        "DELETE FROM park_block WHERE park_code = '{PARK}';
         INSERT INTO park_block (id, park_code, number, name, geom, area_m2, stated_area_ha, east, source, valid_from)
         SELECT '{PARK}-' || n, '{PARK}', n, name, geom, ST_Area(geom::geography), ha, '星沙大道', '实测（试验）', since
         FROM (VALUES ('1', '西区', 87.0, {}, date '{west_from}'), ('2', '东区', 69.7, {}, '-infinity')) AS b (n, name, ha, geom, since)",
        at([0.0, 0.0, 100.0, 80.0]),
        at([100.0, 0.0, 180.0, 80.0])
    ))
    .await;
    land
}

/// The west block as it stands, the east block moved: its south half given up, land in the north taken in.
pub fn change_of(land: &Land) -> Value {
    let box_of = |[w, s, e, n]: [f64; 4]| {
        rectangle([land.x + w * 1e-4, land.y + s * 1e-4, land.x + e * 1e-4, land.y + n * 1e-4])
    };
    let mut west = block("1", "87", box_of([0.0, 0.0, 100.0, 80.0]));
    west["properties"]["name"] = json!("西区");
    west["properties"]["east"] = json!("星沙大道");
    let mut east = block("2", "69.7", box_of([100.0, 40.0, 180.0, 120.0]));
    east["properties"]["name"] = json!("东区");
    east["properties"]["north"] = json!("捞刀河、新址");
    proposal(PARK, ["156.70", "34.85", "34.85", "156.70"], vec![west, east])
}

/// To the eve of the approval: notice on Friday 2024-11-01, five working days to Friday 2024-11-08.
pub async fn noticed(db: &Database, id: &str) {
    stepped(db, id, json!({"to": "joint_review", "on": "2024-10-15"})).await;
    stepped(db, id, json!({"to": "public_notice", "on": "2024-11-01"})).await;
}

pub fn approval() -> Value {
    json!({"to": "approved", "on": "2024-11-11", "document_no": "湘政函〔2024〕99号"})
}

/// What a trial of this one deed tells, as the owner of the token asks for it.
pub async fn tried(db: &Database, token: &str, operation: Value) -> Value {
    let body = json!({"name": "试验", "operations": [operation]});
    let made = call(db, with_token(Method::POST, SCENARIOS, token).set_json(body)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("{SCENARIOS}/{}/evaluation", made.json()["id"]);
    let told = call(db, with_token(Method::GET, &path, token)).await;
    assert_eq!(told.status, 200, "{}", told.text());
    told.json()
}
