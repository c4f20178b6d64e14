-- The ledgers (台账): turnover land, low-efficiency land, redevelopment plans, and the moves between their states.
-- Columns are the fields of src/domain/ledger, which says what each means; states too (a test holds the lists equal).
-- One id lives through several rows, one per period [valid_from, valid_to): a move into another state begins a new period, a
-- correction changes the row that stands.

-- 周转用地: land on its way from plan to finished building (domain.md §5).
CREATE TABLE turnover_parcel (
    id                text COLLATE "C" NOT NULL,
    -- of the county whose land it is: decides who may see the row
    county_code       text COLLATE "C" NOT NULL,
    -- 地块编号 as the bureau gives it; `id` is the numbering county, a hyphen, and this
    number            text COLLATE "C" NOT NULL,
    name              text,
    geom              geometry(MultiPolygon, 4490) NOT NULL,
    -- ellipsoidal area by the survey formula, unrounded; what papers state beside it
    area_m2           double precision NOT NULL,
    stated_area_m2    double precision,
    -- where it lies, by geometry (the block with the largest share); kept true when blocks change
    park_code         text COLLATE "C",
    block_id          text COLLATE "C",
    inside_share      double precision,
    -- the park on paper, verbatim, and the code that it means
    stated_park       text,
    stated_park_code  text COLLATE "C",
    -- where it stands, since when (NULL: not known); a side state holds the main state it came from
    state             text NOT NULL,
    held_state        text,
    state_on          date,
    location                  text,
    land_use_system           text,
    land_use_code             text,
    planned_use               text,
    batch_name                text,
    approval_year             integer,
    approval_doc_city         text,
    approval_doc_province     text,
    approved_on               date,
    approved_area_m2          double precision,
    new_construction_area_m2  double precision,
    approval_kind             text,
    acquired_area_m2          double precision,
    not_demolished_area_m2    double precision,
    compensation_done         boolean,
    site_condition            text,
    planned_supply_on         date,
    supply_mode               text,
    target_industry           text,
    control_indicators        text,
    contract_no               text,
    supervision_no            text,
    land_user                 text,
    price_10k_yuan            double precision,
    supplied_area_m2          double precision,
    signed_on                 date,
    agreed_delivery_on        date,
    delivered_on              date,
    delivered_area_m2         double precision,
    undelivered_area_m2       double precision,
    agreed_start_on           date,
    started_on                date,
    agreed_finish_on          date,
    finished_on               date,
    started_area_m2           double precision,
    invested_percent          double precision,
    stopped_on                date,
    mortgage                  text,
    seized_by                 text,
    seized_on                 date,
    seized_until_on           date,
    idle_cause                text,
    proposed_disposal         text,
    registered_area_m2        double precision,
    title_no                  text,
    note                      text,
    illustrative      boolean NOT NULL DEFAULT false,
    source            text NOT NULL,
    source_crs        text,
    attributes        jsonb NOT NULL DEFAULT '{}',
    -- why its life ended: split, merged, ended
    end_reason        text,
    valid_from        date NOT NULL DEFAULT '-infinity',
    valid_to          date NOT NULL DEFAULT 'infinity',
    revision          bigint NOT NULL,
    CONSTRAINT turnover_parcel_pkey PRIMARY KEY (id, valid_from),
    CONSTRAINT turnover_parcel_county_fkey FOREIGN KEY (county_code) REFERENCES division (code),
    CONSTRAINT turnover_parcel_number_format CHECK (number <> '' AND length(number) <= 64 AND number !~ '[[:space:][:cntrl:]/]'),
    -- land may lie outside the province where somebody insisted; never outside the world
    CONSTRAINT turnover_parcel_geom_in_range CHECK (geom @ ST_MakeEnvelope(-180, -90, 180, 90, 4490)),
    CONSTRAINT turnover_parcel_geom_finite CHECK (sign(ST_Area(geom)) = 1),
    CONSTRAINT turnover_parcel_area_finite CHECK (area_m2 > 0 AND area_m2 < 1e11),
    CONSTRAINT turnover_parcel_stated_area_positive CHECK (stated_area_m2 > 0 AND stated_area_m2 < 2.2e11),
    CONSTRAINT turnover_parcel_park_fkey FOREIGN KEY (park_code) REFERENCES park (code),
    -- the same digits mean different things in different systems
    CONSTRAINT turnover_parcel_land_use_with_system CHECK (land_use_code IS NULL OR land_use_system IS NOT NULL),
    CONSTRAINT turnover_parcel_state_known CHECK (state IN ('planned', 'approved', 'acquired', 'serviced', 'listed', 'supplied', 'delivered', 'started', 'completed',
        'withdrawn', 'frozen', 'idle', 'low_efficiency')),
    CONSTRAINT turnover_parcel_held_known CHECK (held_state IN ('planned', 'approved', 'acquired', 'serviced', 'listed', 'supplied', 'delivered', 'started', 'completed',
        'withdrawn', 'frozen', 'idle', 'low_efficiency')),
    CONSTRAINT turnover_parcel_ended_with_reason CHECK ((end_reason IS NULL) OR (valid_to < 'infinity')),
    -- the upper bound refuses NaN and Infinity too
    CONSTRAINT turnover_parcel_numbers_sound CHECK (
        coalesce(approved_area_m2 >= 0 AND approved_area_m2 < 1e15, true)
        AND coalesce(new_construction_area_m2 >= 0 AND new_construction_area_m2 < 1e15, true)
        AND coalesce(acquired_area_m2 >= 0 AND acquired_area_m2 < 1e15, true)
        AND coalesce(not_demolished_area_m2 >= 0 AND not_demolished_area_m2 < 1e15, true)
        AND coalesce(price_10k_yuan >= 0 AND price_10k_yuan < 1e15, true)
        AND coalesce(supplied_area_m2 >= 0 AND supplied_area_m2 < 1e15, true)
        AND coalesce(delivered_area_m2 >= 0 AND delivered_area_m2 < 1e15, true)
        AND coalesce(undelivered_area_m2 >= 0 AND undelivered_area_m2 < 1e15, true)
        AND coalesce(started_area_m2 >= 0 AND started_area_m2 < 1e15, true)
        AND coalesce(invested_percent >= 0 AND invested_percent < 1e15, true)
        AND coalesce(registered_area_m2 >= 0 AND registered_area_m2 < 1e15, true)),
    CONSTRAINT turnover_parcel_life_ordered CHECK (valid_from < valid_to)
);
CREATE INDEX turnover_parcel_geom_idx ON turnover_parcel USING gist (geom);
CREATE INDEX turnover_parcel_park_idx ON turnover_parcel (park_code);
CREATE INDEX turnover_parcel_county_idx ON turnover_parcel (county_code, state);
CREATE INDEX turnover_parcel_number_idx ON turnover_parcel (number);


-- 低效用地: recognised, planned, redeveloped, closed (domain.md §6).
CREATE TABLE low_efficiency_parcel (
    id                text COLLATE "C" NOT NULL,
    -- of the county whose land it is: decides who may see the row
    county_code       text COLLATE "C" NOT NULL,
    -- 地块编号 as the bureau gives it; `id` is the numbering county, a hyphen, and this
    number            text COLLATE "C" NOT NULL,
    name              text,
    geom              geometry(MultiPolygon, 4490) NOT NULL,
    -- ellipsoidal area by the survey formula, unrounded; what papers state beside it
    area_m2           double precision NOT NULL,
    stated_area_m2    double precision,
    -- where it lies, by geometry (the block with the largest share); kept true when blocks change
    park_code         text COLLATE "C",
    block_id          text COLLATE "C",
    inside_share      double precision,
    -- the park on paper, verbatim, and the code that it means
    stated_park       text,
    stated_park_code  text COLLATE "C",
    -- where it stands, since when (NULL: not known); a side state holds the main state it came from
    state             text NOT NULL,
    held_state        text,
    state_on          date,
    survey_unit_no           text,
    survey_area_no           text,
    town                     text,
    location                 text,
    use_state                text,
    is_low_efficiency        boolean,
    low_efficiency_kind      text,
    land_use_system          text,
    land_use_code            text,
    current_use              text,
    industry                 text,
    ownership                text,
    used_since_on            date,
    production_stopped       boolean,
    planned_use              text,
    redevelopment_mode       text,
    redevelopment_progress   text,
    in_village_renewal       boolean,
    legacy_area_m2           double precision,
    owner                    text,
    title_no                 text,
    registered_on            date,
    registered_area_m2       double precision,
    registered_use           text,
    right_type               text,
    approval_doc             text,
    approved_on              date,
    approved_area_m2         double precision,
    approved_use             text,
    penalty_no               text,
    floor_area_ratio         double precision,
    building_density         double precision,
    fixed_investment_per_ha  double precision,
    tax_per_ha               double precision,
    output_per_ha            double precision,
    environment              text,
    services                 text,
    criteria_year            integer,
    verified_on              date,
    publicised_on            date,
    recognised_on            date,
    recognition_doc          text,
    accepted_on              date,
    closed_on                date,
    mortgage                 text,
    seized_by                text,
    note                     text,
    illustrative      boolean NOT NULL DEFAULT false,
    source            text NOT NULL,
    source_crs        text,
    attributes        jsonb NOT NULL DEFAULT '{}',
    -- why its life ended: split, merged, ended
    end_reason        text,
    valid_from        date NOT NULL DEFAULT '-infinity',
    valid_to          date NOT NULL DEFAULT 'infinity',
    revision          bigint NOT NULL,
    CONSTRAINT low_efficiency_parcel_pkey PRIMARY KEY (id, valid_from),
    CONSTRAINT low_efficiency_parcel_county_fkey FOREIGN KEY (county_code) REFERENCES division (code),
    CONSTRAINT low_efficiency_parcel_number_format CHECK (number <> '' AND length(number) <= 64 AND number !~ '[[:space:][:cntrl:]/]'),
    -- land may lie outside the province where somebody insisted; never outside the world
    CONSTRAINT low_efficiency_parcel_geom_in_range CHECK (geom @ ST_MakeEnvelope(-180, -90, 180, 90, 4490)),
    CONSTRAINT low_efficiency_parcel_geom_finite CHECK (sign(ST_Area(geom)) = 1),
    CONSTRAINT low_efficiency_parcel_area_finite CHECK (area_m2 > 0 AND area_m2 < 1e11),
    CONSTRAINT low_efficiency_parcel_stated_area_positive CHECK (stated_area_m2 > 0 AND stated_area_m2 < 2.2e11),
    CONSTRAINT low_efficiency_parcel_park_fkey FOREIGN KEY (park_code) REFERENCES park (code),
    -- the same digits mean different things in different systems
    CONSTRAINT low_efficiency_parcel_land_use_with_system CHECK (land_use_code IS NULL OR land_use_system IS NOT NULL),
    CONSTRAINT low_efficiency_parcel_state_known CHECK (state IN ('suspected', 'verified', 'publicised', 'recognised', 'planned', 'plan_approved', 'implementing', 'accepted',
        'closed', 'objected', 'rejected', 'revoked')),
    CONSTRAINT low_efficiency_parcel_held_known CHECK (held_state IN ('suspected', 'verified', 'publicised', 'recognised', 'planned', 'plan_approved', 'implementing', 'accepted',
        'closed', 'objected', 'rejected', 'revoked')),
    CONSTRAINT low_efficiency_parcel_ended_with_reason CHECK ((end_reason IS NULL) OR (valid_to < 'infinity')),
    -- the upper bound refuses NaN and Infinity too
    CONSTRAINT low_efficiency_parcel_numbers_sound CHECK (
        coalesce(legacy_area_m2 >= 0 AND legacy_area_m2 < 1e15, true)
        AND coalesce(registered_area_m2 >= 0 AND registered_area_m2 < 1e15, true)
        AND coalesce(approved_area_m2 >= 0 AND approved_area_m2 < 1e15, true)
        AND coalesce(floor_area_ratio >= 0 AND floor_area_ratio < 1e15, true)
        AND coalesce(building_density >= 0 AND building_density < 1e15, true)
        AND coalesce(fixed_investment_per_ha >= 0 AND fixed_investment_per_ha < 1e15, true)
        AND coalesce(tax_per_ha >= 0 AND tax_per_ha < 1e15, true)
        AND coalesce(output_per_ha >= 0 AND output_per_ha < 1e15, true)),
    CONSTRAINT low_efficiency_parcel_life_ordered CHECK (valid_from < valid_to)
);
CREATE INDEX low_efficiency_parcel_geom_idx ON low_efficiency_parcel USING gist (geom);
CREATE INDEX low_efficiency_parcel_park_idx ON low_efficiency_parcel (park_code);
CREATE INDEX low_efficiency_parcel_county_idx ON low_efficiency_parcel (county_code, state);
CREATE INDEX low_efficiency_parcel_number_idx ON low_efficiency_parcel (number);


-- 再开发方案 of one low-efficiency parcel.
CREATE TABLE redevelopment_plan (
    id                text COLLATE "C" NOT NULL,
    county_code       text COLLATE "C" NOT NULL,
    number            text COLLATE "C" NOT NULL,
    name              text,
    -- 一宗一策
    parcel_id         text COLLATE "C" NOT NULL,
    -- where it stands, since when (NULL: not known); a side state holds the main state it came from
    state             text NOT NULL,
    held_state        text,
    state_on          date,
    mode                       text,
    planned_use                text,
    planned_floor_area_ratio   double precision,
    planned_building_density   double precision,
    planned_investment_per_ha  double precision,
    planned_tax_per_mu         double precision,
    implementer                text,
    funding                    text,
    budget_10k_yuan            double precision,
    responsible_unit           text,
    deadline_on                date,
    approval_doc               text,
    approved_on                date,
    acceptance_doc             text,
    accepted_on                date,
    note                       text,
    illustrative      boolean NOT NULL DEFAULT false,
    source            text NOT NULL,
    attributes        jsonb NOT NULL DEFAULT '{}',
    -- why its life ended: split, merged, ended
    end_reason        text,
    valid_from        date NOT NULL DEFAULT '-infinity',
    valid_to          date NOT NULL DEFAULT 'infinity',
    revision          bigint NOT NULL,
    CONSTRAINT redevelopment_plan_pkey PRIMARY KEY (id, valid_from),
    CONSTRAINT redevelopment_plan_county_fkey FOREIGN KEY (county_code) REFERENCES division (code),
    CONSTRAINT redevelopment_plan_number_format CHECK (number <> '' AND length(number) <= 64 AND number !~ '[[:space:][:cntrl:]/]'),
    CONSTRAINT redevelopment_plan_state_known CHECK (state IN ('drafted', 'submitted', 'approved', 'accepted', 'cancelled')),
    CONSTRAINT redevelopment_plan_held_known CHECK (held_state IN ('drafted', 'submitted', 'approved', 'accepted', 'cancelled')),
    CONSTRAINT redevelopment_plan_ended_with_reason CHECK ((end_reason IS NULL) OR (valid_to < 'infinity')),
    -- the upper bound refuses NaN and Infinity too
    CONSTRAINT redevelopment_plan_numbers_sound CHECK (
        coalesce(planned_floor_area_ratio >= 0 AND planned_floor_area_ratio < 1e15, true)
        AND coalesce(planned_building_density >= 0 AND planned_building_density < 1e15, true)
        AND coalesce(planned_investment_per_ha >= 0 AND planned_investment_per_ha < 1e15, true)
        AND coalesce(planned_tax_per_mu >= 0 AND planned_tax_per_mu < 1e15, true)
        AND coalesce(budget_10k_yuan >= 0 AND budget_10k_yuan < 1e15, true)),
    CONSTRAINT redevelopment_plan_life_ordered CHECK (valid_from < valid_to)
);
CREATE INDEX redevelopment_plan_county_idx ON redevelopment_plan (county_code, state);
CREATE INDEX redevelopment_plan_number_idx ON redevelopment_plan (number);
CREATE INDEX redevelopment_plan_parcel_idx ON redevelopment_plan (parcel_id);
-- one plan per parcel at a time
CREATE UNIQUE INDEX redevelopment_plan_one_per_parcel ON redevelopment_plan (parcel_id) WHERE valid_to = 'infinity' AND state <> 'cancelled';

-- What a plan does, in order.
CREATE TABLE plan_step (
    -- the plan, an at, the ordinal
    id              text COLLATE "C" NOT NULL,
    plan_id         text COLLATE "C" NOT NULL,
    ordinal         integer NOT NULL,
    county_code     text COLLATE "C" NOT NULL,
    task            text NOT NULL,
    due_on          date,
    done_on         date,
    note            text,
    revision        bigint NOT NULL,
    CONSTRAINT plan_step_pkey PRIMARY KEY (id),
    CONSTRAINT plan_step_id_holds_plan CHECK (id = plan_id || '@' || ordinal),
    CONSTRAINT plan_step_ordinal_positive CHECK (ordinal > 0),
    CONSTRAINT plan_step_task_given CHECK (task <> '')
);
CREATE INDEX plan_step_plan_idx ON plan_step (plan_id);

-- Every move of a record, as somebody told it: from, to, the day, the paper, the person, the reason.
CREATE TABLE parcel_transition (
    -- turnover_parcel, low_efficiency_parcel or redevelopment_plan
    ledger          text COLLATE "C" NOT NULL,
    record_id       text COLLATE "C" NOT NULL,
    ordinal         integer NOT NULL,
    county_code     text COLLATE "C" NOT NULL,
    from_state      text NOT NULL,
    to_state        text NOT NULL,
    -- the main state held by the side state that was left or entered
    held_state      text,
    effective_on    date NOT NULL,
    document_no     text,
    reason          text,
    actor           text NOT NULL,
    revision        bigint NOT NULL,
    CONSTRAINT parcel_transition_pkey PRIMARY KEY (ledger, record_id, ordinal),
    CONSTRAINT parcel_transition_ledger_known CHECK (ledger IN ('turnover_parcel', 'low_efficiency_parcel', 'redevelopment_plan')),
    CONSTRAINT parcel_transition_moves CHECK (from_state <> to_state),
    CONSTRAINT parcel_transition_actor_given CHECK (actor <> '')
);

-- A table of attributes that came with an upload of shapes, kept as long as the upload.
ALTER TABLE import_batch ADD COLUMN attributes bytea;

-- Requests that were done, by their client's own key, kept for a day: a repetition adds nothing.
CREATE TABLE idempotency_key (
    actor       text        NOT NULL,
    key         text        NOT NULL,
    digest      bytea       NOT NULL,
    record_id   text        NOT NULL,
    created     boolean     NOT NULL,
    revision    bigint,
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT idempotency_key_pkey PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_key_made_idx ON idempotency_key (made_at);

-- An id has one period at a time. (One look at all rows of a statement, where an exclusion constraint takes 80 µs each: see
-- check_blocks_fit in 0001.)
CREATE FUNCTION check_lives_apart() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    culprit text;
BEGIN
    EXECUTE format('SELECT min(n.id) FROM new_rows n JOIN %1$I t ON t.id = n.id AND t.valid_from <> n.valid_from
                    WHERE t.valid_from < n.valid_to AND n.valid_from < t.valid_to', TG_TABLE_NAME) INTO culprit;
    IF culprit IS NOT NULL THEN
        RAISE EXCEPTION '% stands twice at one time', culprit
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = TG_TABLE_NAME || '_one_at_a_time', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END $$;

SELECT track_table('turnover_parcel', 'n.id', 'id', 'valid_from');
SELECT track_table('low_efficiency_parcel', 'n.id', 'id', 'valid_from');
SELECT track_table('redevelopment_plan', 'n.id', 'id', 'valid_from');
SELECT track_table('plan_step', 'n.id', 'id');
SELECT track_table('parcel_transition', 'n.ledger || ''@'' || n.record_id || ''@'' || n.ordinal', 'ledger', 'record_id', 'ordinal');

CREATE TRIGGER turnover_parcel_fits_insert AFTER INSERT ON turnover_parcel REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION check_lives_apart();
CREATE TRIGGER turnover_parcel_fits_update AFTER UPDATE ON turnover_parcel REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION check_lives_apart();
CREATE TRIGGER low_efficiency_parcel_fits_insert AFTER INSERT ON low_efficiency_parcel REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION check_lives_apart();
CREATE TRIGGER low_efficiency_parcel_fits_update AFTER UPDATE ON low_efficiency_parcel REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION check_lives_apart();
CREATE TRIGGER redevelopment_plan_fits_insert AFTER INSERT ON redevelopment_plan REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION check_lives_apart();
CREATE TRIGGER redevelopment_plan_fits_update AFTER UPDATE ON redevelopment_plan REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION check_lives_apart();

SELECT protect_by_jurisdiction('turnover_parcel', 'county_code');
SELECT protect_by_jurisdiction('low_efficiency_parcel', 'county_code');
SELECT protect_by_jurisdiction('redevelopment_plan', 'county_code');
SELECT protect_by_jurisdiction('plan_step', 'county_code');
SELECT protect_by_jurisdiction('parcel_transition', 'county_code');

SELECT as_of_table('turnover_parcel');
SELECT as_of_table('low_efficiency_parcel');
SELECT as_of_table('redevelopment_plan', 'parcel_id');
SELECT as_of_table('plan_step', 'plan_id');
SELECT as_of_table('parcel_transition', 'record_id');

-- Which row of its table a log row speaks of (replaces 0001's): ids that live through several rows.
CREATE OR REPLACE FUNCTION change_key(layer text, feature_id text, before json, after json) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN layer IN ('park_block', 'turnover_parcel', 'low_efficiency_parcel', 'redevelopment_plan')
        THEN feature_id || '@' || (coalesce(after, before) ->> 'valid_from') ELSE feature_id END;

-- A revision that changes blocks places parcels anew in the same revision. Undoing it does so too, by itself: the parcels' own rows
-- are neither in its way nor put back.
CREATE FUNCTION follows_blocks(target bigint, table_name text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT table_name IN ('turnover_parcel', 'low_efficiency_parcel')
        AND EXISTS (SELECT 1 FROM change WHERE revision = target AND layer = 'park_block')
$$;

-- As in 0001, but for the line with follows_blocks.
CREATE OR REPLACE FUNCTION undo_conflicts(target bigint)
RETURNS TABLE (layer text, feature_id text, later_revision bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
    t tracked_table%ROWTYPE;
BEGIN
    -- The newest revision is undone most often, and nothing has come after it.
    IF NOT EXISTS (SELECT 1 FROM revision WHERE number > target) THEN
        RETURN;
    END IF;
    FOR t IN SELECT * FROM tracked_table ORDER BY position LOOP
        CONTINUE WHEN NOT EXISTS (SELECT 1 FROM change c WHERE c.revision = target AND c.layer = t.name) OR follows_blocks(target, t.name);
        -- What the target left, against the row that stands. Of a row that the target deleted, the first later change is an insert:
        -- the revision that the next change after it names as the row's, or the row itself.
        RETURN QUERY EXECUTE format($f$
            SELECT %1$L::text, w.feature_id::text, coalesce(l.first_later, s.revision)
            FROM (
                SELECT DISTINCT ON (key) c.feature_id, key, c.after, c.after_geom
                FROM change c, LATERAL (SELECT change_key(c.layer, c.feature_id, c.before, c.after) AS key) k
                WHERE c.revision = $1 AND c.layer = %1$L
                ORDER BY key, c.ordinal DESC) w
            LEFT JOIN (
                SELECT change_key(%1$L, %2$s, NULL, image) AS key, n.revision, image, %3$s AS geometry
                FROM %1$I n, LATERAL (SELECT row_to_json(r) AS image FROM %4$s r) i
                WHERE %2$s IN (SELECT c.feature_id FROM change c WHERE c.revision = $1 AND c.layer = %1$L)) s USING (key)
            LEFT JOIN LATERAL (
                SELECT min(CASE WHEN w.after IS NULL THEN (c.before ->> 'revision')::bigint ELSE c.revision END) AS first_later
                FROM change c
                WHERE c.operation <> 'insert' AND c.feature_id = w.feature_id AND c.revision > $1 AND c.layer = %1$L
                  AND change_key(c.layer, c.feature_id, c.before, c.after) = w.key) l ON true
            WHERE (s.image::jsonb - 'revision') IS DISTINCT FROM (w.after::jsonb - 'revision') OR s.geometry IS DISTINCT FROM w.after_geom
            ORDER BY 3, 2
        $f$, t.name, t.feature_id, row_geometry(t.name, 'n'), row_columns(t.name, 'n')) USING target;
    END LOOP;
END $$;

-- As in 0001, but for the line with follows_blocks.
CREATE OR REPLACE FUNCTION restore_before(target bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t tracked_table%ROWTYPE;
    columns text;
    values_of_r text;
    values_to_insert text;
    rows text;
    by_key text;
BEGIN
    -- First deletes, children before parents; then updates and inserts, parents before children.
    FOR pass IN 1..2 LOOP
        FOR t IN SELECT * FROM tracked_table ORDER BY position * (CASE pass WHEN 1 THEN -1 ELSE 1 END) LOOP
            CONTINUE WHEN follows_blocks(target, t.name);
            SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum), string_agg(format('r.%I', a.attname), ', ' ORDER BY a.attnum),
                   string_agg(CASE a.attname WHEN 'revision' THEN 'current_revision()' ELSE format('r.%I', a.attname) END, ', ' ORDER BY a.attnum)
              INTO columns, values_of_r, values_to_insert
              FROM pg_attribute a WHERE a.attrelid = t.name::regclass AND a.attnum > 0 AND NOT a.attisdropped;
            SELECT string_agg(format('t.%1$I = r.%1$I', k), ' AND ') INTO by_key FROM unnest(t.keys) k;
            -- Per key the first state (what stood before the revision).
            -- (The record in FROM: written as `(record).*` it would be made once a column.)
            rows := format(
                'SELECT DISTINCT ON (%1$s) c.before IS NULL AS was_absent, p.*
                 FROM change c, LATERAL jsonb_populate_record(NULL::%2$I,
                     coalesce(c.before, c.after)::jsonb || jsonb_build_object(''geom'', encode(coalesce(c.before_geom, c.after_geom), ''hex''))) p
                 WHERE c.revision = $1 AND c.layer = %2$L ORDER BY %1$s, c.ordinal',
                (SELECT string_agg(format('coalesce(c.before, c.after) ->> %L', k), ', ') FROM unnest(t.keys) k), t.name);
            IF pass = 1 THEN
                EXECUTE format('DELETE FROM %I t USING (%s) r WHERE r.was_absent AND %s', t.name, rows, by_key) USING target;
            ELSE
                EXECUTE format('UPDATE %I t SET (%s) = (SELECT %s) FROM (%s) r WHERE NOT r.was_absent AND %s',
                    t.name, columns, values_of_r, rows, by_key) USING target;
                EXECUTE format('INSERT INTO %1$I (%2$s) SELECT %3$s FROM (%4$s) r WHERE NOT r.was_absent
                    AND NOT EXISTS (SELECT 1 FROM %1$I t WHERE %5$s)', t.name, columns, values_to_insert, rows, by_key) USING target;
            END IF;
        END LOOP;
    END LOOP;
END $$;

-- ---------------------------------------------------------------------------------------------------------------
-- What is told of a record beside its columns
-- ---------------------------------------------------------------------------------------------------------------

-- The day that timers are told for: what the question names, else today where the land lies.
CREATE FUNCTION timer_day() RETURNS date LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(on_day(), (now() AT TIME ZONE 'Asia/Shanghai')::date)
$$;

-- Full years from one day to a later one; from 29 February they are full on the 28th.
CREATE FUNCTION full_years(from_day date, to_day date) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT y - CASE WHEN from_day + make_interval(years => y) > to_day THEN 1 ELSE 0 END
    FROM (SELECT (extract(year FROM to_day) - extract(year FROM from_day))::integer AS y) x
$$;

-- The stocks that reports count (domain.md §5); NULL where it belongs to none.
CREATE FUNCTION turnover_sets(state text, held_state text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT nullif(array_remove(ARRAY[
        CASE WHEN coalesce(held_state, state) IN ('approved', 'acquired', 'serviced', 'listed') THEN 'approved_not_supplied'
             WHEN coalesce(held_state, state) IN ('supplied', 'delivered') THEN 'supplied_not_used'
             WHEN coalesce(held_state, state) IN ('started', 'completed') THEN 'used' END,
        CASE WHEN state = 'idle' THEN 'idle' END], NULL), '{}')
$$;

CREATE FUNCTION ledger_state_label(ledger text, state text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE ledger || '.' || state
        WHEN 'turnover.planned' THEN '拟报批'
        WHEN 'turnover.approved' THEN '已批准'
        WHEN 'turnover.acquired' THEN '已征收'
        WHEN 'turnover.serviced' THEN '净地'
        WHEN 'turnover.listed' THEN '已公告挂牌'
        WHEN 'turnover.supplied' THEN '已供应'
        WHEN 'turnover.delivered' THEN '已交地'
        WHEN 'turnover.started' THEN '已开工'
        WHEN 'turnover.completed' THEN '已竣工'
        WHEN 'turnover.withdrawn' THEN '已撤批'
        WHEN 'turnover.frozen' THEN '冻结'
        WHEN 'turnover.idle' THEN '闲置'
        WHEN 'turnover.low_efficiency' THEN '转低效'
        WHEN 'low_efficiency.suspected' THEN '疑似'
        WHEN 'low_efficiency.verified' THEN '已核实'
        WHEN 'low_efficiency.publicised' THEN '公示中'
        WHEN 'low_efficiency.recognised' THEN '已认定'
        WHEN 'low_efficiency.planned' THEN '已编方案'
        WHEN 'low_efficiency.plan_approved' THEN '方案已批'
        WHEN 'low_efficiency.implementing' THEN '实施中'
        WHEN 'low_efficiency.accepted' THEN '已验收'
        WHEN 'low_efficiency.closed' THEN '已销号'
        WHEN 'low_efficiency.objected' THEN '有异议'
        WHEN 'low_efficiency.rejected' THEN '不予认定'
        WHEN 'low_efficiency.revoked' THEN '撤销认定'
        WHEN 'plan.drafted' THEN '编制中'
        WHEN 'plan.submitted' THEN '已报批'
        WHEN 'plan.approved' THEN '已批准'
        WHEN 'plan.accepted' THEN '已验收'
        WHEN 'plan.cancelled' THEN '已作废'
    END
$$;

-- The timers are those of src/domain/ledger/timers.rs (a test holds the two equal).
SELECT publish_layer_view('layer_turnover_parcels', $view$
SELECT r.id AS feature_id, r.geom, nullif(r.valid_from, '-infinity') AS valid_from, nullif(r.valid_to, 'infinity') AS valid_to,
       r.id, r.number, r.name, r.county_code, c.name AS county_name,
       r.park_code, p.name AS park_name, r.block_id, round(r.inside_share::numeric, 4) AS inside_share,
       r.stated_park, CASE WHEN r.stated_park IS NOT NULL THEN r.stated_park_code IS NOT DISTINCT FROM r.park_code END AS park_agrees,
       r.state, ledger_state_label('turnover', r.state) AS state_label, r.held_state, r.state_on,
       r.stated_area_m2, round(r.area_m2::numeric, 2) AS computed_area_m2,
       round((r.area_m2 / 10000)::numeric, 4) AS computed_area_ha, round((r.area_m2 * 3 / 2000)::numeric, 2) AS computed_area_mu,
       r.location, r.land_use_system, r.land_use_code, r.planned_use, r.batch_name, r.approval_year,
       r.approval_doc_city, r.approval_doc_province, r.approved_on, r.approved_area_m2, r.new_construction_area_m2,
       r.approval_kind, r.acquired_area_m2, r.not_demolished_area_m2, r.compensation_done, r.site_condition,
       r.planned_supply_on, r.supply_mode, r.target_industry, r.control_indicators, r.contract_no, r.supervision_no,
       r.land_user, r.price_10k_yuan, r.supplied_area_m2, r.signed_on, r.agreed_delivery_on, r.delivered_on,
       r.delivered_area_m2, r.undelivered_area_m2, r.agreed_start_on, r.started_on, r.agreed_finish_on,
       r.finished_on, r.started_area_m2, r.invested_percent, r.stopped_on, r.mortgage, r.seized_by, r.seized_on,
       r.seized_until_on, r.idle_cause, r.proposed_disposal, r.registered_area_m2, r.title_no, r.note,
       r.end_reason, r.illustrative, r.source, r.source_crs, r.revision AS row_revision,
       s.sets AS derived_sets,
       t.approval_age_years,
       CASE WHEN t.approval_age_years < 1 THEN '0-1' WHEN t.approval_age_years < 2 THEN '1-2' WHEN t.approval_age_years < 3 THEN '2-3'
            WHEN t.approval_age_years < 5 THEN '3-5' WHEN t.approval_age_years >= 5 THEN '5+' END AS approval_age,
       CASE WHEN s.supplied AND NOT s.started AND r.agreed_start_on < s.day THEN s.day - r.agreed_start_on END AS start_overdue_days,
       CASE WHEN s.supplied AND NOT s.finished AND r.agreed_finish_on < s.day THEN s.day - r.agreed_finish_on END AS finish_overdue_days,
       CASE WHEN full_years(t.idle_since, s.day) >= 2 THEN 'two_years' WHEN full_years(t.idle_since, s.day) = 1 THEN 'one_year' END AS idle_stage
FROM turnover_parcel r
JOIN division c ON c.code = r.county_code
LEFT JOIN park p ON p.code = r.park_code
CROSS JOIN LATERAL (
    SELECT timer_day() AS day, turnover_sets(r.state, r.held_state) AS sets,
           coalesce(r.held_state, r.state) IN ('supplied', 'delivered', 'started', 'completed') AS supplied,
           coalesce(r.started_on <= timer_day(), coalesce(r.held_state, r.state) IN ('started', 'completed')) AS started,
           coalesce(r.finished_on <= timer_day(), coalesce(r.held_state, r.state) = 'completed') AS finished) s
CROSS JOIN LATERAL (
    SELECT CASE WHEN 'approved_not_supplied' = ANY (s.sets) AND r.approved_on <= s.day THEN full_years(r.approved_on, s.day) END AS approval_age_years,
           CASE WHEN s.supplied AND NOT s.finished THEN
               CASE WHEN NOT s.started AND r.agreed_start_on <= s.day THEN r.agreed_start_on
                    WHEN s.started AND r.stopped_on <= s.day
                         AND (r.started_area_m2 / coalesce(nullif(r.supplied_area_m2, 0), r.area_m2) < 1.0 / 3 OR r.invested_percent < 25) THEN r.stopped_on END
           END AS idle_since) t
$view$);

SELECT publish_layer_view('layer_low_efficiency_parcels', $view$
SELECT r.id AS feature_id, r.geom, nullif(r.valid_from, '-infinity') AS valid_from, nullif(r.valid_to, 'infinity') AS valid_to,
       r.id, r.number, r.name, r.county_code, c.name AS county_name,
       r.park_code, p.name AS park_name, r.block_id, round(r.inside_share::numeric, 4) AS inside_share,
       r.stated_park, CASE WHEN r.stated_park IS NOT NULL THEN r.stated_park_code IS NOT DISTINCT FROM r.park_code END AS park_agrees,
       r.state, ledger_state_label('low_efficiency', r.state) AS state_label, r.held_state, r.state_on,
       r.stated_area_m2, round(r.area_m2::numeric, 2) AS computed_area_m2,
       round((r.area_m2 / 10000)::numeric, 4) AS computed_area_ha, round((r.area_m2 * 3 / 2000)::numeric, 2) AS computed_area_mu,
       r.survey_unit_no, r.survey_area_no, r.town, r.location, r.use_state, r.is_low_efficiency,
       r.low_efficiency_kind, r.land_use_system, r.land_use_code, r.current_use, r.industry, r.ownership,
       r.used_since_on, r.production_stopped, r.planned_use, r.redevelopment_mode, r.redevelopment_progress,
       r.in_village_renewal, r.legacy_area_m2, r.owner, r.title_no, r.registered_on, r.registered_area_m2,
       r.registered_use, r.right_type, r.approval_doc, r.approved_on, r.approved_area_m2, r.approved_use,
       r.penalty_no, r.floor_area_ratio, r.building_density, r.fixed_investment_per_ha, r.tax_per_ha,
       r.output_per_ha, r.environment, r.services, r.criteria_year, r.verified_on, r.publicised_on, r.recognised_on,
       r.recognition_doc, r.accepted_on, r.closed_on, r.mortgage, r.seized_by, r.note,
       r.end_reason, r.illustrative, r.source, r.source_crs, r.revision AS row_revision,
       l.id AS plan_id, l.number AS plan_no, l.state AS plan_state, l.deadline_on AS plan_deadline_on
FROM low_efficiency_parcel r
JOIN division c ON c.code = r.county_code
LEFT JOIN park p ON p.code = r.park_code
-- of the day asked about
LEFT JOIN redevelopment_plan l ON l.parcel_id = r.id AND l.state <> 'cancelled'
    AND (on_day() IS NULL AND l.valid_to = 'infinity' OR l.valid_from <= on_day() AND l.valid_to > on_day())
$view$);

-- On the land of its parcel as it stands, or stood last.
SELECT publish_layer_view('layer_redevelopment_plans', $view$
SELECT r.id AS feature_id, g.geom, nullif(r.valid_from, '-infinity') AS valid_from, nullif(r.valid_to, 'infinity') AS valid_to,
       r.id, r.number, r.name, r.county_code, c.name AS county_name, r.parcel_id, g.name AS parcel_name, g.park_code, g.park_name,
       r.state, ledger_state_label('plan', r.state) AS state_label, r.state_on,
       r.mode, r.planned_use, r.planned_floor_area_ratio, r.planned_building_density, r.planned_investment_per_ha,
       r.planned_tax_per_mu, r.implementer, r.funding, r.budget_10k_yuan, r.responsible_unit, r.deadline_on,
       r.approval_doc, r.approved_on, r.acceptance_doc, r.accepted_on, r.note,
       s.steps, s.steps_open, r.end_reason, r.illustrative, r.source, r.revision AS row_revision
FROM redevelopment_plan r
JOIN division c ON c.code = r.county_code
LEFT JOIN LATERAL (
    SELECT a.geom, a.name, a.park_code, p.name AS park_name FROM low_efficiency_parcel a LEFT JOIN park p ON p.code = a.park_code
    WHERE a.id = r.parcel_id ORDER BY a.valid_from DESC LIMIT 1) g ON true
LEFT JOIN LATERAL (
    SELECT array_agg(concat(t.ordinal, ' ', t.task, '；期限 ' || t.due_on, '；完成 ' || t.done_on) ORDER BY t.ordinal) AS steps,
           count(*) FILTER (WHERE t.done_on IS NULL)::integer AS steps_open
    FROM plan_step t WHERE t.plan_id = r.id) s ON true
$view$);
