"""Load: wrk over HTTP, pgbench where PostGIS is asked alone; what came of it and what the machine spent on it."""

import dataclasses
import os
import pathlib
import re
import subprocess
import tempfile

import machine

HERE = pathlib.Path(__file__).parent


@dataclasses.dataclass
class Measured:
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    answer_bytes: float


def wrk(port, addresses, connections, seconds, roots, token=None):
    """Asks for the addresses of a file in turn; None where not one answer came in that time. `roots`: the processes whose CPU time is
    counted."""
    environment = {**os.environ, "BENCH_ADDRESSES": str(addresses), **({"BENCH_TOKEN": token} if token else {})}
    # One thread of wrk: it can ask a hundred thousand times a second, and on two cores a second one would only be in the way.
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(HERE / "wrk.lua"), f"http://127.0.0.1:{port}"]
    before = machine.cpu_seconds(roots)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    spent = machine.cpu_seconds(roots) - before
    found = re.search(r"^RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$", done.stdout, re.MULTILINE)
    if not found:
        raise SystemExit(f"wrk 失败：{done.stdout}{done.stderr}")
    requests, micros, size, p50, p99, errors = map(int, found.groups())
    if errors:
        raise SystemExit(f"{requests} 个回答中有 {errors} 个不是 2xx 或中断，测量作废：\n{done.stdout}")
    if not requests:
        return None
    return Measured(requests / micros * 1e6, p50 / 1e3, p99 / 1e3, spent / requests * 1e3, size / requests)


def pgbench(database, statement, count, connections, seconds):
    """The same question as a prepared statement; `:number` is drawn anew each time, below `count`."""
    with tempfile.TemporaryDirectory() as folder:
        script = pathlib.Path(folder) / "script.sql"
        script.write_text(f"\\set number random(0, {count - 1})\n{statement};\n")
        command = ["pgbench", "-n", "-M", "prepared", "-c", str(connections), "-j", "1", "-T", str(seconds),
                   "-f", str(script), "-l", "--log-prefix", f"{folder}/log", database.connection]
        roots = [database.postmaster]
        before = machine.cpu_seconds(roots)
        done = subprocess.run(command, capture_output=True, text=True)
        spent = machine.cpu_seconds(roots) - before
        if done.returncode:
            raise SystemExit(done.stderr)
        logs = [log.read_text().splitlines() for log in pathlib.Path(folder).glob("log*")]
        micros = sorted(int(line.split()[2]) for lines in logs for line in lines)
        rate = float(re.search(r"tps = ([\d.]+) \(without", done.stdout).group(1))
        at = lambda share: micros[min(len(micros) - 1, int(len(micros) * share))] / 1e3
        return Measured(rate, at(0.5), at(0.99), spent / len(micros) * 1e3, 0.0)
