//! GeoJSON text of features, byte for byte as PostgreSQL writes it (`json_build_object` around `ST_AsGeoJSON`): whichever road a
//! feature comes, from memory or from the database, it reads the same.

use geo::Coord;

use crate::geometry::flat::{FlatGeometry, FlatKind};

/// How coordinates are written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoordForm {
    /// At most so many decimals.
    pub decimals: u8,
}

impl CoordForm {
    /// Longitude and latitude (RFC 7946) with eight decimals: about a millimetre.
    pub const LON_LAT: Self = Self { decimals: 8 };
}

/// A whole feature. `properties` is a JSON object as text.
pub fn feature(out: &mut String, id: &str, properties: &str, geometry: Option<&FlatGeometry>, form: CoordForm) {
    out.push_str("{\"type\" : \"Feature\", \"id\" : ");
    string(out, id);
    out.push_str(", \"geometry\" : ");
    match geometry {
        Some(geometry) => self::geometry(out, geometry, form),
        None => out.push_str("null"),
    }
    out.push_str(", \"properties\" : ");
    out.push_str(properties);
    out.push('}');
}

/// A JSON string.
pub fn string(out: &mut String, text: &str) {
    // A string alone can always be written.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// A geometry object: exterior rings counter-clockwise, holes clockwise.
pub fn geometry(out: &mut String, geometry: &FlatGeometry, form: CoordForm) {
    out.push_str("{\"type\":\"");
    out.push_str(geometry.kind().as_str());
    if geometry.kind() == FlatKind::Collection {
        out.push_str("\",\"geometries\":[");
        separated(out, geometry.members().iter(), |out, member| self::geometry(out, member, form));
        out.push_str("]}");
        return;
    }
    out.push_str("\",\"coordinates\":");
    match geometry.kind() {
        FlatKind::Point => match geometry.coords().first() {
            Some(c) => coord(out, *c, form),
            None => out.push_str("[]"),
        },
        FlatKind::LineString | FlatKind::MultiPoint => line(out, geometry.coords().iter(), form),
        FlatKind::MultiLineString => {
            out.push('[');
            separated(out, geometry.rings(), |out, ring| line(out, ring.iter(), form));
            out.push(']');
        }
        FlatKind::Polygon => match geometry.parts().next() {
            Some(rings) => polygon(out, rings, form),
            None => out.push_str("[]"),
        },
        _ => {
            out.push('[');
            separated(out, geometry.parts(), |out, rings| polygon(out, rings, form));
            out.push(']');
        }
    }
    out.push('}');
}

fn separated<T>(out: &mut String, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, item);
    }
}

fn polygon<'a>(out: &mut String, rings: impl Iterator<Item = &'a [Coord<f64>]>, form: CoordForm) {
    out.push('[');
    let mut is_exterior = true;
    separated(out, rings, |out, ring| {
        if is_clockwise(ring) == is_exterior {
            line(out, ring.iter().rev(), form);
        } else {
            line(out, ring.iter(), form);
        }
        is_exterior = false;
    });
    out.push(']');
}

/// As PostGIS reckons it: one without area counts as counter-clockwise.
fn is_clockwise(ring: &[Coord<f64>]) -> bool {
    let Some(first) = ring.first() else { return false };
    let doubled: f64 = ring.windows(3).map(|w| (w[1].x - first.x) * (w[2].y - w[0].y)).sum();
    doubled < 0.0
}

fn line<'a>(out: &mut String, coords: impl Iterator<Item = &'a Coord<f64>>, form: CoordForm) {
    out.push('[');
    separated(out, coords, |out, c| coord(out, *c, form));
    out.push(']');
}

fn coord(out: &mut String, c: Coord<f64>, form: CoordForm) {
    out.push('[');
    number(out, c.x, form.decimals);
    out.push(',');
    number(out, c.y, form.decimals);
    out.push(']');
}

/// The number rounded to at most so many decimals (of its exact value, half to even), without zeros at the end.
pub fn number(out: &mut String, value: f64, decimals: u8) {
    const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
    let scaled = value.abs() * POWERS.get(usize::from(decimals)).copied().unwrap_or(f64::NAN);
    let whole = scaled.floor();
    // The product is not exact (to 3e-5 below the bound): near a half only the long way is right. NaN goes that way too.
    let quick = scaled < 2e11 && ((scaled - whole) - 0.5).abs() > 1e-4;
    if quick {
        let rounded = if scaled - whole > 0.5 { whole + 1.0 } else { whole } as u64;
        fixed(out, value.is_sign_negative(), rounded, usize::from(decimals));
        return;
    }
    let mut text = format!("{value:.*}", usize::from(decimals));
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    out.push_str(if text == "-0" { "0" } else { &text });
}

/// `digits` is the number times ten to the power of `decimals`.
fn fixed(out: &mut String, negative: bool, mut digits: u64, decimals: usize) {
    if digits == 0 {
        out.push('0');
        return;
    }
    let mut behind = decimals;
    while behind > 0 && digits.is_multiple_of(10) {
        digits /= 10;
        behind -= 1;
    }
    let mut buffer = [0u8; 24];
    let mut at = buffer.len();
    let mut written = 0;
    // At least one digit stands in front of the point.
    while digits > 0 || written <= behind {
        if written == behind && behind > 0 {
            at -= 1;
            buffer[at] = b'.';
        }
        at -= 1;
        buffer[at] = b'0' + (digits % 10) as u8;
        digits /= 10;
        written += 1;
    }
    if negative {
        at -= 1;
        buffer[at] = b'-';
    }
    // Digits, a point and a sign: it is text.
    out.push_str(std::str::from_utf8(&buffer[at..]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use geo::wkt;
    use proptest::prelude::*;

    use super::*;

    fn of(value: f64, decimals: u8) -> String {
        let mut out = String::new();
        number(&mut out, value, decimals);
        out
    }

    #[test]
    fn numbers_are_rounded_and_without_zeros_at_the_end() {
        for (value, decimals, expected) in [
            (112.0, 8, "112"),
            (112.5, 8, "112.5"),
            (112.123456789, 8, "112.12345679"),
            (-0.000000001, 8, "0"),
            (0.00000001, 8, "0.00000001"),
            (-28.100000004, 8, "-28.1"),
            (0.5, 0, "0"),
            (1.5, 0, "2"),
            (2.5, 0, "2"),
            (1e15, 2, "1000000000000000"),
            (38_435_200.123_4, 3, "38435200.123"),
            (999_999.999_999_999, 8, "1000000"),
            (100.0, 0, "100"),
        ] {
            assert_eq!(of(value, decimals), expected, "{value} {decimals}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_as_the_standard_library_rounds_them(value in -1e7..1e7f64, decimals in 0..9u8) {
            let mut expected = format!("{value:.*}", usize::from(decimals));
            if expected.contains('.') {
                expected = expected.trim_end_matches('0').trim_end_matches('.').to_owned();
            }
            prop_assert_eq!(of(value, decimals), if expected == "-0" { "0".to_owned() } else { expected });
        }
    }

    #[test]
    fn a_feature_is_written_as_postgresql_does() {
        let geometry =
            wkt!(MULTIPOLYGON(((0. 0.,0. 4.,4. 4.,0. 0.),(1. 2.,2. 3.,2. 2.5,1. 2.)),((5. 5.,6. 5.,6. 6.,5. 5.))));
        let mut out = String::new();
        feature(&mut out, "甲\"1", "{\"a\":1}", Some(&FlatGeometry::from(&geometry)), CoordForm::LON_LAT);
        assert_eq!(
            out,
            "{\"type\" : \"Feature\", \"id\" : \"甲\\\"1\", \"geometry\" : {\"type\":\"MultiPolygon\",\"coordinates\":[[[[0,0],[4,4],[0,4],[0,0]],\
             [[1,2],[2,3],[2,2.5],[1,2]]],[[[5,5],[6,5],[6,6],[5,5]]]]}, \"properties\" : {\"a\":1}}"
        );
        out.clear();
        feature(&mut out, "", "{}", None, CoordForm::LON_LAT);
        assert_eq!(out, "{\"type\" : \"Feature\", \"id\" : \"\", \"geometry\" : null, \"properties\" : {}}");
    }
}
