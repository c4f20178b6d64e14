"""GeoPandas and DuckDB, run by the Python that benches/overlap/peers makes: one work in one form in a process of its own; figures as JSON.

    frames.py geopandas|duckdb plain|tuned FILE [FILE]    the yardstick's binary COPY; one file: pairs within it

Areas are planar, in square degrees: neither has the area on an ellipsoid without more work, which is not asked of them.
"""

import json
import struct
import sys
import time


def shapes(path):
    """The last column of every row: EWKB."""
    with open(path, "rb") as file:
        data = file.read()
    # Signature, flags, length of the header's extension.
    at, found = 19, []
    while True:
        (columns,) = struct.unpack_from(">h", data, at)
        at += 2
        if columns < 0:
            return found
        for _ in range(columns):
            (size,) = struct.unpack_from(">i", data, at)
            begin, at = at + 4, at + 4 + max(size, 0)
        found.append(data[begin:at])


def geopandas(form, paths):
    import geopandas
    import numpy
    import pandas
    import shapely
    from concurrent.futures import ThreadPoolExecutor

    begun = time.perf_counter()
    frames = [geopandas.GeoDataFrame(geometry=shapely.from_wkb(shapes(path)), crs=4490) for path in paths]
    read = time.perf_counter() - begun
    left, right = frames[0], frames[-1]

    def once(a, b):
        """Of pairs within one layer each once."""
        return (a[a < b], b[a < b]) if left is right else (a, b)

    def plain():
        a, b = once(*right.sindex.query(left.geometry, predicate="intersects"))
        return len(a), shapely.area(shapely.intersection(geometries(left)[a], geometries(right)[b]))

    def tuned():
        # Boxes alone first, so that pairs within one layer are asked for once; then both processors, as Shapely lets go of Python's lock.
        a, b = once(*right.sindex.query(left.geometry))
        # Cut between two left shapes: a prepared one must not be used by two threads.
        cuts = numpy.searchsorted(a, numpy.linspace(0, len(left), 17))
        stretches = [slice(*cut) for cut in zip(cuts, cuts[1:])]
        with ThreadPoolExecutor(2) as both:
            parts = list(both.map(lambda cut: common(geometries(left)[a[cut]], geometries(right)[b[cut]]), stretches))
        areas = numpy.concatenate(parts)
        return len(areas), areas

    def common(a, b):
        shapely.prepare(a)
        meet = shapely.intersects(a, b)
        a, b = a[meet], b[meet]
        # Where one lies inside the other there is nothing to be cut.
        areas, inside = shapely.area(b), shapely.covers(a, b)
        areas[~inside] = shapely.area(shapely.intersection(a[~inside], b[~inside]))
        return areas

    def geometries(frame):
        return numpy.asarray(frame.geometry.array)

    begun = time.perf_counter()
    pairs, areas = {"plain": plain, "tuned": tuned}[form]()
    seconds = time.perf_counter() - begun
    versions = f"GeoPandas {geopandas.__version__}，Shapely {shapely.__version__}，GEOS {shapely.geos_version_string}，pandas {pandas.__version__}"
    return {"read": read, "seconds": seconds, "pairs": pairs, "land": int((areas > 0).sum()), "versions": versions, "plan": ""}


def duckdb(form, paths):
    import duckdb
    import duckdb_extension_spatial
    import pathlib
    import pyarrow
    import shapely

    # Offline: the extension is a file of its own package.
    extension = next(pathlib.Path(duckdb_extension_spatial.__file__).parent.rglob("*.duckdb_extension"))
    base = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    base.execute(f"LOAD '{extension}'")
    base.execute("SET threads = 2")
    begun = time.perf_counter()
    for number, path in enumerate(paths):
        # Without the SRID, which its WKB does not know.
        plain = shapely.to_wkb(shapely.from_wkb(shapes(path)), include_srid=False)
        rows = pyarrow.table({"n": pyarrow.array(range(len(plain)), pyarrow.int32()), "wkb": pyarrow.array(plain, pyarrow.binary())})
        base.register("rows", rows)
        base.execute(f"CREATE TABLE layer_{number} AS SELECT n, ST_GeomFromWKB(wkb) AS geom FROM rows")
        base.unregister("rows")
    read = time.perf_counter() - begun
    area = "ST_Area(ST_Intersection(a.geom, b.geom))"
    if form == "tuned":
        area = f"CASE WHEN ST_Covers(a.geom, b.geom) THEN ST_Area(b.geom) ELSE {area} END"
    # In ON stands the meeting of shapes alone: otherwise the plan may be another than SPATIAL_JOIN.
    query = (f"SELECT a.n AS a, b.n AS b, {area} AS area FROM layer_0 AS a JOIN layer_{len(paths) - 1} AS b ON ST_Intersects(a.geom, b.geom)"
             + (" WHERE a.n < b.n" if len(paths) == 1 else ""))
    plan = base.execute(f"EXPLAIN {query}").fetchall()[0][1]
    begun = time.perf_counter()
    base.execute(f"CREATE TABLE found AS {query}")
    seconds = time.perf_counter() - begun
    pairs, land = base.execute("SELECT count(*), count(*) FILTER (area > 0) FROM found").fetchone()
    spatial = base.execute("SELECT extension_version FROM duckdb_extensions() WHERE extension_name = 'spatial'").fetchone()[0]
    return {"read": read, "seconds": seconds, "pairs": pairs, "land": land, "versions": f"DuckDB {duckdb.__version__}，spatial {spatial}",
            "plan": "SPATIAL_JOIN" if "SPATIAL_JOIN" in plan else "没有 SPATIAL_JOIN"}


program, form, *paths = sys.argv[1:]
print(json.dumps({"geopandas": geopandas, "duckdb": duckdb}[program](form, paths)))
