//! The report over low-efficiency land.

use sqlx::PgConnection;

use super::{Frame, Grouped, Key, Source, group, in_frame, stands};
use crate::domain::Ledger;
use crate::domain::report::Dimension;
use crate::error::Result;

/// Recognised as low-efficient, whatever has become of it since.
const RECOGNISED: &str = "coalesce(r.held_state, r.state) IN ('recognised', 'planned', 'plan_approved', 'implementing', 'accepted', 'closed')";

fn key(dimension: Dimension) -> Option<Key> {
    match dimension {
        Dimension::County => Some(Key::plain("r.county_code")),
        Dimension::Prefecture => Some(Key::plain("left(r.county_code, 4) || '00'")),
        Dimension::Park => Some(Key::plain("r.park_code")),
        Dimension::State => Some(Key::state("r.state", Ledger::LowEfficiency.machine())),
        Dimension::Stock | Dimension::ApprovalYear | Dimension::LandUse => None,
    }
}

/// Parcels by group: all, recognised, with a plan, with an overdue plan, closed.
pub async fn low_efficiency_progress(
    connection: &mut PgConnection,
    by: &[Dimension],
    frame: &Frame,
) -> Result<Grouped> {
    // Once a parcel: the past may know several plans of one day.
    let from = format!(
        "low_efficiency_parcel r LEFT JOIN (
            SELECT l.parcel_id, bool_or(l.deadline_on < timer_day() AND l.state <> 'accepted') AS is_overdue
            FROM redevelopment_plan l WHERE {} AND l.state <> 'cancelled' GROUP BY l.parcel_id) l ON l.parcel_id = r.id",
        stands(frame, "l")
    );
    let source = Source {
        from,
        conditions: in_frame(frame),
        keys: by.iter().filter_map(|dimension| key(*dimension)).collect(),
        measures: vec![
            "true",
            RECOGNISED,
            "l.parcel_id IS NOT NULL",
            "coalesce(l.is_overdue, false)",
            "r.state = 'closed'",
        ],
        distinct: false,
    };
    group(connection, &source, frame).await
}
