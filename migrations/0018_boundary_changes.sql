-- Boundary changes of parks (调区扩区): proposed, reviewed, shown to the public, decided. Why so: docs/decisions/0025-boundary-changes.md.
-- src/domain/boundary_change says which state may follow which; the approval writes parks, blocks and events, as an import does.

-- ---------------------------------------------------------------------------------------------------------------
-- Rows for those who look after one of several divisions: a park may lie in more than one county.
-- ---------------------------------------------------------------------------------------------------------------

CREATE FUNCTION in_any_jurisdiction(division_codes text[]) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT EXISTS (SELECT FROM unnest(division_codes) AS code WHERE in_jurisdiction(code))
$$;

CREATE FUNCTION protect_by_divisions(table_name text, divisions text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    -- A call, since as_of_table writes the condition into views over rows that have another name. (A few rows a park: it costs nothing.)
    condition text := format('in_any_jurisdiction(%s)', divisions);
BEGIN
    INSERT INTO protected_table (name, division) VALUES (table_name, divisions);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('CREATE POLICY %1$s_jurisdiction ON %1$I USING (%2$s) WITH CHECK (%2$s)', table_name, condition);
    EXECUTE format('CREATE POLICY change_of_%1$s ON change FOR SELECT USING (layer = %1$L
        AND (after IS NULL OR (SELECT %2$s FROM json_populate_record(NULL::%1$I, after)))
        AND (before IS NULL OR (SELECT %2$s FROM json_populate_record(NULL::%1$I, before))))', table_name, condition);
END $$;

-- ---------------------------------------------------------------------------------------------------------------
-- The change, the boundary that it proposes, and the steps that it took
-- ---------------------------------------------------------------------------------------------------------------

CREATE TABLE boundary_change (
    -- BC-2026-0001: the year of the proposal, and which of that year
    id                  text    COLLATE "C" NOT NULL,
    park_code           text    COLLATE "C" NOT NULL,
    prefecture_code     text    NOT NULL,
    -- the park's counties, else its prefecture: who may see the change
    division_codes      text[]  NOT NULL,
    title               text    NOT NULL,
    reason              text,
    -- 扩区, 调区, 调区扩区: what the areas say
    kind                text    NOT NULL,
    state               text    NOT NULL,
    -- the day of the last step
    state_on            date    NOT NULL,
    -- areas of the paper
    area_before_ha      numeric(12, 4) NOT NULL,
    area_out_ha         numeric(12, 4) NOT NULL,
    area_in_ha          numeric(12, 4) NOT NULL,
    area_after_ha       numeric(12, 4) NOT NULL,
    -- what lies around, as the proposer knows it: name and GeoJSON point or line
    landmarks           jsonb   NOT NULL DEFAULT '[]',
    -- first and last day of the public notice (公示); the last is reckoned by the calendar as it stood then
    notice_from         date,
    notice_until        date,
    -- since when the new boundary applies
    effective_on        date,
    -- the state of the register that the proposal was last looked at against
    base_revision       bigint  NOT NULL,
    -- what the park's status was before the change put it under adjustment; NULL while it has not
    park_status_before  text,
    actor               text    NOT NULL,
    revision            bigint  NOT NULL,
    CONSTRAINT boundary_change_pkey PRIMARY KEY (id),
    CONSTRAINT boundary_change_id_format CHECK (id ~ '^BC-[0-9]{4}-[0-9]{4,6}$'),
    CONSTRAINT boundary_change_park_fkey FOREIGN KEY (park_code) REFERENCES park (code),
    CONSTRAINT boundary_change_divisions_given CHECK (cardinality(division_codes) > 0),
    CONSTRAINT boundary_change_title_given CHECK (title <> ''),
    CONSTRAINT boundary_change_actor_given CHECK (actor <> ''),
    CONSTRAINT boundary_change_kind_known CHECK (kind IN ('extended', 'adjusted', 'adjusted_and_extended')),
    CONSTRAINT boundary_change_state_known CHECK (state IN ('proposed', 'joint_review', 'public_notice', 'approved', 'rejected', 'withdrawn')),
    CONSTRAINT boundary_change_areas_sound CHECK (area_before_ha >= 0 AND area_out_ha >= 0 AND area_in_ha >= 0 AND area_after_ha > 0),
    -- before − 调出 + 新扩入 = after, to the digit
    CONSTRAINT boundary_change_area_arithmetic CHECK (area_before_ha - area_out_ha + area_in_ha = area_after_ha),
    CONSTRAINT boundary_change_kind_by_areas CHECK (kind = CASE
        WHEN area_out_ha = 0 THEN 'extended' WHEN area_in_ha = 0 THEN 'adjusted' ELSE 'adjusted_and_extended' END),
    CONSTRAINT boundary_change_notice_ordered CHECK ((notice_from IS NULL) = (notice_until IS NULL) AND coalesce(notice_from < notice_until, true)),
    CONSTRAINT boundary_change_notice_before_end CHECK (state NOT IN ('public_notice', 'approved') OR notice_from IS NOT NULL),
    CONSTRAINT boundary_change_effective_when_approved CHECK ((state = 'approved') = (effective_on IS NOT NULL))
);
-- at most one at a time
CREATE UNIQUE INDEX boundary_change_one_open ON boundary_change (park_code) WHERE state IN ('proposed', 'joint_review', 'public_notice');
CREATE INDEX boundary_change_park_idx ON boundary_change (park_code, id);
COMMENT ON TABLE boundary_change IS 'boundary changes of parks (调区扩区), from proposal to decision';

-- The whole proposed boundary, block by block: blocks of the park that are not named here end.
CREATE TABLE boundary_change_block (
    change_id       text    COLLATE "C" NOT NULL,
    number          text    COLLATE "C" NOT NULL,
    -- of the change
    division_codes  text[]  NOT NULL,
    name            text,
    geom            geometry(MultiPolygon, 4490) NOT NULL,
    -- ellipsoidal area by the survey formula, unrounded
    area_m2         double precision NOT NULL,
    -- area of the paper
    stated_area_ha  numeric(12, 4) NOT NULL,
    -- 四至 words, verbatim
    east            text,
    south           text,
    west            text,
    north           text,
    four_extents    text,
    -- the proposal says that this boundary was measured; else a drawn block (示意) stays one
    surveyed        boolean NOT NULL DEFAULT false,
    revision        bigint  NOT NULL,
    CONSTRAINT boundary_change_block_pkey PRIMARY KEY (change_id, number),
    CONSTRAINT boundary_change_block_change_fkey FOREIGN KEY (change_id) REFERENCES boundary_change (id),
    CONSTRAINT boundary_change_block_number_format CHECK (number <> '' AND length(number) <= 64 AND number !~ '[[:space:][:cntrl:]/]'),
    CONSTRAINT boundary_change_block_geom_in_province CHECK (inside_province_margin(geom)),
    CONSTRAINT boundary_change_block_geom_finite CHECK (sign(ST_Area(geom)) = 1),
    CONSTRAINT boundary_change_block_area_finite CHECK (area_m2 > 0 AND area_m2 < 1e11),
    CONSTRAINT boundary_change_block_stated_area_positive CHECK (stated_area_ha > 0)
);

-- What happened to it; only added to. (An undone revision takes its step back, as the log tells.)
CREATE TABLE boundary_change_step (
    change_id       text    COLLATE "C" NOT NULL,
    ordinal         integer NOT NULL,
    division_codes  text[]  NOT NULL,
    -- NULL: the proposal itself
    from_state      text,
    to_state        text    NOT NULL,
    happened_on     date    NOT NULL,
    document_no     text,
    document_title  text,
    note            text,
    -- the state of the register that was looked at
    base_revision   bigint  NOT NULL,
    actor           text    NOT NULL,
    revision        bigint  NOT NULL,
    CONSTRAINT boundary_change_step_pkey PRIMARY KEY (change_id, ordinal),
    CONSTRAINT boundary_change_step_change_fkey FOREIGN KEY (change_id) REFERENCES boundary_change (id),
    CONSTRAINT boundary_change_step_ordinal_positive CHECK (ordinal > 0),
    CONSTRAINT boundary_change_step_first_has_no_from CHECK ((ordinal = 1) = (from_state IS NULL)),
    CONSTRAINT boundary_change_step_actor_given CHECK (actor <> '')
);

SELECT track_table('boundary_change', 'n.id', 'id');
SELECT track_table('boundary_change_block', 'n.change_id || ''@'' || n.number', 'change_id', 'number');
SELECT track_table('boundary_change_step', 'n.change_id || ''@'' || n.ordinal', 'change_id', 'ordinal');
SELECT protect_by_divisions('boundary_change', 'division_codes');
SELECT protect_by_divisions('boundary_change_block', 'division_codes');
SELECT protect_by_divisions('boundary_change_step', 'division_codes');
SELECT as_of_table('boundary_change');
SELECT as_of_table('boundary_change_block');
SELECT as_of_table('boundary_change_step');

-- The next id of a year. With its owner's rights: ids count for all, also those that the asker may not see, and those that an undone
-- revision took back (the log still has them). Call it under the register's write lock.
CREATE FUNCTION next_boundary_change_id(of_year integer) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT format('BC-%s-%s', of_year, lpad((coalesce(max(split_part(id, '-', 3)::integer), 0) + 1)::text, 4, '0'))
    FROM (SELECT id FROM boundary_change WHERE id LIKE 'BC-' || of_year || '-%'
          UNION ALL
          SELECT feature_id FROM change WHERE layer = 'boundary_change' AND operation = 'delete'
              AND feature_id > 'BC-' || of_year AND feature_id LIKE 'BC-' || of_year || '-%') taken
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Calendar (工作日历): where a day is otherwise than its weekday. Not tracked: it is no fact about land, and a notice keeps the last
-- day that was reckoned when it began. The operator adds the days of a new year: `sizhi calendar load`.
-- ---------------------------------------------------------------------------------------------------------------

CREATE TABLE calendar_day (
    day         date    NOT NULL,
    -- false: a weekday off (放假); true: a Saturday or Sunday worked (调休上班)
    is_working  boolean NOT NULL,
    name        text    NOT NULL,
    source      text    NOT NULL,
    CONSTRAINT calendar_day_pkey PRIMARY KEY (day),
    CONSTRAINT calendar_day_name_given CHECK (name <> ''),
    -- a day that only says what its weekday says would hide a slip
    CONSTRAINT calendar_day_otherwise CHECK (is_working = (extract(isodow FROM day) >= 6))
);

-- The State Council's yearly notices (国务院办公厅关于部分节假日安排的通知), entered from memory and not compared with the papers: the
-- source of each row says so. Holidays on Saturdays and Sundays need no row.
INSERT INTO calendar_day (day, is_working, name, source)
SELECT d::date, working, name, format('国务院办公厅关于%s年部分节假日安排的通知（凭记忆录入，未核对原文）', year)
FROM (VALUES
    (2024, false, '元旦', '2024-01-01', '2024-01-01'),
    (2024, false, '春节', '2024-02-12', '2024-02-16'),
    (2024, true, '春节调休上班', '2024-02-04', '2024-02-04'),
    (2024, true, '春节调休上班', '2024-02-18', '2024-02-18'),
    (2024, false, '清明节', '2024-04-04', '2024-04-05'),
    (2024, true, '清明节调休上班', '2024-04-07', '2024-04-07'),
    (2024, false, '劳动节', '2024-05-01', '2024-05-03'),
    (2024, true, '劳动节调休上班', '2024-04-28', '2024-04-28'),
    (2024, true, '劳动节调休上班', '2024-05-11', '2024-05-11'),
    (2024, false, '端午节', '2024-06-10', '2024-06-10'),
    (2024, false, '中秋节', '2024-09-16', '2024-09-17'),
    (2024, true, '中秋节调休上班', '2024-09-14', '2024-09-14'),
    (2024, false, '国庆节', '2024-10-01', '2024-10-04'),
    (2024, false, '国庆节', '2024-10-07', '2024-10-07'),
    (2024, true, '国庆节调休上班', '2024-09-29', '2024-09-29'),
    (2024, true, '国庆节调休上班', '2024-10-12', '2024-10-12'),
    (2025, false, '元旦', '2025-01-01', '2025-01-01'),
    (2025, false, '春节', '2025-01-28', '2025-01-31'),
    (2025, false, '春节', '2025-02-03', '2025-02-04'),
    (2025, true, '春节调休上班', '2025-01-26', '2025-01-26'),
    (2025, true, '春节调休上班', '2025-02-08', '2025-02-08'),
    (2025, false, '清明节', '2025-04-04', '2025-04-04'),
    (2025, false, '劳动节', '2025-05-01', '2025-05-02'),
    (2025, false, '劳动节', '2025-05-05', '2025-05-05'),
    (2025, true, '劳动节调休上班', '2025-04-27', '2025-04-27'),
    (2025, false, '端午节', '2025-06-02', '2025-06-02'),
    (2025, false, '国庆节、中秋节', '2025-10-01', '2025-10-03'),
    (2025, false, '国庆节、中秋节', '2025-10-06', '2025-10-08'),
    (2025, true, '国庆节、中秋节调休上班', '2025-09-28', '2025-09-28'),
    (2025, true, '国庆节、中秋节调休上班', '2025-10-11', '2025-10-11'),
    (2026, false, '元旦', '2026-01-01', '2026-01-02'),
    (2026, true, '元旦调休上班', '2026-01-04', '2026-01-04'),
    (2026, false, '春节', '2026-02-16', '2026-02-20'),
    (2026, false, '春节', '2026-02-23', '2026-02-23'),
    (2026, true, '春节调休上班', '2026-02-14', '2026-02-14'),
    (2026, true, '春节调休上班', '2026-02-28', '2026-02-28'),
    (2026, false, '清明节', '2026-04-06', '2026-04-06'),
    (2026, false, '劳动节', '2026-05-01', '2026-05-01'),
    (2026, false, '劳动节', '2026-05-04', '2026-05-05'),
    (2026, true, '劳动节调休上班', '2026-05-09', '2026-05-09'),
    (2026, false, '端午节', '2026-06-19', '2026-06-19'),
    (2026, false, '中秋节', '2026-09-25', '2026-09-25'),
    (2026, false, '国庆节', '2026-10-01', '2026-10-02'),
    (2026, false, '国庆节', '2026-10-05', '2026-10-07'),
    (2026, true, '国庆节调休上班', '2026-09-20', '2026-09-20'),
    (2026, true, '国庆节调休上班', '2026-10-10', '2026-10-10')
) AS notice (year, working, name, first_day, last_day), generate_series(first_day::date, last_day::date, '1 day') d;
