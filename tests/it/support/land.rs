//! Parcels of the ledgers on a patch of land in a park's block, entered and asked for over HTTP.

use actix_web::http::Method;
use serde_json::{Value, json};

use super::Database;
use super::http::{Answer, authorised, call, get_authorised};
use super::parcels::{COUNTY, PARK, inside};

pub const TURNOVER: &str = "/api/collections/turnover_parcels";
pub const LOW: &str = "/api/collections/low_efficiency_parcels";
pub const PLANS: &str = "/api/collections/redevelopment_plans";

/// West, south, east, north of the land of these tests, in 0.0001° from a place inside the park's largest block.
pub type Box = [f64; 4];

pub async fn send(db: &Database, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let request = headers
        .iter()
        .fold(authorised(Method::POST, path), |request, (name, value)| request.insert_header((*name, *value)));
    call(db, request.set_json(body)).await
}

/// Land in the block.
pub struct Land {
    pub x: f64,
    pub y: f64,
}

impl Land {
    pub async fn of(db: &Database) -> Self {
        let (x, y, _) = inside(db, PARK).await;
        Self { x, y }
    }

    pub fn polygon(&self, [w, s, e, n]: Box) -> Value {
        let (w, e) = (self.x + w * 1e-4, self.x + e * 1e-4);
        let (s, n) = (self.y + s * 1e-4, self.y + n * 1e-4);
        json!({"type": "Polygon", "coordinates": [[[w, s], [e, s], [e, n], [w, n], [w, s]]]})
    }

    pub fn part(&self, number: &str, land: Box) -> Value {
        json!({"type": "Feature", "properties": {"number": number}, "geometry": self.polygon(land)})
    }

    /// Enters a parcel; its ETag.
    pub async fn enter(&self, db: &Database, layer: &str, number: &str, land: Box, more: Value) -> String {
        let mut feature = self.part(number, land);
        feature["properties"]["county_code"] = json!(COUNTY);
        feature["properties"].as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
        let answer = send(db, &format!("{layer}/items"), &[], &feature).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.header("etag").expect("etag").to_owned()
    }
}

pub fn id(number: &str) -> String {
    format!("{COUNTY}-{number}")
}

pub fn items(layer: &str, number: &str) -> String {
    format!("{layer}/items/{}", id(number))
}

pub async fn newest(db: &Database) -> i64 {
    db.value("SELECT max(number) FROM revision").await
}

pub async fn etag(db: &Database, layer: &str, number: &str) -> String {
    let answer = get_authorised(db, &items(layer, number)).await;
    answer.header("etag").unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
}

/// Ids and ellipsoidal areas by PostGIS of what stands, by id.
pub async fn standing(db: &Database) -> Vec<(String, f64)> {
    sqlx::query_as("SELECT id, ST_Area(geom::geography) FROM turnover_parcel WHERE valid_to = 'infinity' ORDER BY id")
        .fetch_all(&db.pool)
        .await
        .expect("parcels")
}

pub fn approved() -> Value {
    json!({"state": "approved", "state_on": "2024-05-06", "approved_on": "2024-05-06", "approved_area_m2": 43000.5,
           "batch_name": "第一批", "supply_mode": "出让", "title_no": "湘（2024）第1号", "name": "整宗", "stated_park": "长沙经济技术开发区"})
}
