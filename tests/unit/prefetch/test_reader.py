"""Ranges of object versions: served early, fetched once, never mixed."""

import ctypes
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.doubles.faults import FaultyStore
from yas3fs.cache.memory import MemoryCache, Version
from yas3fs.errors import Interrupted, NotFound, PreconditionFailed, ServerFailed
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.objectstore.protocol import Headers
from yas3fs.prefetch.readahead import FIRST_WINDOW, MIB, ReadAhead
from yas3fs.prefetch.reader import Reader
from yas3fs.runtime import interrupts


class Memory:
    """Room to read into, as the kernel edge has it."""

    def __init__(self, size: int) -> None:
        self._bytes = bytearray(size)
        self.view = memoryview(self._bytes)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._bytes)) if size else 0


class Bench:
    sends = False
    """Whether reads of a handle are sent instead of copied."""

    def __init__(self, size: int, capacity: int = 64 * MIB, buffer_size: int = 8 * MIB) -> None:
        self.memory = MemoryStore()
        self.store = FaultyStore(self.memory)
        self.body = os.urandom(size)
        self.version = self.put(self.body)
        self.cache = MemoryCache(capacity)
        self.pool = ThreadPoolExecutor(4)
        self.reader = Reader(self.store, self.cache, self.pool, buffer_size=buffer_size)

    def put(self, body: bytes) -> Version:
        return Version("key", self.memory.put("key", body, Headers()).etag, len(body))

    def read(self, size: int, offset: int, ahead: ReadAhead | None = None) -> bytes:
        if self.sends and ahead is not None:
            return self.sent(size, offset, ahead)[0]
        target = bytearray(size)
        count = self.reader.read_into(self.version, memoryview(target), offset, ahead)
        return bytes(target[:count])

    def sent(self, size: int, offset: int, ahead: ReadAhead) -> tuple[bytes, int]:
        """What is sent, and how much room was asked for."""
        found: list[bytes] = []
        rooms: list[Memory] = []

        def room(wanted: int) -> Memory:
            rooms.append(Memory(wanted))
            return rooms[-1]

        def send(address: int, count: int) -> None:
            found.append(ctypes.string_at(address, count))

        count = self.reader.send(self.version, size, offset, ahead, room, send)
        assert len(found) == 1
        assert len(found[0]) == count
        return found[0], sum(len(memory.view) for memory in rooms)

    def gets(self) -> int:
        return self.store.calls["get"]


@pytest.fixture(params=["copied", "sent"])
def make(request: pytest.FixtureRequest) -> Iterator[type[Bench]]:
    made: list[Bench] = []

    class Made(Bench):
        sends = request.param == "sent"

        def __init__(self, *arguments: int, **more: int) -> None:
            super().__init__(*arguments, **more)
            made.append(self)

    yield Made
    for bench in made:
        bench.pool.shutdown()


def test_a_small_object_is_one_request(make: type[Bench]) -> None:
    bench = make(100_000)
    assert bench.read(10, 50_000) == bench.body[50_000:50_010]
    assert bench.read(100, 99_950) == bench.body[99_950:]
    assert bench.read(200_000, 0) == bench.body
    assert bench.gets() == 1
    assert bench.reader.covered(bench.version)


@pytest.mark.parametrize("offset", [100_000, 100_001, 1 << 50])
def test_behind_the_end_there_is_nothing(make: type[Bench], offset: int) -> None:
    bench = make(100_000)
    assert bench.read(10, offset) == b""
    assert bench.gets() == 0


@pytest.mark.parametrize("capacity", [0, 1, 4095, 4096, 5000, 20_000, 1 << 20])
@pytest.mark.parametrize("buffer_size", [0, 4096, 8 * MIB])
def test_any_cache_serves_any_range(make: type[Bench], capacity: int, buffer_size: int) -> None:
    bench = make(300_000, capacity, buffer_size)
    ahead = bench.reader.new_read_ahead()
    for offset, size in [(0, 1000), (1000, 200_000), (299_990, 100), (150_000, 10), (0, 300_000)]:
        assert bench.read(size, offset, ahead) == bench.body[offset : offset + size]
    assert bench.cache.statistics().used <= capacity


def test_what_lies_in_one_extent_is_sent_from_there(make: type[Bench]) -> None:
    bench = make(20 * MIB)
    ahead = bench.reader.new_read_ahead()
    for offset in range(0, 20 * MIB, MIB):
        body, room = bench.sent(MIB, offset, ahead)
        assert body == bench.body[offset : offset + MIB]
        assert room in (0, MIB)
    assert bench.sent(MIB, 17 * MIB, ahead) == (bench.body[17 * MIB : 18 * MIB], 0)
    assert bench.sent(20 * MIB, 0, ahead) == (bench.body, 20 * MIB)
    assert bench.sent(MIB, 20 * MIB - 5, ahead) == (bench.body[-5:], 0)
    assert bench.sent(MIB, 20 * MIB, ahead) == (b"", 0)
    assert all(
        extent.pins == 0 for content in bench.cache._contents.values() for extent in content.extents
    )


def test_nothing_is_sent_of_what_cannot_be_had(make: type[Bench]) -> None:
    bench = make(20 * MIB)
    bench.store.fail("get", ServerFailed("no"), times=100)
    ahead, sent = bench.reader.new_read_ahead(), Counter[int]()
    with pytest.raises(ServerFailed):
        bench.reader.send(
            bench.version, MIB, 0, ahead, Memory, lambda _, count: sent.update([count])
        )
    assert not sent


def test_a_reader_does_not_wait_for_more_than_its_range(make: type[Bench]) -> None:
    bench = make(20 * MIB)
    ahead = bench.reader.new_read_ahead()
    gate = threading.Event()
    for offset in (0, 128 * 1024):  # going straight on: more is fetched ahead, and held up
        bench.read(128 * 1024, offset, ahead)
    bench.store.block("get", gate, times=100)
    cached = bench.read(128 * 1024, 0, ahead)
    assert cached == bench.body[: 128 * 1024]
    gate.set()


def test_the_same_range_is_fetched_once(make: type[Bench]) -> None:
    bench = make(100_000)
    gate = threading.Event()
    reached = bench.store.block("get", gate)
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(bench.read(1000, 500))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    assert reached.wait(10)
    gate.set()
    for thread in threads:
        thread.join(10)
    assert found == [bench.body[500:1500]] * 5
    assert bench.gets() == 1


def test_a_failure_is_told_and_the_next_read_asks_anew(make: type[Bench]) -> None:
    bench = make(100_000)
    bench.store.fail("get", ServerFailed("500"))
    with pytest.raises(ServerFailed):
        bench.read(10, 0)
    assert bench.read(10, 0) == bench.body[:10]
    assert bench.cache.statistics().used <= 100_000


def test_an_interrupted_download_does_not_fail_others(make: type[Bench]) -> None:
    bench = make(100_000)
    gate, interrupted = threading.Event(), threading.Event()
    reached = bench.store.block("get", gate)
    outcomes: dict[str, object] = {}

    def first() -> None:
        with interrupts.serve(interrupted.is_set):
            try:
                outcomes["first"] = bench.read(10, 0)
            except Interrupted as error:
                outcomes["first"] = error

    def second() -> None:
        outcomes["second"] = bench.read(10, 0)

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert reached.wait(10)
    threads[1].start()
    interrupted.set()
    for thread in threads:
        thread.join(10)
    assert isinstance(outcomes["first"], Interrupted)
    assert outcomes["second"] == bench.body[:10]
    gate.set()


@pytest.mark.parametrize("way", ["replaced", "deleted"])
def test_versions_are_never_mixed(make: type[Bench], way: str) -> None:
    bench = make(3 * MIB)
    assert bench.read(1000, 0) == bench.body[:1000]
    if way == "replaced":
        bench.put(os.urandom(3 * MIB))
    else:
        bench.memory.delete("key")
    assert bench.read(1000, 0) == bench.body[:1000]  # what is here is still of the version
    with pytest.raises(PreconditionFailed if way == "replaced" else NotFound):
        bench.read(1000, 2 * MIB)


def test_reading_straight_on_fetches_ahead_and_seeking_does_not(make: type[Bench]) -> None:
    bench = make(40 * MIB)
    ahead = bench.reader.new_read_ahead()
    step = 128 * 1024
    for offset in range(0, 16 * MIB, step):
        assert bench.read(step, offset, ahead) == bench.body[offset : offset + step]
    assert bench.gets() < 16 * MIB // step // 2
    bench.pool.shutdown(wait=True)
    bench.pool = ThreadPoolExecutor(4)
    bench.reader = Reader(bench.store, bench.cache, bench.pool)
    before = bench.gets()
    seeker = bench.reader.new_read_ahead()
    for offset in (39 * MIB, 33 * MIB, 37 * MIB):
        bench.read(4096, offset, seeker)
    assert bench.gets() - before <= 3
    assert seeker.window == 0


def test_waiting_for_the_whole_object(make: type[Bench]) -> None:
    bench = make(3 * MIB, buffer_size=0)
    assert bench.read(10, 0) == bench.body[:10]
    assert bench.reader.covered(bench.version)


# -- read-ahead ----------------------------------------------------------------------------


def test_the_window_grows_while_access_is_sequential_up_to_its_limit() -> None:
    ahead = ReadAhead(10 * MIB)
    windows = []
    for index in range(8):
        ahead.observe(index * 1000, 1000)
        windows.append(ahead.window)
    assert windows == sorted(windows)
    assert windows[0] in (0, FIRST_WINDOW)
    assert windows[-1] == 10 * MIB


def test_a_seek_ends_it() -> None:
    ahead = ReadAhead(10 * MIB)
    for index in range(8):
        ahead.observe(index * 1000, 1000)
    ahead.observe(500 * MIB, 1000)
    assert ahead.window == 0


def test_what_the_kernel_sends_out_of_order_is_no_seek() -> None:
    ahead = ReadAhead(10 * MIB)
    for index in (0, 1, 2, 4, 3, 6, 5, 7):
        ahead.observe(index * 100_000, 100_000)
    assert ahead.window > 0
