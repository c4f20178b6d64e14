//! Tiles as an outside judge reads them: GDAL's MVT driver, and PostGIS' own encoder beside ours.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use sizhi::layers::tiles::grid::{EXTENT, Tile, matrix_size};

use super::tools::{arg, folder, gdal};

static NEXT: AtomicU32 = AtomicU32::new(1);
/// Half the equator in EPSG:3857.
const HALF_WORLD_M: f64 = 20_037_508.342_789_244;

/// A feature as GDAL read it, its geometry in units of the tile.
#[derive(Debug, Clone)]
pub struct Read {
    pub properties: Value,
    pub geometry: Value,
}

impl Read {
    pub fn id(&self) -> String {
        self.properties["id"].as_str().unwrap_or_else(|| panic!("no id: {}", self.properties)).to_owned()
    }

    /// How many features it stands for.
    pub fn count(&self) -> u64 {
        self.properties["count"].as_u64().unwrap_or(1)
    }
}

/// The features of one layer of a tile; none where it has no such layer.
pub fn read(bytes: &[u8], tile: Tile, layer: &str) -> Vec<Read> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let folder = folder(&format!("tile{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let (file, out) = (folder.join("tile.mvt"), folder.join("out.json"));
    std::fs::write(&file, bytes).expect("tile");
    let place =
        [("X", tile.col), ("Y", tile.row), ("Z", u32::from(tile.zoom))].map(|(name, at)| format!("{name}={at}"));
    let listed = gdal("ogrinfo", &["-ro", "-q", arg(&file)]);
    if !listed.lines().any(|line| line.split([' ', ':']).any(|word| word == layer)) {
        return Vec::new();
    }
    let mut args = vec!["-f", "GeoJSON", "-lco", "COORDINATE_PRECISION=15", "-oo", "CLIP=NO"];
    place.iter().for_each(|option| args.extend(["-oo", option]));
    args.extend([arg(&out), arg(&file), layer]);
    gdal("ogr2ogr", &args);
    let read: Value = serde_json::from_slice(&std::fs::read(&out).expect("GeoJSON")).expect("JSON");
    let _ = std::fs::remove_dir_all(&folder);
    let features = read["features"].as_array().expect("features").iter();
    features
        .map(|feature| {
            let mut geometry = feature["geometry"].clone();
            to_units(&mut geometry["coordinates"], tile);
            Read { properties: feature["properties"].clone(), geometry }
        })
        .collect()
}

/// EPSG:3857 → units of the tile, which are whole numbers.
fn to_units(coordinates: &mut Value, tile: Tile) {
    let pair = coordinates.as_array().and_then(|list| Some((list.first()?.as_f64()?, list.get(1)?.as_f64()?)));
    if let Some((x, y)) = pair {
        let units = EXTENT * f64::from(matrix_size(tile.zoom)) / (2.0 * HALF_WORLD_M);
        let at = [
            (x + HALF_WORLD_M) * units - f64::from(tile.col) * EXTENT,
            (HALF_WORLD_M - y) * units - f64::from(tile.row) * EXTENT,
        ];
        for at in at {
            assert!((at - at.round()).abs() < 1e-3, "{at} is no whole unit");
        }
        *coordinates = serde_json::json!([at[0].round(), at[1].round()]);
        return;
    }
    for part in coordinates.as_array_mut().into_iter().flatten() {
        to_units(part, tile);
    }
}
