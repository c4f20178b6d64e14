//! Files of bureaus become parcels of a ledger: their words, their units, their land, their states.

use serde_json::json;
use sizhi::domain::DivisionCode;
use sizhi::inventory::import;
use sqlx::AssertSqlSafe;

use crate::support::parcels::{COUNTY, PARK, file, inside, into, operator, square};
use crate::support::{Database, codes, files};

const TURNOVER: &str = "turnover_parcels";
const LOW: &str = "low_efficiency_parcels";

async fn text(db: &Database, sql: String) -> String {
    let value: Option<String> = sqlx::query_scalar(AssertSqlSafe(sql.clone()))
        .fetch_one(&db.pool)
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e}"));
    value.unwrap_or_else(|| "NULL".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bureau_file_becomes_parcels_with_place_and_areas_apart() {
    let db = Database::with_sample().await;
    let (x, y, block) = inside(&db, PARK).await;
    let path = file(
        "周转.geojson",
        &[
            (
                json!({"地块编号": "XJ-001", "地块名称": "一号地", "园区名称": "长沙经济技术开发区", "批准面积（亩）": "15.5", "面积(公顷)": 4.35,
                       "批准日期": "2024年5月6日", "省级批文号": "湘政地〔2024〕12号", "供地方式": "出让", "补偿到位": "是", "批准年份": 2024,
                       "地类编码": "100101", "自定": "保留"}),
                square(x, y, 0.002),
            ),
            (
                json!({"地块编号": "XJ-002", "园区名称": "望城经济技术开发区", "状态": "征而未供"}),
                square(x + 0.003, y, 0.002),
            ),
        ],
    );
    let imported = db.import(&path, into(TURNOVER)).await.expect("imported");
    assert_eq!(
        codes(&imported),
        ["park_contradicts_paper", "land_use_system_assumed", "state_word_read"],
        "{:?}",
        imported.report.findings
    );
    let first = text(
        &db,
        "SELECT concat_ws('|', id, county_code, number, name, park_code, block_id, inside_share, stated_park, stated_park_code, state, state_on,
                valid_from, approved_area_m2 = 15.5 * 2000.0 / 3, stated_area_m2, abs(area_m2 - ST_Area(geom::geography)) < 0.01, approved_on,
                approval_doc_province, supply_mode, compensation_done, approval_year, land_use_system, land_use_code, attributes)
         FROM turnover_parcel WHERE number = 'XJ-001'"
            .into(),
    )
    .await;
    assert_eq!(
        first,
        format!(
            "{COUNTY}-XJ-001|{COUNTY}|XJ-001|一号地|{PARK}|{block}|1|长沙经济技术开发区|{PARK}|approved|2024-05-06|2024-05-06|t|43500|t|2024-05-06|\
             湘政地〔2024〕12号|出让|t|2024|用地用海分类(2023)|100101|{{\"自定\": \"保留\"}}"
        )
    );
    let second = text(
        &db,
        "SELECT concat_ws('|', state, valid_from, park_code, stated_park) FROM turnover_parcel WHERE number = 'XJ-002'"
            .into(),
    )
    .await;
    assert_eq!(second, format!("acquired|-infinity|{PARK}|望城经济技术开发区"));
    // The same file again changes nothing.
    let again = db.import(&path, into(TURNOVER)).await.expect("read");
    assert_eq!((again.revision, again.report.status.as_str()), (None, "unchanged"), "{:?}", again.report.findings);
    assert_eq!(db.audit().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_file_moves_parcels_and_keeps_what_it_does_not_speak_of() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let land = square(x, y, 0.002);
    let first = file(
        "一季度.geojson",
        &[(
            json!({"地块编号": "A", "状态": "已批准", "批准日期": "2023-03-01", "用地单位": "甲厂", "备注": "旧"}),
            land.clone(),
        )],
    );
    db.import(&first, into(TURNOVER)).await.expect("imported");
    let second = file(
        "二季度.geojson",
        &[(json!({"地块编号": "A", "状态": "已供应", "签订日期": "2024-06-01", "备注": ""}), land.clone())],
    );
    let imported = db.import(&second, into(TURNOVER)).await.expect("imported");
    assert_eq!(codes(&imported), ["value_cleared"], "{:?}", imported.report.findings);
    let counts = imported.report.counts.expect("counts");
    assert_eq!((counts.inserted, counts.updated, counts.unchanged), (0, 1, 0));
    let lives: Vec<String> = db
        .column("SELECT concat_ws('|', state, valid_from, valid_to, land_user, coalesce(note, '-'), signed_on) FROM turnover_parcel ORDER BY valid_from")
        .await;
    assert_eq!(
        lives,
        ["approved|2023-03-01|2024-06-01|甲厂|-|2024-06-01", "supplied|2024-06-01|infinity|甲厂|-|2024-06-01"]
    );
    let moves: Vec<String> = db
        .column("SELECT concat_ws('|', ordinal, from_state, to_state, effective_on, reason, actor) FROM parcel_transition ORDER BY ordinal")
        .await;
    let reason = "导入 二季度.geojson（中间状态补记）";
    assert_eq!(
        moves,
        [
            format!("1|approved|acquired|2024-06-01|{reason}|test"),
            format!("2|acquired|serviced|2024-06-01|{reason}|test"),
            format!("3|serviced|listed|2024-06-01|{reason}|test"),
            format!("4|listed|supplied|2024-06-01|{reason}|test"),
        ]
    );
    // Back is no way forward; a day before the last one is no order.
    let back = file("倒退.geojson", &[(json!({"地块编号": "A", "状态": "已批准"}), land.clone())]);
    let refused = db.import(&back, into(TURNOVER)).await.expect("read");
    assert_eq!((codes(&refused), refused.revision), (vec!["transition_not_allowed".to_owned()], None));
    assert_eq!(
        refused.report.findings[0].message,
        "第 1 条记录：状态“已供应”不能转为“已批准”；可以转为：净地（serviced）、已交地（delivered）、冻结（frozen）、闲置（idle）"
    );
    let early = file(
        "过早.geojson",
        &[(json!({"地块编号": "A", "状态": "已交地", "实际交地日期": "2024-05-31"}), land.clone())],
    );
    assert_eq!(
        codes(&db.import(&early, into(TURNOVER)).await.expect("read")),
        ["transition_before_last", "date_order"],
        "handed over before it was granted, too"
    );
    // Undone as a whole, moves and lives too.
    import::undo(&db.pool, imported.batch.expect("batch"), &operator()).await.expect("undone");
    let lives: Vec<String> =
        db.column("SELECT concat_ws('|', state, valid_from, valid_to, note) FROM turnover_parcel").await;
    assert_eq!(lives, ["approved|2023-03-01|infinity|旧"]);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM parcel_transition").await, 0);
    assert_eq!(db.audit().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_joins_shapes_and_standing_parcels_by_number() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let shapes = file(
        "图形.geojson",
        &[(json!({"ZDBH": "1"}), square(x, y, 0.002)), (json!({"ZDBH": "2"}), square(x + 0.003, y, 0.002))],
    );
    let table =
        files::write("属性.csv", "宗地编号,产权人,RJL,MJ（亩）,状态\n1,甲公司,0.8,65.5,已核实\n2,乙公司,1.2,,疑似\n");
    let imported = db
        .import(&shapes, |request| {
            into(LOW)(request);
            request.attributes = Some((table.clone(), "属性.csv".to_owned()));
        })
        .await
        .expect("imported");
    assert_eq!(codes(&imported), [""; 0], "{:?}", imported.report.findings);
    let rows = "SELECT concat_ws('|', number, owner, floor_area_ratio, round(stated_area_m2::numeric, 3), state) FROM low_efficiency_parcel WHERE valid_to = 'infinity' ORDER BY number";
    assert_eq!(db.column::<String>(rows).await, ["1|甲公司|0.8|43666.667|verified", "2|乙公司|1.2|suspected"]);
    // A table alone speaks of parcels that stand; what it names beyond them is refused with its row.
    let alone = files::write("补充.csv", "宗地编号,产权人\n1,丙公司\n");
    let imported = db.import(&alone, into(LOW)).await.expect("imported");
    assert_eq!(codes(&imported), [""; 0], "{:?}", imported.report.findings);
    assert_eq!(db.column::<String>(rows).await, ["1|丙公司|0.8|43666.667|verified", "2|乙公司|1.2|suspected"]);
    let unknown = files::write("多出.csv", "宗地编号,产权人,RJL\n1,丁公司,很高\n9,戊公司,1\n");
    let refused = db.import(&unknown, into(LOW)).await.expect("read");
    let told: Vec<_> =
        refused.report.findings.iter().map(|f| (f.code.as_ref(), f.place.row, f.place.field.as_deref())).collect();
    assert_eq!(told, [("value_invalid", Some(2), Some("RJL"))]);
    let unknown = files::write("多出.csv", "宗地编号,产权人\n1,丁公司\n9,戊公司\n");
    let refused = db.import(&unknown, into(LOW)).await.expect("read");
    let told: Vec<_> = refused.report.findings.iter().map(|f| (f.code.as_ref(), f.place.row)).collect();
    assert_eq!(told, [("geometry_missing", Some(3))]);
    assert_eq!(db.column::<String>(rows).await[0], "1|丙公司|0.8|43666.667|verified", "all or nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_cell_is_told_with_its_row_and_field() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    for (properties, expected) in [
        (json!({"地块编号": "A", "批准日期": "2024年13月1日"}), ("value_invalid", "批准日期")),
        (json!({"地块编号": "A", "补偿到位": "可能"}), ("value_invalid", "补偿到位")),
        (json!({"地块编号": "A", "批准面积": "一百亩"}), ("value_invalid", "批准面积")),
        (json!({"地块编号": "A", "批准面积": "100"}), ("area_unit_missing", "批准面积")),
        (json!({"地块编号": "A", "地类编码": "0601"}), ("land_use_system_missing", "地类编码")),
        (json!({"地块编号": "A", "状态": "飞升"}), ("state_unknown", "状态")),
        (json!({"地块编号": "A", "状态": "已批准", "状态日期": "2031-01-01"}), ("transition_in_future", "状态日期")),
        (json!({"地块编号": "A", "状态": "冻结", "原状态": "已撤批"}), ("held_state_invalid", "原状态")),
        (json!({"地块编号": "A", "批准面积(公顷)": "1,5"}), ("value_invalid", "批准面积(公顷)")),
        (json!({"地块编号": ""}), ("parcel_no_missing", "地块编号")),
        (json!({"地块编号": "A/B"}), ("id_invalid", "地块编号")),
    ] {
        let path = file("坏.geojson", &[(properties.clone(), square(x, y, 0.002))]);
        let refused = db.import(&path, into(TURNOVER)).await.expect("read");
        let told: Vec<_> =
            refused.report.findings.iter().map(|f| (f.code.as_ref(), f.place.row, f.place.field.as_deref())).collect();
        assert_eq!(told, [(expected.0, Some(1), Some(expected.1))], "{properties}");
    }
    let path = file(
        "无县.geojson",
        &[
            (json!({"地块编号": "A"}), square(x, y, 0.002)),
            (json!({"地块编号": "B", "县区": "火星县"}), square(x + 0.01, y, 0.002)),
        ],
    );
    let refused = db
        .import(&path, |request| {
            into(TURNOVER)(request);
            request.county = None;
        })
        .await
        .expect("read");
    assert_eq!(codes(&refused), ["county_missing", "county_unknown"]);
    let refused = db
        .import(&path, |request| {
            into(TURNOVER)(request);
            request.jurisdiction =
                sizhi::domain::access::Jurisdiction::Divisions(vec![DivisionCode::parse("430200").expect("code")]);
        })
        .await
        .expect("read");
    assert_eq!(codes(&refused), ["outside_jurisdiction", "outside_jurisdiction"]);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM turnover_parcel").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn land_follows_the_blocks_around_it() {
    let db = Database::with_sample().await;
    let (x, y, block) = inside(&db, PARK).await;
    db.import(&file("地.geojson", &[(json!({"地块编号": "A"}), square(x, y, 0.001))]), into(TURNOVER))
        .await
        .expect("imported");
    let place = || db.value::<String>("SELECT concat_ws('|', park_code, block_id, inside_share) FROM turnover_parcel");
    assert_eq!(place().await, format!("{PARK}|{block}|1"));
    // A surveyed boundary takes the place of the drawn ones and holds half of the parcel.
    let half = file("边界.geojson", &[(json!({"区块编号": "测1"}), square(x - 0.01, y - 0.01, 0.0105))]);
    let imported =
        db.import(&half, |request| request.park = sizhi::domain::ParkCode::parse(PARK).ok()).await.expect("imported");
    let batch = imported.batch.expect("batch");
    let share: f64 = db.value("SELECT inside_share FROM turnover_parcel").await;
    let judged: f64 = db
        .value(
            "SELECT ST_Area(ST_Intersection(p.geom, b.geom)::geography) / ST_Area(p.geom::geography)
             FROM turnover_parcel p JOIN park_block b ON b.id = p.block_id AND b.valid_to = 'infinity'",
        )
        .await;
    assert!((share - judged).abs() < 2e-6 && (0.2..0.3).contains(&share), "{share} {judged}");
    assert_eq!(db.value::<String>("SELECT block_id FROM turnover_parcel").await, format!("{PARK}-测1"));
    // A later edit of the parcel is in no undo's way, and the undo places it anew.
    db.import(&file("地.geojson", &[(json!({"地块编号": "A", "备注": "改"}), square(x, y, 0.001))]), into(TURNOVER))
        .await
        .expect("imported");
    import::undo(&db.pool, batch, &operator()).await.expect("undone");
    assert_eq!(place().await, format!("{PARK}|{block}|1"));
    assert_eq!(db.value::<String>("SELECT note FROM turnover_parcel").await, "改");
    assert_eq!(db.audit().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_beside_new_shapes_leaves_the_land_of_others_alone() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    db.import(&file("旧.geojson", &[(json!({"地块编号": "旧"}), square(x, y, 0.001))]), into(TURNOVER))
        .await
        .expect("imported");
    let before: String =
        db.value("SELECT concat(encode(ST_AsEWKB(geom), 'hex'), area_m2, block_id) FROM turnover_parcel").await;
    let shapes = file("新.geojson", &[(json!({"地块编号": "新"}), square(x + 0.002, y, 0.001))]);
    let table = files::write("两条.csv", "地块编号,备注\n新,甲\n旧,乙\n");
    let imported = db
        .import(&shapes, |request| {
            into(TURNOVER)(request);
            request.attributes = Some((table, "两条.csv".to_owned()));
        })
        .await
        .expect("imported");
    assert_eq!(codes(&imported), ["rows_without_shape"]);
    let counts = imported.report.counts.expect("counts");
    assert_eq!((counts.inserted, counts.updated), (1, 1));
    let after: String = db
        .value(
            "SELECT concat(encode(ST_AsEWKB(geom), 'hex'), area_m2, block_id) FROM turnover_parcel WHERE number = '旧'",
        )
        .await;
    assert_eq!(after, before);
    assert_eq!(
        db.column::<String>("SELECT note FROM turnover_parcel ORDER BY number COLLATE \"C\"").await,
        ["甲", "乙"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_heading_or_a_day_leaves_open_is_told_and_never_locks_a_parcel() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let land = square(x, y, 0.002);
    // A unit that is not known is an amount that would be lost.
    for heading in ["批准面积（万平方米）", "成交价款（亿元）", "面积(公亩)"] {
        let path = file("单位.geojson", &[(json!({"地块编号": "A", heading: "1.5"}), land.clone())]);
        let refused = db.import(&path, into(TURNOVER)).await.expect("read");
        let told: Vec<_> =
            refused.report.findings.iter().map(|f| (f.code.as_ref(), f.place.field.as_deref())).collect();
        assert_eq!(told, [("unit_unknown", Some(heading))]);
    }
    // Frozen land goes back to where it came from, which its dates tell.
    let frozen =
        file("冻结.geojson", &[(json!({"地块编号": "A", "状态": "冻结", "签订日期": "2024-03-01"}), land.clone())]);
    assert_eq!(codes(&db.import(&frozen, into(TURNOVER)).await.expect("imported")), ["held_state_assumed"]);
    assert_eq!(
        db.value::<String>("SELECT concat_ws('|', state, held_state) FROM turnover_parcel").await,
        "frozen|supplied"
    );
    let future =
        file("将来.geojson", &[(json!({"地块编号": "A", "状态": "已供应", "签订日期": "2031-01-01"}), land.clone())]);
    assert_eq!(codes(&db.import(&future, into(TURNOVER)).await.expect("read")), ["transition_in_future"]);
    let prefecture = db
        .import(&frozen, |request| {
            into(TURNOVER)(request);
            request.county = DivisionCode::parse("430100").ok();
        })
        .await;
    assert_eq!(prefecture.expect_err("no county").code(), "county_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_checked_as_new_is_not_written_over_what_came_since() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let path = file("先查.geojson", &[(json!({"地块编号": "A", "备注": "甲"}), square(x, y, 0.002))]);
    let mut request = crate::support::import_request(&path);
    into(TURNOVER)(&mut request);
    let staged = import::stage(&db.pool, &request).await.expect("staged");
    let between = file("后来.geojson", &[(json!({"地块编号": "A", "备注": "乙"}), square(x, y, 0.002))]);
    db.import(&between, into(TURNOVER)).await.expect("imported");
    let refused = import::commit(&db.pool, staged.id, &operator()).await.expect_err("somebody came between");
    assert_eq!(refused.code(), "import_refused_now");
    assert_eq!(db.value::<String>("SELECT note FROM turnover_parcel").await, "乙");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_takes_no_parcel_from_under_its_plan() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let path = file("认定.geojson", &[(json!({"宗地编号": "A", "状态": "已认定"}), square(x, y, 0.002))]);
    let batch = db.import(&path, into(LOW)).await.expect("imported").batch.expect("batch");
    db.write(
        "INSERT INTO redevelopment_plan (id, county_code, number, parcel_id, state, source)
         VALUES ('430121-F', '430121', 'F', '430121-A', 'drafted', 's')",
    )
    .await;
    let refused = import::undo(&db.pool, batch, &operator()).await.expect_err("a plan hangs on it");
    assert_eq!((refused.code(), refused.findings()[0].code.as_ref()), ("undo_conflict", "plan_in_use"));
    assert_eq!(db.value::<i64>("SELECT count(*) FROM low_efficiency_parcel").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_rests_on_a_plan_needs_it() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let path = file("实施.geojson", &[(json!({"宗地编号": "A", "状态": "实施中"}), square(x, y, 0.002))]);
    assert_eq!(codes(&db.import(&path, into(LOW)).await.expect("read")), ["plan_required"]);
    let imported = db
        .import(&path, |request| {
            into(LOW)(request);
            request.allow = vec!["plan_required".to_owned()];
        })
        .await
        .expect("imported");
    assert_eq!(codes(&imported), ["plan_required"]);
    assert!(imported.revision.is_some() && imported.report.findings[0].message.ends_with("（已按要求放行）"));
}
