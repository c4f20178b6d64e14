//! Shapes that are compared for somebody else's paper: nothing is kept.

use serde_json::Value;

use super::{CheckRequest, Desk, compare, job, layers_of, moment_of};
use crate::domain::Ledger;
use crate::domain::access::Viewer;
use crate::domain::layer::Layer;
use crate::error::{Error, Result};
use crate::layers::catalogue::Catalogue;
use crate::store::overlap_checks::{FindingRow, SubjectRow};

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
        let _place = self.room.acquire().await.map_err(|cause| Error::internal("重叠检查的队列已关闭", cause))?;
        let moment = moment_of(&self.pool, request.on_day, request.revision).await?;
        let compared =
            job::compare_with_layers(&self.pool, self.live.as_deref(), viewer, &subjects, &layers, moment).await?;
        let (sources, revision) = compared;
        let (purpose, thresholds) = (request.purpose, request.thresholds);
        let outcome = tokio::task::spawn_blocking(move || {
            compare::compare(&subjects, &sources, purpose, &thresholds, &compare::Watch::default())
        });
        let outcome = outcome.await.map_err(|cause| Error::internal("重叠检查时程序出错", cause))?;
        let outcome =
            outcome.ok_or_else(|| Error::Internal { detail: "重叠检查被中断".to_owned(), cause: None })?;
        Ok(Compared { findings: outcome.findings, summary: outcome.summary, layers, revision })
    }
}
