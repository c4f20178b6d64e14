//! GeoJSON of domain objects (RFC 7946): exterior rings counter-clockwise, at most eight decimals (1 mm).

use geo::{MapCoords, MultiPolygon, Orient, orient::Direction};
use geojson::{Feature, FeatureCollection, Geometry, GeometryValue, JsonObject, feature::Id};
use serde_json::{Value, json};

use crate::domain::area::round_decimal;
use crate::domain::{Block, Hectares};

/// Decimals of a degree: 1e-8° is about a millimetre.
const DECIMALS: f64 = 1e8;

/// A vertex as layers show it.
pub fn published(c: geo::Coord<f64>) -> geo::Coord<f64> {
    let round = |degrees: f64| (degrees * DECIMALS).round() / DECIMALS;
    geo::Coord { x: round(c.x), y: round(c.y) }
}

/// The geometry as RFC 7946 wants it.
pub fn geometry(boundary: &MultiPolygon<f64>) -> Geometry {
    let oriented = boundary.orient(Direction::Default).map_coords(published);
    Geometry::new(GeometryValue::from(&oriented))
}

/// A whole file of blocks, with English keys as the API has them.
pub fn blocks_to_feature_collection(blocks: &[Block]) -> String {
    let features = blocks.iter().map(block_feature).collect();
    FeatureCollection { bbox: None, features, foreign_members: None }.to_string()
}

fn block_feature(block: &Block) -> Feature {
    let words = &block.four_extents;
    let mut properties = JsonObject::new();
    let mut put = |key: &str, value: Value| {
        properties.insert(key.to_owned(), value);
    };
    put("park_code", json!(block.id.park().as_str()));
    put("number", json!(block.id.number()));
    put("name", json!(block.name));
    put("stated_area_ha", json!(block.stated_area.map(Hectares::value)));
    put("computed_area_m2", json!(round_decimal(block.area.value(), 2)));
    put("computed_area_ha", json!(round_decimal(block.area.to_hectares().value(), 4)));
    put("computed_area_mu", json!(round_decimal(block.area.to_mu().value(), 2)));
    for (key, side) in [("east", &words.east), ("south", &words.south), ("west", &words.west), ("north", &words.north)]
    {
        put(key, json!(side));
    }
    put("four_extents", json!(block.four_extents_text));
    put("illustrative", json!(block.illustrative));
    put("source", json!(block.source));
    Feature {
        bbox: None,
        geometry: Some(geometry(&block.boundary)),
        id: Some(Id::String(block.id.to_string())),
        properties: Some(properties),
        foreign_members: None,
    }
}
