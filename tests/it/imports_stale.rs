//! Between check and commit somebody else writes: what the commit would write over it is refused and named; what it leaves alone may have
//! moved on.

use serde_json::{Value, json};
use sizhi::inventory::import;

use crate::support::http::{Answer, call, get_authorised, path_of, post, upload};
use crate::support::parcels::{COUNTY, PARK, file, inside, into, operator, square};
use crate::support::{Database, files, import_request};

const TURNOVER: &str = "turnover_parcels";

/// Uploads for a check; gives the batch's address.
async fn staged(db: &Database, fields: &[(&str, &str)], name: &str, bytes: &[u8]) -> String {
    let answer = call(db, upload("/api/imports", fields, name, bytes)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (201, &json!("checked")), "{}", answer.text());
    path_of(&json!(answer.header("location").expect("location")))
}

async fn commit(db: &Database, batch: &str) -> Answer {
    post(db, &format!("{batch}/commit")).await
}

/// Code, row and sentence of every finding.
fn told(problem: &Value) -> Vec<(String, u64, String)> {
    let text = |f: &Value, name: &str| f[name].as_str().unwrap_or_default().to_owned();
    let list = problem["findings"].as_array().expect("findings");
    list.iter().map(|f| (text(f, "code"), f["row"].as_u64().unwrap_or_default(), text(f, "message"))).collect()
}

#[actix_web::test]
async fn an_edit_after_the_check_is_not_written_over_and_is_named() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let parcels = |notes: [&str; 3]| {
        let one = |(at, note): (usize, &str)| {
            (json!({"地块编号": format!("P{at}"), "备注": note}), square(x + 0.002 * at as f64, y, 0.001))
        };
        file("三块.geojson", &notes.into_iter().enumerate().map(one).collect::<Vec<_>>())
    };
    db.import(&parcels(["旧", "旧", "旧"]), into(TURNOVER)).await.expect("imported");
    let bytes = std::fs::read(parcels(["新", "新", "旧"])).expect("file");
    let fields = [("layer", TURNOVER), ("county", COUNTY)];
    let batch = staged(&db, &fields, "三块.geojson", &bytes).await;
    // One that the file changes, and one that it leaves as it is; another field than the file speaks of.
    db.write("UPDATE turnover_parcel SET land_user = '后来的单位' WHERE number IN ('P1', 'P2')").await;
    let revision: i64 = db.value("SELECT max(number) FROM revision").await;
    let problem = commit(&db, &batch).await.assert_problem(409, "import_refused_now");
    assert_eq!(
        told(&problem),
        [(
            "import_stale".to_owned(),
            2,
            format!("第 2 条记录的 {COUNTY}-P1 在检查之后又被修改（修订 {revision}），提交会覆盖这次修改")
        )]
    );
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("1 条") && d.contains("重新上传")), "{problem}");
    assert_eq!(get_authorised(&db, &batch).await.json()["status"], "checked");
    assert_eq!(
        db.column::<String>("SELECT concat(note, land_user) FROM turnover_parcel ORDER BY number").await,
        ["旧", "旧后来的单位", "旧后来的单位"]
    );
    // Checked again it goes in, over what the clerk has now seen; the row that stays has moved on, and stays.
    let again = staged(&db, &fields, "三块.geojson", &bytes).await;
    db.write("UPDATE turnover_parcel SET land_user = '更后来的单位' WHERE number = 'P2'").await;
    let committed = commit(&db, &again).await;
    assert_eq!(committed.json()["status"], "committed", "{}", committed.text());
    assert_eq!(
        db.column::<String>("SELECT concat(note, land_user) FROM turnover_parcel ORDER BY number").await,
        ["新", "新后来的单位", "旧更后来的单位"]
    );
    assert_eq!(db.audit().await, None);
}

#[actix_web::test]
async fn a_move_in_the_file_goes_over_no_other_edit() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let parcel = |state: &str| {
        file(
            "状态.geojson",
            &[(json!({"地块编号": "A", "状态": state, "状态日期": "2024-05-06"}), square(x, y, 0.001))],
        )
    };
    db.import(&parcel("已批准"), into(TURNOVER)).await.expect("imported");
    let mut request = import_request(&parcel("已征收"));
    into(TURNOVER)(&mut request);
    let staged = import::stage(&db.pool, &request).await.expect("staged");
    db.write("UPDATE turnover_parcel SET note = '已查封，勿动'").await;
    let refused = import::commit(&db.pool, staged.id, &operator()).await.expect_err("written since");
    assert_eq!((refused.code(), refused.findings()[0].code.as_ref()), ("import_refused_now", "import_stale"));
    assert_eq!(db.value::<String>("SELECT state || note FROM turnover_parcel").await, "approved已查封，勿动");
}

#[actix_web::test]
async fn blocks_and_parks_edited_after_the_check_stay_as_well() {
    let db = Database::with_sample().await;
    let boundaries = |side: f64| {
        let at = |east: f64| files::square(3_120_000.0, 38_400_000.0 + east, side);
        files::txt(&[("8", at(0.0), side * side / 10_000.0), ("9", at(3_000.0), side * side / 10_000.0)])
    };
    let fields = [("layer", "park_blocks"), ("park", "G431176")];
    let first = staged(&db, &fields, "边界.txt", boundaries(1_000.0).as_bytes()).await;
    assert_eq!(commit(&db, &first).await.json()["status"], "committed");
    let wider = staged(&db, &fields, "边界.txt", boundaries(1_010.0).as_bytes()).await;
    db.write("UPDATE park_block SET east = '后来的东至' WHERE id = 'G431176-9'").await;
    let problem = commit(&db, &wider).await.assert_problem(409, "import_refused_now");
    let [(code, row, said)] = told(&problem).try_into().expect("one");
    assert_eq!(code, "import_stale");
    assert!(row > 0 && said.contains("G431176-9"), "{row} {said}");
    assert_eq!(db.value::<String>("SELECT east FROM park_block WHERE id = 'G431176-9'").await, "后来的东至");

    let table = "园区代码,园区名称,级别,所在市州,核准面积（公顷）\nG431176,望城经济技术开发区,国家级,长沙市,640.5\n";
    let directory = staged(&db, &[("layer", "parks")], "名录.csv", table.as_bytes()).await;
    db.write("UPDATE park SET leading_industries = '{后来的产业}' WHERE code = 'G431176'").await;
    let problem = commit(&db, &directory).await.assert_problem(409, "import_refused_now");
    let [(code, row, said)] = told(&problem).try_into().expect("one");
    assert_eq!((code.as_str(), row), ("import_stale", 2));
    assert!(said.contains("G431176"), "{said}");
    assert_eq!(db.value::<String>("SELECT leading_industries[1] FROM park WHERE code = 'G431176'").await, "后来的产业");
}

#[actix_web::test]
async fn what_was_taken_away_after_the_check_is_not_made_anew() {
    let db = Database::with_sample().await;
    let land = |side: f64| files::txt(&[("9", files::square(3_120_000.0, 38_400_000.0, side), side * side / 10_000.0)]);
    let fields = [("layer", "park_blocks"), ("park", "G431176")];
    let first = staged(&db, &fields, "边界.txt", land(1_000.0).as_bytes()).await;
    assert_eq!(commit(&db, &first).await.json()["status"], "committed");
    let wider = staged(&db, &fields, "边界.txt", land(1_010.0).as_bytes()).await;
    assert_eq!(post(&db, &format!("{first}/undo")).await.json()["status"], "undone");
    commit(&db, &wider).await.assert_problem(409, "import_refused_now");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM park_block WHERE id = 'G431176-9'").await, 0);
}
