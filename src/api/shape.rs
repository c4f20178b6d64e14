//! How features are to be written: `crs`, `properties`, `exclude-properties`, `skipGeometry`, `max-allowable-offset`, `zoom-level`.

use actix_web::HttpRequest;

use super::crs;
use super::params::{Params, shorten};
use super::problem::Problem;
use super::representation::{self, Form};
use crate::domain::items_query::Shape;
use crate::domain::layer::Layer;
use crate::domain::published_crs::PublishedCrs;
use crate::error::{Error, Result};

/// Parameters of features in GeoJSON, besides `crs`: a file has all that its format holds.
pub const SHAPE_PARAMS: [&str; 5] =
    ["properties", "exclude-properties", "skipGeometry", "max-allowable-offset", "zoom-level"];

/// Deepest `zoom-level`.
pub const MAX_ZOOM: u32 = 24;
/// Metres around the equator, and degrees.
const AROUND_M: f64 = 40_075_016.685_578_49;
const AROUND_DEGREES: f64 = 360.0;
/// Pixels of a tile's side.
const TILE_PIXELS: f64 = 256.0;

/// The shape that the parameters ask for.
pub fn of(params: &Params, layer: &Layer) -> Result<Shape> {
    let crs = crs::of_answer(params)?;
    Ok(Shape {
        crs,
        properties: properties(params, layer)?,
        skip_geometry: params.flag("skipGeometry")? || names(params, "exclude-properties").any(|name| name == GEOMETRY),
        offset: offset(params, crs)?,
    })
}

/// Parameters of coordinates, which a page for people does not show.
const OF_COORDINATES: [&str; 4] = ["crs", "skipGeometry", "max-allowable-offset", "zoom-level"];

/// `representation::form` of features. A page for people cannot follow what is asked of coordinates: who takes GeoJSON as well is given
/// that, who wants the page is told.
pub fn form(request: &HttpRequest, params: &Params, shape: &Shape) -> std::result::Result<Form, Problem> {
    let form = representation::form(request, params)?;
    let is_plain = shape.crs == PublishedCrs::Crs84 && !shape.skip_geometry && shape.offset.is_none();
    if form == Form::Json || is_plain {
        return Ok(form);
    }
    let json = |kind: &str| representation::form_of(kind).filter(|form| *form == Form::Json);
    if params.get("f").is_none() && representation::best_accepted(request, json).is_some() {
        return Ok(Form::Json);
    }
    let message = format!("网页不显示坐标，不能用参数 {}；请用 f=json", OF_COORDINATES.join("、"));
    Err(Error::invalid("option_not_possible", message).into())
}

/// The parameters of a link to the page for people, where they are others than these and `f`.
pub fn for_people(params: &Params) -> Option<Vec<(String, String)>> {
    OF_COORDINATES.iter().any(|name| params.get(name).is_some()).then(|| {
        let mut pairs = params.with("f", "html");
        pairs.retain(|(name, _)| !OF_COORDINATES.contains(&name.as_str()));
        pairs
    })
}

/// Refuses what a download has no use for.
pub fn refuse_in_downloads(params: &Params) -> Result<()> {
    match SHAPE_PARAMS.iter().find(|name| params.get(name).is_some()) {
        None => Ok(()),
        Some(name) => {
            let message = format!("参数 {name} 只用于一页 GeoJSON（f=json），不用于下载");
            Err(Error::invalid("option_not_possible", message))
        }
    }
}

/// The geometry among the properties (Part 6). It stays where it is not named, since GeoJSON has a place for it, and goes where it is
/// excluded.
const GEOMETRY: &str = "geometry";

/// The names of a list.
fn names<'p>(params: &'p Params, parameter: &str) -> impl Iterator<Item = &'p str> {
    params.get(parameter).into_iter().flat_map(|text| text.split(',')).map(str::trim)
}

/// Names that are wanted, in the layer's order; `None` = all of them.
fn properties(params: &Params, layer: &Layer) -> Result<Option<Vec<&'static str>>> {
    let all = || layer.properties.iter().map(|p| p.name).chain(layer.life().iter().map(|day| day.name));
    let named = |parameter: &str| -> Result<Option<Vec<&str>>> {
        let names: Vec<&str> = names(params, parameter).collect();
        match names.iter().find(|name| **name != GEOMETRY && all().all(|known| known != **name)) {
            None => Ok(Some(names).filter(|names| !names.is_empty())),
            Some(other) => {
                let known: Vec<&str> = all().chain([GEOMETRY]).collect();
                let (other, known) = (shorten(other), known.join("、"));
                let detail = format!("{parameter} 中的“{other}”不是图层“{}”的属性；现有属性：{known}", layer.title.zh);
                Err(Error::invalid("property_unknown", detail))
            }
        }
    };
    match (named("properties")?, named("exclude-properties")?) {
        (None, None) => Ok(None),
        (Some(wanted), None) => Ok(Some(all().filter(|name| wanted.contains(name)).collect())),
        (None, Some(unwanted)) => Ok(Some(all().filter(|name| !unwanted.contains(name)).collect())),
        (Some(_), Some(_)) => Err(Error::invalid("option_not_possible", "properties 与 exclude-properties 只能给一个")),
    }
}

/// How far outlines may leave their place.
fn offset(params: &Params, crs: PublishedCrs) -> Result<Option<f64>> {
    let wrong = |name: &str, rule: &str, text: &str| {
        Error::invalid("value_invalid", format!("参数 {name} 应为{rule}，不是“{}”", shorten(text)))
    };
    match (params.get("max-allowable-offset"), params.get("zoom-level")) {
        (None, None) => Ok(None),
        (Some(text), None) => {
            let offset = text.parse().ok().filter(|offset: &f64| offset.is_finite() && *offset >= 0.0);
            let unit = if crs.is_degrees() { "度" } else { "米" };
            let rule = format!("不小于 0 的数（{unit}）");
            offset.map(Some).ok_or_else(|| wrong("max-allowable-offset", &rule, text))
        }
        (None, Some(text)) => {
            let zoom =
                text.parse().ok().filter(|zoom: &u32| *zoom <= MAX_ZOOM && text.bytes().all(|b| b.is_ascii_digit()));
            let zoom = zoom.ok_or_else(|| wrong("zoom-level", &format!(" 0 到 {MAX_ZOOM} 的整数"), text))?;
            Ok(Some(half_a_pixel(zoom, crs)))
        }
        (Some(_), Some(_)) => {
            Err(Error::invalid("option_not_possible", "max-allowable-offset 与 zoom-level 只能给一个"))
        }
    }
}

/// Half a pixel of the tiles of this zoom (Web Mercator, 256 pixels, as wide as they are at the equator), in the system's unit.
fn half_a_pixel(zoom: u32, crs: PublishedCrs) -> f64 {
    let around = if crs.is_degrees() { AROUND_DEGREES } else { AROUND_M };
    around / TILE_PIXELS / 2.0_f64.powf(f64::from(zoom)) / 2.0
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::layers::declaration;

    fn read(query: &str) -> Result<Shape> {
        let allowed: Vec<&str> = SHAPE_PARAMS.into_iter().chain(["crs"]).collect();
        let request = TestRequest::with_uri(&format!("/?{query}")).to_http_request();
        of(&Params::read(&request, &allowed, |_| false)?, &declaration::PARKS)
    }

    #[test]
    fn nothing_asked_is_everything_in_crs84() {
        let plain = Shape { crs: PublishedCrs::Crs84, properties: None, skip_geometry: false, offset: None };
        assert_eq!(read("").ok(), Some(plain));
    }

    #[test]
    fn chosen_properties_come_in_the_layers_order() {
        let names = |query: &str| read(query).map(|shape| shape.properties).map_err(|e| e.code());
        assert_eq!(names("properties=name,code"), Ok(Some(vec!["code", "name"])));
        assert_eq!(names("properties=valid_to,%20code"), Ok(Some(vec!["code", "valid_to"])));
        let rest = names("exclude-properties=name,valid_from").ok().flatten().expect("names");
        assert_eq!(rest.len(), declaration::PARKS.properties.len());
        assert!(!rest.contains(&"name") && !rest.contains(&"valid_from") && rest.contains(&"valid_to"));
        assert_eq!(names("properties=geometry"), Ok(Some(vec![])));
        assert_eq!(
            names("exclude-properties=geometry").map(|names| names.map(|n| n.len())),
            Ok(Some(declaration::PARKS.properties.len() + 2))
        );
        for (query, skipped) in [
            ("properties=name", false),
            ("exclude-properties=name,geometry", true),
            ("properties=geometry&skipGeometry=true", true),
        ] {
            assert_eq!(read(query).map(|shape| shape.skip_geometry).ok(), Some(skipped), "{query}");
        }
        for bad in ["properties=", "properties=nmae", "properties=name,", "exclude-properties=geom"] {
            assert_eq!(names(bad), Err("property_unknown"), "{bad}");
        }
        assert_eq!(names("properties=name&exclude-properties=code"), Err("option_not_possible"));
    }

    #[test]
    fn offsets_are_in_the_answers_unit() {
        let found = |query: &str| read(query).map(|shape| shape.offset).map_err(|e| e.code());
        assert_eq!(found("max-allowable-offset=0.5"), Ok(Some(0.5)));
        // One tile of zoom 0 is the world; 156,543.03 m a pixel is in every table of zooms.
        assert_eq!(found("zoom-level=0"), Ok(Some(360.0 / 512.0)));
        let metres = found("zoom-level=0&crs=EPSG:3857").ok().flatten().expect("metres");
        assert!((metres - 156_543.033_928 / 2.0).abs() < 1e-3, "{metres}");
        assert_eq!(found("zoom-level=24&crs=EPSG:4526"), Ok(Some(AROUND_M / 256.0 / 16_777_216.0 / 2.0)));
        for bad in ["zoom-level=25", "zoom-level=-1", "zoom-level=1.5", "zoom-level=", "zoom-level=%2B1"] {
            assert_eq!(found(bad), Err("value_invalid"), "{bad}");
        }
        for bad in ["-1", "NaN", "inf", "", "a"] {
            assert_eq!(found(&format!("max-allowable-offset={bad}")), Err("value_invalid"), "{bad}");
        }
        assert_eq!(found("max-allowable-offset=1&zoom-level=3"), Err("option_not_possible"));
        assert_eq!(read("skipGeometry=maybe").map(|_| ()).map_err(|e| e.code()), Err("value_invalid"));
    }
}
