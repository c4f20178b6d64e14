//! Shapes for checks of overlaps.

use serde_json::{Value, json};

use super::Database;

/// The address of checks.
pub const CHECKS: &str = "/api/overlap-checks";

/// A polygon of these corners.
pub fn polygon(ring: &[[f64; 2]]) -> Value {
    let ring: Vec<&[f64; 2]> = ring.iter().chain(ring.first()).collect();
    json!({"type": "Polygon", "coordinates": [ring]})
}

/// A comb of 404 vertices, its spine along the south; `across` turns it, its spine along the west.
pub fn comb(across: bool) -> Vec<[f64; 2]> {
    let (teeth, width, spine) = (100, 0.05, 0.0025);
    let step = width / f64::from(teeth);
    let mut ring: Vec<[f64; 2]> = vec![[0.0, 0.0]];
    for tooth in 0..teeth {
        let at = f64::from(tooth) * step;
        ring.extend([[at, spine], [at, width], [at + step / 2.0, width], [at + step / 2.0, spine]]);
    }
    ring.extend([[width, spine], [width, 0.0]]);
    let turned = |[x, y]: [f64; 2]| if across { [112.9 + y, 28.2 + x] } else { [112.9 + x, 28.2 + y] };
    // One tooth has the spine's corner for its own.
    ring.into_iter().map(turned).collect::<Vec<_>>()
}

/// The comb that lies across, in the place of all blocks.
pub async fn one_comb_for_all_blocks(db: &Database) {
    db.write(&format!(
        "DELETE FROM park_block;
         INSERT INTO park_block (id, park_code, number, geom, area_m2, source, source_crs)
         SELECT code || '-k', code, 'k', ST_Multi(ST_SetSRID(ST_GeomFromGeoJSON('{}'), 4490)), 1, '测绘', 'EPSG:4490' FROM (SELECT min(code) AS code FROM park) p",
        polygon(&comb(true))
    ))
    .await;
}
