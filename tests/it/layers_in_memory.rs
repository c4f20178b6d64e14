//! The layers in memory give what the database gives, follow it, and say how old they are when it is away.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::{Value, json};
use sizhi::domain::DivisionCode;
use sizhi::domain::access::{Jurisdiction, Role, Viewer};
use sizhi::domain::detail::Detail;
use sizhi::domain::items_query::{After, Filter, FilterValue, ItemsQuery};
use sizhi::domain::layer::{Layer, Property, PropertyKind, Visibility};
use sizhi::domain::search::Search;
use sizhi::inventory::live::{Held, Live};
use sizhi::inventory::progress::Silent;
use sizhi::inventory::sample;
use sizhi::layers::declaration;
use sizhi::layers::encode::{self, CoordForm};
use sizhi::store::features::{self, Page};
use sizhi::store::layer_rows::Reading;

use crate::support::http::{call, call_database, encode, get, get_authorised};
use crate::support::process::{Service, status, wait_until};
use crate::support::{Database, TOKEN, live_over};

async fn drawn() -> Database {
    let db = Database::with_sample().await;
    sample::seed_zones(&db.pool, "test").await.expect("drawn");
    sample::seed_parcels(&db.pool, "test", 600, &Silent).await.expect("drawn");
    db
}

async fn held(live: &Live, layer: &Layer) -> Arc<Held> {
    live.refresh().await.expect("refreshed");
    live.held(layer).unwrap_or_else(|| panic!("{} is not held", layer.id))
}

/// splitmix64: the same questions whatever a library's version.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What questions are made of: a layer's features as the database shows them to one who sees all.
struct Matter {
    layer: &'static Layer,
    features: Vec<(String, Value, Vec<[f64; 2]>)>,
}

async fn matter(db: &Database, layer: &'static Layer) -> Matter {
    let query = ItemsQuery { limit: 10_000, ..ItemsQuery::default() };
    let page = features::list_items(&db.application, &Viewer::operator("test"), layer, &query).await.expect("all");
    assert!(!page.more && !page.features.is_empty(), "{}", layer.id);
    let features = page.features.into_iter().map(|row| {
        let vertices = row.geometry.iter().flat_map(|g| g.coords().iter().map(|c| [c.x, c.y])).collect();
        (row.id, serde_json::from_str(&row.properties).expect("properties"), vertices)
    });
    Matter { layer, features: features.collect() }
}

impl Matter {
    fn vertex(&self, dice: &mut Dice) -> Option<[f64; 2]> {
        let (.., vertices) = &self.features[dice.below(self.features.len())];
        (!vertices.is_empty()).then(|| vertices[dice.below(vertices.len())])
    }

    /// A box about a vertex, between two, or without a width or height.
    fn bbox(&self, dice: &mut Dice) -> Option<[f64; 4]> {
        let ([x, y], [a, b]) = (self.vertex(dice)?, self.vertex(dice)?);
        let size = 0.0003 * 10f64.powf(3.5 * dice.share());
        Some(match dice.below(6) {
            0 => [x.min(a), y.min(b), x.max(a), y.max(b)],
            1 => [x, y, x, y],
            2 => [x, y - size, x, y + size],
            // Side by side with the vertex: its shape touches the box, or just does not.
            3 => [x, y, x + size, y + size],
            _ => [x - size * dice.share(), y - size * dice.share(), x + size * dice.share(), y + size * dice.share()],
        })
    }

    fn filter(&self, dice: &mut Dice) -> Option<Filter> {
        let properties: Vec<&'static Property> = self.layer.properties.iter().filter(|p| p.queryable).collect();
        let property = properties[dice.below(properties.len())];
        let (_, values, _) = &self.features[dice.below(self.features.len())];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let value = match (property.kind, &values[property.name]) {
            (PropertyKind::Text, value) => {
                let value = text(value).unwrap_or_else(|| "没有的值".to_owned());
                if dice.one_in(3) {
                    let (_, others, _) = &self.features[dice.below(self.features.len())];
                    FilterValue::AnyOf([Some(value), text(&others[property.name])].into_iter().flatten().collect())
                } else {
                    FilterValue::Text(value)
                }
            }
            (PropertyKind::TextList, Value::Array(list)) => {
                let members: Vec<String> = list.iter().filter_map(text).collect();
                let one = members[dice.below(members.len())].clone();
                if dice.one_in(2) { FilterValue::AnyOf(members) } else { FilterValue::Text(one) }
            }
            (PropertyKind::Boolean, value) => FilterValue::Boolean(value.as_bool().unwrap_or(false)),
            (PropertyKind::Number | PropertyKind::Integer, Value::Number(n)) => {
                FilterValue::NumberBetween(n.as_f64(), None)
            }
            _ => return None,
        };
        Some(Filter { property, value })
    }

    fn query(&self, dice: &mut Dice) -> ItemsQuery {
        let boxes = if dice.one_in(4) { 0 } else { 1 + usize::from(dice.one_in(8)) };
        let filters = [0, 0, 1, 1, 2][dice.below(5)];
        let counties = ["430000", "430100", "430121", "430181", "431000", "439999"];
        let after = dice.one_in(3).then(|| {
            let (id, properties, _) = &self.features[dice.below(self.features.len())];
            let from = properties["valid_from"].as_str().and_then(|day| day.parse().ok());
            After { id: id.clone(), from, keys: Vec::new() }
        });
        ItemsQuery {
            boxes: (0..boxes).filter_map(|_| self.bbox(dice)).collect(),
            filters: (0..filters).filter_map(|_| self.filter(dice)).collect(),
            division: (self.layer.division_property().is_some() && dice.one_in(4))
                .then(|| DivisionCode::parse(counties[dice.below(counties.len())]).expect("code")),
            search: dice.one_in(40).then(|| Search::new("产业")),
            limit: [1, 2, 7, 50, 10_000][dice.below(5)],
            offset: if dice.one_in(4) { dice.below(20) as u32 } else { 0 },
            after,
            ..ItemsQuery::default()
        }
    }
}

fn viewers() -> Vec<Viewer> {
    let of = |codes: &[&str]| {
        Jurisdiction::parse(&codes.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>()).expect("jurisdiction")
    };
    let staff = |codes| Viewer { actor: "staff".to_owned(), role: Role::Staff, jurisdiction: of(codes) };
    vec![
        Viewer::operator("test"),
        staff(&["430000"]),
        staff(&["430100"]),
        staff(&["430121", "431000"]),
        staff(&["439999"]),
        Viewer {
            actor: String::new(),
            ..Viewer { jurisdiction: Jurisdiction::NOWHERE, role: Role::Staff, actor: String::new() }
        },
    ]
}

fn texts(page: &Page) -> Vec<String> {
    let text = |row: &features::FeatureRow| {
        let mut text = String::new();
        encode::feature(&mut text, &row.id, &row.properties, row.geometry.as_ref(), CoordForm::LON_LAT);
        text
    };
    page.features.iter().map(text).collect()
}

/// Asks both; tells whether memory answered, and how many matched.
async fn ask_both(db: &Database, held: &Held, layer: &Layer, viewer: &Viewer, query: &ItemsQuery) -> Option<usize> {
    let snapshot = held.snapshot_for(layer.detail_for(viewer));
    let selection = snapshot.select(query, &viewer.jurisdiction)?;
    let page = features::list_items(&db.application, viewer, layer, query).await.expect("page");
    let picked: Vec<String> =
        selection.picked.iter().map(|p| String::from_utf8(snapshot.json(*p, false).to_vec()).expect("UTF-8")).collect();
    assert_eq!(selection.matched as i64, page.matched, "{} {viewer:?} {query:?}", layer.id);
    assert_eq!(picked, texts(&page), "{} {viewer:?} {query:?}", layer.id);
    assert_eq!((selection.more, held.revision), (page.more, page.revision), "{} {viewer:?} {query:?}", layer.id);
    Some(selection.matched)
}

#[actix_web::test]
async fn memory_and_database_give_one_answer_to_thousands_of_questions() {
    let db = drawn().await;
    let live = live_over(&db.application);
    let mut dice = Dice(20_261_126);
    let (mut answered, mut met, mut left) = (0, 0, 0);
    for layer in declaration::LAYERS.iter() {
        let (held, matter) = (held(&live, layer).await, matter(&db, layer).await);
        for _ in 0..1_500 {
            let viewer = match layer.visibility {
                // Outlines half of the time, what was surveyed the other half.
                Visibility::Public if dice.one_in(2) => Viewer::public(),
                Visibility::Public => viewers()[dice.below(6)].clone(),
                Visibility::Internal | Visibility::Staff => viewers()[dice.below(6)].clone(),
            };
            let query = matter.query(&mut dice);
            match ask_both(&db, &held, layer, &viewer, &query).await {
                Some(matched) => {
                    answered += 1;
                    met += usize::from(matched > 0);
                }
                None => left += 1,
            }
        }
    }
    println!("answered {answered}, with features {met}, left to the database {left}");
    assert!(answered >= 5_000, "{answered} answered by memory, {left} left");
    assert!(met * 3 >= answered, "{met} of {answered} found something");
}

/// Memory writes properties by itself, the database by `row_to_json`: to the same bytes, whatever stands in them.
#[actix_web::test]
async fn odd_values_are_written_alike() {
    let db = drawn().await;
    db.write(
        "UPDATE turnover_parcel SET note = E'甲\"乙\\\\丙/\\b\\f\\n\\r\\t\\x01\\x1f\\x7f \\u2028 𠮷', location = '', price_10k_yuan = 1e14,
             invested_percent = 1e-7, acquired_area_m2 = 0.1::float8 + 0.2::float8, stated_area_m2 = 123456789.125, compensation_done = false,
             agreed_start_on = 'infinity', agreed_finish_on = '0001-01-01', approved_on = '9999-12-31', approval_year = 2147483647
         WHERE id = (SELECT min(id) FROM turnover_parcel)",
    )
    .await;
    db.write("UPDATE low_efficiency_parcel SET note = E'{\"a\": null}', tax_per_ha = 5e-324 WHERE id = (SELECT min(id) FROM low_efficiency_parcel)").await;
    db.write(
        "UPDATE park SET aliases = ARRAY['a\"b', '', 'c,d', 'NULL'], leading_industries = '{}' WHERE code = 'G431033'",
    )
    .await;
    let live = live_over(&db.application);
    let everything = ItemsQuery { limit: 10_000, ..ItemsQuery::default() };
    for layer in declaration::LAYERS.iter() {
        let held = held(&live, layer).await;
        let matched = ask_both(&db, &held, layer, &Viewer::operator("test"), &everything).await;
        assert!(matched.is_some_and(|matched| matched > 0), "{}", layer.id);
    }
}

#[actix_web::test]
async fn the_body_over_http_is_the_same_from_memory_and_from_the_database() {
    let db = drawn().await;
    let strip = |mut body: Value| {
        body["timeStamp"] = Value::Null;
        body
    };
    for path in [
        "/api/collections/parks/items?limit=200",
        "/api/collections/parks/items?limit=3&offset=2&level=国家级",
        "/api/collections/park_blocks/items?bbox=112.5,27.5,113.5,28.5&limit=5",
        "/api/collections/turnover_parcels/items?limit=10&division=430100",
        "/api/collections/turnover_parcels/items?bbox=1,1,2,2",
        "/api/collections/redevelopment_plans/items?state=drafted,approved",
        // Written in several pieces, in one, and with nothing in it.
        "/api/collections/park_blocks/items?limit=1000&crs=EPSG:4526&properties=name",
        "/api/collections/parks/items?limit=200&skipGeometry=true",
        "/api/collections/parks/items?bbox=1,1,2,2&zoom-level=8",
    ] {
        let path = path.replace("国家级", &encode("国家级"));
        let request = || crate::support::http::authorised(Method::GET, &path);
        let (memory, database) = (call(&db, request()).await, call_database(&db, request()).await);
        assert_eq!((memory.status.as_u16(), database.status.as_u16()), (200, 200), "{path}");
        assert_eq!(strip(memory.json()), strip(database.json()), "{path}");
        for header in ["content-type", "content-crs", "sizhi-revision", "cache-control", "vary"] {
            assert_eq!(memory.header(header), database.header(header), "{path} {header}");
        }
        assert!(memory.header("etag").is_some() && memory.header("sizhi-stale").is_none());
    }
}

#[actix_web::test]
async fn a_layer_keeps_its_tag_while_others_change_and_gets_another_when_it_does() {
    let db = drawn().await;
    let tag = async |path: &str| get_authorised(&db, path).await.header("etag").map(str::to_owned).expect("etag");
    let (parks, parcels) = ("/api/collections/parks/items?limit=1", "/api/collections/turnover_parcels/items?limit=1");
    let (of_parks, of_parcels) = (tag(parks).await, tag(parcels).await);
    let first = get_authorised(&db, parcels).await.json()["features"][0]["id"].as_str().expect("id").to_owned();
    let address = format!("/api/collections/turnover_parcels/items/{}", encode(&first));
    let held = get_authorised(&db, &address).await;
    let patch = TestRequest::patch()
        .uri(&address)
        .insert_header(("authorization", format!("Bearer {}", crate::support::TOKEN)))
        .insert_header(("content-type", "application/merge-patch+json"))
        .insert_header(("if-match", held.header("etag").expect("etag").to_owned()))
        .set_payload(json!({"properties": {"note": "改过"}}).to_string());
    let changed = call(&db, patch).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    // Both the answer of the write and what is read next show it.
    assert_eq!(changed.json()["properties"]["note"], "改过");
    assert_eq!(get_authorised(&db, &address).await.json()["properties"]["note"], "改过");
    assert_eq!(tag(parks).await, of_parks);
    assert_ne!(tag(parcels).await, of_parcels);
    let again = crate::support::http::authorised(Method::GET, parks).insert_header(("if-none-match", of_parks));
    assert_eq!(call(&db, again).await.status, 304);
}

#[actix_web::test]
async fn a_register_that_has_come_to_its_number_by_another_way_is_read_anew() {
    let db = Database::with_sample().await;
    let parks = declaration::find("parks").expect("layer");
    let before = held(&db.live, parks).await;
    // As a backup restored in the place of the register: the same number, another history, nothing in the log since.
    for sql in [
        "ALTER TABLE park DISABLE TRIGGER USER",
        "UPDATE park SET name = '另一段历史' WHERE code = 'G431033'",
        "ALTER TABLE park ENABLE TRIGGER USER",
    ] {
        sqlx::query(sql).execute(&db.pool).await.expect(sql);
    }
    let silent = held(&db.live, parks).await;
    assert!(Arc::ptr_eq(&before, &silent), "what is not in the log is not looked for");
    for sql in [
        "ALTER TABLE revision DISABLE TRIGGER USER",
        "UPDATE revision SET hash = sha256('another') WHERE number = (SELECT max(number) FROM revision)",
        "ALTER TABLE revision ENABLE TRIGGER USER",
    ] {
        sqlx::query(sql).execute(&db.pool).await.expect(sql);
    }
    let after = held(&db.live, parks).await;
    let picked = after.snapshot_for(Detail::Surveyed).find("G431033", &Jurisdiction::NOWHERE).expect("park");
    let text = String::from_utf8(after.snapshot_for(Detail::Surveyed).json(picked, false).to_vec()).expect("UTF-8");
    assert!(text.contains("另一段历史"), "{text}");
    assert_ne!(before.mark, after.mark);
}

#[actix_web::test]
async fn an_ended_feature_leaves_and_a_new_one_comes() {
    let db = Database::with_sample().await;
    let blocks = declaration::find("park_blocks").expect("layer");
    let first = held(&db.live, blocks).await;
    let id = first
        .snapshot_for(Detail::Surveyed)
        .id(first
            .snapshot_for(Detail::Surveyed)
            .select(&ItemsQuery { limit: 1, ..ItemsQuery::default() }, &Jurisdiction::NOWHERE)
            .expect("page")
            .picked[0])
        .to_owned();
    let mut transaction = db.pool.begin().await.expect("begun");
    for sql in [
        "SELECT open_revision('test', 'end', '')".to_owned(),
        format!("UPDATE park_block SET valid_to = '2020-01-01' WHERE id = '{id}' AND valid_to = 'infinity'"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *transaction).await.expect("written");
    }
    transaction.commit().await.expect("committed");
    let second = held(&db.live, blocks).await;
    assert_eq!(second.snapshot_for(Detail::Surveyed).len() + 1, first.snapshot_for(Detail::Surveyed).len());
    assert!(second.snapshot_for(Detail::Surveyed).find(&id, &Jurisdiction::NOWHERE).is_none());
    assert!(
        first.snapshot_for(Detail::Surveyed).find(&id, &Jurisdiction::NOWHERE).is_some(),
        "who holds the last one keeps it"
    );
    let path = format!("/api/collections/park_blocks/items/{}", encode(&id));
    get(&db, &path).await.assert_problem(404, "item_not_found");
}

/// Path of the tile of zoom 14 in which this place lies.
fn tile_at(longitude: f64, latitude: f64) -> String {
    let cells = f64::from(1 << 14);
    let column = (longitude + 180.0) / 360.0 * cells;
    let row = (1.0 - latitude.to_radians().tan().asinh() / std::f64::consts::PI) / 2.0 * cells;
    format!("/api/collections/turnover_parcels/tiles/WebMercatorQuad/14/{}/{}", row.floor(), column.floor())
}

fn send(service: &Service, method: &str, path: &str, more: &str, body: &str) -> String {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n");
    service.raw(format!("{head}{more}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
}

/// A header of an answer, by its name with colon and blank.
fn field<'a>(answer: &'a str, name: &str) -> &'a str {
    answer.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {answer}"))
}

fn feature(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").expect("body").1).expect("JSON")
}

/// Several change one record at once: whoever is let is answered with its own change, and with the tag of that, however quick the next is.
#[tokio::test]
async fn who_changes_a_record_is_answered_with_its_own_change() {
    let db = drawn().await;
    let service = Service::start(&db.url().await);
    wait_until("the layers are held", Duration::from_secs(30), || status(&service.get("/readyz")) == 200);
    let id: String = db.value("SELECT id FROM turnover_parcel WHERE valid_to = 'infinity' ORDER BY id LIMIT 1").await;
    let item = format!("/api/collections/turnover_parcels/items/{}", encode(&id));
    let refused = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for who in 0..4 {
            let (service, item, refused) = (&service, &item, &refused);
            scope.spawn(move || {
                let mut done = 0;
                while done < 10 {
                    let tag = field(&send(service, "GET", item, "", ""), "etag: ").to_owned();
                    let name = format!("{who}的第{done}次");
                    let more = format!("If-Match: {tag}\r\nContent-Type: application/merge-patch+json\r\n");
                    let body = json!({"properties": {"name": name}}).to_string();
                    let changed = send(service, "PATCH", item, &more, &body);
                    if status(&changed) == 412 {
                        refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        continue;
                    }
                    assert_eq!(status(&changed), 200, "{changed}");
                    assert_eq!(feature(&changed)["properties"]["name"], name, "{changed}");
                    let own = format!("\"v{}-", field(&changed, "sizhi-revision: "));
                    assert!(field(&changed, "etag: ").starts_with(&own), "{changed}");
                    done += 1;
                }
            });
        }
    });
    assert!(refused.into_inner() > 0, "they never met");
}

/// The service as it is served: what is asked for on a new connection after the answer to an edit shows it, in items and in a tile that was
/// in the cache.
#[tokio::test]
async fn an_edit_shows_on_other_connections_as_soon_as_it_is_answered() {
    let db = drawn().await;
    let service = Service::start(&db.url().await);
    wait_until("the layers are held", Duration::from_secs(30), || status(&service.get("/readyz")) == 200);
    let (id, x, y): (String, f64, f64) = sqlx::query_as(
        "SELECT id, ST_X(p), ST_Y(p) FROM (SELECT id, ST_PointOnSurface(geom) AS p FROM turnover_parcel WHERE valid_to = 'infinity' ORDER BY id LIMIT 1) x",
    )
    .fetch_one(&db.pool)
    .await
    .expect("a parcel");
    let (item, tile) = (format!("/api/collections/turnover_parcels/items/{}", encode(&id)), tile_at(x, y));
    let send = |method: &str, path: &str, more: &str, body: &str| send(&service, method, path, more, body);
    for round in 0..10 {
        let (read, before) = (send("GET", &item, "", ""), send("GET", &tile, "", ""));
        assert_eq!((status(&read), status(&before)), (200, 200), "{tile}: {before}");
        let tag = read.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag").to_owned();
        let name = format!("第{round}次改名");
        let more = format!("If-Match: {tag}\r\nContent-Type: application/merge-patch+json\r\n");
        let changed = send("PATCH", &item, &more, &json!({"properties": {"name": name}}).to_string());
        assert_eq!(status(&changed), 200, "{changed}");
        let (read, after) = (send("GET", &item, "", ""), send("GET", &tile, "", ""));
        assert!(read.contains(&name), "{read}");
        // The write is answered with what a reader gets, but for its warnings; with those the tag is another.
        let (mut written, shown) = (feature(&changed), feature(&read));
        let has_warnings = written.as_object_mut().expect("feature").remove("warnings").is_some();
        assert_eq!(written, shown, "round {round}");
        assert_eq!(field(&changed, "sizhi-revision: "), field(&read, "sizhi-revision: "), "round {round}");
        assert_eq!(field(&changed, "etag: ") == field(&read, "etag: "), !has_warnings, "round {round}");
        assert!(after.contains(&name) && !before.contains(&name), "round {round}");
    }
}

/// Generalising a large layer takes longer than a transaction may otherwise idle, and its reading stays open meanwhile.
#[actix_web::test]
async fn a_reading_may_wait_for_what_is_made_of_its_rows() {
    let db = Database::empty().await;
    let mut reading = Reading::begin(&db.application).await.expect("begun");
    let (idling, statement): (String, String) = sqlx::query_as(
        "SELECT current_setting('idle_in_transaction_session_timeout'), current_setting('statement_timeout')",
    )
    .fetch_one(reading.connection())
    .await
    .expect("settings");
    assert_eq!((idling.as_str(), statement.as_str()), ("10min", "10min"));
}
