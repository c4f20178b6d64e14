-- Splits and merges of parcels (分割、合并): who came from whom. The parents' lives end on the day, the children's begin; ids are never
-- used again.
CREATE TABLE parcel_lineage (
    -- turnover_parcel or low_efficiency_parcel
    ledger          text COLLATE "C" NOT NULL,
    parent_id       text COLLATE "C" NOT NULL,
    child_id        text COLLATE "C" NOT NULL,
    -- of both: land of one county
    county_code     text COLLATE "C" NOT NULL,
    kind            text NOT NULL,
    effective_on    date NOT NULL,
    -- ellipsoidal area that both have in common
    common_area_m2  double precision NOT NULL,
    document_no     text,
    reason          text,
    actor           text NOT NULL,
    revision        bigint NOT NULL,
    CONSTRAINT parcel_lineage_pkey PRIMARY KEY (ledger, parent_id, child_id),
    CONSTRAINT parcel_lineage_ledger_known CHECK (ledger IN ('turnover_parcel', 'low_efficiency_parcel')),
    CONSTRAINT parcel_lineage_kind_known CHECK (kind IN ('split', 'merge')),
    CONSTRAINT parcel_lineage_apart CHECK (parent_id <> child_id),
    -- the upper bound refuses NaN and Infinity too
    CONSTRAINT parcel_lineage_area_sound CHECK (common_area_m2 >= 0 AND common_area_m2 < 1e11),
    CONSTRAINT parcel_lineage_actor_given CHECK (actor <> '')
);
CREATE INDEX parcel_lineage_child_idx ON parcel_lineage (ledger, child_id);

SELECT track_table('parcel_lineage', 'n.ledger || ''@'' || n.parent_id || ''@'' || n.child_id', 'ledger', 'parent_id', 'child_id');
SELECT protect_by_jurisdiction('parcel_lineage', 'county_code');
SELECT as_of_table('parcel_lineage', 'parent_id');
