//! The seven real changes of 2024 and 2025 through the service, to the digit; two of them through their whole life.

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::support::boundary::{CHANGES, block, codes, post, proposal, proposed, square, step, stepped};
use crate::support::http::{authorised, call, get, get_authorised};
use crate::support::{Database, root};

/// A row of the file: park, what the notice calls it, areas before, out, in, after, those of the blocks.
struct Real {
    code: String,
    event: String,
    /// As printed: a day, a month, or nothing.
    notice: String,
    areas: [String; 4],
    blocks: Vec<String>,
}

/// Read here, not by the program: the file is the judge.
fn rows() -> Vec<Real> {
    let file = |name: &str| std::fs::read_to_string(root().join("fixtures/parks").join(name)).expect(name);
    let codes = file("event_parks.csv");
    let code = |park: &str| {
        let line = codes.lines().find(|line| line.starts_with(&format!("{park},"))).unwrap_or_else(|| panic!("{park}"));
        line.rsplit_once(',').expect("code").1.trim().to_owned()
    };
    let changes = file("hunan_park_area_changes.csv");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        Real {
            code: code(cells[0]),
            event: cells[1].to_owned(),
            notice: cells[2].to_owned(),
            areas: [cells[7], cells[3], cells[4], cells[5]].map(str::to_owned),
            blocks: cells[6].split(';').filter(|b| !b.is_empty()).map(str::to_owned).collect(),
        }
    };
    changes.lines().skip(1).filter(|line| !line.trim().is_empty()).map(row).collect()
}

impl Real {
    /// 调区, 扩区 or 调区扩区, out of the notice's own words.
    fn kind(&self) -> &'static str {
        match (self.event.contains("调区"), self.event.contains("扩区")) {
            (true, true) => "adjusted_and_extended",
            (true, false) => "adjusted",
            (false, _) => "extended",
        }
    }

    fn stated(&self) -> Vec<String> {
        if self.blocks.is_empty() { vec![self.areas[3].clone()] } else { self.blocks.clone() }
    }

    /// Squares of the stated areas, one beside the other, far from each other's border.
    async fn proposal(&self, db: &Database) -> Value {
        let sql = format!(
            "SELECT (ST_XMin(e) * 1000)::bigint FROM (SELECT ST_Extent(geom) AS e FROM park_block WHERE park_code = '{}') b",
            self.code
        );
        let west: i64 = db.value(&sql).await;
        let south: i64 = db.value(&sql.replace("ST_XMin", "ST_YMin")).await;
        let stated = self.stated();
        let blocks = stated.iter().enumerate().map(|(at, stated)| {
            let hectares = stated.parse().expect("area");
            block(
                &(at + 1).to_string(),
                stated,
                square(west as f64 / 1e3 + at as f64 * 0.06, south as f64 / 1e3, hectares),
            )
        });
        let [before, out, added, after] = &self.areas;
        proposal(&self.code, [before, out, added, after], blocks.collect())
    }
}

/// The last digit of a decimal, one more.
fn off_by_one(text: &str) -> String {
    let cents: i64 = text.replace('.', "").parse().expect("digits");
    let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let moved = format!("{:0>1$}", cents + 1, decimals + 1);
    let (whole, fraction) = moved.split_at(moved.len() - decimals);
    if decimals == 0 { moved } else { format!("{whole}.{fraction}") }
}

#[actix_web::test]
async fn the_seven_real_changes_come_back_to_the_digit() {
    let db = Database::with_sample().await;
    let rows = rows();
    assert_eq!(rows.len(), 7);
    for row in &rows {
        let body = row.proposal(&db).await;
        let change = proposed(&db, &body).await;
        let name = &row.code;
        assert_eq!(change["kind"], row.kind(), "{name}");
        // As text: 2113.1 and 2113.10 are one number and not the same digits.
        let with_two = |text: &str| if text.contains('.') { text.to_owned() } else { format!("{text}.00") };
        let [before, out, added, after] = row.areas.clone().map(|text| with_two(&text));
        assert_eq!(change["area"]["text"], format!("{before} − {out} + {added} = {after}"), "{name}");
        let id = change["id"].as_str().expect("id");
        let kept: Vec<String> = sqlx::query_scalar(
            "SELECT unnest(ARRAY[area_before_ha, area_out_ha, area_in_ha, area_after_ha])::numeric(12, 2)::text FROM boundary_change WHERE id = $1",
        )
        .bind(id)
        .fetch_all(&db.pool)
        .await
        .expect("kept");
        assert_eq!(kept, [before, out, added, after.clone()], "{name}");
        let of_blocks: Vec<String> = sqlx::query_scalar(
            "SELECT stated_area_ha::numeric(12, 2)::text FROM boundary_change_block WHERE change_id = $1 ORDER BY number::int",
        )
        .bind(id)
        .fetch_all(&db.pool)
        .await
        .expect("blocks");
        assert_eq!(of_blocks, row.stated().iter().map(|b| with_two(b)).collect::<Vec<_>>(), "{name}");
        let sum: String = db
            .value(&format!(
                "SELECT sum(stated_area_ha)::numeric(12, 2)::text FROM boundary_change_block WHERE change_id = '{id}'"
            ))
            .await;
        assert_eq!(sum, after, "{name}: the blocks add up");
        // What the assessment says of the paper is the same, and finds nothing wrong with its sums.
        let assessed = get_authorised(&db, &format!("{CHANGES}/{id}/assessment")).await.json();
        assert_eq!((&assessed["kind"], &assessed["stated"]), (&change["kind"], &change["area"]), "{name}");
        let found = codes(&assessed["findings"]);
        assert!(!found.iter().any(|code| code.starts_with("event_")), "{name}: {found:?}");
        let shape = assessed["computed"]["after"]["ha"].as_f64().expect("ha");
        assert!((shape / after.parse::<f64>().expect("area") - 1.0).abs() < 0.01, "{name}: {shape} for {after}");
    }
}

#[actix_web::test]
async fn a_wrong_digit_is_refused_and_named() {
    let db = Database::with_sample().await;
    for row in rows() {
        let good = row.proposal(&db).await;
        for (member, code) in [("before_ha", 0), ("out_ha", 1), ("in_ha", 2), ("after_ha", 3)]
            .map(|(member, at)| (member, row.areas[at].clone()))
        {
            let mut wrong = good.clone();
            wrong["area"][member] = serde_json::from_str(&off_by_one(&code)).expect("decimal");
            let problem = post(&db, CHANGES, &wrong).await.assert_problem(400, "proposal_invalid");
            let found = codes(&problem["findings"]);
            assert!(found.contains(&"event_area_arithmetic"), "{} {member}: {found:?}", row.code);
        }
        let mut wrong = good.clone();
        let stated = off_by_one(&row.stated()[0]);
        wrong["features"][0]["properties"]["stated_area_ha"] = serde_json::from_str(&stated).expect("decimal");
        let problem = post(&db, CHANGES, &wrong).await.assert_problem(400, "proposal_invalid");
        assert!(codes(&problem["findings"]).contains(&"event_blocks_sum"), "{}: {problem}", row.code);
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM boundary_change").await, 0, "nothing was kept");
}

/// Ids and stated areas of the park's blocks on a day, as anybody sees them.
async fn on(db: &Database, park: &str, day: &str) -> Vec<(String, f64, bool)> {
    let path = format!("/api/collections/park_blocks/items?park_code={park}&datetime={day}&limit=100");
    let features = get(db, &path).await.json()["features"].clone();
    let one = |f: &Value| {
        let p = &f["properties"];
        (
            p["id"].as_str().expect("id").to_owned(),
            p["stated_area_ha"].as_f64().unwrap_or_default(),
            p["illustrative"].as_bool().expect("flag"),
        )
    };
    features.as_array().expect("list").iter().map(one).collect()
}

#[actix_web::test]
async fn two_of_them_live_from_the_proposal_to_the_approval() {
    let db = Database::with_sample().await;
    let rows = rows();
    // Notice on a Wednesday, five working days to the next; and on a Friday, to the Friday after.
    for (code, notice, until, first) in
        [("G431177", "2024-10-30", "2024-11-06", "2024-11-07"), ("S437047", "2025-09-05", "2025-09-12", "2025-09-13")]
    {
        let row = rows.iter().find(|row| row.code == code).unwrap_or_else(|| panic!("{code}"));
        let mut body = row.proposal(&db).await;
        for feature in body["features"].as_array_mut().expect("list") {
            feature["properties"]["surveyed"] = json!(true);
        }
        let before = on(&db, code, "2100-01-01").await;
        let status = async || db.value::<String>(&format!("SELECT status FROM park WHERE code = '{code}'")).await;
        let change = proposed(&db, &body).await;
        let id = change["id"].as_str().expect("id");
        assert_eq!((&change["state"], status().await.as_str()), (&json!("proposed"), "active"));
        stepped(&db, id, json!({"to": "joint_review", "on": "2024-10-15", "document_no": "湘园区办函〔2024〕1号"}))
            .await;
        assert_eq!(status().await, "under_adjustment");
        let noticed = stepped(&db, id, json!({"to": "公示", "on": notice})).await;
        assert_eq!((&noticed["notice_from"], &noticed["notice_until"]), (&json!(notice), &json!(until)));
        assert_eq!(noticed["warnings"], json!([]));
        // Too early by a day: refused with the first day that will do.
        let early = json!({"to": "approved", "on": until, "document_no": "湘政函〔2024〕9号"});
        let problem = step(&db, id, early).await.assert_problem(409, "notice_running");
        assert!(problem["detail"].as_str().expect("detail").contains(first), "{problem}");
        assert_eq!(on(&db, code, "2100-01-01").await, before, "nothing has changed so far");

        let decided = json!({
            "to": "approved", "on": first, "document_no": "湘政函〔2024〕9号",
            "document_title": "湖南省人民政府关于同意调区扩区的批复",
        });
        let tried = call(
            &db,
            authorised(Method::POST, &format!("{CHANGES}/{id}/transitions?dry_run=true")).set_json({
                let mut tried = decided.clone();
                tried["seen_revision"] = json!(db.value::<i64>("SELECT max(number) FROM revision").await);
                tried
            }),
        )
        .await;
        assert_eq!((tried.status.as_u16(), &tried.json()["state"]), (200, &json!("approved")), "{}", tried.text());
        assert_eq!(status().await, "under_adjustment", "a dry run writes nothing");
        let revisions: i64 = db.value("SELECT max(number) FROM revision").await;
        let approved = stepped(&db, id, decided).await;
        assert_eq!(db.value::<i64>("SELECT max(number) FROM revision").await, revisions + 1, "one revision");
        assert_eq!((&approved["state"], &approved["effective_on"]), (&json!("approved"), &json!(first)));
        assert_eq!((&approved["allowed"], status().await.as_str()), (&json!([]), "active"));
        let steps: Vec<&str> = approved["steps"]
            .as_array()
            .expect("steps")
            .iter()
            .map(|s| s["to"]["code"].as_str().expect("code"))
            .collect();
        assert_eq!(steps, ["proposed", "joint_review", "public_notice", "approved"]);

        // The park, its event and its blocks, to the digit of the file.
        let [stated_before, out, added, after] = &row.areas;
        let area: String =
            db.value(&format!("SELECT trim_scale(approved_area_ha)::text FROM park WHERE code = '{code}'")).await;
        assert_eq!(area.parse::<f64>().expect("area"), after.parse::<f64>().expect("area"));
        let event: Vec<String> = db
            .column(&format!(
                "SELECT unnest(ARRAY[kind, occurred_on::text, document_no, area_before_ha::text, area_out_ha::text, area_in_ha::text,
                     area_after_ha::text, array_to_string(block_areas_ha, ';')])
                 FROM park_event WHERE id = '{id}'"
            ))
            .await;
        let four = |text: &str| {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            format!("{whole}.{fraction:0<4}")
        };
        let blocks = row.stated().iter().map(|b| four(b)).collect::<Vec<_>>().join(";");
        let expected = [
            row.kind(),
            first,
            "湘政函〔2024〕9号",
            &four(stated_before),
            &four(out),
            &four(added),
            &four(after),
            &blocks,
        ];
        assert_eq!(event, expected);
        let stated: Vec<f64> = row.stated().iter().map(|b| b.parse().expect("area")).collect();
        let now = on(&db, code, first).await;
        assert_eq!(now.iter().map(|b| b.1).collect::<Vec<_>>(), stated);
        assert!(now.iter().all(|(_, _, illustrative)| !illustrative), "surveyed: {now:?}");
        // On each side of the day: the old boundary the day before, the new one from the day on.
        let eve = db.value::<String>(&format!("SELECT (date '{first}' - 1)::text")).await;
        assert_eq!(on(&db, code, &eve).await, before);
        assert_eq!(on(&db, code, "2100-01-01").await, now);
        let card = get(&db, &format!("/api/parks/{code}?f=json")).await.json();
        assert_eq!(card["areas"]["approved"]["ha"].as_f64(), Some(after.parse().expect("area")));
        assert!(card["lineage"].to_string().contains(id), "{}", card["lineage"]);
        assert_eq!(db.audit().await, None);
    }
}

#[actix_web::test]
async fn all_seven_are_approved_in_the_order_of_their_days() {
    let db = Database::with_sample().await;
    // A month is taken at its first day; of two rows nothing is printed: they come last.
    let day = |row: &Real| match row.notice.len() {
        10 => row.notice.clone(),
        7 => format!("{}-01", row.notice),
        _ => "2025-10-15".to_owned(),
    };
    let mut rows: Vec<(String, Real)> = rows().into_iter().map(|row| (day(&row), row)).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(rows.iter().filter(|(day, _)| day == "2025-10-15").count(), 2);
    for (notice, row) in &rows {
        let code = &row.code;
        let mut body = row.proposal(&db).await;
        body["proposed_on"] = json!(notice);
        let id = proposed(&db, &body).await["id"].as_str().expect("id").to_owned();
        stepped(&db, &id, json!({"to": "joint_review", "on": notice})).await;
        let noticed = stepped(&db, &id, json!({"to": "public_notice", "on": notice})).await;
        // On the first day after the notice, which the sample's own event of the park (its notice) is not after.
        let until = noticed["notice_until"].as_str().expect("day");
        let on: String = db.value(&format!("SELECT (date '{until}' + 1)::text")).await;
        let approved = stepped(&db, &id, json!({"to": "approved", "on": on, "document_no": "湘政函（示意）"})).await;
        assert_eq!((&approved["state"], &approved["effective_on"]), (&json!("approved"), &json!(on)), "{code}");
        let area: String =
            db.value(&format!("SELECT trim_scale(approved_area_ha)::text FROM park WHERE code = '{code}'")).await;
        let after: f64 = row.areas[3].parse().expect("area");
        assert_eq!(area.parse::<f64>().expect("area"), after, "{code}");
        let begun: i64 = db
            .value(&format!("SELECT count(*) FROM park_block WHERE park_code = '{code}' AND valid_from = '{on}' AND valid_to = 'infinity'"))
            .await;
        assert_eq!(begun, row.stated().len() as i64, "{code}");
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM boundary_change WHERE state = 'approved'").await, 7);
    assert_eq!(db.audit().await, None);
}
