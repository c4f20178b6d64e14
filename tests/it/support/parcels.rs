//! Parcels made for tests: squares inside the sample's park blocks, as files and as JSON.

use std::path::PathBuf;

use serde_json::{Value, json};
use sizhi::domain::access::Viewer;
use sizhi::inventory::import::ImportRequest;

use super::{Database, files};

/// The county that the parcels of these tests are numbered by: 长沙县, where 长沙经济技术开发区 lies.
pub const COUNTY: &str = "430121";
pub const PARK: &str = "G431033";

/// A place well inside the largest block of the park, and the block.
pub async fn inside(db: &Database, park: &str) -> (f64, f64, String) {
    sqlx::query_as(
        "SELECT ST_X(c.center), ST_Y(c.center), b.id FROM park_block b, LATERAL ST_MaximumInscribedCircle(b.geom) c
         WHERE b.park_code = $1 ORDER BY b.area_m2 DESC LIMIT 1",
    )
    .bind(park)
    .fetch_one(&db.pool)
    .await
    .expect("a block")
}

/// A square of about `side_deg` degrees with its south-west corner here.
pub fn square(x: f64, y: f64, side_deg: f64) -> Value {
    let (e, n) = (x + side_deg, y + side_deg);
    json!({"type": "Polygon", "coordinates": [[[x, y], [e, y], [e, n], [x, n], [x, y]]]})
}

/// A GeoJSON file of these features: properties and geometry.
pub fn file(name: &str, features: &[(Value, Value)]) -> PathBuf {
    let features: Vec<Value> = features
        .iter()
        .map(|(properties, geometry)| json!({"type": "Feature", "properties": properties, "geometry": geometry}))
        .collect();
    files::write(name, json!({"type": "FeatureCollection", "features": features}).to_string())
}

/// Imports into a ledger, in the county of these tests.
pub fn into(ledger: &'static str) -> impl Fn(&mut ImportRequest) {
    move |request| {
        request.layer = ledger.to_owned();
        request.county = sizhi::domain::DivisionCode::parse(COUNTY).ok();
        request.today = "2026-11-26".parse().expect("day");
    }
}

pub fn operator() -> Viewer {
    Viewer::operator("test")
}
