//! 低效用地认定比对 against SQL written apart: every parcel in one class, groups that add up, lists that stop where they are told.

use serde_json::{Value, json};
use sizhi::domain::access::Role;
use sizhi::inventory::progress::Silent;
use sizhi::inventory::sample;

use crate::support::Database;
use crate::support::accounts::{add, from_page, login};
use crate::support::criteria::{judged, with_example};
use crate::support::http::{call, get_authorised};
use crate::support::reports::{pick, report, rows, table};

/// The class of each parcel by SQL alone: the example's sets in its logic of three values, then paper and criteria side by side.
const CLASSES: &str = "
    CREATE VIEW class AS
    SELECT p.*, CASE
        WHEN NOT applies THEN 'no_criteria'
        WHEN low IS NULL THEN 'undecided'
        WHEN low AND NOT coalesce(is_low_efficiency, false) THEN 'criteria_only'
        WHEN NOT low AND is_low_efficiency THEN 'ledger_only'
        WHEN low AND low_efficiency_kind <> ALL (kinds) THEN 'kind_differs'
        ELSE 'agrees' END AS class
    FROM (
        SELECT r.*, true AS applies, county.low,
               array_remove(ARRAY[CASE WHEN county.poor THEN '产出低下类' END, CASE WHEN county.thin OR production_stopped THEN '部分闲置类' END], NULL) AS kinds
        FROM low_efficiency_parcel r, LATERAL (
            SELECT tax_per_ha::text::numeric < 112.5 AND floor_area_ratio::text::numeric < 0.8 AS poor,
                   building_density::text::numeric <= 30 AS thin) t, LATERAL (SELECT poor, thin, poor OR thin OR production_stopped AS low) county
        WHERE county_code = '430121' AND criteria_year = 2025
        UNION ALL
        SELECT r.*, true, fixed_investment_per_ha < 1500, ARRAY['产出低下类'] FROM low_efficiency_parcel r WHERE county_code = '430121' AND criteria_year = 2024
        UNION ALL
        SELECT r.*, true, industry IN ('造纸', '印染') OR production_stopped,
               array_remove(ARRAY[CASE WHEN industry IN ('造纸', '印染') THEN '产业淘汰类' END, CASE WHEN production_stopped THEN '部分闲置类' END], NULL)
        FROM low_efficiency_parcel r WHERE county_code LIKE '4301%' AND county_code <> '430121' AND criteria_year = 2025
        UNION ALL
        SELECT r.*, true, production_stopped, ARRAY['部分闲置类'] FROM low_efficiency_parcel r WHERE county_code NOT LIKE '4301%' AND criteria_year = 2025
        UNION ALL
        SELECT r.*, false, NULL, NULL FROM low_efficiency_parcel r
        WHERE criteria_year IS NULL OR criteria_year NOT IN (2024, 2025) OR criteria_year = 2024 AND county_code <> '430121') p
    WHERE valid_to = 'infinity'";

const NAMES: [&str; 6] = ["criteria_only", "ledger_only", "kind_differs", "undecided", "agrees", "no_criteria"];

/// Each group by SQL: county, park, then 宗数, m², 公顷 and 亩 of all and of each class.
async fn groups_by_sql(db: &Database) -> Vec<Value> {
    let mut measures = String::new();
    for condition in ["true"].into_iter().map(str::to_owned).chain(NAMES.map(|name| format!("class = '{name}'"))) {
        let sum = format!("coalesce(sum(area_m2::text::numeric) FILTER (WHERE {condition}), 0)");
        measures.push_str(&format!(
            ", count(*) FILTER (WHERE {condition}), {sum}::float8, round({sum} / 10000, 4)::float8, round({sum} * 3 / 2000, 2)::float8"
        ));
    }
    let sql = format!(
        "SELECT json_build_array(county_code, park_code{measures}) FROM class GROUP BY GROUPING SETS ((county_code, park_code), ())
         ORDER BY grouping(county_code), county_code, park_code NULLS LAST"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&db.pool).await.expect("groups")
}

fn names_of_groups() -> Vec<String> {
    let mut names = vec!["county_code".to_owned(), "park_code".to_owned()];
    for prefix in [String::new()].into_iter().chain(NAMES.map(|name| format!("{name}_"))) {
        names.extend(["parcels", "area_m2", "area_ha", "area_mu"].map(|name| format!("{prefix}{name}")));
    }
    names
}

/// Numbers as numbers, whether written 3 or 3.0.
fn plain(value: &Value) -> String {
    value.to_string().replace(".0,", ",").replace(".0]", "]")
}

async fn assert_equal_to_sql(db: &Database, path: &str) -> Value {
    let made = report(db, path).await;
    let groups = table(&made, "groups");
    let names = names_of_groups();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let found: Vec<String> =
        rows(groups).iter().chain([&groups["totals"]]).map(|row| plain(&json!(pick(row, &names)))).collect();
    let expected: Vec<String> = groups_by_sql(db).await.iter().map(plain).collect();
    assert_eq!(found, expected);
    let listed: Vec<String> = rows(table(&made, "parcels"))
        .iter()
        .map(|row| format!("{} {}", row["agreement"].as_str().expect("class"), row["id"].as_str().expect("id")))
        .collect();
    let expected: Vec<String> = db
        .column(
            "SELECT class || ' ' || id FROM class WHERE class NOT IN ('agrees', 'no_criteria')
             ORDER BY array_position(ARRAY['criteria_only', 'ledger_only', 'kind_differs', 'undecided'], class), id",
        )
        .await;
    assert_eq!(listed, expected);
    made
}

#[actix_web::test]
async fn every_parcel_is_in_the_class_that_sql_gives() {
    let db = judged().await;
    sqlx::raw_sql(CLASSES).execute(&db.pool).await.expect("view");
    let made = assert_equal_to_sql(&db, "low-efficiency-screening").await;
    let counted: Vec<i64> = db.column("SELECT count(*) FROM class GROUP BY class ORDER BY 1").await;
    assert_eq!((counted.len(), counted.iter().sum::<i64>()), (6, 15), "every class has a parcel: {counted:?}");
    let names = [
        "number",
        "name",
        "county_name",
        "park_name",
        "agreement_label",
        "criteria_year",
        "criteria_division",
        "kinds",
        "reasons",
        "missing",
        "area_mu",
    ];
    let listed: Vec<Vec<Value>> = rows(table(&made, "parcels"))
        .iter()
        .filter(|row| ["430102-K", "430121-A", "430121-G", "430121-E"].contains(&row["id"].as_str().expect("id")))
        .map(|row| pick(row, &names))
        .collect();
    let expected = [
        json!([
            "K",
            "地块K",
            "芙蓉区",
            null,
            "应认定未认定",
            2025,
            "430100",
            "产业淘汰类",
            "1 淘汰产业（示意）",
            null,
            3.75
        ]),
        json!(["A", "地块A", "长沙县", "长沙经济技术开发区", "认定不符标准", 2025, "430121", null, null, null, 15.01]),
        json!([
            "G",
            "地块G",
            "长沙县",
            null,
            "类型不一致",
            2025,
            "430121",
            "部分闲置类",
            "4 停产（示意）",
            null,
            11.67
        ]),
        json!(["E", "地块E", "长沙县", null, "无法判断", 2025, "430121", null, null, "容积率", 1.0]),
    ];
    assert_eq!(json!(listed), json!(expected));
    // Each filter is that of the parcels.
    for (query, parcels) in [("?county=430100", 13), ("?county=430202", 2), ("?park=G431033", 3), ("?year=2023", 15)] {
        let made = report(&db, &format!("low-efficiency-screening{query}")).await;
        assert_eq!(table(&made, "groups")["totals"]["parcels"], parcels, "{query}");
    }
    let other_year = report(&db, "low-efficiency-screening?year=2023").await;
    let totals = &table(&other_year, "groups")["totals"];
    assert_eq!((&totals["no_criteria_parcels"], &other_year["filters"]), (&json!(15), &json!({"year": "2023"})));
    let this_year = report(&db, "low-efficiency-screening?year=2025&county=430121").await;
    assert_eq!(table(&this_year, "groups")["totals"]["no_criteria_parcels"], 0, "I and J are judged too");
    for (query, code) in
        [("?year=25", "value_invalid"), ("?by=county", "parameter_unknown"), ("?table=x", "value_invalid")]
    {
        let path = format!("/api/reports/low-efficiency-screening{query}");
        get_authorised(&db, &path).await.assert_problem(400, code);
    }
}

#[actix_web::test]
async fn a_list_that_is_cut_has_the_first_of_all_and_says_so() {
    let db = judged().await;
    let whole = report(&db, "low-efficiency-screening").await;
    let all = rows(table(&whole, "parcels")).clone();
    assert!(all.len() > 5, "{}", all.len());
    for limit in [1, 3, 5] {
        let cut = report(&db, &format!("low-efficiency-screening?table=parcels&limit={limit}")).await;
        assert_eq!(cut["tables"].as_array().expect("tables").len(), 1);
        let cut = table(&cut, "parcels");
        assert_eq!(rows(cut)[..], all[..limit]);
        assert_eq!(
            json!([cut["numberMatched"], cut["truncated"], cut["totals"]]),
            json!([all.len(), true, table(&whole, "parcels")["totals"]])
        );
    }
    let one_group = report(&db, "low-efficiency-screening?table=groups&limit=1").await;
    let groups = table(&one_group, "groups");
    assert_eq!(json!([rows(groups).len(), groups["numberMatched"]]), json!([1, rows(table(&whole, "groups")).len()]));
    assert_eq!(groups["totals"], table(&whole, "groups")["totals"]);
}

#[actix_web::test]
async fn drawn_parcels_are_counted_by_day_and_by_revision() {
    let db = Database::with_sample().await;
    sample::seed_parcels(&db.pool, "test", 2_000, &Silent).await.expect("drawn");
    // (The sample draws one answer only.)
    db.write(
        "UPDATE low_efficiency_parcel SET criteria_year = CASE WHEN mod(hashtext(id), 7) <> 0 THEN 2025 + mod(hashtext(id), 2) END,
             production_stopped = CASE abs(mod(hashtext('stopped' || id), 4)) WHEN 0 THEN true WHEN 1 THEN false WHEN 2 THEN false END,
             is_low_efficiency = abs(mod(hashtext('low' || id), 3)) = 0, floor_area_ratio = 0.5 + abs(mod(hashtext('ratio' || id), 100)) * 0.01,
             industry = CASE abs(mod(hashtext('industry' || id), 3)) WHEN 0 THEN '造纸' WHEN 1 THEN '电子' END",
    )
    .await;
    with_example(&db).await;
    sqlx::raw_sql(CLASSES).execute(&db.pool).await.expect("view");
    let made = assert_equal_to_sql(&db, "low-efficiency-screening").await;
    let totals = &table(&made, "groups")["totals"];
    for name in NAMES {
        assert!(totals[format!("{name}_parcels")].as_i64() >= Some(5), "{name}: {totals}");
    }
    // What is written later changes nothing of what was.
    let revision: i64 = db.value("SELECT max(number) FROM revision").await;
    db.write("DELETE FROM low_efficiency_criterion; DELETE FROM low_efficiency_criteria_set").await;
    let past = report(&db, &format!("low-efficiency-screening?revision={revision}")).await;
    assert_eq!(past["tables"], made["tables"]);
    let now = report(&db, "low-efficiency-screening").await;
    let totals = &table(&now, "groups")["totals"];
    assert_eq!(totals["no_criteria_parcels"], totals["parcels"]);
    let before = report(&db, "low-efficiency-screening?on=1990-01-01").await;
    let standing: i64 = db
        .value(
            "SELECT count(*) FROM low_efficiency_parcel WHERE valid_from <= '1990-01-01' AND valid_to > '1990-01-01'",
        )
        .await;
    assert_eq!(table(&before, "groups")["totals"]["parcels"], standing);
}

#[actix_web::test]
async fn a_county_is_shown_its_own_parcels_by_the_sets_of_those_above() {
    let db = judged().await;
    add(&db, "clerk", Role::Staff, &["430102"]).await;
    let cookie = login(&db, "clerk").await;
    let path = "/api/reports/low-efficiency-screening";
    let answer = call(&db, from_page(actix_web::http::Method::GET, path, &cookie)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let made = answer.json();
    let names = ["parcels", "criteria_only_parcels", "undecided_parcels", "agrees_parcels", "no_criteria_parcels"];
    assert_eq!(json!(pick(&table(&made, "groups")["totals"], &names)), json!([3, 1, 1, 1, 0]));
    let csv = get_authorised(&db, &format!("{path}?f=csv&table=parcels&limit=1")).await.text();
    assert!(csv.starts_with('\u{FEFF}') && csv.contains("比对结果") && csv.contains("应认定未认定"), "{csv}");
    let xlsx = get_authorised(&db, &format!("{path}?f=xlsx")).await;
    assert!(xlsx.status == 200 && xlsx.body.starts_with(b"PK"));
    let page = get_authorised(&db, &format!("{path}?f=html")).await.text();
    assert!(page.contains("低效用地认定比对") && page.contains("认定不符标准"), "{page}");
}
