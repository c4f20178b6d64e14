-- The log's trigger put its statement together and had it planned at every write, which took a single edit longer than to write its row.
-- Now each tracked table has a function of its own, whose statements are planned once a connection. All of them are made here, by one
-- template; the audit compares each with what the template gives.
--
-- A migration that adds a column to a tracked table calls `write_log_function` for it again, or the log would not know the column.

-- What the function of a table says. `feature_id` and `keys` as in tracked_table. Its own names end in `_`, as no column's does.
CREATE FUNCTION log_function_body(table_name text, feature_id text, keys text[]) RETURNS text LANGUAGE sql STABLE AS $$
    -- Numbered first, while the rows are narrow. OFFSET 0 keeps the planner from writing an image into both places that use it.
    WITH template (text) AS (SELECT $f$
    WITH numbered AS (SELECT base_ + row_number() OVER ()::integer AS ordinal_, n.* FROM %8$s n)
    INSERT INTO change (revision, ordinal, layer, feature_id, operation, before, after, before_geom, after_geom, digest)
    SELECT revision_, o, %1$L, f, %2$L, b, a, bg, ag, change_digest(revision_, o, %1$L, f, %2$L, b, a, bg, ag)
    FROM (SELECT ordinal_ AS o, %3$s AS f, %4$s AS b, %5$s AS a, %6$s AS bg, %7$s AS ag FROM %9$s OFFSET 0) s;$f$),
    row_of (n, m, n_geom, m_geom) AS (SELECT row_columns(table_name, 'n'), row_columns(table_name, 'm'),
        row_geometry(table_name, 'n'), row_geometry(table_name, 'm'))
    SELECT format($f$
DECLARE
    revision_ bigint := current_revision();
    base_ integer;
    touched_ bigint;
    logged_ bigint;
BEGIN
    SELECT coalesce(max(ordinal), 0) INTO base_ FROM change WHERE revision = revision_;
IF TG_OP = 'INSERT' THEN
    SELECT count(*) INTO touched_ FROM new_rows WHERE revision IS DISTINCT FROM revision_;
    IF touched_ > 0 THEN
        RAISE EXCEPTION '%% rows of %% name another revision than the open one', touched_, TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;%1$s
ELSIF TG_OP = 'DELETE' THEN%2$s
ELSE%3$s
    GET DIAGNOSTICS logged_ = ROW_COUNT;
    SELECT count(*) INTO touched_ FROM new_rows;
    IF touched_ <> logged_ THEN
        RAISE EXCEPTION 'an update of %% changed a key', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END IF;
    RETURN NULL;
END $f$,
        format(template.text, table_name, 'insert', feature_id, 'NULL::json', 'row_to_json(image_)', 'NULL::bytea', n_geom, 'new_rows',
            format('numbered n, LATERAL %s image_', n)),
        format(template.text, table_name, 'delete', feature_id, 'row_to_json(image_)', 'NULL::json', n_geom, 'NULL::bytea', 'old_rows',
            format('numbered n, LATERAL %s image_', n)),
        format(template.text, table_name, 'update', feature_id, 'row_to_json(former_)', 'row_to_json(image_)', m_geom, n_geom, 'new_rows',
            format('numbered n, LATERAL %s image_, old_rows m, LATERAL %s former_ WHERE %s', n, m,
                (SELECT string_agg(format('n.%1$I = m.%1$I', key), ' AND ') FROM unnest(keys) AS key))))
    FROM template, row_of
$$;

-- Makes or renews the function of a tracked table. It writes the log with its owner's rights, and nobody else may have it called.
-- No nested loops, but the other joins, whatever the transaction has switched off: a plan that was made for one row must do for fifty
-- thousand, and neither transition table has an index.
CREATE FUNCTION write_log_function(table_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t tracked_table%ROWTYPE;
BEGIN
    SELECT * INTO STRICT t FROM tracked_table WHERE name = table_name;
    EXECUTE format('CREATE OR REPLACE FUNCTION %I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, public, pg_temp SET enable_nestloop = off SET enable_hashjoin = on SET enable_mergejoin = on AS %L',
        'log_changes_of_' || t.name, log_function_body(t.name, t.feature_id, t.keys));
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %I() FROM PUBLIC', 'log_changes_of_' || t.name);
END $$;

-- The three triggers of a tracked table that write the log.
CREATE FUNCTION write_log_triggers(table_name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER %1$s_log_insert AFTER INSERT ON %1$I REFERENCING NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION log_changes_of_%1$s()', table_name);
    EXECUTE format('CREATE OR REPLACE TRIGGER %1$s_log_update AFTER UPDATE ON %1$I REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION log_changes_of_%1$s()', table_name);
    EXECUTE format('CREATE OR REPLACE TRIGGER %1$s_log_delete AFTER DELETE ON %1$I REFERENCING OLD TABLE AS old_rows
        FOR EACH STATEMENT EXECUTE FUNCTION log_changes_of_%1$s()', table_name);
END $$;

-- As before, with these.
CREATE OR REPLACE FUNCTION track_table(table_name text, by_feature_id text, VARIADIC by_keys text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tracked_table (name, feature_id, keys) VALUES (table_name, by_feature_id, by_keys);
    EXECUTE format('ALTER TABLE %1$I ALTER revision SET DEFAULT current_revision()', table_name);
    EXECUTE format('CREATE TRIGGER %1$s_stamp BEFORE UPDATE ON %1$I FOR EACH ROW
        WHEN (NEW.revision::text IS DISTINCT FROM current_setting(''sizhi.revision'', true)) EXECUTE FUNCTION stamp_revision()', table_name);
    PERFORM write_log_function(table_name);
    PERFORM write_log_triggers(table_name);
    EXECUTE format('CREATE TRIGGER %1$s_no_truncate BEFORE TRUNCATE ON %1$I
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_log_change()', table_name);
END $$;

DO $$
DECLARE
    t text;
BEGIN
    FOR t IN SELECT name FROM tracked_table ORDER BY position LOOP
        PERFORM write_log_function(t);
        PERFORM write_log_triggers(t);
    END LOOP;
END $$;

DROP FUNCTION log_changes();
