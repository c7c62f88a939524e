"""On which processors threads run."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from yas3fs.runtime import affinity
from yas3fs.runtime.pools import Pool

T = TypeVar("T")
pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="there is one processor for the tests"
)


def mine() -> set[int]:
    return os.sched_getaffinity(0)


def in_a_thread(work: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(30)


@pytest.fixture(autouse=True)
def given() -> Iterator[set[int]]:
    """What the process may use; so it is afterwards."""
    before = mine()
    yield before
    affinity.release_process()
    os.sched_setaffinity(0, before)


def test_threads_share_one_processor_and_the_free_ones_use_all(given: set[int]) -> None:
    affinity.confine_process()
    home = mine()
    assert len(home) == 1
    assert home < given
    assert in_a_thread(mine) == home
    for free, wanted in ((False, home), (True, given)):
        pool = Pool("test", 1, free=free)
        assert pool.submit(mine).result(30) == wanted
        pool.shutdown()


def test_a_thread_is_freed_and_confined_by_itself(given: set[int]) -> None:
    affinity.confine_process()

    def to_and_fro() -> list[set[int]]:
        seen = []
        for change in (affinity.free_thread, affinity.confine_thread):
            change()
            seen.append(mine())
        return seen

    assert in_a_thread(to_and_fro) == [given, mine()]
    affinity.release_process()
    assert in_a_thread(to_and_fro) == [given, given]


def test_what_the_process_may_not_use_is_not_used(given: set[int]) -> None:
    """Of cpusets, containers and CPUAffinity= the kernel knows."""
    one = {min(given)}
    os.sched_setaffinity(0, one)
    affinity.confine_process()
    affinity.free_thread()
    assert mine() == one


def test_nobody_is_confined_unasked(given: set[int]) -> None:
    affinity.confine_thread()
    assert mine() == given
