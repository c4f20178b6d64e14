"""Edits: how soon they are seen on another connection, and what they cost the readers. By SQL on the extra table, over HTTP on a ledger."""

import contextlib
import http.client
import json
import math
import socket
import statistics
import subprocess
import threading
import time

import answers
import load
import report
import servers

#: Edits that are watched, of each kind.
WATCHED = 30
VISIBLE_MS = 100.0
EDITS_A_SECOND = 50
READ_SHARE = 0.8
#: The register is audited within so much of an edit.
AUDIT_MS = 50.0


def run(database, options, folder):
    print(f"  载入台账 {options.ledger} 宗（sizhi seed --parcels）", flush=True)
    subprocess.run([database.sizhi, "seed", "--data", str(database.folder), "--parcels", str(options.ledger)], check=True, stdout=subprocess.DEVNULL)
    server = servers.Sizhi(database, folder)
    try:
        server.start()
    except servers.Missing as why:
        print(f"\nsizhi：未测（{why}）")
        return False
    try:
        makers = [Sql(database, options), Ledger(server)]
        lines = [line for maker in makers for line in visible(server, maker)]
        lines += audits(server, makers[-1])
        lines += [line for maker in makers for line in beside_reads(server, maker, options, folder)]
        for maker in makers:
            maker.close()
    finally:
        server.stop()
    return report.table(lines)


class Sql:
    """UPDATEs of bench.parcels by one psql that stays connected; an edit is answered when psql says so, after its commit."""

    title = "SQL 改附加图层"
    layer = "bench_parcels"
    token = None

    def __init__(self, database, options):
        command = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", database.connection]
        self.psql = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        rows = database.sql("SELECT id, ST_X(c), ST_Y(c) FROM (SELECT id, ST_Centroid(geom) AS c FROM bench.parcels "
                            "ORDER BY md5(id) LIMIT 500) AS chosen")
        self.targets = [(row[0], float(row[1]), float(row[2])) for row in rows]

    def edit(self, target, name):
        # There and back: what is drawn stays what it was, within a metre.
        shift = "0.00001" if len(name) % 2 else "-0.00001"
        self.psql.stdin.write(f"UPDATE bench.parcels SET name = '{name}', geom = ST_Translate(geom, {shift}, 0) WHERE id = '{target[0]}';\n\\echo done\n")
        self.psql.stdin.flush()
        if self.psql.stdout.readline().strip() != "done":
            raise SystemExit("SQL 修改失败")

    def editors(self):
        """Those that share fifty edits a second: one connection is enough."""
        return [self]

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()


class Ledger:
    """PATCHes of records of turnover land; the version comes from the answer before."""

    title = "HTTP 改台账"
    layer = "turnover_parcels"
    token = servers.TOKEN_OPERATOR

    def __init__(self, server):
        self.server = server
        self.connection = Wire(server.port)
        status, _, body = answers.fetch(server.port, f"/api/collections/{self.layer}/items?limit=500", self.token)
        if status != 200:
            raise SystemExit(f"{self.layer} 回答 {status}")
        self.targets = [(feature["id"], *middle(feature["geometry"])) for feature in json.loads(body)["features"]]
        self.versions = {}

    def editors(self):
        """Four people, each with records of its own: one that waits for each answer does not come to fifty while others read."""
        people = [Ledger(self.server) for _ in range(4)]
        for at, person in enumerate(people):
            person.targets = self.targets[at::len(people)]
        return people

    def request(self, method, address, body="", headers=None):
        status, etag, text = self.connection.ask(method, address, {"Authorization": f"Bearer {self.token}", **(headers or {})}, body)
        if status != 200:
            raise SystemExit(f"{method} {address} 回答 {status}：{text[:300]!r}")
        return etag

    def edit(self, target, name):
        address = f"/api/collections/{self.layer}/items/{target[0]}"
        version = self.versions.get(target[0]) or self.request("GET", address)
        # The geometry moves too, so that a tile without names shows the edit.
        body = json.dumps({"properties": {"name": name}, "geometry": square(target, 20.0 + len(name) % 2)})
        headers = {"If-Match": version, "Content-Type": "application/merge-patch+json"}
        self.versions[target[0]] = self.request("PATCH", f"{address}?allow=area_mismatch_gross,outside_province,overlap_within_file", body, headers)

    def close(self):
        self.connection.close()


class Wire:
    """HTTP by hand: http.client takes a tenth of an edit's processor time, and it is the service that is measured."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method, address, headers, body):
        """Status, ETag, body."""
        body = body.encode()
        lines = [f"{method} {address} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in headers.items())]
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        got = b""
        while b"\r\n\r\n" not in got:
            got += self.more()
        head, _, rest = got.partition(b"\r\n\r\n")
        status, *fields = head.decode("latin-1").split("\r\n")
        told = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        if "content-length" not in told:
            raise SystemExit(f"{method} {address} 的回答没有 Content-Length：{head[:300]!r}")
        while len(rest) < int(told["content-length"]):
            rest += self.more()
        return int(status.split()[1]), told.get("etag"), rest

    def more(self):
        got = self.socket.recv(1 << 16)
        if not got:
            raise SystemExit("服务断开了连接")
        return got

    def close(self):
        self.socket.close()


def middle(geometry):
    ring = geometry["coordinates"][0][0]
    return sum(x for x, _ in ring[1:]) / (len(ring) - 1), sum(y for _, y in ring[1:]) / (len(ring) - 1)


def square(target, half_m):
    _, x, y = target
    dx, dy = half_m / (111_320 * math.cos(math.radians(y))), half_m / 110_850
    corners = [(x - dx, y - dy), (x + dx, y - dy), (x + dx, y + dy), (x - dx, y + dy), (x - dx, y - dy)]
    return {"type": "MultiPolygon", "coordinates": [[[[round(x, 8), round(y, 8)] for x, y in corners]]]}


def visible(server, maker):
    """Seconds from an edit's answer to the first answer of another connection that has it: of items, of a tile."""
    reader = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    get = lambda address: answers.fetch(server.port, address, maker.token, reader)
    for what, address_of in (("要素", items_around), ("瓦片 z16", tile_around)):
        took = []
        for at in range(WATCHED):
            target = maker.targets[at]
            address = address_of(maker.layer, target)
            status, _, before = get(address)
            if status != 200:
                print(f"{maker.title}：{what}未测，{address} 回答 {status}")
                yield f"{maker.title}，另一连接上的{what}可见，最慢", f"≤ {VISIBLE_MS:g} ms", None, False
                break
            # Of another length than what stands: on it hangs the size of the square, which is what a tile without names shows.
            name = f"{what[0]}{at}" + "改" * (at % 2 + (what != "要素"))
            maker.edit(target, name)
            answered = time.monotonic()
            while True:
                _, _, body = get(address)
                seen = name.encode() in body if what == "要素" else body != before
                if seen or time.monotonic() - answered > 10:
                    break
            took.append((time.monotonic() - answered) * 1e3)
        else:
            print(f"{maker.title}，{what}：{WATCHED} 次，中位 {statistics.median(took):.1f} ms，最慢 {max(took):.1f} ms")
            yield f"{maker.title}，另一连接上的{what}可见，最慢", f"≤ {VISIBLE_MS:g} ms", max(took), max(took) <= VISIBLE_MS
    reader.close()


def audits(server, ledger):
    """Milliseconds from an edit's answer to the first answer of another connection that is of an audit which saw it; edits one at a time."""
    reader = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def audited():
        status, _, body = answers.fetch(server.port, "/api/conflicts?limit=1&skipGeometry=true", ledger.token, reader)
        if status != 200:
            raise SystemExit(f"/api/conflicts 回答 {status}")
        return (json.loads(body)["audit"] or {"revision": 0})["revision"]

    took = []
    for at in range(WATCHED):
        # The last one's audit is over, and its rest.
        time.sleep(1.2)
        before = audited()
        ledger.edit(ledger.targets[WATCHED + at], f"审查{at}")
        answered = time.monotonic()
        while audited() == before:
            if time.monotonic() - answered > 10:
                raise SystemExit("审查没有跟上")
        took.append((time.monotonic() - answered) * 1e3)
    reader.close()
    print(f"一次修改后的审查：{WATCHED} 次，自回答到另一连接上看到，中位 {statistics.median(took):.1f} ms，最慢 {max(took):.1f} ms")
    yield "一次修改后的审查可见，最慢", f"≤ {AUDIT_MS:g} ms", max(took), max(took) <= AUDIT_MS


def items_around(layer, target):
    _, x, y = target
    return f"/api/collections/{layer}/items?limit=1000&bbox={x - 1e-4:.6f},{y - 1e-4:.6f},{x + 1e-4:.6f},{y + 1e-4:.6f}"


def tile_around(layer, target, z=16):
    _, x, y = target
    column = int((x + 180) / 360 * (1 << z))
    row = int((1 - math.asinh(math.tan(math.radians(y))) / math.pi) / 2 * (1 << z))
    return f"/api/collections/{layer}/tiles/WebMercatorQuad/{z}/{row}/{column}"


def beside_reads(server, maker, options, folder):
    """Small boxes a second with 8 connections, in turn without and with edits."""
    addresses = folder / f"{maker.layer}.txt"
    boxes = [items_around(maker.layer, (name, x, y)) for name, x, y in maker.targets]
    addresses.write_text("".join(f"{address}\n" for address in boxes))
    read = lambda seconds: load.wrk(server.port, addresses, 8, seconds, server.roots(), maker.token).per_second
    read(options.warm_up)
    calm, edited, rates = [], [], []
    for _ in range(options.rounds):
        calm.append(read(options.seconds))
        with contextlib.ExitStack() as editing:
            people = maker.editors()
            busy = [editing.enter_context(Steady(person, EDITS_A_SECOND / len(people))) for person in people]
            edited.append(read(options.seconds))
        rates.append(sum(person.per_second() for person in busy))
    # Of each round by itself: the machine's own speed wavers from round to round.
    share = statistics.median(e / c for e, c in zip(edited, calm))
    print(f"{maker.title}：平静时 {report.figure(statistics.median(calm))} 次/s，每秒 {statistics.median(rates):.0f} 次修改时 {report.figure(statistics.median(edited))} 次/s")
    fast_enough = statistics.median(rates) >= 0.95 * EDITS_A_SECOND
    yield f"{maker.title}（{statistics.median(rates):.0f} 次/s）时的读取速度", f"≥ {READ_SHARE:g} 平静时", share, share >= READ_SHARE and fast_enough


class Steady:
    """Edits in a thread, so many a second, until the block ends."""

    def __init__(self, maker, rate):
        self.maker, self.rate, self.done, self.failure, self.ending = maker, rate, 0, None, threading.Event()
        self.thread = threading.Thread(target=self.go)

    def go(self):
        begun = time.monotonic()
        try:
            while not self.ending.wait(max(0.0, begun + self.done / self.rate - time.monotonic())):
                target = self.maker.targets[self.done % len(self.maker.targets)]
                self.maker.edit(target, f"第{self.done}次" + "改" * (self.done // len(self.maker.targets) % 2))
                self.done += 1
        except SystemExit as failure:
            self.failure = failure
        self.seconds = time.monotonic() - begun

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()
        if self.failure:
            raise self.failure

    def per_second(self):
        return self.done / self.seconds
