-- Whether a revision was undone is asked by the source of the undoing: of scenarios, of what was written since, of directories of a day.
-- Only undoings are in the index: no other write pays for it.
CREATE INDEX revision_undo_idx ON revision (source) WHERE source LIKE 'undo of revision %';
