//! Features by id, in the order of their ids: what pages go by.
//!
//! Chunks that are shared between snapshots; a change copies the one that it touches. Each id has a label, a number that is in the
//! order of ids: what a search finds is put in order by numbers alone.

use std::sync::Arc;

use super::block::Key;

/// Ids of a chunk, at most.
const CHUNK: usize = 512;
/// Between the labels of neighbours, to begin with.
const GAP: u64 = 1 << 24;

#[derive(Debug, Clone, Default)]
struct Chunk {
    /// Shared with the chunk before, where a feature only moved.
    ids: Arc<Vec<Arc<str>>>,
    keys: Vec<Key>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Ids {
    chunks: Vec<Arc<Chunk>>,
    len: usize,
}

/// There is no number between two neighbours any more.
#[derive(Debug)]
pub(super) struct NoRoom;

/// The label of the so many-th id of all.
pub(super) fn first_label(rank: usize) -> u64 {
    (rank as u64 + 1) * GAP
}

impl Ids {
    /// Of ids in order, each once.
    pub(super) fn of(entries: impl Iterator<Item = (Arc<str>, Key)>) -> Self {
        let mut ids = Self::default();
        for (id, key) in entries {
            match ids.chunks.last_mut().and_then(Arc::get_mut).filter(|chunk| chunk.ids.len() < CHUNK / 2) {
                Some(chunk) => {
                    Arc::make_mut(&mut chunk.ids).push(id);
                    chunk.keys.push(key);
                }
                None => ids.chunks.push(Arc::new(Chunk { ids: Arc::new(vec![id]), keys: vec![key] })),
            }
            ids.len += 1;
        }
        ids
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The chunk and the place in it where this id is, or would be.
    fn place(&self, id: &str) -> (usize, Result<usize, usize>) {
        // The last chunk that does not begin behind it.
        let chunk = self.chunks.partition_point(|chunk| &*chunk.ids[0] <= id).saturating_sub(1);
        match self.chunks.get(chunk) {
            Some(found) => (chunk, found.ids.binary_search_by(|held| (**held).cmp(id))),
            None => (0, Err(0)),
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<Key> {
        let (chunk, place) = self.place(id);
        place.ok().map(|at| self.chunks[chunk].keys[at])
    }

    /// Takes an id out.
    pub(super) fn remove(&mut self, id: &str) {
        let (chunk, Ok(at)) = self.place(id) else { return };
        let held = Arc::make_mut(&mut self.chunks[chunk]);
        Arc::make_mut(&mut held.ids).remove(at);
        held.keys.remove(at);
        if held.ids.is_empty() {
            self.chunks.remove(chunk);
        }
        self.len -= 1;
    }

    /// A new id, or one that is there at another place on the curve; gives its key.
    pub(super) fn put(&mut self, id: &Arc<str>, hilbert: u64) -> Result<Key, NoRoom> {
        let (chunk, place) = self.place(id);
        if let Ok(at) = place {
            let key = self.chunks[chunk].keys[at];
            if key.hilbert == hilbert {
                return Ok(key);
            }
            let held = Arc::make_mut(&mut self.chunks[chunk]);
            held.keys[at].hilbert = hilbert;
            return Ok(held.keys[at]);
        }
        let at = place.unwrap_or_else(|at| at);
        let before = match at.checked_sub(1) {
            Some(before) => self.chunks[chunk].keys[before].label,
            None => chunk.checked_sub(1).and_then(|c| self.chunks[c].keys.last()).map_or(0, |key| key.label),
        };
        let behind = match self.chunks.get(chunk).and_then(|c| c.keys.get(at)) {
            Some(key) => key.label,
            None => self.chunks.get(chunk + 1).map_or(before.saturating_add(2 * GAP), |c| c.keys[0].label),
        };
        let label = before + (behind - before) / 2;
        if label <= before {
            return Err(NoRoom);
        }
        let key = Key { hilbert, label };
        if self.chunks.is_empty() {
            self.chunks.push(Arc::default());
        }
        let held = Arc::make_mut(&mut self.chunks[chunk]);
        Arc::make_mut(&mut held.ids).insert(at, Arc::clone(id));
        held.keys.insert(at, key);
        if held.ids.len() > CHUNK {
            let ids = Arc::new(Arc::make_mut(&mut held.ids).split_off(CHUNK / 2));
            let keys = held.keys.split_off(CHUNK / 2);
            self.chunks.insert(chunk + 1, Arc::new(Chunk { ids, keys }));
        }
        self.len += 1;
        Ok(key)
    }

    /// The label that every id up to this one is at most; 0 where there is none.
    pub(super) fn label_up_to(&self, id: &str) -> u64 {
        let (chunk, place) = self.place(id);
        let Some(held) = self.chunks.get(chunk) else { return 0 };
        match place {
            Ok(at) => held.keys[at].label,
            Err(0) => 0,
            Err(at) => held.keys[at - 1].label,
        }
    }

    /// Keys in the order of ids, behind this label, leaving out the first so many.
    pub(super) fn keys_after(&self, label: u64, mut skip: usize) -> impl Iterator<Item = Key> {
        let first = self.chunks.partition_point(|chunk| chunk.keys[chunk.keys.len() - 1].label <= label);
        let mut at = self.chunks.get(first).map_or(0, |chunk| chunk.keys.partition_point(|key| key.label <= label));
        let mut chunk = first;
        // Whole chunks are passed over.
        while let Some(held) = self.chunks.get(chunk) {
            let here = held.keys.len() - at;
            if skip < here {
                at += skip;
                break;
            }
            skip -= here;
            chunk += 1;
            at = 0;
        }
        self.chunks[chunk.min(self.chunks.len())..]
            .iter()
            .enumerate()
            .flat_map(move |(nth, held)| held.keys[if nth == 0 { at } else { 0 }..].iter().copied())
    }

    /// How many ids come behind this label.
    pub(super) fn count_after(&self, label: u64) -> usize {
        let first = self.chunks.partition_point(|chunk| chunk.keys[chunk.keys.len() - 1].label <= label);
        let within = self.chunks.get(first).map_or(0, |c| c.keys.partition_point(|key| key.label <= label));
        let from_here: usize = self.chunks[first..].iter().map(|chunk| chunk.keys.len()).sum();
        from_here - within
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn ids_of(ids: &Ids) -> Vec<(Arc<str>, Key)> {
        ids.chunks.iter().flat_map(|c| c.ids.iter().cloned().zip(c.keys.iter().copied())).collect()
    }

    proptest! {
        #[test]
        fn order_and_labels_hold_whatever_comes_and_goes(
            start in prop::collection::btree_set("[a-d]{1,4}", 0..300),
            deeds in prop::collection::vec(("[a-d]{1,4}", any::<bool>(), any::<u64>()), 0..2_000),
        ) {
            let entries = start.iter().enumerate();
            let mut ids = Ids::of(entries.map(|(rank, id)| (Arc::from(&**id), Key { hilbert: 7, label: first_label(rank) })));
            let mut model: BTreeMap<String, u64> = start.iter().map(|id| (id.clone(), 7)).collect();
            for (id, put, hilbert) in deeds {
                if put {
                    prop_assert!(ids.put(&Arc::from(&*id), hilbert).is_ok());
                    model.insert(id, hilbert);
                } else {
                    ids.remove(&id);
                    model.remove(&id);
                }
            }
            let held = ids_of(&ids);
            prop_assert_eq!(held.iter().map(|(id, key)| (id.to_string(), key.hilbert)).collect::<Vec<_>>(), model.clone().into_iter().collect::<Vec<_>>());
            prop_assert!(held.windows(2).all(|pair| pair[0].1.label < pair[1].1.label));
            prop_assert_eq!(ids.len(), model.len());
            for asked in ["", "a", "bb", "cad", "dddd", "e"] {
                let label = ids.label_up_to(asked);
                let behind = model.keys().filter(|id| id.as_str() > asked).count();
                prop_assert_eq!(ids.count_after(label), behind);
                prop_assert_eq!(ids.keys_after(label, 0).count(), behind);
                prop_assert_eq!(ids.keys_after(label, 5).count(), behind.saturating_sub(5));
                prop_assert_eq!(ids.keys_after(label, 600).count(), behind.saturating_sub(600));
                prop_assert_eq!(ids.find(asked).map(|key| key.hilbert), model.get(asked).copied());
            }
        }
    }

    #[test]
    fn between_two_neighbours_there_is_room_for_some_and_then_none() {
        let key = |label| Key { hilbert: 0, label };
        let mut ids = Ids::of([(Arc::from("a"), key(4)), (Arc::from("z"), key(8))].into_iter());
        assert_eq!(ids.put(&Arc::from("y"), 1).expect("room").label, 6);
        assert_eq!(ids.put(&Arc::from("x"), 1).expect("room").label, 5);
        assert!(ids.put(&Arc::from("w"), 1).is_err());
        assert_eq!(ids.len(), 4);
    }
}
