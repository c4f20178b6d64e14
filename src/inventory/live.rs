//! The published layers as they are held in memory, and how they follow the register (design.md §4).
//!
//! The log is the truth, a notification only a doorbell: a refresh reads what was touched since the held revision, from one state of
//! the register, and swaps the next snapshots in. Any number of servers follow one database, each by itself.

mod held;
mod threads;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tokio::sync::{Mutex, mpsc, watch};

pub use self::held::Held;
use self::held::Shown;
use crate::domain::Ledger;
use crate::domain::layer::{Follow, Layer};
use crate::error::{Error, Result};
use crate::layers::snapshot::{Attributes, NewFeature, SnapshotBuilder, columns_of};
use crate::store;
use crate::store::extra::follow::{self, Mark, Touched};
use crate::store::follow::Written;
use crate::store::layer_rows::{LayerRow, Reading, Standing};

/// A share of a layer that is read anew whole rather than feature by feature: one in so many.
const WHOLE: usize = 4;
/// Batches of rows that wait to be written as text.
const BATCHES: usize = 4;
/// How often what was noted for readers that are behind is looked through.
const PRUNED: Duration = Duration::from_secs(3_600);
/// Longest wait between two tries to reach the database.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is told of a change to a layer.
#[derive(Debug, Clone)]
pub struct Changed {
    pub layer: &'static str,
    /// The boxes that features had or have, and those of neighbours whose outlines changed with them; `None` = all may be different.
    pub boxes: Option<Vec<[f64; 4]>>,
}

/// Hears of every change after it is to be seen, in order.
pub type Listener = Box<dyn Fn(&Changed) + Send + Sync>;

struct Slot {
    layer: &'static Layer,
    held: ArcSwapOption<Held>,
    /// An operator's table is followed by itself: one that is slow or broken holds up no other layer.
    extra: Mutex<Followed>,
    /// When what is held was last seen to be what there is; `None` = not yet.
    confirmed: watch::Sender<Option<Instant>>,
}

/// What the last refresh found.
#[derive(Debug, Default)]
struct Progress {
    standing: Option<Standing>,
    /// The number of the last refresh that came to its end.
    finished: u64,
}

/// An operator's table as it was read last.
#[derive(Debug, Default)]
struct Followed {
    mark: Option<Mark>,
    /// It is not looked at before.
    not_before: Option<Instant>,
    /// Failures in a row.
    failures: u32,
}

/// The layers in memory.
pub struct Live {
    pool: PgPool,
    slots: Vec<Slot>,
    attributes: Attributes,
    progress: Mutex<Progress>,
    listeners: Vec<Listener>,
    /// When the register was last seen to be as held; `None` = never.
    confirmed: watch::Sender<Option<Instant>>,
    /// How many refreshes have begun.
    begun: AtomicU64,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("layers", &self.slots.len()).finish_non_exhaustive()
    }
}

impl Live {
    /// Holds nothing yet; `attributes` makes what tiles show of a feature.
    pub fn new(
        pool: PgPool,
        layers: impl IntoIterator<Item = &'static Layer>,
        attributes: Attributes,
        listeners: Vec<Listener>,
    ) -> Self {
        let slot = |layer| {
            let (extra, confirmed) = (Mutex::default(), watch::channel(None).0);
            Slot { layer, held: ArcSwapOption::empty(), extra, confirmed }
        };
        let slots = layers.into_iter().map(slot).collect();
        let confirmed = watch::channel(None).0;
        Self { pool, slots, attributes, progress: Mutex::default(), listeners, confirmed, begun: AtomicU64::new(0) }
    }

    /// The layer as it is held; `None` while it is read for the first time, or where memory cannot hold it.
    pub fn held(&self, layer: &Layer) -> Option<Arc<Held>> {
        self.slots.iter().find(|slot| slot.layer.id == layer.id)?.held.load_full()
    }

    /// How long the layer has not been seen to be as it is held, where that is longer than a look takes.
    pub fn silent_for(&self, layer: &Layer) -> Option<Duration> {
        let (confirmed, patience) = match self.slots.iter().find(|slot| slot.layer.id == layer.id) {
            Some(slot) if layer.extra.is_some() => (*slot.confirmed.borrow(), patience_with(layer)),
            _ => (*self.confirmed.borrow(), 3 * PATIENCE),
        };
        confirmed.map(|at| at.elapsed()).filter(|silence| *silence > patience)
    }

    /// Whether every layer was tried that there is: what could be held is held.
    pub fn is_complete(&self) -> bool {
        let is_tried = |slot: &Slot| {
            slot.layer.extra.is_none()
                || slot.confirmed.borrow().is_some()
                || slot.extra.try_lock().is_ok_and(|followed| followed.failures > 0)
        };
        self.confirmed.borrow().is_some() && self.slots.iter().all(is_tried)
    }

    /// Holds what the register showed when this was called, or later, when it comes back.
    pub async fn refresh(&self) -> Result<()> {
        let begun_before = self.begun.load(Ordering::SeqCst);
        let mut progress = self.progress.lock().await;
        // Many that wait for one refresh need one more, not one each.
        if progress.finished > begun_before {
            return Ok(());
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let mut reading = Reading::begin(&self.pool).await?;
        let standing = reading.standing().await?;
        if progress.standing.as_ref() != Some(&standing) {
            self.follow(&mut reading, progress.standing.clone(), &standing).await?;
            progress.standing = Some(standing);
        }
        reading.end().await?;
        progress.finished = number;
        self.confirmed.send_replace(Some(Instant::now()));
        Ok(())
    }

    /// Brings every layer from where it is held to where the register stands.
    async fn follow(&self, reading: &mut Reading, last: Option<Standing>, standing: &Standing) -> Result<()> {
        let touched = match &last {
            Some(last) if last.revision <= standing.revision => reading.touched_tables(last, standing.revision).await?,
            _ => None,
        };
        // Neither is known the first time, or of a register that was restored from a backup.
        let (last, tables) = (last.filter(|_| touched.is_some()), touched.unwrap_or_default());
        for slot in self.slots.iter().filter(|slot| slot.layer.extra.is_none()) {
            let by_day = Ledger::of_layer(slot.layer.id).is_some();
            let mark = || mark(standing, by_day);
            let held = slot.held.load_full();
            match (&last, held) {
                (Some(last), Some(held)) if !(by_day && last.day != standing.day) => {
                    let is_touched = slot.layer.sources.iter().any(|s| tables.iter().any(|table| table == s.table));
                    if is_touched {
                        let ids = reading.touched(slot.layer, &tables, last.revision, standing.revision).await?;
                        self.follow_ids(reading, slot, &held, ids, (standing.revision, mark())).await?;
                    } else {
                        slot.held.store(Some(Arc::new(held.at(standing.revision))));
                    }
                }
                _ => {
                    self.load(reading, slot, standing.revision, mark()).await?;
                }
            }
        }
        Ok(())
    }

    /// Brings every operator's table to where it stands, one by one; what fails is told and tried again later.
    pub async fn look_at_extras(&self) {
        for slot in self.slots.iter().filter(|slot| slot.layer.extra.is_some()) {
            self.look_at(slot).await;
        }
    }

    async fn look_at(&self, slot: &Slot) {
        let mut followed = slot.extra.lock().await;
        if followed.not_before.is_some_and(|moment| Instant::now() < moment) {
            return;
        }
        // One that cannot be read is asked for again after 1, 2, 4 … 60 s.
        let failed = |followed: &mut Followed| {
            followed.failures = followed.failures.saturating_add(1);
            followed.mark = None;
            let wait = Duration::from_secs(1 << followed.failures.min(6)).min(Duration::from_secs(60));
            followed.not_before = Some(Instant::now() + wait);
        };
        match self.follow_extra(slot, &mut followed).await {
            Ok(true) => {
                followed.failures = 0;
                slot.confirmed.send_replace(Some(Instant::now()));
            }
            Ok(false) => failed(&mut followed),
            Err(failure) => {
                tracing::warn!(layer = slot.layer.id, error = %failure, "the layer could not be read; what is held is served meanwhile");
                failed(&mut followed);
            }
        }
    }

    /// False where memory cannot hold the table as it is.
    async fn follow_extra(&self, slot: &Slot, followed: &mut Followed) -> Result<bool> {
        let layer = slot.layer;
        let mut reading = Reading::begin(&self.pool).await?;
        let revision = reading.standing().await?.revision;
        let held = slot.held.load_full();
        let touched = match (&followed.mark, &held) {
            (Some(mark), Some(_)) => follow::touched_since(reading.connection(), layer, mark).await?,
            _ => Touched::Everything(follow::mark_now(reading.connection(), layer).await?),
        };
        let begun = Instant::now();
        let mut wait = Duration::ZERO;
        let (mark, is_held) = match (touched, held) {
            (Touched::Ids(ids, mark), Some(held)) => {
                let short = mark_of_extra(&mark);
                (Some(mark), self.follow_ids(&mut reading, slot, &held, ids, (revision, short)).await?)
            }
            (Touched::Ids(_, mark) | Touched::Everything(mark), _) => {
                let is_again = followed.mark.is_some();
                let short = mark_of_extra(&mark);
                let is_held = self.load(&mut reading, slot, revision, short).await?;
                // A table that is read whole again and again takes a tenth of the time at most.
                if is_again {
                    wait = begun.elapsed() * 10;
                }
                (Some(mark), is_held)
            }
            (Touched::Nothing, _) => (followed.mark.take(), true),
        };
        reading.end().await?;
        if let Follow::ByPolling { seconds } = layer.follow {
            wait = wait.max(Duration::from_secs(u64::from(seconds)));
        }
        followed.mark = mark;
        followed.not_before = Some(Instant::now() + wait);
        Ok(is_held)
    }

    /// Reads these features anew, or all where they are many; false where memory cannot hold them.
    async fn follow_ids(
        &self,
        reading: &mut Reading,
        slot: &Slot,
        held: &Held,
        ids: Vec<String>,
        (until, mark): (i64, String),
    ) -> Result<bool> {
        if ids.len() > 1_000 && ids.len() > held.len() / WHOLE {
            return self.load(reading, slot, until, mark).await;
        }
        let mark = if ids.is_empty() { held.mark.clone() } else { mark };
        let rows = reading.some(slot.layer, &columns_of(slot.layer), &ids).await?;
        let mut seen = HashSet::with_capacity(rows.len());
        if rows.iter().any(|row| !seen.insert(row.id.as_str())) {
            // Two features of one id: the whole is looked at, and refused.
            return self.load(reading, slot, until, mark).await;
        }
        let shown = held.shown();
        let (shown, touched) =
            blocking(move || shown.after(&ids, rows.into_iter().map(|row| (row.id.clone(), new_feature(row))))).await?;
        slot.held.store(Some(Arc::new(Held::of(shown, until, mark))));
        self.tell(&Changed { layer: slot.layer.id, boxes: Some(touched) });
        Ok(true)
    }

    /// Reads a whole layer; false where memory cannot hold it.
    async fn load(&self, reading: &mut Reading, slot: &Slot, revision: i64, mark: String) -> Result<bool> {
        let begun = Instant::now();
        let (sender, mut receiver) = mpsc::channel::<Vec<LayerRow>>(BATCHES);
        let (layer, attributes) = (slot.layer, self.attributes);
        let building = tokio::task::spawn_blocking(move || {
            threads::of_its_own(move || {
                let mut builder = SnapshotBuilder::new(layer, attributes);
                while let Some(batch) = receiver.blocking_recv() {
                    builder.add(batch.into_iter().map(new_feature).collect());
                }
                builder.finish().map(Shown::of)
            })
        });
        let read = reading.all(layer, &columns_of(layer), sender).await;
        let built = building.await.map_err(|cause| Error::internal("图层没能载入内存", cause))?;
        read?;
        match built {
            Ok(shown) => {
                tracing::info!(
                    layer = layer.id,
                    features = shown.len(),
                    megabytes = shown.heap_bytes() >> 20,
                    generalised = layer.generalisation.is_some(),
                    revision,
                    seconds = begun.elapsed().as_secs_f64(),
                    "layer loaded"
                );
                slot.held.store(Some(Arc::new(Held::of(shown, revision, mark))));
                self.tell(&Changed { layer: layer.id, boxes: None });
                Ok(true)
            }
            Err(repeated) => {
                tracing::warn!(
                    layer = layer.id,
                    id = repeated.0,
                    "two features of one id: the layer is read from the database"
                );
                slot.held.store(None);
                self.tell(&Changed { layer: layer.id, boxes: None });
                Ok(false)
            }
        }
    }

    async fn prune(&self) -> Result<()> {
        follow::prune(&mut *self.pool.acquire().await?).await
    }

    fn tell(&self, changed: &Changed) {
        self.listeners.iter().for_each(|listener| listener(changed));
    }
}

/// Refreshes whenever the bell rings, and looks by itself in case one is missed. Ends when it is dropped.
pub async fn keep(live: Arc<Live>, mut newest: watch::Receiver<i64>) {
    let mut last = 0;
    loop {
        // A database that hangs is given up on, to be asked again on another connection.
        if let Err(failure) = store::while_answering(&live.pool, live.refresh()).await {
            tracing::warn!(error = %failure, "the layers could not be refreshed; what is held is served meanwhile");
            tokio::time::sleep(PATIENCE / 4).await;
            continue;
        }
        // What was written here is shown before the bell rings for it (`api::in_memory`). A number below the last is another register's.
        let is_other = async {
            loop {
                newest.changed().await?;
                let rung = *newest.borrow_and_update();
                let is_back = std::mem::replace(&mut last, rung) > rung;
                if is_back
                    || live.progress.lock().await.standing.as_ref().is_none_or(|standing| standing.revision < rung)
                {
                    return Ok::<_, watch::error::RecvError>(());
                }
            }
        };
        if let Ok(Err(_closed)) = tokio::time::timeout(PATIENCE, is_other).await {
            return;
        }
    }
}

/// Between two looks at an operator's table that is written all the time, or four times as long as a look where that is less; what is
/// written meanwhile is shown so much later.
const LONGEST_REST: Duration = Duration::from_millis(40);

/// The same for the operator's tables, each by itself.
pub async fn keep_extras(live: Arc<Live>, written: watch::Receiver<Written>) {
    let each = (0..live.slots.len()).filter(|at| live.slots[*at].layer.extra.is_some());
    let each = each.map(|at| {
        let (live, mut written) = (Arc::clone(&live), written.clone());
        async move {
            loop {
                let slot = &live.slots[at];
                let begun = Instant::now();
                // Counted before the look: what is written meanwhile is looked for again.
                let seen = written.borrow_and_update().count(slot.layer.id);
                let looked = store::while_answering(&live.pool, async {
                    live.look_at(slot).await;
                    Ok(())
                });
                if looked.await.is_err() {
                    tokio::time::sleep(PATIENCE / 4).await;
                    continue;
                }
                // A table that is written all the time is not looked at all the time: several writes are one look.
                tokio::time::sleep((4 * begun.elapsed()).min(LONGEST_REST)).await;
                let is_written = written.wait_for(|written| written.count(slot.layer.id) != seen);
                if let Ok(Err(_closed)) = tokio::time::timeout(PATIENCE, is_written).await {
                    return;
                }
            }
        }
    });
    let prune = async {
        let mut hours = tokio::time::interval(PRUNED);
        loop {
            hours.tick().await;
            if let Err(failure) = live.prune().await {
                tracing::warn!(error = %failure, "what was noted of the operator's tables could not be pruned");
            }
        }
    };
    tokio::join!(futures_util::future::join_all(each), prune);
}

/// A layer that is looked at seldom may be silent for longer.
fn patience_with(layer: &Layer) -> Duration {
    match layer.follow {
        Follow::ByPolling { seconds } => 3 * PATIENCE + 2 * Duration::from_secs(u64::from(seconds)),
        _ => 3 * PATIENCE,
    }
}

/// Off the threads that answer requests.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|cause| Error::internal("图层没能更新", cause))
}

fn mark(standing: &Standing, by_day: bool) -> String {
    let Standing { revision, hash, day } = standing;
    if by_day { format!("{revision}-{hash}-{day}") } else { format!("{revision}-{hash}") }
}

/// Short, and another for another state.
fn mark_of_extra(mark: &Mark) -> String {
    let digest = Sha256::digest(mark.as_str());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn new_feature(row: LayerRow) -> NewFeature {
    let LayerRow { id, from, version, properties, geometry, division, columns } = row;
    NewFeature { id, from, version, properties, geometry, division, columns }
}
