-- What the register said at an earlier revision, and who is told of new ones. Why so: docs/decisions/0010-time.md.

-- ---------------------------------------------------------------------------------------------------------------
-- As of a revision
-- ---------------------------------------------------------------------------------------------------------------

-- Every tracked table and every published view once more, under the same names: the state that revision as_of_revision() left.
CREATE SCHEMA as_of;
COMMENT ON SCHEMA as_of IS 'the register as of revision sizhi.as_of: views of the tracked tables and of the published layers';

-- The revision that the transaction asks about (`set_config('sizhi.as_of', …, true)`).
CREATE FUNCTION as_of_revision() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT current_setting('sizhi.as_of')::bigint
$$;

-- The day that the transaction asks about (`datetime`); NULL = today.
CREATE FUNCTION on_day() RETURNS date LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(current_setting('sizhi.on_day', true), '')::date
$$;

-- What the policies of a table let its readers see, as an expression over its columns; NULL where there are none.
CREATE FUNCTION readers_policy(table_name text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    permitted text;
    restricted text;
BEGIN
    IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = format('public.%I', table_name)::regclass) THEN
        RETURN NULL;
    END IF;
    -- Those for everybody (role 0): one that names a role says nothing about who asks here.
    SELECT string_agg('(' || pg_get_expr(polqual, polrelid) || ')', ' OR ') FILTER (WHERE polpermissive),
           string_agg('(' || pg_get_expr(polqual, polrelid) || ')', ' AND ') FILTER (WHERE NOT polpermissive)
      INTO permitted, restricted
      FROM pg_policy
     WHERE polrelid = format('public.%I', table_name)::regclass AND polcmd IN ('r', '*') AND polroles = '{0}' AND polqual IS NOT NULL;
    RETURN '(' || coalesce(permitted, 'false') || ')' || coalesce(' AND ' || restricted, '');
END $$;

-- Makes the view as_of.<table>, for a table under the log. Call it again when a column was added (it is NULL in images before that), and
-- after protect_by_jurisdiction. `sought`: columns that published views join by; they never change in the life of a row.
--
-- A row stands as of R if it was written at or before R and still stands, or was replaced or removed after R: then it is the `before` of
-- that change. Every version is written once and replaced at most once, so none is found twice; what came and went inside one revision
-- names that revision as its own and is not found.
-- The id and the sought columns come from columns that an index has, not from the rebuilt row: a look for one row reads no log.
CREATE FUNCTION as_of_table(table_name text, VARIADIC sought text[] DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t tracked_table%ROWTYPE;
    of_table regclass := format('public.%I', table_name)::regclass;
    columns text;
    of_images text;
    policy text := readers_policy(table_name);
    sought_column text;
BEGIN
    SELECT * INTO STRICT t FROM tracked_table WHERE name = table_name;
    FOREACH sought_column IN ARRAY sought LOOP
        EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON change (((before ->> %L) COLLATE "C"), revision) WHERE layer = %L AND operation <> ''insert''',
            'change_' || table_name || '_' || sought_column || '_idx', sought_column, table_name);
    END LOOP;
    SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum),
           string_agg(CASE
               WHEN t.feature_id = 'n.' || a.attname THEN format('(c.feature_id COLLATE %s)::%s AS %I', l.name, format_type(a.atttypid, a.atttypmod), a.attname)
               WHEN a.attname = ANY (sought) THEN format('((c.before ->> %L) COLLATE "C")::%s AS %I', a.attname, format_type(a.atttypid, a.atttypmod), a.attname)
               ELSE format('r.%I', a.attname) END, ', ' ORDER BY a.attnum)
      INTO columns, of_images
      FROM pg_attribute a
      LEFT JOIN LATERAL (SELECT format('%I.%I', n.nspname, k.collname) AS name FROM pg_collation k JOIN pg_namespace n ON n.oid = k.collnamespace
                         WHERE k.oid = a.attcollation) l ON true
     WHERE a.attrelid = of_table AND a.attnum > 0 AND NOT a.attisdropped;
    EXECUTE format($f$
        CREATE OR REPLACE VIEW as_of.%1$I AS
        SELECT %2$s FROM public.%1$I WHERE revision <= as_of_revision()%4$s
        UNION ALL
        SELECT %2$s FROM (
            SELECT %3$s
            FROM change c, LATERAL jsonb_populate_record(NULL::public.%1$I,
                CASE WHEN c.before_geom IS NULL THEN c.before::jsonb
                     ELSE c.before::jsonb || jsonb_build_object('geom', encode(c.before_geom, 'hex')) END) r
            WHERE c.layer = %5$L AND c.operation <> 'insert' AND c.revision > as_of_revision()
              AND (c.before ->> 'revision')::bigint <= as_of_revision()) replaced%6$s
    $f$, table_name, columns, of_images, coalesce(' AND ' || policy, ''), table_name, coalesce(' WHERE ' || policy, ''));
END $$;

-- Makes a view that a published layer reads, and the same over the register as of a revision: one text, so they cannot part.
-- (With the caller's rights: rows that row-level security hides stay hidden. The tables must be known to as_of_table.)
CREATE FUNCTION publish_layer_view(view_name text, definition text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    own_path text := current_setting('search_path');
    pastless text;
BEGIN
    EXECUTE format('CREATE VIEW public.%I WITH (security_invoker = true) AS %s', view_name, definition);
    PERFORM set_config('search_path', 'as_of, public', true);
    EXECUTE format('CREATE VIEW as_of.%I WITH (security_invoker = true) AS %s', view_name, definition);
    PERFORM set_config('search_path', own_path, true);
    -- A name that as_of lacks means the table itself: the past would show the present.
    SELECT string_agg(DISTINCT t.name, ', ') INTO pastless
      FROM tracked_table t
      JOIN pg_depend d ON d.refobjid = format('public.%I', t.name)::regclass AND d.classid = 'pg_rewrite'::regclass
      JOIN pg_rewrite r ON r.oid = d.objid
     WHERE r.ev_class = format('as_of.%I', view_name)::regclass;
    IF pastless IS NOT NULL THEN
        RAISE EXCEPTION '% reads %, which as_of_table does not know yet', view_name, pastless USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END $$;

SELECT as_of_table('division');
SELECT as_of_table('park');
SELECT as_of_table('park_block', 'park_code');
SELECT as_of_table('directory_version');
SELECT as_of_table('directory_entry', 'park_code');
SELECT as_of_table('park_event', 'park_code');

-- The layers of migration 0002 once more, with their past. The blocks of a park are those of the day asked about.
DROP VIEW layer_parks;
DROP VIEW layer_park_blocks;
DROP VIEW layer_divisions;

SELECT publish_layer_view('layer_park_blocks', $$
SELECT b.id AS feature_id, b.geom,
       nullif(b.valid_from, '-infinity') AS valid_from, nullif(b.valid_to, 'infinity') AS valid_to,
       b.id, b.park_code, p.name AS park_name, b.number, b.name,
       trim_scale(b.stated_area_ha) AS stated_area_ha,
       round(b.area_m2::numeric, 2) AS computed_area_m2,
       round((b.area_m2 / 10000)::numeric, 4) AS computed_area_ha,
       round((b.area_m2 * 3 / 2000)::numeric, 2) AS computed_area_mu,
       b.east, b.south, b.west, b.north,
       -- where the paper gives sides only, they are put together as the domain prints them
       coalesce(b.four_extents, nullif(concat_ws('，', '东至' || b.east, '南至' || b.south, '西至' || b.west, '北至' || b.north), ''))
           AS four_extents,
       b.illustrative, b.source, b.source_crs,
       p.prefecture_code
FROM park_block b JOIN park p ON p.code = b.park_code
$$);

SELECT publish_layer_view('layer_parks', $$
SELECT p.code AS feature_id, g.geom,
       nullif(p.valid_from, '-infinity') AS valid_from, nullif(p.valid_to, 'infinity') AS valid_to,
       p.code, p.name, p.aliases, p.level, p.type, p.prefecture_code, d.name AS prefecture_name, p.county_codes,
       p.leading_industries, p.approved_text,
       trim_scale(p.approved_area_ha) AS approved_area_ha,
       trim_scale(g.stated_area_ha) AS stated_area_ha,
       g.area_m2 AS exact_area_m2,
       round(g.area_m2::numeric, 2) AS computed_area_m2,
       round((g.area_m2 / 10000)::numeric, 4) AS computed_area_ha,
       round((g.area_m2 * 3 / 2000)::numeric, 2) AS computed_area_mu,
       g.block_count::integer AS block_count, p.status, p.successor_code, coalesce(g.illustrative, false) AS illustrative,
       p.source || coalesce('；边界：' || g.source, '') AS source
FROM park p
JOIN division d ON d.code = p.prefecture_code
LEFT JOIN LATERAL (
    -- Summed in an order of its own: the past must give the very digits that the present gave.
    SELECT count(*) AS block_count, sum(b.area_m2 ORDER BY b.id, b.valid_from) AS area_m2,
           -- a sum over some of the blocks would look like the park's
           CASE WHEN count(b.stated_area_ha) = count(*) THEN sum(b.stated_area_ha) END AS stated_area_ha, bool_or(b.illustrative) AS illustrative,
           string_agg(DISTINCT b.source, '；') AS source,
           (SELECT ST_Collect(part.geom ORDER BY length(c.number), c.number, part.path)
            FROM park_block c, ST_Dump(c.geom) part WHERE c.park_code = p.code
              AND CASE WHEN on_day() IS NULL THEN c.valid_to = 'infinity' ELSE c.valid_from <= on_day() AND on_day() < c.valid_to END) AS geom
    FROM park_block b WHERE b.park_code = p.code
      AND CASE WHEN on_day() IS NULL THEN b.valid_to = 'infinity' ELSE b.valid_from <= on_day() AND on_day() < b.valid_to END
) g ON true
$$);

SELECT publish_layer_view('layer_divisions', $$
SELECT d.code AS feature_id, d.geom, NULL::date AS valid_from, NULL::date AS valid_to,
       d.code, d.name, d.level, d.parent_code, d.maps_to, d.note, d.source
FROM division d
$$);

-- ---------------------------------------------------------------------------------------------------------------
-- Webhooks: whom the operator has told of new revisions
-- ---------------------------------------------------------------------------------------------------------------

CREATE TABLE webhook (
    id                 bigint GENERATED ALWAYS AS IDENTITY,
    url                text        NOT NULL,
    -- layers of interest
    layers             text[]      NOT NULL,
    -- key of the signature; must be readable to sign
    secret             text        NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- deliveries of all revisions up to this one are made, in webhook_delivery or sent
    planned_revision   bigint      NOT NULL,
    -- of the delivery that is due: tries so far, since when it fails, what went wrong last
    attempts           integer     NOT NULL DEFAULT 0,
    failing_since      timestamptz,
    last_error         text,
    next_attempt_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_delivered_at  timestamptz,
    -- three days of failures; until `webhook resume`
    dead_at            timestamptz,
    -- whoever sends holds this until it has written down what came of it; the time runs out on a crash
    leased_until       timestamptz NOT NULL DEFAULT '-infinity',
    lease              uuid,
    CONSTRAINT webhook_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_url_scheme CHECK (url ~ '^https?://' AND length(url) <= 2000),
    CONSTRAINT webhook_layers_given CHECK (cardinality(layers) > 0),
    CONSTRAINT webhook_secret_long CHECK (length(secret) >= 16)
);
COMMENT ON TABLE webhook IS 'addresses that the operator has told of new revisions; not part of the register';

-- What is to be told and is not yet, in the order in which it will be.
CREATE TABLE webhook_delivery (
    webhook_id  bigint NOT NULL,
    revision    bigint NOT NULL,
    layer       text   COLLATE "C" NOT NULL,
    CONSTRAINT webhook_delivery_pkey PRIMARY KEY (webhook_id, revision, layer),
    CONSTRAINT webhook_delivery_webhook_fkey FOREIGN KEY (webhook_id) REFERENCES webhook (id) ON DELETE CASCADE
);
