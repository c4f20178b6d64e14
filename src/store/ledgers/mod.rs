//! Records of the ledgers (turnover parcels, low-efficiency parcels, plans): what stands, the bulk upsert, the moves.
//!
//! SQL is put together from the field tables of `domain::ledger` alone; every value is bound or copied.

mod columns;
mod lineage;
mod moves;
mod order;
mod plans;
mod stage;
mod standing;

pub use columns::optional;
pub use lineage::{
    Line, Parent, Relative, insert_lines, lines, lines_of_revision, lock_parents, relatives, stage_standing,
    staged_land, union_of,
};
pub use moves::{Move, end, list_moves, move_all, moves_of_revision};
pub use order::{OutOfOrder, list_plan_out_of_order, list_staged_out_of_order};
pub use plans::{
    BulkPlan, PlanRecord, StepRecord, find_plan, insert_missing_plans, list_steps, parcels_beside, parcels_of_plans,
    plan_differs, plan_of, plan_progress, plan_progress_as_of, plans_without_parcel, replace_steps, upsert_plan,
};
pub use stage::{
    Inherit, Stage, StagedParcel, insert_missing, keep_absent, list_differing_since, preview, stage, unstage,
    upsert_staged,
};
pub use standing::{
    Assigned, RecordState, StandingParcel, assign, find_state, land_use_system_of, list_by_revision,
    list_by_revision_blocks, list_candidates_for_overlap, lock_state, lock_states, name_of, staged_used_before,
    standing_states, touch, traces_left, used_before,
};
