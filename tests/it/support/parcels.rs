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

/// A move, an attachment with its content and a child, of each turnover parcel: rows beside the drawn ones, which have none of them.
pub async fn leave_traces(db: &Database) {
    db.write(
        "INSERT INTO parcel_transition (ledger, record_id, ordinal, county_code, from_state, to_state, effective_on, actor)
         SELECT 'turnover_parcel', id, 1, county_code, 'planned', 'approved', '2020-01-01', 'test' FROM turnover_parcel;
         INSERT INTO attachment (ledger, record_id, ordinal, county_code, kind, file_name, media_type, size_bytes, sha256, added_revision)
         SELECT 'turnover_parcel', id, 1, county_code, 'photo', 'a.jpg', 'image/jpeg', 1, encode(sha256(id::bytea), 'hex'), current_revision()
         FROM turnover_parcel;
         INSERT INTO attachment_content SELECT county_code, sha256, 0, record_id::bytea FROM attachment",
    )
    .await;
    db.write(
        "INSERT INTO parcel_lineage (ledger, parent_id, child_id, county_code, kind, effective_on, common_area_m2, actor)
         SELECT 'turnover_parcel', id, id || '-1', county_code, 'split', '2020-01-01', 1, 'test' FROM turnover_parcel",
    )
    .await;
}
