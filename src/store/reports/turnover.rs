//! Reports over turnover land.

use sqlx::PgConnection;

use super::{Frame, Grouped, Key, Listed, Source, group, in_frame, list};
use crate::domain::Ledger;
use crate::domain::ledger::DerivedSet;
use crate::domain::report::{Dimension, ReportColumn};
use crate::error::Result;

/// Supplied: the main state says so, or a state that only supplied land comes into.
const SUPPLIED: &str = "coalesce(r.held_state, r.state) IN ('supplied', 'delivered', 'started', 'completed') OR r.state IN ('idle', 'low_efficiency')";

/// Approved and not supplied.
const NOT_SUPPLIED: &str = "coalesce(r.held_state, r.state) IN ('approved', 'acquired', 'serviced', 'listed') AND r.state NOT IN ('idle', 'low_efficiency')";

/// Not supplied and not acquired either (批而未征).
const NOT_ACQUIRED: &str = "coalesce(r.held_state, r.state) = 'approved' AND r.state NOT IN ('idle', 'low_efficiency')";

/// Acquired and not supplied (征而未供).
const ACQUIRED: &str = "coalesce(r.held_state, r.state) IN ('acquired', 'serviced', 'listed') AND r.state NOT IN ('idle', 'low_efficiency')";

/// Its approval was withdrawn: it had one.
const WITHDRAWN: &str = "r.state = 'withdrawn' AND (r.approval_year IS NOT NULL OR r.approved_on IS NOT NULL)";

const APPROVAL_YEAR: &str = "coalesce(r.approval_year, extract(year FROM r.approved_on)::integer)";

fn keys(dimension: Dimension) -> Vec<Key> {
    match dimension {
        Dimension::County => vec![Key::plain("r.county_code")],
        Dimension::Prefecture => vec![Key::plain("left(r.county_code, 4) || '00'")],
        Dimension::Park => vec![Key::plain("r.park_code")],
        Dimension::State => vec![Key::state("r.state", Ledger::Turnover.machine())],
        Dimension::Stock => vec![Key {
            // The first is that of the main state.
            expression: "(turnover_sets(r.state, r.held_state))[1]",
            order: Some(DerivedSet::ALL.map(DerivedSet::as_str).to_vec()),
        }],
        Dimension::ApprovalYear => vec![Key::plain(APPROVAL_YEAR)],
        // The same digits mean different things in different systems.
        Dimension::LandUse => vec![Key::plain("r.land_use_system"), Key::plain("r.land_use_code")],
    }
}

/// Parcels by group: all, and the idle ones among them.
pub async fn turnover_stock(connection: &mut PgConnection, by: &[Dimension], frame: &Frame) -> Result<Grouped> {
    let source = Source {
        from: "turnover_parcel r".to_owned(),
        conditions: in_frame(frame),
        keys: by.iter().flat_map(|dimension| keys(*dimension)).collect(),
        measures: vec!["true", "r.state = 'idle'"],
        distinct: false,
    };
    group(connection, &source, frame).await
}

/// By approval year: approved, supplied, not supplied, not acquired, acquired, withdrawn.
pub async fn approval_years(connection: &mut PgConnection, frame: &Frame) -> Result<Grouped> {
    let approved = format!("({SUPPLIED} OR {NOT_SUPPLIED} OR {WITHDRAWN})");
    let source = Source {
        from: "turnover_parcel r".to_owned(),
        conditions: format!("{} AND {approved}", in_frame(frame)),
        keys: vec![Key::plain(APPROVAL_YEAR)],
        measures: vec!["r.state <> 'withdrawn'", SUPPLIED, NOT_SUPPLIED, NOT_ACQUIRED, ACQUIRED, WITHDRAWN],
        distinct: false,
    };
    group(connection, &source, frame).await
}

/// Supplied land that is not used, is idle, or looks so by the rule; the worst first.
pub async fn idle(connection: &mut PgConnection, columns: &[ReportColumn], frame: &Frame) -> Result<Listed> {
    // The states stand beside the sets that they make up: an index knows nothing of those.
    let select = format!(
        "SELECT v.id, v.number, v.name, v.county_code, v.county_name, v.park_code, v.park_name, v.location, v.state, v.state_label,
                CASE WHEN v.state = 'idle' THEN 'idle' WHEN 'supplied_not_used' = ANY (v.derived_sets) THEN 'supplied_not_used'
                     ELSE 'used' END AS stock,
                v.land_user, v.contract_no, v.signed_on, v.agreed_delivery_on, v.delivered_on, v.agreed_start_on, v.started_on,
                v.agreed_finish_on, v.stopped_on, v.start_overdue_days::bigint AS start_overdue_days,
                v.finish_overdue_days::bigint AS finish_overdue_days, v.idle_stage, v.idle_cause, v.proposed_disposal, r.area_m2
         FROM turnover_parcel r
         JOIN layer_turnover_parcels v ON v.id = r.id AND coalesce(v.valid_from, '-infinity') = r.valid_from
         WHERE {} AND (coalesce(r.held_state, r.state) IN ('supplied', 'delivered', 'started', 'completed') OR r.state = 'idle')
           AND (r.state = 'idle' OR 'supplied_not_used' = ANY (v.derived_sets) OR v.idle_stage IS NOT NULL)",
        in_frame(frame)
    );
    let order = "(state = 'idle') DESC, idle_stage DESC NULLS LAST, greatest(start_overdue_days, finish_overdue_days) DESC NULLS LAST, id";
    list(connection, &select, order, columns, frame).await
}

/// That land is planned to be supplied in the period.
const PLANNED: &str = "r.planned_supply_on >= $5::date AND r.planned_supply_on < $6::date AND r.state <> 'withdrawn'";

/// Planned for the period by park: all, supplied, not yet, and of those the overdue.
pub async fn supply_plan(connection: &mut PgConnection, frame: &Frame) -> Result<Grouped> {
    let source = Source {
        from: format!("(SELECT r.*, ({SUPPLIED}) AS is_supplied FROM turnover_parcel r) r"),
        conditions: format!("{} AND {PLANNED}", in_frame(frame)),
        keys: vec![Key::plain("r.park_code")],
        measures: vec![
            "true",
            "r.is_supplied",
            "NOT r.is_supplied",
            "NOT r.is_supplied AND r.planned_supply_on < timer_day()",
        ],
        distinct: false,
    };
    group(connection, &source, frame).await
}

/// The parcels of [`supply_plan`], by day.
pub async fn supply_plan_parcels(
    connection: &mut PgConnection,
    columns: &[ReportColumn],
    frame: &Frame,
) -> Result<Listed> {
    let select = format!(
        "SELECT r.id, r.number, r.name, r.county_code, d.name AS county_name, r.park_code, p.name AS park_name, r.state, r.planned_supply_on,
                r.supply_mode, r.target_industry, r.planned_use, ({SUPPLIED}) AS supplied,
                NOT ({SUPPLIED}) AND r.planned_supply_on < timer_day() AS overdue, r.land_user, r.signed_on, r.area_m2
         FROM turnover_parcel r JOIN division d ON d.code = r.county_code LEFT JOIN park p ON p.code = r.park_code
         WHERE {} AND {PLANNED}",
        in_frame(frame)
    );
    list(connection, &select, "planned_supply_on, id", columns, frame).await
}
