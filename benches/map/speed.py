"""Requests a second of all servers, work by work: each server alone while it is measured, in rounds that take turns (ABAB), so that a
machine that grows slower meanwhile is slower for all."""

import collections
import statistics

import answers
import load
import servers as kinds
from works import WORKS

#: Answers that are read and counted before the measuring, per work and server.
LOOKED_AT = 10
CONNECTIONS = (1, 8)


def run(database, options, folder, floor_program):
    works = [work for work in WORKS if not options.works or work.key in options.works]
    questions = {work.key: ask(database, work) for work in works}
    running, missing = [], {}
    wanted = [kinds.Sizhi, kinds.SizhiWithoutCache, kinds.Martin, kinds.MartinWithoutCache, kinds.Tipg, kinds.Pygeoapi, kinds.PostGis]
    try:
        for kind in wanted:
            if options.servers and kind.name.removesuffix("-nocache") not in options.servers:
                continue
            server = kind(database, folder_of(folder, kind.name))
            try:
                server.start()
                running.append(server)
            except kinds.Missing as why:
                missing[kind.name] = str(why)
        if not options.servers or "floor" in options.servers:
            running.insert(0, start_floor(database, folder, floor_program, works, questions, running))
        counted = {(work.key, server.name): look(work, server, questions[work.key], database) for work in works for server in running if server.does(work)}
        measured = collections.defaultdict(list)
        for work in works:
            for at in range(options.rounds):
                for server in running:
                    if server.does(work):
                        for connections in CONNECTIONS:
                            measured[work.key, server.name, connections].append(measure(work, server, questions[work.key], connections, options, folder))
                print(f"  {work.title}：第 {at + 1}/{options.rounds} 轮完成", flush=True)
        resident = {server.name: server.resident_mb() for server in running}
    finally:
        for server in running:
            server.stop()
    return Outcome(works, [server.name for server in running], missing, measured, counted, resident)


Outcome = collections.namedtuple("Outcome", "works servers missing measured counted resident")


def ask(database, work):
    """(question, features or None) for every address of the list."""
    if work.answers == "tiles":
        return [(tile, None) for tile in database.tiles(work.kind)]
    if work.kind is None:
        return [(None, int(database.sql("SELECT count(*) FROM bench.parks")[0][0]))]
    found = database.boxes(work.kind)
    if len(found) < LOOKED_AT:
        raise SystemExit(f"只找到 {len(found)} 个 {work.kind} 的范围：数据太少")
    return found


def folder_of(folder, name):
    made = folder / name
    made.mkdir()
    return made


def start_floor(database, folder, program, works, questions, running):
    """The floor replays, address by address, what the first server of the run that answers the work gave (sizhi where it runs)."""
    floor = kinds.Floor(database, folder_of(folder, "floor"), program)
    for work in works:
        if work.cold:
            # Thousands of tiles in memory would say nothing: bytes are bytes.
            continue
        source = next((server for server in running if not isinstance(server, kinds.PostGis) and server.does(work)), None)
        if source:
            addresses = [source.address(work, question) for question, _ in questions[work.key]]
            floor.record(work, source, answers.fetch_all(source.port, addresses, source.token_for(work)))
    floor.start()
    return floor


def look(work, server, asked, database):
    """Mean features of the first answers; of items they must be those that PostGIS counts."""
    if isinstance(server, kinds.PostGis):
        return None
    addresses = [server.address(work, question) for question, _ in asked[:LOOKED_AT]]
    counts = [answers.features_of(work.answers, body) for _, _, body in answers.fetch_all(server.port, addresses, server.token_for(work))]
    for count, (question, features), address in zip(counts, asked, addresses):
        if features is not None and count != features:
            raise SystemExit(f"{server.name} 对 {address} 给出 {count} 个要素，PostGIS 数得 {features} 个")
    return statistics.mean(counts)


def measure(work, server, asked, connections, options, folder):
    if isinstance(server, kinds.PostGis):
        question = lambda seconds: load.pgbench(server.database, work.statement(), len(asked), connections, seconds)
    else:
        addresses = folder / f"{work.key}-{server.name}.txt"
        addresses.write_text("".join(f"{server.address(work, question)}\n" for question, _ in asked))
        question = lambda seconds: load.wrk(server.port, addresses, connections, seconds, server.roots(), server.token_for(work))
    question(options.warm_up)
    measured = question(options.seconds)
    if measured is None:
        raise SystemExit(f"{server.name} 在 {options.seconds} 秒内没有一个回答（{work.title}）：用 --seconds 给长一些")
    return measured
