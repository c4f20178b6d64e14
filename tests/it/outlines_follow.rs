//! Outlines in time: how they follow an edit, through caches and the feed of changes; those of the past, and of each life of a feature.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::Value;
use sizhi::api::State;
use sizhi::inventory::live::Live;
use sizhi::inventory::tiles as inventory_tiles;
use sizhi::layers::declaration::LAYERS;
use sizhi::layers::tiles::cache::TileCache;
use sizhi::layers::tiles::grid::{Tile, touched};

use crate::outlines::{BLOCKS, ITEMS, features, from_database, rule};
use crate::support::borders::{PARKS, block, cut_first, cut_first_on, ragged};
use crate::support::http::{authorised, call, call_with, get, get_authorised, link, path_of};
use crate::support::{Database, http_args};

#[actix_web::test]
async fn what_the_public_holds_is_not_current_for_staff_and_caches_keep_them_apart() {
    let db = ragged().await;
    let tile = tile_of(14, 112.01, 28.01);
    for (path, has_tag) in [
        (format!("{BLOCKS}?limit=10"), true),
        (format!("{BLOCKS}/{}", block(PARKS[0])), true),
        (format!("/api/parks/{}", PARKS[0]), true),
        (format!("{BLOCKS}?f=csv"), true),
        ("/api/collections/park_blocks/changes?since=0".to_owned(), true),
        (format!("{BLOCKS}/{}/history", block(PARKS[0])), true),
        ("/api/collections/park_blocks/facets".to_owned(), true),
        (address("park_blocks", tile), true),
        ("/api/collections/park_blocks".to_owned(), false),
    ] {
        let (public, staff) = (get(&db, &path).await, get_authorised(&db, &path).await);
        assert_eq!((public.status.as_u16(), staff.status.as_u16()), (200, 200), "{path}");
        assert_eq!(public.header("etag").is_some(), has_tag, "{path}");
        if let Some(tag) = public.header("etag") {
            assert_ne!(public.header("etag"), staff.header("etag"), "{path}");
            // (A tile's is of its bytes.)
            assert_ne!(tag.contains("-o10-4"), path.contains("/tiles/"), "{path}: {tag}");
            let again = |request: TestRequest| request.insert_header(("if-none-match", tag.to_owned()));
            assert_eq!(call(&db, again(TestRequest::get().uri(&path))).await.status, 304, "{path}");
            assert_eq!(call(&db, again(authorised(Method::GET, &path))).await.status, 200, "{path}");
        }
        assert_eq!(staff.header("cache-control"), Some("private, no-cache"), "{path}");
        assert_eq!(public.header("cache-control"), Some("no-cache"), "{path}");
        for answer in [&public, &staff] {
            let vary = answer.header("vary").unwrap_or_default().to_owned();
            assert!(vary.contains("Authorization") && vary.contains("Cookie"), "{path}: {vary}");
        }
    }
    let past = format!("{BLOCKS}?revision={}", db.value::<i64>("SELECT max(number) FROM revision").await);
    assert_eq!(get(&db, &past).await.header("cache-control"), Some("public, max-age=86400, immutable"));
    assert_eq!(get_authorised(&db, &past).await.header("cache-control"), Some("private, no-cache"));
}

fn tile_of(zoom: u8, x: f64, y: f64) -> Tile {
    let range = touched(&[x, y, x, y], zoom);
    Tile::new(zoom, *range.rows.start(), *range.cols.start()).expect("in the matrix")
}

fn address(layer: &str, tile: Tile) -> String {
    format!("/api/collections/{layer}/tiles/WebMercatorQuad/{}/{}/{}", tile.zoom, tile.row, tile.col)
}

#[actix_web::test]
async fn an_edit_changes_the_neighbours_outline_and_tile_and_leaves_other_tiles_cached() {
    let db = ragged().await;
    let cache = Arc::new(TileCache::new(1 << 24));
    let told = inventory_tiles::listener(Arc::clone(&cache));
    let live = Arc::new(Live::new(db.application.clone(), LAYERS.iter(), inventory_tiles::attributes_of, vec![told]));
    live.refresh().await.expect("held");
    let state = State::new(db.application.clone(), http_args()).with_live_tiles(Arc::clone(&live), Arc::clone(&cache));
    let ask = async |path: &str, staff: bool| {
        let request = if staff { authorised(Method::GET, path) } else { TestRequest::get().uri(path) };
        call_with(state.clone(), request).await
    };
    let (neighbour, other) = (block(PARKS[1]), block(PARKS[4]));
    let item = |id: &str| format!("{BLOCKS}/{id}");
    // At the border below the cut, in the neighbour alone behind the border, and far away.
    let (at_border, far) = (tile_of(20, 112.01004, 28.0104), tile_of(20, 112.205, 28.01));
    let mut before = BTreeMap::new();
    for staff in [false, true] {
        for path in [item(&neighbour), item(&other), address("park_blocks", at_border), address("park_blocks", far)] {
            let answer = ask(&path, staff).await;
            assert!(answer.status.is_success(), "{path}");
            before.insert((path, staff), answer.body);
        }
    }
    let (held, tiles) = cache.size();
    assert!(held > 0 && tiles == 4, "two tiles for two kinds of viewers: {tiles}");
    cut_first(&db).await;
    live.refresh().await.expect("followed");
    assert_eq!(cache.size().1, 2, "the tiles of the far park stay");
    let geometry = |body: &[u8]| serde_json::from_slice::<Value>(body).expect("JSON")["geometry"].clone();
    for staff in [false, true] {
        let after = ask(&item(&neighbour), staff).await.body;
        let same = geometry(&after) == geometry(&before[&(item(&neighbour), staff)]);
        assert_eq!(same, staff, "the neighbour's outline has a new corner, its boundary has none");
        let after = ask(&item(&other), staff).await.body;
        assert_eq!(geometry(&after), geometry(&before[&(item(&other), staff)]));
        let (border, far) = (address("park_blocks", at_border), address("park_blocks", far));
        assert_ne!(ask(&border, staff).await.body, before[&(border, staff)], "staff {staff}");
        assert_eq!(ask(&far, staff).await.body, before[&(far, staff)], "staff {staff}");
    }
    // Memory that followed, memory that was read anew, and the database agree.
    let path = format!("{BLOCKS}?limit=1000");
    let followed = features(&ask(&path, false).await.json());
    assert_eq!(followed, features(&get(&db, &path).await.json()));
    assert_eq!(followed, features(&from_database(&db, &path).await.json()));
}

#[actix_web::test]
async fn whoever_follows_the_changes_hears_of_neighbours_whose_outlines_changed() {
    let db = ragged().await;
    let path = format!("{BLOCKS}?limit=1000");
    let mut copies: Vec<BTreeMap<String, Value>> =
        vec![features(&get(&db, &path).await.json()), features(&get_authorised(&db, &path).await.json())];
    let since: i64 = db.value("SELECT max(number) FROM revision").await;
    cut_first(&db).await;
    // One that has nothing to do with the layer, so that the window's end is not the layer's last change.
    db.write("UPDATE division SET note = '改过' WHERE code = '430100'").await;
    for (staff, copy) in [false, true].into_iter().zip(&mut copies) {
        let mut address = format!("/api/collections/park_blocks/changes?since={since}&limit=1");
        let mut told = Vec::new();
        loop {
            let page = if staff { get_authorised(&db, &address).await } else { get(&db, &address).await }.json();
            for change in page["changes"].as_array().expect("changes") {
                let id = change["id"].as_str().expect("id").to_owned();
                assert_eq!(change["operation"], "changed");
                copy.insert(id.clone(), change["feature"].clone());
                told.push(id);
            }
            let Some(next) = link(&page, "next") else { break };
            address = path_of(next);
        }
        // Each once: what was touched, and for the public its neighbour and the neighbour's, which were not.
        let near: Vec<String> = PARKS[..3].iter().map(|park| block(park)).collect();
        let expected = if staff { near[..1].to_vec() } else { near };
        assert_eq!(told, expected, "staff {staff}");
        let now = if staff { get_authorised(&db, &path).await } else { get(&db, &path).await };
        assert_eq!(*copy, features(&now.json()), "staff {staff}");
    }
    // From the beginning on all is told once, as it is.
    let all = get(&db, "/api/collections/park_blocks/changes?since=0").await.json();
    let shown: Vec<&str> =
        all["changes"].as_array().expect("changes").iter().filter_map(|c| c["feature"]["id"].as_str()).collect();
    assert_eq!(shown.len(), 5, "{shown:?}");
}

#[actix_web::test]
async fn the_past_shows_the_outlines_of_its_own_moment() {
    let db = ragged().await;
    let then: i64 = db.value("SELECT max(number) FROM revision").await;
    let mut before = BTreeMap::new();
    for path in ITEMS {
        before.insert(path, features(&get(&db, &format!("{path}?limit=1000")).await.json()));
    }
    let cards = format!("/api/parks/{}", PARKS[0]);
    let card = get(&db, &cards).await.json()["computed"].clone();
    cut_first(&db).await;
    for path in ITEMS {
        let past = get(&db, &format!("{path}?limit=1000&revision={then}")).await.json();
        assert_eq!(features(&past), before[path], "{path}");
        assert_eq!(past["generalisation"], rule());
        let now = features(&get(&db, &format!("{path}?limit=1000")).await.json());
        assert_ne!(now, before[path], "{path}");
        // Without days a life meets every period: what applied is what stands.
        assert_eq!(features(&get(&db, &format!("{path}?limit=1000&datetime=2024-01-01")).await.json()), now, "{path}");
    }
    let id = block(PARKS[1]);
    let one = get(&db, &format!("{BLOCKS}/{id}?revision={then}")).await.json();
    assert_eq!(one["geometry"], before[BLOCKS][&id]["geometry"]);
    assert_eq!(one["generalisation"], rule());
    assert_eq!(get(&db, &format!("{cards}?revision={then}")).await.json()["computed"], card);
    assert_ne!(get(&db, &cards).await.json()["computed"], card);
    // What came and went is told in areas; the land itself has the vertices.
    let history = get(&db, &format!("{BLOCKS}/{}/history?limit=1", block(PARKS[0]))).await.json();
    let geometry = &history["revisions"][0]["geometry"];
    assert_eq!(geometry["omitted"], "generalised", "{geometry}");
    assert!(geometry["removed_m2"].as_f64().expect("an area") > 500_000.0 && geometry.get("removed").is_none());
    let staff = get_authorised(&db, &format!("{BLOCKS}/{}/history?limit=1", block(PARKS[0]))).await.json();
    let told = &staff["revisions"][0]["geometry"];
    assert!(told["removed"]["coordinates"].is_array() && told.get("omitted").is_none(), "{told}");
    assert_eq!(told["removed_m2"], geometry["removed_m2"]);
}

/// A life of a feature: id, the day it began.
type Life = (String, Option<String>);

/// All pages of a question, one feature on each: its life and its shape.
async fn pages(db: &Database, question: &str) -> Vec<(Life, String)> {
    let mut path = format!("{BLOCKS}?limit=1&{question}");
    let mut found = Vec::new();
    loop {
        let page = get(db, &path).await.json();
        assert_eq!(page["generalisation"], rule(), "{path}");
        let feature = &page["features"][0];
        let began = feature["properties"]["valid_from"].as_str().map(str::to_owned);
        found.push(((feature["id"].as_str().expect("id").to_owned(), began), feature["geometry"].to_string()));
        assert!(found.len() <= 2 * PARKS.len(), "{path}: the pages have no end");
        let Some(next) = link(&page, "next") else { return found };
        path = path_of(next);
    }
}

#[actix_web::test]
async fn each_life_of_a_block_has_the_outline_of_its_own_shape() {
    let db = ragged().await;
    cut_first_on(&db, "2020-01-01").await;
    for (period, from, to, shown) in [
        ("2019-12-31/2020-01-01", "2019-12-31", "2020-01-01", 2),
        ("../2020-01-01", "-infinity", "2020-01-01", 2),
        ("2019-12-31/..", "2019-12-31", "infinity", 2),
        ("2019-12-31", "2019-12-31", "2019-12-31", 1),
        ("2020-01-01", "2020-01-01", "2020-01-01", 1),
    ] {
        let (lives, shapes): (Vec<Life>, Vec<String>) =
            pages(&db, &format!("datetime={period}")).await.into_iter().unzip();
        let expected: Vec<Life> = sqlx::query_as(
            "SELECT id, nullif(valid_from, '-infinity')::text FROM park_block WHERE valid_from <= $2::date AND valid_to > $1::date
             ORDER BY id COLLATE \"C\", valid_from",
        )
        .bind(from)
        .bind(to)
        .fetch_all(&db.pool)
        .await
        .expect("lives");
        assert_eq!(lives, expected, "{period}");
        // The lives of its id that each outline is as near to as the rule promises, without being their survey. (Of the first park's two one
        // is a kilometre shorter.)
        let ids: Vec<String> = lives.iter().map(|(id, _)| id.clone()).collect();
        let near: Vec<Life> = sqlx::query_as(
            "SELECT s.id, nullif(b.valid_from, '-infinity')::text
             FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS s (id, shape, nth)
             CROSS JOIN LATERAL (SELECT ST_SetSRID(ST_GeomFromGeoJSON(s.shape), 4490) AS geom) o
             JOIN park_block b ON b.id = s.id
             WHERE ST_HausdorffDistance(ST_Transform(ST_Boundary(b.geom), 4546), ST_Transform(ST_Boundary(o.geom), 4546)) < 25.8
               AND NOT ST_Equals(b.geom, o.geom)
             ORDER BY s.nth, b.valid_from",
        )
        .bind(&ids)
        .bind(&shapes)
        .fetch_all(&db.pool)
        .await
        .expect("judged");
        assert_eq!(near, lives, "{period}: each outline is near to its own life's shape and to no other");
        let of_first = (0..lives.len()).filter(|at| ids[*at] == block(PARKS[0]));
        let of_first: Vec<&String> = of_first.map(|at| &shapes[at]).collect();
        assert_eq!(of_first.len(), shown, "{period}");
        assert!(of_first.windows(2).all(|pair| pair[0] != pair[1]), "{period}: {of_first:?}");
    }
}
