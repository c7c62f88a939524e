"""Fetching what is below a path ahead of use."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.core import CALLER, MIB, Core
from tests.unit.fs.test_discovery import Bench
from yas3fs.errors import NoEntry, ServerFailed
from yas3fs.fs.warming import Warming, Warmth


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for core in made.cores:
        core.close()


def warm(core: Core, path: str = "/") -> Warmth:
    told = list(Warming(core.fs.volume).run(path))
    return told[-1]


def test_small_and_large_files_at_any_depth(bench: Bench) -> None:
    sizes = {"/a": 100, "/d/b": 70_000, "/d/e/c": 3 * MIB, "/d/e/empty": 0}
    for path, size in sizes.items():
        bench.put(path[1:], path.encode() * (size // len(path)) + b"x" * (size % len(path)))
    core = bench.mount()
    warmth = warm(core)
    assert (warmth.files, warmth.warm_files) == (4, 4)
    assert warmth.bytes == warmth.warm_bytes == sum(sizes.values())
    assert (warmth.failures, warmth.full) == (0, False)
    bench.asked()
    for path, size in sizes.items():
        body = core.read(path)
        assert body == path.encode() * (size // len(path)) + b"x" * (size % len(path))
    assert not bench.asked()


def test_a_small_file_is_one_request(bench: Bench) -> None:
    for number in range(20):
        bench.put(f"d/{number}", b"x" * 5000)
    core = bench.mount()
    core.fs.getattr("/d")
    bench.asked()
    assert warm(core, "/d").warm_files == 20
    asked = bench.asked()
    assert (asked["get"], asked["head"]) == (20, 0)


def test_one_file_and_again(bench: Bench) -> None:
    bench.put("d/f", b"x" * 200_000)
    bench.put("d/other", b"x" * 200_000)
    core = bench.mount()
    for _ in range(2):
        warmth = warm(core, "/d/f")
        assert (warmth.files, warmth.warm_files, warmth.warm_bytes) == (1, 1, 200_000)
    assert bench.asked()["get"] == 1


def test_nothing_below(bench: Bench) -> None:
    bench.put("d/")
    core = bench.mount()
    assert warm(core, "/d") == Warmth()
    with pytest.raises(NoEntry):
        warm(core, "/nosuch")


def test_a_full_cache_keeps_what_it_has(bench: Bench) -> None:
    for number in range(12):
        bench.put(f"d/{number:02}", bytes([number]) * MIB)
    bench.put("mine", b"m" * MIB)
    core = bench.mount(cache_size=4 * MIB)
    core.read("/mine")
    warmth = warm(core, "/d")
    assert warmth.full
    assert warmth.files == 12
    assert warmth.warm_files == 3
    assert warmth.failures == 0
    assert core.cache.statistics().evictions == 0
    bench.asked()
    assert core.read("/mine") == b"m" * MIB
    assert not bench.asked()


def test_what_fails_is_counted_and_named_and_the_rest_goes_on(bench: Bench) -> None:
    for number in range(40):
        bench.put(f"d/{number:02}", b"x" * 100_000)
    core = bench.mount()
    bench.store.fail("get", ServerFailed("as told"), times=15)
    warmth = warm(core, "/d")
    assert (warmth.files, warmth.warm_files, warmth.failures) == (40, 25, 15)
    assert len(warmth.failed) == 10
    assert all(line.startswith("/d/") and "as told" in line for line in warmth.failed)


def test_what_others_replace_or_remove_meanwhile(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        bench.put(f"d/{name}", b"old" * 40_000)
    core = bench.mount()
    core.fs.volume.discovery.list_directory("/d")
    for name in ("a", "b", "c"):
        core.fs.getattr(f"/d/{name}")
    bench.put("d/a", b"newer" * 40_000)
    bench.memory.delete("d/b")
    warmth = warm(core, "/d")
    assert (warmth.files, warmth.warm_files, warmth.failures) == (2, 2, 0)
    assert core.read("/d/a") == b"newer" * 40_000


def test_unsaved_content_is_left_alone(bench: Bench) -> None:
    core = bench.mount()
    handle = core.fs.create("/f", 2, 0o644, CALLER)
    handle.write(memoryview(b"unsaved"), 0)
    warmth = warm(core)
    assert (warmth.files, warmth.warm_files) == (1, 1)
    assert not bench.asked()["get"]
    handle.release()


def test_whoever_closes_it_ends_the_work(bench: Bench) -> None:
    for number in range(100):
        bench.put(f"d/{number:03}", b"x" * 100_000)
    core = bench.mount()
    gate = threading.Event()
    bench.store.block("get", gate, times=1000)
    work = Warming(core.fs.volume).run("/d")
    while next(work).files < 100:
        pass
    next(work)
    work.close()
    gate.set()
    core.close()
    assert bench.store.calls["get"] <= 20
