-- The register: divisions, parks and their blocks, directories, events, and the revision log behind them all.
-- Geometry is stored in EPSG:4490 (CGCS2000), longitude first, exactly as read: ring start and direction of the
-- source file are kept, so that a boundary-point file comes out as it went in. GeoJSON orients rings on the way out.

CREATE EXTENSION IF NOT EXISTS postgis;

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
    layer       text    COLLATE "C" NOT NULL,
    feature_id  text    COLLATE "C" NOT NULL,
    operation   text    NOT NULL,
    -- the whole row as JSON but for its geometry, which stands beside it as EWKB: exact, and half as long as in JSON. Text, not
    -- jsonb: it is written once and hashed, both as text, and seldom read
    before      json,
    after       json,
    before_geom bytea,
    after_geom  bytea,
    digest      bytea   NOT NULL,
    CONSTRAINT change_pkey PRIMARY KEY (revision, ordinal),
    CONSTRAINT change_operation_known CHECK (operation IN ('insert', 'update', 'delete')),
    -- (that the revision exists is for the audit to tell: a foreign key costs a look-up a row)
    CONSTRAINT change_sides_match_operation CHECK (
        (operation = 'insert' AND before IS NULL AND after IS NOT NULL)
        OR (operation = 'update' AND before IS NOT NULL AND after IS NOT NULL)
        OR (operation = 'delete' AND before IS NOT NULL AND after IS NULL))
);
-- The later life of a feature. Inserts are left out, most rows of an import and an eighth of its time: an insert is found through
-- what came after it, since a row names the revision that wrote it, where it stands as where it is logged as `before`.
-- By id first: ids of different layers seldom meet, and an index that is compared on one column is written faster.
CREATE INDEX change_feature_idx ON change (feature_id, revision) WHERE operation <> 'insert';
-- Coordinates do not compress: trying costs a bulk import more than everything else, so a log row stays as it is up to a page.
ALTER TABLE change SET (toast_tuple_target = 8160);
ALTER TABLE change ALTER before_geom SET STORAGE EXTERNAL, ALTER after_geom SET STORAGE EXTERNAL;
COMMENT ON TABLE change IS 'what each revision did, row by row; the truth behind the current tables';

-- Digest of one change: every column that carries meaning. The head tells the length of whatever could hold a bar or a line break,
-- so the preimage cannot be read in two ways. STABLE, as convert_to is: only so PostgreSQL writes the body into the calling query,
-- and a call a row would cost more than the hash.
CREATE FUNCTION change_digest(revision bigint, ordinal integer, layer text, feature_id text, operation text,
                              before json, after json, before_geom bytea, after_geom bytea)
RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(
        concat(revision, '|', ordinal, '|', length(layer), '|', layer, '|', length(feature_id), '|', feature_id, '|', operation, '|',
               length(before_geom), '|', length(after_geom), '|', octet_length(before::text), E'\n', before, E'\n', after, E'\n'), 'UTF8')
        || coalesce(before_geom, '') || coalesce(after_geom, ''))
$$;

-- Hash of a revision: its head, the hash before it, and the digests of its changes in order.
CREATE FUNCTION revision_hash(number bigint, made_at timestamptz, actor text, reason text, source text,
                              previous_hash bytea, change_count integer, digests bytea)
RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
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
    -- Ordered below the aggregate: there the index gives the order, in it every digest would be sorted.
    SELECT count(*), coalesce(string_agg(c.digest, ''::bytea), ''::bytea)
      INTO n, digests FROM (SELECT digest FROM change WHERE revision = NEW.number ORDER BY ordinal) c;
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

-- ---------------------------------------------------------------------------------------------------------------
-- Register tables. Every one has `revision`: the revision that wrote the row as it stands. Default, stamp
-- and log trigger keep it true, so no foreign key is needed (one costs a look-up a row).
-- ---------------------------------------------------------------------------------------------------------------

-- Inside the province with a margin (Hunan 108.79-114.26 E, 24.64-30.13 N, in whole degrees outward). `@` compares the boxes that
-- geometries carry, rounded outward to single precision: that holds whole degrees exactly, so nothing is rounded across them.
-- A box says nothing of NaN, so that needs a check beside this one.
-- The body is bound when created (no `AS $$`): a restore loads data with an empty search path and must still find its functions.
CREATE FUNCTION inside_province_margin(geom geometry) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN geom @ ST_MakeEnvelope(108, 24, 115, 31, 4490);

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
    CONSTRAINT division_geom_valid CHECK (geom IS NULL OR ST_IsValid(geom))
);
CREATE INDEX division_geom_idx ON division USING gist (geom);
CREATE INDEX division_parent_idx ON division (parent_code);

-- 产业园区. The code is the one of the national catalogue: G|S, province, type digit, serial.
CREATE TABLE park (
    code                text    COLLATE "C" NOT NULL,
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
    successor_code      text    COLLATE "C",
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
    CONSTRAINT park_successor_fkey FOREIGN KEY (successor_code) REFERENCES park (code) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX park_prefecture_idx ON park (prefecture_code);

-- 区块: one piece of a park with its own boundary, its own four extents and its own stated area.
-- One id lives through several rows, one per period [valid_from, valid_to).
CREATE TABLE park_block (
    -- by bytes: what a locale makes of digits and letters only costs time
    id              text    COLLATE "C" NOT NULL,
    park_code       text    COLLATE "C" NOT NULL,
    number          text    COLLATE "C" NOT NULL,
    name            text,
    geom            geometry(MultiPolygon, 4490) NOT NULL,
    -- ellipsoidal area by the survey formula, unrounded
    area_m2         double precision NOT NULL,
    -- area of the paper, kept beside the computed one
    stated_area_ha  numeric(14, 6),
    -- 四至 words, verbatim: the sides, and the whole text where the paper gives one
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
    CONSTRAINT park_block_geom_in_province CHECK (inside_province_margin(geom)),
    -- validity is judged before the database, ring by ring with its place (geometry::validity, held against ST_IsValid by tests);
    -- a CHECK of it here would cost a bulk import half its time again
    -- an empty geometry has the area 0, one NaN among its coordinates makes the area NaN
    CONSTRAINT park_block_geom_finite CHECK (sign(ST_Area(geom)) = 1),
    -- the upper bound also refuses NaN and Infinity, which PostgreSQL sorts above every number
    CONSTRAINT park_block_area_finite CHECK (area_m2 > 0 AND area_m2 < 1e11),
    CONSTRAINT park_block_stated_area_positive CHECK (stated_area_ha > 0),
    -- that the park exists, and that two lives of one block do not overlap, is checked by the triggers park_block_fits below
    CONSTRAINT park_block_life_ordered CHECK (valid_from < valid_to)
);
CREATE INDEX park_block_geom_idx ON park_block USING gist (geom);
CREATE INDEX park_block_park_idx ON park_block (park_code);
CREATE INDEX park_block_dated_idx ON park_block (id) WHERE valid_from > '-infinity';

-- 园区目录 of one date: what a published document says of each park.
CREATE TABLE directory_version (
    id          text NOT NULL,
    title       text NOT NULL,
    document_no text,
    issued_on   date,
    source      text NOT NULL,
    revision    bigint NOT NULL,
    CONSTRAINT directory_version_pkey PRIMARY KEY (id)
);
CREATE TABLE directory_entry (
    version_id          text    NOT NULL,
    park_code           text    COLLATE "C" NOT NULL,
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
    CONSTRAINT directory_entry_area_positive CHECK (area_ha > 0)
);
CREATE INDEX directory_entry_park_idx ON directory_entry (park_code);

-- Lineage: 设立, 更名, 升级, 扩区, 调区, 调区扩区, 拆分, 并入, 撤销. Areas in hectares as the notice prints them.
CREATE TABLE park_event (
    id                  text    NOT NULL,
    park_code           text    COLLATE "C" NOT NULL,
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
    CONSTRAINT park_event_area_arithmetic CHECK (area_before_ha - area_out_ha + area_in_ha = area_after_ha)
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
-- ---------------------------------------------------------------------------------------------------------------

-- The tracked tables, parents before children. A later migration adds a table by `SELECT track_table(…)`.
CREATE TABLE tracked_table (
    position    integer GENERATED ALWAYS AS IDENTITY,
    name        text    NOT NULL,
    -- SQL expression over the row `n`: what `change.feature_id` says
    feature_id  text    NOT NULL,
    -- columns of the primary key; the store never updates them
    keys        text[]  NOT NULL,
    CONSTRAINT tracked_table_pkey PRIMARY KEY (name)
);

-- SQL expression for the row `alias` without its column `geom`, to be used as a table in FROM; row_to_json of it is the row's image.
-- (Geometry as JSON would cost five times everything else.)
CREATE FUNCTION row_columns(table_name text, alias text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT '(SELECT ' || string_agg(format('%I.%I', alias, attname), ', ' ORDER BY attnum) || ')'
    FROM pg_attribute
    WHERE attrelid = table_name::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'geom'
$$;

-- SQL expression for the row's geometry as EWKB; NULL where the table has none.
CREATE FUNCTION row_geometry(table_name text, alias text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT format('%I.geom::bytea', alias) FROM pg_attribute
                     WHERE attrelid = table_name::regclass AND attname = 'geom' AND NOT attisdropped), 'NULL::bytea')
$$;

CREATE FUNCTION stamp_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := current_revision();
    RETURN NEW;
END $$;

-- Copies each touched row, before and after, to the log. Refused outside an open revision.
CREATE FUNCTION log_changes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    r bigint := current_revision();
    t tracked_table%ROWTYPE;
    base integer;
    touched bigint;
    logged bigint;
    new_image text := 'NULL::json';
    old_image text := 'NULL::json';
    new_geometry text := 'NULL::bytea';
    old_geometry text := 'NULL::bytea';
    source text;
BEGIN
    SELECT * INTO STRICT t FROM tracked_table WHERE name = TG_TABLE_NAME;
    IF TG_OP = 'INSERT' THEN
        EXECUTE 'SELECT count(*) FROM new_rows WHERE revision IS DISTINCT FROM $1' INTO touched USING r;
        IF touched > 0 THEN
            RAISE EXCEPTION '% rows of % name another revision than the open one', touched, t.name
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;
    SELECT coalesce(max(ordinal), 0) INTO base FROM change WHERE revision = r;
    IF TG_OP = 'DELETE' THEN
        old_image := 'row_to_json(old)';
        old_geometry := row_geometry(t.name, 'n');
        source := format('numbered n, LATERAL %s old', row_columns(t.name, 'n'));
    ELSE
        new_image := 'row_to_json(new)';
        new_geometry := row_geometry(t.name, 'n');
        source := format('numbered n, LATERAL %s new', row_columns(t.name, 'n'));
    END IF;
    IF TG_OP = 'UPDATE' THEN
        old_image := 'row_to_json(old)';
        old_geometry := row_geometry(t.name, 'm');
        source := format('%s, old_rows m, LATERAL %s old WHERE %s', source, row_columns(t.name, 'm'),
            (SELECT string_agg(format('n.%1$I = m.%1$I', k), ' AND ') FROM unnest(t.keys) k));
    END IF;
    -- Numbered first, while the rows are narrow. OFFSET 0 keeps the planner from writing an image into both places that use it.
    EXECUTE format($f$
        WITH numbered AS (SELECT $2 + row_number() OVER ()::integer AS ordinal_, n.* FROM %9$s n)
        INSERT INTO change (revision, ordinal, layer, feature_id, operation, before, after, before_geom, after_geom, digest)
        SELECT $1, o, %1$L, f, %2$L, b, a, bg, ag, change_digest($1, o, %1$L, f, %2$L, b, a, bg, ag)
        FROM (SELECT ordinal_ AS o, %3$s AS f, %4$s AS b, %5$s AS a, %6$s AS bg, %7$s AS ag FROM %8$s OFFSET 0) s
    $f$, t.name, lower(TG_OP), t.feature_id, old_image, new_image, old_geometry, new_geometry, source,
         CASE TG_OP WHEN 'DELETE' THEN 'old_rows' ELSE 'new_rows' END) USING r, base;
    IF TG_OP = 'UPDATE' THEN
        GET DIAGNOSTICS logged = ROW_COUNT;
        SELECT count(*) INTO touched FROM new_rows;
        IF touched <> logged THEN
            RAISE EXCEPTION 'an update of % changed a key', t.name USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;
    RETURN NULL;
END $$;

-- Puts a table under the log.
CREATE FUNCTION track_table(table_name text, by_feature_id text, VARIADIC by_keys text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tracked_table (name, feature_id, keys) VALUES (table_name, by_feature_id, by_keys);
    -- An insert that names no revision gets the open one by default; one that names another is refused by the log trigger. No
    -- trigger a row before inserts: it would keep COPY from filling pages at once.
    EXECUTE format('ALTER TABLE %1$I ALTER revision SET DEFAULT current_revision()', table_name);
    EXECUTE format('CREATE TRIGGER %1$s_stamp BEFORE UPDATE ON %1$I FOR EACH ROW
        WHEN (NEW.revision::text IS DISTINCT FROM current_setting(''sizhi.revision'', true)) EXECUTE FUNCTION stamp_revision()', table_name);
    EXECUTE format('CREATE TRIGGER %1$s_log_insert AFTER INSERT ON %1$I REFERENCING NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION log_changes()', table_name);
    EXECUTE format('CREATE TRIGGER %1$s_log_update AFTER UPDATE ON %1$I REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION log_changes()', table_name);
    EXECUTE format('CREATE TRIGGER %1$s_log_delete AFTER DELETE ON %1$I REFERENCING OLD TABLE AS old_rows
        FOR EACH STATEMENT EXECUTE FUNCTION log_changes()', table_name);
    EXECUTE format('CREATE TRIGGER %1$s_no_truncate BEFORE TRUNCATE ON %1$I
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_log_change()', table_name);
END $$;

SELECT track_table('division', 'n.code', 'code');
SELECT track_table('park', 'n.code', 'code');
SELECT track_table('directory_version', 'n.id', 'id');
SELECT track_table('directory_entry', 'n.version_id || ''@'' || n.park_code', 'version_id', 'park_code');
SELECT track_table('park_block', 'n.id', 'id', 'valid_from');
SELECT track_table('park_event', 'n.id', 'id');

-- A block's park exists, and a block has one boundary at a time. A foreign key and an exclusion constraint say the same, row by
-- row, at 6 and 80 µs each (measured on 50,000 rows); here two joins by key look at all rows of a statement. No two writers ever
-- run side by side (open_revision's lock), so nothing can slip in between.
CREATE FUNCTION check_blocks_fit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    culprit text;
BEGIN
    SELECT min(n.id) INTO culprit FROM new_rows n GROUP BY n.park_code
    HAVING NOT EXISTS (SELECT 1 FROM park p WHERE p.code = n.park_code) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'block % belongs to no park', culprit
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'park_block_park_fkey', TABLE = 'park_block';
    END IF;
    -- Where no life has a first day, the primary key lets no block have two of them.
    -- (min, because it is sure to ask the index of dated lives, where EXISTS may look through all rows.)
    SELECT min(id) INTO culprit FROM park_block WHERE valid_from > '-infinity';
    IF culprit IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT n.id INTO culprit
    FROM new_rows n JOIN park_block b ON b.id = n.id AND b.valid_from <> n.valid_from
    WHERE b.valid_from < n.valid_to AND n.valid_from < b.valid_to
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'block % has two boundaries at one time', culprit
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'park_block_one_at_a_time', TABLE = 'park_block';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER park_block_fits_insert AFTER INSERT ON park_block REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION check_blocks_fit();
CREATE TRIGGER park_block_fits_update AFTER UPDATE ON park_block REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION check_blocks_fit();

-- The other side: a park with blocks stays. (Its code never changes: log_changes refuses that.)
CREATE FUNCTION check_parks_unused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM old_rows o JOIN park_block b ON b.park_code = o.code) THEN
        RAISE EXCEPTION 'a park still has blocks'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'park_block_park_fkey', TABLE = 'park_block';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER park_unused_delete AFTER DELETE ON park REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION check_parks_unused();

-- ---------------------------------------------------------------------------------------------------------------
-- Undo: a new revision that restores what stood before another one.
-- ---------------------------------------------------------------------------------------------------------------

-- Which row of its table a log row speaks of: a block's id lives through several rows.
CREATE FUNCTION change_key(layer text, feature_id text, before json, after json) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE layer WHEN 'park_block' THEN feature_id || '@' || (coalesce(after, before) ->> 'valid_from') ELSE feature_id END;

-- Rows of the target revision that stand otherwise now: undo would overwrite a later change. A row that was changed later and
-- brought back since (by another undo) stands in nobody's way. `later_revision` is the first that changed the row after the target.
CREATE FUNCTION undo_conflicts(target bigint)
RETURNS TABLE (layer text, feature_id text, later_revision bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
    t tracked_table%ROWTYPE;
BEGIN
    -- The newest revision is undone most often, and nothing has come after it.
    IF NOT EXISTS (SELECT 1 FROM revision WHERE number > target) THEN
        RETURN;
    END IF;
    FOR t IN SELECT * FROM tracked_table ORDER BY position LOOP
        CONTINUE WHEN NOT EXISTS (SELECT 1 FROM change c WHERE c.revision = target AND c.layer = t.name);
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

-- Restores the `before` of every row the target revision touched; needs an open revision. Parents are inserted before
-- children and deleted after them.
CREATE FUNCTION restore_before(target bigint) RETURNS void LANGUAGE plpgsql AS $$
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
