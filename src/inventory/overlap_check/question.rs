//! A check that is answered at once and kept nowhere: of the command line, and of a register that is only supposed.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use super::compare::{self, Outcome, Watch};
use super::source::{self, Moment, Source};
use super::subject::{self, Given, Subjects};
use super::{CheckRequest, job, layers_of, moment_of, wire};
use crate::domain::access::Viewer;
use crate::domain::layer::Layer;
use crate::error::{Error, Result};
use crate::layers::catalogue::Catalogue;
use crate::store::overlap_checks::SubjectRow;

/// The shapes, read and judged, and what they are compared with.
pub struct Question {
    request: CheckRequest,
    layers: Vec<&'static Layer>,
    subjects: Subjects,
    moment: Moment,
}

impl Question {
    pub async fn of(
        pool: &PgPool,
        viewer: &Viewer,
        catalogue: &Catalogue,
        request: CheckRequest,
        given: Given,
    ) -> Result<Self> {
        let layers = layers_of(viewer, catalogue, &request)?;
        let moment = moment_of(pool, request.on_day, request.revision).await?;
        let subjects = subject::read(pool, viewer, given, moment).await?;
        Ok(Self { request, layers, subjects, moment })
    }

    /// What the register has near the shapes at the moment that is asked about, and its revision.
    pub(super) async fn registered(&self, pool: &PgPool, viewer: &Viewer) -> Result<(Vec<Source>, i64)> {
        job::compare_with_layers(pool, None, viewer, &self.subjects.rows, &self.layers, self.moment).await
    }

    /// What a transaction sees near the shapes, with what it has written itself.
    pub(in crate::inventory) async fn seen_within(
        &self,
        connection: &mut PgConnection,
        viewer: &Viewer,
    ) -> Result<Vec<Source>> {
        source::open_within(connection, viewer, &self.layers, &job::boxes_around(&self.subjects.rows)).await
    }

    /// The findings, as one GeoJSON document. `longest`: given up after so long.
    pub(in crate::inventory) async fn answer(
        self,
        sources: Vec<Source>,
        revision: i64,
        longest: Option<Duration>,
    ) -> Result<Value> {
        let asked = wire::request_json(&self.request, &self.layers, &self.subjects.origin);
        let Outcome { findings, summary } = compared(self.subjects.rows, sources, &self.request, longest).await?;
        Ok(json!({
            "type": "FeatureCollection",
            "request": asked,
            "revision": revision,
            "summary": summary,
            "features": findings.iter().map(wire::finding_feature).collect::<Vec<_>>(),
        }))
    }
}

/// Compares apart from the threads that answer requests.
pub(super) async fn compared(
    subjects: Vec<SubjectRow>,
    sources: Vec<Source>,
    request: &CheckRequest,
    longest: Option<Duration>,
) -> Result<Outcome> {
    let (purpose, thresholds) = (request.purpose, request.thresholds);
    let watch = Arc::new(Watch::default());
    let seen = Arc::clone(&watch);
    let mut comparing =
        tokio::task::spawn_blocking(move || compare::compare(&subjects, &sources, purpose, &thresholds, &seen));
    let outcome = match longest {
        None => comparing.await,
        Some(longest) => match tokio::time::timeout(longest, &mut comparing).await {
            Ok(outcome) => outcome,
            Err(_) => {
                watch.cancelled.store(true, Relaxed);
                comparing.await
            }
        },
    };
    let outcome = outcome.map_err(|cause| Error::internal("重叠检查时程序出错", cause))?;
    outcome.ok_or_else(|| Error::Unavailable {
        code: "query_timeout",
        detail: "冲突检查超过了时限；请改用重叠检查（/api/overlap-checks）核对冲突".to_owned(),
        cause: None,
    })
}
