"""Where yas3fs spends its time in each workload of ``mounts.py``: a profile by py-spy.

Each workload runs twice in a fresh mount: once every thread that is on the processor is sampled,
once only the one that holds the interpreter's lock (GIL). Printed are seconds (of the workload, of
CPU, with the GIL), and the share of samples by room (the innermost frame of yas3fs; what a library
does counts for the room that called it) and by function. With ``--output DIR`` also written as
``profiles.md``; with ``--raw DIR`` the collapsed stacks, for flame graphs.

Sampling slows the mount down by some percent: compare shares, not seconds.
"""

import argparse
import re
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from contestants import Contestant, Mounted, Server, contestants, server
from mounts import drop_caches, groups, who
from workloads import FAR, NEAR, Workload, prepare, workloads

RATE = 400
"""Samples a second."""
ATTACH_SECONDS = 1.0
"""py-spy does not say when it has begun."""
ROOM = re.compile(r"yas3fs/(\w+)")


@dataclass
class Profile:
    """One run of one workload; ``stacks`` counts samples by collapsed stack."""

    seconds: float
    cpu: float
    stacks: Counter[str]

    @property
    def sampled(self) -> float:
        """Seconds that the samples stand for."""
        return sum(self.stacks.values()) / RATE


def sample(mount: Mounted, command: list[str], *, only_gil: bool) -> Profile:
    """Run ``command`` in the mount while py-spy watches the process."""
    out = mount.log.with_name("stacks")
    spy = subprocess.Popen(
        ["py-spy", "record", "--pid", str(mount.process.pid), "--rate", str(RATE), "--format",
         "raw", "--output", str(out), "--duration", "600", "--nonblocking",
         *(["--gil"] if only_gil else [])],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(ATTACH_SECONDS)
    cpu, started = mount.cpu(), time.perf_counter()
    subprocess.run(command, cwd=mount.path, stdout=subprocess.DEVNULL, check=True)
    seconds, cpu = time.perf_counter() - started, mount.cpu() - cpu
    spy.send_signal(signal.SIGINT)
    spy.wait(60)
    stacks: Counter[str] = Counter()
    for line in out.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        stacks[stack] += int(count)
    return Profile(seconds, cpu, stacks)


def rooms(stacks: Counter[str]) -> Counter[str]:
    """Samples by the room of the innermost frame of yas3fs."""
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        inner = [match[1] for match in ROOM.finditer(stack)]
        found[inner[-1] if inner else "other"] += count
    return found


def functions(stacks: Counter[str]) -> Counter[str]:
    """Samples by the innermost frame."""
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        frame = stack.rsplit(";", 1)[-1]
        name, _, place = frame.partition(" (")
        found[f"{name} ({Path(place.split(':')[0].rstrip(')')).stem})"] += count
    return found


def share(counted: Counter[str], most: int) -> str:
    """The largest, in percent."""
    total = sum(counted.values()) or 1
    return ", ".join(f"{name} {100 * n / total:.0f}" for name, n in counted.most_common(most))


def profile_all(
    s3: Server, ours: Contestant, work: list[Workload], raw: Path | None
) -> list[tuple[str, Profile, Profile]]:
    """Each workload with what goes before it in the same mount, twice."""
    results: list[tuple[str, Profile, Profile]] = []
    cases = [(some, place) for some in groups(work) for place in range(len(some))]
    for group, place in cases:
        one = group[place]
        profiles = []
        for turn, only_gil in enumerate((False, True)):
            before, words = (
                [[word.replace("{who}", who(ours, turn)) for word in each.command] for each in some]
                for some in (group[:place], [one])
            )
            drop_caches()
            entrant = ours if one.attributes else ours.without_attributes()
            with entrant.mounted(s3) as mount:
                for earlier in before:
                    subprocess.run(earlier, cwd=mount.path, stdout=subprocess.DEVNULL, check=True)
                profiles.append(sample(mount, words[0], only_gil=only_gil))
        title = one.title
        results.append((title, profiles[0], profiles[1]))
        if raw:
            for name, found in zip(("all", "gil"), profiles, strict=True):
                lines = [f"{stack} {count}" for stack, count in found.stacks.most_common()]
                (raw / f"{title.replace('/', '-')} {name}.txt").write_text("\n".join(lines))
        print(f"profiled: {title}", flush=True)
    return results


def markdown(results: list[tuple[str, Profile, Profile]]) -> str:
    lines = [
        "| workload | seconds | CPU s | with the GIL s | rooms, % of samples | functions, % |",
        "|---|---|---|---|---|---|",
    ]
    for title, busy, gil in results:
        lines.append(
            f"| {title} | {busy.seconds:.2f} | {busy.cpu:.2f} | {gil.sampled:.2f} "
            f"| {share(rooms(busy.stacks), 4)} | {share(functions(busy.stacks), 4)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds to the server")
    parser.add_argument("--only", help="workloads whose title begins so, comma-separated")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--raw", type=Path)
    arguments = parser.parse_args()
    sizes = FAR if arguments.latency else NEAR
    ours = contestants()[0]
    work = workloads(sizes)
    if arguments.only:
        work = [one for one in work if one.title.startswith(tuple(arguments.only.split(",")))]
    if arguments.raw:
        arguments.raw.mkdir(parents=True, exist_ok=True)
    with server(arguments.latency) as s3:
        prepare(s3.near, ours, sizes, [who(ours, turn) for turn in range(2)])
        text = markdown(profile_all(s3, ours, work, arguments.raw))
    print(text)
    if arguments.output:
        (arguments.output / "profiles.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
