//! What the store keeps of boundary changes, where no address reaches: withdrawal by what ends a park, ids that are never used again.

use chrono::NaiveDate;
use sizhi::domain::ParkCode;
use sizhi::domain::access::Viewer;
use sizhi::store::{self, boundary_changes, revision};

use crate::support::Database;

fn day(text: &str) -> NaiveDate {
    text.parse().expect("day")
}

/// A change of the park in this state, by SQL.
async fn change(db: &Database, id: &str, park: &str, state: &str, status_before: Option<&str>) {
    let notice = if state == "public_notice" { "'2025-01-06', '2025-01-13'" } else { "NULL, NULL" };
    let before = status_before.map_or("NULL".to_owned(), |s| format!("'{s}'"));
    db.write(&format!(
        "INSERT INTO boundary_change (id, park_code, prefecture_code, division_codes, title, kind, state, state_on, area_before_ha, area_out_ha,
             area_in_ha, area_after_ha, base_revision, actor, notice_from, notice_until, park_status_before)
         VALUES ('{id}', '{park}', '430100', '{{430100}}', '示意', 'extended', '{state}', '2025-01-06', 1, 0, 1, 2, 1, 'test', {notice}, {before});
         INSERT INTO boundary_change_step (change_id, ordinal, division_codes, to_state, happened_on, base_revision, actor)
         VALUES ('{id}', 1, '{{430100}}', 'proposed', '2025-01-02', 1, 'test');
         UPDATE park SET status = 'under_adjustment' WHERE code = '{park}' AND {before} IS NOT NULL"
    ))
    .await;
}

#[actix_web::test]
async fn what_ends_a_park_withdraws_its_open_change() {
    let db = Database::with_sample().await;
    let parks: Vec<ParkCode> = db
        .column("SELECT code FROM park ORDER BY code LIMIT 3")
        .await
        .iter()
        .map(|c: &String| ParkCode::parse(c).expect("code"))
        .collect();
    change(&db, "BC-2025-0001", parks[0].as_str(), "public_notice", Some("active")).await;
    change(&db, "BC-2025-0002", parks[1].as_str(), "proposed", None).await;
    change(&db, "BC-2024-0009", parks[1].as_str(), "rejected", None).await;
    change(&db, "BC-2025-0003", parks[2].as_str(), "joint_review", Some("active")).await;
    let mut transaction = store::begin_write_as(&db.application, &Viewer::operator("test")).await.expect("begun");
    revision::open(&mut transaction, "test", "并入", "").await.expect("revision");
    let withdrawn =
        boundary_changes::withdraw_open(&mut transaction, &parks[..2], day("2025-01-03"), "test", "园区并入").await;
    assert_eq!(withdrawn.expect("withdrawn"), 2);
    transaction.commit().await.expect("committed");
    let states: Vec<String> =
        db.column("SELECT id || ' ' || state || ' ' || state_on FROM boundary_change ORDER BY id").await;
    assert_eq!(
        states,
        [
            "BC-2024-0009 rejected 2025-01-06",
            // Not before its last step, whatever the day of the merger.
            "BC-2025-0001 withdrawn 2025-01-06",
            "BC-2025-0002 withdrawn 2025-01-06",
            "BC-2025-0003 joint_review 2025-01-06"
        ]
    );
    let steps: Vec<String> = db
        .column("SELECT change_id || ' ' || from_state || ' → ' || to_state || ' ' || note || ' ' || actor FROM boundary_change_step WHERE ordinal = 2 ORDER BY 1")
        .await;
    assert_eq!(
        steps,
        ["BC-2025-0001 public_notice → withdrawn 园区并入 test", "BC-2025-0002 proposed → withdrawn 园区并入 test"]
    );
    let statuses: Vec<String> = db.column("SELECT status FROM park ORDER BY code LIMIT 3").await;
    assert_eq!(statuses, ["active", "active", "under_adjustment"]);
}

#[actix_web::test]
async fn an_id_is_not_used_again() {
    let db = Database::with_sample().await;
    let park: String = db.value("SELECT min(code) FROM park").await;
    let next = async || db.value::<String>("SELECT next_boundary_change_id(2025)").await;
    assert_eq!(next().await, "BC-2025-0001");
    change(&db, "BC-2025-0007", &park, "withdrawn", None).await;
    assert_eq!(next().await, "BC-2025-0008");
    db.write("DELETE FROM boundary_change_step; DELETE FROM boundary_change").await;
    assert_eq!(next().await, "BC-2025-0008", "the log remembers");
    assert_eq!(db.value::<String>("SELECT next_boundary_change_id(2024)").await, "BC-2024-0001");
}

#[actix_web::test]
async fn a_park_has_one_open_change() {
    let db = Database::with_sample().await;
    let park: String = db.value("SELECT min(code) FROM park").await;
    change(&db, "BC-2025-0001", &park, "withdrawn", None).await;
    change(&db, "BC-2025-0002", &park, "proposed", None).await;
    let mut transaction = store::begin_write(&db.pool).await.expect("begun");
    revision::open(&mut transaction, "test", "x", "").await.expect("revision");
    let second = sqlx::query(
        "INSERT INTO boundary_change (id, park_code, prefecture_code, division_codes, title, kind, state, state_on, area_before_ha, area_out_ha,
             area_in_ha, area_after_ha, base_revision, actor)
         SELECT 'BC-2025-0003', park_code, prefecture_code, division_codes, title, kind, state, state_on, area_before_ha, area_out_ha,
             area_in_ha, area_after_ha, base_revision, actor FROM boundary_change WHERE id = 'BC-2025-0002'",
    )
    .execute(&mut *transaction)
    .await
    .map_err(sizhi::error::Error::from)
    .expect_err("a second one");
    assert_eq!(second.code(), "change_open");
}

#[actix_web::test]
async fn the_calendar_holds_what_the_notices_say() {
    let db = Database::empty().await;
    // Weekdays off less weekends worked are the statutory holidays: 11 days, since 2025 13 (《全国年节及纪念日放假办法》 as amended).
    for (year, off, worked) in [(2024, 11 + 8, 8), (2025, 13 + 5, 5), (2026, 13 + 6, 6)] {
        let count = async |working: bool| {
            db.value::<i64>(&format!(
                "SELECT count(*) FROM calendar_day WHERE extract(year FROM day) = {year} AND is_working = {working}"
            ))
            .await
        };
        assert_eq!((count(false).await, count(true).await), (off, worked), "{year}");
    }
    // Every row is a day whose weekday says otherwise, as the constraint demands; each says that nobody compared it with the paper.
    let unmarked: i64 = db.value("SELECT count(*) FROM calendar_day WHERE source NOT LIKE '%凭记忆录入%'").await;
    assert_eq!(unmarked, 0);
}
