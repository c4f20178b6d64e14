//! Features as a question wants them: in its system, with its properties, with as few vertices as it allows.
//!
//! The outline is projected first and thinned then, so that the offset is one of the system's own units.

use std::borrow::Cow;

use super::encode::{self, CoordForm};
use super::selection;
use crate::domain::items_query::Shape;
use crate::domain::published_crs::PublishedCrs;
use crate::geometry::flat::FlatGeometry;
use crate::geometry::{published, thin};

/// How coordinates of a system are written.
pub fn coord_form(crs: PublishedCrs) -> CoordForm {
    CoordForm { decimals: crs.decimals(), north_first: crs.is_north_first() }
}

/// A whole feature. `properties` is a JSON object as text.
pub fn feature(out: &mut String, id: &str, properties: &str, stored: Option<&FlatGeometry>, shape: &Shape) {
    let properties = match &shape.properties {
        None => Cow::Borrowed(properties),
        Some(wanted) => Cow::Owned(selection::members(properties, |name| wanted.contains(&name))),
    };
    let shaped = stored.filter(|_| !shape.skip_geometry).and_then(|stored| geometry(stored, shape));
    encode::feature(out, id, &properties, shaped.as_deref(), coord_form(shape.crs));
}

/// The geometry in the system of the answer, easting first; `None` where that system does not reach it.
pub fn geometry<'g>(stored: &'g FlatGeometry, shape: &Shape) -> Option<Cow<'g, FlatGeometry>> {
    let there = match shape.crs {
        // Degrees are degrees.
        PublishedCrs::Crs84 | PublishedCrs::Cgcs2000 | PublishedCrs::Wgs84 => Cow::Borrowed(stored),
        crs => Cow::Owned(stored.try_map(&mut |c| published::to_plane(crs, c))?),
    };
    Some(match shape.offset {
        None => there,
        Some(offset) => Cow::Owned(thin::flat(&there, offset)),
    })
}

#[cfg(test)]
mod tests {
    use geo::wkt;

    use super::*;

    fn written(shape: &Shape) -> String {
        let park = wkt!(MULTIPOLYGON(((112. 28.,112.5 28.00000001,113. 28.,113. 29.,112. 29.,112. 28.))));
        let mut out = String::new();
        feature(&mut out, "甲", "{\"a\":1,\"b\":\"二\"}", Some(&FlatGeometry::from(&park)), shape);
        out
    }

    #[test]
    fn a_feature_is_written_as_it_is_asked_for() {
        let plain = Shape::default();
        let head = "{\"type\" : \"Feature\", \"id\" : \"甲\", \"geometry\" : ";
        let ring = "{\"type\":\"MultiPolygon\",\"coordinates\":[[[[112,28],[112.5,28.00000001],[113,28],[113,29],[112,29],[112,28]]]]}";
        assert_eq!(written(&plain), format!("{head}{ring}, \"properties\" : {{\"a\":1,\"b\":\"二\"}}}}"));
        let some = Shape { properties: Some(vec!["b"]), skip_geometry: true, ..plain.clone() };
        assert_eq!(written(&some), format!("{head}null, \"properties\" : {{\"b\":\"二\"}}}}"));
        // Turned to the authority's order, running the way it did on the ground.
        let thinned = Shape { crs: PublishedCrs::Wgs84, offset: Some(1e-6), properties: Some(vec![]), ..plain.clone() };
        let ring = "{\"type\":\"MultiPolygon\",\"coordinates\":[[[[28,112],[28,113],[29,113],[29,112],[28,112]]]]}";
        assert_eq!(written(&thinned), format!("{head}{ring}, \"properties\" : {{}}}}"));
        let metres = Shape { crs: PublishedCrs::WebMercator, offset: Some(1.0), properties: Some(vec![]), ..plain };
        // gdaltransform -s_srs EPSG:4326 -t_srs EPSG:3857 gives 12467782.9688466 3248973.78965097 and 12579102.4596399 3375646.03491931.
        let ring = "{\"type\":\"MultiPolygon\",\"coordinates\":[[[[12467782.9688,3248973.7897],[12579102.4596,3248973.7897],[12579102.4596,3375646.0349],[12467782.9688,3375646.0349],[12467782.9688,3248973.7897]]]]}";
        assert_eq!(written(&metres), format!("{head}{ring}, \"properties\" : {{}}}}"));
    }

    #[test]
    fn what_a_system_does_not_reach_has_no_geometry_in_it() {
        let berlin = FlatGeometry::from(&wkt!(MULTIPOLYGON(((13. 52.,14. 52.,14. 53.,13. 52.)))));
        let zone = Shape { crs: PublishedCrs::GaussKruger { zone: 38, prefixed: true }, ..Shape::default() };
        assert_eq!(geometry(&berlin, &zone), None);
        assert!(geometry(&berlin, &Shape { crs: PublishedCrs::WebMercator, ..zone }).is_some());
    }
}
