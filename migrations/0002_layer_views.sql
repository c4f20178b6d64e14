-- What the published layers show, one view each: a feature id, the geometry, the life (NULL = unbounded), and one column a
-- property. The declarations in src/layers/declaration.rs name these columns; the park cards (src/store/park_cards.rs) read `layer_parks` too.

CREATE VIEW layer_park_blocks AS
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
FROM park_block b JOIN park p ON p.code = b.park_code;

CREATE VIEW layer_parks AS
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
    SELECT count(*) AS block_count, sum(b.area_m2) AS area_m2, 
           -- a sum over some of the blocks would look like the park's
           CASE WHEN count(b.stated_area_ha) = count(*) THEN sum(b.stated_area_ha) END AS stated_area_ha, bool_or(b.illustrative) AS illustrative,
           string_agg(DISTINCT b.source, '；') AS source,
           (SELECT ST_Collect(part.geom ORDER BY length(c.number), c.number, part.path)
            FROM park_block c, ST_Dump(c.geom) part WHERE c.park_code = p.code AND c.valid_to = 'infinity') AS geom
    FROM park_block b WHERE b.park_code = p.code AND b.valid_to = 'infinity'
) g ON true;

CREATE VIEW layer_divisions AS
SELECT d.code AS feature_id, d.geom, NULL::date AS valid_from, NULL::date AS valid_to,
       d.code, d.name, d.level, d.parent_code, d.maps_to, d.note, d.source
FROM division d;
