//! Reports over a small ledger, whose numbers were reckoned by hand.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sizhi::domain::Ledger;
use sizhi::inventory::ledgers::{self, Deed, MoveRequest};

use crate::support::Database;
use crate::support::parcels::operator;
use crate::support::reports::{pick, report, rows, table};

/// Sixteen parcels whose numbers are easy to add up; a place apart for each.
const BY_HAND: &str = "
    INSERT INTO turnover_parcel (id, county_code, number, geom, area_m2, park_code, state, held_state, approval_year, approved_on,
                                 planned_supply_on, source, valid_from)
    SELECT '430121-' || n, '430121', n, ST_Multi(ST_MakeEnvelope(113 + x * 0.01, 28, 113.001 + x * 0.01, 28.001, 4490)), a, p, s, h, y, o, w,
           '手工', '2024-06-01'
    FROM (VALUES
        (1, 'A', 10005::float8, 'G431033', 'approved', NULL, 2023, NULL::date, '2026-03-01'::date),
        (2, 'B', 20000, 'G431033', 'serviced', NULL, 2023, NULL, '2026-12-31'),
        (3, 'C', 40000.5, 'G431033', 'supplied', NULL, 2023, NULL, '2026-01-01'),
        (4, 'D', 5000, NULL, 'withdrawn', NULL, 2023, NULL, '2026-05-01'),
        (5, 'E', 666.625, NULL, 'completed', NULL, NULL, '2024-05-01', '2026-06-30'),
        (6, 'F', 1000.25, NULL, 'frozen', 'acquired', 2024, NULL, '2027-01-01'),
        (7, 'G', 7777, NULL, 'frozen', NULL, 2024, NULL, NULL),
        (8, 'H', 3000, NULL, 'idle', 'supplied', NULL, NULL, '2025-12-31'),
        (9, 'I', 9000, NULL, 'planned', NULL, NULL, NULL, NULL)) v(x, n, a, p, s, h, y, o, w);
    INSERT INTO low_efficiency_parcel (id, county_code, number, geom, area_m2, park_code, state, held_state, source, valid_from)
    SELECT '430121-L' || x, '430121', 'L' || x, ST_Multi(ST_MakeEnvelope(113 + x * 0.01, 27.9, 113.001 + x * 0.01, 27.901, 4490)), a,
           'G431033', s, h, '手工', '2024-06-01'
    FROM (VALUES (1, 1000::float8, 'suspected', NULL), (2, 2000, 'planned', NULL), (3, 3000, 'implementing', NULL), (4, 4000, 'closed', NULL),
                 (5, 5000, 'objected', 'publicised'), (6, 600, 'revoked', NULL)) v(x, a, s, h);
    INSERT INTO redevelopment_plan (id, county_code, number, parcel_id, state, deadline_on, source, valid_from)
    SELECT '430121-F' || x, '430121', 'F' || x, '430121-L' || x, s, d, '手工', '2024-06-01'
    FROM (VALUES (2, 'drafted', '2026-06-30'::date), (3, 'approved', '2026-07-01'), (4, 'accepted', '2025-01-01'), (6, 'cancelled', '2025-01-01')) v(x, s, d);";

async fn by_hand() -> Database {
    let db = Database::with_sample().await;
    db.write(BY_HAND).await;
    db
}

#[actix_web::test]
async fn the_disposal_rate_is_supplied_by_approved_area_with_withdrawn_land_apart() {
    let db = by_hand().await;
    let made = report(&db, "approved-not-supplied").await;
    let years = table(&made, "years");
    let parcels = |row: &Value| {
        let names =
            ["approval_year", "approved_parcels", "supplied_parcels", "not_supplied_parcels", "not_acquired_parcels"];
        let more = ["acquired_not_supplied_parcels", "withdrawn_parcels", "disposal_rate"];
        pick(row, &[&names[..], &more].concat())
    };
    let found: Vec<Vec<Value>> = rows(years).iter().map(parcels).collect();
    let expected = [
        json!([2023, 3, 1, 2, 1, 1, 1, 57.14]),
        json!([2024, 2, 1, 1, 0, 1, 0, 39.99]),
        json!([null, 1, 1, 0, 0, 0, 0, 100.0]),
    ];
    assert_eq!(json!(found), json!(expected));
    assert_eq!(json!(parcels(&years["totals"])), json!([null, 6, 3, 3, 1, 2, 1, 58.48]));
    let area = ["approved_area_m2", "approved_area_ha", "approved_area_mu", "supplied_area_m2", "not_supplied_area_m2"];
    let areas: Vec<Vec<Value>> = rows(years).iter().chain([&years["totals"]]).map(|row| pick(row, &area)).collect();
    let expected = [
        // 70 005.5 m² are 7.00055 公顷 and 105.00825 亩.
        json!([70005.5, 7.0006, 105.01, 40000.5, 30005.0]),
        json!([1666.875, 0.1667, 2.5, 666.625, 1000.25]),
        json!([3000.0, 0.3, 4.5, 3000.0, 0.0]),
        json!([74672.375, 7.4672, 112.01, 43667.125, 31005.25]),
    ];
    assert_eq!(json!(areas), json!(expected));
    assert_eq!(rows(years)[0]["withdrawn_area_m2"], 5000.0);
}

#[actix_web::test]
async fn stock_by_state_and_stock_with_idle_land_told_apart() {
    let db = by_hand().await;
    let made = report(&db, "turnover-stock?by=stock").await;
    let names = ["stock", "stock_label", "parcels", "area_m2", "idle_parcels", "idle_area_mu"];
    let found: Vec<Vec<Value>> = rows(table(&made, "groups")).iter().map(|row| pick(row, &names)).collect();
    let expected = [
        json!(["approved_not_supplied", "批而未供", 3, 31005.25, 0, 0.0]),
        // 闲置 counts in what it was.
        json!(["supplied_not_used", "供而未用", 2, 43000.5, 1, 4.5]),
        json!(["used", "已供已用", 1, 666.625, 0, 0.0]),
        json!([null, null, 3, 21777.0, 0, 0.0]),
    ];
    assert_eq!(json!(found), json!(expected));
    let made = report(&db, "turnover-stock").await;
    assert_eq!(made["filters"], json!({"by": "county,state"}));
    let states: Vec<&str> =
        rows(table(&made, "groups")).iter().map(|row| row["state"].as_str().expect("state")).collect();
    // In the order of the way, not of the alphabet.
    assert_eq!(states, ["planned", "approved", "serviced", "supplied", "completed", "withdrawn", "frozen", "idle"]);
    let first = pick(&rows(table(&made, "groups"))[0], &["county_code", "county_name", "state_label", "parcels"]);
    assert_eq!(json!(first), json!(["430121", "长沙县", "拟报批", 1]));
}

#[actix_web::test]
async fn a_supply_plan_tells_what_is_done_and_what_is_late() {
    let db = by_hand().await;
    let names = [
        "park_code",
        "planned_parcels",
        "planned_area_m2",
        "supplied_parcels",
        "open_parcels",
        "overdue_parcels",
        "completion_rate",
    ];
    let made = report(&db, "supply-plan?year=2026&on=2026-07-01").await;
    let plan = table(&made, "parks");
    let found: Vec<Vec<Value>> = rows(plan).iter().chain([&plan["totals"]]).map(|row| pick(row, &names)).collect();
    let expected = [
        // 40 000.5 of 70 005.5; A is late, B has until the last day of the year.
        json!(["G431033", 3, 70005.5, 1, 2, 1, 57.14]),
        json!([null, 1, 666.625, 1, 0, 0, 100.0]),
        json!([null, 4, 70672.125, 2, 2, 1, 57.54]),
    ];
    assert_eq!(json!(found), json!(expected));
    let listed: Vec<Vec<Value>> = rows(table(&made, "parcels"))
        .iter()
        .map(|row| pick(row, &["number", "planned_supply_on", "supplied", "overdue"]))
        .collect();
    let expected = [
        json!(["C", "2026-01-01", true, false]),
        json!(["A", "2026-03-01", false, true]),
        json!(["E", "2026-06-30", true, false]),
        json!(["B", "2026-12-31", false, false]),
    ];
    assert_eq!(json!(listed), json!(expected));
    // The day itself is not late yet.
    let day = report(&db, "supply-plan?year=2026&on=2026-03-01").await;
    assert_eq!(table(&day, "parks")["totals"]["overdue_parcels"], 0);
    let other = report(&db, "supply-plan?year=2027").await;
    assert_eq!(json!(pick(&table(&other, "parks")["totals"], &names[1..4])), json!([1, 1000.25, 0]));
}

#[actix_web::test]
async fn low_efficiency_land_is_reckoned_from_recognition_on() {
    let db = by_hand().await;
    let names = [
        "parcels",
        "recognised_parcels",
        "with_plan_parcels",
        "plan_overdue_parcels",
        "closed_parcels",
        "closed_rate",
        "closed_area_rate",
    ];
    // L3's plan is due on the day itself; a cancelled plan is none.
    let made = report(&db, "low-efficiency-progress?by=park&on=2026-07-01").await;
    let groups = table(&made, "groups");
    assert_eq!(json!(pick(&rows(groups)[0], &names)), json!([6, 3, 3, 1, 1, 33.33, 44.44]));
    assert_eq!(groups["totals"]["area_m2"], 15600.0);
    let later = report(&db, "low-efficiency-progress?on=2026-07-02").await;
    let overdue: BTreeMap<&str, &Value> = rows(table(&later, "groups"))
        .iter()
        .map(|row| (row["state"].as_str().expect("state"), &row["plan_overdue_area_m2"]))
        .filter(|(_, area)| **area != 0.0)
        .collect();
    assert_eq!(overdue, BTreeMap::from([("planned", &json!(2000.0)), ("implementing", &json!(3000.0))]));
}

async fn moved(db: &Database, id: &str, to: &str, on: &str) {
    let sql = "SELECT revision FROM turnover_parcel WHERE id = $1 AND valid_to = 'infinity'";
    let version: i64 = sqlx::query_scalar(sql).bind(id).fetch_one(&db.pool).await.expect("a version");
    let viewer = operator();
    let today = "2026-12-31".parse().expect("day");
    let deed =
        Deed { viewer: &viewer, version: Some(version), key: None, source: "test".to_owned(), today, joined: None };
    let on = on.parse().expect("day");
    if to.is_empty() {
        ledgers::end_life(&db.pool, &deed, Ledger::Turnover, id, Some(on), None).await.expect("ended");
        return;
    }
    let wanted = MoveRequest {
        to: to.to_owned(),
        effective_on: Some(on),
        document_no: Some(format!("文〔2026〕{to}")),
        reason: None,
    };
    ledgers::transition(&db.pool, &deed, Ledger::Turnover, id, &wanted).await.unwrap_or_else(|e| panic!("{id}: {e}"));
}

#[actix_web::test]
async fn a_quarter_has_what_took_effect_between_its_first_and_last_day() {
    let db = Database::with_sample().await;
    db.write(
        "INSERT INTO turnover_parcel (id, county_code, number, geom, area_m2, state, source, valid_from)
         SELECT '430121-' || n, '430121', n, ST_Multi(ST_MakeEnvelope(113 + x * 0.01, 28, 113.001 + x * 0.01, 28.001, 4490)), a, s, '手工', f
         FROM (VALUES (1, 'P1', 1000.5::float8, 'approved', '2026-02-01'::date), (2, 'P2', 2000, 'planned', '2026-08-15'),
                      (3, 'P3', 3000, 'approved', '2025-01-01'), (4, 'P4', 4000, 'approved', '-infinity'),
                      (5, 'P5', 5000, 'approved', '2026-07-01')) v(x, n, a, s, f)",
    )
    .await;
    for (id, to, on) in [
        ("430121-P1", "acquired", "2026-07-01"),
        ("430121-P1", "serviced", "2026-09-30"),
        ("430121-P1", "listed", "2026-10-01"),
        ("430121-P2", "approved", "2026-08-15"),
        ("430121-P3", "", "2026-09-30"),
        ("430121-P5", "acquired", "2026-09-01"),
    ] {
        moved(&db, id, to, on).await;
    }
    let made = report(&db, "quarterly-changes?quarter=2026Q3").await;
    let names = ["kind", "from_state", "to_state", "changes", "parcels", "area_m2"];
    let summary = table(&made, "summary");
    let found: Vec<Vec<Value>> =
        rows(summary).iter().chain([&summary["totals"]]).map(|row| pick(row, &names)).collect();
    let expected = [
        json!(["entered", null, "planned", 1, 1, 2000.0]),
        json!(["entered", null, "approved", 1, 1, 5000.0]),
        json!(["moved", "planned", "approved", 1, 1, 2000.0]),
        json!(["moved", "approved", "acquired", 2, 2, 6000.5]),
        json!(["moved", "acquired", "serviced", 1, 1, 1000.5]),
        json!(["ended", "approved", null, 1, 1, 3000.0]),
        // Seven changes of four parcels.
        json!([null, null, null, 7, 4, 19001.0]),
    ];
    assert_eq!(json!(found), json!(expected));
    let listed: Vec<Vec<Value>> = rows(table(&made, "changes"))
        .iter()
        .map(|row| pick(row, &["effective_on", "number", "kind_label", "from_label", "to_label", "document_no"]))
        .collect();
    let expected = [
        json!(["2026-07-01", "P1", "变更状态", "已批准", "已征收", "文〔2026〕acquired"]),
        json!(["2026-07-01", "P5", "进入台账", null, "已批准", null]),
        json!(["2026-08-15", "P2", "进入台账", null, "拟报批", null]),
        json!(["2026-08-15", "P2", "变更状态", "拟报批", "已批准", "文〔2026〕approved"]),
        json!(["2026-09-01", "P5", "变更状态", "已批准", "已征收", "文〔2026〕acquired"]),
        json!(["2026-09-30", "P1", "变更状态", "已征收", "净地", "文〔2026〕serviced"]),
        json!(["2026-09-30", "P3", "终止", "已批准", null, null]),
    ];
    assert_eq!(json!(listed), json!(expected));
    // Where the paper has no day, the day of the register counts: this quarter, also after the row was changed.
    let of_p4 = |made: &Value| -> Vec<Value> {
        let listed = rows(table(made, "changes")).iter().filter(|row| row["number"] == "P4");
        listed.map(|row| json!([row["kind"], row["by_register"]])).collect()
    };
    let now = report(&db, "quarterly-changes").await;
    assert_eq!(of_p4(&now), [json!(["entered", true])]);
    db.write("UPDATE turnover_parcel SET note = '改' WHERE number = 'P4'").await;
    assert_eq!(of_p4(&report(&db, "quarterly-changes").await), [json!(["entered", true])]);
    let before = report(&db, "quarterly-changes?quarter=2026Q3&ledger=low_efficiency").await;
    assert_eq!(table(&before, "summary")["totals"]["changes"], 0);
}

#[actix_web::test]
async fn a_revision_keeps_its_reports_whatever_is_written_later() {
    let db = by_hand().await;
    let paths = [
        "turnover-stock?by=park,state",
        "approved-not-supplied?on=2026-07-01",
        "idle?on=2026-07-01",
        "supply-plan?year=2026&on=2026-07-01",
        "low-efficiency-progress?by=county&on=2026-07-01",
        "quarterly-changes?quarter=2024Q2",
    ];
    let revision: i64 = db.value("SELECT max(number) FROM revision").await;
    let mut before = Vec::new();
    for path in paths {
        before.push(report(&db, path).await);
    }
    moved(&db, "430121-A", "acquired", "2026-07-01").await;
    moved(&db, "430121-C", "", "2026-06-30").await;
    db.write(
        "UPDATE turnover_parcel SET area_m2 = 1, approval_year = 2001, planned_supply_on = NULL, state = 'started';
         UPDATE redevelopment_plan SET deadline_on = '2030-01-01';
         UPDATE low_efficiency_parcel SET state = 'closed'",
    )
    .await;
    for (path, before) in paths.iter().zip(&before) {
        let past = report(&db, &format!("{path}&revision={revision}")).await;
        assert_eq!((&past["tables"], &past["revision"]), (&before["tables"], &json!(revision)), "{path}");
        assert_ne!(report(&db, path).await["tables"], before["tables"], "{path}");
    }
    let nothing = report(&db, "turnover-stock?revision=0").await;
    assert_eq!(table(&nothing, "groups")["totals"]["parcels"], 0);
}

#[actix_web::test]
async fn a_day_is_counted_by_the_lives_that_stood_on_it() {
    let db = by_hand().await;
    moved(&db, "430121-A", "acquired", "2026-07-01").await;
    moved(&db, "430121-C", "", "2026-06-30").await;
    let by_state = async |on: &str| -> BTreeMap<String, i64> {
        let made = report(&db, &format!("turnover-stock?by=state{on}")).await;
        let groups = rows(table(&made, "groups")).clone();
        groups
            .iter()
            .map(|r| (r["state"].as_str().expect("state").to_owned(), r["parcels"].as_i64().expect("n")))
            .collect()
    };
    let tell = |found: &BTreeMap<String, i64>| {
        ["approved", "acquired", "supplied"].map(|state| found.get(state).copied().unwrap_or(0))
    };
    for (on, expected) in [
        ("&on=2024-05-31", [0, 0, 0]),
        ("&on=2024-06-01", [1, 0, 1]),
        ("&on=2026-06-29", [1, 0, 1]),
        ("&on=2026-06-30", [1, 0, 0]),
        ("&on=2026-07-01", [0, 1, 0]),
        ("", [0, 1, 0]),
    ] {
        assert_eq!(tell(&by_state(on).await), expected, "{on}");
    }
}
