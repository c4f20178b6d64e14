-- Criteria for “low-efficient” (低效用地认定标准) as data, per division and year. Why so: docs/decisions/0014-criteria.md.
-- src/domain/ledger/criteria says what fields, comparisons and units there are, and judges.

-- The criteria of one division for one year. The nearest set applies as a whole: county, else prefecture, else province.
CREATE TABLE low_efficiency_criteria_set (
    -- division, hyphen, year
    id              text    COLLATE "C" NOT NULL,
    division_code   text    COLLATE "C" NOT NULL,
    year            integer NOT NULL,
    criteria_count  integer NOT NULL,
    -- the request or file that the set stands in as it does
    source          text    NOT NULL,
    revision        bigint  NOT NULL,
    CONSTRAINT low_efficiency_criteria_set_pkey PRIMARY KEY (id),
    CONSTRAINT low_efficiency_criteria_set_id_holds_key CHECK (id = division_code || '-' || year),
    CONSTRAINT low_efficiency_criteria_set_division_fkey FOREIGN KEY (division_code) REFERENCES division (code),
    CONSTRAINT low_efficiency_criteria_set_year_sound CHECK (year BETWEEN 1949 AND 2200),
    CONSTRAINT low_efficiency_criteria_set_not_empty CHECK (criteria_count > 0)
);
CREATE INDEX low_efficiency_criteria_set_year_idx ON low_efficiency_criteria_set (year, division_code);

-- One test of a set: the parcel's field, compared with a threshold.
CREATE TABLE low_efficiency_criterion (
    -- set, an at, the number
    id                text    COLLATE "C" NOT NULL,
    set_id            text    COLLATE "C" NOT NULL,
    -- of the set: decides who may write the row
    division_code     text    COLLATE "C" NOT NULL,
    -- 编号 in the set
    number            integer NOT NULL,
    title             text    NOT NULL,
    -- 低效类型
    kind              text    NOT NULL,
    -- criteria of one group are joined by its combination; without a group it stands alone
    group_name        text,
    combination       text    NOT NULL,
    -- a column of low_efficiency_parcel
    field             text    NOT NULL,
    comparison        text    NOT NULL,
    -- one of three, by the kind of the field
    threshold_number  numeric,
    threshold_flag    boolean,
    threshold_texts   text[],
    -- of the number, as the paper states it; a share (%, 倍) where there is a reference
    unit              text,
    reference_value   numeric,
    reference_unit    text,
    reference_source  text,
    document          text,
    note              text,
    revision          bigint  NOT NULL,
    CONSTRAINT low_efficiency_criterion_pkey PRIMARY KEY (id),
    CONSTRAINT low_efficiency_criterion_id_holds_key CHECK (id = set_id || '@' || number AND left(set_id, 6) = division_code),
    CONSTRAINT low_efficiency_criterion_set_fkey FOREIGN KEY (set_id) REFERENCES low_efficiency_criteria_set (id),
    CONSTRAINT low_efficiency_criterion_number_positive CHECK (number > 0),
    CONSTRAINT low_efficiency_criterion_title_given CHECK (title <> ''),
    CONSTRAINT low_efficiency_criterion_combination_known CHECK (combination IN ('any', 'all')),
    CONSTRAINT low_efficiency_criterion_comparison_known CHECK (comparison IN ('lt', 'le', 'gt', 'ge', 'eq', 'in')),
    CONSTRAINT low_efficiency_criterion_one_threshold CHECK (num_nonnulls(threshold_number, threshold_flag, threshold_texts) = 1),
    -- the upper bound refuses NaN and Infinity too
    CONSTRAINT low_efficiency_criterion_numbers_sound CHECK (
        coalesce(threshold_number >= 0 AND threshold_number < 1e12, true) AND coalesce(reference_value >= 0 AND reference_value < 1e12, true)),
    CONSTRAINT low_efficiency_criterion_reference_whole CHECK (
        reference_value IS NOT NULL AND threshold_number IS NOT NULL OR reference_value IS NULL AND reference_unit IS NULL AND reference_source IS NULL)
);
CREATE INDEX low_efficiency_criterion_set_idx ON low_efficiency_criterion (set_id);

SELECT track_table('low_efficiency_criteria_set', 'n.id', 'id');
SELECT track_table('low_efficiency_criterion', 'n.id', 'id');

-- Whoever reads ledgers reads every division's criteria; who writes them is bound to the own jurisdiction. The log likewise.
DO $$
DECLARE
    of_table text;
    may_read text := '(SELECT coalesce(current_setting(''sizhi.jurisdiction'', true), '''')) <> ''''';
    may_write text := jurisdiction_condition('division_code');
BEGIN
    FOREACH of_table IN ARRAY ARRAY['low_efficiency_criteria_set', 'low_efficiency_criterion'] LOOP
        INSERT INTO protected_table (name, division) VALUES (of_table, 'division_code');
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', of_table);
        EXECUTE format('CREATE POLICY %1$s_readers ON %1$I FOR SELECT USING (%2$s)', of_table, may_read);
        EXECUTE format('CREATE POLICY %1$s_insert ON %1$I FOR INSERT WITH CHECK (%2$s)', of_table, may_write);
        EXECUTE format('CREATE POLICY %1$s_update ON %1$I FOR UPDATE USING (%2$s) WITH CHECK (%2$s)', of_table, may_write);
        EXECUTE format('CREATE POLICY %1$s_delete ON %1$I FOR DELETE USING (%2$s)', of_table, may_write);
        EXECUTE format('CREATE POLICY change_of_%1$s ON change FOR SELECT USING (layer = %1$L AND %2$s)', of_table, may_read);
    END LOOP;
END $$;

SELECT as_of_table('low_efficiency_criteria_set');
SELECT as_of_table('low_efficiency_criterion', 'set_id');
