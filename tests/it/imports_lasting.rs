//! What an import leaves standing: columns that the file does not speak of, land given away before an undo; and a file
//! whose shapes lie on one another by the thousand.

use serde_json::{Value, json};
use sizhi::domain::access::Viewer;
use sizhi::domain::{FourExtents, Severity};
use sizhi::error::Error;
use sizhi::inventory::import::{self, Imported};

use crate::imports::{PARK, into};
use crate::support::files::{square, txt, write};
use crate::support::{Database, codes};

const OTHER: &str = "G431033";

/// One square in degrees with these properties.
fn feature(properties: Value) -> String {
    let ring = json!([[[112.8, 28.3], [112.81, 28.3], [112.81, 28.31], [112.8, 28.31], [112.8, 28.3]]]);
    json!({"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": ring}}]})
    .to_string()
}

/// Name, hectares, east, the text that the layer shows, attributes of block 1.
async fn block(db: &Database) -> (Option<String>, Option<f64>, Option<String>, Option<String>, Value) {
    sqlx::query_as(
        "SELECT b.name, b.stated_area_ha::float8, b.east, l.four_extents, b.attributes
         FROM park_block b JOIN layer_park_blocks l USING (id) WHERE id = 'G431176-1'",
    )
    .fetch_one(&db.pool)
    .await
    .expect("the block")
}

fn cleared(imported: &Imported) -> Vec<(Option<&str>, &str)> {
    let found = imported.report.findings.iter().filter(|f| f.code == "value_cleared");
    found.map(|f| (f.place.field.as_deref(), f.message.as_str())).collect()
}

#[tokio::test]
async fn a_boundary_file_without_a_field_leaves_what_stands_in_it() {
    let db = Database::with_sample().await;
    let whole = json!({"编号": "1", "名称": "装备园", "面积（公顷）": 108.7, "东至": "友谊路", "南至": "湘江", "批文号": "湘政函1号"});
    db.import(&write("lasting_whole.geojson", feature(whole)), into(PARK)).await.expect("imported");
    let full = block(&db).await;
    assert_eq!(
        (full.0.as_deref(), full.1, full.2.as_deref(), full.3.as_deref()),
        (Some("装备园"), Some(108.7), Some("友谊路"), Some("东至友谊路，南至湘江"))
    );

    // Only a new attribute: nothing else is touched, and that is one update.
    let bare = write("lasting_bare.geojson", feature(json!({"编号": "1", "备注": "复核"})));
    let kept = db.import(&bare, into(PARK)).await.expect("imported");
    assert_eq!((kept.revision.is_some(), cleared(&kept)), (true, vec![]), "{:?}", codes(&kept));
    let now = block(&db).await;
    assert_eq!((&now.0, now.1, &now.2, &now.3), (&full.0, full.1, &full.2, &full.3));
    assert_eq!((&now.4["批文号"], &now.4["备注"]), (&json!("湘政函1号"), &json!("复核")));
    let again = db.import(&bare, into(PARK)).await.expect("judged");
    assert_eq!(again.report.status.as_str(), "unchanged", "the same file a second time");

    // An empty field is a word of its own: told beforehand, then done.
    let empty = write("lasting_empty.geojson", feature(json!({"编号": "1", "名称": null})));
    let told = db.dry_run(&empty, into(PARK)).await.expect("judged");
    let message = "登记库中 1 条记录的“名称”现有值，文件中为空，提交后将清空；不想清空请删去文件中的这一列";
    assert_eq!(cleared(&told), [(Some("名称"), message)]);
    assert_eq!(block(&db).await, now, "a dry run");
    db.import(&empty, into(PARK)).await.expect("imported");
    let emptied = block(&db).await;
    assert_eq!((emptied.0, emptied.1, emptied.2, emptied.3), (None, full.1, full.2, full.3));
}

/// A paper with sides only has no text of its own: none is stored, and the layer shows what the domain prints.
#[tokio::test]
async fn sides_without_a_text_are_shown_as_the_domain_prints_them() {
    let db = Database::with_sample().await;
    let texts = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
    for sides in [
        json!({"东至": "友谊路", "南至": "湘江", "西至": "白石路、凤凰铁路专用线", "北至": "G4"}),
        json!({"南至": "湘江", "北至": "G4"}),
        json!({"西至": "白石路"}),
    ] {
        let mut properties = sides.clone();
        properties["编号"] = json!("1");
        db.import(&write("lasting_sides.geojson", feature(properties)), into(PARK)).await.expect("imported");
        let words = FourExtents {
            east: texts(&sides, "东至"),
            south: texts(&sides, "南至"),
            west: texts(&sides, "西至"),
            north: texts(&sides, "北至"),
        };
        let stored: (Option<String>, Option<String>) = sqlx::query_as(
            "SELECT b.four_extents, l.four_extents FROM park_block b JOIN layer_park_blocks l USING (id) WHERE id = 'G431176-1'",
        )
        .fetch_one(&db.pool)
        .await
        .expect("the block");
        assert_eq!(stored, (None, Some(words.print())));
    }
    let whole = json!({"编号": "1", "四至": "东至友谊路，南至湘江，西至白石路，北至G4。"});
    db.import(&write("lasting_sides.geojson", feature(whole)), into(PARK)).await.expect("imported");
    assert_eq!(block(&db).await.3.as_deref(), Some("东至友谊路，南至湘江，西至白石路，北至G4。"), "verbatim");
}

#[tokio::test]
async fn words_of_a_drawn_block_do_not_pass_to_the_surveyed_one() {
    let db = Database::with_sample().await;
    assert!(block(&db).await.3.is_some(), "the drawn block has words");
    db.import(&write("lasting_drawn.geojson", feature(json!({"编号": "1"}))), into(PARK)).await.expect("imported");
    assert_eq!(block(&db).await, (None, None, None, None, json!({})));
}

/// Kind, counties, industries, printed approval, hectares, first day.
type Entry = (String, Vec<String>, Vec<String>, Option<String>, Option<f64>, String);

async fn entry(db: &Database) -> Entry {
    sqlx::query_as(
        "SELECT type, county_codes::text[], leading_industries, approved_text, approved_area_ha::float8, valid_from::text FROM park WHERE code = 'G431033'",
    )
    .fetch_one(&db.pool)
    .await
    .expect("the park")
}

#[tokio::test]
async fn a_directory_without_a_column_leaves_what_stands_in_it() {
    let db = Database::with_sample().await;
    let before = entry(&db).await;
    assert_eq!((before.4, before.5.as_str()), (Some(1200.0), "2000-02-01"));
    let parks = |request: &mut import::ImportRequest| request.layer = "parks".to_owned();
    let three = write("lasting_three.csv", "园区代码,园区名称,市州\nG431033,长沙经济技术开发区,长沙市\n");
    let same = db.import(&three, parks).await.expect("judged");
    assert_eq!((same.report.status.as_str(), same.revision), ("unchanged", None), "{:?}", codes(&same));
    assert_eq!(entry(&db).await, before);

    let emptied = write(
        "lasting_emptied.csv",
        "园区代码,园区名称,市州,主导产业,核准面积（公顷）\nG431033,长沙经济技术开发区,长沙市,,\n",
    );
    let told = db.import(&emptied, parks).await.expect("imported");
    let fields: Vec<_> = cleared(&told).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, [Some("主导产业"), Some("面积")]);
    let now = entry(&db).await;
    assert_eq!((now.2, now.4), (vec![], None));
    assert_eq!((now.0, now.1, now.3, now.5), (before.0, before.1, before.3, before.5));

    // A park that does not stand yet has nothing to keep.
    let new = write("lasting_new.csv", "园区代码,园区名称,市州\nS439001,新园区,长沙市\n");
    assert_eq!(db.import(&new, parks).await.expect("imported").report.counts.map(|c| c.inserted), Some(1));
}

#[tokio::test]
async fn shapes_on_one_another_by_the_thousand_are_named_up_to_a_bound() {
    let db = Database::with_sample().await;
    let parcels: Vec<(String, Vec<(f64, f64)>)> =
        (0..700).map(|i| (format!("B{i}"), square(3_123_400.0 + f64::from(i) * 0.01, 38_435_200.0, 200.0))).collect();
    let parcels: Vec<(&str, Vec<(f64, f64)>, f64)> =
        parcels.iter().map(|(n, s)| (n.as_str(), s.clone(), 4.0)).collect();
    // 700 × 699 / 2 pairs.
    let judged = db.dry_run(&write("lasting_pile.txt", txt(&parcels)), into(PARK)).await.expect("judged");
    let of = |code: &str| judged.report.findings.iter().filter(|f| f.code == code).count();
    assert_eq!((of("overlap_within_file"), of("too_many_overlaps")), (1_000, 1));
    let bound = judged.report.findings.iter().find(|f| f.code == "too_many_overlaps").expect("the bound");
    assert_eq!((bound.severity, judged.report.status.as_str()), (Severity::Error, "refused"));
}

/// Imports one square of this park; `east` and `side` in metres.
async fn land(db: &Database, park: &str, number: &str, east: f64, side: f64) -> i64 {
    let ring = square(3_123_400.0, 38_435_200.0 + east, side);
    let file = write(&format!("lasting_{park}_{number}_{side}.txt"), txt(&[(number, ring, side * side / 10_000.0)]));
    let imported = db.import(&file, into(park)).await.expect("imported");
    imported.batch.unwrap_or_else(|| panic!("{:?}", imported.report.findings))
}

async fn refused_undo(db: &Database, batch: i64, code: &str) -> String {
    let before: i64 = db.value("SELECT count(*) FROM revision").await;
    let error = import::undo(&db.pool, batch, &Viewer::operator("test")).await.expect_err("refused");
    let Error::Conflict { code: conflict, findings, .. } = &error else { panic!("{error:?}") };
    assert_eq!(
        (*conflict, findings.iter().map(|f| f.code.as_ref()).collect::<Vec<_>>()),
        ("undo_conflict", vec![code])
    );
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, before, "nothing written");
    findings[0].message.clone()
}

#[tokio::test]
async fn an_undo_does_not_take_back_land_that_was_given_away() {
    let db = Database::with_sample().await;
    land(&db, PARK, "R1", 0.0, 200.0).await;
    let halved = land(&db, PARK, "R1", 0.0, 100.0).await;
    let neighbour = land(&db, OTHER, "R1", 100.0, 100.0).await;
    let said = refused_undo(&db, halved, "overlap_with_register").await;
    assert!(said.contains("G431176-R1") && said.contains("G431033-R1"), "{said}");
    // The way out that the message names.
    import::undo(&db.pool, neighbour, &Viewer::operator("test")).await.expect("the newer one first");
    import::undo(&db.pool, halved, &Viewer::operator("test")).await.expect("then this one");
    assert_eq!(db.audit().await, None);
}

#[tokio::test]
async fn an_undo_does_not_put_drawn_blocks_beside_surveyed_ones() {
    let db = Database::with_sample().await;
    let first = land(&db, PARK, "R1", 0.0, 200.0).await;
    let second = land(&db, PARK, "R2", 300.0, 200.0).await;
    let said = refused_undo(&db, first, "illustrative_over_real").await;
    assert!(said.contains(PARK), "{said}");
    import::undo(&db.pool, second, &Viewer::operator("test")).await.expect("the newer one first");
    import::undo(&db.pool, first, &Viewer::operator("test")).await.expect("then this one");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM park_block WHERE NOT illustrative").await, 0);
}

#[tokio::test]
async fn stated_areas_stand_digit_for_digit() {
    let db = Database::with_sample().await;
    // As PostgreSQL writes the number rounded to six decimals.
    let stated = [
        ("0.000001", "0.000001"),
        ("0.00005", "0.000050"),
        ("0.1234564", "0.123456"),
        ("0.9999999", "1.000000"),
        ("4", "4.000000"),
        ("633.3", "633.300000"),
        ("9999.9999", "9999.999900"),
        ("10000", "10000.000000"),
        ("12345.6789", "12345.678900"),
        ("2118000.000001", "2118000.000001"),
    ];
    let features: Vec<Value> = (0..)
        .zip(stated)
        .map(|(i, (text, _))| {
            let (x, y) = (112.8 + f64::from(i) * 0.01, 28.3);
            let ring = json!([[x, y], [x + 0.005, y], [x + 0.005, y + 0.005], [x, y + 0.005], [x, y]]);
            json!({"type": "Feature", "properties": {"编号": format!("N{i:02}"), "面积（公顷）": text},
                   "geometry": {"type": "Polygon", "coordinates": [ring]}})
        })
        .collect();
    let file = write("lasting_stated.geojson", json!({"type": "FeatureCollection", "features": features}).to_string());
    let allowed = |request: &mut import::ImportRequest| {
        into(PARK)(request);
        request.allow = vec!["area_mismatch_gross".to_owned()];
    };
    let imported = db.import(&file, allowed).await.expect("imported");
    assert_eq!(imported.report.counts.map(|c| c.inserted), Some(10), "{:?}", codes(&imported));
    let now: Vec<String> = sqlx::query_scalar(
        "SELECT stated_area_ha::text FROM park_block WHERE park_code = 'G431176' AND number LIKE 'N__' ORDER BY number",
    )
    .fetch_all(&db.pool)
    .await
    .expect("areas");
    assert_eq!(now, stated.map(|(_, stands)| stands));
    // Compared in the database, as numeric with numeric.
    let again = db.import(&file, allowed).await.expect("judged");
    assert_eq!(again.report.status.as_str(), "unchanged");
}

#[tokio::test]
async fn a_record_without_a_shape_is_never_passed_over() {
    let db = Database::with_sample().await;
    let ring = json!([[112.8, 28.3], [112.81, 28.3], [112.81, 28.31], [112.8, 28.31], [112.8, 28.3]]);
    let feature =
        |id: &str, geometry: Value| json!({"type": "Feature", "properties": {"编号": id}, "geometry": geometry});
    for (name, empty) in [
        ("multi", json!({"type": "MultiPolygon", "coordinates": []})),
        ("polygon", json!({"type": "Polygon", "coordinates": []})),
        ("null", Value::Null),
        ("collection", json!({"type": "GeometryCollection", "geometries": []})),
    ] {
        let features = [feature("1", json!({"type": "Polygon", "coordinates": [ring]})), feature("2", empty)];
        let text = json!({"type": "FeatureCollection", "features": features}).to_string();
        let judged =
            db.dry_run(&write(&format!("lasting_empty_{name}.geojson"), text), into(PARK)).await.expect("judged");
        let errors: Vec<_> =
            judged.report.findings.iter().filter(|f| f.severity == Severity::Error).map(|f| f.place.row).collect();
        assert_eq!(errors, [Some(2)], "{name}: {:?}", judged.report.findings);
    }
}

#[tokio::test]
async fn texts_have_a_length() {
    let db = Database::with_sample().await;
    let found = async |name: String, remark: String| {
        let file = write("lasting_long.geojson", feature(json!({"编号": "1", "名称": name, "备注": remark})));
        let judged = db.dry_run(&file, into(PARK)).await.expect("judged");
        let long = judged.report.findings.iter().filter(|f| f.code == "text_too_long");
        long.map(|f| f.place.field.clone().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(found("园".repeat(200), "字".repeat(10_000)).await, Vec::<String>::new());
    assert_eq!(found("园".repeat(201), "字".repeat(10_001)).await, ["名称", "备注"]);
}

/// An insert that asks of each row whether it stands must not look through the rows it has written itself: in a register
/// that was emptied and analysed the planner would choose to, and 50,000 blocks took 50 s. Counted, not timed.
#[tokio::test]
async fn an_import_into_an_emptied_register_does_not_look_through_its_own_rows() {
    const BLOCKS: u32 = 1_500;
    let db = Database::with_sample().await;
    let mut writing = sizhi::store::begin_write(&db.pool).await.expect("transaction");
    sizhi::store::revision::open(&mut writing, "test", "empty", "").await.expect("revision");
    sqlx::query("DELETE FROM park_block").execute(&mut *writing).await.expect("emptied");
    writing.commit().await.expect("committed");
    let mut superuser = db.superuser().await;
    sqlx::query("VACUUM ANALYZE park_block").execute(&mut superuser).await.expect("analysed");
    let look = "SELECT seq_scan, n_tup_ins FROM pg_stat_user_tables WHERE relname = 'park_block'";
    let look = async || -> (i64, i64) {
        // A session tells its counts a second late, this one when it is asked.
        sqlx::query_as(look).fetch_one(&db.pool).await.expect("counts")
    };
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    let before = look().await;
    let parcels: Vec<(String, Vec<(f64, f64)>)> = (0..BLOCKS)
        .map(|i| {
            let (row, column) = (f64::from(i / 50), f64::from(i % 50));
            (format!("B{i}"), square(2_900_000.0 + row * 40.0, 38_480_000.0 + column * 40.0, 20.0))
        })
        .collect();
    let parcels: Vec<(&str, Vec<(f64, f64)>, f64)> =
        parcels.iter().map(|(n, s)| (n.as_str(), s.clone(), 0.04)).collect();
    let imported = db.import(&write("lasting_emptied.txt", txt(&parcels)), into(PARK)).await.expect("imported");
    assert_eq!(imported.report.counts.map(|c| c.inserted), Some(u64::from(BLOCKS)), "{:?}", codes(&imported));
    let mut after = look().await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while after.1 - before.1 < i64::from(BLOCKS) {
        assert!(std::time::Instant::now() < deadline, "the server tells no counts: {before:?} {after:?}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        after = look().await;
    }
    // (Scans, not rows: what a statement has written is passed over unseen by its own scans, and uncounted.)
    let scans = after.0 - before.0;
    assert!(scans < 50, "{scans} scans of the whole table to write {BLOCKS} rows");
}
