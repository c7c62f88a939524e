"""How long until other nodes see what one has closed.

One node writes; on every other node a reader looks at the file again and again (stat, answered by
the kernel from what it keeps) and reads it when it has changed. A round ends when every reader has
read the new content; its latency on a node is the time from ``close()`` to that read.
"""

import argparse
import json
import os
import random
import statistics
import threading
import time
from pathlib import Path
from typing import Any

from cluster import client, cpu_model, moto, nodes, today
from contestants import Mounted, server

LOOK_SECONDS = 0.001
"""Between two looks of a reader: it adds up to this much to a latency."""
MISSING_SECONDS = 0.01
"""The same for a name that is not there yet: the kernel keeps no note of that, so that each look is
work for the node."""
GIVE_UP = 30.0


class Reader(threading.Thread):
    """Looks at one file of one node until its content is what was announced."""

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._wanted = b""
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self.seen_at = 0.0

    def expect(self, content: bytes) -> None:
        self._wanted = content
        self._go.release()

    def wait(self) -> float:
        """When it was seen."""
        if not self._done.acquire(timeout=GIVE_UP):
            raise RuntimeError(f"{self._path} was not seen within {GIVE_UP} s")
        return self.seen_at

    def run(self) -> None:
        last: tuple[int, int] | None = None
        while True:
            self._go.acquire()
            while True:
                try:
                    found = os.stat(self._path)
                    stamp = (found.st_mtime_ns, found.st_size)
                    if stamp != last and Path(self._path).read_bytes() == self._wanted:
                        last = stamp
                        break
                    pause = LOOK_SECONDS
                except FileNotFoundError:
                    pause = MISSING_SECONDS
                time.sleep(pause)
            self.seen_at = time.monotonic()
            self._done.release()


def measure(mounted: list[Mounted], rounds: int, *, new_names: bool) -> dict[str, Any]:
    """Latencies in milliseconds of ``rounds`` rounds, and CPU of a reading node per round."""
    writer, others = mounted[0], mounted[1:]
    draw = random.Random(rounds)
    readers: list[Reader] = []
    latencies: list[float] = []
    cpu = [node.cpu() for node in others]
    for number in range(rounds):
        name = f"new-{number}" if new_names else "edited"
        if new_names or not readers:
            readers = [Reader(f"{node.path}/{name}") for node in others]
            for reader in readers:
                reader.start()
        content = f"{number}:".encode() + draw.randbytes(1000).hex().encode()
        for reader in readers:
            reader.expect(content)
        with open(f"{writer.path}/{name}", "wb") as file:
            file.write(content)
        closed = time.monotonic()
        latencies += [max(0.0, reader.wait() - closed) * 1000 for reader in readers]
        time.sleep(draw.uniform(0.02, 0.06))  # no round keeps step with what gathers events
    spent = sum(node.cpu() - before for node, before in zip(others, cpu, strict=True))
    latencies.sort()
    return {
        "p50": statistics.median(latencies),
        "p99": latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))],
        "max": latencies[-1],
        "count": len(latencies),
        "cpu_ms_per_round": 1000 * spent / len(others) / rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--transports", nargs="+", default=["sqs", "http"])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--output", type=Path, help="folder for propagation.json and .svg")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print("| transport | nodes | what | p50 | p99 | max | CPU of a reading node per event |")
    print("|---|---|---|---|---|---|---|")
    for count in options.nodes:
        for transport in options.transports:
            with server() as s3, moto() as notify:
                topic = client(notify, "sns").create_topic(Name="benchmark")["TopicArn"]
                with nodes(count, s3, notify, topic, transport) as mounted:
                    for new_names in (False, True):
                        measure(mounted, 10, new_names=new_names)
                        what = "new file" if new_names else "edit of a cached file"
                        row = measure(mounted, options.rounds, new_names=new_names)
                        rows.append({"transport": transport, "nodes": count, "what": what, **row})
                        print(
                            f"| {transport} | {count} | {what} | {row['p50']:.0f} ms "
                            f"| {row['p99']:.0f} ms | {row['max']:.0f} ms "
                            f"| {row['cpu_ms_per_round']:.1f} ms |",
                            flush=True,
                        )
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        told = {"date": today(), "machine": cpu_model(), "rounds": options.rounds, "rows": rows}
        (options.output / "propagation.json").write_text(json.dumps(told, indent=1) + "\n")
        draw_plot(rows, options.output / "propagation.svg")


def draw_plot(rows: list[dict[str, Any]], path: Path) -> None:
    """p50 and p99 by number of nodes."""
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for transport, colour in (("sqs", "tab:blue"), ("http", "tab:orange")):
        chosen = [r for r in rows if r["transport"] == transport and r["what"].startswith("edit")]
        if not chosen:
            continue
        across = [row["nodes"] for row in chosen]
        axes.plot(across, [r["p99"] for r in chosen], "o-", color=colour, label=f"{transport} p99")
        axes.plot(across, [r["p50"] for r in chosen], "o--", color=colour, label=f"{transport} p50")
    axes.set_xscale("log", base=2)
    axes.set_xlabel("nodes")
    axes.set_ylabel("milliseconds from close() to read elsewhere")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
