//! Questions to the ledgers: filters, ranges, lists, text, area, order, pages, facets; judged by SQL over the tables themselves.

use serde_json::Value;
use sizhi::inventory::progress::Silent;
use sizhi::inventory::sample;
use sqlx::AssertSqlSafe;

use crate::support::Database;
use crate::support::http::{encode, get_authorised, link, path_of};

const ITEMS: &str = "/api/collections/turnover_parcels/items";
const LOW: &str = "/api/collections/low_efficiency_parcels/items";

async fn drawn() -> Database {
    let db = Database::with_sample().await;
    let report = sample::seed_parcels(&db.pool, "test", 600, &Silent).await.expect("drawn");
    assert!(report.turnover > 300 && report.low_efficiency > 80 && report.plans > 20, "{report:?}");
    db
}

/// The ids of all pages, in their order.
async fn ids(db: &Database, path: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut next = path.to_owned();
    loop {
        let answer = get_authorised(db, &next).await;
        assert_eq!(answer.status, 200, "{next}: {}", answer.text());
        let page = answer.json();
        let features = page["features"].as_array().expect("features");
        all.extend(features.iter().filter_map(|f| f["id"].as_str().map(str::to_owned)));
        match link(&page, "next") {
            Some(href) => next = path_of(href),
            None => {
                assert_eq!(page["numberMatched"], all.len(), "{path}");
                return all;
            }
        }
    }
}

async fn by_sql(db: &Database, sql: &str) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&db.pool).await.unwrap_or_else(|e| panic!("{sql}: {e}"))
}

#[actix_web::test]
async fn filters_give_what_sql_gives() {
    let db = drawn().await;
    let box_of: (f64, f64, f64, f64) = sqlx::query_as(
        "SELECT ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e) FROM (SELECT ST_Extent(geom) AS e FROM park_block WHERE park_code = 'G431033') x",
    )
    .fetch_one(&db.pool)
    .await
    .expect("box");
    let (w, s, e, n) = box_of;
    let area = format!(r#"{{"type":"Polygon","coordinates":[[[{w},{s}],[{e},{s}],[{e},{n}],[{w},{n}],[{w},{s}]]]}}"#);
    let current = "valid_to = 'infinity'";
    let mut empty = Vec::new();
    let all = by_sql(&db, "SELECT id FROM turnover_parcel WHERE valid_to = 'infinity'").await.len();
    for (query, condition) in [
        ("".to_owned(), "true".to_owned()),
        ("state=approved".into(), "state = 'approved'".into()),
        ("state=approved,listed,idle".into(), "state IN ('approved', 'listed', 'idle')".into()),
        ("park_code=G431033".into(), "park_code = 'G431033'".into()),
        ("division=430100".into(), "county_code LIKE '4301%'".into()),
        ("division=430000&state=completed".into(), "state = 'completed'".into()),
        ("computed_area_mu=500..1500".into(), "round((area_m2 * 3 / 2000)::numeric, 2) BETWEEN 500 AND 1500".into()),
        ("computed_area_ha=..40".into(), "round((area_m2 / 10000)::numeric, 4) <= 40".into()),
        ("computed_area_m2=100000..".into(), "round(area_m2::numeric, 2) >= 100000".into()),
        ("approval_year=2022..2023".into(), "approval_year BETWEEN 2022 AND 2023".into()),
        ("approved_on=2022-01-01..2022-12-31".into(), "approved_on BETWEEN '2022-01-01' AND '2022-12-31'".into()),
        ("land_use_code=100102".into(), "land_use_code = '100102'".into()),
        ("derived_sets=idle".into(), "state = 'idle'".into()),
        (
            "derived_sets=approved_not_supplied".into(),
            "coalesce(held_state, state) IN ('approved', 'acquired', 'serviced', 'listed')".into(),
        ),
        (
            "derived_sets=used,idle".into(),
            "coalesce(held_state, state) IN ('started', 'completed') OR state = 'idle'".into(),
        ),
        (format!("q={}", encode("示意企业1")), "land_user LIKE '%示意企业1%'".into()),
        (format!("q={}", encode("100%_\\")), "false".into()),
        (format!("within={}", encode(&area)), format!("ST_Within(geom, ST_MakeEnvelope({w}, {s}, {e}, {n}, 4490))")),
        (format!("bbox={w},{s},{e},{n}"), format!("ST_Intersects(geom, ST_MakeEnvelope({w}, {s}, {e}, {n}, 4490))")),
    ] {
        let found = ids(&db, &format!("{ITEMS}?limit=100&{query}")).await;
        let expected =
            by_sql(&db, &format!("SELECT id FROM turnover_parcel WHERE {current} AND ({condition}) ORDER BY id")).await;
        assert_eq!(found, expected, "{query}");
        assert!(query.is_empty() || expected.len() < all, "{query}: a filter that lets all through holds nothing");
        if expected.is_empty() {
            empty.push(query);
        }
    }
    assert_eq!(empty, [format!("q={}", encode("100%_\\"))], "a filter without hits holds nothing");
    let plans = ids(&db, &format!("{LOW}?plan_state=approved&limit=100")).await;
    let expected = by_sql(
        &db,
        "SELECT parcel_id FROM redevelopment_plan WHERE state = 'approved' AND valid_to = 'infinity' ORDER BY parcel_id COLLATE \"C\"",
    )
    .await;
    assert_eq!(plans, expected);
    let all = db.value::<i64>("SELECT count(*) FROM low_efficiency_parcel WHERE valid_to = 'infinity'").await;
    assert!(!plans.is_empty() && (plans.len() as i64) < all, "{} of {all}", plans.len());
}

#[actix_web::test]
async fn pages_in_any_order_show_each_feature_once() {
    let db = drawn().await;
    for (sortby, order) in [
        ("-computed_area_mu", "round((area_m2 * 3 / 2000)::numeric, 2) DESC NULLS LAST, id"),
        ("approved_on,-number", "approved_on NULLS LAST, number DESC NULLS LAST, id"),
        ("-approved_on", "approved_on DESC NULLS LAST, id"),
        (
            "state,county_code,-approval_year",
            "state NULLS LAST, county_code NULLS LAST, approval_year DESC NULLS LAST, id",
        ),
    ] {
        let found = ids(&db, &format!("{ITEMS}?limit=37&sortby={sortby}")).await;
        let expected =
            by_sql(&db, &format!("SELECT id FROM turnover_parcel WHERE valid_to = 'infinity' ORDER BY {order}")).await;
        assert!(expected.len() > 300);
        assert_eq!(found, expected, "{sortby}");
    }
    let page = get_authorised(&db, &format!("{ITEMS}?limit=5&sortby=-approved_on")).await.json();
    let next = path_of(link(&page, "next").expect("next"));
    for other in ["", "approved_on", "-agreed_start_on", "-approved_on,number"] {
        let other = next.replace("sortby=-approved_on", &format!("sortby={other}")).replace("sortby=&", "");
        get_authorised(&db, &other).await.assert_problem(400, "cursor_invalid");
    }
}

#[actix_web::test]
async fn the_days_of_a_life_are_asked_for_as_properties_are() {
    let db = drawn().await;
    let day = db.value::<String>("SELECT max(valid_from)::text FROM turnover_parcel").await;
    for (query, condition) in [
        (format!("valid_from={day}"), format!("valid_from = '{day}'")),
        ("valid_from=2022-01-01..2023-06-30".into(), "valid_from BETWEEN '2022-01-01' AND '2023-06-30'".into()),
        (
            "valid_from=..2021-12-31&state=approved,supplied".into(),
            "valid_from > '-infinity' AND valid_from <= '2021-12-31' AND state IN ('approved', 'supplied')".into(),
        ),
    ] {
        let found = ids(&db, &format!("{ITEMS}?limit=50&sortby=-valid_from&{query}")).await;
        let order = "nullif(valid_from, '-infinity') DESC NULLS LAST, id COLLATE \"C\"";
        let expected = by_sql(
            &db,
            &format!("SELECT id FROM turnover_parcel WHERE valid_to = 'infinity' AND {condition} ORDER BY {order}"),
        )
        .await;
        assert!(!expected.is_empty(), "{query}");
        assert_eq!(found, expected, "{query}");
    }
    // What has ended is shown by `datetime`, and no longer among what stands.
    db.write(
        "UPDATE turnover_parcel SET valid_to = valid_from + 30, end_reason = 'test' WHERE id IN (SELECT id FROM turnover_parcel ORDER BY id LIMIT 50)",
    )
    .await;
    let ends = "valid_to BETWEEN '2021-01-01' AND '2023-12-31'";
    let found =
        ids(&db, &format!("{ITEMS}?limit=3&datetime=2010-01-01/..&valid_to=2021-01-01..2023-12-31&sortby=valid_to"))
            .await;
    let expected =
        by_sql(&db, &format!("SELECT id FROM turnover_parcel WHERE {ends} ORDER BY valid_to, id COLLATE \"C\"")).await;
    assert!(expected.len() > 6, "{expected:?}");
    assert_eq!(found, expected);
    assert_eq!(ids(&db, &format!("{ITEMS}?limit=3&valid_to=2021-01-01..2023-12-31")).await, Vec::<String>::new());
    get_authorised(&db, &format!("{ITEMS}?valid_from=2024")).await.assert_problem(400, "value_invalid");
}

#[actix_web::test]
async fn facets_count_what_matches() {
    let db = drawn().await;
    let path = "/api/collections/turnover_parcels/facets?properties=state,derived_sets,land_use_code,approval_year&division=430100";
    let told = get_authorised(&db, path).await.json();
    for (at, value) in [
        (0, "state"),
        // The stocks of the handbook (domain.md §5), written out: of the main state, and idle land beside it.
        (
            1,
            "unnest(CASE
                 WHEN coalesce(held_state, state) IN ('approved', 'acquired', 'serviced', 'listed') THEN
                     CASE WHEN state = 'idle' THEN ARRAY['approved_not_supplied', 'idle'] ELSE ARRAY['approved_not_supplied'] END
                 WHEN coalesce(held_state, state) IN ('supplied', 'delivered') THEN
                     CASE WHEN state = 'idle' THEN ARRAY['supplied_not_used', 'idle'] ELSE ARRAY['supplied_not_used'] END
                 WHEN coalesce(held_state, state) IN ('started', 'completed') THEN
                     CASE WHEN state = 'idle' THEN ARRAY['used', 'idle'] ELSE ARRAY['used'] END
                 WHEN state = 'idle' THEN ARRAY['idle'] ELSE ARRAY[NULL] END)",
        ),
        (2, "land_use_code"),
        (3, "approval_year::text"),
    ] {
        let expected: Vec<(Option<String>, i64)> = sqlx::query_as(AssertSqlSafe(format!(
            "SELECT value, count(*) FROM (SELECT {value} AS value FROM turnover_parcel WHERE valid_to = 'infinity' AND county_code LIKE '4301%') v
             GROUP BY 1 ORDER BY 2 DESC, 1"
        )))
        .fetch_all(&db.pool)
        .await
        .expect("counts");
        let found: Vec<(Option<String>, i64)> = told["facets"][at]["values"]
            .as_array()
            .expect("values")
            .iter()
            .map(|v| (v["value"].as_str().map(str::to_owned), v["count"].as_i64().unwrap_or(-1)))
            .collect();
        assert!(!expected.is_empty());
        assert_eq!(found, expected, "{value}");
    }
    assert_eq!(
        told["numberMatched"],
        db.value::<i64>(
            "SELECT count(*) FROM turnover_parcel WHERE valid_to = 'infinity' AND county_code LIKE '4301%'"
        )
        .await
    );
    for (query, code) in [
        ("properties=geom", "value_invalid"),
        ("properties=computed_area_mu", "value_invalid"),
        ("colour=red", "parameter_unknown"),
    ] {
        get_authorised(&db, &format!("/api/collections/turnover_parcels/facets?{query}"))
            .await
            .assert_problem(400, code);
    }
    get_authorised(&db, "/api/collections/nothing/facets").await.assert_problem(404, "collection_not_found");
}

/// Against PostgreSQL's own calendar, around three ends of February, one of them of a century.
#[actix_web::test]
async fn full_years_are_those_of_the_calendar() {
    let db = Database::empty().await;
    let pairs = "SELECT day::date + i AS a, day::date + i + j AS b FROM unnest(ARRAY['2019-12-30', '2023-12-30', '2099-12-30']::date[]) day,
                 generate_series(0, 430) i, generate_series(0, 2400, 1) j WHERE i % 5 = 0 OR to_char(day::date + i, 'MMDD') IN ('0228', '0229', '0301')";
    let by_calendar = "y - CASE WHEN a + make_interval(years => y) > b THEN 1 ELSE 0 END";
    let sql = format!(
        "SELECT count(*) || ' ' || count(*) FILTER (WHERE full_years(a, b) IS DISTINCT FROM {by_calendar})
         FROM (SELECT a, b, (extract(year FROM b) - extract(year FROM a))::integer AS y FROM ({pairs}) pairs) x"
    );
    // 271 first days, 2,401 later ones of each.
    assert_eq!(db.value::<String>(&sql).await, "650671 0");
}

/// The timers of the view against the domain's, for every drawn parcel and several days.
#[actix_web::test]
async fn timers_of_any_day_are_the_domains() {
    use sizhi::domain::Ledger;
    use sizhi::domain::ledger::{Facts, Timers};
    let db = drawn().await;
    let day = |value: &Value| value.as_str().and_then(|t| t.parse().ok());
    let mut told = 0;
    for today in ["2022-06-30", "2024-02-29", "2026-11-26", "2029-01-01"] {
        let answer = get_authorised(&db, &format!("{ITEMS}?limit=10000&datetime={today}")).await.json();
        for feature in answer["features"].as_array().expect("features") {
            let p = &feature["properties"];
            let number = |name: &str| p[name].as_f64();
            let area = number("supplied_area_m2").filter(|a| *a > 0.0).or(number("computed_area_m2"));
            let facts = Facts {
                approved_on: day(&p["approved_on"]),
                agreed_start_on: day(&p["agreed_start_on"]),
                started_on: day(&p["started_on"]),
                agreed_finish_on: day(&p["agreed_finish_on"]),
                finished_on: day(&p["finished_on"]),
                stopped_on: day(&p["stopped_on"]),
                started_share: number("started_area_m2").zip(area).map(|(started, area)| started / area),
                invested_percent: number("invested_percent"),
            };
            let step = Ledger::Turnover
                .machine()
                .step(p["state"].as_str().expect("state"), p["held_state"].as_str())
                .expect("step");
            let expected = Timers::on(today.parse().expect("day"), step, facts);
            let sets: Vec<&str> = step.sets().iter().map(|s| s.as_str()).collect();
            assert_eq!(
                p["derived_sets"]
                    .as_array()
                    .map(|l| l.iter().filter_map(Value::as_str).collect::<Vec<_>>())
                    .unwrap_or_default(),
                sets
            );
            assert_eq!(
                (
                    p["approval_age_years"].as_i64(),
                    p["approval_age"].as_str(),
                    p["start_overdue_days"].as_i64(),
                    p["finish_overdue_days"].as_i64(),
                    p["idle_stage"].as_str()
                ),
                (
                    expected.approval_age_years.map(i64::from),
                    expected.approval_age.map(|a| a.as_str()),
                    expected.start_overdue_days,
                    expected.finish_overdue_days,
                    expected.idle_stage.map(|s| s.as_str())
                ),
                "{today} {p}"
            );
            told += usize::from(expected != Timers::default());
        }
    }
    assert!(told > 300, "{told}");
}

/// Begun building that stopped a year ago is idle where less than a third of the land was started or less than a quarter of the money
/// spent (domain.md §1). The land is what was supplied; where no paper says how much, what was computed.
#[actix_web::test]
async fn stopped_building_is_idle_by_a_third_of_the_land_or_a_quarter_of_the_money() {
    let db = drawn().await;
    let all = by_sql(
        &db,
        "SELECT id FROM turnover_parcel WHERE state = 'started' AND area_m2 > 90000 AND valid_to = 'infinity' ORDER BY id",
    )
    .await;
    let cases: [(Option<f64>, Option<f64>, Option<f64>, bool); 12] = [
        // supplied, started, invested; idle
        (Some(3_000.0), Some(999.0), Some(50.0), true),
        (Some(3_000.0), Some(1_000.0), Some(50.0), false),
        (Some(3_000.0), Some(2_000.0), Some(24.9), true),
        (Some(3_000.0), Some(2_000.0), Some(25.0), false),
        (Some(3_000.0), Some(2_000.0), None, false),
        (Some(3_000.0), None, Some(10.0), true),
        (Some(3_000.0), None, None, false),
        (None, Some(1_000.0), Some(50.0), true),
        (None, Some(89_000.0), Some(50.0), false),
        (Some(0.0), Some(1_000.0), Some(50.0), true),
        (Some(0.0), None, Some(90.0), false),
        (None, None, Some(24.0), true),
    ];
    assert!(all.len() >= cases.len(), "{} parcels", all.len());
    let mut transaction = db.pool.begin().await.expect("transaction");
    sizhi::store::revision::open(&mut transaction, "test", "test", "").await.expect("revision");
    for (id, (supplied, started, invested, _)) in all.iter().zip(cases) {
        // Of the largest area a third is started where 89,000 m² are of the smallest, too.
        let done = sqlx::query(
            "UPDATE turnover_parcel SET started_on = '2022-01-01', finished_on = NULL, stopped_on = '2025-03-01', supplied_area_m2 = $2,
                    started_area_m2 = CASE WHEN $3 = 89000 THEN area_m2 * 0.34 ELSE $3 END, invested_percent = $4, revision = current_revision()
             WHERE id = $1 AND valid_to = 'infinity'",
        )
        .bind(id)
        .bind(supplied)
        .bind(started)
        .bind(invested)
        .execute(&mut *transaction)
        .await
        .expect("set");
        assert_eq!(done.rows_affected(), 1);
    }
    transaction.commit().await.expect("committed");
    for (day, stage) in [("2026-02-28", None), ("2026-03-01", Some("one_year")), ("2027-03-01", Some("two_years"))] {
        for (id, case) in all.iter().zip(cases) {
            let shown = get_authorised(&db, &format!("{ITEMS}/{}?datetime={day}", encode(id))).await.json();
            let expected = stage.filter(|_| case.3);
            assert_eq!(shown["properties"]["idle_stage"].as_str(), expected, "{case:?} on {day}");
        }
    }
}

#[actix_web::test]
async fn states_and_labels_of_the_database_are_the_domains() {
    use sizhi::domain::Ledger;
    let db = Database::empty().await;
    for (ledger, name) in
        [(Ledger::Turnover, "turnover"), (Ledger::LowEfficiency, "low_efficiency"), (Ledger::Plan, "plan")]
    {
        let allowed = by_sql(
            &db,
            &format!(
                "SELECT m[1] FROM pg_constraint, regexp_matches(pg_get_constraintdef(oid), '''([a-z_]+)''::text', 'g') m WHERE conname = '{}_state_known'",
                ledger.table()
            ),
        )
        .await;
        assert_eq!(allowed, ledger.machine().states.iter().map(|s| s.code).collect::<Vec<_>>());
        for state in ledger.machine().states {
            let label = by_sql(&db, &format!("SELECT ledger_state_label('{name}', '{}')", state.code)).await;
            assert_eq!(label, [state.label]);
        }
        let columns = by_sql(
            &db,
            &format!("SELECT attname::text FROM pg_attribute WHERE attrelid = '{}'::regclass AND attnum > 0 AND NOT attisdropped", ledger.table()),
        )
        .await;
        for field in ledger.fields() {
            assert!(columns.iter().any(|c| c == field.name), "{}", field.name);
        }
    }
}
