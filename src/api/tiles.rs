//! `…/tiles/WebMercatorQuad/{z}/{row}/{col}`: vector tiles of one layer or of several (OGC API Tiles Part 1, 20-057).
//!
//! A tile without features is 204: MapLibre, OpenLayers and GDAL take it for an empty one and ask no further, while a 404 would be
//! logged as a failure for every tile of sea. 404 is left for what is outside of the matrix or the layer's zooms.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use super::auth;
use super::collections::layer_of;
use super::in_memory;
use super::params::{Params, shorten};
use super::problem::{Answer, Problem};
use super::representation;
use super::state::State;
use crate::domain::access::Viewer;
use crate::domain::detail::Detail;
use crate::domain::layer::{Layer, Visibility};
use crate::error::{Error, Result};
use crate::inventory::tiles::Asked;
use crate::layers::tiles::grid::{MAX_ZOOM, Tile};

/// The one tile matrix set.
pub const MATRIX_SET: &str = "WebMercatorQuad";
/// The scope of those who are shown more of public layers than the public: no role has such a name.
const SURVEYED: &str = "=surveyed";
pub const MEDIA_TYPE: &str = "application/vnd.mapbox-vector-tile";

/// The segments of a tile's address behind the layer's: the matrix set, the zoom, the row and the column.
type TilePath<'a> = (&'a str, &'a str, &'a str, &'a str);

pub async fn get_tile(request: HttpRequest, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    let layer = layer_of(&state, request.match_info().query("collection"), &viewer)?;
    let params = Params::read(&request, &["f"], |_| false)?;
    let answered = answer(&request, &state, &viewer, &[layer], &params).await;
    in_memory::told_stale(answered, &state, &[layer])
}

pub async fn get_dataset_tile(request: HttpRequest, state: web::Data<State>) -> Answer {
    let viewer = auth::viewer(&request, &state).await?;
    let params = Params::read_with_lists(&request, &["f", "collections"], &["collections"])?;
    let layers = chosen_layers(&state, &params, &viewer)?;
    let answered = answer(&request, &state, &viewer, &layers, &params).await;
    in_memory::told_stale(answered, &state, &layers)
}

/// The layers that `collections` names, in the order of the collections page; all without it.
pub fn chosen_layers(state: &State, params: &Params, viewer: &Viewer) -> Result<Vec<&'static Layer>> {
    let Some(text) = params.get("collections") else { return Ok(state.layers.visible(viewer).collect()) };
    let wanted: Vec<&str> = text.split(',').map(str::trim).collect();
    if let Some(unknown) = wanted.iter().find(|id| !state.layers.visible(viewer).any(|layer| layer.id == **id)) {
        let known: Vec<&str> = state.layers.visible(viewer).map(|layer| layer.id).collect();
        let detail = format!("collections 中的“{}”不是图层；现有图层：{}", shorten(unknown), known.join("、"));
        return Err(Error::invalid("value_invalid", detail));
    }
    Ok(state.layers.visible(viewer).filter(|layer| wanted.contains(&layer.id)).collect())
}

/// 404 for a tile matrix set that is not ours.
pub fn check_matrix_set(set: &str) -> Result<()> {
    if set == MATRIX_SET {
        return Ok(());
    }
    Err(Error::not_found("tile_matrix_set_not_found", format!("没有这个瓦片矩阵集；只有 {MATRIX_SET}")))
}

fn tile_of((set, zoom, row, col): TilePath<'_>) -> Result<Tile> {
    check_matrix_set(set)?;
    // Digits alone: a sign or a blank would make another address of the same tile.
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
    let tile = number(zoom).zip(number(row)).zip(number(col));
    tile.and_then(|((zoom, row), col)| Tile::new(u8::try_from(zoom).ok()?, row, col)).ok_or_else(|| {
        let detail = format!("没有这张瓦片；级别为 0 至 {MAX_ZOOM}，行号在前、列号在后，都从 0 到 2 的级别次方减 1");
        Error::not_found("tile_not_found", detail)
    })
}

async fn answer(
    request: &HttpRequest,
    state: &State,
    viewer: &Viewer,
    layers: &[&'static Layer],
    params: &Params,
) -> Answer {
    check_form(request, params)?;
    // As it stands: none of these has anything that could be percent-encoded, and to read them as texts of their own would cost more than
    // to find a ready tile.
    let segment = |name| request.match_info().query(name);
    let tile = tile_of((segment("set"), segment("zoom"), segment("row"), segment("col")))?;
    let shown: Vec<&'static Layer> =
        layers.iter().copied().filter(|layer| state.tiles.layer(layer).zooms.contains(&tile.zoom)).collect();
    if shown.is_empty() {
        return Err(Error::not_found("tile_not_found", "图层在这一级没有瓦片；级别见瓦片集的说明").into());
    }
    let is_public = shown.iter().all(|layer| layer.visibility == Visibility::Public);
    let sees_more =
        || shown.iter().any(|layer| layer.generalisation.is_some() && layer.detail_for(viewer) == Detail::Surveyed);
    // Whole, and not a digest of it: two who see different things never share a tile.
    let scope = match is_public {
        true if sees_more() => SURVEYED.to_owned(),
        true => String::new(),
        false => format!("{}:{}", viewer.role.as_str(), viewer.jurisdiction.setting()),
    };
    let asked = Asked { viewer, scope: &scope, tile };
    let served = state.tiles.tile(&state.pool, asked, &shown, accepts_gzip(request)).await?;
    // Weak: the compressed form has the same. Who may see it shapes the bytes, and so the mark.
    let etag = format!("W/\"t{:016x}-{}\"", served.mark, env!("CARGO_PKG_VERSION"));
    if representation::is_current(request, &etag) {
        return representation::not_modified(&etag);
    }
    let mut response = if served.bytes.is_empty() { HttpResponse::NoContent() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")))
        .insert_header((header::VARY, HeaderValue::from_static(representation::VARY)));
    if served.bytes.is_empty() {
        return Ok(response.finish());
    }
    if served.is_gzip {
        // The layer outside compresses what does not say that it is.
        response.insert_header((header::CONTENT_ENCODING, HeaderValue::from_static("gzip")));
    }
    Ok(response.content_type(HeaderValue::from_static(MEDIA_TYPE)).body(served.bytes))
}

/// `f=mvt`, or an `Accept` that a tile satisfies.
fn check_form(request: &HttpRequest, params: &Params) -> std::result::Result<(), Problem> {
    match params.get("f") {
        Some("mvt") => return Ok(()),
        Some(other) => {
            return Err(Error::invalid("value_invalid", format!("f 应为 mvt，不是“{}”", shorten(other))).into());
        }
        None if !request.headers().contains_key(header::ACCEPT) => return Ok(()),
        None => {}
    }
    let of = |kind: &str| {
        let known = [MEDIA_TYPE, "application/x-protobuf", "application/octet-stream", "application/*", "*/*"];
        known.contains(&kind).then_some(())
    };
    representation::best_accepted(request, of)
        .ok_or_else(|| Problem::not_acceptable(format!("没有所要的表示形式；瓦片只有 {MEDIA_TYPE}")))
}

/// Whether the client reads gzip. One that reads only newer kinds gets the plain bytes, and the layer outside compresses them.
fn accepts_gzip(request: &HttpRequest) -> bool {
    let lines = request.headers().get_all(header::ACCEPT_ENCODING).filter_map(|v| v.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|item| {
        let mut parts = item.split(';');
        let is_gzip = parts.next().is_some_and(|name| name.trim().eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|p| p.trim().strip_prefix("q=")?.parse::<f32>().ok());
        is_gzip && weight.is_none_or(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn gzip_is_for_those_who_read_it() {
        for (header, expected) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("deflate, gzip;q=0", false),
            ("br", false),
            ("x-gzip-not", false),
            ("", false),
        ] {
            let request = TestRequest::get().insert_header((header::ACCEPT_ENCODING, header)).to_http_request();
            assert_eq!(accepts_gzip(&request), expected, "{header}");
        }
    }

    #[test]
    fn a_tile_has_one_address() {
        let of = |zoom: &str, row: &str, col: &str| tile_of((MATRIX_SET, zoom, row, col)).map_err(|e| e.code());
        assert_eq!(of("3", "2", "7"), Ok(Tile { zoom: 3, row: 2, col: 7 }));
        for (zoom, row, col) in [
            ("3", "8", "0"),
            ("3", "0", "8"),
            ("23", "0", "0"),
            ("256", "0", "0"),
            ("-1", "0", "0"),
            ("+3", "2", "7"),
            ("3", "2", " 7"),
            ("3", "2", ""),
            ("3", "2", "x"),
            ("3", "99999999999", "0"),
        ] {
            assert_eq!(of(zoom, row, col), Err("tile_not_found"), "{zoom}/{row}/{col}");
        }
        let other = ("WorldCRS84Quad", "0", "0", "0");
        assert_eq!(tile_of(other).map_err(|e| e.code()), Err("tile_matrix_set_not_found"));
    }
}
