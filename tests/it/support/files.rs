//! Boundary files made for tests: boundary-point TXT and GeoJSON of squares.

use std::path::PathBuf;

use super::scratch;

/// A square of `side` metres with its south-west corner at this northing and easting (zone 38, prefixed).
pub fn square(northing: f64, easting: f64, side: f64) -> Vec<(f64, f64)> {
    vec![(northing, easting), (northing, easting + side), (northing + side, easting + side), (northing + side, easting)]
}

/// A TXT of zone 38 with these parcels: number, ring (northing, easting), stated hectares.
pub fn txt(parcels: &[(&str, Vec<(f64, f64)>, f64)]) -> String {
    let mut text = String::from(
        "[属性描述]\r\n坐标系=2000国家大地坐标系\r\n几度分带=3\r\n投影类型=高斯克吕格\r\n计量单位=米\r\n带号=38\r\n精度=0.001\r\n[地块坐标]\r\n",
    );
    for (number, ring, hectares) in parcels {
        text.push_str(&format!("{},{hectares:.4},{number},地块{number},面,,,,@\r\n", ring.len() + 1));
        for (i, (x, y)) in ring.iter().chain(ring.first()).enumerate() {
            let label = if i == ring.len() { 1 } else { i + 1 };
            text.push_str(&format!("J{label},1,{x:.3},{y:.3}\r\n"));
        }
    }
    text
}

/// Writes a file of this test under the scratch folder.
pub fn write(name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let folder = scratch().join("files").join(std::process::id().to_string());
    std::fs::create_dir_all(&folder).expect("folder");
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("written");
    path
}
