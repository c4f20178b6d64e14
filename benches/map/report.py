"""The table: medians and spread of the rounds, ratios, goals met or not."""

import statistics


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
    print("\n| 工作 | 服务 | 连接 | 次/s | 各轮相差 | p50 ms | p99 ms | CPU ms/次 | 字节/次 | 要素/次 | 占下限 |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for work in outcome.works:
        for connections in (1, 8):
            floor = outcome.measured.get((work.key, "floor", connections))
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
                         f"{rate / median(floor, 'per_second'):.2f}" if floor else "–"]
                print("| " + " | ".join(cells) + " |")
    print("\n| 服务 | 常驻内存 MB |\n|---|--:|")
    for server in outcome.servers:
        if outcome.resident[server] is not None:
            print(f"| {server} | {outcome.resident[server]:,.0f} |")
    for server, why in outcome.missing.items():
        print(f"\n{server}：未安装（{why}）")


def goals(outcome):
    """Each goal beside what was measured; True where none is missed."""
    lines = []
    for work in outcome.works:
        own = "sizhi-nocache" if work.cold else "sizhi"
        rate = lambda server: median(outcome.measured[work.key, server, 8], "per_second")
        have = lambda server: (work.key, server, 8) in outcome.measured
        if work.of_floor and have(own) and have("floor"):
            lines.append((work.title, f"≥ {work.of_floor} 下限", rate(own) / rate("floor"), rate(own) / rate("floor") >= work.of_floor))
        if work.p99_ms and (work.key, own, 1) in outcome.measured:
            p99 = median(outcome.measured[work.key, own, 1], "p99_ms")
            lines.append((f"{work.title}，1 个连接 p99", f"≤ {work.p99_ms} ms", p99, p99 <= work.p99_ms))
        martin = "martin-nocache" if work.cold else "martin"
        if work.of_martin and have(own) and have(martin):
            lines.append((work.title, f"≥ {work.of_martin:g} × Martin", rate(own) / rate(martin), rate(own) / rate(martin) >= work.of_martin))
    return table(lines)


def table(lines):
    if lines:
        print("\n| 目标 | 应为 | 实测 | |\n|---|---|--:|---|")
    for title, wanted, got, met in lines:
        print(f"| {title} | {wanted} | {got:.2f} | {'达到' if met else '未达到'} |")
    return all(met for *_, met in lines)
