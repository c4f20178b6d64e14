//! Two parks of the sample with five hundred parcels, plans and an open boundary change, which go over to a third.

use serde_json::{Value, json};
use sizhi::domain::DivisionCode;
use sqlx::AssertSqlSafe;

use super::Database;
use super::http::{Answer, get};
use super::land::send;
use super::parcels::{COUNTY, file, square};

/// 长沙天心经济开发区 (443.98 ha) and 长沙雨花经济开发区 (997.21 ha).
pub const MERGED: [&str; 2] = ["S437001", "S437003"];
/// 长沙高新技术产业开发区 (1733.50 ha).
pub const SURVIVOR: &str = "G432033";
/// The day of the merger, and the day before.
pub const DAY: &str = "2026-03-01";
pub const EVE: &str = "2026-02-28";

/// Tables whose rows an event of parks may touch, or must not.
pub const TABLES: [&str; 15] = [
    "park",
    "park_block",
    "park_event",
    "block_lineage",
    "turnover_parcel",
    "low_efficiency_parcel",
    "redevelopment_plan",
    "plan_step",
    "parcel_transition",
    "boundary_change",
    "boundary_change_block",
    "boundary_change_step",
    "directory_version",
    "directory_entry",
    "directory_publication",
];

/// Every row of these tables, geometry to the bit, without the revision that wrote it.
pub async fn contents(db: &Database) -> Vec<(&'static str, Vec<String>)> {
    let mut all = Vec::new();
    for table in TABLES {
        let sql = format!(
            "SELECT (to_jsonb(t) - 'revision' - 'geom')::text || ' ' || coalesce(md5(to_jsonb(t) ->> 'geom'), '')
             FROM {table} t ORDER BY 1"
        );
        all.push((table, sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&db.pool).await.expect(table)));
    }
    all
}

/// Places in the park's largest block, so many of a grid, and the side of a square there, in degrees.
async fn places(db: &Database, park: &str, count: usize) -> (Vec<(f64, f64)>, f64) {
    let (x, y, radius): (f64, f64, f64) = sqlx::query_as(
        "SELECT ST_X(c.center), ST_Y(c.center), c.radius FROM park_block b, LATERAL ST_MaximumInscribedCircle(b.geom) c
         WHERE b.park_code = $1 ORDER BY b.area_m2 DESC LIMIT 1",
    )
    .bind(park)
    .fetch_one(&db.pool)
    .await
    .expect("a block");
    let (a_row, cell) = (16, 1.3 * radius / 16.0);
    let corner =
        |n: usize| (x - 0.65 * radius + (n % a_row) as f64 * cell, y - 0.65 * radius + (n / a_row) as f64 * cell);
    ((0..count).map(corner).collect(), 0.8 * cell)
}

/// 250 parcels in each of the two parks: 150 of turnover land and 100 of low-efficiency land, 40 of these with a plan.
pub async fn settle(db: &Database, name: &str) {
    for (at, park) in MERGED.iter().enumerate() {
        let (places, side) = places(db, park, 250).await;
        let feature = |(n, (x, y)): (usize, &(f64, f64))| {
            let state = if n < 150 { "已批准" } else { "已认定" };
            (json!({"宗地编号": format!("P{at}-{n}"), "状态": state, "状态日期": "2025-01-01"}), square(*x, *y, side))
        };
        let all: Vec<(Value, Value)> = places.iter().enumerate().map(feature).collect();
        for (layer, part) in [("turnover_parcels", &all[..150]), ("low_efficiency_parcels", &all[150..])] {
            let path = file(&format!("{name}-{at}-{layer}.geojson"), part);
            let imported = db
                .import(&path, |request| {
                    request.layer = layer.to_owned();
                    request.county = DivisionCode::parse(COUNTY).ok();
                    request.today = "2026-11-26".parse().expect("day");
                })
                .await
                .expect("imported");
            assert!(imported.revision.is_some(), "{:?}", imported.report.findings);
        }
    }
    db.write(&format!(
        "INSERT INTO redevelopment_plan (id, county_code, number, parcel_id, state, source)
         SELECT '{COUNTY}-F' || row_number() OVER (ORDER BY id), '{COUNTY}', 'F' || row_number() OVER (ORDER BY id), id, 'drafted', '示意'
         FROM (SELECT id FROM low_efficiency_parcel WHERE number LIKE 'P0-%' ORDER BY id LIMIT 40) p
         UNION ALL
         SELECT '{COUNTY}-G' || row_number() OVER (ORDER BY id), '{COUNTY}', 'G' || row_number() OVER (ORDER BY id), id, 'drafted', '示意'
         FROM (SELECT id FROM low_efficiency_parcel WHERE number LIKE 'P1-%' ORDER BY id LIMIT 40) p"
    ))
    .await;
    db.write(
        "INSERT INTO boundary_change (id, park_code, prefecture_code, division_codes, title, kind, state, state_on, area_before_ha, area_out_ha,
             area_in_ha, area_after_ha, base_revision, actor, notice_from, notice_until, park_status_before)
         VALUES ('BC-2026-0001', 'S437001', '430100', '{430103}', '示意', 'extended', 'public_notice', '2026-02-10', 443.98, 0, 10, 453.98, 1,
                 'test', '2026-02-10', '2026-03-20', 'active');
         INSERT INTO boundary_change_step (change_id, ordinal, division_codes, to_state, happened_on, base_revision, actor)
         VALUES ('BC-2026-0001', 1, '{430103}', 'proposed', '2026-02-01', 1, 'test');
         UPDATE park SET status = 'under_adjustment' WHERE code = 'S437001'",
    )
    .await;
}

/// The merger as its document tells it.
pub fn merger(seen: i64) -> Value {
    json!({
        "kind": "merged_into", "parks": MERGED, "into": SURVIVOR, "on": DAY,
        "document_no": "湘政函〔2026〕12号（示意）", "document_title": "关于同意整合长沙部分园区的批复（示意）",
        "reason": "园区整合", "areas": {"before_ha": "1733.50", "out_ha": "0", "in_ha": "1441.19", "after_ha": "3174.69"},
        "seen_revision": seen,
    })
}

pub async fn happen(db: &Database, body: &Value) -> Answer {
    send(db, "/api/park-events", &[], body).await
}

pub async fn undo(db: &Database, revision: i64) -> Answer {
    send(db, &format!("/api/revisions/{revision}/undo"), &[], &json!({})).await
}

/// A JSON answer to everybody.
pub async fn read(db: &Database, path: &str) -> Value {
    let answer = get(db, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// The codes of a list of parks.
pub fn codes(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("list").iter();
    list.map(|item| item["code"].as_str().expect("code").to_owned()).collect()
}
