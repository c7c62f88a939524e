"""yas3fs beside other mounts: the same work, one server, contestants in turn, medians.

Prints a table, and with ``--output DIR`` writes it there as JSON, Markdown and (with matplotlib) a
plot. Needs root: the kernel's caches are dropped before every cold workload.
"""

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bare_client import bare_read
from cluster import cpu_model
from contestants import (
    BUCKET,
    KEY_ID,
    SECRET,
    Contestant,
    Mounted,
    Server,
    contestants,
    on_another_python,
    server,
    wait_until,
)
from workloads import FAR, NEAR, Sizes, Stored, Workload, prepare, workloads


def drop_caches() -> None:
    subprocess.run(["sync"], check=True)
    Path("/proc/sys/vm/drop_caches").write_text("3")


PROGRAMS = (
    [sys.executable, "-c", "import concurrent.futures, os, random"],
    *([name, "--version"] for name in ("cat", "dd", "find", "head", "ls", "mv", "rm")),
    ["sh", "-c", ":"],
)
"""What workloads are made of: dropping the kernel's caches throws it out as well."""
LATE = 0.05
"""Seconds; finding out takes some milliseconds."""
SECONDS = 600.0
"""For the longest workload; who needs more has failed."""


class Bucket:
    """What is really in it, asked without latency."""

    def __init__(self, s3: Server) -> None:
        import boto3

        self._client = boto3.client(
            "s3",
            endpoint_url=s3.near_url,
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            verify=str(s3.certificate) if s3.certificate else None,
        )

    def files(self, prefix: str) -> dict[str, tuple[int, str]]:
        """Size and ETag of what is below it, but for directories."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {
            one["Key"]: (one["Size"], one["ETag"])
            for page in pages
            for one in page.get("Contents", [])
            if not one["Key"].endswith("/")
        }

    def has(self, wanted: Stored, before: dict[str, tuple[int, str]]) -> bool:
        found = self.files(wanted.prefix)
        if wanted.anew and found == before:
            return False
        return (len(found), sum(size for size, _ in found.values())) == (wanted.count, wanted.size)


def _run(command: list[str], folder: str) -> int:
    """The exit status; a wait with a timeout would look every 50 ms only."""
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    timer = threading.Timer(SECONDS, process.kill)
    timer.start()
    try:
        return process.wait()
    finally:
        timer.cancel()


def measure(
    mount: Mounted, bucket: Bucket, command: list[str], stored: Stored | None
) -> dict[str, float] | None:
    """Seconds, CPU seconds of the mount and its peak memory; None when it failed.

    ``late`` is how many of the seconds passed after the command had ended.
    """
    before = bucket.files(stored.prefix) if stored is not None and stored.anew else {}
    cpu, started = mount.cpu(), time.perf_counter()
    failed = _run(command, mount.path)
    seconds = ended = time.perf_counter() - started
    if failed:
        return None
    if stored is not None and not bucket.has(stored, before):
        try:
            wait_until(lambda: bucket.has(stored, before), "what was stored", SECONDS)
        except RuntimeError:
            return None
        seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "late": seconds - ended,
        "cpu": mount.cpu() - cpu,
        "memory": mount.memory(),
    }


Results = dict[str, dict[str, list[dict[str, float] | None]]]


def run_all(
    s3: Server,
    fighters: list[Contestant],
    work: list[Workload],
    runs: int,
    say: Callable[[str], None],
) -> Results:
    """Every workload on every contestant, ``runs`` times, the contestants in turn."""
    results: Results = {one.title: {c.name: [] for c in fighters} for one in work}
    bucket = Bucket(s3)
    for run in range(runs):
        for group in groups(work):
            for fighter in fighters:
                drop_caches()
                entrant = fighter if group[0].attributes else fighter.without_attributes()
                with entrant.mounted(s3) as mount:
                    for words in PROGRAMS:
                        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
                    for one in group:
                        words = [word.replace("{who}", who(fighter, run)) for word in one.command]
                        stored = one.stored and replace(
                            one.stored, prefix=one.stored.prefix.replace("{who}", who(fighter, run))
                        )
                        found = measure(mount, bucket, words, stored)
                        results[one.title][fighter.name].append(found)
            say(f"run {run + 1}: {group[0].title}")
    return results


def groups(work: list[Workload]) -> list[list[Workload]]:
    """Workloads that share a mount."""
    found: list[list[Workload]] = []
    for one in work:
        if one.fresh or not found:
            found.append([])
        found[-1].append(one)
    return found


def who(fighter: Contestant, run: int) -> str:
    return f"{fighter.name}-{run}"


def bare(s3: Server, sizes: Sizes, runs: int) -> list[str]:
    """What the S3 client alone takes, in lines of Markdown."""
    lines = ["| the S3 client alone (awscrt) | seconds | CPU seconds |", "|---|---|---|"]
    for title, size in (("first 4 KiB", 4096), (f"read {sizes.large} MiB", sizes.large << 20)):
        found = [bare_read(s3, size) for _ in range(runs)]
        seconds, cpu = (statistics.median(one[key] for one in found) for key in ("seconds", "cpu"))
        lines.append(f"| {title} | {seconds:.3f} | {cpu:.2f} |")
    return lines


def medians(results: Results) -> dict[str, dict[str, dict[str, float]]]:
    """The median of each figure; contestants that failed are left out."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for title, row in results.items():
        table[title] = {}
        for name, runs in row.items():
            good = [figures for figures in runs if figures is not None]
            if good and len(good) == len(runs):
                table[title][name] = {
                    key: statistics.median(figures[key] for figures in good)
                    for key in ("seconds", "late", "cpu", "memory")
                }
    return table


def markdown(table: dict[str, dict[str, dict[str, float]]], names: list[str]) -> str:
    """One row for each workload: seconds (CPU seconds of the mount), and yas3fs's ratio.

    A star: the command ended before the bucket had what it wrote.
    """
    lines = [
        "| workload | " + " | ".join(names) + " | " +
        " | ".join(f"yas3fs / {n}" for n in names[1:]) + " |",
        "|---" * (2 * len(names)) + "|",
    ]  # fmt: skip
    for title, row in table.items():
        ours = row.get("yas3fs", {}).get("seconds")
        cells = [
            f"{row[n]['seconds']:.3f} ({row[n]['cpu']:.2f}){'*' * (row[n]['late'] > LATE)}"
            if n in row
            else "failed"
            for n in names
        ]
        ratios = [
            f"{ours / row[n]['seconds']:.2f}" if n in row and ours is not None else "-"
            for n in names[1:]
        ]
        lines.append(f"| {title} | " + " | ".join(cells + ratios) + " |")
    peaks = [
        f"{max((row[n]['memory'] for row in table.values() if n in row), default=0):.0f}"
        for n in names
    ]
    lines.append("| peak memory, MiB | " + " | ".join(peaks + ["-"] * (len(names) - 1)) + " |")
    return "\n".join(lines)


def plot(table: dict[str, dict[str, dict[str, float]]], names: list[str], path: Path) -> None:
    """Seconds relative to yas3fs, one group of bars for each workload."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    titles = [title for title in table if "yas3fs" in table[title]]
    figure, axes = plt.subplots(figsize=(9, 0.5 * len(titles) + 1.5))
    height = 0.8 / len(names)
    for index, name in enumerate(names):
        ratios = [
            table[t][name]["seconds"] / table[t]["yas3fs"]["seconds"] if name in table[t] else 0
            for t in titles
        ]
        axes.barh([i + index * height for i in range(len(titles))], ratios, height, label=name)
    axes.set_yticks([i + 0.3 for i in range(len(titles))], titles)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.5)
    axes.set_xlabel("time relative to yas3fs (less is faster)")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", help="comma-separated contestants")
    parser.add_argument("--work", help="workloads whose titles begin so, separated by semicolons")
    parser.add_argument(
        "--python", action="append", default=[], metavar="PATH",
        help="another interpreter that runs yas3fs, too",
    )  # fmt: skip
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds to the server")
    parser.add_argument("--tls", action="store_true", help="the server speaks https")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    fighters = contestants()
    if arguments.only:
        fighters = [c for c in fighters if c.name in arguments.only.split(",")]
    fighters += [on_another_python(path) for path in arguments.python]
    names = [fighter.name for fighter in fighters]
    sizes, name = (FAR, "mounts-far") if arguments.latency else (NEAR, "mounts")
    name += "-tls" if arguments.tls else ""
    work = workloads(sizes)
    if arguments.work:
        work = [one for one in work if one.title.startswith(tuple(arguments.work.split(";")))]
    elif arguments.tls:
        work = [
            one for one in work if one.title.startswith(("write", "first", f"read {sizes.large}"))
        ]
    with server(arguments.latency, tls=arguments.tls) as s3:
        whose = [who(fighter, run) for fighter in fighters for run in range(arguments.runs)]
        prepare(s3.near, contestants()[0], sizes, whose)
        client = bare(s3, sizes, arguments.runs)
        results = run_all(s3, fighters, work, arguments.runs, lambda line: print(line, flush=True))
    table = medians(results)
    text = "\n".join([markdown(table, names), "", *client])
    far = f"{arguments.latency:g} ms to the server" + (", TLS" if arguments.tls else "")
    machine = f"{cpu_model()}, {far}"
    print(f"\n{machine}, {time.strftime('%Y-%m-%d')}, medians of {arguments.runs}\n\n{text}")
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / f"{name}.json").write_text(json.dumps(results, indent=1))
        (arguments.output / f"{name}.md").write_text(text + "\n")
        plot(table, names, arguments.output / f"{name}.svg")


if __name__ == "__main__":
    main()
