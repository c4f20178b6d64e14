-- What-if (推演方案): deeds that somebody would do, kept as asked for and tried on the register as it stands; no part of it until they are
-- applied. Why so: docs/decisions/0028-scenarios.md.
CREATE TABLE scenario (
    id                  bigint GENERATED ALWAYS AS IDENTITY,
    name                text        NOT NULL,
    -- whose it is: nobody else sees it, but administrators
    actor               text        NOT NULL,
    -- the division codes that its owner spoke for (`*` = all)
    jurisdiction        text[]      NOT NULL,
    -- the deeds in their order, as the API shows them
    operations          jsonb       NOT NULL,
    -- the revision of the picture that it was decided on
    base_revision       bigint      NOT NULL,
    -- counted up by every change of it: what an edit is decided on
    version             integer     NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- the revision that made it true
    applied_revision    bigint,
    CONSTRAINT scenario_pkey PRIMARY KEY (id),
    CONSTRAINT scenario_name_given CHECK (name <> ''),
    CONSTRAINT scenario_operations_are_a_list CHECK (jsonb_typeof(operations) = 'array')
);
CREATE INDEX scenario_actor_idx ON scenario (actor, id);
COMMENT ON TABLE scenario IS 'deeds that somebody would do; not tracked';

-- Whoever sees it speaks for all that its owner spoke for, and the service asks for the owner besides.
ALTER TABLE scenario ENABLE ROW LEVEL SECURITY;
CREATE POLICY scenario_jurisdiction ON scenario USING (
    (SELECT current_setting('sizhi.jurisdiction', true)) = '*'
    OR (jurisdiction <> ARRAY['*'] AND NOT EXISTS (SELECT FROM unnest(jurisdiction) AS code WHERE NOT in_jurisdiction(code))));

-- As in 0005, but not where the revision wrote parcels by themselves too, as a scenario may: then all of theirs is put back.
CREATE OR REPLACE FUNCTION follows_blocks(target bigint, table_name text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT table_name IN ('turnover_parcel', 'low_efficiency_parcel')
        AND EXISTS (SELECT 1 FROM change WHERE revision = target AND layer = 'park_block')
        AND NOT EXISTS (
            SELECT 1 FROM change
            WHERE revision = target AND layer = table_name
              AND (operation <> 'update' OR before_geom IS DISTINCT FROM after_geom
                   OR before::jsonb - '{park_code,block_id,inside_share,revision}'::text[]
                      IS DISTINCT FROM after::jsonb - '{park_code,block_id,inside_share,revision}'::text[]))
$$;
