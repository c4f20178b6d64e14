//! A check that is answered at once and kept nowhere: of the command line, and of a register that is only supposed.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use geo::CoordsIter;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use super::compare::{self, Outcome, Watch};
use super::source::{self, Moment, Source};
use super::subject::{self, Given, Subjects};
use super::{CheckRequest, job, layers_of, moment_of, wire};
use crate::domain::access::{Jurisdiction, Viewer};
use crate::domain::layer::Layer;
use crate::domain::overlap_check::MOST_VERTICES;
use crate::error::{Error, Result};
use crate::inventory::import::off_async_threads;
use crate::layers::catalogue::Catalogue;
use crate::store::overlap_checks::{FindingRow, SubjectRow};

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
        if viewer.jurisdiction == Jurisdiction::NOWHERE {
            // Who sees nothing would be told that nothing is in the way.
            let detail = "账号没有管辖范围，看不到管控区域和地块，不能检查；请管理员设置".to_owned();
            return Err(Error::Forbidden { code: "outside_jurisdiction", detail });
        }
        let layers = layers_of(viewer, catalogue, &request)?;
        let moment = moment_of(pool, request.on_day, request.revision).await?;
        let subjects = subject::read(pool, viewer, given, moment).await?;
        Ok(Self { request, layers, subjects, moment })
    }

    /// What the register has near the shapes at the moment that is asked about, and its revision.
    pub(super) async fn registered(&self, pool: &PgPool, viewer: &Viewer) -> Result<(Vec<Source>, i64)> {
        job::compare_with_layers(pool, None, viewer, &self.subjects.rows, &self.layers, self.moment).await
    }

    /// What operators' layers have near the shapes. No deed of ours changes them, and who looks after them may hold them for a while: they
    /// are not read in a transaction that others wait for.
    pub(in crate::inventory) async fn of_operators(&self, pool: &PgPool, viewer: &Viewer) -> Result<Vec<Source>> {
        let layers = self.layers_that(|layer| layer.extra.is_some());
        if layers.is_empty() {
            return Ok(Vec::new());
        }
        Ok(job::compare_with_layers(pool, None, viewer, &self.subjects.rows, &layers, Moment::default()).await?.0)
    }

    /// What a transaction sees of the register's layers near the shapes, with what it has written itself.
    pub(in crate::inventory) async fn seen_within(
        &self,
        connection: &mut PgConnection,
        viewer: &Viewer,
    ) -> Result<Vec<Source>> {
        let layers = self.layers_that(|layer| layer.extra.is_none());
        source::open_within(connection, viewer, &layers, &job::boxes_around(&self.subjects.rows), false).await
    }

    fn layers_that(&self, is_one: impl Fn(&Layer) -> bool) -> Vec<&'static Layer> {
        self.layers.iter().copied().filter(|layer| is_one(layer)).collect()
    }

    /// The findings, as one GeoJSON document; `within` a time, for somebody who waits for them.
    pub(in crate::inventory) async fn answer(
        self,
        mut sources: Vec<Source>,
        revision: i64,
        within: Option<Within>,
    ) -> Result<Value> {
        // As they were asked for: findings are listed so.
        sources.sort_by_key(|source| self.layers.iter().position(|layer| layer.id == source.layer.id));
        let asked = wire::request_json(&self.request, &self.layers, &self.subjects.origin);
        let is_waited_for = within.is_some();
        let Outcome { findings, summary } = compared(self.subjects.rows, sources, &self.request, within).await?;
        let drawn = |row: &FindingRow| row.land.as_ref().map_or(0, CoordsIter::coords_count);
        if is_waited_for && findings.iter().map(drawn).sum::<usize>() > MOST_VERTICES {
            let detail = format!("检查结果的图形超过 {MOST_VERTICES} 个顶点；请减少图形或图层");
            return Err(Error::too_large("check_too_large", detail));
        }
        off_async_threads(move || {
            json!({
                "type": "FeatureCollection",
                "request": asked,
                "revision": revision,
                "summary": summary,
                "features": findings.iter().map(wire::finding_feature).collect::<Vec<_>>(),
            })
        })
        .await
    }
}

/// How long a comparison may take while somebody waits, and what is said where it takes longer.
#[derive(Debug, Clone, Copy)]
pub(in crate::inventory) struct Within {
    pub longest: Duration,
    pub advice: &'static str,
}

/// Nobody waits any more: the comparison ends too.
struct Stop(Arc<Watch>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.cancelled.store(true, Relaxed);
    }
}

/// Compares apart from the threads that answer requests.
pub(super) async fn compared(
    subjects: Vec<SubjectRow>,
    sources: Vec<Source>,
    request: &CheckRequest,
    within: Option<Within>,
) -> Result<Outcome> {
    let (purpose, thresholds) = (request.purpose, request.thresholds);
    let watch = Arc::new(Watch::default());
    let seen = Arc::clone(&watch);
    let in_service = within.is_some();
    let mut comparing = tokio::task::spawn_blocking(move || {
        let compare = || compare::compare(&subjects, &sources, purpose, &thresholds, &seen);
        match in_service.then(job::threads_of_its_own).flatten() {
            Some(threads) => threads.install(compare),
            None => compare(),
        }
    });
    let _stop = Stop(Arc::clone(&watch));
    let outcome = match within {
        None => comparing.await,
        Some(Within { longest, .. }) => match tokio::time::timeout(longest, &mut comparing).await {
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
        detail: format!("冲突检查超过了时限；{}", within.map_or("", |within| within.advice)),
        cause: None,
    })
}
