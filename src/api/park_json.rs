//! JSON of parks: the fields that the directory and the card share, and all that a card adds.
//!
//! The words of the four extents and the computed extremes stand side by side. Never: one in place of the other.

use geo::MultiPolygon;
use serde_json::{Map, Value, json};

use crate::domain::area::round_decimal;
use crate::domain::extents_check::{self, MeasuredBlock};
use crate::domain::four_extents::{self, BlockExtents, Direction, ExtentsWarning, FourExtents, Landmark};
use crate::domain::generalisation::Generalisation;
use crate::domain::{Block, Hectares, SquareMetres, park_words};
use crate::geometry::extremes::{self, Extremes, Vertex};
use crate::inventory::wire;
use crate::store::park_cards::{DirectoryRow, ParkCard};

/// Decimals of a degree: about a millimetre, as in GeoJSON.
const DEGREE_DECIMALS: usize = 8;
/// Decimals of a second: about 0.3 m, as notices print them.
const SECOND_DECIMALS: usize = 2;

/// A park as the directory lists it, with links to its card.
pub fn summary(row: &DirectoryRow, base: &str) -> Value {
    let url = card_url(base, &row.code);
    let mut park = fields(row);
    park.insert(
        "links".into(),
        json!([
            {"rel": "item", "type": "application/json", "title": row.name, "href": format!("{url}?f=json")},
            {"rel": "item", "type": "text/html", "title": row.name, "href": format!("{url}?f=html")},
        ]),
    );
    Value::Object(park)
}

/// All that is known of a park; `outlined` where its boundaries are outlines.
pub fn card(card: &ParkCard, outlined: Option<&Generalisation>, base: &str) -> Value {
    let words = park_words::of_blocks(&card.blocks);
    let measured: Vec<MeasuredBlock> = card.blocks.iter().map(measured).collect();
    let approved = card.park.approved_area_ha.and_then(Hectares::new);
    let findings = extents_check::check(&words.parsed, &measured, approved);
    let verdict = extents_check::verdict(&words.parsed, &measured, &findings);
    let mut park = fields(&card.park);
    let mut put = |key: &str, value: Value| park.insert(key.to_owned(), value);
    put(
        "four_extents",
        json!({
            "text": Some(&words.text).filter(|t| !t.is_empty()),
            "total_area_ha": words.parsed.total_area.map(Hectares::value),
            "blocks": words.parsed.blocks.iter().map(said_block).collect::<Vec<_>>(),
            "warnings": words.parsed.warnings.iter().map(ExtentsWarning::code).collect::<Vec<_>>(),
        }),
    );
    let drawn: Vec<(&Block, &MultiPolygon<f64>)> = card.blocks.iter().zip(&card.boundaries).collect();
    put("computed", computed(&drawn));
    if let Some(rule) = outlined {
        put("generalisation", wire::generalisation(rule));
    }
    put(
        "check",
        json!({
            "verdict": verdict.as_str(),
            "verdict_label": verdict.label(),
            "findings": wire::findings(&findings),
        }),
    );
    put("blocks", drawn.iter().map(block).collect());
    put("lineage", json!(card.events));
    put("directory_versions", json!(card.directory_versions));
    put("links", card_links(&card.park.code, base));
    Value::Object(park)
}

/// The address of a park's card.
pub fn card_url(base: &str, code: &str) -> String {
    format!("{base}/api/parks/{code}")
}

fn card_links(code: &str, base: &str) -> Value {
    let url = card_url(base, code);
    let layers = format!("{base}/api/collections");
    let geojson = "application/geo+json";
    json!([
        {"rel": "self", "type": "application/json", "href": format!("{url}?f=json")},
        {"rel": "alternate", "type": "text/html", "href": format!("{url}?f=html")},
        {
            "rel": "collection", "type": "application/json", "title": "园区名录",
            "href": format!("{base}/api/parks?f=json"),
        },
        {"rel": "related", "type": "application/json", "title": "沿革图", "href": format!("{url}/lineage")},
        {"rel": "related", "type": geojson, "title": "园区边界", "href": format!("{layers}/parks/items/{code}?f=json")},
        {
            "rel": "related", "type": geojson, "title": "区块边界",
            "href": format!("{layers}/park_blocks/items?park_code={code}&f=json"),
        },
    ])
}

fn fields(row: &DirectoryRow) -> Map<String, Value> {
    let hectares = |ha: Option<f64>| ha.and_then(Hectares::new).map(Hectares::to_square_metres);
    let mut park = Map::new();
    let mut put = |key: &str, value: Value| park.insert(key.to_owned(), value);
    put("code", json!(row.code));
    put("name", json!(row.name));
    put("aliases", json!(row.aliases));
    put("level", json!(row.level));
    put("type", json!(row.kind));
    put("prefecture", json!({"code": row.prefecture_code, "name": row.prefecture_name}));
    put("county_codes", json!(row.county_codes));
    put("leading_industries", json!(row.leading_industries));
    put("approved_text", json!(row.approved_text));
    put(
        "areas",
        json!({
            "approved": area(hectares(row.approved_area_ha)),
            "stated": area(hectares(row.stated_area_ha)),
            "computed": area(row.computed_area_m2.and_then(SquareMetres::new)),
        }),
    );
    put("block_count", json!(row.block_count));
    put("status", json!(row.status));
    put("successor_code", json!(row.successor_code));
    put("illustrative", json!(row.illustrative));
    put("source", json!(row.source));
    put("valid_from", json!(row.valid_from.map(|day| day.to_string())));
    put("valid_to", json!(row.valid_to.map(|day| day.to_string())));
    park
}

/// One area in its three units, each rounded as its readers print it; `null` where there is none.
fn area(area: Option<SquareMetres>) -> Value {
    let Some(area) = area else { return Value::Null };
    json!({
        "m2": round_decimal(area.value(), 2),
        "ha": round_decimal(area.to_hectares().value(), 4),
        "mu": round_decimal(area.to_mu().value(), 2),
    })
}

fn measured(block: &Block) -> MeasuredBlock {
    MeasuredBlock {
        name: block.name.clone(),
        parts: block.boundary.0.len(),
        computed_area: block.area,
        stated_area: block.stated_area,
    }
}

fn said_block(said: &BlockExtents) -> Value {
    let words = &said.extents;
    json!({
        "name": said.name,
        "area_ha": said.area.map(Hectares::value),
        "east": words.east,
        "south": words.south,
        "west": words.west,
        "north": words.north,
    })
}

fn block(drawn: &(&Block, &MultiPolygon<f64>)) -> Value {
    let (block, _) = *drawn;
    let words = &block.four_extents;
    json!({
        "id": block.id.to_string(),
        "number": block.id.number(),
        "name": block.name,
        "parts": block.boundary.0.len(),
        "rings": block.boundary.iter().map(|polygon| 1 + polygon.interiors().len()).sum::<usize>(),
        "areas": {
            "stated": area(block.stated_area.map(Hectares::to_square_metres)),
            "computed": area(Some(block.area)),
        },
        "four_extents": {
            "east": words.east,
            "south": words.south,
            "west": words.west,
            "north": words.north,
            "text": block.shown_four_extents(),
            "landmarks": landmarks(words),
        },
        "extremes": computed(std::slice::from_ref(drawn)),
        "illustrative": block.illustrative,
        "source": block.source,
        "source_crs": block.source_crs,
    })
}

/// What each side names, with distances such as “X路以西330米处”.
fn landmarks(words: &FourExtents) -> Value {
    let mut sides = Map::new();
    for direction in Direction::ALL {
        if let Some(value) = words.get(direction) {
            let named: Vec<Value> = four_extents::landmarks(value).iter().map(landmark).collect();
            sides.insert(direction.as_str().to_owned(), Value::Array(named));
        }
    }
    Value::Object(sides)
}

fn landmark(landmark: &Landmark) -> Value {
    let offset = landmark.offset.as_ref().map(
        |offset| json!({"landmark": offset.landmark, "direction": offset.direction.as_str(), "metres": offset.metres}),
    );
    json!({"text": landmark.text, "offset": offset})
}

/// Box and outermost vertices of these blocks together; `null` where there is no boundary.
fn computed(drawn: &[(&Block, &MultiPolygon<f64>)]) -> Value {
    let all: Vec<(&Block, Extremes)> =
        drawn.iter().filter_map(|(block, boundary)| extremes::compute(boundary).map(|e| (*block, e))).collect();
    let (Some(east), Some(south), Some(west), Some(north)) = (
        outermost(&all, |e| e.east, |v| v.longitude),
        outermost(&all, |e| e.south, |v| -v.latitude),
        outermost(&all, |e| e.west, |v| -v.longitude),
        outermost(&all, |e| e.north, |v| v.latitude),
    ) else {
        return Value::Null;
    };
    let bbox = [west.1.longitude, south.1.latitude, east.1.longitude, north.1.latitude].map(degrees);
    json!({
        "bbox": bbox,
        "easternmost": corner(east),
        "southernmost": corner(south),
        "westernmost": corner(west),
        "northernmost": corner(north),
    })
}

/// The vertex of one side that reaches farthest, with its block; among equals the first block's.
fn outermost<'a>(
    all: &[(&'a Block, Extremes)],
    side: fn(&Extremes) -> Vertex,
    reach: fn(&Vertex) -> f64,
) -> Option<(&'a Block, Vertex)> {
    let reaches = |extremes: &Extremes| reach(&side(extremes));
    // `max_by` keeps the last of equals.
    let found = all.iter().rev().max_by(|(_, a), (_, b)| reaches(a).total_cmp(&reaches(b)));
    found.map(|(block, extremes)| (*block, side(extremes)))
}

fn corner((block, vertex): (&Block, Vertex)) -> Value {
    json!({
        "lon": degrees(vertex.longitude),
        "lat": degrees(vertex.latitude),
        "lon_dms": extremes::dms(vertex.longitude, SECOND_DECIMALS),
        "lat_dms": extremes::dms(vertex.latitude, SECOND_DECIMALS),
        "block": block.id.to_string(),
        "part": vertex.part,
        "ring": vertex.ring,
        "vertex": vertex.vertex,
    })
}

fn degrees(value: f64) -> f64 {
    round_decimal(value, DEGREE_DECIMALS)
}

#[cfg(test)]
mod tests {
    use geo::polygon;

    use super::*;
    use crate::domain::BlockId;

    fn square(id: &str, west: f64, south: f64) -> Block {
        let (east, north) = (west + 0.01, south + 0.01);
        let ring = polygon![(x: west, y: south), (x: east, y: south), (x: east, y: north), (x: west, y: north)];
        Block {
            id: BlockId::parse(id).expect("id"),
            name: None,
            boundary: MultiPolygon(vec![ring]),
            area: SquareMetres::new(1_090_000.0).expect("finite"),
            stated_area: None,
            four_extents: FourExtents::default(),
            four_extents_text: None,
            illustrative: true,
            source: "test".to_owned(),
            source_crs: None,
            attributes: Vec::new(),
        }
    }

    #[test]
    fn the_outermost_vertices_come_from_all_blocks() {
        let blocks = [square("G431176-1", 113.0, 28.0), square("G431176-2", 113.0, 28.5)];
        let drawn: Vec<_> = blocks.iter().map(|block| (block, &block.boundary)).collect();
        let found = computed(&drawn);
        assert_eq!(found["bbox"], json!([113.0, 28.0, 113.01, 28.51]));
        let blocks = |side: &str| found[side]["block"].clone();
        assert_eq!(blocks("northernmost"), "G431176-2");
        assert_eq!(blocks("southernmost"), "G431176-1");
        assert_eq!(blocks("easternmost"), "G431176-1", "the first of two equal ones");
        assert_eq!(found["northernmost"]["lat_dms"], "28°30′36.00″");
        assert_eq!(computed(&[]), Value::Null);
    }

    #[test]
    fn areas_are_rounded_per_unit() {
        let of = |m2: f64| area(SquareMetres::new(m2));
        assert_eq!(of(128_377.604_9), json!({"m2": 128_377.6, "ha": 12.8378, "mu": 192.57}));
        assert_eq!(area(None), Value::Null);
    }
}
