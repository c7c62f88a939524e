"""What the mounts are asked to do: commands that run in the mount, and the files they need."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from contestants import Contestant, Server


@dataclass(frozen=True)
class Sizes:
    """How much work there is: MiB of the large file, small files in a row, files that are read hot,
    files that are deleted, the tree's folders and files in each."""

    large: int
    small: int
    hot: int
    deleted: int
    folders: int
    files: int


NEAR = Sizes(1024, 500, 1000, 1000, 400, 50)
FAR = Sizes(512, 100, 200, 200, 400, 10)
"""With latency: what goes one after the other takes long enough."""


@dataclass(frozen=True)
class Workload:
    """``{who}`` in texts stands for the contestant and the run, where each needs its own.

    ``fresh``: in a mount that was started for it, with nothing cached. ``attributes``: whether the
    mount shows modes and owners (yas3fs and s3fs read them from the objects' metadata, one request
    each; where it is False, yas3fs runs with ``--no-metadata``). ``stored``: the clock stops when
    the bucket has it.
    """

    title: str
    command: list[str]
    fresh: bool = True
    attributes: bool = True
    stored: "Stored | None" = None


@dataclass(frozen=True)
class Stored:
    """So many files below a prefix, with so many bytes; ``anew``: not the version of before."""

    prefix: str
    count: int
    size: int
    anew: bool = False


_THREADED = "from concurrent.futures import ThreadPoolExecutor as T\nlist(T(16).map(f, range({n})))"


def _script(body: str, count: int, *, threads: bool = False) -> list[str]:
    run = _THREADED.format(n=count) if threads else f"for i in range({count}): f(i)"
    return [sys.executable, "-c", f"import os\n{body}\n{run}"]


def _create(name: str) -> str:
    return f"def f(i):\n  with open('{name}-{{who}}/%d' % i, 'wb') as o: o.write(b'x' * 4096)"


def _read(name: str) -> str:
    return f"def f(i):\n  with open('{name}/%d' % i, 'rb') as o: assert len(o.read()) == 4096"


_MISSING = (
    "def f(i):\n  try: os.stat('tree/0/none-%d' % i)\n  except FileNotFoundError: return\n  raise 1"
)
_JUMPS = """\
import random
r = random.Random(7)
o = open('large', 'rb', buffering=0)
for i in range(300): o.seek(r.randrange({blocks}) * 4096); o.read(4096)"""
_BACKWARD = """\
o = open('large', 'rb', buffering=0)
for i in range({mib} - 1, -1, -1): o.seek(i << 20); assert len(o.read(1 << 20)) == 1 << 20"""
_STRIDED = """\
o = open('large', 'rb', buffering=0)
for i in range(0, {mib}, 2): o.seek(i << 20); assert len(o.read(1 << 16)) == 1 << 16"""
_PATCH = "o = open('written-{{who}}', 'r+b'); o.seek({mib} << 19); o.write(b'y'); o.close()"


def workloads(sizes: Sizes) -> list[Workload]:
    """In this order: some need what earlier ones made."""
    large, small, hot, deleted = sizes.large, sizes.small, sizes.hot, sizes.deleted
    python = [sys.executable, "-c"]
    find, tree = ["find", "tree", "-type", "f"], ["ls", "-lR", "tree"]

    def streams(count: int) -> list[str]:
        each = large // count
        return ["sh", "-c", " & ".join(
            f"dd if=large of=/dev/null bs=1M skip={n * each} count={each} status=none"
            for n in range(count)
        ) + " & wait"]  # fmt: skip

    return [
        Workload(
            f"write {large} MiB",
            ["dd", "if=/dev/zero", "of=written-{who}", "bs=1M", f"count={large}", "status=none"],
            stored=Stored("written-{who}", 1, large << 20),
        ),
        Workload(
            f"create {small} x 4 KiB",
            _script(_create("small"), small),
            stored=Stored("small-{who}/", small, small * 4096),
        ),
        Workload(
            f"create {small} x 4 KiB, 16 threads",
            _script(_create("wide"), small, threads=True),
            stored=Stored("wide-{who}/", small, small * 4096),
        ),
        Workload("first 4 KiB, cold", ["head", "-c", "4096", "large"]),
        Workload(f"read {large} MiB, cold", ["cat", "large"]),
        Workload(f"read {large} MiB again", ["cat", "large"], fresh=False),
        Workload(f"read {large} MiB in 4 streams, cold", streams(4)),
        Workload(f"read {large} MiB in 16 streams, cold", streams(16)),
        Workload(f"read {large} MiB backward, cold", [*python, _BACKWARD.format(mib=large)]),
        Workload("read 64 KiB of every other MiB, cold", [*python, _STRIDED.format(mib=large)]),
        Workload("300 random 4 KiB reads, cold", [*python, _JUMPS.format(blocks=large * 256)]),
        Workload(f"read {small} x 4 KiB, cold", _script(_read("cold"), small)),
        Workload(
            f"read {small} x 4 KiB, cold, 16 threads", _script(_read("cold"), small, threads=True)
        ),
        Workload(f"read {hot} x 4 KiB, first time", _script(_read("hot"), hot)),
        Workload(f"read {hot} x 4 KiB again", _script(_read("hot"), hot), fresh=False),
        Workload("find, cold", find),
        Workload("find, again", find, fresh=False),
        Workload(f"look for {hot} missing names", _script(_MISSING, hot), fresh=False),
        Workload("ls -lR, cold", tree),
        Workload("ls -lR, again", tree, fresh=False),
        Workload("ls -lR, cold, no attributes", tree, attributes=False),
        Workload(
            f"append 1 byte to {large} MiB",
            ["sh", "-c", "printf x >> written-{who}"],
            stored=Stored("written-{who}", 1, (large << 20) + 1),
        ),
        Workload(
            f"change 1 byte within {large} MiB",
            [*python, _PATCH.format(mib=large)],
            stored=Stored("written-{who}", 1, (large << 20) + 1, anew=True),
        ),
        Workload(
            f"unlink {deleted}",
            _script("def f(i): os.unlink('doomed-{who}/%d' % i)", deleted),
            stored=Stored("doomed-{who}/", 0, 0),
        ),
        Workload(
            f"mv a directory of {deleted}",
            ["mv", "moved-{who}", "target-{who}"],
            stored=Stored("target-{who}/", deleted, deleted * 4096),
        ),
        Workload(
            f"rm -rf of {deleted}",
            ["rm", "-rf", "removed-{who}"],
            stored=Stored("removed-{who}/", 0, 0),
        ),
    ]


def prepare(s3: Server, maker: Contestant, sizes: Sizes, whose: list[str]) -> None:
    """The files that workloads find there, made through yas3fs, so that all have attributes.

    ``whose``: what ``{who}`` will stand for.
    """
    with maker.mounted(s3) as mount:
        subprocess.run(
            ["dd", "if=/dev/urandom", f"of={mount.path}/large", "bs=1M", f"count={sizes.large}",
             "status=none"], check=True,
        )  # fmt: skip
        folders = [(f"tree/{number}", sizes.files) for number in range(sizes.folders)]
        folders += [("cold", sizes.small), ("hot", sizes.hot)]
        for who in whose:
            folders += [(f"{kind}-{who}", 0) for kind in ("small", "wide")]
            folders += [(f"{kind}-{who}", sizes.deleted) for kind in ("doomed", "moved", "removed")]

        def fill(folder: tuple[str, int]) -> None:
            name, count = folder
            os.makedirs(f"{mount.path}/{name}")
            for number in range(count):
                Path(mount.path, name, str(number)).write_bytes(b"x" * 4096)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(fill, folders))
