//! `q=`: names, codes, further names and initials; the database by its pattern as memory by its rule.

use serde_json::Value;
use sizhi::domain::layer::Layer;
use sizhi::domain::search::{Search, searched};
use sizhi::layers::declaration;

use crate::support::Database;
use crate::support::http::{encode, get};

fn layers() -> [&'static Layer; 3] {
    [&declaration::PARKS, &declaration::PARK_BLOCKS, &declaration::DIVISIONS]
}

async fn features(db: &Database, layer: &Layer, query: &str) -> Vec<Value> {
    let answer = get(db, &format!("/api/collections/{}/items?limit=10000&{query}", layer.id)).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    answer.json()["features"].as_array().expect("features").clone()
}

fn ids(features: &[Value]) -> Vec<&str> {
    features.iter().map(|f| f["id"].as_str().expect("an id")).collect()
}

/// Whether one of the feature's searched texts fits, by the rule in memory.
fn fits(layer: &Layer, feature: &Value, search: &Search) -> bool {
    let texts = searched(layer).flat_map(|property| match &feature["properties"][property.name] {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    });
    texts.into_iter().any(|text| search.matches(&text))
}

#[actix_web::test]
async fn names_are_found_by_words_initials_and_further_names() {
    let db = Database::with_sample().await;
    let parks = declaration::find("parks").expect("a layer");
    db.write("UPDATE park SET aliases = ARRAY['望城经开区', '重庆路园 ２号'] WHERE code = 'G431033'").await;
    for (search, id, found) in [
        ("长沙经济技术开发区", "G431033", true),
        ("csjjjskfq", "G431033", true),
        ("zsjjjskfq", "G431033", true),
        ("CSJJ", "G431033", true),
        ("ｇ４３１０３３", "G431033", true),
        ("wcjkq", "G431033", true),
        ("cqly", "G431033", true),
        ("zqly", "G431033", true),
        ("园 2号", "G431033", true),
        ("jkqcq", "G431033", false),
        ("csjkfq", "G431033", false),
        (".*", "G431033", false),
        ("[长]沙", "G431033", false),
        ("%", "G431033", false),
        ("\\", "G431033", false),
    ] {
        let all = features(&db, parks, &format!("q={}", encode(search))).await;
        assert_eq!(ids(&all).contains(&id), found, "{search}");
    }
}

#[actix_web::test]
async fn database_and_memory_find_the_same() {
    let db = Database::with_sample().await;
    let searches = [
        "长沙",
        "cs",
        "zs",
        "csjk",
        "yy",
        "gxq",
        "kfq",
        "jkq",
        "hn",
        "43",
        "g43",
        "G431",
        "经开",
        "高新 ",
        "a",
        "第1",
        "e",
        "示意",
        "（",
        "-1",
        "ylxjj",
        "x",
        "2",
        "qkk",
        "开发区",
        "开f",
        "jjjskfq",
        "abcdefghijklm",
        "zzzz",
        "^",
        "$",
        "(",
        "a|b",
    ];
    let mut found = 0;
    for layer in layers() {
        let all = features(&db, layer, "").await;
        for text in searches {
            let search = Search::new(text.trim());
            let wanted: Vec<&str> =
                ids(&all).into_iter().zip(&all).filter(|(_, f)| fits(layer, f, &search)).map(|(id, _)| id).collect();
            let judged = features(&db, layer, &format!("q={}", encode(text))).await;
            assert_eq!(ids(&judged), wanted, "{} {text}", layer.id);
            found += usize::from(!wanted.is_empty() && wanted.len() < all.len());
        }
    }
    assert!(found > 40, "{found} searches tell something");
}

#[actix_web::test]
async fn the_past_is_searched_like_the_present() {
    let db = Database::with_sample().await;
    let before: i64 = db.value("SELECT max(number) FROM revision").await;
    db.write("UPDATE park SET name = '重庆园' WHERE code = 'G431033'").await;
    let parks = declaration::find("parks").expect("a layer");
    let now = features(&db, parks, "q=cqy").await;
    assert_eq!(ids(&now), ["G431033"]);
    assert!(features(&db, parks, &format!("q=cqy&revision={before}")).await.is_empty());
    let then = features(&db, parks, &format!("q=csjjjskfq&revision={before}")).await;
    assert_eq!(ids(&then), ["G431033"]);
}

#[actix_web::test]
async fn the_longest_search_is_answered_in_time() {
    let db = Database::with_sample().await;
    for (text, status) in
        [("zyzyzyzyzyzy", 200), (&"z".repeat(100), 200), (&"长".repeat(100), 200), (&"z".repeat(101), 400)]
    {
        assert_eq!(
            get(&db, &format!("/api/collections/parks/items?limit=1&q={}", encode(text))).await.status,
            status,
            "{text}"
        );
    }
}
