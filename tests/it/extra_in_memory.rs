//! Extra layers take the road through memory: held, followed, in tiles; and the CQL2 standard's table over HTTP.

use std::sync::Arc;

use actix_web::http::Method;
use serde_json::Value;
use sizhi::api::State;
use sizhi::domain::access::{Jurisdiction, Role, Viewer};
use sizhi::domain::detail::Detail;
use sizhi::domain::items_query::ItemsQuery;
use sizhi::inventory::live::Live;
use sizhi::inventory::tiles;
use sizhi::layers::cql2::{self, Language};
use sizhi::store::features;

use crate::cql2_standard::{ERRATA, data, load_package};
use crate::support::Database;
use crate::support::extra::{get, get_authorised, make, serve};
use crate::support::http::{authorised, call_with, encode};

/// The same with every layer in memory.
async fn held(db: &Database, file: &str) -> (State, Arc<Live>) {
    let (state, _) = serve(db, file).await;
    let live = Arc::new(Live::new(db.application.clone(), state.layers.all(), tiles::attributes_of, Vec::new()));
    live.refresh().await.expect("read");
    live.look_at_extras().await;
    (state.with_live(Arc::clone(&live)), live)
}

const TABLE: &str = "CREATE TABLE plots (id int PRIMARY KEY, county text, kind text, n int, g geometry(Polygon, 4490));
    INSERT INTO plots SELECT i, CASE WHEN i % 3 = 0 THEN '430102' ELSE '430202' END, 'k' || i % 5, i,
        ST_MakeEnvelope(112 + i * 0.001, 28, 112.0005 + i * 0.001, 28.0005, 4490) FROM generate_series(1, 300) i";

fn file(follow: &str) -> String {
    format!(
        "[[layer]]\nid = \"plots\"\ntable = \"plots\"\nvisibility = \"internal\"\ndivision = \"county\"\nfollow = \"{follow}\"\n"
    )
}

#[actix_web::test]
async fn memory_gives_what_the_table_gives_to_whom_it_may() {
    let db = Database::empty().await;
    make(&db, TABLE).await;
    let (state, live) = held(&db, &file("trigger")).await;
    let layer = state.layers.find("plots").expect("declared");
    let held = live.held(layer).expect("held");
    assert_eq!(held.snapshot_for(Detail::Surveyed).len(), 300);
    let of = |codes: &[&str]| {
        Jurisdiction::parse(&codes.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>()).expect("jurisdiction")
    };
    for (jurisdiction, expected) in
        [(Jurisdiction::Everywhere, 300), (of(&["430100"]), 100), (of(&["430202"]), 200), (of(&["431000"]), 0)]
    {
        let viewer = Viewer { actor: "staff".to_owned(), role: Role::Staff, jurisdiction };
        for boxes in [vec![], vec![[112.05, 28.0, 112.1002, 28.1]]] {
            let query = ItemsQuery { boxes, limit: 17, offset: 3, ..ItemsQuery::default() };
            let selection =
                held.snapshot_for(Detail::Surveyed).select(&query, &viewer.jurisdiction).expect("by memory");
            let page = features::list_items(&db.application, &viewer, layer, &query).await.expect("page");
            let ids: Vec<&str> = selection.picked.iter().map(|p| held.snapshot_for(Detail::Surveyed).id(*p)).collect();
            assert_eq!(ids, page.features.iter().map(|f| f.id.as_str()).collect::<Vec<_>>());
            assert_eq!((selection.matched as i64, selection.more), (page.matched, page.more));
            if query.boxes.is_empty() {
                assert_eq!(selection.matched, expected);
            }
        }
    }
}

#[actix_web::test]
async fn a_write_to_the_table_shows_in_items_and_tiles_after_the_next_look() {
    let db = Database::empty().await;
    make(&db, TABLE).await;
    for follow in ["trigger", "polling"] {
        let file = file(follow) + if follow == "polling" { "poll_seconds = 1\n" } else { "" };
        let (state, live) = held(&db, &file).await;
        let numbers = async |state: &State| {
            let body = get_authorised(state, "/api/collections/plots/items?limit=1000").await.json();
            let features = body["features"].as_array().expect("features").clone();
            let sum: i64 = features.iter().filter_map(|f| f["properties"]["n"].as_i64()).sum();
            (body["numberMatched"].as_i64().expect("number"), sum)
        };
        let tile = "/api/collections/plots/tiles/WebMercatorQuad/14/6863/13289";
        let before = (numbers(&state).await, get_authorised(&state, tile).await.body);
        make(&db, "UPDATE plots SET n = n + 1000 WHERE id = 7; DELETE FROM plots WHERE id = 9; INSERT INTO plots SELECT 9001, '430102', 'k1', 5, ST_MakeEnvelope(112.01, 28, 112.02, 28.01, 4490)").await;
        tokio::time::sleep(std::time::Duration::from_millis(if follow == "polling" { 1_200 } else { 0 })).await;
        live.look_at_extras().await;
        let after = (numbers(&state).await, get_authorised(&state, tile).await.body);
        let ((count, sum), (count_after, sum_after)) = (before.0, after.0);
        assert_eq!((count_after, sum_after), (count, sum + 1000 - 9 + 5), "{follow}");
        assert!(!before.1.is_empty() && before.1 != after.1, "{follow}: the tile shows it");
        make(&db, "TRUNCATE plots").await;
        tokio::time::sleep(std::time::Duration::from_millis(if follow == "polling" { 1_200 } else { 0 })).await;
        live.look_at_extras().await;
        assert_eq!(numbers(&state).await, (0, 0), "{follow}");
        make(&db, "DROP TABLE plots").await;
        make(&db, TABLE).await;
    }
}

#[actix_web::test]
async fn an_answer_from_memory_is_current_until_the_table_changes() {
    let db = Database::empty().await;
    make(&db, TABLE).await;
    let (state, live) = held(&db, &file("trigger")).await;
    let path = "/api/collections/plots/items?limit=1";
    let tag = get_authorised(&state, path).await.header("etag").expect("a tag").to_owned();
    let again = async || {
        live.look_at_extras().await;
        let request = authorised(Method::GET, path).insert_header(("if-none-match", tag.clone()));
        call_with(state.clone(), request).await.status
    };
    assert_eq!(again().await, 304);
    make(&db, "CREATE TABLE other (id int); INSERT INTO other VALUES (1)").await;
    assert_eq!(again().await, 304);
    make(&db, "UPDATE plots SET n = 0 WHERE id = 1").await;
    assert_eq!(again().await, 200);
}

#[actix_web::test]
async fn a_table_that_is_gone_or_odd_holds_up_no_other_layer() {
    let db = Database::with_sample().await;
    make(
        &db,
        "CREATE TABLE odd (id int PRIMARY KEY, g geometry);
         INSERT INTO odd VALUES (1, 'SRID=4490;POINT(112 28)'),
             (2, 'SRID=4490;TIN(((112 28, 112.1 28, 112.1 28.1, 112 28)))');
         CREATE TABLE gone (id int PRIMARY KEY, g geometry(Point, 4490));
         INSERT INTO gone VALUES (1, 'SRID=4490;POINT(112 28)')",
    )
    .await;
    let file = "[[layer]]\nid = \"odd\"\ntable = \"odd\"\nvisibility = \"public\"\n\
                [[layer]]\nid = \"gone\"\ntable = \"gone\"\nvisibility = \"public\"\n";
    let (state, live) = held(&db, file).await;
    assert!(live.is_complete());
    // What GeoJSON has no word for is a feature without a shape, from memory as from the database.
    let shapes = async |path: &str| {
        let body = get(&state, path).await.json();
        let features = body["features"].as_array().unwrap_or_else(|| panic!("{body}")).clone();
        features.iter().map(|f| f["geometry"]["type"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(shapes("/api/collections/odd/items").await, [Some("Point".to_owned()), None]);
    assert_eq!(shapes("/api/collections/odd/items?sortby=id").await, [Some("Point".to_owned()), None]);
    make(&db, "DROP TABLE gone").await;
    for _ in 0..2 {
        live.look_at_extras().await;
        live.refresh().await.expect("the register is read all the same");
    }
    assert!(live.is_complete());
    assert_eq!(get(&state, "/api/collections/parks/items?limit=1").await.status, 200);
    assert_eq!(shapes("/api/collections/odd/items").await.len(), 2);
}

#[actix_web::test]
async fn a_tile_of_a_layer_that_is_not_held_comes_from_the_table_and_changes_with_it() {
    let db = Database::empty().await;
    make(&db, TABLE).await;
    let (state, _) = serve(&db, &file("trigger")).await;
    let tile = "/api/collections/plots/tiles/WebMercatorQuad/14/6863/13289";
    let first = get_authorised(&state, tile).await;
    assert_eq!(first.status, 200, "{}", first.text());
    make(&db, "UPDATE plots SET kind = 'other' WHERE id = 9").await;
    let second = get_authorised(&state, tile).await;
    assert!(second.status == 200 && first.body != second.body, "the tile shows the change");
    get(&state, tile).await.assert_problem(404, "collection_not_found");
}

#[actix_web::test]
async fn every_row_of_the_standards_table_counts_over_http_in_text_and_in_json() {
    let Some(folder) = data() else { return };
    let db = Database::empty().await;
    load_package(&db).await;
    let tables = ["ne_110m_admin_0_countries", "ne_110m_populated_places_simple", "ne_110m_rivers_lake_centerlines"];
    let file: String = tables
        .map(|table| {
            format!("[[layer]]\nid = \"{table}\"\ntable = \"{table}\"\nkey = \"fid\"\nvisibility = \"public\"\n")
        })
        .concat();
    let (state, live) = held(&db, &file).await;
    for table in tables {
        assert!(live.held(state.layers.find(table).expect("declared")).is_some(), "{table}");
    }
    let rows = std::fs::read_to_string(folder.join("rows.json")).expect("rows");
    let rows: Vec<Value> = serde_json::from_str(&rows).expect("JSON");
    assert!(rows.len() >= 192);
    for row in &rows {
        let (collection, filter) =
            (row["collection"].as_str().expect("a layer"), row["filter"].as_str().expect("text"));
        let expected = ERRATA.iter().find(|(text, ..)| *text == filter).map_or(row["count"].as_i64(), |e| Some(e.2));
        let json = cql2::to_json(&cql2::read(filter, Language::Text).expect("readable")).to_string();
        for (language, filter) in [("cql2-text", filter), ("cql2-json", json.as_str())] {
            let path = format!(
                "/api/collections/{collection}/items?limit=1000&filter-lang={language}&filter={}",
                encode(filter)
            );
            let answer = get(&state, &path).await;
            assert_eq!(answer.status, 200, "{filter}: {}", answer.text());
            let body = answer.json();
            assert_eq!(body["numberMatched"].as_i64(), expected, "{language} {filter}");
            assert_eq!(body["features"].as_array().map(|f| f.len() as i64), expected, "{language} {filter}");
        }
    }
}
