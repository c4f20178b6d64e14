"""The table: medians and spread of the rounds, ratios, goals met or not."""

import statistics

#: Whom sizhi is compared with: other servers, neither the floor nor the database alone.
PEERS = ("martin", "martin-nocache", "tipg", "pygeoapi")


def median(rounds, what):
    return statistics.median(getattr(measured, what) for measured in rounds)


def spread(rounds):
    """(highest − lowest) / median of the requests a second."""
    rates = [measured.per_second for measured in rounds]
    return (max(rates) - min(rates)) / statistics.median(rates)


def figure(number):
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def speed(outcome):
    """Markdown, for the terminal and for docs/performance.md."""
    print("\n| 工作 | 服务 | 连接 | 次/s | 各轮相差 | p50 ms | p99 ms | CPU ms/次 | 字节/次 | 要素/次 | 占下限 | 为最快同类的 |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for work in outcome.works:
        for connections in (1, 8):
            floor = outcome.measured.get((work.key, "floor", connections))
            peers = [median(outcome.measured[work.key, peer, connections], "per_second") for peer in PEERS if (work.key, peer, connections) in outcome.measured]
            for server in outcome.servers:
                rounds = outcome.measured.get((work.key, server, connections))
                if not rounds:
                    continue
                rate = median(rounds, "per_second")
                size = median(rounds, "answer_bytes")
                features = outcome.counted.get((work.key, server))
                cells = [work.title, server, str(connections), figure(rate), f"{spread(rounds):.0%}",
                         f"{median(rounds, 'p50_ms'):.2f}", f"{median(rounds, 'p99_ms'):.2f}", f"{median(rounds, 'cpu_ms'):.3f}",
                         f"{size:,.0f}" if size else "–", f"{features:,.1f}" if features is not None else "–",
                         f"{rate / median(floor, 'per_second'):.2f}" if floor else "–",
                         f"{figure(rate / max(peers))} 倍" if peers and server.startswith("sizhi") else ""]
                print("| " + " | ".join(cells) + " |")
    print("\n| 服务 | 常驻内存 MB |\n|---|--:|")
    for server in outcome.servers:
        if outcome.resident[server] is not None:
            print(f"| {server} | {outcome.resident[server]:,.0f} |")
    for server, why in outcome.missing.items():
        print(f"\n{server}：未安装（{why}）")


def goals(outcome):
    """Each goal beside what was measured; True where none is missed. What could not be measured is missed."""
    lines = []
    for work in outcome.works:
        kind = "-nocache" if work.cold else ""
        own, martin = f"sizhi{kind}", f"martin{kind}"

        def share(of):
            rounds = [outcome.measured.get((work.key, server, 8)) for server in (own, of)]
            return median(rounds[0], "per_second") / median(rounds[1], "per_second") if all(rounds) else None

        if work.of_floor:
            got = share("floor")
            lines.append((work.title, f"≥ {work.of_floor:g} 下限", got, got is not None and got >= work.of_floor))
        if work.p99_ms:
            rounds = outcome.measured.get((work.key, own, 1))
            got = median(rounds, "p99_ms") if rounds else None
            lines.append((f"{work.title}，1 个连接 p99", f"≤ {work.p99_ms:g} ms", got, got is not None and got <= work.p99_ms))
        if work.of_martin:
            got = share(martin)
            lines.append((work.title, f"≥ {work.of_martin:g} × Martin", got, got is not None and got >= work.of_martin))
    return table(lines)


def table(lines):
    """(what, wanted, got or None, met) as a table; True where all are met."""
    print("\n| 目标 | 应为 | 实测 | |\n|---|---|--:|---|")
    for title, wanted, got, met in lines:
        print(f"| {title} | {wanted} | {'未测' if got is None else f'{got:.2f}'} | {'达到' if met else '未达到'} |")
    return all(met for *_, met in lines)
