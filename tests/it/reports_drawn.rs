//! Reports over drawn ledgers: their numbers are those of the rows that the base tables have, put together here once more.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sizhi::domain::access::Role;
use sizhi::inventory::progress::Silent;
use sizhi::inventory::sample;

use crate::support::Database;
use crate::support::accounts::{add, from_page, login};
use crate::support::http::{call, get_authorised};
use crate::support::reports::{pick, report, rows, table};

/// The rows of a ledger as the base table has them, those that stand on a day.
async fn base_rows(db: &Database, ledger: &'static str, on: Option<&str>) -> Vec<Value> {
    let sql = format!(
        "SELECT to_jsonb(t) - 'geom' FROM {ledger} t WHERE CASE WHEN $1::date IS NULL THEN valid_to = 'infinity' ELSE daterange(valid_from, valid_to) @> $1::date END"
    );
    let day: Option<chrono::NaiveDate> = on.map(|day| day.parse().expect("day"));
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(day).fetch_all(&db.pool).await.expect("rows")
}

/// The stock by the decision's table, written out again.
fn stock_of(row: &Value) -> Value {
    let main = if row["held_state"].is_null() { &row["state"] } else { &row["held_state"] };
    match main.as_str().expect("state") {
        "approved" | "acquired" | "serviced" | "listed" => json!("approved_not_supplied"),
        "supplied" | "delivered" => json!("supplied_not_used"),
        "started" | "completed" => json!("used"),
        "idle" => json!("idle"),
        _ => Value::Null,
    }
}

fn key_of(row: &Value, dimension: &str) -> Vec<Value> {
    match dimension {
        "county" => vec![row["county_code"].clone()],
        "prefecture" => vec![json!(format!("{}00", &row["county_code"].as_str().expect("code")[..4]))],
        "park" => vec![row["park_code"].clone()],
        "state" => vec![row["state"].clone()],
        "stock" => vec![stock_of(row)],
        "approval_year" => vec![match (&row["approval_year"], row["approved_on"].as_str()) {
            (Value::Null, Some(day)) => json!(day[..4].parse::<i64>().expect("year")),
            (year, _) => year.clone(),
        }],
        _ => vec![row["land_use_system"].clone(), row["land_use_code"].clone()],
    }
}

fn names_of(dimension: &str) -> Vec<&'static str> {
    match dimension {
        "county" => vec!["county_code"],
        "prefecture" => vec!["prefecture_code"],
        "park" => vec!["park_code"],
        "state" => vec!["state"],
        "stock" => vec!["stock"],
        "approval_year" => vec!["approval_year"],
        _ => vec!["land_use_system", "land_use_code"],
    }
}

/// Sums of doubles in another order differ in their last digits.
#[track_caller]
fn assert_close(found: &Value, expected: f64, what: &str) {
    let found = found.as_f64().expect("a number");
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{what}: {found} and {expected}");
}

async fn drawn() -> Database {
    let db = Database::with_sample().await;
    sample::seed_parcels(&db.pool, "test", 600, &Silent).await.expect("drawn");
    // The sample plans no supply.
    db.write("UPDATE turnover_parcel SET planned_supply_on = '2025-07-01'::date + mod(hashtext(id), 365) WHERE state <> 'planned'").await;
    db
}

#[actix_web::test]
async fn every_grouping_of_drawn_parcels_adds_up_to_the_rows_of_the_ledger() {
    let db = drawn().await;
    let (mut groups_seen, days) = (0, [None, Some("2025-06-30")]);
    for (path, ledger, dimensions) in [
        (
            "turnover-stock",
            "turnover_parcel",
            &["county", "prefecture,stock", "park", "state", "stock,land_use", "approval_year,county,state"][..],
        ),
        ("low-efficiency-progress", "low_efficiency_parcel", &["county", "prefecture,state", "park,state"]),
    ] {
        for on in days {
            let base = base_rows(&db, ledger, on).await;
            assert!(base.len() > 20, "{ledger} {on:?}: {}", base.len());
            for by in dimensions {
                let day = on.map(|day| format!("&on={day}")).unwrap_or_default();
                let made = report(&db, &format!("{path}?by={by}{day}")).await;
                let groups = table(&made, "groups");
                let mut expected: BTreeMap<String, (i64, f64, f64)> = BTreeMap::new();
                for row in &base {
                    let key: Vec<Value> = by.split(',').flat_map(|dimension| key_of(row, dimension)).collect();
                    let group = expected.entry(json!(key).to_string()).or_default();
                    let area = row["area_m2"].as_f64().expect("area");
                    group.0 += 1;
                    group.1 += area;
                    group.2 += if row["state"] == "idle" || row["state"] == "closed" { area } else { 0.0 };
                }
                let names: Vec<&str> = by.split(',').flat_map(names_of).collect();
                let beside = if ledger == "turnover_parcel" { "idle_area_m2" } else { "closed_area_m2" };
                let mut keys = BTreeSet::new();
                for row in rows(groups) {
                    let key = json!(pick(row, &names)).to_string();
                    let (parcels, area, aside) = expected.get(&key).unwrap_or_else(|| panic!("{by}: no {key}"));
                    assert_eq!(row["parcels"], *parcels, "{by} {key}");
                    assert_close(&row["area_m2"], *area, &key);
                    assert_close(&row[beside], *aside, &key);
                    let m2 = row["area_m2"].as_f64().expect("area");
                    assert!((row["area_ha"].as_f64().expect("ha") - m2 / 1e4).abs() < 5.000_001e-5);
                    assert!((row["area_mu"].as_f64().expect("mu") - m2 * 0.0015).abs() < 5.000_001e-3);
                    keys.insert(key);
                }
                assert_eq!(
                    (keys.len(), groups["numberMatched"].as_u64()),
                    (expected.len(), Some(expected.len() as u64))
                );
                groups_seen += keys.len();
                assert_eq!(groups["totals"]["parcels"], base.len(), "{by}");
                assert_close(&groups["totals"]["area_m2"], expected.values().map(|group| group.1).sum(), by);
            }
        }
    }
    assert!(groups_seen > 500, "{groups_seen}");
}

/// Whether land is supplied, by the stocks of its state.
fn is_supplied(row: &Value) -> bool {
    let stock = stock_of(row);
    stock == "supplied_not_used" || stock == "used" || row["state"] == "idle" || row["state"] == "low_efficiency"
}

/// Count and area of these rows.
fn sum<'a>(rows: impl Iterator<Item = &'a Value>) -> (i64, f64) {
    rows.fold((0, 0.0), |(count, area), row| (count + 1, area + row["area_m2"].as_f64().expect("area")))
}

#[track_caller]
fn assert_counted(row: &Value, name: &str, (parcels, area): (i64, f64), what: &str) {
    assert_eq!(row[format!("{name}_parcels")], parcels, "{what}: {name}");
    assert_close(&row[format!("{name}_area_m2")], area, what);
}

#[actix_web::test]
async fn approvals_plans_and_entries_of_drawn_parcels_are_those_of_the_ledger() {
    let db = drawn().await;
    let base = base_rows(&db, "turnover_parcel", None).await;
    let made = report(&db, "approved-not-supplied").await;
    let years = table(&made, "years");
    let has_year = |row: &&Value, year: &Value| json!(key_of(row, "approval_year")) == json!([year]);
    let is_open = |row: &&Value| stock_of(row) == "approved_not_supplied";
    let main = |row: &Value| if row["held_state"].is_null() { row["state"].clone() } else { row["held_state"].clone() };
    assert!(rows(years).len() >= 4, "{years}");
    for row in rows(years) {
        let year = &row["approval_year"];
        let of_year = || base.iter().filter(|r| has_year(r, year));
        let (supplied, open) = (sum(of_year().filter(|r| is_supplied(r))), sum(of_year().filter(is_open)));
        assert_counted(row, "supplied", supplied, "year");
        assert_counted(row, "not_supplied", open, "year");
        assert_counted(row, "not_acquired", sum(of_year().filter(|r| main(r) == "approved")), "year");
        assert_counted(row, "approved", (supplied.0 + open.0, supplied.1 + open.1), "year");
        assert_counted(
            row,
            "withdrawn",
            sum(of_year().filter(|r| r["state"] == "withdrawn" && !year.is_null())),
            "year",
        );
        let share = 100.0 * supplied.1 / (supplied.1 + open.1);
        let told = row["disposal_rate"].as_f64();
        assert!(told.map_or(supplied.0 + open.0 == 0, |told| (told - share).abs() <= 0.005_001), "{row}: {share}");
    }
    let all = (sum(base.iter().filter(|r| is_supplied(r))), sum(base.iter().filter(is_open)));
    assert_counted(&years["totals"], "supplied", all.0, "total");
    assert_counted(&years["totals"], "not_supplied", all.1, "total");

    // On a day that does not come nearer: what is late is told of that day.
    let made = report(&db, "supply-plan?year=2026&on=2026-03-31").await;
    assert_eq!(made["day"], "2026-03-31");
    let base = base_rows(&db, "turnover_parcel", Some("2026-03-31")).await;
    let planned = || {
        let in_year = |r: &&Value| r["planned_supply_on"].as_str().is_some_and(|day| day.starts_with("2026-"));
        base.iter().filter(in_year).filter(|r| r["state"] != "withdrawn")
    };
    let day = made["day"].as_str().expect("day").to_owned();
    let is_late = |r: &&Value| !is_supplied(r) && r["planned_supply_on"].as_str().is_some_and(|on| on < day.as_str());
    for row in rows(table(&made, "parks")).iter().chain([&table(&made, "parks")["totals"]]) {
        let is_total = row["planned_parcels"] == planned().count();
        let here = || planned().filter(|r| is_total || r["park_code"] == row["park_code"]);
        assert_counted(row, "planned", sum(here()), "plan");
        assert_counted(row, "supplied", sum(here().filter(|r| is_supplied(r))), "plan");
        assert_counted(row, "overdue", sum(here().filter(is_late)), "plan");
    }
    let listed: BTreeSet<&str> = rows(table(&made, "parcels")).iter().map(|r| r["id"].as_str().expect("id")).collect();
    assert_eq!(listed, planned().map(|r| r["id"].as_str().expect("id")).collect());
    assert!(listed.len() > 50, "{}", listed.len());

    // Nothing drawn has moved: what the quarter has is what began in it.
    let made = report(&db, "quarterly-changes?quarter=2022Q3").await;
    let began = |r: &&Value| r["valid_from"].as_str().is_some_and(|on| ("2022-07-01".."2022-10-01").contains(&on));
    let listed: BTreeSet<&str> = rows(table(&made, "changes")).iter().map(|r| r["id"].as_str().expect("id")).collect();
    assert_eq!(listed, base.iter().filter(began).map(|r| r["id"].as_str().expect("id")).collect());
    let (count, area) = sum(base.iter().filter(began));
    assert!(count > 5, "{count}");
    assert_eq!(table(&made, "summary")["totals"]["changes"], count);
    assert_close(&table(&made, "summary")["totals"]["area_m2"], area, "entered");
}

#[actix_web::test]
async fn idle_land_is_what_the_layer_says_of_it_on_that_day() {
    let db = drawn().await;
    for (query, items) in [("", ""), ("?on=2026-03-31", "&datetime=2026-03-31")] {
        let page = get_authorised(&db, &format!("/api/collections/turnover_parcels/items?limit=10000{items}")).await;
        let features = page.json()["features"].as_array().expect("features").clone();
        let is_idle = |p: &Value| {
            let sets = p["derived_sets"].as_array().cloned().unwrap_or_default();
            p["state"] == "idle" || sets.contains(&json!("supplied_not_used")) || !p["idle_stage"].is_null()
        };
        let expected: BTreeMap<&str, &Value> = features
            .iter()
            .map(|f| (f["id"].as_str().expect("id"), &f["properties"]))
            .filter(|(_, properties)| is_idle(properties))
            .collect();
        assert!(expected.len() > 50 && expected.values().any(|p| !p["idle_stage"].is_null()), "{}", expected.len());
        let made = report(&db, &format!("idle{query}")).await;
        let list = table(&made, "parcels");
        assert_eq!(rows(list).len(), expected.len());
        let mut area = 0.0;
        for row in rows(list) {
            let properties = expected[row["id"].as_str().expect("id")];
            let same = [
                "number",
                "county_name",
                "park_code",
                "park_name",
                "state",
                "state_label",
                "land_user",
                "signed_on",
                "agreed_start_on",
                "agreed_finish_on",
                "stopped_on",
                "start_overdue_days",
                "finish_overdue_days",
                "idle_stage",
                "idle_cause",
                "proposed_disposal",
            ];
            assert_eq!(pick(row, &same), pick(properties, &same), "{}", row["id"]);
            assert_eq!(row["area_ha"], properties["computed_area_ha"]);
            assert_eq!(row["area_mu"], properties["computed_area_mu"]);
            area += row["area_m2"].as_f64().expect("area");
        }
        assert_close(&list["totals"]["area_m2"], area, "the total");
        let recognised = rows(list).iter().take_while(|row| row["state"] == "idle").count();
        assert_eq!(recognised, rows(list).iter().filter(|row| row["state"] == "idle").count(), "idle land comes first");
    }
}

#[actix_web::test]
async fn nobody_is_told_of_land_outside_their_jurisdiction() {
    let db = drawn().await;
    add(&db, "changsha", Role::Staff, &["430100"]).await;
    let cookie = login(&db, "changsha").await;
    // Of 长沙市, whose counties' codes begin with 4301: counted by SQL, on a day that does not come nearer where days matter.
    const THERE: &str = "valid_to = 'infinity' AND county_code LIKE '4301%'";
    for (path, id, count, judge) in [
        (
            "turnover-stock?by=county",
            "groups",
            "parcels",
            format!("SELECT count(*)::float8 FROM turnover_parcel WHERE {THERE}"),
        ),
        (
            "approved-not-supplied?",
            "years",
            "approved_parcels",
            format!("SELECT count(*)::float8 FROM turnover_parcel WHERE {THERE} AND coalesce(held_state, state) NOT IN ('planned', 'withdrawn')"),
        ),
        (
            "idle?on=2026-03-31",
            "parcels",
            "area_m2",
            // Supplied and not used, found idle, or idle by the rule for a year: not begun, or stopped with little done.
            "SELECT sum(area_m2) FROM (
                 SELECT *, coalesce(held_state, state) AS main, coalesce(started_on <= '2026-03-31', coalesce(held_state, state) IN ('started', 'completed')) AS started,
                        coalesce(finished_on <= '2026-03-31', coalesce(held_state, state) = 'completed') AS finished
                 FROM turnover_parcel WHERE county_code LIKE '4301%' AND daterange(valid_from, valid_to) @> '2026-03-31'::date) t
             WHERE state = 'idle' OR main IN ('supplied', 'delivered')
                OR main IN ('started', 'completed') AND NOT finished AND CASE WHEN started
                   THEN stopped_on <= '2025-03-31' AND (started_area_m2 / coalesce(nullif(supplied_area_m2, 0), area_m2) < 1.0 / 3 OR invested_percent < 25)
                   ELSE agreed_start_on <= '2025-03-31' END"
                .to_owned(),
        ),
        (
            "supply-plan?year=2026&on=2026-03-31",
            "parks",
            "planned_parcels",
            "SELECT count(*)::float8 FROM turnover_parcel WHERE county_code LIKE '4301%' AND daterange(valid_from, valid_to) @> '2026-03-31'::date
             AND state <> 'withdrawn' AND planned_supply_on BETWEEN '2026-01-01' AND '2026-12-31'"
                .to_owned(),
        ),
        (
            "low-efficiency-progress?by=county",
            "groups",
            "parcels",
            format!("SELECT count(*)::float8 FROM low_efficiency_parcel WHERE {THERE}"),
        ),
        (
            "quarterly-changes?quarter=2022Q3",
            "summary",
            "changes",
            "SELECT count(*)::float8 FROM turnover_parcel WHERE county_code LIKE '4301%' AND valid_from BETWEEN '2022-07-01' AND '2022-09-30'".to_owned(),
        ),
    ] {
        let address = format!("/api/reports/{path}");
        let own = call(&db, from_page(actix_web::http::Method::GET, &address, &cookie)).await.json();
        let of_prefecture = report(&db, &format!("{path}&county=430100")).await;
        assert_eq!(own["tables"], of_prefecture["tables"], "{path}");
        let wanted: f64 = sqlx::query_scalar(sqlx::AssertSqlSafe(judge.clone()))
            .fetch_one(&db.pool)
            .await
            .unwrap_or_else(|e| panic!("{judge}: {e}"));
        assert_close(&table(&own, id)["totals"][count], wanted, path);
        let all = report(&db, path).await;
        let number = |made: &Value| table(made, id)["totals"][count].as_f64().expect("a number");
        assert!(number(&own) > 0.0 && number(&own) < number(&all), "{path}: {} of {}", number(&own), number(&all));
        // Another's county is empty, not forbidden: it tells nothing.
        let address = format!("{address}&county=430200");
        let other = call(&db, from_page(actix_web::http::Method::GET, &address, &cookie)).await.json();
        assert_eq!(number(&other), 0.0, "{path}");
    }
}
