"""The servers that are compared, each over the same two tables of the same database. A peer that is not installed says why and is left out."""

import json
import os
import pathlib
import subprocess

import machine
from works import LIMIT

TOKEN_OPERATOR = "bench"
CGCS2000 = "http://www.opengis.net/def/crs/EPSG/0/4490"

LAYER = """\
[[layer]]
id = "{id}"
table = "bench.{table}"
key = "{key}"
geometry = "geom"
title = "{title}（示意）"
title_en = "{title_en} (drawn)"
zooms = [0, 22]
visibility = "{visibility}"
follow = "trigger"
"""
PUBLIC = LAYER.format(id="bench_parcels", table="parcels", key="id", title="地块", title_en="Parcels", visibility="public") + LAYER.format(
    id="bench_parks", table="parks", key="code", title="园区", title_en="Parks", visibility="public")
#: The same parcels again, for staff, who see the rows of their own divisions.
INTERNAL = LAYER.format(id="bench_parcels_internal", table="parcels", key="id", title="内部地块", title_en="Internal parcels",
                        visibility="internal") + 'division = "county_code"\n'


class Missing(Exception):
    """Why a server is left out."""


class Server:
    """One server; subclasses say how it is started and what its addresses look like."""

    name = ""

    def __init__(self, database, folder):
        self.database, self.folder = database, pathlib.Path(folder)
        self.port, self.running, self.token, self.ready_after = machine.free_port(), None, None, None

    def does(self, work):
        """Has this server the address that the work asks for?"""
        raise NotImplementedError

    def address(self, work, question):
        """The address for one question: four texts of a box, three numbers of a tile, None for the whole layer of parks."""
        raise NotImplementedError

    def start(self):
        raise NotImplementedError

    def launch(self, command, probe, environment=None):
        try:
            self.running = machine.Running(command, self.folder / f"{self.name}.log", environment)
        except OSError as why:
            # The script of a virtual environment outlives the Python that it names.
            raise Missing(f"{self.name} 不能启动：{why}") from why
        self.ready_after = self.running.wait_for(f"http://127.0.0.1:{self.port}{probe}")

    def stop(self):
        if self.running:
            self.running.stop()

    def roots(self):
        """Processes whose CPU time an answer costs."""
        return [self.running.pid, self.database.postmaster]

    def token_for(self, work):
        return self.token if work.staff else None

    def resident_mb(self):
        return machine.resident_mb(self.running.pid)


class Sizhi(Server):
    """The service, as it is started by an operator; the limit of requests and the log of every request are off."""

    name = "sizhi"
    extra = ()
    layers = PUBLIC + INTERNAL

    def start(self):
        program = self.database.sizhi
        if "--layers" not in subprocess.run([program, "serve", "--help"], capture_output=True, text=True).stdout:
            raise Missing("这个版本的 sizhi serve 没有 --layers")
        layers = self.folder / "bench.toml"
        layers.write_text(self.layers)
        command = [program, "serve", "--data", str(self.database.folder), "--no-sample", "--port", str(self.port),
                   "--layers", str(layers), *self.extra]
        environment = {"SIZHI_LOG": "warn", "SIZHI_RATE_LIMIT": "0", "SIZHI_ADMIN_TOKEN": TOKEN_OPERATOR}
        self.launch(command, "/readyz", environment)
        self.token = self.staff_token()

    def staff_token(self):
        account = [self.database.sizhi, "account"]
        data = ["--data", str(self.database.folder)]
        subprocess.run([*account, "add", "bench", "--role", "staff", "--divisions", "430100", *data],
                       input="bench-only-password-7\n", text=True, capture_output=True)
        made = subprocess.run([*account, "token", "add", "bench", "--name", self.name, "--json", *data], capture_output=True, text=True)
        if made.returncode:
            raise SystemExit(made.stderr)
        return json.loads(made.stdout)["token"]

    def does(self, work):
        return not work.cold

    def address(self, work, question):
        layer = "bench_parks" if question is None else "bench_parcels_internal" if work.staff else "bench_parcels"
        if work.answers == "tiles":
            z, x, y = question
            return f"/api/collections/{layer}/tiles/WebMercatorQuad/{z}/{y}/{x}"
        items = f"/api/collections/{layer}/items?limit={LIMIT}"
        return items if question is None else f"{items}&bbox={','.join(question)}"


class SizhiPublic(Sizhi):
    """The public layers alone: what the memory of one copy is."""

    layers = PUBLIC


class SizhiWithoutCache(Sizhi):
    """The same without its cache of ready tiles: every request is a new tile."""

    name = "sizhi-nocache"
    extra = ("--tile-cache-mb", "0")

    def start(self):
        if "--tile-cache-mb" not in subprocess.run([self.database.sizhi, "serve", "--help"], capture_output=True, text=True).stdout:
            raise Missing("这个版本的 sizhi serve 没有 --tile-cache-mb")
        super().start()

    def does(self, work):
        return work.cold


class Floor(Server):
    """actix-web with recorded answers in memory; see benches/floor.rs."""

    name = "floor"

    def __init__(self, database, folder, program):
        super().__init__(database, folder)
        self.program, self.lines, self.sources = program, [], {}

    def record(self, work, server, answers):
        """Keeps what `server` answered, by the address it was asked by."""
        for at, (address, media_type, body) in enumerate(answers):
            file = f"{work.key}-{at}"
            (self.folder / file).write_bytes(body)
            self.lines.append(f"{address}\t{media_type}\t{file}")
        self.sources[work.key] = server

    def start(self):
        (self.folder / "index.tsv").write_text("".join(f"{line}\n" for line in dict.fromkeys(self.lines)))
        # Any answer will do, a 404 too: wait for the first recorded one.
        self.launch([self.program, str(self.port), str(self.folder)], self.lines[0].split("\t")[0])

    def does(self, work):
        return work.key in self.sources

    def address(self, work, question):
        return self.sources[work.key].address(work, question)

    def roots(self):
        return [self.running.pid]


class Martin(Server):
    name = "martin"
    cache_mb = 512

    def start(self):
        program = peers() / "martin/bin/martin"
        if not program.exists():
            raise Missing("benches/map/peers 没有装好 martin")
        config = self.folder / f"{self.name}.yaml"
        config.write_text(f"listen_addresses: 127.0.0.1:{self.port}\nworker_processes: 2\ncache_size_mb: {self.cache_mb}\npostgres:\n"
                          f"  connection_string: '{self.database.url}'\n  pool_size: 20\n  auto_publish:\n    functions: false\n"
                          "    tables:\n      from_schemas: bench\n      source_id_format: '{table}'\n")
        self.launch([program, "--config", config], "/health", {"RUST_LOG": "warn"})

    def does(self, work):
        return work.answers == "tiles" and not work.cold

    def address(self, work, question):
        z, x, y = question
        return f"/parcels/{z}/{x}/{y}"


class MartinWithoutCache(Martin):
    name = "martin-nocache"
    cache_mb = 0

    def does(self, work):
        return work.answers == "tiles" and work.cold


class Tipg(Server):
    name = "tipg"

    def start(self):
        program = peers() / "tipg/bin/uvicorn"
        if not program.exists():
            raise Missing("benches/map/peers 没有装好 tipg")
        environment = {
            "POSTGRES_USER": self.database.user, "POSTGRES_HOST": self.database.host, "POSTGRES_PORT": self.database.port,
            "POSTGRES_DBNAME": self.database.name, "POSTGRES_PASS": "", "DATABASE_URL": self.database.url_by_host,
            "TIPG_DB_SCHEMAS": '["bench"]', "TIPG_MAX_FEATURES_PER_TILE": str(10 * LIMIT), "TIPG_TILE_BUFFER": "64",
            "TIPG_MAX_FEATURES_PER_QUERY": str(LIMIT), "TIPG_ADD_TILES_VIEWER": "FALSE",
        }
        command = [program, "tipg.main:app", "--port", str(self.port), "--workers", "2", "--no-access-log", "--log-level", "warning"]
        self.launch(command, "/collections/bench.parks", environment)

    def does(self, work):
        return not work.staff and (work.answers == "items" or work.cold)

    def address(self, work, question):
        table = "bench.parks" if question is None else "bench.parcels"
        if work.answers == "tiles":
            return f"/collections/{table}/tiles/WebMercatorQuad/" + "/".join(map(str, question))
        items = f"/collections/{table}/items?f=geojson&limit={LIMIT}"
        return items if question is None else f"{items}&bbox={','.join(question)}"


class Pygeoapi(Server):
    name = "pygeoapi"

    def start(self):
        program = peers() / "pygeoapi/bin/gunicorn"
        if not program.exists():
            raise Missing("benches/map/peers 没有装好 pygeoapi")
        config, openapi = self.folder / "pygeoapi.yml", self.folder / "pygeoapi.json"
        # JSON is YAML.
        config.write_text(json.dumps(self.config()))
        environment = {"PYGEOAPI_CONFIG": str(config), "PYGEOAPI_OPENAPI": str(openapi)}
        made = subprocess.run([program.with_name("pygeoapi"), "openapi", "generate", config, "--format", "json", "--output-file", openapi],
                              env={**os.environ, **environment}, capture_output=True, text=True)
        if made.returncode:
            raise Missing(made.stderr.strip().splitlines()[-1])
        self.launch([program, "pygeoapi.flask_app:APP", "--bind", f"127.0.0.1:{self.port}", "--workers", "2", "--log-level", "error"],
                    "/collections/parks?f=json", environment)

    def config(self):
        text = lambda words: {"en": words}
        resource = lambda table, key: {
            "type": "collection", "title": text(table), "description": text(table), "keywords": {"en": [table]}, "links": [],
            "extents": {"spatial": {"bbox": [108, 24, 115, 31], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}},
            "providers": [{"type": "feature", "name": "PostgreSQL", "table": table, "id_field": key, "geom_field": "geom",
                           "storage_crs": CGCS2000, "crs": [CGCS2000],
                           "data": {"host": self.database.host, "port": self.database.port, "dbname": self.database.name,
                                    "user": self.database.user, "password": "", "search_path": ["bench", "public"]}}],
        }
        return {
            "server": {"bind": {"host": "127.0.0.1", "port": self.port}, "url": f"http://127.0.0.1:{self.port}", "mimetype": "application/json; charset=UTF-8",
                       "encoding": "utf-8", "languages": ["en"], "limits": {"default_items": 10, "max_items": LIMIT}, "gzip": False,
                       "map": {"url": "https://example.invalid/{z}/{x}/{y}.png", "attribution": "none"}},
            "logging": {"level": "ERROR"},
            "metadata": {"identification": {"title": text("bench"), "description": text("bench"), "keywords": {"en": ["bench"]}, "keywords_type": "theme",
                                            "terms_of_service": "none", "url": "https://example.invalid"},
                         "license": {"name": "none", "url": "https://example.invalid"}, "provider": {"name": "bench", "url": "https://example.invalid"},
                         "contact": {"name": "bench"}},
            "resources": {"parcels": resource("parcels", "id"), "parks": resource("parks", "code")},
        }

    def does(self, work):
        return work.answers == "items" and not work.staff

    def address(self, work, question):
        # In the tables' own system both ways: otherwise it turns the box into latitude and longitude, which PostGIS does not hold, and finds nothing.
        items = f"/collections/{'parks' if question is None else 'parcels'}/items?f=json&limit={LIMIT}&crs={CGCS2000}"
        return items if question is None else f"{items}&bbox-crs={CGCS2000}&bbox={','.join(question)}"


class PostGis(Server):
    """The database alone, by pgbench: no HTTP, one prepared statement that makes the whole answer."""

    name = "postgis"

    def start(self):
        """The database runs already."""

    def does(self, work):
        return work.answers == "items" or work.cold

    def roots(self):
        return [self.database.postmaster]

    def resident_mb(self):
        return None


def peers():
    """Where benches/map/peers installs them."""
    return pathlib.Path(os.environ.get("SIZHI_PEERS") or pathlib.Path(__file__).parents[2] / "target/peers")
