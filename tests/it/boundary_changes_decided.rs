//! What a step of a boundary change is held against when it is taken: whose the park is by now, its own past, the area that the register
//! has come to have.

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::support::Database;
use crate::support::accounts::{token_of, with_token};
use crate::support::boundary::{
    CHANGES, approval, assessment, block, change_of, codes, noticed, park_of_two, park_of_two_since, proposal,
    proposed, square, step, stepped, tried,
};
use crate::support::consolidation::contents;
use crate::support::http::call;
use crate::support::land::newest;
use crate::support::parcels::PARK;

#[actix_web::test]
async fn who_no_longer_looks_after_the_park_takes_no_step_and_none_back() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let near = token_of(&db, "near.editor", &["430100"]).await;
    let both = token_of(&db, "both.editor", &["430100", "430200"]).await;
    let made = proposed(&db, &change_of(&land)).await;
    let id = made["id"].as_str().expect("id").to_owned();
    let send = async |token: &str, path: &str, body: &Value| {
        call(&db, with_token(Method::POST, path, token).set_json(body)).await
    };
    // Whoever proposed it sees the change still, by the divisions that it keeps. The park is another prefecture's by now.
    db.write(&format!("UPDATE park SET prefecture_code = '430200', county_codes = '{{430211}}' WHERE code = '{PARK}'"))
        .await;
    let (revision, before) = (newest(&db).await, contents(&db).await);
    let transitions = format!("{CHANGES}/{id}/transitions");
    for mut body in [
        json!({"to": "joint_review", "on": "2024-10-15"}),
        // Told before anything that is wrong with the step itself.
        approval(),
    ] {
        body["seen_revision"] = json!(revision);
        let problem = send(&near, &transitions, &body).await.assert_problem(403, "outside_jurisdiction");
        assert_eq!(problem["detail"], format!("园区 {PARK} 不在您的管辖范围内"), "{body}");
    }
    let undo = format!("/api/revisions/{}/undo", made["revision"]);
    send(&near, &undo, &json!({})).await.assert_problem(403, "outside_jurisdiction");
    assert_eq!((newest(&db).await, contents(&db).await), (revision, before));
    // Neither is it supposed to be approved.
    let decision = json!({"op": "boundary_change", "id": id});
    let told = tried(&db, &near, decision).await;
    assert_eq!(told["operations"][0]["code"], "outside_jurisdiction", "{told}");

    let mut review = json!({"to": "joint_review", "on": "2024-10-15"});
    review["seen_revision"] = json!(newest(&db).await);
    let reviewed = send(&both, &transitions, &review).await;
    assert_eq!((reviewed.status.as_u16(), &reviewed.json()["state"]), (200, &json!("joint_review")));
    let undo = format!("/api/revisions/{}/undo", reviewed.json()["revision"]);
    send(&near, &undo, &json!({})).await.assert_problem(403, "outside_jurisdiction");
    let undone = send(&both, &undo, &json!({})).await;
    assert_eq!(undone.status, 200, "{}", undone.text());

    // Those whose park it is now do not see it, and it stands in the way of theirs: who proposed it may take it back.
    let far = token_of(&db, "far.editor", &["430200"]).await;
    let mut own = change_of(&land);
    own["title"] = json!("另一个方案");
    send(&far, CHANGES, &own).await.assert_problem(409, "change_open");
    let mut withdrawn = json!({"to": "withdrawn", "on": "2024-10-15", "note": "不再申请"});
    withdrawn["seen_revision"] = json!(newest(&db).await);
    let gone = send(&near, &transitions, &withdrawn).await;
    assert_eq!((gone.status.as_u16(), &gone.json()["state"]), (200, &json!("withdrawn")), "{}", gone.text());
    let proposed = send(&far, CHANGES, &own).await;
    assert_eq!(proposed.status, 201, "{}", proposed.text());
}

/// Refuses the approval to take effect on the day, with this finding alone; nothing is written.
async fn refused(db: &Database, id: &str, day: &str, message: &str) {
    let (revision, before) = (newest(db).await, contents(db).await);
    let mut body = approval();
    body["effective_on"] = json!(day);
    let problem = step(db, id, body).await.assert_problem(400, "value_invalid");
    assert_eq!(codes(&problem["findings"]), ["event_before_last"], "{problem}");
    let finding = &problem["findings"][0];
    assert_eq!((&finding["severity"], &finding["field"]), (&json!("error"), &json!("effective_on")), "{problem}");
    let expected = format!("生效日期 {day} 与园区已有的变更相抵触：{message}；请改用较晚的 effective_on");
    assert_eq!((&finding["message"], &problem["detail"]), (&json!(expected), &json!(expected)));
    assert_eq!(newest(db).await, revision, "{day}");
    assert_eq!(contents(db).await, before, "{day}");
}

#[actix_web::test]
async fn a_boundary_does_not_begin_in_the_parks_past() {
    // What stands in the way, the days that it refuses, what it says, the first day that will do.
    let event = format!(
        "INSERT INTO park_event (id, park_code, kind, occurred_on, source) VALUES ('{PARK}-2024', '{PARK}', 'renamed', '2024-11-20', '试验')"
    );
    let ended = format!(
        "INSERT INTO park_block (id, park_code, number, geom, area_m2, source, valid_from, valid_to)
         SELECT '{PARK}-3', '{PARK}', '3', geom, area_m2, source, '2010-01-01', '2024-11-18' FROM park_block WHERE id = '{PARK}-1'"
    );
    let founded = format!("UPDATE park SET valid_from = '2024-11-25' WHERE code = '{PARK}'");
    let cases = [
        ("-infinity", event, ["2024-11-11", "2024-11-19"], "最近一次园区事件的日期是 2024-11-20", "2024-11-20"),
        // (The west block stands since then, and goes on.)
        ("2024-11-15", String::new(), ["2024-11-11", "2024-11-15"], "现有区块的生效日是 2024-11-15", "2024-11-16"),
        ("-infinity", ended, ["2024-11-11", "2024-11-17"], "已终止区块的终止日是 2024-11-18", "2024-11-18"),
        ("-infinity", founded, ["2024-11-11", "2024-11-24"], "园区的批准日是 2024-11-25", "2024-11-25"),
    ];
    for (west_from, sql, too_early, message, first) in cases {
        let db = Database::with_sample().await;
        let land = park_of_two_since(&db, west_from).await;
        if !sql.is_empty() {
            db.write(&sql).await;
        }
        let id = proposed(&db, &change_of(&land)).await["id"].as_str().expect("id").to_owned();
        noticed(&db, &id).await;
        for day in too_early {
            refused(&db, &id, day, message).await;
        }
        let mut body = approval();
        body["effective_on"] = json!(first);
        let approved = stepped(&db, &id, body).await;
        assert_eq!((&approved["state"], &approved["effective_on"]), (&json!("approved"), &json!(first)), "{message}");
        let begun: Vec<String> = db
            .column(&format!(
                "SELECT id || ' ' || valid_from FROM park_block WHERE park_code = '{PARK}' AND valid_to = 'infinity' ORDER BY id"
            ))
            .await;
        assert_eq!(begun, [format!("{PARK}-1 {west_from}"), format!("{PARK}-2 {first}")], "{message}");
    }
}

#[actix_web::test]
async fn two_boundaries_do_not_begin_on_one_day() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let id = proposed(&db, &change_of(&land)).await["id"].as_str().expect("id").to_owned();
    noticed(&db, &id).await;
    stepped(&db, &id, approval()).await;
    // The next one ends no block: it adds a third to the two that stand.
    let mut blocks = change_of(&land)["features"].as_array().expect("blocks").clone();
    blocks.push(block("3", "10", square(land.x, land.y + 0.013, 10.0)));
    let extended = proposal(PARK, ["156.70", "0", "10", "166.70"], blocks);
    let id = proposed(&db, &extended).await["id"].as_str().expect("id").to_owned();
    noticed(&db, &id).await;
    refused(&db, &id, "2024-11-11", "现有区块的生效日是 2024-11-11").await;
    let mut next_day = approval();
    next_day["effective_on"] = json!("2024-11-12");
    assert_eq!(stepped(&db, &id, next_day).await["state"], "approved");
}

#[actix_web::test]
async fn an_approved_area_that_is_another_since_the_proposal_is_told_by_the_assessment_and_the_approval() {
    let db = Database::with_sample().await;
    let land = park_of_two(&db).await;
    let registered = async |ha: &str| {
        db.write(&format!("UPDATE park SET approved_area_ha = {ha} WHERE code = '{PARK}'")).await;
    };
    let of_area = |findings: &Value| -> Vec<String> {
        let list = findings.as_array().expect("findings").iter();
        let told = list.filter(|f| f["code"] == "before_differs_from_register");
        told.map(|f| format!("{} {} {}", f["severity"], f["field"], f["message"])).collect()
    };
    registered("156.7").await;
    let made = proposed(&db, &change_of(&land)).await;
    let id = made["id"].as_str().expect("id").to_owned();
    assert!(of_area(&made["warnings"]).is_empty(), "{made}");
    assert!(of_area(&assessment(&db, &id).await["findings"]).is_empty());

    registered("160.25").await;
    let message = "调整前面积 156.70 公顷与登记库的核准面积 160.25 公顷不同；请核对依据的文件";
    let expected = [format!("\"warning\" \"area\" \"{message}\"")];
    assert_eq!(of_area(&assessment(&db, &id).await["findings"]), expected);
    noticed(&db, &id).await;
    let approved = stepped(&db, &id, approval()).await;
    assert_eq!(of_area(&approved["warnings"]), expected);
    assert_eq!(codes(&approved["warnings"]), ["before_differs_from_register"], "{approved}");
    let area: String =
        db.value(&format!("SELECT trim_scale(approved_area_ha)::text FROM park WHERE code = '{PARK}'")).await;
    assert_eq!(area, "156.7", "the paper's");
    // Told of what the approval found, not of what it made.
    assert_eq!(of_area(&assessment(&db, &id).await["findings"]), expected);
}
