//! The first pages: `/`, the OGC landing page, the conformance declaration.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::html;
use super::params::Params;
use super::problem::Answer;
use super::representation::{self, Form};
use super::state::State;
use super::tile_sets;

/// Classes of OGC API Features, of CQL2 and of OGC API Tiles Part 1 that this service really has.
pub const CONFORMANCE: [&str; 36] = [
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/html",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs",
    "http://www.opengis.net/spec/ogcapi-features-6/1.0/conf/properties",
    "http://www.opengis.net/spec/ogcapi-features-6/1.0/conf/properties-features",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/tileset",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/tilesets-list",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/dataset-tilesets",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/geodata-tilesets",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/collections-selection",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/mvt",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/tms/2.0/conf/tilematrixset",
    "http://www.opengis.net/spec/tms/2.0/conf/json-tilematrixset",
    "http://www.opengis.net/spec/tms/2.0/conf/json-tilesetmetadata",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables-query-parameters",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
    "http://www.opengis.net/spec/cql2/1.0/conf/advanced-comparison-operators",
    "http://www.opengis.net/spec/cql2/1.0/conf/case-insensitive-comparison",
    "http://www.opengis.net/spec/cql2/1.0/conf/accent-insensitive-comparison",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-functions-plus",
    "http://www.opengis.net/spec/cql2/1.0/conf/spatial-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/temporal-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/array-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/property-property",
    "http://www.opengis.net/spec/cql2/1.0/conf/functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/arithmetic",
];

const TITLE: &str = "四至：产业园区土地清单";
const DESCRIPTION: &str = "园区边界、四至范围与园区名录，按 OGC API Features 提供。边界为示意者均已注明。";

/// `/`: a short way in, until the web pages come.
pub async fn home(request: HttpRequest, state: web::Data<State>) -> Answer {
    Params::read(&request, &[], |_| false)?;
    let base = representation::base_url(&request, &state);
    let body = format!(
        "<p>{DESCRIPTION}</p><ul><li><a href=\"{0}/api/parks?f=html\">园区名录</a></li>\
         <li><a href=\"{0}/api/collections?f=html\">图层（OGC API Features）</a></li>\
         <li><a href=\"{0}/api/docs\">接口说明</a></li></ul>",
        html::escape(&base)
    );
    representation::html(None, html::page(&base, TITLE, &body, &format!("{base}/api?f=json")))
}

/// `/favicon.ico`: a small drawing, so that no page logs a missing file.
pub async fn icon() -> Answer {
    let drawing = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><path d='M2 4l8-2 4 5-3 7-8-2z' fill='#bb9674' stroke='#5b3d26'/></svg>";
    Ok(HttpResponse::Ok()
        .insert_header(("Content-Type", "image/svg+xml"))
        .insert_header(("Cache-Control", "max-age=86400"))
        .body(drawing))
}

/// `/api`: the OGC landing page.
pub async fn landing(request: HttpRequest, state: web::Data<State>) -> Answer {
    let params = Params::read(&request, &["f"], |_| false)?;
    let form = representation::form(&request, &params)?;
    let base = representation::base_url(&request, &state);
    let api = format!("{base}/api");
    let links = json!([
        {"rel": if form == Form::Json { "self" } else { "alternate" }, "type": "application/json", "title": "本页 JSON", "href": format!("{api}?f=json")},
        {"rel": if form == Form::Html { "self" } else { "alternate" }, "type": "text/html", "title": "本页 HTML", "href": format!("{api}?f=html")},
        {"rel": "service-desc", "type": "application/vnd.oai.openapi+json;version=3.0", "title": "OpenAPI 3.0", "href": format!("{api}/openapi.json")},
        {"rel": "service-doc", "type": "text/html", "title": "接口说明", "href": format!("{api}/docs")},
        {"rel": "conformance", "type": "application/json", "title": "符合的标准", "href": format!("{api}/conformance")},
        {"rel": "data", "type": "application/json", "title": "图层", "href": format!("{api}/collections")},
        {"rel": tile_sets::TILESETS, "type": "application/json", "title": "矢量瓦片", "href": format!("{api}/tiles")},
        {"rel": tile_sets::SCHEMES, "type": "application/json", "title": "瓦片矩阵集", "href": format!("{api}/tileMatrixSets")},
        {"rel": "http://www.opengis.net/def/rel/ogc/1.0/conformance", "type": "application/json", "title": "符合的标准", "href": format!("{api}/conformance")},
        {"rel": "http://www.opengis.net/def/rel/ogc/1.0/data", "type": "application/json", "title": "图层", "href": format!("{api}/collections")},
    ]);
    if form == Form::Html {
        let body = format!(
            "<p>{DESCRIPTION}</p><ul><li><a href=\"{0}/collections?f=html\">图层</a></li><li><a href=\"{0}/parks?f=html\">园区名录</a></li>\
             <li><a href=\"{0}/conformance?f=html\">符合的标准</a></li><li><a href=\"{0}/docs\">接口说明</a></li>\
             <li><a href=\"{0}/openapi.json\">OpenAPI 3.0</a></li></ul>",
            html::escape(&api)
        );
        return representation::html(None, html::page(&base, TITLE, &body, &format!("{api}?f=json")));
    }
    representation::json(None, &json!({"title": TITLE, "description": DESCRIPTION, "links": links}))
}

/// `/api/conformance`.
pub async fn conformance(request: HttpRequest, state: web::Data<State>) -> Answer {
    let params = Params::read(&request, &["f"], |_| false)?;
    let base = representation::base_url(&request, &state);
    if representation::form(&request, &params)? == Form::Html {
        let items: String = CONFORMANCE.iter().map(|c| format!("<li><code>{}</code></li>", html::escape(c))).collect();
        let page =
            html::page(&base, "符合的标准", &format!("<ul>{items}</ul>"), &format!("{base}/api/conformance?f=json"));
        return representation::html(None, page);
    }
    representation::json(None, &json!({"conformsTo": CONFORMANCE.as_slice()}))
}
