//! Prefecture outlines: GCJ-02 → CGCS2000, vertex by vertex, so that neighbours keep exactly the same shared vertices.

use std::collections::HashMap;

use geo::{Coord, MapCoords, MultiPolygon};
use geojson::{FeatureCollection, GeoJson};

use super::broken;
use crate::error::Result;
use crate::geometry::{gcj02, repair, validity};
use crate::layers::geojson::published;

const OUTLINES: &str = include_str!("../../../fixtures/outlines/hunan_prefecture_echarts490_gcj02.geojson");

/// One outline with where it comes from and what was done to it.
pub(super) struct Outline {
    pub geometry: MultiPolygon<f64>,
    pub source: String,
}

/// Division code → outline.
pub(super) fn read() -> Result<HashMap<String, Outline>> {
    let parsed: GeoJson = OUTLINES.parse().map_err(|e: geojson::Error| broken(&e.to_string()))?;
    let collection = FeatureCollection::try_from(parsed).map_err(|e| broken(&e.to_string()))?;
    let mut outlines = HashMap::new();
    for feature in collection.features {
        let code = feature.property("adcode").and_then(|v| v.as_str()).ok_or_else(|| broken("adcode"))?.to_owned();
        let geometry = feature.geometry.ok_or_else(|| broken("outline without geometry"))?;
        let geometry: geo::Geometry<f64> = geometry.try_into().map_err(|e: geojson::Error| broken(&e.to_string()))?;
        let shifted = match geometry {
            geo::Geometry::Polygon(p) => MultiPolygon(vec![p]),
            geo::Geometry::MultiPolygon(m) => m,
            _ => return Err(broken("outline is no polygon")),
        }
        .map_coords(|c| {
            let (x, y) = gcj02::from_gcj02(c.x, c.y);
            // Rounded later, a sliver may turn into a spike. Shared vertices stay shared.
            published(Coord { x, y })
        });
        let mut source = "echarts 4.9.0（Apache-2.0），由 GCJ-02 转换到 CGCS2000，概略图形，不作定界依据".to_owned();
        let geometry = if validity::is_valid(&shifted) {
            shifted
        } else {
            let repaired = repair::repair(&shifted).map_err(|f| broken(&f.message))?;
            let steps: Vec<_> = repaired.steps.iter().map(|s| s.message.as_str()).collect();
            source.push_str(&format!(
                "；原图形自相交，已修复：{}，修复后 {:.2} 平方公里",
                steps.join("，"),
                repaired.area_after.value() / 1e6
            ));
            let rounded = repaired.geometry.map_coords(published);
            if !validity::is_valid(&rounded) {
                return Err(broken("a repaired outline is not valid as published"));
            }
            rounded
        };
        outlines.insert(code, Outline { geometry, source });
    }
    Ok(outlines)
}
