//! `…/changes`: a client that loads once and then follows holds the server's state, whatever is written meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use sizhi::domain::access::Viewer;
use sizhi::layers::declaration;
use sizhi::store::changes::{self as feed, ChangesQuery};

use crate::support::Database;
use crate::support::edits::{self, Dice, Kind};
use crate::support::http::{Answer, call, encode, get, get_authorised, link, path_of};

/// A client's copy of a layer: features by id, and the revision it stands for.
pub struct Copy {
    /// Somebody who sees what was surveyed; the public holds outlines.
    pub staff: bool,
    pub layer: &'static str,
    pub features: BTreeMap<String, Value>,
    pub revision: i64,
}

impl Copy {
    /// Loads page by page, while others may write: later pages may be newer than the first.
    pub async fn load(db: &Database, layer: &'static str, limit: usize, staff: bool) -> Self {
        let mut path = format!("/api/collections/{layer}/items?limit={limit}");
        let mut copy = Self { staff, layer, features: BTreeMap::new(), revision: -1 };
        loop {
            let page = get_as(db, &path, staff).await;
            if copy.revision < 0 {
                copy.revision = page.header("sizhi-revision").expect("revision").parse().expect("number");
            }
            let page = page.json();
            for feature in page["features"].as_array().expect("features") {
                copy.features.insert(feature["id"].as_str().expect("id").to_owned(), feature.clone());
            }
            let Some(next) = link(&page, "next") else { return copy };
            path = path_of(next);
        }
    }

    /// Puts one page of changes in, and checks what must hold of it.
    pub fn apply(&mut self, page: &Value, seen: &mut BTreeSet<String>, last: &mut (i64, String)) {
        let (since, until) = (page["since"].as_i64().expect("since"), page["until"].as_i64().expect("until"));
        assert_eq!(since, self.revision, "the window begins where the copy stands");
        for change in page["changes"].as_array().expect("changes") {
            let id = change["id"].as_str().expect("id").to_owned();
            let revision = change["revision"].as_i64().expect("revision");
            assert!(since < revision && revision <= until, "{revision} is not in ({since}, {until}]");
            assert!(*last < (revision, id.clone()), "out of order: {last:?}, then {revision} {id}");
            *last = (revision, id.clone());
            assert!(seen.insert(id.clone()), "{id} twice in one window");
            match change["operation"].as_str().expect("operation") {
                "removed" => {
                    assert_eq!(change["feature"], Value::Null);
                    self.features.remove(&id);
                }
                operation => {
                    assert!(matches!(operation, "added" | "changed"), "{operation}");
                    assert_eq!(change["feature"]["id"], id.as_str());
                    self.features.insert(id, change["feature"].clone());
                }
            }
        }
        if page["more"] == false {
            self.revision = until;
            seen.clear();
            *last = (0, String::new());
        }
    }

    /// Follows to the newest revision by pages of `limit`; gives the number of changes.
    async fn follow(&mut self, db: &Database, limit: usize) -> usize {
        let mut path = format!("/api/collections/{}/changes?since={}&limit={limit}", self.layer, self.revision);
        let (mut seen, mut last, mut changes) = (BTreeSet::new(), (0, String::new()), 0);
        loop {
            let answer = get_as(db, &path, self.staff).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            let page = answer.json();
            let count = page["changes"].as_array().map_or(0, Vec::len);
            assert!(count <= limit);
            assert_eq!(page["numberReturned"], count);
            assert_eq!(answer.header("sizhi-revision"), Some(page["until"].to_string().as_str()));
            self.apply(&page, &mut seen, &mut last);
            changes += count;
            match link(&page, "next") {
                Some(next) => path = path_of(next),
                None => {
                    assert_eq!(page["more"], false);
                    return changes;
                }
            }
        }
    }
}

async fn get_as(db: &Database, path: &str, staff: bool) -> Answer {
    if staff { get_authorised(db, path).await } else { get(db, path).await }
}

/// All features of a layer, as `items` shows them.
pub async fn whole(db: &Database, layer: &str, staff: bool) -> BTreeMap<String, Value> {
    let page = get_as(db, &format!("/api/collections/{layer}/items?limit=10000"), staff).await.json();
    let features = page["features"].as_array().expect("features");
    assert_eq!(page["numberMatched"], features.len());
    features.iter().map(|f| (f["id"].as_str().expect("id").to_owned(), f.clone())).collect()
}

/// Fails with the ids that differ, not with both layers.
#[track_caller]
pub fn assert_same(copy: &BTreeMap<String, Value>, server: &BTreeMap<String, Value>, what: &str) {
    let differing: Vec<&String> =
        copy.keys().chain(server.keys()).filter(|id| copy.get(*id) != server.get(*id)).collect();
    assert_eq!(differing, [""; 0], "{what}");
}

#[actix_web::test]
async fn a_client_that_follows_holds_the_state_after_a_thousand_edits_by_four_writers() {
    followers_hold_the_state(1_000, true).await;
}

/// Outlines are reckoned for each state that is asked for: fewer edits.
#[actix_web::test]
async fn a_client_that_follows_the_outlines_holds_them_while_four_write() {
    followers_hold_the_state(150, false).await;
}

async fn followers_hold_the_state(edits: usize, staff: bool) {
    let db = Arc::new(Database::with_sample().await);
    let seed = Dice::of_this_run("follower").0;
    let parks = Arc::new(edits::parks(&db, 12).await);
    let written = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (db, parks, written) = (Arc::clone(&db), Arc::clone(&parks), Arc::clone(&written));
            let mut dice = Dice(seed.wrapping_add(writer * 7_919));
            actix_web::rt::spawn(async move {
                let mut kinds = BTreeMap::new();
                while written.load(Ordering::SeqCst) < edits {
                    let kind = edits::edit(&db, &mut dice, &parks).await;
                    *kinds.entry(kind).or_insert(0) += 1;
                    written.fetch_add(usize::from(kind != Kind::Refused), Ordering::SeqCst);
                }
                kinds
            })
        })
        .collect();
    let followers: Vec<_> = [("park_blocks", 50, 7), ("parks", 20, 3), ("park_blocks", 1_000, 10_000)]
        .into_iter()
        .map(|(layer, load, limit)| {
            let (db, done) = (Arc::clone(&db), Arc::clone(&done));
            actix_web::rt::spawn(async move {
                let mut copy = Copy::load(&db, layer, load, staff).await;
                let (mut rounds, mut changes) = (0, 0);
                loop {
                    let last_round = done.load(Ordering::SeqCst);
                    changes += copy.follow(&db, limit).await;
                    rounds += 1;
                    if last_round {
                        return (copy, rounds, changes);
                    }
                }
            })
        })
        .collect();
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    for writer in writers {
        writer.await.expect("writer").into_iter().for_each(|(kind, n)| *kinds.entry(kind).or_default() += n);
    }
    done.store(true, Ordering::SeqCst);
    let newest: i64 = db.value("SELECT max(number) FROM revision").await;
    assert!(newest > edits as i64, "seed {seed}: {kinds:?}");
    for kind in [Kind::Rename, Kind::Move, Kind::EndOfLife, Kind::Remove, Kind::Import, Kind::Undo, Kind::Division] {
        assert!(!staff || kinds.get(&kind).is_some_and(|n| *n > 5), "seed {seed}: few {kind:?}: {kinds:?}");
    }
    for follower in followers {
        let (copy, rounds, changes) = follower.await.expect("follower");
        assert_eq!(copy.revision, newest, "seed {seed}");
        assert!(
            rounds > if staff { 1 } else { 0 } && changes > if staff { 100 } else { 20 },
            "seed {seed}: {rounds} rounds, {changes} changes"
        );
        let what = format!("seed {seed}: {}", copy.layer);
        assert_same(&copy.features, &whole(&db, copy.layer, copy.staff).await, &what);
    }
    // From nothing, by small pages, at one go.
    for layer in ["parks", "park_blocks", "divisions"] {
        let mut copy = Copy { staff, layer, features: BTreeMap::new(), revision: 0 };
        copy.follow(&db, 97).await;
        assert_same(&copy.features, &whole(&db, layer, staff).await, &format!("seed {seed}: {layer} from 0"));
    }
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn a_page_is_told_whole() {
    let db = Database::with_sample().await;
    db.write("UPDATE park SET name = '甲' WHERE code = 'G431176'").await;
    db.write("UPDATE park_block SET name = '乙' WHERE id = 'G431176-2'").await;
    db.write("DELETE FROM park_block WHERE id = 'G431176-1'").await;
    db.write(
        "INSERT INTO park_block (id, park_code, number, geom, area_m2, source) SELECT 'G431176-9', park_code, '9', geom, 5, 's' FROM park_block WHERE id = 'G431176-2'",
    )
    .await;
    let made: Vec<String> = db
        .column("SELECT to_char(made_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM revision ORDER BY number")
        .await;
    let mut features = whole(&db, "park_blocks", false).await;
    let mut feature = |id: &str| features.remove(id).expect("feature");
    let page = get(&db, "/api/collections/park_blocks/changes?since=1").await;
    assert_eq!(page.header("content-type"), Some("application/json; charset=utf-8"));
    let base = "http://localhost:8080/api/collections/park_blocks";
    assert_eq!(
        page.json(),
        json!({
            "generalisation": {"tolerance_m": 10, "decimals": 4},
            "since": 1, "until": 5, "more": false, "numberReturned": 3,
            "changes": [
                // Its park was renamed in 2; its own row was changed in 3.
                {"revision": 3, "made_at": made[2], "operation": "changed", "id": "G431176-2", "valid_from": null, "feature": feature("G431176-2")},
                {"revision": 4, "made_at": made[3], "operation": "removed", "id": "G431176-1", "valid_from": null, "feature": null},
                {"revision": 5, "made_at": made[4], "operation": "added", "id": "G431176-9", "valid_from": null, "feature": feature("G431176-9")},
            ],
            "links": [
                {"rel": "self", "type": "application/json", "href": format!("{base}/changes?since=1")},
                {"rel": "collection", "type": "application/json", "title": "园区区块", "href": base},
                {"rel": "monitor", "type": "text/event-stream", "title": "此后的变更", "href": format!("{base}/changes/stream?since=5")},
            ],
        })
    );
    let parks = get(&db, "/api/collections/parks/changes?since=2&limit=1").await.json();
    let park = whole(&db, "parks", false).await.remove("G431176").expect("park");
    assert_eq!(
        parks["changes"],
        json!([{"revision": 5, "made_at": made[4], "operation": "changed", "id": "G431176", "valid_from": "2014-02-01", "feature": park}]),
        "a park changes with its blocks"
    );
    let nothing = get(&db, "/api/collections/divisions/changes?since=1").await.json();
    assert_eq!((&nothing["changes"], &nothing["until"], &nothing["more"]), (&json!([]), &json!(5), &json!(false)));
}

#[actix_web::test]
async fn what_came_and_went_within_a_window_is_told_as_removed() {
    let db = Database::with_sample().await;
    db.write(
        "INSERT INTO park_block (id, park_code, number, geom, area_m2, source) SELECT 'G431176-9', park_code, '9', geom, 5, 's' FROM park_block WHERE id = 'G431176-2'",
    )
    .await;
    db.write("DELETE FROM park_block WHERE id = 'G431176-9'").await;
    // (The public hears of the neighbours too.)
    let page = get_authorised(&db, "/api/collections/park_blocks/changes?since=1").await.json();
    let change = &page["changes"][0];
    assert_eq!(
        (&change["id"], &change["operation"], &change["feature"], page["numberReturned"].as_i64()),
        (&json!("G431176-9"), &json!("removed"), &Value::Null, Some(1))
    );
}

#[actix_web::test]
async fn one_revision_larger_than_a_page_is_paged_without_gap_while_others_write() {
    let db = Database::with_sample().await;
    let blocks: i64 = db.value("SELECT count(*) FROM park_block").await;
    db.write("UPDATE park_block SET name = '同一修订'").await;
    let mut path = "/api/collections/park_blocks/changes?since=1&limit=50".to_owned();
    let (mut ids, mut pages) = (BTreeSet::new(), 0);
    loop {
        let page = get(&db, &path).await.json();
        assert_eq!((&page["since"], &page["until"]), (&json!(1), &json!(2)), "the window stays");
        for change in page["changes"].as_array().expect("changes") {
            assert_eq!(change["feature"]["properties"]["name"], "同一修订", "as it was at the window's end");
            assert!(ids.insert(change["id"].as_str().expect("id").to_owned()));
        }
        pages += 1;
        // The next revision changes what is still to come.
        db.write("UPDATE park_block SET name = '后来' WHERE id = (SELECT max(id) FROM park_block)").await;
        let Some(next) = link(&page, "next") else { break };
        path = path_of(next);
    }
    assert_eq!((ids.len() as i64, pages), (blocks, (blocks + 49) / 50));
}

#[actix_web::test]
async fn a_viewer_is_told_of_nothing_outside_of_their_sight() {
    use sizhi::domain::DivisionCode;
    use sizhi::domain::access::{Jurisdiction, Role};
    use sizhi::domain::layer::{Layer, Property, PropertyKind, Shows, Source, Titles, Visibility};
    const T: Titles = Titles { zh: "地块", en: "Plots" };
    static PLOTS: Layer = Layer {
        id: "plots",
        title: T,
        description: T,
        relation: "layer_plots",
        properties: &[Property::new("note", PropertyKind::Text, T)],
        current_only: true,
        visibility: Visibility::Internal,
        sources: &[Source { table: "plot", title: T, id: "id", shows: Shows::AsItself, division: Some("county_code") }],
        ..Layer::OF_REGISTER
    };
    let db = Database::with_sample().await;
    let mut owner = db.superuser().await;
    sqlx::raw_sql(
        "CREATE TABLE plot (id text PRIMARY KEY, county_code text NOT NULL, note text, geom geometry(MultiPolygon, 4490), revision bigint NOT NULL);
         SELECT track_table('plot', 'n.id', 'id');
         SELECT protect_by_jurisdiction('plot', 'county_code');
         ALTER TABLE plot FORCE ROW LEVEL SECURITY;
         SELECT as_of_table('plot');
         SELECT publish_layer_view('layer_plots', 'SELECT id AS feature_id, geom, NULL::date AS valid_from, NULL::date AS valid_to, id, note FROM plot');
         GRANT SELECT ON plot, layer_plots, as_of.plot, as_of.layer_plots TO sizhi; GRANT USAGE ON SCHEMA as_of TO sizhi;",
    )
    .execute(&mut owner)
    .await
    .expect("plots");
    for sql in [
        "INSERT INTO plot VALUES ('near', '430102', 'x'), ('far', '430202', 'x'), ('moves away', '430102', 'x'), ('moves here', '430202', 'x')",
        "UPDATE plot SET note = 'y'",
        "UPDATE plot SET county_code = '430202' WHERE id = 'moves away'; UPDATE plot SET county_code = '430102' WHERE id = 'moves here'",
        "DELETE FROM plot WHERE id IN ('near', 'far')",
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SELECT open_revision('t', 't', ''); {sql}")))
            .execute(&mut owner)
            .await
            .expect(sql);
    }
    let viewer = |jurisdiction| Viewer { actor: "account:x".into(), role: Role::Staff, jurisdiction };
    let changsha = viewer(Jurisdiction::Divisions(vec![DivisionCode::parse("430100").expect("code")]));
    let nowhere = viewer(Jurisdiction::NOWHERE);
    let everywhere = viewer(Jurisdiction::Everywhere);
    let told = async |viewer: &Viewer, since: i64| -> Vec<String> {
        let query = ChangesQuery { since, after: None, limit: 100 };
        let page = feed::list(&db.pool, viewer, &PLOTS, &query).await.expect("page");
        page.changes.iter().map(|c| format!("{} {} {}", c.revision, c.operation.as_str(), c.id)).collect()
    };
    assert_eq!(told(&nowhere, 1).await, [""; 0]);
    assert_eq!(told(&changsha, 1).await, ["4 removed moves away", "4 added moves here", "5 removed near"]);
    assert_eq!(told(&changsha, 3).await, ["4 removed moves away", "4 added moves here", "5 removed near"]);
    assert_eq!(
        told(&everywhere, 3).await,
        ["4 changed moves away", "4 changed moves here", "5 removed far", "5 removed near"]
    );
    let history = async |viewer: &Viewer, id: &str| -> Option<Vec<i64>> {
        let page = sizhi::store::history::list(&db.pool, viewer, &PLOTS, id, None, 100).await.expect("history");
        page.map(|page| page.entries.iter().map(|e| e.head.number).collect())
    };
    assert_eq!(history(&changsha, "far").await, None);
    assert_eq!(history(&nowhere, "near").await, None);
    assert_eq!(history(&changsha, "near").await, Some(vec![5, 3, 2]));
    assert_eq!(history(&changsha, "moves away").await, Some(vec![4, 3, 2]));
    assert_eq!(history(&changsha, "moves here").await, Some(vec![4]), "what it was elsewhere is not theirs to know");
    assert_eq!(history(&everywhere, "moves here").await, Some(vec![4, 3, 2]));
}

#[actix_web::test]
async fn hostile_parameters_are_refused_by_name() {
    let db = Database::with_sample().await;
    let huge = "9".repeat(400);
    for (query, code) in [
        ("", "since_invalid"),
        ("since=", "since_invalid"),
        ("since=-1", "since_invalid"),
        ("since=1.5", "since_invalid"),
        ("since=1%20OR%201=1", "since_invalid"),
        ("since=%D9%A1", "since_invalid"),
        ("since=2", "since_unknown"),
        (&format!("since={huge}"), "since_unknown"),
        ("since=1&since=1", "parameter_repeated"),
        ("since=1&bbox=1,2,3,4", "parameter_unknown"),
        ("since=1&limit=0", "limit_invalid"),
        ("since=1&limit=x", "limit_invalid"),
        ("since=1&cursor=", "cursor_invalid"),
        ("since=1&cursor=c147", "cursor_invalid"),
        ("since=0&cursor=t1-2-2-61", "since_unknown"),
        ("since=1&cursor=t1-0-0-61", "since_unknown"),
        ("since=0&cursor=t1-9223372036854775807-9223372036854775807-61", "since_unknown"),
        ("since=0%00", "value_invalid"),
    ] {
        get(&db, &format!("/api/collections/parks/changes?{query}")).await.assert_problem(400, code);
    }
    get(&db, "/api/collections/nothing/changes?since=0").await.assert_problem(404, "collection_not_found");
    // A place in a window that only a forger could name is as good as any: what lies behind it.
    let forged = get(&db, &format!("/api/collections/parks/changes?since=0&cursor=t1-1-1-{}", "7a".repeat(100))).await;
    assert_eq!((forged.status.as_u16(), &forged.json()["changes"]), (200, &json!([])));
    // In process there is no feed, so every stream finds its place taken; what is wrong is told before that.
    for (query, held, status, code) in [
        ("since=x", None, 400, "since_invalid"),
        ("since=2", None, 400, "since_unknown"),
        ("limit=2", None, 400, "parameter_unknown"),
        ("", Some("x"), 400, "since_invalid"),
        ("", Some("1.x"), 400, "cursor_invalid"),
        ("", Some("7"), 400, "since_unknown"),
        ("since=0", Some("-1"), 400, "since_invalid"),
        ("since=0", None, 503, "too_many_streams"),
        ("", None, 503, "too_many_streams"),
    ] {
        let mut request =
            actix_web::test::TestRequest::get().uri(&format!("/api/collections/parks/changes/stream?{query}"));
        if let Some(held) = held {
            request = request.insert_header(("last-event-id", held));
        }
        call(&db, request).await.assert_problem(status, code);
    }
    let accepts = actix_web::test::TestRequest::get()
        .uri("/api/collections/parks/changes?since=0")
        .insert_header(("accept", "text/event-stream"));
    call(&db, accepts).await.assert_problem(503, "too_many_streams");
}

#[actix_web::test]
async fn a_sources_table_names_exist_and_its_links_are_columns() {
    // What the declarations say of tables and columns, nothing else would notice until a request.
    let db = Database::empty().await;
    for layer in declaration::LAYERS.iter() {
        for path in ["changes?since=0", "items?revision=0", "items?revision=0&datetime=2020-01-01"] {
            let answer = get_authorised(&db, &format!("/api/collections/{}/{path}", layer.id)).await;
            assert_eq!(answer.status, 200, "{}/{path}: {}", layer.id, answer.text());
        }
        get_authorised(&db, &format!("/api/collections/{}/items/{}/history", layer.id, encode("无此")))
            .await
            .assert_problem(404, "item_not_found");
    }
}
