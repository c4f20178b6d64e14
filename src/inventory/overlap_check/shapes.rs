//! Shapes that are compared for somebody else's paper: nothing is kept.

use std::time::Duration;

use serde_json::Value;

use super::question::Within;
use super::{CheckRequest, Desk, job, layers_of, moment_of, question};
use crate::domain::Ledger;
use crate::domain::access::Viewer;
use crate::domain::layer::Layer;
use crate::error::{Error, Result};
use crate::layers::catalogue::Catalogue;
use crate::store::overlap_checks::{FindingRow, SubjectRow};

/// How long somebody waits for a place among the checks, and how long the comparison may take: who asks holds a connection meanwhile.
const WAITS: Duration = Duration::from_secs(5);
const WITHIN: Within =
    Within { longest: Duration::from_secs(20), advice: "请改用重叠检查（/api/overlap-checks）核对冲突" };

/// What came of a comparison.
#[derive(Debug)]
pub struct Compared {
    pub findings: Vec<FindingRow>,
    /// As a kept check has it.
    pub summary: Value,
    pub layers: Vec<&'static Layer>,
    /// The revision that was compared with.
    pub revision: i64,
}

impl Desk {
    /// Compares these shapes with the layers that a check would take for this viewer; without the ledgers of parcels, where `parcels` is
    /// false. It waits for its turn among the checks.
    pub async fn compare_shapes(
        &self,
        viewer: &Viewer,
        catalogue: &Catalogue,
        request: &CheckRequest,
        subjects: Vec<SubjectRow>,
        parcels: bool,
    ) -> Result<Compared> {
        let mut layers = layers_of(viewer, catalogue, request)?;
        layers.retain(|layer| parcels || Ledger::of_layer(layer.id).is_none());
        let place = tokio::time::timeout(WAITS, self.room.acquire()).await.map_err(|_| Error::Unavailable {
            code: "assessments_busy",
            detail: "正在进行的重叠检查已满；请稍后再试".to_owned(),
            cause: None,
        })?;
        let _place = place.map_err(|cause| Error::internal("重叠检查的队列已关闭", cause))?;
        let moment = moment_of(&self.pool, request.on_day, request.revision).await?;
        let compared =
            job::compare_with_layers(&self.pool, self.live.as_deref(), viewer, &subjects, &layers, moment).await?;
        let (sources, revision) = compared;
        let outcome = question::compared(subjects, sources, request, Some(WITHIN)).await?;
        Ok(Compared { findings: outcome.findings, summary: outcome.summary, layers, revision })
    }
}
