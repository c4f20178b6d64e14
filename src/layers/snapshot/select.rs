//! Questions to a snapshot: which features, in the order of their ids, a page of them.

use std::hint::black_box;

use bytes::Bytes;
use chrono::NaiveDate;
use geo::Coord;

use super::Snapshot;
use super::block::{Block, LINE};
use super::tree::{self, Bbox};
use crate::domain::access::Jurisdiction;
use crate::domain::items_query::{Filter, FilterValue, ItemsQuery};
use crate::domain::layer::{PropertyKind, Visibility};
use crate::geometry::flat::FlatGeometry;

/// The dictionary of the division that decides who may see a feature.
const ACCESS: usize = 0;
/// Blocks that are many: some thousands of features.
const CROWD: usize = 64;
/// Digits of a county's code.
const WHOLE_CODE: usize = 6;

/// Which values of a dictionary pass; by its place.
type Sieve = (usize, Vec<bool>);

/// What a question found.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// All that match, on this page or not.
    pub matched: usize,
    /// The page.
    pub picked: Vec<Picked>,
    /// Whether more follow.
    pub more: bool,
}

/// A feature of the snapshot that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Picked {
    pub(super) block: u32,
    pub(super) at: u32,
}

/// A feature whose own box meets the one that is asked for.
struct Candidate {
    picked: Picked,
    label: u64,
    /// By its box alone: its shape need not be asked.
    meets: bool,
}

/// A feature found in a block, with the label that puts it in order.
type Found = (u64, Picked);

impl Snapshot {
    /// The page that is asked for, as somebody of this jurisdiction may see it; `None` where the database must be asked.
    pub fn select(&self, query: &ItemsQuery, jurisdiction: &Jurisdiction) -> Option<Selection> {
        let by_memory = query.period.is_none()
            && query.revision.is_none()
            && query.search.is_none()
            && query.within.is_none()
            && query.plane_box.is_none()
            && query.filter.is_none()
            && query.sort.is_empty();
        if !by_memory {
            return None;
        }
        let sieves = self.sieves(query, jurisdiction)?;
        let after = query.after.as_ref().map_or(0, |after| self.ids.label_up_to(&after.id));
        let (offset, limit) = (query.offset as usize, query.limit as usize);
        if query.boxes.is_empty() && sieves.is_empty() {
            return Some(self.page_of_all(after, offset, limit));
        }
        let mut found: Vec<Found> = Vec::new();
        let mut before = 0;
        self.each(
            &query.boxes,
            &sieves,
            |label, picked| if label > after { found.push((label, picked)) } else { before += 1 },
        );
        let matched = found.len() + before;
        let end = (offset + limit).min(found.len());
        // Only what is up to the page's end is put in order.
        if end < found.len() && end > 0 {
            found.select_nth_unstable_by_key(end, |(label, _)| *label);
        }
        let more = end < found.len();
        found.truncate(end);
        found.sort_unstable_by_key(|(label, _)| *label);
        let picked = found.iter().skip(offset).map(|(_, picked)| *picked).collect();
        Some(Selection { matched, picked, more })
    }

    fn page_of_all(&self, after: u64, offset: usize, limit: usize) -> Selection {
        let behind = self.ids.count_after(after).saturating_sub(offset);
        let keys = self.ids.keys_after(after, offset).take(limit);
        let picked =
            keys.filter_map(|key| self.at(key)).map(|(block, at)| Picked { block: block as u32, at: at as u32 });
        Selection { matched: self.len(), picked: picked.collect(), more: behind > limit }
    }

    /// The feature of this id, if somebody of this jurisdiction may see it.
    pub fn find(&self, id: &str, jurisdiction: &Jurisdiction) -> Option<Picked> {
        let sieve = self.sight(jurisdiction)?;
        let (block, at) = self.at(self.ids.find(id)?)?;
        let passes = sieve.is_none_or(|(column, values)| values[self.blocks[block].columns(at)[column] as usize]);
        passes.then_some(Picked { block: block as u32, at: at as u32 })
    }

    /// Whether the snapshot knows who of this jurisdiction may see what.
    pub fn knows(&self, jurisdiction: &Jurisdiction) -> bool {
        self.sight(jurisdiction).is_some()
    }

    /// The box of all that somebody of this jurisdiction may see, and the earliest day that a life of it began; `None` where the snapshot
    /// does not know who may see what.
    pub fn extent(&self, jurisdiction: &Jurisdiction) -> Option<(Option<Bbox>, Option<NaiveDate>)> {
        let Some(sieve) = self.sight(jurisdiction)? else { return Some((self.blocks.bbox(), self.blocks.first_day())) };
        let sieves = [sieve];
        let (mut bbox, mut from) = (tree::NOTHING, None);
        for (_, block) in self.blocks.iter() {
            for at in (0..block.len()).filter(|at| passes(&sieves, block.columns(*at))) {
                bbox = tree::union(bbox, block.boxes[at]);
                from = match (from, block.from(at)) {
                    (Some(a), Some(b)) => Some(std::cmp::min(a, b)),
                    (a, b) => a.or(b),
                };
            }
        }
        Some(((bbox[0] <= bbox[2]).then_some(bbox), from))
    }

    /// Whether so much lies near a box that a thread that answers others should not look at it.
    pub fn is_crowded(&self, bbox: &Bbox) -> bool {
        let mut blocks = 0;
        self.blocks.search(bbox, &mut |_| blocks += 1);
        blocks > CROWD
    }

    /// Calls `found` with what lies in the box and may be seen, by its bounding box alone.
    pub fn near(&self, bbox: &Bbox, jurisdiction: &Jurisdiction, mut found: impl FnMut(&Self, Picked, &Bbox)) {
        let Some(sight) = self.sight(jurisdiction) else { return };
        let sieves: Vec<Sieve> = sight.into_iter().collect();
        self.blocks.search(bbox, &mut |number| {
            let block = &self.blocks[number];
            for at in block.search(bbox) {
                if passes(&sieves, block.columns(at)) {
                    found(self, Picked { block: number as u32, at: at as u32 }, &block.boxes[at]);
                }
            }
        });
    }

    /// What everybody who may see the layer is shown apart by: `None` = the snapshot does not know.
    fn sight(&self, jurisdiction: &Jurisdiction) -> Option<Option<Sieve>> {
        if self.layer.visibility == Visibility::Public || *jurisdiction == Jurisdiction::Everywhere {
            return Some(None);
        }
        let Jurisdiction::Divisions(own) = jurisdiction else { return Some(None) };
        if self.layer.visibility == Visibility::Staff {
            // As the database says: whoever speaks for a division reads all.
            return if own.is_empty() {
                Some(Some((ACCESS, self.dictionaries[ACCESS].matching(|_| false))))
            } else {
                Some(None)
            };
        }
        if self.dictionaries[ACCESS].is_closed() {
            return None;
        }
        // As the database compares them (`jurisdiction_condition`): a county's code whole, the others by their first digits.
        let prefixes: Vec<&str> = own.iter().map(|code| code.prefix()).collect();
        let covers = |division: &str| {
            prefixes.iter().any(|prefix| {
                if prefix.len() < WHOLE_CODE { division.starts_with(prefix) } else { division == *prefix }
            })
        };
        Some(Some((ACCESS, self.dictionaries[ACCESS].matching(covers))))
    }

    fn column(&self, name: &str) -> Option<usize> {
        let place = 1 + self.columns.iter().position(|p| p.name == name)?;
        (!self.dictionaries[place].is_closed()).then_some(place)
    }

    /// All conditions but the boxes; `None` where one is the database's.
    fn sieves(&self, query: &ItemsQuery, jurisdiction: &Jurisdiction) -> Option<Vec<Sieve>> {
        let mut sieves: Vec<Sieve> = self.sight(jurisdiction)?.into_iter().collect();
        if let Some(division) = &query.division {
            let column = self.column(self.layer.division_property()?)?;
            sieves.push((column, self.dictionaries[column].matching(|value| value.starts_with(division.prefix()))));
        }
        for filter in &query.filters {
            sieves.push(self.sieve(filter)?);
        }
        Some(sieves)
    }

    fn sieve(&self, filter: &Filter) -> Option<Sieve> {
        let column = self.column(filter.property.name)?;
        let dictionary = &self.dictionaries[column];
        let values = match (&filter.value, filter.property.kind) {
            (FilterValue::Text(text), PropertyKind::Text | PropertyKind::TextList) => {
                dictionary.matching(|value| value == text)
            }
            (FilterValue::AnyOf(texts), PropertyKind::Text | PropertyKind::TextList) => {
                dictionary.matching(|value| texts.iter().any(|text| text == value))
            }
            (FilterValue::Boolean(wanted), PropertyKind::Boolean) => {
                dictionary.matching(|value| value == if *wanted { "true" } else { "false" })
            }
            _ => return None,
        };
        Some((column, values))
    }

    /// Every feature that is in one of the boxes (in any, where there is none) and passes.
    fn each(&self, boxes: &[Bbox], sieves: &[Sieve], mut found: impl FnMut(u64, Picked)) {
        if boxes.is_empty() {
            for (number, block) in self.blocks.iter() {
                for at in 0..block.len() {
                    if passes(sieves, block.columns(at)) {
                        found(block.keys[at].label, Picked { block: number as u32, at: at as u32 });
                    }
                }
            }
            return;
        }
        for (nth, bbox) in boxes.iter().enumerate() {
            for candidate in self.candidates(bbox, sieves) {
                let block = &self.blocks[candidate.picked.block as usize];
                let at = candidate.picked.at as usize;
                let geometry = || block.geometry(at);
                // One that meets two boxes is found once.
                if (candidate.meets || geometry().is_some_and(|shape| shape.meets_box(bbox)))
                    && !boxes[..nth].iter().any(|b| shape_meets(&block.boxes[at], geometry(), b))
                {
                    found(candidate.label, candidate.picked);
                }
            }
        }
    }

    /// Features whose own boxes meet this one, and that pass. What is looked at next, block by block and then shape by shape, is fetched
    /// ahead for all of them: memory then answers many questions at once instead of one after the other.
    fn candidates(&self, bbox: &Bbox, sieves: &[Sieve]) -> Vec<Candidate> {
        let mut numbers = Vec::new();
        self.blocks.search(bbox, &mut |number| numbers.push(number));
        fetched(numbers.iter().map(|number| self.blocks[*number].first_box()));
        let groups = numbers.iter().flat_map(|number| {
            let block: &Block = &self.blocks[*number];
            block.groups(bbox).map(move |group| (*number as u32, block, group))
        });
        let groups: Vec<(u32, &Block, usize)> = groups.collect();
        fetched(groups.iter().flat_map(|(_, block, group)| block.lines_of_boxes(*group)));
        let mut candidates = Vec::new();
        for (number, block, group) in groups {
            for at in block.met(group, bbox).filter(|at| passes(sieves, block.columns(*at))) {
                let meets = tree::has_side(bbox, &block.boxes[at]);
                candidates.push(Candidate { picked: Picked { block: number, at: at as u32 }, label: 0, meets });
            }
        }
        for candidate in &mut candidates {
            candidate.label = self.blocks[candidate.picked.block as usize].keys[candidate.picked.at as usize].label;
        }
        let shapes = candidates.iter().filter(|candidate| !candidate.meets);
        let shapes: Vec<&FlatGeometry> = shapes.filter_map(|candidate| self.geometry(candidate.picked)).collect();
        fetched(shapes.iter().map(|shape| shape.coords().len() as u64));
        let lines = shapes.iter().flat_map(|shape| shape.coords().iter().step_by(LINE / size_of::<Coord<f64>>()));
        fetched(lines.map(|coord| coord.x.to_bits()));
        candidates
    }

    /// Has the texts of these fetched from memory, all together, before they are copied one after the other.
    pub fn fetch(&self, picked: &[Picked]) {
        let text = |picked: &Picked| self.blocks[picked.block as usize].text(picked.at as usize);
        fetched(picked.iter().flat_map(|picked| text(picked).iter().step_by(LINE)).map(|byte| u64::from(*byte)));
    }

    /// The feature's text.
    pub fn text(&self, picked: Picked) -> &[u8] {
        let block = &self.blocks[picked.block as usize];
        &block.text(picked.at as usize)[..block.json_len(picked.at as usize)]
    }

    /// The feature's text, without copying it.
    pub fn json(&self, picked: Picked, with_comma: bool) -> Bytes {
        self.blocks[picked.block as usize].json(picked.at as usize, with_comma)
    }

    /// Bytes of the feature's text.
    pub fn json_len(&self, picked: Picked) -> usize {
        self.blocks[picked.block as usize].json_len(picked.at as usize)
    }

    pub fn id(&self, picked: Picked) -> &str {
        self.blocks[picked.block as usize].id(picked.at as usize)
    }

    pub fn from_day(&self, picked: Picked) -> Option<NaiveDate> {
        self.blocks[picked.block as usize].from(picked.at as usize)
    }

    /// The revision that wrote the feature's row; 0 where it has none.
    pub fn version(&self, picked: Picked) -> i64 {
        self.blocks[picked.block as usize].version(picked.at as usize)
    }

    pub fn geometry(&self, picked: Picked) -> Option<&FlatGeometry> {
        self.blocks[picked.block as usize].geometry(picked.at as usize)
    }

    /// What was made ready for tiles.
    pub fn attributes(&self, picked: Picked) -> &[u8] {
        self.blocks[picked.block as usize].attributes(picked.at as usize)
    }
}

/// Reads all of these; that none depends on another lets a processor wait for many at once.
fn fetched(values: impl Iterator<Item = u64>) {
    black_box(values.fold(0, |all, one| all ^ one));
}

fn passes(sieves: &[Sieve], columns: &[u32]) -> bool {
    sieves.iter().all(|(column, values)| values[columns[*column] as usize])
}

/// Whether the shape itself, not only its own box, meets the box that is asked for.
fn shape_meets(held: &Bbox, geometry: Option<&FlatGeometry>, bbox: &Bbox) -> bool {
    tree::meets(held, bbox) && (tree::has_side(bbox, held) || geometry.is_some_and(|shape| shape.meets_box(bbox)))
}
