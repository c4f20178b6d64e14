//! One check from its place in the queue to its end. Progress and the wish to stop stand in the database.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Semaphore;

use super::compare::{self, Outcome, Watch};
use super::source::{self, Moment, Source};
use crate::domain::access::Viewer;
use crate::domain::layer::Layer;
use crate::domain::overlap::Thresholds;
use crate::domain::overlap_check::{CheckStatus, Purpose};
use crate::error::{Error, Result};
use crate::geometry::overlap::Shape;
use crate::inventory::live::Live;
use crate::store;
use crate::store::overlap_checks::{self, SubjectRow};

/// How often a job tells that it lives and asks whether it is still wanted.
const BEAT: Duration = Duration::from_millis(500);

/// Strips of nobody's land are looked for so far from a shape at most.
const REACH_M: f64 = crate::domain::overlap::WIDEST_M;

pub(super) struct Job {
    pub pool: PgPool,
    pub live: Option<Arc<Live>>,
    pub room: Arc<Semaphore>,
    pub viewer: Viewer,
    pub id: i64,
    pub subjects: Vec<SubjectRow>,
    pub layers: Vec<&'static Layer>,
    pub purpose: Purpose,
    pub thresholds: Thresholds,
    pub moment: Moment,
}

impl Job {
    pub async fn run(self) {
        let (pool, viewer, id) = (self.pool.clone(), self.viewer.clone(), self.id);
        let watch = Arc::new(Watch::default());
        // By itself: a beat that waits for the row while the findings are written must not hold up their writing.
        let beats = tokio::spawn({
            let (pool, viewer, watch) = (pool.clone(), viewer.clone(), Arc::clone(&watch));
            async move {
                loop {
                    tokio::time::sleep(BEAT).await;
                    beat(&pool, &viewer, id, &watch).await;
                }
            }
        });
        let outcome = self.work(watch).await;
        beats.abort();
        let ended = match outcome {
            Ok(true) => Ok(()),
            Ok(false) => end(&pool, &viewer, id, CheckStatus::Cancelled, None).await,
            Err(error) => {
                tracing::warn!(check = id, error = %error, cause = ?error, "overlap check failed");
                end(&pool, &viewer, id, CheckStatus::Failed, Some(&error.to_string())).await
            }
        };
        if let Err(error) = ended {
            // It is told as interrupted once its last beat is old enough.
            tracing::warn!(check = id, error = %error, "the end of an overlap check could not be recorded");
        }
    }

    /// False where it was cancelled.
    async fn work(self, watch: Arc<Watch>) -> Result<bool> {
        let _place = loop {
            tokio::select! {
                place = self.room.acquire() => {
                    break place.map_err(|cause| Error::internal("重叠检查的队列已关闭", cause))?;
                }
                () = tokio::time::sleep(BEAT) => if watch.cancelled.load(Relaxed) { return Ok(false) },
            }
        };
        // Said before the first half second is over: most are done by then.
        watch.running.store(true, Relaxed);
        let layers = compare_with_layers(
            &self.pool,
            self.live.as_deref(),
            &self.viewer,
            &self.subjects,
            &self.layers,
            self.moment,
        );
        let (sources, revision) = layers.await?;
        let (subjects, purpose, thresholds) = (self.subjects, self.purpose, self.thresholds);
        let seen = Arc::clone(&watch);
        let compared = tokio::task::spawn_blocking(move || {
            let compare = || compare::compare(&subjects, &sources, purpose, &thresholds, &watch);
            match threads_of_its_own() {
                Some(threads) => threads.install(compare),
                None => compare(),
            }
        });
        let compared = compared.await.map_err(|cause| Error::internal("重叠检查时程序出错", cause))?;
        let Some(Outcome { findings, summary }) = compared else { return Ok(false) };
        let mut transaction = store::begin_write_as(&self.pool, &self.viewer).await?;
        let pairs = i64::try_from(seen.total.load(Relaxed)).unwrap_or(i64::MAX);
        let kept = overlap_checks::finish(&mut transaction, self.id, revision, pairs, &summary, &findings).await?;
        if kept {
            transaction.commit().await?;
        }
        Ok(kept)
    }
}

/// Threads of one job: in a pool for all, a small check would wait behind the last pair of a large one. `None` where no more are to be had.
pub(in crate::inventory) fn threads_of_its_own() -> Option<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .thread_name(|at| format!("overlap-{at}"))
        .start_handler(|_| step_back())
        .build()
        .ok()
}

/// The lowest priority among threads: whoever answers a map goes first.
fn step_back() {
    const LOWEST: libc::c_int = 19;
    // SAFETY: no pointer; on Linux 0 means the calling thread. Where it is refused the thread works at the usual priority.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, LOWEST) };
}

/// The features near the shapes, and the revision that they are of.
pub(super) async fn compare_with_layers(
    pool: &PgPool,
    live: Option<&Live>,
    viewer: &Viewer,
    subjects: &[SubjectRow],
    layers: &[&'static Layer],
    moment: Moment,
) -> Result<(Vec<Source>, i64)> {
    source::open(pool, live, viewer, layers, moment, &boxes_around(subjects)).await
}

/// The boxes in which something may be near a shape.
pub(super) fn boxes_around(subjects: &[SubjectRow]) -> Vec<[f64; 4]> {
    let bbox = |subject: &SubjectRow| Shape::of_multi_polygon(&subject.geometry).bbox();
    gathered(subjects.iter().filter_map(bbox).map(|bbox| compare::widened(bbox, REACH_M)).collect())
}

/// Boxes that the database is asked for: of the past it has no index, so each costs a look at every feature.
const MOST_BOXES: usize = 16;

/// The same boxes, those that lie together as one: more may lie in it than is near any shape, which the comparison finds by itself.
pub(in crate::inventory) fn gathered(boxes: Vec<[f64; 4]>) -> Vec<[f64; 4]> {
    let mut groups = vec![boxes];
    while groups.len() < MOST_BOXES {
        // The group of most boxes is cut along the longer side of its middles.
        let Some(largest) = (0..groups.len()).max_by_key(|at| groups[*at].len()).filter(|at| groups[*at].len() > 1)
        else {
            break;
        };
        let mut group = groups.swap_remove(largest);
        let middle = |bbox: &[f64; 4], axis: usize| bbox[axis] + bbox[axis + 2];
        let spread = |axis: usize| {
            let sides = group.iter().map(|bbox| middle(bbox, axis));
            let (low, high) = sides.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), m| (l.min(m), h.max(m)));
            high - low
        };
        let axis = usize::from(spread(1) > spread(0));
        let half = group.len() / 2;
        group.select_nth_unstable_by(half, |a, b| middle(a, axis).total_cmp(&middle(b, axis)));
        let other = group.split_off(half);
        groups.extend([group, other]);
    }
    let whole = |group: &Vec<[f64; 4]>| {
        group.iter().copied().reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])])
    };
    groups.iter().filter_map(whole).collect()
}

async fn beat(pool: &PgPool, viewer: &Viewer, id: i64, watch: &Watch) {
    let told = async {
        let mut transaction = store::begin_write_as(pool, viewer).await?;
        let total = i64::try_from(watch.total.load(Relaxed)).ok().filter(|total| *total > 0);
        let done = i64::try_from(watch.done.load(Relaxed)).unwrap_or(i64::MAX);
        let wanted = overlap_checks::beat(&mut transaction, id, watch.running.load(Relaxed), done, total).await?;
        transaction.commit().await?;
        Ok::<bool, Error>(wanted)
    };
    match told.await {
        Ok(wanted) => watch.cancelled.store(!wanted, Relaxed),
        // The next one may get through.
        Err(error) => tracing::warn!(check = id, error = %error, "an overlap check cannot tell how far it is"),
    }
}

async fn end(pool: &PgPool, viewer: &Viewer, id: i64, status: CheckStatus, trouble: Option<&str>) -> Result<()> {
    let mut transaction = store::begin_write_as(pool, viewer).await?;
    overlap_checks::end(&mut transaction, id, status, trouble).await?;
    Ok(transaction.commit().await?)
}
