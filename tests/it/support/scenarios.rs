//! Scenarios made for tests, and the deeds in them.

use actix_web::http::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::boundary::{block, proposal, square};
use super::consolidation::TABLES;
use super::http::{Answer, authorised, call, get_authorised};
use super::{Database, parcels};

/// The address of scenarios.
pub const SCENARIOS: &str = "/api/scenarios";

/// 宁乡经济技术开发区, of the third change of hunan_park_area_changes.csv.
pub const PARK: &str = "G431177";

/// A scenario of these deeds, made.
pub async fn created(db: &Database, operations: Value) -> Value {
    let body = json!({"name": "整合方案一", "operations": operations});
    let answer = call(db, authorised(Method::POST, SCENARIOS).set_json(body)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("etag"), Some("\"v1\""));
    answer.json()
}

/// What a trial tells.
pub async fn evaluated(db: &Database, id: &Value) -> Value {
    let answer = get_authorised(db, &format!("{SCENARIOS}/{id}/evaluation")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// `rebase` or `apply` of the scenario as it stands.
pub async fn deed(db: &Database, id: &Value, what: &str) -> Answer {
    let standing = get_authorised(db, &format!("{SCENARIOS}/{id}")).await;
    let tag = standing.header("etag").expect("etag").to_owned();
    call(db, authorised(Method::POST, &format!("{SCENARIOS}/{id}/{what}")).insert_header(("if-match", tag))).await
}

/// The proposal of a park's new boundary, its blocks side by side from its old corner.
pub async fn boundary(db: &Database) -> Value {
    let at = |side: &str| {
        format!("SELECT (ST_{side}(ST_Extent(geom)) * 1000)::bigint FROM park_block WHERE park_code = '{PARK}'")
    };
    let (west, south): (i64, i64) = (db.value(&at("XMin")).await, db.value(&at("YMin")).await);
    let stated = ["196.23", "153.15", "1763.72"];
    let blocks = stated.iter().enumerate().map(|(n, stated)| {
        let x = west as f64 / 1e3 + n as f64 * 0.06;
        block(&(n + 1).to_string(), stated, square(x, south as f64 / 1e3, stated.parse().expect("area")))
    });
    proposal(PARK, ["2161.12", "326.82", "278.80", "2113.10"], blocks.collect())
}

/// The steps of a boundary change to its approval.
pub fn steps() -> Vec<Value> {
    vec![
        json!({"to": "joint_review", "on": "2024-10-15", "document_no": "湘园区办函〔2024〕1号"}),
        json!({"to": "public_notice", "on": "2024-10-30", "document_no": "公示〔2024〕1号"}),
        json!({"to": "approved", "on": "2024-11-20", "document_no": "湘政函〔2024〕9号"}),
    ]
}

/// A parcel with its south-west corner here.
pub fn parcel(x: f64, y: f64) -> Value {
    json!({
        "type": "Feature", "properties": {"county_code": parcels::COUNTY, "number": "TY-1", "name": "推演地块"},
        "geometry": parcels::square(x, y, 0.001),
    })
}

/// Every row of these tables but for the numbers of revisions, which are others where deeds are others.
pub async fn rows(db: &Database) -> Vec<(&'static str, Vec<String>)> {
    let mut all = Vec::new();
    for table in TABLES {
        let sql = format!(
            "SELECT (to_jsonb(t) - 'revision' - 'base_revision' - 'register_revision' - 'source' - 'geom')::text
                    || ' ' || coalesce(md5(to_jsonb(t) ->> 'geom'), '')
             FROM {table} t ORDER BY 1"
        );
        all.push((table, sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&db.pool).await.expect(table)));
    }
    all
}

/// A scenario of these deeds, applied; its revision.
pub async fn applied(db: &Database, operations: Value) -> i64 {
    let scenario = created(db, operations).await;
    let done = deed(db, &scenario["id"], "apply").await;
    assert_eq!(done.status, 200, "{}", done.text());
    done.json()["applied_revision"].as_i64().expect("revision")
}
