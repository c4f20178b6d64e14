//! The part of the OpenAPI document about tiles.

use serde_json::{Map, Value, json};

use super::openapi::{JSON, Operation, query, segment, text_parameter};
use super::tiles::{MATRIX_SET, MEDIA_TYPE};
use crate::domain::layer::Layer;

pub const TAG: (&str, &str) = ("tiles", "矢量瓦片（OGC API Tiles，WebMercatorQuad）");

/// Of one layer; `url` is the layer's.
pub fn layer_paths(paths: &mut Map<String, Value>, layer: &Layer, url: &str) {
    let id = |handler: &str| format!("{handler}_{}", layer.id);
    let title = |what: &str| format!("{}：{what}", layer.title.zh);
    let list = Operation::new(id("list_tilesets"), TAG.0, title("瓦片集"));
    add(paths, format!("{url}/tiles"), document(list, &["json"], Vec::new()), true);
    let set = Operation::new(id("get_tileset"), TAG.0, title("瓦片集的说明，或 TileJSON"));
    add(paths, format!("{url}/tiles/{MATRIX_SET}"), document(set, &["json", "tilejson"], Vec::new()), true);
    let tile = tile(Operation::new(id("get_tile"), TAG.0, title("一张瓦片")), Vec::new());
    add(paths, format!("{url}/tiles/{MATRIX_SET}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}"), tile, false);
}

/// Of all layers together, and the tile matrix set.
pub fn paths(paths: &mut Map<String, Value>) {
    let sets = Operation::new("list_tile_matrix_sets", TAG.0, "瓦片矩阵集");
    add(paths, "/tileMatrixSets".into(), document(sets, &["json"], Vec::new()), true);
    let set = Operation::new("get_tile_matrix_set", TAG.0, "瓦片矩阵集的定义");
    add(paths, format!("/tileMatrixSets/{MATRIX_SET}"), document(set, &["json"], Vec::new()), true);
    let list = Operation::new("list_dataset_tilesets", TAG.0, "各图层合在一起的瓦片集");
    add(paths, "/tiles".into(), document(list, &["json"], Vec::new()), true);
    let chosen = || {
        let mut parameter = text_parameter("collections", "只要这些图层，逗号分隔");
        parameter["example"] = json!("parks");
        vec![parameter]
    };
    let tileset = Operation::new("get_dataset_tileset", TAG.0, "各图层合在一起的瓦片集的说明，或 TileJSON");
    add(paths, format!("/tiles/{MATRIX_SET}"), document(tileset, &["json", "tilejson"], chosen()), true);
    let one = tile(Operation::new("get_dataset_tile", TAG.0, "各图层合在一起的一张瓦片"), chosen());
    add(paths, format!("/tiles/{MATRIX_SET}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}"), one, false);
}

fn add(paths: &mut Map<String, Value>, url: String, operation: Operation, is_to_try: bool) {
    let operation = if is_to_try { operation.tries(&[&url]) } else { operation };
    paths.insert(url, operation.get());
}

fn document(operation: Operation, forms: &[&str], mut parameters: Vec<Value>) -> Operation {
    parameters.push(query("f", "表示形式", json!({"type": "string", "enum": forms})));
    let mut content = vec![(JSON, json!({"type": "object"}))];
    if forms.contains(&"tilejson") {
        content.push(("application/vnd.mapbox.tile+json", json!({"type": "object"})));
    }
    operation.parameters(parameters).answers("200", "JSON 文档", &content).errors(&["400", "404"])
}

fn tile(operation: Operation, more: Vec<Value>) -> Operation {
    let mut parameters = vec![
        segment("tileMatrix", "级别，0 至 22", "8"),
        segment("tileRow", "行号，从北往南", "107"),
        segment("tileCol", "列号，从西往东", "208"),
    ];
    parameters.extend(more);
    parameters.push(query("f", "表示形式", json!({"type": "string", "enum": ["mvt"]})));
    operation
        .parameters(parameters)
        .answers("200", "矢量瓦片，MVT 2.1", &[(MEDIA_TYPE, json!({"type": "string", "format": "binary"}))])
        .headers(&["ETag", "Sizhi-Stale"])
        .response("204", json!({"description": "瓦片里没有要素"}))
        .errors(&["400", "404", "406"])
}
