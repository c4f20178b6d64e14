"""Processes: start and stop them, what they use of the machine; free ports."""

import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children_of():
    """Parent → children of every process there is."""
    tree = {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            fields = stat(int(folder.name))
            if fields:
                tree.setdefault(int(fields[1]), []).append(int(folder.name))
    return tree


def stat(process):
    """/proc/…/stat behind the name (which may hold blanks): state, parent, …"""
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def family(root):
    """A process and all below it."""
    tree, found, ahead = children_of(), [], [root]
    while ahead:
        process = ahead.pop()
        found.append(process)
        ahead.extend(tree.get(process, []))
    return found


def cpu_seconds(roots):
    """CPU time of these processes and all below them, those that have ended included."""
    processes = {process for root in roots for process in family(root)}
    ticks = 0
    for process in processes:
        fields = stat(process)
        if fields:
            # utime, stime and those of children that were waited for: a database's connections end before we look.
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS


def resident_mb(root):
    """Resident memory of a process and all below it, MB."""
    total = 0
    for process in family(root):
        try:
            lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return total / 1024


class Running:
    """A server that we started; ends with the `with` block."""

    def __init__(self, command, log, environment=None):
        self.log = pathlib.Path(log)
        with self.log.open("wb") as out:
            self.child = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self.pid = self.child.pid

    def wait_for(self, url, headers=None, seconds=120):
        """Until the address answers 2xx; gives the seconds that it took."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if self.child.poll() is not None:
                raise SystemExit(f"服务没有启动：\n{self.log.read_text(errors='replace')[-2000:]}")
            try:
                urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=30).read()
                return time.monotonic() - begun
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.02)
        raise SystemExit(f"{seconds} 秒内没有回答：{url}\n{self.log.read_text(errors='replace')[-2000:]}")

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self.child.wait()
