//! CGCS2000 Gauss–Krüger and Web Mercator, forward and inverse.
//!
//! Gauss–Krüger by the Krüger series in the third flattening n to n⁶ (Karney 2011, "Transverse Mercator with an
//! accuracy of a few nanometers"): below 1 µm within 4° of the central meridian. Never: a datum change.

use std::f64::consts::FRAC_PI_2;

use geo::{Coord, MapCoords, MultiPolygon};

use super::crs::Crs;

/// CGCS2000 semi-major axis in metres (GB 22021-2008).
pub const SEMI_MAJOR_AXIS_M: f64 = 6_378_137.0;
/// CGCS2000 flattening.
pub const FLATTENING: f64 = 1.0 / 298.257_222_101;
/// False easting of every Gauss–Krüger zone, in metres; prefixed systems add zone × 10⁶.
const FALSE_EASTING_M: f64 = 500_000.0;
/// Farther than this from the central meridian nobody projects on purpose: a zone is 3° or 6° wide.
const MAX_LONGITUDE_DIFFERENCE: f64 = 10.0;
/// Web Mercator ends here by definition.
const MERCATOR_LATITUDE_LIMIT: f64 = 85.06;

/// Longitude and latitude in degrees (EPSG:4490) to easting and northing in metres. `None` for systems that only PROJ
/// knows, for coordinates that are not finite, and for places far outside the zone.
pub fn forward(crs: Crs, longitude: f64, latitude: f64) -> Option<(f64, f64)> {
    if !(longitude.abs() <= 180.0 && latitude.abs() <= 90.0) {
        return None;
    }
    match crs {
        Crs::Cgcs2000 | Crs::Wgs84 => Some((longitude, latitude)),
        Crs::WebMercator => {
            if latitude.abs() > MERCATOR_LATITUDE_LIMIT {
                return None;
            }
            let x = SEMI_MAJOR_AXIS_M * longitude.to_radians();
            let y = SEMI_MAJOR_AXIS_M * latitude.to_radians().tan().asinh();
            Some((x, y))
        }
        Crs::GaussKruger3 { .. } | Crs::GaussKruger6 { .. } => {
            let difference = longitude - crs.central_meridian()?;
            if difference.abs() > MAX_LONGITUDE_DIFFERENCE {
                return None;
            }
            let (x, y) = Series::cgcs2000().forward(difference.to_radians(), latitude.to_radians());
            Some((x + crs.false_easting()?, y))
        }
        Crs::Other(_) => None,
    }
}

/// Easting and northing in metres to longitude and latitude in degrees (EPSG:4490); the inverse of [`forward`].
pub fn inverse(crs: Crs, x: f64, y: f64) -> Option<(f64, f64)> {
    if !(x.is_finite() && y.is_finite()) {
        return None;
    }
    let (longitude, latitude) = match crs {
        Crs::Cgcs2000 | Crs::Wgs84 => (x, y),
        Crs::WebMercator => ((x / SEMI_MAJOR_AXIS_M).to_degrees(), (y / SEMI_MAJOR_AXIS_M).sinh().atan().to_degrees()),
        Crs::GaussKruger3 { .. } | Crs::GaussKruger6 { .. } => {
            let easting = x - crs.false_easting()?;
            // A quarter meridian is about 10,002 km; eastings beyond ±1,120 km lie more than 10° away.
            if easting.abs() > 1_120_000.0 || y.abs() > 10_010_000.0 {
                return None;
            }
            let (difference, latitude) = Series::cgcs2000().inverse(easting, y);
            (crs.central_meridian()? + difference.to_degrees(), latitude.to_degrees())
        }
        Crs::Other(_) => return None,
    };
    (longitude.abs() <= 180.0 && latitude.abs() <= 90.0).then_some((longitude, latitude))
}

/// The same rings in another system; `None` where one vertex cannot be projected.
pub fn from_cgcs2000(geometry: &MultiPolygon<f64>, crs: Crs) -> Option<MultiPolygon<f64>> {
    geometry.try_map_coords(|c| forward(crs, c.x, c.y).map(|(x, y)| Coord { x, y }).ok_or(())).ok()
}

impl Crs {
    /// Degrees east of Greenwich; `None` for systems that are no Gauss–Krüger zone.
    pub fn central_meridian(self) -> Option<f64> {
        match self {
            Crs::GaussKruger3 { zone, .. } => Some(f64::from(zone) * 3.0),
            Crs::GaussKruger6 { zone, .. } => Some(f64::from(zone) * 6.0 - 3.0),
            _ => None,
        }
    }

    fn false_easting(self) -> Option<f64> {
        match self {
            Crs::GaussKruger3 { zone, prefixed } | Crs::GaussKruger6 { zone, prefixed } => {
                Some(FALSE_EASTING_M + if prefixed { f64::from(zone) * 1e6 } else { 0.0 })
            }
            _ => None,
        }
    }
}

/// Coefficients of the series for one ellipsoid.
struct Series {
    /// First eccentricity.
    e: f64,
    /// Radius of the circle with the meridian's circumference, metres.
    rectifying_radius: f64,
    alpha: [f64; 6],
    beta: [f64; 6],
}

impl Series {
    fn cgcs2000() -> &'static Series {
        static SERIES: std::sync::LazyLock<Series> =
            std::sync::LazyLock::new(|| Series::new(SEMI_MAJOR_AXIS_M, FLATTENING));
        &SERIES
    }

    fn new(a: f64, f: f64) -> Self {
        let n = f / (2.0 - f);
        let polynomial = |coefficients: &[f64], first_power: i32| {
            coefficients.iter().rev().fold(0.0, |sum, c| sum * n + c) * n.powi(first_power)
        };
        Self {
            e: (f * (2.0 - f)).sqrt(),
            rectifying_radius: a / (1.0 + n) * (1.0 + n.powi(2) / 4.0 + n.powi(4) / 64.0 + n.powi(6) / 256.0),
            alpha: [
                polynomial(&[1. / 2., -2. / 3., 5. / 16., 41. / 180., -127. / 288., 7891. / 37800.], 1),
                polynomial(&[13. / 48., -3. / 5., 557. / 1440., 281. / 630., -1_983_433. / 1_935_360.], 2),
                polynomial(&[61. / 240., -103. / 140., 15061. / 26880., 167_603. / 181_440.], 3),
                polynomial(&[49561. / 161_280., -179. / 168., 6_601_661. / 7_257_600.], 4),
                polynomial(&[34729. / 80640., -3_418_889. / 1_995_840.], 5),
                polynomial(&[212_378_941. / 319_334_400.], 6),
            ],
            beta: [
                polynomial(&[1. / 2., -2. / 3., 37. / 96., -1. / 360., -81. / 512., 96199. / 604_800.], 1),
                polynomial(&[1. / 48., 1. / 15., -437. / 1440., 46. / 105., -1_118_711. / 3_870_720.], 2),
                polynomial(&[17. / 480., -37. / 840., -209. / 4480., 5569. / 90720.], 3),
                polynomial(&[4397. / 161_280., -11. / 504., -830_251. / 7_257_600.], 4),
                polynomial(&[4583. / 161_280., -108_847. / 3_991_680.], 5),
                polynomial(&[20_648_693. / 638_668_800.], 6),
            ],
        }
    }

    /// Tangent of the conformal latitude from the tangent of the geographic one.
    fn conformal_tangent(&self, tau: f64) -> f64 {
        let sigma = (self.e * (self.e * tau / tau.hypot(1.0)).atanh()).sinh();
        tau * sigma.hypot(1.0) - sigma * tau.hypot(1.0)
    }

    fn forward(&self, longitude: f64, latitude: f64) -> (f64, f64) {
        if latitude.abs() >= FRAC_PI_2 {
            return (0.0, self.rectifying_radius * latitude.signum() * FRAC_PI_2);
        }
        let tau = self.conformal_tangent(latitude.tan());
        let (sin, cos) = longitude.sin_cos();
        let xi0 = tau.atan2(cos);
        let eta0 = (sin / tau.hypot(cos)).asinh();
        let (mut xi, mut eta) = (xi0, eta0);
        for (j, alpha) in (1..).zip(self.alpha) {
            let k = 2.0 * f64::from(j);
            xi += alpha * (k * xi0).sin() * (k * eta0).cosh();
            eta += alpha * (k * xi0).cos() * (k * eta0).sinh();
        }
        (self.rectifying_radius * eta, self.rectifying_radius * xi)
    }

    fn inverse(&self, x: f64, y: f64) -> (f64, f64) {
        let (xi0, eta0) = (y / self.rectifying_radius, x / self.rectifying_radius);
        let (mut xi, mut eta) = (xi0, eta0);
        for (j, beta) in (1..).zip(self.beta) {
            let k = 2.0 * f64::from(j);
            xi -= beta * (k * xi0).sin() * (k * eta0).cosh();
            eta -= beta * (k * xi0).cos() * (k * eta0).sinh();
        }
        let (sin, cos) = xi.sin_cos();
        let longitude = eta.sinh().atan2(cos);
        let target = sin / eta.sinh().hypot(cos);
        (longitude, self.geographic_tangent(target).atan())
    }

    /// Newton's method on [`Series::conformal_tangent`]; two rounds reach double precision, five are the bound.
    fn geographic_tangent(&self, target: f64) -> f64 {
        let e2 = self.e * self.e;
        let mut tau = target / (1.0 - e2);
        for _ in 0..5 {
            let guess = self.conformal_tangent(tau);
            let step =
                (target - guess) / guess.hypot(1.0) * (1.0 + (1.0 - e2) * tau * tau) / ((1.0 - e2) * tau.hypot(1.0));
            tau += step;
            if step.abs() < 1e-16 * tau.abs().max(1.0) {
                break;
            }
        }
        tau
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PROJ's own answers (cs2cs), see fixtures/geometry/README.md: epsg, lon, lat, easting, northing.
    const PROJ_TABLE: &str = include_str!("../../fixtures/geometry/gauss_kruger_proj.csv");

    fn rows() -> Vec<[f64; 5]> {
        let parse = |line: &str| -> [f64; 5] {
            let numbers: Vec<f64> = line.split(',').map(|n| n.parse().expect("number")).collect();
            numbers.try_into().expect("five columns")
        };
        PROJ_TABLE.lines().skip(1).map(parse).collect()
    }

    #[test]
    fn gauss_kruger_agrees_with_proj_both_ways_in_all_zones() {
        let rows = rows();
        assert_eq!(rows.len(), 600, "100 points for each of six systems");
        let (mut worst_forward, mut worst_inverse) = (0.0_f64, 0.0_f64);
        for [epsg, lon, lat, easting, northing] in rows {
            let crs = Crs::from_epsg(epsg as u32);
            let (x, y) = forward(crs, lon, lat).expect("inside the zone");
            worst_forward = worst_forward.max((x - easting).hypot(y - northing));
            let (back_lon, back_lat) = inverse(crs, easting, northing).expect("inside the zone");
            // One degree is at most 111.7 km.
            worst_inverse = worst_inverse.max((back_lon - lon).hypot(back_lat - lat) * 111_700.0);
        }
        // The goal is 1 mm; the table itself is printed to 1e-6 m.
        assert!(worst_forward < 2e-6, "forward differs from PROJ by {worst_forward} m");
        assert!(worst_inverse < 2e-6, "inverse differs from PROJ by {worst_inverse} m");
    }

    #[test]
    fn web_mercator_reference_point() {
        // EPSG Guidance Note 7-2, 3857: 24°22′54.433″N 100°20′00.000″W gives E −11169055.58 N 2800000.00.
        let (x, y) =
            forward(Crs::WebMercator, -(100.0 + 20.0 / 60.0), 24.0 + 22.0 / 60.0 + 54.433 / 3600.0).expect("inside");
        assert!((x + 11_169_055.58).abs() < 0.01 && (y - 2_800_000.0).abs() < 0.01, "{x} {y}");
    }

    #[test]
    fn what_cannot_be_projected_is_none() {
        let zone = Crs::GaussKruger3 { zone: 38, prefixed: true };
        assert_eq!(forward(zone, f64::NAN, 28.0), None);
        assert_eq!(forward(zone, 90.0, 28.0), None, "24 degrees from the central meridian");
        assert_eq!(inverse(zone, f64::INFINITY, 3e6), None);
        assert_eq!(inverse(zone, 435_200.0, 3e6), None, "an unprefixed easting in a prefixed system");
        assert_eq!(inverse(Crs::Other(28992), 1.0, 1.0), None);
    }
}
