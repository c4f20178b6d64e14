"""Start: from the process's first moment, with PostgreSQL up, until it is ready; memory beside the bytes of the layer."""

import statistics
import time
import urllib.request

import machine
import report
import servers

READY_S = 15.0
MEMORY_SHARE = 2.5


def run(database, options, folder):
    seconds, resident = [], 0.0
    for at in range(options.rounds):
        server = servers.SizhiPublic(database, folder)
        begun = time.monotonic()
        try:
            # Returns when /readyz answers 200.
            server.start()
        except servers.Missing as why:
            print(f"\nsizhi：未测（{why}）")
            return False
        try:
            seconds.append(server.ready_after)
            first = time.monotonic()
            box = "&bbox=112.9,28.1,112.92,28.12"
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/api/collections/bench_parcels/items?limit=10{box}").read()
            print(f"第 {at + 1} 轮：{server.ready_after:.1f} s 就绪，第一个范围查询再用 {(time.monotonic() - first) * 1e3:.0f} ms", flush=True)
            resident = machine.resident_mb(server.running.pid)
            if at == options.rounds - 1:
                size = layers_bytes(server)
        finally:
            server.stop()
    print(f"常驻 {resident:,.0f} MB；两个附加图层的 GeoJSON {size / 1e6:,.0f} MB")
    return report.table([
        (f"{options.start_parcels:,} 宗地块，启动到就绪", f"≤ {READY_S:g} s", statistics.median(seconds), statistics.median(seconds) <= READY_S),
        ("常驻内存与图层 GeoJSON 字节之比", f"≤ {MEMORY_SHARE:g}", resident * 1048576 / size, resident * 1048576 / size <= MEMORY_SHARE),
    ])


def layers_bytes(server):
    """Bytes of the public layers as GeoJSON, by the service's own download."""
    total = 0
    for layer in ("bench_parcels", "bench_parks"):
        answer = urllib.request.urlopen(f"http://127.0.0.1:{server.port}/api/collections/{layer}/items?f=geojson", timeout=600)
        while piece := answer.read(1 << 20):
            total += len(piece)
    return total
