"""The programs that are compared: each does one work once and says how long it took and what it found."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from math import cos, radians, sin

# The yardstick's database; at the end, so that its other modules are not taken for ours.
sys.path.append(str(pathlib.Path(__file__).parents[1] / "map"))
import database

#: The columns that the generator writes.
PARCELS = "id, county_code, park_code, name, state, approved_on, area_m2, geom"
PARKS = "code, name, level, prefecture_code, county_code, approved_area_ha, block_count, geom"

# CGCS2000, and the coefficients of the survey formula's series.
AXIS, FLATTENING = 6_378_137.0, 1 / 298.257222101
E2 = FLATTENING * (2 - FLATTENING)
TERMS = (1 + 3 / 6 * E2 + 30 / 80 * E2**2 + 35 / 112 * E2**3 + 630 / 2304 * E2**4,
         -(1 / 6 * E2 + 15 / 80 * E2**2 + 21 / 112 * E2**3 + 420 / 2304 * E2**4),
         3 / 80 * E2**2 + 7 / 112 * E2**3 + 180 / 2304 * E2**4,
         -(1 / 112 * E2**3 + 45 / 2304 * E2**4),
         5 / 2304 * E2**4)


@dataclasses.dataclass
class Layer:
    name: str
    columns: str
    file: pathlib.Path


@dataclasses.dataclass
class Work:
    key: str
    title: str
    #: One: pairs within it, each once.
    layers: list


@dataclasses.dataclass
class Reading:
    seconds: float
    #: That meet at all, and that share land.
    pairs: int
    land: int
    #: What the table says beside it.
    note: str
    #: Seconds for reading, not counted.
    read: float = 0.0


class Missing(Exception):
    """This peer is not there."""


class Sizhi:
    title = "sizhi"
    forms = {"": ""}

    def __init__(self, overlap, sizhi, parcels):
        self.overlap, self.parcels = overlap, parcels
        self.versions = subprocess.run([sizhi, "--version"], check=True, capture_output=True, text=True).stdout.strip()
        #: Work → (a, b) → m², of its last reading.
        self.found = {}
        #: Works that it did not finish.
        self.cut_short = set()

    def measure(self, work, form):
        done = subprocess.run([self.overlap, work.key, str(self.parcels)], check=True, capture_output=True, text=True)
        lines = re.findall(r"^([\d.]+) s, (\d+) pairs, complete (\w+)", done.stderr, re.MULTILINE)
        if not lines:
            raise SystemExit(f"{self.overlap}：没有说用了多久\n{done.stderr}")
        if any(complete != "true" for *_, complete in lines):
            self.cut_short.add(work.key)
        rows = (line.split(",") for line in done.stdout.splitlines())
        self.found[work.key] = {(int(a), int(b)): float(area) for a, b, area in rows}
        # The first of a process: nothing is warm.
        again = "、".join(seconds for seconds, *_ in lines[1:])
        return Reading(float(lines[0][0]), int(lines[0][1]), len(self.found[work.key]), f"同一进程内再做 {again} s")

    def alone(self, runs):
        """What has no peer: of each run, whether it ended well and what it printed."""
        print()
        done = []
        for words in runs:
            run = subprocess.run([self.overlap, *words], capture_output=True, text=True)
            print(run.stdout.strip() or run.stderr.strip(), flush=True)
            done.append((run.returncode == 0, run.stdout))
        return done


class PostGis(database.Database):
    title = "PostGIS"
    #: How the common area is asked for.
    forms = {
        "直接求交": "ST_Area(ST_Intersection(a.geom, b.geom)::geography)",
        "包含时不求交": "CASE WHEN ST_Covers(a.geom, b.geom) THEN ST_Area(b.geom::geography) ELSE ST_Area(ST_Intersection(a.geom, b.geom)::geography) END",
    }
    # As fast as it can be made: without JIT, which compiles longer than it saves, and with workers for tables as small as the parks' too.
    settings = """SET jit = off; SET max_parallel_workers_per_gather = 2; SET min_parallel_table_scan_size = 0;
                  SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;"""

    def __init__(self, sizhi, generator, folder):
        if not shutil.which("psql"):
            raise Missing("没有 psql")
        try:
            super().__init__(sizhi, generator, folder)
        except subprocess.CalledProcessError as why:
            raise Missing(f"数据库没有启动：{why}") from why
        #: (Work, form) → workers beside the session's own process.
        self.workers = {}

    def load(self, layers):
        self.sql(database.TABLES + "CREATE TABLE bench.crowded (LIKE bench.parcels INCLUDING ALL);")
        # Not in the TOAST table, or every pair would fetch its park from there and so few pages be left that workers had nothing to share.
        self.sql("ALTER TABLE bench.parks ALTER geom SET STORAGE PLAIN")
        for layer in layers:
            self.fill(layer)
        begun = time.perf_counter()
        self.sql("".join(f"CREATE INDEX ON bench.{layer.name} USING gist (geom);" for layer in layers))
        self.index_seconds = time.perf_counter() - begun
        self.sql("".join(f"VACUUM (ANALYZE) bench.{layer.name};" for layer in layers) + "CHECKPOINT;")
        self.versions = self.sql("SELECT 'PostgreSQL ' || current_setting('server_version') || '，' || postgis_full_version()")[0][0]

    def fill(self, layer):
        # The order of the generator: positions count from zero, as in sizhi's answer.
        self.sql(f"ALTER TABLE bench.{layer.name} ADD n integer GENERATED ALWAYS AS IDENTITY (MINVALUE 0 START 0)")
        copy = f"COPY bench.{layer.name} ({layer.columns}) FROM STDIN (FORMAT binary)"
        with layer.file.open("rb") as rows:
            subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-c", copy, self.superuser()], stdin=rows, check=True)

    def joined(self, work):
        left, right = work.layers[0].name, work.layers[-1].name
        once = "a.n < b.n AND " if left == right else ""
        return f"bench.{left} AS a JOIN bench.{right} AS b ON {once}ST_Intersects(a.geom, b.geom)"

    def measure(self, work, form):
        query = f"CREATE TEMP TABLE found AS SELECT a.n AS a, b.n AS b, {self.forms[form]} AS m2 FROM {self.joined(work)};"
        if (work.key, form) not in self.workers:
            # Not counted: it warms the caches and says what the plan does.
            plan = self.sql(f"{self.settings} EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) {query}")
            launched = re.findall(r"Workers Launched: (\d+)", "\n".join(row[0] for row in plan))
            self.workers[work.key, form] = int(launched[0]) if launched else 0
        # By the server's clock, nothing is transferred.
        rows = self.sql(f"""{self.settings}
            SELECT clock_timestamp() AS begun \\gset
            {query}
            SELECT clock_timestamp() AS ended \\gset
            SELECT extract(epoch FROM :'ended'::timestamptz - :'begun'), count(*), count(*) FILTER (WHERE m2 > 0) FROM found""")
        seconds, pairs, land = rows[-1]
        return Reading(float(seconds), int(pairs), int(land), f"另有 {self.workers[work.key, form]} 个并行进程")

    def common(self, work):
        """(a, b) → two areas of the common part, m²: PostGIS's geodesic one, and by the survey formula."""
        rows = self.sql(f"""{self.settings}
            SELECT a, b, ST_Area(common::geography), ST_AsGeoJSON(common, 15)
            FROM (SELECT a.n AS a, b.n AS b, ST_Intersection(a.geom, b.geom) AS common FROM {self.joined(work)} OFFSET 0) AS pairs""")
        return {(int(a), int(b)): (float(area), survey_area(json.loads(shape))) for a, b, area, shape in rows}


class Frames:
    """A peer in Python; a process for each reading."""

    forms = {"直接求交": "plain", "包含时不求交": "tuned"}

    def __init__(self, key, title, notes):
        self.key, self.title, self.notes, self.versions = key, title, dict(zip(self.forms, notes)), ""
        self.python = peers() / "overlap/bin/python"
        if not self.python.exists():
            raise Missing("benches/overlap/peers 没有装好它")
        modules = {"geopandas": "geopandas", "duckdb": "duckdb, duckdb_extension_spatial, pyarrow, shapely"}[key]
        tried = subprocess.run([self.python, "-c", f"import {modules}"], capture_output=True, text=True)
        if tried.returncode:
            raise Missing(tried.stderr.strip().splitlines()[-1])

    def measure(self, work, form):
        command = [self.python, pathlib.Path(__file__).with_name("frames.py"), self.key, self.forms[form], *(layer.file for layer in work.layers)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        figures = json.loads(done.stdout)
        self.versions = figures["versions"]
        note = "，".join(filter(None, (self.notes[form], figures["plan"])))
        return Reading(figures["seconds"], figures["pairs"], figures["land"], note, figures["read"])


def peers():
    """Where benches/overlap/peers installs them."""
    return pathlib.Path(os.environ.get("SIZHI_PEERS") or pathlib.Path(__file__).parents[2] / "target/peers")


def generate(generator, folder, name, words, columns):
    """A layer in the generator's binary COPY, for all programs that read one."""
    layer = Layer(name, columns, folder / name)
    with layer.file.open("wb") as rows:
        if subprocess.run([generator, *words], stdout=rows).returncode:
            raise SystemExit(f"生成数据失败：{' '.join(words)}")
    return layer


def survey_area(shape):
    """Of GeoJSON, m², by the survey formula (国土调查办发〔2008〕32号, TD/T 1055), written down here a second time; points and lines have none."""
    kind = shape["type"]
    if kind == "GeometryCollection":
        return sum(survey_area(part) for part in shape["geometries"])
    polygons = {"Polygon": [shape["coordinates"]], "MultiPolygon": shape["coordinates"]}.get(kind, [])
    return sum(ring(polygon[0]) - sum(ring(hole) for hole in polygon[1:]) for polygon in polygons)


def ring(points):
    # Against the meridian of its first point, so that little is lost.
    west = points[0][0] if points else 0.0
    return abs(sum(trapezoid(a, b, west) for a, b in zip(points, points[1:])))


def trapezoid(a, b, west):
    """Between an edge and a meridian."""
    half, middle = radians(b[1] - a[1]) / 2, radians((a[1] + b[1]) / 2)
    longitude = radians((a[0] - west) + (b[0] - west)) / 2
    series = sum(term * sin(n * half) * cos(n * middle) for n, term in zip((1, 3, 5, 7, 9), TERMS))
    return 2 * (AXIS * (1 - FLATTENING)) ** 2 * longitude * series
