-- What is asked of every server: boxes with about 30 and about 1,000 parcels, tiles that hold something. The order is shuffled by a
-- hash, not by chance: each run asks the same.

-- Counts are ST_Intersects's: what a server must give.
CREATE TABLE bench.boxes (kind text, number integer, west numeric, south numeric, east numeric, north numeric, features integer,
    PRIMARY KEY (kind, number));

-- Boxes around parcels of these counties, each grown or shrunk until it holds about as many as wanted.
CREATE FUNCTION pg_temp.draw(drawing text, counties text, boxes integer, wanted integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    middle record;
    half float8;
    box geometry;
    found integer;
    drawn integer := 0;
BEGIN
    FOR middle IN
        SELECT ST_X(point) AS x, ST_Y(point) AS y
        FROM (SELECT md5(id || drawing) AS shuffled, ST_Centroid(geom) AS point FROM bench.parcels WHERE county_code LIKE counties) AS centroid
        ORDER BY shuffled LIMIT 4 * boxes
    LOOP
        half := 0.0007 * sqrt(wanted);
        FOR attempt IN 1..8 LOOP
            box := ST_MakeEnvelope(round((middle.x - half)::numeric, 6)::float8, round((middle.y - half)::numeric, 6)::float8,
                round((middle.x + half)::numeric, 6)::float8, round((middle.y + half)::numeric, 6)::float8, 4490);
            SELECT count(*) INTO found FROM bench.parcels WHERE county_code LIKE counties AND ST_Intersects(geom, box);
            EXIT WHEN found BETWEEN 0.9 * wanted AND 1.1 * wanted;
            half := half * least(2.0, greatest(0.5, sqrt(wanted::float8 / greatest(found, 1))));
        END LOOP;
        CONTINUE WHEN found NOT BETWEEN 0.9 * wanted AND 1.1 * wanted;
        INSERT INTO bench.boxes VALUES (drawing, drawn, ST_XMin(box), ST_YMin(box), ST_XMax(box), ST_YMax(box), found);
        drawn := drawn + 1;
        EXIT WHEN drawn = boxes;
    END LOOP;
END $$;

SELECT pg_temp.draw('30', '%', 1000, 30);
SELECT pg_temp.draw('1000', '%', 200, 1000);
-- Inside the jurisdiction of the staff member who is measured (430100, Changsha).
SELECT pg_temp.draw('staff-30', '4301%', 1000, 30);
SELECT pg_temp.draw('staff-1000', '4301%', 200, 1000);

-- Tiles under the parcels' middles: all of z13 and z14, and of z8 to z10; and of each group 200 that are asked for again and again.
CREATE TABLE bench.tiles (kind text, number integer, z integer, x integer, y integer, PRIMARY KEY (kind, number));

WITH middle AS (
    SELECT ST_X(point) AS longitude, radians(ST_Y(point)) AS latitude
    FROM (SELECT ST_Centroid(geom) AS point FROM bench.parcels) AS centroid
), tile AS (
    SELECT DISTINCT z, floor((longitude + 180) / 360 * (1 << z))::integer AS x,
        floor((1 - ln(tan(latitude) + 1 / cos(latitude)) / pi()) / 2 * (1 << z))::integer AS y
    FROM middle, unnest(ARRAY[8, 9, 10, 13, 14]) AS z
), grouped AS (
    SELECT CASE WHEN z > 10 THEN 'high' ELSE 'low' END AS zooms, row_number() OVER (PARTITION BY z > 10 ORDER BY md5(format('%s/%s/%s', z, x, y))) - 1 AS number, z, x, y
    FROM tile
)
INSERT INTO bench.tiles
SELECT zooms || '-all', number, z, x, y FROM grouped
UNION ALL
SELECT zooms || '-200', number, z, x, y FROM grouped WHERE number < 200;
