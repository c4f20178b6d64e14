//! Control zones made for tests.

use serde_json::{Value, json};
use sizhi::inventory::import::ImportRequest;

use super::{Database, parcels};

/// A box of degrees.
pub fn boxed(west: f64, south: f64, east: f64, north: f64) -> Value {
    json!({"type": "Polygon", "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]]})
}

/// A request to import zones, of this kind where the file does not say.
pub fn zones_of(kind: Option<&'static str>) -> impl Fn(&mut ImportRequest) {
    move |request| {
        request.layer = "control_zones".to_owned();
        request.zone_kind = kind.map(str::to_owned);
    }
}

/// Imports these features as zones of a kind, all or nothing.
pub async fn drawn(db: &Database, name: &str, kind: Option<&'static str>, features: &[(Value, Value)]) -> i64 {
    let imported = db.import(&parcels::file(name, features), zones_of(kind)).await.expect("imported");
    imported.revision.unwrap_or_else(|| panic!("{:?}", imported.report.findings))
}
