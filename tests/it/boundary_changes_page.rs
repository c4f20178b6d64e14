//! What an assessment tells beside its numbers: what only crosses the border, what was not compared, and the page that is printed of it.

use serde_json::{Value, json};

use crate::support::Database;
use crate::support::boundary::{CHANGES, assessment, block, change_of, park_of_two, proposal, proposed, rectangle};
use crate::support::http::get_authorised;
use crate::support::land::{LOW, Land, TURNOVER, id as parcel_id};
use crate::support::parcels::{self, PARK};

async fn page(db: &Database, id: &str) -> String {
    let answer = get_authorised(db, &format!("{CHANGES}/{id}/assessment?f=html")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

/// Heads and cells of the page's nth table of this caption, as they are printed.
fn table(page: &str, caption: &str, nth: usize) -> Vec<Vec<String>> {
    let after = page.split(&format!("aria-label=\"{caption}\"")).nth(nth + 1);
    let (table, _) = after.and_then(|rest| rest.split_once("</table>")).unwrap_or_else(|| panic!("{caption}: {page}"));
    let cells = |row: &str| -> Vec<String> {
        let row = row.replace("</th>", "</td>");
        let cells = row.split("</td>").filter(|cell| cell.contains("<td") || cell.contains("<th "));
        cells.map(|cell| cell.rsplit('>').next().unwrap_or_default().to_owned()).collect()
    };
    table.split("<tr>").skip(1).map(cells).collect()
}

/// A number of the document as the page prints it.
fn printed(value: &Value, decimals: usize) -> String {
    let number = value.as_f64().unwrap_or_else(|| panic!("no number: {value}"));
    format!("{number:.decimals$}")
}

/// m², hectares and 亩 of an area.
fn areas(area: &Value) -> [String; 3] {
    [printed(&area["m2"], 2), printed(&area["ha"], 4), printed(&area["mu"], 2)]
}

/// The candidate of this name on a side: east, south, west, north.
fn candidate(told: &Value, block: usize, side: usize, name: &str) -> Option<Value> {
    let list = &told["four_extents"][block]["sides"][side]["candidates"];
    list.as_array().expect("candidates").iter().find(|c| c["name"] == name).cloned()
}

/// Two blocks side by side, a river through the west one, a road along its north, a tower and a hill beside it.
fn with_river(land: &Land) -> Value {
    let at = |x: f64, y: f64| [land.x + x * 1e-4, land.y + y * 1e-4];
    let box_of = |[w, s, e, n]: [f64; 4]| rectangle([at(w, 0.)[0], at(0., s)[1], at(e, 0.)[0], at(0., n)[1]]);
    let blocks =
        vec![block("1", "87.00", box_of([0., 0., 100., 80.])), block("2", "69.70", box_of([100., 0., 180., 80.]))];
    let mut body = proposal(PARK, ["180.00", "43.30", "20.00", "156.70"], blocks);
    let line = |name: &str, path: Vec<[f64; 2]>| json!({"name": name, "geometry": {"type": "LineString", "coordinates": path}});
    let point = |name: &str, at: [f64; 2]| json!({"name": name, "geometry": {"type": "Point", "coordinates": at}});
    body["landmarks"] = json!([
        line("沩水", vec![at(40., -30.), at(43., 40.), at(45., 110.)]),
        line("金洲大道", vec![at(5., 80.), at(95., 80.)]),
        point("观音塔", at(50., -20.)),
        point("观音山", at(-25., 42.)),
    ]);
    body
}

#[actix_web::test]
async fn what_crosses_the_block_is_told_and_bounds_no_side_of_it() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let at = |x: f64, y: f64| (land.x + x * 1e-4, land.y + y * 1e-4);
    // A drawn block of another park on the east block's north border.
    let ((west, south), (east, north)) = (at(120., 80.), at(160., 120.));
    db.write(&format!(
        "DELETE FROM park_block WHERE park_code = 'G431176';
         INSERT INTO park_block (id, park_code, number, geom, area_m2, illustrative, source)
         VALUES ('G431176-1', 'G431176', '1', ST_Multi(ST_MakeEnvelope({west}, {south}, {east}, {north}, 4490)), 1000, true, '示意')"
    ))
    .await;
    let id = proposed(&db, &with_river(&land)).await["id"].as_str().expect("id").to_owned();
    let metres = async |(ax, ay): (f64, f64), (bx, by): (f64, f64)| {
        let sql =
            format!("SELECT ST_Distance(ST_MakePoint({ax}, {ay})::geography, ST_MakePoint({bx}, {by})::geography)");
        db.value::<f64>(&sql).await
    };
    let (south_m, west_m) = (metres(at(50., 0.), at(50., -20.)).await, metres(at(0., 42.), at(-25., 42.)).await);
    let words = format!("东至本园区区块2，南至观音塔以北{south_m:.0}米处，西至观音山以东{west_m:.0}米处，北至金洲大道");
    let told = assessment(&db, &id).await;
    assert_eq!(told["four_extents"][0]["text"], words, "{}", told["four_extents"][0]);
    for side in [1, 3] {
        let river = candidate(&told, 0, side, "沩水").unwrap_or_else(|| panic!("{}", told["four_extents"][0]));
        assert_eq!((&river["crossing"], &river["distance_m"]), (&json!(true), &json!(0.0)), "{river}");
    }
    for side in [0, 2] {
        assert_eq!(candidate(&told, 0, side, "沩水"), None, "neither in the east nor in the west");
    }
    let road = candidate(&told, 0, 3, "金洲大道").expect("the road");
    assert_eq!((&road["crossing"], &road["distance_m"]), (&json!(false), &json!(0.0)), "{road}");

    // A county whose border cuts the west block, 30 units west of the east one: told there, and the words are as before.
    let ((west, south), (east, north)) = (at(70., -50.), at(400., 150.));
    db.write(&format!(
        "UPDATE division SET geom = ST_Multi(ST_MakeEnvelope({west}, {south}, {east}, {north}, 4490)) WHERE code = '430112'"
    ))
    .await;
    let county: String = db.value("SELECT name || '界' FROM division WHERE code = '430112'").await;
    let told = assessment(&db, &id).await;
    for side in [1, 3] {
        let border = candidate(&told, 0, side, &county).unwrap_or_else(|| panic!("{}", told["four_extents"][0]));
        assert_eq!((&border["crossing"], &border["distance_m"]), (&json!(true), &json!(0.0)), "{border}");
        assert_eq!(border["id"], "430112");
    }
    assert_eq!(told["four_extents"][0]["text"], words, "{}", told["four_extents"][0]);

    // So it is printed, and what is only drawn too.
    let page = page(&db, &id).await;
    let rows = |nth: usize| table(&page, "四至", nth);
    assert_eq!(rows(0)[0], ["侧", "类别", "名称", "距离（米）", "方位", "说明"]);
    let row = |nth: usize, side: &str, name: &str| {
        let found = rows(nth).into_iter().find(|row| row[0] == side && row[2] == name);
        let mut row = found.unwrap_or_else(|| panic!("{side} {name}: {:?}", rows(nth)));
        row.remove(4);
        row
    };
    for side in ["南", "北"] {
        assert_eq!(row(0, side, "沩水"), [side, "地物", "沩水", "0.00", "横穿界线，不作四至"]);
        assert_eq!(row(0, side, &county), [side, "行政区", county.as_str(), "0.00", "横穿界线，不作四至"]);
    }
    assert_eq!(row(0, "北", "金洲大道"), ["北", "地物", "金洲大道", "0.00", ""]);
    let drawn = "望城经济技术开发区区块1";
    assert_eq!(row(1, "北", drawn), ["北", "其他园区", drawn, "0.00", "示意"]);
}

#[actix_web::test]
async fn the_page_counts_what_it_leaves_out_and_what_it_counts_twice() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let use_of = |code: &str| json!({"state": "approved", "land_use_system": "GB/T 21010", "land_use_code": code});
    // Whole out, half out, half in; a low-efficiency parcel within the first one.
    land.enter(&db, TURNOVER, "OUT", [150., 10., 160., 20.], use_of("0601")).await;
    land.enter(&db, TURNOVER, "CUT", [130., 30., 140., 50.], use_of("0601")).await;
    land.enter(&db, TURNOVER, "NEW", [140., 110., 150., 130.], use_of("0602")).await;
    land.enter(&db, LOW, "LOW", [152., 12., 156., 16.], json!({"state": "suspected"})).await;
    let id = proposed(&db, &change_of(&land)).await["id"].as_str().expect("id").to_owned();
    let (told, before) = (assessment(&db, &id).await, page(&db, &id).await);

    // Parcels with their shares in the park before and after.
    let list = told["parcels"]["list"].as_array().expect("list");
    let cell = |at: usize, side: &str, whole: &str| {
        format!("{}（{}，{whole}）", printed(&list[at][side]["m2"], 2), printed(&list[at][side]["mu"], 2))
    };
    let none = || "—".to_owned();
    let row = |number: &str, code: &str, fate: &str, out: String, added: String, shares: [&str; 2]| {
        let mut row = vec![parcel_id(number), String::new(), code.to_owned(), fate.to_owned(), out, added];
        row.extend(shares.map(str::to_owned));
        row
    };
    let head = ["标识", "名称", "地类", "变化", "调出 m²（亩）", "新扩入 m²（亩）", "调整前占比", "调整后占比"];
    let expected = [
        head.map(str::to_owned).to_vec(),
        row("CUT", "0601", "部分调出", cell(0, "out", "部分"), none(), ["100.00%", "50.00%"]),
        row("NEW", "0602", "调入园区", none(), cell(1, "in", "部分"), ["0.00%", "50.00%"]),
        row("OUT", "0601", "调出园区", cell(2, "out", "整宗"), none(), ["100.00%", "0.00%"]),
        row("LOW", "", "调出园区", cell(3, "out", "整宗"), none(), ["100.00%", "0.00%"]),
    ];
    assert_eq!(table(&before, "地块", 0), expected);

    // By class: what lies in no parcel, and of the sums what is counted in two of them.
    let out = &told["land_classes"]["out"];
    let other = |name: &str, area: [String; 3]| -> Vec<String> {
        [name.to_owned(), String::new(), String::new(), String::new()].into_iter().chain(area).collect()
    };
    let twice = out["in_several_m2"].as_f64().expect("m²");
    let low: f64 = db.value("SELECT area_m2 FROM low_efficiency_parcel WHERE number = 'LOW'").await;
    assert!((twice - low).abs() < 0.01, "{twice} for {low}");
    let in_both = [format!("{twice:.2}"), format!("{:.4}", twice / 10_000.0), format!("{:.2}", twice * 3.0 / 2_000.0)];
    let rows = table(&before, "调出", 0);
    assert_eq!(rows.len(), 5, "{rows:?}");
    assert_eq!(
        rows[3..],
        [other("无地块", areas(&out["no_parcel"])), other("其中重复计入（在不止一宗地块内）", in_both)]
    );
    let rows = table(&before, "新扩入", 0);
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!(rows[2], other("无地块", areas(&told["land_classes"]["in"]["no_parcel"])));
    assert!(!before.contains("未列出"), "all is listed");

    // Five hundred and twenty blocks of another park in the west block: the page lists five hundred conflicts, and counts all.
    db.write(&format!(
        "DELETE FROM park_block WHERE park_code = 'G431176';
         INSERT INTO park_block (id, park_code, number, geom, area_m2, source)
         SELECT 'G431176-' || n, 'G431176', n::text, ST_Multi(ST_MakeEnvelope(x, y, x + 2e-4, y + 2e-4, 4490)), 400, '实测（试验）'
         FROM (SELECT n, {} + (5 + (n % 26) * 3) * 1e-4 AS x, {} + (5 + n / 26 * 3) * 1e-4 AS y FROM generate_series(0, 519) n) b",
        land.x, land.y
    ))
    .await;
    let told = assessment(&db, &id).await;
    let conflicts = &told["conflicts"];
    let [block, warn, note] =
        ["block", "warn", "note"].map(|weight| conflicts["by_weight"][weight].as_u64().expect("count"));
    let of_park = conflicts["list"].as_array().expect("list").iter();
    let of_park = of_park.filter(|c| c["feature_id"].as_str().is_some_and(|id| id.starts_with("G431176-"))).count();
    assert!(of_park == 520 && block >= 520, "{of_park} of {block}");
    let total = block + warn + note;
    let crowded = page(&db, &id).await;
    let sentence = format!(
        "<h2>冲突检查</h2><p>共 {total} 项：不得通过 {block} 项、需核对 {warn} 项、提示 {note} 项；另有 {} 项未列出。</p>",
        total - 500
    );
    assert!(crowded.contains(&sentence), "{sentence}");
    let rows = table(&crowded, "冲突", 0);
    assert_eq!(
        (rows.len(), &rows[0]),
        (501, &["等级", "性质", "图层", "说明", "管控要求"].map(str::to_owned).to_vec())
    );
    assert!(rows[1..].iter().all(|row| row[0] == "不得通过"), "the heaviest first");
}

#[actix_web::test]
async fn land_in_more_parcels_than_are_cut_out_is_said_not_to_be_reckoned() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    // 1,020 parcels in the land that goes out: twenty more than are cut out of one piece.
    let features: Vec<(Value, Value)> = (0..1_020_u32)
        .map(|n| {
            let (x, y) = (101.0 + f64::from(n % 34) * 2.2, 1.0 + f64::from(n / 34) * 1.2);
            (json!({"地块编号": format!("M{n}")}), land.polygon([x, y, x + 2.0, y + 1.0]))
        })
        .collect();
    let file = parcels::file("boundary-many.geojson", &features);
    let imported = db.import(&file, parcels::into("turnover_parcels")).await.expect("imported");
    assert!(imported.revision.is_some(), "{:?}", imported.report.findings);
    let id = proposed(&db, &change_of(&land)).await["id"].as_str().expect("id").to_owned();
    let told = assessment(&db, &id).await;
    let out = &told["land_classes"]["out"];
    let why = "区块“2”的土地涉及 1020 宗地块，超过 1000 宗";
    assert_eq!(
        (&out["no_parcel"], &out["no_parcel_unknown"], &out["in_several_m2"]),
        (&Value::Null, &json!(why), &Value::Null)
    );
    assert_eq!(told["land_classes"]["in"]["no_parcel_unknown"], Value::Null);
    let incomplete: Vec<&Value> = told["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|f| f["code"] == "assessment_incomplete")
        .map(|f| &f["message"])
        .collect();
    assert_eq!(incomplete, [&json!(format!("调出的土地中不在任何地块内的面积没有计算：{why}"))]);
    let page = page(&db, &id).await;
    let rows = table(&page, "调出", 0);
    assert_eq!(rows.last().expect("rows"), &["无地块", "", "", "", "—", "—", "—"].map(str::to_owned).to_vec());
    assert!(page.contains(&format!("<p class=\"warning\">无地块的面积没有计算：{why}。</p>")), "{why}");
    assert!(page.contains("<h2>地块</h2><p>共 1020 宗，另有 520 宗未列出。</p>"));
    assert_eq!(table(&page, "地块", 0).len(), 501);
}
