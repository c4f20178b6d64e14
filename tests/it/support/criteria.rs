//! Sets of criteria for tests, and parcels to be judged by them.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::{Value, json};
use sizhi::inventory::criteria::{self, TableRequest};
use sizhi::inventory::import::ReadOptions;

use super::http::{Answer, authorised, call};
use super::parcels::operator;
use super::{Database, root};

/// A tax below 7.5 万元/亩 (112.5 万元/公顷), as a share of the county's mean.
pub fn low_tax() -> Value {
    json!({
        "number": 1, "title": "亩均税收偏低（示意）", "kind": "产出低下类", "field": "tax_per_ha", "comparison": "lt",
        "threshold": 60, "unit": "%", "reference_value": 12.5, "reference_unit": "万元/亩", "reference_source": "全县平均",
        "group": null, "combination": "any", "document": "示意〔2025〕2号", "note": null,
    })
}

/// Production has stopped.
pub fn stopped(number: i64) -> Value {
    json!({
        "number": number, "title": "停产（示意）", "kind": "部分闲置类", "field": "production_stopped", "comparison": "eq",
        "threshold": true, "unit": null, "reference_value": null, "reference_unit": null, "reference_source": null,
        "group": null, "combination": "any", "document": null, "note": "示意",
    })
}

/// `criterion` with this member changed.
pub fn with(mut criterion: Value, name: &str, value: Value) -> Value {
    criterion[name] = value;
    criterion
}

pub fn put_request(key: &str, criteria: Value) -> TestRequest {
    authorised(Method::PUT, &format!("/api/criteria/{key}")).set_json(json!({"criteria": criteria}))
}

/// A set that was not there, by the operator.
pub async fn enter(db: &Database, key: &str, criteria: Value) -> Answer {
    let answer = call(db, put_request(key, criteria).insert_header(("if-none-match", "*"))).await;
    assert_eq!(answer.status, 201, "{key}: {}", answer.text());
    answer
}

/// Enters the four sets of the example.
pub async fn with_example(db: &Database) {
    let request = TableRequest {
        path: root().join("fixtures/criteria/example.csv"),
        file_name: "example.csv".to_owned(),
        read: ReadOptions::default(),
    };
    let imported = criteria::import(&db.pool, &operator(), &request, false).await.expect("imported");
    assert!(imported.revision.is_some(), "{:?}", imported.findings);
}

/// The parcels below, and the four sets.
pub async fn judged() -> Database {
    let db = Database::with_sample().await;
    db.write(PARCELS).await;
    with_example(&db).await;
    db
}

/// Parcels with all that criteria may ask for: number, county, year, floor-area ratio, density, investment, tax, stopped, industry,
/// low-efficient by the paper, its kind.
pub const PARCELS: &str = "
    INSERT INTO low_efficiency_parcel (id, county_code, number, name, geom, area_m2, park_code, state, criteria_year, floor_area_ratio,
        building_density, fixed_investment_per_ha, tax_per_ha, production_stopped, industry, is_low_efficiency, low_efficiency_kind, source)
    SELECT c || '-' || n, c, n, '地块' || n, ST_Multi(ST_MakeEnvelope(113 + x * 0.01, 28, 113.001 + x * 0.01, 28.001, 4490)), a, p, 'suspected', y, f, d, i,
           t, s, b, l, k, '手工（示意）'
    FROM (VALUES
        (1, '430121', 'A', 10005::float8, 'G431033', 2025, 0.5::float8, 40::float8, NULL::float8, 112.5::float8, false, '电子', true, '产出低下类'),
        (2, '430121', 'B', 20000, 'G431033', 2025, 0.5, 40, NULL, 112.49999999999999, false, '电子', true, '产出低下类'),
        (3, '430121', 'C', 40000.5, 'G431033', 2025, 0.8, 30, NULL, 10, false, '电子', false, NULL),
        (4, '430121', 'D', 5000, NULL, 2025, 0.8, 30.000001, NULL, 10, false, '电子', NULL, NULL),
        (5, '430121', 'E', 666.625, NULL, 2025, NULL, 40, NULL, 10, false, '造纸', true, '产业淘汰类'),
        (6, '430121', 'F', 1000.25, NULL, 2025, NULL, 40, NULL, 500, false, '造纸', false, NULL),
        (7, '430121', 'G', 7777, NULL, 2025, 2, 40, NULL, NULL, true, NULL, true, '产出低下类'),
        (8, '430121', 'H', 3000, NULL, 2024, 2, 40, 1500, 1, true, NULL, true, NULL),
        (9, '430121', 'I', 9000, NULL, NULL, 0.1, 1, 1, 1, true, '造纸', true, NULL),
        (10, '430121', 'J', 100, NULL, 2023, 0.1, 1, 1, 1, true, '造纸', true, NULL),
        (11, '430102', 'K', 2500, NULL, 2025, 0.1, 1, 1, 1, false, '印染', false, NULL),
        (12, '430102', 'L', 2500.5, NULL, 2025, 0.1, 1, 1, 1, NULL, '电子', false, NULL),
        (13, '430102', 'M', 3500.5, NULL, 2025, 0.1, 1, 1, 1, false, '电子', false, NULL),
        (14, '430202', 'N', 1234.5, NULL, 2025, 0.1, 1, 1, 1, true, '电子', true, '部分闲置类'),
        (15, '430202', 'O', 4321, NULL, 2025, 0.1, 1, 1, 1, false, '造纸', NULL, NULL))
        v(x, c, n, a, p, y, f, d, i, t, s, b, l, k);";
