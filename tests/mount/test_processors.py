"""On which processors the threads of a mount run."""

import os
from pathlib import Path

import pytest

from tests.mount.program import Mounts, S3Mount, python

pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="there is one processor for the tests"
)

MIB = 1 << 20
USE = """
path = args[0] + "/file"
for n in range(50):
    with open(path + str(n), "wb") as file: file.write(b"x" * 100)
answer = sum(os.stat(path + str(n)).st_size for n in range(50))
"""
MOVE = """
with open(args[0] + "/large", "wb", buffering=0) as file:
    for _ in range(24): file.write(b"x" * (1 << 20))
answer = os.stat(args[0] + "/large").st_size
"""


def processors(mount: S3Mount) -> list[int]:
    """How many each thread of the process may use."""
    found = []
    for task in Path(f"/proc/{mount.pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("Cpus_allowed:"):
                found.append(int(line.split()[1].replace(",", ""), 16).bit_count())
    return found


def test_threads_share_one_but_for_those_that_move_much(mounts: Mounts) -> None:
    mount = mounts()
    assert python(USE, mount.mountpoint) == 5000
    assert set(processors(mount)) == {1}
    assert python(MOVE, mount.mountpoint) == 24 * MIB
    threads = processors(mount)
    assert max(threads) == len(os.sched_getaffinity(0))  # those that sent the parts
    assert threads.count(1) > len(threads) / 2


def test_none_leaves_all_of_them_to_the_kernel(mounts: Mounts) -> None:
    mount = mounts("--cpu-affinity", "none")
    assert python(USE, mount.mountpoint) == 5000
    assert set(processors(mount)) == {len(os.sched_getaffinity(0))}
