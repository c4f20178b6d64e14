//! Where and when: `bbox` and `datetime` of items, judged by PostGIS over the register's tables.

use serde_json::Value;

use crate::support::Database;
use crate::support::http::{encode, get, get_authorised, link, path_of};

async fn ids(db: &Database, query: &str) -> Vec<String> {
    let answer = get_authorised(db, &format!("/api/collections/{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let body = answer.json();
    assert_eq!(body["numberMatched"], body["numberReturned"], "{query}: one page");
    let features = body["features"].as_array().expect("features");
    features.iter().map(|f| f["id"].as_str().expect("id").to_owned()).collect()
}

/// Parks with a block that meets this box.
async fn parks_in(db: &Database, [west, south, east, north]: [f64; 4]) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT DISTINCT park_code FROM park_block
         WHERE NOT ST_Disjoint(geom, ST_SetSRID(ST_Envelope(ST_MakeLine(ST_Point($1, $2), ST_Point($3, $4))), 4490)) ORDER BY 1",
    )
    .bind(west)
    .bind(south)
    .bind(east)
    .bind(north)
    .fetch_all(&db.pool)
    .await
    .expect("judged")
}

#[actix_web::test]
async fn a_box_shows_what_postgis_finds_in_it() {
    let db = Database::with_sample().await;
    // A place inside a block: no corner of the register lies exactly there.
    let (x, y): (f64, f64) = sqlx::query_as(
        "SELECT ST_X(p), ST_Y(p) FROM (SELECT ST_PointOnSurface(geom) AS p FROM park_block WHERE id = 'G431176-1') x",
    )
    .fetch_one(&db.pool)
    .await
    .expect("a place");
    for (sides, some) in [
        ([112.0, 27.0, 114.0, 29.0], true),
        ([112.8, 28.0, 113.2, 28.4], true),
        ([109.0, 24.0, 111.0, 27.0], true),
        ([-180.0, -90.0, 180.0, 90.0], true),
        ([108.0, 24.0, 108.1, 24.1], false),
        ([0.0, 0.0, 1.0, 1.0], false),
        // A point, a vertical and a horizontal line: boxes without area.
        ([x, y, x, y], true),
        ([x, y - 0.001, x, y + 0.001], true),
        ([x - 0.5, y, x + 0.5, y], true),
        ([0.0, 0.0, 0.0, 0.0], false),
    ] {
        let [w, s, e, n] = sides;
        let wanted = parks_in(&db, sides).await;
        assert_eq!(!wanted.is_empty(), some, "{sides:?} would tell nothing: {wanted:?}");
        assert_eq!(ids(&db, &format!("parks/items?limit=200&bbox={w},{s},{e},{n}")).await, wanted, "{sides:?}");
        // Heights are part of the syntax and of no consequence.
        assert_eq!(
            ids(&db, &format!("parks/items?limit=200&bbox={w},{s},-10,{e},{n},99.5")).await,
            wanted,
            "{sides:?}"
        );
    }
    assert_eq!(parks_in(&db, [-180.0, -90.0, 180.0, 90.0]).await.len(), 129);
}

#[actix_web::test]
async fn a_box_touches_the_shape_and_not_only_its_bounding_box() {
    let db = Database::with_sample().await;
    // Corners of a block's bounding box that its star shape does not reach.
    let corners: Vec<(String, f64, f64)> = sqlx::query_as(
        "SELECT id, ST_XMax(geom), ST_YMax(geom) FROM park_block
         WHERE ST_Distance(geom, ST_SetSRID(ST_Point(ST_XMax(geom), ST_YMax(geom)), 4490)) > 0.0001 ORDER BY id LIMIT 3",
    )
    .fetch_all(&db.pool)
    .await
    .expect("corners");
    assert_eq!(corners.len(), 3);
    for (id, x, y) in corners {
        let (w, s) = (x - 1e-5, y - 1e-5);
        let near = ids(&db, &format!("park_blocks/items?bbox={w},{s},{x},{y}")).await;
        assert!(!near.contains(&id), "{id} lies {near:?}");
    }
}

#[actix_web::test]
async fn a_box_over_the_antimeridian_is_two_boxes() {
    let db = Database::with_sample().await;
    assert_eq!(ids(&db, "parks/items?limit=200&bbox=170,20,-170,30").await, [""; 0]);
    let mut wanted = parks_in(&db, [113.0, 24.0, 180.0, 31.0]).await;
    wanted.extend(parks_in(&db, [-180.0, 24.0, -170.0, 31.0]).await);
    assert!(!wanted.is_empty() && wanted.len() < 129, "{wanted:?}");
    assert_eq!(ids(&db, "parks/items?limit=200&bbox=113,24,-170,31").await, wanted);
    // What lies between -170 and 113 going east is the rest of the world.
    let rest = ids(&db, "parks/items?limit=200&bbox=-170,24,113,31").await;
    assert_eq!(rest, parks_in(&db, [-170.0, 24.0, 113.0, 31.0]).await);
}

#[actix_web::test]
async fn boxes_that_are_none_are_refused() {
    let db = Database::empty().await;
    for bad in [
        "",
        "112",
        "112,27,114",
        "112,27,114,29,1",
        "112,27,114,29,1,2,3",
        "a,b,c,d",
        "112;27;114;29",
        "NaN,27,114,29",
        "112,27,inf,29",
        "112,29,114,27",
        "112,27,181,29",
        "-181,27,114,29",
        "112,-91,114,29",
        "112,27,114,91",
        "112,27,10,114,29,5",
        "112,27,1e999,29",
        "１１２,27,114,29",
        "112,,114,29",
        "112,27,114,29,",
    ] {
        get(&db, &format!("/api/collections/parks/items?bbox={}", encode(bad)))
            .await
            .assert_problem(400, "bbox_invalid");
    }
}

#[actix_web::test]
async fn a_moment_or_a_span_shows_what_was_alive_in_it() {
    let db = Database::with_sample().await;
    db.write(
        "UPDATE park SET valid_to = '2010-06-30', status = 'merged', successor_code = 'G431033' WHERE code = 'S437022'",
    )
    .await;
    // Alive in [from, to]: a life is [valid_from, valid_to).
    for (datetime, from, to) in [
        ("2010-01-01", "2010-01-01", "2010-01-01"),
        ("2014-02-01", "2014-02-01", "2014-02-01"),
        ("2014-01-31", "2014-01-31", "2014-01-31"),
        ("2010-06-29", "2010-06-29", "2010-06-29"),
        ("2010-06-30", "2010-06-30", "2010-06-30"),
        ("1994-03-01", "1994-03-01", "1994-03-01"),
        ("2999-12-31", "2999-12-31", "2999-12-31"),
        ("2014-01-31T15:59:59Z", "2014-01-31", "2014-01-31"),
        ("2014-01-31T16:00:00Z", "2014-02-01", "2014-02-01"),
        ("2014-02-01T00:00:00%2B08:00", "2014-02-01", "2014-02-01"),
        ("2009-01-01/2010-12-31", "2009-01-01", "2010-12-31"),
        ("2010-06-30/2010-12-31", "2010-06-30", "2010-12-31"),
        ("../2003-12-31", "-infinity", "2003-12-31"),
        ("/2003-12-31", "-infinity", "2003-12-31"),
        ("2010-06-29/..", "2010-06-29", "infinity"),
        ("2010-06-30/", "2010-06-30", "infinity"),
        ("0001-01-01/9999-12-31", "0001-01-01", "9999-12-31"),
    ] {
        let wanted: Vec<String> = sqlx::query_scalar(
            "SELECT code FROM park WHERE valid_from <= $2::date AND valid_to > $1::date ORDER BY code",
        )
        .bind(from)
        .bind(to)
        .fetch_all(&db.pool)
        .await
        .expect("judged");
        let found = ids(&db, &format!("parks/items?limit=200&datetime={datetime}")).await;
        assert_eq!(found, wanted, "{datetime}");
    }
}

#[actix_web::test]
async fn times_that_are_none_are_refused() {
    let db = Database::empty().await;
    for bad in [
        "",
        "..",
        "/",
        "../..",
        "2014",
        "2014-02",
        "2014-13-01",
        "2014-02-30",
        "20140201",
        "2014-02-01T00:00:00",
        "2015-01-01/2014-01-01",
        "2014-01-01/2015-01-01/2016-01-01",
        "now",
        "2014-02-01 ",
        "99999-01-01",
        "2014-02-01/x",
        "2014年2月",
    ] {
        get(&db, &format!("/api/collections/parks/items?datetime={}", encode(bad)))
            .await
            .assert_problem(400, "datetime_invalid");
    }
}

/// One block with two lives, one that has ended and one that has none of it.
const LIVES: &str = "
    UPDATE park_block SET valid_to = '2020-01-01' WHERE id = 'G431176-1';
    INSERT INTO park_block (id, park_code, number, geom, area_m2, source, valid_from)
    SELECT id, park_code, number, ST_Translate(geom, 0.001, 0), area_m2, 'second life', '2020-01-01' FROM park_block WHERE id = 'G431176-1';
    UPDATE park_block SET valid_to = '2021-06-01' WHERE id = 'G431176-2'";

#[actix_web::test]
async fn ended_blocks_are_shown_only_to_those_who_ask_for_their_time() {
    let db = Database::with_sample().await;
    db.write(LIVES).await;
    let of = |datetime: &str| format!("park_blocks/items?park_code=G431176&limit=100{datetime}");
    let current: Vec<String> =
        db.column("SELECT id FROM park_block WHERE park_code = 'G431176' AND valid_to = 'infinity' ORDER BY id").await;
    assert!(current.contains(&"G431176-1".to_owned()) && !current.contains(&"G431176-2".to_owned()), "{current:?}");
    assert_eq!(ids(&db, &of("")).await, current);
    get(&db, "/api/collections/park_blocks/items/G431176-2").await.assert_problem(404, "item_not_found");
    assert!(ids(&db, &of("&datetime=2021-05-31")).await.contains(&"G431176-2".to_owned()));
    assert!(
        !ids(&db, &of("&datetime=2021-06-01")).await.contains(&"G431176-2".to_owned()),
        "the last day is not of it"
    );
    let sources = |body: Value| -> Vec<String> {
        let features = body["features"].as_array().expect("features").iter().filter(|f| f["id"] == "G431176-1");
        features.map(|f| f["properties"]["source"].as_str().expect("source").chars().take(6).collect()).collect()
    };
    for (datetime, wanted) in [
        ("2019-12-31", vec!["示意：由 s"]),
        ("2020-01-01", vec!["second"]),
        ("2019-12-31/2020-01-01", vec!["示意：由 s", "second"]),
        ("../2019-12-31", vec!["示意：由 s"]),
        ("2020-01-01/..", vec!["second"]),
    ] {
        let body =
            get_authorised(&db, &format!("/api/collections/{}", of(&format!("&datetime={datetime}")))).await.json();
        assert_eq!(sources(body), wanted, "{datetime}");
    }
    let item = get_authorised(&db, "/api/collections/park_blocks/items/G431176-1").await.json();
    assert_eq!(
        (&item["properties"]["source"], &item["properties"]["valid_from"]),
        (&"second life".into(), &"2020-01-01".into())
    );
    // The park's boundary is that of today.
    let west: f64 = db
        .value("SELECT round(ST_XMin(ST_Extent(geom))::numeric, 8)::float8 FROM park_block WHERE park_code = 'G431176' AND valid_to = 'infinity'")
        .await;
    let card = get_authorised(&db, "/api/parks/G431176").await.json();
    assert_eq!(card["computed"]["bbox"][0], west);
}

#[actix_web::test]
async fn paging_over_several_lives_of_a_block_loses_none() {
    let db = Database::with_sample().await;
    db.write(LIVES).await;
    let wanted: Vec<(String, String)> = sqlx::query_as(
        "SELECT id, coalesce(nullif(valid_from, '-infinity')::text, '') FROM park_block WHERE park_code = 'G431176' ORDER BY id, valid_from",
    )
    .fetch_all(&db.pool)
    .await
    .expect("judged");
    let mut seen = Vec::new();
    let mut path = "/api/collections/park_blocks/items?park_code=G431176&datetime=2000-01-01/..&limit=1".to_owned();
    loop {
        let page = get_authorised(&db, &path).await.json();
        assert_eq!((&page["numberMatched"], &page["numberReturned"]), (&wanted.len().into(), &1.into()), "{path}");
        let feature = &page["features"][0];
        let from = feature["properties"]["valid_from"].as_str().unwrap_or_default();
        seen.push((feature["id"].as_str().expect("id").to_owned(), from.to_owned()));
        match link(&page, "next") {
            Some(next) if seen.len() <= wanted.len() => path = path_of(next),
            _ => break,
        }
    }
    assert_eq!(seen, wanted);
}
