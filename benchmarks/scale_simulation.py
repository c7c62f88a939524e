"""A simulation, not a measurement: what a thousand nodes on one topic would do to each of them.

Measured are the costs of an event and of a request (``absorption.json``). Assumed are the
services' latencies and prices (:class:`Assumptions`). All nodes are alike, so that one of them is
simulated: it hears what all others write, which arrives at random (Poisson), each event after a
latency of its own. Its threads receive, apply and delete as ``notify/sqs.py`` does; they share one
interpreter.
"""

import argparse
import heapq
import json
import math
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster import today

BATCH = 10
THREADS = 8
"""One that waits in a long poll, and those that help while batches are full (``notify/sqs.py``)."""
PACE = 0.05
"""Seconds between two requests that do not bring full batches (``notify/sqs.py``)."""
GATHER = 0.010
"""Seconds for which a publisher waits for more events (``notify/publisher.py``)."""
POLL = 20.0
HEARTBEAT = 20.0
MONTH = 30 * 86400
BACKLOG = 0.25
"""Who is so many seconds late with the last event has fallen behind."""
EVENTS = 40_000
"""Events that one point of the curve is made of."""


@dataclass(frozen=True)
class Assumptions:
    """What was not measured here; seconds and US dollars."""

    delivery_median: float = 0.045
    delivery_p99: float = 0.250
    """SNS to SQS within a region; published measurements of 2022 give SNS 73 ms and 225 ms with a
    function's start in it, SQS 16 ms and 105 ms."""
    request: float = 0.005
    """A request to SQS and its answer."""
    publish_price: float = 0.50e-6
    """SNS, standard topic, for each request of up to 64 KB."""
    sqs_price: float = 0.40e-6
    """SQS, standard queue, for each request; SNS delivers to SQS for nothing."""
    http_price: float = 0.60e-6
    """SNS, for each delivery by HTTP."""
    publish_quota: float = 30_000.0
    """Messages a second and account that SNS takes in us-east-1; other regions less. On request
    it is raised."""


@dataclass(frozen=True)
class Costs:
    """Seconds of CPU: for a receive and a delete, and for each event among them."""

    request: float
    event: float


def read_costs(path: Path) -> tuple[Costs, float]:
    """From what ``absorption.py`` wrote: the costs by SQS, and the CPU of an event by HTTP."""
    rows = json.loads(path.read_text())["rows"]
    cpu = {(row["transport"], row["batch"]): row["cpu_ms"] / 1000 for row in rows}
    single, full = cpu["sqs", 1], cpu["sqs", BATCH]
    request = (single - full) / (1 - 1 / BATCH)
    return Costs(request, single - request), cpu["http", 1]


def simulate(rate: float, costs: Costs, assumed: Assumptions, seed: int = 1) -> dict[str, float]:
    """``rate`` events a second reach the node; latencies from close to applied, load, requests."""
    draw = random.Random(seed)
    spread = math.log(assumed.delivery_p99 / assumed.delivery_median) / 2.326
    arrivals: list[tuple[float, float]] = []
    now = 0.0
    for _ in range(EVENTS):
        now += draw.expovariate(rate)
        late = draw.lognormvariate(math.log(assumed.delivery_median), spread)
        arrivals.append((now + draw.uniform(0, GATHER) + late, now))
    arrivals.sort()
    threads = [(0.0, 0)]  # when each asks next, and its number; 0 is the one that polls
    running, taken, requests = 1, 0, 0
    processor_free = busy = 0.0
    latencies: list[float] = []
    while taken < len(arrivals):
        asks_at, number = heapq.heappop(threads)
        answered = asks_at + assumed.request / 2
        if arrivals[taken][0] > answered:
            if number:
                running -= 1
                requests += 1
                continue
            requests += int((arrivals[taken][0] - answered) // POLL)
            answered = arrivals[taken][0]  # the long poll ends with the first message
        count = 0
        while taken + count < len(arrivals) and count < BATCH:
            if arrivals[taken + count][0] > answered:
                break
            count += 1
        begins = max(answered + assumed.request / 2, processor_free)
        ends = begins + costs.request + count * costs.event
        processor_free, busy = ends, busy + ends - begins
        latencies += [ends - written for _, written in arrivals[taken : taken + count]]
        taken += count
        requests += 2
        again = ends + assumed.request
        heapq.heappush(threads, (again if count == BATCH else max(again, asks_at + PACE), number))
        if count == BATCH and running < THREADS:
            heapq.heappush(threads, (ends, running))
            running += 1
    took = processor_free - arrivals[0][1]
    latencies.sort()
    return {
        "rate": rate,
        "p50_ms": 1000 * latencies[len(latencies) // 2],
        "p99_ms": 1000 * latencies[int(len(latencies) * 0.99)],
        "cpu": busy / took,
        "requests_per_event": requests / len(arrivals),
        "keeps_up": processor_free - arrivals[-1][0] < BACKLOG,
    }


def price(nodes: int, rate: float, found: dict[str, float], assumed: Assumptions) -> dict[str, Any]:
    """US dollars a month for a cluster of ``nodes`` in which ``rate`` events happen a second."""
    publishes = rate / max(1.0, min(BATCH, rate / nodes * GATHER)) + 1 / HEARTBEAT
    publishing = publishes * assumed.publish_price * MONTH
    heard = rate + 1 / HEARTBEAT
    receiving = max(heard * found["requests_per_event"], 2 / POLL) * assumed.sqs_price * MONTH
    return {
        "nodes": nodes,
        "rate": rate,
        "sqs": publishing + nodes * receiving,
        "http": publishing + nodes * heard * assumed.http_price * MONTH,
        "within_quota": rate <= assumed.publish_quota,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--costs", type=Path, default=Path("docs/performance/absorption.json"))
    parser.add_argument("--output", type=Path, help="folder for scale_simulation.json and .svg")
    options = parser.parse_args()
    costs, http_cpu = read_costs(options.costs)
    assumed = Assumptions()
    print(f"measured: {1000 * costs.request:.2f} ms of CPU for a receive and a delete, ", end="")
    print(f"{1000 * costs.event:.2f} ms for an event, {1000 * http_cpu:.2f} ms for one by HTTP\n")
    rates = [0.1, 1, 10, 30, 100, 300, 1000, 2000, 4000, 6000, 7000, 8000, 9000]
    points = [simulate(rate, costs, assumed) for rate in rates]
    print("| events per second in the cluster | p50 | p99 | CPU of each node | keeps up |")
    print("|---|---|---|---|---|")
    for one in points:
        print(
            f"| {one['rate']:,g} | {one['p50_ms']:.0f} ms | {one['p99_ms']:.0f} ms "
            f"| {100 * one['cpu']:.1f} % | {'yes' if one['keeps_up'] else 'no'} |"
        )
    bills = [
        price(nodes, point["rate"], point, assumed)
        for nodes in (10, 100, 1000)
        for point in points
        if point["rate"] in (0.1, 1, 10, 100)
    ]
    print("\n| nodes | events per second | a month by SQS | a month by HTTP |\n|---|---|---|---|")
    for bill in bills:
        print(
            f"| {bill['nodes']:,} | {bill['rate']:g} | ${bill['sqs']:,.2f} | ${bill['http']:,.2f} |"
        )
    if options.output:
        told = {"date": today(), "assumed": asdict(assumed), "costs": asdict(costs),
                "points": points, "bills": bills}  # fmt: skip
        (options.output / "scale_simulation.json").write_text(json.dumps(told, indent=1) + "\n")
        draw_plot(points, bills, options.output / "scale_simulation.svg")


def draw_plot(points: list[dict[str, float]], bills: list[dict[str, Any]], path: Path) -> None:
    """Latency and load by rate; the bill by nodes."""
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4))
    good = [one for one in points if one["keeps_up"]]
    across = [one["rate"] for one in good]
    left.plot(across, [one["p50_ms"] for one in good], "o--", label="p50, ms")
    left.plot(across, [one["p99_ms"] for one in good], "o-", label="p99, ms")
    left.plot(across, [100 * one["cpu"] for one in good], "s:", label="CPU of each node, %")
    left.set_xscale("log")
    left.set_xlabel("events per second in the cluster (simulated)")
    left.legend()
    for rate in sorted({bill["rate"] for bill in bills}):
        chosen = [bill for bill in bills if bill["rate"] == rate]
        line = [bill["sqs"] for bill in chosen]
        right.plot([bill["nodes"] for bill in chosen], line, "o-", label=f"{rate:g} events/s")
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("nodes")
    right.set_ylabel("US dollars a month, SNS and SQS")
    right.legend()
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
