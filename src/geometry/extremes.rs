//! Computed extremes (坐标四至): easternmost, southernmost, westernmost, northernmost vertex, the box, and degrees,
//! minutes, seconds. Shown beside the words of the four extents, never instead of them.

use geo::{InteriorPoint, MultiPolygon, Point};

use super::area;

/// One vertex with its place, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vertex {
    pub longitude: f64,
    pub latitude: f64,
    pub part: usize,
    pub ring: usize,
    pub vertex: usize,
}

/// The outermost vertices and the box (west, south, east, north).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extremes {
    pub east: Vertex,
    pub south: Vertex,
    pub west: Vertex,
    pub north: Vertex,
    pub bbox: [f64; 4],
}

/// The first vertex in file order that lies farthest in each direction; `None` for empty geometry.
pub fn compute(geometry: &MultiPolygon<f64>) -> Option<Extremes> {
    let mut found: Option<Extremes> = None;
    for (part, polygon) in (1..).zip(geometry) {
        for (ring, line) in (1..).zip(std::iter::once(polygon.exterior()).chain(polygon.interiors())) {
            for (vertex, c) in (1..).zip(line.coords()) {
                let v = Vertex { longitude: c.x, latitude: c.y, part, ring, vertex };
                let Some(e) = &mut found else {
                    found = Some(Extremes { east: v, south: v, west: v, north: v, bbox: [0.0; 4] });
                    continue;
                };
                if v.longitude > e.east.longitude {
                    e.east = v;
                }
                if v.longitude < e.west.longitude {
                    e.west = v;
                }
                if v.latitude > e.north.latitude {
                    e.north = v;
                }
                if v.latitude < e.south.latitude {
                    e.south = v;
                }
            }
        }
    }
    found.map(|mut e| {
        e.bbox = [e.west.longitude, e.south.latitude, e.east.longitude, e.north.latitude];
        e
    })
}

/// `113°20′21.86″`; seconds rounded to `decimals`, carried into minutes and degrees.
pub fn dms(degrees: f64, decimals: usize) -> String {
    let scale = 10_f64.powi(i32::try_from(decimals.min(9)).unwrap_or(9));
    // Whole units of the last place: rounding once here lets 59.9999 carry.
    let units = (degrees.abs() * 3600.0 * scale).round();
    let per_minute = 60.0 * scale;
    let whole_degrees = (units / (60.0 * per_minute)).floor();
    let minutes = ((units - whole_degrees * 60.0 * per_minute) / per_minute).floor();
    let seconds = (units - whole_degrees * 60.0 * per_minute - minutes * per_minute) / scale;
    let sign = if degrees < 0.0 && units > 0.0 { "-" } else { "" };
    let width = if decimals == 0 { 2 } else { decimals + 3 };
    format!("{sign}{whole_degrees}°{minutes:02}′{seconds:0width$.decimals$}″")
}

/// Reads what [`dms`] prints (also `°'"`).
pub fn parse_dms(text: &str) -> Option<f64> {
    let text = text.trim();
    let (sign, text) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    let (degrees, rest) = text.split_once('°')?;
    let (minutes, rest) = rest.split_once(['′', '\''])?;
    let seconds = rest.trim_end_matches(['″', '"']);
    let (d, m, s): (f64, f64, f64) = (degrees.parse().ok()?, minutes.parse().ok()?, seconds.parse().ok()?);
    ((0.0..=180.0).contains(&d) && (0.0..60.0).contains(&m) && (0.0..60.0).contains(&s))
        .then(|| sign * (d + m / 60.0 + s / 3600.0))
}

/// A point inside the largest part, for labels.
pub fn point_inside(geometry: &MultiPolygon<f64>) -> Option<Point<f64>> {
    geometry.iter().max_by(|a, b| area::polygon_area(a).total_cmp(&area::polygon_area(b)))?.interior_point()
}

#[cfg(test)]
mod tests {
    use geo::{Contains, polygon};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn outermost_vertices_with_their_places() {
        let geometry = MultiPolygon(vec![
            polygon![(x: 112.0, y: 28.0), (x: 112.5, y: 28.1), (x: 112.2, y: 28.4)],
            polygon![(x: 113.0, y: 27.5), (x: 113.0, y: 27.9), (x: 112.9, y: 27.7)],
        ]);
        let e = compute(&geometry).expect("not empty");
        let place = |v: Vertex| (v.longitude, v.latitude, v.part, v.ring, v.vertex);
        assert_eq!(place(e.east), (113.0, 27.5, 2, 1, 1), "the first of two equal ones");
        assert_eq!(place(e.south), (113.0, 27.5, 2, 1, 1));
        assert_eq!(place(e.west), (112.0, 28.0, 1, 1, 1));
        assert_eq!(place(e.north), (112.2, 28.4, 1, 1, 3));
        assert_eq!(e.bbox, [112.0, 27.5, 113.0, 28.4]);
        assert_eq!(compute(&MultiPolygon(vec![])), None);
    }

    #[test]
    fn degrees_minutes_seconds_carry() {
        for (degrees, decimals, expected) in [
            (113.33940408, 2, "113°20′21.85″"),
            (28.2236187, 2, "28°13′25.03″"),
            (111.999_999_9, 2, "112°00′00.00″"),
            (111.0 + 59.0 / 60.0 + 59.996 / 3600.0, 2, "112°00′00.00″"),
            (111.0 + 59.0 / 60.0 + 59.994 / 3600.0, 2, "111°59′59.99″"),
            (30.5, 0, "30°30′00″"),
            (-0.5, 1, "-0°30′00.0″"),
            (0.0, 2, "0°00′00.00″"),
        ] {
            assert_eq!(dms(degrees, decimals), expected);
        }
        assert_eq!(parse_dms("113°20′21.00″"), Some(113.0 + 20.0 / 60.0 + 21.0 / 3600.0));
        assert_eq!(parse_dms("113°60′00″"), None);
        assert_eq!(parse_dms("x"), None);
    }

    #[test]
    fn the_label_point_is_inside_a_ring_shaped_part() {
        let ring = polygon!(
            exterior: [(x: 112.0, y: 28.0), (x: 112.9, y: 28.0), (x: 112.9, y: 28.9), (x: 112.0, y: 28.9)],
            interiors: [[(x: 112.1, y: 28.1), (x: 112.8, y: 28.1), (x: 112.8, y: 28.8), (x: 112.1, y: 28.8)]],
        );
        let geometry = MultiPolygon(vec![ring.clone()]);
        assert!(ring.contains(&point_inside(&geometry).expect("not empty")));
    }

    proptest! {
        #[test]
        fn printing_and_parsing_agree_to_the_last_place(degrees in -180.0..180.0f64) {
            let back = parse_dms(&dms(degrees, 4)).expect("parses");
            prop_assert!((back - degrees).abs() <= 0.5e-4 / 3600.0 + 1e-12);
        }
    }
}
