//! The published layers as they are held in memory, and how they follow the register (design.md §4).
//!
//! The log is the truth, a notification only a doorbell: a refresh reads what was touched since the held revision, from one state of
//! the register, and swaps the next snapshots in. Any number of servers follow one database, each by itself.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use sqlx::PgPool;
use tokio::sync::{Mutex, mpsc, watch};

use crate::domain::Ledger;
use crate::domain::layer::Layer;
use crate::error::{Error, Result};
use crate::layers::snapshot::{Attributes, NewFeature, Snapshot, SnapshotBuilder, columns_of};
use crate::store;
use crate::store::layer_rows::{LayerRow, Reading, Standing};

/// A share of a layer that is read anew whole rather than feature by feature: one in so many.
const WHOLE: usize = 4;
/// Batches of rows that wait to be written as text.
const BATCHES: usize = 4;
/// Longest wait between two tries to reach the database.
const PATIENCE: Duration = Duration::from_secs(2);

/// A layer as it is held.
#[derive(Debug)]
pub struct Held {
    pub snapshot: Arc<Snapshot>,
    /// The revision of the register that it shows.
    pub revision: i64,
    /// Changes whenever the layer shows something else: the revision that touched it last and the start of its hash, and the day
    /// where timers go by it.
    pub mark: String,
}

/// What is told of a change to a layer.
#[derive(Debug, Clone)]
pub struct Changed {
    pub layer: &'static str,
    /// The boxes that features had or have; `None` = all may be different.
    pub boxes: Option<Vec<[f64; 4]>>,
}

/// Hears of every change after it is to be seen, in order.
pub type Listener = Box<dyn Fn(&Changed) + Send + Sync>;

struct Slot {
    layer: &'static Layer,
    held: ArcSwapOption<Held>,
}

/// What the last refresh found.
#[derive(Debug, Default)]
struct Progress {
    standing: Option<Standing>,
    /// Layers that memory cannot hold.
    refused: HashSet<&'static str>,
    /// The number of the last refresh that came to its end.
    finished: u64,
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
        let slots = layers.into_iter().map(|layer| Slot { layer, held: ArcSwapOption::empty() }).collect();
        let confirmed = watch::channel(None).0;
        Self { pool, slots, attributes, progress: Mutex::default(), listeners, confirmed, begun: AtomicU64::new(0) }
    }

    /// The layer as it is held; `None` while it is read for the first time, or where memory cannot hold it.
    pub fn held(&self, layer: &Layer) -> Option<Arc<Held>> {
        self.slots.iter().find(|slot| slot.layer.id == layer.id)?.held.load_full()
    }

    /// Since when the database was not seen, where that is longer than a look takes.
    pub fn silent_for(&self) -> Option<Duration> {
        let confirmed = *self.confirmed.borrow();
        confirmed.map(|at| at.elapsed()).filter(|silence| *silence > 3 * PATIENCE)
    }

    /// Whether every layer is held that can be.
    pub fn is_complete(&self) -> bool {
        self.confirmed.borrow().is_some()
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
            self.follow(&mut reading, &mut progress, &standing).await?;
            progress.standing = Some(standing);
        }
        reading.end().await?;
        progress.finished = number;
        self.confirmed.send_replace(Some(Instant::now()));
        Ok(())
    }

    /// Brings every layer from where it is held to where the register stands.
    async fn follow(&self, reading: &mut Reading, progress: &mut Progress, standing: &Standing) -> Result<()> {
        let last = match progress.standing.clone() {
            Some(last) if last.revision <= standing.revision && reading.has_stood(&last).await? => Some(last),
            // The first time, or a register that was restored from a backup.
            _ => None,
        };
        let tables: Vec<String> = match &last {
            Some(last) if last.revision < standing.revision => {
                reading.touched_tables(last.revision, standing.revision).await?
            }
            _ => Vec::new(),
        };
        for slot in &self.slots {
            if progress.refused.contains(slot.layer.id) {
                continue;
            }
            let by_day = Ledger::of_layer(slot.layer.id).is_some();
            let mark = || mark(standing, by_day);
            let held = slot.held.load_full();
            match (&last, held) {
                (Some(last), Some(held)) if !(by_day && last.day != standing.day) => {
                    let is_touched = slot.layer.sources.iter().any(|s| tables.iter().any(|table| table == s.table));
                    if is_touched {
                        self.follow_layer(reading, slot, &held, (last.revision, standing.revision), mark(), progress)
                            .await?;
                    } else {
                        let snapshot = Arc::clone(&held.snapshot);
                        let next = Held { snapshot, revision: standing.revision, mark: held.mark.clone() };
                        slot.held.store(Some(Arc::new(next)));
                    }
                }
                _ => self.load(reading, slot, standing.revision, mark(), progress).await?,
            }
        }
        Ok(())
    }

    async fn follow_layer(
        &self,
        reading: &mut Reading,
        slot: &Slot,
        held: &Held,
        (since, until): (i64, i64),
        mark: String,
        progress: &mut Progress,
    ) -> Result<()> {
        let ids = reading.touched(slot.layer, since, until).await?;
        if ids.len() > 1_000 && ids.len() > held.snapshot.len() / WHOLE {
            return self.load(reading, slot, until, mark, progress).await;
        }
        let mark = if ids.is_empty() { held.mark.clone() } else { mark };
        let rows = reading.some(slot.layer, &columns_of(slot.layer), &ids).await?;
        let base = Arc::clone(&held.snapshot);
        let applied = blocking(move || {
            let mut changes: Vec<(String, Option<NewFeature>)> = ids.into_iter().map(|id| (id, None)).collect();
            changes.extend(rows.into_iter().map(|row| (row.id.clone(), Some(new_feature(row)))));
            base.apply(changes)
        })
        .await?;
        let next = Held { snapshot: Arc::new(applied.snapshot), revision: until, mark };
        slot.held.store(Some(Arc::new(next)));
        self.tell(&Changed { layer: slot.layer.id, boxes: Some(applied.touched) });
        Ok(())
    }

    /// Reads a whole layer.
    async fn load(
        &self,
        reading: &mut Reading,
        slot: &Slot,
        revision: i64,
        mark: String,
        progress: &mut Progress,
    ) -> Result<()> {
        let begun = Instant::now();
        let (sender, mut receiver) = mpsc::channel::<Vec<LayerRow>>(BATCHES);
        let (layer, attributes) = (slot.layer, self.attributes);
        let building = tokio::task::spawn_blocking(move || {
            let mut builder = SnapshotBuilder::new(layer, attributes);
            while let Some(batch) = receiver.blocking_recv() {
                builder.add(batch.into_iter().map(new_feature).collect());
            }
            builder.finish()
        });
        let read = reading.all(layer, &columns_of(layer), sender).await;
        let built = building.await.map_err(|cause| Error::internal("图层没能载入内存", cause))?;
        read?;
        match built {
            Ok(snapshot) => {
                tracing::info!(
                    layer = layer.id,
                    features = snapshot.len(),
                    revision,
                    seconds = begun.elapsed().as_secs_f64(),
                    "layer loaded"
                );
                slot.held.store(Some(Arc::new(Held { snapshot: Arc::new(snapshot), revision, mark })));
            }
            Err(repeated) => {
                tracing::warn!(
                    layer = layer.id,
                    id = repeated.0,
                    "two features of one id: the layer is read from the database"
                );
                progress.refused.insert(layer.id);
                slot.held.store(None);
            }
        }
        self.tell(&Changed { layer: layer.id, boxes: None });
        Ok(())
    }

    fn tell(&self, changed: &Changed) {
        self.listeners.iter().for_each(|listener| listener(changed));
    }
}

/// Refreshes whenever the bell rings, and looks by itself in case one is missed. Ends when it is dropped.
pub async fn keep(live: Arc<Live>, mut newest: watch::Receiver<i64>) {
    loop {
        // A database that hangs is given up on, to be asked again on another connection.
        if let Err(failure) = store::while_answering(&live.pool, live.refresh()).await {
            tracing::warn!(error = %failure, "the layers could not be refreshed; what is held is served meanwhile");
            tokio::time::sleep(PATIENCE / 4).await;
            continue;
        }
        if let Ok(Err(_closed)) = tokio::time::timeout(PATIENCE, newest.changed()).await {
            return;
        }
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

fn new_feature(row: LayerRow) -> NewFeature {
    let LayerRow { id, from, version, properties, geometry, columns } = row;
    NewFeature { id, from, version, properties, geometry, columns }
}
