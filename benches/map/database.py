"""One database for all servers: sizhi's own embedded cluster, the two tables of the yardstick, the questions asked of them."""

import json
import pathlib
import re
import subprocess
from urllib.parse import quote

TABLES = """
DROP SCHEMA IF EXISTS bench CASCADE;
CREATE SCHEMA bench;
CREATE TABLE bench.parcels (id text PRIMARY KEY, county_code text NOT NULL, park_code text, name text NOT NULL, state text NOT NULL,
    approved_on date NOT NULL, area_m2 double precision NOT NULL, geom geometry(MultiPolygon, 4490) NOT NULL);
CREATE TABLE bench.parks (code text PRIMARY KEY, name text NOT NULL, level text NOT NULL, prefecture_code text NOT NULL,
    county_code text NOT NULL, approved_area_ha double precision NOT NULL, block_count integer NOT NULL,
    geom geometry(MultiPolygon, 4490) NOT NULL);
"""

INDEXES = """
CREATE INDEX parcels_geom ON bench.parcels USING gist (geom);
CREATE INDEX parks_geom ON bench.parks USING gist (geom);
ANALYZE bench.parcels; ANALYZE bench.parks; CHECKPOINT;
"""


class Database:
    def __init__(self, sizhi, generator, folder):
        self.sizhi, self.generator, self.folder = sizhi, generator, pathlib.Path(folder)
        subprocess.run([sizhi, "db", "start", "--data", folder], check=True, stdout=subprocess.DEVNULL)
        status = subprocess.run([sizhi, "db", "status", "--json", "--data", folder], check=True, capture_output=True)
        self.connection = json.loads(status.stdout)["connection_string"]
        parts = dict(re.findall(r"(\w+)=(\S+)", self.connection))
        self.host, self.user, self.name = parts["host"], parts["user"], parts["dbname"]
        self.port = parts.get("port", "5432")

    @property
    def url(self):
        return f"postgresql://{self.user}@/{self.name}?host={self.host}&port={self.port}"

    @property
    def url_by_host(self):
        """The same for programs that want a host where a host stands."""
        return f"postgresql://{self.user}@{quote(self.host, safe='')}:{self.port}/{self.name}"

    @property
    def postmaster(self):
        found = next(self.folder.rglob("postmaster.pid"))
        return int(found.read_text().split()[0])

    def superuser(self):
        return self.connection.replace(f"user={self.user}", "user=postgres")

    def sql(self, text):
        """Runs statements; gives the rows of the last as lists of text."""
        command = ["psql", "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", self.superuser()]
        done = subprocess.run(command, input=text, text=True, capture_output=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def load(self, parcels):
        """Makes the tables anew, by binary COPY."""
        self.sql(TABLES)
        for table, arguments in (("parcels", ["parcels", str(parcels)]), ("parks", ["parks"])):
            made = subprocess.Popen([self.generator, *arguments], stdout=subprocess.PIPE)
            copy = f"COPY bench.{table} FROM STDIN (FORMAT binary)"
            subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-c", copy, self.superuser()], stdin=made.stdout, check=True)
            if made.wait():
                raise SystemExit("生成数据失败")
        self.sql(INDEXES)
        self.sql(f"GRANT USAGE ON SCHEMA bench TO {self.user}; GRANT ALL ON ALL TABLES IN SCHEMA bench TO {self.user};"
                 f"ALTER SCHEMA bench OWNER TO {self.user}; ALTER TABLE bench.parcels OWNER TO {self.user}; ALTER TABLE bench.parks OWNER TO {self.user};")
        held = int(self.sql("SELECT count(*) FROM bench.parcels")[0][0])
        if held != parcels:
            raise SystemExit(f"bench.parcels 中有 {held} 行，应为 {parcels}")

    def draw_questions(self):
        """The boxes and tiles that are asked for, into bench.boxes and bench.tiles."""
        self.sql(pathlib.Path(__file__).with_name("questions.sql").read_text())
        self.sql(f"GRANT ALL ON ALL TABLES IN SCHEMA bench TO {self.user}; ANALYZE bench.boxes; ANALYZE bench.tiles;")

    def boxes(self, kind):
        rows = self.sql(f"SELECT west, south, east, north, features FROM bench.boxes WHERE kind = '{kind}' ORDER BY number")
        return [(tuple(row[:4]), int(row[4])) for row in rows]

    def tiles(self, kind):
        rows = self.sql(f"SELECT z, x, y FROM bench.tiles WHERE kind = '{kind}' ORDER BY number")
        return [tuple(int(cell) for cell in row) for row in rows]

    def stop(self):
        subprocess.run([self.sizhi, "db", "stop", "--data", str(self.folder)], stdout=subprocess.DEVNULL)
