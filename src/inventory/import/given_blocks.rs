//! Blocks that a request gives as GeoJSON, judged as those of a file are.

use std::path::PathBuf;

use sqlx::PgConnection;

use super::judge::Context;
use super::judging::Judging;
use super::{ImportRequest, allow, off_async_threads, overlaps};
use crate::domain::access::Viewer;
use crate::domain::{Block, Finding, ParkCode, Place};
use crate::error::Result;
use crate::exchange::{Intake, ReadOptions, geojson};
use crate::inventory::land;
use crate::inventory::progress::Silent;
use crate::store::blocks::StandingBlock;

/// The blocks of a feature collection for one park, in its order, and what was found of them; where an error is among it, a block may lack.
/// `allowed`: codes of errors that the caller accepts.
pub async fn judge_given_blocks(
    text: String,
    park: &ParkCode,
    viewer: &Viewer,
    allowed: &[String],
) -> Result<(Vec<Block>, Vec<Finding>)> {
    let mut request = ImportRequest::new(PathBuf::new(), "在线登记".to_owned(), "park_blocks".to_owned(), viewer);
    request.park = Some(park.clone());
    let context = Context::new(&request, vec![(park.to_string(), Vec::new())]);
    let (mut blocks, mut findings) = off_async_threads(move || {
        let mut reading = geojson::read(text.as_bytes(), &ReadOptions::default());
        let mut judging = Judging::new(&context, &Silent);
        judging.take(std::mem::take(&mut reading.candidates));
        let (report, file) = judging.finish(&reading);
        let mut findings = report.findings;
        findings.extend(file.overlaps());
        (file.list, findings)
    })
    .await?;
    for block in blocks.iter_mut().filter(|block| !block.illustrative) {
        "在线登记".clone_into(&mut block.source);
    }
    allow(&mut findings, allowed);
    // What a reader tells of a file is no news of a request: which fields, which encoding.
    findings.retain(|finding| finding.severity != crate::domain::Severity::Info);
    Ok((blocks, findings))
}

/// Land of these blocks that current blocks of the register have too; drawn ones are only mentioned.
pub async fn overlaps_with_standing(
    connection: &mut PgConnection,
    blocks: &[Block],
    allowed: &[String],
) -> Result<Vec<Finding>> {
    let around = land::blocks_around(connection, blocks.iter().map(|block| &block.boundary)).await?;
    let standing: Vec<StandingBlock> = around
        .into_iter()
        .map(|b| StandingBlock { id: b.id, boundary: b.boundary, illustrative: b.illustrative })
        .collect();
    let given = blocks.to_vec();
    let mut findings = off_async_threads(move || {
        overlaps::compare_with(&given, |at| Place::row(at as u64 + 1).field("blocks"), &standing)
    })
    .await?;
    allow(&mut findings, allowed);
    Ok(findings)
}
