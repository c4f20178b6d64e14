"""Overlap against named peers: all pairs of two layers, and within one, that share land. Run by benches/overlap/run, which builds what is needed."""

import argparse
import pathlib
import re
import statistics
import sys
import tempfile

import programs
import report
from programs import Frames, Missing, PostGis, Sizhi, Work

#: Both measure the common part that PostGIS cuts out. PostGIS joins corners by geodesics, the survey formula (规程公式) that sizhi keeps to does not:
#: a hundredth of a square metre for an edge of 150 m. Of slivers PostGIS's own rounding is some 1e-5 m².
MEASURES = {"geodesic": "测地面积", "survey": "规程公式"}
#: Common land up to this is none, m².
LEAST_M2 = 1e-6
#: An area is wrong where it is off by more than both.
WRONG_M2, WRONG_SHARE = 1e-2, 1e-6
#: How many are off by more than this is told.
TOLD_M2 = 1e-4
#: Of pairs that differ so many are printed.
MOST_LINES = 100
#: How much faster sizhi must be.
GOALS = {"PostGIS": 4.0, "GeoPandas": 1.0, "DuckDB": 1.0}
#: One boundary of 400 vertices against a layer in memory, ms at most.
CANDIDATE_MS = {"p50": 5.0, "p99": 20.0}
CANDIDATES, FUZZED = 1_000, 1_000_000


def arguments():
    parser = argparse.ArgumentParser(prog="benches/overlap/run", description="重叠检测的性能对比，并与 PostGIS 逐对核对")
    parser.add_argument("--parcels", type=int, default=200_000, help="地块数（默认 200000）")
    parser.add_argument("--rounds", type=int, default=3, help="轮数，取中位数（默认 3）")
    parser.add_argument("--works", nargs="+", choices=("parks", "crowded"), default=("parks", "crowded"), help="只测这些工作")
    parser.add_argument("--judge", choices=MEASURES, default="survey", help="核对以 PostGIS 切出的图形按规程公式的面积（默认）还是其测地面积为准；两者都列出")
    for program in ("sizhi", "generator", "overlap"):
        parser.add_argument(f"--{program}", required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="sizhi-overlap-") as folder:
        # User postgres works below it.
        pathlib.Path(folder).chmod(0o755)
        met = run(options, pathlib.Path(folder))
    sys.exit(0 if met else 1)


def run(options, folder):
    print(f"▸ 生成数据：144 个园区，{options.parcels} 宗地块", flush=True)
    layers = {
        name: programs.generate(options.generator, folder, name, words, columns)
        for name, words, columns in (("parks", ["wide-parks"], programs.PARKS),
                                     ("parcels", ["parcels", str(options.parcels)], programs.PARCELS),
                                     ("crowded", ["crowded", str(options.parcels)], programs.PARCELS))
    }
    works = [Work("parks", "园区 × 地块", [layers["parks"], layers["parcels"]]), Work("crowded", "地块 × 地块", [layers["crowded"]])]
    works = [work for work in works if work.key in options.works]
    sizhi = Sizhi(options.overlap, options.sizhi, options.parcels)
    candidates, missing, postgis = [sizhi], {}, None
    try:
        postgis = there("PostGIS", lambda: PostGis(options.sizhi, options.generator, folder / "data"), candidates, missing)
        if postgis:
            postgis.load(layers.values())
        planar = "平面面积"
        there("GeoPandas", lambda: Frames("geopandas", "GeoPandas", (f"{planar}，单线程", f"{planar}，2 个线程")), candidates, missing)
        there("DuckDB", lambda: Frames("duckdb", "DuckDB", (f"{planar}，2 个线程",) * 2), candidates, missing)
        readings = measure(works, candidates, options.rounds)
        figures(works, candidates, missing, readings)
        judged = [line for work in works for line in judge(work, sizhi, postgis)] if postgis else []
    finally:
        if postgis:
            postgis.stop()
    sound = verdict(judged, options.judge)
    alone = sizhi.alone([["candidate", str(options.parcels), str(CANDIDATES)], ["fuzz", str(FUZZED)]])
    return goals(works, readings, without_peer(options.parcels, *alone)) and sound


def there(title, start, candidates, missing):
    """The peer, if it is there."""
    try:
        candidates.append(start())
        return candidates[-1]
    except Missing as why:
        missing[title] = why
        print(f"▸ {title}：未安装（{why}）", flush=True)
        return None


def measure(works, candidates, rounds):
    """(work, program, form) → its readings. All take turns; nothing else runs."""
    readings = {}
    for number in range(rounds):
        for work in works:
            for program in candidates:
                for form in program.forms:
                    print(f"▸ 第 {number + 1} 轮：{work.title}，{program.title} {form}".rstrip(), flush=True)
                    readings.setdefault((work.key, program.title, form), []).append(program.measure(work, form))
    return readings


def seconds(readings):
    return statistics.median(reading.seconds for reading in readings)


def figures(works, candidates, missing, readings):
    print("\n| 工作 | 程序 | 写法 | 秒 | 各轮 | 各轮相差 | 为 sizhi 的 | 相交的对 | 有共同土地的对 | 不计入：读入，秒 | 说明 |\n|---|---|---|--:|---|--:|--:|--:|--:|--:|---|")
    for work in works:
        own = seconds(readings[work.key, "sizhi", ""])
        for program in candidates:
            for form in program.forms:
                of_it = readings[work.key, program.title, form]
                taken = [reading.seconds for reading in of_it]
                median, last = seconds(of_it), of_it[-1]
                read = statistics.median(reading.read for reading in of_it)
                cells = [work.title, program.title, form, f"{median:.3f}", " ".join(f"{t:.3f}" for t in taken), f"{(max(taken) - min(taken)) / median:.0%}",
                         f"{median / own:.1f} 倍", f"{last.pairs:,}", f"{last.land:,}", f"{read:.1f}" if read else "–", last.note]
                print("| " + " | ".join(cells) + " |")
    print()
    for program in candidates:
        print(f"{program.title}：{program.versions}")
        if program.title == "PostGIS":
            print(f"PostGIS 的 GiST 索引事先建好，{program.index_seconds:.1f} 秒不计入；sizhi、GeoPandas、DuckDB 的索引计入。")
    for name, why in missing.items():
        print(f"{name}：未安装（{why}）")


def judge(work, sizhi, postgis):
    """sizhi's pairs against PostGIS's by each measure, and what the table says of them."""
    ours, common = sizhi.found[work.key], postgis.common(work)
    return [compare(work, measure, ours, {pair: areas[number] for pair, areas in common.items()}, work.key not in sizhi.cut_short)
            for number, measure in enumerate(MEASURES)]


def compare(work, measure, ours, theirs, complete):
    own, other = ({pair for pair, area in areas.items() if area > LEAST_M2} for areas in (ours, theirs))
    off = []
    for pair in own & other:
        delta = abs(ours[pair] - theirs[pair])
        off.append((delta, delta / max(ours[pair], theirs[pair]), pair))
    wrong = sorted((it for it in off if it[0] > WRONG_M2 and it[1] > WRONG_SHARE), reverse=True)
    for what, pairs in (("只有 sizhi 有", sorted(own - other)), ("只有 PostGIS 有", sorted(other - own)), ("面积不符", [pair for *_, pair in wrong])):
        for pair in pairs[:MOST_LINES]:
            print(f"{work.title}，{MEASURES[measure]}，{what}：{pair}，sizhi {ours.get(pair, 0.0):.9g} m²，PostGIS {theirs.get(pair, 0.0):.9g} m²")
        if len(pairs) > MOST_LINES:
            print(f"…… {what}的另有 {len(pairs) - MOST_LINES:,} 对")
    sound = complete and own == other and not wrong
    cells = [work.title, MEASURES[measure], "是" if complete else "否", f"{len(own - other):,}", f"{len(other - own):,}", f"{len(off):,}",
             f"{max((delta for delta, *_ in off), default=0.0):.2e}", f"{max((share for _, share, _ in off), default=0.0):.2e}",
             f"{len(wrong):,}", f"{sum(delta > TOLD_M2 for delta, *_ in off):,}", "相符" if sound else "不相符"]
    return measure, sound, cells


def verdict(judged, decides):
    """Prints what was found; True where all is well by the measure that decides."""
    print(f"\n| 核对 | PostGIS 的面积 | sizhi 做完 | 只有 sizhi 有 | 只有 PostGIS 有 | 都有 | 最大相差，m² | 最大相对相差 | 不符 | 相差超过 {TOLD_M2:g} m² | |"
          "\n|---|---|---|--:|--:|--:|--:|--:|--:|--:|---|")
    for _, _, cells in judged:
        print("| " + " | ".join(cells) + " |")
    print(f"\n不符：相差超过 {WRONG_M2:g} m² 并且相对超过 {WRONG_SHARE:g}。共同土地不超过 {LEAST_M2:g} m² 的对不算。以{MEASURES[decides]}为准。")
    if not judged:
        print("没有 PostGIS，没有核对。")
    return bool(judged) and all(sound for measure, sound, _ in judged if measure == decides)


def without_peer(parcels, candidate, fuzz):
    """Goals of one boundary against a layer, and of random pairs of which none may go wrong; from what the runs printed."""
    for share, wanted in CANDIDATE_MS.items():
        got = printed(rf"\b{share} ([\d.]+) ms", candidate)
        yield f"400 个顶点的边界 × {parcels:,} 宗地块，{share}", f"≤ {wanted:g} ms", got, candidate[0] and got is not None and got <= wanted
    got = printed(r", (\d+) faults;", fuzz)
    yield f"{FUZZED:,} 对随机图形，出错", "0 对", got, fuzz[0] and got == 0


def printed(pattern, run):
    found = re.search(pattern, run[1])
    return float(found.group(1)) if found else None


def goals(works, readings, lines):
    """How much faster than each peer in its fastest form; below it the goals that have no peer."""
    besides, lines = list(lines), []
    for work in works:
        for peer, wanted in GOALS.items():
            forms = [seconds(taken) for (key, name, _), taken in readings.items() if (key, name) == (work.key, peer)]
            got = min(forms) / seconds(readings[work.key, "sizhi", ""]) if forms else None
            met = got is not None and (got >= wanted if wanted > 1.0 else got > 1.0)
            lines.append((f"{work.title}：比 {peer} 最快的写法", f"{'≥' if wanted > 1.0 else '>'} {wanted:g} 倍", got, met))
    return report.table(lines + besides)


main()
