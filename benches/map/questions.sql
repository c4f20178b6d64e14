-- What is asked of every server: boxes with about 30 and about 1,000 parcels, tiles that hold something. The order is shuffled by a
-- hash, not by chance: each run asks the same.

-- Counts are ST_Intersects's: what a server must give.
CREATE TABLE bench.boxes (kind text, number integer, west numeric, south numeric, east numeric, north numeric, features integer,
    PRIMARY KEY (kind, number));

-- Candidates: a box of a size that depends on the parcel's hash around every so-manieth parcel; kept where the count is near.
CREATE FUNCTION pg_temp.draw(name text, like_county text, every integer, least_half numeric, most_half numeric, least integer, most integer, wanted integer)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO bench.boxes
    SELECT name, row_number() OVER (ORDER BY shuffled) - 1, west, south, east, north, features
    FROM (
        SELECT *
        FROM (
            SELECT md5(id) AS shuffled, round(x - half, 6) AS west, round(y - half, 6) AS south, round(x + half, 6) AS east, round(y + half, 6) AS north
            FROM (
                SELECT id, ST_X(point)::numeric AS x, ST_Y(point)::numeric AS y,
                    least_half + (most_half - least_half) * (abs(hashtextextended(id, 1)) % 1000) / 1000 AS half
                FROM (SELECT id, ST_Centroid(geom) AS point FROM bench.parcels
                      WHERE county_code LIKE like_county AND abs(hashtextextended(id, 0)) % every = 0) AS some
            ) AS sized
        ) AS box,
        LATERAL (
            SELECT count(*)::integer AS features FROM bench.parcels
            WHERE county_code LIKE like_county
              AND ST_Intersects(geom, ST_MakeEnvelope(west::float8, south::float8, east::float8, north::float8, 4490))
        ) AS counted
        WHERE features BETWEEN least AND most
        ORDER BY shuffled LIMIT wanted
    ) AS kept
$$;

SELECT pg_temp.draw('30', '%', 50, 0.003, 0.006, 25, 35, 1000);
SELECT pg_temp.draw('1000', '%', 100, 0.02, 0.09, 900, 1100, 200);
-- Inside the jurisdiction of the staff member who is measured (430100, Changsha).
SELECT pg_temp.draw('staff-30', '4301%', 3, 0.003, 0.006, 25, 35, 1000);
SELECT pg_temp.draw('staff-1000', '4301%', 5, 0.02, 0.09, 900, 1100, 200);

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
