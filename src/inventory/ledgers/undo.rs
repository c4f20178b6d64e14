//! The way back: a revision that wrote ledgers is undone as a revision of its own.

use sqlx::{PgConnection, PgPool};

use super::{Deed, Done, begin, finish};
use crate::domain::access::{Jurisdiction, Viewer};
use crate::domain::ledger::{PlanProgress, missing_for_parcel};
use crate::domain::{Finding, Place};
use crate::error::{Error, Result};
use crate::inventory::{boundary_change, land, zone_withdrawal};
use crate::store::{self, ledgers};

/// Tables that single edits write. What else a revision wrote has a way back of its own, or none.
const OF_LEDGERS: [&str; 6] = [
    "turnover_parcel",
    "low_efficiency_parcel",
    "redevelopment_plan",
    "plan_step",
    "parcel_transition",
    "parcel_lineage",
];

/// Rows of one undo: a move of ten thousand parcels writes thirty thousand. It holds the register's write lock.
const MOST_ROWS: i64 = 40_000;

/// Lets stand again what stood before the revision; nothing is written by a dry run.
pub async fn undo(pool: &PgPool, deed: &Deed<'_>, target: i64, reason: Option<&str>, dry_run: bool) -> Result<Done> {
    let said = super::moves::text(reason, "reason")?;
    let why = said.map(|said| format!("：{said}")).unwrap_or_default();
    let reason = format!("撤销修订 {target}{why}");
    let wrote = tables_of(pool, deed, target).await?;
    if boundary_change::undo::is_of_change(&wrote) {
        return boundary_change::undo::undo(pool, deed, target, &reason, dry_run).await;
    }
    if zone_withdrawal::is_of_withdrawal(pool, &wrote, target).await? {
        return zone_withdrawal::undo(pool, deed, target, &reason, dry_run).await;
    }
    let (mut transaction, done) = begin(pool, deed).await?;
    if let Some(done) = done {
        return Ok(done);
    }
    if let Some(batch) = store::import_batches::of_revision(&mut transaction, target).await? {
        let detail = format!("修订 {target} 是导入批次 {batch} 写入的；请撤销该批次（/api/imports/{batch}/undo）");
        return Err(Error::conflict("undo_by_import", detail));
    }
    let rows = store::undo::size(&mut transaction, target).await?;
    if wrote.is_empty() && rows > 0 {
        // It came to be between the two looks: what it is nobody has judged.
        return Err(Error::not_found("revision_not_found", format!("没有第 {target} 号修订")));
    }
    if store::undo::visible_size(&mut transaction, target).await? < rows {
        let detail = format!("修订 {target} 写入了您管辖范围以外的内容，不能由您撤销");
        return Err(Error::Forbidden { code: "outside_jurisdiction", detail });
    }
    if let Some((_, other)) = wrote.iter().find(|(_, table)| !OF_LEDGERS.contains(&table.as_str())) {
        let what = match other.as_str() {
            "attachment" => "增减附件的修订；要移除附件请用 DELETE，要恢复请重新上传",
            "low_efficiency_criteria_set" | "low_efficiency_criterion" => "修改认定标准的修订；请用 PUT 写回原来的标准",
            "control_zone_kind" => "修改管控类型的修订；请用 PUT 写回原来的设定",
            "control_zone" => "修改管控区域的修订；请用更正后的文件重新导入",
            _ => "修改园区、区块或区划的修订；请用更正后的文件重新导入",
        };
        let detail = format!(
            "修订 {target} 是{what}；这里能撤销的是台账（周转用地、低效用地、再开发方案）、调区扩区、园区事件、名录发布、推演方案和移除管控区域的修订"
        );
        return Err(Error::conflict("undo_not_possible", detail));
    }
    if rows > MOST_ROWS {
        let detail = format!("修订 {target} 写入了 {rows} 行，超过 {MOST_ROWS} 行，不能在线撤销；请联系运维人员");
        return Err(Error::conflict("undo_not_possible", detail));
    }
    store::undo::refuse_changed(&mut transaction, &deed.viewer.jurisdiction, target, &[], Vec::new()).await?;
    let before = leaning(&mut transaction, target).await?;
    let undone = store::undo::undo_revision(&mut transaction, target, &deed.viewer.actor, &reason).await?;
    // Blocks may have moved while the parcels did not stand.
    land::place_written(&mut transaction).await?;
    nothing_left_behind(&mut transaction, target, undone, &before).await?;
    let done = Done { id: target.to_string(), created: false, revision: Some(undone), replayed: false };
    if dry_run {
        transaction.rollback().await?;
        return Ok(Done { revision: None, ..done });
    }
    finish(transaction, deed, done).await
}

/// The tables that the revision wrote, whoever asks: under row-level security a boundary change of others would look like an edit of parks.
async fn tables_of(pool: &PgPool, deed: &Deed<'_>, target: i64) -> Result<Vec<(i64, String)>> {
    let everywhere = Viewer { jurisdiction: Jurisdiction::Everywhere, ..deed.viewer.clone() };
    let mut transaction = store::begin_read_as(pool, &everywhere).await?;
    let wrote = store::changes::touched_tables(&mut transaction, target - 1, target).await?;
    transaction.commit().await?;
    Ok(wrote)
}

/// Parcels that are no more leave no plan, no move, no lineage and no attachment. `stood`: what [`leaning`] found before, which somebody
/// insisted on.
pub(in crate::inventory) async fn nothing_left_behind(
    connection: &mut PgConnection,
    target: i64,
    undone: i64,
    stood: &[Finding],
) -> Result<()> {
    let mut findings = leaning(connection, target).await?;
    findings.retain(|finding| !stood.contains(finding));
    if !findings.is_empty() {
        let detail = format!("修订 {target} 不能撤销：撤销后地块与再开发方案的状态互相矛盾，原因见 findings");
        return Err(Error::Conflict { code: "undo_conflict", detail, findings });
    }
    let left = ledgers::traces_left(connection, undone).await?;
    if !left.is_empty() {
        let told = |id: &String| {
            let message = format!("{id} 撤销后不复存在，但已有变更、步骤或沿革；请终止该记录，而不是撤销登记");
            Finding::error("traces_left", Place::whole(), message)
        };
        let detail = format!("修订 {target} 登记的记录之后又有变更、步骤或沿革，不能撤销；请改为终止该记录");
        return Err(Error::Conflict { code: "undo_conflict", detail, findings: left.iter().map(told).collect() });
    }
    super::attachments::refuse_to_leave(connection, undone, &format!("修订 {target} ")).await
}

/// Of the parcels and plans that the revision wrote, those that now contradict each other: a plan whose parcel does not stand, a parcel
/// in a state that its plan does not bear. Where somebody insisted on one, it is there before and after.
pub(in crate::inventory) async fn leaning(connection: &mut PgConnection, revision: i64) -> Result<Vec<Finding>> {
    let orphan = |(plan, parcel): (String, String)| {
        Finding::error("plan_in_use", Place::whole(), format!("再开发方案 {plan} 所属的地块 {parcel} 不复存在"))
    };
    let orphans = ledgers::plans_without_parcel(connection, revision).await?;
    let mut findings: Vec<Finding> = orphans.into_iter().map(orphan).collect();
    let parcels = ledgers::parcels_beside(connection, revision).await?;
    let ids: Vec<String> = parcels.iter().map(|(id, _)| id.clone()).collect();
    let plans = ledgers::plan_progress(connection, &ids).await?;
    for (id, state) in parcels {
        let plan = plans.get(&id).map(|(state, open)| PlanProgress { state, open_steps: *open });
        if let Some(mut missing) = missing_for_parcel(&state, plan) {
            missing.message = format!("地块 {id}：{}", missing.message);
            findings.push(missing);
        }
    }
    Ok(findings)
}
