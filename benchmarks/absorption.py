"""How many events per second one node absorbs, and what each costs it.

A directory of files that the node and its kernel know is listed; then other nodes are played who
say that its files have changed. An event counts as absorbed when its message is deleted from the
queue (or its post is answered), which a node does after it was applied.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cluster import cpu_model, nodes, today
from contestants import Mounted, run_environment, server, wait_until
from fast_notifications import TOPIC

KNOWN = 1000
"""Files of the directory."""
WAYS = (("sqs", 10), ("sqs", 1), ("http", 1))
"""Transports, and messages to a request: a busy queue gives ten at a time, a quiet one one."""


class Services:
    """The stand-in for SNS and SQS, in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fast_notifications.py"))],
            env=run_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self._line()

    def ask(self, *command: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def measure(
    node: Mounted, services: Services, transport: str, count: int, batch: int
) -> dict[str, float]:
    """Let the node absorb ``count`` events, ``batch`` to a request of the queue."""
    texts = [
        json.dumps(["other-node", "upload", f"/known/file-{number % KNOWN}", f"etag-{number}"])
        for number in range(count)
    ]
    for _ in range(2):
        with os.scandir(f"{node.path}/known") as entries:
            for entry in entries:
                entry.stat()
    before = node.cpu()
    how = ["load", texts, batch] if transport == "sqs" else ["post", texts]
    began = services.ask(*how)
    wait_until(lambda: services.ask("state")["deleted"] >= count, "absorption", 300)
    took = services.ask("state")["last"] - began
    return {"events_per_second": count / took, "cpu_ms": 1000 * (node.cpu() - before) / count}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--output", type=Path, help="folder for absorption.json")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print("| transport | at a time | events per second | CPU per event |\n|---|---|---|---|")
    for transport, batch in WAYS:
        services = Services()
        try:
            with server() as s3, nodes(1, s3, services.url, TOPIC, transport) as (node,):
                os.mkdir(f"{node.path}/known")
                for number in range(KNOWN):
                    Path(f"{node.path}/known/file-{number}").write_bytes(b"x")
                time.sleep(1.0)
                found = [
                    measure(node, services, transport, options.events, batch)
                    for _ in range(options.runs)
                ]
        finally:
            services.close()
        found.sort(key=lambda one: one["events_per_second"])
        row = {"transport": transport, "batch": batch, **found[len(found) // 2]}
        rows.append(row)
        print(
            f"| {transport} | {batch} | {row['events_per_second']:,.0f} | {row['cpu_ms']:.2f} ms |",
            flush=True,
        )
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        told = {"date": today(), "machine": cpu_model(), "events": options.events, "rows": rows}
        (options.output / "absorption.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
