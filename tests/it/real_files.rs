//! Files that nobody here made, through the real binary: counted by ogrinfo, measured by PostGIS, every fault foretold by
//! looking at the file. This module holds what the tests of real files share.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::support::Database;
use crate::support::process::{run, sizhi};
use crate::support::tools::{arg, gdal};

/// What `import --dry-run --json` said.
pub struct Told {
    pub exit: Option<i32>,
    pub report: Value,
}

impl Told {
    /// Runs the binary; standard output must be one JSON document and nothing else.
    #[track_caller]
    pub fn by_dry_run(url: &str, file: &Path, more: &[&str]) -> Self {
        let mut args = vec!["import", arg(file), "--layer", "park_blocks", "--park", "G431176", "--dry-run", "--json"];
        args.extend(more);
        let mut command = sizhi(&args);
        command.env("DATABASE_URL", url);
        let output = run(command, b"");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{}: {said}", file.display());
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{}: not one JSON document ({e}): {said}", file.display()));
        Self { exit: output.status.code(), report }
    }

    pub fn findings(&self, code: &str) -> Vec<&Value> {
        self.report["findings"].as_array().expect("a list").iter().filter(|f| f["code"] == code).collect()
    }

    pub fn candidates(&self) -> &[Value] {
        self.report["candidates"].as_array().expect("a list")
    }

    /// Every code with the number of findings that carry it, and the exit code that follows from them.
    #[track_caller]
    pub fn assert_codes(&self, what: &str, expected: &[(&str, usize)]) {
        let mut told: BTreeMap<&str, usize> = BTreeMap::new();
        for finding in self.report["findings"].as_array().expect("a list") {
            *told.entry(finding["code"].as_str().expect("a code")).or_default() += 1;
            let message = finding["message"].as_str().expect("a sentence");
            assert!(!message.contains('\u{FFFD}') && !message.is_empty(), "{what}: {message}");
        }
        let expected: BTreeMap<&str, usize> = expected.iter().copied().filter(|(_, n)| *n > 0).collect();
        assert_eq!(told, expected, "{what}");
        let refused = self.report["status"] == "refused";
        assert_eq!(self.exit, Some(if refused { 3 } else { 0 }), "{what}");
        let errors =
            self.report["findings"].as_array().expect("a list").iter().filter(|f| f["severity"] == "error").count();
        assert_eq!((errors > 0, &self.report["counts"]["errors"]), (refused, &errors.into()), "{what}");
    }

    /// Rows of the findings with this code, as told.
    pub fn rows(&self, code: &str) -> Vec<u64> {
        self.findings(code).iter().filter_map(|f| f["row"].as_u64()).collect()
    }

    /// Part, ring, vertex of the only finding with this code.
    #[track_caller]
    pub fn place(&self, code: &str) -> (Option<u64>, Option<u64>, Option<u64>, Option<u64>) {
        let found = self.findings(code);
        assert_eq!(found.len(), 1, "{code}");
        let number = |key: &str| found[0].get(key).and_then(Value::as_u64);
        (number("row"), number("part"), number("ring"), number("vertex"))
    }

    pub fn areas(&self) -> Vec<Option<f64>> {
        self.candidates().iter().map(|c| c["area_m2"].as_f64()).collect()
    }

    /// All of the file lies outside Hunan: every sound record says so at its first vertex.
    #[track_caller]
    pub fn assert_all_outside(&self, what: &str, rows: usize) {
        assert_eq!(self.rows("outside_province"), (1..=rows as u64).collect::<Vec<_>>(), "{what}");
        for finding in self.findings("outside_province") {
            assert_eq!(
                (&finding["part"], &finding["ring"], &finding["vertex"]),
                (&1.into(), &1.into(), &1.into()),
                "{what}"
            );
        }
    }
}

/// Records of a layer as ogrinfo counts them.
#[track_caller]
pub fn count_by_ogrinfo(file: &str, layer: &str) -> usize {
    let summary = gdal("ogrinfo", &["-ro", "-so", file, layer]);
    let line = summary.lines().find_map(|l| l.strip_prefix("Feature Count: ")).unwrap_or_else(|| panic!("{summary}"));
    line.trim().parse().expect("a number")
}

/// Loads a layer into table `judge` in EPSG:4490, row for row. By way of WGS 84, to which PROJ knows the published
/// transformations; straight to CGCS2000 it passes most datums off as the same, tens of metres and 0.02 % of an area away.
pub async fn load(db: &Database, file: &str, layer: &str, more: &[&str]) {
    let address = db.ogr_address().await;
    let mut args = vec!["-f", "PostgreSQL", &address, file];
    if !layer.is_empty() {
        args.push(layer);
    }
    args.extend([
        "-nln",
        "judge",
        "-overwrite",
        "-t_srs",
        "EPSG:4326",
        "-lco",
        "GEOMETRY_NAME=geom",
        "-lco",
        "FID=row",
        "-lco",
        "PRECISION=NO",
        "-unsetFid",
        "-nlt",
        "CONVERT_TO_LINEAR",
    ]);
    args.extend(more);
    gdal("ogr2ogr", &args);
    sqlx::query("SELECT UpdateGeometrySRID('judge', 'geom', 4490)").execute(&db.pool).await.expect("the same numbers");
    know_cylinder(db).await;
}

/// Makes the cylinder known to this database.
pub async fn know_cylinder(db: &Database) {
    sqlx::query(
        "INSERT INTO spatial_ref_sys (srid, auth_name, auth_srid, proj4text) VALUES ($1, 'test', $1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(CYLINDER)
    .bind(CYLINDER_TEXT)
    .execute(&mut db.superuser().await)
    .await
    .expect("the cylinder");
}

/// The equal-area cylinder of CGCS2000. The survey formula (one mean longitude an edge) takes an edge as straight there,
/// which neither degrees nor a geodesic is: at 50° N they part by 3e-6 of a small slanted parcel, more on long edges.
///
/// A number of its own in the test's database: PostGIS keeps the way between numbered systems and looks for the way
/// between texts every time.
pub const CYLINDER: i32 = 990_001;
const CYLINDER_TEXT: &str = "+proj=cea +a=6378137 +rf=298.257222101 +units=m +no_defs";

/// Geodesic areas of the loaded rows by PostGIS, with points put in every two metres of the formula's own edges, so that
/// both mean the same line.
pub async fn areas_by_postgis(db: &Database) -> Vec<f64> {
    let sql = format!(
        "SELECT ST_Area(ST_Transform(ST_Segmentize(ST_Transform(geom, {CYLINDER}), 2), 4490)::geography) FROM judge ORDER BY row"
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut db.superuser().await).await.expect("areas")
}

/// Areas on the cylinder itself, by PROJ: no geodesic, edges of any length.
pub async fn areas_on_the_cylinder(db: &Database) -> Vec<f64> {
    let sql = format!("SELECT ST_Area(ST_Transform(geom, {CYLINDER})) FROM judge ORDER BY row");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut db.superuser().await).await.expect("areas")
}

/// Every area and the total within 1e-6 of PostGIS'. A geodesic area is the difference of strips down to the equator, some
/// 5,500 km long: what doubles lose there is a few square centimetres, which a flower bed of 7 m² would notice.
#[track_caller]
pub fn assert_areas(what: &str, told: &[Option<f64>], judge: &[f64]) {
    assert_eq!(told.len(), judge.len(), "{what}");
    for (row, (told, judge)) in (1..).zip(told.iter().zip(judge)) {
        let told = told.unwrap_or_else(|| panic!("{what}: row {row} has no area"));
        assert!((told - judge).abs() <= 1e-6 * judge + 5e-4, "{what}: row {row}: {told} against {judge}");
    }
    let (told, judge): (f64, f64) = (told.iter().flatten().sum(), judge.iter().sum());
    assert!(judge > 0.0 && (told / judge - 1.0).abs() <= 1e-6, "{what}: in all {told} against {judge}");
}

pub async fn number(db: &Database, sql: &'static str) -> usize {
    let count: i64 =
        sqlx::query_scalar(sql).fetch_one(&mut db.superuser().await).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    usize::try_from(count).expect("a count")
}
