//! What an assessment says of land, against PostGIS: what goes out, what comes in, of which parcels and classes; neighbours and distances.

use geo::MultiPolygon;
use serde_json::{Value, json};
use sizhi::geometry::area;
use sizhi::store::geometry_column;

use crate::support::Database;
use crate::support::boundary::{CHANGES, assessment, block, codes, polygon, post, proposal, proposed, rectangle};
use crate::support::http::get_authorised;
use crate::support::land::{LOW, Land, TURNOVER, id};
use crate::support::parcels::{self, PARK};

/// The park with surveyed blocks of the test's own: two that share a border, in 0.0001° from the land's place.
async fn park_of_two(db: &Database) -> Land {
    let land = Land::of(db).await;
    let sql = |[w, s, e, n]: [f64; 4]| {
        let (w, e, s, n) = (land.x + w * 1e-4, land.x + e * 1e-4, land.y + s * 1e-4, land.y + n * 1e-4);
        format!("ST_Multi(ST_MakeEnvelope({w}, {s}, {e}, {n}, 4490))")
    };
    db.write(&format!(
        "DELETE FROM park_block WHERE park_code = '{PARK}';
         INSERT INTO park_block (id, park_code, number, name, geom, area_m2, stated_area_ha, source)
         SELECT '{PARK}-' || n, '{PARK}', n, name, geom, 1, 100, '实测（试验）'
         FROM (VALUES ('1', '西区', {}), ('2', '东区', {})) AS b (n, name, geom)",
        sql([0.0, 0.0, 100.0, 80.0]),
        sql([100.0, 0.0, 180.0, 80.0])
    ))
    .await;
    // Their areas by the survey formula, as an import would have them.
    for (number, boundary) in
        shapes(db, &format!("SELECT number, ST_AsEWKB(geom) FROM park_block WHERE park_code = '{PARK}'")).await
    {
        let m2 = area::ellipsoidal(&boundary).value();
        db.write(&format!("UPDATE park_block SET area_m2 = {m2} WHERE id = '{PARK}-{number}'")).await;
    }
    land
}

async fn shapes(db: &Database, sql: &str) -> Vec<(String, MultiPolygon<f64>)> {
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql.to_owned())).fetch_all(&db.pool).await.expect("shapes");
    let decoded = |(name, bytes): (String, Vec<u8>)| {
        let shape = geometry_column::decode_shown(&bytes).map(|flat| flat.to_multi_polygon());
        (name, shape.unwrap_or_else(|| MultiPolygon(vec![])))
    };
    rows.into_iter().map(decoded).collect()
}

/// The land that PostGIS cuts out, by the survey formula.
async fn judged(db: &Database, sql: &str) -> f64 {
    shapes(db, &format!("SELECT 'x', ST_AsEWKB(ST_Multi(ST_CollectionExtract({sql}, 3)))"))
        .await
        .iter()
        .map(|(_, shape)| area::ellipsoidal(shape).value())
        .sum()
}

/// Union of the park's current blocks, and of the proposed ones.
fn before() -> String {
    format!("(SELECT ST_Union(geom) FROM park_block WHERE park_code = '{PARK}' AND valid_to = 'infinity')")
}

fn after(change: &str) -> String {
    format!("(SELECT ST_Union(geom) FROM boundary_change_block WHERE change_id = '{change}')")
}

fn m2(value: &Value) -> f64 {
    value["m2"].as_f64().unwrap_or_else(|| panic!("no area: {value}"))
}

/// A boundary that keeps the west block but for a slanting cut, gives up most of the east one, and takes land in the north and south.
fn changed(land: &Land) -> Value {
    let at = |x: f64, y: f64| [land.x + x * 1e-4, land.y + y * 1e-4];
    let west = polygon(&[at(0., 0.), at(100., 0.), at(100., 80.), at(60., 95.), at(7., 71.), at(0., 33.)]);
    let east = polygon(&[at(100., 0.), at(123., -21.), at(140., 13.), at(131., 80.), at(100., 80.)]);
    let ha = |feature: &Value| {
        let sum: f64 = feature["coordinates"][0]
            .as_array()
            .expect("ring")
            .windows(2)
            .map(|e| {
                let c = |p: &Value, i: usize| p[i].as_f64().expect("number");
                c(&e[0], 0) * c(&e[1], 1) - c(&e[1], 0) * c(&e[0], 1)
            })
            .sum();
        format!("{:.2}", sum.abs() / 2.0 * 1e8 * 9.83 * 11.08 / 1e4)
    };
    let stated = [ha(&west), ha(&east)];
    let total: f64 = stated.iter().map(|s| s.parse::<f64>().expect("area")).sum();
    let paper = [format!("{:.2}", total + 5.0), "10.00".to_owned(), "5.00".to_owned(), format!("{total:.2}")];
    let paper = paper.each_ref().map(String::as_str);
    proposal(PARK, paper, vec![block("1", &stated[0], west), block("2", &stated[1], east)])
}

#[actix_web::test]
async fn land_out_and_in_is_what_postgis_cuts_out() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    // Whole out, cut by the new border, wholly new, untouched, in no class, over both ledgers.
    let use_of = |code: &str| json!({"state": "approved", "land_use_system": "GB/T 21010", "land_use_code": code});
    land.enter(&db, TURNOVER, "OUT", [150.0, 20.0, 160.0, 30.0], use_of("0601")).await;
    land.enter(&db, TURNOVER, "CUT", [125.0, 30.0, 155.0, 40.0], use_of("0601")).await;
    land.enter(&db, TURNOVER, "NEW", [40.0, 81.0, 60.0, 84.0], use_of("0602")).await;
    land.enter(&db, TURNOVER, "KEPT", [20.0, 20.0, 30.0, 30.0], use_of("0602")).await;
    land.enter(&db, TURNOVER, "BARE", [110.0, -10.0, 116.0, -8.0], json!({"state": "approved"})).await;
    land.enter(&db, LOW, "LOW", [152.0, 22.0, 156.0, 26.0], json!({"state": "suspected"})).await;
    // Where borders are cut square, before − out + in is after: nothing is left of it.
    let at = |x: f64, y: f64| [land.x + x * 1e-4, land.y + y * 1e-4];
    let box_of = |[w, s, e, n]: [f64; 4]| rectangle([at(w, 0.)[0], at(0., s)[1], at(e, 0.)[0], at(0., n)[1]]);
    let square = vec![block("1", "87", box_of([0., 0., 100., 80.])), block("2", "43", box_of([100., 30., 140., 130.]))];
    let square = proposal(PARK, ["156.70", "46", "19.30", "130"], square);
    let tried = post(&db, &format!("{CHANGES}?dry_run=true"), &square).await.json();
    let computed = &tried["assessment"]["computed"];
    assert!(m2(&computed["out"]) > 400_000.0 && m2(&computed["in"]) > 100_000.0, "{computed}");
    assert!(computed["closing_m2"].as_f64().expect("closing").abs() < 1e-6, "{computed}");

    let change = proposed(&db, &changed(&land)).await;
    let change = change["id"].as_str().expect("id");
    let told = assessment(&db, change).await;
    let computed = &told["computed"];

    let (old, new) = (before(), after(change));
    let (out, added) = (format!("ST_Difference({old}, {new})"), format!("ST_Difference({new}, {old})"));
    for (name, sql) in [("out", &out), ("in", &added)] {
        let expected = judged(&db, sql).await;
        let ours = m2(&computed[name]);
        assert!(expected > 50_000.0, "{name}: {expected}");
        // As in overlap_judge: a vertex that PostGIS cuts lies elsewhere by a step of a double.
        assert!((ours - expected).abs() <= 1e-4 + expected * 1e-9, "{name}: {ours} for {expected}");
    }
    // before − out + in = after, but for what the formula makes of cut edges; that is said, and small.
    let closing = m2(&computed["before"]) - m2(&computed["out"]) + m2(&computed["in"]) - m2(&computed["after"]);
    let said = computed["closing_m2"].as_f64().expect("closing");
    assert!((closing - said).abs() < 1e-6, "{closing} {said}");
    assert!(said.abs() > 1e-3 && said.abs() < 0.1, "{said} m² of {}", m2(&computed["after"]));

    // Every parcel by PostGIS' own cuts.
    let list = told["parcels"]["list"].as_array().expect("list");
    let fates: Vec<(&str, &str)> =
        list.iter().map(|p| (p["id"].as_str().expect("id"), p["fate"].as_str().expect("fate"))).collect();
    assert_eq!(
        fates,
        [
            (id("BARE").as_str(), "comes_in"),
            (id("CUT").as_str(), "partly_out"),
            (id("NEW").as_str(), "comes_in"),
            (id("OUT").as_str(), "falls_out"),
            (id("LOW").as_str(), "falls_out"),
        ]
    );
    for parcel in list {
        let table = if parcel["ledger"] == "turnover_parcels" { "turnover_parcel" } else { "low_efficiency_parcel" };
        let geom = format!("(SELECT geom FROM {table} WHERE id = '{}')", parcel["id"].as_str().expect("id"));
        for (name, sql) in [("out", &out), ("in", &added)] {
            let expected = judged(&db, &format!("ST_Intersection({geom}, {sql})")).await;
            let ours = m2(&parcel[name]);
            assert!((ours - expected).abs() <= 1e-4, "{} {name}: {ours} for {expected}", parcel["id"]);
            assert!((parcel[name]["mu"].as_f64().expect("亩") - ours * 0.0015).abs() <= 0.005_001);
        }
    }
    let whole = |n: usize| (list[n]["out_whole"].clone(), list[n]["in_whole"].clone(), list[n]["block_after"].clone());
    assert_eq!(whole(3), (json!(true), json!(false), Value::Null), "OUT");
    assert_eq!(whole(1), (json!(false), json!(false), json!("2")), "CUT");
    assert_eq!(whole(2), (json!(false), json!(true), json!("1")), "NEW");

    // Classes: the sum of their parcels; what lies in none by PostGIS' own cut of the union of parcels.
    let classes = &told["land_classes"];
    let class = |side: &str, n: usize| classes[side]["classes"][n].clone();
    assert_eq!(
        (&class("out", 0)["ledger"], &class("out", 0)["parcels"]),
        (&json!("low_efficiency_parcels"), &json!(1))
    );
    assert_eq!((&class("out", 1)["land_use_code"], &class("out", 1)["parcels"]), (&json!("0601"), &json!(2)));
    assert!((m2(&class("out", 1)["area"]) - m2(&list[1]["out"]) - m2(&list[3]["out"])).abs() < 1e-6);
    assert_eq!(class("in", 0)["land_use_code"], Value::Null, "no class, and still a row");
    assert_eq!(class("in", 1)["land_use_code"], "0602");
    let all = "(SELECT ST_Union(geom) FROM (SELECT geom FROM turnover_parcel UNION ALL SELECT geom FROM low_efficiency_parcel) p)";
    for (name, sql) in [("out", &out), ("in", &added)] {
        let expected = judged(&db, &format!("ST_Difference({sql}, {all})")).await;
        let none = m2(&classes[name]["no_parcel"]);
        assert!((none - expected).abs() <= 1e-3, "{name}: {none} for {expected}");
    }
    // The low-efficiency parcel lies on the turnover one: that land counts in both classes, and is said to.
    let twice = classes["out"]["in_several_m2"].as_f64().expect("m²");
    assert!((twice - m2(&list[4]["out"])).abs() < 0.5, "{twice}");
}

#[actix_web::test]
async fn the_drawn_land_and_the_extremes_are_those_of_the_shapes() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let change = proposed(&db, &changed(&land)).await;
    let change = change["id"].as_str().expect("id");
    let drawn = get_authorised(&db, &format!("{CHANGES}/{change}/assessment?f=geojson")).await;
    assert_eq!(drawn.header("content-type"), Some("application/geo+json; charset=utf-8"));
    let drawn = drawn.json();
    let (old, new) = (before(), after(change));
    for (role, expected) in [
        ("proposed", new.clone()),
        ("current", old.clone()),
        ("removed", format!("ST_Difference({old}, {new})")),
        ("added", format!("ST_Difference({new}, {old})")),
    ] {
        let features: Vec<String> = drawn["features"]
            .as_array()
            .expect("list")
            .iter()
            .filter(|f| f["properties"]["role"] == role)
            .map(|f| f["geometry"].to_string())
            .collect();
        assert!(!features.is_empty(), "{role}");
        // The symmetric difference of what is drawn and what PostGIS cuts out is nothing that can be seen.
        let sql = format!(
            "SELECT ST_Area(ST_SymDifference((SELECT ST_Union(ST_SetSRID(ST_GeomFromGeoJSON(g), 4490)) FROM unnest($1::text[]) g), {expected})::geography)"
        );
        let off: f64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(features).fetch_one(&db.pool).await.expect("off");
        assert!(off < 0.01, "{role}: {off} m²");
    }
    let told = assessment(&db, change).await;
    let bbox = async |sql: String| {
        let sql = format!("SELECT ARRAY[ST_XMin(g), ST_YMin(g), ST_XMax(g), ST_YMax(g)] FROM (SELECT {sql} AS g) x");
        sqlx::query_scalar::<_, Vec<f64>>(sqlx::AssertSqlSafe(sql)).fetch_one(&db.pool).await.expect("box")
    };
    assert_eq!(told["extremes"]["before"]["bbox"], json!(bbox(old).await));
    assert_eq!(told["extremes"]["after"]["bbox"], json!(bbox(new).await));
    let east = &told["extremes"]["after"]["east"];
    assert_eq!(east["longitude"].as_f64(), Some(land.x + 140.0 * 1e-4), "the corner of the east block");

    // As a page: printed without scripts, with every part.
    let page = get_authorised(&db, &format!("{CHANGES}/{change}/assessment?f=html")).await;
    assert_eq!(page.status, 200);
    let text = page.text();
    for heading in ["面积", "示意图", "按地类", "地块", "坐标四至", "四至建议", "冲突检查", "办理过程"]
    {
        assert!(text.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
    assert!(text.contains("class=\"removed\"") && text.contains("class=\"added\"") && !text.contains("<script"));
}

#[actix_web::test]
async fn the_sides_name_what_lies_there_as_postgis_measures_it() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let at = |x: f64, y: f64| [land.x + x * 1e-4, land.y + y * 1e-4];
    land.enter(&db, TURNOVER, "EAST", [190.0, 30.0, 195.0, 40.0], json!({"state": "approved", "name": "东侧地块"}))
        .await;
    // Another park's block that touches the north border.
    db.write(&format!(
        "DELETE FROM park_block WHERE park_code = 'G431176';
         INSERT INTO park_block (id, park_code, number, geom, area_m2, source)
         VALUES ('G431176-1', 'G431176', '1', ST_Multi(ST_MakeEnvelope({}, {}, {}, {}, 4490)), 1000, '实测（试验）')",
        at(20.0, 0.0)[0],
        at(0.0, 80.0)[1],
        at(60.0, 0.0)[0],
        at(0.0, 120.0)[1]
    ))
    .await;
    let mut body = proposal(
        PARK,
        ["180.00", "30.00", "20.00", "170.00"],
        vec![
            block("1", "87.00", rectangle([at(0.0, 0.0)[0], at(0.0, 0.0)[1], at(100.0, 0.0)[0], at(0.0, 80.0)[1]])),
            block("2", "83.00", rectangle([at(100.0, 0.0)[0], at(0.0, 0.0)[1], at(180.0, 0.0)[0], at(0.0, 80.0)[1]])),
        ],
    );
    body["landmarks"] = json!([
        {"name": "沩水", "geometry": {"type": "LineString", "coordinates": [at(-40.0, -30.0), at(60.0, -30.0), at(240.0, -35.0)]}},
        {"name": "观音山", "geometry": {"type": "Point", "coordinates": at(-25.0, 42.0)}},
        {"name": "远处的塔", "geometry": {"type": "Point", "coordinates": at(900.0, 40.0)}},
    ]);
    let change = proposed(&db, &body).await;
    let told = assessment(&db, change["id"].as_str().expect("id")).await;
    let side = |block: usize, side: usize| told["four_extents"][block]["sides"][side].clone();
    let named = |value: &Value| -> Vec<(String, f64, String)> {
        let one = |c: &Value| {
            let text = |name: &str| c[name].as_str().expect("text").to_owned();
            (text("name"), c["distance_m"].as_f64().expect("m"), text("bearing"))
        };
        value["candidates"].as_array().expect("list").iter().filter(|c| c["kind"] != "division").map(one).collect()
    };
    let distance = async |a: [f64; 2], b: [f64; 2]| {
        db.value::<f64>(&format!(
            "SELECT ST_Distance(ST_MakePoint({}, {})::geography, ST_MakePoint({}, {})::geography)",
            a[0], a[1], b[0], b[1]
        ))
        .await
    };
    // West block: its east is the east block, its west the hill, its north the other park, its south the river.
    let east = named(&side(0, 0));
    assert_eq!((east[0].0.as_str(), east[0].1), ("本园区区块2", 0.0), "{east:?}");
    let west = named(&side(0, 2));
    let expected = distance(at(0.0, 42.0), at(-25.0, 42.0)).await;
    assert_eq!((west[0].0.as_str(), west[0].2.as_str()), ("观音山", "西"), "{west:?}");
    assert!((west[0].1 - expected).abs() < 0.02, "{} for {expected}", west[0].1);
    let north = named(&side(0, 3));
    assert_eq!(
        (north[0].0.as_str(), north[0].1, north[0].2.as_str()),
        ("望城经济技术开发区区块1", 0.0, "北"),
        "{north:?}"
    );
    let south = named(&side(0, 1));
    let expected = distance(at(50.0, 0.0), at(50.0, -30.0)).await;
    assert_eq!((south[0].0.as_str(), south[0].2.as_str()), ("沩水", "南"), "{south:?}");
    assert!((south[0].1 - expected).abs() < 0.02, "{} for {expected}", south[0].1);
    assert_eq!(
        told["four_extents"][0]["text"],
        format!(
            "东至本园区区块2，南至沩水以北{expected:.0}米处，西至观音山以东{:.0}米处，北至望城经济技术开发区区块1",
            distance(at(0.0, 42.0), at(-25.0, 42.0)).await
        )
    );
    // East block: the parcel is nearer than the tower, which is out of reach.
    let east = named(&side(1, 0));
    let expected = distance(at(180.0, 35.0), at(190.0, 35.0)).await;
    assert_eq!(east[0].0, "地块东侧地块", "{east:?}");
    assert!((east[0].1 - expected).abs() < 0.02, "{} for {expected}", east[0].1);
    assert!(!told["four_extents"].to_string().contains("远处的塔"));
    // A division's border: the prefecture's own outline is far; a county drawn beside the park is named.
    db.write(&format!(
        "UPDATE division SET geom = ST_Multi(ST_MakeEnvelope({}, {}, {}, {}, 4490)) WHERE code = '430112'",
        at(184.0, 0.0)[0],
        at(0.0, -50.0)[1],
        at(400.0, 0.0)[0],
        at(0.0, 150.0)[1]
    ))
    .await;
    let told = assessment(&db, change["id"].as_str().expect("id")).await;
    let words = &told["four_extents"][1]["sides"][0];
    let expected = distance(at(180.0, 40.0), at(184.0, 40.0)).await;
    let county: String = db.value("SELECT name FROM division WHERE code = '430112'").await;
    assert_eq!(words["candidates"][0]["name"], format!("{county}界"), "{words}");
    assert_eq!(words["words"], format!("{county}界以西{expected:.0}米处"));
    assert_eq!(words["candidates"][0]["id"], "430112");
}

#[actix_web::test]
async fn another_parks_land_is_a_conflict_and_so_is_what_lies_twice_in_the_proposal() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let at = |x: f64, y: f64| [land.x + x * 1e-4, land.y + y * 1e-4];
    db.write(&format!(
        "DELETE FROM park_block WHERE park_code = 'G431176';
         INSERT INTO park_block (id, park_code, number, geom, area_m2, source)
         VALUES ('G431176-1', 'G431176', '1', ST_Multi(ST_MakeEnvelope({}, {}, {}, {}, 4490)), 1000, '实测（试验）')",
        at(20.0, 0.0)[0],
        at(0.0, 70.0)[1],
        at(60.0, 0.0)[0],
        at(0.0, 120.0)[1]
    ))
    .await;
    let box_of = |[w, s, e, n]: [f64; 4]| rectangle([at(w, 0.)[0], at(0., s)[1], at(e, 0.)[0], at(0., n)[1]]);
    let body = proposal(
        PARK,
        ["180.00", "30.00", "20.00", "170.00"],
        vec![block("1", "87.00", box_of([0., 0., 100., 80.])), block("2", "83.00", box_of([100., 0., 180., 80.]))],
    );
    let change = proposed(&db, &body).await;
    let told = assessment(&db, change["id"].as_str().expect("id")).await;
    let conflicts = &told["conflicts"];
    let first = &conflicts["list"][0];
    assert_eq!(
        (&first["weight"], &first["collection"], &first["feature_id"], &conflicts["complete"]),
        (&json!("block"), &json!("park_blocks"), &json!("G431176-1"), &json!(true))
    );
    let expected = judged(
        &db,
        "ST_Intersection((SELECT geom FROM park_block WHERE id = 'G431176-1'), (SELECT geom FROM boundary_change_block WHERE number = '1'))",
    )
    .await;
    assert!((first["area_m2"].as_f64().expect("m²") - expected).abs() <= 1e-4);
    let own = conflicts["list"]
        .as_array()
        .expect("list")
        .iter()
        .any(|c| c["feature_id"].as_str().is_some_and(|id| id.starts_with(PARK)));
    assert!(!own, "the park is not in its own way");

    let mut twice = body.clone();
    twice["park"] = json!("G431177");
    twice["features"][1]["geometry"] = box_of([90., 0., 170., 80.]);
    let problem = post(&db, CHANGES, &twice).await.assert_problem(400, "proposal_invalid");
    assert!(codes(&problem["findings"]).contains(&"overlap_within_file"), "{problem}");
}

#[actix_web::test]
async fn hundreds_of_adjoining_parcels_leave_what_postgis_leaves() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    // A grid of 30 by 30 with some left out, over the land that goes out: corners and edges are shared all over.
    let mut features = Vec::new();
    for x in 0..30_u32 {
        for y in 0..30_u32 {
            if !(x * 7 + y * 3).is_multiple_of(11) {
                let at = |x: u32, y: u32| {
                    let east = land.x + (125.0 + f64::from(x) * 1.5) * 1e-4;
                    (east, land.y + (5.0 + f64::from(y) * 1.9) * 1e-4)
                };
                let ((w, s), (e, n)) = (at(x, y), at(x + 1, y + 1));
                features.push((json!({"地块编号": format!("N{x}-{y}")}), rectangle([w, s, e, n])));
            }
        }
    }
    let file = parcels::file("boundary-grid.geojson", &features);
    let imported = db.import(&file, parcels::into("turnover_parcels")).await.expect("imported");
    assert!(imported.revision.is_some(), "{:?}", imported.report.findings);
    let change = proposed(&db, &changed(&land)).await;
    let change = change["id"].as_str().expect("id");
    let began = std::time::Instant::now();
    let told = assessment(&db, change).await;
    let took = began.elapsed();
    assert!(took.as_secs() < 20, "{took:?}, without optimisation");
    let out = format!("ST_Difference({}, {})", before(), after(change));
    let all = "(SELECT ST_Union(geom) FROM turnover_parcel)";
    let expected = judged(&db, &format!("ST_Difference({out}, {all})")).await;
    let none = m2(&told["land_classes"]["out"]["no_parcel"]);
    assert!((none - expected).abs() <= 0.01 + expected * 1e-7, "{none} for {expected}");
    let within = judged(&db, &format!("ST_Intersection({out}, {all})")).await;
    let class = m2(&told["land_classes"]["out"]["classes"][0]["area"]);
    // PostGIS dissolves the parcels first; ours are cut one by one where the slanting border ends them, and the formula adds pieces otherwise.
    assert!((class - within).abs() <= within * 1e-6, "{class} for {within}");
    let sql = format!(
        "SELECT count(*) FROM turnover_parcel WHERE ST_Area(ST_Intersection(geom, {out})::geography) > 0.001 * ST_Area(geom::geography)"
    );
    assert_eq!(told["parcels"]["matched"], json!(db.value::<i64>(&sql).await));
}
