//! The park directory: filters, orders, pages and counts, judged by SQL over the table of parks.

use serde_json::{Value, json};

use crate::support::Database;
use crate::support::http::{encode, get, link, path_of};

fn codes(page: &Value) -> Vec<String> {
    let parks = page["parks"].as_array().unwrap_or_else(|| panic!("no parks: {page}"));
    parks.iter().map(|p| p["code"].as_str().expect("code").to_owned()).collect()
}

fn query(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={}", encode(v))).collect();
    format!("/api/parks?{}", pairs.join("&"))
}

#[actix_web::test]
async fn each_filter_finds_what_sql_finds() {
    let db = Database::with_sample().await;
    db.write(
        "UPDATE park SET status = 'merged', successor_code = 'G431033', valid_to = '2024-01-01' WHERE code = 'S437022'",
    )
    .await;
    let cases: [(&[(&str, &str)], &str); 15] = [
        (&[("prefecture", "430100")], "SELECT code FROM park WHERE prefecture_code = '430100' ORDER BY 1"),
        (&[("prefecture", "４３０１００")], "SELECT code FROM park WHERE prefecture_code = '430100' ORDER BY 1"),
        (&[("county", "430182")], "SELECT code FROM park WHERE county_codes @> '{430182}' ORDER BY 1"),
        // 430371 is a statistics-only code; it stands for a county.
        (
            &[("county", "430371")],
            "SELECT p.code FROM park p JOIN division d ON d.maps_to = ANY(county_codes) WHERE d.code = '430371' ORDER BY 1",
        ),
        (&[("level", "国家级")], "SELECT code FROM park WHERE left(code, 1) = 'G' ORDER BY 1"),
        (&[("level", "省级")], "SELECT code FROM park WHERE left(code, 1) = 'S' ORDER BY 1"),
        (&[("type", "高新技术产业开发区")], "SELECT code FROM park WHERE type = '高新技术产业开发区' ORDER BY 1"),
        (&[("industry", "食品")], "SELECT code FROM park WHERE leading_industries @> '{食品}' ORDER BY 1"),
        (&[("status", "merged")], "SELECT 'S437022'"),
        (&[("status", "active")], "SELECT code FROM park WHERE code <> 'S437022' ORDER BY 1"),
        (&[("q", "宁乡")], "SELECT code FROM park WHERE name LIKE '%宁乡%' OR aliases::text LIKE '%宁乡%' ORDER BY 1"),
        (&[("q", "g43117")], "SELECT code FROM park WHERE code LIKE 'G43117%' ORDER BY 1"),
        (
            &[("q", "湘潭高新技术产业开发区")],
            "SELECT code FROM park WHERE '湘潭高新技术产业开发区' IN (name, aliases[1]) ORDER BY 1",
        ),
        (
            &[("q", " 电子 ")],
            "SELECT code FROM park WHERE name LIKE '%电子%' OR leading_industries::text LIKE '%电子%' ORDER BY 1",
        ),
        (
            &[("prefecture", "430100"), ("level", "省级"), ("q", "高新")],
            "SELECT code FROM park WHERE prefecture_code = '430100' AND left(code, 1) = 'S' AND name LIKE '%高新%' ORDER BY 1",
        ),
    ];
    for (pairs, sql) in cases {
        let wanted: Vec<String> = db.column(sql).await;
        assert!(!wanted.is_empty() && wanted.len() < 129, "{pairs:?} would tell nothing: {wanted:?}");
        let page = get(&db, &query(&[pairs, &[("limit", "200")]].concat())).await.json();
        assert_eq!(codes(&page), wanted, "{pairs:?}");
        assert_eq!((&page["numberMatched"], &page["numberReturned"]), (&json!(wanted.len()), &json!(wanted.len())));
    }
    for nothing in ["%", "_", "\\", "' OR 1=1 --", "不存在的园区"] {
        let page = get(&db, &query(&[("q", nothing)])).await.json();
        assert_eq!((codes(&page), &page["numberMatched"]), (vec![], &json!(0)), "{nothing}");
    }
}

#[actix_web::test]
async fn each_order_is_that_of_sql_both_ways() {
    let db = Database::with_sample().await;
    // One park without an area and without a boundary: last, whichever way.
    db.write("DELETE FROM park_block WHERE park_code = 'G431033'; UPDATE park SET approved_area_ha = NULL WHERE code = 'G431033'").await;
    let area = "SELECT code FROM park LEFT JOIN (SELECT park_code, sum(area_m2) AS a FROM park_block GROUP BY 1) b ON park_code = code";
    for (sort, order) in [
        ("code", "code"),
        ("-code", "code DESC"),
        ("name", "name COLLATE \"zh-x-icu\", code"),
        ("-name", "name COLLATE \"zh-x-icu\" DESC, code"),
        ("approved_area", "approved_area_ha NULLS LAST, code"),
        ("-approved_area", "approved_area_ha DESC NULLS LAST, code"),
        ("computed_area", "a NULLS LAST, code"),
        ("-computed_area", "a DESC NULLS LAST, code"),
        ("approved", "valid_from, code"),
        ("-approved", "valid_from DESC, code"),
    ] {
        let sql = sqlx::AssertSqlSafe(format!("{area} ORDER BY {order}"));
        let wanted: Vec<String> = sqlx::query_scalar(sql).fetch_all(&db.pool).await.expect("judged");
        let page = get(&db, &query(&[("limit", "200"), ("sort", sort)])).await.json();
        assert_eq!(codes(&page), wanted, "{sort}");
    }
    let by_name = get(&db, "/api/parks?limit=200&sort=name").await.json();
    let names: Vec<&str> =
        by_name["parks"].as_array().expect("parks").iter().filter_map(|p| p["name"].as_str()).collect();
    let place =
        |name: &str| names.iter().position(|n| n.starts_with(name)).unwrap_or_else(|| panic!("{name} of {names:?}"));
    assert!(
        place("安") < place("常德") && place("常德") < place("浏阳") && place("浏阳") < place("望城"),
        "by pinyin: {names:?}"
    );
    let by_default = codes(&get(&db, "/api/parks?limit=200").await.json());
    assert_eq!(by_default, db.column::<String>("SELECT code FROM park ORDER BY code").await);
}

#[actix_web::test]
async fn pages_show_every_park_once_and_lead_back() {
    let db = Database::with_sample().await;
    for sort in ["code", "-approved", "approved_area", "-name"] {
        let whole = codes(&get(&db, &query(&[("limit", "200"), ("sort", sort)])).await.json());
        let mut seen: Vec<String> = Vec::new();
        let mut path = query(&[("limit", "25"), ("sort", sort)]);
        for expected in [25, 25, 25, 25, 25, 4] {
            let page = get(&db, &path).await.json();
            assert_eq!((&page["numberMatched"], &page["numberReturned"]), (&json!(129), &json!(expected)), "{path}");
            if let Some(prev) = link(&page, "prev") {
                let before = codes(&get(&db, &path_of(prev)).await.json());
                assert_eq!(before[..], seen[seen.len() - 25..], "{path}");
            } else {
                assert!(seen.is_empty(), "{path}: no way back");
            }
            seen.extend(codes(&page));
            match link(&page, "next") {
                Some(next) => path = path_of(next),
                None => assert_eq!(expected, 4, "{path}: no way on"),
            }
        }
        assert_eq!(seen, whole, "{sort}");
        let unique: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!(unique.len(), 129, "{sort}");
    }
    let beyond = get(&db, "/api/parks?offset=129").await.json();
    assert_eq!((codes(&beyond), &beyond["numberMatched"], link(&beyond, "next")), (vec![], &json!(129), None));
}

#[actix_web::test]
async fn facets_count_all_that_match_and_not_the_page() {
    let db = Database::with_sample().await;
    for (pairs, condition) in [
        (vec![("limit", "3")], "true"),
        (vec![("limit", "1"), ("level", "省级"), ("offset", "2")], "level = '省级'"),
        (vec![("limit", "1"), ("industry", "食品")], "'食品' = ANY(leading_industries)"),
        (vec![("q", "不存在")], "false"),
    ] {
        let page = get(&db, &query(&pairs)).await.json();
        for (facet, value, title) in
            [("level", "level", "NULL"), ("type", "type", "NULL"), ("prefecture", "prefecture_code", "min(d.name)")]
        {
            let wanted: Vec<(String, Option<String>, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
                "SELECT p.{value}, {title}, count(*) FROM park p JOIN division d ON d.code = prefecture_code WHERE {} GROUP BY 1 ORDER BY 1",
                condition.replace("level =", "p.level =")
            )))
            .fetch_all(&db.pool)
            .await
            .expect("judged");
            let mut found: Vec<(String, Option<String>, i64)> = page["facets"][facet]
                .as_array()
                .expect("facet")
                .iter()
                .map(|f| {
                    (
                        f["value"].as_str().expect("value").to_owned(),
                        f["title"].as_str().map(str::to_owned),
                        f["count"].as_i64().expect("count"),
                    )
                })
                .collect();
            found.sort();
            let mut wanted = wanted;
            wanted.sort();
            assert_eq!(found, wanted, "{pairs:?} {facet}");
            assert_eq!(
                found.iter().map(|f| f.2).sum::<i64>(),
                page["numberMatched"].as_i64().expect("matched"),
                "{pairs:?} {facet}"
            );
        }
    }
}

#[actix_web::test]
async fn values_that_are_none_are_refused() {
    let db = Database::empty().await;
    for (pair, code) in [
        (("level", "县级"), "value_invalid"),
        (("level", "national"), "value_invalid"),
        (("status", "gone"), "value_invalid"),
        (("status", "ACTIVE"), "value_invalid"),
        (("prefecture", "长沙市"), "value_invalid"),
        (("prefecture", "430000"), "value_invalid"),
        (("prefecture", "430102"), "value_invalid"),
        (("prefecture", "43010"), "value_invalid"),
        (("county", "430100"), "value_invalid"),
        (("county", "x"), "value_invalid"),
        (("sort", "area"), "value_invalid"),
        (("sort", "--code"), "value_invalid"),
        (("sort", "code,name"), "value_invalid"),
        (("sort", "code; DROP TABLE park"), "value_invalid"),
        (("q", "a\0b"), "value_invalid"),
        (("f", "csv"), "value_invalid"),
        (("limit", "0"), "limit_invalid"),
        (("limit", "-1"), "limit_invalid"),
        (("limit", "ten"), "limit_invalid"),
        (("offset", "-1"), "offset_invalid"),
        (("offset", "100001"), "offset_invalid"),
        (("offset", "x"), "offset_invalid"),
        (("park", "G431176"), "parameter_unknown"),
        (("Level", "省级"), "parameter_unknown"),
        (("bbox", "1,2,3,4"), "parameter_unknown"),
    ] {
        let problem = get(&db, &query(&[pair])).await.assert_problem(400, code);
        let named = problem["detail"].as_str().is_some_and(|d| d.contains(pair.0));
        assert!(named, "the detail names the parameter: {problem}");
    }
    get(&db, "/api/parks?level=%E7%9C%81%E7%BA%A7&level=%E7%9C%81%E7%BA%A7")
        .await
        .assert_problem(400, "parameter_repeated");
}

#[actix_web::test]
async fn the_directory_is_a_page_too() {
    let db = Database::with_sample().await;
    let answer =
        get(&db, &query(&[("f", "html"), ("limit", "2"), ("prefecture", "430100"), ("sort", "-approved_area")])).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let page = answer.text();
    let matched: i64 = db.value("SELECT count(*) FROM park WHERE prefecture_code = '430100'").await;
    assert!(page.contains(&format!("共 {matched} 个园区，本页 2 个")), "{page}");
    let largest: Vec<String> = db
        .column("SELECT name FROM park WHERE prefecture_code = '430100' ORDER BY approved_area_ha DESC, code LIMIT 3")
        .await;
    assert!(
        page.contains(&largest[0]) && page.contains(&largest[1]) && !page.contains(&largest[2]),
        "{largest:?}: {page}"
    );
    for part in ["示意", "长沙市", "不限", "rel=\"next\"", "prefecture=430100"] {
        assert!(page.contains(part), "“{part}” is missing: {page}");
    }
    assert!(get(&db, "/api/parks?f=html&q=%E6%97%A0").await.text().contains("没有符合条件的园区"));
    assert!(get(&db, "/api/parks?f=html&offset=500").await.text().contains("已经超过最后一页"));
}
