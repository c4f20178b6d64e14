//! What tiles there are: tile matrix sets, tilesets of a layer and of several, TileJSON; all derived from the layer declarations.

use actix_web::{HttpRequest, web};
use serde_json::{Map, Value, json};

use super::auth;
use super::collections::{extent, layer_of, property_schema};
use super::params::{Params, shorten};
use super::problem::{Answer, Problem};
use super::representation;
use super::state::State;
use super::tiles::{MATRIX_SET, MEDIA_TYPE, check_matrix_set, chosen_layers};
use crate::domain::access::Viewer;
use crate::domain::layer::{Layer, PropertyKind};
use crate::error::Error;
use crate::layers::tiles::grid::{self, MAX_LATITUDE, MAX_ZOOM};
use crate::layers::tiles::{SINGLES_FROM, TileLayer};

const SET_URI: &str = "http://www.opengis.net/def/tilematrixset/OGC/1.0/WebMercatorQuad";
const CRS: &str = "http://www.opengis.net/def/crs/EPSG/0/3857";
const CRS84: &str = "http://www.opengis.net/def/crs/OGC/1.3/CRS84";
const TILE_JSON: &str = "application/vnd.mapbox.tile+json";
pub const TILESETS: &str = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector";
pub const SCHEMES: &str = "http://www.opengis.net/def/rel/ogc/1.0/tiling-schemes";
const SCHEME: &str = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme";
/// Half the equator's length in EPSG:3857.
const HALF_WORLD_M: f64 = 20_037_508.342_789_244;
/// A pixel of the standard: 0.28 mm.
const STANDARD_PIXEL_M: f64 = 0.000_28;
const PIXELS: f64 = 256.0;

/// `/api/tileMatrixSets`.
pub async fn list_tile_matrix_sets(request: HttpRequest, state: web::Data<State>) -> Answer {
    json_alone(&request)?;
    let base = representation::base_url(&request, &state);
    let set = json!({
        "id": MATRIX_SET, "title": "Google Maps Compatible for the World", "uri": SET_URI, "crs": CRS,
        "links": [{"rel": "self", "type": "application/json", "href": format!("{base}/api/tileMatrixSets/{MATRIX_SET}")}],
    });
    representation::json(None, &json!({"tileMatrixSets": [set]}))
}

/// `/api/tileMatrixSets/WebMercatorQuad`: its definition (17-083r4, D.1).
pub async fn get_tile_matrix_set(request: HttpRequest, path: web::Path<String>) -> Answer {
    json_alone(&request)?;
    check_matrix_set(&path)?;
    let matrices: Vec<Value> = (0..=MAX_ZOOM)
        .map(|zoom| {
            let size = grid::matrix_size(zoom);
            let cell_m = 2.0 * HALF_WORLD_M / PIXELS / f64::from(size);
            json!({
                "id": zoom.to_string(), "scaleDenominator": cell_m / STANDARD_PIXEL_M, "cellSize": cell_m,
                "cornerOfOrigin": "topLeft", "pointOfOrigin": [-HALF_WORLD_M, HALF_WORLD_M],
                "tileWidth": PIXELS as u32, "tileHeight": PIXELS as u32, "matrixWidth": size, "matrixHeight": size,
            })
        })
        .collect();
    let set = json!({
        "id": MATRIX_SET, "title": "Google Maps Compatible for the World", "uri": SET_URI, "crs": CRS,
        "orderedAxes": ["X", "Y"], "wellKnownScaleSet": "http://www.opengis.net/def/wkss/OGC/1.0/GoogleMapsCompatible",
        "tileMatrices": matrices,
    });
    representation::json(None, &set)
}

/// A place that has tiles: a layer, or several together.
struct Place<'a> {
    /// Up to `/tiles`.
    url: String,
    /// What every address behind it needs, with its `?`.
    query: String,
    title: &'a str,
    description: &'a str,
    layers: Vec<&'static Layer>,
}

impl<'a> Place<'a> {
    fn of_layer(base: &str, layer: &'static Layer) -> Self {
        Self {
            url: format!("{base}/api/collections/{}", layer.id),
            query: String::new(),
            title: layer.title.zh,
            description: layer.description.zh,
            layers: vec![layer],
        }
    }

    fn of_several(base: &str, params: &Params, layers: Vec<&'static Layer>) -> Self {
        let ids: Vec<&str> = layers.iter().map(|layer| layer.id).collect();
        let query = params.get("collections").map(|_| format!("?collections={}", ids.join(",")));
        Self {
            url: format!("{base}/api"),
            query: query.unwrap_or_default(),
            title: "四至：产业园区土地清单",
            description: "各图层合在一张瓦片里，每个图层一层；collections 可只取其中几个",
            layers,
        }
    }

    fn tileset(&self) -> String {
        format!("{}/tiles/{MATRIX_SET}", self.url)
    }

    fn query_and(&self, more: &str) -> String {
        let mark = if self.query.is_empty() { "?" } else { "&" };
        format!("{}{mark}{more}", self.query)
    }

    /// A template; `names` are those of row and column, in this order: the standard's, or those of TileJSON.
    fn tile_template(&self, [zoom, row, col]: [&str; 3]) -> String {
        format!("{}/{{{zoom}}}/{{{row}}}/{{{col}}}{}", self.tileset(), self.query_and("f=mvt"))
    }

    fn links(&self, base: &str) -> Value {
        json!([
            {"rel": "self", "type": "application/json", "title": "瓦片集", "href": format!("{}{}", self.tileset(), self.query_and("f=json"))},
            {"rel": "describedby", "type": TILE_JSON, "title": "TileJSON", "href": format!("{}{}", self.tileset(), self.query_and("f=tilejson"))},
            {"rel": SCHEME, "type": "application/json", "title": "瓦片矩阵集", "href": format!("{base}/api/tileMatrixSets/{MATRIX_SET}")},
            {"rel": "item", "type": MEDIA_TYPE, "title": "瓦片", "templated": true, "href": self.tile_template(["tileMatrix", "tileRow", "tileCol"])},
        ])
    }

    fn summary(&self, base: &str) -> Value {
        json!({
            "title": self.title, "dataType": "vector", "crs": CRS, "tileMatrixSetId": MATRIX_SET,
            "tileMatrixSetURI": SET_URI, "links": self.links(base),
        })
    }

    fn shown(&self, state: &State) -> Vec<Shown> {
        let shown = |layer: &&'static Layer| Shown { layer, tiles: (*state.tiles.layer(layer)).clone() };
        self.layers.iter().map(shown).collect()
    }
}

/// A layer and how it shows.
struct Shown {
    layer: &'static Layer,
    tiles: TileLayer,
}

impl Shown {
    fn properties(&self) -> impl Iterator<Item = &'static crate::domain::layer::Property> {
        let names = &self.tiles.properties;
        self.layer.properties.iter().filter(move |p| names.iter().any(|shown| shown.name == p.name))
    }
}

/// `/api/collections/{collection}/tiles`.
pub async fn list_tilesets(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    let layer = layer_of(&state, &path, &viewer)?;
    json_alone(&request)?;
    let base = representation::base_url(&request, &state);
    tilesets(&base, &Place::of_layer(&base, layer))
}

/// `/api/tiles`.
pub async fn list_dataset_tilesets(request: HttpRequest, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    json_alone(&request)?;
    let base = representation::base_url(&request, &state);
    let layers = chosen_layers(&state, &Params::none(), &viewer)?;
    tilesets(&base, &Place::of_several(&base, &Params::none(), layers))
}

fn tilesets(base: &str, place: &Place<'_>) -> Answer {
    let links = json!([{"rel": "self", "type": "application/json", "href": format!("{}/tiles", place.url)}]);
    representation::json(None, &json!({"links": links, "tilesets": [place.summary(base)]}))
}

/// `/api/collections/{collection}/tiles/WebMercatorQuad`.
pub async fn get_tileset(request: HttpRequest, path: web::Path<(String, String)>, state: web::Data<State>) -> Answer {
    let (collection, set) = path.into_inner();
    let viewer = auth::viewer(&request, &state).await?;
    let layer = layer_of(&state, &collection, &viewer)?;
    let params = Params::read(&request, &["f"], |_| false)?;
    check_matrix_set(&set)?;
    let base = representation::base_url(&request, &state);
    tileset(&request, &state, &viewer, &params, &base, &Place::of_layer(&base, layer)).await
}

/// `/api/tiles/WebMercatorQuad`.
pub async fn get_dataset_tileset(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    let params = Params::read_with_lists(&request, &["f", "collections"], &["collections"])?;
    check_matrix_set(&path)?;
    let base = representation::base_url(&request, &state);
    let place = Place::of_several(&base, &params, chosen_layers(&state, &params, &viewer)?);
    tileset(&request, &state, &viewer, &params, &base, &place).await
}

async fn tileset(
    request: &HttpRequest,
    state: &State,
    viewer: &Viewer,
    params: &Params,
    base: &str,
    place: &Place<'_>,
) -> Answer {
    let is_tile_json = wants_tile_json(request, params)?;
    let mut bounds: Option<[f64; 4]> = None;
    for layer in &place.layers {
        let found = extent(state, viewer, layer).await?.bbox;
        bounds = match (bounds, found) {
            (Some(a), Some(b)) => Some([a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]),
            (a, b) => a.or(b),
        };
    }
    let shown = place.shown(state);
    if is_tile_json {
        let document = tile_json(place, &shown, bounds);
        return representation::answer(TILE_JSON, None, document.to_string());
    }
    representation::json(None, &metadata(base, place, &shown, bounds))
}

/// The zooms of all layers together.
fn zooms(shown: &[Shown]) -> (u8, u8) {
    let first = shown.iter().map(|s| *s.tiles.zooms.start()).min();
    let last = shown.iter().map(|s| *s.tiles.zooms.end()).max();
    (first.unwrap_or(0), last.unwrap_or(MAX_ZOOM))
}

/// Tileset metadata (17-083r4, 10).
fn metadata(base: &str, place: &Place<'_>, shown: &[Shown], bounds: Option<[f64; 4]>) -> Value {
    let (first, last) = zooms(shown);
    let mut document = place.summary(base);
    let Some(object) = document.as_object_mut() else { return document };
    object.insert("description".into(), json!(place.description));
    if let Some([west, south, east, north]) = bounds {
        object.insert(
            "boundingBox".into(),
            json!({"lowerLeft": [west, south], "upperRight": [east, north], "crs": CRS84}),
        );
    }
    let around = bounds.unwrap_or([-180.0, -MAX_LATITUDE, 180.0, MAX_LATITUDE]);
    let limits: Vec<Value> = (first..=last)
        .map(|zoom| {
            let range = grid::touched(&around, zoom);
            json!({
                "tileMatrix": zoom.to_string(),
                "minTileRow": range.rows.start(), "maxTileRow": range.rows.end(),
                "minTileCol": range.cols.start(), "maxTileCol": range.cols.end(),
            })
        })
        .collect();
    object.insert("tileMatrixSetLimits".into(), Value::Array(limits));
    object.insert("layers".into(), shown.iter().flat_map(described).collect());
    document
}

/// What each layer of a tile holds; the labels are a layer of their own.
fn described(shown: &Shown) -> Vec<Value> {
    let (layer, tiles) = (shown.layer, &shown.tiles);
    let own = |name: &str, title: String, dimension: u8, properties: Map<String, Value>| {
        json!({
            "id": name, "title": title, "description": layer.description.zh, "dataType": "vector",
            "geometryDimension": dimension, "minTileMatrix": tiles.zooms.start().to_string(),
            "maxTileMatrix": tiles.zooms.end().to_string(),
            "propertiesSchema": {"type": "object", "properties": properties},
        })
    };
    let id = || ("id".to_owned(), json!({"type": "string", "title": "标识", "x-title-en": "Id"}));
    let mut properties = Map::from_iter([id()]);
    properties.insert(
        "count".into(),
        json!({"type": "integer", "title": count_title(), "x-title-en": "Features gathered in this pixel"}),
    );
    properties.extend(shown.properties().map(|p| (p.name.to_owned(), property_schema(p))));
    let mut layers = vec![own(&tiles.name, layer.title.zh.to_owned(), 2, properties)];
    if let Some(label) = tiles.label.and_then(|at| tiles.properties.get(at)) {
        let named = layer.properties.iter().filter(|p| p.name == label.name);
        let properties = [id()].into_iter().chain(named.map(|p| (p.name.to_owned(), property_schema(p)))).collect();
        layers.push(own(&tiles.label_name(), format!("{}：注记点", layer.title.zh), 0, properties));
    }
    layers
}

fn count_title() -> String {
    format!("不足一个像素、合在一起的要素数；{SINGLES_FROM} 级起没有")
}

/// TileJSON 3.0.0.
fn tile_json(place: &Place<'_>, shown: &[Shown], bounds: Option<[f64; 4]>) -> Value {
    let (first, last) = zooms(shown);
    let mut document = json!({
        "tilejson": "3.0.0", "name": place.title, "description": place.description, "scheme": "xyz",
        "version": env!("CARGO_PKG_VERSION"), "minzoom": first, "maxzoom": last,
        // Rows stand before columns.
        "tiles": [place.tile_template(["z", "y", "x"])],
        "vector_layers": shown.iter().flat_map(vector_layers).collect::<Vec<Value>>(),
    });
    if let (Some(object), Some(b)) = (document.as_object_mut(), bounds) {
        let clamped = [b[0], b[1].max(-MAX_LATITUDE), b[2], b[3].min(MAX_LATITUDE)];
        object.insert("bounds".into(), json!(clamped));
        let middle = [(clamped[0] + clamped[2]) / 2.0, (clamped[1] + clamped[3]) / 2.0];
        object.insert("center".into(), json!([middle[0], middle[1], first.max(7).min(last)]));
    }
    document
}

fn vector_layers(shown: &Shown) -> Vec<Value> {
    let tiles = &shown.tiles;
    let field = |p: &crate::domain::layer::Property| {
        let kind = match p.kind {
            PropertyKind::Number | PropertyKind::Integer => "Number",
            PropertyKind::Boolean => "Boolean",
            _ => "String",
        };
        (p.name.to_owned(), json!(format!("{kind}；{}", p.heading_zh())))
    };
    let id = || ("id".to_owned(), json!("String；标识"));
    let layer = |name: String, fields: Map<String, Value>| {
        json!({
            "id": name, "description": shown.layer.description.zh, "minzoom": tiles.zooms.start(),
            "maxzoom": tiles.zooms.end(), "fields": fields,
        })
    };
    let count = ("count".to_owned(), json!(format!("Number；{}", count_title())));
    let fields = [id(), count].into_iter().chain(shown.properties().map(field)).collect();
    let mut layers = vec![layer(tiles.name.clone(), fields)];
    if let Some(label) = tiles.label.and_then(|at| tiles.properties.get(at)) {
        let named = shown.layer.properties.iter().filter(|p| p.name == label.name).map(field);
        layers.push(layer(tiles.label_name(), [id()].into_iter().chain(named).collect()));
    }
    layers
}

/// These documents have one form: `f=json` or nothing.
fn json_alone(request: &HttpRequest) -> Result<(), Problem> {
    let params = Params::read(request, &["f"], |_| false)?;
    match params.get("f") {
        None | Some("json") => Ok(()),
        Some(other) => Err(Error::invalid("value_invalid", format!("f 应为 json，不是“{}”", shorten(other))).into()),
    }
}

/// The standard's metadata, or TileJSON by `f` or `Accept`.
fn wants_tile_json(request: &HttpRequest, params: &Params) -> Result<bool, Problem> {
    match params.get("f") {
        Some("json") => Ok(false),
        Some("tilejson") => Ok(true),
        Some(other) => {
            Err(Error::invalid("value_invalid", format!("f 应为 json 或 tilejson，不是“{}”", shorten(other))).into())
        }
        None => {
            let of = |kind: &str| match kind {
                TILE_JSON => Some(true),
                "application/json" | "application/*" | "*/*" => Some(false),
                _ => None,
            };
            Ok(representation::best_accepted(request, of).unwrap_or(false))
        }
    }
}
