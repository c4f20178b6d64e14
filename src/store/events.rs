//! Park events (沿革): boundary changes, mergers, revocations.

use sqlx::PgConnection;

use crate::domain::ParkEvent;
use crate::domain::lifecycle::DecimalHectares;
use crate::error::Result;

/// Inserts or updates what differs and returns the number of rows written. Needs an open revision. Areas travel as text:
/// a document's decimals must arrive to the digit.
pub async fn upsert(connection: &mut PgConnection, events: &[ParkEvent]) -> Result<u64> {
    let text = |area: Option<DecimalHectares>| area.map(|a| a.to_string());
    let mut written = 0;
    for e in events {
        written += sqlx::query(
            "INSERT INTO park_event AS e (id, park_code, kind, occurred_text, occurred_on, stage, document_no, area_before_ha, area_out_ha,
                 area_in_ha, area_after_ha, block_areas_ha, related_park_codes, note, source)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8::numeric, $9::numeric, $10::numeric, $11::numeric, $12::text[]::numeric[], $13, $14, $15)
             ON CONFLICT (id) DO UPDATE SET park_code = excluded.park_code, kind = excluded.kind, occurred_text = excluded.occurred_text,
                 occurred_on = excluded.occurred_on, stage = excluded.stage, document_no = excluded.document_no,
                 area_before_ha = excluded.area_before_ha, area_out_ha = excluded.area_out_ha, area_in_ha = excluded.area_in_ha,
                 area_after_ha = excluded.area_after_ha, block_areas_ha = excluded.block_areas_ha,
                 related_park_codes = excluded.related_park_codes, note = excluded.note, source = excluded.source
             WHERE to_jsonb(e) - 'revision' IS DISTINCT FROM to_jsonb(excluded) - 'revision'",
        )
        .bind(&e.id)
        .bind(e.park.as_str())
        .bind(e.kind.as_str())
        .bind(&e.occurred_text)
        .bind(e.occurred_on)
        .bind(&e.stage)
        .bind(&e.document_no)
        .bind(text(e.area_before))
        .bind(text(e.area_out))
        .bind(text(e.area_in))
        .bind(text(e.area_after))
        .bind(e.block_areas.iter().map(ToString::to_string).collect::<Vec<_>>())
        .bind(e.related_parks.iter().map(ToString::to_string).collect::<Vec<_>>())
        .bind(&e.note)
        .bind(&e.source)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    }
    Ok(written)
}
