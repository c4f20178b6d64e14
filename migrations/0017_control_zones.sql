-- Control lines (三区三线, 三线一单): what kinds there are, how much each weighs and what it demands, as data; and their zones.
-- Why so: docs/decisions/0024-control-lines.md.

-- The kinds that the program brings: what stands until an operator says otherwise. No facts of the register, so not under the log.
CREATE TABLE control_zone_default (
    code            text    COLLATE "C" NOT NULL,
    name            text    NOT NULL,
    name_en         text    NOT NULL,
    -- keep_out: land that must not be taken; keep_within: land that must not be left; inform: its rules are shown
    effect          text    NOT NULL,
    -- how much it weighs where a park's boundary, or a parcel, goes against it
    park_weight     text    NOT NULL,
    parcel_weight   text    NOT NULL,
    rule            text    NOT NULL,
    -- where the rule stands
    document        text    NOT NULL,
    CONSTRAINT control_zone_default_pkey PRIMARY KEY (code)
);

INSERT INTO control_zone_default VALUES
    ('permanent_farmland', '永久基本农田', 'Permanent basic farmland', 'keep_out', 'block', 'block',
     '永久基本农田经依法划定后，任何单位和个人不得擅自占用或者改变其用途', '土地管理法第三十五条'),
    ('ecological_red_line', '生态保护红线', 'Ecological protection red line', 'keep_out', 'block', 'block',
     '生态保护红线内禁止开发性、生产性建设活动，只允许对生态功能不造成破坏的有限人为活动', '自然资发〔2022〕142号'),
    ('development_boundary', '城镇开发边界', 'Urban development boundary', 'keep_within', 'warn', 'warn',
     '城镇开发边界外不得进行城镇集中建设，不得规划建设各类开发区和产业园区', '自然资发〔2023〕193号'),
    ('control_unit', '环境管控单元', 'Environmental control unit', 'inform', 'note', 'note',
     '按所在环境管控单元的生态环境准入清单执行', '湘政发〔2020〕12号');

-- What the operator says of a kind, of ours or of one more.
CREATE TABLE control_zone_kind (
    code            text    COLLATE "C" NOT NULL,
    name            text    NOT NULL,
    name_en         text    NOT NULL,
    effect          text    NOT NULL,
    park_weight     text    NOT NULL,
    parcel_weight   text    NOT NULL,
    rule            text    NOT NULL,
    document        text    NOT NULL,
    -- the request that it stands in as it does
    source          text    NOT NULL,
    revision        bigint  NOT NULL,
    CONSTRAINT control_zone_kind_pkey PRIMARY KEY (code),
    CONSTRAINT control_zone_kind_code_format CHECK (code ~ '^[a-z][a-z0-9_]{0,39}$'),
    CONSTRAINT control_zone_kind_name_given CHECK (name <> '' AND name_en <> ''),
    CONSTRAINT control_zone_kind_effect_known CHECK (effect IN ('keep_out', 'keep_within', 'inform')),
    CONSTRAINT control_zone_kind_weights_known CHECK (park_weight IN ('block', 'warn', 'note') AND parcel_weight IN ('block', 'warn', 'note'))
);

-- 管控区域: one zone of a kind. Its past is the log's; valid_from and valid_to say since when and until when it holds.
CREATE TABLE control_zone (
    -- kind, hyphen, number
    id                  text    COLLATE "C" NOT NULL,
    kind                text    COLLATE "C" NOT NULL,
    number              text    COLLATE "C" NOT NULL,
    name                text,
    -- the county, prefecture or province whose line it is: decides who may write it
    division_code       text    NOT NULL,
    -- of a control unit: 优先, 重点, 一般
    management_class    text,
    -- what holds in this zone: of its own, and the four texts of a control unit
    rule                text,
    spatial_rule        text,
    pollution_rule      text,
    risk_rule           text,
    resource_rule       text,
    document_no         text,
    geom                geometry(MultiPolygon, 4490) NOT NULL,
    -- ellipsoidal area by the survey formula, unrounded
    area_m2             double precision NOT NULL,
    stated_area_ha      numeric(14, 6),
    -- drawn by a generator, not surveyed; `source` says 示意
    illustrative        boolean NOT NULL DEFAULT false,
    source              text    NOT NULL,
    source_crs          text,
    -- what the file said beyond our own columns, by its own field names
    attributes          jsonb   NOT NULL DEFAULT '{}',
    valid_from          date    NOT NULL DEFAULT '-infinity',
    valid_to            date    NOT NULL DEFAULT 'infinity',
    revision            bigint  NOT NULL,
    CONSTRAINT control_zone_pkey PRIMARY KEY (id),
    CONSTRAINT control_zone_id_holds_kind CHECK (id = kind || '-' || number),
    CONSTRAINT control_zone_number_format CHECK (number <> '' AND length(number) <= 64 AND number !~ '[[:space:][:cntrl:]/]'),
    CONSTRAINT control_zone_division_fkey FOREIGN KEY (division_code) REFERENCES division (code),
    CONSTRAINT control_zone_class_known CHECK (management_class IN ('优先保护单元', '重点管控单元', '一般管控单元')),
    CONSTRAINT control_zone_life_ordered CHECK (valid_from < valid_to),
    CONSTRAINT control_zone_geom_in_province CHECK (inside_province_margin(geom)),
    -- (validity is judged before the database, as of blocks)
    CONSTRAINT control_zone_area_positive CHECK (area_m2 > 0 AND area_m2 < 'Infinity'),
    CONSTRAINT control_zone_stated_area_positive CHECK (stated_area_ha > 0)
);
CREATE INDEX control_zone_geom_idx ON control_zone USING gist (geom);
CREATE INDEX control_zone_kind_idx ON control_zone (kind);

SELECT track_table('control_zone_kind', 'n.code', 'code');
SELECT track_table('control_zone', 'n.id', 'id');

-- All of the staff read all of it: a red line that one does not see because it is another county's is a conflict lost. Who writes is
-- bound to the own jurisdiction; the kinds are for those without bounds. The log likewise.
DO $$
DECLARE
    of_table text;
    may_read text := '(SELECT coalesce(current_setting(''sizhi.jurisdiction'', true), '''')) <> ''''';
    may_write text;
BEGIN
    FOREACH of_table IN ARRAY ARRAY['control_zone_kind', 'control_zone'] LOOP
        may_write := CASE of_table WHEN 'control_zone' THEN jurisdiction_condition('division_code')
                                   ELSE '(SELECT current_setting(''sizhi.jurisdiction'', true)) = ''*''' END;
        INSERT INTO protected_table (name, division) VALUES (of_table, CASE of_table WHEN 'control_zone' THEN 'division_code' ELSE '''''' END);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', of_table);
        EXECUTE format('CREATE POLICY %1$s_readers ON %1$I FOR SELECT USING (%2$s)', of_table, may_read);
        EXECUTE format('CREATE POLICY %1$s_insert ON %1$I FOR INSERT WITH CHECK (%2$s)', of_table, may_write);
        EXECUTE format('CREATE POLICY %1$s_update ON %1$I FOR UPDATE USING (%2$s) WITH CHECK (%2$s)', of_table, may_write);
        EXECUTE format('CREATE POLICY %1$s_delete ON %1$I FOR DELETE USING (%2$s)', of_table, may_write);
        EXECUTE format('CREATE POLICY change_of_%1$s ON change FOR SELECT USING (layer = %1$L AND %2$s)', of_table, may_read);
    END LOOP;
END $$;

SELECT as_of_table('control_zone_kind');
SELECT as_of_table('control_zone');

-- Every kind as it holds: the operator's word, else the program's.
SELECT publish_layer_view('known_zone_kind', $$
SELECT coalesce(k.code, d.code) AS code, coalesce(k.name, d.name) AS name, coalesce(k.name_en, d.name_en) AS name_en,
       coalesce(k.effect, d.effect) AS effect, coalesce(k.park_weight, d.park_weight) AS park_weight,
       coalesce(k.parcel_weight, d.parcel_weight) AS parcel_weight, coalesce(k.rule, d.rule) AS rule,
       coalesce(k.document, d.document) AS document, d.code IS NOT NULL AS is_default, k.source, k.revision
FROM control_zone_kind k FULL JOIN control_zone_default d ON d.code = k.code
$$);

-- (The kind once more, not by that view: what a layer shows is told by the tables that its own view reads.)
SELECT publish_layer_view('layer_control_zones', $$
SELECT z.id AS feature_id, z.geom,
       nullif(z.valid_from, '-infinity') AS valid_from, nullif(z.valid_to, 'infinity') AS valid_to,
       z.id, z.kind, coalesce(k.name, p.name) AS kind_name, z.number, z.name, z.division_code, d.name AS division_name,
       coalesce(k.effect, p.effect) AS effect, coalesce(k.park_weight, p.park_weight) AS park_weight,
       coalesce(k.parcel_weight, p.parcel_weight) AS parcel_weight, z.management_class,
       coalesce(z.rule, k.rule, p.rule) AS rule, z.spatial_rule, z.pollution_rule, z.risk_rule, z.resource_rule,
       coalesce(z.document_no, k.document, p.document) AS document_no,
       trim_scale(z.stated_area_ha) AS stated_area_ha,
       round(z.area_m2::numeric, 2) AS computed_area_m2,
       round((z.area_m2 / 10000)::numeric, 4) AS computed_area_ha,
       round((z.area_m2 * 3 / 2000)::numeric, 2) AS computed_area_mu,
       z.illustrative, z.source, z.source_crs
FROM control_zone z
JOIN division d ON d.code = z.division_code
LEFT JOIN control_zone_kind k ON k.code = z.kind
LEFT JOIN control_zone_default p ON p.code = z.kind
$$);

-- Findings say what the zone demands.
ALTER TABLE overlap_finding ADD COLUMN rule text;
