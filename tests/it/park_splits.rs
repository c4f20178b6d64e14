//! A park is split: every block goes to one park, and no land is lost.

use serde_json::{Value, json};

use crate::support::Database;
use crate::support::consolidation::{codes, contents, happen, read, undo};
use crate::support::land::newest;

/// A rectangle around the park's only block, cut at this share of its width.
async fn halves(db: &Database, block: &str, share: f64) -> (Value, Value) {
    let cut = |west: f64, east: f64| {
        format!(
            "SELECT ST_AsGeoJSON(ST_Multi(ST_CollectionExtract(ST_Intersection(geom, ST_MakeEnvelope(
                 ST_XMin(geom) + {west} * (ST_XMax(geom) - ST_XMin(geom)), ST_YMin(geom) - 1, ST_XMin(geom) + {east} * (ST_XMax(geom) - ST_XMin(geom)),
                 ST_YMax(geom) + 1, 4490)), 3)), 15)
             FROM park_block WHERE id = '{block}'"
        )
    };
    let shape = |text: String| serde_json::from_str::<Value>(&text).expect("GeoJSON");
    let west = shape(db.value::<String>(&cut(0.0, share)).await);
    (west, shape(db.value::<String>(&cut(share, 1.0)).await))
}

/// The western and the eastern part of a shape, which together are it.
async fn halves_of(shape: &Value, db: &Database) -> (Value, Value) {
    let cut = |from: f64, to: f64| {
        format!(
            "SELECT ST_AsGeoJSON(ST_Multi(ST_CollectionExtract(ST_Intersection(g, ST_MakeEnvelope(
                 ST_XMin(g) + {from} * (ST_XMax(g) - ST_XMin(g)), 20, ST_XMin(g) + {to} * (ST_XMax(g) - ST_XMin(g)), 40, 4490)), 3)), 15)
             FROM (SELECT ST_SetSRID(ST_GeomFromGeoJSON('{shape}'), 4490) AS g) s"
        )
    };
    let part = |text: String| serde_json::from_str::<Value>(&text).expect("GeoJSON");
    let west = part(db.value::<String>(&cut(0.0, 0.3)).await);
    (west, part(db.value::<String>(&cut(0.3, 1.0)).await))
}

#[actix_web::test]
async fn a_split_gives_every_block_to_one_park_and_loses_no_land() {
    let db = Database::with_sample().await;
    let before = contents(&db).await;
    let blocks: Vec<String> =
        db.column("SELECT id FROM park_block WHERE park_code = 'S437002' ORDER BY length(number), number").await;
    let first = blocks[0].clone();
    let rest = &blocks[1..];
    let (west, east) = halves(&db, &first, 0.2).await;
    let part = |from: &str, shape: &Value| json!({"type": "Feature", "properties": {"from": from}, "geometry": shape});
    let new = json!({"code": "S437998", "name": "金霞西园", "type": "省级经济开发区", "prefecture": "430100", "approved_area_ha": "1000.00"});
    let mut heir = new.clone();
    heir["blocks"] = json!([part(&first, &west)]);
    let mut keeps = vec![part(&first, &east)];
    keeps.extend(rest.iter().map(|id| json!(id)));
    let body = json!({
        "kind": "split", "park": "S437002", "on": "2026-02-01", "keeps": keeps, "into": [heir], "seen_revision": newest(&db).await,
        "areas": {"before_ha": "2545.53", "out_ha": "1000", "in_ha": "0", "after_ha": "1545.53"},
    });
    // What loses land, takes what is not there, forgets a block or gives one twice is refused.
    let (narrow, _) = halves(&db, &first, 0.19).await;
    let (wide, _) = halves(&db, &first, 0.21).await;
    let with = |edit: &dyn Fn(&mut Value)| {
        let mut body = body.clone();
        edit(&mut body);
        body
    };
    for (what, body, code) in [
        ("a gap", with(&|b| b["into"][0]["blocks"][0]["geometry"] = narrow.clone()), "land_left_out"),
        ("twice", with(&|b| b["into"][0]["blocks"][0]["geometry"] = wide.clone()), "children_overlap"),
        ("forgotten", with(&|b| b["keeps"] = json!([])), "share_empty"),
        (
            "unknown",
            with(&|b| b["into"][0]["blocks"][0]["properties"]["from"] = json!("S437002-99")),
            "block_not_found",
        ),
        ("whole and in parts", with(&|b| b["keeps"].as_array_mut().expect("list").push(json!(first))), "block_twice"),
        ("wrong sum", with(&|b| b["areas"]["after_ha"] = json!("1545.54")), "event_area_arithmetic"),
        ("taken code", with(&|b| b["into"][0]["code"] = json!("S437001")), "park_exists"),
        ("taken name", with(&|b| b["into"][0]["name"] = json!("长沙天心经济开发区")), "park_name_taken"),
        ("no such county", with(&|b| b["into"][0]["counties"] = json!(["430199"])), "division_unknown"),
        ("to come", with(&|b| b["on"] = json!("2099-01-01")), "event_in_future"),
        ("too early", with(&|b| b["on"] = json!("1994-03-01")), "event_before_last"),
    ] {
        let refused = happen(&db, &body).await;
        assert_eq!(refused.status, 400, "{what}: {}", refused.text());
        let problem = refused.assert_problem(400, "park_event_refused");
        let codes: Vec<&str> =
            problem["findings"].as_array().expect("list").iter().filter_map(|f| f["code"].as_str()).collect();
        assert!(codes.contains(&code), "{what}: {problem}");
    }
    assert_eq!(contents(&db).await, before);

    let done = happen(&db, &body).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let whole: f64 = db
        .value(&format!(
            "SELECT ST_Area(geom::geography) FROM park_block WHERE id = '{first}' AND valid_to = '2026-02-01'"
        ))
        .await;
    let parts: Vec<f64> = db
        .column(&format!(
            "SELECT ST_Area(c.geom::geography) FROM block_lineage l JOIN park_block c ON c.id = l.child_id AND c.valid_to = 'infinity'
             WHERE l.parent_id = '{first}' ORDER BY 1"
        ))
        .await;
    assert_eq!(parts.len(), 2);
    assert!((parts.iter().sum::<f64>() / whole - 1.0).abs() < 1e-9, "{parts:?} {whole}");
    // The number goes on under the land that is kept; what was whole was not touched.
    let kept: i64 = db.value(&format!("SELECT count(*) FROM park_block WHERE id = '{first}'")).await;
    assert_eq!(kept, 2);
    let untouched: i64 =
        db.value("SELECT count(*) FROM park_block WHERE park_code = 'S437002' AND valid_to = 'infinity'").await;
    assert_eq!(untouched, blocks.len() as i64);
    let lineage = read(&db, "/api/parks/S437998/lineage").await;
    assert_eq!(codes(&lineage["nodes"]), ["S437998", "S437002"]);
    let lay = read(&db, "/api/parks/S437998/predecessors?on=2026-01-31").await;
    assert_eq!(codes(&lay["parks"]), ["S437002"]);
    let share = lay["parks"][0]["share_of_that"].as_f64().expect("share");
    let judged: f64 = db
        .value("SELECT (SELECT sum(ST_Area(geom::geography)) FROM park_block WHERE park_code = 'S437998') / sum(ST_Area(geom::geography))
                FROM park_block WHERE park_code = 'S437002' AND valid_from <= '2026-01-31' AND valid_to > '2026-01-31'")
        .await;
    assert!((share - judged).abs() < 2e-6, "{share} {judged}");
    let undone = undo(&db, done.json()["revision"].as_i64().expect("revision")).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    assert_eq!(contents(&db).await, before);

    // Parts of one block and whole ones in one park: each has a number of its own.
    let (westmost, middle) = halves_of(&west, &db).await;
    let mut keeps = vec![part(&first, &westmost), part(&first, &middle)];
    keeps.extend(rest[1..].iter().map(|id| json!(id)));
    let (a, b) = halves_of(&east, &db).await;
    let mut heir = new.clone();
    heir["blocks"] = json!([part(&first, &a), part(&first, &b), rest[0]]);
    let body = json!({"kind": "split", "park": "S437002", "on": "2026-02-01", "keeps": keeps, "into": [heir], "seen_revision": newest(&db).await});
    let done = happen(&db, &body).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let begun: Vec<String> = db.column("SELECT id FROM park_block WHERE valid_from = '2026-02-01' ORDER BY id").await;
    assert_eq!(begun, ["S437002-1", "S437002-4", "S437998-1", "S437998-2", "S437998-3"]);
    let undone = undo(&db, done.json()["revision"].as_i64().expect("revision")).await;
    assert_eq!(undone.status, 200, "{}", undone.text());
    assert_eq!(contents(&db).await, before);

    // Wholly into others: the park ends.
    let mut others = vec![part(&first, &east)];
    others.extend(rest.iter().map(|id| json!(id)));
    let body = json!({"kind": "split", "park": "S437002", "on": "2026-02-01", "seen_revision": newest(&db).await,
        "into": [{"code": "S437998", "name": "金霞甲园", "prefecture": "430100", "blocks": [part(&first, &west)]},
                 {"code": "S437997", "name": "金霞乙园", "prefecture": "430100",
                  "blocks": others}]});
    let done = happen(&db, &body).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let status: String = db.value("SELECT status || ' ' || valid_to FROM park WHERE code = 'S437002'").await;
    assert_eq!(status, "split 2026-02-01");
    assert_eq!(db.audit().await, None);
}

/// Whoever wrote the request finds what is meant in the list of the park that gets the part.
#[actix_web::test]
async fn a_split_takes_numbers_as_text_and_names_parts_by_their_place_in_the_list() {
    let db = Database::with_sample().await;
    let before = contents(&db).await;
    let blocks: Vec<String> =
        db.column("SELECT id FROM park_block WHERE park_code = 'S437002' ORDER BY length(number), number").await;
    let (first, rest) = (blocks[0].clone(), &blocks[1..]);
    let (west, east) = halves(&db, &first, 0.2).await;
    let (wide, _) = halves(&db, &first, 0.21).await;
    let part = |shape: &Value, number: Value| json!({"type": "Feature", "properties": {"from": first, "number": number}, "geometry": shape});
    let seen = newest(&db).await;
    let split = |kept: Value, given: Value| {
        let mut keeps: Vec<Value> = rest.iter().map(|id| json!(id)).collect();
        keeps.push(kept);
        json!({"kind": "split", "park": "S437002", "on": "2026-02-01", "keeps": keeps, "seen_revision": seen, "dry_run": true,
               "into": [{"code": "S437998", "name": "金霞西园", "prefecture": "430100", "blocks": [given]}]})
    };
    let tried = happen(&db, &split(part(&east, Value::Null), part(&west, json!(7)))).await;
    assert_eq!(tried.status, 200, "{}", tried.text());
    let begun = tried.json()["blocks"]["begun"].clone();
    assert!(begun.as_array().expect("list").contains(&json!("S437998-7")), "{begun}");
    let taken = json!(rest[0].split_once('-').expect("an id").1);
    let last = blocks.len();
    for (what, body, code, row, heir) in [
        ("a list", split(part(&east, Value::Null), part(&west, json!([7]))), "id_invalid", 1, "S437998"),
        ("a taken number", split(part(&east, taken), part(&west, Value::Null)), "id_duplicate", last, "S437002"),
        ("a blank", split(part(&east, json!("a b")), part(&west, Value::Null)), "id_invalid", last, "S437002"),
        ("twice", split(part(&east, Value::Null), part(&wide, Value::Null)), "children_overlap", 1, "S437998"),
        ("nobody's", split(json!("S437002-99"), part(&west, Value::Null)), "block_not_found", last, "S437002"),
    ] {
        let problem = happen(&db, &body).await.assert_problem(400, "park_event_refused");
        let finding = problem["findings"].as_array().expect("list").iter().find(|f| f["code"] == code);
        let finding = finding.unwrap_or_else(|| panic!("{what}: {problem}"));
        assert_eq!(finding["row"], json!(row), "{what}: {finding}");
        assert!(finding["message"].as_str().expect("text").contains(heir), "{what}: {finding}");
    }
    assert_eq!((newest(&db).await, contents(&db).await), (seen, before));
}
