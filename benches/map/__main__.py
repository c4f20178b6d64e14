"""The yardstick (尺子) of the read path: see docs/performance.md. Run by benches/map/run, which builds what is needed."""

import argparse
import pathlib
import sys
import tempfile

import checks
import database
import edits
import report
import speed
import start

PARTS = ("speed", "edits", "checks", "start")


def arguments():
    parser = argparse.ArgumentParser(prog="./dev bench", description="读取路径的性能对比；不写部分时全部测")
    parser.add_argument("parts", nargs="*", metavar="speed|edits|checks|start", help="只测这些部分")
    parser.add_argument("--parcels", type=int, default=200_000, help="地块数（默认 200000）")
    parser.add_argument("--start-parcels", type=int, default=1_000_000, help="测启动时的地块数（默认 1000000）")
    parser.add_argument("--ledger", type=int, default=200_000, help="测修改时台账的宗数（默认 200000）")
    parser.add_argument("--rounds", type=int, default=3, help="轮数，取中位数（默认 3）")
    parser.add_argument("--seconds", type=int, default=5, help="每次测量的秒数（默认 5）")
    parser.add_argument("--warm-up", type=int, default=1, help="每次测量之前的预热秒数（默认 1）")
    parser.add_argument("--servers", nargs="+", help="只比较这些：floor sizhi martin tipg pygeoapi postgis")
    parser.add_argument("--works", nargs="+", help="只测这些工作，名称见 benches/map/works.py")
    for program in ("sizhi", "generator", "floor"):
        parser.add_argument(f"--{program}", required=True, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"没有这一部分：{' '.join(sorted(unknown))}")
    return given


def main():
    options = arguments()
    met = True
    for part in PARTS:
        if options.parts and part not in options.parts:
            continue
        # Each part has a database of its own: edits would change what the others ask.
        with tempfile.TemporaryDirectory(prefix="sizhi-bench-") as folder:
            # User postgres works below it.
            pathlib.Path(folder).chmod(0o755)
            met &= measure(part, options, pathlib.Path(folder))
    sys.exit(0 if met else 1)


def measure(part, options, folder):
    parcels = options.start_parcels if part == "start" else options.parcels
    print(f"\n▸ {part}：{parcels} 宗地块，144 个园区", flush=True)
    data = database.Database(options.sizhi, options.generator, folder / "data")
    try:
        data.load(parcels)
        work = folder / "work"
        work.mkdir()
        if part == "speed":
            data.draw_questions()
            outcome = speed.run(data, options, work, options.floor)
            report.speed(outcome)
            return report.goals(outcome)
        return {"edits": edits, "checks": checks, "start": start}[part].run(data, options, work)
    finally:
        data.stop()


main()
