"""Checks of overlaps beside reads of the map: two combs that cross each other at tens of thousands of places and a star that crosses itself are answered
or refused soon, and whoever reads meanwhile hardly notices."""

import http.client
import json
import math
import statistics
import subprocess
import threading
import time

import answers
import edits
import load
import report
import servers

READ_SHARE = 0.8
ANSWER_S = 1.0
CONNECTIONS = 8
#: Combs and stars one after the other before anything is read.
ALONE = 3
#: Addresses that are tried before they are measured.
LOOKED_AT = 20
#: Answers that are not as the interface says: so many are printed.
MOST_LINES = 5

CHECKS = "/api/overlap-checks"
LAYER = "park_blocks"
#: The park whose block is the one comb, and where both lie.
PARK, WEST, SOUTH, WIDTH = "G431176", 112.9, 28.2, 0.05
#: The combs are valid: of all refusals only that of their size is one of them. Of a pair that costs too much, the check's summary tells.
REFUSED, NOT_COMPARED = (413, "check_too_large"), "geometry_too_complex"
STAR_REFUSED = (400, "subject_invalid")


def run(database, options, folder):
    data = ["--data", str(database.folder)]
    subprocess.run([database.sizhi, "seed", *data], check=True, stdout=subprocess.DEVNULL)
    put_comb(database, folder, data)
    database.draw_questions()
    server = servers.Sizhi(database, folder)
    try:
        server.start()
    except servers.Missing as why:
        print(f"\nsizhi：未测（{why}）")
        return False
    try:
        return report.table(measure(server, addresses(database, server), options, folder))
    finally:
        server.stop()


def measure(server, asked, options, folder):
    file = folder / "checks.txt"
    file.write_text("".join(f"{address}\n" for address in asked))
    read = lambda seconds: measured(load.wrk(server.port, file, CONNECTIONS, seconds, server.roots()))
    planner = Planner(server)
    rested(planner)
    for _ in range(ALONE):
        planner.comb()
        planner.star()
    print(f"没有读取时：梳形 {planner.combs.figures()}；星形 {planner.stars.figures()}", flush=True)
    alone = len(planner.combs.took), len(planner.stars.took)
    read(options.warm_up)
    calm, beside = [], []
    for _ in range(options.rounds):
        calm.append(read(options.seconds))
        with Restless(planner):
            beside.append(read(options.seconds))
    planner.close()
    # Of each round by itself: the machine's own speed wavers from round to round.
    shares = [b / c for b, c in zip(beside, calm)]
    print(f"读取，{CONNECTIONS} 个连接：平静时 {report.figure(statistics.median(calm))} 次/s，旁有检查时 {report.figure(statistics.median(beside))} 次/s，"
          f"各轮之比 {' '.join(f'{share:.2f}' for share in shares)}")
    print(f"有读取时：梳形 {planner.combs.figures(alone[0])}；星形 {planner.stars.figures(alone[1])}")
    for fault in planner.faults[:MOST_LINES]:
        print(f"回答有误：{fault}")
    # Those that were asked while nobody read count too, but are not enough.
    slowest = lambda kind, before: max(kind.took) if len(kind.took) > before else None
    comb, star, share = slowest(planner.combs, alone[0]), slowest(planner.stars, alone[1]), statistics.median(shares)
    soon = lambda took: took is not None and took <= ANSWER_S
    return [
        ("一个人不断检查重叠时的读取速度", f"≥ {READ_SHARE:g} 平静时", share, share >= READ_SHARE),
        ("404 个顶点的梳形两两相交，检查的回答，最慢", f"≤ {ANSWER_S:g} s", comb, soon(comb)),
        ("401 个顶点的自交星形，检查的回答，最慢", f"≤ {ANSWER_S:g} s", star, soon(star)),
        ("检查的回答有误", "0 次", len(planner.faults), not planner.faults),
    ]


def measured(found):
    if found is None:
        raise SystemExit("这段时间内没有一个回答：用 --seconds 给长一些")
    return found.per_second


def comb(across):
    """A closed ring of 404 positions, a spine and a hundred teeth: the spine along the south, or along the west where it lies across."""
    teeth, spine = 100, WIDTH / 20
    step, ring = WIDTH / teeth, [(0, 0)]
    for tooth in range(teeth):
        at = tooth * step
        ring += [(at, spine), (at, WIDTH), (at + step / 2, WIDTH), (at + step / 2, spine)]
    ring += [(WIDTH, spine), (WIDTH, 0), (0, 0)]
    return [[WEST + (y if across else x), SOUTH + (x if across else y)] for x, y in ring]


def star():
    """A closed ring of 401 vertices, each nearly opposite the one before: every edge crosses nearly every other."""
    turn = 2 * math.pi * 180 / 401
    ring = [[WEST + 0.02 * math.cos(at * turn), SOUTH + 0.02 * math.sin(at * turn)] for at in range(401)]
    return [*ring, ring[0]]


def feature(ring, properties=None):
    return {"type": "Feature", "properties": properties or {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def question(ring):
    return json.dumps({"subject": {"geojson": feature(ring)}, "layers": [LAYER]}).encode()


def put_comb(database, folder, data):
    """The comb that lies across, into the register as the park's block: what its drawn blocks were before is gone."""
    file = folder / "comb.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature(comb(True), {"区块编号": "9", "name": "梳"})]}))
    allowed = ["--allow", "overlap_with_register", "--allow", "area_mismatch_gross"]
    done = subprocess.run([database.sizhi, "import", file, "--layer", LAYER, "--park", PARK, *allowed, "--json", *data], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"梳形没有导入：{done.stdout[-2000:]}{done.stderr}")


def around_comb():
    box = f"{WEST},{SOUTH},{WEST + WIDTH:g},{SOUTH + WIDTH:g}"
    return f"/api/collections/{LAYER}/items?bbox={box}"


def addresses(database, server):
    """What somebody's map asks for: parcels in small boxes, their tiles of z13–14, and in between the blocks where the comb lies, both ways."""
    boxes = [f"/api/collections/bench_parcels/items?limit=1000&bbox={','.join(box)}" for box, _ in database.boxes("30")]
    tiles = [f"/api/collections/bench_parcels/tiles/WebMercatorQuad/{z}/{y}/{x}" for z, x, y in database.tiles("high-200")]
    middle = (None, WEST + WIDTH / 2, SOUTH + WIDTH / 2)
    blocks = [around_comb(), edits.tile_around(LAYER, middle, 13)]
    listed = [address for pair in zip(boxes, tiles) for address in (*pair, *blocks)]
    if not listed:
        raise SystemExit("没有找到约 30 个要素的范围或瓦片：数据太少")
    for _ in answers.fetch_all(server.port, listed[:LOOKED_AT]):
        pass
    return listed


def rested(planner):
    """Until the audit of the register that follows the start is over: it compares too."""
    begun = time.monotonic()
    while time.monotonic() - begun < 60:
        status, body = planner.ask("GET", "/api/conflicts?limit=1&skipGeometry=true")
        if status != 200:
            raise SystemExit(f"/api/conflicts 回答 {status}：{body}")
        if body["audit"]:
            return
        time.sleep(0.1)
    print("启动后的审查在 60 秒内没有做完，照常测量")


class Taken:
    """Seconds of the answers of one kind."""

    def __init__(self):
        self.took = []

    def figures(self, start=0):
        of_them = self.took[start:]
        return f"{len(of_them)} 次，中位 {statistics.median(of_them):.3f} s，最慢 {max(of_them):.3f} s" if of_them else "0 次"


class Planner:
    """Somebody who has a comb and a star checked, one at a time, looks at the findings and throws the check away."""

    token = servers.TOKEN_OPERATOR

    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.combs, self.stars, self.faults = Taken(), Taken(), []
        self.bodies = question(comb(False)), question(star())
        self.block = self.comb_of_the_register()

    def ask(self, method, address, body=None):
        """Status and document."""
        headers = {"Authorization": f"Bearer {self.token}", **({"Content-Type": "application/json"} if body else {})}
        try:
            self.connection.request(method, address, body, headers)
            answer = self.connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        except (OSError, ValueError, http.client.HTTPException) as why:
            raise SystemExit(f"{method} {address} 没有可读的回答：{why!r}") from why

    def comb_of_the_register(self):
        status, body = self.ask("GET", f"{around_comb()}&limit=1000")
        if status != 200:
            raise SystemExit(f"{around_comb()} 回答 {status}：{body}")
        vertices = lambda feature: sum(len(ring) for polygon in feature["geometry"]["coordinates"] for ring in polygon)
        block = max(body["features"], key=vertices, default=None)
        if not block or vertices(block) < 400:
            raise SystemExit("台账中没有导入的梳形区块")
        return block["id"]

    def comb(self):
        self.check(self.bodies[0], self.combs, lambda status, check: comb_fault(status, check, self.findings, self.block))

    def star(self):
        self.check(self.bodies[1], self.stars, star_fault)

    def check(self, body, kind, fault_of):
        begun = time.perf_counter()
        status, check = self.ask("POST", CHECKS, body)
        made = status in (201, 202)
        while made and check["status"] in ("queued", "running"):
            # It took longer than the service lets wait: the answer is what comes at last.
            time.sleep(0.01)
            at, check = self.ask("GET", f"{CHECKS}/{check['id']}")
            if at != 200:
                raise SystemExit(f"{CHECKS} 回答 {at}：{check}")
        kind.took.append(time.perf_counter() - begun)
        if fault := fault_of(status, check):
            self.faults.append(fault)
        if made:
            gone, why = self.ask("DELETE", f"{CHECKS}/{check['id']}")
            # One that did not finish stays; its fault is told already.
            if gone != 204 and check["status"] == "finished":
                raise SystemExit(f"DELETE {CHECKS}/{check['id']} 回答 {gone}：{why}")

    def findings(self, check):
        status, body = self.ask("GET", f"{CHECKS}/{check['id']}/findings?limit=1000&skipGeometry=true")
        return [found["properties"] for found in body["features"]] if status == 200 else None

    def close(self):
        self.connection.close()


def comb_fault(status, check, findings_of, block):
    """What is wrong with the answer to a comb; None where it is right: finished, with the land that both combs have or the word that they
    cross too often, or refused for its size."""
    if status >= 400:
        return None if (status, code_of(check)) == REFUSED else f"梳形：{status} {code_of(check)}"
    if status != 201 or check["status"] != "finished":
        return f"梳形：{status}，{check['status']}"
    if any((missed["feature_id"], missed["code"]) == (block, NOT_COMPARED) for missed in check["summary"]["not_compared"]):
        return None
    found = findings_of(check)
    if found is None or len(found) != check["summary"]["found"]:
        return "梳形：所列的发现与汇总的数目不符"
    if not any((one["collection"], one["feature_id"]) == (LAYER, block) and one["area_m2"] > 0 for one in found):
        return "梳形：没有发现与另一梳形的重叠"
    return None


def star_fault(status, answer):
    """The same of the star, which is no valid shape: it must be refused as one."""
    return None if (status, code_of(answer)) == STAR_REFUSED else f"星形：{status} {code_of(answer)}"


def code_of(answer):
    return answer.get("code") if isinstance(answer, dict) else None


class Restless:
    """A comb and a star in turn without a pause, in a thread, until the block ends."""

    def __init__(self, planner):
        self.planner, self.failure, self.ending = planner, None, threading.Event()
        self.thread = threading.Thread(target=self.go)

    def go(self):
        try:
            while not self.ending.is_set():
                self.planner.comb()
                self.planner.star()
        except BaseException as failure:
            self.failure = failure

    def __enter__(self):
        # The service gives up connections that were silent as long as a reading takes; the next question opens it again.
        self.planner.close()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()
        if self.failure:
            raise self.failure
