//! The outlines of a layer: the same features with generalised shapes, for those who must not have the vertices; and how they follow.
//!
//! What a shape's outline is depends on the shapes near it (`geometry::generalise`), so a change of one may change its neighbours'.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use rayon::prelude::*;

use super::batch::{self, Batch, Raw, TOGETHER};
use super::block::Piece;
use super::select::Picked;
use super::tree::Bbox;
use super::{Applied, NewFeature, Snapshot};
use crate::domain::generalisation::Generalisation;
use crate::geometry::flat::FlatGeometry;
use crate::geometry::generalise;
use crate::layers::selection;

impl Snapshot {
    /// The snapshot with the outlines of its features in the place of their shapes.
    pub fn outlined(&self, rule: &Generalisation) -> Snapshot {
        let pieces: Vec<Piece> = self.blocks.iter().flat_map(|(_, block)| block.pieces()).collect();
        let shaped: Vec<usize> = (0..pieces.len()).filter(|at| pieces[*at].geometry.is_some()).collect();
        let shapes: Vec<&FlatGeometry> = shaped.iter().filter_map(|at| pieces[*at].geometry.as_deref()).collect();
        let wanted: Vec<usize> = (0..shapes.len()).collect();
        let mut outlines: Vec<Option<FlatGeometry>> = vec![None; pieces.len()];
        for (at, outline) in shaped.iter().zip(generalise::generalise(&shapes, &wanted, rule)) {
            outlines[*at] = outline;
        }
        let redrawn = pieces.into_par_iter().zip(outlines).chunks(TOGETHER).map(|pieces| {
            let mut batch = Batch::default();
            for (piece, outline) in pieces {
                let feature = with_shape(&piece, outline);
                batch.add(self.layer, self.attributes, Raw { feature, columns: piece.columns, id: piece.id });
            }
            batch
        });
        self.packed(redrawn.flat_map_iter(Batch::pieces).collect(), Arc::clone(&self.dictionaries))
    }

    /// The outlines of this snapshot, of which `before` holds those of the one before: the features of `ids` and what lies in `boxes`,
    /// where they were or are, has changed since. Also tells the boxes in which outlines have changed: their own, and neighbours'.
    pub fn outlined_after(&self, before: &Snapshot, ids: &[String], boxes: &[Bbox], rule: &Generalisation) -> Applied {
        let (wanted, around) = self.affected(boxes, generalise::margin(rule));
        let mut changed: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let around: Vec<Picked> = around.into_iter().collect();
        let shapes: Vec<&FlatGeometry> = around.iter().filter_map(|picked| self.geometry(*picked)).collect();
        let places: Vec<usize> = (0..around.len()).filter(|at| wanted.contains(&around[*at])).collect();
        let outlines = generalise::generalise(&shapes, &places, rule);
        let mut changes: Vec<(String, Option<Piece>)> = Vec::with_capacity(ids.len());
        for (place, outline) in places.into_iter().zip(outlines) {
            let picked = around[place];
            let id = self.id(picked);
            if changed.remove(id) || before.shape_of(id) != outline.as_ref() {
                changes.push((id.to_owned(), Some(self.redrawn(self.piece_of(picked), outline))));
            }
        }
        // What has no shape, or none with a place, has no outline; what is gone is gone.
        for id in changed {
            match self.place_of(id) {
                Some((block, at)) => {
                    changes.push((id.to_owned(), Some(self.redrawn(self.blocks[block].piece(at), None))));
                }
                None => changes.push((id.to_owned(), None)),
            }
        }
        before.replace(changes, Arc::clone(&self.dictionaries))
    }

    /// Those whose outlines a change in these boxes may touch, and with them those that these outlines depend on: each two steps further
    /// from box to box.
    fn affected(&self, boxes: &[Bbox], margin: f64) -> (BTreeSet<Picked>, BTreeSet<Picked>) {
        let wanted = self.step(&self.boxes_of(&self.step(boxes, margin)), margin);
        let around = self.step(&self.boxes_of(&self.step(&self.boxes_of(&wanted), margin)), margin);
        (wanted, around)
    }

    /// Everything with a shape whose box comes within the margin of one of these.
    fn step(&self, boxes: &[Bbox], margin: f64) -> BTreeSet<Picked> {
        let mut found = BTreeSet::new();
        for bbox in boxes {
            let wide = [bbox[0] - margin, bbox[1] - margin, bbox[2] + margin, bbox[3] + margin];
            self.blocks.search(&wide, &mut |number| {
                let block = &self.blocks[number];
                found.extend(block.search(&wide).map(|at| Picked { block: number as u32, at: at as u32 }));
            });
        }
        found
    }

    fn boxes_of(&self, picked: &BTreeSet<Picked>) -> Vec<Bbox> {
        picked.iter().map(|picked| self.blocks[picked.block as usize].boxes[picked.at as usize]).collect()
    }

    fn shape_of(&self, id: &str) -> Option<&FlatGeometry> {
        let (block, at) = self.place_of(id)?;
        self.blocks[block].geometry(at)
    }

    fn piece_of(&self, picked: Picked) -> Piece {
        self.blocks[picked.block as usize].piece(picked.at as usize)
    }

    /// The feature with this shape, and all that is made of the shape: its text, its box, the place of its label.
    fn redrawn(&self, from: Piece, geometry: Option<FlatGeometry>) -> Piece {
        let feature = with_shape(&from, geometry);
        batch::alone(self.layer, self.attributes, Raw { feature, columns: from.columns, id: from.id })
    }
}

fn with_shape(from: &Piece, geometry: Option<FlatGeometry>) -> NewFeature {
    let text = std::str::from_utf8(&from.json).unwrap_or_default();
    NewFeature {
        id: from.id.to_string(),
        from: from.from,
        version: from.version,
        properties: selection::member(text, "properties").unwrap_or("{}").to_owned(),
        geometry,
        // Both are numbered already.
        division: None,
        columns: Vec::new(),
    }
}

#[cfg(test)]
#[path = "outlines_tests.rs"]
mod tests;
