"""The memory cache: a bound to the byte, one request for a range, the least used leave first."""

import gc
import random
import threading
import weakref

import pytest

from yas3fs.cache.memory import Extent, MemoryCache, Version
from yas3fs.errors import ServerFailed

KIB = 1024


def version(name: str = "a", size: int = 1000) -> Version:
    return Version(name, f"etag {name}", size)


def fill(cache: MemoryCache, what: Version, start: int, end: int) -> None:
    extent = cache.reserve(what, start, end, wait=False)
    assert extent is not None
    cache.finish(extent)


def used(cache: MemoryCache) -> int:
    return cache.statistics().used


def test_the_bound_holds_while_requests_are_in_flight() -> None:
    cache = MemoryCache(1000)
    first = cache.reserve(version("a"), 0, 600, wait=False)
    assert first is not None
    assert used(cache) == 600
    assert cache.reserve(version("b"), 0, 500, wait=False) is None
    second = cache.reserve(version("b"), 0, 400, wait=False)
    assert second is not None
    assert used(cache) == 1000
    cache.finish(first)
    third = cache.reserve(version("c"), 0, 500, wait=False)
    assert third is not None
    assert used(cache) <= 1000


def test_waiting_for_room() -> None:
    cache = MemoryCache(1000)
    first = cache.reserve(version("a"), 0, 1000, wait=False)
    assert first is not None
    got: list[Extent | None] = []
    thread = threading.Thread(
        target=lambda: got.append(cache.reserve(version("b"), 0, 800, wait=True))
    )
    thread.start()
    cache.finish(first)
    thread.join(10)
    assert got[0] is not None
    assert got[0].length == 800
    assert used(cache) == 800


def test_a_request_larger_than_the_cache_gets_what_fits() -> None:
    cache = MemoryCache(100)
    extent = cache.reserve(version(), 10, 900, wait=True)
    assert extent is not None
    assert (extent.start, extent.length) == (10, 100)


def test_least_recently_used_leaves_first() -> None:
    cache = MemoryCache(300)
    for name in ("a", "b", "c"):
        fill(cache, version(name), 0, 100)
    extent = cache.pin(version("a"), 0)
    assert extent is not None
    cache.unpin(extent)
    fill(cache, version("d"), 0, 100)
    assert cache.covers(version("a"), 0, 100)
    assert not cache.covers(version("b"), 0, 100)


def test_pinned_extents_stay() -> None:
    cache = MemoryCache(200)
    fill(cache, version("a"), 0, 100)
    pinned = cache.pin(version("a"), 50)
    assert pinned is not None
    fill(cache, version("b"), 0, 100)
    fill(cache, version("c"), 0, 100)
    assert cache.covers(version("a"), 0, 100)
    cache.forget(version("a"))
    assert cache.covers(version("a"), 0, 100)
    cache.clear()
    assert cache.covers(version("a"), 0, 100)
    cache.unpin(pinned)
    cache.forget(version("a"))
    assert used(cache) == 0


def test_gaps_are_filled_between_what_is_there() -> None:
    cache = MemoryCache(10_000)
    fill(cache, version(), 100, 200)
    assert cache.reserve(version(), 150, 300, wait=False) is None
    extent = cache.reserve(version(), 0, 1000, wait=False)
    assert extent is not None
    assert (extent.start, extent.end) == (0, 100)
    cache.finish(extent)
    assert cache.covers(version(), 0, 200)
    assert not cache.covers(version(), 0, 201)


def test_readers_go_on_as_soon_as_their_bytes_are_there() -> None:
    cache = MemoryCache(1000)
    extent = cache.reserve(version(), 0, 100, wait=False)
    assert extent is not None
    woken = threading.Event()

    def wait() -> None:
        cache.wait_filled(extent, 40)
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    cache.advance(extent, 39)
    assert not woken.is_set()
    cache.advance(extent, 40)
    thread.join(10)
    assert woken.is_set()
    assert not cache.covers(version(), 0, 41)


def test_a_failure_reaches_whoever_waits_and_nobody_else() -> None:
    cache = MemoryCache(1000)
    extent = cache.reserve(version(), 0, 100, wait=False)
    assert extent is not None
    cache.share(extent)
    cache.advance(extent, 10)
    cache.fail(extent, ServerFailed("500"))
    cache.wait_filled(extent, 10)
    with pytest.raises(ServerFailed):
        cache.wait_filled(extent, 11)
    cache.unpin(extent)
    assert cache.pin(version(), 0) is None
    assert used(cache) == 0
    assert cache.reserve(version(), 0, 100, wait=False) is not None


def test_another_version_is_another_content() -> None:
    cache = MemoryCache(1000)
    cache.store(Version("a", "1", 3), b"old")
    assert cache.pin(Version("a", "2", 3), 0) is None


def test_rename_keeps_the_bytes() -> None:
    cache = MemoryCache(1000)
    old, new = Version("a", "1", 4), Version("b", "2", 4)
    cache.store(old, b"data")
    cache.rename(old, new)
    assert cache.pin(old, 0) is None
    extent = cache.pin(new, 0)
    assert extent is not None
    assert bytes(extent.view) == b"data"
    cache.unpin(extent)
    cache.forget(new)
    assert used(cache) == 0


def test_rename_leaves_what_is_in_flight() -> None:
    cache = MemoryCache(1000)
    old, new = version("a"), version("b")
    extent = cache.reserve(old, 0, 100, wait=False)
    assert extent is not None
    cache.rename(old, new)
    assert cache.pin(new, 0) is None
    cache.finish(extent)
    assert cache.covers(old, 0, 100)


def test_resize() -> None:
    cache = MemoryCache(1000)
    for name in "abcde":
        fill(cache, version(name), 0, 200)
    cache.resize(450)
    assert used(cache) <= 450
    assert cache.covers(version("e"), 0, 200)
    assert not cache.covers(version("a"), 0, 1)


def test_resize_counts_the_memory_that_is_kept_for_what_comes_next() -> None:
    cache = MemoryCache(64 * 1024 * KIB)
    for name in "abcde":
        fill(cache, version(name, 1024 * KIB), 0, 1024 * KIB)
    cache.bound_contents(1)
    assert cache.statistics().contents == 1
    assert used(cache) > 1024 * KIB  # the rest is kept, for a while
    cache.resize(1024 * KIB)
    assert used(cache) <= 1024 * KIB


def test_the_bound_on_contents() -> None:
    cache = MemoryCache(1000, max_contents=3)
    for name in "abcdef":
        fill(cache, version(name), 0, 10)
    assert cache.statistics().contents == 3


def test_memory_that_left_the_cache_is_not_kept_by_who_knows_the_extent() -> None:
    cache = MemoryCache(256 * KIB)
    extent = cache.reserve(version("a", 200 * KIB), 0, 200 * KIB, wait=False)
    assert extent is not None
    cache.finish(extent)
    memory = weakref.ref(extent.memory)
    fill(cache, version("b", 256 * KIB), 0, 256 * KIB)
    gc.collect()
    assert memory() is None


def test_many_threads_keep_the_bound() -> None:
    cache = MemoryCache(64 * KIB)
    over: list[int] = []

    def work(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(300):
            what = version(choose.choice("abcdef"), 40 * KIB)
            start = choose.randrange(40) * KIB
            extent = cache.pin(what, start)
            if extent is None:
                end = min(start + choose.randrange(1, 9) * KIB, what.size)
                extent = cache.reserve(what, start, end, wait=True)
                if extent is None:
                    continue
                cache.share(extent)
                if choose.random() < 0.2:
                    cache.fail(extent, ServerFailed("500"))
                else:
                    extent.view[:] = what.key.encode() * extent.length
                    cache.finish(extent)
            try:
                cache.wait_filled(extent, extent.length)
                if bytes(extent.view[:10]) != what.key.encode() * 10:
                    over.append(-1)
            except ServerFailed:
                pass
            finally:
                cache.unpin(extent)
            if used(cache) > 64 * KIB:
                over.append(used(cache))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert not over
    cache.clear()
    assert used(cache) == 0
