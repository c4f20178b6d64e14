-- Extra layers: the operator's own tables and views, published as they are. Which ones is told by a file (`serve --layers`), not by a
-- table; here is what following them needs, and how their shapes get into the register's system.

-- A shape of any table in EPSG:4490: flat, straight, longitude first. NULL where that cannot be: surfaces of triangles, empty shapes,
-- coordinates that are no numbers, lie outside the system or cannot be transformed. One bad row must not take the layer with it.
-- A system on CGCS2000 is projected back; any other goes to WGS 84, which is taken as EPSG:4490 everywhere (they differ by centimetres).
-- Not PARALLEL SAFE: an exception block is a subtransaction.
CREATE FUNCTION shown_geometry(shape geometry, srid_of_none integer) RETURNS geometry LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE AS $$
DECLARE
    own integer := coalesce(nullif(ST_SRID(shape), 0), srid_of_none);
    flat geometry := shape;
BEGIN
    IF GeometryType(flat) IN ('TRIANGLE', 'TIN', 'POLYHEDRALSURFACE') THEN
        RETURN NULL;
    END IF;
    IF ST_HasArc(flat) THEN
        flat := ST_CurveToLine(flat);
    END IF;
    flat := ST_SetSRID(ST_Force2D(flat), own);
    IF own NOT IN (4490, 4326) THEN
        flat := ST_Transform(flat, CASE WHEN on_cgcs2000(own) THEN 4490 ELSE 4326 END);
    END IF;
    flat := ST_SetSRID(flat, 4490);
    -- (Every comparison with NaN is false but >.)
    IF ST_IsEmpty(flat) OR NOT (ST_XMin(flat) >= -180 AND ST_XMax(flat) <= 180 AND ST_YMin(flat) >= -90 AND ST_YMax(flat) <= 90)
        OR EXISTS (SELECT FROM ST_DumpPoints(flat) p WHERE ST_X(p.geom) = 'NaN' OR ST_Y(p.geom) = 'NaN') THEN
        RETURN NULL;
    END IF;
    RETURN flat;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;

-- Whether a system stands on CGCS2000, by its EPSG code (4490 and its Gauss–Krüger zones) or by its own words.
CREATE FUNCTION on_cgcs2000(srid integer) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT on_cgcs2000.srid BETWEEN 4490 AND 4554 OR EXISTS (
        SELECT FROM spatial_ref_sys s WHERE s.srid = on_cgcs2000.srid
            AND (s.srtext ILIKE '%China_2000%' OR s.srtext ILIKE '%CGCS2000%' OR s.srtext ILIKE '%China Geodetic Coordinate System 2000%'))
$$;

-- Layers whose table has triggers of ours. A row outlives the layer's place in the file: another server may still declare it;
-- `sizhi db layers --forget` ends it.
CREATE TABLE extra_layer (
    layer           text    COLLATE "C" NOT NULL,
    -- as statements name it
    relation        text    NOT NULL,
    key_column      text    NOT NULL,
    -- changes with every gap in what was written down: what a reader holds from before must be read anew
    generation      uuid    NOT NULL DEFAULT gen_random_uuid(),
    -- the last transaction whose changes were thrown away
    pruned_through  xid8    NOT NULL DEFAULT '0',
    CONSTRAINT extra_layer_pkey PRIMARY KEY (layer)
);

-- Keys that transactions touched. A reader holds the snapshot that it read the table under; what it has missed is what that snapshot
-- did not see. So nothing depends on the order of commits, and no writer waits for another.
CREATE TABLE extra_change (
    layer           text        COLLATE "C" NOT NULL,
    -- NULL: the whole table
    key             text        COLLATE "C",
    transaction     xid8        NOT NULL DEFAULT pg_current_xact_id(),
    made_at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX extra_change_transaction_idx ON extra_change (layer, transaction);
CREATE INDEX extra_change_made_at_idx ON extra_change (made_at);

-- The triggers' function; arguments: layer, key column. With its owner's rights: whoever writes the table need not know of it.
CREATE FUNCTION note_extra_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    -- beyond, reading the table is cheaper than reading the keys
    most    constant integer := 10000;
    keys    text;
    touched integer;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO extra_change (layer) VALUES (TG_ARGV[0]);
    ELSE
        keys := CASE TG_OP
            WHEN 'INSERT' THEN 'SELECT %1$I::text AS key FROM new_rows'
            WHEN 'DELETE' THEN 'SELECT %1$I::text AS key FROM old_rows'
            ELSE 'SELECT %1$I::text AS key FROM old_rows UNION SELECT %1$I::text FROM new_rows' END;
        keys := format(keys, TG_ARGV[1]);
        EXECUTE format('SELECT count(*) FROM (SELECT FROM (%s) k LIMIT %s) n', keys, most + 1) INTO touched;
        IF touched = 0 THEN
            RETURN NULL;
        ELSIF touched > most THEN
            INSERT INTO extra_change (layer) VALUES (TG_ARGV[0]);
        ELSE
            EXECUTE format('INSERT INTO extra_change (layer, key) SELECT $1, key FROM (%s) k', keys) USING TG_ARGV[0];
        END IF;
    END IF;
    PERFORM pg_notify('sizhi_layer', TG_ARGV[0]);
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION note_extra_change() FROM PUBLIC;
