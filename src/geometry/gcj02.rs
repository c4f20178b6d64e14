//! GCJ-02, the shifted coordinates of Chinese web maps: to and from, for reading outlines that come in it.
//!
//! A display option at most; never stored. The forward formula is the widely published one; the inverse iterates it.

use std::f64::consts::PI;

/// Krasovsky 1940 semi-major axis and squared eccentricity: constants of the published formula, not of our datum.
const A: f64 = 6_378_245.0;
const E2: f64 = 0.006_693_421_622_965_943;

/// CGCS2000 (or WGS 84) degrees to GCJ-02. Outside China the formula leaves coordinates alone.
pub fn to_gcj02(longitude: f64, latitude: f64) -> (f64, f64) {
    if !((72.004..=137.8347).contains(&longitude) && (0.8293..=55.8271).contains(&latitude)) {
        return (longitude, latitude);
    }
    let (x, y) = (longitude - 105.0, latitude - 35.0);
    let common = (20.0 * (6.0 * x * PI).sin() + 20.0 * (2.0 * x * PI).sin()) * 2.0 / 3.0;
    let d_lat = -100.0
        + 2.0 * x
        + 3.0 * y
        + 0.2 * y * y
        + 0.1 * x * y
        + 0.2 * x.abs().sqrt()
        + common
        + (20.0 * (y * PI).sin() + 40.0 * (y / 3.0 * PI).sin()) * 2.0 / 3.0
        + (160.0 * (y / 12.0 * PI).sin() + 320.0 * (y * PI / 30.0).sin()) * 2.0 / 3.0;
    let d_lon = 300.0
        + x
        + 2.0 * y
        + 0.1 * x * x
        + 0.1 * x * y
        + 0.1 * x.abs().sqrt()
        + common
        + (20.0 * (x * PI).sin() + 40.0 * (x / 3.0 * PI).sin()) * 2.0 / 3.0
        + (150.0 * (x / 12.0 * PI).sin() + 300.0 * (x / 30.0 * PI).sin()) * 2.0 / 3.0;
    let radians = latitude.to_radians();
    let magic = 1.0 - E2 * radians.sin().powi(2);
    let d_lat = d_lat * 180.0 / (A * (1.0 - E2) / (magic * magic.sqrt()) * PI);
    let d_lon = d_lon * 180.0 / (A / magic.sqrt() * radians.cos() * PI);
    (longitude + d_lon, latitude + d_lat)
}

/// GCJ-02 degrees to CGCS2000, by fixed-point iteration to 1e-11° (about 1 µm).
pub fn from_gcj02(longitude: f64, latitude: f64) -> (f64, f64) {
    let (mut lon, mut lat) = (longitude, latitude);
    // The shift changes by less than 1 % over its own length, so each round gains two digits.
    for _ in 0..20 {
        let (x, y) = to_gcj02(lon, lat);
        let (dx, dy) = (longitude - x, latitude - y);
        lon += dx;
        lat += dy;
        if dx.abs() < 1e-11 && dy.abs() < 1e-11 {
            break;
        }
    }
    (lon, lat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_changsha_east_and_south_as_measured() {
        // ORIGIN.md: "the GCJ-02 formula predicts +546 m east and −380 m north at Changsha" (28.19 N 112.98 E).
        let (lon, lat) = to_gcj02(112.982279, 28.19409);
        let east = (lon - 112.982279).to_radians() * 6_378_137.0 * 28.19409_f64.to_radians().cos();
        let north = (lat - 28.19409).to_radians() * 6_367_000.0;
        assert!((east - 546.0).abs() < 10.0, "east {east}");
        assert!((north + 380.0).abs() < 10.0, "north {north}");
    }

    #[test]
    fn inverse_undoes_forward_over_hunan() {
        for i in 0..30 {
            for j in 0..30 {
                let (lon, lat) = (108.5 + f64::from(i) * 0.2, 24.5 + f64::from(j) * 0.2);
                let (x, y) = to_gcj02(lon, lat);
                let (back_lon, back_lat) = from_gcj02(x, y);
                assert!((back_lon - lon).abs() < 1e-9 && (back_lat - lat).abs() < 1e-9, "{lon} {lat}");
                assert!((x - lon).abs() > 1e-3, "the shift is some hundred metres");
            }
        }
    }
}
