//! Walking over one GeoJSON document, whatever the order of its members, and handing its features on.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Scan;
use crate::domain::{Finding, Place};
use crate::exchange::limits::{MAX_FEATURES, MAX_FINDINGS};

/// The top of one document: features stream one by one, so a large file never stands in memory twice.
pub struct Document<'a, 't> {
    scan: &'a mut Scan<'t>,
}

impl<'de> DeserializeSeed<'de> for Document<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a GeoJSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut rest = Map::new();
        let mut had_features = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "features" => {
                    had_features = true;
                    map.next_value_seed(Features { scan: &mut *self.scan })?;
                }
                // A page of the public's that was kept: it says of itself that it has outlines.
                "generalisation" => {
                    let said = self.scan.parse(map.next_value::<&RawValue>()?);
                    if said.is_some_and(|said| said.get("tolerance_m").is_some()) {
                        self.scan.findings.push(Finding::error(
                            "outline_not_survey",
                            Place::whole(),
                            "文件写明图形是本系统给公众的概略轮廓（generalisation），不是实测界线，不能导入；请用实测的文件，或登录后重新导出",
                        ));
                    }
                }
                "crs" => self.scan.crs_member = self.scan.parse(map.next_value::<&RawValue>()?),
                "type" | "geometry" | "properties" | "id" | "coordinates" | "geometries" => {
                    let value = self.scan.parse(map.next_value::<&RawValue>()?);
                    rest.insert(key, value.unwrap_or_default());
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match rest.get("type").and_then(Value::as_str) {
            Some("FeatureCollection") if had_features => {}
            Some("Feature") => self.scan.take_feature(&Value::Object(rest)),
            Some(
                "Polygon" | "MultiPolygon" | "Point" | "LineString" | "MultiPoint" | "MultiLineString"
                | "GeometryCollection",
            ) => {
                let feature = serde_json::json!({"type": "Feature", "properties": null, "geometry": rest});
                self.scan.take_feature(&feature);
            }
            other => {
                let shown: String = other.unwrap_or("（无）").chars().filter(|c| !c.is_control()).take(30).collect();
                self.scan.findings.push(Finding::error(
                    "geojson_type",
                    Place::whole(),
                    format!("不是 GeoJSON：type 为“{shown}”，应为 FeatureCollection、Feature 或图形"),
                ));
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.not_an_object();
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.not_an_object();
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.not_an_object();
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.not_an_object();
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.not_an_object();
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.not_an_object();
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.not_an_object();
        Ok(())
    }
}

impl<'a, 't> Document<'a, 't> {
    pub fn into(scan: &'a mut Scan<'t>) -> Self {
        Self { scan }
    }

    fn not_an_object(self) {
        self.scan.findings.push(Finding::error("geojson_type", Place::whole(), "不是 GeoJSON：最外层应为对象"));
    }
}

struct Features<'a, 't> {
    scan: &'a mut Scan<'t>,
}

impl<'de> DeserializeSeed<'de> for Features<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Features<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of features")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(feature) = seq.next_element::<&RawValue>()? {
            // Past the limits the rest is only walked over: the file is refused anyway.
            if self.scan.records.len() <= MAX_FEATURES && self.scan.findings.len() <= MAX_FINDINGS {
                match self.scan.parse(feature) {
                    Some(feature) => self.scan.take_feature(&feature),
                    None => self.scan.push_empty(),
                }
            }
        }
        Ok(())
    }
}
