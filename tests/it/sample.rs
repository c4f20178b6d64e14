//! The sample inventory as the database holds it, judged by PostGIS.

use crate::support::Database;

/// Relative difference allowed between the survey formula and PostGIS' geodesic area (issue 2).
const AREA_TOLERANCE: f64 = 1e-7;

#[tokio::test]
async fn counts_are_those_of_the_sources() {
    let db = Database::with_sample().await;
    assert_eq!(db.value::<i64>("SELECT count(*) FROM park").await, 129);
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM division WHERE level IN ('province', 'prefecture', 'county')").await,
        137
    );
    assert_eq!(db.value::<i64>("SELECT count(*) FROM directory_entry WHERE version_id = 'cn-2018'").await, 129);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM park_event").await, 7);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 1);
    assert!(db.value::<bool>("SELECT bool_and(illustrative AND source LIKE '%示意%') FROM park_block").await);
    assert_eq!(db.audit().await, None);
}

#[tokio::test]
async fn block_areas_agree_with_postgis() {
    let db = Database::with_sample().await;
    let worst: f64 = db.value("SELECT max(abs(area_m2 / ST_Area(geom::geography) - 1)) FROM park_block").await;
    assert!(worst <= AREA_TOLERANCE, "worst relative difference {worst:e}");
    let worst: f64 = db
        .value(
            "SELECT max(abs(a / 10000 / approved_area_ha - 1))::float8
             FROM park JOIN (SELECT park_code, sum(ST_Area(geom::geography))::numeric AS a FROM park_block GROUP BY 1) b ON park_code = code",
        )
        .await;
    assert!(worst <= 1e-4, "a park's blocks against its approved area: {worst:e}");
}

#[tokio::test]
async fn blocks_are_valid_apart_and_in_their_prefecture() {
    let db = Database::with_sample().await;
    assert_eq!(db.value::<i64>("SELECT count(*) FROM park_block WHERE NOT ST_IsValid(geom)").await, 0);
    assert_eq!(
        db.value::<i64>(
            "SELECT count(*) FROM park_block a JOIN park_block b ON a.id < b.id AND ST_Intersects(a.geom, b.geom)"
        )
        .await,
        0
    );
    assert_eq!(
        db.value::<i64>(
            "SELECT count(*) FROM park_block b JOIN park p ON p.code = b.park_code JOIN division d ON d.code = p.prefecture_code
             WHERE NOT ST_Covers(d.geom, b.geom)"
        )
        .await,
        0
    );
    assert_eq!(db.value::<i64>("SELECT count(*) FROM division WHERE level = 'prefecture' AND geom IS NULL").await, 0);
}

#[tokio::test]
async fn a_second_seed_changes_nothing_and_newer_facts_stay() {
    let db = Database::with_sample().await;
    let again = sizhi::inventory::sample::seed(&db.pool, "test").await.expect("seeded");
    assert_eq!((again.revision, again.parks, again.blocks), (None, 0, 0));
    let mut transaction = db.pool.begin().await.expect("transaction");
    sizhi::store::revision::open(&mut transaction, "test", "rename", "").await.expect("revision");
    sqlx::query("UPDATE park SET name = '新名', source = '湘发改园区〔2022〕601号' WHERE code = 'G431176'")
        .execute(&mut *transaction)
        .await
        .expect("updated");
    transaction.commit().await.expect("committed");
    let again = sizhi::inventory::sample::seed(&db.pool, "test").await.expect("seeded");
    assert_eq!(again.revision, None, "{again}");
    assert_eq!(db.value::<String>("SELECT name FROM park WHERE code = 'G431176'").await, "新名");
}
