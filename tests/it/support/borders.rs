//! Parks side by side with borders that waver by up to six metres, as surveyed borders do; alone in the register.

use serde_json::Value;

use super::Database;

/// The parks, from west to east; the last one lies by itself.
pub const PARKS: [&str; 5] = ["G431033", "G431176", "G431177", "G431178", "G431179"];

/// The block of a park.
pub fn block(park: &str) -> String {
    format!("{park}-1")
}

/// Steps of a whole border, from south to north.
const STEPS: u32 = 100;
/// A step at which a border lies so far east of its line that it is another column of the grid of four decimals; a corner there is kept,
/// while the swing of the rest is within the tolerance.
const SPUR: u32 = 52;

/// A border at so many hundredths of a degree, as a list of points in SQL.
fn border(at: &str, steps: u32) -> String {
    format!(
        "(SELECT array_agg(ST_SetSRID(ST_MakePoint(112 + ({at}) * 0.01 + abs(0.00004 * sin(37 * j) + 0.00002 * cos(91 * j)), 28 + j * 0.0002), 4490) ORDER BY j)
          FROM generate_series(0, {steps}) j)"
    )
}

/// The land between two borders.
fn between(west: &str, east: &str, steps: u32) -> String {
    let (west, east) = (border(west, steps), border(east, steps));
    format!(
        "ST_Multi(ST_MakePolygon(ST_AddPoint(ST_MakeLine(ST_MakeLine({west}), ST_Reverse(ST_MakeLine({east}))), ({west})[1])))"
    )
}

/// The sample's parks with blocks of these tests in the place of their own: four of 1 km by 2 km side by side, and one apart.
pub async fn ragged() -> Database {
    let db = Database::with_sample().await;
    let known: Vec<String> = db.column("SELECT code FROM park ORDER BY code").await;
    assert!(PARKS.iter().all(|code| known.iter().any(|k| k == code)), "{known:?}");
    let blocks: Vec<String> = (0..)
        .zip(PARKS)
        .map(|(nth, park)| {
            let west = if nth == 4 { 20 } else { nth };
            let shape = between(&west.to_string(), &(west + 1).to_string(), STEPS);
            format!("('{park}', {shape})")
        })
        .collect();
    db.write(&format!(
        "DELETE FROM park_block;
         INSERT INTO park_block (id, park_code, number, geom, area_m2, source, source_crs)
         SELECT park || '-1', park, '1', geom, ST_Area(geom::geography), '测绘', 'EPSG:4525' FROM (VALUES {}) AS b (park, geom)",
        blocks.join(", ")
    ))
    .await;
    db
}

/// Cuts the northern half off the first park. The second one's boundary stays as it is; its outline gets a corner where the first one's is.
pub async fn cut_first(db: &Database) {
    let (shape, park) = (between("0", "1", SPUR), PARKS[0]);
    db.write(&format!("UPDATE park_block SET geom = {shape}, area_m2 = area_m2 / 2 WHERE park_code = '{park}'")).await;
}

/// Ends the life of the first park's block on a day, and begins the next one without the northern half.
pub async fn cut_first_on(db: &Database, day: &str) {
    let (shape, id) = (between("0", "1", SPUR), block(PARKS[0]));
    db.write(&format!(
        "UPDATE park_block SET valid_to = '{day}' WHERE id = '{id}';
         INSERT INTO park_block (id, park_code, number, geom, area_m2, source, source_crs, valid_from)
         SELECT id, park_code, number, {shape}, area_m2 / 2, source, source_crs, date '{day}' FROM park_block WHERE id = '{id}'"
    ))
    .await;
}

/// Ids of features.
pub fn ids(collection: &Value) -> Vec<&str> {
    let features = collection["features"].as_array().unwrap_or_else(|| panic!("no features: {collection}"));
    features.iter().map(|f| f["id"].as_str().expect("id")).collect()
}
