//! Cadastres of France and Prague as parcels of a ledger, where somebody insists: numbers, areas and findings as GDAL and PostGIS tell
//! them of the same files.

use std::collections::BTreeMap;

use sizhi::inventory::import::{ImportRequest, Imported};
use sqlx::AssertSqlSafe;

use crate::real_files::{CYLINDER, load, number};
use crate::support::parcels::into;
use crate::support::tools::arg;
use crate::support::{Database, real};

const TURNOVER: &str = "turnover_parcels";
const LOW: &str = "low_efficiency_parcels";

/// What the parcels are judged by: of each row of the judge its number on paper, and its area along the formula's own edges.
fn judged(number: &str) -> String {
    format!(
        "SELECT row::bigint, {number}::text AS number,
                ST_Area(ST_Transform(ST_Segmentize(ST_Transform(geom, {CYLINDER}), 2), 4490)::geography) AS m2 FROM judge"
    )
}

fn insist(ledger: &'static str) -> impl Fn(&mut ImportRequest) {
    move |request| {
        into(ledger)(request);
        request.allow = ["outside_province", "area_mismatch_gross"].map(str::to_owned).to_vec();
    }
}

/// Every code with its rows, in order.
fn told(imported: &Imported) -> BTreeMap<String, Vec<u64>> {
    let mut told: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for finding in &imported.report.findings {
        told.entry(finding.code.to_string()).or_default().push(finding.place.row.unwrap_or(0));
    }
    told.values_mut().for_each(|rows| rows.sort_unstable());
    told
}

/// The very findings, row by row, but for hairs of land that two share.
#[track_caller]
fn assert_told(imported: &Imported, expected: &BTreeMap<String, Vec<u64>>) {
    let mut told = told(imported);
    told.remove("overlap_sliver");
    assert_eq!(told.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (code, rows) in &told {
        let differing: Vec<&u64> = rows.iter().filter(|row| !expected[code].contains(row)).collect();
        assert!(
            rows == &expected[code],
            "{code}: {} told, {} expected, {differing:?}",
            rows.len(),
            expected[code].len()
        );
    }
}

/// Neighbours that share a hair of land are told at the later of the two rows. Under a square centimetre is contact; half as much either
/// way is the judge's own rounding.
async fn assert_slivers(db: &Database, imported: &Imported) {
    let pairs = |least: f64| {
        format!(
            "SELECT greatest(a.row, b.row)::bigint FROM judge a JOIN judge b ON a.row < b.row AND ST_Intersects(a.geom, b.geom)
             CROSS JOIN LATERAL ST_CollectionExtract(ST_Intersection(a.geom, b.geom), 3) AS i
             WHERE ST_Area(ST_Transform(i, {CYLINDER})) > {least} ORDER BY 1"
        )
    };
    let times = |rows: &[u64], row: u64| rows.iter().filter(|held| **held == row).count();
    let (sure, possible) = (rows(db, pairs(1.5e-4)).await, rows(db, pairs(0.5e-4)).await);
    let told = told(imported).remove("overlap_sliver").unwrap_or_default();
    assert!(!sure.is_empty(), "neighbours differ by hairs");
    for row in sure.iter().chain(&told) {
        let (least, here, most) = (times(&sure, *row), times(&told, *row), times(&possible, *row));
        assert!(least <= here && here <= most, "row {row}: {here} slivers told, {least} to {most} measured");
    }
}

async fn rows(db: &Database, sql: String) -> Vec<u64> {
    let rows: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql.clone()))
        .fetch_all(&mut db.superuser().await)
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e}"));
    rows.into_iter().map(|row| u64::try_from(row).expect("a row")).collect()
}

/// Each record of the judge is one parcel under its number, and as large.
async fn assert_parcels(db: &Database, table: &str, number: &str, count: i64) {
    let sql = format!(
        "SELECT count(*), count(p.id), (SELECT count(*) FROM {table}), max(abs(p.area_m2 - j.m2) - 1e-6 * j.m2), abs(sum(p.area_m2) / sum(j.m2) - 1)
         FROM ({}) j LEFT JOIN {table} p ON p.number = j.number AND p.county_code = '430121'",
        judged(number)
    );
    let (records, found, parcels, worst, whole): (i64, i64, i64, f64, f64) =
        sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut db.superuser().await).await.expect("compared");
    assert_eq!((records, found, parcels), (count, count, count));
    assert!(worst <= 5e-4 && whole <= 1e-6, "{table}: {worst} m², {whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_french_cadastre_is_parcels_where_somebody_insists() {
    let Some(path) = real("cadastre/fr_cadastre_91216_parcelles.geojson") else { return };
    let db = Database::with_sample().await;
    let all: Vec<u64> = (1..=4_241).collect();
    let refused = db.import(&path, into(TURNOVER)).await.expect("read");
    assert_eq!((refused.revision, &told(&refused)["outside_province"]), (None, &all));
    let imported = db.import(&path, insist(TURNOVER)).await.expect("imported");
    assert!(imported.revision.is_some() && !imported.report.has_errors());
    assert_eq!(imported.report.counts.expect("counts").inserted, 4_241);

    load(&db, arg(&path), "", &[]).await;
    assert_parcels(&db, "turnover_parcel", "id", 4_241).await;
    // What is found, row by row: all lie outside; papers and shapes differ where PostGIS says; rings run as the file has them.
    let share = "SELECT row::bigint FROM judge, LATERAL (SELECT abs(contenance / ST_Area(geom::geography) - 1) AS s) x WHERE contenance > 0";
    let mut expected: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    expected.insert("outside_province".into(), all);
    expected.insert("area_mismatch".into(), rows(&db, format!("{share} AND s > 0.01 AND s <= 0.5 ORDER BY row")).await);
    expected.insert("area_mismatch_gross".into(), rows(&db, format!("{share} AND s > 0.5 ORDER BY row")).await);
    let turned = "SELECT row::bigint FROM judge, ST_Dump(geom) d, ST_DumpRings(d.geom) r WHERE ST_IsPolygonCCW(r.geom) = (r.path[1] > 0) ORDER BY row";
    expected.insert("ring_orientation".into(), rows(&db, turned.to_owned()).await);
    expected.retain(|_, rows| !rows.is_empty());
    assert_told(&imported, &expected);
    assert_slivers(&db, &imported).await;
    assert!(expected["area_mismatch"].len() > 100, "the papers differ in many places");
    // The paper's own area is kept beside.
    let stated: f64 = db.value("SELECT sum(stated_area_m2) FROM turnover_parcel").await;
    assert_eq!(stated, db.value::<i64>("SELECT sum(contenance)::bigint FROM judge").await as f64);
    assert_eq!(db.audit().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plots_of_prague_are_parcels_where_somebody_insists() {
    let Some(path) = real("cadastre/cz_bubenec_plots.gpkg") else { return };
    let db = Database::with_sample().await;
    let all: Vec<u64> = (1..=407).collect();
    let refused = db.import(&path, into(LOW)).await.expect("read");
    let expected = BTreeMap::from([("outside_province".to_owned(), all)]);
    assert_eq!(refused.revision, None);
    assert_told(&refused, &expected);
    let imported = db.import(&path, insist(LOW)).await.expect("imported");
    assert!(imported.revision.is_some() && !imported.report.has_errors());
    assert_eq!(imported.report.counts.expect("counts").inserted, 407);
    load(&db, arg(&path), "plots", &[]).await;
    assert_eq!(number(&db, "SELECT count(*) FROM judge WHERE NOT ST_IsValid(geom)").await, 0);
    assert_parcels(&db, "low_efficiency_parcel", "id", 407).await;
    assert_told(&imported, &expected);
    assert_slivers(&db, &imported).await;
    // The same file again changes nothing.
    let again = db.import(&path, insist(LOW)).await.expect("read");
    assert_eq!((again.revision, again.report.counts.expect("counts").unchanged), (None, 407));
    assert_eq!(db.audit().await, None);
}
