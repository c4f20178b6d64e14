-- Conflicts of the register with itself (全库审查): found by the auditor, which follows the log. Papers about the register and no part of it: an
-- audit makes no revision, and whatever stands here can be found again. Why so: docs/decisions/0027-register-audit.md.

-- One row a pair and period: `id` is of the pair alone, so that it comes back where the pair conflicts again.
CREATE TABLE conflict (
    number              bigint GENERATED ALWAYS AS IDENTITY,
    id                  text             COLLATE "C" NOT NULL,
    -- the audited revision that first had it, and the first without it: audits may pass revisions over
    opened_revision     bigint           NOT NULL,
    opened_at           timestamptz      NOT NULL,
    closed_revision     bigint,
    closed_at           timestamptz,
    -- the audited revision that last measured it otherwise
    changed_revision    bigint           NOT NULL,
    changed_at          timestamptz      NOT NULL,
    layer_a             text             COLLATE "C" NOT NULL,
    feature_a           text             COLLATE "C" NOT NULL,
    name_a              text,
    -- whose the feature is, where that bounds who sees it
    division_a          text,
    park_a              text,
    layer_b             text             COLLATE "C" NOT NULL,
    -- of land outside of a line the kind's code
    feature_b           text             COLLATE "C" NOT NULL,
    name_b              text,
    division_b          text,
    park_b              text,
    -- one of them is drawn (示意), not surveyed
    illustrative        boolean          NOT NULL,
    class               text             NOT NULL,
    weight              text             NOT NULL,
    -- ellipsoidal, unrounded, as measured
    area_m2             double precision NOT NULL,
    share_a             double precision NOT NULL,
    share_b             double precision NOT NULL,
    width_m             double precision,
    gap_area_m2         double precision,
    gap_length_m        double precision,
    rule                text,
    -- common land, or the strips of a gap
    geom                geometry(MultiPolygon, 4490),
    CONSTRAINT conflict_pkey PRIMARY KEY (number),
    CONSTRAINT conflict_weight_known CHECK (weight IN ('block', 'warn', 'note')),
    CONSTRAINT conflict_life_ordered CHECK (opened_revision <= changed_revision AND changed_revision <= coalesce(closed_revision, changed_revision))
);
CREATE UNIQUE INDEX conflict_open_once_idx ON conflict (id) WHERE closed_revision IS NULL;
CREATE INDEX conflict_id_idx ON conflict (id, number);
CREATE INDEX conflict_a_idx ON conflict (feature_a, layer_a) WHERE closed_revision IS NULL;
CREATE INDEX conflict_b_idx ON conflict (feature_b, layer_b) WHERE closed_revision IS NULL;
CREATE INDEX conflict_geom_idx ON conflict USING gist (geom);

-- How far the auditor is. One row, made by the first audit.
CREATE TABLE conflict_audit (
    only_one        boolean     NOT NULL DEFAULT true,
    revision        bigint      NOT NULL,
    -- the start of the revision's hash: a register that was restored counts the same numbers again
    revision_hash   text        NOT NULL,
    audited_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- pairs that were too complex to be compared, named
    not_compared    jsonb       NOT NULL DEFAULT '[]',
    CONSTRAINT conflict_audit_pkey PRIMARY KEY (only_one),
    CONSTRAINT conflict_audit_one_row CHECK (only_one)
);

-- What people said of conflicts; only added to, the last word counts. By the pair: it holds where the conflict comes back.
CREATE TABLE conflict_mark (
    number      bigint GENERATED ALWAYS AS IDENTITY,
    conflict    text        COLLATE "C" NOT NULL,
    verdict     text        NOT NULL,
    note        text        NOT NULL DEFAULT '',
    actor       text        NOT NULL,
    marked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT conflict_mark_pkey PRIMARY KEY (number),
    CONSTRAINT conflict_mark_verdict_known CHECK (verdict IN ('open', 'accepted', 'to_fix', 'ignorable'))
);
CREATE INDEX conflict_mark_conflict_idx ON conflict_mark (conflict, number);

-- A conflict shows to whoever may see both of its sides.
ALTER TABLE conflict ENABLE ROW LEVEL SECURITY;
DO $$
BEGIN
    EXECUTE format('CREATE POLICY conflict_jurisdiction ON conflict USING (
        (SELECT coalesce(current_setting(''sizhi.jurisdiction'', true), '''')) <> ''''
        AND (division_a IS NULL OR %s) AND (division_b IS NULL OR %s))',
        jurisdiction_condition('division_a'), jurisdiction_condition('division_b'));
END $$;
ALTER TABLE conflict_mark ENABLE ROW LEVEL SECURITY;
CREATE POLICY conflict_mark_of_conflict ON conflict_mark USING (EXISTS (SELECT FROM conflict c WHERE c.id = conflict));
