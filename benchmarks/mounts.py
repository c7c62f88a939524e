"""yas3fs beside s3fs and rclone: the same work, one server, contestants in turn, medians.

Prints a table, and with ``--output DIR`` writes it there as JSON, Markdown and (with matplotlib) a
plot. Needs root: the kernel's caches are dropped before every cold workload.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from contestants import Contestant, Mounted, contestants, server

MIB = 1024 * 1024


@dataclass(frozen=True)
class Sizes:
    """How much work there is: MiB of the large file, small files in a row, the tree's folders
    and files in each."""

    large: int
    small: int
    folders: int
    files: int


NEAR = Sizes(1024, 500, 100, 50)
FAR = Sizes(256, 100, 100, 10)
"""With latency: what goes one after the other takes long enough."""

PYTHON = sys.executable
_THREADED = "from concurrent.futures import ThreadPoolExecutor as T\nlist(T(16).map(f, range({n})))"


def _script(body: str, count: int, *, threads: bool = False) -> list[str]:
    run = _THREADED.format(n=count) if threads else f"for i in range({count}): f(i)"
    return [PYTHON, "-c", f"import os\n{body}\n{run}"]


_CREATE = "def f(i):\n  with open('{name}-{who}-%d' % i, 'wb') as o: o.write(b'x' * 4096)"
_READ = "def f(i):\n  with open('{name}-{who}-%d' % i, 'rb') as o: assert len(o.read()) == 4096"
_UNLINK = "def f(i): os.unlink('{name}-{who}-%d' % i)"

Workload = tuple[str, list[str], bool]
"""A title, a command that runs in the mount (``{who}``: whose it is), whether in a fresh one."""


def workloads(sizes: Sizes) -> list[Workload]:
    """In this order: some need what earlier ones made."""
    large, small = sizes.large, sizes.small
    create = _CREATE.replace("{name}", "small"), _CREATE.replace("{name}", "wide")
    read = _READ.replace("{name}", "small"), _READ.replace("{name}", "wide")
    unlink = _UNLINK.replace("{name}", "small")
    jumps = (
        "import os, random\nr = random.Random(7)\no = open('large', 'rb', buffering=0)\n"
        f"for i in range(300): o.seek(r.randrange({large} * 256) * 4096); o.read(4096)"
    )
    quarters = " & ".join(
        f"dd if=large of=/dev/null bs=1M skip={n * large // 4} count={large // 4} status=none"
        for n in range(4)
    )
    return [
        (f"write {large} MiB, durable at close",
         ["dd", "if=/dev/zero", "of=written-{who}", "bs=1M", f"count={large}", "status=none"],
         True),
        (f"create {small} x 4 KiB", _script(create[0], small), True),
        (f"create {small} x 4 KiB, 16 threads", _script(create[1], small, threads=True), True),
        ("first 4 KiB, cold", ["head", "-c", "4096", "large"], True),
        (f"read {large} MiB, cold", ["cat", "large"], True),
        (f"read {large} MiB again", ["cat", "large"], False),
        (f"read {large} MiB in 4 streams, cold", ["sh", "-c", f"{quarters} & wait"], True),
        ("300 random 4 KiB reads, cold", [PYTHON, "-c", jumps], True),
        (f"read {small} x 4 KiB, cold", _script(read[0], small), True),
        (f"read {small} x 4 KiB again", _script(read[0], small), False),
        (f"read {small} x 4 KiB, cold, 16 threads", _script(read[1], small, threads=True), True),
        ("find, cold", ["find", "tree", "-type", "f"], True),
        ("find, again", ["find", "tree", "-type", "f"], False),
        ("ls -lR, cold", ["ls", "-lR", "tree"], True),
        ("ls -lR, again", ["ls", "-lR", "tree"], False),
        (f"append 1 byte to {large} MiB", ["sh", "-c", "printf x >> written-{who}"], True),
        (f"unlink {small}", _script(unlink, small), True),
    ]  # fmt: skip


def prepare(url: str, maker: Contestant, sizes: Sizes) -> None:
    """The files that cold workloads read, made through yas3fs, so that all have attributes."""
    with maker.mounted(url) as mount:
        subprocess.run(
            ["dd", "if=/dev/urandom", f"of={mount.path}/large", "bs=1M", f"count={sizes.large}",
             "status=none"], check=True,
        )  # fmt: skip

        def fill(folder: int) -> None:
            os.makedirs(f"{mount.path}/tree/{folder}")
            for number in range(sizes.files):
                Path(f"{mount.path}/tree/{folder}/{number}").write_bytes(b"x" * 4096)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(fill, range(sizes.folders)))


def drop_caches() -> None:
    subprocess.run(["sync"], check=True)
    Path("/proc/sys/vm/drop_caches").write_text("3")


def measure(mount: Mounted, command: list[str]) -> dict[str, float] | None:
    """Seconds, CPU seconds of the mount and its peak memory; None when the command failed."""
    cpu, started = mount.cpu(), time.perf_counter()
    done = subprocess.run(
        command, cwd=mount.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        check=False, timeout=600,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    if done.returncode:
        return None
    return {"seconds": seconds, "cpu": mount.cpu() - cpu, "memory": mount.memory()}


Results = dict[str, dict[str, list[dict[str, float] | None]]]


def run_all(
    url: str,
    fighters: list[Contestant],
    work: list[Workload],
    runs: int,
    say: Callable[[str], None],
) -> Results:
    """Every workload on every contestant, ``runs`` times, the contestants in turn."""
    results: Results = {title: {c.name: [] for c in fighters} for title, _, _ in work}
    groups: list[list[Workload]] = []
    for workload in work:
        if workload[2]:
            groups.append([])
        groups[-1].append(workload)
    for run in range(runs):
        for group in groups:
            for fighter in fighters:
                drop_caches()
                with fighter.mounted(url) as mount:
                    for title, command, _ in group:
                        words = [word.replace("{who}", fighter.name) for word in command]
                        results[title][fighter.name].append(measure(mount, words))
            say(f"run {run + 1}: {group[0][0]}")
    return results


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
                    for key in ("seconds", "cpu", "memory")
                }
    return table


def markdown(table: dict[str, dict[str, dict[str, float]]], names: list[str]) -> str:
    """One row for each workload: seconds (CPU seconds of the mount), and yas3fs's ratio."""
    lines = [
        "| workload | " + " | ".join(names) + " | " +
        " | ".join(f"yas3fs / {n}" for n in names[1:]) + " |",
        "|---" * (2 * len(names)) + "|",
    ]  # fmt: skip
    for title, row in table.items():
        ours = row.get("yas3fs", {}).get("seconds")
        cells = [
            f"{row[n]['seconds']:.3f} ({row[n]['cpu']:.2f})" if n in row else "failed"
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
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds to the server")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    fighters = contestants()
    if arguments.only:
        fighters = [c for c in fighters if c.name in arguments.only.split(",")]
    names = [fighter.name for fighter in fighters]
    sizes, name = (FAR, "mounts-far") if arguments.latency else (NEAR, "mounts")
    with server(arguments.latency) as url:
        prepare(url, contestants()[0], sizes)
        results = run_all(
            url,
            fighters,
            workloads(sizes),
            arguments.runs,
            lambda line: print(line, flush=True),
        )
    table = medians(results)
    text = markdown(table, names)
    kernel = f"{platform.system()} {platform.release()}"
    machine = f"{kernel}, {os.cpu_count()} cores, {arguments.latency:g} ms to the server"
    print(f"\n{machine}, {time.strftime('%Y-%m-%d')}, medians of {arguments.runs}\n\n{text}")
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / f"{name}.json").write_text(json.dumps(results, indent=1))
        (arguments.output / f"{name}.md").write_text(text + "\n")
        plot(table, names, arguments.output / f"{name}.svg")


if __name__ == "__main__":
    main()
