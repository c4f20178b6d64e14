//! A single feature, judged and staged as a file of one row is.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::NaiveDate;
use sqlx::PgConnection;

use super::judging::Judging;
use super::ledger::{FileParcels, gazetteer, judge_against_register};
use super::parcel::ParcelContext;
use super::{ImportRequest, Judged, Rows, allow, oddities, off_async_threads};
use crate::domain::access::{Role, Viewer};
use crate::domain::{Finding, Ledger};
use crate::error::Result;
use crate::exchange::{Intake, Reading};
use crate::inventory::progress::Silent;
use crate::store::ledgers;

/// A single feature to be judged like a file of one row.
#[derive(Debug)]
pub struct FeatureRequest {
    pub ledger: Ledger,
    pub reading: Reading,
    /// Columns that the client does not speak of: what stands in them stays.
    pub absent: Vec<&'static str>,
    /// From which rows it stays.
    pub inherit: ledgers::Inherit,
    pub allow: Vec<String>,
    pub jurisdiction: crate::domain::access::Jurisdiction,
    pub actor: String,
    pub today: NaiveDate,
}

/// What was found of the feature; it is staged where nothing was wrong.
#[derive(Debug)]
pub struct JudgedFeature {
    pub findings: Vec<Finding>,
    pub differs: bool,
}

/// Judges the feature, in the transaction that may write it.
pub async fn judge_feature(connection: &mut PgConnection, wanted: Arc<FeatureRequest>) -> Result<JudgedFeature> {
    let gazetteer = gazetteer(connection).await?;
    let viewer = Viewer { actor: wanted.actor.clone(), role: Role::Editor, jurisdiction: wanted.jurisdiction.clone() };
    let mut request = ImportRequest::new(PathBuf::new(), "编辑".to_owned(), wanted.ledger.layer().to_owned(), &viewer);
    (request.allow, request.today) = (wanted.allow.clone(), wanted.today);
    let mut context = ParcelContext::new(&request, wanted.ledger, gazetteer);
    context.source = format!("在线登记（{}）", wanted.actor);
    let feature = Arc::clone(&wanted);
    let (mut report, file) = off_async_threads(move || {
        let mut judging = Judging::new(&context, &Silent);
        judging.take(feature.reading.candidates.clone());
        judging.finish(&feature.reading)
    })
    .await?;
    allow(&mut report.findings, &request.allow);
    if report.has_errors() || file.list.is_empty() {
        return Ok(JudgedFeature { findings: report.findings, differs: false });
    }
    report.findings.extend(file.list.iter().flat_map(|p| oddities::ratios(p.ledger, |name| p.fields.get(name))));
    let parcels = Arc::new(FileParcels { ledger: wanted.ledger, file });
    let (absent, inherit) = (wanted.absent.clone(), wanted.inherit);
    let rows = Rows::Parcels(Arc::clone(&parcels));
    let mut judged = Judged { report, rows, absent, inherit, moves: Vec::new() };
    let counts = judge_against_register(connection, &mut judged, &parcels, &request).await?;
    judged.report.findings.extend(oddities::days(connection, &parcels, oddities::Called::ByName).await?);
    allow(&mut judged.report.findings, &request.allow);
    // That the client clears a value is what it asked for.
    judged.report.findings.retain(|f| f.code != "value_cleared");
    Ok(JudgedFeature { findings: judged.report.findings, differs: counts.changed() > 0 })
}
