//! What the undo of a ledger's import may not bring back: a parcel in a state whose plan has gone since.

use serde_json::json;
use sizhi::inventory::import;

use crate::support::Database;
use crate::support::parcels::{COUNTY, PARK, file, inside, into, operator, square};

const LOW: &str = "low_efficiency_parcels";

/// A parcel that is being planned, with its plan, and the import that revokes it; gives that batch.
async fn revoked(db: &Database) -> i64 {
    let (x, y, _) = inside(db, PARK).await;
    let parcel = |state: &str, day: &str| {
        file("低效.geojson", &[(json!({"宗地编号": "A", "状态": state, "状态日期": day}), square(x, y, 0.001))])
    };
    db.import(&parcel("已认定", "2024-01-01"), into(LOW)).await.expect("imported");
    db.write(
        "INSERT INTO redevelopment_plan (id, county_code, number, parcel_id, state, source)
         VALUES ('430121-F', '430121', 'F', '430121-A', 'drafted', 's')",
    )
    .await;
    db.import(&parcel("已编方案", "2024-02-01"), into(LOW)).await.expect("imported").batch.expect("batch");
    db.import(&parcel("撤销认定", "2024-03-01"), into(LOW)).await.expect("imported").batch.expect("batch")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_puts_no_parcel_back_on_a_plan_that_was_cancelled_since() {
    let db = Database::with_sample().await;
    let batch = revoked(&db).await;
    db.write("UPDATE redevelopment_plan SET state = 'cancelled'").await;
    let refused = import::undo(&db.pool, batch, &operator()).await.expect_err("the plan is gone");
    let told: Vec<_> = refused.findings().iter().map(|f| (f.code.as_ref(), f.message.as_str())).collect();
    let said =
        format!("地块 {COUNTY}-A 撤销后的状态须有相应的再开发方案：该地块还没有再开发方案（一宗一策）；请先编制方案");
    assert_eq!((refused.code(), told), ("undo_conflict", vec![("plan_required", said.as_str())]));
    let state = "SELECT state FROM low_efficiency_parcel WHERE valid_to = 'infinity'";
    assert_eq!(db.value::<String>(state).await, "revoked");
    // With the plan it goes.
    db.write("UPDATE redevelopment_plan SET state = 'submitted'").await;
    import::undo(&db.pool, batch, &operator()).await.expect("undone");
    assert_eq!(db.value::<String>(state).await, "planned");
    assert_eq!(db.audit().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_somebody_insisted_on_without_a_plan_comes_back_by_an_undo() {
    let db = Database::with_sample().await;
    let (x, y, _) = inside(&db, PARK).await;
    let parcel = |state: &str, day: &str| {
        file("低效.geojson", &[(json!({"宗地编号": "A", "状态": state, "状态日期": day}), square(x, y, 0.001))])
    };
    let insist = |request: &mut import::ImportRequest| {
        into(LOW)(request);
        request.allow = vec!["plan_required".to_owned()];
    };
    db.import(&parcel("实施中", "2024-01-01"), insist).await.expect("imported").batch.expect("batch");
    let batch = db.import(&parcel("撤销认定", "2024-02-01"), into(LOW)).await.expect("imported").batch.expect("batch");
    import::undo(&db.pool, batch, &operator()).await.expect("undone");
    let state = "SELECT state FROM low_efficiency_parcel WHERE valid_to = 'infinity'";
    assert_eq!(db.value::<String>(state).await, "implementing");
}
