-- Parks are established, renamed, upgraded, split, merged and revoked as events (decision 0026), and directories are published.

-- Two ends of a park that the register could not say: the row of an upgraded park ends where the one of its new code begins, and a park
-- that was divided wholly into others is neither merged nor revoked.
ALTER TABLE park DROP CONSTRAINT park_status_known;
ALTER TABLE park ADD CONSTRAINT park_status_known
    CHECK (status IN ('active', 'under_adjustment', 'merged', 'revoked', 'upgraded', 'split'));
-- `absorbed`: the survivor's side of a merger, with the areas that its document states.
ALTER TABLE park_event DROP CONSTRAINT park_event_kind_known;
ALTER TABLE park_event ADD CONSTRAINT park_event_kind_known CHECK (kind IN ('established', 'renamed', 'upgraded', 'extended', 'adjusted',
    'adjusted_and_extended', 'split', 'merged_into', 'absorbed', 'revoked'));

-- Undoing an event that made a park takes the park away before the parcels in it are placed anew, in one transaction: the look waits for
-- whoever asks it to (`SET CONSTRAINTS`), and for nobody else.
ALTER TABLE turnover_parcel ALTER CONSTRAINT turnover_parcel_park_fkey DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE low_efficiency_parcel ALTER CONSTRAINT low_efficiency_parcel_park_fkey DEFERRABLE INITIALLY IMMEDIATE;

-- Which block's land became which block's by an event of parks. (Tables of their own and no columns of park_block or park_event: rows that
-- were logged before a column was added would look changed to whoever undoes them.)
CREATE TABLE block_lineage (
    event_id        text NOT NULL,
    parent_id       text COLLATE "C" NOT NULL,
    child_id        text COLLATE "C" NOT NULL,
    effective_on    date NOT NULL,
    -- ellipsoidal area that both have in common
    common_area_m2  double precision NOT NULL,
    revision        bigint NOT NULL,
    CONSTRAINT block_lineage_pkey PRIMARY KEY (event_id, parent_id, child_id),
    CONSTRAINT block_lineage_event_fkey FOREIGN KEY (event_id) REFERENCES park_event (id),
    -- the upper bound refuses NaN and Infinity too
    CONSTRAINT block_lineage_area_sound CHECK (common_area_m2 >= 0 AND common_area_m2 < 1e11)
);
CREATE INDEX block_lineage_parent_idx ON block_lineage (parent_id);
CREATE INDEX block_lineage_child_idx ON block_lineage (child_id);
COMMENT ON TABLE block_lineage IS 'whose land blocks have from whom, by events of parks';

-- What a directory that this register published was drawn from.
CREATE TABLE directory_publication (
    version_id          text   NOT NULL,
    -- the day whose parks it lists
    register_on         date   NOT NULL,
    -- the register as this revision left it: its boundaries are shown so for ever
    register_revision   bigint NOT NULL,
    -- who published it
    actor               text   NOT NULL,
    revision            bigint NOT NULL,
    CONSTRAINT directory_publication_pkey PRIMARY KEY (version_id),
    CONSTRAINT directory_publication_version_fkey FOREIGN KEY (version_id) REFERENCES directory_version (id),
    CONSTRAINT directory_publication_actor_given CHECK (actor <> '')
);
COMMENT ON TABLE directory_publication IS 'the day and revision that a published directory was drawn from';

SELECT track_table('block_lineage', 'n.event_id || ''@'' || n.parent_id || ''@'' || n.child_id', 'event_id', 'parent_id', 'child_id');
SELECT track_table('directory_publication', 'n.version_id', 'version_id');
SELECT as_of_table('block_lineage', 'parent_id');
SELECT as_of_table('directory_publication');
