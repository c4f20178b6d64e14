//! Parks and blocks outside the importer's jurisdiction: told row by row, and refused.

use std::collections::HashMap;

use sqlx::PgPool;

use super::{ImportRequest, Judged, Rows};
use crate::domain::access::Jurisdiction;
use crate::domain::{DivisionCode, Finding, ParkCode, Place};
use crate::error::Result;
use crate::store;

/// Adds what lies outside to the report.
pub(super) async fn check(pool: &PgPool, judged: &mut Judged, request: &ImportRequest) -> Result<()> {
    if request.jurisdiction == Jurisdiction::Everywhere {
        return Ok(());
    }
    let standing: HashMap<String, Vec<DivisionCode>> = store::parks::list_divisions(&mut *pool.acquire().await?)
        .await?
        .into_iter()
        .map(|(code, divisions)| (code, divisions.iter().filter_map(|d| DivisionCode::parse(d).ok()).collect()))
        .collect();
    let own = |park: &ParkCode| {
        let divisions = standing.get(park.as_str());
        divisions.is_some_and(|list| list.iter().any(|d| request.jurisdiction.covers(d)))
    };
    let told = |row: Option<u64>, park: &ParkCode| {
        let message = format!("园区 {park} 不在您的管辖范围内");
        Finding::error("outside_jurisdiction", Place { row, ..Place::whole() }, message)
    };
    match &judged.rows {
        Rows::Blocks(file) => {
            let rows = file.list.iter().zip(&file.rows);
            let outside =
                rows.filter(|(block, _)| !own(block.id.park())).map(|(block, row)| told(Some(*row), block.id.park()));
            judged.report.findings.extend(outside);
        }
        // A park comes under the jurisdiction by what the file says and by what stands.
        Rows::Parks(parks) => {
            let covered = |p: &&crate::domain::Park| {
                let said = request.jurisdiction.covers(&p.prefecture)
                    || !p.counties.is_empty() && p.counties.iter().all(|c| request.jurisdiction.covers(c));
                said && (own(&p.code) || !standing.contains_key(p.code.as_str()))
            };
            let outside = parks.iter().filter(|p| !covered(p)).map(|p| told(None, &p.code));
            judged.report.findings.extend(outside);
        }
        // Parcels and zones say themselves whose they are.
        Rows::Parcels(_) | Rows::Zones(_) => {}
    }
    Ok(())
}
