//! What happened to the parcels of a ledger in a period: they entered, moved, ended.

use sqlx::PgConnection;

use super::{Frame, Grouped, Key, Listed, Source, group, lies, list};
use crate::domain::Ledger;
use crate::domain::report::ReportColumn;
use crate::error::Result;

/// Changes by kind, state before and state after.
pub async fn changes_summary(connection: &mut PgConnection, ledger: Ledger, frame: &Frame) -> Result<Grouped> {
    let source = Source {
        from: format!("({}) r", happened(ledger)),
        conditions: format!("$1::date IS NULL AND {}", lies(frame)),
        keys: vec![
            Key { expression: "r.kind", order: Some(vec!["entered", "moved", "ended"]) },
            Key::state("r.from_state", ledger.machine()),
            Key::state("r.to_state", ledger.machine()),
        ],
        measures: vec!["true"],
        distinct: true,
    };
    group(connection, &source, frame).await
}

/// The changes by day.
pub async fn changes(
    connection: &mut PgConnection,
    ledger: Ledger,
    columns: &[ReportColumn],
    frame: &Frame,
) -> Result<Listed> {
    let select = format!(
        "SELECT r.*, d.name AS county_name, p.name AS park_name FROM ({}) r
         JOIN division d ON d.code = r.county_code LEFT JOIN park p ON p.code = r.park_code
         WHERE $1::date IS NULL AND {}",
        happened(ledger),
        lies(frame)
    );
    let order = "effective_on, id, array_position(ARRAY['entered', 'moved', 'ended'], kind), ordinal";
    list(connection, &select, order, columns, frame).await
}

/// One row a change, with the parcel as it was after it; $5 and $6.
///
/// A parcel enters where a life begins that no move opened. Where the paper has no day for it, the day counts on which the register
/// first wrote the row: the revision of its oldest image. What came of a split or a merge names its family.
fn happened(ledger: Ledger) -> String {
    let table = ledger.table();
    format!(
        "SELECT 'entered' AS kind, r.id, r.number, r.name, r.county_code, r.park_code, NULL::text AS from_state,
                coalesce((SELECT t.from_state FROM parcel_transition t WHERE t.ledger = '{table}' AND t.record_id = r.id
                              AND t.effective_on >= r.valid_from ORDER BY t.ordinal LIMIT 1), r.state) AS to_state,
                CASE WHEN isfinite(r.valid_from) THEN r.valid_from ELSE w.day END AS effective_on, NOT isfinite(r.valid_from) AS by_register,
                f.document_no, coalesce(f.reason, r.source) AS reason, 0 AS ordinal, r.area_m2
         FROM {table} r
         LEFT JOIN LATERAL (
             SELECT '由 ' || string_agg(l.parent_id, '、' ORDER BY l.parent_id) || CASE min(l.kind) WHEN 'split' THEN ' 分割' ELSE ' 合并' END AS reason,
                    min(l.document_no) AS document_no
             FROM parcel_lineage l WHERE l.ledger = '{table}' AND l.child_id = r.id) f ON true
         LEFT JOIN LATERAL (
             SELECT (v.made_at AT TIME ZONE 'Asia/Shanghai')::date AS day FROM revision v
             WHERE NOT isfinite(r.valid_from) AND v.number = least(r.revision, (
                 SELECT min((c.before ->> 'revision')::bigint) FROM change c
                 WHERE c.layer = '{table}' AND c.feature_id = r.id AND c.operation <> 'insert' AND c.before ->> 'valid_from' = '-infinity'))) w ON true
         WHERE (r.valid_from >= $5::date AND r.valid_from < $6::date
                 AND NOT EXISTS (SELECT 1 FROM {table} e WHERE e.id = r.id AND e.valid_to = r.valid_from AND e.end_reason IS NULL)
             OR r.valid_from = '-infinity' AND w.day >= $5::date AND w.day < $6::date)
         UNION ALL
         SELECT 'moved', t.record_id, r.number, r.name, r.county_code, r.park_code, t.from_state, t.to_state, t.effective_on, false,
                t.document_no, t.reason, t.ordinal, r.area_m2
         FROM parcel_transition t
         JOIN LATERAL (SELECT * FROM {table} b WHERE b.id = t.record_id AND b.valid_from <= t.effective_on
                       ORDER BY b.valid_from DESC LIMIT 1) r ON true
         WHERE t.ledger = '{table}' AND t.effective_on >= $5::date AND t.effective_on < $6::date
         UNION ALL
         SELECT 'ended', r.id, r.number, r.name, r.county_code, r.park_code, r.state, NULL, r.valid_to, false, f.document_no,
                coalesce(f.reason, r.end_reason), 0, r.area_m2
         FROM {table} r
         LEFT JOIN LATERAL (
             SELECT CASE min(l.kind) WHEN 'split' THEN '分割为 ' ELSE '合并为 ' END || string_agg(l.child_id, '、' ORDER BY l.child_id) AS reason,
                    min(l.document_no) AS document_no
             FROM parcel_lineage l WHERE l.ledger = '{table}' AND l.parent_id = r.id AND r.end_reason IN ('split', 'merged')) f ON true
         WHERE r.end_reason IS NOT NULL AND r.valid_to >= $5::date AND r.valid_to < $6::date"
    )
}
