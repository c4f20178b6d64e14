-- The register: divisions, parks and their blocks, directories, events, and the revision log behind them all.
-- Geometry is stored in EPSG:4490 (CGCS2000), longitude first, exactly as read: ring start and direction of the
-- source file are kept, so that a boundary-point file comes out as it went in. GeoJSON orients rings on the way out.

CREATE EXTENSION IF NOT EXISTS postgis;
CREATE EXTENSION IF NOT EXISTS btree_gist;

-- ---------------------------------------------------------------------------------------------------------------
-- Revision log
-- ---------------------------------------------------------------------------------------------------------------

-- One row per write transaction. Numbers are taken under one lock that is held to commit, so they are gap-free in
-- commit order: a reader that has seen revision n has seen every revision before it.
CREATE TABLE revision (
    number          bigint      NOT NULL,
    made_at         timestamptz NOT NULL,
    actor           text        NOT NULL,
    reason          text        NOT NULL,
    -- file name, request id or command that caused the write
    source          text        NOT NULL DEFAULT '',
    previous_hash   bytea       NOT NULL,
    -- sealed by a deferred trigger at commit; NULL only inside the writing transaction
    hash            bytea,
    change_count    integer,
    CONSTRAINT revision_pkey PRIMARY KEY (number),
    CONSTRAINT revision_number_positive CHECK (number > 0),
    CONSTRAINT revision_actor_given CHECK (actor <> ''),
    CONSTRAINT revision_reason_given CHECK (reason <> '')
);
COMMENT ON TABLE revision IS 'one row per write transaction, hash-chained, append only';

-- Each touched row of a tracked table, before and after, in the order of writing.
CREATE TABLE change (
    revision    bigint  NOT NULL,
    ordinal     integer NOT NULL,
    layer       text    NOT NULL,
    feature_id  text    NOT NULL,
    operation   text    NOT NULL,
    -- the whole row as JSON, geometry as hex EWKB (exact, unlike GeoJSON)
    before      jsonb,
    after       jsonb,
    digest      bytea   NOT NULL,
    CONSTRAINT change_pkey PRIMARY KEY (revision, ordinal),
    CONSTRAINT change_revision_fkey FOREIGN KEY (revision) REFERENCES revision (number),
    CONSTRAINT change_operation_known CHECK (operation IN ('insert', 'update', 'delete')),
    CONSTRAINT change_sides_match_operation CHECK (
        (operation = 'insert' AND before IS NULL AND after IS NOT NULL)
        OR (operation = 'update' AND before IS NOT NULL AND after IS NOT NULL)
        OR (operation = 'delete' AND before IS NOT NULL AND after IS NULL))
);
CREATE INDEX change_feature_idx ON change (layer, feature_id, revision);
COMMENT ON TABLE change IS 'what each revision did, row by row; the truth behind the current tables';

-- Digest of one change: every column that carries meaning, separated so that no two rows share a preimage.
CREATE FUNCTION change_digest(revision bigint, ordinal integer, layer text, feature_id text, operation text,
                              before jsonb, after jsonb)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(jsonb_build_array(revision, ordinal, layer, feature_id, operation, before, after)::text, 'UTF8'))
$$;

-- Hash of a revision: its head, the hash before it, and the digests of its changes in order.
CREATE FUNCTION revision_hash(number bigint, made_at timestamptz, actor text, reason text, source text,
                              previous_hash bytea, change_count integer, digests bytea)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(
        previous_hash
        || convert_to(jsonb_build_array(number, (extract(epoch FROM made_at) * 1000000)::bigint, actor, reason, source, change_count)::text, 'UTF8')
        || digests)
$$;

-- Opens the next revision of this transaction. The advisory lock makes writers queue here and is held to commit.
CREATE FUNCTION open_revision(by_actor text, for_reason text, from_source text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    last revision%ROWTYPE;
    next_number bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7226041, 1);
    IF coalesce(current_setting('sizhi.revision', true), '') <> '' THEN
        RAISE EXCEPTION 'a revision is already open in this transaction' USING ERRCODE = 'object_in_use';
    END IF;
    SELECT * INTO last FROM revision ORDER BY number DESC LIMIT 1;
    next_number := coalesce(last.number, 0) + 1;
    INSERT INTO revision (number, made_at, actor, reason, source, previous_hash)
    VALUES (next_number, clock_timestamp(), by_actor, for_reason, from_source,
            coalesce(last.hash, sha256(convert_to('sizhi', 'UTF8'))));
    PERFORM set_config('sizhi.revision', next_number::text, true);
    RETURN next_number;
END $$;

-- Seals a revision at commit: after this nothing of it can change without `audit verify` naming it.
CREATE FUNCTION seal_revision() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    n integer;
    digests bytea;
BEGIN
    SELECT count(*), coalesce(string_agg(c.digest, ''::bytea ORDER BY c.ordinal), ''::bytea)
      INTO n, digests FROM change c WHERE c.revision = NEW.number;
    UPDATE revision r
       SET change_count = n,
           hash = revision_hash(r.number, r.made_at, r.actor, r.reason, r.source, r.previous_hash, n, digests)
     WHERE r.number = NEW.number;
    -- A doorbell only: whoever misses it finds the same in the log.
    PERFORM pg_notify('sizhi_revision', NEW.number::text);
    PERFORM set_config('sizhi.revision', '', true);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER revision_seal AFTER INSERT ON revision
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION seal_revision();

-- Append only: the log may be sealed once and never altered. (The owner can drop the trigger; the hashes still tell.)
CREATE FUNCTION refuse_log_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Nested, since a condition is planned whole and the other tables have no hash to look at.
    IF TG_TABLE_NAME = 'revision' AND TG_OP = 'UPDATE' THEN
        IF OLD.hash IS NULL AND NEW.hash IS NOT NULL THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the revision log is append only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER revision_append_only BEFORE UPDATE OR DELETE ON revision
    FOR EACH ROW EXECUTE FUNCTION refuse_log_change();
CREATE TRIGGER change_append_only BEFORE UPDATE OR DELETE ON change
    FOR EACH ROW EXECUTE FUNCTION refuse_log_change();
CREATE TRIGGER revision_no_truncate BEFORE TRUNCATE ON revision
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_log_change();
CREATE TRIGGER change_no_truncate BEFORE TRUNCATE ON change
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_log_change();

-- A revision without a hash is seen by its own transaction alone, so a setting that was forged opens no sealed one.
CREATE FUNCTION current_revision() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    open bigint := nullif(current_setting('sizhi.revision', true), '');
BEGIN
    IF NOT EXISTS (SELECT 1 FROM revision WHERE number = open AND hash IS NULL) THEN
        RAISE EXCEPTION 'no revision is open: every write goes through open_revision()' USING ERRCODE = 'invalid_transaction_state';
    END IF;
    RETURN open;
END $$;

-- Rows as JSON for the log; geometry exact. `row_json` must carry the table's own columns and nothing else.
CREATE FUNCTION loggable(row_json jsonb, geom geometry) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN row_json ? 'geom'
        THEN row_json || jsonb_build_object('geom', CASE WHEN geom IS NULL THEN NULL ELSE encode(ST_AsEWKB(geom), 'hex') END)
        ELSE row_json END
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Register tables. Every one has `revision`: the revision that wrote the row as it stands.
-- ---------------------------------------------------------------------------------------------------------------

-- Finite, inside the province with a margin (Hunan 108.79-114.26 E, 24.64-30.13 N, in whole degrees outward).
-- PostGIS calls some absurd coordinates valid and then computes NaN, hence bounds and validity both.
-- The body is bound when created (no `AS $$`): a restore loads data with an empty search path and must still find ST_XMin.
CREATE FUNCTION inside_province_margin(geom geometry) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ST_XMin(geom) >= 108 AND ST_XMax(geom) <= 115 AND ST_YMin(geom) >= 24 AND ST_YMax(geom) <= 31;

-- 行政区划. GB/T 2260 codes, plus statistics-only and superseded codes that users paste; those name the real one.
CREATE TABLE division (
    code        text    NOT NULL,
    name        text    NOT NULL,
    level       text    NOT NULL,
    parent_code text,
    -- 'statistical' and 'superseded' codes are accepted as input and replaced by this one
    maps_to     text,
    note        text,
    source      text    NOT NULL,
    geom        geometry(MultiPolygon, 4490),
    revision    bigint  NOT NULL,
    CONSTRAINT division_pkey PRIMARY KEY (code),
    CONSTRAINT division_code_format CHECK (code ~ '^[1-9][0-9]{5}$'),
    CONSTRAINT division_level_known CHECK (level IN ('province', 'prefecture', 'county', 'statistical', 'superseded')),
    CONSTRAINT division_name_given CHECK (name <> ''),
    CONSTRAINT division_parent_fkey FOREIGN KEY (parent_code) REFERENCES division (code) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT division_maps_to_fkey FOREIGN KEY (maps_to) REFERENCES division (code) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT division_geom_in_province CHECK (geom IS NULL OR inside_province_margin(geom)),
    CONSTRAINT division_geom_valid CHECK (geom IS NULL OR ST_IsValid(geom)),
    CONSTRAINT division_revision_fkey FOREIGN KEY (revision) REFERENCES revision (number)
);
CREATE INDEX division_geom_idx ON division USING gist (geom);
CREATE INDEX division_parent_idx ON division (parent_code);

-- 产业园区. The code is the one of the national catalogue: G|S, province, type digit, serial.
CREATE TABLE park (
    code                text    NOT NULL,
    name                text    NOT NULL,
    aliases             text[]  NOT NULL DEFAULT '{}',
    -- 国家级 | 省级
    level               text    NOT NULL,
    -- 经济技术开发区, 高新技术产业开发区, 海关特殊监管区域, 省级经济开发区, ...: the catalogue's own words
    type                text    NOT NULL,
    prefecture_code     text    NOT NULL,
    county_codes        text[]  NOT NULL DEFAULT '{}',
    leading_industries  text[]  NOT NULL DEFAULT '{}',
    -- 批准时间 as printed (year.month); valid_from holds its first day
    approved_text       text,
    -- 核准面积: of the approving document, changed only by a document; never the computed area
    approved_area_ha    numeric(12, 4),
    administrator       text,
    status              text    NOT NULL DEFAULT 'active',
    successor_code      text,
    valid_from          date    NOT NULL DEFAULT '-infinity',
    valid_to            date    NOT NULL DEFAULT 'infinity',
    source              text    NOT NULL,
    revision            bigint  NOT NULL,
    CONSTRAINT park_pkey PRIMARY KEY (code),
    CONSTRAINT park_code_format CHECK (code ~ '^[GS][0-9]{6}$'),
    CONSTRAINT park_name_given CHECK (name <> ''),
    CONSTRAINT park_level_known CHECK (level IN ('国家级', '省级')),
    CONSTRAINT park_level_matches_code CHECK ((level = '国家级') = (left(code, 1) = 'G')),
    CONSTRAINT park_status_known CHECK (status IN ('active', 'under_adjustment', 'merged', 'revoked')),
    CONSTRAINT park_life_ordered CHECK (valid_from < valid_to),
    CONSTRAINT park_approved_area_positive CHECK (approved_area_ha > 0),
    CONSTRAINT park_prefecture_fkey FOREIGN KEY (prefecture_code) REFERENCES division (code),
    CONSTRAINT park_successor_fkey FOREIGN KEY (successor_code) REFERENCES park (code) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT park_revision_fkey FOREIGN KEY (revision) REFERENCES revision (number)
);
CREATE INDEX park_prefecture_idx ON park (prefecture_code);

-- 区块: one piece of a park with its own boundary, its own four extents and its own stated area.
-- One id lives through several rows, one per period [valid_from, valid_to).
CREATE TABLE park_block (
    id              text    NOT NULL,
    park_code       text    NOT NULL,
    number          text    NOT NULL,
    name            text,
    geom            geometry(MultiPolygon, 4490) NOT NULL,
    -- ellipsoidal area by the survey formula, unrounded
    area_m2         double precision NOT NULL,
    -- area of the paper, kept beside the computed one
    stated_area_ha  numeric(14, 6),
    -- 四至 words, verbatim
    east            text,
    south           text,
    west            text,
    north           text,
    four_extents    text,
    -- drawn by a generator, not surveyed; `source` says 示意
    illustrative    boolean NOT NULL DEFAULT false,
    source          text    NOT NULL,
    -- the coordinate system of the source file, e.g. EPSG:4526
    source_crs      text,
    -- what the file said beyond our own columns, by its own field names
    attributes      jsonb   NOT NULL DEFAULT '{}',
    valid_from      date    NOT NULL DEFAULT '-infinity',
    valid_to        date    NOT NULL DEFAULT 'infinity',
    revision        bigint  NOT NULL,
    CONSTRAINT park_block_pkey PRIMARY KEY (id, valid_from),
    CONSTRAINT park_block_id_holds_park CHECK (id = park_code || '-' || number),
    CONSTRAINT park_block_number_format CHECK (number <> '' AND length(number) <= 64 AND number !~ '[[:space:][:cntrl:]/]'),
    CONSTRAINT park_block_park_fkey FOREIGN KEY (park_code) REFERENCES park (code),
    CONSTRAINT park_block_geom_in_province CHECK (inside_province_margin(geom)),
    CONSTRAINT park_block_geom_valid CHECK (ST_IsValid(geom)),
    CONSTRAINT park_block_geom_not_empty CHECK (NOT ST_IsEmpty(geom)),
    -- the upper bound also refuses NaN and Infinity, which PostgreSQL sorts above every number
    CONSTRAINT park_block_area_finite CHECK (area_m2 > 0 AND area_m2 < 1e11),
    CONSTRAINT park_block_stated_area_positive CHECK (stated_area_ha > 0),
    CONSTRAINT park_block_life_ordered CHECK (valid_from < valid_to),
    CONSTRAINT park_block_one_at_a_time EXCLUDE USING gist (id WITH =, daterange(valid_from, valid_to) WITH &&),
    CONSTRAINT park_block_revision_fkey FOREIGN KEY (revision) REFERENCES revision (number)
);
CREATE INDEX park_block_geom_idx ON park_block USING gist (geom);
CREATE INDEX park_block_park_idx ON park_block (park_code);

-- 园区目录 of one date: what a published document says of each park.
CREATE TABLE directory_version (
    id          text NOT NULL,
    title       text NOT NULL,
    document_no text,
    issued_on   date,
    source      text NOT NULL,
    revision    bigint NOT NULL,
    CONSTRAINT directory_version_pkey PRIMARY KEY (id),
    CONSTRAINT directory_version_revision_fkey FOREIGN KEY (revision) REFERENCES revision (number)
);
CREATE TABLE directory_entry (
    version_id          text    NOT NULL,
    park_code           text    NOT NULL,
    serial              integer,
    name                text    NOT NULL,
    area_ha             numeric(12, 4),
    approved_text       text,
    leading_industries  text[]  NOT NULL DEFAULT '{}',
    four_extents        text,
    revision            bigint  NOT NULL,
    CONSTRAINT directory_entry_pkey PRIMARY KEY (version_id, park_code),
    CONSTRAINT directory_entry_version_fkey FOREIGN KEY (version_id) REFERENCES directory_version (id),
    CONSTRAINT directory_entry_park_fkey FOREIGN KEY (park_code) REFERENCES park (code),
    CONSTRAINT directory_entry_area_positive CHECK (area_ha > 0),
    CONSTRAINT directory_entry_revision_fkey FOREIGN KEY (revision) REFERENCES revision (number)
);
CREATE INDEX directory_entry_park_idx ON directory_entry (park_code);

-- Lineage: 设立, 更名, 升级, 扩区, 调区, 调区扩区, 拆分, 并入, 撤销. Areas in hectares as the notice prints them.
CREATE TABLE park_event (
    id                  text    NOT NULL,
    park_code           text    NOT NULL,
    kind                text    NOT NULL,
    -- as printed; occurred_on only where the day is known
    occurred_text       text,
    occurred_on         date,
    stage               text,
    document_no         text,
    area_before_ha      numeric(12, 4),
    area_out_ha         numeric(12, 4),
    area_in_ha          numeric(12, 4),
    area_after_ha       numeric(12, 4),
    block_areas_ha      numeric(12, 4)[] NOT NULL DEFAULT '{}',
    related_park_codes  text[]  NOT NULL DEFAULT '{}',
    note                text,
    source              text    NOT NULL,
    revision            bigint  NOT NULL,
    CONSTRAINT park_event_pkey PRIMARY KEY (id),
    CONSTRAINT park_event_park_fkey FOREIGN KEY (park_code) REFERENCES park (code),
    CONSTRAINT park_event_kind_known CHECK (kind IN ('established', 'renamed', 'upgraded', 'extended', 'adjusted',
        'adjusted_and_extended', 'split', 'merged_into', 'revoked')),
    -- before − 调出 + 新扩入 = after, to the digit
    CONSTRAINT park_event_area_arithmetic CHECK (area_before_ha - area_out_ha + area_in_ha = area_after_ha),
    CONSTRAINT park_event_revision_fkey FOREIGN KEY (revision) REFERENCES revision (number)
);
CREATE INDEX park_event_park_idx ON park_event (park_code);

-- One upload or command-line import, from dry run to commit to undo. Not part of the revision log: it points into it.
CREATE TABLE import_batch (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    status          text        NOT NULL,
    layer           text        NOT NULL,
    file_name       text        NOT NULL,
    file_sha256     bytea       NOT NULL,
    file_size       bigint      NOT NULL,
    options         jsonb       NOT NULL,
    -- the whole dry-run report
    report          jsonb       NOT NULL,
    actor           text        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- content of a checked upload, kept until it is committed, dropped or a day old
    content         bytea,
    revision        bigint,
    undone_revision bigint,
    CONSTRAINT import_batch_pkey PRIMARY KEY (id),
    CONSTRAINT import_batch_status_known CHECK (status IN ('checked', 'refused', 'committed', 'unchanged', 'undone')),
    CONSTRAINT import_batch_revision_fkey FOREIGN KEY (revision) REFERENCES revision (number) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT import_batch_undone_revision_fkey FOREIGN KEY (undone_revision) REFERENCES revision (number) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT import_batch_committed_has_revision CHECK ((status IN ('committed', 'undone')) = (revision IS NOT NULL)),
    CONSTRAINT import_batch_undone_has_revision CHECK ((status = 'undone') = (undone_revision IS NOT NULL))
);
CREATE INDEX import_batch_revision_idx ON import_batch (revision);

-- ---------------------------------------------------------------------------------------------------------------
-- Tracking: statement-level triggers with transition tables, so that 50,000 rows cost one statement.
-- Trigger arguments: the feature id and the geometry of row n, and how old (m) and new (n) rows pair.
-- ---------------------------------------------------------------------------------------------------------------
CREATE FUNCTION stamp_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := current_revision();
    RETURN NEW;
END $$;

CREATE FUNCTION log_inserts() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    r bigint := current_revision();
    base integer;
BEGIN
    SELECT coalesce(max(ordinal), 0) INTO base FROM change WHERE revision = r;
    EXECUTE format($f$
        INSERT INTO change (revision, ordinal, layer, feature_id, operation, before, after, digest)
        SELECT $1, o, %L, f, 'insert', NULL, a, change_digest($1, o, %L, f, 'insert', NULL, a)
        FROM (SELECT $2 + row_number() OVER (ORDER BY %s)::integer AS o, %s AS f, loggable(to_jsonb(n), %s) AS a FROM new_rows n) t
    $f$, TG_TABLE_NAME, TG_TABLE_NAME, TG_ARGV[0], TG_ARGV[0], TG_ARGV[1]) USING r, base;
    RETURN NULL;
END $$;

CREATE FUNCTION log_deletes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    r bigint := current_revision();
    base integer;
BEGIN
    SELECT coalesce(max(ordinal), 0) INTO base FROM change WHERE revision = r;
    EXECUTE format($f$
        INSERT INTO change (revision, ordinal, layer, feature_id, operation, before, after, digest)
        SELECT $1, o, %L, f, 'delete', b, NULL, change_digest($1, o, %L, f, 'delete', b, NULL)
        FROM (SELECT $2 + row_number() OVER (ORDER BY %s)::integer AS o, %s AS f, loggable(to_jsonb(n), %s) AS b FROM old_rows n) t
    $f$, TG_TABLE_NAME, TG_TABLE_NAME, TG_ARGV[0], TG_ARGV[0], TG_ARGV[1]) USING r, base;
    RETURN NULL;
END $$;

-- Keys never change in an update (the store only updates other columns), so old and new rows pair by key.
CREATE FUNCTION log_updates() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    r bigint := current_revision();
    base integer;
    touched bigint;
    logged bigint;
BEGIN
    SELECT coalesce(max(ordinal), 0) INTO base FROM change WHERE revision = r;
    EXECUTE format($f$
        INSERT INTO change (revision, ordinal, layer, feature_id, operation, before, after, digest)
        SELECT $1, o, %L, f, 'update', b, a, change_digest($1, o, %L, f, 'update', b, a)
        FROM (SELECT $2 + row_number() OVER (ORDER BY %s)::integer AS o, %s AS f,
                     loggable(to_jsonb(m), %s) AS b, loggable(to_jsonb(n), %s) AS a
              FROM new_rows n JOIN old_rows m ON %s) t
    $f$, TG_TABLE_NAME, TG_TABLE_NAME, TG_ARGV[0], TG_ARGV[0], replace(TG_ARGV[1], 'n.', 'm.'), TG_ARGV[1], TG_ARGV[2]) USING r, base;
    GET DIAGNOSTICS logged = ROW_COUNT;
    SELECT count(*) INTO touched FROM new_rows;
    IF touched <> logged THEN
        RAISE EXCEPTION 'an update of % changed a key', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER division_stamp BEFORE INSERT OR UPDATE ON division FOR EACH ROW EXECUTE FUNCTION stamp_revision();
CREATE TRIGGER division_log_insert AFTER INSERT ON division REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_inserts('n.code', 'n.geom');
CREATE TRIGGER division_log_delete AFTER DELETE ON division REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION log_deletes('n.code', 'n.geom');
CREATE TRIGGER division_log_update AFTER UPDATE ON division REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_updates('n.code', 'n.geom', 'n.code = m.code');
CREATE TRIGGER division_no_truncate BEFORE TRUNCATE ON division FOR EACH STATEMENT EXECUTE FUNCTION refuse_log_change();
CREATE TRIGGER park_stamp BEFORE INSERT OR UPDATE ON park FOR EACH ROW EXECUTE FUNCTION stamp_revision();
CREATE TRIGGER park_log_insert AFTER INSERT ON park REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_inserts('n.code', 'NULL::geometry');
CREATE TRIGGER park_log_delete AFTER DELETE ON park REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION log_deletes('n.code', 'NULL::geometry');
CREATE TRIGGER park_log_update AFTER UPDATE ON park REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_updates('n.code', 'NULL::geometry', 'n.code = m.code');
CREATE TRIGGER park_no_truncate BEFORE TRUNCATE ON park FOR EACH STATEMENT EXECUTE FUNCTION refuse_log_change();
CREATE TRIGGER park_block_stamp BEFORE INSERT OR UPDATE ON park_block FOR EACH ROW EXECUTE FUNCTION stamp_revision();
CREATE TRIGGER park_block_log_insert AFTER INSERT ON park_block REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_inserts('n.id', 'n.geom');
CREATE TRIGGER park_block_log_delete AFTER DELETE ON park_block REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION log_deletes('n.id', 'n.geom');
CREATE TRIGGER park_block_log_update AFTER UPDATE ON park_block REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_updates('n.id', 'n.geom', 'n.id = m.id AND n.valid_from = m.valid_from');
CREATE TRIGGER park_block_no_truncate BEFORE TRUNCATE ON park_block FOR EACH STATEMENT EXECUTE FUNCTION refuse_log_change();
CREATE TRIGGER directory_version_stamp BEFORE INSERT OR UPDATE ON directory_version FOR EACH ROW EXECUTE FUNCTION stamp_revision();
CREATE TRIGGER directory_version_log_insert AFTER INSERT ON directory_version REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_inserts('n.id', 'NULL::geometry');
CREATE TRIGGER directory_version_log_delete AFTER DELETE ON directory_version REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION log_deletes('n.id', 'NULL::geometry');
CREATE TRIGGER directory_version_log_update AFTER UPDATE ON directory_version REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_updates('n.id', 'NULL::geometry', 'n.id = m.id');
CREATE TRIGGER directory_version_no_truncate BEFORE TRUNCATE ON directory_version FOR EACH STATEMENT EXECUTE FUNCTION refuse_log_change();
CREATE TRIGGER directory_entry_stamp BEFORE INSERT OR UPDATE ON directory_entry FOR EACH ROW EXECUTE FUNCTION stamp_revision();
CREATE TRIGGER directory_entry_log_insert AFTER INSERT ON directory_entry REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_inserts('n.version_id || ''@'' || n.park_code', 'NULL::geometry');
CREATE TRIGGER directory_entry_log_delete AFTER DELETE ON directory_entry REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION log_deletes('n.version_id || ''@'' || n.park_code', 'NULL::geometry');
CREATE TRIGGER directory_entry_log_update AFTER UPDATE ON directory_entry REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_updates('n.version_id || ''@'' || n.park_code', 'NULL::geometry', 'n.version_id = m.version_id AND n.park_code = m.park_code');
CREATE TRIGGER directory_entry_no_truncate BEFORE TRUNCATE ON directory_entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_log_change();
CREATE TRIGGER park_event_stamp BEFORE INSERT OR UPDATE ON park_event FOR EACH ROW EXECUTE FUNCTION stamp_revision();
CREATE TRIGGER park_event_log_insert AFTER INSERT ON park_event REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_inserts('n.id', 'NULL::geometry');
CREATE TRIGGER park_event_log_delete AFTER DELETE ON park_event REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION log_deletes('n.id', 'NULL::geometry');
CREATE TRIGGER park_event_log_update AFTER UPDATE ON park_event REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION log_updates('n.id', 'NULL::geometry', 'n.id = m.id');
CREATE TRIGGER park_event_no_truncate BEFORE TRUNCATE ON park_event FOR EACH STATEMENT EXECUTE FUNCTION refuse_log_change();

-- ---------------------------------------------------------------------------------------------------------------
-- Undo: a new revision that restores what stood before another one.
-- ---------------------------------------------------------------------------------------------------------------

-- Which row of its table a log row speaks of: a block's id lives through several rows.
CREATE FUNCTION change_key(layer text, feature_id text, before jsonb, after jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE layer WHEN 'park_block' THEN feature_id || '@' || (coalesce(after, before) ->> 'valid_from') ELSE feature_id END;

-- Rows of the target revision that stand otherwise now: undo would overwrite a later change. A row that was changed later and
-- brought back since (by another undo) stands in nobody's way.
CREATE FUNCTION undo_conflicts(target bigint)
RETURNS TABLE (layer text, feature_id text, later_revision bigint) LANGUAGE sql STABLE AS $$
    WITH touched AS (
        SELECT DISTINCT ON (c.layer, key) c.layer, c.feature_id, key, c.after
        FROM change c, LATERAL (SELECT change_key(c.layer, c.feature_id, c.before, c.after) AS key) k
        WHERE c.revision = target
        ORDER BY c.layer, key, c.ordinal DESC)
    SELECT t.layer, t.feature_id, l.first_later
    FROM touched t
    CROSS JOIN LATERAL (
        SELECT min(c.revision) AS first_later, (array_agg(c.after ORDER BY c.revision DESC, c.ordinal DESC))[1] AS now
        FROM change c
        WHERE c.layer = t.layer AND c.feature_id = t.feature_id AND c.revision > target
          AND change_key(c.layer, c.feature_id, c.before, c.after) = t.key) l
    WHERE l.first_later IS NOT NULL AND (l.now - 'revision') IS DISTINCT FROM (t.after - 'revision')
    ORDER BY 3, 1, 2
$$;

-- Restores the `before` of every row the target revision touched; needs an open revision. Parents are inserted before
-- children and deleted after them.
CREATE FUNCTION restore_before(target bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    tables constant text[] := ARRAY['division', 'park', 'directory_version', 'directory_entry', 'park_block', 'park_event'];
    keys constant jsonb := '{"division": ["code"], "park": ["code"], "directory_version": ["id"],
        "directory_entry": ["version_id", "park_code"], "park_block": ["id", "valid_from"], "park_event": ["id"]}';
    name text;
    columns text;
    rows text;
    by_key text;
    pass integer;
BEGIN
    FOR pass IN 1..2 LOOP
        -- Pass 1 deletes, children first; pass 2 updates and inserts, parents first.
        FOR i IN 1..array_length(tables, 1) LOOP
            name := tables[CASE pass WHEN 1 THEN array_length(tables, 1) + 1 - i ELSE i END];
            SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) INTO columns
              FROM pg_attribute a WHERE a.attrelid = name::regclass AND a.attnum > 0 AND NOT a.attisdropped;
            SELECT string_agg(format('t.%1$I = r.%1$I', k), ' AND ') INTO by_key
              FROM jsonb_array_elements_text(keys -> name) k;
            -- Per key the first state (what stood before the revision).
            rows := format(
                'SELECT DISTINCT ON (%1$s) c.before IS NULL AS was_absent, (jsonb_populate_record(NULL::%2$I, coalesce(c.before, c.after))).*
                 FROM change c WHERE c.revision = $1 AND c.layer = %2$L ORDER BY %1$s, c.ordinal',
                (SELECT string_agg(format('coalesce(c.before, c.after) ->> %L', k), ', ') FROM jsonb_array_elements_text(keys -> name) k),
                name);
            IF pass = 1 THEN
                EXECUTE format('DELETE FROM %I t USING (%s) r WHERE r.was_absent AND %s', name, rows, by_key) USING target;
            ELSE
                EXECUTE format('UPDATE %I t SET (%s) = (SELECT %s) FROM (%s) r WHERE NOT r.was_absent AND %s',
                    name, columns, (SELECT string_agg('r.' || c, ', ') FROM unnest(string_to_array(columns, ', ')) c), rows, by_key) USING target;
                EXECUTE format('INSERT INTO %1$I (%2$s) SELECT %3$s FROM (%4$s) r WHERE NOT r.was_absent
                    AND NOT EXISTS (SELECT 1 FROM %1$I t WHERE %5$s)',
                    name, columns, (SELECT string_agg('r.' || c, ', ') FROM unnest(string_to_array(columns, ', ')) c), rows, by_key) USING target;
            END IF;
        END LOOP;
    END LOOP;
END $$;
